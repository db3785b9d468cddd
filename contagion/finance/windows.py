"""Where contagion on a large random network can be global, and how far it then goes, without simulation.

A node defaults when at least so many of its neighbours have. At first nearly every one of them stands alone, so that
a default spreads through nodes that one neighbour brings down: like a branching process, which may not end when a
default reaches more than one such node on average. Few links isolate, many diversify; between lies a window. Once in
it, the final share of defaults is the smallest fixed point of what defaults make default.

Sources: Watts, "A simple model of global cascades on random networks" (2002); Gai and Kapadia, "Contagion in
financial networks" (2010); Amini, Cont and Minca, "Resilience to contagion in financial networks" (2016); Gleeson and
Cahalane, "Seed size strongly affects cascades on random networks" (2007). For portfolios that overlap (Caccioli and
others 2014) the mean numbers depend on what everybody else holds, and there is no closed form.

A law of degrees is an array of probabilities by degree from 0 up. Which share of its neighbours brings a node down is
compared exactly: a Fraction is taken as it is, a float as the decimal that it is written as, so that 0.04 is 1/25.
"""

from fractions import Fraction
from math import ceil, exp, floor, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import betainc, betaln, lambertw, pdtr, pdtrc, xlog1py, xlogy
from scipy.special import gammaln as log_gamma

_ROUNDING = 4e-16
_TAIL = 1e-18
"""Probability of degrees above the largest one that a Poisson law lists."""


class Window(NamedTuple):
    """The mean degrees between which a single default can set off a global cascade.

    Source: Watts (2002), Gai and Kapadia (2010): the two z at which R(z) = 1, R the `reproduction_number`.
    """

    lower: float
    upper: float


def critical_share(capital: Fraction | float, interbank: Fraction | float) -> Fraction:
    """Return the share of its debtors whose default costs a bank its capital, when it gets nothing back.

    capital, interbank : capital and the claims on other banks, spread evenly, over total assets.
    ValueError unless both are positive.

    Source: Gai and Kapadia (2010), Bank of England working paper 383, equation 2 at constant prices: a bank stands
    while phi <= K / A_IB, phi the share of its debtors in default, K capital and A_IB interbank.

    >>> critical_share(0.04, 0.2)
    Fraction(1, 5)
    """
    if min(capital, interbank) <= 0:
        raise ValueError(f"capital of {capital} and interbank assets of {interbank} must be positive")
    return _exact(capital) / _exact(interbank)


def least_defaults(degrees: ArrayLike, share: Fraction | float, *, ties_default: bool) -> NDArray[np.int64]:
    """Return how many defaulted neighbours bring down a node of each degree, at least 1; more than it has: never.

    share : of the neighbours, positive, exact. A node whose share just equals it defaults if `ties_default` (Watts),
    and survives otherwise (Gai and Kapadia: a bank whose capital is used up to zero).

    Source: Watts (2002): the least n with n >= share * k; Gai and Kapadia (2010): the least n with n > share * k.

    >>> least_defaults([0, 1, 4, 5, 6, 10], Fraction(1, 5), ties_default=False)
    array([1, 1, 1, 2, 2, 3])
    >>> least_defaults([0, 1, 5, 6, 50], 0.18, ties_default=True)
    array([1, 1, 1, 2, 9])
    """
    exact = _positive(share)
    wanted = np.asarray(degrees, np.int64)
    if wanted.size and wanted.min() < 0:
        raise ValueError(f"a degree of {wanted.min()} is negative")
    every = range(int(wanted.max(initial=0)) + 1)
    table = [max(ceil(exact * k), 1) if ties_default else floor(exact * k) + 1 for k in every]
    return np.array(table, np.int64)[wanted]


def vulnerable_degree(share: Fraction | float, *, ties_default: bool) -> int:
    """Return the largest degree at which a single default brings down a node; 0 when there is none.

    Source: Watts (2002), his vulnerable vertices: k <= K = floor(1 / share); Gai and Kapadia (2010), working paper 383,
    equation 3: share < 1 / k.

    >>> vulnerable_degree(critical_share(0.04, 0.2), ties_default=False)
    4
    >>> vulnerable_degree(0.18, ties_default=True)
    5
    """
    most = 1 / _positive(share)
    return floor(most) if ties_default else ceil(most) - 1


def reproduction_number(mean_degree: float, excess: int) -> float:
    """Return z P(X <= excess), X Poisson of mean z: how many nodes a default brings down alone, on average.

    excess : the most links that such a node has beside the one it is reached by, K = `vulnerable_degree` in all. On a
    directed network it owes to z others whatever its claims, so that excess is K - 1. On an undirected one it passes
    on over just the X others, and the mean of X up to K - 1 is z P(X <= K - 2). Above 1 contagion can be global.

    Source: derived from the windows of Watts (2002) and Gai and Kapadia (2010): R = z P(X <= excess); 1 - R is the
    resilience of Amini, Cont and Minca (2016) for Poisson degrees.

    >>> 1 - reproduction_number(3, 3) < 0 < 1 - reproduction_number(6, 3)
    True
    """
    return float(mean_degree * pdtr(excess, mean_degree)) if excess >= 0 else 0.0


def watts_window(share: Fraction | float) -> Window | None:
    """Return the mean degrees of an undirected Poisson network at which a single adoption can cascade, or None.

    share : of a node's neighbours at which it adopts, ties included.

    Source: Watts (2002), the cascade condition: sum over k <= K of k (k - 1) p_k = z, K the `vulnerable_degree`. For
    Poisson degrees it is z P(X <= K - 2) = 1.

    >>> [round(edge, 6) for edge in watts_window(0.18)]
    [1.020704, 5.764677]
    """
    return _window(vulnerable_degree(share, ties_default=True) - 2)


def gai_kapadia_window(
    capital: Fraction | float, interbank: Fraction | float, *, ties_default: bool = False
) -> Window | None:
    """Return the mean degrees of a directed Poisson network at which one bank's default can cascade, or None.

    capital, interbank : over total assets.

    Source: Gai and Kapadia (2010), the phase transition: sum over j, k of j k v_j p_jk = z, where v_j = 1 for who is
    vulnerable (working paper 383, equation 3). For Poisson degrees: z P(X <= K - 1) = sum over j <= K of j p_j = 1.

    >>> [round(edge, 6) for edge in gai_kapadia_window(0.04, 0.2)]
    [1.020704, 5.764677]
    >>> [round(edge, 6) for edge in gai_kapadia_window(0.04, 0.2, ties_default=True)]
    [1.003731, 7.47708]
    """
    return _window(vulnerable_degree(critical_share(capital, interbank), ties_default=ties_default) - 1)


def contagion_frequency(reproduction: float) -> float:
    """Return the probability that a default never dies out, when it brings down Poisson many with this mean.

    By Lambert's function; 0 up to R = 1. On a directed Poisson network.

    Source: derived, from the branching process of Gai and Kapadia (2010): 1 - s for the smallest s = exp(R (s - 1)).

    >>> round(contagion_frequency(reproduction_number(3, 3)), 6)
    0.780152
    """
    if reproduction <= 1:
        return 0.0
    return float(1 + lambertw(-reproduction * exp(-reproduction)).real / reproduction)


def network_resilience(in_degrees: ArrayLike, out_degrees: ArrayLike, contagious: ArrayLike) -> float:
    """Return 1 - (contagious links into each node times its out-degree, summed) / links; negative: contagion spreads.

    contagious : for each node, how many of its in-links would bring it down alone. ValueError unless in- and
    out-degrees add up to the same, positive, links.

    Source: Amini, Cont and Minca (2016), the resilience measure: resilience = 1 - sum of out_i contagious_i / links.

    >>> network_resilience([1, 1, 1], [1, 1, 1], [1, 1, 0])
    0.33333333333333337
    """
    inward, outward, fatal = (np.asarray(of, np.int64) for of in (in_degrees, out_degrees, contagious))
    if inward.sum() != outward.sum() or not inward.sum():
        raise ValueError(f"{inward.sum()} links into nodes and {outward.sum()} out of them: expected as many, and some")
    if (fatal > inward).any() or (fatal < 0).any():
        raise ValueError("a node has more contagious in-links than in-links, or fewer than none")
    return float(1 - (outward * fatal).sum() / inward.sum())


def poisson_law(mean: float) -> NDArray[np.float64]:
    """Return the probabilities of degrees 0, 1, ... of a Poisson law, up to where the rest does not matter.

    Source: Poisson (1837): p_k = exp(-z) z**k / k!.

    >>> [round(float(p), 4) for p in poisson_law(2)[:3]]
    [0.1353, 0.2707, 0.2707]
    """
    if not mean >= 0:
        raise ValueError(f"a mean degree of {mean} is negative")
    most = int(mean) + 20
    while pdtrc(most, mean) > _TAIL:
        most += 20
    degrees = np.arange(most + 1)
    law: NDArray[np.float64] = np.exp(xlogy(degrees, mean) - mean - log_gamma(degrees + 1))
    return law


def final_default_fraction(law: NDArray[np.float64], needed: ArrayLike, seeded: float) -> float:
    """Return the share of nodes that end up in default on a large directed network, in- and out-degree independent.

    law : of in-degrees; needed : by degree, defaulted neighbours that bring down (`least_defaults`), at least 1;
    seeded : the share of nodes that default to begin with, chosen at random.

    Source: Amini, Cont and Minca (2016), the fraction of defaults: the smallest q from `seeded` up with q = seeded +
    (1 - seeded) * sum over j of p_j P(Bin(j, q) >= needed_j).

    >>> law = poisson_law(3)
    >>> round(final_default_fraction(law, np.arange(len(law)) // 5 + 1, 0.01), 6)
    0.941196
    """
    return _smallest_fixed_point(_reach(law, needed, 0), _share(seeded), seeded)


def final_adoption_fraction(law: NDArray[np.float64], needed: ArrayLike, seeded: float) -> float:
    """Return the share of nodes that end up adopting on a large undirected network.

    Arguments as in `final_default_fraction`. A neighbour adopts before the node with probability q, by its other
    links; then the node itself by all of its. A node without neighbours never adopts.

    Source: Gleeson and Cahalane (2007): q = seeded + (1 - seeded) * sum over k of (k / z) p_k P(Bin(k - 1, q) >=
    needed_k), then seeded + (1 - seeded) * sum over k of p_k P(Bin(k, q) >= needed_k).

    >>> law = poisson_law(4)
    >>> needed = least_defaults(range(len(law)), 0.18, ties_default=True)
    >>> round(final_adoption_fraction(law, needed, 0.01), 6)
    0.980388
    """
    degrees = np.arange(len(law))
    mean = float(law @ degrees)
    if not mean:
        return _share(seeded)
    q = _smallest_fixed_point(_reach(law * degrees / mean, needed, 1), _share(seeded), seeded)
    return seeded + (1 - seeded) * _reach(law, needed, 0).value(q)


def contagion_extent(law: NDArray[np.float64], needed: ArrayLike) -> float:
    """Return the share of nodes that a global cascade from ever fewer defaults reaches on a directed network.

    Arguments as in `final_default_fraction`, of which this is the limit; 0 where few defaults die out.

    Source: derived, for Gai and Kapadia (2010): the smallest q > 0 with q = sum over j of p_j P(Bin(j, q) >= needed_j).

    >>> law = poisson_law(3)
    >>> round(contagion_extent(law, np.arange(len(law)) // 5 + 1), 6)
    0.940472
    """
    few, reach = 1e-9, _reach(law, needed, 0)
    return _smallest_fixed_point(reach, 0, few) if reach.value(few) > few else 0.0


def _exact(number: Fraction | float) -> Fraction:
    return number if isinstance(number, Fraction) else Fraction(str(number))


def _positive(share: Fraction | float) -> Fraction:
    if not share > 0:
        raise ValueError(f"a share of {share} of the neighbours brings down a node: it must be positive")
    return _exact(share)


def _share(seeded: float) -> float:
    if not 0 <= seeded <= 1:
        raise ValueError(f"a share of {seeded} of the nodes is seeded: it must lie in [0, 1]")
    return seeded


def _window(excess: int) -> Window | None:
    """Return the roots of z P(X <= excess) = 1, which rises to one peak and falls again."""
    if excess < 0:
        return None

    def above(mean: float) -> float:
        return reproduction_number(mean, excess) - 1

    def slope(mean: float) -> float:
        return float(pdtr(excess, mean) - mean * exp(float(xlogy(excess, mean) - mean - log_gamma(excess + 1))))

    peak = brentq(slope, 0, excess + 1, xtol=_ROUNDING) if excess else 1.0
    if above(peak) < 0:
        return None
    far = 2 * peak
    while above(far) > 0:
        far *= 2
    lower, upper = (brentq(above, *ends, xtol=_ROUNDING) for ends in ((0, peak), (peak, far)))
    return Window(float(lower), float(upper))


class _Reach(NamedTuple):
    """The probability that enough neighbours have defaulted, as a function of q, the share of them that do.

    Each binomial tail P(Bin(n, q) >= m) is the incomplete beta function I_q(m, n - m + 1). Its second derivative is
    a difference of two probabilities times n (n - 1), of which `curvature` is the mean.
    """

    weights: NDArray[np.float64]
    enough: NDArray[np.int64]
    spare: NDArray[np.int64]
    curvature: float

    def value(self, q: float) -> float:
        return float(self.weights @ betainc(self.enough, self.spare + 1, q))

    def slope(self, q: float) -> float:
        log_density = xlogy(self.enough - 1, q) + xlog1py(self.spare, -q) - betaln(self.enough, self.spare + 1)
        return float(self.weights @ np.exp(log_density))


def _reach(law: NDArray[np.float64], needed: ArrayLike, known: int) -> _Reach:
    """Return how likely enough of all neighbours but `known` have defaulted, for a node drawn by a law of degrees."""
    enough = np.asarray(needed, np.int64)
    if enough.shape != law.shape or enough.min(initial=1) < 1:
        raise ValueError(f"needed defaults of shape {enough.shape}, from {enough.min(initial=1)} up: expected one per "
                         f"degree, {law.shape}, from 1 up")  # fmt: skip
    others = np.arange(len(law)) - known
    may = enough <= others
    curvature = float(law[may] @ (others * (others - 1))[may])
    return _Reach(law[may], enough[may], (others - enough)[may], curvature)


def _smallest_fixed_point(reach: _Reach, seeded: float, start: float) -> float:
    """Return the smallest q from `start` up with q = seeded + (1 - seeded) * reach(q), which lies above q at first.

    From below and in steps that cannot pass it: what is left of the gap after a step d is at least gap + slope * d -
    curvature * d**2 / 2, and at least gap - d. Close to it these are Newton's, so that it is met in a few.
    """
    q, curvature = start, max((1 - seeded) * reach.curvature, _ROUNDING)
    while (gap := seeded + (1 - seeded) * reach.value(q) - q) > _ROUNDING * q:
        slope = (1 - seeded) * reach.slope(q) - 1
        root = sqrt(slope**2 + 2 * curvature * gap)
        q += max(gap, (slope + root) / curvature if slope > 0 else 2 * gap / (root - slope))
        if q >= 1:
            return 1.0
    return q
