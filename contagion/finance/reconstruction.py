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
from scipy.optimize import brentq

Floats = NDArray[np.float64]


class Reconstruction(NamedTuple):
    """A matrix ``owes[debtor, creditor]``, its links, and the largest gap to a total over the sum of all."""

    owes: sparse.csr_array
    links: int
    gap: float


def maximum_entropy(liabilities: ArrayLike, assets: ArrayLike) -> Reconstruction:
    """Return the matrix of the largest entropy with these totals and nothing on the diagonal.

    liabilities : what each bank owes in all, the sums of rows; assets : what each has lent, the sums of columns; one
    unit. It is what iterative proportional fitting (RAS) tends to from a matrix of ones without its diagonal, slowly
    where one bank is at the end of nearly everything; here it is found by solving one equation in one unknown
    (`_factors`). ValueError for totals that no matrix has (`check`).

    Source: Upper and Worms (2004), European Economic Review 48: of the x with sum over j of x_ij = liabilities_i, sum
    over i of x_ij = assets_j, x_ii = 0, the one of least sum of x_ij ln x_ij; it is x_ij = p_i q_j for i != j. Three
    equal banks owe each other equal parts:

    >>> maximum_entropy([2, 2, 2], [2, 2, 2]).owes.toarray().round(9).tolist()
    [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    owed, lent = _checked(liabilities, assets)
    if not owed.any():
        return _measured(sparse.csr_array((len(owed), len(owed))), owed, lent)
    if (hub := _hub(owed, lent)) is not None:
        return _measured(_star(owed, lent, hub), owed, lent)
    full = np.outer(*_factors(owed, lent))
    np.fill_diagonal(full, 0)
    return _measured(sparse.csr_array(full), owed, lent)


def minimum_density(liabilities: ArrayLike, assets: ArrayLike, *, seed: int = 0) -> Reconstruction:
    """Return a matrix with these totals, few links and nothing on the diagonal.

    After Anand, Craig and von Peter (2015): links are drawn one after the other, more likely where what is left to owe
    and to lend differ by a large factor, max(owe/lend, lend/owe), so that small banks are served by large ones; each
    takes as much as both ends have left. Every draw uses up one end, which leaves no gap and at most 2n - 1 links. What
    a bank has left for itself alone in the end, if anything, is passed through another's link, which can add some.
    `seed` decides among the matrices.

    With fewer links than banks that owe, plus banks that have lent, less one, a matrix falls into parts without a link
    between them, and in each what is owed is what is lent. So where no part of the totals agrees like that, as in
    figures with many digits, no matrix has fewer links than one drawn here, but for what is passed through.

    Left out of theirs: their search has an objective, links weighed against squared gaps to the totals, by which a
    drawn link is kept or dropped again at random, and with a small chance it takes back a link that there is. That can
    save links by leaving gaps, or where parts of round totals agree. Here there is no gap, and nothing is taken back.
    ValueError for totals that no matrix has.

    Source: Anand, Craig and von Peter (2015): few x_ij > 0 under the same sums; here the chance of a link is
    proportional to max(owe_i / lend_j, lend_j / owe_i), and x_ij = min(owe_i, lend_j).

    >>> found = minimum_density([4, 1, 0, 0], [0, 0, 2, 3])
    >>> found.links, found.owes.sum(axis=1).tolist(), found.owes.sum(axis=0).tolist()
    (3, [4.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 3.0])
    """
    owed, lent = _checked(liabilities, assets)
    rng = np.random.default_rng(seed)
    dust = 1e-14 * owed.sum()  # what rounding leaves is no reason for a link
    owe, lend = np.where(owed > dust, owed, 0), np.where(lent > dust, lent, 0)
    links: dict[tuple[int, int], float] = {}
    weights = _weights(owe[:, None], lend[None, :])
    np.fill_diagonal(weights, 0)
    by_row = weights.sum(axis=1)
    while by_row.any():
        debtor = _draw(rng, by_row)
        if not weights[debtor].any():
            by_row[debtor] = 0  # where only rounding had been left
        else:
            creditor = _draw(rng, weights[debtor])
            amount = min(owe[debtor], lend[creditor])
            links[debtor, creditor] = links.get((debtor, creditor), 0.0) + amount
            owe[debtor] = left if (left := owe[debtor] - amount) > dust else 0
            lend[creditor] = left if (left := lend[creditor] - amount) > dust else 0
            before = weights[:, creditor].copy()
            weights[debtor], weights[:, creditor] = _weights(owe[debtor], lend), _weights(owe, lend[creditor])
            weights[debtor, debtor] = weights[creditor, creditor] = 0
            by_row = np.maximum(by_row + weights[:, creditor] - before, 0)
            by_row[debtor] = weights[debtor].sum()
        if not by_row.any():
            by_row = weights.sum(axis=1)
    _pass_through(links, owe, lend)
    pairs = np.array(list(links), dtype=np.int64).reshape(-1, 2)
    shape = (len(owed), len(owed))
    owes = sparse.csr_array((np.array(list(links.values())), (pairs[:, 0], pairs[:, 1])), shape=shape)
    return _measured(owes, owed, lent)


def check(liabilities: ArrayLike, assets: ArrayLike, *, tolerance: float = 1e-9) -> tuple[str, int]:
    """Return why no matrix has these totals and for which bank (-1: for all), or nothing and -1.

    What is owed is what is lent, and nobody owes itself, so no bank may owe and have lent more than there is in all.

    Source: derived: sum of liabilities = sum of assets = T, and liabilities_i + assets_i <= T for every bank.

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


def _factors(owed: Floats, lent: Floats) -> tuple[Floats, Floats]:
    """Return a factor for each debtor and each creditor whose products, off the diagonal, have these sums.

    Let p and q be the factors as shares of their sums and t the product of these sums, so that an entry is t p_i q_j
    and bank i's own sums are t p (1 - q) = owed and t q (1 - p) = lent. Given t that is a quadratic equation for each
    bank, whose roots have p + q = 1 -+ S with S^2 = (1 - A / t) (1 - B / t), A and B = (sqrt(owed) +- sqrt(lent))^2.
    As p and q sum to 1 each, at most one bank has the larger root, and it has the largest A. Its signed root s, from
    -1 to 1, is the unknown: t follows from it, and it is where the shares sum to 1.
    """
    roots = np.sqrt(owed), np.sqrt(lent)
    most, least = (roots[0] + roots[1]) ** 2, (roots[0] - roots[1]) ** 2
    hub = int(most.argmax())
    rest = np.arange(len(owed)) != hub

    def shares(s: float) -> tuple[float, Floats, Floats]:
        """Return 1 / t and t times both shares of every bank."""
        high, low = most[hub], least[hub]
        inverse = 2 * (1 - s) * (1 + s) / (high + low + np.sqrt((high - low) ** 2 + 4 * high * low * s * s))
        root = np.sqrt(np.maximum((1 - most * inverse) * (1 - least * inverse), 0))
        tilt = (owed - lent) * inverse
        root[hub] = -s
        with np.errstate(divide="ignore", invalid="ignore"):
            debtor, creditor = 2 * owed / (1 + tilt + root), 2 * lent / (1 - tilt + root)
        return inverse, debtor, creditor

    def surplus(s: float) -> float:
        """Return t times what the shares of debtors sum to above 1."""
        inverse, debtor, _ = shares(s)
        others = float(debtor[rest].sum())
        if s > 0:  # what the hub leaves to others, without subtracting two nearly equal numbers
            return others - float(lent[hub] / ((1 - (owed[hub] - lent[hub]) * inverse + s) / 2))
        return others + float(debtor[hub]) - 1 / inverse

    lowest = next(s for s in (2.0**-j - 1 for j in range(1, 60)) if surplus(s) < 0)
    s = float(brentq(surplus, lowest, 1, xtol=1e-16, rtol=1e-15, maxiter=500))
    inverse, debtor, creditor = shares(s)
    if s > 0:
        tilt = (owed[hub] - lent[hub]) * inverse
        debtor[hub], creditor[hub] = (1 + tilt + s) / 2 / inverse, (1 - tilt + s) / 2 / inverse
    return debtor, creditor * inverse


def _hub(owed: Floats, lent: Floats) -> int | None:
    """Return the bank that is at one end of everything, where there is one."""
    bank = int((owed + lent).argmax())
    return bank if owed[bank] + lent[bank] >= owed.sum() * (1 - 1e-13) else None


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
