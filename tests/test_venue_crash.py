"""The scenario `venue-crash`: what it must show, from rules alone, on its reduced crowd."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from contagion.assembly import build
from contagion.metrics.losses import shortfalls
from contagion.runs import Run
from contagion.scenario import load
from contagion.study.twins import run
from contagion.units import SECOND
from tests.test_configs import reduced

ALTCOINS = ("xrp", "doge", "sol", "sui", "link")
STUB = 0.1
"""Where the lowest stub quotes of the spot books rest, relative to the opening price."""


@cache
def crash(*knock_outs: str) -> Run:
    if not knock_outs:
        return reduced("venue-crash")
    return run(load("venue-crash", reduced=True), knock_outs=knock_outs, twins=False)


def rows(result: Run, kind: str) -> np.ndarray[Any, Any]:
    names = result.books.kinds
    return np.flatnonzero(result.tables["events"]["kind"] == (names.index(kind) if kind in names else -1))


def feed(result: Run, name: str) -> dict[str, np.ndarray[Any, Any]]:
    """Return one feed's (seconds, price, depth), the last row of every event."""
    prices = result.tables["prices"]
    own = np.flatnonzero(prices["market"] == result.books.feeds.index(name))
    own = own[np.r_[np.diff(prices["event"][own]) > 0, True]]
    return {
        "seconds": prices["time_us"][own] / SECOND, "price": prices["price"][own],
        "depth": prices["bid_depth"][own] + prices["ask_depth"][own],
    }  # fmt: skip


def at(series: dict[str, np.ndarray[Any, Any]], column: str, second: float) -> float:
    return float(series[column][np.searchsorted(series["seconds"], second, side="right") - 1])


def swept(result: Run) -> list[str]:
    """Return the altcoins whose spot price has been at the lowest stub quotes."""
    prices = {coin: feed(result, f"{coin}-spot")["price"] for coin in ALTCOINS}
    return [coin for coin, price in prices.items() if price.min() <= 1.01 * STUB * price[0]]


def test_crowds_that_are_drawn_once_for_a_run_and_its_twins_are_those_of_each_alone() -> None:
    model = load("venue-crash", reduced=True, keep=True)
    opened, end_us = model.opened(), 200 * SECOND
    assert opened is not None and model.opened() is None
    result = run(model, until_us=end_us, opened=opened)
    alone = {}
    for twin in ("base", "frozen"):
        sim = build(model.graph(), twin=twin)
        sim.run(end_us)
        alone[twin] = sim.log.digest()
    assert result.facts["failures"]
    assert alone == {"base": result.manifest["digest"], "frozen": result.summary.twins.frozen.digest}


def test_nothing_fails_without_the_shock() -> None:
    assert crash().summary.twins.control.failures == 0


def test_makers_leave_past_their_limits_and_take_nine_tenths_of_the_depth_with_them() -> None:
    result = crash()
    events = result.tables["events"]
    left = rows(result, "maker-withdrawal")
    assert {result.books.holders[node] for node in events["node"][left].tolist()} == {f"maker-{n}" for n in "abcde"}
    assert events["quantity"][left].sum() > 1_000
    for market in ("btc-perp", "eth-perp", "xrp-perp", "xrp-spot"):
        series = feed(result, market)
        first = events["time_us"][left].min() / SECOND
        before = at(series, "depth", first - 5)
        assert series["depth"][series["seconds"] > first].min() <= 0.1 * before, market


def test_altcoins_are_swept_to_the_stub_quotes_and_recover_in_part_when_makers_return() -> None:
    result = crash()
    assert len(swept(result)) >= 3
    for coin in swept(result):
        price = feed(result, f"{coin}-spot")["price"]
        assert 0.5 * price[0] < price[-1] < 0.95 * price[0], coin
    events = result.tables["events"]
    left, quoted = (events["time_us"][rows(result, kind)] for kind in ("maker-withdrawal", "quote"))
    assert (quoted > left.max() + 120 * SECOND).sum() > 100


def test_majors_fall_further_than_the_shock_but_are_not_swept() -> None:
    btc = feed(crash(), "btc-perp")
    assert 0.06 < 1 - btc["price"].min() / btc["price"][0] < 0.15


def test_liquidations_come_in_bursts() -> None:
    """Half of the value falls into a twentieth of the time."""
    events, chosen = crash().tables["events"], rows(crash(), "liquidation")
    a_second = np.bincount(events["time_us"][chosen] // SECOND, events["value"][chosen], minlength=1_800)
    assert (a_second[:120] == 0).all()
    assert np.sort(a_second)[-1_800 // 20 :].sum() > 0.5 * a_second.sum()


def test_first_the_fund_pays_then_the_winners() -> None:
    result, events = crash(), crash().tables["events"]
    paid = rows(result, "insurance")
    deleveraged = rows(result, "auto-deleveraging")
    assert result.summary.insurance_used > 0
    assert result.summary.adl.accounts > 100
    assert events["time_us"][paid[0]] < events["time_us"][deleveraged[0]]


def test_profits_of_longs_and_shorts_sum_to_zero_at_every_mark() -> None:
    """Contracts and their cost each sum to zero over all holders, so profit does at whatever mark."""
    balances, books = crash().tables["balances"], crash().books
    for number, name in enumerate(books.assets):
        if name.endswith((":contract", ":cost")):
            assert balances["balance"][balances["asset"] == number].sum() == 0, name


def test_leverage_of_makers_with_altcoins_rises_from_two_past_four_as_their_collateral_falls() -> None:
    result, events = crash(), crash().tables["events"]
    own = rows(result, "leverage")
    own = own[events["node"][own] == result.books.holders.index("maker-a")]
    path = events["quantity"][own] / 1e6
    assert path[0] == pytest.approx(2.0, abs=0.1)
    assert path.max() > 4


def test_losses_are_smaller_when_makers_may_not_leave() -> None:
    stay = crash("order-cancellation")
    assert len(rows(stay, "maker-withdrawal")) == 0
    assert stay.summary.total_losses.peak < 0.5 * crash().summary.total_losses.peak
    assert stay.summary.total_losses.net < crash().summary.total_losses.net
    assert len(swept(stay)) <= 1 < len(swept(crash()))


def test_a_sweep_is_explained_back_to_the_shock_with_the_withdrawals_that_emptied_the_book() -> None:
    result, series = crash(), crash().tables["prices"]
    own = np.flatnonzero(series["market"] == result.books.feeds.index("xrp-spot"))
    low = int(series["price"][own].argmin())
    swept = series["event"][own[low - 10 : low + 1]]
    hops = result.why(int(swept[-1])).hops
    assert hops[0].kind == "shock"
    assert {"liquidation", "sale"} & {hop.kind for hop in hops}
    parents, kinds = result.tables["contributions"], result.tables["events"]["kind"]
    named = parents["contributor"][np.isin(parents["event"], swept)]
    assert len(named)
    assert {result.books.kinds[kind] for kind in kinds[named].tolist()} == {"cancel"}


def test_the_outside_holds_contracts_from_its_stubs_and_is_never_under_water() -> None:
    result = crash()
    tables, books = result.tables, result.books
    short = shortfalls(tables["balances"], tables["prices"], books)
    assert all(holder != books.world for _, holder in short)
    own = tables["balances"]["holder"] == books.world
    held = {books.assets[asset] for asset in tables["balances"]["asset"][own].tolist()}
    assert any(name.endswith(":contract") for name in held)


def test_a_chain_counts_orders_and_not_tokens_where_orders_are_meant() -> None:
    assert str(crash().why("maker-a")).splitlines()[-1].endswith("600 orders [liquidity withdrawal]")
