from math import isqrt, prod
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contagion.finance.amm import (
    impermanent_loss,
    lvr_rate,
    sale_to_price,
    stableswap_balance,
    stableswap_invariant,
    stableswap_out,
    stableswap_price,
    swap_in,
    swap_out,
)
from contagion.units import PPM
from tests.cases import published

WEI = 10**18
AMOUNT = st.integers(0, 10**24)
RESERVE = st.integers(1, 10**27)
FEE = st.sampled_from([0, 400, 3_000, 10_000, 999_999])
AMPLIFICATION = st.sampled_from([10, 100, 2_000, 5_000])
ROUNDING = 4
"""Units that the contract's divisions may lose in a pool that is not far from balance."""


@st.composite
def curve_pools(draw: st.DrawFn) -> list[int]:
    """Two to four reserves of 10^15 to 10^25 units, none above ten times another."""
    size = draw(st.integers(10**15, 10**24))
    return [size * draw(st.integers(1_000, 10_000)) // 1_000 for _ in range(draw(st.integers(2, 4)))]


def solves_from_below(invariant: int, balances: list[int], amplification: int) -> bool:
    """Whether a whole number is at most the exact D, by the sign of the invariant's polynomial."""
    count = len(balances)
    amplified = amplification * count
    linear = amplified * sum(balances) - (amplified - 1) * invariant
    return bool(linear * count**count * prod(balances) >= invariant ** (count + 1))


def exact_invariant(balances: list[int], amplification: int) -> int:
    """The whole part of D, by bisection: independent of the contract's Newton steps."""
    low, high = 0, sum(balances) + 1
    while high - low > 1:
        middle = (low + high) // 2
        below = solves_from_below(middle, balances, amplification)
        low, high = (middle, high) if below else (low, middle)
    return low


def exact_balance(j: int, balances: list[int], amplification: int, invariant: int) -> int:
    """The least whole reserve of asset j whose D is not below the given one, by bisection."""
    low, high = 0, 1
    while not solves_from_below(invariant, [*balances[:j], high, *balances[j + 1 :]], amplification):
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        enough = solves_from_below(invariant, [*balances[:j], middle, *balances[j + 1 :]], amplification)
        low, high = (low, middle) if enough else (middle, high)
    return high


def test_the_published_uniswap_vectors_come_out_to_the_wei() -> None:
    case = published("UV2-01")
    outputs = [swap_out(*(v * WEI for v in vector)) for vector in case["inputs"]["cases_in_x_y"]]
    assert outputs == [int(wei) for wei in case["expected"]["out_wei"]]


def test_the_published_loss_to_arbitrageurs_and_sale_to_a_price_come_out() -> None:
    case = published("UV2-02")
    given_, expected, rtol = case["inputs"], case["expected"], case["tolerance"]["rtol"]
    base = int(given_["x"]) * WEI
    quote = int(given_["k"] / given_["x"]) * WEI
    ratio_ppm = round(given_["P_target"] * base / quote * PPM)
    assert [impermanent_loss(r) for r in given_["r"]] == pytest.approx(expected["IL"], rel=rtol)
    assert lvr_rate(given_["sigma"]) == pytest.approx(expected["LVR_annual"], rel=rtol)
    assert sale_to_price(base, quote, ratio_ppm) / WEI == pytest.approx(expected["dx_to_target"], rel=rtol)


def test_a_sale_moves_the_constant_product_price_as_published() -> None:
    case = published("PI-01")
    pool, expected, rtol = case["inputs"]["cpmm"], case["expected"], case["tolerance"]["rtol"]
    base, quote, sold = (int(pool[name]) * WEI for name in ("x", "y", "Q"))
    paid = swap_out(sold, base, quote, fee_ppm=0)
    assert paid / WEI == pytest.approx(expected["cpmm_out"], rel=rtol)
    assert (paid / sold) / (quote / base) == pytest.approx(expected["cpmm_avg_factor"], rel=rtol)
    marginal = ((quote - paid) / (base + sold)) / (quote / base)
    assert marginal == pytest.approx(expected["cpmm_marginal_factor"], rel=rtol)


@given(AMOUNT, RESERVE, RESERVE, FEE)
def test_no_swap_lowers_the_constant_product(amount: int, base: int, quote: int, fee: int) -> None:
    paid = swap_out(amount, base, quote, fee)
    assert (base + amount) * (quote - paid) >= base * quote


@given(AMOUNT, RESERVE, RESERVE)
def test_one_unit_more_without_a_fee_would_lower_the_constant_product(amount: int, base: int, quote: int) -> None:
    paid = swap_out(amount, base, quote, fee_ppm=0)
    assert (base + amount) * (quote - paid - 1) < base * quote


@given(AMOUNT, RESERVE, RESERVE, FEE)
def test_a_round_trip_through_a_pool_never_pays(amount: int, base: int, quote: int, fee: int) -> None:
    paid = swap_out(amount, base, quote, fee)
    assume(paid < quote)
    assert swap_out(paid, quote - paid, base + amount, fee) <= amount


@given(RESERVE, RESERVE, FEE, st.data())
def test_swap_in_is_the_least_input_that_pays_enough(base: int, quote: int, fee: int, data: st.DataObject) -> None:
    wanted = data.draw(st.integers(0, quote - 1))
    needed = swap_in(wanted, base, quote, fee)
    assert swap_out(needed, base, quote, fee) >= wanted
    assert needed == 0 or swap_out(needed - 1, base, quote, fee) < wanted


@given(RESERVE, RESERVE, st.integers(1, PPM))
def test_a_sale_to_a_price_stops_just_before_it(base: int, quote: int, ratio_ppm: int) -> None:
    sold = sale_to_price(base, quote, ratio_ppm)
    assert (base + sold) ** 2 * ratio_ppm <= base**2 * PPM < (base + sold + 1) ** 2 * ratio_ppm


@given(st.floats(1e-6, 1e6))
def test_a_provider_never_beats_holding_and_loses_alike_up_and_down(ratio: float) -> None:
    assert impermanent_loss(ratio) <= 1e-15
    assert impermanent_loss(1 / ratio) == pytest.approx(impermanent_loss(ratio), abs=1e-12)


def test_impermanent_loss_is_what_the_integer_pool_shows() -> None:
    base, quote = 10_000 * WEI, 20_000_000 * WEI
    sold = sale_to_price(base, quote, 250_000)
    left = quote - swap_out(sold, base, quote, fee_ppm=0)
    price = left / (base + sold)
    relative = (left + (base + sold) * price) / (quote + base * price)
    assert relative - 1 == pytest.approx(impermanent_loss(0.25))


@pytest.mark.parametrize("case_id", ["SS-01", "SS-02", "SS-03"])
def test_the_published_stableswap_pools_come_out_to_the_wei(case_id: str) -> None:
    case = published(case_id)
    given_, expected, rtol = case["inputs"], case["expected"], case["tolerance"]["rtol"]
    balances = [value * WEI for value in given_["x"]]
    i, j, amplification, amount = given_["i"], given_["j"], given_["A_code"], given_["dx"] * WEI
    invariant = stableswap_invariant(balances, amplification)
    assert invariant == int(expected["D_wei"])
    assert invariant / WEI == pytest.approx(expected["D"], rel=rtol)
    # The published output is the plain difference of balances; the contract keeps one wei of it.
    gross = stableswap_out(amount, i, j, balances, amplification, 0) + 1
    assert gross == int(expected["dy_wei_no_fee"])
    assert gross / WEI == pytest.approx(expected["dy"], rel=rtol)
    net = stableswap_out(amount, i, j, balances, amplification, round(given_["fee"] * PPM))
    assert net / WEI == pytest.approx(expected["dy_after_fee"], rel=rtol)
    price = stableswap_price(i, j, balances, amplification, WEI)
    assert price / WEI == pytest.approx(expected["spot_price_ij"], rel=rtol)


@given(curve_pools(), AMPLIFICATION)
def test_the_stableswap_invariant_is_the_root_of_its_polynomial(balances: list[int], amplification: int) -> None:
    newton = stableswap_invariant(balances, amplification)
    assert abs(newton - exact_invariant(balances, amplification)) <= ROUNDING


@given(st.integers(10**18, 10**24), st.integers(10, 10**4), AMPLIFICATION, st.integers(2, 4))
def test_a_lopsided_stableswap_pool_is_solved_or_refused_but_never_wrong(
    size: int, ratio: int, amplification: int, count: int
) -> None:
    balances = [size * ratio] + [size] * (count - 1)
    try:
        newton = stableswap_invariant(balances, amplification)
    except ArithmeticError:
        return
    exact = exact_invariant(balances, amplification)
    assert abs(newton - exact) * 10**13 <= exact


@given(curve_pools(), AMPLIFICATION, st.data())
def test_a_stableswap_reserve_is_the_root_of_the_polynomial(
    balances: list[int], amplification: int, data: st.DataObject
) -> None:
    j = data.draw(st.integers(0, len(balances) - 1))
    invariant = exact_invariant(balances, amplification)
    newton = stableswap_balance(j, balances, amplification, invariant)
    assert abs(newton - exact_balance(j, balances, amplification, invariant)) <= ROUNDING


@given(curve_pools(), AMPLIFICATION, st.sampled_from([0, 400]), st.data())
def test_a_stableswap_swap_does_not_lower_the_invariant(
    balances: list[int], amplification: int, fee: int, data: st.DataObject
) -> None:
    i, j = data.draw(st.permutations(range(len(balances))))[:2]
    amount = data.draw(st.integers(0, balances[i]))
    paid = stableswap_out(amount, i, j, balances, amplification, fee)
    after = list(balances)
    after[i], after[j] = after[i] + amount, after[j] - paid
    before = exact_invariant(balances, amplification)
    assert exact_invariant(after, amplification) >= before - ROUNDING


@given(st.integers(10**6, 10**27), AMPLIFICATION, st.integers(1, 100))
def test_a_balanced_stableswap_pays_between_constant_product_and_constant_sum(
    size: int, amplification: int, percent: int
) -> None:
    amount = size * percent // 100
    paid = stableswap_out(amount, 0, 1, [size, size], amplification, 0)
    assert swap_out(amount, size, size, 0) - 2 <= paid < amount


@given(curve_pools(), AMPLIFICATION)
def test_the_stableswap_price_is_the_price_of_a_small_swap(balances: list[int], amplification: int) -> None:
    amount = isqrt(min(balances)) * 1_000
    balances = [balance * 10**12 for balance in balances]
    price = stableswap_price(0, 1, balances, amplification, WEI) / WEI
    paid = stableswap_out(amount * 10**6, 0, 1, balances, amplification, 0)
    assert paid / (amount * 10**6) == pytest.approx(price, rel=1e-6)


@given(curve_pools(), AMPLIFICATION)
def test_two_opposite_stableswap_prices_are_reciprocal(balances: list[int], amplification: int) -> None:
    there = stableswap_price(0, 1, balances, amplification, 10**30)
    back = stableswap_price(1, 0, balances, amplification, 10**30)
    assert there * back / 10**60 == pytest.approx(1, rel=1e-12)


def test_a_balanced_stableswap_pool_prices_at_par() -> None:
    assert stableswap_price(2, 0, [10**24] * 3, 2_000, WEI) == WEI


def test_the_asset_a_stableswap_pool_holds_too_much_of_trades_below_par() -> None:
    assert stableswap_price(0, 1, [9 * 10**23, 10**23], 100, WEI) < WEI


def test_nothing_in_is_nothing_out() -> None:
    assert swap_out(0, 10, 10) == 0
    assert swap_in(0, 10, 10) == 0
    assert stableswap_out(0, 0, 1, [10**6, 10**6], 100, 400) == 0
    assert stableswap_out(1, 0, 1, [10**6, 10**6], 100, 400) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: swap_out(-5, 10, 10), "negative amount: -5 base units"),
        (lambda: swap_out(5, 0, 10), r"must be positive, in base units: \[0, 10\]"),
        (lambda: swap_out(5, 10, 10, PPM), "1000000 ppm"),
        (lambda: swap_in(10, 10, 10), "with 10 base units cannot pay 10"),
        (lambda: sale_to_price(10, 10, PPM + 1), "1000001 ppm"),
        (lambda: sale_to_price(10, 0, PPM), "must be positive"),
        (lambda: stableswap_invariant([10, 0], 100), r"\[10, 0\]"),
        (lambda: stableswap_invariant([10, 10], 0), "at least 1: 0"),
        (lambda: stableswap_out(5, 1, 1, [10, 10], 100, 0), "asset 1 for itself"),
        (lambda: stableswap_out(-5, 0, 1, [10, 10], 100, 0), "-5 base units"),
    ],
)
def test_an_impossible_swap_is_refused_with_its_numbers(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_pool_too_lopsided_for_newton_says_so() -> None:
    with pytest.raises(ArithmeticError, match="no StableSwap invariant"):
        stableswap_invariant([13_286, 10], 1)
