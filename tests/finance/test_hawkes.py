from math import exp, factorial, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from contagion.finance.hawkes import (
    borel_pmf,
    branching_ratio,
    cluster_size_variance,
    depth_cdf,
    estimated_branching_ratio,
    fano_factor,
    mean_cluster_size,
    mean_rate,
)
from tests.cases import published

RATIO = st.floats(0, 0.95)
SEED = 20251010
ERRORS = 4.0
"""Standard errors that a simulated value may be off."""


def clusters(count: int, n: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (size, depth) of simulated Galton-Watson clusters, generation by generation."""
    rng = np.random.default_rng(SEED)
    size, depth = np.ones(count, np.int64), np.zeros(count, np.int64)
    alive = np.ones(count, np.int64)
    while alive.any():
        alive = rng.poisson(n * alive)
        size += alive
        depth += alive > 0
    return size, depth


def event_times(root_rate: float, alpha: float, beta: float, horizon: float) -> tuple[NDArray[np.float64], int]:
    """Return (times of the events, number of roots) of a Hawkes process that is simulated by its clusters."""
    rng = np.random.default_rng(SEED)
    parents = rng.uniform(0, horizon, rng.poisson(root_rate * horizon))
    roots, times = len(parents), [parents]
    while len(parents):
        children = np.repeat(parents, rng.poisson(alpha / beta, len(parents)))
        parents = children + rng.exponential(1 / beta, len(children))
        parents = parents[parents < horizon]
        times.append(parents)
    return np.concatenate(times), roots


def test_the_published_process_comes_out() -> None:
    case = published("HK-01")
    inputs, close = case["inputs"], {"rel": case["tolerance"]["rtol"], "abs": case["tolerance"]["atol"]}
    expected = {name: value for name, value in case["expected"].items() if name != "expected_estimator"}
    n = branching_ratio(inputs["alpha"], inputs["beta"])
    results = {
        "branching_ratio": n,
        "mean_rate": mean_rate(inputs["mu"], n),
        "mean_cluster_size": mean_cluster_size(n),
        "cluster_size_variance": cluster_size_variance(n),
        "fano_asymptotic": fano_factor(n),
        "borel_pmf_1_to_7": [borel_pmf(size, n) for size in range(1, 8)],
        "P_depth_le_0_to_5": [depth_cdf(depth, n) for depth in range(6)],
    }
    assert results.keys() == expected.keys()
    for name, value in expected.items():
        assert results[name] == pytest.approx(value, **close), name


@pytest.mark.parametrize("n", [0.2, 0.5, 0.8])
def test_simulated_clusters_are_as_large_and_as_deep(n: float) -> None:
    count = 40_000
    size, depth = clusters(count, n)
    error = sqrt(cluster_size_variance(n) / count)
    assert size.mean() == pytest.approx(mean_cluster_size(n), abs=ERRORS * error)
    # The error of a variance is that of the mean of the squared deviations.
    squared = (size - mean_cluster_size(n)) ** 2
    assert squared.mean() == pytest.approx(cluster_size_variance(n), abs=ERRORS * squared.std() / sqrt(count))
    for share, probability in [
        *(((size == k).mean(), borel_pmf(k, n)) for k in range(1, 8)),
        *(((depth <= g).mean(), depth_cdf(g, n)) for g in range(6)),
    ]:
        assert share == pytest.approx(probability, abs=ERRORS * sqrt(probability * (1 - probability) / count))


def test_a_simulated_process_has_the_rate_the_dispersion_and_the_ratio() -> None:
    case = published("HK-01")["inputs"]
    root_rate, alpha, beta = case["mu"], case["alpha"], case["beta"]
    n, window, windows = branching_ratio(alpha, beta), 500.0, 1_000
    times, roots = event_times(root_rate, alpha, beta, window * windows)
    rate, fano = mean_rate(root_rate, n), fano_factor(n)
    # Counts in a long time T are near normal: mean rate * T, variance fano * rate * T.
    error = sqrt(fano * rate / (window * windows))
    assert len(times) / (window * windows) == pytest.approx(rate, abs=ERRORS * error)
    counts = np.histogram(times, bins=windows, range=(0, window * windows))[0]
    assert counts.var() / counts.mean() == pytest.approx(fano, abs=ERRORS * fano * sqrt(2 / windows))
    # Given the roots, the events are the sum of their clusters' sizes: the ratio is off by sqrt(n / events).
    error = sqrt(n / len(times))
    assert estimated_branching_ratio(roots, len(times)) == pytest.approx(n, abs=ERRORS * error)


@given(RATIO)
def test_sizes_are_a_law_with_its_mean_and_variance(n: float) -> None:
    sizes = range(1, 20_000)
    law = np.array([borel_pmf(size, n) for size in sizes])
    assert law.sum() == pytest.approx(1, rel=1e-6)
    assert (law * sizes).sum() == pytest.approx(mean_cluster_size(n), rel=1e-6)
    deviations = (np.array(sizes) - mean_cluster_size(n)) ** 2
    assert (law * deviations).sum() == pytest.approx(cluster_size_variance(n), rel=1e-6, abs=1e-12)


@given(st.floats(0.01, 1), st.integers(1, 20))
def test_sizes_are_those_of_the_closed_form(n: float, size: int) -> None:
    assert borel_pmf(size, n) == pytest.approx(exp(-n * size) * (n * size) ** (size - 1) / factorial(size), rel=1e-9)


@given(RATIO)
def test_the_dispersion_is_that_of_a_sum_of_clusters(n: float) -> None:
    second = cluster_size_variance(n) + mean_cluster_size(n) ** 2
    assert fano_factor(n) == pytest.approx(second / mean_cluster_size(n))


@given(st.floats(0, 3), st.integers(0, 30))
def test_deeper_is_less_likely_and_more_so_the_lower_the_ratio(n: float, depth: int) -> None:
    assert depth_cdf(depth, n) <= depth_cdf(depth + 1, n) <= 1
    assert depth_cdf(depth, n + 0.1) <= depth_cdf(depth, n)


def test_above_one_a_cluster_may_never_end() -> None:
    survival = 1 - depth_cdf(10_000, 1.5)
    assert survival == pytest.approx(1 - exp(-1.5 * survival))
    assert survival > 0.5
    assert depth_cdf(10_000, 0.9) == pytest.approx(1)


def test_without_excitation_every_event_is_a_root() -> None:
    assert [borel_pmf(size, 0) for size in (0, 1, 2)] == [0, 1, 0]
    assert depth_cdf(0, 0) == mean_cluster_size(0) == fano_factor(0) == 1
    assert cluster_size_variance(0) == 0
    assert estimated_branching_ratio(7, 7) == estimated_branching_ratio(0, 0) == 0


def test_impossible_processes_are_refused() -> None:
    for moment in (mean_cluster_size, cluster_size_variance, fano_factor, lambda n: mean_rate(1, n)):
        for n in (1.0, -0.1):
            with pytest.raises(ValueError, match=f"branching ratio of {n} are not finite"):
                moment(n)
    with pytest.raises(ValueError, match=r"ratio of 1\.1"):
        borel_pmf(3, 1.1)
    with pytest.raises(ValueError, match=r"ratio of -1\.0 is negative"):
        depth_cdf(3, -1.0)
    for roots, events in ((5, 4), (-1, 4)):
        with pytest.raises(ValueError, match=f"{roots} roots among {events} events"):
            estimated_branching_ratio(roots, events)
