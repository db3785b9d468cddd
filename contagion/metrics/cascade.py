"""How deep a cascade went, how much of it made itself, and where it crossed between domains.

Definitions: a failure is the first of its (node, member, kind); shocks, the clock and all other events let
generations pass. Trigger depth is 1 + that of the nearest failure among a failure's causes; weighted depth is
the value-weighted mean of the failures' weighted generations (`finance.branching`); the branching ratio is the
share of failures that a failure set off.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.ledger import total
from contagion.log import FAILURES
from contagion.metrics.groups import rows_by_group

Columns = dict[str, NDArray[Any]]


def failures(events: Columns, kinds: list[str]) -> NDArray[np.int64]:
    """Return the ids of all failures, repeats left out."""
    ids = [kinds.index(kind) for kind in FAILURES if kind in kinds]
    return np.flatnonzero(np.isin(events["kind"], ids) & (events["first"] == 1))


def origins(events: Columns, kinds: list[str]) -> NDArray[np.int64]:
    """Return, for every event, the nearest failure or root at or above it (pointer jumping over `cause`)."""
    count = len(events["kind"])
    pointer = events["cause"].astype(np.int64).copy()
    roots = (pointer < 0) | (events["generation"] == 0) & _is_kind(events, kinds, "shock")
    roots[failures(events, kinds)] = True
    own = np.arange(count, dtype=np.int64)
    pointer = np.where(roots, own, pointer)
    while not np.array_equal(after := pointer[pointer], pointer):
        pointer = after
    return pointer


def trigger_depths(events: Columns, kinds: list[str]) -> NDArray[np.int64]:
    """Return the trigger depth of every failure, in the order of `failures`, from the causes alone."""
    failed = failures(events, kinds)
    place = np.full(len(events["kind"]), len(failed))
    place[failed] = np.arange(len(failed))
    above = np.append(place[origins(events, kinds)[events["cause"][failed]]], len(failed))
    depth = np.append(np.ones(len(failed), dtype=np.int64), 0)
    while np.any(above < len(failed)):
        depth += depth[above]
        above = above[above]
    return depth[:-1]


def generations(events: Columns, kinds: list[str]) -> list[int]:
    """Return the number of failures by trigger depth: N_1, N_2, ..."""
    return [int(count) for count in np.bincount(trigger_depths(events, kinds))[1:]]


def branching_ratio(events: Columns, kinds: list[str]) -> float | None:
    """Return 1 - (failures that a shock or the clock set off) / failures; None without failures."""
    sizes = generations(events, kinds)
    return 1.0 - sizes[0] / sum(sizes) if sizes else None


def weighted_depth(failed: Columns) -> dict[str, float] | None:
    """Return the value-weighted mean and 95th percentile of the weighted generations.

    failed : one row a failure, with `weighted` and `value`. Where no failure states a value, all weigh alike.
    """
    depths, values = failed["weighted"], failed["value"].astype(np.float64)
    if not len(depths):
        return None
    weights = values if values.sum() > 0 else np.ones(len(depths))
    order = np.argsort(depths, kind="stable")
    below = np.cumsum(weights[order]) / weights.sum()
    at = min(int(np.searchsorted(below, 0.95)), len(depths) - 1)
    return {"mean": float(np.average(depths, weights=weights)), "p95": float(depths[order][at])}


def weighted_branching(failed: Columns) -> float | None:
    """Return 1 - mean exogenous share of the failures; None without failures."""
    return float(1.0 - failed["exogenous"].mean()) if len(failed["exogenous"]) else None


def spillover(events: Columns, failed: Columns, kinds: list[str], domains: list[str]) -> dict[str, Any]:
    """Return {from: {to: {failures, value}}}: the domain of what set a failure off, and its own.

    A failure that a shock or the clock set off comes from 'shock'; `value` is what was at stake.
    """
    first, shock = failures(events, kinds), len(domains)
    parent = origins(events, kinds)[events["cause"][first]]
    is_failure, value = np.zeros((2, len(events["kind"])), dtype=np.int64)
    is_failure[first], value[failed["event"]] = 1, failed["value"]
    source = np.where(is_failure[parent] == 1, events["node"][parent], shock)
    names = sorted({*domains, "shock"})
    number = np.array([names.index(name) for name in [*domains, "shock"]])
    cells, group = np.unique(number[source] * len(names) + number[events["node"][first]], return_inverse=True)
    table: dict[str, dict[str, dict[str, float]]] = {}
    for cell, rows in zip(cells.tolist(), rows_by_group(group, len(cells)), strict=True):
        row = table.setdefault(names[cell // len(names)], {})
        row[names[cell % len(names)]] = {"failures": len(rows), "value": total(value[first[rows]])}
    return table


def dag_depths(events: Columns, contributions: Columns, kinds: list[str]) -> dict[int, int]:
    """Return, per failure, the longest chain of failures over causes and contributions alike."""
    nearest = origins(events, kinds)
    depth: dict[int, int] = {}
    more: dict[int, list[int]] = {}
    for event, parent in zip(contributions["event"].tolist(), contributions["contributor"].tolist(), strict=True):
        more.setdefault(event, []).append(parent)
    for event in failures(events, kinds).tolist():
        parents = [int(events["cause"][event]), *more.get(event, [])]
        depth[event] = 1 + max(depth.get(int(nearest[parent]), 0) for parent in parents)
    return depth


def _is_kind(events: Columns, kinds: list[str], kind: str) -> NDArray[np.bool_]:
    if kind not in kinds:
        return np.zeros(len(events["kind"]), dtype=np.bool_)
    return np.asarray(events["kind"] == kinds.index(kind))
