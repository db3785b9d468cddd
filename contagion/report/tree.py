"""The causal tree of failures: branches are failures of one kind at one node that one branch set off.

A failure hangs below the nearest failure or shock among its causes. All failures of one kind at one node below the
same branch are one branch, so that a million liquidations of a crowd are a few lines; what a branch set off, in all,
is counted on it. The largest branches come first, and beyond some hundreds the rest of each branch is one line, so
that the sizes of what is shown still add up.
"""

import heapq
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.metrics.cascade import failures, origins
from contagion.units import SECOND

MOST = 300
"""Branches that are shown by themselves."""
_DEEPEST = 40


class Branch(NamedTuple):
    """Failures of one kind at one node: how many and what was at stake, and the same with all that followed.

    rest : how many branches this line stands for, 0 for one by itself; parent : the place of the branch above, -1 for
    a shock or the clock.
    """

    label: str
    parent: int
    depth: int
    seconds: float
    failures: int
    value: float
    all_failures: int
    all_value: float
    rest: int = 0


class _Groups(NamedTuple):
    """All branches as columns; roots come first, and a branch after its parent."""

    parent: NDArray[np.int64]
    kind: NDArray[np.int64]
    node: NDArray[np.int64]
    depth: NDArray[np.int64]
    time: NDArray[np.int64]
    failures: NDArray[np.int64]
    value: NDArray[np.float64]


def branches(run: Any, most: int = MOST) -> list[Branch]:
    """Return the branches to show, each after its parent, siblings by size."""
    groups = _groups(run)
    if not len(groups.parent):
        return []
    count, value = groups.failures.copy(), groups.value.copy()
    for depth in range(int(groups.depth.max()), 0, -1):
        rows = np.flatnonzero(groups.depth == depth)
        np.add.at(count, groups.parent[rows], count[rows])
        np.add.at(value, groups.parent[rows], value[rows])
    children: list[list[int]] = [[] for _ in range(len(groups.parent) + 1)]
    for place in sorted(range(len(groups.parent)), key=lambda k: (-value[k], -count[k], k)):
        children[int(groups.parent[place])].append(place)
    shown = _largest(children, value, count, groups.depth, most)
    found: list[Branch] = []
    _visit(-1, -1, children, shown, (groups, count, value, run), found)
    return found


def _groups(run: Any) -> _Groups:
    events, books = run.tables["events"], run.books
    failed = failures(events, books.kinds)
    stake = np.zeros(len(events["kind"]))
    stake[run.tables["failures"]["event"]] = run.tables["failures"]["value"] * 10.0**-books.currency_decimals
    above = origins(events, books.kinds)[events["cause"][failed]]
    place = np.full(len(events["kind"]), -1, np.int64)
    roots = np.setdiff1d(above, failed)
    kinds, nodes = len(books.kinds), len(books.holders) + 1
    key = events["kind"].astype(np.int64) * nodes + events["node"] + 1
    found, first, inverse = np.unique(key[roots], return_index=True, return_inverse=True)
    place[roots] = inverse
    none = np.zeros(len(found))
    columns = [_rows(np.full(len(found), -1), found, 0, events["time_us"][roots][first], none, none)]
    waiting, total, depth = np.argsort(failed, kind="stable"), len(found), 0
    while len(waiting):
        ready = place[above[waiting]] >= 0
        rows, waiting, depth = failed[waiting[ready]], waiting[~ready], depth + 1
        parent = place[above[np.searchsorted(failed, rows)]]
        found, first, inverse = np.unique(parent * kinds * nodes + key[rows], return_index=True, return_inverse=True)
        place[rows] = total + inverse
        counts, values = np.bincount(inverse), np.bincount(inverse, stake[rows])
        own, what = np.divmod(found, kinds * nodes)
        columns.append(_rows(own, what, depth, events["time_us"][rows][first], counts, values))
        total += len(found)
    parent, what, depths, times, counts, values = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    kind, node = np.divmod(what, nodes)
    return _Groups(parent, kind, node - 1, depths, times, counts.astype(np.int64), values.astype(np.float64))


def _rows(parent: Any, what: Any, depth: int, times: Any, counts: Any, values: Any) -> tuple[Any, ...]:
    return parent, what, np.full(len(what), depth), times, counts, values


def _largest(children: list[list[int]], value: Any, count: Any, depth: Any, most: int) -> set[int]:
    """Return the branches to show: the largest first, none without the one above it."""
    shown: set[int] = set()
    waiting = [(-value[k], -count[k], k) for k in children[-1]]
    heapq.heapify(waiting)
    while waiting and len(shown) < most:
        _, _, place = heapq.heappop(waiting)
        shown.add(place)
        if depth[place] < _DEEPEST:
            for child in children[place]:
                heapq.heappush(waiting, (-value[child], -count[child], child))
    return shown


def _visit(
    place: int,
    above: int,
    children: list[list[int]],
    shown: set[int],
    facts: tuple[_Groups, Any, Any, Any],
    found: list[Branch],
) -> None:
    """Add the branches below a place, and one line for those that are not shown."""
    groups, count, value, run = facts
    hidden = [child for child in children[place] if child not in shown]
    for child in children[place]:
        if child in shown:
            node = int(groups.node[child])
            label = run.books.kinds[int(groups.kind[child])] + (f" of {run.books.holders[node]}" if node >= 0 else "")
            found.append(Branch(
                label, above, int(groups.depth[child]), int(groups.time[child]) / SECOND, int(groups.failures[child]),
                float(groups.value[child]), int(count[child]), float(value[child]),
            ))  # fmt: skip
            _visit(child, len(found) - 1, children, shown, facts, found)
    if hidden:
        total, worth = int(count[hidden].sum()), float(value[hidden].sum())
        first = int(groups.time[hidden].min()) / SECOND
        depth = int(groups.depth[hidden[0]])
        label = f"{len(hidden):,} smaller branch{'es' * (len(hidden) != 1)}"
        found.append(Branch(label, above, depth, first, total, worth, total, worth, len(hidden)))
