"""Failures that spread in simultaneous rounds: by what creditors lose, or by how many neighbours have failed.

A round posts all losses of the failures of the last one and only then asks who fails, so that the result does not
depend on any order, and the wave of a failure is its canonical depth: 0 for the seeds, which the shock has failed. A
round looks at the claims on those who have just failed and at nothing else: after one look at every bank, the cost of a
cascade follows what fails.

Sources: C. H. Furfine (2003), Interbank exposures: quantifying the risk of contagion, J. Money, Credit and Banking 35;
D. J. Watts (2002), A simple model of global cascades on random networks, PNAS 99, for counts of neighbours.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array, csr_array

Integers = NDArray[np.int64]
Matrix = Any
"""A NumPy array or a SciPy sparse array or matrix."""


class Cascade(NamedTuple):
    """Who failed in which round, and what everybody lost.

    wave : round of each failure, shape (banks,), 0 for a seed and -1 for who stands; sizes : failures by round, the
    seeds' first; losses : shape (banks,), credit losses in the unit of the exposures, of failed banks too and not
    limited by equity; in a cascade of counts, the neighbours that have failed.
    """

    wave: Integers
    sizes: Integers
    losses: NDArray[Any]

    @property
    def depth(self) -> int:
        """Number of waves after the seeds."""
        return len(self.sizes) - 1

    @property
    def waves(self) -> list[Integers]:
        """Who failed in each round, in ascending order."""
        order = np.argsort(self.wave, kind="stable")
        return np.split(order[len(order) - self.sizes.sum() :], np.cumsum(self.sizes)[:-1])


def furfine(
    exposures: Matrix,
    equity: ArrayLike,
    seeds: Sequence[int] | Integers,
    *,
    loss_given_default: ArrayLike,
    insolvent_at_zero: bool = False,
) -> Cascade:
    """Return the cascade of defaults when creditors book loss given default times exposure at once.

    exposures[i, j] : what creditor i has lent to debtor j, a CSC array for least work; equity : shape (banks,), same
    unit; seeds : the banks that the shock fails, as indices; loss_given_default : 1 less the recovery rate, one for all
    or one for each debtor. A bank fails when its loss exceeds its equity; where it equals it too if
    `insolvent_at_zero`. Exposures in integers are summed as such and one rate for all is multiplied once, so with the
    integer 1 as rate no tie is a matter of rounding; in floats it may be. Sums have 64 bits whatever the exposures
    have. Raises ValueError for a bank that is insolvent before the shock and no seed, and for figures out of range.

    Source: Furfine (2003): i fails when sum over failed j of loss_given_default_j X_ij > E_i; FF-01.

    >>> chain = [[0, 0, 0], [5, 0, 0], [0, 4, 0]]
    >>> found = furfine(chain, [9, 4, 4], [0], loss_given_default=1)
    >>> found.wave.tolist(), found.losses.tolist(), found.depth
    ([0, 1, -1], [0, 5, 4], 1)
    >>> furfine(chain, [9, 4, 4], [0], loss_given_default=1, insolvent_at_zero=True).depth
    2
    """
    equity, rate = np.asarray(equity), np.asarray(loss_given_default)
    claims = csc_array(exposures)
    seeds = _checked(claims.shape, len(equity), seeds)
    if np.isnan(equity).any():
        raise ValueError(f"the equity of bank {np.argmax(np.isnan(equity))} is nan; an amount expected")
    if not np.all((rate >= 0) & (rate <= 1)) or rate.shape not in ((), equity.shape):
        raise ValueError(
            f"loss given default is {rate}; a number from 0 to 1 expected, or one for each of {len(equity)}"
        )
    least = np.min(claims.data, initial=0)
    if not least >= 0:
        raise ValueError(f"an exposure is {least}; nothing below 0 expected")
    amounts = claims.data.astype(np.int64 if claims.dtype.kind in "biu" else np.float64, copy=False)
    if rate.ndim:
        amounts = amounts * np.repeat(rate, np.diff(claims.indptr))
    exposed = np.zeros(len(equity), amounts.dtype)
    factor = rate[()] if rate.ndim == 0 else 1

    def insolvent(banks: Integers) -> NDArray[np.bool_]:
        loss, own = factor * exposed[banks], equity[banks]
        return np.asarray(loss >= own if insolvent_at_zero else loss > own)

    _refuse(np.setdiff1d(np.flatnonzero(insolvent(np.arange(len(equity)))), seeds), equity, "equity")
    wave, sizes = _rounds(claims.indptr, claims.indices, amounts, exposed, seeds, insolvent)
    return Cascade(wave, sizes, factor * exposed)


def threshold_cascade(graph: Matrix, thresholds: ArrayLike, seeds: Sequence[int] | Integers) -> Cascade:
    """Return the cascade in which a node fails when so many of its in-neighbours have failed.

    graph : an entry [u, v] is an edge from u to v along which a failure of u presses on v, a CSR array for least work
    (every stored entry counts as one edge); thresholds : shape (nodes,), integers of at least 1; seeds : indices. For
    Watts' fraction f of k neighbours the threshold is the least integer not below f k, which is for the caller to
    round, since it decides ties. Raises ValueError for a threshold below 1: such a node fails without any neighbour.

    Source: Watts (2002), the threshold rule: v fails when n_v >= thresholds_v of its in-neighbours have.

    >>> ring = csr_array(([1] * 4, ([0, 1, 2, 3], [1, 2, 3, 0])), shape=(4, 4))
    >>> found = threshold_cascade(ring, [1, 1, 1, 2], [0])
    >>> found.wave.tolist(), found.sizes.tolist(), found.losses.tolist()
    ([0, 1, 2, -1], [1, 1, 1], [0, 1, 1, 1])
    """
    thresholds, edges = np.asarray(thresholds), csr_array(graph)
    seeds = _checked(edges.shape, len(thresholds), seeds)
    _refuse(np.setdiff1d(np.flatnonzero(thresholds < 1), seeds), thresholds, "threshold")
    failed = np.zeros(len(thresholds), np.int64)
    wave, sizes = _rounds(
        edges.indptr, edges.indices, None, failed, seeds, lambda nodes: failed[nodes] >= thresholds[nodes]
    )
    return Cascade(wave, sizes, failed)


def borne(cascade: Cascade, equity: ArrayLike) -> tuple[float, float]:
    """Return what the equity of all but the seeds bears of their losses, and what exceeds it and falls on others.

    Source: derived: sum of min(loss, equity) and sum of max(loss - equity, 0) over all i with wave_i != 0, which are
    together = sum of losses; FF-01.

    >>> found = furfine([[0, 0, 0], [5, 0, 0], [0, 4, 0]], [9, 4, 4], [0], loss_given_default=1)
    >>> borne(found, [9, 4, 4])
    (8.0, 1.0)
    """
    hit = cascade.wave != 0
    losses, limit = cascade.losses[hit], np.asarray(equity)[hit]
    return float(np.minimum(losses, limit).sum()), float(np.maximum(losses - limit, 0).sum())


def _checked(shape: tuple[int, ...], count: int, seeds: Sequence[int] | Integers) -> Integers:
    """Return the seeds in ascending order and once each."""
    if shape != (count, count):
        raise ValueError(f"a matrix of shape {shape} for {count} nodes; ({count}, {count}) expected")
    found = np.unique(np.asarray(seeds, dtype=np.int64))
    if len(found) and not 0 <= found[0] <= found[-1] < count:
        raise ValueError(f"the seeds reach from {found[0]} to {found[-1]}; indices from 0 to {count - 1} expected")
    return found


def _refuse(standing: Integers, limits: NDArray[Any], what: str) -> None:
    if len(standing):
        first = standing[0]
        raise ValueError(
            f"{len(standing)} of the {len(limits)} nodes fail before any loss and are no seeds, such as {first} with "
            f"{what} {limits[first]}: name them as seeds"
        )


def _rounds(
    pointers: NDArray[Any],
    indices: NDArray[Any],
    amounts: NDArray[Any] | None,
    losses: NDArray[Any],
    seeds: Integers,
    fails: Callable[[Integers], NDArray[np.bool_]],
) -> tuple[Integers, Integers]:
    """Return wave and sizes, adding to `losses` in place; `amounts` are 1 where they are not given."""
    wave, place = np.full(len(losses), -1), np.empty(len(losses), np.int64)
    wave[seeds] = 0
    front, sizes = seeds, [len(seeds)]
    while len(front):
        at = _entries(pointers, front)
        touched = indices[at]
        np.add.at(losses, touched, 1 if amounts is None else amounts[at])
        touched = touched[wave[touched] < 0]
        touched = touched[fails(touched)]
        order = np.arange(len(touched))
        place[touched] = order
        front = touched[place[touched] == order]
        wave[front] = len(sizes)
        sizes.append(len(front))
    return wave, np.array(sizes[:-1] or sizes)


def _entries(pointers: NDArray[Any], rows: Integers) -> Integers:
    """Return where the entries of some rows of a compressed matrix are."""
    start = pointers[rows]
    count = pointers[rows + 1] - start
    ends = np.cumsum(count, dtype=np.int64)
    return np.repeat(start - ends + count, count) + np.arange(ends[-1] if len(ends) else 0)
