"""What the files of a saved run must be like, checked when they are read: somebody may have edited them.

Only what readers rely on is checked, so that an edited figure stays readable and `verify` can tell that it is not what
the run gives. Whatever is wrong is said with the file, and the path or column in it.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from contagion.errors import BadInput, Problem
from contagion.expectations import Link, Target
from contagion.log import CONTRIBUTION_LAYOUT, EVENT_LAYOUT, FAILURE_LAYOUT, POSTING_LAYOUT, PRICE_LAYOUT
from contagion.params import explain, plain
from contagion.source import dotted, read_bytes

T = TypeVar("T")

MAX_BYTES = 2**30
MAX_DEPTH = 64
_LARGEST = 2.0**1000
"""Numbers beyond this are none of a run's, and sums of them would have no end."""

LAYOUTS: Mapping[str, Mapping[str, str]] = {
    "events": EVENT_LAYOUT, "postings": POSTING_LAYOUT, "prices": PRICE_LAYOUT, "contributions": CONTRIBUTION_LAYOUT,
    "failures": FAILURE_LAYOUT,
    "balances": {"holder": "i", "member": "i", "asset": "i", "balance": "q"},
    "accounts": {"holder": "i", "member": "i", "equity_start": "d", "equity_end": "d", "liquidated_value": "d"},
}  # fmt: skip
"""Tables that every run has, their columns and whether they are integers or floats."""
FURTHER: Mapping[str, Mapping[str, str]] = {
    "bilateral": {"loser": "i", "receiver": "i", "channel": "i", "value": "d"},
    "losses": {"time_us": "q", "net": "d"},
}
"""Tables that a run may have."""
_MAY_BE_NONE = {
    "events": ("cause", "node", "member", "asset", "market"), "postings": ("member",), "balances": ("member",),
    "accounts": ("member",), "bilateral": ("loser", "receiver"),
}  # fmt: skip
_NAMED = ("kind", "node", "holder", "loser", "receiver", "asset", "market", "member", "channel")


class _Loose(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class Manifest(_Loose):
    """What readers use of a manifest."""

    status: str = "without a status"
    digest: str | None = None
    command: str | None = None
    versions: dict[str, str] = {}
    inputs: dict[str, str] = {}


class Stated(_Loose):
    """What readers use of a resolved scenario, or of what a graph states itself."""

    shocks: list[dict[str, Any]] = []
    targets: list[Target] = []
    links: list[Link] = []


class _Node(_Loose):
    id: str


class _Edge(_Loose):
    name: str


class Graph(_Loose):
    """What readers use of a graph in node-link form."""

    graph: Stated = Stated()
    nodes: list[_Node] = []
    edges: list[_Edge] = []


class _Price(_Loose):
    low: float
    drawdown: float


class Summary(_Loose):
    """What readers use of a summary by name; other numbers are taken as they come."""

    scenario: str | None = None
    prices: dict[str, _Price] = {}


def unreadable(path: Path, what: str, where: str = "") -> BadInput:
    """Return the error for a file of a run, or for its directory."""
    return BadInput([Problem(str(path), 0, 0, where, what)])


def read_json(directory: Path, name: str) -> dict[str, Any]:
    """Return a JSON object of a run directory; BadInput where there is none of finite numbers and sane depth."""
    path = directory / name
    if not path.exists():
        raise unreadable(directory, f"has no {name}: give the directory that a run printed")
    raw = read_bytes(path, MAX_BYTES)
    try:
        value = json.loads(raw, parse_constant=_not_finite, parse_float=_float, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise unreadable(path, f"cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise unreadable(path, "is not a JSON object")
    if _deeper(value, MAX_DEPTH):
        raise unreadable(path, f"cannot be read: nested more than {MAX_DEPTH} levels deep")
    return value


def fitted(kind: type[T], value: Any, path: Path) -> T:
    """Return JSON content as what it has to be; BadInput, with every place in the file, where it is not."""
    try:
        return TypeAdapter(kind).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        found = explain(error, BaseModel)
    raise BadInput([Problem(str(path), 0, 0, dotted(where), what) for where, what in found])


def stated(value: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a resolved scenario, its links and targets complete."""
    parts = fitted(Stated, value, path)
    own = {"links": parts.links, "targets": parts.targets}
    return {**value, **{key: plain(rows) for key, rows in own.items() if rows}}


def check_books(books: Any, path: Path) -> None:
    """Refuse lists of names and ids that do not fit together."""
    holders, assets, feeds = len(books.holders), len(books.assets), len(books.feeds)
    sizes = dict.fromkeys(("holder_kinds", "domains", "sectors"), holders)
    sizes |= dict.fromkeys(("decimals", "underlying", "issuers", "creditors", "marks"), assets)
    for key, size in sizes.items():
        if len(getattr(books, key)) != size:
            raise unreadable(path, f"has {len(getattr(books, key))} entries where {size} are expected", key)
    ids = {
        "underlying": (books.underlying, -1, assets), "issuers": (books.issuers, -1, holders),
        "creditors": (books.creditors, -1, holders), "outside": (books.outside, 0, holders),
        "world": ([books.world], 0, holders), "decimals": (books.decimals, 0, 40),
        "currency_decimals": ([books.currency_decimals], 0, 40),
        "marks": (books.marks, 0, feeds),
    }  # fmt: skip
    for number, end in enumerate((holders, assets, feeds)):
        ids[f"own_marks[{number}]"] = ([row[number] for row in books.own_marks], 0, end)
    for key, (values, low, end) in ids.items():
        if any(not low <= value < end for value in values):
            raise unreadable(path, f"expected numbers from {low} to {end - 1}", key)


def check_table(name: str, columns: Mapping[str, NDArray[Any]], events: int, path: Path) -> None:
    """Refuse a table without its columns, with columns of another type, or with ids of nothing.

    columns : names already being ids, -1 for none; events : how many events the run has.
    """
    layout = LAYOUTS.get(name, FURTHER.get(name, {}))
    for column, code in layout.items():
        if column not in columns:
            raise unreadable(path, "is not there: expected a column of this name", column)
        values = columns[column]
        if values.dtype.kind != ("f" if code == "d" else "i"):
            raise unreadable(path, f"expected {'numbers' if code == 'd' else 'integers'} in every row", column)
        if code == "d" and not np.isfinite(values).all():
            raise unreadable(path, "expected finite numbers", column)
        low, end = _range(name, column, events)
        if wrong := np.flatnonzero((values < low) | (values >= end)).tolist():
            what = "a name" if column in _NAMED else f"the number of an event, 0 to {events - 1}"
            raise unreadable(path, f"row {wrong[0]}: expected {what}", column)
    if name == "events" and (late := np.flatnonzero(columns["cause"] >= np.arange(events)).tolist()):
        raise unreadable(path, f"row {late[0]}: expected an event before it", "cause")


def _range(name: str, column: str, events: int) -> tuple[float, float]:
    """Return from where to where the ids in a column of a table go; no bounds where it has none."""
    if column in ("event", "contributor"):
        return 0, events
    low = -1 if column in _MAY_BE_NONE.get(name, ()) else 0
    return low if column in (*_NAMED, "cause") else -math.inf, math.inf


def _not_finite(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a finite number")


def _float(text: str) -> float:
    if abs(value := float(text)) > _LARGEST:
        raise ValueError(f"{text[:20]} is a number beyond all that a run counts")
    return value


def _integer(text: str) -> int:
    _float(text)
    return int(text)


def _deeper(value: Any, levels: int) -> bool:
    """Return whether a JSON value is nested deeper than so many levels."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_deeper(item, levels - 1) for item in inner)
