"""What every mechanism owes, run on every file of `contagion.mechanisms`, whoever wrote it."""

import importlib
import pkgutil
from typing import Any

import networkx as nx
import numpy as np
import pytest
from pydantic import ValidationError

import contagion.mechanisms
from contagion.assembly import build, check_graph, collect
from contagion.graph import KINDS
from contagion.metrics.summary import summarise
from contagion.runs import Run
from tests.invariants import check_hops, check_order, no_failures, watch_books
from tests.worlds import WORLDS

MECHANISMS = sorted(module.name for module in pkgutil.iter_modules(contagion.mechanisms.__path__))
WRONG: Any = {"wrong": []}
"""A value that no parameter accepts."""


def module_of(kind: str) -> Any:
    return importlib.import_module(f"contagion.mechanisms.{kind}")


def world_of(kind: str) -> nx.MultiDiGraph:
    assert kind in WORLDS, f"{kind!r} has no small world: add a builder to tests/worlds.py"
    return WORLDS[kind]()


def node_of(graph: nx.MultiDiGraph, kind: str) -> str:
    names = [name for name, data in graph.nodes(data=True) if data["kind"] == kind]
    assert names, f"the world of {kind!r} has no node of that kind"
    return names[0]


def finished(kind: str, twin: str = "base") -> Run:
    graph = world_of(kind)
    sim = build(graph, twin=twin)
    watch_books(sim)
    sim.run(graph.graph["horizon_us"])
    assert sim.ledger.max_imbalance() == 0 and not sim.ledger.overdrafts()
    run = collect(sim, graph)
    run.facts = summarise(run)
    check_hops(run, sim.network)
    return run


@pytest.fixture(params=MECHANISMS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_its_books_balance_after_every_event_and_it_takes_part(kind: str) -> None:
    run = finished(kind)
    own = [number for number, name in enumerate(run.books.holder_kinds) if name == kind]
    later, postings = slice(run.books.opening + 1, None), run.tables["postings"]
    parts = [run.tables["events"][column][later] for column in ("node", "market")]
    parts.append(postings["holder"][postings["event"] > run.books.opening])
    assert any(np.isin(part, own).any() for part in parts), "it takes no part in its world"


def test_it_is_deterministic(kind: str) -> None:
    assert finished(kind).manifest["digest"] == finished(kind).manifest["digest"]


def test_nothing_fails_without_a_shock(kind: str) -> None:
    assert no_failures(finished(kind, "control"))


def test_every_event_has_an_earlier_cause(kind: str) -> None:
    check_order(finished(kind))


def test_its_frozen_twin_runs(kind: str) -> None:
    finished(kind, "frozen")


def test_it_says_what_it_is(kind: str) -> None:
    module = module_of(kind)
    assert hasattr(module, "MECHANISM"), "the last line of a mechanism is MECHANISM"
    mechanism = module.MECHANISM
    assert module.__doc__ and vars(mechanism)["__doc__"] and vars(mechanism.Params)["__doc__"]
    assert kind in KINDS


def test_it_has_a_rank_to_open_at_and_says_whether_it_reacts(kind: str) -> None:
    graph = world_of(kind)
    sim = build(graph)
    mechanism = sim.mechanisms[sim.network.ids[node_of(graph, kind)]]
    assert mechanism.opens in range(7)
    assert isinstance(type(mechanism).reacts, bool)


def test_an_unknown_parameter_is_refused_by_its_path(kind: str) -> None:
    graph = world_of(kind)
    node = node_of(graph, kind)
    graph.nodes[node]["no_such_parameter"] = 1
    assert [finding.path for finding in check_graph(graph)] == [("nodes", node, "no_such_parameter")]


def test_a_value_of_the_wrong_type_is_refused_by_its_path(kind: str) -> None:
    for field in module_of(kind).MECHANISM.Params.model_fields:
        graph = world_of(kind)
        node = node_of(graph, kind)
        graph.nodes[node][field] = WRONG
        paths = [finding.path for finding in check_graph(graph)]
        assert paths and all(path[:3] == ("nodes", node, field) for path in paths), f"{field}: {paths}"


def test_a_required_parameter_that_is_missing_is_named(kind: str) -> None:
    for field, info in module_of(kind).MECHANISM.Params.model_fields.items():
        if info.is_required():
            graph = world_of(kind)
            node = node_of(graph, kind)
            del graph.nodes[node][field]
            assert [finding.path for finding in check_graph(graph)] == [("nodes", node, field)]


def test_its_parameters_are_frozen(kind: str) -> None:
    graph = world_of(kind)
    given = build(graph).network.nodes[sorted(graph).index(node_of(graph, kind))].parameters
    frozen = module_of(kind).MECHANISM.Params.model_validate(dict(given))
    for field in type(frozen).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(frozen, field, None)


def test_every_builder_belongs_to_a_mechanism() -> None:
    assert set(WORLDS) <= set(MECHANISMS), "a builder without a mechanism tests nothing"
