"""Tokens that pay by rebasing and trade above their backing: growth in units, and what is left when a premium goes.

A rebase gives every holder more units each epoch, so the yield is real only as far as the price holds: the premium
over the backing is what can collapse. For loops of such a token see `finance.leverage`; rebases let the collateral
grow in units while the debt stays.

Source: derived; the mechanism of OlympusDAO's documentation, "Staking".
"""

EPOCHS_PER_YEAR = 1_095
"""Three rebases a day."""


def growth(rate: float, epochs: int) -> float:
    """Return by how many times the units of a holder grow in so many epochs at `rate` each.

    Source: derived from OlympusDAO's documentation, "Staking": growth = (1 + rate)**epochs.

    >>> round(growth(0.003928, 15), 6)
    1.060568
    """
    return float((1 + rate) ** epochs)


def annual_yield(rate: float, epochs_per_year: int = EPOCHS_PER_YEAR) -> float:
    """Return the yield in units of a year of rebases, compounded.

    Source: derived from OlympusDAO's documentation, "Staking": APY = (1 + rate)**epochs_per_year - 1.

    >>> round(annual_yield(0.003928), 4)
    72.1663
    """
    return growth(rate, epochs_per_year) - 1


def premium(price: float, backing: float) -> float:
    """Return by how much a price exceeds the backing, relative to the backing.

    Source: derived: premium = (price - backing) / backing.

    >>> premium(413, 100)
    3.13
    """
    return (price - backing) / backing


def collapse(price: float, backing: float) -> float:
    """Return the fraction by which a price falls to the backing.

    Source: derived: fall = 1 - backing / price.

    >>> round(collapse(413, 100), 6)
    0.757869
    """
    return 1 - backing / price


def break_even_price(price: float, rate: float, epochs: int) -> float:
    """Return the price at which a holder is even after so many rebases.

    Source: derived: price' = price / (1 + rate)**epochs.

    >>> round(break_even_price(413, 0.003928, 15), 4)
    389.414
    """
    return price / growth(rate, epochs)
