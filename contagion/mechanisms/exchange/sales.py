"""Selling coins of many accounts as one order: one walk, its mean price for all, its rest shared as it falls."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.finance.margin import share_out
from contagion.mechanisms.exchange.marks import Line
from contagion.mechanisms.exchange.roster import Cohort, Roster
from contagion.units import SUPPLY_LIMIT
from contagion.venues import SELL

Integers = NDArray[np.int64]


def sell_coins(
    roster: Roster, line: Line, part: Cohort, size: Integers, *, cause: int, channel: int, depth: Any = None
) -> int:
    """Sell `size` coins of each account at what rests, without a limit; return the trade's event, else the cause.

    size : base units in whole lots. What the book cannot take stays with the accounts, pro rata, and is logged.
    """
    book, total = line.book, int(size.sum())
    walk = book.walk(SELL, total, None, -1)
    event = cause
    if walk.filled:
        sold = share_out(walk.filled // book.lot, size // book.lot) * book.lot
        paid = share_out(book.notional_of(walk), sold)
        legs = roster.legs(part, roster.custody.claims[line.asset], -sold)
        legs += roster.legs(part, roster.custody.cash, paid)
        event = book.settle(legs, SELL, walk, -1, None, cause=cause, channel=channel, depth=depth)
    if walk.unfilled:
        roster.sim.record(
            "unfilled", book.node, cause=event, asset=line.asset, market=book.node, quantity=walk.unfilled,
            channel=channel,
        )  # fmt: skip
    return event


def coins_for(missing: Integers, book: Any, best: int) -> Integers:
    """Return the coins (whole lots) that bring each account its missing cash at the mean price of selling them all.

    Where the book is not deep enough that is more than anybody has.
    """
    at = float(best)
    for _ in range(3):
        total = int((missing * (book.scale / at)).sum()) // book.lot * book.lot
        walk = book.walk(SELL, min(max(total, book.lot), SUPPLY_LIMIT - 1), None, -1)
        if walk.unfilled or not walk.filled:
            return np.full(len(missing), SUPPLY_LIMIT // book.lot * book.lot, np.int64)
        at = walk.notional / walk.filled
    return np.asarray(np.ceil(missing * (book.scale / at) / book.lot), np.int64) * book.lot + book.lot
