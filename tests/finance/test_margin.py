from math import copysign, inf
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq

from contagion.finance.margin import (
    bankruptcy_price,
    collateral_pieces,
    hyperliquid_prices,
    liquidation_price,
    maintenance,
    maintenance_amounts,
    margin_value,
    perpetual_pieces,
    uni_margin_ratio,
    withdrawable,
)
from tests.cases import published

Brackets = list[tuple[float, float]]

FLOORS = st.lists(st.integers(1, 10**9), max_size=6, unique=True).map(lambda floors: [0, *sorted(floors)])


@st.composite
def brackets(draw: st.DrawFn, *, falling: bool = False) -> Brackets:
    """Draw maintenance tiers (rates up to 50%) or, falling, collateral ratios."""
    floors = draw(FLOORS)
    permille = st.integers(0, 1_000) if falling else st.integers(1, 500)
    values = draw(st.lists(permille, min_size=len(floors), max_size=len(floors)).map(sorted))
    return [(float(floor), value / 1_000) for floor, value in zip(floors, values[:: -1 if falling else 1], strict=True)]


TIERS, RATIOS = brackets(), brackets(falling=True)
PIECES = st.builds(perpetual_pieces, TIERS, st.floats(0, 2)) | st.builds(collateral_pieces, RATIOS, st.floats(0, 1))
NOTIONAL = st.floats(-2e9, 2e9)
QUANTITY = st.floats(0.01, 1e4) | st.floats(-1e4, -0.01)
PRICE = st.floats(1, 1e5)


def rate_at(notional: float, brackets: Brackets) -> float:
    """Return the rate of the bracket in which a notional lies, by looking at one after the other."""
    return [rate for floor, rate in brackets if abs(notional) >= floor][-1]


def integral(notional: float, brackets: Brackets) -> float:
    """Return the integral of a step function of brackets from 0 to a positive notional, step by step."""
    ends = [*[floor for floor, _ in brackets[1:]], inf]
    return sum(
        rate * (min(end, notional) - floor)
        for (floor, rate), end in zip(brackets, ends, strict=True)
        if floor < notional
    )


# Maintenance.


def test_the_published_maintenance_amounts_come_out() -> None:
    rows = published("PERP-01")["inputs"]["tiers"]
    amounts = maintenance_amounts([(floor, rate) for floor, rate, _ in rows])
    assert amounts == pytest.approx([amount for _, _, amount in rows], rel=1e-12)


@given(TIERS, NOTIONAL)
def test_maintenance_is_the_integral_of_its_rates(tiers: Brackets, notional: float) -> None:
    assert maintenance(notional, tiers) == pytest.approx(integral(abs(notional), tiers), rel=1e-9, abs=1e-6)


@given(TIERS)
def test_maintenance_does_not_jump_between_tiers(tiers: Brackets) -> None:
    amounts = maintenance_amounts(tiers)
    for (_, below), (floor, rate), low, high in zip(tiers, tiers[1:], amounts, amounts[1:], strict=False):
        assert below * floor - low == pytest.approx(rate * floor - high, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("tiers", "match"),
    [
        ([], "the first floor is 0, not missing"),
        ([(10.0, 0.01)], "the first floor is 0, not 10"),
        ([(0.0, 0.01), (5.0, 0.02), (5.0, 0.03)], "a floor of 5.0 after 5.0: floors must rise"),
        ([(0.0, 0.02), (5.0, 0.01)], "a rate of 0.01 after 0.02: rates must rise"),
        ([(0.0, -0.02)], "a rate of -0.02 from 0.0 on is outside"),
        ([(0.0, 0.5), (5.0, 1.0)], "a rate of 1.0: a position cannot be asked for all"),
    ],
)
def test_impossible_tiers_are_refused(tiers: Brackets, match: str) -> None:
    for refused in (lambda: maintenance(1, tiers), lambda: perpetual_pieces(tiers)):
        with pytest.raises(ValueError, match=match):
            refused()


@pytest.mark.parametrize(
    ("ratios", "match"),
    [
        ([(1.0, 0.9)], "the first floor is 0, not 1.0"),
        ([(0.0, 0.9), (-5.0, 0.8)], "a floor of -5.0 after 0.0: floors must rise"),
        ([(0.0, 0.8), (5.0, 0.9)], "a ratio of 0.9 after 0.8: ratios must fall"),
        ([(0.0, 1.1)], "a ratio of 1.1 from 0.0 on is outside"),
    ],
)
def test_impossible_ratios_are_refused(ratios: Brackets, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        collateral_pieces(ratios)


def test_a_negative_requirement_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a trigger of -1\.0"):
        perpetual_pieces([(0, 0.01)], -1.0)
    with pytest.raises(ValueError, match=r"a loan maintenance of -0\.1"):
        collateral_pieces([(0, 0.9)], -0.1)


# Pieces.


@given(TIERS, st.floats(0, 2), NOTIONAL)
def test_a_perpetual_adds_its_value_less_its_maintenance(tiers: Brackets, trigger: float, notional: float) -> None:
    value = margin_value(notional, perpetual_pieces(tiers, trigger))
    assert value == pytest.approx(notional - trigger * maintenance(notional, tiers), rel=1e-9, abs=1e-6)


@given(RATIOS, st.floats(0, 1), NOTIONAL)
def test_a_coin_adds_the_integral_of_its_ratios_and_a_loan_more_than_itself(
    ratios: Brackets, loan: float, notional: float
) -> None:
    value = margin_value(notional, collateral_pieces(ratios, loan))
    expected = integral(notional, ratios) if notional > 0 else notional * (1 + loan)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_collateral_is_what_a_numerical_integral_says() -> None:
    ratios = [(0.0, 0.95), (1e6, 0.9), (5e6, 0.5), (1e7, 0.0)]
    value, _ = quad(lambda x: rate_at(x, ratios), 0, 1.2e7, points=[1e6, 5e6, 1e7])
    assert margin_value(1.2e7, collateral_pieces(ratios)) == pytest.approx(value)


@given(PIECES, NOTIONAL, NOTIONAL, st.floats(0, 1))
def test_pieces_are_concave_and_go_through_the_origin(
    pieces: Brackets, left: float, right: float, weight: float
) -> None:
    middle = margin_value(weight * left + (1 - weight) * right, pieces)
    chord = weight * margin_value(left, pieces) + (1 - weight) * margin_value(right, pieces)
    assert middle >= chord - 1e-6
    assert margin_value(0, pieces) == 0


# Liquidation.


def case_position(position: dict[str, float]) -> tuple[float, float, float, float]:
    """Return (equity at entry, quantity, entry, maintenance of other positions) of a published position."""
    equity = position["WB"] + position.get("UPNL", 0.0)
    return equity, position["side"] * position["Q"], position["EP"], position.get("TMM", 0.0)


@pytest.mark.parametrize("name", ["long10_iso", "short4_iso", "long26_tier_cross", "cross_two_contracts"])
def test_the_published_binance_positions_come_out(name: str) -> None:
    case = published("PERP-01")
    expected, close = case["expected"][name], {"rel": case["tolerance"]["rtol"], "abs": case["tolerance"]["atol"]}
    tiers = [(floor, rate) for floor, rate, _ in case["inputs"]["tiers"]]
    equity, quantity, entry, other = case_position(case["inputs"]["positions"][name])
    liquidated = liquidation_price(equity, quantity, entry, tiers, other)
    assert liquidated == pytest.approx(expected["liq_price"], **close)
    assert bankruptcy_price(equity, quantity, entry) == pytest.approx(expected["bankruptcy_price"], **close)
    for price, at in ((liquidated, "tier_at_liq"), (entry, "tier_at_entry")):
        notional = abs(quantity) * price
        rate, amount = expected[at]
        assert rate_at(notional, tiers) == rate
        assert maintenance(notional, tiers) == pytest.approx(rate * notional - amount, **close)


def residual(price: float, equity: float, quantity: float, entry: float, tiers: Brackets, other: float) -> float:
    return equity + quantity * (price - entry) - other - maintenance(quantity * price, tiers)


@given(st.floats(-1e6, 1e8), QUANTITY, PRICE, TIERS, st.floats(0, 1e5))
def test_at_the_liquidation_price_equity_is_the_maintenance_margin(
    equity: float, quantity: float, entry: float, tiers: Brackets, other: float
) -> None:
    price = liquidation_price(equity, quantity, entry, tiers, other)
    facts = (equity, quantity, entry, tiers, other)
    scale = abs(equity) + abs(quantity) * (entry + price) + other
    if price:
        assert residual(price, *facts) == pytest.approx(0, abs=1e-9 * scale)
    else:
        assert residual(0.0, *facts) * copysign(1, quantity) >= -1e-9 * scale


@given(st.floats(1, 1e8), QUANTITY, PRICE, TIERS)
def test_the_liquidation_price_is_the_only_root(equity: float, quantity: float, entry: float, tiers: Brackets) -> None:
    def left(price: float) -> float:
        return residual(price, equity, quantity, entry, tiers, 0.0)

    highest = 2 * (entry + equity / abs(quantity))
    assume(left(0.0) * left(highest) < 0)
    root = brentq(left, 0.0, highest, xtol=1e-12, rtol=1e-14)
    price = liquidation_price(equity, quantity, entry, tiers)
    assert price == pytest.approx(root, rel=1e-9, abs=1e-9)
    healthy = np.array([left(at) > 0 for at in np.linspace(0, highest, 50) if abs(at - price) > 1e-6 * highest])
    assert (np.diff(healthy.astype(int)) * quantity >= 0).all(), "health changes once, the right way"


@given(st.floats(1, 1e8), QUANTITY, PRICE, TIERS)
def test_an_account_is_liquidated_before_it_is_bankrupt(
    equity: float, quantity: float, entry: float, tiers: Brackets
) -> None:
    liquidated, bankrupt = liquidation_price(equity, quantity, entry, tiers), bankruptcy_price(equity, quantity, entry)
    assert (liquidated - bankrupt) * quantity >= -1e-9 * abs(quantity) * (entry + equity)


@given(st.floats(-1e8, 1e8), QUANTITY, PRICE)
def test_at_the_bankruptcy_price_nothing_is_left(equity: float, quantity: float, mark: float) -> None:
    price = bankruptcy_price(equity, quantity, mark)
    assert price >= 0
    if price:
        left = equity + quantity * (price - mark)
        assert left == pytest.approx(0, abs=1e-9 * (abs(equity) + abs(quantity) * mark))
    else:
        assert (equity - quantity * mark) * copysign(1, quantity) >= -1e-9 * abs(quantity) * mark


@given(st.floats(1, 1e8), QUANTITY, PRICE, PRICE)
def test_the_bankruptcy_price_does_not_depend_on_when_one_looks(
    equity: float, quantity: float, entry: float, mark: float
) -> None:
    later = equity + quantity * (mark - entry)
    at_entry, at_mark = bankruptcy_price(equity, quantity, entry), bankruptcy_price(later, quantity, mark)
    assert at_mark == pytest.approx(at_entry, rel=1e-9, abs=1e-9 * (entry + mark + equity))


def test_a_fully_paid_long_is_never_liquidated_and_a_hopeless_short_always() -> None:
    assert liquidation_price(100, 1, 100, [(0, 0.01)]) == 0
    assert liquidation_price(-100, -1, 100, [(0, 0.01)]) == 0
    assert bankruptcy_price(200, 1, 100) == 0


def test_no_position_has_no_liquidation_price() -> None:
    for refused in (
        lambda: liquidation_price(1, 0, 1, [(0, 0.01)]),
        lambda: bankruptcy_price(1, 0, 1),
        lambda: hyperliquid_prices(1, 0, 1, 40),
    ):
        with pytest.raises(ValueError, match="without a position"):
            refused()


# Hyperliquid.


def hyperliquid_case(case: dict[str, Any]) -> dict[str, float]:
    inputs = case["inputs"]
    prices = hyperliquid_prices(
        inputs["isolated_margin"], inputs["side"] * inputs["size"], inputs["price"], inputs["max_leverage"]
    )
    return {
        "l": 1 / (2 * inputs["max_leverage"]),
        "liq_price": prices.market,
        "backstop_price": prices.backstop,
        "bankruptcy_price": prices.bankruptcy,
    }


def test_the_published_hyperliquid_position_comes_out() -> None:
    case = published("PERP-02")
    close = {"rel": case["tolerance"]["rtol"], "abs": case["tolerance"]["atol"]}
    assert hyperliquid_case(case) == pytest.approx(case["expected"], **close)


@given(st.floats(1, 1e8), QUANTITY, PRICE, st.floats(2, 50))
def test_hyperliquid_liquidates_as_one_tier_would(
    equity: float, quantity: float, price: float, max_leverage: float
) -> None:
    prices, rate = hyperliquid_prices(equity, quantity, price, max_leverage), 1 / (2 * max_leverage)
    close = {"rel": 1e-9, "abs": 1e-9 * (price + equity / abs(quantity))}
    assert prices.market == pytest.approx(liquidation_price(equity, quantity, price, [(0, rate)]), **close)
    assert prices.backstop == pytest.approx(liquidation_price(equity, quantity, price, [(0, rate * 2 / 3)]), **close)
    assert prices.bankruptcy == pytest.approx(bankruptcy_price(equity, quantity, price), **close)


# Unified accounts.


def test_an_account_without_a_requirement_has_no_ratio_to_fear() -> None:
    assert uni_margin_ratio(-5, 0) == inf
    assert uni_margin_ratio(1_050, 1_000) == 1.05


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_a_withdrawal_leaves_the_buffer(equity: float, requirement: float) -> None:
    out = withdrawable(equity, requirement)
    assert out >= 0
    assert out == 0 or equity - out == pytest.approx(1.2 * requirement, abs=1e-6)
