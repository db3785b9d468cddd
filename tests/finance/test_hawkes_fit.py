"""Maximum likelihood for the exponential kernel, against sums over all pairs and against what paths were drawn with."""

from math import exp, isnan, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.finance.hawkes import Fit, fit, log_likelihood

ERRORS = 4.0
"""Standard errors that an estimate may be off."""


def drawn(root_rate: float, n: float, beta: float, horizon: float, seed: int) -> list[float]:
    """Return the times of a Hawkes process, drawn by its clusters."""
    rng = np.random.default_rng(seed)
    parents = rng.uniform(0, horizon, rng.poisson(root_rate * horizon))
    times = [parents]
    while len(parents):
        children = np.repeat(parents, rng.poisson(n, len(parents)))
        parents = children + rng.exponential(1 / beta, len(children))
        parents = parents[parents < horizon]
        times.append(parents)
    return sorted(np.concatenate(times).tolist())


def by_pairs(times: list[float], horizon: float, root_rate: float, alpha: float, beta: float) -> float:
    """Return the log-likelihood from its definition: every event looks at every one before it."""
    rates = [root_rate + sum(alpha * exp(-beta * (t - s)) for s in times if s < t) for t in times]
    compensator = root_rate * horizon + sum(alpha / beta * (1 - exp(-beta * (horizon - t))) for t in times)
    return sum(map(log, rates)) - compensator


@given(
    st.lists(st.floats(0.01, 50), min_size=1, max_size=20, unique=True),
    st.floats(0.01, 5), st.floats(0, 5), st.floats(0.01, 20),
)  # fmt: skip
def test_the_likelihood_is_the_sum_over_all_pairs(times: list[float], root: float, alpha: float, beta: float) -> None:
    times = sorted(times)
    assert log_likelihood(times, 51, root, alpha, beta) == pytest.approx(by_pairs(times, 51, root, alpha, beta))


def test_without_self_excitation_it_is_that_of_a_constant_rate() -> None:
    assert log_likelihood([1, 2, 5], 10, 0.3, 0, 1) == pytest.approx(3 * log(0.3) - 3)


@pytest.mark.parametrize(("n", "seed"), [(0.3, 1), (0.5, 2), (0.6, 3), (0.8, 4)])
def test_what_paths_were_drawn_with_is_found_within_standard_errors(n: float, seed: int) -> None:
    found = fit(drawn(0.5, n, 1.2, 1_000, seed), 1_000)
    for value, error, truth in (
        (found.root_rate, found.root_rate_error, 0.5), (found.n, found.n_error, n), (found.beta, found.beta_error, 1.2),
    ):  # fmt: skip
        assert abs(value - truth) < ERRORS * error and error < truth / 2
    assert found.alpha == pytest.approx(found.n * found.beta)
    assert found.log_likelihood > found.constant + 10


def test_standard_errors_are_the_spread_of_estimates_over_paths() -> None:
    found = [fit(drawn(1, 0.5, 2, 150, seed), 150) for seed in range(40)]
    for value, error in (("n", "n_error"), ("root_rate", "root_rate_error")):
        estimates = np.array([getattr(one, value) for one in found])
        errors = np.array([getattr(one, error) for one in found])
        assert np.median(errors) == pytest.approx(estimates.std(ddof=1), rel=0.4), value


def test_times_at_a_constant_rate_are_hardly_less_likely_without_self_excitation() -> None:
    times = sorted(np.random.default_rng(5).uniform(0, 200, 200).tolist())
    found = fit(times, 200)
    assert 0 <= found.log_likelihood - found.constant < 4
    assert isnan(found.n_error) or found.n < ERRORS * found.n_error


@given(st.integers(0, 1_000), st.integers(-6, 6))
@settings(max_examples=3, deadline=None)
def test_the_unit_of_time_is_immaterial(seed: int, power: int) -> None:
    times, unit = drawn(1, 0.5, 2, 60, seed), 10.0**power
    once, again = fit(times, 60), fit([time * unit for time in times], 60 * unit)
    assert again.n == pytest.approx(once.n, abs=1e-3)
    assert again.log_likelihood == pytest.approx(once.log_likelihood - len(times) * log(unit), abs=1e-4)


def test_no_neighbour_of_the_fit_is_likelier() -> None:
    times = drawn(0.5, 0.6, 1.2, 200, 9)
    found: Fit = fit(times, 200)
    best = log_likelihood(times, 200, found.root_rate, found.alpha, found.beta)
    assert best == pytest.approx(found.log_likelihood)
    for factors in ((1.01, 1, 1), (0.99, 1, 1), (1, 1.01, 1), (1, 0.99, 1), (1, 1, 1.01), (1, 1, 0.99)):
        root, alpha, beta = (x * f for x, f in zip((found.root_rate, found.alpha, found.beta), factors, strict=True))
        assert log_likelihood(times, 200, root, alpha, beta) < best


@pytest.mark.parametrize("times", [[], [1.0], [1.0, 1.0], [2.0, 1.0], [0.0, 1.0], [1.0, 11.0], [1.0, float("nan")]])
def test_times_that_are_no_path_are_refused(times: list[float]) -> None:
    with pytest.raises(ValueError, match="times"):
        fit(times, 10)


def test_rates_that_are_none_are_refused() -> None:
    for rates in ((0, 1, 1), (1, -1, 1), (1, 1, 0)):
        with pytest.raises(ValueError, match="no process"):
            log_likelihood([1.0], 2, *rates)
