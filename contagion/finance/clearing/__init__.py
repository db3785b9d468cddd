"""Who pays what when everybody owes everybody: the clearing vectors of Eisenberg-Noe and Rogers-Veraart.

What a bank can pay depends on what it is paid. The *fictitious default algorithm* begins with everybody paying in
full; whoever cannot is in the first wave, and a linear system says what these pay; whoever cannot pay after that is
in the second wave, and so on. Each wave solves its system exactly, for those alone whose payments it moves, so that
what comes out is a fixed point and not the last step of an iteration. The unknowns are recoveries, payments over
what is due: between 0 and 1 for the largest bank and the smallest.

Conventions. ``liabilities[i, j]`` is what i owes j. All claims on a bank have the same rank, external ones included,
unless these are senior. A bank is in default when its assets fall short of its liabilities by more than 10^-12 of
these (and 10^-15 of its claims): equity of exactly zero is no default, and rounding makes none. Money in any one unit.

Why the systems can be solved. Banks that owe nothing to anybody but each other pass on all that they get, and their
matrix is singular. In the greatest solution such a set does not fail as a whole, unless senior claims drain it; then
somebody in it pays nothing, and is left out of the system.

Sources: Eisenberg and Noe (2001), Management Science 47(2); Rogers and Veraart (2013), Management Science 59(4).
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from contagion.finance.clearing.fictitious import fictitious_default
from contagion.finance.clearing.least import least_recoveries
from contagion.finance.clearing.network import (
    ROUNDING,
    TIE,
    Array,
    Banks,
    Mask,
    Network,
    checked_amounts,
    checked_claims,
)


class Clearing(NamedTuple):
    """What everybody pays, N entries each, and who failed in which order.

    payments : all that a bank pays, to others and to external creditors; what goes to other banks alone is
    ``payments - external_payments``. waves : the banks that fail in each wave of the fictitious default algorithm,
    the first by themselves, the others by contagion; of a least solution, those who fail only in it, because
    everybody fears it, are the last wave. equity : assets less liabilities of who is solvent, else 0.
    deadweight : what a default destroys. unique : there is no other clearing vector.

    Source: Eisenberg and Noe (2001), Rogers and Veraart (2013). A bank's cash + receipts = payments + equity +
    deadweight; over all banks cash = equity + external payments + deadweight.
    """

    payments: Array
    waves: tuple[Banks, ...]
    equity: Array
    external_payments: Array
    deadweight: Array
    unique: bool


def eisenberg_noe(
    liabilities: ArrayLike | Any,
    cash: ArrayLike,
    external_liabilities: ArrayLike | None = None,
    *,
    senior: bool = False,
    solution: Literal["greatest", "least"] = "greatest",
) -> Clearing:
    """Return the clearing payments of Eisenberg and Noe (2001): who cannot pay in full passes on all that it has.

    liabilities : (N, N) array or SciPy sparse, what i owes j; cash : (N) assets outside the network;
    external_liabilities : (N) debts to outside, of equal rank with the others or before all of them (`senior`).
    Payments are unique but for what circulates in a closed set of banks, none with equity to spare and none with an
    equal creditor outside; there `solution` chooses. ValueError: shapes, negative amounts, debts to oneself.

    Source: Eisenberg and Noe (2001): p = min(pbar, e + Pi' p), with Pi what is owed over what a bank owes in all;
    theorems 1 (the greatest and the least p), 2 (uniqueness), lemma 3 (the fictitious default algorithm).

    The example of Elsinger, Lehar and Summer (2006, Management Science 52(9)) pays 2, 28/15 and 52/15:

    >>> cleared = eisenberg_noe([[0, 0, 2], [3, 0, 1], [3, 1, 0]], [1, 1, 1])
    >>> cleared.payments.round(4).tolist(), [wave.tolist() for wave in cleared.waves]
    ([2.0, 1.8667, 3.4667], [[1], [2]])
    """
    return _clear(liabilities, cash, external_liabilities, 1.0, 1.0, senior, solution)


def rogers_veraart(
    liabilities: ArrayLike | Any,
    cash: ArrayLike,
    external_liabilities: ArrayLike | None = None,
    *,
    alpha: float,
    beta: float,
    senior: bool = False,
    solution: Literal["greatest", "least"] = "greatest",
) -> Clearing:
    """Return the clearing payments of Rogers and Veraart (2013): a default costs a part of what there is.

    A bank in default passes on the share `alpha` of its cash and `beta` of what others pay it (both in 0..1), the
    rest is deadweight; alpha = beta = 1 is Eisenberg and Noe's case. Other arguments and errors as there. There can
    be many solutions, in the greatest of which the fewest fail and in the least the most.

    Source: Rogers and Veraart (2013), equation 1: L_i = Lbar_i where Lbar_i <= e_i + (Pi' L)_i, else alpha e_i +
    beta (Pi' L)_i; theorem 3.1 (the greatest and the least L), definition 3.6 (the algorithm). With claims of equal
    rank; what is senior comes first.

    Two banks that owe each other 1 and own 0.2 are both solvent, or both in default for fear of each other:

    >>> both = [rogers_veraart([[0, 1], [1, 0]], [0.2, 0.2], alpha=0.5, beta=0.5, solution=s)
    ...         for s in ("greatest", "least")]
    >>> [cleared.payments.round(9).tolist() for cleared in both], both[0].unique
    ([[1.0, 1.0], [0.2, 0.2]], False)
    """
    for name, share in (("alpha", alpha), ("beta", beta)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is {share}, expected a share from 0 to 1")
    return _clear(liabilities, cash, external_liabilities, float(alpha), float(beta), senior, solution)


def _clear(
    liabilities: Any, cash: Any, external: Any, alpha: float, beta: float, senior: bool, solution: str
) -> Clearing:
    if solution not in ("greatest", "least"):
        raise ValueError(f"solution is {solution!r}, expected 'greatest' or 'least'")
    claims = checked_claims(liabilities)
    banks = claims.shape[0]
    cash, nothing = checked_amounts("cash", cash, banks), np.zeros(banks)
    outside = nothing if external is None else checked_amounts("external_liabilities", external, banks)
    first, equal = (outside, nothing) if senior else (nothing, outside)
    due = claims.sum(axis=1) + equal
    income, owed = claims.sum(axis=0), due + first
    rounding = np.where(owed > 0, TIE * owed + ROUNDING * income, np.inf)
    network = Network(claims, due, equal, first, cash, income, rounding, alpha, beta)
    recovery, failed, waves = fictitious_default(network, network.surplus(network.income), 1.0)
    lowered, fallen = least_recoveries(network, recovery, failed)
    feared = np.flatnonzero(fallen & ~failed)
    if solution == "least" and feared.size:
        return _outcome(network, lowered, fallen, (*waves, feared), unique=False)
    return _outcome(network, recovery, failed, waves, unique=not feared.size)


def _outcome(network: Network, recovery: Array, failed: Mask, waves: tuple[Banks, ...], unique: bool) -> Clearing:
    received = network.received(recovery)
    assets = network.cash + received
    passed_on = network.alpha * network.cash + network.beta * received
    first = np.where(failed, np.minimum(network.senior, passed_on), network.senior)
    return Clearing(
        payments=first + recovery * network.due,
        waves=waves,
        equity=np.where(failed, 0, np.maximum(network.surplus(received), 0)),
        external_payments=first + recovery * network.equal,
        deadweight=np.where(failed, assets - passed_on, 0),
        unique=unique,
    )
