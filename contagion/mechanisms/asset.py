"""Something that is held and traded: decimals, a reference price and, for a stablecoin, a peg.

The reference price is the asset's fundamental (what an oracle of source `redemption` or `pegged` reads): it
moves by shocks and, at the annual `yield_rate`, by the hour. A pegged asset that reads a market over a
`prices` edge fails (`de-peg`) when that price leaves the band; a second crossing is a repeat.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

from pydantic import Field

from contagion.finance.branching import Exposure
from contagion.log import CLOCK, Channel
from contagion.params import NodeName, Positive, Rate, Share
from contagion.params import Params as Parameters
from contagion.ports import Feed, Mechanism, Process
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_DECIMALS, YEAR, to_ppm, to_units

_HOUR = 3_600_000_000


class Asset:
    """A column of the ledger with a fundamental price."""

    class Params(Parameters):
        """Facts of an asset; `price` in the scenario's currency, `market` its default valuation."""

        decimals: int = Field(default=6, ge=0, le=12)
        price: Positive = Decimal(1)
        market: NodeName | None = None
        issuer: NodeName | None = None
        yield_rate: Rate = Decimal(0)
        peg: Positive | None = None
        band: Share = Decimal("0.02")

    opens = 0
    reacts: ClassVar[bool] = False

    def __init__(self, sim: Simulation, node: int, params: "Asset.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        self.asset = sim.assets[sim.network.names[node]]
        self.feeds: dict[int, Feed] = {}

    def open(self) -> None:
        """Quote the reference price."""
        price = to_units(self.params.price, PRICE_DECIMALS)
        self.feeds[self.asset] = self.sim.feed(self.node, self.asset, price)

    def processes(self) -> Iterable[Process]:
        """Return the growth of the reference price and the watch over the peg, where there are any."""
        if self.params.yield_rate:
            yield self._grow()
        if self.params.peg is not None:
            yield self._watch_peg()

    def reprice(self, price: int, event: int) -> None:
        """Set the reference price, as a shock does."""
        self.feeds[self.asset].move(price, event, Channel.EXOGENOUS)

    def outside(self, price: int) -> int:
        """Return -1 for a price below the peg's band, 1 above it, 0 within it or where there is no peg."""
        if self.params.peg is None:
            return 0
        peg = to_units(self.params.peg, PRICE_DECIMALS)
        width = peg * to_ppm(self.params.band) // PPM
        return (price > peg + width) - (price < peg - width)

    def _grow(self) -> Process:
        sim, feed = self.sim, self.feeds[self.asset]
        growth = to_ppm(self.params.yield_rate)
        while True:
            yield sim.env.timeout(_HOUR)
            price = feed.mark.price + feed.mark.price * growth * _HOUR // (PPM * YEAR)
            event = sim.record("yield", self.node, cause=CLOCK, asset=self.asset, price=price)
            feed.move(price, event, Channel.INTEREST)

    def _watch_peg(self) -> Process:
        sim, inbox = self.sim, self.sim.inbox()
        feeds = {feed.market: feed for feed in sim.subscribe(self.node, asset=self.asset, inbox=inbox)}
        sides = {market: self.outside(feed.mark.price) for market, feed in feeds.items()}
        while True:
            yield inbox.wait()
            for cause, tick in inbox.take():
                was, side = sides[tick.market], self.outside(tick.mark.price)
                sides[tick.market] = side
                if side and not was:
                    sim.record(
                        "de-peg", self.node, cause=cause, asset=self.asset, market=tick.market,
                        price=tick.mark.price,
                        exposures=[Exposure(-side, feeds[tick.market].opened, tick.mark)],
                    )  # fmt: skip


MECHANISM: type[Mechanism] = Asset
