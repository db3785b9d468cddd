"""What differs between two runs: what went in, what came out, who failed in one alone, and where their logs part.

Runs of different scenarios are compared by the names that they share; ids of one run mean nothing in the other.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.log import FAILURES
from contagion.metrics import links
from contagion.metrics.groups import rows_by_group
from contagion.units import PRICE_SCALE, SECOND

Integers = NDArray[np.int64]

SETTINGS = (
    "scenario", "seed", "reduced", "overrides", "knock_outs", "shock", "shuffle_ties", "until_us", "twins", "platform",
)  # fmt: skip
_NO_FIGURES = ("wall_s", "events_per_s", "seed", "links.seen.")
_ZERO_IF_ABSENT = ("losses_by_", "failures_by_kind.", "liquidated.by_", "total_losses.terms.", "spillover.")
_NAMED = {"node": "holders", "kind": "kinds", "asset": "assets", "market": "feeds"}
_SAME = ("time_us", "kind", "node", "member", "asset", "market", "quantity", "price", "value")


def compare(one: Any, other: Any) -> dict[str, Any]:
    """Return all differences of two runs, `a` being of the first and `b` of the second."""
    return {
        "runs": {name: _head(run) for name, run in (("a", one), ("b", other))},
        "settings": _settings(one.manifest, other.manifest),
        "inputs": inputs(one, other),
        "figures": figures(one.facts, other.facts),
        "links": links.compare(one, other),
        "failures": failures(one, other),
        "parting": parting(one, other),
    }


def inputs(one: Any, other: Any) -> dict[str, Any]:
    """Return which nodes, edges and shocks only one run has, and the values of what both have but differ in."""
    a, b = _parts(one), _parts(other)
    table: dict[str, Any] = {
        "only_a": sorted(set(a) - set(b)), "only_b": sorted(set(b) - set(a)), "values": [],
    }  # fmt: skip
    for name in (part for part in a if part in b):
        mine, yours = dict(_leaves(a[name])), dict(_leaves(b[name]))
        for key in dict.fromkeys([*mine, *yours]):
            if mine.get(key) != yours.get(key):
                table["values"].append({"path": f"{name}.{key}", "a": mine.get(key), "b": yours.get(key)})
    return table


def figures(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every number of two summaries side by side: b - a as `change`, and that over the size of a.

    >>> rows = figures({"failures": 4, "losses_by_channel": {"fee": 2.0}}, {"failures": 6, "losses_by_channel": {}})
    >>> [tuple(row.values()) for row in rows]
    [('failures', 4.0, 6.0, 2.0, 0.5), ('losses_by_channel.fee', 2.0, 0.0, -2.0, -1.0)]
    """
    a, b = dict(_numbers(one)), dict(_numbers(other))
    rows = []
    for key in dict.fromkeys([*a, *b]):
        absent = 0.0 if key.startswith(_ZERO_IF_ABSENT) else None
        first, second = a.get(key, absent), b.get(key, absent)
        change = None if first is None or second is None else second - first
        relative = change / abs(first) if change is not None and first else None
        rows.append({"figure": key, "a": first, "b": second, "change": change, "relative": relative})
    return rows


def failures(one: Any, other: Any) -> list[dict[str, Any]]:
    """Return a row for each (node, kind) of which somebody failed in one run alone: how many, and since when."""
    a, b = _failed(one), _failed(other)
    rows = []
    for key in sorted(set(a) | set(b)):
        (mine, since), (yours, then) = a.get(key, _NOBODY), b.get(key, _NOBODY)
        only_a, only_b = len(np.setdiff1d(mine, yours)), len(np.setdiff1d(yours, mine))
        if only_a or only_b:
            rows.append({
                "node": key[0], "kind": key[1], "a": len(mine), "b": len(yours), "only_a": only_a, "only_b": only_b,
                "first_a": since, "first_b": then,
            })  # fmt: skip
    return sorted(rows, key=lambda row: -row["only_a"] - row["only_b"])


def parting(one: Any, other: Any) -> dict[str, Any] | None:
    """Return the first events after the opening that are not the same, None where there are none.

    `events` are as many as are the same before; `a` or `b` is None where that log has ended.
    """
    sizes = [len(run.tables["events"]["kind"]) - run.books.opening - 1 for run in (one, other)]
    count = min(sizes)
    differs = np.zeros(count, np.bool_)
    for column in _SAME:
        mine, yours = (run.tables["events"][column][run.books.opening + 1 :][:count] for run in (one, other))
        if column in _NAMED:
            yours = _translated(yours, getattr(other.books, _NAMED[column]), getattr(one.books, _NAMED[column]))
        differs |= mine != yours
    at = int(np.argmax(differs)) if differs.any() else count
    if at == sizes[0] == sizes[1]:
        return None
    a, b = (
        _event(run, run.books.opening + 1 + at) if at < size else None
        for run, size in zip((one, other), sizes, strict=True)
    )
    return {"events": at, "a": a, "b": b}


_NOBODY: tuple[Integers, float | None] = (np.empty(0, np.int64), None)


def _head(run: Any) -> dict[str, Any]:
    facts = {key: run.manifest.get(key) for key in ("seed", "digest", "command")}
    directory = None if run.path is None else str(run.path)
    return {"scenario": run.facts.get("scenario"), **facts, "directory": directory}


def _settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [{"setting": key, "a": one.get(key), "b": other.get(key)} for key in SETTINGS]
    for name in dict.fromkeys([*one.get("versions", {}), *other.get("versions", {})]):
        versions = (run.get("versions", {}).get(name) for run in (one, other))
        rows.append({"setting": f"version of {name}"} | dict(zip("ab", versions, strict=True)))
    return [row for row in rows if row["a"] != row["b"]]


def _parts(run: Any) -> dict[str, Any]:
    """Return every node, edge and shock that was run, and the scenario's plain values, by name."""
    plain = {"horizon_us": run.scenario.get("horizon"), "currency": run.scenario.get("currency")}
    parts: dict[str, Any] = {"scenario": plain}
    parts |= {f"nodes.{node['id']}": node for node in run.graph.get("nodes", [])}
    for edge in run.graph.get("edges", []):
        name = f"edges.{edge['name']}"
        while name in parts:
            name += "'"
        parts[name] = edge
    for number, shock in enumerate(run.scenario.get("shocks", [])):
        parts[f"shocks.{shock.get('name', number)}"] = shock
    return parts


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, plain value) of everything in a nested value."""
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        inner = enumerate(value)
    else:
        yield path, value
    for key, item in inner:
        yield from _leaves(item, f"{path}.{key}" if path else str(key))


def _numbers(facts: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in _leaves(facts):
        if isinstance(value, int | float) and not isinstance(value, bool) and not key.startswith(_NO_FIGURES):
            yield key, float(value)


def _failed(run: Any) -> dict[tuple[str, str], tuple[Integers, float | None]]:
    """Return, by (node, kind), the members that failed and the first time, in seconds."""
    events, books = run.tables["events"], run.books
    ids = [books.kinds.index(kind) for kind in FAILURES if kind in books.kinds]
    rows = np.flatnonzero((events["first"] == 1) & np.isin(events["kind"], ids))
    keys, group = np.unique(
        events["node"][rows].astype(np.int64) * len(books.kinds) + events["kind"][rows], return_inverse=True
    )
    table: dict[tuple[str, str], tuple[Integers, float | None]] = {}
    for key, own in zip(keys.tolist(), rows_by_group(group, len(keys)), strict=True):
        node, kind = divmod(key, len(books.kinds))
        times = events["time_us"][rows[own]]
        table[books.holders[node], books.kinds[kind]] = (events["member"][rows[own]], float(times.min()) / SECOND)
    return table


def _translated(ids: Integers, names: list[str], others: list[str]) -> Integers:
    """Return the ids that the same names have elsewhere; what has no such name there gets an id of its own below -1."""
    known = {name: number for number, name in enumerate(others)}
    table = np.array([*(known.get(name, -2 - number) for number, name in enumerate(names)), -1], np.int64)
    return np.asarray(table[ids])


def _event(run: Any, event: int) -> dict[str, Any]:
    """Return an event with names: what `why` would say of it."""
    row = {column: int(values[event]) for column, values in run.tables["events"].items()}
    names = {c: getattr(run.books, table)[row[c]] if row[c] >= 0 else None for c, table in _NAMED.items()}
    return {
        "event": event, "time": row["time_us"] / SECOND, **names,
        "member": row["member"] if row["member"] >= 0 else None,
        "quantity": row["quantity"], "price": row["price"] / PRICE_SCALE,
        "value": row["value"] * 10.0**-run.books.currency_decimals,
    }  # fmt: skip
