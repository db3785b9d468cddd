"""Two runs side by side, as a person reads it: what went in, what came out, who failed, where the logs part."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from contagion.terminal.console import printed
from contagion.terminal.links import sides
from contagion.units import SECOND, format_duration
from contagion.words import count, money, price

_ROWS = 12
_HEADLINES = {
    "cascade_depth_weighted.mean": "depth, weighted",
    "cascade_depth": "depth, by trigger",
    "branching_ratio": "branching ratio",
    "failures": "failures",
    "total_losses.net": "net loss",
    "total_losses.peak": "net loss at its peak",
    "total_losses.gross": "losses of who lost",
    "total_losses.exogenous": "exogenous",
    "total_losses.endogenous": "endogenous",
    "total_losses.amplification": "amplification",
    "total_losses.unfunded": "unfunded",
    "liquidated.value": "liquidated",
    "liquidated.accounts": "accounts liquidated",
    "cancelled.value": "orders cancelled",
    "bad_debt": "bad debt",
    "insurance_used": "insurance used",
    "adl.value": "deleveraged",
}
_COUNTS = ("cascade_depth", "failures", "liquidated.accounts")
_RATIOS = ("cascade_depth_weighted.mean", "branching_ratio", "total_losses.amplification")
_GROUPS = {
    "losses_by_channel.": "Losses by channel",
    "losses_by_sector.": "Losses by sector",
    "losses_by_bearer.": "Losses by bearer",
}


def comparison_text(console: Console, facts: Mapping[str, Any]) -> str:
    """Return the text of a comparison."""
    parts: list[RenderableType] = []
    for label, block in _blocks(facts):
        parts += [Text(label, style="cyan"), Padding(block, (0, 0, 0, 2))]
    return printed(console, Group(*parts))


def _blocks(facts: Mapping[str, Any]) -> Iterable[tuple[str, RenderableType]]:
    for name in "ab":
        yield name.upper(), _head(facts["runs"][name])
    if facts["runs"]["a"]["digest"] == facts["runs"]["b"]["digest"]:
        yield "Same", Text("the two runs have the same events: one digest")
    if facts["settings"]:
        yield "Settings", _pairs([(row["setting"], row["a"], row["b"]) for row in facts["settings"]])
    if inputs := list(_inputs(facts["inputs"])):
        yield "Inputs", Group(*inputs)
    rows = {row["figure"]: row for row in facts["figures"]}
    known = {key: label for key, label in _HEADLINES.items() if key in rows and any(rows[key][run] for run in "ab")}
    yield "Headlines", _figures([_row(label, rows[key], _text_of(key)) for key, label in known.items()])
    for prefix, label in _GROUPS.items():
        chosen = [row for key, row in rows.items() if key.startswith(prefix) and _changed(row)]
        if chosen:
            yield label, _figures([_row(row["figure"].removeprefix(prefix), row, money) for row in _largest(chosen)])
    if prices := _prices(rows):
        yield "Prices", prices
    if facts["links"]:
        yield "Links", sides(facts["links"])
    yield "Failures in one run alone", _failures(facts["failures"])
    yield "Logs", Text("\n".join(_parting(facts["parting"])))


def _head(run: Mapping[str, Any]) -> Text:
    digest = str(run["digest"] or "")[:12]
    lines = [f"{run['directory'] or 'not saved'}: {run['scenario']} · seed {run['seed']} · digest {digest}"]
    return Text("\n".join(lines + [str(run["command"])] * bool(run["command"])))


def _pairs(rows: Sequence[tuple[str, Any, Any]]) -> RenderableType:
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("", "A", "B"):
        grid.add_column(name, overflow="fold")
    for name, a, b in rows[:_ROWS]:
        grid.add_row(name, _plain(a), _plain(b))
    return Group(grid, *_more(len(rows)))


def _inputs(inputs: Mapping[str, Any]) -> Iterable[RenderableType]:
    for key, name in (("only_a", "A"), ("only_b", "B")):
        if inputs[key]:
            shown = ", ".join(inputs[key][:6]) + f" and {len(inputs[key]) - 6:,} more" * (len(inputs[key]) > 6)
            yield Text(f"only in {name}: {shown}")
    if inputs["values"]:
        yield _pairs([(row["path"], row["a"], row["b"]) for row in inputs["values"]])


def _row(label: str, row: Mapping[str, Any], text: Callable[[float], str]) -> tuple[str, ...]:
    change, relative = row["change"], row["relative"]
    signed = "–" if change is None else f"{'+' * (change > 0)}{text(change)}" if change else "="
    of_it = "" if not relative else f"{relative:+.1%}" if abs(relative) < 10 else f"{relative:+,.0f} times"
    return (label, *("–" if row[k] is None else text(row[k]) for k in "ab"), signed, of_it)


def _prices(rows: Mapping[str, Mapping[str, Any]]) -> RenderableType | None:
    """Return lows and drawdowns of the prices that differ, the most different first; nothing where none does."""
    ends = (".low", ".drawdown")
    names = [key.removeprefix("prices.").removesuffix(ends[1]) for key in rows if key.endswith(ends[1])]
    pairs = {name: [rows[f"prices.{name}{end}"] for end in ends] for name in names}
    shared = {name: pair for name, pair in pairs.items() if pair[0]["change"] is not None}
    moved = [name for name, pair in shared.items() if any(row["change"] for row in pair)]
    alone = [Text(f"{len(pairs) - len(shared)} prices in one run alone", style="dim")] * (len(pairs) > len(shared))
    if not moved:
        return Group(*alone) if alone else None
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=26)
    for head in ("low A", "low B", "drawdown A", "drawdown B"):
        table.add_column(head, justify="right", no_wrap=True)
    for name in sorted(moved, key=lambda name: -abs(shared[name][1]["change"]))[:_ROWS]:
        low, fall = shared[name]
        table.add_row(name, price(low["a"]), price(low["b"]), f"{fall['a']:.1%}", f"{fall['b']:.1%}")
    return Group(table, *_more(len(moved)), *alone)


def _figures(rows: Sequence[tuple[str, ...]]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=26)
    for name in ("A", "B", "change", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows[:_ROWS] if len(rows) > len(_HEADLINES) else rows:
        table.add_row(*row)
    return Group(table, *_more(len(rows), _ROWS if len(rows) > len(_HEADLINES) else len(rows)))


def _more(total: int, shown: int = _ROWS) -> list[RenderableType]:
    return [Text(f"{total - shown:,} more", style="dim")] * (total > shown)


def _failures(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    if not rows:
        return Text("the same nodes and members failed in both")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column("kind", no_wrap=True)
    for name in ("only A", "only B", "first A", "first B"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows[:_ROWS]:
        numbers = [f"{row[key]:,}" for key in ("only_a", "only_b")]
        table.add_row(row["node"], row["kind"], *numbers, *(_time(row[key]) for key in ("first_a", "first_b")))
    return Group(table, *_more(len(rows)))


def _parting(parting: Mapping[str, Any] | None) -> Iterable[str]:
    if parting is None:
        yield "the same from the opening to the end"
        return
    yield f"the same for {count(parting['events'], 'event')} after the opening, and then"
    for key in "ab":
        yield f"{key.upper()}: {_event(parting[key])}"
    a, b = parting["a"], parting["b"]
    if a and b and _event(a) == _event(b | {"event": a["event"]}):  # the same, as far as it is shown
        yield "which differ in " + ", ".join(
            f"{key} ({_exact(a[key])} and {_exact(b[key])})" for key in a if key != "event" and a[key] != b[key]
        )


def _exact(value: Any) -> str:
    return f"{round(value, 9):,}" if isinstance(value, int | float) else str(value)


def _event(event: Mapping[str, Any] | None) -> str:
    if event is None:
        return "nothing more"
    member = "" if event["member"] is None else f"#{event['member']}"
    text = f"event {event['event']:,} at {_time(event['time'])}: {event['kind']} {event['node'] or ''}{member}".rstrip()
    text += f" on {event['market']}" * bool(event["market"] and event["market"] != event["node"])
    text += f", at {price(event['price'])}" * bool(event["price"] and event["kind"] != "carry")
    return text + f", worth {money(event['value'])}" * bool(event["value"])


def _changed(row: Mapping[str, Any]) -> bool:
    return row["change"] is None or abs(row["change"]) >= 0.005


def _largest(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: -abs(row["change"] or 0.0))


def _text_of(key: str) -> Callable[[float], str]:
    return _whole if key in _COUNTS else _two if key in _RATIOS else money


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _two(value: float) -> str:
    return f"{value:,.2f}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else str(value)


def _time(seconds: float | None) -> str:
    return "–" if seconds is None else format_duration(round(seconds) * SECOND)
