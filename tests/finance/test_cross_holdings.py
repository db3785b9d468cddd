"""Cross-holdings against the published case, brute force over who fails, and what must hold of every network."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from contagion.finance.cross_holdings import dependency_matrix, failure_cascade
from tests.cases import published

Array = NDArray[np.float64]


def test_owning_half_of_each_other_leaves_two_thirds_and_a_third() -> None:
    case = published("EGJ-01")
    np.testing.assert_allclose(dependency_matrix(case["inputs"]["C"]), case["expected"]["A"], rtol=1e-9)


def test_a_fall_of_one_asset_fails_its_owner_and_then_those_who_depend_on_it() -> None:
    case = published("EGJ-02")
    given, expected = case["inputs"], case["expected"]
    matrix = dependency_matrix(given["C"])
    before = matrix @ given["Dp_before"]
    np.testing.assert_allclose(matrix, expected["A"], rtol=1e-9)
    np.testing.assert_allclose(before, expected["v_before"], rtol=1e-9)
    found = failure_cascade(matrix, given["Dp_after"], 0.9 * before, given["beta"])
    np.testing.assert_allclose(found.values, expected["v_after"], rtol=1e-9)
    assert [wave.tolist() for wave in found.waves] == expected["waves"]


@st.composite
def organisations(draw: st.DrawFn) -> tuple[Array, Array, Array, Array]:
    """Draw (holdings, assets, thresholds, costs) of up to six organisations, many of them near their thresholds."""
    size = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shares = rng.random((size, size)) * (rng.random((size, size)) < 0.6) * (1 - np.eye(size))
    shares *= rng.uniform(0.1, 0.9, size) / np.maximum(shares.sum(axis=0), 1e-9)
    assets = rng.uniform(0, 10, size)
    thresholds = dependency_matrix(shares) @ assets * rng.uniform(0.6, 1.05, size)
    return shares, assets, thresholds, rng.uniform(0, 5, size)


@given(world=organisations())
@settings(max_examples=100, deadline=None)
def test_market_value_is_what_is_owned_directly_less_the_costs_of_failure(world: Any) -> None:
    shares, assets, thresholds, costs = world
    matrix = dependency_matrix(shares)
    np.testing.assert_allclose(matrix.sum(axis=0), 1)
    for case in ("best", "worst"):
        found = failure_cascade(matrix, assets, thresholds, costs, case=case)
        failed = [i for wave in found.waves for i in wave]
        assert found.values.sum() == pytest.approx(assets.sum() - costs[failed].sum())
        assert len(failed) == len(set(failed))
        # Values held by all, shares in each other counted twice, solve the equation of ownership.
        gross = found.values / (1 - shares.sum(axis=0))
        np.testing.assert_allclose(gross, shares @ gross + assets - costs * np.isin(range(assets.size), failed))


@given(world=organisations())
@settings(max_examples=60, deadline=None)
def test_the_best_and_the_worst_case_bound_all_consistent_sets_of_failures(world: Any) -> None:
    shares, assets, thresholds, costs = world
    matrix = dependency_matrix(shares)
    sets = [np.array(s) for s in product((False, True), repeat=assets.size)]
    consistent = [s for s in sets if np.array_equal(matrix @ (assets - costs * s) < thresholds, s)]
    for case, extreme in (("best", min(consistent, key=np.sum)), ("worst", max(consistent, key=np.sum))):
        found = failure_cascade(matrix, assets, thresholds, costs, case=case)  # type: ignore[arg-type]
        failed = [i for wave in found.waves for i in wave]
        assert sorted(failed) == np.flatnonzero(extreme).tolist()
        assert all(np.all(extreme <= s) if case == "best" else np.all(s <= extreme) for s in consistent)


def test_a_value_at_its_threshold_is_no_failure() -> None:
    matrix = dependency_matrix([[0, 0.3], [0.7, 0]])
    values = matrix @ [0.1, 0.2]
    assert failure_cascade(matrix, [0.1, 0.2], values, [1, 1]).waves == ()
    assert len(failure_cascade(matrix, [0.1, 0.2], values * (1 + 1e-9), [1, 1]).waves) == 1


@pytest.mark.parametrize(
    ("holdings", "message"),
    [
        ([[0, 0.5]], r"shape \(1, 2\)"),
        ([[0, -0.1], [0, 0]], r"holdings\[0, 1\] is -0\.1"),
        ([[0.2, 0], [0, 0]], r"holdings\[0, 0\] is 0\.2"),
        ([[0, 0, 0], [0.5, 0, 0], [0.5, 0, 0]], "holdings of 0 sum to 1.0"),
    ],
)
def test_impossible_holdings_are_named(holdings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dependency_matrix(holdings)


def test_bad_amounts_are_named() -> None:
    matrix = dependency_matrix([[0, 0.5], [0.5, 0]])
    with pytest.raises(ValueError, match=r"assets has the shape \(3,\), expected \(2,\)"):
        failure_cascade(matrix, [1, 1, 1], [1, 1], [1, 1])
    with pytest.raises(ValueError, match=r"costs\[1\] is -1\.0, expected at least 0"):
        failure_cascade(matrix, [1, 1], [1, 1], [1, -1])
    with pytest.raises(ValueError, match=r"thresholds\[0\] is nan"):
        failure_cascade(matrix, [1, 1], [np.nan, 1], [1, 1])
    with pytest.raises(ValueError, match="case is 'middle'"):
        failure_cascade(matrix, [1, 1], [1, 1], [1, 1], case="middle")  # type: ignore[arg-type]
