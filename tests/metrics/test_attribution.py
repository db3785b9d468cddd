"""What each force cost each holder, on journals of a few rows."""

from typing import Any

import numpy as np
import pytest

from contagion.log import Channel
from contagion.metrics.attribution import attribution, by_channel, by_side
from contagion.metrics.losses import losses
from contagion.runs import Books
from tests.handmade import Columns, books, closing, events, postings, prices

WORLD, ANN, BOB = 0, 1, 2
USD, ETH = 0, 1
PAIR = books(["world", "ann", "bob"], ["usd", "eth"])
OPENING = ((1, WORLD, USD, -500), (1, BOB, USD, 500), (1, WORLD, ETH, -2), (1, ANN, ETH, 2))
STILL = prices([1, 100])
LOG = events(
    {"kind": "start", "cause": 0},  # 1
    {"kind": "shock", "cause": 0},  # 2
    {"kind": "trade", "cause": 2},  # 3
    {"kind": "liquidation", "cause": 3},  # 4
    {"kind": "default", "cause": 4},  # 5
    {"kind": "payment", "cause": 5},  # 6
)


def channels(journal: Columns, marks: Columns, names: Books = PAIR) -> dict[str, dict[str, float]]:
    """Return the change of equity by holder and channel, after checking that it sums to the change of equity."""
    holders, members, table = attribution(journal, marks, LOG["kind"], names)
    lost = losses(journal, marks, closing(journal), names, 7)
    assert np.allclose(table.sum(axis=1), (lost.end - lost.start)[holders], rtol=0, atol=1e-9)
    assert np.all(members == -1)
    return {names.holders[holder]: _row(row) for holder, row in zip(holders, table, strict=True)}


def _row(row: Any) -> dict[str, float]:
    return {channel.label: pytest.approx(row[channel]) for channel in Channel if abs(row[channel]) > 1e-12}


def test_a_holder_at_rest_loses_what_each_channel_moved() -> None:
    moves = prices([1, 100], (2, ETH, 90, Channel.EXOGENOUS), (4, ETH, 70, Channel.LENDING_LIQUIDATION))
    assert channels(postings(*OPENING), moves)["ann"] == {"exogenous": -20, "lending liquidation": -40}


def test_a_holder_loses_by_a_channel_only_while_it_holds() -> None:
    moves = prices([1, 100], (2, ETH, 90, Channel.EXOGENOUS), (4, ETH, 70, Channel.LENDING_LIQUIDATION))
    sold = ((3, ANN, ETH, -1), (3, BOB, ETH, 1), (3, BOB, USD, -90), (3, ANN, USD, 90))
    table = channels(postings(*OPENING, *sold), moves)
    assert table["ann"] == {"exogenous": -20, "lending liquidation": -20}
    assert table["bob"] == {"lending liquidation": -20}


def test_a_trade_away_from_the_mark_is_slippage_of_both_sides() -> None:
    sold = ((3, ANN, ETH, -1), (3, BOB, ETH, 1), (3, BOB, USD, -85), (3, ANN, USD, 85))
    table = channels(postings(*OPENING, *sold), prices([1, 100], (2, ETH, 90, Channel.EXOGENOUS)))
    assert table["ann"] == {"exogenous": -20, "slippage": -5}
    assert table["bob"] == {"slippage": 5}


def test_what_is_bought_in_the_event_that_moves_the_mark_is_not_revalued_by_it() -> None:
    bought = ((3, BOB, ETH, 1), (3, ANN, ETH, -1), (3, BOB, USD, -90), (3, ANN, USD, 90))
    table = channels(postings(*OPENING, *bought), prices([1, 100], (3, ETH, 90, Channel.PANIC)))
    assert table["ann"] == {"panic": -20}
    assert "bob" not in {name for name, row in table.items() if row}


@pytest.mark.parametrize(("event", "channel"), [(4, "penalty"), (5, "default cost"), (2, "exogenous"), (6, "none")])
def test_a_transfer_goes_through_the_channel_of_its_event(event: int, channel: str) -> None:
    table = channels(postings(*OPENING, (event, BOB, USD, -30), (event, ANN, USD, 30)), prices([1, 100]))
    assert table["ann"] == {channel: 30}
    assert table["bob"] == {channel: -30}


def test_a_price_that_recovers_keeps_what_each_channel_did() -> None:
    moves = prices([1, 100], (2, ETH, 60, Channel.EXOGENOUS), (4, ETH, 100, Channel.ARBITRAGE))
    assert channels(postings(*OPENING), moves)["ann"] == {"exogenous": -80, "arbitrage": 80}


def test_a_debtor_gains_what_the_creditor_loses() -> None:
    short = ((1, BOB, ETH, -1), (1, WORLD, ETH, 1))
    table = channels(postings(*OPENING, *short), prices([1, 100], (2, ETH, 90, Channel.FUNDING)))
    assert table["bob"] == {"funding": 10}
    assert table["world"] == {"funding": 10}


def test_a_claim_splits_into_the_price_of_its_underlying_and_its_own_index() -> None:
    lent = books(["world", "ann", "bob"], ["usd", "eth", "claim"], underlying=[-1, -1, ETH])
    journal = postings((1, WORLD, 2, -10), (1, ANN, 2, 10))
    moves = prices(
        [1, 100, 1.0],
        (2, ETH, 90, Channel.EXOGENOUS),
        (3, 2, 1.1, Channel.INTEREST),
        (4, ETH, 80, Channel.LENDING_LIQUIDATION),
    )
    assert channels(journal, moves, lent)["ann"] == {"exogenous": -100, "interest": 90, "lending liquidation": -110}


def test_in_one_event_the_price_moves_at_the_old_index_and_then_the_index_at_the_new_price() -> None:
    lent = books(["world", "ann", "bob"], ["usd", "eth", "claim"], underlying=[-1, -1, ETH])
    journal = postings((1, WORLD, 2, -10), (1, ANN, 2, 10))
    moves = prices([1, 100, 1.0], (2, 2, 1.1, Channel.INTEREST), (2, ETH, 90, Channel.EXOGENOUS))
    assert channels(journal, moves, lent)["ann"] == {"exogenous": -100, "interest": 90}


def test_each_holder_is_moved_by_the_feed_that_it_reads() -> None:
    split = books(["world", "ann", "bob"], ["usd", "eth"], feeds=["usd", "eth", "oracle"], own_marks=[(ANN, ETH, 2)])
    moves = prices([1, 100, 100], (2, 1, 50, Channel.EXOGENOUS), (3, 2, 95, Channel.DEPEG))
    table = channels(postings(*OPENING, (1, WORLD, ETH, -1), (1, BOB, ETH, 1)), moves, split)
    assert table["ann"] == {Channel.DEPEG.label: -10}
    assert table["bob"] == {"exogenous": -50}


def test_members_have_rows_of_their_own_that_sum_to_the_holders() -> None:
    journal = postings(
        (1, WORLD, ETH, -7), (1, ANN, ETH, 3, 0), (1, ANN, ETH, 4, 1), (4, ANN, ETH, -4, 1), (4, BOB, ETH, 4)
    )
    moves = prices([1, 100], (2, ETH, 90, Channel.EXOGENOUS))
    holders, members, table = attribution(journal, moves, LOG["kind"], PAIR, members=True)
    rows = {(int(h), int(m)): _row(row) for h, m, row in zip(holders, members, table, strict=True)}
    assert rows[ANN, 0] == {"exogenous": -30}
    assert rows[ANN, 1] == {"exogenous": -40, "penalty": -360}
    assert rows[BOB, -1] == {"penalty": 360}
    whole = attribution(journal, moves, LOG["kind"], PAIR)[2]
    assert np.allclose(whole.sum(axis=0), table.sum(axis=0))


def test_losses_by_channel_are_positive_for_a_loss_and_leave_out_what_did_nothing() -> None:
    moves = prices([1, 100], (2, ETH, 90, Channel.EXOGENOUS), (4, ETH, 95, Channel.ARBITRAGE))
    _, _, table = attribution(postings(*OPENING), moves, LOG["kind"], PAIR)
    assert by_channel(table[1:2]) == {"exogenous": pytest.approx(20), "arbitrage": pytest.approx(-10)}


def test_a_transfer_has_two_sides_and_costs_both_together_nothing() -> None:
    _, _, table = attribution(postings(*OPENING, (4, BOB, USD, -30), (4, ANN, USD, 30)), STILL, LOG["kind"], PAIR)
    assert by_side(table[1:]) == {"penalty": {"lost": 30.0, "gained": 30.0, "net": 0.0}}
    assert by_channel(table[1:]) == {}


def test_what_sides_leave_is_the_loss_by_channel() -> None:
    moves = prices([1, 100], (2, ETH, 90, Channel.EXOGENOUS), (4, ETH, 95, Channel.ARBITRAGE))
    _, _, table = attribution(postings(*OPENING), moves, LOG["kind"], PAIR)
    sides = by_side(table[1:2])
    assert sides["exogenous"] == {"lost": pytest.approx(20), "gained": 0.0, "net": pytest.approx(20)}
    assert {name: row["net"] for name, row in sides.items()} == pytest.approx(by_channel(table[1:2]))


def test_every_channel_of_the_model_has_a_name() -> None:
    assert {channel.label for channel in Channel} == {
        "none", "exogenous", "margin liquidation", "lending liquidation", "loop unwinding", "panic", "depeg",
        "maker inventory", "arbitrage", "liquidity withdrawal", "interest", "penalty", "slippage", "fee", "funding",
        "credit", "insurance", "adl haircut", "default cost", "deleveraging",
    }  # fmt: skip
