"""The summary: every headline of a run, in SI seconds and the scenario's currency."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.log import FAILURES, Channel
from contagion.metrics import cascade, concentration, issuers, loans, venues
from contagion.metrics.attribution import by_channel, by_side, changes
from contagion.metrics.dependence import Prices, wrong_way
from contagion.metrics.groups import Owners
from contagion.metrics.losses import Losses, by_holder_value, losses, shortfalls
from contagion.metrics.marks import Floats, Marks
from contagion.metrics.offspring import branching
from contagion.metrics.spillover import Table, spillovers
from contagion.metrics.tvl import value_locked
from contagion.units import SECOND

TOLERANCE = 1e-9
"""Relative error up to which the four terms must sum to the fall of equity."""


def summarise(run: Any) -> dict[str, Any]:
    """Return the summary of one run without twins, and put its accounts table into `run.tables`.

    AssertionError when the loss identity does not hold: that would be our bug.
    """
    tables, books = run.tables, run.books
    events, failed, marks = tables["events"], tables["failures"], Marks(tables["prices"], books)
    lost = losses(tables["postings"], tables["prices"], tables["balances"], books, len(events["kind"]), marks)
    assert lost.error() <= TOLERANCE, f"the four terms miss the fall of equity by {lost.error():.2e}"
    owners = Owners(tables["postings"]["holder"], tables["postings"]["member"], len(books.holders))
    table = changes(tables["postings"], marks, events["kind"], books, owners)
    run.tables["accounts"] = accounts(tables, marks, books, owners, table)
    run.tables["losses"] = _path(lost, events["time_us"])
    inside, unit = table[lost.perimeter[owners.holders]], 10.0**-books.currency_decimals
    realised = venues.value_of(events, books, "bad-debt")
    under_water = shortfalls(tables["balances"], tables["prices"], books)
    still_open = math.fsum(under_water.values())
    uncovered = venues.value_of(events, books, "uncovered-deficit")
    return {
        "failures": len(cascade.failures(events, books.kinds)),
        "failures_by_kind": _by_kind(events, books.kinds),
        **_depths(events, failed, books),
        "offspring": _offspring(events, failed, books, unit),
        "spillover": _spillover(tables, marks, books, lost.perimeter, unit),
        "total_losses": _totals(lost, events, books) | {"unfunded": realised + still_open + uncovered},
        "losses_by_sector": _by_sector(lost, books.sectors),
        "losses_by_bearer": _by_sector(lost, books.sectors, under_water),
        "losses_by_channel": by_channel(inside),
        "channels": by_side(inside),
        "prices": venues.prices(tables["prices"], books),
        "bad_debt": realised + still_open,
        "bad_debt_realised": realised,
        "bad_debt_open": still_open,
        **venues.activity(events, tables["prices"], books, run.graph),
        "carry": _carry(events, books),
        "loops": issuers.loops(events, books, lost),
        "issuer_coverage": issuers.coverage(tables["postings"], tables["balances"], books, marks),
        **_standing(tables, marks, books, run.graph),
        "tvl": value_locked(tables["postings"], tables["balances"], books, marks),
        "events": len(events["kind"]),
        "sim_seconds": run.manifest["end_us"] / SECOND,
    }


def _standing(tables: dict[str, Any], marks: Marks, books: Any, graph: dict[str, Any]) -> dict[str, Any]:
    """Return how the system stood: debt near liquidation at both ends, and at the start who depended on whom."""
    first = np.flatnonzero(tables["postings"]["event"] <= books.opening)
    opening = {name: tables["postings"][name][first] for name in ("holder", "member", "asset", "amount")}
    start = loans.loans(opening, books, marks, books.opening)
    end = loans.loans(tables["balances"] | {"amount": tables["balances"]["balance"]}, books, marks)
    limits, prices = loans.thresholds(graph, books), Prices(graph)
    return {
        "debt_at_risk": {"start": loans.at_risk(start, limits), "end": loans.at_risk(end, limits)},
        "margins_at_risk": loans.margins_at_risk(tables.get("margins")),
        "concentration": concentration.of_loans(start, books),
        "wrong_way": wrong_way(start, books, prices),
        "price_dependence": prices.dependence(),
    }


def accounts(tables: dict[str, Any], marks: Marks, books: Any, owners: Owners, table: Floats) -> dict[str, Any]:
    """Return one row an owner, members of a population included: equities, liquidated value, loss by channel.

    table : the changes of equity by channel (`attribution.changes`).
    """
    events, liquidated = tables["events"], np.zeros(len(owners))
    chosen = np.flatnonzero(venues.is_kind(events, books.kinds, "liquidation"))
    row = owners.find(events["node"][chosen], events["member"][chosen])
    values = events["value"][chosen] * 10.0**-books.currency_decimals
    np.add.at(liquidated, row[row >= 0], values[row >= 0])
    start = _start_by_row(tables["postings"], marks, books, owners)
    columns = {
        "holder": owners.holders.astype(np.int32), "member": owners.members.astype(np.int32), "equity_start": start,
        "equity_end": start + table.sum(axis=1), "liquidated_value": liquidated,
    }  # fmt: skip
    losses_by = {f"loss {c.label}": -table[:, c] for c in Channel if np.any(table[:, c])}
    return columns | losses_by


def _start_by_row(postings: dict[str, Any], marks: Marks, books: Any, owners: Owners) -> Floats:
    first = np.flatnonzero(postings["event"] <= books.opening)
    opening = {name: column[first] for name, column in postings.items()}
    opening["event"] = np.full_like(opening["event"], books.opening)
    start = np.zeros(len(owners))
    np.add.at(start, owners.rows[first], by_holder_value(opening, marks, books))
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


def _depths(events: Any, failed: Any, books: Any) -> dict[str, Any]:
    sizes = cascade.generations(events, books.kinds)
    return {
        "cascade_depth": len(sizes),
        "cascade_depth_weighted": cascade.weighted_depth(failed),
        "cascade_depth_canonical": None,
        "generations": sizes,
        "branching_ratio": cascade.branching_ratio(events, books.kinds),
        "branching_ratio_weighted": cascade.weighted_branching(failed),
        "branching_first": sizes[1] / sizes[0] if len(sizes) > 1 else (0.0 if sizes else None),
    }


def _spillover(tables: dict[str, Any], marks: Marks, books: Any, perimeter: NDArray[np.bool_], unit: float) -> Table:
    table = spillovers(tables["events"], tables["failures"], tables["postings"], marks, books, perimeter)
    for row in table.values():
        for cell in row.values():
            cell["value"] *= unit
    return table


def _offspring(events: Any, failed: Any, books: Any, unit: float) -> dict[str, Any]:
    tables = branching(events, failed, books.kinds, books.domains)
    return {name: table.facts(unit) for name, table in tables.items()}


def _totals(lost: Losses, events: Any, books: Any) -> dict[str, Any]:
    return {
        "net": lost.net,
        "peak": lost.peak,
        "gross": lost.gross,
        "gains": lost.gains,
        "exogenous": None,
        "endogenous": None,
        "amplification": None,
        "unfunded": None,
        "deadweight": sum(venues.value_of(events, books, kind) for kind in ("gas", "default-cost")),
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


def _carry(events: Any, books: Any) -> dict[str, float]:
    """Return the annual return on equity that each loop was opened for."""
    chosen = np.flatnonzero(venues.is_kind(events, books.kinds, "carry"))
    return {books.holders[events["node"][e]]: float(events["quantity"][e]) / 1e6 for e in chosen[::-1].tolist()}


def _by_kind(events: Any, kinds: list[str]) -> dict[str, int]:
    failed = events["kind"][cascade.failures(events, kinds)]
    counts = {kind: int((failed == kinds.index(kind)).sum()) for kind in FAILURES if kind in kinds}
    return {kind: count for kind, count in counts.items() if count}
