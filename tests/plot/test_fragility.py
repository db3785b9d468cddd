"""The picture of a fragility study is drawn whatever the curve."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")


def curve(sizes: list[float], unfunded: list[float], smallest: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a fragility study with one seed, in which the depth of the first size is not known."""
    points = [
        {"size": size, "branching_ratio": None, "offspring": place or None, "unfunded_share": 0.0, "figures": {
            name: {"mean": value, "least": value, "most": None} for name, value in (
                ("total_losses.net", -1.0), ("total_losses.unfunded", lost), ("cascade_depth", place or None),
                ("cascade_depth_weighted.mean", 1.0))}}
        for place, (size, lost) in enumerate(zip(sizes, unfunded, strict=True))
    ]  # fmt: skip
    return {"scenario": "s", "shock": "shocks.x.size", "from": sizes[0], "to": sizes[-1], "seeds": [1],
            "smallest": {"unfunded": None, "majority": None, "growth": None} | smallest, "points": points}  # fmt: skip


@pytest.mark.parametrize(
    "facts",
    [
        curve([-0.01, -0.5], [0.0, 9.0], {"unfunded": {"size": -0.4}, "growth": {"size": -0.02}}),
        curve([1e6, 2e6, 3e9], [0.0, 0.0, 0.0], {}),
    ],
)
def test_any_curve_can_be_drawn_from_mild_to_severe(facts: dict[str, Any], tmp_path: Path) -> None:
    from contagion.plot.fragility import draw

    draw(facts, tmp_path / "fragility.png")
    assert (tmp_path / "fragility.png").read_bytes().startswith(b"\x89PNG")
