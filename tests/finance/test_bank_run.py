"""Deposits on demand: the optimal contract, and when to run, against a search and a queue at the counter."""

from math import nextafter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contagion.finance.bank_run import (
    Contract,
    expected_payoff_of_running,
    fraction_served,
    optimal_contract,
    payoff_of_waiting,
    run_threshold,
    serve,
)
from tests.cases import published

GROWTH = st.floats(1.05, 5)
FRACTION = st.floats(0.01, 0.99)


def test_the_published_contract_and_threshold_come_out() -> None:
    case = published("DD-01")
    i, best = case["inputs"], optimal_contract(case["inputs"]["R"], case["inputs"]["t"], 2)
    assert {
        "r2_no_run": payoff_of_waiting(i["R"], i["r1"], i["t"]),
        "run_threshold_fraction": run_threshold(i["R"], i["r1"]),
        "max_fraction_served": fraction_served(i["r1"], 1.0),
        "optimal_c1": best.early,
        "optimal_c2": best.late,
        "payoff_wait_if_all_run": payoff_of_waiting(i["R"], i["r1"], nextafter(1, 0)),
        "expected_payoff_if_all_run": expected_payoff_of_running(i["r1"], 1.0),
    } == pytest.approx(case["expected"], rel=case["tolerance"]["rtol"], abs=case["tolerance"]["atol"])


@settings(deadline=None)
@given(GROWTH, FRACTION, st.floats(0.3, 6).filter(lambda a: abs(a - 1) > 0.01))
def test_no_contract_on_a_fine_grid_is_better_than_the_optimal_one(
    growth: float, early: float, aversion: float
) -> None:
    def utility(first: np.ndarray, late: np.ndarray) -> np.ndarray:
        power = 1 - aversion
        return (early * first**power + (1 - early) * late**power) / power

    best = optimal_contract(growth, early, aversion)
    first = np.linspace(0, 1 / early, 20_002)[1:-1]
    others = utility(first, (1 - early * first) * growth / (1 - early))
    assert utility(*map(np.array, best)) >= others.max() * (1 - 1e-12 * np.sign(others.max()))
    assert early * best.early + (1 - early) * best.late / growth == pytest.approx(1)
    assert (best.early > 1) == (aversion > 1)


def test_without_an_aversion_above_that_of_the_logarithm_nobody_is_insured() -> None:
    assert optimal_contract(2, 0.25, 1) == pytest.approx(Contract(1, 2))


@settings(deadline=None)
@given(GROWTH, st.floats(0.01, 0.99), st.integers(10, 400), st.data())
def test_at_the_counter_waiting_pays_up_to_the_threshold_and_not_beyond(
    growth: float, generosity: float, deposits: int, data: st.DataObject
) -> None:
    """Serve a queue, keep what is left until date 2, share it out: who waited got more than was promised, or less."""
    payment = 1 + generosity * (growth - 1)
    queue = data.draw(st.integers(0, deposits - 1))
    threshold = run_threshold(growth, payment)
    assume(abs(queue / deposits - threshold) > 1e-9)
    left = deposits - serve(queue, deposits, payment).sum()
    waited = left * growth / (deposits - queue)
    assert (waited > payment) == (queue / deposits < threshold)
    assert waited == pytest.approx(payoff_of_waiting(growth, payment, queue / deposits), abs=1e-9)


@settings(deadline=None)
@given(st.floats(1, 4), st.integers(1, 400), st.data())
def test_a_queue_is_paid_in_full_from_the_front_until_the_money_is_gone(
    payment: float, deposits: int, data: st.DataObject
) -> None:
    queue = data.draw(st.integers(1, deposits))
    money, paid = float(deposits), []
    for _ in range(queue):
        paid.append(min(payment, money))
        money -= paid[-1]
    found = serve(queue, deposits, payment)
    assert found == pytest.approx(paid, abs=1e-9)
    full = int((found > payment * (1 - 1e-9)).sum())
    assert abs(full - fraction_served(payment, queue / deposits) * deposits) < 1
    assert found.mean() == pytest.approx(expected_payoff_of_running(payment, queue / deposits))


@settings(deadline=None)
@given(GROWTH, st.floats(1.001, 5), FRACTION, FRACTION)
def test_the_more_withdraw_the_less_is_left_for_each_who_waits(
    growth: float, payment: float, few: float, many: float
) -> None:
    few, many = sorted((few, many))
    assert payoff_of_waiting(growth, payment, many) <= payoff_of_waiting(growth, payment, few) + 1e-12


def test_a_bank_that_promises_no_more_than_it_holds_is_never_run_on() -> None:
    assert run_threshold(2, 1.0) == 1.0 == run_threshold(2, 0.5)
    assert run_threshold(2, 2.5) < 0


def test_arguments_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="worth more at date 2"):
        run_threshold(1.0, 1.2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        optimal_contract(2, 1.5, 2)
    with pytest.raises(ValueError, match="risk aversion must be positive"):
        optimal_contract(2, 0.5, 0)
    with pytest.raises(ValueError, match="nobody waits"):
        payoff_of_waiting(2, 1.2, 1.0)
    with pytest.raises(ValueError, match="6 cannot queue"):
        serve(6, 5, 1.2)
    for refused in (lambda: fraction_served(0, 1), lambda: run_threshold(2, -1), lambda: serve(3, 3, np.nan)):
        with pytest.raises(ValueError, match="a payment must be positive"):
            refused()
    with pytest.raises(ValueError, match="none withdraws"):
        expected_payoff_of_running(1.2, 0)
