"""Banks that sell when a leverage limit binds, against the published cases and one bank and asset at a time."""

from math import exp
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from contagion.finance.leverage_constraint import IndirectContagion, indirect_contagion
from tests.cases import published
from tests.fire_sales import Cont

Floats = NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)


class System(Cont):
    def contagion(self) -> IndirectContagion:
        return indirect_contagion(
            *self[:6],
            price_shock=self.price_shock,
            illiquid_shock=self.illiquid_shock,
            floor=self.floor,
            slippage=self.slippage,
        )


def random_system(seed: int) -> System:
    rng = np.random.default_rng(seed)
    banks, kinds = rng.integers(1, 6, 2)
    holdings = rng.integers(0, 60, (banks, kinds)) * (rng.random((banks, kinds)) < 0.7)
    illiquid = rng.integers(1, 50, banks).astype(float)
    size = illiquid + holdings.sum(axis=1)
    return System(
        holdings.astype(float), illiquid, size / rng.uniform(15, 26, banks), rng.uniform(300, 3000, kinds),
        25.0, rng.choice([15.0, 22.0]), rng.uniform(0, 0.03, kinds), rng.uniform(0, 0.02, banks),
        rng.choice([0.0, 0.3]), rng.choice([0.0, 0.5, 1.0]),
    )  # fmt: skip


def one_by_one(system: System, order: list[int]) -> tuple[list[float], list[float], int]:
    """Return (prices, equity, rounds), each bank selling each of its assets by itself, the banks in any order."""
    quantity = [list(map(float, row)) for row in system.holdings]
    prices = [1 - shock for shock in system.price_shock]
    rest = [amount * (1 - shock) for amount, shock in zip(system.illiquid, system.illiquid_shock, strict=True)]
    debt = [
        a + sum(row) - e for a, row, e in zip(system.illiquid, system.holdings, system.equity, strict=True)
    ]  # before any shock

    def equity(i: int) -> float:
        return float(rest[i] + sum(q * p for q, p in zip(quantity[i], prices, strict=True)) - debt[i])

    for rounds in range(10_000):
        sold: list[tuple[int, int, float]] = []
        for i in order:
            own, marketable = equity(i), sum(q * p for q, p in zip(quantity[i], prices, strict=True))
            size = own + debt[i]
            if own > 0 and marketable > 0 and size > system.max_leverage * own + 1e-12 * size:
                part = min(1.0, (size - system.target_leverage * own) / marketable)
                sold += [(i, k, part * q) for k, q in enumerate(quantity[i])]
        if not sold:
            return prices, [equity(i) for i in range(len(debt))], rounds
        volume = [sum(units for _, at, units in sold if at == k) * price for k, price in enumerate(prices)]
        falls = [(1 - system.floor) * (1 - exp(-v / d)) for v, d in zip(volume, system.depth, strict=True)]
        for i, k, units in sold:
            quantity[i][k] -= units
            debt[i] -= units * prices[k] * (1 - system.slippage * falls[k])
        prices = [price * (1 - fall) for price, fall in zip(prices, falls, strict=True)]
    raise AssertionError("no end")


@pytest.mark.parametrize("case_id", ["CS-01", "CS-02"])
def test_the_published_rounds_come_out(case_id: str) -> None:
    case = published(case_id)
    i, expected = case["inputs"], case["expected"]
    holdings, illiquid, equity, depth = (np.array(i[name], dtype=float) for name in ("q", "illiquid", "E0", "depth"))
    found = indirect_contagion(
        holdings, illiquid, equity, depth, i["lam_max"], i["lam_b"],
        price_shock=i["shock_price"] or 0.0, illiquid_shock=i["shock_illiquid"] or 0.0, floor=i["B"], slippage=i["w"],
    )  # fmt: skip
    near = {"rel": case["tolerance"]["rtol"], "abs": case["tolerance"]["atol"]}
    assert len(found.rounds) == expected["rounds"]
    assert found.equity_after_shock == pytest.approx(expected["E_after_shock"], **near)
    for round_, published_round in zip(found.rounds, expected["history"], strict=True):
        for got, name in zip(round_, ("G", "V", "drop", "p", "E"), strict=True):
            assert got == pytest.approx(published_round[name], **near), name
    assert found.prices == pytest.approx(expected["p_final"], **near)
    assert found.equity == pytest.approx(expected["E_final"], **near)
    assert found.loss == pytest.approx(expected["fire_sale_loss"], **near)


@settings(deadline=None, max_examples=80)
@given(SEEDS)
def test_selling_one_by_one_in_any_order_comes_to_the_same(seed: int) -> None:
    system = random_system(seed)
    order = np.random.default_rng(seed + 1).permutation(len(system.equity)).tolist()
    prices, equity, rounds = one_by_one(system, order)
    found = system.contagion()
    assert len(found.rounds) == rounds
    assert found.prices == pytest.approx(prices, rel=1e-9)
    assert found.equity == pytest.approx(equity, rel=1e-9, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_prices_only_fall_and_stay_above_zero_and_who_can_ends_within_its_limit(seed: int) -> None:
    system = random_system(seed)
    found, before = system.contagion(), 1 - system.price_shock
    for round_ in found.rounds:
        assert (round_.prices <= before).all() and (round_.prices > 0).all()
        assert (round_.fall <= 1 - system.floor).all()
        assert (round_.sold >= 0).all() and (round_.sold <= 1).all() and round_.sold.any()
        before = round_.prices
    kept = np.prod([1 - round_.sold for round_ in found.rounds], axis=0) * np.ones(len(system.equity))
    marketable = kept * (system.holdings @ found.prices)
    size = system.illiquid * (1 - system.illiquid_shock) + marketable
    within = size <= system.max_leverage * found.equity * (1 + 1e-12)
    assert (within | (found.equity <= 0) | (marketable == 0)).all()


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(-6, 12))
def test_the_unit_of_money_and_the_order_of_banks_and_assets_are_immaterial(seed: int, power: int) -> None:
    system, scale, rng = random_system(seed), 2.0**power, np.random.default_rng(seed + 1)
    i, k = rng.permutation(len(system.equity)), rng.permutation(len(system.depth))
    once = system.contagion()
    other = System(
        csr_array(system.holdings[i][:, k] * scale), system.illiquid[i] * scale, system.equity[i] * scale,
        system.depth[k] * scale, *system[4:6], system.price_shock[k], system.illiquid_shock[i], *system[8:],
    ).contagion()  # fmt: skip
    assert other.prices == pytest.approx(once.prices[k], rel=1e-9)
    assert other.equity == pytest.approx(once.equity[i] * scale, rel=1e-9, abs=1e-9 * scale)


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.floats(0, 1))
def test_the_first_round_sells_no_less_after_a_larger_shock(seed: int, part: float) -> None:
    """In money a bank that is solvent sells more, the less equity it has left; what it can sell is worth less."""
    system = random_system(seed)._replace(price_shock=np.zeros(1))
    mild = system._replace(illiquid_shock=system.illiquid_shock * part).contagion()
    hard = system.contagion()
    if mild.rounds and (hard.equity_after_shock > 0).all():
        assert (hard.rounds[0].volume >= mild.rounds[0].volume * (1 - 1e-12)).all()
        assert (hard.rounds[0].prices <= mild.rounds[0].prices * (1 + 1e-12)).all()


@pytest.mark.parametrize(("equity", "rounds"), [(5, 0), (4, 1)])
def test_a_leverage_exactly_at_the_limit_keeps_it(equity: int, rounds: int) -> None:
    found = indirect_contagion(np.array([[60]]), np.array([40]), np.array([equity]), np.array([1e9]), 20, 18)
    assert len(found.rounds) == rounds


def test_who_is_insolvent_or_has_nothing_to_sell_does_not_sell() -> None:
    facts: dict[str, Any] = {"depth": np.array([100.0]), "max_leverage": 20, "target_leverage": 18}
    ruined = indirect_contagion(np.array([[60.0]]), np.array([40.0]), np.array([2.0]), **facts, illiquid_shock=0.05)
    assert ruined.equity_after_shock.tolist() == [0.0] and not ruined.rounds
    bare = indirect_contagion(np.array([[0.0]]), np.array([40.0]), np.array([1.0]), **facts)
    assert not bare.rounds and bare.loss == 0


def test_a_larger_shock_can_leave_higher_prices_since_whom_it_ruins_does_not_sell() -> None:
    bank = np.array([[60.0]]), np.array([40.0]), np.array([5.0]), np.array([100.0]), 20, 18
    mild, hard = (indirect_contagion(*bank, illiquid_shock=shock) for shock in (0.05, 0.13))
    assert mild.prices < 1 == hard.prices


def test_rounds_are_limited_and_arguments_that_mean_nothing_are_refused() -> None:
    bank = np.array([[60.0]]), np.array([40.0]), np.array([4.0])
    with pytest.raises(RuntimeError, match="1 banks are still above their limit after 0 rounds"):
        indirect_contagion(*bank, np.array([1000.0]), 20, 18, max_rounds=0)
    with pytest.raises(ValueError, match="below the limit"):
        indirect_contagion(*bank, np.array([1000.0]), 20, 20)
    with pytest.raises(ValueError, match="depth must be positive"):
        indirect_contagion(*bank, np.array([0.0]), 20, 18)
    with pytest.raises(ValueError, match="between 0 and 1"):
        indirect_contagion(*bank, np.array([1.0]), 20, 18, price_shock=1.5)
    with pytest.raises(ValueError, match="must fit holdings"):
        indirect_contagion(*bank, np.ones(2), 20, 18)
    for place, name in enumerate(("holdings", "illiquid", "equity", "depth")):
        unknown = [*bank, np.array([1000.0])]
        unknown[place] = unknown[place] * np.nan
        with pytest.raises(ValueError, match=f"{name} must .* nan"):
            indirect_contagion(*unknown, 20, 18)
