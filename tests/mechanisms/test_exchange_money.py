"""What an exchange marks to, and what it moves by the clock or on request: funding, interest, transfers."""

from math import exp
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.assembly import build
from contagion.ledger import Refused
from contagion.log import Channel
from contagion.units import PRICE_SCALE, SECOND
from contagion.venues import BUY, SELL
from tests.desk import ETH, PERP, SPOT, USD, Holding, desk, desk_graph, fall, share, worth
from tests.sight import books, held, node, price, reprice, rows, settle

MINUTE, HOUR = 60, 3_600
AS_NAMED_OR_CROWD = pytest.mark.parametrize("crowd", [False, True], ids=["named", "crowd"])
INDEXED = {"sources": {"eth": 1}, "index": {"eth": 1}}


def mark_of(sim: Any, asset: str) -> float:
    return float(node(sim, "exchange").feeds[sim.assets[asset]].mark.price / PRICE_SCALE)


def perp_mark(sim: Any) -> float:
    return mark_of(sim, f"{PERP}:contract")


def trade(sim: Any, market: str, maker: str, side: int, at: float, tokens: float, taker: str = "world") -> None:
    """Let a taker buy or sell what a maker rests for it."""
    own, ladder = sim.network.ids[maker], ([price(at)], [round(tokens * ETH)])
    node(sim, market).quote_ladders(own, {-side: ladder}, cause=sim.shock(own), channel=Channel.EXOGENOUS)
    taker_ = sim.network.ids[taker]
    node(sim, market).execute(taker_, side, ladder[1][0], cause=sim.shock(taker_), channel=Channel.EXOGENOUS)


# ---------------------------------------------------------------------------------------------------- marks


def test_a_coin_is_marked_to_its_own_pairs_by_weight() -> None:
    sim = desk({"ann": Holding(50_000)}, coin={"sources": {SPOT: 20, "eth": 80}})
    fall(sim, 1_500)
    assert mark_of(sim, "eth") == 0.2 * 2_000 + 0.8 * 1_500
    trade(sim, SPOT, "ann", SELL, 1_000, 5)
    settle(sim, 1)
    assert mark_of(sim, "eth") == 0.2 * 1_000 + 0.8 * 1_500


def test_all_marks_of_an_interval_are_read_at_once_when_it_ends() -> None:
    sim = desk({}, interval="5s")
    settle(sim, 2)
    shock = reprice(sim, "eth", 1_900)
    settle(sim, 2)
    assert not rows(sim, "mark") and perp_mark(sim) == 2_000
    settle(sim, 2)
    assert [(row.time_us, row.cause) for row in rows(sim, "mark")] == [(5 * SECOND, shock)] * 2


@pytest.mark.parametrize("rest", [0, 500])
def test_a_mark_is_smoothed_from_the_interval_in_which_its_source_moves(rest: int) -> None:
    sim = desk({}, contract={"ema": "10s"})
    settle(sim, rest)
    fall(sim, 1_900)
    assert perp_mark(sim) == pytest.approx(1_900 + 100 * exp(-0.1), rel=1e-5)
    settle(sim, 4)
    assert perp_mark(sim) == pytest.approx(1_900 + 100 * exp(-0.5), rel=1e-5)
    settle(sim, 200)
    assert perp_mark(sim) == 1_900
    events = len(rows(sim, "mark"))
    settle(sim, 200)
    assert len(rows(sim, "mark")) == events


def test_a_mark_is_held_within_the_clamp_of_the_index() -> None:
    sim = desk({"ann": Holding(50_000)}, contract={"sources": {PERP: 1}, "index": {"eth": 1}, "clamp": "5%"})
    trade(sim, PERP, "ann", SELL, 1_500, 1)
    settle(sim, 1)
    assert perp_mark(sim) == 1_900
    trade(sim, PERP, "ann", BUY, 1_950, 1)
    settle(sim, 1)
    assert perp_mark(sim) == 1_950


def test_an_empty_or_wide_book_gives_way_to_the_index() -> None:
    contract = {"sources": {PERP: 1}, "index": {"eth": 1}, "wide": "5%"}
    sim = desk({"ann": Holding(50_000)}, bids=[(1_500, 9)], asks=[(2_040, 9)], contract=contract)
    fall(sim, 1_800)
    assert perp_mark(sim) == 1_800
    ann = sim.network.ids["ann"]
    ladders = {BUY: ([price(1_990)], [ETH]), SELL: ([price(2_010)], [ETH])}
    node(sim, PERP).quote_ladders(ann, ladders, cause=sim.shock(ann), channel=1)
    fall(sim, 1_810)
    assert perp_mark(sim) == 2_000


def test_a_mark_knows_what_has_moved_it_in_proportion() -> None:
    sim = desk({"ann": Holding(50_000)}, coin={"sources": {SPOT: 1, "eth": 3}, "ema": "3s"})
    own, ladder = sim.network.ids["ann"], {BUY: ([price(1_200)], [ETH])}
    node(sim, SPOT).quote_ladders(own, ladder, cause=sim.shock(own), channel=1)
    node(sim, SPOT).execute(sim.world, SELL, ETH, cause=sim.shock(0), channel=Channel.PANIC)
    fall(sim, 1_600, seconds=100)
    mark = node(sim, "exchange").feeds[sim.assets["eth"]].mark
    assert mark.price == price(1_500)
    assert mark.channels[Channel.PANIC] == pytest.approx(-price(200), abs=50)
    assert mark.channels[Channel.EXOGENOUS] == pytest.approx(-price(300), abs=50)
    assert sum(mark.channels) == -price(500) == pytest.approx(mark.exogenous, abs=50)


# -------------------------------------------------------------------------------------------------- funding


@AS_NAMED_OR_CROWD
def test_longs_pay_shorts_the_premium_of_the_book_over_the_index(crowd: bool) -> None:
    accounts = {"ann": Holding(9_000, 10), "bob": Holding(9_000, -10)}
    sim = desk(accounts, contract=INDEXED, funding_interval="10min", crowd=crowd)
    fall(sim, 1_990, seconds=10 * MINUTE)
    (paid,) = rows(sim, "funding")
    mean = (2_000 - 1_990) * 10**9 // 1_990 * (600**2 - 1) // 600**2  # heard after a second; later moments count more
    assert paid.price == 1_990 * mean // 10**5 * 10**5
    assert (paid.quantity, paid.cause, paid.channel) == (10 * ETH, 0, Channel.FUNDING)
    gain = 10 * paid.price / PRICE_SCALE * USD
    assert worth(sim, "ann") == pytest.approx((9_000 - 100) * USD - gain)
    assert worth(sim, "bob") == pytest.approx((9_000 + 100) * USD + gain)
    assert share(sim, "ann").cash == share(sim, "bob").cash == 9_000 * USD


def test_funding_is_capped_and_shorts_pay_below_the_index() -> None:
    sim = desk({"ann": Holding(90_000, -10)}, contract=INDEXED | {"funding_cap": "1%"}, funding_interval="10min")
    fall(sim, 2_500, seconds=10 * MINUTE)
    (paid,) = rows(sim, "funding")
    assert paid.price == price(25) and perp_mark(sim) == 2_525


def test_funding_is_the_mean_premium_and_not_that_of_the_moment() -> None:
    sim = desk({"ann": Holding(90_000, -10)}, contract=INDEXED, funding_interval="100s")
    fall(sim, 1_990, seconds=50)
    fall(sim, 2_000, seconds=50)
    (paid,) = rows(sim, "funding")
    assert paid.price / PRICE_SCALE == pytest.approx(2_000 * 10 / 1_990 * (51**2 - 1) / 100**2, rel=1e-4)


def test_interest_draws_funding_towards_itself_as_far_as_the_clamp() -> None:
    terms = {"funding_interval": "8h", "funding_interest": "1bps", "funding_clamp": "5bps"}
    sim = desk({"ann": Holding(90_000, -10)}, contract=INDEXED, **terms)
    contract = sim.assets[f"{PERP}:contract"]
    assert node(sim, "exchange").funding_rate(contract) == pytest.approx(0.1095)
    settle(sim, 8 * HOUR)
    fall(sim, 1_990, seconds=8 * HOUR)
    calm, rich = (row.price / PRICE_SCALE for row in rows(sim, "funding"))
    assert calm == pytest.approx(2_000 * 0.0001)
    assert rich == pytest.approx(10 - 1_990 * 0.0005, rel=1e-3)
    assert node(sim, "exchange").funded(contract) / PRICE_SCALE == pytest.approx(calm + rich)


def test_funding_may_push_an_account_over_the_edge() -> None:
    accounts = {"ann": Holding(310, 10), "bob": Holding(9_000, -10)}
    sim = desk(accounts, contract=INDEXED, funding_interval="10min")
    fall(sim, 1_990, seconds=9 * MINUTE)
    assert not rows(sim, "liquidation")
    settle(sim, 2 * MINUTE)
    (liquidation,), (paid,) = rows(sim, "liquidation"), rows(sim, "funding")
    assert (liquidation.node, liquidation.cause) == ("ann", paid.id)
    assert liquidation.time_us == paid.time_us + SECOND


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 2_000), min_size=1, max_size=4), st.sampled_from(["0.01", "0.03", "1", "7"]),
    st.lists(st.integers(1_900, 2_100), min_size=1, max_size=4), st.booleans(),
)  # fmt: skip
def test_funding_is_exact_for_every_lot(lots: list[int], lot: str, marks: list[int], crowd: bool) -> None:
    size = float(lot)
    accounts = {f"a{n}": Holding(9_000_000, round((-1) ** n * count * size, 2)) for n, count in enumerate(lots)}
    sim = desk(accounts, contract=INDEXED, funding_interval="1min", book={"lot": lot}, crowd=crowd)
    for at in marks:
        fall(sim, at, seconds=MINUTE)
    custody, contract = node(sim, "exchange").custody, sim.assets[f"{PERP}:contract"]
    funded = custody.funded[contract]
    total = sum(row.price for row in rows(sim, "funding"))
    assert abs(funded) <= total
    for name, holding in accounts.items():
        exact = round(holding.quantity * ETH) * funded
        assert exact % 10**9 == 0, "a payment that cash cannot count"
        own = share(sim, name)
        assert own.contracts == round(holding.quantity * ETH)
        assert custody.adjusted(contract, own.contracts, 0) == -exact // 10**9
    held_ = [round(holding.quantity * ETH) for holding in accounts.values()]
    assert custody.open_interest(contract) == max(sum(q for q in held_ if q > 0), -sum(q for q in held_ if q < 0))


# ------------------------------------------------------------------------------------------------- interest


LENT = {"usd": {"loan_rate": 0.5}, "eth": {"ratios": [[0, 0.9]], "market": SPOT, "sources": {"eth": 1}}}


@AS_NAMED_OR_CROWD
def test_interest_is_charged_on_loans_and_on_nothing_else(crowd: bool) -> None:
    accounts = {"ann": Holding(-10_000, coins=10), "bob": Holding(30_000), "cat": Holding(-1, coins=1)}
    sim = desk(accounts, assets=LENT, interest_interval="1h", crowd=crowd)
    settle(sim, HOUR)
    due = [int(owed * USD * 0.5 / 8_760) for owed in (10_000, 1)]
    assert share(sim, "ann").cash == -10_000 * USD - due[0]
    assert share(sim, "cat").cash == -USD - due[1]
    assert share(sim, "bob").cash == 30_000 * USD
    assert sum(row.quantity for row in rows(sim, "interest")) == sum(due)
    if crowd:
        assert sim.introduced[sim.network.ids["crowd"]].tolist() == [True, False, True]


@AS_NAMED_OR_CROWD
def test_interest_may_push_an_account_over_the_edge(crowd: bool) -> None:
    accounts = {"ann": Holding(-17_142, coins=10), "bob": Holding(30_000)}
    sim = desk(accounts, assets=LENT, interest_interval="1h", crowd=crowd, spot=([(1_990, 50)], ()))
    settle(sim, HOUR)
    assert not rows(sim, "liquidation")
    settle(sim, HOUR)
    (liquidation, *_), charged = rows(sim, "liquidation"), rows(sim, "interest")
    assert liquidation.cause in {row.id for row in charged}


def test_interest_on_borrowed_coins_is_paid_in_coins() -> None:
    terms = {"eth": {"market": SPOT, "sources": {"eth": 1}, "loan_rate": 1}}
    accounts = {"ann": Holding(90_000, coins=-8.76), "bob": Holding(coins=20)}
    sim = desk(accounts, assets=terms, interest_interval="1h")
    settle(sim, HOUR)
    assert share(sim, "ann").coins == -8.761 * ETH and share(sim, "bob").coins == 20 * ETH


# ------------------------------------------------------------------------------------------------ transfers


def ask(sim: Any, name: str, tokens: float, asset: str = "usd", at: str = "exchange") -> int:
    own = sim.network.ids[name]
    return int(node(sim, at).withdraw(own, sim.assets[asset], round(tokens * USD), cause=sim.shock(own)))


def test_a_withdrawal_arrives_after_its_delay_and_whoever_listens_hears_of_it() -> None:
    sim = desk({"ann": Holding(1_000)}, withdrawal_delay="5min")
    inbox = sim.inbox()
    node(sim, "exchange").calls.reach(inbox)
    asked = ask(sim, "ann", 400)
    settle(sim, 299)
    assert held(sim, "ann", "usd") == 0 and share(sim, "ann").cash == 1_000 * USD
    settle(sim, 1)
    (paid,) = rows(sim, "payout")
    (request,) = rows(sim, "withdrawal")
    assert (paid.cause, request.id, paid.time_us - request.time_us) == (asked, asked, 300 * SECOND)
    assert held(sim, "ann", "usd") == 400 * USD and share(sim, "ann").cash == 600 * USD
    assert [tuple(message) for message in inbox.take()] == [(paid.id, sim.network.ids["ann"])]


def test_coins_move_from_one_exchange_to_another() -> None:
    graph = desk_graph({"ann": Holding(1_000, coins=3)}, withdrawal_delay="1min")
    other = {"settlement": "usd", "assets": {"eth": {"sources": {"eth": 1}}}, "path": ("nodes", "other")}
    graph.add_node("other", kind="exchange", **other)
    graph.add_edge("other", "ann", role="margin", path=("edges", 90))
    graph.add_edge("eth", "other", role="prices", path=("edges", 91))
    sim = build(graph)
    settle(sim)
    ask(sim, "ann", 2, "eth")
    settle(sim, 60)
    ann, eth = sim.network.ids["ann"], sim.assets["eth"]
    node(sim, "other").deposit(ann, eth, 2 * ETH, cause=sim.shock(ann))
    assert held(sim, "ann", "eth@exchange") == ETH and held(sim, "ann", "eth@other") == 2 * ETH
    assert held(sim, "other", "eth") == 2 * ETH and held(sim, "ann", "eth") == 0
    assert not sim.ledger.max_imbalance()


def test_what_is_left_keeps_its_multiple_of_the_maintenance() -> None:
    sim = desk({"ann": Holding(1_000, 10)}, trigger=1.05, keep=1.2)
    before = books(sim)
    with pytest.raises(Refused, match=r"without 760.01.* ann would keep less than 1.2 times its maintenance"):
        ask(sim, "ann", 760.01)
    assert books(sim) == before and not rows(sim, "withdrawal")
    ask(sim, "ann", 760)


def test_nobody_takes_out_more_than_he_has() -> None:
    sim = desk({"ann": Holding(1_000, coins=9)})
    with pytest.raises(Refused, match=r"ann has no 1000.01"):
        ask(sim, "ann", 1_000.01)
    assert not rows(sim, "withdrawal")


def test_a_withdrawal_whose_margin_is_gone_when_it_is_due_is_refused() -> None:
    sim = desk({"ann": Holding(1_000, 10)}, withdrawal_delay="1min", bids=[(1_900, 100)])
    ask(sim, "ann", 700)
    fall(sim, 1_950, seconds=120)
    assert [row.quantity for row in rows(sim, "refused-withdrawal")] == [700 * USD] and not rows(sim, "payout")
    assert not rows(sim, "blocked-withdrawal")


def test_a_withdrawal_of_what_the_exchange_has_lent_out_is_blocked() -> None:
    accounts = {"ann": Holding(1_000), "bob": Holding(-900, coins=1)}
    sim = desk(accounts, withdrawal_delay="1min", fund=0)
    ask(sim, "ann", 500)
    settle(sim, 60)
    (blocked,) = rows(sim, "blocked-withdrawal")
    assert (blocked.node, blocked.first, share(sim, "ann").cash) == ("ann", 1, 1_000 * USD)


def test_nothing_leaves_or_arrives_while_transfers_are_halted() -> None:
    halts = [{"start": "90s", "end": "4min"}, {"start": "3min", "end": "5min"}]
    sim = desk({"ann": Holding(1_000)}, withdrawal_delay="1min", halts=halts)
    settle(sim, 60)
    ask(sim, "ann", 100)
    settle(sim, 60)
    before, ann, usd = books(sim), sim.network.ids["ann"], sim.assets["usd"]
    with pytest.raises(Refused, match="transfers at exchange are halted until 4min"):
        ask(sim, "ann", 100)
    with pytest.raises(Refused, match="halted"):
        node(sim, "exchange").deposit(ann, usd, USD, cause=sim.shock(ann))
    assert books(sim) == before and len(rows(sim, "withdrawal")) == 1
    settle(sim, 200)
    (paid,) = rows(sim, "payout")
    assert paid.time_us == 300 * SECOND and held(sim, "ann", "usd") == 100 * USD


@pytest.mark.parametrize("kind", ["payout", "refused-withdrawal"])
def test_a_client_hears_that_a_withdrawal_is_over_whatever_became_of_it(kind: str) -> None:
    sim = desk({"ann": Holding(1_000, 10)}, withdrawal_delay="5min")
    inbox = sim.inbox()
    node(sim, "exchange").notices.reach(inbox)
    ask(sim, "ann", 400)
    fall(sim, 2_000 if kind == "payout" else 1_960, seconds=301)
    (row,), (message,) = rows(sim, kind), inbox.take()
    assert message.cause == row.id
    assert message.content == (node(sim, "exchange").node, sim.network.ids["ann"], sim.assets["usd"], 400 * USD)


def test_a_coin_that_is_not_kept_here_is_refused_on_every_way_in() -> None:
    graph = desk_graph({"ann": Holding(1_000)})
    graph.add_node("doge", kind="asset", decimals=6, path=("nodes", "doge"))
    sim = build(graph)
    settle(sim)
    exchange, ann, doge = node(sim, "exchange"), sim.network.ids["ann"], sim.assets["doge"]
    assert exchange.balance(ann, doge) == 0
    for way in (exchange.deposit, exchange.withdraw):
        with pytest.raises(Refused, match="exchange does not keep doge"):
            way(ann, doge, 1, cause=0)
    with pytest.raises(Refused, match="exchange does not keep doge"):
        exchange.deliver(ann, doge, 1)
