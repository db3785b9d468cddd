"""Who holds how much of what: banks and assets, the two sides of a fire sale.

An edge list has a row a bank, an asset and an amount (in money, at the prices before any shock); a matrix has the
banks beside it and the assets above. Banks may have a file of their own, as with exposures, and assets too.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import sparse

from contagion.errors import BadInput, Problem, closest
from contagion.readers.exposures import NodeTable, matrix_of, read_nodes
from contagion.readers.sheet import Floats, Ints, Names, Provenance, Sheet, duplicates, unique_names
from contagion.readers.words import MAX_PROBLEMS, not_a_name

Read = tuple[tuple[str, ...], tuple[str, ...], sparse.csr_array]
"""Banks, assets, amounts."""

ASSET_COLUMNS: Mapping[str, float] = {"depth": 0, "price_shock": 0}
"""What an asset may state, with the least that it may be."""


class Holdings(NamedTuple):
    """Names of banks and assets, ``amounts[bank, asset]``, columns of both, the unit and where it is all from."""

    names: tuple[str, ...]
    assets: tuple[str, ...]
    amounts: sparse.csr_array
    columns: Mapping[str, Floats]
    asset_columns: Mapping[str, Floats]
    unit: str
    provenance: tuple[Provenance, ...]

    @property
    def reconstructed(self) -> str:
        """Return nothing: holdings are not made from totals."""
        return ""

    @property
    def links(self) -> int:
        """Return how many holdings there are."""
        return int(self.amounts.nnz)

    @property
    def total(self) -> float:
        """Return what is held in all."""
        return float(self.amounts.sum())


def read_holdings(
    path: str | os.PathLike[str],
    *,
    orientation: str = "",
    nodes: str | os.PathLike[str] | None = None,
    assets: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str] | None = None,
    unit: str = "",
) -> Holdings:
    """Return the holdings in a CSV file: the columns ``bank``, ``asset`` and ``amount``.

    orientation : ``'asset'`` for a matrix instead, of which a row holds what is in the columns; nodes : a CSV file of
    banks, whose order is then that of the result; assets : one of assets, with ``name`` and any of `ASSET_COLUMNS`;
    columns : our name of a column -> its title in the file of holdings or of banks. BadInput names every problem.
    """
    file = os.fspath(path)
    if orientation not in ("", "asset"):
        what = "a row of a matrix of holdings holds what is in the columns; expected --orientation asset"
        raise BadInput([Problem(file, 0, 0, "", what)])
    own = {key: title for key, title in (columns or {}).items() if key in ("bank", "asset", "amount")}
    banks = {key: title for key, title in (columns or {}).items() if key not in own}
    if (orientation and own) or (banks and not nodes):
        unused = next(iter(own if orientation and own else banks))
        what = f"a title for {unused!r}, which is read from none of the files here"
        raise BadInput([Problem(file, 0, 0, "", f"{what}; leave it out, or is a file of nodes missing?")])
    table = read_nodes(os.fspath(nodes), banks) if nodes else None
    others = read_nodes(os.fspath(assets), known=ASSET_COLUMNS, form="assets") if assets else None
    sheet = Sheet(file, own)
    read = _matrix if orientation else _edges
    names, kinds, amounts = read(sheet, table, others)
    sheet.finish()
    form = "matrix of holdings" if orientation else "list of holdings"
    provenance = (sheet.provenance(form), *(part.provenance for part in (others, table) if part))
    known = others.columns if others else {}
    return Holdings(names, kinds, amounts, table.columns if table else {}, known, unit, provenance)


def _edges(sheet: Sheet, nodes: NodeTable | None, assets: NodeTable | None) -> Read:
    if not sheet.require(("bank", "asset", "amount"), hint="; a matrix of holdings needs --orientation asset"):
        sheet.finish()
    banks, kinds = sheet.names("bank"), sheet.names("asset")
    amounts = sheet.numbers("amount", least=0)
    above = nodes.names if nodes else tuple(sorted(set(banks.texts)))
    across = assets.names if assets else tuple(sorted(set(kinds.texts)))
    rows = _placed(sheet, "bank", banks, above)
    columns = _placed(sheet, "asset", kinds, across)
    again, first = duplicates(rows, columns)
    lines = sheet.lines(first[:MAX_PROBLEMS].tolist()) if len(again) else {}
    for row, before in zip(again[:MAX_PROBLEMS].tolist(), first[:MAX_PROBLEMS].tolist(), strict=True):
        what = f"a second row for {banks.of(row)!r} and {kinds.of(row)!r}, after line {lines[before]}"
        sheet.complain(row, "", f"{what}; expected one a pair; add the amounts up")
    sheet.finish()
    return above, across, matrix_of((len(above), len(across)), rows, columns, amounts)


def _matrix(sheet: Sheet, nodes: NodeTable | None, assets: NodeTable | None) -> Read:
    corner, *titles = sheet.header
    if not titles:
        sheet.complain(-1, "", "has one column; expected the banks beside a column for each asset")
        sheet.finish()
    for title in titles:
        if fault := not_a_name(title):
            sheet.complain(-1, "", f"column title {fault}")
    beside = unique_names(sheet, corner)
    above, across = nodes.names if nodes else tuple(beside), assets.names if assets else tuple(titles)
    column_of = {name: number for number, name in enumerate(across)}
    for title in [title for title in titles if title not in column_of][:MAX_PROBLEMS]:
        what = f"there is no asset {title[:60]!r}{closest(title, across)}; expected a name of the file of assets"
        sheet.complain(-1, "", what)
    place = {name: number for number, name in enumerate(above)}
    for row, name in enumerate(beside):
        if name not in place:
            what = f"there is no node {name[:60]!r}{closest(name, above)}; expected a name of the node file"
            sheet.complain(row, corner, what)
    cells = [sheet.numbers(title, least=0) for title in titles]
    sheet.finish()
    rows = np.tile([place[name] for name in beside], len(titles))
    columns = np.repeat([column_of[title] for title in titles], sheet.rows)
    return above, across, matrix_of((len(above), len(across)), rows, columns, np.concatenate(cells))


def _placed(sheet: Sheet, key: str, names: Names, known: tuple[str, ...]) -> Ints:
    """Return the place of each row's name; unknown ones are noted."""
    place = names.among(known)
    what = "node" if key == "bank" else "asset"

    def unknown(row: int) -> str:
        text = names.of(row)[:60]
        return f"there is no {what} {text!r}{closest(text, known)}; expected a name of the file of {what}s"

    if (place < 0).any():
        sheet.complain_all(names.unknown(place), key, unknown)
    return place
