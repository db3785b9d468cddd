"""A whole crash: ten million margin accounts, ten thousand price events, nearly as many liquidations as accounts.

The book and its liquidation are those of `margin_check.py`: every price event moves all prices, whoever is in breach
is liquidated, which moves prices, until nobody is. Once without and once with a log of every liquidation
(`EventLog.append_failures`, spooled to disk), in NumPy and compiled, finding as well as liquidating, each in a process
of its own, so that its peak of memory is its own. All must liquidate the same accounts in the same order; first, on a
small book, those a full scan finds.

    python benchmarks/crash.py [--quick] [--accounts N] [--events N]
"""

import argparse
import resource
import tempfile
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from margin_check import (
    ASSETS,
    Market,
    Outcome,
    by_index,
    by_scan,
    draw,
    linear_rules,
    liquidate,
    liquidate_compiled,
    play,
)

from contagion.accounts import AccountBook, LiquidationIndex
from contagion.accounts.rules import CASH, QUANTITY, WIDTH, slot_ids
from contagion.log import EventLog

SPOOL_ROWS = 1 << 20
SPLIT = ("quantity", "value")
"""Columns of wide numbers, whose bytes compress better by place; the others are stored as differences."""


class Result(NamedTuple):
    """What one run took and left."""

    outcome: Outcome
    book_bytes: float
    index_bytes: float
    full_passes: int
    peak: int
    logged: int
    logging: float
    writing: float
    row_bytes: float


class Logbook:
    """A log of liquidations, and the seconds that the run has spent in it."""

    def __init__(self, directory: Path) -> None:
        self.log = EventLog(SPOOL_ROWS)
        self.log.spool_to(directory)
        self.log.append_root(0, "clock", -1, -1)
        self.shock, self.cause, self.spent = -1, 0, 0.0

    def __call__(self, event: int, members: Any, before: Any, after: Any) -> None:
        """Add a row for every liquidation; the first round of an event is due to its shock, others to the last one."""
        start = perf_counter()
        if event != self.shock:
            self.shock, self.cause = event, self.log.append_root(event * 1_000_000, "shock", 0, 0)
        self.cause = self.log.append_failures(
            event * 1_000_000, "liquidation", 0, self.cause, members, 1.0, 1.0, channel=2,
            asset=slot_ids(before, 0), quantity=before[:, QUANTITY] - after[:, QUANTITY],
            value=after[:, CASH] - before[:, CASH],
        )  # fmt: skip
        self.spent += perf_counter() - start

    def row_bytes(self, path: Path) -> float:
        """Write the events as Parquet and return the bytes of a row."""
        columns = self.log.events.columns()
        table = pa.table(columns)
        encoding = {
            name: "BYTE_STREAM_SPLIT" if name in SPLIT else "DELTA_BINARY_PACKED" for name in table.column_names
        }
        pq.write_table(table, path, compression="zstd", use_dictionary=False, column_encoding=encoding)
        return path.stat().st_size / max(len(table), 1)


def prepare(directory: Path, accounts: int, events: int) -> None:
    """Draw a book and leave it in a directory."""
    market = draw(accounts, events, linear_rules())
    np.save(directory / "rows.npy", market.rows)
    np.savez(directory / "market.npz", prices=market.prices, moves=market.moves, interest=market.interest)


def opened(directory: Path) -> Market:
    """Return the market that was left in a directory."""
    rest = np.load(directory / "market.npz")
    return Market(np.load(directory / "rows.npy"), linear_rules(), rest["prices"], rest["moves"], rest["interest"])


def crash(directory: Path, compiled: bool, logged: bool, events: int) -> Result:
    """Play the crash once."""
    market = opened(directory)
    made: list[LiquidationIndex] = []

    def contestant(book: AccountBook, prices: Any) -> Any:
        made.append(LiquidationIndex(book, prices, compiled=compiled))
        return made[0].breaches

    with tempfile.TemporaryDirectory() as spool:
        logbook = Logbook(Path(spool) / "log") if logged else None
        sell = liquidate_compiled if compiled else liquidate
        sell(market.rows[:1], market.prices)
        outcome = play(market, contestant, events, logbook, copy=False, sell=sell, clock=perf_counter)
        peak = _peak()
        start = perf_counter()
        row_bytes = logbook.row_bytes(Path(spool) / "events.parquet") if logbook else 0.0
        writing = perf_counter() - start
    index, rows, spent = made[0], len(logbook.log.events) if logbook else 0, logbook.spent if logbook else 0.0
    return Result(
        outcome, WIDTH * 8, index.nbytes / len(index.book), index.full_passes, peak, rows, spent, writing, row_bytes
    )


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def alone(function: Any, *arguments: Any) -> Any:
    """Return what a function returns in a fresh process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def check() -> None:
    """Raise unless indices find what a scan finds on a small book, in a short crash."""
    market = draw(20_000, 30, linear_rules())
    ways = [by_scan, by_index(False), *([by_index(True)] if find_spec("numba") else [])]
    assert len({play(market, way, 30).digest for way in ways}) == 1, "not the same liquidations as a full scan"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="100,000 accounts, 1,000 events")
    parser.add_argument("--accounts", type=int, default=10_000_000)
    parser.add_argument("--events", type=int, default=10_000)
    chosen = parser.parse_args()
    accounts, events = (100_000, 1_000) if chosen.quick else (chosen.accounts, chosen.events)
    repetitions = 3 if chosen.quick else 1
    check()
    ways = [True, False] if find_spec("numba") else [False]
    if len(ways) == 1:
        print("numba is not installed: only NumPy is measured")
    spent: dict[tuple[bool, bool], list[Result]] = {(way, logged): [] for way in ways for logged in (False, True)}
    with tempfile.TemporaryDirectory() as place:
        directory, start = Path(place), perf_counter()
        alone(prepare, directory, accounts, events)
        print(f"{accounts:,} accounts, {ASSETS} assets, {events:,} events (drawn in {perf_counter() - start:.0f} s)")
        if find_spec("numba"):
            crash_small = (directory, True, False, 1)
            alone(crash, *crash_small)
        for _ in range(repetitions):
            for (way, logged), results in spent.items():
                results.append(alone(crash, directory, way, logged, events))
    assert len({done.outcome.digest for results in spent.values() for done in results}) == 1, "different liquidations"
    for way in ways:
        report("compiled" if way else "NumPy", spent[way, False], spent[way, True], accounts)


def report(name: str, bare: list[Result], logged: list[Result], accounts: int) -> None:
    """Print what a way took, what memory it used and what logging added."""
    done, noted = bare[-1], logged[-1]
    whole = median(result.outcome.whole for result in bare)
    with_log = median(result.outcome.whole for result in logged)
    outcome, wall = done.outcome, median(result.outcome.wall for result in bare)
    wall_with_log = median(result.outcome.wall for result in logged)
    print(f"  {name}: {whole:.1f} s of processor ({wall:.1f} s of wall) time for {outcome.finds:,} finds and "
          f"{outcome.liquidations:,} liquidations "
          f"({whole / max(outcome.liquidations, 1) * 1e6:.2f} us each; {outcome.finding:.1f} s of wall in finding); "
          f"{done.full_passes} full passes")  # fmt: skip
    print(f"    {done.book_bytes + done.index_bytes:.1f} bytes an account ({done.book_bytes:.0f} of them rows), peak "
          f"{done.peak / 1e9:.2f} GB = {done.peak / accounts:.0f} bytes an account")  # fmt: skip
    rest = noted.outcome.wall - noted.logging
    share = noted.logging / rest
    print(f"    with a log of {noted.logged:,} rows: {noted.logging:.1f} s in it, {share:.1%} of the rest of the run; "
          f"{noted.writing:.1f} s to write Parquet")  # fmt: skip
    print(f"    against the run without: {wall_with_log:.1f} s of wall, {wall_with_log / wall - 1:+.1%}, "
          f"{with_log / whole - 1:+.1%} of processor time; {noted.row_bytes:.1f} bytes a row in Parquet, "
          f"peak {noted.peak / 1e9:.2f} GB")  # fmt: skip


if __name__ == "__main__":
    main()
