"""What is left of a run, and the directory it is kept in. All analysis reads only this.

A run is a handful of tables (plain arrays of integers, opened as Arrow tables with names), the books (who is
who, what is what, and by which feed everybody values what they hold), a manifest and a summary. No code is
executed on load; every file opens in pandas, polars, DuckDB or R.
"""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import contagion.facts
from contagion.log import Channel, names_of
from contagion.readers.rows import outside
from contagion.saved import (
    LAYOUTS,
    Graph,
    Manifest,
    Summary,
    check_books,
    check_table,
    fitted,
    read_json,
    stated,
    unreadable,
)
from contagion.why import Chain, explain

Columns = dict[str, NDArray[Any]]

_MAY_CHANGE = ("command", "started", "seed", "platform")
"""What of a manifest may be another when a study goes on: which seeds, and when; each run says its own."""
_RUNNING = {"status": "running"}
_CLOSE = {"event", "time_us", "cause", "member", "contributor", "price", "delta", "bid_depth", "ask_depth"}
_NAMED = {
    "kind": "kinds", "node": "holders", "holder": "holders", "loser": "holders", "receiver": "holders",
    "asset": "assets", "market": "feeds",
}  # fmt: skip


@dataclass
class Books:
    """Names and the facts that turn quantities into values.

    marks : per asset, the feed (an index into `feeds`) by which it is valued; own_marks : (holder, asset, feed) where
    a holder values it by another; underlying : per asset, the asset that a claim is worth its own feed's multiple
    of, or -1; opening : events up to this id made the opening balances; outside : holders beside the world whose
    losses do not count.
    """

    kinds: list[str]
    holders: list[str]
    holder_kinds: list[str]
    domains: list[str]
    sectors: list[str]
    assets: list[str]
    decimals: list[int]
    underlying: list[int]
    issuers: list[int]
    creditors: list[int]
    feeds: list[str]
    marks: list[int]
    own_marks: list[tuple[int, int, int]]
    world: int
    outside: list[int]
    opening: int
    currency: str
    currency_decimals: int

    def mark(self, holder: int, asset: int) -> int:
        """Return the feed by which a holder values an asset."""
        return self._own_marks.get((holder, asset), self.marks[asset])

    @cached_property
    def _own_marks(self) -> dict[tuple[int, int], int]:
        return {(holder, asset): feed for holder, asset, feed in self.own_marks}


@dataclass
class Run:
    """The tables, books and summary of one run.

    tables : events, postings, prices, contributions, failures, balances, accounts, losses and bilateral, as columns;
    inputs : the files beside the scenario, by their names in it, which are saved beside its copy.
    """

    tables: dict[str, Columns]
    books: Books
    manifest: dict[str, Any]
    graph: dict[str, Any] = field(default_factory=dict)
    scenario: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    inputs: dict[str, bytes] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    @property
    def summary(self) -> contagion.facts.Summary:
        """Return the summary with its keys as attributes: ``run.summary.total_losses.net``."""
        return contagion.facts.Summary.of(self.facts)

    @property
    def plot(self) -> Any:
        """Return what draws this run (extra `plot`): ``run.plot.prices()``, ``.depth()``, ``.losses()`` and others."""
        return contagion.view("Plots")(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows of the run: its summary, without anything from outside the page."""
        return str(contagion.view("run_html")(self))

    @cached_property
    def events(self) -> pa.Table:
        """Return the event table with names, one row an event."""
        return self.table("events")

    @property
    def prices(self) -> pa.Table:
        """Return every change of every mark."""
        return self.table("prices")

    @property
    def accounts(self) -> pa.Table:
        """Return one row a holder (or member): equity at both ends, what was liquidated, loss by channel."""
        return self.table("accounts")

    @property
    def bilateral(self) -> pa.Table:
        """Return who lost to whom: a row a loser, receiver (null: nobody) and channel, the largest value first."""
        return self.table("bilateral")

    def table(self, name: str) -> pa.Table:
        """Return a table with names instead of ids and null instead of 'none'."""
        return _with_names(name, self.tables[name], self.books)

    def why(self, what: int | str) -> Chain:
        """Return the causal chain from a shock to an event, or to a node's first failure.

        KeyError when there is no such event, or the node has no event at all.
        """
        return explain(self.tables["events"], self.tables["contributions"], self.books, what)

    def save(self, directory: str | Path) -> None:
        """Write the run into a new directory, or one that `recorded` has claimed for it.

        Each file appears whole or not at all, the manifest last. FileExistsError when the directory has files.
        """
        directory = Path(directory)
        if _status(directory) != "running":
            claim(directory, self.manifest)
        if self.source:
            _write(directory / "scenario.toml", self.source)
        for name, content in self.inputs.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            _write(directory / name, content)
        write_json(directory / "scenario.resolved.json", self.scenario)
        for name in self.tables:
            temporary = directory / f".{name}.parquet"
            write_parquet(self.table(name), temporary)
            os.replace(temporary, directory / f"{name}.parquet")
        write_json(directory / "graph.json", self.graph)
        write_json(directory / "books.json", asdict(self.books))
        write_json(directory / "summary.json", self.facts)
        write_json(directory / "manifest.json", {"status": "complete"} | self.manifest)
        self.path = directory


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table with zstd: close numbers as differences, floats that never repeat byte by byte, else as words."""
    names = table.column_names
    encodings = {name: "DELTA_BINARY_PACKED" for name in names if name in _CLOSE}
    encodings |= {name: "BYTE_STREAM_SPLIT" for name in names if name.startswith("loss ")}
    words = [name for name in names if name not in encodings]
    pq.write_table(table, path, compression="zstd", use_dictionary=words, column_encoding=encodings)


def claim(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Make a directory, or take an empty one, for one run alone: its manifest says that it is running.

    FileExistsError when there is anything in it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise FileExistsError(f"{directory} is not empty: a run is never overwritten")
    path = directory / "manifest.json"
    with open(path, "xb") as stream:
        try:
            stream.write(_json({**_RUNNING, **manifest}).encode())
        except OSError:
            path.unlink()
            raise


@contextmanager
def recorded(directory: Path, manifest: Mapping[str, Any], *, goes_on: bool = False) -> Iterator[None]:
    """Claim a directory for the run made inside, and let its manifest say how that run ended if not well.

    goes_on : the directory is that of a study which has ended early (`unfinished`) and is made on.
    """
    if goes_on:
        write_json(directory / "manifest.json", {**_RUNNING, **manifest})
    else:
        claim(directory, manifest)
    try:
        yield
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        _mark(directory, {"status": status, **manifest, "error": repr(error)[:500]})
        raise


def unfinished(directory: Path, manifest: Mapping[str, Any]) -> bool:
    """Return whether a directory has a study of this kind that came to no end, so that it can go on there.

    BadInput where that was made of something else than the manifest says: the runs there would not be of this study.
    """
    if not (directory / "manifest.json").exists():
        return False
    then, now = read_manifest(directory), json.loads(_json(manifest))
    if then.get("status") == "complete" or then.get("study") != now["study"]:
        return False
    if changed := sorted(key for key in now if key not in _MAY_CHANGE and then.get(key) != now[key]):
        what = f"a study was begun here with other {', '.join(changed)}: go on with the same, or name another directory"
        raise unreadable(directory, what)
    return True


def _mark(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Replace the manifest of a run that has ended badly.

    What was only half written goes first: it is worth nothing and may be what fills the disk. Where there is still no
    room for another file, the word in the one that is there is changed in its place.
    """
    for part in (*directory.glob(".*.part"), *directory.glob(".*.parquet")):
        part.unlink()
    path = directory / "manifest.json"
    try:
        write_json(path, manifest)
    except OSError:
        (directory / ".manifest.json.part").unlink(missing_ok=True)
        text = path.read_bytes()
        word, failed = (f'"status": "{status}"'.encode() for status in (_RUNNING["status"], "failed"))
        with open(path, "r+b") as stream:
            stream.write(text.replace(word, failed.ljust(len(word)), 1))


def differing(one: Run, other: Run) -> list[str]:
    """Return the names of the event tables in which two runs differ."""
    names = ("events", "postings", "prices", "contributions", "failures")
    return [name for name in names if not one.table(name).equals(other.table(name))]


def load_run(directory: str | Path) -> Run:
    """Return a saved run. BadInput when the directory is not a complete one, or a file of it not what a run writes."""
    directory = Path(directory)
    manifest = read_manifest(directory)
    if manifest.get("status") != "complete":
        raise unreadable(directory, f"the run is {manifest.get('status', 'without a status')}, not complete")
    books = fitted(Books, read_json(directory, "books.json"), directory / "books.json")
    check_books(books, directory / "books.json")
    tables = {}
    for file in sorted(directory.glob("[a-z]*.parquet")):
        try:
            tables[file.stem] = _without_names(pq.read_table(file), books)
        except (pa.ArrowException, OSError, AttributeError, KeyError, TypeError) as error:
            raise unreadable(file, f"cannot be read: {error}") from None
    if missing := sorted(LAYOUTS.keys() - set(tables)):
        raise unreadable(directory, f"has no {missing[0]}.parquet")
    events = min((len(column) for column in tables["events"].values()), default=0)
    for name, columns in tables.items():
        check_table(name, columns, events, directory / f"{name}.parquet")
    if not 0 <= books.opening < events:
        raise unreadable(directory / "books.json", f"expected the number of an event, 0 to {events - 1}", "opening")
    facts, graph = read_json(directory, "summary.json"), read_json(directory, "graph.json")
    fitted(Summary, facts, directory / "summary.json")
    fitted(Graph, graph, directory / "graph.json")
    scenario = stated(read_json(directory, "scenario.resolved.json"), directory / "scenario.resolved.json")
    text = directory / "scenario.toml"
    source = _decoded(text) if text.exists() else ""
    inputs = {name: (directory / name).read_bytes() for name in _inputs(manifest) if (directory / name).is_file()}
    return Run(tables, books, manifest, graph, scenario, source, inputs, facts, directory)


def _inputs(manifest: Mapping[str, Any]) -> list[str]:
    """Return the names of the files that a run was made from, those inside its directory alone."""
    tables = manifest.get("tables")
    names = [str(t.get("path")) for t in (tables if isinstance(tables, list) else ()) if isinstance(t, dict)]
    return [name for name in names if not outside(name)]


def read_manifest(directory: Path) -> dict[str, Any]:
    """Return the manifest of a run directory, complete or not. BadInput when there is none, or it is edited to none."""
    manifest = read_json(directory, "manifest.json")
    fitted(Manifest, manifest, directory / "manifest.json")
    return manifest


def write_json(path: Path, value: Any) -> None:
    """Write JSON to a temporary name and rename it."""
    _write(path, _json(value))


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the same keys as a CSV file, to a temporary name, and rename it."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    _write(path, stream.getvalue())


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, allow_nan=False, default=str) + "\n"


def _write(path: Path, content: str | bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.replace(temporary, path)


def _decoded(path: Path) -> str:
    with open(path, encoding="utf-8", newline="") as stream:
        try:
            return stream.read()
        except UnicodeDecodeError as error:
            raise unreadable(path, f"is not UTF-8: {error.reason}") from None


def _status(directory: Path) -> str:
    """Return the status in a directory's manifest, nothing where there is no manifest."""
    return str(read_manifest(directory).get("status")) if (directory / "manifest.json").exists() else ""


def _with_names(name: str, columns: Columns, books: Books) -> pa.Table:
    arrays: dict[str, Any] = {}
    if name == "events":
        arrays["event"] = pa.array(np.arange(len(columns["kind"]), dtype=np.int64))
    for column, values in columns.items():
        if column in _NAMED:
            arrays[column] = names_of(values, getattr(books, _NAMED[column]))
        elif column == "channel":
            arrays[column] = names_of(values, [channel.label for channel in Channel])
        elif column in ("member", "cause"):
            arrays[column] = pa.array(values, mask=values < 0)
        elif column == "first":
            arrays[column] = pa.array(values.astype(bool))
        else:
            arrays[column] = pa.array(values)
    if name == "accounts":
        arrays["kind"] = names_of(np.arange(len(books.holders))[columns["holder"]], books.holder_kinds)
        arrays["sector"] = names_of(np.arange(len(books.holders))[columns["holder"]], books.sectors)
    return pa.table(arrays)


def _without_names(table: pa.Table, books: Books) -> Columns:
    columns: Columns = {}
    labels = [channel.label for channel in Channel]
    names_only = ("kind", "sector") if "sector" in table.column_names else ()
    for column in table.column_names:
        if column in names_only or (column == "event" and "cause" in table.column_names):
            continue
        values = table[column].combine_chunks()
        if column in _NAMED or column == "channel":
            names = labels if column == "channel" else getattr(books, _NAMED[column])
            if not pa.types.is_dictionary(values.type):
                values = values.dictionary_encode()  # as another program may have written it
            ids = {name: number for number, name in enumerate(names)}
            own = np.array([ids[name] for name in values.dictionary.to_pylist()], dtype=np.int32)
            indices = values.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            columns[column] = np.where(indices < 0, -1, own[indices] if len(own) else -1).astype(np.int32)
        elif column in ("member", "cause"):
            columns[column] = values.fill_null(-1).to_numpy(zero_copy_only=False)
        elif column == "first":
            columns[column] = values.to_numpy(zero_copy_only=False).astype(np.int32)
        else:
            columns[column] = values.to_numpy(zero_copy_only=False)
    return columns
