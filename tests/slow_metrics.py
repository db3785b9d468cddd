"""Measures as they are defined, one row at a time: what the fast ones must equal."""

from collections import defaultdict
from typing import Any

import numpy as np

from contagion.log import Channel
from contagion.metrics.attribution import TRANSFERS
from contagion.metrics.cascade import failures, origins
from contagion.metrics.marks import Marks

Columns = dict[str, Any]


def trigger_depths(events: Columns, kinds: list[str]) -> list[int]:
    """One more than the depth of the nearest failure among the causes."""
    nearest, depth = origins(events, kinds), dict.fromkeys(range(len(events["kind"])), 0)
    failed = failures(events, kinds).tolist()
    for event in failed:
        depth[event] = 1 + depth[int(nearest[events["cause"][event]])]
    return [depth[event] for event in failed]


def spillover(events: Columns, failed: Columns, kinds: list[str], domains: list[str]) -> dict[str, Any]:
    """Count failures, and add up what was at stake, by the domain of what set them off and their own."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    nearest, values = origins(events, kinds), dict(zip(failed["event"].tolist(), failed["value"].tolist(), strict=True))
    first = failures(events, kinds).tolist()
    for event in first:
        parent = int(nearest[events["cause"][event]])
        source = domains[events["node"][parent]] if parent in first else "shock"
        cell = table.setdefault(source, {}).setdefault(domains[events["node"][event]], {"failures": 0, "value": 0})
        cell["failures"] += 1
        cell["value"] += values.get(event, 0)
    return table


def liquidated_by_row(events: Columns, books: Any, rows: list[tuple[int, int]]) -> list[float]:
    """Add up what was liquidated of each (holder, member)."""
    sums: dict[tuple[int, int], float] = defaultdict(float)
    for event in range(len(events["kind"])):
        if books.kinds[events["kind"][event]] == "liquidation":
            key = int(events["node"][event]), int(events["member"][event])
            sums[key] += float(events["value"][event]) * 10.0**-books.currency_decimals
    return [sums[row] for row in rows]


def attribution(run: Any) -> dict[tuple[int, int], list[float]]:
    """Add up, posting by posting, what every later increment made of it and what it was worth when it moved."""
    tables, books = run.tables, run.books
    marks, kinds = Marks(tables["prices"], books), tables["events"]["kind"]
    table: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0] * len(Channel))
    names = ("event", "holder", "member", "asset", "amount")
    for event, holder, member, asset, amount in zip(*(tables["postings"][n].tolist() for n in names), strict=True):
        series, row = marks.series(holder, asset), table[holder, member]
        for at, delta, channel in zip(series.events.tolist(), series.deltas, series.channels.tolist(), strict=True):
            if at > max(event, books.opening):
                row[channel] += amount * delta
        if event > books.opening:
            moved = sum(delta for at, delta in zip(series.events.tolist(), series.deltas, strict=True) if at <= event)
            kind = books.kinds[kinds[event]]
            row[TRANSFERS.get(kind, Channel.NONE)] += amount * (series.opening + moved)
    return table


def bilateral(postings: Columns, prices: Columns, kinds: Any, books: Any) -> dict[tuple[int, int, int], float]:
    """Share what every loser of an event lost among its gainers, event by event."""
    marks, table = Marks(prices, books), defaultdict[tuple[int, int, int], float](float)
    events: dict[int, dict[tuple[int, int], float]] = defaultdict(lambda: defaultdict(float))
    names = ("event", "holder", "member", "asset", "amount")
    for event, holder, member, asset, amount in zip(*(postings[n].tolist() for n in names), strict=True):
        if event > books.opening and books.kinds[kinds[event]] != "flash-loan":
            worth = marks.series(holder, asset).at(np.array([event]))[0]
            events[event][holder, member] += amount * float(worth)
    for event, changes in events.items():
        losers = [(holder, -change) for (holder, _), change in changes.items() if change < 0]
        gainers = [(holder, change) for (holder, _), change in changes.items() if change > 0]
        short = sum(lost for _, lost in losers) - sum(gained for _, gained in gainers)
        (gainers if short > 0 else losers).append((-1, abs(short)))
        channel = TRANSFERS.get(books.kinds[kinds[event]], Channel.NONE)
        whole = sum(gained for _, gained in gainers)
        for loser, lost in losers:
            for receiver, gained in gainers:
                if lost and gained:
                    table[loser, receiver, int(channel)] += lost * gained / whole
    return dict(table)


def prices_by_feed(prices: Columns, feed: int) -> list[tuple[int, int]]:
    """Return (price, time) of a feed."""
    columns = (prices[name].tolist() for name in ("market", "price", "time_us"))
    return [(price, time) for market, price, time in zip(*columns, strict=True) if market == feed]
