"""Words that would overlap are moved apart, and no further than need be."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize

from contagion.words import spread

GAP, LOW, HIGH = 1.0, 0.0, 12.0
HEIGHTS = st.lists(st.floats(-3, 15), min_size=1, max_size=6)


@given(st.lists(st.floats(-3, 15), max_size=40))
def test_words_stand_in_their_order_a_gap_apart_within_the_limits(heights: list[float]) -> None:
    moved = spread(heights, GAP, LOW, HIGH)
    order = sorted(range(len(heights)), key=lambda place: (heights[place], place))
    gap = min(GAP, (HIGH - LOW) / max(len(heights) - 1, 1))
    assert all(moved[b] - moved[a] >= gap - 2e-6 for a, b in pairwise(order))
    assert all(LOW - 1e-6 <= height <= HIGH + 1e-6 for height in moved)


@given(HEIGHTS)
def test_none_is_moved_further_than_the_least_squares_need(heights: list[float]) -> None:
    wanted = np.sort(heights)
    ladder = np.linspace(LOW, HIGH, len(wanted))
    apart = LinearConstraint(np.diff(np.eye(len(wanted)), axis=0), GAP, np.inf) if len(wanted) > 1 else ()
    best = minimize(
        lambda x: ((x - wanted) ** 2).sum(), ladder, jac=lambda x: 2 * (x - wanted), method="SLSQP",
        bounds=[(LOW, HIGH)] * len(wanted), constraints=apart, options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    ours = np.sort(spread(heights, GAP, LOW, HIGH))
    assert ((ours - wanted) ** 2).sum() <= best.fun + 1e-4


def test_words_that_have_room_stay_where_they_are() -> None:
    assert spread([3.0, 1.5, 9.25], GAP, LOW, HIGH) == [3.0, 1.5, 9.25]
