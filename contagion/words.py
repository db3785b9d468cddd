"""Amounts, counts and a run's headline in words, and room for words: the same on a terminal, on pages, in pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

_SIZES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def shocked(manifest: Mapping[str, Any]) -> bool:
    """Return whether a run had its shocks, or was the control run."""
    return bool(manifest.get("shock", manifest.get("twin") != "control"))


def headline(facts: Mapping[str, Any], currency: str, shock: bool = True) -> str:
    """Return what happened, in a sentence or two."""
    total, failures, depth = facts["total_losses"], facts["failures"], facts["cascade_depth"]
    net, exogenous = total["net"], total["exogenous"]
    lost = f"{money(abs(net))} {currency} {'lost' if net >= 0 else 'gained'}"
    if not failures and not shock:
        return "At rest: there was no shock and nothing failed" + (f"; {lost} by the clock alone." if net else ".")
    if not failures:
        return f"Nothing failed: the shock went no further. {lost[0].upper()}{lost[1:]}." if net else "Nothing failed."
    text = f"{count(failures, 'failure')} in {count(depth, 'generation')}; {lost}."
    if exogenous and exogenous > 0 and total["amplification"] is not None:
        text += f" The shock by itself cost {money(exogenous)}; what it set off made that "
        text += f"{three(total['amplification'])} times as much"
        channels = {k: v for k, v in facts["losses_by_channel"].items() if k != "exogenous" and v > 0}
        text += f", most of it by {max(channels, key=lambda k: channels[k])}." if channels else "."
    return text


def money(amount: float) -> str:
    """Return an amount with three digits and a unit.

    >>> money(5_131_232.77), money(-43_573.7), money(12.5), money(0), money(6.6e9)
    ('5.13M', '-43.6k', '12.5', '0', '6.60B')
    """
    if abs(amount) < 0.005:
        return "0"
    size, unit = size_of(abs(amount) / 0.9995)
    return f"{three(amount / size)}{unit}"


def size_of(amount: float) -> tuple[float, str]:
    """Return a unit of size for an amount, and its letter.

    >>> size_of(2.5e6), size_of(12.0)
    ((1000000.0, 'M'), (1.0, ''))
    """
    return next((pair for pair in _SIZES if amount >= pair[0]), (1.0, ""))


def three(amount: float) -> str:
    """Return three significant digits, never an exponent."""
    size = abs(amount)
    return f"{amount:,.0f}" if size >= 99.95 else f"{amount:.1f}" if size >= 9.995 else f"{amount:.2f}"


def price(value: float) -> str:
    """Return a price with two decimals, or four significant digits below ten.

    >>> price(110_250.5), price(1.00021), price(0.000123456)
    ('110,250.50', '1.0002', '0.0001235')
    """
    return f"{value:,.2f}" if abs(value) >= 10 else f"{value:.4f}" if abs(value) >= 0.1 else f"{value:.4g}"


def count(number: int, noun: str) -> str:
    """Return a number of things.

    >>> count(1, "run"), count(2000, "run")
    ('1 run', '2,000 runs')
    """
    return f"{number:,} {noun}" + "s" * (number != 1)


def spread(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return heights moved apart to at least a gap, each as little as may be, in their order, within low and high.

    The least squares are those of an isotonic regression of what is left of each height above a ladder of gaps, found
    by pooling neighbours that stand in the wrong order (Ayer et al. 1955).

    >>> spread([50.0, 52.0, 10.0], 12.0, 0.0, 60.0), spread([50.0, 52.0, 10.0], 12.0, 0.0, 55.0)
    ([45.0, 57.0, 10.0], [43.0, 55.0, 10.0])
    """
    order = sorted(range(len(heights)), key=lambda place: (heights[place], place))
    gap = min(gap, (high - low) / max(len(order) - 1, 1))
    pools: list[tuple[float, int]] = []
    for rung, place in enumerate(order):
        total, number = heights[place] - rung * gap, 1
        while pools and pools[-1][0] / pools[-1][1] > total / number:
            before, pooled = pools.pop()
            total, number = total + before, number + pooled
        pools.append((total, number))
    levels = [total / number for total, number in pools for _ in range(number)]
    highest = high - gap * (len(order) - 1)
    result = [0.0] * len(heights)
    for rung, (place, level) in enumerate(zip(order, levels, strict=True)):
        result[place] = round(max(min(level, highest), low) + rung * gap, 6)
    return result
