"""A TOML document that knows where each of its values stands, so that a complaint can name line and column.

`tomllib` decides what is valid and what it means, but keeps no positions. A document it has accepted is easy
to walk, though: one token pattern finds strings, comments and words, and a walk over the tokens notes at
which character each path begins. Whatever bytes are given, the answer is a `Source` or a `BadInput`.

The limits keep hostile files cheap (a key of a million dots takes `tomllib` hours): 16 MiB, 64 levels, and
words and numbers of 500 characters, none of which a scenario comes near.
"""

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeAlias

from contagion.errors import BadInput, Problem, closest

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 64
MAX_WORD = 500
"""Characters in a bare key, a number or a date."""
MAX_EXPONENT = 400
"""Powers of ten; a double ends at 308, and a larger one would make integers of that many digits."""

KeyPath: TypeAlias = tuple[str | int, ...]
_Token: TypeAlias = tuple[int, str]
"""The offset of a token in the text, and the token."""

# Closed strings. The long forms come first, may end in up to two more quotes, and never backtrack (``*+``).
_STRING = r"""
    "{3} (?: [^"\\] | \\. | "{1,2}(?!") )*+ "{3,5}
  | '{3} (?: [^'] | '{1,2}(?!') )*+ '{3,5}
  | "(?!"") (?: [^"\\\n] | \\[^\n] )*+ "
  | '(?!'') [^'\n]*+ '
"""
# A string that is never closed takes the rest of the text, or of its line, so scanning stays linear.
# Blanks match nothing and are passed over.
_TOKEN = re.compile(
    _STRING + r""" | (?: "{3} | '{3} ) .* | ["'] [^\n]* | \#[^\n]* | [][{}=,.\n] | [^][{}=,.\#"'\s]++ """,
    re.VERBOSE | re.DOTALL,
)
_CLOSED = re.compile(_STRING, re.VERBOSE | re.DOTALL)
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

# What tomllib says -> what a user can act on. Other messages, and those of other versions, are passed on.
_CLEARER = {
    "Invalid value": "expected a value: text needs quotes, numbers no leading 0, true and false no capitals",
    "Invalid statement": "expected a key, a [table] or a comment",
    "Invalid initial character": "expected a key: letters, digits, - and _; anything else needs quotes",
    "Expected '=' after": "expected '=' after the key",
    "Expected newline": "expected the end of the line: write one key = value a line",
    "Unclosed array": "expected ',' or ']' in this array",
    "Unclosed inline": "expected ',' or '}': an inline table stays on one line",
    "Unescaped '\\'": "a backslash in double quotes starts an escape: double it, or use single quotes",
    "Cannot declare": "this table is declared twice",
    "Cannot overwrite": "this name already has a value",
    "Duplicate inline": "this name already has a value",
    "Cannot redefine": "this table is already complete; add the key where the table is",
    "Cannot mutate": "this table is already complete; add the key where the table is",
}


@dataclass(frozen=True)
class Source:
    """A parsed TOML document: `data` has Decimals for floats; `sha256` is that of the file's bytes."""

    file: str
    text: str = field(repr=False)
    data: dict[str, Any]
    sha256: str
    _offsets: dict[KeyPath, int] = field(repr=False, compare=False)

    def place(self, path: Sequence[str | int]) -> tuple[int, int]:
        r"""Return line and column, from 1, of the key (or array element, or table header) at `path`.

        A path that is not in the document has the place of its nearest ancestor; the root is at (1, 1).

        >>> source = parse_source("[pool]\nfee = [1, 2]")
        >>> source.place(["pool", "fee", 1]), source.place(["pool", "depth"])
        ((2, 11), (1, 2))
        """
        known = tuple(path)
        while known not in self._offsets:
            known = known[:-1]
        return _line_and_column(self.text, self._offsets[known])

    def problem(self, path: Sequence[str | int], what: str) -> Problem:
        r"""Return `what` is wrong at `path`, with its place.

        >>> print(parse_source("[[node]]\nname = 1", "a.toml").problem(["node", 0, "name"], "is not text"))
        a.toml:2:1: node[0].name: is not text
        """
        return Problem(self.file, *self.place(path), dotted(path), what)


def dotted(path: Sequence[str | int]) -> str:
    """Return a path as users write it, with long keys shortened.

    >>> dotted(["venue", 0, "fee tier", "maker_bps"])
    'venue[0]."fee tier".maker_bps'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            key = part if len(part) <= 80 else f"{part[:77]}..."
            text += "." * bool(text) + (key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False))
    return text


def read_source(path: str | os.PathLike[str]) -> Source:
    """Return the TOML document in a file; BadInput when it cannot be read or is not valid."""
    return _parse(read_bytes(path, MAX_BYTES), os.fspath(path))


def read_bytes(path: str | os.PathLike[str], limit: int) -> bytes:
    """Return what is in a file, one byte more than the limit at most; BadInput when it cannot be read."""
    file = os.fspath(path)
    try:
        with open(file, "rb") as stream:
            return stream.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError):
        what = _missing(Path(file))
    except (IsADirectoryError, PermissionError):  # Windows does not permit to open a directory
        what = _directory(Path(file)) if os.path.isdir(file) else "may not be read; check its permissions"
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
    except ValueError as error:
        what = f"is not a file name: {error}"
    raise BadInput([Problem(file, 0, 0, "", what)])


def parse_source(text: str, file: str = "<string>") -> Source:
    r"""Return the TOML document in `text`; BadInput, naming `file`, when it is not valid.

    >>> parse_source("size = 0.10").data
    {'size': Decimal('0.10')}
    >>> parse_source("[a]\nb = 1\nb = 2", "a.toml")
    Traceback (most recent call last):
        ...
    contagion.errors.BadInput: a.toml:3:1: a.b: this name already has a value, since line 2
    """
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise _refusal(file, text, error.start, "half of a surrogate pair is not a character") from None
    return _parse(raw, file)


def _missing(path: Path) -> str:
    """Return that a file does not exist, with the likely reason."""
    if not path.parent.is_dir():
        return f"no such file: there is no directory {str(path.parent)!r}"
    try:
        neighbours = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        neighbours = []
    if f"{path.name}.toml" in neighbours:
        return f"no such file; did you mean {path.name + '.toml'!r}?"
    return f"no such file{closest(path.name, neighbours)}"


def _directory(path: Path) -> str:
    """Return that a path is a directory, with a file in it to choose instead."""
    scenario = min(path.glob("*.toml"), default=None)
    return f"is a directory, not a file; did you mean {str(scenario)!r}?" if scenario else "is a directory, not a file"


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Return where the character at `offset` stands, both from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _refusal(file: str, text: str, offset: int, what: str, path: KeyPath = ()) -> BadInput:
    """Return the error for what stands at `offset`."""
    return BadInput([Problem(file, *_line_and_column(text, offset), dotted(path), what)])


class _Misplaced(Exception):
    """Something is wrong at an offset of the text."""

    def __init__(self, offset: int, what: str, path: KeyPath = ()) -> None:
        super().__init__(offset, what, path)
        self.offset, self.what, self.path = offset, what, path


class _HugeNumber(ValueError):
    """A decimal number, as written, that no computation of ours could use."""


def _parse(raw: bytes, file: str) -> Source:
    """Return the document in the bytes of a file."""
    if len(raw) > MAX_BYTES:
        what = f"is larger than {MAX_BYTES // 2**20} MiB; keep large tables in CSV files and name them here"
        raise BadInput([Problem(file, 0, 0, "", what)])
    text = decoded(raw, file)
    tokens = [(match.start(), match[0]) for match in _TOKEN.finditer(text) if match[0][0] != "#"]
    if all(token == "\n" for _, token in tokens):
        what = "has nothing but comments" if "#" in text else "is empty"
        raise BadInput([Problem(file, 0, 0, "", f"{what}; a TOML document is expected here")])
    try:
        _check_words(tokens)
        data = _load(text, tokens)
        offsets = _Walk(text, tokens).document()
    except _Misplaced as error:
        raise _refusal(file, text, error.offset, error.what, error.path) from None
    return Source(file, text, data, hashlib.sha256(raw).hexdigest(), offsets)


def decoded(raw: bytes, file: str) -> str:
    """Return the text in the bytes of a file, without a byte order mark; BadInput where they are not UTF-8."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            what = "is UTF-16; save it as UTF-8"
        else:
            what = f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise _refusal(file, before, len(before), what) from None
    if "\0" in text:
        raise _refusal(file, text, text.index("\0"), "a zero byte: this is not a text file, or not UTF-8")
    return text


def _check_words(tokens: list[_Token]) -> None:
    """Refuse what would cost `tomllib` quadratic time: long dotted keys and long numbers."""
    dots = 0
    for offset, token in tokens:
        if token == ".":
            dots += 1
            if dots > MAX_DEPTH:
                raise _Misplaced(offset, f"more than {MAX_DEPTH} dots in one key")
        elif token in "\n=[]{},":
            dots = 0
        elif len(token) > MAX_WORD and token[0] not in "\"'":
            what = f"a word or number of {len(token)} characters; at most {MAX_WORD} are read"
            raise _Misplaced(offset, what)


def _number(literal: str) -> Decimal:
    """Return a float of the document exactly as it is written."""
    try:
        number = Decimal(literal)
    except InvalidOperation:  # the exponent has too many digits
        raise _HugeNumber(literal) from None
    if number.is_finite() and abs(number.adjusted()) > MAX_EXPONENT:
        raise _HugeNumber(literal)
    return number


def _load(text: str, tokens: list[_Token]) -> dict[str, Any]:
    """Return the data of a document."""
    try:
        return tomllib.loads(text, parse_float=_number)
    except RecursionError:
        _Walk(text, tokens).document()  # the text is valid this far, so the walk finds where it is too deep
        raise  # it is not the document: our caller has used up the stack
    except _HugeNumber as error:
        literal = str(error)
        offset = next(offset for offset, _ in tokens if text.startswith(literal, offset))
        raise _Misplaced(offset, f"an exponent beyond {MAX_EXPONENT} digits is out of range") from None
    except ValueError as error:
        raise _syntax_error(str(error), text, tokens) from None


def _syntax_error(message: str, text: str, tokens: list[_Token]) -> _Misplaced:
    """Return what `tomllib` complains about, in clearer words and, where we know it, at a better place."""
    end = offset = len(text.rstrip())
    if (place := _PLACE.search(message)) and place[1]:
        lines_before = text.split("\n", int(place[1]))[: int(place[1]) - 1]
        offset = min(end, sum(len(line) + 1 for line in lines_before) + int(place[2]) - 1)
    reason = _PLACE.sub("", message)
    what = next((clear for start, clear in _CLEARER.items() if reason.startswith(start)), reason[:200])
    before = [token for token in tokens if token[0] < offset]
    if reason.startswith(("Cannot", "Duplicate")):
        try:
            _Walk(text, before).document()
        except _Misplaced as duplicate:
            return duplicate
        return _Misplaced(offset, what)
    for start, token in before:
        if token[0] in "\"'" and not _CLOSED.fullmatch(token):
            return _Misplaced(start, "the text whose quotes open here is never closed")
    return _Misplaced(offset, f"{what}; the file seems cut off" if offset == end else what)


class _Walk:
    """A walk over the tokens of a valid document that notes where each path begins."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.index = 0
        self.offsets: dict[KeyPath, int] = {(): 0}
        self.last: dict[KeyPath, int] = {}  # of each array of tables, the index of its last

    def document(self) -> dict[KeyPath, int]:
        """Return the offset of each path."""
        table: KeyPath = ()
        while token := self.peek():
            if token == "\n":
                self.index += 1
            elif token == "[":
                table = self.header()
            else:
                self.pair(table)
        return self.offsets

    def peek(self) -> str:
        """Return the next token, or nothing at the end."""
        return self.tokens[self.index][1] if self.index < len(self.tokens) else ""

    def note(self, path: KeyPath, offset: int) -> KeyPath:
        """Return `path`, noted if it is new."""
        if len(path) > MAX_DEPTH:
            raise _Misplaced(offset, f"nested more than {MAX_DEPTH} levels deep")
        self.offsets.setdefault(path, offset)
        return path

    def header(self) -> KeyPath:
        """Return the path of the table that ``[key]`` or ``[[key]]`` opens."""
        self.index += 1
        is_array = self.peek() == "["
        self.index += is_array
        *parents, (offset, name) = self.key()
        path: KeyPath = ()
        for place, parent in parents:
            path = self.note((*path, parent), place)
            if path in self.last:
                path = (*path, self.last[path])
        path = self.note((*path, name), offset)
        if is_array:
            self.last[path] = self.last.get(path, -1) + 1
            path = self.note((*path, self.last[path]), offset)
        self.offsets[path] = offset  # rather than an earlier header that only passed through
        self.index += 1 + is_array
        return path

    def pair(self, table: KeyPath) -> None:
        """Pass ``key = value``."""
        *parents, (offset, name) = self.key()
        path = table
        for place, parent in parents:
            path = self.note((*path, parent), place)
        path = (*path, name)
        if path in self.offsets:
            line, _ = _line_and_column(self.text, self.offsets[path])
            raise _Misplaced(offset, f"this name already has a value, since line {line}", path)
        self.note(path, offset)
        self.index += 1
        self.value(path)

    def key(self) -> list[_Token]:
        """Pass a dotted key; return its parts, without quotes."""
        parts = [self.part()]
        while self.peek() == ".":
            self.index += 1
            parts.append(self.part())
        return parts

    def part(self) -> _Token:
        """Pass one part of a key; return it without quotes."""
        offset, token = self.tokens[self.index]
        self.index += 1
        return offset, tomllib.loads(f"key = {token}")["key"] if token[0] in "\"'" else token

    def value(self, path: KeyPath) -> None:
        """Pass a value, noting what is in it."""
        opening = self.peek()
        if opening not in {"[", "{"}:
            while self.peek() not in {"\n", ",", "]", "}", ""}:
                self.index += 1
            return
        self.index += 1
        element = 0
        while (token := self.peek()) not in {"]", "}", ""}:
            if token in {",", "\n"}:
                self.index += 1
            elif opening == "{":
                self.pair(path)
            else:
                self.value(self.note((*path, element), self.tokens[self.index][0]))
                element += 1
        self.index += 1
