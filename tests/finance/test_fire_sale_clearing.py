"""Prices and payments under fire sales, against the published cases, linear programs and plain iteration."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array

from contagion.finance import fire_sale_clearing as module
from contagion.finance.fire_sale_clearing import (
    FireSaleClearing,
    channel_losses,
    fire_sale_clearing,
    fire_sale_loss,
    least_fire_sale_clearing,
)
from tests.cases import published

Floats = NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)


class System(NamedTuple):
    liquid: Floats
    illiquid: Floats
    liabilities: Floats
    deposits: Floats
    required_ratio: float
    impact: float
    recovery: float = 1.0


def published_system(case: dict[str, Any]) -> System:
    i = case["inputs"]
    cash = np.array(i["c"], dtype=float) - i["shock_to_c"]
    return System(cash, np.array(i["e"]), np.array(i["L"]), np.array(i["d"]), i["rstar"], i["alpha"])


def random_system(seed: int, banks: int = 5) -> System:
    """Return thinly capitalised banks, some with little cash, with or without a ratio to keep and a default cost."""
    rng = np.random.default_rng(seed)
    claims = rng.integers(0, 12, (banks, banks)) * (rng.random((banks, banks)) < 0.6) * (1 - np.eye(banks))
    cash, units = rng.integers(0, 15, banks).astype(float), rng.integers(0, 100, banks).astype(float)
    equity = (cash + units + claims.sum(axis=0)) * rng.uniform(-0.02, 0.15, banks)
    deposits = np.maximum(cash + units + claims.sum(axis=0) - claims.sum(axis=1) - equity, 0.0)
    ratio, impact = rng.choice([0.0, 0.03, 0.08]), rng.choice([0.0, 1e-4, 5e-4, 2e-3])
    return System(cash, units, claims, deposits, ratio, impact, rng.choice([1.0, 0.9, 0.6]))


def one_bank(seed: int) -> System:
    """Return one bank near its ratio, or insolvent, in a market that may be shallow: often with two equilibria."""
    rng = np.random.default_rng(seed)
    cash, units, ratio = rng.uniform(0, 10), rng.uniform(20, 100), rng.uniform(0.02, 0.15)
    debt, impact = (cash + units) * rng.uniform(0.8, 1.02), 10 ** rng.uniform(-4, -2)
    return System(np.array([cash]), np.array([units]), np.zeros((1, 1)), np.array([debt]), ratio, impact)


def prices_left_by_sales(bank: System) -> tuple[Floats, Floats]:
    """Return prices on a fine grid and those that what the bank sells at them would leave."""
    prices = np.linspace(np.exp(-bank.impact * bank.illiquid[0]) - 2e-5, 1, 200_001)
    assets = bank.liquid[0] + prices * bank.illiquid[0]
    equity = np.maximum(assets - bank.deposits[0], 0)
    sold = np.clip((assets - equity / bank.required_ratio - bank.liquid[0]) / prices, 0, bank.illiquid[0])
    return prices, np.exp(-bank.impact * sold)


def plain_iteration(system: System) -> tuple[float, Floats, Floats]:
    """Return (price, payments, sales) by iterating both down from a price of 1 and full payment, bank by bank."""
    cash, units, claims, deposits, ratio, impact, recovery = system
    owed = claims.sum(axis=1) + deposits
    shares = np.divide(claims, owed[:, None], out=np.zeros_like(claims, dtype=float), where=owed[:, None] > 0)
    price, paid = 1.0, owed.astype(float)
    for _ in range(200_000):
        worth = cash + price * units + shares.T @ paid
        sold = np.zeros(len(cash))
        for i, (assets, debt) in enumerate(zip(worth, owed, strict=True)):
            if assets < debt - 1e-9:
                sold[i] = units[i]
            elif ratio:
                need = assets - max(assets - debt, 0.0) / ratio - cash[i]
                sold[i] = min(units[i], max(0.0, need / price))
        new_paid = np.where(worth < owed - 1e-9, recovery * worth, owed)
        new_price = np.exp(-impact * sold.sum())
        moved = abs(new_price - price) + np.abs(new_paid - paid).sum()
        price, paid = new_price, new_paid
        if moved < 1e-13:
            break
    return price, paid, sold


def check_consistency(system: System, found: FireSaleClearing) -> None:
    cash, units, claims, deposits, ratio, impact, recovery = system
    owed = claims.sum(axis=1) + deposits
    shares = np.divide(claims, owed[:, None], out=np.zeros_like(claims, dtype=float), where=owed[:, None] > 0)
    worth = cash + found.price * units + shares.T @ found.payments
    assert found.price == pytest.approx(np.exp(-impact * found.sales.sum()), rel=1e-12)
    assert found.payments == pytest.approx(np.where(found.defaulted, recovery * worth, owed), rel=1e-11, abs=1e-11)
    assert found.equity == pytest.approx(worth - owed, rel=1e-11, abs=1e-10)
    assert (found.equity[found.defaulted] < 0).all() and (found.equity[~found.defaulted] >= 0).all()
    if ratio:
        after = worth - found.liquid_sales - found.price * found.sales
        keeps = ratio * after <= found.equity + 1e-9
        assert (keeps | (found.sales == units)).all()


# -------------------------------------------------------------------------------------------- published cases


@pytest.mark.parametrize("case_id", ["CFS-01", "CFS-02", "CFS-03"])
def test_the_published_prices_and_payments_come_out(case_id: str) -> None:
    case = published(case_id)
    system = published_system(case)
    found = fire_sale_clearing(*system)
    got = {
        "price": found.price,
        "s": found.sales,
        "t": found.liquid_sales,
        "equity": found.equity,
        "payments": found.payments,
        "fire_sale_mtm_loss_total": fire_sale_loss(found, system.illiquid),
    }
    expected = dict(case["expected"])
    assert np.flatnonzero(found.defaulted).tolist() == expected.pop("defaults")
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=case["tolerance"]["rtol"], abs=case["tolerance"]["atol"]), name


def test_the_published_channels_explain_the_loss() -> None:
    case = published("DEF-03")
    i, expected = case["inputs"], case["expected"]
    near = {"rel": case["tolerance"]["rtol"], "abs": case["tolerance"]["atol"]}
    cash, units, claims, deposits, shock = (np.array(i[name]) for name in ("c", "e", "L", "d", "shock"))
    for world, loss in expected["loss"].items():
        sale, cost = world[1] == "1", world[3] == "1"
        recovery = i["kappa"] if cost else 1.0
        found = fire_sale_clearing(cash - shock, units, claims, deposits, 0, i["alpha"] if sale else 0, recovery)
        assert found.price == pytest.approx(expected["price"][world], **near)
        assert np.flatnonzero(found.defaulted).tolist() == expected["defaults"][world]
        assert shock.sum() + fire_sale_loss(found, units) + found.deadweight == pytest.approx(loss, **near)
    channels = channel_losses(cash, units, claims, deposits, 0, i["alpha"], i["kappa"], shock)
    names = ("phi_exo", "phi_firesale", "phi_defaultcost", "interaction", "AF")
    assert channels == pytest.approx([expected[name] for name in names], **near)


# ------------------------------------------------------------------------------------- independent solutions


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_iterating_down_from_the_top_finds_the_same_equilibrium(seed: int) -> None:
    system = random_system(seed)
    found = fire_sale_clearing(*system)
    check_consistency(system, found)
    assert sorted(bank for wave in found.waves for bank in wave) == np.flatnonzero(found.defaulted).tolist()
    price, paid, sold = plain_iteration(system)
    assert found.price == pytest.approx(price, abs=1e-7)
    assert found.payments == pytest.approx(paid, abs=1e-5)
    assert found.sales == pytest.approx(sold, abs=1e-4)


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_for_one_bank_no_higher_price_on_a_grid_agrees_with_its_sales(seed: int) -> None:
    bank = one_bank(seed)
    prices, left = prices_left_by_sales(bank)
    lowest_above = prices[np.flatnonzero(prices <= left)[-1]]
    assert fire_sale_clearing(*bank).price == pytest.approx(lowest_above, abs=1e-5)


@settings(deadline=None, max_examples=40)
@given(SEEDS)
def test_without_impact_and_costs_payments_solve_the_linear_program_of_eisenberg_and_noe(seed: int) -> None:
    system = random_system(seed)._replace(impact=0.0, recovery=1.0)
    owed = system.liabilities.sum(axis=1) + system.deposits
    shares = np.divide(system.liabilities, owed[:, None], out=np.zeros((5, 5)), where=owed[:, None] > 0)
    best = linprog(
        -np.ones(5),
        A_ub=np.eye(5) - shares.T,
        b_ub=system.liquid + system.illiquid,
        bounds=list(zip(np.zeros(5), owed, strict=True)),
    )
    assert fire_sale_clearing(*system).payments == pytest.approx(best.x, abs=1e-7)


@settings(deadline=None, max_examples=40)
@given(SEEDS)
def test_summing_the_series_gives_what_factorising_gives(seed: int) -> None:
    system = random_system(seed, 12)
    exact = fire_sale_clearing(*system)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FACTORISED", 0)
        summed = fire_sale_clearing(*system)
    assert summed.price == pytest.approx(exact.price, rel=1e-12)
    assert summed.payments == pytest.approx(exact.payments, rel=1e-11, abs=1e-11)


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_the_least_equilibrium_is_one_and_lies_below_the_greatest(seed: int) -> None:
    system = random_system(seed)
    least, greatest = least_fire_sale_clearing(*system), fire_sale_clearing(*system)
    check_consistency(system, least)
    assert least.price <= greatest.price * (1 + 1e-12)
    assert (least.payments <= greatest.payments + 1e-9).all()


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_for_one_bank_no_lower_price_on_a_grid_agrees_with_its_sales(seed: int) -> None:
    bank = one_bank(seed)
    prices, left = prices_left_by_sales(bank)
    below = prices < left
    highest_below = prices[0] if below.all() else prices[np.flatnonzero(~below)[0]]
    assert least_fire_sale_clearing(*bank).price == pytest.approx(highest_below, abs=1e-5)


# ------------------------------------------------------------------------------------------------- properties


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_assets_are_owners_creditors_or_lost(seed: int) -> None:
    system = random_system(seed)
    found = fire_sale_clearing(*system)
    owed = system.liabilities.sum(axis=1) + system.deposits
    outside = np.divide(found.payments * system.deposits, owed, out=np.zeros(5), where=owed > 0).sum()
    assets = (system.liquid + found.price * system.illiquid).sum()
    assert np.maximum(found.equity, 0).sum() + outside + found.deadweight == pytest.approx(assets, rel=1e-9)


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_shock_never_raises_the_price_or_a_payment(seed: int, small: float, large: float) -> None:
    system = random_system(seed)
    small, large = sorted((small, large))
    mild, hard = (fire_sale_clearing(*system._replace(liquid=system.liquid * (1 - s))) for s in (small, large))
    assert 0 < hard.price <= mild.price * (1 + 1e-12) and mild.price <= 1
    assert (hard.payments <= mild.payments + 1e-9).all()
    assert (mild.defaulted <= hard.defaulted).all()


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(-6, 20))
def test_the_unit_of_money_is_immaterial(seed: int, power: int) -> None:
    system, scale = random_system(seed), 2.0**power
    once = fire_sale_clearing(*system)
    amounts = (amount * scale for amount in system[:4])
    scaled = fire_sale_clearing(*amounts, system.required_ratio, system.impact / scale, system.recovery)
    assert scaled.price == pytest.approx(once.price, rel=1e-13)
    assert scaled.payments == pytest.approx(once.payments * scale, rel=1e-12)
    assert (scaled.defaulted == once.defaulted).all()


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.permutations(range(5)))
def test_the_order_of_banks_is_immaterial(seed: int, order: list[int]) -> None:
    system = random_system(seed)
    once = fire_sale_clearing(*system)
    cash, units, claims, deposits = system[:4]
    shuffled = fire_sale_clearing(
        cash[order], units[order], csr_array(claims[order][:, order]), deposits[order], *system[4:]
    )
    assert shuffled.price == pytest.approx(once.price, rel=1e-12)
    assert shuffled.payments == pytest.approx(once.payments[order], rel=1e-11, abs=1e-11)


def test_of_two_consistent_prices_the_higher_is_taken() -> None:
    """Solvent at 1, insolvent at what the sale of everything would leave: nobody sells, although all could run."""
    bank = np.array([0.0]), np.array([100.0]), np.zeros((1, 1)), np.array([95.0])
    assert fire_sale_clearing(*bank, 0, 6e-4).price == 1
    panic = least_fire_sale_clearing(*bank, 0, 6e-4)
    assert panic.price == pytest.approx(np.exp(-0.06), rel=1e-14) and panic.defaulted.all()


def test_a_bank_that_could_stop_selling_at_two_prices_stops_at_the_higher() -> None:
    """Price and sales agree twice while it sells a part, and once more when it has sold all."""
    bank = System(np.zeros(1), np.array([100.0]), np.zeros((1, 1)), np.array([70.32]), 0.3, 0.003754)
    prices, left = prices_left_by_sales(bank)
    crossings = prices[np.flatnonzero(np.diff(np.sign(left - prices)))]
    assert len(crossings) == 3
    found, least = fire_sale_clearing(*bank), least_fire_sale_clearing(*bank)
    assert found.price == pytest.approx(crossings[2], abs=1e-5) and 0 < found.sales[0] < 100
    assert least.price == pytest.approx(crossings[0], abs=1e-5) and least.sales[0] == 100


@pytest.mark.parametrize(("debt", "defaults"), [(100, False), (101, True)])
def test_a_bank_worth_exactly_what_it_owes_is_not_in_default(debt: int, defaults: bool) -> None:
    found = fire_sale_clearing(np.array([30]), np.array([70]), np.zeros((1, 1)), np.array([debt]), 0, 1e-3)
    assert found.defaulted.tolist() == [defaults]
    assert found.sales.tolist() == [70 if defaults else 0]


def test_a_cycle_without_cash_pays_in_full() -> None:
    """Two banks that owe each other 0.3 and have nothing: both pay in the greatest solution, neither in the least."""
    system = np.zeros(2), np.zeros(2), np.array([[0, 0.3], [0.3, 0]]), np.zeros(2), 0.08, 1e-3
    found = fire_sale_clearing(*system)
    assert found.payments.tolist() == [0.3, 0.3] and not found.defaulted.any()
    assert least_fire_sale_clearing(*system).payments.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"liquid": np.array([-1.0])}, "liquid must not be negative"),
        ({"illiquid": np.array([np.nan])}, "illiquid must not be negative, and finite: nan at 0"),
        ({"deposits": np.array([np.inf])}, "deposits must not be negative, and finite: inf at 0"),
        ({"liabilities": np.ones((1, 1))}, "bank 0 owes itself 1"),
        ({"illiquid": np.array([1.0, 2.0])}, "expected 1 banks"),
        ({"required_ratio": 1.0}, r"must lie in \[0, 1\)"),
        ({"recovery": 1.5}, r"recovery 1.5 in \[0, 1\]"),
        ({"impact": 100.0}, "must be 0 to 700"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(change: dict[str, Any], message: str) -> None:
    system = System(np.array([3.0]), np.array([100.0]), np.zeros((1, 1)), np.array([95.0]), 0.085, 5e-4)
    with pytest.raises(ValueError, match=message):
        fire_sale_clearing(*system._replace(**change))
