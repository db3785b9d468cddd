"""The classical models that `clear` runs: a model is one entry of `MODELS`.

Each takes exposures and options and returns an `Outcome`; it says which options it knows and which it cannot do
without. Nothing heavy is imported before a model runs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from contagion.errors import BadInput, Problem, closest

if TYPE_CHECKING:
    from contagion.readers.exposures import Exposures

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
    """A model: one line about it, the options it knows, those it needs, and the function."""

    about: str
    options: tuple[str, ...]
    required: tuple[str, ...]
    solve: Callable[["Exposures", Mapping[str, Any]], Outcome]


def refuse(exposures: "Exposures", what: str, path: str = "") -> BadInput:
    """Return the error for exposures that a model cannot use; of the node file where there is one."""
    return BadInput([Problem(exposures.provenance[-1].path, 0, 0, path, what)])


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


def seeds_of(exposures: "Exposures", names: Sequence[str]) -> list[int]:
    """Return the places of the banks that the shock fails."""
    place = {name: number for number, name in enumerate(exposures.names)}
    if strange := [name for name in names if name not in place]:
        what = [f"there is no node {name!r}{closest(name, place)}; expected a name of the file" for name in strange]
        file = exposures.provenance[-1].path
        raise BadInput(Problem(file, 0, 0, "--seed-bank", text) for text in what)
    return [place[name] for name in names]


def _refuse_insolvent(exposures: "Exposures", weak: Any, equity: Any, expected: str) -> None:
    if len(weak):
        shown = ", ".join(f"{exposures.names[bank]!r} ({equity[bank]:.6g})" for bank in weak[:MAX_NAMED])
        rest = f" and {len(weak) - MAX_NAMED:,} more" if len(weak) > MAX_NAMED else ""
        raise refuse(exposures, f"{shown}{rest} before any shock; expected {expected}", "equity")


def _cleared(exposures: "Exposures", options: Mapping[str, Any], alpha: float, beta: float) -> Outcome:
    """Return the outcome of a clearing; with alpha and beta 1 a default destroys nothing."""
    import numpy as np

    from contagion.finance.clearing import eisenberg_noe, rogers_veraart

    owes, cash = exposures.owes, cash_of(exposures)
    outside = exposures.columns.get("external_liabilities", np.zeros(len(cash)))
    choice = {"senior": options["senior"], "solution": options["solution"]}
    if alpha == beta == 1:
        found = eisenberg_noe(owes, cash, outside, **choice)
    else:
        found = rogers_veraart(owes, cash, outside, alpha=alpha, beta=beta, **choice)
    owed = owes.sum(axis=1)
    paid = found.payments - found.external_payments
    share = np.divide(paid, owed, out=np.ones_like(owed), where=owed > 0)
    losses = owes.T @ np.maximum(1 - share, 0)
    due = owed + outside
    columns = {"owed": due, "paid": found.payments, "recovery": np.divide(found.payments, due, out=np.ones_like(due),
               where=due > 0), "equity": found.equity}  # fmt: skip
    totals = {
        "loss of banks": float(losses.sum()),
        "loss of external creditors": float(np.maximum(outside - found.external_payments, 0).sum()),
        "deadweight": float(np.sum(found.deadweight)),
        "equity left": float(found.equity.sum()),
    }
    notes = () if found.unique else ("there is more than one clearing vector; this is the "
                                     f"{options['solution']} (see --solution)",)  # fmt: skip
    return Outcome(found.waves, 1, losses, columns, totals, notes)


def _eisenberg_noe(exposures: "Exposures", options: Mapping[str, Any]) -> Outcome:
    return _cleared(exposures, options, 1.0, 1.0)


def _rogers_veraart(exposures: "Exposures", options: Mapping[str, Any]) -> Outcome:
    return _cleared(exposures, options, options["alpha"], options["beta"])


def _furfine(exposures: "Exposures", options: Mapping[str, Any]) -> Outcome:
    import numpy as np

    from contagion.finance.threshold import borne, furfine

    seeds = seeds_of(exposures, options["seed_bank"])
    equity, origin = equity_of(exposures)
    weak = np.setdiff1d(np.flatnonzero(equity < 0), seeds)
    _refuse_insolvent(exposures, weak, equity, "none below 0; name who has failed already with --seed-bank")
    found = furfine(exposures.owes.T, equity, seeds, loss_given_default=options["lgd"])
    own, beyond = borne(found, equity)
    totals = {"loss of equity, seeds apart": own, "loss beyond equity, seeds apart": beyond}
    columns = {"equity before": equity, "equity": equity - found.losses}
    return Outcome(found.waves, 0, found.losses, columns, totals, (origin,))


def _distress(exposures: "Exposures", options: Mapping[str, Any], single: bool) -> Outcome:
    """Return the outcome of DebtRank: the share of its equity that each bank loses."""
    import numpy as np

    from contagion.finance.debtrank import additional_losses, differential, single_hit

    equity, origin = equity_of(exposures)
    weak = np.flatnonzero(equity <= 0)
    _refuse_insolvent(exposures, weak, equity, "every bank's above 0; leave out who has failed already")
    shock = np.zeros(len(equity))
    shock[seeds_of(exposures, options["seed_bank"]) or slice(None)] = options["shock"]
    found = (single_hit if single else differential)(exposures.owes.T, equity, shock)
    failed = np.flatnonzero(found.distress >= 1)
    first = found.initial[failed] >= 1
    waves = [failed[first], failed[~first]] if len(failed) else []
    totals = {
        "loss of equity by the shock": float(found.initial @ equity),
        "loss of equity by the network": float(additional_losses(found, equity)),
    }
    notes = (
        origin,
        f"{int(found.rounds)} rounds; wave 0 is whom the shock fails, wave 1 whom the network fails in whatever round",
    )
    columns = {"distress": found.distress, "equity before": equity}
    return Outcome(waves, 0, found.distress * equity, columns, totals, notes, rounds=False)


def _debtrank(exposures: "Exposures", options: Mapping[str, Any]) -> Outcome:
    return _distress(exposures, options, single=False)


def _debtrank_2012(exposures: "Exposures", options: Mapping[str, Any]) -> Outcome:
    return _distress(exposures, options, single=True)


_CLEARING = ("senior", "solution")
MODELS: Mapping[str, Model] = {
    "eisenberg-noe": Model("clearing payments; a default costs nothing by itself", _CLEARING, (), _eisenberg_noe),
    "rogers-veraart": Model(
        "clearing payments; a default costs a share of what there is",
        (*_CLEARING, "alpha", "beta"), ("alpha", "beta"), _rogers_veraart,
    ),
    "furfine": Model(
        "defaults that make creditors default, by loss given default",
        ("seed_bank", "lgd"), ("seed_bank", "lgd"), _furfine,
    ),
    "debtrank": Model(
        "distress before default, passed on again and again (2015)",
        ("seed_bank", "shock"), ("shock",), _debtrank,
    ),
    "debtrank-2012": Model(
        "distress before default, passed on once (2012)",
        ("seed_bank", "shock"), ("shock",), _debtrank_2012,
    ),
}  # fmt: skip
"""Every model by the name that `--model` takes."""
