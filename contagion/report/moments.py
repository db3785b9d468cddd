"""Columns over time in at most 600 steps: what the slider covers, and what of a step is kept.

Where there are no more than 600 moments of change they are kept as they are. Otherwise the span is cut into 600
steps of one length: of a level its last value, lowest and highest are kept, of a flow its sum. A report is then as
large for ten million rows as for ten thousand, and a minimum is still in the picture.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.log import FAILURES
from contagion.units import SECOND

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

STEPS = 600
_MARGIN = 0.04


class Steps(NamedTuple):
    """Moments (microseconds, ascending) at which a chart states values; `exact` where they are all there were."""

    at: Integers
    exact: bool

    @property
    def seconds(self) -> list[float]:
        """Return the moments in seconds."""
        return [round(moment / SECOND, 6) for moment in self.at.tolist()]


class Level(NamedTuple):
    """The last value of each step, and the lowest and highest in it; nan before the first."""

    last: Floats
    low: Floats
    high: Floats


def span(run: Any) -> tuple[int, int]:
    """Return the first and last microsecond of what happened, with a margin: failures, shocks and moves of prices."""
    events, prices, books = run.tables["events"], run.tables["prices"], run.books
    kinds = [number for number, kind in enumerate(books.kinds) if kind == "shock" or kind in FAILURES]
    moments = events["time_us"][np.isin(events["kind"], kinds)]
    moved = prices["time_us"][(prices["delta"] != 0) & (prices["event"] > books.opening)]
    ends = [edge for column in (moments, moved) if len(column) for edge in (int(column.min()), int(column.max()))]
    end_us = int(run.manifest.get("end_us") or run.facts.get("sim_seconds", 0) * SECOND or SECOND)
    if not ends:
        return 0, end_us
    room = max(round((max(ends) - min(ends)) * _MARGIN), SECOND)
    return max(min(ends) - room, 0), max(min(max(ends) + room, end_us), max(ends), 1)


def steps(moments: Integers, first: int, last: int, most: int = STEPS) -> Steps:
    """Return the steps at which to state what changes at `moments`, both ends of the span included.

    >>> steps(np.array([5, 7, 7]), 0, 10).at.tolist()
    [0, 5, 7, 10]
    >>> len(steps(np.arange(5_000), 0, 5_000).at)
    601
    """
    inside = np.unique(moments[(moments > first) & (moments < last)])
    if len(inside) <= most - 1:
        return Steps(np.unique(np.r_[first, inside, last]).astype(np.int64), True)
    return Steps(np.linspace(first, last, most + 1).round().astype(np.int64), False)


def level(times: Integers, values: Floats, at: Integers) -> Level:
    """Return what a level that changes at `times` (ascending) is at each step.

    >>> level(np.array([0, 4, 6]), np.array([3.0, 1.0, 2.0]), np.array([0, 5, 10])).low.tolist()
    [3.0, 1.0, 1.0]
    """
    until = np.searchsorted(times, at, side="right")
    known = until > 0
    last = np.where(known, values[np.maximum(until - 1, 0)], np.nan)
    low, high = last.copy(), last.copy()
    place = np.searchsorted(at, times, side="left")
    inside = place < len(at)
    for bound, function in ((low, np.fmin), (high, np.fmax)):
        bound[1:] = function(bound[1:], last[:-1])
        function.at(bound, place[inside], values[inside])
    return Level(last, low, high)
