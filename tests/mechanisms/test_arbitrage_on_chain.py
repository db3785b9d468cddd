"""One dollar at three places, an exchange's book, a pool on chain and the issuer's window, and who joins them."""

from typing import Any

import pytest

from contagion.assembly import build, collect
from contagion.errors import BadInput
from contagion.log import Channel
from contagion.mechanisms.arbitrageur.venues import CHAIN, plan
from contagion.units import SECOND
from contagion.venues import BUY, SELL
from tests.invariants import check_hops, check_order, check_replay, watch_books
from tests.sight import held, mark, node, rows, settle
from tests.worlds import Table, edge, graph_of

TOKEN, CASH = 10**9, 10**6
HALT = {"start": "5s", "end": "20min"}
FALL = {"kind": "sale", "market": "book", "asset": "usde", "quantity": 40_000_000, "at": "10s"}


def tables(
    own: Table | None = None, *, exchange: Table | None = None, book: Table | None = None, pool: Table | None = None,
    issuer: Table | None = None, account: Table | None = None,
) -> tuple[dict[str, Table], list[Table]]:  # fmt: skip
    """Return a book of usde, a pool of it with usdc and usdt, if wanted an issuer, and an arbitrageur."""
    reserves = {"usde": 100_000_000, "usdc": 100_000_000, "usdt": 100_000_000}
    nodes: dict[str, Table] = {
        "usdt": {"kind": "asset", "decimals": 6},
        "usdc": {"kind": "asset", "decimals": 6},
        "usde": {"kind": "asset", "decimals": 9, "market": "pool"},
        "book": {"kind": "order_book", "asset": "usde", "numeraire": "usdt", "tick": 0.0001, "lot": 1} | (book or {}),
        "cex": {
            "kind": "exchange", "settlement": "usdt", "withdrawal_delay": "30s",
            "assets": {"usde": {"market": "book", "ratios": [[0, 0.9]]}},
        } | (exchange or {}),
        "pool": {
            "kind": "amm", "assets": ["usde", "usdc", "usdt"], "curve": "stableswap", "amplification": 200,
            "fee": "0.0004", "balances": reserves,
        } | (pool or {}),
        "arb": {
            "kind": "arbitrageur", "size": {"usde": 1_000_000}, "capacity": {"usde": 1_000_000_000},
            "minimum_edge": "0.001", "transfer_delay": "15s",
            "balances": {"usde": 10_000_000, "usdt": 10_000_000, "usdc": 5_000_000},
        } | (own or {}),
        "depositor": {"kind": "account"},
    }  # fmt: skip
    edges = [
        edge("trades", "cex", "book"), edge("prices", "book", "cex"), edge("arbitrage", "arb", ["book", "pool"]),
        edge("prices", ["book", "pool"], "arb", "50ms"),
        edge("margin", "cex", "arb", "20ms", balances={"usde": 10_000_000, "usdt": 10_000_000} | (account or {})),
        edge("margin", "cex", "depositor", balances={"usdt": 100_000_000}),
    ]  # fmt: skip
    if issuer is not None:
        nodes["usde"]["issuer"] = "issuer"
        nodes["issuer"] = {
            "kind": "stablecoin_issuer", "asset": "usde", "payout": "usdc", "fee": "0.001", "delay": "10min",
            "balances": {"usdc": 1_000_000_000, "usdt": 1_000_000_000},
        } | issuer  # fmt: skip
        edges.append(edge("redeems", "issuer", "arb", "1s"))
    return nodes, edges


def quoted(alone: bool = False, **facts: Any) -> Any:
    """Return a running world in which a maker quotes the book, and 40 million are sold into it within ten minutes."""
    nodes, edges = tables({"latency": "1s"}, **facts)
    nodes["book"]["stubs"] = [{"at": at, "quantity": 20_000_000} for at in (0.65, 0.6, 0.5)]
    quotes = {"depth": 10_000_000, "reach": 0.3, "capacity": 4, "skew": 0.35, "recovery": "60s"}
    nodes["maker"] = {"kind": "market_maker", "quotes": {"book": quotes}, "latency": "1s"}
    edges += [
        edge("quotes", "maker", "book"), edge("prices", "book", "maker"),
        edge("margin", "cex", "maker", balances={"usde": 30_000_000, "usdt": 60_000_000}),
    ]  # fmt: skip
    if alone:
        del nodes["arb"]
        edges = [table for table in edges if "arb" not in (table["from"], table["to"])]
    return started(nodes, edges, [FALL | {"over": "10min", "steps": 40}], watched=False)


def resting(
    bids: dict[float, int], asks: dict[float, int], touches: tuple[int, ...] = (1,), **facts: Any
) -> Any:  # fmt: skip
    """Return a running world whose book has so many tokens at each price, and of which a token is sold at times."""
    stubs = [{"at": at, "quantity": quantity} for at, quantity in (bids | asks).items()]
    price = (max(bids) + min(asks)) / 2
    stubs = [stub | {"at": f"{stub['at'] / price:.6f}"} for stub in stubs]
    sales = [FALL | {"quantity": 1, "at": f"{second}s"} for second in touches]
    facts["book"] = {"price": price, "stubs": stubs} | facts.get("book", {})
    return started(*tables(**facts), sales)


def started(nodes: dict[str, Table], edges: list[Table], shocks: list[Table], watched: bool = True) -> Any:
    graph = graph_of(nodes, edges, shocks)
    sim = build(graph)
    sim.graph = graph  # type: ignore[attr-defined]
    if watched:
        watch_books(sim)
    sim.run(0)
    return sim


def checked(sim: Any) -> Any:
    """Check that a finished run's events have causes that could reach them and replay to its ledger."""
    run = collect(sim, sim.graph)
    check_order(run)
    check_replay(run)
    check_hops(run, sim.network)
    return sim


def prices(sim: Any) -> tuple[float, float]:
    """Return the price on the book and in the pool."""
    return mark(sim, "book", "usde") / 1e9, mark(sim, "pool", "usde") / 1e9


def arbitrage(sim: Any, market: str) -> list[Any]:
    return [row for row in rows(sim, "trade") if row.channel == Channel.ARBITRAGE and row.market == market]


# ------------------------------------------------------------------------------------ a book and a pool


def test_while_transfers_are_open_the_exchange_stays_near_the_pool() -> None:
    alone, sim = quoted(alone=True), quoted()
    settle(alone, 660)
    settle(sim, 660)
    assert prices(alone)[0] < 0.8
    book, pool = prices(checked(sim))
    assert book > 0.97 and pool > 0.99


def test_what_is_bought_on_the_book_is_sold_in_the_pool_and_follows_it_there() -> None:
    sim = quoted()
    settle(sim, 300)
    buys, sales = arbitrage(sim, "book"), arbitrage(sim, "pool")
    assert [row.cause for row in sales] == [row.id for row in buys]
    assert [row.quantity for row in sales] == [row.quantity for row in buys]
    asked, paid = rows(sim, "withdrawal")[0], rows(sim, "payout")[0]
    assert (asked.node, asked.asset, paid.cause) == ("arb", "usde", asked.id)
    sent, put = rows(sim, "transfer")[0], rows(sim, "deposit")[0]
    assert (sent.asset, sent.market, put.cause) == ("usdt", "cex", sent.id)
    assert put.time_us - sent.time_us == 15 * SECOND and put.quantity == sent.quantity


def test_in_a_halt_its_inventory_runs_out_and_the_prices_part_until_the_halt_ends() -> None:
    sim = quoted(exchange={"halts": [HALT]})
    settle(sim, 1_199)
    book, pool = prices(sim)
    assert book < 0.85 and pool > 0.99
    assert held(sim, "arb", "usdt@cex") < 0.02 * 10_000_000 * CASH or held(sim, "arb", "usde") < 0.02 * 10**7 * TOKEN
    refused = rows(sim, "refused-transfer")
    assert sorted(row.asset for row in refused) == ["usde", "usdt"], "once a halt, not at every tick"
    assert not rows(sim, "withdrawal", "transfer")
    settle(sim, 900)
    book, pool = prices(checked(sim))
    assert pool - book < 0.03
    again = [row for row in rows(sim, "withdrawal", "transfer") if row.time_us <= 1_201 * SECOND]
    assert [row.cause for row in again] == [max(row.id for row in refused)] * 2


def test_a_trade_is_as_large_as_pays_most() -> None:
    """Up to where the pool's marginal price, fee included, meets the next level of the book."""
    asks = {0.95: 300_000, 0.99: 2_000_000, 0.995: 80_000_000, 1.0: 10}
    own = {"size": {"usde": 70_000_000}, "balances": {"usde": 90_000_000}}
    sim = resting({0.9: 1_000_000}, asks, own=own, account={"usdt": 95_000_000})
    arb = node(sim, "arb")
    book, pool = arb._venues[sim.assets["usde"]]
    bought, sold = book.curve(BUY, 10**17), pool.curve(SELL, 10**17)
    order = plan(book, pool, 70_000_000 * TOKEN, 10**15, arb._edge)
    assert order is not None and 3_000_000 * TOKEN < order.size < 69_000_000 * TOKEN

    def profit(size: int) -> int:
        return int(sold.worth(size) * 10**6 - bought.worth(size) * arb._edge)

    steps = [order.size + step * 20_000 * TOKEN for step in (-5, -1, 0, 1, 5)]
    assert max(steps, key=profit) == order.size
    settle(sim, 2)
    (buy,), (sale,) = arbitrage(sim, "book"), arbitrage(sim, "pool")
    assert buy.quantity == sale.quantity == pytest.approx(order.size, rel=1e-4)


def test_where_the_book_is_dearer_it_buys_in_the_pool_with_what_it_holds() -> None:
    sim = resting({1.03: 500_000, 0.999: 5_000_000}, {1.04: 10})
    settle(sim, 2)
    buys, sales = arbitrage(sim, "pool"), arbitrage(sim, "book")
    assert [row.asset for row in buys] == ["usdt"] and held(sim, "arb", "usdt") < 10_000_000 * CASH
    assert [row.cause for row in sales] == [row.id for row in buys]
    sold = sum(-row.quantity for row in sales)
    got = held(sim, "arb", "usde") - 10_000_000 * TOKEN
    assert 499_000 * TOKEN < sold <= got < sold + 2 * TOKEN, "whole lots are sold, crumbs are kept"
    checked(sim)


def test_it_leaves_an_edge_alone_that_the_pool_s_fee_takes() -> None:
    sim = resting({0.5: 1_000}, {0.9985: 5_000_000}, pool={"fee": "0.002"}, own={"minimum_edge": 0})
    settle(sim, 5)
    assert not arbitrage(sim, "book")


def test_it_stops_at_its_capacity_and_at_what_it_has_on_chain() -> None:
    asks = {0.95: 50_000_000}
    sim = resting({0.5: 1_000}, asks, own={"capacity": {"usde": 700_000}, "size": {"usde": 10_000_000}})
    settle(sim, 20)
    assert sum(row.quantity for row in arbitrage(sim, "book")) == 700_000 * TOKEN
    balances = {"usde": 300_000}
    sim = resting({0.5: 1_000}, asks, own={"balances": balances, "refill_at": 0, "size": {"usde": 10_000_000}})
    settle(sim, 20)
    assert sum(row.quantity for row in arbitrage(sim, "book")) == 300_000 * TOKEN


def test_one_live_quote_is_no_arbitrage() -> None:
    sim = resting({0.5: 1_000}, {0.95: 10_000})
    node(sim, "book")._tapes.real.book.best = lambda side: None  # nobody rests any more
    settle(sim, 5)
    assert not arbitrage(sim, "book") and not arbitrage(sim, "pool")


def test_a_pool_is_paid_in_what_numeraires_say_and_that_is_swapped_into_what_books_take() -> None:
    own: Table = {"numeraires": {"pool": "usdc"}}
    sim = resting({0.5: 1_000}, {0.95: 100_000}, own=own | {"swap_cost": 0})
    settle(sim, 5)
    assert held(sim, "arb", "usdc") > 5_090_000 * CASH and held(sim, "arb", "usdt") == 10_000_000 * CASH
    sim = resting({0.5: 1_000}, {0.95: 100_000}, own=own)
    settle(sim, 5)
    assert held(sim, "arb", "usdc") == 5_000_000 * CASH and held(sim, "arb", "usdt") > 10_090_000 * CASH


# ------------------------------------------------------------------------------------------ transfers


def test_a_withdrawal_that_margin_forbids_changes_nothing_and_is_said_once() -> None:
    """Ten million usde are all that stands for a loan of eight."""
    own = {"balances": {"usde": 0}}
    sim = resting({0.9995: 1_000}, {1.0005: 10}, (1, 5, 9), own=own, account={"usdt": -8_000_000})
    settle(sim, 20)
    assert held(sim, "arb", "usde@cex") == 10_000_000 * TOKEN and not rows(sim, "withdrawal", "liquidation")
    assert [row.asset for row in rows(sim, "refused-transfer")] == ["usde"]


def test_a_withdrawal_that_is_refused_at_last_is_not_under_way_any_more() -> None:
    own = {"refill_at": 1, "balances": {"usde": 9_000_000}, "minimum_edge": 1}
    sim = resting({0.5: 1_000}, {2.0: 10}, own=own)
    arb, transfers = sim.network.ids["arb"], node(sim, "arb")._transfers
    transfers.begin(CHAIN, sim.assets["usde"])
    settle(sim, 2)
    (asked,) = rows(sim, "withdrawal")
    cex, usde = sim.network.ids["cex"], sim.assets["usde"]
    assert transfers.available(cex, usde) == 10_000_000 * TOKEN - asked.quantity
    claim, lost = sim.assets["usde@cex"], 9_800_000 * TOKEN
    sim.shock(arb, (arb, claim, -lost), (sim.network.ids["depositor"], claim, lost))
    settle(sim, 31)
    assert len(rows(sim, "refused-withdrawal")) == 1
    assert transfers.available(cex, usde) == 10_000_000 * TOKEN - lost and not transfers._leaving
    assert held(sim, "arb", "usde") == 9_000_000 * TOKEN


# -------------------------------------------------------------------------------------------- the window


def test_without_a_pool_tokens_are_redeemed_and_paid_for_later() -> None:
    """The payout is the exchange's own dollar, and goes back to where it was spent."""
    nodes, edges = tables(issuer={"payout": "usdt"}, own={"refill_at": "0.95"})
    price = {"price": 0.9, "stubs": [{"at": "0.5", "quantity": 1_000}, {"at": 1, "quantity": 2_000_000}]}
    nodes["book"] |= price
    nodes.pop("pool")
    nodes["usde"].pop("market")
    edges = [table | {"to": "book"} if table["role"] == "arbitrage" else table for table in edges]
    edges = [table | {"from": "book"} if table["from"] == ["book", "pool"] else table for table in edges]
    sim = started(nodes, edges, [FALL | {"quantity": 1, "at": f"{second}s"} for second in (1, 2)])
    settle(sim, 60)
    buys, redeemed = arbitrage(sim, "book"), rows(sim, "redemption")
    assert sum(row.quantity for row in buys) == 2_000_000 * TOKEN
    assert [row.cause for row in redeemed] == [row.id for row in buys]
    assert held(sim, "arb", "issuer/redemption") == 2_000_000 * 999_000 and not rows(sim, "settlement")
    settle(sim, 600)
    paid = rows(sim, "settlement")
    assert [row.time_us - was.time_us for row, was in zip(paid, redeemed, strict=True)] == [601 * SECOND] * len(paid)
    back = [row for row in rows(sim, "transfer") if row.asset == "usdt"]
    assert back and back[0].cause in {row.id for row in rows(sim, "payout", "settlement", "deposit", "trade")}
    checked(sim)


def test_a_payout_of_another_kind_is_swapped_into_what_books_take() -> None:
    sim = resting({0.5: 1_000}, {0.9: 500_000}, issuer={"fee": 0}, pool={"fee": "0.0001"})
    settle(sim, 5)
    redeemed = rows(sim, "redemption")
    assert sum(row.quantity for row in redeemed) == 500_000 * TOKEN
    settle(sim, 700)
    swaps = [row for row in arbitrage(sim, "pool") if row.asset == "usdc"]
    assert [row.cause for row in swaps] == [row.id for row in rows(sim, "settlement")]
    assert sum(row.quantity for row in swaps) == 500_000 * CASH and held(sim, "arb", "usdc") == 5_000_000 * CASH
    checked(sim)


def test_no_more_is_redeemed_than_the_window_has_room_for_or_than_is_on_chain() -> None:
    facts: dict[str, Any] = {"issuer": {"payout": "usdt", "capacity": 300_000}, "pool": {"fee": "0.5"}}
    sim = resting({0.5: 1_000}, {0.9: 2_000_000}, **facts)
    settle(sim, 60)
    assert sum(row.quantity for row in rows(sim, "redemption")) == 300_000 * TOKEN
    facts["issuer"]["capacity"] = 10_000_000
    sim = resting({0.5: 1_000}, {0.9: 2_000_000}, own={"balances": {"usde": 200_000}, "refill_at": 0}, **facts)
    settle(sim, 20)
    assert sum(row.quantity for row in rows(sim, "redemption")) == 200_000 * TOKEN


def test_what_a_pool_sells_below_par_is_redeemed_at_once_without_any_inventory() -> None:
    """Nobody has to hold tokens to buy a pool up to par: they are there when they have been bought."""
    reserves = {"usde": 160_000_000, "usdc": 100_000_000, "usdt": 40_000_000}
    own = {"balances": {"usdt": 3_000_000}, "refill_at": 0}
    facts = {"pool": {"balances": reserves, "amplification": 20}, "account": {"usde": 0}}
    sim = resting({0.5: 1_000}, {2.0: 10}, own=own, issuer={"payout": "usdt"}, **facts)
    before = prices(sim)[1]
    settle(sim, 60)
    buys, redeemed = arbitrage(sim, "pool"), rows(sim, "redemption")
    assert buys and [row.cause for row in redeemed] == [row.id for row in buys]
    assert prices(sim)[1] > before and held(sim, "arb", "usde") == 0
    checked(sim)


def test_where_the_book_is_dearer_tokens_are_minted_and_the_payout_is_bought_back() -> None:
    """The pool is too dear to buy in, so that the window is where a dollar costs one."""
    issuer = {"fee": 0, "mint_fee": 0, "mint_capacity": 10_000_000, "delay": "1min"}
    reserves = {"usde": 95_000_000, "usdc": 110_000_000, "usdt": 110_000_000}
    own = {"balances": {"usde": 1_000_000, "usdc": 2_000_000, "usdt": 5_000_000}, "minimum_edge": "0.01"}
    sim = resting({1.02: 3_000_000}, {1.5: 10}, (1, 90), own=own, issuer=issuer, pool={"balances": reserves})
    settle(sim, 60)
    minted, sales = rows(sim, "mint"), arbitrage(sim, "book")
    assert minted and [row.cause for row in sales] == [row.id for row in minted]
    back = [row for row in arbitrage(sim, "pool") if row.asset == "usdt"]
    assert back and 0 < held(sim, "arb", "usdc") < 5_000_000 * CASH
    settle(sim, 120)
    assert held(sim, "arb", "issuer/minting") == 0
    checked(sim)


# ---------------------------------------------------------------------------------- what is refused at load


def without(role: str, source: str | None = None) -> Any:
    """Return what takes the edges of a role that leave a node away, or all of them."""

    def change(nodes: dict[str, Table], edges: list[Table]) -> list[Table]:
        kept = []
        for table in edges:
            ends = table["from"] if isinstance(table["from"], list) else [table["from"]]
            if table["role"] == role and table["to"] == "arb":
                ends = [end for end in ends if source is not None and end != source]
            kept += [table | {"from": ends}] if ends else []
        return kept

    return change


def stating(**facts: Any) -> Any:
    def change(nodes: dict[str, Table], edges: list[Table]) -> list[Table]:
        nodes["arb"] |= facts
        return edges

    return change


def beside_a_law(nodes: dict[str, Table], edges: list[Table]) -> list[Table]:
    nodes["law"] = {"kind": "impact", "asset": "usde", "numeraire": "usdt", "depth": 5}
    return [*edges, edge("arbitrage", "arb", "law")]


MISFITS: dict[str, tuple[Any, str]] = {
    "no account": (without("margin"), "'arb' has no account at 'cex', which clears 'book': add a 'margin' edge"),
    "a book unheard": (without("prices", "book"), "'arb' does not hear 'book': add a 'prices' edge from it"),
    "a pool unheard": (without("prices", "pool"), "'arb' does not hear 'pool': add a 'prices' edge from it"),
    "a law of impact": (beside_a_law, "trades on order books and in pools"),
    "a numeraire elsewhere": (stating(numeraires={"book": "usdt"}), "'book' is no pool that an 'arbitrage' edge"),
    "no such asset": (stating(numeraires={"pool": "dai"}), "there is no asset 'dai'"),
    "no size": (stating(size={"usdc": 1}), "states nothing for 'usde'"),
    "no capacity": (stating(capacity={"usdt": 1}), "states nothing for 'usde'"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_what_it_cannot_do_is_refused_at_load(case: str) -> None:
    change, what = MISFITS[case]
    nodes, edges = tables()
    with pytest.raises(BadInput, match=what):
        build(graph_of(nodes, change(nodes, edges), []))


def test_a_perpetual_needs_an_account_too() -> None:
    nodes, edges = tables()
    nodes["perp"] = {"kind": "order_book", "asset": "usde", "numeraire": "usdt", "contract": "perpetual"}
    nodes["other"] = {"kind": "exchange", "settlement": "usdt"}
    edges += [
        edge("trades", "other", "perp"),
        edge("prices", "perp", ["other", "arb"]),
        edge("arbitrage", "arb", "perp"),
    ]
    with pytest.raises(BadInput, match="no account at 'other'"):
        build(graph_of(nodes, edges, []))


def test_an_issuer_redeems_what_has_a_size() -> None:
    nodes, edges = tables(issuer={"asset": "usdc", "payout": "usdt"})
    nodes["usde"].pop("issuer")
    with pytest.raises(BadInput, match="'size' does not name 'usdc'"):
        build(graph_of(nodes, edges, []))


def test_a_pool_trades_what_has_a_size() -> None:
    nodes, edges = tables()
    nodes["other"] = {"kind": "amm", "assets": ["usdc", "usdt"], "balances": {"usdc": 10, "usdt": 10}}
    edges += [edge("arbitrage", "arb", "other"), edge("prices", "other", "arb")]
    with pytest.raises(BadInput, match="'other' has no asset that 'size' names"):
        build(graph_of(nodes, edges, []))
