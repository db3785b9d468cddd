"""The book that is there, and the one that would be there had nobody cancelled in distress.

While a maker stays away, its orders live on in the ghost book and every order is walked through both. What a
trade does to the price of the ghost is its own doing; the rest of what it does to the real price is liquidity
withdrawal. When the last maker is back the ghost goes, and whatever gap is left closes as withdrawal too.
"""

from collections.abc import Iterator

from contagion.finance.book import Book, Cancelled
from contagion.venues import BUY, SELL, Ladders


class Tape:
    """A book and its price: the last trade, held within the spread."""

    def __init__(self, book: Book, last: int) -> None:
        self.book, self.last = book, last

    def price(self) -> int:
        """Return the last trade, or the bid above it, or the offer below it."""
        bid, ask = self.book.best(BUY), self.book.best(SELL)
        if bid is not None and self.last < bid:
            self.last = bid
        elif ask is not None and self.last > ask:
            self.last = ask
        return self.last


class Tapes:
    """The real tape, the ghost while somebody is away, and who that is."""

    def __init__(self, tick: int, lot: int, price: int) -> None:
        self.real = Tape(Book(tick, lot), price)
        self.ghost: Tape | None = None
        self.real_delta = 0
        self._told, self._ghost_told = price, price
        self._away: dict[int, int] = {}
        self._resting: dict[int, tuple[int, int]] = {}

    def rest(self, owner: int, side: int, price: int, quantity: int) -> None:
        """Rest an order that cannot trade, at the opening."""
        self.real.book.limit(owner, side, price, quantity)

    def take(self, holder: int, side: int, quantity: int, limit: int | None) -> None:
        """Take a quantity off both books."""
        for tape in self._tapes():
            walk = tape.book.take(holder, side, quantity, limit)
            if walk.filled:
                tape.last = walk.last
            if tape is self.real:
                for owner in {holder, *(fill.owner for fill in walk.fills)}:
                    self._resting.pop(owner, None)

    def resting(self, maker: int) -> tuple[int, int]:
        """Return how much a maker has resting, (bids, offers), counted again only after something happened to it."""
        if maker not in self._resting:
            self._resting[maker] = (self.real.book.resting(maker, BUY), self.real.book.resting(maker, SELL))
        return self._resting[maker]

    def place(self, maker: int, ladders: Ladders) -> None:
        """Place a maker's ladders, which ends its being away."""
        self._resting.pop(maker, None)
        for tape in self._tapes():
            for side in ladders:
                tape.book.place(maker, side, (), ())  # so that neither new ladder finds the other old one in its way
            for side, (prices, quantities) in ladders.items():
                tape.book.place(maker, side, prices, quantities)
        self._away.pop(maker, None)

    def cancel(self, maker: int, distress: bool) -> Cancelled:
        """Cancel a maker's orders, in the ghost book only when it is not in distress."""
        if distress and self.ghost is None and any(self.resting(maker)):
            self.ghost = Tape(self.real.book.copy(), self.real.last)
            self._ghost_told = self.real.price()
        elif not distress and self.ghost is not None:
            self.ghost.book.cancel_all(maker)
            self._away.pop(maker, None)
        self._resting.pop(maker, None)
        return self.real.book.cancel_all(maker)

    def blame(self, maker: int, event: int) -> None:
        """Remember by which event a maker withdrew."""
        self._away[maker] = event

    def withdrawals(self, before: int) -> Iterator[int]:
        """Return the withdrawals that the present gap rests on."""
        return (event for event in self._away.values() if event < before)

    def increments(self) -> tuple[int, int]:
        """Return (the ghost's increment since the last call, the real price); `real_delta` is the real increment.

        Without a ghost both increments are one. When nobody is away any more the ghost has spoken for the last time.
        """
        price = self.real.price()
        self.real_delta, self._told = price - self._told, price
        ghost_delta = self.real_delta
        if self.ghost is not None:
            now = self.ghost.price()
            ghost_delta, self._ghost_told = now - self._ghost_told, now
            if not self._away:
                self.ghost = None
        return ghost_delta, price

    def _tapes(self) -> tuple[Tape, ...]:
        return (self.real,) if self.ghost is None else (self.real, self.ghost)


class Displacements:
    """What trades have done to a price that quotes have not yet undone, latest last.

    A sale walks the price down and makers bring it back: the two are one force, and what stays is its effect. So a
    re-quote undoes the displacements it goes against, each through its own channel, before it is a maker's own.

    >>> displaced = Displacements()
    >>> displaced.push(2, -30), displaced.undo(20), displaced.undo(20)
    (None, [(2, 20)], [(2, 10)])
    """

    def __init__(self) -> None:
        self._stack: list[tuple[int, int]] = []

    def push(self, channel: int, increment: int) -> None:
        """Remember the increment of a trade; one in the other direction undoes what it meets."""
        rest = increment - sum(delta for _, delta in self.undo(increment))
        if rest and self._stack and self._stack[-1][0] == channel:
            rest += self._stack.pop()[1]
        if rest:
            self._stack.append((channel, rest))

    def undo(self, increment: int) -> list[tuple[int, int]]:
        """Return the parts (channel, increment) of a move that undo earlier ones, latest first, and forget those."""
        parts = []
        while increment and self._stack and (self._stack[-1][1] > 0) != (increment > 0):
            channel, delta = self._stack.pop()
            part = max(increment, -delta) if increment < 0 else min(increment, -delta)
            if delta + part:
                self._stack.append((channel, delta + part))
            parts.append((channel, part))
            increment -= part
        return parts
