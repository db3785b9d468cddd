"""Small exposure graphs of exchanges: books, makers, arbitrageurs, accounts and crowds, each with its shock."""

from typing import Any

import networkx as nx

from tests.worlds import Table, edge, graph_of

STUBS = [{"at": at, "quantity": 50} for at in (0.2, 0.3, 0.4, 0.5, 0.6, 1.5, 2, 3)]
CONTRACTS = {"eth-perp": {"tiers": [[0, 0.01], [500_000, 0.02]], "index": {"eth": 1}}}


def venue(**terms: Any) -> tuple[dict[str, Table], list[Table]]:
    """Return a dollar, ether at 2,000 with a spot and a perpetual book, and the exchange that clears both."""
    coins = {"eth": {"ratios": [[0, 0.9]], "market": "eth-spot", "loan_rate": 0.05}}
    book = {"kind": "order_book", "asset": "eth", "numeraire": "usd", "tick": 0.1, "lot": 0.01, "stubs": STUBS}
    nodes: dict[str, Table] = {
        "usd": {"kind": "asset", "decimals": 6},
        "eth": {"kind": "asset", "decimals": 6, "price": 2000, "market": "eth-spot"},
        "eth-spot": book | {"taker_fee": "5bps", "maker_fee": "2bps"},
        "eth-perp": book | {"contract": "perpetual"},
        "exchange": {"kind": "exchange", "settlement": "usd", "assets": coins, "contracts": CONTRACTS} | terms,
        "fund": {"kind": "account"},
    }
    edges = [
        edge("trades", "exchange", ["eth-spot", "eth-perp"]),
        edge("prices", ["eth-spot", "eth-perp", "eth"], "exchange"),
        edge("funds", "exchange", "fund"),
        edge("margin", "exchange", "fund", balances={"usd": 50_000}),
    ]
    return nodes, edges


def add_maker(nodes: dict[str, Table], edges: list[Table], **limits: Any) -> None:
    """Add a maker that quotes both books and hears the fundamental."""
    quotes = {market: {"depth": 200, "spread": 0.001} for market in ("eth-spot", "eth-perp")}
    nodes["maker"] = {"kind": "market_maker", "quotes": quotes} | limits
    edges += [
        edge("margin", "exchange", "maker", balances={"eth": 500, "usd": 1_000_000}),
        edge("quotes", "maker", ["eth-spot", "eth-perp"]),
        edge("prices", ["eth", "eth-spot", "eth-perp"], "maker", "20ms"),
    ]


def fall(size: float, **facts: Any) -> Table:
    """Return a fall of the fundamental over ten seconds."""
    return {"kind": "reprice", "asset": "eth", "size": size, "at": "1s", "over": "10s", "steps": 10} | facts


def book_world() -> nx.MultiDiGraph:
    """Return a book without an exchange, into which a holder and the outside sell."""
    near = [{"at": at, "quantity": 50} for at in (0.8, 0.9, 0.95, 1.05, 1.1)]
    nodes: dict[str, Table] = {
        "usd": {"kind": "asset", "decimals": 6},
        "eth": {"kind": "asset", "decimals": 6, "price": 2000, "market": "book"},
        "book": {"kind": "order_book", "asset": "eth", "numeraire": "usd", "stubs": near, "taker_fee": "5bps"},
        "holder": {"kind": "account", "balances": {"eth": 100}},
    }
    sale = {"kind": "sale", "market": "book", "asset": "eth", "at": "1s"}
    return graph_of(nodes, [], [sale | {"quantity": 60, "by": "holder"}, sale | {"size": -0.2}])


def exchange_world() -> nx.MultiDiGraph:
    """Return an exchange whose accounts a fall liquidates: positions, a loan against ether, a short of ether."""
    nodes, edges = venue(funding_interval="10min", interest_interval="10min", liquidation_fee="50bps")
    add_maker(nodes, edges)
    nodes |= {name: {"kind": "account"} for name in ("long", "short", "lender", "bear")}
    edges += [
        edge("margin", "exchange", "long", balances={"usd": 10_000}, positions={"eth-perp": {"quantity": 50}}),
        edge("margin", "exchange", "short", balances={"usd": 30_000}, positions={"eth-perp": {"quantity": -50}}),
        edge("margin", "exchange", "lender", balances={"eth": 50, "usd": -75_000}),
        edge("margin", "exchange", "bear", balances={"eth": -20, "usd": 50_000}),
    ]
    return graph_of(nodes, edges, [fall(-0.25), fall(0.9, at="10min")])


def maker_world() -> nx.MultiDiGraph:
    """Return a maker that withdraws under stress and returns."""
    nodes, edges = venue(funding_interval="0s")
    add_maker(nodes, edges, max_stress=3, cooldown="30s")
    sale = {"kind": "sale", "market": "eth-spot", "asset": "eth", "quantity": 100, "at": "5s"}
    return graph_of(nodes, edges, [fall(-0.1), sale])


def arbitrage_world() -> nx.MultiDiGraph:
    """Return somebody who keeps spot and perpetual of one exchange together."""
    nodes, edges = venue(funding_interval="0s")
    add_maker(nodes, edges)
    nodes["basis"] = {"kind": "arbitrageur", "size": {"eth": 20}, "capacity": {"eth": 200}}
    edges += [
        edge("margin", "exchange", "basis", balances={"eth": 200, "usd": 500_000}),
        edge("arbitrage", "basis", ["eth-spot", "eth-perp"]),
        edge("prices", ["eth-spot", "eth-perp"], "basis"),
    ]
    sale = {"kind": "sale", "market": "eth-spot", "asset": "eth", "quantity": 150, "at": "5s"}
    return graph_of(nodes, edges, [sale])


def add_crowds(nodes: dict[str, Table], edges: list[Table]) -> None:
    """Add traders in the perpetual and holders of the coin."""
    nodes |= {
        "traders": {"kind": "population", "count": 60, "traders": {"open_interest": {"eth-perp": 400}}},
        "holders": {
            "kind": "population", "count": 40,
            "holders": {"asset": "eth", "market": "eth-spot", "total": 200, "hazards": [[0.05, 20]]},
        },
    }  # fmt: skip
    edges += [edge("margin", "exchange", ["traders", "holders"]), edge("prices", "eth-spot", "holders")]


def whale_world() -> nx.MultiDiGraph:
    """Return a whale with ether pledged at a platform and a loop of a stablecoin at the exchange."""
    nodes, edges = venue(funding_interval="0s", withdrawal_delay="10s")
    add_maker(nodes, edges)
    add_loop_market(nodes, edges)
    nodes |= {
        "platform": {
            "kind": "lending_protocol", "block_time": "1s", "reserves": {
                "eth": {"ltv": 0.8, "threshold": 0.85, "bonus": 0.05}, "usd": {"base_rate": 0.05},
            },
        },
        "bank": {"kind": "account"},
        "whale": {
            "kind": "whale", "loop": "usde", "market": "usde-spot", "pace": 2_000, "call_below": 1.15,
            "restore_to": 1.3, "yield_rate": 0.12, "loan_rate": 0.08,
        },
        "keeper": {"kind": "liquidator", "balances": {"usd": 500_000}},
    }  # fmt: skip
    edges += [
        edge("prices", ["eth", "usd"], "platform"),
        edge("claims", "platform", "bank", asset="usd", quantity=1_000_000),
        edge("borrows", "whale", "platform", collateral={"eth": 100}, debt={"usd": 140_000}),
        edge("lends", "platform", "whale", "1s"),
        edge("margin", "exchange", "whale", balances={"usde": 200_000, "usd": -140_000}),
        edge("trades", "whale", "usde-spot", "100ms"),
        edge("prices", "eth", "whale", "1s"),
        edge("liquidations", "platform", "keeper"),
        edge("trades", "keeper", "eth-spot"),
        edge("prices", "eth-spot", "keeper"),
    ]
    return graph_of(nodes, edges, [fall(-0.12), fall(-0.2, at="10min")])


def add_loop_market(nodes: dict[str, Table], edges: list[Table], bids: float = 40_000) -> None:
    """Add a stablecoin with a book on which the outside bids at stated prices, and a margin for it."""
    stubs = [{"at": at, "quantity": bids} for at in (0.999, 0.99, 0.98, 0.95, 0.9, 0.8, 0.7)]
    nodes["usde"] = {"kind": "asset", "decimals": 6, "market": "usde-spot"}
    nodes["usde-spot"] = {
        "kind": "order_book", "asset": "usde", "numeraire": "usd", "tick": 0.0001, "lot": 1,
        "stubs": [*stubs, {"at": 1.001, "quantity": bids}],
    }  # fmt: skip
    nodes["exchange"]["assets"]["usde"] = {"ratios": [[0, 0.95]], "market": "usde-spot"}
    edges += [edge("trades", "exchange", "usde-spot"), edge("prices", "usde-spot", "exchange")]


def dip_world() -> nx.MultiDiGraph:
    """Return somebody who buys what has been cheap for a while, on a book whose maker has gone."""
    nodes, edges = venue(funding_interval="0s")
    add_maker(nodes, edges, max_stress=3, cooldown="20min")
    nodes["hunter"] = {
        "kind": "dip_buyer", "interval": "5s",
        "buys": {"eth-spot": {"capital": 100_000, "above": 0.03, "rate": 0.05, "lag": "1min", "approach": 0.01}},
    }  # fmt: skip
    edges += [
        edge("margin", "exchange", "hunter", balances={"usd": 100_000}),
        edge("quotes", "hunter", "eth-spot"),
        edge("prices", ["eth", "eth-spot"], "hunter", "20ms"),
    ]
    sale = {"kind": "sale", "market": "eth-spot", "asset": "eth", "quantity": 70, "at": "20s"}
    return graph_of(nodes, edges, [fall(-0.05), sale])
