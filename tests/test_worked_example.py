"""The account's worked example through the engine: $100,000 looped five times at 80% loan-to-value."""

from typing import Any

import networkx as nx
import pytest

from contagion.study.twins import run
from contagion.units import PRICE_SCALE
from tests.cases import published
from tests.worlds import edge, graph_of

CASE = published("LOOP-01")


def loop_graph(drop: float) -> nx.MultiDiGraph:
    """Return a looper whose collateral the lender values at a reference price that falls by `drop`."""
    inputs = CASE["inputs"]
    nodes: dict[str, Any] = {
        "usdc": {"kind": "asset", "decimals": 6},
        "usde": {"kind": "asset", "decimals": 6},
        "oracle": {"kind": "oracle", "asset": "usde", "source": "redemption"},
        "lender": {
            "kind": "lending_protocol",
            "reserves": {
                "usde": {"ltv": inputs["LTV"], "threshold": inputs["LT"], "bonus": 0.05, "borrowable": False},
                "usdc": {},
            },
        },
        "suppliers": {"kind": "account"},
        "looper": {
            "kind": "looper", "collateral": "usde", "debt": "usdc", "equity": inputs["equity"],
            "ltv": inputs["LTV"], "rounds": inputs["n"], "yield_rate": 0.12,
        },
    }  # fmt: skip
    edges = [
        edge("prices", "usde", "oracle"),
        edge("prices", "oracle", "lender"),
        edge("prices", "usdc", "lender"),
        edge("claims", "lender", "suppliers", asset="usdc", quantity=1_000_000),
        edge("borrows", "looper", "lender"),
        edge("lends", "lender", "looper"),
    ]
    shock = {"kind": "reprice", "asset": "usde", "size": -drop, "at": "1min"}
    return graph_of(nodes, edges, [shock] if drop else [])


def looper(result: Any) -> dict[str, float]:
    return next(row for row in result.accounts.to_pylist() if row["holder"] == "looper")


def calls(result: Any) -> int:
    return result.events["kind"].to_pylist().count("call")


def test_five_redeposits_make_368928_dollars_of_collateral_and_268928_of_debt() -> None:
    result = run(loop_graph(0), twins=False)
    balances, books = result.tables["balances"], result.books
    own = balances["holder"] == books.holders.index("looper")
    held = {books.assets[a]: int(b) for a, b in zip(balances["asset"][own], balances["balance"][own], strict=True)}
    assert held == {"lender/usde/supply": 368_928_000_000, "lender/usdc/debt": -268_928_000_000}
    kinds = [row["kind"] for row in result.events.to_pylist() if row["node"] == "looper"]
    assert kinds.count("supply") == CASE["inputs"]["n"] + 1
    assert kinds.count("borrow") == CASE["inputs"]["n"]


@pytest.mark.parametrize("drop", CASE["inputs"]["drops"])
def test_a_fall_of_the_collateral_leaves_the_published_equity(drop: float) -> None:
    result, expected = run(loop_graph(drop), twins=False), CASE["expected"]
    key = str(drop)
    assert looper(result)["equity_end"] == pytest.approx(expected["equity_left"][key], rel=1e-9, abs=1e-6)
    assert result.summary.total_losses.net == pytest.approx(expected["loss"][key], rel=1e-9)


def test_a_quarter_off_leaves_7768_of_100000_dollars() -> None:
    result = looper(run(loop_graph(0.25), twins=False))
    assert result["equity_start"] == pytest.approx(100_000)
    assert result["equity_end"] == pytest.approx(7_768)


def test_liquidation_starts_at_a_fall_of_11_64_percent() -> None:
    threshold = CASE["expected"]["liquidation_drop"]
    assert calls(run(loop_graph(round(threshold, 6) - 1e-6), twins=False)) == 0
    assert calls(run(loop_graph(round(threshold, 6) + 1e-6), twins=False)) == 1
    assert f"{threshold:.2%}" == "11.64%"


def test_the_equity_is_gone_at_a_fall_of_27_11_percent_and_the_rest_is_bad_debt() -> None:
    assert looper(run(loop_graph(0.271055), twins=False))["equity_end"] > 0
    wiped = run(loop_graph(0.271056), twins=False)
    assert looper(wiped)["equity_end"] < 0
    assert wiped.summary.bad_debt == pytest.approx(-looper(wiped)["equity_end"])


def test_the_carry_of_the_loop_is_its_leverage_times_the_spread() -> None:
    result = run(loop_graph(0), twins=False)
    # Without a rate curve the debt costs nothing, so the carry is leverage times yield.
    assert vars(result.summary.carry)["looper"] == pytest.approx(3.68928 * 0.12, abs=1e-6)


def test_prices_of_the_example_are_dollars() -> None:
    result = run(loop_graph(0.25), twins=False)
    prices = result.tables["prices"]
    low = prices["price"][prices["market"] == result.books.feeds.index("oracle")].min()
    assert low == 0.75 * PRICE_SCALE


def test_why_tells_a_carry_as_rates() -> None:
    result = run(loop_graph(0), twins=False)
    event = result.tables["events"]["kind"].tolist().index(result.books.kinds.index("carry"))
    assert "44.3% a year" in str(result.why(event)) and "alone 12.0%" in str(result.why(event))
