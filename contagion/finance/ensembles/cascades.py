"""Cascades over all draws of a batch at once, in simultaneous rounds: by defaulted neighbours, or by what is sold.

Who has at least so many defaulted neighbours defaults in the next round; several links from one count as several, and
nobody defaults without any. Counts are integers: a tie is whatever the rule of needed defaults makes of it.

Source: Caccioli, Shrestha, Moore and Farmer, "Stability analysis of financial contagion due to overlapping portfolios",
Journal of Banking and Finance 46 (2014), for portfolios.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from contagion.finance.ensembles.networks import Integers, Networks, Portfolios
from contagion.finance.overlapping_portfolios import liquidation_cascade
from contagion.finance.threshold import threshold_cascade


class Defaults(NamedTuple):
    """Who is in default at the end, by draw and node, and the last round of each draw that brought one down."""

    defaulted: NDArray[np.bool_]
    rounds: Integers


def threshold_cascades(networks: Networks, needed: ArrayLike, seeds: ArrayLike) -> Defaults:
    """Return who defaults when each node does as soon as `needed` links from defaulted ones hit it.

    needed : by node, of all draws in a row or the same for each; seeds : nodes by draw, (draws, any number).

    Source: Watts (2002); Gai and Kapadia (2010): node i fails in the round after sum over failed j of links_ji >=
    needed_i, for needed_i >= 1.

    >>> ring = Networks(1, 4, np.arange(5), np.array([1, 2, 3, 0]))
    >>> threshold_cascades(ring, [1, 1, 2, 1], [[0]])
    Defaults(defaulted=array([[ True,  True, False, False]]), rounds=array([1]))
    """
    draws, nodes, first, targets = networks
    limits = np.broadcast_to(np.maximum(np.reshape(needed, (-1, nodes)), 1), (draws, nodes)).ravel()
    links = csr_array((np.ones(len(targets), np.int8), targets, first), (draws * nodes, draws * nodes))
    wave = threshold_cascade(links, limits, np.flatnonzero(_seeded(seeds, draws, nodes))).wave.reshape(draws, nodes)
    return Defaults(wave >= 0, np.maximum(wave.max(axis=1, initial=0), 0))


def portfolio_cascades(
    portfolios: Portfolios, capital: ArrayLike, seeds: ArrayLike, *, cash: float = 0.2, alpha: float = 1.0536
) -> Defaults:
    """Return who fails when each bank that has failed sells all it holds, and prices fall by what is sold.

    Each bank has assets of 1, a share `cash` of them in cash and the rest in equal parts in what it holds. When a
    share x of what banks hold of an asset is sold, its price falls to exp(-alpha * x): by a tenth for a tenth at
    1.0536. A bank fails when it has lost more than its capital; at a tie, in floating point, it does not.
    capital : of every bank, or (banks,), or (draws, banks), not negative; seeds : banks by draw, (draws, any number).

    Source: Caccioli and others (2014): bank i fails when sum over its assets k of w (1 - exp(-alpha x_k)) > capital_i,
    with w = (1 - cash) / number of its assets.

    >>> both = Portfolios(1, 2, 1, np.array([0, 1, 2]), np.array([0, 0]))
    >>> [portfolio_cascades(both, capital, [[0]]).rounds.item() for capital in (0.32, 0.33)]
    [1, 0]
    """
    draws, banks, assets, first, held = portfolios
    buffers = np.broadcast_to(np.reshape(capital, (-1, banks) if np.ndim(capital) else (1, 1)), (draws, banks)).ravel()
    if not (buffers.min(initial=0) >= 0 and 0 <= cash <= 1 and alpha >= 0):
        raise ValueError(f"capital from {buffers.min()}, cash of {cash} and an impact of {alpha}: one is out of range")
    weights = np.repeat((1 - cash) / np.maximum(np.diff(first), 1), np.diff(first))
    holdings = csr_array((weights, held, first), (draws * banks, draws * assets))
    chosen = np.flatnonzero(_seeded(seeds, draws, banks))
    wave = liquidation_cascade(holdings, buffers, chosen, impact=alpha).wave.reshape(draws, banks)
    return Defaults(wave >= 0, np.maximum(wave.max(axis=1, initial=0), 0))


def _seeded(seeds: ArrayLike, draws: int, nodes: int) -> NDArray[np.bool_]:
    """Return whether each node, of all draws in a row, is among the seeds of its draw."""
    chosen = np.asarray(seeds, np.int64)
    if chosen.ndim != 2 or len(chosen) != draws or (chosen.size and not 0 <= chosen.min() <= chosen.max() < nodes):
        raise ValueError(f"seeds of shape {chosen.shape}: expected nodes below {nodes} for each of {draws} draws")
    defaulted = np.zeros(draws * nodes, np.bool_)
    defaulted[chosen + nodes * np.arange(draws)[:, None]] = True
    return defaulted
