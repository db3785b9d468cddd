"""Who lost to whom, as a person reads it: the largest transfers first."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from contagion.terminal.console import printed
from contagion.words import money

_CLOSING = (
    "Transfers only: what an event took from one and gave to another, at their own marks. What falling prices took "
    "went to nobody and is in the losses by channel. Nobody: what one side's mark sees and the other's does not."
)


def bilateral_text(console: Console, rows: Sequence[Mapping[str, Any]], currency: str, top: int) -> str:
    """Return the text of a bilateral table, a row a pair, of which the `top` largest are shown."""
    parts: list[RenderableType] = [Text("no value changed hands")] if not rows else [_table(rows, currency, top)]
    if len(rows) > top:
        rest = money(sum(row["value"] for row in rows[top:]))
        parts.append(Text(f"{len(rows) - top:,} more pairs, {rest} together", style="dim"))
    return printed(console, Group(*parts, Text(_CLOSING, style="dim")))


def _table(rows: Sequence[Mapping[str, Any]], currency: str, top: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("who lost", "to whom"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=22)
    table.add_column(currency, justify="right", no_wrap=True)
    table.add_column("by", overflow="fold")
    for row in rows[:top]:
        channels = row["channels"]
        by = ", ".join(channels) if len(channels) == 1 else ", ".join(f"{c} {money(v)}" for c, v in channels.items())
        table.add_row(row["loser"], row["receiver"], money(row["value"]), by)
    return table
