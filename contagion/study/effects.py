"""What differs between paired samples, how surely, and how a joint effect is shared.

A value is a figure of one run, the samples of two sets of runs are paired by their seed, and what is not there
(nan) drops its pair. Differences are taken as they are: with the knock-out minus without it.
"""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]
Value = Callable[[frozenset[str]], Floats]
"""The samples of a figure, one a seed, when some players are removed."""

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


def interaction(value: Value, players: Sequence[str]) -> Floats:
    """Return what removing all players does beyond the sum of what removing each alone does.

    >>> table = {(): 10.0, ("a",): 7.0, ("b",): 9.0, ("a", "b"): 1.0}
    >>> interaction(lambda removed: np.array([table[tuple(sorted(removed))]]), ["a", "b"])
    array([-5.])
    """
    none = value(frozenset())
    whole = value(frozenset(players)) - none
    return whole - sum((value(frozenset([player])) - none for player in players), np.zeros_like(none))


def shapley(value: Value, players: Sequence[str]) -> dict[str, Floats]:
    """Return each player's mean effect over all orders in which the players can be removed (Shapley 1953).

    They sum to the effect of removing all. A figure is needed for every subset of players.

    >>> table = {(): 10.0, ("a",): 7.0, ("b",): 9.0, ("a", "b"): 1.0}
    >>> shapley(lambda removed: np.array([table[tuple(sorted(removed))]]), ["a", "b"])
    {'a': array([-5.5]), 'b': array([-3.5])}
    """
    size = len(players)
    values = {}
    for player in players:
        total = np.zeros_like(value(frozenset()))
        others = [other for other in players if other != player]
        for chosen in subsets(others):
            weight = 1.0 / (size * math.comb(size - 1, len(chosen)))
            total = total + weight * (value(frozenset([*chosen, player])) - value(frozenset(chosen)))
        values[player] = total
    return values


def subsets(players: Sequence[str]) -> list[tuple[str, ...]]:
    """Return all subsets, the empty one first, each in the order of the players."""
    return [chosen for length in range(len(players) + 1) for chosen in combinations(players, length)]
