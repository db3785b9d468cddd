"""Indirect contagion by banks that sell only when a leverage limit is broken, and then down to a target below it.

Nobody moves until a limit binds, so a shock has no spillover below a threshold and a large one beyond it. A bank
sells the same fraction of everything it can sell; what it sold moves the price that all others mark to, and may
break their limit in the next round. All banks of a round act on the prices before it, so their order is immaterial.
Since a bank's holdings keep their proportions, one number a bank says what is left of them, and a round costs three
products with the holdings.

A larger shock does not always cost more: whom it ruins sells nothing, and who sells earlier may sell at better prices.

Every asset has a depth in money: a sale of V takes (1 - floor) * (1 - exp(-V / depth)) off its price, never more than
1 - floor in a round. A bank whose equity is not above zero stops selling; a leverage exactly at the limit keeps it.

Source: Cont and Schaanning, "Fire sales, indirect contagion and systemic stress testing", Norges Bank working paper
2/2017.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Round(NamedTuple):
    """One round: fraction sold by bank, volume (money) and fall (fraction) by asset; then prices and equity after."""

    sold: Floats
    volume: Floats
    fall: Floats
    prices: Floats
    equity: Floats


class IndirectContagion(NamedTuple):
    """Equity once the shock has struck, rounds of sales, prices and equity at rest, what banks lost by the sales.

    Source: Cont and Schaanning (2017), the fire-sale loss: sum of equity_after_shock - sum of equity = loss.
    """

    equity_after_shock: Floats
    rounds: list[Round]
    prices: Floats
    equity: Floats
    loss: float


def indirect_contagion(
    holdings: Any, illiquid: Floats, equity: Floats, depth: Floats, max_leverage: float, target_leverage: float, *,
    price_shock: ArrayLike = 0.0, illiquid_shock: ArrayLike = 0.0, floor: float = 0.0, slippage: float = 0.5,
    max_rounds: int = 1_000,
) -> IndirectContagion:  # fmt: skip
    """Return the rounds of sales after a shock, until no bank that can sell is above its limit.

    holdings : what can be sold, at first prices of 1, banks x assets (an array or a SciPy sparse one); illiquid : the
    other assets; leverage : assets over equity; depth : by asset. All in one unit of money. price_shock,
    illiquid_shock : fractions lost by asset and by bank; slippage : the share of a round's fall that its sellers bear
    on what they sell, a half at the mean of both prices. ValueError for other arguments; RuntimeError after
    `max_rounds`.

    Every seller takes at least (max - target) * equity from a finite stock each time, so that rounds end unless some
    equity shrinks for ever without reaching zero, against which the number of rounds is limited.

    Source: Cont and Schaanning (2017): Gamma_i = min(1, (Pi_i + I_i - target C_i) / Pi_i) for leverage > max, else 0;
    Psi = (1 - floor) (1 - exp(-sum of Gamma_i Pi_i / depth)) by asset; loss_i = (1 - (1 - slippage) Gamma_i) times what
    Psi takes off Pi_i; Pi holdings at their prices, I the other assets, C equity.

    >>> found = indirect_contagion(np.array([[60, 20], [30, 50]]), np.array([20, 20]), np.array([5, 4.8]),
    ...     np.array([1500, 1200]), 22, 20, illiquid_shock=[0.03, 0])
    >>> len(found.rounds), round(found.loss, 9)
    (7, 3.054063797)
    """
    _check(holdings, illiquid, equity, depth, max_leverage, target_leverage, floor, slippage)
    lost, written = _fractions(price_shock, len(depth)), illiquid * _fractions(illiquid_shock, len(equity))
    rest, prices, kept = illiquid - written, 1.0 - lost, np.ones(len(equity))
    after_shock = own = equity - written - holdings @ lost
    held = holdings @ prices
    rounds: list[Round] = []
    while True:
        marketable = kept * held
        sellers = (own > 0) & (rest + marketable > max_leverage * own) & (marketable > 0)
        if not sellers.any():
            break
        if len(rounds) == max_rounds:
            raise RuntimeError(f"{int(sellers.sum())} banks are still above their limit after {max_rounds} rounds")
        excess = rest + marketable - target_leverage * own
        sold = np.minimum(1.0, np.divide(excess, marketable, out=np.zeros_like(own), where=sellers))
        volume = prices * (holdings.T @ (kept * sold))
        fall = (1 - floor) * -np.expm1(-volume / depth)
        moved = holdings @ (prices * fall)
        own = own - kept * moved * (1 - sold * (1 - slippage))
        prices, kept = prices * (1 - fall), kept * (1 - sold)
        held = holdings @ prices
        rounds.append(Round(sold, volume, fall, prices, own))
    return IndirectContagion(after_shock, rounds, prices, own, float((after_shock - own).sum()))


def _fractions(shock: ArrayLike, size: int) -> Floats:
    fractions = np.broadcast_to(np.asarray(shock, dtype=np.float64), (size,))
    if size and not (fractions.min() >= 0 and fractions.max() <= 1):
        raise ValueError(f"a shock takes a fraction between 0 and 1, not {fractions.min()} to {fractions.max()}")
    return fractions


def _check(
    holdings: Any, illiquid: Floats, equity: Floats, depth: Floats, max_leverage: float, target_leverage: float,
    floor: float, slippage: float,
) -> None:  # fmt: skip
    if holdings.shape != (len(equity), len(depth)) or len(illiquid) != len(equity):
        sizes = len(illiquid), len(equity), len(depth)
        raise ValueError(f"illiquid, equity, depth have sizes {sizes} and must fit holdings {holdings.shape}")
    if not 1 <= target_leverage < max_leverage:
        raise ValueError(f"a target of {target_leverage} must be at least 1 and below the limit of {max_leverage}")
    if not (0 <= floor <= 1 and 0 <= slippage <= 1):
        raise ValueError(f"floor {floor} and slippage {slippage} must lie between 0 and 1")
    for what, amounts in (("holdings", holdings), ("illiquid", illiquid)):
        if not (amounts.min() >= 0 and amounts.max() < np.inf):
            raise ValueError(f"{what} must not be negative, and finite: from {amounts.min()} to {amounts.max()}")
    for bank in np.flatnonzero(~np.isfinite(equity))[:1]:
        raise ValueError(f"equity must be finite: {equity[bank]} of bank {bank}")
    if not depth.min() > 0:
        raise ValueError(f"depth must be positive: {depth.min()} of asset {depth.argmin()}")
