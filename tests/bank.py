"""A lender that reads reference prices at once, so that a test can set prices and call its verbs by hand."""

from typing import Any

import networkx as nx

from contagion.assembly import build
from contagion.simulation import Simulation
from tests.worlds import edge, graph_of

ETH = {"ltv": 0.8, "threshold": 0.825, "bonus": 0.05, "protocol_fee": 0.1}


def bank_graph(
    borrowers: dict[str, tuple[Any, Any]],
    *,
    supply: Any = 10_000_000,
    price: float = 100,
    eth: dict[str, Any] | None = None,
    usd: dict[str, Any] | None = None,
    **lender: Any,
) -> nx.MultiDiGraph:
    """Return a dollar, an ether, their lender, borrowers (ether pledged, dollars owed) and a full purse."""
    nodes: dict[str, dict[str, Any]] = {
        "usd": {"kind": "asset", "decimals": 6},
        "eth": {"kind": "asset", "decimals": 9, "price": price},
        "lender": {
            "kind": "lending_protocol", "block_time": "0s",
            "reserves": {"eth": ETH | (eth or {}), "usd": {"threshold": 0.9, "ltv": 0.85} | (usd or {})},
        } | lender,
        "supplier": {"kind": "account"},
        "purse": {"kind": "account", "balances": {"usd": 10_000_000, "eth": 10_000}},
    }  # fmt: skip
    edges = [
        edge("prices", "eth", "lender"),
        edge("prices", "usd", "lender"),
        edge("claims", "lender", "supplier", asset="usd", quantity=supply),
    ]
    for name, (pledge, debt) in borrowers.items():
        nodes[name] = {"kind": "account"}
        edges.append(edge("borrows", name, "lender", collateral={"eth": pledge}, debt={"usd": debt}))
        edges.append(edge("lends", "lender", name))
    return graph_of(nodes, edges, [])


def bank(borrowers: dict[str, tuple[Any, Any]], **facts: Any) -> Simulation:
    """Return a running simulation of `bank_graph`, at rest."""
    sim = build(bank_graph(borrowers, **facts))
    sim.run(0)
    return sim
