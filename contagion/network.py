"""The compiled exposure graph: sorted names, integer ids and, per role, who stands at the other end.

It never changes in a run. Ids follow the sorted names, so neither the order of a file nor that of a graph's
insertion can be seen in a result. Per role and direction the links are one CSR pair (pointer, link number),
as in a sparse matrix.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Edge(NamedTuple):
    """One directed edge: distress at `source` can travel to `target` in `latency_us` microseconds."""

    name: str
    role: str
    source: int
    target: int
    latency_us: int
    attributes: Mapping[str, Any]


class Node(NamedTuple):
    """One node: its kind picks the mechanism, its parameters are that mechanism's."""

    name: str
    kind: str
    domain: str
    sector: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Network:
    """Nodes and edges in the order of their names, with adjacency per role.

    >>> a, b = Node("a", "amm", "defi", "pool", {}), Node("b", "oracle", "defi", "oracle", {})
    >>> network = Network((a, b), (Edge("a:prices:b", "prices", 0, 1, 5, {}),))
    >>> [edge.name for edge in network.edges_out(0, "prices")], network.edges_in(0, "prices")
    (['a:prices:b'], [])
    """

    nodes: Sequence[Node]
    edges: Sequence[Edge]

    def __post_init__(self) -> None:
        names = [node.name for node in self.nodes]
        assert names == sorted(set(names)), "nodes are sorted and unique"
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "ids", {name: i for i, name in enumerate(names)})
        rows: dict[tuple[str, str], Any] = {}
        for role in {edge.role for edge in self.edges}:
            numbers = [n for n, edge in enumerate(self.edges) if edge.role == role]
            rows[role, "out"] = _csr(numbers, [self.edges[n].source for n in numbers], len(names))
            rows[role, "in"] = _csr(numbers, [self.edges[n].target for n in numbers], len(names))
        object.__setattr__(self, "_rows", rows)

    names: tuple[str, ...] = ()
    ids: Mapping[str, int] = None  # type: ignore[assignment]

    def edges_out(self, node: int, role: str) -> list[Edge]:
        """Return the edges of a role that leave a node, by name."""
        return self._at(node, role, "out")

    def edges_in(self, node: int, role: str) -> list[Edge]:
        """Return the edges of a role that reach a node, by name."""
        return self._at(node, role, "in")

    def _at(self, node: int, role: str, way: str) -> list[Edge]:
        row = self._rows.get((role, way))  # type: ignore[attr-defined]
        if row is None:
            return []
        pointer, numbers = row
        return [self.edges[n] for n in numbers[pointer[node] : pointer[node + 1]]]


def _csr(numbers: Sequence[int], ends: Sequence[int], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = np.argsort(np.asarray(ends, dtype=np.int64), kind="stable")
    counts = np.bincount(np.asarray(ends, dtype=np.int64), minlength=size)
    pointer = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return pointer, np.asarray(numbers, dtype=np.int64)[order]
