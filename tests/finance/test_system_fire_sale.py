"""The system-wide fire sale, against the published case and banks that act one by one in any order."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from contagion.finance.system_fire_sale import Step, system_fire_sale
from tests.cases import stressed_banks, third_party

Floats = NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)


class System(NamedTuple):
    holdings: Floats
    cash: Floats
    other: Floats
    loans: Floats
    deposits: Floats


class Terms(NamedTuple):
    price_shock: Floats
    impact: Floats
    buffer: float


@dataclass
class Bank:
    """A bank that knows only itself."""

    units: list[float]
    cash: float
    other: float
    loan: float
    deposits: float
    defaulted: bool = False
    orders: list[float] = field(default_factory=list)

    def act(self, prices: list[float], buffer: float) -> bool:
        """Pay back and order sales; return whether it has just defaulted."""
        bonds = sum(u * p for u, p in zip(self.units, prices, strict=True))
        size = self.cash + self.other + bonds
        equity = size - self.loan - self.deposits
        self.orders = [0.0] * len(prices)
        if self.defaulted:
            return False
        if equity < 0.03 * size:
            self.defaulted = True
            self.orders = list(self.units)
            return True
        if equity < buffer * size and (amount := size - equity / 0.05) > 0:
            if (rest := amount - self.cash) > 0 and bonds > 0:
                self.orders = [u * min(1.0, rest / bonds) for u in self.units]
            paid = min(amount, self.cash, self.loan)
            self.cash, self.loan = self.cash - paid, self.loan - paid
        return False


def one_by_one(system: System, terms: Terms, steps: int, rng: np.random.Generator) -> list[tuple[list[float], int]]:
    """Return (prices, defaults) by step of banks that act in a new random order each time."""
    banks = [Bank(list(map(float, row)), *map(float, rest)) for row, *rest in zip(*system, strict=True)]
    kinds = range(len(terms.impact))
    for bank in banks:
        bank.orders = [0.0 for _ in kinds]
    total = [sum(bank.units[k] for bank in banks) for k in kinds]
    prices, history = [1 - float(shock) for shock in terms.price_shock], []
    for _ in range(steps):
        sold = [sum(bank.orders[k] for bank in banks) for k in kinds]
        after = [
            p * (1 - terms.impact[k]) ** (sold[k] / total[k] / 0.05) if total[k] else p for k, p in enumerate(prices)
        ]
        for i in rng.permutation(len(banks)):
            bank = banks[i]
            for k in kinds:
                bank.cash += bank.orders[k] * (prices[k] + after[k]) / 2
                bank.units[k] -= bank.orders[k]
        prices = after
        failed = sum(banks[i].act(prices, terms.buffer) for i in rng.permutation(len(banks)))
        history.append((prices, failed))
    return history


def random_system(seed: int) -> tuple[System, Terms]:
    rng = np.random.default_rng(seed)
    banks, kinds = rng.integers(1, 8), rng.integers(1, 4)
    holdings = rng.uniform(0, 40, (banks, kinds)) * (rng.random((banks, kinds)) < 0.8)
    cash, other = rng.uniform(0, 10, banks), rng.uniform(20, 100, banks)
    owed = (holdings.sum(axis=1) + cash + other) * (1 - rng.uniform(0.025, 0.08, banks))
    loans = owed * rng.uniform(0, 0.9, banks) * rng.choice([0.0, 0.1, 1.0], banks)
    terms = Terms(rng.uniform(0, 0.1, kinds), rng.uniform(0, 0.1, kinds), rng.choice([0.04, 1.0]))
    return System(holdings, cash, other, loans, owed - loans), terms


def run(system: System, terms: Terms, steps: int = 6) -> list[Step]:
    return system_fire_sale(*system, **terms._asdict(), steps=steps)


@pytest.mark.parametrize("name", ["s00_pi5_control", "s20_pi5", "s20_pi1", "s15_pi1", "s15_pi1_targeting"])
def test_the_published_defaults_and_prices_come_out(name: str) -> None:
    """The control too: 33 of the 48 banks default although nothing happened to them."""
    case = third_party("FS-01")
    terms, expected = case["inputs"]["scenarios"][name], case["expected"][name]
    steps = system_fire_sale(
        *stressed_banks(),
        price_shock=[0.0, terms["shock"]],
        impact=terms["price_impact"],
        buffer=terms["lam_buffer"],
    )
    near = {"rel": case["tolerance"]["rtol"], "abs": case["tolerance"]["atol"]}
    defaults = [len(step.defaults) for step in steps]
    assert [0, *defaults] == expected["defaults_per_step"]
    assert sum(defaults) == expected["total_defaults"]
    assert [step.sold for step in steps] == pytest.approx(expected["fraction_tradable_sold"], **near)
    assert steps[-1].prices == pytest.approx([expected["p_corp"], expected["p_gov"]], **near)
    prices = [[1.0, 1.0 - terms["shock"]], *(step.prices.tolist() for step in steps)]
    assert sum(a != b for a, b in pairwise(prices)) == expected["price_liquidation_rounds"]


def test_the_published_banks_may_act_in_any_order() -> None:
    terms = Terms(np.array([0.0, 0.2]), np.array([0.01, 0.01]), 0.04)
    banks = System(*stressed_banks())
    steps = run(banks, terms)
    for seed in range(3):
        shuffled = one_by_one(banks, terms, 6, np.random.default_rng(seed))
        assert [failed for _, failed in shuffled] == [len(step.defaults) for step in steps]
        assert shuffled[-1][0] == pytest.approx(steps[-1].prices, rel=1e-10)


@settings(deadline=None, max_examples=80)
@given(SEEDS)
def test_banks_that_act_one_by_one_in_any_order_come_to_the_same(seed: int) -> None:
    system, terms = random_system(seed)
    steps = run(system, terms)
    for (prices, failed), step in zip(
        one_by_one(system, terms, 6, np.random.default_rng(seed + 1)), steps, strict=True
    ):
        assert step.prices == pytest.approx(prices, rel=1e-9)
        assert len(step.defaults) == failed


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_prices_only_fall_and_nobody_defaults_twice(seed: int) -> None:
    system, terms = random_system(seed)
    before, sold, seen = 1 - terms.price_shock, 0.0, set[int]()
    for step in run(system, terms):
        assert (step.prices <= before).all() and (step.prices > 0).all()
        assert sold - 1e-12 <= step.sold <= 1 + 1e-12
        assert not seen & set(step.defaults.tolist())
        before, sold, seen = step.prices, step.sold, seen | set(step.defaults.tolist())


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(-6, 12))
def test_the_unit_of_money_and_the_order_of_banks_and_assets_are_immaterial(seed: int, power: int) -> None:
    (system, terms), scale, rng = random_system(seed), 2.0**power, np.random.default_rng(seed + 1)
    i, k = rng.permutation(len(system.cash)), rng.permutation(len(terms.impact))
    holdings = csr_array(system.holdings[i][:, k] * scale)
    other = System(holdings, *(amounts[i] * scale for amounts in system[1:]))
    once = run(system, terms)[-1]
    again = run(other, Terms(terms.price_shock[k], terms.impact[k], terms.buffer))[-1]
    assert again.prices == pytest.approx(once.prices[k], rel=1e-9)
    assert again.equity == pytest.approx(once.equity[i] * scale, rel=1e-7, abs=1e-7 * scale)


def test_a_larger_shock_breaks_more_banks() -> None:
    """Ten banks with ratios of 3.1% to 7.6%, a fifth of assets in one bond."""
    ratio = np.arange(0.031, 0.08, 0.005)
    one = np.ones(len(ratio))
    owed = 100 * (1 - ratio)
    system = System(20 * one[:, None], 5 * one, 75 * one, owed / 2, owed / 2)
    broken = [
        {bank for step in run(system, Terms(np.array([shock]), np.array([0.01]), 0.04)) for bank in step.defaults}
        for shock in (0.0, 0.05, 0.1, 0.15, 0.2)
    ]
    assert all(small <= large for small, large in pairwise(broken))
    assert len(broken[0]) == 1 and len(broken[-1]) == 10


def test_a_larger_shock_can_save_a_bank_that_it_makes_sell_in_time() -> None:
    """Two banks fail at once and sell everything; the third sells beside them, or after them at half the price."""
    system = System(
        np.array([[23.2], [10.04], [4.954]]),
        np.array([4.235, 5.734, 6.185]),
        np.array([91.17, 22.34, 92.496]),
        np.array([52.4, 16.01, 8.074]),
        np.array([61.655, 20.807, 90.339]),
    )
    mild, hard = (run(system, Terms(np.array([shock]), np.array([0.036]), 0.04)) for shock in (0.079, 0.236))
    assert [step.defaults.tolist() for step in mild[:3]] == [[0, 1], [2], []]
    assert [step.defaults.tolist() for step in hard[:3]] == [[0, 1], [], []]
    assert hard[1].equity[2] > mild[1].equity[2]


def test_a_system_below_its_buffer_is_not_at_rest_without_a_shock() -> None:
    system = System(*(np.array(x) for x in ([[30.0], [30]], [2.0, 2], [68.0, 68], [48.2, 48], [48.2, 48])))
    control = run(system, Terms(np.zeros(1), np.array([0.05]), 0.045))
    assert [step.defaults.tolist() for step in control[:3]] == [[], [0, 1], []]
    assert not any(len(step.defaults) for step in run(system, Terms(np.zeros(1), np.zeros(1), 0.045)))


def test_cash_pays_loans_back_before_bonds_are_sold_even_where_there_are_few_loans() -> None:
    """A ratio of 4% asks for 20 less of 100: 15 of cash, of which loans take 10, and 5 of 40 in bonds."""
    system = System(*(np.array(x) for x in ([[40.0]], [15.0], [45.0], [10.0], [86.0])))
    steps = run(system, Terms(np.zeros(1), np.zeros(1), 0.045), steps=2)
    assert [step.sold for step in steps] == [0.0, pytest.approx(5 / 40)]


@pytest.mark.parametrize(
    ("minimum", "buffer", "defaults", "sold"), [(0.25, 0.25, 0, 0), (0.25, 0.5, 0, 1), (0.5, 1, 1, 1)]
)
def test_a_ratio_exactly_at_the_minimum_or_the_buffer_keeps_it(
    minimum: float, buffer: float, defaults: int, sold: int
) -> None:
    system = System(*(np.array([x]) for x in ([32.0], 0.0, 32.0, 48.0, 0.0)))
    steps = system_fire_sale(
        *system, price_shock=0, impact=0, buffer=buffer, minimum=minimum, target=0.75, steps=2
    )  # a ratio of 16 / 64
    assert len(steps[0].defaults) == defaults
    assert steps[1].sold == sold


def test_arguments_that_mean_nothing_are_refused() -> None:
    system = System(*(np.array(x) for x in ([[30.0]], [2.0], [68.0], [48.0], [48.0])))
    terms = Terms(np.zeros(1), np.array([0.05]), 0.04)
    with pytest.raises(ValueError, match="cash of 2 banks"):
        run(system._replace(cash=np.ones(2)), terms)
    with pytest.raises(ValueError, match="loans must not be negative"):
        run(system._replace(loans=-np.ones(1)), terms)
    for name in ("holdings", "cash", "other", "loans", "deposits"):
        with pytest.raises(ValueError, match=f"{name} must not be negative, and finite: .*nan"):
            run(system._replace(**{name: getattr(system, name) * np.nan}), terms)
    with pytest.raises(ValueError, match="a buffer of nan"):
        run(system, terms._replace(buffer=np.nan))
    with pytest.raises(ValueError, match="above the minimum"):
        system_fire_sale(*system, price_shock=0, impact=0, buffer=0.04, minimum=0.05, target=0.05)
    with pytest.raises(ValueError, match="lie in"):
        run(system, terms._replace(impact=np.ones(1)))
