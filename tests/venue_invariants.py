"""What holds in every run with exchanges: of its books, accounts and makers while it runs, of its log afterwards.

The margin of an account is computed here a second time, from the ledger, the marks and what the scenario states,
so that an engine which liquidates too early is found whatever the cause.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from contagion.runs import Run
from contagion.simulation import Simulation
from contagion.units import PRICE_DECIMALS
from contagion.venues import BUY, SELL

EARNS = frozenset({"fee", "interest", "uncovered-deficit"})
"""The events by which what an exchange has and what it owes may drift apart."""
KEEPS = frozenset({"insurance", "liquidation-fee", "deleveraging"})
"""The same where the exchange itself, for want of a fund, takes over what is left and is paid for it."""

SELDOM = 20
"""Of the looks that find the same as the last, every so many are checked against all margins; so are quiet books."""


class VenueWatch:
    """Looks at every exchange, book and maker of a simulation after every transaction."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        kinds = [node.kind for node in sim.network.nodes]
        of = lambda kind: [m for m, k in zip(sim.mechanisms, kinds, strict=True) if k == kind]  # noqa: E731
        self.exchanges: list[Any] = of("exchange")
        self.books: list[Any] = of("order_book")
        self.makers: list[Any] = of("market_maker")
        self.buyers: list[Any] = of("dip_buyer")
        self._looks, self._last = 0, set[tuple[int, int]]()
        self._count, self._prints = 0, {book.node: book.prints for book in self.books}
        self._breached: set[tuple[int, int, int]] = set()
        for exchange in self.exchanges:
            self._watch_breaches(exchange)
        self._watch_liquidations()

    def check(self, event: int, touched: Iterable[tuple[int, int]]) -> None:
        """Check what holds at any time: of contracts whose (holder, asset) rows were touched, of books that traded.

        Now and then all books are looked at.
        """
        assets = {asset for _, asset in touched}
        for exchange in self.exchanges:
            for contract, cost in exchange.custody.contracts.items():
                for asset in assets & {contract, cost}:
                    self._check_zero(asset, event)
        for buyer in self.buyers:
            self._check_solvent(buyer, event)
        self._count += 1
        everything = self._count % SELDOM == 0
        for book in self.books:
            if everything or self._prints[book.node] != book.prints:
                self._prints[book.node] = book.prints
                self._check_book(book, event)

    def _check_solvent(self, buyer: Any, event: int) -> None:
        """A dip buyer buys without credit."""
        for exchange in self.exchanges:
            if buyer.node in exchange.custody.clients:
                cash = exchange.balance(buyer.node, exchange.settlement)
                assert cash >= 0, f"{self._name(buyer)} owes {-cash} after event {event}"

    def _check_book(self, book: Any, event: int) -> None:
        """A book is not crossed, and its makers' orders are what they are to be."""
        bid, ask = book.best(BUY), book.best(SELL)
        crossed = bid is not None and ask is not None and bid >= ask
        assert not crossed, f"{self._name(book)} is crossed after event {event}: {bid} and {ask}"
        for maker in self.makers:
            for quoted in maker._quoted:
                if quoted.market is book:
                    self._check_maker(maker, book, event)

    def _check_zero(self, asset: int, event: int) -> None:
        """Contracts and costs sum to zero, and so does profit at any mark; members add up to their crowd."""
        ledger = self.sim.ledger
        columns = {holder: column.total() for (holder, a), column in ledger.members.items() if a == asset}
        others = sum(row[asset] for holder, row in enumerate(ledger.balances) if holder not in columns)
        what = f"{ledger.assets[asset].name} does not sum to zero after event {event}"
        assert sum(columns.values()) + others == 0, what

    def _check_maker(self, maker: Any, market: Any, event: int) -> None:
        """A maker that is away has no orders, and what it believes it has resting is what rests."""
        if maker._away_until is not None:
            orders, _ = market.at_stake(maker.node)
            assert not orders, f"{self._name(maker)} has orders while away, after event {event}"
        tape = market._tapes.real.book
        rests = tuple(tape.resting(maker.node, side) for side in (BUY, SELL))
        assert market.resting(maker.node) == rests, f"{self._name(maker)} rests {rests}, after event {event}"

    # ------------------------------------------------------------------------------------------- breaches

    def _watch_breaches(self, exchange: Any) -> None:
        """Check whom an exchange finds in breach, whenever it looks."""
        found = exchange.roster.breaches if hasattr(exchange, "roster") else None
        assert found is not None, "an exchange keeps a roster once it is open"

        def breaches() -> Any:
            cohort = found()
            named = list(zip(cohort.holder.tolist(), cohort.member.tolist(), strict=True))
            self._looks += 1
            if set(named) != self._last or self._looks % SELDOM == 0:
                self._compare(exchange, set(named))
            self._last = set(named)
            self._breached |= {(self.sim.env.now, *who) for who in named}
            return cohort

        exchange.roster.breaches = breaches

    def _compare(self, exchange: Any, found: set[tuple[int, int]]) -> None:
        """Everybody found is at or beyond breach, and nobody beyond it was overlooked."""
        margin = Margin(self.sim, exchange)
        for holder in exchange.roster.named:
            left, gross = margin.of(holder, -1)
            self._judge(exchange, (holder, -1), float(left), float(gross), found)
        for holder, book in exchange.roster.crowds.items():
            lefts, grosses = margin.of(holder, np.arange(len(book)))
            doubtful = {member for who, member in found if who == holder} | set(np.flatnonzero(lefts < 0).tolist())
            for member in sorted(doubtful):
                self._judge(exchange, (holder, member), float(lefts[member]), float(grosses[member]), found)

    def _judge(self, exchange: Any, who: tuple[int, int], left: float, gross: float, found: set[Any]) -> None:
        name, slack = self.sim.network.names[who[0]], 1e-9 * gross + 1e-6
        if who in found:
            assert left <= slack, f"{name} {who[1]} is liquidated with {left} of margin left"
        elif who[0] not in exchange.roster.exempt:
            assert left >= -slack, f"{name} {who[1]} is in breach by {left} and not liquidated"

    def _watch_liquidations(self) -> None:
        """Check that the engine liquidates nobody whom it has not found in breach at that very moment."""
        record = self.sim.record_members

        def checked(kind: str, node: int, members: Any, *rest: Any, **columns: Any) -> int:
            if kind == "liquidation":
                who = {(self.sim.env.now, node, member) for member in members.tolist()}
                assert who <= self._breached, f"{self.sim.network.names[node]} is liquidated without a breach"
            return record(kind, node, members, *rest, **columns)

        self.sim.record_members = checked  # type: ignore[method-assign]

    def _name(self, mechanism: Any) -> str:
        return self.sim.network.names[mechanism.node]


class Margin:
    """Margins from the ledger, an exchange's marks and its stated terms, each tier and ratio added up."""

    def __init__(self, sim: Simulation, exchange: Any) -> None:
        self.sim, self.exchange, self.terms = sim, exchange, exchange.params
        self.decimals = sim.ledger.assets[exchange.settlement].decimals

    def of(self, holder: int, members: Any) -> tuple[Any, Any]:
        """Return (margin left, gross notional) of a holder or of its members, in base units of the settlement."""
        custody, terms, assets = self.exchange.custody, self.terms, self.sim.ledger.assets
        trigger = float(terms.trigger)
        cash = self._read(holder, custody.cash, members)
        left, gross = cash.copy(), np.abs(cash)
        loan = terms.assets.get(assets[custody.settlement].name)
        left += np.minimum(cash, 0) * (float(loan.loan_maintenance if loan else 0.05) * trigger)
        for line in self.exchange.roster.lines:
            shift = self.decimals - PRICE_DECIMALS - assets[line.asset].decimals
            unit = float(line.feed.mark.price) * 10.0**shift
            if line.asset in custody.contracts:
                x = self._read(holder, line.asset, members) * unit
                paid = self._read(holder, custody.contracts[line.asset], members)
                left += x + paid - trigger * self._tiered(np.abs(x), line.terms.tiers)
                gross = gross + np.abs(x) + np.abs(paid)
            else:
                x = self._read(holder, custody.claims[line.asset], members) * unit
                owed = np.minimum(x, 0) * (1 + float(line.terms.loan_maintenance) * trigger)
                left += self._tiered(np.maximum(x, 0), line.terms.ratios) + owed
                gross = gross + np.abs(x)
        return left, gross

    def _tiered(self, notional: Any, brackets: Any) -> Any:
        unit = 10.0**self.decimals
        floors = [float(floor) * unit for floor, _ in brackets]
        steps = zip(pairwise([*floors, np.inf]), brackets, strict=True)
        return sum((np.clip(notional, a, b) - a) * float(rate) for (a, b), (_, rate) in steps)

    def _read(self, holder: int, asset: int, members: Any) -> Any:
        ledger = self.sim.ledger
        if isinstance(members, np.ndarray):
            return np.asarray(ledger.members[holder, asset].read(members), dtype=np.float64)
        return np.float64(ledger.balances[holder][asset])


# --------------------------------------------------------------------------------------------- afterwards


def check_venues(run: Run, sim: Simulation) -> None:
    """Check what a finished run with exchanges says."""
    check_custody(run, sim)
    check_withdrawals(run)
    for (market, _), feed in sim.feeds.items():
        total, name = sum(feed.mark.channels), run.books.feeds[market]
        moved = feed.mark.price - feed.opened.price
        assert total == moved, f"the channels of {name} sum to {total} and not to {moved}"


def check_custody(run: Run, sim: Simulation) -> None:
    """What an exchange has of a coin is what it owes, up to fees, interest and deficits that nobody covered."""
    kinds = [run.books.kinds[k] for k in run.tables["events"]["kind"].tolist()]
    postings = run.tables["postings"]
    for node, kind in zip(sim.mechanisms, sim.network.nodes, strict=True):
        if kind.kind != "exchange":
            continue
        custody: Any = node.custody  # type: ignore[attr-defined]
        group = {custody.claims[coin]: coin for coin in custody.claims} | {coin: coin for coin in custody.claims}
        group |= dict.fromkeys(custody.contracts.values(), custody.settlement)
        drift: dict[tuple[int, int], int] = defaultdict(int)
        own = np.flatnonzero((postings["holder"] == node.node) & np.isin(postings["asset"], list(group)))
        for event, asset, amount in zip(
            *(postings[c][own].tolist() for c in ("event", "asset", "amount")), strict=True
        ):
            drift[event, group[asset]] += amount
        own_position = np.isin(postings["asset"], list(custody.contracts)) & (postings["holder"] == node.node)
        positions = set(postings["event"][own_position].tolist())
        funded = sim.network.edges_out(node.node, "funds")
        free = EARNS if funded else EARNS | KEEPS
        wrong = [e for (e, _), amount in drift.items() if amount and kinds[e] not in free and e not in positions]
        assert not wrong, f"{kind.name} gains or loses by a {kinds[wrong[0]]}:\n{run.why(wrong[0])}"


def check_withdrawals(run: Run) -> None:
    """A maker that withdraws cancels, at that moment, all the orders that its withdrawal counts."""
    events = run.tables["events"]
    kinds = [run.books.kinds[k] for k in events["kind"].tolist()]
    cancelled: dict[int, int] = defaultdict(int)
    rows = zip(kinds, events["cause"].tolist(), events["quantity"].tolist(), strict=True)
    for kind, cause, quantity in rows:
        if kind == "cancel":
            cancelled[cause] += quantity
    for event, kind in enumerate(kinds):
        if kind == "maker-withdrawal":
            stated = int(events["quantity"][event])
            assert cancelled[event] == stated, f"event {event}: {cancelled[event]} of {stated} orders are cancelled"
