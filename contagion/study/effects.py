"""What differs between paired samples, and how surely.

A value is a figure of one run, the samples of two sets of runs are paired by their seed, and what is not there
(nan) drops its pair. Differences are taken as they are: with the knock-out minus without it.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]
CONFIDENCE = 0.95


def estimate(samples: Floats) -> dict[str, Any]:
    """Return mean, 95% interval (Student's t) and the share of samples that have the mean's sign.

    Two samples at least make an interval; without any there is no mean either.

    >>> row = estimate(np.array([1.0, 2.0, 3.0, math.nan]))
    >>> row["count"], row["mean"], round(row["low"], 3), round(row["high"], 3), row["same_sign"]
    (3, 2.0, -0.484, 4.484, 1.0)
    """
    known = samples[np.isfinite(samples)]
    count = len(known)
    row: dict[str, Any] = {"count": count, "mean": None, "low": None, "high": None, "same_sign": None}
    if count:
        mean = math.fsum(known) / count
        row |= {"mean": mean, "same_sign": float(np.mean(np.sign(known) == np.sign(mean)))}
    if count > 1:
        half = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * float(np.std(known, ddof=1)) / math.sqrt(count)
        row |= {"low": mean - half, "high": mean + half}
    return row


def paired(base: Floats, other: Floats) -> dict[str, Any]:
    """Return the estimate of other - base as `difference`, and both means over the pairs that there are."""
    whole = np.isfinite(base) & np.isfinite(other)
    row = estimate(other[whole] - base[whole])
    means = {"base": estimate(base[whole])["mean"], "without": estimate(other[whole])["mean"]}
    return means | {"difference": row.pop("mean")} | row
