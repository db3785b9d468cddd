"""Clearing vectors in exact rationals, by trying every assignment of banks to paying in full, in part or nothing.

The definition and nothing else: an assignment makes payments a linear system; it is a clearing vector when its
solution agrees with it. Where payments can circulate freely, the ends of the segment of solutions are found.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple

Row = Sequence[Fraction]
FULL, PART, NOTHING = "full", "part", "nothing"


class Problem(NamedTuple):
    """Debts between banks, cash, external debts, whether these are senior, and the recovery rates."""

    owed: Sequence[Row]
    cash: Row
    outside: Row
    senior: bool = False
    alpha: Fraction = Fraction(1)
    beta: Fraction = Fraction(1)

    def due(self, i: int) -> Fraction:
        return sum(self.owed[i], Fraction(0)) + (0 if self.senior else self.outside[i])

    def first(self, i: int) -> Fraction:
        return self.outside[i] if self.senior else Fraction(0)

    def received(self, payments: Row, i: int) -> Fraction:
        return sum((self.owed[j][i] * p / self.due(j) for j, p in enumerate(payments) if p), Fraction(0))

    def solvent(self, payments: Row, i: int) -> bool:
        return self.cash[i] + self.received(payments, i) >= self.due(i) + self.first(i)

    def funds(self, payments: Row, i: int) -> Fraction:
        return self.alpha * self.cash[i] + self.beta * self.received(payments, i) - self.first(i)


def clearing_vectors(problem: Problem) -> list[list[Fraction]]:
    """Return all clearing vectors that a regular system gives, among them the greatest and the least."""
    banks = range(len(problem.cash))
    return [
        payments
        for states in product((FULL, PART, NOTHING), repeat=len(banks))
        for payments in _payments(problem, states)
        if all(problem.solvent(payments, i) == (states[i] == FULL) for i in banks)
    ]


def default_waves(problem: Problem) -> list[list[int]]:
    """Return the waves of the fictitious default algorithm: given who failed, the others pay in full."""
    banks = range(len(problem.cash))
    failed: set[int] = set()
    waves: list[list[int]] = []
    while True:
        choices = [(PART, NOTHING) if i in failed else (FULL,) for i in banks]
        payments = max(payments for states in product(*choices) for payments in _payments(problem, states))
        wave = [i for i in banks if i not in failed and not problem.solvent(payments, i)]
        if not wave:
            return waves
        waves.append(wave)
        failed.update(wave)


def _payments(problem: Problem, states: Sequence[str]) -> Iterator[list[Fraction]]:
    """Yield the payments of an assignment, if there are any and those that pay in part or nothing have as much."""
    part = [i for i, state in enumerate(states) if state == PART]
    payments = [problem.due(i) if state == FULL else Fraction(0) for i, state in enumerate(states)]
    matrix = [
        [Fraction(i == j) - (problem.beta * problem.owed[j][i] / problem.due(j) if problem.due(j) else 0) for j in part]
        for i in part
    ]
    found = _solution(matrix, [problem.funds(payments, i) for i in part])
    if found is None or any(x < 0 or not problem.due(i) for i, x in zip(part, found, strict=True)):
        return
    for i, x in zip(part, found, strict=True):
        payments[i] = x
    if all(state != NOTHING or problem.funds(payments, i) <= 0 for i, state in enumerate(states)):
        yield payments


def _solution(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction] | None:
    """Return the solution of a linear system by Gauss-Jordan elimination, or nothing when it is singular."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for k in range(len(rows)):
        pivot = next((i for i in range(k, len(rows)) if rows[i][k]), None)
        if pivot is None:
            return None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in range(len(rows)):
            if i != k and rows[i][k]:
                rows[i] = [x - rows[i][k] * y for x, y in zip(rows[i], rows[k], strict=True)]
    return [row[-1] for row in rows]
