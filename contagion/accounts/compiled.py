"""The arithmetic of an index by compiled code (`kernels`), for a book; imported only when numba is there and wanted."""

import numpy as np

from contagion.accounts.backend import Remade
from contagion.accounts.book import AccountBook
from contagion.accounts.kernels import PRICES, ROOM, fill, look, remake, survey
from contagion.accounts.rules import Floats, Integers
from contagion.accounts.shells import Core, Shells
from contagion.accounts.singles import Members


class CompiledBackend:
    """Margins by compiled code."""

    def __init__(self, book: AccountBook) -> None:
        tables = book.rules.tables
        self.book, self.rows, self.loan = book, book.rows, tables.loan
        self.assets = np.stack(tables[:5], axis=1)
        self.lines = np.stack((tables.slopes, tables.intercepts))
        self._table = np.empty(0, np.int32)

    @property
    def nbytes(self) -> int:
        """Return the bytes of what is kept about accounts."""
        return 0

    def survey(self, members: Members, padded: Floats) -> tuple[Floats, Floats]:
        """Return margin and survival radius of members."""
        margins, radii = np.empty(len(members)), np.empty(len(members))
        survey(self.rows, members, padded, self.assets, self.lines, self.loan, margins, radii)
        return margins, radii

    def look(self, shells: Shells, prices: Floats) -> tuple[int, Integers]:
        """Return how many shells prices have outgrown and, if none, who is in breach."""
        core, singles, outgrown = shells.core, shells.singles, ROOM
        prices = np.ascontiguousarray(prices, np.float64)
        if len(prices) != self.book.rules.assets:
            self.book.rules.padded(prices)
        changed = shells.changed()
        while outgrown == ROOM:
            outgrown, size, count = look(
                prices, singles.price, singles.member, singles.span, shells.depth, shells.low, shells.high,
                shells.inmost, changed, shells.limit, core.inner, core.size, core.members, core.ids, core.numbers,
                core.bent, core.highest, self._table, core.found, self.rows, self.assets, self.lines, self.loan,
            )  # fmt: skip
            if outgrown == ROOM:
                core.make_room(size)
                self.fill(core)
        if outgrown == PRICES:
            shells.touch(changed)
            self.book.rules.padded(prices)
        core.size = size
        return outgrown, core.found[:count].copy()

    def remake(self, shells: Shells, count: int, prices: Floats) -> Remade:
        """Sort the members of shell `count` by the shells within, and find room for the loose."""
        return Remade(
            *remake(
                shells.within(count), shells.core.loose, shells.depth, shells.radii[:count],
                shells.limits(count, prices), self.book.rules.padded(prices), self.rows, self.assets, self.lines,
                self.loan,
            )
        )  # fmt: skip

    def fill(self, core: Core) -> None:
        """Read all columns of the core from the rows of its members."""
        if len(self._table) != 4 * len(core.members):
            self._table = np.empty(4 * len(core.members), np.int32)
        self._table.fill(-1)
        fill(
            self.rows, self.assets, self.loan, 0, core.size, core.members, core.ids, core.numbers, core.bent,
            core.highest, self._table,
        )  # fmt: skip
