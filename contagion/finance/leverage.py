"""Leverage: recursive loans, what a fall of the collateral does to them, and what they earn.

A loop deposits, borrows against the deposit and deposits again, so collateral is a geometric sum of the
equity. Debt stays when collateral falls: losses land on the equity, and leverage rises as it shrinks. The
sums are textbook algebra; for leverage that moves with prices see Adrian and Shin, "Liquidity and leverage"
(2010).
"""

from bisect import bisect_left
from math import inf

ROUNDS_LIMIT = 2**62


def loop_collateral(equity: float, ltv: float, rounds: int) -> float:
    """Return the collateral of a recursive loan after `rounds` re-deposits.

    equity : initial capital, same unit as the result; ltv : loan-to-value in [0, 1).
    ValueError outside these ranges.

    Source: derived, the geometric sum C = equity * (1 - ltv**(rounds + 1)) / (1 - ltv).

    >>> round(loop_collateral(100_000, 0.8, 5))
    368928
    """
    return equity * loop_leverage(ltv, rounds)


def loop_debt(equity: float, ltv: float, rounds: int) -> float:
    """Return the debt of a recursive loan after `rounds` re-deposits, in the unit of `equity`.

    Source: derived: debt = collateral - equity.

    >>> round(loop_debt(100_000, 0.8, 5))
    268928
    """
    return loop_collateral(equity, ltv, rounds) - equity


def loop_leverage(ltv: float, rounds: int) -> float:
    """Return collateral over equity of a recursive loan after `rounds` re-deposits.

    ltv : loan-to-value in [0, 1). ValueError outside these ranges.

    Source: derived: L = (1 - ltv**(rounds + 1)) / (1 - ltv).

    >>> round(loop_leverage(0.8, 5), 5)
    3.68928
    """
    if not 0 <= ltv < 1 or rounds < 0:
        raise ValueError(f"no loop of {rounds} rounds at a loan-to-value of {ltv}")
    return float((1 - ltv ** (rounds + 1)) / (1 - ltv))


def loop_rounds(ltv: float, target_leverage: float) -> int:
    """Return the fewest re-deposits that reach a leverage.

    ValueError for a target of 1/(1-ltv) or more, the limit of the loop.

    Source: derived: the least n for which (1 - ltv**(n + 1)) / (1 - ltv) >= target.

    >>> loop_rounds(0.8, 3.5)
    5
    """
    if target_leverage >= loop_leverage(ltv, ROUNDS_LIMIT):
        raise ValueError(f"no loop at a loan-to-value of {ltv} reaches a leverage of {target_leverage}")
    return bisect_left(range(ROUNDS_LIMIT), target_leverage, key=lambda rounds: loop_leverage(ltv, rounds))


def wipe_out_fall(leverage: float) -> float:
    """Return the fraction by which collateral must fall to leave no equity.

    Source: derived: fall = 1 / L.

    >>> round(wipe_out_fall(3.68928), 6)
    0.271056
    """
    return 1 / leverage


def liquidation_fall(collateral: float, debt: float, threshold: float) -> float:
    """Return the fraction by which collateral must fall for the health factor to be 1.

    threshold : liquidation threshold in (0, 1]. Negative when the position is already below 1.

    Source: derived: fall = 1 - D / (LT C), where LT C (1 - fall) / D = 1.

    >>> round(liquidation_fall(368_928, 268_928, 0.825), 6)
    0.116431
    """
    return 1 - debt / (threshold * collateral)


def leverage_after_fall(leverage: float, fall: float) -> float:
    """Return assets over equity once assets have fallen by `fall`, debt unchanged; infinite when insolvent.

    fall : fraction, up to 1; a rise is negative.

    Source: derived: L' = L (1 - d) / (1 - L d), d the fall; for the leverage of intermediaries Adrian and Shin (2010).

    >>> leverage_after_fall(2, 0.25), leverage_after_fall(2, 0.5)
    (3.0, inf)
    """
    equity = 1 - leverage * fall
    return leverage * (1 - fall) / equity if equity > 0 else inf


def sale_to_leverage(assets: float, equity: float, target: float) -> float:
    """Return what to sell at today's price to bring assets over equity down to `target`, in the unit of `assets`.

    A sale at the price costs no equity and pays debt back. At most all assets, which is the answer of who has no
    equity; 0 for who is there already.

    Source: derived: sale = assets - target * equity, from (assets - sale) / equity = target.

    >>> sale_to_leverage(75_000_000, 25_000_000, 2)
    25000000
    """
    return min(max(assets - target * equity, 0), assets)


def carry(leverage: float, yield_rate: float, borrow_rate: float) -> float:
    """Return the annual return on equity: yield on all collateral less interest on the borrowed part.

    Source: derived: carry = L yield_rate - (L - 1) borrow_rate.

    >>> round(carry(3, 0.12, 0.08), 6)
    0.2
    """
    return leverage * yield_rate - (leverage - 1) * borrow_rate
