"""How often and how far one default spreads over random networks: Monte Carlo, all draws of a batch at once.

The graphs of a batch are one graph in separate parts, so that a round of a cascade is a few array operations for all
draws together, over the links of those who have just defaulted. Links are the successes in one long row of trials,
drawn by the gaps between them, which is exact, takes time by the link and leaves them in order.

A cascade runs in simultaneous rounds: who has at least so many defaulted neighbours defaults in the next; several
links from one count as several, and nobody defaults without any. It is global when more than 5% of the nodes are in
default, seeds included. Counts are integers: a tie is whatever the rule of needed defaults makes of it.

Sources: Watts (2002), Gai and Kapadia (2010), Amini, Cont and Minca (2016), whose limits are in `windows`; Caccioli,
Shrestha, Moore and Farmer, "Stability analysis of financial contagion due to overlapping portfolios" (2014); Batagelj
and Brandes, "Efficient generation of large random networks" (2005), for the gaps.
"""

from collections.abc import Callable
from itertools import count
from math import nan, sqrt
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

BATCH_LINKS = 2**16
"""Links that are held at a time, unless a single draw has more."""

GLOBAL_PER_CENT = 5
"""A cascade is global beyond this share of the nodes."""

Integers = NDArray[np.int64]
Rule = Callable[[Integers], Integers]
"""From degrees to the number of defaulted neighbours that brings a node down, ``lambda j: j // 5 + 1`` say."""


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


class Defaults(NamedTuple):
    """Who is in default at the end, by draw and node, and the last round of each draw that brought one down."""

    defaulted: NDArray[np.bool_]
    rounds: Integers


class Contagion(NamedTuple):
    """What a number of draws came to; every error is a standard error, nan where the draws do not tell.

    frequency : of global cascades; extent, rounds : means over these, of the share of nodes in default (0 without
    any); share : the mean share of nodes in default over all draws.
    """

    draws: int
    global_cascades: int
    frequency: float
    frequency_error: float
    extent: float
    extent_error: float
    rounds: float
    share: float
    share_error: float


def watts(nodes: int, mean_degree: float, needed: Rule, draws: int, rng: Generator, seeds: int = 1) -> Contagion:
    """Return global cascades on undirected Poisson networks, in which each pair is linked with the same chance.

    needed : from the number of neighbours; seeds : nodes that default to begin with, at random. Watts (2002).

    >>> result = watts(1_000, 4, lambda k: -(-9 * k // 50), 100, np.random.default_rng(1), seeds=10)
    >>> result.frequency, abs(result.extent - 0.980388) < 0.006
    (1.0, True)
    """
    return _poisson(undirected_poisson, nodes, mean_degree, needed, draws, rng, seeds)


def gai_kapadia(nodes: int, mean_degree: float, needed: Rule, draws: int, rng: Generator, seeds: int = 1) -> Contagion:
    """Return global cascades on directed Poisson networks, in which each bank owes each other with the same chance.

    needed : from the number of debtors, whose default costs the bank its claims on them. Gai and Kapadia (2010).

    >>> result = gai_kapadia(1_000, 3, lambda j: j // 5 + 1, 100, np.random.default_rng(1))
    >>> abs(result.frequency - 0.78) < 0.15, abs(result.extent - 0.9405) < 0.01
    (True, True)
    """
    return _poisson(directed_poisson, nodes, mean_degree, needed, draws, rng, seeds)


def amini_cont_minca(
    debtors: ArrayLike, creditors: ArrayLike, needed: ArrayLike, draws: int, rng: Generator, seeds: int = 1
) -> Contagion:
    """Return global cascades on networks that are drawn at random with given degrees.

    debtors, creditors, needed : by node, how many it has, and how many of its debtors bring it down. Amini, Cont and
    Minca (2016).

    >>> degrees = np.full(1_000, 3)
    >>> result = amini_cont_minca(degrees, degrees, np.ones(1_000, int), 50, np.random.default_rng(1))
    >>> result.frequency, result.extent > 0.9
    (1.0, True)
    """
    nodes, links = np.size(debtors), int(np.sum(debtors))

    def batch(size: int) -> Defaults:
        networks = configuration(size, debtors, creditors, rng)
        return threshold_cascades(networks, needed, random_seeds(size, nodes, seeds, rng))

    return _in_batches(batch, draws, nodes, nodes + links)


def caccioli(
    banks: int, assets: int, diversification: float, capital: float, draws: int, rng: Generator, *,
    cash: float = 0.2, alpha: float = 1.0536, seeds: int = 1,
) -> Contagion:  # fmt: skip
    """Return global cascades over portfolios that overlap, in which each bank holds each asset with the same chance.

    diversification : assets of a bank on average; capital, cash, alpha : see `portfolio_cascades`. Caccioli and
    others (2014).

    >>> result = caccioli(500, 500, 4, 0.04, 100, np.random.default_rng(1))
    >>> abs(result.frequency - 0.956) < 0.11, abs(result.extent - 0.98) < 0.03
    (True, True)
    """

    def batch(size: int) -> Defaults:
        portfolios = random_portfolios(size, banks, assets, diversification, rng)
        first = random_seeds(size, banks, seeds, rng)
        return portfolio_cascades(portfolios, capital, first, cash=cash, alpha=alpha)

    return _in_batches(batch, draws, banks, banks * (1 + diversification) + assets)


def directed_poisson(draws: int, nodes: int, mean_degree: float, rng: Generator) -> Networks:
    """Return graphs in which every ordered pair of nodes is linked independently, mean_degree / (nodes - 1) likely.

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


def threshold_cascades(networks: Networks, needed: ArrayLike, seeds: ArrayLike) -> Defaults:
    """Return who defaults when each node does as soon as `needed` links from defaulted ones hit it.

    needed : by node, of all draws in a row or the same for each; seeds : nodes by draw, (draws, any number).

    >>> ring = Networks(1, 4, np.arange(5), np.array([1, 2, 3, 0]))
    >>> threshold_cascades(ring, [1, 1, 2, 1], [[0]])
    Defaults(defaulted=array([[ True,  True, False, False]]), rounds=array([1]))
    """
    draws, nodes, first, targets = networks
    left = np.array(np.broadcast_to(np.reshape(needed, (-1, nodes)), (draws, nodes)), np.int64).ravel()
    defaulted = _seeded(seeds, draws, nodes)
    new, rounds, places = np.flatnonzero(defaulted), np.zeros(draws, np.int64), np.zeros(draws * nodes, np.int64)
    for at in count(1):
        left[new] = len(targets) + 1  # more than can hit it: who is in default is not counted again
        hit = targets[_places(first, new)]
        np.subtract.at(left, hit, 1)
        new = hit[left[hit] <= 0]
        if not len(new):
            break
        order = np.arange(len(new))
        places[new] = order
        new = new[places[new] == order]
        defaulted[new] = True
        rounds[new // nodes] = at
    return Defaults(defaulted.reshape(draws, nodes), rounds)


def portfolio_cascades(
    portfolios: Portfolios, capital: ArrayLike, seeds: ArrayLike, *, cash: float = 0.2, alpha: float = 1.0536
) -> Defaults:
    """Return who fails when each bank that has failed sells all it holds, and prices fall by what is sold.

    Each bank has assets of 1, a share `cash` of them in cash and the rest in equal parts in what it holds. When a
    share x of what banks hold of an asset is sold, its price falls to exp(-alpha * x): by a tenth for a tenth at
    1.0536. A bank fails when it has lost more than its capital; at a tie, in floating point, it does not.
    capital : of every bank, or (banks,), or (draws, banks), not negative; seeds : banks by draw, (draws, any number).

    >>> both = Portfolios(1, 2, 1, np.array([0, 1, 2]), np.array([0, 0]))
    >>> [portfolio_cascades(both, capital, [[0]]).rounds.item() for capital in (0.32, 0.33)]
    [1, 0]
    """
    draws, banks, assets, first, held = portfolios
    buffers = np.broadcast_to(np.reshape(capital, (-1, banks) if np.ndim(capital) else (1, 1)), (draws, banks)).ravel()
    if not (buffers.min(initial=0) >= 0 and 0 <= cash <= 1 and alpha >= 0):
        raise ValueError(f"capital from {buffers.min()}, cash of {cash} and an impact of {alpha}: one is out of range")
    weights = (1 - cash) / np.maximum(np.diff(first), 1)
    holdings = csr_array((np.ones(len(held)), held, first), (draws * banks, draws * assets))
    by_all = holdings.T @ weights
    by_all[by_all == 0] = 1  # nobody holds it, nobody sells it
    defaulted = _seeded(seeds, draws, banks)
    rounds = np.zeros(draws, np.int64)
    for at in count(1):
        sold = holdings.T @ (weights * defaulted) / by_all
        losses = weights * (holdings @ -np.expm1(-alpha * sold))
        new = np.flatnonzero((losses > buffers) & ~defaulted)
        if not len(new):
            break
        defaulted[new] = True
        rounds[new // banks] = at
    return Defaults(defaulted.reshape(draws, banks), rounds)


def estimated(failed: Integers, rounds: Integers, nodes: int) -> Contagion:
    """Return frequency and extent of global cascades among draws.

    failed, rounds : by draw, how many of the nodes are in default, and after how many rounds. ValueError without any.

    >>> result = estimated(np.array([5, 6, 100, 80]), np.array([0, 1, 4, 2]), 100)
    >>> result.global_cascades, result.frequency, round(result.extent, 4), round(result.rounds, 4)
    (3, 0.75, 0.62, 2.3333)
    """
    draws, shares, large = len(failed), failed / nodes, 100 * failed > GLOBAL_PER_CENT * nodes
    if not draws:
        raise ValueError("no draws: expected at least one")
    number = int(large.sum())
    frequency = number / draws
    error = sqrt(frequency * (1 - frequency) / draws)
    mean_rounds, _ = _mean(rounds[large])
    return Contagion(draws, number, frequency, error, *_mean(shares[large]), mean_rounds, *_mean(shares))


def _poisson(
    drawn: Callable[[int, int, float, Generator], Networks],
    nodes: int, mean_degree: float, needed: Rule, draws: int, rng: Generator, seeds: int,
) -> Contagion:  # fmt: skip
    def batch(size: int) -> Defaults:
        networks = drawn(size, nodes, mean_degree, rng)
        return threshold_cascades(networks, needed(in_degrees(networks)), random_seeds(size, nodes, seeds, rng))

    return _in_batches(batch, draws, nodes, nodes * (1 + mean_degree))


def _mean(values: NDArray[np.float64] | Integers) -> tuple[float, float]:
    """Return the mean, 0 of nothing, and its standard error."""
    if len(values) < 2:
        return float(values.sum()), nan
    return float(values.mean()), float(values.std(ddof=1)) / sqrt(len(values))


def _in_batches(batch: Callable[[int], Defaults], draws: int, nodes: int, size: float) -> Contagion:
    """Return what draws come to that are made in batches, when each of them takes `size` numbers."""
    most = max(int(BATCH_LINKS / size), 1)
    failed, rounds = np.zeros((2, max(draws, 0)), np.int64)
    for done in range(0, draws, most):
        outcome = batch(min(most, draws - done))
        failed[done : done + most], rounds[done : done + most] = outcome.defaulted.sum(axis=1), outcome.rounds
    return estimated(failed, rounds, nodes)


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


def _places(first: Integers, sources: Integers) -> Integers:
    """Return the places of all links of some sources."""
    starts = first[sources]
    counts = first[sources + 1] - starts
    before: Integers = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(starts - before, counts)


def _seeded(seeds: ArrayLike, draws: int, nodes: int) -> NDArray[np.bool_]:
    """Return whether each node, of all draws in a row, is among the seeds of its draw."""
    chosen = np.asarray(seeds, np.int64)
    if chosen.ndim != 2 or len(chosen) != draws or (chosen.size and not 0 <= chosen.min() <= chosen.max() < nodes):
        raise ValueError(f"seeds of shape {chosen.shape}: expected nodes below {nodes} for each of {draws} draws")
    defaulted = np.zeros(draws * nodes, np.bool_)
    defaulted[chosen + nodes * np.arange(draws)[:, None]] = True
    return defaulted
