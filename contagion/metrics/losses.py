"""Who lost how much: equities, the four-term identity, net and gross losses, and their path in time.

Equity of a holder is what it holds (debts negative) at the marks that it reads. Every event changes the sum of
equities by exactly four terms: old holdings at new marks; what went to the outside; value that moved between
holders with different marks; and the same on the legs of an issuer's own token. Their sum over a run equals
the fall of equity between two balance sheets, which are read from the ledger and not from the events.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.metrics.groups import distinct, rows_by_group
from contagion.metrics.marks import Floats, Marks, Series

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Losses:
    """Equity at both ends per holder (currency), and the four terms per event (positive: a loss)."""

    start: Floats
    end: Floats
    marks: Floats
    outflow: Floats
    basis: Floats
    liabilities: Floats
    perimeter: NDArray[np.bool_]

    @property
    def net(self) -> float:
        """Return the fall of equity of the whole perimeter."""
        return math.fsum((self.start - self.end)[self.perimeter])

    @property
    def gross(self) -> float:
        """Return the losses of those who lost."""
        return math.fsum(np.maximum(self.start - self.end, 0.0)[self.perimeter])

    @property
    def gains(self) -> float:
        """Return the gains of those who gained."""
        return math.fsum(np.maximum(self.end - self.start, 0.0)[self.perimeter])

    @cached_property
    def terms(self) -> dict[str, float]:
        """Return the four terms of the run."""
        columns = {name: getattr(self, name) for name in ("marks", "outflow", "basis", "liabilities")}
        return {name: math.fsum(column[column != 0.0]) for name, column in columns.items()}

    @cached_property
    def path(self) -> Floats:
        """Return the net loss after every event."""
        return np.asarray(np.cumsum(self.marks + self.outflow + self.basis + self.liabilities))

    @property
    def peak(self) -> float:
        """Return the largest net loss at any time; 0 when there never was one."""
        return float(max(self.path.max(initial=0.0), 0.0))

    def error(self) -> float:
        """Return |net - sum of terms| relative to the equity at stake."""
        scale = max(math.fsum(np.abs(self.start)), math.fsum(np.abs(self.end)), 1.0)
        return abs(self.net - math.fsum(self.terms.values())) / scale


def losses(
    postings: Columns, prices: Columns, balances: Columns, books: Any, events: int, marks: Marks | None = None
) -> Losses:
    """Return the losses of a run; the perimeter is every holder but the world and those that the books put outside.

    postings : event, holder, member, asset, amount, in any order; balances : the ledger at the end; events : their
    number; marks : those of the prices, where they are known already.
    """
    marks, perimeter = marks or Marks(prices, books), np.ones(len(books.holders), dtype=bool)
    perimeter[[books.world, *books.outside]] = False
    start = _equity(_opening(postings, books), marks, books)
    end = _equity(balances | {"amount": balances["balance"]}, marks, books, at_end=True)
    terms = {name: np.zeros(events) for name in ("marks", "outflow", "basis", "liabilities")}
    for (holder, asset), rows in _groups(postings, marks, perimeter):
        _add_marks(terms["marks"], marks.series(holder, asset), postings["event"][rows], postings["amount"][rows])
    _add_flows(terms, postings, marks, books, perimeter)
    return Losses(start, end, **terms, perimeter=perimeter)


def losses_by_cell(
    postings: Columns,
    marks: Marks,
    books: Any,
    perimeter: NDArray[np.bool_],
    source: NDArray[Any],
    target: NDArray[Any],
) -> Floats:
    """Return the losses inside the perimeter as a matrix: by the label of their event, and by that of their holder.

    source : a label from 0 for every event; target : one for every holder. A loss is old holdings at new marks, or
    what legs took from their holder, at its own marks.
    """
    shape = (int(source.max(initial=0)) + 1, int(target.max(initial=0)) + 1)
    table = np.zeros(shape)
    for (holder, asset), rows in _groups(postings, marks, perimeter, target):
        series = marks.series(holder, asset)
        fall = -_held(series, postings["event"][rows], postings["amount"][rows]) * series.deltas
        table[:, target[holder]] += np.bincount(source[series.events], fall, shape[0])
    later = np.flatnonzero((postings["event"] > books.opening) & perimeter[postings["holder"]])
    moved = {name: column[later] for name, column in postings.items()}
    cells = source[moved["event"]] * shape[1] + target[moved["holder"]]
    flows = np.bincount(cells, by_holder_value(moved, marks, books), table.size)
    return np.asarray(table - flows.reshape(shape))


def shortfalls(balances: Columns, prices: Columns, books: Any) -> dict[tuple[int, int], float]:
    """Return by how much open positions are under water, by (lender, holder), as each lender values them.

    A position is all claims between one holder (or member) and one lender: deposits count for it, debts against.
    The outside, which may owe anything, is never under water.
    """
    lenders = np.maximum(np.asarray(books.issuers), np.asarray(books.creditors))
    claims = (np.asarray(books.underlying) >= 0) & (lenders >= 0)
    lender = lenders[balances["asset"]]
    inside = ~np.isin(balances["holder"], [books.world, *books.outside])
    chosen = claims[balances["asset"]] & (lender != balances["holder"]) & inside
    if not chosen.any():
        return {}
    marks = Marks(prices, books)
    rows = {name: column[chosen] for name, column in balances.items()} | {"lender": lender[chosen]}
    worth = {
        pair: marks.series(*divmod(pair, len(books.assets))).closing
        for pair in np.unique(rows["lender"].astype(np.int64) * len(books.assets) + rows["asset"]).tolist()
    }
    values = rows["balance"] * np.array(
        [worth[pair] for pair in (rows["lender"].astype(np.int64) * len(books.assets) + rows["asset"]).tolist()]
    )
    keys = np.stack([rows["lender"], rows["holder"], rows["member"]])
    pairs, inverse = np.unique(keys, axis=1, return_inverse=True)
    nets = np.zeros(pairs.shape[1])
    np.add.at(nets, inverse.ravel(), values)
    table: dict[tuple[int, int], float] = {}
    for column in np.flatnonzero(nets < 0.0).tolist():
        pair = (int(pairs[0, column]), int(pairs[1, column]))
        table[pair] = table.get(pair, 0.0) - float(nets[column])
    return table


def by_holder_value(columns: Columns, marks: Marks, books: Any) -> Floats:
    """Return what each row of (event, holder, asset, amount) was worth to its holder at its event."""
    values = np.zeros(len(columns["event"]))
    for (holder, asset), rows in _groups(columns, marks, None):
        values[rows] = columns["amount"][rows] * marks.series(holder, asset).at(columns["event"][rows])
    return values


def _opening(postings: Columns, books: Any) -> Columns:
    first = postings["event"] <= books.opening
    return {name: column[first] for name, column in postings.items()}


def _equity(rows: Columns, marks: Marks, books: Any, at_end: bool = False) -> Floats:
    equity, size = np.zeros(len(books.holders)), len(books.assets)
    pairs, group = distinct(rows["holder"].astype(np.int64) * size + rows["asset"], len(equity) * size)
    totals = np.zeros(len(pairs), np.int64)
    np.add.at(totals, group, rows["amount"])
    for pair, total in zip(pairs.tolist(), totals.tolist(), strict=True):
        holder, asset = divmod(pair, size)
        series = marks.series(holder, asset)
        equity[holder] += total * (series.closing if at_end else series.at(np.array([books.opening]))[0])
    return equity


def _groups(
    columns: Columns, marks: Marks, perimeter: NDArray[np.bool_] | None, labels: NDArray[Any] | None = None
) -> list[tuple[tuple[int, int], NDArray[np.int64]]]:
    """Return ((a holder, asset), rows) for every way in which some holders (of one label) value an asset."""
    holders, assets = columns["holder"].astype(np.int64), columns["asset"]
    width = int(assets.max(initial=0)) + 1
    pairs, inverse = distinct(holders * width + assets, (int(holders.max(initial=0)) + 1) * width)
    ways: dict[tuple[int, int, tuple[int, int]], tuple[int, int]] = {}
    way = np.zeros(len(pairs), np.int64)
    for number, pair in enumerate(pairs.tolist()):
        holder, asset = divmod(pair, width)
        if perimeter is None or perimeter[holder]:
            label = 0 if labels is None else int(labels[holder])
            way[number], _ = ways.setdefault((label, asset, marks.feeds(holder, asset)), (len(ways) + 1, pair))
    rows = rows_by_group(way[inverse], len(ways) + 1)[1:]
    return [(divmod(pair, width), rows[number - 1]) for number, pair in ways.values()]


def _add_marks(term: Floats, series: Series, events: NDArray[Any], amounts: NDArray[Any]) -> None:
    """Add old holdings times the fall of the mark, at every event that moved it."""
    np.add.at(term, series.events, -_held(series, events, amounts) * series.deltas)


def _held(series: Series, events: NDArray[Any], amounts: NDArray[Any]) -> Floats:
    """Return what postings add up to before each increment of a series."""
    since = np.searchsorted(series.events, events, side="right")
    return np.asarray(np.cumsum(np.bincount(since, weights=amounts, minlength=len(series.events) + 1))[:-1])


def _add_flows(
    terms: dict[str, Floats], postings: Columns, marks: Marks, books: Any, perimeter: NDArray[np.bool_]
) -> None:
    """Add what left for the outside, and what differing marks made of what moved inside."""
    after = {name: column[postings["event"] > books.opening] for name, column in postings.items()}
    if not len(after["event"]):
        return
    own = by_holder_value(after, marks, books)
    common = by_holder_value(after | {"holder": np.full_like(after["holder"], books.world)}, marks, books)
    inside = perimeter[after["holder"]]
    issuer = np.asarray(books.issuers)[after["asset"]] == after["holder"]
    np.add.at(terms["outflow"], after["event"][~inside], common[~inside])
    np.add.at(terms["basis"], after["event"][inside & ~issuer], (common - own)[inside & ~issuer])
    np.add.at(terms["liabilities"], after["event"][inside & issuer], (common - own)[inside & issuer])
