"""A call auction: the orders of one round are carried out together, at one price that their total makes.

The models of fire sales suppose such a market, in which nobody is first in a round: all are paid the price that is
left by all of them (Cifuentes, Ferrucci and Shin 2005, equation for p; Greenwood, Landier and Thesmar 2015, where a
round costs all holders the same return), or the mean of the prices before and after (Cont and Schaanning 2017; Farmer,
Kleinnijenhuis, Nahai-Williamson and Wetzer 2020). Call auctions of exchanges work like this: orders may be revised
until the cut-off, and the price at which the market would clear is shown meanwhile (Xetra's indicative auction price).

(1) Orders to sell are collected, one a holder; a further one replaces the first. (2) With an `indication`, that long
after orders have changed, the price is shown at which they would clear; holders hear it as any price and may revise.
(3) At the next multiple of `every` after the first order all are carried out against the outside, what a holder does
not have left out, in the order of node numbers. An order that arrives at the very cut-off is one of the next round.
Where the price shown moves nobody any more, it is the greatest price at which the orders that it brings about clear
at it, less rounding: prices begin at the highest and, as long as a lower price makes nobody sell less, only fall
(Tarski 1955).

A cut-off's price is an event of its own (`auction`), set off by the largest order, the others being its contributors;
its weighted generation is the mean of those behind the orders, by quantity.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol

from pydantic import field_validator

from contagion.log import Depth
from contagion.params import Duration, Share
from contagion.params import Params as Parameters
from contagion.ports import Feed, Process, Trade
from contagion.simulation import Simulation


class AuctionTerms(Parameters):
    """`every`: the time between two cut-offs; `indication`: after how long a price is shown, never if not stated.

    pays : what sellers get, the `last` price or the `mean` of those before and after; measure : what the law is asked
    about, the quantity sold, or its `value` at the price before (in the numeraire), so that its `depth` is a value as
    well; floor : the share of the price before that no round goes below, the law's fall being that of the rest.
    """

    every: Duration
    indication: Duration | None = None
    pays: Literal["last", "mean"] = "last"
    measure: Literal["quantity", "value"] = "quantity"
    floor: Share = Decimal(0)

    @field_validator("every")
    @classmethod
    def _passes(cls, every: int) -> int:
        if not every:
            raise ValueError("the time between two cut-offs cannot be 0")
        return every


class Order(NamedTuple):
    """A sale that waits for the cut-off: what set it off, and who is told what it brought."""

    quantity: int
    cause: int
    channel: int
    filled: Callable[[Trade], None]


class Law(Protocol):
    """The market behind an auction."""

    node: int
    asset: int
    numeraire: int

    def fall(self, size: float, price: int) -> float:
        """Return the relative fall of a price by a sale of so many base units."""

    def proceeds(self, quantity: int, price: int) -> int:
        """Return what a sale at a price brings, less the fee, in base units of the numeraire, rounded down."""


class Auction:
    """The orders of a market's present round and the price that they make."""

    def __init__(self, sim: Simulation, market: Law, feed: Feed, terms: AuctionTerms) -> None:
        self._sim, self._market, self._feed, self._terms = sim, market, feed, terms
        self._kept = 1 - float(terms.floor)
        self._orders: dict[int, Order] = {}
        self._open = self._showing = False
        self._before = feed.mark.price

    def place(self, holder: int, order: Order) -> None:
        """Take a holder's order in the place of the one it had; a quantity of 0 takes it back."""
        self._orders[holder] = order
        if not self._open:
            self._open, self._before = True, self._feed.mark.price
            self._sim.start(self._call())
        if self._terms.indication is not None and not self._showing:
            self._showing = True
            self._sim.start(self._show(self._terms.indication))

    def rescale(self, price: int, before: int) -> None:
        """Let the price that orders start from move with a reference price."""
        self._before = max(self._before * price // before, 1)

    def _call(self) -> Process:
        """Wait for the cut-off."""
        every, now = self._terms.every, self._sim.env.now
        yield self._sim.env.timeout((now // every + 1) * every - now)
        self._clear()

    def _show(self, indication_us: int) -> Process:
        """Show the price of the orders there are."""
        yield self._sim.pause(indication_us)
        self._showing = False
        if self._open and (price := self._price()) != self._feed.mark.price:
            self._move(price)

    def _clear(self) -> None:
        """Carry out all orders at one price."""
        market, price = self._market, self._price()
        if price != self._feed.mark.price or any(map(self._sold, self._orders)):
            self._move(price)
        paid = price if self._terms.pays == "last" else (self._before + price) // 2
        orders = [(holder, self._sold(holder), order) for holder, order in sorted(self._orders.items())]
        self._open = False
        self._orders.clear()
        for holder, quantity, order in orders:
            if not quantity:
                continue
            received, world = market.proceeds(quantity, paid), self._sim.world
            event = self._sim.transact(
                "trade", market.node, (holder, market.asset, -quantity), (world, market.asset, quantity),
                (world, market.numeraire, -received), (holder, market.numeraire, received), cause=order.cause,
                channel=order.channel, asset=market.asset, market=market.node, quantity=quantity, price=paid,
                value=received,
            )  # fmt: skip
            order.filled(Trade(event, received))

    def _sold(self, holder: int) -> int:
        return min(self._orders[holder].quantity, self._sim.ledger.balances[holder][self._market.asset])

    def _price(self) -> int:
        """Return the price at which all orders would clear, to the nearest step: a crumb moves nothing."""
        size = float(sum(self._sold(holder) for holder in self._orders))
        if self._terms.measure == "value":
            size *= self._before / self._sim.reference_price(self._market.numeraire)
        return max(round(self._before * (1 - self._kept * self._market.fall(size, self._before))), 1)

    def _move(self, price: int) -> None:
        """Log the price that the orders make, with all of them behind it, and tell who listens."""
        sim, market = self._sim, self._market
        sold = {holder: self._sold(holder) for holder in sorted(self._orders)}
        total, largest = sum(sold.values()), max(sold, key=lambda holder: (sold[holder], -holder))
        first, generation = self._orders[largest], sim.log.weighted_generation
        behind = sum(units * generation(self._orders[holder].cause) for holder, units in sold.items())
        mean = behind / total if total else generation(first.cause)
        event = sim.transact(
            "auction", market.node, cause=first.cause, channel=first.channel, asset=market.asset, market=market.node,
            quantity=total, price=price, depth=Depth(sim.log.depths[first.cause].generation, mean),
        )  # fmt: skip
        for holder, units in sold.items():
            if units and holder != largest and self._orders[holder].cause != first.cause:
                sim.contribute(event, self._orders[holder].cause, units / total)
        self._feed.move(price, event, first.channel)
