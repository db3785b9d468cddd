"""What `contagion attribute` prints and writes, and how it ends."""

import csv
import json
import signal
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from contagion.cli import main
from tests.processes import in_process
from tests.scenarios import CASCADE

pytestmark = pytest.mark.usefixtures("here")


def attribute(*arguments: str, jobs: int = 1) -> Result:
    return CliRunner().invoke(main, ["attribute", "cascade.toml", "-j", str(jobs), *arguments])


def test_every_switch_is_knocked_out_on_twenty_seeds_by_default() -> None:
    result = attribute("--json", "--no-twins")
    facts = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [row["name"] for row in facts["knock_outs"]] == ["liquidators"]
    assert (facts["seeds"], facts["runs"], facts["failed"]) == (list(range(20)), 40, 0)
    assert facts["knock_outs"][0]["figures"]["failures"]["difference"] == -2
    assert "the base and 1 knock-out on 20 seeds: 40 runs\n" in result.stderr


def test_the_text_fits_eighty_columns_and_says_what_each_column_is() -> None:
    result = attribute("--seeds", "2", "--knock-out", "first+second", "--shapley", "first+second", "--market", "po*")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for words in ("Depth, weighted", "Net loss (USD)", "Amplification", "Worst drawdown of a market", "of it joint",
                  "Drawdown of po*", "95% interval", "2 of 2", "Shapley values", "minus without it"):  # fmt: skip
        assert words in result.stdout
    assert "8 runs, each with its twins" in result.stderr


def test_runs_and_comparisons_are_written_and_are_the_same_for_any_number_of_jobs() -> None:
    for jobs in (1, 2):
        result = attribute("--seeds", "2", "--seed", "5", "-o", f"out{jobs}", "--quiet", jobs=jobs)
        assert (result.exit_code, result.stderr) == (0, "")
    for name in ("attribution.csv", "attribution.json"):
        assert Path("out1", name).read_bytes() == Path("out2", name).read_bytes()
    with open("out1/attribution.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["knock_out"], row["seed"]) for row in rows] == [
        ("", "5"), ("", "6"), ("liquidators", "5"), ("liquidators", "6"),
    ]  # fmt: skip
    assert all(len(row["digest"]) == 64 and row["error"] == "" for row in rows)
    manifest = json.loads(Path("out2/manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "complete"
    assert manifest["command"].startswith("contagion attribute cascade.toml --seeds 2 --seed 5 -j 2 -o out2")


def test_nothing_is_written_over(here: Path) -> None:
    (here / "out").mkdir()
    (here / "out" / "attribution.csv").write_text("mine", encoding="utf-8")
    result = attribute("--seeds", "1", "-o", "out")
    assert result.exit_code == 2
    assert (here / "out" / "attribution.csv").read_text(encoding="utf-8") == "mine"
    assert len(list((here / "out").iterdir())) == 1


def test_runs_that_fail_are_rows_and_the_exit_code_is_1() -> None:
    brittle = '\n[nodes.vase]\nkind = "tests.kinds.brittle"\nbreaks_on = [1]\n'
    Path("cascade.toml").write_text(CASCADE + brittle, encoding="utf-8")
    result = attribute("--seeds", "2", "--allow-code", "-o", "out", "--no-twins")
    assert result.exit_code == 1
    assert "2 of 4 runs failed" in result.stdout
    with open("out/attribution.csv", encoding="utf-8", newline="") as stream:
        errors = [row["error"] for row in csv.DictReader(stream)]
    assert errors == ["", "ArithmeticError: seed 1 is too much for me"] * 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--knock-out", "liquidator"], 3, "did you mean 'liquidators'?"),
        (["--knock-out", "first+secnd"], 3, "did you mean 'second'?"),
        (["--shapley", "first+secnd"], 3, "did you mean 'second'?"),
        (["--knock-out", "first+"], 3, "no switch, node or edge ''"),
        (["--market", "poool"], 3, "no market 'poool'; did you mean 'pool'?"),
        (["--seeds", "0"], 2, "--seeds"),
        (["--seeds", "many"], 2, "--seeds"),
        (["-j", "0"], 2, "--jobs"),
        (["-s", "nonsense"], 2, "KEY=VALUE"),
        (["-s", "nodes.nobody.count=3"], 3, "nobody"),
        (["--until", "soon"], 2, "--until"),
        (["--knock-out", "usd"], 3, "without usd: "),
    ],
)  # fmt: skip
def test_wrong_input_is_said_in_a_line_and_writes_nothing(
    arguments: list[str], code: int, words: str, here: Path
) -> None:
    result = attribute("-o", "out", *arguments)
    assert result.exit_code == code
    assert words in result.stderr.splitlines()[-1]
    assert [path.name for path in here.iterdir()] == ["cascade.toml"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interruption_ends_all_processes_and_says_so(jobs: str, here: Path) -> None:
    long = ["-s", "horizon=400d", "-s", "nodes.oracle.heartbeat=1s", "-s", "nodes.eth.yield_rate=0.01"]
    process = in_process("attribute", "cascade.toml", "-o", "out", "-j", jobs, *long)
    written = here / "out" / "manifest.json"
    while not (written.exists() and written.stat().st_size) and process.poll() is None:
        time.sleep(0.02)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert json.loads(written.read_text(encoding="utf-8"))["status"] == "interrupted"
