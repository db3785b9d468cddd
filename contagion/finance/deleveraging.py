"""Fire-sale spillovers between banks that hold their leverage: who is hit, who hits whom, and when it does not end.

After a shock every bank sells (or, after a gain, buys) in the proportions it holds until debt over equity is what it
was; sales move prices in proportion, and moved prices cost everybody who holds the same assets. One round is a linear
map of falls to falls, so vulnerabilities are matrix products, the sum over all rounds is one linear system in the
assets, and whether there is such a sum is told by one eigenvalue.

weights : share of every asset in a bank's portfolio, banks x assets, rows sum to 1 (an array or a SciPy sparse one);
assets : of every bank, in money; leverage : debt over equity of every bank; impact : fall of an asset's price, as a
fraction, by unit of money sold; price_shock : fraction of its price that every asset loses at first, negative for a
gain (the paper has returns, with the opposite sign). The map is linear, as in the paper: it does not stop at a price of
zero or at what a bank holds.

Source: Greenwood, Landier and Thesmar, "Vulnerable banks", Journal of Financial Economics 115(3) (2015).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh
from scipy.sparse import issparse

Floats = NDArray[np.float64]


class Deleveraging(NamedTuple):
    """One round: fraction of its assets lost to the shock by bank; sales (money) and fall of the price (fraction) by
    asset; losses by bank (money).
    """

    lost: Floats
    sales: Floats
    fall: Floats
    losses: Floats


class Vulnerability(NamedTuple):
    """What a shock's first round of sales costs, over equity; the direct loss is not in the other three.

    aggregate : of the whole system; systemicness : what each bank's sales contribute to it, with the sum `aggregate`;
    indirect : what each bank loses by all sales over its own equity; direct : what it lost by the shock itself.

    Source: Greenwood, Landier and Thesmar (2015). With A assets, B leverage, L impact (all diagonal), M weights, E
    equity and F the shock: aggregate = 1' A M L M' A B M F / sum of E, indirect_i = (A M L M' A B M F)_i / E_i,
    systemicness_i = (M L M' A 1)_i (A B M F)_i / sum of E, direct_i = (A M F)_i / E_i.
    """

    aggregate: float
    systemicness: Floats
    indirect: Floats
    direct: Floats


def deleverage(weights: Any, assets: Floats, leverage: Floats, impact: Floats, price_shock: Floats) -> Deleveraging:
    """Return one round of sales back to the leverage there was; its `fall` is the next round's shock.

    ValueError for sizes that do not fit, negative amounts or weights that do not sum to 1.

    Source: Greenwood, Landier and Thesmar (2015): sales = M' A B M F, fall = L M' A B M F, with A assets, B leverage, L
    impact (all diagonal), M weights and F the shock.

    >>> weights = np.array([[0.6, 0.4, 0], [0.2, 0.5, 0.3], [0, 0.3, 0.7]])
    >>> assets, leverage = np.array([1000, 800, 1200]), np.array([20, 15, 25])
    >>> impact, price_shock = np.array([5e-6, 1e-5, 7.5e-6]), np.array([0.02, 0, 0.01])
    >>> deleverage(weights, assets, leverage, impact, price_shock).sales.round(9).tolist()
    [160.8, 201.0, 172.2]
    """
    _check(weights, assets, leverage, impact, price_shock)
    lost = weights @ price_shock
    sales = weights.T @ (assets * leverage * lost)
    fall = impact * sales
    return Deleveraging(lost, sales, fall, assets * (weights @ fall))


def vulnerability(weights: Any, assets: Floats, leverage: Floats, impact: Floats, price_shock: Floats) -> Vulnerability:
    """Return what one round of sales costs the system and each bank, and what each bank contributes.

    Source: Greenwood, Landier and Thesmar (2015), aggregate vulnerability, systemicness, indirect vulnerability:
    aggregate = 1' A M L M' A B M F / sum of E; `Vulnerability` has the symbols and the others.

    >>> one = np.ones(1)
    >>> round(vulnerability(np.ones((1, 1)), 1000 * one, 9 * one, 5e-5 * one, 0.05 * one).aggregate, 12)
    0.225
    """
    round_ = deleverage(weights, assets, leverage, impact, price_shock)
    equity = assets / (1 + leverage)
    cost_of_sale = weights @ (impact * (weights.T @ assets))  # to all holders, by unit of money that a bank sells
    systemicness = assets * leverage * round_.lost * cost_of_sale / equity.sum()
    return Vulnerability(
        float(round_.losses.sum() / equity.sum()),
        systemicness,
        round_.losses / equity,
        (1 + leverage) * round_.lost,
    )


def spectral_radius(weights: Any, assets: Floats, leverage: Floats, impact: Floats) -> float:
    """Return by how much a round of sales amplifies the one before in the long run: rounds die out below 1.

    The map of falls to falls is similar to a symmetric matrix, of which the smaller of its two sides is solved:
    time is cubic in the smaller of the numbers of banks and assets.

    Source: derived from the map of Greenwood, Landier and Thesmar (2015), fall = K F with K = L M' A B M.

    >>> one = np.ones(1)
    >>> round(spectral_radius(np.ones((1, 1)), 1000 * one, 9 * one, 5e-5 * one), 12)
    0.45
    """
    _check(weights, assets, leverage, impact, np.zeros(len(impact)))
    rows, columns = np.sqrt(assets * leverage), np.sqrt(impact)
    if weights.shape[0] < weights.shape[1]:
        gram = rows[:, None] * _dense((weights * impact[None, :]) @ weights.T) * rows
    else:
        gram = columns[:, None] * _money_held(weights, assets * leverage) * columns
    last = len(gram) - 1
    return float(max(eigvalsh(gram, subset_by_index=[last, last])[0], 0.0))


def all_rounds(weights: Any, assets: Floats, leverage: Floats, impact: Floats, price_shock: Floats) -> Floats:
    """Return the fall of each asset after all rounds, the shock's own included.

    A linear system with a row an asset. ValueError where the sum over rounds is infinite: a spectral radius of 1.

    Source: derived: F + K F + K^2 F + ... = (I - K)^-1 F, with K = L M' A B M the map of Greenwood, Landier and Thesmar
    (2015).

    >>> one = np.ones(1)
    >>> all_rounds(np.ones((1, 1)), 1000 * one, 9 * one, 5e-5 * one, 0.05 * one).round(9).tolist()
    [0.090909091]
    """
    radius = spectral_radius(weights, assets, leverage, impact)
    if radius >= 1:
        raise ValueError(f"sales that each amplify the last by {radius:.4g} never end: it must be below 1")
    once = impact[:, None] * _money_held(weights, assets * leverage)
    return np.asarray(np.linalg.solve(np.eye(len(impact)) - once, np.asarray(price_shock, dtype=np.float64)))


def _money_held(weights: Any, money: Floats) -> Floats:
    """Return, assets x assets, what is sold of one asset when the other loses all of its price."""
    return _dense(weights.T @ (weights * money[:, None]))


def _dense(matrix: Any) -> Floats:
    return np.asarray(matrix.toarray() if issparse(matrix) else matrix)


def _check(weights: Any, assets: Floats, leverage: Floats, impact: Floats, price_shock: Floats) -> None:
    banks, kinds = weights.shape
    sizes = len(assets), len(leverage), len(impact), len(price_shock)
    if sizes != (banks, banks, kinds, kinds):
        raise ValueError(f"assets, leverage, impact, price_shock have sizes {sizes}, to fit weights {weights.shape}")
    for what, amounts in (("assets", assets), ("leverage", leverage), ("impact", impact)):
        for at in np.flatnonzero(~((np.asarray(amounts) >= 0) & np.isfinite(amounts)))[:1]:
            raise ValueError(f"{what} must not be negative, and finite: {amounts[at]} at {at}")
    for at in np.flatnonzero(~np.isfinite(price_shock))[:1]:
        raise ValueError(f"the shock must be finite: {price_shock[at]} at {at}")
    sums = np.asarray(weights.sum(axis=1)).ravel()
    wrong = np.flatnonzero(~(np.abs(sums - 1) <= 1e-9))
    if len(wrong):
        raise ValueError(f"weights of bank {wrong[0]} sum to {sums[wrong[0]]}, expected 1")
