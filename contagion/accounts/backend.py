"""The arithmetic behind an index: by NumPy here, compiled in `compiled`, with the same bits.

Margins of a core are those of `rules.margins`: the same products and sums in the same order.
"""

from typing import NamedTuple, Protocol

import numpy as np

from contagion.accounts.book import CHUNK, AccountBook
from contagion.accounts.rules import CASH, COST, IDS, QUANTITY, Floats, Integers, added, all_ids, survey
from contagion.accounts.shells import ABSENT, FIXED, LOOSE, SIZE, SLOPE, Core, Shells
from contagion.accounts.singles import Members

NOTHING = np.zeros(0, np.int64)


class Remade(NamedTuple):
    """Shells made again.

    entries, ends : what the layers list from now on, and where each ends; breaches : who is in breach; loose : who
    still is; joined : who has come to a layer further out; evaluations : margins evaluated.
    """

    entries: Members
    ends: Integers
    breaches: Integers
    loose: Members
    joined: Members
    evaluations: int


class Backend(Protocol):
    """How margins are computed."""

    @property
    def nbytes(self) -> int:
        """Return the bytes of what is kept about accounts."""

    def survey(self, members: Members, padded: Floats) -> tuple[Floats, Floats]:
        """Return margin and survival radius of members."""

    def look(self, shells: Shells, prices: Floats) -> tuple[int, Integers]:
        """Return how many shells prices have outgrown and, if none, who is in breach; ValueError for no prices.

        Whose trigger was crossed or whose rows have changed is seen to before: who is not in the inmost shell becomes
        loose. All shells are outgrown when too many would.
        """

    def remake(self, shells: Shells, count: int, prices: Floats) -> Remade:
        """Sort the members of shell `count` by the `count` shells within, and find room for the loose.

        Who is loose joins the shells it must be in. Those in breach, about to change again, stay loose.
        """

    def fill(self, core: Core) -> None:
        """Read all columns of the core from the rows of its members."""


class NumpyBackend:
    """Margins by NumPy, in chunks that stay in cache.

    `_place` : by account, where in the core it is if it is there at all, else anything (Briggs and Torczon 1993).
    """

    def __init__(self, book: AccountBook) -> None:
        self.book, self._place = book, np.zeros(len(book), np.int32)
        self._slopes = np.concatenate((book.rules.tables.right, book.rules.tables.left))
        self._kinks = bool(np.isfinite(book.rules.tables.bound).any())

    @property
    def nbytes(self) -> int:
        """Return the bytes of what is kept about accounts."""
        return self._place.nbytes

    def survey(self, members: Members, padded: Floats) -> tuple[Floats, Floats]:
        """Return margin and survival radius of members."""
        margin, radius = np.empty(len(members)), np.empty(len(members))
        for at in range(0, len(members), CHUNK):
            part = slice(at, at + CHUNK)
            margin[part], radius[part] = survey(self.book.read(members[part]), padded, self.book.rules.tables)
        return margin, radius

    def look(self, shells: Shells, prices: Floats) -> tuple[int, Integers]:
        """Return how many shells prices have outgrown and, if none, who is in breach."""
        padded = self.book.rules.padded(prices)
        crossed, changed = shells.singles.crossed(prices), shells.changed()
        if len(crossed) or len(changed):
            if len(shells.core.loose) + len(crossed) + len(changed) > shells.limit:
                return len(shells.radii), NOTHING
            self._loosen(shells, crossed, changed)
        used = slice(shells.inmost, None)
        outside = (prices < shells.low[used]) | (prices > shells.high[used])
        if outside.any():
            return shells.inmost + 1 + int(np.flatnonzero(outside.any(axis=1))[-1]), NOTHING
        return 0, self._breaches(shells.core, padded)

    def remake(self, shells: Shells, count: int, prices: Floats) -> Remade:
        """Sort the members of shell `count` by the shells within, and find room for the loose."""
        loose, depth = shells.core.loose, shells.depth
        before = depth[loose] & ABSENT
        depth[loose] = before
        known = shells.within(count)
        known = known[np.diff(known, prepend=-1) > 0]
        beyond, before = loose[before > count], before[before > count]
        members = np.concatenate((known, beyond))
        margin, radius = self.survey(members, self.book.rules.padded(prices))
        breach, inside = margin < 0, len(known)
        level = np.searchsorted(shells.radii[:count], radius[:inside])
        again = np.minimum(np.searchsorted(shells.limits(count, prices), radius[inside:]), before)
        safe, again = ~breach[inside:], np.where(breach[inside:], before | LOOSE, again).astype(np.uint8)
        depth[known], depth[beyond] = level, again
        near, joined = safe & (again <= count), safe & (again > count)
        joined &= again < np.minimum(before, len(shells.radii))
        listed, level = np.concatenate((known, beyond[near])), np.concatenate((level, again[near]))
        return Remade(
            listed[level.argsort(kind="stable")], np.bincount(level, minlength=count + 1).cumsum(),
            members[breach].astype(np.int64), beyond[~safe], beyond[joined],
            len(members),
        )  # fmt: skip

    def fill(self, core: Core) -> None:
        """Read all columns of the core from the rows of its members."""
        self._fill(core, np.arange(core.size))

    def _loosen(self, shells: Shells, crossed: Members, changed: Members) -> None:
        """Make those loose who were touched outside the inmost shell, or crossed; read again who was touched in it."""
        core, depth = shells.core, shells.depth
        at: Integers = NOTHING
        if len(crossed):
            crossed = crossed[depth[crossed] == ABSENT]
            depth[crossed] |= LOOSE
        if len(changed):
            place, level = self._place.take(changed), depth.take(changed)
            at = place[(place < core.size) & (core.members.take(place, mode="clip") == changed)].astype(np.int64)
            changed = changed[(level > shells.inmost) & (level < LOOSE)]
        if len(changed):
            changed = np.unique(changed)
            depth[changed] |= LOOSE
        before, core.size = core.size, core.size + len(crossed) + len(changed)
        if core.size > before:
            core.make_room(core.size)
            core.members[before : before + len(crossed)] = crossed
            core.members[before + len(crossed) : core.size] = changed
            at = np.concatenate((at, np.arange(before, core.size)))
        self._fill(core, at)

    def _fill(self, core: Core, at: Integers) -> None:
        """Read the columns at some places of the core."""
        members, tables = core.members[at], self.book.rules.tables
        rows = self.book.read(members)
        ids, numbers = all_ids(rows), rows.T.astype(np.float64)
        cash, quantity, costs = numbers[CASH], numbers[QUANTITY:COST], numbers[COST:]
        np.multiply(cash, tables.loan, out=cash, where=cash < 0)
        added(cash, costs)
        costs[:] = self._slopes.take(ids + IDS * (quantity < 0))
        self._place[members], core.ids[:, at], core.numbers[:, at] = at, ids, numbers[CASH:]
        if self._kinks:
            core.bent[at] = np.any(np.abs(quantity * core.highest.take(ids)) > tables.bound.take(ids), axis=0)

    def _breaches(self, core: Core, padded: Floats) -> Integers:
        """Return the members of the core that are in breach."""
        numbers, bent = core.numbers[:, : core.size], core.bent[: core.size]
        parts = numbers[SIZE:SLOPE] * padded.take(core.ids[:, : core.size])
        parts *= numbers[SLOPE:]
        margin = added(numbers[FIXED] + parts[0], parts[1:])
        if self._kinks and bent.any():
            margin[bent] = self._bent_margins(core, np.flatnonzero(bent), padded)
        return core.members[: core.size][margin < 0].astype(np.int64)

    def _bent_margins(self, core: Core, at: Integers, padded: Floats) -> Floats:
        """Return the margins of those that may be beyond the first kink, by all lines."""
        ids, tables = core.ids[:, at], self.book.rules.tables
        notional = core.numbers[SIZE:SLOPE, at] * padded.take(ids)
        values = (tables.slopes[ids] * notional[:, :, None] + tables.intercepts[ids]).min(axis=2)
        return added(core.numbers[FIXED, at], values)
