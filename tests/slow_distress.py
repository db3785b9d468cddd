"""The models of distress and default, bank by bank as their papers tell them, to check the vectorised ones against."""

import random
from collections.abc import Sequence

Amounts = Sequence[Sequence[float]]


def differential(exposures: Amounts, equity: Sequence[float], shock: Sequence[float], tolerance: float) -> list[float]:
    """Return the capped distress of Bardoscia et al. (2015): debtors not in default pass on what they lost last."""
    banks = range(len(equity))
    before, now = [0.0] * len(equity), [min(1.0, share) for share in shock]
    while max(b - a for a, b in zip(before, now, strict=True)) > tolerance:
        active = [j for j in banks if before[j] < 1]
        after = [
            min(1.0, now[i] + sum(exposures[i][j] / equity[i] * (now[j] - before[j]) for j in active)) for i in banks
        ]
        before, now = now, after
    return now


def single_hit(
    exposures: Amounts, equity: Sequence[float], shock: Sequence[float], capped_impact: bool
) -> tuple[list[float], int]:
    """Return the capped distress of Battiston et al. (2012), by the states undistressed, distressed and inactive."""
    banks = range(len(equity))
    distress = [min(1.0, share) for share in shock]
    state = ["distressed" if share > 0 else "undistressed" for share in shock]
    rounds = 0
    while "distressed" in state:
        senders = [j for j in banks if state[j] == "distressed"]
        after = list(distress)
        for i in banks:
            for j in senders:
                impact = exposures[i][j] / equity[i]
                after[i] += (min(1.0, impact) if capped_impact else impact) * distress[j]
            after[i] = min(1.0, after[i])
        for j in senders:
            state[j] = "inactive"
        distress, rounds = after, rounds + 1
        state = ["distressed" if s == "undistressed" and h > 0 else s for s, h in zip(state, distress, strict=True)]
    return distress, rounds


def closure(
    exposures: Sequence[Sequence[int]], equity: Sequence[int], seeds: Sequence[int], at_zero: bool, rng: random.Random
) -> tuple[set[int], list[int]]:
    """Return who fails, and the losses, when defaults are posted one by one in random order; nothing is recovered."""
    failed, waiting, losses = set(seeds), list(set(seeds)), [0] * len(equity)
    while waiting:
        debtor = waiting.pop(rng.randrange(len(waiting)))
        for bank, row in enumerate(exposures):
            losses[bank] += row[debtor]
            insolvent = losses[bank] >= equity[bank] if at_zero else losses[bank] > equity[bank]
            if row[debtor] and insolvent and bank not in failed:
                failed.add(bank)
                waiting.append(bank)
    return failed, losses


def levels(
    edges: Sequence[tuple[int, int]], thresholds: Sequence[int], seeds: Sequence[int]
) -> tuple[dict[int, int], list[int]]:
    """Return the round of every failure and the failed neighbours of all, asking every node in every round."""
    wave = dict.fromkeys(seeds, 0)
    while True:
        counts = [sum(v == node and u in wave for u, v in edges) for node in range(len(thresholds))]
        fresh = [node for node, least in enumerate(thresholds) if node not in wave and counts[node] >= least]
        if not fresh:
            return wave, counts
        wave |= dict.fromkeys(fresh, max(wave.values()) + 1)
