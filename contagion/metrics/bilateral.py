"""Who lost to whom: value that changed hands, by its loser, its receiver and the channel of the event that moved it.

Only transfers have two sides. What a falling price takes from a holder goes to nobody, and is in
`losses_by_channel` and not here; so the rows of this table do not sum to the loss of a run, but to the transfer
part of everybody's change of equity, exactly. A flash loan is lent and returned within one unwinding, at one time:
nobody loses it, and neither of its two events is here.

The rule: at every event after the opening, what each holder's legs are worth to it, at its own marks after the
event, is what it gained or lost by that event; members of a population are taken one by one. Losers lose to all
gainers of the event in proportion to their gains. Where marks differ and losses and gains are not the same, the
difference is lost to, or gained from, nobody (-1).
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.log import Channel
from contagion.metrics.attribution import transfer_channels
from contagion.metrics.groups import Integers, Owners
from contagion.metrics.losses import by_holder_value
from contagion.metrics.marks import Floats, Marks

Columns = dict[str, NDArray[Any]]

NOBODY = "nobody"
RETURNED = ("flash-loan",)
"""Kinds of events that others of that kind undo at once, in full."""
_ROUNDING = 1e-12


def bilateral(postings: Columns, prices: Columns, kinds: NDArray[Any], books: Any) -> Columns:
    """Return loser, receiver (nodes, -1 for nobody), channel and value in the currency, the largest value first.

    postings : the journal, in any order; kinds : kind of every event. A node may lose to itself: one member to
    another.
    """
    nobody, count = len(books.holders), len(Channel)
    event, node, change = _changes(_transfers(postings, kinds, books), Marks(prices, books), books)
    losses = _sums(event, node, np.maximum(-change, 0.0), nobody + 1)
    gains = _sums(event, node, np.maximum(change, 0.0), nobody + 1)
    size = len(kinds)
    short = _totals(losses[0], losses[2], size) - _totals(gains[0], gains[2], size)
    losses, gains = _with(losses, -short, nobody), _with(gains, short, nobody)
    whole = _totals(gains[0], gains[2], size)
    lost, gained = _pairs(losses[0], gains[0], size)
    at = losses[0][lost]
    value = losses[2][lost] * (gains[2][gained] / whole[at])
    channel = transfer_channels(kinds, books.kinds)[at]
    key = (losses[1][lost] * (nobody + 1) + gains[1][gained]) * count + channel
    keys, group = np.unique(key, return_inverse=True)
    totals = _totals(group, value, len(keys))
    kept = np.flatnonzero(totals > _ROUNDING * totals.sum())
    kept = kept[np.argsort(-totals[kept], kind="stable")]
    pair, channel = np.divmod(keys[kept], count)
    loser, receiver = np.divmod(pair, nobody + 1)
    sides = {"loser": loser, "receiver": receiver}
    named = {name: np.where(side == nobody, -1, side).astype(np.int32) for name, side in sides.items()}
    return {**named, "channel": channel.astype(np.int32), "value": totals[kept]}


def by_pair(table: Columns, names: list[str]) -> list[dict[str, Any]]:
    """Return a row for each pair of names (nodes, or the sectors of nodes): value, and its channels, largest first."""
    pairs: dict[tuple[str, str], dict[str, float]] = {}
    labels = [*names, NOBODY]
    for loser, receiver, channel, value in zip(*(column.tolist() for column in table.values()), strict=True):
        channels = pairs.setdefault((labels[loser], labels[receiver]), {})
        label = Channel(channel).label
        channels[label] = channels.get(label, 0.0) + value
    rows = [
        {"loser": loser, "receiver": receiver, "value": sum(channels.values()), "channels": _largest_first(channels)}
        for (loser, receiver), channels in pairs.items()
    ]
    return sorted(rows, key=lambda row: -row["value"])


def _transfers(postings: Columns, kinds: NDArray[Any], books: Any) -> Columns:
    """Return the legs of all events after the opening but those that are undone."""
    undone = np.isin(kinds, [number for number, kind in enumerate(books.kinds) if kind in RETURNED])
    chosen = np.flatnonzero((postings["event"] > books.opening) & ~undone[postings["event"]])
    return {name: column[chosen] for name, column in postings.items()}


def _changes(moved: Columns, marks: Marks, books: Any) -> tuple[Integers, Integers, Floats]:
    """Return (event, node, change of equity) for everybody with legs at an event, members one by one."""
    owners = Owners(moved["holder"], moved["member"], len(books.holders))
    size = max(len(owners), 1)
    keys, group = np.unique(moved["event"].astype(np.int64) * size + owners.rows, return_inverse=True)
    event, owner = np.divmod(keys, size)
    return event, owners.holders[owner], _totals(group, by_holder_value(moved, marks, books), len(keys))


def _sums(event: Integers, node: Integers, amounts: Floats, nodes: int) -> tuple[Integers, Integers, Floats]:
    """Return (event, node, sum of amounts), ascending, what is nothing left out."""
    chosen = np.flatnonzero(amounts > 0.0)
    keys, group = np.unique(event[chosen] * nodes + node[chosen], return_inverse=True)
    at, who = np.divmod(keys, nodes)
    return at, who, _totals(group, amounts[chosen], len(keys))


def _totals(groups: Integers, amounts: Floats, count: int) -> Floats:
    return np.bincount(groups, amounts, count).astype(np.float64)


def _with(side: Iterable[NDArray[Any]], more: Floats, nobody: int) -> tuple[Integers, Integers, Floats]:
    """Add nobody to one side of the events of which the other side is larger, and sort by event."""
    events = np.flatnonzero(more > 0.0)
    added = (events, np.full(len(events), nobody), more[events])
    event, node, amount = (np.concatenate(parts) for parts in zip(side, added, strict=True))
    order = np.argsort(event, kind="stable")
    return event[order], node[order], amount[order]


def _pairs(one: Integers, other: Integers, size: int) -> tuple[Integers, Integers]:
    """Return the places of all pairs of rows with the same event; both sides are sorted by event."""
    counts = np.bincount(other, minlength=size)
    each = counts[one]
    first = np.repeat((np.cumsum(counts) - counts)[one] - (np.cumsum(each) - each), each)
    return np.repeat(np.arange(len(one)), each), first + np.arange(int(each.sum()))


def _largest_first(table: dict[str, float]) -> dict[str, float]:
    return dict(sorted(table.items(), key=lambda item: -item[1]))
