"""Drawn networks and portfolios, taken apart into lists."""

from itertools import pairwise

import numpy as np

from contagion.finance.ensembles.networks import (
    Networks,
    Portfolios,
    configuration,
    directed_poisson,
    undirected_poisson,
)


def degrees_of(nodes: int, mean: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return in- and out-degrees, Poisson, independent, and of the same links."""
    inward = rng.poisson(mean, nodes)
    return inward, rng.multinomial(inward.sum(), np.full(nodes, 1 / nodes))


def links_of(networks: Networks, draw: int) -> list[tuple[int, int]]:
    """Return the links of one draw, its nodes numbered from 0."""
    sources = np.repeat(np.arange(networks.draws * networks.nodes), np.diff(networks.first))
    these = sources // networks.nodes == draw
    start = draw * networks.nodes
    return list(zip((sources[these] - start).tolist(), (networks.targets[these] - start).tolist(), strict=True))


def drawn_networks(kind: str, draws: int, nodes: int, mean: float, rng: np.random.Generator) -> Networks:
    if kind == "configuration":
        return configuration(draws, *degrees_of(nodes, mean, rng), rng)
    return (directed_poisson if kind == "directed" else undirected_poisson)(draws, nodes, mean, rng)


def holdings_of(portfolios: Portfolios, draw: int) -> list[list[int]]:
    """Return the assets of each bank of one draw, as the draw numbers them."""
    first = portfolios.first[draw * portfolios.banks :][: portfolios.banks + 1]
    return [(portfolios.held[a:b] - draw * portfolios.assets).tolist() for a, b in pairwise(first)]
