"""The liquidation index against a full scan: the same accounts at every price, whatever happens in between."""

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.accounts import AccountBook, LiquidationIndex, Rules
from contagion.accounts.backend import NumpyBackend
from contagion.accounts.index import RADII
from contagion.accounts.rules import CASH, QUANTITY
from contagion.finance.margin import perpetual_pieces
from tests.accounts.random_books import CONTRACT, disturb, random_book, random_move, random_rules

NUMBA = pytest.mark.skipif(find_spec("numba") is None, reason="numba, the extra 'fast', is not installed")
COMPILED = [False, pytest.param(True, marks=NUMBA)]


def scan(book, prices):
    return np.flatnonzero(book.margins(prices) < 0)


def differ(seed, *, compiled, steps, few):
    """Raise unless indices find what a scan finds, over a random path with everything that may happen to accounts."""
    rng = np.random.default_rng(seed)
    assets = int(rng.integers(1, 6))
    rules, prices = random_rules(rng, assets), np.exp(rng.normal(0, 2, assets))
    book = random_book(rng, int(rng.integers(1, 200)), rules, prices)
    indices = [LiquidationIndex(book, prices, compiled=way, few=few) for way in compiled]
    for step in range(steps):
        prices = prices * random_move(rng, assets)
        expected = scan(book, prices)
        for index in indices:
            found = index.breaches(prices)
            assert found.tolist() == expected.tolist(), f"seed {seed}, step {step}, {index.backend}"
        disturb(rng, book, expected)
    assert len({index.evaluations for index in indices}) == 1
    return indices[0]


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 5, 1000]))
@settings(max_examples=60, deadline=None)
def test_breaches_are_those_of_a_full_scan(seed, few):
    differ(seed, compiled=[False], steps=40, few=few)


@pytest.mark.parametrize("seed", range(6))
def test_breaches_are_those_of_a_full_scan_over_long_paths(seed):
    differ(seed, compiled=[False], steps=400, few=1 + seed)


@NUMBA
@pytest.mark.parametrize("seed", range(20, 40))
def test_numpy_and_compiled_code_find_and_evaluate_the_same(seed):
    differ(seed, compiled=[False, True], steps=150, few=3)


@NUMBA
@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_numpy_and_compiled_margins_have_the_same_bits(seed):
    from contagion.accounts.compiled import CompiledBackend

    rng = np.random.default_rng(seed)
    rules, prices = random_rules(rng, 5), np.exp(rng.normal(0, 3, 5)) * rng.choice([0.0, 1.0], 5, p=[0.1, 0.9])
    book = random_book(rng, 100, rules, np.exp(rng.normal(0, 3, 5)))
    members, padded = rng.permutation(100).astype(np.int32), rules.padded(prices)
    ours, theirs = NumpyBackend(book).survey(members, padded), CompiledBackend(book).survey(members, padded)
    assert [part.tobytes() for part in ours] == [part.tobytes() for part in theirs]


@NUMBA
def test_without_a_wish_compiled_code_is_used_when_there_is_numba():
    book = AccountBook.empty(1, Rules([CONTRACT]))
    assert not isinstance(LiquidationIndex(book, np.ones(1)).backend, NumpyBackend)
    assert isinstance(LiquidationIndex(book, np.ones(1), compiled=False).backend, NumpyBackend)


def crowd(count, near, assets=4, seed=0):
    """Return a book of perpetuals over two assets each of which `near` are within 5% and the others beyond 60%."""
    rng = np.random.default_rng(seed)
    book = AccountBook.empty(count, Rules([perpetual_pieces([(0, 0.01)])] * assets))
    rows = book.rows.copy()
    first = rng.integers(0, assets, count)
    rows[:, 0] = first | (first + 1) % assets << 8 | 0xFFFF0000
    rows[:, QUANTITY : QUANTITY + 2] = rng.integers(50, 150, (count, 2)) * rng.choice([-1, 1], (count, 2))
    rows[:, QUANTITY + 4 : QUANTITY + 6] = -rows[:, QUANTITY : QUANTITY + 2] * 100
    distance = np.where(np.arange(count) < near, rng.uniform(0.0, 0.05, count), 2.0)
    rows[:, CASH] = np.abs(rows[:, QUANTITY : QUANTITY + 2]).sum(axis=1) * 100 * (0.01 + 1.01 * distance) + 1
    return AccountBook(rows, book.rules), np.full(assets, 100.0)


def evaluations(count, near, compiled):
    book, prices = crowd(count, near)
    index = LiquidationIndex(book, prices, compiled=compiled, few=50)
    rng, start = np.random.default_rng(1), index.evaluations
    for _ in range(100):
        prices = prices * np.exp(rng.normal(0, 2e-4, len(prices)))
        index.breaches(prices)
    assert index.full_passes == 1
    return (index.evaluations - start) / 100


@pytest.mark.parametrize("compiled", COMPILED)
def test_what_a_look_evaluates_grows_with_those_near_the_margin_only(compiled):
    large, small = evaluations(40_000, 1000, compiled), evaluations(2_000, 1000, compiled)
    assert small < 200 and large < 1.2 * small


@pytest.mark.parametrize("compiled", COMPILED)
def test_single_positions_are_not_looked_at_until_their_price_is_reached(compiled):
    book = AccountBook.empty(3, Rules([perpetual_pieces([(0, 0.01)])]))
    for member, (size, cash) in enumerate([(10, 200), (10, 400), (-10, 200)]):
        book.column(0, "quantity").add(member, size)
        book.column(0, "cost").add(member, -size * 100)
        book.column(0, "cash").add(member, cash)
    index = LiquidationIndex(book, np.array([100.0]), compiled=compiled)
    start = index.evaluations
    assert index.breaches(np.array([85.0])).tolist() == [] and index.evaluations == start
    assert index.breaches(np.array([80.0])).tolist() == [0]
    assert index.breaches(np.array([100.0])).tolist() == []
    assert index.breaches(np.array([125.0])).tolist() == [2]
    assert index.breaches(np.array([60.0])).tolist() == [0, 1]


def test_an_index_made_before_changes_sees_them():
    book, prices = crowd(2_000, 100)
    index = LiquidationIndex(book, prices, compiled=False)
    assert index.breaches(prices).tolist() == []
    book.column(0, "cash").add(1_777, -(10**9))
    assert index.breaches(prices).tolist() == [1_777]
    book.column(0, "cash").restore(np.array([1_777]), np.array([10**9]))
    assert index.breaches(prices).tolist() == []


@pytest.mark.parametrize("compiled", COMPILED)
@pytest.mark.parametrize("refused", [[100.0, -1.0, 100.0, 100.0], [100.0] * 3 + [np.nan], [np.inf] * 4, [100.0]])
def test_prices_that_are_refused_change_nothing(compiled, refused):
    book, prices = crowd(2_000, 100)
    index = LiquidationIndex(book, prices, compiled=compiled)
    book.column(0, "cash").add(1_777, -(10**9))
    with pytest.raises(ValueError, match="price"):
        index.breaches(np.array(refused))
    assert index.breaches(prices).tolist() == [1_777]


@pytest.mark.parametrize("compiled", COMPILED)
def test_a_core_has_room_for_as_many_as_trade_and_when_they_are_too_many_everybody_is_looked_at(compiled):
    book, prices = crowd(60_000, 2_000)
    index = LiquidationIndex(book, prices, compiled=compiled)
    rng = np.random.default_rng(3)
    for count, passes in ((3_000, 1), (8_000, 1), (50_000, 2), (10, 2)):
        members = np.repeat(rng.permutation(len(book))[:count], 2)
        book.column(0, "cash").add(members, rng.integers(-20_000, 20_000, 2 * count))
        assert index.breaches(prices).tolist() == scan(book, prices).tolist()
        assert index.full_passes == passes


@pytest.mark.parametrize("compiled", COMPILED)
def test_when_everybody_trades_memory_stays_small_and_answers_right(compiled):
    book, prices = crowd(20_000, 3_000)
    index = LiquidationIndex(book, prices, compiled=compiled)
    rng = np.random.default_rng(5)
    for _ in range(40):
        members = rng.permutation(len(book))[:4_000]
        book.column(0, "cash").add(members, rng.integers(-2_000, 2_000, 4_000))
        prices = prices * np.exp(rng.normal(0, 1e-3, len(prices)))
        assert index.breaches(prices).tolist() == scan(book, prices).tolist()
        assert index.nbytes <= 20 * len(book) + 10**5


def test_a_price_that_was_0_and_comes_back_is_seen():
    book, prices = crowd(50, 50)
    index = LiquidationIndex(book, prices, compiled=False)
    for factor in ([0, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0], [3, 1, 1, 1]):
        moved = prices * factor
        assert index.breaches(moved).tolist() == scan(book, moved).tolist()


def test_shells_end_below_a_whole():
    assert 0.5 <= RADII[-1] < 1
