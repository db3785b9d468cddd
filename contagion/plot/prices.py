"""How far every price fell: one line a feed, relative to its start, so that markets of any unit share one axis.

Each line carries its name and its worst fall at its end. The markets by which holders value what they have come before
others. Lines are told apart by their markers, which stand for no moment of their own, and kinds of feeds by their
dashes. Where a price moves more often than the picture can show, the line is the last price of each step and a pale
band spans its lowest and highest.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.errors import closest
from contagion.metrics.groups import rows_by_group
from contagion.plot.style import GREY, MARKERS, PALETTE, EndLabel, label_ends, note, style, time_unit
from contagion.units import PRICE_SCALE, SECOND

SMALLEST_MOVE = 0.001
_LOG_BELOW = 0.1
_STEPS = 250
_MARKERS = 9
_DASHES: dict[str, Any] = {"market": "-", "oracle": (0, (4, 1.5)), "index or mark": (0, (1, 1.2)),
                           "fundamental": (0, (6, 1.5, 1, 1.5))}  # fmt: skip
_SAYS = {"market": "solid: markets", "oracle": "dashed: oracles", "index or mark": "dotted: indices and marks",
         "fundamental": "dash-dotted: fundamentals"}  # fmt: skip


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


class Span(NamedTuple):
    """What a time axis shows: first and last second, the unit's name and its seconds."""

    start: float
    end: float
    unit: str
    seconds: float


def moving(run: Any) -> tuple[list[Line], int]:
    """Return the feeds that moved, the one that fell most first, and how many more moved but are not shown."""
    books = run.books
    found = [line for line in _lines(run, range(len(books.holders))) if np.abs(line.ratio - 1).max() >= SMALLEST_MOVE]
    own = {books.feeds[feed] for feed in (*books.marks, *(feed for *_, feed in books.own_marks))}
    found.sort(key=lambda one: (one.name not in own, -one.fall, one.kind == "oracle", one.name))
    return found[: len(PALETTE)], max(len(found) - len(PALETTE), 0)


def chosen(run: Any, markets: Iterable[str]) -> list[Line]:
    """Return the feeds of these names, or of patterns (``usde*``) of names in the summary's prices, in their order.

    KeyError for what matches no feed that has a price, ValueError for more of them than can be told apart.
    """
    feeds, quoted = run.books.feeds, set(np.unique(run.tables["prices"]["market"]).tolist())
    known, names = [name for number, name in enumerate(feeds) if number in quoted], list[str]()
    for pattern in [markets] if isinstance(markets, str) else markets:
        shown = [pattern] if pattern in known else run.facts.get("prices", ())
        matches = [name for name in shown if fnmatchcase(name, pattern) or name == pattern]
        if not matches:
            raise KeyError(f"no price of {pattern!r}{closest(pattern, known)}")
        names += [name for name in matches if name not in names]
    if len(names) > len(PALETTE):
        raise ValueError(f"{len(names)} prices are more than can be told apart, {len(PALETTE)}: {', '.join(names)}")
    return _lines(run, [feeds.index(name) for name in names])


def span(run: Any, paths: Sequence[Line], times: NDArray[np.float64]) -> Span:
    """Return what an axis shows of the moments at which something happened, with some room around them."""
    horizon = float(run.facts.get("sim_seconds") or 1.0)
    moments = np.concatenate([times, *(one.seconds[1:] for one in paths)])
    if not len(moments):
        return Span(0.0, horizon, *time_unit(horizon))
    first, last = float(moments.min()), float(moments.max())
    room = max((last - first) * 0.08, 1.0)
    start, end = max(first - room, 0.0), min(last + room, max(horizon, last))
    return Span(start, end, *time_unit(end - start))


def draw_prices(axes: Any, run: Any, markets: Iterable[str] | None = None) -> None:
    """Draw the prices of a run, those that moved most where no markets are named."""
    paths, left_out = moving(run) if markets is None else (chosen(run, markets), 0)
    shown = span(run, paths, np.array([]))
    draw_lines(axes, paths, left_out, shown)
    time_axis(axes, shown)


def time_axis(axes: Any, shown: Span) -> None:
    """Set the limits of a time axis and say its unit."""
    axes.set_xlim(shown.start / shown.seconds, shown.end / shown.seconds)
    axes.set_xlabel(f"{shown.unit} since the start")


def draw_lines(axes: Any, paths: Sequence[Line], left_out: int, shown: Span) -> None:
    """Draw feeds over a span of time."""
    unit, end, labels = shown.seconds, shown.end, []
    for number, one in enumerate(paths):
        colour, whole = PALETTE[number], one
        if len(one.seconds) > _STEPS:
            one = _banded(axes, one, end, unit, colour)
        x, y = np.append(one.seconds, end) / unit, np.append(one.ratio, one.ratio[-1]) * 100
        marker = MARKERS[number]
        look = {"color": colour, "marker": marker, "markersize": 8.5 if marker == "*" else 6.5,
                "markeredgecolor": colour if marker in "PX*" else "white", "markeredgewidth": 0.5}  # fmt: skip
        axes.step(x, y, where="post", color=colour, linewidth=1.8, linestyle=_DASHES[one.kind])
        at = shown.start + (np.arange(_MARKERS) + (number + 0.5) / len(paths)) / _MARKERS * (end - shown.start)
        heights = y[np.maximum(np.searchsorted(x, at / unit, side="right") - 1, 0)]
        axes.plot(at / unit, heights, linestyle="none", **look)
        line = look | {"linestyle": _DASHES[one.kind], "linewidth": 1.8, "markevery": [2]}
        text = f"{one.name}  −{whole.fall:.1%}" if whole.fall > 0 else one.name
        labels.append(EndLabel(float(y[-1]), text, colour, line))
    axes.axhline(100, color=GREY, linewidth=0.8)
    _price_axis(axes, paths)
    axes.set_xlim(shown.start / unit, end / unit)
    label_ends(axes, labels, end / unit)
    if not paths:
        axes.set_yticks([100])
        note(axes, "no price moved")
        style(axes, "price, start = 100%")
        return
    kinds = [says for kind, says in _SAYS.items() if any(one.kind == kind for one in paths)]
    dashes = "; " + ", ".join(kinds) if len(kinds) > 1 else ""
    more = f"; {left_out} more moved less" if left_out else ""
    style(axes, f"price, start = 100%; at the end: name, deepest fall{dashes}{more}")


def _price_axis(axes: Any, paths: Sequence[Line]) -> None:
    from matplotlib import ticker

    if min((float(one.ratio.min()) for one in paths), default=1.0) < _LOG_BELOW:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5), numticks=12))
        axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}%")


def _lines(run: Any, feeds: Iterable[int]) -> list[Line]:
    """Return the lines of those of some feeds that have a price."""
    table, books = run.tables["prices"], run.books
    rows_of, found = rows_by_group(table["market"].astype(np.int64), len(books.feeds)), []
    for feed in feeds:
        rows = rows_of[feed]
        if len(rows):
            prices = table["price"][rows] / PRICE_SCALE
            found.append(
                Line(books.feeds[feed], _kind(books, feed), table["time_us"][rows] / SECOND, prices / prices[0])
            )
    return found


def _kind(books: Any, feed: int) -> str:
    owner = books.feeds[feed].partition("/")[0]
    owners = dict(zip(books.holders, books.holder_kinds, strict=True))
    kind = books.holder_kinds[feed] if feed < len(books.holders) else owners.get(owner, "exchange")
    return {"oracle": "oracle", "exchange": "index or mark", "asset": "fundamental"}.get(kind, "market")


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
