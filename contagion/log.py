"""The event log: what happened, when, to whom and because of what.

One row an event and the row's number is the event's id. `cause` is the id of an earlier event, so the log is
in topological order and a cascade is one pass over it. Rows are packed into fixed-size chunks of plain
integers; a full chunk is hashed into the digest and then kept or, beyond a row budget, appended to a Parquet
file, so that memory stays bounded. Four side tables have their own writers: postings (the ledger's legs),
prices (every change of every mark, by channel), contributions (further parents) and failures.
"""

import hashlib
import struct
from array import array
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Leg = tuple[Any, ...]
"""A leg as the ledger posts it: (holder, asset, amount), and a member or arrays of members."""

FAILURES = (
    "default",
    "liquidation",
    "close-out",
    "forced-unwind",
    "maker-withdrawal",
    "auto-deleveraging",
    "blocked-withdrawal",
    "de-peg",
    "insolvency",
)
"""Kinds of events that are failures; their order is the one of tables."""

SHOCK = "shock"
CLOCK = 0
"""The first event of every log: the cause of what acts by the clock alone."""


class Channel(IntEnum):
    """What kind of force moved a price or a balance (model: posting attribution)."""

    NONE = 0
    EXOGENOUS = 1
    MARGIN_LIQUIDATION = 2
    LENDING_LIQUIDATION = 3
    LOOP_UNWINDING = 4
    PANIC = 5
    DEPEG = 6
    MAKER_INVENTORY = 7
    ARBITRAGE = 8
    LIQUIDITY_WITHDRAWAL = 9
    INTEREST = 10
    PENALTY = 11
    SLIPPAGE = 12
    FEE = 13
    FUNDING = 14
    CREDIT = 15
    INSURANCE = 16
    ADL_HAIRCUT = 17
    DEFAULT_COST = 18

    @property
    def label(self) -> str:
        """Return the channel's name as tables print it.

        >>> Channel.LENDING_LIQUIDATION.label
        'lending liquidation'
        """
        return self.name.lower().replace("_", " ")


class Table:
    """An append-only table of integers with fixed columns: packed rows, hashed chunks, optional spool.

    `layout` maps column names to `struct` codes of fixed size, such as 'q' (int64) or 'i' (int32).

    >>> table = Table("demo", {"time_us": "q", "node": "i"})
    >>> table.append(5, 1), table.append(7, 2)
    (0, 1)
    >>> table.columns()["time_us"].tolist()
    [5, 7]
    """

    CHUNK = 1 << 16

    def __init__(self, name: str, layout: Mapping[str, str], budget: int | None = None) -> None:
        self.name = name
        self.layout = np.dtype([(column, np.dtype(code)) for column, code in layout.items()])
        self._packer = struct.Struct("<" + "".join(layout.values()))
        assert self._packer.size == self.layout.itemsize, "struct and dtype agree"
        self._pack, self._size = self._packer.pack_into, self._packer.size
        self._buffer = bytearray(self.CHUNK * self._size)
        self._at, self._limit = 0, len(self._buffer)
        self._chunks: list[NDArray[Any]] = []
        self._flushed = self._spooled = 0
        self._digest = hashlib.sha256(repr(sorted(layout.items())).encode())
        self._budget = budget
        self._spool: pq.ParquetWriter | None = None
        self.spool_path: Path | None = None

    def __len__(self) -> int:
        return self._flushed + self._at // self._size

    def append(self, *row: int) -> int:
        """Add one row and return its number."""
        at = self._at
        self._pack(self._buffer, at, *row)
        self._at = at + self._size
        if self._at == self._limit:
            self._flush()
            return self._flushed - 1
        return self._flushed + at // self._size

    def extend(self, count: int, **columns: Any) -> int:
        """Add `count` rows from arrays or scalars, one for every column; return the first row's number."""
        first = len(self)
        rows = np.empty(count, self.layout)
        for column in self.layout.names or ():
            rows[column] = columns[column]
        data, at = memoryview(rows.tobytes()), 0
        while at < len(data):
            take = min(self._limit - self._at, len(data) - at)
            self._buffer[self._at : self._at + take] = data[at : at + take]
            self._at, at = self._at + take, at + take
            if self._at == self._limit:
                self._flush()
        return first

    def row(self, number: int) -> dict[str, int]:
        """Return one row that has not been spooled yet."""
        if number < self._flushed:
            assert number >= self._spooled, f"row {number} of {self.name} is on disk"
            chunk = self._chunks[(number - self._spooled) // self.CHUNK]
            record = chunk[(number - self._spooled) % self.CHUNK]
        else:
            record = self._tail()[number - self._flushed]
        return {column: int(record[column]) for column in self.layout.names or ()}

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return all rows as one array per column (reading the spool back where there is one)."""
        parts = [*self._read_spool(), *self._chunks, self._tail()]
        rows = np.concatenate(parts) if len(parts) > 1 else parts[0].copy()
        return {column: rows[column] for column in self.layout.names or ()}

    def digest(self) -> bytes:
        """Return the SHA-256 of all rows, independent of chunks, budget and spool."""
        digest = self._digest.copy()
        digest.update(self._buffer[: self._at])
        return digest.digest()

    def spool_to(self, path: Path) -> None:
        """Keep no more than the row budget in memory: append older chunks to a Parquet file at `path`."""
        self.spool_path = path

    def close(self) -> None:
        """Finish the spool file; the table can still be read."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _tail(self) -> NDArray[Any]:
        return np.frombuffer(bytes(self._buffer[: self._at]), self.layout)

    def _flush(self) -> None:
        chunk = self._tail()
        self._digest.update(chunk.tobytes())
        self._chunks.append(chunk)
        self._flushed += len(chunk)
        self._at = 0
        if self.spool_path and self._budget is not None and self._flushed - self._spooled > self._budget:
            self._spill(self.spool_path)

    def _spill(self, path: Path) -> None:
        names = self.layout.names or ()
        for chunk in self._chunks:
            batch = pa.table({column: chunk[column] for column in names})
            if self._spool is None:
                self._spool = pq.ParquetWriter(path, batch.schema, compression="zstd")
            self._spool.write_table(batch)
        self._spooled = self._flushed
        self._chunks.clear()

    def _read_spool(self) -> list[NDArray[Any]]:
        if not self._spooled or self.spool_path is None:
            return []
        self.close()
        table = pq.read_table(self.spool_path)
        rows = np.empty(table.num_rows, self.layout)
        for column in self.layout.names or ():
            rows[column] = table[column].to_numpy()
        return [rows]


class Failure(NamedTuple):
    """What is known of a failure beside its row: weighted generation, exogenous share, value at stake."""

    weighted: float
    exogenous: float
    value: int


EVENT_LAYOUT = {
    "time_us": "q",
    "cause": "q",
    "kind": "i",
    "node": "i",
    "member": "i",
    "generation": "i",
    "channel": "i",
    "asset": "i",
    "market": "i",
    "first": "i",
    "quantity": "q",
    "price": "q",
    "value": "q",
}
POSTING_LAYOUT = {"event": "q", "amount": "q", "holder": "i", "member": "i", "asset": "i"}
PRICE_LAYOUT = {
    "event": "q",
    "time_us": "q",
    "price": "q",
    "delta": "q",
    "bid_depth": "q",
    "ask_depth": "q",
    "market": "i",
    "channel": "i",
}
CONTRIBUTION_LAYOUT = {"event": "q", "contributor": "q", "weight": "d"}
FAILURE_LAYOUT = {"event": "q", "weighted": "d", "exogenous": "d", "value": "q"}


class EventLog:
    """The event table, its side tables, and the two facts about every event that its descendants need.

    `generations[e]` is the number of failures on the way from a shock to event e; `origins[e]` is the nearest
    failure, shock or clock at or above e. Ten bytes an event stay in memory; all else can be spooled.
    """

    def __init__(self, budget: int | None = None) -> None:
        self.events = Table("events", EVENT_LAYOUT, budget)
        self.postings = Table("postings", POSTING_LAYOUT, budget)
        self.prices = Table("prices", PRICE_LAYOUT, budget)
        self.contributions = Table("contributions", CONTRIBUTION_LAYOUT, budget)
        self.failure_table = Table("failures", FAILURE_LAYOUT, budget)
        self.generations = array("h")
        self.origins = array("q")
        self.failures: dict[int, Failure] = {}
        self.kinds: dict[str, int] = {}
        self._failed: set[tuple[int, int, int]] = set()
        self._unposted: list[tuple[int, Sequence[Leg]]] = []

    @property
    def tables(self) -> tuple[Table, ...]:
        """Return the five tables in the order of the digest."""
        return (self.events, self.postings, self.prices, self.contributions, self.failure_table)

    def append(
        self,
        time_us: int,
        kind: str,
        node: int,
        cause: int,
        member: int = -1,
        channel: int = 0,
        asset: int = -1,
        market: int = -1,
        quantity: int = 0,
        price: int = 0,
        value: int = 0,
    ) -> int:
        """Add one event that is neither a failure nor exogenous and return its id."""
        kinds = self.kinds
        kind_id = kinds.get(kind)
        if kind_id is None:
            kind_id = kinds.setdefault(kind, len(kinds))
        generation = self.generations[cause]
        event = self.events.append(
            time_us, cause, kind_id, node, member, generation, channel, asset, market, 0, quantity, price, value
        )
        assert 0 <= cause < event, f"event {event} needs an earlier cause, not {cause}"
        self.generations.append(generation)
        self.origins.append(self.origins[cause])
        return event

    def append_root(self, time_us: int, kind: str, node: int, cause: int, **columns: int) -> int:
        """Add an exogenous event (generation 0, its own origin): the clock itself or a shock."""
        return self._append_origin(time_us, kind, node, cause, 0, first=0, **columns)

    def append_failure(
        self, time_us: int, kind: str, node: int, cause: int, facts: Failure, **columns: int
    ) -> int:
        """Add a failure; a repeat of the same (node, member, kind) is flagged and passes generations through."""
        member = columns.get("member", -1)
        key = (self.kinds.setdefault(kind, len(self.kinds)), node, member)
        if key in self._failed:
            return self.append(time_us, kind, node, cause, **columns)
        self._failed.add(key)
        generation = self.generations[cause] + 1
        event = self._append_origin(time_us, kind, node, cause, generation, first=1, **columns)
        self.failures[event] = facts
        self.failure_table.append(event, *facts)  # type: ignore[arg-type]
        return event

    def post(self, event: int, legs: Sequence[Leg]) -> None:
        """Keep the legs that an event posted."""
        self._unposted.append((event, legs))
        if len(self._unposted) >= 8192:
            self.settle()

    def settle(self) -> None:
        """Write the legs that wait to the postings table."""
        waiting, self._unposted = self._unposted, []
        rows: list[tuple[int, int, int, int, int]] = []
        for event, legs in waiting:
            for holder, asset, amount, *member in legs:
                if member and isinstance(member[0], np.ndarray):
                    self._post_rows(rows)
                    rows = []
                    self.postings.extend(
                        len(member[0]), event=event, amount=amount, holder=holder, member=member[0], asset=asset
                    )
                else:
                    rows.append((event, amount, holder, member[0] if member else -1, asset))  # type: ignore[arg-type]
        self._post_rows(rows)

    def _post_rows(self, rows: list[tuple[int, int, int, int, int]]) -> None:
        if rows:
            columns = np.array(rows, dtype=np.int64).T
            self.postings.extend(len(rows), **dict(zip(POSTING_LAYOUT, columns, strict=True)))

    def weighted_generation(self, event: int) -> float:
        """Return the weighted generation of the failure or shock behind an event: 0 for a shock."""
        failure = self.failures.get(self.origins[event])
        return failure.weighted if failure else 0.0

    def is_exogenous(self, event: int) -> bool:
        """Return whether no failure stands between an event and its shock (or the clock)."""
        return self.generations[event] == 0

    def digest(self) -> str:
        """Return the SHA-256 over the canonical event stream: every row of the five tables."""
        self.settle()
        names = repr(list(self.kinds)).encode()
        return hashlib.sha256(names + b"".join(table.digest() for table in self.tables)).hexdigest()

    def _append_origin(
        self, time_us: int, kind: str, node: int, cause: int, generation: int, first: int, **columns: int
    ) -> int:
        given = {"member": -1, "channel": 0, "asset": -1, "market": -1, "quantity": 0, "price": 0, "value": 0}
        given |= columns
        self.kinds.setdefault(kind, len(self.kinds))
        row = {"time_us": time_us, "cause": cause, "kind": self.kinds[kind], "node": node, "first": first}
        row |= given | {"generation": generation}
        event = self.events.append(*(row[column] for column in EVENT_LAYOUT))
        assert cause < event, f"event {event} needs an earlier cause, not {cause}"
        self.generations.append(generation)
        self.origins.append(event)
        return event


def names_of(ids: Sequence[int] | NDArray[Any], names: Sequence[str]) -> pa.DictionaryArray:
    """Return a dictionary-encoded column of names, null where the id is negative."""
    numbers = np.asarray(ids, dtype=np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(numbers, mask=numbers < 0), pa.array(list(names), type=pa.string())
    )
