"""Interbank claims valued by the equity of who owes them: the network valuation of Barucca et al.

A claim is worth its face value times V(E), a function of the debtor's equity from 0 to 1, and equities are what the
claims make them. The choice of V is the model: full recovery of what there is gives Eisenberg and Noe, a loss in
proportion to the debtor's loss of equity linear DebtRank, and nothing after default Furfine's cascade. Equity here is
*signed*: a negative one says by how much liabilities exceed assets.

Source: Barucca, Bardoscia, Caccioli, D'Errico, Visentin, Caldarelli and Battiston (2020), "Network valuation in
financial systems", Mathematical Finance 30(4). An equity of exactly zero is worth nothing to
Furfine, as in the authors' code; the other two are continuous there. Money in any one unit.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Valuation = Callable[[Array], Array]
"""The share of face value that a claim on each of N banks is worth, from their equities; it never falls with them."""


def eisenberg_noe_value(equity: ArrayLike, liabilities: ArrayLike) -> Array:
    """Return what is recovered of a bank's liabilities, all of one rank: those less its negative equity, over them.

    Source: Barucca et al. (2020), after Eisenberg and Noe (2001): V(E) = 1 for E >= 0, else max(0, (E + pbar) / pbar),
    with pbar the liabilities.

    >>> eisenberg_noe_value([2, 0, -3, -12], 10).tolist()
    [1.0, 1.0, 0.7, 0.0]
    """
    short, owed = np.minimum(np.asarray(equity, dtype=np.float64), 0), np.asarray(liabilities, dtype=np.float64)
    return np.clip(np.divide(owed + short, owed, out=np.ones_like(short + owed), where=owed > 0), 0, 1)


def linear_debtrank_value(equity: ArrayLike, initial: ArrayLike) -> Array:
    """Return the share of its initial equity that a bank has left, from 0 to 1.

    initial : equities before the shock, positive, otherwise ValueError.

    Source: Barucca et al. (2020), after Bardoscia et al. (2015): V(E) = max(E, 0) / E(0), here at most 1.

    >>> linear_debtrank_value([5, 1, -2], 4).tolist()
    [1.0, 0.25, 0.0]
    """
    before = np.asarray(initial, dtype=np.float64)
    if not np.all(before > 0):
        raise ValueError(f"initial has an equity of {before.min()}, expected all above 0")
    return np.clip(np.asarray(equity, dtype=np.float64) / before, 0, 1)


def furfine_value(equity: ArrayLike, recovery: float = 0) -> Array:
    """Return 1 for a bank with positive equity and `recovery` (a share) for any other.

    Source: Barucca et al. (2020), after Furfine (2003): V(E) = 1 for E > 0, else R, the recovery.

    >>> furfine_value([0.1, 0, -1], 0.4).tolist()
    [1.0, 0.4, 0.4]
    """
    return np.where(np.asarray(equity, dtype=np.float64) > 0, 1.0, recovery)


def network_equity(
    liabilities: ArrayLike,
    external_assets: ArrayLike,
    external_liabilities: ArrayLike,
    valuation: Valuation,
    *,
    tolerance: float = 1e-13,
    rounds: int = 100_000,
) -> Array:
    """Return the greatest signed equities E = external assets - all liabilities + claims valued at V(E), shape (N,).

    liabilities : (N, N), what i owes j; external ones : (N). Rounds of valuation begin with all claims at face
    value and only fall; they end when no equity falls by more than `tolerance` of what its bank's balance sheet
    holds. Where V is continuous they approach the solution at a geometric rate; a jump of V is met exactly unless it
    lies within that tolerance. ValueError: shapes, figures that are not finite. ArithmeticError: more than `rounds`
    rounds.

    Source: Barucca et al. (2020), equation 8: E = Phi(E), Phi_i(E) = A_i - L_i + sum over j of L_ji V(E_j), A external
    assets and L_i all liabilities; theorem 3.1 (the greatest E). A ring of three banks that have lost 30% of their
    external assets (their figure 2, the case NV-01):

    >>> ring = np.array([[0, 0, 0.5], [0.5, 0, 0], [0, 0.5, 0]])
    >>> outside = np.array([9, 4, 2])
    >>> network_equity(ring, [7, 3.5, 2.1], outside,
    ...                lambda equity: eisenberg_noe_value(equity, ring.sum(axis=1) + outside)).round(4).tolist()
    [-2.0557, -0.5016, -0.0082]
    """
    owed, assets, debts = (
        np.asarray(x, dtype=np.float64) for x in (liabilities, external_assets, external_liabilities)
    )
    if owed.shape != (assets.size, assets.size) or assets.shape != debts.shape or assets.ndim != 1:
        raise ValueError(
            f"liabilities, external assets and external liabilities have the shapes {owed.shape}, {assets.shape} "
            f"and {debts.shape}, expected (N, N), (N,) and (N,)"
        )
    for name, amounts in (("liabilities", owed), ("external assets", assets), ("external liabilities", debts)):
        if not np.isfinite(amounts).all():
            raise ValueError(f"{name} of {amounts[~np.isfinite(amounts)][0]}, expected finite ones")
    own = assets - debts - owed.sum(axis=1)
    scale = np.abs(assets) + np.abs(debts) + owed.sum(axis=0) + owed.sum(axis=1)
    equity: Array = own + owed.sum(axis=0)
    for _ in range(rounds):
        last, equity = equity, own + valuation(equity) @ owed
        if np.all(np.abs(last - equity) <= tolerance * scale):
            return equity
    raise ArithmeticError(f"equities still fall by {np.max(last - equity)} after {rounds} rounds of valuation")
