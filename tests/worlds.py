"""Small exposure graphs for tests: one builder a kind of node, each with a shock that reaches that node.

`WORLDS[kind]()` returns a graph at rest in which at least one node is of that kind and takes part. A new
mechanism needs a builder here; the contract in `tests/test_contracts.py` runs on it.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import networkx as nx

from contagion.graph import build

Table = dict[str, Any]


def graph_of(nodes: dict[str, Table], edges: list[Table], shocks: list[Table], **facts: Any) -> nx.MultiDiGraph:
    """Return the graph of node, edge and shock tables as a scenario has them, half an hour long."""
    graph = build(nodes, edges)
    graph.graph.update({"name": "small", "horizon_us": 1_800_000_000, "shocks": shocks} | facts)
    return graph


def edge(role: str, source: str, target: str, latency: str = "0s", **facts: Any) -> Table:
    """Return an edge as a scenario has it."""
    return {"role": role, "from": source, "to": target, "latency": latency, **facts}


def sale(size: float | None = None, **facts: Any) -> Table:
    """Return a sale of eth at the pool, one second after the start, that moves the price by `size`."""
    measure = {} if size is None else {"size": size}
    return {"kind": "sale", "market": "pool", "asset": "eth", "at": "1s"} | measure | facts


def market() -> tuple[dict[str, Table], list[Table]]:
    """Return a dollar, an asset at 2,000 and a pool of both."""
    nodes: dict[str, Table] = {
        "usd": {"kind": "asset", "decimals": 6},
        "eth": {"kind": "asset", "decimals": 9, "price": 2000, "market": "pool"},
        "pool": {"kind": "amm", "assets": ["eth", "usd"], "balances": {"eth": 5_000, "usd": 10_000_000}},
        "holder": {"kind": "account", "balances": {"eth": 100}},
    }
    return nodes, []


def lending() -> tuple[dict[str, Table], list[Table]]:
    """Return the market with an oracle, a lender, three borrowers of rising health and a liquidator."""
    nodes, edges = market()
    nodes |= {
        "oracle": {"kind": "oracle", "asset": "eth", "source": "pool"},
        "lender": {
            "kind": "lending_protocol",
            "reserves": {
                "eth": {"ltv": 0.8, "threshold": 0.825, "bonus": 0.05},
                "usd": {"base_rate": 0.01, "slope1": 0.04, "slope2": 0.6},
            },
        },
        "supplier": {"kind": "account"},
        "keeper": {"kind": "liquidator", "gas": 5, "balances": {"usd": 3_000_000}},
    }
    edges += [
        edge("prices", "pool", "oracle", "1s"),
        edge("prices", "oracle", "lender"),
        edge("prices", "usd", "lender"),
        edge("claims", "lender", "supplier", asset="usd", quantity=5_000_000),
        edge("liquidations", "lender", "keeper", "500ms"),
        edge("prices", "pool", "keeper"),
        edge("trades", "keeper", "pool"),
    ]
    for number, debt in enumerate([750_000, 680_000, 600_000]):
        name = f"borrower{number}"
        nodes[name] = {"kind": "account"}
        edges.append(edge("borrows", name, "lender", collateral={"eth": 500}, debt={"usd": debt}))
        edges.append(edge("lends", "lender", name))
    return nodes, edges


def lending_world() -> nx.MultiDiGraph:
    """Return a lender whose borrowers a sale makes open to liquidation, and a supplier who wants out."""
    nodes, edges = lending()
    out = {"kind": "withdrawal", "by": "supplier", "lender": "lender", "asset": "usd", "quantity": 4_000_000}
    return graph_of(nodes, edges, [sale(-0.2), out | {"at": "5s"}])


def asset_world() -> nx.MultiDiGraph:
    """Return a stablecoin that leaves its peg, and a coin that earns a yield."""
    nodes, edges = market()
    nodes["eth"]["yield_rate"] = 0.05
    nodes["dai"] = {"kind": "asset", "decimals": 6, "peg": 1, "band": 0.01}
    nodes["curve"] = {
        "kind": "amm", "assets": ["dai", "usd"], "curve": "stableswap", "amplification": 50,
        "balances": {"dai": 1_000_000, "usd": 1_000_000},
    }  # fmt: skip
    edges.append(edge("prices", "curve", "dai", "2s"))
    shock = {"kind": "sale", "market": "curve", "asset": "dai", "quantity": 900_000}
    return graph_of(nodes, edges, [shock], horizon_us=7_200_000_000)


def amm_world() -> nx.MultiDiGraph:
    """Return a pool whose numeraire another pool prices."""
    nodes, edges = market()
    nodes["pepe"] = {"kind": "asset", "decimals": 2, "price": 0.01}
    nodes["cross"] = {"kind": "amm", "assets": ["pepe", "eth"], "balances": {"pepe": 100_000_000, "eth": 500}}
    edges.append(edge("prices", "pool", "cross", "1s", asset="eth"))
    return graph_of(nodes, edges, [sale(-0.3, steps=4, over="1min")])


def impact_world() -> nx.MultiDiGraph:
    """Return a market with an impact law that re-quotes to its asset's reference price."""
    nodes, edges = market()
    nodes["desk"] = {"kind": "impact", "asset": "eth", "numeraire": "usd", "depth": 5_000}
    edges.append(edge("prices", "eth", "desk"))
    drop = {"kind": "reprice", "asset": "eth", "size": -0.1, "at": "2min"}
    return graph_of(nodes, edges, [sale(quantity=300, market="desk"), drop])


def oracle_world() -> nx.MultiDiGraph:
    """Return oracles of every source, late and in steps."""
    nodes, edges = market()
    nodes["second"] = nodes["pool"] | {}
    for source in ("pool", "book", "index", "twap", "redemption"):
        name = f"oracle-{source}"
        nodes[name] = {"kind": "oracle", "asset": "eth", "source": source, "latency": "3s", "heartbeat": "2min"}
        markets = ["pool", "second"] if source == "index" else ["eth" if source == "redemption" else "pool"]
        edges += [edge("prices", m, name, "1s") for m in markets]
    drop = {"kind": "reprice", "asset": "eth", "size": -0.1, "at": "2min"}
    return graph_of(nodes, edges, [sale(-0.2), sale(-0.1, market="second"), drop])


def looper_world() -> nx.MultiDiGraph:
    """Return a looper who unwinds when its health falls."""
    nodes, edges = lending()
    nodes["looper"] = {
        "kind": "looper", "collateral": "eth", "debt": "usd", "equity": 50, "ltv": 0.75, "rounds": 3,
        "yield_rate": 0.03, "unwind_below": 1.15, "unwind_to": 1.2, "latency": "1s",
    }  # fmt: skip
    edges += [
        edge("borrows", "looper", "lender"),
        edge("lends", "lender", "looper"),
        edge("prices", "oracle", "looper", "1s"),
        edge("trades", "looper", "pool"),
    ]
    return graph_of(nodes, edges, [sale(-0.16)])


def population_world() -> nx.MultiDiGraph:
    """Return crowds of borrowers, of traders and of holders, each drawn from its node's own stream."""
    from tests import venue_worlds

    nodes, edges = lending()
    more, links = venue_worlds.venue(funding_interval="0s")
    nodes, edges = more | nodes, edges + links
    venue_worlds.add_maker(nodes, edges)
    venue_worlds.add_crowds(nodes, edges)
    nodes["crowd"] = {
        "kind": "population", "count": 25, "collateral": "eth", "debt": "usd", "total": 1000,
        "health_floor": 1.05, "health_median": 1.3,
    }  # fmt: skip
    edges += [edge("borrows", "crowd", "lender"), edge("lends", "lender", "crowd")]
    return graph_of(nodes, edges, [sale(-0.25), venue_worlds.fall(-0.25)])


def issuer_world() -> nx.MultiDiGraph:
    """Return a stablecoin taken as collateral, whose delta-neutral issuer redeems and mints until it runs dry."""
    from tests import venue_worlds

    nodes, edges = lending()
    more, links = venue_worlds.venue(funding_interval="5min", funding_interest="1bps")
    nodes, edges = nodes | more, edges + links
    venue_worlds.add_maker(nodes, edges)
    nodes["dai"] = {"kind": "asset", "decimals": 6, "price": 1, "issuer": "issuer"}
    nodes["thin"] = {"kind": "amm", "assets": ["dai", "usd"], "balances": {"dai": 100_000, "usd": 100_000}}
    nodes["dai-oracle"] = {"kind": "oracle", "asset": "dai", "source": "pool"}
    nodes["issuer"] = {
        "kind": "stablecoin_issuer", "asset": "dai", "payout": "usd", "delay": "1min", "balances": {"usd": 450_000},
        "mint_capacity": 100_000, "backing": {"eth-spot": {"hedge": "eth-perp", "share": 0.3}}, "floor": 300_000,
        "unwind": 20_000, "yield_interval": "10min", "reward_rate": 0.04,
    }  # fmt: skip
    nodes["lender"]["reserves"]["dai"] = {"ltv": 0.8, "threshold": 0.85, "bonus": 0.04}
    nodes |= {"pledger": {"kind": "account"}, "holder": {"kind": "account", "balances": {"dai": 400_000, "eth": 100}}}
    edges += [
        edge("prices", "thin", "dai-oracle"),
        edge("prices", "dai-oracle", "lender"),
        edge("borrows", "pledger", "lender", collateral={"dai": 300_000}, debt={"usd": 240_000}),
        edge("lends", "lender", "pledger"),
        edge("redeems", "issuer", ["keeper", "holder"]),
        edge("margin", "exchange", "issuer", "20ms", balances={"eth": 225}, positions={"eth-perp": {"quantity": -225}}),
        edge("trades", "issuer", ["eth-spot", "eth-perp"]),
    ]
    asks = {"by": "holder", "issuer": "issuer", "quantity": 200_000, "steps": 5, "over": "4min"}
    return graph_of(
        nodes, edges,
        [sale(-0.1, market="thin", asset="dai"), {"kind": "redemption", "at": "1min"} | asks,
         {"kind": "mint", "at": "15min"} | asks | {"quantity": 100_000}],
    )  # fmt: skip


def bank_world() -> nx.MultiDiGraph:
    """Return banks of both resolutions: some clear, one writes down, one must sell when the price falls."""
    nodes, edges = market()
    nodes["desk"] = {"kind": "impact", "asset": "eth", "numeraire": "usd", "depth": 5_000}
    nodes["depositors"] = {"kind": "account"}
    due = {"clearing": "10min", "declaration": "1min", "revision": "5s", "settlement": "10min"}
    for number, cash in enumerate([60, 20, 40]):
        name = f"clears{number}"
        nodes[name] = {"kind": "bank", "asset": "usd", "balances": {"usd": cash}, "recovery_external": 0.9} | due
        edges.append(edge("claims", name, f"clears{(number + 1) % 3}", "1s", quantity=100))
        edges.append(edge("claims", name, "depositors", quantity=10, seniority=1))
    for number, balances in enumerate([{"usd": 1_000}, {"usd": 100, "eth": 1}]):
        name = f"writes{number}"
        nodes[name] = {"kind": "bank", "asset": "usd", "resolution": "write-down", "balances": balances}
        nodes[name]["loss_given_default"] = 0.4
        edges += [edge("prices", "desk", name, "1s"), edge("trades", name, "desk")]
        edges.append(edge("claims", name, "depositors", quantity=[890, 2_020][number]))
    nodes["writes1"] |= {"leverage_limit": 16, "leverage_target": 14}
    edges += [edge("prices", "eth", "desk"), edge("claims", "writes0", "writes1", "2s", quantity=60)]
    shocks = [
        {"kind": "reprice", "asset": "eth", "size": "-2%", "at": "1min"},
        {"kind": "loss", "node": "clears0", "asset": "usd", "quantity": 58, "at": "2min"},
        {"kind": "loss", "node": "writes0", "asset": "usd", "quantity": 60, "at": "3min"},
    ]
    return graph_of(nodes, edges, shocks)


def market_world() -> nx.MultiDiGraph:
    """Return a pool that the outside and a holder sell to."""
    nodes, edges = market()
    return graph_of(nodes, edges, [sale(-0.2), sale(quantity=60, by="holder", at="2s")])


def _venue(name: str) -> Callable[[], nx.MultiDiGraph]:
    """Return a builder of `tests.venue_worlds`, which is imported when it is called."""
    return lambda: getattr(import_module("tests.venue_worlds"), name)()


WORLDS: dict[str, Callable[[], nx.MultiDiGraph]] = {
    "account": lending_world,
    "amm": amm_world,
    "arbitrageur": _venue("arbitrage_world"),
    "asset": asset_world,
    "bank": bank_world,
    "dip_buyer": _venue("dip_world"),
    "exchange": _venue("exchange_world"),
    "impact": impact_world,
    "lending_protocol": lending_world,
    "liquidator": lending_world,
    "looper": looper_world,
    "market_maker": _venue("maker_world"),
    "oracle": oracle_world,
    "order_book": _venue("book_world"),
    "population": population_world,
    "stablecoin_issuer": issuer_world,
    "whale": _venue("whale_world"),
    "world": market_world,
}
"""A builder a kind."""
