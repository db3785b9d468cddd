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
from contagion.metrics.groups import Integers, Owners, distinct, rows_by_group
from contagion.metrics.losses import by_holder_value
from contagion.metrics.marks import Floats, Marks, Series

Columns = dict[str, NDArray[Any]]

TRANSFERS = {
    "liquidation": Channel.PENALTY,
    "liquidation-fee": Channel.PENALTY,
    "trade": Channel.SLIPPAGE,
    "fill": Channel.SLIPPAGE,
    "cross": Channel.SLIPPAGE,
    "shock": Channel.EXOGENOUS,
    "bad-debt": Channel.CREDIT,
    "uncovered-deficit": Channel.CREDIT,
    "gas": Channel.FEE,
    "fee": Channel.FEE,
    "redemption": Channel.FEE,
    "mint": Channel.FEE,
    "funding": Channel.FUNDING,
    "interest": Channel.INTEREST,
    "reward": Channel.INTEREST,
    "yield": Channel.INTEREST,
    "insurance": Channel.INSURANCE,
    "auto-deleveraging": Channel.ADL_HAIRCUT,
    "deleveraging": Channel.ADL_HAIRCUT,
    "write-down": Channel.CREDIT,
    "clearing": Channel.CREDIT,
    "default": Channel.DEFAULT_COST,
    "default-cost": Channel.DEFAULT_COST,
}
"""The channel of what a transaction itself moved, by the kind of its event; others are worth nothing net."""


def attribution(
    postings: Columns, prices: Columns, kinds: NDArray[Any], books: Any, members: bool = False
) -> tuple[Integers, Integers, Floats]:
    """Return (holders, members, changes of equity by channel), a row a holder, or one a member.

    postings : the journal, in any order; kinds : kind of every event; the second axis follows `Channel`.
    """
    member = postings["member"] if members else np.full_like(postings["member"], -1)
    owners = Owners(postings["holder"], member, len(books.holders))
    return owners.holders, owners.members, changes(postings, Marks(prices, books), kinds, books, owners)


def changes(postings: Columns, marks: Marks, kinds: NDArray[Any], books: Any, owners: Owners) -> Floats:
    """Return the changes of equity by channel, a row an owner of postings."""
    table, size = np.zeros((len(Channel), len(owners))), len(books.assets)
    events, amounts = np.maximum(postings["event"], books.opening), postings["amount"].astype(np.float64)
    pairs, group = distinct(postings["holder"].astype(np.int64) * size + postings["asset"], len(books.holders) * size)
    for pair, rows in zip(pairs.tolist(), rows_by_group(group, len(pairs)), strict=True):
        _add_prices(table, owners.rows[rows], marks.series(*divmod(pair, size)), events[rows], amounts[rows])
    later = np.flatnonzero(postings["event"] > books.opening)
    moved = {name: column[later] for name, column in postings.items()}
    channel = transfer_channels(kinds, books.kinds)[moved["event"]]
    np.add.at(table.reshape(-1), channel * len(owners) + owners.rows[later], by_holder_value(moved, marks, books))
    return table.T


def by_channel(table: Floats) -> dict[str, float]:
    """Return the loss (positive) by channel; what is only rounding (1e-12 of all) is left out."""
    total, size = -table.sum(axis=0), float(np.abs(table).sum())
    return {c.label: float(total[c]) for c in Channel if abs(total[c]) > 1e-12 * size}


def by_side(table: Floats) -> dict[str, dict[str, float]]:
    """Return what was lost by a channel, what was gained by it, and the difference: the channel's loss.

    table : changes of equity, a row an owner. A penalty that one pays and another gets is no loss of both
    together, and still a channel; what is only rounding (1e-12 of all) is left out.
    """
    size, rows = float(np.abs(table).sum()), {}
    for channel in Channel:
        change = table[:, channel]
        lost, gained = -float(change[change < 0.0].sum()), float(change[change > 0.0].sum())
        if max(lost, gained) > 1e-12 * size:
            rows[channel.label] = {"lost": lost, "gained": gained, "net": lost - gained}
    return rows


def _add_prices(table: Floats, rows: Integers, series: Series, events: Integers, amounts: Floats) -> None:
    """Add amount times (closing minus present sum of increments), channel by channel."""
    at = np.searchsorted(series.events, events, side="right")
    for channel, ahead in series.ahead.items():
        np.add.at(table[channel], rows, amounts * ahead[at])


def transfer_channels(kinds: NDArray[Any], names: list[str]) -> NDArray[np.int64]:
    """Return the channel of what each event's own legs moved."""
    lookup = np.array([int(TRANSFERS.get(name, Channel.NONE)) for name in names] or [0], dtype=np.int64)
    return np.asarray(lookup[kinds])
