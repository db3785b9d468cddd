"""Trading coins of many accounts as one order: one walk, its mean price for all, its rest shared as it falls."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.finance.margin import share_out
from contagion.mechanisms.exchange.marks import Line
from contagion.mechanisms.exchange.roster import Cohort, Roster
from contagion.units import SUPPLY_LIMIT
from contagion.venues import SELL

Integers = NDArray[np.int64]


def within_reach(line: Line, side: int, size: Integers) -> Integers:
    """Return what of each account's part of an order (whole lots) the book would take now, pro rata."""
    lot = line.book.lot
    walk = line.book.walk(side, int(size.sum()), None, -1)
    return np.asarray(share_out(walk.filled // lot, size // lot) * lot, np.int64)


def trade_coins(
    roster: Roster, line: Line, part: Cohort, side: int, size: Integers, *, cause: int, channel: int, depth: Any = None
) -> int:
    """Buy or sell `size` coins for each account at what rests, without a limit; return the event, else the cause.

    size : base units in whole lots. What the book cannot take stays undone, pro rata, and is logged.
    """
    book = line.book
    walk = book.walk(side, int(size.sum()), None, -1)
    event = cause
    if walk.filled:
        traded = share_out(walk.filled // book.lot, size // book.lot) * book.lot
        paid = share_out(book.notional_of(walk), traded)
        legs = roster.legs(part, roster.custody.claims[line.asset], side * traded)
        legs += roster.legs(part, roster.custody.cash, -side * paid)
        event = book.settle(legs, side, walk, -1, None, cause=cause, channel=channel, depth=depth)
    if walk.unfilled:
        book.log_unfilled(walk.unfilled, cause=event, channel=channel)
    return event


def coins_for(missing: Integers, book: Any, best: int) -> Integers:
    """Return the coins (whole lots) that bring each account its missing cash at the mean price of selling them all.

    Where the book is not deep enough that is more than anybody has.
    """
    at = float(best)
    for _ in range(3):
        total = int((missing * (book.scale / at)).sum()) // book.lot * book.lot
        walk = book.walk(SELL, min(max(total, book.lot), SUPPLY_LIMIT // book.lot * book.lot), None, -1)
        if walk.unfilled or not walk.filled:
            return np.full(len(missing), SUPPLY_LIMIT // book.lot * book.lot, np.int64)
        at = walk.notional / walk.filled
    lots = np.ceil(missing * (book.scale / at) / book.lot).astype(np.int64)
    return np.asarray((lots + 1) * book.lot, np.int64)
