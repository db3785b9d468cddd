"""How many rows a second the log takes, against what one would write without it.

Scalar rows: `EventLog.append` against a list of dictionaries and a list of tuples that becomes a NumPy array of
the same columns in the end. Bulk rows: `append_many` and `append_failures` with arrays of members, against the
same arrays put into a structured array in one go. The log also hashes what it keeps and knows every event's
generation; the peers do not. All alternate in one run; medians are compared.

    python benchmarks/log_rows.py [--quick]
"""

import argparse
import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np

from contagion.log import EVENT_LAYOUT, EventLog

BULK = 10_000
LAYOUT = np.dtype(list(EVENT_LAYOUT.items()))


def started() -> EventLog:
    """Return a log with its first event."""
    log = EventLog()
    log.append_root(0, "clock", -1, -1)
    return log


def log_append(rows: int) -> None:
    log = started()
    append = log.append
    for i in range(rows):
        append(i, "trade", 3, i, channel=2, asset=1, market=5, quantity=i, price=10**9, value=i)
    log.digest()


def list_of_dicts(rows: int) -> None:
    kept: list[dict[str, Any]] = []
    for i in range(rows):
        kept.append(
            {"time_us": i, "cause": i, "kind": "trade", "node": 3, "member": -1, "generation": 0, "channel": 2,
             "asset": 1, "market": 5, "first": 0, "quantity": i, "price": 10**9, "value": i}
        )  # fmt: skip


def list_of_tuples(rows: int) -> None:
    kept: list[tuple[int, ...]] = []
    for i in range(rows):
        kept.append((i, i, 0, 3, -1, 0, 2, 1, 5, 0, i, 10**9, i))
    np.array(kept, LAYOUT)


def log_append_many(rows: int) -> None:
    log, members = started(), np.arange(BULK)
    for at in range(0, rows, BULK):
        log.append_many(BULK, at, "fill", 3, at, member=members, quantity=members, price=10**9, value=members)
    log.digest()


def log_append_failures(rows: int) -> None:
    log, members, share = started(), np.arange(BULK), np.linspace(1.0, 2.0, BULK)
    for at in range(0, rows, BULK):
        log.append_failures(at, "close-out", at, at, members, share, 0.5, quantity=members, value=members)
    log.digest()


def structured_arrays(rows: int) -> None:
    members, kept = np.arange(BULK), []
    for at in range(0, rows, BULK):
        part = np.zeros(BULK, LAYOUT)
        part["time_us"], part["cause"], part["node"], part["price"] = at, at, 3, 10**9
        part["member"] = part["quantity"] = part["value"] = members
        kept.append(part)
    np.concatenate(kept)


SCALAR: dict[str, Callable[[int], None]] = {
    "EventLog.append": log_append,
    "list of dicts": list_of_dicts,
    "list of tuples, then an array": list_of_tuples,
}
IN_BULK: dict[str, Callable[[int], None]] = {
    "EventLog.append_many": log_append_many,
    "EventLog.append_failures": log_append_failures,
    "structured arrays, joined": structured_arrays,
}


def compare(measures: dict[str, Callable[[int], None]], rows: int, repetitions: int) -> None:
    """Print rows a second of each measure and, against each peer, how many times as long the log takes."""
    spent: dict[str, list[int]] = {name: [] for name in measures}
    for _ in range(repetitions):
        for name, measure in measures.items():
            gc.collect()
            start = perf_counter_ns()
            measure(rows)
            spent[name].append(perf_counter_ns() - start)
    medians = {name: median(values) for name, values in spent.items()}
    for name, value in medians.items():
        print(f"{name:<32}{rows / value * 1e9:14,.0f} rows/s {value / rows:9.1f} ns a row")
    for ours in (name for name in measures if name.startswith("EventLog")):
        for peer in (name for name in measures if not name.startswith("EventLog")):
            print(f"  time of {ours} / {peer}: {medians[ours] / medians[peer]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds")
    quick = parser.parse_args().quick
    rows, repetitions = (50_000, 3) if quick else (500_000, 7)
    compare(SCALAR, rows, repetitions)
    compare(IN_BULK, rows * 4, repetitions)


if __name__ == "__main__":
    main()
