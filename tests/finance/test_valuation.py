"""Network valuation against the published ring, clearing payments, and cascades by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.finance.clearing import eisenberg_noe
from contagion.finance.valuation import (
    Valuation,
    eisenberg_noe_value,
    furfine_value,
    linear_debtrank_value,
    network_equity,
)
from tests.cases import published

RING = np.array([[0, 0, 0.5], [0.5, 0, 0], [0, 0.5, 0]])
"""A has a claim of 0.5 on B, B on C, C on A; `RING[i, j]` is what i owes j."""
ASSETS, DEBTS = np.array([10.0, 5, 3]), np.array([9.0, 4, 2])
INITIAL = np.array([1.0, 1, 1])

MODELS: dict[str, Valuation] = {
    "en": lambda equity: eisenberg_noe_value(equity, DEBTS + RING.sum(axis=1)),
    "ldr": lambda equity: linear_debtrank_value(equity, INITIAL),
    "fur": furfine_value,
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shock", published("NV-01")["inputs"]["alpha"])
def test_one_ring_in_three_models(model: str, shock: float) -> None:
    case = published("NV-01")
    found = network_equity(RING, ASSETS * (1 - shock), DEBTS, MODELS[model])
    np.testing.assert_allclose(found, case["expected"][str(shock)][model], rtol=1e-9, atol=1e-9)


def test_before_the_shock_all_claims_are_at_face_value() -> None:
    for valuation in MODELS.values():
        np.testing.assert_allclose(network_equity(RING, ASSETS, DEBTS, valuation), INITIAL)


@st.composite
def networks(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    rng, size = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.integers(1, 8))
    owed = rng.integers(0, 10, (size, size)) * (rng.random((size, size)) < 0.5) * (1 - np.eye(size))
    return owed, rng.uniform(0, 20, size), rng.uniform(0.5, 15, size)


@given(network=networks())
@settings(max_examples=60, deadline=None)
def test_recovery_of_what_there_is_gives_the_clearing_payments(network: Any) -> None:
    owed, assets, debts = network
    due = owed.sum(axis=1) + debts
    cleared = eisenberg_noe(owed, assets, debts)
    equity = network_equity(owed, assets, debts, lambda equity: eisenberg_noe_value(equity, due))
    np.testing.assert_allclose(np.maximum(equity, 0), cleared.equity, atol=1e-9)
    np.testing.assert_allclose(due + np.minimum(equity, 0), cleared.payments, atol=1e-9)


@given(network=networks(), recovery=st.sampled_from([0, 0.4]))
@settings(max_examples=60, deadline=None)
def test_no_recovery_gives_a_cascade_of_whole_defaults(network: Any, recovery: float) -> None:
    owed, assets, debts = network
    failed: set[int] = set()
    while True:
        paid = np.array([recovery if i in failed else 1 for i in range(len(owed))])
        equity = assets - debts - owed.sum(axis=1) + paid @ owed
        if failed == (failed := {i for i, e in enumerate(equity) if e <= 0} | failed):
            break
    found = network_equity(owed, assets, debts, lambda equity: furfine_value(equity, recovery))
    np.testing.assert_allclose(found, equity, atol=1e-9)


@given(network=networks(), cut=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_losses_in_proportion_are_no_smaller_than_those_of_clearing_and_grow_with_the_shock(
    network: Any, cut: float
) -> None:
    owed, assets, debts = network
    assets = assets + np.maximum(owed.sum(axis=1) + debts - owed.sum(axis=0) - assets, 0) + 1  # all solvent at first
    initial = assets - debts - owed.sum(axis=1) + owed.sum(axis=0)
    due = owed.sum(axis=1) + debts
    models: list[Callable[[Any], Any]] = [
        lambda equity: eisenberg_noe_value(equity, due),
        lambda equity: linear_debtrank_value(equity, initial),
    ]
    little, much = ([network_equity(owed, assets * (1 - s), debts, v) for v in models] for s in (cut / 2, cut))
    assert np.all(much[1] <= much[0] + 1e-9)
    assert all(np.all(b <= a + 1e-9) for a, b in zip(little, much, strict=True))


def test_of_two_solutions_the_one_with_more_equity_is_found() -> None:
    both = network_equity([[0, 1], [1, 0]], [0.5, 0.5], [0, 0], furfine_value)
    assert both.tolist() == [0.5, 0.5], "both at -0.5 would be a solution too"


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"shapes \(3, 3\), \(2,\) and \(3,\)"):
        network_equity(RING, [1, 2], DEBTS, furfine_value)
    with pytest.raises(ValueError, match="external assets of nan"):
        network_equity(RING, ASSETS * np.nan, DEBTS, furfine_value)
    with pytest.raises(ValueError, match="an equity of -1"):
        linear_debtrank_value([1.0], [-1.0])
    with pytest.raises(ArithmeticError, match="after 2 rounds"):
        network_equity(RING, ASSETS * 0.7, DEBTS, MODELS["en"], rounds=2)
