"""Auto-deleveraging: who pays when a bankrupt position is worth less than nothing and the fund is empty.

The winners on the other side do, because their profit is what the loser cannot pay. A venue either ranks them,
by profit and leverage, and works the queue off from the top, or takes the same share of everybody. Amounts are
whole base units, of contracts or of money, and what is taken sums to what was wanted or to all there is.

Sources: BitMEX, "What is auto-deleveraging (ADL)?" and its published queue; Hyperliquid documentation,
"Auto-deleveraging"; Chitra, "Autodeleveraging: impossibilities and optimization" (2025), arXiv:2512.01112, for
queue against pro rata.
"""

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

PRO_RATA = "pro-rata"
RANKINGS = ("binance", "bitmex", "hyperliquid", PRO_RATA)


def scores(ranking: str, quantity: Floats, entry_value: Floats, mark: float | Floats, equity: Floats) -> Floats:
    """Return by position how early it is deleveraged, the highest first; -inf for who is not ranked.

    quantity, entry_value : signed, negative for a short; mark : price of one unit of `quantity`; equity : of the
    account that bears the position. 'bitmex': profit in percent of the entry value times effective leverage, or
    divided by it where there is a loss. 'binance': the same; what it published in 2019 ranks by profit over
    the wallet's balance instead. 'hyperliquid': mark over entry price (the inverse for a short) times leverage,
    only winners ranked. 'pro-rata': every winner alike. An account without equity has infinite leverage.
    ValueError for another ranking.

    Source: BitMEX, "What is auto-deleveraging (ADL)?": with p = profit / |entry value| and L = |value| / equity the
    score is p L where p > 0, p / L else; Hyperliquid documentation, "Auto-deleveraging": score = (mark / entry) L.

    >>> shorts, entry, equity = np.array([-200.0, -150.0]), np.array([-398_000.0, -292_500.0]), [106_800, 58_875]
    >>> scores("bitmex", shorts, entry, 1_655, np.array(equity, float)).round(6).tolist()
    [0.521733, 0.63789]
    >>> scores("hyperliquid", shorts, entry, 1_655, np.array(equity, float)).round(6).tolist()
    [3.726592, 4.968153]
    """
    _check(ranking)
    value = quantity * mark
    profit = value - entry_value
    if ranking == PRO_RATA:
        return np.where(profit > 0, 1.0, -np.inf)
    with np.errstate(divide="ignore"):
        leverage = np.abs(value) / np.maximum(equity, 0)
        if ranking == "hyperliquid":
            gain = np.where(quantity > 0, value / entry_value, entry_value / value)
            return np.where(profit > 0, gain * leverage, -np.inf)
        gain = profit / np.abs(entry_value)
    return np.where(gain > 0, gain * leverage, gain / leverage)


def queue(scores: Floats, amounts: Integers, total: int) -> Integers:
    """Return what a total takes of each amount, from the highest score down; of equals, the first comes first.

    All of an amount before anything of the next; nothing of who is not ranked.

    Source: BitMEX, "Auto-deleveraging examples": taken_k = min(amount_k, total - what those before k gave). Its
    published queue, a bankrupt position of 20 against six others:

    >>> queue(np.array([3.0, 6, 1, 4, 5, 2]), np.array([10, 10, 20, 30, 20, 10]), 20).tolist()
    [0, 10, 0, 0, 10, 0]
    """
    order = np.argsort(-scores, kind="stable")
    order = order[np.isfinite(scores[order]) | (scores[order] > 0)]
    taken = np.zeros(len(amounts), np.int64)
    taken[order] = cuts("bitmex", amounts[order], total)
    return taken


def cuts(ranking: str, amounts: Integers, total: int) -> Integers:
    """Return what a total takes of each amount: from the first on, or of all alike where the ranking is 'pro-rata'.

    Negative amounts (a loss is no profit to cut) count as nothing. What the parts fall short of `total` stays
    uncovered. Differences of one cumulative function, exact to the unit. ValueError for a negative total or another
    ranking.

    Source: derived, for the queue and the pro-rata rule of Chitra (2025): part_k = F(A_k) - F(A_(k-1)), A the running
    sums of the amounts, with F(a) = min(a, covered) from the first on, F(a) = floor(a covered / A_n) for all alike.

    >>> cuts("bitmex", np.array([44_250, 67_000, 89_000]), 60_000).tolist()
    [44250, 15750, 0]
    >>> cuts("pro-rata", np.array([44_250, 67_000, 89_000]), 60_000).tolist()
    [13258, 20075, 26667]
    """
    _check(ranking)
    if total < 0:
        raise ValueError(f"cannot take {total} from anybody")
    upto = np.cumsum(np.maximum(amounts, 0).astype(object))
    if not len(upto) or not upto[-1]:
        return np.zeros(len(amounts), np.int64)
    covered = min(total, upto[-1])
    reached = upto * covered // upto[-1] if ranking == PRO_RATA else np.minimum(upto, covered)
    return np.asarray(np.diff(reached, prepend=0), np.int64)


def _check(ranking: str) -> None:
    if ranking not in RANKINGS:
        raise ValueError(f"no ranking {ranking!r}: it is one of {', '.join(RANKINGS)}")
