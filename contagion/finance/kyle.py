"""How deep a market is whose maker cannot tell an informed trader from noise.

An insider knows the value; competitive market makers see only its orders and those of noise traders together, and set
the price to the expected value given them. The price then moves by lambda per unit of orders: market impact out of
information alone. Over several auctions the insider holds back, so as not to give away all it knows.

Source: Kyle, "Continuous auctions and insider trading", Econometrica 53(6) (1985), theorems 1 and 2. value_deviation :
of the value in money per unit; noise_deviation : of the noise traders' orders over the whole time, in units.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Floats = NDArray[np.float64]


class Auction(NamedTuple):
    """Price impact per unit, the insider's units per unit of mispricing, variance left, the insider's mean profit.

    Source: Kyle (1985): price = mean + impact * orders, insider's orders = intensity * (value - mean).
    """

    impact: float
    intensity: float
    variance: float
    profit: float


class Auctions(NamedTuple):
    """The same for a sequence, an entry an auction; intensity is by unit of time, profit that of all together.

    Source: Kyle (1985): dp_n = lambda_n (dx_n + du_n), dx_n = beta_n (v - p_(n-1)) dt.
    """

    impact: Floats
    intensity: Floats
    variance: Floats
    profit: float


def single_auction(value_deviation: float, noise_deviation: float) -> Auction:
    """Return the linear equilibrium of one auction (theorem 1). ValueError unless both deviations are positive.

    Source: Kyle (1985), theorem 1: lambda = sigma_v / (2 sigma_u), beta = sigma_u / sigma_v, Sigma_1 = sigma_v^2 / 2; a
    mean profit of sigma_v sigma_u / 2.

    >>> single_auction(2, 5)
    Auction(impact=0.2, intensity=2.5, variance=2.0, profit=5.0)
    """
    _check(value_deviation, noise_deviation)
    return Auction(
        value_deviation / (2 * noise_deviation),
        noise_deviation / value_deviation,
        value_deviation**2 / 2,
        value_deviation * noise_deviation / 2,
    )


def sequential_auctions(value_deviation: float, noise_deviation: float, auctions: int) -> Auctions:
    """Return the linear equilibrium of so many auctions at equal intervals of a time of 1 (theorem 2).

    Solved backwards without shooting: from a last variance of 1 the recursion gives some first variance, and by
    homogeneity everything scales to the one there is. In each auction q = alpha * lambda solves
    2 q**2 (1 - q) = m (1 - 2 q), whose left side rises and right side falls on [0, 1/2]: one root, found to the last
    bits. ValueError unless both deviations and the number are positive.

    Source: Kyle (1985), theorem 2: beta_n dt = (1 - 2 alpha_n lambda_n) / (2 lambda_n (1 - alpha_n lambda_n)),
    lambda_n = beta_n Sigma_n / sigma_u^2, Sigma_n = (1 - beta_n lambda_n dt) Sigma_(n-1), and
    alpha_(n-1) = 1 / (4 lambda_n (1 - alpha_n lambda_n)) from alpha_N = 0.

    >>> sequential_auctions(2, 5, 2).impact.round(9).tolist()
    [0.261152985, 0.235290709]
    """
    _check(value_deviation, noise_deviation)
    if auctions < 1:
        raise ValueError(f"there must be an auction, not {auctions}")
    noise = noise_deviation**2 / auctions  # variance of the noise traders' orders in one auction
    impact, intensity, variance = np.empty(auctions), np.empty(auctions), np.empty(auctions)
    left, alpha, delta = 1.0, 0.0, 0.0  # variance after the auction; the insider's future profit is alpha e^2 + delta
    for n in reversed(range(auctions)):
        q = _root(alpha**2 * left / noise)
        lambda_ = q / alpha if alpha else float(np.sqrt(left / (2 * noise)))
        impact[n], variance[n] = lambda_, left
        intensity[n] = lambda_ * noise_deviation**2 / left
        delta += alpha * lambda_**2 * noise
        alpha = 1 / (4 * lambda_ * (1 - q))
        left *= 2 * (1 - q)
    scale = value_deviation / float(np.sqrt(left))
    return Auctions(impact * scale, intensity / scale, variance * scale**2, (alpha * left + delta) * scale)


def _root(m: float) -> float:
    if not m:
        return 0.0
    return float(brentq(lambda q: 2 * q * q * (1 - q) - m * (1 - 2 * q), 0.0, 0.5, xtol=1e-16, rtol=1e-15))


def _check(value_deviation: float, noise_deviation: float) -> None:
    if not (value_deviation > 0 and noise_deviation > 0):
        raise ValueError(f"deviations must be positive: {value_deviation} of the value, {noise_deviation} of noise")
