"""Accounts with a position in one asset only: sorted prices at which they breach.

With everything else given, the margin of such an account is concave in one price, so it is in breach below a low
trigger and above a high one. Each line of the asset's rules bounds one of them, whatever the tiers. An account with
one trigger is sorted by it and found by bisection; one with none is never found; one with both is left to the shells.
Triggers are kept as 32-bit floats, moved outward by more than any rounding.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.accounts.rules import IDS, QUANTITY, ROUNDING, SLOTS, Floats, Integers, Tables, base, sizes

Members = NDArray[np.int32]
Prices = NDArray[np.float32]

OUTWARD = 1e-9


class Triggers(NamedTuple):
    """Members with a trigger: (member, asset, price), and whether it is reached from above."""

    member: Members
    asset: NDArray[np.uint8]
    price: Prices
    falling: NDArray[np.bool_]


class Singles:
    """Sorted triggers by asset and direction. What was crossed once is gone: its account is watched from then on."""

    def __init__(self, found: list[Triggers] | None = None) -> None:
        self._low, self._high = np.full(IDS, -1.0), np.full(IDS, np.inf)
        self._falls: dict[int, tuple[Prices, Members]] = {}
        self._rises: dict[int, tuple[Prices, Members]] = {}
        if found:
            self._sort(Triggers(*(np.concatenate(column) for column in zip(*found, strict=True))))

    @property
    def nbytes(self) -> int:
        """Return the bytes of all sorted triggers that have not been crossed."""
        tables = (*self._falls.values(), *self._rises.values())
        return sum(prices.nbytes + members.nbytes for prices, members in tables)

    def crossed(self, padded: Floats) -> Members | None:
        """Return, and forget, the members whose trigger the prices have reached; None for nobody."""
        below, above = padded <= self._low, padded >= self._high
        if not (below.any() or above.any()):
            return None
        falls = [self._take(asset, padded, True) for asset in np.flatnonzero(below).tolist()]
        return np.concatenate(falls + [self._take(asset, padded, False) for asset in np.flatnonzero(above).tolist()])

    def _take(self, asset: int, padded: Floats, falling: bool) -> Members:
        price = np.float32(padded[asset])
        if falling:
            prices, members = self._falls[asset]
            at = int(prices.searchsorted(np.nextafter(price, np.float32(0))))
            self._falls[asset], found = (prices[:at], members[:at]), members[at:]
            self._low[asset] = prices[at - 1] if at else -1.0
        else:
            prices, members = self._rises[asset]
            at = int(prices.searchsorted(np.nextafter(price, np.float32(np.inf)), side="right"))
            self._rises[asset], found = (prices[at:], members[at:]), members[:at]
            self._high[asset] = prices[at] if at < len(prices) else np.inf
        return found

    def _sort(self, found: Triggers) -> None:
        for asset in np.unique(found.asset).tolist():
            for falling, table in ((True, self._falls), (False, self._rises)):
                chosen = np.flatnonzero((found.asset == asset) & (found.falling == falling))
                if len(chosen):
                    chosen = chosen[np.argsort(found.price[chosen])]
                    table[asset] = found.price[chosen], found.member[chosen]
                    if falling:
                        self._low[asset] = found.price[chosen[-1]]
                    else:
                        self._high[asset] = found.price[chosen[0]]


def triggers(block: Integers, first: int, padded: Floats, tables: Tables) -> tuple[Integers, Triggers]:
    """Return which rows of a block need no shell, and the triggers of those that have one.

    first : the member of the block's first row. Rows with one position, not in breach and with no or one trigger.
    """
    held = block[:, QUANTITY : QUANTITY + SLOTS] != 0
    rows = np.flatnonzero(held.sum(axis=1) == 1)
    own, slot = block[rows], held[rows].argmax(axis=1)
    asset = (own[:, 0] >> 8 * slot) & 255
    low, high = _bounds(own, own[np.arange(len(rows)), QUANTITY + slot].astype(np.float64), asset, tables)
    price = padded[asset]
    low, high = np.where(low > 0, low * (1 + OUTWARD), -1.0), high * (1 - OUTWARD)
    alone = ((low < 0) | (high == np.inf)) & (price > low) & (price < high)
    bound = alone & ((low > 0) | (high < np.inf))
    rows_bound, falling = rows[bound], low[bound] > 0
    exact = np.where(falling, low[bound], high[bound])
    with np.errstate(over="ignore", under="ignore"):
        rounded = exact.astype(np.float32)
    outward = np.nextafter(rounded, np.where(falling, np.float32(np.inf), np.float32(0)))
    found = Triggers((rows_bound + first).astype(np.int32), asset[bound].astype(np.uint8), outward, falling)
    return rows[alone], found


def _bounds(own: Integers, quantity: Floats, asset: Integers, tables: Tables) -> tuple[Floats, Floats]:
    """Return the prices between which every line is at 0 or above, within rounding."""
    fixed, size = base(own, tables.loan), sizes(own)
    low, high = np.full(len(own), -np.inf), np.full(len(own), np.inf)
    for line in range(tables.slopes.shape[1]):
        weight, lift = tables.slopes[asset, line] * quantity, tables.intercepts[asset, line]
        spare = fixed + lift - ROUNDING * (size + lift)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            zero = -spare / weight
        low = np.where(weight > 0, np.maximum(low, zero), low)
        high = np.where(weight < 0, np.minimum(high, zero), high)
        low = np.where((weight == 0) & (spare < 0), np.inf, low)
    return low, high
