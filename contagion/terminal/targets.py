"""Simulated against observed, as a person reads it: one block a target."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from contagion.terminal.console import printed
from contagion.words import money, price


def targets_text(console: Console, rows: Sequence[Mapping[str, Any]], scenario: str) -> str:
    """Return the text of a comparison with observed facts; rows : of `metrics.targets.compare`."""
    met = sum(row["inside"] is True for row in rows)
    head = f"{scenario}: {met} of {len(rows)} inside the observed range" if rows else f"{scenario} states no targets"
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=28)
    for name in ("simulated", "observed range", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        style = {True: "green", False: "red", None: "yellow"}[row["inside"]]
        span = f"{_number(row['low'])} to {_number(row['high'])}"
        table.add_row(row["id"], _number(row["value"]), span, Text(_WORDS[row["inside"]], style=style))
    parts: list[RenderableType] = [Text(head, style="bold"), *[table] * bool(rows)]
    for row in rows:
        parts += [Text(f"{row['id']} ({row['key']})", style="dim")]
        parts += [Padding(Text(f"{name}: {row[name]}"), (0, 0, 0, 2)) for name in ("observed", "source") if row[name]]
    return printed(console, Group(*parts))


_WORDS = {True: "inside", False: "outside", None: "no such figure"}


def _number(value: float | None) -> str:
    return "–" if value is None else money(value) if abs(value) >= 1_000 else price(value)
