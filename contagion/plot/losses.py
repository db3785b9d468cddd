"""Who lost and through what: the net loss by channel, and the same loss by who bears it in the end."""

import math
from collections.abc import Mapping
from typing import Any

from contagion.plot.style import GREY, PALETTE, SMALL, TEXT, amounts_on, literal, note, signed, style
from contagion.words import money, size_of

_ROWS = 12
_SMALLEST = 0.001
"""Of the largest of its group: what is smaller could not be seen."""


def draw_losses(axes: Any, run: Any) -> None:
    """Draw the losses of a run as two groups of bars that both sum to its net loss."""
    facts = run.facts
    groups = {"by channel": _rows(facts["losses_by_channel"]), "by bearer": _rows(facts["losses_by_bearer"])}
    net = facts["total_losses"]["net"]
    title = f"net loss {signed(money(net))} {run.books.currency}"
    if not any(groups.values()):
        style(axes, title)
        axes.set_xticks([])
        axes.set_yticks([])
        note(axes, "nobody lost anything")
        return
    names, values, heads = list[str](), list[float](), list[tuple[int, str]]()
    for head, rows in groups.items():
        heads.append((len(names), head))
        names += ["", *(name for name, _ in rows)]
        values += [0.0, *(value for _, value in rows)]
    _draw_bars(axes, names, values)
    for place, head in heads:
        axes.annotate(
            head, xy=(0, place), xytext=(-6, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            ha="right", va="center", fontsize=TEXT, fontweight="bold", annotation_clip=False,
        )  # fmt: skip
    gains = "; hatched: gains" if min(values) < 0 else ""
    style(axes, f"{title}, by channel and by who bears it{gains}", grid="x")
    axes.set_xlabel(f"loss, {run.books.currency}", fontsize=SMALL, color=GREY)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _draw_bars(axes: Any, names: list[str], values: list[float]) -> None:
    from matplotlib import ticker

    size, unit = size_of(max(map(abs, values)))
    places, scaled = range(len(names)), [value / size for value in values]
    colours = [PALETTE[1] if value > 0 else "white" for value in values]
    edges = [PALETTE[1] if value > 0 else PALETTE[2] for value in values]
    bars = axes.barh(places, scaled, 0.7, color=colours, edgecolor=edges, linewidth=[bool(value) for value in values])
    for bar, value in zip(bars, values, strict=True):
        bar.set_hatch("////" * (value < 0))
    words = ["" if not name else signed(money(value)) for name, value in zip(names, values, strict=True)]
    axes.bar_label(bars, words, fontsize=SMALL, color=GREY, padding=4)
    axes.set_yticks(places, [literal(name) for name in names])
    axes.set_ylim(max(len(names), 10) - 0.4, -0.8)
    low, high = min(0.0, *scaled), max(0.0, *scaled)
    axes.set_xlim(low - 0.13 * (high - low) * (low < 0), high + 0.13 * (high - low))
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6))
    amounts_on(axes.xaxis, unit)


def _rows(table: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return (name, loss), the largest loss first; what is nothing left out, the smallest summed up."""
    rows = [(name, value) for name, value in table.items() if round(value, 2)]
    rows.sort(key=lambda row: (-abs(row[1]), row[0]))
    visible = [row for row in rows if abs(row[1]) >= _SMALLEST * abs(rows[0][1])]
    kept = visible if len(visible) <= _ROWS else visible[: _ROWS - 1]
    left = rows[len(kept) :]
    more = [(f"{len(left)} more", math.fsum(value for _, value in left))] if left else []
    return sorted(kept, key=lambda row: -row[1]) + more
