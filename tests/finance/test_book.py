import random
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contagion.finance.book import BUY, SELL, Book, Cancelled, Fill, Resting, Walk
from tests.cases import published
from tests.slow_book import SlowBook

TICK, LOT, MIDDLE = 5, 3, 200
"""The grid of the books below, and the tick around which they trade."""
OWNERS = (-1, 0, 1, 2, 3)
EVERYTHING = 10**6 * LOT
NOTHING = Walk((), 0, 0, 0, 0, 0)
NAMES = ("limit", "take", "quote", "cancel", "cancel_all", "place", "shift", "withdraw")
WEIGHTS = (34, 12, 12, 14, 3, 14, 10, 2)
sides = pytest.mark.parametrize("side", [BUY, SELL])

Operation = tuple[str, tuple[Any, ...]]


def random_ladder(rng: random.Random, side: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Up to six levels from somewhere around the middle outwards, two of them at one price now and then."""
    steps = accumulate(rng.choice((0, 1, 1, 1, 2, 5)) for _ in range(rng.randint(0, 6)))
    start = MIDDLE + rng.randint(-8, 3) * side
    prices = tuple((start - side * step) * TICK for step in steps)
    return prices, tuple(rng.randint(1, 9) * LOT for _ in prices)


def random_operation(rng: random.Random, last_id: int) -> Operation:
    """One thing to do to a book, likely to meet what rests there."""
    (name,) = rng.choices(NAMES, WEIGHTS)
    owner, side = rng.choice(OWNERS), rng.choice((BUY, SELL))
    price, quantity = (MIDDLE + rng.randint(-12, 12)) * TICK, rng.randint(1, 12) * LOT
    limit = rng.choice((None, price, price + 1))
    arguments: dict[str, tuple[Any, ...]] = {
        "limit": (owner, side, price, quantity),
        "take": (owner, side, quantity * 2, limit),
        "quote": (side, quantity * 2, limit, rng.choice((None, owner))),
        "cancel": (rng.randint(max(last_id - 30, 0), last_id + 1),),
        "cancel_all": (owner,),
        "place": (owner, side, *random_ladder(rng, side)),
        "shift": (owner, side, rng.randint(-3, 3)),
        "withdraw": (owner, side),
    }
    return name, arguments[name]


def do(book: Any, operation: Operation) -> Any:
    name, arguments = operation
    return getattr(book, name)(*arguments)


def state(book: Any, owner: int, side: int, limit: int) -> Any:
    """What a book says of itself: its levels, all that would trade on a side, in order, and one owner's orders."""
    return (
        [(book.best(s), book.levels(s)) for s in (BUY, SELL)],
        book.depth(side, limit),
        book.quote(-side, EVERYTHING).fills,
        book.orders_of(owner),
    )


def whole(book: Book) -> Any:
    return [state(book, owner, side, MIDDLE * TICK) for owner in OWNERS for side in (BUY, SELL)]


def resting(book: Book) -> int:
    return sum(quantity for side in (BUY, SELL) for _, quantity in book.levels(side))


def book_of(seed: int, operations: int = 60) -> Book:
    """A book after some random operations."""
    book, rng = Book(TICK, LOT), random.Random(seed)
    for at in range(operations):
        do(book, random_operation(rng, at))
    return book


SEED = st.integers(0, 10**6)


@pytest.mark.parametrize("seed", range(10))
def test_the_book_does_what_a_list_of_orders_does(seed: int) -> None:
    rng = random.Random(seed)
    pairs = [(Book(TICK, LOT), SlowBook(TICK))]
    for step in range(10_000):
        book, slow = rng.choice(pairs)
        if rng.random() < 0.01:
            pairs = [*pairs[-1:], (book.copy(), slow.copy())]
        operation = random_operation(rng, slow.age)
        got, expected = do(book, operation), do(slow, operation)
        owner, side, limit = rng.choice(OWNERS), rng.choice((BUY, SELL)), MIDDLE * TICK + rng.randint(-40, 40)
        same = got == expected and state(book, owner, side, limit) == state(slow, owner, side, limit)
        assert same, f"seed {seed}, step {step}: {operation} gives {got}, not {expected}, or leaves another book"


@pytest.mark.parametrize("quantity", [5, 60, 200])
def test_the_published_walks_come_out(quantity: int) -> None:
    case = published("PI-01")
    book = Book()
    for price, size in case["inputs"]["bids"]:
        book.limit(0, BUY, round(price * 10), size)
    expected, best = case["expected"]["book"][str(quantity)], book.best(BUY)
    walk = book.take(1, SELL, quantity)
    assert best is not None
    assert {
        "filled": walk.filled,
        "vwap": walk.notional / walk.filled / 10,
        "last": walk.last / 10,
        "unfilled": walk.unfilled,
        "slippage_vs_best": 1 - walk.notional / walk.filled / best,
    } == pytest.approx(expected, rel=case["tolerance"]["rtol"], abs=case["tolerance"]["atol"])


@sides
def test_a_better_price_goes_first_and_then_the_older_order(side: int) -> None:
    book = Book()
    for owner, price in [(1, 100), (2, 100 + side), (3, 100)]:
        book.limit(owner, side, price, 10)
    walk = book.take(9, -side, 25)
    assert walk.fills == (Fill(2, 100 + side, 10), Fill(1, 100, 10), Fill(3, 100, 5))
    assert (walk.filled, walk.notional, walk.last, walk.unfilled) == (25, 2_500 + 10 * side, 100, 0)


def test_a_partial_fill_keeps_its_place() -> None:
    book = Book()
    book.limit(1, BUY, 100, 10)
    book.limit(2, BUY, 100, 10)
    book.take(9, SELL, 4)
    assert book.take(9, SELL, 7).fills == (Fill(1, 100, 6), Fill(2, 100, 1))


def test_what_an_empty_book_cannot_fill_is_said_and_does_not_rest() -> None:
    book = Book()
    assert book.take(1, BUY, 7) == Walk((), 0, 0, 0, 7, 0)
    assert (book.best(BUY), book.best(SELL), book.depth(BUY, 1)) == (None, None, (0, 0))


def test_an_order_at_once_stops_at_its_limit() -> None:
    book = Book()
    book.place(1, SELL, [101, 103], [5, 5])
    assert book.take(2, BUY, 8, 102) == Walk((Fill(1, 101, 5),), 5, 505, 101, 3, 0)


def test_a_limit_order_trades_at_the_resting_price_and_rests_with_what_is_left() -> None:
    book = Book()
    book.limit(1, SELL, 100, 4)
    order_id, walk = book.limit(2, BUY, 105, 10)
    assert walk == Walk((Fill(1, 100, 4),), 4, 400, 100, 0, 0)
    assert book.orders_of(2) == [Resting(order_id, BUY, 105, 6)]


def test_a_limit_order_that_trades_in_full_leaves_no_order() -> None:
    book = Book()
    book.limit(1, SELL, 100, 4)
    assert book.limit(2, BUY, 100, 4)[0] == 0
    assert book.levels(BUY) == book.levels(SELL) == []


def test_a_cancelled_order_returns_its_rest_once() -> None:
    book = Book()
    order_id, walk = book.limit(1, BUY, 100, 10)
    assert walk == NOTHING
    book.take(2, SELL, 3)
    assert [book.cancel(order_id), book.cancel(order_id), book.cancel(99)] == [7, 0, 0]
    assert book.best(BUY) is None


@sides
def test_nobody_trades_with_himself_his_resting_order_goes(side: int) -> None:
    book = Book()
    mine, _ = book.limit(1, side, 100, 10)
    book.limit(2, side, 100, 5)
    assert book.quote(-side, 8, owner=1) == Walk((Fill(2, 100, 5),), 5, 500, 100, 3, 10)
    assert book.take(1, -side, 8) == Walk((Fill(2, 100, 5),), 5, 500, 100, 3, 10)
    assert book.cancel(mine) == 0


def test_own_orders_that_an_order_does_not_reach_stay() -> None:
    book = Book()
    book.limit(2, SELL, 100, 5)
    book.limit(1, SELL, 100, 5)
    assert book.take(1, BUY, 5).cancelled == 0
    assert book.resting(1, SELL) == 5


def test_an_order_that_meets_only_its_owners_ladder_takes_off_the_levels_it_reaches() -> None:
    book = Book()
    book.place(1, SELL, [100, 101, 102], [5, 5, 5])
    _, walk = book.limit(1, BUY, 101, 3)
    assert walk == Walk((), 0, 0, 0, 0, 10)
    assert (book.levels(SELL), book.levels(BUY)) == ([(102, 5)], [(101, 3)])


def test_cancelling_everything_of_an_owner_leaves_the_others_and_counts_both_sides() -> None:
    book = Book()
    book.limit(1, BUY, 90, 2)
    book.place(1, BUY, [95, 94], [3, 4])
    book.place(1, SELL, [105, 106], [1, 1])
    book.limit(2, BUY, 95, 8)
    assert book.cancel_all(1) == Cancelled(5, 9, 2, 180 + 285 + 376 + 211)
    assert book.cancel_all(1) == Cancelled(0, 0, 0, 0)
    assert (book.levels(BUY), book.levels(SELL)) == ([(95, 8)], [])


def test_a_ladder_replaces_the_owners_last_one_on_that_side_only() -> None:
    book = Book()
    book.place(1, BUY, [99, 98], [5, 5])
    book.place(1, SELL, [101], [5])
    book.place(2, BUY, [99], [1])
    assert book.place(1, BUY, [97], [4]) == 1
    assert book.levels(BUY) == [(99, 1), (97, 4)]
    assert book.levels(SELL) == [(101, 5)]


@sides
def test_levels_that_would_trade_are_left_out(side: int) -> None:
    book = Book()
    book.limit(2, -side, 100, 5)
    assert book.place(1, side, [100 + side, 100, 100 - side], [1, 2, 3]) == 1
    assert book.levels(side) == [(100 - side, 3)]
    assert book.place(1, side, [100 + side, 100], [1, 2]) == 0
    assert book.levels(side) == []
    assert book.levels(-side) == [(100, 5)]


def test_a_ladder_does_not_cross_its_owners_other_side_either() -> None:
    book = Book()
    book.place(1, SELL, [101], [5])
    assert book.place(1, BUY, [102, 101, 100], [1, 1, 1]) == 1


def test_an_empty_ladder_withdraws_the_last_one() -> None:
    book = Book()
    book.place(1, BUY, [99, 98], [5, 5])
    assert book.place(1, BUY, (), ()) == 0
    assert book.best(BUY) is None


def test_a_moved_ladder_goes_as_one_and_joins_the_end_of_the_queue() -> None:
    book = Book(tick=5)
    book.place(1, BUY, [100, 95], [4, 6])
    book.limit(2, BUY, 105, 1)
    assert book.shift(1, BUY, 1) == 2
    assert book.ladder(1, BUY) == ((105, 100), (4, 6))
    assert [fill.owner for fill in book.quote(SELL, 2).fills] == [2, 1]


def test_a_ladder_that_was_hit_moves_with_what_is_left_of_it() -> None:
    book = Book()
    book.place(1, SELL, [101, 102], [4, 6])
    book.take(2, BUY, 5)
    assert book.shift(1, SELL, -1) == 1
    assert book.levels(SELL) == [(101, 5)]


def test_a_ladder_moved_into_the_other_side_loses_the_levels_that_would_trade() -> None:
    book = Book()
    book.limit(2, SELL, 101, 1)
    book.place(1, BUY, [100, 99, 98], [1, 2, 3])
    assert book.shift(1, BUY, 2) == 1
    assert book.levels(BUY) == [(100, 3)]


def test_who_has_no_ladder_moves_and_withdraws_nothing() -> None:
    book = Book()
    book.limit(1, BUY, 100, 5)
    assert book.shift(1, BUY, 3) == 0
    assert book.withdraw(1, BUY) == Cancelled(0, 0, 0, 0)
    assert book.levels(BUY) == [(100, 5)]


def test_withdrawing_a_ladder_leaves_its_owners_plain_orders() -> None:
    book = Book()
    book.limit(1, SELL, 100, 5)
    book.place(1, SELL, [100, 101], [2, 3])
    assert book.withdraw(1, SELL) == Cancelled(2, 0, 5, 503)
    assert book.levels(SELL) == [(100, 5)]


def test_all_levels_of_a_ladder_are_as_old_as_the_ladder() -> None:
    book = Book()
    book.place(1, BUY, [100, 99], [1, 1])
    book.limit(2, BUY, 99, 1)
    assert [fill.owner for fill in book.quote(SELL, 3).fills] == [1, 1, 2]
    assert [fill.owner for fill in book.take(9, SELL, 3).fills] == [1, 1, 2]


def test_the_number_of_a_ladder_is_no_order_that_could_be_cancelled() -> None:
    book = Book()
    book.place(1, BUY, [100], [5])
    assert sum(book.cancel(number) for number in range(10)) == 0
    assert book.levels(BUY) == [(100, 5)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda book: book.limit(1, BUY, 1_001, LOT), "3 at 1001 is not positive, or off the lot 3 or tick 5"),
        (lambda book: book.limit(1, BUY, 0, LOT), "3 at 0"),
        (lambda book: book.limit(1, BUY, -5, LOT), "3 at -5"),
        (lambda book: book.limit(1, BUY, 1_000, 4), "4 at 1000"),
        (lambda book: book.limit(1, BUY, 1_000, 0), "0 at 1000"),
        (lambda book: book.take(1, BUY, -3), "lot 3, not negative: -3"),
        (lambda book: book.take(1, BUY, 4), "lot 3, not negative: 4"),
        (lambda book: book.quote(BUY, 4), "lot 3, not negative: 4"),
        (lambda book: book.place(1, BUY, [1_000, 995], [3]), "2 prices and 1 quantities"),
        (lambda book: book.place(1, BUY, [995, 1_000], [3, 3]), r"best first: \(995, 1000\)"),
        (lambda book: book.place(1, SELL, [1_000, 995], [3, 3]), r"best first: \(1000, 995\)"),
        (lambda book: book.place(1, BUY, [5, 0], [3, 3]), r"positive and sorted, best first: \(5, 0\)"),
        (lambda book: book.place(1, SELL, [0, 5], [3, 3]), r"positive and sorted, best first: \(0, 5\)"),
        (lambda book: book.place(1, BUY, [995, 990], [3, 0]), r"\(3, 0\) is not positive"),
        (lambda book: book.place(1, BUY, [991, 990], [3, 3]), r"or off the lot 3, or \(991, 990\) the tick 5"),
        (lambda book: book.place(1, BUY, [995], [4]), r"\(4,\) is not positive, or off the lot 3"),
        (lambda book: book.shift(3, BUY, -1_000), "cannot move by -5000"),
        (lambda book: book.shift(3, SELL, -1_000), "cannot move by -5000"),
    ],
)
def test_what_is_refused_says_why_and_changes_nothing(call: Callable[[Book], Any], message: str) -> None:
    book = book_of(1)
    book.cancel_all(3)
    book.place(3, BUY, [500, 495], [3, 3])
    book.place(3, SELL, [1_500, 1_505], [3, 3])
    before = whole(book)
    with pytest.raises(ValueError, match=message):
        call(book)
    assert whole(book) == before


@pytest.mark.parametrize("grid", [(0, 1), (1, 0), (-1, 1)])
def test_a_book_without_a_grid_is_refused(grid: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Book(*grid)


@given(SEED)
def test_a_book_is_never_crossed(seed: int) -> None:
    book, rng = Book(TICK, LOT), random.Random(seed)
    for at in range(100):
        do(book, random_operation(rng, at))
        bid, ask = book.best(BUY), book.best(SELL)
        assert bid is None or ask is None or bid < ask


@given(SEED)
def test_every_quantity_is_traded_cancelled_or_resting(seed: int) -> None:
    book, rng, ids = Book(TICK, LOT), random.Random(seed), 0
    for _ in range(100):
        name, arguments = random_operation(rng, ids)
        before = resting(book)
        result = do(book, (name, arguments))
        now = resting(book)
        if name == "limit":
            walk, quantity = result[1], arguments[3]
            assert now == before - walk.filled - walk.cancelled + (quantity - walk.filled)
            ids = max(ids, result[0])
        elif name == "take":
            assert now == before - result.filled - result.cancelled
            assert result.filled + result.unfilled == arguments[2]
        elif name == "cancel":
            assert now == before - result
        elif name in ("cancel_all", "withdraw"):
            assert now == before - result.bids - result.asks
        elif name == "quote":
            assert now == before


@given(SEED, st.sampled_from([BUY, SELL]), st.integers(0, 60), st.none() | st.integers(900, 1_100))
def test_a_quote_is_what_taking_brings_and_changes_nothing(seed: int, side: int, lots: int, limit: int | None) -> None:
    book = book_of(seed)
    before = whole(book)
    for owner in OWNERS:
        quote = book.quote(side, lots * LOT, limit, owner)
        assert whole(book) == before
        assert book.copy().take(owner, side, lots * LOT, limit) == quote


@given(SEED, st.sampled_from([BUY, SELL]), st.integers(0, 60))
def test_notional_is_the_exact_sum_over_fills_and_goes_out_of_the_depth(seed: int, side: int, lots: int) -> None:
    book, anywhere = book_of(seed), {BUY: 10**9, SELL: 1}[side]
    quantity, notional = book.depth(-side, anywhere)
    walk = book.take(99, side, lots * LOT)
    assert walk.notional == sum(price * traded for _, price, traded in walk.fills)
    assert book.depth(-side, anywhere) == (quantity - walk.filled, notional - walk.notional)


@given(SEED, SEED)
def test_a_copy_lives_on_by_itself_under_the_same_ids(seed: int, other: int) -> None:
    book = book_of(seed)
    copy, before, rng = book.copy(), whole(book), random.Random(other)
    assert whole(copy) == before
    operations = [random_operation(rng, at) for at in range(60)]
    results = [do(copy, operation) for operation in operations]
    assert whole(book) == before
    assert [do(book, operation) for operation in operations] == results


@given(SEED)
def test_cancelling_all_of_all_empties_the_book_without_a_trace(seed: int) -> None:
    book = book_of(seed)
    total = resting(book)
    gone = [book.cancel_all(owner) for owner in OWNERS]
    assert sum(cancelled.bids + cancelled.asks for cancelled in gone) == total
    assert not (book._levels or book._orders or book._ladders or book._sequence_of or any(book._ranks.values()))
