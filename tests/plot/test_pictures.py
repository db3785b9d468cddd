"""Every picture is drawn of every run, fresh or saved, on axes of its own or on those given, and shows no window."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import contagion as cg
from contagion.errors import MissingExtra
from tests.scenarios import CASCADE

matplotlib = pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
PICTURES = ("prices", "depth", "losses", "network", "tree")


@pytest.fixture(autouse=True)
def _no_window(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    matplotlib.use("agg")
    from matplotlib import pyplot

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a window was shown")

    monkeypatch.setattr(pyplot, "show", refuse)
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def cascade() -> Any:
    return cg.run(cg.loads(CASCADE))


@pytest.fixture(scope="module")
def calm() -> Any:
    return cg.run(cg.loads(CASCADE), shock=False)


def texts(axes: Any) -> list[str]:
    """Return all that is written on axes once they are drawn."""
    from matplotlib.text import Text

    axes.figure.canvas.draw()
    return [text.get_text() for text in axes.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_is_drawn_on_axes_of_its_own(picture: str, cascade: Any) -> None:
    axes = getattr(cascade.plot, picture)()
    assert isinstance(axes, matplotlib.axes.Axes)
    assert axes.get_title(loc="left")
    axes.figure.canvas.draw()


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_is_drawn_on_the_axes_given(picture: str, cascade: Any) -> None:
    from matplotlib.figure import Figure

    given = Figure().subplots()
    assert getattr(cascade.plot, picture)(ax=given) is given
    assert given.has_data()


@pytest.mark.parametrize("picture", PICTURES)
def test_where_nothing_happened_a_picture_says_so(picture: str, calm: Any) -> None:
    axes = getattr(calm.plot, picture)()
    said = {"prices": "no price moved", "depth": "nothing failed", "losses": "nobody lost anything",
            "network": "exposures: size grows with equity at the start, × failed (0)",
            "tree": "nothing failed"}  # fmt: skip
    assert said[picture] in texts(axes)


def test_a_saved_run_gives_the_same_pictures(cascade: Any, tmp_path: Path) -> None:
    cascade.save(tmp_path / "run")
    saved = cg.load_run(tmp_path / "run")
    for picture in PICTURES:
        assert texts(getattr(saved.plot, picture)()) == texts(getattr(cascade.plot, picture)())


def test_names_are_written_as_they_are(tmp_path: Path) -> None:
    name = "a$b$ <script> {x} \\frac_"
    graph = cg.loads(CASCADE).graph()
    import networkx as nx

    graph = nx.relabel_nodes(graph, {"first": name})
    run = cg.run(graph)
    assert name in run.books.holders
    for picture in ("network", "tree"):
        axes = getattr(run.plot, picture)()
        assert any(text.replace(r"\$", "$").startswith(name) for text in texts(axes))


def test_losses_by_channel_and_by_bearer_both_sum_to_the_net_loss(cascade: Any) -> None:
    axes = cascade.plot.losses()
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    widths = [bar.get_width() for bar in axes.patches]
    second = max(place for place, name in enumerate(names) if not name)
    unit = cascade.facts["total_losses"]["net"] / sum(widths[:second])
    assert sum(widths[second:]) * unit == pytest.approx(cascade.facts["total_losses"]["net"])
    assert unit in (pytest.approx(1.0), pytest.approx(1e3), pytest.approx(1e6))


def test_depth_counts_the_failures_of_each_generation(cascade: Any) -> None:
    axes = cascade.plot.depth()
    trigger, weighted = ([bar.get_height() for bar in bars] for bars in axes.containers[:2])
    assert trigger == cascade.facts["generations"]
    assert sum(weighted) == cascade.facts["failures"]


def test_many_generations_share_bars(cascade: Any) -> None:
    from types import SimpleNamespace

    import numpy as np

    count = 95
    run = SimpleNamespace(
        tables={"events": {"generation": np.arange(1, count + 1)},
                "failures": {"event": np.arange(count), "weighted": np.arange(1.0, count + 1)}}, facts={},
    )  # fmt: skip
    from matplotlib.figure import Figure

    from contagion.plot.depth import draw_depth

    axes = Figure().subplots()
    draw_depth(axes, run)
    assert axes.get_xlabel() == "generation, 4 a bar"
    assert [bar.get_height() for bar in axes.containers[0]] == [4] * 23 + [3]


def test_without_matplotlib_the_command_is_said_in_a_line(cascade: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for picture in PICTURES:
        with pytest.raises(MissingExtra) as caught:
            getattr(cascade.plot, picture)()
        assert str(caught.value) == "drawing needs matplotlib: pip install 'contagion-engine[plot]'"
