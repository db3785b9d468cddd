"""How nodes reach each other: signals in time, price feeds, and the ports that mechanisms serve.

A signal is a broadcast. Whoever listens does so over an edge, and hears of an event when the edge's latency
has passed: the inbox at the far end keeps what has arrived until its owner reads it, so that a mechanism that
was busy misses nothing and an engine that polls reads its marks in order. What arrives is what was true when
it was sent; nobody sees a neighbour's state earlier than the edge allows.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import simpy

from contagion.finance.branching import Mark, first_mark, followed, moved
from contagion.log import Channel, EventLog

Process = Generator[simpy.Event, Any, None]
T = TypeVar("T")
_by_cause, _by_increment = itemgetter(0), itemgetter(1)


class Message(NamedTuple):
    """What an inbox holds: the id of the event that fired, and what the sender said with it."""

    cause: int
    content: Any


class Clock(simpy.Environment):
    """SimPy's environment, its time an integer number of microseconds."""

    @property
    def now(self) -> int:
        """Return the present time."""
        return self._now  # type: ignore[return-value]


class Inbox:
    """The listening end of one or more edges: messages in the order of their events, oldest first.

    Whatever is due at the same microsecond arrives together and wakes the owner once.
    """

    def __init__(self, env: Clock) -> None:
        self._env = env
        self._coming: dict[int, list[Message]] = {}
        self._messages: list[Message] = []
        self._waiting: simpy.Event | None = None

    def wait(self) -> simpy.Event:
        """Return an event that succeeds with a cause as soon as there is a message to take."""
        event = simpy.Event(self._env)
        if self._messages:
            event.succeed(self._messages[0].cause)
        else:
            self._waiting = event
        return event

    def take(self) -> list[Message]:
        """Return what has arrived since the last call, by event id, and forget it."""
        messages, self._messages = self._messages, []
        if len(messages) > 1:
            messages.sort(key=_by_cause)
        return messages

    def send(self, message: Message, latency_us: int) -> None:
        """Let a message arrive `latency_us` from now."""
        due = self._env.now + latency_us
        if due in self._coming:
            self._coming[due].append(message)
        else:
            self._coming[due] = [message]
            simpy.Timeout(self._env, latency_us).callbacks.append(self._arrive)

    def _arrive(self, _: simpy.Event) -> None:
        """Put in what is due now and wake the owner at once, without a second trip through SimPy's queue.

        That is safe here and only here: this is a callback of the queue, so no process is running.
        """
        self._messages += self._coming.pop(self._env.now)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting._ok, waiting._value = True, self._messages[0].cause
            callbacks, waiting.callbacks = waiting.callbacks, None  # type: ignore[assignment]
            for callback in callbacks:
                callback(waiting)


class Signal:
    """A broadcast that re-arms itself and carries the id of the event that fired it.

    >>> env = Clock()
    >>> signal, inbox = Signal(env), Inbox(env)
    >>> signal.reach(inbox, latency_us=5)
    >>> signal.fire(3)
    >>> env.run(); env.now, inbox.take()
    (5, [Message(cause=3, content=None)])
    """

    def __init__(self, env: Clock) -> None:
        self._env = env
        self._listeners: list[tuple[Inbox, int]] = []
        self._held_until = 0

    def hold(self, until_us: int) -> None:
        """Send nothing before a time: what is said until then leaves at that time, in order."""
        self._held_until = max(self._held_until, until_us)

    def reach(self, inbox: Inbox, latency_us: int = 0) -> None:
        """Let an inbox hear this signal, `latency_us` after it fires."""
        self._listeners.append((inbox, latency_us))

    def fire(self, cause: int, content: Any = None) -> None:
        """Tell every listener of an event."""
        if self._listeners:
            message = Message(cause, content)
            held_us = max(self._held_until - self._env.now, 0)
            for inbox, latency_us in self._listeners:
                inbox.send(message, latency_us + held_us)


class Tick(NamedTuple):
    """What a feed says when it changes: its market, its asset, its new mark and when that was made."""

    market: int
    asset: int
    mark: Mark
    time_us: int


class Feed:
    """A price that others mark to, with the running sums that explain it (`finance.branching`)."""

    def __init__(self, env: Clock, log: EventLog, market: int, asset: int, price: int) -> None:
        self.market, self.asset = market, asset
        self.mark = first_mark(price, 0, len(Channel))
        self.opened = self.mark
        self.changed = Signal(env)
        self._env, self._log = env, log
        log.prices.append(0, 0, price, 0, 0, 0, market, 0)

    def move(self, price: int, event: int, channel: int, depth: tuple[int, int] = (0, 0)) -> None:
        """Set the price that an event made through one channel, log it and tell who listens."""
        if price == self.mark.price:
            return
        log = self._log
        old, self.mark = (
            self.mark,
            moved(
                self.mark,
                price,
                event,
                channel,
                log.weighted_generation(event),
                log.is_exogenous(event),
            ),
        )
        log.prices.append(event, self._env.now, price, price - old.price, depth[0], depth[1], self.market, channel)
        self.changed.fire(event, Tick(self.market, self.asset, self.mark, self._env.now))

    def move_by(self, parts: Iterable[tuple[int, int]], event: int, depth: tuple[int, int] = (0, 0)) -> None:
        """Move the price by increments through several channels, (channel, increment), of which listeners hear once."""
        log, old = self._log, self.mark
        increments = [(channel, delta) for channel, delta in parts if delta]
        for channel, delta in increments:
            generation, exogenous = log.weighted_generation(event), log.is_exogenous(event)
            self.mark = moved(self.mark, self.mark.price + delta, event, channel, generation, exogenous)
        self._append(old.price, increments, event, depth)
        if self.mark.price != old.price:
            self.changed.fire(event, Tick(self.market, self.asset, self.mark, self._env.now))

    def note(self, event: int, depth: tuple[int, int]) -> None:
        """Log the depth around an unchanged price."""
        price = self.mark.price
        self._log.prices.append(event, self._env.now, price, 0, depth[0], depth[1], self.market, 0)

    def follow(self, price: int, event: int, sources: list[tuple[Mark, Mark, int]]) -> None:
        """Set the price of a reader from its sources' (mark last read, mark now, weight in ppm)."""
        old, self.mark = self.mark, followed(self.mark, price, event, sources)
        changes = enumerate(zip(old.channels, self.mark.channels, strict=True))
        self._append(old.price, [(channel, now - was) for channel, (was, now) in changes if now != was], event, (0, 0))
        self.changed.fire(event, Tick(self.market, self.asset, self.mark, self._env.now))

    def _append(self, price: int, increments: list[tuple[int, int]], event: int, depth: tuple[int, int]) -> None:
        """Log increments of one event, rises first: on its way the price is never below both its ends."""
        for channel, delta in sorted(increments, key=_by_increment, reverse=True):
            price += delta
            self._log.prices.append(event, self._env.now, price, delta, depth[0], depth[1], self.market, channel)


@dataclass(frozen=True)
class Port(Generic[T]):
    """What a node finds at the far end of its edges of one role: `way` is 'out' or 'in'."""

    role: str
    way: str


class Link(NamedTuple, Generic[T]):
    """A peer at the far end of an edge, with the edge's name, latency and attributes."""

    peer: T
    edge: str
    latency_us: int
    attributes: Any


class Mechanism(Protocol):
    """A node's behaviour: parameters, state and SimPy processes.

    opens : the rank of its opening (assets 0, markets 1 and 2, oracles 3, lenders 4, borrowers 5, others 6);
    reacts : whether its processes are switched off in the frozen twin.
    """

    reacts: ClassVar[bool]
    node: int

    @property
    def Params(self) -> Any:
        """Return the pydantic model of the node's parameters."""

    @property
    def opens(self) -> int:
        """Return the rank of the opening."""

    def open(self) -> None:
        """Post what the node brings to time 0."""

    def processes(self) -> Iterable[Process]:
        """Return the generators that run from time 0."""


class PriceSource(Protocol):
    """A node whose prices others read, one feed an asset."""

    node: int
    feeds: dict[int, Feed]


class Trade(NamedTuple):
    """A fill: its event and what the seller received."""

    event: int
    received: int


class Venue(Protocol):
    """A market that swaps one asset for another at the depth that is there."""

    node: int
    feeds: dict[int, Feed]

    def assets(self) -> tuple[int, ...]:
        """Return the assets that trade here; every pair of them is a market."""

    def quote(self, sold: int, quantity: int, bought: int) -> int:
        """Return what selling `quantity` would bring now; nothing changes."""

    def trade(self, holder: int, sold: int, quantity: int, bought: int, *, cause: int, channel: int) -> Trade:
        """Sell `quantity` at once and return the fill; Refused when the holder cannot deliver."""

    def sale_to_price(self, sold: int, ratio_ppm: int) -> int:
        """Return how much of an asset to sell so that its price becomes `ratio_ppm` of today's."""


class Position(NamedTuple):
    """An account at a lender: a holder, and its member where the holder is a population (else -1)."""

    holder: int
    member: int


class Seizure(NamedTuple):
    """A liquidation that happened: its event, the debt repaid, the collateral the liquidator received."""

    event: int
    repaid: int
    received: int


class Call(NamedTuple):
    """A position open to liquidation, and the event that found it."""

    position: Position
    cause: int


class Lender(Protocol):
    """A protocol that lends against collateral; amounts are base units of the asset."""

    node: int
    calls: Signal
    liquidity: Signal

    def open_position(self, position: Position, asset: int, amount: Any, side: str) -> None:
        """Post a `collateral` or `debt` that exists at the start; arrays where the holder is a population."""

    def add_members(self, position: Position, collateral: int, debt: int, count: int) -> None:
        """Give a population a column per claim, one row a member."""

    def collateral_of(self, position: Position, asset: int) -> int:
        """Return what a position has deposited."""

    def debt_of(self, position: Position, asset: int) -> int:
        """Return what a position owes, interest included."""

    def health(self, position: Position) -> float:
        """Return the health factor at the last prices read; infinite without debt."""

    def borrow_rate(self, asset: int) -> float:
        """Return the annual rate that borrowers of an asset pay now."""

    def price(self, asset: int) -> int:
        """Return the price (10^-9) at which this protocol values an asset."""

    def threshold_ppm(self, asset: int) -> int:
        """Return the liquidation threshold of an asset."""

    def supply(self, position: Position, asset: int, amount: int, *, cause: int) -> int:
        """Deposit and return the event."""

    def borrow(self, position: Position, asset: int, amount: int, *, cause: int) -> int:
        """Borrow and return the event; Refused beyond the loan-to-value or the liquidity left."""

    def available(self, asset: int) -> int:
        """Return the liquidity left in a reserve."""

    def withdraw(self, position: Position, asset: int, amount: int, *, cause: int) -> int:
        """Take a deposit out and return the event; Refused when unhealthy afterwards or not liquid."""

    def repay(self, position: Position, asset: int, amount: int, *, cause: int, payer: int | None = None) -> int:
        """Pay a debt back, at most all of it, and return the event."""

    def offer(self, position: Position) -> "Offer | None":
        """Return what a liquidator may do with a position now, None when it is healthy."""

    def liquidate(self, position: Position, offer: "Offer", repay: int, liquidator: int, *, cause: int) -> Seizure:
        """Repay a debt and seize collateral; Refused when the terms do not allow it."""


class Offer(NamedTuple):
    """The terms of a liquidation: which collateral and debt, at most how much, and what a repayment seizes.

    bonus_ppm : on top of the repayment's worth; fee_ppm : the protocol's part of that bonus.
    """

    collateral: int
    debt: int
    largest: int
    owed: int
    deposited: int
    collateral_unit: int
    debt_unit: int
    bonus_ppm: int
    fee_ppm: int
    smallest_rest: int


class Issuer(Protocol):
    """Who issues a token and takes it back; `settled` tells of redemptions, `paid` of yield."""

    node: int
    asset: int
    payout: int
    settled: Signal
    paid: Signal

    def room(self) -> int:
        """Return how much may still be redeemed in this hour."""

    def payment(self, quantity: int) -> int:
        """Return what a redemption of `quantity` pays."""

    def redeem(self, holder: int, quantity: int, *, cause: int, channel: int = Channel.PANIC) -> int:
        """Ask for redemption and return the event; the money follows later. What is sold for it goes by `channel`."""

    def mint(self, holder: int, money: int, *, cause: int) -> int:
        """Pay in base units of the payout and return the event; the tokens follow after the settlement delay."""

    def coverage(self) -> float:
        """Return the value of the backing over what is owed: tokens at par and claims; infinite without any."""

    def base_yield(self) -> float:
        """Return the annual rate that those who stake the token would earn at the rates of now."""


FEEDS: Port[PriceSource] = Port("prices", "in")
VENUES: Port[Venue] = Port("trades", "out")
LENDERS: Port[Lender] = Port("borrows", "out")
BORROWERS: Port[Mechanism] = Port("lends", "out")
CALLERS: Port[Lender] = Port("liquidations", "in")
ISSUERS: Port[Issuer] = Port("redeems", "in")
REDEEMERS: Port[Mechanism] = Port("redeems", "out")
DEBTORS: Port[Mechanism] = Port("claims", "in")
CREDITORS: Port[Mechanism] = Port("claims", "out")
HOLDINGS: Port[Mechanism] = Port("holds", "in")
