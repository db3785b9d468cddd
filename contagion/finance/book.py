"""A limit order book of one market: integers, price-time priority, makers' ladders as one object each.

Best first means by price, then by age. A side is a heap of *heads*: of every plain order, and of every ladder
only the best level that is left; the next one enters the heap when that is gone. A ladder of forty levels is
therefore placed, moved and cancelled like one order, and makers may quote again at every turn. What is
cancelled stays in the heap until it surfaces or the heap has doubled.

Prices are positive multiples of `tick`, quantities of `lot`, in the caller's units; owners are any integers. A
side is `BUY` (the bids) or `SELL` (the asks).

**Self-trade prevention**: cancel resting. Nobody trades with himself: orders and ladder levels of its own that
an incoming order meets are cancelled, and it walks on.

>>> book = Book()
>>> book.place(1, SELL, (101, 102, 104), (5, 5, 5))
3
>>> book.limit(2, BUY, 101, 7)
(2, Walk(fills=(Fill(owner=1, price=101, quantity=5),), filled=5, notional=505, last=101, unfilled=2, cancelled=0))
>>> book.best(BUY), book.best(SELL)
(101, 102)
>>> book.quote(BUY, 20).unfilled
10
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from math import gcd
from operator import mul, neg
from typing import NamedTuple

BUY, SELL = 1, -1


class Fill(NamedTuple):
    """A trade with one resting order, at its price."""

    owner: int
    price: int
    quantity: int


class Walk(NamedTuple):
    """What an order met: fills best first, their quantity and exact sum of price times quantity.

    last : price of the last fill, 0 without one; unfilled : what found nobody; cancelled : quantity of the
    owner's own orders that were in the way.
    """

    fills: tuple[Fill, ...]
    filled: int
    notional: int
    last: int
    unfilled: int
    cancelled: int


class Resting(NamedTuple):
    """A resting order; id is 0 for a level of a ladder."""

    id: int
    side: int
    price: int
    quantity: int


class Cancelled(NamedTuple):
    """What was cancelled: the number of orders or levels, their quantity by side, and price times quantity."""

    orders: int
    bids: int
    asks: int
    notional: int


Head = tuple[int, int, int]
"""Of an order or ladder: its price (negative for bids, so that the least is best), sequence number and owner."""


class Ladder:
    """An owner's levels on one side, best first; those before `head` are gone, `left` is there of that one."""

    __slots__ = ("head", "left", "prices", "quantities", "sequence")

    def __init__(self, sequence: int, prices: Sequence[int], quantities: Sequence[int]) -> None:
        self.sequence, self.prices, self.quantities = sequence, prices, quantities
        self.head, self.left = 0, quantities[0]

    def levels(self) -> tuple[Sequence[int], Sequence[int]]:
        """Return the prices and quantities that are left."""
        return self.prices[self.head :], (self.left, *self.quantities[self.head + 1 :])

    def advance(self) -> bool:
        """Turn to the next level; return whether there is one."""
        self.head += 1
        if self.head == len(self.prices):
            return False
        self.left = self.quantities[self.head]
        return True

    def copy(self) -> "Ladder":
        """Return a ladder that changes by itself; the levels are shared, they never change."""
        other = Ladder(self.sequence, self.prices, self.quantities)
        other.head, other.left = self.head, self.left
        return other


class Book:
    """A limit order book. Whatever is refused raises ValueError and changes nothing."""

    def __init__(self, tick: int = 1, lot: int = 1) -> None:
        if tick <= 0 or lot <= 0:
            raise ValueError(f"the tick and the lot of a book must be positive: {tick}, {lot}")
        self.tick, self.lot = tick, lot
        self._sequence = 0
        self._heads: dict[int, list[Head]] = {BUY: [], SELL: []}
        self._room = {BUY: 64, SELL: 64}  # heads a side may have before the cancelled ones are swept
        self._orders: dict[int, int] = {}  # quantity left of every plain order
        self._ladders: dict[tuple[int, int], Ladder] = {}  # by owner and side

    # ------------------------------------------------------------------------------------------ orders

    def limit(self, owner: int, side: int, price: int, quantity: int) -> tuple[int, Walk]:
        """Trade at `price` or better, then rest; return (order id, trades), the id 0 when nothing rests."""
        if price <= 0 or price % self.tick:
            raise ValueError(f"a price must be a positive multiple of the tick {self.tick}: {price}")
        if quantity <= 0 or quantity % self.lot:
            raise ValueError(f"a quantity must be a positive multiple of the lot {self.lot}: {quantity}")
        walk = self._match(owner, side, quantity, side * price)
        if not walk.unfilled:
            return 0, walk
        self._sequence += 1
        self._orders[self._sequence] = walk.unfilled
        self._push(side, (-side * price, self._sequence, owner))
        return self._sequence, walk

    def take(self, owner: int, side: int, quantity: int, limit: int | None = None) -> Walk:
        """Trade at once, at `limit` or better; what finds nobody is `unfilled` and does not rest."""
        self._check_taking(quantity)
        return self._match(owner, side, quantity, float("inf") if limit is None else side * limit)

    def quote(self, side: int, quantity: int, limit: int | None = None, owner: int | None = None) -> Walk:
        """Return what `take` would, changing nothing."""
        self._check_taking(quantity)
        bound = float("inf") if limit is None else side * limit
        fills, left, cancelled = [], quantity, 0
        for key, maker, resting in self._queue(-side):
            if not left or key > bound:
                break
            if maker == owner:
                cancelled += resting
                continue
            traded = min(resting, left)
            left -= traded
            fills.append(Fill(maker, side * key, traded))
        return _walk(fills, left, cancelled)

    def cancel(self, order_id: int) -> int:
        """Cancel a plain order; return the quantity, 0 when it is gone."""
        return self._orders.pop(order_id, 0)

    def cancel_all(self, owner: int) -> Cancelled:
        """Cancel everything of an owner, plain orders and ladders."""
        gone = self.orders_of(owner)
        for order in gone:
            self._orders.pop(order.id, None)
        for side in (BUY, SELL):
            self._ladders.pop((owner, side), None)
        return _cancelled(gone)

    # ----------------------------------------------------------------------------------------- ladders

    def place(self, owner: int, side: int, prices: Sequence[int], quantities: Sequence[int]) -> int:
        """Replace an owner's ladder on one side; return how many levels rest.

        prices : best first. Post-only: the best ones are left out while they would trade. The sequences are
        kept, not copied: do not change them.
        """
        self._check_ladder(side, prices, quantities)
        self._ladders.pop((owner, side), None)
        return self._rest(owner, side, prices, quantities)

    def shift(self, owner: int, side: int, ticks: int) -> int:
        """Move an owner's ladder by whole ticks, up or down; return how many levels rest.

        Post-only as in `place`; age counts from now. ValueError when a price would not be positive.
        """
        ladder = self._ladders.get((owner, side))
        if ladder is None:
            return 0
        prices, quantities = ladder.levels()
        moved = [price + ticks * self.tick for price in prices]
        if min(moved[0], moved[-1]) <= 0:
            raise ValueError(f"a ladder moved by {ticks} ticks would end at {min(moved[0], moved[-1])}")
        del self._ladders[owner, side]
        return self._rest(owner, side, moved, quantities)

    def withdraw(self, owner: int, side: int) -> Cancelled:
        """Cancel an owner's ladder on one side."""
        ladder = self._ladders.pop((owner, side), None)
        if ladder is None:
            return Cancelled(0, 0, 0, 0)
        return _cancelled([Resting(0, side, *level) for level in zip(*ladder.levels(), strict=True)])

    # ----------------------------------------------------------------------------------------- reading

    def best(self, side: int) -> int | None:
        """Return the best price of a side, None when it is empty."""
        heads = self._heads[side]
        while heads:
            key, sequence, owner = heads[0]
            if self._left(side, sequence, owner):
                return -side * key
            heappop(heads)
        return None

    def depth(self, side: int, limit: int) -> tuple[int, int]:
        """Return (quantity, notional) that rests at `limit` or better."""
        quantity = notional = 0
        for _, prices, quantities in self._blocks(side):
            reach = _reach(side, prices, limit)
            quantity += sum(quantities[:reach])
            notional += sum(map(mul, prices[:reach], quantities))
        return quantity, notional

    def levels(self, side: int, limit: int | None = None) -> list[tuple[int, int]]:
        """Return (price, quantity) by price, best first, to `limit` where one is given."""
        found: dict[int, int] = {}
        for _, prices, quantities in self._blocks(side):
            for price, quantity in zip(prices, quantities, strict=True):
                found[price] = found.get(price, 0) + quantity
        levels = sorted(found.items(), reverse=side == BUY)
        return levels if limit is None else [level for level in levels if side * (level[0] - limit) >= 0]

    def orders_of(self, owner: int) -> list[Resting]:
        """Return an owner's resting orders and ladder levels, bids first."""
        return [
            Resting(order_id, side, *level)
            for side in (BUY, SELL)
            for order_id, prices, quantities in self._blocks(side, owner)
            for level in zip(prices, quantities, strict=True)
        ]

    def resting(self, owner: int, side: int) -> int:
        """Return the quantity that an owner has resting on a side."""
        return sum(sum(quantities) for _, _, quantities in self._blocks(side, owner))

    def copy(self) -> "Book":
        """Return a book with the same orders under the same ids that lives on by itself."""
        other = Book(self.tick, self.lot)
        other._sequence, other._room = self._sequence, self._room.copy()
        other._heads = {side: heads.copy() for side, heads in self._heads.items()}
        other._orders = self._orders.copy()
        other._ladders = {key: ladder.copy() for key, ladder in self._ladders.items()}
        return other

    # ---------------------------------------------------------------------------------------- matching

    def _match(self, owner: int, side: int, quantity: int, bound: float) -> Walk:
        heads, fills, left, cancelled = self._heads[-side], [], quantity, 0
        while left and heads:
            key, sequence, maker = heads[0]
            if key > bound:
                break
            resting = self._left(-side, sequence, maker)
            if maker == owner:
                cancelled += resting
                self._reduce(-side, resting)
                continue
            traded = min(resting, left)
            if traded:
                fills.append(Fill(maker, side * key, traded))
            left -= traded
            self._reduce(-side, traded)
        return _walk(fills, left, cancelled)

    def _left(self, side: int, sequence: int, owner: int) -> int:
        """Return what is left of the order or ladder level behind a head, 0 when it was cancelled."""
        left = self._orders.get(sequence)
        if left is None:
            ladder = self._ladders.get((owner, side))
            left = ladder.left if ladder is not None and ladder.sequence == sequence else 0
        return left

    def _reduce(self, side: int, quantity: int) -> None:
        """Take a quantity off the first head of a side, and the head off when nothing is left."""
        heads = self._heads[side]
        _, sequence, owner = heads[0]
        left = self._left(side, sequence, owner) - quantity
        if sequence in self._orders:
            if left:
                self._orders[sequence] = left
            else:
                del self._orders[sequence]
                heappop(heads)
            return
        ladder = self._ladders.get((owner, side))
        if ladder is None or ladder.sequence != sequence:
            heappop(heads)
        elif left:
            ladder.left = left
        elif ladder.advance():
            heapreplace(heads, (-side * ladder.prices[ladder.head], sequence, owner))
        else:
            del self._ladders[owner, side]
            heappop(heads)

    def _rest(self, owner: int, side: int, prices: Sequence[int], quantities: Sequence[int]) -> int:
        """Rest a new ladder behind the other side's best price."""
        other = self.best(-side)
        crossing = 0 if other is None else _reach(side, prices, other)
        if crossing == len(prices):
            return 0
        if crossing:
            prices, quantities = prices[crossing:], quantities[crossing:]
        self._sequence += 1
        self._ladders[owner, side] = Ladder(self._sequence, prices, quantities)
        self._push(side, (-side * prices[0], self._sequence, owner))
        return len(prices)

    def _push(self, side: int, head: Head) -> None:
        heads = self._heads[side]
        heappush(heads, head)
        if len(heads) > self._room[side]:
            heads[:] = [entry for entry in heads if self._left(side, entry[1], entry[2])]
            heapify(heads)
            self._room[side] = 2 * len(heads) + 64

    def _queue(self, side: int) -> Iterator[tuple[int, int, int]]:
        """Yield (key, owner, quantity) in order of execution: a heap read best first from its root."""
        heads = self._heads[side]
        waiting = [(heads[0], 0, -1)] if heads else []  # (head, place in the heap, level if not the first)
        while waiting:
            head, at, level = heappop(waiting)
            key, sequence, owner = head
            if level < 0:
                for child in range(2 * at + 1, min(2 * at + 3, len(heads))):
                    heappush(waiting, (heads[child], child, -1))
            left = self._left(side, sequence, owner)
            if not left:
                continue
            if sequence in self._orders:
                yield key, owner, left
                continue
            ladder = self._ladders[owner, side]
            level = max(level, ladder.head)
            yield key, owner, left if level == ladder.head else ladder.quantities[level]
            if level + 1 < len(ladder.prices):
                heappush(waiting, ((-side * ladder.prices[level + 1], sequence, owner), at, level + 1))

    def _blocks(self, side: int, owner: int | None = None) -> Iterator[tuple[int, Sequence[int], Sequence[int]]]:
        """Yield (id, prices, quantities) of every plain order and ladder, in no order."""
        for key, sequence, maker in self._heads[side]:
            if owner is not None and maker != owner:
                continue
            if sequence in self._orders:
                yield sequence, (-side * key,), (self._orders[sequence],)
            elif self._left(side, sequence, maker):
                yield 0, *self._ladders[maker, side].levels()

    # ------------------------------------------------------------------------------------------ checks

    def _check_taking(self, quantity: int) -> None:
        if quantity < 0 or quantity % self.lot:
            raise ValueError(f"a quantity must be a multiple of the lot {self.lot}, not negative: {quantity}")

    def _check_ladder(self, side: int, prices: Sequence[int], quantities: Sequence[int]) -> None:
        if len(prices) != len(quantities):
            raise ValueError(f"a ladder has {len(prices)} prices and {len(quantities)} quantities")
        if not prices:
            return
        if list(prices) != sorted(prices, reverse=side == BUY):
            raise ValueError(f"prices of a ladder must be sorted, best first: {list(prices)}")
        if gcd(self.tick, *prices) != self.tick or min(prices) <= 0:
            raise ValueError(f"prices must be positive multiples of the tick {self.tick}: {list(prices)}")
        if gcd(self.lot, *quantities) != self.lot or min(quantities) <= 0:
            raise ValueError(f"quantities must be positive multiples of the lot {self.lot}: {list(quantities)}")


def _walk(fills: list[Fill], left: int, cancelled: int) -> Walk:
    filled = sum(fill.quantity for fill in fills)
    notional = sum(fill.price * fill.quantity for fill in fills)
    return Walk(tuple(fills), filled, notional, fills[-1].price if fills else 0, left, cancelled)


def _cancelled(orders: Sequence[Resting]) -> Cancelled:
    bids, asks = (sum(order.quantity for order in orders if order.side == side) for side in (BUY, SELL))
    return Cancelled(len(orders), bids, asks, sum(order.price * order.quantity for order in orders))


def _reach(side: int, prices: Sequence[int], limit: int) -> int:
    """Return how many of prices, best first, are at `limit` or better."""
    return bisect_right(prices, -limit, key=neg) if side == BUY else bisect_right(prices, limit)
