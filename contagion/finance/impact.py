"""Market impact: how far a sale moves the price, as a law of its size or as a walk down a book.

Each law gives the fall of the marginal price after the sale as a fraction of the price before it. A price
cannot fall below zero, so laws that would are cut at 1. Beside each stands its slippage, the fall averaged
over the sale: what the seller loses on the mean unit against the price before. Sizes and their scales are in
one unit, of currency or of the asset.

Sources: Cifuentes, Ferrucci and Shin (2005) for the exponential law, Donier and Bonart (2015),
arXiv:1412.4503, for the square root; its factor is of order one and an input.
"""

from collections.abc import Callable, Sequence
from math import expm1, log1p, sqrt
from typing import NamedTuple

from scipy.optimize import brentq


class Walk(NamedTuple):
    """Outcome of a sale into a book: quantities, average and last price (None if nothing filled)."""

    filled: float
    vwap: float | None
    last: float | None
    unfilled: float


def linear_impact(quantity: float, kappa: float) -> float:
    """Return the price fall after a sale under kappa * quantity, cut at 1.

    kappa : fall per unit sold, not negative. ValueError for a negative argument.

    Source: Kyle (1985), whose price is linear in the orders: fall = kappa Q.

    >>> linear_impact(5e8, 2e-10)
    0.1
    """
    _check(quantity, kappa)
    return min(1.0, kappa * quantity)


def linear_slippage(quantity: float, kappa: float) -> float:
    """Return the average price fall over a sale under `linear_impact`: half of the last one until the cut.

    Source: derived: 1 / Q times the integral of the fall: f / 2 for f = kappa Q <= 1, else 1 - 1 / (2 f).

    >>> linear_slippage(5e8, 2e-10)
    0.05
    """
    _check(quantity, kappa)
    fall = kappa * quantity
    return fall / 2 if fall <= 1 else 1 - 1 / (2 * fall)


def square_root_impact(quantity: float, volume: float, volatility: float, y: float) -> float:
    """Return the price fall after a sale under y * volatility * sqrt(quantity / volume), cut at 1.

    volume, volatility : over one period, usually a day; y : a number of order one.
    ValueError for a negative argument or no volume.

    Source: Donier and Bonart (2015), arXiv:1412.4503: I(Q) = Y sigma sqrt(Q / V).

    >>> round(square_root_impact(5e8, 2e10, 0.04, 1.0), 8)
    0.00632456
    """
    return min(1.0, _square_root(quantity, volume, volatility, y))


def square_root_slippage(quantity: float, volume: float, volatility: float, y: float) -> float:
    """Return the average price fall over a sale under `square_root_impact`: 2/3 of the last until the cut.

    Source: derived: 1 / Q times the integral of the fall: 2 f / 3 for f = y sigma sqrt(Q / V) <= 1, else
    1 - 1 / (3 f^2).

    >>> round(square_root_slippage(5e8, 2e10, 0.04, 1.0), 8)
    0.00421637
    """
    fall = _square_root(quantity, volume, volatility, y)
    return fall * 2 / 3 if fall <= 1 else 1 - 1 / (3 * fall**2)


def exponential_impact(quantity: float, depth: float) -> float:
    """Return the price fall after a sale under 1 - exp(-quantity / depth), which never reaches 1.

    depth : the sale that takes the price to 1/e. ValueError for a negative quantity or no depth.

    Source: Cifuentes, Ferrucci and Shin (2005), equation 5: p = exp(-alpha * sum of s), with alpha = 1 / depth.

    >>> round(exponential_impact(5e8, 8e9), 7)
    0.0605869
    """
    _check(quantity)
    _check_scale(depth)
    return -expm1(-quantity / depth)


def exponential_slippage(quantity: float, depth: float) -> float:
    """Return the average price fall over a sale under `exponential_impact`.

    Source: derived: 1 / Q times the integral of the fall: 1 - f D / Q, with f = 1 - exp(-Q / D) and D the depth.

    >>> round(exponential_slippage(5e8, 8e9), 7)
    0.030609
    """
    fall = exponential_impact(quantity, depth)
    return 1 - fall * depth / quantity if quantity else 0.0


def exponential_purchase(worth: float, depth: float) -> float:
    """Return what a purchase brings where sales follow `exponential_impact`, so that the two undo each other.

    worth : what the cash would buy at the price before. The price rises by worth / depth.
    ValueError for a negative worth or no depth.

    Source: derived: a price of exp(q / depth) after q bought makes worth = depth (exp(q / depth) - 1).

    >>> price = 1 - exponential_impact(100, 1000)
    >>> proceeds = 100 * (1 - exponential_slippage(100, 1000))
    >>> round(exponential_purchase(proceeds / price, 1000), 6)
    100.0
    """
    _check(worth)
    _check_scale(depth)
    return depth * log1p(worth / depth)


def log_impact(quantity: float, kappa: float, b: float) -> float:
    """Return the price fall after a sale under ln(1 + b * kappa * quantity) / b, cut at 1.

    kappa : fall per unit of a small sale; b : concavity, positive. ValueError for another argument.

    Source: derived, a concave law with the slope kappa at 0: d fall / d Q = kappa exp(-b fall).

    >>> round(log_impact(5e8, 2e-10, 3.0), 7)
    0.0874548
    """
    _check(quantity, kappa)
    _check_scale(b)
    return min(1.0, log1p(b * kappa * quantity) / b)


def log_slippage(quantity: float, kappa: float, b: float) -> float:
    """Return the average price fall over a sale under `log_impact`.

    Source: derived: 1 / Q times the integral of the fall: ((1 + x) f - x / b) / x with x = b kappa Q, until f = 1.

    >>> round(log_slippage(5e8, 2e-10, 3.0), 7)
    0.0456373
    """
    fall = log_impact(quantity, kappa, b)
    size = b * kappa * quantity
    uncut = expm1(b) if fall == 1 else size
    return ((1 + uncut) * fall - uncut / b + size - uncut) / size if size else 0.0


def quantity_bought(cash: float, slippage: Callable[[float], float]) -> float:
    """Return the quantity that `cash` buys at a price of 1 that rises on the way: q (1 + slippage(q)) = cash.

    The mirror of a sale: a law's average shortfall is paid on top. `slippage` grows with the quantity.

    Source: derived: the root of q (1 + slippage(q)) = cash.

    >>> round(quantity_bought(110.0, lambda quantity: quantity / 1000), 6)
    100.0
    """
    if cash <= 0:
        return 0.0
    return float(brentq(lambda quantity: quantity * (1.0 + slippage(quantity)) - cash, 0.0, cash))


def walk_book(bids: Sequence[tuple[float, float]], quantity: float) -> Walk:
    """Return the outcome of selling `quantity` into bids, with what the book could not take.

    bids : (price, size), best first; price in currency per unit, size in the unit of `quantity`.
    ValueError for a negative quantity or size, or for bids out of order.

    Source: derived: filled = min(quantity, sum of sizes), vwap = sum of price * taken / filled, best bids first.

    >>> walk_book([(99.5, 20), (98.0, 30)], 40)
    Walk(filled=40, vwap=98.75, last=98.0, unfilled=0)
    >>> walk_book([], 40)
    Walk(filled=0, vwap=None, last=None, unfilled=40)
    """
    _check(quantity, *(size for _, size in bids))
    prices = [price for price, _ in bids]
    if prices != sorted(prices, reverse=True):
        raise ValueError(f"bids must be sorted, best first: {prices}")
    unfilled, proceeds, last = quantity, 0.0, None
    for price, size in bids:
        taken = min(size, unfilled)
        if taken > 0:
            unfilled, proceeds, last = unfilled - taken, proceeds + taken * price, price
    filled = quantity - unfilled
    return Walk(filled, proceeds / filled if filled else None, last, unfilled)


def _square_root(quantity: float, volume: float, volatility: float, y: float) -> float:
    _check(quantity, volatility, y)
    _check_scale(volume)
    return y * volatility * sqrt(quantity / volume)


def _check(*arguments: float) -> None:
    if any(argument < 0 for argument in arguments):
        raise ValueError(f"a sale and the parameters of its impact cannot be negative: {arguments}")


def _check_scale(scale: float) -> None:
    if scale <= 0:
        raise ValueError(f"the scale of an impact law must be positive: {scale}")
