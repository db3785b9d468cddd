"""A dip buyer: it waits, buys what is offered below its limit, bids what is not, and its capital is finite."""

from typing import Any

import pytest

from contagion.assembly import build
from contagion.errors import BadInput
from tests.sight import held, mark, node, price, reprice, rows, settle
from tests.venue_worlds import dip_world

USD = 10**6


def hunted(sale: float = 70, until: float = 18, maker: bool = False, **terms: Any) -> Any:
    """Return the world after the maker has gone (or not) and the outside has sold ether for a bid of 1,142 or so."""
    graph = dip_world()
    graph.graph["shocks"] = [{"kind": "sale", "market": "eth-spot", "asset": "eth", "quantity": sale, "at": "20s"}]
    graph.nodes["hunter"]["buys"]["eth-spot"] |= terms
    if not maker:
        graph.remove_node("maker")
    sim = build(graph)
    settle(sim, until)
    return sim


def bids(sim: Any) -> Any:
    return node(sim, "eth-spot").resting(sim.network.ids["hunter"])[0]


def test_a_fall_is_bought_only_once_it_has_lasted() -> None:
    sim = hunted(lag="10min")
    settle(sim, 3)
    low = mark(sim, "eth-spot", "eth")
    settle(sim, 10)
    assert low < price(1_250) and not rows(sim, "quote")
    settle(sim, 30)
    assert bids(sim) > 0


def test_where_nobody_sells_its_bid_rises_and_the_price_with_it() -> None:
    sim = hunted(until=40)
    seen = []
    for _ in range(6):
        settle(sim, 20)
        seen.append(mark(sim, "eth-spot", "eth"))
    assert seen == sorted(seen) and seen[-1] > 1.15 * seen[0]


def test_when_the_gap_has_closed_its_bid_stands_at_the_edge_and_rises_no_more() -> None:
    sim = hunted(until=600)
    assert node(sim, "eth-spot").best(1) == price(1_940), "3% below what ether is worth"
    had = bids(sim)
    settle(sim, 600)
    assert bids(sim) == had > 0
    assert node(sim, "eth-spot").best(1) == price(1_940)


def test_what_is_offered_below_its_limit_is_bought() -> None:
    sim = hunted(until=40)
    seller = sim.network.ids["fund"]
    node(sim, "eth-spot").quote_ladders(seller, {-1: ([price(1_300), price(1_950)], [10**6, 10**6])}, cause=1)
    settle(sim, 200)
    assert [(row.quantity, row.price) for row in rows(sim, "trade") if row.quantity > 0] == [(10**6, price(1_300))]
    assert held(sim, "hunter", "eth@exchange") == 10**6


def test_it_never_spends_more_than_its_capital() -> None:
    sim = hunted(until=60, capital=30_000, rate=5)
    reprice(sim, "eth", 2_000)
    world, book = sim.world, node(sim, "eth-spot")
    for _ in range(5):
        book.execute(world, -1, 30 * 10**6, cause=1, channel=0)
        settle(sim, 30)
    spent = 100_000 * USD - held(sim, "hunter", "usd@exchange")
    assert 25_000 * USD < spent <= 30_100 * USD
    assert bids(sim) * 1_142 / 1e6 < 30_000


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"buys": {"eth-spot": {"capital": 200_000}}}, "more capital than its account"),
        ({"buys": {"eth-perp": {"capital": 1}}}, "quotes"),
        ({"buys": {}}, "buys"),
        ({"interval": "0s"}, "interval"),
    ],
)
def test_a_buyer_that_cannot_be_is_refused_with_its_place(change: dict[str, Any], what: str) -> None:
    graph = dip_world()
    graph.nodes["hunter"].update(change)
    with pytest.raises(BadInput, match=what) as caught:
        build(graph)
    assert "nodes.hunter" in str(caught.value)


def test_fees_are_paid_out_of_its_own_cash_and_not_on_credit() -> None:
    sim = hunted(until=60, rate=5)  # all that its account has is capital, and the book charges a fee
    reprice(sim, "eth", 2_000)
    for _ in range(5):
        node(sim, "eth-spot").execute(sim.world, -1, 30 * 10**6, cause=1, channel=0)
        settle(sim, 30)
    assert 0 <= held(sim, "hunter", "usd@exchange") < 1_000 * USD
