"""Value locked, as displayed and net of what is counted again: journals of a few rows, and a loop in the engine."""

from typing import Any

import pytest

import contagion as cg
from contagion.finance.leverage import loop_collateral, loop_debt
from contagion.log import Channel
from contagion.metrics.marks import Marks
from contagion.metrics.tvl import value_locked
from tests.bank import bank_graph
from tests.handmade import Columns, books, closing, postings, prices

HOLDERS = ["world", "lender", "pool", "issuer", "exchange", "ann"]
WORLD, LENDER, POOL, ISSUER, EXCHANGE, ANN = range(6)
ASSETS = ["usd", "dai", "eth", "lender/usd/supply", "lender/usd/debt"]
USD, DAI, ETH, SUPPLY, DEBT = range(5)
FACTS: dict[str, Any] = {
    "holder_kinds": ["world", "lending_protocol", "amm", "stablecoin_issuer", "exchange", "account"],
    "issuers": [-1, ISSUER, -1, LENDER, -1], "creditors": [-1, -1, -1, -1, LENDER],
}  # fmt: skip
BOOKS = books(HOLDERS, ASSETS, **FACTS)
STILL = prices([1, 1, 40, 1, 1])
DEPOSITS = [(1, WORLD, USD, -100), (1, LENDER, USD, 100), (1, LENDER, SUPPLY, -100), (1, ANN, SUPPLY, 100)]


def locked(*rows: tuple[int, ...], marks: Columns = STILL, names: Any = BOOKS) -> tuple[float, float, float, float]:
    """Return (displayed, net) at the start and at the end."""
    journal = postings(*rows)
    found = value_locked(journal, closing(journal), names, Marks(marks, names))
    start, end = ([found[name][moment] for name in ("displayed", "net")] for moment in ("start", "end"))
    return (*start, *end)


def test_deposits_are_locked_once() -> None:
    assert locked(*DEPOSITS) == (100, 100, 100, 100)


def test_what_is_lent_is_displayed_and_not_there() -> None:
    lent = [(2, LENDER, USD, -60), (2, WORLD, USD, 60), (2, ANN, DEBT, -60), (2, LENDER, DEBT, 60)]
    assert locked(*DEPOSITS, *lent) == (100, 100, 100, 40)


def test_a_pledge_bought_with_the_loan_is_displayed_twice() -> None:
    lent = [(2, LENDER, USD, -80), (2, WORLD, USD, 80), (2, ANN, DEBT, -80), (2, LENDER, DEBT, 80)]
    pledged = [(3, WORLD, ETH, -3), (3, LENDER, ETH, 3)]
    assert locked(*DEPOSITS, *lent, *pledged)[2:] == (220, 140)


def test_a_token_in_a_pool_is_counted_where_its_backing_is() -> None:
    issued = [(1, ISSUER, DAI, -50), (1, POOL, DAI, 50), (1, WORLD, USD, -50), (1, ISSUER, USD, 50)]
    assert locked(*issued) == (100, 50, 100, 50)


def test_a_token_without_backing_is_worth_nothing_net() -> None:
    assert locked((1, ISSUER, DAI, -50), (1, POOL, DAI, 50))[:2] == (50, 0)


def test_what_an_issuer_has_deposited_with_a_lender_is_counted_at_the_lender() -> None:
    receipts = [(2, ANN, SUPPLY, -30), (2, ISSUER, SUPPLY, 30)]
    assert locked(*DEPOSITS, *receipts) == (100, 100, 130, 100)


def test_the_end_is_at_the_last_marks() -> None:
    fallen = prices([1, 1, 40, 1, 1], (2, ETH, 30, Channel.EXOGENOUS))
    assert locked((1, WORLD, ETH, -2), (1, POOL, ETH, 2), marks=fallen) == (80, 80, 60, 60)


def test_exchanges_holders_and_virtual_reserves_lock_nothing() -> None:
    virtual = books(HOLDERS, ASSETS, **FACTS, outside=[POOL])
    rows = [(1, WORLD, USD, -30), (1, EXCHANGE, USD, 10), (1, ANN, USD, 10), (1, POOL, USD, 10)]
    assert locked(*rows, names=virtual) == (0, 0, 0, 0)


def looped(issuer: bool, rounds: int = 5) -> Any:
    """Return value locked with a loop of $100,000 at 80% over a token worth a dollar, backed where it has an issuer."""
    graph = bank_graph({}, supply=1_000_000, price=1)
    graph.add_node(
        "looper", kind="looper", collateral="eth", debt="usd", equity=100_000, ltv=0.8, rounds=rounds,
        path=("nodes", "looper"),
    )  # fmt: skip
    graph.add_edge("looper", "lender", role="borrows", path=())
    graph.add_edge("lender", "looper", role="lends", path=())
    if issuer:
        graph.nodes["eth"]["issuer"] = "issuer"
        graph.remove_edge("eth", "purse")
        graph.add_node("issuer", kind="stablecoin_issuer", asset="eth", payout="usd", path=("nodes", "issuer"))
        backing = round(loop_collateral(100_000, 0.8, rounds), 6)
        graph.add_edge("usd", "issuer", role="holds", quantity=backing, path=())
    return cg.run(graph, twins=False, until_us=0).summary.tvl


def test_a_loop_of_100_000_at_80_percent_displays_368_928_and_nets_100_000() -> None:
    tvl = looped(issuer=False)
    assert tvl.displayed.start - 1_000_000 == pytest.approx(368_928, abs=0.5)
    assert tvl.net.start - 1_000_000 == pytest.approx(100_000, abs=0.01)
    assert tvl.displayed.start - tvl.net.start == pytest.approx(loop_debt(100_000, 0.8, 5), abs=0.01)


def test_where_the_token_has_an_issuer_the_loop_displays_twice_as_much_and_nets_the_same() -> None:
    tvl = looped(issuer=True)
    assert tvl.displayed.start - 1_000_000 == pytest.approx(2 * 368_928, abs=0.5)
    assert tvl.net.start - 1_000_000 == pytest.approx(100_000, abs=0.01)
