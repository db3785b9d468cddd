"""A run as one picture: how far every price fell, and when how much was liquidated.

Prices are shown relative to their start, so that markets of any unit share one axis; each line carries its
name and its worst fall at its end. The markets by which holders value what they have come before others.
Where a price moves more often than the picture can show, the line is the last price of each step and a pale band
spans its lowest and highest. The time axis spans what happened, not the whole horizon. Colours are those of
Okabe and Ito (2008), which people with colour blindness can tell apart.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.units import PRICE_SCALE, SECOND

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
SMALLEST_MOVE = 0.001
_LOG_BELOW = 0.1
_GREY = "#5A5A5A"
_BINS = 150
_STEPS = 500
_SIZES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"), (0.0, ""))
_WIDTHS = (1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400)
"""Seconds that one bar may stand for."""


class Line(NamedTuple):
    """One feed over time: seconds, price relative to its start."""

    name: str
    kind: str
    seconds: NDArray[np.float64]
    ratio: NDArray[np.float64]

    @property
    def fall(self) -> float:
        """Return the largest fall below the start."""
        return float(1.0 - self.ratio.min())


def draw(run: Any, path: Path) -> None:
    """Write the picture of a run as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    paths, left_out = moving(run)
    times, values = liquidations(run)
    start, end, unit, seconds = _span(run, paths, times)
    figure = Figure(figsize=(10, 6.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.3))
    _draw_prices(top, paths, left_out, (start, end, seconds))
    _draw_liquidations(bottom, times, values, (start, end, seconds), run.books.currency)
    bottom.set_xlabel(f"{unit} since the start")
    bottom.set_xlim(start / seconds, end / seconds)
    title = run.facts.get("scenario") or "run"
    figure.suptitle(f"{title}: prices and liquidations", x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.savefig(path, metadata={"Software": None})


def moving(run: Any) -> tuple[list[Line], int]:
    """Return the feeds that moved, the one that fell most first, and how many more moved but are not shown."""
    table, books = run.tables["prices"], run.books
    found: list[Line] = []
    primary: dict[str, bool] = {}
    own = {feed for marks in books.marks for feed in marks[: len(books.assets)]}
    for feed in np.unique(table["market"]).tolist():
        rows = np.flatnonzero(table["market"] == feed)
        prices = table["price"][rows] / PRICE_SCALE
        ratio = prices / prices[0]
        if feed < len(books.holders) and np.abs(ratio - 1).max() >= SMALLEST_MOVE:
            kind = books.holder_kinds[feed]
            found.append(Line(books.feeds[feed], kind, table["time_us"][rows] / SECOND, ratio))
            primary[books.feeds[feed]] = feed in own
    found.sort(key=lambda one: (not primary[one.name], -one.fall, one.kind == "oracle", one.name))
    return found[: len(PALETTE)], max(len(found) - len(PALETTE), 0)


def liquidations(run: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (seconds, value in the currency) of every liquidation."""
    events, books = run.tables["events"], run.books
    chosen = np.array([kind == "liquidation" for kind in books.kinds])[events["kind"]]
    return events["time_us"][chosen] / SECOND, events["value"][chosen] * 10.0**-books.currency_decimals


def _span(run: Any, paths: list[Line], times: NDArray[np.float64]) -> tuple[float, float, str, float]:
    """Return (first second, last second, unit, seconds in a unit) of what happened, with some room around it."""
    horizon = float(run.facts.get("sim_seconds") or 1.0)
    moments = np.concatenate([times, *(one.seconds[1:] for one in paths)]) if paths or len(times) else np.array([])
    if not len(moments):
        return 0.0, horizon, "minutes", 60.0
    first, last = float(moments.min()), float(moments.max())
    room = max((last - first) * 0.08, 1.0)
    start, end = max(first - room, 0.0), min(last + room, max(horizon, last))
    return (start, end, "minutes", 60.0) if end - start > 120.0 else (start, end, "seconds", 1.0)


def _banded(axes: Any, line: Line, end: float, unit: float, colour: str) -> Line:
    """Draw the band of a line that moves too often, and return the line of its last prices, a step each."""
    edges = np.linspace(0.0, end, _STEPS + 1)
    at = np.searchsorted(edges, line.seconds, side="right")
    steps, first = np.unique(at, return_index=True)
    low, high = (reduce(line.ratio, first) for reduce in (np.minimum.reduceat, np.maximum.reduceat))
    last = line.ratio[np.append(first[1:], len(at)) - 1]
    start = edges[np.minimum(steps, _STEPS) - 1]
    axes.fill_between(start / unit, low * 100, high * 100, step="post", color=colour, alpha=0.15, linewidth=0)
    return line._replace(seconds=start, ratio=last)


def _draw_prices(axes: Any, paths: list[Line], left_out: int, span: tuple[float, float, float]) -> None:
    from matplotlib import ticker

    _, end, seconds = span
    labels = []
    for colour, one in zip(PALETTE, paths, strict=False):
        if len(one.seconds) > 2 * _STEPS:
            one = _banded(axes, one, end, seconds, colour)
        x, y = np.append(one.seconds, end) / seconds, np.append(one.ratio, one.ratio[-1]) * 100
        dashed = one.kind == "oracle"
        axes.step(x, y, where="post", color=colour, linewidth=1.8, linestyle=(0, (4, 1.5)) if dashed else "-")
        labels.append((float(y[-1]), f"{one.name}  −{one.fall:.1%}" if one.fall > 0 else one.name, colour))
    lowest = min((float(one.ratio.min()) for one in paths), default=1.0)
    if lowest < _LOG_BELOW:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5), numticks=12))
        axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.10g}%"))
    axes.axhline(100, color=_GREY, linewidth=0.8)
    _label_ends(axes, labels, end / seconds)
    if not paths:
        axes.set_yticks([100])
        axes.text(0.5, 0.54, "no price moved", transform=axes.transAxes, ha="center", color=_GREY)
        _style(axes, "price, start = 100%")
        return
    more = f"; {left_out} more moved less" if left_out else ""
    dashes = "; dashed: oracles" if any(one.kind == "oracle" for one in paths) else ""
    _style(axes, f"price, start = 100% (at the line's end: name and deepest fall{dashes}{more})")


def _label_ends(axes: Any, labels: list[tuple[float, str, str]], x: float, gap: float = 0.062) -> None:
    """Write each line's name beside its end, moved apart where they would overlap."""
    axes.margins(y=0.06)
    axes.autoscale_view()
    to_axes = axes.transData + axes.transAxes.inverted()
    places = sorted((float(to_axes.transform((x, y))[1]), text, colour) for y, text, colour in labels)
    heights = _spread([at for at, _, _ in places], gap)
    for (at, text, colour), height in zip(places, heights, strict=True):
        axes.annotate(
            text, xy=(1.0, at), xytext=(1.012, height), xycoords="axes fraction", textcoords="axes fraction",
            color=colour, fontsize=9.5, va="center", annotation_clip=False,
        )  # fmt: skip


def _spread(heights: list[float], gap: float) -> list[float]:
    """Return ascending heights moved apart by a gap, evenly to both sides, but within 0.02 and 1.

    >>> _spread([0.5, 0.5, 0.9], 0.1)
    [0.45, 0.55, 0.9]
    """
    for _ in range(200):
        for low in range(len(heights) - 1):
            missing = gap - (heights[low + 1] - heights[low])
            if missing > 1e-9:
                heights[low] -= missing / 2
                heights[low + 1] += missing / 2
        if heights:
            heights[0], heights[-1] = max(heights[0], 0.02), min(heights[-1], 1.0)
    return [round(height, 6) for height in heights]


def _draw_liquidations(
    axes: Any, times: NDArray[np.float64], values: NDArray[np.float64], span: tuple[float, float, float], currency: str
) -> None:
    from matplotlib import ticker

    start, end, seconds = span
    preferred = 60 if seconds == 60.0 else 1
    width = next((w for w in _WIDTHS if w >= preferred and (end - start) / w <= _BINS), _WIDTHS[-1])
    edges = np.arange(np.floor(start / width), np.ceil(end / width) + 1) * width
    totals, _ = np.histogram(times, edges, weights=values)
    size, unit = _size_of(float(totals.max()))
    whole, whole_unit = _size_of(float(values.sum()))
    axes.bar(edges[:-1] / seconds, totals / size, width / seconds * 0.92, align="edge", color=_GREY)
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.10g}{unit * bool(value)}"))
    axes.yaxis.set_major_locator(ticker.MaxNLocator(4))
    total = f"; {values.sum() / whole:,.3g}{whole_unit} in all" if len(values) else ""
    _style(axes, f"liquidated per {_in_words(width)}, {currency}{total}")
    axes.set_ylim(0, max(totals.max() / size * 1.1, 1e-9))
    if not len(times):
        axes.set_yticks([])
        axes.text(0.5, 0.5, "nothing was liquidated", transform=axes.transAxes, ha="center", color=_GREY)


def _size_of(amount: float) -> tuple[float, str]:
    size, unit = next(pair for pair in _SIZES if amount >= pair[0])
    return size or 1.0, unit


def _in_words(width: int) -> str:
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if width >= size:
            return unit if width == size else f"{width // size} {unit}s"
    raise AssertionError(width)


def _style(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=_GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E3E3E3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9.5)
