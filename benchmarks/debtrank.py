"""How long DebtRank takes on a large network, against the products of a matrix and a vector that it needs.

A random network of banks with some 20 debtors each, lognormal claims and an equity of about twice those claims, so
that distress takes two dozen rounds to come to rest. First the answer is checked: on a small network of the same make
against the inverse matrix, and on this one by h = min(1, h0 + W h). Then DebtRank and the bare products alternate in
one run: as many products as it has rounds, of the same matrix in memory, and nothing else. Ratios are taken in pairs,
of processor time. Then the same with a single hit, for the defaults of 16 banks at once, and in a frail network, whose
banks have lent half as much again as their equity and default.

    python benchmarks/debtrank.py [--quick]
"""

import argparse
import gc
from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from contagion.finance.debtrank import Distress, differential, linear_inverse, single_hit, spectral_radius

Floats = NDArray[np.float64]

DEBTORS, SHOCKED, SHOCK, TOGETHER = 20, 0.01, 0.01, 16


def network(count: int, leverage: float) -> tuple[csr_array, Floats, Floats]:
    """Return exposures, equity and a shock of 1% to one bank in a hundred; claims are about `leverage` equities."""
    rng = np.random.default_rng(1)
    creditor, debtor = rng.integers(0, count, (2, count * DEBTORS))
    other = creditor != debtor
    claims = rng.lognormal(0, 1, other.sum())
    exposures = csr_array((claims, (creditor[other], debtor[other])), shape=(count, count))
    exposures.sum_duplicates()
    equity = exposures.sum(axis=1) / leverage * rng.uniform(0.8, 1.25, count) + 1
    return exposures, equity, np.where(rng.random(count) < SHOCKED, SHOCK, 0)


def check(exposures: csr_array, equity: Floats, shock: Floats) -> Distress:
    """Return the distress; stop unless it is the fixed point."""
    found = differential(exposures, equity, shock)
    again = np.minimum(shock + exposures @ found.distress / equity, 1)
    assert np.abs(again - found.distress).max() < 1e-11
    return found


def timed(*works: Callable[[], Any], repetitions: int) -> list[list[float]]:
    """Return the seconds of processor time of each, taken in turn."""
    spent: list[list[float]] = [[] for _ in works]
    for _ in range(repetitions):
        for work, times in zip(works, spent, strict=True):
            gc.collect()
            start = process_time()
            work()
            times.append(process_time() - start)
    return spent


def compare(name: str, exposures: csr_array, model: Callable[[], Distress], start: Floats, repetitions: int) -> None:
    """Print what a model takes and what its products take by themselves."""
    rounds = int(model().rounds.max())

    def products() -> None:
        for _ in range(rounds):
            exposures @ start

    ours, bare = timed(model, products, repetitions=repetitions)
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    print(
        f"{name:<36}{1e3 * median(ours):9.1f} ms, {rounds:2} rounds; the products alone {1e3 * median(bare):9.1f} ms; "
        f"ratio {median(ratios):.2f}, of pairs {min(ratios):.2f} to {max(ratios):.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, 10,000 banks")
    count, repetitions = (10_000, 5) if parser.parse_args().quick else (100_000, 15)
    exposures, equity, shock = network(count, 0.5)
    found, small = check(exposures, equity, shock), network(400, 0.5)
    assert np.abs(linear_inverse(*small) - check(*small).distress).max() < 1e-11
    start = process_time()
    radius = spectral_radius(exposures, equity)
    print(
        f"{count:,} banks, {exposures.nnz:,} claims; spectral radius {radius:.3f} in {process_time() - start:.2f} s; "
        f"losses {found.distress @ equity / (shock @ equity):.2f} times the shock's"
    )
    compare("differential", exposures, lambda: differential(exposures, equity, shock), shock, repetitions)
    compare("single hit", exposures, lambda: single_hit(exposures, equity, shock), shock, repetitions)
    one_each = np.eye(count, TOGETHER)
    name = f"differential, {TOGETHER} shocks at once"
    compare(name, exposures, lambda: differential(exposures, equity, one_each), one_each, repetitions // 3)
    frail, thin, _ = network(count, 1.5)
    name = f"differential, {np.mean(check(frail, thin, shock).distress == 1):.0%} default"
    compare(name, frail, lambda: differential(frail, thin, shock), shock, repetitions)


if __name__ == "__main__":
    main()
