"""The log against a list of dictionaries, with tiny chunks so that every boundary is crossed."""

import shutil
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contagion.log import (
    CONTRIBUTION_LAYOUT,
    EVENT_LAYOUT,
    FAILURE_LAYOUT,
    POSTING_LAYOUT,
    PRICE_LAYOUT,
    Channel,
    EventLog,
    Failure,
    Table,
    names_of,
)

INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
LAYOUT = {"time_us": "q", "weight": "d", "node": "i", "kind": "i"}
ROWS = st.tuples(INT64, st.floats(allow_nan=False), INT32, INT32)


class SmallTable(Table):
    CHUNK = 4
    BATCH = 2


class Tables(RuleBasedStateMachine):
    """A plain table, one of small chunks, one that spools, and a list."""

    @initialize(budget=st.integers(0, 9))
    def make(self, budget: int) -> None:
        self.directory, self.budget = TemporaryDirectory(), budget
        self.spooled = SmallTable("demo", LAYOUT, budget)
        self.spooled.spool_to(Path(self.directory.name, "demo"))
        self.tables = [Table("demo", LAYOUT), SmallTable("demo", LAYOUT), self.spooled]
        self.rows: list[dict[str, Any]] = []

    @rule(row=ROWS)
    def append(self, row: tuple[Any, ...]) -> None:
        assert {table.append(*row) for table in self.tables} == {len(self.rows)}
        self.rows.append(dict(zip(LAYOUT, row, strict=True)))

    @rule(rows=st.lists(ROWS, max_size=11), node=INT32)
    def extend(self, rows: list[tuple[Any, ...]], node: int) -> None:
        columns: dict[str, Any] = {
            name: np.array([row[i] for row in rows], LAYOUT[name]) for i, name in enumerate(LAYOUT)
        }
        columns["node"] = node
        assert {table.extend(len(rows), **columns) for table in self.tables} == {len(self.rows)}
        self.rows += [dict(zip(LAYOUT, row, strict=True)) | {"node": node} for row in rows]

    @rule()
    def read(self) -> None:
        for table in self.tables:
            columns = {name: column.tolist() for name, column in table.columns().items()}
            assert columns == {name: [row[name] for row in self.rows] for name in LAYOUT}

    @invariant()
    def rows_in_memory_are_there(self) -> None:
        for table in getattr(self, "tables", ()):
            assert len(table) == len(self.rows)
            for number in range(len(table) - table.in_memory, len(table)):
                assert table.row(number) == self.rows[number]

    @invariant()
    def all_have_one_digest(self) -> None:
        assert len({table.digest() for table in getattr(self, "tables", ())}) <= 1

    @invariant()
    def memory_is_bounded(self) -> None:
        if hasattr(self, "spooled"):
            assert self.spooled.in_memory <= self.budget // 2 + SmallTable.CHUNK

    def teardown(self) -> None:
        if hasattr(self, "tables"):
            self.read()
            self.directory.cleanup()


TestTables = Tables.TestCase
TestTables.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def test_the_digest_sees_every_bit_and_every_boundary() -> None:
    digests = set()
    for rows in ([], [(1, 2)], [(2, 1)], [(1, 2), (1, 2)], [(1, 3)]):
        table = Table("demo", {"a": "i", "b": "i"})
        for row in rows:
            table.append(*row)
        digests.add(table.digest())
    assert len(digests) == 5


def test_a_row_on_disk_is_not_in_memory(tmp_path: Path) -> None:
    table = SmallTable("demo", {"a": "q"}, 0)
    table.spool_to(tmp_path / "demo")
    for number in range(5):
        table.append(number)
    assert table.row(4) == {"a": 4}
    with pytest.raises(AssertionError, match="row 3 of demo is not in memory"):
        table.row(3)


def test_a_spool_is_made_when_it_is_needed_and_never_overwrites_another(tmp_path: Path) -> None:
    table = SmallTable("demo", {"a": "q"}, 0)
    table.spool_to(tmp_path / "demo")
    table.extend(3, a=1)
    assert not (tmp_path / "demo").exists()
    table.append(1)
    assert table.columns()["a"].tolist() == [1] * 4
    assert len(list((tmp_path / "demo").iterdir())) == 1
    with pytest.raises(FileExistsError):
        Table("demo", {"a": "q"}, 0).spool_to(tmp_path / "demo")


def test_an_error_of_the_spool_comes_out(tmp_path: Path) -> None:
    table, file = SmallTable("demo", {"a": "q"}, 0), tmp_path / "file"
    file.write_text("in the way")
    table.spool_to(file / "demo")
    with pytest.raises(OSError, match="file"):
        table.extend(4, a=1)


def test_a_spool_that_is_gone_is_not_made_again_and_whoever_reads_is_told(tmp_path: Path) -> None:
    table, spool = SmallTable("demo", {"a": "q"}, 0), tmp_path / "demo"
    table.spool_to(spool)
    table.extend(4, a=1)
    table.columns()
    shutil.rmtree(spool)
    table.extend(4, a=1)
    for read in (table.digest, table.digest, table.columns):
        with pytest.raises(FileNotFoundError):
            read()
    assert not spool.exists()


@pytest.mark.parametrize("columns", [{"a": 1}, {"a": 1, "b": 2, "c": 3}])
def test_a_bulk_names_every_column_and_no_other(columns: dict[str, int]) -> None:
    with pytest.raises(AssertionError, match="columns of demo"):
        Table("demo", {"a": "q", "b": "q"}).extend(1, **columns)


COLUMNS = st.fixed_dictionaries(
    {},
    optional={
        "channel": st.integers(0, 18),
        "asset": st.integers(0, 5),
        "quantity": INT64,
        "price": INT64,
        "value": INT64,
    },
)
ABSENT = {"member": -1, "channel": 0, "asset": -1, "market": -1, "quantity": 0, "price": 0, "value": 0}


def small(log: EventLog) -> EventLog:
    """Return a log whose tables have chunks of four rows."""
    layouts = (EVENT_LAYOUT, POSTING_LAYOUT, PRICE_LAYOUT, CONTRIBUTION_LAYOUT, FAILURE_LAYOUT)
    names = ("events", "postings", "prices", "contributions", "failure_table")
    for name, table, layout in zip(names, log.tables, layouts, strict=True):
        setattr(log, name, SmallTable(table.name, layout, 3))
    return log


class Logs(RuleBasedStateMachine):
    """A log, a spooled log of small chunks, a log that writes in bulk, and a list of dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.plain, self.spooled, self.bulk = EventLog(), small(EventLog(3)), EventLog()
        self.spooled.spool_to(Path(self.directory.name, "run"))
        self.rows: list[dict[str, Any]] = []
        self.failed: set[tuple[str, int, int]] = set()
        self.facts: list[tuple[int, float, float, int]] = []
        self.times = count()
        for log in self.logs:
            log.append_root(0, "clock", -1, -1)
        self.note("clock", 0, -1, -1, 0, 0.0, first=0)

    @property
    def logs(self) -> tuple[EventLog, EventLog, EventLog]:
        return self.plain, self.spooled, self.bulk

    def note(
        self, kind: str, time_us: int, node: int, cause: int, generation: int, weighted: float, **columns: int
    ) -> None:
        row = {"kind": kind, "time_us": time_us, "node": node, "cause": cause, "generation": generation}
        self.rows.append(ABSENT | row | {"weighted": weighted} | columns)

    def note_failure(self, kind: str, time_us: int, node: int, cause: int, facts: Failure, **columns: int) -> None:
        above, key = self.rows[cause], (kind, node, columns.get("member", -1))
        if key in self.failed:
            self.note(kind, time_us, node, cause, above["generation"], above["weighted"], first=0, **columns)
            return
        self.failed.add(key)
        self.facts.append((len(self.rows), *facts))
        self.note(kind, time_us, node, cause, above["generation"] + 1, facts.weighted, first=1, **columns)

    def earlier(self, draw: int) -> int:
        return draw % len(self.rows)

    @rule(kind=st.sampled_from(["trade", "quote"]), node=st.integers(0, 3), cause=st.integers(0), columns=COLUMNS)
    def event(self, kind: str, node: int, cause: int, columns: dict[str, int]) -> None:
        time_us, cause = next(self.times), self.earlier(cause)
        above = self.rows[cause]
        events = {log.append(time_us, kind, node, cause, **columns) for log in self.logs}
        assert events == {len(self.rows)}
        self.note(kind, time_us, node, cause, above["generation"], above["weighted"], first=0, **columns)

    @rule(cause=st.integers(0), columns=COLUMNS)
    def shock(self, cause: int, columns: dict[str, int]) -> None:
        time_us, cause = next(self.times), self.earlier(cause)
        assert {log.append_root(time_us, "shock", 0, cause, **columns) for log in self.logs} == {len(self.rows)}
        self.note("shock", time_us, 0, cause, 0, 0.0, first=0, **columns)

    @rule(
        kind=st.sampled_from(["default", "liquidation"]),
        node=st.integers(0, 1),
        member=st.integers(-1, 3),
        cause=st.integers(0),
        weighted=st.floats(1, 9),
        value=INT64,
    )
    def failure(self, kind: str, node: int, member: int, cause: int, weighted: float, value: int) -> None:
        time_us, cause, facts = next(self.times), self.earlier(cause), Failure(weighted, 0.25, value)
        for log in self.logs:
            event = log.append_failure(time_us, kind, node, cause, facts, member=member, value=value)
            assert event == len(self.rows)
        self.note_failure(kind, time_us, node, cause, facts, member=member, value=value)

    @rule(pairs=st.lists(st.tuples(st.integers(0), INT64), max_size=9), one=st.booleans())
    def events(self, pairs: list[tuple[int, int]], one: bool) -> None:
        time_us, first = next(self.times), len(self.rows)
        causes = [self.earlier(pairs[0][0] if one else cause) for cause, _ in pairs]
        for member, (cause, (_, quantity)) in enumerate(zip(causes, pairs, strict=True)):
            for log in (self.plain, self.spooled):
                log.append(time_us, "fill", 2, cause, member=member, quantity=quantity, asset=1)
            above = self.rows[cause]
            self.note(
                "fill", time_us, 2, cause, above["generation"], above["weighted"],
                first=0, member=member, quantity=quantity, asset=1,
            )  # fmt: skip
        if pairs:
            cause = causes[0] if one else np.array(causes)
            quantities = np.array([quantity for _, quantity in pairs])
            assert first == self.bulk.append_many(
                len(pairs), time_us, "fill", 2, cause, member=np.arange(len(pairs)), quantity=quantities, asset=1
            )

    @rule(
        draws=st.lists(st.tuples(st.integers(-1, 9), st.integers(0), st.floats(1, 9), INT64), min_size=1, max_size=9),
        one=st.booleans(),
    )
    def failures(self, draws: list[tuple[int, int, float, int]], one: bool) -> None:
        time_us, first = next(self.times), len(self.rows)
        causes = [self.earlier(draws[0][1] if one else cause) for _, cause, _, _ in draws]
        weights = [draws[0][2] if one else weighted for _, _, weighted, _ in draws]
        for (member, _, _, value), cause, weighted in zip(draws, causes, weights, strict=True):
            facts = Failure(weighted, 0.5, value)
            self.plain.append_failure(time_us, "close-out", 3, cause, facts, member=member, value=value)
            self.note_failure("close-out", time_us, 3, cause, facts, member=member, value=value)
        for log in (self.spooled, self.bulk):
            event = log.append_failures(
                time_us, "close-out", 3, causes[0] if one else np.array(causes), np.array([draw[0] for draw in draws]),
                weights[0] if one else np.array(weights), 0.5, value=np.array([draw[3] for draw in draws]),
            )  # fmt: skip
            assert event == first

    @rule(legs=st.lists(st.tuples(INT32, INT32, INT64, st.lists(st.tuples(INT64, INT32), max_size=5)), max_size=4))
    def post(self, legs: list[tuple[int, int, int, list[tuple[int, int]]]]) -> None:
        event = len(self.rows) - 1
        for holder, asset, amount, pairs in legs:
            if len(pairs) == 1:
                leg: tuple[Any, ...] = (holder, asset, amount, pairs[0][1])
            elif pairs:
                amounts, members = np.array(pairs, np.int64).T
                leg = (holder, asset, amounts, members)
                for one_amount, member in pairs:
                    self.bulk.post(event, [(holder, asset, one_amount, member)])
            else:
                leg = (holder, asset, amount)
            self.plain.post(event, [leg])
            self.spooled.post(event, [leg])
            if len(pairs) < 2:
                self.bulk.post(event, [leg])

    @invariant()
    def depths_are_known_at_once(self) -> None:
        for log in self.logs:
            assert log.weighted_generation(len(self.rows) - 1) == self.rows[-1]["weighted"]
            assert log.is_exogenous(len(self.rows) - 1) == (self.rows[-1]["generation"] == 0)

    @invariant()
    def memory_is_bounded(self) -> None:
        assert all(table.in_memory <= 3 // 2 + SmallTable.CHUNK for table in self.spooled.tables)

    def teardown(self) -> None:
        kinds = list(dict.fromkeys(row["kind"] for row in self.rows))
        for log in self.logs:
            assert list(log.kinds) == kinds
            columns = log.events.columns()
            for name in EVENT_LAYOUT:
                expected = [kinds.index(row[name]) if name == "kind" else row[name] for row in self.rows]
                assert columns[name].tolist() == expected, name
            facts = log.failure_table.columns()
            assert list(zip(*(facts[name].tolist() for name in FAILURE_LAYOUT), strict=True)) == self.facts
            assert [log.depths[event].weighted for event in range(len(log.depths))] == [
                row["weighted"] for row in self.rows
            ]
        assert len({log.digest() for log in self.logs}) == 1
        self.directory.cleanup()


TestLogs = Logs.TestCase
TestLogs.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def rooted() -> EventLog:
    log = EventLog()
    log.append_root(0, "clock", -1, -1)
    return log


@pytest.mark.parametrize("cause", [-1, 1, 2])
def test_a_cause_is_an_earlier_event_and_nothing_is_logged_without_one(cause: int) -> None:
    log = rooted()
    digest = log.digest()
    with pytest.raises(AssertionError, match="earlier"):
        log.append(0, "clock", 0, cause)
    with pytest.raises(AssertionError, match="earlier"):
        log.append_root(0, "clock", 0, cause)
    for causes in (cause, np.array([0, cause])):
        with pytest.raises(AssertionError, match="not earlier events"):
            log.append_many(2, 0, "clock", 0, causes)
    assert (log.digest(), len(log.events), len(log.depths)) == (digest, 1, 1)


def test_only_the_clock_has_no_cause() -> None:
    with pytest.raises(AssertionError, match="earlier"):
        EventLog().append_root(0, "clock", -1, 0)


def test_descendants_of_a_failure_share_its_depth() -> None:
    log = rooted()
    failure = log.append_failure(1, "default", 0, 0, Failure(1.5, 1.0, 10))
    trade = log.append(1, "trade", 0, failure)
    assert log.depths.places[trade] == log.depths.places[failure]
    assert log.weighted_generation(trade) == 1.5
    assert not log.is_exogenous(trade)


def test_a_shock_below_a_failure_starts_again_at_zero() -> None:
    log = rooted()
    failure = log.append_failure(1, "default", 0, 0, Failure(1.0, 1.0, 10))
    shock = log.append_root(2, "shock", 0, failure)
    assert log.is_exogenous(log.append(3, "trade", 0, shock))


def test_members_and_kinds_fail_separately() -> None:
    log, facts = rooted(), Failure(1.0, 1.0, 0)
    for kind, node, member in [("default", 0, -1), ("default", 0, 0), ("default", 1, -1), ("liquidation", 0, -1)]:
        log.append_failure(1, kind, node, 0, facts, member=member)
    log.append_failure(2, "default", 0, 0, facts, member=0)
    assert log.events.columns()["first"].tolist() == [0, 1, 1, 1, 1, 0]


def test_a_member_named_twice_in_one_bulk_fails_once() -> None:
    log = rooted()
    log.append_failures(1, "close-out", 0, 0, np.array([4, 2, 4]), 1.0, 1.0)
    log.append_failures(2, "close-out", 0, 2, np.array([2, 3]), 2.0, 0.0)
    columns = log.events.columns()
    assert columns["first"].tolist() == [0, 1, 1, 0, 0, 1]
    assert columns["generation"].tolist() == [0, 1, 1, 0, 1, 2]
    assert log.failure_table.columns()["event"].tolist() == [1, 2, 5]


def test_the_legs_of_a_bulk_of_events_name_one_event_each() -> None:
    log, amounts = rooted(), np.array([5, 7])
    first = log.append_many(2, 1, "fill", 0, 0)
    log.post(first + np.arange(2), [(0, 0, amounts, np.array([3, 1])), (1, 0, -amounts, np.array([0, 0]))])
    columns = log.postings.columns()
    assert columns["event"].tolist() == [1, 2, 1, 2]
    assert columns["amount"].tolist() == [5, 7, -5, -7]


def test_the_arrays_of_a_leg_may_change_after_it_was_posted() -> None:
    log, amounts = rooted(), np.array([1, 2])
    log.post(0, [(0, 0, amounts, np.array([0, 1]))])
    amounts[:] = 9
    assert log.postings.columns()["amount"].tolist() == [1, 2]


@given(st.permutations(["trade", "quote", "default"]))
def test_the_digest_knows_the_names_of_kinds(kinds: list[str]) -> None:
    log, other = rooted(), rooted()
    for kind in kinds:
        log.append(0, kind, 0, 0)
    for kind in ("trade", "quote", "default"):
        other.append(0, kind, 0, 0)
    assert (log.digest() == other.digest()) == (kinds == ["trade", "quote", "default"])


def test_channels_are_stored_by_number_and_printed_by_name() -> None:
    assert [channel.value for channel in Channel] == list(range(len(Channel)))
    assert len({channel.label for channel in Channel}) == len(Channel)


def test_an_absent_name_is_null() -> None:
    assert names_of([1, -1, 0], ["a", "b"]).to_pylist() == ["b", None, "a"]


def test_a_spool_that_cannot_be_written_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    table = SmallTable("demo", {"a": "q"}, 0)
    table.spool_to(tmp_path / "file" / "demo")
    with pytest.raises(OSError, match="let TMPDIR name another place"):
        for number in range(100):
            table.append(number)
        table.columns()
