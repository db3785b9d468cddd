"""What an exchange's engine needs of a market, served by an impact law instead of a book.

There is one counterparty, the outside, and one price for a whole order: the average of its walk. Nothing rests,
so there is nothing to cancel and no level to limit an order to; the exchange must not limit its orders
(`order_limit = "none"`).
"""

from collections.abc import Callable, Sequence
from typing import Any

from contagion.finance.book import Fill, Walk
from contagion.ledger import Leg
from contagion.ports import Feed
from contagion.units import PRICE_DECIMALS, PRICE_SCALE, SUPPLY_LIMIT
from contagion.venues import Clearing, Execution, clearer_of, trade_legs


class Contracts:
    """The engine's side of an impact market; the law itself is the market's `_fall`."""

    sim: Any
    node: int
    asset: int
    numeraire: int
    traded: int
    quote_price: int
    perpetual: bool
    feeds: dict[int, Feed]
    clearing: Clearing
    tick, lot, scale = 1, 1, 1
    _fall: Callable[[float], tuple[float, float]]

    def open_contracts(self) -> None:
        """Find the exchange and fix the scale of money."""
        decimals, cash = (self.sim.ledger.assets[a].decimals for a in (self.asset, self.numeraire))
        self.scale = 10 ** (decimals + PRICE_DECIMALS - cash)
        self.quote_price = self.sim.reference_price(self.numeraire)
        clearer = clearer_of(self.sim, self.node)
        if clearer is not None:
            self.clearing = clearer

    def best(self, side: int) -> int | None:
        """Return the price: the law takes any size at once."""
        return self.last()

    def last(self) -> int:
        """Return the price in 10^-9 of the numeraire."""
        return self.feeds[self.traded].mark.price * PRICE_SCALE // self.quote_price

    def levels(self, side: int, limit: int | None = None) -> list[tuple[int, int]]:
        """Return one level that takes anything."""
        return [(self.last(), SUPPLY_LIMIT - 1)]

    def resting(self, maker: int) -> tuple[int, int]:
        """Return nothing: nobody's orders rest here."""
        return 0, 0

    def depth(self) -> tuple[int, int]:
        """Return nothing: there are no orders to count."""
        return 0, 0

    def rounded(self, quantity: int) -> int:
        """Return the quantity."""
        return quantity

    def notional(self, quantity: int, price: int) -> int:
        """Return quantity times price, in base units of the numeraire, rounded down."""
        return quantity * price // self.scale

    def notional_of(self, walk: Walk) -> int:
        """Return what an order costs."""
        return walk.notional // self.scale

    def walk(self, side: int, quantity: int, limit: int | None, holder: int) -> Walk:
        """Return the fill of an order by the outside at its average price; nothing changes."""
        if not quantity:
            return Walk((), 0, 0, 0, 0, 0)
        slippage = self._fall(quantity)[1]
        price = max(round(self.last() * (1 + side * slippage)), 1)
        return Walk((Fill(self.sim.world, price, quantity),), quantity, price * quantity, price, 0, 0)

    def settle(
        self, legs: Sequence[Leg], side: int, walk: Walk, holder: int, limit: int | None, *, cause: int, channel: int,
        depth: object = None,
    ) -> int:  # fmt: skip
        """Post an order (the taker's legs are given) against the outside and move the price; return the event.

        Its price is the average one that was paid.
        """
        sim, paid = self.sim, self.notional_of(walk)
        fall = self._fall(walk.filled)[0]
        world = trade_legs(self, sim.world, -side, walk.filled, paid)
        columns = {} if depth is None else {"depth": depth}
        price = self.feeds[self.traded].mark.price
        event = sim.transact(
            "trade", self.node, *legs, *world, cause=cause, channel=channel, asset=self.traded, market=self.node,
            quantity=side * walk.filled, price=walk.last * self.quote_price // PRICE_SCALE,
            value=sim.currency_value(paid, self.numeraire), **columns,
        )  # fmt: skip
        self.feeds[self.traded].move(max(round(price * (1 + side * fall)), 1), event, channel)
        return int(event)

    def execute(
        self, holder: int, side: int, quantity: int, limit: int | None = None, *, cause: int, channel: int
    ) -> Execution:
        """Buy or sell at once against the outside."""
        walk = self.walk(side, quantity, limit, holder)
        if not walk.filled:
            return Execution(cause, 0, 0, quantity)
        paid = self.notional_of(walk)
        legs = trade_legs(self, holder, side, quantity, paid)
        event = self.settle(legs, side, walk, holder, limit, cause=cause, channel=channel)
        return Execution(event, walk.filled, paid, 0)
