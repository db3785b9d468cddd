"""Accounts only hold, the outside only stands on the other side."""

from typing import Any

import pytest

from contagion.assembly import build
from contagion.errors import BadInput
from tests.bank import bank_graph
from tests.sight import held, node, position, rows
from tests.worlds import graph_of, market, sale


def test_what_an_account_holds_at_the_start_the_outside_owes() -> None:
    nodes, edges = market()
    sim = build(graph_of(nodes, edges, []))
    assert held(sim, "holder", "eth") == 100 * 10**9
    assert held(sim, "world", "eth") == -5_100 * 10**9
    assert sim.ledger.max_imbalance() == 0


def test_positions_exist_at_the_start_and_no_market_was_used_for_them() -> None:
    sim = build(bank_graph({"ann": (1_000, 70_000)}))
    assert held(sim, "ann", "lender/eth/supply") == 1_000 * 10**9
    assert held(sim, "ann", "lender/usd/debt") == -70_000 * 10**6
    assert held(sim, "ann", "eth") == held(sim, "ann", "usd") == 0
    assert held(sim, "lender", "usd") == (10_000_000 - 70_000) * 10**6
    assert rows(sim) == []


def test_a_position_may_have_several_collaterals_and_debts() -> None:
    graph = bank_graph({})
    graph.add_node("ann", kind="account", path=("nodes", "ann"))
    both = {"collateral": {"eth": 10, "usd": 500}, "debt": {"usd": 300, "eth": 2}}
    graph.add_edge("ann", "lender", role="borrows", path=(), **both)
    sim = build(graph)
    lender, ann = node(sim, "lender"), position(sim, "ann")
    assert lender.health(ann) == pytest.approx((10 * 100 * 0.825 + 500 * 0.9) / (300 + 200))


def test_a_position_in_an_asset_without_a_reserve_is_refused_with_its_name() -> None:
    graph = bank_graph({})
    graph.add_node("doge", kind="asset", path=("nodes", "doge"))
    graph.add_node("ann", kind="account", path=("nodes", "ann"))
    graph.add_edge("ann", "lender", role="borrows", path=(), collateral={"doge": 1})
    with pytest.raises(BadInput, match=r"nodes\.ann: lender has no reserve of doge"):
        build(graph)


def test_an_account_does_nothing_by_itself() -> None:
    nodes, edges = market()
    sim = build(graph_of(nodes, edges, [sale(-0.5)]))
    sim.run(10_000_000)
    assert held(sim, "holder", "eth") == 100 * 10**9
    assert {row.node for row in rows(sim)} == {"world", "pool"}


def test_the_outside_may_owe_any_token() -> None:
    nodes, edges = market()
    sim = build(graph_of(nodes, edges, [sale(quantity=1_000_000)]))
    sim.run(10_000_000)
    assert held(sim, "world", "eth") == -1_005_100 * 10**9
    assert not sim.ledger.overdrafts()


def test_a_graph_has_one_outside() -> None:
    nodes: dict[str, Any] = {"usd": {"kind": "asset"}, "sea": {"kind": "world"}, "sky": {"kind": "world"}}
    with pytest.raises(BadInput, match="exactly one node of kind 'world'"):
        build(graph_of(nodes, [], []))


def test_an_outside_may_have_a_name_of_its_own() -> None:
    nodes, _ = market()
    nodes["sea"] = {"kind": "world"}
    sim = build(graph_of(nodes, [], [sale(-0.1, by="sea")]))
    sim.run(10_000_000)
    assert held(sim, "sea", "usd") < -9_000_000 * 10**6 and "world" not in sim.network.ids
