"""Self-exciting events: how large and how deep a cascade is when every event sets off n more on average.

A Hawkes process with an exponential kernel is a cluster process: roots arrive at a constant rate, and each event has
a Poisson number of children. The mean number, the branching ratio n, decides everything that does not depend on
time: sizes of clusters follow the Borel law, their depth is that of a Galton-Watson tree. These are the values that
a branching ratio measured in a run stands for.

Sources: Hawkes, "Spectra of some self-exciting and mutually exciting point processes" (1971); Hawkes and Oakes, "A
cluster process representation of a self-exciting process" (1974); Borel (1942) for the sizes; Harris, "The theory of
branching processes" (1963), for the depth; Ozaki, "Maximum likelihood estimation of Hawkes' self-exciting point
processes", Annals of the Institute of Statistical Mathematics 31 (1979), for the estimator. n lies in [0, 1) unless
stated: clusters are finite.
"""

from collections.abc import Sequence
from math import exp, inf, lgamma, log, nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize


def branching_ratio(alpha: float, beta: float) -> float:
    """Return the mean number of children of an event whose kernel is alpha * exp(-beta * time).

    Source: Hawkes and Oakes (1974): n = integral of the kernel = alpha / beta.

    >>> branching_ratio(0.6, 1.2)
    0.5
    """
    return alpha / beta


def mean_rate(root_rate: float, n: float) -> float:
    """Return the events per unit of time when roots arrive at `root_rate`.

    Source: Hawkes (1971): rate = root_rate / (1 - n).

    >>> mean_rate(0.5, 0.5)
    1.0
    """
    return root_rate * mean_cluster_size(n)


def mean_cluster_size(n: float) -> float:
    """Return the expected number of events in a cluster, its root included. ValueError for n outside [0, 1).

    Source: Hawkes and Oakes (1974): 1 + n + n^2 + ... = 1 / (1 - n).

    >>> mean_cluster_size(0.5)
    2.0
    """
    if not 0 <= n < 1:
        raise ValueError(f"clusters at a branching ratio of {n} are not finite: it must lie in [0, 1)")
    return 1 / (1 - n)


def cluster_size_variance(n: float) -> float:
    """Return the variance of the number of events in a cluster.

    Source: Borel (1942), the variance of his law: Var[S] = n / (1 - n)^3.

    >>> cluster_size_variance(0.5)
    4.0
    """
    return n * mean_cluster_size(n) ** 3


def fano_factor(n: float) -> float:
    """Return the variance over the mean of the number of events in a long time; 1 without self-excitation.

    The second moment of a cluster's size over the first.

    Source: derived from the clusters of Hawkes and Oakes (1974): E[S^2] / E[S] = 1 / (1 - n)^2.

    >>> fano_factor(0.5)
    4.0
    """
    return mean_cluster_size(n) ** 2


def borel_pmf(size: int, n: float) -> float:
    """Return the probability that a cluster has `size` events. ValueError for n outside [0, 1].

    Source: Borel (1942): P(S = k) = exp(-n k) (n k)**(k - 1) / k!, here in logarithms.

    >>> [round(borel_pmf(size, 0.5), 6) for size in (1, 2, 3)]
    [0.606531, 0.18394, 0.083674]
    """
    if not 0 <= n <= 1:
        raise ValueError(f"no law of sizes at a branching ratio of {n}: it must lie in [0, 1]")
    if size < 1:
        return 0.0
    logarithm = (size - 1) * log(n * size) if n else (0.0 if size == 1 else -inf)
    return exp(logarithm - n * size - lgamma(size + 1))


def depth_cdf(depth: int, n: float) -> float:
    """Return the probability that a cluster has at most `depth` generations after its root, for any n from 0 up.

    The iterates at 0 of the generating function.

    Source: Harris (1963): P(depth <= d) = f(P(depth <= d - 1)), f(s) = exp(n (s - 1)) for Poisson children.

    >>> [round(depth_cdf(depth, 0.5), 6) for depth in (0, 1, 2)]
    [0.606531, 0.821409, 0.914575]
    """
    if n < 0:
        raise ValueError(f"a branching ratio of {n} is negative")
    probability = 0.0
    for _ in range(depth + 1):
        probability = exp(n * (probability - 1))
    return probability


def estimated_branching_ratio(roots: int, events: int) -> float:
    """Return 1 - roots/events, the share of events that another one set off; 0 without events.

    Converges to n as the time observed grows. ValueError for more roots than events.

    Source: derived from the clusters of Hawkes and Oakes (1974): E[roots] / E[events] = 1 - n.

    >>> estimated_branching_ratio(20, 40)
    0.5
    """
    if not 0 <= roots <= events:
        raise ValueError(f"{roots} roots among {events} events")
    return 1 - roots / events if events else 0.0


class Fit(NamedTuple):
    """The likeliest exponential process behind some times, with standard errors (nan where the times do not tell).

    root_rate, alpha, beta : in the unit of the times; n : alpha / beta, which a fit does not hold below 1;
    log_likelihood : there; constant : that of a constant rate, without any self-excitation.
    """

    root_rate: float
    alpha: float
    beta: float
    n: float
    root_rate_error: float
    n_error: float
    beta_error: float
    log_likelihood: float
    constant: float


def log_likelihood(times: Sequence[float], horizon: float, root_rate: float, alpha: float, beta: float) -> float:
    """Return the log-likelihood of event times in (0, horizon] when nothing happened before 0.

    times : ascending; the rate is root_rate + alpha A_i, A_i the sum of exp(-beta * age) over the events before, which
    needs only the last one, so that time is linear in the events. ValueError for rates that are not positive (alpha may
    be 0), and for times out of order, equal or outside of the horizon.

    Source: Ozaki (1979): log L = sum of log(root_rate + alpha A_i) - root_rate T - alpha / beta * sum of
    (1 - exp(-beta (T - t_i))), with A_i = exp(-beta (t_i - t_(i-1))) (1 + A_(i-1)) and T the horizon.

    >>> round(log_likelihood([1.0, 1.5, 4.0], 5.0, 0.5, 0.6, 1.2), 6)
    -5.322775
    """
    if not (root_rate > 0 and alpha >= 0 and beta > 0):
        raise ValueError(f"no process with a root rate of {root_rate}, alpha of {alpha} and beta of {beta}")
    return _value_and_slope(_checked(times, horizon), horizon, root_rate, alpha / beta, beta)[0]


def fit(times: Sequence[float], horizon: float) -> Fit:
    """Return the parameters under which event times in (0, horizon] are likeliest.

    times : at least two, ascending and distinct; ValueError otherwise. A memory (1 / beta) longer than the horizon is
    not looked for: it could not be told from a rate that changes. Errors are from the curvature there: where a
    constant rate explains the times as well, beta means nothing and they are nan. Times that come from a shock at the
    beginning, or in steps of a clock, are no stationary process, and the fit says n of them all the same.

    Source: Ozaki (1979): d log L / d root_rate = d log L / d alpha = d log L / d beta = 0.

    >>> found = fit([0.1, 0.2, 0.3, 5.0, 5.1, 5.2, 9.0, 9.05, 9.1, 9.15], 10.0)
    >>> round(found.n, 2), found.log_likelihood > found.constant
    (0.63, True)
    """
    seen = _checked(times, horizon)
    if len(seen) < 2:
        raise ValueError(f"{len(seen)} times: at least two are needed")
    rate, gap = len(seen) / horizon, float(np.median(np.diff(seen)))

    def loss(logs: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        root, n, beta = np.exp(logs)
        value, slope = _value_and_slope(seen, horizon, root, n, beta)
        return -value, -slope * np.exp(logs)

    bounds = [
        (log(rate * 1e-6), log(rate * 10)),
        (log(1e-8), log(10)),
        (-log(horizon), max(log(100 / gap), -log(horizon))),
    ]
    starts = [np.log([rate * (1 - n), n, beta]) for n in (0.2, 0.7) for beta in (0.1 / gap, 1 / gap, 10 / horizon)]
    starts = sorted((np.clip(start, *np.transpose(bounds)) for start in starts), key=lambda start: loss(start)[0])
    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 200}
    found = [minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options) for start in starts[:2]]
    best = min(found, key=lambda result: float(result.fun))
    root, n, beta = (float(x) for x in np.exp(best.x))
    of_root, of_n, of_beta = (_errors(loss, best.x) * np.exp(best.x)).tolist()
    constant = len(seen) * log(rate) - len(seen)
    return Fit(root, n * beta, beta, n, of_root, of_n, of_beta, -float(best.fun), constant)


def _checked(times: Sequence[float], horizon: float) -> NDArray[np.float64]:
    seen = np.asarray(times, np.float64)
    if seen.ndim != 1 or not (np.all(np.diff(seen, prepend=0.0) > 0) and np.all(seen <= horizon)):
        raise ValueError(f"times are not ascending, distinct and in (0, {horizon}]")
    return seen


def _value_and_slope(
    times: NDArray[np.float64], horizon: float, root_rate: float, n: float, beta: float
) -> tuple[float, NDArray[np.float64]]:
    """Return the log-likelihood and its derivatives by root_rate, n and beta."""
    steps = np.diff(times, prepend=times[:1])
    sums, ages, decayed, aged = [], [], -1.0, 0.0
    for step, kept in zip(steps.tolist(), np.exp(-beta * steps).tolist(), strict=True):
        aged = kept * (aged + step * (1 + decayed))
        decayed = kept * (1 + decayed)
        sums.append(decayed)
        ages.append(aged)
    before, ageing = np.array(sums), np.array(ages)  # over those before: of exp(-beta * age), and of age times that
    rates, left = root_rate + n * beta * before, horizon - times
    ended = np.expm1(-beta * left)
    value = np.log(rates).sum() + n * ended.sum() - root_rate * horizon
    by_root = (1 / rates).sum() - horizon
    by_n = (beta * before / rates).sum() + ended.sum()
    by_beta = n * (((before - beta * ageing) / rates).sum() - (left * (1 + ended)).sum())
    return float(value), np.array([by_root, by_n, by_beta])


def _errors(loss: Any, logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return standard errors of the logarithms, from differences of the slope; nan where it is no minimum."""
    step = 1e-4
    rows = [(loss(logs + step * unit)[1] - loss(logs - step * unit)[1]) / (2 * step) for unit in np.eye(len(logs))]
    curvature = (np.array(rows) + np.transpose(rows)) / 2
    if not np.linalg.eigvalsh(curvature)[0] > 0:
        return np.full(len(logs), nan)
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(curvature))))
