"""What set off what: the failures of a run as a tree under its shocks, the largest branches first.

A row stands for all failures of one node and kind that the same row above set off: members of a crowd, and a crowd
that goes on failing by itself, are one row, which says over how many generations. Rows are kept by the number of
failures in their branch; what is left out is counted where it hangs.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.metrics.cascade import failures, origins
from contagion.metrics.offspring import parents
from contagion.metrics.venues import is_kind
from contagion.plot.style import GREY, PALETTE, SMALL, TEXT, literal, note, signed, style
from contagion.units import SECOND, format_clock
from contagion.words import money

ROWS = 24
Integers = NDArray[np.int64]


@dataclass
class Branch:
    """Failures of one node and kind under the same cause, and what they set off.

    number, value : its own failures, and what was at stake in them; first, last : seconds of the first and the last;
    generations : over how many it goes on by itself; whole : failures in the branch, its own included. A shock, and
    the rest of what is too small to be shown, have no failures of their own.
    """

    name: str
    number: int = 0
    value: float = 0.0
    first: float = 0.0
    last: float = 0.0
    generations: int = 0
    whole: int = 0
    children: list["Branch"] = field(default_factory=list)


def tree(run: Any, rows: int = ROWS) -> list[Branch]:
    """Return the branches under each shock (or the clock), the largest first; at most so many, the rest counted."""
    branches, parent = _branches(run)
    for place in range(len(branches) - 1, -1, -1):
        if parent[place] >= 0:
            branches[parent[place]].whole += branches[place].whole
    wanted = sorted(range(len(branches)), key=lambda place: (-branches[place].whole, place))
    kept, top = set(wanted[:rows]), Branch("")
    above = [branches[place] if place >= 0 else top for place in parent]
    for place in sorted(kept):
        above[place].children.append(branches[place])
    for branch in (top, *branches):
        branch.children.sort(key=lambda one: (-one.whole, -one.value, one.name))
    rest: dict[int, list[Branch]] = {}
    for place in wanted[rows:]:
        if parent[place] in kept or parent[place] < 0:
            rest.setdefault(parent[place], []).append(branches[place])
    for place, left in sorted(rest.items()):
        words = f"{len(left):,} smaller branch{'es' * (len(left) > 1)}"
        (branches[place] if place >= 0 else top).children.append(Branch(words, whole=sum(one.whole for one in left)))
    return top.children


def draw_tree(axes: Any, run: Any) -> None:
    """Draw the tree of failures, a row a branch."""
    roots = tree(run)
    style(axes, "what set off what: failures under their shock, largest branches first", grid="both")
    axes.grid(False)
    axes.set_axis_off()
    if not roots:
        note(axes, "nothing failed")
        return
    largest, row, deepest = max(root.whole for root in roots), 0, 0
    waiting = [(root, 0, 0) for root in reversed(roots)]
    while waiting:
        branch, depth, stem = waiting.pop()
        if depth:
            axes.plot([depth - 1, depth - 1, depth], [stem, row, row], color=GREY, linewidth=0.8, zorder=1)
        _draw_branch(axes, branch, depth, row, branch.whole / largest, run.books.currency)
        waiting += [(child, depth + 1, row) for child in reversed(branch.children)]
        deepest, row = max(deepest, depth), row + 1
    axes.set_xlim(-0.4, deepest + 12)
    axes.set_ylim(max(row, 16) - 0.3, -0.7)


def _draw_branch(axes: Any, branch: Branch, depth: int, row: int, share: float, currency: str) -> None:
    shape, colour = ("o", PALETTE[1]) if branch.number else ("D", PALETTE[0]) if not depth else ("_", GREY)
    axes.scatter([depth], [row], s=25 + 150 * share * (branch.number > 0), c=colour, marker=shape, zorder=2)
    name = axes.annotate(
        literal(branch.name), xy=(depth, row), xytext=(11, 0), textcoords="offset points", va="center", fontsize=TEXT,
        fontweight="bold" if branch.number else "normal",
    )  # fmt: skip
    axes.annotate(
        literal(_facts(branch, currency)), xy=(1, 0), xycoords=name, xytext=(6, 0), textcoords="offset points",
        va="bottom", fontsize=SMALL, color=GREY,
    )  # fmt: skip


def _facts(branch: Branch, currency: str) -> str:
    """Return what a row says of its failures."""
    words = [f"× {branch.number:,}"] * (branch.number > 1)
    words += [f"in {branch.generations} generations"] * (branch.generations > 1)
    words += [f"{signed(money(branch.value))} {currency}"] * bool(round(branch.value, 2))
    if branch.number:
        first, last = (format_clock(round(seconds * SECOND)) for seconds in (branch.first, branch.last))
        words.append(first if first == last else f"{first} to {last}")
    if branch.whole > branch.number:
        words.append(f"{branch.whole:,} failure{'s' * (branch.whole > 1)}" + " in the branch" * bool(branch.children))
    return " · ".join(words)


def _branches(run: Any) -> tuple[list[Branch], list[int]]:
    """Return all branches, each after the one above it, and the place of that one (-1: none)."""
    events, books = run.tables["events"], run.books
    failed = failures(events, books.kinds)
    if not len(failed):
        return [], []
    label = events["kind"][failed].astype(np.int64) * len(books.holders) + events["node"][failed]
    above = parents(events, books.kinds)
    roots, root = _roots(run, failed, above)
    group, parent, own_label = _groups(above, label, root, len(roots))
    branches = [Branch(name) for name in roots]
    size, times = len(parent), events["time_us"][failed] / SECOND
    value = np.zeros(len(events["kind"]))
    value[run.tables["failures"]["event"]] = run.tables["failures"]["value"]
    sums = np.bincount(group, value[failed], size) * 10.0**-books.currency_decimals
    first, last = np.full(size, np.inf), np.zeros(size)
    np.minimum.at(first, group, times)
    np.maximum.at(last, group, times)
    low, high = np.full(size, len(failed)), np.zeros(size, np.int64)
    depth = events["generation"][failed]
    np.minimum.at(low, group, depth)
    np.maximum.at(high, group, depth)
    counts = np.bincount(group, minlength=size)
    for place in range(len(roots), size):
        kind, node = divmod(int(own_label[place]), len(books.holders))
        number = int(counts[place])
        branches.append(
            Branch(f"{books.holders[node]} {books.kinds[kind]}", number, float(sums[place]), float(first[place]),
                   float(last[place]), int(high[place] - low[place]) + 1, number)
        )  # fmt: skip
    return branches, parent


def _roots(run: Any, failed: Integers, above: Integers) -> tuple[list[str], Integers]:
    """Return the names of the shocks that set failures off, and for each failure without a parent which one it was."""
    events, books = run.tables["events"], run.books
    origin = origins(events, books.kinds)[events["cause"][failed]]
    shock = is_kind(events, books.kinds, "shock")[origin]
    names = [f"shock {books.holders[node]}" if hit else "the clock"
             for node, hit in zip(events["node"][origin].tolist(), shock.tolist(), strict=True)]  # fmt: skip
    found = list(dict.fromkeys(name for name, parent in zip(names, above.tolist(), strict=True) if parent < 0))
    place = {name: number for number, name in enumerate(found)}
    return found, np.array([place.get(name, -1) for name in names])


def _groups(above: Integers, label: Integers, root: Integers, roots: int) -> tuple[Integers, list[int], list[int]]:
    """Return the branch of every failure, and the branch above and the label of every branch.

    Failures are taken generation by generation: one whose parent's branch has the same label joins it, the others of
    one label under one branch found a new one. The first branches are the roots.
    """
    group, parent, own = np.full(len(above), -1), [-1] * roots, [-1] * roots
    width, known = int(label.max()) + 1, dict[int, int]()
    while (waiting := np.flatnonzero((group < 0) & ((above < 0) | (group[above] >= 0)))).size:
        over = np.where(above[waiting] < 0, root[waiting], group[above[waiting]])
        joins = np.array(own)[over] == label[waiting]
        group[waiting[joins]] = over[joins]
        keys, which = np.unique(over[~joins] * width + label[waiting[~joins]], return_inverse=True)
        for key in keys.tolist():
            if key not in known:
                known[key] = len(parent)
                parent.append(key // width)
                own.append(key % width)
        group[waiting[~joins]] = np.array([known[key] for key in keys.tolist()], np.int64)[which]
    return group, parent, own
