"""How fast an edge list of a million rows becomes a checked matrix, against Python's own csv module.

Both read the same file of random debts between 100,000 banks, turn names into numbers in the order of the names,
refuse what is no amount, and build the same sparse matrix, which is compared. The peer is what one writes without
Arrow: a row, a dictionary look-up and a float at a time; it finds a second row of a pair with a set, ours by sorting.
Then the last row is damaged, and the time is that until the complaint with its line: ours goes on to look for every
other mistake. Both alternate in one run; medians of processor time (all threads) and of the wall clock are compared.

    python benchmarks/exposures.py [--quick]
"""

import argparse
import csv
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
from scipy import sparse

from contagion.errors import BadInput
from contagion.readers.edges import read_edges


def write(path: Path, banks: int, rows: int) -> None:
    """Write random debts, no pair twice and nobody to itself."""
    rng = np.random.default_rng(1)
    pairs = np.unique(rng.integers(0, banks * banks, rows + rows // 5))
    pairs = rng.permutation(pairs[pairs // banks != pairs % banks])[:rows]
    amounts = np.round(rng.lognormal(3, 1, len(pairs)), 2)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("debtor,creditor,amount\n")
        for pair, amount in zip(pairs.tolist(), amounts.tolist(), strict=True):
            stream.write(f"bank-{pair // banks},bank-{pair % banks},{amount}\n")


def by_row(path: str) -> tuple[tuple[str, ...], Any]:
    """Return names and matrix, a row at a time."""
    debtors, creditors, amounts, seen = [], [], [], set()
    with open(path, encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream)
        next(reader)
        for row in reader:
            debtor, creditor, text = row
            amount = float(text)
            if not (math.isfinite(amount) and amount >= 0) or debtor == creditor or (debtor, creditor) in seen:
                raise ValueError(f"line {reader.line_num}")
            seen.add((debtor, creditor))
            debtors.append(debtor)
            creditors.append(creditor)
            amounts.append(amount)
    names = tuple(sorted({*debtors, *creditors}))
    place = {name: number for number, name in enumerate(names)}
    ends = ([place[name] for name in debtors], [place[name] for name in creditors])
    return names, sparse.csr_array((amounts, ends), shape=(len(names), len(names)))


def timed(function: Callable[[str], Any], path: str) -> tuple[float, float, Any]:
    """Return seconds of processor and of the wall clock, and what came of it."""
    processor, wall = process_time(), perf_counter()
    try:
        result = function(path)
    except (BadInput, ValueError) as error:
        result = str(error)
    return process_time() - processor, perf_counter() - wall, result


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    quick = parser.parse_args().quick
    banks, rows, rounds = (10_000, 100_000, 3) if quick else (100_000, 1_000_000, 5)
    with tempfile.TemporaryDirectory() as folder:
        good, bad = Path(folder, "good.csv"), Path(folder, "bad.csv")
        write(good, banks, rows)
        text = good.read_text(encoding="utf-8")
        bad.write_text(text[: text.rstrip("\n").rindex(",")] + ",much\n", encoding="utf-8")
        print(f"{rows:,} rows, {banks:,} banks, {good.stat().st_size / 1e6:.1f} MB; medians of {rounds}")
        for label, path in (("good file", good), ("last row bad", bad)):
            ours, theirs = [], []
            for _ in range(rounds):
                ours.append(timed(read_edges, str(path)))
                theirs.append(timed(by_row, str(path)))
            if path == good:
                assert ours[0][2].names == theirs[0][2][0]
                assert (ours[0][2].owes != theirs[0][2][1]).nnz == 0
            else:
                assert f"bad.csv:{rows + 1}: amount: 'much' is not a number" in ours[0][2]
            for kind, place in (("processor", 0), ("wall", 1)):
                own, other = median(run[place] for run in ours), median(run[place] for run in theirs)
                print(
                    f"{label:<13} {kind:<10} ours {own:6.2f} s   csv module {other:6.2f} s   ratio {other / own:5.2f}"
                )


if __name__ == "__main__":
    main()
