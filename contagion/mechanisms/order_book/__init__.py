"""An order book: resting orders by price and time, for coins (spot) or perpetual contracts.

Makers rest ladders here, takers walk them; what a walk cannot fill is said and never invented. The price that
listeners hear is the last trade, held within the spread: the middle of a far bid and a far ask means nothing,
and a price can only rise again once somebody bids. Stub quotes, the deep bids and offers of long-term holders,
belong to the outside.

Where an exchange sends its orders here (a `trades` edge from it), that exchange clears: balances and positions
move in its accounts. Else holders deliver what they own. One trade: walk the book without touching it, post all
legs or none, take the orders off, move the price and tell the listeners, charge the fees (an event of its own).
Where a resting order's owner cannot deliver, all orders of that owner are cancelled and the walk begins again.
An exchange's liquidations pay its liquidation fee and no market fee.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import ClassVar, Literal

from pydantic import Field

from contagion.errors import Misfit
from contagion.finance.book import Walk
from contagion.ledger import Leg, Refused
from contagion.log import Channel
from contagion.mechanisms.order_book.direct import Direct
from contagion.mechanisms.order_book.tape import Displacements, Tapes
from contagion.params import AssetName, Number, Positive, Share
from contagion.params import Params as Parameters
from contagion.ports import Feed, Mechanism, Process, Trade
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_DECIMALS, PRICE_SCALE, SUPPLY_LIMIT, to_ppm, to_units
from contagion.venues import BUY, SELL, Clearing, Execution, Ladders, add_contract, clearer_of, trade_legs


class Stub(Parameters):
    """A resting order of the outside: `at` times the opening price (below 1 a bid, above 1 an offer), in tokens."""

    at: Positive
    quantity: Positive


class OrderBook:
    """One market at a venue, a feed of its price and the port through which others trade."""

    class Params(Parameters):
        """Prices are multiples of `tick`, quantities of `lot`; `band` is where depth is measured (each side)."""

        asset: AssetName
        numeraire: AssetName
        contract: Literal["spot", "perpetual"] = "spot"
        price: Positive | None = None
        tick: Positive = Decimal("0.01")
        lot: Positive = Decimal("0.0001")
        taker_fee: Number = Field(default=Decimal(0), ge=Decimal("-0.01"), le=Decimal("0.1"))
        maker_fee: Number = Field(default=Decimal(0), ge=Decimal("-0.01"), le=Decimal("0.1"))
        band: Share = Decimal("0.01")
        stubs: list[Stub] = []

    opens = 1
    reacts: ClassVar[bool] = False

    def __init__(self, sim: Simulation, node: int, params: "OrderBook.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        self.asset, self.numeraire = sim.assets[params.asset], sim.assets[params.numeraire]
        self.perpetual = params.contract == "perpetual"
        self.fees = {role: to_ppm(fee) for role, fee in (("taker", params.taker_fee), ("maker", params.maker_fee))}
        self._band = to_ppm(params.band)
        decimals, cash = (sim.ledger.assets[a].decimals for a in (self.asset, self.numeraire))
        self.scale: int = 10 ** (decimals + PRICE_DECIMALS - cash)
        self.tick, self.lot = to_units(params.tick, PRICE_DECIMALS), to_units(params.lot, decimals)
        self.feeds: dict[int, Feed] = {}
        self._noted, self._displaced = 0, Displacements()
        self.prints = (0, 0)
        self.traded = add_contract(sim, node, self.asset, self.numeraire) if self.perpetual else self.asset

    def open(self) -> None:
        """Quote the opening price and place the stubs."""
        sim, p = self.sim, self.params
        path: tuple[str | int, ...] = ("nodes", sim.network.names[self.node])
        if self.tick <= 0 or self.lot <= 0:
            raise Misfit(path, "'tick' and 'lot' must be at least one unit of the price and of the asset")
        self.clearing: Clearing = clearer_of(sim, self.node) or Direct(self.node, self.numeraire, sim.ledger)
        self.quote_price = sim.reference_price(self.numeraire)
        stated = to_units(p.price, PRICE_DECIMALS) if p.price else sim.reference_price(self.asset)
        if not p.price:
            stated = stated * PRICE_SCALE // self.quote_price
        price = max(stated // self.tick * self.tick, self.tick)
        self._tapes = Tapes(self.tick, self.lot, price)
        self.feeds[self.traded] = sim.feed(self.node, self.traded, self._in_currency(price))
        for number, stub in enumerate(p.stubs):
            side = BUY if stub.at < 1 else SELL
            at = max(price * to_ppm(stub.at) // PPM // self.tick * self.tick, self.tick)
            quantity = sim.units(self.asset, stub.quantity) // self.lot * self.lot
            if quantity >= SUPPLY_LIMIT:
                what = f"{stub.quantity} are more base units than can be counted"
                raise Misfit((*path, "stubs", number, "quantity"), what)
            if quantity:
                self._tapes.rest(sim.world, side, at, quantity)

    def processes(self) -> Iterable[Process]:
        """Return nothing: a book acts when somebody trades or quotes."""
        return ()

    # ------------------------------------------------------------------------------------ what others see

    def assets(self) -> tuple[int, ...]:
        """Return the asset and its numeraire, as whoever sells here names them."""
        return (self.asset, self.numeraire)

    def best(self, side: int) -> int | None:
        """Return the best resting price of a side, in 10^-9 of the numeraire; None where it is empty."""
        return self._tapes.real.book.best(side)

    def last(self) -> int:
        """Return the last traded price, within the spread."""
        return self._tapes.real.price()

    def levels(self, side: int, limit: int | None = None) -> list[tuple[int, int]]:
        """Return (price, quantity) resting on a side, best first."""
        return self._tapes.real.book.levels(side, limit)

    def resting(self, maker: int) -> tuple[int, int]:
        """Return how much a maker has resting, (bids, offers)."""
        return self._tapes.resting(maker)

    def at_stake(self, maker: int) -> tuple[int, int]:
        """Return (number of a maker's orders, what they are worth in the currency)."""
        orders = self._tapes.real.book.orders_of(maker)
        return len(orders), sum(self._value(self.notional(order.quantity, order.price)) for order in orders)

    def price_in_currency(self) -> int:
        """Return the last price in 10^-9 of the currency."""
        return self._in_currency(self.last())

    def depth(self) -> tuple[int, int]:
        """Return (bid, ask) quantity within the band around the last price, as far as can be counted."""
        price, book = self.last(), self._tapes.real.book
        bids = book.depth(BUY, price - price * self._band // PPM)[0]
        asks = book.depth(SELL, price + price * self._band // PPM)[0]
        return min(bids, SUPPLY_LIMIT - 1), min(asks, SUPPLY_LIMIT - 1)

    def notional(self, quantity: int, price: int) -> int:
        """Return quantity times price, in base units of the numeraire, rounded down."""
        return quantity * price // self.scale

    def rounded(self, quantity: int) -> int:
        """Return the quantity in whole lots, rounded down."""
        return quantity // self.lot * self.lot

    def grid(self, price: int, side: int) -> int:
        """Return the tick at or behind a price: below for a bid, above for an offer; at least one tick."""
        return max((price if side == BUY else price + self.tick - 1) // self.tick * self.tick, self.tick)

    # ------------------------------------------------------------------------------------------- trading

    def execute(
        self, holder: int, side: int, quantity: int, limit: int | None = None, *, cause: int, channel: int
    ) -> Execution:
        """Buy or sell whole lots at once up to a limit; what finds nobody is logged as `unfilled` and does not rest.

        Refused when the taker cannot deliver.
        """
        quantity = self.rounded(quantity)
        while True:
            walk = self.walk(side, quantity, limit, holder)
            if not walk.filled:
                break
            paid = self.notional_of(walk)
            try:
                legs = trade_legs(self, holder, side, walk.filled, paid)
                event = self.settle(legs, side, walk, holder, limit, cause=cause, channel=channel)
            except Refused:
                if not self._drop_insolvent(walk, side, cause):
                    raise
                continue
            self._charge([(holder, paid, "taker")], walk, event)
            if walk.unfilled:
                self.log_unfilled(walk.unfilled, cause=event, channel=channel)
            return Execution(event, walk.filled, paid, walk.unfilled)
        if quantity:
            self.log_unfilled(quantity, cause=cause, channel=channel)
        return Execution(cause, 0, 0, quantity)

    def log_unfilled(self, quantity: int, *, cause: int, channel: int) -> int:
        """Log what an order asked for and nobody took, at the last price; return the event."""
        price = self.last()
        return self.sim.record(
            "unfilled", self.node, cause=cause, asset=self.traded, market=self.node, quantity=quantity,
            price=self._in_currency(price), value=self._value(self.notional(quantity, price)), channel=channel,
        )  # fmt: skip

    def walk(self, side: int, quantity: int, limit: int | None, holder: int) -> Walk:
        """Return what an order would fill now; nothing changes. The outside is many, and may trade with itself."""
        return self._tapes.real.book.quote(side, quantity, limit, self._identity(holder))

    def settle(
        self, legs: Sequence[Leg], side: int, walk: Walk, holder: int, limit: int | None, *, cause: int, channel: int,
        depth: object = None,
    ) -> int:  # fmt: skip
        """Post a walk (the taker's legs are given), take the orders off, move the price; return the event.

        Refused when somebody cannot deliver; then nothing has changed. depth : of the event, where it is not
        that of its cause (a cohort's orders have many causes).
        """
        sim, paid = self.sim, self.notional_of(walk)
        columns = {} if depth is None else {"depth": depth}
        event = sim.transact(
            "trade", self.node, *legs, *self._maker_legs(side, walk), cause=cause, channel=channel,
            asset=self.traded, market=self.node, quantity=side * walk.filled,
            price=self._in_currency(walk.notional // walk.filled), value=self._value(paid), **columns,
        )  # fmt: skip
        self._tapes.take(self._identity(holder), side, walk.filled, limit)
        self.prints = (self.prints[0] + walk.filled, self.prints[1] + walk.notional)
        self._move(event, channel)
        return event

    def quote_ladders(
        self, maker: int, ladders: Ladders, *, cause: int, channel: int = Channel.MAKER_INVENTORY, news: int = 0
    ) -> int:
        """Replace a maker's ladders, (prices, quantities) by side, and return the event.

        news : by how much (10^-9 of the numeraire) the maker moves with the fundamental. So much of what the price
        moves is exogenous; the rest undoes what trades have done to it, or is the maker's own (`channel`).
        """
        event = self.sim.record(
            "quote", maker, cause=cause, asset=self.traded, market=self.node,
            quantity=sum(len(prices) for prices, _ in ladders.values()),
        )  # fmt: skip
        self._tapes.place(maker, ladders)
        self._move(event, channel, news=news)
        return event

    def cancel_all(self, maker: int, *, cause: int, distress: bool = False) -> tuple[int, int]:
        """Cancel all orders of a maker; return (event, notional), in distress keeping them in the ghost book."""
        gone = self._tapes.cancel(maker, distress)
        if not gone.orders:
            return cause, 0
        value = self._value(gone.notional // self.scale)
        event = self.sim.record(
            "cancel", maker, cause=cause, asset=self.traded, market=self.node, quantity=gone.orders, value=value,
            channel=Channel.LIQUIDITY_WITHDRAWAL if distress else Channel.NONE,
        )  # fmt: skip
        if distress:
            self._tapes.blame(maker, event)
        self._move(event, Channel.LIQUIDITY_WITHDRAWAL, note=True)
        return event, value

    # ------------------------------------------------------------- the port of any market (ports.Venue)

    def quote(self, sold: int, quantity: int, bought: int) -> int:
        """Return what selling `quantity` of the asset (or spending it, of the numeraire) would bring now.

        A perpetual brings nothing: who sells contracts has sold no coins.
        """
        if self.perpetual:
            return 0
        side, quantity = self._order(sold, quantity)
        walk = self.walk(side, self.rounded(quantity), None, -1)
        paid = self.notional_of(walk)
        fee = paid * self.fees["taker"] // PPM
        return paid - fee if side == SELL else walk.filled

    def trade(
        self, holder: int, sold: int, quantity: int, bought: int, *, cause: int, channel: int, member: int = -1
    ) -> Trade:
        """Sell `quantity` at once, or spend it; the unfilled rest stays with the holder and is logged."""
        assert member < 0, "members of a crowd trade through their exchange"
        side, quantity = self._order(sold, quantity)
        done = self.execute(holder, side, quantity, cause=cause, channel=channel)
        if not done.filled:
            raise Refused(f"{self.sim.network.names[self.node]} has nobody on the other side")
        fee = done.notional * self.fees["taker"] // PPM
        return Trade(done.event, done.notional - fee if side == SELL else done.filled)

    def sale_to_price(self, sold: int, ratio_ppm: int) -> int:
        """Return how much rests down (or up) to `ratio_ppm` of the present price."""
        price, book = self.last(), self._tapes.real.book
        if sold == self.asset:
            return int(book.depth(BUY, price * ratio_ppm // PPM)[0])
        return self.notional_at(book.depth(SELL, price * PPM // ratio_ppm)[1])

    # ---------------------------------------------------------------------------------------------- parts

    def notional_of(self, walk: Walk) -> int:
        """Return what a walk costs, the sum of what each owner of the orders is due."""
        return sum(self.notional_at(notional) for _, notional in _by_owner(walk).values())

    def notional_at(self, notional: int) -> int:
        """Return an exact sum of price times quantity in base units of the numeraire, rounded down."""
        return notional // self.scale

    def _order(self, sold: int, quantity: int) -> tuple[int, int]:
        """Return (side, quantity of the asset) of a sale, or of a purchase for a budget at what rests."""
        if sold == self.asset:
            return SELL, quantity
        budget, size = quantity * PPM // (PPM + max(self.fees["taker"], 0)), 0
        for price, resting in self.levels(SELL):
            part = min(resting, budget * self.scale // price)
            size, budget = size + part, budget - self.notional(part, price)
            if part < resting:
                break
        return BUY, size

    def _identity(self, holder: int) -> int:
        """Return as whom a holder trades: whoever has no orders of its own here is nobody (-1)."""
        return -1 if holder == self.sim.world else holder

    def _maker_legs(self, side: int, walk: Walk) -> list[Leg]:
        legs: list[Leg] = []
        for owner, (quantity, notional) in _by_owner(walk).items():
            legs += trade_legs(self, owner, -side, quantity, self.notional_at(notional))
        return legs

    def _charge(self, takers: Sequence[tuple[int, int, str]], walk: Walk, event: int) -> None:
        """Post the fees of a trade, which go to whoever runs the market."""
        makers = [(owner, self.notional_at(total), "maker") for owner, (_, total) in _by_owner(walk).items()]
        legs: list[Leg] = []
        for holder, paid, role in [*takers, *makers]:
            fee = paid * self.fees[role] // PPM
            if fee and holder != self.sim.world:
                legs += self.clearing.deliver(holder, self.numeraire, -fee)
                legs += self.clearing.deliver(self.clearing.node, self.numeraire, fee)
        if legs:
            try:
                self.sim.transact("fee", self.node, *legs, cause=event, channel=Channel.FEE, market=self.node)
            except Refused:
                self.sim.record("refused-fee", self.node, cause=event, market=self.node)

    def _drop_insolvent(self, walk: Walk, side: int, cause: int) -> bool:
        """Cancel the orders of those on the other side who could not deliver; return whether there were any."""
        found = False
        for owner, (quantity, notional) in _by_owner(walk).items():
            asset, due = (self.asset, quantity) if side == BUY else (self.numeraire, self.notional_at(notional))
            if not self.perpetual and not self.clearing.can_deliver(owner, asset, due):
                self.cancel_all(owner, cause=cause)
                found = True
        return found

    def _move(self, event: int, channel: int, note: bool = False, news: int | None = None) -> None:
        """Move the feed: what the ghost book would have moved by its channels, the rest as liquidity withdrawal.

        Depth that changed by a tenth is logged even when the price did not. news : given for a quote.
        """
        feed, tapes = self.feeds[self.traded], self._tapes
        ghost, real = tapes.increments()
        depth, price = self.depth(), self._in_currency(real)
        note = note or abs(sum(depth) - self._noted) * 10 > self._noted
        if not (ghost or tapes.real_delta or note):
            return
        self._noted = sum(depth)
        moved, own = price - feed.mark.price, ghost * self.quote_price // PRICE_SCALE
        if ghost == tapes.real_delta:
            own = moved
        parts = [(channel, own)]
        if news is None:
            self._displaced.push(channel, own)
        else:
            parts = self._of_quote(own, news * self.quote_price // PRICE_SCALE, channel)
        feed.move_by([*parts, (Channel.LIQUIDITY_WITHDRAWAL, moved - own)], event, depth)
        if moved != own:
            for withdrawal in tapes.withdrawals(event):
                self.sim.contribute(event, withdrawal)
        if note and not tapes.real_delta:
            feed.note(event, depth)

    def _of_quote(self, own: int, news: int, channel: int) -> list[tuple[int, int]]:
        """Return the parts of what a quote does to the price: news, what it undoes of trades, the maker's own."""
        exogenous = max(min(news, own), 0) if own > 0 else min(max(news, own), 0)
        undone = self._displaced.undo(own - exogenous)
        rest = own - exogenous - sum(increment for _, increment in undone)
        return [(Channel.EXOGENOUS, exogenous), *undone, (channel, rest)]

    def _in_currency(self, price: int) -> int:
        return min(max(price * self.quote_price // PRICE_SCALE, 1), SUPPLY_LIMIT - 1)

    def _value(self, paid: int) -> int:
        """Return an amount of the numeraire in the currency; of orders that nobody can pay, what can be counted."""
        sim = self.sim
        shift = sim.currency_decimals - sim.ledger.assets[self.numeraire].decimals
        value = paid * self.quote_price // PRICE_SCALE
        return min(int(value * 10**shift if shift >= 0 else value // 10**-shift), SUPPLY_LIMIT - 1)


def _by_owner(walk: Walk) -> dict[int, tuple[int, int]]:
    """Return (quantity, exact notional) by owner of the orders that a walk met, first met first."""
    table: dict[int, tuple[int, int]] = {}
    for owner, price, quantity in walk.fills:
        had, notional = table.get(owner, (0, 0))
        table[owner] = (had + quantity, notional + price * quantity)
    return table


MECHANISM: type[Mechanism] = OrderBook
