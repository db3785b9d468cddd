"""Classical contagion event by event: the engine ends where the solvers end, and its generations are their rounds.

A thousand random networks of each kind are drawn, or as many as `CONTAGION_NETWORKS` says.
"""

import os
from functools import cache
from random import Random
from typing import Any

import numpy as np
import pytest

from contagion.assembly import build
from contagion.finance.clearing import rogers_veraart
from contagion.finance.threshold import furfine
from contagion.graph import compile_graph
from contagion.study.twins import run
from tests.cases import published
from tests.classical import fictitious_default, threshold_cascade
from tests.interbank import Outcome, cascade_graph, clearing_graph, name, outcome, outcome_of
from tests.invariants import check_run, no_failures

NETWORKS = int(os.environ.get("CONTAGION_NETWORKS", "1000"))
CLEARING = (
    *("EN-01", "EN-02", "EN-03", "EN-04", "EN-05", "EN-06", "EN-07a", "EN-07b", "EN-08"),
    *("RV-01", "RV-02", "RV-03", "RV-04"),
)
UNIT = 1e-9
"""A base unit of the money of the published cases; payments are whole units, rounded down."""


def clearing_case(case_id: str, **facts: Any) -> Any:
    inputs = published(case_id)["inputs"]
    costs = {"recovery_external": inputs.get("alpha", 1), "recovery_interbank": inputs.get("beta", 1)}
    senior = "senior" in inputs
    outside = inputs["senior"] if senior else inputs["d"]
    return clearing_graph(inputs["L"], inputs["e"], outside, senior=senior, **costs, **facts)


@cache
def cleared(case_id: str) -> Outcome:
    return outcome(clearing_case(case_id))


@cache
def cascaded(case_id: str) -> Outcome:
    inputs = published(case_id)["inputs"]
    return outcome(cascade_graph(inputs["X"], inputs["capital"], inputs["initial"], loss_given_default=inputs["LGD"]))


@pytest.mark.parametrize("case_id", CLEARING)
def test_banks_pay_the_greatest_clearing_vector(case_id: str) -> None:
    expected = published(case_id)["expected"]
    paid = np.array(expected.get("p", expected.get("p_greatest")))
    paid = paid + np.array(expected["external_paid"]) if case_id == "EN-07b" else paid
    assert cleared(case_id).paid == pytest.approx(paid, abs=10 * UNIT)


@pytest.mark.parametrize("case_id", CLEARING)
def test_the_generation_of_a_default_is_its_round_of_the_fictitious_default_algorithm(case_id: str) -> None:
    expected = published(case_id)["expected"]
    assert cleared(case_id).waves == [list(wave) for wave in expected.get("waves", [])]
    assert len(cleared(case_id).waves) == expected["D_FD"]


@pytest.mark.parametrize("case_id", [case_id for case_id in CLEARING if case_id != "EN-05"])
def test_what_a_bank_has_left_is_its_equity(case_id: str) -> None:
    expected = published(case_id)["expected"]["equity"]
    assert cleared(case_id).cash == pytest.approx(expected, abs=10 * UNIT)


@pytest.mark.parametrize("case_id", ["RV-01", "RV-02", "RV-03", "RV-04"])
def test_what_defaults_cost_leaves_the_system_as_deadweight(case_id: str) -> None:
    expected = published(case_id)["expected"]["deadweight"]
    assert sum(cleared(case_id).deadweight) == pytest.approx(expected, abs=20 * UNIT)


@pytest.mark.parametrize("case_id", CLEARING)
def test_no_overdraft_is_left_and_no_debt(case_id: str) -> None:
    result = cleared(case_id)
    money = result.sim.assets["usd"]
    for row, kind in zip(result.sim.ledger.balances, result.run.books.holder_kinds, strict=True):
        others = [balance for asset, balance in enumerate(row) if asset != money]
        assert kind != "bank" or not any(others)


@pytest.mark.parametrize("case_id", ["FF-01", "FF-02"])
def test_a_threshold_cascade_has_the_waves_and_the_losses_of_the_case(case_id: str) -> None:
    expected, result = published(case_id)["expected"], cascaded(case_id)
    assert [published(case_id)["inputs"]["initial"], *result.waves] == expected["waves"]
    assert len(result.waves) == expected["depth"]
    assert result.written_down == pytest.approx(expected["loss"], abs=1e-12)


def test_the_weighted_generation_weighs_failed_debtors_by_what_was_lost_to_each() -> None:
    """FF-01: the third bank loses 4 to the seed, of generation 0, and 8 to the second bank, of generation 1."""
    result = cascaded("FF-01")
    failures, holders = result.run.tables["failures"], result.run.books.holders
    nodes = [holders[node] for node in result.run.tables["events"]["node"][failures["event"]].tolist()]
    weighted = dict(zip(nodes, failures["weighted"].tolist(), strict=True))
    assert weighted[name(1)] == 1.0
    assert weighted[name(2)] == pytest.approx(1 + 8 * 1.0 / 12)
    assert weighted[name(3)] == pytest.approx(1 + weighted[name(2)])


def test_names_do_not_matter() -> None:
    inputs, order = published("RV-04")["inputs"], [5, 2, 7, 0, 3, 6, 1, 4]
    owes = [[inputs["L"][i][j] for j in order] for i in order]
    own, outside = ([inputs[key][i] for i in order] for key in ("e", "d"))
    costs = {"recovery_external": inputs["alpha"], "recovery_interbank": inputs["beta"]}
    result, plain = outcome(clearing_graph(owes, own, outside, **costs)), cleared("RV-04")
    assert [sorted(order[bank] for bank in wave) for wave in result.waves] == plain.waves
    assert result.paid == pytest.approx([plain.paid[i] for i in order], abs=UNIT)


@pytest.mark.parametrize("case_id", ["EN-04", "EN-07b", "EN-08", "RV-04", "FF-01", "FF-02"])
def test_a_run_keeps_every_invariant_and_its_canonical_depth_is_the_number_of_rounds(case_id: str) -> None:
    inputs = published(case_id)["inputs"]
    if "X" in inputs:
        graph = cascade_graph(inputs["X"], inputs["capital"], inputs["initial"], loss_given_default=inputs["LGD"])
    else:
        graph = clearing_case(case_id)
    result = run(graph)
    check_run(result, compile_graph(graph))
    expected = published(case_id)["expected"]
    assert result.facts["cascade_depth_canonical"] == expected.get("D_FD", expected.get("depth"))
    assert result.facts["cascade_depth"] == result.facts["cascade_depth_canonical"]
    assert result.facts["twins"]["control"]["failures"] == 0


def random_clearing(seed: int) -> tuple[list[list[int]], list[int], list[int], dict[str, Any]]:
    """Return (who owes whom, external assets, outside debt, what the solver takes beside)."""
    rng = Random(seed)
    count = rng.randint(3, 6)
    density = rng.uniform(0.2, 0.9)
    owes = [[rng.randint(1, 20) * (i != j and rng.random() < density) for j in range(count)] for i in range(count)]
    alpha, beta = rng.choice([(1, 1), (1, 1), (0.5, 0.7), (0.8, 0.6), (1, 0.5)])
    outside = [rng.randint(0, 12) for _ in range(count)]
    facts = {"alpha": alpha, "beta": beta, "senior": rng.random() < 0.3}
    return owes, [rng.randint(0, 15) for _ in range(count)], outside, facts


def clearing_of(seed: int, **more: Any) -> Any:
    owes, external, outside, facts = random_clearing(seed)
    costs = {"recovery_external": facts["alpha"], "recovery_interbank": facts["beta"]}
    return clearing_graph(
        owes, external, outside, senior=facts["senior"], decimals=6, materiality=1e-3, **costs, **more
    )  # fmt: skip


def test_random_networks_clear_as_the_solver_says_in_payments_and_rounds() -> None:
    depths = []
    for seed in range(NETWORKS):
        owes, external, outside, facts = random_clearing(seed)
        expected = fictitious_default(owes, external, outside, **facts, slack=1e-3)
        graph = clearing_of(seed)
        result = outcome_of(graph, build(graph))
        solved = rogers_veraart(owes, external, outside, **facts)
        assert result.waves == expected.waves == [wave.tolist() for wave in solved.waves], f"network {seed}"
        assert solved.payments == pytest.approx(expected.paid, abs=1e-9), f"network {seed}"
        units = (len(owes) + 2) * expected.amplification
        assert result.paid == pytest.approx(expected.paid, abs=units * 1e-6), f"network {seed}"
        assert sum(result.deadweight) == pytest.approx(expected.deadweight, abs=2 * units * 1e-6), f"network {seed}"
        depths.append(len(expected.waves))
    assert max(depths) >= 4 and depths.count(0) < NETWORKS / 4


def random_cascade(seed: int) -> tuple[list[list[int]], list[int], int, list[int], bool]:
    """Return (exposures, capital, loss given default in percent, seeds, whether a tie survives)."""
    rng = Random(seed)
    count = rng.randint(4, 8)
    density = rng.uniform(0.2, 0.7)
    exposures = [
        [rng.randint(1, 12) * (i != j and rng.random() < density) for j in range(count)] for i in range(count)
    ]  # fmt: skip
    capital = [rng.randint(1, 12) for _ in range(count)]
    return exposures, capital, rng.choice([40, 75, 100]), [rng.randrange(count)], rng.random() < 0.5


def cascade_of(seed: int, **more: Any) -> Any:
    exposures, capital, percent, seeds, strict = random_cascade(seed)
    rule = {"loss_given_default": percent / 100, "tie": "survives" if strict else "fails"}
    return cascade_graph(exposures, capital, seeds, decimals=2, **rule, **more)


def test_random_threshold_cascades_have_the_solvers_waves_and_losses_exactly() -> None:
    depths = []
    for seed in range(NETWORKS):
        exposures, capital, percent, seeds, strict = random_cascade(seed)
        waves, losses = threshold_cascade(exposures, capital, percent, seeds, strict)
        hundredths = 100 * np.array(capital), percent * np.array(exposures)
        solved = furfine(hundredths[1], hundredths[0], seeds, loss_given_default=1, insolvent_at_zero=not strict)
        assert ([wave.tolist() for wave in solved.waves[1:]], solved.losses.tolist()) == (waves, losses)
        graph = cascade_of(seed)
        result = outcome_of(graph, build(graph))
        assert result.waves == waves, f"network {seed}"
        assert [round(100 * loss) for loss in result.written_down] == losses, f"network {seed}"
        depths.append(len(waves))
    assert max(depths) >= 4 and depths.count(0) < 2 * NETWORKS / 3


def shaken(graph: Any, seed: int, longest_s: int) -> Any:
    """Return a graph whose claims take random times to be heard of."""
    rng = Random(seed)
    for *_, data in graph.edges(data=True):
        if data["role"] == "claims":
            data["latency"] = f"{rng.randint(0, longest_s)}s"
    return graph


def failed(result: Outcome) -> set[int]:
    return {bank for wave in result.waves for bank in wave}


@pytest.mark.parametrize("seed", range(20))
def test_who_pays_what_does_not_depend_on_how_long_news_takes(seed: int) -> None:
    owes, external, outside, facts = random_clearing(seed)
    expected = fictitious_default(owes, external, outside, **facts, slack=1e-3)
    graph = shaken(clearing_of(seed, revision="1h", settlement="300d"), seed, 10_000)
    graph.graph["horizon_us"] *= 13
    result = outcome(graph)
    units = (len(owes) + 2) * expected.amplification
    assert result.paid == pytest.approx(expected.paid, abs=units * 1e-6)
    assert failed(result) == {bank for wave in expected.waves for bank in wave}


@pytest.mark.parametrize("seed", range(20))
def test_who_fails_in_a_threshold_cascade_does_not_depend_on_how_long_news_takes(seed: int) -> None:
    waves, losses = threshold_cascade(*random_cascade(seed))
    result = outcome(shaken(cascade_of(seed), seed, 100))
    assert failed(result) == {bank for wave in waves for bank in wave}
    assert [round(100 * loss) for loss in result.written_down] == losses


@pytest.mark.parametrize("seed", range(5))
def test_rounds_do_not_depend_on_the_order_of_simultaneous_events(seed: int) -> None:
    for graph in (clearing_of(seed), cascade_of(seed)):
        plain, shuffled = outcome(graph), outcome(graph, shuffle_ties=True)
        assert (shuffled.waves, shuffled.paid) == (plain.waves, plain.paid)
        assert shuffled.written_down == plain.written_down


@pytest.mark.parametrize("seed", range(25))
def test_random_networks_keep_every_invariant_and_rest_without_a_shock(seed: int) -> None:
    for graph in (clearing_of(seed), cascade_of(seed)):
        check_run(run(graph), compile_graph(graph))
        assert no_failures(run(graph, shock=False))
