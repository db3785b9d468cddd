"""Redemption at par, first come, first served, out of cash and then of securities sold at a discount.

As long as redemptions stay below a threshold, who remains is backed better than before; beyond it every sale costs
those who stay more than they had above par, so that it pays to be early, although the issuer began solvent. Amounts
in one unit; a haircut is the fraction by which a forced sale brings less than the holding is worth.

Source: derived; Diamond and Dybvig, "Bank runs, deposit insurance, and liquidity" (1983), for a token at par as in
Klages-Mundt and Minca, "(In)stability for the blockchain" (2019).
"""

from math import inf


def backing_after(supply: float, cash: float, securities: float, haircut: float, redeemed: float) -> float:
    """Return what stands behind a remaining token once a fraction `redeemed` below 1 of the supply was paid at par.

    ValueError beyond what can be paid (`largest_redemption`).

    Source: derived: (V + max(C - f S, 0) - max(f S - C, 0) / (1 - h)) / (S - f S) = backing, for a fraction f redeemed
    of a supply S, with C cash, V securities, h the haircut.

    >>> round(backing_after(100, 20, 81, 0.05, 0.5), 6)
    0.988421
    """
    if redeemed > largest_redemption(supply, cash, securities, haircut) or redeemed >= 1:
        raise ValueError(f"no remaining token once {redeemed:.2%} are redeemed")
    paid = supply * redeemed
    sold = max(paid - cash, 0) / (1 - haircut)
    return (securities + max(cash - paid, 0) - sold) / (supply - paid)


def run_threshold(supply: float, cash: float, securities: float, haircut: float) -> float:
    """Return the fraction of the supply beyond which who remains is backed below par (infinite: never).

    It holds where securities have to be sold, and is negative for who is below par when they were all sold.

    Source: derived: f = (1 - h) / h * (V + C / (1 - h) - S) / S, at which `backing_after` = 1.

    >>> round(run_threshold(100, 20, 81, 0.05), 6)
    0.39
    """
    if not haircut:
        return inf if cash + securities >= supply else -inf
    return (1 - haircut) / haircut * (securities + cash / (1 - haircut) - supply) / supply


def largest_redemption(supply: float, cash: float, securities: float, haircut: float) -> float:
    """Return the fraction of the supply that can be paid at par, with everything sold; at most 1.

    Source: derived: f = min(1, (C + (1 - h) V) / S).

    >>> round(largest_redemption(100, 20, 81, 0.05), 6)
    0.9695
    """
    return min((cash + (1 - haircut) * securities) / supply, 1.0)


def last_movers_loss(supply: float, cash: float, securities: float, haircut: float) -> float:
    """Return what those who come last lose when all run.

    Source: derived: loss = max(0, S - C - (1 - h) V).

    >>> round(last_movers_loss(100, 20, 81, 0.05), 6)
    3.05
    """
    return max(supply - cash - (1 - haircut) * securities, 0.0)
