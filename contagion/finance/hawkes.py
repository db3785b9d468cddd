"""Self-exciting events: how large and how deep a cascade is when every event sets off n more on average.

A Hawkes process with an exponential kernel is a cluster process: roots arrive at a constant rate, and each event has
a Poisson number of children. The mean number, the branching ratio n, decides everything that does not depend on
time: sizes of clusters follow the Borel law, their depth is that of a Galton-Watson tree. These are the values that
a branching ratio measured in a run stands for.

Sources: Hawkes, "Spectra of some self-exciting and mutually exciting point processes" (1971); Hawkes and Oakes, "A
cluster process representation of a self-exciting process" (1974); Borel (1942) for the sizes; Harris, "The theory of
branching processes" (1963), for the depth. n lies in [0, 1) unless stated: clusters are finite.
"""

from math import exp, inf, lgamma, log


def branching_ratio(alpha: float, beta: float) -> float:
    """Return the mean number of children of an event whose kernel is alpha * exp(-beta * time).

    >>> branching_ratio(0.6, 1.2)
    0.5
    """
    return alpha / beta


def mean_rate(root_rate: float, n: float) -> float:
    """Return the events per unit of time when roots arrive at `root_rate`.

    >>> mean_rate(0.5, 0.5)
    1.0
    """
    return root_rate * mean_cluster_size(n)


def mean_cluster_size(n: float) -> float:
    """Return the expected number of events in a cluster, its root included. ValueError for n outside [0, 1).

    >>> mean_cluster_size(0.5)
    2.0
    """
    if not 0 <= n < 1:
        raise ValueError(f"clusters at a branching ratio of {n} are not finite: it must lie in [0, 1)")
    return 1 / (1 - n)


def cluster_size_variance(n: float) -> float:
    """Return the variance of the number of events in a cluster.

    >>> cluster_size_variance(0.5)
    4.0
    """
    return n * mean_cluster_size(n) ** 3


def fano_factor(n: float) -> float:
    """Return the variance over the mean of the number of events in a long time; 1 without self-excitation.

    The second moment of a cluster's size over the first.

    >>> fano_factor(0.5)
    4.0
    """
    return mean_cluster_size(n) ** 2


def borel_pmf(size: int, n: float) -> float:
    """Return the probability that a cluster has `size` events. ValueError for n outside [0, 1].

    exp(-n k) * (n k)**(k - 1) / k!, in logarithms.

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

    The iterates at 0 of the generating function exp(n * (s - 1)).

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

    >>> estimated_branching_ratio(20, 40)
    0.5
    """
    if not 0 <= roots <= events:
        raise ValueError(f"{roots} roots among {events} events")
    return 1 - roots / events if events else 0.0
