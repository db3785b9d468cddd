"""What one hop of contagion costs, against SimPy alone.

A *hop*: an event reaches a neighbour over an edge with latency and wakes it; it posts a transaction of two
legs, logs one row and fires its own signal. The peer is the least that SimPy can do for a ring of processes:
each waits on a shared event, then for the latency, then succeeds its neighbour's event; it moves no money and
remembers nothing. Both rings alternate in one run and the medians are compared.

    python benchmarks/hop.py [--quick]
"""

import argparse
import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter_ns

import simpy

from contagion.ledger import Asset, Ledger
from contagion.log import EventLog
from contagion.network import Edge, Network, Node
from contagion.ports import Inbox, Process, Signal
from contagion.simulation import Simulation

RING = 20
LATENCY_US = 7


def ring() -> tuple[Simulation, list[Inbox], list[Signal]]:
    """Return a simulation of accounts in a ring, with one inbox and one signal each; the last node is the world."""
    names = [f"account-{i:02}" for i in range(RING)]
    nodes = [Node(name, "account", "defi", "bank", {}) for name in names]
    edges = [Edge(f"{a}:claims:{names[(i + 1) % RING]}", "claims", i, (i + 1) % RING, LATENCY_US, {})
             for i, a in enumerate(names)]  # fmt: skip
    network = Network((*nodes, Node("world", "world", "outside", "world", {})), tuple(edges))
    ledger = Ledger(network.names, [Asset("usd", 6, frozenset({RING}))])
    sim = Simulation(network, ledger)
    inboxes, signals = [sim.inbox() for _ in names], [Signal(sim.env) for _ in names]
    for edge in network.edges:
        signals[edge.source].reach(inboxes[edge.target], edge.latency_us)
    sim.shock(RING, *[(RING, 0, -1_000_000 * RING)], *[(i, 0, 1_000_000) for i in range(RING)])
    return sim, inboxes, signals


def pass_on(sim: Simulation, node: int, inbox: Inbox, signal: Signal) -> Process:
    """Pay the next account a unit whenever a message arrives, and tell it."""
    following = (node + 1) % RING
    while True:
        yield inbox.wait()
        for cause, _ in inbox.take():
            event = sim.transact("payment", node, (node, 0, -1), (following, 0, 1), cause=cause, asset=0, quantity=1)
            signal.fire(event)


def contagion_ring(hops: int) -> float:
    """Return the nanoseconds of a hop of this engine."""
    sim, inboxes, signals = ring()
    for node in range(RING):
        sim.start(pass_on(sim, node, inboxes[node], signals[node]))
    signals[-1].fire(1)
    start = perf_counter_ns()
    sim.run(hops * LATENCY_US)
    spent = perf_counter_ns() - start
    assert len(sim.log.events) == hops + 2, "one row a hop, the clock and the shock"
    return spent / hops


def simpy_ring(hops: int) -> float:
    """Return the nanoseconds of a hop of SimPy alone."""
    env = simpy.Environment()
    events = [env.event() for _ in range(RING)]
    count = 0

    def pass_on(node: int) -> Process:
        nonlocal count
        following = (node + 1) % RING
        while True:
            yield events[node]
            events[node] = env.event()
            yield env.timeout(LATENCY_US)
            count += 1
            events[following].succeed()

    for node in range(RING):
        env.process(pass_on(node))
    events[0].succeed()
    start = perf_counter_ns()
    env.run(until=hops * LATENCY_US + 1)
    spent = perf_counter_ns() - start
    assert count == hops
    return spent / hops


def ledger_post(hops: int) -> float:
    """Return the nanoseconds of posting two legs."""
    ledger = ring()[0].ledger
    start = perf_counter_ns()
    for hop in range(hops):
        node = hop % RING
        ledger.post(((node, 0, -1), ((node + 1) % RING, 0, 1)))
    return (perf_counter_ns() - start) / hops


def log_row(hops: int) -> float:
    """Return the nanoseconds of one event row and its two postings."""
    log = EventLog()
    log.append_root(0, "clock", -1, -1)
    legs = ((0, 0, -1), (1, 0, 1))
    start = perf_counter_ns()
    for hop in range(hops):
        log.post(log.append(hop, "payment", 3, hop, asset=0, quantity=1), legs)
    return (perf_counter_ns() - start) / hops


def signal_only(hops: int) -> float:
    """Return the nanoseconds of a signal over an edge with latency, to a process that waits and passes it on."""
    sim, inboxes, signals = ring()

    def pass_on(node: int) -> Process:
        inbox, signal = inboxes[node], signals[node]
        while True:
            yield inbox.wait()
            for cause, _ in inbox.take():
                signal.fire(cause + 1)

    for node in range(RING):
        sim.start(pass_on(node))
    signals[-1].fire(1)
    start = perf_counter_ns()
    sim.run(hops * LATENCY_US)
    return (perf_counter_ns() - start) / hops


MEASURES: dict[str, Callable[[int], float]] = {
    "SimPy alone": simpy_ring,
    "contagion": contagion_ring,
    "  of which ledger: two legs": ledger_post,
    "  of which log: one row, two postings": log_row,
    "  of which signal: fire, wait, wake": signal_only,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds")
    hops, repetitions = (20_000, 3) if parser.parse_args().quick else (200_000, 9)
    spent: dict[str, list[float]] = {name: [] for name in MEASURES}
    for _ in range(repetitions):
        for name, measure in MEASURES.items():
            gc.collect()
            spent[name].append(measure(hops))
    medians = {name: median(values) for name, values in spent.items()}
    for name, value in medians.items():
        print(f"{name:<40}{value:9.0f} ns a hop")
    ratios = [a / b for a, b in zip(spent["contagion"], spent["SimPy alone"], strict=True)]
    print(f"ratio of medians {medians['contagion'] / medians['SimPy alone']:.2f}, "
          f"of pairs {min(ratios):.2f} to {max(ratios):.2f} ({hops} hops, {repetitions} repetitions)")  # fmt: skip


if __name__ == "__main__":
    main()
