"""Models of claims among banks: clearing, default cascades, distress, valuation, shares in each other."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contagion.cli.models.outcome import (
    Outcome,
    cash_of,
    columns_of,
    equity_of,
    refuse_insolvent,
    seeds_of,
    struck,
    two_waves,
)

if TYPE_CHECKING:
    from contagion.readers.exposures import Exposures


def _cleared(exposures: "Exposures", options: Mapping[str, Any], alpha: float, beta: float) -> Outcome:
    """Return the outcome of a clearing; with alpha and beta 1 a default destroys nothing."""
    import numpy as np

    from contagion.finance import clearing

    owes, cash = exposures.owes, cash_of(exposures)
    outside = exposures.columns.get("external_liabilities", np.zeros(len(cash)))
    choice = {"senior": options["senior"], "solution": options["solution"]}
    if alpha == beta == 1:
        found = clearing.eisenberg_noe(owes, cash, outside, **choice)
    else:
        found = clearing.rogers_veraart(owes, cash, outside, alpha=alpha, beta=beta, **choice)
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


def eisenberg_noe(exposures: "Exposures", options: Mapping[str, Any]) -> Outcome:
    """Return who pays what, as Eisenberg and Noe (2001) have it."""
    return _cleared(exposures, options, 1.0, 1.0)


def rogers_veraart(exposures: "Exposures", options: Mapping[str, Any]) -> Outcome:
    """Return who pays what where a default costs a share (Rogers and Veraart 2013)."""
    return _cleared(exposures, options, options["alpha"], options["beta"])


def furfine(exposures: "Exposures", options: Mapping[str, Any]) -> Outcome:
    """Return who defaults round by round (Furfine 2003)."""
    import numpy as np

    from contagion.finance.threshold import borne
    from contagion.finance.threshold import furfine as cascade

    seeds = seeds_of(exposures, options["seed_bank"])
    equity, origin = equity_of(exposures)
    weak = np.setdiff1d(np.flatnonzero(equity < 0), seeds)
    refuse_insolvent(exposures, weak, equity, "none below 0; name who has failed already with --seed-bank")
    found = cascade(exposures.owes.T, equity, seeds, loss_given_default=options["lgd"])
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
    refuse_insolvent(exposures, weak, equity, "every bank's above 0; leave out who has failed already")
    shock = struck(len(equity), seeds_of(exposures, options["seed_bank"]), options["shock"])
    found = (single_hit if single else differential)(exposures.owes.T, equity, shock)
    waves = two_waves(found.initial >= 1, found.distress >= 1)
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


def debtrank(exposures: "Exposures", options: Mapping[str, Any]) -> Outcome:
    """Return distress that is passed on again and again (Bardoscia et al. 2015)."""
    return _distress(exposures, options, single=False)


def debtrank_2012(exposures: "Exposures", options: Mapping[str, Any]) -> Outcome:
    """Return distress that is passed on once (Battiston et al. 2012)."""
    return _distress(exposures, options, single=True)


def threshold(exposures: "Exposures", options: Mapping[str, Any]) -> Outcome:
    """Return who fails when a share of its debtors, by number, has failed (Watts 2002)."""
    import numpy as np

    from contagion.finance.threshold import threshold_cascade
    from contagion.finance.windows import least_defaults

    seeds = seeds_of(exposures, options["seed_bank"])
    debtors = np.bincount(exposures.owes.indices, minlength=len(exposures.names))
    needed = least_defaults(debtors, options["threshold"], ties_default=True)
    found = threshold_cascade(exposures.owes, needed, seeds)
    at_stake = exposures.owes.T @ (found.wave >= 0).astype(np.float64)
    columns = {"debtors": debtors, "needed": needed, "failed debtors": found.losses}
    share = f"{options['threshold'] * 100:.6g}% of its debtors have failed"
    notes = (f"a bank fails when {share}, by number; losses are claims on them",)
    return Outcome(found.waves, 0, at_stake, columns, {"claims on who has failed": float(at_stake.sum())}, notes)


def neva(exposures: "Exposures", options: Mapping[str, Any]) -> Outcome:
    """Return equities when claims are valued by the equity of who owes them (Barucca et al. 2020)."""
    import numpy as np

    from contagion.finance import valuation

    owes, (outside,) = exposures.owes, columns_of(exposures, external_liabilities="all that a bank owes")
    assets, owed = cash_of(exposures), np.asarray(owes.sum(axis=1)) + outside
    before = assets + owes.sum(axis=0) - owed
    weak = np.flatnonzero(before <= 0)
    refuse_insolvent(exposures, weak, before, "every bank's assets above its liabilities")
    values = {
        "eisenberg-noe": lambda equity: valuation.eisenberg_noe_value(equity, owed),
        "debtrank": lambda equity: valuation.linear_debtrank_value(equity, before),
        "furfine": valuation.furfine_value,
    }
    lost = assets * struck(len(assets), seeds_of(exposures, options["seed_bank"]), options["shock"])
    equity = valuation.network_equity(owes.toarray(), assets - lost, outside, values[options["valuation"]])
    columns = {"equity before": before, "shock": lost, "equity": equity}
    totals = {
        "loss of equity by the shock": float(lost.sum()),
        "loss of equity by the network": float((before - equity - lost).sum()),
    }
    notes = (
        "equity is assets less liabilities, and below 0 what a bank's creditors and it are short of",
        "wave 0 is whom the shock fails, wave 1 whom the network fails in whatever round",
    )
    return Outcome(two_waves(before <= lost, equity <= 0), 0, before - equity, columns, totals, notes, rounds=False)


def cross_holdings(exposures: "Exposures", options: Mapping[str, Any]) -> Outcome:
    """Return who falls below its threshold when organisations own shares of each other (Elliott et al. 2014)."""
    from contagion.finance.cross_holdings import dependency_matrix, failure_cascade

    (cost,) = columns_of(exposures, failure_cost="what a failure costs")
    assets, matrix = cash_of(exposures), dependency_matrix(exposures.owes.T.toarray())
    before = matrix @ assets
    lost = assets * struck(len(assets), seeds_of(exposures, options["seed_bank"]), options["shock"])
    limits = options["threshold"] * before
    found = failure_cascade(matrix, assets - lost, limits, cost)
    columns = {"value before": before, "threshold": limits, "value": found.values}
    totals = {
        "loss by the shock": float(lost.sum()),
        "loss by failures": float((before - found.values).sum() - lost.sum()),
    }
    notes = ("amounts are shares: a row's creditor owns that part of its debtor; values are those to outside owners",)
    return Outcome(found.waves, 1, before - found.values, columns, totals, notes)
