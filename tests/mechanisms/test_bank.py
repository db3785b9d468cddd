"""A bank: when it fails, what its creditors book, how it is wound up, what it refuses."""

from typing import Any

import pytest

from contagion.assembly import check_graph
from contagion.finance.clearing import eisenberg_noe
from contagion.log import Channel
from contagion.metrics.bilateral import bilateral
from contagion.study.twins import run
from tests.bank_desk import CLEARS, MONEY, bank, finished, loss, money, pair, refused, rows, seller, with_coins
from tests.interbank import HOUR, clearing_graph, name, outcome
from tests.worlds import edge, graph_of

WRITES: dict[str, Any] = {"resolution": "write-down", "loss_given_default": 0.4}


def test_equity_of_nothing_survives_or_fails_by_the_tie_rule() -> None:
    assert not rows(finished(pair(10, **WRITES))[1], "default")
    assert [row["node"] for row in rows(finished(pair(10, tie="fails", **WRITES))[1], "default")] == ["debtor"]


def test_a_shortfall_up_to_the_materiality_is_no_default() -> None:
    assert not rows(finished(pair(15, materiality=5, **WRITES))[1], "default")
    assert rows(finished(pair(15.01, materiality=5, **WRITES))[1], "default")
    assert rows(finished(pair(15, materiality=5, tie="fails", **WRITES))[1], "default")


def test_a_creditor_writes_off_what_it_loses_when_news_has_reached_it() -> None:
    sim, result = finished(pair(**WRITES))
    (failed,), (written,) = rows(result, "default"), rows(result, "write-down")
    assert (failed["node"], written["node"]) == ("debtor", "creditor")
    assert written["time_us"] - failed["time_us"] == 5_000_000
    assert written["quantity"] == 2400 and written["value"] == 24_000_000
    assert money(sim, "creditor", "debtor/debt/0") == 36.0
    assert money(sim, "depositor", "debtor/debt/0") == 30.0


def test_a_write_down_is_a_transfer_from_creditor_to_debtor() -> None:
    result = run(pair(**WRITES))
    t = result.tables
    table = bilateral(t["postings"], t["prices"], t["events"]["kind"], result.books)
    names = [
        (result.books.holders[a], result.books.holders[b])
        for a, b in zip(table["loser"], table["receiver"], strict=True)
    ]
    assert dict(zip(names, table["value"].tolist(), strict=True))["creditor", "debtor"] == pytest.approx(24.0)
    assert result.facts["total_losses"]["net"] == pytest.approx(15.0)
    assert vars(result.summary.losses_by_channel).get("credit", 0.0) == pytest.approx(0.0)


def test_what_an_estate_announces_revalues_all_claims_on_it_at_once() -> None:
    sim, result = finished(pair(30, **CLEARS))
    claim = sim.assets["debtor/debt/0"]
    prices = result.tables["prices"]
    feed = result.books.feeds.index("debtor/debt/0")
    moves = prices["delta"][prices["market"] == feed][1:].tolist()
    assert moves == [-round(20 / 90 * 1e9 + 0.5)] and set(prices["channel"][prices["market"] == feed][1:].tolist()) == {
        Channel.CREDIT
    }
    assert sim.ledger.balances[sim.network.ids["creditor"]][claim] == 0


def test_debts_are_paid_pro_rata_and_the_books_close() -> None:
    sim, result = finished(pair(30, **CLEARS))
    assert money(sim, "creditor") == pytest.approx(20 + 70 * 60 / 90, abs=0.01)
    assert money(sim, "depositor") == pytest.approx(70 * 30 / 90, abs=0.01)
    assert money(sim, "debtor") == pytest.approx(0, abs=0.02)
    assert money(sim, "debtor", "usd/daylight") == 0.0
    assert [row["time_us"] // HOUR for row in rows(result, "clearing")] == [11]


def test_a_senior_class_is_paid_first() -> None:
    graph = pair(45, **CLEARS)
    graph.edges["debtor", "depositor", 0]["seniority"] = 3
    sim, _ = finished(graph)
    assert (money(sim, "depositor"), money(sim, "creditor")) == (30.0, 45.0)


def test_what_a_default_costs_leaves_everybody() -> None:
    graph = pair(30, recovery_external=0.5, **CLEARS)
    result = run(graph)
    assert [row["quantity"] for row in rows(result, "default-cost")] == [3500]
    assert result.facts["total_losses"]["deadweight"] == pytest.approx(35.0)
    assert result.facts["total_losses"]["net"] == pytest.approx(65.0)
    assert vars(result.summary.losses_by_channel) == pytest.approx({"exogenous": 30.0, "default cost": 35.0})


def test_without_a_default_all_is_paid_in_full_on_the_day() -> None:
    sim, result = finished(pair(10, **CLEARS))
    assert (money(sim, "creditor"), money(sim, "depositor"), money(sim, "debtor")) == (80.0, 30.0, 0.0)
    assert not rows(result, "default-cost") and not rows(result, "revaluation")


@pytest.mark.parametrize(("at", "hour"), [("59min", 1), ("60min", 2), ("61min", 2), ("2h", 3)])
def test_a_default_is_declared_at_the_first_cut_off_after_the_loss(at: str, hour: int) -> None:
    graph = pair(**CLEARS)
    graph.graph["shocks"][0]["at"] = at
    (failed,) = rows(finished(graph)[1], "default")
    assert failed["time_us"] == hour * HOUR


def test_who_is_whole_again_by_the_cut_off_is_not_declared() -> None:
    graph = with_coins(pair(0, **CLEARS), 1)
    graph.graph["shocks"] = [
        loss("debtor", 12), {"kind": "reprice", "asset": "eth", "size": -0.9, "at": "2min"},
        {"kind": "reprice", "asset": "eth", "size": 8, "at": "50min"},
    ]  # fmt: skip
    assert not rows(finished(graph)[1], "default")
    graph.graph["shocks"][2]["at"] = "61min"
    assert [row["time_us"] for row in rows(finished(graph)[1], "default")] == [HOUR]


def test_the_cause_of_a_default_is_what_made_the_bank_short_and_not_what_made_it_worse() -> None:
    graph = pair(**CLEARS)
    graph.graph["shocks"] = [loss("debtor", 4, "1min"), loss("debtor", 8, "2min"), loss("debtor", 9, "3min")]
    _, result = finished(graph)
    (failed,) = rows(result, "default")
    shocks = [row["event"] for row in rows(result, "shock")]
    assert failed["cause"] == shocks[1]
    assert result.tables["contributions"]["contributor"].tolist() == [shocks[0], shocks[2]]


def test_news_over_two_edges_is_written_down_once_when_the_first_arrives() -> None:
    graph = pair(**WRITES)
    graph.add_edge("debtor", "creditor", role="claims", name="second", latency="1s", quantity=10, path=())
    graph.edges["usd", "debtor", 0]["quantity"] = 110
    (written,) = rows(finished(graph)[1], "write-down")
    assert (written["quantity"], written["time_us"]) == (2800, 61_000_000)


def test_a_bank_that_is_overdrawn_after_the_settlement_can_still_fail() -> None:
    graph = with_coins(pair(50, **CLEARS), 5)
    graph.graph["shocks"].append({"kind": "reprice", "asset": "eth", "size": -0.5, "at": "15h"})
    sim, result = finished(graph)
    assert money(sim, "debtor", "usd/daylight") == -40.0
    assert [row["time_us"] for row in rows(result, "default")] == [16 * HOUR]


def test_banks_without_money_settle_a_ring_by_overdraft() -> None:
    ring = {name(number): bank(**CLEARS) for number in range(3)}
    edges = [edge("claims", name(number), name((number + 1) % 3), quantity=50) for number in range(3)]
    sim, result = finished(graph_of(MONEY | ring, edges, [], horizon_us=24 * HOUR))
    assert [row["quantity"] for row in rows(result, "clearing")] == [5000] * 3
    assert [money(sim, name(number), "usd/daylight") for number in range(3)] == [0.0] * 3


def owing_each_other(**facts: Any) -> Any:
    """Return two banks without money that owe each other 1,000, of which one owes the outside a cent before that."""
    nodes = MONEY | {name(0): bank(0.01, **CLEARS | facts), name(1): bank(0, **CLEARS | facts)}
    edges = [edge("claims", name(a), name(b), "0s", quantity=1_000) for a, b in ((0, 1), (1, 0))]
    edges.append(edge("claims", name(0), "world", quantity=0.01, seniority=1))
    return graph_of(nodes, edges, [loss(name(0), 0.01)], horizon_us=24 * HOUR)


@pytest.mark.parametrize("facts", [{"revision": "0s"}, {"revision": "1ms"}, {"revision": "0s", "settlement": "0s"}])
def test_estates_may_not_revise_each_others_payments_without_time_passing(facts: dict[str, str]) -> None:
    what = refused(owing_each_other(**facts))
    assert "bank00: 'revision' is" in what and "longer" in what


def test_two_banks_one_cent_short_lose_a_cent_a_revision_until_the_settlement() -> None:
    _, result = finished(owing_each_other(revision="1min", settlement="10h"))
    paid = [row["quantity"] for row in rows(result, "clearing")]
    (first, second), revisions = rows(result, "default"), rows(result, "revaluation")
    assert (first["time_us"], second["time_us"]) == (HOUR, 2 * HOUR)
    assert len(revisions) == 9 * 60 - 1
    assert paid[1] == revisions[-1]["quantity"] and sum(paid) == pytest.approx(2 * 100_000 - len(revisions), abs=4)


@pytest.mark.parametrize("owes", [[[0, 5, 5], [5, 0, 5], [5, 5.01, 0]], [[0, 3, 4], [4, 0, 3], [3, 4.01, 0]]])
def test_rounding_does_not_drain_a_ring_without_money(owes: list[list[float]]) -> None:
    nothing = [0.0, 0.0, 0.0]
    result = outcome(clearing_graph(owes, nothing, nothing, decimals=2, materiality=0))
    assert result.paid == pytest.approx(eisenberg_noe(owes, nothing).payments, abs=0.01)
    assert result.waves[0] == [2]


def test_an_estate_that_does_not_sell_what_it_holds_stays_overdrawn() -> None:
    graph = with_coins(pair(100, **CLEARS), 5)
    sim, _ = finished(graph)
    assert money(sim, "debtor", "usd/daylight") == pytest.approx(-50, abs=0.02)
    assert run(graph).summary.bad_debt == pytest.approx(50, abs=0.02)


def test_an_estate_that_sells_pays_out_what_the_market_gave() -> None:
    graph = with_coins(pair(insolvent_sells=True, **CLEARS), 5.2)
    graph.add_node("market", kind="impact", asset="eth", numeraire="usd", depth=1_000, fee=0.1, path=())
    graph.add_edge("debtor", "market", role="trades", latency="5s", path=())
    graph.edges["usd", "debtor", 0]["quantity"] = 40
    graph.graph["shocks"] = [{"kind": "default", "node": "debtor", "at": "1min"}]
    sim, result = finished(graph)
    (sold,), (revised,) = rows(result, "trade"), rows(result, "revaluation")
    assert (sold["time_us"], revised["time_us"]) == (65_000_000, 66_000_000)
    assert revised["quantity"] == 4000 + sold["value"]
    assert money(sim, "debtor", "usd/daylight") == 0.0


def test_an_estate_collects_what_it_hears_before_it_announces_anew() -> None:
    nodes: dict[str, Any] = MONEY | {name(number): bank(0, **CLEARS | {"revision": "1min"}) for number in range(4)}
    for number in (1, 2):
        nodes[name(number)]["balances"] = {"usd": 20 * number}
    nodes[name(3)]["balances"] = {"usd": 10}
    edges = [
        edge("claims", name(1), name(0), "10s", quantity=20), edge("claims", name(2), name(0), "30s", quantity=40),
        edge("claims", name(0), name(3), quantity=60),
    ]  # fmt: skip
    shocks = [loss(name(1), 10), loss(name(2), 20)]
    graph = graph_of(nodes, edges, shocks, horizon_us=24 * HOUR)
    result = outcome(graph)
    assert result.waves == [[1, 2], [0]]
    assert not rows(result.run, "revaluation")
    shocks.append({"kind": "default", "node": name(0), "at": "30min"})
    (revised,) = rows(outcome(graph).run, "revaluation")
    assert (revised["time_us"], revised["quantity"]) == (HOUR + 70_000_000, 3000)


def test_a_bank_that_outside_lets_fail_is_the_shock_itself() -> None:
    graph = pair(**WRITES)
    graph.graph["shocks"] = [{"kind": "default", "node": "debtor", "at": "1min"}] * 2
    _, result = finished(graph)
    assert not rows(result, "default")
    (written,) = rows(result, "write-down")
    assert (written["generation"], written["quantity"]) == (0, 2400)
    assert result.tables["events"]["cause"][written["event"]] == rows(result, "shock")[0]["event"]


def test_a_default_names_every_failed_debtor_that_it_took() -> None:
    debtors = {name(number): bank(10, **WRITES | {"loss_given_default": 1}) for number in range(2)}
    nodes: dict[str, Any] = MONEY | debtors | {name(2): bank(5, **WRITES), "depositor": {"kind": "account"}}
    edges = [edge("claims", name(number), name(2), f"{number + 1}s", quantity=10) for number in range(2)]
    edges.append(edge("claims", name(2), "depositor", quantity=12))
    shocks = [{"kind": "default", "node": name(number), "at": "1min"} for number in range(2)]
    _, result = finished(graph_of(nodes, edges, shocks))
    (failed,) = rows(result, "default")
    extra = result.tables["contributions"]
    assert failed["generation"] == 1
    assert extra["event"].tolist() == [failed["event"]]
    first, second = (row["event"] for row in rows(result, "shock"))
    assert (extra["contributor"].tolist(), result.tables["events"]["cause"][failed["event"]]) == ([first], second)


def test_a_loss_takes_no_more_than_there_is() -> None:
    sim, result = finished(pair(1_000, **CLEARS))
    assert rows(result, "shock")[0]["quantity"] == 10_000
    assert money(sim, "creditor") == 20.0


def test_who_issues_a_token_has_none_to_lose() -> None:
    graph = pair(**CLEARS)
    graph.add_node("note", kind="asset", issuer="debtor", path=())
    graph.add_edge("note", "depositor", role="holds", quantity=3, path=())
    graph.graph["shocks"] = [loss("debtor", 5, asset="note")]
    sim, result = finished(graph)
    assert rows(result, "shock")[0]["quantity"] == 0 and money(sim, "debtor", "note") == -3.0


def test_a_bank_that_is_not_at_rest_is_refused() -> None:
    graph = pair(**CLEARS)
    graph.edges["usd", "debtor", 0]["quantity"] = 89.5
    assert "not at rest: its equity is -0.50 usd" in refused(graph)
    assert "not at rest: its leverage is 10.0000" in refused(seller(leverage_limit=9, leverage_target=8))


def test_a_claim_in_another_asset_than_the_debtors_is_refused() -> None:
    graph = pair(**CLEARS)
    graph.add_node("eth", kind="asset", path=())
    graph.edges["debtor", "depositor", 0]["asset"] = "eth"
    assert "owes 'usd' and nothing else" in refused(graph)


@pytest.mark.parametrize("facts", [{"resolution": "write-down"}, {"asset": "eur"}])
def test_banks_that_owe_each_other_have_one_money_and_one_resolution(facts: dict[str, Any]) -> None:
    graph = pair(**CLEARS)
    graph.add_node("eur", kind="asset", path=())
    graph.nodes["creditor"].update(facts)
    assert "debtor:claims:creditor" in (what := refused(graph)) and "one 'asset' and one 'resolution'" in what


@pytest.mark.parametrize("date", ["clearing", "declaration", "settlement"])
def test_banks_that_owe_each_other_have_the_same_dates(date: str) -> None:
    graph = pair(**CLEARS)
    graph.nodes["creditor"][date] = "7h"
    assert "debtor:claims:creditor" in (what := refused(graph)) and "one 'clearing', one 'declaration'" in what


def test_a_holding_without_one_price_is_refused() -> None:
    graph = seller()
    graph.remove_edge("loan", "bank", next(key for key, d in graph["loan"]["bank"].items() if d["role"] == "prices"))
    assert 'loan:holds:bank": the bank holds it and reads 0 prices' in refused(graph)
    graph = seller()
    graph.add_edge("a", "bank", role="prices", path=())
    assert 'a:holds:bank": the bank holds it and reads 2 prices' in refused(graph)


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({"declaration": "0s"}, "cannot be 0"),
        ({"leverage_target": 3}, "needs a 'leverage_limit'"),
        ({"leverage_limit": 3, "leverage_target": 4}, "not above its limit 3"),
        ({"leverage_limit": 0.5}, "at least 1"),
        ({"tie": "maybe"}, "survives"),
        ({"loss_given_default": 1.1}, "less than or equal to 1"),
    ],
)
def test_impossible_parameters_are_refused(facts: dict[str, Any], what: str) -> None:
    assert any(what in finding.what for finding in check_graph(pair(**facts)))


def test_only_a_bank_can_fail_by_a_word_from_outside() -> None:
    graph = pair(**CLEARS)
    graph.graph["shocks"] = [{"kind": "default", "node": "depositor"}]
    assert "is no bank" in refused(graph)


def test_only_who_has_something_of_its_own_can_lose_it_and_no_more_than_can_be_counted() -> None:
    graph = seller()
    graph.graph["shocks"] = [loss("market-a", 5, asset="a")]
    assert "belongs to others" in refused(graph)
    graph.graph["shocks"] = [loss("bank", 1e18)]
    assert "than can be counted" in refused(graph)


def test_a_bank_that_owes_nothing_any_more_settles_nothing() -> None:
    graph = pair(10, **CLEARS)
    for _, _, data in graph.edges(data=True):
        data |= {"quantity": 0} if data["role"] == "claims" else {}
    assert not rows(finished(graph)[1], "clearing")
