"""Funding of perpetual contracts: what longs pay shorts, so that the contract's price stays near its index.

The premium is averaged over the interval between two payments, later moments counting more, and an interest is
added as far as a clamp lets it: while premium and interest differ by less than the clamp, the rate is the interest.
Rates are integers of 10^-9 of the index.

Source: Binance, "Introduction to Binance Futures funding rates" (interest 0.01% and clamp 0.05% per eight hours;
average premium (1 P_1 + 2 P_2 + ... + n P_n) / (1 + 2 + ... + n)). The venue samples the premium every five seconds
at the price of an order of a stated size; here it is the last price, weighted over continuous time.
"""

from contagion.units import PRICE_SCALE, YEAR


def premium(price: int, index: int) -> int:
    """Return by how much a contract trades above its index, in 10^-9 of the index, rounded down.

    Source: Binance, "Introduction to Binance Futures funding rates": P = (price - index) / index.

    >>> premium(2_010, 2_000)
    5000000
    """
    return (price - index) * PRICE_SCALE // index


def funding_rate(mean_premium: int, interest: int | None, clamp: int, cap: int) -> int:
    """Return the rate of one payment: premium + clamp(interest - premium, -clamp, clamp), within the cap.

    interest : per interval, None for the premium alone; all in 10^-9. Positive: longs pay shorts.

    Source: Binance, "Introduction to Binance Futures funding rates": F = P + clamp(I - P, -0.05%, 0.05%).

    >>> funding_rate(0, 100_000, 500_000, 7_500_000), funding_rate(2_000_000, 100_000, 500_000, 7_500_000)
    (100000, 1500000)
    >>> funding_rate(2_000_000, None, 500_000, 7_500_000), funding_rate(-10**7, 100_000, 500_000, 7_500_000)
    (2000000, -7500000)
    """
    pull = 0 if interest is None else max(min(interest - mean_premium, clamp), -clamp)
    return max(min(mean_premium + pull, cap), -cap)


def annual_rate(rate: float, interval_us: int) -> float:
    """Return what a rate per interval comes to in a year of 365 days, not compounded.

    Source: derived: annual = rate * year / interval.

    >>> round(annual_rate(0.0001, 28_800_000_000), 6)
    0.1095
    """
    return rate * YEAR / interval_us


class MeanPremium:
    """The mean of a premium since the last payment, weighted by the time that has passed since then.

    Source: Binance, "Introduction to Binance Futures funding rates": mean = (1 P_1 + 2 P_2 + ... + n P_n) /
    (1 + 2 + ... + n), here in continuous time: 2 / T^2 times the integral of t P(t).

    >>> mean = MeanPremium(0)
    >>> mean.note(8, 0); mean.note(2, 5)
    >>> mean.value(10), mean.value(5)
    (3, 8)
    >>> mean.start(10); mean.value(10), mean.value(12)
    (2, 2)
    """

    def __init__(self, now_us: int) -> None:
        self._started_us = self._noted_us = now_us
        self._premium = self._sum = 0

    def note(self, premium: int, now_us: int) -> None:
        """Take in the premium that holds from now on."""
        self._sum = self._weighted(now_us)
        self._premium, self._noted_us = premium, now_us

    def value(self, now_us: int) -> int:
        """Return the mean since the last payment, rounded down; at that moment, the premium."""
        elapsed = now_us - self._started_us
        return self._weighted(now_us) // elapsed**2 if elapsed else self._premium

    def start(self, now_us: int) -> None:
        """Begin the next interval."""
        self._started_us = self._noted_us = now_us
        self._sum = 0

    def _weighted(self, now_us: int) -> int:
        """Return the integral of premium times twice the time since the last payment."""
        first, last = self._noted_us - self._started_us, now_us - self._started_us
        return self._sum + self._premium * (last**2 - first**2)
