"""The links of a cascade, as a person reads it: the order of an account, and when each of them happened."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from contagion.terminal.console import printed
from contagion.units import SECOND, format_duration

_WORDS = {True: "", False: "early", None: "never"}
_STYLES = {True: "", False: "red", None: "yellow"}


def links_text(console: Console, facts: Mapping[str, Any], scenario: str) -> str:
    """Return the text of `metrics.links.observed`."""
    parts: list[RenderableType] = [Text(f"{scenario}: {agreement(facts['order'])}", style="bold")]
    if facts["seen"]:
        parts += [links_table(facts["seen"], events=True), Text(_CLOSING, style="dim")]
    return printed(console, Group(*parts))


_CLOSING = (
    "First and last column: the place in the account and in the run. Early: it happened before one that the account "
    "tells before it. Kendall's tau is 1 for the order as told, -1 for its reverse. contagion why RUN NUMBER walks "
    "back from a link's first event."
)


def agreement(order: Mapping[str, Any]) -> str:
    """Return how well the observed order agrees with the stated one, in words.

    >>> agreement({"links": 4, "happened": 3, "pairs": 3, "in_order": 2, "tau": 0.3333})
    "3 of 4 links happened; 2 of 3 pairs in the stated order, Kendall's tau 0.33"
    >>> agreement({"links": 0, "happened": 0, "pairs": 0, "in_order": 0, "tau": None})
    'no links are stated'
    """
    if not order["links"]:
        return "no links are stated"
    text = f"{order['happened']} of {order['links']} links happened"
    text += f"; {order['in_order']} of {order['pairs']} pairs in the stated order" * bool(order["pairs"])
    return text + (f", Kendall's tau {order['tau']:.2f}" if order["tau"] is not None else "")


def links_table(seen: Mapping[str, Mapping[str, Any]], *, events: bool = False) -> Table:
    """Return a row a link, in the order of the account; events : whether with the number of its first event.

    What is short of room is the title, which goes on in the next line; times are never cut.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", justify="right", style="dim", no_wrap=True)
    table.add_column("as told", max_width=34)
    for name in ("first", *[""] * events, "events", "place"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in seen.values():
        word = Text(_WORDS[row["in_order"]], style=_STYLES[row["in_order"]])
        place = "–" if row["rank"] is None else str(row["rank"])
        number = ["" if row["event"] is None else f"#{row['event']}"] * events
        told = Text(row["title"])
        table.add_row(str(row["stated"]), told, _time(row["first"]), *number, f"{row['events']:,}", place, word)
    return table


def sides(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the links of two runs side by side: when each happened first, and its place in either run."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=30)
    for name in ("first A", "first B", "change", "place A", "place B"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        places = ("–" if row[key] is None else str(row[key]) for key in ("rank_a", "rank_b"))
        table.add_row(row["title"], _time(row["a"]), _time(row["b"]), _change(row["change"]), *places)
    return table


def _change(seconds: float | None) -> str:
    if not seconds:
        return "–" if seconds is None else "="
    return f"{'-' if seconds < 0 else '+'}{_time(abs(seconds))}"


def _time(seconds: float | None) -> str:
    """Return a time to the second, or to the millisecond below one minute."""
    if seconds is None:
        return "–"
    return format_duration(round(seconds) * SECOND if seconds >= 60 else round(seconds * 1000) * (SECOND // 1000))
