"""A run directory that somebody has edited is read, or refused with the file and the place in it: never a crash."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import contagion as cg
from tests.processes import invoke
from tests.scenarios import CASCADE

EXPECTED = """
[[targets]]
id = "few"
key = "failures"
low = 1
high = 3
[[links]]
id = "liquidation"
kind = "liquidation"
node = "first"
[[links]]
id = "fall"
market = "pool"
fall = "1%"
"""
READERS = (
    ["why", "a", "second"], ["links", "a"], ["targets", "a"], ["bilateral", "a"], ["diff", "a", "b"],
    ["diff", "b", "a"], ["links", "a", "--json"],
    ["targets", "a", "--json"], ["diff", "a", "b", "--json"], ["verify", "a", "--quiet"],
)  # fmt: skip
JSON_FILES = ("manifest.json", "graph.json", "summary.json", "books.json", "scenario.resolved.json")
TABLES = ("events", "postings", "prices", "contributions", "failures", "balances", "accounts", "bilateral", "losses")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    text = CASCADE.replace("[reduced]", EXPECTED + "[reduced]")
    cascade = folder / "cascade.toml"
    cascade.write_text(text, encoding="utf-8")
    assert invoke("run", str(cascade), "-o", str(folder / "a"), "--no-twins", "--quiet").exit_code == 0
    return folder / "a"


@pytest.fixture(autouse=True)
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        shutil.copytree(made, name)


def edited(name: str, change: Callable[[dict[str, Any]], Any]) -> str:
    path = Path("a", name)
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def refusals() -> list[str]:
    """Return what all readers say of run `a`; each of them refuses it in whole lines, without a crash."""
    said = []
    for arguments in READERS:
        result = invoke(*arguments)
        assert (result.exit_code, result.stdout) == (3, ""), (arguments, result.output)
        said += result.stderr.splitlines()
    return said


def test_an_untouched_run_is_read_by_all() -> None:
    assert [invoke(*arguments).exit_code for arguments in READERS] == [0] * len(READERS)


MANIFEST = {
    "overrides": (5, "overrides: "),
    "seed": ("x", "seed: "),
    "knock_outs": ([1], "knock_outs[0]: "),
    "twins": ("no", "twins: "),
    "until_us": (-1, "until_us: expected microseconds"),
    "reduced": (None, "reduced: "),
}


@pytest.mark.parametrize("key", MANIFEST)
def test_a_manifest_with_a_value_of_another_type_cannot_be_run_again(key: str) -> None:
    value, word = MANIFEST[key]
    path = edited("manifest.json", lambda manifest: manifest.update({key: value}))
    result = invoke("verify", "a")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"{path}: {word}"), result.stderr


def test_an_override_in_a_manifest_is_a_key_and_a_value() -> None:
    edited("manifest.json", lambda manifest: manifest.update(overrides=["horizon=10min", "nonsense"]))
    assert "overrides[1]: expected KEY=VALUE" in invoke("verify", "a").stderr


EDITS: dict[str, tuple[str, Callable[[dict[str, Any]], Any], str]] = {
    "versions": ("manifest.json", lambda m: m.update(versions=[1]), "versions: "),
    "inputs": ("manifest.json", lambda m: m.update(inputs={"cascade.toml": 5}), 'inputs."cascade.toml": '),
    "digest": ("manifest.json", lambda m: m.update(digest=7), "digest: "),
    "nodes that are none": ("graph.json", lambda g: g.update(nodes=5), "nodes: "),
    "a node without a name": ("graph.json", lambda g: g["nodes"][1].pop("id"), "nodes[1].id: is required"),
    "an edge without a name": ("graph.json", lambda g: g["edges"][0].pop("name"), "edges[0].name: is required"),
    "prices that are none": ("summary.json", lambda s: s.update(prices=[]), "prices: "),
    "a price without a low": ("summary.json", lambda s: s["prices"]["pool"].pop("low"), "prices.pool.low: "),
    "a figure without end": ("summary.json", lambda s: s.update(failures=float("inf")), "Infinity is not a finite"),
    "a figure beyond doubles": ("summary.json", lambda s: s.update(failures=10**350), "beyond all"),
    "a link without an id": ("scenario.resolved.json", lambda s: s["links"][0].pop("id"), "links[0].id: is required"),
    "a level of text": ("scenario.resolved.json", lambda s: s["links"][1].update(fall="x"), "links[1].fall: "),
    "a bound of text": ("scenario.resolved.json", lambda s: s["targets"][0].update(low="x"), "targets[0].low: "),
    "a shock that is none": ("scenario.resolved.json", lambda s: s.update(shocks=[3]), "shocks[0]: "),
    "books without marks": ("books.json", lambda b: b.pop("marks"), "marks: "),
    "marks of too few": ("books.json", lambda b: b["marks"].pop(), "marks: has "),
    "a mark of nothing": ("books.json", lambda b: b["marks"].__setitem__(0, 99), "marks: expected numbers from 0"),
    "a mark of nobody": ("books.json", lambda b: b["own_marks"].append([99, 0, 0]), "own_marks[0]: expected numbers"),
    "half a mark": ("books.json", lambda b: b["own_marks"].append([0, 0]), "own_marks["),
    "an opening after the end": ("books.json", lambda b: b.update(opening=10**6), "opening: expected the number of"),
}  # fmt: skip


@pytest.mark.parametrize("case", EDITS)
def test_an_edited_file_is_refused_by_every_reader_with_its_place(case: str) -> None:
    name, change, word = EDITS[case]
    path = edited(name, change)
    assert all(line.startswith(f"{path}: ") and word in line for line in refusals())


def test_missing_parts_of_what_may_be_left_out_are_read() -> None:
    edited("scenario.resolved.json", lambda scenario: scenario["targets"][0].pop("observed"))
    edited("manifest.json", lambda manifest: manifest.pop("versions"))
    assert invoke("targets", "a").exit_code == 0
    assert invoke("diff", "a", "b").exit_code == 0


@pytest.mark.parametrize("name", TABLES)
def test_a_table_without_one_of_its_columns_is_refused_with_the_column(name: str) -> None:
    path = Path("a", f"{name}.parquet")
    table = pq.read_table(path)
    derived = ("event",) * (name == "events") + ("kind", "sector") * (name == "accounts")
    for column in table.column_names:
        if column in derived or column.startswith("loss "):
            continue
        pq.write_table(table.drop_columns([column]), path)
        result = invoke("why", "a", "second")
        assert (result.exit_code, result.stdout) == (3, ""), column
        assert result.stderr.startswith(f"{path}: "), result.stderr
        assert column in result.stderr


@pytest.mark.parametrize(
    ("name", "column", "value", "word"),
    [
        ("events", "cause", 10**6, "cause: row 0: expected an event before it"),
        ("events", "cause", 3, "expected an event before it"),
        ("events", "time_us", 0.5, "time_us: expected integers in every row"),
        ("events", "time_us", None, "time_us: expected integers in every row"),
        ("events", "kind", "nothing", "cannot be read"),
        ("events", "kind", 3, "cannot be read"),
        ("events", "channel", 99, "cannot be read"),
        ("events", "member", "x", "cannot be read"),
        ("postings", "event", 10**6, "event: row 0: expected the number of an event"),
        ("contributions", "contributor", -1, "contributor: row 0: expected the number of an event"),
        ("accounts", "equity_end", float("nan"), "equity_end: expected finite numbers"),
        ("bilateral", "value", float("inf"), "value: expected finite numbers"),
    ],
)
def test_a_table_with_a_value_that_means_nothing_is_refused(name: str, column: str, value: Any, word: str) -> None:
    path = Path("a", f"{name}.parquet")
    table = pq.read_table(path)
    if not table.num_rows:
        row = {"event": [1], "contributor": [0], "weight": [1.0]} | {column: [value]}
        table = pa.table(row)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array([value] * table.num_rows)), path)
    assert all(line.startswith(f"{path}: ") and word in line for line in refusals())


def test_a_table_that_another_program_has_written_again_is_the_same() -> None:
    before = invoke("diff", "a", "b", "--json").stdout
    for path in Path("a").glob("*.parquet"):
        table = pq.read_table(path)
        plain = [pa.array(column.to_pylist(), column.type.value_type) if pa.types.is_dictionary(column.type) else column
                 for column in table.columns]  # fmt: skip
        pq.write_table(pa.table(dict(zip(table.column_names, plain, strict=True))), path)
    assert invoke("diff", "a", "b", "--json").stdout == before


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in ((*path, key), *places(inner, (*path, key)))]


ODD = st.sampled_from([None, True, 0, -1, 10**30, 0.5, "", "x", "[/x]", [], {}, [1], {"x": 1}, [[{}]], "delete"])


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(JSON_FILES), st.integers(0, 10**6), ODD)
def test_no_edit_of_a_file_makes_a_reader_crash(name: str, number: int, odd: Any) -> None:
    path = Path("a", name)
    before = path.read_text(encoding="utf-8")
    content = json.loads(before)
    known = places(content)
    *way, last = known[number % len(known)]
    inner = content
    for key in way:
        inner = inner[key]
    if odd == "delete":
        del inner[last]
    else:
        inner[last] = odd
    path.write_text(json.dumps(content), encoding="utf-8")
    try:
        for arguments in READERS:
            result = invoke(*arguments)
            assert result.exit_code in (0, 3, 4), (arguments, *way, last, odd, result.output, result.exception)
    finally:
        path.write_text(before, encoding="utf-8")


def test_a_run_that_is_loaded_and_saved_again_is_the_same() -> None:
    cg.load_run(Path("a")).save(Path("copy"))
    assert invoke("diff", "a", "copy", "--json").stdout == invoke("diff", "a", "a", "--json").stdout.replace(
        '"directory": "a"', '"directory": "copy"'
    ).replace('"directory": "copy"', '"directory": "a"', 1)
