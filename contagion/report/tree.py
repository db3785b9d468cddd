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

from contagion.metrics.cascade import failures, origins, trigger_depths
from contagion.metrics.groups import rows_by_group
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
    count, value = groups.failures.copy(), groups.value.copy()
    for rows in reversed(rows_by_group(groups.depth, int(groups.depth.max(initial=-1)) + 1)[1:]):
        np.add.at(count, groups.parent[rows], count[rows])
        np.add.at(value, groups.parent[rows], value[rows])
    found: list[Branch] = []
    forest = _Forest(groups, count, value, most)
    forest.visit(-1, -1, run.books, found)
    return found


def _groups(run: Any) -> _Groups:
    """Return all branches: depth by depth, failures are grouped by the branch of what set them off, kind and node."""
    events, books = run.tables["events"], run.books
    failed = failures(events, books.kinds)
    stake = np.zeros(len(events["kind"]))
    stake[run.tables["failures"]["event"]] = run.tables["failures"]["value"] * 10.0**-books.currency_decimals
    above = origins(events, books.kinds)[events["cause"][failed]]
    is_root = np.zeros(len(events["kind"]), np.bool_)
    is_root[above] = True
    is_root[failed] = False
    roots = np.flatnonzero(is_root)
    kinds, nodes = len(books.kinds), len(books.holders) + 1
    key = events["kind"].astype(np.int64) * nodes + events["node"] + 1
    place, total, columns = np.full(len(events["kind"]), -1, np.int64), 0, []
    depths = trigger_depths(events, books.kinds)
    own = rows_by_group(depths, int(depths.max(initial=0)) + 1)
    for depth, rows in enumerate([roots, *(failed[rows] for rows in own[1:])]):
        parent = place[above[own[depth]]] if depth else np.full(len(rows), -1)
        wanted = (parent + 1) * kinds * nodes + key[rows]
        found, first, inverse = np.unique(wanted, return_index=True, return_inverse=True)
        place[rows] = total + inverse
        parents, what = np.divmod(found, kinds * nodes)
        counts = np.bincount(inverse, minlength=len(found)) if depth else np.zeros(len(found), np.int64)
        values = np.bincount(inverse, stake[rows], len(found)) if depth else np.zeros(len(found))
        columns.append((parents - 1, what, np.full(len(found), depth), events["time_us"][rows][first], counts, values))
        total += len(found)
    parents, what, deep, times, counts, values = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    kind, node = np.divmod(what, nodes)
    return _Groups(parents, kind, node - 1, deep, times, counts.astype(np.int64), values.astype(np.float64))


class _Forest:
    """Branches by their parents, the largest first, and which of them are shown."""

    def __init__(self, groups: _Groups, count: NDArray[np.int64], value: NDArray[np.float64], most: int) -> None:
        """Show the largest branches, none without the one above it; count, value : with all that followed."""
        self.groups, self.count, self.value = groups, count, value
        self._order = np.lexsort((np.arange(len(count)), -count, -value, groups.parent))
        self._ends = np.searchsorted(groups.parent[self._order], np.arange(-1, len(count)), side="right")
        self.shown: set[int] = set()
        waiting = [self._rank(place) for place in self.children(-1).tolist()]
        heapq.heapify(waiting)
        while waiting and len(self.shown) < most:
            _, _, place = heapq.heappop(waiting)
            self.shown.add(place)
            if groups.depth[place] < _DEEPEST:
                for child in self.children(place)[:most].tolist():
                    heapq.heappush(waiting, self._rank(child))

    def children(self, place: int) -> NDArray[np.int64]:
        """Return the branches below one, or the roots below -1, the largest first."""
        start = int(self._ends[place]) if place >= 0 else 0
        return self._order[start : int(self._ends[place + 1])]

    def visit(self, place: int, above: int, books: Any, found: list[Branch]) -> None:
        """Add the branches below a place, and one line for those that are not shown."""
        groups, below = self.groups, self.children(place)
        for child in below.tolist():
            if child not in self.shown:
                break  # the largest come first, and of two the larger is shown first
            node = int(groups.node[child])
            label = books.kinds[int(groups.kind[child])] + (f" of {books.holders[node]}" if node >= 0 else "")
            found.append(Branch(
                label, above, int(groups.depth[child]), int(groups.time[child]) / SECOND, int(groups.failures[child]),
                float(groups.value[child]), int(self.count[child]), float(self.value[child]),
            ))  # fmt: skip
            self.visit(child, len(found) - 1, books, found)
        hidden = below[sum(child in self.shown for child in below[: len(self.shown)].tolist()) :]
        if len(hidden):
            total, worth = int(self.count[hidden].sum()), float(self.value[hidden].sum())
            first, depth = int(groups.time[hidden].min()) / SECOND, int(groups.depth[hidden[0]])
            label = f"{len(hidden):,} smaller branch{'es' * (len(hidden) != 1)}"
            found.append(Branch(label, above, depth, first, total, worth, total, worth, len(hidden)))

    def _rank(self, place: int) -> tuple[float, int, int]:
        return -float(self.value[place]), -int(self.count[place]), place
