"""The drawing of the exposure graph shows every node once, or says how many it leaves out, always at the same place."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import contagion as cg

pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")


def bank_run(banks: int, failed: int = 0) -> Any:
    """Return what the drawing reads of a run: banks in a ring, bank n with equity n + 1, the first ones failed."""
    names = [f"bank-{n:03}" for n in range(banks)]
    edges = [{"source": names[n], "target": names[(n + 1) % banks], "role": "claims"} for n in range(banks)]
    return SimpleNamespace(
        graph={"nodes": [{"id": name, "kind": "bank"} for name in names] + [{"id": "world", "kind": "world"}],
               "edges": edges},
        books=SimpleNamespace(holders=[*names, "world"]),
        tables={"accounts": {"holder": np.arange(banks), "equity_start": np.arange(banks) + 1.0},
                "events": {"node": np.arange(failed)}, "failures": {"event": np.arange(failed)}},
    )  # fmt: skip


def test_every_node_with_an_edge_is_drawn_once() -> None:
    from contagion.plot.network import network

    graph = network(bank_run(7, failed=2))
    assert sorted(graph) == [f"bank-{n:03}" for n in range(7)]
    assert [fact.failed for _, fact in sorted(graph.nodes(data="fact"))] == [1, 1, 0, 0, 0, 0, 0]
    assert not graph.graph["layered"]
    assert graph.graph["folded"] == 0


def test_small_banks_of_many_are_drawn_as_one_and_the_failed_are_not() -> None:
    from contagion.plot.network import draw_network, network

    run = bank_run(200, failed=3)
    graph = network(run)
    (whole,) = [fact for _, fact in graph.nodes(data="fact") if fact.whole > 1]
    assert whole.whole + len(graph) - 1 == 200
    assert whole.equity + sum(f.equity for _, f in graph.nodes(data="fact") if f.whole == 1) == sum(range(1, 201))
    assert {"bank-000", "bank-001", "bank-002", "bank-199"} <= set(graph)
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    draw_network(axes, run)
    assert axes.get_title(loc="left").endswith(f"{whole.whole} small ones drawn as one a kind")


def test_kinds_stand_in_columns_in_the_way_distress_travels() -> None:
    from contagion.plot.network import network

    graph = network(cg.run(cg.load("usde-loops", reduced=True), twins=False, until_us=0))
    at = {name: x for name, (x, _) in graph.nodes(data="at")}
    assert at["usde"] < at["usde-pool"] < at["usde-oracle"] == at["aave"] < at["loop-usde-a"] < at["suppliers"]
    assert len({position for _, position in graph.nodes(data="at")}) == len(graph)


@pytest.mark.parametrize("banks", [7, 80])
def test_the_drawing_is_the_same_each_time(banks: int) -> None:
    from contagion.plot.network import network

    once, again = (dict(network(bank_run(banks)).nodes(data="at")) for _ in range(2))
    assert once == again
