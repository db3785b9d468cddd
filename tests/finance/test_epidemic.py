"""Random epidemics, against closed forms, a Markov chain and shortest ways; one run is many copies of a network."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, kron

from contagion.finance.epidemic import Epidemic, sir

COPIES, TRANSMISSION, RECOVERY = 20_000, 0.7, 1.3
PAIR = np.array([[0, 1], [1, 0]])
STAR = np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]])
COMPLETE = 1 - np.eye(6, dtype=np.int64)


def copies(graph: NDArray[np.int64]) -> tuple[NDArray[np.float64], Epidemic]:
    """Return times of infection by copy and node, and the epidemic, with node 0 of each copy infected at first."""
    size = len(graph)
    many = csr_array(kron(diags_array(np.ones(COPIES)), csr_array(graph)))
    seeds = range(0, COPIES * size, size)
    found = sir(many, TRANSMISSION, RECOVERY, seeds, np.random.default_rng(1))
    return found.infected.reshape(COPIES, size), found


def assert_frequency(observed: NDArray[np.bool_], probability: float) -> None:
    """Within four standard errors."""
    error = (probability * (1 - probability) / len(observed)) ** 0.5
    assert abs(observed.mean() - probability) < 4 * error


def assert_mean(observed: NDArray[np.float64], expected: float) -> None:
    """Within four standard errors."""
    assert abs(observed.mean() - expected) < 4 * observed.std() / len(observed) ** 0.5


# The distribution of the process.


def test_a_contact_transmits_with_the_odds_of_the_two_rates_and_early_if_at_all() -> None:
    times, _ = copies(PAIR)
    caught = np.isfinite(times[:, 1])
    assert_frequency(caught, TRANSMISSION / (TRANSMISSION + RECOVERY))
    assert_mean(times[caught, 1], 1 / (TRANSMISSION + RECOVERY))


def test_the_contacts_of_one_node_depend_on_how_long_it_is_infectious() -> None:
    """Both neighbours stay healthy more often than by two independent contacts: at the odds of the first event."""
    times, _ = copies(STAR)
    neither = ~np.isfinite(times[:, 1]) & ~np.isfinite(times[:, 2])
    probability = RECOVERY / (RECOVERY + 2 * TRANSMISSION)
    assert_frequency(neither, probability)
    assert probability > 1.1 * (RECOVERY / (RECOVERY + TRANSMISSION)) ** 2


@cache
def chain(healthy: int, infectious: int) -> tuple[tuple[float, ...], float]:
    """Return the probabilities of 0, 1, ... nodes staying healthy, and the mean time to the end, where all meet all."""
    if infectious == 0:
        return tuple(float(left == healthy) for left in range(len(COMPLETE))), 0.0
    rates = (TRANSMISSION * healthy * infectious, RECOVERY * infectious)
    total = sum(rates)
    after = [chain(healthy, infectious - 1)]
    weights = [rates[1] / total]
    if healthy:
        after.append(chain(healthy - 1, infectious + 1))
        weights.append(rates[0] / total)
    sizes = tuple(sum(w * sizes[k] for w, (sizes, _) in zip(weights, after, strict=True)) for k in range(len(COMPLETE)))
    return sizes, 1 / total + sum(w * time for w, (_, time) in zip(weights, after, strict=True))


def test_final_sizes_and_durations_where_all_meet_all_are_those_of_the_markov_chain() -> None:
    times, found = copies(COMPLETE)
    sizes, duration = chain(len(COMPLETE) - 1, 1)
    left = np.sum(np.isinf(times), axis=1)
    for count, probability in enumerate(sizes):
        assert_frequency(left == count, probability)
    recovered = found.recovered.reshape(times.shape)
    assert_mean(np.where(np.isfinite(recovered), recovered, 0).max(axis=1), duration)
    assert found.final_size == np.isfinite(times).sum()


# One epidemic.


@st.composite
def graphs(draw: st.DrawFn) -> NDArray[np.int64]:
    count = draw(st.integers(1, 8))
    cells = st.lists(st.integers(0, 1), min_size=count, max_size=count)
    return np.array(draw(st.lists(cells, min_size=count, max_size=count)))


@settings(max_examples=50, deadline=None)
@given(graphs(), st.lists(st.integers(0, 7), max_size=3), st.floats(0, 3), st.floats(0, 3), st.integers(0, 99))
def test_everybody_is_infected_by_an_infectious_neighbour(
    graph: NDArray[np.int64], chosen: list[int], transmission: float, recovery: float, seed: int
) -> None:
    seeds = [node % len(graph) for node in chosen]
    found = sir(graph, transmission, recovery, seeds, np.random.default_rng(seed))
    depth = found.generation
    for node in range(len(graph)):
        source = found.infector[node]
        if node in seeds:
            assert (found.infected[node], source, depth[node]) == (0, -1, 0)
        elif np.isfinite(found.infected[node]):
            assert graph[source, node]
            assert found.infected[source] <= found.infected[node] <= found.recovered[source]
            assert depth[node] == depth[source] + 1
        else:
            assert (source, depth[node], found.recovered[node]) == (-1, -1, np.inf)
    again = sir(csr_array(graph), transmission, recovery, seeds, np.random.default_rng(seed))
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_an_endless_infection_reaches_all_that_contacts_lead_to_and_nobody_else() -> None:
    """Contacts are directed: 0 to 1 to 2, and 3 to 0."""
    graph = csr_array(([1, 1, 1], ([0, 1, 3], [1, 2, 0])), shape=(4, 4))
    found = sir(graph, 1.0, 0.0, [0], np.random.default_rng(1))
    assert found.generation.tolist() == [0, 1, 2, -1]
    assert np.isinf(found.recovered).all()


def test_nothing_is_transmitted_at_a_rate_of_zero() -> None:
    found = sir(COMPLETE, 0.0, 1.0, [2, 4, 4], np.random.default_rng(1))
    assert (found.final_size, np.flatnonzero(found.infected == 0).tolist()) == (2, [2, 4])
    assert sir(COMPLETE, 0.0, 0.0, [0], np.random.default_rng(1)).final_size == 1


def test_an_epidemic_without_a_seed_is_none() -> None:
    assert sir(COMPLETE, 1.0, 1.0, [], np.random.default_rng(1)).final_size == 0


def test_the_giant_outbreak_of_a_random_graph_has_the_size_of_its_percolation() -> None:
    """The share a that is infected solves a = 1 - exp(-4 p a): the contacts into one node are independent."""
    rng, count, degree = np.random.default_rng(3), 100_000, 4
    ends = rng.integers(0, count, (2, count * degree // 2))
    graph = csr_array((np.ones(ends.size), (np.r_[ends[0], ends[1]], np.r_[ends[1], ends[0]])), shape=(count, count))
    probability, attack = TRANSMISSION / (TRANSMISSION + RECOVERY), 0.5
    for _ in range(200):
        attack = 1 - np.exp(-degree * probability * attack)
    found = sir(graph, TRANSMISSION, RECOVERY, range(50), rng)
    assert found.final_size / count == pytest.approx(attack, abs=0.01)


# What is refused.


@pytest.mark.parametrize(
    ("transmission", "recovery", "seeds", "words"),
    [
        (-1.0, 1.0, [0], "a transmission rate of -1.0; 0 or more"),
        (1.0, float("nan"), [0], "a recovery rate of nan"),
        (1.0, 1.0, [2], "the seeds reach from 2 to 2; indices from 0 to 1"),
    ],
)
def test_figures_out_of_range_are_refused(transmission: float, recovery: float, seeds: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sir(PAIR, transmission, recovery, seeds, np.random.default_rng(1))
