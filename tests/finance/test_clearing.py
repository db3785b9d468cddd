"""Clearing against published examples, exact enumeration, a linear program, and what must hold of every network."""

from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array

from contagion.finance.clearing import Clearing, eisenberg_noe, rogers_veraart, systems
from tests.cases import published
from tests.slow_clearing import Problem, clearing_vectors, default_waves

Array = NDArray[np.float64]
assert_exact = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)


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
    assert_exact(cleared.payments, expected["p"])
    assert_exact(cleared.equity, expected["equity"])
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
    assert_exact(between(cleared), expected["p"])
    assert_exact(cleared.external_payments, expected["external_paid"])
    assert_exact(cleared.equity, expected["equity"])
    assert lists(cleared.waves) == expected["waves"]


@pytest.mark.parametrize("case_id", ["RV-01", "RV-02", "RV-03", "RV-04"])
@pytest.mark.parametrize("solution", ["greatest", "least"])
def test_published_networks_clear_with_default_costs(case_id: str, solution: Any) -> None:
    case = published(case_id)
    network, expected = case["inputs"], case["expected"]
    rates = {"alpha": network["alpha"], "beta": network["beta"]}
    cleared = rogers_veraart(network["L"], network["e"], network["d"], solution=solution, **rates)
    assert_exact(cleared.payments, expected[f"p_{solution}"])
    assert cleared.unique == (expected["p_greatest"] == expected["p_least"])
    if solution == "greatest" or cleared.unique:
        assert lists(cleared.waves) == expected["waves"]
        assert_exact(cleared.equity, expected["equity"])
        assert cleared.deadweight.sum() == pytest.approx(expected["deadweight"])
        assert cleared.external_payments.sum() == pytest.approx(expected["external_paid"])


# Properties of the published network of eight banks (EN-09).


def eight_banks() -> tuple[Array, Array, Array]:
    network = published(published("EN-09")["inputs"]["base_case"])["inputs"]
    return np.array(network["L"], dtype=float), np.array(network["e"], dtype=float), np.array(network["d"], dtype=float)


@given(scale=st.floats(1e-9, 1e9))
@settings(max_examples=30, deadline=None)
def test_payments_scale_with_money(scale: float) -> None:
    owed, cash, outside = eight_banks()
    cleared, scaled = eisenberg_noe(owed, cash, outside), eisenberg_noe(scale * owed, scale * cash, scale * outside)
    np.testing.assert_allclose(scaled.payments, scale * cleared.payments, rtol=1e-9)
    assert lists(scaled.waves) == lists(cleared.waves)


@given(order=st.permutations(range(8)))
@settings(max_examples=30, deadline=None)
def test_names_do_not_matter(order: list[int]) -> None:
    owed, cash, outside = eight_banks()
    cleared = eisenberg_noe(owed, cash, outside)
    moved = eisenberg_noe(owed[np.ix_(order, order)], cash[order], outside[order])
    np.testing.assert_allclose(moved.payments, cleared.payments[order], rtol=1e-9)
    assert [sorted(order[i] for i in wave) for wave in lists(moved.waves)] == lists(cleared.waves)


def test_a_bank_that_owes_nothing_and_is_owed_nothing_changes_nothing() -> None:
    owed, cash, outside = eight_banks()
    cleared = eisenberg_noe(owed, cash, outside)
    wider = eisenberg_noe(np.pad(owed, (0, 1)), np.append(cash, 7), np.append(outside, 0))
    np.testing.assert_allclose(wider.payments, np.append(cleared.payments, 0), rtol=1e-12)
    assert wider.equity[-1] == 7


@given(bank=st.integers(0, 7), more=st.floats(0, 20))
@settings(max_examples=30, deadline=None)
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
@settings(max_examples=80, deadline=None)
def test_every_small_network_clears_as_exact_enumeration_says(problem: Problem) -> None:
    vectors = clearing_vectors(problem)
    greatest, least = cleared(problem), cleared(problem, solution="least")
    for result, vector in ((greatest, max(vectors)), (least, min(vectors))):
        paid = between(result) if problem.senior else result.payments
        assert_exact(paid, np.array(vector, dtype=float))
    assert lists(greatest.waves) == default_waves(problem)
    assert greatest.unique == least.unique == (max(vectors) == min(vectors))


@given(problem=problems(), solution=st.sampled_from(["greatest", "least"]))
@settings(max_examples=150, deadline=None)
def test_value_is_kept_and_creditors_come_before_owners(problem: Problem, solution: Any) -> None:
    owed, cash, outside = (np.array(x, dtype=float) for x in (problem.owed, problem.cash, problem.outside))
    result = cleared(problem, solution=solution)
    total = owed.sum(axis=1) + outside
    received = np.divide(between(result), owed.sum(axis=1), out=np.zeros_like(cash), where=owed.any(axis=1)) @ owed
    np.testing.assert_allclose(cash + received, result.payments + result.equity + result.deadweight, atol=1e-9)
    assert np.all((result.equity >= 0) & (result.payments >= 0) & (result.payments <= total * (1 + 1e-12)))
    assert np.all(result.deadweight >= 0)
    failed = np.isin(np.arange(cash.size), [bank for wave in lists(result.waves) for bank in wave])
    assert not result.equity[failed].any(), "no owner keeps anything while a creditor loses"
    np.testing.assert_allclose(result.payments[~failed], total[~failed], rtol=1e-12)
    if problem.senior:
        unpaid = outside - result.external_payments > 1e-9
        assert np.all(between(result)[unpaid] <= 1e-9), "no junior creditor is paid while a senior one loses"
    assert len({bank for wave in lists(result.waves) for bank in wave}) == failed.sum() == sum(map(len, result.waves))


@given(problem=problems())
@settings(max_examples=100, deadline=None)
def test_the_least_payments_are_no_larger_and_default_costs_lower_both(problem: Problem) -> None:
    greatest, least = cleared(problem), cleared(problem, solution="least")
    assert np.all(least.payments <= greatest.payments + 1e-9)
    free = cleared(problem._replace(alpha=Fraction(1), beta=Fraction(1)))
    assert np.all(greatest.payments <= free.payments + 1e-9)


@given(seed=st.integers(0, 2**32 - 1), external=st.sampled_from([0.0, 0.05, 0.5]))
@settings(max_examples=15, deadline=None)
def test_the_largest_feasible_payments_are_found_by_a_linear_program(seed: int, external: float) -> None:
    owed, cash, outside = random_network(25, 4, seed, external)
    due = owed.sum(axis=1) + outside
    shares = np.divide(owed.toarray(), due[:, None], out=np.zeros(owed.shape), where=due[:, None] > 0)
    found = linprog(
        -np.ones(25), A_ub=np.eye(25) - shares.T, b_ub=cash, bounds=list(zip(np.zeros(25), due, strict=True))
    )
    np.testing.assert_allclose(eisenberg_noe(owed, cash, outside).payments, found.x, atol=1e-7)


def iterated(owed: Any, cash: Array, outside: Array, start: Array, alpha: float, beta: float) -> Array:
    """Return the limit of rounds of payment of equal rank from a start, the definition of a clearing vector."""
    due = owed.sum(axis=1) + outside
    payments: Array = start * due
    while True:
        received = np.divide(payments, due, out=np.zeros_like(due), where=due > 0) @ owed
        last, payments = payments, np.where(cash + received >= due * (1 - 1e-12), due, alpha * cash + beta * received)
        if np.all(np.abs(payments - last) <= 1e-14 * due):
            return payments


@given(seed=st.integers(0, 2**32 - 1), alpha=st.floats(0.2, 1), beta=st.floats(0.2, 1), small=st.booleans())
@settings(max_examples=25, deadline=None)
def test_rounds_of_payment_from_above_and_below_end_at_the_greatest_and_the_least(
    seed: int, alpha: float, beta: float, small: bool
) -> None:
    owed, cash, outside = random_network(60, 3, seed, 0.1, 0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(systems, "SMALL", 100 if small else 0)
        for solution, start in (("greatest", np.ones(60)), ("least", np.zeros(60))):
            result = rogers_veraart(owed, cash, outside, alpha=alpha, beta=beta, solution=solution)  # type: ignore[arg-type]
            assert_exact(result.payments, iterated(owed, cash, outside, start, alpha, beta))


# Size and numbers.


def test_without_default_costs_it_is_the_same_computation() -> None:
    network = random_network(300, 5, 1)
    assert str(rogers_veraart(*network, alpha=1, beta=1)) == str(eisenberg_noe(*network))


def test_everybody_in_default_is_one_system() -> None:
    owed, cash, outside = random_network(5_000, 5, 2)
    cash = np.minimum(cash, owed.sum(axis=1) / 100)
    result = eisenberg_noe(owed, cash, 2 * owed.sum(axis=0) + outside)
    due = owed.sum(axis=1) + 2 * owed.sum(axis=0) + outside
    assert [wave.size for wave in result.waves] == [5_000]
    np.testing.assert_allclose(result.payments, cash + (result.payments / due) @ owed, rtol=1e-13)


def test_a_long_ring_has_the_payments_of_its_closed_form() -> None:
    banks, leak = 3_000, 0.001
    ring = csr_array((np.ones(banks), (np.arange(banks), (np.arange(banks) + 1) % banks)))
    cash = np.where(np.arange(banks) == 0, 0.9, 0)
    result = eisenberg_noe(ring, cash, np.full(banks, leak))
    around = (1 + leak) ** -np.arange(banks, dtype=float)
    np.testing.assert_allclose(result.payments, 0.9 * around / (1 - (1 + leak) ** -banks), rtol=1e-11)
    assert result.external_payments.sum() == pytest.approx(0.9, rel=1e-11)


def test_a_long_chain_fails_bank_by_bank() -> None:
    banks = 300
    chain = coo_array((np.ones(banks - 1), (np.arange(banks - 1), np.arange(1, banks))), shape=(banks, banks))
    result = eisenberg_noe(chain, np.append(0.0, np.full(banks - 1, 1 / 512)))
    assert lists(result.waves) == [[bank] for bank in range(banks - 1)]
    assert result.payments.tolist() == [bank / 512 for bank in range(banks - 1)] + [0]


def test_a_small_bank_among_giants_is_paid_to_the_last_digit() -> None:
    owed, cash, outside = random_network(400, 5, 3)
    size = 10.0 ** np.random.default_rng(3).uniform(-6, 6, 400)
    owed = csr_array(owed * size[:, None])
    cash, outside = cash * size, outside * size
    due = owed.sum(axis=1) + outside
    result = eisenberg_noe(owed, cash, outside)
    received = np.divide(result.payments, due, out=np.zeros_like(due), where=due > 0) @ owed
    np.testing.assert_allclose(result.payments, np.minimum(due, cash + received), rtol=1e-12)
    assert sum(wave.size for wave in result.waves) > 100


def test_equity_of_exactly_zero_is_no_default_and_a_cent_less_is() -> None:
    owed = [[0, 0.3, 0], [0, 0, 0.1 + 0.2], [0, 0, 0]]
    assert eisenberg_noe(owed, [0.3, 0, 0]).waves == () and eisenberg_noe(owed, [0.3, 0, 0]).unique
    assert lists(eisenberg_noe(owed, [0.3 - 1e-9, 0, 0]).waves) == [[0], [1]]


def test_a_tie_survives_systems_that_lose_digits() -> None:
    owed = np.zeros((3, 3))
    owed[0, 1] = owed[1, 0] = 7
    owed[:2, 2] = 0.001  # in the end the third bank gets all the cash, after it has gone round for long
    for cash in np.arange(1, 200) / 105_000:
        result = eisenberg_noe(owed, [cash, 0, 0], [0, 0, cash])
        assert sorted(np.concatenate(result.waves)) == [0, 1] and result.payments[2] == cash


def test_a_small_recovery_keeps_its_digits_when_it_was_large_a_wave_before() -> None:
    owed = np.zeros((4, 4))
    owed[0, 1], owed[1, 2], owed[2, 3] = 1, 1, 2
    result = eisenberg_noe(owed, [1e-9 / 3, 0, 0, 0])
    assert lists(result.waves) == [[0, 2], [1]]
    np.testing.assert_allclose(result.payments[:3], 1e-9 / 3, rtol=1e-14)


@pytest.mark.parametrize("seed", range(10))
def test_who_owes_nothing_never_fails_however_its_claims_are_lost(seed: int) -> None:
    rng, chain = np.random.default_rng(seed), 8
    to_sink = rng.integers(1, 9, chain) / 10
    owed = np.zeros((chain + 2, chain + 2))
    owed[range(chain), range(1, chain + 1)] = np.cumsum(to_sink[::-1])[::-1]
    owed[1 : chain + 1, chain + 1] = to_sink
    order = np.append(rng.permutation(chain + 1), chain + 1)
    for debt in (0, 1e-9):  # or little, and that in cash
        cash = np.append(np.zeros(chain + 1), debt)
        waves = eisenberg_noe(owed[np.ix_(order, order)], cash, cash).waves
        assert len(waves) == chain + 1 and not any(chain + 1 in wave for wave in waves)


def test_what_circulates_beside_the_rest_leaves_the_rest_alone() -> None:
    owed = np.zeros((5, 5))
    owed[0, 1], owed[1, 2], owed[3, 4], owed[4, 3] = 5, 5, 2, 2
    least = eisenberg_noe(owed, [3, 1, 0, 0, 0], solution="least")
    assert least.payments.tolist() == [3, 4, 0, 0, 0] and lists(least.waves) == [[0], [1], [3, 4]]
    assert eisenberg_noe(owed, [3, 1, 0, 0.5, 0], solution="least").payments.tolist() == [3, 4, 0, 2, 2]
    owed[2, 3] = 1
    assert eisenberg_noe(owed, [3, 1, 0, 0, 0]).unique, "fed from outside, a cycle fills up"


def test_a_cycle_is_unique_only_if_somebody_outside_is_paid_or_somebody_pays_in() -> None:
    cycle = [[0, 5], [5, 0]]
    tied = eisenberg_noe(cycle, [1, 0], [1, 0], solution="least")
    assert tied.unique and tied.payments.tolist() == [6, 5] and tied.waves == ()
    costly = [rogers_veraart(cycle, [0, 0], alpha=0.5, beta=1, solution=s) for s in ("greatest", "least")]
    assert [x.payments.tolist() for x in costly] == [[5, 5], [0, 0]] and not costly[0].unique
    through = [eisenberg_noe(cycle, [0, 1], [1, 0], senior=True, solution=s) for s in ("greatest", "least")]
    assert [between(x).tolist() for x in through] == [[4, 5], [0, 1]] and not through[0].unique
    assert [lists(x.waves) for x in through] == [[[0]], [[0], [1]]]


def test_sparse_and_dense_say_the_same_and_stay_as_they_are() -> None:
    owed, cash, outside = random_network(50, 3, 4)
    split = coo_array(owed)
    twice = coo_array((np.tile(split.data / 2, 2), (np.tile(split.row, 2), np.tile(split.col, 2))), shape=owed.shape)
    before = owed.copy()
    results = [eisenberg_noe(x, cash, outside).payments for x in (owed, owed.toarray(), owed.tocsc(), twice)]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    assert np.array_equal(owed.data, before.data) and np.array_equal(owed.indices, before.indices) and twice.nnz > 250


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0, 1]], [1]), r"shape \(1, 2\)"),
        (([[0, -5], [0, 0]], [1, 1]), r"liabilities\[0, 1\] is -5\.0, expected a finite amount"),
        (([[0, 0], [np.nan, 0]], [1, 1]), r"liabilities\[1, 0\] is nan"),
        (([[0, 0], [0, 3]], [1, 1]), r"liabilities\[1, 1\] is 3\.0.*nobody owes itself"),
        (([[0, 1], [0, 0]], [1]), r"cash has the shape \(1,\), expected \(2,\)"),
        (([[0, 1], [0, 0]], [1, -2]), r"cash\[1\] is -2\.0"),
        (([[0, 1], [0, 0]], [1, 1], [0, np.inf]), r"external_liabilities\[1\] is inf"),
    ],
)
def test_bad_amounts_are_named(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        eisenberg_noe(*arguments)


def test_bad_options_are_named() -> None:
    network: Any = [[0, 1], [1, 0]], [0, 0]
    with pytest.raises(ValueError, match="solution is 'best', expected 'greatest' or 'least'"):
        eisenberg_noe(*network, solution="best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"beta is 1\.5, expected a share from 0 to 1"):
        rogers_veraart(*network, alpha=1, beta=1.5)
