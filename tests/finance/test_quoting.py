"""What a market maker quotes: sums, bounds and directions that hold for any ladder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contagion.finance import quoting
from contagion.finance.quoting import BUY, MEASURED_SHAPE, SELL
from contagion.units import PPM

distances = st.builds(
    quoting.offsets, st.floats(0, 0.01), st.floats(0.02, 0.2), st.integers(1, 80)
)  # half spread, reach, levels


@given(distances)
def test_shares_of_a_ladder_sum_to_one(levels: list[int]) -> None:
    parts = quoting.shares(levels, MEASURED_SHAPE)
    assert sum(parts) == PPM
    assert min(parts) >= 0


@given(
    distances, st.integers(10_000, 10**13), st.integers(1, 10**9), st.integers(1, 1_000), st.sampled_from([BUY, SELL])
)
def test_a_ladder_is_on_its_grid_sorted_outside_the_spread_and_no_deeper_than_stated(
    levels: list[int], centre: int, depth: int, tick: int, side: int
) -> None:
    lot = max(depth // 1_000, 1)
    prices, quantities = quoting.ladder(centre, side, levels, quoting.shares(levels, MEASURED_SHAPE), depth, tick, lot)
    assert prices == sorted(set(prices), reverse=side == BUY)
    assert all(price % tick == 0 and price > 0 and side * (centre - price) >= 0 for price in prices)
    assert all(quantity > 0 and quantity % lot == 0 for quantity in quantities)
    assert sum(quantities) <= depth


@given(st.floats(-2, 2), st.floats(1, 100), st.floats(0, 3))
def test_depth_shrinks_with_stress_and_with_inventory_on_the_side_that_adds(
    use: float, stress: float, power: float
) -> None:
    calm = quoting.target_depth(10**6, use, BUY, 1.0, power)
    assert 0 <= quoting.target_depth(10**6, use, BUY, stress, power) <= calm <= 10**6
    assert calm <= quoting.target_depth(10**6, use - 0.1, BUY, 1.0, power)
    assert calm == quoting.target_depth(10**6, -use, SELL, 1.0, power)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_refilling_never_passes_the_target_and_never_takes_back(
    had: int, target: int, elapsed: int, recovery: int
) -> None:
    after = quoting.refilled(had, target, elapsed, recovery)
    assert min(had, target) <= after <= target


def test_the_time_to_refill_is_when_that_much_has_come_back() -> None:
    wait = quoting.time_to_refill(100, 1_000, 300, 14_000_000)
    assert quoting.refilled(100, 1_000, round(wait), 14_000_000) == pytest.approx(400, abs=1)


def test_the_measured_shape_is_the_published_table() -> None:
    """Median notional of bids within 1 to 5% of BTCUSDT perpetuals, in millions, over that within 5%."""
    measured = [304.4134596615, 701.7275650352, 1007.2397578603, 1123.883812787, 1204.8125868449]
    assert [share for _, share in MEASURED_SHAPE] == pytest.approx([m / measured[-1] for m in measured], abs=0.005)
