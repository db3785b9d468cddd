"""A call auction: one price for all orders of a round, when it is found, and who hears of it."""

from math import exp
from typing import Any

import networkx as nx
import pytest

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.ledger import Refused
from contagion.simulation import Simulation
from contagion.units import PPM, SECOND
from tests.sight import give, held, mark, node, price, quotes, reprice, rows, settle
from tests.worlds import Table, edge, graph_of, sale

ETH, USD = 10**9, 10**6
DEPTH = 700


def auction_graph(traders: int = 3, *, shocks: list[Table] | None = None, **terms: Any) -> nx.MultiDiGraph:
    """Return a market for ether at 2,000 dollars with an auction a minute, and traders without anything."""
    nodes: dict[str, Table] = {
        "usd": {"kind": "asset", "decimals": 6},
        "eth": {"kind": "asset", "decimals": 9, "price": 2_000},
        "desk": {
            "kind": "impact", "asset": "eth", "numeraire": "usd", "depth": DEPTH, "auction": {"every": "1min"} | terms,
        },
    } | {f"trader{number}": {"kind": "account"} for number in range(traders)}  # fmt: skip
    return graph_of(nodes, [edge("prices", "eth", "desk")], shocks or [])


def opened(**terms: Any) -> Simulation:
    sim = build(auction_graph(**terms))
    sim.run(0)
    return sim


def order(sim: Simulation, trader: int, tokens: int, *, has: int | None = None, cause: int | None = None) -> list[Any]:
    """Give a trader tokens, let it order to sell some; return the list that its fill will be in."""
    own = has if has is not None else tokens
    given = give(sim, f"trader{trader}", "eth", own * ETH) if own else 0
    fills: list[Any] = []
    holder = sim.network.ids[f"trader{trader}"]
    node(sim, "desk").order(holder, tokens * ETH, fills.append, cause=given if cause is None else cause, channel=19)
    return fills


def at(sim: Simulation, seconds: float) -> None:
    sim.run(round(seconds * SECOND))


def test_all_orders_of_a_round_are_paid_the_price_that_their_total_leaves() -> None:
    sim = opened()
    fills = [order(sim, trader, tokens) for trader, tokens in enumerate([30, 50, 20])]
    at(sim, 60)
    left = mark(sim, "desk", "eth")
    assert left == pytest.approx(price(2_000) * exp(-100 / DEPTH), abs=1)
    assert [fill.received for (fill,) in fills] == [tokens * left * USD // 10**9 for tokens in (30, 50, 20)]
    assert [row.price for row in rows(sim, "trade")] == [left] * 3
    assert held(sim, "trader1", "usd") == 50 * left * USD // 10**9 and held(sim, "trader1", "eth") == 0


def test_or_the_mean_of_the_prices_before_and_after() -> None:
    sim = opened(pays="mean")
    fills = order(sim, 0, 100)
    at(sim, 60)
    mean = (price(2_000) + mark(sim, "desk", "eth")) // 2
    assert mark(sim, "desk", "eth") == pytest.approx(price(2_000) * exp(-100 / DEPTH), abs=1)
    assert fills[0].received == 100 * mean * USD // 10**9


def test_nothing_happens_before_the_cut_off_and_an_order_that_arrives_at_it_is_one_of_the_next() -> None:
    sim = opened()
    early = order(sim, 0, 10)
    at(sim, 59)
    assert not early and mark(sim, "desk", "eth") == price(2_000)
    at(sim, 60)
    assert early and rows(sim, "trade")[0].time_us == 60 * SECOND
    late = order(sim, 1, 10)
    at(sim, 119)
    assert not late
    at(sim, 120)
    assert late[0].received < early[0].received


def test_a_further_order_replaces_the_first_and_none_takes_it_back() -> None:
    sim = opened()
    first, _ = order(sim, 0, 40), order(sim, 1, 25)
    second = order(sim, 0, 10, has=0)
    order(sim, 1, 0, has=0)
    at(sim, 60)
    assert not first and second
    assert [(row.quantity, row.market) for row in rows(sim, "trade")] == [(10 * ETH, "desk")]
    assert held(sim, "trader0", "eth") == 30 * ETH and held(sim, "trader1", "eth") == 25 * ETH


def test_orders_that_are_all_taken_back_leave_no_trace() -> None:
    sim = opened()
    order(sim, 0, 40)
    order(sim, 0, 0, has=0)
    at(sim, 60)
    assert not rows(sim, "auction", "trade") and mark(sim, "desk", "eth") == price(2_000)


def test_who_was_first_is_immaterial() -> None:
    def run(turns: list[int]) -> list[int]:
        sim = opened()
        for trader in turns:
            settle(sim, 1)
            order(sim, trader, 10 * (trader + 1))
        at(sim, 60)
        return [held(sim, f"trader{number}", "usd") for number in range(3)]

    assert run([0, 1, 2]) == run([2, 0, 1])


def test_what_a_holder_does_not_have_at_the_cut_off_is_left_out() -> None:
    sim = opened()
    order(sim, 0, 40, has=15)
    order(sim, 1, 40, has=0)
    at(sim, 60)
    assert [row.quantity for row in rows(sim, "trade")] == [15 * ETH]
    assert mark(sim, "desk", "eth") == pytest.approx(price(2_000) * exp(-15 / DEPTH), abs=1)


def test_the_price_at_which_orders_would_clear_is_shown_and_then_paid() -> None:
    sim = opened(indication="2s")
    order(sim, 0, 40)
    at(sim, 10)
    order(sim, 1, 60)
    at(sim, 20)
    order(sim, 0, 10, has=0)
    at(sim, 59)
    steps = [(time // SECOND, at) for time, at in quotes(sim, "desk")]
    expected = [(0, 0), (2, 40), (12, 100), (22, 70)]
    assert [second for second, _ in steps] == [second for second, _ in expected]
    assert [p for _, p in steps] == pytest.approx([price(2_000) * exp(-q / DEPTH) for _, q in expected], abs=1)
    assert not rows(sim, "trade")
    at(sim, 60)
    assert [row.price for row in rows(sim, "trade")] == [steps[-1][1]] * 2
    assert len(quotes(sim, "desk")) == len(steps)


def test_a_law_of_values_asks_for_the_value_at_the_price_before_and_a_floor_leaves_a_share_of_that() -> None:
    sim = opened(measure="value", floor=0.25)
    order(sim, 0, 1)
    at(sim, 60)
    assert mark(sim, "desk", "eth") == pytest.approx(price(2_000) * (0.25 + 0.75 * exp(-2_000 / DEPTH)), abs=1)


def test_a_reference_price_that_moves_meanwhile_moves_what_orders_start_from() -> None:
    sim = opened(indication="1s")
    order(sim, 0, 70)
    at(sim, 10)
    reprice(sim, "eth", 1_000)
    at(sim, 60)
    assert mark(sim, "desk", "eth") == pytest.approx(price(1_000) * exp(-0.1), abs=2)


def test_what_is_less_than_half_a_step_of_the_price_moves_nothing() -> None:
    graph = auction_graph()
    graph.nodes["desk"]["price"] = 0.5
    sim = build(graph)
    sim.run(0)
    given = give(sim, "trader0", "eth", 1)
    node(sim, "desk").order(sim.network.ids["trader0"], 1, lambda fill: None, cause=given, channel=19)
    at(sim, 60)
    assert rows(sim, "trade") and mark(sim, "desk", "eth") == price(0.5)


def test_the_largest_order_sets_the_price_off_and_the_others_contribute_with_their_mean_generation() -> None:
    sim = opened()
    shock = give(sim, "trader0", "eth", 1)
    failed = [sim.record("forced-unwind", sim.network.ids[f"trader{n}"], cause=shock) for n in range(2)]
    deeper = sim.record("forced-unwind", sim.network.ids["trader2"], cause=failed[0])
    for trader, (tokens, cause) in enumerate([(10, failed[0]), (30, failed[1]), (60, deeper)]):
        order(sim, trader, tokens, cause=cause)
    at(sim, 60)
    (found,) = rows(sim, "auction")
    assert (found.cause, found.generation, found.quantity) == (deeper, 2, 100 * ETH)
    assert sim.log.weighted_generation(found.id) == pytest.approx(0.4 * 1 + 0.6 * 2)
    extra = sim.log.contributions.columns()
    got = zip(*(extra[name].tolist() for name in ("event", "contributor", "weight")), strict=True)
    assert list(got) == [(found.id, failed[0], 0.1), (found.id, failed[1], 0.3)]
    assert [row.cause for row in rows(sim, "trade")] == [failed[0], failed[1], deeper]


def test_a_fee_is_taken_from_every_seller() -> None:
    graph = auction_graph()
    graph.nodes["desk"]["fee"] = "1%"
    sim = build(graph)
    sim.run(0)
    fills = order(sim, 0, 10)
    at(sim, 60)
    gross = 10 * mark(sim, "desk", "eth") * USD // 10**9
    assert fills[0].received == gross - gross * 10_000 // PPM


def test_nobody_trades_at_once() -> None:
    sim = opened()
    given = give(sim, "trader0", "eth", ETH)
    with pytest.raises(Refused, match="desk clears by auction"):
        trader = sim.network.ids["trader0"]
        node(sim, "desk").trade(trader, sim.assets["eth"], ETH, sim.assets["usd"], cause=given, channel=1)


def refusal(graph: nx.MultiDiGraph) -> str:
    with pytest.raises(BadInput) as refused:
        build(graph)
    return str(refused.value)


def test_what_cannot_be_is_refused_by_its_path() -> None:
    assert "nodes.desk.auction.every: the time between two cut-offs cannot be 0" in refusal(auction_graph(every="0s"))
    assert "nodes.desk.auction.pays: Input should be 'last' or 'mean'" in refusal(auction_graph(pays="first"))
    graph = auction_graph()
    graph.nodes["desk"]["contract"] = "perpetual"
    assert "contracts are sold at once: an 'auction' is for a spot market" in refusal(graph)
    graph = auction_graph()
    graph.add_node("keeper", kind="liquidator", path=("nodes", "keeper"))
    graph.add_edge("keeper", "desk", role="trades", path=("edges", 1))
    assert "trades at once, as every 'liquidator'; this market clears by auction" in refusal(graph)
    shocks = [sale(market="desk", quantity=5)]
    assert "shocks[0].market: 'desk' clears by auction" in refusal(auction_graph(shocks=shocks))
