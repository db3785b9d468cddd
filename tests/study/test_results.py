"""Finished runs of a study outlive its end, and a study that goes on has the results of one that was never ended."""

import errno
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

import contagion as cg
from contagion.readers import tables
from contagion.study import fragility, knockouts
from contagion.study.executors import InProcess, local
from contagion.study.knockouts import Plan, carry_out
from contagion.study.results import Results, rows_by_key
from tests.processes import in_process, invoke
from tests.scenarios import CASCADE

pytestmark = pytest.mark.usefixtures("here")

ATTRIBUTE = ["attribute", "cascade.toml", "--seeds", "3", "--no-twins", "--quiet", "-j", "1"]
FRAGILITY = ["fragility", "cascade.toml", "--shock", "shocks.0.quantity", "--from", "200", "--to", "400"]
FRAGILITY += ["--points", "2", "--seeds", "2", "--quiet", "-j", "1"]
STUDIES = [(ATTRIBUTE, knockouts, "attribution"), (FRAGILITY, fragility, "fragility")]


def status(directory: str) -> str:
    return str(json.loads(Path(directory, "manifest.json").read_text(encoding="utf-8"))["status"])


def ending(task: Callable[..., Any], after: int, error: BaseException) -> tuple[Callable[..., Any], list[int]]:
    """Return a task that raises from a certain call on, and the list that grows with each call that was made."""
    made: list[int] = []

    def run(*arguments: Any) -> Any:
        if len(made) >= after:
            raise error
        made.append(1)
        return task(*arguments)

    return run, made


@pytest.mark.parametrize(("arguments", "module", "name"), STUDIES)
def test_a_study_that_was_interrupted_goes_on_and_ends_with_the_same_bytes(
    arguments: list[str], module: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invoke(*arguments, "-o", "whole").exit_code == 0
    task = module._figures_of_run
    every = len(Path("whole", f"{name}.csv").read_text(encoding="utf-8").splitlines()) - 1
    first, _ = ending(task, 3, KeyboardInterrupt())
    monkeypatch.setattr(module, "_figures_of_run", first)
    result = invoke(*arguments, "-o", "out")
    assert (result.exit_code, status("out")) == (130, "interrupted")
    assert f"contagion {arguments[0]} cascade.toml" in result.stderr.splitlines()[1]
    assert len(Path("out/runs.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    rest, made = ending(task, every, KeyboardInterrupt())
    monkeypatch.setattr(module, "_figures_of_run", rest)
    assert invoke(*arguments, "-o", "out").exit_code == 0
    assert (len(made), status("out")) == (every - 3, "complete")
    for file in (f"{name}.csv", f"{name}.json"):
        assert Path("out", file).read_bytes() == Path("whole", file).read_bytes()
    assert {path.name for path in Path("out").iterdir()} == {path.name for path in Path("whole").iterdir()}
    assert invoke(*arguments, "-o", "out").exit_code == 2  # it has an end now, and is not written over


def test_a_study_of_something_else_does_not_go_on_in_a_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, _ = ending(knockouts._figures_of_run, 1, KeyboardInterrupt())
    with monkeypatch.context() as patched:
        patched.setattr(knockouts, "_figures_of_run", ended)
        assert invoke(*ATTRIBUTE, "-o", "out").exit_code == 130
    before = {path: path.read_bytes() for path in Path("out").iterdir()}
    other = invoke(*ATTRIBUTE, "-s", "shocks.0.quantity=340", "-o", "out")
    assert (other.exit_code, other.stderr.count("\n")) == (3, 1)
    assert "with other overrides" in other.stderr
    Path("cascade.toml").write_text(CASCADE + "# a word\n", encoding="utf-8")
    assert "with other inputs" in invoke(*ATTRIBUTE, "-o", "out").stderr
    assert invoke(*FRAGILITY, "-o", "out").exit_code == 2
    assert {path: path.read_bytes() for path in Path("out").iterdir()} == before


def test_more_seeds_go_on_with_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, _ = ending(knockouts._figures_of_run, 4, KeyboardInterrupt())
    with monkeypatch.context() as patched:
        patched.setattr(knockouts, "_figures_of_run", ended)
        assert invoke(*ATTRIBUTE, "-o", "out").exit_code == 130
    assert invoke(*ATTRIBUTE, "--seeds", "4", "-o", "out").exit_code == 0
    assert invoke(*ATTRIBUTE, "--seeds", "4", "-o", "whole").exit_code == 0
    assert Path("out/attribution.csv").read_bytes() == Path("whole/attribution.csv").read_bytes()


def test_a_line_that_was_cut_off_is_no_row_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    with Results(path) as results:
        results.add(("a", 1), {"x": 0.1, "n": np.int64(3)})
    with open(path, "ab") as stream:
        stream.write(b"[" * 100_000 + b"\n")
        stream.write(b'["[\\"b\\", 1]", {"x": 0.')
    with Results(path) as again:
        assert again.find(("a", 1), ["x", "n"]) == {"x": 0.1, "n": 3}
        assert again.find(("b", 1), ["x", "n"]) is None
        again.add(("b", 1), {"x": 0.2, "n": None})
    with Results(path) as third:
        assert third.find(("b", 1), ["n", "x"]) == {"x": 0.2, "n": None}
    assert [len(line) > 1000 for line in path.read_bytes().splitlines()] == [False, True, False]


def test_a_file_is_one_owner_s_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    with Results(path) as results:
        results.add("a", {"x": 1})
        with pytest.raises(BlockingIOError, match=re.escape(str(path))):
            Results(path)
        results.add("b", {"x": 2})
    results.add("c", {"x": 3})  # by a thread that comes too late
    with Results(path) as again:
        assert [again.find(key, ["x"]) for key in "abc"] == [{"x": 1}, {"x": 2}, None]


@pytest.mark.skipif(os.name == "nt", reason="there every file system has locks")
def test_where_a_file_system_has_no_locks_a_study_is_made_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with Results(tmp_path / "runs.jsonl") as results:
        assert results.add("a", {"x": 1}) == {"x": 1}


@pytest.mark.parametrize(("arguments", "module", "name"), STUDIES)
def test_a_study_that_another_process_makes_is_left_alone(
    arguments: list[str], module: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, others = module._figures_of_run, list[Result]()

    def meanwhile(*given: Any) -> Any:
        row = task(*given)
        if len(others) < 3:
            before = {path: path.read_bytes() for path in Path("out").iterdir()}
            monkeypatch.setattr(module, "_figures_of_run", task)
            others.append(invoke(*arguments, "-o", "out"))
            monkeypatch.setattr(module, "_figures_of_run", meanwhile)
            assert {path: path.read_bytes() for path in Path("out").iterdir()} == before
        return row

    monkeypatch.setattr(module, "_figures_of_run", meanwhile)
    assert invoke(*arguments, "-o", "out").exit_code == 0
    assert [other.exit_code for other in others] == [2, 2, 2]
    assert "out: another process is at this study: wait until it has ended" in others[0].stderr
    assert (status("out"), Path("out/runs.jsonl").exists()) == ("complete", False)


def test_a_process_that_was_killed_holds_nothing() -> None:
    long = ["-s", "horizon=400d", "-s", "nodes.oracle.heartbeat=1s", "-s", "nodes.eth.yield_rate=0.01"]
    process = in_process(*ATTRIBUTE, *long, "-o", "out")
    while not Path("out/runs.jsonl").exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(1)
    assert invoke(*ATTRIBUTE, *long, "-o", "out").exit_code == 2
    assert status("out") == "running"
    process.kill()
    process.communicate(timeout=60)
    Results(Path("out/runs.jsonl")).close()


def test_a_study_that_ends_while_another_is_on_its_way_to_it_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Results.__init__

    def late(results: Results, path: Path | None = None) -> None:
        monkeypatch.undo()
        monkeypatch.chdir(place)
        assert invoke(*ATTRIBUTE, "-o", "out").exit_code == 0
        opened(results, path)

    place = Path.cwd()
    ended, _ = ending(knockouts._figures_of_run, 1, KeyboardInterrupt())
    with monkeypatch.context() as patched:
        patched.setattr(knockouts, "_figures_of_run", ended)
        assert invoke(*ATTRIBUTE, "-o", "out").exit_code == 130
    monkeypatch.setattr(Results, "__init__", late)
    result = invoke(*ATTRIBUTE, "-o", "out")
    assert (result.exit_code, "out has files in it" in result.stderr) == (2, True)
    assert (status("out"), Path("out/runs.jsonl").exists()) == ("complete", False)


def test_a_row_with_other_columns_is_made_again() -> None:
    results = Results()
    results.add("a", {"x": 1})
    found = rows_by_key(InProcess(), lambda value: {"y": value}, {"a": (5,)}, ["y"], results, lambda _: None)
    assert found == {"a": ({"y": 5}, None)}


def sixth(value: int) -> dict[str, float]:
    if value == 3:
        raise ArithmeticError("three")
    return {"x": value / 6}


@pytest.mark.parametrize("jobs", [1, 2])
def test_failed_runs_are_not_kept_and_are_tried_again(jobs: int, tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    arguments = {number: (number,) for number in range(6)}
    told: list[int] = []
    with local(jobs) as executor, Results(path) as results:
        found = rows_by_key(executor, sixth, arguments, ["x"], results, told.append)
    assert found[3] == (None, "ArithmeticError: three")
    assert [found[number] for number in (0, 5)] == [({"x": 0.0}, None), ({"x": 5 / 6}, None)]
    assert sorted(told) == [1, 2, 3, 4, 5, 6]
    assert len(path.read_bytes().splitlines()) == 5
    with Results(path) as results:
        again = rows_by_key(InProcess(), lambda value: {"x": -1.0}, arguments, ["x"], results, told.append)
    assert (again[3], again[5]) == (({"x": -1.0}, None), ({"x": 5 / 6}, None))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_disk_that_keeps_nothing_more_ends_the_study(jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "full")

    results = Results()
    monkeypatch.setattr(results, "add", full)
    with pytest.raises(OSError, match="full"), local(jobs) as executor:
        rows_by_key(executor, sixth, {number: (number,) for number in range(6)}, ["x"], results, lambda _: None)


def test_kept_and_unkept_runs_are_the_same(tmp_path: Path) -> None:
    plan = Plan(cg.loads(CASCADE), (("liquidators",),), (1, 2), twins=False)
    path = tmp_path / "runs.jsonl"
    with Results(path) as results:
        made = carry_out(plan, InProcess(), None, results)
    with Results(path) as results:
        again = carry_out(plan, InProcess(), None, results)
    assert made.rows == carry_out(plan, InProcess()).rows == again.rows


@pytest.mark.parametrize(("arguments", "module", "name"), STUDIES)
def test_tables_of_a_scenario_are_read_once_for_all_runs(
    arguments: list[str], module: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("more.csv").write_text("name,kind,balances.usd\nann,account,5\n", encoding="utf-8")
    Path("cascade.toml").write_text('nodes_csv = "more.csv"\n' + CASCADE, encoding="utf-8")
    read, calls = tables.read_tables, []
    monkeypatch.setattr(tables, "read_tables", lambda *given: calls.append(given) or read(*given))
    assert invoke(*arguments).exit_code == 0
    assert len(calls) == 1
