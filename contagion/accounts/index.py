"""Which accounts are in breach now, without asking all of them: exactly what a full scan would answer.

**Nested shells**, the neighbour lists of molecular dynamics (Verlet 1967; nested ones: Grest, Dünweg and Kremer
1989), with price moves for displacements. The survival radius of an account at prices P is a relative move of every
price that it surely survives (`rules.survey`). Shell k holds the accounts whose radius, at the prices P_k
when it was built, was at most s_k; s_0 < s_1 < ..., and the outermost shell is everybody. While prices are within
s_k of P_k for every k, nobody outside shell 0 can be in breach. So a look at new prices evaluates shell 0; where prices
have left s_k, shells k..0 are made again out of shell k + 1. Only present prices are compared with P_k: there is no
path to remember, and nothing drifts.

An account is in shell k for all k from its *depth* on: one byte says where it is. Whoever is touched (trades, is
liquidated, ...) is *loose* unless it is in shell 0, and evaluated at every look until shells are made again.

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
from contagion.accounts.core import Backend, Core, NumpyBackend
from contagion.accounts.rules import Floats, Integers
from contagion.accounts.singles import Singles, Triggers, triggers

Members = NDArray[np.int32]

SLACK = 1 + 1e-9
WIDEST = 0.5
"""No shell is wider: survival radii mean nothing beyond 1."""
LOOSE = 0x80
"""Bit of a depth byte: evaluated at every look, although not in shell 0."""
ABSENT = 0x7F
"""Depth of an account that is in no shell: it has no position, or a trigger price."""


class LiquidationIndex:
    """The accounts of a book that are in breach (margin below 0) at any prices.

    prices : those of the first look, or near; compiled : use numba, by default when it is installed; finest,
    ratio : radius of the innermost shell and of one shell over the next, which cost or save time only.
    evaluations : margins evaluated so far; full_passes : how often everybody's were.

    >>> from contagion.accounts import Rules
    >>> book = AccountBook.empty(2, Rules([[(0.75, 0.0), (1.25, 0.0)]]))
    >>> index = LiquidationIndex(book, np.array([1.0]))
    >>> book.column(0, "quantity").add(1, 100), book.column(0, "cash").add(1, -70)
    (True, True)
    >>> index.breaches(np.array([1.0])).tolist(), index.breaches(np.array([0.9])).tolist()
    ([], [1])
    """

    def __init__(
        self, book: AccountBook, prices: Floats, *, compiled: bool | None = None, finest: float = 1e-4,
        ratio: float = 2.5,
    ) -> None:  # fmt: skip
        assert 0 < finest < WIDEST / 2 and ratio > 1, "shells grow from a small one"
        self.book, self.backend = book, backend(book, compiled)
        self.radii = _ladder(finest, ratio)
        self.evaluations = self.full_passes = 0
        self._inner, self._outer = self.backend.core(), self.backend.core()
        self._depth = np.zeros(len(book), np.uint8)
        self._loose = array("i")
        self._joined: list[array[int]] = []
        self._rebuild_all(book.rules.padded(prices))
        book.listen(self.touch)

    def breaches(self, prices: Floats) -> Integers:
        """Return the members whose margin is below 0, in ascending order: `np.flatnonzero(margins(prices) < 0)`."""
        padded = self.book.rules.padded(prices)
        outgrown = self._outgrown(padded)
        if outgrown == len(self.radii) or self._crowded():
            return self._rebuild_all(padded)
        found = self._rebuild(outgrown, padded) if outgrown else self._look(self._inner, padded)
        crossed = self._singles.crossed(padded)
        if crossed is not None:
            self._loosen(crossed[self._depth[crossed] == ABSENT])
        if len(self._loose):
            found = np.concatenate((found, self._look(self._outer, padded)))
        return np.sort(found)

    def touch(self, members: NDArray[Any]) -> None:
        """Forget what is known about members whose rows have changed in any way; the book calls this by itself."""
        for core in (self._inner, self._outer):
            core.stale(members)
        depth = self._depth[members]
        if depth.any():
            self._loosen(np.unique(members[(depth > 0) & (depth < LOOSE)]))

    def _loosen(self, members: NDArray[Any]) -> None:
        if len(members):
            self._depth[members] |= LOOSE
            _extend(self._loose, members)
            self._outer.loaded = False

    def _outgrown(self, padded: Floats) -> int:
        """Return how many shells, from the innermost, prices have left."""
        left = np.flatnonzero(self.backend.moved(padded, self._references) * SLACK > self.radii)
        return int(left[-1]) + 1 if len(left) else 0

    def _crowded(self) -> bool:
        """Return whether so many accounts were touched that starting afresh saves memory."""
        return sum(map(len, self._joined)) + len(self._loose) > len(self.book) + CHUNK

    def _look(self, core: Core, padded: Floats) -> Integers:
        """Return who is in breach of shell 0 or of the loose, which together hold everybody who can be."""
        if not core.loaded:
            core.load(self._shell(0) if core is self._inner else _copy(self._loose), padded)
        self.evaluations += len(core)
        return core.breaches(padded)

    def _shell(self, k: int) -> Members:
        """Return the members of a shell."""
        if len(self._joined[k]):
            self._shells[k] = np.concatenate((self._shells[k], _copy(self._joined[k])))
            self._joined[k] = array("i")
        return self._shells[k]

    def _rebuild(self, count: int, padded: Floats) -> Integers:
        """Make the `count` innermost shells again out of the next one and the loose; return who is in breach."""
        loose, known = _copy(self._loose), self._shell(count)
        self._depth[loose] &= ABSENT
        candidates = np.concatenate((known, loose[self._depth[loose] > count]))
        margin, radius = self.backend.survey(candidates, padded)
        self.evaluations += len(candidates)
        depth = np.searchsorted(self._limits(count, padded), radius).astype(np.uint8)
        before = self._depth[candidates]
        for k in range(count, len(self.radii)):
            _extend(self._joined[k], candidates[(depth <= k) & (k < before)])
        depth = np.minimum(depth, np.maximum(before, count))
        self._depth[candidates] = depth
        self._loose = array("i")
        order = depth.argsort(kind="stable")
        ends = np.bincount(depth, minlength=count).cumsum()[:count]
        self._arrange(candidates[order[: ends[-1]]], ends, padded)
        return candidates[margin < 0].astype(np.int64)

    def _limits(self, count: int, padded: Floats) -> Floats:
        """Return by shell the radius, at present prices, beyond which an account need not be in it.

        s_k for those that are made now. A shell whose prices P_k are a move d away serves up to a move s_k from
        there, which is at most (1 + s_k)(1 + d) - 1 from here.
        """
        outer = self._references[count:]
        away = np.array([self.backend.moved(reference, padded[None])[0] for reference in outer])
        there = ((1 + self.radii[count:]) * (1 + away) - 1) * SLACK
        return np.maximum.accumulate(np.concatenate((self.radii[:count], there)))

    def _arrange(self, inner: Members, ends: Integers, padded: Floats) -> None:
        """Make the innermost shells prefixes of one array in order of depth, which they are at one reference."""
        for k, end in enumerate(ends.tolist()):
            self._shells[k], self._joined[k], self._references[k] = inner[:end], array("i"), padded
        self._inner.loaded = self._outer.loaded = False

    def _rebuild_all(self, padded: Floats) -> Integers:
        """Look at everybody, sort singles by their triggers and the others into shells; return who is in breach."""
        count, levels = len(self.book), len(self.radii)
        self.evaluations += count
        self.full_passes += 1
        self._depth, self._loose = np.empty(count, np.uint8), array("i")
        self._shells, self._joined = [np.zeros(0, np.int32)] * levels, [array("i")] * levels
        self._references = np.empty((levels, len(padded)))
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


def _ladder(finest: float, ratio: float) -> Floats:
    """Return radii from the finest up to the widest, each `ratio` times the one before, or nearly.

    >>> _ladder(0.01, 3).round(4).tolist()
    [0.01, 0.03, 0.09, 0.27]
    """
    steps = int(np.log(WIDEST / finest) / np.log(ratio) + 1e-9)
    return np.array([finest * ratio**step for step in range(steps + 1)])


def _copy(numbers: "array[int]") -> Members:
    return np.frombuffer(numbers, np.int32).copy() if len(numbers) else np.zeros(0, np.int32)


def _extend(numbers: "array[int]", members: NDArray[Any]) -> None:
    numbers.frombytes(members.astype(np.int32, copy=False).tobytes())
