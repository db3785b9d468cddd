"""Who sets off whom, on logs that can be read at a glance and on random ones."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contagion.log import Channel
from contagion.metrics import cascade
from contagion.metrics.offspring import Offspring, arrivals, branching, offspring, parents
from tests.handmade import KINDS, events, failed

SHOCK = {"kind": "shock", "cause": 0}
FORCED, EXOGENOUS = int(Channel.LENDING_LIQUIDATION), int(Channel.EXOGENOUS)

LOG = events(
    SHOCK,  # 1
    {"kind": "trade", "cause": 1, "channel": EXOGENOUS},  # 2
    {"kind": "liquidation", "cause": 2, "node": 1, "channel": FORCED},  # 3: defi, by the shock's sale
    {"kind": "trade", "cause": 3, "channel": FORCED},  # 4
    {"kind": "oracle-update", "cause": 4},  # 5
    {"kind": "close-out", "cause": 5, "node": 2},  # 6: cefi, because of 3, by its forced sale
    {"kind": "close-out", "cause": 5, "node": 3},  # 7: cefi, because of 3
    {"kind": "default", "cause": 6, "node": 4},  # 8: defi, because of 6, over no market
    {"kind": "default", "cause": 0, "node": 5},  # 9: cefi, by the clock
)
DOMAINS = ["outside", "defi", "cefi", "cefi", "defi", "cefi"]


def at_stake(log: Any, kinds: list[str]) -> Any:
    """Return a failures table in which ten times the number of its event is at stake in each."""
    return failed(*((event, 1.0, 0.0, 10 * event) for event in cascade.failures(log, kinds).tolist()))


def by_domain(log: Any, kinds: list[str], domains: list[str]) -> Offspring:
    return branching(log, at_stake(log, kinds), kinds, domains)["by_domain"]


def by_channel(log: Any, kinds: list[str]) -> Offspring:
    domains = ["defi"] * (int(log["node"].max()) + 1)
    return branching(log, at_stake(log, kinds), kinds, domains)["by_channel"]


def test_children_are_counted_from_the_type_of_the_parent_to_that_of_the_child() -> None:
    found = by_domain(LOG, KINDS, DOMAINS)
    assert found.types == ["cefi", "defi"]
    assert found.failures.tolist() == [3, 2]
    assert found.children.tolist() == [[0, 1], [2, 0], [1, 1]]
    assert found.values.tolist() == [[0, 80], [130, 0], [90, 30]]


def test_the_spectral_radius_is_that_of_children_over_parents() -> None:
    """An on-chain failure sets off one at exchanges, each of which sets off a third of one on chain."""
    found = by_domain(LOG, KINDS, DOMAINS)
    assert found.radius == pytest.approx(np.sqrt(2 / 2 * 1 / 3))
    assert found.facts(unit=0.1)["sets_off"] == {
        "cefi": {"defi": {"failures": 1, "each": pytest.approx(1 / 3), "value": 8}},
        "defi": {"cefi": {"failures": 2, "each": 1.0, "value": 13}},
        "shock": {"cefi": {"failures": 1, "each": None, "value": 9}, "defi": {"failures": 1, "each": None, "value": 3}},
    }


def test_the_channel_of_a_failure_is_the_last_one_between_what_set_it_off_and_itself() -> None:
    assert arrivals(LOG, KINDS).tolist() == [EXOGENOUS, FORCED, FORCED, Channel.NONE, Channel.NONE]
    found = by_channel(LOG, KINDS)
    assert found.types == ["direct", "exogenous", "lending liquidation"]
    assert found.children.tolist() == [[0, 0, 0], [0, 0, 2], [1, 0, 0], [1, 1, 0]]
    assert found.radius == 0


def test_a_shock_without_a_trade_of_its_own_is_exogenous_all_the_same() -> None:
    log = events(SHOCK, {"kind": "oracle-update", "cause": 1}, {"kind": "liquidation", "cause": 2, "node": 1})
    assert arrivals(log, KINDS).tolist() == [EXOGENOUS]


def test_the_first_generation_may_set_off_more_than_itself_and_the_whole_cascade_may_not() -> None:
    two_then_four = [{"kind": "default", "cause": 1, "node": n} for n in (1, 2)]
    children = [{"kind": "default", "cause": 2 + n // 2, "node": 3 + n} for n in range(4)]
    log = events(SHOCK, *two_then_four, *children)
    found = by_domain(log, KINDS, ["defi"] * 8)
    assert found.first_radius == 2.0
    assert found.radius == pytest.approx(4 / 6)


def test_without_failures_there_is_nobody_to_set_off() -> None:
    found = by_channel(events(SHOCK), KINDS)
    assert (found.types, found.radius, found.first_radius) == ([], 0.0, 0.0)
    assert found.facts()["sets_off"] == {}


@st.composite
def logs(draw: st.DrawFn) -> tuple[Any, list[str]]:
    """Draw a log of a shock, failures and trades with arbitrary earlier causes, and the domain of every node."""
    size = draw(st.integers(1, 30))
    rows: list[dict[str, Any]] = [SHOCK]
    for place in range(2, size + 2):
        kind = draw(st.sampled_from(["default", "liquidation", "trade"]))
        rows.append({"kind": kind, "cause": draw(st.integers(0, place - 1)), "node": place,
                     "channel": draw(st.integers(0, 5))})  # fmt: skip
    return events(*rows), draw(st.lists(st.sampled_from("abc"), min_size=size + 2, max_size=size + 2))


@given(logs())
def test_no_cascade_that_has_ended_has_a_radius_of_one(drawn: tuple[Any, list[str]]) -> None:
    log, domains = drawn
    for found in (by_domain(log, KINDS, domains), by_channel(log, KINDS)):
        assert 0 <= found.radius < 1
        assert found.failures.sum() == len(cascade.failures(log, KINDS))


@given(logs())
def test_with_one_type_the_radius_is_the_branching_ratio_and_at_first_the_ratio_of_generations(drawn: Any) -> None:
    log, _ = drawn
    one = np.zeros(len(cascade.failures(log, KINDS)), np.int64)
    found = offspring(parents(log, KINDS), one, ["any"], one.astype(np.float64))
    sizes = [*cascade.generations(log, KINDS), 0, 0]
    assert found.radius == pytest.approx(cascade.branching_ratio(log, KINDS) or 0.0)
    assert found.first_radius == pytest.approx(sizes[1] / sizes[0] if sizes[0] else 0.0)
