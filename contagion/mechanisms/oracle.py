"""An oracle: the price of one asset as its readers see it, which may not be the price at which it trades.

Where the answer comes from is its `source`: `book` or `pool` reads one market, `index` the weighted mean of
several, `twap` the time-weighted mean of one over a window, `redemption` and `pegged` the reference price of
the asset its `prices` edge brings (redemption value; for a peg the one of the stablecoin it stands for). The
reading times `rate`, at most `cap`, is published when it differs by `deviation` from the last answer or when
`heartbeat` has passed (Chainlink's rules). `latency` lies between reading and answer, and there is one answer
under way at a time: what happens meanwhile is seen in the next reading, which takes the latest prices.
"""

from collections.abc import Iterable
from decimal import Decimal
from itertools import accumulate, pairwise
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from contagion.errors import Misfit
from contagion.finance.branching import Mark, averaged
from contagion.params import AssetName, Duration, Positive, Share
from contagion.params import Params as Parameters
from contagion.ports import FEEDS, Feed, Mechanism, PriceSource, Process
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_DECIMALS, to_ppm, to_units

_MARKET_SOURCES = ("book", "pool", "index", "twap")


class Oracle:
    """A feed that follows other feeds, late and in steps."""

    class Params(Parameters):
        """What is read and when it is told; `weights` (index) by market, equal where not stated."""

        asset: AssetName
        source: Literal["book", "pool", "index", "redemption", "pegged", "twap"] = "book"
        rate: Positive = Decimal(1)
        cap: Positive | None = None
        deviation: Share = Decimal(0)
        heartbeat: Duration = 3_600_000_000
        latency: Duration = 0
        window: Duration = 1_800_000_000
        weights: dict[str, Positive] = {}

        @model_validator(mode="after")
        def _samples(self) -> Self:
            if self.source == "twap" and not self.heartbeat:
                raise ValueError("a 'twap' is computed every 'heartbeat', which cannot be 0")
            return self

    opens = 3
    reacts: ClassVar[bool] = False

    def __init__(self, sim: Simulation, node: int, params: "Oracle.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        self.asset = sim.assets[params.asset]
        self.feeds: dict[int, Feed] = {}
        self._inbox = sim.inbox()
        self._now: dict[int, Mark] = {}
        self._history: list[tuple[int, Mark]] = []

    def open(self) -> None:
        """Answer with the opening reading."""
        self._now = {feed.market: feed.mark for feed in self._sources()}
        self._history = [(0, mark) for mark in self._now.values()][:1]
        self._weights = self._source_weights()
        self._read = self._reading()
        price = sum(mark.price * weight for mark, weight in self._read) // PPM
        self.feeds[self.asset] = self.sim.feed(self.node, self.asset, self._capped(price))
        self._told_at = 0
        self._cause = 0

    def processes(self) -> Iterable[Process]:
        """Return the reading of the sources and the heartbeat."""
        if self.sim.twin != "rounds" and self.params.heartbeat and self.params.source != "twap":
            yield self._beat()
        yield self._average() if self.params.source == "twap" else self._watch()

    def _sources(self) -> list[Feed]:
        sim, path = self.sim, ("nodes", self.sim.network.names[self.node], "source")
        markets = self.params.source in _MARKET_SOURCES
        feeds = []
        for link in sim.links(self.node, FEEDS):
            peer: PriceSource = link.peer
            if (sim.network.nodes[peer.node].kind != "asset") != markets:
                continue
            found = [f for a, f in sorted(peer.feeds.items()) if not markets or a == self.asset]
            for feed in found:
                feed.changed.reach(self._inbox, link.latency_us)
            feeds += found
        if not feeds or (len(feeds) > 1 and self.params.source != "index"):
            wanted = "a market that trades it" if markets else "an asset node"
            what = f"source '{self.params.source}' reads {wanted} over one prices edge; there are {len(feeds)}"
            raise Misfit(path, what)
        return feeds

    def _source_weights(self) -> dict[int, int]:
        names = self.sim.feed_names
        raw = {market: self.params.weights.get(names[market], Decimal(1)) for market in self._now}
        shares = [self.params.rate * upto / sum(raw.values()) for upto in accumulate(raw.values(), initial=Decimal(0))]
        return {market: to_ppm(b) - to_ppm(a) for market, (a, b) in zip(raw, pairwise(shares), strict=True)}

    def _capped(self, price: int) -> int:
        cap = self.params.cap
        return price if cap is None else min(price, to_units(cap, PRICE_DECIMALS))

    def _reading(self) -> list[tuple[Mark, int]]:
        return [(mark, self._weights[market]) for market, mark in self._now.items()]

    def _deviates(self, reading: list[tuple[Mark, int]]) -> bool:
        answer = self.feeds[self.asset].mark.price
        price = self._capped(sum(mark.price * weight for mark, weight in reading) // PPM)
        return price != answer and abs(price - answer) * PPM >= answer * to_ppm(self.params.deviation)

    def _watch(self) -> Process:
        while True:
            yield self._inbox.wait()
            first = None  # the change from which the reading has deviated until now
            for cause, tick in self._inbox.take():
                self._now[tick.market], self._cause = tick.mark, cause
                if not self._deviates(reading := self._reading()):
                    first = None
                elif self.params.latency:
                    first = cause if first is None else first
                else:
                    self._tell(reading, cause)
            if first is not None:
                reading = self._reading()
                yield self.sim.pause(self.params.latency)
                self._tell(reading, first)

    def _beat(self) -> Process:
        while True:
            yield self.sim.env.timeout(self._told_at + self.params.heartbeat - self.sim.env.now)
            if self.sim.env.now >= self._told_at + self.params.heartbeat:
                reading, cause = self._reading(), self._cause
                if self.params.latency:
                    yield self.sim.pause(self.params.latency)
                self._tell(reading, cause)

    def _average(self) -> Process:
        sim, heartbeat = self.sim, self.params.heartbeat
        while True:
            yield sim.env.timeout(heartbeat)
            for cause, tick in self._inbox.take():
                self._now[tick.market], self._cause = tick.mark, cause
                self._history.append((tick.time_us, tick.mark))
            reading = [(self._mean(), next(iter(self._weights.values())))]
            if self._deviates(reading):
                last = self._cause
                if self.params.latency:
                    yield sim.pause(self.params.latency)
                self._tell(reading, last)

    def _mean(self) -> Mark:
        """Return the time-weighted mean mark of the window that ends now."""
        now = self.sim.env.now
        start = max(now - self.params.window, 0)
        while len(self._history) > 1 and self._history[1][0] <= start:
            self._history.pop(0)
        ends = [time for time, _ in self._history[1:]] + [now]
        weights = [(mark, end - max(time, start)) for (time, mark), end in zip(self._history, ends, strict=True)]
        return averaged([(mark, w) for mark, w in weights if w > 0] or [(self._history[-1][1], 1)], 0)

    def _tell(self, reading: list[tuple[Mark, int]], cause: int) -> None:
        """Publish a reading; the feed's sums follow the marks that were read."""
        sim, feed = self.sim, self.feeds[self.asset]
        price = self._capped(sum(mark.price * weight for mark, weight in reading) // PPM)
        sources = [(old, new, w) for (old, _), (new, w) in zip(self._read, reading, strict=True)]
        self._told_at = sim.env.now
        late = any(new.event < old.event for old, new, _ in sources)
        if late or price == feed.mark.price:
            return
        event = sim.record("oracle-update", self.node, cause=cause, asset=self.asset, price=price)
        feed.follow(price, event, sources)
        self._read = reading


MECHANISM: type[Mechanism] = Oracle
