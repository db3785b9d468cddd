"""How often and how far one default spreads over random networks: Monte Carlo, all draws of a batch at once.

The graphs of a batch are one graph in separate parts (`networks`), so that a round of a cascade (`cascades`) is a few
array operations for all draws together, over the links of those who have just defaulted. A cascade is global when more
than 5% of the nodes are in default, seeds included.

Sources: Watts (2002), Gai and Kapadia (2010), Amini, Cont and Minca (2016), whose limits are in `windows`; Caccioli,
Shrestha, Moore and Farmer (2014).
"""

from collections.abc import Callable
from math import nan, sqrt
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from contagion.finance.ensembles.cascades import Defaults, portfolio_cascades, threshold_cascades
from contagion.finance.ensembles.networks import (
    Integers,
    Networks,
    configuration,
    directed_poisson,
    in_degrees,
    random_portfolios,
    random_seeds,
    undirected_poisson,
)

BATCH_LINKS = 2**16
"""Links that are held at a time, unless a single draw has more."""

GLOBAL_PER_CENT = 5
"""A cascade is global beyond this share of the nodes."""

Rule = Callable[[Integers], Integers]
"""From degrees to the number of defaulted neighbours that brings a node down, ``lambda j: j // 5 + 1`` say."""


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

    needed : from the number of neighbours; seeds : nodes that default to begin with, at random.

    Source: Watts (2002), the threshold rule: a node of k neighbours fails when n >= needed(k) of them have.

    >>> result = watts(1_000, 4, lambda k: -(-9 * k // 50), 100, np.random.default_rng(1), seeds=10)
    >>> result.frequency, abs(result.extent - 0.980388) < 0.006
    (1.0, True)
    """
    return _poisson(undirected_poisson, nodes, mean_degree, needed, draws, rng, seeds)


def gai_kapadia(nodes: int, mean_degree: float, needed: Rule, draws: int, rng: Generator, seeds: int = 1) -> Contagion:
    """Return global cascades on directed Poisson networks, in which each bank owes each other with the same chance.

    needed : from the number of debtors, whose default costs the bank its claims on them.

    Source: Gai and Kapadia (2010), Bank of England working paper 383, equation 2 without a fall of prices: a bank fails
    when K < phi A_IB, with K its capital, A_IB its claims on others and phi the share of its debtors that has failed.

    >>> result = gai_kapadia(1_000, 3, lambda j: j // 5 + 1, 100, np.random.default_rng(1))
    >>> abs(result.frequency - 0.78) < 0.15, abs(result.extent - 0.9405) < 0.01
    (True, True)
    """
    return _poisson(directed_poisson, nodes, mean_degree, needed, draws, rng, seeds)


def amini_cont_minca(
    debtors: ArrayLike, creditors: ArrayLike, needed: ArrayLike, draws: int, rng: Generator, seeds: int = 1
) -> Contagion:
    """Return global cascades on networks that are drawn at random with given degrees.

    debtors, creditors, needed : by node, how many it has, and how many of its debtors bring it down.

    Source: Amini, Cont and Minca (2016), the configuration model: a node fails when n >= needed of its debtors have.

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

    diversification : assets of a bank on average; capital, cash, alpha : see `portfolio_cascades`.

    Source: Caccioli and others (2014): price = exp(-alpha x) of an asset of which a share x is sold; each bank has each
    asset with a chance of diversification / assets.

    >>> result = caccioli(500, 500, 4, 0.04, 100, np.random.default_rng(1))
    >>> abs(result.frequency - 0.956) < 0.11, abs(result.extent - 0.98) < 0.03
    (True, True)
    """

    def batch(size: int) -> Defaults:
        portfolios = random_portfolios(size, banks, assets, diversification, rng)
        first = random_seeds(size, banks, seeds, rng)
        return portfolio_cascades(portfolios, capital, first, cash=cash, alpha=alpha)

    return _in_batches(batch, draws, banks, banks * (1 + diversification) + assets)


def estimated(failed: Integers, rounds: Integers, nodes: int) -> Contagion:
    """Return frequency and extent of global cascades among draws.

    failed, rounds : by draw, how many of the nodes are in default, and after how many rounds. ValueError without any.

    Source: derived: frequency f = global / draws with the error sqrt(f (1 - f) / draws), extent = mean share of the
    global ones; global above 5% as in the frequency and extent of Gai and Kapadia (2010).

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
