"""Tokens at par and above it, against the published cases and against each other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contagion.finance import delta_neutral, leverage, rebase, redemption, seigniorage
from tests.cases import published

SHARES = st.floats(0.0, 1.0)
AMOUNTS = st.floats(0.1, 1e9)


def near(case: dict[str, Any], what: str) -> Any:
    return pytest.approx(case["expected"][what], rel=case["tolerance"]["rtol"], abs=case["tolerance"]["atol"])


# --------------------------------------------------------------------------------------------- delta-neutral


def test_a_delta_neutral_issuer_loses_its_discount_its_funding_and_what_a_venue_cannot_pay() -> None:
    case = published("ETH-01")
    i = case["inputs"]
    price, share = i["P0"] * (1 - i["drop"]), i["venue_share"]
    gain = delta_neutral.spot_loss(i["Q"], i["P0"], i["drop"])
    notional = i["Q"] * price
    funding = delta_neutral.funding_paid(notional, i["funding_per_period"], i["periods"])
    assert price == near(case, "price_after")
    assert gain == near(case, "spot_loss") == near(case, "hedge_gain")
    assert funding == near(case, "funding_paid")
    facts = {"discount": i["depeg"], "funding": -funding}
    backing = delta_neutral.hedged_backing(i["S"], i["Q"], price, gain, **facts)
    assert backing == near(case, "backing_ex_reserve")
    facts["reserve"] = i["reserve"]
    assert delta_neutral.hedged_backing(i["S"], i["Q"], price, gain, **facts) == near(case, "backing_with_reserve")
    assert gain * share == near(case, "venue_claim")
    lost = delta_neutral.credit_loss(gain, share, i["venue_recovery"])
    assert lost == near(case, "venue_credit_loss")
    naked, hedged = (delta_neutral.spot_loss(i["Q"] * part, price, i["second_drop"]) for part in (share, 1 - share))
    assert naked == near(case, "naked_long_loss")
    later = price * (1 - i["second_drop"])
    after = delta_neutral.hedged_backing(i["S"], i["Q"], later, gain - lost + hedged, **facts)
    assert after == near(case, "backing_after_venue_default_and_second_drop")
    days = delta_neutral.periods_covered(i["reserve"], notional, i["funding_per_period"]) / 3
    assert days == near(case, "days_reserve_lasts_at_3_periods_day")


@given(AMOUNTS, AMOUNTS, SHARES)
def test_a_whole_hedge_leaves_the_backing_where_it_was(quantity: float, price: float, drop: float) -> None:
    gain = delta_neutral.spot_loss(quantity, price, drop)
    before = delta_neutral.hedged_backing(quantity * price, quantity, price, 0)
    assert delta_neutral.hedged_backing(quantity * price, quantity, price * (1 - drop), gain) == pytest.approx(before)


@given(st.integers(-1_000, 1_000), st.integers(0, 1_000), st.integers(0, 1_000))
def test_what_a_holding_earned_is_never_overstated(step: int, before: int, now: int) -> None:
    found = delta_neutral.earned(step, before, now)
    assert found <= step * before and found <= step * now and found in (step * before, step * now)


def test_who_stakes_nothing_earns_nothing() -> None:
    assert delta_neutral.staker_yield(1.0, 1.0, 0.0) == 0.0


# ----------------------------------------------------------------------------------------------- redemption


def test_redemptions_beyond_the_threshold_leave_who_stays_below_par() -> None:
    case = published("SR-01")
    i = case["inputs"]
    facts = i["S"], i["C"], i["V"], i["h"]
    assert redemption.backing_after(*facts, 0.0) == near(case, "initial_backing")
    assert redemption.run_threshold(*facts) == near(case, "f_star")
    assert redemption.largest_redemption(*facts) == near(case, "f_max")
    assert redemption.last_movers_loss(*facts) == near(case, "loss_if_all_run")
    assert i["V"] * i["h"] == near(case, "fire_sale_cost_if_all_run")
    for fraction, expected in case["expected"]["backing_at"].items():
        assert redemption.backing_after(*facts, float(fraction)) == pytest.approx(expected, rel=1e-9)
    assert redemption.backing_after(*facts, redemption.run_threshold(*facts)) == pytest.approx(1.0, rel=1e-12)


@given(st.floats(1, 100), st.floats(0, 100), st.floats(0, 100), st.floats(0.01, 0.9), st.floats(0.01, 0.98))
def test_the_threshold_is_where_the_backing_crosses_par(
    supply: float, cash: float, securities: float, haircut: float, redeemed: float
) -> None:
    largest = redemption.largest_redemption(supply, cash, securities, haircut)
    if not cash / supply < redeemed < largest:
        return
    threshold = redemption.run_threshold(supply, cash, securities, haircut)
    backing = redemption.backing_after(supply, cash, securities, haircut, redeemed)
    if abs(redeemed - threshold) > 1e-6:
        assert (backing > 1) == (redeemed < threshold)


def test_what_cannot_be_redeemed_is_refused() -> None:
    with pytest.raises(ValueError, match="no remaining token"):
        redemption.backing_after(100, 20, 81, 0.05, 0.97)


@pytest.mark.parametrize(("securities", "expected"), [(80, float("inf")), (79, float("-inf"))])
def test_without_a_haircut_nobody_who_is_covered_has_to_run(securities: float, expected: float) -> None:
    assert redemption.run_threshold(100, 20, securities, 0) == expected


# --------------------------------------------------------------------------------- rebases and seigniorage


def test_a_rebase_grows_units_and_a_premium_can_take_more_than_they_give() -> None:
    case = published("OHM-01")
    i = case["inputs"]
    total = leverage.loop_collateral(i["equity"], i["LTV"], i["n"])
    debt, fall = total - i["equity"], rebase.collapse(i["P"], i["backing"])
    assert rebase.annual_yield(i["r"]) == near(case, "APY")
    assert rebase.premium(i["P"], i["backing"]) == near(case, "premium")
    assert fall == near(case, "collapse_fraction")
    assert rebase.break_even_price(i["P"], i["r"], i["epochs"]) == near(case, "break_even_price")
    assert total == near(case, "loop_total") and total / i["equity"] == near(case, "leverage")
    assert leverage.liquidation_fall(total, debt, i["LT"]) == near(case, "liq_drop_t0")
    grown = total * rebase.growth(i["r"], i["epochs"])
    assert leverage.liquidation_fall(grown, debt, i["LT"]) == near(case, "liq_drop_after_epochs")
    assert min(total * fall, i["equity"]) == near(case, "loss_if_premium_collapses")
    assert debt - total * (1 - fall) == near(case, "lender_shortfall_if_collapse")


def test_redemptions_for_new_tokens_dilute_them_and_raise_less_than_they_are_due() -> None:
    case = published("ALG-01")
    i = case["inputs"]
    facts = i["M"], i["x"], i["n"]
    assert seigniorage.price_after(i["P0"], *facts) == near(case, "P_n")
    assert seigniorage.supply_after(i["N0"], *facts) == near(case, "N_n")
    assert seigniorage.continuous_price(i["P0"], i["M"], i["x"] * i["n"]) == near(case, "P_continuous")
    got = seigniorage.raised(i["x"], i["P0"], i["pool_tokens"], i["pool_usd"])
    assert got == near(case, "first_redemption_usd_raised")
    assert i["x"] - got == near(case, "first_redemption_shortfall")
    after = (i["pool_usd"] - got) / (i["pool_tokens"] + i["x"] / i["P0"])
    assert after == near(case, "pool_price_after")


@given(st.floats(0.01, 1e4), st.floats(1, 1e12), st.floats(0.001, 0.5), st.integers(1, 100))
def test_many_small_redemptions_dilute_more_than_few_large_ones(
    price: float, capitalisation: float, share: float, times: int
) -> None:
    whole = capitalisation * share
    once = seigniorage.price_after(price, capitalisation, whole, 1)
    often = seigniorage.price_after(price, capitalisation, whole / times, times)
    limit = seigniorage.continuous_price(price, capitalisation, whole)
    assert limit * (1 - 1e-12) <= often <= once * (1 + 1e-12)
    supply = seigniorage.supply_after(capitalisation / price, capitalisation, whole, times)
    assert supply * seigniorage.price_after(price, capitalisation, whole, times) == pytest.approx(capitalisation)
