"""What failures' times alone say beside what their causes say."""

import numpy as np
import pytest

from contagion.metrics.self_excitation import apparent_branching

SECOND = 1_000_000


def log_of(moments: list[float], causes: list[int]) -> dict[str, np.ndarray]:
    count = len(moments)
    return {
        "kind": np.zeros(count, np.int64), "first": np.ones(count, np.int8), "generation": np.ones(count, np.int64),
        "time_us": np.array([round(moment * SECOND) for moment in moments]), "cause": np.array(causes),
    }  # fmt: skip


def test_failures_that_one_shock_bunches_look_as_if_they_set_each_other_off() -> None:
    """Bursts of ten failures within a second, none of which another has caused."""
    rng = np.random.default_rng(3)
    moments = sorted((100 * burst + rng.uniform(1, 2, 10)).tolist() for burst in range(20))
    flat = [moment for burst in moments for moment in burst]
    found = apparent_branching(log_of(flat, [-1] * 200), ["liquidation", "shock"], 2_000 * SECOND)
    assert found.causal == 0
    assert found.apparent > 0.8 and found.apparent > 4 * found.error
    assert 0.1 < found.memory_s < 2


def test_failures_at_a_constant_rate_do_not_whatever_caused_them() -> None:
    moments = sorted(np.random.default_rng(4).uniform(1, 1_000, 300).tolist())
    found = apparent_branching(log_of(moments, [-1, *range(299)]), ["liquidation", "shock"], 1_000 * SECOND)
    assert found.causal == pytest.approx(1 - 1 / 300)
    assert found.apparent < 0.2


def test_failures_of_one_moment_count_once_and_repeats_not_at_all() -> None:
    events = log_of([1, 1, 1, 5, 9], [-1] * 5)
    events["first"][3] = 0
    found = apparent_branching(events, ["liquidation", "shock"], 10 * SECOND)
    assert found.times == 2
    with pytest.raises(ValueError, match="at least two"):
        apparent_branching(log_of([1, 1], [-1, -1]), ["liquidation"], 10 * SECOND)
