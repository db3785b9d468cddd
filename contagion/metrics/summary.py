"""The summary: every headline of a run, in SI seconds and the scenario's currency."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.log import FAILURES, Channel
from contagion.metrics import cascade
from contagion.metrics.attribution import attribution, by_channel
from contagion.metrics.losses import Losses, by_holder_value, losses, shortfalls
from contagion.metrics.marks import Marks
from contagion.units import PRICE_SCALE, SECOND

TOLERANCE = 1e-9
"""Relative error up to which the four terms must sum to the fall of equity."""


def summarise(run: Any) -> dict[str, Any]:
    """Return the summary of one run without twins, and put its accounts table into `run.tables`.

    AssertionError when the loss identity does not hold: that would be our bug.
    """
    tables, books = run.tables, run.books
    events, failed = tables["events"], tables["failures"]
    lost = losses(tables["postings"], tables["prices"], tables["balances"], books, len(events["kind"]))
    assert lost.error() <= TOLERANCE, f"the four terms miss the fall of equity by {lost.error():.2e}"
    holders, _, table = attribution(tables["postings"], tables["prices"], events["kind"], books)
    run.tables["accounts"] = accounts(tables, books, lost)
    run.tables["losses"] = _path(lost, events["time_us"])
    inside = lost.perimeter[holders]
    unit = 10.0**-books.currency_decimals
    realised = _sum_of(events, books.kinds, "bad-debt") * unit
    under_water = shortfalls(tables["balances"], tables["prices"], books)
    still_open = math.fsum(under_water.values())
    return {
        "failures": len(cascade.failures(events, books.kinds)),
        "failures_by_kind": _by_kind(events, books.kinds),
        **_depths(events, failed, books, unit),
        "total_losses": _totals(lost, events, books, unit) | {"unfunded": realised + still_open},
        "losses_by_sector": _by_sector(lost, books.sectors),
        "losses_by_bearer": _by_sector(lost, books.sectors, under_water),
        "losses_by_channel": by_channel(table[inside]),
        "liquidated": _liquidated(events, books, unit),
        "cancelled": {"orders": 0, "value": 0.0},
        "prices": _prices(tables["prices"], books),
        "bad_debt": realised + still_open,
        "bad_debt_realised": realised,
        "bad_debt_open": still_open,
        "insurance_used": 0.0,
        "adl": {"value": 0.0, "accounts": 0},
        "carry": _carry(events, books),
        "events": len(events["kind"]),
        "sim_seconds": run.manifest["end_us"] / SECOND,
    }


def accounts(tables: dict[str, Any], books: Any, lost: Losses) -> dict[str, NDArray[Any]]:
    """Return one row a holder, or one a member of a population: equities, liquidated value, loss by channel."""
    events = tables["events"]
    holders, members, table = attribution(tables["postings"], tables["prices"], events["kind"], books, members=True)
    change = table.sum(axis=1)
    start = _start_by_row(tables, books, holders, members)
    rows = {(int(h), int(m)): number for number, (h, m) in enumerate(zip(holders, members, strict=True))}
    liquidated = np.zeros(len(holders))
    for event in np.flatnonzero(_kind(events, books.kinds, "liquidation")).tolist():
        row = rows.get((int(events["node"][event]), int(events["member"][event])))
        if row is not None:
            liquidated[row] += events["value"][event] * 10.0**-books.currency_decimals
    columns = {
        "holder": holders.astype(np.int32), "member": members.astype(np.int32), "equity_start": start,
        "equity_end": start + change, "liquidated_value": liquidated,
    }  # fmt: skip
    losses_by = {f"loss {c.label}": -table[:, c] for c in Channel if np.any(table[:, c])}
    return columns | losses_by


def _start_by_row(tables: dict[str, Any], books: Any, holders: Any, members: Any) -> NDArray[np.float64]:
    postings = tables["postings"]
    first = postings["event"] <= books.opening
    opening = {name: column[first] for name, column in postings.items()}
    opening["event"] = np.full_like(opening["event"], books.opening)
    values = by_holder_value(opening, Marks(tables["prices"], books), books)
    span = int(postings["member"].max(initial=-1)) + 2
    keys = holders.astype(np.int64) * span + members + 1
    at = np.searchsorted(keys, opening["holder"].astype(np.int64) * span + opening["member"] + 1)
    start = np.zeros(len(keys))
    np.add.at(start, at, values)
    return start


def _path(lost: Losses, times: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the net loss at the end of every moment in which it changed."""
    path = lost.path
    last = np.flatnonzero(np.r_[times[1:] != times[:-1], True])
    changed = last[np.r_[True, path[last][1:] != path[last][:-1]]]
    return {"time_us": times[changed], "net": path[changed]}


def loss_at(path: dict[str, NDArray[Any]], moment_us: int) -> float:
    """Return the net loss at a moment from the `losses` table.

    >>> loss_at({"time_us": np.array([0, 10]), "net": np.array([0.0, 7.0])}, 9)
    0.0
    """
    row = int(np.searchsorted(path["time_us"], moment_us, side="right")) - 1
    return float(path["net"][row]) if row >= 0 else 0.0


def _depths(events: Any, failed: Any, books: Any, unit: float) -> dict[str, Any]:
    sizes = cascade.generations(events, books.kinds)
    spill = cascade.spillover(events, failed, books.kinds, books.domains)
    for row in spill.values():
        for cell in row.values():
            cell["value"] *= unit
    return {
        "cascade_depth": len(sizes),
        "cascade_depth_weighted": cascade.weighted_depth(failed),
        "cascade_depth_canonical": None,
        "generations": sizes,
        "branching_ratio": cascade.branching_ratio(events, books.kinds),
        "branching_ratio_weighted": cascade.weighted_branching(failed),
        "branching_first": sizes[1] / sizes[0] if len(sizes) > 1 else (0.0 if sizes else None),
        "spillover": spill,
    }


def _totals(lost: Losses, events: Any, books: Any, unit: float) -> dict[str, Any]:
    return {
        "net": lost.net,
        "peak": lost.peak,
        "gross": lost.gross,
        "gains": lost.gains,
        "exogenous": None,
        "endogenous": None,
        "amplification": None,
        "unfunded": None,
        "deadweight": _sum_of(events, books.kinds, "gas") * unit,
        "terms": lost.terms,
        "identity_error": lost.error(),
    }


def _by_sector(
    lost: Losses, sectors: list[str], under_water: dict[tuple[int, int], float] | None = None
) -> dict[str, float]:
    """Return net losses by sector; with the positions under water, by who bears them: the lender, beyond equity."""
    table: dict[str, float] = {}
    moves = [(h, float(change)) for h, change in enumerate(lost.start - lost.end)]
    for (lender, holder), short in (under_water or {}).items():
        moves += [(lender, short), (holder, -short)]
    for holder, change in moves:
        if lost.perimeter[holder] and change:
            table[sectors[holder]] = table.get(sectors[holder], 0.0) + change
    return dict(sorted(table.items(), key=lambda item: -item[1]))


def _liquidated(events: Any, books: Any, unit: float) -> dict[str, Any]:
    chosen = np.flatnonzero(_kind(events, books.kinds, "liquidation"))
    values = events["value"][chosen] * unit
    who = set(zip(events["node"][chosen].tolist(), events["member"][chosen].tolist(), strict=True))
    venues: dict[str, float] = {}
    assets: dict[str, float] = {}
    for market, asset, value in zip(
        events["market"][chosen].tolist(), events["asset"][chosen].tolist(), values.tolist(), strict=True
    ):
        venues[books.feeds[market]] = venues.get(books.feeds[market], 0.0) + value
        assets[books.assets[asset]] = assets.get(books.assets[asset], 0.0) + value
    total = float(values.sum())
    return {
        "value": total, "accounts": len(who), "count": len(chosen), "long_share": None,
        "by_venue": venues, "by_market": assets,
    }  # fmt: skip


def _prices(prices: Any, books: Any) -> dict[str, Any]:
    """Return first, low and last price of every market and oracle, and of what moved by itself."""
    table = {}
    claims = {name for name, under in zip(books.assets, books.underlying, strict=True) if under >= 0}
    for market in np.unique(prices["market"]).tolist():
        name, rows = books.feeds[market], np.flatnonzero(prices["market"] == market)
        if name in claims or (name in books.assets and len(rows) == 1):
            continue
        path = prices["price"][rows] / PRICE_SCALE
        low = int(np.argmin(path))
        table[books.feeds[market]] = {
            "first": float(path[0]), "low": float(path[low]),
            "low_time": float(prices["time_us"][rows[low]] / SECOND), "last": float(path[-1]),
            "drawdown": float(1.0 - path[low] / path[0]),
        }  # fmt: skip
    return table


def _carry(events: Any, books: Any) -> dict[str, float]:
    """Return the annual return on equity that each loop was opened for."""
    chosen = np.flatnonzero(_kind(events, books.kinds, "carry"))
    return {books.holders[events["node"][e]]: float(events["quantity"][e]) / 1e6 for e in chosen[::-1].tolist()}


def _by_kind(events: Any, kinds: list[str]) -> dict[str, int]:
    failed = events["kind"][cascade.failures(events, kinds)]
    counts = {kind: int((failed == kinds.index(kind)).sum()) for kind in FAILURES if kind in kinds}
    return {kind: count for kind, count in counts.items() if count}


def _sum_of(events: Any, kinds: list[str], kind: str) -> float:
    return float(events["value"][_kind(events, kinds, kind)].sum())


def _kind(events: Any, kinds: list[str], kind: str) -> NDArray[np.bool_]:
    if kind not in kinds:
        return np.zeros(len(events["kind"]), dtype=bool)
    return np.asarray(events["kind"] == kinds.index(kind))
