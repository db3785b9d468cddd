"""What a further move of all marks would liquidate at an exchange, as a run keeps it for every account."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import contagion as cg
from contagion.mechanisms.exchange.nearness import SIZES
from contagion.metrics.loans import margins_at_risk
from contagion.runs import load_run
from tests.desk import Holding, desk, desk_graph
from tests.mechanisms.test_crowds import account_book, crowd
from tests.scenarios import CASCADE
from tests.sight import node

TEN = 20_000
"""Ten ether at 2,000, of which 1% is maintenance."""


def near(accounts: dict[str, Holding], **facts: Any) -> dict[float, float]:
    found = node(desk(accounts, **facts), "exchange").nearness()
    return {move: round(value, 6) for move, value in found.at.items()}


@pytest.mark.parametrize("of_a_crowd", [False, True])
@pytest.mark.parametrize(("side", "limit"), [(1, 1_800 / 19_800), (-1, 1_800 / 20_200)])
def test_a_position_is_at_risk_from_the_move_that_takes_its_margin(of_a_crowd: bool, side: int, limit: float) -> None:
    """Of 2,000, 200 are maintenance: a long breaches after a fall of 9.1%, a short after a rise of 8.9%."""
    found = near({"ann": Holding(2_000, side * 10)}, crowd=of_a_crowd)
    assert {move: value for move, value in found.items() if value} == {
        -side * size: TEN for size in SIZES if size > limit
    }  # fmt: skip


@pytest.mark.parametrize("of_a_crowd", [False, True])
def test_a_loan_against_coins_counts_at_what_is_owed(of_a_crowd: bool) -> None:
    """One ether counts 1,800; a loan of 1,550 is asked for 1,627.50 and breaches after a fall of 9.6%."""
    found = near({"ann": Holding(-1_550, coins=1), "bob": Holding(-1_000, coins=1)}, crowd=of_a_crowd)
    assert {move: value for move, value in found.items() if value} == {-0.1: 1_550, -0.2: 1_550}


def test_one_account_is_one_margin() -> None:
    """What the short gains in a fall covers the coins."""
    hedged = desk({"ann": Holding(2_000, -10, coins=10)})
    found = node(hedged, "exchange").nearness()
    assert (round(found.whole, 6), sum(found.at[-size] for size in SIZES)) == (TEN, 0)


def test_every_member_of_a_crowd_counts_whether_it_ever_acts_or_not() -> None:
    sim = crowd(distance_floor="4%", distance_median="12%")
    exchange, book = node(sim, "exchange"), account_book(sim)
    prices, everybody = exchange.prices(), np.arange(len(account_book(sim)))
    named = [holder for holder, count in exchange.roster.accounts() if holder not in exchange.roster.crowds]
    stakes = exchange.roster.stakes(sim.network.ids["traders"], everybody, prices) / 10**6
    contract = exchange.line_number(sim.assets["eth-perp:contract"])
    notional = np.abs(book.positions(contract, everybody)[0]) * prices[contract] / 10**6
    assert (stakes >= notional * (1 - 1e-12)).all()
    found = exchange.nearness()
    for move, value in found.at.items():
        broken = book.margins(prices * (1 + move)) < 0
        others = sum(
            exchange.roster.stakes(holder, np.zeros(1, int), prices)[0] / 10**6 for holder in named
            if exchange.roster.facts(holder, prices * (1 + move))[0] < 0
        )  # fmt: skip
        assert value == pytest.approx(stakes[broken].sum() + others)
    assert 0 == found.at[0.0] == found.at[-0.03] < found.at[-0.05] < found.at[-0.1] < found.at[-0.2] < found.whole


def test_a_run_keeps_both_ends_and_a_fall_moves_accounts_nearer(tmp_path: Path) -> None:
    """After a fall of 5%, 1,000 are left; a further one of 5% takes 950 of them and asks for 180.50."""
    graph = desk_graph({"ann": Holding(2_000, 10)}, crowd=True)
    graph.graph |= {
        "horizon_us": 5_000_000, "shocks": [{"kind": "reprice", "asset": "eth", "size": "-5%", "at": "2s"}],
    }  # fmt: skip
    run = cg.run(graph, allow_code=True)
    facts = run.facts["margins_at_risk"]
    assert [facts[end]["open"] for end in ("start", "end")] == pytest.approx([20_000, 19_000])
    assert [facts[end]["falls"]["5%"] for end in ("start", "end")] == pytest.approx([0, 19_000])
    assert not any(facts["end"]["rises"].values())
    run.save(tmp_path / "run")
    assert margins_at_risk(load_run(tmp_path / "run").tables["margins"]) == facts


def test_who_is_in_breach_already_counts_in_every_move() -> None:
    sim = desk({"ann": Holding(2_000, 10), "bob": Holding(2_000, -10)})
    roster = node(sim, "exchange").roster
    fallen = roster.prices() * 0.9
    roster.prices = lambda: fallen
    found = node(sim, "exchange").nearness()
    assert {round(value) for value in found.at.values()} == {18_000}


def test_a_run_without_its_shock_says_it_as_well() -> None:
    graph = desk_graph({"ann": Holding(2_000, 10)})
    graph.graph["horizon_us"] = 1_000_000
    facts = cg.run(graph, shock=False, allow_code=True).facts["margins_at_risk"]
    assert facts["start"] == facts["end"]
    assert facts["end"]["falls"]["10%"] == pytest.approx(TEN)


def test_a_system_without_exchanges_has_no_such_table() -> None:
    run = cg.run(cg.loads(CASCADE), twins=False)
    assert run.facts["margins_at_risk"] is None
    assert "margins" not in run.tables
