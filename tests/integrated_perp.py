"""INT-05 as an exposure graph: an impact market for perpetuals, an exchange without order limits, and its accounts."""

from typing import Any

import networkx as nx

from tests.worlds import edge, graph_of


def integrated_perp_graph(case: dict[str, Any], ranking: str) -> nx.MultiDiGraph:
    """Return the graph of a case; one round is one interval, and the shock is a fall of the fundamental."""
    inputs = case["inputs"]
    nodes: dict[str, Any] = {
        "usd": {"kind": "asset", "decimals": 6},
        "eth": {"kind": "asset", "decimals": 6, "price": inputs["P0"]},
        "perp": {
            "kind": "impact", "asset": "eth", "numeraire": "usd", "contract": "perpetual", "law": "absolute",
            "depth": 1 / inputs["kappa"],
        },
        "exchange": {
            "kind": "exchange", "settlement": "usd", "order_limit": "none", "funding_interval": "0s",
            "contracts": {"perp": {"tiers": [[0, inputs["mmr"]]]}},
            "deleveraging": {"ranking": ranking, "settlement": "haircut"},
        },
        "fund": {"kind": "account"},
    }  # fmt: skip
    edges = [
        edge("prices", "eth", "perp"),
        edge("prices", "perp", "exchange"),
        edge("trades", "exchange", "perp"),
        edge("funds", "exchange", "fund"),
        edge("margin", "exchange", "fund", balances={"usd": inputs["insurance_fund"]}),
    ]
    for side, accounts in ((1, inputs["longs"]), (-1, inputs["shorts"])):
        for account in accounts:
            nodes[account["id"]] = {"kind": "account"}
            position = {"quantity": side * account["q"], "entry": account["entry"]}
            cash = {"usd": account["margin"]}
            edges.append(edge("margin", "exchange", account["id"], balances=cash, positions={"perp": position}))
    shock = {"kind": "reprice", "asset": "eth", "size": -inputs["shock"] / inputs["P0"], "at": "500ms"}
    return graph_of(nodes, edges, [shock], horizon_us=20_000_000)
