"""The rows of finished runs, kept on file while a study goes on, so that one that ended early loses none of them.

A study is many runs, each a row of plain figures by a key of its own. Each row is written as a line of JSON when its
run is done; whoever comes again with the same file makes only the runs that it has not. All rows pass through JSON,
also those that are not kept, so that it makes no difference which of them were. Runs that failed are not kept: they
are tried again. Who has the file open holds a lock on it, which the system takes back when that process ends, however
it ends: two studies never write into one file, and none has to be told that another is dead.
"""

import errno
import json
import sys
import threading
from collections.abc import Callable, Collection, Hashable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from contagion.study.executors import outcomes

Row = dict[str, Any]
Key = TypeVar("Key", bound=Hashable)

_FAR = 2**31 - 2
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


class Results:
    """Rows by key, in memory and, where a path is given, in a file with a line a row; closed at the end of a `with`."""

    def __init__(self, path: Path | None = None) -> None:
        """Read what is there; a line that was cut off by the end of its process is none.

        BlockingIOError where another has the file: what is in it stays as it is.
        """
        self._path, self._lock, self._rows = path, threading.Lock(), dict[str, Row]()
        self._stream: BinaryIO | None = None
        if path is None:
            return
        self._stream = stream = open(path, "a+b")  # noqa: SIM115 - until `close`
        if not _taken(stream):
            stream.close()
            raise BlockingIOError(f"{path} is held by another process")
        stream.seek(0)
        content = stream.read()
        stream.truncate(content.rfind(b"\n") + 1)
        for line in content.splitlines():
            try:
                key, row = json.loads(line)
            except (ValueError, TypeError, RecursionError):
                continue
            if isinstance(key, str) and isinstance(row, dict):
                self._rows[key] = row

    def __enter__(self) -> "Results":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
                if self._stream is not None:
                    self._stream.write(line)
                    self._stream.flush()
                self._rows[known] = kept
            return self._rows[known]

    def close(self) -> None:
        """Leave the file to others; what is added from now on is kept in memory alone."""
        with self._lock:
            if self._stream is not None:
                self._stream.close()
            self._stream = None

    def discard(self) -> None:
        """Remove the file: the study has an end, and its rows stand elsewhere."""
        self.close()
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


def _taken(stream: BinaryIO) -> bool:
    """Take an open file for this process; return whether it is ours now, as it is where a file system has no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            stream.seek(_FAR)  # what is locked cannot be read there by anybody else
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _text(key: Any) -> str:
    return json.dumps(key, default=str)


def _line(key: str, row: Row) -> bytes:
    return (json.dumps([key, row], default=lambda number: number.item()) + "\n").encode()
