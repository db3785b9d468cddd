"""Pictures of a run (extra `plot`): ``run.plot.prices()``, and all that the command line draws.

Every picture takes the axes to draw on, or makes its own, and returns them; none shows a window. A run that was saved
gives the same pictures as a fresh one.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from contagion.errors import need
from contagion.plot.depth import draw_depth
from contagion.plot.liquidations import draw_liquidations, liquidations
from contagion.plot.losses import draw_losses
from contagion.plot.network import draw_network
from contagion.plot.prices import draw_lines, draw_prices, moving, span, time_axis
from contagion.plot.style import axes_or_new, literal
from contagion.plot.tree import draw_tree

__all__ = ["Plots", "draw"]


class Plots:
    """What can be drawn of a run: each method returns matplotlib axes, those given as `ax` or new ones.

    MissingExtra, with the command that installs it, where there is no matplotlib.
    """

    def __init__(self, run: Any) -> None:
        self._run = run

    def __repr__(self) -> str:
        return "run.plot: prices() depth() losses() network() tree()"

    def prices(self, markets: Iterable[str] | str | None = None, ax: Any = None) -> Any:
        """Draw prices relative to their start, each line with its name and its deepest fall at its end.

        markets : names or patterns (``"usde*"``) of markets, oracles and other feeds, at most eight that match; default
        those that moved, the markets by which holders value what they have first. KeyError for what matches nothing.
        """
        return self._drawn(draw_prices, ax, 9.0, 4.6, markets)

    def depth(self, ax: Any = None) -> Any:
        """Draw the failures by generation: by trigger, and by weighted generation."""
        return self._drawn(draw_depth, ax, 8.0, 4.0)

    def losses(self, ax: Any = None) -> Any:
        """Draw the net loss by channel and the same loss by who bears it, in the currency."""
        return self._drawn(draw_losses, ax, 8.5, 6.0)

    def network(self, ax: Any = None) -> Any:
        """Draw the exposure graph: size is equity at the start, shape is the kind, what failed is crossed out."""
        return self._drawn(draw_network, ax, 11.0, 8.0)

    def tree(self, ax: Any = None) -> Any:
        """Draw which failures set off which, under the shocks that began them, the largest branches first."""
        return self._drawn(draw_tree, ax, 10.0, 7.2)

    def _drawn(self, draw: Any, ax: Any, width: float, height: float, *arguments: Any) -> Any:
        need("plot", "matplotlib")
        axes = axes_or_new(ax, width, height)
        draw(axes, self._run, *arguments)
        return axes


def draw(run: Any, path: Path) -> None:
    """Write prices and liquidations of a run as a PNG; the time axis spans what happened, not the whole horizon."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    paths, left_out = moving(run)
    shown = span(run, paths, liquidations(run)[0])
    figure = Figure(figsize=(10, 6.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.3))
    draw_lines(top, paths, left_out, shown)
    draw_liquidations(bottom, run, shown)
    time_axis(bottom, shown)
    title = run.facts.get("scenario") or "run"
    figure.suptitle(f"{literal(title)}: prices and liquidations", x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.savefig(path, metadata={"Software": None})
