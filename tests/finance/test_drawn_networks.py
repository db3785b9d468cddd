from collections import Counter
from itertools import combinations, permutations
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contagion.finance.ensembles.networks import configuration, in_degrees, random_portfolios, random_seeds
from tests.drawn import drawn_networks, holdings_of, links_of

SEED = 20260
ERRORS = 4.0
"""Standard errors that a simulated value may be off."""


@pytest.mark.parametrize("nodes", [2, 4, 5])
@pytest.mark.parametrize("kind", ["directed", "undirected"])
def test_every_pair_is_linked_with_the_same_chance_and_independently(kind: str, nodes: int) -> None:
    draws, mean, rng = 20_000, 0.4 * (nodes - 1), np.random.default_rng(SEED)
    networks = drawn_networks(kind, draws, nodes, mean, rng)
    sources = np.repeat(np.arange(draws * nodes), np.diff(networks.first))
    assert (sources // nodes == networks.targets // nodes).all()
    counts = Counter(zip((sources % nodes).tolist(), (networks.targets % nodes).tolist(), strict=True))
    assert counts.keys() == set(permutations(range(nodes), 2))
    error = sqrt(0.4 * 0.6 / draws)
    assert all(count / draws == pytest.approx(0.4, abs=ERRORS * error) for count in counts.values())
    if kind == "undirected":
        assert all(counts[a, b] == counts[b, a] for a, b in combinations(range(nodes), 2))
    pairs = nodes * (nodes - 1) // (1 if kind == "directed" else 2)
    links = np.bincount(sources // nodes, minlength=draws) // (1 if kind == "directed" else 2)
    assert links.var() == pytest.approx(pairs * 0.4 * 0.6, rel=ERRORS * sqrt(2 / draws))


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.floats(0, 1), st.sampled_from(["directed", "undirected"]))
def test_a_drawn_network_has_no_loop_and_no_double_link(seed: int, nodes: int, share: float, kind: str) -> None:
    networks = drawn_networks(kind, 4, nodes, share * (nodes - 1), np.random.default_rng(seed))
    for draw in range(4):
        links = links_of(networks, draw)
        assert len(links) == len(set(links))
        assert all(a != b and 0 <= a < nodes and 0 <= b < nodes for a, b in links)
        assert kind == "directed" or {(b, a) for a, b in links} == set(links)


def test_a_complete_network_and_an_empty_one_are_drawn() -> None:
    rng = np.random.default_rng(SEED)
    for kind in ("directed", "undirected"):
        full, empty = (drawn_networks(kind, 3, 6, mean, rng) for mean in (5, 0))
        assert sorted(links_of(full, 2)) == list(permutations(range(6), 2))
        assert not len(empty.targets)
    assert holdings_of(random_portfolios(2, 3, 4, 4, rng), 1) == [[0, 1, 2, 3]] * 3


def test_a_configuration_has_its_degrees_and_each_pair_of_ends_is_as_likely() -> None:
    draws, debtors, creditors = 20_000, np.array([2, 0, 1]), np.array([1, 1, 1])
    networks = configuration(draws, debtors, creditors, np.random.default_rng(SEED))
    assert (in_degrees(networks).reshape(draws, 3) == debtors).all()
    assert (np.diff(networks.first).reshape(draws, 3) == creditors).all()
    hits = np.bincount(networks.targets.reshape(draws, 3)[:, 1] % 3, minlength=3) / draws
    assert hits == pytest.approx([2 / 3, 0, 1 / 3], abs=ERRORS * sqrt(2 / 9 / draws))


def test_every_bank_holds_every_asset_with_the_same_chance() -> None:
    draws, banks, assets, rng = 10_000, 3, 4, np.random.default_rng(SEED)
    portfolios = random_portfolios(draws, banks, assets, 1, rng)
    holders = np.repeat(np.arange(draws * banks), np.diff(portfolios.first))
    assert (holders // banks == portfolios.held // assets).all()
    counts = Counter(zip((holders % banks).tolist(), (portfolios.held % assets).tolist(), strict=True))
    assert len(counts) == banks * assets
    error = sqrt(0.25 * 0.75 / draws)
    assert all(count / draws == pytest.approx(0.25, abs=ERRORS * error) for count in counts.values())


def test_seeds_are_different_nodes_and_each_as_likely() -> None:
    draws = 20_000
    seeds = random_seeds(draws, 5, 2, np.random.default_rng(SEED))
    assert (seeds[:, 0] != seeds[:, 1]).all()
    shares = np.bincount(seeds.ravel(), minlength=5) / draws
    assert shares == pytest.approx(np.full(5, 0.4), abs=ERRORS * sqrt(0.24 / draws))
