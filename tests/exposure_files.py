"""Exposure files for `contagion clear`, written where a test runs, and what the command says of them."""

import csv
import json
from typing import Any

from click.testing import CliRunner, Result

from contagion.cli import main

LETTERS = "ABCDEF"


def edges(owes: list[list[float]], name: str = "e.csv") -> str:
    """Write what each owes each as an edge list."""
    rows = [(LETTERS[i], LETTERS[j], amount) for i, row in enumerate(owes) for j, amount in enumerate(row) if amount]
    return table([("debtor", "creditor", "amount"), *rows], name)


def table(rows: list[tuple[Any, ...]], name: str) -> str:
    with open(name, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return name


def nodes(name: str = "n.csv", **columns: list[float]) -> str:
    count = len(next(iter(columns.values())))
    rows = [(LETTERS[i], *(column[i] for column in columns.values())) for i in range(count)]
    return table([("name", *columns), *rows], name)


def transposed(matrix: list[list[float]]) -> list[list[float]]:
    return [list(row) for row in zip(*matrix, strict=True)]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["clear", *arguments])


def cleared(*arguments: str) -> dict[str, Any]:
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def letters(waves: list[list[int]]) -> list[list[str]]:
    return [[LETTERS[bank] for bank in wave] for wave in waves]


def column(found: dict[str, Any], key: str) -> list[float]:
    return [node[key] for node in found["nodes"]]
