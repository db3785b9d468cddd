import os
import tracemalloc
from collections.abc import Callable
from functools import partial
from math import isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contagion.finance import ensembles
from contagion.finance.ensembles import amini_cont_minca, caccioli, estimated, gai_kapadia, watts
from contagion.finance.ensembles.cascades import portfolio_cascades, threshold_cascades
from contagion.finance.ensembles.networks import (
    Networks,
    Portfolios,
    configuration,
    directed_poisson,
    in_degrees,
    random_portfolios,
    random_seeds,
    undirected_poisson,
)
from contagion.finance.windows import (
    contagion_extent,
    contagion_frequency,
    critical_share,
    final_adoption_fraction,
    final_default_fraction,
    least_defaults,
    poisson_law,
    reproduction_number,
)
from tests.cases import published
from tests.drawn import degrees_of, drawn_networks, holdings_of, links_of
from tests.slow_cascades import slow_portfolios, slow_thresholds

SEED = 20260
ASKED = int(os.environ.get("CONTAGION_DRAWS", "0"))
"""More draws than the cases ask for, and then all of their points and ten of the largest networks."""

ERRORS = 4.0
"""Standard errors that a simulated value may be off."""

GK = partial(least_defaults, share=critical_share(0.04, 0.2), ties_default=False)
WATTS = partial(least_defaults, share=0.18, ties_default=True)
SEEDS = st.integers(0, 2**32 - 1)


def points(case_id: str, chosen: list[str]) -> list[str]:
    expected = published(case_id)["expected"]
    return list(expected.get("independent_mc", expected)) if ASKED else chosen


# The published cases.


@pytest.mark.parametrize("z", points("GK-02", ["0.5", "1.5", "3", "5", "7", "8"]))
def test_the_published_frequency_and_extent_of_gai_and_kapadia(z: str) -> None:
    case = published("GK-02")
    inputs, expected = case["inputs"], case["expected"]["independent_mc"][z]
    draws = max(inputs["draws"], ASKED)
    result = gai_kapadia(inputs["N"], float(z), GK, draws, np.random.default_rng(SEED))
    assert result.draws == draws
    assert result.frequency == pytest.approx(expected["freq"], abs=0.07)
    if expected["n_big"] >= 100:
        assert result.extent == pytest.approx(expected["extent"], abs=0.01)
        assert result.rounds == pytest.approx(expected["rounds_mean"], abs=1)
        law = poisson_law(float(z))
        extent = contagion_extent(law, GK(range(len(law))))
        assert result.extent == pytest.approx(extent, abs=0.002 + ERRORS * result.extent_error)
    if z in ("1.5", "3"):  # towards the upper edge, two defaults among a thousand banks still meet: 0.49 at 5, not 0.45
        theory = contagion_frequency(reproduction_number(float(z), 3))
        assert result.frequency == pytest.approx(theory, abs=ERRORS * result.frequency_error)


@pytest.mark.parametrize("mu", points("OP-01", ["1", "2", "4", "8", "12"]))
def test_the_published_window_of_overlapping_portfolios(mu: str) -> None:
    case = published("OP-01")
    inputs, expected = case["inputs"], case["expected"][mu]
    draws, rng = max(inputs["draws"], ASKED), np.random.default_rng(SEED)
    result = caccioli(inputs["N"], inputs["M"], float(mu), inputs["cap"], draws, rng, alpha=inputs["alpha"])
    assert result.frequency == pytest.approx(expected["freq"], abs=0.11)
    if expected["n_big"] >= 50:
        assert result.extent == pytest.approx(expected["extent"], abs=0.03)
        assert result.rounds == pytest.approx(expected["rounds_mean"], abs=1)


@pytest.mark.parametrize("z", points("WT-02", ["2", "4", "10"]))
def test_the_published_cascade_sizes_of_gleeson_are_simulated(z: str) -> None:
    case, nodes = published("WT-02"), 100_000
    seeds = round(case["inputs"]["rho0"] * nodes)
    result = watts(nodes, float(z), WATTS, 10 if ASKED else 2, np.random.default_rng(SEED), seeds)
    assert result.share == pytest.approx(case["expected"][z], abs=0.006)


@pytest.mark.parametrize("z", points("ACM-01", ["2", "3", "6"]))
def test_the_published_final_fractions_of_amini_cont_and_minca_are_simulated(z: str) -> None:
    case, nodes, rng = published("ACM-01"), 100_000, np.random.default_rng(SEED)
    debtors, creditors = degrees_of(nodes, float(z), rng)
    seeds = round(case["inputs"]["rho0"] * nodes)
    result = amini_cont_minca(debtors, creditors, debtors // 5 + 1, 10 if ASKED else 2, rng, seeds)
    assert result.share == pytest.approx(case["expected"][z], abs=0.006)


def test_on_either_kind_of_network_theory_and_draws_agree_with_seeds() -> None:
    """Many small networks instead of a few large ones, and what spreads on the one and does not on the other.

    A tenth of the nodes are seeds and 40% of its neighbours bring a node down. A link that is not directed serves
    once: a default does not go back along it.
    """
    law, nodes, draws, seeded = poisson_law(5), 2_000, 200, 0.1
    needed = partial(least_defaults, share=0.4, ties_default=True)
    rng, by_degree, shares = np.random.default_rng(SEED), needed(range(len(law))), []
    for simulate, theory in ((watts, final_adoption_fraction), (gai_kapadia, final_default_fraction)):
        result = simulate(nodes, 5, needed, draws, rng, round(seeded * nodes))
        assert result.share == pytest.approx(theory(law, by_degree, seeded), abs=0.002 + ERRORS * result.share_error)
        shares.append(result.share)
    assert shares[0] < 0.2 < 0.9 < shares[1]


# The same defaults as a cascade in plain Python, node by node.


@pytest.mark.parametrize("kind", ["directed", "undirected", "configuration"])
@given(seed=SEEDS, mean=st.floats(0, 8), nodes=st.integers(9, 40), seeds=st.integers(0, 3))
def test_thresholds_bring_down_the_same_nodes_one_by_one(
    kind: str, seed: int, mean: float, nodes: int, seeds: int
) -> None:
    rng, draws = np.random.default_rng(seed), 3
    networks = drawn_networks(kind, draws, nodes, mean, rng)
    needed = rng.integers(1, 4, draws * nodes)
    first = random_seeds(draws, nodes, seeds, rng)
    outcome = threshold_cascades(networks, needed, first)
    for draw in range(draws):
        slow = slow_thresholds(links_of(networks, draw), needed[draw * nodes :][:nodes].tolist(), set(first[draw]))
        assert (outcome.defaulted[draw].tolist(), outcome.rounds[draw]) == slow


def test_a_thousand_banks_fall_as_they_do_one_by_one() -> None:
    rng, draws, nodes = np.random.default_rng(SEED), 4, 1_000
    for networks, rule in (
        (directed_poisson(draws, nodes, 3, rng), GK),
        (undirected_poisson(draws, nodes, 4, rng), WATTS),
        (configuration(draws, *degrees_of(nodes, 3, rng), rng), GK),
    ):
        needed, first = rule(in_degrees(networks)), random_seeds(draws, nodes, 5, rng)
        outcome = threshold_cascades(networks, needed, first)
        for draw in range(draws):
            slow = slow_thresholds(links_of(networks, draw), needed[draw * nodes :][:nodes].tolist(), set(first[draw]))
            assert (outcome.defaulted[draw].tolist(), outcome.rounds[draw]) == slow
        assert outcome.defaulted.sum() > draws * nodes / 2


@pytest.mark.parametrize(("banks", "assets", "draws"), [(25, 10, 20), (10, 30, 20), (500, 500, 3)])
@pytest.mark.parametrize("mean", [0.5, 2.0, 4.0, 8.0])
def test_portfolios_bring_down_the_same_banks_one_by_one(banks: int, assets: int, draws: int, mean: float) -> None:
    rng = np.random.default_rng(SEED)
    portfolios = random_portfolios(draws, banks, assets, mean, rng)
    capital, first = rng.uniform(0.02, 0.06, (draws, banks)), random_seeds(draws, banks, 2, rng)
    outcome = portfolio_cascades(portfolios, capital, first, cash=0.25, alpha=1.2)
    for draw in range(draws):
        held = holdings_of(portfolios, draw)
        slow = slow_portfolios(held, capital[draw].tolist(), set(first[draw].tolist()), 0.25, 1.2)
        assert (outcome.defaulted[draw].tolist(), outcome.rounds[draw]) == slow


# Properties.


@given(SEEDS, st.floats(0.5, 8))
def test_names_of_nodes_do_not_matter(seed: int, mean: float) -> None:
    rng, nodes = np.random.default_rng(seed), 30
    networks = directed_poisson(1, nodes, mean, rng)
    needed, first, names = rng.integers(1, 4, nodes), random_seeds(1, nodes, 2, rng), rng.permutation(nodes)
    links = sorted((names[a], names[b]) for a, b in links_of(networks, 0))
    starts = np.searchsorted([a for a, _ in links], np.arange(nodes + 1))
    renamed = Networks(1, nodes, starts, np.array([b for _, b in links], np.int64))
    then, now = np.empty(nodes, int), threshold_cascades(networks, needed, first)
    then[names] = needed
    outcome = threshold_cascades(renamed, then, names[first])
    assert np.array_equal(outcome.defaulted[0][names], now.defaulted[0])
    assert outcome.rounds == now.rounds


@given(SEEDS, st.floats(0.5, 6))
def test_names_of_banks_and_assets_do_not_matter(seed: int, mean: float) -> None:
    rng, size = np.random.default_rng(seed), 30
    portfolios, first = random_portfolios(1, size, size, mean, rng), random_seeds(1, size, 2, rng)
    banks, assets = rng.permutation(size), rng.permutation(size)
    capital = rng.uniform(0.02, 0.06, size)
    held = holdings_of(portfolios, 0)
    moved = [assets[held[bank]] for bank in np.argsort(banks)]
    starts = np.insert(np.cumsum([len(those) for those in moved]), 0, 0)
    now = portfolio_cascades(portfolios, capital, first)
    renamed = Portfolios(1, size, size, starts, np.concatenate(moved))
    outcome = portfolio_cascades(renamed, capital[np.argsort(banks)], banks[first])
    assert np.array_equal(outcome.defaulted[0][banks], now.defaulted[0])


@given(SEEDS, st.floats(0.5, 8), st.integers(0, 4))
def test_more_capital_never_means_more_defaults_nor_do_more_seeds_mean_fewer(
    seed: int, mean: float, seeds: int
) -> None:
    rng, draws, nodes = np.random.default_rng(seed), 5, 30
    first = random_seeds(draws, nodes, seeds + 1, rng)
    networks = undirected_poisson(draws, nodes, mean, rng)
    needed = rng.integers(1, 4, draws * nodes)
    more = needed + rng.integers(0, 2, draws * nodes)
    portfolios = random_portfolios(draws, nodes, nodes, mean, rng)
    capital = rng.uniform(0, 0.1, nodes)

    def thresholds(strong: bool, first: np.ndarray) -> np.ndarray:
        return threshold_cascades(networks, more if strong else needed, first).defaulted

    def overlaps(strong: bool, first: np.ndarray) -> np.ndarray:
        return portfolio_cascades(portfolios, capital + 0.02 * strong, first).defaulted

    for cascade in (thresholds, overlaps):
        assert (cascade(True, first) <= cascade(False, first)).all()
        assert (cascade(False, first[:, :seeds]) <= cascade(False, first)).all()


def test_no_seed_no_default() -> None:
    rng = np.random.default_rng(SEED)
    degrees = np.full(50, 3)
    for result in (
        watts(50, 4, np.ones_like, 20, rng, seeds=0),
        gai_kapadia(50, 4, np.ones_like, 20, rng, seeds=0),
        amini_cont_minca(degrees, degrees, np.ones(50), 20, rng, seeds=0),
        caccioli(50, 50, 4, 0, 20, rng, seeds=0),
    ):
        assert result.frequency == result.extent == result.share == result.rounds == 0


def test_nobody_defaults_without_a_defaulted_neighbour_and_a_link_that_is_double_counts_twice() -> None:
    pair = Networks(1, 3, np.array([0, 2, 2, 2]), np.array([1, 1]))
    assert threshold_cascades(pair, [9, 2, 0], [[0]]).defaulted.tolist() == [[True, True, False]]
    assert threshold_cascades(pair, [9, 3, 0], [[0, 0]]).defaulted.tolist() == [[True, False, False]]


def test_ties_are_what_the_rule_makes_of_them() -> None:
    """A bank with five debtors, one of which defaults: 4% of its assets, as much as its capital."""
    star = Networks(1, 6, np.array([0, 1, 2, 3, 4, 5, 5]), np.full(5, 5))
    for ties in (True, False):
        needed = least_defaults(in_degrees(star), critical_share(0.04, 0.2), ties_default=ties)
        assert threshold_cascades(star, needed, [[2]]).defaulted[0, 5] == ties


def test_half_of_an_asset_sold_takes_what_the_law_of_impact_says() -> None:
    """Two banks hold one asset with 80% of their money: the loss is 0.8 * (1 - exp(-1.0536 / 2))."""
    loss = 0.8 * -np.expm1(-1.0536 / 2)
    both = Portfolios(1, 2, 1, np.array([0, 1, 2]), np.array([0, 0]))
    for capital, falls in ((loss * 0.999, True), (loss, False), (loss * 1.001, False)):
        assert portfolio_cascades(both, capital, [[0]]).defaulted[0, 1] == falls


# Estimates.


def test_a_cascade_is_global_beyond_a_twentieth_of_the_nodes() -> None:
    result = estimated(np.array([50, 51, 1_000]), np.array([3, 4, 8]), 1_000)
    assert result.global_cascades == 2
    assert result.frequency == pytest.approx(2 / 3)
    assert result.extent == pytest.approx(0.5255)
    assert result.extent_error == pytest.approx(0.4745)
    assert result.frequency_error == pytest.approx(sqrt(2 / 27))
    assert result.rounds == 6
    assert result.share == pytest.approx(1.101 / 3)
    lone = estimated(np.array([1_000]), np.array([2]), 1_000)
    assert lone.extent == 1
    assert isnan(lone.extent_error)


def test_standard_errors_are_the_spread_of_repeated_estimates() -> None:
    rng = np.random.default_rng(SEED)
    results = [gai_kapadia(100, 2, GK, 50, rng) for _ in range(300)]
    for value, error in (("frequency", "frequency_error"), ("extent", "extent_error"), ("share", "share_error")):
        spread = np.std([getattr(result, value) for result in results], ddof=1)
        assert np.mean([getattr(result, error) for result in results]) == pytest.approx(spread, rel=0.17), value


def test_the_generator_decides() -> None:
    def run(seed: int) -> ensembles.Contagion:
        return gai_kapadia(200, 2, GK, 50, np.random.default_rng(seed))

    assert run(1) == run(1) != run(2)


@pytest.mark.parametrize(
    "simulate",
    [
        lambda draws, rng: watts(1_000, 4, WATTS, draws, rng),
        lambda draws, rng: gai_kapadia(1_000, 4, GK, draws, rng),
        lambda draws, rng: amini_cont_minca(np.full(1_000, 4), np.full(1_000, 4), np.ones(1_000, int), draws, rng),
        lambda draws, rng: caccioli(1_000, 1_000, 4, 0.04, draws, rng),
    ],
)
def test_memory_does_not_grow_with_the_draws(simulate: Callable[[int, np.random.Generator], object]) -> None:
    peaks = []
    for draws in (50, 200):
        tracemalloc.start()
        simulate(draws, np.random.default_rng(SEED))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 200 * ensembles.BATCH_LINKS


def test_what_cannot_be_is_refused() -> None:
    rng, ring = np.random.default_rng(SEED), Networks(1, 3, np.arange(4), np.array([1, 2, 0]))
    for draw in (directed_poisson, undirected_poisson):
        with pytest.raises(ValueError, match="1 draws of 5 nodes with 5 links"):
            draw(1, 5, 5, rng)
        with pytest.raises(ValueError, match="1 draws of 1 nodes"):
            draw(1, 1, 0, rng)
    with pytest.raises(ValueError, match="2 links into nodes, 1 out"):
        configuration(1, [1, 1], [1, 0], rng)
    with pytest.raises(ValueError, match="from 0 up"):
        configuration(1, [3, -1], [1, 1], rng)
    with pytest.raises(ValueError, match=r"hold 5 of 4 assets"):
        random_portfolios(1, 3, 4, 5, rng)
    with pytest.raises(ValueError, match="4 of 3 nodes"):
        random_seeds(1, 3, 4, rng)
    with pytest.raises(ValueError, match="no draws"):
        gai_kapadia(10, 2, GK, 0, rng)
    for seeds in ([[3]], [[-1]], [0], [[0], [1]]):
        with pytest.raises(ValueError, match="nodes below 3 for each of 1 draws"):
            threshold_cascades(ring, [1, 1, 1], seeds)
    one = Portfolios(1, 1, 1, np.array([0, 1]), np.array([0]))
    nothing = np.nan
    for capital, cash, alpha in ((-0.1, 0.2, 1), (0.1, 1.2, 1), (0.1, 0.2, -1), (nothing, 0.2, 1), (0.1, 0.2, nothing)):
        with pytest.raises(ValueError, match="out of range"):
            portfolio_cascades(one, capital, [[0]], cash=cash, alpha=alpha)
