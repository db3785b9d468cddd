"""The event log: what happened, when, to whom and because of what.

One row an event and the row's number is the event's id. `cause` is the id of an earlier event, so the log is
in topological order and a cascade is one pass over it. Rows are packed into fixed-size chunks of plain
integers; a full chunk is hashed into the digest and then kept or, beyond a row budget, written to a Parquet
file, so that memory stays bounded. Four side tables have their own writers: postings (the ledger's legs),
prices (every change of every mark, by channel), contributions (further parents) and failures.
"""

import hashlib
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
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
        self._rows: list[bytes] = []
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
        assert columns.keys() == set(self.layout.names or ()), f"columns of {self.name}: {self.layout.names}"
        first, at = self._count, 0
        while at < count:
            take = min(count - at, self._full - self._count)
            rows = np.empty(take, self.layout)
            for column, value in columns.items():
                rows[column] = value[at : at + take] if isinstance(value, np.ndarray) else value
            self._rows.append(rows.tobytes())
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


class Failure(NamedTuple):
    """What is known of a failure beside its row: weighted generation, exogenous share, value at stake."""

    weighted: float
    exogenous: float
    value: int


class Depth(NamedTuple):
    """The failures between a shock and an event: their number, and their weighted number (see `branching`)."""

    generation: int
    weighted: float


def _layout(codes: str, columns: str) -> dict[str, str]:
    return dict(zip(columns.split(), codes, strict=True))


EVENT_LAYOUT = _layout(
    "qqiiiiiiiiqqq", "time_us cause kind node member generation channel asset market first quantity price value"
)
POSTING_LAYOUT = _layout("qqiii", "event amount holder member asset")
PRICE_LAYOUT = _layout("qqqqqqii", "event time_us price delta bid_depth ask_depth market channel")
CONTRIBUTION_LAYOUT = _layout("qqd", "event contributor weight")
FAILURE_LAYOUT = _layout("qddq", "event weighted exogenous value")


class EventLog:
    """The event table, its side tables, and the two facts about every event that its descendants need.

    `depths[e]` says how many failures lie between event e and its shock; an event shares this object with its
    cause unless it is a failure itself. So eight bytes an event stay in memory; all else can be spooled.
    """

    def __init__(self, budget: int | None = None) -> None:
        self.events = Table("events", EVENT_LAYOUT, budget)
        self.postings = Table("postings", POSTING_LAYOUT, budget)
        self.prices = Table("prices", PRICE_LAYOUT, budget)
        self.contributions = Table("contributions", CONTRIBUTION_LAYOUT, budget)
        self.failure_table = Table("failures", FAILURE_LAYOUT, budget)
        self.depths: list[Depth] = []
        self.kinds: dict[str, int] = {}
        self._pack_event = self.events.pack
        self._failed: defaultdict[tuple[int, int], bytearray] = defaultdict(bytearray)

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
        *,
        first: int = 0,
        depth: Any = None,
    ) -> int:
        """Add one event and return its id; it is as deep as its cause unless it brings a `Depth` of its own."""
        depths, kind_id = self.depths, self.kinds.get(kind)
        assert (0 if depths else -1) <= cause < len(depths), f"event {len(depths)} needs an earlier cause, not {cause}"
        if kind_id is None:
            kind_id = self._kind_id(kind)
        depth = depth or depths[cause]
        row = self._pack_event(
            time_us, cause, kind_id, node, member, depth[0], channel, asset, market, first, quantity, price, value
        )
        depths.append(depth)
        return self.events.add(row)

    def append_root(self, time_us: int, kind: str, node: int, cause: int, **columns: int) -> int:
        """Add an exogenous event (generation 0): the clock itself, without a cause, or a shock."""
        return self.append(time_us, kind, node, cause, depth=Depth(0, 0.0), **columns)

    def append_failure(self, time_us: int, kind: str, node: int, cause: int, facts: Failure, **columns: int) -> int:
        """Add a failure; a repeat of the same (node, member, kind) is flagged and passes generations through."""
        member = columns.get("member", -1)
        failed = self._failed_members(kind, node, member)
        if failed[member + 1]:
            return self.append(time_us, kind, node, cause, **columns)
        failed[member + 1] = 1
        depth = Depth(self.depths[cause].generation + 1, facts.weighted)
        event = self.append(time_us, kind, node, cause, first=1, depth=depth, **columns)
        self.failure_table.append(event, *facts)  # type: ignore[arg-type]
        return event

    def append_many(
        self, count: int, time_us: int, kind: str, node: int, cause: int | Integers, **columns: int | Integers
    ) -> int:
        """Add `count` events of one kind, none a failure, and return the first one's id.

        cause, columns : as for `append`, each a number or an array of `count`.
        """
        return self._extend(self._depths_below(cause, count), time_us, kind, node, cause, **columns)

    def append_failures(
        self,
        time_us: int,
        kind: str,
        node: int,
        cause: int | Integers,
        member: Integers,
        weighted: float | Floats,
        exogenous: float | Floats,
        **columns: int | Integers,
    ) -> int:
        """Add a failure for each of a node's members, repeats flagged, and return the first one's id.

        weighted, exogenous : as in `Failure`, each a number or an array as long as `member`.
        """
        count, new = len(member), self._first_time(kind, node, member)
        depths, weights = self._depths_below(cause, count), np.broadcast_to(weighted, count).tolist()
        shared: dict[tuple[int, float], Depth] = {}
        for i in np.flatnonzero(new).tolist():
            own = Depth(depths[i].generation + 1, weights[i])
            depths[i] = shared.setdefault(own, own)
        event = self._extend(depths, time_us, kind, node, cause, member=member, first=new, **columns)
        facts = {"weighted": weighted, "exogenous": exogenous, "value": columns.get("value", 0)}
        own_facts = {name: np.broadcast_to(fact, count)[new] for name, fact in facts.items()}
        self.failure_table.extend(int(new.sum()), event=event + np.flatnonzero(new), **own_facts)
        return event

    def post(self, event: int, legs: Iterable[Leg]) -> None:
        """Keep the legs that an event posted."""
        add, pack = self.postings.add, self.postings.pack
        for leg in legs:
            if len(leg) == 3:
                holder, asset, amount = leg
                add(pack(event, amount, holder, -1, asset))
                continue
            holder, asset, amount, member = leg
            if isinstance(member, np.ndarray):
                self.postings.extend(len(member), event=event, amount=amount, holder=holder, member=member, asset=asset)
            else:
                add(pack(event, amount, holder, member, asset))

    def weighted_generation(self, event: int) -> float:
        """Return the weighted generation of the failure or shock behind an event: 0 for a shock."""
        return self.depths[event].weighted

    def is_exogenous(self, event: int) -> bool:
        """Return whether no failure stands between an event and its shock (or the clock)."""
        return self.depths[event].generation == 0

    def spool_to(self, directory: Path) -> None:
        """Keep no more than the row budget of each table in memory: older rows go below a new directory."""
        for table in self.tables:
            table.spool_to(directory / table.name)

    def digest(self) -> str:
        """Return the SHA-256 over the canonical event stream: every row of the five tables."""
        names = repr(list(self.kinds)).encode()
        return hashlib.sha256(names + b"".join(table.digest() for table in self.tables)).hexdigest()

    def _kind_id(self, kind: str) -> int:
        return self.kinds.setdefault(kind, len(self.kinds))

    def _depths_below(self, cause: int | Integers, count: int) -> list[Depth]:
        lowest, highest = int(np.min(cause, initial=0)), int(np.max(cause, initial=0))
        assert 0 <= lowest <= highest < len(self.depths), f"causes {lowest} to {highest} are not earlier events"
        if not isinstance(cause, np.ndarray):
            return [self.depths[cause]] * count
        return [self.depths[above] for above in cause.tolist()]

    def _extend(self, depths: list[Depth], time_us: int, kind: str, node: int, cause: Any, **columns: Any) -> int:
        absent = dict.fromkeys(("channel", "first", "quantity", "price", "value"), 0)
        absent |= dict.fromkeys(("member", "asset", "market"), -1)
        generation = np.fromiter((depth.generation for depth in depths), np.int32, len(depths))
        self.depths += depths
        return self.events.extend(
            len(depths), time_us=time_us, kind=self._kind_id(kind), node=node, cause=cause, generation=generation,
            **(absent | columns),
        )  # fmt: skip

    def _failed_members(self, kind: str, node: int, highest: int) -> bytearray:
        """Return which members have failed in this way, the node itself (-1) first."""
        failed = self._failed[self._kind_id(kind), node]
        failed.extend(bytes(max(highest + 2 - len(failed), 0)))
        return failed

    def _first_time(self, kind: str, node: int, member: Integers) -> NDArray[np.bool_]:
        """Return which of the members fail for the first time, and note that they did."""
        failed = np.frombuffer(self._failed_members(kind, node, int(np.max(member, initial=-1))), np.bool_)
        new, once = np.zeros(len(member), np.bool_), np.unique(member, return_index=True)[1]
        new[once] = ~failed[member[once] + 1]
        failed[member + 1] = True
        return new


def names_of(ids: Sequence[int] | NDArray[Any], names: Sequence[str]) -> pa.DictionaryArray:
    """Return a dictionary-encoded column of names, null where the id is negative."""
    numbers = np.asarray(ids, dtype=np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(numbers, mask=numbers < 0), pa.array(list(names), type=pa.string()))
