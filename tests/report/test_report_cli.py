"""`contagion run` leaves a page, `contagion report` makes it again, and neither lets a page harm a run."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result

from tests.processes import invoke
from tests.report.pages import parsed

pytestmark = pytest.mark.usefixtures("here")


def make(*options: str) -> Result:
    result = invoke("run", "cascade.toml", "-o", "a", "--quiet", "--no-twins", *options)
    assert result.exit_code == 0, result.output
    return result


def edit(name: str, change: Any) -> None:
    path = Path("a", name)
    facts = json.loads(path.read_text(encoding="utf-8"))
    change(facts)
    path.write_text(json.dumps(facts), encoding="utf-8")


def refused(*words: str) -> None:
    result = invoke("report", "a", "-o", "new.html")
    assert result.exit_code == 3, result.output
    assert all(word in result.stderr for word in words), result.stderr
    assert "Traceback" not in result.output and not Path("new.html").exists()


def test_a_run_leaves_a_page_that_report_makes_again_byte_for_byte() -> None:
    make()
    page = Path("a", "report.html").read_bytes()
    assert invoke("report", "a", "-o", "again.html").stdout == "again.html\n"
    assert Path("again.html").read_bytes() == page
    Path("a", "report.html").unlink()
    assert invoke("report", "a").stdout == f"{Path('a', 'report.html')}\n"
    assert Path("a", "report.html").read_bytes() == page
    assert not [path.name for path in Path("a").iterdir() if path.name.startswith(".")]


def test_the_page_tells_how_to_get_the_run_again() -> None:
    make("--seed", "7")
    told = parsed(Path("a", "report.html").read_text(encoding="utf-8")).one(id="reproduce")
    manifest = json.loads(Path("a", "manifest.json").read_text())
    assert manifest["command"] in told.text and manifest["digest"] in told.text
    assert "contagion verify" in told.text and f"numpy {manifest['versions']['numpy']}" in told.text
    assert manifest["inputs"]["cascade.toml"] in told.text


def test_no_report_leaves_none() -> None:
    make("--no-report")
    assert not Path("a", "report.html").exists()


@pytest.mark.parametrize("error", [ValueError("of no\nuse"), AssertionError(), MemoryError("full"), KeyError("x")])
def test_a_page_that_fails_is_one_line_and_the_run_is_complete(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> str:
        raise error

    monkeypatch.setattr("contagion.report.page.page", fail)
    result = make()
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"contagion: no report.html ({type(error).__name__}")
    assert json.loads(Path("a", "manifest.json").read_text())["status"] == "complete"
    assert Path("a", "summary.json").exists() and not Path("a", "report.html").exists()


def test_knock_outs_are_read_from_a_directory_a_file_or_beside_the_run() -> None:
    make()
    attributed = invoke("attribute", "cascade.toml", "--seeds", "2", "--no-twins", "-j", "1", "--quiet", "-o", "k")
    assert attributed.exit_code == 0, attributed.output
    for place in ("k", "k/attribution.json"):
        assert invoke("report", "a", "--attribution", place).exit_code == 0
        section = parsed(Path("a", "report.html").read_text(encoding="utf-8")).one(id="knock-outs")
        assert "liquidators" in section.text and "2 seeds" in section.text
    Path("a", "attribution.json").write_bytes(Path("k", "attribution.json").read_bytes())
    assert invoke("report", "a", "-o", "beside.html").exit_code == 0
    assert Path("beside.html").read_bytes() == Path("a", "report.html").read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        None, "{", "[]", "{}", '{"knock_outs": [{}], "seeds": [1]}', '{"knock_outs": 3, "seeds": 1}', "[" * 100_000,
        '{"knock_outs": [], "seeds": [], "base": NaN}', '{"knock_outs": [], "seeds": [], "base": 1e400}',
    ],
)  # fmt: skip
def test_what_is_no_attribution_is_refused(text: str | None) -> None:
    make("--no-report")
    if text is not None:
        Path("k.json").write_text(text)
    result = invoke("report", "a", "--attribution", "k.json")
    assert result.exit_code == 3 and result.stderr.startswith("k.json: "), result.output
    assert result.stderr.count("\n") == 1 and not Path("a", "report.html").exists()


@pytest.mark.parametrize(
    ("key", "value"), [("cascade_depth", None), ("total_losses", []), ("failures", "many"), ("prices", 3)]
)
def test_a_summary_that_was_edited_wrongly_is_named(key: str, value: Any) -> None:
    make("--no-report")
    edit("summary.json", lambda facts: facts.pop(key) if value is None else facts.update({key: value}))
    refused("summary.json", key)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("graph.json", lambda graph: graph["edges"][0].pop("source")),
        ("graph.json", lambda graph: graph["edges"][0].update(target=[])),
        ("graph.json", lambda graph: graph["nodes"][0].update(asset=["eth"])),
        ("graph.json", lambda graph: graph["nodes"][0].update(assets=3)),
        ("graph.json", lambda graph: graph["graph"]["shocks"][0].update(at="soon")),
        ("graph.json", lambda graph: graph["graph"]["shocks"][0].update(at=[3])),
        ("manifest.json", lambda manifest: manifest.update(end_us="soon")),
        ("manifest.json", lambda manifest: manifest.update(overrides=3)),
        ("summary.json", lambda facts: facts.update(links={"seen": {"fall": 3}, "order": {}})),
    ],
)
def test_what_is_beside_the_figures_is_looked_at_too(name: str, change: Any) -> None:
    make("--no-report")
    edit(name, change)
    refused(f"{name}: ")


@pytest.mark.parametrize("name", ["a/summary.json", "cascade.toml", os.devnull, ""])
def test_a_page_is_written_over_no_file_but_a_page(name: str) -> None:
    make("--no-report")
    before = Path(name).read_bytes() if Path(name).is_file() else None
    result = invoke("report", "a", "-o", name)
    assert result.exit_code == 3 and "is there already" in result.stderr, result.output
    assert before is None or Path(name).read_bytes() == before
    assert name != os.devnull or stat.S_ISCHR(Path(name).stat().st_mode)


def test_a_summary_that_names_no_feed_is_named() -> None:
    make("--no-report")
    edit("summary.json", lambda facts: facts["prices"].update(nowhere=facts["prices"]["pool"]))
    refused("summary.json", "'nowhere'")


def test_a_price_of_a_summary_without_its_low_is_named() -> None:
    make("--no-report")
    edit("summary.json", lambda facts: facts["prices"]["pool"].pop("low"))
    refused("summary.json", "prices.pool.low")


def test_books_of_other_lengths_are_named() -> None:
    make("--no-report")
    edit("books.json", lambda books: books["domains"].pop())
    refused("books.json", "domains")


def test_a_table_without_a_column_or_with_causes_that_come_later_is_named() -> None:
    make("--no-report")
    path = Path("a", "events.parquet")
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["channel"]), path)
    refused("events.parquet", "channel")
    late = pa.array([table.num_rows] * table.num_rows, pa.int64())
    pq.write_table(table.set_column(table.column_names.index("cause"), "cause", late), path)
    refused("events.parquet", "cause")


def test_a_table_without_the_prices_that_the_summary_tells_of_is_named() -> None:
    make("--no-report")
    path = Path("a", "prices.parquet")
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    refused("prices.parquet: market: ", "no price of")


def test_what_is_no_run_is_refused() -> None:
    Path("b").mkdir()
    for place in ("gone", "b", "cascade.toml"):
        result = invoke("report", place)
        assert result.exit_code == 3 and result.stderr.count("\n") == 1
    make("--no-report")
    assert invoke("report", "a", "-o", "b").exit_code == 2
    assert invoke("report", "a", "-o", "no/such/place.html").exit_code == 3
