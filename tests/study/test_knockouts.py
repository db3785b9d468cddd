"""Runs with and without a mechanism, on the same random numbers."""

import io
import re
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import cache
from typing import Any

import pytest

import contagion as cg
from contagion.errors import BadInput
from contagion.study import knockouts
from contagion.study.executors import InProcess, local
from contagion.study.knockouts import Attribution, Plan, attribute, carry_out
from contagion.study.twins import run
from contagion.terminal.console import console_on
from contagion.terminal.knockouts import attribution_text
from tests.scenarios import CASCADE

BRITTLE = CASCADE + '\n[nodes.vase]\nkind = "tests.kinds.brittle"\nbreaks_on = [1]\n'
NET, FAILURES, LOW = "total_losses.net", "failures", "prices.pool.low"


class Backwards(Executor):
    """Runs nothing before it is asked, and then what came last first."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        outer = self

        class Lazy(Future[Any]):
            def exception(self, timeout: float | None = None) -> BaseException | None:
                while outer._waiting:
                    future, task = outer._waiting.pop()
                    future.set_result(task())
                return super().exception(timeout)

        future = Lazy()
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        return future


@cache
def loops() -> Attribution:
    model = cg.load("usde-loops", reduced=True)
    return attribute(model, ["loops", "pool-oracle"], seeds=[1, 2], shapley=["loops", "pool-oracle"], twins=False)


def effect(result: Attribution, name: str, figure: str) -> dict[str, Any]:
    row: dict[str, Any] = next(row for row in result.facts["knock_outs"] if row["name"] == name)["figures"][figure]
    return row


def test_without_liquidators_nothing_fails_and_the_difference_says_so() -> None:
    result = attribute(cg.loads(CASCADE), seeds=range(3))
    row = effect(result, "liquidators", FAILURES)
    assert (row["base"], row["without"], row["difference"]) == (2.0, 0.0, -2.0)
    assert (row["low"], row["high"], row["same_sign"], row["count"]) == (-2.0, -2.0, 1.0, 3)
    assert effect(result, "liquidators", "cascade_depth_weighted.mean")["without"] == 0.0
    assert effect(result, "liquidators", "total_losses.amplification")["without"] == pytest.approx(1.0)


def test_each_pair_is_two_runs_of_one_seed() -> None:
    result = loops()
    for row in result.rows:
        removed = row["knock_out"].split("+") if row["knock_out"] else []
        model = cg.load("usde-loops", reduced=True)
        again = run(model, seed=row["seed"], knock_outs=removed, twins=False)
        assert (row["digest"], row[NET]) == (again.manifest["digest"], again.summary.total_losses.net)


def test_a_knock_out_may_raise_a_figure_and_its_sign_is_kept() -> None:
    model = cg.loads(CASCADE)
    result = attribute(model, ["liquidators"], seeds=[0], markets=["pool"])
    assert effect(result, "liquidators", LOW)["difference"] > 0
    assert effect(result, "liquidators", "prices.pool.drawdown")["difference"] < 0


def test_the_numbers_do_not_depend_on_who_makes_the_runs_or_in_which_order() -> None:
    model = cg.loads(CASCADE)
    plan = Plan(model, (("liquidators",), ("first",)), (3, 4), markets=("pool",))
    with local(2) as pool:
        results = [carry_out(plan, executor) for executor in (InProcess(), Backwards(), pool)]
    assert results[0].rows == results[1].rows == results[2].rows
    assert results[0].facts == results[1].facts == results[2].facts


def test_the_same_names_in_another_order_are_one_run() -> None:
    plan = Plan(cg.loads(CASCADE), (("first", "second"), ("second", "first"), ("first",)), (0,), ("first", "second"))
    assert plan.removals == [(), ("first", "second"), ("first",), ("second",)]
    assert plan.runs == 4


def test_shapley_values_sum_to_the_effect_of_removing_all_and_come_with_the_interaction() -> None:
    shares = loops().facts["shapley"]
    for figure, whole in shares["all"].items():
        parts = [shares["values"][player][figure]["mean"] for player in shares["players"]]
        if whole["difference"] is not None:
            assert sum(parts) == pytest.approx(whole["difference"], rel=1e-9, abs=1e-6)
    alone = [effect(loops(), name, NET)["difference"] for name in ("loops", "pool-oracle")]
    joint = shares["interaction"][NET]["mean"]
    assert joint == pytest.approx(shares["all"][NET]["difference"] - sum(alone))
    assert joint > 1e6


def test_beyond_twelve_names_orders_are_sampled_and_shares_still_sum_to_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of two names there are two orders, so that shares of many are the exact ones but for how often each was drawn."""
    exact = loops().facts["shapley"]
    monkeypatch.setattr(knockouts, "MOST_EXACT", 1)
    names = ["loops", "pool-oracle"]
    found = attribute(cg.load("usde-loops", reduced=True), names, seeds=[1, 2], shapley=names, twins=False, orders=40)
    shares = found.facts["shapley"]
    assert (exact["orders"], shares["orders"], len(found.plan.removals)) == (None, 40, 4)
    for name in names:
        error = shares["order_errors"][name][NET]
        assert exact["order_errors"][name][NET] == 0 < error
        assert abs(shares["values"][name][NET]["mean"] - exact["values"][name][NET]["mean"]) < 4 * error
    whole = sum(shares["values"][name][NET]["mean"] for name in names)
    assert whole == pytest.approx(shares["all"][NET]["difference"])
    assert shares["interaction"] == exact["interaction"]
    text = attribution_text(console_on(io.StringIO()), found.facts, {})
    assert "Shapley, 40 random orders" in text
    assert "Net loss" in text and "Amplification" not in text  # without twins nothing is known of it
    assert re.search(r"loops +± \S", text)


def test_names_removed_together_have_an_interaction_where_each_is_removed_alone_as_well() -> None:
    model = cg.loads(CASCADE)
    both = attribute(model, ["first+second", "first", "second"], seeds=[0]).facts["knock_outs"][0]
    assert both["removes"] == ["first", "second"]
    single = attribute(model, ["first+second", "first"], seeds=[0]).facts["knock_outs"][0]
    assert both["interaction"] is not None
    assert single["interaction"] is None
    assert single["figures"] == both["figures"]


def test_a_run_that_fails_is_a_row_with_its_error_and_its_pair_is_left_out() -> None:
    model = cg.loads(BRITTLE, allow_code=True)
    result = attribute(model, ["liquidators", "vase"], seeds=[0, 1, 2], allow_code=True)
    failed = [(row["seed"], row["knock_out"]) for row in result.rows if row["error"]]
    assert failed == [(1, ""), (1, "liquidators")]
    assert result.failed == result.facts["failed"] == 2
    assert result.facts["errors"] == ["ArithmeticError: seed 1 is too much for me"]
    assert effect(result, "liquidators", FAILURES)["count"] == 2
    assert effect(result, "vase", FAILURES)["count"] == 2
    assert effect(result, "vase", FAILURES)["difference"] == 0.0


def test_without_twins_there_is_no_amplification() -> None:
    row = effect(attribute(cg.loads(CASCADE), seeds=[0], twins=False), "liquidators", "total_losses.amplification")
    assert (row["base"], row["without"], row["difference"], row["count"]) == (None, None, None, 0)


def test_a_pattern_stands_for_the_worst_of_its_matches() -> None:
    model = cg.load("venue-crash", {"horizon": "5min", "nodes.traders.count": 500}, reduced=True)
    result = attribute(model, ["traders"], seeds=[1], markets=["*-spot", "xrp-spot", "doge-spot"], twins=False)
    row = result.rows[0]
    assert row["prices.*-spot.drawdown"] >= max(row["prices.xrp-spot.drawdown"], row["prices.doge-spot.drawdown"]) > 0
    assert row["prices.*.drawdown"] >= row["prices.*-spot.drawdown"]
    assert "prices.*-spot.low" not in row


def test_a_graph_built_in_python_is_compared_as_well() -> None:
    graph = cg.loads(CASCADE).graph()
    rows = attribute(graph, seeds=[0]).rows
    assert rows == attribute(cg.loads(CASCADE), seeds=[0]).rows
    assert {"keeper", "first", "second"} <= set(graph)


def test_everything_that_cannot_be_compared_is_said_at_once() -> None:
    model = cg.loads(CASCADE)
    with pytest.raises(BadInput) as caught:
        attribute(model, ["liquidator", "keepr", "usd"], markets=["poool"])
    text = str(caught.value).splitlines()
    assert "did you mean 'liquidators'?" in text[0]
    assert "did you mean 'keeper'?" in text[1]
    assert all("without usd: " in line for line in text[2:-1])
    assert "--market: no market 'poool'; did you mean 'pool'?" in text[-1]
    with pytest.raises(BadInput, match="1 orders give no standard error"):
        attribute(model, shapley=["first"], orders=1)
    without_switches = CASCADE.partition("[switches.liquidators]")[0]
    with pytest.raises(BadInput, match="has no switches"):
        attribute(cg.loads(without_switches))
