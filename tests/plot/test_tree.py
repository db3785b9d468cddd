"""The tree of failures keeps every failure, the largest branches first, and counts what it leaves out."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from contagion.plot.tree import Branch, tree
from tests.handmade import events

HOLDERS = ["world", "crowd", "bank", "maker"]
KINDS = ["clock", "shock", "start", "liquidation", "default"]


def run_of(*rows: tuple[str, str, int, int, int]) -> Any:
    """Return what a tree reads of a run: rows of (kind, node, member, cause, value) after the clock."""
    table = events(*({"kind": kind, "node": HOLDERS.index(node), "member": member, "cause": cause, "time_us": 1_000_000}
                     for kind, node, member, cause, _ in rows))  # fmt: skip
    from tests.handmade import KINDS as NAMES

    failed = [place + 1 for place, row in enumerate(rows) if row[0] in ("liquidation", "default")]
    values = np.array([rows[place - 1][4] for place in failed], np.int64)
    generation = np.zeros(len(table["kind"]), np.int64)
    for place in range(1, len(generation)):
        generation[place] = generation[table["cause"][place]] + (place in failed)
    return SimpleNamespace(
        tables={"events": table | {"generation": generation},
                "failures": {"event": np.array(failed, np.int64), "value": values}},
        books=SimpleNamespace(kinds=NAMES, holders=HOLDERS, currency_decimals=0, currency="USD"),
    )  # fmt: skip


def all_of(branches: list[Branch]) -> Iterator[Branch]:
    for branch in branches:
        yield branch
        yield from all_of(branch.children)


def test_a_crowd_that_goes_on_by_itself_is_one_row_over_generations() -> None:
    run = run_of(("shock", "world", -1, 0, 0), ("liquidation", "crowd", 1, 1, 5), ("liquidation", "crowd", 2, 1, 5),
                 ("liquidation", "crowd", 3, 2, 7), ("default", "bank", -1, 4, 9))  # fmt: skip
    (root,) = tree(run)
    (crowd,) = root.children
    assert (root.name, root.number, root.whole) == ("shock world", 0, 4)
    assert (crowd.name, crowd.number, crowd.value, crowd.generations, crowd.whole) == (
        "crowd liquidation", 3, 17.0, 2, 4,
    )  # fmt: skip
    assert [(one.name, one.number) for one in crowd.children] == [("bank default", 1)]


def test_what_the_clock_sets_off_stands_under_the_clock() -> None:
    assert [root.name for root in tree(run_of(("default", "bank", -1, 0, 1)))] == ["the clock"]


def test_the_largest_branch_comes_first_and_what_is_left_out_is_counted() -> None:
    run = run_of(("shock", "world", -1, 0, 0), ("default", "bank", -1, 1, 9), ("liquidation", "maker", -1, 1, 1),
                 ("liquidation", "crowd", 1, 3, 1), ("liquidation", "crowd", 2, 3, 1))  # fmt: skip
    assert [one.name for one in tree(run)[0].children] == ["maker liquidation", "bank default"]
    (root,) = tree(run, rows=2)
    assert [(one.name, one.whole) for one in all_of([root])] == [
        ("shock world", 4), ("maker liquidation", 3), ("1 smaller branch", 2), ("1 smaller branch", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_no_failure_is_lost_and_each_is_under_what_set_it_off(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [("shock", "world", -1, 0, 0)]
    for number in range(1, 200):
        kind = ("start", "liquidation", "default")[rng.integers(3)]
        rows.append((kind, HOLDERS[rng.integers(1, 4)], number, int(rng.integers(0, len(rows) + 1)), 1))
    run, failures = run_of(*rows), sum(row[0] in ("liquidation", "default") for row in rows)
    for limit in (1, 5, 24, 10_000):
        roots = tree(run, limit)
        assert sum(root.whole for root in roots) == failures
        for branch in all_of(roots):
            rest = branch.whole - branch.number - sum(child.whole for child in branch.children)
            assert rest == 0 or "smaller" in branch.name, "all failures of a branch are told"
        assert len([one for one in all_of(roots) if "smaller" not in one.name]) <= limit
    assert sum(branch.number for branch in all_of(roots)) == failures
