"""Informed trade in one and in many auctions, against the published case and what makes an equilibrium."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from contagion.finance.kyle import Auctions, sequential_auctions, single_auction
from tests.cases import published

DEVIATION = st.floats(0.01, 100)


def moments(slopes: np.ndarray, found: Auctions, value: float, noise: float) -> tuple[float, list[float], list[float]]:
    """Return (mean profit, regression slopes, variances left) if the insider trades `slopes` times the mispricing.

    The mispricing v - p is followed through all auctions at the equilibrium's price impacts. Its variance follows
    from what the insider really does.
    """
    per_auction, spread, profit = noise**2 / len(slopes), value**2, 0.0
    regressions, variances = [], []
    for slope, impact in zip(slopes, found.impact, strict=True):
        profit += slope * (1 - impact * slope) * spread
        regressions.append(slope * spread / (slope**2 * spread + per_auction))
        spread = (1 - impact * slope) ** 2 * spread + impact**2 * per_auction
        variances.append(spread)
    return profit, regressions, variances


def test_the_published_auctions_come_out() -> None:
    case = published("KY-01")
    i, expected = case["inputs"], case["expected"]
    near = {"rel": case["tolerance"]["rtol"], "abs": case["tolerance"]["atol"]}
    one = single_auction(i["sigma_v"], i["sigma_u"])
    assert list(one) == pytest.approx(
        [expected[name] for name in ("lambda_", "beta", "posterior_var", "profit")], **near
    )
    two, published_two = sequential_auctions(i["sigma_v"], i["sigma_u"], 2), expected["two_auctions"]
    assert two.impact == pytest.approx(published_two["lambda_"], **near)
    assert two.intensity == pytest.approx(published_two["beta"], **near)
    assert two.variance[-1] == pytest.approx(published_two["Sigma_2"], **near)


@settings(deadline=None)
@given(DEVIATION, DEVIATION)
def test_a_sequence_of_one_is_the_single_auction(value: float, noise: float) -> None:
    one, sequence = single_auction(value, noise), sequential_auctions(value, noise, 1)
    assert [float(x) for x in (sequence.impact[0], sequence.intensity[0], sequence.variance[0], sequence.profit)] == (
        pytest.approx(list(one), rel=1e-12)
    )


@settings(deadline=None)
@given(DEVIATION, DEVIATION, st.integers(1, 60))
def test_prices_are_what_the_market_makers_expect(value: float, noise: float, auctions: int) -> None:
    """Each price impact is the slope of a regression of the value on the orders that really come."""
    found = sequential_auctions(value, noise, auctions)
    profit, regressions, variances = moments(found.intensity / auctions, found, value, noise)
    assert found.impact == pytest.approx(regressions, rel=1e-9)
    assert found.variance == pytest.approx(variances, rel=1e-9)
    assert found.profit == pytest.approx(profit, rel=1e-9)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 6))
def test_the_insider_cannot_do_better_at_these_price_impacts(auctions: int) -> None:
    found = sequential_auctions(2, 5, auctions)
    best = minimize(
        lambda slopes: -moments(slopes, found, 2, 5)[0], np.full(auctions, 1.0), method="BFGS", options={"gtol": 1e-8}
    )
    assert -best.fun == pytest.approx(found.profit, rel=1e-9)
    assert best.x * auctions == pytest.approx(found.intensity, rel=1e-3)


def test_with_ever_more_auctions_depth_becomes_constant_and_the_profit_doubles() -> None:
    """The limit of continuous trade (theorem 3): lambda is the ratio of deviations, and all becomes known."""
    found = sequential_auctions(2, 5, 4_000)
    assert found.impact[:3_000] == pytest.approx(0.4, rel=2e-3)
    assert found.profit == pytest.approx(2 * 5, rel=1e-2)
    assert found.variance[-1] < 0.01 * 4


@settings(deadline=None)
@given(DEVIATION, DEVIATION, st.integers(2, 30))
def test_more_is_known_after_every_auction_and_impact_falls(value: float, noise: float, auctions: int) -> None:
    found = sequential_auctions(value, noise, auctions)
    assert (np.diff([value**2, *found.variance]) < 0).all()
    assert (np.diff(found.impact) < 0).all()
    assert (np.diff(found.intensity) > 0).all()


@settings(deadline=None)
@given(DEVIATION, DEVIATION, st.integers(1, 20))
def test_the_units_of_money_and_of_the_asset_are_immaterial(value: float, noise: float, auctions: int) -> None:
    once, scaled = sequential_auctions(1, 1, auctions), sequential_auctions(value, noise, auctions)
    assert scaled.impact == pytest.approx(once.impact * value / noise, rel=1e-11)
    assert scaled.intensity == pytest.approx(once.intensity * noise / value, rel=1e-11)
    assert scaled.profit == pytest.approx(once.profit * value * noise, rel=1e-11)


def test_a_market_without_noise_or_news_is_refused() -> None:
    with pytest.raises(ValueError, match="deviations must be positive"):
        single_auction(2, 0)
    with pytest.raises(ValueError, match="deviations must be positive"):
        sequential_auctions(0, 2, 2)
    with pytest.raises(ValueError, match="there must be an auction"):
        sequential_auctions(1, 2, 0)
