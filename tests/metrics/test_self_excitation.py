"""What failures' times alone say beside what their causes say."""

import numpy as np
import pytest

from contagion.metrics.self_excitation import apparent_branching

SECOND = 1_000_000


KINDS = ["shock", "liquidation"]


def log_of(moments: list[float], causes: list[int]) -> dict[str, np.ndarray]:
    """Return a shock, event 0, and liquidations at these seconds by these events."""
    count = len(moments)
    return {
        "kind": np.array([0, *[1] * count]), "first": np.array([0, *[1] * count]),
        "generation": np.array([0, *[1] * count]), "cause": np.array([-1, *causes]),
        "time_us": np.array([0, *(round(moment * SECOND) for moment in moments)]),
    }  # fmt: skip


def test_failures_that_one_shock_bunches_look_as_if_they_set_each_other_off() -> None:
    """Bursts of ten failures within a second, none of which another has caused."""
    rng = np.random.default_rng(3)
    moments = sorted((100 * burst + rng.uniform(1, 2, 10)).tolist() for burst in range(20))
    flat = [moment for burst in moments for moment in burst]
    found = apparent_branching(log_of(flat, [0] * 200), KINDS, 2_000 * SECOND)
    assert found.causal == 0
    assert found.apparent > 0.8 and found.apparent > 4 * found.error
    assert 0.1 < found.memory_s < 2


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_failures_at_a_constant_rate_do_not_whatever_caused_them(seed: int) -> None:
    moments = sorted(np.random.default_rng(seed).uniform(1, 1_000, 300).tolist())
    found = apparent_branching(log_of(moments, list(range(300))), KINDS, 1_000 * SECOND)
    assert found.causal == pytest.approx(1 - 1 / 300)
    assert found.apparent < 3 * found.error


def test_failures_of_one_moment_count_once_and_repeats_not_at_all() -> None:
    events = log_of([1, 1, 1, 5, 9], [0] * 5)
    events["first"][4] = 0
    found = apparent_branching(events, KINDS, 10 * SECOND)
    assert found.times == 2
    with pytest.raises(ValueError, match="at least two"):
        apparent_branching(log_of([1, 1], [0, 0]), KINDS, 10 * SECOND)
