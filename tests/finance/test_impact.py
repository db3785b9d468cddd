from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad  # type: ignore[import-untyped]

from contagion.finance.impact import (
    exponential_impact,
    exponential_slippage,
    linear_impact,
    linear_slippage,
    log_impact,
    log_slippage,
    square_root_impact,
    square_root_slippage,
    walk_book,
)
from tests.cases import published

LAWS: dict[str, tuple[Callable[..., float], Callable[..., float], tuple[float, ...], float]] = {
    # impact, slippage, parameters, and the quantity from which the price is gone
    "linear": (linear_impact, linear_slippage, (0.01,), 100.0),
    "square_root": (square_root_impact, square_root_slippage, (25.0, 0.25, 1.0), 400.0),
    "exponential": (exponential_impact, exponential_slippage, (70.0,), float("inf")),
    "log": (log_impact, log_slippage, (0.05, 2.0), (2.718281828459045**2 - 1) / 0.1),
}
QUANTITY = st.just(0.0) | st.floats(1e-6, 2_000)
laws = pytest.mark.parametrize("law", LAWS)


def test_the_published_laws_come_out() -> None:
    case = published("PI-01")
    inputs, expected = case["inputs"], case["expected"]
    kappa, quantity, depth, b = (inputs[name] for name in ("kappa", "Q", "D", "b"))
    volume, sigma, y = (inputs[name] for name in ("V", "sigma", "Y"))
    root = square_root_impact(quantity, volume, sigma, y)
    assert {
        "linear": linear_impact(quantity, kappa),
        "sqrt": root,
        "sqrt_double_size_ratio": square_root_impact(2 * quantity, volume, sigma, y) / root,
        "exponential": exponential_impact(quantity, depth),
        "log": log_impact(quantity, kappa, b),
    } == pytest.approx(
        {k: v for k, v in expected.items() if k != "book" and "cpmm" not in k}, rel=case["tolerance"]["rtol"]
    )


@pytest.mark.parametrize("quantity", [5, 60, 200])
def test_the_published_walks_come_out(quantity: int) -> None:
    case = published("PI-01")
    bids = [(price, size) for price, size in case["inputs"]["bids"]]
    walk = walk_book(bids, quantity)
    assert walk.vwap is not None
    assert {**walk._asdict(), "slippage_vs_best": 1 - walk.vwap / bids[0][0]} == pytest.approx(
        case["expected"]["book"][str(quantity)], rel=case["tolerance"]["rtol"], abs=case["tolerance"]["atol"]
    )


@laws
@given(quantity=QUANTITY)
def test_slippage_is_the_mean_of_the_impact_over_the_sale(law: str, quantity: float) -> None:
    impact, slippage, parameters, gone = LAWS[law]
    kink = [gone] if 0 < gone < quantity else None
    area = quad(impact, 0, quantity, args=parameters, points=kink, epsabs=1e-10)[0]
    assert slippage(quantity, *parameters) * quantity == pytest.approx(area, rel=1e-7, abs=1e-9)


@laws
@given(one=QUANTITY, other=QUANTITY)
def test_a_larger_sale_moves_the_price_further_but_never_below_zero(law: str, one: float, other: float) -> None:
    impact, slippage, parameters, _ = LAWS[law]
    small, large = sorted((one, other))
    assert 0 <= impact(small, *parameters) <= impact(large, *parameters) <= 1
    assert slippage(large, *parameters) <= impact(large, *parameters) + 1e-12


@laws
def test_selling_nothing_moves_nothing(law: str) -> None:
    impact, slippage, parameters, _ = LAWS[law]
    assert impact(0, *parameters) == slippage(0, *parameters) == 0


@laws
def test_a_negative_sale_is_refused(law: str) -> None:
    impact, slippage, parameters, _ = LAWS[law]
    for function in (impact, slippage):
        with pytest.raises(ValueError, match="cannot be negative"):
            function(-1.0, *parameters)


@pytest.mark.parametrize("law", ["linear", "square_root", "log"])
def test_a_law_that_would_pass_zero_is_cut_at_one(law: str) -> None:
    impact, _, parameters, gone = LAWS[law]
    assert impact(gone * 0.99, *parameters) < 1
    assert impact(gone * 1.01, *parameters) == 1


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_two_exponential_sales_compose_to_one(first: float, second: float) -> None:
    left = (1 - exponential_impact(first, 1e5)) * (1 - exponential_impact(second, 1e5))
    assert 1 - exponential_impact(first + second, 1e5) == pytest.approx(left, abs=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: exponential_impact(1, 0),
        lambda: square_root_impact(1, 0, 0.04, 1),
        lambda: log_impact(1, 0.1, 0),
    ],
)
def test_a_market_without_scale_is_refused(call: Any) -> None:
    with pytest.raises(ValueError, match="must be positive: 0"):
        call()


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 50)), max_size=8), st.integers(0, 400))
def test_a_walk_fills_unit_by_unit_from_the_best_bid(bids: list[tuple[int, int]], quantity: int) -> None:
    bids.sort(reverse=True)
    units = [price for price, size in bids for _ in range(size)][:quantity]
    walk = walk_book(bids, quantity)
    assert (walk.filled, walk.unfilled) == (len(units), quantity - len(units))
    assert walk.last == (units[-1] if units else None)
    assert walk.vwap == (pytest.approx(sum(units) / len(units)) if units else None)


def test_bids_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="best first"):
        walk_book([(98.0, 1), (99.0, 1)], 1)
