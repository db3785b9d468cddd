"""The arithmetic of an index compiled with numba: the same operations in the same order, so the same bits.

No fast mathematics: LLVM may then neither reorder sums nor fuse a product into one. Imported only when used.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from contagion.accounts.book import AccountBook
from contagion.accounts.core import SLACK, Core, Members
from contagion.accounts.rules import CASH, COST, EMPTY, QUANTITY, ROUNDING, SLOTS, Floats, Integers

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

FAR_RIGHT, FAR_LEFT, RIGHT, LEFT, BOUND = range(5)
"""Columns of the near table; see `rules.Tables`."""


def _compiled(**options: Any) -> Callable[[Kernel], Kernel]:
    """Return a decorator that compiles, and keeps the result on disk wherever there is a place to keep it."""

    def compile_kernel(kernel: Kernel) -> Kernel:
        try:
            return cast(Kernel, numba.njit(cache=True, error_model="numpy", **options)(kernel))
        except RuntimeError:
            return cast(Kernel, numba.njit(error_model="numpy", **options)(kernel))

    return compile_kernel


@_compiled()
def _value(notional: float, asset: int, lines: Floats) -> float:
    """Return f of a value by all lines."""
    least: float = np.inf
    for line in range(lines.shape[1]):
        least = min(least, lines[asset, line, 0] * notional + lines[asset, line, 1])
    return least


@_compiled(inline="always")
def _base(rows: Integers, member: int, loan: float) -> float:
    """Return what no price changes of the margin of one row."""
    cash = float(rows[member, CASH])
    margin = cash * (loan if cash < 0 else 1.0)
    for slot in range(SLOTS):
        margin += float(rows[member, COST + slot])
    return margin


@_compiled()
def _bent_margin(rows: Integers, member: int, prices: Floats, lines: Floats, loan: float) -> float:
    """Return the margin of one row by all lines."""
    margin = _base(rows, member, loan)
    for slot in range(SLOTS):
        asset = (rows[member, 0] >> 8 * slot) & EMPTY
        margin += _value(float(rows[member, QUANTITY + slot]) * prices[asset], asset, lines)
    return margin


@_compiled(inline="always")
def _margin(rows: Integers, member: int, prices: Floats, near: Floats, lines: Floats, loan: float) -> float:
    """Return the margin of one row, without a branch unless a value lies beyond the first kink."""
    margin, packed, bent = _base(rows, member, loan), rows[member, 0], False
    for slot in range(SLOTS):
        asset = (packed >> 8 * slot) & EMPTY
        notional = float(rows[member, QUANTITY + slot]) * prices[asset]
        right, left = near[asset, RIGHT] * notional, near[asset, LEFT] * notional
        margin += right if right < left else left
        bent |= abs(notional) > near[asset, BOUND]
    return _bent_margin(rows, member, prices, lines, loan) if bent else margin


@_compiled()
def _radius(rows: Integers, member: int, margin: float, prices: Floats, near: Floats) -> float:
    """Return the survival radius of one row (`rules.survey`)."""
    size, weight, held = abs(float(rows[member, CASH])), 0.0, False
    for slot in range(SLOTS):
        size += abs(float(rows[member, COST + slot]))
    for slot in range(SLOTS):
        quantity = rows[member, QUANTITY + slot]
        if quantity != 0:
            held = True
            asset = (rows[member, 0] >> 8 * slot) & EMPTY
            notional = float(quantity) * prices[asset]
            if 2 * abs(notional) > near[asset, BOUND]:
                weight += abs(notional) * near[asset, FAR_LEFT if notional < 0 else FAR_RIGHT]
            else:
                weight += abs(min(near[asset, RIGHT] * notional, near[asset, LEFT] * notional))
    if weight > 0:
        radius = (margin - ROUNDING * size) / weight
    elif margin < 0:
        radius = -1.0
    else:
        radius = 1.0 if held else np.inf
    radius -= 3 * ROUNDING
    return min(radius, 1.0) if held else radius


@_compiled()
def survey(
    rows: Integers, members: Members, prices: Floats, near: Floats, lines: Floats, loan: float, margins: Floats,
    radii: Floats,
) -> None:  # fmt: skip
    """Fill in margin and survival radius of members."""
    for i in range(len(members)):
        margins[i] = _margin(rows, members[i], prices, near, lines, loan)
        radii[i] = _radius(rows, members[i], margins[i], prices, near)


@_compiled()
def breaches(
    rows: Integers, members: Members, prices: Floats, near: Floats, lines: Floats, loan: float, found: Integers
) -> int:
    """Put the members in breach into `found` and return their number."""
    count = 0
    for i in range(len(members)):
        if _margin(rows, members[i], prices, near, lines, loan) < 0:
            found[count] = members[i]
            count += 1
    return count


@_compiled()
def bucket(
    members: Members, radius: Floats, radii: Floats, depth: NDArray[np.uint8], inner: Members, ends: Integers
) -> None:
    """Fill in depths, the members within the last radius in order of depth, and ends (`core.Backend`)."""
    count = len(radii)
    ends[:] = 0
    for i in range(len(members)):
        level = 0
        while level < count and radius[i] > radii[level]:
            level += 1
        depth[i] = level
        ends[level] += 1
    start = 0
    for level in range(count + 1):
        start, ends[level] = start + ends[level], start
    for i in range(len(members)):
        if depth[i] < count:
            inner[ends[depth[i]]] = members[i]
            ends[depth[i]] += 1


@_compiled()
def outgrown(prices: Floats, references: Floats, radii: Floats) -> int:
    """Return how many rows, from the first, of references are no longer within their radius of prices."""
    for k in range(len(radii) - 1, -1, -1):
        for asset in range(references.shape[1]):
            now, then = prices[asset], references[k, asset]
            if now != then and not abs(now / then - 1.0) * SLACK <= radii[k]:
                return k + 1
    return 0


class CompiledBackend:
    """Margins by compiled code."""

    def __init__(self, book: AccountBook) -> None:
        tables = book.rules.tables
        near = np.stack([tables.far_right, tables.far_left, tables.right, tables.left, tables.bound], axis=1)
        lines = np.stack([tables.slopes, tables.intercepts], axis=2)
        self.tables = (np.ascontiguousarray(near), np.ascontiguousarray(lines), tables.loan)
        self.rows = book.rows

    def core(self) -> Core:
        """Return an empty core."""
        return CompiledCore(self)

    def survey(self, members: Members, padded: Floats) -> tuple[Floats, Floats]:
        """Return margin and survival radius of members."""
        margins, radii = np.empty(len(members)), np.empty(len(members))
        survey(self.rows, members, padded, *self.tables, margins, radii)
        return margins, radii

    def bucket(self, members: Members, radius: Floats, radii: Floats) -> tuple[NDArray[np.uint8], Members, Integers]:
        """Return depths, the members within the last radius in order of depth, and ends (see `core.Backend`)."""
        depth, inner = np.empty(len(members), np.uint8), np.empty(len(members), np.int32)
        ends = np.empty(len(radii) + 1, np.int64)
        bucket(members, radius, radii, depth, inner, ends)
        return depth, inner[: ends[-2]].copy(), ends[:-1]

    def outgrown(self, padded: Floats, references: Floats, radii: Floats) -> int:
        """Return how many rows, from the first, of references are no longer within their radius of prices."""
        left: int = outgrown(padded, references, radii)
        return left


class CompiledCore:
    """A list of members; their rows are read where they are."""

    def __init__(self, backend: CompiledBackend) -> None:
        self.backend, self.loaded = backend, False
        self.members = np.zeros(0, np.int32)

    def __len__(self) -> int:
        return len(self.members)

    def load(self, members: Members, padded: Floats, reach: float) -> None:
        """Take these members instead of those there were."""
        self.members, self.loaded = np.sort(members), True
        self._found = np.empty(len(members), np.int64)

    def stale(self, members: NDArray[Any]) -> None:
        """Nothing is kept of rows, so nothing can be out of date."""

    def breaches(self, padded: Floats) -> Integers:
        """Return the members in breach, in ascending order."""
        count = breaches(self.backend.rows, self.members, padded, *self.backend.tables, self._found)
        return self._found[:count].copy()
