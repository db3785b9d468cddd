"""Who sets off whom: the failures that each type of failure has set off, as a matrix, and its spectral radius.

Every failure has one parent at most, the nearest failure among its causes. With N_a failures of type a and C_ab
failures of type b whose parent is of type a, K_ab = C_ab / N_a is the mean number of b that an a sets off: the
mean matrix of a branching process of several types (Harris 1963, *The Theory of Branching Processes*, ch. II), known as
the next-generation matrix in epidemiology. With one type only it is the branching ratio.

Of a cascade that has ended, the spectral radius is below 1 whatever happened: its failures are a forest, so those of
type b that have a parent are sum_a N_a K_ab <= N_b, hence no eigenvalue is above 1 (Collatz 1942); and none is 1, since
of types that lead to each other the first failure has its parent elsewhere. It says how much of the cascade made
itself. Whether a cascade can grow is told by its first generation, whose children have not yet run out of those who
can fail: `first_radius` is that of the same matrix over parents of the first generation alone, and may exceed 1.

Types are the domain of who fails, or the channel through which the failure was reached: that of the last event with
a channel between its parent (or shock) and itself, such as the forced sale that moved the price.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.log import Channel
from contagion.metrics.cascade import failures, origins
from contagion.metrics.venues import is_kind

Columns = dict[str, NDArray[Any]]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

SHOCK = "shock"
"""Who sets off what nothing else did, as in `spillover`."""
DIRECT = "direct"
"""The channel of what was reached over no market and no transfer: by a claim, or by the clock."""


class Offspring(NamedTuple):
    """Failures by type, and who set off whom: a row a type of parent and last the shock (or clock), a column a child's.

    children : numbers; values : what was at stake; radius, first_radius : spectral radii of children over parents.
    """

    types: list[str]
    failures: Integers
    children: Integers
    values: Floats
    radius: float
    first_radius: float

    def facts(self, unit: float = 1.0) -> dict[str, Any]:
        """Return {from: {to: {failures, each, value}}}, what is nothing left out, and the radii.

        each : children a parent, None for the shock; unit : by which values are multiplied.
        """
        table: dict[str, Any] = {}
        for row, column in zip(*(places.tolist() for places in np.nonzero(self.children)), strict=True):
            number = int(self.children[row, column])
            source = self.types[row] if row < len(self.types) else SHOCK
            table.setdefault(source, {})[self.types[column]] = {
                "failures": number, "each": number / int(self.failures[row]) if source != SHOCK else None,
                "value": float(self.values[row, column]) * unit,
            }  # fmt: skip
        return {"sets_off": table, "spectral_radius": self.radius, "spectral_radius_first": self.first_radius}


def branching(events: Columns, failed: Columns, kinds: list[str], domains: Sequence[str]) -> dict[str, Offspring]:
    """Return who set off whom `by_domain` of who failed and `by_channel`.

    failed : the failures table, of which `value` is read; domains : one for every holder.
    """
    first, parent, names = failures(events, kinds), parents(events, kinds), sorted(set(domains))
    value = np.zeros(len(events["kind"]))
    value[failed["event"]] = failed["value"]
    own = np.array([names.index(domain) for domain in domains], np.int64)[events["node"][first]]
    labels = [DIRECT, *(channel.label for channel in Channel if channel)]
    return {
        "by_domain": offspring(parent, own, names, value[first]),
        "by_channel": offspring(parent, arrivals(events, kinds), labels, value[first]),
    }


def parents(events: Columns, kinds: list[str]) -> Integers:
    """Return, for every failure, the place among failures of the one that set it off, -1 for a shock or the clock."""
    failed = failures(events, kinds)
    place = np.full(len(events["kind"]), -1)
    place[failed] = np.arange(len(failed))
    return np.asarray(place[origins(events, kinds)[events["cause"][failed]]])


def offspring(parent: Integers, types: Integers, names: Sequence[str], value: Floats) -> Offspring:
    """Return who set off whom among failures of some types, those without a failure left out.

    parent : of each failure, as `parents` has it; types : of each, a place in `names`; value : at stake in each.
    """
    found, own = np.unique(types, return_inverse=True)
    size = len(found)
    source = np.where(parent < 0, size, own[parent]) if size else own
    cells, shape = source * size + own, (size + 1, size)
    children = np.bincount(cells, minlength=size * (size + 1)).reshape(shape)
    values = np.bincount(cells, value, size * (size + 1)).reshape(shape).astype(np.float64)
    second = (parent >= 0) & (parent[parent] < 0)
    early = np.bincount(cells[second], minlength=size * (size + 1)).reshape(shape)
    used, counts = [names[number] for number in found.tolist()], np.bincount(own, minlength=size)
    return Offspring(
        used, counts, children, values, _radius(children[:size], counts), _radius(early[:size], children[size])
    )


def arrivals(events: Columns, kinds: list[str]) -> Integers:
    """Return, for every failure, the channel through which it was reached; that of a shock itself is exogenous."""
    failed = failures(events, kinds)
    channels = np.where(is_kind(events, kinds, "shock"), int(Channel.EXOGENOUS), events["channel"])
    pointer = events["cause"].astype(np.int64).copy()
    ends = (channels != 0) | (pointer < 0)
    ends[failed] = True
    pointer = np.where(ends, np.arange(len(pointer)), pointer)
    while not np.array_equal(after := pointer[pointer], pointer):
        pointer = after
    return np.asarray(channels[pointer[events["cause"][failed]]], np.int64)


def _radius(children: Integers, parents: Integers) -> float:
    """Return the spectral radius of children over parents of each type; 0 without any."""
    if not children.any():
        return 0.0
    ratios = children / np.maximum(parents, 1)[:, None]
    return float(np.abs(np.linalg.eigvals(ratios)).max())
