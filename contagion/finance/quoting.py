"""What a market maker quotes: a ladder around a price, as deep as its risk capacity allows.

Depth within the reach of the ladder shrinks when volatility rises and when inventory fills up on one side; what
was taken comes back with a time constant, not at once. The centre of the ladder is the reference less a premium
for inventory (Ho and Stoll 1981; Avellaneda and Stoikov 2008). Ladder shapes are measured cumulative depths. The
functions here are ours.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import exp, inf, log

from contagion.units import PPM

BUY, SELL = 1, -1

MEASURED_SHAPE = ((0.01, 0.25), (0.02, 0.58), (0.03, 0.84), (0.04, 0.93), (0.05, 1.0))
"""(distance, share of the depth within 5%): bids of BTCUSDT perpetuals, median of October 10, 2025, 0 to 14 h UTC."""


def offsets(half_spread: float, reach: float, levels: int) -> list[int]:
    """Return the distances of a ladder's levels from its centre in ppm, the half spread first.

    Source: derived: offset_k = half_spread + k (reach - half_spread) / (levels - 1).

    >>> offsets(0.0005, 0.05, 3)
    [500, 25250, 50000]
    """
    if levels == 1:
        return [round(half_spread * PPM)]
    step = (reach - half_spread) / (levels - 1)
    return [round((half_spread + step * level) * PPM) for level in range(levels)]


def shares(distances: Sequence[int], shape: Sequence[tuple[float, float]]) -> list[int]:
    """Return the share of the depth (ppm, summing to one) at each distance, from cumulative depth by distance.

    distances : ascending, in ppm; shape : (distance relative to the last, cumulative share), interpolated linearly.

    Source: derived: share_k = F(d_k / d_n) - F(d_(k-1) / d_n), F the cumulative shape.

    >>> shares([0, 25_000, 50_000], [(0.025, 0.75), (0.05, 1.0)])
    [0, 750000, 250000]
    """
    reach, scale = distances[-1] or 1, shape[-1][0]
    points = [(0.0, 0.0), *((distance / scale, share) for distance, share in shape)]
    cumulative = [_interpolated(points, distance / reach) for distance in distances]
    cumulative[-1] = 1.0
    upto = [round(value * PPM) for value in cumulative]
    return [upto[0], *(b - a for a, b in pairwise(upto))]


def ladder(
    centre: int, side: int, distances: Sequence[int], parts: Sequence[int], depth: int, tick: int, lot: int
) -> tuple[list[int], list[int]]:
    """Return (prices, quantities) of one side, best first: multiples of tick and lot, levels without a lot left out.

    centre, tick : 10^-9 of the numeraire; depth, lot : base units; distances, parts : ppm. Bids round down and
    offers up, so that neither side is ever inside the spread; levels that fall on one tick are merged.

    Source: derived: price_k = centre (1 - side * distance_k), quantity_k = depth * part_k.

    >>> ladder(1_000, BUY, [1_000, 20_000], [400_000, 600_000], 100, 10, 1)
    ([990, 980], [40, 60])
    >>> ladder(1_000, SELL, [1_000, 20_000], [400_000, 600_000], 100, 10, 1)
    ([1010, 1020], [40, 60])
    """
    prices: list[int] = []
    quantities: list[int] = []
    for distance, part in zip(distances, parts, strict=True):
        quantity = depth * part // PPM // lot * lot
        raw = centre * (PPM - side * distance)
        price = (raw // (PPM * tick) if side == BUY else -(-raw // (PPM * tick))) * tick
        if not quantity or price <= 0:
            continue
        if prices and prices[-1] == price:
            quantities[-1] += quantity
        else:
            prices.append(price)
            quantities.append(quantity)
    return prices, quantities


def target_depth(depth: int, inventory: float, side: int, stress: float, sensitivity: float) -> int:
    """Return the depth that risk capacity allows on one side.

    depth : at rest, base units; inventory : share of the capacity in use, positive when long (then bids shrink);
    stress : volatility over its calm level, sensitivity : the exponent with which depth falls in it.

    Source: derived: target = depth * min(1, stress**-sensitivity) * (1 - side * inventory), the last within [0, 1].

    >>> target_depth(1000, 0.25, BUY, 4.0, 0.5), target_depth(1000, 0.25, SELL, 1.0, 0.5)
    (375, 1000)
    """
    room = min(max(1.0 - side * inventory, 0.0), 1.0)
    return int(depth * min(1.0, stress**-sensitivity) * room)


def refilled(resting: int, target: int, elapsed_us: int, recovery_us: int) -> int:
    """Return the depth after a while: cut to the target at once, refilled towards it with a time constant.

    Source: derived: depth = resting + (target - resting) (1 - exp(-t / recovery)).

    >>> refilled(0, 1000, 7, 0), refilled(1500, 1000, 7, 10), refilled(0, 1000, 10_000, 10_000)
    (1000, 1000, 632)
    """
    if resting >= target or not recovery_us:
        return target
    return resting + int((target - resting) * (1.0 - exp(-elapsed_us / recovery_us)))


def time_to_refill(resting: int, target: int, step: int, recovery_us: int) -> float:
    """Return the microseconds until `step` more rests; infinite where the target is nearer than that.

    Source: derived: t = -recovery * ln(1 - step / (target - resting)).

    >>> round(time_to_refill(0, 1000, 632, 10_000)), time_to_refill(900, 1000, 200, 10_000)
    (9997, inf)
    """
    gap = target - resting
    return -recovery_us * log(1.0 - step / gap) if gap > step else inf


def approached(value: float, goal: float, elapsed_us: int, memory_us: int) -> float:
    """Return a value that has moved towards a goal for a while with a time constant; 0 means at once.

    Source: derived: value' = value + (goal - value) (1 - exp(-t / memory)).

    >>> round(approached(0.0, 1.0, 10, 10), 6), approached(0.0, 1.0, 1, 0)
    (0.632121, 1.0)
    """
    return goal if not memory_us else value + (goal - value) * (1.0 - exp(-elapsed_us / memory_us))


def _interpolated(points: Sequence[tuple[float, float]], x: float) -> float:
    for (x0, y0), (x1, y1) in pairwise(points):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return points[-1][1]
