"""The event log: what happened, when, to whom and because of what.

One row an event and the row's number is the event's id. `cause` is the id of an earlier event, so the log is
in topological order and a cascade is one pass over it. Four side tables have their own writers: postings (the
ledger's legs), prices (every change of every mark, by channel), contributions (further parents) and failures.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contagion.log.depths import Depth, Depths
from contagion.log.table import Table

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Leg = tuple[Any, ...]
"""A leg as the ledger posts it: (holder, asset, amount), and a member or arrays of members."""

__all__ = [
    "CLOCK", "CONTRIBUTION_LAYOUT", "EVENT_LAYOUT", "FAILURES", "FAILURE_LAYOUT", "POSTING_LAYOUT", "PRICE_LAYOUT",
    "SHOCK", "Channel", "Depth", "EventLog", "Failure", "Table", "names_of",
]  # fmt: skip

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
    DELEVERAGING = 19

    @property
    def label(self) -> str:
        """Return the channel's name as tables print it.

        >>> Channel.LENDING_LIQUIDATION.label
        'lending liquidation'
        """
        return self.name.lower().replace("_", " ")


class Failure(NamedTuple):
    """What is known of a failure beside its row: weighted generation, exogenous share, value at stake."""

    weighted: float
    exogenous: float
    value: int


def _layout(codes: str, columns: str) -> dict[str, str]:
    return dict(zip(columns.split(), codes, strict=True))


EVENT_LAYOUT = _layout(
    "qqiiiiiiiiqqq", "time_us cause kind node member generation channel asset market first quantity price value"
)
POSTING_LAYOUT = _layout("qqiii", "event amount holder member asset")
PRICE_LAYOUT = _layout("qqqqqqii", "event time_us price delta bid_depth ask_depth market channel")
CONTRIBUTION_LAYOUT = _layout("qqd", "event contributor weight")
FAILURE_LAYOUT = _layout("qddq", "event weighted exogenous value")


_ABSENT = {"channel": 0, "quantity": 0, "price": 0, "value": 0, "member": -1, "asset": -1, "market": -1}


class EventLog:
    """The event table, its side tables, and the two facts about every event that its descendants need.

    `depths[e]` says how many failures lie between event e and its shock. These four bytes an event stay in memory;
    all else can be spooled.
    """

    def __init__(self, budget: int | None = None) -> None:
        worker = ThreadPoolExecutor(1, "log")
        self.events = Table("events", EVENT_LAYOUT, budget, worker)
        self.postings = Table("postings", POSTING_LAYOUT, budget, worker)
        self.prices = Table("prices", PRICE_LAYOUT, budget, worker)
        self.contributions = Table("contributions", CONTRIBUTION_LAYOUT, budget, worker)
        self.failure_table = Table("failures", FAILURE_LAYOUT, budget, worker)
        self.depths = Depths()
        self._places, self._generations = self.depths.places, self.depths.generations
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
        places, kind_id = self._places, self.kinds.get(kind)
        assert (0 if places else -1) <= cause < len(places), f"event {len(places)} needs an earlier cause, not {cause}"
        if kind_id is None:
            kind_id = self._kind_id(kind)
        place = places[cause] if depth is None else self.depths.add(depth)
        row = self._pack_event(
            time_us, cause, kind_id, node, member, self._generations[place], channel, asset, market, first, quantity,
            price, value,
        )  # fmt: skip
        places.append(place)
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
        return self._extend(np.zeros(count, np.bool_), 0.0, time_us, kind, node, cause, **columns)

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
        new = self._first_time(kind, node, member)
        first = self._extend(new, weighted, time_us, kind, node, cause, member=member, **columns)
        own: Integers = np.arange(len(new))
        facts: list[Any] = [weighted, exogenous, columns.get("value", 0)]
        if not new.all():
            own = own[new]
            facts = [fact[own] if isinstance(fact, np.ndarray) else fact for fact in facts]
        names = ("weighted", "exogenous", "value")
        self.failure_table.extend(len(own), event=own + first, **dict(zip(names, facts, strict=True)))
        return first

    def post(self, event: int | Integers, legs: Iterable[Leg]) -> None:
        """Keep the legs that an event posted; where all legs are arrays, `event` may be one event an element."""
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

    def _extend(
        self, new: NDArray[np.bool_], weights: Any, time_us: int, kind: str, node: int, cause: Any, **columns: Any
    ) -> int:
        """Add an event for each flag in `new`, which says whether it is a failure and has a weight of its own."""
        lowest = highest = cause
        if isinstance(cause, np.ndarray):
            lowest, highest = int(cause.min(initial=0)), int(cause.max(initial=0))
        assert 0 <= lowest <= highest < len(self.depths), f"causes {lowest} to {highest} are not earlier events"
        return self.events.extend(
            len(new), time_us=time_us, kind=self._kind_id(kind), node=node, cause=cause, first=new,
            generation=self.depths.extend(cause, new, weights), **(_ABSENT | columns),
        )  # fmt: skip

    def _failed_members(self, kind: str, node: int, highest: int) -> bytearray:
        """Return which members have failed in this way, the node itself (-1) first."""
        failed = self._failed[self._kind_id(kind), node]
        failed.extend(bytes(max(highest + 2 - len(failed), 0)))
        return failed

    def _first_time(self, kind: str, node: int, member: Integers) -> NDArray[np.bool_]:
        """Return which of the members fail for the first time, and note that they did."""
        failed = np.frombuffer(self._failed_members(kind, node, int(member.max(initial=-1))), np.bool_)
        place = member + 1
        if (member[1:] > member[:-1]).all():
            new = ~failed[place]
        else:
            new, once = np.zeros(len(member), np.bool_), np.unique(member, return_index=True)[1]
            new[once] = ~failed[place[once]]
        failed[place] = True
        return new


def names_of(ids: Sequence[int] | NDArray[Any], names: Sequence[str]) -> pa.DictionaryArray:
    """Return a dictionary-encoded column of names, null where the id is negative."""
    numbers = np.asarray(ids, dtype=np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(numbers, mask=numbers < 0), pa.array(list(names), type=pa.string()))
