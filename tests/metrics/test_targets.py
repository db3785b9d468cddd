"""A run against observed ranges."""

from typing import Any

import pytest

from contagion.metrics.targets import compare, value_at

FACTS: dict[str, Any] = {
    "failures": 3, "liquidated": {"value": 150e6, "by_market": {"usde": 1.5}}, "twins": None, "scenario": "x",
    "prices": {"pool": {"low": 0.9}, "pool.v2": {"low": 0.5}, "pool.v2.wide": {"low": 0.4}},
}  # fmt: skip


def target(key: str, low: float, high: float) -> dict[str, Any]:
    return {"id": "a", "key": key, "low": low, "high": high, "observed": "seen", "source": "there"}


@pytest.mark.parametrize(
    ("low", "high", "inside"), [(140e6, 193e6, True), (150e6, 150e6, True), (151e6, 193e6, False), (0, 149e6, False)]
)
def test_a_value_is_inside_its_range_or_not_and_the_ends_are_inside(low: float, high: float, inside: bool) -> None:
    (row,) = compare(FACTS, [target("liquidated.value", low, high)])
    assert row == target("liquidated.value", low, high) | {"value": 150e6, "inside": inside}


def test_a_figure_that_is_not_there_is_neither_inside_nor_outside() -> None:
    (row,) = compare(FACTS, [target("prices.gone.low", 0, 1)])
    assert (row["value"], row["inside"]) == (None, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("failures", 3.0), ("prices.pool.low", 0.9), ("prices.pool.v2.low", 0.5), ("prices.pool.v2.wide.low", 0.4),
        ("liquidated", None), ("scenario", None), ("twins.control", None), ("failures.more", None), ("", None),
        ("liquidated.by_market.usde", 1.5),
    ],
)  # fmt: skip
def test_a_key_leads_to_a_number_through_names_with_dots(key: str, value: float | None) -> None:
    assert value_at(FACTS, key) == value
