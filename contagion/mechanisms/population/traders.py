"""Traders with margin accounts: long and short, isolated and cross, a few large ones and very many small.

Everybody has a size (from the stated quantiles of equity), a distance to liquidation (a floor plus a lognormal)
and so a leverage, and a main contract; some cross accounts have two or three positions, and some keep coins as
collateral. Positions are scaled so that longs and shorts each add up to the stated open interest of every book,
in whole lots; entry prices scatter around the mark; and cash is what makes the distance the drawn one, so that
nobody is in breach at the start. Members are numbered by that distance, nearest first.
"""

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from contagion.accounts import AccountBook, by_radius
from contagion.accounts.rules import SLOTS
from contagion.errors import Misfit
from contagion.mechanisms.population.sizes import Quantiles, draw_sizes, rows_of, scaled
from contagion.params import AssetName, NodeName, Params, Positive, Share
from contagion.simulation import Simulation
from contagion.units import SUPPLY_LIMIT
from contagion.venues import crowd_exchange

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


class TraderTerms(Params):
    """`open_interest` in tokens a side, by book; distances are falls (or rises) of all prices until a breach.

    `sizes` are (probability, equity) of the quantile function, of which only the shape matters; `largest` the
    share of a side that one account may hold; `short_share` what of the longs' open interest shorts hold here, the rest
    being the outside's; `several` the chance of a cross account to have a second position, and half of it for a third,
    each with the chance `same_side` on the side of the first; `coins` the chance that a cross account keeps a coin as
    collateral; `entry_spread` the scatter of entry prices.
    """

    open_interest: dict[NodeName, Positive] = Field(min_length=1)
    short_share: Share = Decimal(1)
    sizes: Quantiles = [(Decimal(0), Decimal(1)), (Decimal(1), Decimal(100_000))]
    largest: Share = Decimal("0.02")
    distance_floor: Positive = Decimal("0.03")
    distance_median: Positive = Field(default=Decimal("0.12"), le=1000)
    distance_spread: Positive = Field(default=Decimal("0.9"), le=10)
    isolated: Share = Decimal("0.4")
    several: Share = Decimal("0.3")
    same_side: Share = Decimal("0.85")
    coins: dict[AssetName, Share] = {}
    entry_spread: Share = Decimal("0.02")


class Traders:
    """N margin accounts at one exchange."""

    def __init__(self, sim: Simulation, node: int, count: int, terms: TraderTerms) -> None:
        self.sim, self.node, self.count, self.terms = sim, node, count, terms

    def open(self) -> None:
        """Draw the accounts, or take over what was drawn for a simulation of the same graph and seed; open them."""
        sim, name = self.sim, self.sim.network.names[self.node]
        self._exchange: Any = crowd_exchange(sim, self.node)
        if self.terms.distance_median <= self.terms.distance_floor:
            raise Misfit((*self._path, "distance_median"), "must lie above 'distance_floor'")
        self._rng = sim.rng(name)
        if sim.drawn is None:
            rows = self._draw()
        else:
            if self.node not in sim.drawn:
                sim.drawn[self.node] = self._draw()
            rows = sim.drawn[self.node].copy()  # the run changes them
        self._exchange.open_crowd(self.node, AccountBook(rows, self._exchange.rules()))

    def _draw(self) -> Integers:
        """Return the rows of the accounts, nearest to liquidation first."""
        rng, terms, count = self._rng, self.terms, self.count
        books = [self._book(name) for name in sorted(terms.open_interest)]
        interest = [self.sim.units(book.asset, terms.open_interest[name])
                    for name, book in zip(sorted(terms.open_interest), books, strict=True)]  # fmt: skip
        for name, units in zip(sorted(terms.open_interest), interest, strict=True):
            if units >= SUPPLY_LIMIT:
                what = f"{terms.open_interest[name]} are more base units than can be counted"
                raise Misfit((*self._path, "open_interest", name), what)
        equity = draw_sizes(rng, count, terms.sizes)
        floor, median = float(terms.distance_floor), float(terms.distance_median)
        distance = floor + (median - floor) * rng.lognormal(0.0, float(terms.distance_spread), count)
        distance = np.round(distance, 6)
        account, contract, side, weight = self._positions(rng, books, interest, equity / (distance + 0.01))
        quantity = self._sized(books, interest, contract, side, weight)
        slots, quantities, costs = self._slots(books, account, contract, quantity)
        self._add_coins(rng, slots, quantities, equity, account, contract, quantity)
        cash = self._cash(slots, quantities, costs, distance)
        rows, rules = rows_of(slots, quantities, costs, cash), self._exchange.rules()
        return rows[by_radius(rows, rules, self._exchange.prices())]

    @property
    def _path(self) -> tuple[str, ...]:
        return ("nodes", self.sim.network.names[self.node], "traders")

    def _book(self, name: str) -> Any:
        book = self._exchange.book_of(self.sim.network.ids[name])
        if book is None or not book.perpetual:
            raise Misfit((*self._path, "open_interest", name), f"{name!r} is no book of perpetuals of this exchange")
        return book

    def _positions(
        self, rng: np.random.Generator, books: list[Any], interest: list[int], notional: Floats
    ) -> tuple[Integers, Integers, Integers, Floats]:
        """Return (account, contract, side, weight) of all positions: one an account, more for some cross ones."""
        terms, count, kinds = self.terms, self.count, len(books)
        worth = [units * self._exchange.unit(book.traded) for units, book in zip(interest, books, strict=True)]
        chance = np.sqrt(np.array(worth))
        chance = np.round(chance / chance.sum(), 9)
        bounds = np.cumsum(chance)[:-1]
        main = np.searchsorted(bounds, rng.random(count)).astype(np.int64)
        side = np.where(rng.random(count) < 0.5, 1, -1).astype(np.int64)
        self._cross = rng.random(count) >= float(terms.isolated)
        parts = [(np.arange(count), main, side, notional)]
        for turn in (1, 2):
            more = self._cross & (rng.random(count) < float(terms.several) / turn)
            other = (main + turn) % kinds
            same = np.where(rng.random(count) < float(terms.same_side), side, -side)
            share = np.round(rng.random(count), 6)
            if kinds > turn:
                parts.append((np.flatnonzero(more), other[more], same[more], (notional * share)[more]))
        account, contract, sides, weight = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return account, contract, sides, weight

    def _sized(
        self, books: list[Any], interest: list[int], contract: Integers, side: Integers, weight: Floats
    ) -> Integers:
        """Return signed contracts that add up to the open interest of each book and side."""
        quantity = np.zeros(len(contract), np.int64)
        for number, (book, units) in enumerate(zip(books, interest, strict=True)):
            for sign, share in ((1, 1.0), (-1, float(self.terms.short_share))):
                rows = np.flatnonzero((contract == number) & (side == sign))
                lots = scaled(weight[rows], int(units * share) // book.lot, float(self.terms.largest))
                quantity[rows] = sign * lots * book.lot
        return quantity

    def _slots(
        self, books: list[Any], account: Integers, contract: Integers, quantity: Integers
    ) -> tuple[Integers, Integers, Integers]:
        """Return (asset number, quantity, cost) by account and slot; entries scatter around the mark."""
        numbers = np.array([self._exchange.line_number(book.traded) for book in books])
        units = np.array([self._exchange.unit(book.traded) for book in books])
        slots = np.full((self.count, SLOTS), -1, np.int64)
        quantities, costs = np.zeros((self.count, SLOTS), np.int64), np.zeros((self.count, SLOTS), np.int64)
        scatter = 1.0 + float(self.terms.entry_spread) * np.round(self._rng.standard_normal(len(account)), 6)
        cost = self._counted(-np.rint(quantity * units[contract] * np.maximum(scatter, 0.01)))
        used = np.zeros(self.count, np.int64)
        for rows in _turns(account):
            rows = rows[quantity[rows] != 0]
            at = (account[rows], used[account[rows]])
            slots[at], quantities[at], costs[at] = numbers[contract[rows]], quantity[rows], cost[rows]
            used[account[rows]] += 1
        self._used = used
        return slots, quantities, costs

    def _add_coins(
        self, rng: np.random.Generator, slots: Integers, quantities: Integers, equity: Floats, account: Integers,
        contract: Integers, quantity: Integers,
    ) -> None:  # fmt: skip
        """Let some cross accounts keep coins worth 2 to 10% of their positions (assumed)."""
        unit_of = self._exchange.unit
        books = [self._book(name) for name in sorted(self.terms.open_interest)]
        units = np.array([unit_of(book.traded) for book in books])
        notional = np.zeros(self.count)
        np.add.at(notional, account, np.abs(quantity) * units[contract])
        for name, chance in sorted(self.terms.coins.items()):
            asset = self.sim.assets[name]
            if asset not in self._exchange.feeds:
                raise Misfit((*self._path, "coins", name), f"the exchange takes no {name!r} as collateral")
            keeps = self._cross & (rng.random(self.count) < float(chance)) & (self._used < SLOTS) & (notional > 0)
            share = np.round(0.02 + 0.08 * rng.random(self.count), 6)
            amount = np.rint(notional * share / unit_of(asset)).astype(np.int64)
            rows = np.flatnonzero(keeps & (amount > 0))
            at = (rows, self._used[rows])
            slots[at], quantities[at] = self._exchange.line_number(asset), amount[rows]
            self._used[rows] += 1

    def _cash(self, slots: Integers, quantities: Integers, costs: Integers, distance: Floats) -> Integers:
        """Return the cash with which each account's margin is used up when all it has moves against it so far.

        A position of a few units is put at more than its distance, never at less.
        """
        stressed = self._counted(np.floor(quantities * (1.0 - np.sign(quantities) * distance[:, None])))
        rules = self._exchange.rules()
        rows = rows_of(slots, stressed, costs, np.zeros(self.count, np.int64))
        missing = -AccountBook(rows, rules).margins(self._exchange.prices())
        return self._counted(np.ceil(np.where(missing < 0, missing / rules.tables.loan, missing)))

    def _counted(self, units: Floats) -> Integers:
        if not (np.abs(units) < SUPPLY_LIMIT).all():
            raise Misfit(self._path, "positions of that size, or at that distance, need more cash than can be counted")
        return units.astype(np.int64)


def _turns(account: Integers) -> list[Integers]:
    """Return the rows by how many positions their account has before them."""
    order = np.argsort(account, kind="stable")
    starts = np.searchsorted(account[order], account[order], side="left")
    turn = np.empty(len(account), np.int64)
    turn[order] = np.arange(len(account)) - starts
    return [np.flatnonzero(turn == number) for number in range(int(turn.max(initial=-1)) + 1)]
