"""How long a cascade on a million nodes takes, against an event-driven simulation and a queue in plain Python.

*Epidemic*: an SIR on a random graph of 1,000,000 nodes and 2,500,000 contacts, ten seeds, against `fast_SIR` of EoN
(PyPI), which is the same process in time. Both give the numbers of susceptible, infected and recovered after every
event; ours also knows who infected whom. First both are drawn many times on a small graph, and the distributions of
the final size and of the time of the last recovery are compared (two samples, Kolmogorov and Smirnov). Each starts
from its own kind of graph, made before the clock starts.
*Thresholds*: nodes that fail with their second failed neighbour, from 3% of seeds, against a queue of failures over
lists, which must find the same rounds; then from a seed that sets nothing off, on the same graph.
Times are of the processor. At full size EoN runs once: it needs minutes and some GB.

    python benchmarks/cascade.py [--quick]
"""

import argparse
import gc
from collections.abc import Callable
from importlib.metadata import version
from statistics import median
from time import process_time
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import ks_2samp

from contagion.finance.epidemic import sir
from contagion.finance.threshold import Cascade, threshold_cascade

try:
    import EoN
except ImportError:
    EoN = None

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CONTACTS, TRANSMISSION, RECOVERY, SEEDS = 2.5, 0.5, 1.0, 10
SMALL, UNLIKELY = 200, 1e-3


def random_graph(count: int) -> csr_array:
    """Return the contacts, in both directions, of a random graph with so many edges a node as asked above."""
    ends = np.random.default_rng(1).integers(0, count, (2, int(CONTACTS * count)))
    ends = ends[:, ends[0] != ends[1]]
    rows, columns = np.concatenate([ends, ends[::-1]], axis=1)
    graph = csr_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(count, count))
    graph.sum_duplicates()
    return graph


def as_networkx(graph: csr_array) -> nx.Graph:
    """Return the same graph for the peer, neighbour by neighbour."""
    edges = graph.tocoo()
    once = edges.row < edges.col
    found = nx.empty_graph(graph.shape[0])
    found.add_edges_from(zip(edges.row[once].tolist(), edges.col[once].tolist(), strict=True))
    return found


def our_curves(graph: csr_array, rng: np.random.Generator) -> tuple[Floats, Integers, Integers]:
    """Return the times of all events and the numbers infected and recovered after each."""
    found = sir(graph, TRANSMISSION, RECOVERY, range(SEEDS), rng)
    infected, recovered = (times[np.isfinite(times)] for times in (found.infected, found.recovered))
    times = np.concatenate([infected, recovered])
    order = np.argsort(times, kind="stable")
    gone = np.cumsum(order >= len(infected), dtype=np.int64)
    return times[order], np.arange(1, len(times) + 1) - 2 * gone, gone


def their_curves(graph: nx.Graph, rng: np.random.Generator) -> tuple[Floats, Integers, Integers]:
    times, _, infected, recovered = EoN.fast_SIR(graph, TRANSMISSION, RECOVERY, range(SEEDS), rng=rng)
    return times, infected, recovered


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return seconds of processor time and what was found."""
    gc.collect()
    start = process_time()
    found = work()
    return process_time() - start, found


def check_distribution(draws: int) -> None:
    """Draw both on a small graph, print how likely such a difference is by chance, and stop when hardly at all."""
    graph, rng = random_graph(SMALL), np.random.default_rng(2)
    theirs = as_networkx(graph)
    ours, peers = (
        np.array([(times[-1], gone[-1]) for times, _, gone in (curves(where, rng) for _ in range(draws))])
        for curves, where in ((our_curves, graph), (their_curves, theirs))
    )
    for at, name in enumerate(("time of the last recovery", "final size")):
        chance = ks_2samp(ours[:, at], peers[:, at]).pvalue
        print(
            f"  {draws:,} draws on {SMALL} nodes, {name}: mean {ours[:, at].mean():.2f} and {peers[:, at].mean():.2f}, "
            f"deviation {ours[:, at].std():.2f} and {peers[:, at].std():.2f}; p = {chance:.2f}"
        )
        assert chance > UNLIKELY, f"the {name} is not distributed alike"


def compare_epidemics(graph: csr_array, draws: int, repetitions: int) -> None:
    count, rng = graph.shape[0], np.random.default_rng(3)
    runs = [timed(lambda: our_curves(graph, rng)) for _ in range(repetitions)]
    ours = [seconds for seconds, _ in runs]
    sizes = np.array([gone[-1] / count for _, (_, _, gone) in runs])
    print(f"epidemic: ours {median(ours):.2f} s, {min(ours):.2f} to {max(ours):.2f}; {sizes.mean():.2%} infected")
    if EoN is None:
        print("  not measured: the peer, nor its distribution (pip install EoN)")
        return
    check_distribution(draws)
    making, peer = timed(lambda: as_networkx(graph))
    theirs, (_, _, gone) = timed(lambda: their_curves(peer, rng))
    print(
        f"  EoN {version('EoN')}: {theirs:.2f} s; {gone[-1] / count:.2%} infected; its graph took {making:.2f} s\n"
        f"  EoN / ours: {theirs / median(ours):.0f}"
    )


def queue(pointers: list[int], neighbours: list[int], thresholds: list[int], seeds: range) -> list[int]:
    """Return the rounds of a cascade, -1 for who stands: failures one by one, first come, first served."""
    wave, failed = [-1] * len(thresholds), [0] * len(thresholds)
    for seed in seeds:
        wave[seed] = 0
    waiting = list(seeds)
    for node in waiting:
        for other in neighbours[pointers[node] : pointers[node + 1]]:
            failed[other] += 1
            if wave[other] < 0 and failed[other] >= thresholds[other]:
                wave[other] = wave[node] + 1
                waiting.append(other)
    return wave


def compare_thresholds(graph: csr_array, repetitions: int) -> None:
    count = graph.shape[0]
    thresholds, seeds = np.full(count, 2), range(3 * count // 100)
    runs: list[tuple[float, Cascade]] = [
        timed(lambda: threshold_cascade(graph, thresholds, seeds)) for _ in range(repetitions)
    ]
    ours, found = median(seconds for seconds, _ in runs), runs[0][1]
    lists = graph.indptr.tolist(), graph.indices.tolist(), thresholds.tolist()
    theirs, wave = timed(lambda: queue(*lists, seeds))
    assert found.wave.tolist() == wave, "not the same rounds"
    alone = median(timed(lambda: threshold_cascade(graph, thresholds, [0]))[0] for _ in range(repetitions))
    print(
        f"thresholds: ours {ours:.3f} s, {found.sizes.sum() / count:.2%} failed in {found.depth} waves; a queue over "
        f"lists {theirs:.2f} s; queue / ours {theirs / ours:.1f}; a seed that sets nothing off {1e3 * alone:.1f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, 20,000 nodes")
    quick = parser.parse_args().quick
    graph = random_graph(20_000 if quick else 1_000_000)
    print(f"{graph.shape[0]:,} nodes, {graph.nnz // 2:,} contacts")
    compare_epidemics(graph, 300 if quick else 3_000, 5)
    compare_thresholds(graph, 5)


if __name__ == "__main__":
    main()
