"""Sizes of trades that SciPy finds: the most profitable one, and the one that moves a price to a goal."""

from collections.abc import Callable

from scipy.optimize import brentq, minimize_scalar


def best_size(profit: Callable[[int], int], budget: int) -> int:
    """Return the size in 0..budget with the largest profit, to about 10^-5 of the budget.

    `profit` is concave. Brent's bounded search finds an inner maximum; the budget itself is tried first, since
    it is the answer wherever depth is ample.

    Source: Brent (1973), "Algorithms for minimization without derivatives": argmax of profit over 0 <= size <= budget.

    >>> best_size(lambda size: size * (1000 - size), 5_000)
    500
    >>> best_size(lambda size: size, 70)
    70
    """
    if budget <= 2 or profit(budget) >= profit(budget - max(budget // 100, 1)):
        return max(budget, 0)
    found = minimize_scalar(
        lambda size: -float(profit(round(size))), bounds=(0, budget), method="bounded",
        options={"xatol": max(budget * 1e-5, 0.5)},
    )  # fmt: skip
    return max(range(max(round(found.x) - 1, 0), min(round(found.x) + 2, budget + 1)), key=profit)


def size_to_reach(price: Callable[[int], int], goal: int, first: int) -> int:
    """Return the size at which a price that falls with it reaches a goal.

    `price` of a size, `first` a size to begin with; doubled until the goal lies below, then Brent's method.

    Source: Brent (1973), "Algorithms for minimization without derivatives": the root of price(size) = goal.

    >>> size_to_reach(lambda size: 1_000_000 // (1 + size), 1_000, 4)
    999
    """

    def above(size: float) -> float:
        return float(price(round(size)) - goal)

    low, high = 0.0, float(max(first, 1))  # as Brent's method will see it, for a price may have gaps
    while above(high) > 0:
        low, high = high, high * 2
    if above(low) <= 0:
        return round(low)
    root: float = brentq(above, low, high, xtol=0.5, rtol=1e-12)
    return round(root)


def largest_size(fits: Callable[[int], bool], budget: int) -> int:
    """Return the largest size in 0..budget that fits, by bisection; exact where no size fits behind one that does not.

    Source: derived: the largest n <= budget for which fits(n).

    >>> largest_size(lambda size: size * size <= 150, 1_000)
    12
    """
    if budget <= 0 or fits(budget):
        return max(budget, 0)
    low, high = 0, budget
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
