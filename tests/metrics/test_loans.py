"""Debt near liquidation, concentration and wrong-way collateral, on journals of a few rows and in the engine."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import contagion as cg
from contagion.log import Channel
from contagion.metrics import loans
from contagion.metrics.concentration import concentration, of_loans
from contagion.metrics.dependence import Prices, wrong_way
from contagion.metrics.marks import Marks
from tests.handmade import Columns, books, closing, postings, prices
from tests.scenarios import CASCADE

HOLDERS = ["world", "lender", "ann", "bob", "crowd", "issuer", "keeper", "pool", "oracle"]
WORLD, LENDER, ANN, BOB, CROWD, ISSUER = range(6)
ASSETS = ["usd", "eth", "own", "lender/usd/debt", "lender/eth/supply", "lender/own/supply", "lender/usd/supply"]
USD, ETH, OWN, DEBT, PLEDGE, OWN_PLEDGE, DEPOSIT = range(7)
KINDS = ["world", "lending_protocol", "account", "account", "population", "stablecoin_issuer", "liquidator", "amm",
         "oracle"]  # fmt: skip
BOOKS = books(
    HOLDERS, ASSETS, holder_kinds=KINDS, underlying=[-1, -1, -1, USD, ETH, OWN, USD],
    issuers=[-1, -1, ISSUER, -1, LENDER, LENDER, LENDER], creditors=[-1, -1, -1, LENDER, -1, -1, -1],
    feeds=["usd", "oracle", "own", "lender/usd/debt", "lender/eth/supply", "lender/own/supply", "lender/usd/supply"],
)  # fmt: skip
LOANS = postings(
    (1, ANN, PLEDGE, 100), (1, LENDER, PLEDGE, -100), (1, ANN, DEBT, -7_000), (1, LENDER, DEBT, 7_000),
    (1, BOB, PLEDGE, 20), (1, BOB, OWN_PLEDGE, 500), (1, BOB, DEBT, -1_500),
    (1, CROWD, PLEDGE, 10, 0), (1, CROWD, DEBT, -780, 0), (1, CROWD, PLEDGE, 10, 1), (1, CROWD, DEBT, -100, 1),
    (1, WORLD, DEPOSIT, 9_000), (1, ISSUER, DEPOSIT, 4_000),
)  # fmt: skip
"""Ether at 100. Ann owes 7,000 on 100, bob 1,500 on 20 and 500 of his own token, two of a crowd 780 and 100 on 10."""
STILL = prices([1, 100, 1, 1, 1, 1, 1])
GRAPH: dict[str, Any] = {
    "nodes": [
        {"id": "lender", "kind": "lending_protocol",
         "reserves": {"eth": {"threshold": "80%"}, "own": {"threshold": 0.5}, "usd": {}}},
        {"id": "pool", "kind": "amm"}, {"id": "oracle", "kind": "oracle", "source": "pool"},
        {"id": "eth", "kind": "asset"}, {"id": "own", "kind": "asset", "issuer": "bob"},
    ],
    "edges": [
        {"source": source, "target": target, "role": role} for source, role, target in (
            ("pool", "prices", "oracle"), ("eth", "prices", "oracle"), ("oracle", "prices", "lender"),
            ("own", "prices", "lender"), ("lender", "liquidations", "keeper"), ("keeper", "trades", "pool"),
        )
    ],
}  # fmt: skip


def opened(table: Columns = STILL, at: int | None = 1) -> loans.Loans:
    journal = LOANS if at is not None else closing(LOANS) | {"amount": closing(LOANS)["balance"]}
    return loans.loans(journal, BOOKS, Marks(table, BOOKS), at)


def graph(**oracle: Any) -> dict[str, Any]:
    return GRAPH | {"nodes": [node | (oracle if node["id"] == "oracle" else {}) for node in GRAPH["nodes"]]}


def test_who_only_deposits_is_no_borrower_and_every_member_is_one_of_its_own() -> None:
    found = opened()
    assert set(zip(found.holder.tolist(), found.member.tolist(), strict=True)) == {
        (ANN, -1), (BOB, -1), (CROWD, 0), (CROWD, 1),
    }  # fmt: skip
    assert len(np.unique(found.positions())) == 4
    assert found.worth[found.worth < 0].sum() == -9_380


def test_debt_is_counted_from_the_fall_that_puts_it_in_breach() -> None:
    """Of 800, 780 breach below a fall of 2.5%; of 8,000, 7,000 at 12.5%; of 1,850, 1,500 at 18.9%."""
    found = loans.at_risk(opened(), loans.thresholds(GRAPH, BOOKS))
    assert found == {"debt": 9_380, "breached": 0,
                     "within": {"3%": 780, "5%": 780, "10%": 780, "20%": 780 + 7_000 + 1_500}}  # fmt: skip


def test_a_fall_moves_debt_nearer_and_into_breach() -> None:
    fallen = prices([1, 100, 1, 1, 1, 1, 1], (3, ETH, 90, Channel.EXOGENOUS))
    found = loans.at_risk(opened(fallen, at=None), loans.thresholds(GRAPH, BOOKS))
    assert found["breached"] == 780
    assert found["within"] == {"3%": 7_780, "5%": 7_780, "10%": 7_780, "20%": 9_280}


def test_exactly_enough_collateral_is_no_breach() -> None:
    at_the_limit = prices([1, 97.5, 1, 1, 1, 1, 1])
    assert loans.at_risk(opened(at_the_limit), loans.thresholds(GRAPH, BOOKS))["breached"] == 0


def test_what_counts_nothing_as_collateral_covers_nothing() -> None:
    found = loans.at_risk(opened(), np.zeros((len(HOLDERS), len(ASSETS))))
    assert found["breached"] == found["debt"] == 9_380


def test_without_loans_there_is_nothing_near_liquidation() -> None:
    none = loans.loans(postings(), BOOKS, Marks(STILL, BOOKS), 1)
    assert loans.at_risk(none, loans.thresholds(GRAPH, BOOKS))["within"]["20%"] == 0
    assert of_loans(none, BOOKS) == wrong_way(none, BOOKS, Prices(GRAPH)) == {}


def test_interest_counts_as_debt() -> None:
    accrued = prices([1, 100, 1, 1, 1, 1, 1], (2, DEBT, 1.1, Channel.INTEREST))
    assert loans.at_risk(opened(accrued, at=None), loans.thresholds(GRAPH, BOOKS))["debt"] == pytest.approx(10_318)


def test_the_engine_agrees_on_who_is_in_breach() -> None:
    """After the sale, with nobody to liquidate: 500 ether at 80% against 760,000 breach below 1,900."""
    run = cg.run(cg.loads(CASCADE), knock_outs=["keeper"], twins=False)
    price = run.facts["prices"]["oracle"]["last"]
    assert price < 1_900
    assert run.facts["debt_at_risk"]["start"]["within"] == {"3%": 0, "5%": 0, "10%": 1_485_000, "20%": 1_485_000}
    limits = {760_000: 1_900, 725_000: 1_812.5}
    breached = sum(debt for debt, limit in limits.items() if price < limit)
    assert run.facts["debt_at_risk"]["end"]["breached"] == pytest.approx(breached, rel=1e-3)


def test_the_largest_debtor_and_collateral_are_named() -> None:
    found = of_loans(opened(), BOOKS)["lender"]
    assert found["debtors"] == {
        "number": 4, "largest": pytest.approx(7_000 / 9_380), "top": pytest.approx(1.0),
        "hhi": pytest.approx((7_000**2 + 1_500**2 + 780**2 + 100**2) / 9_380**2), "name": "ann",
    }  # fmt: skip
    assert (found["collateral"]["number"], found["collateral"]["name"]) == (2, "eth")


@given(st.lists(st.floats(0.01, 1e9), min_size=1, max_size=30), st.floats(0.1, 10.0))
def test_the_index_is_between_equality_and_one_and_knows_no_unit(amounts: list[float], unit: float) -> None:
    found = concentration(np.array(amounts))
    assert found is not None
    assert 1 / len(amounts) - 1e-12 <= found.hhi <= found.largest + 1e-12 <= found.top + 2e-12 <= 1 + 3e-12
    assert concentration(np.array(amounts) * unit) == pytest.approx(found)


def test_one_who_has_all_has_an_index_of_one_and_nothing_has_none() -> None:
    assert concentration(np.array([0.0, 7.0, -3.0])) == (1, 1.0, 1.0, 1.0)
    assert concentration(np.array([0.0])) is None


def test_collateral_is_wrong_way_where_it_is_sold_at_the_market_that_marks_it() -> None:
    assert wrong_way(opened(), BOOKS, Prices(GRAPH)) == {"lender": {"pledged": 14_500, "issuer": 500, "market": 14_000}}


@pytest.mark.parametrize("source", ["pegged", "redemption"])
def test_a_lender_that_reads_a_reference_price_has_no_wrong_way_of_the_market(source: str) -> None:
    assert wrong_way(opened(), BOOKS, Prices(graph(source=source)))["lender"]["market"] == 0


def test_a_borrower_who_unwinds_at_that_market_goes_the_wrong_way_without_any_liquidator() -> None:
    edges = [edge for edge in GRAPH["edges"] if edge["role"] == "prices"]
    unwinds = {"source": "ann", "target": "pool", "role": "trades"}
    assert wrong_way(opened(), BOOKS, Prices(GRAPH | {"edges": edges}))["lender"]["market"] == 0
    assert wrong_way(opened(), BOOKS, Prices(GRAPH | {"edges": [*edges, unwinds]}))["lender"]["market"] == 10_000


def test_readers_are_counted_directly_and_over_oracles() -> None:
    found = Prices(GRAPH).dependence()
    assert found == {"oracle": {"readers": 1, "reach": 1}, "own": {"readers": 1, "reach": 1},
                     "pool": {"readers": 1, "reach": 2}}  # fmt: skip
    pegged = Prices(graph(source="pegged")).dependence()
    assert "pool" not in pegged and pegged["eth"] == {"readers": 1, "reach": 2}


def test_a_circle_of_readers_ends() -> None:
    ring = [("a", "b"), ("b", "c"), ("c", "a")]
    nodes = [{"id": name, "kind": "amm"} for name in "abc"]
    found = Prices({"nodes": nodes, "edges": [{"source": s, "target": t, "role": "prices"} for s, t in ring]})
    assert {row["reach"] for row in found.dependence().values()} == {2}
    assert found.behind("a") == {"a", "b", "c"}


def test_on_the_day_the_loops_were_marked_to_a_peg_and_not_where_they_are_sold() -> None:
    model = cg.load("usde-loops", {"horizon": "1min"}, reduced=True)
    reading = {names: cg.run(model, knock_outs=names, twins=False).facts["wrong_way"]["aave"] for names in
               ((), ("pool-oracle",))}  # fmt: skip
    assert reading[()]["market"] == pytest.approx(reading[()]["pledged"])
    assert reading["pool-oracle",]["market"] / reading["pool-oracle",]["pledged"] == pytest.approx(0.477, abs=0.001)
