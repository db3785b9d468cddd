"""The links of an account in a scenario: how they are checked, kept with a run and printed."""

import ast
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

import contagion as cg
from contagion.assembly import build
from contagion.cli import main
from contagion.log import FAILURES
from contagion.log.kinds import KINDS
from contagion.terminal.links import links_table
from tests.architecture import modules
from tests.scenarios import CASCADE
from tests.worlds import WORLDS

ACCOUNT = """
[[links]]
id = "shock"
title = "somebody sells"
kind = "shock"

[[links]]
id = "second"
title = "the second borrower is liquidated"
kind = "liquidation"
node = "second"

[[links]]
id = "pool"
title = "the pool falls a tenth"
market = "pool"
fall = "10%"

[[links]]
id = "depeg"
kind = "de-peg"
"""
TOLD = CASCADE + ACCOUNT


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty directory with one scenario that tells an account and one that does not."""
    monkeypatch.chdir(tmp_path)
    Path("told.toml").write_text(TOLD, encoding="utf-8")
    Path("cascade.toml").write_text(CASCADE, encoding="utf-8")
    yield tmp_path


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.output
    return result


def problems(text: str) -> list[str]:
    with pytest.raises(cg.BadInput) as caught:
        cg.loads(text)
    return str(caught.value).splitlines()


def test_a_run_keeps_its_links_and_the_command_prints_them() -> None:
    told = invoke("run", "told.toml", "-o", "a", "--quiet", "--no-twins", "--json")
    facts = json.loads(invoke("links", "a", "--json").stdout)
    assert json.loads(told.stdout)["links"] == {key: facts[key] for key in ("seen", "order")}
    assert facts["scenario"] == "two-borrowers"
    assert [row["rank"] for row in facts["seen"].values()] == [1, 3, 2, None]
    assert [row["in_order"] for row in facts["seen"].values()] == [True, True, False, None]
    assert facts["order"] == {"happened": 3, "pairs": 3, "in_order": 2, "tau": 0.3333, "links": 4}


def test_the_summary_ends_with_the_links_and_fits_eighty_columns() -> None:
    lines = invoke("run", "told.toml", "-o", "a", "--quiet", "--no-twins").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    at = next(number for number, line in enumerate(lines) if line.startswith("Links"))
    assert "3 of 4 links happened; 2 of 3 pairs" in lines[at]
    assert any("the pool falls a tenth" in line and line.endswith("early") for line in lines[at:])
    assert any("depeg" in line and line.endswith("never") for line in lines[at:])


def test_where_room_is_short_titles_go_on_in_the_next_line_and_times_are_whole() -> None:
    seen = {
        name: {
            "title": f"a title of {name} that is longer than what is left", "stated": place, "rank": place,
            "first": 828.0, "event": 30_210, "events": 3_000, "in_order": False,
        }
        for place, name in ((1, "one"), (2, "two"))
    }  # fmt: skip
    console = Console(file=io.StringIO(), width=62)
    console.print(links_table(seen))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("13min 48s") == 2 and "…" not in text
    assert "longer than what" in " ".join(text.split())


def test_the_table_has_the_number_that_why_takes() -> None:
    invoke("run", "told.toml", "-o", "a", "--quiet", "--no-twins")
    row = next(line for line in invoke("links", "a").stdout.splitlines() if "the second borrower" in line)
    number = next(word for word in row.split() if word.startswith("#"))
    assert invoke("why", "a", number.lstrip("#")).stdout.startswith("liquidation of second")


def test_the_command_is_readable_and_says_when_there_are_none() -> None:
    invoke("run", "told.toml", "-o", "a", "--quiet", "--no-twins")
    invoke("run", "cascade.toml", "-o", "b", "--quiet", "--no-twins")
    text = invoke("links", "a").stdout
    assert text.startswith("two-borrowers: 3 of 4 links happened")
    assert "the second borrower is liquidated" in text
    assert max(map(len, text.splitlines())) <= 80
    assert invoke("links", "b").stdout == "two-borrowers: no links are stated\n"


def test_diff_shows_the_times_of_both_runs_though_one_scenario_states_no_links() -> None:
    invoke("run", "told.toml", "-o", "a", "--quiet", "--no-twins", "-s", "shocks.0.at=30s")
    invoke("run", "cascade.toml", "-o", "b", "--quiet", "--no-twins", "--knock-out", "liquidators")
    facts = json.loads(invoke("diff", "a", "b", "--json").stdout)
    rows = {row["link"]: row for row in facts["links"]}
    assert (rows["shock"]["a"], rows["shock"]["b"] is not None, rows["second"]["b"]) == (30.0, True, None)
    assert not any(row["figure"].startswith("links.seen") for row in facts["figures"])
    text = invoke("diff", "a", "b").stdout
    assert "first A" in text and "somebody sells" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_target_may_be_about_the_order() -> None:
    target = '\n[[targets]]\nid = "order"\nkey = "links.order.tau"\nlow = 0\nhigh = 1\n'
    Path("told.toml").write_text(TOLD + target, encoding="utf-8")
    invoke("run", "told.toml", "-o", "a", "--quiet", "--no-twins")
    assert json.loads(invoke("targets", "a", "--json").stdout)["inside"] == 1


def test_links_change_no_event() -> None:
    plain, told = (cg.run(cg.loads(text), twins=False) for text in (CASCADE, TOLD))
    assert plain.manifest["digest"] == told.manifest["digest"]
    assert "links" not in plain.facts


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('kind = "de-peg"', 'kind = "depeg"', "links[3].kind: no event is of kind 'depeg'; did you mean 'de-peg'?"),
        ('node = "second"', 'node = "seconds"',
         "links[1].node: matches no node: 'seconds'; did you mean 'second'?"),
        ('market = "pool"\nfall', 'market = "pol"\nfall',
         "links[2].market: matches no market: 'pol'; did you mean 'pool'?"),
        ('kind = "de-peg"', 'kind = "de-peg"\nasset = "x*"', "links[3].asset: matches no asset: 'x*'"),
        ('fall = "10%"', 'fal = "10%"', "links[2].fal: unknown key 'fal'; did you mean 'fall'?"),
        ('id = "depeg"', 'id = "pool"', "links[3].id: there is a link 'pool' already"),
    ],
)  # fmt: skip
def test_what_no_run_could_find_is_refused_with_its_line(old: str, new: str, what: str) -> None:
    text = CASCADE + ACCOUNT.replace(old, new)
    (found,) = problems(text)
    file, line, _, message = found.split(":", 3)
    assert (file, message.strip()) == ("<string>", what)
    key = what.partition(":")[0].rpartition(".")[2]
    assert text.splitlines()[int(line) - 1].startswith(f"{key} = ")


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ("", "state either a 'kind' of event"),
        ("market = 'pool'", "state either a 'kind' of event"),
        ("kind = 'shock'\nmarket = 'pool'\nbelow = 1", "state either a 'kind' of event"),
        ("market = 'pool'\nbelow = 1\nabove = 2", "state either a 'kind' of event"),
        ("below = 1", "'below' is about a price: state its 'market'"),
        ("market = 'pool'\nbelow = 1\nnode = 'first'", "'node' and 'asset' are of events"),
    ],
)
def test_a_link_is_an_event_or_a_price_and_not_both(keys: str, what: str) -> None:
    found = problems(f"{CASCADE}\n[[links]]\nid = 'x'\n{keys}\n")
    assert len(found) == 1 and what in found[0]
    assert found[0].startswith(f"<string>:{CASCADE.count(chr(10)) + 2}:")


def test_code_from_outside_may_log_kinds_of_its_own() -> None:
    foreign = CASCADE + '\n[nodes.odd]\nkind = "tests.kinds.threshold"\n[[links]]\nid = "x"\nkind = "own-kind"\n'
    result = cg.run(cg.loads(foreign, allow_code=True), allow_code=True, twins=False)
    assert result.facts["links"]["seen"]["x"]["first"] is None


def literal_kinds(source: str) -> set[str]:
    """Return the kinds that a source logs by a literal name."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    names = {"transact", "record", "record_members", "_move"}
    first = [node.args[0] for node in calls if isinstance(node.func, ast.Attribute) and node.func.attr in names]
    return {node.value for node in first if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_kind_that_the_package_logs_may_be_named() -> None:
    sources = {name: source for name, source in modules().items()}
    logged = {kind: name for name, source in sources.items() for kind in literal_kinds(source)}
    assert len(logged) > 40
    assert {kind: name for kind, name in logged.items() if kind not in KINDS} == {}
    assert set(FAILURES) <= KINDS


@pytest.mark.parametrize("kind", WORLDS)
def test_every_kind_that_a_world_logs_may_be_named(kind: str) -> None:
    graph: Any = WORLDS[kind]()
    sim = build(graph)
    sim.run(graph.graph["horizon_us"])
    assert set(sim.log.kinds) <= KINDS
