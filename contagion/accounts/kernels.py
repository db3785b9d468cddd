"""The arithmetic of an index compiled with numba: the same operations in the same order, so the same bits.

No fast mathematics: LLVM may then neither reorder sums nor fuse a product into one. Imported only when used.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from contagion.accounts.book import AccountBook
from contagion.accounts.core import Core, Members
from contagion.accounts.rules import CASH, COST, EMPTY, QUANTITY, ROUNDING, SLOTS, Floats, Integers, Tables

compiled = numba.njit(cache=True, fastmath=False, error_model="numpy", nogil=True)


@compiled
def value(notional: float, asset: int, tables: Tables) -> float:
    """Return f of a value: the lesser of two slopes or, beyond the first kink, the least of all lines."""
    if abs(notional) <= tables.bound[asset]:
        inside: float = min(tables.right[asset] * notional, tables.left[asset] * notional)
        return inside
    least: float = np.inf
    for line in range(tables.slopes.shape[1]):
        least = min(least, tables.slopes[asset, line] * notional + tables.intercepts[asset, line])
    return least


@compiled
def margin_of(row: Integers, prices: Floats, tables: Tables) -> float:
    """Return the margin of one row."""
    margin = float(row[CASH])
    if row[CASH] < 0:
        margin *= tables.loan
    for slot in range(SLOTS):
        margin += float(row[COST + slot])
    for slot in range(SLOTS):
        asset = (row[0] >> 8 * slot) & EMPTY
        margin += value(float(row[QUANTITY + slot]) * prices[asset], asset, tables)
    return margin


@compiled
def radius_of(row: Integers, margin: float, prices: Floats, tables: Tables) -> float:
    """Return the survival radius of one row (`rules.survey`)."""
    size, weight, held = abs(float(row[CASH])), 0.0, False
    for slot in range(SLOTS):
        size += abs(float(row[COST + slot]))
        held |= row[QUANTITY + slot] != 0
    for slot in range(SLOTS):
        asset = (row[0] >> 8 * slot) & EMPTY
        notional = float(row[QUANTITY + slot]) * prices[asset]
        if 2 * abs(notional) > tables.bound[asset]:
            steepest = tables.far_left[asset] if notional < 0 else tables.far_right[asset]
            weight += abs(notional) * steepest
        else:
            weight += abs(value(notional, asset, tables))
    if weight > 0:
        radius = (margin - ROUNDING * size) / weight
    elif margin < 0:
        radius = -1.0
    else:
        radius = 1.0 if held else np.inf
    radius -= 3 * ROUNDING
    return min(radius, 1.0) if held else radius


@compiled
def survey(rows: Integers, members: Members, prices: Floats, tables: Tables, margins: Floats, radii: Floats) -> None:
    """Fill in margin and survival radius of members."""
    for i in range(len(members)):
        row = rows[members[i]]
        margins[i] = margin_of(row, prices, tables)
        radii[i] = radius_of(row, margins[i], prices, tables)


@compiled
def breaches(rows: Integers, members: Members, prices: Floats, tables: Tables, found: Integers) -> int:
    """Put the members in breach into `found` and return their number."""
    count = 0
    for i in range(len(members)):
        if margin_of(rows[members[i]], prices, tables) < 0:
            found[count] = members[i]
            count += 1
    return count


@compiled
def moved(prices: Floats, references: Floats, assets: int, most: Floats) -> None:
    """Fill in by row of references the largest relative move of a price."""
    for k in range(len(references)):
        furthest = 0.0
        for asset in range(assets):
            if prices[asset] != references[k, asset]:
                furthest = max(furthest, abs(prices[asset] / references[k, asset] - 1.0))
        most[k] = furthest


class CompiledBackend:
    """Margins by compiled code."""

    def __init__(self, book: AccountBook) -> None:
        self.book = book

    def core(self) -> Core:
        """Return an empty core."""
        return CompiledCore(self.book)

    def survey(self, members: Members, padded: Floats) -> tuple[Floats, Floats]:
        """Return margin and survival radius of members."""
        margins, radii = np.empty(len(members)), np.empty(len(members))
        survey(self.book.rows, members, padded, self.book.rules.tables, margins, radii)
        return margins, radii

    def moved(self, padded: Floats, references: Floats) -> Floats:
        """Return by row of references the largest relative move of a price; infinite for one that was 0."""
        most = np.empty(len(references))
        moved(padded, references, self.book.rules.assets, most)
        return most


class CompiledCore:
    """A list of members; their rows are read where they are."""

    def __init__(self, book: AccountBook) -> None:
        self.book, self.loaded = book, False
        self.members = np.zeros(0, np.int32)

    def __len__(self) -> int:
        return len(self.members)

    def load(self, members: Members, padded: Floats) -> None:
        """Take these members instead of those there were."""
        self.members, self.loaded = np.sort(members), True
        self._found = np.empty(len(members), np.int64)

    def stale(self, members: NDArray[Any]) -> None:
        """Nothing is kept of rows, so nothing can be out of date."""

    def breaches(self, padded: Floats) -> Integers:
        """Return the members in breach, in ascending order."""
        count = breaches(self.book.rows, self.members, padded, self.book.rules.tables, self._found)
        return self._found[:count].copy()
