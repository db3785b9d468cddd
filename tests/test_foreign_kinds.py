"""Kinds of nodes that other packages bring: found by name once they are installed, and only then."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import contagion as cg
from contagion.assembly import mechanism_of
from contagion.cli import main
from contagion.errors import Misfit
from tests.installation import by_hand

PROJECT = """
[project]
name = "acme-things"
version = "1.0"

[project.entry-points."contagion.mechanisms"]
"acme.threshold" = "acme_things.threshold"
"acme.gone" = "acme_things.gone"
"""
NODE = """
[nodes.odd]
kind = "acme.threshold"
stands_as = "%s"
"""
SCENARIO = """
name = "one of theirs"
[nodes.usd]
kind = "asset"
[[edges]]
role = "claims"
from = "odd"
to = "world"
asset = "usd"
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a package with a kind that works and one whose module is missing."""
    package = tmp_path / "acme-things" / "acme_things"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    source = (Path(__file__).parent / "kinds" / "threshold.py").read_text(encoding="utf-8")
    (package / "threshold.py").write_text(source, encoding="utf-8")
    (package.parent / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    by_hand(package.parent, tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield


def test_an_installed_kind_runs_without_leave(installed: None) -> None:
    run = cg.run(cg.loads(SCENARIO + NODE % "bank"), twins=False)
    assert run.books.holder_kinds[run.books.holders.index("odd")] == "acme.threshold"


def test_installed_kinds_are_listed_and_a_broken_one_says_so(installed: None) -> None:
    listed = json.loads(CliRunner().invoke(main, ["list", "--json"]).stdout)["mechanisms"][-2:]
    assert [row["kind"] for row in listed] == ["acme.gone", "acme.threshold"]
    assert "cannot be imported: No module named 'acme_things.gone'" in listed[0]["about"]
    assert listed[1]["about"].startswith("A threshold cascade: ")


def test_a_kind_stands_where_the_one_it_stands_for_may(installed: None) -> None:
    with pytest.raises(cg.BadInput, match=r"'odd' is of kind asset; claims edges go from another kind"):
        cg.loads(SCENARIO + NODE % "asset")
    with pytest.raises(cg.BadInput, match=r"nodes\.odd\.stands_as: is for kinds of other packages"):
        cg.loads(SCENARIO + NODE % "bnk")


def test_a_kind_of_ours_stands_for_itself() -> None:
    with pytest.raises(cg.BadInput, match=r"nodes\.odd\.stands_as: is for kinds of other packages"):
        cg.loads(SCENARIO + NODE.replace("acme.threshold", "account") % "bank")


def test_without_the_package_its_kind_is_unknown_and_a_module_needs_leave() -> None:
    with pytest.raises(Misfit, match=r"no installed package has a kind 'acme\.threshold'"):
        mechanism_of("acme.threshold")
    assert mechanism_of("tests.kinds.threshold", allow_code=True).__name__ == "Threshold"
    with pytest.raises(Misfit, match="no kind 'loper'; did you mean 'looper'"):
        mechanism_of("loper", allow_code=True)
