"""Margins against exact arithmetic and against all lines; survival radii against what they promise."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.accounts import AccountBook, Rules
from contagion.accounts.rules import CASH, COST, EMPTY, QUANTITY, SLOTS, margins, survey, values
from contagion.finance.margin import collateral_pieces, margin_value, perpetual_pieces
from tests.accounts.random_books import COIN, CONTRACT, random_book, random_rules

SEEDS = st.integers(0, 2**32 - 1)


@given(st.floats(-1e7, 1e7), st.sampled_from([COIN, CONTRACT]))
def test_a_value_counts_for_the_least_of_its_lines(notional, pieces):
    assert Rules([pieces]).value(0, notional) == margin_value(notional, pieces)


@given(
    st.sampled_from([50_000.0, 300_000.0, 20_000.0, 100_000.0]), st.integers(-3, 3), st.sampled_from([COIN, CONTRACT])
)
def test_around_a_kink_the_fast_way_gives_the_same_bits(kink, ulps, pieces):
    tables = Rules([pieces]).tables
    for sign in (-1, 1):
        notional = sign * (kink + ulps * np.spacing(kink)) * np.array([1.0, 1 - 1e-6, 1 - 2e-6])
        asset = np.zeros(3, np.int64)
        full = (tables.slopes[asset] * notional[:, None] + tables.intercepts[asset]).min(axis=1)
        assert values(notional, asset, tables).tobytes() == full.tobytes()


@given(SEEDS)
@settings(deadline=None)
def test_a_margin_is_cash_costs_and_what_positions_count_for(seed):
    rng = np.random.default_rng(seed)
    rules, prices = random_rules(rng, 3), np.exp2(rng.integers(-3, 4, 3).astype(float))
    book = random_book(rng, 20, rules, prices)
    for row, margin, equity in zip(book.rows.tolist(), book.margins(prices), book.equities(prices), strict=True):
        cash = Fraction(row[CASH]) * (Fraction(rules.tables.loan) if row[CASH] < 0 else 1)
        exact, worth, scale = cash, Fraction(row[CASH]), abs(cash)
        for slot in range(SLOTS):
            asset = row[0] >> 8 * slot & EMPTY
            if asset != EMPTY:
                notional = row[QUANTITY + slot] * Fraction(prices[asset])
                lines = zip(rules.tables.slopes[asset], rules.tables.intercepts[asset], strict=True)
                part = min(Fraction(slope) * notional + Fraction(intercept) for slope, intercept in lines)
                exact, worth = exact + row[COST + slot] + part, worth + row[COST + slot] + notional
                scale += abs(row[COST + slot]) + 2 * abs(notional)
        assert abs(Fraction(margin) - exact) <= scale * Fraction(1, 2**48)
        assert abs(Fraction(equity) - worth) <= scale * Fraction(1, 2**48)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_a_move_within_the_radius_breaches_nobody(seed):
    rng = np.random.default_rng(seed)
    rules, prices = random_rules(rng, 4), np.exp(rng.normal(0, 2, 4))
    book = random_book(rng, 60, rules, prices)
    padded = rules.padded(prices)
    margin, radius = survey(book.rows, padded, rules.tables)
    assert margin.tobytes() == margins(book.rows, padded, rules.tables).tobytes()
    assert (radius[margin < 0] < 0).all()
    for safe in np.unique(radius[(radius > 0) & (radius <= 1)]):
        corners = 1 + safe * np.sign(rng.normal(size=(8, 4)))
        for corner in (*corners, 1 + safe * rng.uniform(-1, 1, 4)):
            assert (book.margins(prices * corner)[radius > safe] >= 0).all()


def test_a_radius_is_exact_for_one_position_within_its_first_tier():
    book = AccountBook.empty(1, Rules([perpetual_pieces([(0, 0.25)])]))
    for part, amount in (("quantity", 10), ("cost", -1000), ("cash", 400)):
        book.column(0, part).add(0, amount)
    assert book.radii(np.array([100.0]))[0] == pytest.approx((400 - 250) / 750, abs=1e-12)


def test_huge_offsetting_amounts_have_no_radius_that_rounding_could_spoil():
    book = AccountBook.empty(1, Rules([perpetual_pieces([(0, 0.25)])]))
    for part, amount in (("quantity", 1), ("cost", -(10**17)), ("cash", 10**17)):
        book.column(0, part).add(0, amount)
    assert book.margins(np.array([3.0]))[0] >= 0 > book.radii(np.array([3.0]))[0]


@pytest.mark.parametrize(
    ("pieces", "loan"),
    [([[]], 0), ([[(1.0, 5.0)]], 0), ([[(1.0, -1.0), (1.0, 0.0)]], 0), ([[(np.nan, 0.0)]], 0), ([COIN], -0.1),
     ([COIN] * 256, 0)],
)  # fmt: skip
def test_rules_that_are_none_are_refused(pieces, loan):
    with pytest.raises(ValueError):
        Rules(pieces, loan)


@pytest.mark.parametrize("prices", [[1.0], [1.0, -1.0], [1.0, np.nan], [np.inf, 1.0]])
def test_prices_that_are_none_are_refused(prices):
    with pytest.raises(ValueError, match="price"):
        Rules([COIN, collateral_pieces([(0, 1.0)])]).padded(np.array(prices))
