"""What happened at venues: liquidations, cancelled orders, the fund and the queue behind it, prices and depth.

Conventions of event rows: a liquidation's `quantity` is what was closed, negative where it was a short (bought
back); `value` is in base units of the currency; a `maker-withdrawal` counts all orders of a maker, and the
`cancel` of each market that it causes none again; `funding` states open contracts and what each paid.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.metrics.groups import rows_by_group
from contagion.units import PPM, PRICE_SCALE, SECOND

Columns = dict[str, NDArray[Any]]


def activity(events: Columns, prices: Columns, books: Any, graph: dict[str, Any]) -> dict[str, Any]:
    """Return the part of the summary that is about venues; graph : the exposure graph as node-link JSON."""
    adl = _who(events, books, "auto-deleveraging")
    uncovered = value_of(events, books, "uncovered-deficit")
    return {
        "liquidated": liquidated(events, books, graph),
        "cancelled": cancelled(events, books),
        "insurance_used": value_of(events, books, "insurance"),
        "adl": {"value": value_of(events, books, "auto-deleveraging"), "accounts": adl, "uncovered": uncovered},
        "funding": funding(events, books),
        "unfilled": value_of(events, books, "unfilled"),
        "margin_calls": int(is_kind(events, books.kinds, "margin-call").sum()),
        "max_leverage": leverage(events, books),
        "depth": depth(prices, books, graph),
    }


def liquidated(events: Columns, books: Any, graph: dict[str, Any]) -> dict[str, Any]:
    """Return what was liquidated: its value, of how many accounts, the share of longs, by venue and by market.

    The venue of an order book is the exchange that clears it; a lender is a venue whose markets are the collaterals.
    """
    chosen = np.flatnonzero(is_kind(events, books.kinds, "liquidation"))
    values = events["value"][chosen] * 10.0**-books.currency_decimals
    venue = {market: exchange for exchange, market in cleared(graph)}
    by_venue: dict[str, float] = {}
    by_market: dict[str, float] = {}
    market, asset = events["market"][chosen].astype(np.int64), events["asset"][chosen].astype(np.int64)
    places, first, group = np.unique(
        (market + 1) * (len(books.assets) + 1) + asset + 1, return_index=True, return_inverse=True
    )
    sums = np.bincount(group, weights=values, minlength=len(places)).tolist()
    for row, value in zip(first.tolist(), sums, strict=True):
        name = books.feeds[market[row]] if market[row] >= 0 else "elsewhere"
        coin = books.assets[asset[row]] if asset[row] >= 0 else name
        for table, key in ((by_venue, venue.get(name, name)), (by_market, name if name in venue else coin)):
            table[key] = table.get(key, 0.0) + value
    total = float(values.sum())
    return {
        "value": total, "accounts": _who(events, books, "liquidation"), "count": len(chosen),
        "long_share": float(values[events["quantity"][chosen] >= 0].sum()) / total if total else None,
        "by_venue": _largest_first(by_venue), "by_market": _largest_first(by_market),
    }  # fmt: skip


def cancelled(events: Columns, books: Any) -> dict[str, Any]:
    """Return how many orders were cancelled, and their notional."""
    withdrawn = is_kind(events, books.kinds, "maker-withdrawal")
    chosen = is_kind(events, books.kinds, "cancel") & ~withdrawn[events["cause"]] | withdrawn
    value = float(events["value"][chosen].sum()) * 10.0**-books.currency_decimals
    return {"orders": int(events["quantity"][chosen].sum()), "value": value}


def funding(events: Columns, books: Any) -> float:
    """Return the funding that one side of perpetuals paid the other, gross."""
    chosen = np.flatnonzero(is_kind(events, books.kinds, "funding") & (events["asset"] >= 0))
    units = 10.0 ** -np.asarray(books.decimals, np.float64)[events["asset"][chosen]]
    paid = events["quantity"][chosen] * units * (events["price"][chosen] / PRICE_SCALE)
    return float(np.abs(paid).sum())


def leverage(events: Columns, books: Any) -> dict[str, float]:
    """Return the highest leverage that each market maker reported."""
    chosen = np.flatnonzero(is_kind(events, books.kinds, "leverage"))
    table: dict[str, float] = {}
    for node in np.unique(events["node"][chosen]).tolist():
        own = chosen[events["node"][chosen] == node]
        table[books.holders[node]] = float(events["quantity"][own].max()) / PPM
    return table


def prices(table: Columns, books: Any) -> dict[str, Any]:
    """Return first, low and last price of every market and oracle, and of what moved by itself."""
    summary = {}
    claims = {name for name, under in zip(books.assets, books.underlying, strict=True) if under >= 0}
    for name, rows in _by_feed(table, books):
        if name in claims or (name in books.assets and len(rows) == 1):
            continue
        path = table["price"][rows] / PRICE_SCALE
        low = int(np.argmin(path))
        summary[name] = {
            "first": float(path[0]), "low": float(path[low]),
            "low_time": float(table["time_us"][rows[low]] / SECOND), "last": float(path[-1]),
            "drawdown": float(1.0 - path[low] / path[0]),
        }  # fmt: skip
    return summary


def depth(table: Columns, books: Any, graph: dict[str, Any]) -> dict[str, Any]:
    """Return first, lowest and last depth of every market that reports it: bids and asks near the price, in tokens."""
    summary, traded = {}, traded_asset(graph)
    for name, rows in _by_feed(table, books):
        asset = traded.get(name, name.rpartition("/")[2])
        stated = np.flatnonzero(table["bid_depth"][rows] + table["ask_depth"][rows])
        if not len(stated) or asset not in books.assets:
            continue
        rows = rows[stated[0] :]
        near = (table["bid_depth"][rows] + table["ask_depth"][rows]) * 10.0 ** -books.decimals[
            books.assets.index(asset)
        ]
        low = int(np.argmin(near))
        summary[name] = {
            "first": float(near[0]), "low": float(near[low]),
            "low_time": float(table["time_us"][rows[low]] / SECOND), "last": float(near[-1]),
        }  # fmt: skip
    return summary


def is_kind(events: Columns, kinds: list[str], kind: str) -> NDArray[np.bool_]:
    """Return which events are of a kind."""
    if kind not in kinds:
        return np.zeros(len(events["kind"]), dtype=bool)
    return np.asarray(events["kind"] == kinds.index(kind))


def value_of(events: Columns, books: Any, kind: str) -> float:
    """Return the sum of the values of all events of a kind, in the currency."""
    unit: float = 10.0**-books.currency_decimals
    return float(events["value"][is_kind(events, books.kinds, kind)].sum()) * unit


def _who(events: Columns, books: Any, kind: str) -> int:
    """Return how many nodes or members an event of a kind happened to."""
    chosen = is_kind(events, books.kinds, kind)
    return len(np.unique((events["node"][chosen].astype(np.int64) << 32) + events["member"][chosen]))


def cleared(graph: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (exchange, market) for every order book that an exchange clears."""
    kinds = {node["id"]: node.get("kind") for node in graph.get("nodes", [])}
    ends = [(edge["source"], edge["target"]) for edge in graph.get("edges", []) if edge.get("role") == "trades"]
    return [(source, target) for source, target in ends if kinds[source] == "exchange"]


def traded_asset(graph: dict[str, Any]) -> dict[str, str]:
    """Return the asset in which each market counts its depth; a pool's further assets have feeds of their own."""
    table = {}
    for node in graph.get("nodes", []):
        for asset in [node["asset"]] if "asset" in node else list(node.get("assets", []))[:1]:
            table[node["id"]] = asset
    return table


def _by_feed(table: Columns, books: Any) -> list[tuple[str, NDArray[np.int64]]]:
    """Return (feed, rows of its prices) for every feed that has any."""
    rows = rows_by_group(table["market"], len(books.feeds))
    return [(name, own) for name, own in zip(books.feeds, rows, strict=True) if len(own)]


def _largest_first(table: dict[str, float]) -> dict[str, float]:
    return dict(sorted(table.items(), key=lambda item: -item[1]))
