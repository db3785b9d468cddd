"""Acemoglu, Ozdaglar and Tahbaz-Salehi (2015): whether a ring or a complete network is safer depends on the shock."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contagion.finance.clearing import eisenberg_noe
from tests.cases import published

Array = NDArray[np.float64]


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
    between = cleared.payments - cleared.external_payments
    np.testing.assert_allclose(between, expected["p"], rtol=1e-9, atol=1e-9)
    assert sum(wave.size for wave in cleared.waves) == expected["n_default"]
    assert len(cleared.waves) == expected["D_FD"]
    assert (senior - cleared.external_payments).sum() == pytest.approx(expected["senior_shortfall"], abs=1e-9)


@pytest.mark.parametrize("shape", ["ring", "complete"])
@pytest.mark.parametrize("banks", [4, 12, 17, 30, 150])
@pytest.mark.parametrize("beyond", [-1e-9, -1e-11, -1e-12, 0, 1e-13, 1e-12, 1e-11, 1e-9])
@pytest.mark.parametrize("solution", ["greatest", "least"])
def test_a_shock_that_just_takes_all_slack_loses_no_value(shape: str, banks: int, beyond: float, solution: Any) -> None:
    # Banks owe nothing but each other and senior debt: at slack zero their system is singular.
    slack = 0.03 * banks * (1 + beyond)
    returns, senior = np.full(banks, 1.03), np.ones(banks)
    returns[0], senior[0] = max(1.03 - slack, 0), max(slack - 0.03, 1)
    cleared = eisenberg_noe(ring_and_complete(banks, 1)[shape], returns, senior, senior=True, solution=solution)
    assert (cleared.equity + cleared.external_payments).sum() == pytest.approx(returns.sum(), rel=1e-10)
    assert np.all(cleared.payments <= (senior + 1) * (1 + 1e-12)) and np.all(cleared.payments >= 0)
