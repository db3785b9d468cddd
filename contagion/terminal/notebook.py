"""The summary as a notebook shows it: the words of the terminal in tables, which inherit the notebook's own colours.

Nothing is loaded from anywhere, every name is escaped, and there is no script. Greys are half transparent, so that
they are seen on white and on black. A summary is a dictionary, which its reader may have edited: what then fits into
no table is shown as the plain text that Python has for it.
"""

import math
from collections.abc import Iterable, Mapping
from html import escape
from pprint import pformat
from typing import Any

from contagion.facts import Summary, shown
from contagion.terminal import TWINS, deepest
from contagion.units import SECOND, format_duration
from contagion.words import count, headline, money, price, shocked

_ROWS = 12
_EDITED = (TypeError, LookupError, AttributeError, ValueError, ArithmeticError, RecursionError)
"""What figures raise that are gone, of another type, not finite, or inside themselves."""
_STYLE = """<style>
.contagion-view { font-size: 13px; line-height: 1.4; max-width: 60em; }
.contagion-view table { border-collapse: collapse; margin: .2em 0 .6em; font-size: inherit; color: inherit; }
.contagion-view .cards { display: flex; flex-wrap: wrap; gap: 0 3em; align-items: flex-start; }
.contagion-view th, .contagion-view td { padding: .1em 1em .1em 0; text-align: left; }
.contagion-view th, .contagion-view td { vertical-align: top; background: none; }
.contagion-view th { font-weight: normal; opacity: .75; }
.contagion-view .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.contagion-view tr { border-bottom: 1px solid rgba(128, 128, 128, .3); background: none; }
.contagion-view .bar { display: inline-block; height: .75em; background: currentColor; opacity: .55; }
.contagion-view .gain { background: none; border: 1px solid currentColor; box-sizing: border-box; }
.contagion-view .dim { opacity: .75; }
.contagion-view summary { cursor: pointer; }
</style>"""

_CARDS = (
    ("net loss", "total_losses.net"), ("peak", "total_losses.peak"), ("exogenous", "total_losses.exogenous"),
    ("endogenous", "total_losses.endogenous"), ("unfunded", "total_losses.unfunded"),
    ("liquidated", "liquidated.value"), ("bad debt", "bad_debt"),
)  # fmt: skip


def run_html(run: Any) -> str:
    """Return a run for a notebook: what happened, the figures, losses, prices and twins, and what to type next."""
    if not run.facts:
        return _page("<p>A run without a summary.</p>")
    try:
        return _page(_run(run))
    except _EDITED as error:
        return _plain(run.facts, error)


def summary_html(summary: Any) -> str:
    """Return a summary for a notebook: a row a key, tables inside it to be opened."""
    try:
        return _page(_tree(Summary.to_dict(summary)))
    except _EDITED as error:
        return _plain(vars(summary), error)


def _plain(facts: Any, error: Exception) -> str:
    why = escape(f"Not as a run writes it ({type(error).__name__}: {str(error)[:100]}):")
    text = escape(pformat(facts, width=100, compact=True, sort_dicts=False))
    return _page(f"<p class='dim'>{why}</p><pre>{text}</pre>")


def _run(run: Any) -> str:
    facts, currency = run.facts, run.books.currency
    simulated = format_duration(round(facts["sim_seconds"] * SECOND))
    name, digest = facts["scenario"] or "a graph", facts["digest"][:12]
    title = f"{name} · seed {facts['seed']} · {simulated} simulated · digest {digest}"
    parts = [
        f"<p class='dim'>{escape(title)}</p>",
        f"<p><b>{escape(headline(facts, currency, shocked(run.manifest)))}</b></p>",
        "<div class='cards'>" + _table((label, _n(money(value))) for label, value in _cards(facts, currency)),
        _table((label, _n(text)) for label, text in _counts(facts)) + "</div>",
        _section("Losses by channel", _bars(facts["losses_by_channel"]), open_=True),
        _section("Losses by bearer", _bars(facts["losses_by_bearer"])),
        _section("Prices", _prices(facts["prices"])),
        _section("Twins", _twins(facts)) if facts.get("twins") else "",
    ]
    failed = deepest(run)
    why = f"run.why({failed!r}) · " if failed else ""
    parts.append(f"<p class='dim'><code>{escape(why)}run.plot.prices() · run.plot.tree() · run.summary</code></p>")
    return "".join(parts)


def _cards(facts: Mapping[str, Any], currency: str) -> Iterable[tuple[str, float]]:
    for label, key in _CARDS:
        table, _, inner = key.partition(".")
        value = facts[table][inner] if inner else facts[table]
        if value is not None:
            yield f"{label}, {currency}", value


def _counts(facts: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    weighted, amplified = facts["cascade_depth_weighted"], facts["total_losses"]["amplification"]
    yield "failures", f"{facts['failures']:,}"
    yield "depth by trigger", count(facts["cascade_depth"], "generation")
    if weighted:
        yield "weighted depth", f"{weighted['mean']:.2f} (p95 {weighted['p95']:.2f})"
    if amplified is not None:
        yield "amplification", f"{amplified:.3g} times"
    yield "accounts liquidated", f"{facts['liquidated']['accounts']:,}"
    yield "orders cancelled", f"{facts['cancelled']['orders']:,}"
    imbalance = facts["ledger"]["max_imbalance"] if "ledger" in facts else 0
    yield "ledger", "balanced" if not imbalance else f"IMBALANCE of {imbalance}"


def _bars(table: Mapping[str, float]) -> str:
    """Return a row a name with a bar as long as its loss, hollow for a gain; what is zero left out."""
    rows = sorted(((k, v) for k, v in table.items() if round(v, 2)), key=lambda row: -abs(row[1]))
    largest = max((abs(value) for _, value in rows), default=1.0)
    cells: list[tuple[str, ...]] = []
    for name, value in rows[:_ROWS]:
        bar, width = "bar gain" if value < 0 else "bar", 12 * abs(value) / largest
        cells.append((name, _n(money(value)), f"<span class='{bar}' style='width: {width:.2f}em'></span>"))
    if len(rows) > _ROWS:
        cells.append((f"{len(rows) - _ROWS} more", _n(money(math.fsum(value for _, value in rows[_ROWS:]))), ""))
    return _table(cells) if cells else "<p>nothing</p>"


def _prices(prices: Mapping[str, Mapping[str, float]]) -> str:
    rows = sorted(prices.items(), key=lambda item: -item[1]["drawdown"])
    cells = [
        (name, *(_n(price(row[key])) for key in ("first", "low", "last")), _n(f"{row['drawdown']:.1%}"))
        for name, row in rows[:_ROWS]
    ]
    more = f"<p class='dim'>{len(rows) - _ROWS} more fell less</p>" if len(rows) > _ROWS else ""
    return _table(cells, ("", "first", "low", "last", "deepest fall")) + more


def _twins(facts: Mapping[str, Any]) -> str:
    own = {**facts, "net": facts["total_losses"]["net"]}
    rows = [
        (f"{name} ({TWINS[name]})" if name in TWINS else name, _n(money(twin["net"])), _n(f"{twin['failures']:,}"),
         _n(str(twin["cascade_depth"])))
        for name, twin in {"this run": own, **facts["twins"]}.items()
    ]  # fmt: skip
    return _table(rows, ("", "net loss", "failures", "depth"))


class _Number(str):
    """A cell that stands at the right."""


def _n(text: str) -> _Number:
    return _Number(text)


def _table(rows: Iterable[tuple[str, ...]], heads: tuple[str, ...] = ()) -> str:
    """Return a table; the first cell of a row is its name. Only what is a bar already is not escaped."""
    lines = ["<tr>" + "".join(f"<th class='n'>{escape(head)}</th>" for head in heads) + "</tr>"] if heads else []
    for name, *cells in rows:
        inner = "".join(
            f"<td class='n'>{escape(cell)}</td>" if isinstance(cell, _Number) else f"<td>{cell}</td>" for cell in cells
        )
        lines.append(f"<tr><th>{escape(name)}</th>{inner}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _section(title: str, inside: str, open_: bool = False) -> str:
    return f"<details{' open' * open_}><summary>{escape(title)}</summary>{inside}</details>"


def _tree(table: Mapping[str, Any]) -> str:
    rows = []
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            number = len(value)
            rows.append((str(key), _section(f"{number} entr{'y' if number == 1 else 'ies'}", _tree(value))))
        else:
            rows.append((str(key), escape(shown(value) or "none")))
    return _table(rows)


def _page(inside: str) -> str:
    return f"<div class='contagion-view'>{_STYLE}{inside}</div>"
