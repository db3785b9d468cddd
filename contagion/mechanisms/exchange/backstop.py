"""Who pays when an account cannot: the insurance fund, then the winners, then nobody.

The fund takes a position over at the price at which its owner has nothing left, as long as the fund is worth
something at the mark afterwards; it works what it holds off through the book when the mark comes back. What it
cannot take is closed against the opposite positions with the highest rank (auto-deleveraging), at the same
price, so that the book is not touched; opposite positions with a loss are not asked. What then remains is a
loss that nobody has covered, and the exchange stands for it with its own balance sheet. With
`settlement = "haircut"` the fund may run below zero while the cascade lasts, and when it is over the winners'
profits are cut by what is missing.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.finance import adl
from contagion.log import Channel
from contagion.mechanisms.exchange.custody import Custody
from contagion.mechanisms.exchange.marks import Line
from contagion.mechanisms.exchange.roster import Cohort, Roster
from contagion.mechanisms.exchange.terms import ExchangeTerms
from contagion.simulation import Simulation
from contagion.units import PPM, to_ppm
from contagion.venues import BUY, SELL

Integers = NDArray[np.int64]


class Backstop:
    """The fund and the queue of one exchange."""

    def __init__(self, sim: Simulation, custody: Custody, roster: Roster, terms: ExchangeTerms) -> None:
        self.sim, self.custody, self.roster, self.terms = sim, custody, roster, terms
        self.node, self.fund = custody.node, None
        self._haircut = terms.deleveraging.settlement == "haircut"
        self._cause = 0
        self._unwind = to_ppm(terms.unwind)

    fund: int | None

    # ------------------------------------------------------------------------------- positions nobody takes

    def take_over(self, part: Cohort, line: Line, quantity: Integers, limits: Integers, events: Integers) -> None:
        """Take positions (signed) off accounts at their limits: into the fund while it lasts, then to winners."""
        money = self._money(line, quantity, limits)
        order = np.argsort(limits if quantity[0] > 0 else -limits, kind="stable")
        room = self._room()
        worth = np.abs(quantity[order]) * self.roster.unit(line.asset)
        loss = np.cumsum(np.where(quantity[order] > 0, money[order] - worth, worth - money[order]))
        taken = np.zeros(len(part), bool)
        taken[order] = np.maximum.accumulate(loss) <= room
        if self.fund is not None and taken.any():
            self._into_fund(part.take(taken), line, quantity[taken], money[taken], events)
        if not taken.all():
            self._deleverage(part.take(~taken), line, quantity[~taken], money[~taken], events)

    def _money(self, line: Line, quantity: Integers, limits: Integers) -> Integers:
        scale, lot = line.book.scale, line.book.lot
        return np.array(
            [abs(q) // lot * lot * price // scale for q, price in zip(quantity.tolist(), limits.tolist(), strict=True)],
            dtype=np.int64,
        )

    def _room(self) -> float:
        """Return what the fund may lose at the mark."""
        return max(self.roster.worth(self.fund, self.roster.prices()), 0.0) if self.fund is not None else -1.0

    def _into_fund(self, part: Cohort, line: Line, quantity: Integers, money: Integers, events: Integers) -> None:
        sim, fund = self.sim, self.fund
        assert fund is not None
        sign, total, paid = int(np.sign(quantity[0])), int(quantity.sum()), int(money.sum())
        change, bought = -quantity, -sign * money
        legs = self.roster.closing(part, line.asset, change, self.custody.adjusted(line.asset, change, bought))
        legs += self.custody.position(fund, line.asset, total, sign * paid)
        loss = max(round(sign * (paid - total * sign * self.roster.unit(line.asset))), 0)
        sim.transact(
            "insurance", fund, *legs, cause=int(events[0]), channel=Channel.INSURANCE, asset=line.asset,
            market=line.book.node, quantity=total, price=line.feed.mark.price, value=self._value(loss),
        )  # fmt: skip

    def _deleverage(self, part: Cohort, line: Line, quantity: Integers, money: Integers, events: Integers) -> None:
        """Close positions against the winners on the other side, by rank, at the losers' limits."""
        side, lot = int(np.sign(quantity[0])), line.book.lot
        winners, held, cost = self._ranked(line, -side)
        wanted, available = int(np.abs(quantity).sum()), int(np.abs(held).sum())
        total = min(wanted, available) // lot * lot
        sizes = _first(np.abs(quantity), total)
        taken = adl.cuts(self.terms.deleveraging.ranking, np.abs(held) // lot, total // lot) * lot
        if total:
            used = np.flatnonzero(taken)
            self._match(part, winners.take(used), line, sizes, taken[used], money, side, events)
        rest = np.abs(quantity) - sizes
        if rest.any():
            self._uncovered(part.take(rest > 0), line, side * rest[rest > 0], money[rest > 0] * rest[rest > 0]
                            // np.abs(quantity)[rest > 0], events)  # fmt: skip

    def _match(
        self, part: Cohort, winners: Cohort, line: Line, sizes: Integers, taken: Integers, money: Integers, side: int,
        events: Integers,
    ) -> None:  # fmt: skip
        """Post the closings of both sides; every stretch of the queue has the price of the loser it closes."""
        sim, asset = self.sim, line.asset
        paid = np.where(sizes == 0, 0, np.array([m * s // max(q, 1) for m, s, q in zip(
            money.tolist(), sizes.tolist(), np.maximum(sizes, 1).tolist(), strict=True)], dtype=np.int64))  # fmt: skip
        due = _along(sizes, paid, taken)
        values = self.sim.currency_values(due, self.custody.settlement)
        weighted, shares = np.ones(len(winners)), np.zeros(len(winners))
        cause = int(events[0])
        depth = 1.0 + float(part.weighted.mean())
        first = cause
        for holder, rows in winners.groups():
            first = sim.record_members(
                "auto-deleveraging", holder, winners.member[rows], np.full(len(rows), cause), weighted[rows] * depth,
                shares[rows], channel=Channel.ADL_HAIRCUT, asset=asset, market=line.book.node,
                quantity=-side * taken[rows], price=line.feed.mark.price, value=values[rows],
            )  # fmt: skip
        losers = part.take(sizes > 0)
        change, bought = -side * sizes[sizes > 0], -side * paid[sizes > 0]
        legs = self.roster.closing(losers, asset, change, self.custody.adjusted(asset, change, bought))
        change, bought = side * taken, side * due
        legs += self.roster.closing(winners, asset, change, self.custody.adjusted(asset, change, bought))
        sim.transact(
            "deleveraging", self.node, *legs, cause=first, channel=Channel.ADL_HAIRCUT, asset=asset,
            market=line.book.node, quantity=side * int(taken.sum()), price=line.feed.mark.price,
        )  # fmt: skip

    def _ranked(self, line: Line, side: int) -> tuple[Cohort, Integers, Integers]:
        """Return the accounts with a profit on a side, best rank first."""
        prices = self.roster.prices()
        cohort, held, cost = self.roster.opponents(line.asset, side, prices)
        profit = cost + held * self.roster.unit(line.asset)
        rows = np.flatnonzero(profit > 0)
        cohort, held, cost = cohort.take(rows), held[rows], cost[rows]
        equity = self.roster.equities(cohort, prices)
        scores = adl.scores(
            self.terms.deleveraging.ranking, held.astype(np.float64), -cost.astype(np.float64),
            self.roster.unit(line.asset), equity,
        )  # fmt: skip
        order = np.argsort(-scores, kind="stable")
        return cohort.take(order), held[order], cost[order]

    def _uncovered(self, part: Cohort, line: Line, quantity: Integers, money: Integers, events: Integers) -> None:
        """Take what nobody covers onto the exchange's own balance sheet."""
        side, total, paid = int(np.sign(quantity[0])), int(quantity.sum()), int(money.sum())
        change, bought = -quantity, -side * money
        legs = self.roster.closing(part, line.asset, change, self.custody.adjusted(line.asset, change, bought))
        legs += self.custody.position(self.node, line.asset, total, side * paid)
        loss = max(round(side * (paid - side * total * self.roster.unit(line.asset))), 0)
        self.sim.transact(
            "uncovered-deficit", self.node, *legs, cause=int(events[0]), channel=Channel.CREDIT, asset=line.asset,
            market=line.book.node, quantity=total, price=line.feed.mark.price, value=self._value(loss),
        )  # fmt: skip

    # ------------------------------------------------------------------------------------ debts of the empty

    def settle(self, cohort: Cohort) -> None:
        """Pay what accounts still owe that have nothing left to sell: the fund, or else the exchange."""
        owed = np.maximum(-self.roster.cash(cohort), 0)
        for line in self.roster.lines:
            held, cost = self.roster.positions(cohort, line.asset)
            owed = np.where((held != 0) | (cost != 0), 0, owed)
        rows = np.flatnonzero(owed)
        if not len(rows):
            return
        part, owed = cohort.take(rows), owed[rows]
        room = np.inf if self._haircut else self._room()
        covered = np.cumsum(owed) <= room
        for mask, payer, kind, channel in (
            (covered, self.fund, "insurance", Channel.INSURANCE),
            (~covered, self.node, "uncovered-deficit", Channel.CREDIT),
        ):
            if mask.any() and payer is not None:
                total = int(owed[mask].sum())
                legs = [*self.roster.legs(part.take(mask), self.custody.cash, owed[mask]),
                        (payer, self.custody.cash, -total)]  # fmt: skip
                self._cause = self.sim.transact(
                    kind, payer, *legs, cause=int(part.cause[mask][0]), channel=channel, market=self.node,
                    value=self._value(total),
                )  # fmt: skip

    def after(self, calm: bool, contracts: list[Line]) -> bool:
        """Do what follows an interval: cut profits when the cascade is over, or work the fund's positions off.

        Return whether nothing is left to do.
        """
        if self.fund is None:
            return True
        if self._haircut:
            return self._cut_profits(contracts) if calm else False
        return self._work_off(contracts)

    def _work_off(self, contracts: list[Line]) -> bool:
        """Sell (or buy back) a little of what the fund holds wherever the mark has come its way."""
        assert self.fund is not None
        idle = True
        for line in contracts:
            held = self.custody.total(self.fund, line.asset)
            if not held:
                continue
            idle = False
            side = SELL if held > 0 else BUY
            if line.delta * held <= 0:
                continue
            near = line.book.depth()[0 if side == SELL else 1]
            size = line.book.rounded(min(abs(held), near * self._unwind // PPM))
            if size:
                line.book.execute(self.fund, side, size, cause=line.event, channel=Channel.MARGIN_LIQUIDATION)
        return idle

    def _cut_profits(self, contracts: list[Line]) -> bool:
        """Cut the profits of open positions by the fund's deficit, by rank or pro rata."""
        assert self.fund is not None
        sim, cash = self.sim, self.custody.cash
        deficit = -min(self.custody.total(self.fund, cash), 0)
        for line in contracts:
            for side in (SELL, BUY):
                if not deficit:
                    return True
                winners, held, cost = self._ranked(line, side)
                profit = np.rint(cost + held * self.roster.unit(line.asset)).astype(np.int64)
                cuts = adl.cuts(self.terms.deleveraging.ranking, profit, deficit)
                used = np.flatnonzero(cuts)
                if not len(used):
                    continue
                part, cuts = winners.take(used), cuts[used]
                for holder, rows in part.groups():
                    sim.record_members(
                        "auto-deleveraging", holder, part.member[rows], np.full(len(rows), self._cause),
                        np.full(len(rows), 1.0 + sim.log.weighted_generation(self._cause)), np.zeros(len(rows)),
                        channel=Channel.ADL_HAIRCUT, asset=line.asset, market=line.book.node,
                        quantity=held[used][rows], price=line.feed.mark.price,
                        value=sim.currency_values(cuts[rows], self.custody.settlement),
                    )  # fmt: skip
                total = int(cuts.sum())
                legs = [*self.roster.legs(part, cash, -cuts), (self.fund, cash, total)]
                sim.transact(
                    "deleveraging", self.node, *legs, cause=self._cause, channel=Channel.ADL_HAIRCUT,
                    asset=line.asset, market=line.book.node,
                )  # fmt: skip
                deficit -= total
        if deficit:
            legs = [(self.node, cash, -deficit), (self.fund, cash, deficit)]
            sim.transact(
                "uncovered-deficit", self.node, *legs, cause=self._cause, channel=Channel.CREDIT, market=self.node,
                value=self._value(deficit),
            )  # fmt: skip
        return True

    def _value(self, amount: int) -> int:
        return self.sim.currency_value(amount, self.custody.settlement)


def _first(amounts: Integers, total: int) -> Integers:
    """Return what a total takes of each amount, in their order."""
    ends = np.cumsum(amounts)
    return np.asarray(np.clip(total - (ends - amounts), 0, amounts), np.int64)


def _along(sizes: Integers, paid: Integers, taken: Integers) -> Any:
    """Return what each of the second queue pays when two queues of equal length meet, the first at `paid`."""
    ends, marks = np.cumsum(sizes), np.cumsum(taken)
    starts = ends - sizes
    money = np.concatenate([[0], np.cumsum(paid)])
    at = np.minimum(np.searchsorted(ends, marks, side="left"), len(sizes) - 1)
    inside = (marks - starts[at]) / np.maximum(sizes[at], 1)
    upto = money[at] + np.floor(paid[at] * inside).astype(np.int64)
    upto[-1] = money[-1]
    return np.diff(upto, prepend=0)
