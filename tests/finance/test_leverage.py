from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contagion.finance.lending import health_factor
from contagion.finance.leverage import (
    carry,
    leverage_after_fall,
    liquidation_fall,
    loop_collateral,
    loop_debt,
    loop_leverage,
    loop_rounds,
    sale_to_leverage,
    wipe_out_fall,
)
from tests.cases import published

LTV = st.floats(0, 0.99)
ROUNDS = st.integers(0, 200)


def test_the_published_loop_comes_out() -> None:
    case = published("LOOP-01")
    inputs, expected, rtol = case["inputs"], case["expected"], case["tolerance"]["rtol"]
    equity, ltv, rounds = inputs["equity"], inputs["LTV"], inputs["n"]
    collateral, debt = loop_collateral(equity, ltv, rounds), loop_debt(equity, ltv, rounds)
    leverage = loop_leverage(ltv, rounds)
    loss = {str(drop): drop * collateral for drop in inputs["drops"]}
    assert {
        "total_collateral": collateral,
        "debt": debt,
        "leverage": leverage,
        "limit_collateral": loop_collateral(equity, ltv, 10_000),
        "wipe_out_drop": wipe_out_fall(leverage),
        "liquidation_drop": liquidation_fall(collateral, debt, inputs["LT"]),
    } == pytest.approx({k: v for k, v in expected.items() if k not in ("loss", "equity_left")}, rel=rtol)
    assert loss == pytest.approx(expected["loss"], rel=rtol)
    # What is left of the equity is a difference of amounts near 10^5.
    left = {drop: equity - amount for drop, amount in loss.items()}
    assert left == pytest.approx(expected["equity_left"], rel=rtol, abs=1e-9)


def test_the_published_market_maker_leverage_comes_out() -> None:
    case = published("MM-01")
    inputs, rtol = case["inputs"], case["tolerance"]["rtol"]
    leverage, assets = inputs["L0"], inputs["A0"]
    for drop, expected in case["expected"]["results"].items():
        after = leverage_after_fall(leverage, float(drop))
        equity = assets * (1 - float(drop)) / after
        assert after == pytest.approx(expected["L_after"], rel=rtol)
        assert equity == pytest.approx(expected["equity"], rel=rtol)
        sale = sale_to_leverage(assets * (1 - float(drop)), equity, inputs["target"])
        assert sale == pytest.approx(expected["sell_to_target"], rel=rtol)
    assert wipe_out_fall(leverage) == case["expected"]["insolvency_drop"]


@given(LTV, ROUNDS, st.floats(1, 1e9))
def test_a_loop_is_the_sum_of_its_deposits(ltv: float, rounds: int, equity: float) -> None:
    deposit, collateral = equity, equity
    for _ in range(rounds):
        deposit *= ltv
        collateral += deposit
    assert loop_collateral(equity, ltv, rounds) == pytest.approx(collateral)
    assert loop_debt(equity, ltv, rounds) == pytest.approx(collateral - equity, abs=1e-9 * collateral)


@given(LTV, st.floats(0.5, 99))
def test_loop_rounds_are_just_enough(ltv: float, target: float) -> None:
    if target >= 1 / (1 - ltv):
        with pytest.raises(ValueError, match="no loop"):
            loop_rounds(ltv, target)
        return
    rounds = loop_rounds(ltv, target)
    assert loop_leverage(ltv, rounds) >= target
    assert rounds == 0 or loop_leverage(ltv, rounds - 1) < target


@pytest.mark.parametrize(("ltv", "rounds"), [(1.0, 3), (-0.1, 3), (0.8, -1)])
def test_an_impossible_loop_is_refused(ltv: float, rounds: int) -> None:
    with pytest.raises(ValueError, match=f"no loop of {rounds} rounds at a loan-to-value of {ltv}"):
        loop_leverage(ltv, rounds)


@given(st.floats(1, 20), st.floats(0, 1))
def test_leverage_after_a_fall_is_that_of_the_balance_sheet(leverage: float, drop: float) -> None:
    assets, debt = leverage * (1 - drop), leverage - 1
    after = leverage_after_fall(leverage, drop)
    if assets - debt > 1e-6:
        assert after == pytest.approx(assets / (assets - debt))
    elif assets - debt < -1e-6:
        assert after == inf


@given(st.floats(1.1, 20))
def test_leverage_grows_without_bound_towards_the_wipe_out(leverage: float) -> None:
    assert leverage_after_fall(leverage, wipe_out_fall(leverage) * (1 - 1e-6)) > 1e4
    assert leverage_after_fall(leverage, wipe_out_fall(leverage) * (1 + 1e-6)) == inf


@given(st.floats(1, 1e9), st.floats(1.01, 50), st.floats(1, 10))
def test_a_sale_reaches_the_leverage_or_is_not_needed(assets: float, leverage: float, target: float) -> None:
    equity = assets / leverage
    sale = sale_to_leverage(assets, equity, target)
    assert sale == pytest.approx(max(0, assets * (1 - target / leverage)), abs=1e-9 * assets)
    assert (assets - sale) / equity == pytest.approx(min(leverage, target))


@pytest.mark.parametrize("equity", [0, -5])
def test_who_has_no_equity_sells_everything(equity: float) -> None:
    assert sale_to_leverage(100, equity, 2) == 100


@given(st.floats(0.1, 0.9), st.floats(0.5, 1))
def test_the_liquidation_drop_takes_the_health_factor_to_one(ltv: float, threshold: float) -> None:
    drop = liquidation_fall(100, 100 * ltv, threshold)
    assert health_factor(100 * (1 - drop) * threshold, 100 * ltv) == pytest.approx(1)


@given(st.integers(1, 20), st.floats(0.3, 0.9))
def test_a_loop_is_liquidated_before_it_is_wiped_out(rounds: int, ltv: float) -> None:
    collateral, debt = loop_collateral(1, ltv, rounds), loop_debt(1, ltv, rounds)
    assert liquidation_fall(collateral, debt, 0.9) < wipe_out_fall(collateral)


@pytest.mark.parametrize(("leverage", "expected"), [(1, 0.12), (2, 0.16), (3.68928, 0.12 * 3.68928 - 0.08 * 2.68928)])
def test_the_carry_multiplies_the_spread_not_the_yield(leverage: float, expected: float) -> None:
    assert carry(leverage, 0.12, 0.08) == pytest.approx(expected)


@given(st.floats(1, 10), st.floats(0, 0.3))
def test_borrowing_at_the_yield_earns_no_more_than_holding(leverage: float, rate: float) -> None:
    assert carry(leverage, rate, rate) == pytest.approx(rate)
