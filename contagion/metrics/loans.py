"""Loans against collateral as they stand at one moment: how close they are to liquidation.

A position is all claims between one borrower (or member of a crowd) and one lender, worth what the lender's own
marks say, interest included. Margin accounts at exchanges are no loans: the exchange says how near they were, since
members of a crowd who never act have no rows, and `margins_at_risk` adds up what it said.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.metrics.marks import Floats, Marks
from contagion.units import parse_number

Columns = dict[str, NDArray[Any]]
Integers = NDArray[np.int64]

LENDER = "lending_protocol"
FALLS = (0.03, 0.05, 0.1, 0.2)
"""Falls of all collateral for which debt is counted that they would put in breach."""


class Loans(NamedTuple):
    """One row a claim: who lends, who holds or owes, what (the underlying asset), its worth (negative: a debt)."""

    lender: Integers
    holder: Integers
    member: Integers
    asset: Integers
    worth: Floats

    def of(self, chosen: NDArray[Any]) -> "Loans":
        """Return some of the rows."""
        return Loans(*(column[chosen] for column in self))

    def positions(self) -> Integers:
        """Return the number of each row's position: one a lender, borrower and member."""
        size = int(np.append(self.lender, self.holder).max(initial=0)) + 1
        keys = ((self.member + 1) * size + self.holder) * size + self.lender
        return np.asarray(np.unique(keys, return_inverse=True)[1], np.int64)


def loans(rows: Columns, books: Any, marks: Marks, at: int | None = None) -> Loans:
    """Return what borrowers have deposited and what they owe; at : after which event, default the end.

    rows : holder, member, asset and amount, such as the opening's postings. Who only deposits is no borrower.
    """
    assets = rows["asset"].astype(np.int64)
    lenders = np.maximum(np.asarray(books.issuers), np.asarray(books.creditors))
    is_lender = np.array([kind == LENDER for kind in books.holder_kinds])
    claims = (np.asarray(books.underlying) >= 0) & (lenders >= 0) & is_lender[lenders]
    inside = ~np.isin(rows["holder"], [books.world, *books.outside]) & (rows["holder"] != lenders[assets])
    own = np.flatnonzero(claims[assets] & inside)
    holders, width = len(books.holders), len(books.assets)
    keys = ((rows["member"][own].astype(np.int64) + 1) * holders + rows["holder"][own]) * width + assets[own]
    found, group = np.unique(keys, return_inverse=True)
    amounts = np.bincount(group, rows["amount"][own], len(found))
    whose, asset = np.divmod(found, width)
    member, holder = np.divmod(whose, holders)
    units = np.zeros(len(books.assets))
    for claim in np.unique(asset).tolist():
        series = marks.series(int(lenders[claim]), claim)
        units[claim] = series.closing if at is None else series.at(np.array([at]))[0]
    whole = Loans(lenders[asset], holder, member - 1, np.asarray(books.underlying)[asset], amounts * units[asset])
    whole = whole.of(np.flatnonzero(whole.worth))
    group = whole.positions()
    owes = np.bincount(group, whole.worth < 0.0) > 0
    return whole.of(owes[group])


def thresholds(graph: Mapping[str, Any], books: Any) -> Floats:
    """Return the liquidation threshold of every asset (a column) at every lender (a row: holders), 0 elsewhere."""
    table = np.zeros((len(books.holders), len(books.assets)))
    for node in graph.get("nodes", []):
        if node.get("kind") == LENDER:
            for name, reserve in node.get("reserves", {}).items():
                share = float(parse_number(reserve.get("threshold", 0)))
                table[books.holders.index(node["id"]), books.assets.index(name)] = share
    return table


def at_risk(open_loans: Loans, limits: Floats) -> dict[str, Any]:
    """Return all debt, what is in breach of it, and what would be after falls of all collateral by 3, 5, 10 and 20%.

    limits : of `thresholds`. A position breaches when its collateral, each kind times its threshold, is worth less
    than its debt; exactly as much is safe. Debts do not fall, whatever they are in.
    """
    group = open_loans.positions()
    weights = np.maximum(open_loans.worth, 0.0) * limits[open_loans.lender, open_loans.asset]
    covered, debt = np.bincount(group, weights), np.bincount(group, -np.minimum(open_loans.worth, 0.0))
    within = {f"{fall:.0%}": float(debt[covered * (1.0 - fall) < debt].sum()) for fall in FALLS}
    return {"debt": float(debt.sum()), "breached": float(debt[covered < debt].sum()), "within": within}


def margins_at_risk(table: Columns | None) -> dict[str, Any] | None:
    """Return what is `open` at exchanges, `breached`, and within falls and rises of all marks of it, at both ends.

    table : a row an end, exchange and move, from the run; None where there is none. Contracts count at their notional
    and loans at what they are worth; a fall puts longs and who has borrowed against coins in breach, a rise shorts.

    >>> rows = {"end": [0, 1, 1], "move": [0.0, 0.0, -0.05], "value": [0.0, 1.0, 3.0], "whole": [9.0, 8.0, 8.0]}
    >>> found = margins_at_risk({name: np.array(column) for name, column in rows.items()})
    >>> found["start"]["open"], found["end"]["breached"], found["end"]["falls"]["5%"]
    (9.0, 1.0, 3.0)
    """
    if table is None:
        return None

    def summed(column: str, end: int, move: float) -> float:
        return float(table[column][(table["end"] == end) & (table["move"] == move)].sum())

    return {
        name: {
            "open": summed("whole", end, 0.0), "breached": summed("value", end, 0.0),
            "falls": {f"{size:.0%}": summed("value", end, -size) for size in FALLS},
            "rises": {f"{size:.0%}": summed("value", end, size) for size in FALLS},
        } for end, name in enumerate(("start", "end"))
    }  # fmt: skip
