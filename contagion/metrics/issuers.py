"""What stands behind issued tokens, and what loops of them were opened for: coverage, and carry beside the loss."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.metrics.losses import Losses
from contagion.metrics.marks import Marks
from contagion.metrics.venues import is_kind
from contagion.units import PPM, PRICE_SCALE

Columns = dict[str, NDArray[Any]]


def coverage(postings: Columns, balances: Columns, books: Any, marks: Marks) -> dict[str, dict[str, float | None]]:
    """Return the backing of every issuer over what it owes, at the start and at the end; None where it owes nothing.

    What it owes are its own tokens at par and claims on itself; its backing is all else that it has, at its own
    marks, accounts at exchanges with the profit and loss of their positions included.
    """
    table = {}
    opening = postings["event"] <= books.opening
    for holder, kind in enumerate(books.holder_kinds):
        if kind == "stablecoin_issuer":
            first = opening & (postings["holder"] == holder)
            last = balances["holder"] == holder
            table[books.holders[holder]] = {
                "start": _ratio(
                    holder, postings["asset"][first], postings["amount"][first], books, marks, at=books.opening
                ),
                "end": _ratio(holder, balances["asset"][last], balances["balance"][last], books, marks),
            }
    return table


def _ratio(
    holder: int, assets: NDArray[Any], amounts: NDArray[Any], books: Any, marks: Marks, at: int | None = None
) -> float | None:
    """Return backing over liabilities of one holder, from (asset, amount) at the marks of an event, else the last."""
    backing = owed = 0.0
    for asset in np.unique(assets).tolist():
        series = marks.series(holder, asset)
        price = series.closing if at is None else float(series.at(np.array([at]))[0])
        worth = float(amounts[assets == asset].sum()) * price
        if books.issuers[asset] == holder:
            owed -= worth
        else:
            backing += worth
    return backing / owed if owed > 0.0 else None


def loops(events: Columns, books: Any, lost: Losses) -> dict[str, dict[str, float]]:
    """Return, for every loop, the annual return on equity that it was opened for, its equity and its loss.

    carry, yield : a year, as first logged, of the loop and of its token alone; equity, loss : in the currency, the loss
    at the end of the run.
    """
    chosen = np.flatnonzero(is_kind(events, books.kinds, "carry"))
    table = {}
    for event in chosen[np.unique(events["node"][chosen], return_index=True)[1]].tolist():
        node = int(events["node"][event])
        table[books.holders[node]] = {
            "carry": float(events["quantity"][event]) / PPM, "yield": float(events["price"][event]) / PRICE_SCALE,
            "equity": float(lost.start[node]),
            "loss": float(lost.start[node] - lost.end[node]),
        }  # fmt: skip
    return table
