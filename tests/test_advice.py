"""What is allowed but hardly meant is said, and a run of which no shock happens is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from contagion.advice import advice
from contagion.cli import main
from contagion.scenario import load, loads
from tests.scenarios import CASCADE

pytestmark = pytest.mark.usefixtures("empty")


def invoke(text: str, *arguments: str) -> Result:
    Path("x.toml").write_text(text, encoding="utf-8")
    return CliRunner().invoke(main, list(arguments))


RUN = ("run", "x.toml", "--no-twins", "--quiet", "-o", "out")
SECOND = '[[shocks]]\nkind = "sale"\nmarket = "pool"\nasset = "eth"\nquantity = 1\nat = "11min"\n'
LATE = CASCADE.replace('at = "1s"', 'at = "11min"')
TWO = CASCADE.replace("[switches.liquidators]", SECOND + "[switches.liquidators]")


def test_a_scenario_of_which_no_shock_happens_is_refused_and_writes_nothing() -> None:
    for arguments in (RUN, ("validate", "x.toml"), ("attribute", "x.toml", "-o", "out")):
        result = invoke(LATE, *arguments)
        assert result.exit_code == 3
        assert "x.toml:111:1: shocks[0].at: no shock happens: the first is at 11min, after the end at 10min" in (
            result.output
        )
        assert not Path("out").exists()


def test_where_a_run_ends_is_what_counts_and_the_control_run_needs_no_shock() -> None:
    assert invoke(LATE, *RUN, "--until", "12min").exit_code == 0
    assert invoke(LATE, "run", "x.toml", "--no-shock", "--quiet", "-o", "control").exit_code == 0
    assert "after the end at 0.5s" in invoke(CASCADE, "run", "x.toml", "--until", "500ms", "-o", "short").stderr


def test_one_shock_of_two_that_never_happens_is_a_warning() -> None:
    line = next(number for number, text in enumerate(TWO.splitlines(), 1) if text == 'at = "11min"')
    warning = f"x.toml:{line}:1: shocks[1].at: never happens: 11min is after the end at 10min (a warning)"
    result = invoke(TWO, *RUN)
    assert (result.exit_code, result.stderr) == (0, warning + "\n")
    checked = invoke(TWO, "validate", "x.toml")
    assert (checked.exit_code, checked.stdout.splitlines()[0]) == (0, warning)


def test_steps_of_a_shock_that_lie_after_the_end_are_counted() -> None:
    text = CASCADE.replace('at = "1s"', 'at = "1min"\nover = "20min"\nsteps = 21')
    assert [problem.what for problem in advice(loads(text))] == ["10 of its 21 steps happen before the end at 10min"]
    assert advice(loads(text), 21 * 60_000_000) == []


def test_borrowers_whom_nothing_liquidates_are_named_by_their_lender() -> None:
    lends = '[[edges]]\nrole = "lends"\nfrom = "lender"\nto = "second"\n'
    assert lends in CASCADE
    (warning,) = advice(loads(CASCADE.replace(lends, "")))
    assert warning.what == "without a 'lends' edge from 'lender' these borrowers are never liquidated: second"
    assert warning.path == "edges[7]"
    assert advice(loads(CASCADE)) == []


def test_a_halt_that_never_begins_is_a_warning() -> None:
    model = loads(CASCADE)
    halts = [{"start": "5min", "end": "6min"}, {"start": "11min", "end": "12min"}]
    nodes = {**model.params.nodes, "venue": {"kind": "exchange", "halts": halts}}
    late = replace(model, params=model.params.model_copy(update={"nodes": nodes}))
    assert [(problem.path, problem.what) for problem in advice(late)] == [
        ("nodes.venue.halts[1]", "never begins: 11min is after the end at 10min")
    ]


@pytest.mark.parametrize("name", ["interbank", "usde-loops", "venue-crash"])
def test_shipped_scenarios_mean_what_they_say(name: str) -> None:
    assert advice(load(name, reduced=True)) == []
