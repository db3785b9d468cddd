"""Accounts at an exchange: equity by hand, calls, breaches, and the six steps of an interval in their order."""

from typing import Any

import pytest

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.log import Channel
from contagion.units import SECOND
from contagion.venues import BUY, SELL
from tests.desk import ETH, PERP, SPOT, USD, Holding, desk, desk_graph, fall, share, who, worth
from tests.sight import held, node, price, rows, settle
from tests.venue_worlds import add_maker, venue
from tests.venue_worlds import fall as falling
from tests.worlds import edge, graph_of

TIERS = ((0, 0.01), (50_000, 0.02))
RATIOS = {"ratios": [[0, 0.9], [10_000, 0.5]], "loan_maintenance": 0.1}
HEDGED = Holding(-33_000, -4, 2_000, 20)
"""A short with a loan against coins, so that a fall breaches it."""
AS_NAMED_OR_CROWD = pytest.mark.parametrize("crowd", [False, True], ids=["named", "crowd"])


def facts(sim: Any, name: str) -> tuple[float, float, float]:
    roster = node(sim, "exchange").roster
    left, equity, maintenance = roster.facts(sim.network.ids[name], roster.prices())
    return left / USD, equity / USD, maintenance / USD


# ---------------------------------------------------------------------------------------------- what counts


def test_equity_counts_coins_at_their_ratios_and_maintenance_by_tiers() -> None:
    sim = desk({"ann": Holding(5_000, 40, 1_990, 10)}, tiers=TIERS, coin=RATIOS, trigger=1.05)
    equity = 5_000 + 40 * 10 + 10_000 * 0.9 + 10_000 * 0.5
    maintenance = 1.05 * (50_000 * 0.01 + 30_000 * 0.02)
    assert facts(sim, "ann") == pytest.approx((equity - maintenance, equity, maintenance))
    fall(sim, 1_800)
    equity = 5_000 - 40 * 190 + 10_000 * 0.9 + 8_000 * 0.5
    maintenance = 1.05 * (50_000 * 0.01 + 22_000 * 0.02)
    assert facts(sim, "ann") == pytest.approx((equity - maintenance, equity, maintenance))


def test_a_loan_is_asked_for_more_than_itself() -> None:
    sim = desk({"ann": Holding(-3_000, coins=5), "bob": Holding(9_000, coins=-2)}, coin=RATIOS)
    assert facts(sim, "ann") == pytest.approx((9_000 - 3_000 - 150, 9_000 - 3_000, 150))
    assert facts(sim, "bob") == pytest.approx((9_000 - 4_000 - 400, 9_000 - 4_000, 400))


def test_leverage_is_gross_assets_over_equity_without_haircuts() -> None:
    sim = desk({"ann": Holding(-5_000, 0, 0, 5)})
    leverage, equity = node(sim, "exchange").leverage(sim.network.ids["ann"])
    assert (leverage, equity) == pytest.approx((10_000 / 5_000, 5_000 * USD))
    fall(sim, 1_500)
    assert node(sim, "exchange").leverage(sim.network.ids["ann"])[0] == pytest.approx(7_500 / 2_500)


@AS_NAMED_OR_CROWD
def test_at_its_maintenance_an_account_stands_and_below_it_falls(crowd: bool) -> None:
    sim = desk({"ann": Holding(1_990, 10)}, bids=[(1_990, 100)], crowd=crowd)
    at = (20_000 - 1_990) / 9.9
    fall(sim, round(at + 0.001, 3))
    assert not rows(sim, "liquidation")
    fall(sim, round(at - 0.001, 3))
    assert [who(sim, row) for row in rows(sim, "liquidation")] == ["ann"]


def test_nobody_may_be_in_breach_at_the_start() -> None:
    with pytest.raises(BadInput, match=r"nodes\.ann: is not at rest: is in breach .* \(1 accounts are\)"):
        desk({"ann": Holding(100, 10)})
    with pytest.raises(BadInput, match=r"nodes\.crowd: is not at rest: member 1 is in breach"):
        desk({"ann": Holding(5_000, 10), "bob": Holding(100, 10)}, crowd=True)


def test_a_position_comes_in_whole_lots() -> None:
    with pytest.raises(BadInput, match=r"nodes\.ann: has a position of no whole lots at 'eth-perp'"):
        desk({"ann": Holding(5_000, 0.005)})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"settlement": "eth"}, r"nodes\.exchange\.settlement: 'eth' must be worth one unit of the currency"),
        ({"contracts": {"eth-spot": {}}}, r"contracts\.eth-spot: 'eth-spot' is no book of perpetuals"),
        ({"assets": {"eth": {"market": "eth-perp"}}}, r"assets\.eth\.market: 'eth-perp' is no spot book of 'eth'"),
        ({"assets": {"eth": {"sources": {"fund": 1}}}}, r"assets\.eth\.sources\.fund: 'fund' is no feed that reaches"),
        ({"slice": 0}, "'slice' is a share above 0"),
        ({"order_limit": "none"}, "orders without a limit leave no position to close"),
        ({"interval": "0s"}, "the engine's 'interval' cannot be 0"),
        ({"halts": [{"start": "2s", "end": "1s"}]}, "a halt ends after it starts"),
        ({"contracts": {"eth-perp": {"tiers": [[0, 0.02], [5, 0.01]]}}}, "rates must rise"),
        ({"contracts": {"eth-perp": {"clamp": 0.1}}}, "'clamp' and 'wide' refer to an 'index'"),
    ],
)
def test_terms_that_make_no_sense_are_refused_by_their_path(change: dict[str, Any], match: str) -> None:
    graph = desk_graph({})
    graph.nodes["exchange"].update(change)
    with pytest.raises(BadInput, match=match):
        build(graph)


# -------------------------------------------------------------------------------------------------- calls


def test_a_call_comes_before_a_breach_and_once_until_it_has_recovered() -> None:
    sim = desk({"ann": Holding(1_000, 10)}, tiers=((0, 0.02),), call_at=2)
    fall(sim, 1_980)
    assert not rows(sim, "margin-call")
    fall(sim, 1_970)
    fall(sim, 1_965)
    (call,) = rows(sim, "margin-call")
    (mark_,) = [row for row in rows(sim, "mark") if row.id == call.cause]
    assert (call.node, call.time_us, mark_.price, mark_.node) == ("ann", 2 * SECOND, price(1_970), "exchange")
    fall(sim, 1_990)
    fall(sim, 1_970)
    assert len(rows(sim, "margin-call")) == 2 and not rows(sim, "liquidation")


def test_who_falls_through_both_at_once_is_called_before_it_is_liquidated() -> None:
    sim = desk({"ann": Holding(1_000, 10)}, bids=[(1_900, 10)])
    fall(sim, 1_905)
    call, liquidation = rows(sim, "margin-call", "liquidation")
    assert (call.kind, liquidation.kind) == ("margin-call", "liquidation") and call.cause == liquidation.cause


# ------------------------------------------------------------------------------------------------ the six steps


def test_the_six_steps_come_in_their_order_each_caused_by_what_came_before() -> None:
    accounts = {"ann": Holding(2_000, 20), "bob": Holding(2_500, 20), "cat": HEDGED, "win": Holding(40_000, -40)}
    sim = desk(accounts, bids=[(1_880, 10)], fund=None, tiers=((0, 0.02),))
    ann = sim.network.ids["ann"]
    ladder = {BUY: ([price(1_000)], [ETH])}
    node(sim, PERP).quote_ladders(ann, ladder, cause=sim.shock(ann), channel=Channel.EXOGENOUS)
    shock = fall(sim, 1_890)
    steps = [row for row in rows(sim) if row.id > shock]
    assert [(row.kind, row.node) for row in steps] == [
        ("mark", "exchange"), ("mark", "exchange"),
        ("margin-call", "ann"), ("margin-call", "bob"), ("margin-call", "cat"),
        ("cancel", "ann"),
        ("liquidation", "ann"), ("liquidation", "bob"), ("liquidation", "cat"),
        ("cross", "exchange"),
        ("trade", PERP),
        ("auto-deleveraging", "win"), ("deleveraging", "exchange"),
    ]  # fmt: skip
    kind = {row.id: row.kind for row in steps}
    behind = {row.kind: kind.get(row.cause) for row in steps}
    assert behind == {
        "mark": None, "margin-call": "mark", "cancel": "mark", "liquidation": "mark", "cross": "liquidation",
        "trade": "liquidation", "auto-deleveraging": "liquidation", "deleveraging": "auto-deleveraging",
    }  # fmt: skip
    assert {row.cause for row in rows(sim, "mark")} == {shock}
    assert {row.generation for row in rows(sim, "liquidation")} == {1}
    assert {row.generation for row in rows(sim, "auto-deleveraging")} == {2}


def test_orders_of_a_breached_account_go_on_every_book_before_its_position_is_closed() -> None:
    nodes, edges = venue(funding_interval="0s")
    nodes["whale"] = {"kind": "account"}
    edges.append(edge("margin", "exchange", "whale", balances={"usd": 10_000}, positions={PERP: {"quantity": 50}}))
    add_maker(nodes, edges)
    sim = build(graph_of(nodes, edges, [falling(-0.15)]))
    sim.run(0)
    whale = sim.network.ids["whale"]
    for market in (PERP, SPOT):
        cause = sim.shock(whale)
        node(sim, market).quote_ladders(whale, {BUY: ([price(1_210)], [ETH])}, cause=cause, channel=1)
    sim.run(60 * SECOND)
    cancels = [row for row in rows(sim, "cancel") if row.node == "whale"]
    (first, *_) = rows(sim, "liquidation")
    assert sorted(row.market for row in cancels) == [PERP, SPOT]
    assert all(row.id < first.id and row.time_us == first.time_us and row.cause == first.cause for row in cancels)
    assert node(sim, PERP).resting(whale) == node(sim, SPOT).resting(whale) == (0, 0)


@AS_NAMED_OR_CROWD
def test_opposite_sides_of_a_cohort_cross_at_the_mark(crowd: bool) -> None:
    accounts = {"ann": Holding(1_000, 10), "bob": HEDGED}
    sim = desk(accounts, bids=[(1_902, 100)], crowd=crowd, tiers=((0, 0.02),))
    fall(sim, 1_905)
    (cross,), (trade,) = rows(sim, "cross"), rows(sim, "trade")
    assert (cross.quantity, cross.price, cross.value) == (4 * ETH, price(1_905), 4 * 1_905 * USD)
    assert trade.quantity == -6 * ETH and cross.id < trade.id
    assert share(sim, "bob") == ((HEDGED.cash + 4 * 95) * USD, 0, 0, 20 * ETH)
    assert share(sim, "ann") == ((1_000 - 4 * 95 - 6 * 98) * USD, 0, 0, 0)


@AS_NAMED_OR_CROWD
def test_orders_share_a_level_pro_rata_and_get_one_price(crowd: bool) -> None:
    accounts = {"ann": Holding(1_050, 10), "bob": Holding(3_150, 30)}
    sim = desk(accounts, bids=[(1_905, 8), (1_900, 400)], crowd=crowd)
    fall(sim, 1_910)
    (trade,) = rows(sim, "trade")
    assert trade.quantity == -40 * ETH and trade.value == (8 * 1_905 + 32 * 1_900) * USD
    paid = [share(sim, name).cash - cash for name, cash in (("ann", -18_950 * USD), ("bob", -56_850 * USD))]
    assert paid[1] == 3 * paid[0] and sum(paid) == trade.value


@AS_NAMED_OR_CROWD
def test_no_order_fills_beyond_its_limit_and_who_has_more_to_lose_drops_out_later(crowd: bool) -> None:
    accounts = {"ann": Holding(1_000, 10), "bob": Holding(1_300, 10), "cat": Holding(1_500, 10)}
    sim = desk(accounts, bids=[(1_899, 3), (1_880, 6), (1_860, 30)], crowd=crowd)
    fall(sim, 1_865)
    (trade,), (passed,) = rows(sim, "trade"), rows(sim, "insurance")
    assert (trade.quantity, trade.value) == (-14.5 * ETH, (3 * 1_899 + 6 * 1_880 + 5.5 * 1_860) * USD)
    assert passed.quantity == 15.5 * ETH
    assert passed.price == pytest.approx(price((10 * 1_900 + 5.5 * 1_870) / 15.5), rel=1e-9)
    left = {name: share(sim, name).cash / USD for name in accounts}
    assert left == pytest.approx({"ann": 0, "bob": 4.5 * 29 - 3 * 19, "cat": 218.5}, abs=1e-5)
    assert all(share(sim, name)[1:] == (0, 0, 0) for name in accounts)


def test_a_large_position_is_closed_slice_by_slice() -> None:
    sim = desk({"ann": Holding(11_000, 100)}, bids=[(1_890, 1_000)], slice=0.25, slice_above=50_000)
    fall(sim, 1_895, seconds=1)
    assert [row.quantity for row in rows(sim, "liquidation")] == [25 * ETH]
    first = share(sim, "ann")
    assert first.contracts == 75 * ETH and first.cost == -75 * 2_000 * USD
    settle(sim, 10)
    sizes = [row.quantity for row in rows(sim, "liquidation")]
    assert sizes[:2] == [25 * ETH, round(18.75 * ETH)] and len(sizes) < 10
    assert [row.first for row in rows(sim, "liquidation")] == [1] + [0] * (len(sizes) - 1)


def test_an_account_that_is_well_again_keeps_the_rest_of_its_position() -> None:
    sim = desk({"ann": Holding(12_000, 100)}, bids=[(1_895, 1_000)], slice=0.5, slice_above=50_000)
    fall(sim, 1_896)
    settle(sim, 30)
    assert share(sim, "ann").contracts > 0
    assert facts(sim, "ann")[0] >= 0


@AS_NAMED_OR_CROWD
def test_missing_cash_is_raised_by_selling_coins_and_no_more_than_needed(crowd: bool) -> None:
    accounts = {"ann": Holding(-16_000, coins=10)}
    sim = desk(accounts, spot=([(1_850, 4), (1_800, 50)], ()), crowd=crowd)
    fall(sim, 1_860)
    (liquidation,), (trade,) = rows(sim, "liquidation"), rows(sim, "trade")
    assert liquidation.market == SPOT and liquidation.cause in {row.id for row in rows(sim, "mark")}
    assert -trade.quantity == liquidation.quantity and liquidation.value == liquidation.quantity * 1_860
    own = share(sim, "ann")
    assert 0 <= own.cash <= 0.03 * 1_860 * USD and own.coins == 10 * ETH + trade.quantity
    assert who(sim, liquidation) == "ann" and not rows(sim, "insurance")


@AS_NAMED_OR_CROWD
def test_borrowed_coins_are_bought_back(crowd: bool) -> None:
    sim = desk({"ann": Holding(11_000, coins=-5), "bob": Holding(coins=9)}, spot=((), [(2_150, 50)]), crowd=crowd)
    fall(sim, 2_110)
    (liquidation,) = rows(sim, "liquidation")
    assert liquidation.quantity == -5 * ETH
    assert share(sim, "ann") == ((11_000 - 5 * 2_150) * USD, 0, 0, 0)


def test_coins_with_the_highest_ratio_go_first() -> None:
    graph = desk_graph({"ann": Holding(-14_000, coins=5)}, spot=([(1_800, 100)], ()))
    graph.add_node("btc", kind="asset", decimals=6, price=10_000, path=("nodes", "btc"))
    stubs = [{"at": 0.9, "quantity": 100}]
    graph.add_node("btc-spot", kind="order_book", asset="btc", numeraire="usd", stubs=stubs, path=("nodes", "btc-spot"))
    graph.nodes["exchange"]["assets"]["btc"] = {"ratios": [[0, 0.95]], "market": "btc-spot"}
    for source, target, role in (("exchange", "btc-spot", "trades"), ("btc-spot", "exchange", "prices")):
        graph.add_edge(source, target, role=role, path=("edges", 99))
    next(d for *_, d in graph.edges("exchange", data=True) if d.get("balances", {}).get("usd") == -14_000)["balances"][
        "btc"
    ] = 0.9
    sim = build(graph)
    sim.run(0)
    fall(sim, 1_300)
    assert [row.market for row in rows(sim, "liquidation")] == ["btc-spot", SPOT]
    assert held(sim, "ann", "btc@exchange") == 0


def test_where_nobody_bids_the_engine_tries_again_without_saying_so() -> None:
    sim = desk({"ann": Holding(-16_000, coins=10)})
    fall(sim, 1_800, seconds=60)
    assert not rows(sim, "liquidation", "unfilled", "insurance")
    maker = sim.network.ids["fund"]
    cause = sim.shock(maker)
    node(sim, SPOT).quote_ladders(maker, {BUY: ([price(1_790)], [20 * ETH])}, cause=cause, channel=1)
    settle(sim, 2)
    assert [row.market for row in rows(sim, "liquidation")] == [SPOT]


def test_without_limits_an_empty_book_leaves_the_position_open_and_the_rest_is_logged() -> None:
    facts_ = {"order_limit": "none", "deleveraging": {"ranking": "pro-rata", "settlement": "haircut"}}
    sim = desk({"ann": Holding(1_000, 10)}, bids=[(1_890, 4)], **facts_)
    fall(sim, 1_905, seconds=30)
    (liquidation,), (rest,) = rows(sim, "liquidation"), rows(sim, "unfilled")
    assert (liquidation.quantity, rest.quantity, share(sim, "ann").contracts) == (10 * ETH, 6 * ETH, 6 * ETH)


def test_a_liquidation_fee_goes_to_the_fund_from_what_is_left() -> None:
    sim = desk({"ann": Holding(1_500, 10)}, bids=[(1_890, 100)], liquidation_fee="1%", tiers=((0, 0.05),))
    before = worth(sim, "fund")
    fall(sim, 1_905)
    (fee,) = rows(sim, "liquidation-fee")
    assert fee.value == 189 * USD and fee.channel == Channel.PENALTY
    assert worth(sim, "fund") == before + fee.value
    assert share(sim, "ann").cash == (1_500 - 1_100) * USD - fee.value


def test_who_has_nothing_left_pays_no_fee() -> None:
    sim = desk({"ann": Holding(1_000, 10)}, bids=[(1_900, 100)], liquidation_fee="1%")
    fall(sim, 1_905)
    assert share(sim, "ann").cash == 0 and not rows(sim, "liquidation-fee")


def test_both_sides_of_the_book_serve_a_short_as_well_as_a_long() -> None:
    sim = desk({"ann": Holding(1_000, -10)}, asks=[(2_095, 4), (2_120, 50)])
    fall(sim, 2_090)
    (trade,), (passed,) = rows(sim, "trade"), rows(sim, "insurance")
    assert trade.quantity == 4 * ETH and passed.quantity == -6 * ETH
    assert share(sim, "ann").contracts == 0 and node(sim, PERP).best(SELL) == price(2_120)


def test_a_frozen_engine_liquidates_nobody() -> None:
    sim = build(desk_graph({"ann": Holding(1_000, 10)}, bids=[(1_890, 100)]), twin="frozen")
    sim.run(0)
    fall(sim, 1_000, seconds=10)
    assert not rows(sim, "liquidation", "margin-call") and rows(sim, "mark")


def test_coins_may_be_sold_into_a_market_that_is_a_law() -> None:
    graph = desk_graph({"ann": Holding(-16_000, coins=10), "bob": Holding(9_000)})
    for name in set(graph.nodes[SPOT]) - {"kind", "path"}:
        del graph.nodes[SPOT][name]
    graph.nodes[SPOT].update(kind="impact", asset="eth", numeraire="usd", law="absolute", depth=1)
    sim = build(graph)
    sim.members = {}
    sim.run(0)
    fall(sim, 1_850)
    (trade,) = rows(sim, "trade")
    sold = -trade.quantity / ETH
    assert trade.value == pytest.approx(sold * (2_000 - sold / 2) * USD, rel=1e-9)
    assert share(sim, "ann").coins == 10 * ETH + trade.quantity and 0 <= share(sim, "ann").cash < USD
