"""Who pays when an account cannot: the insurance fund, then the winners, then nobody.

Positions that no book would take are passed on at the price at which their owner has nothing left. Longs first,
then shorts: the fund takes those that cost it least, as long as it is worth something at the mark afterwards
and its pool for that contract bears what it has lost and holds there; the rest is closed against the opposite
positions with the highest rank (auto-deleveraging), at that price, so that the book is not touched; opposite
positions with a loss are not asked. What then remains is a loss that nobody has covered, and the exchange stands
for it with its own balance sheet. Without a fund, the winners come first. What fund and exchange hold is worked
off through the book while the mark comes its way.

With `settlement = "haircut"` the fund (or, without one, the exchange) may run below zero while the cascade
lasts; in the first interval without a breach the profits of open positions are cut by what is missing, contract
by contract, those first whose side the mark has moved for.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.finance import adl
from contagion.finance.margin import share_out
from contagion.log import Channel
from contagion.mechanisms.exchange.custody import Custody
from contagion.mechanisms.exchange.marks import Line
from contagion.mechanisms.exchange.roster import Cohort, Roster, joined
from contagion.mechanisms.exchange.terms import ExchangeTerms
from contagion.ports import Signal
from contagion.simulation import Simulation
from contagion.units import PPM, to_ppm
from contagion.venues import BUY, SELL, Notice

Integers = NDArray[np.int64]
_FIRST_LOOK = 1_024
"""Members of a queue that are looked at first; then twice as many, and so on."""


class Backstop:
    """The fund and the queue of one exchange; `fund` is None where it has none."""

    def __init__(self, sim: Simulation, custody: Custody, roster: Roster, terms: ExchangeTerms) -> None:
        self.sim, self.custody, self.roster = sim, custody, roster
        self.node, self.fund = custody.node, None
        self._ranking = terms.deleveraging.ranking
        self._haircut = terms.deleveraging.settlement == "haircut"
        self._unwind, self._share = to_ppm(terms.unwind), to_ppm(terms.pool)
        self._stake: float | None = None
        self._refresh = terms.deleveraging.refresh
        self._queues: dict[tuple[int, int], tuple[int, Cohort]] = {}
        self._lost: dict[int, int] = {}
        self._cause = self._advanced = 0
        self._cut_back: list[tuple[int, int]] = []

    fund: int | None
    notices: Signal

    @property
    def keeper(self) -> int:
        """Return the fund, or where there is none the exchange."""
        return self.node if self.fund is None else self.fund

    # ------------------------------------------------------------------------------- positions nobody takes

    def take_over(self, part: Cohort, line: Line, quantity: Integers, money: Integers, events: Integers) -> None:
        """Take positions of one side off their accounts, at `money`: the fund while it lasts, then the winners.

        quantity : signed contracts; money : what each is closed for, in the settlement; events : the liquidations.
        """
        worth = np.abs(quantity) * self.roster.book_unit(line.asset)
        loss = np.where(quantity > 0, money - worth, worth - money)
        order = np.argsort(loss / worth, kind="stable")
        taken = np.zeros(len(part), np.bool_)
        room, held = self._pool(line)
        taken[order] = np.maximum.accumulate(np.cumsum(loss[order])) <= min(self._room(), room)
        taken[order] &= np.cumsum(worth[order]) <= held
        for chosen, action in ((taken, self._insure), (~taken, self._deleverage)):
            if chosen.any():
                action(part.take(chosen), line, quantity[chosen], money[chosen], events[chosen])

    def _room(self) -> float:
        """Return what the fund may lose at the mark; nothing, and not even gain, without one."""
        if self._haircut:
            return np.inf
        return -np.inf if self.fund is None else max(self.roster.worth(self.fund, self.roster.prices()), 0.0)

    def _pool(self, line: Line) -> tuple[float, float]:
        """Return what the fund may still lose on one contract, and what more of it it may hold at the mark."""
        if self._share >= PPM or self.fund is None:
            return np.inf, np.inf
        if self._stake is None:
            self._stake = self.roster.worth(self.fund, self.roster.prices()) * self._share / PPM
        held = abs(self.custody.total(self.fund, line.asset)) * self.roster.book_unit(line.asset)
        return self._stake - self._lost.get(line.asset, 0), self._stake - held

    def _insure(self, part: Cohort, line: Line, quantity: Integers, money: Integers, events: Integers) -> None:
        loss = self._assume(self.keeper, "insurance", Channel.INSURANCE, part, line, quantity, money, events)
        self._lost[line.asset] = self._lost.get(line.asset, 0) + loss

    def _assume(
        self, payer: int, kind: str, channel: Channel, part: Cohort, line: Line, quantity: Integers, money: Integers,
        events: Integers,
    ) -> int:  # fmt: skip
        """Close positions of one side against the fund or the exchange; return what it loses at the mark."""
        side, total, paid = int(np.sign(quantity[0])), int(quantity.sum()), int(money.sum())
        legs = self._closing(part, line, -quantity, -side * money)
        legs += self.custody.position(payer, line.asset, total, side * paid)
        loss = max(round(side * paid - total * self.roster.book_unit(line.asset)), 0)
        self._cause = self.sim.transact(
            kind, payer, *legs, cause=_largest(quantity, events), channel=channel, asset=line.asset,
            market=line.book.node, quantity=total, price=self._price(line, total, side * paid),
            value=self._value(loss),
        )  # fmt: skip
        self._advanced += loss if self._haircut and self.fund is None else 0
        return loss

    def _deleverage(self, part: Cohort, line: Line, quantity: Integers, money: Integers, events: Integers) -> None:
        """Close positions against the winners on the other side, by rank; what they cannot take stays uncovered."""
        side, size, lot = int(np.sign(quantity[0])), np.abs(quantity), line.book.lot
        winners, held = self._winners(line, -side, int(size.sum()))
        total = min(int(size.sum()), int(np.abs(held).sum()))
        closed = _first(size, total)
        paid = np.where(closed == size, money, np.rint(money * (closed / size)).astype(np.int64))
        if total:
            taken = adl.cuts(self._ranking, np.abs(held) // lot, total // lot) * lot
            used, losers = np.flatnonzero(taken), np.flatnonzero(closed)
            self._match(
                part.take(losers), winners.take(used), line, closed[losers], taken[used], paid[losers], side,
                events[losers],
            )  # fmt: skip
        rest = np.flatnonzero(size > closed)
        if len(rest):
            left, due = side * (size - closed)[rest], (money - paid)[rest]
            kind, channel = "uncovered-deficit", Channel.CREDIT
            self._assume(self.node, kind, channel, part.take(rest), line, left, due, events[rest])

    def _match(
        self, losers: Cohort, winners: Cohort, line: Line, closed: Integers, taken: Integers, paid: Integers, side: int,
        events: Integers,
    ) -> None:  # fmt: skip
        """Post the closings of both sides, and log one failure a winner.

        Along the queue, every stretch has the price of the loser that it closes; pro rata, all have the mean price.
        The failures' value is the notional closed, the transaction's what it cost the winners at the mark.
        """
        due = share_out(int(paid.sum()), taken) if self._ranking == adl.PRO_RATA else _along(closed, paid, taken)
        cause = _largest(closed, events)
        depth = 1.0 + float((losers.weighted * closed).sum() / closed.sum())
        prices = np.rint(due * (float(line.book.scale) / taken)).astype(np.int64)
        first = self._log(winners, line, -side * taken, prices, due, cause, depth)
        legs = self._closing(losers, line, -side * closed, -side * paid)
        legs += self._closing(winners, line, side * taken, side * due)
        cost = side * (int(due.sum()) - int(taken.sum()) * self.roster.book_unit(line.asset))
        self.sim.transact(
            "deleveraging", self.node, *legs, cause=first, channel=Channel.ADL_HAIRCUT, asset=line.asset,
            market=line.book.node, quantity=side * int(taken.sum()), value=self._value(max(round(cost), 0)),
        )  # fmt: skip
        self._tell(line)

    def _log(
        self, winners: Cohort, line: Line, quantity: Integers, price: Any, amounts: Integers, cause: int, depth: float
    ) -> int:
        """Log one auto-deleveraging an account; return the last holder's first event."""
        values, first = self.sim.currency_values(amounts, self.custody.settlement), cause
        prices = np.broadcast_to(price, len(winners))
        for holder, rows in winners.groups:
            causes, depths = np.full(len(rows), cause), np.full(len(rows), depth)
            first = self.sim.record_members(
                "auto-deleveraging", holder, winners.member[rows], causes, depths, np.zeros(len(rows)),
                channel=Channel.ADL_HAIRCUT, asset=line.asset, market=line.book.node, quantity=quantity[rows],
                price=prices[rows], value=values[rows],
            )  # fmt: skip
            if winners.member[rows[0]] < 0:
                self._cut_back.append((holder, first))
        return first

    def _tell(self, line: Line) -> None:
        """Tell named accounts that they have been deleveraged, once it is posted."""
        for holder, event in self._cut_back:
            self.notices.fire(event, Notice(self.node, holder, line.asset, 0))
        self._cut_back = []

    def _winners(self, line: Line, side: int, wanted: int) -> tuple[Cohort, Integers]:
        """Return accounts with a profit on a side and their contracts, best rank first: enough of them, or all."""
        queue, at, count, alive = self._queue(line, side), 0, _FIRST_LOOK, None
        parts, helds = [queue.take(slice(0, 0))], [np.zeros(0, np.int64)]
        while at < len(queue) and (wanted > 0 or self._ranking == adl.PRO_RATA):
            part = queue.take(slice(at, at + count))
            held, cost = self.roster.positions(part, line.asset)
            there = np.flatnonzero(held * side > 0)
            alive = at + int(there[0]) if alive is None and len(there) else alive
            rows = there[cost[there] + held[there] * self.roster.unit(line.asset) > 0]
            parts.append(part.take(rows))
            helds.append(held[rows])
            wanted -= int(np.abs(held[rows]).sum())
            at, count = at + count, 2 * count
        ranked_us, _ = self._queues[line.asset, side]
        self._queues[line.asset, side] = ranked_us, queue.take(slice(at if alive is None else alive, None))
        return joined(parts), np.concatenate(helds)

    def _queue(self, line: Line, side: int) -> Cohort:
        """Return the queue of a side, ranked anew when it is older than `refresh`; those it has used up are gone."""
        now, key = self.sim.env.now, (line.asset, side)
        if key not in self._queues or now >= self._queues[key][0] + self._refresh:
            self._queues[key] = now, self._ranked(line, side)
        return self._queues[key][1]

    def _ranked(self, line: Line, side: int) -> Cohort:
        """Return the accounts with a profit on a side, best rank first."""
        prices, unit = self.roster.prices(), self.roster.unit(line.asset)
        cohort, held, cost = self.roster.opponents(line.asset, side)
        rows = np.flatnonzero(cost + held * unit > 0)
        cohort, held, cost = cohort.take(rows), held[rows], cost[rows]
        equity = self.roster.equities(cohort, prices)
        scores = adl.scores(self._ranking, held.astype(np.float64), -cost.astype(np.float64), unit, equity)
        return cohort.take(np.argsort(-scores, kind="stable"))

    # ------------------------------------------------------------------------------------ debts of the empty

    def settle(self, cohort: Cohort) -> None:
        """Pay what accounts still owe that have nothing left to sell: the fund, then the exchange.

        Coins that cannot be sold, for want of a market or of a whole lot, go to the payer first, at the mark.
        """
        cash, held = self.roster.cash(cohort), self.roster.quantities(cohort)
        if self._take_leftovers(cohort, held, cash < 0):
            cash = self.roster.cash(cohort)
        owed = np.where(held.any(axis=0), 0, np.maximum(-cash, 0))
        rows = np.flatnonzero(owed)
        covered = np.cumsum(owed[rows]) <= self._room()
        for chosen, payer, kind, channel in (
            (rows[covered], self.keeper, "insurance", Channel.INSURANCE),
            (rows[~covered], self.node, "uncovered-deficit", Channel.CREDIT),
        ):
            if len(chosen):
                self._pay(payer, kind, channel, cohort.take(chosen), owed[chosen])

    def _pay(self, payer: int, kind: str, channel: Channel, part: Cohort, owed: Integers) -> None:
        total, cash = int(owed.sum()), self.custody.cash
        self._cause = self.sim.transact(
            kind, payer, *self.roster.legs(part, cash, owed), (payer, cash, -total), cause=_largest(owed, part.cause),
            channel=channel, market=self.node, value=self._value(total),
        )  # fmt: skip
        self._advanced += total if self._haircut and self.fund is None else 0

    def _take_leftovers(self, cohort: Cohort, held: Integers, owing: NDArray[np.bool_]) -> bool:
        """Take coins, or debts of coins, that no order can reach off accounts that owe, at the mark.

        held : what they have by line, kept up to date; return whether anything was taken.
        """
        taken = False
        for number, line in enumerate(self.roster.lines):
            if line.asset in self.custody.contracts:
                continue
            own, smallest = held[number], line.book.lot if line.book is not None else np.inf
            short = (own < 0) & (line.book is None)
            rows = np.flatnonzero(short | (own > 0) & (own < smallest) & owing)
            if not len(rows):
                continue
            part, moved, keeper, custody = cohort.take(rows), own[rows], self.keeper, self.custody
            money = np.rint(moved * self.roster.unit(line.asset)).astype(np.int64)
            legs = self.roster.legs(part, custody.claims[line.asset], -moved)
            legs += [(keeper, custody.claims[line.asset], int(moved.sum()))]
            legs += [*self.roster.legs(part, custody.cash, money), (keeper, custody.cash, -int(money.sum()))]
            self._cause = self.sim.transact(
                "insurance", keeper, *legs, cause=_largest(moved, part.cause), channel=Channel.INSURANCE,
                asset=line.asset, market=self.node, quantity=int(moved.sum()), price=line.feed.mark.price,
            )  # fmt: skip
            own[rows], taken = 0, True
        return taken

    def after(self, calm: bool, contracts: list[Line]) -> bool:
        """Do what follows an interval; return whether nothing is left to do before a mark moves again.

        calm : nobody is in breach. Positions of fund and exchange are worked off; when all is calm, profits are cut.
        """
        for holder in sorted({self.keeper, self.node}):
            for line in contracts:
                self._work_off(holder, line)
        if not self._haircut:
            return True
        if calm:
            self._cut_profits(contracts)
        return calm

    def _work_off(self, holder: int, line: Line) -> None:
        """Sell (or buy back) a little of what is held where the mark has come its way."""
        held = self.custody.total(holder, line.asset)
        if line.delta * held <= 0:
            return
        side = SELL if held > 0 else BUY
        near = line.book.depth()[0 if side == SELL else 1]
        size = line.book.rounded(min(abs(held), near * self._unwind // PPM))
        if size:
            line.book.execute(holder, side, size, cause=line.event, channel=Channel.MARGIN_LIQUIDATION)

    def _cut_profits(self, contracts: list[Line]) -> None:
        """Cut the profits of open positions by what the fund has run below zero, by rank or pro rata."""
        deficit = self._deficit()
        for line in contracts:
            for side in (SELL, BUY) if line.feed.mark.price <= line.feed.opened.price else (BUY, SELL):
                if deficit:
                    deficit -= self._cut(line, side, deficit)
        if deficit:
            cash = self.custody.cash
            legs = [] if self.fund is None else [(self.node, cash, -deficit), (self.fund, cash, deficit)]
            self.sim.transact(
                "uncovered-deficit", self.node, *legs, cause=self._cause, channel=Channel.CREDIT, market=self.node,
                value=self._value(deficit),
            )  # fmt: skip
        self._advanced = 0

    def _deficit(self) -> int:
        if self.fund is None:
            return self._advanced
        return max(-round(self.roster.worth(self.fund, self.roster.prices())), 0)

    def _cut(self, line: Line, side: int, deficit: int) -> int:
        """Cut profits on one side of a contract; return by how much together."""
        winners = self._ranked(line, side)
        held, cost = self.roster.positions(winners, line.asset)
        profit = np.rint(cost + held * self.roster.unit(line.asset)).astype(np.int64)
        cuts = adl.cuts(self._ranking, profit, deficit)
        used = np.flatnonzero(cuts)
        if not len(used):
            return 0
        part, cuts, cash, total = winners.take(used), cuts[used], self.custody.cash, int(cuts.sum())
        depth = 1.0 + self.sim.log.weighted_generation(self._cause)
        first = self._log(part, line, held[used], line.feed.mark.price, cuts, self._cause, depth)
        self.sim.transact(
            "deleveraging", self.node, *self.roster.legs(part, cash, -cuts), (self.keeper, cash, total), cause=first,
            channel=Channel.ADL_HAIRCUT, asset=line.asset, market=line.book.node, value=self._value(total),
        )  # fmt: skip
        self._tell(line)
        return total

    # ---------------------------------------------------------------------------------------------- parts

    def _closing(self, part: Cohort, line: Line, change: Integers, paid: Integers) -> Any:
        return self.roster.closing(part, line.asset, change, self.custody.adjusted(line.asset, change, paid))

    def _price(self, line: Line, quantity: int, paid: int) -> int:
        """Return the mean price of contracts, in 10^-9 of the settlement."""
        return int(paid * line.book.scale // quantity)

    def _value(self, amount: int) -> int:
        return self.sim.currency_value(amount, self.custody.settlement)


def _largest(amounts: Integers, events: Integers) -> int:
    """Return the event of the largest amount."""
    return int(events[np.argmax(np.abs(amounts))])


def _first(amounts: Integers, total: int) -> Integers:
    """Return what a total takes of each amount, in their order."""
    ends = np.cumsum(amounts)
    return np.asarray(np.clip(total - (ends - amounts), 0, amounts), np.int64)


def _along(sizes: Integers, paid: Integers, taken: Integers) -> Integers:
    """Return what each of the second queue pays when two queues of equal length meet, the first at `paid`.

    >>> _along(np.array([10, 10]), np.array([100, 300]), np.array([5, 10, 5])).tolist()
    [50, 200, 150]
    """
    ends, marks = np.cumsum(sizes), np.cumsum(taken)
    money = np.concatenate([[0], np.cumsum(paid)])
    at = np.searchsorted(ends, marks, side="left")
    inside = (marks - (ends - sizes)[at]) / sizes[at]
    upto = money[at] + np.rint(paid[at] * inside).astype(np.int64)
    return np.asarray(np.diff(upto, prepend=0), np.int64)
