from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contagion.units import (
    DAY,
    PPM,
    PRICE_SCALE,
    SECOND,
    YEAR,
    format_duration,
    parse_duration,
    parse_number,
    to_ppm,
    to_units,
    value_of,
)


@given(st.integers(0, 100 * YEAR))
def test_a_duration_survives_being_written_and_read(time_us: int) -> None:
    assert parse_duration(format_duration(time_us)) == time_us


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1us", 1), ("2ms", 2_000), ("1.5s", 1_500_000), ("15min", 900 * SECOND), ("24h", DAY), ("365d", YEAR)],
)
def test_every_unit_of_time_is_understood(text: str, expected: int) -> None:
    assert parse_duration(text) == expected


def test_parts_of_a_duration_add_up() -> None:
    assert parse_duration(" 1h 30min 2s ") == 5_402 * SECOND
    assert parse_duration("1h30min") == 5_400 * SECOND


@pytest.mark.parametrize("text", ["", " ", "12", "-3s", "1h 30", "1 hour", "1e3s", "s", "1.s", "١s"])
def test_a_duration_without_a_unit_or_with_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_a_duration_that_the_clock_cannot_count_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than the clock"):
        parse_duration("9999999999h")


def test_a_negative_time_is_printed_with_its_sign() -> None:
    assert format_duration(-1_500_000) == "-1.5s"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("-18%", "-0.18"), ("25bps", "0.0025"), (" 3 % ", "0.03"), (7, "7"), (Decimal("0.1"), "0.1"), ("1e3", "1000")],
)
def test_a_number_is_exact_whatever_its_spelling(value: int | str | Decimal, expected: str) -> None:
    assert parse_number(value) == Decimal(expected)


@pytest.mark.parametrize("value", ["", "abc", "%", "1,5", "nan", "inf", "-Infinity", "sNaN", "1e41", "1e-41"])
def test_what_is_no_finite_and_sensible_number_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="number"):
        parse_number(value)


@given(st.integers(-(10**15), 10**15), st.integers(0, 12))
def test_base_units_of_whole_tokens_are_exact(tokens: int, decimals: int) -> None:
    assert to_units(tokens, decimals) == tokens * 10**decimals


@pytest.mark.parametrize(("number", "expected"), [("0.5", 0), ("1.5", 2), ("2.5", 2), ("-0.5", 0), ("-1.5", -2)])
def test_half_a_base_unit_rounds_to_even(number: str, expected: int) -> None:
    assert to_units(Decimal(number), 0) == expected


@given(st.integers(-(10**9), 10**9))
def test_a_ratio_in_parts_per_million_is_exact(ratio: int) -> None:
    assert to_ppm(Decimal(ratio) / PPM) == ratio


@given(st.integers(-(2**62), 2**62), st.integers(0, 10**15), st.integers(0, 12), st.integers(0, 12))
def test_a_value_is_rounded_down_once(quantity: int, price: int, decimals: int, currency: int) -> None:
    exact = Fraction(quantity, 10**decimals) * Fraction(price, PRICE_SCALE) * 10**currency
    assert value_of(quantity, price, decimals, currency) == floor(exact)
