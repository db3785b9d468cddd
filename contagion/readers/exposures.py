"""Who owes whom how much, whatever file it was in: the one result of all readers of exposures.

``owes[debtor, creditor]`` is what the debtor owes the creditor, so a row sums to what a bank owes in the network and
a column to what it has lent there; what creditors have lent, the exposures of the literature on default cascades,
is its transpose. Where the matrix was not observed but made to fit its totals, the provenance says so.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from contagion.errors import closest
from contagion.readers.sheet import Floats, Ints, Provenance, Sheet, unique_names

ORIENTATIONS = ("asset", "liability")
"""What a row's entry, or an edge from a node, is to that node: a claim on the other, or a debt to it."""

NODE_COLUMNS: Mapping[str, float] = {
    "cash": 0, "external_assets": 0, "external_liabilities": 0, "equity": -np.inf,
    "interbank_assets": 0, "interbank_liabilities": 0, "failure_cost": 0, "loans": 0,
}  # fmt: skip
"""What a node may state, with the least that it may be."""


class Exposures(NamedTuple):
    """Names in the order of the matrix, ``owes[debtor, creditor]``, columns by node, the unit and where it is from."""

    names: tuple[str, ...]
    owes: sparse.csr_array
    columns: Mapping[str, Floats]
    unit: str
    provenance: tuple[Provenance, ...]

    @property
    def reconstructed(self) -> str:
        """Return how the matrix was made up from its totals, empty where it was observed."""
        return next((part.reconstructed for part in self.provenance if part.reconstructed), "")

    @property
    def links(self) -> int:
        """Return how many exposures there are."""
        return int(self.owes.nnz)

    @property
    def total(self) -> float:
        """Return the sum of all exposures."""
        return float(self.owes.sum())


class NodeTable(NamedTuple):
    """The rows of a file of nodes: names, columns of numbers and where they are from."""

    names: tuple[str, ...]
    columns: Mapping[str, Floats]
    provenance: Provenance


def oriented(orientation: str) -> bool:
    """Return whether rows (or sources) are debtors; ValueError when the orientation is neither of the two."""
    if orientation not in ORIENTATIONS:
        raise ValueError(
            f"orientation must be 'asset' (a row holds claims on the columns) or 'liability' (a row owes the columns), "
            f"not {orientation!r}"
        )
    return orientation == "liability"


def matrix(size: int, debtors: Ints, creditors: Ints, amounts: Floats) -> sparse.csr_array:
    """Return the matrix ``owes[debtor, creditor]`` with sorted columns and without zeros."""
    return matrix_of((size, size), debtors, creditors, amounts)


def matrix_of(shape: tuple[int, int], rows: Ints, columns: Ints, amounts: Floats) -> sparse.csr_array:
    """Return a matrix with sorted columns and without zeros."""
    found = sparse.csr_array((amounts, (rows, columns)), shape=shape)
    found.eliminate_zeros()
    return found


def read_nodes(
    path: str,
    columns: Mapping[str, str] | None = None,
    needs: Sequence[str] = (),
    *,
    known: Mapping[str, float] = NODE_COLUMNS,
    form: str = "nodes",
) -> NodeTable:
    """Return the nodes of a CSV file: a column ``name`` and any of those `known`, of which those in `needs` must be.

    columns : our name of a column -> its title in the file, which then must be there; known : columns and the least
    that they may be; form : what the file is. BadInput names every problem.
    """
    sheet = Sheet(path, columns)
    mapped = [key for key in known if key in sheet.titles]
    if not sheet.require(dict.fromkeys(("name", *needs, *mapped))):
        sheet.finish()
    names = unique_names(sheet)
    found = {key: sheet.numbers(key, least=least) for key, least in known.items() if sheet.has(key)}
    for title in sheet.unread:
        near = closest(title, [key for key in known if not sheet.has(key)])
        if near:
            what = f"unknown column {title!r}{near}; expected {', '.join(known)}"
            sheet.complain(-1, "", f"{what}; rename it, or map it with its own name")
    sheet.finish()
    return NodeTable(tuple(names), found, sheet.provenance(form))
