"""The liquidation engine: one interval, six steps, always in this order.

1. The mark vector is read (`marks`). 2. Accounts in breach at it are found, named ones by name and then members
by number; before that, margin calls go out to named ones that come near, once until they have recovered. 3. All
orders of the named ones in breach are cancelled, on every book of the exchange. Then, contract by contract in the
order of their books: 4. The positions to be closed are set: whole, or a slice of a large one. Opposite sides of
the cohort cross at the mark, as far as their accounts can pay it. 5. What is left is sold, then bought, through
the book, every order limited at the price at which its account has nothing left, so that those with more to lose
drop out later; what a price level gives is shared pro rata by all who still accept it. 6. What no book would
take at its limit goes to the insurance fund at that limit, then to the winners (`backstop`). After the contracts,
borrowed coins are bought back, and cash that is missing is raised by selling coins, those with the highest
collateral ratio first, both without a limit; what an emptied account still owes falls to the backstop.

One log row an account and contract; a cohort is one trade. Where nothing can be done, because a book is empty,
nothing is logged, and the next interval tries again.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.finance.margin import queue_fills, share_out
from contagion.log import Channel, Depth
from contagion.mechanisms.exchange.backstop import Backstop
from contagion.mechanisms.exchange.custody import Custody
from contagion.mechanisms.exchange.marks import Line, MarkVector
from contagion.mechanisms.exchange.roster import Cohort, Roster
from contagion.mechanisms.exchange.sales import coins_for, trade_coins, within_reach
from contagion.mechanisms.exchange.terms import ExchangeTerms
from contagion.ports import Signal
from contagion.simulation import Simulation
from contagion.units import PPM, SUPPLY_LIMIT, to_ppm
from contagion.venues import BUY, SELL

Integers = NDArray[np.int64]


class Engine:
    """Margin calls and liquidations of one exchange; `books` are all that it clears."""

    def __init__(
        self, sim: Simulation, custody: Custody, roster: Roster, marks: MarkVector, terms: ExchangeTerms,
        calls: Signal, books: Sequence[Any],
    ) -> None:  # fmt: skip
        self.sim, self.custody, self.roster, self.terms = sim, custody, roster, terms
        self.calls, self.books, self.node = calls, books, custody.node
        self.backstop = Backstop(sim, custody, roster, terms)
        self._contracts = sorted((line for line in marks.lines if line.asset in custody.contracts), key=_by_asset)
        self._coins = self._sale_order([line for line in marks.lines if line.asset not in custody.contracts])
        self._called: dict[int, int] = {}
        self._slice, self._limited = to_ppm(terms.slice), terms.order_limit == "bankruptcy"
        self._slice_above = float(terms.slice_above) * 10 ** sim.ledger.assets[custody.settlement].decimals

    def interval(self) -> bool:
        """Do steps 2 to 6; return whether anything is left to do in the next interval."""
        prices = self.roster.prices()
        self._call_margins(prices)
        cohort = self.roster.breaches()
        if len(cohort):
            self._cancel_orders(cohort)
            held = self.roster.quantities(cohort)
            for line in self._contracts:
                cohort = self._close(cohort, held[self.roster.numbers[line.asset]], line)
            self._repay_coins(cohort, held)
            self._raise_cash(cohort, held)
            self.backstop.settle(cohort)
        quiet = self.backstop.after(len(cohort) == 0, self._contracts)
        return len(cohort) > 0 or not quiet

    # --------------------------------------------------------------------------- 2, 3: calls and orders

    def _call_margins(self, prices: Any) -> None:
        """Tell named accounts that come near, once until they have recovered."""
        trigger, call_at = float(self.terms.trigger), float(self.terms.call_at)
        for holder in self.roster.named:
            left, _, maintenance = self.roster.facts(holder, prices)
            near = holder not in self.roster.exempt and left < maintenance * (call_at / trigger - 1.0)
            if near and holder not in self._called:
                cause = self.roster.cohort(np.array([holder]), np.array([-1]), prices).cause[0]
                event = self.sim.record("margin-call", holder, cause=int(cause), market=self.node)
                self._called[holder] = event
                self.calls.fire(event, holder)
            elif not near:
                self._called.pop(holder, None)

    def _cancel_orders(self, cohort: Cohort) -> None:
        """Cancel what named accounts have resting, and tell them: by the mark, or their call where none has moved."""
        own = max((line.event for line in self.roster.lines), default=0)
        for row in np.flatnonzero(cohort.member < 0).tolist():
            holder = int(cohort.holder[row])
            for book in self.books:
                if any(book.resting(holder)):
                    book.cancel_all(holder, cause=int(cohort.cause[row]), distress=True)
            cause = int(cohort.cause[row])
            self.calls.fire(cause if cause <= own else self._called.get(holder, cause), holder)

    # --------------------------------------------------------------------------------- 4, 5: contracts

    def _close(self, cohort: Cohort, held: Integers, line: Line) -> Cohort:
        """Close the cohort's positions in one contract; return the cohort with the equity that is left."""
        rows = np.flatnonzero(self._can_close(held, line.book))
        if not len(rows):
            return cohort
        part, held = cohort.take(rows), held[rows]
        unit, side = self.roster.book_unit(line.asset), np.sign(held)
        size = self._sizes(held, unit, line.book)
        limits = self._limits(part, held, unit, line)
        events = self._log(part, held, size, line)
        crossed = self._cross(part, held, size, limits, line, events)
        filled, proceeds, fees = self._through_book(part, held, size - crossed, limits, line, events)
        rest = size - crossed - filled
        lost = side * (filled * unit - proceeds) + fees
        if self._limited:
            self._pass_on(part, held, rest, unit, line, events)
            lost += rest * (part.equity / np.abs(held))
        elif rest.any():
            cause = int(events[np.argmax(rest)])
            line.book.log_unfilled(int(rest.sum()), cause=cause, channel=Channel.MARGIN_LIQUIDATION)
        equity = cohort.equity.copy()
        equity[rows] -= lost
        return replace(cohort, equity=equity)

    def _can_close(self, held: Integers, book: Any) -> NDArray[np.bool_]:
        """Return which positions can be closed: with a limit all, else those that find a book or each other."""
        long, short = held > 0, held < 0
        if self._limited or (long.any() and short.any()):
            return long | short
        bids, offers = (book.best(side) is not None for side in (BUY, SELL))
        return np.asarray(long & bids | short & offers, np.bool_)

    def _pass_on(self, part: Cohort, held: Integers, rest: Integers, unit: float, line: Line, events: Integers) -> None:
        """Hand what no book took to the backstop, at the price at which its account has nothing left.

        Longs first; a short of the cohort with a profit may be closed as their winner, and only its rest is then left.
        """
        price = unit - part.equity / held
        for side in (BUY, SELL):
            left = np.flatnonzero((rest > 0) & (np.sign(held) == side))
            size = np.minimum(rest[left], np.abs(self.roster.positions(part.take(left), line.asset)[0]))
            left, size = left[size > 0], size[size > 0]
            if len(left):
                money = np.maximum(np.rint(size * price[left]), 0.0).astype(np.int64)
                self.backstop.take_over(part.take(left), line, side * size, money, events[left])

    def _sizes(self, held: Integers, unit: float, book: Any) -> Integers:
        """Return how many contracts to close: all, or of a large position a slice in whole lots."""
        size = np.abs(held)
        if self._slice < PPM:
            sliced = np.maximum(np.rint(size * (self._slice / PPM)).astype(np.int64) // book.lot, 1) * book.lot
            size = np.where(size * unit > self._slice_above, np.minimum(sliced, size), size)
        return size

    def _limits(self, part: Cohort, held: Integers, unit: float, line: Line) -> Integers:
        """Return each order's limit in 10^-9 of the settlement: where its account has nothing left."""
        if not self._limited:
            return np.where(held > 0, 1, SUPPLY_LIMIT - 1)
        mark = line.feed.mark.price + line.funded
        distance = part.equity / held * (mark / unit)
        raw = np.clip(mark - distance, 1.0, float(SUPPLY_LIMIT // 2))
        return np.where(held > 0, np.ceil(raw), np.maximum(np.floor(raw), 1.0)).astype(np.int64)

    def _log(self, part: Cohort, held: Integers, size: Integers, line: Line) -> Integers:
        """Log one liquidation an account; return their events."""
        sim, unit = self.sim, self.roster.unit(line.asset)
        events = np.zeros(len(part), np.int64)
        values = sim.currency_values(np.rint(size * unit).astype(np.int64), self.custody.settlement)
        for holder, rows in part.groups:
            first = sim.record_members(
                "liquidation", holder, part.member[rows], part.cause[rows], part.weighted[rows], part.exogenous[rows],
                channel=Channel.MARGIN_LIQUIDATION, asset=line.asset, market=line.book.node,
                quantity=size[rows] * np.sign(held[rows]), price=line.feed.mark.price, value=values[rows],
            )  # fmt: skip
            events[rows] = first + np.arange(len(rows))
        return events

    def _cross(
        self, part: Cohort, held: Integers, size: Integers, limits: Integers, line: Line, events: Integers
    ) -> Integers:
        """Let longs and shorts of the cohort close against each other at the mark; return what each closed."""
        mark, crossed = line.feed.mark.price + line.funded, np.zeros(len(part), np.int64)
        sides = [(held > 0) & (limits <= mark), (held < 0) & (limits >= mark)]
        totals = [int(size[side].sum()) for side in sides]
        amount = min(totals) // line.book.lot * line.book.lot
        if not amount:
            return crossed
        paid = line.book.notional(amount, mark)
        legs = []
        for side, sign in zip(sides, (SELL, BUY), strict=True):
            shares = share_out(amount // line.book.lot, size[side] // line.book.lot) * line.book.lot
            money = share_out(paid, shares)
            crossed[side] = shares
            legs += self._closing(part.take(side), line, sign * shares, sign * money)
        chosen = int(events[np.argmax(crossed)])
        self.sim.transact(
            "cross", self.node, *legs, cause=chosen, channel=Channel.MARGIN_LIQUIDATION, asset=line.asset,
            market=line.book.node, quantity=amount, price=mark,
            value=self.sim.currency_value(paid, self.custody.settlement),
        )  # fmt: skip
        return crossed

    def _through_book(
        self, part: Cohort, held: Integers, size: Integers, limits: Integers, line: Line, events: Integers
    ) -> tuple[Integers, Integers, Integers]:
        """Sell, then buy, what is left through the book; return what each filled, for how much, and its fee."""
        filled, money, fees = (np.zeros(len(part), np.int64) for _ in range(3))
        for sign in (SELL, BUY):
            rows = np.flatnonzero((np.sign(held) == -sign) & (size > 0))
            if not len(rows):
                continue
            lot, book = line.book.lot, line.book
            levels = book.levels(-sign)
            fills = queue_fills(levels, limits[rows], size[rows] // lot * lot, sign, lot)
            total = int(fills.filled.sum())
            if not total:
                continue
            walk = book.walk(sign, total, None, -1)
            assert walk.filled == total, "the queue takes what the book has"
            paid = book.notional_of(walk)
            got = fills.filled > 0
            shares = np.zeros(len(rows), np.int64)
            shares[got] = share_out(paid, fills.weights[got])
            part_rows = part.take(rows)
            legs = self._closing(part_rows, line, sign * fills.filled, sign * shares)
            cause, depth = self._behind(part_rows, fills.filled, events[rows])
            event = book.settle(
                legs, sign, walk, -1, None, cause=cause, channel=Channel.MARGIN_LIQUIDATION, depth=depth
            )
            filled[rows], money[rows] = fills.filled, shares
            fees[rows] = self._collect_fee(part_rows, shares, event)
        return filled, money, fees

    def _closing(self, part: Cohort, line: Line, change: Integers, paid: Integers) -> Any:
        return self.roster.closing(part, line.asset, change, self.custody.adjusted(line.asset, change, paid))

    def _behind(self, part: Cohort, weights: Integers, events: Integers) -> tuple[int, Depth]:
        """Return (the largest order's liquidation, the mean depth of all): what a cohort's trade was set off by."""
        largest = int(events[np.argmax(weights)])
        mean = float((part.weighted * weights).sum() / weights.sum())
        return largest, Depth(self.sim.log.depths[largest].generation, mean)

    def _collect_fee(self, part: Cohort, paid: Integers, event: int) -> Integers:
        """Take the liquidation fee for the fund (else the exchange), at most what the account's cash can pay."""
        rate, keeper = to_ppm(self.terms.liquidation_fee), self.backstop.keeper
        fees = np.minimum(paid * (rate / PPM), np.maximum(self.roster.cash(part), 0)).astype(np.int64)
        if total := int(fees.sum()):
            legs = [*self.roster.legs(part, self.custody.cash, -fees), (keeper, self.custody.cash, total)]
            self.sim.transact(
                "liquidation-fee", self.node, *legs, cause=event, channel=Channel.PENALTY, market=self.node,
                value=self.sim.currency_value(total, self.custody.settlement),
            )  # fmt: skip
        return np.asarray(fees, np.int64)

    # ------------------------------------------------------------------------------------- coins

    def _repay_coins(self, cohort: Cohort, held: Integers) -> None:
        """Buy back borrowed coins, in whole lots, in the order in which coins are sold."""
        for line in self._coins:
            owed = -held[self.roster.numbers[line.asset]]
            rows = np.flatnonzero(owed > 0)
            if len(rows) and line.book is not None:
                lots = -(-owed[rows] // line.book.lot)
                self._trade(cohort.take(rows), BUY, lots * line.book.lot, line)

    def _raise_cash(self, cohort: Cohort, held: Integers) -> None:
        """Sell coins of the accounts that owe cash, in the stated order, without a limit."""
        missing = -self.roster.cash(cohort)
        for line in self._coins:
            own = held[self.roster.numbers[line.asset]]
            rows = np.flatnonzero((own > 0) & (missing > 0))
            if len(rows) and line.book is not None:
                part = cohort.take(rows)
                self._sell(part, own[rows], missing[rows], line)
                missing[rows] = -self.roster.cash(part)

    def _sell(self, part: Cohort, held: Integers, missing: Integers, line: Line) -> None:
        """Sell as much of a coin as covers what is missing at the depth that is there, or all of it."""
        best, lot = line.book.best(BUY), line.book.lot
        if best is not None:
            self._trade(part, SELL, np.minimum(held // lot * lot, coins_for(missing, line.book, best)), line)

    def _trade(self, part: Cohort, side: int, size: Integers, line: Line) -> None:
        """Buy or sell coins as far as the book reaches; a liquidation is what was traded, not what was wanted."""
        size = within_reach(line, side, size)
        rows = np.flatnonzero(size)
        if len(rows):
            part, size = part.take(rows), size[rows]
            events = self._log(part, np.full(len(rows), -side), size, line)
            cause, depth = self._behind(part, size, events)
            trade_coins(
                self.roster, line, part, side, size, cause=cause, channel=Channel.MARGIN_LIQUIDATION, depth=depth
            )  # fmt: skip

    def _sale_order(self, lines: list[Line]) -> list[Line]:
        """Return the coins as they are sold: highest first collateral ratio first, then by name."""
        names, terms = self.sim.ledger.assets, self.terms.assets
        return sorted(lines, key=lambda line: (-terms[names[line.asset].name].ratios[0][1], names[line.asset].name))


def _by_asset(line: Line) -> int:
    return line.book.node if line.book is not None else line.asset
