"""The network's picture: everybody has a place, states follow the log, and a large system is summed up and says so."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from contagion.report import network_picture
from contagion.report.moments import span
from contagion.report.network import (
    FAILED,
    HEIGHT,
    MOST_EDGES,
    MOST_PULSES,
    RETURNED,
    STRESSED,
    WIDTH,
    Network,
    network,
)
from contagion.units import SECOND
from tests.handmade import books, events
from tests.report.pages import cascade, parsed


def drawn(run: Any) -> Network:
    return network(run, 0, 100 * SECOND)


def system(holders: list[str], *rows: dict[str, Any], edges: list[dict[str, str]] | None = None, **facts: Any) -> Any:
    """Return what the network reads of a run."""
    count = len(holders)
    accounts = {"holder": np.arange(count), "equity_start": np.arange(count, dtype=float)}
    return SimpleNamespace(
        books=books(holders, ["usd"], **{"opening": 0} | facts), graph={"edges": edges or []},
        tables={"events": events(*rows), "accounts": accounts},
    )  # fmt: skip


def test_every_node_has_a_place_of_its_own_inside_the_picture() -> None:
    found = network(cascade(), *span(cascade()))
    places = [(node.x, node.y) for node in found.nodes]
    assert [node.name for node in found.nodes] == cascade().books.holders
    assert all(node.r <= node.x <= WIDTH - node.r and node.r <= node.y <= HEIGHT - node.r for node in found.nodes)
    gaps = [abs(x - u) + abs(y - v) for k, (x, y) in enumerate(places) for u, v in places[:k]]
    assert min(gaps) > 20


def test_who_has_more_is_larger() -> None:
    found = drawn(system(["world", "small", "large"]))
    sizes = {node.name: node.r for node in found.nodes}
    assert sizes["world"] < sizes["small"] < sizes["large"]


def test_domains_stand_in_boxes_of_their_own_from_left_to_right() -> None:
    names = [f"n{k}" for k in range(30)]
    domains = ["cefi"] * 18 + ["defi"] * 12
    found = drawn(system(names, domains=domains, holder_kinds=["account"] * 30, sectors=["a"] * 30))
    assert [region.label for region in found.regions] == ["defi", "cefi"]
    for node in found.nodes:
        (box,) = [region for region in found.regions if region.label == node.domain]
        assert box.x < node.x < box.x + box.w and box.y < node.y < box.y + box.h


def test_a_small_system_of_one_domain_stands_on_a_circle() -> None:
    found = drawn(system([f"bank-{k}" for k in range(7)]))
    assert not found.regions
    angles = [((node.x - WIDTH / 2) / 330) ** 2 + ((node.y - HEIGHT / 2 + 10) / 230) ** 2 for node in found.nodes]
    assert angles == pytest.approx([1.0] * 7)


def test_states_follow_the_log_and_a_crowd_whose_members_fail_is_under_stress() -> None:
    rows = [
        {"kind": "margin-call", "node": 1, "cause": 0, "time_us": 1 * SECOND},
        {"kind": "maker-withdrawal", "node": 1, "cause": 1, "time_us": 2 * SECOND},
        {"kind": "liquidation", "node": 2, "member": 4, "cause": 2, "time_us": 3 * SECOND},
        {"kind": "liquidation", "node": 2, "member": 5, "cause": 2, "time_us": 3 * SECOND},
        {"kind": "maker-withdrawal", "node": 1, "cause": 1, "first": 0, "time_us": 4 * SECOND},
    ]
    found = drawn(system(["world", "maker", "crowd"], *rows))
    assert found.states == [(1.0, 1, STRESSED), (2.0, 1, FAILED), (3.0, 2, STRESSED)]
    assert found.failures == [(2.0, 1, "maker-withdrawal of maker"), (3.0, 2, "2 × liquidation of crowd")]
    svg = parsed(str(network_picture.picture(found)))
    assert [node.attributes["data-state"] for node in svg.all("g", "node")] == ["0", "2", "1"]


def test_a_maker_that_quotes_again_has_returned() -> None:
    facts = {"kinds": ["clock", "maker-withdrawal", "quote"]}
    run = system(["world", "maker"], **facts)
    kinds, times = np.array([0, 2, 1, 2, 2]), np.arange(5) * SECOND
    table = {name: np.zeros(5, np.int64) for name in run.tables["events"]} | {"kind": kinds, "time_us": times}
    run.tables["events"] = table | {"node": np.ones(5, np.int64), "member": np.full(5, -1), "market": np.full(5, -1)}
    assert [state for _, _, state in drawn(run).states] == [FAILED, RETURNED]


def test_an_edge_lights_up_when_an_event_has_passed_along_it() -> None:
    edges = [
        {"source": "a", "target": "b", "role": "prices"},
        {"source": "b", "target": "a", "role": "trades", "name": "t"},
    ]
    rows = [
        {"kind": "shock", "node": 1, "cause": 0, "time_us": 10 * SECOND},
        {"kind": "trade", "node": 2, "cause": 1, "time_us": 20 * SECOND},
        {"kind": "trade", "node": 2, "cause": 2, "market": 1, "time_us": 30 * SECOND},
    ]
    found = drawn(system(["world", "a", "b"], *rows, edges=edges))
    assert [(edge.name, edge.role) for edge in found.edges] == [("a:prices:b", "prices"), ("t", "trades")]
    assert found.pulses == [(20.0, 0, 1.0), (30.0, 1, 1.0)]


def test_a_large_system_is_summed_up_by_kind_and_says_so() -> None:
    names = [f"bank-{k:04d}" for k in range(2_000)]
    edges = [{"source": a, "target": b, "role": "claims"} for a, b in pairwise(names)]
    run = system(names, edges=edges)
    found = drawn(run)
    assert len(found.nodes) == 7
    assert found.nodes[-1].name == "1994 more accounts"
    assert sum(node.equity for node in found.nodes) == sum(range(2_000))
    assert (
        found.note
        == "1,994 nodes are summed up in those called 'more'. 1,992 edges lie on others between the same nodes."
    )
    assert sum(len(node.holders) for node in found.nodes) == 2_000


def test_pulses_are_thinned_to_a_bound() -> None:
    count, names = 120_000, [f"n{k}" for k in range(40)]
    edges = [{"source": a, "target": b, "role": "claims"} for a in names for b in names if a != b]
    run = system(names, edges=edges)
    rng = np.random.default_rng(1)
    table = {name: np.zeros(count, np.int64) for name in run.tables["events"]}
    table |= {"node": rng.integers(0, 40, count), "cause": np.maximum(rng.integers(-9, np.arange(count)), 0)}
    table |= {"kind": np.full(count, run.books.kinds.index("trade")), "market": np.full(count, -1)}
    run.tables["events"] = table | {"time_us": np.sort(rng.integers(0, 100 * SECOND, count))}
    found = drawn(run)
    assert 5_000 < len(found.pulses) <= MOST_PULSES
    assert found.pulses == sorted(found.pulses)


def test_a_system_in_which_no_two_are_alike_is_summed_up_all_the_same() -> None:
    names = [f"n{k}" for k in range(300)]
    run = system(names, sectors=[f"s{k}" for k in range(300)], domains=[("cefi", "defi")[k % 2] for k in range(300)])
    found = drawn(run)
    assert len(found.nodes) == 2 * 7
    assert len({(node.x, node.y) for node in found.nodes}) == 2 * 7


def test_more_edges_than_are_drawn_are_counted() -> None:
    names = [f"n{k}" for k in range(50)]
    edges = [{"source": a, "target": b, "role": "claims"} for a in names for b in names if a != b]
    found = drawn(system(names, edges=edges))
    assert len(found.edges) == MOST_EDGES
    assert found.note == f"{50 * 49 - MOST_EDGES} more edges are not drawn."
