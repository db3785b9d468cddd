"""A graph that goes to another program and comes back runs as it did, whoever's numbers it has."""

import json
from decimal import Decimal
from typing import Any

import networkx as nx
import numpy as np
import pytest

import contagion as cg
from contagion.exports import edge_table, graphml, node_link_json
from tests.scenarios import CASCADE


def graph_of(name: str) -> nx.MultiDiGraph:
    return cg.loads(CASCADE).graph() if name == "two-borrowers" else cg.load(name, reduced=True).graph()


def digest(graph: nx.MultiDiGraph) -> str:
    return str(cg.run(graph, twins=False, until_us=300_000_000).manifest["digest"])


def with_numpy(value: Any) -> Any:
    """Return a value with NumPy's numbers in the place of Python's."""
    if isinstance(value, dict):
        return {key: with_numpy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_numpy(item) for item in value]
    if isinstance(value, bool):
        return np.bool_(value)
    kind = np.int64 if isinstance(value, int) else np.float64 if isinstance(value, float | Decimal) else None
    return value if kind is None else kind(value)


NAMES = ("two-borrowers", "usde-loops", "interbank")


@pytest.mark.parametrize("name", NAMES)
def test_node_link_json_comes_back_with_its_shocks_and_runs_as_it_did(name: str) -> None:
    graph = graph_of(name)
    back = nx.node_link_graph(json.loads(node_link_json(graph)), edges="edges")  # type: ignore[call-arg]
    assert len(back.graph["shocks"]) == len(graph.graph["shocks"]) > 0
    assert (back.graph["horizon_us"], back.graph["seed"]) == (graph.graph["horizon_us"], graph.graph["seed"])
    assert digest(back) == digest(graph)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_numpy_are_numbers(name: str) -> None:
    graph = graph_of(name)
    arrays = graph.copy()
    tables = [arrays.graph, *dict(arrays.nodes(data=True)).values(), *(data for *_, data in arrays.edges(data=True))]
    for data in tables:
        data.update({key: with_numpy(value) for key, value in data.items() if key != "path"})
    assert digest(arrays) == digest(graph)
    assert json.loads(node_link_json(arrays)) == json.loads(node_link_json(graph))
    assert set(nx.parse_graphml(graphml(arrays), force_multigraph=True)) == set(graph)
    assert edge_table(arrays).count("\n") == edge_table(graph).count("\n")


@pytest.mark.parametrize("value", [np.float64("nan"), np.float64("inf"), np.bool_(True), np.datetime64("2025-10-10")])
def test_what_is_no_number_of_python_is_none_of_numpy(value: Any) -> None:
    graph = graph_of("two-borrowers")
    graph.nodes["eth"]["price"] = value
    with pytest.raises(cg.BadInput, match=r"nodes\.eth\.price"):
        cg.run(graph)
