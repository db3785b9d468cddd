"""Logs, journals and books of a few rows, written by hand: what metrics read, without an engine."""

from typing import Any

import numpy as np

from contagion.log import (
    CONTRIBUTION_LAYOUT,
    EVENT_LAYOUT,
    FAILURE_LAYOUT,
    FAILURES,
    POSTING_LAYOUT,
    PRICE_LAYOUT,
    Channel,
)
from contagion.runs import Books
from contagion.units import PRICE_SCALE

Columns = dict[str, Any]
VENUES = [
    "cancel",
    "insurance",
    "uncovered-deficit",
    "unfilled",
    "margin-call",
    "leverage",
    "funding",
    "bad-debt",
    "flash-loan",
]
KINDS = [
    "clock",
    "start",
    "shock",
    "trade",
    "oracle-update",
    "payment",
    "redemption",
    "interest",
    "carry",
    *FAILURES,
    *VENUES,
]
"""The names of event kinds that hand-made logs use."""

CLOCK_ROW: Columns = {"kind": "clock", "cause": -1}
DEFAULTS = {"member": -1, "asset": -1, "market": -1, "node": 0}


def table(layout: dict[str, str], rows: list[Columns]) -> Columns:
    """Return rows as columns, what is not stated being none."""
    return {
        column: np.array([row.get(column, DEFAULTS.get(column, 0)) for row in rows], dtype=code)
        for column, code in layout.items()
    }


def events(*rows: Columns) -> Columns:
    """Return an event table: the clock first, then the rows; failures are first ones unless they say `first=0`."""
    complete = [
        {"first": int(row["kind"] in FAILURES)} | row | {"kind": KINDS.index(row["kind"])} for row in (CLOCK_ROW, *rows)
    ]
    return table(EVENT_LAYOUT, complete)


def failed(*rows: tuple[int, float, float, int]) -> Columns:
    """Return a failures table from (event, weighted, exogenous, value)."""
    return table(FAILURE_LAYOUT, [dict(zip(FAILURE_LAYOUT, row, strict=True)) for row in rows])


def contributions(*rows: tuple[int, int]) -> Columns:
    """Return a contributions table from (event, contributor)."""
    return table(CONTRIBUTION_LAYOUT, [{"event": e, "contributor": c, "weight": 1.0} for e, c in rows])


def postings(*rows: tuple[Any, ...]) -> Columns:
    """Return a journal from (event, holder, asset, amount) or (event, holder, asset, amount, member)."""
    names = ("event", "holder", "asset", "amount", "member")
    return table(POSTING_LAYOUT, [dict(zip(names, row, strict=False)) for row in rows])


def prices(first: list[float], *moves: tuple[int, int, float, Channel]) -> Columns:
    """Return a price table: the first price of every feed, then (event, feed, price, channel)."""
    rows, now = [], list(first)
    for feed, price in enumerate(first):
        rows.append({"price": round(price * PRICE_SCALE), "market": feed})
    for event, feed, price, channel in moves:
        delta = round((price - now[feed]) * PRICE_SCALE)
        rows.append(
            {"event": event, "price": round(price * PRICE_SCALE), "delta": delta, "market": feed, "channel": channel}
        )
        now[feed] = price
    return table(PRICE_LAYOUT, rows)


def closing(journal: Columns) -> Columns:
    """Return the balances that a journal leads to."""
    sums: dict[tuple[int, int, int], int] = {}
    for key in zip(*(journal[c].tolist() for c in ("holder", "member", "asset", "amount")), strict=True):
        sums[key[:3]] = sums.get(key[:3], 0) + key[3]
    rows = np.array([(*key, amount) for key, amount in sums.items()], dtype=np.int64).reshape(-1, 4).T
    return dict(zip(("holder", "member", "asset", "balance"), rows, strict=True))


def books(holders: list[str], assets: list[str], **facts: Any) -> Books:
    """Return books: one feed an asset, everybody marking to it, no decimals, opening at event 1."""
    count = len(assets)
    given = {
        "kinds": KINDS, "holders": holders, "holder_kinds": ["account"] * len(holders),
        "domains": ["defi"] * len(holders), "sectors": ["account"] * len(holders), "assets": assets,
        "decimals": [0] * count, "underlying": [-1] * count, "issuers": [-1] * count,
        "creditors": [-1] * count, "feeds": assets,
        "marks": list(range(count)), "own_marks": [], "world": 0, "outside": [], "opening": 1, "currency": "USD",
        "currency_decimals": 6,
    }  # fmt: skip
    return Books(**(given | facts))
