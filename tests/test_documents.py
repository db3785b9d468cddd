"""The pages say what is true: every block is run or checked, every command parses, every link leads somewhere."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.documents import (
    FIGURES,
    LONG,
    NOT_RUN,
    PAGES,
    ROOT,
    Block,
    Desk,
    agrees,
    anchors,
    blocks,
    commands,
    inline,
    listed,
    on_top,
    parse_command,
    patched,
    targets,
)

EVERYTHING = os.environ.get("CONTAGION_PAGES") == "all"
each_page = pytest.mark.parametrize("page", PAGES)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("sh") is None, reason="blocks of sh need a shell")
@each_page
def test_every_block_does_what_its_page_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    desk = Desk(page, tmp_path, EVERYTHING)
    for block in blocks(read(page)):
        try:
            desk.take(block)
        except Exception as error:
            where = f"{page}:{block.line} ({block.language})"
            pytest.fail(f"{where}: {type(error).__name__}: {error}", pytrace=False)


@each_page
def test_commands_in_the_text_parse(page: str) -> None:
    for words in inline(read(page)):
        parse_command(words, whole=False)


@each_page
def test_links_and_pictures_lead_somewhere(page: str) -> None:
    for target in targets(read(page)):
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), target


def test_every_picture_is_drawn_by_a_command() -> None:
    drawn = {
        ((ROOT / page).parent / target).resolve().relative_to(ROOT).as_posix()
        for page in PAGES
        for target in targets(read(page))
        if re.search(r"\.(png|svg)$", target)
    }
    assert drawn == set(FIGURES)


def test_what_is_not_run_is_on_its_page() -> None:
    for page, start in {**NOT_RUN, **LONG}:
        assert any(block.language == "sh" and block.text.startswith(start) for block in blocks(read(page))), start


def test_every_page_is_in_the_index() -> None:
    pages = {page.removeprefix("docs/") for page in PAGES} - {"README.md"}
    assert pages <= set(targets(read("docs/README.md")))


def fails(tmp_path: Path, language: str, text: str, comment: str = "", printed: str | None = None) -> str:
    """Return what a block that must not pass is told."""
    desk = Desk("page.md", tmp_path, printed=printed)
    with pytest.raises(AssertionError) as told:
        desk.take(Block(language, text, 1, "", comment))
    return str(told.value)


@pytest.mark.parametrize(
    ("language", "text", "why"),
    [
        ("", "anything\n", "no rule for a block of no language"),
        ("cobol", "anything\n", "no rule for a block of cobol"),
        ("sh", "contagion rnu interbank\n", "no command 'rnu'"),
        ("sh", "contagion run interbank --no-twin\n", "No such option"),
        ("sh", "contagion run usde-lops\n", "no shipped scenario 'usde-lops'"),
        ("sh", "exit 4\n", "ended with 4"),
        ("console", "contagion attribute usde-loops --seeds none  on no seeds\n", "--seeds"),
        ("toml", 'name = "x"\n[nodes.usd]\nkind = "aset"\n', "did you mean 'asset'"),
        ("diff", "--- a.toml\n+++ a.toml\n-x\n+y\n", "not there"),
        ("text", "something else\n", "+something"),
    ],
)
def test_a_block_that_is_wrong_fails(language: str, text: str, why: str, tmp_path: Path) -> None:
    assert why in fails(tmp_path, language, text, printed="something\n")


def test_a_fragment_is_checked_as_part_of_its_scenario(tmp_path: Path) -> None:
    fragment = 'horizon = "9d"\n[[shocks]]\nkind = "default"\nnode = "nobody"\n'
    assert "there is no node 'nobody'" in fails(tmp_path, "toml", fragment, "on top of: interbank")
    Desk("page.md", tmp_path / "other").take(Block("toml", 'horizon = "9d"\n', 1, "", "on top of: interbank"))


def test_a_fragment_replaces_keys_and_adds_tables() -> None:
    assert on_top("a = 1\nb = 2\n[x]\nc = 3\n", "a = 4\n[y]\nd = 5\n") == "a = 4\n\nb = 2\n[x]\nc = 3\n\n[y]\nd = 5\n"


def test_dots_stand_for_the_rest_of_a_line_or_for_lines() -> None:
    assert agrees("a ... c\n...\nz\n", "a b c\nmore\nlines\nz\n")
    assert agrees("a\n...\n", "a\n") and agrees("1.5...\n", "1.5 s\n")
    assert not agrees("a ... c\n", "a b\nc\n") and not agrees("a\n", "a\nb\n")


def test_a_diff_is_made_where_it_fits_once() -> None:
    assert patched("a\nb\nc\n", "--- f\n+++ f\n b\n-c\n+d\n") == "a\nb\nd\n"
    with pytest.raises(AssertionError, match="2 places"):
        patched("a\nb\na\n", "-a\n+c\n")


def test_commands_are_found_behind_pipes_and_paths_and_in_lists() -> None:
    found = commands("VAR=1 true && .venv/bin/contagion list | cat  # contagion run\ncontagion \\\n  schema > f\n")
    assert list(found) == [["contagion", "list"], ["contagion", "schema"]]
    assert list(listed("contagion why runs/<the run> x    tells\n    more\n")) == [["contagion", "why", "runs/X", "x"]]
