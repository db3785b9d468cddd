"""The picture of a run shows what moved, and is asked for before anything runs."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import contagion as cg
from contagion.cli import main
from tests.scenarios import CASCADE

pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")


@pytest.fixture(scope="module")
def cascade() -> Any:
    return cg.run(cg.loads(CASCADE))


def stub(prices: dict[str, list[tuple[float, float]]], kinds: dict[str, str] | None = None) -> Any:
    """Return what a picture reads of a run, with given (second, price) per feed."""
    names = list(prices)
    rows = [(round(t * 1e6), round(p * 1e9), n) for n, name in enumerate(names) for t, p in prices[name]]
    table = dict(zip(("time_us", "price", "market"), np.array(rows, dtype=np.int64).T, strict=True))
    none = np.array([], dtype=np.int64)
    return SimpleNamespace(
        tables={"prices": table, "events": {"time_us": none, "kind": none, "value": none}},
        books=SimpleNamespace(marks=[], own_marks=[], assets=[], holders=names,
                              holder_kinds=[(kinds or {}).get(n, "amm") for n in names], feeds=names,
                              kinds=["liquidation"], currency="USD", currency_decimals=6),
        facts={"scenario": "stub", "sim_seconds": 3600.0},
    )  # fmt: skip


def test_only_what_moved_is_drawn_and_the_deepest_fall_comes_first() -> None:
    from contagion.plot.prices import moving

    flat, small, large = [(0.0, 1.0), (9.0, 1.0)], [(0.0, 100.0), (9.0, 99.0)], [(0.0, 5.0), (3.0, 1.0), (9.0, 4.0)]
    lines, left_out = moving(stub({"flat": flat, "small": small, "large": large}))
    assert [(line.name, round(line.fall, 6)) for line in lines] == [("large", 0.8), ("small", 0.01)]
    assert left_out == 0


def test_more_markets_than_colours_are_counted() -> None:
    from contagion.plot.prices import moving
    from contagion.plot.style import PALETTE

    run = stub({f"m{n}": [(0.0, 1.0), (9.0, 0.9 - n / 100)] for n in range(len(PALETTE) + 3)})
    lines, left_out = moving(run)
    assert (len(lines), left_out) == (len(PALETTE), 3)


def test_liquidated_value_is_that_of_the_summary(cascade: Any) -> None:
    from contagion.plot.liquidations import liquidations

    times, values = liquidations(cascade)
    assert values.sum() == pytest.approx(cascade.facts["liquidated"]["value"])
    assert len(times) == cascade.facts["liquidated"]["count"]


@pytest.mark.parametrize(
    "prices",
    [
        {"calm": [(0.0, 1.0)]},
        {"deep": [(0.0, 1.0), (60.0, 0.001)], "oracle": [(0.0, 1.0), (90.0, 0.002)]},
        {"rising": [(0.0, 1.0), (60.0, 3.0)]},
        {f"same{n}": [(0.0, 1.0), (600.0, 0.5)] for n in range(8)},
    ],
)
def test_any_run_can_be_drawn(prices: dict[str, list[tuple[float, float]]], tmp_path: Path) -> None:
    from contagion.plot import draw

    draw(stub(prices, {"oracle": "oracle"}), tmp_path / "prices.png")
    assert (tmp_path / "prices.png").read_bytes().startswith(b"\x89PNG")


def test_names_and_patterns_choose_the_readers_of_a_price(cascade: Any) -> None:
    from contagion.plot.prices import chosen

    lines = chosen(cascade, ["pool", "orac*", "*oo*"])
    assert [(line.name, line.kind) for line in lines] == [("pool", "market"), ("oracle", "oracle")]


def test_a_price_that_there_is_not_is_answered_with_the_nearest(cascade: Any) -> None:
    from contagion.plot.prices import chosen

    with pytest.raises(KeyError, match="no price of 'pol'; did you mean 'pool'"):
        chosen(cascade, "pol")


def test_lines_at_one_place_are_told_apart_without_colour() -> None:
    from matplotlib.figure import Figure

    from contagion.plot.prices import draw_prices

    axes, same = Figure().subplots(), [(0.0, 1.0), (600.0, 0.5)]
    draw_prices(axes, stub({f"same{n}": same for n in range(8)}, {"same3": "oracle"}))
    markers = [line.get_marker() for line in axes.lines if line.get_linestyle() == "None"]
    assert len(set(markers)) == 8
    assert {line.get_linestyle() for line in axes.lines if len(line.get_xdata()) == 3} == {"-", "--"}


def test_more_prices_than_markers_are_refused() -> None:
    from contagion.plot.prices import chosen

    run = stub({f"m{n}": [(0.0, 1.0), (9.0, 0.9)] for n in range(9)})
    with pytest.raises(ValueError, match="9 prices are more than can be told apart, 8: m0, m1"):
        chosen(run, [f"m{n}" for n in range(9)])


def test_plot_adds_a_picture_to_the_run_directory(tmp_path: Path) -> None:
    scenario = tmp_path / "cascade.toml"
    scenario.write_text(CASCADE, encoding="utf-8")
    result = CliRunner().invoke(main, ["run", str(scenario), "-o", str(tmp_path / "out"), "--plot"])
    assert result.exit_code == 0
    assert (tmp_path / "out" / "prices.png").stat().st_size > 10_000


def test_a_missing_package_is_one_line_with_the_command_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (tmp_path / "cascade.toml").write_text(CASCADE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["run", "cascade.toml", "--plot"])
    assert result.exit_code == 3
    assert result.stderr == "drawing needs matplotlib: pip install 'contagion-engine[plot]'\n"
    assert [path.name for path in tmp_path.iterdir()] == ["cascade.toml"]
