"""The rows of finished runs, kept on file while a study goes on, so that one that ended early loses none of them.

A study is many runs, each a row of plain figures by a key of its own. Each row is written as a line of JSON when its
run is done; whoever comes again with the same file makes only the runs that it has not. All rows pass through JSON,
also those that are not kept, so that it makes no difference which of them were. Runs that failed are not kept: they
are tried again.
"""

import json
import os
import threading
from collections.abc import Callable, Collection, Hashable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeVar

from contagion.study.executors import outcomes

Row = dict[str, Any]
Key = TypeVar("Key", bound=Hashable)


class Results:
    """Rows by key, in memory and, where a path is given, in a file with a line a row."""

    def __init__(self, path: Path | None = None) -> None:
        """Read what is there; a line that was cut off by the end of its process is none."""
        self._path, self._lock, self._rows = path, threading.Lock(), dict[str, Row]()
        if path is None or not path.exists():
            return
        for line in path.read_bytes().splitlines():
            try:
                key, row = json.loads(line)
            except (ValueError, TypeError, RecursionError):
                continue
            if isinstance(key, str) and isinstance(row, dict):
                self._rows[key] = row
        whole = path.with_name(f".{path.name}.part")
        whole.write_bytes(b"".join(map(_line, self._rows, self._rows.values())))
        os.replace(whole, path)

    def find(self, key: Any, columns: Collection[str]) -> Row | None:
        """Return the row of a key, None where there is none that has these columns."""
        row = self._rows.get(_text(key))
        return row if row is not None and set(row) == set(columns) else None

    def add(self, key: Any, row: Row) -> Row:
        """Keep a row, unless there is one, and return it as it is kept; from any thread."""
        line = _line(_text(key), row)
        with self._lock:
            known, kept = json.loads(line)
            if self._rows.get(known) != kept:
                if self._path is not None:
                    with open(self._path, "ab") as stream:
                        stream.write(line)
                self._rows[known] = kept
            return self._rows[known]

    def discard(self) -> None:
        """Remove the file: the study has an end, and its rows stand elsewhere."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def rows_by_key(
    executor: Executor,
    task: Callable[..., Row],
    arguments: Mapping[Key, tuple[Any, ...]],
    columns: Collection[str],
    results: Results,
    done: Callable[[int], None],
) -> dict[Key, tuple[Row | None, str | None]]:
    """Return (row, None) or (None, error) of a task for each key, of those that are not known yet the task is done.

    columns : of each row; done : told how many are, those that were known included.
    """
    known = {key: row for key in arguments if (row := results.find(key, columns)) is not None}
    missing = [key for key in arguments if key not in known]
    if known:
        done(len(known))
    found = outcomes(
        executor, task, [arguments[key] for key in missing], lambda number: done(len(known) + number),
        lambda place, row: results.add(missing[place], row),
    )  # fmt: skip
    made = {
        key: (None if row is None else results.add(key, row), error)
        for key, (row, error) in zip(missing, found, strict=True)
    }
    return {key: made[key] if key in made else (known[key], None) for key in arguments}


def _text(key: Any) -> str:
    return json.dumps(key, default=str)


def _line(key: str, row: Row) -> bytes:
    return (json.dumps([key, row], default=lambda number: number.item()) + "\n").encode()
