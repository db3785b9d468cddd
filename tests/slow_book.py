"""The order book as one would explain it: two lists of orders, sorted again whenever one comes in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from contagion.finance.book import BUY, SELL, Cancelled, Fill, Resting, Walk


@dataclass(slots=True)
class Order:
    """A resting order, or with id 0 a level of a ladder; the levels of a ladder are of one age."""

    id: int
    owner: int
    side: int
    price: int
    quantity: int
    age: int


@dataclass
class SlowBook:
    tick: int = 1
    age: int = 0
    orders: dict[int, list[Order]] = field(default_factory=lambda: {BUY: [], SELL: []})

    def quote(self, side: int, quantity: int, limit: int | None = None, owner: int | None = None) -> Walk:
        return self._meet(owner, side, quantity, limit)[0]

    def take(self, owner: int, side: int, quantity: int, limit: int | None = None) -> Walk:
        walk, met = self._meet(owner, side, quantity, limit)
        for order, gone in met:
            order.quantity -= gone
        self.orders[-side] = [o for o in self.orders[-side] if o.quantity]
        return walk

    def limit(self, owner: int, side: int, price: int, quantity: int) -> tuple[int, Walk]:
        walk = self.take(owner, side, quantity, price)
        if not walk.unfilled:
            return 0, walk
        self._add(side, [Order(self.age + 1, owner, side, price, walk.unfilled, self.age + 1)])
        return self.age, walk._replace(unfilled=0)

    def cancel(self, order_id: int) -> int:
        gone = self._remove([o for o in self._all() if o.id == order_id != 0])
        return gone.bids + gone.asks

    def cancel_all(self, owner: int) -> Cancelled:
        return self._remove([o for o in self._all() if o.owner == owner])

    def place(self, owner: int, side: int, prices: Sequence[int], quantities: Sequence[int]) -> int:
        self.withdraw(owner, side)
        best = self.best(-side)
        resting = [(p, q) for p, q in zip(prices, quantities, strict=True) if best is None or side * (best - p) > 0]
        self._add(side, [Order(0, owner, side, price, quantity, self.age + 1) for price, quantity in resting])
        return len(resting)

    def shift(self, owner: int, side: int, ticks: int) -> int:
        prices, quantities = self.ladder(owner, side)
        return self.place(owner, side, [price + ticks * self.tick for price in prices], quantities)

    def withdraw(self, owner: int, side: int) -> Cancelled:
        return self._remove(self._levels_of(owner, side))

    def best(self, side: int) -> int | None:
        return self.orders[side][0].price if self.orders[side] else None

    def depth(self, side: int, limit: int) -> tuple[int, int]:
        within = [o for o in self.orders[side] if side * o.price >= side * limit]
        return sum(o.quantity for o in within), sum(o.price * o.quantity for o in within)

    def levels(self, side: int) -> list[tuple[int, int]]:
        found: dict[int, int] = {}
        for order in self.orders[side]:
            found[order.price] = found.get(order.price, 0) + order.quantity
        return list(found.items())

    def ladder(self, owner: int, side: int) -> tuple[list[int], list[int]]:
        levels = self._levels_of(owner, side)
        return [order.price for order in levels], [order.quantity for order in levels]

    def orders_of(self, owner: int) -> list[Resting]:
        plain = sorted((o for o in self._all() if o.id and o.owner == owner), key=lambda o: o.id)
        found = [*plain, *self._levels_of(owner, BUY), *self._levels_of(owner, SELL)]
        return [Resting(o.id, o.side, o.price, o.quantity) for o in found]

    def copy(self) -> "SlowBook":
        orders = {
            side: [Order(o.id, o.owner, o.side, o.price, o.quantity, o.age) for o in orders]
            for side, orders in self.orders.items()
        }
        return SlowBook(self.tick, self.age, orders)

    def _meet(
        self, owner: int | None, side: int, quantity: int, limit: int | None
    ) -> tuple[Walk, list[tuple[Order, int]]]:
        """Return what an order meets, and how much of each resting order goes."""
        fills, met, cancelled = [], [], 0
        for order in self.orders[-side]:
            if not quantity or (limit is not None and side * order.price > side * limit):
                break
            gone = order.quantity
            if order.owner == owner:
                cancelled += gone
            else:
                gone = min(gone, quantity)
                quantity -= gone
                fills.append(Fill(order.owner, order.price, gone))
            met.append((order, gone))
        filled, notional = sum(f.quantity for f in fills), sum(f.price * f.quantity for f in fills)
        return Walk(tuple(fills), filled, notional, fills[-1].price if fills else 0, quantity, cancelled), met

    def _add(self, side: int, orders: list[Order]) -> None:
        self.age += bool(orders)
        self.orders[side] = sorted([*self.orders[side], *orders], key=lambda o: (-side * o.price, o.age))

    def _all(self) -> list[Order]:
        return [*self.orders[BUY], *self.orders[SELL]]

    def _levels_of(self, owner: int, side: int) -> list[Order]:
        return [o for o in self.orders[side] if not o.id and o.owner == owner]

    def _remove(self, gone: list[Order]) -> Cancelled:
        for order in gone:
            self.orders[order.side] = [o for o in self.orders[order.side] if o is not order]
        bids, asks = (sum(o.quantity for o in gone if o.side == side) for side in (BUY, SELL))
        return Cancelled(len(gone), bids, asks, sum(o.price * o.quantity for o in gone))
