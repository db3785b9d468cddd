"""Matrices made from totals: they fit, nobody owes itself, one is the most even and the other has few links."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from contagion.finance.reconstruction import check, maximum_entropy, minimum_density

Floats = NDArray[np.float64]
BOTH = pytest.mark.parametrize("method", [maximum_entropy, minimum_density])


@st.composite
def totals(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Return the totals of a random network of at least two banks, some of which owe or have lent nothing."""
    size = draw(st.integers(2, 9))
    amounts = st.one_of(st.just(0.0), st.floats(1e-3, 1e6))
    network = np.array(draw(st.lists(amounts, min_size=size * size, max_size=size * size))).reshape(size, size)
    np.fill_diagonal(network, 0)
    return network.sum(axis=1), network.sum(axis=0)


@BOTH
@settings(max_examples=40, deadline=None)
@given(totals())
def test_the_totals_are_met_and_nobody_owes_itself(method: object, both: tuple[Floats, Floats]) -> None:
    owed, lent = both
    found = method(owed, lent)  # type: ignore[operator]
    matrix = found.owes.toarray()
    assert (matrix >= 0).all() and not matrix.diagonal().any()
    scale = max(owed.sum(), 1)
    assert np.abs(matrix.sum(axis=1) - owed).max() <= 2e-9 * scale
    assert np.abs(matrix.sum(axis=0) - lent).max() <= 2e-9 * scale
    assert found.links == np.count_nonzero(matrix)


@settings(max_examples=40, deadline=None)
@given(totals(), st.integers(0, 5))
def test_few_links_stay_few_and_a_seed_decides_which(both: tuple[Floats, Floats], seed: int) -> None:
    owed, lent = both
    busy = int((owed > 0).sum() + (lent > 0).sum())
    found = minimum_density(owed, lent, seed=seed)
    assert found.links <= busy + len(owed)  # at most busy - 1, but for what is passed through others' links
    again = minimum_density(owed, lent, seed=seed)
    assert (found.owes != again.owes).nnz == 0


@pytest.mark.parametrize("seed", range(20))
def test_no_matrix_has_fewer_links_where_no_part_of_the_totals_agrees(seed: int) -> None:
    """With fewer than owing + lending - 1 links it falls into parts, in each of which the two sums are the same."""
    rng = np.random.default_rng(seed)
    owed, lent = rng.lognormal(size=4), rng.lognormal(size=5)
    lent *= owed.sum() / lent.sum()
    parts = [np.array([np.dot(part, side) for part in product((0, 1), repeat=len(side))]) for side in (owed, lent)]
    assert np.abs(parts[0][1:-1, None] - parts[1]).min() > 1e-9  # neither nobody nor everybody
    found = minimum_density(np.append(owed, np.zeros(5)), np.append(np.zeros(4), lent), seed=seed)
    assert found.links == 4 + 5 - 1


def test_125_banks_have_249_links_as_in_the_published_example() -> None:
    sizes = np.random.default_rng(8).lognormal(0, 1.5, (2, 125))  # NetworkRiskMeasures' sim_data has as many of both
    found = minimum_density(sizes[0] / sizes[0].sum(), sizes[1] / sizes[1].sum())
    assert found.links == 249
    assert found.gap < 1e-14


def test_another_seed_is_another_matrix() -> None:
    owed = np.arange(1.0, 21)
    matrices = {minimum_density(owed, owed[::-1], seed=seed).owes.toarray().tobytes() for seed in range(5)}
    assert len(matrices) == 5


def test_the_most_even_matrix_is_what_a_general_optimiser_finds() -> None:
    owed, lent = np.array([5.0, 3.0, 1.0, 4.0]), np.array([2.0, 4.0, 4.0, 3.0])
    off = ~np.eye(4, dtype=bool)

    def full(flat: Floats) -> Floats:
        matrix = np.zeros((4, 4))
        matrix[off] = flat
        return matrix

    sums = [
        {"type": "eq", "fun": lambda flat: full(flat).sum(axis=1) - owed},
        {"type": "eq", "fun": lambda flat: full(flat).sum(axis=0)[:3] - lent[:3]},
    ]
    best = minimize(
        lambda flat: float((flat * np.log(flat)).sum()), np.full(12, 1.0), constraints=sums, bounds=[(1e-9, None)] * 12,
        options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    assert maximum_entropy(owed, lent).owes.toarray() == pytest.approx(full(best.x), abs=1e-5)


def test_the_most_even_matrix_is_a_product_off_the_diagonal() -> None:
    matrix = maximum_entropy([5, 3, 1, 4], [2, 4, 4, 3]).owes.toarray()
    for a, b, c, d in ((0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1)):
        assert matrix[a, c] * matrix[b, d] == pytest.approx(matrix[a, d] * matrix[b, c], rel=1e-9)


@BOTH
def test_a_bank_at_one_end_of_everything_leaves_one_matrix(method: object) -> None:
    found = method([3, 1, 2], [3, 1, 2])  # type: ignore[operator]
    assert found.owes.toarray().tolist() == [[0, 1, 2], [1, 0, 0], [2, 0, 0]]


@BOTH
def test_no_totals_are_no_links(method: object) -> None:
    assert method([0, 0, 0], [0, 0, 0]).links == 0  # type: ignore[operator]
    assert method([], []).links == 0  # type: ignore[operator]


@BOTH
@pytest.mark.parametrize(
    ("owed", "lent", "word"),
    [
        ([3, 1], [1, 2], "the same sum was expected"),
        ([5, 1, 0], [3, 1, 2], "bank 0 owes and has lent 8, more than the 6 there are"),
        ([1, -1], [0, 0], "not negative"),
        ([1, np.nan], [1, 0], "finite"),
        ([1, 2], [3], "one entry a bank"),
        ([1], [1], "it would owe itself"),
    ],
)
def test_totals_that_no_matrix_has_are_refused(method: object, owed: list[float], lent: list[float], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        method(owed, lent)  # type: ignore[operator]


def test_what_is_feasible_is_not_refused() -> None:
    assert check([1, 1], [1, 1]) == ("", -1)
    assert check([], []) == ("", -1)


def fitted(owed: Floats, lent: Floats, rounds: int) -> Floats:
    """Return the matrix after so many rounds of scaling rows and columns by turns, as RAS is defined."""
    matrix = 1 - np.eye(len(owed))
    for _ in range(rounds):
        matrix *= (owed / matrix.sum(axis=1))[:, None]
        matrix *= lent / matrix.sum(axis=0)
    return matrix


@pytest.mark.parametrize(
    ("owed", "lent"),
    [
        ([5, 3, 1, 4], [2, 4, 4, 3]),
        ([1, 1, 1, 1, 1], [1, 1, 1, 1, 1]),
        ([6, 1, 1, 1], [2, 2, 2, 3]),
        ([6.9, 1, 1.1], [1.5, 4, 3.5]),
        ([50, 1, 1, 1, 1], [1, 13, 13, 13, 14]),
    ],
)
def test_it_is_the_matrix_that_proportional_fitting_tends_to(owed: list[float], lent: list[float]) -> None:
    expected = fitted(np.array(owed, dtype=float), np.array(lent, dtype=float), 5_000)
    assert maximum_entropy(owed, lent).owes.toarray() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("slack", [10.0**-power for power in range(0, 9)])
def test_a_bank_at_the_end_of_nearly_everything_is_no_harder(slack: float) -> None:
    owed, lent = np.array([5, 2, 2 + slack, 1]), np.array([5 + slack / 4, 2, 1 + slack / 4, 2 + slack / 2])
    found = maximum_entropy(owed, lent)
    assert found.gap < 1e-12
    m = found.owes.toarray()
    assert m[1, 2] * m[2, 3] * m[3, 1] == pytest.approx(m[1, 3] * m[3, 2] * m[2, 1], rel=1e-6)


def test_many_banks_are_fitted_as_well_as_few() -> None:
    sizes = np.random.default_rng(5).lognormal(0, 2, (2, 400))
    owed, lent = sizes[0] / sizes[0].sum(), sizes[1] / sizes[1].sum()
    assert maximum_entropy(owed, lent).gap < 1e-12
