"""Where distress crossed between domains: failures, and losses, by what set them off and whom they hit.

A loss belongs to the event at which it arose, and is set off by the nearest failure at or above that event; what
a shock or the clock did by itself comes from 'shock'. So the losses of the table sum to those of the run, and
each column to those of the holders in its domain.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.metrics.cascade import failures, origins, spillover
from contagion.metrics.losses import losses_by_cell
from contagion.metrics.marks import Marks

Columns = dict[str, NDArray[Any]]
Table = dict[str, dict[str, dict[str, float]]]

SHOCK = "shock"


def spillovers(
    events: Columns, failed: Columns, postings: Columns, marks: Marks, books: Any, perimeter: NDArray[np.bool_]
) -> Table:
    """Return {from: {to: {failures, value, loss}}}: failures, what was at stake in them (base units), and losses."""
    table = spillover(events, failed, books.kinds, books.domains)
    names = sorted({*books.domains, SHOCK})
    number = np.array([names.index(domain) for domain in books.domains])
    parent, is_failure = origins(events, books.kinds), np.zeros(len(events["kind"]), np.bool_)
    is_failure[failures(events, books.kinds)] = True
    source = np.where(is_failure[parent], number[events["node"][parent]], names.index(SHOCK))
    losses = losses_by_cell(postings, marks, books, perimeter, source, number)
    for row, column in zip(*(places.tolist() for places in np.nonzero(losses)), strict=True):
        cells = table.setdefault(names[row], {})
        cells.setdefault(names[column], {"failures": 0, "value": 0})["loss"] = float(losses[row, column])
    for cells in table.values():
        for cell in cells.values():
            cell.setdefault("loss", 0.0)
    return table
