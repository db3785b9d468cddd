"""Marks that remember what moved them, and the weighted generation of a failure.

A mark is a price with running sums over its own increments: G weighs each increment by the generation of the
failure or shock behind it, X keeps those that have no failure behind them, and one sum per channel says which
force moved it. A failure's weighted generation is then a ratio of differences of two marks, at no cost per
account and per tick, and it hardly depends on how finely a shock or a sale was cut into steps.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Mark(NamedTuple):
    """A price (10^-9 currency), the event that made it, and what has moved it so far.

    generations : G, sum of increment times weighted generation; exogenous : X, sum of increments without a
    failure behind them; channels : increments by channel, so that their sum is price minus first price.

    Source: derived: G = sum of g dp, X = sum of exogenous dp, C_c = sum of dp through channel c.
    """

    price: int
    event: int
    generations: float
    exogenous: int
    channels: tuple[int, ...]


class Exposure(NamedTuple):
    """A quantity at stake (any unit, negative for a debt), its mark at opening and its mark at the failure."""

    quantity: float
    opened: Mark
    now: Mark


def first_mark(price: int, event: int, channels: int) -> Mark:
    """Return the mark of a price that nothing has moved yet.

    Source: derived: G = X = C_c = 0.

    >>> first_mark(100, 0, 2)
    Mark(price=100, event=0, generations=0.0, exogenous=0, channels=(0, 0))
    """
    return Mark(price, event, 0.0, 0, (0,) * channels)


def moved(mark: Mark, price: int, event: int, channel: int, generation: float, exogenous: bool) -> Mark:
    """Return the mark after one increment through one channel.

    Source: derived: G' = G + g dp, C_c' = C_c + dp, and X' = X + dp where nothing failed before.

    >>> moved(first_mark(100, 0, 2), 90, 7, 1, 2.0, False)
    Mark(price=90, event=7, generations=-20.0, exogenous=0, channels=(0, -10))
    """
    delta = price - mark.price
    channels = list(mark.channels)
    channels[channel] += delta
    return Mark(
        price,
        event,
        mark.generations + delta * generation,
        mark.exogenous + (delta if exogenous else 0),
        tuple(channels),
    )


def followed(old: Mark, price: int, event: int, sources: Sequence[tuple[Mark, Mark, int]]) -> Mark:
    """Return the mark of a reader (an oracle, an index) whose price has followed one or more other marks.

    sources : (mark at the last reading, mark now, weight in ppm). The sources' increments, weighted, explain
    the reader's own one: a cap or a rounding leaves a share of them, taken alike from G, X and every channel.

    Source: derived: G' = G + s * sum of w dG, with s = dp / sum of w dp over the sources; so for X and C.
    """
    delta = price - old.price
    raw = sum((now.price - before.price) * weight for before, now, weight in sources)
    if not raw:
        channels = list(old.channels)
        channels[0] += delta
        return old._replace(price=price, event=event, channels=tuple(channels))
    share = delta / raw
    generations = sum((now.generations - before.generations) * w for before, now, w in sources)
    exogenous = sum((now.exogenous - before.exogenous) * w for before, now, w in sources)
    parts = [
        round(share * sum((now.channels[c] - before.channels[c]) * w for before, now, w in sources))
        for c in range(len(old.channels))
    ]
    largest = max(range(len(parts)), key=lambda c: abs(parts[c]))
    parts[largest] += delta - sum(parts)
    return Mark(
        price,
        event,
        old.generations + generations * share,
        old.exogenous + round(exogenous * share),
        tuple(a + b for a, b in zip(old.channels, parts, strict=True)),
    )


def averaged(marks: Sequence[tuple[Mark, int]], event: int) -> Mark:
    """Return the mean of marks of one price, each with a weight (a duration, say); integers are rounded down.

    What rounding leaves goes to the largest channel, so that the channels still explain the whole mean.

    Source: derived: G = sum of w G_k / sum of w; so for price, X and C.

    >>> first = first_mark(100, 0, 1)
    >>> averaged([(first, 3), (moved(first, 60, 4, 0, 0.0, True), 1)], 5)
    Mark(price=90, event=5, generations=0.0, exogenous=-10, channels=(-10,))
    """
    total = sum(weight for _, weight in marks)
    price = sum(mark.price * weight for mark, weight in marks) // total
    channels = [
        sum(parts) // total for parts in zip(*([c * w for c in mark.channels] for mark, w in marks), strict=True)
    ]
    first = marks[0][0].price - sum(marks[0][0].channels)
    channels[max(range(len(channels)), key=lambda c: abs(channels[c]))] += price - first - sum(channels)
    return Mark(
        price,
        event,
        sum(mark.generations * weight for mark, weight in marks) / total,
        sum(mark.exogenous * weight for mark, weight in marks) // total,
        tuple(channels),
    )


def weighted_generation(
    exposures: Iterable[Exposure],
    direct: Iterable[tuple[float, float, bool]] = (),
    highest: float | None = None,
) -> tuple[float, float]:
    """Return (weighted generation, exogenous share) of a failure.

    exposures : what the failed held, with opening and present marks; direct : (loss, generation of the failed
    counterparty, loss is exogenous). Both ratios are clipped to the adverse range: the mean generation lies
    between 0 and `highest`, the share between 0 and 1. A failure without any adverse move is (1, 1).

    Source: derived: generation = 1 + sum of q dG / sum of q dp, share = sum of q dX / sum of q dp.

    >>> a = first_mark(100, 0, 2)
    >>> b = moved(a, 90, 1, 0, 0.0, True)
    >>> c = moved(b, 70, 2, 1, 1.0, False)
    >>> [round(x, 4) for x in weighted_generation([Exposure(3, a, c)])]
    [1.6667, 0.3333]
    """
    loss = depth = exogenous = 0.0
    for quantity, opened, now in exposures:
        loss += quantity * (now.price - opened.price)
        depth += quantity * (now.generations - opened.generations)
        exogenous += quantity * (now.exogenous - opened.exogenous)
    for lost, generation, outside in direct:
        loss -= lost
        depth -= lost * generation
        exogenous -= lost if outside else 0.0
    if loss >= 0.0:
        return 1.0, 1.0
    mean = max(depth / loss, 0.0)
    if highest is not None:
        mean = min(mean, highest)
    return 1.0 + mean, min(max(exogenous / loss, 0.0), 1.0)
