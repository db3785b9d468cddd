"""A system-wide fire sale in steps: banks pay back loans out of cash, order sales for the rest, and may default.

Each step the orders of the last one are carried out together, every bank looks at its leverage ratio (equity over
assets), and whoever is below its buffer orders what takes it back to its target; who is below the minimum has
defaulted, and sells everything in the next step. With a buffer somewhat above the minimum banks act late, by
threshold; with a buffer of 1 all hold their target (when they are below it), and act early. Sales are in proportion
to what is held, so one number a bank says what is left of its holdings, and since all orders of a step are carried out
at the mean of the prices before and after, the order of banks is immaterial. A larger shock can break fewer banks: it
makes some sell earlier, beside the others and not after them.

The published configuration is not at rest: without any shock, with an impact of 5%, 33 of 48 banks default. A result
says something about a shock only beside the control without one.

Source: Farmer, Kleinnijenhuis, Nahai-Williamson and Wetzer, "Foundations of system-wide financial stress
testing with heterogeneous institutions", Bank of England staff working paper 861 (2020), in the reduced form that
its authors published with data of the stress test of the European Banking Authority of 2018.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

IMPACT_AT = 0.05
"""The fraction of all that banks hold of an asset, the sale of which moves its price by `impact`."""


class Step(NamedTuple):
    """After one step: prices by asset, fraction of all holdings sold so far, defaults in this step, equity by bank."""

    prices: Floats
    sold: float
    defaults: NDArray[np.int64]
    equity: Floats


def system_fire_sale(
    holdings: Any, cash: Floats, other: Floats, loans: Floats, deposits: Floats, *, price_shock: ArrayLike,
    impact: ArrayLike, buffer: float, minimum: float = 0.03, target: float = 0.05, steps: int = 6,
) -> list[Step]:  # fmt: skip
    """Return what happens step by step after a shock to prices.

    holdings : what can be sold, at first prices of 1, banks x assets (an array or a SciPy sparse one); cash, other :
    assets; loans, deposits : liabilities, of which only loans can be paid back. All in one unit of money. price_shock,
    impact : fractions, by asset or one for all; impact is what a sale of 5% of the asset takes off its price, and
    a sale of q of Q leaves (1 - impact) ** (q / Q / 0.05) of it. buffer, minimum, target : ratios of equity to
    assets; a ratio exactly at the minimum or the buffer keeps it. ValueError for other arguments.

    Source: Farmer, Kleinnijenhuis, Nahai-Williamson and Wetzer (2020), reduced form: with lambda = E / A, sell and pay
    A - E / target for lambda < buffer, default for lambda < minimum; p' = p exp(-b * sold / all).

    >>> step, = system_fire_sale(np.array([[10.0]]), *np.array([[5.0], [85], [48], [48]]),
    ...     price_shock=0.15, impact=0.01, buffer=0.04, steps=1)
    >>> step.prices.tolist(), step.defaults.tolist(), round(float(step.equity[0]), 6)
    ([0.85], [0], 2.5)
    """
    _check(holdings, cash, other, loans, deposits, buffer, minimum, target)
    assets = holdings.shape[1]
    decay = -np.log1p(-_fractions(impact, assets)) / IMPACT_AT
    prices, total = 1.0 - _fractions(price_shock, assets), holdings.T @ np.ones(len(cash))
    kept, order, defaulted = np.ones(len(cash)), np.zeros(len(cash)), np.zeros(len(cash), dtype=np.bool_)
    history = []
    for _ in range(steps):
        sold = kept * order
        share = np.divide(holdings.T @ sold, total, out=np.zeros(assets), where=total > 0)
        after = prices * np.exp(-decay * share)
        cash = cash + sold * (holdings @ ((prices + after) / 2))
        prices, kept = after, kept - sold
        held = kept * (holdings @ prices)
        size = cash + other + held
        equity = size - loans - deposits
        failing = ~defaulted & (equity < minimum * size)
        defaulted = defaulted | failing
        excess = np.where(~defaulted & (equity < buffer * size), np.maximum(size - equity / target, 0.0), 0.0)
        paid = np.minimum(np.minimum(excess, cash), loans)
        order = np.minimum(
            1.0, np.divide(np.maximum(excess - cash, 0.0), held, out=np.zeros_like(held), where=held > 0)
        )
        order[defaulted] = 1.0
        cash, loans = cash - paid, loans - paid
        whole = total.sum()
        left = float(((holdings.T @ kept).sum()) / whole) if whole else 1.0
        history.append(Step(prices, 1.0 - left, np.flatnonzero(failing), equity))
    return history


def _fractions(values: ArrayLike, size: int) -> Floats:
    fractions = np.broadcast_to(np.asarray(values, dtype=np.float64), (size,))
    if size and not (fractions.min() >= 0 and fractions.max() < 1):
        raise ValueError(f"shocks and impacts lie in [0, 1), not between {fractions.min()} and {fractions.max()}")
    return fractions


def _check(
    holdings: Any, cash: Floats, other: Floats, loans: Floats, deposits: Floats, buffer: float, minimum: float,
    target: float,
) -> None:  # fmt: skip
    for what, amounts in (("cash", cash), ("other", other), ("loans", loans), ("deposits", deposits)):
        if len(amounts) != holdings.shape[0]:
            raise ValueError(f"{what} of {len(amounts)} banks do not fit holdings {holdings.shape}")
        for bank in np.flatnonzero(~((amounts >= 0) & np.isfinite(amounts)))[:1]:
            raise ValueError(f"{what} must not be negative, and finite: {amounts[bank]} of bank {bank}")
    if not (holdings.min() >= 0 and holdings.max() < np.inf):
        raise ValueError(f"holdings must not be negative, and finite: from {holdings.min()} to {holdings.max()}")
    if not buffer >= 0:
        raise ValueError(f"a buffer of {buffer} must not be negative")
    if not 0 <= minimum < target <= 1:
        raise ValueError(f"a target of {target} must lie above the minimum of {minimum} and be at most 1")
