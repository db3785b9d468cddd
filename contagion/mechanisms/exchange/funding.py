"""What longs pay shorts at an exchange: premiums as they are heard, their mean over the interval, the payment.

A premium is looked at when the marks are (`note`): whatever moves it wakes the exchange, so between two looks it
stands still. `finance.funding` has the rule.
"""

from contagion.finance import funding
from contagion.log import CLOCK, Channel
from contagion.mechanisms.exchange.custody import Custody
from contagion.mechanisms.exchange.marks import Line, MarkVector
from contagion.mechanisms.exchange.terms import ContractTerms, ExchangeTerms
from contagion.simulation import Simulation
from contagion.units import PRICE_DECIMALS, PRICE_SCALE, to_units


class Funding:
    """The funding of all contracts of one exchange that have an index; `due` says whether there is any."""

    def __init__(self, sim: Simulation, custody: Custody, marks: MarkVector, terms: ExchangeTerms) -> None:
        self.sim, self.custody, self.marks, self.interval_us = sim, custody, marks, terms.funding_interval
        stated = terms.funding_interest
        self._interest = None if stated is None else to_units(stated, PRICE_DECIMALS)
        self._clamp = to_units(terms.funding_clamp, PRICE_DECIMALS)
        lines = [line for line in marks.lines if line.index and isinstance(line.terms, ContractTerms)]
        self._means = {line.asset: (line, funding.MeanPremium(0)) for line in lines if self.interval_us}
        self.due = bool(self._means)

    def note(self) -> None:
        """Take in the premiums of this moment."""
        now = self.sim.env.now
        for line, mean in self._means.values():
            mean.note(funding.premium(line.book.last(), self.marks.index(line)), now)

    def rate(self, contract: int) -> float:
        """Return the annual rate that longs pay on a contract if the premium stays as it was on average so far."""
        if contract not in self._means:
            return 0.0
        line, mean = self._means[contract]
        return funding.annual_rate(self._rate(line, mean) / PRICE_SCALE, self.interval_us)

    def pay(self) -> list[int]:
        """Move funding between longs and shorts of every contract, begin the next interval; return the events."""
        self.note()
        events = []
        for line, mean in self._means.values():
            step = self.custody.fund(line.asset, self.marks.index(line) * self._rate(line, mean) // PRICE_SCALE)
            mean.start(self.sim.env.now)
            if step:
                event = self.sim.record(
                    "funding", self.custody.node, cause=CLOCK, asset=line.asset, market=line.feed.market,
                    price=abs(step), quantity=self.custody.open_interest(line.asset), channel=Channel.FUNDING,
                )  # fmt: skip
                line.shift(step, event)
                events.append(event)
        return events

    def _rate(self, line: Line, mean: funding.MeanPremium) -> int:
        assert isinstance(line.terms, ContractTerms)
        cap = to_units(line.terms.funding_cap, PRICE_DECIMALS)
        return funding.funding_rate(mean.value(self.sim.env.now), self._interest, self._clamp, cap)
