"""What an arbitrageur has at each place, and what is on its way from one to another.

A place is an exchange or the chain. One that has no more than `refill_at` of what it began with (of coins, also one
that began with none; of cash, never that) gets half of what the fullest one has more: out of an exchange by a
withdrawal (its delay, its halts, the margin that it keeps back), into one by a deposit, after `transfer_delay` on the
chain. What is under way belongs to nobody who trades: it is taken off what a place has until it has arrived or
has been refused. A door that is closed is complained of once a halt (`refused-transfer`) and tried again when the
halt ends; coins that find it closed on their arrival wait.
"""

from collections import defaultdict
from typing import Any, NamedTuple

from contagion.ledger import Refused
from contagion.mechanisms.arbitrageur.venues import CHAIN
from contagion.ports import Inbox, Message, Process
from contagion.simulation import Simulation
from contagion.units import PPM
from contagion.venues import Custodian

NEWS = "news"
"""What an inbox hears of the arbitrageur's own: something has arrived, or a door is open again."""


class Transfer(NamedTuple):
    """Base units of an asset on their way between two places."""

    asset: int
    amount: int
    source: int
    target: int


class Transfers:
    """The inventories of one arbitrageur and their movements."""

    def __init__(
        self, sim: Simulation, node: int, inbox: Inbox, exchanges: dict[int, Custodian], delay_us: int, refill_ppm: int
    ) -> None:
        self.sim, self.node, self._inbox, self._exchanges = sim, node, inbox, exchanges
        self._delay_us, self._refill_ppm = delay_us, refill_ppm
        self._start: dict[tuple[int, int], int] = {}
        self._reserved: defaultdict[tuple[int, int], int] = defaultdict(int)
        self._leaving: dict[int, Transfer] = {}
        self._bound: set[tuple[int, int]] = set()
        self._complained: set[tuple[int, int, int]] = set()

    def available(self, place: int, asset: int) -> int:
        """Return what there is of an asset at a place (of a contract: the position) and not on its way elsewhere."""
        held = self.sim.ledger.balances[self.node][asset]
        if place != CHAIN:
            held = self._exchanges[place].balance(self.node, asset)
        return held - self._reserved[place, asset]

    def begin(self, place: int, asset: int) -> None:
        """Note what there is at the start."""
        self._start[place, asset] = self.available(place, asset)

    def gained(self, place: int, asset: int) -> int:
        """Return how much more there is than at the start."""
        return self.available(place, asset) - self._start[place, asset]

    def is_short(self, place: int, asset: int, empty: bool = False) -> bool:
        """Return whether a place has run out; empty : also one that began with nothing and still has nothing."""
        start = self._start[place, asset]
        short = self.available(place, asset) * PPM <= start * self._refill_ppm
        return short and (start > 0 or (empty and start == 0))

    def refill(self, asset: int, places: list[int], *, empty: bool, cause: int) -> None:
        """Send half the difference from the fullest place to the one with least of those that have run out."""
        short = [place for place in places if self.is_short(place, asset, empty)]
        if not short:
            return
        has = {place: self.available(place, asset) for place in places}
        poor, rich = min(short, key=has.__getitem__), max(places, key=has.__getitem__)
        amount = (has[rich] - has[poor]) // 2
        if (asset, poor) not in self._bound and amount > 0:
            self._send(Transfer(asset, amount, rich, poor), cause)

    def hears(self, cause: int, content: Any) -> bool:
        """Take in a message that is no price; return whether it may be a reason to trade."""
        if content == self.node:
            return any([self._paid(exchange, cause) for exchange in self._exchanges.values()])
        return content in (NEWS, None)

    def _send(self, transfer: Transfer, cause: int) -> None:
        """Let something leave: it may not, while the exchange that it leaves or goes to is closed."""
        asset, amount, source, target = transfer
        closed = next((p for p in (source, target) if p != CHAIN and self._exchanges[p].halted_until()), None)
        if closed is not None:
            self._complain(closed, asset, cause)
            return
        if source == CHAIN:
            event = self.sim.record(
                "transfer", self.node, cause=cause, asset=asset, market=target, quantity=amount
            )  # fmt: skip
            self._carry(transfer, event)
        else:
            try:
                event = self._exchanges[source].withdraw(self.node, asset, amount, cause=cause)
            except Refused:
                self._complain(source, asset, cause)
                return
            self._leaving[event] = transfer
            self._reserved[source, asset] += amount
        self._complained.discard((source, asset, 0))
        self._bound.add((asset, target))

    def _paid(self, exchange: Custodian, event: int) -> bool:
        """Take note of a withdrawal that has been paid out or refused at last."""
        withdrawal, amount = exchange.paid_out(event)
        if withdrawal not in self._leaving:
            return False
        transfer = self._leaving.pop(withdrawal)
        self._reserved[transfer.source, transfer.asset] -= transfer.amount
        if amount and transfer.target != CHAIN:
            self._carry(transfer._replace(amount=min(amount, self.available(CHAIN, transfer.asset))), event)
        else:
            self._bound.discard((transfer.asset, transfer.target))
        return True

    def _carry(self, transfer: Transfer, cause: int) -> None:
        """Bring what is on chain to an exchange: at once, or as a process where that takes time."""
        self._reserved[CHAIN, transfer.asset] += transfer.amount
        if self._delay_us or self._exchanges[transfer.target].halted_until():
            self.sim.start(self._travel(transfer, cause))
        else:
            self._deposit(transfer, cause)

    def _travel(self, transfer: Transfer, cause: int) -> Process:
        sim, exchange = self.sim, self._exchanges[transfer.target]
        if self._delay_us:
            yield sim.pause(self._delay_us)
        while until := exchange.halted_until():
            cause = self._complain(transfer.target, transfer.asset, cause)
            yield sim.env.timeout(until - sim.env.now)
        self._deposit(transfer, cause)

    def _deposit(self, transfer: Transfer, cause: int) -> None:
        """Hand coins in; what an exchange does not take stays on chain."""
        asset, amount, _, target = transfer
        try:
            event = self._exchanges[target].deposit(self.node, asset, amount, cause=cause)
        except Refused:
            self._complain(target, asset, cause)
        else:
            self._complained.discard((target, asset, 0))
            self._inbox.send(Message(event, NEWS), 0)
        self._reserved[CHAIN, asset] -= amount
        self._bound.discard((asset, target))

    def _complain(self, place: int, asset: int, cause: int) -> int:
        """Log that an exchange lets nothing through, once a halt, and come back when that ends; return the event."""
        until = self._exchanges[place].halted_until()
        if (place, asset, until) in self._complained:
            return cause
        self._complained.add((place, asset, until))
        event = self.sim.record("refused-transfer", self.node, cause=cause, asset=asset, market=place)
        if until:
            self._inbox.send(Message(event, NEWS), until - self.sim.env.now)
        return event
