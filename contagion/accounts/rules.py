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
from typing import NamedTuple

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
        return float(_values(np.array([notional]), np.array([asset]), self.tables)[0])

    def padded(self, prices: Floats) -> Floats:
        """Return prices by asset number, 255 included; ValueError unless they are finite and not negative."""
        if len(prices) != self.assets:
            raise ValueError(f"{len(prices)} prices for {self.assets} assets")
        padded = np.zeros(IDS)
        padded[: self.assets] = prices
        if not (padded.min() >= 0 and padded.max() < np.inf):
            raise ValueError(f"prices are finite and not negative, not {prices}")
        return padded


def margins(block: Integers, prices: Floats, tables: Tables) -> Floats:
    """Return the margin of each row of a block, at padded prices."""
    margin = base(block, tables.loan)
    for ids, notional in _slots(block, prices):
        margin += _values(notional, ids, tables)
    return margin


def equities(block: Integers, prices: Floats) -> Floats:
    """Return cash, costs and values of each row of a block, without haircuts or maintenance."""
    equity = base(block, 1.0)
    for _, notional in _slots(block, prices):
        equity += notional
    return equity


def survey(block: Integers, prices: Floats, tables: Tables) -> tuple[Floats, Floats]:
    """Return margin and survival radius of each row of a block.

    radius : a relative move of every price below it surely leaves the margin at 0 or more. A margin falls by no
    more than the move times the sum over slots of |steepest slope * value|; steepest on what a value can reach by
    doubling, so that a radius is at most 1. What rounding may do to both margins is taken off. Below 0 for a
    negative margin; infinite for others without a position.
    """
    margin, weight, held = base(block, tables.loan), np.zeros(len(block)), np.zeros(len(block), np.bool_)
    size = np.abs(block[:, CASH].astype(np.float64))
    for slot in range(SLOTS):
        size += np.abs(block[:, COST + slot].astype(np.float64))
        held |= block[:, QUANTITY + slot] != 0
    for ids, notional in _slots(block, prices):
        value = _values(notional, ids, tables)
        margin += value
        steep = np.abs(value)
        beyond = np.flatnonzero(2 * np.abs(notional) > tables.bound.take(ids))
        if len(beyond):
            reach, who = notional[beyond], ids[beyond]
            steep[beyond] = np.abs(reach) * np.where(reach < 0, tables.far_left[who], tables.far_right[who])
        weight += steep
    radius = np.where(margin < 0, -1.0, np.where(held, 1.0, np.inf))
    np.divide(margin - ROUNDING * size, weight, out=radius, where=weight > 0)
    radius -= 3 * ROUNDING
    np.minimum(radius, 1.0, out=radius, where=held)
    return margin, radius


def slot_ids(block: Integers, slot: int) -> Integers:
    """Return the asset number in one slot of each row."""
    return (block[:, 0] >> 8 * slot) & EMPTY


def base(block: Integers, loan: float) -> Floats:
    """Return cash, `loan` times as much if negative, and costs of each row: what no price changes."""
    base: Floats = block[:, CASH].astype(np.float64)
    if loan != 1.0:
        base *= np.where(base < 0, loan, 1.0)
    for slot in range(SLOTS):
        base += block[:, COST + slot]
    return base


def _slots(block: Integers, prices: Floats) -> Sequence[tuple[Integers, Floats]]:
    numbers = [slot_ids(block, slot) for slot in range(SLOTS)]
    return [(ids, block[:, QUANTITY + slot] * prices.take(ids)) for slot, ids in enumerate(numbers)]


def _values(notional: Floats, ids: Integers, tables: Tables) -> Floats:
    """Return f of each value: the lesser of two slopes or, beyond the first kink, the least of all lines."""
    values = np.minimum(tables.right.take(ids) * notional, tables.left.take(ids) * notional)
    beyond = np.flatnonzero(np.abs(notional) > tables.bound.take(ids))
    if len(beyond):
        who, reach = ids[beyond], notional[beyond, None]
        values[beyond] = (tables.slopes[who] * reach + tables.intercepts[who]).min(axis=1)
    return values
