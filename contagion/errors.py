"""What we say when the input is wrong or something is not installed: where, what, and the likely fix."""

import difflib
from collections.abc import Iterable
from importlib.util import find_spec
from typing import NamedTuple

_PURPOSES = {
    "browser": "checking a report in a browser",
    "dask": "running on a Dask cluster",
    "fast": "compiling the kernels",
    "mpi": "running under MPI",
    "pandas": "a data frame",
    "plot": "drawing",
    "sensitivity": "sensitivity analysis",
    "sql": "a query",
}


class Problem(NamedTuple):
    """One thing wrong with an input: where it stands and what it is.

    Lines and columns count from 1; line 0 means there is no text, as for a graph built in Python, and column 0 that
    the path says it: the column of a table.

    >>> print(Problem("a.toml", 3, 7, "shock.size", "must be negative"))
    a.toml:3:7: shock.size: must be negative
    >>> print(Problem("banks.csv", 3, 0, "equity", "is not a number"))
    banks.csv:3: equity: is not a number
    >>> print(Problem("graph", 0, 0, "", "has no nodes"))
    graph: has no nodes
    """

    file: str
    line: int
    column: int
    path: str
    what: str

    def __str__(self) -> str:
        """Return ``file:line:column: path: what`` without the parts that are unknown, safe on a terminal."""
        place = ":".join(map(str, (self.file, *(number for number in (self.line, self.column) if number))))
        return printable(": ".join(part for part in (place, self.path, self.what) if part))


def printable(text: str) -> str:
    r"""Return text in which whatever a terminal would obey, or not show, is spelled out.

    >>> print(printable("\x1b[31mred\n"))
    \x1b[31mred\n
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)


class BadInput(ValueError):
    """Every problem of an input; as text, one a line. Survives pickling, so a worker may raise it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Hold at least one problem."""
        self.problems: tuple[Problem, ...] = tuple(problems)
        assert self.problems, "bad input has at least one problem"
        super().__init__(self.problems)

    def __str__(self) -> str:
        """Return one line for each problem."""
        return "\n".join(map(str, self.problems))


class MissingExtra(ImportError):
    """An optional package that is needed now, and the command that installs it.

    >>> print(MissingExtra("plot", "matplotlib"))
    drawing needs matplotlib: pip install 'contagion-engine[plot]'
    """

    def __init__(self, extra: str, package: str) -> None:
        """Name the extra of ours and the package it would bring."""
        super().__init__(extra, package, name=package)
        self.extra = extra
        self.package = package

    def __str__(self) -> str:
        """Return the purpose, the package and the command."""
        purpose = _PURPOSES.get(self.extra, "this")
        return f"{purpose} needs {self.package}: pip install 'contagion-engine[{self.extra}]'"


def need(extra: str, package: str) -> None:
    """Refuse to go on without an optional package, before anything is done that would need it."""
    if find_spec(package) is None:
        raise MissingExtra(extra, package)


def closest(word: str, candidates: Iterable[str]) -> str:
    """Return a hint that names the candidate most like `word`, or nothing when none is like it.

    >>> closest("liqidator", ["keeper", "liquidator"])
    "; did you mean 'liquidator'?"
    >>> closest("zebra", ["keeper", "liquidator"])
    ''
    """
    matches = difflib.get_close_matches(word, list(candidates), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def missing(key: str, given: Iterable[str]) -> str:
    """Return that a required key is not there, and which of the unknown keys that are may stand for it.

    >>> missing("kind", ["knd", "fee"]), missing("kind", ["fee"])
    ("is required but missing; is 'knd' meant to be it?", 'is required but missing')
    """
    matches = difflib.get_close_matches(key, list(given), n=1)
    return "is required but missing" + (f"; is {matches[0]!r} meant to be it?" if matches else "")


class Misfit(Exception):
    """A graph whose parts are fine by themselves but do not fit together, with the path of the culprit."""

    def __init__(self, path: tuple[str | int, ...], what: str) -> None:
        """Hold the path, such as ``('nodes', 'pool', 'base')``, and what is wrong there."""
        self.path, self.what = path, what
        super().__init__(f"{'.'.join(map(str, path))}: {what}")
