"""What the times of failures alone would say of a cascade: the branching ratio of a Hawkes process fitted to them.

Who has prints and no causes can only ask how much sooner than at a constant rate failures follow each other
(Filimonov and Sornette, "Quantifying reflexivity in financial markets: toward a prediction of flash crashes",
Physical Review E 85, 056108 (2012)). The log knows what set off what, so both can stand side by side: they differ by
whatever makes failures come together without one setting off another, a common shock and the steps of a clock first.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.finance.hawkes import fit
from contagion.metrics.cascade import branching_ratio, failures
from contagion.units import SECOND

Columns = dict[str, NDArray[Any]]


class Apparent(NamedTuple):
    """Two branching ratios of one run: of causes, and of times alone.

    causal : the share of failures that a failure set off; apparent : n of the fitted process, error its standard error
    (nan where times do not tell); memory_s : the mean time from an event to what it sets off, in seconds; times : at
    how many moments anything failed, for failures of one moment count once: a density has no ties.
    """

    causal: float | None
    apparent: float
    error: float
    memory_s: float
    times: int


def apparent_branching(events: Columns, kinds: list[str], until_us: int) -> Apparent:
    """Return what the failures' times alone suggest beside what their causes say.

    events : the table of a run, which ended at `until_us`. ValueError where anything failed at fewer than two moments.

    >>> kinds, times = ["shock", "liquidation"], np.array([0, 1, 2, 3, 50, 51, 52, 90, 91]) * 1_000_000
    >>> ones = np.array([0, 1, 1, 1, 1, 1, 1, 1, 1])
    >>> events = {"kind": ones, "first": ones, "generation": ones, "time_us": times,
    ...           "cause": np.array([-1, 0, 1, 2, 0, 4, 5, 0, 7])}
    >>> found = apparent_branching(events, kinds, 100_000_000)
    >>> found.causal, round(found.apparent, 1), found.times
    (0.625, 0.5, 8)
    """
    moments = np.unique(events["time_us"][failures(events, kinds)])
    moments = moments[moments > 0] / SECOND
    found = fit(moments.tolist(), until_us / SECOND)
    return Apparent(branching_ratio(events, kinds), found.n, found.n_error, 1 / found.beta, len(moments))
