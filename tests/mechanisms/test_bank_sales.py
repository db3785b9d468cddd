"""A bank above its leverage limit: what it repays with, what it sells, when it stops."""

import pytest

from contagion.study.twins import run
from tests.bank_desk import finished, loss, money, rows, seller


def test_a_bank_above_its_limit_repays_from_money_first_and_sells_the_same_part_of_all_for_the_rest() -> None:
    _, result = finished(seller())
    breach = rows(result, "forced-unwind")[0]
    assert breach["quantity"] == 190_000_000 - 10 * 10_000_000
    assert rows(result, "repayment")[0]["quantity"] == 20_000_000
    sold = [row["quantity"] for row in rows(result, "trade")][:2]
    assert sold == [70_000_000 * 100 // 150, 70_000_000 * 50 // 150]
    assert rows(result, "trade")[0]["time_us"] - breach["time_us"] == 2_000_000


def test_a_bank_at_its_limit_sells_nothing() -> None:
    assert not rows(finished(seller(lost=3.63))[1], "forced-unwind")
    assert rows(finished(seller(lost=3.64))[1], "forced-unwind")


def test_money_that_is_enough_spares_the_market() -> None:
    _, result = finished(seller(cash=200, lost=8, leverage_limit=30, leverage_target=20))
    assert rows(result, "repayment") and not rows(result, "trade")


def test_a_bank_without_equity_sells_everything_or_nothing() -> None:
    assert not rows(finished(seller(lost=25))[1], "trade")
    sim, result = finished(seller(lost=25, insolvent_sells=True))
    assert [row["quantity"] for row in rows(result, "trade")] == [100_000_000, 50_000_000]
    assert not rows(result, "repayment") and money(sim, "bank") == pytest.approx(20 + 150, rel=0.01)


def test_what_is_on_its_way_to_the_market_is_not_sold_twice() -> None:
    graph = seller()
    graph.graph["shocks"].append(loss("bank", 3, "61s", asset="loan"))
    _, result = finished(graph)
    breaches = [row["time_us"] for row in rows(result, "forced-unwind")]
    assert breaches[:2] == [60_000_000, 63_000_000]
    assert [row["time_us"] for row in rows(result, "trade")][:2] == [62_000_000] * 2


def test_debt_to_other_banks_is_not_repaid_early() -> None:
    graph = seller()
    graph.add_node("lender", kind="bank", asset="usd", resolution="write-down", path=())
    graph.edges["bank", "depositor", 0]["quantity"] = 170
    graph.add_edge("bank", "lender", role="claims", quantity=10, path=())
    sim, result = finished(graph)
    assert rows(result, "repayment")
    assert money(sim, "lender", "bank/debt/0") == 10.0


def test_what_a_sale_does_to_the_price_is_booked_through_its_channel() -> None:
    result = run(seller())
    assert vars(result.summary.losses_by_channel)["deleveraging"] > 0
