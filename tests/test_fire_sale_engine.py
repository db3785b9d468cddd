"""Fire sales event by event: auction by auction the engine is where the solvers are, in prices, sellers and defaults.

A thousand random networks of each kind are drawn, or as many as `CONTAGION_NETWORKS` says. Prices are whole 10^-9,
rounded once an auction, and banks amplify what is rounded off by their leverage: tolerances say by how much.
"""

import os
from functools import cache
from typing import Any

import numpy as np
import pytest

from contagion.assembly import build
from contagion.finance.deleveraging import deleverage
from contagion.finance.fire_sale_clearing import fire_sale_clearing
from contagion.finance.leverage_constraint import indirect_contagion
from contagion.finance.system_fire_sale import system_fire_sale
from contagion.graph import compile_graph
from contagion.study.twins import run
from tests.cases import published, stressed_banks, third_party
from tests.classical import deleveraging_price, leverage_targeting
from tests.fire_sales import (
    Cifuentes,
    Cont,
    Farmer,
    Greenwood,
    Rounds,
    cifuentes_graph,
    cont_graph,
    declared,
    farmer_graph,
    greenwood_graph,
    price,
    random_cifuentes,
    random_cont,
    random_farmer,
    random_greenwood,
    rounds_of,
    sold,
)
from tests.interbank import Outcome, outcome, outcome_of
from tests.invariants import check_run, no_failures

NETWORKS = int(os.environ.get("CONTAGION_NETWORKS", "1000"))
TICK = 1e-9
"""The step of prices, and a base unit of money."""


def ran(graph: Any) -> Outcome:
    """Run a network without a second set of books: a thousand of them take half a minute."""
    return outcome_of(graph, build(graph))


# ------------------------------------------------------------------------------------ Cifuentes, Ferrucci and Shin


def cifuentes_case(case_id: str) -> Cifuentes:
    inputs = published(case_id)["inputs"]
    liquid, shock, illiquid, claims, deposits = (
        np.array(inputs[key], float) for key in ("c", "shock_to_c", "e", "L", "d")
    )
    return Cifuentes(
        liquid, shock, illiquid, claims, deposits, round(1 / inputs["rstar"], 6), inputs["alpha"], recovery=1.0
    )


@cache
def cleared(case_id: str) -> Outcome:
    return outcome(cifuentes_graph(cifuentes_case(case_id)))


@pytest.mark.parametrize("case_id", ["CFS-01", "CFS-02", "CFS-03"])
def test_where_revisions_end_is_the_price_of_the_case_with_its_sales_payments_and_defaults(case_id: str) -> None:
    """The ratio is stated as leverage to a millionth, which moves prices by up to two steps here."""
    expected, result = published(case_id)["expected"], cleared(case_id)
    assert price(result) == pytest.approx(expected["price"], abs=5 * TICK)
    assert sold(result, cifuentes_case(case_id).illiquid) == pytest.approx(expected["s"], abs=1e-5)
    assert result.paid == pytest.approx(expected["payments"], abs=1e-6)
    assert sorted(bank for wave in result.waves for bank in wave) == expected["defaults"]


@pytest.mark.parametrize("case_id", ["CFS-01", "CFS-02", "CFS-03"])
def test_all_are_paid_the_one_price_at_one_cut_off(case_id: str) -> None:
    events, kinds = cleared(case_id).run.tables["events"], cleared(case_id).run.books.kinds
    trades = events["kind"] == kinds.index("trade")
    assert set(events["price"][trades].tolist()) == {round(price(cleared(case_id)) * 1e9)}
    assert len(np.unique(events["time_us"][trades])) == 1


def solved(banks: Cifuentes, impact: float) -> Any:
    return fire_sale_clearing(
        banks.liquid - banks.lost, banks.illiquid, banks.liabilities, banks.deposits, 1 / banks.leverage, impact,
        banks.recovery,
    )  # fmt: skip


def amplification(banks: Cifuentes, price: float) -> float:
    """Return how much further the clearing price falls than the impact by which sales are made a millionth larger."""
    alone = 1e-6 * price * abs(np.log(price))
    return max((price - solved(banks, banks.impact * (1 + 1e-6)).price) / alone, 1.0) if alone else 1.0


def test_random_networks_end_at_the_greatest_price_and_payments_in_the_solvers_rounds() -> None:
    """Within a step of the price times what the solution makes of one.

    A round is a cut-off at which defaults are declared. Generations are more, since a forced sale is a failure too.
    """
    depths, sellers = [], 0
    for seed in range(NETWORKS):
        banks = random_cifuentes(seed)
        expected, result = solved(banks, banks.impact), ran(cifuentes_graph(banks))
        assert declared(result) == [wave.tolist() for wave in expected.waves], f"network {seed}"
        near = TICK * amplification(banks, expected.price)
        assert price(result) == pytest.approx(expected.price, abs=near), f"network {seed}"
        assert result.paid == pytest.approx(expected.payments, abs=200 * near), f"network {seed}"
        depths.append(len(expected.waves))
        sellers += bool(np.any((expected.sales > 0) & ~expected.defaulted))
    assert max(depths) >= 2 and depths.count(0) < NETWORKS / 2 and sellers > NETWORKS / 10


@pytest.mark.parametrize("case_id", ["CFS-01", "CFS-02", "CFS-03"])
def test_without_a_price_shown_early_sales_are_paid_more_and_the_price_falls_less(case_id: str) -> None:
    """Whoever sells at a first cut-off does not know yet what the second will cost it."""
    graph, modelled = cifuentes_graph(cifuentes_case(case_id)), published(case_id)["expected"]["price"]
    graph.nodes["market0"]["auction"] = {"every": "1min"}
    assert modelled < price(ran(graph)) < 1


# -------------------------------------------------------------------------- the same banks, one after the other


def walked(case_id: str) -> Outcome:
    """Run a case with a market that is walked down, and debt that is repaid."""
    graph = cifuentes_graph(cifuentes_case(case_id), deleveraging="repay", clearing="1h", settlement="10h")
    del graph.nodes["market0"]["auction"]
    return outcome(graph)


@pytest.mark.parametrize("case_id", ["CFS-01", "CFS-02", "CFS-03"])
def test_a_walk_pays_sellers_more_than_one_price_for_all_so_the_price_falls_less(case_id: str) -> None:
    """The model pays everybody the last price. Here each sale walks down to it, so that a smaller sale is enough."""
    fall, modelled = 1 - price(walked(case_id)), 1 - published(case_id)["expected"]["price"]
    assert 0.8 * modelled < fall < modelled
    assert sorted(bank for wave in walked(case_id).waves for bank in wave) == published(case_id)["expected"]["defaults"]


@pytest.mark.parametrize("case_id", ["CFS-01", "CFS-02"])
def test_one_seller_ends_where_its_leverage_is_at_the_limit_after_the_whole_walk(case_id: str) -> None:
    inputs = published(case_id)["inputs"]
    money, inflow = inputs["c"][0] - inputs["shock_to_c"][0], sum(row[0] for row in inputs["L"])
    owed = sum(inputs["L"][0]) + inputs["d"][0]
    expected = deleveraging_price(money, inputs["e"][0], owed, inflow, 1 / inputs["rstar"], inputs["alpha"])
    assert price(walked(case_id)) == pytest.approx(expected, abs=2e-6)


# ----------------------------------------------------------------------------------- Greenwood, Landier and Thesmar


def greenwood_case(case_id: str) -> Greenwood:
    """Return a published case, whose shock is a return."""
    *banks, returns = (np.array(published(case_id)["inputs"][key], float) for key in ("M", "a", "B", "l", "F1"))
    return Greenwood(*banks, -returns)


@pytest.mark.parametrize("case_id", ["GLT-01", "GLT-02"])
def test_one_auction_sells_the_values_of_the_case_and_returns_what_it_says(case_id: str) -> None:
    banks, expected = greenwood_case(case_id), published(case_id)["expected"]
    result = outcome(greenwood_graph(banks))
    events, kinds = result.run.tables["events"], result.run.books.kinds
    trades = events["kind"] == kinds.index("trade")
    for k, value in enumerate(expected["sales"]):
        units = events["quantity"][trades & (events["asset"] == result.sim.assets[f"asset{k}"])].sum() * TICK
        assert -units * (1 - banks.price_shock[k]) == pytest.approx(value, abs=1e-6)
        assert price(result, k) / (1 - banks.price_shock[k]) - 1 == pytest.approx(expected["F2"][k], abs=2 * TICK)


def test_random_networks_sell_what_the_solver_says_and_return_to_its_prices() -> None:
    falls = []
    for seed in range(NETWORKS):
        banks = random_greenwood(seed)
        expected = deleverage(*banks)
        result = ran(greenwood_graph(banks))
        rounds = rounds_of(result, len(banks.impact))
        hit = np.flatnonzero(expected.lost > 0).tolist()
        assert rounds.sellers == [hit] * bool(hit), f"network {seed}"
        prices = [price(result, k) for k in range(len(banks.impact))]
        assert prices == pytest.approx((1 - banks.price_shock) * (1 - expected.fall), abs=2 * TICK), f"network {seed}"
        falls.append(expected.fall.max())
    assert np.mean(np.array(falls) > 0.001) > 0.5


def test_several_rounds_are_those_of_books_that_remember_what_was_sold() -> None:
    for seed in range(min(NETWORKS, 100)):
        banks, steps = random_greenwood(seed), 5
        units = banks.weights * banks.assets[:, None]
        debts = banks.assets * banks.leverage / (1 + banks.leverage)
        paths = leverage_targeting(units, debts, 1 + banks.leverage, banks.impact, banks.price_shock, steps)
        result = ran(greenwood_graph(banks, steps))
        prices = [price(result, k) for k in range(len(banks.impact))]
        assert prices == pytest.approx(paths[-1], abs=50 * TICK), f"network {seed}"


def test_further_rounds_of_the_linear_map_are_the_engines_for_a_small_shock() -> None:
    """The map sells from what was held at first; the engine's banks have less, and must make up for what sales cost."""
    gaps, banks = [], greenwood_case("GLT-01")
    for size in (1.0, 0.1, 0.01):
        shaken = banks._replace(price_shock=banks.price_shock * size)
        total = fall = shaken.price_shock
        for _ in range(3):
            fall = deleverage(*shaken._replace(price_shock=fall)).fall
            total = total + fall
        result = ran(greenwood_graph(shaken, 3))
        engine = np.array([1 - price(result, k) for k in range(3)])
        gaps.append(float(np.abs(engine / total - 1).max()))
    assert gaps[0] < 0.05 and gaps[1] < gaps[0] / 5 and gaps[2] < gaps[1] / 5


# ------------------------------------------------------------------------------------------- Cont and Schaanning


def cont_case(case_id: str) -> Cont:
    inputs = published(case_id)["inputs"]
    holdings, illiquid, equity, depth = (np.array(inputs[key], float) for key in ("q", "illiquid", "E0", "depth"))
    prices, loans = (
        np.zeros(size) if inputs[key] is None else np.array(inputs[key], float)
        for key, size in (("shock_price", len(depth)), ("shock_illiquid", len(equity)))
    )
    return Cont(
        holdings, illiquid, equity, depth, inputs["lam_max"], inputs["lam_b"], prices, loans, inputs["B"], inputs["w"]
    )


@pytest.mark.parametrize("case_id", ["CS-01", "CS-02"])
def test_every_auction_leaves_the_prices_of_the_case_and_there_are_as_many(case_id: str) -> None:
    expected, banks = published(case_id)["expected"], cont_case(case_id)
    result = outcome(cont_graph(banks, expected["rounds"] + 2))
    rounds = rounds_of(result, len(banks.depth))
    assert rounds.times == list(range(1, expected["rounds"] + 1)) and not rounds.defaults
    for prices, step in zip(rounds.prices, expected["history"], strict=True):
        assert prices == pytest.approx(step["p"], abs=5 * TICK)
    assert rounds.sellers == [np.flatnonzero(step["G"]).tolist() for step in expected["history"]]


def test_random_networks_have_the_solvers_rounds_sellers_ruins_and_prices() -> None:
    depths, ruined = [], 0
    for seed in range(NETWORKS):
        banks = random_cont(seed)
        shocks = {"price_shock": banks.price_shock, "illiquid_shock": banks.illiquid_shock}
        expected = indirect_contagion(*banks[:6], **shocks, floor=banks.floor, slippage=banks.slippage)
        rounds = rounds_of(ran(cont_graph(banks, len(expected.rounds) + 2)), len(banks.depth))
        assert rounds.sellers == [np.flatnonzero(step.sold).tolist() for step in expected.rounds], f"network {seed}"
        path = [expected.equity_after_shock, *(step.equity for step in expected.rounds)]
        assert rounds.defaults == firsts([np.flatnonzero(equity <= 0) for equity in path]), f"network {seed}"
        for prices, step in zip(rounds.prices, expected.rounds, strict=True):
            assert prices == pytest.approx(step.prices, abs=20 * TICK), f"network {seed}"
        depths.append(len(expected.rounds))
        ruined += bool(rounds.defaults)
    assert max(depths) >= 4 and depths.count(0) < NETWORKS / 2 and ruined > NETWORKS / 20


def firsts(waves: list[Any]) -> dict[int, int]:
    """Return the first wave that each bank is in."""
    found: dict[int, int] = {}
    for number, wave in enumerate(waves):
        for bank in wave.tolist():
            found.setdefault(bank, number)
    return found


# ------------------------------------------------------------------ Farmer, Kleinnijenhuis, Nahai-Williamson, Wetzer


def after(rounds: Rounds, hours: int, first: Any) -> Any:
    """Return the prices after so many hours."""
    done = [prices for at, prices in zip(rounds.times, rounds.prices, strict=True) if at <= hours]
    return done[-1] if done else first


@pytest.mark.parametrize("name", ["s00_pi5_control", "s20_pi5", "s20_pi1", "s15_pi1", "s15_pi1_targeting"])
def test_the_published_banks_default_step_by_step_and_leave_the_published_prices(name: str) -> None:
    """The control's banks are not at rest: two of them begin with so much more that they are, and lose it."""
    case = third_party("FS-01")
    terms, expected = case["inputs"]["scenarios"][name], case["expected"][name]
    impact = np.full(2, terms["price_impact"])
    banks = Farmer(*stressed_banks(), np.array([0, terms["shock"]]), impact, terms["lam_buffer"])
    rounds = rounds_of(ran(farmer_graph(banks)), 2)
    defaults = np.bincount(list(rounds.defaults.values()), minlength=6).tolist()
    assert [0, *defaults] == expected["defaults_per_step"]
    assert rounds.prices[-1] == pytest.approx([expected["p_corp"], expected["p_gov"]], abs=20 * TICK)
    assert len(rounds.times) == expected["price_liquidation_rounds"]


def test_random_networks_default_in_the_solvers_steps_at_its_prices() -> None:
    depths = []
    for seed in range(NETWORKS):
        banks = random_farmer(seed)
        terms = {"price_shock": banks.price_shock, "impact": banks.impact, "buffer": banks.buffer}
        steps = system_fire_sale(*banks[:5], **terms)
        rounds = rounds_of(ran(farmer_graph(banks)), len(banks.impact))
        assert rounds.defaults == firsts([step.defaults for step in steps]), f"network {seed}"
        for hours, step in enumerate(steps):
            prices = after(rounds, hours, 1 - banks.price_shock)
            assert prices == pytest.approx(step.prices, abs=50 * TICK), f"network {seed}, step {hours}"
        depths.append(max(rounds.defaults.values(), default=-1))
    assert max(depths) >= 3 and depths.count(-1) < NETWORKS / 2


# ------------------------------------------------------------------------------------------------ what always holds

GRAPHS = {
    "Cifuentes": lambda seed: cifuentes_graph(random_cifuentes(seed)),
    "Greenwood": lambda seed: greenwood_graph(random_greenwood(seed), 3),
    "Cont": lambda seed: cont_graph(random_cont(seed), 6),
    "Farmer": lambda seed: farmer_graph(random_farmer(seed)),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("model", GRAPHS)
def test_random_networks_keep_every_invariant_and_rest_without_a_shock(model: str, seed: int) -> None:
    graph = GRAPHS[model](seed)
    check_run(run(graph), compile_graph(graph))
    if model != "Farmer":  # whose shock is also what makes an opening out of banks that are not at rest
        assert no_failures(run(graph, shock=False))


@pytest.mark.parametrize("seed", range(8))
def test_a_capital_ratio_is_monotone_so_its_synchronous_replay_fails_the_same(seed: int) -> None:
    result = run(cifuentes_graph(random_cifuentes(seed)))
    assert result.facts["twins"]["rounds"]["same_failures"]


@pytest.mark.parametrize("model", GRAPHS)
def test_the_order_of_simultaneous_events_is_immaterial(model: str) -> None:
    for seed in range(5):
        graph = GRAPHS[model](seed)
        plain, shuffled = outcome(graph), outcome(graph, shuffle_ties=True)
        markets = [name for name in graph if name.startswith("market")]
        assert [price(plain, k) for k in range(len(markets))] == [price(shuffled, k) for k in range(len(markets))]
        assert (plain.waves, plain.cash) == (shuffled.waves, shuffled.cash)
