"""How a looper gets out: before it is liquidated, by its rule, and not at any price."""

from typing import Any

import pytest

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.finance.leverage import carry, loop_leverage
from contagion.units import PPM, YEAR
from tests.bank import bank_graph
from tests.sight import books, held, node, position, price, reprice, rows, settle

USD, ETH = 10**6, 10**9
LOOPER: dict[str, Any] = {
    "kind": "looper", "collateral": "eth", "debt": "usd", "equity": 100, "ltv": 0.75, "rounds": 4,
    "unwind_below": 1.05, "unwind_to": 1.1,
}  # fmt: skip


def looper_graph(
    depth: float = 1_000_000,
    pool_price: float = 85,
    latency: str = "0s",
    facts: dict[str, Any] | None = None,
    **more: Any,
) -> Any:
    """Return the bank with a looper that reads the price of ether and may sell it in a pool of some depth."""
    graph = bank_graph({}, **(facts or {}))
    graph.add_node("looper", **(LOOPER | more), path=("nodes", "looper"))
    graph.add_node("pool", kind="amm", assets=["eth", "usd"], fee=0, path=("nodes", "pool"))
    for asset, quantity in {"eth": depth, "usd": depth * pool_price}.items():
        graph.add_edge(asset, "pool", role="holds", quantity=quantity, path=())
    graph.add_edge("eth", "looper", role="prices", latency=latency, path=())
    graph.add_edge("looper", "pool", role="trades", path=())
    graph.add_edge("looper", "lender", role="borrows", path=())
    graph.add_edge("lender", "looper", role="lends", path=())
    return graph


def started(**facts: Any) -> Any:
    sim = build(looper_graph(**facts))
    sim.run(0)
    return sim


def health(sim: Any) -> float:
    return float(node(sim, "lender").health(position(sim, "looper")))


def moved(sim: Any, at: float) -> int:
    shock = reprice(sim, "eth", at)
    settle(sim)
    return shock


def test_it_unwinds_when_its_health_is_below_its_floor_and_stops_at_its_target() -> None:
    sim = started()
    moved(sim, 86)
    assert health(sim) > 1.05 and not rows(sim, "forced-unwind")
    moved(sim, 85)
    (row,) = rows(sim, "forced-unwind")
    assert health(sim) == pytest.approx(1.1, rel=1e-3)
    assert (row.node, row.market, row.first) == ("looper", "pool", 1)


def test_the_answer_that_it_read_is_the_cause_of_its_unwinding() -> None:
    sim = started(latency="2s", facts={"block_time": "12s"})
    shock = reprice(sim, "eth", 85)
    settle(sim, 5)
    (row,) = rows(sim, "forced-unwind")
    assert (row.cause, row.time_us, row.generation) == (shock, 2_000_001, 1)


def test_of_several_answers_the_first_since_which_it_is_below_its_floor_is_the_cause() -> None:
    sim = started(latency="2s")
    shocks = [reprice(sim, "eth", at) for at in (84, 90, 85, 84)]
    settle(sim, 5)
    assert [row.cause for row in rows(sim, "forced-unwind")] == [shocks[2]]


def test_it_does_not_wait_for_the_lender_to_read_the_answer() -> None:
    sim = started(facts={"block_time": "1h"})
    moved(sim, 85)
    assert len(rows(sim, "forced-unwind")) == 1 and not rows(sim, "call")


def test_it_acts_after_its_own_latency() -> None:
    graph = looper_graph(latency="1s")
    graph.nodes["looper"]["latency"] = "3s"
    sim = build(graph)
    sim.run(0)
    reprice(sim, "eth", 85)
    settle(sim, 10)
    assert rows(sim, "forced-unwind")[0].time_us == 4_000_001


def test_the_flash_loan_nets_to_zero_and_nothing_sticks_to_it() -> None:
    sim = started()
    world = held(sim, "world", "usd")
    moved(sim, 85)
    loan, back = rows(sim, "flash-loan")
    assert loan.quantity == -back.quantity > 0
    assert held(sim, "world", "usd") == world
    trade, repayment, out = (rows(sim, kind)[0] for kind in ("trade", "repayment", "withdrawal"))
    assert trade.value == repayment.quantity == loan.quantity and trade.quantity == out.quantity
    assert [row.kind for row in rows(sim)[-6:]] == [
        "forced-unwind", "flash-loan", "repayment", "withdrawal", "trade", "flash-loan",
    ]  # fmt: skip
    assert held(sim, "looper", "eth") == 0 and held(sim, "looper", "usd") == 0


def test_it_refuses_to_sell_where_any_sale_would_leave_it_less_healthy() -> None:
    sim = started(pool_price=40)
    before = books(sim)
    shock = moved(sim, 85)
    (row,) = rows(sim, "unwind-refused")
    assert row.cause == shock and not rows(sim, "forced-unwind", "trade")
    assert books(sim) == before


def test_in_a_shallow_pool_it_sells_as_far_as_a_sale_still_heals() -> None:
    sim = started(depth=100)
    before = moved(sim, 86) and health(sim)
    moved(sim, 85)
    (row,) = rows(sim, "forced-unwind")
    assert row.quantity > 0 and not rows(sim, "unwind-refused")
    assert health(sim) < 1.1 and health(sim) > before * 85 / 86


def test_it_does_nothing_once_its_health_is_below_one() -> None:
    sim = started()
    moved(sim, 80)
    assert health(sim) < 1
    assert not rows(sim, "forced-unwind", "unwind-refused")
    assert len(rows(sim, "call")) == 1


def test_collateral_that_is_lent_out_keeps_it_from_unwinding() -> None:
    sim = started()
    lender, supplier = node(sim, "lender"), position(sim, "supplier")
    lender.borrow(supplier, sim.assets["eth"], lender.available(sim.assets["eth"]), cause=0)
    before = books(sim)
    moved(sim, 85)
    assert len(rows(sim, "unwind-refused")) == 1 and books(sim) == before


def test_without_a_rule_it_stays_until_it_is_liquidated() -> None:
    sim = started(unwind_below=None)
    moved(sim, 85)
    assert not rows(sim, "forced-unwind") and health(sim) < 1.05


def test_a_second_unwinding_is_flagged_as_a_repeat() -> None:
    sim = started()
    moved(sim, 85)
    moved(sim, 80)
    assert [row.first for row in rows(sim, "forced-unwind")] == [1, 0]


def test_it_stops_looping_at_its_target_leverage() -> None:
    sim = started(rounds=None, target_leverage=2.5, unwind_below=None)
    assert node(sim, "looper").leverage() == pytest.approx(2.5, rel=1e-9)
    assert held(sim, "looper", "lender/eth/supply") == 250 * ETH
    assert -held(sim, "looper", "lender/usd/debt") == 15_000 * USD


def test_a_fall_raises_its_leverage() -> None:
    sim = started(unwind_below=None)
    before, value = node(sim, "looper").leverage(), loop_leverage(0.75, 4)
    assert before == pytest.approx(value, rel=1e-6)
    moved(sim, 90)
    assert node(sim, "looper").leverage() == pytest.approx(value * 0.9 / (1 - 0.1 * value), rel=1e-6)


def test_it_logs_what_it_expects_to_earn_on_its_equity() -> None:
    rates = {"base_rate": 0.02, "slope1": 0.3}
    sim = build(looper_graph(yield_rate=0.12, facts={"usd": rates, "supply": 50_000}))
    events = sim.log.events.columns()
    logged = events["quantity"][events["kind"] == sim.log.kinds["carry"]].tolist()
    rate = node(sim, "lender").borrow_rate(sim.assets["usd"])
    assert rate > 0.1
    assert logged == [round(carry(node(sim, "looper").leverage(), 0.12, rate) * PPM)]


def test_too_little_liquidity_for_the_loop_is_refused_with_its_name() -> None:
    with pytest.raises(BadInput, match=r"nodes\.looper: cannot loop: lender is short of"):
        build(looper_graph(facts={"supply": 5_000}))


def test_a_loan_to_value_above_the_lenders_is_refused_with_its_name() -> None:
    with pytest.raises(BadInput, match=r"nodes\.looper: cannot loop: .* beyond the loan-to-value"):
        build(looper_graph(ltv=0.81))


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({"target_leverage": 3}, "either 'rounds' or 'target_leverage'"),
        ({"rounds": None, "target_leverage": 4}, "needs an ltv above"),
        ({"unwind_below": 1.2}, "'unwind_to' must lie above"),
    ],
)
def test_goals_that_cannot_be_met_are_refused(facts: dict[str, Any], what: str) -> None:
    with pytest.raises(BadInput, match=what):
        build(looper_graph(**facts))


def test_interest_since_the_last_block_does_not_break_an_unwinding() -> None:
    sim = started(facts={"usd": {"base_rate": 0.03}})
    sim.run(YEAR // 2)
    moved(sim, 86.5)
    (row,) = rows(sim, "forced-unwind")
    assert health(sim) == pytest.approx(1.1, rel=5e-3)
    assert row.price == 0 and price(86.5) == node(sim, "lender").price(sim.assets["eth"])
