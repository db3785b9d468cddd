"""An edge list: one CSV row a debtor, a creditor and an amount."""

from collections.abc import Mapping

import numpy as np

from contagion.errors import closest
from contagion.readers.exposures import Exposures, NodeTable, matrix
from contagion.readers.sheet import Ints, Names, Sheet, duplicates
from contagion.readers.words import MAX_PROBLEMS, NUMBER


def read_edges(
    path: str, *, columns: Mapping[str, str] | None = None, nodes: NodeTable | None = None, unit: str = ""
) -> Exposures:
    """Return the exposures of an edge list with the columns ``debtor``, ``creditor`` and ``amount``.

    columns : our name of a column -> its title in the file, where that is another; nodes : who there is, in the
    order of the result (else everybody who is named, sorted); unit : of the amounts, as text. A row of nothing is
    dropped and counted. BadInput for an amount that is no number, not finite or negative, a name that is none or that
    `nodes` does not have, a debt to oneself and a second row for a pair.
    """
    sheet = Sheet(path, columns)
    if not sheet.require(("debtor", "creditor", "amount"), hint=_likely(sheet.header)):
        sheet.finish()
    debtors, creditors = sheet.names("debtor"), sheet.names("creditor")
    amounts = sheet.numbers("amount", least=0)
    names = nodes.names if nodes else tuple(sorted(set(debtors.texts) | set(creditors.texts)))
    owing, owed = (_placed(sheet, key, ends, names) for key, ends in (("debtor", debtors), ("creditor", creditors)))
    sheet.complain_all(
        (owing == owed) & (owing >= 0),
        "creditor",
        lambda row: f"{names[owed[row]]!r} owes itself; expected two different names; remove the row",
    )
    _refuse_pairs(sheet, owing, owed, names)
    sheet.finish()
    empty = amounts == 0
    dropped = {"the amount is 0": int(empty.sum())} if empty.any() else {}
    own = sheet.provenance("edge list", dropped)
    owes = matrix(len(names), owing[~empty], owed[~empty], amounts[~empty])
    return Exposures(names, owes, nodes.columns if nodes else {}, unit, (own, nodes.provenance) if nodes else (own,))


def _likely(header: tuple[str, ...]) -> str:
    """Return what a header without our titles is likely to be."""
    if any(NUMBER.fullmatch(title) for title in header):
        return "; is the line of titles missing?"
    return "; map it with its own name where it has another; a square matrix needs its orientation"


def _placed(sheet: Sheet, key: str, ends: Names, names: tuple[str, ...]) -> Ints:
    """Return the place of each row's name; unknown ones are noted, but for those that are no names at all."""
    place = ends.among(names)
    if (place < 0).any():

        def unknown(row: int) -> str:
            text = ends.of(row)[:60]
            near = closest(text, names) if len(names) <= 10_000 else ""
            return f"there is no node {text!r}{near}; expected a name of the node file"

        sheet.complain_all(ends.unknown(place), key, unknown)
    return place


def _refuse_pairs(sheet: Sheet, owing: Ints, owed: Ints, names: tuple[str, ...]) -> None:
    """Note every row whose debtor and creditor have had a row before."""
    again, first = duplicates(owing, owed)
    known = owing[again] >= 0
    again, first = again[known & (owed[again] >= 0)], first[known & (owed[again] >= 0)]
    if not len(again):
        return
    order = np.argsort(again)
    again, first = again[order], first[order]
    lines = sheet.lines(first[:MAX_PROBLEMS].tolist())
    for row, before in zip(again[:MAX_PROBLEMS].tolist(), first[:MAX_PROBLEMS].tolist(), strict=True):
        pair = f"{names[owing[row]]!r} owes {names[owed[row]]!r}"
        what = f"a second row where {pair}, after line {lines[before]}; expected one a pair; add the amounts up"
        sheet.complain(row, "", what)
    sheet.complaints.more += len(again[MAX_PROBLEMS:])
