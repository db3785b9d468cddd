"""Positions that come back, and money that comes back: a liquidator hears of both."""

import networkx as nx

from contagion.study.twins import run
from tests.worlds import edge, graph_of, lending, sale


def falls(*steps: tuple[str, float]) -> nx.MultiDiGraph:
    """Return a lender and three borrowers under sales of ether, each (when, size)."""
    nodes, edges = lending()
    return graph_of(nodes, edges, [sale(size) | {"at": at} for at, size in steps])


def liquidations(graph: nx.MultiDiGraph, who: str) -> list[int]:
    rows = run(graph, twins=False).events.to_pylist()
    return [row["time_us"] for row in rows if row["kind"] == "liquidation" and row["node"] == who]


def test_a_position_that_a_liquidation_healed_is_called_again_when_it_relapses() -> None:
    once = liquidations(falls(("1s", -0.10)), "borrower0")
    again = liquidations(falls(("1s", -0.10), ("10min", -0.20)), "borrower0")
    assert again[: len(once)] == once
    assert len(again) > len(once) and again[-1] > 600_000_000


def test_a_relapse_is_put_down_to_the_price_that_made_it() -> None:
    result = run(falls(("1s", -0.10), ("10min", -0.20)), twins=False)
    rows = result.events.to_pylist()
    last = max(row["event"] for row in rows if row["kind"] == "liquidation" and row["node"] == "borrower0")
    assert result.why(last).hops[0].time_us == 600_000_000


def test_a_liquidator_whose_money_was_on_its_way_acts_when_it_arrives() -> None:
    nodes, edges = lending()
    nodes["dai"] = {"kind": "asset", "decimals": 6, "issuer": "issuer"}
    nodes["issuer"] = {
        "kind": "stablecoin_issuer", "asset": "dai", "payout": "usd", "fee": 0, "delay": "5min",
        "balances": {"usd": 1_000_000},
    }  # fmt: skip
    nodes["lender"]["reserves"] = dict(nodes["lender"]["reserves"]) | {
        "dai": {"ltv": 0.8, "threshold": 0.825, "bonus": 0.05, "borrowable": False}
    }
    nodes["keeper"] = nodes["keeper"] | {"balances": {"usd": 50_000}}
    nodes["saver"] = {"kind": "account"}
    edges += [
        edge("prices", "dai", "lender"),
        edge("redeems", "issuer", "keeper", "1s"),
        edge("borrows", "saver", "lender", collateral={"dai": 1_000_000}, debt={"usd": 820_000}),
        edge("lends", "lender", "saver"),
    ]
    drop = {"kind": "reprice", "asset": "dai", "size": -0.05, "at": "1min"}
    rows = run(graph_of(nodes, edges, [drop]), twins=False).events.to_pylist()
    times = sorted({row["time_us"] for row in rows if row["kind"] == "liquidation"})
    paid = sorted({row["time_us"] for row in rows if row["kind"] == "settlement"})
    assert len(times) > 1
    assert times[1] == paid[0]
