"""How deep the cascade went: failures by generation, by their trigger and by all that moved what they read.

By trigger, a failure is one generation deeper than the failure that set it off. Its weighted generation is one more
than the mean over all that moved its price, each by its share (`finance.branching`), and is counted rounded.
"""

from typing import Any

import numpy as np

from contagion.plot.style import GREY, PALETTE, SMALL, note, style

_BARS, _TICKS = 30, 16
_LOG_ABOVE = 60
"""Ratio of the largest to the smallest generation from which numbers stand on a logarithmic axis."""


def draw_depth(axes: Any, run: Any) -> None:
    """Draw the failures of a run by generation."""
    failed, events = run.tables["failures"], run.tables["events"]
    trigger = events["generation"][failed["event"]].astype(np.int64)
    if not len(trigger):
        style(axes, "failures by generation")
        axes.set_xticks([])
        axes.set_yticks([])
        note(axes, "nothing failed")
        return
    weighted = np.maximum(np.rint(failed["weighted"]).astype(np.int64), 1)
    deepest = int(max(trigger.max(), weighted.max()))
    width = -(-deepest // _BARS)
    sizes = [np.bincount((depths - 1) // width, minlength=-(-deepest // width)) for depths in (trigger, weighted)]
    places = np.arange(len(sizes[0]))
    _draw_bars(axes, places, sizes)
    shown = places[:: -(-len(places) // _TICKS)]
    axes.set_xticks(shown, [_name(int(place) * width + 1, width, deepest) for place in shown])
    axes.set_xlabel("generation" + f", {width} a bar" * (width > 1))
    style(axes, f"failures by generation\n{_headline(run, int(trigger.max()))}")


def _draw_bars(axes: Any, places: Any, sizes: Any) -> None:
    largest, smallest = max(size.max() for size in sizes), min(size[size > 0].min() for size in sizes)
    if largest > _LOG_ABOVE * smallest:
        axes.set_yscale("log")
        axes.set_ylim(0.6, largest * 2.5)
    else:
        axes.set_ylim(0, largest * 1.15)
        axes.yaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    hatched = {"facecolor": "white", "edgecolor": PALETTE[1], "hatch": "////"}
    kinds = {"by trigger": {"color": PALETTE[0]}, "by weighted generation, rounded": hatched}
    for side, (size, (label, look)) in enumerate(zip(sizes, kinds.items(), strict=True)):
        bars = axes.bar(places + (side - 0.5) * 0.4, size, 0.36, label=label, **look)
        if len(places) <= 15:
            axes.bar_label(bars, [f"{n:,}" if n else "" for n in size], fontsize=7.5, color=GREY, padding=1)
    axes.set_ylabel("failures", fontsize=SMALL, color=GREY)
    axes.legend(frameon=False, fontsize=SMALL, loc="upper right")


def _name(first: int, width: int, deepest: int) -> str:
    last = min(first + width - 1, deepest)
    return f"{first}" if last == first else f"{first}–{last}"


def _headline(run: Any, trigger: int) -> str:
    """Return the depths that the summary states."""
    words = [f"{trigger} deep by trigger"]
    if weighted := run.facts.get("cascade_depth_weighted"):
        words.append(f"{weighted['mean']:.2f} weighted by value (95% within {weighted['p95']:.2f})")
    if (canonical := run.facts.get("cascade_depth_canonical")) is not None:
        words.append(f"{canonical} in synchronous rounds")
    return ", ".join(words)
