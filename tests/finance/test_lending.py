from fractions import Fraction
from math import ceil, exp, inf
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contagion.finance.lending import (
    RAY,
    borrow_rate,
    close_factor_ppm,
    compounded_index,
    exhausted_bad_debt,
    exhaustion_path,
    health_factor,
    is_liquidatable,
    leaves_dust,
    linear_index,
    liquidation,
    repay_to_health,
    supply_rate,
    toxic_frontier,
    weighted_collateral,
)
from contagion.units import DAY, PPM, SECOND, YEAR
from tests.cases import published

DOLLAR = 10**12
BONUS = st.floats(0, 0.2)
AMOUNT = st.integers(0, 10**24)
UNIT = st.integers(1, 10**18)
RATIO_PPM = st.integers(0, PPM)


def outcome(case: dict[str, Any]) -> dict[str, Any]:
    """Liquidate a published position as far as the close factor allows, in 10^-12 dollars."""
    inputs = case["inputs"]
    values = [round(kind["value"] * DOLLAR) for kind in inputs["collateral"]]
    thresholds = [round(kind["LT"] * PPM) for kind in inputs["collateral"]]
    debt, asset, total = round(inputs["debt"] * DOLLAR), inputs["seized_asset"], sum(values)
    weighted = weighted_collateral(values, thresholds)
    share = close_factor_ppm(weighted, debt, values[asset], debt, DOLLAR)
    taken = liquidation(
        debt * share // PPM,
        values[asset],
        1,
        1,
        round(inputs["bonus"] * PPM),
        round(inputs["protocol_fee"] * PPM),
    )
    values[asset] -= taken.seized
    left = debt - taken.repay
    assert not leaves_dust(left, values[asset], DOLLAR)
    return {
        "HF": health_factor(weighted / PPM, debt),
        "LTV": debt / total,
        "liquidatable": is_liquidatable(weighted, debt),
        "close_factor": share / PPM,
        "repay": taken.repay / DOLLAR,
        "seized": taken.seized / DOLLAR,
        "protocol_fee": taken.protocol_fee / DOLLAR,
        "liquidator_gross": (taken.seized - taken.protocol_fee - taken.repay) / DOLLAR,
        "HF_after": health_factor(weighted_collateral(values, thresholds) / PPM, left),
        "LTV_after": left / sum(values),
        "borrower_equity_change": (taken.repay - taken.seized) / DOLLAR,
    }


@pytest.mark.parametrize("case_id", ["LEND-01", "LEND-02", "LEND-03", "LEND-04"])
def test_the_published_liquidations_come_out(case_id: str) -> None:
    case = published(case_id)
    expected = {name: inf if value is None else value for name, value in case["expected"].items()}
    assert outcome(case) == pytest.approx(expected, rel=case["tolerance"]["rtol"])


def test_the_published_toxic_position_comes_out() -> None:
    case = published("TOX-01")
    inputs, expected, rtol = case["inputs"], case["expected"], case["tolerance"]["rtol"]
    collateral, debt, bonus, threshold = (inputs[name] for name in ("C", "D", "bonus", "LT"))
    path = exhaustion_path(collateral, debt, bonus, inputs["close_factor"])
    frontier = toxic_frontier(bonus)
    assert frontier == pytest.approx(expected["toxic_LTV_frontier"], rel=rtol)
    assert debt / collateral == pytest.approx(expected["initial_LTV"], rel=rtol)
    assert len(path) == len(expected["path_C_D_LTV"])
    for step, published_step in zip(path, expected["path_C_D_LTV"], strict=True):
        assert step[:2] == pytest.approx(tuple(published_step[:2]), rel=rtol)
        assert step[2] == (published_step[2] and pytest.approx(published_step[2], rel=rtol))
    bad_debt = exhausted_bad_debt(collateral, debt, bonus)
    assert bad_debt == pytest.approx(expected["final_bad_debt_if_exhausted"], rel=rtol)
    assert exhausted_bad_debt(collateral, debt, 0) == expected["bad_debt_if_closed_at_market"]
    assert (threshold >= frontier) is expected["toxic_from_the_start"]
    repay = repay_to_health(collateral, inputs["D_for_target"], threshold, bonus, inputs["target_HF"])
    assert repay == pytest.approx(expected["repay_to_target"], rel=rtol)


def test_a_health_factor_of_exactly_one_is_safe() -> None:
    # 0.7 * 30 is not 21 in floats; in parts per million it is.
    assert not is_liquidatable(weighted_collateral([30], [700_000]), 21)
    assert is_liquidatable(weighted_collateral([30], [699_999]), 21)


def test_a_position_without_debt_is_infinitely_healthy() -> None:
    assert health_factor(0, 0) == inf
    assert not is_liquidatable(0, 0)


def test_collateral_without_its_threshold_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        weighted_collateral([1, 2], [800_000])


@pytest.mark.parametrize(
    ("health_ppm", "collateral", "debt", "share"),
    [
        (950_001, 2_000, 2_000, 500_000),
        (950_000, 2_000, 2_000, PPM),
        (990_000, 1_999, 2_000, PPM),
        (990_000, 2_000, 1_999, PPM),
    ],
)
def test_half_may_be_repaid_only_above_the_threshold_and_the_minimum(
    health_ppm: int, collateral: int, debt: int, share: int
) -> None:
    assert close_factor_ppm(10_000 * health_ppm, 10_000, collateral, debt, 1) == share


@given(AMOUNT, AMOUNT, UNIT, UNIT, RATIO_PPM, RATIO_PPM)
def test_a_liquidation_stays_within_the_offer_the_collateral_and_the_bonus(
    offered: int, collateral: int, debt_unit: int, collateral_unit: int, bonus: int, fee: int
) -> None:
    repay, seized, protocol_fee = liquidation(offered, collateral, debt_unit, collateral_unit, bonus, fee)
    assert 0 <= repay <= offered
    assert 0 <= protocol_fee <= seized <= collateral
    assert seized * collateral_unit * PPM <= repay * debt_unit * (PPM + bonus)


@given(AMOUNT, AMOUNT, UNIT, UNIT, RATIO_PPM, RATIO_PPM)
def test_a_liquidation_is_the_exact_one_rounded_for_the_protocol(
    offered: int, collateral: int, debt_unit: int, collateral_unit: int, bonus: int, fee: int
) -> None:
    ratio = Fraction(debt_unit, collateral_unit) * (1 + Fraction(bonus, PPM))
    repay, seized, protocol_fee = liquidation(offered, collateral, debt_unit, collateral_unit, bonus, fee)
    assert seized == min(collateral, int(offered * ratio))
    is_capped = int(offered * ratio) > collateral
    assert repay == (ceil(Fraction(collateral) / ratio) if is_capped else offered)
    assert protocol_fee == ceil(Fraction(fee, PPM) * (seized - seized / (1 + Fraction(bonus, PPM))))


def test_without_a_bonus_the_protocol_takes_no_fee() -> None:
    assert liquidation(50, 100, 1, 1, 0, 100_000) == (50, 50, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 10, 1, 1), "repay -1 base units"),
        ((1, -10, 1, 1), "against -10 of collateral"),
        ((1, 10, 1, 0), "collateral worth 0"),
    ],
)
def test_an_impossible_liquidation_is_refused(arguments: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        liquidation(*arguments, 50_000, 0)


@pytest.mark.parametrize(
    ("debt_left", "collateral_left", "dust"),
    [(1_000, 1_000, False), (999, 1_000, True), (1_000, 999, True), (0, 1, False), (1, 0, False)],
)
def test_a_small_rest_is_refused_only_when_both_sides_are_left(
    debt_left: int, collateral_left: int, dust: bool
) -> None:
    assert leaves_dust(debt_left, collateral_left, 1) is dust


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 4))
def test_borrowing_gets_dearer_with_utilisation(
    one: float, other: float, optimal: float, slope1: float, slope2: float
) -> None:
    low, high = (borrow_rate(u, 0.01, slope1, slope2, optimal) for u in sorted((one, other)))
    assert 0.01 <= low <= high + 1e-12


def test_the_borrow_rate_runs_through_its_three_corners() -> None:
    corners = [borrow_rate(u, 0.01, 0.04, 0.6, 0.9) for u in (0, 0.9, 1)]
    assert corners == pytest.approx([0.01, 0.05, 0.65])
    assert borrow_rate(1, 0.01, 0.04, 0.6, 1) == pytest.approx(0.05)


@pytest.mark.parametrize(("utilisation", "optimal"), [(1.1, 0.9), (-0.1, 0.9), (0.5, 0)])
def test_a_utilisation_outside_its_range_is_refused(utilisation: float, optimal: float) -> None:
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        borrow_rate(utilisation, 0, 0.04, 0.6, optimal)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_suppliers_and_protocol_share_what_borrowers_pay(
    rate: float, utilisation: float, reserve_factor: float
) -> None:
    protocol = rate * utilisation * reserve_factor
    assert supply_rate(rate, utilisation, reserve_factor) + protocol == pytest.approx(rate * utilisation)


@given(st.floats(0, 1), st.integers(0, 30 * DAY // SECOND))
def test_compounding_agrees_with_the_exponential_over_a_month(rate: float, seconds: int) -> None:
    growth = compounded_index(RAY, rate, seconds * SECOND) / RAY
    exponent = rate * seconds * SECOND / YEAR
    assert growth <= exp(exponent) * (1 + 1e-15)
    assert growth == pytest.approx(exp(exponent), abs=exponent**4 / 20 + 1e-8)


@pytest.mark.parametrize("seconds", [0, 1, 2, 3])
def test_the_first_three_seconds_compound_exactly(seconds: int) -> None:
    exact = RAY * (1 + Fraction(0.5) / (YEAR // SECOND)) ** seconds
    assert 0 <= exact - compounded_index(RAY, 0.5, seconds * SECOND) <= 4


@given(st.floats(0, 1), st.integers(0, 10**9), st.integers(RAY, 3 * RAY))
def test_compound_interest_is_at_least_simple_interest(rate: float, seconds: int, index: int) -> None:
    simple = linear_index(index, rate, seconds * SECOND)
    assert index <= simple <= compounded_index(index, rate, seconds * SECOND)


def test_only_whole_seconds_earn_interest() -> None:
    assert compounded_index(RAY, 0.5, 3 * SECOND - 1) == compounded_index(RAY, 0.5, 2 * SECOND)
    assert linear_index(RAY, 0.5, SECOND - 1) == RAY


def test_interest_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="-1 us"):
        linear_index(RAY, 0.05, -1)


@given(st.floats(0.01, 0.99), BONUS, st.floats(0.01, 0.5))
def test_a_liquidation_lowers_the_loan_to_value_only_below_the_frontier(ltv: float, bonus: float, share: float) -> None:
    frontier = toxic_frontier(bonus)
    assume(abs(ltv - frontier) > 1e-9 and share * ltv * (1 + bonus) < 0.99)
    after = (ltv - share * ltv) / (1 - share * ltv * (1 + bonus))
    assert (after < ltv) == (ltv < frontier)


@given(st.floats(0.01, 0.2), st.floats(0.01, 2), st.floats(0.1, 1))
def test_exhaustion_ends_in_the_closed_form_at_any_close_factor(
    bonus: float, excess: float, close_factor: float
) -> None:
    debt = 100 / (1 + bonus) + excess
    path = exhaustion_path(100, debt, bonus, close_factor)
    assert path[-1][0] == 0
    assert path[-1][1] == pytest.approx(exhausted_bad_debt(100, debt, bonus), abs=1e-9)
    ratios = [debt / 100, *(ltv for _, _, ltv in path if ltv is not None)]
    assert ratios == sorted(ratios)


def test_a_position_below_the_frontier_is_never_exhausted() -> None:
    with pytest.raises(ValueError, match="debt 90 does not exhaust collateral 100"):
        exhaustion_path(100, 90, 0.05, 0.5)


@pytest.mark.parametrize("close_factor", [0, 1.5])
def test_exhaustion_by_an_impossible_close_factor_is_refused(close_factor: float) -> None:
    with pytest.raises(ValueError, match=f"repay {close_factor} of a debt"):
        exhaustion_path(100, 97, 0.05, close_factor)


@given(st.floats(0.5, 0.9), st.floats(0.5, 0.85), st.floats(0, 0.1), st.floats(1, 2))
def test_the_repayment_to_a_health_factor_reaches_it(ltv: float, threshold: float, bonus: float, target: float) -> None:
    assume(threshold / ltv < target and target > threshold * (1 + bonus) + 0.01)
    repay = repay_to_health(100, 100 * ltv, threshold, bonus, target)
    collateral, debt = 100 - repay * (1 + bonus), 100 * ltv - repay
    assert threshold * collateral == pytest.approx(target * debt, abs=1e-9)


def test_a_healthy_position_needs_no_repayment() -> None:
    assert repay_to_health(100, 50, 0.8, 0.05, 1.05) == 0


def test_a_target_that_repaying_cannot_reach_is_refused() -> None:
    with pytest.raises(ValueError, match="no repayment reaches a health factor of 1"):
        repay_to_health(100, 97, 0.96, 0.05, 1.0)
