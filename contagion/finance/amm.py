"""Automated market makers: constant product (Uniswap v2) and StableSwap (Curve), exact to the base unit.

A pool quotes whatever keeps an invariant of its reserves from falling, so its price is a function of its
reserves and nothing else. Contracts compute that function in integers and round in the pool's favour; so do
we, because a cascade can hang on the last unit. Amounts and reserves are base units of the asset.

Sources: Adams, Zinsmeister and Robinson, "Uniswap v2 Core" (2020), with the periphery library; Egorov,
"StableSwap" (2019), with Curve's pool contract.
"""

from collections.abc import Sequence
from math import isqrt, prod, sqrt

from contagion.units import PPM

NEWTON_LIMIT = 255
"""Newton steps that the StableSwap contract allows itself."""


def swap_out(amount_in: int, reserve_in: int, reserve_out: int, fee_ppm: int = 3000) -> int:
    """Return what a constant-product pool pays for `amount_in`, rounded down.

    The fee stays in the pool. ValueError for a negative amount, an empty pool or a fee outside [0, 100%).

    Source: Uniswap v2's library contract, getAmountOut: out = y (1 - fee) a / (x + (1 - fee) a), from which
    (x + (1 - fee) a) (y - out) = x y. The first vector of the core contract's tests, at a fee of 0.3%:

    >>> swap_out(10**18, 5 * 10**18, 10 * 10**18)
    1662497915624478906
    """
    _check_swap(amount_in, (reserve_in, reserve_out), fee_ppm)
    charged = amount_in * (PPM - fee_ppm)
    return charged * reserve_out // (reserve_in * PPM + charged)


def swap_in(amount_out: int, reserve_in: int, reserve_out: int, fee_ppm: int = 3000) -> int:
    """Return the least amount for which a constant-product pool pays at least `amount_out`.

    One unit less than Uniswap's router asks for when the division leaves no rest. ValueError as for
    `swap_out`, and when the pool holds no more than `amount_out`.

    Source: Uniswap v2's library contract, getAmountIn: in = x out / ((1 - fee) (y - out)), rounded up.

    >>> swap_in(1662497915624478906, 5 * 10**18, 10 * 10**18)
    1000000000000000000
    """
    _check_swap(amount_out, (reserve_in, reserve_out), fee_ppm)
    if amount_out >= reserve_out:
        raise ValueError(f"a pool with {reserve_out} base units cannot pay {amount_out}")
    return _ceil_div(amount_out * reserve_in * PPM, (PPM - fee_ppm) * (reserve_out - amount_out))


def sale_to_price(reserve_base: int, reserve_quote: int, price_ratio_ppm: int) -> int:
    """Return the base to sell, without a fee, to take the marginal price to a fraction of today's.

    price_ratio_ppm : target price over today's, in (0, 1] and parts per million. The price of base is
    reserve_quote/reserve_base, so under a constant product it falls with the square of the base reserve, and
    the quote reserve cancels out. Rounded down to whole units. ValueError for an empty pool or another ratio.

    Source: derived from the constant product: a = x (1 / sqrt(ratio) - 1).

    >>> sale_to_price(10_000, 20_000_000, 250_000)
    10000
    """
    _check_reserves((reserve_base, reserve_quote))
    if not 0 < price_ratio_ppm <= PPM:
        raise ValueError(f"a sale cannot take the price to {price_ratio_ppm} ppm of today's")
    return isqrt(reserve_base * reserve_base * PPM // price_ratio_ppm) - reserve_base


def impermanent_loss(price_ratio: float) -> float:
    """Return a constant-product provider's result relative to holding, a number in [-1, 0].

    price_ratio : price at the end over price at the start, not negative.

    Source: derived from the constant product: loss = 2 sqrt(r) / (1 + r) - 1, r the price ratio.

    >>> round(impermanent_loss(2), 4)
    -0.0572
    """
    return 2 * sqrt(price_ratio) / (1 + price_ratio) - 1


def lvr_rate(volatility: float) -> float:
    """Return a constant-product pool's loss-versus-rebalancing per year, as a fraction of its value.

    volatility : annual, of the log price.

    Source: Milionis, Moallemi, Roughgarden and Zhang (2022), arXiv:2208.06046: LVR / V = sigma**2 / 8.

    >>> round(lvr_rate(0.8), 12)
    0.08
    """
    return volatility**2 / 8


def stableswap_invariant(balances: Sequence[int], amplification: int) -> int:
    """Return D, the sum of balances that a StableSwap pool would hold if it were balanced.

    balances : n reserves in a common number of decimals; amplification : A as the contract stores it, which
    is n**(n-1) times the A of the paper. D solves A*n*S + D = A*n*D + D**(n+1) / (n**n * product), S the sum,
    and is found by the contract's integer Newton steps. ValueError for an empty reserve; ArithmeticError when
    the steps do not settle to within one unit, where newer contracts revert. A few per cent of the pools in
    which one reserve is hundreds of times another end like that, in a cycle a few units wide.

    Source: Egorov (2019), the invariant; Curve's pool contract, get_D.

    >>> stableswap_invariant([1_000_000, 1_000_000], 100)
    2000000
    """
    _check_curve(balances, amplification)
    count, total = len(balances), sum(balances)
    amplified = amplification * count
    invariant = total
    for _ in range(NEWTON_LIMIT):
        previous, power = invariant, invariant
        for balance in balances:
            power = power * invariant // (balance * count)
        slope = (amplified - 1) * invariant + (count + 1) * power
        invariant = (amplified * total + power * count) * invariant // slope
        if abs(invariant - previous) <= 1:
            return invariant
    raise ArithmeticError(f"no StableSwap invariant for balances {list(balances)}, A={amplification}")


def stableswap_balance(j: int, balances: Sequence[int], amplification: int, invariant: int) -> int:
    """Return the reserve of asset j that keeps the invariant, given all the other reserves.

    ``balances[j]`` is not read. Newton's method on the quadratic for one reserve, as in the contract.
    ValueError for an empty reserve; ArithmeticError when it does not settle.

    Source: Curve's pool contract, get_y: y**2 + (S + D / (A n) - D) y = D**(n+1) / (A n**(n+1) P), S and P the sum and
    the product of the other reserves; it is the invariant of Egorov (2019).

    >>> stableswap_balance(1, [1_100_000, 0], 100, 2_000_000)
    900099
    """
    others = [balance for k, balance in enumerate(balances) if k != j]
    _check_curve(others, amplification)
    count = len(balances)
    amplified = amplification * count
    constant = invariant
    for balance in others:
        constant = constant * invariant // (balance * count)
    constant = constant * invariant // (amplified * count)
    linear = sum(others) + invariant // amplified
    reserve = invariant
    for _ in range(NEWTON_LIMIT):
        previous = reserve
        reserve = (reserve * reserve + constant) // (2 * reserve + linear - invariant)
        if abs(reserve - previous) <= 1:
            return reserve
    raise ArithmeticError(f"no StableSwap reserve {j} beside {others}, A={amplification}, D={invariant}")


def stableswap_out(
    amount_in: int,
    i: int,
    j: int,
    balances: Sequence[int],
    amplification: int,
    fee_ppm: int,
    invariant: int | None = None,
) -> int:
    """Return what a StableSwap pool pays in asset j for `amount_in` of asset i.

    The contract's form: one unit is kept against rounding, then the fee, rounded down, is taken from the
    output. `invariant` is D of these balances where the caller knows it. ValueError for a negative amount,
    an empty reserve or i equal to j.

    Source: Curve's pool contract, exchange: out = (y_j - y - 1) (1 - fee), y the new reserve of `stableswap_balance`.

    >>> stableswap_out(100_000, 0, 1, [1_000_000, 1_000_000], 100, 400)
    99861
    """
    _check_swap(amount_in, balances, fee_ppm)
    if i == j:
        raise ValueError(f"cannot swap asset {i} for itself")
    if amount_in == 0:
        return 0
    if invariant is None:
        invariant = stableswap_invariant(balances, amplification)
    paid_in = [balance + amount_in * (k == i) for k, balance in enumerate(balances)]
    gross = max(0, balances[j] - stableswap_balance(j, paid_in, amplification, invariant) - 1)
    return gross - gross * fee_ppm // PPM


def stableswap_price(i: int, j: int, balances: Sequence[int], amplification: int, scale: int) -> int:
    """Return the marginal price of one unit of asset i in asset j, times `scale`, rounded down.

    The ratio of the invariant's two partial derivatives, in which only D itself has been rounded. No fee.

    Source: derived from the invariant of Egorov (2019): price = (W + D**(n+1) / x_i) / (W + D**(n+1) / x_j), with
    W = A n**(n+1) times the product of all reserves.

    >>> stableswap_price(0, 1, [1_600_000 * 10**6, 400_000 * 10**6], 100, 10**6)
    972028
    """
    count, product = len(balances), prod(balances)
    power: int = stableswap_invariant(balances, amplification) ** (count + 1)
    weight: int = amplification * count ** (count + 1) * product
    numerator = balances[j] * (weight * balances[i] + power)
    return scale * numerator // (balances[i] * (weight * balances[j] + power))


def _ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def _check_reserves(reserves: Sequence[int]) -> None:
    if min(reserves) <= 0:
        raise ValueError(f"every reserve of a pool must be positive, in base units: {list(reserves)}")


def _check_curve(reserves: Sequence[int], amplification: int) -> None:
    _check_reserves(reserves)
    if amplification < 1:
        raise ValueError(f"the amplification must be at least 1: {amplification}")


def _check_swap(amount: int, reserves: Sequence[int], fee_ppm: int) -> None:
    _check_reserves(reserves)
    if amount < 0:
        raise ValueError(f"cannot swap a negative amount: {amount} base units")
    if not 0 <= fee_ppm < PPM:
        raise ValueError(f"a fee must be at least 0 and below {PPM} ppm: {fee_ppm} ppm")
