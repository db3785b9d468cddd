"""The model reference tells every value and every figure, is the page in docs, and cannot fall behind the code."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import contagion as cg
from contagion.cli import main
from contagion.graph import NODE_FACTS
from contagion.json_schema import scenario_schema
from contagion.meanings import of_figures, of_values
from contagion.reference import meaning, reference, sections
from tests.measures import undefined
from tests.scenarios import CASCADE

PAGE = Path(__file__).resolve().parent.parent / "docs" / "model-reference.md"


def test_the_page_in_docs_is_what_the_command_prints() -> None:
    result = CliRunner().invoke(main, ["reference"])
    assert result.exit_code == 0
    assert result.stdout == reference()
    assert PAGE.read_text(encoding="utf-8") == reference(), "run: contagion reference > docs/model-reference.md"


def test_the_command_writes_a_file(tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["reference", "-o", str(tmp_path / "page.md")]).stdout == ""
    assert (tmp_path / "page.md").read_bytes() == reference().encode()


@pytest.mark.parametrize(("section", "name", "model"), list(sections()))
def test_every_value_has_a_meaning(section: str, name: str, model: Any) -> None:
    assert not [field for field in model.model_fields if meaning(section, name, field) is None]


def test_every_meaning_is_of_a_value() -> None:
    known = {(f"{section}.{name}" if name else section, field)
             for section, name, model in sections() for field in model.model_fields}  # fmt: skip
    known |= {("nodes.any", name) for name in NODE_FACTS}
    known |= {(f"{section.split('.')[0]}.any", field) for section, field in known}
    told = {(section, field) for section, rows in of_values().items() for field in rows}
    assert not told - known


def test_names_of_tables_inside_are_unique() -> None:
    inner = [name for section, name, _ in sections() if section == "tables"]
    assert len(inner) == len(set(inner))


def test_meanings_are_short_lines_of_text() -> None:
    for table in (of_values(), of_figures()):
        for rows in table.values():
            for name, said in rows.items():
                assert said.text and said.text == said.text.strip() and "\n" not in said.text, name
                assert not said.text.endswith("."), name
                assert len(said.text) <= 200, name


def test_a_row_tells_type_unit_default_bounds_and_source() -> None:
    page = reference()
    assert "| `yield_rate` | number | a year | 0 | ≥ -1, ≤ 100 | growth of the reference price" in page
    assert "| `keep` | number | times maintenance | 1.2 | ≥ 1 |" in page
    assert "| `fee` | number | share | 0.003 | ≥ 0, ≤ 0.999999 |" in page
    assert "| `heartbeat` | time |  | 1h |  | after which there is an answer in any case | Chainlink's rule |" in page
    assert "| `assets` | list of assets |  | required | 2 to 4 of them |" in page


def test_rows_of_a_table_have_as_many_cells_as_its_head() -> None:
    for table in re.findall(r"(?:^\|.*\n)+", reference(), re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_an_editor_is_told_the_same() -> None:
    defs = scenario_schema()["$defs"]
    assert defs["node-asset"]["properties"]["peg"]["description"] == "price that it is meant to have [currency]"
    assert defs["edge-claims"]["properties"]["latency"]["description"].startswith("that distress takes")
    assert defs["node-exchange-Halt"]["properties"]["end"]["description"] == "since the start of the run [time]"


def test_every_figure_of_a_run_is_defined() -> None:
    run = cg.run(cg.loads(CASCADE))
    run.facts["order_sensitivity"] = cg.order_sensitivity(cg.loads(CASCADE), 2)
    used: set[str] = set()
    assert not undefined(run.facts, used)
    assert "order_sensitivity.figures.<figure>.high" in used


def test_an_undefined_figure_is_found() -> None:
    facts: Mapping[str, Any] = {"failures": 1, "new": 2, "total_losses": {"net": 1.0, "odd": 2.0}, "prices": {}}
    assert undefined(facts, set()) == ["new", "total_losses.odd"]
