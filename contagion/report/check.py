"""Whether a summary has what the page tells: a saved one may have been edited, or be of another version.

A page made of half a run would be wrong without saying so. What it needs is looked at before anything is drawn, and
what is missing is named with the file in which it should be. Tables and books were looked at when the run was loaded.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from contagion.errors import BadInput, Problem
from contagion.report.cards import begins
from contagion.units import parse_duration

_NUMBER = (int, float)
_MAYBE = (int, float, type(None))
_SUMMARY: dict[str, tuple[type, ...]] = {
    "failures": (int,), "cascade_depth": (int,), "cascade_depth_weighted": (dict, type(None)), "generations": (list,),
    "events": (int,), "sim_seconds": _NUMBER, "seed": (int,), "total_losses": (dict,), "losses_by_channel": (dict,),
    "liquidated": (dict,), "cancelled": (dict,), "spillover": (dict,), "prices": (dict,), "depth": (dict,),
    "max_leverage": (dict,), "ledger": (dict,), "total_losses.net": _NUMBER, "total_losses.peak": _NUMBER,
    "total_losses.exogenous": _MAYBE, "total_losses.endogenous": _MAYBE, "total_losses.amplification": _MAYBE,
    "total_losses.unfunded": _MAYBE, "liquidated.accounts": (int,), "liquidated.value": _NUMBER,
    "cancelled.orders": (int,), "cancelled.value": _NUMBER, "ledger.max_imbalance": (int,),
}  # fmt: skip


def check(run: Any) -> None:
    """Raise BadInput, with every problem, for a run of which no page can be made."""
    found = [*_summary(run.facts), *_graph(run.graph), *_manifest(run.manifest)] or list(_feeds(run))
    if found:
        where = str(run.path) if run.path else "run"
        raise BadInput(
            [Problem(f"{where}/{file}" if run.path else where, 0, 0, path, what) for file, path, what in found]
        )


_Complaint = tuple[str, str, str]


_ROWS: dict[str, dict[str, tuple[type, ...]]] = {
    "prices.*": dict.fromkeys(("first", "low", "low_time", "last", "drawdown"), _NUMBER),
    "depth.*": {"first": _NUMBER},
    "spillover.*.*": {"failures": _NUMBER, "loss": _NUMBER},
    "cascade_depth_weighted": dict.fromkeys(("mean", "p95"), _NUMBER),
    "links": {"seen": (dict,), "order": (dict,)},
    "links.seen.*": {"stated": (int,), "title": (str,), "rank": _MAYBE, "first": _MAYBE, "events": (int,)},
    "links.order": dict.fromkeys(("happened", "links", "in_order", "pairs"), (int,)) | {"tau": _MAYBE},
}  # fmt: skip
"""Keys of what stands at a path of the summary, of which there may be many or none."""
_MANIFEST: dict[str, tuple[type, ...]] = {"overrides": (list, tuple), "knock_outs": (list, tuple), "end_us": (int,)}
"""Keys of the manifest that may be left out."""


def _summary(facts: Mapping[str, Any]) -> Iterator[_Complaint]:
    for key, types in _SUMMARY.items():
        *parents, name = key.split(".")
        table = facts.get(parents[0]) if parents else facts
        if isinstance(table, Mapping):
            yield from _typed(table, name, types, ".".join(parents))
    for pattern, keys in _ROWS.items():
        for path, row in _at(facts, pattern.split(".")):
            for name, types in keys.items():
                yield from _typed(row, name, types, path)
    for key in ("generations", "max_leverage", "losses_by_channel"):
        values = facts.get(key, [])
        for value in values.values() if isinstance(values, Mapping) else values if isinstance(values, list) else ():
            if not isinstance(value, _NUMBER):
                yield "summary.json", key, f"has {value!r:.60}, expected numbers"


def _graph(graph: Mapping[str, Any]) -> Iterator[_Complaint]:
    for path, edge in _at(graph, ["edges", "*"]):
        for end in ("source", "target"):
            yield from _typed(edge, end, (str,), path, "graph.json")
    for path, node in _at(graph, ["nodes", "*"]):
        key = "asset" if "asset" in node else "assets"
        names = [node["asset"]] if key == "asset" else node.get("assets", [])
        if not isinstance(names, list | tuple | dict) or not all(isinstance(name, str | None) for name in names):
            yield "graph.json", f"{path}.{key}", f"is {node[key]!r:.60}, expected what assets are called"
    for path, shock in _at(graph, ["graph", "shocks", "*"]):
        try:
            parse_duration(begins(shock))
        except ValueError as error:
            yield "graph.json", f"{path}.at", str(error)


def _manifest(manifest: Mapping[str, Any]) -> Iterator[_Complaint]:
    for key, types in _MANIFEST.items():
        if manifest.get(key) is not None:
            yield from _typed(manifest, key, types, "", "manifest.json")


def _typed(
    table: Any, name: str, types: tuple[type, ...], path: str, file: str = "summary.json"
) -> Iterator[_Complaint]:
    """Yield what is wrong with one value of a table at a path of a file."""
    where = f"{path}.{name}".lstrip(".")
    if not isinstance(table, Mapping) or name not in table:
        yield file, where, "is missing: the file was edited, or is of another version"
    elif not isinstance(table[name], types) or isinstance(table[name], bool):
        words = " or ".join("nothing" if one is type(None) else one.__name__ for one in types)
        yield file, where, f"is {table[name]!r:.60}, expected {words}"


def _at(facts: Any, parts: list[str], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, what stands there) for a path in which a star is any name or place; nothing where nothing is."""
    if not parts:
        if facts is not None:
            yield path, facts
    elif isinstance(facts, Mapping):
        for name in facts if parts[0] == "*" else [parts[0]]:
            yield from _at(facts.get(name), parts[1:], f"{path}.{name}".lstrip("."))
    elif isinstance(facts, list) and parts[0] == "*":
        for place, item in enumerate(facts):
            yield from _at(item, parts[1:], f"{path}.{place}")


def _feeds(run: Any) -> Iterator[_Complaint]:
    known = set(run.books.feeds)
    for table in ("prices", "depth"):
        for feed in run.facts[table]:
            if feed not in known:
                yield "summary.json", table, f"names {feed!r:.60}, which no feed of books.json is"
    priced = set(run.tables["prices"]["market"].tolist())
    for number, feed in enumerate(run.books.feeds):
        if feed in run.facts["prices"] and number not in priced:
            yield "prices.parquet", "market", f"has no price of {feed!r:.60}, of which summary.json tells"
