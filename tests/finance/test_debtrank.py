"""DebtRank, against the published examples, an inverse matrix and the papers' own words bank by bank."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from contagion.finance.debtrank import (
    DENSE,
    Distress,
    additional_losses,
    debtrank,
    differential,
    linear_inverse,
    single_hit,
    spectral_radius,
)
from tests import slow_distress
from tests.cases import published, third_party

Floats = NDArray[np.float64]
EXAMPLES = 40
MODELS: dict[str, Callable[..., Distress]] = {"differential": differential, "single_hit": single_hit}
DR_01, DR_02, DEF_04 = published("DR-01"), published("DR-02"), published("DEF-04")


class System(NamedTuple):
    """Exposures, equity and first distress of some banks."""

    exposures: Floats
    equity: Floats
    shock: Floats


@st.composite
def systems(draw: st.DrawFn, leverage: float | None = None) -> System:
    """Return a small network; with a bound on interbank leverage, none of its rows sums to more than that."""
    count = draw(st.integers(2, 6))
    cells = st.lists(st.integers(0, 9), min_size=count, max_size=count)
    exposures = np.array(draw(st.lists(cells, min_size=count, max_size=count)), np.float64)
    np.fill_diagonal(exposures, 0)
    equity = np.array(draw(st.lists(st.integers(1, 20), min_size=count, max_size=count)), np.float64)
    if leverage is not None:
        equity += exposures.sum(axis=1) / leverage
    shares = st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 1.0])
    return System(exposures, equity, np.array(draw(st.lists(shares, min_size=count, max_size=count))))


def loops(count: int, weights: Floats) -> csr_array:
    """Return a ring of banks, each with a claim on the next."""
    at = np.arange(count)
    return csr_array((weights, (at, np.roll(at, -1))), shape=(count, count))


def sparse_system(case: dict[str, Any]) -> tuple[csr_array, Floats, Floats]:
    """Return exposures, equity and weights of the 125 banks of DR-03."""
    creditor, debtor, amount = zip(*case["inputs"]["edges_i_j_exposure"], strict=True)
    count = case["inputs"]["n"]
    exposures = csr_array((amount, (creditor, debtor)), shape=(count, count))
    return exposures, np.array(case["inputs"]["buffer"]), np.array(case["inputs"]["weights"])


# Published cases.


@pytest.mark.parametrize("scenario", DR_01["inputs"]["scenarios"])
@pytest.mark.parametrize("model", MODELS)
def test_three_banks_reach_the_published_distress(model: str, scenario: str) -> None:
    inputs, expected = DR_01["inputs"], DR_01["expected"][model][scenario]
    exposures, equity, weights = inputs["X"], inputs["buffer"], inputs["weights"]
    shock = inputs["scenarios"][scenario]
    capped, uncapped = (MODELS[model](exposures, equity, shock, capped=capped) for capped in (True, False))
    assert uncapped.distress == pytest.approx(expected["s_final"], **tolerance(DR_01))
    assert capped.distress == pytest.approx(np.minimum(expected["s_final"], 1), **tolerance(DR_01))
    assert capped.rounds == uncapped.rounds == expected["rounds"]
    assert debtrank(capped, weights) == debtrank(uncapped, weights)
    assert debtrank(capped, weights) == pytest.approx(expected["additional_stress"], **tolerance(DR_01))
    assert additional_losses(uncapped, equity) == pytest.approx(expected["additional_losses_pkg"], **tolerance(DR_01))
    assert additional_losses(capped, equity) == pytest.approx(expected["capped_additional_losses"], **tolerance(DR_01))
    assert np.sum(capped.distress == 1) - np.sum(capped.initial == 1) == expected["additional_defaults"]


def tolerance(case: dict[str, Any]) -> dict[str, Any]:
    return {"rel": case["tolerance"]["rtol"], "abs": case["tolerance"]["atol"]}


def test_four_banks_in_the_linear_regime_reach_the_published_distress() -> None:
    inputs, expected = DR_02["inputs"], DR_02["expected"]
    exposures, equity, shock = np.array(inputs["X"]), np.array(inputs["buffer"]), np.array(inputs["s0"])
    found = differential(exposures, equity, shock)
    for distress in (found.distress, linear_inverse(exposures, equity, shock)):
        assert distress == pytest.approx(expected["s_final"], **tolerance(DR_02))
        assert distress @ equity / (shock @ equity) == pytest.approx(expected["amplification"], **tolerance(DR_02))
    assert spectral_radius(exposures, equity) == pytest.approx(expected["spectral_radius"], **tolerance(DR_02))


def test_the_default_of_each_of_125_banks_costs_what_the_package_prints() -> None:
    case = third_party("DR-03")
    exposures, equity, weights = sparse_system(case)
    found = differential(exposures, equity, np.eye(len(equity)), capped=False)
    stress, losses = debtrank(found, weights), additional_losses(found, equity)
    defaults = np.sum(found.distress >= 1, axis=0) - 1
    order = np.argsort(-stress, kind="stable")
    within = tolerance(case)
    for bank, row, printed in zip(
        order, case["expected"]["converged_top10"], case["expected"]["readme_top10_rounded"], strict=False
    ):
        assert f"b{bank + 1}" == row["scenario"] == printed[0]
        assert stress[bank] == pytest.approx(row["additional_stress"], **within)
        assert losses[bank] == pytest.approx(row["additional_losses"], **within)
        assert equity[bank] == pytest.approx(row["original_losses"], **within)
        assert defaults[bank] == row["additional_defaults"] == printed[5]
        assert (round(stress[bank], 2), round(losses[bank])) == (printed[2], printed[4])
    assert stress.sum() == pytest.approx(case["expected"]["sum_additional_stress_converged"], **within)


def test_equal_shocks_to_125_banks_cost_what_the_package_prints() -> None:
    case = third_party("DR-05")
    exposures, equity, weights = sparse_system(third_party("DR-03"))
    shocks = np.array(case["inputs"]["shocks"])
    found = differential(exposures, equity, np.tile(shocks, (len(equity), 1)), capped=False)
    stress, losses = debtrank(found, weights), additional_losses(found, equity)
    defaults = np.sum(found.distress >= 1, axis=0)
    for at, row in enumerate(case["expected"]["converged"].values()):
        assert shocks[at] == row["original_stress"]
        assert stress[at] == pytest.approx(row["additional_stress"], **tolerance(case))
        assert losses[at] == pytest.approx(row["additional_losses"], **tolerance(case))
        assert defaults[at] == row["additional_defaults"]


def test_uncapped_losses_exceed_the_capital_that_is_left_and_capped_ones_do_not() -> None:
    expected, inputs = DEF_04["expected"], DR_01["inputs"]
    exposures, equity = inputs["X"], inputs["buffer"]
    shock = inputs["scenarios"]["default_b"]
    capital, own = expected["total_capital"], expected["seed_capital"]
    assert (capital, own) == (sum(equity), np.dot(shock, equity))
    capped, uncapped = (
        float(additional_losses(differential(exposures, equity, shock, capped=capped), equity))
        for capped in (True, False)
    )
    assert uncapped == pytest.approx(expected["pkg_additional_losses_default_b"])
    assert capped == pytest.approx(expected["capped_additional_losses_default_b"])
    assert own + capped <= capital < own + uncapped


@pytest.mark.parametrize("alpha", published("NV-01")["inputs"]["alpha"])
def test_a_ring_of_banks_with_equal_equity_ends_where_the_valuation_of_claims_does(alpha: float) -> None:
    """Equities of the case may be negative, so they are those of uncapped distress."""
    case = published("NV-01")
    ring = [[0, 0.5, 0], [0, 0, 0.5], [0.5, 0, 0]]
    found = differential(ring, np.ones(3), alpha * np.array([10, 5, 3]), capped=False)
    assert 1 - found.distress == pytest.approx(case["expected"][str(alpha)]["ldr"], **tolerance(case))


# What distress is.


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems(leverage=0.9))
def test_in_the_linear_regime_distress_is_an_inverse_matrix_times_the_shock(system: System) -> None:
    """A tenth of equity is not lent to banks, so distress is at most ten times the largest shock."""
    exposures, equity, shock = system._replace(shock=system.shock / 10)
    found = differential(exposures, equity, shock, capped=False)
    inverse = np.linalg.inv(np.eye(len(equity)) - exposures / equity[:, None])
    assert found.distress == pytest.approx(inverse @ shock, abs=1e-9)
    assert linear_inverse(exposures, equity, shock) == pytest.approx(found.distress, abs=1e-9)
    assert linear_inverse(csr_array(exposures), equity, shock) == pytest.approx(found.distress, abs=1e-9)


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems())
def test_every_bank_loses_its_shock_and_what_its_debtors_lost(system: System) -> None:
    exposures, equity, shock = system
    found = differential(exposures, equity, shock, capped=False)
    assert found.distress == pytest.approx(
        shock + exposures / equity[:, None] @ np.minimum(found.distress, 1), abs=1e-9
    )
    assert found.residual <= 1e-12


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems())
def test_distress_is_that_of_the_paper_bank_by_bank(system: System) -> None:
    exposures, equity, shock = system
    plain = exposures.tolist(), equity.tolist(), shock.tolist()
    slow = slow_distress.differential(*plain, tolerance=1e-12)
    assert differential(exposures, equity, shock).distress == pytest.approx(slow, abs=1e-9)


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems(), st.booleans())
def test_a_single_hit_is_that_of_the_paper_state_by_state(system: System, capped_impact: bool) -> None:
    exposures, equity, shock = system
    slow, rounds = slow_distress.single_hit(exposures.tolist(), equity.tolist(), shock.tolist(), capped_impact)
    for matrix in (exposures, csr_array(exposures)):
        found = single_hit(matrix, equity, shock, capped_impact=capped_impact)
        assert found.distress == pytest.approx(slow, abs=1e-12)
        assert found.rounds == rounds


def test_a_debtor_takes_more_than_its_share_unless_the_impact_is_capped() -> None:
    """Half of the debtor's equity is gone; its creditor has lent it twice its own."""
    exposures, equity, shock = [[0, 2], [0, 0]], [1, 1], [0, 0.4]
    assert single_hit(exposures, equity, shock).distress[0] == 0.8
    assert single_hit(exposures, equity, shock, capped_impact=True).distress[0] == 0.4


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems())
def test_a_single_hit_is_at_most_what_passing_on_every_loss_is(system: System) -> None:
    single, every = single_hit(*system, capped=False), differential(*system, capped=False)
    assert np.all(single.distress <= every.distress + 1e-9)
    assert np.all(single.initial <= single.distress)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.floats(0.01, 1))
def test_along_a_chain_nothing_returns_and_both_models_agree(claims: list[int], share: float) -> None:
    count = len(claims) + 1
    exposures = np.diag(np.array(claims, np.float64), -1)
    shock = np.r_[share, np.zeros(count - 1)]
    single, every = (model(exposures, np.full(count, 10.0), shock) for model in MODELS.values())
    assert single.distress == pytest.approx(every.distress, rel=1e-12)
    assert spectral_radius(exposures, np.full(count, 10.0)) == 0


# Regimes and invariances.


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems())
def test_capped_losses_are_at_most_the_capital_that_is_left_and_uncapped_ones_at_least_the_capped(
    system: System,
) -> None:
    for model in MODELS.values():
        capped, uncapped = (model(*system, capped=capped) for capped in (True, False))
        assert -1e-12 <= additional_losses(capped, system.equity) <= system.equity @ (1 - system.shock) + 1e-9
        assert np.all(np.minimum(uncapped.distress, 1) == capped.distress)
        assert additional_losses(capped, system.equity) <= additional_losses(uncapped, system.equity)
        assert 0 <= debtrank(capped, system.equity) <= 1


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems(), st.integers(-8, 8))
def test_the_unit_of_money_does_not_matter(system: System, power: int) -> None:
    scale = 2.0**power
    for model in MODELS.values():
        once, again = model(*system), model(scale * system.exposures, scale * system.equity, system.shock)
        assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems(), st.randoms(use_true_random=False))
def test_the_order_of_the_banks_does_not_matter(system: System, random: Any) -> None:
    exposures, equity, shock = system
    order = random.sample(range(len(equity)), len(equity))
    for model in MODELS.values():
        found = model(exposures[np.ix_(order, order)], equity[order], shock[order])
        assert found.distress == pytest.approx(model(*system).distress[order], abs=1e-9)


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems(), st.floats(0, 1))
def test_distress_grows_with_the_shock(system: System, part: float) -> None:
    less = differential(*system._replace(shock=part * system.shock), capped=False)
    assert np.all(less.distress <= differential(*system, capped=False).distress + 1e-9)


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems(), st.integers(0, 5))
def test_a_limit_on_rounds_stops_short_and_says_by_how_much(system: System, rounds: int) -> None:
    exposures, equity, shock = system
    found, limit = differential(*system, rounds=rounds, capped=False), differential(*system, capped=False)
    assert found.rounds <= rounds
    assert np.all(found.distress <= limit.distress)
    if found.rounds < limit.rounds:
        assert found.residual > 1e-12
    if rounds == 1:
        assert found.distress == pytest.approx(shock + exposures / equity[:, None] @ np.minimum(shock, 1))


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems(), st.booleans())
def test_many_shocks_at_once_are_each_by_itself(system: System, sparse: bool) -> None:
    exposures, equity, shock = system
    matrix = csr_array(exposures) if sparse else exposures
    shocks = np.column_stack([shock, np.eye(len(equity))])
    for model in MODELS.values():
        together = model(matrix, equity, shocks)
        for at, alone in enumerate(model(matrix, equity, column) for column in shocks.T):
            assert together.distress[:, at] == pytest.approx(alone.distress, rel=1e-12)
            assert not sparse or together.rounds[at] == alone.rounds


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems())
def test_a_shock_that_has_come_to_rest_waits_for_the_others(system: System) -> None:
    """To the last bit, so a coarse tolerance leaves each where it would be by itself."""
    exposures, equity, shock = system
    shocks = np.column_stack([shock, shock / 2, np.eye(len(equity))])
    together = differential(csr_array(exposures), equity, shocks, tolerance=0.05)
    for at, column in enumerate(shocks.T):
        alone = differential(csr_array(exposures), equity, column, tolerance=0.05)
        assert all(np.array_equal(a[..., at], b) for a, b in zip(together, alone, strict=True))


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems())
def test_a_sparse_matrix_is_the_same_as_an_array(system: System) -> None:
    exposures, equity, shock = system
    for model in MODELS.values():
        dense, sparse = model(*system), model(csr_array(exposures), equity, shock)
        assert sparse.distress == pytest.approx(dense.distress, rel=1e-12)
    assert spectral_radius(csr_array(exposures), equity) == pytest.approx(spectral_radius(exposures, equity))


def test_a_bank_that_has_lost_more_than_all_passes_on_no_more_than_all() -> None:
    exposures, equity = [[0, 0], [3, 0]], [1, 10]
    once, thrice = differential(exposures, equity, [1, 0]), differential(exposures, equity, [3, 0])
    assert once.distress.tolist() == thrice.distress.tolist() == [1, 0.3]
    assert differential(exposures, equity, [3, 0], capped=False).distress.tolist() == [3, 0.3]


def test_a_tolerance_of_nothing_ends_where_rounding_does_and_one_below_is_refused() -> None:
    inputs = DR_02["inputs"]
    found = differential(inputs["X"], inputs["buffer"], inputs["s0"], tolerance=0)
    assert found.residual == 0
    assert found.distress == pytest.approx(linear_inverse(inputs["X"], inputs["buffer"], inputs["s0"]), rel=1e-14)
    for tolerance in (-1e-9, float("nan")):
        with pytest.raises(ValueError, match="0 or more expected"):
            differential(inputs["X"], inputs["buffer"], inputs["s0"], tolerance=tolerance)


def test_nothing_happens_without_a_shock() -> None:
    found = differential(DR_01["inputs"]["X"], DR_01["inputs"]["buffer"], np.zeros(3))
    assert [part.tolist() for part in found] == [[0, 0, 0], [0, 0, 0], 0, 0]


# The spectral radius.


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems())
def test_the_spectral_radius_is_the_largest_modulus_of_an_eigenvalue(system: System) -> None:
    exposures, equity, _ = system
    moduli = np.abs(np.linalg.eigvals(exposures / equity[:, None]))
    assert spectral_radius(exposures, equity) == pytest.approx(moduli.max(), abs=1e-5)


def test_the_spectral_radius_of_a_large_network_needs_products_only() -> None:
    rng, count = np.random.default_rng(1), DENSE + 32
    exposures = rng.lognormal(0, 1, (count, count)) * (rng.random((count, count)) < 0.05)
    np.fill_diagonal(exposures, 0)
    equity = exposures.sum(axis=1) * rng.uniform(0.5, 3, count) + 1
    moduli = np.abs(np.linalg.eigvals(exposures / equity[:, None]))
    assert spectral_radius(csr_array(exposures), equity) == pytest.approx(moduli.max(), rel=1e-12)


def test_a_ring_has_the_geometric_mean_of_its_weights_and_an_open_chain_none() -> None:
    ring = loops(100, weights := np.random.default_rng(2).uniform(0.2, 2, 100))
    assert spectral_radius(ring, np.ones(100)) == pytest.approx(np.exp(np.log(weights).mean()))
    ring[7, 8] = 0
    assert spectral_radius(ring, np.ones(100)) == 0
    assert spectral_radius(loops(1000, np.full(1000, 0.9)), np.ones(1000)) == pytest.approx(0.9)


# What is refused.


@pytest.mark.parametrize(("equity", "shock"), [([0.8, 1], [0.6, 0]), ([0.4, 0.5], [0.1, 0]), ([0.8, 0.5], [0.1, 0])])
@pytest.mark.parametrize("matrix", [np.array, csr_array])
def test_there_is_no_inverse_beyond_the_linear_regime(matrix: Any, equity: list[float], shock: list[float]) -> None:
    """A bank would lose 1.2 of its equity; the spectral radius is the root of 2; it is 1."""
    with pytest.raises(ValueError, match="no linear regime"):
        linear_inverse(matrix([[0, 0.8], [0.5, 0]]), equity, shock)


@pytest.mark.parametrize(
    ("exposures", "equity", "shock", "words"),
    [
        ([[0, 1, 0], [1, 0, 0]], [1, 1], [0, 0], r"exposures of shape \(2, 3\)"),
        ([[0, 1], [1, 0]], [1, 1], [0, 0, 0], r"a shock of \(3,\)"),
        ([[0, -1], [1, 0]], [1, 1], [0, 0], r"an exposure is -1\.0 \(at 0, 1\).*not below 0"),
        ([[0, np.nan], [1, 0]], [1, 1], [0, 0], "an exposure is nan"),
        ([[0, 1], [1, 0]], [1, 0], [0, 0], r"the equity of a bank is 0\.0 \(at 1\).*above 0"),
        ([[0, 1], [1, 0]], [1, np.inf], [0, 0], "the equity of a bank is inf"),
        ([[0, 1], [1, 0]], [1, 1], [0, -0.1], r"a shock is -0\.1"),
        ([[2, 1], [1, 0]], [1, 1], [0, 0], "1 banks have lent to themselves"),
    ],
)
def test_figures_out_of_range_are_refused(exposures: Any, equity: Any, shock: Any, words: str) -> None:
    models: list[Callable[..., Any]] = [*MODELS.values(), linear_inverse]
    for model in models:
        with pytest.raises(ValueError, match=words):
            model(exposures, equity, shock)
