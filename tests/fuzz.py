"""Run random worlds and check everything that must hold: ``python -m tests.fuzz [FLAG] SEED...``, flags in `FUZZES`."""

import sys
from random import Random
from typing import Any

import networkx as nx

from contagion.assembly import build, collect
from contagion.errors import BadInput
from contagion.graph import knock_out
from contagion.metrics.summary import summarise
from contagion.runs import Run
from contagion.study.twins import synchronous
from tests.invariants import check_run, no_failures, watch_books
from tests.random_venues import random_venues
from tests.random_worlds import random_graph
from tests.venue_invariants import check_venues


def fuzz(seed: int) -> Run:
    """Check a random world's run and its twins; return the base run."""
    return _fuzz(knocked_out(seed, *random_graph(seed)), seed)


def fuzz_venues(seed: int) -> Run:
    """Check the run of a random world of exchanges and its twins; return the base run."""
    return _fuzz(knocked_out(seed, *random_venues(seed)), seed)


def fuzz_small(seed: int) -> Run:
    """Check the run of a small world of exchanges and its twins; return the base run."""
    return _fuzz(knocked_out(seed, *random_venues(seed, small=True)), seed)


def fuzz_plain(seed: int) -> Run:
    """Check the run of a random world of exchanges without the parts of `random_layers`; return the base run."""
    return _fuzz(knocked_out(seed, *random_venues(seed, layers=False)), seed)


def _fuzz(graph: nx.MultiDiGraph, seed: int) -> Run:
    run = checked_run(graph, "base")
    control = checked_run(graph, "control")
    at_rest = graph.graph.get("at_rest", True)
    assert not at_rest or no_failures(control), f"something fails unprovoked: {control.facts['failures_by_kind']}"
    checked_run(graph, "frozen")
    if seed % 2:
        checked_run(graph, "base", shuffle_ties=True)
    else:
        checked_run(graph, "rounds", transform=synchronous)
    return run


def knocked_out(seed: int, graph: nx.MultiDiGraph, optional: list[str]) -> nx.MultiDiGraph:
    """Return a graph without up to two of the nodes or edges that it can do without."""
    rng = Random(-1 - seed)
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        edges = [f"{s}:{d['role']}:{t}" for s, t, d in graph.edges(data=True) if d["role"] != "prices"]
        less = graph.copy()
        knock_out(less, rng.choice([*(name for name in optional if name in less), *edges]))
        try:
            build(less)
        except BadInput:
            continue
        graph = less
    return graph


def checked_run(graph: nx.MultiDiGraph, twin: str, **options: Any) -> Run:
    """Return a finished run of which everything holds."""
    sim = build(graph, twin=twin, **options)
    books = watch_books(sim)
    sim.run(graph.graph["horizon_us"])
    books.check_all(-1)
    run = collect(sim, graph)
    run.facts = summarise(run)
    check_run(run, sim.network)
    check_venues(run, sim)
    return run


FUZZES = {"--venues": fuzz_venues, "--small": fuzz_small, "--plain": fuzz_plain}
"""What a flag asks for instead of a world on chain."""


def main(words: list[str]) -> None:
    """Fuzz each seed, of the worlds that a flag names; the first defect ends it with its traceback."""
    run = FUZZES.get(words[0], fuzz)
    for seed in words[words[0] in FUZZES :]:
        run(int(seed))


if __name__ == "__main__":
    main(sys.argv[1:])
