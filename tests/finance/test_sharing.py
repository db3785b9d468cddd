"""Exact sharing, of a total and of a book: `share_out` and `queue_fills` of `contagion.finance.margin`."""

from fractions import Fraction
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from contagion.finance.margin import Fills, queue_fills, share_out
from contagion.units import SUPPLY_LIMIT
from contagion.venues import BUY, SELL

Integers = NDArray[np.int64]
Levels = list[tuple[int, int]]
Queue = tuple[Levels, list[int], list[int], int, int]
"""Levels, limits, quantities, sign, lot."""

LARGE = st.integers(0, SUPPLY_LIMIT // 50) | st.integers(0, 10) | st.integers(0, 10**9)


def array(values: list[int]) -> Integers:
    return np.array(values, np.int64)


# One total.


def exact_parts(total: int, weights: list[int]) -> list[int]:
    """Return differences of cumulative floors in Python's integers."""
    ends = [total * sum(weights[:n]) // sum(weights) for n in range(len(weights) + 1)]
    return [b - a for a, b in pairwise(ends)]


@given(st.integers(0, 2 * SUPPLY_LIMIT - 1) | st.integers(0, 100), st.lists(LARGE, min_size=1, max_size=50))
@example(2 * SUPPLY_LIMIT - 1, [SUPPLY_LIMIT])
@example(SUPPLY_LIMIT - 1, [SUPPLY_LIMIT - 1, 1])
@example(2**31 + 1, [2**32, 2**33])  # a whole share, from two remainders that make one divisor
@example(SUPPLY_LIMIT - 2, [1, SUPPLY_LIMIT - 2])
@example(SUPPLY_LIMIT // 3, [SUPPLY_LIMIT // 2 - 1, SUPPLY_LIMIT // 2 + 1])
def test_parts_sum_to_the_total_and_are_exact_shares_rounded(total: int, weights: list[int]) -> None:
    if not sum(weights):
        return
    parts = share_out(total, array(weights)).tolist()
    assert sum(parts) == total
    assert parts == exact_parts(total, weights)
    for part, weight in zip(parts, weights, strict=True):
        share = Fraction(total * weight, sum(weights))
        assert share - 1 < part < share + 1


def test_a_million_large_weights_lose_nothing() -> None:
    rng = np.random.default_rng(7)
    weights = rng.integers(0, 2**42, 1_000_000)
    total, whole = 2**62 - 12_345, int(weights.sum())
    parts = share_out(total, weights)
    assert int(parts.sum()) == total
    ends = (np.cumsum(weights).astype(object) * total) // whole
    assert (np.cumsum(parts) == ends).all()


@given(st.integers(0, 10**18), st.lists(st.integers(0, 10**6), min_size=1, max_size=9))
def test_who_has_no_weight_gets_nothing(total: int, weights: list[int]) -> None:
    parts = share_out(total, array([*weights, 1]))
    assert not parts[array([*weights, 1]) == 0].any()


def test_nothing_can_be_shared_out_to_nobody() -> None:
    assert share_out(0, array([])).tolist() == []
    assert share_out(0, array([0, 0])).tolist() == [0, 0]
    with pytest.raises(ValueError, match="nobody to share 7 out to"):
        share_out(7, array([0, 0]))


@pytest.mark.parametrize(
    ("total", "weights"), [(-1, [1]), (2**63, [1]), (5, [3, -1]), (5, [SUPPLY_LIMIT, 1]), (5, [2**62, 2**62, 2**62])]
)
def test_what_cannot_be_shared_out_exactly_is_refused(total: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match=f"cannot share {total} out by weights that sum to {sum(weights)}"):
        share_out(total, array(weights))


# A book.


@st.composite
def queues(draw: st.DrawFn) -> Queue:
    """Draw (levels, limits, quantities, sign, lot) with ties, unsorted limits and empty levels."""
    sign, lot = draw(st.sampled_from([SELL, BUY])), draw(st.sampled_from([1, 1, 10]))
    prices = sorted(draw(st.sets(st.integers(1, 30), max_size=8)), reverse=sign == SELL)
    unit = draw(st.sampled_from([1, 10**9]))
    depths = draw(st.lists(st.integers(0, 40) | LARGE, min_size=len(prices), max_size=len(prices)))
    count = draw(st.integers(0, 12))
    limits = draw(st.lists(st.integers(0, 31), min_size=count, max_size=count))
    sizes = draw(st.lists(st.integers(0, 40) | LARGE, min_size=count, max_size=count))
    levels = [(price * unit, depth // lot * lot) for price, depth in zip(prices, depths, strict=True)]
    return levels, [limit * unit for limit in limits], sizes, sign, lot


def fills_of(queue: Queue) -> Fills:
    levels, limits, sizes, sign, lot = queue
    return queue_fills(levels, array(limits), array(sizes), sign, lot)


def accepts(price: int, limit: int, sign: int) -> bool:
    return price >= limit if sign == SELL else price <= limit


def ideal(levels: Levels, limits: list[int], sizes: list[int], sign: int) -> tuple[list[Fraction], list[Fraction]]:
    """Return (filled, proceeds) order by order and level by level, in fractions: nothing is ever rounded."""
    left, proceeds = [Fraction(size) for size in sizes], [Fraction(0)] * len(sizes)
    for price, depth in levels:
        open_ = [order for order, limit in enumerate(limits) if accepts(price, limit, sign)]
        wanted = sum((left[order] for order in open_), Fraction(0))
        if wanted:
            share = min(Fraction(1), depth / wanted)
            for order in open_:
                proceeds[order] += left[order] * share * price
                left[order] -= left[order] * share
    return [size - rest for size, rest in zip(sizes, left, strict=True)], proceeds


@given(queues())
def test_what_orders_get_is_exactly_what_the_book_gives(
    queue: Queue,
) -> None:
    levels, _, sizes, _, lot = queue
    fills = fills_of(queue)
    assert fills.filled.sum() == sum(fills.taken)
    paid = sum(price * taken for (price, _), taken in zip(levels, fills.taken, strict=True))
    weight = sum(fills.weights.tolist())
    assert weight == paid if not fills.shift else 0 <= (paid >> fills.shift) - weight <= len(levels)
    assert weight < SUPPLY_LIMIT
    assert all(filled % lot == 0 and filled <= size for filled, size in zip(fills.filled.tolist(), sizes, strict=True))
    assert all(0 <= taken <= depth for taken, (_, depth) in zip(fills.taken, levels, strict=True))


@given(queues())
def test_a_level_is_left_over_only_when_all_who_accept_it_are_filled(
    queue: Queue,
) -> None:
    levels, limits, sizes, sign, lot = queue
    fills = fills_of(queue)
    for (price, depth), taken in zip(levels, fills.taken, strict=True):
        if taken < depth:
            for limit, size, filled in zip(limits, sizes, fills.filled.tolist(), strict=True):
                assert not accepts(price, limit, sign) or filled == size // lot * lot


@given(queues())
def test_nobody_trades_beyond_its_limit(queue: Queue) -> None:
    levels, limits, _, sign, _ = queue
    fills = fills_of(queue)
    for limit, filled in zip(limits, fills.filled.tolist(), strict=True):
        assert not filled or any(accepts(price, limit, sign) for price, _ in levels)
    for (price, _), taken in zip(levels, fills.taken, strict=True):
        assert not taken or any(accepts(price, limit, sign) for limit in limits)
    # Proceeds within an order's limit, but for what rounding to whole lots shifts between orders.
    if not fills.shift:
        for limit, filled, paid in zip(limits, fills.filled.tolist(), fills.weights.tolist(), strict=True):
            assert sign * (paid - limit * filled) <= 1


@given(queues())
def test_fills_are_the_ideal_shares_within_a_lot_a_level(
    queue: Queue,
) -> None:
    levels, limits, sizes, sign, lot = queue
    fills = fills_of(queue)
    filled, proceeds = ideal(levels, limits, [size // lot * lot for size in sizes], sign)
    best = max((price for price, _ in levels), default=0)
    for mine, weight, exact, worth in zip(fills.filled.tolist(), fills.weights.tolist(), filled, proceeds, strict=True):
        assert abs(mine - exact) <= lot * (len(levels) + 1)
        assert abs((weight << fills.shift) - worth) <= lot * (len(levels) + 1) * best + (2 << fills.shift)


@given(queues())
def test_orders_alike_are_filled_alike(queue: Queue) -> None:
    levels, limits, sizes, sign, lot = queue
    fills = queue_fills(levels, array(limits * 2), array([size // 2 for size in sizes] * 2), sign, lot)
    first, second = np.split(fills.filled, 2)
    assert (np.abs(first - second) <= lot).all()


@given(queues(), st.randoms())
def test_fills_do_not_depend_on_the_order_of_the_orders(queue: Queue, random: Random) -> None:
    """Up to a unit that rounding gives to one of equals."""
    levels, limits, sizes, sign, lot = queue
    order = list(range(len(limits)))
    random.shuffle(order)
    fills = fills_of(queue)
    other = queue_fills(levels, array([limits[i] for i in order]), array([sizes[i] for i in order]), sign, lot)
    assert other.taken == fills.taken
    assert (np.abs(other.filled - fills.filled[order]) <= lot).all()


@given(queues())
def test_buying_mirrors_selling(queue: Queue) -> None:
    levels, limits, sizes, sign, lot = queue
    top = 32 * 10**9
    mirror = [(top - price, depth) for price, depth in levels]
    fills = queue_fills(mirror, array([top - limit for limit in limits]), array(sizes), -sign, lot)
    assert fills.filled.tolist() == fills_of(queue).filled.tolist()
    assert fills.taken == fills_of(queue).taken


def test_an_order_that_drops_out_keeps_what_it_did_not_get() -> None:
    fills = queue_fills([(100, 10), (90, 100), (80, 5)], array([95, 85, 0]), array([20, 20, 20]), SELL)
    assert fills.filled.tolist() == [3, 20, 20]
    assert fills.taken == [10, 33, 0]
    # The first level gives 3, 3 and 4; the second fills the other two.
    assert fills.weights.tolist() == [300, 3 * 100 + 17 * 90, 4 * 100 + 16 * 90]


def test_an_empty_book_gives_nothing() -> None:
    for levels in ([], [(100, 0), (90, 0)]):
        fills = queue_fills(levels, array([95, 80]), array([4, 8]), SELL)
        assert fills.filled.tolist() == fills.weights.tolist() == [0, 0]
        assert fills.taken == [0] * len(levels)


def test_no_orders_take_nothing() -> None:
    assert queue_fills([(100, 6)], array([]), array([]), BUY).taken == [0]


def test_a_limit_at_the_price_is_filled() -> None:
    for sign, beyond in ((SELL, 101), (BUY, 99)):
        assert queue_fills([(100, 6)], array([100, beyond]), array([4, 4]), sign).filled.tolist() == [4, 0]


def test_levels_out_of_order_are_refused() -> None:
    for sign in (SELL, BUY):
        with pytest.raises(ValueError, match="best first"):
            queue_fills([(100, 1), (100, 1)], array([1]), array([1]), sign)
    with pytest.raises(ValueError, match="best first"):
        queue_fills([(90, 1), (100, 1)], array([1]), array([1]), SELL)


def test_proceeds_beyond_64_bits_are_scaled_together() -> None:
    quantity, price = 2**61, 10**14
    fills = queue_fills([(price, quantity)], array([0, 0]), array([quantity // 4, quantity // 4 * 3]), SELL)
    assert fills.filled.tolist() == [quantity // 4, quantity // 4 * 3]
    assert fills.shift > 0
    low, high = fills.weights.tolist()
    assert high == pytest.approx(3 * low, abs=3)
    assert low + high == price * quantity >> fills.shift


def test_a_hundred_thousand_orders_share_three_hundred_levels_exactly() -> None:
    rng = np.random.default_rng(11)
    levels = [(10**14 - step * 10**10, int(rng.integers(0, 2**49))) for step in range(300)]
    limits, sizes = rng.integers(10**14 - 400 * 10**10, 10**14, 100_000), rng.integers(1, 2**41, 100_000)
    fills = queue_fills(levels, limits, sizes, SELL)
    assert 0 < sum(fills.taken) < sum(depth for _, depth in levels)
    assert int(fills.filled.sum()) == sum(fills.taken)
    paid = sum(price * taken for (price, _), taken in zip(levels, fills.taken, strict=True))
    assert 0 <= (paid >> fills.shift) - int(fills.weights.sum()) <= len(levels)
    # Who accepts a lower price fills a larger share of its order.
    order = np.argsort(-limits, kind="stable")
    assert (np.diff((fills.filled / sizes)[order]) >= -1e-6).all()
