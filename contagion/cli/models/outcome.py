"""What a model of `clear` is, what it says, and what it reads off a file."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from contagion.errors import BadInput, Problem, closest

if TYPE_CHECKING:
    from contagion.readers.exposures import Exposures
    from contagion.readers.holdings import Holdings

MAX_NAMED = 5


class Outcome(NamedTuple):
    """What a model says about every bank.

    waves : who defaults in each, as places in the names; first : the number of the first wave, 0 where the seeds are
    one; losses : by bank; columns : further figures by bank; totals : sums by name; notes : what a reader must know;
    rounds : whether waves are rounds of failures, which have a depth.
    """

    waves: Sequence[Any]
    first: int
    losses: Any
    columns: Mapping[str, Any]
    totals: Mapping[str, float]
    notes: tuple[str, ...] = ()
    rounds: bool = True

    @property
    def depth(self) -> int | None:
        """Return the number of waves after the shock, None where waves do not tell."""
        return max(len(self.waves) + self.first - 1, 0) if self.rounds else None


class Model(NamedTuple):
    """A model: one line about it, the options it knows, those it needs, the function, and what its file has."""

    about: str
    options: tuple[str, ...]
    required: tuple[str, ...]
    solve: Callable[[Any, Mapping[str, Any]], Outcome]
    reads: str = "exposures"


def refuse(exposures: "Exposures | Holdings", what: str, path: str = "", form: str = "nodes") -> BadInput:
    """Return the error for what a model cannot use; of the file of nodes, or of assets, where there is one."""
    return BadInput([Problem(_file(exposures, form), 0, 0, path, what)])


def _file(exposures: "Exposures | Holdings", form: str) -> str:
    parts = exposures.provenance
    return next((part.path for part in parts if part.form == form), parts[0].path)


def columns_of(exposures: "Exposures | Holdings", **needed: str) -> list[Any]:
    """Return columns of the file of nodes by their names; refuse all that are missing, each with what it says."""
    known, file = exposures.columns, _file(exposures, "nodes")
    given = any(part.form in ("nodes", "totals") for part in exposures.provenance)
    fix = "add it, or map its title with --columns" if given else "give a file of nodes with --nodes"
    if missing := [key for key in needed if key not in known]:
        texts = [f"the model needs {needed[key]}; expected a column {key!r}; {fix}" for key in missing]
        raise BadInput(Problem(file, 0, 0, "", text) for text in texts)
    return [known[key] for key in needed]


def cash_of(exposures: "Exposures") -> Any:
    """Return what each bank has from outside the network: its cash and its external assets."""
    found = [exposures.columns[key] for key in ("cash", "external_assets") if key in exposures.columns]
    if not found:
        what = "the model needs what each bank has outside the network; expected a column 'cash' or 'external_assets'"
        raise refuse(exposures, f"{what}; give a file of nodes with --nodes")
    return sum(found[1:], found[0])


def equity_of(exposures: "Exposures") -> tuple[Any, str]:
    """Return each bank's equity and where it is from: the column, else assets less liabilities."""
    known = exposures.columns
    if "equity" in known:
        return known["equity"], "equity is the column of that name"
    if "external_liabilities" not in known or not {"cash", "external_assets"} & set(known):
        what = "the model needs equity; expected a column 'equity', or 'external_assets' and 'external_liabilities'"
        raise refuse(exposures, f"{what}; give a file of nodes with --nodes")
    lent, owed = exposures.owes.sum(axis=0), exposures.owes.sum(axis=1)
    equity = cash_of(exposures) + lent - owed - known["external_liabilities"]
    return equity, "equity is assets less liabilities, for there is no such column"


def seeds_of(exposures: "Exposures | Holdings", names: Sequence[str]) -> list[int]:
    """Return the places of the banks that the shock strikes first."""
    return _places(exposures, exposures.names, names, "--seed-bank", "node")


def assets_of(holdings: "Holdings", names: Sequence[str]) -> list[int]:
    """Return the places of the assets that the shock strikes first."""
    return _places(holdings, holdings.assets, names, "--seed-asset", "asset")


def _places(
    exposures: "Exposures | Holdings", known: Sequence[str], names: Sequence[str], option: str, what: str
) -> list[int]:
    place = {name: number for number, name in enumerate(known)}
    if strange := [name for name in names if name not in place]:
        texts = [f"there is no {what} {name!r}{closest(name, place)}; expected a name of the file" for name in strange]
        file = _file(exposures, "assets" if what == "asset" else "nodes")
        raise BadInput(Problem(file, 0, 0, option, text) for text in texts)
    return [place[name] for name in names]


def struck(size: int, places: Sequence[int], share: float) -> Any:
    """Return who loses this share first: those at the places, or everybody where none is named."""
    import numpy as np

    shock = np.zeros(size)
    shock[list(places) or slice(None)] = share
    return shock


def refuse_insolvent(exposures: "Exposures | Holdings", weak: Any, equity: Any, expected: str) -> None:
    """Refuse banks whose equity is what the model cannot begin with."""
    if len(weak):
        shown = ", ".join(f"{exposures.names[bank]!r} ({equity[bank]:.6g})" for bank in weak[:MAX_NAMED])
        rest = f" and {len(weak) - MAX_NAMED:,} more" if len(weak) > MAX_NAMED else ""
        raise refuse(exposures, f"{shown}{rest} before any shock; expected {expected}", "equity")


def two_waves(before: Any, after: Any) -> list[Any]:
    """Return whom the shock fails and whom the network fails beside, each given as whether a bank has failed."""
    import numpy as np

    return [np.flatnonzero(before), np.flatnonzero(after & ~before)] if (before | after).any() else []
