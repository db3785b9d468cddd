"""How many operations a second the order book does, against a packaged one in C++.

Simple operations, in a thin and in a deep book. Thin: half limit orders (one in ten crosses), 38% cancellations of
resting orders, 12% market orders, so many that five orders rest and nearly every one opens or closes a level. Deep:
fewer and smaller ones, as markets see them (limit orders half, one in twenty crosses, market orders 5%, cancellations
the rest), and 850 orders rest at ninety prices. Only what changes a book counts as an operation.
Ladders: a maker replaces 40 levels on both sides, then somebody takes about three; counted per level placed. The
peer cancels and places every level by itself. Then our ladder verbs alone, per level. The peer is limit-order-book
from PyPI, which knows no owners and does not say what traded; from release 3 on (Python 3.13) its calls are
compiled too, and no book in Python comes near it on simple operations. Both books are first walked side by side, and
must agree on best prices after every step and on volumes every thousand. Then all alternate in one run; medians of
processor time are compared.

    python benchmarks/book.py [--quick]
"""

import argparse
import gc
import random
from collections.abc import Callable, Iterable
from importlib.metadata import version
from statistics import median
from time import process_time_ns
from typing import Any, NamedTuple

from contagion.finance.book import BUY, SELL, Book

try:
    from limit_order_book import LimitOrderBook
except ImportError:
    LimitOrderBook = None

LIMIT, CANCEL, MARKET = range(3)
LEVELS, MAKERS, MIDDLE = 40, 4, 100_000
TAKER = UNUSED = 10**9
"""An owner who never rests; ids from here on are the peer's for orders that never rest."""

Operation = tuple[int, int, int, int, int]
"""Kind, id, side, quantity and price. The id is also the owner, so that nobody meets his own orders."""


class Mix(NamedTuple):
    """Shares of market orders and of limit orders that cross, the size of the former, and orders that rest."""

    market: float
    crossing: float
    size: int
    resting: int


THIN, DEEP = Mix(0.12, 0.1, 2, 0), Mix(0.05, 0.05, 1, 1_000)


class Round(NamedTuple):
    """A maker's new ladders and a market order; `orders` is what the ladders are to the peer."""

    maker: int
    ladders: dict[int, tuple[int, ...]]
    quantities: tuple[int, ...]
    side: int
    taken: int
    gone: list[int]
    orders: list[Operation]


def simple_stream(count: int, mix: Mix) -> tuple[list[Operation], list[Operation]]:
    """Return what rests to begin with and random operations; orders carry the ids that our book will give them."""
    rng, book, stream = random.Random(1), Book(), []
    resting: list[int] = []
    for at in range(mix.resting + count):
        opening = at < mix.resting
        kind, side, quantity = rng.random(), rng.choice((BUY, SELL)), rng.randint(1, 100)
        if kind < mix.market and not opening:
            stream.append((MARKET, UNUSED + at, side, quantity * mix.size, 0))
            book.take(TAKER, side, quantity * mix.size)
        elif kind < 0.5 and len(resting) >= mix.resting and (order_id := cancelled(rng, book, resting)):
            stream.append((CANCEL, order_id, 0, 0, 0))
        else:
            behind = int(rng.expovariate(0.1)) + 1
            price = MIDDLE - side * (behind if opening or rng.random() < 1.0 - mix.crossing else -behind)
            order_id, _ = book.limit(at, side, price, quantity)
            stream.append((LIMIT, order_id or UNUSED + at, side, quantity, price))
            resting += [order_id] if order_id else []
    return stream[: mix.resting], stream[mix.resting :]


def cancelled(rng: random.Random, book: Book, resting: list[int]) -> int:
    """Cancel a random order that has not traded, and return its id; 0 when there is none."""
    while resting:
        at = rng.randrange(len(resting))
        resting[at], resting[-1] = resting[-1], resting[at]
        if book.cancel(order_id := resting.pop()):
            return order_id
    return 0


def ladder_rounds(count: int) -> list[Round]:
    """Return random rounds; no ladder ever reaches into another's other side."""
    rng, book, rounds = random.Random(2), Book(), []
    ids: dict[tuple[int, int], dict[int, int]] = {}
    for at in range(count):
        maker, middle = at % MAKERS, MIDDLE + rng.randint(-5, 5)
        quantities = tuple(rng.randint(1, 100) for _ in range(LEVELS))
        ladders, gone, orders = {}, [], []
        for side in (BUY, SELL):
            old = ids.get((maker, side), {})
            gone += [old[price] for price in book.ladder(maker, side)[0]]
            ladders[side] = prices = tuple(range(middle - 10 * side, middle - (10 + LEVELS) * side, -side))
            numbers = [2 * LEVELS * at + (side == BUY) * LEVELS + level for level in range(LEVELS)]
            ids[maker, side] = dict(zip(prices, numbers, strict=True))
            orders += [(LIMIT, number, side, q, p) for number, p, q in zip(numbers, prices, quantities, strict=True)]
        this = Round(maker, ladders, quantities, rng.choice((BUY, SELL)), rng.randint(50, 250), gone, orders)
        ours_round(book, [this])
        rounds.append(this)
    return rounds


def ours_simple(book: Book, stream: Iterable[Operation]) -> None:
    limit, cancel, take = book.limit, book.cancel, book.take
    for kind, order_id, side, quantity, price in stream:
        if kind == LIMIT:
            limit(order_id, side, price, quantity)
        elif kind == CANCEL:
            cancel(order_id)
        else:
            take(TAKER, side, quantity)


def peer_simple(book: Any, stream: Iterable[Operation]) -> None:
    limit, cancel, market = book.limit, book.cancel, book.market
    for kind, order_id, side, quantity, price in stream:
        if kind == LIMIT:
            limit(side > 0, order_id, quantity, price)
        elif kind == CANCEL:
            cancel(order_id)
        else:
            market(side > 0, order_id, quantity)


def ours_round(book: Book, rounds: Iterable[Round]) -> None:
    place, take = book.place, book.take
    for maker, ladders, quantities, side, taken, _, _ in rounds:
        for which, prices in ladders.items():
            place(maker, which, prices, quantities)
        take(TAKER, side, taken)


def peer_round(book: Any, rounds: Iterable[Round]) -> None:
    cancel, limit, market = book.cancel, book.limit, book.market
    for _, _, _, side, taken, gone, orders in rounds:
        for order_id in gone:
            cancel(order_id)
        for _, order_id, which, quantity, price in orders:
            limit(which > 0, order_id, quantity, price)
        market(side > 0, UNUSED, taken)


def check_same(ours: Callable[[Book, Any], None], peer: Callable[[Any, Any], None], steps: list[Any]) -> None:
    """Walk both books step by step; each must leave the same best prices and volumes."""
    book, other = Book(), LimitOrderBook()
    volume: dict[int, Callable[..., int]] = {BUY: other.volume_buy, SELL: other.volume_sell}
    for at, step in enumerate(steps):
        ours(book, [step])
        peer(other, [step])
        for side in (BUY, SELL):
            best = book.best(side)
            assert best is None or best == other.best(side > 0), f"step {at}: {step}"
        if at % 1_000 == 0 or at == len(steps) - 1:
            for side in (BUY, SELL):
                levels = book.levels(side)
                assert volume[side]() == sum(quantity for _, quantity in levels), f"step {at}: {step}"
                assert all(volume[side](price) == quantity for price, quantity in levels), f"step {at}: {step}"


def verb(operate: Callable[[Book, int], Any]) -> Callable[[Any, Iterable[Any]], None]:
    """Return a measure of one ladder verb, by one of four makers in turn."""

    def measure(book: Book, turns: Iterable[Any]) -> None:
        for turn in turns:
            operate(book, turn)

    return measure


BIDS = [tuple(range(MIDDLE - step, MIDDLE - step - LEVELS, -1)) for step in range(2)]
QUANTITIES = (10,) * LEVELS


def quoted_book() -> Book:
    """Return a book with a ladder of every maker on either side."""
    book = Book()
    for maker in range(MAKERS):
        book.place(maker, BUY, BIDS[0], QUANTITIES)
        book.place(maker, SELL, range(MIDDLE + 10, MIDDLE + 10 + LEVELS), QUANTITIES)
    return book


def place(book: Book, turn: int) -> None:
    book.place(turn % MAKERS, BUY, BIDS[turn // MAKERS % 2], QUANTITIES)


def shift(book: Book, turn: int) -> None:
    book.shift(turn % MAKERS, BUY, 1 - turn // MAKERS % 2 * 2)


def withdraw(book: Book, turn: int) -> None:
    book.withdraw(turn % MAKERS, BUY)
    book.place(turn % MAKERS, BUY, BIDS[0], QUANTITIES)


Measure = tuple[str, Callable[[], Any], Callable[[Any, Any], None], Any, int]
"""A name, who makes the book, who works on it, with what, and how many operations that is."""


def compare(measures: list[Measure], repetitions: int) -> None:
    """Print operations a second of each measure, and of the first by the second."""
    spent: list[list[float]] = [[] for _ in measures]
    for _ in range(repetitions):
        for (_, make, work, steps, count), times in zip(measures, spent, strict=True):
            book = make()
            gc.collect()
            start = process_time_ns()
            work(book, steps)
            times.append((process_time_ns() - start) / count)
    for (name, *_), times in zip(measures, spent, strict=True):
        print(
            f"{name:<44}{1e3 / median(times):8.2f} M/s, at best {1e3 / min(times):6.2f} ({median(times):.0f} ns each)"
        )
    if len(spent) == 2:
        ratios = [peer / ours for ours, peer in zip(*spent, strict=True)]
        print(f"  ours / peer: {median(ratios):.2f}, of pairs {min(ratios):.2f} to {max(ratios):.2f}")


def peer_name() -> str:
    return f"limit-order-book {version('limit-order-book')}"


def compare_simple(name: str, opening: list[Operation], stream: list[Operation], repetitions: int) -> None:
    """Print the simple operations of one stream; what rests to begin with is placed before the clock starts."""

    def ours() -> Book:
        book = Book()
        ours_simple(book, opening)
        return book

    def peer() -> Any:
        book = LimitOrderBook()
        peer_simple(book, opening)
        return book

    measures: list[Measure] = [(f"simple operations, {name}: ours", ours, ours_simple, stream, len(stream))]
    if LimitOrderBook is not None:
        check_same(ours_simple, peer_simple, opening + stream)
        measures.append((f"  {peer_name()}", peer, peer_simple, stream, len(stream)))
    compare(measures, repetitions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds")
    count, repetitions = (16_000, 5) if parser.parse_args().quick else (64_000, 15)
    rounds, turns = ladder_rounds(count // 64), range(count // 8)
    for name, mix in (("thin", THIN), ("deep", DEEP)):
        compare_simple(name, *simple_stream(count, mix), repetitions)
    levels = 2 * LEVELS * len(rounds)
    laddered: list[Measure] = [("40-level ladders and trades: ours, a level", Book, ours_round, rounds, levels)]
    if LimitOrderBook is None:
        print("the peer is left out: pip install limit-order-book")
    else:
        check_same(ours_round, peer_round, rounds)
        laddered.append((f"as orders: {peer_name()}, a level", LimitOrderBook, peer_round, rounds, levels))
    compare(laddered, repetitions)
    for operate in (place, shift, withdraw):
        name = f"{operate.__name__}{' and place' * (operate is withdraw)} 40 levels, a level"
        compare([(name, quoted_book, verb(operate), turns, LEVELS * len(turns))], repetitions)


if __name__ == "__main__":
    main()
