"""Edge lists: what is read is what was written, and whatever is wrong is said with its line."""

import csv
import io
import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contagion.errors import BadInput
from contagion.readers import sheet
from contagion.readers.edges import read_edges
from contagion.readers.exposures import read_nodes
from contagion.readers.words import MAX_PROBLEMS

GOOD = "debtor,creditor,amount\nA,B,5\nB,C,2.5\nC,A,1e3\n"
SHARED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(folder: Path, content: str | bytes, name: str = "e.csv") -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def complaints(folder: Path, content: str | bytes, columns: Mapping[str, str] | None = None) -> list[str]:
    path = written(folder, content)
    with pytest.raises(BadInput) as caught:
        read_edges(path, columns=columns)
    return [str(problem).removeprefix(str(folder)).lstrip("/") for problem in caught.value.problems]


def test_a_row_says_what_the_debtor_owes_the_creditor(tmp_path: Path) -> None:
    found = read_edges(written(tmp_path, GOOD), unit="EUR m")
    assert found.names == ("A", "B", "C")
    assert found.owes.toarray().tolist() == [[0, 5, 0], [0, 0, 2.5], [1000, 0, 0]]
    assert (found.unit, found.reconstructed) == ("EUR m", "")
    (origin,) = found.provenance
    assert (origin.form, origin.rows, dict(origin.dropped), origin.unread) == ("edge list", 3, {}, ())
    assert len(origin.sha256) == 64


def test_columns_may_have_other_titles_and_another_order_and_others_are_named_as_not_read(tmp_path: Path) -> None:
    path = written(tmp_path, "Value,Lender,year,Borrower\n5,B,2020,A\n")
    found = read_edges(path, columns={"debtor": "Borrower", "creditor": "Lender", "amount": "Value"})
    assert found.owes.toarray().tolist() == [[0, 5], [0, 0]]
    assert found.provenance[0].unread == ("year",)


def test_a_number_is_a_name_and_no_formula(tmp_path: Path) -> None:
    assert read_edges(written(tmp_path, "debtor,creditor,amount\n-1,2.5,3\n")).names == ("-1", "2.5")


def test_a_column_of_nodes_that_was_named_must_be_there(tmp_path: Path) -> None:
    path = written(tmp_path, "name,cash,Externes\nA,1,2\nB,2,3\n", "n.csv")
    assert read_nodes(path, {"external_assets": "Externes"}).columns["external_assets"].tolist() == [2, 3]
    with pytest.raises(BadInput, match="there is no column 'Extern'; is 'Externes' meant to be it"):
        read_nodes(path, {"external_assets": "Extern", "amount": "Value"})


def test_amounts_of_nothing_are_dropped_and_counted(tmp_path: Path) -> None:
    found = read_edges(written(tmp_path, GOOD + "B,A,0\nA,C,0.0\n"))
    assert found.owes.nnz == 3
    assert found.provenance[0].dropped == {"the amount is 0": 2}
    assert found.provenance[0].rows == 5


def test_a_node_file_decides_who_there_is_and_in_which_order(tmp_path: Path) -> None:
    nodes = read_nodes(written(tmp_path, "name,equity,cash\nC,-3,1\nA,1,2\nB,2,3\nD,4,5\n", "n.csv"))
    found = read_edges(written(tmp_path, GOOD), nodes=nodes)
    assert found.names == ("C", "A", "B", "D")
    assert found.owes.toarray()[1].tolist() == [0, 0, 5, 0]
    assert found.columns["equity"].tolist() == [-3, 1, 2, 4]
    assert [part.form for part in found.provenance] == ["edge list", "nodes"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace("\n", "\n\n").encode(),
        b"\n\n" + GOOD.encode(),
        GOOD.replace(",", " , ").encode(),
        GOOD.replace("A", '"A"').encode(),
        GOOD.rstrip("\n").encode(),
    ],
    ids=[
        "byte order mark",
        "Windows lines",
        "empty lines",
        "empty lines before",
        "blanks",
        "quotes",
        "no last newline",
    ],
)
def test_the_same_facts_written_otherwise_are_the_same_exposures(content: bytes, tmp_path: Path) -> None:
    found = read_edges(written(tmp_path, content))
    assert (found.names, found.owes.toarray().tolist()) == (("A", "B", "C"), [[0, 5, 0], [0, 0, 2.5], [1000, 0, 0]])


SINGLE = {
    "text for a number": ("B,C,x", "e.csv:3: amount: 'x' is not a number; expected one such as 1250.5; is it another"),
    "comma before decimals": ('B,C,"2,5"', "e.csv:3: amount: '2,5' is not a number; expected a point before"),
    "thousands": ('B,C,"1,250.5"', "e.csv:3: amount: '1,250.5' is not a number; expected a point before"),
    "not a number": ("B,C,NaN", "e.csv:3: amount: 'NaN' is not a number; expected a finite one"),
    "infinite": ("B,C,-inf", "e.csv:3: amount: '-inf' is not a number; expected a finite one"),
    "overflow": ("B,C,1e999", "e.csv:3: amount: '1e999' is beyond what a double can hold"),
    "absurd": ("B,C,1e31", "e.csv:3: amount: 1e+31 is not believed; expected at most 1e+30"),
    "hexadecimal": ("B,C,0x10", "e.csv:3: amount: '0x10' is not a number"),
    "formula for a number": ("B,C,=A1", "e.csv:3: amount: '=A1' is a formula; expected the number itself"),
    "empty amount": ("B,C,", "e.csv:3: amount: is empty; expected a number; write 0"),
    "negative": ("B,C,-1", "e.csv:3: amount: -1 is below 0; expected 0 or more; is its direction"),
    "itself": ("B,B,2", "e.csv:3: creditor: 'B' owes itself"),
    "second row": ("A,B,2", "e.csv:3: a second row where 'A' owes 'B', after line 2"),
    "no debtor": (",C,2", "e.csv:3: debtor: is empty; expected a name"),
    "formula": ("=B,C,2", "e.csv:3: debtor: '=B' begins like a formula; expected a name"),
    "plus": ("+B,C,2", "e.csv:3: debtor: '+B' begins like a formula"),
    "minus": ("-1+A2,C,2", "e.csv:3: debtor: '-1+A2' begins like a formula"),
    "at": ("B,@SUM(A1),2", "e.csv:3: creditor: '@SUM(A1)' begins like a formula"),
    "long name": (f"{'B' * 201},C,2", "is no name; expected 1 to 200 printable characters"),
    "control character": ("B\x07,C,2", "is no name; expected 1 to 200 printable characters"),
    "row cut off": ("B,C", "e.csv:3: has 2 fields; expected 3 as in the header; is the row cut off?"),
    "row too long": ("B,C,2,5", "e.csv:3: has 4 fields; expected 3 as in the header; quote what has commas"),
    "open quote": ('B,"C,2', "e.csv:3: is no row of a CSV file"),
}


@pytest.mark.parametrize("case", SINGLE)
def test_a_mistake_is_refused_with_its_line_and_what_was_expected(case: str, tmp_path: Path) -> None:
    row, expected = SINGLE[case]
    found = complaints(tmp_path, GOOD.replace("B,C,2.5", row))
    assert any(expected in text for text in found), found
    assert all(text.startswith("e.csv:") for text in found)


FILES = {
    "empty": (b"", "is empty"),
    "lines without anything": (b"\n\n\n", "is empty"),
    "header alone": (b"debtor,creditor,amount\n", "a header and nothing below it"),
    "no header": (b"A,B,5\n", "there is no column 'debtor'; the header has A, B, 5"),
    "misspelt title": (b"debtr,creditor,amount\nA,B,5\n", "e.csv:1: there is no column 'debtor'; is 'debtr' meant"),
    "semicolons": (
        b"debtor;creditor;amount\nA;B;5\n",
        "e.csv:1: the header has ';' between its titles; expected commas",
    ),
    "title twice": (b"debtor,creditor,amount,amount\nA,B,5,5\n", "e.csv:1: two columns are called 'amount'"),
    "no header and a number in it": (
        b"A,B,5\nB,C,2\n",
        "e.csv:1: there is no column 'amount'; the header has A, B, 5; is the line of titles missing?",
    ),
    "a matrix": (b",A,B,C,D\nA,0,1,1,1\n", "a square matrix needs its orientation"),
    "a small matrix": (
        b"bank,A,B\nA,0,1\nB,2,0\n",
        "e.csv:1: there is no column 'amount'; the header has bank, A, B; "
        "map it with its own name where it has another; a square matrix needs its orientation",
    ),
    "Latin-1": ("debtor,creditor,amount\nMünchen,B,5\n".encode("latin-1"), "e.csv:2:2: byte 0xfc is not UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), "UTF-16; save it as UTF-8"),
    "zero byte": (GOOD.encode() + b"\0", "a zero byte"),
    "garbage": (random.Random(7).randbytes(2**16), "is not UTF-8"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_edge_list_is_refused(case: str, tmp_path: Path) -> None:
    content, expected = FILES[case]
    found = complaints(tmp_path, content)
    assert any(expected in text for text in found), found


def test_what_is_no_name_is_not_also_called_unknown(tmp_path: Path) -> None:
    nodes = read_nodes(written(tmp_path, "name\nA\nB\n", "n.csv"))
    with pytest.raises(BadInput) as refused:
        read_edges(written(tmp_path, "debtor,creditor,amount\n=cmd|x,B,1\n"), nodes=nodes)
    assert [problem.what.split(";")[0] for problem in refused.value.problems] == ["'=cmd|x' begins like a formula"]


def test_a_cell_without_end_is_refused_on_its_line(tmp_path: Path) -> None:
    found = complaints(tmp_path, f"debtor,creditor,amount\nA,B,1\n{'A' * 200_000},B,1\n")
    assert [text[:8] for text in found] == ["e.csv:3:"] * 2


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    written(tmp_path, GOOD, "exposures.csv")
    with pytest.raises(BadInput, match=r"no such file; did you mean 'exposures\.csv'\?"):
        read_edges(str(tmp_path / "exposure.csv"))
    with pytest.raises(BadInput, match="is a directory"):
        read_edges(str(tmp_path))


def test_every_problem_is_reported_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    rows = ["A,B,x", "A,A,1", "A", "=B,C,1", '"C\nD",A,nan', "B,A,-1", "B,A,2"]
    found = complaints(tmp_path, "debtor,creditor,amount\n" + "\n\n".join(rows))
    lines = [int(text.split(":")[1]) for text in found]
    assert lines == [2, 4, 6, 8, 10, 10, 13, 15]


def test_of_very_many_problems_the_first_are_shown_and_the_rest_are_counted(tmp_path: Path) -> None:
    found = complaints(tmp_path, "debtor,creditor,amount\n" + "".join(f"a{n},b{n},x\n" for n in range(500)))
    assert len(found) == MAX_PROBLEMS + 1
    assert found[0].startswith("e.csv:2:")
    assert found[-1] == f"e.csv: {500 - MAX_PROBLEMS} more problems like these"


def test_unknown_names_are_refused_with_the_nearest_one(tmp_path: Path) -> None:
    nodes = read_nodes(written(tmp_path, "name\nAlpha\nBeta\n", "n.csv"))
    with pytest.raises(BadInput, match=r"e\.csv:2: creditor: there is no node 'Bta'; did you mean 'Beta'\?; exp"):
        read_edges(written(tmp_path, "debtor,creditor,amount\nAlpha,Bta,5\n"), nodes=nodes)


def test_a_node_file_is_refused_for_a_second_row_a_misspelt_column_and_a_negative_debt(tmp_path: Path) -> None:
    path = written(tmp_path, "name,equty,external_liabilities,cash\nA,1,-2,x\nA,2,3,4\n", "n.csv")
    with pytest.raises(BadInput) as caught:
        read_nodes(path)
    text = str(caught.value)
    assert "n.csv:1: unknown column 'equty'; did you mean 'equity'?" in text
    assert "n.csv:2: cash: 'x' is not a number" in text
    assert "n.csv:2: external_liabilities: -2 is below 0" in text
    assert "n.csv:3: name: a second row for 'A', after line 2" in text


def test_the_bad_row_of_a_file_of_many_blocks_is_found(tmp_path: Path) -> None:
    rows = [f"{'a' * 190}{number},{'b' * 190}{number},{number + 1}" for number in range(15_000)]
    assert read_edges(written(tmp_path, "debtor,creditor,amount\n" + "\n".join(rows))).owes.sum() == 15_000 * 15_001 / 2
    rows[14_000] = "a,b,five"
    found = complaints(tmp_path, "debtor,creditor,amount\n" + "\n".join(rows))
    assert [text.split(":")[1] for text in found] == ["14002"]


@pytest.mark.parametrize(
    ("limit", "most", "expected"),
    [
        ("MAX_BYTES", 20, "is larger than"),
        ("MAX_ROWS", 2, "has 3 rows; at most 2 are read"),
        ("MAX_NAMES", 2, "debtor: 3 different names; at most 2 are read; is it another column?"),
        ("MAX_COLUMNS", 2, "e.csv:1: 3 columns; at most 2 are read"),
    ],
)
def test_absurd_sizes_are_refused(
    limit: str, most: int, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet, limit, most)
    found = complaints(tmp_path, GOOD)
    assert any(expected in text for text in found), found


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8).filter(
    lambda text: text[0] not in "=+-@" and text.isprintable() and text == text.strip()
)


@SHARED
@given(
    st.dictionaries(
        st.tuples(NAMES, NAMES).filter(lambda pair: pair[0] != pair[1]),
        st.floats(0, 1e30, allow_nan=False, exclude_min=True),
        min_size=1,
        max_size=20,
    )
)
def test_whatever_the_csv_module_writes_is_read_back_exactly(
    tmp_path: Path, owed: dict[tuple[str, str], float]
) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([("debtor", "creditor", "amount"), *((a, b, x) for (a, b), x in owed.items())])
    found = read_edges(written(tmp_path, stream.getvalue()))
    entries = found.owes.tocoo()
    ends = zip(entries.row.tolist(), entries.col.tolist(), entries.data.tolist(), strict=True)
    assert {(found.names[i], found.names[j]): x for i, j, x in ends} == owed
    assert np.all(found.owes.diagonal() == 0)


@SHARED
@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from([*',"\n\r=x\0-.\t ', "é", "1e9", "nan"])), max_size=6))
def test_a_damaged_file_gives_exposures_or_complaints_and_nothing_else(
    tmp_path: Path, damage: list[tuple[int, str]]
) -> None:
    text = GOOD + "Bank of A,B,7\n"
    for place, character in damage:
        text = text[:place] + character + text[place + 1 :]
    try:
        found = read_edges(written(tmp_path, text))
    except BadInput as error:
        assert all(problem.what for problem in error.problems)
    else:
        assert np.isfinite(found.owes.data).all() and (found.owes.data > 0).all()
