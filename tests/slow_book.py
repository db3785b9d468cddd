"""The order book as one would explain it: a list of orders, sorted anew for every question."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from contagion.finance.book import BUY, SELL, Cancelled, Fill, Resting, Walk


@dataclass
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
    orders: list[Order] = field(default_factory=list)

    def queue(self, side: int) -> list[Order]:
        return sorted((o for o in self.orders if o.side == side), key=lambda o: (-side * o.price, o.age))

    def take(self, owner: int | None, side: int, quantity: int, limit: int | None = None) -> Walk:
        fills, cancelled = [], 0
        for order in self.queue(-side):
            if not quantity or (limit is not None and side * order.price > side * limit):
                break
            if order.owner == owner:
                cancelled += order.quantity
                order.quantity = 0
                continue
            traded = min(quantity, order.quantity)
            fills.append(Fill(order.owner, order.price, traded))
            order.quantity -= traded
            quantity -= traded
        self.orders = [o for o in self.orders if o.quantity]
        filled, notional = sum(f.quantity for f in fills), sum(f.price * f.quantity for f in fills)
        return Walk(tuple(fills), filled, notional, fills[-1].price if fills else 0, quantity, cancelled)

    def quote(self, side: int, quantity: int, limit: int | None = None, owner: int | None = None) -> Walk:
        return self.copy().take(owner, side, quantity, limit)

    def limit(self, owner: int, side: int, price: int, quantity: int) -> tuple[int, Walk]:
        walk = self.take(owner, side, quantity, price)
        if not walk.unfilled:
            return 0, walk
        self.age += 1
        self.orders.append(Order(self.age, owner, side, price, walk.unfilled, self.age))
        return self.age, walk._replace(unfilled=0)

    def cancel(self, order_id: int) -> int:
        gone = self._remove([o for o in self.orders if o.id == order_id != 0])
        return gone.bids + gone.asks

    def cancel_all(self, owner: int) -> Cancelled:
        return self._remove([o for o in self.orders if o.owner == owner])

    def place(self, owner: int, side: int, prices: Sequence[int], quantities: Sequence[int]) -> int:
        self.withdraw(owner, side)
        best = self.best(-side)
        resting = [(p, q) for p, q in zip(prices, quantities, strict=True) if best is None or side * (best - p) > 0]
        self.age += bool(resting)
        self.orders += [Order(0, owner, side, price, quantity, self.age) for price, quantity in resting]
        return len(resting)

    def shift(self, owner: int, side: int, ticks: int) -> int:
        prices, quantities = self.ladder(owner, side)
        return self.place(owner, side, [price + ticks * self.tick for price in prices], quantities)

    def withdraw(self, owner: int, side: int) -> Cancelled:
        return self._remove(self._levels_of(owner, side))

    def best(self, side: int) -> int | None:
        return next((order.price for order in self.queue(side)), None)

    def depth(self, side: int, limit: int) -> tuple[int, int]:
        levels = self.levels(side, limit)
        return sum(quantity for _, quantity in levels), sum(price * quantity for price, quantity in levels)

    def levels(self, side: int, limit: int | None = None) -> list[tuple[int, int]]:
        found: dict[int, int] = {}
        for order in self.queue(side):
            if limit is None or side * order.price >= side * limit:
                found[order.price] = found.get(order.price, 0) + order.quantity
        return list(found.items())

    def ladder(self, owner: int, side: int) -> tuple[list[int], list[int]]:
        levels = self._levels_of(owner, side)
        return [order.price for order in levels], [order.quantity for order in levels]

    def orders_of(self, owner: int) -> list[Resting]:
        plain = [o for o in self.orders if o.id and o.owner == owner]
        found = [*plain, *self._levels_of(owner, BUY), *self._levels_of(owner, SELL)]
        return [Resting(o.id, o.side, o.price, o.quantity) for o in found]

    def resting(self, owner: int, side: int) -> int:
        return sum(o.quantity for o in self.orders if (o.owner, o.side) == (owner, side))

    def copy(self) -> "SlowBook":
        return SlowBook(self.tick, self.age, [replace(order) for order in self.orders])

    def _levels_of(self, owner: int, side: int) -> list[Order]:
        return [o for o in self.queue(side) if not o.id and o.owner == owner]

    def _remove(self, gone: list[Order]) -> Cancelled:
        kept = {id(order) for order in gone}
        self.orders = [o for o in self.orders if id(o) not in kept]
        bids, asks = (sum(o.quantity for o in gone if o.side == side) for side in (BUY, SELL))
        return Cancelled(len(gone), bids, asks, sum(o.price * o.quantity for o in gone))
