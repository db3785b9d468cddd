"""Shocks: what comes from outside, exactly as much of it as was stated, at the times stated."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.json_schema import scenario_schema
from contagion.shocks import SHOCKS
from contagion.units import PPM, PRICE_SCALE, SECOND
from tests.bank import bank_graph
from tests.issuer_desk import issuer_graph
from tests.sight import give, held, mark, node, position, price, quotes, rows, settle
from tests.venue_worlds import add_maker, fall, venue
from tests.worlds import edge, graph_of, market, sale

ETH, USD = 10**9, 10**6


def ran(*shocks: Any, until: int = 3_600, twin: str = "base", **pool: Any) -> Any:
    nodes, edges = market()
    nodes["pool"] |= pool
    sim = build(graph_of(nodes, edges, list(shocks)), twin=twin)
    sim.run(until * SECOND)
    return sim


def bank_run(*shocks: Any, until: int = 3_600, **facts: Any) -> Any:
    graph = bank_graph({"ann": (1_000, 70_000)}, **facts)
    graph.graph["shocks"] = list(shocks)
    sim = build(graph)
    sim.run(until * SECOND)
    return sim


def withdrawal(quantity: float, **facts: Any) -> dict[str, Any]:
    table = {"kind": "withdrawal", "by": "supplier", "lender": "lender", "asset": "usd", "at": "10s"}
    return table | {"quantity": quantity} | facts


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 10**13), st.integers(1, 60))
def test_the_steps_of_a_sale_are_equal_and_add_up_exactly(units: int, steps: int) -> None:
    quantity = f"{units // ETH}.{units % ETH:09d}"
    sim = ran(sale(quantity=quantity, steps=steps, over="10min"))
    parts = [row.quantity for row in rows(sim, "shock")]
    assert sum(parts) == units and len(parts) == steps
    assert max(parts) - min(parts) <= 1


def test_steps_are_spread_evenly_over_the_time_stated() -> None:
    sim = ran(sale(quantity=50, steps=4, over="9s"))
    assert [row.time_us for row in rows(sim, "shock")] == [at * SECOND for at in (1, 4, 7, 10)]


def test_a_sale_is_a_shock_of_generation_zero_that_causes_its_trade() -> None:
    sim = ran(sale(quantity=50, by="holder"))
    (shock,), (trade,) = rows(sim, "shock"), rows(sim, "trade")
    assert (shock.node, shock.market, shock.asset, shock.generation, shock.cause) == ("holder", "pool", "eth", 0, 0)
    assert (trade.cause, trade.quantity, trade.generation, trade.channel) == (shock.id, 50 * ETH, 0, 1)
    assert held(sim, "holder", "eth") == 50 * ETH and held(sim, "holder", "usd") == trade.value


@pytest.mark.parametrize("size", [-0.05, -0.5, -0.9])
def test_a_sale_by_size_moves_the_price_by_it(size: float) -> None:
    sim = ran(sale(size), fee=0)
    assert mark(sim, "pool", "eth") == pytest.approx(price(2_000) * (1 + size), rel=1e-6)


def test_the_size_of_a_sale_is_fixed_before_anything_happens() -> None:
    alone = ran(sale(-0.2, at="1min"))
    after_crash = ran(sale(-0.2, at="1min"), sale(-0.6, at="1s"))
    assert rows(alone, "shock")[-1].quantity == rows(after_crash, "shock")[-1].quantity


def test_a_sale_that_the_seller_cannot_deliver_is_logged_as_refused() -> None:
    sim = ran(sale(quantity=150, by="holder", steps=3, over="2s"))
    assert [row.kind for row in rows(sim, "trade", "refused-sale")] == ["trade", "trade", "refused-sale"]
    refused = rows(sim, "refused-sale")[0]
    assert (refused.node, refused.quantity, refused.cause) == ("holder", 50 * ETH, rows(sim, "shock")[-1].id)
    assert held(sim, "holder", "eth") == 0


def test_cash_may_be_sold_for_the_asset() -> None:
    sim = ran({"kind": "sale", "market": "pool", "asset": "usd", "bought": "eth", "quantity": 1_000_000})
    assert mark(sim, "pool", "eth") > price(2_000)


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({"asset": "usd"}, "sells 'usd' for itself"),
        ({"market": "holder"}, "'holder' is no market"),
        ({"asset": "pepe"}, "there is no asset 'pepe'"),
        ({"quantity": 1, "size": -0.1}, "state either 'quantity' or 'size'"),
        ({"size": 0.1, "quantity": None}, "between -100% and 0"),
        ({"by": "nobody"}, "there is no node 'nobody'"),
    ],
)
def test_a_sale_that_cannot_be_made_is_refused_at_load(facts: dict[str, Any], what: str) -> None:
    with pytest.raises(BadInput, match=rf"shocks\[0\].*{what}"):
        ran({"kind": "sale", "market": "pool", "asset": "eth", "quantity": 1} | facts)


def test_without_a_shock_the_control_twin_stays_where_it_was() -> None:
    sim = ran(sale(-0.5), twin="control")
    assert rows(sim) == [] and mark(sim, "pool", "eth") == price(2_000)


def repricing(size: float | str, **facts: Any) -> dict[str, Any]:
    return {"kind": "reprice", "asset": "eth", "size": size, "at": "1s"} | facts


@settings(max_examples=40, deadline=None)
@given(st.integers(-999_999, 3 * PPM), st.integers(1, 60))
def test_the_path_of_a_repricing_ends_exactly_at_its_size(size_ppm: int, steps: int) -> None:
    sim = ran(repricing(f"{size_ppm / PPM:.6f}", steps=steps, over="10min"))
    path = [at for _, at in quotes(sim, "eth")]
    assert path[-1] == price(2_000) * (PPM + size_ppm) // PPM
    moves = [after - before for before, after in pairwise(path)]
    assert max(moves, default=0) - min(moves, default=0) <= 1


def test_a_repricing_is_a_shock_and_its_move_is_exogenous() -> None:
    sim = ran(repricing(-0.25, steps=5, over="4s"))
    shocks, feed = rows(sim, "shock"), node(sim, "eth").feeds[sim.assets["eth"]]
    assert [row.price for row in shocks] == [price(p) for p in (1_900, 1_800, 1_700, 1_600, 1_500)]
    assert [row.time_us for row in shocks] == [at * SECOND for at in (1, 2, 3, 4, 5)]
    assert feed.mark.exogenous == -500 * PRICE_SCALE and feed.mark.generations == 0


def test_repricings_one_after_the_other_or_at_once_compound() -> None:
    assert mark(ran(repricing(-0.25), repricing(-0.25, at="2s")), "eth", "eth") == price(1_125)
    together = ran(*[repricing(-0.25, steps=3, over="4s")] * 2)
    assert mark(together, "eth", "eth") == pytest.approx(price(1_125), abs=10)


def test_no_repricing_takes_a_price_to_zero() -> None:
    falls = [repricing("-0.999999", at=f"{second}s") for second in (1, 2, 3)]
    assert mark(ran(*falls), "eth", "eth") == 1


def test_a_withdrawal_takes_a_deposit_out() -> None:
    sim = bank_run(withdrawal(400_000))
    assert held(sim, "supplier", "usd") == 400_000 * USD
    (row,) = rows(sim, "withdrawal")
    assert (row.node, row.time_us, row.cause) == ("supplier", 10 * SECOND, rows(sim, "shock")[0].id)
    assert not rows(sim, "blocked-withdrawal")


def test_a_withdrawal_waits_for_what_is_lent_out_and_takes_what_comes() -> None:
    sim = bank_run(withdrawal(100_000), supply=100_000, until=60)
    assert held(sim, "supplier", "usd") == 30_000 * USD
    (blocked,) = rows(sim, "blocked-withdrawal")
    assert (blocked.node, blocked.quantity, blocked.first) == ("supplier", 70_000 * USD, 1)
    lender, usd = node(sim, "lender"), sim.assets["usd"]
    for _ in range(2):
        cause = give(sim, "ann", "usd", 35_000 * USD)
        lender.repay(position(sim, "ann"), usd, 35_000 * USD, cause=cause)
        settle(sim, 1)
    assert held(sim, "supplier", "usd") == 100_000 * USD
    assert [row.first for row in rows(sim, "blocked-withdrawal")] == [1, 0]
    repayments, taken = rows(sim, "repayment"), rows(sim, "withdrawal")
    assert [row.cause for row in taken[1:]] == [row.id for row in repayments]
    assert lender.collateral_of(position(sim, "supplier"), usd) == 0


def test_a_withdrawal_ends_when_the_deposit_is_gone() -> None:
    sim = bank_run(withdrawal(999_999_999), until=60)
    assert held(sim, "supplier", "usd") == 9_930_000 * USD, "the rest is lent out"
    cause = give(sim, "ann", "usd", 70_000 * USD)
    node(sim, "lender").repay(position(sim, "ann"), sim.assets["usd"], 70_000 * USD, cause=cause)
    settle(sim, 1)
    assert held(sim, "supplier", "usd") == 10_000_000 * USD
    assert len(rows(sim, "blocked-withdrawal")) == 1


def test_a_depositor_who_owes_waits_until_it_would_stay_healthy() -> None:
    sim = bank_run(withdrawal(900, by="ann", asset="eth"), until=60)
    assert held(sim, "ann", "eth") == 0 and len(rows(sim, "blocked-withdrawal")) == 1
    cause = give(sim, "ann", "usd", 70_000 * USD)
    node(sim, "lender").repay(position(sim, "ann"), sim.assets["usd"], 70_000 * USD, cause=cause)
    settle(sim, 1)
    assert held(sim, "ann", "eth") == 900 * ETH


@pytest.mark.parametrize(
    ("facts", "what"),
    [({"lender": "ann"}, "'ann' is no lender"), ({"asset": "doge"}, "there is no asset 'doge'")],
)
def test_a_withdrawal_that_cannot_be_asked_for_is_refused_at_load(facts: dict[str, Any], what: str) -> None:
    with pytest.raises(BadInput, match=rf"shocks\[0\].*{what}"):
        bank_run(withdrawal(1, **facts))


def at_issuer(*shocks: Any, **facts: Any) -> Any:
    graph = issuer_graph(**facts)
    graph.add_edge("usd", "ann", role="holds", quantity=50_000)
    graph.graph["shocks"] = [{"by": "ann", "issuer": "issuer", "at": "1s"} | shock for shock in shocks]
    sim = build(graph)
    sim.run(600 * SECOND)
    return sim


def test_tokens_are_redeemed_in_equal_steps_each_a_shock() -> None:
    sim = at_issuer({"kind": "redemption", "quantity": 30_000, "steps": 3, "over": "20s"})
    found = rows(sim, "redemption")
    assert [(row.time_us // SECOND, row.quantity) for row in found] == [(at, 10_000 * USD) for at in (1, 11, 21)]
    assert [row.cause for row in found] == [row.id for row in rows(sim, "shock")]
    assert held(sim, "ann", "usd") == 80_000 * USD and held(sim, "ann", "usde") == 20_000 * USD


def test_money_is_brought_to_an_issuer_for_new_tokens() -> None:
    sim = at_issuer({"kind": "mint", "quantity": 20_000}, issuer={"mint_capacity": 50_000})
    assert (held(sim, "ann", "usd"), held(sim, "ann", "usde")) == (30_000 * USD, 70_000 * USD)


@pytest.mark.parametrize(
    ("shock", "facts"),
    [
        ({"kind": "redemption", "quantity": 30_000}, {"issuer": {"capacity": 20_000}}),
        ({"kind": "redemption", "quantity": 60_000}, {}),
        ({"kind": "redemption", "quantity": 10, "by": "exchange"}, {}),
        ({"kind": "mint", "quantity": 10}, {}),
    ],
)
def test_what_an_issuer_refuses_is_logged_and_lost(shock: dict[str, Any], facts: dict[str, Any]) -> None:
    sim = at_issuer(shock, **facts)
    (row,) = rows(sim, f"refused-{shock['kind']}")
    assert (row.node, row.cause) == (shock.get("by", "ann"), rows(sim, "shock")[0].id)
    assert not rows(sim, "redemption", "mint")


def test_who_is_no_issuer_is_refused_at_load() -> None:
    with pytest.raises(BadInput, match=r"shocks\[0\].*'exchange' is no issuer"):
        at_issuer({"kind": "redemption", "quantity": 1, "issuer": "exchange"})


def stalled(*shocks: Any, latency: str = "1s", until: int = 600) -> Any:
    nodes, edges = market()
    nodes["oracle"] = {"kind": "oracle", "asset": "eth", "source": "pool"}
    sim = build(graph_of(nodes, [*edges, edge("prices", "pool", "oracle", latency)], list(shocks)))
    sim.run(until * SECOND)
    return sim


def stall(name: str, at: str = "5s", over: str = "60s", **facts: Any) -> dict[str, Any]:
    return {"kind": "stall", "node": name, "at": at, "over": over} | facts


def answers(sim: Any) -> list[int]:
    return [row.time_us // SECOND for row in rows(sim, "oracle-update")]


def test_what_a_stalled_market_says_is_heard_when_the_stall_is_over() -> None:
    sales = [sale(quantity=50, at="10s"), sale(quantity=50, at="20s")]
    assert answers(stalled(*sales)) == [11, 21]
    sim = stalled(*sales, stall("pool"))
    assert [at // SECOND for at, _ in quotes(sim, "pool")][1:] == [10, 20], "the market itself goes on"
    assert set(answers(sim)) == {66} and mark(sim, "oracle", "eth") == mark(sim, "pool", "eth")
    causes = [row.cause for row in rows(sim, "oracle-update")]
    assert causes == [row.id for row in rows(sim, "trade")], "in order, and each with its own cause"


def test_a_stall_is_a_shock_of_the_node_that_falls_silent() -> None:
    sim = stalled(stall("pool"))
    (shock,) = rows(sim)
    assert (shock.kind, shock.node, shock.time_us, shock.generation, shock.cause) == ("shock", "pool", 5 * SECOND, 0, 0)


def test_what_is_under_way_when_a_stall_begins_arrives() -> None:
    assert answers(stalled(sale(quantity=50, at="4s"), stall("pool"), latency="10s")) == [14]


def test_of_two_stalls_the_longer_counts() -> None:
    sales = sale(quantity=50, at="10s")
    assert answers(stalled(sales, stall("pool"), stall("pool", over="10s"))) == [66]
    assert answers(stalled(sales, stall("pool"), stall("pool", at="8s", over="90s"))) == [99]


def test_a_stalled_oracle_answers_and_nobody_hears() -> None:
    sim = stalled(sale(quantity=50, at="10s"), stall("oracle"))
    assert answers(sim) == [11]


@pytest.mark.parametrize("max_age", ["0s", "30s"])
def test_a_maker_that_hears_old_prices_withdraws_if_it_looks_at_their_age(max_age: str) -> None:
    nodes, edges = venue(funding_interval="0s")
    add_maker(nodes, edges, max_age=max_age, cooldown="1min")
    sim = build(graph_of(nodes, edges, [fall(-0.02, at="20s"), stall("eth", at="10s")]))
    sim.run(300 * SECOND)
    gone = [row for row in rows(sim, "maker-withdrawal") if max_age != "0s"]
    assert [row.time_us // SECOND for row in gone] == ([70] if max_age != "0s" else [])
    assert len(rows(sim, "maker-withdrawal")) == len(gone)
    assert all(row.time_us >= 70 * SECOND for row in rows(sim, "quote")[2:]), "nobody quotes what nobody has heard"


def test_an_exchange_marks_to_what_it_heard_before_a_stall() -> None:
    nodes, edges = venue(funding_interval="0s")
    coin = {"ratios": [[0, 0.9]], "market": "eth-spot", "sources": {"eth": 1}}
    nodes["exchange"]["assets"] = {"eth": coin}
    sim = build(graph_of(nodes, edges, [fall(-0.3, at="20s", over="0s", steps=1), stall("eth", at="10s")]))
    sim.run(69 * SECOND)
    assert mark(sim, "exchange", "eth") == price(2_000)
    sim.run(80 * SECOND)
    assert mark(sim, "exchange", "eth") == price(1_400)


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({"node": "holder"}, "'holder' quotes no prices that could stall"),
        ({"node": "nobody"}, "there is no node 'nobody'"),
        ({"over": "0s"}, "'over' is how long nothing is heard"),
        ({"steps": 3}, "Input should be 1"),
    ],
)
def test_a_stall_that_cannot_be_is_refused_at_load(facts: dict[str, Any], what: str) -> None:
    with pytest.raises(BadInput, match=rf"shocks\[0\].*{what}"):
        stalled(stall("pool") | facts)


def test_a_sale_by_size_at_a_book_counts_the_first_quotes_of_its_makers() -> None:
    nodes, edges = venue(funding_interval="0s")
    add_maker(nodes, edges)
    shocks = [{"kind": "sale", "market": "eth-spot", "asset": "eth", "size": -0.02, "at": at} for at in ("0s", "2s")]
    sim = build(graph_of(nodes, edges, shocks))
    sim.run(SECOND)
    assert rows(sim, "shock")[0].quantity > 0
    lowest = min(at for _, at in quotes(sim, "eth-spot"))
    assert lowest == pytest.approx(price(2_000) * 0.98, rel=2e-3), "before the maker comes back"
    sim.run(3 * SECOND)
    first, second = rows(sim, "shock")
    assert first.quantity == second.quantity, "each is fixed before anything happens"


def test_who_has_no_account_sells_no_contracts() -> None:
    nodes, edges = venue(funding_interval="0s")
    add_maker(nodes, edges)
    nodes["bob"] = {"kind": "account", "balances": {"eth": 100}}
    short = {"kind": "sale", "market": "eth-perp", "asset": "eth", "quantity": 5, "by": "bob", "at": "1s"}
    sim = build(graph_of(nodes, edges, [short]))
    sim.run(5 * SECOND)
    assert len(rows(sim, "refused-sale")) == 1 and held(sim, "bob", "eth-perp:contract") == 0


def test_the_schema_of_a_scenario_knows_every_shock_and_when_a_stall_ends() -> None:
    parts = scenario_schema()["$defs"]
    assert {f"shock-{kind}" for kind in SHOCKS} <= set(parts)
    stated = parts["shock-stall"]["properties"]
    assert {"node", "at", "over"} <= set(stated) and stated["kind"] == {"const": "stall"}
