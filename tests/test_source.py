"""A source knows where each path stands, and answers any bytes with a document or a clear refusal."""

import datetime
import hashlib
import os
import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contagion.errors import BadInput
from contagion.source import MAX_BYTES, MAX_DEPTH, dotted, parse_source, read_source

DOCUMENT = '''\
# héllo = "not a key"
title = "a # b = [c]" # comment = 1
when = 1979-05-27 07:32:00
bare-key_1 = 1.5e+3
"quoted key" . 'lit.eral' = true
"esc\\u0061ped\\"" = 'C:\\'
empty = ""
text = """
[not.a.header]
x = "" \\""" ""\\
  """""
raw = \'\'\'
[[no]] \'\' it's \\\'\'\'\'\'
matrix = [ # one
  [1, 2,], # two ]
  # , three
  [ "a,]", {x = 1, y.z = [3]} ],
]

[ pool . "fee.s" ]
rate = {bps = 5, "k" = {}}
[pool]
last = ["""a"""", \'\'\'b\'\'\'\', 3]

[[ node ]]
name = "a"
[node.book]
depth = 1
[[node.leg]]
size = 1
[[node.leg]]
size = 2
[[node]]
[[node.leg]]
size = 3
'''

PLACES = {
    (): (1, 1),
    ("title",): (2, 1),
    ("when",): (3, 1),
    ("bare-key_1",): (4, 1),
    ("quoted key",): (5, 1),
    ("quoted key", "lit.eral"): (5, 16),
    ('escaped"',): (6, 1),
    ("empty",): (7, 1),
    ("text",): (8, 1),
    ("raw",): (12, 1),
    ("matrix",): (14, 1),
    ("matrix", 0): (15, 3),
    ("matrix", 0, 1): (15, 7),
    ("matrix", 1): (17, 3),
    ("matrix", 1, 0): (17, 5),
    ("matrix", 1, 1): (17, 12),
    ("matrix", 1, 1, "x"): (17, 13),
    ("matrix", 1, 1, "y"): (17, 20),
    ("matrix", 1, 1, "y", "z"): (17, 22),
    ("matrix", 1, 1, "y", "z", 0): (17, 27),
    ("pool",): (22, 2),
    ("pool", "fee.s"): (20, 10),
    ("pool", "fee.s", "rate"): (21, 1),
    ("pool", "fee.s", "rate", "k"): (21, 18),
    ("pool", "last"): (23, 1),
    ("pool", "last", 1): (23, 19),
    ("pool", "last", 2): (23, 29),
    ("node",): (25, 4),
    ("node", 0): (25, 4),
    ("node", 0, "name"): (26, 1),
    ("node", 0, "book"): (27, 7),
    ("node", 0, "book", "depth"): (28, 1),
    ("node", 0, "leg"): (29, 8),
    ("node", 0, "leg", 0): (29, 8),
    ("node", 0, "leg", 1): (31, 8),
    ("node", 0, "leg", 1, "size"): (32, 1),
    ("node", 1): (33, 3),
    ("node", 1, "leg", 0): (34, 8),
    ("node", 1, "leg", 0, "size"): (35, 1),
}


def refusal(text: str) -> str:
    with pytest.raises(BadInput) as caught:
        parse_source(text, "f")
    return str(caught.value)


def paths(value, path=()):
    """Yield the path of every value."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from paths(inner, (*path, key))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(("path", "place"), PLACES.items())
def test_a_path_stands_where_its_key_is_written(path, place, newline):
    assert parse_source(DOCUMENT.replace("\n", newline)).place(path) == place


def test_a_path_that_is_missing_stands_at_its_nearest_ancestor():
    source = parse_source(DOCUMENT)
    assert source.place(["pool", "fee.s", "none", 3, "x"]) == (20, 10)
    assert source.place(["node", 7, "x"]) == (25, 4)
    assert source.place(["none"]) == (1, 1)


def test_a_problem_carries_its_place_and_path():
    problem = parse_source(DOCUMENT, "a.toml").problem(["pool", "fee.s", "rate"], "is high")
    assert str(problem) == 'a.toml:21:1: pool."fee.s".rate: is high'


def test_a_path_is_written_as_in_toml_and_long_keys_are_cut():
    assert dotted(["a", 0, 1, "b c", "d\n"]) == r'a[0][1]."b c"."d\n"'
    assert dotted([]) == ""
    assert len(dotted(["x" * 1000])) < 90


def test_floats_are_exact_and_the_digest_is_that_of_the_bytes():
    source = parse_source("a = 0.10\nb = inf")
    assert source.data == {"a": Decimal("0.10"), "b": Decimal("Infinity")}
    assert str(source.data["a"]) == "0.10"
    assert source.sha256 == hashlib.sha256(b"a = 0.10\nb = inf").hexdigest()


# Writing documents in varied spellings


class Writer:
    """Writes a document, choosing among spellings at random, and remembers where each key starts."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.newline = rng.choice(["\n", "\r\n"])
        self.text = ""
        self.offsets = {}

    def put(self, *spellings: str) -> None:
        self.text += self.rng.choice(spellings)

    def blank(self) -> None:
        self.put("", " ", "\t ")

    def end_line(self) -> None:
        self.blank()
        self.put("", "", '# x = [ \' """ { é')
        self.text += self.newline

    def gap(self) -> None:
        """Write a gap in an array."""
        self.blank()
        if self.rng.random() < 0.2:
            self.end_line()
            self.blank()

    def string(self, value: str, lines: bool) -> None:
        escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
        spellings = [f'"{escaped}"']
        printable = all(c.isprintable() for c in value)
        if printable and "'" not in value:
            spellings.append(f"'{value}'")
        if lines:
            raw = value.replace("\\", "\\\\").replace('"""', '""\\"')
            if all(c.isprintable() or c == "\n" for c in value) and not raw.endswith('"""'):
                spellings.append('"""' + self.newline + raw.replace("\n", self.newline) + '"""')
                spellings.append(f'"""\\{self.newline}  {escaped}"""' if value.strip() == value else f'"{escaped}"')
            if all(c.isprintable() or c == "\n" for c in value) and "'''" not in value:
                spellings.append("'''" + self.newline + value.replace("\n", self.newline) + "'''")
        self.put(*spellings)

    def key(self, path) -> None:
        """Write the last key of `path`, which begins here unless it was written before."""
        self.offsets.setdefault(path, len(self.text))
        name = path[-1]
        if name and name.isascii() and name.replace("-", "").replace("_", "").isalnum() and self.rng.random() < 0.7:
            self.put(name)
        else:
            self.string(name, lines=False)

    def dot(self) -> None:
        self.blank()
        self.put(".")
        self.blank()

    def value(self, path, value) -> None:
        if isinstance(value, str):
            self.string(value, lines=True)
        elif isinstance(value, bool):
            self.put(str(value).lower())
        elif isinstance(value, datetime.datetime):
            self.put(value.isoformat("T"), value.isoformat(" "))
        elif isinstance(value, list):
            self.array(path, value)
        elif isinstance(value, dict):
            self.inline_table(path, value)
        else:
            self.put(str(value))

    def array(self, path, value) -> None:
        self.put("[")
        for index, element in enumerate(value):
            self.gap()
            self.offsets[(*path, index)] = len(self.text)
            self.value((*path, index), element)
            self.gap()
            if index < len(value) - 1 or self.rng.random() < 0.5:
                self.put(",")
        self.gap()
        self.put("]")

    def inline_table(self, path, value) -> None:
        self.put("{")
        for index, (name, inner) in enumerate(value.items()):
            self.put("," * bool(index))
            self.blank()
            self.pair((*path, name), inner, lambda: None)
            self.blank()
        self.put("}")

    def pair(self, path, value, end, written=()) -> None:
        """Write ``key = value``, or a table as dotted keys: one in a line, or in an inline table."""
        dotted_fits = isinstance(value, dict) and (len(value) == 1 or (value and end == self.end_line))
        if dotted_fits and self.rng.random() < 0.5:
            for name, inner in value.items():
                self.pair((*path, name), inner, end, (*written, path))
            return
        for parent in written:
            self.key(parent)
            self.dot()
        self.key(path)
        self.blank()
        self.put("=")
        self.blank()
        self.value(path, value)
        end()

    def table(self, path, header, value) -> None:
        """Write the pairs of a table, then its tables under headers; `header` leads to it, for headers."""
        later = {}
        for name, inner in value.items():
            tables = inner if isinstance(inner, list) else [inner]
            if tables and all(isinstance(table, dict) for table in tables) and self.rng.random() < 0.7:
                later[name] = inner
            else:
                self.blank()
                self.pair((*path, name), inner, self.end_line)
        for name, inner in later.items():
            below = (*path, name)
            for index, table in enumerate(inner if isinstance(inner, list) else [inner]):
                self.header(below, (*header, below), "[[" if isinstance(inner, list) else "[")
                if isinstance(inner, list):
                    self.offsets[(*below, index)] = self.header_key
                    self.table((*below, index), (*header, below), table)
                else:
                    self.table(below, (*header, below), table)

    def header(self, path, written, brackets) -> None:
        self.blank()
        self.put(brackets)
        for parent in written[:-1]:
            self.blank()
            self.key(parent)
            self.dot()
        self.header_key = len(self.text)
        self.key(path)
        self.blank()
        self.put(brackets.replace("[", "]"))
        self.end_line()


KEYS = st.sampled_from(["a", "b-1", "_", "1", "", "é", "a.b", '"', "'", "a]", "#", "=", "\n"]) | st.text(max_size=4)
SCALARS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.decimals(-1000, 1000, places=3),
    st.datetimes(timezones=st.none() | st.just(datetime.UTC)),
    st.dates(),
    st.text(alphabet=st.sampled_from("\"'\\\n#[]{}=,. ax")),
    st.text(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(KEYS, inner, max_size=3),
        st.lists(st.dictionaries(KEYS, inner, max_size=3), max_size=3),
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)


@given(document=DOCUMENTS, rng=st.randoms(use_true_random=False))
def test_each_path_of_any_document_in_any_spelling_stands_at_its_key(document, rng):
    writer = Writer(rng)
    writer.table((), (), document)
    source = parse_source(writer.text)
    assert source.data == document
    for path in paths(document):
        before = writer.text[: writer.offsets.get(path, 0)].split("\n")
        assert source.place(path) == (len(before), len(before[-1]) + 1), path


# Refusals


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "f: is empty"),
        (" \r\n\t\n", "f: is empty"),
        ("# a\n", "f: has nothing but comments"),
        ("a = \0", "f:1:5: a zero byte"),
        ("a = '\ud800'", "f:1:6: half of a surrogate pair"),
        ("a = hello", "f:1:5: expected a value: text needs quotes"),
        ("a = 1\nb: 2\n", "f:2:2: expected '=' after the key"),
        ("a = [1 2]", "f:1:8: expected ',' or ']'"),
        ("a = 1 b = 2", "f:1:7: expected the end of the line"),
        ('a = "C:\\x"', "f:1:10: a backslash in double quotes"),
        ("a = 2025-02-30", "f:1:5: Invalid date or datetime"),
        (
            "a = 1\n\nb = 1\n [x]\nc = 1\nc = [\n1]\n",
            "f:6:1: x.c: this name already has a value, since line 5",
        ),
        ("a = {b = 1, b = 2}", "f:1:13: a.b: this name already has a value, since line 1"),
        ("[[n]]\n[[n]]\n'x y'=1\n'x y'=2", 'f:4:1: n[1]."x y": this name already has a value, since line 3'),
        ("[a]\n[a]\n", "f:2:3: this table is declared twice"),
        ("a = 1\n[a.b]\n", "f:2:5: this name already has a value"),
        ("a = {}\na.b = 1\n", "f:2:8: this table is already complete"),
        ("a = 1\nb = 'x\nc = 2\n", "f:2:5: the text whose quotes open here is never closed"),
        ('a = 1\nb = """x""\nc = ""\n', "f:2:5: the text whose quotes open here is never closed"),
        ("b = '''x\n'y'\n", "f:1:5: the text whose quotes open here is never closed"),
        ('a = hello\nb = "x', "f:1:5: expected a value"),
        ("a = 1\nb = [1,\n  2\n", "f:3:4: expected ',' or ']' in this array; the file seems cut off"),
        ("a = 1\nb", "f:2:2: expected '=' after the key; the file seems cut off"),
        ("a = 1\n[ta", "f:2:4: Expected ']' at the end of a table declaration; the file seems cut off"),
        ("# 1e999\ns = '1e999'\na = [0, 1e999]", "f:3:9: an exponent beyond 400"),
        ("a = 1e-999999999999999999999999", "f:1:5: an exponent beyond 400"),
        ("a = 1" + "0" * 5000, "f:1:5: a word or number of 5001 characters"),
        ("a = 0x" + "f" * 5000, "f:1:5: a word or number of 5002 characters"),
        ("\na = " + "[" * 5000, f"f:2:{5 + MAX_DEPTH}: nested more than"),
        ("a = " + "[" * 200 + "]" * 200, f"nested more than {MAX_DEPTH} levels deep"),
        ("a = " + "{a = " * 5000, f"nested more than {MAX_DEPTH} levels deep"),
        ("a" + ".a" * 5000 + " = 1", f"f:1:{2 + 2 * MAX_DEPTH}: more than {MAX_DEPTH} dots in one key"),
    ],
)
def test_a_refusal_says_where_and_what_in_one_line(text, words):
    message = refusal(text)
    assert words in message
    assert "\n" not in message and len(message) < 300


def test_64_levels_are_read_and_65_are_not():
    def nested(levels):
        return "a = " + "[" * (levels - 1) + "1" + "]" * (levels - 1)

    parse_source(nested(MAX_DEPTH))
    assert "levels deep" in refusal(nested(MAX_DEPTH + 1))


def test_many_dots_outside_keys_are_fine():
    source = parse_source("a = [" + "1.5, " * 200 + "]\nb = '" + "x." * 1000 + "'")
    assert len(source.data["a"]) == 200


# Files


def file_refusal(path) -> str:
    with pytest.raises(BadInput) as caught:
        read_source(path)
    return str(caught.value)


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path):
    for raw in (b"a = 1\r\nb = 2", b"\xef\xbb\xbfa = 1\r\nb = 2"):
        path = tmp_path / "s.toml"
        path.write_bytes(raw)
        source = read_source(path)
        assert (source.file, source.data) == (str(path), {"a": 1, "b": 2})
        assert source.sha256 == hashlib.sha256(raw).hexdigest()
        assert (source.place(["a"]), source.place(["b"])) == ((1, 1), (2, 1))


def test_the_file_is_named_as_the_user_gave_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text("a = 1")
    assert read_source("./s.toml").file == "./s.toml"
    assert file_refusal("./t.toml") == "./t.toml: no such file; did you mean 's.toml'?"


def test_a_missing_file_brings_a_suggestion(tmp_path):
    (tmp_path / "october-2025.toml").write_text("a = 1")
    (tmp_path / "x.toml").write_text("a = 1")
    assert file_refusal(tmp_path / "octobre-2025.toml").endswith("; did you mean 'october-2025.toml'?")
    assert file_refusal(tmp_path / "x").endswith("no such file; did you mean 'x.toml'?")
    assert file_refusal(tmp_path / "zzz").endswith("zzz: no such file")
    assert "there is no directory" in file_refusal(tmp_path / "none" / "x.toml")
    assert "there is no directory" in file_refusal(tmp_path / "x.toml" / "x.toml")


def test_a_directory_is_refused_with_a_file_in_it(tmp_path):
    assert file_refusal(tmp_path) == f"{tmp_path}: is a directory, not a file"
    (tmp_path / "x.toml").write_text("a = 1")
    assert str(tmp_path / "x.toml") in file_refusal(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a user who may not read all")
def test_an_unreadable_file_is_refused(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text("a = 1")
    path.chmod(0)
    assert "check its permissions" in file_refusal(path)


@pytest.mark.parametrize(("name", "words"), [("a\0b", "is not a file name"), ("x" * 5000, "cannot be read: ")])
def test_an_impossible_file_name_is_refused(name, words):
    assert words in file_refusal(name)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"a = 1\nb = 'caf\xe9'\n", ":2:9: byte 0xe9 is not UTF-8"),
        (b"\xef\xbb\xbfa = '\xff'", ":1:6: byte 0xff is not UTF-8"),
        ("a = 1".encode("utf-16"), ":1:1: is UTF-16; save it as UTF-8"),
        ("a = 1".encode("utf-16-le"), ":1:2: a zero byte"),
        (b"# x\n" * (MAX_BYTES // 4) + b"#", ": is larger than 16 MiB"),
    ],
)
def test_a_file_that_is_not_text_is_refused(tmp_path, raw, words):
    path = tmp_path / "s.toml"
    path.write_bytes(raw)
    assert words in file_refusal(path)


# Anything at all

HOSTILE = st.text(st.sampled_from("[]{}\"'=.,#\\\n\r\t ab19_-+:TZeuUx\0\x1fé\u2028"), max_size=60)


def answer(text: str) -> None:
    """Require a source with a place for each path, or a refusal with a place in the text."""
    try:
        source = parse_source(text, "f")
    except BadInput as error:
        for problem in error.problems:
            lines = text.removeprefix("\ufeff").split("\n")
            assert problem.line == 0 or problem.column <= len(lines[problem.line - 1]) + 1
    else:
        for path in paths(source.data):
            assert source._offsets.get(path) is not None, path


@given(HOSTILE | st.text())
def test_any_text_is_a_source_or_bad_input(text):
    answer(text)


@given(st.lists(st.tuples(st.integers(0, len(DOCUMENT)), st.integers(0, 40), HOSTILE), min_size=1, max_size=3))
def test_any_damage_to_a_document_leaves_a_source_or_bad_input(edits):
    text = DOCUMENT
    for start, length, replacement in edits:
        text = text[:start] + replacement + text[start + length :]
    answer(text)


def test_a_document_cut_anywhere_is_a_source_or_bad_input():
    for end in range(len(DOCUMENT)):
        answer(DOCUMENT[:end])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_source_or_bad_input(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(raw)
    try:
        read_source(path)
    except BadInput as error:
        assert error.problems


@pytest.mark.parametrize(
    "unit",
    [
        "[",
        "]",
        '"',
        "'",
        "a.",
        "a = [",
        "{",
        "a={",
        "'''",
        '"""',
        '\\"',
        "[[a]",
        "\n[",
        "a ",
        "a=1\n",
        "9",
        '"\n',
    ],
)
@pytest.mark.parametrize("start", ["", "a = ", 'a = """'])
def test_a_megabyte_of_garbage_is_refused(start, unit):
    """A scan that is quadratic would take minutes for each, and stall the tests."""
    assert refusal(start + unit * (2**20 // len(unit)))


def test_random_bytes_are_refused_soon(tmp_path):
    path = tmp_path / "s.toml"
    path.write_bytes(random.Random(1).randbytes(2**20))
    assert "is not UTF-8" in file_refusal(path)
