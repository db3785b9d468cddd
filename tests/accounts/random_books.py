"""Books and price paths of all kinds, for differential tests."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.accounts import AccountBook, Rules
from contagion.accounts.rules import CASH, COST, EMPTY, QUANTITY, SLOTS
from contagion.finance.margin import collateral_pieces, perpetual_pieces

CONTRACT = perpetual_pieces([(0, 0.004), (50_000, 0.02), (300_000, 0.1)])
COIN = collateral_pieces([(0, 0.9), (20_000, 0.7), (100_000, 0.0)], loan_maintenance=0.05)


def random_rules(rng: np.random.Generator, assets: int) -> Rules:
    """Return rules in which contracts and coins have tiers or none."""
    kinds = [CONTRACT, COIN, CONTRACT[:1] + CONTRACT[3:4], collateral_pieces([(0, 0.8)])]
    return Rules([kinds[kind] for kind in rng.integers(0, len(kinds), assets)], float(rng.choice([0, 0.02])))


def random_book(rng: np.random.Generator, count: int, rules: Rules, prices: NDArray[np.float64]) -> AccountBook:
    """Return accounts with none to four positions, from far below their margin to far above."""
    rows = np.zeros((count, 10), np.int64)
    for row in rows:
        held = rng.permutation(rules.assets)[: int(rng.integers(0, SLOTS + 1))]
        for slot in range(SLOTS):
            row[0] |= int(held[slot] if slot < len(held) else EMPTY) << 8 * slot
        for slot, asset in enumerate(held):
            row[QUANTITY + slot] = int(rng.normal() * np.exp(rng.normal(6, 2)))
            row[COST + slot] = -int(row[QUANTITY + slot] * prices[asset] * np.exp(rng.normal() * 0.1))
        worth = sum(abs(int(row[QUANTITY + slot])) * prices[asset] for slot, asset in enumerate(held))
        row[CASH] = int(worth * rng.normal(0.2, 0.3)) + int(rng.integers(-2, 3))
    return AccountBook(rows, rules)


def random_move(rng: np.random.Generator, assets: int) -> NDArray[np.float64]:
    """Return factors of prices: mostly small, at times of one asset only, rarely a crash or a squeeze."""
    luck, move = rng.random(), np.ones(assets)
    if luck < 0.03:
        move[int(rng.integers(0, assets))] = rng.choice([0.1, 6.0, 0.5, 1.0 + 1e-12])
    elif luck < 0.2:
        move = np.exp(rng.normal(0, 0.05, assets))
    elif luck < 0.9:
        move = np.exp(rng.normal(0, rng.choice([1e-6, 1e-4, 1e-3]), assets))
    return move


def disturb(rng: np.random.Generator, book: AccountBook, in_breach: NDArray[Any]) -> None:
    """Trade, deposit, withdraw; liquidate in part or in full whoever is in breach, or some of them."""
    for _ in range(int(rng.integers(0, 3))):
        members = rng.integers(0, len(book), int(rng.integers(1, 5)))
        column = book.column(int(rng.integers(0, book.rules.assets)), rng.choice(["quantity", "cost", "cash"]))
        if rng.random() < 0.5:
            column.add(members, (rng.normal(size=len(members)) * np.exp(rng.normal(6, 2))).astype(np.int64))
        else:
            column.add(int(members[0]), int(rng.normal() * 1000))
    chosen = in_breach[rng.random(len(in_breach)) < rng.choice([0.0, 0.5, 1.0])]
    if len(chosen):
        rows = book.read(chosen)
        if rng.random() < 0.5:
            rows[:, QUANTITY:] = 0
            rows[:, CASH] = np.maximum(rows[:, CASH], 0)
        else:
            rows[:, QUANTITY:] //= 2
            rows[:, CASH] += 100
        book.write(chosen, rows)
