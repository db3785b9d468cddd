"""Measures of whole tables at once equal those of one row at a time."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.summary import synthetic
from contagion.log import FAILURES, Channel
from contagion.metrics import cascade
from contagion.metrics.groups import Owners, distinct, rows_by_group
from contagion.metrics.summary import summarise
from contagion.runs import Run
from tests import slow_metrics
from tests.handmade import KINDS, Columns, events, failed

DOMAINS = ["defi", "cefi", "outside"]
ROW = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["trade", "shock", *FAILURES[:3]]),
        "back": st.integers(1, 6),
        "node": st.integers(0, 2),
        "first": st.booleans(),
        "value": st.integers(0, 2**61),
    }
)


def log_of(rows: list[dict[str, Any]]) -> tuple[Columns, Columns]:
    """Return events, each caused by the one some way back, and the facts of those that are failures."""
    complete = []
    for number, row in enumerate(rows, 1):
        failure = int(row["first"] and row["kind"] in FAILURES)
        complete.append(row | {"cause": max(number - row["back"], 0), "first": failure})
    facts = [(n, 1.0, 1.0, row["value"]) for n, row in enumerate(complete, 1) if row["first"]]
    return events(*complete), failed(*facts)


@given(st.lists(ROW, max_size=30))
def test_depths_are_one_more_than_the_nearest_failure_above(rows: list[dict[str, Any]]) -> None:
    log, _ = log_of(rows)
    assert cascade.trigger_depths(log, KINDS).tolist() == slow_metrics.trigger_depths(log, KINDS)


@given(st.lists(ROW, max_size=30))
def test_spillovers_are_counted_exactly_whatever_their_size(rows: list[dict[str, Any]]) -> None:
    log, facts = log_of(rows)
    assert cascade.spillover(log, facts, KINDS, DOMAINS) == slow_metrics.spillover(log, facts, KINDS, DOMAINS)


def test_a_chain_of_a_thousand_failures_is_a_thousand_deep() -> None:
    log, _ = log_of([{"kind": "default", "back": 1, "node": 0, "first": True, "value": 0}] * 1000)
    assert cascade.generations(log, KINDS) == [1] * 1000


@given(st.lists(st.integers(0, 40), max_size=60), st.sampled_from([41, 10**8]))
def test_groups_are_those_of_a_sort(keys: list[int], size: int) -> None:
    column = np.array(keys, dtype=np.int64)
    found, places = distinct(column, size)
    assert found.tolist() == sorted(set(keys))
    assert found[places].tolist() == keys
    rows = rows_by_group(places, len(found))
    assert [column[own].tolist() for own in rows] == [[key] * keys.count(key) for key in found.tolist()]
    assert all(np.all(np.diff(own) > 0) for own in rows)


PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 9)), max_size=30)


@given(PAIRS, PAIRS)
def test_owners_are_everybody_with_a_posting_once(pairs: list[tuple[int, int]], asked: list[tuple[int, int]]) -> None:
    holder, member = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    owners = Owners(holder, member, 5)
    rows = list(zip(owners.holders.tolist(), owners.members.tolist(), strict=True))
    assert rows == sorted(set(pairs))
    assert [rows[row] for row in owners.rows.tolist()] == pairs
    found = owners.find(*np.array(asked, dtype=np.int32).reshape(-1, 2).T).tolist()
    assert found == [rows.index(pair) if pair in rows else -1 for pair in asked]


@pytest.fixture(scope="module")
def crash() -> Run:
    run = synthetic(1_000, seed=7)
    run.facts = summarise(run)
    return run


def test_the_accounts_of_a_crash_are_those_of_every_posting_by_itself(crash: Run) -> None:
    table, slow = crash.tables["accounts"], slow_metrics.attribution(crash)
    rows = list(zip(table["holder"].tolist(), table["member"].tolist(), strict=True))
    assert rows == sorted(slow)
    scale = max(abs(value) for row in slow.values() for value in row)
    changed = table["equity_end"] - table["equity_start"]
    assert changed == pytest.approx([sum(slow[row]) for row in rows], abs=1e-12 * scale, rel=1e-9)
    for name in (name for name in table if name.startswith("loss ")):
        number = [channel.label for channel in Channel].index(name.removeprefix("loss "))
        assert table[name] == pytest.approx([-slow[row][number] for row in rows], abs=1e-12 * scale, rel=1e-9)


def test_what_was_liquidated_of_each_account_is_the_sum_of_its_events(crash: Run) -> None:
    table = crash.tables["accounts"]
    rows = list(zip(table["holder"].tolist(), table["member"].tolist(), strict=True))
    expected = slow_metrics.liquidated_by_row(crash.tables["events"], crash.books, rows)
    assert table["liquidated_value"].tolist() == pytest.approx(expected)
    assert table["liquidated_value"].sum() == pytest.approx(crash.facts["liquidated"]["value"])


def test_prices_are_those_of_each_feed(crash: Run) -> None:
    for number, name in enumerate(crash.books.feeds):
        path = slow_metrics.prices_by_feed(crash.tables["prices"], number)
        if name in crash.facts["prices"]:
            row = crash.facts["prices"][name]
            low, time = min(path, key=lambda point: point[0])
            assert [row["first"], row["low"], row["last"]] == [p / 1e9 for p in (path[0][0], low, path[-1][0])]
            assert row["low_time"] == time / 1e6
