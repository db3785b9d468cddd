"""The arithmetic of an index compiled with numba: the same operations in the same order, so the same bits.

No fast mathematics: LLVM may then neither reorder sums nor fuse a product into one. Imported only when used. Compiled
code is kept between runs and made again when this file changes; who changes a constant that comes from `rules` or
`core` has to touch this file too.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from contagion.accounts.book import AccountBook
from contagion.accounts.core import SLACK, Core, Depths, Members
from contagion.accounts.rules import CASH, COST, EMPTY, QUANTITY, ROUNDING, SLOTS, WIDTH, Floats, Integers

AHEAD = 32
"""Rows that are on their way through the memory at once."""

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def _compiled(**options: Any) -> Callable[[Kernel], Kernel]:
    """Return a decorator that compiles, and keeps the result on disk wherever there is a place to keep it."""

    def compile_kernel(kernel: Kernel) -> Kernel:
        try:
            return cast(Kernel, numba.njit(cache=True, error_model="numpy", **options)(kernel))
        except RuntimeError:
            return cast(Kernel, numba.njit(error_model="numpy", **options)(kernel))

    return compile_kernel


@_compiled()
def _bent_value(notional: float, asset: int, slopes: Floats, intercepts: Floats) -> float:
    """Return f of a value by all lines."""
    least: float = np.inf
    for line in range(slopes.shape[1]):
        least = min(least, slopes[asset, line] * notional + intercepts[asset, line])
    return least


@_compiled()
def _bent_margin(
    rows: Integers, member: Any, fixed: float, prices: Floats, slopes: Floats, intercepts: Floats
) -> float:
    """Return the margin of one row by all lines."""
    margin = fixed
    for slot in range(SLOTS):
        asset = (rows[member, 0] >> 8 * slot) & EMPTY
        margin += _bent_value(float(rows[member, QUANTITY + slot]) * prices[asset], asset, slopes, intercepts)
    return margin


@_compiled()
def _bent_weight(
    rows: Integers, member: Any, prices: Floats, right: Floats, left: Floats, bound: Floats, far_right: Floats,
    far_left: Floats,
) -> float:  # fmt: skip
    """Return the sum of |steepest slope * value| of one row whose values come near a kink or lie beyond it."""
    weight = 0.0
    for slot in range(SLOTS):
        asset = (rows[member, 0] >> 8 * slot) & EMPTY
        notional = float(rows[member, QUANTITY + slot]) * prices[asset]
        if 2 * abs(notional) > bound[asset]:
            weight += (far_left[asset] if notional < 0 else far_right[asset]) * abs(notional)
        else:
            weight += abs(min(right[asset] * notional, left[asset] * notional))
    return weight


@_compiled()
def breaches(
    rows: Integers, members: Members, prices: Floats, right: Floats, left: Floats, bound: Floats, far_right: Floats,
    far_left: Floats, slopes: Floats, intercepts: Floats, loan: float, found: Integers,
) -> int:  # fmt: skip
    """Put the members in breach into `found` and return their number."""
    count = 0
    for i in range(len(members)):
        member = np.uint64(members[i])
        cash, packed, bent = float(rows[member, CASH]), rows[member, 0], False
        fixed = cash * (loan if cash < 0 else 1.0)
        for slot in range(SLOTS):
            fixed += float(rows[member, COST + slot])
        margin = fixed
        for slot in range(SLOTS):
            asset = (packed >> 8 * slot) & EMPTY
            notional = float(rows[member, QUANTITY + slot]) * prices[asset]
            long, short = right[asset] * notional, left[asset] * notional
            margin += long if long < short else short
            bent |= abs(notional) > bound[asset]
        if bent:
            margin = _bent_margin(rows, member, fixed, prices, slopes, intercepts)
        if margin < 0:
            found[count] = members[i]
            count += 1
    return count


@_compiled()
def survey(
    rows: Integers, members: Members, prices: Floats, right: Floats, left: Floats, bound: Floats, far_right: Floats,
    far_left: Floats, slopes: Floats, intercepts: Floats, loan: float, margins: Floats, radii: Floats,
) -> int:  # fmt: skip
    """Fill in margin and survival radius of members (`rules.survey`); return nothing of interest.

    Rows are far apart in memory. Both ends of the next AHEAD are read before the first is needed, so that
    their ways through the memory overlap; what was read has to be returned, or the compiler leaves it out.
    """
    fetched = 0
    for i in range(len(members)):
        if i % AHEAD == 0:
            for k in range(i, min(i + AHEAD, len(members))):
                fetched ^= rows[np.uint64(members[k]), 0] ^ rows[np.uint64(members[k]), WIDTH - 1]
        member = np.uint64(members[i])
        cash, packed, bent, held = float(rows[member, CASH]), rows[member, 0], False, False
        fixed, size, weight = cash * (loan if cash < 0 else 1.0), abs(cash), 0.0
        for slot in range(SLOTS):
            cost = float(rows[member, COST + slot])
            fixed += cost
            size += abs(cost)
        margin = fixed
        for slot in range(SLOTS):
            asset = (packed >> 8 * slot) & EMPTY
            quantity = float(rows[member, QUANTITY + slot])
            notional = quantity * prices[asset]
            long, short = right[asset] * notional, left[asset] * notional
            value = long if long < short else short
            margin += value
            weight += abs(value)
            bent |= 2 * abs(notional) > bound[asset]
            held |= quantity != 0
        if bent:
            margin = _bent_margin(rows, member, fixed, prices, slopes, intercepts)
            weight = _bent_weight(rows, member, prices, right, left, bound, far_right, far_left)
        radius = (margin - ROUNDING * size) / (weight if weight > 0 else 1.0) - 3 * ROUNDING
        if weight == 0:
            radius = -1.0 if margin < 0 else 1.0 if held else np.inf
        margins[i], radii[i] = margin, min(radius, 1.0) if held else radius
    return fetched


@_compiled()
def bucket(
    members: Members, radius: Floats, radii: Floats, depths: Depths, depth: Depths, inner: Members, ends: Integers
) -> None:
    """Fill in depths, the members within the last radius in order of depth, and ends (`core.Backend`)."""
    count = len(radii)
    ends[:] = 0
    for i in range(len(members)):
        level = 0
        for k in range(count):
            level += radius[i] > radii[k]
        depth[i] = depths[members[i]] = level
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
        self.tables = book.rules.tables
        self.rows = book.rows

    def core(self) -> Core:
        """Return an empty core."""
        return CompiledCore(self)

    def survey(self, members: Members, padded: Floats) -> tuple[Floats, Floats]:
        """Return margin and survival radius of members."""
        margins, radii = np.empty(len(members)), np.empty(len(members))
        survey(self.rows, members, padded, *self.tables, margins, radii)
        return margins, radii

    def bucket(self, members: Members, radius: Floats, radii: Floats, depths: Depths) -> tuple[Members, Integers]:
        """Put down depths; return the members within the last radius in order of depth, and ends (`core.Backend`)."""
        depth, inner = np.empty(len(members), np.uint8), np.empty(len(members), np.int32)
        ends = np.empty(len(radii) + 1, np.int64)
        bucket(members, radius, radii, depths, depth, inner, ends)
        return inner[: ends[-2]].copy(), ends[:-1]

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
