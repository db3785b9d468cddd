"""The largest value of a concave function over a range of integers, such as a profit over trade sizes."""

from collections.abc import Callable

from scipy.optimize import minimize_scalar


def best_size(profit: Callable[[int], int], budget: int) -> int:
    """Return the size in 0..budget with the largest profit, to about 10^-5 of the budget.

    `profit` is concave. Brent's bounded search finds an inner maximum; the budget itself is tried first, since
    it is the answer wherever depth is ample.

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
