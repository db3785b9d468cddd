"""Depth, branching and spillover of logs that can be read at a glance."""

import pytest

from contagion.metrics import cascade
from tests.handmade import KINDS, contributions, events, failed

START = {"kind": "start", "cause": 0}
SHOCK = {"kind": "shock", "cause": 0}

CHAIN = events(
    START,  # 1
    SHOCK,  # 2
    {"kind": "trade", "cause": 2},  # 3
    {"kind": "liquidation", "cause": 3, "node": 1},  # 4
    {"kind": "trade", "cause": 4},  # 5
    {"kind": "oracle-update", "cause": 5},  # 6
    {"kind": "liquidation", "cause": 6, "node": 2},  # 7
    {"kind": "liquidation", "cause": 3, "node": 3},  # 8
)
"""A shock sets off two liquidations, one of which sets off a third."""


def test_trigger_depth_is_one_more_than_that_of_the_nearest_failure_above() -> None:
    assert cascade.failures(CHAIN, KINDS).tolist() == [4, 7, 8]
    assert cascade.trigger_depths(CHAIN, KINDS).tolist() == [1, 2, 1]


def test_trades_and_oracle_updates_let_generations_pass() -> None:
    assert cascade.origins(CHAIN, KINDS).tolist() == [0, 0, 2, 2, 4, 4, 4, 7, 8]


def test_round_sizes_count_failures_by_trigger_depth() -> None:
    assert cascade.generations(CHAIN, KINDS) == [2, 1]


def test_the_branching_ratio_is_the_share_that_a_failure_set_off() -> None:
    assert cascade.branching_ratio(CHAIN, KINDS) == pytest.approx(1 / 3)


def test_a_repeat_is_not_counted_and_passes_the_generation_on() -> None:
    log = events(
        SHOCK,  # 1
        {"kind": "liquidation", "cause": 1, "node": 1},  # 2
        {"kind": "liquidation", "cause": 2, "node": 2},  # 3
        {"kind": "liquidation", "cause": 3, "node": 1, "first": 0},  # 4: node 1 again
        {"kind": "liquidation", "cause": 4, "node": 3},  # 5
    )
    assert cascade.failures(log, KINDS).tolist() == [2, 3, 5]
    assert cascade.trigger_depths(log, KINDS).tolist() == [1, 2, 3]
    assert cascade.generations(log, KINDS) == [1, 1, 1]


def test_a_second_shock_starts_again_at_one() -> None:
    log = events(
        SHOCK,  # 1
        {"kind": "liquidation", "cause": 1, "node": 1},  # 2
        {"kind": "shock", "cause": 0},  # 3
        {"kind": "default", "cause": 3, "node": 2},  # 4
        {"kind": "default", "cause": 2, "node": 3},  # 5
    )
    assert cascade.trigger_depths(log, KINDS).tolist() == [1, 1, 2]


def test_what_the_clock_sets_off_has_depth_one() -> None:
    log = events({"kind": "de-peg", "cause": 0}, {"kind": "default", "cause": 1, "node": 1})
    assert cascade.trigger_depths(log, KINDS).tolist() == [1, 2]
    assert cascade.branching_ratio(log, KINDS) == 0.5


def test_without_failures_there_is_no_depth_and_no_ratio() -> None:
    log = events(START, SHOCK, {"kind": "trade", "cause": 2})
    assert cascade.generations(log, KINDS) == []
    assert cascade.branching_ratio(log, KINDS) is None
    assert cascade.weighted_depth(failed()) is None
    assert cascade.weighted_branching(failed()) is None


def test_a_log_that_knows_no_failure_or_shock_by_name_has_none() -> None:
    log = events(START, {"kind": "trade", "cause": 1})
    assert cascade.generations(log, KINDS[:4]) == []
    assert cascade.origins(log, ["clock", "start", "other", "trade"]).tolist() == [0, 0, 0]


def test_weighted_depth_is_a_mean_by_value_at_stake() -> None:
    assert cascade.weighted_depth(failed((4, 1.0, 1.0, 100), (7, 2.0, 0.5, 300))) == {"mean": 1.75, "p95": 2.0}


def test_weighted_depth_counts_all_alike_where_no_value_is_known() -> None:
    assert cascade.weighted_depth(failed((4, 1.0, 1.0, 0), (7, 2.0, 0.5, 0))) == {"mean": 1.5, "p95": 2.0}


def test_the_95th_percentile_is_by_value_and_not_by_number() -> None:
    few = failed((4, 1.0, 1.0, 96), (7, 9.0, 0.0, 4))
    assert cascade.weighted_depth(few) == {"mean": pytest.approx(1.32), "p95": 1.0}
    more = failed((4, 9.0, 0.0, 6), (7, 1.0, 1.0, 94))
    assert cascade.weighted_depth(more) == {"mean": pytest.approx(1.48), "p95": 9.0}


def test_the_weighted_branching_ratio_is_what_is_not_exogenous() -> None:
    assert cascade.weighted_branching(failed((4, 1.0, 1.0, 9), (7, 2.0, 0.25, 1))) == 0.375


def test_spillover_counts_failures_and_values_from_domain_to_domain() -> None:
    log = events(
        SHOCK,  # 1
        {"kind": "liquidation", "cause": 1, "node": 1},  # 2: defi
        {"kind": "trade", "cause": 2, "node": 0},  # 3
        {"kind": "close-out", "cause": 3, "node": 2},  # 4: cefi, because of 2
        {"kind": "close-out", "cause": 4, "node": 3},  # 5: cefi, because of 4
        {"kind": "liquidation", "cause": 5, "node": 4},  # 6: defi, because of 5
        {"kind": "close-out", "cause": 1, "node": 5},  # 7: cefi, because of the shock
    )
    table = cascade.spillover(
        log,
        failed((2, 1.0, 1.0, 10), (4, 2.0, 0.0, 20), (5, 3.0, 0.0, 40), (6, 4.0, 0.0, 80), (7, 1.0, 1.0, 160)),
        KINDS,
        ["outside", "defi", "cefi", "cefi", "defi", "cefi"],
    )
    assert table == {
        "shock": {"defi": {"failures": 1, "value": 10}, "cefi": {"failures": 1, "value": 160}},
        "defi": {"cefi": {"failures": 1, "value": 20}},
        "cefi": {"cefi": {"failures": 1, "value": 40}, "defi": {"failures": 1, "value": 80}},
    }


def test_dag_depth_follows_causes_and_contributions_to_the_deepest_parent() -> None:
    log = events(
        SHOCK,  # 1
        {"kind": "default", "cause": 1, "node": 1},  # 2
        {"kind": "default", "cause": 2, "node": 2},  # 3
        {"kind": "default", "cause": 3, "node": 3},  # 4
        {"kind": "trade", "cause": 4},  # 5
        {"kind": "default", "cause": 2, "node": 4},  # 6: set off by 2, needed 5 as well
    )
    parents = contributions((6, 5))
    assert cascade.dag_depths(log, parents, KINDS) == {2: 1, 3: 2, 4: 3, 6: 4}
    assert cascade.dag_depths(log, contributions(), KINDS) == {2: 1, 3: 2, 4: 3, 6: 2}
    assert cascade.trigger_depths(log, KINDS).tolist() == [1, 2, 3, 2]
