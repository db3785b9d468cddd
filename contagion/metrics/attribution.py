"""Which force cost whom how much: posting attribution.

Every price increment has one channel, and every transfer one by the kind of its event. A holder's part of a
channel is the sum of what it held times the increments, which by summation by parts needs one look at each
change of its position and none at the ticks in between: settlement is as lazy as it can be. Per holder the
channels sum to the change of its equity.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.log import Channel
from contagion.metrics.losses import by_holder_value
from contagion.metrics.marks import Floats, Marks, Series

Columns = dict[str, NDArray[Any]]

TRANSFERS = {
    "liquidation": Channel.PENALTY,
    "trade": Channel.SLIPPAGE,
    "bad-debt": Channel.CREDIT,
    "gas": Channel.FEE,
    "redemption": Channel.FEE,
    "default": Channel.DEFAULT_COST,
}
"""The channel of what a transaction itself moved, by the kind of its event; others are worth nothing net."""


def attribution(
    postings: Columns, prices: Columns, kinds: NDArray[Any], books: Any, members: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return (holders, members, changes of equity by channel), a row a holder, or one a member.

    postings : the journal; kinds : kind of every event; the second axis follows `Channel`.
    """
    marks, size = Marks(prices, books), len(books.holders)
    holder, member = postings["holder"].astype(np.int64), postings["member"].astype(np.int64)
    span = int(member.max(initial=-1)) + 2 if members else 1
    keys, rows = np.unique(holder * span + (member + 1 if members else 0), return_inverse=True)
    table = np.zeros((len(keys), len(Channel)))
    pairs, group = np.unique(holder * len(books.assets) + postings["asset"], return_inverse=True)
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(len(pairs) + 1))
    for number, pair in enumerate(pairs.tolist()):
        chosen = order[bounds[number] : bounds[number + 1]]
        series = marks.series(*divmod(pair, len(books.assets)))
        _add_prices(table, rows[chosen], series, postings["event"][chosen], postings["amount"][chosen], books.opening)
    later = np.flatnonzero(postings["event"] > books.opening)
    values = by_holder_value({name: column[later] for name, column in postings.items()}, marks, books)
    channel = _transfer_channels(kinds, books.kinds)[postings["event"][later]]
    np.add.at(table, (rows[later], channel), values)
    assert len(keys) <= size or members, "one row a holder"
    return keys // span, keys % span - 1, table


def by_channel(table: Floats) -> dict[str, float]:
    """Return the loss (positive) by channel; what is only rounding (1e-12 of all) is left out."""
    total, size = -table.sum(axis=0), float(np.abs(table).sum())
    return {c.label: float(total[c]) for c in Channel if abs(total[c]) > 1e-12 * size}


def _add_prices(
    table: Floats, rows: NDArray[Any], series: Series, events: NDArray[Any], amounts: NDArray[Any], opening: int
) -> None:
    """Add amount times (closing minus present sum of increments), channel by channel."""
    late = np.maximum(events, opening)
    at = np.searchsorted(series.events, late, side="right")
    for channel in np.unique(series.channels).tolist():
        sums = np.concatenate([[0.0], np.cumsum(np.where(series.channels == channel, series.deltas, 0.0))])
        np.add.at(table, (rows, channel), amounts * (sums[-1] - sums[at]))


def _transfer_channels(kinds: NDArray[Any], names: list[str]) -> NDArray[np.int64]:
    lookup = np.array([int(TRANSFERS.get(name, Channel.NONE)) for name in names] or [0], dtype=np.int64)
    return np.asarray(lookup[kinds])
