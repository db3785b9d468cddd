"""Cascades of defaults and of counts, against the published cases and slow ones in any order."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, csr_array

from contagion.finance.threshold import Cascade, borne, furfine, threshold_cascade
from tests import slow_distress
from tests.cases import published, third_party

System = tuple[NDArray[np.int64], NDArray[np.int64], list[int]]
EXAMPLES = 40
FURFINE = [published("FF-01"), published("FF-02")]
DEF_01 = published("DEF-01")


@st.composite
def systems(draw: st.DrawFn) -> System:
    """Return exposures, equity and seeds of some banks in integers small enough for ties."""
    count = draw(st.integers(1, 8))
    cells = st.lists(st.sampled_from([0, 0, 0, 1, 2, 3]), min_size=count, max_size=count)
    exposures = np.array(draw(st.lists(cells, min_size=count, max_size=count)))
    equity = np.array(draw(st.lists(st.integers(1, 6), min_size=count, max_size=count)))
    return exposures, equity, draw(st.lists(st.integers(0, count - 1), max_size=3))


def failed(found: Cascade) -> list[int]:
    return np.flatnonzero(found.wave >= 0).tolist()


# Published cases.


@pytest.mark.parametrize("case", FURFINE, ids=lambda case: case["id"])
@pytest.mark.parametrize("matrix", [np.array, csr_array, csc_array, coo_array])
def test_six_banks_default_in_the_published_waves(case: dict[str, Any], matrix: Callable[[Any], Any]) -> None:
    inputs, expected = case["inputs"], case["expected"]
    found = furfine(matrix(inputs["X"]), inputs["capital"], inputs["initial"], loss_given_default=inputs["LGD"])
    assert [wave.tolist() for wave in found.waves] == expected["waves"]
    assert (found.depth, failed(found)) == (expected["depth"], expected["defaulted"])
    assert found.losses == pytest.approx(expected["loss"], rel=case["tolerance"]["rtol"])
    by_equity, excess = borne(found, inputs["capital"])
    assert by_equity == pytest.approx(expected["equity_loss_nonseed"], rel=case["tolerance"]["rtol"])
    assert excess == pytest.approx(expected["excess_over_capital_nonseed"], rel=case["tolerance"]["rtol"])


def test_ten_nodes_fail_in_the_canonical_rounds() -> None:
    inputs, expected = DEF_01["inputs"], DEF_01["expected"]
    names = sorted({name for edge in inputs["edges"] for name in edge})
    sources, targets = zip(*[map(names.index, edge) for edge in inputs["edges"]], strict=True)
    graph = csr_array((np.ones(len(sources)), (sources, targets)), shape=(len(names), len(names)))
    thresholds = [inputs["need"].get(name, 1) for name in names]
    found = threshold_cascade(graph, thresholds, [names.index(seed) for seed in inputs["seeds"]])
    depths = {name: depth for name, depth in zip(names, found.wave.tolist(), strict=True) if depth >= 0}
    assert depths == expected["canonical_depth"]
    assert (found.depth, found.sizes.tolist()) == (expected["D_canonical"], expected["round_sizes"])
    assert 1 - found.sizes[0] / found.sizes.sum() == pytest.approx(expected["n_hat"])


def test_the_default_cascades_of_125_banks_cost_what_the_package_prints() -> None:
    case, system = third_party("DR-04"), third_party("DR-03")["inputs"]
    creditor, debtor, amount = zip(*system["edges_i_j_exposure"], strict=True)
    exposures = csc_array((amount, (creditor, debtor)), shape=(system["n"], system["n"]))
    equity, weights = np.array(system["buffer"]), np.array(system["weights"]) / np.sum(system["weights"])
    within = {"rel": case["tolerance"]["rtol"], "abs": case["tolerance"]["atol"]}
    for row, printed in zip(case["expected"]["top10"], case["expected"]["readme_top10_rounded"], strict=True):
        bank = int(row["scenario"][1:]) - 1
        found = furfine(exposures, equity, [bank], loss_given_default=1, insolvent_at_zero=True)
        lost = np.minimum(np.eye(len(equity))[bank] + found.losses / equity, 1)
        assert weights @ lost - weights[bank] == pytest.approx(row["additional_stress"], **within)
        assert found.losses.sum() == pytest.approx(row["additional_losses"], **within)
        assert found.sizes[1:].sum() == row["additional_defaults"] == printed[5]


@pytest.mark.parametrize("alpha", published("NV-01")["inputs"]["alpha"])
def test_a_ring_of_three_ends_with_the_published_equities(alpha: float) -> None:
    """A bank without equity is in default: at 0.1 one of them is, and at 0.2 another."""
    case = published("NV-01")
    ring = [[0, 0.5, 0], [0, 0, 0.5], [0.5, 0, 0]]
    equity = 1 - alpha * np.array([10, 5, 3])
    seeds = np.flatnonzero(equity <= 0)
    found = furfine(ring, equity, seeds, loss_given_default=1, insolvent_at_zero=True)
    assert equity - found.losses == pytest.approx(case["expected"][str(alpha)]["fur"], abs=1e-9)


# What a cascade is.


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems(), st.booleans(), st.randoms(use_true_random=False))
def test_the_same_banks_fail_and_lose_the_same_in_any_order(system: System, at_zero: bool, rng: random.Random) -> None:
    exposures, equity, seeds = system
    slow, losses = slow_distress.closure(exposures.tolist(), equity.tolist(), seeds, at_zero, rng)
    found = furfine(exposures, equity, seeds, loss_given_default=1, insolvent_at_zero=at_zero)
    assert failed(found) == sorted(slow)
    assert found.losses.tolist() == losses


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems(), st.booleans())
def test_a_bank_fails_in_the_first_round_after_its_losses_reach_its_equity(system: System, at_zero: bool) -> None:
    exposures, equity, seeds = system
    found = furfine(exposures, equity, seeds, loss_given_default=1, insolvent_at_zero=at_zero)
    for bank in np.flatnonzero(found.wave != 0):
        losses = [
            exposures[bank, (found.wave >= 0) & (found.wave < wave)].sum() for wave in range(len(found.sizes) + 1)
        ]
        fails = [wave for wave, loss in enumerate(losses) if (loss >= equity[bank] if at_zero else loss > equity[bank])]
        assert found.wave[bank] == (fails[0] if fails else -1)


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems())
def test_waves_sizes_and_depth_tell_the_same(system: System) -> None:
    exposures, equity, seeds = system
    found = furfine(exposures, equity, seeds, loss_given_default=1)
    assert [len(wave) for wave in found.waves] == found.sizes.tolist()
    assert all((found.wave[wave] == at).all() for at, wave in enumerate(found.waves))
    assert found.depth == max(found.wave.max(), 0)
    assert found.sizes.sum() == len(failed(found))
    assert np.all(found.sizes[1:] > 0)


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems())
def test_all_losses_are_claims_on_the_failed_and_somebody_bears_them(system: System) -> None:
    exposures, equity, seeds = system
    found = furfine(exposures, equity, seeds, loss_given_default=1)
    assert found.losses.tolist() == exposures[:, failed(found)].sum(axis=1).tolist()
    others = found.wave != 0
    by_equity, excess = borne(found, equity)
    assert by_equity + excess == found.losses[others].sum()
    assert by_equity <= equity[others].sum()
    assert (excess == 0) == bool(np.all(found.losses[others] <= equity[others]))


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems(), st.integers(1, 1000))
def test_the_unit_of_money_does_not_matter(system: System, scale: int) -> None:
    exposures, equity, seeds = system
    once = furfine(exposures, equity, seeds, loss_given_default=1, insolvent_at_zero=True)
    again = furfine(scale * exposures, scale * equity, seeds, loss_given_default=1, insolvent_at_zero=True)
    assert np.array_equal(once.wave, again.wave)
    assert np.array_equal(scale * once.losses, again.losses)


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems(), st.randoms(use_true_random=False))
def test_the_order_of_the_banks_does_not_matter(system: System, rng: random.Random) -> None:
    exposures, equity, seeds = system
    order = rng.sample(range(len(equity)), len(equity))
    found = furfine(exposures, equity, seeds, loss_given_default=1)
    moved = [order.index(seed) for seed in seeds]
    again = furfine(exposures[np.ix_(order, order)], equity[order], moved, loss_given_default=1)
    assert np.array_equal(again.wave, found.wave[order])
    assert np.array_equal(again.losses, found.losses[order])


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems(), st.sampled_from([0, 0.25, 0.5, 0.75]), st.integers(0, 7))
def test_more_banks_fail_with_more_seeds_and_with_less_recovery(system: System, rate: float, seed: int) -> None:
    exposures, equity, seeds = system
    found = furfine(exposures, equity, seeds, loss_given_default=rate)
    worse = furfine(exposures, equity, [*seeds, seed % len(equity)], loss_given_default=rate)
    worst = furfine(exposures, equity, [*seeds, seed % len(equity)], loss_given_default=1)
    assert set(failed(found)) <= set(failed(worse)) <= set(failed(worst))
    assert np.all(found.losses <= worse.losses) and np.all(worse.losses <= worst.losses)


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems(), st.lists(st.sampled_from([0, 0.25, 0.5, 1]), min_size=8, max_size=8))
def test_recovery_by_debtor_is_that_of_reduced_exposures(system: System, rates: list[float]) -> None:
    exposures, equity, seeds = system
    rate = np.array(rates[: len(equity)])
    found = furfine(exposures, equity, seeds, loss_given_default=rate)
    reduced = furfine(exposures * rate, equity, seeds, loss_given_default=1)
    assert np.array_equal(found.wave, reduced.wave)
    assert np.array_equal(found.losses, reduced.losses)


def test_a_tie_survives_unless_a_bank_without_equity_is_insolvent() -> None:
    exposures, equity = [[0, 0], [5, 0]], [1, 5]
    assert furfine(exposures, equity, [0], loss_given_default=1).depth == 0
    assert furfine(exposures, equity, [0], loss_given_default=1, insolvent_at_zero=True).depth == 1


def test_integers_tie_where_floats_would_not() -> None:
    """Three tenths are not the sum of a tenth and two tenths in floats, and they are in tenths."""
    tenths, floats = np.array([[0, 0, 0], [0, 0, 0], [1, 2, 0]]), np.array([[0, 0, 0], [0, 0, 0], [0.1, 0.2, 0]])
    assert furfine(tenths, [3, 3, 3], [0, 1], loss_given_default=1).depth == 0
    assert furfine(floats, [0.3, 0.3, 0.3], [0, 1], loss_given_default=1).depth == 1


def test_integers_stay_integers_beyond_the_reach_of_floats() -> None:
    large = 2**60
    found = furfine([[0, 0], [large + 1, 0]], [1, large], [0], loss_given_default=1)
    assert (found.losses.tolist(), found.depth) == ([0, large + 1], 1)


@pytest.mark.parametrize(("kind", "amount"), [(np.int8, 100), (np.int32, 2**31 - 1), (np.uint8, 200), (np.bool_, 1)])
def test_small_integers_are_summed_without_running_over(kind: Any, amount: int) -> None:
    exposures = np.zeros((3, 3), kind)
    exposures[2, :2] = amount
    found = furfine(exposures, [1, 1, amount], [0, 1], loss_given_default=1)
    assert (found.losses.tolist(), found.depth) == ([0, 0, 2 * amount], 1)


def test_single_precision_exposures_are_summed_in_double() -> None:
    exposures = csr_array(np.array([[0, 0, 0], [0, 0, 0], [2**24, 1, 0]], np.float32))
    assert furfine(exposures, [1, 1, 2**24], [0, 1], loss_given_default=1).depth == 1


# Counts of neighbours.


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems(), st.data())
def test_a_node_fails_when_enough_of_its_neighbours_have(system: System, data: st.DataObject) -> None:
    matrix, thresholds, seeds = system
    edges = [(int(u), int(v)) for u, v in np.argwhere(matrix)]
    slow, counts = slow_distress.levels(edges, thresholds.tolist(), seeds)
    found = threshold_cascade(csr_array(matrix), thresholds, seeds)
    assert {node: wave for node, wave in enumerate(found.wave.tolist()) if wave >= 0} == slow
    assert found.losses.tolist() == counts


@settings(max_examples=EXAMPLES, deadline=None)
@given(systems())
def test_a_count_is_a_loss_of_one_on_each_failed_neighbour(system: System) -> None:
    matrix, thresholds, seeds = system
    ones = (matrix > 0).astype(np.int64)
    counted = threshold_cascade(ones, thresholds, seeds)
    booked = furfine(ones.T, thresholds, seeds, loss_given_default=1, insolvent_at_zero=True)
    assert all(np.array_equal(a, b) for a, b in zip(counted, booked, strict=True))


@pytest.mark.parametrize("threshold", [1, 2, 3])
def test_a_random_graph_fails_by_rounds_as_a_queue_of_failures_does(threshold: int) -> None:
    rng, count = np.random.default_rng(threshold), 3000
    ends = rng.integers(0, count, (2, 4 * count))
    graph = csr_array((np.ones(8 * count), (np.r_[ends[0], ends[1]], np.r_[ends[1], ends[0]])), shape=(count, count))
    thresholds = np.full(count, threshold)
    found = threshold_cascade(graph, thresholds, range(100 * threshold))
    wave, counts = dict.fromkeys(range(100 * threshold), 0), [0] * count
    queue = list(wave)
    for node in queue:
        for other in graph.indices[graph.indptr[node] : graph.indptr[node + 1]].tolist():
            counts[other] += 1
            if other not in wave and counts[other] >= threshold:
                wave[other] = wave[node] + 1
                queue.append(other)
    assert found.losses.tolist() == counts
    assert {node: at for node, at in enumerate(found.wave.tolist()) if at >= 0} == wave
    assert found.depth > 1


def test_a_long_chain_fails_one_by_one() -> None:
    count = 2000
    chain = csr_array((np.ones(count - 1), (range(count - 1), range(1, count))), shape=(count, count))
    found = threshold_cascade(chain, np.ones(count), [0])
    assert found.wave.tolist() == list(range(count))


def test_nothing_fails_without_a_seed() -> None:
    found = threshold_cascade(np.ones((3, 3)), [1, 1, 1], [])
    assert (found.wave.tolist(), found.sizes.tolist(), found.depth) == ([-1, -1, -1], [0], 0)
    assert [wave.tolist() for wave in found.waves] == [[]]


# What is refused.


@pytest.mark.parametrize(
    ("exposures", "equity", "seeds", "rate", "words"),
    [
        ([[0, 1]], [1, 1], [0], 1, r"a matrix of shape \(1, 2\) for 2 nodes"),
        ([[0, 1], [1, 0]], [1, 1], [2], 1, "the seeds reach from 2 to 2; indices from 0 to 1"),
        ([[0, 1], [1, 0]], [1, 1], [-1], 1, "the seeds reach from -1"),
        ([[0, 1], [1, 0]], [1, 1], [0], 1.5, "loss given default is 1.5"),
        ([[0, 1], [1, 0]], [1, 1], [0], [1, 1, 1], "loss given default is .*one for each of 2"),
        ([[0, -1], [1, 0]], [1, 1], [0], 1, "an exposure is -1"),
        ([[0, np.nan], [1, 0]], [1, 1], [0], 1, "an exposure is nan"),
        ([[0, 1], [1, 0]], [1, np.nan], [0], 1, "the equity of bank 1 is nan"),
        ([[0, 1], [1, 0]], [1, -1], [0], 1, "1 of the 2 nodes fail before any loss .* such as 1 with equity -1"),
    ],
)
def test_figures_out_of_range_are_refused(exposures: Any, equity: Any, seeds: Any, rate: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        furfine(exposures, equity, seeds, loss_given_default=rate)


def test_who_has_no_equity_before_the_shock_is_a_seed_or_not_insolvent() -> None:
    exposures, equity = [[0, 0], [1, 0]], [0, 2]
    assert furfine(exposures, equity, [], loss_given_default=1).depth == 0
    assert furfine(exposures, equity, [0], loss_given_default=1, insolvent_at_zero=True).sizes.tolist() == [1]
    with pytest.raises(ValueError, match="such as 0 with equity 0: name them as seeds"):
        furfine(exposures, equity, [], loss_given_default=1, insolvent_at_zero=True)


def test_a_threshold_of_zero_is_a_seed() -> None:
    with pytest.raises(ValueError, match="such as 1 with threshold 0"):
        threshold_cascade(np.ones((2, 2)), [1, 0], [0])
