"""Clearing against published examples, exact enumeration, a linear program, and what must hold of every network."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array

from contagion.finance import clearing
from contagion.finance.clearing import Clearing, eisenberg_noe, rogers_veraart
from tests.cases import published
from tests.slow_clearing import Problem, clearing_vectors, default_waves

Array = NDArray[np.float64]
EXACT = {"rtol": 1e-9, "atol": 1e-9}


def lists(waves: tuple[NDArray[np.intp], ...]) -> list[list[int]]:
    return [wave.tolist() for wave in waves]


def between(cleared: Clearing) -> Array:
    """Return what goes to other banks."""
    return cleared.payments - cleared.external_payments


def random_network(banks: int, degree: int, seed: int, external: float = 0.3, cash: float = 0.1) -> tuple[Any, ...]:
    """Return (liabilities, cash, external liabilities) of a sparse network, every third bank short of cash."""
    rng = np.random.default_rng(seed)
    debtors, creditors = rng.integers(0, banks, (2, banks * degree))
    other = debtors != creditors
    amounts = rng.lognormal(0, 1, other.sum())
    owed = csr_array((amounts, (debtors[other], creditors[other])), shape=(banks, banks))
    outside = external * owed.sum(axis=1)
    needed = np.maximum(outside + owed.sum(axis=1) - owed.sum(axis=0), 0)
    own = needed + cash * rng.random(banks) * owed.sum(axis=1)
    return owed, np.where(rng.random(banks) < 1 / 3, own / 10, own), outside


# Published cases.


@pytest.mark.parametrize("case_id", ["EN-01", "EN-02", "EN-03", "EN-04", "EN-06", "EN-07a", "EN-08"])
@pytest.mark.parametrize("solution", ["greatest", "least"])
def test_published_networks_clear(case_id: str, solution: Any) -> None:
    case = published(case_id)
    network, expected = case["inputs"], case["expected"]
    cleared = eisenberg_noe(network["L"], network["e"], network["d"], solution=solution)
    np.testing.assert_allclose(cleared.payments, expected["p"], **EXACT)
    np.testing.assert_allclose(cleared.equity, expected["equity"], **EXACT)
    assert lists(cleared.waves) == expected["waves"]
    assert cleared.external_payments.sum() == pytest.approx(expected["external_creditors_receive"])
    assert cleared.unique and not cleared.deadweight.any()


def test_a_cycle_without_cash_pays_everything_or_nothing() -> None:
    case = published("EN-05")
    network, expected = case["inputs"], case["expected"]
    greatest = eisenberg_noe(network["L"], network["e"], network["d"])
    least = eisenberg_noe(network["L"], network["e"], network["d"], solution="least")
    assert greatest.payments.tolist() == expected["p_greatest"] and greatest.waves == ()
    assert least.payments.tolist() == expected["p_least"] and lists(least.waves) == [[0, 1]]
    assert not greatest.unique and not least.unique


def test_senior_external_creditors_are_paid_first() -> None:
    case = published("EN-07b")
    network, expected = case["inputs"], case["expected"]
    cleared = eisenberg_noe(network["L"], network["e"], network["senior"], senior=True)
    np.testing.assert_allclose(between(cleared), expected["p"], **EXACT)
    np.testing.assert_allclose(cleared.external_payments, expected["external_paid"], **EXACT)
    np.testing.assert_allclose(cleared.equity, expected["equity"], **EXACT)
    assert lists(cleared.waves) == expected["waves"]


@pytest.mark.parametrize("case_id", ["RV-01", "RV-02", "RV-03", "RV-04"])
@pytest.mark.parametrize("solution", ["greatest", "least"])
def test_published_networks_clear_with_default_costs(case_id: str, solution: Any) -> None:
    case = published(case_id)
    network, expected = case["inputs"], case["expected"]
    rates = {"alpha": network["alpha"], "beta": network["beta"]}
    cleared = rogers_veraart(network["L"], network["e"], network["d"], solution=solution, **rates)
    np.testing.assert_allclose(cleared.payments, expected[f"p_{solution}"], **EXACT)
    assert cleared.unique == (expected["p_greatest"] == expected["p_least"])
    if solution == "greatest" or cleared.unique:
        assert lists(cleared.waves) == expected["waves"]
        np.testing.assert_allclose(cleared.equity, expected["equity"], **EXACT)
        assert cleared.deadweight.sum() == pytest.approx(expected["deadweight"])
        assert cleared.external_payments.sum() == pytest.approx(expected["external_paid"])


def ring_and_complete(banks: int, owed: float) -> dict[str, Array]:
    """Return the two networks of Acemoglu, Ozdaglar and Tahbaz-Salehi: all to the next, or evenly to all others."""
    ring = owed * np.roll(np.eye(banks), 1, axis=1)
    return {"ring": ring, "complete": owed / (banks - 1) * (1 - np.eye(banks))}


@pytest.mark.parametrize("shape", ["ring", "complete"])
@pytest.mark.parametrize("shock", published("AOT-01")["inputs"]["eps"])
def test_a_complete_network_is_the_safest_for_small_shocks_and_no_safer_for_large_ones(
    shape: str, shock: float
) -> None:
    case = published("AOT-01")
    model, expected = case["inputs"], case["expected"][f"{shape}_eps{shock}"]
    returns, senior = np.full(model["n"], model["a"]), np.full(model["n"], model["v"])
    returns[0] -= shock
    cleared = eisenberg_noe(ring_and_complete(model["n"], model["y"])[shape], returns, senior, senior=True)
    np.testing.assert_allclose(between(cleared), expected["p"], **EXACT)
    assert sum(wave.size for wave in cleared.waves) == expected["n_default"]
    assert len(cleared.waves) == expected["D_FD"]
    assert (senior - cleared.external_payments).sum() == pytest.approx(expected["senior_shortfall"], abs=1e-9)


# Properties of the published network of eight banks (EN-09).


def eight_banks() -> tuple[Array, Array, Array]:
    network = published(published("EN-09")["inputs"]["base_case"])["inputs"]
    return np.array(network["L"], dtype=float), np.array(network["e"], dtype=float), np.array(network["d"], dtype=float)


@given(scale=st.floats(1e-9, 1e9))
@settings(max_examples=30)
def test_payments_scale_with_money(scale: float) -> None:
    owed, cash, outside = eight_banks()
    cleared, scaled = eisenberg_noe(owed, cash, outside), eisenberg_noe(scale * owed, scale * cash, scale * outside)
    np.testing.assert_allclose(scaled.payments, scale * cleared.payments, rtol=1e-9)
    assert lists(scaled.waves) == lists(cleared.waves)


@given(order=st.permutations(range(8)))
@settings(max_examples=30)
def test_names_do_not_matter(order: list[int]) -> None:
    owed, cash, outside = eight_banks()
    cleared, moved = eisenberg_noe(owed, cash, outside), eisenberg_noe(
        owed[np.ix_(order, order)], cash[order], outside[order]
    )  # fmt: skip
    np.testing.assert_allclose(moved.payments, cleared.payments[order], rtol=1e-9)
    assert [sorted(order[i] for i in wave) for wave in lists(moved.waves)] == lists(cleared.waves)


def test_a_bank_that_owes_nothing_and_is_owed_nothing_changes_nothing() -> None:
    owed, cash, outside = eight_banks()
    cleared = eisenberg_noe(owed, cash, outside)
    wider = eisenberg_noe(np.pad(owed, (0, 1)), np.append(cash, 7), np.append(outside, 0))
    np.testing.assert_allclose(wider.payments, np.append(cleared.payments, 0), rtol=1e-12)
    assert wider.equity[-1] == 7


@given(bank=st.integers(0, 7), more=st.floats(0, 20))
@settings(max_examples=30)
def test_nobody_is_paid_less_when_somebody_has_more_cash(bank: int, more: float) -> None:
    owed, cash, outside = eight_banks()
    richer = cash + more * (np.arange(8) == bank)
    assert np.all(eisenberg_noe(owed, richer, outside).payments >= eisenberg_noe(owed, cash, outside).payments - 1e-9)


# Any network, against exact enumeration.


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Draw up to four banks with small whole amounts, so that ties, zero cash and cycles are common."""
    banks = draw(st.integers(1, 4))
    amounts = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4])
    owed = [[Fraction(draw(amounts) if i != j else 0) for j in range(banks)] for i in range(banks)]
    cash, outside = ([Fraction(draw(amounts)) for _ in range(banks)] for _ in range(2))
    costly = draw(st.booleans())
    shares = st.sampled_from([Fraction(k, 4) for k in range(5)]) if costly else st.just(Fraction(1))
    return Problem(owed, cash, outside, draw(st.booleans()), draw(shares), draw(shares))


def cleared(problem: Problem, **options: Any) -> Clearing:
    arrays = [np.array(x, dtype=float) for x in (problem.owed, problem.cash, problem.outside)]
    rates = {"alpha": float(problem.alpha), "beta": float(problem.beta)}
    return rogers_veraart(*arrays, senior=problem.senior, **rates, **options)  # type: ignore[arg-type, misc]


@given(problem=problems())
@settings(max_examples=300, deadline=None)
def test_every_small_network_clears_as_exact_enumeration_says(problem: Problem) -> None:
    vectors = clearing_vectors(problem)
    greatest, least = cleared(problem), cleared(problem, solution="least")
    paid = lambda result: between(result) if problem.senior else result.payments  # noqa: E731
    np.testing.assert_allclose(paid(greatest), np.array(max(vectors), dtype=float), **EXACT)
    np.testing.assert_allclose(paid(least), np.array(min(vectors), dtype=float), **EXACT)
    assert lists(greatest.waves) == default_waves(problem)
    assert greatest.unique == least.unique == (max(vectors) == min(vectors))
