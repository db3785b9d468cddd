"""Signals, inboxes and feeds: who hears what, when and in which order."""

from collections import defaultdict
from typing import Any

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from contagion.log import Channel, EventLog, Failure
from contagion.ports import Feed, Inbox, Message, Process, Signal, Tick


def listen(env: simpy.Environment, inbox: Inbox, heard: list[tuple[float, int]]) -> Process:
    while True:
        yield inbox.wait()
        heard += [(env.now, cause) for cause, _ in inbox.take()]


FIRINGS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2)), max_size=15)


@given(FIRINGS, st.lists(st.integers(0, 15), min_size=3, max_size=3))
def test_an_inbox_hears_an_event_exactly_its_latency_after_it_fires(
    firings: list[tuple[int, int]], latencies: list[int]
) -> None:
    env, heard = simpy.Environment(), []
    inbox, signals = Inbox(env), [Signal(env) for _ in latencies]
    for signal, latency_us in zip(signals, latencies, strict=True):
        signal.reach(inbox, latency_us)

    def fire() -> Process:
        for cause, (time_us, signal) in enumerate(sorted(firings)):
            yield env.timeout(time_us - env.now)
            signals[signal].fire(cause)

    env.process(fire())
    env.process(listen(env, inbox, heard))
    env.run()
    expected = [(time_us + latencies[signal], cause) for cause, (time_us, signal) in enumerate(sorted(firings))]
    assert sorted(heard) == sorted(expected)
    assert [time_us for time_us, _ in heard] == sorted(time_us for time_us, _ in heard)


@given(FIRINGS, st.integers(0, 15), st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_a_busy_owner_misses_nothing_and_reads_in_the_order_of_events(
    firings: list[tuple[int, int]], latency_us: int, naps: list[int]
) -> None:
    env, read = simpy.Environment(), []
    inbox, signals = Inbox(env), [Signal(env) for _ in range(3)]
    for number, signal in enumerate(signals):
        signal.reach(inbox, latency_us * number)

    def fire() -> Process:
        for cause, (time_us, signal) in enumerate(sorted(firings)):
            yield env.timeout(time_us - env.now)
            signals[signal].fire(cause)

    def owner() -> Process:
        while True:
            yield inbox.wait()
            yield env.timeout(naps[len(read) % len(naps)])
            read.append([cause for cause, _ in inbox.take()])

    env.process(fire())
    env.process(owner())
    env.run()
    assert all(causes == sorted(causes) and causes for causes in read)
    assert sorted(cause for causes in read for cause in causes) == list(range(len(firings)))


def test_what_arrives_in_one_microsecond_arrives_together_whichever_way_it_came() -> None:
    env, batches = simpy.Environment(), []
    inbox, near, far = Inbox(env), Signal(env), Signal(env)
    near.reach(inbox, 2)
    far.reach(inbox, 5)

    def owner() -> Process:
        while True:
            cause = yield inbox.wait()
            batches.append((env.now, cause, inbox.take()))

    def fire() -> Process:
        far.fire(3, "far")
        yield env.timeout(3)
        near.fire(4, "near")
        near.fire(4, "again")

    env.process(owner())
    env.process(fire())
    env.run()
    assert batches == [(5, 3, [Message(3, "far"), Message(4, "near"), Message(4, "again")])]


def test_a_listener_without_latency_acts_at_the_same_time_but_after_the_sender_has_finished() -> None:
    env, order = simpy.Environment(), []
    signal, inbox = Signal(env), Inbox(env)
    signal.reach(inbox)

    def sender() -> Process:
        yield env.timeout(4)
        signal.fire(1)
        order.append(("sender", env.now))

    def listener() -> Process:
        yield inbox.wait()
        order.append(("listener", env.now))

    env.process(listener())
    env.process(sender())
    env.run()
    assert order == [("sender", 4), ("listener", 4)]


def test_whoever_waits_when_there_is_a_message_goes_on_at_once() -> None:
    env, heard = simpy.Environment(), []
    signal, inbox = Signal(env), Inbox(env)
    signal.reach(inbox, 1)
    signal.fire(7)
    env.run()

    def late() -> Process:
        yield env.timeout(8)
        cause = yield inbox.wait()
        heard.append((env.now, cause))

    env.process(late())
    env.run()
    assert heard == [(9, 7)]


def test_an_abandoned_wait_loses_no_message() -> None:
    env, heard = simpy.Environment(), []
    signal, inbox = Signal(env), Inbox(env)
    signal.reach(inbox, 10)
    signal.fire(7)

    def impatient() -> Process:
        yield inbox.wait() | env.timeout(3)
        heard.append((env.now, inbox.take()))
        yield env.timeout(20)
        cause = yield inbox.wait()
        heard.append((env.now, cause))

    env.process(impatient())
    env.run()
    assert heard == [(3, []), (23, 7)]


def test_either_of_two_waits_can_win() -> None:
    env, heard = simpy.Environment(), []
    signal, inbox = Signal(env), Inbox(env)
    signal.reach(inbox, 2)
    signal.fire(7)

    def patient() -> Process:
        yield inbox.wait() | env.timeout(3)
        heard.append((env.now, inbox.take()))

    env.process(patient())
    env.run()
    assert heard == [(2, [Message(7, None)])]


def test_an_error_of_a_listener_stops_the_run() -> None:
    env = simpy.Environment()
    signal, inbox = Signal(env), Inbox(env)
    signal.reach(inbox, 2)

    def broken() -> Process:
        yield inbox.wait()
        raise ZeroDivisionError

    env.process(broken())
    signal.fire(1)
    with pytest.raises(ZeroDivisionError):
        env.run()


def test_a_signal_that_nobody_hears_costs_no_event() -> None:
    env = simpy.Environment()
    Signal(env).fire(1)
    assert env.peek() == float("inf")


def new_feed() -> tuple[simpy.Environment, EventLog, Feed, Inbox]:
    env, log = simpy.Environment(), EventLog()
    log.append_root(0, "clock", -1, -1)
    feed, inbox = Feed(env, log, 5, 2, 100), Inbox(env)
    feed.changed.reach(inbox, 1)
    return env, log, feed, inbox


def rows(log: EventLog) -> list[tuple[Any, ...]]:
    columns = log.prices.columns()
    return list(zip(*(columns[name].tolist() for name in ("event", "price", "delta", "channel")), strict=True))


def test_a_move_is_logged_explained_and_told() -> None:
    env, log, feed, inbox = new_feed()
    failure = log.append_failure(0, "liquidation", 0, 0, Failure(1.5, 1.0, 0))
    feed.move(90, failure, Channel.LENDING_LIQUIDATION, (7, 8))
    env.run()
    assert rows(log) == [(0, 100, 0, 0), (1, 90, -10, Channel.LENDING_LIQUIDATION)]
    assert log.prices.row(1)["bid_depth"] == 7
    assert (feed.mark.generations, feed.mark.exogenous) == (-15.0, 0)
    assert inbox.take() == [Message(1, Tick(5, 2, feed.mark, 0))]


def test_a_price_that_stays_is_not_told() -> None:
    env, log, feed, inbox = new_feed()
    feed.move(100, log.append(0, "trade", 0, 0), Channel.ARBITRAGE)
    env.run()
    assert (inbox.take(), len(log.prices)) == ([], 1)


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(1, 6)), min_size=1, max_size=8), st.integers(1, 200))
def test_the_rows_of_a_feed_add_up_to_its_price_by_channel(moves: list[tuple[int, int]], last: int) -> None:
    _, log, source, _ = new_feed()
    reader = Feed(simpy.Environment(), log, 6, 2, 100)
    for price, channel in moves:
        source.move(price, log.append(0, "trade", 0, 0), channel)
    reader.follow(last, log.append(0, "oracle-update", 0, 0), [(source.opened, source.mark, 1_000_000)])
    columns = log.prices.columns()
    for feed in (source, reader):
        deltas: dict[int, int] = defaultdict(int)
        chosen = columns["market"] == feed.market
        for channel, delta in zip(columns["channel"][chosen].tolist(), columns["delta"][chosen].tolist(), strict=True):
            deltas[channel] += delta
        assert tuple(deltas[channel] for channel in Channel) == feed.mark.channels
        assert columns["price"][chosen].tolist()[-1] == feed.mark.price
