"""The engine with plain holders: streams, refusals, causes, ties, generations, time."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.finance.branching import Exposure, first_mark, moved
from contagion.ledger import Asset, Ledger, Refused
from contagion.log import CLOCK
from contagion.network import Network, Node
from contagion.ports import Process, Signal
from contagion.simulation import Simulation

NAMES = ("ann", "bob", "cat")
WORLD = len(NAMES)


def simulation(*more: str, **options: Any) -> Simulation:
    """Return holders in a simulation; the world has the last id and issues the only asset."""
    holders = [Node(name, "account", "defi", "fund", {}) for name in sorted((*NAMES, *more))]
    network = Network((*holders, Node("world", "world", "outside", "world", {})), ())
    ledger = Ledger(network.names, [Asset("usd", 2, frozenset({len(holders)}))])
    return Simulation(network, ledger, **options)


def column(sim: Simulation, name: str) -> list[int]:
    values: list[int] = sim.log.events.columns()[name].tolist()
    return values


# Random streams.


@given(st.text(max_size=20), st.integers(0, 2**63))
def test_a_stream_depends_on_the_seed_and_the_name_alone(name: str, seed: int) -> None:
    here, there = simulation(seed=seed), simulation("bystander", seed=seed)
    there.rng("bystander").random(100)
    there.rng(name).random(3)
    assert here.rng(name).random(5).tolist() == there.rng(name).random(5).tolist()


def test_other_names_and_other_seeds_have_other_streams() -> None:
    draws = {simulation(seed=seed).rng(name).random() for seed in range(3) for name in ("ann", "bob", "ann ")}
    assert len(draws) == 9


# Transactions.


def test_a_refused_transaction_changes_and_logs_nothing() -> None:
    sim = simulation()
    seen: list[int] = []
    sim.observer = seen.append
    sim.transact("payment", 0, (WORLD, 0, -5), (0, 0, 5), cause=CLOCK)
    before = sim.log.digest(), [list(row) for row in sim.ledger.balances]
    with pytest.raises(Refused, match="ann is short"):
        sim.transact("payment", 0, (0, 0, -6), (1, 0, 6), cause=CLOCK)
    with pytest.raises(Refused, match="ann is short"):
        sim.shock(0, (0, 0, -6), (1, 0, 6))
    assert (sim.log.digest(), sim.ledger.balances) == before
    assert seen == [1]


def test_nothing_happens_without_a_cause() -> None:
    sim = simulation()
    with pytest.raises(TypeError, match="cause"):
        sim.transact("payment", 0, (WORLD, 0, -5), (0, 0, 5))  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="cause"):
        sim.record("note", 0)  # type: ignore[call-arg]
    with pytest.raises(AssertionError, match="earlier cause"):
        sim.record("note", 0, cause=1)


@given(st.lists(st.tuples(st.integers(0, WORLD), st.integers(0, WORLD), st.integers(0, 50)), max_size=30))
def test_replaying_the_postings_gives_the_balances(payments: list[tuple[int, int, int]]) -> None:
    sim = simulation()
    for payer, payee, amount in payments:
        try:
            sim.transact("payment", payer, (payer, 0, -amount), (payee, 0, amount), cause=CLOCK)
        except Refused:
            sim.record("refusal", payer, cause=CLOCK)
    balances = [[0] for _ in sim.network.names]
    postings = sim.log.postings.columns()
    for holder, amount in zip(postings["holder"].tolist(), postings["amount"].tolist(), strict=True):
        balances[holder][0] += amount
    assert balances == sim.ledger.balances
    assert len(sim.log.events) == 1 + len(payments)


def test_a_contributor_comes_first() -> None:
    sim = simulation()
    event = sim.record("note", 0, cause=CLOCK)
    sim.contribute(event, CLOCK, 0.5)
    with pytest.raises(AssertionError, match="comes before"):
        sim.contribute(event, event)
    assert sim.log.contributions.row(0) == {"event": 1, "contributor": 0, "weight": 0.5}


# Failures.


def test_each_failure_on_the_way_adds_one_generation() -> None:
    sim = simulation()
    shock = sim.shock(WORLD)
    first = sim.record("liquidation", 0, cause=shock)
    second = sim.record("default", 1, cause=sim.record("trade", WORLD, cause=first))
    third = sim.record("de-peg", 2, cause=second)
    assert [column(sim, "generation")[event] for event in (shock, first, second, third)] == [0, 1, 2, 3]
    assert [sim.log.weighted_generation(event) for event in (first, second, third)] == [1.0, 2.0, 3.0]
    assert sim.log.failure_table.columns()["exogenous"].tolist() == [1.0, 0.0, 0.0]


def test_a_failure_that_knows_its_losses_takes_the_weighted_generation_of_them() -> None:
    sim, opened = simulation(), first_mark(100, 0, 2)
    first = sim.record("liquidation", 0, cause=sim.shock(WORLD))
    fallen = moved(moved(opened, 90, 1, 0, 0.0, True), 70, first, 1, sim.log.weighted_generation(first), False)
    second = sim.record("liquidation", 1, cause=first, exposures=[Exposure(3, opened, fallen)], value=12)
    facts = sim.log.failure_table.row(1)
    assert facts == {"event": second, "weighted": pytest.approx(5 / 3), "exogenous": pytest.approx(1 / 3), "value": 12}
    assert sim.log.weighted_generation(second) == facts["weighted"]


def test_a_repeated_failure_is_flagged_and_not_counted() -> None:
    sim = simulation()
    shock = sim.shock(WORLD)
    for kind, node, member in [("liquidation", 0, 3), ("liquidation", 0, 3), ("liquidation", 0, 4), ("default", 0, 3)]:
        sim.record(kind, node, cause=shock, member=member)
    assert column(sim, "first") == [0, 0, 1, 0, 1, 1]
    assert column(sim, "generation") == [0, 0, 1, 0, 1, 1]
    assert sim.log.failure_table.columns()["event"].tolist() == [2, 4, 5]


def test_what_acts_by_the_clock_alone_is_exogenous() -> None:
    sim = simulation()
    assert sim.log.is_exogenous(sim.record("rate", 0, cause=CLOCK))
    assert column(sim, "generation") == [0, 0]


# Time and ties.


def meeting(guests: int, **options: Any) -> Simulation:
    """Return a run in which guests note the same microsecond and then whoever hears of it answers, twice over."""
    sim = simulation(**options)
    started, inboxes = Signal(sim.env), [sim.inbox() for _ in range(guests)]

    def note(guest: int) -> Process:
        yield sim.env.timeout(10)
        event = sim.record("note", WORLD, cause=CLOCK, member=guest)
        started.fire(event)

    def answer(guest: int) -> Process:
        while True:
            yield inboxes[guest].wait()
            for cause, _ in inboxes[guest].take():
                sim.record("answer", WORLD, cause=cause, member=guest)

    for guest in range(guests):
        started.reach(inboxes[guest], guest % 2)
        sim.start(note(guest))
        sim.start(answer(guest))
    sim.run(20)
    return sim


def notes(sim: Simulation) -> list[int]:
    kind = sim.log.kinds["note"]
    return [member for member, k in zip(column(sim, "member"), column(sim, "kind"), strict=True) if k == kind]


def test_ties_happen_in_the_order_in_which_they_were_scheduled() -> None:
    assert notes(meeting(12)) == list(range(12))


def test_shuffled_ties_happen_in_an_order_that_the_seed_determines() -> None:
    orders = [notes(meeting(12, shuffle_ties=True, seed=seed)) for seed in range(5)]
    assert orders == [notes(meeting(12, shuffle_ties=True, seed=seed)) for seed in range(5)]
    assert len({tuple(order) for order in [*orders, list(range(12))]}) == 6
    assert all(sorted(order) == list(range(12)) for order in orders)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_an_effect_never_precedes_its_cause(seed: int, shuffle: bool) -> None:
    sim = meeting(6, seed=seed, shuffle_ties=shuffle)
    causes, times, members = (column(sim, name) for name in ("cause", "time_us", "member"))
    kinds = column(sim, "kind")
    assert len(causes) == 1 + 6 + 6 * 6
    assert times == sorted(times)
    for event in range(1, len(causes)):
        assert causes[event] < event
        if kinds[event] == sim.log.kinds["answer"]:
            assert times[event] - times[causes[event]] == members[event] % 2


def test_the_same_seed_gives_the_same_digest_and_logging_has_no_say() -> None:
    digests = {meeting(5, seed=3, shuffle_ties=True, row_budget=budget).log.digest() for budget in (None, 0, 10**6)}
    assert len(digests) == 1


def test_what_is_due_exactly_at_the_end_still_happens() -> None:
    sim = simulation()

    def act() -> Process:
        for _ in range(3):
            yield sim.env.timeout(5)
            sim.record("note", 0, cause=CLOCK)

    sim.start(act())
    sim.run(10)
    assert column(sim, "time_us") == [0, 5, 10]


@pytest.mark.parametrize(("twin", "expected"), [("base", 7), ("rounds", 0)])
def test_only_the_rounds_twin_takes_away_the_delays_of_mechanisms(twin: str, expected: int) -> None:
    sim = simulation(twin=twin)

    def act() -> Process:
        yield sim.pause(7)
        sim.record("note", 0, cause=CLOCK)

    sim.start(act())
    sim.run(10)
    assert column(sim, "time_us") == [0, expected]


def test_the_first_feed_of_a_node_keeps_its_name() -> None:
    sim = simulation()
    claim = sim.add_asset(Asset("claim", 2, frozenset({1})))
    feeds = [sim.feed(0, 0, 100), sim.feed(0, claim, 200), sim.claim_feed(claim, 0, 300), sim.feed(1, 0, 400)]
    assert [sim.feed_names[feed.market] for feed in feeds] == ["ann", "ann/claim", "claim", "bob"]
    assert sim.underlying == {claim: 0}
    assert [sim.feeds[feed.market, feed.asset] for feed in feeds] == feeds
