"""INT-05: a published cascade of perpetuals with an insurance fund and deleveraging, replayed by the engine."""

from typing import Any

import pytest

from contagion.assembly import build
from contagion.units import PRICE_SCALE, SECOND
from tests.cases import published
from tests.integrated_perp import integrated_perp_graph
from tests.sight import held, mark, node, rows

CASE = published("INT-05")
EXPECTED, USD = CASE["expected"], 10**6


def close(value: Any) -> Any:
    return pytest.approx(value, rel=CASE["tolerance"]["rtol"], abs=CASE["tolerance"]["atol"])


def replayed(ranking: str) -> Any:
    """Return the simulation at its end, with everybody's equity at the start as `before`."""
    graph = integrated_perp_graph(CASE, ranking)
    sim = build(graph)
    sim.before = {name: equity(sim, name) for name in accounts()}
    sim.run(graph.graph["horizon_us"])
    return sim


def accounts(side: str = "") -> list[str]:
    both = {"L": CASE["inputs"]["longs"], "S": CASE["inputs"]["shorts"]}
    return [account["id"] for key, group in both.items() if side in ("", key) for account in group]


def equity(sim: Any, name: str) -> float:
    roster = node(sim, "exchange").roster
    return float(roster.worth(sim.network.ids[name], roster.prices())) / USD


def changes(sim: Any, side: str) -> float:
    return sum(equity(sim, name) - sim.before[name] for name in accounts(side))


@pytest.fixture(scope="module", params=["hyperliquid", "pro-rata"])
def sim(request: pytest.FixtureRequest) -> Any:
    sim = replayed(request.param)
    sim.ranking = request.param
    return sim


def test_longs_fall_one_generation_after_another(sim: Any) -> None:
    fallen = rows(sim, "liquidation")
    assert {row.node: row.generation for row in fallen} == EXPECTED["gen"]
    assert [row.time_us for row in fallen] == [SECOND, 2 * SECOND, 3 * SECOND]
    assert max(row.generation for row in fallen) == EXPECTED["rounds"]
    survivors = [name for name in accounts("L") if held(sim, name, "perp:contract")]
    assert survivors == EXPECTED["survivors"]


def test_every_sale_has_the_published_price_and_residual(sim: Any) -> None:
    trades, paid = rows(sim, "trade"), rows(sim, "insurance")
    quantities = {account["id"]: account["q"] for account in CASE["inputs"]["longs"]}
    for trade, insurance, expected in zip(trades, paid, EXPECTED["events"], strict=True):
        assert trade.value / USD / quantities[expected["id"]] == close(expected["exec"])
        assert trade.price / PRICE_SCALE == close(expected["exec"])
        assert -insurance.value / USD == close(expected["residual"])
        assert sim.network.names[sim.log.events.columns()["node"][trade.cause]] == expected["id"]


def test_the_price_ends_where_it_should(sim: Any) -> None:
    assert mark(sim, "perp", "perp:contract") / PRICE_SCALE == close(EXPECTED["P_final"])
    prices = sim.log.prices.columns()
    perp = prices["price"][prices["market"] == sim.feed_names.index("perp")] / PRICE_SCALE
    assert perp[1] == close(EXPECTED["P_after_shock"])


def test_the_fund_runs_below_zero_and_the_winners_fill_it_again(sim: Any) -> None:
    spent = sum(row.value for row in rows(sim, "insurance")) / USD
    assert CASE["inputs"]["insurance_fund"] - spent == close(EXPECTED["fund_raw"])
    assert sum(row.value for row in rows(sim, "deleveraging")) / USD == close(EXPECTED["deficit"])
    assert equity(sim, "fund") == close(EXPECTED["fund_final"])
    assert sum(row.value for row in rows(sim, "uncovered-deficit")) / USD == close(EXPECTED["uncovered"])


def test_haircuts_are_the_published_ones(sim: Any) -> None:
    cut = {row.node: row.value / USD for row in rows(sim, "auto-deleveraging")}
    expected = EXPECTED["queue_haircut" if sim.ranking == "hyperliquid" else "prorata_haircut"]
    assert cut == {name: pytest.approx(amount, abs=1.1e-6) for name, amount in expected.items() if amount}


def test_the_queue_is_ranked_as_published() -> None:
    exchange = node(replayed("hyperliquid"), "exchange")
    sim, (line,) = exchange.sim, exchange.marks.lines
    cohort = exchange.engine.backstop._ranked(line, -1)
    assert [sim.network.names[holder] for holder in cohort.holder] == EXPECTED["adl_order"]


def test_what_some_lose_others_gain(sim: Any) -> None:
    longs, shorts = changes(sim, "L"), changes(sim, "S")
    haircut = EXPECTED["deficit"]
    assert longs == close(EXPECTED["d_longs"])
    assert shorts == close(EXPECTED["d_shorts"] - haircut)
    held_outside = held(sim, "world", "perp:contract")
    opened = -sum(a["q"] for a in CASE["inputs"]["longs"]) + sum(a["q"] for a in CASE["inputs"]["shorts"])
    assert held_outside / USD - opened == close(EXPECTED["lp_q"])
    price = mark(sim, "perp", "perp:contract") / PRICE_SCALE
    traded = sum(row.value for row in rows(sim, "trade")) / USD
    lp = EXPECTED["lp_q"] * price - traded
    assert lp == close(EXPECTED["lp_pnl"])
    fund = equity(sim, "fund") - CASE["inputs"]["insurance_fund"]
    assert longs + shorts + lp + fund == close(EXPECTED["sum_changes"])


def test_the_amplification_is_the_published_one(sim: Any) -> None:
    fall = CASE["inputs"]["P0"] - EXPECTED["P_final"]
    prices = sim.log.prices.columns()
    perp = prices["price"][prices["market"] == sim.feed_names.index("perp")] / PRICE_SCALE
    assert fall / (perp[0] - perp[1]) == close(EXPECTED["AF"])
