"""What one hop of contagion costs, against SimPy alone, and an exposure of a large network, against a small one's.

A *hop*: an event reaches a neighbour over an edge with latency and wakes it; it posts a transaction of two
legs, logs one row and fires its own signal. The peer is the least that SimPy can do for a ring of processes:
each waits on a shared event, then for the latency, then succeeds its neighbour's event; it moves no money and
remembers nothing. Both rings alternate in one run and the medians are compared.

Then whole runs, from a graph to its summary, of random networks of banks with four debts each, a fiftieth of which lose
all their money: processor time by exposure, at 5,000 banks over that at 500, which is 1 where nothing grows faster
than the network. Both networks default in their own rounds; events by exposure are printed, to be about the same.

    python benchmarks/hop.py [--quick]
"""

import argparse
import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter_ns, process_time

import networkx as nx
import numpy as np
import simpy

import contagion
from contagion.graph import build
from contagion.ledger import Asset, Ledger
from contagion.log import EventLog
from contagion.network import Edge, Network, Node
from contagion.ports import Inbox, Process, Signal
from contagion.simulation import Simulation
from contagion.units import DAY

RING = 20
LATENCY_US = 7
DEBTS = 4


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


def interbank(banks: int) -> nx.MultiDiGraph:
    """Return banks with a few debts each and little capital, some of which lose all their money in an hour."""
    rng = np.random.default_rng(1)
    pairs = np.unique(rng.integers(0, banks * banks, banks * DEBTS * 5 // 4))
    debtor, creditor = np.divmod(rng.permutation(pairs[pairs // banks != pairs % banks])[: banks * DEBTS], banks)
    amounts = rng.lognormal(3, 1, len(debtor)).round(2)
    owed, lent = (np.bincount(end, amounts, banks) for end in (debtor, creditor))
    cash = np.maximum(owed - lent, 0) + (0.05 * np.maximum(owed, lent)).round(2) + 1
    names = [f"b{bank:05}" for bank in range(banks)]
    nodes = {name: {"kind": "bank", "asset": "usd", "balances": {"usd": f"{money:.2f}"}}
             for name, money in zip(names, cash, strict=True)}  # fmt: skip
    edges = [{"role": "claims", "from": names[d], "to": names[c], "quantity": f"{amount:.2f}", "latency": "1min"}
             for d, c, amount in zip(debtor, creditor, amounts, strict=True)]  # fmt: skip
    graph = build({"usd": {"kind": "asset", "decimals": 2, "price": 1}} | nodes, edges)
    shocks = [{"kind": "loss", "node": names[bank], "asset": "usd", "quantity": f"{cash[bank]:.2f}", "at": "1h"}
              for bank in np.argsort(-owed, kind="stable")[: banks // 50]]  # fmt: skip
    graph.graph.update(name="interbank", horizon_us=60 * DAY, shocks=shocks)
    return graph


def compare_networks(small: int, large: int, repetitions: int) -> None:
    """Print what an exposure costs in both, twins left out."""
    spent: dict[int, list[float]] = {small: [], large: []}
    contagion.run(interbank(small), twins=False)  # imports
    for _ in range(repetitions):
        for banks, seconds in spent.items():
            graph = interbank(banks)
            gc.collect()
            start = process_time()
            run = contagion.run(graph, twins=False)
            seconds.append((process_time() - start) / (banks * DEBTS))
            assert run.summary.failures > banks // 50, "no cascade"
            events = run.summary.events / (banks * DEBTS)
            print(f"{banks:6,} banks: {1e3 * seconds[-1]:5.2f} ms and {events:.2f} events an exposure")
    ratios = [a / b for a, b in zip(spent[large], spent[small], strict=True)]
    print(f"an exposure of {large:,} banks over one of {small:,}: ratio of medians "
          f"{median(spent[large]) / median(spent[small]):.2f}, "
          f"of pairs {min(ratios):.2f} to {max(ratios):.2f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds")
    quick = parser.parse_args().quick
    hops, repetitions = (20_000, 3) if quick else (200_000, 9)
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
    compare_networks(*((100, 1_000, 2) if quick else (500, 5_000, 3)))


if __name__ == "__main__":
    main()
