"""How near accounts at an exchange are to liquidation: what is open in those that a move of all marks puts in breach.

A margin is a concave function of a common move of all marks, so an account that stands at the marks and at a move of
20% stands at every smaller one: only those that a large move breaks are asked about the next smaller.
"""

from typing import NamedTuple

import numpy as np

from contagion.accounts.book import CHUNK
from contagion.mechanisms.exchange.roster import Roster

SIZES = (0.2, 0.1, 0.05, 0.03)
"""Falls and rises of all marks but the settlement's, the largest first."""


class Nearness(NamedTuple):
    """What is open in all accounts, and by move (0: at the marks) in those in breach; in tokens of the settlement."""

    whole: float
    at: dict[float, float]


def nearness(roster: Roster) -> Nearness:
    """Return what the accounts of an exchange have open, and what of it each move would put in breach.

    Open are contracts, at their notional, and loans, both at the marks. Who is in breach already counts in every move.
    The insurance fund is no account that could be liquidated.
    """
    prices, whole, unit = roster.prices(), 0.0, roster.settlement_unit()
    at = dict.fromkeys((0.0, *(sign * size for sign in (-1, 1) for size in SIZES)), 0.0)
    for holder, count in roster.accounts():
        for first in range(0, count, CHUNK):
            members = np.arange(first, min(first + CHUNK, count))
            stakes = roster.stakes(holder, members, prices) / unit
            breached = roster.margins(holder, members, prices) < 0
            whole, lost = whole + float(stakes.sum()), float(stakes[breached].sum())
            at[0.0] += lost
            for sign in (-1, 1):
                left = np.flatnonzero(~breached)
                for size in SIZES:
                    left = left[roster.margins(holder, members[left], prices * (1 + sign * size)) < 0]
                    at[sign * size] += lost + float(stakes[left].sum())
    return Nearness(whole, at)
