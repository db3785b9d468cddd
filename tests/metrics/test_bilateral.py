"""Who lost to whom, on journals of a few rows."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.summary import synthetic
from contagion.log import Channel
from contagion.metrics.bilateral import bilateral, by_pair
from contagion.runs import Books
from tests import slow_metrics
from tests.handmade import Columns, books, events, postings, prices

WORLD, ANN, BOB, CAT = 0, 1, 2, 3
USD, ETH = 0, 1
NAMES = ["world", "ann", "bob", "cat"]
FOUR = books(NAMES, ["usd", "eth"])
LOG = events(
    {"kind": "start", "cause": 0},  # 1
    {"kind": "payment", "cause": 0},  # 2
    {"kind": "trade", "cause": 2},  # 3
    {"kind": "liquidation", "cause": 3},  # 4
    {"kind": "flash-loan", "cause": 3},  # 5
)
STILL = prices([1, 100])


def pairs(journal: Columns, marks: Columns = STILL, names: Books = FOUR) -> dict[tuple[str, str], Any]:
    """Return value by channel for each (loser, receiver)."""
    rows = by_pair(bilateral(journal, marks, LOG["kind"], names), names.holders)
    return {(row["loser"], row["receiver"]): row["channels"] for row in rows}


def test_a_payment_is_lost_by_who_pays_to_who_is_paid() -> None:
    journal = postings((1, WORLD, USD, -50), (1, ANN, USD, 50), (2, ANN, USD, -30), (2, BOB, USD, 30))
    assert pairs(journal) == {("ann", "bob"): {"none": 30}}


def test_the_opening_is_no_transfer() -> None:
    assert pairs(postings((1, WORLD, USD, -50), (1, ANN, USD, 50))) == {}


def test_a_fair_trade_moves_no_value_and_an_unfair_one_the_difference() -> None:
    fair = ((3, ANN, ETH, -1), (3, BOB, ETH, 1), (3, BOB, USD, -100), (3, ANN, USD, 100))
    assert pairs(postings(*fair)) == {}
    assert pairs(postings(*fair[:2], (3, BOB, USD, -85), (3, ANN, USD, 85))) == {("ann", "bob"): {"slippage": 15}}


def test_what_a_price_takes_is_not_here() -> None:
    held = postings((1, WORLD, ETH, -2), (1, ANN, ETH, 2))
    assert pairs(held, prices([1, 100], (3, ETH, 10, Channel.EXOGENOUS))) == {}


def test_a_trade_is_worth_what_marks_say_after_it() -> None:
    sold = ((3, ANN, ETH, -1), (3, BOB, ETH, 1), (3, BOB, USD, -100), (3, ANN, USD, 100))
    moved = prices([1, 100], (3, ETH, 90, Channel.PANIC))
    assert pairs(postings(*sold), moved) == {("bob", "ann"): {"slippage": 10}}


def test_losers_lose_to_all_gainers_in_proportion_to_their_gains() -> None:
    journal = postings((4, ANN, USD, -60), (4, WORLD, USD, -30), (4, BOB, USD, 30), (4, CAT, USD, 60))
    assert pairs(journal) == {
        ("ann", "cat"): {"penalty": pytest.approx(40)}, ("ann", "bob"): {"penalty": pytest.approx(20)},
        ("world", "cat"): {"penalty": pytest.approx(20)}, ("world", "bob"): {"penalty": pytest.approx(10)},
    }  # fmt: skip


def test_events_are_shared_one_by_one() -> None:
    journal = postings((2, ANN, USD, -5), (2, BOB, USD, 5), (4, BOB, USD, -5), (4, CAT, USD, 5))
    assert pairs(journal) == {("ann", "bob"): {"none": 5}, ("bob", "cat"): {"penalty": 5}}


def test_a_flash_loan_that_is_returned_is_lost_by_nobody() -> None:
    """The world lends 900 to ann, who repays a debt of 900 to bob, and gets them back: only what bob gets moved."""
    log = events({"kind": "start", "cause": 0}, *({"kind": kind, "cause": 1} for kind in ("flash-loan", "payment")))
    log["kind"] = np.append(log["kind"], log["kind"][2])
    lent, back = ((2, WORLD, USD, -900), (2, ANN, USD, 900)), ((4, WORLD, USD, 900), (4, ANN, USD, -900))
    journal = postings(*lent, (3, ANN, USD, -900), (3, BOB, USD, 900), *back)
    rows = by_pair(bilateral(journal, STILL, log["kind"], FOUR), NAMES)
    assert [(row["loser"], row["receiver"], row["value"]) for row in rows] == [("ann", "bob", 900)]


def test_members_of_a_population_lose_to_each_other() -> None:
    journal = postings((4, ANN, USD, -7, 0), (4, ANN, USD, 4, 1), (4, BOB, USD, 3))
    assert pairs(journal) == {("ann", "ann"): {"penalty": 4}, ("ann", "bob"): {"penalty": 3}}


def test_what_only_one_sides_mark_sees_is_lost_to_nobody() -> None:
    feeds = {"feeds": ["usd", "eth", "oracle"], "own_marks": [(BOB, ETH, 2)]}
    split = books(NAMES, ["usd", "eth"], **feeds)
    given = postings((2, ANN, ETH, -1), (2, BOB, ETH, 1))
    assert pairs(given, prices([1, 100, 90]), split) == {("ann", "bob"): {"none": 90}, ("ann", "nobody"): {"none": 10}}
    assert pairs(given, prices([1, 100, 110]), split) == {
        ("ann", "bob"): {"none": 100}, ("nobody", "bob"): {"none": 10},
    }  # fmt: skip


def test_pairs_of_sectors_are_sums_over_their_nodes() -> None:
    journal = postings((2, ANN, USD, -5), (2, CAT, USD, 5), (4, BOB, USD, -7), (4, CAT, USD, 7))
    (row,) = by_pair(bilateral(journal, STILL, LOG["kind"], FOUR), ["outside", "traders", "traders", "fund"])
    assert row == {
        "loser": "traders", "receiver": "fund", "value": 12.0, "channels": {"penalty": 7.0, "none": 5.0},
    }  # fmt: skip


LEG = st.tuples(
    st.sampled_from([2, 3, 4, 5]), st.integers(0, 3), st.integers(0, 1), st.integers(-9, 9), st.integers(-1, 1)
)


@given(st.lists(LEG, max_size=12))
def test_any_journal_is_shared_as_event_by_event(legs: list[tuple[int, ...]]) -> None:
    moved = prices([1, 100], (3, ETH, 90, Channel.PANIC))
    journal = postings(*legs)
    table, slow = (
        bilateral(journal, moved, LOG["kind"], FOUR),
        slow_metrics.bilateral(journal, moved, LOG["kind"], FOUR),
    )
    found = dict(zip(zip(*(table[c].tolist() for c in ("loser", "receiver", "channel")), strict=True),
                     table["value"].tolist(), strict=True))  # fmt: skip
    assert found == pytest.approx(slow)
    assert table["value"].tolist() == sorted(table["value"].tolist(), reverse=True)


def test_a_crash_is_shared_as_event_by_event() -> None:
    run = synthetic(1_000, seed=7)
    parts = (run.tables["postings"], run.tables["prices"], run.tables["events"]["kind"], run.books)
    table, slow = bilateral(*parts), slow_metrics.bilateral(*parts)
    assert table["value"].sum() == pytest.approx(sum(slow.values()))
    for row in zip(*(column.tolist() for column in table.values()), strict=True):
        assert row[3] == pytest.approx(slow[row[:3]])
