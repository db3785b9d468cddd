"""Liquidating a million positions over ten marks, against `lrvx`, whose core is C++.

Isolated positions in one contract, long and short, at one maintenance rate; at every mark, who is below maintenance
is closed. On a small book both must close the same positions at every mark. Then both do larger ones, in turn: the
peer `LiquidationEngine.on_mark`; here `LiquidationIndex.breaches` and `AccountBook.write`, with the time to build the
index counted. Opening positions is printed and not compared: the peer opens them one by one, a book is an array.

    python benchmarks/positions.py [--quick | --large]
"""

import argparse
import gc
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from time import process_time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.accounts import AccountBook, LiquidationIndex, Rules
from contagion.accounts.rules import CASH, COST, QUANTITY
from contagion.finance.margin import perpetual_pieces

ENTRY, RATE, SYMBOL = 10_000, 0.01, 0
FALLS = (0.99, 0.97, 0.96, 0.98, 1.02, 0.97, 0.95, 0.99, 1.05, 1.06)


class Positions(NamedTuple):
    """Signed contracts and the cash behind each; all were opened at `ENTRY`."""

    quantity: NDArray[np.int64]
    cash: NDArray[np.int64]


class Played(NamedTuple):
    """Seconds of the processor to open and to go through the marks; who was closed at each of them, in order."""

    opening: float
    marking: float
    closed: list[list[int]]


def draw(count: int, seed: int = 7) -> Positions:
    """Return positions with leverages around 8."""
    rng = np.random.default_rng(seed)
    quantity = rng.integers(1, 1000, count) * np.where(rng.random(count) < 0.6, 1, -1)
    leverage = np.clip(np.exp(rng.normal(np.log(8), 0.7, count)), 1, 80)
    return Positions(quantity, (np.abs(quantity) * ENTRY / leverage).astype(np.int64) + 1)


def marks() -> list[float]:
    """Return ten marks."""
    return (ENTRY * np.cumprod(FALLS)).tolist()


def by_index(positions: Positions, compiled: bool) -> Played:
    """Go through the marks with an account book and its index."""
    start = process_time()
    rows = np.zeros((len(positions.cash), 10), np.int64)
    rows[:, 0], rows[:, QUANTITY], rows[:, CASH] = 0xFFFFFF00, positions.quantity, positions.cash
    rows[:, COST] = -positions.quantity * ENTRY
    book = AccountBook(rows, Rules([perpetual_pieces([(0, RATE)])]))
    opened = process_time()
    index, closed = LiquidationIndex(book, np.array([float(ENTRY)]), compiled=compiled), []
    for mark in marks():
        found = index.breaches(np.array([mark]))
        settled = book.read(found)
        settled[:, CASH:] = 0
        book.write(found, settled)
        closed.append(found)
    return Played(opened - start, process_time() - opened, [found.tolist() for found in closed])


def by_peer(positions: Positions) -> Played:
    """Go through the marks with lrvx: no slippage, no auto-deleveraging, a fund that is never empty."""
    peer: Any = import_module("lrvx")
    start = process_time()
    engine = peer.LiquidationEngine()
    engine.add_tier(0.0, RATE)
    engine.set_liquidation_slippage_bps(0.0)
    engine.set_adl_enabled(False)
    engine.set_insurance_fund_capital(1e18)
    for member, (quantity, cash) in enumerate(zip(*(column.tolist() for column in positions), strict=True)):
        engine.open_position(member, SYMBOL, float(quantity), float(ENTRY), float(cash))
    opened = process_time()
    closed = [engine.on_mark(SYMBOL, mark)["liquidated"] for mark in marks()]
    return Played(opened - start, process_time() - opened, [sorted(found) for found in closed])


def compare(count: int, repetitions: int, ways: dict[str, bool]) -> None:
    """Let everybody go through the marks in turn, check that they agree, and print medians and ratios."""
    positions = draw(count)
    spent: dict[str, list[Played]] = {name: [] for name in ("lrvx", *ways)}
    for turn in range(repetitions):
        for name in spent:
            gc.collect()
            if name != "lrvx":
                spent[name].append(by_index(positions, ways[name]))
            elif turn == 0 or count <= 100_000:
                spent[name].append(by_peer(positions))
    last = {name: played[-1] for name, played in spent.items()}
    assert all(played.closed == last["lrvx"].closed for played in last.values()), "not the same liquidations"
    total = sum(map(len, last["lrvx"].closed))
    print(f"{count:,} positions, {len(FALLS)} marks, {total:,} liquidations, the same for everybody")
    times = {name: median(played.marking for played in runs) for name, runs in spent.items()}
    for name, value in times.items():
        ratio = "" if name == "lrvx" else f", {times['lrvx'] / value:,.0f} times as fast as lrvx"
        print(f"  {name:<10}{value:10.4f} s{ratio} (opening {last[name].opening:.3f} s; {len(spent[name])} runs)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="up to 20,000 positions")
    parser.add_argument("--large", action="store_true", help="a million positions: minutes, all of them the peer's")
    chosen = parser.parse_args()
    if find_spec("lrvx") is None:
        print("lrvx, of the extra 'peers', is not installed: there is nobody to compare with")
        return
    ways = {"NumPy": False} | ({"compiled": True} if find_spec("numba") else {})
    if len(ways) == 1:
        print("numba is not installed: only NumPy is measured")
    small = draw(2_000, seed=11)
    expected = by_peer(small).closed
    assert all(by_index(small, way).closed == expected for way in ways.values()), "not the same liquidations"
    compare(20_000, 3, ways)
    if not chosen.quick:
        compare(100_000, 3, ways)
        compare(400_000, 3, ways)
    if chosen.large:
        compare(1_000_000, 3, ways)


if __name__ == "__main__":
    main()
