"""Trigger depth and weighted depth, by hand and by properties."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contagion.finance.branching import (
    Exposure,
    Mark,
    averaged,
    first_mark,
    followed,
    moved,
    weighted_generation,
)
from contagion.log import EventLog, Failure
from contagion.units import PPM

SHOCK, SALE, CHANNELS = 0, 1, 4
OPENED = first_mark(100, 0, CHANNELS)
MOVES = st.lists(
    st.tuples(st.integers(1, 10**15), st.integers(0, CHANNELS - 1), st.floats(0, 50), st.booleans()),
    min_size=1,
    max_size=12,
)


def path(moves: list[tuple[int, int, float, bool]], first: int = 10**9) -> list[Mark]:
    """Return the marks of a price that moves so, the first mark included."""
    marks = [first_mark(first, 0, CHANNELS)]
    for event, (price, channel, generation, exogenous) in enumerate(moves, 1):
        marks.append(moved(marks[-1], price, event, channel, generation, exogenous))
    return marks


def explained(mark: Mark, first: int = 10**9) -> bool:
    return sum(mark.channels) == mark.price - first


# Trigger depth: one more than the nearest failure or shock above.


def test_trigger_depth_counts_the_failures_on_the_way_and_nothing_else() -> None:
    log, facts = EventLog(), Failure(1.0, 1.0, 0)
    clock = log.append_root(0, "clock", -1, -1)
    shock = log.append_root(1, "shock", 0, clock)
    first = log.append_failure(2, "liquidation", 1, shock, facts)
    trade = log.append(2, "trade", 0, first)
    update = log.append(3, "oracle-update", 2, trade)
    second = log.append_failure(4, "de-peg", 3, update, facts)
    other = log.append_failure(4, "liquidation", 4, shock, facts)
    log.append_failure(5, "default", 5, log.append_root(5, "shock", 0, second), facts)
    depths = [log.depths[event].generation for event in range(len(log.events))]
    assert depths == [0, 0, 1, 1, 1, 2, 1, 0, 1]
    assert [log.is_exogenous(event) for event in (shock, trade, update, other)] == [True, False, False, False]


def test_an_engine_that_polls_late_takes_the_first_mark_that_flips_it() -> None:
    """The price passes 90 by the shock and 80 by a sale: an account at 85 is the sale's, however late the poll."""
    log = EventLog()
    shock = log.append_root(1, "shock", 0, log.append_root(0, "clock", -1, -1))
    first = log.append_failure(2, "liquidation", 1, shock, Failure(1.0, 1.0, 0))
    marks = [(shock, 90), (log.append(2, "trade", 0, first), 80), (log.append_root(3, "shock", 0, 0), 70)]
    cause = next(event for event, price in marks if price <= 85)
    polled = log.append_failure(9, "liquidation", 2, cause, Failure(1.0, 1.0, 0))
    assert log.depths[polled].generation == 2


# Weighted depth.


def test_a_shock_alone_makes_a_first_generation() -> None:
    now = moved(OPENED, 90, 1, SHOCK, 0.0, True)
    assert weighted_generation([Exposure(5, OPENED, now)]) == (1.0, 1.0)


def test_half_by_the_shock_and_half_by_a_first_failure_is_one_and_a_half() -> None:
    shocked = moved(OPENED, 90, 1, SHOCK, 0.0, True)
    sold = moved(shocked, 80, 3, SALE, 1.0, False)
    assert weighted_generation([Exposure(5, OPENED, sold)]) == (1.5, 0.5)


def test_several_trades_before_one_poll_mix_by_their_increments() -> None:
    """Ten by the shock, ten by a generation of 1, twenty by one of 1.5: 1 + (10 + 30) / 40, a quarter exogenous."""
    marks = [moved(OPENED, 90, 1, SHOCK, 0.0, True)]
    marks.append(moved(marks[-1], 80, 3, SALE, 1.0, False))
    marks.append(moved(marks[-1], 60, 5, SALE, 1.5, False))
    assert weighted_generation([Exposure(5, OPENED, marks[-1])]) == (2.0, 0.25)


def test_only_what_moved_since_the_opening_counts() -> None:
    shocked = moved(OPENED, 90, 1, SHOCK, 0.0, True)
    sold = moved(shocked, 80, 3, SALE, 1.0, False)
    assert weighted_generation([Exposure(5, shocked, sold)]) == (2.0, 0.0)


def test_exposures_weigh_by_what_they_lost_and_a_debt_loses_when_its_price_rises() -> None:
    fallen, risen = moved(OPENED, 90, 1, SHOCK, 0.0, True), moved(OPENED, 130, 2, SALE, 2.0, False)
    assert weighted_generation([Exposure(3, OPENED, fallen), Exposure(-1, OPENED, risen)]) == (2.0, 0.5)


def test_a_failed_counterparty_enters_with_its_loss_as_weight() -> None:
    shocked = moved(OPENED, 90, 1, SHOCK, 0.0, True)
    assert weighted_generation([Exposure(1, OPENED, shocked)], [(30, 2.0, False)]) == (2.5, 0.25)
    assert weighted_generation([], [(10, 0.0, True), (10, 1.0, False)]) == (1.5, 0.5)


def test_a_failure_that_lost_nothing_is_a_first_generation() -> None:
    assert weighted_generation([Exposure(5, OPENED, OPENED)]) == (1.0, 1.0)
    assert weighted_generation([Exposure(5, OPENED, moved(OPENED, 110, 1, SALE, 7.0, False))]) == (1.0, 1.0)
    assert weighted_generation([]) == (1.0, 1.0)


def test_a_recovery_by_one_force_cannot_push_the_ratios_out_of_range() -> None:
    """The shock takes 30, a deep failure's purchase gives 20 back: all of the loss is exogenous, none is deep."""
    shocked = moved(OPENED, 70, 1, SHOCK, 0.0, True)
    bought = moved(shocked, 90, 2, SALE, 3.0, False)
    assert weighted_generation([Exposure(1, OPENED, bought)]) == (1.0, 1.0)
    lifted = moved(OPENED, 120, 1, SHOCK, 0.0, True)
    sold = moved(lifted, 90, 2, SALE, 3.0, False)
    assert weighted_generation([Exposure(1, OPENED, sold)], highest=3.0) == (4.0, 0.0)


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), MOVES), max_size=4),
    st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 50), st.booleans()), max_size=3),
    st.floats(0, 50),
)
def test_the_ratios_stay_in_range(
    held: list[tuple[float, list[tuple[int, int, float, bool]]]],
    direct: list[tuple[float, float, bool]],
    highest: float,
) -> None:
    exposures = [Exposure(quantity, marks[0], marks[-1]) for quantity, moves in held for marks in [path(moves)]]
    weighted, exogenous = weighted_generation(exposures, direct, highest)
    assert 1.0 <= weighted <= 1.0 + highest
    assert 0.0 <= exogenous <= 1.0


@given(MOVES, st.integers(1, 9))
def test_the_ratios_do_not_depend_on_the_unit_of_the_quantity(
    moves: list[tuple[int, int, float, bool]], scale: int
) -> None:
    marks = path(moves)
    once = weighted_generation([Exposure(2, marks[0], marks[-1])])
    assert weighted_generation([Exposure(2 * 10**scale, marks[0], marks[-1])]) == pytest.approx(once)


# Discretisation.


def cascade(steps: int) -> tuple[int, float, int]:
    """Return (trigger depth, mean weighted generation, failures) of a fall by 400 in so many steps.

    An account fails at every tenth price below 1,000 and its sale moves the price by 6.
    """
    unit = 1_000_000
    mark = opened = first_mark(1_000 * unit, 0, CHANNELS)
    levels = [(990 - 10 * i) * unit for i in range(99)]
    generations: list[int] = []
    weights: list[float] = []
    falls = [400 * unit // steps] * steps
    for price in accumulate(falls, initial=0):
        if not price:
            continue
        pending = [(0, 0.0)]
        for generation, weighted in pending:
            fall = 6 * unit if generation else falls[0]
            mark = moved(mark, mark.price - fall, 1, min(generation, 1), weighted, generation == 0)
            while len(weights) < len(levels) and levels[len(weights)] >= mark.price:
                weights.append(weighted_generation([Exposure(1, opened, mark)])[0])
                generations.append(generation + 1)
                pending.append((generation + 1, weights[-1]))
    assert sum(mark.channels) == mark.price - opened.price
    return max(generations), sum(weights) / len(weights), len(weights)


def test_weighted_depth_hardly_depends_on_the_steps_of_a_shock_and_trigger_depth_does() -> None:
    (coarse, rough, failures), (medium, fair, _), (fine, smooth, same) = map(cascade, (20, 200, 2_000))
    assert failures == same == 98
    assert rough == pytest.approx(smooth, rel=0.1)
    assert fair == pytest.approx(smooth, rel=0.01)
    assert (coarse, medium, fine) == (3, 1, 1)


def test_one_jump_is_deep_by_trigger_and_shallow_by_weight() -> None:
    """In a jump everything the shock passed is a first generation and the rest hangs on chains of sales."""
    jump, smooth = cascade(1), cascade(2_000)
    assert jump[2] == smooth[2]
    assert jump[0] == 9 * smooth[0]
    assert 1.0 < jump[1] < 0.7 * smooth[1]


# Channels explain the price.


@given(MOVES)
def test_the_channels_of_a_mark_sum_to_its_move(moves: list[tuple[int, int, float, bool]]) -> None:
    assert all(explained(mark) for mark in path(moves))


@given(MOVES)
def test_what_has_no_failure_behind_it_is_summed_apart(moves: list[tuple[int, int, float, bool]]) -> None:
    marks = path(moves)
    outside = sum(b.price - a.price for a, b, move in zip(marks, marks[1:], moves, strict=False) if move[3])
    assert marks[-1].exogenous == outside


@given(
    st.lists(st.tuples(MOVES, st.integers(0, 2 * PPM)), min_size=1, max_size=3),
    st.lists(st.integers(1, 10**15), min_size=1, max_size=4),
)
def test_a_reader_of_capped_and_weighted_sources_still_explains_its_whole_price(
    sources: list[tuple[list[tuple[int, int, float, bool]], int]], prices: list[int]
) -> None:
    """The reader's price is free here: a cap, a floor, a deviation, an index."""
    paths = [(path(moves), weight) for moves, weight in sources]
    reader, read = first_mark(10**9, 0, CHANNELS), [marks[0] for marks, _ in paths]
    for turn, price in enumerate(prices):
        now = [marks[min(turn + 1, len(marks) - 1)] for marks, _ in paths]
        steps = [(a, b, weight) for a, b, (_, weight) in zip(read, now, paths, strict=True)]
        reader, read = followed(reader, price, turn, steps), now
        assert (reader.price, reader.event) == (price, turn)
        assert explained(reader)


@given(MOVES)
def test_an_exact_reader_has_the_channels_of_its_source(moves: list[tuple[int, int, float, bool]]) -> None:
    marks = path(moves)
    reader = followed(marks[0], marks[-1].price, 9, [(marks[0], marks[-1], PPM)])
    if marks[-1].price != marks[0].price:
        assert reader.channels == pytest.approx(marks[-1].channels, abs=2, rel=1e-12)
        assert reader.generations == pytest.approx(marks[-1].generations, rel=1e-9, abs=1e-3)
        assert reader.exogenous == pytest.approx(marks[-1].exogenous, rel=1e-12, abs=2)


def test_a_cap_takes_the_same_share_of_every_force() -> None:
    source = moved(moved(OPENED, 160, 1, SHOCK, 0.0, True), 180, 2, SALE, 2.0, False)
    capped = followed(OPENED, 140, 3, [(OPENED, source, PPM)])
    assert capped == Mark(140, 3, 20.0, 30, (30, 10, 0, 0))


def test_an_index_takes_from_each_source_by_weight() -> None:
    shocked, sold = moved(OPENED, 80, 1, SHOCK, 0.0, True), moved(OPENED, 60, 2, SALE, 1.0, False)
    index = followed(OPENED, 75, 3, [(OPENED, shocked, 3 * PPM // 4), (OPENED, sold, PPM // 4)])
    assert index == Mark(75, 3, -10.0, -15, (-15, -10, 0, 0))


def test_a_reader_that_moves_by_itself_is_put_down_to_no_force() -> None:
    assert followed(OPENED, 99, 3, [(OPENED, OPENED, PPM)]) == Mark(99, 3, 0.0, 0, (-1, 0, 0, 0))


@given(MOVES, st.lists(st.integers(1, 10**9), min_size=13, max_size=13))
def test_a_mean_of_marks_explains_its_whole_price(
    moves: list[tuple[int, int, float, bool]], weights: list[int]
) -> None:
    marks = path(moves)
    mean = averaged(list(zip(marks, weights, strict=False)), 7)
    prices = [mark.price for mark in marks]
    assert min(prices) <= mean.price <= max(prices)
    assert explained(mean)


def test_a_mean_weighs_by_duration() -> None:
    sold = moved(OPENED, 60, 2, SALE, 1.5, False)
    assert averaged([(OPENED, 3), (sold, 1)], 7) == Mark(90, 7, -15.0, 0, (0, -10, 0, 0))
