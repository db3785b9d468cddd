"""Heavy-tailed sizes: draws from a stated quantile function, scaled to a total in whole lots; rows of accounts."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from contagion.accounts.rules import CASH, COST, EMPTY, QUANTITY, SLOTS, WIDTH
from contagion.ledger import total as exact
from contagion.params import Positive, Share

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def _rising(quantiles: list[tuple[Decimal, Decimal]]) -> list[tuple[Decimal, Decimal]]:
    at, sizes = zip(*quantiles, strict=True)
    if list(at) != sorted(set(at)) or list(sizes) != sorted(sizes):
        raise ValueError("quantiles rise: probabilities one after the other, and no size below the one before")
    return quantiles


Quantiles = Annotated[list[tuple[Share, Positive]], Field(min_length=1), AfterValidator(_rising)]
"""(probability, size), rising."""


def draw_sizes(rng: np.random.Generator, count: int, quantiles: Sequence[tuple[Any, Any]]) -> Floats:
    """Return sizes whose quantiles are the stated (probability, size), interpolated in logarithms, to 4 digits.

    >>> draw_sizes(np.random.default_rng(1), 3, [(0, 1), (1, 1)]).tolist()
    [1.0, 1.0, 1.0]
    """
    at, levels = (np.array([float(pair[i]) for pair in quantiles]) for i in (0, 1))
    raw = np.exp(np.interp(rng.random(count), at, np.log(levels)))
    digits = 10.0 ** (np.floor(np.log10(raw)) - 3.0)
    return np.asarray(np.rint(raw / digits) * digits)


def scaled(weights: Floats, total: int, largest: float) -> Integers:
    """Return whole numbers in proportion to weights that sum to a total, none above a share of it.

    What rounding leaves goes to the largest; where the share cannot be kept, all are equal.

    >>> scaled(np.array([1.0, 1.0, 98.0]), 100, 0.5).tolist()
    [25, 25, 50]
    """
    if not len(weights) or total <= 0:
        return np.zeros(len(weights), np.int64)
    limit = max(largest, 1.0 / len(weights)) * total
    parts = weights * (total / _total(weights))
    for _ in range(20):
        over = parts > limit
        if not over.any() or over.all():
            break
        rest = total - limit * int(over.sum())
        parts = np.where(over, limit, parts * (rest / _total(parts[~over])))
    whole = np.floor(np.minimum(parts, limit)).astype(np.int64)
    whole[int(np.argmax(whole))] += total - int(whole.sum())
    return whole


def _total(values: Floats) -> float:
    """Return a sum that does not depend on how many lanes a CPU adds at a time, nor on what 64 bits hold."""
    return float(exact(np.rint(values * 1e6).astype(np.int64))) / 1e6 if values.max() < 1e12 else float(sum(values))


def rows_of(slots: Integers, quantities: Integers, costs: Integers, cash: Integers) -> Integers:
    """Return the rows of an account book: asset numbers (-1 for none), quantities and costs by slot, and cash.

    >>> rows_of(*(np.array([[0]]) for _ in range(3)), np.array([7]))[0, 1]
    np.int64(7)
    """
    count, used = slots.shape
    rows = np.zeros((count, WIDTH), np.int64)
    for slot in range(SLOTS):
        number = slots[:, slot] if slot < used else np.full(count, -1)
        rows[:, 0] |= np.where(number < 0, EMPTY, number).astype(np.int64) << 8 * slot
    rows[:, CASH] = cash
    rows[:, QUANTITY : QUANTITY + used], rows[:, COST : COST + used] = quantities, costs
    return rows
