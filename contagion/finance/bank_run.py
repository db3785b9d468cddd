"""Runs on a bank that gives its depositors more on demand than it would get for its assets today.

Everybody deposits 1. A fraction needs the money at date 1; the bank's assets are worth 1 a deposit at date 1 and more
at date 2. Paying those who come early more than 1 insures them against needing it, and makes every withdrawal cost
who stays: beyond a threshold waiting brings less than running, so running is an equilibrium beside the good one. Who
runs is served first come, first served, until nothing is left.

Sources: Diamond and Dybvig, "Bank runs, deposit insurance, and liquidity", Journal of Political Economy 91(3) (1983);
the numbers of the example are those of Diamond, "Banks and liquidity creation: a simple exposition of the
Diamond-Dybvig model", Economic Quarterly 93(2) (2007).

growth : R > 1, what an asset of 1 is worth at date 2; early : the fraction that needs the money at date 1; payment :
r1, promised at date 1, above 0; withdrawn : the fraction that asks for it. All functions raise ValueError for
arguments outside of these.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Contract(NamedTuple):
    """What a deposit of 1 pays at date 1 and, to who waits, at date 2."""

    early: float
    late: float


def optimal_contract(growth: float, early: float, risk_aversion: float) -> Contract:
    """Return the contract of greatest expected utility c ** (1 - risk_aversion) / (1 - risk_aversion).

    u'(c1) = growth * u'(c2) for its marginal utility, and early * c1 + (1 - early) * c2 / growth = 1. It
    insures, c1 > 1, where risk aversion exceeds 1. ValueError for growth at most 1, a fraction outside [0, 1] or a
    risk aversion that is not positive.

    Source: Diamond and Dybvig (1983), equations 1a to 1c with rho = 1; Diamond (2007) for the numbers.

    >>> [round(payment, 6) for payment in optimal_contract(2, 0.25, 2)]
    [1.281509, 1.812327]
    """
    _check(growth, early)
    if not risk_aversion > 0:
        raise ValueError(f"risk aversion must be positive: {risk_aversion}")
    ratio = growth ** (1 / risk_aversion)
    first = 1 / (early + (1 - early) * ratio / growth)
    return Contract(first, ratio * first)


def payoff_of_waiting(growth: float, payment: float, withdrawn: float) -> float:
    """Return what each of those who wait gets when a fraction below 1 withdraws at date 1; 0 when nothing is left.

    Source: Diamond and Dybvig (1983), equation 3: V2 = max(R (1 - r1 f) / (1 - f), 0).

    >>> round(payoff_of_waiting(2, 1.28, 0.25), 6)
    1.813333
    """
    _check(growth, withdrawn, payment)
    if withdrawn == 1:
        raise ValueError("nobody waits when all withdraw")
    return max(0.0, (1 - withdrawn * payment) * growth / (1 - withdrawn))


def run_threshold(growth: float, payment: float) -> float:
    """Return the fraction of withdrawals at which waiting pays as much as withdrawing; above it, run.

    0 or less where waiting never pays, 1 where it always does: a payment of 1 at most.

    Source: Diamond (2007), section "Bank Runs": f = (R - r1) / (r1 (R - 1)), which is equation 3 of Diamond and Dybvig
    (1983) set equal to r1.

    >>> run_threshold(2, 1.28)
    0.5625
    """
    _check(growth, 0.0, payment)
    if payment <= 1:
        return 1.0
    return (growth - payment) / (payment * (growth - 1))


def fraction_served(payment: float, withdrawn: float) -> float:
    """Return the fraction of all depositors that is paid in full at date 1.

    Source: Diamond and Dybvig (1983), equation 2, by which the first 1 / r1 are served: served = min(f, 1 / r1).

    >>> fraction_served(1.28, 1.0)
    0.78125
    """
    _check_payment(payment, withdrawn)
    return min(withdrawn, 1 / payment)


def expected_payoff_of_running(payment: float, withdrawn: float) -> float:
    """Return what one of a fraction above 0 who withdraw gets on average, not knowing its place in the queue.

    Source: derived: equation 2 of Diamond and Dybvig (1983) averaged over places, payoff = min(r1, 1 / f).

    >>> expected_payoff_of_running(1.28, 1.0)
    1.0
    """
    if withdrawn == 0:
        raise ValueError("nobody runs when none withdraws")
    return payment * fraction_served(payment, withdrawn) / withdrawn


def serve(queue: int, deposits: int, payment: float) -> NDArray[np.float64]:
    """Return what each of a queue gets, in its order, from a bank with so many deposits of 1.

    Whoever comes as the money runs out gets what is left. ValueError for a queue longer than there are deposits.

    Source: Diamond and Dybvig (1983), equation 2, the sequential service constraint: V1 = r1 for f_j < 1 / r1, else 0.

    >>> serve(5, 5, 1.5).tolist()
    [1.5, 1.5, 1.5, 0.5, 0.0]
    """
    _check_payment(payment, 0.0)
    if not 0 <= queue <= deposits:
        raise ValueError(f"{queue} cannot queue at a bank with {deposits} deposits")
    return np.clip(deposits - payment * np.arange(queue), 0.0, payment)


def _check(growth: float, fraction: float, payment: float = 1.0) -> None:
    if not growth > 1:
        raise ValueError(f"assets must be worth more at date 2 than at date 1: {growth}")
    _check_payment(payment, fraction)


def _check_payment(payment: float, fraction: float) -> None:
    if not payment > 0:
        raise ValueError(f"a payment must be positive: {payment}")
    if not 0 <= fraction <= 1:
        raise ValueError(f"a fraction of depositors lies between 0 and 1: {fraction}")
