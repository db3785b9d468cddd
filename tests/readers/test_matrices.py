"""Square matrices: the same file is two different networks, so its orientation is never guessed."""

from pathlib import Path

import pytest

from contagion.errors import BadInput
from contagion.readers.exposures import read_nodes
from contagion.readers.files import read_exposures
from contagion.readers.matrices import MAX_BANKS, read_matrix

SQUARE = "bank,A,B,C\nA,0,5,0\nB,0,0,2.5\nC,1000,0,0\n"


def written(folder: Path, content: str, name: str = "m.csv") -> str:
    (folder / name).write_text(content, encoding="utf-8")
    return str(folder / name)


def complaints(folder: Path, content: str) -> str:
    with pytest.raises(BadInput) as caught:
        read_matrix(written(folder, content), "liability")
    return str(caught.value)


def test_a_row_of_liabilities_owes_and_a_row_of_assets_is_owed(tmp_path: Path) -> None:
    path = written(tmp_path, SQUARE)
    owes = read_matrix(path, "liability").owes.toarray()
    assert owes.tolist() == [[0, 5, 0], [0, 0, 2.5], [1000, 0, 0]]
    assert read_matrix(path, "asset").owes.toarray().tolist() == owes.T.tolist()
    assert read_exposures(path, orientation="asset").provenance[0].form == "asset matrix"


@pytest.mark.parametrize("orientation", ["", "assets", "row"])
def test_no_orientation_is_no_matrix(orientation: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="orientation must be 'asset'"):
        read_matrix(written(tmp_path, SQUARE), orientation)


def test_rows_may_stand_in_another_order_than_columns(tmp_path: Path) -> None:
    shuffled = "bank,A,B,C\nC,1000,0,0\nA,0,5,0\nB,0,0,2.5\n"
    owes = read_matrix(written(tmp_path, shuffled), "liability").owes.toarray()
    assert owes.tolist() == [[0, 5, 0], [0, 0, 2.5], [1000, 0, 0]]


def test_a_node_file_decides_on_the_order(tmp_path: Path) -> None:
    nodes = read_nodes(written(tmp_path, "name,cash\nD,1\nC,1\nB,1\nA,1\n", "n.csv"))
    found = read_matrix(written(tmp_path, SQUARE), "liability", nodes=nodes)
    assert found.names == ("D", "C", "B", "A")
    assert found.owes.toarray()[3].tolist() == [0, 0, 5, 0]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (SQUARE.replace("A,0,5", "A,3,5"), "m.csv:2: A: 'A' owes itself; expected 0 on the diagonal"),
        (SQUARE.replace("2.5", "-2.5"), "m.csv:3: C: -2.5 is below 0"),
        (SQUARE.replace("2.5", ""), "m.csv:3: C: is empty; expected a number"),
        (SQUARE.replace("\nC,", "\nK,"), "m.csv:4: row 'K' has no column of its own"),
        (SQUARE.replace("\nC,", "\nK,"), "m.csv:1: column 'C' has no row of its own"),
        (SQUARE.replace("\nC,", "\nB,"), "m.csv:4: bank: a second row for 'B', after line 3"),
        (SQUARE.replace("B,C\n", "B,=C\n"), "m.csv:1: column title '=C' begins like a formula"),
        (SQUARE.replace(",1000,0,0", ",1000"), "m.csv:4: has 2 fields; expected 4"),
        ("bank,A,B\nA,0,1\n", "m.csv:1: column 'B' has no row of its own"),
    ],
)
def test_what_is_no_square_matrix_of_debts_is_refused(content: str, expected: str, tmp_path: Path) -> None:
    assert expected in complaints(tmp_path, content)


def test_a_matrix_of_too_many_banks_is_refused_for_an_edge_list(tmp_path: Path) -> None:
    titles = ",".join(f"b{number}" for number in range(MAX_BANKS + 1))
    assert "expected at most 5,000; write it as an edge list" in complaints(tmp_path, f"bank,{titles}\n")
