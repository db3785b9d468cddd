"""Which accounts are in breach now, without asking all of them: exactly what a full scan would answer.

**Nested shells**, the neighbour lists of molecular dynamics (Verlet 1967) on several scales, with price moves for
displacements. The survival radius of an account at prices P is a relative move of every price that it surely
survives (`rules.survey`). Shell k holds the accounts whose radius, at the prices P_k when it was made, was at most
s_k; s_0 < s_1 < ..., and beyond the last one is everybody. While prices are within s_k of P_k for every k from the
inmost one in use on, nobody outside that shell can be in breach: a look at new prices evaluates its members only.
When prices have left s_k, shells k..0 are made again out of shell k + 1. Only present prices are compared with P_k:
there is no path to remember, and nothing drifts. The inmost shell in use is the first that holds a few hundred.

An account is in shell k for all k from its *depth* on: one byte says where it is. Whoever is touched (trades, is
liquidated, ...) is *loose* unless it is in the inmost shell, and evaluated at every look until shells are made again;
then it joins the shells it must be in.

**Singles.** An account with a position in one asset only has one price at which it breaches, whatever
others do. These are sorted and cost nothing until the price gets there; then the account is loose.

All bounds are conservative by far more than rounding; what they cannot exclude is evaluated by the one margin
function that a full scan uses.
"""

from array import array
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.accounts.book import CHUNK, AccountBook
from contagion.accounts.core import SLACK, Backend, Core, NumpyBackend, moved
from contagion.accounts.rules import Floats, Integers
from contagion.accounts.singles import Singles, Triggers, triggers

Members = NDArray[np.int32]

RADII: Floats = 6.25e-5 * np.exp2(np.arange(14.0))
"""Of the shells, up to a half: survival radii mean nothing beyond 1."""
FEW = 500
"""An inmost shell with fewer accounts saves no time: to make it again costs more than to look at them."""
LOOSE = 0x80
"""Bit of a depth byte: evaluated at every look, although not in the inmost shell."""
ABSENT = 0x7F
"""Depth of an account that is in no shell: it has no position, or a trigger price."""


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
        self.book, self.backend = book, backend(book, compiled)
        self.radii, self.few = RADII, few
        self.evaluations = self.full_passes = 0
        self._core: Core = self.backend.core()
        self._depth = np.zeros(len(book), np.uint8)
        self._loose = array("i")
        self._joined: list[array[int]] = []
        self._rebuild_all(book.rules.padded(prices))
        book.listen(self.touch)

    def breaches(self, prices: Floats) -> Integers:
        """Return the members whose margin is below 0, in ascending order: `np.flatnonzero(margins(prices) < 0)`."""
        padded = self.book.rules.padded(prices)
        crossed = self._singles.crossed(padded)
        if crossed is not None:
            self._loosen(crossed[self._depth[crossed] == ABSENT])
        inmost = self._inmost
        outgrown = self.backend.outgrown(padded, self._references[inmost:], self.radii[inmost:])
        outgrown += inmost if outgrown else 0
        if outgrown == len(self.radii) or self._crowded:
            return self._rebuild_all(padded)
        return np.sort(self._rebuild(outgrown, padded) if outgrown else self._look(padded))

    @property
    def nbytes(self) -> int:
        """Return the bytes of all that is kept about accounts, beside the book."""
        owned = {id(shell.base): shell for shell in self._shells if shell.base is not None}
        arrays = [self._depth, *(shell.base for shell in owned.values()), *(s for s in self._shells if s.base is None)]
        lists = sum(len(joined) * joined.itemsize for joined in (self._loose, *self._joined))
        return sum(part.nbytes for part in arrays if part is not None) + lists + self._singles.nbytes

    def touch(self, members: NDArray[Any]) -> None:
        """Forget what is known about members whose rows have changed in any way; the book calls this by itself."""
        self._core.stale(members)
        depth = self._depth[members]
        if depth.max(initial=0) > self._inmost:
            self._loosen(np.unique(members[(depth > self._inmost) & (depth < LOOSE)]))

    def _loosen(self, members: NDArray[Any]) -> None:
        if len(members):
            self._depth[members] |= LOOSE
            _extend(self._loose, members)
            self._core.loaded = False

    def _look(self, padded: Floats) -> Integers:
        """Return who is in breach of the inmost shell and the loose, which together hold everybody who can be."""
        if not self._core.loaded:
            reach = (1 + self.radii[self._inmost]) / (1 - self.radii[self._inmost]) * SLACK
            self._core.load(np.concatenate((self._shell(self._inmost), _copy(self._loose))), padded, reach)
        self.evaluations += len(self._core)
        return self._core.breaches(padded)

    def _shell(self, k: int) -> Members:
        """Return the members of a shell."""
        if len(self._joined[k]):
            self._shells[k] = np.concatenate((self._shells[k], _copy(self._joined[k])))
            self._joined[k] = array("i")
        return self._shells[k]

    def _rebuild(self, count: int, padded: Floats) -> Integers:
        """Make the `count` innermost shells again out of the next one and the loose; return who is in breach."""
        loose, known = _copy(self._loose), self._shell(count)
        before = self._depth[loose] & ABSENT
        self._depth[loose] = before
        beyond = loose[before > count]
        candidates = np.concatenate((known, beyond)) if len(beyond) else known
        margin, radius = self.backend.survey(candidates, padded)
        self.evaluations += len(candidates)
        self._loose = array("i")
        inner, ends = self.backend.bucket(known, radius[: len(known)], self.radii[:count], self._depth)
        self._arrange(inner, ends, padded)
        if len(beyond):
            self._admit(beyond, margin[len(known) :], radius[len(known) :], padded)
        return candidates[margin < 0].astype(np.int64)

    def _admit(self, members: Members, margin: Floats, radius: Floats, padded: Floats) -> None:
        """Put loose accounts into the shells they must be in; those in breach, about to change again, stay loose.

        A shell whose prices P_k are a move d away serves up to a move s_k from there, which is at most
        (1 + s_k)(1 + d) - 1 from here; whose radius is larger need not be in it.
        """
        safe = margin >= 0
        self._loosen(members[~safe])
        members, before = members[safe], self._depth[members[safe]]
        if len(members):
            limits = ((1 + self.radii) * (1 + moved(self._references, padded[: self.book.rules.assets])) - 1) * SLACK
            depth = np.minimum(np.searchsorted(np.maximum.accumulate(limits), radius[safe]), before)
            self._depth[members] = depth
            for k in range(int(depth.min()), len(self.radii)):
                _extend(self._joined[k], members[(depth <= k) & (k < before)])
            self._crowded = sum(map(len, self._joined)) > len(self.book) + CHUNK

    def _arrange(self, inner: Members, ends: Integers, padded: Floats) -> None:
        """Make the innermost shells prefixes of one array in order of depth, which they are at one reference."""
        for k, end in enumerate(ends.tolist()):
            self._shells[k] = inner[:end]
            if self._joined[k]:
                self._joined[k] = array("i")
        self._inmost = min(int(np.searchsorted(ends, self.few)), len(ends) - 1)
        self._references[: len(ends)] = padded[: self._references.shape[1]]
        self._core.loaded = False

    def _rebuild_all(self, padded: Floats) -> Integers:
        """Look at everybody, sort singles by their triggers and the others into shells; return who is in breach."""
        count, levels = len(self.book), len(self.radii)
        self.evaluations += count
        self.full_passes += 1
        self._depth, self._loose = np.empty(count, np.uint8), array("i")
        self._shells, self._joined = [np.zeros(0, np.int32)] * levels, [array("i") for _ in range(levels)]
        self._references, self._crowded = np.empty((levels, self.book.rules.assets)), False
        found, single = [np.zeros(0, np.int64)], list[Triggers]()
        for at in range(0, count, CHUNK):
            block = self.book.rows[at : at + CHUNK]
            members = np.arange(at, at + len(block), dtype=np.int32)
            margin, radius = self.backend.survey(members, padded)
            depth = self._depth[at : at + CHUNK]
            depth[:] = np.searchsorted(self.radii, radius)
            alone, found_here = triggers(block, at, padded, self.book.rules.tables)
            depth[alone] = ABSENT
            single.append(found_here)
            found.append(np.flatnonzero(margin < 0) + at)
        self._singles = Singles(single)
        layers = [np.flatnonzero(self._depth == k).astype(np.int32) for k in range(levels)]
        self._arrange(np.concatenate(layers), np.cumsum([len(layer) for layer in layers]), padded)
        return np.concatenate(found)


def backend(book: AccountBook, compiled: bool | None) -> Backend:
    """Return compiled arithmetic if asked for, or if it may be and numba is installed; else NumPy's."""
    if compiled is False or (compiled is None and find_spec("numba") is None):
        return NumpyBackend(book)
    kernels = import_module("contagion.accounts.kernels")
    compiled_backend: Backend = kernels.CompiledBackend(book)
    return compiled_backend


def _copy(numbers: "array[int]") -> Members:
    return np.frombuffer(numbers, np.int32).copy() if len(numbers) else np.zeros(0, np.int32)


def _extend(numbers: "array[int]", members: NDArray[Any]) -> None:
    numbers.frombytes(members.astype(np.int32, copy=False).tobytes())
