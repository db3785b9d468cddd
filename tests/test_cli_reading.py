"""What `contagion diff`, `contagion bilateral` and `contagion targets` say of saved runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.processes import invoke
from tests.scenarios import CASCADE

pytestmark = pytest.mark.usefixtures("here")


def make(directory: str, *arguments: str, scenario: str = "cascade.toml") -> None:
    result = invoke("run", scenario, "-o", directory, "--quiet", "--no-twins", *arguments)
    assert result.exit_code == 0, result.output


def as_json(*arguments: str) -> Any:
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_diff_names_the_knock_out_and_what_it_changed() -> None:
    make("a")
    make("b", "--knock-out", "liquidators")
    facts = as_json("diff", "a", "b")
    assert facts["settings"] == [{"setting": "knock_outs", "a": [], "b": ["liquidators"]}]
    assert "nodes.keeper" in facts["inputs"]["only_a"]
    figures = {row["figure"]: row for row in facts["figures"]}
    assert figures["failures"] == {"figure": "failures", "a": 2, "b": 0, "change": -2, "relative": -1}
    assert figures["losses_by_channel.lending liquidation"]["b"] == 0
    assert {(row["node"], row["only_a"], row["only_b"]) for row in facts["failures"]} == {
        ("first", 1, 0), ("second", 1, 0),
    }  # fmt: skip
    assert facts["parting"]["a"]["kind"] == "liquidation"
    assert facts["parting"]["b"] is None


def test_diff_is_readable_at_eighty_columns() -> None:
    make("a")
    make("b", "--knock-out", "liquidators", "-s", "shocks.0.quantity=340")
    text = invoke("diff", "a", "b").stdout
    for words in ("knock_outs", "liquidators", "shocks.0.quantity", "net loss", "Losses by channel", "drawdown A",
                  "first", "liquidation", "after the opening, and then", "only in A: "):  # fmt: skip
        assert words in text
    assert max(map(len, text.splitlines())) <= 80


def test_diff_of_a_run_with_its_repetition_says_that_they_are_the_same() -> None:
    make("a")
    make("b")
    text = invoke("diff", "a", "b").stdout
    assert "one digest" in text
    assert "the same from the opening to the end" in text
    assert "Settings" not in text and "Inputs" not in text and "Prices" not in text


def test_diff_compares_runs_of_different_scenarios() -> None:
    make("a")
    make("b", "--reduced", "-s", "horizon=6min", scenario="usde-loops")
    facts = as_json("diff", "a", "b")
    assert (facts["runs"]["a"]["scenario"], facts["runs"]["b"]["scenario"]) == ("two-borrowers", "usde-loops")
    assert "nodes.aave" in facts["inputs"]["only_b"]
    assert facts["parting"] is not None
    assert "prices in one run alone" in invoke("diff", "a", "b").stdout


def test_what_is_no_run_is_refused_in_one_line() -> None:
    make("a")
    Path("b").mkdir()
    for arguments in (["diff", "a", "gone"], ["diff", "b", "a"], ["diff", "a", "cascade.toml"]):
        result = invoke(*arguments)
        assert result.exit_code == 3
        assert result.stderr.count("\n") == 1
    assert invoke("diff", "a").exit_code == 2


def test_bilateral_names_who_lost_to_whom_by_node_or_by_sector() -> None:
    make("a")
    facts = as_json("bilateral", "a")
    assert facts["by"] == "node"
    penalty = next(row for row in facts["rows"] if row["loser"] == "first" and "penalty" in row["channels"])
    assert penalty["receiver"] == "keeper"
    sectors = as_json("bilateral", "a", "--by", "sector")["rows"]
    assert {row["loser"] for row in sectors} <= {"account", "liquidator", "market", "outside", "lender", "nobody"}
    assert len(as_json("bilateral", "a", "--top", "1")["rows"]) == 1
    text = invoke("bilateral", "a", "--top", "1").stdout
    assert "who lost" in text and "more pairs" in text and "went to nobody" in text.replace("\n", " ")
    assert max(map(len, text.splitlines())) <= 80


def test_bilateral_reads_runs_that_were_saved_without_the_table() -> None:
    make("a")
    before = as_json("bilateral", "a")
    Path("a", "bilateral.parquet").unlink()
    assert as_json("bilateral", "a") == before


def test_bilateral_refuses_bad_input() -> None:
    make("a")
    assert invoke("bilateral", "gone").exit_code == 3
    for arguments in (["--by", "country"], ["--top", "0"]):
        assert invoke("bilateral", "a", *arguments).exit_code == 2


TARGETS = """
[[targets]]
id = "few"
key = "failures"
low = 1
high = 3
observed = "two of them"
source = "the newspaper"
[[targets]]
id = "deep"
key = "prices.pool.drawdown"
low = 0.9
high = 1
[[targets]]
id = "nowhere"
key = "prices.gone.low"
low = 0
high = 1
"""


def test_targets_are_inside_outside_or_not_there() -> None:
    Path("cascade.toml").write_text(CASCADE.replace("[reduced]", TARGETS + "[reduced]"), encoding="utf-8")
    make("a")
    facts = as_json("targets", "a")
    assert facts["inside"] == 1
    assert [(row["id"], row["inside"]) for row in facts["targets"]] == [
        ("few", True),
        ("deep", False),
        ("nowhere", None),
    ]
    text = invoke("targets", "a").stdout
    for words in ("1 of 3 inside", "two of them", "source: the newspaper", "no such figure", "0.9000 to 1.0000"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_scenario_without_targets_says_so() -> None:
    make("a")
    assert "states no targets" in invoke("targets", "a").stdout
    assert as_json("targets", "a")["targets"] == []
    assert invoke("targets", "gone").exit_code == 3
