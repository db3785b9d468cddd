"""An arbitrageur between two exchanges: its coins travel, wait before a halted door, and count once."""

from typing import Any

import pytest

from contagion.assembly import build
from contagion.log import Channel
from contagion.units import SECOND
from tests.sight import held, rows
from tests.worlds import Table, edge, graph_of


def two_exchanges(own: Table | None = None, **near: Any) -> Any:
    """Return a simulation in which ether is dear at `near` and somebody has to bring it from `far`."""
    nodes: dict[str, Table] = {
        "usd": {"kind": "asset", "decimals": 6},
        "eth": {"kind": "asset", "decimals": 6, "price": 2000},
        "arb": {"kind": "arbitrageur", "size": {"eth": 5}, "capacity": {"eth": 100}, "refill_at": 0.5} | (own or {}),
    }
    edges = []
    for name, terms in (("near", near), ("far", {})):
        book = f"{name}-spot"
        stubs = [{"at": at, "quantity": 50} for at in (0.99, 0.95, 0.9, 1.01, 1.05, 1.5)]
        nodes[book] = {
            "kind": "order_book", "asset": "eth", "numeraire": "usd", "lot": 0.01, "stubs": stubs,
            "price": 2100 if name == "near" else 2000,
        }  # fmt: skip
        nodes[name] = {
            "kind": "exchange", "settlement": "usd", "assets": {"eth": {"market": book}}, "withdrawal_delay": "30s",
        } | terms  # fmt: skip
        edges += [
            edge("trades", name, book), edge("prices", book, [name, "arb"]), edge("arbitrage", "arb", book),
            edge("margin", name, "arb", balances={"eth": 1 if name == "near" else 40, "usd": 100_000}),
        ]  # fmt: skip
    sale = {"kind": "sale", "market": "far-spot", "asset": "eth", "quantity": 1}
    sales = [sale | {"at": f"{at}s"} for at in (1, 100, 200)]
    sim = build(graph_of(nodes, edges, sales))
    sim.run(300 * SECOND)
    return sim


def bought(sim: Any) -> float:
    """Return the ether that the arbitrageur has bought: what trades took from offers (only it buys here)."""
    return float(sum(row.quantity for row in rows(sim, "trade") if row.quantity > 0) / 1e6)


def test_it_buys_where_a_coin_is_cheap_and_sells_as_much_where_it_is_dear() -> None:
    trades = [row for row in rows(two_exchanges(), "trade") if row.channel == Channel.ARBITRAGE]
    buys, sales = ([row for row in trades if row.quantity * side > 0] for side in (1, -1))
    assert buys and {row.market for row in buys} == {"far-spot"}
    assert {row.market for row in sales} == {"near-spot"}
    assert [row.quantity for row in buys] == [-row.quantity for row in sales]
    assert [row.cause for row in sales] == [row.id for row in buys]


def test_it_leaves_an_edge_alone_that_is_below_its_minimum() -> None:
    assert bought(two_exchanges({"minimum_edge": 0.02})) > 0
    assert bought(two_exchanges({"minimum_edge": 0.05})) == 0


def test_it_stops_at_its_capacity() -> None:
    """While no coins come back: those that do make room again."""
    assert bought(two_exchanges({"capacity": {"eth": 0.5}, "refill_at": 0})) == 0.5


def test_coins_are_brought_where_they_run_out() -> None:
    sim = two_exchanges()
    asked, paid, put = (rows(sim, kind)[0] for kind in ("withdrawal", "payout", "deposit"))
    assert (asked.node, asked.asset, paid.time_us - asked.time_us) == ("arb", "eth", 30 * SECOND)
    assert put.cause == paid.id and put.quantity == paid.quantity and held(sim, "arb", "eth") == 0


@pytest.mark.parametrize("end", [90, 250])
def test_coins_that_find_a_door_closed_are_deposited_when_it_opens(end: int) -> None:
    sim = two_exchanges(halts=[{"start": "10s", "end": f"{end}s"}])
    paid, put, refused = rows(sim, "payout")[0], rows(sim, "deposit")[0], rows(sim, "refused-transfer")
    assert (put.time_us, put.quantity) == (end * SECOND, paid.quantity)
    assert [(row.market, row.cause) for row in refused] == [("near", paid.id)] and put.cause == refused[0].id
    assert held(sim, "arb", "eth") == 0
