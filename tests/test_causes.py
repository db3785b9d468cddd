"""`why` leads from any failure of a shipped scenario back to its shock, along edges and no faster than they are."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from contagion.graph import compile_graph
from contagion.log import FAILURES, SHOCK
from contagion.network import Network
from contagion.runs import Run
from contagion.scenario import load
from tests.invariants import Hops
from tests.test_configs import reduced

SCENARIOS = ("usde-spiral", "venue-crash", "usde-loops")
SAMPLE, HOUR_US = 100, 3_600_000_000


@cache
def network(name: str) -> Network:
    return compile_graph(load(name, reduced=True).graph())


def sampled(run: Run) -> list[int]:
    """Return 100 failures drawn at random, repeats included; all where there are fewer."""
    kinds = [run.books.kinds.index(kind) for kind in FAILURES if kind in run.books.kinds]
    failures = np.flatnonzero(np.isin(run.tables["events"]["kind"], kinds))
    drawn = np.random.default_rng(2025).choice(failures, min(SAMPLE, len(failures)), replace=False)
    return sorted(drawn.tolist())


def slow(network: Network) -> Network:
    """Return the network with every edge an hour slower."""
    return Network(network.nodes, [edge._replace(latency_us=edge.latency_us + HOUR_US) for edge in network.edges])


@pytest.mark.parametrize("name", SCENARIOS)
def test_why_reaches_the_shock_from_any_failure_hop_by_hop_along_edges(name: str) -> None:
    run, hops = reduced(name), Hops(reduced(name), network(name))
    cause = run.tables["events"]["cause"]
    for failure in sampled(run):
        chain = run.why(failure).hops
        assert chain[0].kind == SHOCK and chain[-1].event == failure
        for before, hop in pairwise(chain):
            assert int(cause[hop.event]) == before.event < hop.event and before.time_us <= hop.time_us
            assert not (what := hops.broken(hop.event)), f"event {hop.event}: {what}\n{run.why(failure)}"


def test_a_crash_has_failures_enough_to_draw_from() -> None:
    assert len(sampled(reduced("venue-crash"))) == SAMPLE


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("change", [slow, lambda known: Network(known.nodes, [])], ids=["slower edges", "no edges"])
def test_hops_that_no_edge_explains_are_found(name: str, change: object) -> None:
    assert callable(change)
    run, hops = reduced(name), Hops(reduced(name), change(network(name)))
    broken = [any(hops.broken(hop.event) for hop in run.why(failure).hops[1:]) for failure in sampled(run)]
    assert all(broken)
