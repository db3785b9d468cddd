"""Sizes of trades agree with trying all of them."""

from hypothesis import given
from hypothesis import strategies as st

from contagion.finance.search import largest_size


@given(st.integers(-5, 300), st.integers(-5, 300))
def test_the_largest_size_that_fits_is_the_last_of_all_that_do(limit: int, budget: int) -> None:
    fitting = [size for size in range(1, budget + 1) if size <= limit]
    assert largest_size(lambda size: size <= limit, budget) == max(fitting, default=0)
