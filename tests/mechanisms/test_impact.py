"""A market as a law: what a sale brings, where the price goes, and who stands on the other side."""

from math import expm1, log1p
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.assembly import build
from contagion.finance import impact
from contagion.ledger import Refused
from contagion.units import PPM, SECOND
from tests.sight import books, give, held, mark, node, price, quotes, reprice, rows, settle
from tests.worlds import edge, graph_of

ETH, USD = 10**9, 10**6
LAWS: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "linear": (
        {"depth": 1_000}, lambda q: impact.linear_impact(q, 1e-3), lambda q: impact.linear_slippage(q, 1e-3),
    ),
    "square_root": (
        {"volume": 50_000, "volatility": "0.5", "y": 2},
        lambda q: impact.square_root_impact(q, 50_000, 0.5, 2),
        lambda q: impact.square_root_slippage(q, 50_000, 0.5, 2),
    ),
    "exponential": (
        {"depth": 700}, lambda q: impact.exponential_impact(q, 700), lambda q: impact.exponential_slippage(q, 700),
    ),
    "log": (
        {"depth": 2_000, "curvature": 4},
        lambda q: impact.log_impact(q, 1 / 2_000, 4), lambda q: impact.log_slippage(q, 1 / 2_000, 4),
    ),
}  # fmt: skip


def desk_graph(law: str = "exponential", latency: str = "0s", **facts: Any) -> Any:
    """Return a market for ether at 2,000 dollars by a law, and a trader."""
    nodes: dict[str, Any] = {
        "usd": {"kind": "asset", "decimals": 6},
        "eth": {"kind": "asset", "decimals": 9, "price": 2_000},
        "desk": {"kind": "impact", "asset": "eth", "numeraire": "usd", "law": law} | LAWS[law][0] | facts,
        "trader": {"kind": "account"},
    }
    return graph_of(nodes, [edge("prices", "eth", "desk", latency)], [])


def opened(law: str = "exponential", **facts: Any) -> Any:
    sim = build(desk_graph(law, **facts))
    sim.run(0)
    return sim


def sell(sim: Any, sold: str, quantity: int, bought: str) -> int:
    cause = give(sim, "trader", sold, quantity)
    trader = sim.network.ids["trader"]
    fill = node(sim, "desk").trade(trader, sim.assets[sold], quantity, sim.assets[bought], cause=cause, channel=1)
    return int(fill.received)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("tokens", [1, 300, 5_000])
def test_a_sale_moves_the_price_and_brings_what_the_law_says(law: str, tokens: int) -> None:
    sim, (_, fall, slippage) = opened(law), LAWS[law]
    received = sell(sim, "eth", tokens * ETH, "usd")
    assert received == pytest.approx(tokens * 2_000 * USD * (1 - slippage(tokens)), rel=1e-12, abs=1)
    assert mark(sim, "desk", "eth") == pytest.approx(max(price(2_000) * (1 - fall(tokens)), 1), abs=2)


@pytest.mark.parametrize("law", LAWS)
def test_a_second_sale_starts_where_the_first_has_left_the_price(law: str) -> None:
    sim, (_, _, slippage) = opened(law), LAWS[law]
    sell(sim, "eth", 100 * ETH, "usd")
    left = mark(sim, "desk", "eth")
    received = sell(sim, "eth", 50 * ETH, "usd")
    assert received == pytest.approx(50 * left / 1e9 * USD * (1 - slippage(50)), rel=1e-12, abs=1)


def test_the_outside_is_the_counterparty_and_the_market_holds_nothing() -> None:
    sim = opened()
    before = held(sim, "world", "usd")
    received = sell(sim, "eth", 100 * ETH, "usd")
    assert held(sim, "world", "usd") == before - received == -held(sim, "trader", "usd")
    assert held(sim, "world", "eth") == 0
    assert held(sim, "desk", "eth") == held(sim, "desk", "usd") == 0


def test_a_fee_is_taken_from_the_proceeds() -> None:
    free, costly = opened(), opened(fee="0.01")
    gross, net = (sell(sim, "eth", 100 * ETH, "usd") for sim in (free, costly))
    assert net == gross - gross * 10_000 // PPM
    assert mark(free, "desk", "eth") == mark(costly, "desk", "eth")


def test_who_cannot_deliver_is_refused_and_nothing_changes() -> None:
    sim = opened()
    before = books(sim)
    with pytest.raises(Refused, match=r"trader is short of 1\.000000000 eth"):
        node(sim, "desk").trade(
            sim.network.ids["trader"], sim.assets["eth"], ETH, sim.assets["usd"], cause=0, channel=1
        )
    assert books(sim) == before and mark(sim, "desk", "eth") == price(2_000)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.001, 20_000), st.floats(1, 100_000))
def test_under_the_exponential_law_a_purchase_undoes_a_sale(tokens: float, depth: float) -> None:
    sim = opened(depth=round(depth, 3))
    quantity = int(tokens * ETH)
    received = sell(sim, "eth", quantity, "usd")
    if mark(sim, "desk", "eth") < price("0.001") or received < USD:
        return  # a price of a few units or proceeds of a few cents cannot be undone exactly
    bought = sell(sim, "usd", received, "eth")
    assert bought == pytest.approx(quantity, rel=1e-4)
    assert mark(sim, "desk", "eth") == pytest.approx(price(2_000), rel=1e-4)


def test_a_purchase_under_the_exponential_law_raises_the_price_by_its_worth_over_the_depth() -> None:
    sim = opened()
    bought = sell(sim, "usd", 70_000 * USD, "eth")
    assert mark(sim, "desk", "eth") == pytest.approx(price(2_000) * (1 + 35 / 700), rel=1e-12)
    assert bought / ETH == pytest.approx(700 * log1p(35 / 700), rel=1e-9)
    assert bought / ETH * 2_000 * (expm1(bought / ETH / 700) / (bought / ETH / 700)) == pytest.approx(70_000)


@pytest.mark.parametrize("law", ["linear", "square_root", "log"])
def test_under_the_other_laws_a_purchase_raises_the_price_as_a_sale_of_that_size_would_lower_it(law: str) -> None:
    sim, (_, fall, slippage) = opened(law), LAWS[law]
    bought = sell(sim, "usd", 100_000 * USD, "eth") / ETH
    assert bought * (1 + slippage(bought)) == pytest.approx(50, rel=1e-6)
    assert mark(sim, "desk", "eth") == pytest.approx(price(2_000) * (1 + fall(bought)), rel=1e-9)


def test_it_requotes_in_proportion_to_the_reference_price_after_the_edges_latency() -> None:
    sim = build(desk_graph(latency="3s"))
    sim.run(0)
    sell(sim, "eth", 100 * ETH, "usd")
    before = mark(sim, "desk", "eth")
    shock = reprice(sim, "eth", 1_500)
    settle(sim, 2)
    assert mark(sim, "desk", "eth") == before
    settle(sim, 2)
    assert mark(sim, "desk", "eth") == before * 1_500 // 2_000
    (row,) = rows(sim, "quote")
    assert (row.cause, row.time_us) == (shock, 3 * SECOND + 1)
    assert len(quotes(sim, "desk")) == 3


def test_what_moved_the_reference_price_has_moved_the_quote() -> None:
    sim = opened(price="0.000001")
    reprice(sim, "eth", 1_500)
    settle(sim)
    feed = node(sim, "desk").feeds[sim.assets["eth"]]
    assert feed.mark.price == 750
    assert feed.mark.channels[1] == feed.mark.exogenous == -250


def test_it_opens_at_its_own_price_where_it_states_one() -> None:
    assert mark(opened(price=1_990), "desk", "eth") == price(1_990)
    assert mark(opened(), "desk", "eth") == price(2_000)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(LAWS)), st.floats(0.05, 0.999))
def test_a_sale_to_a_price_gets_there(law: str, ratio: float) -> None:
    sim, wanted = opened(law), round(ratio * PPM)
    sell(sim, "eth", node(sim, "desk").sale_to_price(sim.assets["eth"], wanted), "usd")
    assert mark(sim, "desk", "eth") == pytest.approx(price(2_000) * wanted / PPM, rel=1e-5)
