"""Banks that hold their leverage, against the published cases, explicit sums and the matrix of all rounds."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from contagion.finance.deleveraging import all_rounds, deleverage, spectral_radius, vulnerability
from tests.cases import published

Floats = NDArray[np.float64]
Banks = tuple[Floats, Floats, Floats, Floats, Floats]
SEEDS = st.integers(0, 2**32 - 1)


def random_banks(seed: int) -> Banks:
    """Return (weights, assets, leverage, impact, price shock) of up to eight banks and assets."""
    rng = np.random.default_rng(seed)
    banks, kinds = rng.integers(1, 9, 2)
    weights = rng.random((banks, kinds)) * (rng.random((banks, kinds)) < 0.6)
    weights[:, 0] += 0.01
    weights /= weights.sum(axis=1, keepdims=True)
    assets, leverage = rng.uniform(0, 1000, banks), rng.uniform(0, 30, banks)
    return weights, assets, leverage, rng.uniform(0, 1e-5, kinds), rng.uniform(0, 0.05, kinds)


def map_of_bank_returns(weights: Floats, assets: Floats, leverage: Floats, impact: Floats) -> Floats:
    """Return the matrix M diag(l) M' A B of one round, banks x banks."""
    return np.asarray(weights @ np.diag(impact) @ weights.T @ np.diag(assets) @ np.diag(leverage))


@pytest.mark.parametrize("case_id", ["GLT-01", "GLT-02"])
def test_the_published_vulnerabilities_come_out(case_id: str) -> None:
    case = published(case_id)
    banks = tuple(np.array(case["inputs"][name], dtype=float) for name in ("M", "a", "B", "l", "F1"))
    banks = *banks[:4], -banks[4]  # the paper's returns
    equity = banks[1] / (1 + banks[2])
    round_, found = deleverage(*banks), vulnerability(*banks)
    got: dict[str, Any] = {
        "R1": -round_.lost,
        "sales": -round_.sales,
        "F2": -round_.fall,
        "loss2": round_.losses,
        "E": equity,
        "AV": found.aggregate,
        "direct_over_E": (found.direct * equity).sum() / equity.sum(),
        "S": found.systemicness,
        "IV": found.indirect,
        "rho": spectral_radius(*banks[:4]),
    }
    assert got.keys() == case["expected"].keys()
    for name, value in case["expected"].items():
        assert got[name] == pytest.approx(value, rel=case["tolerance"]["rtol"], abs=case["tolerance"]["atol"]), name


@settings(deadline=None)
@given(SEEDS)
def test_contributions_sum_to_the_vulnerability_of_the_system(seed: int) -> None:
    banks = random_banks(seed)
    found, equity = vulnerability(*banks), banks[1] / (1 + banks[2])
    assert found.systemicness.sum() == pytest.approx(found.aggregate, rel=1e-12)
    assert (found.indirect * equity).sum() / equity.sum() == pytest.approx(found.aggregate, rel=1e-12)


@settings(deadline=None)
@given(SEEDS)
def test_a_banks_contribution_is_what_the_system_loses_when_only_that_bank_sells(seed: int) -> None:
    weights, assets, leverage, impact, shock = random_banks(seed)
    found, equity = vulnerability(weights, assets, leverage, impact, shock), assets / (1 + leverage)
    for bank, contribution in enumerate(found.systemicness):
        alone = np.where(np.arange(len(assets)) == bank, leverage, 0.0)
        lost = deleverage(weights, assets, alone, impact, shock).losses.sum()
        assert contribution == pytest.approx(lost / equity.sum(), rel=1e-12, abs=1e-300)


@settings(deadline=None)
@given(SEEDS)
def test_rounds_are_powers_of_the_matrix_of_falls(seed: int) -> None:
    weights, assets, leverage, impact, shock = random_banks(seed)
    step = map_of_bank_returns(weights, assets, leverage, impact)
    fall = shock
    for power in range(4):
        expected = np.linalg.matrix_power(step, power) @ (weights @ shock)
        found = deleverage(weights, assets, leverage, impact, fall)
        assert found.lost == pytest.approx(expected, rel=1e-10, abs=1e-300)
        fall = found.fall


@settings(deadline=None, max_examples=30)
@given(SEEDS)
def test_all_rounds_are_the_sum_of_the_rounds(seed: int) -> None:
    weights, assets, leverage, impact, shock = random_banks(seed)
    radius = spectral_radius(weights, assets, leverage, impact)
    impact = impact * (0.7 / max(radius, 0.7))
    total, fall = np.zeros_like(shock), shock
    for _ in range(100):
        total, fall = total + fall, deleverage(weights, assets, leverage, impact, fall).fall
    assert all_rounds(weights, assets, leverage, impact, shock) == pytest.approx(total, rel=1e-9)


@settings(deadline=None)
@given(SEEDS)
def test_the_spectral_radius_is_the_largest_eigenvalue_of_the_whole_map(seed: int) -> None:
    banks = random_banks(seed)[:4]
    largest = np.abs(np.linalg.eigvals(map_of_bank_returns(*banks))).max()
    assert spectral_radius(*banks) == pytest.approx(largest, rel=1e-8, abs=1e-14)
    assert spectral_radius(csr_array(banks[0]), *banks[1:]) == pytest.approx(largest, rel=1e-8, abs=1e-14)


def test_a_spiral_that_amplifies_itself_has_no_end() -> None:
    one = np.ones(1)
    assert all_rounds(np.ones((1, 1)), 1000 * one, 9 * one, 5e-5 * one, one) == pytest.approx(1 / 0.55)
    with pytest.raises(ValueError, match="never end"):
        all_rounds(np.ones((1, 1)), 1000 * one, 9 * one, 2e-4 * one, one)


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.integers(-10, 20))
def test_the_unit_of_money_is_immaterial(seed: int, power: int) -> None:
    weights, assets, leverage, impact, shock = random_banks(seed)
    once = vulnerability(weights, assets, leverage, impact, shock)
    scaled = vulnerability(weights, assets * 2.0**power, leverage, impact / 2.0**power, shock)
    for before, after in zip(once, scaled, strict=True):
        assert after == pytest.approx(before, rel=1e-12)


@settings(deadline=None, max_examples=50)
@given(SEEDS)
def test_the_order_of_banks_and_assets_is_immaterial(seed: int) -> None:
    weights, assets, leverage, impact, shock = random_banks(seed)
    rng = np.random.default_rng(seed + 1)
    i, k = rng.permutation(len(assets)), rng.permutation(len(impact))
    once = vulnerability(weights, assets, leverage, impact, shock)
    shuffled = vulnerability(csr_array(weights[i][:, k]), assets[i], leverage[i], impact[k], shock[k])
    assert shuffled.aggregate == pytest.approx(once.aggregate, rel=1e-12)
    assert shuffled.systemicness == pytest.approx(once.systemicness[i], rel=1e-12)


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.floats(0, 1))
def test_losses_never_raise_a_price_and_larger_ones_lower_it_more(seed: int, part: float) -> None:
    *banks, shock = random_banks(seed)
    mild, hard = deleverage(*banks, shock * part), deleverage(*banks, shock)
    assert (hard.fall >= mild.fall).all() and (mild.fall >= 0).all()
    assert (mild.sales >= 0).all()


def test_arguments_that_do_not_fit_are_refused() -> None:
    one = np.ones(1)
    with pytest.raises(ValueError, match="to fit weights"):
        deleverage(np.ones((1, 1)), np.ones(2), one, one, one)
    with pytest.raises(ValueError, match=r"bank 0 sum to 0.5, expected 1"):
        deleverage(np.full((1, 1), 0.5), one, one, one, one)
    with pytest.raises(ValueError, match="impact must not be negative"):
        deleverage(np.ones((1, 1)), one, one, -one, one)
    unknown = one * np.nan
    for arguments, message in (
        ((unknown, one, one, one), "assets must not be negative, and finite: nan at 0"),
        ((one, one, one * np.inf, one), "impact must not be negative, and finite: inf at 0"),
        ((one, one, one, unknown), "the shock must be finite: nan at 0"),
    ):
        with pytest.raises(ValueError, match=message):
            deleverage(np.ones((1, 1)), *arguments)
    with pytest.raises(ValueError, match="bank 0 sum to nan"):
        deleverage(np.full((1, 1), np.nan), one, one, one, one)
