"""Shocks: what comes from outside, exactly as much of it as was stated, at the times stated."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.units import PPM, PRICE_SCALE, SECOND
from tests.bank import bank_graph
from tests.sight import give, held, mark, node, position, price, quotes, rows, settle
from tests.worlds import graph_of, market, sale

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
