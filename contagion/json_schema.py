"""The JSON Schema of a scenario file, from the same classes that check it: for editors that complete and warn.

A node is one of the kinds, an edge one of the roles, a shock one of its kinds; each is told from the others by
the constant that names it. What the schema cannot say (names that must exist, limits between two values) is
checked when a scenario is loaded.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from contagion.assembly import installed, mechanism_of
from contagion.errors import Misfit
from contagion.graph import DOMAINS, KINDS, ROLES
from contagion.meanings import find, of_values
from contagion.scenario import ScenarioParams
from contagion.shocks import SHOCKS
from contagion.units import format_duration

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAME = {"type": "string", "minLength": 1, "maxLength": 200}
_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string"}]}
_NODE = {
    "domain": {"enum": list(DOMAINS), "description": "which part of the financial system it belongs to"},
    "sector": {"type": "string", "description": "by which its losses are summed"},
    "marks": {"type": "object", "additionalProperties": _NAME, "description": "asset -> feed it is valued by"},
    "balances": {"type": "object", "additionalProperties": _NUMBER, "description": "asset -> tokens at the start"},
}
_FOREIGN = {"type": "object", "properties": {"kind": {"type": "string", "pattern": "[.:]"}}, "required": ["kind"]}


def kinds() -> Iterator[tuple[str, Any, str]]:
    """Return (kind, mechanism, first line about it) of every kind of node in this version."""
    for kind in KINDS:
        try:
            mechanism = mechanism_of(kind)
        except Misfit:
            continue
        yield kind, mechanism, _first_line(mechanism.__module__)


def foreign_kinds() -> Iterator[tuple[str, str]]:
    """Yield (kind, first line about it) of every kind that an installed package brings, or why it cannot be used."""
    for entry in installed():
        try:
            yield entry.name, _first_line(mechanism_of(entry.name).__module__)
        except Misfit as misfit:
            yield entry.name, misfit.what


def scenario_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a scenario file."""
    defs: dict[str, Any] = {}
    ends = {"from": _NAME, "to": _NAME}
    nodes = [_variant(defs, "node", kind, m.Params, about, _NODE) for kind, m, about in kinds()]
    edges = [
        _variant(defs, "edge", n, r.params, f"carries {r.carries}", ends, ("from", "to")) for n, r in ROLES.items()
    ]
    shocks = [_variant(defs, "shock", kind, m, m.__doc__ or "", {}) for kind, m in SHOCKS.items()]
    schema = _schema_of(ScenarioParams, "scenario", defs, "scenario")
    parts = schema["properties"]
    parts["nodes"]["additionalProperties"] = {"oneOf": [*nodes, _FOREIGN]}
    parts["edges"]["items"] = {"oneOf": edges}
    parts["shocks"]["items"] = {"oneOf": shocks}
    return {"$schema": DIALECT, **schema, "title": "contagion scenario", "$defs": defs}


def _variant(
    defs: dict[str, Any], what: str, name: str, model: Any, about: str, more: Mapping[str, Any], needs: Any = ()
) -> dict[str, Any]:
    """Put the schema of one kind or role into `defs` and return the reference to it."""
    key, label = "role" if what == "edge" else "kind", f"{what}-{name}"
    schema = _schema_of(model, label, defs, f"{what}s.{name}", f"{what}s.any")
    own = {field: part for field, part in schema.get("properties", {}).items() if field != key}
    required = {key, *needs, *schema.get("required", [])}
    schema |= {"title": name, "description": " ".join(about.split())}
    schema["properties"] = {key: {"const": name}, **more, **own}
    schema["required"] = [field for field in schema["properties"] if field in required]
    defs[label] = schema
    return {"$ref": f"#/$defs/{label}"}


def _schema_of(model: Any, label: str, defs: dict[str, Any], *sections: str) -> dict[str, Any]:
    """Return a model's schema, its own definitions moved into `defs` under names that are theirs alone.

    sections : of the meanings of its fields, which become their descriptions.
    """
    schema: dict[str, Any] = _tidied(model.model_json_schema(ref_template=f"#/$defs/{label}-{{model}}"))
    for name, part in schema.pop("$defs", {}).items():
        defs[f"{label}-{name}"] = _described(part, f"tables.{name}")
    return _described(schema, *sections)


def _described(schema: dict[str, Any], *sections: str) -> dict[str, Any]:
    """Return a schema whose properties say what they mean, and in which unit."""
    for name, part in schema.get("properties", {}).items():
        if said := find(of_values(), name, *sections):
            part["description"] = said.text + f" [{said.unit}]" * bool(said.unit)
    return schema


def _tidied(part: Any) -> Any:
    """Return a schema as a TOML file means it: there is no null, and defaults are written as users write them."""
    if isinstance(part, list):
        return [_tidied(item) for item in part if item != {"type": "null"}]
    if not isinstance(part, dict):
        return part
    tidy = {key: _tidied(value) for key, value in part.items() if (key, value) != ("default", None)}
    if isinstance(choices := tidy.get("anyOf"), list) and len(choices) == 1:
        tidy |= tidy.pop("anyOf")[0]
    if isinstance(tidy.get("default"), int) and tidy.get("type") == "string":
        tidy["default"] = format_duration(tidy["default"])
    return tidy


def _first_line(module: str) -> str:
    return (sys.modules[module].__doc__ or "").strip().split("\n")[0]
