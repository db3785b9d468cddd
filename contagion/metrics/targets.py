"""Where a run stands against observed facts, each a range that a figure of the summary should be in."""

from collections.abc import Iterable, Mapping
from typing import Any


def value_at(facts: Mapping[str, Any], key: str) -> float | None:
    """Return the number at a dotted path of a summary, None where there is none; names may contain dots.

    >>> value_at({"prices": {"pool.v2": {"low": 0.5}}}, "prices.pool.v2.low"), value_at({}, "failures")
    (0.5, None)
    """
    if key in facts:
        value = facts[key]
        return float(value) if isinstance(value, int | float) else None
    for end in range(key.count("."), 0, -1):
        name = ".".join(key.split(".")[:end])
        if isinstance(inner := facts.get(name), Mapping):
            return value_at(inner, key[len(name) + 1 :])
    return None


def compare(facts: Mapping[str, Any], targets: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each target with the run's value and whether it is inside the range; None where there is no value."""
    rows = []
    for target in targets:
        value = value_at(facts, target["key"])
        inside = None if value is None else bool(target["low"] <= value <= target["high"])
        rows.append({**target, "value": value, "inside": inside})
    return rows
