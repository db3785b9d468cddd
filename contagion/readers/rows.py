"""What the tables of a scenario have become: nodes and edges, and for each of them the row that it came from.

Apart from `tables`, which reads them, so that a scenario without any need not load a CSV reader.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, NamedTuple

from contagion.errors import Problem
from contagion.readers.words import MAX_PROBLEMS

if TYPE_CHECKING:
    from contagion.readers.sheet import Provenance, Sheet

KEYS = ("nodes_csv", "exposures_csv", "positions_csv")
"""The keys of a scenario that name tables."""


class Input(NamedTuple):
    """A file that a scenario has read: its name as stated, its bytes and where its rows are from."""

    name: str
    content: bytes
    provenance: "Provenance"


class Row(NamedTuple):
    """Where a node or an edge is from, and which columns its attributes are from."""

    sheet: "Sheet"
    row: int
    titles: Mapping[str, str] = {}


class Tables(NamedTuple):
    """Nodes and edges as a scenario writes them, the row of each, and the files."""

    nodes: dict[str, dict[str, Any]]
    edges: list[dict[str, Any]]
    node_rows: dict[str, Row]
    edge_rows: list[Row]
    inputs: tuple[Input, ...]

    def problem(self, path: Sequence[str | int], what: str, first_edge: int) -> Problem | None:
        """Return what is wrong at a path of the graph, with its line; None when it is not from here.

        first_edge : how many edges the scenario states itself, which come before ours.
        """
        where = None
        if len(path) > 1 and path[0] == "nodes":
            where = self.node_rows.get(str(path[1]))
        elif len(path) > 1 and path[0] == "edges" and isinstance(path[1], int) and path[1] >= first_edge:
            where = self.edge_rows[path[1] - first_edge]
        if where is None:
            return None
        line = where.sheet.line(where.row)
        first, *rest = [*map(str, path[2:]), ""]
        column = ".".join([where.titles.get(first, first), *rest]).strip(".")
        return Problem(where.sheet.file, line, 0, column, what)

    def shortened(self, problems: Sequence[Problem]) -> list[Problem]:
        """Return the problems in their order, of each of the files here only the first, and how many more it has."""
        files = {row.sheet.file: 0 for row in (*self.node_rows.values(), *self.edge_rows)}
        shown = []
        for problem in sorted(problems):
            if problem.file in files:
                files[problem.file] += 1
            if files.get(problem.file, 0) <= MAX_PROBLEMS:
                shown.append(problem)
        more = {file: count - MAX_PROBLEMS for file, count in files.items() if count > MAX_PROBLEMS}
        return shown + [Problem(file, 0, 0, "", f"{count:,} more problems like these") for file, count in more.items()]


def outside(name: str) -> str:
    """Return why a file's name leads out of the scenario's folder or cannot stand in a run's, or nothing.

    >>> outside("data/banks.csv")
    ''
    >>> outside("../banks.csv")
    'must lie in the folder of the scenario or below it'
    """
    for flavour in (PurePosixPath(name), PureWindowsPath(name)):
        if flavour.is_absolute() or flavour.drive or ".." in flavour.parts:
            return "must lie in the folder of the scenario or below it"
    return "" if name.endswith(".csv") else "must be a file that ends in .csv"
