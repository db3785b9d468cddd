"""What happened at venues, on logs of a few rows."""

from typing import Any

import numpy as np
import pytest

from contagion.log import PRICE_LAYOUT, Channel
from contagion.metrics import venues
from contagion.metrics.attribution import TRANSFERS
from contagion.runs import Books
from contagion.units import PRICE_SCALE
from tests.handmade import Columns, books, events, table

HOLDERS = ["world", "crowd", "maker", "lender", "fund", "btc-perp", "eth-spot"]
WORLD, CROWD, MAKER, LENDER, FUND, PERP, SPOT = range(len(HOLDERS))
ASSETS = ["usd", "btc", "btc-perp:contract"]
USD, BTC, CONTRACT = range(3)
NAMES: Books = books(HOLDERS, ASSETS, feeds=HOLDERS, decimals=[6, 8, 8], currency_decimals=2)
GRAPH: dict[str, Any] = {
    "nodes": [
        {"id": "exchange", "kind": "exchange", "assets": {"btc": {}}},
        {"id": "btc-perp", "kind": "order_book", "asset": "btc"},
        {"id": "eth-spot", "kind": "amm", "assets": ["btc", "usd"]}, {"id": "crowd", "kind": "population"},
    ],
    "edges": [
        {"source": "exchange", "target": "btc-perp", "role": "trades"},
        {"source": "crowd", "target": "eth-spot", "role": "trades"},
    ],
}  # fmt: skip


def activity(*rows: Columns) -> dict[str, Any]:
    return venues.activity(events({"kind": "start", "cause": 0}, *rows), depths(), NAMES, GRAPH)


def depths(*rows: tuple[int, int, int, int]) -> Columns:
    """Return prices of (feed, seconds, bids, asks)."""
    names = ("market", "time_us", "bid_depth", "ask_depth")
    return table(PRICE_LAYOUT, [dict(zip(names, row, strict=True)) | {"price": PRICE_SCALE} for row in rows])


def liquidation(market: int, asset: int, quantity: int, value: int, member: int = -1) -> Columns:
    return {
        "kind": "liquidation", "node": CROWD, "member": member, "market": market, "asset": asset, "quantity": quantity,
        "value": value,
    }  # fmt: skip


def test_a_run_in_which_nothing_happened_says_so() -> None:
    assert activity() == {
        "liquidated": {"value": 0, "accounts": 0, "count": 0, "long_share": None, "by_venue": {}, "by_market": {}},
        "cancelled": {"orders": 0, "value": 0}, "insurance_used": 0,
        "adl": {"value": 0, "accounts": 0, "uncovered": 0}, "funding": 0, "unfilled": 0, "margin_calls": 0,
        "max_leverage": {}, "depth": {},
    }  # fmt: skip


def test_a_book_belongs_to_the_exchange_that_clears_it_and_a_lender_to_itself() -> None:
    done = activity(
        liquidation(PERP, CONTRACT, 5, 1_000, 0),
        liquidation(PERP, CONTRACT, -5, 250, 1),
        liquidation(LENDER, BTC, 7, 2_000, 1),
        liquidation(SPOT, BTC, 7, 100, 0),
    )["liquidated"]
    assert done["by_venue"] == {"lender": 20, "exchange": 12.5, "eth-spot": 1}
    assert list(done["by_venue"]) == ["lender", "exchange", "eth-spot"]
    assert done["by_market"] == {"btc": 21, "btc-perp": 12.5}
    assert (done["value"], done["accounts"], done["count"]) == (33.5, 2, 4)


def test_what_was_bought_back_was_short() -> None:
    assert activity(liquidation(PERP, CONTRACT, 5, 900), liquidation(PERP, CONTRACT, -1, 300))["liquidated"][
        "long_share"
    ] == pytest.approx(0.75)


def test_the_cancellations_of_a_withdrawal_are_counted_once() -> None:
    withdrawal = {"kind": "maker-withdrawal", "node": MAKER, "cause": 1, "quantity": 30, "value": 700}
    cancels = [{"kind": "cancel", "node": MAKER, "cause": 2, "market": m, "quantity": 15, "value": 350} for m in (5, 6)]
    alone = {"kind": "cancel", "node": CROWD, "cause": 1, "market": 5, "quantity": 2, "value": 5}
    assert activity(withdrawal, *cancels, alone)["cancelled"] == {"orders": 32, "value": 7.05}


def test_the_fund_the_queue_and_what_nobody_covers_are_told_apart() -> None:
    facts = activity(
        {"kind": "insurance", "node": FUND, "value": 500},
        {"kind": "insurance", "node": FUND, "value": 25},
        {"kind": "auto-deleveraging", "node": CROWD, "member": 4, "value": 800},
        {"kind": "auto-deleveraging", "node": CROWD, "member": 4, "value": 200, "first": 0},
        {"kind": "uncovered-deficit", "node": 0, "value": 60},
    )
    assert facts["insurance_used"] == 5.25
    assert facts["adl"] == {"value": 10, "accounts": 1, "uncovered": 0.6}


def test_funding_is_open_contracts_times_what_each_paid() -> None:
    row = {"kind": "funding", "asset": CONTRACT, "quantity": 3 * 10**8, "price": 25 * PRICE_SCALE}
    assert activity(row, row | {"price": 5 * PRICE_SCALE})["funding"] == pytest.approx(90)


def test_calls_remainders_and_leverage_are_reported() -> None:
    facts = activity(
        {"kind": "margin-call", "node": CROWD},
        {"kind": "unfilled", "value": 1_234},
        {"kind": "leverage", "node": MAKER, "quantity": 2_500_000},
        {"kind": "leverage", "node": MAKER, "quantity": 4_000_000},
        {"kind": "leverage", "node": MAKER, "quantity": 1_000_000},
    )
    assert (facts["margin_calls"], facts["unfilled"], facts["max_leverage"]) == (1, 12.34, {"maker": 4.0})


def test_depth_is_both_sides_in_tokens_from_when_it_is_stated() -> None:
    one, second = 10**8, 10**6
    log = depths(
        (PERP, 0, 0, 0), (PERP, 0, 4 * one, 6 * one), (LENDER, second, 0, 0), (PERP, 3 * second, one, 2 * one),
        (PERP, 5 * second, 0, 0), (PERP, 9 * second, 4 * one, one), (SPOT, 9 * second, one, one),
    )  # fmt: skip
    assert venues.depth(log, NAMES, GRAPH) == {
        "btc-perp": {"first": 10, "low": 0, "low_time": 5, "last": 5},
        "eth-spot": {"first": 2, "low": 2, "low_time": 9, "last": 2},
    }


def test_depth_of_a_market_without_a_known_asset_is_left_out() -> None:
    assert venues.depth(depths((PERP, 0, 1, 1)), NAMES, {}) == {}


def test_a_table_of_prices_has_a_row_a_feed_that_moved() -> None:
    log = depths((SPOT, 0, 0, 0), (SPOT, 2_000_000, 0, 0), (PERP, 0, 0, 0))
    log["price"] = np.array([4, 1, 7]) * PRICE_SCALE
    found = venues.prices(log, NAMES)
    assert found["eth-spot"] == {"first": 4, "low": 1, "low_time": 2, "last": 1, "drawdown": 0.75}


def test_what_exchanges_move_goes_through_channels_of_its_own() -> None:
    assert {TRANSFERS[kind] for kind in ("liquidation-fee", "insurance", "deleveraging", "funding", "fee", "fill")} == {
        Channel.PENALTY, Channel.INSURANCE, Channel.ADL_HAIRCUT, Channel.FUNDING, Channel.FEE, Channel.SLIPPAGE,
    }  # fmt: skip
