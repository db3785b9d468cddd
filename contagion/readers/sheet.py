"""A CSV file as columns: numbers and names in arrays, and every complaint with the line it is about.

Arrow parses the file into columns and everything after that works on whole columns, so a million rows cost no
million Python objects. What Arrow does not keep is where a row stood: only when there is something to complain about
is the text walked once more, row by row, to find the lines.

Files are UTF-8 with a header, commas between the fields, a point in the numbers and double quotes around what has
commas in it. Blanks around a field do not count; empty lines are passed over. The limits are stated below.
"""

import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from contagion.errors import BadInput, Problem, missing
from contagion.readers.words import (
    MAX_AMOUNT,
    MAX_PROBLEMS,
    NUMBER,
    below,
    not_a_name,
    not_a_number,
    ragged,
    too_large,
)
from contagion.source import decoded, read_bytes

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

MAX_BYTES = 2**30
MAX_ROWS = 20_000_000
MAX_NAMES = 1_000_000
"""Different names in one column."""
MAX_COLUMNS = 10_000

_BLOCK = 2**22


class Names(NamedTuple):
    """A column of names: `texts` has each name once and `codes` says, row by row, which."""

    codes: Ints
    texts: list[str]

    @property
    def blank(self) -> NDArray[np.bool_]:
        """Return in which rows there is no name."""
        return np.array([not text for text in self.texts], dtype=bool)[self.codes]

    def of(self, row: int) -> str:
        """Return the name in a row."""
        return self.texts[int(self.codes[row])]

    def among(self, names: Sequence[str]) -> Ints:
        """Return, row by row, where the name stands in a list, -1 where it does not."""
        place = {name: number for number, name in enumerate(names)}
        return np.array([place.get(text, -1) for text in self.texts], dtype=np.int64)[self.codes]

    def unknown(self, place: Ints) -> NDArray[np.bool_]:
        """Return which rows have no place though they state a name; what is no name is a complaint of its own."""
        sound = np.array([not not_a_name(text) for text in self.texts], dtype=bool)
        return np.asarray((place < 0) & sound[self.codes])


class Provenance(NamedTuple):
    """Where exposures come from.

    form : what the file is, such as ``'edge list'``; rows : read below the header; dropped : rows that say nothing,
    by the reason; unread : titles of columns that were passed over; reconstructed : how the matrix was made from its
    totals, empty where every exposure was observed.
    """

    path: str
    sha256: str
    form: str
    rows: int
    dropped: Mapping[str, int] = {}
    unread: tuple[str, ...] = ()
    reconstructed: str = ""


class Complaints:
    """What is wrong with a file, in rows (from 0) until their lines are asked for."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[tuple[int, str, str]] = []
        self.more = 0

    def add(self, row: int, column: str, what: str) -> None:
        """Note what is wrong in a column of a row; row -1 is the header, -2 the whole file."""
        self.found.append((row, column, what))

    def add_all(self, rows: Iterable[int], column: str, what: Callable[[int], str]) -> None:
        """Note what is wrong with rows, of which only the first are shown."""
        every = [int(row) for row in rows]
        self.found += [(row, column, what(row)) for row in every[:MAX_PROBLEMS]]
        self.more += len(every[MAX_PROBLEMS:])

    def error(self, lines: Mapping[int, int]) -> BadInput:
        """Return the error for everything noted, in the order of the lines."""
        problems = sorted(
            Problem(self.file, lines.get(row, 0), 0, column, what) for row, column, what in set(self.found)
        )
        more = self.more + len(problems[MAX_PROBLEMS:])
        rest = [Problem(self.file, 0, 0, "", f"{more:,} more problems like these")] if more else []
        return BadInput(problems[:MAX_PROBLEMS] + rest)


class Sheet:
    """One CSV file: its header, its columns by our keys, and the complaints about it.

    columns : our key -> the title in the file, where that is another one. Reading a column that is not there, or a
    cell that is not what it should be, is noted; `finish` raises BadInput for whatever was noted.
    """

    def __init__(self, path: str | os.PathLike[str], columns: Mapping[str, str] | None = None) -> None:
        """Read the file and its header; BadInput when it is no text, is empty or is too large."""
        self.file = os.fspath(path)
        raw = read_bytes(path, MAX_BYTES)
        self.complaints = Complaints(self.file)
        if len(raw) > MAX_BYTES:
            raise self._whole(f"is larger than {MAX_BYTES // 2**20:,} MiB; split it")
        decoded(raw, self.file)
        self.content, self.sha256 = raw, hashlib.sha256(raw).hexdigest()
        self.titles = dict(columns or {})
        self.asked: set[str] = set()
        self.header, self._skip, self._start = self._read_header()
        self._ragged = False
        self._table: pa.Table | None = None
        self._lines: dict[int, int] | None = None

    @property
    def rows(self) -> int:
        """Return how many rows there are below the header."""
        return int(self._strings().num_rows)

    @property
    def unread(self) -> tuple[str, ...]:
        """Return the titles of the columns that nobody has asked for."""
        return tuple(title for title in self.header if title not in self.asked)

    def title(self, key: str) -> str:
        """Return what the file calls one of our columns."""
        return self.titles.get(key, key)

    def has(self, key: str) -> bool:
        """Return whether there is such a column."""
        return self.title(key) in self.header

    def require(self, keys: Iterable[str], *, hint: str = "") -> bool:
        """Return whether all these columns are there; note those that are not."""
        absent = [self.title(key) for key in keys if not self.has(key)]
        for title in absent:
            others = [known for known in self.header if known not in self.titles.values()]
            what = missing(title, others).replace("is required but missing", f"there is no column {title!r}")
            name = ", ".join(self.header[:8]) + ", ..." * (len(self.header) > 8)
            self.complaints.add(-1, "", f"{what}; the header has {name}{hint}")
        return not absent

    def numbers(self, key: str, *, least: float = -np.inf, blank: bool = False) -> Floats:
        """Return a column of finite numbers not below `least`; a blank cell is NaN where it may be blank."""
        column = self.title(key)
        self.asked.add(column)
        cells = pc.utf8_trim_whitespace(self._strings()[column])
        empty = _flags(pc.equal(cells, ""))
        if blank and empty.any():
            cells = pc.if_else(pc.equal(cells, ""), "0", cells)
        try:
            values = np.array(pc.cast(cells, pa.float64()).to_numpy(), dtype=np.float64)
            wrong = ~np.isfinite(values)
        except pa.ArrowInvalid:
            good = pc.match_substring_regex(cells, f"^(?:{NUMBER.pattern})$")
            values = np.array(pc.cast(pc.if_else(good, cells, "0"), pa.float64()).to_numpy(), dtype=np.float64)
            wrong = ~_flags(good) | ~np.isfinite(values)
        wrong |= empty & (not blank)
        self._note(wrong, column, lambda row: not_a_number(cells[row].as_py()))
        low, high = ~wrong & (values < least), ~wrong & (np.abs(values) > MAX_AMOUNT)
        self._note(low, column, lambda row: below(values[row], least))
        self._note(high, column, lambda row: too_large(values[row]))
        if blank:
            values[empty] = np.nan
        return values

    def names(self, key: str, *, blank: bool = False) -> Names:
        """Return a column of names, blanks around them removed; an empty one is noted unless it may be blank."""
        column = self.title(key)
        self.asked.add(column)
        coded = pa.concat_arrays(self._strings()[column].chunks).dictionary_encode()
        texts = [text.strip() for text in coded.dictionary.to_pylist()]
        codes = np.asarray(coded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
        distinct = list(dict.fromkeys(texts))
        if len(distinct) < len(texts):
            place = {text: number for number, text in enumerate(distinct)}
            codes = np.array([place[text] for text in texts], dtype=np.int64)[codes]
        if len(distinct) > MAX_NAMES:
            what = f"{len(distinct):,} different names; at most {MAX_NAMES:,} are read; is it another column?"
            self.complaints.add(-2, column, what)
            return Names(codes, distinct)
        faults = [not_a_name(text) if text or not blank else "" for text in distinct]
        if any(faults):
            self._note(np.array([bool(fault) for fault in faults])[codes], column, lambda row: faults[codes[row]])
        return Names(codes, distinct)

    def cells(self, key: str) -> list[str]:
        """Return a column as it is written, blanks around each cell removed."""
        column = self.title(key)
        self.asked.add(column)
        return [str(cell) for cell in pc.utf8_trim_whitespace(self._strings()[column]).to_pylist()]

    def provenance(self, form: str, dropped: Mapping[str, int] | None = None) -> Provenance:
        """Return where what was read is from; `form` says what the file is."""
        return Provenance(self.file, self.sha256, form, self.rows, dropped or {}, self.unread)

    def complain(self, row: int, key: str, what: str) -> None:
        """Note what is wrong with a row in one of our columns."""
        self.complaints.add(row, self.title(key) if key else "", what)

    def complain_all(self, wrong: NDArray[np.bool_], key: str, what: Callable[[int], str]) -> None:
        """Note what is wrong with the rows for which `wrong` is true."""
        self._note(wrong, self.title(key) if key else "", what)

    def finish(self) -> None:
        """Raise BadInput when anything was noted."""
        if self._ragged or self.complaints.found:
            raise self.complaints.error(self.lines({row for row, _, _ in self.complaints.found}))

    def line(self, row: int) -> int:
        """Return the line on which a row begins; for many questions, all are found at the first."""
        if self._lines is None:
            self._lines = self.lines(range(self.rows))
        return self._lines[row]

    def lines(self, rows: Iterable[int]) -> dict[int, int]:
        """Return the line on which each of these rows begins; rows of another length than the header are noted."""
        wanted, found, row, last = set(rows), {-1: self._start}, 0, 0
        reader = csv.reader(self._stream(), strict=True)
        short: list[tuple[int, str]] = []
        try:
            for cells in reader:
                first, last = last + 1, reader.line_num
                if last <= self._skip or not cells:
                    continue
                if len(cells) != len(self.header):
                    short.append((first, ragged(len(cells), len(self.header))))
                    continue
                if row in wanted:
                    found[row] = first
                row += 1
        except csv.Error as error:
            found[row] = last + 1  # what was noted of the row itself is on this line, too
            short.append((last + 1, f"is no row of a CSV file: {error}; expected every quote to be closed"))
        for number, (line, what) in enumerate(short[:MAX_PROBLEMS]):
            found[-10 - number] = line
            self.complaints.add(-10 - number, "", what)
        self.complaints.more += len(short[MAX_PROBLEMS:])
        return found

    def _stream(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(io.BytesIO(self.content), encoding="utf-8-sig", newline="")

    def _read_header(self) -> tuple[tuple[str, ...], int, int]:
        """Return the titles, the number of lines to skip to get below them, and the line that they begin on."""
        reader, before = csv.reader(self._stream(), strict=True), 0
        try:
            for cells in reader:
                if cells:
                    break
                before = reader.line_num
            else:
                raise self._whole("is empty; a header and a row for each fact are expected here")
        except csv.Error as error:
            raise self._whole(f"is no CSV file: {error}") from None
        header = tuple(cell.strip() for cell in cells)
        what = ""
        if len(header) == 1 and (other := next((mark for mark in ";\t|" if mark in header[0]), "")):
            what = f"the header has {other!r} between its titles; expected commas; save the file as CSV with commas"
        elif len(header) > MAX_COLUMNS:
            what = f"{len(header):,} columns; at most {MAX_COLUMNS:,} are read"
        elif double := sorted({title for title in header if header.count(title) > 1})[:1]:
            what = f"two columns are called {double[0]!r}; expected each title once; rename or remove one"
        if what:
            raise BadInput([Problem(self.file, before + 1, 0, "", what)])
        return header, reader.line_num, before + 1

    def _strings(self) -> pa.Table:
        """Return all columns that are read, as text."""
        if self._table is None:
            self._table = self._parse()
            if self._table.num_rows == 0 and not self._ragged:
                raise self._whole("has a header and nothing below it")
            if self._table.num_rows > MAX_ROWS:
                raise self._whole(f"has {self._table.num_rows:,} rows; at most {MAX_ROWS:,} are read")
        return self._table

    def _parse(self) -> pa.Table:
        def skip(row: Any) -> str:
            self._ragged = True
            return "skip"

        names = [str(number) for number in range(len(self.header))]
        quoted = b'"' in self.content
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(self.content),
                pyarrow.csv.ReadOptions(
                    column_names=names, skip_rows=self._skip, block_size=_BLOCK, use_threads=len(self.content) > _BLOCK
                ),
                pyarrow.csv.ParseOptions(newlines_in_values=quoted, invalid_row_handler=skip),
                pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error):
                raise self._whole("has a header and nothing below it") from None
            self._ragged = True
            lines = self.lines(())
            if not self.complaints.found:
                raise self._whole(f"is no CSV file: {error}") from None
            raise self.complaints.error(lines) from None
        return table.rename_columns(list(self.header))

    def _note(self, wrong: NDArray[np.bool_], column: str, what: Callable[[int], str]) -> None:
        if wrong.any():
            self.complaints.add_all(np.flatnonzero(wrong), column, what)

    def _whole(self, what: str) -> BadInput:
        return BadInput([Problem(self.file, 0, 0, "", what)])


def unique_names(sheet: Sheet, key: str = "name") -> list[str]:
    """Return a column of names that must differ, noting those that have been there before."""
    names = sheet.names(key)
    again, first = duplicates(names.codes)
    where = dict(zip(again.tolist(), first.tolist(), strict=True))
    lines = sheet.lines(where.values()) if where else {}
    for row in list(where)[:MAX_PROBLEMS]:
        what = f"a second row for {names.texts[names.codes[row]]!r}, after line {lines[where[row]]}"
        sheet.complain(row, key, f"{what}; expected one row a name; rename or remove one")
    return [names.texts[code] for code in names.codes.tolist()]


def duplicates(*codes: Sequence[int] | Ints) -> tuple[Ints, Ints]:
    """Return the rows whose codes have been there before, and for each of them the row where they were first.

    >>> [rows.tolist() for rows in duplicates([0, 1, 0, 0], [5, 5, 5, 6])]
    [[2], [0]]
    """
    keys = [np.asarray(code) for code in codes]
    order = np.lexsort(keys[::-1])
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for key in keys:
        same &= key[order][1:] == key[order][:-1]
    start = np.flatnonzero(np.concatenate(([True], ~same))) if len(order) else order
    group = np.cumsum(np.concatenate(([True], ~same))) - 1 if len(order) else order
    again = np.flatnonzero(np.concatenate(([False], same))) if len(order) else order
    return order[again], order[start[group[again]]] if len(order) else order


def _flags(array: Any) -> NDArray[np.bool_]:
    return np.asarray(array.to_numpy(), dtype=bool)
