"""What an exchange, a book, a maker or a crowd cannot be told is refused by name before anything runs."""

from typing import Any

import networkx as nx
import pytest

from contagion.assembly import build
from contagion.errors import BadInput
from tests.venue_worlds import add_crowds, add_maker, fall, venue
from tests.worlds import Table, edge, graph_of

Tables = tuple[dict[str, Table], list[Table]]


def world() -> Tables:
    nodes, edges = venue()
    add_maker(nodes, edges)
    add_crowds(nodes, edges)
    nodes["long"] = {"kind": "account"}
    return nodes, edges


def built(tables: Tables) -> nx.MultiDiGraph:
    return graph_of(*tables, [fall(-0.1)])


def refusal(tables: Tables, shocks: list[Table] | None = None) -> str:
    with pytest.raises(BadInput) as refused:
        build(graph_of(*tables, shocks or []))
    return str(refused.value)


def quoting(**terms: Any) -> Table:
    return {"eth-spot": {"depth": 1} | terms}


STATED: dict[str, tuple[str, Any, str]] = {
    "a contract at no node": ("exchange.contracts", {"nope": {}}, "exchange.contracts.nope: there is no node"),
    "a depth beyond counting": ("maker.quotes", quoting(depth=1e30), "eth-spot.depth: 1E+30 are more"),
    "a shape without points": ("maker.quotes", quoting(shape=[]), "shape: List should have at least 1"),
    "a shape that shrinks": ("maker.quotes", quoting(shape=[[0.1, 0.5], [0.2, 0.3]]), "'shape' is cumulative"),
    "a shape out of order": ("maker.quotes", quoting(shape=[[0.1, 0.5], [0.05, 1]]), "'shape' is cumulative"),
    "a spread beyond the reach": ("maker.quotes", quoting(spread=1), "beyond the 'reach'"),
    "a stub beyond counting": ("eth-spot.stubs", [{"at": 0.9, "quantity": 1e30}], "stubs[0].quantity: 1E+30"),
    "open interest beyond counting": ("traders.traders.open_interest", {"eth-perp": 1e30}, "eth-perp: 1E+30"),
    "positions beyond counting": ("traders.traders.open_interest", {"eth-perp": 1e12}, "more cash than can be counted"),
    "no sizes": ("traders.traders.sizes", [], "sizes: List should have at least 1"),
    "sizes that fall": ("traders.traders.sizes", [[0, 5], [1, 1]], "quantiles rise"),
    "a spread beyond any number": ("traders.traders.distance_spread", 100, "less than or equal to 10"),
    "cash as collateral coin": ("traders.traders.coins", {"usd": 0.5}, "takes no 'usd' as collateral"),
    "a coin that is not sold there": ("holders.holders.asset", "usd", "'eth-spot' is not the market on which"),
    "a coin that is sold nowhere": ("exchange.assets", {"eth": {}}, "'eth-spot' is not the market on which"),
    "coins beyond counting": ("holders.holders.total", 1e30, "holders.total: 1E+30 are more"),
    "hazards that fall": ("holders.holders.hazards", [[0.1, 9], [0.2, 5]], "'hazards' rise"),
    "a call that comes too late": ("exchange.trigger", 2, "liquidated before they are called"),
}


@pytest.mark.parametrize("case", STATED)
def test_what_cannot_be_is_refused_by_name(case: str) -> None:
    build(built(world()))
    path, value, what = STATED[case]
    tables = world()
    *way, last = path.split(".")
    table = tables[0]
    for key in way:
        table = table[key]
    table[last] = value
    assert what in refusal(tables)


@pytest.mark.parametrize("name", ["exchange", "long", "eth-spot"])
def test_a_position_is_at_a_book_of_perpetuals(name: str) -> None:
    nodes, edges = world()
    edges.append(edge("margin", "exchange", "long", balances={"usd": 1_000}, positions={name: {"quantity": 1}}))
    assert f"{name!r}" in refusal((nodes, edges))


@pytest.mark.parametrize("role", ["lends", "borrows"])
def test_an_exchange_lends_on_margin_only(role: str) -> None:
    nodes, edges = world()
    ends = ("exchange", "long") if role == "lends" else ("long", "exchange")
    assert "exchange" in refusal((nodes, [*edges, edge(role, *ends)]))


def test_what_a_crowd_has_is_drawn_and_not_stated() -> None:
    nodes, edges = world()
    crowds = next(table for table in edges if table["to"] == ["traders", "holders"])
    crowds["balances"] = {"usd": 1_000}
    assert "a crowd draws its accounts: leave 'balances' out" in refusal((nodes, edges))


@pytest.mark.parametrize(("role", "end"), [("margin", "exchange"), ("funds", "traders"), ("funds", "exchange")])
def test_who_may_have_an_account_and_be_a_fund(role: str, end: str) -> None:
    nodes, edges = world()
    kept = [table for table in edges if role != "funds" or table["role"] != "funds"]
    assert f"{role} edges go to account" in refusal((nodes, [*kept, edge(role, "exchange", end)]))


def test_a_maker_quotes_where_it_has_its_account() -> None:
    nodes, edges = world()
    nodes["own"] = nodes["eth-spot"]
    nodes["maker"]["quotes"]["own"] = {"depth": 1}
    edges.append(edge("quotes", "maker", "own"))
    assert "'own' is not cleared by 'exchange'" in refusal((nodes, edges))


@pytest.mark.parametrize("by", ["traders", "holders"])
def test_a_crowd_sells_nothing_as_a_whole(by: str) -> None:
    """A leg of a crowd without its members would leave their total behind."""
    sale = {"kind": "sale", "market": "eth-spot", "asset": "eth", "quantity": 5, "by": by}
    assert f"by: {by!r} is a crowd" in refusal(world(), [sale])


def test_an_exchange_is_no_lender_to_withdraw_from() -> None:
    out = {"kind": "withdrawal", "by": "long", "lender": "exchange", "asset": "eth", "quantity": 1}
    assert "lender: 'exchange' is no lender" in refusal(world(), [out])


def test_what_nobody_can_pay_for_is_logged_as_the_most_that_can_be_counted() -> None:
    sale = {"kind": "sale", "market": "eth-spot", "asset": "eth", "quantity": 10**12, "at": "1s"}
    sim = build(graph_of(*world(), [sale]))
    sim.run(2_000_000)
    assert max(sim.log.events.columns()["value"]) == 2**62 - 1
