"""The classical models solved in the simplest way, to hold the engine against: a few lines each, no engine."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = Sequence[Sequence[float]]
Floats = NDArray[np.float64]


class Cleared(NamedTuple):
    """Payments to all creditors, rounds of new defaulters, and how much a unit of rounding may grow to."""

    paid: Floats
    waves: list[list[int]]
    deadweight: float
    amplification: float


def threshold_cascade(
    exposures: Sequence[Sequence[int]], capital: Sequence[int], percent: int, seeds: Sequence[int], strict: bool
) -> tuple[list[list[int]], list[int]]:
    """Return (waves after the seeds, losses in hundredths): a bank fails above its capital, or at it if not strict."""
    count = range(len(capital))
    failed, waves = set(seeds), list[list[int]]()
    while True:
        losses = [sum(exposures[i][j] for j in failed) * percent for i in count]
        over = [loss > 100 * own if strict else loss >= 100 * own for loss, own in zip(losses, capital, strict=True)]
        new = [i for i in count if over[i] and i not in failed]
        if not new:
            return waves, losses
        waves.append(new)
        failed |= set(new)


def fictitious_default(
    owes: Matrix, external: Sequence[float], outside: Sequence[float], alpha: float = 1.0, beta: float = 1.0,
    senior: bool = False, slack: float = 1e-6,
) -> Cleared:  # fmt: skip
    """Return the greatest clearing vector: round by round, a linear system with those in default so far.

    A bank is in default when it is short by more than `slack`. In each round nobody in default pays other banks until
    it has more than its senior debt by what the others pay, which brings in one after the other.
    """
    debts, own, first = np.array(owes, float), np.array(external, float), np.array(outside, float)
    shared = debts.sum(axis=1) + (0.0 if senior else first)
    rank = first if senior else np.zeros_like(first)
    shares = np.divide(debts, shared[:, None], out=np.zeros_like(debts), where=shared[:, None] > 0)
    failed, flows, waves = np.zeros(len(own), bool), np.zeros(len(own), bool), list[list[int]]()
    while True:
        matrix = np.eye(len(own)) - np.where(flows[:, None], beta * shares.T, 0.0)
        junior = np.linalg.solve(matrix, np.where(flows, alpha * own - rank, np.where(failed, 0.0, shared)))
        inflow = shares.T @ junior
        if np.any(more := failed & ~flows & (alpha * own + beta * inflow > rank)):
            flows |= more
            continue
        short = ~failed & (own + inflow < shared + rank - slack)
        if not short.any():
            value = alpha * own + beta * inflow
            paid = np.where(failed, np.minimum(value, shared + rank), shared + rank)
            lost = (1 - alpha) * own + (1 - beta) * inflow
            return Cleared(paid, waves, float(lost[failed].sum()), float(np.abs(np.linalg.inv(matrix)).sum()))
        waves.append(np.flatnonzero(short).tolist())
        failed |= short
        flows[:] = False


def deleveraging_price(
    money: float, units: float, owed: float, inflow: float, leverage: float, impact: float, price: float = 1.0
) -> float:
    """Return the price at which a bank that sells along an exponential walk from `price` is at its leverage again.

    It has repaid debt with all its money and with what the walk brought; found by bisection over the units sold.
    """

    def excess(sold: float) -> float:
        after = price * float(np.exp(-impact * sold))
        proceeds = (price - after) / impact
        equity = money + proceeds + after * (units - sold) + inflow - owed
        return after * (units - sold) + inflow - leverage * equity

    low, high = 0.0, units
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return price * float(np.exp(-impact * low))


def leverage_targeting(
    units: Floats, debts: Floats, multiple: Floats, impact: Floats, price_shock: Floats, rounds: int
) -> list[Floats]:
    """Return the prices after each round in which banks sell back to assets over equity of `multiple`, book by book.

    First prices are 1; values are sold in the proportions of the start, and paid the price that all of them leave.
    """
    weights, prices, after = units / units.sum(axis=1, keepdims=True), 1 - price_shock, []
    for _ in range(rounds):
        worth = units * prices
        equity = worth.sum(axis=1) - debts
        excess = np.maximum(worth.sum(axis=1) - multiple * equity, 0)
        sold = np.minimum(excess[:, None] * weights, worth) / prices
        prices = prices * (1 - impact * (sold * prices).sum(axis=0))
        units, debts = units - sold, debts - sold @ prices
        after.append(prices)
    return after
