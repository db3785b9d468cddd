"""Spot holders who sell by a hazard: the deeper the fall, the more of them an hour, until nobody is left.

Every holder has coins of one kind in an account at the exchange and sells all of them at once, at what the book
gives. The hazard is stated by fall from the opening price; how many sell in an interval is a binomial draw from
the node's own stream, who they are is the order in which they were drawn. Their stock is finite.
"""

from collections.abc import Iterator
from decimal import Decimal
from math import expm1
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from contagion.accounts import AccountBook
from contagion.errors import Misfit
from contagion.log import Channel
from contagion.mechanisms.population.sizes import Quantiles, draw_sizes, rows_of, scaled
from contagion.params import AssetName, Duration, NodeName, Params, Positive, Share
from contagion.ports import FEEDS, Process
from contagion.simulation import Simulation
from contagion.units import SUPPLY_LIMIT
from contagion.venues import crowd_exchange


class HolderTerms(Params):
    """`total` coins of `asset`, sold on `market`; `hazards` are (fall from the opening price, share an hour)."""

    asset: AssetName
    market: NodeName
    total: Positive
    sizes: Quantiles = [(Decimal(0), Decimal(1)), (Decimal(1), Decimal(1000))]
    largest: Share = Decimal("0.02")
    hazards: list[tuple[Share, Positive]] = Field(min_length=1)
    interval: Duration = Field(default=1_000_000, gt=0)

    @model_validator(mode="after")
    def _deeper_is_faster(self) -> Self:
        falls, rates = zip(*self.hazards, strict=True)
        if list(falls) != sorted(set(falls)) or list(rates) != sorted(rates):
            raise ValueError("'hazards' rise: the deeper the fall, the larger the share that sells an hour")
        return self


class Holders:
    """N holders of one coin."""

    def __init__(self, sim: Simulation, node: int, count: int, terms: HolderTerms) -> None:
        self.sim, self.node, self.count, self.terms = sim, node, count, terms
        self._next = 0
        self._inbox = sim.inbox()

    def open(self) -> None:
        """Draw the holders and open their accounts."""
        sim, terms, name = self.sim, self.terms, self.sim.network.names[self.node]
        self._exchange: Any = crowd_exchange(sim, self.node)
        self._rng = sim.rng(name)
        self._feed = next((feed for feed in self._listen() if feed.market == sim.network.ids[terms.market]), None)
        if self._feed is None:
            raise Misfit(("nodes", name, "holders", "market"), f"add a 'prices' edge from {terms.market!r}")
        asset, book = sim.assets[terms.asset], self._exchange.book_of(sim.network.ids[terms.market])
        self._check(("nodes", name, "holders"), asset)
        sizes = draw_sizes(self._rng, self.count, terms.sizes)
        lots = scaled(sizes, sim.units(asset, terms.total) // book.lot, float(terms.largest))
        self._coins = lots * book.lot
        slots = np.where(lots > 0, self._exchange.line_number(asset), -1)[:, None]
        quantities, nothing = self._coins[:, None], np.zeros((self.count, 1), np.int64)
        rows = rows_of(slots, quantities, nothing, np.zeros(self.count, np.int64))
        self._exchange.open_crowd(self.node, AccountBook(rows, self._exchange.rules()))
        self._hazards = [(float(fall), float(rate)) for fall, rate in terms.hazards]

    def _check(self, path: tuple[str, ...], asset: int) -> None:
        terms = self.terms
        if asset not in self._exchange.feeds or self._exchange.params.assets[terms.asset].market != terms.market:
            what = f"{terms.market!r} is not the market on which the exchange sells {terms.asset!r} (its 'assets')"
            raise Misfit((*path, "market"), what)
        if self.sim.units(asset, terms.total) >= SUPPLY_LIMIT:
            raise Misfit((*path, "total"), f"{terms.total} are more base units than can be counted")

    def _listen(self) -> Iterator[Any]:
        for link in self.sim.links(self.node, FEEDS):
            for _, feed in sorted(link.peer.feeds.items()):
                feed.changed.reach(self._inbox, link.latency_us)
                yield feed

    def sell(self) -> Process:
        """Sell while the price is low and anybody is left."""
        sim, interval = self.sim, self.terms.interval
        price = opened = self._feed.mark.price  # type: ignore[union-attr]
        cause = sim.opening
        while self._next < self.count:
            yield self._inbox.wait()
            rate = 1.0
            while rate and self._next < self.count:
                for heard, tick in self._inbox.take():
                    cause, price = heard, tick.mark.price
                rate = self._hazard(1.0 - price / opened)
                if not rate:
                    break
                yield sim.env.timeout(interval - sim.env.now % interval)
                self._sell_some(rate, cause)

    def _hazard(self, fall: float) -> float:
        """Return the rate of the deepest bracket that a fall has reached, an hour; 0 above all."""
        return max((rate for at, rate in self._hazards if fall >= at), default=0.0)

    def _sell_some(self, rate: float, cause: int) -> None:
        chance = round(-expm1(-rate * self.terms.interval / 3_600_000_000), 12)
        count = int(self._rng.binomial(self.count - self._next, chance))
        if not count:
            return
        members = np.arange(self._next, self._next + count)
        self._next += count
        self._exchange.sell_members(
            self.node, members, self.sim.assets[self.terms.asset], self._coins[members], cause=cause,
            channel=Channel.PANIC,
        )  # fmt: skip
