"""Spot holders who sell by a hazard: the deeper the fall, the more of them an hour, until nobody is left.

Every holder has coins of one kind in an account at the exchange and sells all of them at once, at what the book
gives. The hazard is stated by fall from the opening price of that book, or of what they `watch` instead (holders
of altcoins who look at bitcoin are risk-off selling).
"""

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from contagion.accounts import AccountBook
from contagion.errors import Misfit
from contagion.mechanisms.population.hazards import Hazards, Leaving
from contagion.mechanisms.population.sizes import Quantiles, draw_sizes, rows_of, scaled
from contagion.params import AssetName, Duration, NodeName, Params, Positive, Share
from contagion.ports import Process
from contagion.simulation import Simulation
from contagion.units import SUPPLY_LIMIT
from contagion.venues import crowd_exchange


class HolderTerms(Params):
    """`total` coins of `asset`, sold on `market`; `hazards` are (fall from the opening price, share an hour)."""

    asset: AssetName
    market: NodeName
    total: Positive
    watch: NodeName | None = None
    sizes: Quantiles = [(Decimal(0), Decimal(1)), (Decimal(1), Decimal(1000))]
    largest: Share = Decimal("0.02")
    hazards: Hazards
    interval: Duration = Field(default=1_000_000, gt=0)


class Holders:
    """N holders of one coin."""

    def __init__(self, sim: Simulation, node: int, count: int, terms: HolderTerms) -> None:
        self.sim, self.node, self.count, self.terms = sim, node, count, terms
        self._leaving = Leaving(sim, node, count, terms.hazards, terms.interval)

    def open(self) -> None:
        """Draw the holders and open their accounts."""
        sim, terms, name = self.sim, self.terms, self.sim.network.names[self.node]
        self._exchange: Any = crowd_exchange(sim, self.node)
        self._rng = sim.rng(name)
        if not self._leaving.watch(watched := terms.watch or terms.market):
            key = "watch" if terms.watch else "market"
            raise Misfit(("nodes", name, "holders", key), f"add a 'prices' edge from {watched!r}")
        asset, book = sim.assets[terms.asset], self._exchange.book_of(sim.network.ids[terms.market])
        self._check(("nodes", name, "holders"), asset)
        sizes = draw_sizes(self._rng, self.count, terms.sizes)
        lots = scaled(sizes, sim.units(asset, terms.total) // book.lot, float(terms.largest))
        self._coins = lots * book.lot
        slots = np.where(lots > 0, self._exchange.line_number(asset), -1)[:, None]
        quantities, nothing = self._coins[:, None], np.zeros((self.count, 1), np.int64)
        rows = rows_of(slots, quantities, nothing, np.zeros(self.count, np.int64))
        self._exchange.open_crowd(self.node, AccountBook(rows, self._exchange.rules()))

    def leave(self) -> Process:
        """Return the selling."""
        return self._leaving.process(self._sell, self._rng)

    def _check(self, path: tuple[str, ...], asset: int) -> None:
        terms = self.terms
        if asset not in self._exchange.feeds or self._exchange.params.assets[terms.asset].market != terms.market:
            what = f"{terms.market!r} is not the market on which the exchange sells {terms.asset!r} (its 'assets')"
            raise Misfit((*path, "market"), what)
        if self.sim.units(asset, terms.total) >= SUPPLY_LIMIT:
            raise Misfit((*path, "total"), f"{terms.total} are more base units than can be counted")

    def _sell(self, members: NDArray[np.int64], cause: int) -> None:
        asset = self.sim.assets[self.terms.asset]
        channel = self._leaving.channel(asset)
        self._exchange.sell_members(self.node, members, asset, self._coins[members], cause=cause, channel=channel)
