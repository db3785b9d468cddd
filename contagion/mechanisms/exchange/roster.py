"""Everybody with an account at an exchange, named holders and members of crowds alike, as arrays.

An account's margin is its cash, its costs and, per coin and contract, a concave function of the notional at the
mark (`finance.margin.pieces`); below zero it is in breach. Named accounts are few and looked at one by one;
crowds keep a liquidation index and are asked for those in breach alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.accounts import AccountBook, LiquidationIndex, Rules
from contagion.accounts.rules import CASH, COST, EMPTY, QUANTITY, SLOTS, slot_ids
from contagion.finance.margin import margin_value
from contagion.ledger import Leg
from contagion.mechanisms.exchange.custody import Custody
from contagion.mechanisms.exchange.marks import Line
from contagion.simulation import Simulation
from contagion.units import PRICE_DECIMALS

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Pieces = Sequence[tuple[float, float]]


@dataclass
class Cohort:
    """Accounts by holder and member (-1 for a named one), with what an interval needs to know of each."""

    holder: Integers
    member: Integers
    equity: Floats
    cause: Integers
    weighted: Floats
    exogenous: Floats

    def __len__(self) -> int:
        return len(self.holder)

    def take(self, chosen: Any) -> "Cohort":
        """Return some of the accounts, by a mask or by numbers."""
        return Cohort(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @cached_property
    def groups(self) -> list[tuple[int, Any]]:
        """Return (holder, rows) for every holder, by holder."""
        holders = np.flatnonzero(np.bincount(self.holder)).tolist() if len(self) else []
        if len(holders) == 1:
            return [(holders[0], np.arange(len(self)))]
        return [(holder, np.flatnonzero(self.holder == holder)) for holder in holders]


def blank_cohort(holder: Integers, member: Integers) -> Cohort:
    """Return accounts of which nothing more needs to be known."""
    zeros = np.zeros(len(holder))
    return Cohort(holder, member, zeros, np.zeros(len(holder), np.int64), zeros, zeros)


def joined(cohorts: Sequence[Cohort]) -> Cohort:
    """Return the accounts of several cohorts, in order."""
    return Cohort(*(np.concatenate([getattr(c, name) for c in cohorts]) for name in Cohort.__dataclass_fields__))


class Roster:
    """The accounts of one exchange; `lines` are its coins (but the settlement) and contracts, in one order.

    news : the event that the exchange heard of last, the cause where no mark has moved against an account.
    """

    def __init__(self, sim: Simulation, custody: Custody, lines: Sequence[Line], pieces: Sequence[Pieces]) -> None:
        self.sim, self.custody, self.lines, self.pieces = sim, custody, lines, pieces
        self.named: list[int] = []
        self.exempt: set[int] = {custody.node, sim.world}
        self.crowds: dict[int, AccountBook] = {}
        self._indices: dict[int, LiquidationIndex] = {}
        self.numbers = {line.asset: number for number, line in enumerate(lines)}
        decimals, cash = sim.ledger.assets, sim.ledger.assets[custody.settlement].decimals
        self._factors = np.array([10.0 ** (cash - PRICE_DECIMALS - decimals[line.asset].decimals) for line in lines])
        self.loan_rate, self.news = 0.0, 0
        self._ledger_rows = [
            (line.asset, custody.contracts[line.asset]) if line.asset in custody.contracts
            else (custody.claims[line.asset], -1) for line in lines
        ]  # fmt: skip

    # ----------------------------------------------------------------------------------------- joining

    def rules(self) -> Rules:
        """Return the rules of an account book at this exchange."""
        return Rules(self.pieces, self.loan_rate)

    def join(self, holder: int) -> None:
        """Give a named holder an account."""
        self.custody.clients.add(holder)
        self.named = sorted({*self.named, holder})

    def join_crowd(self, holder: int, book: AccountBook) -> None:
        """Give every member of a crowd an account; its columns become rows of the ledger."""
        self.custody.clients.add(holder)
        self.crowds[holder], self.named = book, [name for name in self.named if name != holder]
        ledger = self.sim.ledger
        ledger.add_column(holder, self.custody.cash, book.column(0, "cash"))
        for number, (asset, cost) in enumerate(self._ledger_rows):
            ledger.add_column(holder, asset, book.column(number, "quantity"))
            if cost >= 0:
                ledger.add_column(holder, cost, book.column(number, "cost"))

    def start(self) -> None:
        """Build the indices at the opening marks."""
        prices = self.prices()
        self._indices = {holder: LiquidationIndex(book, prices) for holder, book in self.crowds.items()}

    # ----------------------------------------------------------------------------------------- looking

    def prices(self) -> Floats:
        """Return what one base unit of each line is worth in base units of the settlement."""
        marks = np.array([line.feed.mark.price for line in self.lines], np.float64)
        return np.asarray(marks * self._factors)

    def unit(self, asset: int) -> float:
        """Return what one base unit of a coin or contract is worth in base units of the settlement."""
        number = self.numbers[asset]
        return float(self.lines[number].feed.mark.price) * float(self._factors[number])

    def book_unit(self, asset: int) -> float:
        """Return what one base unit of a contract costs in its book at the mark: funding is not taken off."""
        line = self.lines[self.numbers[asset]]
        return float(line.feed.mark.price + line.funded) * float(self._factors[self.numbers[asset]])

    def facts(self, holder: int, prices: Floats, less: tuple[int, int] | None = None) -> tuple[float, float, float]:
        """Return (margin left, equity, maintenance) of a named account, in base units of the settlement.

        Equity counts coins at their collateral ratios, maintenance is `trigger` times the venue's; what is left is
        equity minus maintenance. less : (coin, amount) of which to suppose that the account had handed it out.
        """
        row = list(self.sim.ledger.balances[holder])
        if less is not None:
            row[self.custody.claims[less[0]]] -= less[1]
        cash = float(row[self.custody.cash])
        left, equity = cash * (1.0 + self.loan_rate) if cash < 0 else cash, cash
        for number, (asset, cost) in enumerate(self._ledger_rows):
            if row[asset]:
                x = row[asset] * float(prices[number])
                value = margin_value(x, self.pieces[number])
                left += value
                equity += x if cost >= 0 or x < 0 else value
            if cost >= 0:
                left, equity = left + row[cost], equity + row[cost]
        return left, equity, equity - left

    def worth(self, holder: int, prices: Floats) -> float:
        """Return the equity of a named account without haircuts."""
        row = self.sim.ledger.balances[holder]
        total = float(row[self.custody.cash])
        for number, (asset, cost) in enumerate(self._ledger_rows):
            total += row[asset] * float(prices[number]) + (row[cost] if cost >= 0 else 0)
        return total

    def gross(self, holder: int, prices: Floats) -> float:
        """Return the gross assets of a named account: coins, and positions at their notional."""
        row = self.sim.ledger.balances[holder]
        total = max(float(row[self.custody.cash]), 0.0)
        for number, (asset, cost) in enumerate(self._ledger_rows):
            x = row[asset] * float(prices[number])
            total += abs(x) if cost >= 0 else max(x, 0.0)
        return total

    def accounts(self) -> Iterator[tuple[int, int]]:
        """Yield (holder, number of accounts) of whoever can be liquidated: 1 for a named one."""
        yield from ((holder, 1) for holder in self.named if holder not in self.exempt)
        yield from ((holder, len(book)) for holder, book in self.crowds.items())

    def margins(self, holder: int, members: Integers, prices: Floats) -> Floats:
        """Return the margin left of members of a crowd, or of a named account, in base units of the settlement."""
        if holder in self.crowds:
            return self.crowds[holder].margins(prices, members)
        return np.full(len(members), self.facts(holder, prices)[0])

    def settlement_unit(self) -> float:
        """Return how many base units a token of the settlement has."""
        return float(10.0 ** self.sim.ledger.assets[self.custody.settlement].decimals)

    def stakes(self, holder: int, members: Integers, prices: Floats) -> Floats:
        """Return what each account has open, contracts at their notional and loans, in base units of the settlement."""
        worth, traded = np.zeros(EMPTY + 1), np.zeros(EMPTY + 1, np.bool_)
        worth[: len(prices)], traded[: len(prices)] = prices, [cost >= 0 for _, cost in self._ledger_rows]
        cash, slots = self._slots(holder, members)
        found: Floats = np.zeros(len(members)) - np.minimum(cash, 0)
        for number, quantity, _ in slots:
            value = quantity * worth[number]
            found += np.where(traded[number], np.abs(value), -np.minimum(value, 0.0))
        return found

    def breaches(self) -> Cohort:
        """Return all accounts in breach at the present marks, named ones first, with their causes."""
        prices = self.prices()
        found = [(h, -1) for h in self.named if h not in self.exempt and self.facts(h, prices)[0] < 0]
        parts = [np.array(found, dtype=np.int64).reshape(-1, 2)]
        for holder, index in self._indices.items():
            members = index.breaches(prices)
            parts.append(np.stack([np.full(len(members), holder, np.int64), members.astype(np.int64)], axis=1))
        holder, member = np.concatenate(parts).T
        return self.cohort(holder, member, prices)

    def cohort(self, holder: Integers, member: Integers, prices: Floats) -> Cohort:
        """Return accounts with their equity, the mark that moved most against each, and their depth."""
        count, blank = len(holder), blank_cohort(holder, member)
        if not count:
            return blank
        equity, worst, loss = np.zeros(count), np.zeros(count), np.zeros((3, count))
        cause = np.full(count, max(max((line.event for line in self.lines), default=0), self.news), np.int64)
        facts = self._facts_by_line()
        for name, rows in blank.groups:
            cash, slots = self._slots(name, member[rows])
            equity[rows] = cash
            for number, quantity, cost in slots:
                price, delta, event, *moved = facts[:, number]
                equity[rows] += cost + quantity * price
                move = quantity * delta
                worse = (move < worst[rows]) & (event > 0)
                cause[rows] = np.where(worse, event.astype(np.int64), cause[rows])
                worst[rows] = np.minimum(worst[rows], move)
                loss[:, rows] += quantity * np.array(moved)
        adverse = loss[0] < 0
        safe = np.where(adverse, loss[0], -1.0)
        mean = np.clip(loss[1] / safe, 0.0, self.sim.highest)
        weighted = np.where(adverse, 1.0 + mean, 1.0)
        exogenous = np.where(adverse, np.clip(loss[2] / safe, 0.0, 1.0), 1.0)
        return Cohort(holder, member, equity, cause, weighted, exogenous)

    def _facts_by_line(self) -> Floats:
        """Return (mark, its last move, the event of that, what moved it since the opening: P, G, X) by line.

        All but the event for one base unit, in base units of the settlement; one line more for empty slots.
        """
        table = np.zeros((6, EMPTY + 1))
        for number, line in enumerate(self.lines):
            now, opened = line.feed.mark, line.feed.opened
            table[:, number] = (
                now.price, line.delta, line.event, now.price - opened.price, now.generations - opened.generations,
                now.exogenous - opened.exogenous,
            )  # fmt: skip
        table[np.ix_((0, 1, 3, 4, 5), range(len(self.lines)))] *= self._factors
        return table

    def _slots(self, holder: int, members: Integers) -> tuple[Any, list[tuple[Any, Any, Any]]]:
        """Return (cash, [(line numbers, quantities, costs)]) of a crowd's members, or of a named account."""
        if holder in self.crowds:
            block = self.crowds[holder].read(members)
            return block[:, CASH], [
                (slot_ids(block, slot), block[:, QUANTITY + slot], block[:, COST + slot]) for slot in range(SLOTS)
            ]
        row = self.sim.ledger.balances[holder]
        return row[self.custody.cash], [
            (np.array([number]), np.array([row[asset]]), np.array([row[cost] if cost >= 0 else 0]))
            for number, (asset, cost) in enumerate(self._ledger_rows)
            if row[asset]
        ]

    def openings(self, holder: int, members: Integers) -> list[Leg]:
        """Return what members of a crowd have, as the journal says it when they step out: (holder, asset, ...)."""
        cash, slots = self._slots(holder, members)
        found = [(self.custody.cash, cash, members)]
        for ids, quantity, cost in slots:
            for number in np.flatnonzero(np.bincount(ids)[:EMPTY]).tolist():
                here, (asset, cost_asset) = ids == number, self._ledger_rows[number]
                found.append((asset, quantity[here], members[here]))
                if cost_asset >= 0:
                    found.append((cost_asset, cost[here], members[here]))
        return [(holder, asset, amounts[amounts != 0], who[amounts != 0]) for asset, amounts, who in found]

    def cash(self, cohort: Cohort) -> Integers:
        """Return the balance in the settlement of each account."""
        return self._read(cohort, self.custody.cash)

    def positions(self, cohort: Cohort, asset: int) -> tuple[Integers, Integers]:
        """Return (quantity, cost) of a coin or contract in each account; coins cost nothing."""
        row, cost = self._ledger_rows[self.numbers[asset]]
        quantity = self._read(cohort, row)
        return quantity, self._read(cohort, cost) if cost >= 0 else np.zeros_like(quantity)

    def quantities(self, cohort: Cohort) -> Integers:
        """Return what each account has of every line, shape (lines, accounts), from one look at each account."""
        table = np.zeros((len(self.lines) + 1, len(cohort)), np.int64)  # the last row is for empty slots
        for holder, rows in cohort.groups:
            for number, quantity, _ in self._slots(holder, cohort.member[rows])[1]:
                table[np.minimum(number, len(self.lines)), rows] = quantity
        return table[:-1]

    def opponents(self, contract: int, side: int) -> tuple[Cohort, Integers, Integers]:
        """Return the accounts with a position on a side, and (quantity, cost) of each; fund and exchange left out."""
        number, balances = self.numbers[contract], self.sim.ledger.balances
        named = [h for h in self.named if h not in self.exempt and balances[h][contract] * side > 0]
        holders, members = [np.array(named, np.int64)], [np.full(len(named), -1, np.int64)]
        for crowd, book in self.crowds.items():
            found = book.holding(number, side)
            holders.append(np.full(len(found), crowd, np.int64))
            members.append(found.astype(np.int64))
        holder, member = np.concatenate(holders), np.concatenate(members)
        blank = blank_cohort(holder, member)
        quantity, costs = self.positions(blank, contract)
        return blank, quantity, costs

    def equities(self, cohort: Cohort, prices: Floats) -> Floats:
        """Return the equity of each account without haircuts."""
        equity = np.zeros(len(cohort))
        for holder, rows in cohort.groups:
            if holder in self.crowds:
                equity[rows] = self.crowds[holder].equities(prices, cohort.member[rows])
            else:
                equity[rows] = self.worth(holder, prices)
        return equity

    def loans(self, claim: int) -> Iterator[tuple[int, Integers | None, Integers]]:
        """Yield (holder, members, what each owes of a coin) of all who owe any; members None for a named account."""
        ledger = self.sim.ledger
        for holder in self.named:
            if ledger.balances[holder][claim] < 0 and holder not in self.exempt:
                yield holder, None, np.array([-ledger.balances[holder][claim]])
        for holder in self.crowds:
            members, balances = ledger.members[holder, claim].held()
            owing = balances < 0
            if owing.any():
                yield holder, members[owing], -balances[owing]

    def _read(self, cohort: Cohort, asset: int) -> Integers:
        values = np.zeros(len(cohort), np.int64)
        ledger = self.sim.ledger
        for holder, rows in cohort.groups:
            if holder in self.crowds:
                values[rows] = ledger.members[holder, asset].read(cohort.member[rows])
            else:
                values[rows] = ledger.balances[holder][asset]
        return values

    # ----------------------------------------------------------------------------------------- moving

    def legs(self, cohort: Cohort, asset: int, amounts: Integers) -> list[Leg]:
        """Return the legs by which each account's balance of a ledger asset changes."""
        legs: list[Leg] = []
        for holder, rows in cohort.groups:
            moved = rows[amounts[rows] != 0]
            if holder in self.crowds and len(moved):
                legs.append((holder, asset, amounts[moved], cohort.member[moved]))
            elif holder not in self.crowds:
                legs += [(holder, asset, int(amounts[row])) for row in moved]
        return legs

    def closing(self, cohort: Cohort, contract: int, change: Integers, paid: Integers) -> list[Leg]:
        """Return the legs by which accounts reduce a position by `change` contracts, bought for `paid`.

        Both negative for a sale; nobody's position may change its sign.
        """
        held, cost = self.positions(cohort, contract)
        left = np.where(held + change == 0, 0, _part(cost, held + change, held))
        realised = cost - paid - left
        total, custody = int(realised.sum()), self.custody
        legs = self.legs(cohort, contract, change)
        legs += self.legs(cohort, custody.contracts[contract], -paid - realised)
        legs += self.legs(cohort, custody.cash, realised)
        return [
            *legs, (custody.node, custody.contracts[contract], total), (custody.node, custody.cash, -total)
        ]  # fmt: skip


def _part(cost: Integers, left: Integers, held: Integers) -> Integers:
    """Return the part of a cost that stays with what is left of a position, rounded to the unit."""
    share = np.divide(left, held, out=np.zeros(len(held)), where=held != 0)
    return np.asarray(np.rint(cost * share), dtype=np.int64)
