"""What one unit of an asset was worth to a holder at every event, and which channels moved it.

A feed's prices are a step function of the event id. A claim is worth its own index times its underlying asset
as the same holder values that; its increments are the underlying's, at the index before, and then its own, at
the price after.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.units import PRICE_SCALE

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """A value of one base unit over events: increments at `events` (ascending) through `channels`."""

    opening: float
    events: NDArray[np.int64]
    deltas: Floats
    channels: NDArray[np.int64]

    def at(self, events: NDArray[np.int64]) -> Floats:
        """Return the value after each of the given events."""
        return np.asarray(self.levels[np.searchsorted(self.events, events, side="right")])

    @cached_property
    def levels(self) -> Floats:
        """Return the value before the first increment and after each."""
        return np.concatenate([[self.opening], self.opening + np.cumsum(self.deltas)])

    @cached_property
    def ahead(self) -> dict[int, Floats]:
        """Return, per channel, the sum of its increments from each place to the end."""
        table = {}
        for channel in np.unique(self.channels).tolist():
            sums = np.concatenate([[0.0], np.cumsum(np.where(self.channels == channel, self.deltas, 0.0))])
            table[channel] = sums[-1] - sums
        return table

    @property
    def closing(self) -> float:
        """Return the value at the end."""
        return float(self.opening + self.deltas.sum())


class Marks:
    """All series of a run, made on demand: ``marks.series(holder, asset)``."""

    def __init__(self, prices: dict[str, Any], books: Any) -> None:
        self._prices, self._books = prices, books
        order = np.argsort(prices["market"], kind="stable")
        sorted_markets = prices["market"][order]
        markets, starts = np.unique(sorted_markets, return_index=True)
        ends = [*starts[1:].tolist(), len(order)]
        self._rows = {int(market): order[start:end] for market, start, end in zip(markets, starts, ends, strict=True)}
        self._known: dict[tuple[int, int, int], Series] = {}

    def feeds(self, holder: int, asset: int) -> tuple[int, int]:
        """Return (feed, feed of the underlying or -1): holders with the same pair value the asset alike."""
        mark, under = self._books.mark, self._books.underlying[asset]
        return mark(holder, asset), mark(holder, under) if under >= 0 else -1

    def series(self, holder: int, asset: int) -> Series:
        """Return the value, in the currency, of one base unit of an asset to a holder."""
        feed, underlying = self.feeds(holder, asset)
        key = (feed, underlying, self._books.decimals[asset])
        if key not in self._known:
            own = self._feed(feed)
            whole = own if underlying < 0 else _product(own, self._feed(underlying))
            unit = 10.0 ** -self._books.decimals[asset]
            self._known[key] = Series(whole.opening * unit, whole.events, whole.deltas * unit, whole.channels)
        return self._known[key]

    def _feed(self, feed: int) -> Series:
        rows = self._rows[feed]
        prices = {name: self._prices[name][rows] for name in ("event", "price", "delta", "channel")}
        first, rest = 0, slice(1, None)
        return Series(
            float(prices["price"][first]) / PRICE_SCALE,
            prices["event"][rest].astype(np.int64),
            prices["delta"][rest] / PRICE_SCALE,
            prices["channel"][rest].astype(np.int64),
        )


def _product(index: Series, price: Series) -> Series:
    """Return index times price: at one event the price moves first, at the old index, then the index."""
    events = np.concatenate([price.events, index.events])
    moves_index = np.concatenate([np.zeros(len(price.events), bool), np.ones(len(index.events), bool)])
    deltas = np.concatenate([price.deltas, index.deltas])
    channels = np.concatenate([price.channels, index.channels])
    order = np.lexsort((moves_index, events))
    deltas, moves_index = deltas[order], moves_index[order]
    level_index = index.opening + np.cumsum(np.where(moves_index, deltas, 0.0))
    level_price = price.opening + np.cumsum(np.where(moves_index, 0.0, deltas))
    before = level_index - np.where(moves_index, deltas, 0.0)
    steps = np.where(moves_index, deltas * level_price, deltas * before)
    return Series(index.opening * price.opening, events[order], steps, channels[order])
