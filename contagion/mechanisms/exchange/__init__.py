"""An exchange: unified margin accounts, a mark vector, a liquidation engine, a fund, and a way in and out.

It clears the books it sends its orders to (`trades` edges) for whoever has an account (`margin` edges), in
claims on itself. Every balance of an account counts as collateral at a ratio, every profit and loss too, and
whatever an account holds may be sold for what it owes. Prices reach it over `prices` edges; what it marks to is
stated per coin and contract; one unit of the settlement counts as one of the currency. An isolated position is
an account of its own.

The clock ticks only while something moves: the engine wakes when a source does, acts on its next `interval` and
sleeps again when marks have come to rest and nobody is in breach (`engine` tells the six steps). Funding is paid
every `funding_interval` between longs and shorts (`funding`), interest on loans every `interest_interval`; both wake
the engine. The account named by a `funds` edge is the insurance fund.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from contagion.accounts import AccountBook, Rules
from contagion.errors import Misfit
from contagion.finance import margin
from contagion.ledger import Leg, Refused
from contagion.log import CLOCK, Channel
from contagion.mechanisms.exchange.custody import Custody
from contagion.mechanisms.exchange.engine import Engine
from contagion.mechanisms.exchange.funding import Funding
from contagion.mechanisms.exchange.marks import Line, MarkVector, weighted
from contagion.mechanisms.exchange.nearness import Nearness, nearness
from contagion.mechanisms.exchange.roster import Roster, blank_cohort
from contagion.mechanisms.exchange.sales import trade_coins
from contagion.mechanisms.exchange.terms import CoinTerms, ContractTerms, ExchangeTerms, Marked
from contagion.ports import Feed, Mechanism, Message, Process, Signal
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_SCALE, YEAR
from contagion.venues import BOOKS, CLIENTS, FUNDS, SELL, Market, Notice

Pieces = list[tuple[float, float]]


class Exchange:
    """Books, accounts, margin and the last resort, in one place."""

    Params = ExchangeTerms
    opens = 4
    reacts: ClassVar[bool] = False

    def __init__(self, sim: Simulation, node: int, params: ExchangeTerms) -> None:
        self.sim, self.node, self.params = sim, node, params
        self.settlement = sim.assets[params.settlement]
        coins = [self.settlement, *(sim.assets[name] for name in params.assets)]
        self.custody = Custody(sim, node, sorted(set(coins)), self.settlement)
        self.custody.halts = [(halt.start, halt.end) for halt in params.halts]
        self.feeds: dict[int, Feed] = {}
        self.calls, self.notices = Signal(sim.env), Signal(sim.env)
        self._inbox = sim.inbox()
        self._loans: list[tuple[int, int, int]] = []
        self._withdrawn: dict[int, tuple[int, int]] = {}
        self.marks = MarkVector(sim, node, params.interval)
        self.near_at_opening: Nearness | None = None

    # ------------------------------------------------------------------------------------------- opening

    def open(self) -> None:
        """Learn the books, mark everything, give accounts to whoever has a `margin` edge."""
        sim, p = self.sim, self.params
        if sim.reference_price(self.settlement) != PRICE_SCALE:
            raise Misfit((*self._path, "settlement"), f"{p.settlement!r} must be worth one unit of the currency")
        self._books = {sim.network.names[book.node]: book for book in self._own_books()}
        feeds = {sim.feed_names[feed.market]: feed for feed in sim.subscribe(self.node, inbox=self._inbox)}
        names = {sim.ledger.assets[line].name: line for line in self.custody.claims}
        lines = [self._coin(n, names[n], p.assets[n], feeds) for n in sorted(p.assets) if n != p.settlement]
        perpetuals = {name: book for name, book in self._books.items() if book.perpetual}
        if unknown := sorted(set(p.contracts) - set(perpetuals)):
            what = f"{unknown[0]!r} is no book of perpetuals that this exchange sends orders to ('trades' edge)"
            raise Misfit((*self._path, "contracts", unknown[0]), what)
        self.custody.open()
        for name, book in sorted(perpetuals.items()):
            lines.append(self._contract(name, book, p.contracts.get(name, ContractTerms()), feeds))
        for line in lines:
            self.marks.add(line)
            self.feeds[line.asset] = line.feed
        self.roster = Roster(sim, self.custody, lines, [self._pieces(line) for line in lines])
        self.roster.loan_rate = float(p.assets.get(p.settlement, CoinTerms()).loan_maintenance * p.trigger)
        for client in sim.links(self.node, CLIENTS):
            if sim.network.nodes[client.peer.node].kind != "population":
                self.roster.join(client.peer.node)
        self.engine = Engine(sim, self.custody, self.roster, self.marks, p, self.calls, list(self._books.values()))
        self.funding = Funding(sim, self.custody, self.marks, p)
        funds = sim.peers(self.node, FUNDS)
        if len(funds) > 1:
            raise Misfit(self._path, f"{len(funds)} 'funds' edges: an exchange has one insurance fund")
        self.engine.backstop.notices = self.notices
        if funds:
            self.engine.backstop.fund = funds[0].node
            self.roster.join(funds[0].node)
            self.roster.exempt.add(funds[0].node)

    def open_loans(self) -> None:
        """Post the loans that exist at the start, out of what everybody has deposited."""
        for holder, asset, amount in self._loans:
            self.custody.open_balance(holder, asset, amount)

    def processes(self) -> Iterable[Process]:
        """Return the engine, funding and interest; refuse to start with anybody in breach."""
        self.roster.start()
        cohort = self.roster.breaches()
        if len(cohort):
            holder, member = int(cohort.holder[0]), int(cohort.member[0])
            who = self.sim.network.names[holder]
            place = f"member {member} " if member >= 0 else ""
            what = f"is not at rest: {place}is in breach of its margin at the start ({len(cohort)} accounts are)"
            raise Misfit(("nodes", who), what)
        self.near_at_opening = self.nearness()
        yield self._run()
        self.funding.note()
        if self.funding.due:
            yield self._fund()
        if self.params.interest_interval:
            yield self._charge_interest()

    def nearness(self) -> Nearness | None:
        """Return how near accounts are to liquidation at the present marks; None where only the loss is of interest."""
        return nearness(self.roster) if self.sim.twin in ("base", "control") else None

    @property
    def _path(self) -> tuple[str, ...]:
        return ("nodes", self.sim.network.names[self.node])

    def _own_books(self) -> list[Any]:
        return [book for book in self.sim.peers(self.node, BOOKS) if hasattr(book, "settle")]

    def _coin(self, name: str, asset: int, terms: CoinTerms, feeds: Mapping[str, Feed]) -> Line:
        book = self._books.get(terms.market or "")
        traded = None if book is None or book.perpetual else (book.asset, book.numeraire)
        if terms.market and traded != (asset, self.settlement):
            what = (
                f"{terms.market!r} is no spot book of {name!r} against {self.params.settlement!r} to which this "
                "exchange sends orders"
            )
            raise Misfit((*self._path, "assets", name, "market"), what)
        own = {terms.market: 1} if terms.market else {name: 1}
        sources, index = self._sources(("assets", name), terms, own, feeds)
        price = sum(feed.mark.price * weight for feed, weight in sources) // PPM
        return Line(asset, self.sim.feed(self.node, asset, price), sources, index, terms, book)

    def _contract(self, name: str, book: Market, terms: ContractTerms, feeds: Mapping[str, Feed]) -> Line:
        sources, index = self._sources(("contracts", name), terms, {name: 1}, feeds)
        price = sum(feed.mark.price * weight for feed, weight in sources) // PPM
        cost = self.sim.assets[f"{name}:cost"]
        if book.numeraire != self.settlement:
            path = ("nodes", name, "numeraire")
            raise Misfit(path, f"is not {self.params.settlement!r}, in which the exchange settles contracts")
        feed = self.custody.open_contract(book, cost, price)
        return Line(book.traded, feed, sources, index, terms, book)

    def _sources(self, path: tuple[str, ...], terms: Marked, own: Mapping[str, int], feeds: Mapping[str, Feed]) -> Any:
        sources = weighted(self.sim, self.node, (*path, "sources"), terms.sources or own, feeds)
        return sources, weighted(self.sim, self.node, (*path, "index"), terms.index, feeds)

    def _pieces(self, line: Line) -> Pieces:
        """Return the margin of a line by its notional in base units of the settlement."""
        unit, trigger = 10.0 ** self.sim.ledger.assets[self.settlement].decimals, float(self.params.trigger)
        terms: Any = line.terms
        if isinstance(terms, ContractTerms):
            tiers = [(float(floor) * unit, float(rate)) for floor, rate in terms.tiers]
            return list(margin.perpetual_pieces(tiers, trigger))
        ratios = [(float(floor) * unit, float(ratio)) for floor, ratio in terms.ratios]
        return list(margin.collateral_pieces(ratios, float(terms.loan_maintenance) * trigger))

    # ------------------------------------------------------------------------------------ ports: accounts

    def balance(self, holder: int, asset: int) -> int:
        """Return a holder's balance of a coin here (negative: a loan), or the contracts of its position."""
        return self.custody.balance(holder, asset)

    def can_deliver(self, holder: int, asset: int, amount: int) -> bool:
        """Return whether a holder could deliver so much: clients may borrow, others have to have it."""
        return self.custody.can_deliver(holder, asset, amount)

    def deliver(self, holder: int, asset: int, amount: int) -> list[Leg]:
        """Return the legs by which a holder's balance of a coin changes by `amount`."""
        return self.custody.deliver(holder, asset, amount)

    def position(self, holder: int, contract: int, quantity: int, cost: int) -> list[Leg]:
        """Return the legs of `quantity` contracts more, bought for `cost` (both negative for a sale)."""
        return self.custody.position(holder, contract, quantity, cost)

    def open_account(self, holder: int, balances: Mapping[int, int], positions: Mapping[int, tuple[int, int]]) -> None:
        """Post what an account brings to time 0: balances by asset; (contracts, entry price or 0) by book node.

        Contracts are whole lots, so that no crumb is ever left that no order can close.
        """
        for asset, amount in balances.items():
            if asset not in self.custody.claims:
                what = f"{self.sim.network.names[self.node]} takes no {self.sim.ledger.assets[asset].name!r}"
                raise Misfit(("nodes", self.sim.network.names[holder]), what)
            self._open_balance(holder, asset, amount)
        books = {book.node: book for book in self._books.values() if book.perpetual}
        for node, (quantity, entry) in positions.items():
            if node not in books:
                what = f"{self.sim.network.names[node]!r} is no book of perpetuals of this exchange"
                raise Misfit(("nodes", self.sim.network.names[holder]), what)
            book = books[node]
            if quantity % book.lot:
                what = f"has a position of no whole lots at {self.sim.network.names[node]!r}"
                raise Misfit(("nodes", self.sim.network.names[holder]), what)
            price = entry or self.feeds[book.traded].mark.price
            cost = book.notional(abs(quantity), price) * (1 if quantity > 0 else -1)
            self.custody.open_position(holder, book.traded, quantity, cost)

    def open_crowd(self, holder: int, book: AccountBook) -> None:
        """Post what a crowd brings to time 0, and keep its members' accounts."""
        self.roster.join_crowd(holder, book)
        self.sim.introduced[holder] = np.zeros(len(book), np.bool_)
        self.sim.openings[holder] = self.roster.openings
        columns = self.sim.ledger.members
        for asset, claim in self.custody.claims.items():
            if (holder, claim) in columns and (total := columns[holder, claim].total()):
                self._open_balance(holder, asset, total)
        for contract, cost in self.custody.contracts.items():
            quantity, paid = columns[holder, contract].total(), -columns[holder, cost].total()
            if quantity or paid:
                self.custody.open_position(holder, contract, quantity, paid)

    def book_of(self, node: int) -> Any:
        """Return the book of this exchange that is a node, None where it is not one."""
        return next((book for book in self._books.values() if book.node == node), None)

    def line_number(self, asset: int) -> int:
        """Return the number of a coin or contract in the account books of this exchange."""
        return self.roster.numbers[asset]

    def lot_of(self, asset: int) -> int:
        """Return the lot in which a coin is sold here; one unit where it has no market."""
        book = self.roster.lines[self.roster.numbers[asset]].book
        return 1 if book is None else int(book.lot)

    def rules(self) -> Rules:
        """Return the margin rules of this exchange, for an account book."""
        return self.roster.rules()

    def prices(self) -> NDArray[np.float64]:
        """Return what one base unit of each coin and contract is worth in base units of the settlement."""
        return self.roster.prices()

    def unit(self, asset: int) -> float:
        """Return what one base unit of a coin or contract is worth in base units of the settlement."""
        return 1.0 if asset == self.settlement else self.roster.unit(asset)

    def sell_members(
        self, holder: int, members: NDArray[np.int64], asset: int, size: NDArray[np.int64], *, cause: int, channel: int
    ) -> int:
        """Sell coins of a crowd's members as one order at what rests; return the trade's event."""
        line = self.roster.lines[self.roster.numbers[asset]]
        part = blank_cohort(np.full(len(members), holder), members)
        event = self.sim.record(
            "sale", holder, cause=cause, asset=asset, market=line.book.node, quantity=int(size.sum()), channel=channel
        )
        return trade_coins(self.roster, line, part, SELL, size, cause=event, channel=channel)

    def _open_balance(self, holder: int, asset: int, amount: int) -> None:
        if amount < 0:
            self._loans.append((holder, asset, amount))
        else:
            self.custody.open_balance(holder, asset, amount)

    def leverage(self, holder: int) -> tuple[float, float]:
        """Return (leverage, equity) of a named account: gross assets over equity, without haircuts."""
        prices = self.roster.prices()
        worth = self.roster.worth(holder, prices)
        return (self.roster.gross(holder, prices) / worth if worth > 0 else float("inf")), worth

    def withdraw(self, holder: int, asset: int, amount: int, *, cause: int) -> int:
        """Let a client take coins out after the delay; Refused while halted, beyond its balance or its margin.

        What is left must keep `keep` times its maintenance, now and when the coins leave; a withdrawal that is due
        while transfers are halted waits for their end.
        """
        self.custody.refuse_halted()
        self.custody.claim(asset)
        self._refuse_short(holder, asset, amount)
        event = self.sim.record("withdrawal", holder, cause=cause, asset=asset, market=self.node, quantity=amount)
        self.sim.start(self._pay_later(holder, asset, amount, event))
        return event

    def deposit(self, holder: int, asset: int, amount: int, *, cause: int) -> int:
        """Take a client's coins in at once; Refused while halted. Return the event."""
        return self.custody.deposit(holder, asset, amount, cause=cause)

    def funding_rate(self, contract: int) -> float:
        """Return the annual rate that longs pay on a contract, by the premium since the last payment."""
        return self.funding.rate(contract)

    def funded(self, contract: int) -> int:
        """Return what longs have paid on one contract so far, in 10^-9 of the settlement."""
        return self.custody.funded[contract]

    def paid_out(self, event: int) -> tuple[int, int]:
        """Return the withdrawal that an event ended, (-1, 0) for other events, and the amount paid (0: refused)."""
        return self._withdrawn.get(event, (-1, 0))

    def halted_until(self) -> int:
        """Return when the present halt of transfers ends; 0 while there is none."""
        return self.custody.halted_until()

    def _pay_later(self, holder: int, asset: int, amount: int, cause: int) -> Process:
        yield self.sim.pause(self.params.withdrawal_delay)
        while until := self.custody.halted_until():
            yield self.sim.env.timeout(until - self.sim.env.now)
        event, paid = self._pay_out(holder, asset, amount, cause)
        self._withdrawn[event] = (cause, paid)
        self.calls.fire(event, holder)
        self.notices.fire(event, Notice(self.node, holder, asset, amount))

    def _pay_out(self, holder: int, asset: int, amount: int, cause: int) -> tuple[int, int]:
        """Hand out what is due now, or say why not; return (event, what was paid)."""
        try:
            kind = "refused-withdrawal"
            self._refuse_short(holder, asset, amount)
            kind = "blocked-withdrawal"
            return self.custody.pay_out(holder, asset, amount, cause=cause), amount
        except Refused:
            return self.sim.record(kind, holder, cause=cause, asset=asset, market=self.node, quantity=amount), 0

    def _refuse_short(self, holder: int, asset: int, amount: int) -> None:
        """Refuse that an account hands out what it does not have, or what its margin needs."""
        name, coin = self.sim.network.names[holder], self.sim.ledger.assets[asset]
        wanted = f"{Decimal(amount).scaleb(-coin.decimals):f} {coin.name} at {self.sim.network.names[self.node]}"
        if self.balance(holder, asset) < amount:
            raise Refused(f"{name} has no {wanted}")
        _, equity, maintenance = self.roster.facts(holder, self.roster.prices(), less=(asset, amount))
        if equity < float(self.params.keep / self.params.trigger) * maintenance:
            raise Refused(f"without {wanted} {name} would keep less than {self.params.keep} times its maintenance")

    # --------------------------------------------------------------------------------------- processes

    def _run(self) -> Process:
        sim, interval = self.sim, self.params.interval
        passive = sim.twin == "frozen"
        while True:
            yield self._inbox.wait()
            busy = True
            while busy:
                yield sim.env.timeout(interval - sim.env.now % interval)
                if heard := self._inbox.take():
                    self.marks.hear(heard)
                    self.roster.news = heard[-1].cause
                moving = self.marks.update()
                self.funding.note()
                busy = (not passive and self.engine.interval()) or moving

    def _fund(self) -> Process:
        while True:
            yield self.sim.env.timeout(self.params.funding_interval)
            for event in self.funding.pay():
                self._wake(event)

    def _charge_interest(self) -> Process:
        sim, every = self.sim, self.params.interest_interval
        rates = {asset: float(self._terms_of(asset).loan_rate) * every / YEAR for asset in self.custody.claims}
        while True:
            yield sim.env.timeout(every)
            for asset, rate in sorted(rates.items()):
                loans = self.roster.loans(self.custody.claims[asset]) if rate else ()
                for holder, members, owed in loans:
                    self._charge(holder, members, asset, np.floor(owed * rate).astype(np.int64))

    def _charge(self, holder: int, members: NDArray[np.int64] | None, asset: int, interest: NDArray[np.int64]) -> None:
        """Post the interest on a named account's loan, or on those of a crowd's members."""
        claim, total = self.custody.claims[asset], int(interest.sum())
        if total:
            leg = (holder, claim, -total) if members is None else (holder, claim, -interest, members)
            event = self.sim.transact(
                "interest", holder, leg, (self.node, claim, total), cause=CLOCK, channel=Channel.INTEREST, asset=asset,
                market=self.node, quantity=total,
            )  # fmt: skip
            self._wake(event)

    def _wake(self, event: int) -> None:
        """Let the engine look at its next interval, although no source has moved."""
        self._inbox.send(Message(event, None), 0)

    def _terms_of(self, asset: int) -> CoinTerms:
        return self.params.assets.get(self.sim.ledger.assets[asset].name, CoinTerms())


MECHANISM: type[Mechanism] = Exchange
