"""What is left of a run is the same before and after a disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import contagion as cg
from contagion.errors import BadInput
from contagion.runs import load_run, recorded
from tests.scenarios import CASCADE


@pytest.fixture(scope="module")
def cascade() -> Any:
    return cg.run(cg.loads(CASCADE))


@pytest.fixture
def saved(cascade: Any, tmp_path: Path) -> Path:
    cascade.save(tmp_path / "run")
    return tmp_path / "run"


def test_the_package_runs_a_scenario_after_its_modules_are_loaded(cascade: Any) -> None:
    assert callable(cg.run)
    assert isinstance(cascade, cg.Run)


def test_a_saved_run_is_loaded_with_equal_tables_and_summary(cascade: Any, saved: Path) -> None:
    loaded = load_run(saved)
    assert set(loaded.tables) == set(cascade.tables)
    for name, columns in cascade.tables.items():
        assert list(loaded.tables[name]) == list(columns), name
        for column, values in columns.items():
            np.testing.assert_array_equal(loaded.tables[name][column], values, err_msg=f"{name}.{column}")
    assert loaded.facts == json.loads(json.dumps(cascade.facts))
    assert loaded.books == cascade.books
    assert (loaded.graph, loaded.source) == (cascade.graph, CASCADE)


def test_only_who_values_an_asset_unlike_the_others_has_marks_of_its_own(cascade: Any) -> None:
    books = cascade.books
    own = [(books.holders[holder], books.assets[asset], books.feeds[feed]) for holder, asset, feed in books.own_marks]
    assert own == [("lender", "eth", "oracle")]
    lender, eth = books.holders.index("lender"), books.assets.index("eth")
    assert [books.feeds[books.mark(holder, eth)] for holder in (lender, books.world)] == ["oracle", "pool"]
    assert cg.run(cg.load("interbank", reduced=True), twins=False).books.own_marks == []


def test_a_loaded_run_answers_why_as_the_run_did(cascade: Any, saved: Path) -> None:
    assert load_run(saved).why("second") == cascade.why("second")


def test_tables_have_names_and_null_for_none(cascade: Any) -> None:
    events = cascade.events.to_pylist()
    assert [row["event"] for row in events] == list(range(len(events)))
    assert events[0]["cause"] is None
    first = next(row for row in events if row["kind"] == "liquidation")
    assert (first["node"], first["asset"], first["channel"]) == ("first", "eth", "lending liquidation")


def test_who_lost_to_whom_is_a_table_with_names(cascade: Any) -> None:
    rows = cascade.bilateral.to_pylist()
    assert {"loser": "first", "receiver": "keeper", "channel": "penalty"}.items() <= next(
        row for row in rows if row["loser"] == "first"
    ).items()


def test_the_summary_has_attributes(cascade: Any) -> None:
    assert cascade.summary.cascade_depth == cascade.facts["cascade_depth"]
    assert cascade.summary.total_losses.net == cascade.facts["total_losses"]["net"]


def test_a_run_is_never_saved_over_another(cascade: Any, saved: Path) -> None:
    before = {path: path.read_bytes() for path in saved.iterdir()}
    with pytest.raises(FileExistsError, match="never overwritten"):
        cascade.save(saved)
    assert {path: path.read_bytes() for path in saved.iterdir()} == before


def test_the_manifest_says_running_until_the_run_is_saved(cascade: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    with recorded(path, {"command": "x"}):
        assert json.loads((path / "manifest.json").read_text())["status"] == "running"
        with pytest.raises(BadInput, match="the run is running, not complete"):
            load_run(path)
        cascade.save(path)
    assert json.loads((path / "manifest.json").read_text())["status"] == "complete"


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), "interrupted"), (ValueError("no"), "failed")])
def test_the_manifest_says_how_a_run_ended(error: BaseException, status: str, tmp_path: Path) -> None:
    with pytest.raises(type(error)), recorded(tmp_path / "run", {"command": "x"}):
        raise error
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert (manifest["status"], manifest["command"]) == (status, "x")


def test_a_claimed_directory_is_not_claimed_twice(tmp_path: Path) -> None:
    with recorded(tmp_path / "run", {}):
        with pytest.raises(FileExistsError), recorded(tmp_path / "run", {}):
            raise AssertionError("unreachable")
        assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "running"


@pytest.mark.parametrize("name", ["books.json", "summary.json", "events.parquet", "prices.parquet", "graph.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_a_damaged_run_directory_is_refused_with_the_name_of_the_file(name: str, damage: str, saved: Path) -> None:
    path = saved / name
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"[1, 2]")
    with pytest.raises(BadInput, match=name):
        load_run(saved)


def test_line_ends_of_a_scenario_are_kept(tmp_path: Path) -> None:
    text = CASCADE.replace("\n", "\r\n")
    cg.run(cg.loads(text), twins=False).save(tmp_path / "run")
    assert (tmp_path / "run" / "scenario.toml").read_bytes() == text.encode()
    assert load_run(tmp_path / "run").source == text
