"""An order book in the engine: what trades, who delivers, what nobody took, and what moved the price."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.ledger import Refused
from contagion.log import Channel
from contagion.units import PRICE_SCALE
from contagion.venues import BUY, SELL, Execution
from tests.sight import books, give, held, mark, node, price, rows
from tests.venue_worlds import venue
from tests.worlds import edge, graph_of

ETH, USD = 10**6, 10**6
SALE = Channel.EXOGENOUS


def book_graph(stubs: list[dict[str, Any]] | None = None, **facts: Any) -> Any:
    """Return a book of ether for dollars at 2,000 that nobody clears, and four holders."""
    nodes: dict[str, Any] = {
        "usd": {"kind": "asset", "decimals": 6},
        "eth": {"kind": "asset", "decimals": 6, "price": 2000, "market": "book"},
        "book": {"kind": "order_book", "asset": "eth", "numeraire": "usd", "lot": 0.01, "stubs": stubs or []} | facts,
    }
    for name in ("ann", "bob", "cat", "dan"):
        nodes[name] = {"kind": "account", "balances": {"eth": 1_000, "usd": 5_000_000}}
    return graph_of(nodes, [], [])


def opened(stubs: list[dict[str, Any]] | None = None, **facts: Any) -> Any:
    sim = build(book_graph(stubs, **facts))
    sim.run(0)
    return sim


def quote(sim: Any, maker: str, bids: Any = (), asks: Any = (), market: str = "book") -> int:
    """Rest ladders of (price, tokens), best first."""
    sides = {side: ([price(at) for at, _ in levels], [round(size * ETH) for _, size in levels])
             for side, levels in ((BUY, bids), (SELL, asks))}  # fmt: skip
    cause = sim.shock(sim.network.ids[maker])
    return int(node(sim, market).quote_ladders(sim.network.ids[maker], sides, cause=cause, channel=SALE))


def take(
    sim: Any, holder: str, side: int, tokens: float, limit: float | None = None, market: str = "book"
) -> Execution:
    """Trade at once."""
    cause, at = sim.shock(sim.network.ids[holder]), None if limit is None else price(limit)
    quantity = round(tokens * ETH)
    done = node(sim, market).execute(sim.network.ids[holder], side, quantity, at, cause=cause, channel=SALE)
    assert isinstance(done, Execution)
    return done


def withdraw(sim: Any, maker: str, market: str = "book") -> int:
    """Cancel everything of a maker in distress; return the event."""
    cause = sim.shock(sim.network.ids[maker])
    return int(node(sim, market).cancel_all(sim.network.ids[maker], cause=cause, distress=True)[0])


def legs_of(sim: Any, event: int) -> dict[tuple[str, str], int]:
    """Return what an event moved, by holder and asset."""
    postings, table = sim.log.postings.columns(), {}
    for row in np.flatnonzero(postings["event"] == event).tolist():
        key = (sim.network.names[postings["holder"][row]], sim.ledger.assets[postings["asset"][row]].name)
        table[key] = table.get(key, 0) + int(postings["amount"][row])
    return table


def increments(sim: Any, market: str = "book", since: int = 0) -> dict[int, int]:
    """Return the sum of a market's price increments by channel, of events from one on."""
    prices = sim.log.prices.columns()
    own = np.flatnonzero((prices["market"] == sim.feed_names.index(market)) & (prices["event"] >= since))
    sums: dict[int, int] = {}
    for row in own.tolist():
        sums[int(prices["channel"][row])] = sums.get(int(prices["channel"][row]), 0) + int(prices["delta"][row])
    return {channel: delta for channel, delta in sums.items() if delta}


# -------------------------------------------------------------------------------------------------- taking


def test_a_sale_walks_the_book_and_says_what_nobody_took() -> None:
    sim = opened()
    quote(sim, "bob", bids=[(1_990, 2), (1_980, 3)])
    done = take(sim, "ann", SELL, 8)
    assert (done.filled, done.notional, done.unfilled) == (5 * ETH, (2 * 1_990 + 3 * 1_980) * USD, 3 * ETH)
    (trade,), (rest,) = rows(sim, "trade"), rows(sim, "unfilled")
    assert (trade.id, trade.quantity, trade.value) == (done.event, -5 * ETH, done.notional)
    assert trade.price == done.notional * PRICE_SCALE // (5 * ETH)
    assert (rest.cause, rest.quantity, rest.node) == (trade.id, 3 * ETH, "book")
    assert rest.value == 3 * 1_980 * USD
    assert held(sim, "ann", "usd") == 5_000_000 * USD + done.notional
    assert held(sim, "bob", "eth") == 1_005 * ETH


def test_an_order_that_meets_nobody_is_unfilled_and_moves_nothing() -> None:
    sim = opened()
    before = books(sim)
    done = take(sim, "ann", BUY, 1)
    assert done[1:] == (0, 0, ETH)
    assert [row.quantity for row in rows(sim, "unfilled")] == [ETH]
    assert books(sim) == before and mark(sim, "book", "eth") == price(2_000)


def test_an_order_below_a_lot_is_no_order() -> None:
    sim = opened()
    quote(sim, "bob", bids=[(1_990, 2)])
    assert take(sim, "ann", SELL, 0.009)[1:] == (0, 0, 0)
    assert not rows(sim, "trade", "unfilled")


def test_a_limit_is_kept_and_nothing_rests() -> None:
    sim = opened()
    quote(sim, "bob", asks=[(2_010, 2), (2_020, 2)])
    done = take(sim, "ann", BUY, 3, limit=2_015)
    assert (done.filled, done.unfilled) == (2 * ETH, ETH)
    assert node(sim, "book").levels(BUY) == []
    assert node(sim, "book").levels(SELL) == [(price(2_020), 2 * ETH)]


def test_nobody_trades_with_himself_and_his_orders_in_the_way_are_cancelled() -> None:
    sim = opened()
    quote(sim, "ann", bids=[(1_995, 1)])
    quote(sim, "bob", bids=[(1_990, 1)])
    assert take(sim, "ann", SELL, 1).notional == 1_990 * USD
    assert node(sim, "book").levels(BUY) == [] and node(sim, "book").resting(sim.network.ids["ann"]) == (0, 0)


def test_stubs_belong_to_the_outside_which_may_sell_into_them() -> None:
    sim = opened([{"at": 0.9, "quantity": 10}, {"at": 1.1, "quantity": 10}])
    done = take(sim, "ann", SELL, 4)
    assert legs_of(sim, done.event) == {
        ("ann", "eth"): -4 * ETH, ("ann", "usd"): 7_200 * USD,
        ("world", "eth"): 4 * ETH, ("world", "usd"): -7_200 * USD,
    }  # fmt: skip
    assert take(sim, "world", SELL, 6).filled == 6 * ETH
    assert node(sim, "book").best(BUY) is None and node(sim, "book").best(SELL) == price(2_200)


def test_fees_are_an_event_of_their_own_for_whoever_runs_the_market() -> None:
    sim = opened(taker_fee="10bps", maker_fee="2bps")
    quote(sim, "bob", bids=[(2_000, 5)])
    done = take(sim, "ann", SELL, 5)
    (fee,) = rows(sim, "fee")
    assert (fee.cause, fee.node, fee.channel) == (done.event, "book", Channel.FEE)
    assert legs_of(sim, fee.id) == {("ann", "usd"): -10 * USD, ("bob", "usd"): -2 * USD, ("book", "usd"): 12 * USD}


def test_a_maker_may_be_paid_for_resting() -> None:
    sim = opened(taker_fee="10bps", maker_fee="-5bps")
    quote(sim, "bob", bids=[(2_000, 5)])
    take(sim, "ann", SELL, 5)
    assert legs_of(sim, rows(sim, "fee")[0].id)["bob", "usd"] == 5 * USD


def test_a_fee_that_nobody_can_pay_is_refused_and_the_trade_stands() -> None:
    sim = opened(taker_fee="10bps")
    quote(sim, "bob", asks=[(2_000, 500)])
    sim.shock(
        0, (sim.network.ids["ann"], sim.assets["usd"], -4_000_000 * USD), (sim.world, sim.assets["usd"], 4 * 10**12)
    )
    done = take(sim, "ann", BUY, 500)
    assert done.filled == 500 * ETH and held(sim, "ann", "usd") == 0
    assert [row.cause for row in rows(sim, "refused-fee")] == [done.event]


# ---------------------------------------------------------------------------------------------- who delivers


def test_who_cannot_deliver_is_refused_and_nothing_has_changed() -> None:
    sim = opened()
    quote(sim, "bob", bids=[(1_990, 2_000)])
    before, levels = books(sim), node(sim, "book").levels(BUY)
    with pytest.raises(Refused, match="ann is short of 500"):
        take(sim, "ann", SELL, 1_500)
    assert books(sim) == before and node(sim, "book").levels(BUY) == levels and not rows(sim, "trade")
    assert mark(sim, "book", "eth") == price(2_000)


def test_the_orders_of_who_cannot_pay_are_cancelled_and_the_walk_begins_again() -> None:
    sim = opened()
    quote(sim, "bob", bids=[(1_999, 3_000), (1_500, 1)])
    quote(sim, "cat", bids=[(1_990, 10)])
    give(sim, "ann", "eth", 5_000 * ETH)
    done = take(sim, "ann", SELL, 2_800)
    (gone,), (trade,) = rows(sim, "cancel"), rows(sim, "trade")
    assert (gone.node, gone.quantity, gone.value) == ("bob", 2, (3_000 * 1_999 + 1_500) * USD)
    assert (done.filled, done.unfilled, trade.id > gone.id) == (10 * ETH, 2_790 * ETH, True)
    assert held(sim, "bob", "usd") == 5_000_000 * USD


def test_a_maker_that_borrows_on_margin_is_not_taken_for_an_insolvent_one() -> None:
    nodes, edges = venue()
    nodes |= {"maker": {"kind": "account"}, "stranger": {"kind": "account", "balances": {"eth": 1}}}
    edges.append(edge("margin", "exchange", "maker", balances={"eth": 100}))
    sim = build(graph_of(nodes, edges, []))
    sim.run(0)
    quote(sim, "maker", bids=[(1_990, 5)], market="eth-spot")
    with pytest.raises(Refused, match="stranger is short of 4"):
        take(sim, "stranger", SELL, 5, market="eth-spot")
    assert not rows(sim, "cancel")
    take(sim, "stranger", SELL, 1, market="eth-spot")
    assert held(sim, "maker", "usd@exchange") < -1_990 * USD


def test_two_exchanges_cannot_clear_one_book() -> None:
    nodes, edges = venue()
    nodes["second"] = nodes["exchange"] | {"contracts": {}, "assets": {}}
    edges.append(edge("trades", "second", "eth-spot"))
    with pytest.raises(BadInput, match=r"nodes\.eth-spot: 2 exchanges send orders here"):
        build(graph_of(nodes, edges, []))


def test_a_perpetual_needs_an_exchange() -> None:
    with pytest.raises(BadInput, match=r"nodes\.book: a perpetual needs a 'trades' edge"):
        opened(contract="perpetual")


# ------------------------------------------------------------------------------------------- the port of a market


def test_a_quote_is_what_the_trade_then_pays() -> None:
    sim = opened(taker_fee="10bps")
    quote(sim, "bob", bids=[(1_990, 2), (1_980, 3)])
    book, (eth, usd) = node(sim, "book"), (sim.assets["eth"], sim.assets["usd"])
    said = book.quote(eth, 4 * ETH, usd)
    cause = sim.shock(sim.network.ids["ann"])
    fill = book.trade(sim.network.ids["ann"], eth, 4 * ETH, usd, cause=cause, channel=SALE)
    assert fill.received == said == held(sim, "ann", "usd") - 5_000_000 * USD


def test_a_budget_buys_what_rests_fee_included() -> None:
    sim = opened(taker_fee="100bps")
    quote(sim, "bob", asks=[(2_000, 1), (2_020, 5)])
    book, (eth, usd) = node(sim, "book"), (sim.assets["eth"], sim.assets["usd"])
    budget = int((2_000 + 2_020 * 2.5) * 1.01 * USD)
    cause = sim.shock(sim.network.ids["ann"])
    fill = book.trade(sim.network.ids["ann"], usd, budget, eth, cause=cause, channel=SALE)
    assert fill.received == pytest.approx(3.5 * ETH, abs=0.01 * ETH)
    assert 0 <= budget - (5_000_000 * USD - held(sim, "ann", "usd")) <= 0.01 * 2_020 * 1.01 * USD + 2


def test_a_sale_to_a_price_is_what_rests_down_to_it() -> None:
    sim = opened()
    quote(sim, "bob", bids=[(1_990, 2), (1_980, 3), (1_700, 9)])
    assert node(sim, "book").sale_to_price(sim.assets["eth"], 900_000) == 5 * ETH


def test_the_price_is_the_last_trade_within_the_spread() -> None:
    sim = opened()
    quote(sim, "bob", bids=[(1_990, 2), (1_950, 2)], asks=[(2_050, 2)])
    assert mark(sim, "book", "eth") == price(2_000)
    take(sim, "ann", SELL, 3)
    assert mark(sim, "book", "eth") == price(1_950)
    quote(sim, "bob", bids=[(1_970, 1)], asks=[(2_050, 2)])
    assert mark(sim, "book", "eth") == price(1_970)
    quote(sim, "bob", bids=[(1_900, 1)], asks=[(1_960, 1)])
    assert mark(sim, "book", "eth") == price(1_960)


def test_depth_is_what_rests_within_the_band() -> None:
    sim = opened(band="2%")
    quote(sim, "bob", bids=[(1_990, 1), (1_960, 2), (1_959, 4)], asks=[(2_040, 3), (2_041, 5)])
    assert node(sim, "book").depth() == (3 * ETH, 3 * ETH)


# --------------------------------------------------------------------------------------------- the ghost book


def away() -> tuple[Any, int]:
    """Return a book that bob has left in distress, with only cat's far bid, and the event of his leaving."""
    sim = opened()
    quote(sim, "bob", bids=[(1_990, 5), (1_980, 5)], asks=[(2_010, 5)])
    quote(sim, "cat", bids=[(1_900, 5)], asks=[(2_100, 5)])
    return sim, withdraw(sim, "bob")


def test_orders_cancelled_in_distress_are_logged_and_move_no_price() -> None:
    sim, left = away()
    (gone,) = rows(sim, "cancel")
    assert (gone.id, gone.node, gone.quantity) == (left, "bob", 3)
    assert gone.value == (1_990 + 1_980 + 2_010) * 5 * USD and gone.channel == Channel.LIQUIDITY_WITHDRAWAL
    assert mark(sim, "book", "eth") == price(2_000) and not increments(sim)


def test_a_sale_after_a_withdrawal_moves_the_price_as_far_as_it_would_have_and_the_rest_is_withdrawal() -> None:
    sim, left = away()
    done = take(sim, "ann", SELL, 4)
    split = increments(sim, since=done.event)
    assert split == {SALE: -price(10), Channel.LIQUIDITY_WITHDRAWAL: -price(90)}
    assert mark(sim, "book", "eth") == price(2_000) + sum(split.values()) == price(1_900)
    named = sim.log.contributions.columns()
    assert list(zip(named["event"].tolist(), named["contributor"].tolist(), strict=True)) == [(done.event, left)]


def test_listeners_hear_of_a_split_move_once_and_of_no_price_between() -> None:
    sim, _ = away()
    inbox = sim.inbox()
    node(sim, "book").feeds[sim.assets["eth"]].changed.reach(inbox)
    take(sim, "ann", SELL, 4)
    sim.run(1)
    assert [tick.mark.price for _, tick in inbox.take()] == [price(1_900)]


def test_the_gap_closes_when_the_maker_returns() -> None:
    sim, _ = away()
    take(sim, "ann", SELL, 4)
    quote(sim, "bob", bids=[(1_985, 5)], asks=[(2_005, 5)])
    assert mark(sim, "book", "eth") == price(1_985)
    sums = increments(sim)
    assert sums == {SALE: -price(10), Channel.LIQUIDITY_WITHDRAWAL: -price(5)}
    second = take(sim, "ann", SELL, 1)
    assert increments(sim, since=second.event) == {} and not node(sim, "book")._tapes.ghost


def test_another_makers_quotes_meanwhile_leave_the_gap_to_the_withdrawal() -> None:
    sim, _ = away()
    take(sim, "ann", SELL, 4)
    event = quote(sim, "dan", bids=[(1_960, 1)])
    assert increments(sim, since=event) == {Channel.LIQUIDITY_WITHDRAWAL: price(60)}
    feed = node(sim, "book").feeds[sim.assets["eth"]]
    ghost = node(sim, "book")._tapes.ghost.price()
    assert feed.mark.channels[Channel.LIQUIDITY_WITHDRAWAL] == feed.mark.price - ghost


def test_who_has_no_orders_leaves_no_ghost_and_no_event() -> None:
    sim = opened()
    withdraw(sim, "bob")
    assert not rows(sim, "cancel") and node(sim, "book")._tapes.ghost is None


Step = tuple[str, str, int, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["quote", "take", "take", "withdraw", "cancel"]), st.sampled_from(["bob", "cat", "dan"]),
        st.sampled_from([BUY, SELL]), st.integers(1_800, 2_200), st.integers(1, 900),
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_channels_explain_the_price_and_coins_are_conserved_whatever_happens(steps: list[Step]) -> None:
    sim = opened(taker_fee="5bps", maker_fee="-1bps")
    book, total = node(sim, "book"), {asset: sum(row[asset] for row in sim.ledger.balances) for asset in (0, 1)}
    for what, who, side, at, size in steps:
        if what == "quote":
            ladder = [(at, size / 100), (at - side * 7, size / 50)]
            quote(sim, who, **{"bids" if side == BUY else "asks": ladder})
        elif what == "take":
            done = take(sim, "ann", side, size / 100)
            assert done.filled + done.unfilled == size * ETH // 100
        else:
            book.cancel_all(sim.network.ids[who], cause=sim.shock(0), distress=what == "withdraw")
        mark_now = book.feeds[sim.assets["eth"]].mark
        assert sum(mark_now.channels) == mark_now.price - price(2_000) and mark_now.price == book.last()
        bid, ask = book.best(BUY), book.best(SELL)
        assert (bid is None or bid <= mark_now.price) and (ask is None or mark_now.price <= ask)
        assert not sim.ledger.max_imbalance() and not sim.ledger.overdrafts()
    assert total == {asset: sum(row[asset] for row in sim.ledger.balances) for asset in (0, 1)}


# ------------------------------------------------------------------------------------------------- perpetuals


def perpetual() -> Any:
    """Return an exchange with two accounts of a million dollars, and a maker around 2,000."""
    nodes, edges = venue(funding_interval="0s")
    nodes["eth-perp"] |= {"stubs": []}
    for name in ("ann", "bob"):
        nodes[name] = {"kind": "account"}
        edges.append(edge("margin", "exchange", name, balances={"usd": 1_000_000}))
    sim = build(graph_of(nodes, edges, []))
    sim.run(0)
    return sim


def place(sim: Any, name: str) -> tuple[int, int, int]:
    """Return contracts, cost and cash of an account."""
    return held(sim, name, "eth-perp:contract"), held(sim, name, "eth-perp:cost"), held(sim, name, "usd@exchange")


def test_a_position_is_contracts_and_their_cost_and_no_cash_moves() -> None:
    sim = perpetual()
    quote(sim, "bob", asks=[(2_000, 5), (2_010, 5)], market="eth-perp")
    take(sim, "ann", BUY, 6, market="eth-perp")
    paid = (5 * 2_000 + 2_010) * USD
    assert place(sim, "ann") == (6 * ETH, -paid, 1_000_000 * USD)
    assert place(sim, "bob") == (-6 * ETH, paid, 1_000_000 * USD)


def test_what_closes_a_position_turns_its_profit_into_cash() -> None:
    sim = perpetual()
    quote(sim, "bob", asks=[(2_000, 6)], market="eth-perp")
    take(sim, "ann", BUY, 6, market="eth-perp")
    quote(sim, "bob", bids=[(2_100, 2)], market="eth-perp")
    take(sim, "ann", SELL, 2, market="eth-perp")
    assert place(sim, "ann") == (4 * ETH, -4 * 2_000 * USD, 1_000_200 * USD)
    assert place(sim, "bob") == (-4 * ETH, 4 * 2_000 * USD, 999_800 * USD)
    assert place(sim, "exchange")[:2] == (0, 0)


def test_a_position_flips_from_long_to_short_at_the_price_of_the_trade() -> None:
    sim = perpetual()
    quote(sim, "bob", asks=[(2_000, 6)], market="eth-perp")
    take(sim, "ann", BUY, 6, market="eth-perp")
    quote(sim, "bob", bids=[(1_900, 10)], market="eth-perp")
    take(sim, "ann", SELL, 10, market="eth-perp")
    assert place(sim, "ann") == (-4 * ETH, 4 * 1_900 * USD, (1_000_000 - 600) * USD)
    assert place(sim, "bob") == (4 * ETH, -4 * 1_900 * USD, (1_000_000 + 600) * USD)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([BUY, SELL]), st.integers(1_500, 2_500), st.integers(1, 500)), max_size=12))
def test_contracts_and_costs_sum_to_zero_and_so_does_profit_at_every_mark(trades: list[tuple[int, int, int]]) -> None:
    sim = perpetual()
    names = [sim.network.names[h] for h in range(len(sim.network.names))]
    for side, at, size in trades:
        quote(sim, "bob", **{"asks" if side == BUY else "bids": [(at, size / 100)]}, market="eth-perp")
        take(sim, "ann", side, size / 100, market="eth-perp")
        places = [place(sim, name) for name in names]
        assert [sum(column) for column in zip(*places, strict=True)] == [0, 0, 0]
        profit = {n: q * at * USD // ETH + c + m for n, (q, c, m) in zip(names, places, strict=True)}
        assert profit["ann"] + profit["bob"] == 2_000_000 * USD
