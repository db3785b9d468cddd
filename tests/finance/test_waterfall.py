"""What an estate pays: nothing more than there is, nothing to juniors before seniors, in whole units."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contagion.finance.waterfall import apportioned, estate_value, pro_rata, waterfall
from contagion.units import PPM
from tests.cases import published

amounts = st.integers(0, 10**18)
classes = st.lists(amounts, max_size=5)


@given(amounts, classes)
def test_a_waterfall_pays_all_that_there_is_and_no_class_too_much(value: int, owed: list[int]) -> None:
    paid = waterfall(value, owed)
    assert sum(paid) == min(value, sum(owed))
    assert all(0 <= got <= due for got, due in zip(paid, owed, strict=True))


@given(amounts, classes)
def test_a_class_gets_something_only_when_all_before_it_are_paid(value: int, owed: list[int]) -> None:
    paid = waterfall(value, owed)
    for rank, got in enumerate(paid):
        assert not got or paid[:rank] == owed[:rank]


def test_an_estate_that_is_under_water_pays_nothing() -> None:
    assert waterfall(-5, [3, 4]) == [0, 0]


@given(st.integers(0, 10**12), st.lists(st.integers(1, 10**12), min_size=1, max_size=6))
def test_holders_of_a_class_get_their_parts_less_than_a_unit_each_and_never_more_than_all(
    value: int, parts: list[int]
) -> None:
    owed = sum(parts)
    paid = min(value, owed)
    got = [pro_rata(paid, owed, part) for part in parts]
    assert paid - len(parts) < sum(got) <= paid
    assert all(0 <= Fraction(paid * part, owed) - amount < 1 for amount, part in zip(got, parts, strict=True))


@given(st.integers(1, 10**12), st.lists(st.integers(1, 10**12), min_size=1, max_size=6))
def test_what_is_shared_out_is_all_there_is_and_less_for_all_is_more_for_nobody(value: int, parts: list[int]) -> None:
    paid = min(value, sum(parts))
    got, after = apportioned(paid, parts), apportioned(paid - 1, parts)
    assert sum(got) == paid and sum(after) == paid - 1
    assert all(0 <= less <= amount <= part for less, amount, part in zip(after, got, parts, strict=True))
    assert all(amount >= pro_rata(paid, sum(parts), part) for amount, part in zip(got, parts, strict=True))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.data())
def test_shares_are_those_of_seats_given_one_by_one_to_the_largest_quotient(
    parts: list[int], data: st.DataObject
) -> None:
    paid, seats = data.draw(st.integers(0, sum(parts))), [0] * len(parts)
    for _ in range(paid):
        seats[max(range(len(parts)), key=lambda at: (Fraction(parts[at], seats[at] + 1), -at))] += 1
    assert apportioned(paid, parts) == seats


def test_nobody_is_paid_by_a_class_that_owes_nothing() -> None:
    assert pro_rata(0, 0, 0) == 0


@given(amounts, amounts, st.integers(0, PPM), st.integers(0, PPM))
def test_an_estate_keeps_its_shares_of_both_kinds_of_assets(own: int, banks: int, alpha: int, beta: int) -> None:
    exact = Fraction(own * alpha + banks * beta, PPM)
    assert 0 <= exact - estate_value(own, banks, alpha, beta) < 1
    assert estate_value(own, banks) == own + banks


@pytest.mark.parametrize("case_id", ["RV-01", "RV-02", "RV-04"])
def test_the_published_payments_of_banks_in_default_are_their_estates_values(case_id: str) -> None:
    case = published(case_id)
    inputs, paid = case["inputs"], case["expected"]["p_greatest"]
    due = [sum(row) + outside for row, outside in zip(inputs["L"], inputs["d"], strict=True)]
    shares = [(int(1e6 * inputs[key] + 0.5)) for key in ("alpha", "beta")]
    for bank in {bank for wave in case["expected"]["waves"] for bank in wave}:
        inflow = sum(paid[j] * inputs["L"][j][bank] / due[j] for j in range(len(due)))
        value = estate_value(round(inputs["e"][bank] * 1e12), round(inflow * 1e12), *shares)
        assert value / 1e12 == pytest.approx(paid[bank], rel=1e-9)
