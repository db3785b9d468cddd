"""Cascades as their papers tell them, for one network and in plain Python: what the fast ones are held against."""

from collections.abc import Collection, Sequence
from math import exp, fsum

Outcome = tuple[list[bool], int]
"""Who is in default at the end, and the last round that brought somebody down."""


def slow_thresholds(links: Sequence[tuple[int, int]], needed: Sequence[int], seeds: Collection[int]) -> Outcome:
    """Return a cascade in which a node defaults once `needed` links from defaulted ones hit it."""
    defaulted = [node in seeds for node in range(len(needed))]
    rounds = 0
    while True:
        hits = [0] * len(needed)
        for source, target in links:
            hits[target] += defaulted[source]
        new = [i for i, hit in enumerate(hits) if not defaulted[i] and hit >= max(needed[i], 1)]
        if not new:
            return defaulted, rounds
        rounds += 1
        for node in new:
            defaulted[node] = True


def slow_portfolios(
    held: Sequence[Sequence[int]], capital: Sequence[float], seeds: Collection[int], cash: float, alpha: float
) -> Outcome:
    """Return a cascade of banks that sell everything when they fail, `held` being the assets of each bank."""
    defaulted = [bank in seeds for bank in range(len(held))]
    assets = {asset for those in held for asset in those}
    parts = [(1 - cash) / len(those) if those else 0.0 for those in held]
    holders = {asset: [bank for bank, those in enumerate(held) if asset in those] for asset in assets}
    rounds = 0
    while True:
        sold = {asset: fsum(parts[b] for b in banks if defaulted[b]) for asset, banks in holders.items()}
        price = {a: exp(-alpha * sold[a] / fsum(parts[b] for b in holders[a])) for a in assets}
        loss = [fsum(part * (1 - price[a]) for a in those) for part, those in zip(parts, held, strict=True)]
        new = [bank for bank in range(len(held)) if not defaulted[bank] and loss[bank] > capital[bank]]
        if not new:
            return defaulted, rounds
        rounds += 1
        for bank in new:
            defaulted[bank] = True
