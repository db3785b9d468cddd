"""Clearing of interbank debts when banks sell an illiquid asset to keep a capital ratio, and selling moves its price.

Price and payments depend on each other, and there may be several pairs of both that are consistent: the greatest is
found. Whoever pays less than it owes stays in default as prices fall, so that defaults are added round by round, as in
fictitious default, and no round ever adds one that is not in the answer. Within a round payments are linear in the
price, what a bank sells is therefore piecewise a / price + b, and the highest price at which sales and price agree
is found piece by piece from the top: there is no damped or cut-off iteration anywhere.

liquid, illiquid : what banks have after any shock, in money and in units worth 1 before sales; liabilities[i, j] :
what i owes to j (an array or a SciPy sparse one); deposits : what i owes to others, ranking equally; required_ratio :
the least equity over assets, in [0, 1), where assets turned into cash no longer count; impact : the price is
exp(-impact * units sold); recovery : the fraction of a defaulter's assets that is left for its creditors. Equity is
assets, at that price and with what others pay, less what is owed. Below zero a bank is in default; exactly zero it is
not, a comparison that is exact in whole numbers while nothing is sold.

Sources: Cifuentes, Ferrucci and Shin, "Liquidity risk and contagion", Journal of the European Economic Association
3(2-3) (2005); Eisenberg and Noe, "Systemic risk in financial systems" (2001), for the rounds; Rogers and Veraart,
"Failure and rescue in an interbank network" (2013), for default costs.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse import csr_array, eye_array
from scipy.sparse.linalg import splu

Floats = NDArray[np.float64]

FACTORISED = 500
"""Up to so many defaulters their linear system is always factorised."""


class FireSaleClearing(NamedTuple):
    """A price; by bank units sold, liquid assets sold, equity, payments, defaults; then assets lost in defaults.

    waves : who defaults in each round of fictitious default, for the greatest solution; the least has no rounds.
    """

    price: float
    sales: Floats
    liquid_sales: Floats
    equity: Floats
    payments: Floats
    defaulted: NDArray[np.bool_]
    deadweight: float
    waves: list[NDArray[np.int64]]


class ChannelLosses(NamedTuple):
    """Loss of a shock alone and what fire sales and default costs add: Shapley values that sum to the whole loss.

    interaction : what both add together beyond what each adds alone; amplification : the whole over the shock alone.

    Source: derived; Shapley (1953). With l(S) the loss when the channels in S are on: phi_a = l(a) - l() + I / 2, with
    I = l(ab) - l(a) - l(b) + l() the interaction; amplification = l(ab) / l().
    """

    exogenous: float
    fire_sale: float
    default_cost: float
    interaction: float
    amplification: float


class _Banks(NamedTuple):
    """What does not change during a clearing: the arguments, what each owes and is owed, shares by creditor."""

    liquid: Floats
    illiquid: Floats
    owed: Floats
    due: Floats
    shares: Any
    required_ratio: float
    impact: float
    recovery: float


class _Line(NamedTuple):
    """An amount by bank as a function of the price."""

    constant: Floats
    slope: Floats

    def at(self, price: float) -> Floats:
        return np.asarray(self.constant + self.slope * price)


def fire_sale_clearing(
    liquid: Floats, illiquid: Floats, liabilities: Any, deposits: Floats, required_ratio: float, impact: float,
    recovery: float = 1.0,
) -> FireSaleClearing:  # fmt: skip
    """Return the greatest price and payments that agree with each other.

    A bank below its ratio sells liquid assets first, and then of the illiquid one what it must; in default it sells
    everything. With a ratio of 0 only defaulters sell. ValueError for arguments that are negative, do not fit, or are
    out of range.

    Source: Cifuentes, Ferrucci and Shin (2005), equations 2 to 5: x = min(xbar, p e + c + Pi' x), the least sales s by
    which equity / (p (e - s) + c - t + Pi' x) >= r, p = exp(-impact * sum of s); e illiquid, c liquid, t sold of it.

    >>> found = fire_sale_clearing(np.array([3.0]), np.array([100.0]), np.zeros((1, 1)), np.array([95.0]), 0.085, 5e-4)
    >>> round(found.price, 9), round(float(found.sales[0]), 7), found.defaulted.tolist()
    (0.993585931, 12.8694553, [False])
    """
    banks = _banks(liquid, illiquid, liabilities, deposits, required_ratio, impact, recovery)
    defaulted, waves = np.zeros(len(banks.liquid), dtype=np.bool_), list[NDArray[np.int64]]()
    while True:
        shortfall = _shortfall(banks, defaulted)
        inflow = _Line(banks.due - banks.shares.T @ shortfall.constant, -(banks.shares.T @ shortfall.slope))
        assets = _Line(banks.liquid + inflow.constant, banks.illiquid + inflow.slope)
        price = _highest_price(banks, assets, defaulted)
        failing = ~defaulted & (assets.at(price) < banks.owed)
        if not failing.any():
            break
        defaulted = defaulted | failing
        waves.append(np.flatnonzero(failing))
    return _outcome(banks, assets.at(price), defaulted, price, waves)


def least_fire_sale_clearing(
    liquid: Floats, illiquid: Floats, liabilities: Any, deposits: Floats, required_ratio: float, impact: float,
    recovery: float = 1.0,
) -> FireSaleClearing:  # fmt: skip
    """Return the least price and payments that agree with each other; the arguments are those of the greatest.

    What a self-fulfilling panic leads to. Price and payments rise together from everything sold and nothing paid, and
    cannot pass any solution; they are stopped when a round moves none by more than 1e-15 of the price or of all debts.
    What is still missing is that step over one minus the factor from one step to the next; a bank whose equity comes
    to zero only in the limit is left in default. RuntimeError after a million rounds, as where two solutions all but
    meet.

    Source: derived, for equations 2 to 5 of Cifuentes, Ferrucci and Shin (2005): rounds of them rise to the least
    solution from x = 0 and p = exp(-impact * sum of e).

    >>> bank = np.array([0.0]), np.array([100.0]), np.zeros((1, 1)), np.array([95.0])
    >>> [round(find(*bank, 0, 6e-4).price, 6) for find in (fire_sale_clearing, least_fire_sale_clearing)]
    [1.0, 0.941765]
    """
    banks = _banks(liquid, illiquid, liabilities, deposits, required_ratio, impact, recovery)
    price, paid = float(np.exp(-impact * banks.illiquid.sum())), np.zeros(len(banks.liquid))
    for _ in range(1_000_000):
        assets = _Line(banks.liquid + banks.shares.T @ paid, banks.illiquid)
        worth = assets.at(price)
        defaulted = worth < banks.owed
        higher = float(np.exp(-impact * _sales(banks, assets, defaulted, price)[0].sum()))
        more = np.where(defaulted, recovery * worth, banks.owed)
        still = higher - price <= 1e-15 * price and (more - paid).max(initial=0.0) <= 1e-15 * banks.owed.sum()
        if still:
            return _outcome(banks, worth, defaulted, price, [])
        price, paid = higher, more
    raise RuntimeError("price and payments still rise after a million rounds")


def fire_sale_loss(clearing: FireSaleClearing, illiquid: Floats) -> float:
    """Return what the fall of the price takes from all who hold the asset, sold or not.

    Source: derived: loss = (1 - price) * sum of illiquid.

    >>> found = fire_sale_clearing(np.array([3.0]), np.array([100.0]), np.zeros((1, 1)), np.array([95.0]), 0.085, 5e-4)
    >>> round(fire_sale_loss(found, np.array([100.0])), 9)
    0.64140691
    """
    return float((1 - clearing.price) * np.sum(illiquid))


def channel_losses(
    liquid: Floats, illiquid: Floats, liabilities: Any, deposits: Floats, required_ratio: float, impact: float,
    recovery: float, liquid_loss: Floats,
) -> ChannelLosses:  # fmt: skip
    """Return the loss by what is lost of the liquid assets (money), by channel, from all four worlds.

    The fire sale is on or off (an impact of 0), and so is the default cost (a recovery of 1). The loss of a
    world is that loss, what the fall of the price takes, and the deadweight.

    Source: derived; Shapley (1953) for the shares: loss = liquid_loss + (1 - p) * sum of illiquid + deadweight in each
    world, and phi = loss(one) - loss(none) + interaction / 2.

    >>> found = channel_losses(np.array([12, 8, 9]), np.array([60, 70, 50]),
    ...     np.array([[0, 15, 5], [10, 0, 12], [6, 9, 0]]), np.array([62, 74, 56]), 0, 8e-4, 0.85, np.array([9, 0, 0]))
    >>> [round(loss, 6) for loss in found]
    [9.0, 26.729715, 30.143797, 36.587593, 7.319279]
    """

    def loss(impact: float, recovery: float) -> float:
        left = np.asarray(liquid) - liquid_loss
        found = fire_sale_clearing(left, illiquid, liabilities, deposits, required_ratio, impact, recovery)
        return float(np.sum(liquid_loss)) + fire_sale_loss(found, illiquid) + found.deadweight

    alone, sale, cost, both = loss(0, 1), loss(impact, 1), loss(0, recovery), loss(impact, recovery)
    interaction = both - sale - cost + alone
    amplification = both / alone if alone else np.nan
    return ChannelLosses(
        alone, sale - alone + interaction / 2, cost - alone + interaction / 2, interaction, amplification
    )


def _shortfall(banks: _Banks, defaulted: NDArray[np.bool_]) -> _Line:
    """Return what defaulters leave unpaid when exactly these are in default: owed less recovery times assets.

    Assets miss what other defaulters leave unpaid, which makes it a linear system in the defaulters.
    """
    line = _Line(np.zeros(len(defaulted)), np.zeros(len(defaulted)))
    if not (failed := np.flatnonzero(defaulted)).size:
        return line
    worth = banks.liquid[failed] + banks.due[failed]
    alone = np.stack([banks.owed[failed] - banks.recovery * worth, -banks.recovery * banks.illiquid[failed]], axis=1)
    line.constant[failed], line.slope[failed] = _passed_on(banks.recovery * banks.shares[failed][:, failed], alone).T
    return line


def _passed_on(shares: Any, alone: Floats) -> Floats:
    """Return the x that solves x = alone + shares' x, for columns of `alone`.

    A factorisation, whose fill grows too fast in a random network of thousands. There the series alone + shares'
    alone + ... is summed until a term, over all banks, is below half a last bit of the largest entry. It ends because
    part of every payment leaves the defaulters; where so little leaves that 2,000 terms do not end it (a factor above
    0.98 a term), the factorisation is taken after all. Before that the terms left out are below 54 such halves.
    """
    count = len(alone)
    if count > FACTORISED:
        passing, total, term = shares.T.tocsr(), alone.copy(), alone
        for _ in range(2_000):
            term = passing @ term
            total += term
            if (np.abs(term).sum(axis=0) <= 2.0**-54 * np.abs(total).max(axis=0)).all():
                return total
    return np.asarray(splu((eye_array(count) - shares.T).tocsc()).solve(alone))


def _outcome(
    banks: _Banks, worth: Floats, defaulted: NDArray[np.bool_], price: float, waves: list[NDArray[np.int64]]
) -> FireSaleClearing:
    received = worth - price * banks.illiquid
    sales, liquid_sales = _sales(banks, _Line(received, banks.illiquid), defaulted, price)
    payments = np.where(defaulted, banks.recovery * worth, banks.owed)
    lost = float((1 - banks.recovery) * worth[defaulted].sum())
    return FireSaleClearing(price, sales, liquid_sales, worth - banks.owed, payments, defaulted, lost, waves)


def _need(banks: _Banks, assets: _Line, defaulted: NDArray[np.bool_]) -> _Line:
    """Return what a bank must raise from the illiquid asset, the liquid one being sold; not above zero for nothing."""
    if not banks.required_ratio:
        return _Line(np.zeros(len(defaulted)), np.zeros(len(defaulted)))
    allowed = 1 / banks.required_ratio  # assets that one unit of equity carries
    constant = assets.constant - banks.liquid - allowed * (assets.constant - banks.owed)
    return _Line(np.where(defaulted, 0.0, constant), np.where(defaulted, 0.0, (1 - allowed) * assets.slope))


def _sales(banks: _Banks, assets: _Line, defaulted: NDArray[np.bool_], price: float) -> tuple[Floats, Floats]:
    """Return (units, liquid assets) sold by bank."""
    need = _need(banks, assets, defaulted).at(price)
    sales = np.clip(need / price, 0.0, banks.illiquid)
    first = np.clip(need + banks.liquid, 0.0, banks.liquid) if banks.required_ratio else np.zeros_like(sales)
    return np.where(defaulted, banks.illiquid, sales), np.where(defaulted, banks.liquid, first)


def _highest_price(banks: _Banks, assets: _Line, defaulted: NDArray[np.bool_]) -> float:
    """Return the highest price at which what is sold brings about just this price.

    In u = 1 / price the sales of all are piecewise linear, with corners where a bank starts to sell and where it has
    sold everything. In a piece, -log(u) + impact * sales is convex, and zero where price and sales agree: the first
    piece is taken whose minimum is not above zero, and in it the root left of the minimum, to the last bits.
    """
    need = _need(banks, assets, defaulted)
    selling = (need.constant > 0) & (banks.illiquid > 0)
    rate, offset, most = need.constant[selling], need.slope[selling], banks.illiquid[selling]
    settled = banks.illiquid[defaulted].sum()
    last = float(np.exp(banks.impact * (settled + most.sum())))
    corners = np.concatenate([[1.0], -offset / rate, (most - offset) / rate, [last]]).clip(1.0, last)
    order = np.argsort(corners, kind="stable")
    corners = corners[order]
    left, right, piece = corners[:-1], corners[1:], np.diff(corners) > 0
    slope = np.cumsum(np.concatenate([[0.0], rate, -rate, [0.0]])[order])[:-1]
    constant = np.cumsum(np.concatenate([[settled], offset, most - offset, [0.0]])[order])[:-1]
    turn = np.divide(1.0, banks.impact * slope, out=right.copy(), where=banks.impact * slope > 0).clip(left, right)
    reached = np.flatnonzero(piece & (banks.impact * (constant + slope * turn) <= np.log(turn)))
    if not reached.size:
        return 1 / last
    k = reached[0]

    def excess(u: float) -> float:
        return float(banks.impact * (constant[k] + slope[k] * u) - np.log(u))

    if excess(left[k]) <= 0:
        return float(1 / left[k])
    return float(1 / brentq(excess, left[k], turn[k], xtol=1e-300, rtol=1e-15))


def _banks(
    liquid: Floats, illiquid: Floats, liabilities: Any, deposits: Floats, required_ratio: float, impact: float,
    recovery: float,
) -> _Banks:  # fmt: skip
    count, claims = len(liquid), csr_array(liabilities, dtype=np.float64)
    if len(illiquid) != count or len(deposits) != count or claims.shape != (count, count):
        sizes = len(illiquid), len(deposits), claims.shape
        raise ValueError(f"illiquid, deposits, liabilities have sizes {sizes}, expected {count} banks")
    for what, amounts in (("liquid", liquid), ("illiquid", illiquid), ("deposits", deposits), ("claims", claims.data)):
        for at in np.flatnonzero(~((np.asarray(amounts) >= 0) & np.isfinite(amounts)))[:1]:
            raise ValueError(f"{what} must not be negative, and finite: {amounts[at]} at {at}")
    for bank in np.flatnonzero(claims.diagonal())[:1]:
        raise ValueError(f"bank {bank} owes itself {claims.diagonal()[bank]}, expected 0")
    if not (0 <= required_ratio < 1 and 0 <= recovery <= 1):
        raise ValueError(f"ratio {required_ratio} must lie in [0, 1), recovery {recovery} in [0, 1]")
    if not 0 <= impact * np.sum(illiquid) < 700:
        raise ValueError(f"impact {impact} on {np.sum(illiquid)} units must be 0 to 700: a price of exp(-700) is none")
    owed, due = claims.sum(axis=1) + deposits, claims.sum(axis=0)
    shares = claims.multiply(np.divide(1.0, owed, out=np.zeros(count), where=owed > 0)[:, None]).tocsr()
    cash, units = np.asarray(liquid, dtype=np.float64), np.asarray(illiquid, dtype=np.float64)
    return _Banks(cash, units, np.asarray(owed), np.asarray(due), shares, required_ratio, impact, recovery)
