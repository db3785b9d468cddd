"""The scenarios `usde-spiral` and `usde-effect`: two orders of one chain, from rules alone, on their reduced crowds."""

from functools import cache
from typing import Any

import pytest

from contagion.metrics.targets import compare
from contagion.runs import Run
from contagion.scenario import load
from contagion.study.twins import run
from tests.test_configs import reduced

ALTCOINS = ("xrp", "doge", "sol", "sui", "link")


@cache
def without(knock_out: str) -> Run:
    return run(load("usde-spiral", reduced=True), knock_outs=(knock_out,), twins=False)


def low(result: Run, market: str) -> float:
    return float(result.facts["prices"][market]["low"])


def worst(result: Run) -> float:
    return max(float(result.facts["prices"][f"{coin}-spot"]["drawdown"]) for coin in ALTCOINS)


def first(result: Run, link: str) -> Any:
    return result.facts["links"]["seen"][link]["first"]


def chain_happened(result: Run) -> bool:
    """Return whether the token broke on the exchange and an altcoin was swept."""
    return low(result, "usde-spot") < 0.7 and worst(result) > 0.6


def test_every_link_of_the_account_happens() -> None:
    assert all(row["first"] is not None for row in reduced("usde-spiral").facts["links"]["seen"].values())


def test_the_token_breaks_on_the_exchange_and_not_in_the_pool() -> None:
    result = reduced("usde-spiral")
    assert low(result, "usde-spot") < 0.66 and low(result, "usde-pool") > 0.95
    targets = [target.model_dump() for target in load("usde-spiral").params.targets]
    assert {row["id"]: row["inside"] for row in compare(result.facts, targets)}["usde-elsewhere"]


def test_an_altcoin_is_swept_within_minutes_and_comes_back() -> None:
    result = reduced("usde-spiral")
    assert 0.8 <= worst(result) <= 0.95
    coin = max(ALTCOINS, key=lambda coin: result.facts["prices"][f"{coin}-spot"]["drawdown"])
    price = result.facts["prices"][f"{coin}-spot"]
    assert price["low_time"] - first(result, "makers-liquidated") < 300
    assert price["last"] > 0.6 * price["first"]


def test_makers_leave_with_thousands_of_orders_and_past_leverage_three() -> None:
    result = reduced("usde-spiral")
    assert result.summary.cancelled.orders > 1_000
    assert result.facts["failures_by_kind"]["maker-withdrawal"] >= 4
    assert all(3 < result.facts["max_leverage"][f"maker-{letter}"] < 5 for letter in "abcde")


@pytest.mark.parametrize("knock_out", ["loops", "own-book-oracle", "unified-margin", "transfer-halt"])
def test_without_one_of_these_links_no_altcoin_is_swept(knock_out: str) -> None:
    assert worst(without(knock_out)) < 0.1


def test_the_tape_has_makers_and_altcoins_before_the_token() -> None:
    result = reduced("usde-effect")
    times = [
        first(result, link) for link in ("makers-leave", "makers-liquidated", "sweep", "exchange-loops", "usde-low")
    ]
    assert times == sorted(times)
    assert times[3] - times[2] > 600, "minutes lie between the sweep and the deep leg of the token"
    assert first(reduced("usde-spiral"), "exchange-loops") < first(reduced("usde-spiral"), "sweep")
