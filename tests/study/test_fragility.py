"""A shock of growing size, and the smallest that breaks something."""

import csv
import math
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import contagion as cg
from contagion.errors import BadInput
from contagion.study.executors import InProcess
from contagion.study.fragility import CRITERIA, FIGURES, HALVINGS, Fragility, Plan, carry_out, fragility
from tests.scenarios import CASCADE

KEY = "shocks.0.quantity"
STEP = (2_000 - 50) / 5


@cache
def cascade() -> Fragility:
    return fragility(cg.loads(CASCADE), KEY, 50, 2_000, points=6, seeds=[0])


def figures(quantity: float) -> dict[str, Any]:
    facts: dict[str, Any] = cg.run(cg.loads(CASCADE, {KEY: quantity}), twins=False).facts
    return facts


def test_every_point_is_a_run_of_its_size() -> None:
    for point in cascade().facts["points"][::7]:
        own = figures(point["size"])
        assert point["figures"]["total_losses.net"]["mean"] == pytest.approx(own["total_losses"]["net"])
        assert point["figures"]["cascade_depth"]["mean"] == own["cascade_depth"]
        assert point["branching_ratio"] == own["branching_ratio"]


def test_the_smallest_shock_that_leaves_a_loss_is_between_one_that_does_and_one_that_does_not() -> None:
    found = cascade().facts["smallest"]["unfunded"]
    assert figures(found["size"])["total_losses"]["unfunded"] > 0
    assert figures(found["not_at"])["total_losses"]["unfunded"] == 0
    assert 0 < found["size"] - found["not_at"] <= STEP / 2**HALVINGS + 1e-4
    assert found["holds_beyond"]


def test_the_smallest_shock_that_leaves_a_loss_is_the_one_of_the_closed_form() -> None:
    """Two loans are closed against one pool: U > 0 when what 1,000 ether fetch pays less than the second needs."""
    reserve, dollars, debts = 10_000.0, 20_000_000.0, (760_000.0, 725_000.0)

    def unfunded(quantity: float) -> float:
        price = dollars * reserve / (reserve + quantity) ** 2
        short = 0.0
        for debt in debts:  # both are read at the price that the shock alone leaves, see the run's first generation
            short += max(debt - 500 * price / 1.05, 0.0)
        return short

    low, high = 50.0, 2_000.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if unfunded(middle) > 0 else (middle, high)
    found = cascade().facts["smallest"]["unfunded"]
    assert found["not_at"] < high <= found["size"]


def test_growth_is_where_the_first_failure_sets_off_the_second_and_not_where_the_shock_breaks_both() -> None:
    found = cascade().facts["smallest"]["growth"]
    assert [figures(found[key])["generations"] for key in ("not_at", "size")] == [[1], [1, 1]]
    assert not found["holds_beyond"]
    assert figures(2_000)["generations"] == [2]


def stub(*generations: tuple[float, list[int]], unfunded: float = 0.0) -> Fragility:
    """Return a study of shocks of given sizes, one seed each, with given numbers of failures by generation."""
    sizes = [Decimal(str(size)) for size, _ in generations]
    plan = Plan(cg.loads(CASCADE), KEY, sizes[0], sizes[-1], 2, (0,))
    figures = dict.fromkeys(FIGURES, 0.0) | {"total_losses.unfunded": unfunded}
    runs = {}
    for size, (_, failed) in zip(sizes, generations, strict=True):
        first, second = [*failed, 0, 0][:2]
        runs[size] = [{"size": float(size), "seed": 0, "error": None, "first": first, "second": second,
                       **figures, "failures": sum(failed)}]  # fmt: skip
    return Fragility(plan, runs)


def test_a_long_cascade_has_a_majority_of_failures_set_off_by_failures_before_it_grows_at_once() -> None:
    result = stub((1, [4, 1]), (2, [4, 2, 2]), (3, [4, 4]), (4, [4, 1]))
    smallest = result.facts["smallest"]
    assert smallest["majority"] == {"size": 2.0, "not_at": 1.0, "holds_beyond": False}
    assert smallest["growth"] == {"size": 3.0, "not_at": 2.0, "holds_beyond": False}
    assert [point["branching_ratio"] for point in result.facts["points"]] == pytest.approx([0.2, 0.5, 0.5, 0.2])


def test_ratios_are_of_sums_over_all_seeds() -> None:
    one = stub((1, [1]), (2, [1, 3]))
    more = [dict(one.runs[Decimal(2)][0], seed=seed, first=9, second=0, failures=9) for seed in (1, 2)]
    both = Fragility(one.plan, {**one.runs, Decimal(2): [*one.runs[Decimal(2)], *more]})
    assert both.point(Decimal(2))["offspring"] == 3 / 19
    assert both.point(Decimal(2))["branching_ratio"] == pytest.approx(3 / 22)
    assert both.point(Decimal(2))["figures"]["failures"]["most"] == 9


def test_a_smaller_number_may_be_the_more_severe_shock() -> None:
    model = cg.loads(CASCADE.replace("quantity = 350", "size = -0.05").partition("[reduced]")[0], {})
    result = fragility(model, "shocks.0.size", "-0.01", "-0.3", points=5, seeds=[0])
    found = result.facts["smallest"]["growth"]
    assert [point["size"] for point in result.facts["points"]] == sorted(
        (point["size"] for point in result.facts["points"]), reverse=True
    )
    # the pool's price falls with the square of the reserve: 293 ether sold are 5.6%
    assert found["size"] == pytest.approx(1 / (1 + 0.0293) ** 2 - 1, abs=0.002)


def test_what_breaks_nowhere_has_no_smallest_shock_and_needs_no_halving() -> None:
    result = fragility(cg.loads(CASCADE), KEY, 1, 100, points=4, seeds=[0])
    assert result.facts["smallest"] == dict.fromkeys(CRITERIA)
    assert result.facts["runs"] == 4
    assert [point["offspring"] for point in result.facts["points"]] == [None] * 4


def test_what_breaks_at_the_mildest_size_is_said_to_break_there() -> None:
    found = fragility(cg.loads(CASCADE), KEY, 300, 400, points=2, seeds=[0]).facts["smallest"]["growth"]
    assert found == {"size": 300.0, "not_at": None, "holds_beyond": True}


def test_runs_are_counted_up_to_the_most_that_there_can_be() -> None:
    told: list[tuple[int, int]] = []
    plan = Plan(cg.loads(CASCADE), KEY, Decimal(50), Decimal(2_000), 3, (0,))
    result = carry_out(plan, InProcess(), lambda done, most: told.append((done, most)))
    assert [done for done, _ in told] == list(range(1, len(result.rows) + 1))
    assert {most for _, most in told} == {plan.most_runs} == {3 + 3 * HALVINGS}


def test_a_run_that_fails_is_a_row_with_its_error_and_is_in_no_mean(tmp_path: Path) -> None:
    brittle = CASCADE + '\n[nodes.vase]\nkind = "tests.kinds.brittle"\nbreaks_on = [1]\n'
    model = cg.loads(brittle, allow_code=True)
    result = fragility(model, KEY, 10, 20, points=2, seeds=[0, 1], allow_code=True)
    assert (result.failed, result.facts["errors"]) == (2, ["ArithmeticError: seed 1 is too much for me"])
    assert [point["figures"]["total_losses.net"]["count"] for point in result.facts["points"]] == [1, 1]
    result.save(tmp_path)
    with open(tmp_path / "fragility.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["size"], row["seed"], row["failures"]) for row in rows] == [
        ("10.0", "0", "0.0"), ("10.0", "1", ""), ("20.0", "0", "0.0"), ("20.0", "1", ""),
    ]  # fmt: skip


def test_where_all_runs_fail_nothing_is_known() -> None:
    brittle = CASCADE + '\n[nodes.vase]\nkind = "tests.kinds.brittle"\nbreaks_on = [1]\n'
    result = fragility(cg.loads(brittle, allow_code=True), KEY, 10, 20, points=2, seeds=[1], allow_code=True)
    assert result.facts["smallest"] == dict.fromkeys(CRITERIA)
    assert {point["unfunded_share"] for point in result.facts["points"]} == {None}


@pytest.mark.parametrize(
    ("key", "start", "end", "words"),
    [
        ("shoks.0.quantity", 1, 2, "did you mean 'shocks'"),
        ("shocks.0.quantety", 1, 2, "did you mean 'quantity'"),
        ("shocks.3.quantity", 1, 2, "there is no item '3'"),
        (KEY, 10, -1, "greater than or equal to 0"),
        (KEY, 5, 5, "at different sizes"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(key: str, start: int, end: int, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        fragility(cg.loads(CASCADE), key, start, end)


def test_sizes_are_evenly_spaced_and_exact() -> None:
    plan = Plan(cg.loads(CASCADE), KEY, Decimal("0.1"), Decimal("0.3"), 3, (0,))
    assert [str(size) for size in plan.sizes] == ["0.1", "0.2", "0.3"]
    assert math.isclose(float(Plan(cg.loads(CASCADE), KEY, Decimal(0), Decimal(1), 4, (0,)).sizes[1]), 0.333333333)


def test_sizes_that_differ_in_their_last_digits_stay_apart_and_the_ends_are_as_they_were_stated() -> None:
    start, end = Decimal("6000000000.123"), Decimal("6000000010.123")
    plan = Plan(cg.loads(CASCADE), KEY, start, end, 11, (0,))
    assert [size - start for size in plan.sizes] == list(range(11))
    found = fragility(cg.loads(CASCADE), KEY, "349.99999999", "350.00000001", points=3, seeds=[0])
    assert len(found.rows) == 3 and found.sizes[0] == Decimal("349.99999999")
