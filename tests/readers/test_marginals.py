"""Totals by bank: the matrix is made up, and everything that comes of it says so."""

from pathlib import Path

import numpy as np
import pytest

from contagion.errors import BadInput
from contagion.readers.files import read_exposures
from contagion.readers.marginals import read_marginals

TOTALS = "name,interbank_assets,interbank_liabilities,equity\nA,2,3,1\nB,2,2,1\nC,2,1,1\n"


def written(folder: Path, content: str) -> str:
    (folder / "t.csv").write_text(content, encoding="utf-8")
    return str(folder / "t.csv")


@pytest.mark.parametrize(
    ("method", "said"), [("maximum-entropy", "maximum entropy"), ("minimum-density", "minimum density, seed 7")]
)
def test_exposures_from_totals_fit_them_and_are_marked(method: str, said: str, tmp_path: Path) -> None:
    found = read_exposures(written(tmp_path, TOTALS), reconstruct=method, seed=7)
    assert found.owes.sum(axis=1) == pytest.approx(np.array([3, 2, 1]))
    assert found.owes.sum(axis=0) == pytest.approx(np.array([2, 2, 2]))
    assert (found.reconstructed, found.provenance[0].form) == (said, "totals")
    assert found.columns["equity"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TOTALS.replace("C,2,1", "C,2,9"), r"t\.csv:1: what is owed, 14, is not what is lent, 6"),
        (TOTALS.replace("A,2,3", "A,4,5"), r"t\.csv:2: 'A' owes and has lent 9, more than the 8"),
        (TOTALS.replace("interbank_assets", "lent"), r"t\.csv:1: there is no column 'interbank_assets'"),
        (TOTALS.replace("B,2", "B,-2"), r"t\.csv:3: interbank_assets: -2 is below 0"),
    ],
)
def test_totals_that_no_matrix_has_are_refused_with_their_line(content: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=expected):
        read_marginals(written(tmp_path, content), "maximum-entropy")


def test_totals_are_their_own_nodes_and_have_no_orientation(tmp_path: Path) -> None:
    path = written(tmp_path, TOTALS)
    for option in ({"orientation": "asset"}, {"nodes": path}):
        with pytest.raises(BadInput, match="totals have no orientation"):
            read_exposures(path, reconstruct="maximum-entropy", **option)
    with pytest.raises(ValueError, match="a method is one of"):
        read_marginals(path, "guess")
