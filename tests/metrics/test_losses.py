"""Equity, the four terms and the path of losses, on balance sheets of two or three holders."""

import math
from dataclasses import replace

import pytest

from contagion.log import Channel
from contagion.metrics.losses import Losses, losses
from contagion.runs import Books
from tests.handmade import Columns, books, closing, postings, prices

WORLD, ANN, BOB = 0, 1, 2
USD, ETH = 0, 1
SALE, CRASH, REST = 2, 3, 4
HOLDERS = ["world", "ann", "bob"]
PAIR = books(HOLDERS, ["usd", "eth"])
OPENING = ((1, WORLD, USD, -100), (1, ANN, USD, 100), (1, WORLD, ETH, -2), (1, ANN, ETH, 2))
NOTHING = {"marks": 0.0, "outflow": 0.0, "basis": 0.0, "liabilities": 0.0}


def lost(journal: Columns, marks: Columns, names: Books = PAIR, outside: tuple[int, ...] = ()) -> Losses:
    """Return the losses of a journal of five events, after checking that the four terms explain them."""
    result = losses(journal, marks, closing(journal), replace(names, outside=list(outside)), 5)
    assert result.error() <= 1e-12
    return result


def test_a_fall_of_the_mark_costs_the_holder_its_old_holding_times_the_fall() -> None:
    result = lost(postings(*OPENING), prices([1, 100], (CRASH, ETH, 80, Channel.EXOGENOUS)))
    assert result.start.tolist() == [-300, 300, 0]
    assert result.end.tolist() == [-260, 260, 0]
    assert result.net == 40
    assert result.terms == NOTHING | {"marks": 40}
    assert result.marks.tolist() == [0, 0, 0, 40, 0]


def test_only_what_is_held_before_the_event_is_revalued_by_it() -> None:
    bought = ((CRASH, ANN, ETH, 5), (CRASH, WORLD, ETH, -5))
    result = lost(postings(*OPENING, *bought), prices([1, 100], (CRASH, ETH, 80, Channel.EXOGENOUS)))
    assert result.terms == NOTHING | {"marks": 40, "outflow": -400}


def test_a_payment_to_the_outside_is_an_outflow() -> None:
    result = lost(postings(*OPENING, (SALE, ANN, USD, -10), (SALE, WORLD, USD, 10)), prices([1, 100]))
    assert result.net == 10
    assert result.terms == NOTHING | {"outflow": 10}


def test_a_sale_to_the_outside_below_the_mark_loses_the_difference() -> None:
    sale = ((SALE, ANN, ETH, -1), (SALE, WORLD, ETH, 1), (SALE, WORLD, USD, -90), (SALE, ANN, USD, 90))
    assert lost(postings(*OPENING, *sale), prices([1, 100])).terms == NOTHING | {"outflow": 10}


def test_a_payment_inside_loses_nothing() -> None:
    result = lost(postings(*OPENING, (SALE, ANN, ETH, -1), (SALE, BOB, ETH, 1)), prices([1, 100]))
    assert (result.net, result.gross, result.gains) == (0, 100, 100)
    assert result.terms == NOTHING


def test_value_that_moves_to_a_holder_with_a_lower_mark_is_a_change_of_basis() -> None:
    sceptic = books(HOLDERS, ["usd", "eth"], feeds=["usd", "eth", "oracle"], own_marks=[(BOB, ETH, 2)])
    result = lost(postings(*OPENING, (SALE, ANN, ETH, -1), (SALE, BOB, ETH, 1)), prices([1, 100, 90]), sceptic)
    assert result.net == 10
    assert result.terms == NOTHING | {"basis": 10}


def test_each_holder_loses_by_the_mark_that_it_reads() -> None:
    split = books(HOLDERS, ["usd", "eth"], feeds=["usd", "eth", "oracle"], own_marks=[(BOB, ETH, 2)])
    opening = (*OPENING, (1, WORLD, ETH, -3), (1, BOB, ETH, 3))
    crash = prices([1, 100, 100], (SALE, 1, 70, Channel.EXOGENOUS), (CRASH, 2, 90, Channel.EXOGENOUS))
    result = lost(postings(*opening), crash, split)
    assert (result.start - result.end).tolist()[1:] == [60, 30]
    assert result.path.tolist() == [0, 0, 60, 90, 90]


def test_an_issuer_that_takes_its_token_back_above_the_market_changes_its_liabilities() -> None:
    bank = books(
        ["world", "issuer", "bob"], ["usd", "coin"], issuers=[-1, 1], feeds=["usd", "market", "par"],
        own_marks=[(1, ETH, 2)],
    )  # fmt: skip
    issued = ((1, 1, ETH, -50), (1, 2, ETH, 50), (1, WORLD, USD, -60), (1, 1, USD, 60))
    redeemed = ((SALE, 2, ETH, -10), (SALE, 1, ETH, 10), (SALE, 1, USD, -10), (SALE, 2, USD, 10))
    result = lost(postings(*issued, *redeemed), prices([1, 0.9, 1]), bank)
    assert result.start.tolist()[1:] == [10, 45]
    assert result.end.tolist()[1:] == pytest.approx([10, 46])
    assert result.net == pytest.approx(-1)
    assert result.terms["liabilities"] == pytest.approx(-1)
    assert [result.terms[name] for name in ("marks", "outflow", "basis")] == [0, 0, 0]


def test_a_crash_that_recovers_has_a_peak_and_no_net_loss() -> None:
    path = prices([1, 100], (SALE, ETH, 60, Channel.EXOGENOUS), (CRASH, ETH, 100, Channel.ARBITRAGE))
    result = lost(postings(*OPENING), path)
    assert result.net == 0
    assert result.peak == 80
    assert result.path.tolist() == [0, 0, 80, 0, 0]


def test_a_run_that_only_gains_has_a_peak_of_zero() -> None:
    result = lost(postings(*OPENING), prices([1, 100], (SALE, ETH, 130, Channel.EXOGENOUS)))
    assert (result.net, result.peak, result.gains) == (-60, 0, 60)


def test_gross_losses_less_gains_are_the_net_loss() -> None:
    short = ((1, BOB, ETH, -1), (1, WORLD, ETH, 1))
    result = lost(postings(*OPENING, *short), prices([1, 100], (CRASH, ETH, 70, Channel.EXOGENOUS)))
    assert (result.gross, result.gains, result.net) == (60, 30, 30)


def test_a_holder_outside_the_perimeter_is_no_ones_loss_but_what_it_gets_is() -> None:
    paid = (SALE, ANN, USD, -10), (SALE, BOB, USD, 10)
    inside = lost(postings(*OPENING, *paid), prices([1, 100]))
    assert inside.net == 0
    without = lost(postings(*OPENING, *paid), prices([1, 100]), outside=(BOB,))
    assert without.net == 10
    assert without.terms == NOTHING | {"outflow": 10}


def test_a_claim_is_worth_its_index_times_its_underlying_asset() -> None:
    lent = books(HOLDERS, ["usd", "eth", "claim"], underlying=[-1, -1, ETH])
    journal = postings((1, ANN, 2, 10), (1, BOB, 2, -10))
    moves = prices(
        [1, 100, 1.0],
        (SALE, ETH, 90, Channel.EXOGENOUS),
        (CRASH, 2, 1.1, Channel.INTEREST),
        (REST, ETH, 80, Channel.EXOGENOUS),
        (REST, 2, 1.2, Channel.INTEREST),
    )
    result = lost(journal, moves, lent)
    assert result.start.tolist() == [0, 1000, -1000]
    assert result.end.tolist() == pytest.approx([0, 960, -960])
    assert result.net == pytest.approx(0)


def test_decimals_scale_amounts() -> None:
    cents = books(HOLDERS, ["usd", "eth"], decimals=[2, 3])
    journal = postings((1, WORLD, ETH, -1500), (1, ANN, ETH, 1500))
    assert lost(journal, prices([1, 100], (CRASH, ETH, 80, Channel.EXOGENOUS)), cents).net == pytest.approx(30)


def test_members_of_a_population_add_up() -> None:
    journal = postings((1, WORLD, ETH, -7), (1, ANN, ETH, 3, 0), (1, ANN, ETH, 4, 1))
    assert lost(journal, prices([1, 100], (CRASH, ETH, 90, Channel.EXOGENOUS))).net == 70


def test_balances_that_differ_from_the_journal_break_the_identity() -> None:
    journal = postings(*OPENING)
    wrong = closing(journal)
    wrong["balance"][1] -= 1
    assert losses(journal, prices([1, 100]), wrong, PAIR, 5).error() == pytest.approx(1 / 600, rel=0.01)


def test_nothing_held_is_nothing_lost() -> None:
    result = lost(postings(), prices([1, 100], (CRASH, ETH, 80, Channel.EXOGENOUS)))
    assert (result.net, result.gross, result.gains, result.peak) == (0, 0, 0, 0)
    assert math.isfinite(result.error())
