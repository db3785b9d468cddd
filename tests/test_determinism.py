"""The same scenario and seed give the same bytes: whatever runs beside, in whatever process, on whatever CPU path."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import networkx as nx
import numpy as np
import pytest
from numpy._core import _multiarray_umath as umath

from contagion.accounts import LiquidationIndex
from contagion.assembly import build, collect
from contagion.log import Table
from contagion.mechanisms.exchange import roster
from contagion.study.twins import run
from tests.random_venues import random_venues
from tests.random_worlds import random_graph
from tests.worlds import WORLDS, edge, graph_of, market, population_world, sale

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = "from tests.test_determinism import digests; print(*digests())"
RANDOM_WORLDS = (13, 18, 21)
RANDOM_VENUES = (10, 13, 19, 32, 46)
"""Worlds of exchanges with liquidations, a fund that pays, deleveraging, deficits, funding, interest, transfers."""


def digest(graph: nx.MultiDiGraph, seed: int = 0, *, shuffle_ties: bool = False) -> str:
    return str(run(graph, seed=seed, twins=False, shuffle_ties=shuffle_ties).manifest["digest"])


def digests() -> list[str]:
    """Return the digests of every small world and of some random ones."""
    random = [*(random_graph(seed)[0] for seed in RANDOM_WORLDS), *map(venues, RANDOM_VENUES)]
    return [digest(graph) for graph in [*(WORLDS[kind]() for kind in sorted(WORLDS)), *random]]


def venues(seed: int) -> nx.MultiDiGraph:
    """Return a random world of exchanges."""
    return random_venues(seed)[0]


def digests_elsewhere(**environment: str) -> list[str]:
    """Return `digests()` as another process finds them."""
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def reordered(graph: nx.MultiDiGraph, seed: int) -> nx.MultiDiGraph:
    """Return the same graph, its nodes and edges inserted in another order."""
    rng, other = Random(seed), nx.MultiDiGraph(**graph.graph)
    nodes, edges = list(graph.nodes(data=True)), list(graph.edges(data=True))
    rng.shuffle(nodes)
    rng.shuffle(edges)
    for name, data in nodes:
        other.add_node(name, **data)
    for source, target, data in edges:
        other.add_edge(source, target, **data)
    return other


def tied_world() -> nx.MultiDiGraph:
    """Return a pool at which two holders sell in the same microsecond."""
    nodes, _ = market()
    nodes["other"] = {"kind": "account", "balances": {"eth": 100}}
    shocks = [sale(quantity=30, by="holder"), sale(quantity=70, by="other")]
    nodes["oracle"] = {"kind": "oracle", "asset": "eth", "source": "pool"}
    return graph_of(nodes, [edge("prices", "pool", "oracle", "1s")], shocks)


def test_two_runs_in_one_process_are_the_same() -> None:
    assert digests() == digests()


def test_a_second_process_with_other_hashes_finds_the_same() -> None:
    assert digests_elsewhere(PYTHONHASHSEED="1") == digests_elsewhere(PYTHONHASHSEED="2") == digests()


def test_cpu_features_do_not_show_in_a_digest() -> None:
    found = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name)]
    if not found:
        pytest.skip("this CPU has nothing to switch off")
    assert digests_elsewhere(NPY_DISABLE_CPU_FEATURES=" ".join(found)) == digests()


@pytest.mark.parametrize("world", [population_world, partial(venues, 13)], ids=["population", "venues"])
@pytest.mark.parametrize("budget", [0, 50, 1_000_000])
def test_spooling_to_disk_does_not_show_in_a_digest(
    budget: int, world: Callable[[], nx.MultiDiGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(world(), twins=False)
    monkeypatch.setattr(Table, "CHUNK", 32)
    graph = world()
    sim = build(graph, row_budget=budget)
    sim.run(graph.graph["horizon_us"])
    assert (sim.log.events.in_memory < len(sim.log.events)) == (budget < 1_000_000)
    spooled = collect(sim, graph)
    assert spooled.manifest["digest"] == expected.manifest["digest"]
    for name, columns in spooled.tables.items():
        for column, values in columns.items():
            assert np.array_equal(values, expected.tables[name][column]), f"{name}.{column}"


def test_twins_do_not_show_in_a_digest() -> None:
    graph = population_world()
    assert run(graph, twins=True).manifest["digest"] == digest(graph)


def test_logging_and_progress_do_not_show_in_a_digest(caplog: pytest.LogCaptureFixture) -> None:
    expected, heard = digest(population_world()), []
    caplog.set_level(logging.DEBUG)
    loud = run(population_world(), twins=False, progress=lambda *step: heard.append(step))
    assert heard and loud.manifest["digest"] == expected


@pytest.mark.parametrize("shuffle", range(3))
def test_the_order_of_nodes_and_edges_does_not_show_in_a_digest(shuffle: int) -> None:
    graphs = [population_world(), *(random_graph(seed)[0] for seed in RANDOM_WORLDS), *map(venues, RANDOM_VENUES)]
    for graph in graphs:
        assert digest(reordered(graph, shuffle)) == digest(graph), graph.graph["name"]


def test_a_compiled_liquidation_index_does_not_show_in_a_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    found = []
    for compiled in (False, True):
        index = partial(LiquidationIndex, compiled=compiled)
        monkeypatch.setattr(roster, "LiquidationIndex", lambda book, prices, index=index, **_: index(book, prices))
        found.append([digest(venues(seed)) for seed in RANDOM_VENUES])
    assert found[0] == found[1]


def test_another_seed_draws_another_crowd() -> None:
    assert len({digest(population_world(), seed) for seed in range(4)}) == 4


def test_a_seed_does_not_show_where_nothing_is_drawn() -> None:
    assert digest(tied_world(), 0) == digest(tied_world(), 1)


def test_shuffled_ties_are_deterministic_for_a_seed_and_differ_between_seeds() -> None:
    shuffled = [digest(tied_world(), seed, shuffle_ties=True) for seed in range(12)]
    assert shuffled == [digest(tied_world(), seed, shuffle_ties=True) for seed in range(12)]
    assert len(set(shuffled)) > 1
    assert digest(tied_world()) in shuffled


def test_a_bystander_changes_nobodys_draws() -> None:
    def members(graph: nx.MultiDiGraph) -> list[list[int]]:
        sim = build(graph)
        crowd = sim.network.ids["crowd"]
        columns = sorted(
            (sim.ledger.assets[asset].name, c) for (who, asset), c in sim.ledger.members.items() if who == crowd
        )
        return [column.read(np.arange(len(column))).tolist() for _, column in columns]

    graph = population_world()
    graph.add_node("a-bystander", kind="account")
    assert members(graph) == members(population_world())
