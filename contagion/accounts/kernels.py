"""The arithmetic of an index compiled with numba: the same operations in the same order, so the same bits.

No fast mathematics: LLVM may then neither reorder sums nor fuse a product into one. Imported only when used. Compiled
code is kept between runs and made again when this file changes; who changes a constant that comes from `rules` or
`shells` has to touch this file too.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from contagion.accounts.memory import prefetch
from contagion.accounts.rules import CASH, COST, EMPTY, IDS, QUANTITY, ROUNDING, SLOTS, WIDTH, Floats, Integers
from contagion.accounts.shells import ABSENT, FIXED, LOOSE, SIZE, SLOPE, Depths
from contagion.accounts.singles import Members

HASH = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio (Knuth 1973, section 6.4)."""
AHEAD = 16
"""How many rows before it is needed a row begins its way through the memory."""
CACHED = 1 << 11
"""Members whose margins stay in the nearest cache until they are sorted."""
STEP_BITS = 0x6A09E667F3BCD
"""Mantissa of the root of two, by which the radii of shells grow."""
RIGHT, LEFT, BOUND, FAR_RIGHT, FAR_LEFT = range(5)
"""Columns of what is known of each asset, from `rules.Tables`."""
ROOM, PRICES = -1, -2
"""What a look answers that needs more room in the core, or has been given no prices."""

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def _compiled(**options: Any) -> Callable[[Kernel], Kernel]:
    """Return a decorator that compiles, and keeps the result on disk wherever there is a place to keep it."""

    def compile_kernel(kernel: Kernel) -> Kernel:
        try:
            return cast(Kernel, numba.njit(cache=True, error_model="numpy", **options)(kernel))
        except RuntimeError:
            return cast(Kernel, numba.njit(error_model="numpy", **options)(kernel))

    return compile_kernel


@_compiled()
def _bent_value(notional: float, asset: Any, lines: Floats) -> float:
    """Return f of a value by all lines."""
    least: float = np.inf
    for line in range(lines.shape[2]):
        least = min(least, lines[0, asset, line] * notional + lines[1, asset, line])
    return least


@_compiled()
def _bent_margin(rows: Integers, member: Any, fixed: float, prices: Floats, lines: Floats) -> float:
    """Return the margin of one row by all lines."""
    margin = fixed
    for slot in range(SLOTS):
        asset = np.uint64((rows[member, 0] >> 8 * slot) & EMPTY)
        margin += _bent_value(float(rows[member, QUANTITY + slot]) * prices[asset], asset, lines)
    return margin


@_compiled()
def _bent_weight(rows: Integers, member: Any, prices: Floats, assets: Floats) -> float:
    """Return the sum of |steepest slope * value| of one row whose values come near a kink or lie beyond it."""
    weight = 0.0
    for slot in range(SLOTS):
        rule = assets[(rows[member, 0] >> 8 * slot) & EMPTY]
        notional = float(rows[member, QUANTITY + slot]) * prices[(rows[member, 0] >> 8 * slot) & EMPTY]
        if 2 * abs(notional) > rule[BOUND]:
            weight += (rule[FAR_LEFT] if notional < 0 else rule[FAR_RIGHT]) * abs(notional)
        else:
            weight += abs(min(rule[RIGHT] * notional, rule[LEFT] * notional))
    return weight


@_compiled()
def survey(
    rows: Integers, members: Members, prices: Floats, assets: Floats, lines: Floats, loan: float, margins: Floats,
    radii: Floats,
) -> None:  # fmt: skip
    """Fill in margin and survival radius of members (`rules.survey`)."""
    for i in range(len(members)):
        if i + AHEAD < len(members):
            prefetch(rows, members[i + AHEAD], 0)
            prefetch(rows, members[i + AHEAD], WIDTH - 1)
        member = np.uint64(members[i])
        cash, packed, bent, held = float(rows[member, CASH]), rows[member, 0], False, False
        fixed, size, weight = cash * (loan if cash < 0 else 1.0), abs(cash), 0.0
        for slot in range(SLOTS):
            cost = float(rows[member, COST + slot])
            fixed += cost
            size += abs(cost)
        margin = fixed
        for slot in range(SLOTS):
            asset = np.uint64((packed >> 8 * slot) & EMPTY)
            quantity = float(rows[member, QUANTITY + slot])
            notional = quantity * prices[asset]
            long, short = assets[asset, RIGHT] * notional, assets[asset, LEFT] * notional
            value = long if long < short else short
            margin += value
            weight += abs(value)
            bent |= 2 * abs(notional) > assets[asset, BOUND]
            held |= quantity != 0
        if bent:
            margin = _bent_margin(rows, member, fixed, prices, lines)
            weight = _bent_weight(rows, member, prices, assets)
        radius = (margin - ROUNDING * size) / (weight if weight > 0 else 1.0) - 3 * ROUNDING
        if weight == 0:
            radius = -1.0 if margin < 0 else 1.0 if held else np.inf
        margins[i], radii[i] = margin, min(radius, 1.0) if held else radius


@_compiled()
def _entry(table: Members, members: Members, member: int) -> Any:
    """Return where in a hash table the place of a member is, or is to go; -1 there for none."""
    at = (np.uint64(member) * np.uint64(HASH) >> np.uint64(32)) & np.uint64(len(table) - 1)
    while table[at] >= 0 and members[table[at]] != member:
        at = (at + np.uint64(1)) & np.uint64(len(table) - 1)
    return at


@_compiled()
def fill(
    rows: Integers, assets: Floats, loan: float, start: int, end: int, members: Members, ids: Integers,
    numbers: Floats, bent: NDArray[np.bool_], highest: Floats, table: Members,
) -> None:  # fmt: skip
    """Read columns of a core, from `start` to `end`, from the rows of its members; note where they are in a table."""
    for i in range(start, end):
        if i + AHEAD < end:
            prefetch(rows, members[i + AHEAD], 0)
            prefetch(rows, members[i + AHEAD], WIDTH - 1)
        member = np.uint64(members[i])
        cash, packed, bends = float(rows[member, CASH]), rows[member, 0], False
        fixed = cash * (loan if cash < 0 else 1.0)
        for slot in range(SLOTS):
            fixed += float(rows[member, COST + slot])
        for slot in range(SLOTS):
            asset = np.uint64((packed >> 8 * slot) & EMPTY)
            quantity = float(rows[member, QUANTITY + slot])
            ids[slot, i], numbers[SIZE + slot, i] = asset, quantity
            numbers[SLOPE + slot, i] = assets[asset, LEFT if quantity < 0 else RIGHT]
            bends |= abs(quantity * highest[asset]) > assets[asset, BOUND]
        numbers[FIXED, i], bent[i] = fixed, bends
        table[_entry(table, members, members[i])] = i


@_compiled()
def _crossed(prices: Floats, price: NDArray[np.float32], span: Integers, ends: Integers) -> int:
    """Put into `ends`, by group, where triggers end that were not reached, and return how many were."""
    count = 0
    for asset in range(len(prices)):
        for group, now in ((asset, prices[asset]), (IDS + asset, -prices[asset])):
            start, end = span[0, group], span[1, group]
            while end > start and price[end - 1] >= now:
                end -= 1
            ends[group] = end
            count += span[1, group] - end
    return count


@_compiled()
def _loosen(
    assets: int, depth: Depths, single: Members, span: Integers, ends: Integers, members: Members, size: int
) -> int:
    """Append to the core, whose new size is returned, singles whose trigger was crossed."""
    for asset in range(assets):
        for group in (asset, IDS + asset):
            for i in range(ends[group], span[1, group]):
                if depth[single[i]] == ABSENT:
                    depth[single[i]] |= LOOSE
                    members[size] = single[i]
                    size += 1
            span[1, group] = ends[group]
    return size


@_compiled()
def _outgrown(prices: Floats, low: Floats, high: Floats, inmost: int) -> int:
    """Return how many shells, from the first, prices have left."""
    for k in range(len(low) - 1, inmost - 1, -1):
        for asset in range(len(prices)):
            if prices[asset] < low[k, asset] or prices[asset] > high[k, asset]:
                return k + 1
    return 0


@_compiled()
def _breaches(
    members: Members, ids: Integers, numbers: Floats, bent: NDArray[np.bool_], prices: Floats, lines: Floats,
    margins: Floats, found: Integers,
) -> int:  # fmt: skip
    """Put into `found` the members of the core that are in breach and return their number."""
    size, count = len(margins), 0
    margins[:] = numbers[FIXED, :size]
    for slot in range(SLOTS):
        asset, quantity, slope = ids[slot], numbers[SIZE + slot], numbers[SLOPE + slot]
        for i in range(size):
            margins[i] += quantity[i] * prices[np.uint64(asset[i])] * slope[i]
    for i in range(size):
        if bent[i]:
            margins[i] = numbers[FIXED, i]
            for slot in range(SLOTS):
                number = np.uint64(ids[slot, i])
                margins[i] += _bent_value(numbers[SIZE + slot, i] * prices[number], number, lines)
        if margins[i] < 0:
            found[count] = members[i]
            count += 1
    return count


@_compiled()
def look(
    prices: Floats, price: NDArray[np.float32], single: Members, span: Integers, depth: Depths, low: Floats,
    high: Floats, inmost: int, changed: Members, limit: int, inner: int, size: int, members: Members, ids: Integers,
    numbers: Floats, bent: NDArray[np.bool_], highest: Floats, table: Members, found: Integers,
    rows: Integers, assets: Floats, lines: Floats, loan: float,
) -> tuple[int, int, int]:  # fmt: skip
    """Return how many shells are outgrown, the core's new size, and how many are in breach (`backend.Backend.look`).

    These are put into `found`. ROOM and the size that the core has to have room for, with nothing done; PRICES for
    what is none.
    """
    padded, ends = np.zeros(IDS), np.empty(2 * IDS, np.int64)
    for asset in range(len(prices)):
        if not 0 <= prices[asset] < np.inf:
            return PRICES, size, 0
        padded[asset] = prices[asset]
    most = size + _crossed(prices, price, span, ends) + len(changed)
    if most - inner > limit:
        return len(low), size, 0
    if most > len(members):
        return ROOM, most, 0
    if most > size:
        before, size = size, _loosen(len(prices), depth, single, span, ends, members, size)
        for member in changed:
            at = table[_entry(table, members, member)]
            if at >= 0:
                fill(rows, assets, loan, at, at + 1, members, ids, numbers, bent, highest, table)
            elif inmost < depth[member] < LOOSE:
                depth[member] |= LOOSE
                members[size] = member
                size += 1
        fill(rows, assets, loan, before, size, members, ids, numbers, bent, highest, table)
    outgrown = _outgrown(prices, low, high, inmost)
    if outgrown:
        return outgrown, size, 0
    return 0, size, _breaches(members, ids, numbers, bent, padded, lines, np.empty(size), found)


@_compiled()
def _candidates(entries: Members, loose: Members, depth: Depths, count: int) -> tuple[int, Members]:
    """Return how many are listed, each once, and who; then the loose that are not in the first `count` shells."""
    members, known = np.empty(len(entries) + len(loose), np.int32), 0
    for i in range(len(entries)):
        if not i or entries[i] != entries[i - 1]:
            members[known] = entries[i]
            known += 1
    total = known
    for member in loose:
        depth[member] &= ABSENT
        if depth[member] > count:
            members[total] = member
            total += 1
    return known, members[:total]


@_compiled()
def _level(radius: float, limits: Floats, guess: Any) -> Any:
    """Return how many limits, which rise, are below a radius, quickly if about as many are as guessed."""
    level = min(max(guess, 0), len(limits))
    while level and limits[level - 1] >= radius:
        level -= 1
    while level < len(limits) and limits[level] < radius:
        level += 1
    return level


@_compiled()
def _levels(radius: Floats, limits: Floats, level: Depths) -> None:
    """Put into `level` how many limits are below each radius; limits grow by about the root of two.

    The exponent of a radius and half of its mantissa's range tell which: bits instead of branches that go either way.
    """
    least = limits[0] if len(limits) else 1.0
    scaled = radius / least
    bits = scaled.view(np.int64)
    for i in range(len(radius)):
        octave, rest = (bits[i] >> 52) - 1023, bits[i] & 0xFFFFFFFFFFFFF
        level[i] = _level(radius[i], limits, 2 * octave + 1 + (rest > STEP_BITS))


@_compiled()
def _sort_known(
    members: Members, margins: Floats, level: Depths, depth: Depths, found: Integers, breaches: int, sizes: Integers
) -> int:
    """Note depths, count the members of each level, and return how many breach, who are put into `found`."""
    for i in range(len(members)):
        depth[members[i]] = level[i]
        sizes[level[i]] += 1
        if margins[i] < 0:
            found[breaches] = members[i]
            breaches += 1
    return breaches


@_compiled()
def _sort_loose(
    members: Members, margins: Floats, level: Depths, depth: Depths, count: Any, most: int, found: Integers,
    breaches: int, sizes: Integers, still: Members, kept: int, joined: Members, moved: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Return how many breach now, how many therefore stay loose, and how many come to a layer further out."""
    for i in range(len(members)):
        member, before = members[i], depth[members[i]]
        if margins[i] < 0:
            found[breaches] = still[kept] = member
            breaches, kept = breaches + 1, kept + 1
            depth[member], level[i] = before | LOOSE, LOOSE
            continue
        depth[member] = level[i] = min(level[i], before)
        if level[i] <= count:
            sizes[level[i]] += 1
        elif level[i] < min(before, most):
            joined[moved] = member
            moved += 1
    return breaches, kept, moved


@_compiled()
def _by_level(members: Members, level: Depths, sizes: Integers) -> tuple[Members, Integers]:
    """Return members in the order of their levels, as many of each as `sizes` has, and where each level ends."""
    ends = np.cumsum(sizes)
    sorted_members, where = np.empty(ends[-1], np.int32), ends - sizes
    for i in range(len(members)):
        if level[i] < len(sizes):
            sorted_members[where[level[i]]] = members[i]
            where[level[i]] += 1
    return sorted_members, ends


@_compiled()
def remake(
    entries: Members, loose: Members, depth: Depths, radii: Floats, limits: Floats, prices: Floats, rows: Integers,
    assets: Floats, lines: Floats, loan: float,
) -> tuple[Members, Integers, Integers, Members, Members, int]:  # fmt: skip
    """Return what `backend.Remade` says, of the shells with these radii; limits : see `Shells.limits`."""
    known, members = _candidates(entries, loose, depth, len(radii))
    total, count = len(members), np.uint8(len(radii))
    margins, radius, level = np.empty(CACHED), np.empty(CACHED), np.empty(total, np.uint8)
    found, still, joined = np.empty(total, np.int64), np.empty(total, np.int32), np.empty(total, np.int32)
    sizes, breaches, kept, moved = np.zeros(len(radii) + 1, np.int64), 0, 0, 0
    for start in range(0, known, CACHED):
        end = min(start + CACHED, known)
        part, to = members[start:end], level[start:end]
        survey(rows, part, prices, assets, lines, loan, margins, radius)
        _levels(radius[: end - start], radii, to)
        breaches = _sort_known(part, margins, to, depth, found, breaches, sizes)
    for start in range(known, total, CACHED):
        end = min(start + CACHED, total)
        part, to = members[start:end], level[start:end]
        survey(rows, part, prices, assets, lines, loan, margins, radius)
        _levels(radius[: end - start], limits, to)
        breaches, kept, moved = _sort_loose(
            part, margins, to, depth, count, len(limits), found, breaches, sizes, still, kept, joined, moved
        )
    inner, ends = _by_level(members, level, sizes)
    return inner, ends, found[:breaches].copy(), still[:kept].copy(), joined[:moved].copy(), total
