"""Total value locked, as dashboards display it and net of what they count again.

Displayed is the sum of what every protocol (lender, pool, issuer of a token) shows: all that it has, at its own
marks, what it has lent included, and nothing that it owes. Net is the same without what is counted again:

- loans: what a lender has lent is no longer there, and where borrowers have bought more collateral with it, that
  collateral is displayed as well. A loop of $100,000 at 80% with five re-deposits displays $368,928 and nets $100,000;
- tokens that another protocol owes: a stablecoin in a pool, or a deposit receipt pledged at a second lender, stands for
  what its issuer displays already.

So net is what could be redeemed, tokens at protocols that no protocol owes: the total value redeemable of Luo, Feng,
Xu and Tasca (2024), *Piercing the Veil of TVL*, arXiv 2404.11745. DefiLlama keeps borrowed coins and double counted
deposits apart for the same reason ("to avoid inflating the TVL through cycled lending").

An issuer is displayed with its backing, not with its supply. Exchanges are no protocols; a pool of virtual reserves
(`perimeter = false`) locks nothing; a wrapper that states no issuer is taken for the thing itself.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.metrics.groups import distinct
from contagion.metrics.marks import Marks

Columns = dict[str, NDArray[Any]]

PROTOCOLS = ("amm", "lending_protocol", "stablecoin_issuer")


def value_locked(postings: Columns, balances: Columns, books: Any, marks: Marks) -> dict[str, dict[str, float]]:
    """Return what is `displayed` and `net` at the `start` and at the `end`, in the currency.

    postings : the journal, of which the opening is read; balances : the ledger at the end.
    """
    first = np.flatnonzero(postings["event"] <= books.opening)
    opening = {name: postings[name][first] for name in ("holder", "asset", "amount")}
    start = _locked(opening, books, marks, at=books.opening)
    end = _locked(balances | {"amount": balances["balance"]}, books, marks)
    return {name: {"start": start[name], "end": end[name]} for name in ("displayed", "net")}


def _locked(rows: Columns, books: Any, marks: Marks, at: int | None = None) -> dict[str, float]:
    """Return both sums over (holder, asset, amount), at the marks of an event or at the last ones."""
    inside = set(range(len(books.holders))) - set(books.outside)
    protocols = {holder for holder in inside if books.holder_kinds[holder] in PROTOCOLS}
    own, size = np.flatnonzero(np.isin(rows["holder"], list(protocols))), len(books.assets)
    keys = rows["holder"][own].astype(np.int64) * size + rows["asset"][own]
    pairs, group = distinct(keys, len(books.holders) * size)
    totals = np.zeros(len(pairs), np.int64)
    np.add.at(totals, group, rows["amount"][own])
    displayed = again = 0.0
    for pair, total in zip(pairs.tolist(), totals.tolist(), strict=True):
        holder, asset = divmod(pair, size)
        if books.issuers[asset] == holder:
            continue
        series = marks.series(holder, asset)
        worth = total * (series.closing if at is None else float(series.at(np.array([at]))[0]))
        displayed += worth
        if books.creditors[asset] == holder or books.issuers[asset] in protocols:
            again += worth
    return {"displayed": displayed, "net": displayed - again}
