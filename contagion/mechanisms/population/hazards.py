"""Leaving by a hazard: the deeper a price has fallen, the larger the share of a crowd that leaves in an hour.

Who leaves is the order in which members were drawn, how many in an interval a binomial draw from the node's own
stream; nobody leaves twice, so the stock is finite.

What they do moves prices through one of two channels. De-peg: the coin that they leave has a peg, the price that they
look at is that coin's, and it lies below the peg's band. Panic: everything else, a fall inside the band included.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from math import expm1
from typing import Annotated, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from contagion.log import Channel
from contagion.params import Positive, Share
from contagion.ports import FEEDS, Feed, Process
from contagion.simulation import Simulation

HOUR = 3_600_000_000


def _deeper_is_faster(hazards: list[tuple[Decimal, Decimal]]) -> list[tuple[Decimal, Decimal]]:
    falls, rates = zip(*hazards, strict=True)
    if list(falls) != sorted(set(falls)) or list(rates) != sorted(rates):
        raise ValueError("'hazards' rise: the deeper the fall, the larger the share that leaves an hour")
    return hazards


Hazards = Annotated[list[tuple[Share, Positive]], Field(min_length=1), AfterValidator(_deeper_is_faster)]
"""(fall from the opening price, share that leaves an hour), rising."""


def hazard(hazards: Sequence[tuple[Any, Any]], fall: float) -> float:
    """Return the rate of the deepest bracket that a fall has reached, an hour; 0 above all.

    >>> hazard([(0.05, 1), (0.2, 6)], 0.1), hazard([(0.05, 1)], 0.01)
    (1.0, 0.0)
    """
    return max((float(rate) for at, rate in hazards if fall >= float(at)), default=0.0)


def leavers(rng: np.random.Generator, left: int, rate: float, interval_us: int) -> int:
    """Return how many of those left leave in an interval, at a rate an hour.

    >>> leavers(np.random.default_rng(1), 10, 1e9, HOUR)
    10
    """
    return int(rng.binomial(left, round(-expm1(-rate * interval_us / HOUR), 12)))


class Pegged(Protocol):
    """An asset, which may have a peg."""

    def outside(self, price: int) -> int:
        """Return -1 for a price below the peg's band, 1 above it, 0 within it or where there is no peg."""


class Leaving:
    """The members of a crowd who have not left yet, and the price that they look at."""

    def __init__(self, sim: Simulation, node: int, count: int, hazards: Sequence[tuple[Any, Any]], interval_us: int):
        self.sim, self.node, self.count, self.interval_us = sim, node, count, interval_us
        self.gone = 0
        self._hazards, self._inbox, self._cause = hazards, sim.inbox(), 0

    def watch(self, market: str) -> bool:
        """Look at the price of a market; return whether it reaches the crowd over a `prices` edge."""
        number = self.sim.network.ids[market]
        found = [feed for feed in self._listen() if feed.market == number]
        self._feed = found[0] if found else None
        return bool(found)

    def process(self, leave: Callable[[NDArray[np.int64], int], Any], rng: np.random.Generator) -> Process:
        """Let members leave (their numbers, a cause) while the price is low and anybody is left."""
        assert self._feed is not None
        self._price = self._opened = self._feed.mark.price
        self._cause = self.sim.opening
        while self.gone < self.count:
            yield self._inbox.wait()
            while self.gone < self.count and (rate := hazard(self._hazards, self._fall())):
                cause = self._cause
                yield self.sim.env.timeout(self.interval_us - self.sim.env.now % self.interval_us)
                if count := leavers(rng, self.count - self.gone, rate, self.interval_us):
                    self.gone += count
                    leave(np.arange(self.gone - count, self.gone), cause)

    def channel(self, asset: int) -> Channel:
        """Return the channel of who leaves a coin now: de-peg where its own price lies below its band, else panic."""
        assert self._feed is not None
        coin = self.sim.mechanisms[self.sim.network.ids[self.sim.ledger.assets[asset].name]]
        broken = self._feed.asset == asset and cast(Pegged, coin).outside(self._price) < 0
        return Channel.DEPEG if broken else Channel.PANIC

    def _listen(self) -> list[Feed]:
        feeds = []
        for link in self.sim.links(self.node, FEEDS):
            for _, feed in sorted(link.peer.feeds.items()):
                feed.changed.reach(self._inbox, link.latency_us)
                feeds.append(feed)
        return feeds

    def _fall(self) -> float:
        """Return the fall since the opening after all that has been heard."""
        assert self._feed is not None
        for cause, tick in self._inbox.take():
            if tick.market == self._feed.market:
                self._cause, self._price = cause, tick.mark.price
        return 1.0 - self._price / self._opened
