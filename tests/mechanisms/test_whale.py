"""A whale: a margin call on the pledge unwinds the loop, the proceeds answer it, a halt keeps them back."""

from itertools import pairwise
from typing import Any

import pytest

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.units import SECOND
from tests.sight import held, node, reprice, rows, settle
from tests.venue_worlds import whale_world

USD = 10**6


def whale(**changes: Any) -> Any:
    """Return the whale's world before anything has happened; changes : of parameters, by node__parameter."""
    graph = whale_world()
    graph.graph["shocks"] = []
    for key, value in changes.items():
        name, parameter = key.split("__")
        graph.nodes[name][parameter] = value
    sim = build(graph)
    settle(sim, 1)
    return sim


def health(sim: Any) -> float:
    return float(node(sim, "whale").health())


def test_nothing_happens_above_the_call() -> None:
    sim = whale()
    reprice(sim, "eth", 1_900)
    settle(sim, 60)
    assert health(sim) == pytest.approx(1_900 * 100 * 0.85 / 140_000, rel=1e-4)
    assert not rows(sim, "margin-call", "forced-unwind", "trade")


def test_a_call_on_layer_one_sells_layer_two_at_the_stated_pace() -> None:
    sim = whale()
    reprice(sim, "eth", 1_890)
    settle(sim, 22)
    (call,) = rows(sim, "margin-call")
    (unwind,) = rows(sim, "forced-unwind")
    trades = rows(sim, "trade")
    assert unwind.cause == call.id and call.market == "platform"
    assert [row.quantity for row in trades] == [-10_000 * USD] * len(trades)
    assert {later.time_us - row.time_us for row, later in pairwise(trades)} == {5 * SECOND}
    assert {row.cause for row in trades} == {unwind.id}


def test_proceeds_pay_the_exchange_back_first_and_then_restore_the_pledge() -> None:
    sim = whale()
    reprice(sim, "eth", 1_890)
    settle(sim, 150)
    withdrawals, repayments = rows(sim, "withdrawal"), rows(sim, "repayment")
    assert withdrawals and repayments and repayments[0].time_us > withdrawals[0].time_us + 10 * SECOND - 1
    assert held(sim, "whale", "usd@exchange") >= 0
    assert health(sim) > 1.15


def test_a_halt_keeps_the_proceeds_at_the_exchange_and_is_said_once() -> None:
    sim = whale(exchange__halts=[{"start": "0s", "end": "10min"}])
    reprice(sim, "eth", 1_890)
    settle(sim, 300)
    assert len(rows(sim, "refused-transfer")) == 1
    assert not rows(sim, "repayment")
    assert health(sim) < 1.15
    settle(sim, 400)
    assert rows(sim, "repayment")


def test_unwinding_stops_when_the_price_has_come_back() -> None:
    sim = whale()
    reprice(sim, "eth", 1_890)
    settle(sim, 12)
    reprice(sim, "eth", 2_300)
    settle(sim, 60)
    assert held(sim, "whale", "usde@exchange") > 100_000 * USD
    assert len(rows(sim, "trade")) <= 4


def test_beyond_the_limit_the_platform_sells_the_pledge() -> None:
    sim = whale(whale__pace=1)
    reprice(sim, "eth", 1_600)
    settle(sim, 30)
    assert {(row.node, row.asset) for row in rows(sim, "liquidation")} == {("whale", "eth")}
    assert any(row.market == "eth-spot" for row in rows(sim, "trade"))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"market": "eth-spot"}, "trades"),
        ({"call_below": 1.4}, "restore_to"),
        ({"call_below": 0.9}, "above 1"),
        ({"pace": 0}, "pace"),
    ],
)
def test_a_whale_that_cannot_be_is_refused_with_its_place(change: dict[str, Any], what: str) -> None:
    graph = whale_world()
    graph.nodes["whale"].update(change)
    with pytest.raises(BadInput, match=what) as caught:
        build(graph)
    assert "nodes.whale" in str(caught.value)


def test_a_whale_that_hears_no_price_of_its_pledge_is_refused() -> None:
    graph = whale_world()
    graph.remove_edge("eth", "whale")
    with pytest.raises(BadInput, match="hears no price of 'eth'"):
        build(graph)
