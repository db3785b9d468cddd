"""The still picture of a chart over time: what is seen without scripts, in print, and by who cannot see colours.

Lines differ by dashes and carry their names at their ends; bars have a row a series, with its name above.
"""

import math
from typing import Any

import numpy as np
from markupsafe import Markup

from contagion.report.charts import Chart, Series
from contagion.report.moments import Floats
from contagion.report.svg import drawing, joined, nice_ticks, number, shortened, tag, time_ticks
from contagion.units import SECOND, format_clock
from contagion.words import money, spread

WIDTH, HEIGHT = 620.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 158.0, 10.0, 26.0
_ROW = 62.0


class _Scale:
    """From a value to a place: linear, or by the logarithm."""

    def __init__(self, low: float, high: float, start: float, end: float, log: bool = False) -> None:
        self.low, self.high, self.start, self.end, self.log = low, high, start, end, log

    def __call__(self, values: Any) -> Any:
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        numbers = np.log(np.maximum(values, self.low)) if self.log else np.asarray(values, np.float64)
        return self.start + (numbers - low) / ((high - low) or 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return the round values to name."""
        if not self.log:
            return nice_ticks(self.low, self.high)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        every = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
        inside = [value for value in every if self.low <= value <= self.high]
        return inside[:: max(len(inside) // 6, 1)]


def picture(chart: Chart) -> Markup:
    """Return the SVG of a chart."""
    return _bars(chart) if chart.bars else _lines(chart)


def _lines(chart: Chart) -> Markup:
    seconds = np.array(chart.seconds)
    x = _Scale(seconds[0], seconds[-1], _LEFT, WIDTH - _RIGHT)
    y = _scale(chart)
    parts = [_grid(y, chart), _time_axis(x, HEIGHT - _BOTTOM)]
    places = x(seconds)
    for place, one in enumerate(chart.series):
        if one.low is not None and one.high is not None:
            parts.append(tag("path", class_=f"band s{place}", d=_band(places, y(one.low), y(one.high))))
    for place, one in enumerate(chart.series):
        parts.append(tag("path", class_=f"line s{place} d{place % 4}", d=_steps(places, y(one.values))))
    parts.append(_end_labels(chart, y))
    return drawing(WIDTH, HEIGHT, f"{chart.title}, {chart.unit}", *parts, class_="chart")


def _scale(chart: Chart) -> _Scale:
    known = [bound for one in chart.series for bound in (one.values, one.low, one.high) if bound is not None]
    low, high = (float(function([function(bound) for bound in known])) for function in (np.nanmin, np.nanmax))
    room = (high - low) * 0.04 or abs(high) * 0.01 or 1.0
    if chart.log:
        return _Scale(low / 1.1, high * 1.1, HEIGHT - _BOTTOM, _TOP, log=True)
    bottom = 0.0 if 0 <= low < 0.3 * high else low - room
    return _Scale(bottom, high + room, HEIGHT - _BOTTOM, _TOP)


def _grid(y: _Scale, chart: Chart) -> Markup:
    ticks = y.ticks()
    parts = []
    for value in ticks:
        at = float(y(value))
        kind = "zero" if value == 0.0 else "grid"
        parts.append(tag("line", class_=kind, x1=_LEFT, x2=WIDTH - _RIGHT, y1=at, y2=at))
        parts.append(tag("text", _value(value, ticks), class_="tick", x=_LEFT - 6, y=at + 4, text_anchor="end"))
    return joined(parts)


def _time_axis(x: _Scale, bottom: float) -> Markup:
    parts = [tag("line", class_="axis", x1=x.start, x2=x.end, y1=bottom, y2=bottom)]
    ticks = time_ticks(x.low, x.high)
    digits = 0 if all(moment == round(moment) for moment in ticks) else 3
    for moment in ticks:
        at = float(x(moment))
        parts.append(tag("line", class_="axis", x1=at, x2=at, y1=bottom, y2=bottom + 4))
        word = format_clock(round(moment * SECOND), digits)
        anchor = "middle" if at > _LEFT / 2 else "start"
        parts.append(tag("text", word, class_="tick", x=at, y=bottom + 17, text_anchor=anchor))
    return joined(parts)


def _end_labels(chart: Chart, y: _Scale) -> Markup:
    """Return each line's name, a piece of the line before it, and a thread to where the line ends."""
    ends = [float(y(_last(one.values))) for one in chart.series]
    heights = spread(ends, 15.0, _TOP + 4, HEIGHT - _BOTTOM - 2)
    left = WIDTH - _RIGHT
    parts = []
    for place, (one, end, height) in enumerate(zip(chart.series, ends, heights, strict=True)):
        parts.append(
            tag("path", class_="thread", d=f"M{number(left)} {number(end)}L{number(left + 8)} {number(height)}")
        )
        key = f"M{number(left + 10)} {number(height)}h26"
        parts.append(tag("path", class_=f"line s{place} d{place % 4}", d=key))
        parts.append(tag("text", shortened(one.label, 20), class_="name", x=left + 41, y=height + 4))
    return joined(parts)


def _bars(chart: Chart) -> Markup:
    seconds = np.array(chart.seconds)
    height = _TOP + len(chart.series) * _ROW + _BOTTOM
    x = _Scale(seconds[0], seconds[-1], 12.0, WIDTH - 90.0)
    largest = max(float(one.values.max()) for one in chart.series) or 1.0
    parts = []
    for place, one in enumerate(chart.series):
        bottom = _TOP + (place + 1) * _ROW - 4
        parts += [
            _bar_row(one, x(seconds), bottom, largest, place),
            tag("line", class_="axis", x1=12.0, x2=WIDTH - 90.0, y1=bottom, y2=bottom),
        ]
        parts.append(tag("text", one.label, class_="name", x=12.0, y=bottom - _ROW + 16))
        total = money(float(one.values.sum()))
        parts.append(tag("text", total, class_="name", x=WIDTH - 84.0, y=bottom))
    label = f"{chart.title}, {chart.unit}; the largest bar is {money(largest)}"
    return drawing(WIDTH, height, label, *parts, _time_axis(x, height - _BOTTOM), class_="chart")


def _bar_row(one: Series, places: Floats, bottom: float, largest: float, place: int) -> Markup:
    """Return the bars of one series, each at least a hair high, as one path."""
    steps = []
    for left, right, value in zip(places[:-1], places[1:], one.values.tolist(), strict=True):
        if value > 0:
            up = max(value / largest * (_ROW - 20), 0.8)
            wide = max(right - left - 0.6, 0.8)
            steps.append(f"M{left:.1f} {bottom:.1f}v{-up:.1f}h{wide:.1f}v{up:.1f}z")
    return tag("path", class_=f"bar s{place}", d="".join(steps))


def _steps(x: Floats, y: Floats) -> str:
    """Return a path that is level until the next step, what does not change left out."""
    known = np.flatnonzero(~np.isnan(y))
    if not len(known):
        return ""
    xs, ys = np.round(x[known], 1).tolist(), np.round(y[known], 1).tolist()
    parts, now = [f"M{xs[0]:g} {ys[0]:g}"], ys[0]
    for at, height in zip(xs[1:], ys[1:], strict=True):
        if height != now:
            parts.append(f"H{at:g}V{height:g}")
            now = height
    return "".join([*parts, f"H{xs[-1]:g}"])


def _band(x: Floats, low: Floats, high: Floats) -> str:
    """Return the outline of what lies between two levels, each for the step before its moment."""
    known = np.flatnonzero(~np.isnan(low))
    if len(known) < 2:
        return ""
    xs = np.round(x[known], 1).tolist()
    up, down = np.round(high[known], 1).tolist(), np.round(low[known], 1).tolist()
    parts = [f"M{xs[0]:g} {up[1]:g}"]
    parts += [f"V{up[k]:g}H{xs[k]:g}" for k in range(1, len(xs))]
    parts += [f"V{down[k]:g}H{xs[k - 1]:g}" for k in range(len(xs) - 1, 0, -1)]
    return "".join([*parts, "z"])


def _last(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known[-1]) if len(known) else 0.0


def _value(value: float, ticks: list[float]) -> str:
    """Return a tick with as many digits as tell it from its neighbour."""
    if abs(value) >= 10_000:
        return money(value)
    step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else abs(value) or 1.0
    digits = min(max(-math.floor(math.log10(step) + 1e-9), 0), 8)
    return f"{value:,.{digits}f}"
