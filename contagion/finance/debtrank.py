"""Distress that creditors write down before anybody defaults: DebtRank, differential and with a single hit.

The distress h_i of a bank is the share of its equity that it has lost. When a debtor j loses a share of its equity,
each creditor i writes the same share off its claim X_ij, which takes W_ij = X_ij / E_i of its own equity. A debtor can
pass on no more than all of its equity, so h obeys h = h0 + W min(1, h). These are valuations: nobody pays anything and
nobody gains what a creditor writes off. Nor is a round a generation of failures: rounds are iterations to a tolerance,
and where distress goes in circles their number says how accurate the answer is.

Regimes. *Linear*: while no bank has lost all, h = (I - W)^-1 h0, which is bounded where the spectral radius of W is
below 1. *Capped*: a bank's loss is at most its equity, min(1, h). *Uncapped*: h itself, which some packages
multiply by equity and report as losses; these can exceed the capital that there is.

Sources: S. Battiston, M. Puliga, R. Kaushik, P. Tasca and G. Caldarelli (2012), DebtRank: too central to fail?,
Scientific Reports 2:541; M. Bardoscia, S. Battiston, F. Caccioli and G. Caldarelli (2015), DebtRank: a microscopic
foundation for shock propagation, PLoS ONE 10(6).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array, csr_array, diags_array, issparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigs, splu

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Matrix = Any
"""A NumPy array or a SciPy sparse array or matrix."""

ROUNDING = 1e-12
"""By how much a solved distress may miss the bounds 0 and 1."""
DENSE = 128
"""Up to so many banks all eigenvalues are computed, which needs no iteration."""


class Distress(NamedTuple):
    """Shares of equity lost, at first and in the end.

    initial, distress : shape of the shock, (banks,) or (banks, shocks), both capped at 1 or neither; rounds : how
    often somebody passed on distress, one number a shock; residual : largest distress of a bank that it has not passed
    on, one number a shock.

    Source: Bardoscia et al. (2015): h_i = 1 - E_i / E_i(0), which is above 1 for a negative equity unless capped.
    """

    initial: Floats
    distress: Floats
    rounds: Integers
    residual: Floats


def differential(
    exposures: Matrix,
    equity: ArrayLike,
    equity_shock: ArrayLike,
    *,
    capped: bool = True,
    tolerance: float = 1e-12,
    rounds: int | None = None,
) -> Distress:
    """Return the distress when every bank passes on each further loss: the least h with h = h0 + W min(1, h).

    exposures[i, j] : what creditor i has lent to debtor j, an array or a SciPy sparse array; equity : shape (banks,),
    same unit, above 0; equity_shock : share of its equity that each bank loses at first, shape (banks,), or (banks,
    shocks) for many at once, such as ``numpy.eye(banks)`` for each default by itself; tolerance : largest distress
    that may stay where it is, so that in the linear regime h is too small by up to about tolerance / (1 - spectral
    radius), and close to a radius of 1 rounds go into the thousands; rounds : stop after so many. Raises ValueError for
    figures out of range.

    Source: Bardoscia et al. (2015): h_i(t+1) = min(1, h_i(t) + sum over j of W_ij (h_j(t) - h_j(t-1))), W their
    interbank leverage matrix; the example of three banks is that of NetworkRiskMeasures, DR-01.

    >>> exposures, equity = [[0, 1, 0], [10, 0, 3], [3, 2, 0]], [2, 5, 2]
    >>> found = differential(exposures, equity, [0.02, 0.02, 0.02], capped=False)
    >>> found.distress.round(12).tolist(), int(found.rounds)
    ([0.52, 1.66, 1.8], 9)
    >>> differential(exposures, equity, [0.02, 0.02, 0.02]).distress.round(12).tolist()
    [0.52, 1.0, 1.0]
    """
    if not tolerance >= 0:
        raise ValueError(f"a tolerance of {tolerance}; 0 or more expected")
    claims, scale, initial = _checked(exposures, equity, equity_shock)
    distress, passed, change = initial, np.zeros_like(initial), np.empty_like(initial)
    done = np.zeros(initial.shape[1:], np.int64)
    while True:
        np.minimum(distress, 1, out=change)
        change -= passed
        residual = change.max(axis=0, initial=0)
        active = residual > tolerance
        if rounds is not None:
            active &= done < rounds
        if not active.any():
            break
        if not active.all():
            change *= active
        passed += change
        distress = claims @ passed
        distress /= scale
        distress += initial
        done += active
    return _reported(initial, distress, done, residual, capped)


def single_hit(
    exposures: Matrix, equity: ArrayLike, equity_shock: ArrayLike, *, capped: bool = True, capped_impact: bool = False
) -> Distress:
    """Return the distress when every bank passes on what it has lost once, the round after its first loss.

    Arguments as for `differential`. Losses that come later are kept and not passed on, so that a bank's distress never
    returns to it twice and the answer is at most that of `differential`; rounds end by themselves. `capped_impact`:
    one debtor takes at most the share min(1, W_ij) of a creditor's equity for each of its own, as in the paper;
    without it W_ij may exceed 1, as in NetworkRiskMeasures.

    Source: Battiston et al. (2012), equations 1 and 2: h_i(t) = min(1, h_i(t-1) + sum of W_ij h_j(t-1) over the j that
    are distressed at t-1 and inactive from then on), in our order of indices; DR-01.

    >>> exposures, equity = [[0, 1, 0], [10, 0, 3], [3, 2, 0]], [2, 5, 2]
    >>> found = single_hit(exposures, equity, [0, 0, 1], capped=False)
    >>> found.distress.round(12).tolist(), int(found.rounds)
    ([0.3, 1.2, 2.05], 3)
    """
    claims, scale, initial = _checked(exposures, equity, equity_shock)
    if capped_impact:
        claims = _capped_claims(claims, np.asarray(equity, np.float64))
    distress, passed, spent = initial, np.zeros_like(initial), np.zeros(initial.shape, np.bool_)
    done = np.zeros(initial.shape[1:], np.int64)
    while (active := (fresh := (distress > 0) & ~spent).any(axis=0)).any():
        change = np.where(fresh, np.minimum(distress, 1), 0)
        distress = distress + claims @ change / scale
        passed += change
        spent |= fresh
        done += active
    return _reported(initial, distress, done, (np.minimum(distress, 1) - passed).max(axis=0, initial=0), capped)


def linear_inverse(exposures: Matrix, equity: ArrayLike, equity_shock: ArrayLike) -> Floats:
    """Return the distress (I - W)^-1 h0 of the linear regime, in which no bank loses all of its equity.

    Arguments as for `differential`, whose limit it is; shape of the shock. Where a debtor would pass on more than all
    of its equity, or the sum over all rounds has no limit, there is no such regime and it raises ValueError. The
    factors of a sparse matrix fill up: for more than some hundred banks `differential` is faster.

    Source: Bardoscia et al. (2015), summed over all rounds: h = (I - W)^-1 h0; DR-02.

    >>> exposures, equity = [[0, 4, 0, 2], [3, 0, 5, 0], [0, 2, 0, 6], [1, 0, 3, 0]], [12, 15, 20, 9]
    >>> linear_inverse(exposures, equity, [0.05, 0.1, 0, 0.02]).round(8).tolist()
    [0.0992126, 0.1280315, 0.02456693, 0.0392126]
    """
    claims, scale, initial = _checked(exposures, equity, equity_shock)
    weights = claims / scale.reshape(-1, 1)
    try:
        if issparse(weights):
            found = splu(csc_array(diags_array(np.ones(len(scale))) - weights)).solve(initial)
        else:
            found = np.linalg.solve(np.eye(len(scale)) - weights, initial)
    except (RuntimeError, np.linalg.LinAlgError) as error:
        raise ValueError("no linear regime: I - W is singular") from error
    if found.size and not (found.min() >= -ROUNDING and found.max() <= 1 + ROUNDING):
        raise ValueError(
            f"no linear regime: distress from {found.min():.6g} to {found.max():.6g} where 0 to 1 was expected; a bank "
            "loses all of its equity or the spectral radius of W is not below 1"
        )
    return np.asarray(found)


def spectral_radius(exposures: Matrix, equity: ArrayLike) -> float:
    """Return the largest modulus of an eigenvalue of W, below 1 where every small shock stays in proportion.

    Where nobody's losses return to him it is exactly 0. Else only debts within circles of debtors count, the strongly
    connected components, and the radius is the eigenvalue with the largest real part (Perron and Frobenius), which
    ARPACK finds from products with W alone. It raises its ArpackNoConvergence where the next eigenvalue is too near, as
    in one circle of some hundred banks with different weights.

    Source: Bardoscia et al. (2015), for its meaning: below 1, h = (I - W)^-1 h0 is finite; DR-02.

    >>> exposures, equity = [[0, 4, 0, 2], [3, 0, 5, 0], [0, 2, 0, 6], [1, 0, 3, 0]], [12, 15, 20, 9]
    >>> round(spectral_radius(exposures, equity), 8)
    0.45449447
    """
    claims, scale, _ = _checked(exposures, equity, np.zeros(np.shape(equity)))
    weights = csr_array(claims / scale.reshape(-1, 1))
    weights.eliminate_zeros()
    _, circle = connected_components(weights, directed=True, connection="strong")
    entries = weights.tocoo()
    inside = circle[entries.row] == circle[entries.col]
    banks, place = np.unique(entries.row[inside], return_inverse=True)
    if not len(banks):
        return 0.0
    column = np.searchsorted(banks, entries.col[inside])
    weights = csr_array((entries.data[inside], (place, column)), shape=(len(banks), len(banks)))
    if len(banks) <= DENSE:
        return float(np.abs(np.linalg.eigvals(weights.toarray())).max())
    found = eigs(weights, k=1, which="LR", v0=np.ones(len(banks)), maxiter=1000, return_eigenvectors=False)
    return float(found[0].real)


def additional_losses(found: Distress, equity: ArrayLike) -> NDArray[Any]:
    """Return what the network adds to the losses of the shock itself, in the unit of the equity, a number a shock.

    Of capped distress it is at most the capital that the shock has left; of uncapped distress it is what some packages
    print and may exceed it. Here the bank that defaults had 5 of a capital of 9 (DEF-04):

    Source: Bardoscia et al. (2015), the equity lost after the shock itself: loss = sum over i of (h_i - h_i(0)) E_i.

    >>> exposures, equity = [[0, 1, 0], [10, 0, 3], [3, 2, 0]], [2, 5, 2]
    >>> for capped in (True, False):
    ...     print(additional_losses(differential(exposures, equity, [0, 1, 0], capped=capped), equity))
    3.0
    12.5
    """
    return np.asarray(equity, np.float64) @ (found.distress - found.initial)


def debtrank(found: Distress, values: ArrayLike) -> NDArray[Any]:
    """Return the share of economic value that distress puts at stake beyond the shock, from 0 to 1, a number a shock.

    values : shape (banks,), each bank's weight, such as total assets; they need not sum to 1.

    Source: Battiston et al. (2012), equations 1 to 3: R = sum over j of h_j v_j - sum over j of h_j(1) v_j, with
    v_j = values_j / sum of values; DR-01.

    >>> exposures, equity = [[0, 1, 0], [10, 0, 3], [3, 2, 0]], [2, 5, 2]
    >>> round(float(debtrank(differential(exposures, equity, [0, 0, 1]), [10, 100, 30])), 12)
    0.75
    """
    weights = np.asarray(values, np.float64)
    return np.asarray(weights @ (np.minimum(found.distress, 1) - np.minimum(found.initial, 1)) / weights.sum())


def _checked(exposures: Matrix, equity: ArrayLike, equity_shock: ArrayLike) -> tuple[Matrix, Floats, Floats]:
    """Return claims in floats, equity shaped to divide distress, and the shock; all as they should be."""
    claims = csr_array(exposures, dtype=np.float64) if issparse(exposures) else np.asarray(exposures, np.float64)
    scale, initial = np.asarray(equity, np.float64), np.asarray(equity_shock, np.float64)
    count = len(scale)
    if claims.shape != (count, count) or scale.ndim != 1 or initial.ndim not in (1, 2) or len(initial) != count:
        raise ValueError(
            f"exposures of shape {claims.shape}, equity of {scale.shape} and a shock of {initial.shape}; "
            "(banks, banks), (banks,) and (banks,) or (banks, shocks) expected"
        )
    _refuse("an exposure", claims.data if issparse(claims) else claims, 0.0)
    _refuse("the equity of a bank", scale, np.nextafter(0, 1))
    _refuse("a shock", initial, 0.0)
    if own := np.count_nonzero(claims.diagonal()):
        raise ValueError(f"{own} banks have lent to themselves; nothing on the diagonal expected")
    return claims, scale.reshape(-1, *[1] * (initial.ndim - 1)), initial


def _refuse(what: str, figures: Any, least: float) -> None:
    good = (figures >= least) & (figures < np.inf)
    if not good.all():
        at = np.unravel_index(np.argmin(good), good.shape)
        bound = "not below 0" if least == 0 else "above 0"
        raise ValueError(f"{what} is {figures[at]} (at {', '.join(map(str, at))}); finite and {bound} expected")


def _capped_claims(claims: Matrix, equity: Floats) -> Matrix:
    """Return claims that none exceeds its creditor's equity."""
    if not issparse(claims):
        return np.minimum(claims, equity[:, None])
    most = np.repeat(equity, np.diff(claims.indptr))
    return csr_array((np.minimum(claims.data, most), claims.indices, claims.indptr), shape=claims.shape)


def _reported(initial: Floats, distress: Floats, rounds: Integers, residual: Floats, capped: bool) -> Distress:
    if capped:
        initial, distress = np.minimum(initial, 1), np.minimum(distress, 1)
    return Distress(initial, distress, rounds, np.asarray(residual))
