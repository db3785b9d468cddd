"""Who pays when an account cannot: the fund, the winners by each ranking, nobody; nothing is lost on the way."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.assembly import build
from contagion.finance import adl
from contagion.log import Channel
from contagion.units import PRICE_SCALE
from contagion.venues import BUY
from tests.desk import ETH, PERP, SPOT, USD, Holding, desk, fall, share, who, worth
from tests.sight import held, node, price, rows, settle
from tests.venue_worlds import add_maker, venue
from tests.worlds import edge, graph_of

AS_NAMED_OR_CROWD = pytest.mark.parametrize("crowd", [False, True], ids=["named", "crowd"])


def haircut(ranking: str) -> dict[str, Any]:
    return {"order_limit": "none", "deleveraging": {"ranking": ranking, "settlement": "haircut"}}


def closing(ranking: str) -> dict[str, Any]:
    return {"deleveraging": {"ranking": ranking, "settlement": "close"}}


# ------------------------------------------------------------------------------------------------- the fund


@AS_NAMED_OR_CROWD
def test_the_fund_takes_a_position_over_at_the_price_at_which_its_owner_has_nothing_left(crowd: bool) -> None:
    sim = desk({"ann": Holding(1_000, 10)}, fund=2_000, crowd=crowd)
    fall(sim, 1_850)
    (taken,) = rows(sim, "insurance")
    assert (taken.node, taken.quantity, taken.price) == ("fund", 10 * ETH, price(1_900))
    assert taken.value == 500 * USD and taken.channel == Channel.INSURANCE
    assert taken.cause == rows(sim, "liquidation")[0].id
    assert share(sim, "ann") == (0, 0, 0, 0)
    assert share(sim, "fund") == (2_000 * USD, 10 * ETH, -19_000 * USD, 0)


def test_a_fund_that_takes_over_above_the_mark_of_a_solvent_account_loses_nothing() -> None:
    sim = desk({"ann": Holding(1_000, 10)}, fund=0)
    fall(sim, 1_910)
    (taken,) = rows(sim, "insurance")
    assert (taken.value, taken.price) == (0, price(1_900)) and worth(sim, "fund") == pytest.approx(100 * USD)


def test_the_fund_takes_what_costs_it_least_as_long_as_it_is_worth_something_and_the_winners_the_rest() -> None:
    accounts = {"ann": Holding(1_000, 10), "bob": Holding(1_200, 10), "win": Holding(9_000, -20)}
    sim = desk(accounts, fund=400)
    fall(sim, 1_850)
    (taken,), (won,), (match,) = rows(sim, "insurance"), rows(sim, "auto-deleveraging"), rows(sim, "deleveraging")
    assert (taken.quantity, taken.price, taken.value) == (10 * ETH, price(1_880), 300 * USD)
    assert (won.node, won.quantity, won.price, won.value) == ("win", -10 * ETH, price(1_900), 19_000 * USD)
    assert match.value == 500 * USD and won.generation == 2
    assert worth(sim, "fund") == pytest.approx(100 * USD)
    assert share(sim, "win") == ((9_000 + 10 * 100) * USD, -10 * ETH, 20_000 * USD, 0)


def test_the_fund_works_its_position_off_while_the_mark_comes_its_way() -> None:
    accounts = {"ann": Holding(1_000, 10), "bob": Holding(9_000)}
    sim = desk(accounts, book={"band": "50%"}, unwind="10%")
    fall(sim, 1_850)
    maker = sim.network.ids["bob"]
    cause = sim.shock(maker)
    node(sim, PERP).quote_ladders(maker, {BUY: ([price(1_840)], [20 * ETH])}, cause=cause, channel=1)
    fall(sim, 1_845)
    assert share(sim, "fund").contracts == 10 * ETH
    fall(sim, 1_850)
    assert share(sim, "fund").contracts == 8 * ETH
    settle(sim, 30)
    assert share(sim, "fund").contracts == 8 * ETH
    (trade,) = rows(sim, "trade")
    assert trade.cause in {row.id for row in rows(sim, "mark")} and not rows(sim, "auto-deleveraging")


@AS_NAMED_OR_CROWD
def test_what_an_account_still_owes_after_its_coins_are_gone_is_paid_by_the_fund(crowd: bool) -> None:
    sim = desk({"ann": Holding(-16_000, coins=10)}, spot=([(1_500, 50)], ()), crowd=crowd, fund=20_000)
    fall(sim, 1_600)
    (paid,) = rows(sim, "insurance")
    assert paid.value == 1_000 * USD and share(sim, "ann") == (0, 0, 0, 0)
    assert worth(sim, "fund") == 19_000 * USD


@AS_NAMED_OR_CROWD
def test_a_debt_that_the_fund_cannot_pay_is_uncovered(crowd: bool) -> None:
    accounts = {"ann": Holding(-16_000, coins=10), "bob": Holding(20_000)}
    sim = desk(accounts, spot=([(1_500, 50)], ()), crowd=crowd, fund=999)
    fall(sim, 1_600)
    (open_,) = rows(sim, "uncovered-deficit")
    assert (open_.node, open_.value, open_.channel) == ("exchange", 1_000 * USD, Channel.CREDIT)
    assert share(sim, "ann") == (0, 0, 0, 0) and worth(sim, "fund") == 999 * USD


@AS_NAMED_OR_CROWD
def test_crumbs_that_no_order_can_sell_go_to_the_fund_at_the_mark(crowd: bool) -> None:
    sim = desk({"ann": Holding(-16_000, coins=10.004)}, spot=([(1_500, 50)], ()), crowd=crowd, fund=20_000)
    fall(sim, 1_600)
    crumbs, paid = rows(sim, "insurance")
    assert (crumbs.quantity, crumbs.value, crumbs.price) == (0.004 * ETH, 0, price(1_600))
    assert paid.value == (1_000 - 0.004 * 1_600) * USD
    assert share(sim, "ann") == (0, 0, 0, 0) and held(sim, "fund", "eth@exchange") == 0.004 * ETH
    settle(sim, 60)
    assert len(rows(sim, "liquidation")) == 1


def test_coins_without_a_market_go_to_the_fund_at_the_mark() -> None:
    sim = desk({"ann": Holding(-16_000, coins=10)}, coin={"market": None}, fund=20_000)
    fall(sim, 1_700)
    (taken,) = rows(sim, "insurance")
    assert taken.quantity == 10 * ETH and share(sim, "ann") == (1_000 * USD, 0, 0, 0)
    assert worth(sim, "fund") == 20_000 * USD


# ----------------------------------------------------------------------------------------------- the winners


WINNERS = {
    "a": Holding(4_000, -10, 2_100), "b": Holding(900, -10, 1_990), "c": Holding(30_000, -10, 2_300),
    "loser": Holding(2_000, -10, 1_840),
}  # fmt: skip


@AS_NAMED_OR_CROWD
@pytest.mark.parametrize("ranking", adl.RANKINGS)
def test_winners_close_at_the_losers_price_by_rank_and_losers_are_not_asked(ranking: str, crowd: bool) -> None:
    sim = desk({"ann": Holding(1_000, 12)} | WINNERS, fund=None, crowd=crowd, **closing(ranking))
    fall(sim, 1_850)
    quantity = -np.array([10.0, 10, 10])
    entry, equity = quantity * [2_100, 1_990, 2_300], np.array([6_500.0, 2_300, 34_500])
    scores = adl.scores(ranking, quantity, entry, 1_850, equity)
    order = np.argsort(-scores, kind="stable")
    wanted = adl.cuts(ranking, np.full(3, 1_000), 1_200)
    expected = {"abc"[place]: int(cut) * ETH // 100 for place, cut in zip(order, wanted, strict=True) if cut}
    closed = {who(sim, row): -row.quantity for row in rows(sim, "auto-deleveraging")}
    assert closed == expected
    limit = 2_000 - 1_000 / 12
    for name, contracts in closed.items():
        had = WINNERS[name]
        gain = contracts / ETH * (had.entry - limit)
        assert share(sim, name).cash == pytest.approx((had.cash + gain) * USD, abs=2)
        assert share(sim, name).contracts == -10 * ETH + contracts
    assert share(sim, "ann")[1:] == (0, 0, 0) and share(sim, "loser").contracts == -10 * ETH
    assert not rows(sim, "insurance", "uncovered-deficit", "trade")


def test_losers_of_different_prices_are_matched_along_the_queue() -> None:
    accounts = {
        "ann": Holding(1_000, 10), "bob": Holding(500, 10), "x": Holding(2_000, -15, 2_100), "y": Holding(9_000, -10)
    }  # fmt: skip
    sim = desk(accounts, fund=None, **closing("bitmex"))
    fall(sim, 1_850)
    due = {row.node: row.value for row in rows(sim, "auto-deleveraging")}
    assert due == {"x": (10 * 1_900 + 5 * 1_950) * USD, "y": 5 * 1_950 * USD}


def test_pro_rata_everybody_gets_the_mean_price() -> None:
    accounts = {
        "ann": Holding(1_000, 10), "bob": Holding(500, 10), "x": Holding(2_000, -30, 2_100), "y": Holding(9_000, -10)
    }  # fmt: skip
    sim = desk(accounts, fund=None, **closing("pro-rata"))
    fall(sim, 1_850)
    assert {row.node: (row.quantity, row.price) for row in rows(sim, "auto-deleveraging")} == {
        "x": (-15 * ETH, price(1_925)), "y": (-5 * ETH, price(1_925)),
    }  # fmt: skip


@AS_NAMED_OR_CROWD
def test_a_winner_that_is_itself_in_breach_is_closed_once(crowd: bool) -> None:
    accounts = {"ann": Holding(1_000, 3), "bob": Holding(-33_000, -4, 2_000, 20), "cat": Holding(40_000)}
    sim = desk(accounts, fund=None, crowd=crowd, tiers=((0, 0.02),))
    fall(sim, 1_500)
    (won,), (left,) = rows(sim, "auto-deleveraging"), rows(sim, "uncovered-deficit")
    assert (who(sim, won), won.quantity) == ("bob", -3 * ETH) and left.quantity == -ETH
    assert share(sim, "ann") == (0, 0, 0, 0) and share(sim, "bob").contracts == share(sim, "bob").cost == 0


def test_a_pool_is_what_the_fund_may_lose_on_one_contract() -> None:
    sim = desk({"ann": Holding(1_000, 10), "win": Holding(9_000, -10)}, fund=2_000, pool="20%")
    fall(sim, 1_850)
    assert [row.kind for row in rows(sim, "insurance", "auto-deleveraging")] == ["auto-deleveraging"]


def test_what_no_winner_takes_is_uncovered_and_stays_with_the_exchange() -> None:
    sim = desk({"ann": Holding(1_000, 10), "win": Holding(9_000, -4)}, fund=None)
    fall(sim, 1_850)
    (won,), (left,) = rows(sim, "auto-deleveraging"), rows(sim, "uncovered-deficit")
    assert won.quantity == -4 * ETH and left.quantity == 6 * ETH
    assert (left.node, left.price, left.value) == ("exchange", price(1_900), 6 * 50 * USD)
    assert share(sim, "ann") == (0, 0, 0, 0)
    assert share(sim, "exchange").contracts == 6 * ETH


def test_a_maker_may_be_deleveraged_too() -> None:
    nodes, edges = venue(funding_interval="0s")
    add_maker(nodes, edges)
    nodes["long"] = {"kind": "account"}
    edges.append(edge("margin", "exchange", "long", balances={"usd": 1_500}, positions={PERP: {"quantity": 10}}))
    terms = next(data for *_, data in [edge_ for edge_ in enumerate(edges)] if data["to"] == "maker")
    terms["positions"] = {PERP: {"quantity": -40}}
    nodes["exchange"]["contracts"] = {PERP: {"sources": {"eth": 1}, "index": {"eth": 1}, "tiers": [[0, 0.01]]}}
    nodes[PERP]["stubs"] = []
    nodes["maker"]["quotes"] = {SPOT: {"depth": 200}}
    edges[:] = [item for item in edges if item["role"] != "funds"]
    sim = build(graph_of(nodes, edges, []))
    sim.run(0)
    fall(sim, 1_800)
    assert [(row.node, row.quantity) for row in rows(sim, "auto-deleveraging")] == [("maker", -10 * ETH)]


def test_with_a_haircut_the_fund_runs_below_zero_until_the_cascade_is_over() -> None:
    accounts = {"ann": Holding(1_000, 10), "x": Holding(2_000, -5, 2_100), "y": Holding(9_000, -10)}
    sim = desk(accounts, bids=[(1_800, 50)], fund=400, **haircut("pro-rata"))
    fall(sim, 1_850)
    (paid,) = rows(sim, "insurance")
    assert paid.value == 1_000 * USD and worth(sim, "fund") == -600 * USD and not rows(sim, "auto-deleveraging")
    settle(sim, 2)
    cut = {row.node: row.value for row in rows(sim, "auto-deleveraging")}
    assert cut == pytest.approx({"x": 600 * USD * 1_250 / 2_750, "y": 600 * USD * 1_500 / 2_750}, abs=1)
    assert worth(sim, "fund") == 0 and share(sim, "y").contracts == -10 * ETH


def test_without_a_fund_the_haircut_pays_the_exchange_back() -> None:
    accounts = {"ann": Holding(1_000, 10), "x": Holding(9_000, -5)}
    sim = desk(accounts, bids=[(1_800, 50)], fund=None, **haircut("hyperliquid"))
    fall(sim, 1_850, seconds=3)
    assert [(row.node, row.value) for row in rows(sim, "auto-deleveraging")] == [("x", 750 * USD)]
    (open_,) = rows(sim, "uncovered-deficit")
    assert open_.value == 250 * USD
    own = share(sim, "exchange")
    assert own.cash + own.cost == -(1_000 + 9_000 + 250) * USD


def test_after_a_rise_the_longs_are_cut_first() -> None:
    accounts = {"ann": Holding(1_000, -10), "x": Holding(2_000, 5), "y": Holding(2_000, -1, 2_500)}
    sim = desk(accounts, asks=[(2_200, 50)], fund=0, **haircut("bitmex"))
    fall(sim, 2_150, seconds=3)
    assert [row.node for row in rows(sim, "auto-deleveraging")] == ["x", "y"]


# ------------------------------------------------------------------------------------------------ conservation


account = st.builds(
    lambda side, size, entry, distance: Holding(
        round(size * entry * distance, 2) + max(side * size * (entry - 2_000), 0.0) + 1, side * size, entry
    ),
    st.sampled_from([1, -1]), st.integers(1, 5_000).map(lambda lots: lots / 100), st.integers(1_800, 2_200),
    st.floats(0.03, 0.6),
)  # fmt: skip
LEVELS = st.lists(st.tuples(st.integers(1_000, 1_999), st.integers(1, 3_000).map(lambda lots: lots / 100)), max_size=5)


def at_rest(accounts: list[Holding], **facts: Any) -> Any:
    return desk({f"a{number:02}": holding for number, holding in enumerate(accounts)}, **facts)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(account, min_size=1, max_size=12), LEVELS, st.sampled_from([None, 0, 500, 20_000]),
    st.sampled_from(adl.RANKINGS), st.booleans(), st.booleans(), st.lists(st.integers(1_200, 2_800), max_size=4),
    st.sampled_from([1, 0.3]),
)  # fmt: skip
def test_nothing_is_lost_whoever_pays(
    accounts: list[Holding], bids: Any, fund: float | None, ranking: str, crowd: bool, cut: bool, marks: list[int],
    part: float,
) -> None:  # fmt: skip
    asks = [(4_000 - at, size) for at, size in bids]
    terms = haircut(ranking) if cut else closing(ranking)
    sim = at_rest(
        accounts, bids=bids, asks=asks, fund=fund, crowd=crowd, slice=part, slice_above=20_000,
        liquidation_fee="1%", **terms,
    )  # fmt: skip
    roster, exchange = node(sim, "exchange").roster, sim.network.ids["exchange"]
    for at in marks:
        fall(sim, at, seconds=4)
        assert not sim.ledger.max_imbalance() and not sim.ledger.overdrafts()
        balances, custody = sim.ledger.balances, node(sim, "exchange").custody
        (line,) = [line for line in roster.lines if line.asset in custody.contracts]
        cost = custody.contracts[line.asset]
        assert sum(row[line.asset] for row in balances) == sum(row[cost] for row in balances) == 0
        assert sum(row[custody.cash] for row in balances) == 0
        assert balances[exchange][sim.assets["usd"]] >= 0
        if not cut and part == 1:
            assert not len(roster.breaches()), "with limits nobody stays in breach"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(account, min_size=2, max_size=12), st.sampled_from([None, 0, 500, 20_000]), st.sampled_from(adl.RANKINGS),
    st.booleans(), st.integers(1_200, 2_800),
)  # fmt: skip
def test_without_a_book_fund_winners_and_exchange_bear_exactly_what_the_losers_could_not(
    accounts: list[Holding], fund: float | None, ranking: str, crowd: bool, at: int
) -> None:
    sim = at_rest(accounts, fund=fund, crowd=crowd, **closing(ranking))
    roster, custody = node(sim, "exchange").roster, node(sim, "exchange").custody
    held_by = dict(zip(sim.members, accounts, strict=True))
    mark = {name: holding.cash + holding.quantity * (at - holding.entry) for name, holding in held_by.items()}
    fallen = {name for name, holding in held_by.items() if mark[name] < 0.01 * abs(holding.quantity) * at}
    fall(sim, at)
    assert {who(sim, row) for row in rows(sim, "liquidation")} == fallen
    after = {name: worth(sim, name) / USD for name in sim.members}
    crossed = bool(rows(sim, "cross"))
    slack = 1e-5 * (len(accounts) + 1)
    bearers = [name for name in sim.members if name not in fallen]
    borne = sum(mark[name] - after[name] for name in bearers)
    borne += (fund or 0) - worth(sim, "fund") / USD if fund is not None else 0
    row = sim.ledger.balances[sim.network.ids["exchange"]]
    (line,) = [line for line in roster.lines if line.asset in custody.contracts]
    own = row[line.asset] * line.feed.mark.price / PRICE_SCALE + row[custody.contracts[line.asset]]
    opened = sum(holding.cash for holding in accounts) + (fund or 0)
    cash = row[custody.cash] / USD + opened
    borne -= own / USD + cash
    assert borne == pytest.approx(-sum(mark[name] - after[name] for name in fallen), abs=slack)
    if not crossed:
        assert all(abs(after[name]) <= slack for name in fallen)
    if all(mark[name] < 0 for name in fallen):
        logged = sum(row.value for row in rows(sim, "insurance", "deleveraging", "uncovered-deficit")) / USD
        assert logged == pytest.approx(-sum(mark[name] for name in fallen), abs=slack)


def test_named_accounts_hear_that_they_were_deleveraged_and_crowds_do_not() -> None:
    for crowd in (False, True):
        sim = desk({"ann": Holding(1_000, 10), "win": Holding(9_000, -10)}, fund=None, crowd=crowd)
        inbox = sim.inbox()
        node(sim, "exchange").notices.reach(inbox)
        fall(sim, 1_850)
        (row,) = rows(sim, "auto-deleveraging")
        heard = [
            (message.cause, message.content.holder, message.content.asset, message.content.amount)
            for message in inbox.take()
        ]
        contract = sim.assets[f"{PERP}:contract"]
        assert heard == ([] if crowd else [(row.id, sim.network.ids["win"], contract, 0)])
