"""The INT cases as exposure graphs: a pool, an oracle that is the pool, a lender, borrowers, a liquidator."""

from typing import Any

import networkx as nx

from tests.worlds import edge, graph_of


def integrated_graph(case: dict[str, Any]) -> nx.MultiDiGraph:
    """Return the graph of an INT case: one round is one second, the time the oracle takes."""
    inputs = case["inputs"]
    debt = sum(position["debt"] for position in inputs["positions"])
    nodes: dict[str, Any] = {
        "usd": {"kind": "asset", "decimals": 6},
        "eth": {"kind": "asset", "decimals": 12, "price": inputs["y"] / inputs["x"], "market": "pool"},
        "pool": {
            "kind": "amm", "assets": ["eth", "usd"], "fee": inputs["fee"],
            "balances": {"eth": inputs["x"], "usd": inputs["y"]},
        },
        "oracle": {"kind": "oracle", "asset": "eth", "source": "pool"},
        "lender": {
            "kind": "lending_protocol", "block_time": "0s", "close_factor": inputs["close_factor"],
            "reserves": {
                "eth": {"ltv": inputs["LT"], "threshold": inputs["LT"], "bonus": inputs["bonus"], "protocol_fee": 0},
                "usd": {},
            },
        },
        "suppliers": {"kind": "account"},
        "seller": {"kind": "account", "balances": {"eth": inputs["shock_sell"]}},
        "liq": {"kind": "liquidator", "unconditional": True, "balances": {"usd": inputs["liquidator_cash"]}},
    }  # fmt: skip
    edges = [
        edge("prices", "pool", "oracle", "1s"),
        edge("prices", "oracle", "lender"),
        edge("prices", "usd", "lender"),
        edge("claims", "lender", "suppliers", asset="usd", quantity=debt),
        edge("liquidations", "lender", "liq"),
        edge("trades", "liq", "pool"),
        edge("trades", "seller", "pool"),
    ]
    for position in inputs["positions"]:
        name = position["id"]
        nodes[name] = {"kind": "account"}
        pledge = {"collateral": {"eth": position["coll"]}, "debt": {"usd": position["debt"]}}
        edges += [edge("borrows", name, "lender", **pledge), edge("lends", "lender", name)]
    shock = {"kind": "sale", "by": "seller", "market": "pool", "asset": "eth", "quantity": inputs["shock_sell"]}
    return graph_of(nodes, edges, [shock], monotone=True)
