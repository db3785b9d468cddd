"""The least clearing vector: what is paid when everybody fears the worst, and what only circulates is not paid."""

import numpy as np
from scipy.sparse.csgraph import connected_components

from contagion.finance.clearing.fictitious import fictitious_default
from contagion.finance.clearing.network import Array, Mask, Network
from contagion.finance.clearing.systems import floored


def least_recoveries(network: Network, greatest: Array, failed: Mask) -> tuple[Array, Mask]:
    """Return the least recoveries, and who does not pay in full in them.

    From below, rounds of payment find who is solvent whatever others do. If all are that are solvent in the greatest
    solution, there is no other. Else, these given, a network like Eisenberg and Noe's, in which nobody pays more than
    in default or than is due, bounds payments from below; they are the least if nobody else could pay in full.

    Source: Rogers and Veraart (2013), theorem 3.1: the least L with L = Phi(L) of their equation 1. How it is found,
    and the sets that are drained, are derived.
    """
    if network.alpha == network.beta == 1:
        drained = _drained(network, greatest, network.funds(network.received(greatest)))
        return drained, failed | (drained < greatest)
    safe, recovery, exact = np.zeros_like(failed), np.zeros_like(greatest), False
    owed = np.where(network.due > 0, network.due, 1)
    while True:
        received = network.received(recovery)
        solvent = safe | (network.surplus(received) >= -network.rounding)
        if solvent.sum() > safe.sum():
            safe, exact = solvent, False
            recovery = np.where(safe, 1, np.clip(network.funds(received) / owed, 0, 1))
        elif not (failed ^ ~safe).any():
            return greatest, failed
        elif exact:
            return recovery, ~safe
        else:
            funds = np.where(safe, np.inf, network.funds(network.income))
            recovery, exact = fictitious_default(network, funds - network.due, network.beta)[0], True
            if network.beta == 1:
                funds = np.where(safe, np.inf, network.funds(network.received(recovery)))
                recovery = _drained(network, recovery, funds)


def _drained(network: Network, recovery: Array, funds: Array) -> Array:
    """Return recoveries without what only circulates: the least ones with the same resources.

    It circulates in a strongly connected set of banks that owe nothing to anybody else and pay all their `funds`.
    """
    due, claims = network.due, network.claims
    payments = recovery * due
    tight = (payments > network.rounding) & (np.abs(funds - payments) <= network.rounding) & (network.equal == 0)
    banks = np.flatnonzero(tight)
    if not banks.size:
        return recovery
    among = claims[banks][:, banks]
    _, part = connected_components(among, connection="strong")
    debtors = np.repeat(np.arange(banks.size), np.diff(among.indptr))
    inside = np.bincount(debtors[part[debtors] == part[among.indices]], minlength=banks.size)
    leaking = inside < np.diff(claims.indptr)[banks]
    stays = ~np.isin(part, part[leaking])
    closed, part = banks[stays], part[stays]
    recovery = recovery.copy()
    recovery[closed] = 0
    own = network.funds(network.received(recovery))[closed] / due[closed]
    # Somebody in each set pays nothing, though all the rounding of the set may have come to it.
    floor = 2 * np.bincount(part, network.rounding[closed])[part] / due[closed]
    recovery[closed] = floored(network.flow(closed), own, np.zeros_like(own), floor)
    return recovery
