"""The fictitious default algorithm: who fails in which wave, and the greatest recoveries (Eisenberg and Noe 2001)."""

from typing import Any

import numpy as np

from contagion.finance.clearing.network import TIE, Array, Banks, Mask, Network
from contagion.finance.clearing.systems import FAINT, floored, solved


def fictitious_default(network: Network, margin: Array, weight: float) -> tuple[Array, Mask, tuple[Banks, ...]]:
    """Return the greatest recoveries, who fails, and in which waves.

    margin : by how much a bank has more than it owes when all others pay in full; of what others pay less, the
    share `weight` is missing there.

    Source: Eisenberg and Noe (2001), lemma 3; Rogers and Veraart (2013), definition 3.6 and theorem 3.7. In each wave
    the failed solve r_i due_i = max(0, alpha e_i + beta sum of L_ji r_j - senior_i), all others having r = 1.
    """
    claims, due = network.claims, network.due
    recovery, lost, failed = np.ones_like(due), np.zeros_like(due), np.zeros(due.shape, dtype=bool)
    most, alone = network.funds(network.income), network.funds(np.zeros_like(due))
    waves: list[Banks] = []
    fresh = np.flatnonzero(margin < -network.rounding)
    while fresh.size:
        waves.append(fresh)
        failed[fresh] = True
        moved = _downstream(claims, fresh, failed)
        moved = moved[due[moved] > 0]  # who owes only senior debt moves nobody
        flow, before = network.flow(moved), recovery[moved]
        own = np.maximum((most - network.beta * lost)[moved] / due[moved] - flow @ before, alone[moved] / due[moved])
        recovery[moved] = floored(flow, own, before)
        lost += (before - recovery[moved]) @ claims[moved]
        fresh = np.flatnonzero(~failed & (weight * lost > margin + network.rounding))
    return _refined(network, recovery, failed), failed, tuple(waves)


def _downstream(claims: Any, fresh: Banks, failed: Mask) -> Banks:
    """Return the failed whose payments a wave moves: its own, and those whom their payments reach through the failed.

    All of the failed where that is a quarter of them, or many steps away.
    """
    reached, count, frontier = np.zeros_like(failed), 0, fresh
    limit = np.count_nonzero(failed) // 4
    for _ in range(20):
        reached[frontier] = True
        count += frontier.size
        if not frontier.size or count > limit:
            break
        creditors = claims[frontier].indices
        frontier = np.unique(creditors[failed[creditors] & ~reached[creditors]])
    return np.flatnonzero(failed if frontier.size else reached)


def _refined(network: Network, recovery: Array, failed: Mask) -> Array:
    """Return recoveries with the last system solved anew where sums over the waves have cost digits."""
    paying = np.flatnonzero(failed & (recovery > 0) & (network.due > 0))
    found = network.funds(network.received(recovery))[paying] / network.due[paying]
    if np.all(np.abs(found - recovery[paying]) <= TIE / 100 * (recovery[paying] + FAINT)):
        return recovery
    given = np.where(failed, 0, recovery)
    own = network.funds(network.received(given))[paying] / network.due[paying]
    recovery = recovery.copy()
    recovery[paying] = np.clip(solved(network.flow(paying), own, recovery[paying]), 0, 1)
    return recovery
