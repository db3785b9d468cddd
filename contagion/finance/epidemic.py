"""An epidemic that infects at a rate, recovers at a rate and leaves immunity (SIR), on a network.

Everything random is drawn before anything happens: how long each node would be infectious, and after how long it would
first reach each neighbour. A contact transmits when it comes before the recovery, and the time of an infection is the
shortest way from a seed over contacts that transmit, which is one run of Dijkstra's algorithm instead of a queue of
events. The outcome has exactly the distribution of the process in time, and its final size is that of a percolation
in which all contacts of one node depend on how long it is infectious.

Sources: E. Kenah and J. M. Robins (2007), Second look at the spread of epidemics on networks, Phys. Rev. E 76, 036113;
I. Z. Kiss, J. C. Miller and P. L. Simon (2017), Mathematics of Epidemics on Networks, chapter 6 and appendix A.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Epidemic(NamedTuple):
    """When each node is infected and recovers (infinite for who never is), and by whom (-1 for a seed or nobody)."""

    infected: Floats
    recovered: Floats
    infector: Integers

    @property
    def final_size(self) -> int:
        """Number of nodes ever infected, seeds included."""
        return int(np.isfinite(self.infected).sum())

    @property
    def generation(self) -> Integers:
        """Number of infections between a seed and each node along the way that infected it; -1 for who never is."""
        depth = np.append(np.where(self.infector < 0, 0, 1), 0)
        above = np.append(np.where(self.infector < 0, len(self.infector), self.infector), len(self.infector))
        while np.any(above < len(self.infector)):
            depth += depth[above]
            above = above[above]
        return np.where(np.isfinite(self.infected), depth[:-1], -1)


def sir(
    graph: Any,
    transmission_rate: float,
    recovery_rate: float,
    seeds: Sequence[int] | Integers,
    rng: np.random.Generator,
) -> Epidemic:
    """Return one random epidemic, from the seeds infected at time 0.

    graph : SciPy sparse or array, an entry [u, v] is a contact from u to v (symmetric where contacts are mutual);
    transmission_rate : per contact, recovery_rate : per node, both per unit of time and 0 or more. All nodes and
    contacts are drawn, so that the cost is that of the graph even where few are infected. Raises ValueError for rates
    and seeds out of range.

    Source: Kenah and Robins (2007); Kiss, Miller and Simon (2017), figure 6.13: a contact transmits when tau < T for
    exponential tau and T, which has the chance beta / (beta + gamma), beta and gamma the two rates; t_v = min over its
    contacts of t_u + tau. Without recovery everybody whom contacts lead to is reached in the end:

    >>> line = csr_array(([1] * 4, ([0, 1, 1, 2], [1, 0, 2, 1])), shape=(3, 3))
    >>> found = sir(line, 1.0, 0.0, [0], np.random.default_rng(1))
    >>> found.infector.tolist(), found.generation.tolist(), found.final_size
    ([-1, 0, 1], [0, 1, 2], 3)
    """
    contacts = csr_array(graph)
    count = contacts.shape[0]
    starts = np.unique(np.asarray(seeds, dtype=np.int64))
    if len(starts) and not 0 <= starts[0] <= starts[-1] < count:
        raise ValueError(f"the seeds reach from {starts[0]} to {starts[-1]}; indices from 0 to {count - 1} expected")
    period = _waits(rng, count, recovery_rate, "recovery")
    ways = _transmitting(contacts, _waits(rng, contacts.nnz, transmission_rate, "transmission"), period)
    infected, infector = np.full(count, np.inf), np.full(count, -1)
    if len(starts):
        infected, before, _ = dijkstra(ways, indices=starts, min_only=True, return_predecessors=True)
        infector = np.maximum(before, -1).astype(np.int64)
    return Epidemic(infected, infected + period, infector)


def _transmitting(contacts: csr_array, delay: Floats, period: Floats) -> csr_array:
    """Return the delays of the contacts that come before their node recovers."""
    count = np.diff(contacts.indptr)
    kept = delay < np.repeat(period, count)
    ends = np.concatenate(([0], np.cumsum(kept)))[contacts.indptr]
    return csr_array((delay[kept], contacts.indices[kept], ends.astype(contacts.indptr.dtype)), shape=contacts.shape)


def _waits(rng: np.random.Generator, count: int, rate: float, what: str) -> Floats:
    if not rate >= 0:
        raise ValueError(f"a {what} rate of {rate}; 0 or more expected")
    with np.errstate(over="ignore"):
        return rng.standard_exponential(count) / rate if rate > 0 else np.full(count, np.inf)
