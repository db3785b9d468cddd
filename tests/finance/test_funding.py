"""The rule of a funding rate, and its mean premium against a sum over every microsecond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contagion.finance.funding import MeanPremium, annual_rate, funding_rate, premium
from contagion.units import PRICE_SCALE

EIGHT_HOURS = 8 * 3_600_000_000
RATES = st.integers(-PRICE_SCALE, PRICE_SCALE)


@given(RATES, st.integers(0, PRICE_SCALE), st.integers(0, PRICE_SCALE), st.integers(0, PRICE_SCALE))
def test_the_rate_is_the_interest_near_it_and_the_premium_less_the_clamp_beyond(
    mean: int, interest: int, clamp: int, cap: int
) -> None:
    rate = funding_rate(mean, interest, clamp, cap)
    free = interest if abs(mean - interest) <= clamp else mean + (clamp if mean < interest else -clamp)
    assert rate == max(min(free, cap), -cap)


@given(RATES, st.integers(0, PRICE_SCALE))
def test_without_interest_the_premium_is_paid_up_to_the_cap(mean: int, cap: int) -> None:
    assert funding_rate(mean, None, 500_000, cap) == max(min(mean, cap), -cap)


def test_a_basis_point_in_eight_hours_is_eleven_per_cent_a_year() -> None:
    assert annual_rate(0.0001, EIGHT_HOURS) == pytest.approx(0.0001 * 3 * 365)


def test_a_premium_is_relative_to_the_index_and_negative_below_it() -> None:
    assert premium(1_980, 2_000) == -PRICE_SCALE // 100


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(-50, 50)), max_size=8), st.integers(0, 20))
def test_a_mean_premium_is_the_published_weighted_sum_taken_at_every_moment(
    notes: list[tuple[int, int]], last: int
) -> None:
    mean, now, path = MeanPremium(0), 0, [0] * 200
    for gap, value in notes:
        now += gap
        mean.note(value, now)
        path[now:] = [value] * (200 - now)
    end = now + last
    if not end:
        assert mean.value(end) == path[0]
        return
    weights = [2 * moment + 1 for moment in range(end)]  # the middle of each moment, twice
    total = sum(weight * value for weight, value in zip(weights, path[:end], strict=True))
    assert mean.value(end) == total // end**2
    mean.start(end)
    assert mean.value(end) == path[end], "a new interval begins with the premium of the moment"
