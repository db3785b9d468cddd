"""Which accounts are in breach now, without asking all of them: exactly what a full scan would answer.

**Nested shells**, the neighbour lists of molecular dynamics (Verlet 1967) on several scales, with price moves for
displacements. The survival radius of an account at prices P is a relative move of every price that it surely
survives (`rules.survey`). Shell k holds the accounts whose radius, at the prices P_k when it was made, was at most
s_k; s_0 < s_1 < ..., and beyond the last one is everybody. While prices are within s_k of P_k for every k from the
inmost one in use on, nobody outside that shell can be in breach: a look at new prices evaluates its members only.
When prices have left s_k, shells k..0 are made again out of shell k + 1. Only present prices are compared with P_k:
there is no path to remember, and nothing drifts. The inmost shell in use is the first that holds a thousand or so.

An account is in shell k for all k from its *depth* on: one byte says where it is. Whoever is touched (trades, is
liquidated, ...) is *loose* unless it is in the inmost shell, and evaluated at every look until shells are made again;
then it joins the shells it must be in.

**Singles.** An account with a position in one asset only has one price at which it breaches, whatever
others do. These are sorted and cost nothing until the price gets there; then the account is loose.

All bounds are conservative by far more than rounding; what they cannot exclude is evaluated by the one margin
function that a full scan uses.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.accounts.backend import NOTHING, Backend, NumpyBackend
from contagion.accounts.book import CHUNK, AccountBook
from contagion.accounts.rules import Floats, Integers
from contagion.accounts.shells import ABSENT, Shells
from contagion.accounts.singles import Singles, Triggers, triggers

RADII: Floats = 6.25e-5 * np.exp2(np.arange(27) / 2)
"""Of the shells, up to a half: survival radii mean nothing beyond 1."""
FEW = 1400
"""An inmost shell with fewer accounts saves no time: to make it again costs more than to look at them."""


class LiquidationIndex:
    """The accounts of a book that are in breach (margin below 0) at any prices.

    prices : those of the first look, or near; compiled : use numba, by default when it is installed; few : see
    `FEW`, changes time only.
    evaluations : margins evaluated so far; full_passes : how often everybody's were.

    >>> from contagion.accounts import Rules
    >>> book = AccountBook.empty(2, Rules([[(0.75, 0.0), (1.25, 0.0)]]))
    >>> index = LiquidationIndex(book, np.array([1.0]))
    >>> book.column(0, "quantity").add(1, 100), book.column(0, "cash").add(1, -70)
    (True, True)
    >>> index.breaches(np.array([1.0])).tolist(), index.breaches(np.array([0.9])).tolist()
    ([], [1])
    """

    def __init__(self, book: AccountBook, prices: Floats, *, compiled: bool | None = None, few: int = FEW) -> None:
        self.book, self.backend, self.few = book, backend(book, compiled), few
        self.evaluations = self.full_passes = 0
        self._rebuild_all(prices)
        book.listen(self.touch)

    def breaches(self, prices: Floats) -> Integers:
        """Return the members whose margin is below 0, in ascending order: `np.flatnonzero(margins(prices) < 0)`."""
        shells = self._shells
        outgrown, found = (len(RADII), NOTHING) if shells.crowded else self.backend.look(shells, prices)
        if not outgrown:
            self.evaluations += shells.core.size
        elif outgrown < len(RADII):
            found = self._rebuild(outgrown, prices)
        else:
            found = self._rebuild_all(prices)
        found.sort()
        return found

    @property
    def nbytes(self) -> int:
        """Return the bytes of all that is kept about accounts, beside the book and the few that are looked at."""
        return self._shells.nbytes + self.backend.nbytes

    def touch(self, members: NDArray[Any]) -> None:
        """Forget what is known about members whose rows have changed in any way; the book calls this by itself."""
        self._shells.touch(members)

    def _rebuild(self, count: int, prices: Floats) -> Integers:
        """Make the `count` innermost shells again out of the next one and the loose; return who is in breach."""
        shells = self._shells
        made = self.backend.remake(shells, count, prices)
        self.evaluations += made.evaluations
        shells.arrange(made.entries, made.ends, count, prices, made.loose)
        shells.join(made.joined)
        self.backend.fill(shells.core)
        return made.breaches

    def _rebuild_all(self, prices: Floats) -> Integers:
        """Look at everybody, sort singles by their triggers and the others into shells; return who is in breach."""
        count, padded, tables = len(self.book), self.book.rules.padded(prices), self.book.rules.tables
        self.evaluations += count
        self.full_passes += 1
        depth, found, single = np.empty(count, np.uint8), [np.zeros(0, np.int64)], list[Triggers]()
        for at in range(0, count, CHUNK):
            block = self.book.rows[at : at + CHUNK]
            margin, radius = self.backend.survey(np.arange(at, at + len(block), dtype=np.int32), padded)
            alone, found_here = triggers(block, at, padded, tables)
            here = depth[at : at + CHUNK]
            here[:] = np.searchsorted(RADII, radius)
            here[alone] = ABSENT
            single.append(found_here)
            found.append(np.flatnonzero(margin < 0) + at)
        self._shells = Shells(depth, Singles(single), RADII, self.few, prices)
        self.backend.fill(self._shells.core)
        return np.concatenate(found)


def backend(book: AccountBook, compiled: bool | None) -> Backend:
    """Return compiled arithmetic if asked for, or if it may be and numba is installed; else NumPy's."""
    if compiled is False or (compiled is None and find_spec("numba") is None):
        return NumpyBackend(book)
    module = import_module("contagion.accounts.compiled")
    compiled_backend: Backend = module.CompiledBackend(book)
    return compiled_backend
