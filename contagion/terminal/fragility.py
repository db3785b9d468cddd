"""What a growing shock does, as a person reads it: the smallest that breaks something, then a row a size."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from contagion.terminal.console import printed
from contagion.words import money

_WORDS = {"unfunded": "a loss that nobody covers", "majority": "n >= 1/2", "growth": "N2 >= N1"}
_NEVER = ("n >= 1", "never", "at any size: each failure has one parent at most; N2 >= N1 stands for it")
_CLOSING = (
    "Sizes of the grid, and the smallest shocks. Means over seeds, the same at every size; in: the share of seeds in "
    "which anything is unfunded. n: failures that a failure set off, of all; N2/N1: second generation over first; "
    "both are ratios of sums over all seeds."
)


def fragility_text(console: Console, facts: Mapping[str, Any], currency: str = "USD") -> str:
    """Return the text of a fragility study; facts : as `study.fragility` states them."""
    seeds = facts["seeds"]
    span = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"
    head = f"{facts['scenario'] or 'a scenario'} by the size of {facts['shock']}: {facts['runs']:,} runs, {span}"
    parts: list[RenderableType] = [Text(head, style="bold"), Rule(style="dim"), Padding(_smallest(facts), (1, 0))]
    parts.append(_table(facts, currency))
    if facts["failed"]:
        parts.append(Text(f"{facts['failed']} of {facts['runs']} runs failed and are left out:", style="red"))
        parts += [Text(f"  {error}", style="red") for error in facts["errors"][:5]]
    parts.append(Text(_CLOSING, style="dim"))
    return printed(console, Group(*parts))


def _smallest(facts: Mapping[str, Any]) -> Table:
    """Return a row a criterion: the smallest shock at which it holds, and what is to be known of it."""
    grid = Table.grid(padding=(0, 2))
    for style in ("", "bold", "dim"):
        grid.add_column(style=style)
    for criterion, what in _WORDS.items():
        if (found := facts["smallest"][criterion]) is None:
            grid.add_row(what, "nowhere", f"up to {size(facts['to'])}")
            continue
        words = "at the mildest already" if found["not_at"] is None else f"not yet at {size(found['not_at'])}"
        words += ", and not at every larger size" * (not found["holds_beyond"])
        grid.add_row(what, f"from {size(found['size'])}", words)
    grid.add_row(*_NEVER)
    return grid


def _table(facts: Mapping[str, Any], currency: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("size", f"net ({currency})", "unfunded", "in", "failures", "depth", "weighted", "n", "N2/N1"):
        table.add_column(name, justify="right", no_wrap=True)
    found = [smallest["size"] for smallest in facts["smallest"].values() if smallest]
    for point in facts["points"]:
        if not point["on_grid"] and point["size"] not in found:
            continue
        mean = {name: estimate["mean"] for name, estimate in point["figures"].items()}
        table.add_row(
            size(point["size"]), _or_dash(mean["total_losses.net"], money),
            _or_dash(mean["total_losses.unfunded"], money), _or_dash(point["unfunded_share"], "{:.0%}".format),
            _or_dash(mean["failures"], "{:,.1f}".format), _or_dash(mean["cascade_depth"], "{:.1f}".format),
            _or_dash(mean["cascade_depth_weighted.mean"], "{:.2f}".format),
            _or_dash(point["branching_ratio"], "{:.2f}".format), _or_dash(point["offspring"], "{:.2f}".format),
        )  # fmt: skip
    return table


def size(value: float) -> str:
    """Return the size of a shock: a share as a percentage, else a number.

    >>> size(-0.118), size(22_500_000.0)
    ('-11.8%', '22,500,000')
    """
    return f"{value * 100:.5g}%" if abs(value) <= 1.0 else f"{value:,.10g}"


def _or_dash(value: float | None, text: Any) -> str:
    return "–" if value is None else str(text(value))
