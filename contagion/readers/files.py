"""A researcher's own exposure file, in whatever of the usual forms it is, as one plain result.

`read_exposures` takes the file and what the file cannot say itself (which way a matrix is to be read, how a matrix is
to be made from totals) and returns `Exposures`: names, ``owes[debtor, creditor]``, columns by node, the unit and the
provenance. What is wrong with a file is said with its line, all at once, and nothing is guessed.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from contagion.errors import BadInput, Problem
from contagion.readers.edges import read_edges
from contagion.readers.exposures import NODE_COLUMNS, Exposures, read_nodes
from contagion.readers.graphs import SUFFIXES, read_graph
from contagion.readers.marginals import read_marginals
from contagion.readers.matrices import read_matrix

COLUMNS = ("debtor", "creditor", "bank", "asset", "amount", "name", *NODE_COLUMNS)
"""Our names of the columns that a file may call otherwise."""


def read_exposures(
    path: str | os.PathLike[str],
    *,
    orientation: str = "",
    nodes: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str] | None = None,
    reconstruct: str = "",
    seed: int = 0,
    unit: str = "",
) -> Exposures:
    """Return the exposures in a file.

    A CSV file is an edge list; with an orientation it is a square matrix, and with `reconstruct`, which is
    ``'maximum-entropy'`` or ``'minimum-density'``, it is totals by bank. GraphML, GEXF and node-link JSON, by their
    suffix, need an orientation: ``'asset'`` where a row, or an edge's source, has lent to the column or target,
    ``'liability'`` where it owes it. nodes : a CSV file of nodes, whose order is then that of the result; columns : our
    name of a column -> its title in the file; unit : of the amounts. BadInput names every problem with its line.
    """
    file = os.fspath(path)
    if reconstruct and (orientation or nodes):
        what = "totals have no orientation and are their own file of nodes; expected one of these options alone"
        raise BadInput([Problem(file, 0, 0, "", what)])
    is_graph = Path(file).suffix.lower() in SUFFIXES
    _refuse_unused(file, columns or {}, is_graph, bool(nodes), bool(reconstruct), bool(orientation))
    if is_graph:
        if reconstruct or not orientation:
            what = "a graph does not say whether an edge goes to the debtor or to the creditor"
            raise BadInput([Problem(file, 0, 0, "", f"{what}; expected an orientation, asset or liability")])
        own = read_nodes(os.fspath(nodes), columns) if nodes else None
        return read_graph(file, orientation, columns=columns, nodes=own, unit=unit)
    if reconstruct:
        return read_marginals(file, reconstruct, seed=seed, columns=columns, unit=unit)
    table = read_nodes(os.fspath(nodes), columns) if nodes else None
    if orientation:
        return read_matrix(file, orientation, nodes=table, unit=unit)
    return read_edges(file, columns=columns, nodes=table, unit=unit)


def _refuse_unused(
    file: str, columns: Mapping[str, str], graph: bool, nodes: bool, totals: bool, oriented: bool
) -> None:
    """Refuse titles for columns that no file here has: what was meant by them would be left out unseen."""
    used = {"name", *NODE_COLUMNS} if nodes or totals or graph else set()
    if graph:
        used.add("amount")
    elif not totals and not oriented:
        used |= {"debtor", "creditor", "amount"}
    if unused := [key for key in columns if key not in used]:
        what = f"a title for {unused[0]!r}, which is read from none of the files here"
        raise BadInput([Problem(file, 0, 0, "", f"{what}; leave it out, or is a file of nodes missing?")])
