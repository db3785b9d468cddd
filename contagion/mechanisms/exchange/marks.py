"""The mark vector: what the exchange values every coin and contract at, and so whom it liquidates.

A mark is the weighted mean of its sources (own book, index), smoothed over time and held within a clamp of the
index; a book that is empty or too wide gives way to the index. Every step is linear in its sources but for the
clamp, so a mark knows as exactly as a price what has moved it (`finance.branching`).

All marks of an interval are read at once: whoever polls sees one vector and not a sequence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp
from typing import Any

from contagion.errors import Misfit
from contagion.finance.branching import Mark, averaged
from contagion.log import Channel
from contagion.mechanisms.exchange.terms import Marked
from contagion.ports import Feed, Tick
from contagion.simulation import Simulation
from contagion.units import PPM, to_ppm
from contagion.venues import BUY, SELL

Weights = Sequence[tuple[Feed, int]]


@dataclass
class Line:
    """One coin or contract: where its mark comes from, and the event that last made it.

    smooth : the mean of the sources; cause : the event by which a source moved last; funded : funding that longs
    have paid, which is taken off what a contract is worth.
    """

    asset: int
    feed: Feed
    sources: Weights
    index: Weights
    terms: Marked
    book: Any = None
    smooth: Mark | None = None
    event: int = 0
    cause: int = 0
    funded: int = 0
    delta: int = field(init=False, default=0)
    _read: int = field(init=False)

    def __post_init__(self) -> None:
        self._read = self.feed.mark.price
        if self.smooth is None:
            self.smooth = self.feed.mark

    def shift(self, funding: int, event: int) -> None:
        """Take a funding payment off what one contract is worth."""
        self.funded += funding
        self.event = event
        self.feed.move(self.feed.mark.price - funding, event, Channel.FUNDING)

    def read(self) -> None:
        """Take the present mark as this interval's; `delta` is how far it has moved since the last one."""
        self.delta, self._read = self.feed.mark.price - self._read, self.feed.mark.price


class MarkVector:
    """All marks of an exchange."""

    def __init__(self, sim: Simulation, node: int, interval_us: int) -> None:
        self.sim, self.node, self._interval_us = sim, node, interval_us
        self.lines: list[Line] = []
        self._by_source: dict[int, list[Line]] = {}
        self._heard: dict[int, Mark] = {}
        self._updated_us = 0

    def add(self, line: Line) -> None:
        """Take a line into the vector."""
        self.lines.append(line)
        for feed, _ in [*line.sources, *line.index]:
            self._by_source.setdefault(feed.market, []).append(line)
            self._heard[feed.market] = feed.mark

    def hear(self, messages: Sequence[tuple[int, Tick | None]]) -> None:
        """Take in what has arrived: the sources' marks, and by which event each line was moved last.

        A message without a tick only wakes.
        """
        for cause, tick in messages:
            if tick is None:
                continue
            self._heard[tick.market] = tick.mark
            for line in self._by_source.get(tick.market, ()):
                line.cause = cause

    def update(self) -> bool:
        """Read the vector of this interval; return whether any mark is still on its way.

        Marks that were at rest begin to move in the interval in which a source did, however long they had rested.
        """
        now, moving = self.sim.env.now, False
        elapsed, self._updated_us = min(now - self._updated_us, self._interval_us), now
        for line in self.lines:
            if line.cause:
                moving |= self._update(line, elapsed)
            line.read()
        return moving

    def _update(self, line: Line, elapsed_us: int) -> bool:
        before, target = line.smooth, self._target(line)
        assert before is not None
        share = PPM if not line.terms.ema else round(PPM * (1.0 - exp(-elapsed_us / line.terms.ema)))
        after = averaged([(before, PPM * PPM - share * PPM), *((mark, share * w) for mark, w in target)], 0)
        goal = sum(mark.price * weight for mark, weight in target) // PPM
        if abs(goal - after.price) * PPM < goal:
            after = averaged(target, 0)
        line.smooth = after
        price = max(self._clamped(line, after.price) - line.funded, 1)
        if price != line.feed.mark.price:
            line.event = self.sim.record(
                "mark", self.node, cause=line.cause, asset=line.asset, market=line.feed.market, price=price
            )
            line.feed.follow(price, line.event, [(before, after, PPM)])
        return after.price != goal

    def _target(self, line: Line) -> list[tuple[Mark, int]]:
        weights = line.sources
        if line.terms.wide is not None and line.book is not None:
            bid, ask = line.book.best(BUY), line.book.best(SELL)
            if bid is None or ask is None or (ask - bid) * PPM > bid * to_ppm(line.terms.wide):
                weights = line.index
        return [(self._heard[feed.market], weight) for feed, weight in weights]

    def index(self, line: Line) -> int:
        """Return the index of a line, from what has been heard of its sources."""
        return sum(self._heard[feed.market].price * weight for feed, weight in line.index) // PPM

    def _clamped(self, line: Line, price: int) -> int:
        if line.terms.clamp is None:
            return max(price, 1)
        index = self.index(line)
        width = index * to_ppm(line.terms.clamp) // PPM
        return max(min(max(price, index - width), index + width), 1)


def weighted(
    sim: Simulation, node: int, path: tuple[str, ...], stated: Mapping[str, Any], feeds: Mapping[str, Feed]
) -> list[tuple[Feed, int]]:
    """Return (feed, weight in ppm) of stated sources; Misfit where one does not reach the exchange."""
    total = sum(stated.values())
    found, given = [], 0
    for number, (name, weight) in enumerate(stated.items(), 1):
        if name not in feeds:
            what = f"{name!r} is no feed that reaches this exchange: add a 'prices' edge from it"
            raise Misfit(("nodes", sim.network.names[node], *path, name), what)
        share = PPM - given if number == len(stated) else to_ppm(weight / total)
        found.append((feeds[name], share))
        given += share
    return found
