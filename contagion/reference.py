"""The model reference as Markdown: every value of a scenario and every figure of a summary.

Types, defaults and bounds come from the classes that check scenarios, units and meanings from `meanings`; what stands
here is only how they are laid out. `docs/model-reference.md` is what this returns.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from contagion.graph import DOMAINS, KINDS, NODE_FACTS, ROLES, EdgeParams
from contagion.json_schema import kinds
from contagion.log import FAILURES, Channel
from contagion.meanings import Meaning, find, of_figures, of_values
from contagion.params import AssetName, Duration, NodeName, Params
from contagion.scenario import ScenarioParams
from contagion.shocks import SHOCKS
from contagion.units import format_duration

_INTRODUCTION = """# Model reference

This page is what `contagion reference` prints. It lists every value that a scenario may state and every figure of a
summary. A unit of *share* is a number such as 0.05, `"5%"` or `"500bps"`; a *time* is text with a unit such as
`"12s"` or `"1h 30min"`; *tokens* are whole tokens of the asset named, not base units; *currency* is the scenario's own.
A source is named where a rule or a default has one; every other default is an assumption.
"""
_NAMES = ((get_args(AssetName)[1], "asset"), (get_args(NodeName)[1], "node"))
_TIME = get_args(Duration)[1]
"""By these marks, which stand on a type, a name and a time are told from text and a number."""
_PLAIN = {bool: "true or false", int: "whole number", Decimal: "number", float: "number", str: "text", Any: "any value"}
_FIELD_HEADS = ("name", "type", "unit", "default", "bounds", "meaning", "source")
_CHAPTERS = {
    "run": "The run", "depth": "Depth and branching", "losses": "Losses", "venues": "Venues", "standing": "Standing",
    "comparisons": "Comparisons",
}  # fmt: skip


def reference() -> str:
    """Return the whole page."""
    parts = [_INTRODUCTION, *_scenario(), *_nodes(), *_edges(), *_shocks(), *_figures()]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def sections() -> Iterator[tuple[str, str, type[Params]]]:
    """Yield (section of the meanings, name, class) of everything that a scenario states, inner tables included."""
    found: list[tuple[str, str, type[Params]]] = [("scenario", "", ScenarioParams)]
    found += [("nodes", kind, mechanism.Params) for kind, mechanism, _ in kinds()]
    found += [("edges", name, role.params) for name, role in ROLES.items()]
    found += [("shocks", kind, shock) for kind, shock in SHOCKS.items()]
    yield from found
    for inner in dict.fromkeys(inner for _, _, model in found for inner in _tables_in(model)):
        yield "tables", inner.__name__, inner


def meaning(section: str, name: str, field: str) -> Meaning | None:
    """Return what a field means: its own line, or the one that all of its section share."""
    return find(of_values(), field, f"{section}.{name}" if name else section, f"{section}.any")


def _scenario() -> Iterator[str]:
    yield "## Scenario\n\nThe keys of a scenario file."
    yield _fields("scenario", "", ScenarioParams)
    yield from _inner(ScenarioParams)


def _nodes() -> Iterator[str]:
    facts = of_values()["nodes.any"]
    domains = ", ".join(f"`{domain}`" for domain in DOMAINS)
    yield f"## Nodes\n\nWhat every node may state, beside the parameters of its kind; domains are {domains}."
    rows = [(f"`{name}`", *facts[name]) for name in NODE_FACTS if name in facts]
    yield _table(("name", "unit", "meaning", "source"), rows)
    for kind, mechanism, about in kinds():
        domain, sector = KINDS[kind]
        yield f"### Kind `{kind}`\n\n{about}\n\nDomain `{domain}` and sector `{sector}`, where not stated."
        yield _fields("nodes", kind, mechanism.Params)
        yield from _inner(mechanism.Params)


def _edges() -> Iterator[str]:
    yield "## Edges\n\nAn edge points from `from` to `to`, the way distress travels. What every edge may state:"
    yield _fields("edges", "", EdgeParams)
    rows = []
    for name, role in ROLES.items():
        rows.append((f"`{name}`", role.carries, _ends(role.sources), _ends(role.targets)))
    yield _table(("role", "carries", "from", "to"), rows)
    for name, role in ROLES.items():
        own = set(role.params.model_fields) - set(EdgeParams.model_fields)
        if own:
            yield f"### Role `{name}`\n\n{_first_line(role.params)}"
            yield _fields("edges", name, role.params, own)
            yield from _inner(role.params)


def _shocks() -> Iterator[str]:
    shared = next(iter(SHOCKS.values())).__base__
    assert shared is not None and issubclass(shared, Params), "all shocks have what they share from one class"
    base = set(shared.model_fields)
    yield "## Shocks\n\nWhat happens from outside. What every shock may state:"
    yield _fields("shocks", "", shared)
    for kind, shock in SHOCKS.items():
        yield f"### Shock `{kind}`\n\n{_first_line(shock)}"
        yield _fields("shocks", kind, shock, set(shock.model_fields) - base)


def _ends(kinds: frozenset[str]) -> str:
    """Return which kinds may stand at an end of an edge, or which may not where that is shorter."""
    others = sorted(set(KINDS) - kinds)
    if len(others) >= len(kinds):
        return ", ".join(sorted(kinds))
    return f"any but {', '.join(others)}" if others else "any"


def _figures() -> Iterator[str]:
    yield (
        "## Figures of a summary\n\n`summary.json`, `run.summary` and `contagion run --json` have them by these "
        "paths; a part in angle brackets stands for a name. Seconds are simulated, from the start of the run."
    )
    for chapter, rows in of_figures().items():
        yield f"### {_CHAPTERS[chapter]}"
        yield _table(("figure", "unit", "definition", "source"), [(f"`{name}`", *row) for name, row in rows.items()])
    yield "### Kinds and channels"
    yield f"Kinds of events that are failures: {_listed(FAILURES)}."
    yield f"Channels of prices and transfers: {_listed(channel.label for channel in Channel if channel)}."


def _inner(model: type[Params]) -> Iterator[str]:
    for inner in _tables_in(model):
        yield f"#### Table `{inner.__name__}`\n\n{_first_line(inner)}"
        yield _fields("tables", inner.__name__, inner)


def _fields(section: str, name: str, model: type[Params], only: set[str] | None = None) -> str:
    """Return the table of a class's fields, or of some of them."""
    rows = []
    for field, facts in model.model_fields.items():
        if only is None or field in only:
            kind, bounds = _kind(Annotated[facts.annotation, *facts.metadata] if facts.metadata else facts.annotation)
            said = meaning(section, name, field) or Meaning("", "")
            default = "required" if facts.is_required() else _default(facts.get_default(), kind)
            unit = "" if said.unit == kind else said.unit
            rows.append((f"`{field}`", kind, unit, default, bounds, said.text, said.source))
    return _table(_FIELD_HEADS, rows) if rows else "It has no parameters."


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table without the columns in which nothing stands."""
    rows = list(rows)
    used = [place for place in range(len(heads)) if any(row[place] for row in rows)]
    lines = [[heads[place] for place in used], ["---"] * len(used), *([row[place] for place in used] for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _kind(annotation: Any, metadata: tuple[Any, ...] = ()) -> tuple[str, str]:
    """Return the type of a value in words, and its bounds."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0], (*annotation.__metadata__, *metadata))
    if _TIME in metadata:
        return "time", _bounds(metadata)
    if name := next((name for item in metadata for known, name in _NAMES if item == known), ""):
        return name, ""
    if origin in (Union, UnionType):
        known = [_kind(part, metadata) for part in inner if part is not NoneType]
        return " or ".join(word for word, _ in known), known[0][1]
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner), ""
    if origin is dict and inner[1] is Any:
        return "table", ""
    if origin is dict:
        value, bounds = _kind(inner[1])
        return f"{value} by {_kind(inner[0])[0].replace('text', 'name')}", bounds
    if origin is tuple and inner[-1] is not Ellipsis:
        parts = [_kind(part) for part in inner]
        return f"({', '.join(word for word, _ in parts)})", ""
    if origin in (list, tuple):
        word = _kind(inner[0])[0]
        return f"list of {word}{'s' * (word in ('asset', 'node', 'table'))}", _lengths(metadata)
    if isinstance(annotation, type) and issubclass(annotation, Params):
        return f"`{annotation.__name__}`", ""
    return _PLAIN[annotation], _bounds(metadata)


def _bounds(metadata: tuple[Any, ...]) -> str:
    """Return the tightest limits; they may stand on the field or on its type."""
    every = [part for item in metadata for part in (item, *getattr(item, "metadata", ()))]
    limits = {
        name: [getattr(part, name) for part in every if getattr(part, name, None) is not None]
        for name in ("gt", "ge", "lt", "le")
    }
    low = max([(limit, ">") for limit in limits["gt"]] + [(limit, "≥") for limit in limits["ge"]], default=None)
    high = min([(limit, "<") for limit in limits["lt"]] + [(limit, "≤") for limit in limits["le"]], default=None)
    return ", ".join(f"{end[1]} {_number(end[0])}" for end in (low, high) if end)


def _lengths(metadata: tuple[Any, ...]) -> str:
    least = max((item.min_length for item in metadata if getattr(item, "min_length", None)), default=0)
    most = min((item.max_length for item in metadata if getattr(item, "max_length", None)), default=0)
    return f"{least} to {most} of them" if least and most else f"at least {least}" if least else ""


def _default(value: Any, kind: str) -> str:
    if value is None or value == "" or value in ({}, []):
        return "none"
    if isinstance(value, Params):
        return "its defaults"
    if isinstance(value, bool):
        return str(value).lower()
    if kind == "time":
        return format_duration(value) if value else "0"
    if isinstance(value, list):
        return ", ".join(f"({', '.join(map(_number, pair))})" for pair in value)
    return _number(value) if isinstance(value, int | Decimal) else f"`{value}`"


def _number(value: Any) -> str:
    return f"{value:,}" if abs(value) >= 10_000 else f"{Decimal(value):f}"


def _tables_in(model: type[Params]) -> list[type[Params]]:
    """Return the classes of the tables inside a class, in the order of its fields, and theirs."""
    found: list[type[Params]] = []
    for facts in model.model_fields.values():
        for inner in _classes(facts.annotation):
            found += [one for one in (inner, *_tables_in(inner)) if one not in found]
    return found


def _classes(annotation: Any) -> Iterator[type[Params]]:
    if isinstance(annotation, type) and issubclass(annotation, Params):
        yield annotation
    for inner in get_args(annotation):
        yield from _classes(inner)


def _first_line(model: type[Params]) -> str:
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
