"""Organisations that own shares of each other, and lose value all at once when they fail.

A share passes on a part of the other's value, which comes from shares in turn; outside owners hold the rest. So what
each is worth to outside owners is a fixed mixture of what all of them own directly, its *dependency matrix*. Whoever
is worth less than its threshold fails and loses a fixed cost, of which every dependent bears its part, and may fail.

Source: Elliott, Golub and Jackson (2014), "Financial networks and contagion", American Economic Review 104(10).
``holdings[i, j]`` is the share of j that i owns. Values and costs in any one unit.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

TIE = 1e-12
"""A value below its threshold by up to this share of it is rounding, and no failure."""


class Failures(NamedTuple):
    """What N organisations are worth after failures, and who failed in which wave.

    values : market values, failure costs deducted. waves : indices of those that fail in each wave, from nobody
    failing; in the worst case those that fail only because failure is expected are the last wave.
    """

    values: Array
    waves: tuple[NDArray[np.intp], ...]


def dependency_matrix(holdings: ArrayLike) -> Array:
    """Return A, where A[i, j] is the part of j's direct assets that outside owners of i have in the end.

    A = C_hat (I - C)^-1, C the holdings (N, N) and C_hat the shares left to outside owners on its diagonal; columns
    sum to 1. ValueError: a share that is negative, a share in oneself, nothing left to outside owners.

    Source: Elliott, Golub and Jackson (2014): v = C_hat (I - C)^-1 D p = A D p. Two organisations that own half of each
    other (an example of theirs):

    >>> dependency_matrix([[0, 0.5], [0.5, 0]]).round(4).tolist()
    [[0.6667, 0.3333], [0.3333, 0.6667]]
    """
    shares = np.asarray(holdings, dtype=np.float64)
    if shares.ndim != 2 or shares.shape[0] != shares.shape[1]:
        raise ValueError(f"holdings have the shape {shares.shape}, expected a row and a column for every organisation")
    for i, j in np.argwhere(~((shares >= 0) & (shares <= 1 - np.eye(len(shares)))))[:1]:
        raise ValueError(f"holdings[{i}, {j}] is {shares[i, j]}, expected a share from 0 to 1, and 0 of itself")
    outside = 1 - shares.sum(axis=0)
    for j in np.flatnonzero(outside <= 0)[:1]:
        raise ValueError(f"holdings of {j} sum to {shares[:, j].sum()}, expected less than 1: some outside owner")
    matrix: Array = outside[:, None] * np.linalg.inv(np.eye(len(shares)) - shares)
    return matrix


def failure_cascade(
    dependency: ArrayLike,
    assets: ArrayLike,
    thresholds: ArrayLike,
    costs: ArrayLike,
    *,
    case: Literal["best", "worst"] = "best",
) -> Failures:
    """Return values and waves of failure: v = A (assets - costs of who has v below its threshold).

    dependency : (N, N), as from `dependency_matrix`; assets : (N) what each owns directly, at market prices;
    thresholds, costs : (N), costs of at least 0. Failures feed each other, so there may be many solutions: the
    best case has the fewest (their algorithm), the worst case the most.

    Source: Elliott, Golub and Jackson (2014), their algorithm for cascades and multiple equilibria: v = A (D p - b(v)),
    where b_i(v) = costs_i for v_i < thresholds_i, else 0.

    >>> half = dependency_matrix([[0, 0.5], [0.5, 0]])
    >>> best, worst = (failure_cascade(half, [1, 1], [0.9, 0.9], [0.2, 0.2], case=c) for c in ("best", "worst"))
    >>> best.values.round(9).tolist(), worst.values.round(9).tolist(), worst.waves[0].tolist()
    ([1.0, 1.0], [0.8, 0.8], [0, 1])
    """
    matrix = np.asarray(dependency, dtype=np.float64)
    owned, limits, lost = (
        _amounts(name, values, len(matrix))
        for name, values in (("assets", assets), ("thresholds", thresholds), ("costs", costs))
    )
    for i in np.flatnonzero(lost < 0)[:1]:
        raise ValueError(f"costs[{i}] is {lost[i]}, expected at least 0")
    if case not in ("best", "worst"):
        raise ValueError(f"case is {case!r}, expected 'best' or 'worst'")
    failed = np.zeros(len(matrix), dtype=bool)
    waves = []
    while (fresh := _fails(matrix, owned, limits, lost, failed) & ~failed).any():
        waves.append(np.flatnonzero(fresh))
        failed |= fresh
    if case == "worst":
        feared = np.ones_like(failed)
        while (fails := _fails(matrix, owned, limits, lost, feared)).sum() < feared.sum():
            feared = fails
        waves += [np.flatnonzero(feared & ~failed)] if (feared & ~failed).any() else []
        failed = feared
    return Failures(matrix @ (owned - lost * failed), tuple(waves))


def _fails(matrix: Array, owned: Array, limits: Array, lost: Array, failed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return who is below its threshold when those in `failed` bear their costs."""
    below: NDArray[np.bool_] = matrix @ (owned - lost * failed) < limits - TIE * np.abs(limits)
    return below


def _amounts(name: str, values: ArrayLike, size: int) -> Array:
    amounts = np.asarray(values, dtype=np.float64)
    if amounts.shape != (size,):
        raise ValueError(f"{name} has the shape {amounts.shape}, expected ({size},), a value for every organisation")
    for i in np.flatnonzero(~np.isfinite(amounts))[:1]:
        raise ValueError(f"{name}[{i}] is {amounts[i]}, expected a finite value")
    return amounts
