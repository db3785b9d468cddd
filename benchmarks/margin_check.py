"""What it costs to find the margin accounts in breach at new prices, against looking at all of them.

A synthetic book: 70% loans (health 1 + lognormal, debts in cash or coins), 30% perpetuals (median leverage 5, 65%
long), one to four of 20 assets an account. All prices move at every event. Who is in breach is liquidated (half
of a loan with a bonus of 5%, all of a perpetual), which moves prices by exp(-sold / 3 open interest), until nobody is
in breach. A *find* is one complete answer for the whole book; liquidation itself costs the same for everybody and is
not counted. Peers: a SciPy sparse matrix-vector product (weights of the same accounts, updated as they are liquidated)
and plain scans, NumPy's and a compiled one that is bound by memory. Everybody plays the same path, in turn, and must
find the same accounts. Times are of the processor, so that other work on the machine counts for less.

    python benchmarks/margin_check.py [--quick | --large]
"""

import argparse
import gc
import hashlib
from collections.abc import Callable
from functools import cache
from statistics import median
from time import perf_counter, process_time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from contagion.accounts import AccountBook, LiquidationIndex, Rules, by_radius
from contagion.accounts.rules import CASH, COST, QUANTITY, SLOTS, slot_ids
from contagion.finance.margin import collateral_pieces, perpetual_pieces

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

COINS, PERPETUALS = 12, 8
ASSETS = COINS + PERPETUALS
SHIFTS = 8 * np.arange(SLOTS)[:, None]
RATIO, LOAN, MAINTENANCE = 0.85, 0.02, 0.01
CLOSE_FACTOR, BONUS, DUST = 0.5, 1.05, 1_000_000
SIGMA, DRIFT = 5e-4, -5e-5
ROUNDS = 200

try:
    import numba
except ImportError:
    numba = None


class Market(NamedTuple):
    """What every contestant starts from: rows in order of radius, rules, prices, and the path's moves."""

    rows: Integers
    rules: Rules
    prices: Floats
    moves: Floats
    interest: Floats


class Outcome(NamedTuple):
    """Seconds of processor time in finds and in all, of wall time; finds, liquidations, digest of all found."""

    finding: float
    whole: float
    wall: float
    finds: int
    liquidations: int
    digest: str


def linear_rules() -> Rules:
    """Return rules without tiers, which a matrix can express."""
    coin, contract = collateral_pieces([(0, RATIO)], LOAN), perpetual_pieces([(0, MAINTENANCE)])
    return Rules([coin] * COINS + [contract] * PERPETUALS, LOAN)


def tiered_rules() -> Rules:
    """Return rules whose tiers one account in ten reaches."""
    coin = collateral_pieces([(0, RATIO), (4e10, 0.7), (4e11, 0.5)], LOAN)
    contract = perpetual_pieces([(0, MAINTENANCE), (4e10, 0.02), (4e11, 0.05)])
    return Rules([coin] * COINS + [contract] * PERPETUALS, LOAN)


def draw(count: int, events: int, rules: Rules, seed: int = 1, drift: float = DRIFT) -> Market:
    """Return a market of `count` accounts; none is in breach at the start under rules without tiers."""
    rng = np.random.default_rng(seed)
    prices = np.exp(rng.uniform(-8, 1, ASSETS))
    rows = np.empty((count, 10), np.int64)
    for at in range(0, count, 1 << 18):
        part = rows[at : at + (1 << 18)]
        part[:] = _accounts(rng, len(part), prices)
    rows = rows[by_radius(rows, rules, prices)]
    common = rng.normal(drift, SIGMA, (events, 1)) * 0.8
    moves = np.exp(common + rng.normal(0, SIGMA * 0.6, (events, ASSETS)))
    return Market(rows, rules, prices, moves, _interest(rows, prices))


def _accounts(rng: np.random.Generator, count: int, prices: Floats) -> Integers:
    held = rng.choice(4, count, p=[0.4, 0.3, 0.2, 0.1]) + 1
    perpetual = rng.random(count) < 0.3
    start = np.where(perpetual, COINS + rng.integers(0, PERPETUALS, count), rng.integers(0, COINS, count))
    step = rng.integers(1, 3, count) * 2 - 1
    first, size = np.where(perpetual, COINS, 0), np.where(perpetual, PERPETUALS, COINS)
    worth = np.exp(rng.normal(np.log(3e9), 1.6, count))
    long = rng.random(count) < 0.65
    rows = np.zeros((count, 10), np.int64)
    lent, maintained, loss = np.zeros(count), np.zeros(count), np.zeros(count)
    for slot in range(SLOTS):
        there = held > slot
        asset = first + (start - first + slot * step) % size
        rows[:, 0] |= np.where(there, asset, 255) << 8 * slot
        value = worth * rng.uniform(0.3, 1.0, count) * there
        sign = np.where(perpetual & ~(long ^ (rng.random(count) < 0.15)), -1, 1)
        quantity = np.rint(sign * value / prices[asset]).astype(np.int64)
        entry = np.where(perpetual, np.rint(quantity * prices[asset] * np.exp(rng.normal(0, 0.1, count))), 0)
        rows[:, QUANTITY + slot], rows[:, COST + slot] = quantity, -entry.astype(np.int64)
        notional = quantity * prices[asset]
        lent += np.where(perpetual, 0, RATIO * notional)
        maintained += np.where(perpetual, np.abs(notional), 0)
        loss += np.where(perpetual, entry - notional, 0)
    health = 1 + np.exp(rng.normal(-0.5, 1.2, count)) + 1e-4
    health = np.where(rng.random(count) < 0.014, 1 / (1 - rng.uniform(1e-4, 0.05, count)), health)
    leverage = np.minimum(np.exp(rng.normal(np.log(4.5), 0.6, count)), 90)
    margin = maintained * np.maximum(1 / leverage, MAINTENANCE * 1.01) + loss
    rows[:, CASH] = np.where(perpetual, np.ceil(margin) + 1, -np.floor(lent / health / (1 + LOAN)))
    return rows


def _interest(rows: Integers, prices: Floats) -> Floats:
    interest = np.zeros(256)
    for at in range(0, len(rows), 1 << 18):
        block = rows[at : at + (1 << 18)]
        for slot in range(SLOTS):
            ids = slot_ids(block, slot)
            worth = np.abs(block[:, QUANTITY + slot]) * np.append(prices, np.zeros(256 - ASSETS))[ids]
            interest += np.bincount(ids, worth, 256)
    return np.maximum(interest[:ASSETS], 1.0)


def liquidate(rows: Integers, prices: Floats) -> tuple[Integers, Floats]:
    """Return the rows of accounts after their liquidation, and the value sold by asset."""
    new = rows.T.copy()
    quantity, cost, cash = new[QUANTITY : QUANTITY + SLOTS], new[COST : COST + SLOTS], new[CASH]
    ids = (new[0] >> SHIFTS) & 255
    price = np.append(prices, np.zeros(256 - ASSETS)).take(ids)
    notional = quantity * price
    perpetual, debt, worth = ids[0] >= COINS, np.maximum(-cash, 0), notional.sum(axis=0)
    share = np.minimum(BONUS * CLOSE_FACTOR * debt / np.maximum(worth, 1), 1)
    over = perpetual | (share >= 1) | (debt < DUST)
    seized = np.where(over, quantity, (quantity * share).astype(np.int64))
    closed = np.maximum(cash + (cost.sum(axis=0) + worth), 0).astype(np.int64)
    cash[:] = np.where(over, closed, cash + (debt * CLOSE_FACTOR).astype(np.int64))
    quantity -= seized
    cost *= ~over
    sold = np.bincount(ids.ravel(), (seized * price).ravel(), 256)[:ASSETS]
    return np.ascontiguousarray(new.T), sold


@cache
def liquidation_kernel() -> Callable[..., None]:
    """Return `liquidate` compiled: the same operations in the same order."""

    def kernel(rows: Integers, price: Floats, new: Integers, sold: Floats, values: Floats) -> None:
        for i in range(len(rows)):
            packed, cash, worth, costs = rows[i, 0], rows[i, CASH], 0.0, np.int64(0)
            new[i, 0] = packed
            for slot in range(SLOTS):
                values[slot, i] = float(rows[i, QUANTITY + slot]) * price[np.uint64((packed >> 8 * slot) & 255)]
                worth += values[slot, i]
                costs += rows[i, COST + slot]
            debt = max(-cash, 0)
            share = min(BONUS * CLOSE_FACTOR * debt / max(worth, 1.0), 1.0)
            over = (packed & 255) >= COINS or share >= 1 or debt < DUST
            paid = np.int64(debt * CLOSE_FACTOR)
            new[i, CASH] = np.int64(max(cash + (costs + worth), 0.0)) if over else cash + paid
            for slot in range(SLOTS):
                quantity, asset = rows[i, QUANTITY + slot], np.uint64((packed >> 8 * slot) & 255)
                seized = quantity if over else np.int64(quantity * share)
                new[i, QUANTITY + slot], values[slot, i] = quantity - seized, seized * price[asset]
                new[i, COST + slot] = 0 if over else rows[i, COST + slot]
        for slot in range(SLOTS):
            for i in range(len(rows)):
                sold[np.uint64((rows[i, 0] >> 8 * slot) & 255)] += values[slot, i]

    return numba.njit(error_model="numpy")(kernel)


def liquidate_compiled(rows: Integers, prices: Floats) -> tuple[Integers, Floats]:
    """Return what `liquidate` does."""
    price, new = np.zeros(256), np.empty_like(rows)
    price[:ASSETS], sold, values = prices, np.zeros(256), np.empty((SLOTS, len(rows)))
    liquidation_kernel()(rows, price, new, sold, values)
    return new, sold[:ASSETS]


def play(
    market: Market,
    contestant: Callable[[AccountBook, Floats], Callable[[Floats], Integers]],
    events: int,
    after: Callable[[int, Integers, Integers, Integers], None] | None = None,
    *,
    copy: bool = True,
    sell: Callable[[Integers, Floats], tuple[Integers, Floats]] = liquidate,
    clock: Callable[[], float] = process_time,
) -> Outcome:
    """Play the path with one way to find breaches; `after` hears of (event, members, rows before, rows after).

    sell : how who is in breach is liquidated; clock : what finds are timed by, the processor's time unless stated.
    """
    book = AccountBook(market.rows.copy() if copy else market.rows, market.rules)
    prices, finding, finds, liquidations = market.prices.copy(), 0.0, 0, 0
    digest = hashlib.sha256()
    find = contestant(book, prices)
    gc.collect()
    begin, wall_begin = process_time(), perf_counter()
    for event in range(events):
        prices = prices * market.moves[event]
        for _ in range(ROUNDS):
            start = clock()
            found = find(prices)
            finding += clock() - start
            finds += 1
            if not len(found):
                break
            digest.update(found.tobytes())
            before = book.read(found)
            rows, sold = sell(before, prices)
            book.write(found, rows)
            if after is not None:
                after(event, found, before, rows)
            liquidations += len(found)
            prices = prices * np.exp(-sold / (3 * market.interest))
    whole, wall = process_time() - begin, perf_counter() - wall_begin
    return Outcome(finding, whole, wall, finds, liquidations, digest.hexdigest())


def by_index(compiled: bool) -> Callable[[AccountBook, Floats], Callable[[Floats], Integers]]:
    return lambda book, prices: LiquidationIndex(book, prices, compiled=compiled).breaches


def by_scan(book: AccountBook, prices: Floats) -> Callable[[Floats], Integers]:
    return lambda prices: np.flatnonzero(book.margins(prices) < 0)


def by_compiled_scan(book: AccountBook, prices: Floats) -> Callable[[Floats], Integers]:
    """Return a find by one compiled pass over all rows, for rules without tiers."""
    rows, tables, found = book.rows, book.rules.tables, np.empty(len(book), np.int64)

    def find(prices: Floats) -> Integers:
        count = scan_kernel()(rows, book.rules.padded(prices), tables.right, tables.left, tables.loan, found)
        return found[:count].copy()

    return find


@cache
def scan_kernel() -> Callable[..., int]:
    """Return the compiled scan."""

    def scan(rows: Integers, prices: Floats, right: Floats, left: Floats, loan: float, found: Integers) -> int:
        count = 0
        for member in range(len(rows)):
            margin = float(rows[member, CASH]) * (loan if rows[member, CASH] < 0 else 1.0)
            for slot in range(SLOTS):
                margin += float(rows[member, COST + slot])
            for slot in range(SLOTS):
                asset = np.uint64((rows[member, 0] >> 8 * slot) & 255)
                value = float(rows[member, QUANTITY + slot]) * prices[asset]
                margin += min(right[asset] * value, left[asset] * value)
            if margin < 0:
                found[count] = member
                count += 1
        return count

    return numba.njit(error_model="numpy")(scan)


def by_matrix(book: AccountBook, prices: Floats) -> Callable[[Floats], Integers]:
    """Return a find by one product of a sparse matrix of weights with the prices, kept up to date."""
    held = np.zeros(len(book), np.int64)
    for slot in range(SLOTS):
        held += slot_ids(book.rows, slot) < ASSETS
    pointer = np.concatenate(([0], np.cumsum(held))).astype(np.int32)
    weight, column = np.empty(pointer[-1]), np.empty(pointer[-1], np.int32)
    fixed = np.empty(len(book))

    def refresh(members: Integers) -> None:
        rows, tables = book.read(members), book.rules.tables
        cash = rows[:, CASH].astype(np.float64)
        fixed[members] = cash * np.where(cash < 0, tables.loan, 1) + rows[:, COST : COST + SLOTS].sum(axis=1)
        for slot in range(SLOTS):
            there = held[members] > slot
            ids, quantity = slot_ids(rows, slot)[there], rows[there, QUANTITY + slot]
            at = pointer[members[there]] + slot
            weight[at], column[at] = np.where(quantity < 0, tables.left[ids], tables.right[ids]) * quantity, ids

    for at in range(0, len(book), 1 << 18):
        refresh(np.arange(at, min(at + (1 << 18), len(book))))
    matrix = csr_matrix((weight, column, pointer), shape=(len(book), ASSETS), copy=False)
    weight = matrix.data
    book.listen(refresh)
    return lambda prices: np.flatnonzero(matrix @ prices + fixed < 0)


def compare(count: int, events: dict[str, int], repetitions: int) -> None:
    """Let everybody play, check that they found the same, and print what a find costs."""
    contestants = {"shells, NumPy": by_index(False), "sparse matrix": by_matrix, "scan, NumPy": by_scan}
    if numba is None:
        print("numba is not installed: nothing compiled is measured")
    else:
        contestants |= {"shells, compiled": by_index(True), "scan, compiled": by_compiled_scan}
    market = draw(count, max(events.values()), linear_rules())
    book = AccountBook(market.rows, market.rules)
    radii = book.radii(market.prices)
    near = [f"{np.mean(radii <= bound):.2%} within {bound:.0%}" for bound in (0.01, 0.05, 0.2, 0.4)]
    print(f"{count:,} accounts, {ASSETS} assets; {', '.join(near)} of their margin")
    check = {name: play(market, contestant, min(events.values())) for name, contestant in contestants.items()}
    assert len({(done.digest, done.finds) for done in check.values()}) == 1, f"not the same breaches: {check}"
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    last: dict[str, Outcome] = {}
    for _ in range(repetitions):
        for name, contestant in contestants.items():
            last[name] = play(market, contestant, events[name])
            spent[name].append(last[name].finding / last[name].finds * 1e6)
    cost = {name: median(values) for name, values in spent.items()}
    for name, value in sorted(cost.items(), key=lambda item: item[1]):
        done = last[name]
        print(f"  {name:<18}{value:12,.1f} us a find   ({events[name]} events, {done.finds} finds, "
              f"{done.liquidations:,} liquidations, median of {repetitions})")  # fmt: skip
    for ours in (name for name in cost if name.startswith("shells")):
        ratios = (f"{cost[peer] / cost[ours]:,.0f} x {peer}" for peer in cost if not peer.startswith("shells"))
        print(f"  {ours} is faster than: {', '.join(ratios)}")


def flat(counts: tuple[int, ...], events: int) -> None:
    """Print what an event costs in books of any size with the same accounts near their margin."""
    market = draw(20_000, events, linear_rules(), drift=0.0)
    cost: dict[tuple[int, bool], float] = {}
    for count in counts:
        rows = np.resize(market.rows, (count, market.rows.shape[1]))
        rows[len(market.rows) :, CASH] += 10**12
        for compiled in (False, True) if numba is not None else (False,):
            runs = [play(market._replace(rows=rows), by_index(compiled), events, copy=False) for _ in range(1)]
            cost[count, compiled] = median(done.finding for done in runs) / events * 1e6
            rows[:] = np.resize(market.rows, rows.shape)
            rows[len(market.rows) :, CASH] += 10**12
    for compiled in dict.fromkeys(way for _, way in cost):
        parts = ", ".join(f"{count:,}: {cost[count, compiled]:.1f} us" for count in counts)
        print(f"  20,000 near the margin, {'compiled' if compiled else 'NumPy'}, {parts} an event; "
              f"largest / smallest {cost[counts[-1], compiled] / cost[counts[0], compiled]:.2f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, 100,000 accounts")
    parser.add_argument("--large", action="store_true", help="10,000,000 accounts too, peers on fewer events")
    chosen = parser.parse_args()
    fast, slow = ("shells, NumPy", "shells, compiled"), ("sparse matrix", "scan, compiled")
    if chosen.quick:
        compare(100_000, dict.fromkeys(fast, 200) | dict.fromkeys(slow, 50) | {"scan, NumPy": 20}, 3)
        flat((20_000, 100_000), 200)
        return
    compare(1_000_000, dict.fromkeys(fast, 1000) | dict.fromkeys(slow, 1000) | {"scan, NumPy": 20}, 3)
    if chosen.large:
        compare(10_000_000, dict.fromkeys(fast, 500) | dict.fromkeys(slow, 50) | {"scan, NumPy": 5}, 2)
    flat((100_000, 1_000_000, *((10_000_000,) if chosen.large else ())), 500)


if __name__ == "__main__":
    main()
