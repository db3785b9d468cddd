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
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array, csr_array, eye
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

Array = NDArray[np.float64]
Banks = NDArray[np.intp]
Mask = NDArray[np.bool_]

TIE = 1e-12
"""A shortfall up to this share of what is owed is rounding, and no default."""
SMALL = 100
"""Systems up to this size are solved as dense ones."""
ROUNDING = 4 * float(np.finfo(np.float64).eps)
"""A system is solved when no equation is off by more than this share of its terms."""
FAINT = 1e-6
"""Recoveries far below this are exact to the same share of it, not of themselves."""


class Clearing(NamedTuple):
    """What everybody pays, N entries each, and who failed in which order.

    payments : all that a bank pays, to others and to external creditors; what goes to other banks alone is
    ``payments - external_payments``. waves : the banks that fail in each wave of the fictitious default algorithm,
    the first by themselves, the others by contagion; of a least solution, those who fail only in it, because
    everybody fears it, are the last wave. equity : assets less liabilities of who is solvent, else 0.
    deadweight : what a default destroys. unique : there is no other clearing vector.

    A bank's cash and receipts are its payments, equity and deadweight, so that over all banks cash is equity,
    external payments and deadweight.
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

    The example of Elsinger, Lehar and Summer (2006, Management Science 52(9), section 2) pays 2, 28/15 and 52/15:

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


class _Network(NamedTuple):
    """Claims (CSR, debtors by rows), what goes with them for N banks each, and what a default passes on."""

    claims: Any
    due: Array  # what shares the lowest rank
    equal: Array  # external liabilities of that rank
    senior: Array
    cash: Array
    income: Array  # from other banks when all of them pay in full
    rounding: Array  # a shortfall up to this is none; infinite where nothing is owed
    alpha: float
    beta: float

    def received(self, recovery: Array) -> Array:
        """Return what every bank gets from others."""
        return np.asarray(recovery @ self.claims)

    def surplus(self, received: Array) -> Array:
        """Return assets less liabilities."""
        return self.cash + received - self.senior - self.due

    def funds(self, received: Array) -> Array:
        """Return what a default has for claims of the lowest rank, negative where senior ones lose as well."""
        return self.alpha * self.cash + self.beta * received - self.senior

    def flow(self, banks: Banks) -> Any:
        """Return what these banks have from each other per unit of recovery, over what they owe; creditors by rows."""
        flow = self.claims[banks][:, banks].T.tocsr()
        flow.data *= self.beta / np.repeat(self.due[banks], np.diff(flow.indptr))
        return flow


def _clear(
    liabilities: Any, cash: Any, external: Any, alpha: float, beta: float, senior: bool, solution: str
) -> Clearing:
    if solution not in ("greatest", "least"):
        raise ValueError(f"solution is {solution!r}, expected 'greatest' or 'least'")
    claims = _checked_claims(liabilities)
    banks = claims.shape[0]
    cash, nothing = _amounts("cash", cash, banks), np.zeros(banks)
    outside = nothing if external is None else _amounts("external_liabilities", external, banks)
    first, equal = (outside, nothing) if senior else (nothing, outside)
    due = claims.sum(axis=1) + equal
    income, owed = claims.sum(axis=0), due + first
    rounding = np.where(owed > 0, TIE * owed + ROUNDING * income, np.inf)
    network = _Network(claims, due, equal, first, cash, income, rounding, alpha, beta)
    recovery, failed, waves = _cascade(network, network.surplus(network.income), 1.0)
    lowered, fallen = _least(network, recovery, failed)
    feared = np.flatnonzero(fallen & ~failed)
    if solution == "least" and feared.size:
        return _outcome(network, lowered, fallen, (*waves, feared), unique=False)
    return _outcome(network, recovery, failed, waves, unique=not feared.size)


def _checked_claims(liabilities: Any) -> Any:
    """Return liabilities as a CSR array without entries of zero; the argument is left as it is."""
    claims = csr_array(liabilities, dtype=np.float64)
    if claims.ndim != 2 or claims.shape[0] != claims.shape[1]:
        raise ValueError(f"liabilities have the shape {claims.shape}, expected one row and one column for every bank")
    if not (claims.has_canonical_format and claims.data.all()):
        claims = claims.copy()
        claims.sum_duplicates()
        claims.eliminate_zeros()
    for entry in np.flatnonzero(~((claims.data > 0) & np.isfinite(claims.data)))[:1]:
        what = f"liabilities[{np.searchsorted(claims.indptr, entry, side='right') - 1}, {claims.indices[entry]}]"
        raise ValueError(f"{what} is {claims.data[entry]}, expected a finite amount of at least 0")
    for bank in np.flatnonzero(claims.diagonal())[:1]:
        raise ValueError(f"liabilities[{bank}, {bank}] is {claims.diagonal()[bank]}, expected 0: nobody owes itself")
    return claims


def _amounts(name: str, values: Any, banks: int) -> Array:
    amounts = np.asarray(values, dtype=np.float64)
    if amounts.shape != (banks,):
        raise ValueError(f"{name} has the shape {amounts.shape}, expected ({banks},), an amount for every bank")
    for bank in np.flatnonzero(~((amounts >= 0) & np.isfinite(amounts)))[:1]:
        raise ValueError(f"{name}[{bank}] is {amounts[bank]}, expected a finite amount of at least 0")
    return amounts


def _cascade(network: _Network, margin: Array, weight: float) -> tuple[Array, Mask, tuple[Banks, ...]]:
    """Return the greatest recoveries, who fails, and in which waves.

    margin : by how much a bank has more than it owes when all others pay in full; of what others pay less, the
    share `weight` is missing there.
    """
    claims, due = network.claims, network.due
    recovery, lost, failed = np.ones_like(due), np.zeros_like(due), np.zeros(due.shape, dtype=bool)
    most, alone = network.funds(network.income), network.funds(np.zeros_like(due))
    waves: list[Banks] = []
    fresh = np.flatnonzero(margin < -network.rounding)
    while fresh.size:
        waves.append(fresh)
        failed[fresh] = True
        moved = _downstream(claims, fresh, failed)
        moved = moved[due[moved] > 0]  # who owes only senior debt moves nobody
        flow, before = network.flow(moved), recovery[moved]
        own = np.maximum((most - network.beta * lost)[moved] / due[moved] - flow @ before, alone[moved] / due[moved])
        recovery[moved] = _floored(flow, own, before)
        lost += (before - recovery[moved]) @ claims[moved]
        fresh = np.flatnonzero(~failed & (weight * lost > margin + network.rounding))
    return _refined(network, recovery, failed), failed, tuple(waves)


def _downstream(claims: Any, fresh: Banks, failed: Mask) -> Banks:
    """Return the failed whose payments a wave moves: its own, and those whom their payments reach through the failed.

    All of the failed where that is a quarter of them, or many steps away.
    """
    reached, count, frontier = np.zeros_like(failed), 0, fresh
    limit = np.count_nonzero(failed) // 4
    for _ in range(20):
        reached[frontier] = True
        count += frontier.size
        if not frontier.size or count > limit:
            break
        creditors = claims[frontier].indices
        frontier = np.unique(creditors[failed[creditors] & ~reached[creditors]])
    return np.flatnonzero(failed if frontier.size else reached)


def _refined(network: _Network, recovery: Array, failed: Mask) -> Array:
    """Return recoveries with the last system solved anew where sums over the waves have cost digits."""
    paying = np.flatnonzero(failed & (recovery > 0) & (network.due > 0))
    found = network.funds(network.received(recovery))[paying] / network.due[paying]
    if np.all(np.abs(found - recovery[paying]) <= TIE / 100 * (recovery[paying] + FAINT)):
        return recovery
    given = np.where(failed, 0, recovery)
    own = network.funds(network.received(given))[paying] / network.due[paying]
    recovery = recovery.copy()
    recovery[paying] = np.clip(_solved(network.flow(paying), own, recovery[paying]), 0, 1)
    return recovery


def _floored(flow: Any, own: Array, guess: Array, floor: Array | None = None) -> Array:
    """Return x = max(0, own + flow @ x), by policy iteration from nobody paying upward.

    Rounds of payment find who can pay, as long as they find somebody; a system says what these pay, and so on. The
    set only grows, and never holds a closed set that loses money, whose system would be singular. floor : where
    given, who has no more than this pays nothing, so that the solution is the least.
    """
    found, paying, exact = np.zeros_like(own), np.zeros(own.shape, dtype=bool), False
    while True:
        funds = own + flow @ found
        more = paying | (funds >= 0 if floor is None else funds > floor)
        if more.all():
            return np.maximum(_solved(flow, own, guess), 0)
        if more.sum() > paying.sum():
            found, paying, exact = np.where(more, np.maximum(funds, 0), 0), more, False
        elif exact:
            return found
        else:
            found[paying] = np.maximum(_solved(flow[paying][:, paying], own[paying], guess[paying]), 0)
            exact = True


def _solved(flow: Any, own: Array, guess: Array) -> Array:
    """Return x = own + flow @ x, exact to rounding in every single equation.

    Small systems are dense. Large ones are iterated until only rounding is left, which is quick where everybody is
    few steps from everybody, as in random networks, whose factors would fill up. Long chains and rings, where it
    is slow, have sparse factors.
    """
    if not flow.nnz:
        return own
    if own.size <= SMALL:
        return np.asarray(np.linalg.solve(np.eye(own.size) - flow.toarray(), own))
    found: Array = guess
    last = np.inf
    for _ in range(20):
        found = own + flow @ found
        left = own + flow @ found - found
        error = float(np.max(np.abs(left) / (np.abs(own) + np.abs(found) + FAINT)))
        if error <= ROUNDING or last / 10 < error <= TIE / 10:
            return found
        if not error <= last / 10:
            break
        found, last = found + _stabilised(flow, left), error
    factors = splu(csc_array(eye(own.size, format="csc") - flow))
    found = factors.solve(own)
    found += factors.solve(own + flow @ found - found)
    return found


@np.errstate(over="ignore", invalid="ignore")
def _stabilised(flow: Any, own: Array) -> Array:
    """Return about x = own + flow @ x, by at most 100 steps of BiCGSTAB (van der Vorst 1992).

    Sums of products are taken without BLAS, whose threads would change the last digits from machine to machine.
    """

    def dot(a: Array, b: Array) -> float:
        return float(np.einsum("i,i->", a, b))

    found, left, step, image = np.zeros_like(own), own.copy(), np.zeros_like(own), np.zeros_like(own)
    goal, rho, length, omega = 1e-14 * dot(own, own), 1.0, 1.0, 1.0
    for _ in range(100):
        last, rho = rho, dot(own, left)
        if dot(left, left) <= goal:
            break
        step = left + (rho / last) * (length / omega) * (step - omega * image)
        image = step - flow @ step
        if not (rho and (along := dot(own, image))):
            break
        length = rho / along
        half = left - length * image
        turned = half - flow @ half
        omega = dot(turned, half) / (dot(turned, turned) or 1.0)
        found += length * step + omega * half
        left = half - omega * turned
        if not omega:
            break
    return found


def _least(network: _Network, greatest: Array, failed: Mask) -> tuple[Array, Mask]:
    """Return the least recoveries, and who does not pay in full in them.

    From below, rounds of payment find who is solvent whatever others do. If all are that are solvent in the greatest
    solution, there is no other. Else, these given, a network like Eisenberg and Noe's, in which nobody pays more than
    in default or than is due, bounds payments from below; they are the least if nobody else could pay in full.
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
            recovery, exact = _cascade(network, funds - network.due, network.beta)[0], True
            if network.beta == 1:
                funds = np.where(safe, np.inf, network.funds(network.received(recovery)))
                recovery = _drained(network, recovery, funds)


def _drained(network: _Network, recovery: Array, funds: Array) -> Array:
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
    recovery[closed] = _floored(network.flow(closed), own, np.zeros_like(own), floor)
    return recovery


def _outcome(network: _Network, recovery: Array, failed: Mask, waves: tuple[Banks, ...], unique: bool) -> Clearing:
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
