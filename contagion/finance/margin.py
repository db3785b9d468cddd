"""Margin: what positions, collateral and loans ask of an account, and where it is liquidated.

Maintenance rates rise with a position's size and collateral ratios fall with it, so that what a line adds to an
account's margin is a concave piecewise-linear function of its notional: the least of a few straight lines. Every
price at which something happens is then the extreme of a few candidates, and no tier has to be searched for.
Close-outs share what a book gives exactly: parts are differences of cumulative floors, which lose nothing.

Money and quantities in any units that go together: notional = quantity * price, quantity negative for a short.
Where an account's `equity` is asked for together with a `price`, it is the equity at that price of the contract.

Sources: Binance, "How to calculate liquidation price of USD-M futures contracts" and "Leverage and margin of
USD-M futures" (maintenance amounts); Hyperliquid documentation, "Liquidations"; the ratios of Binance's
portfolio margin.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.units import SUPPLY_LIMIT

Integers = NDArray[np.int64]
Brackets = Sequence[tuple[float, float]]
"""(notional from which it holds, rate or ratio of what lies above it), from a floor of 0 upwards."""
Pieces = list[tuple[float, float]]
"""(slope, intercept) of the lines whose least is a concave function through the origin."""

BACKSTOP = 2 / 3
"""Share of the maintenance margin below which Hyperliquid's backstop takes a position over."""

_HALF = 31
_LOW = 2**_HALF - 1


class HyperliquidPrices(NamedTuple):
    """Prices at which a position goes to the market, to the backstop and to its winners (equity 0).

    Source: Hyperliquid documentation, "Liquidations": equity < maintenance, equity < 2/3 maintenance; equity = 0.
    """

    market: float
    backstop: float
    bankruptcy: float


class Fills(NamedTuple):
    """What a queue of limited orders got.

    filled : quantity by order; weights : proceeds by order, price times quantity, in units of 2**shift, so that
    their sum fits into 62 bits; shift : 0 when they do as they are; taken : quantity by level.
    """

    filled: Integers
    weights: Integers
    shift: int
    taken: list[int]


def maintenance_amounts(tiers: Brackets) -> list[float]:
    """Return by tier what to deduct from rate * notional, so that maintenance does not jump between tiers.

    tiers : (floor, rate). ValueError unless floors start at 0 and rise, and rates lie in [0, 1) and never fall.

    Source: Binance, "Leverage and margin of USD-M futures": amount_n = floor_n * (rate_n - rate_n-1) + amount_n-1.

    >>> amounts = maintenance_amounts([(0, 0.004), (50_000, 0.005), (250_000, 0.01), (1_000_000, 0.025)])
    >>> [round(amount, 6) for amount in amounts]
    [0.0, 50.0, 1300.0, 16300.0]
    """
    _check_brackets(tiers, "rate", rising=True)
    if tiers[-1][1] >= 1:
        raise ValueError(f"a rate of {tiers[-1][1]}: a position cannot be asked for all it is worth")
    return _intercepts(tiers)


def maintenance(notional: float, tiers: Brackets) -> float:
    """Return the maintenance margin of a position, long or short; tiers as in `maintenance_amounts`.

    Source: Binance, "Leverage and margin of USD-M futures": maintenance = notional * rate - amount, of its tier.

    >>> maintenance(-500_000, [(0, 0.004), (50_000, 0.005), (250_000, 0.01)])
    3700.0
    """
    amounts = maintenance_amounts(tiers)
    return max(rate * abs(notional) - amount for (_, rate), amount in zip(tiers, amounts, strict=True))


def perpetual_pieces(tiers: Brackets, trigger: float = 1.0) -> Pieces:
    """Return the margin contribution of a perpetual: x less `trigger` times the maintenance of a notional x.

    What was paid for the position belongs to the account's cash. ValueError as in `maintenance_amounts`.

    Source: derived from Binance's maintenance: x - trigger * max over tiers of (rate |x| - amount) = min of the lines.

    >>> perpetual_pieces([(0, 0.25), (100, 0.5)], trigger=1.0)
    [(0.75, 0.0), (0.5, 25.0), (1.25, 0.0), (1.5, 25.0)]
    """
    if trigger < 0:
        raise ValueError(f"a trigger of {trigger} times the maintenance margin is negative")
    lines = [(trigger * rate, trigger * amount) for (_, rate), amount in _with_amounts(tiers)]
    return [(1 - rate, amount) for rate, amount in lines] + [(1 + rate, amount) for rate, amount in lines]


def collateral_pieces(ratios: Brackets, loan_maintenance: float = 0.0) -> Pieces:
    """Return the margin contribution of a coin: collateral worth x if positive, a loan if negative.

    ratios : (floor, share of what lies above it that counts); loan_maintenance : what a loan is asked for beside
    itself, as a share of it. ValueError unless floors start at 0 and rise, and ratios lie in [0, 1] and never rise.

    Source: derived from the collateral ratios of Binance's portfolio margin: sum over tiers of ratio * part for x >= 0,
    (1 + loan_maintenance) x for x < 0.

    >>> collateral_pieces([(0, 0.75), (1_000, 0.5)], loan_maintenance=0.0625)
    [(0.75, 0.0), (0.5, 250.0), (1.0625, 0.0)]
    """
    _check_brackets(ratios, "ratio", rising=False)
    if loan_maintenance < 0:
        raise ValueError(f"a loan maintenance of {loan_maintenance} is negative")
    amounts = (-amount for amount in _intercepts(ratios))
    lines = [(ratio, amount + 0.0) for (_, ratio), amount in zip(ratios, amounts, strict=True)]
    return [*lines, (1 + loan_maintenance, 0.0)]


def margin_value(notional: float, pieces: Sequence[tuple[float, float]]) -> float:
    """Return the margin contribution of a signed notional: the least of the lines.

    Source: derived: value = min over lines of (slope * notional + intercept).

    >>> coin = collateral_pieces([(0, 0.75), (1_000, 0.5)], loan_maintenance=0.0625)
    >>> [margin_value(x, coin) for x in (-100, 0, 1_000, 3_000)]
    [-106.25, 0.0, 750.0, 1750.0]
    """
    return min(slope * notional + intercept for slope, intercept in pieces)


def liquidation_price(
    equity: float, quantity: float, price: float, tiers: Brackets, other_maintenance: float = 0.0
) -> float:
    """Return the price of a contract at which an account's equity is its maintenance margin, all else equal.

    0 for a long that no price liquidates and for a short that every price does. Isolated: the position's margin as
    equity at its entry price. Cross: the account's equity, the profit of its other positions included, and their
    maintenance. The tier is that of the notional at the result. Maintenance is the largest of the tiers'
    lines, so a long is liquidated at the highest and a short at the lowest of their solutions. ValueError
    without a position and as in `maintenance_amounts`.

    Source: Binance, "How to calculate liquidation price of USD-M futures contracts": LP = (WB - TMM + UPNL + cum -
    s Q EP) / (Q MMR - s Q), the LP of equity + quantity (LP - price) = other_maintenance + rate Q LP - amount.

    >>> tiers = [(0, 0.004), (50_000, 0.005), (250_000, 0.01), (1_000_000, 0.025)]
    >>> round(liquidation_price(40_000, 10, 40_000, tiers), 4)
    36232.3232
    >>> round(liquidation_price(30_000 - 10_000, 5, 40_000, tiers, other_maintenance=1_300), 4)
    36432.1608
    """
    size, side = _size(quantity)
    spare = equity - other_maintenance - quantity * price
    solutions = ((spare + amount) / (size * (rate - side)) for (_, rate), amount in _with_amounts(tiers))
    return max(0.0, max(solutions) if side > 0 else min(solutions))


def bankruptcy_price(equity: float, quantity: float, price: float) -> float:
    """Return the price of a contract at which an account has no equity, all else equal; 0 if there is none.

    Below `price` for a long and above it for a short that has equity left. ValueError without a position.

    Source: derived: BP = price - equity / quantity, from equity + quantity (BP - price) = 0.

    >>> bankruptcy_price(40_000, 10, 40_000), bankruptcy_price(16_000, -4, 40_000)
    (36000.0, 44000.0)
    """
    _size(quantity)
    return max(0.0, price - equity / quantity)


def hyperliquid_prices(equity: float, quantity: float, price: float, max_leverage: float) -> HyperliquidPrices:
    """Return where Hyperliquid liquidates a position whose asset allows `max_leverage`.

    The maintenance rate l is half of the initial one at most leverage. ValueError without a position.

    Source: Hyperliquid documentation, "Liquidations": LP = price - side * available / size / (1 - l * side), with
    l = 1 / (2 * max_leverage) and available = equity - l * size * price.

    >>> [round(level, 2) for level in hyperliquid_prices(5_000, 2, 50_000, 40)]
    [48101.27, 47899.16, 47500.0]
    """
    size, side = _size(quantity)
    rate = 1 / (2 * max_leverage)

    def level(rate: float) -> float:
        available = equity - rate * size * price
        return max(0.0, price - side * available / size / (1 - rate * side))

    return HyperliquidPrices(level(rate), level(BACKSTOP * rate), level(0.0))


def uni_margin_ratio(equity: float, maintenance: float) -> float:
    """Return equity over maintenance margin of a unified account; infinite without a requirement.

    Source: Binance, portfolio margin: uniMMR = equity / maintenance; it liquidates at 1.05.

    >>> uni_margin_ratio(2_100, 2_000)
    1.05
    """
    return equity / maintenance if maintenance else inf


def withdrawable(equity: float, maintenance: float, buffer: float = 1.2) -> float:
    """Return what an account may take out: its equity above `buffer` times its maintenance margin.

    Source: derived: max(0, equity - buffer * maintenance) = what leaves a ratio of `buffer`.

    >>> withdrawable(10_000, 2_000)
    7600.0
    """
    return max(0.0, equity - buffer * maintenance)


def share_out(total: int, weights: Integers) -> Integers:
    """Return `total` pro rata to weights, in whole units that sum to it.

    Each part is its exact share rounded down or up. Differences of cumulative floors, in exact arithmetic: who
    comes later has no advantage. ValueError for a negative total or weight, a total of 2**63 or more, weights that
    sum to more than 2**62, or to nothing when there is something to share.

    Source: derived: part_k = floor(total W_k / W_n) - floor(total W_(k-1) / W_n), W the running sums of the weights.

    >>> share_out(100, np.array([1, 1, 1])).tolist()
    [33, 33, 34]
    """
    whole = _sum(weights)
    if not 0 <= total < 2 * SUPPLY_LIMIT or whole > SUPPLY_LIMIT or (len(weights) and weights.min() < 0):
        raise ValueError(f"cannot share {total} out by weights that sum to {whole}")
    if not whole:
        if total:
            raise ValueError(f"nobody to share {total} out to")
        return np.zeros(len(weights), np.int64)
    each, rest = divmod(total, whole)
    return np.asarray(each * weights + np.diff(_scaled(np.cumsum(weights), rest, whole), prepend=0), np.int64)


def queue_fills(
    levels: Sequence[tuple[int, int]], limits: Integers, quantities: Integers, sign: int, lot: int = 1
) -> Fills:
    """Return what orders of one side get of a book, each limited to a price of its own.

    levels : (price, quantity), best first; limits : the worst price that each order accepts; sign : -1 for sales,
    1 for purchases; quantities and levels count in whole lots, rests are left. At every level the orders that
    accept its price share it pro rata to what they still want; the others have dropped out. Orders that accept the
    same levels are one to the book, so that the loop is over levels and not over orders. ValueError for levels
    that are not best first.

    Source: derived: taken_l = min(depth_l, sum of wanted_k), of which order k gets the share wanted_k / sum of wanted.

    >>> fills = queue_fills([(100, 6), (90, 6)], np.array([95, 80]), np.array([4, 8]), -1)
    >>> fills.filled.tolist(), fills.weights.tolist(), fills.taken
    ([2, 8], [200, 760], [6, 4])
    """
    reachable = sign * np.array([price for price, _ in levels], np.int64)
    if (np.diff(reachable) <= 0).any():
        raise ValueError("the levels of a book come best first")
    reach = np.searchsorted(reachable, sign * limits, side="right")
    order = np.argsort(reach, kind="stable")
    wanted, reach = quantities[order] // lot, reach[order]
    starts = np.flatnonzero(np.diff(reach, prepend=-1))
    groups = [slice(a, b) for a, b in pairwise([*starts.tolist(), len(order)])]
    sums = [_sum(wanted[group]) for group in groups]
    got, proceeds, taken = _sweep([(price, depth // lot) for price, depth in levels], reach[starts].tolist(), sums)
    shift = max(0, (lot * sum(proceeds)).bit_length() - SUPPLY_LIMIT.bit_length() + 1)
    filled, weights = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64)
    for group, amount, paid in zip(groups, got, proceeds, strict=True):
        if amount:
            parts = share_out(amount, wanted[group])
            filled[order[group]] = parts * lot
            weights[order[group]] = share_out(paid * lot >> shift, parts)
    return Fills(filled, weights, shift, [amount * lot for amount in taken])


def _sweep(
    levels: Iterable[tuple[int, int]], reach: list[int], wanted: list[int]
) -> tuple[list[int], list[int], list[int]]:
    """Return (filled by group, proceeds by group, taken by level); group g accepts the first reach[g] levels."""
    left, proceeds, taken, first = list(wanted), [0] * len(wanted), [], 0
    for level, (price, depth) in enumerate(levels):
        while first < len(reach) and reach[first] <= level:
            first += 1
        upto = list(accumulate(left[first:], initial=0))
        amount = min(depth, upto[-1])
        taken.append(amount)
        if amount:
            cuts = [amount * end // upto[-1] for end in upto]
            for group, (start, end) in enumerate(pairwise(cuts), first):
                left[group] -= end - start
                proceeds[group] += (end - start) * price
    return [a - b for a, b in zip(wanted, left, strict=True)], proceeds, taken


def _sum(values: Integers) -> int:
    """Return the sum of 64-bit integers, which need not fit into 64 bits."""
    return (int((values >> _HALF).sum()) << _HALF) + int((values & _LOW).sum())


def _scaled(values: Integers, numerator: int, denominator: int) -> Integers:
    """Return floor(values * numerator / denominator); values, numerator <= denominator <= 2**62.

    Products of 124 bits, by long division in two digits of 31 bits; at once where 63 bits hold them.
    """
    if numerator * int(values.max(initial=0)) < 2 * SUPPLY_LIMIT:
        return values * numerator // denominator
    high, rest = _divided(values, numerator >> _HALF, denominator)
    middle, left = _divided(rest, 1 << _HALF, denominator)
    low, right = _divided(values, numerator & _LOW, denominator)
    return (high << _HALF) + middle + low + (left >= denominator - right)


def _divided(values: Integers, factor: int, divisor: int) -> tuple[Integers, Integers]:
    """Return quotient and remainder of values * factor; values <= divisor <= 2**62, factor <= 2**31.

    The quotient has 31 bits, so that floats miss it by one at most; products wrap around, and their difference,
    which is less than two divisors, comes out right.
    """
    guess = (values * (factor / divisor)).astype(np.int64)
    miss, rest = np.divmod(values * factor - guess * divisor, divisor)
    return guess + miss, rest


def _with_amounts(tiers: Brackets) -> Iterable[tuple[tuple[float, float], float]]:
    return zip(tiers, maintenance_amounts(tiers), strict=True)


def _intercepts(brackets: Brackets) -> list[float]:
    steps = (floor * (rate - below) for (_, below), (floor, rate) in pairwise(brackets))
    return list(accumulate(steps, initial=0.0))


def _check_brackets(brackets: Brackets, name: str, *, rising: bool) -> None:
    if not brackets or brackets[0][0] != 0:
        raise ValueError(f"the first floor is 0, not {brackets[0][0] if brackets else 'missing'}")
    for floor, rate in brackets:
        if not 0 <= rate <= 1:
            raise ValueError(f"a {name} of {rate} from {floor} on is outside [0, 1]")
    for (floor, rate), (next_floor, next_rate) in pairwise(brackets):
        if next_floor <= floor:
            raise ValueError(f"a floor of {next_floor} after {floor}: floors must rise")
        if (next_rate < rate) if rising else (next_rate > rate):
            raise ValueError(f"a {name} of {next_rate} after {rate}: {name}s must {'rise' if rising else 'fall'}")


def _size(quantity: float) -> tuple[float, float]:
    if not quantity:
        raise ValueError("an account without a position has no liquidation price")
    return abs(quantity), 1.0 if quantity > 0 else -1.0
