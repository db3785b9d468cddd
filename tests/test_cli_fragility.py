"""What `contagion fragility` prints and writes, and how it ends."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from contagion.cli import main
from tests.scenarios import CASCADE

pytestmark = pytest.mark.usefixtures("here")

RANGE = ["--shock", "shocks.0.quantity", "--from", "200", "--to", "400", "--points", "3"]


def fragility(*arguments: str, jobs: int = 1) -> Result:
    return CliRunner().invoke(main, ["fragility", "cascade.toml", "-j", str(jobs), *arguments])


def test_the_text_names_the_smallest_shocks_and_fits_eighty_columns() -> None:
    result = fragility(*RANGE, "--seeds", "2", "--seed", "5")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert max(map(len, lines)) <= 80
    text = " ".join(result.stdout.split())
    assert "a loss that nobody covers nowhere up to 400" in text
    assert "N2 >= N1 from 293.75 not yet at 292.96875" in text
    assert "2 seeds, 5 to 6" in lines[0]
    assert result.stderr == "3 sizes on 2 seeds, and what lies between: 48 runs at most\n"


def test_a_branching_ratio_of_one_is_said_to_be_out_of_reach_and_why() -> None:
    text = " ".join(fragility(*RANGE, "--seeds", "1", "--quiet").stdout.split())
    assert "n >= 1 never at any size: each failure has one parent at most; N2 >= N1 stands for it" in text


def test_what_breaks_at_once_or_not_at_every_larger_size_is_said() -> None:
    result = fragility("--shock", "shocks.0.quantity", "--from", "300", "--to", "900", "--points", "2", "--seeds", "1")
    assert "n >= 1/2 from 300 at the mildest already, and not at every larger size" in " ".join(result.stdout.split())


def test_json_has_the_curve_and_the_smallest_shocks() -> None:
    facts = json.loads(fragility(*RANGE, "--seeds", "1", "--json", "--quiet").stdout)
    assert facts["smallest"]["growth"] == {"size": 293.75, "not_at": 292.96875, "holds_beyond": True}
    assert facts["smallest"]["unfunded"] is None
    assert [point["size"] for point in facts["points"] if point["on_grid"]] == [200, 300, 400]


def test_percentages_and_reduced_and_until_are_understood() -> None:
    text = CASCADE.replace("quantity = 350", "size = -0.05").replace('"shocks.0.quantity" = 300', "horizon = '5min'")
    Path("cascade.toml").write_text(text, encoding="utf-8")
    arguments = ["--shock", "shocks.0.size", "--from", "-1%", "--to", "-300bps", "--points", "2", "--seeds", "1"]
    result = fragility(*arguments, "--reduced", "--until", "90s", "--json", "--quiet")
    assert [point["size"] for point in json.loads(result.stdout)["points"]] == [-0.01, -0.03]


def test_runs_and_facts_are_written_and_are_the_same_for_any_number_of_jobs() -> None:
    for jobs in (1, 2):
        result = fragility(*RANGE, "--seeds", "2", "-o", f"out{jobs}", "--quiet", jobs=jobs)
        assert (result.exit_code, result.stderr) == (0, "")
    for name in ("fragility.csv", "fragility.json"):
        assert Path("out1", name).read_bytes() == Path("out2", name).read_bytes()
    with open("out1/fragility.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["size"] for row in rows] == sorted(row["size"] for row in rows)
    assert all(len(row["digest"]) == 64 and row["error"] == "" for row in rows)
    manifest = json.loads(Path("out2/manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "complete"
    assert manifest["command"].startswith("contagion fragility cascade.toml --shock shocks.0.quantity --from 200")


def test_the_picture_is_drawn_into_the_directory() -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    assert fragility(*RANGE, "--seeds", "1", "--plot", "-o", "out", "--quiet").exit_code == 0
    assert Path("out/fragility.png").stat().st_size > 10_000


def test_runs_that_fail_are_rows_and_the_exit_code_is_1() -> None:
    brittle = '\n[nodes.vase]\nkind = "tests.kinds.brittle"\nbreaks_on = [1]\n'
    Path("cascade.toml").write_text(CASCADE + brittle, encoding="utf-8")
    result = fragility("--shock", "shocks.0.quantity", "--from", "1", "--to", "2", "--points", "2", "--seeds", "2",
                       "--allow-code")  # fmt: skip
    assert result.exit_code == 1
    assert "2 of 4 runs failed" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--shock", "shocks.0.quantety", "--from", "1", "--to", "2"], 3, "did you mean 'quantity'?"),
        (["--shock", "shocks.0.quantity", "--from", "5", "--to", "5"], 3, "at different sizes"),
        (["--shock", "shocks.0.quantity", "--from", "much", "--to", "5"], 2, "--from"),
        (["--shock", "shocks.0.quantity", "--from", "1"], 2, "--to"),
        (["--shock", "shocks.0.quantity", "--from", "1", "--to", "2", "--points", "1"], 2, "--points"),
        (["--shock", "shocks.0.quantity", "--from", "1", "--to", "1.0000000000000001"], 3, "at different sizes"),
        (["--shock", "shocks.0.quantity", "--from", "1", "--to", "2", "--points", "1000000000000"], 2, "--points"),
        (["--shock", "shocks.0.quantity", "--from", "1", "--to", "2", "--seeds", "1000000000000"], 2, "--seeds"),
    ],
)  # fmt: skip
def test_wrong_input_is_said_in_a_line_and_writes_nothing(
    arguments: list[str], code: int, words: str, here: Path
) -> None:
    result = fragility("-o", "out", *arguments)
    assert result.exit_code == code
    assert words in result.stderr.splitlines()[-1]
    assert [path.name for path in here.iterdir()] == ["cascade.toml"]


def test_a_picture_needs_a_directory() -> None:
    result = fragility(*RANGE, "--plot")
    assert (result.exit_code, "name one" in result.stderr) == (2, True)
