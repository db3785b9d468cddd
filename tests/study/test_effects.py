"""Differences of pairs and their intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from contagion.study.effects import estimate, paired

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12)


@given(NUMBERS)
def test_the_interval_is_that_of_students_test(numbers: list[float]) -> None:
    row = estimate(np.array(numbers))
    if np.std(numbers) > 1e-6:
        low, high = stats.t.interval(0.95, len(numbers) - 1, np.mean(numbers), stats.sem(numbers))
        assert (row["low"], row["high"]) == pytest.approx((low, high), rel=1e-6, abs=1e-6)
    assert row["low"] <= row["mean"] <= row["high"]


def test_pairs_have_a_narrower_interval_than_what_they_are_made_of() -> None:
    luck = np.array([10.0, 200.0, 3000.0, 40.0])
    row = paired(luck, luck - np.array([1.0, 1.1, 0.9, 1.0]))
    assert row["difference"] == pytest.approx(-1.0)
    assert -1.2 < row["low"] < row["high"] < -0.8
    assert row["same_sign"] == 1.0


def test_what_is_missing_on_one_side_is_left_out_on_both() -> None:
    row = paired(np.array([1.0, math.nan, 5.0]), np.array([2.0, 7.0, math.nan]))
    assert (row["base"], row["without"], row["difference"], row["count"]) == (1.0, 2.0, 1.0, 1)
    assert row["low"] is None


def test_without_any_pair_there_is_no_number() -> None:
    row = paired(np.array([math.nan]), np.array([1.0]))
    assert set(row.values()) == {None, 0}


def test_the_share_of_seeds_is_of_those_with_the_sign_of_the_mean() -> None:
    assert estimate(np.array([-10.0, 1.0, 1.0, -1.0]))["same_sign"] == 0.5
    assert estimate(np.array([0.0, 0.0]))["same_sign"] == 1.0
