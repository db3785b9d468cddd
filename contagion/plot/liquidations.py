"""When how much was liquidated: a bar a step of time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.metrics.venues import is_kind
from contagion.plot.prices import Span
from contagion.plot.style import GREY, amounts_on, note, style
from contagion.units import SECOND
from contagion.words import size_of

_BINS = 150
_WIDTHS = (1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400, 604_800)
"""Seconds that one bar may stand for."""


def liquidations(run: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (seconds, value in the currency) of every liquidation."""
    events, books = run.tables["events"], run.books
    chosen = is_kind(events, books.kinds, "liquidation")
    return events["time_us"][chosen] / SECOND, events["value"][chosen] * 10.0**-books.currency_decimals


def draw_liquidations(axes: Any, run: Any, shown: Span) -> None:
    """Draw what was liquidated over a span of time."""
    from matplotlib import ticker

    times, values = liquidations(run)
    preferred = 1 if shown.seconds == 1.0 else 60
    width = next((w for w in _WIDTHS if w >= preferred and (shown.end - shown.start) / w <= _BINS), _WIDTHS[-1])
    edges = np.arange(np.floor(shown.start / width), np.ceil(shown.end / width) + 1) * width
    totals, _ = np.histogram(times, edges, weights=values)
    size, unit = size_of(float(totals.max()))
    whole, whole_unit = size_of(float(values.sum()))
    axes.bar(edges[:-1] / shown.seconds, totals / size, width / shown.seconds * 0.92, align="edge", color=GREY)
    amounts_on(axes.yaxis, unit)
    axes.yaxis.set_major_locator(ticker.MaxNLocator(4))
    total = f"; {values.sum() / whole:,.3g}{whole_unit} in all" if len(values) else ""
    style(axes, f"liquidated per {_in_words(width)}, {run.books.currency}{total}")
    axes.set_ylim(0, max(totals.max() / size * 1.1, 1e-9))
    if not len(times):
        axes.set_yticks([])
        note(axes, "nothing was liquidated")


def _in_words(width: int) -> str:
    for size, unit in ((604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if width >= size:
            return unit if width == size else f"{width // size} {unit}s"
    raise AssertionError(width)
