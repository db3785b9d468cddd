"""Which parameters were assumed: what the scenario's own comments say of the values beside them."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from contagion.errors import BadInput
from contagion.report.svg import shortened
from contagion.source import KeyPath, Source, dotted, parse_source

_KEY = re.compile(r"""\s*(?:[\w.-]|"[^"]*"|'[^']*')+\s*=\s*""")
_STRING_OR_COMMENT = re.compile(
    r"""\"{3}.*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*' | \#[^\n]*""", re.VERBOSE | re.DOTALL
)
_WORD = re.compile(r"\bassumed\b", re.IGNORECASE)


class Assumption(NamedTuple):
    """A value, its path in the scenario, and what is said about it."""

    path: str
    value: str
    comment: str
    line: int


def assumptions(text: str) -> list[Assumption]:
    r"""Return the values with a comment that says "assumed", on their line or right above it.

    >>> assumptions("[pool]\nfee = 1  # assumed (1 to 4)\n")
    [Assumption(path='pool.fee', value='1', comment='assumed (1 to 4)', line=2)]
    """
    try:
        source = parse_source(text)
    except BadInput:  # a run of a graph has no scenario
        return []
    lines, paths = text.split("\n"), _paths(source)
    comments = _comments(source.text)
    found = []
    for line, (column, words) in comments.items():
        alone = not lines[line - 1][: column - 1].strip()
        if alone:
            continue
        following = line + 1
        while following in comments and following not in paths and abs(comments[following][0] - column) <= 1:
            words += f" {comments[following][1]}"
            following += 1
        if _WORD.search(words) and line in paths:
            found.append(_assumption(lines[line - 1][: column - 1], paths[line], words, line))
    return sorted(found + _above(comments, lines, paths), key=lambda one: one.line)


def _above(comments: dict[int, tuple[int, str]], lines: list[str], paths: dict[int, KeyPath]) -> list[Assumption]:
    """Return what is said on lines of its own right above a value or a table."""
    found, block = [], list[str]()
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("#") and number in comments:
            block.append(comments[number][1])
            continue
        words = " ".join(block)
        if number in paths and _WORD.search(words):
            column = comments[number][0] if number in comments else len(line) + 1
            found.append(_assumption(line[: column - 1], paths[number], words, number))
        block.clear()
    return found


def _assumption(code: str, path: KeyPath, words: str, line: int) -> Assumption:
    key = _KEY.match(code)
    value = code[key.end() :] if key else "(the table)" if code.lstrip().startswith("[") else code
    return Assumption(dotted(path), shortened(value.strip().rstrip(","), 160), words.lstrip("- "), line)


def _comments(text: str) -> dict[int, tuple[int, str]]:
    """Return column and words of the comment of every line that has one, in a document that is known to be valid."""
    found, line, start = {}, 1, 0
    for match in _STRING_OR_COMMENT.finditer(text):
        line, start = line + text.count("\n", start, match.start()), match.start()
        if match[0][0] == "#":
            column = start - text.rfind("\n", 0, start)
            found[line] = (column, match[0].lstrip("# ").rstrip())
    return found


def _paths(source: Source) -> dict[int, KeyPath]:
    """Return the first path that begins on each line."""
    first: dict[int, tuple[int, KeyPath]] = {}
    for path in _walk(source.data, ()):
        line, column = source.place(path)
        if line not in first or (column, len(path)) < (first[line][0], len(first[line][1])):
            first[line] = (column, path)
    return {line: path for line, (_, path) in first.items()}


def _walk(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in rows:
        yield (*path, key)
        yield from _walk(inner, (*path, key))
