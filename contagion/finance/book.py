"""A limit order book of one market: integers, price-time priority, makers' ladders as one object each.

A side keeps its prices sorted and at each price the orders by age. Of a ladder only the best level that is left
stands there; the next one takes its place when that is gone. A ladder of forty levels is therefore placed, moved
and cancelled like one order, and makers can afford to quote again at every turn.

Prices are positive multiples of `tick`, quantities of `lot`, in the caller's units; owners are any integers. A
side is `BUY` (the bids) or `SELL` (the asks).

**Self-trade prevention**: cancel resting. Nobody trades with himself: orders and ladder levels of its own that
an incoming order meets are cancelled, and it walks on.

>>> book = Book()
>>> book.place(1, SELL, (101, 102, 104), (5, 5, 5))
3
>>> book.limit(2, BUY, 101, 7)
(2, Walk(fills=(Fill(owner=1, price=101, quantity=5),), filled=5, notional=505, last=101, unfilled=0, cancelled=0))
>>> book.best(BUY), book.best(SELL), book.quote(BUY, 20).unfilled
(101, 102, 10)
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from copy import copy
from heapq import heappop, heappush
from itertools import islice
from math import inf
from operator import mul, neg
from typing import NamedTuple

BUY, SELL = 1, -1

_new = tuple.__new__  # a third of the time of a named tuple's own constructor


class Fill(NamedTuple):
    """A trade with one resting order, at its price."""

    owner: int
    price: int
    quantity: int


class Walk(NamedTuple):
    """What an order met: fills best first, their quantity and exact sum of price times quantity.

    last : price of the last fill, 0 without one; unfilled : what found nobody and does not rest; cancelled :
    quantity of the owner's own orders that were in the way.
    """

    fills: tuple[Fill, ...]
    filled: int
    notional: int
    last: int
    unfilled: int
    cancelled: int


NO_TRADE = Walk((), 0, 0, 0, 0, 0)


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


class Ladder:
    """An owner's levels on one side, best first; `head` is the best that is left, and the one that others see."""

    __slots__ = ("head", "owner", "prices", "quantities", "side")

    def __init__(self, owner: int, side: int, prices: tuple[int, ...], quantities: tuple[int, ...]) -> None:
        self.owner, self.side, self.prices, self.quantities, self.head = owner, side, prices, quantities, 0


Level = dict[int, tuple[int, int, int]]
"""Quantity, owner and rank of every order and ladder head at one price, by sequence number, oldest first.
The rank is side * price: the greatest of a side is its best. A dict finds its oldest entry by going past those
that were removed since it last grew: nothing for thousands of orders at one price, slow for a hundred thousand.
"""


class Book:
    """A limit order book. Whatever is refused raises ValueError and changes nothing."""

    def __init__(self, tick: int = 1, lot: int = 1) -> None:
        if tick <= 0 or lot <= 0:
            raise ValueError(f"the tick and the lot of a book must be positive: {tick}, {lot}")
        self.tick, self.lot = tick, lot
        self._sequence = 0  # of the last order or ladder: its age, and a plain order's id
        self._levels: dict[int, Level] = {}  # by rank
        self._ranks: dict[int, list[int]] = {BUY: [], SELL: []}  # of each side, the best last
        self._orders: dict[int, Level] = {}  # where every plain order stands
        self._ladders: dict[int, Ladder] = {}
        self._sequence_of: dict[tuple[int, int], int] = {}  # the ladder of an owner on a side

    def limit(self, owner: int, side: int, price: int, quantity: int) -> tuple[int, Walk]:
        """Trade at `price` or better, then rest; return (order id, trades), the id 0 when nothing rests."""
        if price <= 0 or price % self.tick or quantity <= 0 or quantity % self.lot:
            raise ValueError(f"{quantity} at {price} is not positive, or off the lot {self.lot} or tick {self.tick}")
        rank, others, walk = side * price, self._ranks[-side], NO_TRADE
        if others and others[-1] >= -rank:
            walk = self._match(owner, side, quantity, -rank)
            quantity = walk.unfilled
            if not quantity:
                return 0, walk
            walk = _new(Walk, (*walk[:4], 0, walk.cancelled))  # `_replace` takes twice the time
        self._sequence = sequence = self._sequence + 1
        level = self._levels.get(rank)
        if level is None:
            insort(self._ranks[side], rank)
            self._levels[rank] = self._orders[sequence] = {sequence: (quantity, owner, rank)}
        else:
            level[sequence] = quantity, owner, rank
            self._orders[sequence] = level
        return sequence, walk

    def take(self, owner: int, side: int, quantity: int, limit: int | None = None) -> Walk:
        """Trade at once, at `limit` or better; what finds nobody is `unfilled` and does not rest."""
        return self._match(owner, side, quantity, self._bound(side, quantity, limit))

    def quote(self, side: int, quantity: int, limit: int | None = None, owner: int | None = None) -> Walk:
        """Return what `take` would, changing nothing."""
        bound = self._bound(side, quantity, limit)
        left, notional, last, cancelled = quantity, 0, 0, 0
        fills: list[Fill] = []
        for key, resting, maker in self._queue(-side):
            if not left or -key < bound:
                break
            if maker == owner:
                cancelled += resting
                continue
            traded = min(resting, left)
            last = side * key
            left -= traded
            notional += last * traded
            fills.append(Fill(maker, last, traded))
        return Walk(tuple(fills), quantity - left, notional, last, left, cancelled)

    def cancel(self, order_id: int) -> int:
        """Cancel a plain order; return the quantity, 0 when it is gone."""
        try:
            level = self._orders.pop(order_id)
        except KeyError:
            return 0
        quantity, _, rank = level.pop(order_id)
        if not level:
            ranks = self._ranks[BUY if rank > 0 else SELL]
            del self._levels[rank], ranks[bisect_left(ranks, rank)]
        return quantity

    def cancel_all(self, owner: int) -> Cancelled:
        """Cancel everything of an owner, plain orders and ladders."""
        gone = [self.withdraw(owner, side) for side in (BUY, SELL)]
        for order_id, side, price, _ in self._plain(owner):
            gone.append(_cancelled(side, (price,), (self.cancel(order_id),)))
        return Cancelled(*map(sum, zip(*gone, strict=True)))

    def place(self, owner: int, side: int, prices: Sequence[int], quantities: Sequence[int]) -> int:
        """Replace an owner's ladder on one side; return how many levels rest.

        prices : best first. Post-only: the best ones are left out while they would trade. Of tick and lot only
        the first level is checked.
        """
        prices, quantities = tuple(prices), tuple(quantities)
        self._check_ladder(side, prices, quantities)
        self._forget(owner, side)
        return self._rest(owner, side, prices, quantities)

    def shift(self, owner: int, side: int, ticks: int) -> int:
        """Move an owner's ladder by whole ticks, up or down; return how many levels rest.

        Post-only as in `place`; age counts from now. ValueError when a price would not be positive.
        """
        prices, quantities = self.ladder(owner, side)
        by = ticks * self.tick
        if prices and min(prices[0], prices[-1]) + by <= 0:
            raise ValueError(f"a ladder from {prices[0]} to {prices[-1]} cannot move by {by}: prices are positive")
        self._forget(owner, side)
        return self._rest(owner, side, tuple([price + by for price in prices]), quantities)

    def withdraw(self, owner: int, side: int) -> Cancelled:
        """Cancel an owner's ladder on one side."""
        prices, quantities = self.ladder(owner, side)
        self._forget(owner, side)
        return _cancelled(side, prices, quantities)

    def best(self, side: int) -> int | None:
        """Return the best price of a side, None when it is empty."""
        ranks = self._ranks[side]
        return side * ranks[-1] if ranks else None

    def depth(self, side: int, limit: int) -> tuple[int, int]:
        """Return (quantity, notional) that rests at `limit` or better."""
        ranks = self._ranks[side]
        ranks = ranks[bisect_left(ranks, side * limit) :]
        quantities = [self._quantity(rank) for rank in ranks]
        quantity, notional = sum(quantities), side * sum(map(mul, ranks, quantities))
        for ladder in self._ladders.values():
            if ladder.side == side:
                behind = slice(ladder.head + 1, _reach(side, ladder.prices, limit))
                quantity += sum(ladder.quantities[behind])
                notional += sum(map(mul, ladder.prices[behind], ladder.quantities[behind]))
        return quantity, notional

    def levels(self, side: int, limit: int | None = None) -> list[tuple[int, int]]:
        """Return (price, quantity) by price, best first, to `limit` where one is given."""
        found = {side * rank: self._quantity(rank) for rank in self._ranks[side]}
        for ladder in self._ladders.values():
            if ladder.side == side:
                for price, quantity in islice(
                    zip(ladder.prices, ladder.quantities, strict=True), ladder.head + 1, None
                ):
                    found[price] = found.get(price, 0) + quantity
        levels = sorted(found.items(), reverse=side == BUY)
        return levels if limit is None else [level for level in levels if side * (level[0] - limit) >= 0]

    def ladder(self, owner: int, side: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the prices and quantities that are left of an owner's ladder, best first."""
        sequence = self._sequence_of.get((owner, side))
        if sequence is None:
            return (), ()
        ladder = self._ladders[sequence]
        prices, left = ladder.prices[ladder.head :], ladder.quantities[ladder.head + 1 :]
        return prices, (self._levels[side * prices[0]][sequence][0], *left)

    def orders_of(self, owner: int) -> list[Resting]:
        """Return an owner's resting orders, oldest first, then the levels of its ladders."""
        return self._plain(owner) + [
            Resting(0, side, *level) for side in (BUY, SELL) for level in zip(*self.ladder(owner, side), strict=True)
        ]

    def resting(self, owner: int, side: int) -> int:
        """Return the quantity that an owner has resting on a side."""
        plain = sum(order.quantity for order in self._plain(owner) if order.side == side)
        return plain + sum(self.ladder(owner, side)[1])

    def copy(self) -> "Book":
        """Return a book with the same orders under the same ids that lives on by itself."""
        other = Book(self.tick, self.lot)
        other._sequence, other._sequence_of = self._sequence, self._sequence_of.copy()
        other._levels = {rank: level.copy() for rank, level in self._levels.items()}
        other._ranks = {side: ranks.copy() for side, ranks in self._ranks.items()}
        other._orders = {order_id: other._levels[level[order_id][2]] for order_id, level in self._orders.items()}
        other._ladders = {sequence: copy(ladder) for sequence, ladder in self._ladders.items()}
        return other

    def _match(self, owner: int, side: int, quantity: int, bound: float) -> Walk:
        """Walk the other side while its ranks are at least `bound`; take off what trades or is cancelled."""
        ranks, levels, orders = self._ranks[-side], self._levels, self._orders
        left, notional, last, cancelled = quantity, 0, 0, 0
        fills: list[Fill] = []
        while left and ranks and (rank := ranks[-1]) >= bound:
            level = levels[rank]
            sequence = next(iter(level))
            resting, maker, _ = level[sequence]
            if maker == owner:
                cancelled += resting
            else:
                last = -side * rank
                if resting > left:
                    level[sequence] = resting - left, maker, rank
                    fills.append(_new(Fill, (maker, last, left)))
                    notional += last * left
                    left = 0
                    break
                left -= resting
                notional += last * resting
                fills.append(_new(Fill, (maker, last, resting)))
            del level[sequence]
            if not level:
                del levels[rank], ranks[-1]
            if orders.pop(sequence, None) is None:
                self._advance(sequence)
        return _new(Walk, (tuple(fills), quantity - left, notional, last, left, cancelled))

    def _queue(self, side: int) -> Iterator[tuple[int, int, int]]:
        """Yield (minus rank, quantity, owner) of all that rests, best first: a ladder's level brings up its next."""
        seen = (
            (-rank, sequence, 0, quantity, owner)
            for rank in reversed(self._ranks[side])
            for sequence, (quantity, owner, _) in self._levels[rank].items()
        )
        waiting = list(islice(seen, 1))
        while waiting:
            key, sequence, at, quantity, owner = heappop(waiting)
            yield key, quantity, owner
            if not at and (following := next(seen, None)):
                heappush(waiting, following)
            ladder = self._ladders.get(sequence)
            if ladder is not None:
                at = max(at, ladder.head) + 1
                if at < len(ladder.prices):
                    heappush(waiting, (-side * ladder.prices[at], sequence, at, ladder.quantities[at], owner))

    def _plain(self, owner: int) -> list[Resting]:
        """Return an owner's plain orders, looking through all of them."""
        return [
            Resting(order_id, BUY if rank > 0 else SELL, abs(rank), quantity)
            for order_id, level in self._orders.items()
            for quantity, maker, rank in (level[order_id],)
            if maker == owner
        ]

    def _quantity(self, rank: int) -> int:
        return sum([quantity for quantity, _, _ in self._levels[rank].values()])

    def _show(self, sequence: int, ladder: Ladder) -> None:
        """Let the head of a ladder stand at its price, by age."""
        rank = ladder.side * ladder.prices[ladder.head]
        level = self._levels.get(rank)
        if level is None:
            insort(self._ranks[ladder.side], rank)
            level = self._levels[rank] = {}
        younger = next(reversed(level), 0) > sequence
        level[sequence] = ladder.quantities[ladder.head], ladder.owner, rank
        if younger:
            by_age = sorted(level.items())
            level.clear()
            level.update(by_age)

    def _advance(self, sequence: int) -> None:
        """Let the next level of a ladder take its head's place, or the ladder go."""
        ladder = self._ladders[sequence]
        ladder.head += 1
        if ladder.head < len(ladder.prices):
            self._show(sequence, ladder)
        else:
            del self._ladders[sequence], self._sequence_of[ladder.owner, ladder.side]

    def _rest(self, owner: int, side: int, prices: tuple[int, ...], quantities: tuple[int, ...]) -> int:
        """Rest a new ladder behind the other side's best price."""
        other = self.best(-side)
        if other is not None and prices and side * (prices[0] - other) >= 0:
            crossing = _reach(side, prices, other)
            prices, quantities = prices[crossing:], quantities[crossing:]
        if prices:
            self._sequence = sequence = self._sequence + 1
            self._ladders[sequence] = ladder = Ladder(owner, side, prices, quantities)
            self._sequence_of[owner, side] = sequence
            self._show(sequence, ladder)
        return len(prices)

    def _forget(self, owner: int, side: int) -> None:
        """Take a ladder off, where there is one."""
        sequence = self._sequence_of.pop((owner, side), None)
        if sequence is not None:
            ladder = self._ladders.pop(sequence)
            rank, ranks = side * ladder.prices[ladder.head], self._ranks[side]
            level = self._levels[rank]
            del level[sequence]
            if not level:
                del self._levels[rank], ranks[bisect_left(ranks, rank)]

    def _bound(self, side: int, quantity: int, limit: int | None) -> float:
        """Return the least rank of the other side that a taking order may trade with."""
        if quantity < 0 or quantity % self.lot:
            raise ValueError(f"a quantity must be a multiple of the lot {self.lot}, not negative: {quantity}")
        return -inf if limit is None else -side * limit

    def _check_ladder(self, side: int, prices: tuple[int, ...], quantities: tuple[int, ...]) -> None:
        if len(prices) != len(quantities):
            raise ValueError(f"a ladder has {len(prices)} prices and {len(quantities)} quantities")
        if not prices:
            return
        if list(prices) != sorted(prices, reverse=side == BUY) or prices[0] <= 0 or prices[-1] <= 0:
            raise ValueError(f"prices of a ladder must be positive and sorted, best first: {prices}")
        if min(quantities) <= 0 or quantities[0] % self.lot or prices[0] % self.tick:
            raise ValueError(
                f"{quantities} is not positive, or off the lot {self.lot}, or {prices} the tick {self.tick}"
            )


def _cancelled(side: int, prices: Sequence[int], quantities: Sequence[int]) -> Cancelled:
    total = sum(quantities)
    bids, asks = (total, 0) if side == BUY else (0, total)
    return Cancelled(len(prices), bids, asks, sum(map(mul, prices, quantities)))


def _reach(side: int, prices: Sequence[int], limit: int) -> int:
    """Return how many of prices, best first, are at `limit` or better."""
    return bisect_right(prices, -limit, key=neg) if side == BUY else bisect_right(prices, limit)
