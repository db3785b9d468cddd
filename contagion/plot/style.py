"""How all pictures look: colours, markers, axes, amounts in words, names at the ends of lines.

Colours are those of Okabe and Ito (2008), which people with colour blindness can tell apart; nothing is told by
colour alone. An axis that nobody gives is made with pyplot, so that a notebook shows it; nothing here shows a window.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#5A5A5A"
PALE = "#E3E3E3"
SMALL, TEXT = 8.5, 9.5
"""Sizes of letters, in points."""

_SIZES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"), (0.0, ""))
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
    axis.set_major_formatter(lambda value, _: f"{value:,.10g}{unit * bool(value)}".replace("-", "−"))


def literal(text: str) -> str:
    r"""Return a name as matplotlib writes it out: a dollar is a dollar and begins no formula.

    >>> literal("us$")
    'us\\$'
    """
    return text.replace("$", r"\$")


def size_of(amount: float) -> tuple[float, str]:
    """Return a unit of size for an amount, and its letter.

    >>> size_of(2.5e6), size_of(12.0)
    ((1000000.0, 'M'), (1.0, ''))
    """
    size, unit = next(pair for pair in _SIZES if amount >= pair[0])
    return size or 1.0, unit


def amount(value: float) -> str:
    """Return an amount with three digits.

    >>> amount(-5_131_232.77), amount(978.2), amount(0.0)
    ('−5.13M', '978', '0')
    """
    size, unit = size_of(abs(value) * 1.0005)
    digits = 0 if abs(value / size) >= 99.95 or not value else 1 if abs(value / size) >= 9.995 else 2
    return f"{value / size:,.{digits}f}{unit}".replace("-", "−")


def time_unit(seconds: float) -> tuple[str, float]:
    """Return the unit in which a span of time reads well, and its seconds.

    >>> time_unit(90.0), time_unit(3_600.0), time_unit(172_800.0)
    (('seconds', 1.0), ('minutes', 60.0), ('hours', 3600.0))
    """
    unit, size = next(((word, size) for size, word in _UNITS if seconds > 5 * size), ("seconds", 1.0))
    return ("seconds", 1.0) if seconds <= 120.0 else (unit, size)


def clock(seconds: float) -> str:
    """Return a moment as short as it can be said.

    >>> clock(48.25), clock(439.0), clock(7_200.0), clock(180_000.0)
    ('48.2 s', '7 min 19 s', '2 h', '2 d 2 h')
    """
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    parts: list[tuple[int, str]] = []
    rest = round(seconds)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        number, rest = divmod(rest, size)
        parts += [(number, unit)] if number or parts else []
    return " ".join(f"{number} {unit}" for number, unit in parts[:2] if number)


def label_ends(axes: Any, labels: Sequence[EndLabel], x: float) -> None:
    """Write each line's name beside its end, led to and moved apart where names would overlap."""
    from matplotlib.lines import Line2D

    axes.margins(y=0.06)
    axes.autoscale_view()
    to_axes = axes.transData + axes.transAxes.inverted()
    places = sorted(((float(to_axes.transform((x, one.y))[1]), one) for one in labels), key=lambda place: place[0])
    inches = axes.get_position().height * axes.figure.get_figheight()
    heights = spread([at for at, _ in places], TEXT * 1.45 / 72 / max(inches, 0.1))
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


def spread(heights: list[float], gap: float) -> list[float]:
    """Return ascending heights moved apart by a gap, evenly to both sides, but within 0.02 and 1.

    >>> spread([0.5, 0.5, 0.9], 0.1)
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
