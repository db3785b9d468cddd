"""Tables that only grow: rows of integers in hashed chunks.

Rows are packed into fixed-size chunks of plain integers; a full chunk is hashed into the digest and then kept or,
beyond a row budget, written to a Parquet file, so that memory stays bounded.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray


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

    def __init__(self, name: str, layout: Mapping[str, str], budget: int | None = None) -> None:
        self.name = name
        self.layout = np.dtype([(column, np.dtype(code)) for column, code in layout.items()])
        packer = struct.Struct("@" + "".join(layout.values()))
        assert packer.size == self.layout.itemsize, "struct and dtype agree"
        self.pack: Callable[..., bytes] = packer.pack
        self._rows: list[bytes | bytearray] = []
        self._count, self._full = 0, self.CHUNK
        self._chunks: list[NDArray[Any]] = []
        self._parts: list[Path] = []
        self._digest = hashlib.sha256(repr(sorted(layout.items())).encode())
        self._budget, self._spooled = budget, 0
        self._spool: Path | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def in_memory(self) -> int:
        """Return the number of rows that are not on disk: never more than the budget and one chunk."""
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
        names = self.layout.names or ()
        assert columns.keys() == set(names), f"columns of {self.name}: {names}"
        arrays = {name: column for name, column in columns.items() if isinstance(column, np.ndarray)}
        alike = self.pack(*(0 if name in arrays else columns[name] for name in names))
        first, at = self._count, 0
        while at < count:
            take = min(count - at, self._full - self._count)
            packed = bytearray(alike * take)
            rows = np.frombuffer(packed, self.layout)
            for name, column in arrays.items():
                rows[name] = column[at : at + take]
            self._rows.append(packed)
            self._count, at = self._count + take, at + take
            if self._count == self._full:
                self._flush()
        return first

    def row(self, number: int) -> dict[str, Any]:
        """Return one row that has not been spooled yet."""
        assert self._spooled <= number < self._count, f"row {number} of {self.name} is not in memory"
        chunk, at = divmod(number - self._spooled, self.CHUNK)
        record = (self._chunks[chunk] if chunk < len(self._chunks) else self._tail())[at]
        return {column: record[column].item() for column in self.layout.names or ()}

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return all rows as one array per column (reading the spool back where there is one)."""
        parts: list[Any] = [*self._read_spool(), *self._chunks, self._tail()]
        return {column: np.concatenate([part[column] for part in parts]) for column in self.layout.names or ()}

    def digest(self) -> bytes:
        """Return the SHA-256 of all rows, independent of chunks, budget and spool."""
        digest = self._digest.copy()
        digest.update(b"".join(self._rows))
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
        self._digest.update(chunk.data)
        self._chunks.append(chunk)
        self._rows.clear()
        self._full += self.CHUNK
        if self._spool and self._budget is not None and self.in_memory > self._budget:
            self._spill(self._spool)

    def _spill(self, directory: Path) -> None:
        rows = {name: np.concatenate([chunk[name] for chunk in self._chunks]) for name in self.layout.names or ()}
        directory.mkdir(parents=True, exist_ok=bool(self._parts))
        self._parts.append(directory / f"{len(self._parts):06}.parquet")
        pq.write_table(pa.table(rows), self._parts[-1], compression="zstd")
        self._spooled = self._count
        self._chunks.clear()

    def _read_spool(self) -> Iterator[dict[str, NDArray[Any]]]:
        for part in self._parts:
            table = pq.read_table(part)
            yield {column: table[column].to_numpy() for column in self.layout.names or ()}
