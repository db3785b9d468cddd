"""What a growing shock does, as one picture: losses, how deep it goes, and what each failure sets off.

Means over seeds, with bands from the least to the most of any seed; dashed lines are the smallest shocks that
break something.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.plot.style import GREY, PALETTE, EndLabel, amounts_on, label_ends, literal, style
from contagion.words import size_of

Floats = NDArray[np.float64]
Points = Sequence[Mapping[str, Any]]

_BLUE, _RED, _GREEN, _PINK = PALETTE[:4]
_MARKS = {"unfunded": ("a loss that nobody covers", _RED), "majority": ("n = 1/2", _BLUE),
          "growth": ("N2 = N1", _GREEN)}  # fmt: skip


def draw(facts: Mapping[str, Any], path: Path, currency: str = "USD") -> None:
    """Write the picture of a fragility study as a PNG; facts : as the study states them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(2.2, 1.2, 1.2))
    points = facts["points"]
    sizes = np.array([point["size"] for point in points])
    _draw_losses(top, sizes, points, currency)
    _draw_depth(middle, sizes, points)
    _draw_branching(bottom, sizes, points)
    _draw_smallest((top, middle, bottom), facts)
    bottom.set_xlabel(f"{literal(facts['shock'])}, from mild to severe")
    bottom.set_xlim(facts["from"], facts["to"])
    if max(abs(facts["from"]), abs(facts["to"])) <= 1.0:
        bottom.xaxis.set_major_formatter(lambda value, _: f"{value * 100:.10g}%")
    else:
        bottom.xaxis.set_major_formatter(lambda value, _: _short(value))
    seeds = len(facts["seeds"])
    title = f"{literal(facts['scenario'] or 'scenario')}: fragility over {seeds} seed{'s' * (seeds != 1)}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.savefig(path, metadata={"Software": None})


def _draw_losses(axes: Any, sizes: Floats, points: Points, currency: str) -> None:
    net, unfunded = (_series(points, f"total_losses.{name}") for name in ("net", "unfunded"))
    largest = np.nanmax(np.abs(np.append(net, unfunded)), initial=0.0)
    size, unit = size_of(float(largest))
    curves = [("net loss", _BLUE, net / size), ("unfunded", _RED, unfunded / size)]
    amounts_on(axes.yaxis, unit)
    axes.set_ylim(min(0.0, float(np.nanmin(net, initial=0.0)) / size * 1.1), max(1.3 * float(largest) / size, 1e-9))
    _draw_curves(axes, sizes, curves, f"lost, {currency} (bands: all seeds)")


def _draw_depth(axes: Any, sizes: Floats, points: Points) -> None:
    names = {"by trigger": (_BLUE, "cascade_depth"), "weighted": (_PINK, "cascade_depth_weighted.mean")}
    curves = [(label, colour, _series(points, name)) for label, (colour, name) in names.items()]
    axes.set_ylim(0.0, 1.1 * max(1.0, *(float(np.nanmax(values, initial=0.0)) for _, _, values in curves)))
    _draw_curves(axes, sizes, curves, "depth, generations")


def _draw_branching(axes: Any, sizes: Floats, points: Points) -> None:
    names = {"n": (_BLUE, "branching_ratio"), "N2/N1": (_GREEN, "offspring")}
    curves = []
    for label, (colour, name) in names.items():
        values = np.array([np.nan if point[name] is None else point[name] for point in points], np.float64)
        curves.append((label, colour, np.stack([values] * 3)))
    axes.axhline(1.0, color=GREY, linewidth=0.8)
    axes.set_ylim(0.0, 1.1 * max(1.0, *(float(np.nanmax(values, initial=0.0)) for _, _, values in curves)))
    title = "branching; n: failures that another set off, of all; N2/N1: second generation over first"
    _draw_curves(axes, sizes, curves, title)


def _draw_curves(axes: Any, sizes: Floats, curves: Sequence[tuple[str, str, Floats]], title: str) -> None:
    """Draw curves of (name, colour, mean and both ends of a band), each with its name at its end."""
    labels = []
    for label, colour, (mean, low, high) in curves:
        axes.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(sizes, mean, color=colour, linewidth=1.8, marker="o", markersize=3)
        if len(known := mean[np.isfinite(mean)]):
            labels.append(EndLabel(float(known[-1]), label, colour))
    style(axes, title)
    label_ends(axes, labels, float(sizes[-1]))


def _draw_smallest(axes: Sequence[Any], facts: Mapping[str, Any]) -> None:
    """Draw a dashed line through all panels at each smallest shock, and say what it is at its top."""
    for place, (criterion, (words, colour)) in enumerate(_MARKS.items()):
        if (found := facts["smallest"][criterion]) is None:
            continue
        for panel in axes:
            panel.axvline(found["size"], color=colour, linewidth=1.2, linestyle=(0, (4, 2)))
        late = abs(found["size"] - facts["from"]) > 0.5 * abs(facts["to"] - facts["from"])
        axes[0].annotate(
            f"{words}: {_short(found['size'])}", xy=(found["size"], 0.94 - 0.07 * place),
            xycoords=("data", "axes fraction"), xytext=(-5 if late else 5, 0), textcoords="offset points",
            ha="right" if late else "left", va="center", color=colour, fontsize=9.5,
            bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
        )  # fmt: skip


def _series(points: Points, name: str) -> Floats:
    """Return mean, least and most of a figure over the points, nan where there is none."""
    rows = [[point["figures"][name][key] for point in points] for key in ("mean", "least", "most")]
    return np.array([[np.nan if value is None else value for value in row] for row in rows], np.float64)


def _short(value: float) -> str:
    """Return a size as an axis shows it: a share as a percentage, else a number with a unit.

    >>> _short(-0.118), _short(22_500_000), _short(1195.625)
    ('-11.8%', '22.5M', '1,195.62')
    """
    if abs(value) <= 1.0:
        return f"{value * 100:.4g}%"
    if abs(value) < 1e6:
        return f"{value:,.6g}"
    size, unit = size_of(abs(value))
    return f"{value / size:,.4g}{unit}"
