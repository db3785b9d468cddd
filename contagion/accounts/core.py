"""The few accounts that are looked at at every price, laid out for NumPy; and the arithmetic behind an index.

`Core` keeps what does not change between looks (cash and costs, one slope a slot) by column, so that a look is a
dozen calls. Its margins are those of `rules.margins`, bit for bit: the same products and sums in the same order.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from contagion.accounts.book import CHUNK, AccountBook
from contagion.accounts.rules import QUANTITY, SLOTS, Floats, Integers, added, all_ids, base, survey

Members = NDArray[np.int32]
Depths = NDArray[np.uint8]

SLACK = 1 + 1e-9
"""What bounds are widened by, far more than what rounding can do to them."""


class Core(Protocol):
    """A list of members whose margins are evaluated at every look."""

    loaded: bool

    def __len__(self) -> int:
        """Return how many members are evaluated."""

    def load(self, members: Members, padded: Floats, reach: float) -> None:
        """Take these members, each once, instead of those there were; `reach` : how much prices may grow meanwhile."""

    def stale(self, members: NDArray[Any]) -> None:
        """Note that rows of members, in the core or not, have changed."""

    def breaches(self, padded: Floats) -> Integers:
        """Return the members in breach, in ascending order."""


class Backend(Protocol):
    """How margins are computed: by NumPy or by compiled code, with the same bits."""

    def core(self) -> Core:
        """Return an empty core."""

    def survey(self, members: Members, padded: Floats) -> tuple[Floats, Floats]:
        """Return margin and survival radius of members."""

    def bucket(self, members: Members, radius: Floats, radii: Floats, depths: Depths) -> tuple[Members, Integers]:
        """Put into `depths` how many radii are below a member's own; return those within the last, and ends.

        The members are in order of depth; ends : by radius, how many of these members are not beyond it.
        """

    def outgrown(self, padded: Floats, references: Floats, radii: Floats) -> int:
        """Return how many rows, from the first, of references are no longer within their radius of prices."""


class NumpyBackend:
    """Margins by NumPy, in chunks that stay in cache."""

    def __init__(self, book: AccountBook) -> None:
        self.book = book

    def core(self) -> Core:
        """Return an empty core."""
        return NumpyCore(self.book)

    def survey(self, members: Members, padded: Floats) -> tuple[Floats, Floats]:
        """Return margin and survival radius of members."""
        margin, radius = np.empty(len(members)), np.empty(len(members))
        for at in range(0, len(members), CHUNK):
            part = slice(at, at + CHUNK)
            margin[part], radius[part] = survey(self.book.read(members[part]), padded, self.book.rules.tables)
        return margin, radius

    def bucket(self, members: Members, radius: Floats, radii: Floats, depths: Depths) -> tuple[Members, Integers]:
        """Put down depths; return the members within the last radius in order of depth, and ends (see `Backend`)."""
        depth = np.searchsorted(radii, radius).astype(np.uint8)
        depths[members] = depth
        ends = np.bincount(depth, minlength=len(radii)).cumsum()[: len(radii)]
        return members[depth.argsort(kind="stable")[: ends[-1]]], ends

    def outgrown(self, padded: Floats, references: Floats, radii: Floats) -> int:
        """Return how many rows, from the first, of references are no longer within their radius of prices."""
        left = np.flatnonzero(moved(padded[: references.shape[1]], references) * SLACK > radii)
        return int(left[-1]) + 1 if len(left) else 0


def moved(padded: Floats, references: Floats) -> Floats:
    """Return by row of references the largest relative move of a price; infinite for one that was 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = np.abs(padded / references - 1.0)
    most: Floats = np.fmax.reduce(moves, axis=1, initial=0.0)
    return most


class NumpyCore:
    """Members by column: asset numbers, quantities and slopes of shape (slots, n), and cash with costs."""

    def __init__(self, book: AccountBook) -> None:
        self.book, self.loaded = book, False
        self.members = np.zeros(0, np.int32)
        self._stale: list[NDArray[Any]] = []

    def __len__(self) -> int:
        return len(self.members)

    def load(self, members: Members, padded: Floats, reach: float) -> None:
        """Take these members instead of those there were."""
        self.members, self.loaded, self._highest = np.sort(members), True, padded * reach
        self._stale.clear()
        self._ids, self._quantity, self._slope, self._base, self._bends = self._columns(self.members)
        self._notice_bends()

    def stale(self, members: NDArray[Any]) -> None:
        """Note that rows of members have changed; they are read again at the next look."""
        if self.loaded and len(self.members):
            self._stale.append(members)

    def breaches(self, padded: Floats) -> Integers:
        """Return the members in breach, in ascending order."""
        if self._stale:
            self._reload()
        parts = self._quantity * padded.take(self._ids)
        parts *= self._slope
        margin = added(self._base + parts[0], parts[1:])
        if len(self._bent):
            margin[self._bent] = self._bent_margins(padded)
        found: Integers = self.members[margin < 0].astype(np.int64)
        return found

    def _bent_margins(self, padded: Floats) -> Floats:
        """Return the margins of those that may be beyond the first kink, by all lines."""
        notional = self._quantity[:, self._bent] * padded.take(self._ids[:, self._bent])
        values = (self._slopes * notional + self._intercepts).min(axis=0)
        return added(self._base[self._bent], values)

    def _reload(self) -> None:
        changed = np.unique(np.concatenate(self._stale))
        self._stale.clear()
        at = np.searchsorted(self.members, changed)
        at = at[self.members.take(at, mode="clip") == changed]
        if len(at):
            parts = self._columns(self.members[at])
            self._ids[:, at], self._quantity[:, at], self._slope[:, at], self._base[at], self._bends[at] = parts
            self._notice_bends()

    def _columns(self, members: Members) -> tuple[Integers, Floats, Floats, Floats, NDArray[np.bool_]]:
        rows, tables = self.book.read(members), self.book.rules.tables
        ids = all_ids(rows)
        quantity = rows.T[QUANTITY : QUANTITY + SLOTS].astype(np.float64)
        slope = np.where(quantity < 0, tables.left.take(ids), tables.right.take(ids))
        bends = np.any(np.abs(quantity * self._highest.take(ids)) > tables.bound.take(ids), axis=0)
        return ids, quantity, slope, base(rows, tables.loan), bends

    def _notice_bends(self) -> None:
        self._bent = np.flatnonzero(self._bends)
        if len(self._bent):
            tables, ids = self.book.rules.tables, self._ids[:, self._bent]
            self._slopes = np.moveaxis(tables.slopes[ids], -1, 0).copy()
            self._intercepts = np.moveaxis(tables.intercepts[ids], -1, 0).copy()
