"""Banks that sell what they hold when they fail, against the same in plain Python and by hand."""

from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from contagion.finance.overlapping_portfolios import liquidation_cascade

SEEDS = st.integers(0, 2**32 - 1)


def one_by_one(
    held: list[list[float]], equity: list[float], seeds: set[int], impact: float, shock: list[float]
) -> tuple[list[int], list[float]]:
    """Return wave and losses by bank, from loops over banks and assets."""
    wave = [0 if bank in seeds else -1 for bank in range(len(held))]
    while True:
        prices = []
        for k, lost in enumerate(shock):
            total = sum(row[k] for row in held)
            sold = sum(row[k] for row, number in zip(held, wave, strict=True) if number >= 0)
            prices.append((1 - lost) * exp(-impact * sold / total if total else 0))
        losses = [sum(a * (1 - p) for a, p in zip(row, prices, strict=True)) for row in held]
        new = [b for b, number in enumerate(wave) if number < 0 and losses[b] > equity[b]]
        if not new:
            return wave, losses
        for bank in new:
            wave[bank] = max(wave) + 1 if bank == new[0] else wave[new[0]]


@given(SEEDS)
def test_the_same_banks_fail_in_the_same_rounds_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    banks, assets = rng.integers(1, 9, 2)
    held = rng.uniform(0, 100, (banks, assets)) * (rng.random((banks, assets)) < 0.5)
    equity, shock = rng.uniform(0, 30, banks), rng.uniform(0, 0.2, assets) * (rng.random(assets) < 0.3)
    seeds, impact = {int(rng.integers(banks))}, float(rng.uniform(0, 2))
    wave, losses = one_by_one(held.tolist(), equity.tolist(), seeds, impact, shock.tolist())
    for matrix in (held, csr_array(held)):
        found = liquidation_cascade(matrix, equity, sorted(seeds), impact=impact, price_shock=shock)
        assert found.wave.tolist() == [max(number, -1) for number in wave]
        assert found.losses == pytest.approx(losses)
        assert [bank for part in found.waves for bank in part] == sorted(
            (b for b in range(banks) if wave[b] >= 0), key=lambda b: (wave[b], b)
        )


def test_banks_that_hold_nothing_in_common_cannot_harm_each_other() -> None:
    found = liquidation_cascade(np.diag([100.0, 100.0]), [1, 0.001], [0], impact=5)
    assert found.wave.tolist() == [0, -1] and found.losses[1] == 0


def test_without_any_impact_a_shock_costs_what_is_held_and_nothing_more() -> None:
    found = liquidation_cascade([[50, 50], [0, 100]], [4, 11], [], impact=0, price_shock=[0, 0.1])
    assert found.wave.tolist() == [1, -1] and found.losses == pytest.approx([5, 10])


def test_arguments_out_of_range_are_refused() -> None:
    both = [[1.0, 2.0], [3.0, 4.0]]
    for arguments, words in (
        (([[-1.0]], [1], []), "holdings of shape"),
        ((both, [1], []), "equity of shape"),
        ((both, [1, np.nan], []), "equity of shape"),
        ((both, [1, 1], [2]), "indices from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=words):
            liquidation_cascade(*arguments, impact=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"price_shock from 0\.0 to 1\.5"):
        liquidation_cascade(both, [1, 1], [], impact=1, price_shock=[0, 1.5])
