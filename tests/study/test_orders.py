"""What is left of a figure when those who act at the same moment act in another order."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import contagion as cg
from contagion.cli import main
from contagion.study.orders import order_sensitivity
from tests.scenarios import CASCADE

DEAR = """
[nodes.dear]
kind = "liquidator"
unconditional = true
gas = 5_000
balances = { usd = 10_000_000 }

[[edges]]
role = "liquidations"
from = "lender"
to = "dear"

[[edges]]
role = "trades"
from = "dear"
to = "pool"
"""
TIED = CASCADE + DEAR
"""Two keepers who hear of a position at the same moment, one of whom pays $5,000 for gas."""


def test_a_cascade_one_after_the_other_does_not_depend_on_the_order_of_ties() -> None:
    found = order_sensitivity(cg.loads(CASCADE), 4)
    for row in found["figures"].values():
        assert row["low"] == pytest.approx(row["stated"]) == pytest.approx(row["high"])
    assert (found["orders"], found["errors"]) == (4, [])


def test_the_range_is_over_the_run_itself_and_every_order() -> None:
    model = cg.loads(TIED)
    found = order_sensitivity(model, 3, seed=5)
    runs = [cg.run(model, seed=5, twins=False, shuffle_ties=order) for order in range(4)]
    net = [run.facts["total_losses"]["net"] for run in runs]
    assert found["figures"]["total_losses.net"] == {"stated": net[0], "low": min(net), "high": max(net)}
    assert found["distinct"] == len({run.manifest["digest"] for run in runs}) > 1
    assert max(net) - min(net) == pytest.approx(10_000)  # both liquidations by the one, or both by the other


def test_orders_differ_in_nothing_but_ties_and_the_first_is_that_of_the_flag() -> None:
    model = cg.loads(TIED)
    digests = [cg.run(model, twins=False, shuffle_ties=order).manifest["digest"] for order in (0, 1, True, False)]
    assert digests[0] == digests[3] != digests[1] == digests[2]


def test_the_canonical_depth_of_a_monotone_system_is_the_same_in_any_order() -> None:
    depths = {cg.run(cg.loads(CASCADE), shuffle_ties=order).facts["cascade_depth_canonical"] for order in range(4)}
    assert depths == {2}


def test_a_run_that_fails_is_an_error_and_not_a_figure() -> None:
    brittle = CASCADE + '\n[nodes.vase]\nkind = "tests.kinds.brittle"\nbreaks_on = [1]\n'
    found = order_sensitivity(cg.loads(brittle, allow_code=True), 1, seed=1, allow_code=True)
    assert found["errors"] == ["ArithmeticError: seed 1 is too much for me"]
    assert found["figures"]["failures"] == {"stated": None, "low": None, "high": None}


def test_what_is_knocked_out_is_out_in_every_order() -> None:
    found = order_sensitivity(cg.loads(TIED), 2, knock_outs=["dear", "keeper"])
    assert found["figures"]["failures"] == {"stated": 0, "low": 0, "high": 0}
    quiet = order_sensitivity(cg.loads(TIED), 2, shock=False)
    assert quiet["figures"]["total_losses.net"]["high"] == pytest.approx(0, abs=1e-3)


def test_a_run_states_the_range_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "tied.toml").write_text(TIED, encoding="utf-8")
    arguments = ["run", str(tmp_path / "tied.toml"), "-o", str(tmp_path / "out"), "--orders", "3", "--no-twins"]
    result = CliRunner().invoke(main, [*arguments, "--quiet"])
    assert result.exit_code == 0
    assert "Ties          over 3 random orders of what is simultaneous: net 3.1" in result.stdout
    saved = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["order_sensitivity"]
    assert saved == order_sensitivity(cg.loads(TIED), 3)


def test_no_order_at_all_is_no_range() -> None:
    with pytest.raises(ValueError, match="0 orders give no range"):
        order_sensitivity(cg.loads(CASCADE), 0)


def test_a_run_of_which_an_order_fails_is_kept_and_ends_with_1(tmp_path: Path) -> None:
    brittle = CASCADE + '\n[nodes.vase]\nkind = "tests.kinds.brittle"\nbreaks_on_shuffled = true\n'
    (tmp_path / "brittle.toml").write_text(brittle, encoding="utf-8")
    arguments = ["run", str(tmp_path / "brittle.toml"), "-o", str(tmp_path / "out"), "--orders", "1", "--no-twins"]
    result = CliRunner().invoke(main, [*arguments, "--quiet", "--allow-code"])
    assert result.exit_code == 1
    assert "always the same; runs that failed are left out" in " ".join(result.stdout.split())
    assert (tmp_path / "out" / "summary.json").exists()
