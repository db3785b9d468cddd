"""DEF-01: one threshold cascade, two schedules; what each definition of depth makes of it, through the engine.

The case counts from the seed, which it gives depth 0. Here the shock is generation 0 and the seed's failure is
the first generation, so a depth of the case is the contagious depth: ours less one.
"""

import re
from typing import Any

import networkx as nx
import numpy as np
import pytest

from contagion.assembly import build, collect
from contagion.metrics import cascade
from contagion.runs import Run
from contagion.study.twins import run, synchronous
from contagion.units import SECOND
from tests.cases import published
from tests.worlds import edge, graph_of

CASE = published("DEF-01")
INPUTS, EXPECTED = CASE["inputs"], CASE["expected"]
SCHEDULES = list(INPUTS["delays"])


def graph(schedule: str) -> nx.MultiDiGraph:
    """Return the case's graph with the delays of a schedule."""
    kind = {"kind": "tests.kinds.threshold", "stands_as": "bank"}
    names = sorted({name for ends in INPUTS["edges"] for name in ends})
    nodes: dict[str, Any] = {name: kind | {"need": INPUTS["need"].get(name, 1)} for name in names}
    delays = INPUTS["delays"][schedule]
    edges = [
        edge("claims", source, target, f"{delays.get(f'{source}->{target}', INPUTS['default_delay'])}s")
        for source, target in INPUTS["edges"]
    ]
    edges += [edge("prices", "tremor", seed) for seed in INPUTS["seeds"]]
    shock = {"kind": "reprice", "asset": "tremor", "size": -0.5}
    return graph_of(nodes | {"tremor": {"kind": "asset"}}, edges, [shock], monotone=True)


def finished(schedule: str) -> Run:
    return run(graph(schedule), allow_code=True)


def failures(result: Run) -> dict[str, int]:
    """Return the failure of every node that fails."""
    events = result.tables["events"]
    found = cascade.failures(events, result.books.kinds)
    return {result.books.holders[events["node"][event]]: int(event) for event in found}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_same_nodes_fail_at_the_times_of_the_schedule(schedule: str) -> None:
    result = finished(schedule)
    times = {name: result.tables["events"]["time_us"][e] / SECOND for name, e in failures(result).items()}
    assert sorted(times) == EXPECTED["failed"]
    assert times == pytest.approx(EXPECTED["schedules"][schedule]["times"])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_cause_of_a_failure_is_the_debtor_that_was_needed_last(schedule: str) -> None:
    result = finished(schedule)
    failed = failures(result)
    names = {event: name for name, event in failed.items()}
    causes = {name: names.get(int(result.tables["events"]["cause"][event])) for name, event in failed.items()}
    seeds = dict.fromkeys(INPUTS["seeds"])
    assert causes == EXPECTED["schedules"][schedule]["trigger_parent"] | seeds


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_trigger_depth_depends_on_the_schedule(schedule: str) -> None:
    result, expected = finished(schedule), EXPECTED["schedules"][schedule]
    depths = cascade.trigger_depths(result.tables["events"], result.books.kinds)
    contagious = {name: depth - 1 for name, depth in zip(failures(result), depths.tolist(), strict=True)}
    assert contagious == expected["trigger_depth"]
    assert result.facts["cascade_depth"] - 1 == expected["max_trigger_depth"]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_depth_over_all_parents_does_not_depend_on_the_schedule(schedule: str) -> None:
    result, expected = finished(schedule), EXPECTED["schedules"][schedule]
    deepest = cascade.dag_depths(result.tables["events"], result.tables["contributions"], result.books.kinds)
    assert {name: deepest[event] - 1 for name, event in failures(result).items()} == expected["dag_depth"]
    assert max(deepest.values()) - 1 == expected["max_dag_depth"]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_all_failures_but_the_seed_are_endogenous(schedule: str) -> None:
    assert finished(schedule).facts["branching_ratio"] == pytest.approx(EXPECTED["n_hat"])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_synchronous_replay_finds_the_canonical_rounds(schedule: str) -> None:
    assert finished(schedule).facts["cascade_depth_canonical"] - 1 == EXPECTED["D_canonical"]
    sim = build(graph(schedule), twin="rounds", transform=synchronous, allow_code=True)
    sim.run(SECOND)
    replay = collect(sim, graph(schedule))
    times = replay.tables["events"]["time_us"]
    assert {name: int(times[event]) for name, event in failures(replay).items()} == EXPECTED["canonical_depth"]
    rounds = np.bincount(times[list(failures(replay).values())])
    assert rounds.tolist() == EXPECTED["round_sizes"]


def test_why_names_every_debtor_that_was_needed() -> None:
    chain = str(finished("slow_C_and_fast_F").why("I"))
    assert re.search(r"default +B$", chain, re.MULTILINE)
    assert "also because of" in chain and " G" in chain


def test_code_outside_the_package_needs_permission() -> None:
    with pytest.raises(ValueError, match="--allow-code"):
        run(graph("uniform"))
