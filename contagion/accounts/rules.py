"""What a margin account's positions count for, evaluated a few hundred or a few million accounts at a time.

A row of an account book is ten integers: four asset numbers packed into one (255 for an empty slot), cash, four
quantities and four costs. What a slot adds to the margin is its cost plus f(x), where x is its value and f the
least of a few straight lines through or above the origin (`contagion.finance.margin`): concave, f(0) = 0.

**Order of operations.** Margins are compared with zero, so they must not depend on who computes them. Every margin
is the same sequence of IEEE additions and multiplications of doubles: cash (times the loan factor if negative), plus
the four costs from the first slot to the last, plus the four f's in the same order. No sums whose order is up to a
library, no fused operations; so NumPy, compiled code and every CPU give the same bits.

Nearly every position lies between the first kinks of its f, where f is one slope by sign: the lesser of two
products. Only what lies beyond is evaluated with all lines; inside, the full minimum is the same number.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

SLOTS, EMPTY, IDS = 4, 255, 256
CASH, QUANTITY, COST, WIDTH = 1, 2, 6, 10
"""Columns of a row: packed asset numbers, cash, quantities from 2 and costs from 6 on."""

ROUNDING = 1e-14
"""Bound on the relative error of a margin's sum of at most twelve terms, with room to spare."""

INSIDE = 1 - 1e-6
"""Share of the way to the first kink up to which one slope is used; beyond, rounding might make a line the least."""


_SHIFTS = np.arange(0, 8 * SLOTS, 8)[:, None]


class Tables(NamedTuple):
    """Rules by asset number, 255 included, which counts for nothing.

    right, left : slope for small positive and negative values; bound : size of a value up to which they apply;
    far_right, far_left : steepest slopes beyond; slopes, intercepts : all lines, shape (256, lines).
    """

    right: Floats
    left: Floats
    bound: Floats
    far_right: Floats
    far_left: Floats
    slopes: Floats
    intercepts: Floats
    loan: float


class Rules:
    """Margin rules of the assets of one book.

    pieces : by asset, the (slope, intercept) of its lines, as `perpetual_pieces` and `collateral_pieces` return
    them; loan_maintenance : what borrowed cash is asked for beside itself. ValueError unless every f(0) is 0.

    >>> rules = Rules([[(0.75, 0.0), (1.25, 0.0)]])
    >>> rules.value(0, -100.0), rules.value(0, 100.0)
    (-125.0, 75.0)
    """

    def __init__(self, pieces: Sequence[Sequence[tuple[float, float]]], loan_maintenance: float = 0.0) -> None:
        if len(pieces) >= IDS:
            raise ValueError(f"{len(pieces)} assets: one book has at most {IDS - 1}")
        if not 0 <= loan_maintenance < np.inf:
            raise ValueError(f"a loan maintenance of {loan_maintenance} is negative or not finite")
        self.assets = len(pieces)
        table = np.zeros((2, IDS, max((len(lines) for lines in pieces), default=1)))
        for asset, lines in enumerate(pieces):
            given = np.array(lines, np.float64).reshape(-1, 2).T
            if not given.size or not np.isfinite(given).all() or given[1].min() != 0:
                raise ValueError(f"lines of asset {asset}: finite, and the least of them 0 at 0, not {list(lines)}")
            table[:, asset, : len(lines)] = given
            table[:, asset, len(lines) :] = given[:, :1]
        slopes, intercepts = table
        through = intercepts == 0
        right, left = np.where(through, slopes, np.inf).min(axis=1), np.where(through, slopes, -np.inf).max(axis=1)
        kinks = np.full_like(slopes, np.inf)
        outside = np.maximum(right[:, None] - slopes, slopes - left[:, None])
        np.divide(intercepts, outside, out=kinks, where=~through & (outside > 0))
        self.tables = Tables(
            right, left, kinks.min(axis=1) * INSIDE,
            np.maximum(np.abs(right), np.abs(slopes.min(axis=1))),
            np.maximum(np.abs(left), np.abs(slopes.max(axis=1))),
            slopes, intercepts, 1.0 + loan_maintenance,
        )  # fmt: skip

    def value(self, asset: int, notional: float) -> float:
        """Return what a value of `notional` in an asset counts for."""
        return float(values(np.array([notional]), np.array([asset]), self.tables)[0])

    def padded(self, prices: Floats) -> Floats:
        """Return prices by asset number, 255 included; ValueError unless they are finite and not negative."""
        if len(prices) != self.assets:
            raise ValueError(f"{len(prices)} prices for {self.assets} assets")
        if self.assets and not (np.minimum.reduce(prices) >= 0 and np.maximum.reduce(prices) < np.inf):
            raise ValueError(f"prices are finite and not negative, not {prices}")
        padded = np.zeros(IDS)
        padded[: self.assets] = prices
        return padded


def margins(block: Integers, prices: Floats, tables: Tables) -> Floats:
    """Return the margin of each row of a block, at padded prices."""
    ids, notional = slots(block, prices)
    return added(base(block, tables.loan), values(notional, ids, tables))


def equities(block: Integers, prices: Floats) -> Floats:
    """Return cash, costs and values of each row of a block, without haircuts or maintenance."""
    return added(base(block, 1.0), slots(block, prices)[1])


def survey(block: Integers, prices: Floats, tables: Tables) -> tuple[Floats, Floats]:
    """Return margin and survival radius of each row of a block.

    radius : a relative move of every price below it surely leaves the margin at 0 or more. A margin falls by no
    more than the move times the sum over slots of |steepest slope * value|; steepest on what a value can reach by
    doubling, so that a radius is at most 1. What rounding may do to both margins is taken off. Below 0 for a
    negative margin; infinite for others without a position.
    """
    ids, notional = slots(block, prices)
    contributions = values(notional, ids, tables)
    margin = added(base(block, tables.loan), contributions)
    steep = np.abs(contributions)
    beyond = np.nonzero(2 * np.abs(notional) > tables.bound.take(ids))
    if len(beyond[0]):
        reach, who = notional[beyond], ids[beyond]
        steep[beyond] = np.where(reach < 0, tables.far_left[who], tables.far_right[who]) * np.abs(reach)
    weight = added(steep[0], steep[1:])
    radius = (margin - ROUNDING * sizes(block)) / np.where(weight > 0, weight, 1.0) - 3 * ROUNDING
    idle = np.flatnonzero(weight == 0)
    if len(idle):
        held = (block[idle, QUANTITY : QUANTITY + SLOTS] != 0).any(axis=1)
        radius[idle] = np.where(margin[idle] < 0, -1.0, np.where(held, 1.0, np.inf))
    return margin, np.where(radius < np.inf, np.minimum(radius, 1.0), radius)


def slot_ids(block: Integers, slot: int) -> Integers:
    """Return the asset number in one slot of each row."""
    return (block[:, 0] >> 8 * slot) & EMPTY


def all_ids(block: Integers) -> Integers:
    """Return the asset numbers of each row by slot: shape (slots, rows)."""
    return (block[:, 0] >> _SHIFTS) & EMPTY


def base(block: Integers, loan: float) -> Floats:
    """Return cash, `loan` times as much if negative, and costs of each row: what no price changes."""
    cash: Floats = block[:, CASH].astype(np.float64)
    if loan != 1.0:
        cash *= np.where(cash < 0, loan, 1.0)
    return added(cash, block.T[COST : COST + SLOTS])


def sizes(block: Integers) -> Floats:
    """Return the sum of sizes of what no price changes in each row."""
    fixed = np.abs(block.T.astype(np.float64))
    return added(fixed[CASH], fixed[COST : COST + SLOTS])


def slots(block: Integers, prices: Floats) -> tuple[Integers, Floats]:
    """Return asset numbers and values of each row by slot: shape (slots, rows)."""
    ids = all_ids(block)
    return ids, block.T[QUANTITY : QUANTITY + SLOTS] * prices.take(ids)


def values(notional: Floats, ids: Integers, tables: Tables) -> Floats:
    """Return f of each value: the lesser of two slopes or, beyond the first kink, the least of all lines."""
    found: Floats = np.minimum(tables.right.take(ids) * notional, tables.left.take(ids) * notional)
    beyond = np.nonzero(np.abs(notional) > tables.bound.take(ids))
    if len(beyond[0]):
        who, reach = ids[beyond], notional[beyond][:, None]
        found[beyond] = (tables.slopes[who] * reach + tables.intercepts[who]).min(axis=1)
    return found


def added(total: Floats, parts: NDArray[Any]) -> Floats:
    """Add the rows of `parts` to `total`, in place and one after the other, and return it."""
    for part in parts:
        total += part
    return total
