"""What a delta-neutral issuer earns is what really came in, and it pays on no more than that."""

from typing import Any

import pytest

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.finance.leverage import carry
from contagion.units import PPM, PRICE_SCALE, SECOND
from tests.desk import PERP, USD, fall
from tests.issuer_desk import hedge, issuer_desk, issuer_graph
from tests.sight import held, node, rows, settle

HOUR, DAY, YEAR_HOURS = 3_600, 86_400, 8_760
FUNDED: dict[str, Any] = {
    "contract": {"sources": {"eth": 1}, "index": {"eth": 1}},
    "funding_interval": "8h", "funding_interest": "1bps", "funding_clamp": "5bps",
}  # fmt: skip
PAYS = {"yield_interval": "8h"}
ETHENA = PAYS | {"reward_rate": "4%", "staked_share": 0.5}
"""Assumed: rewards of 4% on stablecoins; half of the supply staked."""


def paid(sim: Any) -> list[int]:
    return [row.quantity for row in rows(sim, "yield") if row.node == "issuer"]


# -------------------------------------------------------------------------------------------- real income


def test_funding_of_the_short_is_paid_on_in_new_tokens_that_its_gain_covers() -> None:
    sim = issuer_desk(issuer=PAYS, **FUNDED)
    settle(sim, 8 * HOUR)
    due = int(17.5 * 2_000 * 0.0001 * USD)
    assert paid(sim) == [due] == [3_500_000]
    assert held(sim, "issuer", "usde") == -100_000 * USD - due
    assert node(sim, "issuer").coverage() == pytest.approx(1.0, abs=1e-9)
    settle(sim, 16 * HOUR)
    assert paid(sim) == [due] * 3


def test_only_the_stated_part_is_paid_on_and_the_rest_covers_the_token_better() -> None:
    sim = issuer_desk(issuer=PAYS | {"distributed": 0.6}, **FUNDED)
    settle(sim, 8 * HOUR)
    assert paid(sim) == [2_100_000]
    assert node(sim, "issuer").coverage() == pytest.approx(1 + 1.4 / 100_000)


def test_a_short_that_pays_funding_lowers_the_backing_and_nothing_is_paid_on() -> None:
    sim = issuer_desk(issuer=PAYS, **FUNDED)
    fall(sim, 2_040, seconds=8 * HOUR)
    assert rows(sim, "funding") and not paid(sim)
    assert node(sim, "issuer").coverage() < 1


def test_rewards_on_stablecoins_come_from_the_outside_and_are_paid_on() -> None:
    sim = issuer_desk(issuer=PAYS | {"reward_rate": "4%"})
    settle(sim, 8 * HOUR)
    reward = int(65_000 * USD * 0.04 * 8 / YEAR_HOURS)
    (row,) = rows(sim, "reward")
    assert (row.node, row.quantity) == ("issuer", reward) and paid(sim) == [reward]
    assert held(sim, "issuer", "usd") == 65_000 * USD + reward


def staked_graph(**facts: Any) -> Any:
    """Return a desk whose issuer holds 10 staked ether of its own, each worth 1.1, hedged with 11 contracts."""
    issuer = PAYS | {"backing": {"pool": {"hedge": PERP}}}
    graph = issuer_graph(coins=0, short=11, there=5_000, cash=74_000, issuer=issuer, **facts)
    graph.add_node("steth", kind="asset", decimals=8, price=2_200, yield_rate=0.03)
    graph.add_node("pool", kind="amm", assets=["steth", "usd"])
    for name, holder, quantity in (("steth", "issuer", 10), ("steth", "pool", 10_000), ("usd", "pool", 22_000_000)):
        graph.add_edge(name, holder, role="holds", quantity=quantity)
    graph.add_edge("issuer", "pool", role="trades")
    return graph


def test_the_growth_of_a_staked_coin_is_income() -> None:
    sim = build(staked_graph())
    settle(sim, 16 * HOUR)
    assert paid(sim)[1] == pytest.approx(22_000 * 0.03 * 8 / YEAR_HOURS * USD, rel=1e-3)
    assert node(sim, "issuer").base_yield() == pytest.approx(22_000 * 0.03 / 100_000, rel=2e-2)
    assert not rows(sim, "hedge-gap"), "a hundredth of a per cent is within the tolerance"


def test_the_drift_of_a_coin_that_is_hedged_away_is_no_income() -> None:
    graph = issuer_graph(cash=70_000, issuer=PAYS)
    graph.nodes["eth"]["yield_rate"] = 0.03
    sim = build(graph)
    settle(sim, 8 * HOUR)
    assert not paid(sim)


def test_a_staked_coin_is_sold_where_its_market_is_and_the_hedge_follows_what_it_redeems_for() -> None:
    graph = staked_graph()
    graph.add_node("issuer", unwind=1_000_000, yield_interval="0s")
    sim: Any = build(graph)
    own = sim.network.ids["ann"]
    node(sim, "issuer").redeem(own, 50_000 * USD, cause=sim.shock(own))
    bob = sim.network.ids["bob"]
    node(sim, "issuer").redeem(bob, 33_000 * USD, cause=sim.shock(bob))
    settle(sim, HOUR)
    assert held(sim, "bob", "usd") == 33_000 * USD
    sold = 10 - held(sim, "issuer", "steth") / 10**8
    assert 2 < sold < 5, "some of its cash at the exchange is not paid out: it is margin"
    assert -held(sim, "issuer", f"{PERP}:contract") / 10**6 == pytest.approx(11 - 1.1 * sold, abs=0.031)


def test_nothing_is_paid_on_out_of_backing_that_does_not_cover_the_token() -> None:
    sim = issuer_desk(cash=64_000, issuer=PAYS, **FUNDED)
    settle(sim, 24 * HOUR)
    assert rows(sim, "funding") and not paid(sim)


def test_yield_goes_to_who_is_named_and_lifts_the_price_of_the_staked_token() -> None:
    graph = issuer_graph(issuer=PAYS | {"distribution": "bob", "staked": "susde", "staked_share": 0.5}, **FUNDED)
    graph.add_node("susde", kind="asset", decimals=6, price=1.2)
    sim: Any = build(graph)
    settle(sim, 8 * HOUR)
    assert held(sim, "bob", "usde") == 50_000 * USD + 3_500_000
    feed = node(sim, "susde").feeds[sim.assets["susde"]]
    assert feed.mark.price / PRICE_SCALE == pytest.approx(1.2 * (1 + 3.5 / 50_000), rel=1e-7)


def test_a_staked_token_that_grows_by_itself_would_be_paid_twice() -> None:
    graph = issuer_graph(issuer=PAYS | {"staked": "susde"})
    graph.add_node("susde", kind="asset", yield_rate=0.1)
    with pytest.raises(BadInput, match="it would be paid twice"):
        build(graph)


# ---------------------------------------------------------------------------------------------- base yield


def test_a_basis_point_of_funding_on_a_third_of_the_backing_is_a_base_yield_of_twelve_to_fifteen_per_cent() -> None:
    sim = issuer_desk(issuer=ETHENA, **FUNDED)
    base = node(sim, "issuer").base_yield()
    assert base == pytest.approx((0.35 * 0.1095 + 0.65 * 0.04) / 0.5)
    assert 0.12 < base < 0.15


def test_what_is_paid_in_a_year_is_the_base_yield() -> None:
    sim = issuer_desk(issuer=ETHENA, **FUNDED)
    base = node(sim, "issuer").base_yield()
    settle(sim, 10 * DAY)
    assert sum(paid(sim)) / (50_000 * USD) * 36.5 == pytest.approx(base, rel=2e-3)


def test_the_base_yield_falls_with_the_premium_and_with_the_hedge() -> None:
    sim = issuer_desk(issuer=ETHENA, **FUNDED)
    calm = node(sim, "issuer").base_yield()
    fall(sim, 2_010, seconds=4 * HOUR)
    assert node(sim, "issuer").base_yield() < 0 < calm
    sim = issuer_desk(coins=0, cash=100_000, issuer=ETHENA, **FUNDED)
    assert node(sim, "issuer").base_yield() == pytest.approx(0.04 / 0.5)
    assert hedge(sim) == (0, 0)


def looped(base_rate: float = 0.09, **facts: Any) -> Any:
    """Return a desk with a lender at which a loop of 3x has pledged the token; its debt costs what is stated."""
    graph = issuer_graph(issuer=ETHENA, cash=68_000, **FUNDED)  # the loop's 3,000 tokens are a liability too
    reserves = {"usde": {"ltv": 0.9, "threshold": 0.92, "bonus": 0.04}, "usd": {"base_rate": base_rate}}
    graph.add_node("lender", kind="lending_protocol", reserves=reserves)
    graph.add_node("supplier", kind="account")
    loop = {"kind": "looper", "collateral": "usde", "debt": "usd", "equity": 1_000, "ltv": 0.9, "target_leverage": 3}
    graph.add_node("a-loop", **loop | facts)
    graph.add_edge("lender", "supplier", role="claims", asset="usd", quantity=10_000)
    for source, target, role in (
        ("usde", "lender", "prices"), ("usd", "lender", "prices"), ("a-loop", "lender", "borrows"),
        ("lender", "a-loop", "lends"), ("issuer", "a-loop", "prices"),
    ):  # fmt: skip
        graph.add_edge(source, target, role=role)
    return build(graph)


def carries(sim: Any, column: str = "quantity") -> list[int]:
    events = sim.log.events.columns()
    return list(events[column][events["kind"] == sim.log.kinds["carry"]].tolist())


def test_a_loop_earns_its_issuers_base_yield_where_it_states_none() -> None:
    sim = looped()
    base, rate = node(sim, "issuer").base_yield(), node(sim, "lender").borrow_rate(sim.assets["usd"])
    (logged,) = carries(sim)
    assert logged == pytest.approx(carry(3, base, rate) * PPM, rel=1e-3)
    assert 0.12 < base < 0.15 and 0.18 < logged / PPM < 0.24
    assert carries(sim, "price") == [round(base * PRICE_SCALE)]
    assert carries(looped(yield_rate=0.2)) == [pytest.approx(carry(3, 0.2, rate) * PPM, rel=1e-3)]


def test_the_carry_follows_what_the_issuer_pays() -> None:
    sim = looped()
    settle(sim, 8 * HOUR)
    (row,) = rows(sim, "carry")
    assert row.cause == next(event.id for event in rows(sim, "yield")) and row.time_us == 8 * HOUR * SECOND
