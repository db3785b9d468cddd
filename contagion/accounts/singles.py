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
_SIGNS = np.array([[1.0], [-1.0]])


class Triggers(NamedTuple):
    """Members with a trigger: (member, asset, price), and whether it is reached from above."""

    member: Members
    asset: NDArray[np.uint8]
    price: Prices
    falling: NDArray[np.bool_]


class Singles:
    """Sorted triggers by asset and direction. What was crossed once is gone: its account is watched from then on.

    Prices of triggers that are reached from below are negated, and so is the price they are compared with: then all
    are reached from above. A group is an asset, or `IDS` + asset for the negated; its triggers that were not
    crossed yet are price[start:end], in ascending order, of member[start:end], with (start, end) = span[:, group].
    """

    def __init__(self, found: list[Triggers]) -> None:
        given = Triggers(*(np.concatenate(column) for column in zip(*found, strict=True)))
        group = given.asset + np.where(given.falling, 0, IDS)
        ends = np.bincount(group, minlength=2 * IDS).cumsum()
        self.span = np.stack((np.append(0, ends[:-1]), ends))
        self.price, self.member = np.empty(len(group), np.float32), np.empty(len(group), np.int32)
        for number, (start, end) in enumerate(self.span.T.tolist()):
            if start < end:
                chosen = np.flatnonzero(group == number)
                chosen = chosen[np.argsort(given.price[chosen] if number < IDS else -given.price[chosen])]
                self.price[start:end], self.member[start:end] = given.price[chosen], given.member[chosen]
        self.price[self.span[0, IDS] :] *= -1
        nearest = np.append(self.price, np.float32(0)).take(ends - 1).astype(np.float64)
        self._nearest = np.where(self.span[0] < ends, nearest, -np.inf).reshape(2, IDS)

    @property
    def nbytes(self) -> int:
        """Return the bytes of all triggers."""
        return self.price.nbytes + self.member.nbytes

    def crossed(self, prices: Floats) -> Members:
        """Return, and forget, the members whose trigger the prices have reached."""
        signed = prices * _SIGNS
        reached = signed <= self._nearest[:, : len(prices)]
        if not reached.any():
            return self.member[:0]
        sides, assets = reached.nonzero()
        found = zip((sides * IDS + assets).tolist(), signed[reached].tolist(), strict=True)
        return np.concatenate([self._take(group, price) for group, price in found])

    def _take(self, group: int, price: float) -> Members:
        start, end = self.span[:, group].tolist()
        least = np.float32(price)
        if least < price:
            least = np.nextafter(least, np.float32(np.inf))
        at = start + int(self.price[start:end].searchsorted(least))
        self.span[1, group], self._nearest[divmod(group, IDS)] = at, self.price[at - 1] if at > start else -np.inf
        return self.member[at:end]


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
