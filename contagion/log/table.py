"""Tables that only grow: rows of integers in hashed chunks.

Rows are packed into fixed-size chunks of plain integers. Full chunks are hashed into the digest and then kept or,
beyond a row budget, written to a file, so that memory stays bounded; a thread of its own does both, several chunks at a
time and always in their order, while the run goes on. In the file all first words of a chunk's rows
come first, then all second ones, and so on, compressed: a tenth of the work of Parquet, which is for saved runs.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_WORD, _SIZE = np.dtype(np.uint32), struct.Struct("=q")
"""What a chunk is transposed by, and what stands before a chunk on file."""


class Table:
    """An append-only table of integers with fixed columns: packed rows, hashed chunks, optional spool.

    `layout` maps column names to `struct` codes of fixed size, such as 'q' (int64) or 'i' (int32), so ordered
    that none needs padding.

    >>> table = Table("demo", {"time_us": "q", "node": "i"})
    >>> table.append(5, 1), table.append(7, 2)
    (0, 1)
    >>> table.columns()["time_us"].tolist()
    [5, 7]
    """

    CHUNK = 1 << 12
    BATCH = 1 << 4
    """Chunks that are handed over at a time: two threads that take turns more often than that wait for each other."""

    def __init__(
        self, name: str, layout: Mapping[str, str], budget: int | None = None, worker: Executor | None = None
    ) -> None:
        self.name = name
        self.layout = np.dtype([(column, np.dtype(code)) for column, code in layout.items()])
        packer = struct.Struct("@" + "".join(layout.values()))
        assert packer.size == self.layout.itemsize and packer.size % _WORD.itemsize == 0, "struct and dtype agree"
        self.pack: Callable[..., bytes] = packer.pack
        self._rows: list[bytes | bytearray] = []
        self._count, self._full = 0, self.CHUNK
        self._chunks: list[NDArray[Any]] = []
        self._new: list[NDArray[Any]] = []
        self._worker = worker or ThreadPoolExecutor(1)
        self._work: list[Future[None]] = []
        self._names = tuple(layout)
        self._digest = hashlib.sha256(repr(sorted(layout.items())).encode())
        self._budget, self._spooled = budget, 0
        self._spool: Path | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def in_memory(self) -> int:
        """Return the number of rows that are not on disk or on their way there: half the budget and a chunk."""
        return self._count - self._spooled

    def append(self, *row: int) -> int:
        """Add one row and return its number."""
        return self.add(self.pack(*row))

    def add(self, packed: bytes) -> int:
        """Add one row that `pack` has made and return its number."""
        number = self._count
        self._rows.append(packed)
        self._count = number + 1
        if self._count == self._full:
            self._flush()
        return number

    def extend(self, count: int, **columns: Any) -> int:
        """Add `count` rows from arrays or scalars, one for every column; return the first row's number."""
        names, arrays, alike = self._names, [], []
        assert len(columns) == len(names), f"columns of {self.name}: {names}"
        for name in names:
            assert name in columns, f"columns of {self.name}: {names}"
            column = columns[name]
            if isinstance(column, np.ndarray):
                arrays.append((name, column))
                column = 0
            alike.append(column)
        row, first, at = self.pack(*alike), self._count, 0
        while at < count:
            take = min(count - at, self._full - self._count)
            packed = bytearray(row) * take
            rows = np.frombuffer(packed, self.layout)
            for name, column in arrays:
                rows[name] = column[at : at + take]
            self._rows.append(packed)
            self._count, at = self._count + take, at + take
            if self._count == self._full:
                self._flush()
        return first

    def row(self, number: int) -> dict[str, Any]:
        """Return one row that has not been spooled yet, nor handed over to be."""
        assert self._spooled <= number < self._count, f"row {number} of {self.name} is not in memory"
        chunk, at = divmod(number - self._spooled, self.CHUNK)
        record = (self._chunks[chunk] if chunk < len(self._chunks) else self._tail())[at]
        return {column: record[column].item() for column in self._names}

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return all rows as one array per column (reading the spool back where there is one)."""
        self._settle()
        parts: list[Any] = [*self._read_spool(), *self._chunks, self._tail()]
        return {column: np.concatenate([part[column] for part in parts]) for column in self._names}

    def digest(self) -> bytes:
        """Return the SHA-256 of all rows, independent of chunks, budget and spool."""
        self._settle()
        digest = self._digest.copy()
        digest.update(b"".join((*(chunk.data for chunk in self._new), *self._rows)))
        return digest.digest()

    def spool_to(self, directory: Path) -> None:
        """Keep no more than the row budget in memory: older chunks go to a directory, which must not exist yet."""
        if directory.exists():
            raise FileExistsError(f"{directory} exists")
        self._spool = directory

    def _tail(self) -> NDArray[Any]:
        return np.frombuffer(b"".join(self._rows), self.layout)

    def _flush(self) -> None:
        chunk = self._tail()
        self._chunks.append(chunk)
        self._new.append(chunk)
        self._rows.clear()
        self._full += self.CHUNK
        full = self._spool is not None and self._budget is not None and self.in_memory > self._budget // 2
        if full:
            self._settle()
            if self._spool and not self._spooled:
                with _place_told(self._spool):
                    self._spool.mkdir(parents=True)  # here, since a worker could make it again when it has been removed
        if full or len(self._new) == self.BATCH:
            self._work.append(self._worker.submit(self._keep, self._new, self._chunks if full else []))
            self._new = []
        if full:
            self._spooled, self._chunks = self._count, []

    def _settle(self) -> None:
        """Wait until what was handed over is done; an error there is raised here, again whenever somebody reads."""
        while self._work:
            self._work[0].result()
            del self._work[0]

    def _keep(self, new: list[NDArray[Any]], spilled: list[NDArray[Any]]) -> None:
        """Hash chunks, and write the same or more of them to the spool."""
        for chunk in new:
            self._digest.update(chunk.data)
        if spilled and self._spool:
            with _place_told(self._spool), (self._spool / "rows").open("ab") as file:
                for chunk in spilled:
                    words = np.ascontiguousarray(chunk.view(_WORD).reshape(self.CHUNK, -1).T)
                    packed = pa.compress(words.data, codec="lz4", asbytes=True)
                    file.write(_SIZE.pack(len(packed)) + packed)

    def _read_spool(self) -> Iterator[NDArray[Any]]:
        if not (self._spool and self._spooled):
            return
        with (self._spool / "rows").open("rb") as file:
            while size := file.read(_SIZE.size):
                packed = file.read(*_SIZE.unpack(size))
                words = pa.decompress(packed, self.layout.itemsize * self.CHUNK, codec="lz4", asbytes=True)
                yield np.frombuffer(words, _WORD).reshape(-1, self.CHUNK).T.copy().view(self.layout)[:, 0]


@contextmanager
def _place_told(spool: Path) -> Iterator[None]:
    """Name the spool in an error of the disk, which of itself names no file where there is no room."""
    try:
        yield
    except OSError as error:
        what = f"the run's log cannot be kept ({error.strerror}); make room there, or let TMPDIR name another place"
        raise OSError(error.errno, what, str(spool)) from error
