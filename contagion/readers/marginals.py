"""Only totals: what each bank owes and has lent in all, from which a matrix is made and marked as made."""

from collections.abc import Mapping

from contagion.finance.reconstruction import check, maximum_entropy, minimum_density
from contagion.readers.exposures import Exposures, read_nodes
from contagion.readers.matrices import MAX_BANKS
from contagion.readers.sheet import Sheet

METHODS = ("maximum-entropy", "minimum-density")
NEEDS = ("interbank_assets", "interbank_liabilities")


def read_marginals(
    path: str, method: str, *, seed: int = 0, columns: Mapping[str, str] | None = None, unit: str = ""
) -> Exposures:
    """Return exposures made from a CSV file of nodes with ``interbank_assets`` and ``interbank_liabilities``.

    method : one of `METHODS`; seed : of the minimum-density heuristic. The provenance says ``reconstructed``.
    BadInput for whatever is wrong with the file and for totals that no matrix has.
    """
    if method not in METHODS:
        raise ValueError(f"a method is one of {', '.join(METHODS)}, not {method!r}")
    nodes = read_nodes(path, columns, NEEDS)
    lent, owed = (nodes.columns[key] for key in NEEDS)
    what, bank = check(owed, lent)
    if not what and len(nodes.names) > MAX_BANKS:
        what = f"totals of {len(nodes.names):,} banks; at most {MAX_BANKS:,} are made into a matrix"
    if what:
        sheet = Sheet(path, columns)
        if bank < 0:
            sheet.complain(-1, "", f"{what}; add a row for whoever else lends and borrows, or scale one side")
        else:
            sheet.complain(bank, "", f"{nodes.names[bank]!r} {what}; expected less; is it the total of another group?")
        sheet.finish()
    if method == "maximum-entropy":
        made, how = maximum_entropy(owed, lent), "maximum entropy"
    else:
        made, how = minimum_density(owed, lent, seed=seed), f"minimum density, seed {seed}"
    own = nodes.provenance._replace(form="totals", reconstructed=how)
    return Exposures(nodes.names, made.owes, nodes.columns, unit, (own,))
