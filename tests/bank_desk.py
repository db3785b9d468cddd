"""A debtor, a creditor and a depositor, for tests of one bank at a time; and what a run of them left."""

from typing import Any

import networkx as nx
import pytest

from contagion.assembly import build, collect
from contagion.errors import BadInput
from contagion.runs import Run
from contagion.simulation import Simulation
from tests.interbank import HOUR
from tests.invariants import watch_books
from tests.worlds import edge, graph_of

MONEY: dict[str, Any] = {"usd": {"kind": "asset", "decimals": 2}}
CLEARS: dict[str, Any] = {"clearing": "1h", "declaration": "1h", "revision": "1s", "settlement": "10h"}


def bank(cash: float = 0, **facts: Any) -> dict[str, Any]:
    return {"kind": "bank", "asset": "usd", "balances": {"usd": cash}} | facts


def loss(node: str, quantity: float, at: str = "1min", asset: str = "usd") -> dict[str, Any]:
    return {"kind": "loss", "node": node, "asset": asset, "quantity": quantity, "at": at}


def pair(lost: float = 15, latency: str = "5s", **facts: Any) -> nx.MultiDiGraph:
    """Return a debtor with 100 that owes 60 to a bank and 30 to a depositor, and loses something."""
    nodes: dict[str, Any] = MONEY | {
        "debtor": bank(100, **facts), "creditor": bank(20, **facts), "depositor": {"kind": "account"},
    }  # fmt: skip
    edges = [
        edge("claims", "debtor", "creditor", latency, quantity=60),
        edge("claims", "debtor", "depositor", quantity=30),
    ]
    return graph_of(nodes, edges, [loss("debtor", lost)], horizon_us=24 * HOUR)


def finished(graph: nx.MultiDiGraph) -> tuple[Simulation, Run]:
    sim = build(graph)
    watch_books(sim)
    sim.run(graph.graph["horizon_us"])
    return sim, collect(sim, graph)


def rows(result: Run, kind: str) -> list[dict[str, Any]]:
    return [row for row in result.events.to_pylist() if row["kind"] == kind]


def money(sim: Simulation, node: str, asset: str = "usd") -> float:
    number = sim.assets[asset]
    return sim.ledger.balances[sim.network.ids[node]][number] / 10 ** sim.ledger.assets[number].decimals


def with_coins(graph: nx.MultiDiGraph, quantity: float) -> nx.MultiDiGraph:
    """Give the debtor coins worth 10 each that nobody buys."""
    graph.add_node("eth", kind="asset", decimals=4, price=10, path=())
    graph.add_edge("eth", "debtor", role="holds", quantity=quantity, path=())
    graph.add_edge("eth", "debtor", role="prices", path=())
    return graph


SALE: dict[str, Any] = {"resolution": "write-down", "leverage_limit": 12, "leverage_target": 10}


def seller(cash: float = 20, lost: float = 10, **facts: Any) -> nx.MultiDiGraph:
    """Return a bank with loans of 30 and two coins of 100 and 50 that owes a depositor all but 20."""
    nodes: dict[str, Any] = {
        "usd": {"kind": "asset", "decimals": 6}, "loan": {"kind": "asset", "decimals": 6},
        "depositor": {"kind": "account"}, "bank": bank(cash, **SALE | facts),
    }  # fmt: skip
    edges = [edge("claims", "bank", "depositor", quantity=cash + 160), edge("prices", "loan", "bank")]
    nodes["bank"]["balances"] |= {"loan": 30, "a": 100, "b": 50}
    for coin in "ab":
        nodes[coin] = {"kind": "asset", "decimals": 6, "market": f"market-{coin}"}
        nodes[f"market-{coin}"] = {"kind": "impact", "asset": coin, "numeraire": "usd", "depth": 10_000}
        edges += [edge("prices", f"market-{coin}", "bank", "1s"), edge("trades", "bank", f"market-{coin}", "2s")]
    return graph_of(nodes, edges, [loss("bank", lost, asset="loan")], horizon_us=600_000_000)


def refused(graph: nx.MultiDiGraph) -> str:
    with pytest.raises(BadInput) as error:
        build(graph)
    return str(error.value)
