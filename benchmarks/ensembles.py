"""What a thousand draws of contagion on a random network of a thousand nodes take, against one draw after another.

Four models: Watts, Gai and Kapadia, Amini, Cont and Minca, and portfolios that overlap (Caccioli and others), each at
a point where most draws are global cascades. The peer is what one writes first with NumPy and SciPy: a loop over
draws, each of a sparse matrix whose links are chosen among all pairs without replacement, and over rounds, each a
product of matrix and vector. First both are given the same networks and must bring down the same nodes in the same
number of rounds. Then both are timed, alternating: with what each draws itself, and the cascades alone on the same
networks. Processor time of one core; medians are compared, and the medians' ratio and those of pairs printed.

    python benchmarks/ensembles.py [--quick]
"""

import argparse
from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.sparse import csr_array

from contagion.finance import ensembles
from contagion.finance.ensembles import amini_cont_minca, caccioli, gai_kapadia, watts
from contagion.finance.ensembles.cascades import Defaults, portfolio_cascades, threshold_cascades
from contagion.finance.ensembles.networks import (
    Networks,
    Portfolios,
    configuration,
    directed_poisson,
    in_degrees,
    random_portfolios,
    random_seeds,
    undirected_poisson,
)

NODES, SEED, BATCH = 1_000, 1, 16
CAPITAL, CASH, ALPHA = 0.04, 0.2, 1.0536
DEBTORS = np.random.default_rng(2).poisson(3, NODES)
CREDITORS = np.random.default_rng(3).multinomial(DEBTORS.sum(), np.full(NODES, 1 / NODES))
UPPER = np.triu_indices(NODES, 1)

Outcome = tuple[NDArray[np.bool_], int]
Batch = tuple[Networks | Portfolios, NDArray[np.int64]]
"""Networks, and the seeds of each."""


class Model(NamedTuple):
    """A model as we run it, as the peer runs it, and what draws networks for both."""

    name: str
    ours: Callable[[int, Generator], Any]
    peer_draw: Callable[[Generator], csr_array]
    draw: Callable[[int, Generator], Networks | Portfolios]
    rule: Callable[[NDArray[np.int64]], NDArray[np.int64]] | None


def more_than_a_fifth(degrees: NDArray[np.int64]) -> NDArray[np.int64]:
    return degrees // 5 + 1


def eighteen_per_cent(degrees: NDArray[np.int64]) -> NDArray[np.int64]:
    return -(-9 * degrees // 50)


# The peer.


def matrix(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> csr_array:
    return csr_array((np.ones(len(rows)), (rows, columns)), (NODES, NODES))


def chosen(pairs: int, mean: float, rng: Generator) -> NDArray[np.int64]:
    """Return which of all pairs are linked: their number is binomial, each set of so many as likely."""
    return rng.choice(pairs, rng.binomial(pairs, mean / pairs), replace=False, shuffle=False)


def peer_directed(rng: Generator) -> csr_array:
    rows, others = np.divmod(chosen(NODES * (NODES - 1), 3 * NODES, rng), NODES - 1)
    return matrix(rows, others + (others >= rows))


def peer_undirected(rng: Generator) -> csr_array:
    pairs = chosen(len(UPPER[0]), 4 * NODES / 2, rng)
    rows, columns = UPPER[0][pairs], UPPER[1][pairs]
    return matrix(np.concatenate((rows, columns)), np.concatenate((columns, rows)))


def peer_configuration(rng: Generator) -> csr_array:
    return matrix(np.repeat(np.arange(NODES), CREDITORS), rng.permutation(np.repeat(np.arange(NODES), DEBTORS)))


def peer_holdings(rng: Generator) -> csr_array:
    return matrix(*np.divmod(chosen(NODES * NODES, 4 * NODES, rng), NODES))


def peer_thresholds(links: csr_array, model: Model, seeds: NDArray[np.int64]) -> Outcome:
    assert model.rule is not None
    into = links.T
    needed = model.rule((into @ np.ones(NODES)).astype(np.int64))
    defaulted, rounds = np.zeros(NODES, np.bool_), 0
    defaulted[seeds] = True
    while (new := (into @ defaulted >= np.maximum(needed, 1)) & ~defaulted).any():
        defaulted |= new
        rounds += 1
    return defaulted, rounds


def peer_portfolios(holdings: csr_array, seeds: NDArray[np.int64]) -> Outcome:
    parts = (1 - CASH) / np.maximum(np.diff(holdings.indptr), 1)
    by_all = np.maximum(holdings.T @ parts, 1e-300)
    defaulted, rounds = np.zeros(NODES, np.bool_), 0
    defaulted[seeds] = True
    while True:
        falls = 1 - np.exp(-ALPHA * (holdings.T @ (parts * defaulted)) / by_all)
        new = (parts * (holdings @ falls) > CAPITAL) & ~defaulted
        if not new.any():
            return defaulted, rounds
        defaulted |= new
        rounds += 1


def peer_cascade(links: csr_array, model: Model, seeds: NDArray[np.int64]) -> Outcome:
    return peer_portfolios(links, seeds) if model.rule is None else peer_thresholds(links, model, seeds)


def peer_run(model: Model, draws: int, rng: Generator) -> None:
    for _ in range(draws):
        peer_cascade(model.peer_draw(rng), model, rng.integers(NODES, size=1))


# Both.


def our_cascades(batch: Batch, model: Model) -> Defaults:
    networks, seeds = batch
    if isinstance(networks, Portfolios):
        return portfolio_cascades(networks, CAPITAL, seeds, cash=CASH, alpha=ALPHA)
    assert model.rule is not None
    return threshold_cascades(networks, model.rule(in_degrees(networks)), seeds)


def batches(model: Model, draws: int, rng: Generator) -> list[Batch]:
    sizes = [min(BATCH, draws - done) for done in range(0, draws, BATCH)]
    return [(model.draw(size, rng), random_seeds(size, NODES, 1, rng)) for size in sizes]


def apart(networks: Networks | Portfolios) -> list[csr_array]:
    """Return each network of a batch as the peer's matrix."""
    ends = networks.held if isinstance(networks, Portfolios) else networks.targets
    parts = []
    for draw in range(networks.draws):
        first = networks.first[draw * NODES : (draw + 1) * NODES + 1]
        own = ends[first[0] : first[-1]] - draw * NODES
        parts.append(csr_array((np.ones(len(own)), own, first - first[0]), (NODES, NODES)))
    return parts


def check_same(model: Model, made: list[Batch]) -> None:
    """Both bring down the same nodes of the same networks, in as many rounds."""
    for batch in made:
        outcome = our_cascades(batch, model)
        for draw, links in enumerate(apart(batch[0])):
            defaulted, rounds = peer_cascade(links, model, batch[1][draw])
            assert np.array_equal(outcome.defaulted[draw], defaulted), f"{model.name}: draw {draw}"
            assert outcome.rounds[draw] == rounds, f"{model.name}: draw {draw}"


def compare(name: str, ours: Callable[[], object], peer: Callable[[], object], repetitions: int, draws: int) -> None:
    """Print the seconds of a thousand draws, and peer by ours."""
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(repetitions):
        for run, times in zip((ours, peer), spent, strict=True):
            start = process_time()
            run()
            times.append((process_time() - start) * 1_000 / draws)
    ratios = [theirs / own for own, theirs in zip(*spent, strict=True)]
    first, second = (median(times) for times in spent)
    print(f"{name:<42}{first:7.3f} s, loop {second:7.3f} s, loop / ours {second / first:5.1f}"
          f", of pairs {min(ratios):.1f} to {max(ratios):.1f}")  # fmt: skip


def compare_model(model: Model, draws: int, repetitions: int) -> None:
    """Print what a model takes, and what its cascades alone take, once both agree."""
    made = batches(model, draws, np.random.default_rng(SEED))
    check_same(model, made)
    single = [pair for networks, seeds in made for pair in zip(apart(networks), seeds, strict=True)]

    def all_of(run: Callable[[Generator], object]) -> Callable[[], object]:
        return lambda: run(np.random.default_rng(SEED))

    compare(
        model.name,
        all_of(lambda rng: model.ours(draws, rng)),
        all_of(lambda rng: peer_run(model, draws, rng)),
        repetitions,
        draws,
    )
    compare(
        "  the cascades alone, on the same",
        lambda: [our_cascades(batch, model) for batch in made],
        lambda: [peer_cascade(links, model, seeds) for links, seeds in single],
        repetitions,
        draws,
    )


MODELS = [
    Model(
        "Watts, z = 4, 18%",
        lambda draws, rng: watts(NODES, 4, eighteen_per_cent, draws, rng),
        peer_undirected,
        lambda size, rng: undirected_poisson(size, NODES, 4, rng),
        eighteen_per_cent,
    ),
    Model(
        "Gai-Kapadia, z = 3, 4% of 20%",
        lambda draws, rng: gai_kapadia(NODES, 3, more_than_a_fifth, draws, rng),
        peer_directed,
        lambda size, rng: directed_poisson(size, NODES, 3, rng),
        more_than_a_fifth,
    ),
    Model(
        "Amini-Cont-Minca, mean degree 3",
        lambda draws, rng: amini_cont_minca(DEBTORS, CREDITORS, more_than_a_fifth(DEBTORS), draws, rng),
        peer_configuration,
        lambda size, rng: configuration(size, DEBTORS, CREDITORS, rng),
        more_than_a_fifth,
    ),
    Model(
        "Overlapping portfolios, mu = 4, 4%",
        lambda draws, rng: caccioli(NODES, NODES, 4, CAPITAL, draws, rng, cash=CASH, alpha=ALPHA),
        peer_holdings,
        lambda size, rng: random_portfolios(size, NODES, NODES, 4, rng),
        None,
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the draws")
    draws, repetitions = (100, 3) if parser.parse_args().quick else (1_000, 7)
    print(f"{NODES:,} nodes, {draws:,} draws, seconds for a thousand; links in a batch: {ensembles.BATCH_LINKS:,}")
    for model in MODELS:
        compare_model(model, draws, repetitions)


if __name__ == "__main__":
    main()
