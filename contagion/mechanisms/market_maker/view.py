"""How a maker sees one asset: a reference price and the stress it is under.

The reference follows the news (the fundamental, counted once), is drawn to what other venues say and to the
fundamental itself, and to the maker's own market as far as the maker has traded there: a tiny trade far from
the reference is no information. Volatility is read from the reference and never from last trades, whose bounce
in an empty book would keep makers away for ever; it rises at once and fades slowly. All is rounded to what a
price can say, so that the last bit of an exponential decides nothing.
"""

from dataclasses import dataclass

from contagion.finance.quoting import approached

MEAN_US = 40_000_000
"""Time constant of the mean that volatility is measured against."""


@dataclass
class View:
    """A reference price (10^-9 of the currency) with its mean and volatility; rates are shares a second."""

    reference: float
    fundamental: int
    others: dict[int, tuple[int, float]]
    calm: float
    memory_us: int
    anchor: float
    pull: float
    mean: float = 0.0
    volatility: float = 0.0
    updated_us: int = 0

    def __post_init__(self) -> None:
        self.mean = self.mean or self.reference

    @property
    def stress(self) -> float:
        """Return volatility over its calm level, at least 1."""
        return max(self.volatility / self.calm, 1.0)

    def news(self, fundamental: int) -> None:
        """Move with the fundamental, in proportion."""
        self.reference = float(round(self.reference * (fundamental / self.fundamental)))
        self.fundamental = fundamental
        self._observe()

    def learn(self, price: int, share: float) -> None:
        """Move a share of the way to a price at which the maker has traded."""
        self.reference = float(round(self.reference + (price - self.reference) * share))
        self._observe()

    def advance(self, now_us: int) -> None:
        """Let time pass: the pulls of other venues and of the fundamental, the mean, and volatility as it fades.

        What is learnt afterwards counts from now on.
        """
        elapsed, self.updated_us = now_us - self.updated_us, now_us
        if not elapsed:
            return
        seconds = elapsed / 1_000_000
        for price, weight in self.others.values():
            self.reference += (price - self.reference) * min(weight * self.pull * seconds, 1.0)
        self.reference += (self.fundamental - self.reference) * min(self.anchor * seconds, 1.0)
        self.mean = float(round(approached(self.mean, self.reference, elapsed, MEAN_US)))
        self.reference = float(round(self.reference))
        self.volatility = round(approached(self.volatility, 0.0, elapsed, self.memory_us), 12)
        self._observe()

    def _observe(self) -> None:
        """Let volatility be at least the present distance of the reference from its mean."""
        self.volatility = max(self.volatility, round(abs(self.reference / self.mean - 1.0), 12))
