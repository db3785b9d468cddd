"""A network that somebody builds with NetworkX: what it may be made of, and what is said when it does not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

import contagion as cg


def two_banks() -> Any:
    graph: Any = nx.MultiDiGraph(name="two banks", horizon_us=3_600_000_000)
    graph.add_node("world", kind="world")
    graph.add_node("usd", kind="asset")
    for bank in ("a", "b"):
        graph.add_node(bank, kind="bank", asset="usd", resolution="write-down")
        graph.add_edge("usd", bank, role="holds", quantity=60)
    graph.add_edge("a", "b", role="claims", asset="usd", quantity=50, latency="1min")
    graph.graph["shocks"] = [{"kind": "loss", "node": "a", "asset": "usd", "quantity": 59, "at": "1min"}]
    return graph


def test_quantities_may_come_from_arrays() -> None:
    runs = []
    for number in (60, 60.0, np.int64(60), np.float64(60), np.float32(60), "60"):
        graph = two_banks()
        graph.edges["usd", "a", 0]["quantity"] = number
        runs.append(cg.run(graph, twins=False))
    assert len({run.manifest["digest"] for run in runs}) == 1
    assert runs[0].summary.failures == 1


def test_a_run_is_saved_and_loaded_by_the_name_of_its_directory(tmp_path: Path) -> None:
    run = cg.run(two_banks(), twins=False)
    run.save(str(tmp_path / "run"))
    assert cg.load_run(str(tmp_path / "run")).manifest["digest"] == run.manifest["digest"]


def with_stranger(graph: Any) -> Any:
    graph.add_edge("usd", "c", role="holds", quantity=1)
    return graph


MISFITS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "numbers for names": (lambda g: nx.relabel_nodes(g, {"b": 7}), "not 7: nx.relabel_nodes(graph, str)"),
    "a name that turns what follows it round": (lambda g: nx.relabel_nodes(g, {"b": "\u202eb"}), "printable"),
    "a name that commands a terminal": (lambda g: nx.relabel_nodes(g, {"b": "b\x9b2J"}), "printable"),
    "a number and a stranger": (lambda g: with_stranger(nx.relabel_nodes(g, {"b": 7})), "there is no node 'c'"),
    "no world": (lambda g: g.remove_node("world"), "'world': graph.add_node('world', kind='world')"),
    "a horizon as in a file": (lambda g: g.graph.update(horizon="1h"), "horizon: is of files: a graph states"),
    "a horizon as text": (lambda g: g.graph.update(horizon_us="1h"), "horizon_us: is whole microseconds"),
    "a horizon that ends between": (lambda g: g.graph.update(horizon_us=1e9), "not 1000000000.0"),
    "a seed as text": (lambda g: g.graph.update(seed="x"), "seed: is an integer, not 'x'"),
    "one shock alone": (lambda g: g.graph.update(shocks={"kind": "loss"}), "shocks: is a list of tables"),
    "an array": (lambda g: g.edges["a", "b", 0].update(quantity=np.array([1])), "a number was expected"),
    "a wrong end": (lambda g: bool(g.add_edge("usd", "a", role="claims")), "'usd' is of kind asset; claims edges"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_a_misfit_is_told_with_what_to_do(name: str) -> None:
    change, message = MISFITS[name]
    graph = two_banks()
    changed = change(graph)
    with pytest.raises(cg.BadInput) as refused:
        cg.run(changed if isinstance(changed, nx.Graph) else graph)
    assert message in str(refused.value)


@pytest.mark.parametrize("kind", [nx.DiGraph, nx.MultiGraph])
def test_another_sort_of_graph_is_refused(kind: Any) -> None:
    with pytest.raises(cg.BadInput, match=r"is an nx\.MultiDiGraph"):
        cg.run(kind(two_banks()))
