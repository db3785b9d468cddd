"""Which rows of a table belong together: groups by small integers, found without sorting by value."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

_SPARSE = 8
"""Beyond so many possible keys a row, and a million, sorting the keys is cheaper than a table of all of them."""


def distinct(keys: NDArray[Any], size: int) -> tuple[Integers, Integers]:
    """Return the different keys, ascending, and the place of each row's key among them.

    keys : from 0 to below `size`.

    >>> distinct(np.array([7, 2, 7]), 9)
    (array([2, 7]), array([1, 0, 1]))
    """
    if size > _SPARSE * len(keys) + (1 << 20):
        found, places = np.unique(keys, return_inverse=True)
        return found.astype(np.int64), places
    present = np.zeros(size, np.bool_)
    present[keys] = True
    found = np.flatnonzero(present)
    place = np.zeros(size, np.int64)
    place[found] = np.arange(len(found))
    return found, place[keys]


def rows_by_group(groups: NDArray[Any], count: int) -> list[Integers]:
    """Return the rows of each group from 0 to below `count`, ascending.

    >>> rows_by_group(np.array([1, 0, 1]), 3)
    [array([1]), array([0, 2]), array([], dtype=int64)]
    """
    order = np.argsort(groups.astype(np.min_scalar_type(max(count, 1))), kind="stable")
    ends = np.cumsum(np.bincount(groups, minlength=count)).tolist()
    return [order[start:end] for start, end in zip([0, *ends], ends, strict=False)]


class Owners:
    """Everybody with a posting, a row each: holders and, where asked for, their members (the rest being -1)."""

    def __init__(self, holder: NDArray[Any], member: NDArray[Any], count: int) -> None:
        spans = np.zeros(count + 1, np.int64)
        np.maximum.at(spans, holder.astype(np.int64) + 1, member.astype(np.int64) + 2)
        self._starts = np.cumsum(spans)
        keys, self.rows = distinct(self._starts[holder] + member + 1, int(self._starts[-1]))
        self._keys = keys
        self.holders = np.searchsorted(self._starts, keys, side="right") - 1
        self.members = keys - self._starts[self.holders] - 1

    def __len__(self) -> int:
        return len(self.holders)

    def find(self, holder: NDArray[Any], member: NDArray[Any]) -> Integers:
        """Return the row of each (holder, member), -1 where there is none."""
        holder = np.where(holder < 0, 0, holder).astype(np.int64)
        known = member + 1 < np.diff(self._starts)[holder]
        keys = self._starts[holder] + member + 1
        at = np.minimum(np.searchsorted(self._keys, keys), max(len(self._keys) - 1, 0))
        return np.where(known & (self._keys[at] == keys), at, -1) if len(self._keys) else np.full(len(keys), -1)
