"""Exposures that nobody has seen, made to fit what each bank owes and has lent in all.

Balance sheets state totals; who owes whom is usually secret. Two matrices with the right totals bound what one may
believe: *maximum entropy* spreads every bank over all others, as evenly as the totals allow, and *minimum density*
concentrates on as few links as it can find. Contagion differs between the two (Upper 2011, Journal of Financial
Stability 7; Mistrulli 2011; Anand, Craig and von Peter 2015, Quantitative Finance 15), so neither is data and every
result must say which one it rests on. Matrices are ``owes[debtor, creditor]`` with a diagonal of zeros.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

Floats = NDArray[np.float64]


class Reconstruction(NamedTuple):
    """A matrix ``owes[debtor, creditor]``, its links, and the largest gap to a total over the sum of all."""

    owes: sparse.csr_array
    links: int
    gap: float


def maximum_entropy(
    liabilities: ArrayLike, assets: ArrayLike, *, tolerance: float = 1e-12, rounds: int = 100_000
) -> Reconstruction:
    """Return the matrix of the largest entropy with these totals and nothing on the diagonal.

    liabilities : what each bank owes in all, the sums of rows; assets : what each has lent, the sums of columns; one
    unit. Off the diagonal the solution is a product of a factor of the debtor and one of the creditor, which iterative
    proportional fitting (RAS) finds by turns, in vectors alone. ValueError for totals that no matrix has (`check`),
    or when the gap is above `tolerance` after so many rounds.

    Three equal banks owe each other equal parts (the prior of Upper and Worms 2004, European Economic Review 48):

    >>> maximum_entropy([2, 2, 2], [2, 2, 2]).owes.toarray().round(9).tolist()
    [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    owed, lent = _checked(liabilities, assets)
    total = owed.sum()
    if (hub := _hub(owed, lent)) is not None:
        return _measured(_star(owed, lent, hub), owed, lent)
    debtor, creditor = owed / max(total, 1), lent.copy()
    for _ in range(rounds):
        debtor = _factor(owed, creditor)
        creditor = _factor(lent, debtor)
        sums = debtor * (creditor.sum() - creditor)
        if np.abs(sums - owed).max(initial=0) <= tolerance * total:
            break
    else:
        gap = np.abs(sums - owed).max() / total
        raise ValueError(f"the totals are not met after {rounds:,} rounds: a gap of {gap:.3g}, expected {tolerance:g}")
    full = np.outer(debtor, creditor)
    np.fill_diagonal(full, 0)
    return _measured(sparse.csr_array(full), owed, lent)


def minimum_density(liabilities: ArrayLike, assets: ArrayLike, *, seed: int = 0) -> Reconstruction:
    """Return a matrix with these totals, few links and nothing on the diagonal.

    The heuristic of Anand, Craig and von Peter (2015): links are drawn one after the other, more likely
    where what is left to owe and to lend differ by a large factor, max(owe/lend, lend/owe), so that small banks are
    served by large ones; each takes as much as both ends have left. Their search also takes links back at random, to
    trade off links against gaps; here every draw uses up one end, which leaves no gap and at most 2n - 1 links, and
    what is left of a bank for itself in the end is passed through another's link. `seed` decides among the matrices.
    ValueError for totals that no matrix has.

    >>> found = minimum_density([4, 1, 0, 0], [0, 0, 2, 3])
    >>> found.links, found.owes.sum(axis=1).tolist(), found.owes.sum(axis=0).tolist()
    (3, [4.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 3.0])
    """
    owed, lent = _checked(liabilities, assets)
    rng = np.random.default_rng(seed)
    owe, lend, dust = owed.copy(), lent.copy(), 1e-14 * owed.sum()
    links: dict[tuple[int, int], float] = {}
    weights = _weights(owe[:, None], lend[None, :])
    np.fill_diagonal(weights, 0)
    while (by_row := weights.sum(axis=1)).any():
        debtor = _draw(rng, by_row)
        creditor = _draw(rng, weights[debtor])
        amount = min(owe[debtor], lend[creditor])
        links[debtor, creditor] = links.get((debtor, creditor), 0.0) + amount
        owe[debtor], lend[creditor] = owe[debtor] - amount, lend[creditor] - amount
        owe[owe <= dust], lend[lend <= dust] = 0, 0  # what rounding leaves is no reason for a link
        weights[debtor] = _weights(owe[debtor], lend)
        weights[:, creditor] = _weights(owe, lend[creditor])
        np.fill_diagonal(weights, 0)
    _pass_through(links, owe, lend)
    pairs = np.array(list(links), dtype=np.int64).reshape(-1, 2)
    shape = (len(owed), len(owed))
    owes = sparse.csr_array((np.array(list(links.values())), (pairs[:, 0], pairs[:, 1])), shape=shape)
    return _measured(owes, owed, lent)


def check(liabilities: ArrayLike, assets: ArrayLike, *, tolerance: float = 1e-9) -> tuple[str, int]:
    """Return why no matrix has these totals and for which bank (-1: for all), or nothing and -1.

    What is owed is what is lent, and nobody owes itself, so no bank may owe and have lent more than there is in all.

    >>> check([3, 1], [1, 2])
    ('what is owed, 4, is not what is lent, 3: the same sum was expected', -1)
    >>> check([3, 1], [3, 1])[1]
    0
    """
    owed, lent = np.asarray(liabilities, dtype=np.float64), np.asarray(assets, dtype=np.float64)
    total, other = owed.sum(), lent.sum()
    if abs(total - other) > tolerance * max(total, other):
        what = f"what is owed, {total:.12g}, is not what is lent, {other:.12g}: the same sum was expected"
        return what, -1
    both = owed + lent
    bank = int(both.argmax()) if len(both) else -1
    if bank >= 0 and both[bank] > total * (1 + tolerance):
        return f"owes and has lent {both[bank]:.12g}, more than the {total:.12g} there are: it would owe itself", bank
    return "", -1


def _checked(liabilities: ArrayLike, assets: ArrayLike) -> tuple[Floats, Floats]:
    """Return both totals, scaled to the same sum."""
    owed, lent = np.array(liabilities, dtype=np.float64), np.array(assets, dtype=np.float64)
    if owed.ndim != 1 or owed.shape != lent.shape:
        raise ValueError(f"liabilities and assets need one entry a bank, not {owed.shape} and {lent.shape}")
    if not (np.isfinite(owed).all() and np.isfinite(lent).all()) or min(owed.min(initial=0), lent.min(initial=0)) < 0:
        raise ValueError("liabilities and assets are finite and not negative")
    what, bank = check(owed, lent)
    if what:
        raise ValueError(what if bank < 0 else f"bank {bank} {what}")
    return owed, lent * (owed.sum() / lent.sum()) if lent.sum() else lent


def _factor(sums: Floats, others: Floats) -> Floats:
    """Return the factors that bring each sum to its total, given the factors at the other end."""
    rest = others.sum() - others
    factor: Floats = np.divide(sums, rest, out=np.zeros_like(sums), where=(sums > 0) & (rest > 0))
    return factor


def _hub(owed: Floats, lent: Floats) -> int | None:
    """Return the bank that is at one end of everything, where there is one."""
    total = owed.sum()
    if total == 0:
        return 0 if len(owed) else None
    bank = int((owed + lent).argmax())
    return bank if owed[bank] + lent[bank] >= total * (1 - 1e-9) else None


def _star(owed: Floats, lent: Floats, hub: int) -> sparse.csr_array:
    """Return the only matrix in which a bank is at one end of everything."""
    full = sparse.lil_array((len(owed), len(owed)))
    full[hub, :] = lent
    full[:, [hub]] = owed[:, None]
    full[hub, hub] = 0
    return sparse.csr_array(full)


def _weights(owe: Floats, lend: Floats) -> Floats:
    """Return how likely links are, up to a factor."""
    owe, lend = np.broadcast_arrays(owe, lend)
    both = (owe > 0) & (lend > 0)
    ratio = np.divide(owe, lend, out=np.ones(both.shape), where=both)
    return np.where(both, np.maximum(ratio, 1 / ratio), 0.0)


def _draw(rng: np.random.Generator, weights: Floats) -> int:
    """Return an index, drawn by weight."""
    steps = np.cumsum(weights)
    return int(min(np.searchsorted(steps, rng.random() * steps[-1], side="right"), np.flatnonzero(weights)[-1]))


def _pass_through(links: dict[tuple[int, int], float], owe: Floats, lend: Floats) -> None:
    """Place what a bank has left to owe to itself: p owes q becomes p owes it and it owes q, which keeps all sums."""
    bank = int(owe.argmax()) if len(owe) else 0
    for debtor, creditor in sorted(links, key=lambda pair: (-links[pair], pair)) if len(owe) else ():
        left = min(owe[bank], lend[bank])
        if left <= 0:
            return
        if bank in (debtor, creditor):
            continue
        amount = min(left, links[debtor, creditor])
        for pair, change in (((debtor, creditor), -amount), ((debtor, bank), amount), ((bank, creditor), amount)):
            links[pair] = links.get(pair, 0.0) + change
        if links[debtor, creditor] <= 0:
            del links[debtor, creditor]
        owe[bank], lend[bank] = owe[bank] - amount, lend[bank] - amount


def _measured(owes: sparse.csr_array, owed: Floats, lent: Floats) -> Reconstruction:
    """Return a matrix with its number of links and its gap."""
    owes.eliminate_zeros()
    gaps = (np.abs(owes.sum(axis=1) - owed).max(initial=0), np.abs(owes.sum(axis=0) - lent).max(initial=0))
    return Reconstruction(owes, int(owes.nnz), float(max(gaps)) / max(float(owed.sum()), 1e-300))
