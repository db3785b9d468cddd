"""A bank above its leverage limit: what it repays with, what it sells, when it stops."""

from typing import Any

import networkx as nx
import pytest

from contagion.study.twins import run
from tests.bank_desk import finished, loss, money, refused, rows, seller


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


def by_auction(graph: nx.MultiDiGraph, **terms: Any) -> nx.MultiDiGraph:
    """Let both markets of a seller clear by auction, a minute apart."""
    for coin in "ab":
        graph.nodes[f"market-{coin}"]["auction"] = {"every": "1min"} | terms
    return graph


def test_at_an_auction_it_sells_at_the_cut_off_and_repays_with_what_that_brings() -> None:
    sim, result = finished(by_auction(seller()))
    assert [row["time_us"] for row in rows(result, "repayment")][:3] == [60_000_000, 120_000_000, 120_000_000]
    assert [row["quantity"] for row in rows(result, "trade")][:2] == [70_000_000 * 100 // 150, 70_000_000 * 50 // 150]
    assert money(sim, "bank") == 0


def test_an_order_that_waits_is_made_anew_by_what_is_heard_since() -> None:
    graph = by_auction(seller())
    graph.graph["shocks"].append(loss("bank", 3, "90s", asset="loan"))
    _, result = finished(graph)
    assert [row["time_us"] for row in rows(result, "forced-unwind")][:2] == [60_000_000, 90_000_000]
    first = [row["quantity"] for row in rows(result, "trade") if row["time_us"] == 120_000_000]
    wanted = 167_000_000 - 10 * 7_000_000  # of 190, 10 and 3 lost and 20 repaid; ten times what is left of equity
    assert first == [wanted * 100 // 150, wanted * 50 // 150]


def test_an_order_that_is_not_needed_any_more_is_taken_back() -> None:
    graph = by_auction(seller(lost=3.64))
    graph.graph["shocks"] = [
        {"kind": "reprice", "asset": "a", "size": "-5%", "at": "70s"},
        {"kind": "reprice", "asset": "a", "size": "6%", "at": "80s"},
    ]
    for coin in "ab":
        graph.add_edge(coin, f"market-{coin}", role="prices", path=())
    _, result = finished(graph)
    assert rows(result, "forced-unwind") and not rows(result, "trade")


def test_an_order_that_is_still_on_its_way_when_the_last_one_is_carried_out_is_dropped() -> None:
    graph = by_auction(seller())
    graph.graph["shocks"].append(loss("bank", 3, "119s", asset="loan"))
    _, result = finished(graph)
    sales = [(row["time_us"], row["quantity"]) for row in rows(result, "trade") if row["asset"] == "a"]
    assert sales[0] == (120_000_000, 70_000_000 * 100 // 150)
    assert sales[1][0] == 180_000_000
    later = [row["quantity"] for row in rows(result, "forced-unwind") if row["time_us"] >= 120_000_000]
    assert sales[1][1] == pytest.approx(later[0] * 2 / 3, rel=0.01)


def test_money_of_a_sale_may_wait_for_the_next_review() -> None:
    _, result = finished(by_auction(seller(deleveraging="review")))
    repaid = [(row["time_us"], row["quantity"]) for row in rows(result, "repayment")]
    brought = sum(row["value"] for row in rows(result, "trade") if row["time_us"] == 120_000_000)
    assert repaid[0] == (60_000_000, 20_000_000)
    assert repaid[1] == (121_000_000, brought)


def test_a_capital_ratio_counts_no_money_and_what_is_sold_stays_money() -> None:
    """Loans of 20 and coins of 150 for an equity of 10: 170 in place of ten times that, so that 70 must go."""
    sim, result = finished(by_auction(seller(deleveraging="keep")))
    assert not rows(result, "repayment")
    first = [row["quantity"] for row in rows(result, "trade") if row["time_us"] == 120_000_000]
    assert first == [70_000_000 * 100 // 150, 70_000_000 * 50 // 150]
    assert money(sim, "bank") == pytest.approx(20 + sum(row["value"] for row in rows(result, "trade")) / 1e6)


def test_only_debt_of_the_class_that_may_be_repaid_is() -> None:
    graph = seller(repayable=1)
    graph.edges["bank", "depositor", 0]["quantity"] = 165
    graph.add_node("lender", kind="account", path=())
    graph.add_edge("bank", "lender", role="claims", quantity=15, seniority=1, path=())
    sim, result = finished(graph)
    assert [row["quantity"] for row in rows(result, "repayment")] == [15_000_000]
    assert (money(sim, "lender", "bank/debt/1"), money(sim, "depositor", "bank/debt/0")) == (0, 165)
    assert not rows(result, "trade")


def test_what_is_sold_may_keep_the_proportions_of_the_start() -> None:
    """Of 100 and 50, the first of which is worth 80 by then, two thirds and one third of what is missing are sold."""
    graph = by_auction(seller(cash=0, sells="opening-weights"))
    graph.graph["shocks"] = [{"kind": "reprice", "asset": "a", "size": "-10%", "at": "1min"}]
    graph.add_edge("a", "market-a", role="prices", path=())
    _, result = finished(graph)
    needed = rows(result, "forced-unwind")[0]["quantity"]
    first = {row["asset"]: row["quantity"] for row in rows(result, "trade")[:2]}
    assert first["a"] * 0.9 == pytest.approx(needed * 2 / 3, abs=2) and first["b"] == pytest.approx(needed / 3, abs=2)


def test_a_bank_below_the_minimum_ratio_is_in_default_with_equity_left_and_sells_everything() -> None:
    facts = {"minimum_ratio": "5%", "insolvent_sells": True, "lost": 10.6}
    _, result = finished(by_auction(seller(**facts)))
    (default,) = rows(result, "default")
    assert default["time_us"] == 60_000_000
    assert [row["quantity"] for row in rows(result, "trade")] == [100_000_000, 50_000_000]
    assert not rows(finished(by_auction(seller(**facts | {"lost": 10.5})))[1], "default")


def test_a_ratio_exactly_at_the_minimum_keeps_it() -> None:
    assert not rows(finished(seller(lost=10, minimum_ratio="0.052631", leverage_limit=19))[1], "default")
    assert rows(finished(seller(lost=10, minimum_ratio="0.052632", leverage_limit=19))[1], "default")


def test_what_a_bank_cannot_repay_is_refused() -> None:
    assert "nodes.bank.repayable: the bank owes nothing of seniority 3, but of [0]" in refused(seller(repayable=3))
    wrong = refused(seller(deleveraging="sometimes"))
    assert "nodes.bank.deleveraging: Input should be 'repay', 'review' or 'keep'" in wrong


def test_a_bank_that_fails_before_the_cut_off_keeps_the_money_for_all_its_creditors() -> None:
    graph = by_auction(seller(insolvent_sells=True))
    graph.graph["shocks"].append({"kind": "default", "node": "bank", "at": "90s"})
    sim, result = finished(graph)
    assert [row["time_us"] for row in rows(result, "repayment")] == [60_000_000]
    assert money(sim, "bank") == pytest.approx(150, rel=0.01)
