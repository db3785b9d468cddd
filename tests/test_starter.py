"""The scenario that `contagion init` writes: named like its directory, small, and with every section in it."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from contagion.cli import main
from contagion.scenario import ScenarioParams, load

pytestmark = pytest.mark.usefixtures("empty")

NOT_SHOWN = {"notes", "currency_decimals", "monotone", "nodes_csv", "exposures_csv", "positions_csv", "extends", "set"}
"""What a first scenario can do without."""


def facts_of(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


@pytest.mark.parametrize("name", ["mine", 'with "quotes" and ü'])
def test_it_is_named_like_its_directory(name: str) -> None:
    assert CliRunner().invoke(main, ["init", f"below/{name}"]).exit_code == 0
    assert load(f"below/{name}/scenario.toml").name == name


def test_it_has_every_section() -> None:
    CliRunner().invoke(main, ["init", "mine"])
    assert set(load("mine/scenario.toml").source.data) == set(ScenarioParams.model_fields) - NOT_SHOWN


def test_its_links_happen_as_told_and_a_milder_shock_meets_its_target() -> None:
    CliRunner().invoke(main, ["init", "mine"])
    for size, met in (("-12%", 0), ("-10%", 1)):
        facts = facts_of("run", "mine/scenario.toml", "--no-twins", "-s", f"shocks.sale.size={size}")
        assert facts["links"]["order"] == {"links": 3, "happened": 3, "pairs": 3, "in_order": 3, "tau": 1.0}
        assert facts_of("targets", facts["directory"])["inside"] == met


def test_events_that_look_alike_are_told_apart_to_the_last_digit() -> None:
    """Without the loop the lender's interest is another, and with it the first liquidation, by some base units."""
    CliRunner().invoke(main, ["init", "mine"])
    for name, *options in (("base",), ("without", "--knock-out", "loops")):
        facts_of("run", "mine/scenario.toml", "--no-twins", "-o", name, *options)
    text = CliRunner().invoke(main, ["diff", "base", "without"]).stdout
    assert "differ in quantity (677,909,045 and 677,909,034), value (2,541.390175 and 2,541.390134)" in " ".join(
        text.split()
    )
