"""A square matrix in a CSV file: names above and beside it, and what a row's entry means stated by the reader."""

import numpy as np
from scipy import sparse

from contagion.errors import closest
from contagion.readers.exposures import Exposures, NodeTable, oriented
from contagion.readers.sheet import Floats, Sheet, unique_names
from contagion.readers.words import MAX_PROBLEMS, not_a_name

MAX_BANKS = 5_000
"""Rows of a matrix; an edge list holds more."""


def read_matrix(path: str, orientation: str, *, nodes: NodeTable | None = None, unit: str = "") -> Exposures:
    """Return the exposures of a square matrix whose header and first column have the names.

    orientation : ``'asset'`` where a row holds claims on the columns, ``'liability'`` where it owes them; there is no
    default, for nothing in a matrix tells. Rows may stand in another order than columns. BadInput for a cell that is
    no amount, for names that differ between rows and columns, and for a diagonal that is not zero.
    """
    by_debtor = oriented(orientation)
    sheet = Sheet(path)
    corner, *across = sheet.header
    if len(across) > MAX_BANKS:
        what = f"a matrix of {len(across):,} columns; expected at most {MAX_BANKS:,}; write it as an edge list"
        sheet.complain(-1, "", what)
        sheet.finish()
    for title in across:
        if fault := not_a_name(title):
            sheet.complain(-1, "", f"column title {fault}")
    down = unique_names(sheet, corner)
    _refuse_strangers(sheet, across, down, nodes)
    cells = np.array([sheet.numbers(title, least=0) for title in across]).reshape(len(across), sheet.rows).T
    place = {name: number for number, name in enumerate(down)}
    for title in across:
        row = place.get(title)
        if row is not None and cells[row, across.index(title)] != 0:
            sheet.complain(row, title, f"{title!r} owes itself; expected 0 on the diagonal; write 0")
    sheet.finish()
    names = nodes.names if nodes else tuple(across)
    owes = _placed(cells, [names.index(name) for name in down], [names.index(name) for name in across], len(names))
    own = sheet.provenance(f"{orientation} matrix")
    provenance = (own, nodes.provenance) if nodes else (own,)
    owes = owes if by_debtor else sparse.csr_array(owes.T)
    return Exposures(names, owes, nodes.columns if nodes else {}, unit, provenance)


def _refuse_strangers(sheet: Sheet, across: list[str], down: list[str], nodes: NodeTable | None) -> None:
    """Note names that stand on one side alone, or not among the nodes."""
    above, beside = set(across), set(down)
    strange = [row for row, name in enumerate(down) if name not in above]
    for row in strange[:MAX_PROBLEMS]:
        what = f"row {down[row][:60]!r} has no column of its own{closest(down[row], above)}"
        sheet.complain(row, "", f"{what}; expected the same names above and beside the matrix")
    for title in [title for title in across if title not in beside][:MAX_PROBLEMS]:
        what = f"column {title[:60]!r} has no row of its own{closest(title, beside)}"
        sheet.complain(-1, "", f"{what}; expected the same names above and beside the matrix")
    known = set(nodes.names) if nodes else above
    for title in [title for title in across if title not in known][:MAX_PROBLEMS]:
        what = f"there is no node {title[:60]!r}{closest(title, known)}"
        sheet.complain(-1, "", f"{what}; expected a name of the node file")


def _placed(cells: Floats, rows: list[int], columns: list[int], size: int) -> sparse.csr_array:
    """Return the cells as a matrix of all nodes."""
    kept = sparse.coo_array(cells)
    found = sparse.csr_array((kept.data, (np.array(rows)[kept.row], np.array(columns)[kept.col])), shape=(size, size))
    found.eliminate_zeros()
    return found
