"""What knock-outs did, as a person reads it: one block a figure, so that knock-outs can be compared."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from contagion.terminal.console import printed
from contagion.words import money, price

TITLES = {
    "cascade_depth_weighted.mean": "Depth, weighted",
    "cascade_depth": "Depth, by trigger",
    "total_losses.net": "Net loss",
    "total_losses.peak": "Net loss at its peak",
    "total_losses.amplification": "Amplification",
    "failures": "Failures",
    "liquidated.value": "Liquidated",
    "prices.*.drawdown": "Worst drawdown of a market",
}


def attribution_text(
    console: Console, facts: Mapping[str, Any], about: Mapping[str, str], currency: str = "USD"
) -> str:
    """Return the text of an attribution; `about` says what each switch does."""
    seeds = facts["seeds"]
    span = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"
    head = f"{facts['scenario'] or 'a graph'} and what it is without some of its parts: {facts['runs']:,} runs, {span}"
    parts: list[RenderableType] = [Text(head, style="bold"), Rule(style="dim"), Padding(_legend(facts, about), (1, 0))]
    for key in filter(lambda key: _known(facts, key), facts["base"]):
        parts += [
            Text(f"{_title(key)}{_unit(key, currency)}", style="cyan"),
            Padding(_figure(facts, key), (0, 0, 1, 2)),
        ]
    parts += [Text(line, style="red") for line in _failures(facts)]
    parts.append(Text(_CLOSING, style="dim"))
    return printed(console, Group(*parts))


_CLOSING = (
    "Change: with the knock-out minus without it, seed by seed, on the same random numbers; 95% intervals of its mean "
    "(Student's t). Same sign: the seeds in which it has the sign of its mean. Joint: what removing all does beyond "
    "the sum of what removing each does. ±: standard error of a share over the random orders."
)


def _known(facts: Mapping[str, Any], key: str) -> bool:
    """Return whether any run has a figure; amplification, for one, needs the twins."""
    return facts["base"][key]["mean"] is not None or any(
        row["figures"][key]["without"] is not None for row in facts["knock_outs"]
    )


def _legend(facts: Mapping[str, Any], about: Mapping[str, str]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(style="dim", overflow="fold")
    for row in facts["knock_outs"]:
        grid.add_row(row["name"], "; ".join(about[name] for name in row["removes"] if about.get(name)))
    return grid


def _figure(facts: Mapping[str, Any], key: str) -> RenderableType:
    text = _text_of(key)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=30)
    for name in ("mean", "change", "95% interval", "same sign"):
        table.add_column(name, justify="right", no_wrap=True)
    base = facts["base"][key]
    table.add_row("base", text(base["mean"]), "", _interval(base, text), "", style="dim")
    for row in facts["knock_outs"]:
        cell = row["figures"][key]
        table.add_row(row["name"], text(cell["without"]), *_change(cell, cell["difference"], text))
        if row["interaction"]:
            joint = row["interaction"][key]
            table.add_row("  of it joint", "", *_change(joint, joint["mean"], text))
    if shares := facts["shapley"]:
        orders = shares["orders"]
        table.add_row(f"Shapley, {orders} random orders" if orders else "Shapley values", style="dim")
        for name, values in shares["values"].items():
            error = f"± {text(shares['order_errors'][name][key])}" if orders else ""
            table.add_row(f"  {name}", error, *_change(values[key], values[key]["mean"], text))
        whole, joint = shares["all"][key], shares["interaction"][key]
        table.add_row("  all together", text(whole["without"]), *_change(whole, whole["difference"], text))
        table.add_row("  of it joint", "", *_change(joint, joint["mean"], text))
    return table


def _change(row: Mapping[str, Any], mean: float | None, text: Callable[[float | None], str]) -> tuple[str, str, str]:
    sign = "+" if mean is not None and mean > 0 else ""
    share = "" if row["same_sign"] is None else f"{round(row['same_sign'] * row['count'])} of {row['count']}"
    return f"{sign}{text(mean)}", _interval(row, text), share


def _interval(row: Mapping[str, Any], text: Callable[[float | None], str]) -> str:
    return "" if row["low"] is None else f"{text(row['low'])} to {text(row['high'])}"


def _failures(facts: Mapping[str, Any]) -> Iterable[str]:
    if facts["failed"]:
        yield f"{facts['failed']} of {facts['runs']} runs failed and are left out, with their pairs:"
        yield from (f"  {error}" for error in facts["errors"][:5])


def _title(key: str) -> str:
    """Return what people call a figure.

    >>> _title("total_losses.net"), _title("prices.usde-pool.low"), _title("prices.alt*.drawdown")
    ('Net loss', 'Low of usde-pool', 'Drawdown of alt*')
    """
    name, _, column = key.removeprefix("prices.").rpartition(".")
    return TITLES.get(key) or f"{column.capitalize()} of {name}"


def _unit(key: str, currency: str) -> str:
    return f" ({currency})" if _text_of(key) is _money else ""


def _text_of(key: str) -> Callable[[float | None], str]:
    if key.endswith(".drawdown"):
        return _share
    if key.startswith("prices."):
        return _price
    return _money if key.startswith(("total_losses.net", "total_losses.peak", "liquidated")) else _plain


def _money(value: float | None) -> str:
    return "–" if value is None else money(value)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _price(value: float | None) -> str:
    return "–" if value is None else price(value)


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"
