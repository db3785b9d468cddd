"""Markdown pages as tests: what each fenced block of a page is, and what it has to do.

A page has a directory of its own, in which its blocks follow one another:

* ``sh``: commands, run with `contagion` on the path; an HTML comment ``<!-- exit 3 -->`` above says that it ends so.
* ``text``: what the block before it printed; ``...`` stands for anything, on a line of its own for any lines.
* ``console``: commands with a word about each, parsed and not run.
* ``diff``: a change, made to the file that it names.
* ``toml``: a scenario, or one's beginning and tables, added to what ``<!-- on top of: interbank -->`` names; validated.
  ``<!-- added to: first/scenario.toml -->`` changes that file, for the commands that follow.
* ``python``: run, all blocks of a page in one namespace. With ``>>>``, as ``pycon``, it is pytest's (doctest).
* Whatever stands under a line that begins with a file's name in backticks and ends with a colon: that file, if the name
  ends as the language says.

* ``r``: left alone.

Any other language is an error. What is not run is named in `NOT_RUN`, `LONG` and `FOREIGN`, and parsed all the same.
"""

import ast
import difflib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import click
import networkx as nx

import contagion
from contagion.cli import main
from contagion.errors import BadInput
from contagion.graph import knock_out
from contagion.scenario import load, shipped
from tests.installation import install

ROOT = Path(contagion.__file__).resolve().parent.parent
PAGES = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]

NOT_RUN = {
    ("README.md", "python3 -m venv .venv"): "installs the package; .ci/run types it in a clean clone",
    ("README.md", ".venv/bin/pip install"): "runs all tests; .ci/run types it in a clean clone",
}
"""Blocks, by page and how they begin, that are parsed only, and why."""

LONG = {
    ("docs/october-2025-account.md", "contagion run usde-spiral"): "a minute",
    ("docs/october-2025-account.md", "contagion run usde-effect"): "a minute",
}
"""Blocks that take long: run where the environment says CONTAGION_PAGES=all, else parsed."""

FOREIGN = {"pandas": "an extra", "duckdb": "not ours", "polars": "not ours"}
"""Packages whose blocks of Python are compiled only where they are not installed."""

FIGURES = ("docs/report.png", "docs/usde-spiral.png")
"""Every picture on a page: `python -m tests.pictures` makes them."""


class Block(NamedTuple):
    """A fenced block: its language and text, the line of its fence, and the line and the comment above it."""

    language: str
    text: str
    line: int
    above: str
    comment: str

    @property
    def file(self) -> str:
        """Return the name of the file that the line above says this is, or nothing."""
        named = re.match(r"`([^`\s]+\.(\w+))`.*:$", self.above)
        return named[1] if named and named[2] == {"python": "py"}.get(self.language, self.language) else ""


def blocks(markdown: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    lines, number, above, comment = markdown.splitlines(), 0, "", ""
    while number < len(lines):
        line = lines[number].strip()
        if line.startswith("```"):
            end = next((n for n in range(number + 1, len(lines)) if lines[n].strip() == "```"), None)
            assert end is not None, f"line {number + 1}: a block without an end"
            yield Block(line[3:], "\n".join(lines[number + 1 : end]) + "\n", number + 1, above, comment)
            number, above, comment = end, "", ""
        elif stated := re.fullmatch(r"<!-- *(.*?) *-->", line):
            comment = stated[1]
        elif line:
            above, comment = line, ""
        number += 1


def prose(markdown: str) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"(?ms)^\s*```.*?^\s*```$", "", markdown)


def parse_command(words: Sequence[str], *, whole: bool = True) -> None:
    """Parse ``contagion ...`` as the command line does; check the scenario that it names and what it knocks out.

    whole=False : what is required may be missing.
    """
    if len(words) == 1 or words[1].startswith("-"):
        return
    assert words[1] in main.commands, f"contagion has no command {words[1]!r}"
    try:
        context = main.commands[words[1]].make_context(words[1], list(words[2:]))
    except click.ClickException as error:
        if isinstance(error, click.MissingParameter) and not whole:
            return
        raise AssertionError(f"{shlex.join(words)}: {error.format_message()}") from None
    scenario = context.params.get("scenario")
    if scenario and "/" not in scenario and not scenario.endswith(".toml"):
        assert scenario in shipped(), f"{shlex.join(words)}: no shipped scenario {scenario!r}"
        for name in (part for names in context.params.get("knock_outs", ()) for part in names.split("+")):
            knock_out(_graph(scenario), name)


@cache
def _graph_of(scenario: str) -> nx.MultiDiGraph:
    return load(scenario, reduced=True).graph()


def _graph(scenario: str) -> nx.MultiDiGraph:
    return _graph_of(scenario).copy()


def commands(script: str) -> Iterator[list[str]]:
    """Yield the words of every call of `contagion` in a shell script, whatever its path."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("();<>|&"):
                if words and words[0].rsplit("/", 1)[-1] == "contagion":
                    yield ["contagion", *words[1:]]
                words = []
            else:
                words.append(word)


def listed(text: str) -> Iterator[list[str]]:
    """Yield the words of each command of a list in which two blanks part it from what it is for."""
    for line in text.splitlines():
        if line and not line.startswith(" "):
            yield shlex.split(re.sub(r"<[^>]*>", "X", re.split(r" {2,}", line)[0]))


def inline(markdown: str) -> Iterator[list[str]]:
    """Yield the words of each command that stands in the running text; whatever it leaves open is not one."""
    for text in re.findall(r"`(contagion [^`]+)`", prose(markdown)):
        words = shlex.split(re.sub(r"<[^>]*>", "X", text))
        if "..." not in text and len(words) > 2:
            yield words
        else:
            known = words[1] in main.commands or words[1].startswith("-")
            assert known, f"contagion has no command {words[1]!r}"


def agrees(expected: str, actual: str) -> bool:
    """Return whether a page says what was printed, ``...`` standing for anything (on its own line: for any lines)."""
    pattern = ""
    for line in expected.strip("\n").splitlines():
        words = (re.escape(part) for part in line.rstrip().split("..."))
        pattern += r"(?:.*\n)*?" if line.strip() == "..." else r"[^\n]*?".join(words) + r"[^\S\n]*\n"
    return re.fullmatch(pattern, actual.strip("\n") + "\n") is not None


def patched(text: str, diff: str) -> str:
    """Return a text with the change of a diff made to it, which has to fit in one place."""
    lines = [line for line in diff.splitlines() if not line.startswith(("--- ", "+++ ", "@@"))]
    before = "".join(line[1:] + "\n" for line in lines if line[:1] in (" ", "-"))
    after = "".join(line[1:] + "\n" for line in lines if line[:1] in (" ", "+"))
    assert text.count(before) == 1, f"the diff fits in {text.count(before)} places"
    return text.replace(before, after)


def on_top(base: str, fragment: str) -> str:
    """Return a scenario with a fragment: its own keys at the beginning, its tables at the end."""
    first = re.search(r"(?m)^\[", fragment)
    keys, tables = (fragment[: first.start()], fragment[first.start() :]) if first else (fragment, "")
    start = re.search(r"(?m)^\[", base)
    head, rest = (base[: start.start()], base[start.start() :]) if start else (base, "")
    for key in tomllib.loads(keys):
        head = re.sub(rf"(?m)^{re.escape(key)}\s*=.*$", "", head)
    return f"{keys}{head}{rest}\n{tables}"


def imported(source: str) -> set[str]:
    """Return the packages that a block of Python imports."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


def targets(markdown: str) -> list[str]:
    """Return where the links and pictures of a page lead, other sites left out."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(markdown))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(markdown: str) -> set[str]:
    """Return the anchors of a page's headings, as they are made where such pages are shown."""
    heads = re.findall(r"(?m)^#+ (.+)$", prose(markdown))
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@dataclass
class Desk:
    """Where the blocks of one page are run: its directory, what Python knows, and what was printed last."""

    page: str
    directory: Path
    everything: bool = False
    namespace: dict[str, Any] = field(default_factory=dict)
    printed: str | None = None

    def __post_init__(self) -> None:
        place = self.directory / ".bin"
        place.mkdir(parents=True)
        python = shlex.quote(sys.executable)
        for name, command in (("contagion", f"{python} -m contagion"), ("python", python)):
            (place / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
            (place / name).chmod(0o755)
        self.site = self.directory / ".site"
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("CONTAGION_")} | {
            "PATH": os.pathsep.join((str(place), os.environ.get("PATH", ""))), "PYTHONUTF8": "1",
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(self.site))), "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip

    def take(self, block: Block) -> None:
        """Do what a block of its language has to do; AssertionError where it does not."""
        if block.file:
            self._write(block)
            return
        known = {
            "sh": self._run, "text": self._compare, "console": self._list, "diff": self._patch, "toml": self._validate,
            "python": self._execute, "pycon": self._execute, "r": self._leave,
        }  # fmt: skip
        assert block.language in known, f"no rule for a block of {block.language or 'no language'}"
        known[block.language](block)

    def _write(self, block: Block) -> None:
        path = self.directory / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8", newline="\n")
        if block.language == "python":
            compile(block.text, block.file, "exec")
        if block.language == "toml" and "nodes" in tomllib.loads(block.text):
            self._load(path)

    def _run(self, block: Block) -> None:
        self.printed = None
        for words in commands(block.text):
            parse_command(words)
        named = [(page, start) for page, start in {**NOT_RUN, **LONG} if page == self.page]
        skipped = [key for key in named if block.text.startswith(key[1])]
        if skipped and not (self.everything and skipped[0] in LONG):
            return
        script = block.text
        if wanted := re.match(r"pip install \./(\S+)\n", script):
            install(self.directory / wanted[1], self.site)
            script = script[wanted.end() :]
        done = subprocess.run(
            ["sh", "-eu", "-c", script], cwd=self.directory, env=self.environment, text=True, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        wanted = re.fullmatch(r"exit (\d+)", block.comment)
        assert done.returncode == (int(wanted[1]) if wanted else 0), f"ended with {done.returncode}:\n{done.stdout}"
        self.printed = done.stdout

    def _compare(self, block: Block) -> None:
        if self.printed is not None and not agrees(block.text, self.printed):
            sides = (text.strip("\n").splitlines() for text in (block.text, self.printed))
            raise AssertionError("\n".join(difflib.unified_diff(*sides, "on the page", "printed", lineterm="")))

    def _list(self, block: Block) -> None:
        for words in listed(block.text):
            parse_command(words)

    def _patch(self, block: Block) -> None:
        named = re.search(r"(?m)^\+\+\+ (\S+)", block.text)
        assert named, "the diff names no file"
        path = self.directory / named[1]
        assert path.is_file(), f"the diff changes {path.name}, which is not there"
        path.write_text(patched(path.read_text(encoding="utf-8"), block.text), encoding="utf-8", newline="\n")

    def _validate(self, block: Block) -> None:
        if changed := re.fullmatch(r"added to: (\S+)", block.comment):
            path = self.directory / changed[1]
            path.write_text(on_top(path.read_text(encoding="utf-8"), block.text), encoding="utf-8", newline="\n")
            return
        below = re.fullmatch(r"on top of: (\S+)", block.comment)
        text, folder = block.text, self.directory
        if below:
            path = shipped().get(below[1], self.directory / below[1])
            text, folder = on_top(path.read_text(encoding="utf-8"), text), path.parent
        path = (folder if folder.is_relative_to(self.directory) else self.directory) / f"line-{block.line}.toml"
        path.write_text(text, encoding="utf-8", newline="\n")
        self._load(path)
        path.unlink()

    def _load(self, path: Path) -> None:
        try:
            load(path)
        except BadInput as error:
            raise AssertionError(str(error)) from None

    def _leave(self, block: Block) -> None:
        """Leave a block in R alone: no machine of ours need have it."""
        self.printed = None

    def _execute(self, block: Block) -> None:
        if ">>>" in block.text:
            return
        assert block.language == "python", "a console of Python without a prompt"
        code = compile(block.text, f"{self.page}:{block.line}", "exec")
        self.printed = None
        if any(name in FOREIGN and find_spec(name) is None for name in imported(block.text)):
            return
        with redirect_stdout(io.StringIO()) as printed:
            exec(code, self.namespace)
        self.printed = printed.getvalue()
