"""Assets: a reference price that grows and is set, and a peg that is left and regained."""

from typing import Any

import pytest

from contagion.assembly import build
from contagion.units import SECOND
from tests.sight import held, mark, node, price, quotes, reprice, rows, settle
from tests.worlds import edge, graph_of

HOUR = 3_600 * SECOND


def peg_graph(latency: str = "0s", markets: tuple[str, ...] = ("desk",), **facts: Any) -> Any:
    """Return a dollar, a stablecoin with a band of 2% and markets where it trades by a linear law."""
    nodes: dict[str, Any] = {
        "usd": {"kind": "asset"},
        "dai": {"kind": "asset", "peg": 1, "band": "0.02"} | facts,
    }
    for name in markets:
        nodes[name] = {"kind": "impact", "asset": "dai", "numeraire": "usd", "law": "linear", "depth": 1_000}
    return graph_of(nodes, [edge("prices", name, "dai", latency) for name in markets], [])


def pegged(**facts: Any) -> Any:
    sim = build(peg_graph(**facts))
    sim.run(0)
    return sim


def trade(sim: Any, per_cent: float, where: str = "desk") -> int:
    """Sell (or, below zero, buy) so much that the price moves by so many per cent; return the trade."""
    sold, bought = ("dai", "usd") if per_cent > 0 else ("usd", "dai")
    amount = abs(per_cent) * 10 * 10**6
    if per_cent < 0:
        amount = amount * (1 - per_cent / 200) * mark(sim, where, "dai") / 10**9
    event, _ = node(sim, where).trade(
        sim.world, sim.assets[sold], int(amount), sim.assets[bought], cause=sim.shock(sim.world), channel=1
    )
    settle(sim)
    return int(event)


def test_an_asset_quotes_its_reference_price() -> None:
    sim = pegged(price="1.25")
    assert mark(sim, "dai", "dai") == price(1.25)
    reprice(sim, "dai", "0.5")
    assert mark(sim, "dai", "dai") == price(0.5)


def test_leaving_the_band_is_a_failure_caused_by_the_trade_that_did_it() -> None:
    sim = pegged()
    trade(sim, 1.9)
    assert not rows(sim, "de-peg")
    event = trade(sim, 0.5)
    (row,) = rows(sim, "de-peg")
    assert (row.node, row.market, row.cause, row.first, row.generation) == ("dai", "desk", event, 1, 1)
    assert row.price == mark(sim, "desk", "dai") < price(0.98)


def test_exactly_at_the_edge_of_the_band_the_peg_holds() -> None:
    sim = pegged()
    node(sim, "desk").feeds[sim.assets["dai"]].move(price(0.98), sim.shock(sim.world), 1)
    settle(sim)
    assert not rows(sim, "de-peg")
    node(sim, "desk").feeds[sim.assets["dai"]].move(price(0.98) - 1, sim.shock(sim.world), 1)
    settle(sim)
    assert len(rows(sim, "de-peg")) == 1


def test_further_falls_outside_the_band_are_no_new_failure() -> None:
    sim = pegged()
    for _ in range(4):
        trade(sim, 3)
    assert len(rows(sim, "de-peg")) == 1


def test_a_peg_that_recovers_and_breaks_again_is_flagged_as_a_repeat() -> None:
    sim = pegged()
    trade(sim, 3)
    trade(sim, -2.5)
    assert mark(sim, "desk", "dai") > price(0.98)
    trade(sim, 3)
    assert [row.first for row in rows(sim, "de-peg")] == [1, 0]


def test_above_the_band_is_off_the_peg_too() -> None:
    sim = pegged()
    trade(sim, -3)
    (row,) = rows(sim, "de-peg")
    weighted = sim.log.failure_table.columns()["weighted"]
    assert row.price > price(1.02) and weighted.tolist() == [1.0]


def test_a_break_is_noticed_after_the_edges_latency() -> None:
    sim = build(peg_graph(latency="4s"))
    sim.run(0)
    trade(sim, 3)
    assert not rows(sim, "de-peg")
    settle(sim, 4)
    assert rows(sim, "de-peg")[0].time_us == 4 * SECOND + 1


def test_each_market_may_break_the_peg() -> None:
    sim = pegged(markets=("desk", "venue"))
    trade(sim, 3, "venue")
    trade(sim, 3, "desk")
    assert [(row.market, row.first) for row in rows(sim, "de-peg")] == [("venue", 1), ("desk", 0)]


def test_without_a_peg_no_price_is_a_failure() -> None:
    graph = peg_graph()
    del graph.nodes["dai"]["peg"], graph.nodes["dai"]["band"]
    sim = build(graph)
    sim.run(0)
    trade(sim, 50)
    assert not rows(sim, "de-peg")


def test_a_yield_grows_the_reference_price_by_the_hour() -> None:
    sim = build(peg_graph(yield_rate="0.0876", price=2))
    sim.run(3 * HOUR)
    step = 0.0876 / 8_760
    expected = [2 * 10**9 * (1 + step) ** n for n in range(4)]
    assert [at for at, _ in quotes(sim, "dai")] == [0, HOUR, 2 * HOUR, 3 * HOUR]
    assert [found for _, found in quotes(sim, "dai")] == pytest.approx(expected, abs=3)
    assert {row.cause for row in rows(sim, "yield")} == {0}


def test_an_issued_asset_is_owed_by_its_issuer_and_any_other_by_the_outside() -> None:
    graph = peg_graph()
    graph.nodes["dai"]["issuer"] = "maker"
    for name in ("maker", "ann"):
        graph.add_node(name, kind="account", path=("nodes", name))
    graph.add_edge("dai", "ann", role="holds", quantity=7, path=())
    graph.add_edge("usd", "ann", role="holds", quantity=5, path=())
    sim = build(graph)
    assert (held(sim, "ann", "dai"), held(sim, "maker", "dai"), held(sim, "world", "dai")) == (7 * 10**6, -7 * 10**6, 0)
    assert (held(sim, "ann", "usd"), held(sim, "world", "usd")) == (5 * 10**6, -5 * 10**6)
