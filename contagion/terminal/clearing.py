"""What a classical model says about an exposure file, as a person reads it: who defaults when, who loses most."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from contagion.terminal.console import printed
from contagion.words import count, money

_WORST = 10
_NAMED = 8


def clearing_text(console: Console, facts: Mapping[str, Any]) -> str:
    """Return the text of what `contagion clear` has found."""
    parts: list[RenderableType] = [Text(_headline(facts), style="bold")]
    if made := facts["reconstructed"]:
        parts.append(Text(f"Exposures reconstructed by {made}: not observed", style="bold"))
    parts.append(Text(""))
    if facts["waves"]:
        parts += [_waves(facts), Text("")]
    parts += [_totals(facts), Text(""), _worst(facts), Text("")]
    parts += [Text(line, style="dim") for line in _origin(facts)]
    return printed(console, Group(*parts))


def _headline(facts: Mapping[str, Any]) -> str:
    size = f"{count(facts['banks'], 'bank')}, {count(facts['links'], facts['reads'].removesuffix('s'))}"
    if not facts["defaults"]:
        return f"{facts['model']}: nobody defaults ({size})"
    depth = "" if facts["depth"] is None else f", depth {facts['depth']}"
    return f"{facts['model']}: {count(facts['defaults'], 'default')}{depth} ({size})"


def _waves(facts: Mapping[str, Any]) -> Table:
    table = _table("wave", "defaults")
    table.add_column("who", overflow="fold")
    for number, names in enumerate(facts["waves"], facts["first_wave"]):
        rest = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        table.add_row(str(number), f"{len(names):,}", Text(", ".join(names[:_NAMED]) + rest))
    return table


def _totals(facts: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column(Text(f"in all ({facts['unit']})" if facts["unit"] else "in all"))
    table.add_column("", justify="right", no_wrap=True)
    for name, value in facts["totals"].items():
        table.add_row(name, money(value))
    return table


def _worst(facts: Mapping[str, Any]) -> Table:
    """Return the table of who loses most or, among equals, pays the smallest part."""
    rows = sorted(facts["nodes"], key=lambda row: (-row["loss"], row.get("recovery", 1), row["name"]))[:_WORST]
    figures = [key for key in facts["nodes"][0] if key != "name"]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("who loses most", no_wrap=True, overflow="ellipsis", max_width=24)
    for key in figures:
        table.add_column(key, justify="right", no_wrap=True)
    for row in rows:
        shares = {key: f"{row[key]:.1%}" for key in ("recovery", "distress", "systemicness", "sold") if key in row}
        table.add_row(Text(row["name"]), *(shares.get(key) or money(row[key]) for key in figures))
    return table


def _origin(facts: Mapping[str, Any]) -> list[str]:
    """Return where the exposures are from, and what a reader must know."""
    lines = []
    for part in facts["provenance"]:
        dropped = "".join(f"; {number:,} dropped: {why}" for why, number in part["dropped"].items())
        unread = f"; not read: {', '.join(part['unread'])}" if part["unread"] else ""
        rows = f"{count(part['rows'], 'row')}{dropped}{unread}"
        lines.append(f"{part['path']}: {part['form']}, {rows}, sha256 {part['sha256'][:12]}")
    return [*lines, *facts["notes"]]


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table
