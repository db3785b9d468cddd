"""A stablecoin that is redeemed for newly minted tokens of its own: what redemptions do to those tokens' price.

Redeeming x dollars mints x worth of tokens at the price of now. If the market's capitalisation stayed the same, each
redemption would dilute the price by 1 + x/M; when the new tokens are sold into a pool, they raise less than x, and
the shortfall is what the peg is worth less.

Source: derived; the mechanism of Kereiakes, Kwon, Di Maggio and Platias, "Terra money" (2019).
"""

from math import exp


def price_after(price: float, capitalisation: float, redeemed: float, times: int) -> float:
    """Return the token's price after equal redemptions, each minting for the price that the last one left.

    capitalisation : of the tokens, which stays; redeemed : each time, in the same money.

    Source: derived: P_n = P (1 + x / M)**-n, x redeemed each time, M the capitalisation.

    >>> round(price_after(80, 30e9, 1e9, 10), 6)
    57.634907
    """
    return float(price * (1 + redeemed / capitalisation) ** -times)


def supply_after(supply: float, capitalisation: float, redeemed: float, times: int) -> float:
    """Return the tokens there are after equal redemptions: capitalisation stays, so supply rises as the price falls.

    Source: derived: S_n = S (1 + x / M)**n.

    >>> round(supply_after(375e6, 30e9, 1e9, 10))
    520517888
    """
    return float(supply * (1 + redeemed / capitalisation) ** times)


def continuous_price(price: float, capitalisation: float, redeemed: float) -> float:
    """Return the limit of ever smaller redemptions of `redeemed` together.

    Source: derived: P = P_0 exp(-x / M), the limit of (1 + x / (n M))**-n.

    >>> round(continuous_price(80, 30e9, 10e9), 6)
    57.322505
    """
    return price * exp(-redeemed / capitalisation)


def raised(redeemed: float, price: float, tokens: float, money: float) -> float:
    """Return what a redemption's new tokens bring in a constant-product pool of (tokens, money), without a fee.

    Source: derived from the constant product: raised = money m / (tokens + m), m = redeemed / price tokens minted.

    >>> round(raised(1e9, 80, 5e6, 400e6))
    285714286
    """
    minted = redeemed / price
    return money * minted / (tokens + minted)
