"""Random networks and portfolios: all draws of a batch are one graph in separate parts.

Links are the successes in one long row of trials, drawn by the gaps between them, which is exact, takes time by the
link and leaves them in order.

Source: Batagelj and Brandes, "Efficient generation of large random networks", Physical Review E 71, 036113 (2005), for
the gaps.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

Integers = NDArray[np.int64]


class Networks(NamedTuple):
    """Directed graphs of `nodes` nodes each; node i of draw d has number d * nodes + i.

    first : of each node, and one beyond, where its links start; targets : whom each link hits when its node defaults.
    """

    draws: int
    nodes: int
    first: Integers
    targets: Integers


class Portfolios(NamedTuple):
    """Who holds what: bank i of draw d has number d * banks + i, and asset j there d * assets + j.

    first : of each bank, and one beyond, where its holdings start; held : the asset of each holding.
    """

    draws: int
    banks: int
    assets: int
    first: Integers
    held: Integers


def directed_poisson(draws: int, nodes: int, mean_degree: float, rng: Generator) -> Networks:
    """Return graphs in which every ordered pair of nodes is linked independently, mean_degree / (nodes - 1) likely.

    Source: Gai and Kapadia (2010): p = z / (n - 1) for every ordered pair, z the mean degree; Batagelj and Brandes
    (2005) for the gaps.

    >>> networks = directed_poisson(2, 3, 2, np.random.default_rng(1))
    >>> networks.targets
    array([1, 2, 0, 2, 0, 1, 4, 5, 3, 5, 3, 4])
    """
    others = _others(draws, nodes, mean_degree)
    trials = _successes(draws * nodes * others, mean_degree / others, rng)
    sources = trials // others
    places, own = trials - sources * others, sources % nodes
    places += places >= own
    return Networks(draws, nodes, _starts(sources, draws * nodes), sources - own + places)


def undirected_poisson(draws: int, nodes: int, mean_degree: float, rng: Generator) -> Networks:
    """Return graphs in which every pair of nodes is linked, both ways, independently, mean_degree / (nodes - 1) likely.

    Row s of the trials holds the pairs (i, i + s) around a circle of the nodes; the last one is a half when they are
    even, so that each pair comes once.

    Source: Watts (2002): p = z / (n - 1) for every pair, z the mean degree; Batagelj and Brandes (2005) for the gaps.

    >>> networks = undirected_poisson(2, 3, 2, np.random.default_rng(1))
    >>> networks.targets
    array([1, 2, 0, 2, 0, 1, 4, 5, 3, 5, 3, 4])
    """
    others = _others(draws, nodes, mean_degree)
    pairs = nodes * others // 2
    trials = _successes(draws * pairs, mean_degree / others, rng)
    graphs = trials // pairs
    places = trials - graphs * pairs
    steps = places // nodes
    own = places - steps * nodes
    partner = own + steps + 1
    partner -= nodes * (partner >= nodes)
    own, partner, size = own + graphs * nodes, partner + graphs * nodes, draws * nodes
    both = np.sort(np.concatenate((own * size + partner, partner * size + own)))
    sources = both // size
    return Networks(draws, nodes, _starts(sources, size), both - sources * size)


def configuration(draws: int, debtors: ArrayLike, creditors: ArrayLike, rng: Generator) -> Networks:
    """Return graphs whose links join the ends of given in- and out-degrees uniformly at random, loops and all.

    debtors, creditors : of each node, its in- and its out-degree; ValueError unless both are counts of the same links.

    Source: Amini, Cont and Minca (2016), the configuration model: sum of debtors = sum of creditors = links.

    >>> networks = configuration(2, [1, 1], [2, 0], np.random.default_rng(1))
    >>> networks.first, np.sort(networks.targets)
    (array([0, 2, 2, 4, 4]), array([0, 1, 2, 3]))
    """
    inward, outward = np.asarray(debtors, np.int64), np.asarray(creditors, np.int64)
    if inward.shape != outward.shape or inward.sum() != outward.sum() or min(inward.min(), outward.min()) < 0:
        raise ValueError(f"{inward.sum()} links into nodes, {outward.sum()} out of them: expected as many, from 0 up")
    nodes = inward.size
    ends = np.tile(np.repeat(np.arange(nodes), inward), (draws, 1))
    targets = rng.permuted(ends, axis=1) + nodes * np.arange(draws)[:, None]
    return Networks(draws, nodes, np.insert(np.cumsum(np.tile(outward, draws)), 0, 0), targets.ravel())


def random_portfolios(draws: int, banks: int, assets: int, diversification: float, rng: Generator) -> Portfolios:
    """Return holdings in which every bank has every asset independently, diversification / assets likely.

    Source: Caccioli and others (2014): p = diversification / assets for every bank and asset.

    >>> random_portfolios(2, 1, 2, 2, np.random.default_rng(1)).held
    array([0, 1, 2, 3])
    """
    if draws < 0 or banks < 1 or assets < 1 or not 0 <= diversification <= assets:
        raise ValueError(f"{draws} draws of {banks} banks that hold {diversification} of {assets} assets on average")
    trials = _successes(draws * banks * assets, diversification / assets, rng)
    holders = trials // assets
    held = trials - holders * assets + holders // banks * assets
    return Portfolios(draws, banks, assets, _starts(holders, draws * banks), held)


def random_seeds(draws: int, nodes: int, seeds: int, rng: Generator) -> Integers:
    """Return so many different nodes for each draw, uniformly, of shape (draws, seeds).

    >>> np.sort(random_seeds(2, 3, 3, np.random.default_rng(1)))
    array([[0, 1, 2],
           [0, 1, 2]])
    """
    if not 0 <= seeds <= nodes:
        raise ValueError(f"{seeds} of {nodes} nodes cannot default to begin with")
    return np.argpartition(rng.random((draws, nodes)), max(seeds - 1, 0), axis=1)[:, :seeds]


def in_degrees(networks: Networks) -> Integers:
    """Return how many links hit each node, of all draws in a row.

    >>> in_degrees(directed_poisson(1, 3, 2, np.random.default_rng(1)))
    array([2, 2, 2])
    """
    return np.bincount(networks.targets, minlength=networks.draws * networks.nodes)


def _others(draws: int, nodes: int, mean_degree: float) -> int:
    """Return how many a node may be linked to, when that is possible."""
    if draws < 0 or nodes < 2 or not 0 <= mean_degree <= nodes - 1:
        raise ValueError(f"{draws} draws of {nodes} nodes with {mean_degree} links on average")
    return nodes - 1


def _successes(trials: int, probability: float, rng: Generator) -> Integers:
    """Return which of independent trials succeed, in order, from the geometric gaps between successes."""
    found, last = [np.empty(0, np.int64)], -1
    while probability and last < trials:
        mean = (trials - last) * probability
        gaps = rng.geometric(probability, int(mean + 4 * sqrt(mean)) + 8)
        found.append(last + np.cumsum(np.minimum(gaps, trials + 1)))
        last = int(found[-1][-1])
    successes: Integers = np.concatenate(found)
    return successes[: int(np.searchsorted(successes, trials))]


def _starts(sources: Integers, size: int) -> Integers:
    """Return where the links of each source start, sources in order, and where the last ones end."""
    return np.insert(np.cumsum(np.bincount(sources, minlength=size)), 0, 0)
