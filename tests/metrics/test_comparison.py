"""Two runs of a few rows: what differs is told by names, not by ids."""

from typing import Any

import pytest

from contagion.metrics.comparison import compare, failures, figures, inputs, parting
from contagion.runs import Run
from tests.handmade import KINDS, Columns, books, events

START = {"kind": "start", "cause": 0}
SHOCK = {"kind": "shock", "cause": 1, "time_us": 1_000_000}
HOLDERS = ["world", "ann", "bob"]


def run(*rows: Columns, holders: list[str] = HOLDERS, opening: int = 1, **facts: Any) -> Run:
    """Return a run that has events and nothing else."""
    return Run({"events": events(*rows)}, books(holders, ["usd", "eth"], opening=opening), {}, **facts)


def failure(node: int, time_s: int, **columns: int) -> Columns:
    return {"kind": "default", "cause": 2, "node": node, "time_us": time_s * 1_000_000, **columns}


def test_a_run_does_not_differ_from_itself() -> None:
    one = run(START, SHOCK, failure(1, 5))
    facts = compare(one, run(START, SHOCK, failure(1, 5)))
    assert facts["parting"] is None
    assert facts["failures"] == facts["settings"] == facts["figures"] == facts["inputs"]["values"] == []


def test_the_logs_part_at_the_first_event_that_is_not_the_same() -> None:
    a = run(START, SHOCK, failure(1, 5), failure(2, 7))
    b = run(START, SHOCK, failure(1, 5), failure(2, 8))
    found = parting(a, b)
    assert found is not None
    assert (found["events"], found["a"]["event"], found["a"]["time"], found["b"]["time"]) == (2, 4, 7.0, 8.0)
    assert (found["a"]["node"], found["a"]["kind"], found["a"]["member"]) == ("bob", "default", None)


def test_a_log_that_ends_early_parts_at_its_end() -> None:
    found = parting(run(START, SHOCK), run(START, SHOCK, failure(1, 5)))
    assert found is not None
    assert (found["events"], found["a"], found["b"]["event"]) == (1, None, 3)


def test_a_longer_opening_and_other_ids_are_no_difference() -> None:
    """The second run has one holder more and one opening event more: every id and cause is another."""
    a = run(START, SHOCK, failure(1, 5))
    b = run(START, START, SHOCK, failure(0, 5), holders=["ann", "carl", "world", "bob"], opening=2)
    b.tables["events"]["node"][3] = 2
    assert parting(a, b) is None
    assert failures(a, b) == []


def test_kinds_are_compared_by_name() -> None:
    a, b = run(START, SHOCK, failure(1, 5)), run(START, SHOCK, failure(1, 5))
    b.books.kinds = list(reversed(KINDS))
    b.tables["events"]["kind"] = len(KINDS) - 1 - b.tables["events"]["kind"]
    assert parting(a, b) is None
    b.books.kinds = [f"other {kind}" for kind in KINDS]
    found = parting(a, run(START, SHOCK, failure(1, 5) | {"kind": "liquidation"}))
    assert found is not None and found["events"] == 1
    assert parting(a, b)["events"] == 0  # type: ignore[index]


def test_who_failed_in_one_run_alone_is_counted_by_member_with_the_first_times() -> None:
    a = run(START, SHOCK, failure(1, 5, member=0), failure(1, 6, member=1), failure(2, 9))
    b = run(START, SHOCK, failure(1, 7, member=1), failure(1, 8, member=2), failure(1, 9, member=3), failure(2, 4))
    assert failures(a, b) == [
        {"node": "ann", "kind": "default", "a": 2, "b": 3, "only_a": 1, "only_b": 2, "first_a": 5.0, "first_b": 7.0}
    ]


def test_a_repeat_is_no_failure() -> None:
    assert failures(run(START, SHOCK, failure(1, 5)), run(START, SHOCK, failure(1, 5), failure(2, 6, first=0))) == []


def test_figures_stand_side_by_side_and_what_a_summary_leaves_out_is_nothing() -> None:
    one = {"wall_s": 1.0, "seed": 1, "total_losses": {"net": 10.0, "exogenous": None}, "prices": {"a": {"low": 2.0}}}
    two = {
        "wall_s": 9.0,
        "seed": 2,
        "total_losses": {"net": -5.0, "exogenous": 3.0},
        "failures_by_kind": {"default": 3},
    }
    rows = {row["figure"]: (row["a"], row["b"], row["change"], row["relative"]) for row in figures(one, two)}
    assert rows == {
        "total_losses.net": (10.0, -5.0, -15.0, -1.5),
        "total_losses.exogenous": (None, 3.0, None, None),
        "prices.a.low": (2.0, None, None, None),
        "failures_by_kind.default": (0.0, 3.0, 3.0, None),
    }


def test_inputs_are_compared_by_name_and_edges_that_share_one_in_their_order() -> None:
    pool = {"id": "pool", "kind": "amm", "fee": 0.01, "bands": [{"at": 1}, {"at": 2}]}
    edge = {"name": "a:holds:b", "quantity": 1}
    one = {"nodes": [{"id": "ann"}, pool], "edges": [edge, edge]}
    two = {"nodes": [pool | {"fee": 0.02, "bands": [{"at": 1}, {"at": 3}]}], "edges": [edge, edge | {"quantity": 2}]}
    table = inputs(
        run(START, graph=one, scenario={"shocks": [{"name": "sale", "size": 1}]}),
        run(START, graph=two, scenario={"horizon": 5}),
    )
    assert table == {
        "only_a": ["nodes.ann", "shocks.sale"],
        "only_b": [],
        "values": [
            {"path": "scenario.horizon_us", "a": None, "b": 5},
            {"path": "nodes.pool.fee", "a": 0.01, "b": 0.02},
            {"path": "nodes.pool.bands.1.at", "a": 2, "b": 3},
            {"path": "edges.a:holds:b'.quantity", "a": 1, "b": 2},
        ],
    }


@pytest.mark.parametrize("key", ["seed", "knock_outs", "overrides", "versions"])
def test_settings_that_differ_are_named(key: str) -> None:
    one, two = run(START), run(START)
    one.manifest[key], two.manifest[key] = ({"numpy": "1"}, {"numpy": "2"}) if key == "versions" else ([1], [2])
    (row,) = compare(one, two)["settings"]
    assert row["setting"] == ("version of numpy" if key == "versions" else key)
    assert row["a"] != row["b"]
