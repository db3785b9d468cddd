"""What the clearing of a network costs, against its own linear systems alone.

Eisenberg and Noe's payments of 100,000 banks with ten debts each, a third of which have lost nine tenths of their
cash. First the payments are checked: each equation holds to rounding, and no cash is lost. Then the linear systems of
all waves are kept, and clearing alternates with two ways to solve them again from the same first guesses: as clearing
does, and with SciPy's BiCGSTAB to the same accuracy. Factors of such systems would fill up.

    python benchmarks/clearing.py [--quick]
"""

import argparse
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, bicgstab

from contagion.finance.clearing import eisenberg_noe, fictitious, systems
from contagion.finance.clearing.network import Array

DEGREE = 10
LIMIT = 5
"""Clearing may take so many times its linear systems alone."""

System = tuple[Any, Array, Array]


def network(banks: int) -> tuple[Any, Array, Array]:
    """Return (liabilities, cash, external liabilities): solvent before the loss of cash, many insolvent after it."""
    rng = np.random.default_rng(1)
    debtors, creditors = rng.integers(0, banks, (2, banks * DEGREE))
    others = debtors != creditors
    amounts = rng.lognormal(0, 1, int(others.sum()))
    owed = csr_array((amounts, (debtors[others], creditors[others])), shape=(banks, banks))
    debts, claims = owed.sum(axis=1), owed.sum(axis=0)
    outside = 0.3 * debts
    cash = np.maximum(outside + debts - claims, 0) + 0.1 * rng.random(banks) * debts
    return owed, np.where(rng.random(banks) < 1 / 3, cash / 10, cash), outside


def checked(owed: Any, cash: Array, outside: Array) -> str:
    """Return what clearing found, after checking that it is a clearing vector."""
    cleared = eisenberg_noe(owed, cash, outside)
    due = owed.sum(axis=1) + outside
    received = np.divide(cleared.payments, due, out=np.zeros_like(due), where=due > 0) @ owed
    error = np.abs(np.minimum(due, cash + received) - cleared.payments).max() / due.max()
    lost = abs(1 - (cleared.equity + cleared.external_payments).sum() / cash.sum())
    assert error < 1e-13 and lost < 1e-12, f"no clearing vector: {error}, {lost}"
    sizes = [wave.size for wave in cleared.waves]
    assert len(sizes) >= 4 and sum(sizes) > 0.3 * cash.size, f"no cascade: {sizes}"
    return f"{sum(sizes):,} of {cash.size:,} banks in default in waves of {sizes}; equations hold to {error:.0e}"


@contextmanager
def kept_systems() -> Iterator[list[System]]:
    """Keep the linear systems that are solved meanwhile."""
    kept: list[System] = []
    solved = systems.solved

    def keep(flow: Any, own: Array, guess: Array) -> Array:
        kept.append((flow, own.copy(), guess.copy()))
        return solved(flow, own, guess)

    systems.solved = fictitious.solved = keep
    try:
        yield kept
    finally:
        systems.solved = fictitious.solved = solved


def with_scipy(flow: Any, own: Array, guess: Array) -> Array:
    """Return the solution of one system by SciPy's BiCGSTAB."""
    operator = LinearOperator(flow.shape, matvec=lambda x: x - flow @ x, dtype=np.float64)
    found, stopped = bicgstab(operator, own, guess, rtol=1e-14, atol=0.0)
    error: float = np.abs(own + flow @ found - found).max()
    assert not stopped or error < 1e-13, f"no solution: {error}"
    return np.asarray(found)


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    gc.collect()
    start = perf_counter()
    work()
    return perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds")
    banks, repetitions = (10_000, 3) if parser.parse_args().quick else (100_000, 7)
    owed, cash, outside = network(banks)
    print(checked(owed, cash, outside))
    with kept_systems() as kept:
        eisenberg_noe(owed, cash, outside)
    for system in kept:
        np.testing.assert_allclose(systems.solved(*system), with_scipy(*system), rtol=1e-9, atol=1e-12)
    work: dict[str, Callable[[], object]] = {
        "clearing": lambda: eisenberg_noe(owed, cash, outside),
        "  its systems alone": lambda: [systems.solved(*system) for system in kept],
        "  its systems alone, SciPy": lambda: [with_scipy(*system) for system in kept],
    }
    spent: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repetitions):
        for name, task in work.items():
            spent[name].append(seconds(task))
    for name, values in spent.items():
        print(f"{name:<30}{1000 * median(values):9.1f} ms for {len(kept)} systems")
    for name in list(work)[1:]:
        ratios = [a / b for a, b in zip(spent["clearing"], spent[name], strict=True)]
        print(f"clearing over{name.replace('  its', ''):<28} ratio of medians "
              f"{median(spent['clearing']) / median(spent[name]):.2f}, of pairs {min(ratios):.2f} to "
              f"{max(ratios):.2f} (at most {LIMIT})")  # fmt: skip


if __name__ == "__main__":
    main()
