"""What people type and what they get: summaries, run directories, exit codes."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

import contagion
from contagion.scenario import load
from tests.processes import in_process, invoke
from tests.scenarios import CASCADE

pytestmark = pytest.mark.usefixtures("here")

HEAVY = ("numpy", "scipy", "networkx", "pydantic", "pyarrow", "rich", "simpy", "matplotlib")
KEYS = {
    "scenario", "seed", "digest", "cascade_depth", "cascade_depth_weighted", "cascade_depth_canonical", "generations",
    "branching_ratio", "branching_ratio_weighted", "spillover", "total_losses", "losses_by_sector",
    "losses_by_channel", "liquidated", "cancelled", "prices", "bad_debt", "insurance_used", "adl", "ledger", "events",
    "sim_seconds", "wall_s", "events_per_s",
}  # fmt: skip
LOSSES = {
    "net",
    "peak",
    "gross",
    "gains",
    "exogenous",
    "endogenous",
    "amplification",
    "unfunded",
    "deadweight",
    "terms",
}


def run_json(*arguments: str) -> dict[str, Any]:
    result = invoke("run", "cascade.toml", "--json", *arguments)
    assert result.exit_code == 0, result.output
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def manifest(directory: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(directory) / "manifest.json").read_text(encoding="utf-8"))
    return content


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from contagion.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    root = Path(contagion.__file__).parent.parent
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert "Commands:" in done.stdout
    assert set(HEAVY).isdisjoint(done.stdout.split())


def test_a_module_run_answers_like_the_command() -> None:
    process = in_process("--version")
    out, err = process.communicate()
    assert (process.returncode, out, err) == (0, f"contagion, version {contagion.__version__}\n", "")


def test_a_run_prints_one_json_object_with_every_key_and_nothing_else_on_stdout() -> None:
    facts = run_json()
    assert set(facts) >= KEYS
    assert set(facts["total_losses"]) >= LOSSES
    assert set(facts["liquidated"]) >= {"value", "accounts", "long_share", "by_venue", "by_market"}
    assert all(set(row) == {"first", "low", "low_time", "last", "drawdown"} for row in facts["prices"].values())
    assert facts["ledger"] == {"max_imbalance": 0}
    assert facts["generations"] == [1, 1]
    assert facts["cascade_depth_canonical"] == 2


def test_a_run_directory_holds_what_the_interface_names() -> None:
    facts = run_json()
    names = {path.name for path in Path(facts["directory"]).iterdir()}
    tables = {"events.parquet", "contributions.parquet", "prices.parquet", "accounts.parquet"}
    assert names >= tables | {"manifest.json", "scenario.toml", "scenario.resolved.json", "graph.json", "summary.json"}
    assert not [name for name in names if name.startswith(".")]
    assert Path(facts["directory"], "scenario.toml").read_text(encoding="utf-8") == CASCADE
    summary = json.loads(Path(facts["directory"], "summary.json").read_text(encoding="utf-8"))
    assert summary | {"directory": facts["directory"]} == facts


def test_the_default_directory_is_a_utc_stamp_and_the_scenario_under_runs() -> None:
    directories = [run_json("--no-twins")["directory"] for _ in range(2)]
    assert re.fullmatch(r"runs/\d{8}T\d{6}Z-two-borrowers(-\d+)?", Path(directories[0]).as_posix())
    assert directories[0] != directories[1]


def test_a_scenario_name_cannot_lead_out_of_runs() -> None:
    Path("evil.toml").write_text(CASCADE.replace("two-borrowers", "../../etc/x y"), encoding="utf-8")
    result = invoke("run", "evil.toml", "--no-twins", "--json")
    assert Path(json.loads(result.stdout)["directory"]).parent == Path("runs")


def test_the_manifest_says_where_the_run_comes_from() -> None:
    facts = run_json("-s", "shocks.0.quantity=340", "--knock-out", "keeper", "--until", "5min", "--no-twins")
    known = manifest(facts["directory"])
    assert known["status"] == "complete"
    assert known["digest"] == facts["digest"]
    assert known["overrides"] == ["shocks.0.quantity=340"]
    assert (known["knock_outs"], known["until_us"], known["twins"]) == (["keeper"], 300_000_000, False)
    assert known["inputs"]["cascade.toml"] == load("cascade.toml").source.sha256
    assert set(known["versions"]) >= {"python", "contagion", "simpy", "networkx", "numpy", "pydantic", "pyarrow"}
    assert known["command"].startswith("contagion run cascade.toml ")
    assert facts["sim_seconds"] == 300


def test_the_command_in_the_manifest_does_the_same_again() -> None:
    facts = run_json("--seed", "5", "-s", "shocks.0.at=2s", "--until", "3min")
    words = manifest(facts["directory"])["command"].split()
    again = invoke(*words[1:])
    assert json.loads(again.stdout)["digest"] == facts["digest"]


def test_overrides_and_the_seed_are_in_the_resolved_scenario() -> None:
    directory = run_json("--seed", "7", "-s", "shocks.0.quantity=1", "--no-twins")["directory"]
    resolved = json.loads(Path(directory, "scenario.resolved.json").read_text(encoding="utf-8"))
    assert (resolved["seed"], resolved["shocks"][0]["quantity"]) == (7, 1)


@pytest.mark.parametrize("content", ["a file", "a directory with a file"])
def test_a_run_never_overwrites(content: str, here: Path) -> None:
    taken = here / "taken"
    if content == "a file":
        taken.write_text("mine", encoding="utf-8")
    else:
        taken.mkdir()
        (taken / "notes.txt").write_text("mine", encoding="utf-8")
    before = sorted(here.rglob("*"))
    result = invoke("run", "cascade.toml", "-o", "taken")
    assert result.exit_code == 2
    assert "taken" in result.stderr
    assert sorted(here.rglob("*")) == before


def test_a_run_may_be_written_into_an_empty_directory(here: Path) -> None:
    (here / "empty").mkdir()
    assert run_json("-o", "empty", "--no-twins")["directory"] == "empty"
    assert manifest("empty")["status"] == "complete"


def test_without_the_shock_nothing_fails_and_the_summary_says_so() -> None:
    result = invoke("run", "cascade.toml", "--no-shock")
    assert result.exit_code == 0
    assert "At rest: there was no shock and nothing failed." in result.stdout
    assert run_json("--no-shock")["failures"] == 0


def test_without_twins_there_is_no_split_of_the_loss() -> None:
    facts = run_json("--no-twins")
    assert facts["total_losses"]["exogenous"] is None
    assert "twins" not in facts


def test_a_knocked_out_liquidator_stops_the_cascade() -> None:
    assert run_json("--knock-out", "liquidators")["failures"] == 0
    assert run_json("--knock-out", "keeper")["failures"] == 0


def test_reduced_applies_the_scenarios_own_table() -> None:
    assert run_json("--reduced")["digest"] == run_json("-s", "shocks.0.quantity=300")["digest"] != run_json()["digest"]


def test_shuffled_ties_are_the_same_with_and_without_progress() -> None:
    digests = {run_json("--shuffle-ties", *extra)["digest"] for extra in ([], ["--quiet"], ["--no-twins"])}
    assert len(digests) == 1


def test_the_summary_is_readable_at_eighty_columns() -> None:
    text = invoke("run", "cascade.toml").stdout
    for word in ("two-borrowers", "2 failures in 2 generations", "amplification", "lending liquidation", "pool",
                 "drawdown", "control (no shock)", "every asset sums to zero"):  # fmt: skip
        assert word in text
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines == [line.rstrip() for line in lines]
    assert re.search(r"next: contagion why runs/\S+ second$", text.rstrip())
    assert "\x1b" not in text


def test_the_command_that_the_summary_suggests_works() -> None:
    text = invoke("run", "cascade.toml").stdout
    suggested = text.rstrip().splitlines()[-1].removeprefix("next: contagion ").split()
    assert invoke(*suggested).exit_code == 0


def test_verify_reproduces_a_run_with_all_its_options() -> None:
    options = [
        "-s",
        "shocks.0.quantity=360",
        "--seed",
        "3",
        "--until",
        "1min",
        "--shuffle-ties",
        "--knock-out",
        "second",
    ]
    directory = run_json(*options)["directory"]
    result = invoke("verify", directory)
    assert result.exit_code == 0
    assert manifest(directory)["digest"] in result.stdout


def test_verify_tells_an_edited_scenario_from_another_version() -> None:
    directory = run_json()["directory"]
    copy = Path(directory, "scenario.toml")
    copy.write_text(CASCADE.replace("quantity = 350", "quantity = 351"), encoding="utf-8")
    result = invoke("verify", directory)
    assert result.exit_code == 4
    assert "not the text that was run" in result.stdout
    assert "all versions are the same" in result.stdout
    known = manifest(directory)
    known["versions"]["numpy"] = "0.9"
    Path(directory, "manifest.json").write_text(json.dumps(known), encoding="utf-8")
    assert "numpy 0.9 -> " in invoke("verify", directory).stdout


def test_verify_and_why_refuse_what_is_no_complete_run(here: Path) -> None:
    directory = run_json()["directory"]
    Path(directory, "manifest.json").write_text(json.dumps({"status": "running"}), encoding="utf-8")
    for arguments in (["verify", directory], ["why", directory, "first"], ["verify", str(here)], ["why", "gone", "1"]):
        result = invoke(*arguments)
        assert result.exit_code == 3
        assert result.stderr.count("\n") == 1


def test_why_shows_the_chain_and_gives_it_as_json() -> None:
    directory = run_json()["directory"]
    kinds = [hop["kind"] for hop in json.loads(invoke("why", directory, "second", "--json").stdout)["hops"]]
    assert kinds == ["shock", "trade", "oracle-update", "call", "liquidation", "trade", "oracle-update", "call",
                     "liquidation"]  # fmt: skip
    assert "oracle-update" in invoke("why", directory, "second").stdout


@pytest.mark.parametrize("what", ["secnd", "keeper", "123456", "second#x"])
def test_why_refuses_what_did_not_happen_in_one_line(what: str) -> None:
    result = invoke("why", run_json()["directory"], what)
    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1


def test_validate_lists_every_problem_of_every_file() -> None:
    Path("bad.toml").write_text(CASCADE.replace("decimals = 9", "decimal = 9\nprize = 1"), encoding="utf-8")
    result = invoke("validate", "cascade.toml", "bad.toml", "gone.toml")
    assert result.exit_code == 3
    lines = result.stdout.splitlines()
    assert lines[0].startswith("cascade.toml: ok")
    assert [line.split(": ")[0] for line in lines[1:]] == ["bad.toml:11:1", "bad.toml:12:1", "gone.toml"]
    assert "did you mean 'decimals'?" in lines[1]
    assert invoke("validate", "cascade.toml").exit_code == 0


def test_validate_and_run_know_shipped_scenarios_by_name() -> None:
    names = [row["name"] for row in json.loads(invoke("list", "--json").stdout)["scenarios"]]
    assert names
    assert invoke("validate", *names).exit_code == 0


def test_init_writes_a_scenario_that_makes_a_small_cascade_and_never_overwrites() -> None:
    assert invoke("init", "mine").exit_code == 0
    result = invoke("run", "mine/scenario.toml", "--reduced", "--json")
    facts = json.loads(result.stdout)
    assert facts["cascade_depth"] >= 2
    assert facts["twins"]["control"]["failures"] == 0
    again = invoke("init", "mine")
    assert again.exit_code == 2
    assert "not overwritten" in again.stderr


def test_list_names_every_kind_with_a_line_about_it() -> None:
    listed = json.loads(invoke("list", "--json").stdout)
    assert {"amm", "oracle", "lending_protocol", "looper", "population"} <= {m["kind"] for m in listed["mechanisms"]}
    assert all(len(row["about"]) > 20 for row in listed["mechanisms"])
    text = invoke("list").stdout
    assert all(row["about"] in text for row in listed["mechanisms"])


def test_the_schema_resolves_and_covers_what_a_scenario_says() -> None:
    schema = json.loads(invoke("schema").stdout)
    assert schema["$schema"].endswith("2020-12/schema")
    assert set(tomllib.loads(CASCADE)) <= set(schema["properties"])
    references = set(re.findall(r'"\$ref": "#/\$defs/([^"]+)"', json.dumps(schema)))
    assert references <= set(schema["$defs"])
    for what, tables in (("node", tomllib.loads(CASCADE)["nodes"].values()), ("edge", tomllib.loads(CASCADE)["edges"])):
        for table in tables:
            part = schema["$defs"][f"{what}-{table['kind' if what == 'node' else 'role']}"]
            assert part["additionalProperties"] is False
            assert set(table) <= set(part["properties"])
            assert set(part["required"]) <= set(table)
    assert schema["properties"]["horizon"]["default"] == "1h"
    assert '"null"' not in json.dumps(schema)


def test_the_graph_is_read_back_from_every_format() -> None:
    graph = load("cascade.toml").graph()
    linked = nx.node_link_graph(json.loads(invoke("graph", "cascade.toml").stdout), edges="edges")  # type: ignore[call-arg]
    marked = nx.parse_graphml(invoke("graph", "cascade.toml", "--format", "graphml").stdout, force_multigraph=True)
    rows = list(csv.DictReader(io.StringIO(invoke("graph", "cascade.toml", "--format", "csv").stdout)))
    assert set(linked) == set(marked) == set(graph)
    assert linked.number_of_edges() == marked.number_of_edges() == len(rows) == graph.number_of_edges()
    assert marked.nodes["eth"]["price"] == 2000
    feed = next(row for row in rows if row["name"] == "pool:prices:oracle")
    assert (feed["source"], feed["target"], feed["role"], feed["latency_us"]) == ("pool", "oracle", "prices", "1000000")


def test_the_graph_may_go_into_a_file() -> None:
    assert invoke("graph", "cascade.toml", "--format", "csv", "-o", "edges.csv").stdout == ""
    assert Path("edges.csv").read_text(encoding="utf-8").startswith("source,target,role,name,latency_us,quantity")


@pytest.mark.parametrize("arguments", [["graph", "cascade.toml"], ["reference"]])
def test_a_file_of_that_name_is_not_written_over(arguments: list[str]) -> None:
    Path("mine").write_text("mine", encoding="utf-8")
    for path in ("mine", "mine/page"):
        result = invoke(*arguments, "-o", path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.splitlines()[-1] == "Error: mine is there already and is not overwritten"
    assert Path("mine").read_text(encoding="utf-8") == "mine"
    assert invoke(*arguments, "-o", "new/page").exit_code == 0
    assert Path("new/page").read_text(encoding="utf-8") == invoke(*arguments).stdout


def test_an_interrupted_run_says_so_and_how_to_run_again(here: Path) -> None:
    long = ["-s", "horizon=400d", "-s", "nodes.oracle.heartbeat=1s", "-s", "nodes.eth.yield_rate=0.01"]
    process = in_process("run", "cascade.toml", "-o", "out", *long, "--quiet")
    written = here / "out" / "manifest.json"
    while not (written.exists() and written.stat().st_size) and process.poll() is None:
        time.sleep(0.02)
    assert manifest("out")["status"] == "running"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    # Shells read both as 130; Python ends itself by the signal where it arrived within generated code.
    assert process.returncode in (130, -signal.SIGINT), err
    assert out == ""
    assert manifest("out")["status"] == "interrupted"
    assert "contagion run cascade.toml -o out-2" in err
    assert "Traceback" not in err


def test_a_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = in_process("schema", stdout=writer)
    os.close(writer)
    _, err = process.communicate()
    assert err == ""
    assert process.returncode == 141


def test_a_crash_is_our_fault_and_leaves_its_traceback_in_a_file(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    import contagion.json_schema

    monkeypatch.setattr("tempfile.tempdir", str(here))
    monkeypatch.setattr(contagion.json_schema, "kinds", None)
    result = invoke("list")
    assert result.exit_code == 70
    assert "report it" in result.stderr
    assert "Traceback" not in result.stderr
    (file,) = here.glob("contagion-*.txt")
    assert "TypeError" in file.read_text(encoding="utf-8")
    assert "Traceback" in invoke("--debug", "list").stderr


def test_a_failed_run_leaves_a_manifest_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import contagion.study.twins

    monkeypatch.setattr("tempfile.tempdir", str(Path.cwd()))
    monkeypatch.setattr(contagion.study.twins, "summarise", None)
    assert invoke("run", "cascade.toml", "-o", "out").exit_code == 70
    assert manifest("out")["status"] == "failed"
    assert "NoneType" in manifest("out")["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--until", "3"], ["--until", "soon"], ["--seed", "-1"], ["--seed", "x"], ["-s", "nonsense"], ["-s", "=1"],
        ["--nonsense"], ["second.toml"],
    ],
)  # fmt: skip
def test_wrong_usage_is_exit_2_in_one_line_and_writes_nothing(arguments: list[str], here: Path) -> None:
    result = invoke("run", "cascade.toml", *arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert [path.name for path in here.iterdir()] == ["cascade.toml"]
