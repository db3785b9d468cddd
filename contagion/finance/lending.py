"""Over-collateralised lending by the rules of Aave v3.3: health, liquidation, interest.

A position is safe while its collateral, each kind cut to its liquidation threshold, covers its debt. Below
that anyone may repay part of the debt and take collateral worth more: the bonus that pays for the risk, and
that above a loan-to-value of 1/(1+bonus) makes what is left worse. What decides is compared in integers, so
that a tie is a tie; rates and closed forms are floats.

Sources: Aave v3.3's liquidation logic, interest-rate strategy and index arithmetic; for the toxic region,
Warmuz, Chaudhary and Pinna, "Toxic liquidation spirals" (2022), arXiv:2212.07306.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import inf
from typing import NamedTuple

from contagion.units import PPM, SECOND, YEAR

RAY = 10**27
"""One, as an interest index or rate."""

INDEX_TERMS = 3
"""Terms of the binomial series kept when interest compounds."""


class Liquidation(NamedTuple):
    """Debt repaid, collateral taken and the protocol's fee out of it, each in its own base units."""

    repay: int
    seized: int
    protocol_fee: int


def weighted_collateral(values: Sequence[int], thresholds_ppm: Sequence[int]) -> int:
    """Return collateral values cut to their liquidation thresholds, in the values' scale times PPM.

    ValueError when the two sequences differ in length.

    Source: Aave v3.3's contract GenericLogic: weighted = sum of C_i LT_i.

    >>> weighted_collateral([20_000, 60_000], [800_000, 860_000])
    67600000000
    """
    return sum(value * ppm for value, ppm in zip(values, thresholds_ppm, strict=True))


def health_factor(weighted_collateral: float, debt: float) -> float:
    """Return collateral times threshold over debt, both in one unit; infinite without debt.

    To look at, not to decide by: `is_liquidatable` is exact.

    Source: Aave v3.3's contract GenericLogic: HF = sum of C_i LT_i / D.

    >>> round(health_factor(82_500, 84_000), 6)
    0.982143
    """
    return weighted_collateral / debt if debt else inf


def is_liquidatable(weighted: int, debt: int) -> bool:
    """Return whether the health factor is below 1; exactly 1 is safe.

    weighted : from `weighted_collateral`; debt : in the scale of the values that went in.

    Source: Aave v3.3's contract LiquidationLogic: liquidatable for HF < 1.

    >>> is_liquidatable(84_000 * PPM, 84_000), is_liquidatable(84_000 * PPM - 1, 84_000)
    (False, True)
    """
    return weighted < debt * PPM


def close_factor_ppm(
    weighted: int,
    debt: int,
    reserve_collateral: int,
    reserve_debt: int,
    one_dollar: int,
    partial_ppm: int = 500_000,
    *,
    threshold_ppm: int = 950_000,
    minimum: int = 2_000,
) -> int:
    """Return the share of the total debt that one liquidation may repay.

    `partial_ppm` when the health factor is above `threshold_ppm` and both the seized asset's collateral and
    the repaid asset's debt are worth at least `minimum` dollars, otherwise all. Values in one integer scale
    in which a dollar is `one_dollar`; weighted : from `weighted_collateral`.

    Source: Aave v3.3's contract LiquidationLogic: 50% for HF > 0.95, C_i >= 2000 and D_j >= 2000 dollars, else 100%.

    >>> close_factor_ppm(82_500 * PPM, 84_000, 100_000, 84_000, 1)
    500000
    >>> close_factor_ppm(82_500 * PPM, 90_000, 100_000, 90_000, 1)
    1000000
    """
    is_large = min(reserve_collateral, reserve_debt) >= minimum * one_dollar
    return partial_ppm if is_large and weighted > debt * threshold_ppm else PPM


def liquidation(
    repay: int, collateral: int, debt_unit: int, collateral_unit: int, bonus_ppm: int, fee_ppm: int
) -> Liquidation:
    """Return what a liquidator repays and takes, bounded by the collateral that is there.

    repay, collateral : base units of the debt and of the seized asset; debt_unit, collateral_unit : value of
    one such unit in a common integer scale; fee_ppm : the protocol's share of the bonus, not of the whole.
    Every rounding favours the protocol: collateral down, and repayment up when the collateral is the limit
    (never above what was offered); the fee up. ValueError for a negative amount or a worthless unit.

    Source: Aave v3.3's contract LiquidationLogic: seized = min(collateral, (1 + bonus) repay debt_unit /
    collateral_unit), fee = fee share of seized - seized / (1 + bonus).

    >>> liquidation(42_000, 100_000, 1, 1, 50_000, 100_000)
    Liquidation(repay=42000, seized=44100, protocol_fee=210)
    """
    if min(repay, collateral) < 0:
        raise ValueError(f"cannot repay {repay} base units of debt against {collateral} of collateral")
    if min(debt_unit, collateral_unit) <= 0:
        raise ValueError(f"cannot liquidate debt worth {debt_unit} a unit, collateral worth {collateral_unit}")
    debt_price, collateral_price = debt_unit * (PPM + bonus_ppm), collateral_unit * PPM
    seized = repay * debt_price // collateral_price
    if seized > collateral:
        seized, repay = collateral, _ceil_div(collateral * collateral_price, debt_price)
    fee = _ceil_div(seized * bonus_ppm * fee_ppm, (PPM + bonus_ppm) * PPM)
    return Liquidation(repay, seized, fee)


def leaves_dust(debt_left: int, collateral_left: int, one_dollar: int, minimum: int = 1_000) -> bool:
    """Return whether the protocol refuses a liquidation for what it would leave of the pair.

    Values left of the repaid debt and the seized collateral, in a scale in which a dollar is `one_dollar`.
    Nothing left on one side is never dust.

    Source: Aave v3.3's contract LiquidationLogic: refused for 0 < min(debt, collateral) < 1000 dollars.

    >>> leaves_dust(999, 5_000, 1), leaves_dust(1_000, 5_000, 1), leaves_dust(0, 5, 1)
    (True, False, False)
    """
    return 0 < min(debt_left, collateral_left) < minimum * one_dollar


def borrow_rate(utilisation: float, base: float, slope1: float, slope2: float, optimal: float) -> float:
    """Return the annual borrow rate of a reserve, linear in utilisation with a kink at `optimal`.

    utilisation : lent over supplied, in [0, 1]; slope1, slope2 : rise up to the kink and from there to full
    utilisation; optimal : in (0, 1]. ValueError outside these ranges.

    Source: Aave v3.3's contract DefaultReserveInterestRateStrategyV2: R = base + slope1 U / U_opt for U <= U_opt, else
    base + slope1 + slope2 (U - U_opt) / (1 - U_opt).

    >>> borrow_rate(0.45, 0.0, 0.04, 0.6, 0.9), round(borrow_rate(0.95, 0.0, 0.04, 0.6, 0.9), 6)
    (0.02, 0.34)
    """
    if not 0 <= utilisation <= 1 or not 0 < optimal <= 1:
        raise ValueError(f"utilisation {utilisation} or its optimum {optimal} is outside [0, 1]")
    if utilisation <= optimal:
        return base + slope1 * utilisation / optimal
    return base + slope1 + slope2 * (utilisation - optimal) / (1 - optimal)


def supply_rate(borrow_rate: float, utilisation: float, reserve_factor: float) -> float:
    """Return the annual rate that suppliers earn: the borrowers' interest less the protocol's share.

    Source: Aave v3.3's contract DefaultReserveInterestRateStrategyV2: R_s = R U (1 - reserve factor).

    >>> round(supply_rate(0.05, 0.8, 0.1), 6)
    0.036
    """
    return borrow_rate * utilisation * (1 - reserve_factor)


def compounded_index(index: int, rate: float, elapsed_us: int) -> int:
    """Return a debt index after interest that compounds every second, rounded down.

    index : in ray (10**27); rate : annual, made a whole number of ray first; elapsed_us : only whole seconds
    count, as on a chain, so keep the rest. Three terms of the binomial series of (1 + rate/year)**seconds, as
    in Aave, whose contract also truncates the powers of the rate before it multiplies: it accrues less, by
    up to 6e-6 over an idle year and 1e-12 over an idle day. ValueError when time runs backwards.

    Source: Aave v3.3's contract MathUtils: 1 + n x + n (n - 1) x^2 / 2 + n (n - 1) (n - 2) x^3 / 6, x = rate / year.

    >>> round(compounded_index(RAY, 0.05, YEAR) / RAY, 9)
    1.051270833
    """
    seconds, ray_rate = _seconds(elapsed_us), _ray(rate)
    factor = term = RAY
    for k in range(INDEX_TERMS):
        term = term * (seconds - k) * ray_rate // ((k + 1) * (YEAR // SECOND) * RAY)
        factor += term
    return index * factor // RAY


def linear_index(index: int, rate: float, elapsed_us: int) -> int:
    """Return a supply index after simple interest, rounded down; arguments as in `compounded_index`.

    Source: Aave v3.3's contract MathUtils: index' = index (1 + rate * seconds / year).

    >>> linear_index(RAY, 0.05, YEAR) / RAY
    1.05
    """
    return index * (RAY + _ray(rate) * _seconds(elapsed_us) // (YEAR // SECOND)) // RAY


def toxic_frontier(bonus: float) -> float:
    """Return the loan-to-value above which every liquidation raises the loan-to-value.

    Source: Warmuz, Chaudhary and Pinna (2022), arXiv:2212.07306, equations 4 and 5: LTV = 1 / (1 + bonus).

    >>> round(toxic_frontier(0.05), 6)
    0.952381
    """
    return 1 / (1 + bonus)


def exhausted_bad_debt(collateral: float, debt: float, bonus: float) -> float:
    """Return the debt left when liquidations have taken all collateral, in the arguments' unit.

    With a bonus of 0 it is what closing at market would leave.

    Source: derived: max(0, D - C / (1 + b)) = bad debt.

    >>> round(exhausted_bad_debt(100, 97, 0.05), 4), exhausted_bad_debt(100, 97, 0)
    (1.7619, 0.0)
    """
    return max(0.0, debt - collateral / (1 + bonus))


def repay_to_health(collateral: float, debt: float, threshold: float, bonus: float, target: float) -> float:
    """Return the repayment by liquidation that lifts the health factor to `target`; 0 if it is there.

    Not bounded by the debt or the collateral. ValueError for a target of at most threshold * (1 + bonus),
    which repaying cannot reach.

    Source: derived: r = (h D - LT C) / (h - LT (1 + b)) from LT (C - (1 + b) r) = h (D - r), h the target.

    >>> round(repay_to_health(100, 88, 0.85, 0.05, 1.05), 4)
    46.9841
    """
    cost = threshold * (1 + bonus)
    if target <= cost:
        raise ValueError(f"no repayment reaches a health factor of {target}: it must exceed {cost}")
    return max(0.0, (target * debt - threshold * collateral) / (target - cost))


def exhaustion_path(
    collateral: float, debt: float, bonus: float, close_factor: float
) -> list[tuple[float, float, float | None]]:
    """Return (collateral, debt, loan-to-value) after each of the liquidations that take all collateral.

    Each repays `close_factor`, in (0, 1], of the debt; the last loan-to-value is None. ValueError for a
    position at or below the toxic frontier, where debt runs out first, or another close factor.

    Source: derived: C' = C - s and D' = D - s / (1 + b), with s = min(C, close_factor D (1 + b)).

    >>> [round(debt, 3) for _, debt, _ in exhaustion_path(100, 97, 0.05, 0.5)]
    [48.5, 24.25, 12.125, 6.062, 3.031, 1.762]
    """
    if not 0 < close_factor <= 1:
        raise ValueError(f"a liquidation cannot repay {close_factor} of a debt")
    if debt * (1 + bonus) <= collateral:
        raise ValueError(f"debt {debt} does not exhaust collateral {collateral} at a bonus of {bonus}")
    path: list[tuple[float, float, float | None]] = []
    while collateral > 0:
        seized = min(collateral, close_factor * debt * (1 + bonus))
        collateral, debt = collateral - seized, debt - seized / (1 + bonus)
        path.append((collateral, debt, debt / collateral if collateral else None))
    return path


def _ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def _ray(rate: float) -> int:
    return round(Fraction(rate) * RAY)


def _seconds(elapsed_us: int) -> int:
    if elapsed_us < 0:
        raise ValueError(f"interest cannot run backwards: {elapsed_us} us")
    return elapsed_us // SECOND
