"""How all pictures look: colours, markers, axes, names at the ends of lines.

Colours are those of Okabe and Ito (2008), which people with colour blindness can tell apart; nothing is told by
colour alone. An axis that nobody gives is made with pyplot, so that a notebook shows it; nothing here shows a window.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from contagion.words import spread

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#5A5A5A"
PALE = "#E3E3E3"
SMALL, TEXT = 8.5, 9.5
"""Sizes of letters, in points."""

_UNITS = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


class EndLabel(NamedTuple):
    """What stands at the end of a line: where it ends, its name, its colour, and how it is drawn."""

    y: float
    text: str
    colour: str
    line: dict[str, Any] | None = None


def axes_or_new(ax: Any, width: float, height: float) -> Any:
    """Return the axes given or new ones, width and height in inches."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), layout="constrained")[1]


def style(axes: Any, title: str, grid: str = "y") -> None:
    """Give axes a title at the left and a pale grid, and take away what carries nothing."""
    axes.set_title(title, loc="left", fontsize=10, color=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=TEXT)


def note(axes: Any, text: str) -> None:
    """Write what there is to say where there is nothing to draw."""
    axes.text(0.5, 0.55, text, transform=axes.transAxes, ha="center", va="center", color=GREY)


def amounts_on(axis: Any, unit: str) -> None:
    """Write the amounts of an axis with commas and a unit of size, nothing as 0."""
    axis.set_major_formatter(lambda value, _: signed(f"{value:,.10g}{unit * bool(value)}"))


def signed(amount: str) -> str:
    """Return an amount in words with the minus sign that matplotlib writes on its axes."""
    return amount.replace("-", "−")


def literal(text: str) -> str:
    r"""Return a name as matplotlib writes it out: a dollar is a dollar and begins no formula.

    >>> literal("us$")
    'us\\$'
    """
    return text.replace("$", r"\$")


def time_unit(seconds: float) -> tuple[str, float]:
    """Return the unit in which a span of time reads well, and its seconds.

    >>> time_unit(90.0), time_unit(3_600.0), time_unit(172_800.0)
    (('seconds', 1.0), ('minutes', 60.0), ('hours', 3600.0))
    """
    unit, size = next(((word, size) for size, word in _UNITS if seconds > 5 * size), ("seconds", 1.0))
    return ("seconds", 1.0) if seconds <= 120.0 else (unit, size)


def label_ends(axes: Any, labels: Sequence[EndLabel], x: float) -> None:
    """Write each line's name beside its end, led to and moved apart where names would overlap."""
    from matplotlib.lines import Line2D

    axes.margins(y=0.06)
    axes.autoscale_view()
    to_axes = axes.transData + axes.transAxes.inverted()
    places = sorted(((float(to_axes.transform((x, one.y))[1]), one) for one in labels), key=lambda place: place[0])
    inches = axes.get_position().height * axes.figure.get_figheight()
    heights = spread([at for at, _ in places], TEXT * 1.45 / 72 / max(inches, 0.1), 0.02, 1.0)
    for (at, one), height in zip(places, heights, strict=True):
        left = 1.012
        if one.line is not None:
            left = 1.085
            axes.add_artist(
                Line2D(
                    [1.0, 1.025, 1.05, 1.075], [at, height, height, height], transform=axes.transAxes, clip_on=False,
                    **one.line,
                )
            )  # fmt: skip
        axes.annotate(
            literal(one.text), xy=(1.0, at), xytext=(left, height), xycoords="axes fraction",
            textcoords="axes fraction", color=one.colour, fontsize=TEXT, va="center", annotation_clip=False,
        )  # fmt: skip
