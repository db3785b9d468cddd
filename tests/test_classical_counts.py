"""Classical counts event by event: neighbours that have failed (Watts), and a queue for what is left (Diamond-Dybvig).

A thousand random networks are drawn, or as many as `CONTAGION_NETWORKS` says.
"""

import os
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from contagion.assembly import build
from contagion.finance import bank_run
from contagion.finance.ensembles.cascades import threshold_cascades
from contagion.finance.ensembles.networks import in_degrees, random_seeds, undirected_poisson
from contagion.finance.threshold import threshold_cascade
from contagion.finance.windows import least_defaults
from tests.cases import published
from tests.interbank import cascade_graph, outcome_of
from tests.sight import held, node, reprice, rows, settle
from tests.worlds import edge, graph_of

NETWORKS = int(os.environ.get("CONTAGION_NETWORKS", "1000"))
NODES, SHARE, MEAN_DEGREES = 12, 0.3, (2.0, 3.0, 4.0, 6.0)
MILLIONTH = 10**6


def test_banks_that_owe_each_neighbour_one_fail_as_watts_says_in_the_same_rounds() -> None:
    """A node that falls with m failed neighbours is a bank with a capital of m and a claim of 1 on each of them.

    Watts (2002): a node fails when its failed neighbours are at least the share phi of all, so a tie fails.
    """
    rng, depths, all_fail = np.random.default_rng(20260), [], 0
    for mean in MEAN_DEGREES:
        draws = -(-NETWORKS // len(MEAN_DEGREES))
        networks = undirected_poisson(draws, NODES, mean, rng)
        needed = least_defaults(in_degrees(networks), SHARE, ties_default=True)
        seeds = random_seeds(draws, NODES, 1, rng)
        together = threshold_cascades(networks, needed, seeds)
        for draw in range(draws):
            own = slice(draw * NODES, (draw + 1) * NODES)
            first = networks.first[draw * NODES : (draw + 1) * NODES + 1]
            targets = networks.targets[first[0] : first[-1]] - draw * NODES
            links = csr_array((np.ones(len(targets)), targets, first - first[0]), shape=(NODES, NODES))
            alone = threshold_cascade(links, needed[own], seeds[draw])
            graph = cascade_graph(
                links.T.toarray().tolist(), needed[own].tolist(), seeds[draw].tolist(), tie="fails", decimals=0
            )
            waves = outcome_of(graph, build(graph)).waves
            assert waves == [wave.tolist() for wave in alone.waves[1:]], f"mean degree {mean}, network {draw}"
            failed = sorted({*seeds[draw].tolist(), *(bank for wave in waves for bank in wave)})
            assert failed == np.flatnonzero(together.defaulted[draw]).tolist()
            assert len(waves) == together.rounds[draw]
            depths.append(len(waves))
            all_fail += len(failed) == NODES
    assert max(depths) >= 4 and 0 < depths.count(0) < 2 * NETWORKS / 3 and all_fail > NETWORKS / 50


DD = published("DD-01")
GROWTH, PROMISE = DD["inputs"]["R"], DD["inputs"]["r1"]
DEPOSITORS = 100


def bank_of_diamond_and_dybvig() -> Any:
    """Return a bank with assets worth 1 a depositor today, who may each ask for 1.28, one after the other."""
    names = [f"depositor{number:03d}" for number in range(DEPOSITORS)]
    nodes: dict[str, Any] = {
        "usd": {"kind": "asset", "decimals": 6},
        "project": {"kind": "asset", "decimals": 6, "price": 1.25},
        "deposit": {"kind": "asset", "decimals": 6, "issuer": "bank"},
        "desk": {
            "kind": "order_book", "asset": "project", "numeraire": "usd", "tick": 0.01,
            "stubs": [{"at": 0.8, "quantity": 1_000}],  # whoever sells today gets 1
        },
        "bank": {
            "kind": "stablecoin_issuer", "asset": "deposit", "payout": "usd", "fee": 0, "backing": {"desk": {}},
            "unwind": 1_000, "unwind_interval": "1ms", "balances": {"project": DEPOSITORS},
        },
    } | {name: {"kind": "account", "balances": {"deposit": PROMISE}} for name in names}  # fmt: skip
    edges = [edge("redeems", "bank", name) for name in names]
    sim = build(graph_of(nodes, [*edges, edge("trades", "bank", "desk")], []))
    settle(sim)
    return sim


def queue(sim: Any, count: int) -> list[float]:
    """Let so many ask for their deposits, one a second, and return what each has been paid."""
    for number in range(count):
        holder = sim.network.ids[f"depositor{number:03d}"]
        node(sim, "bank").redeem(holder, round(PROMISE * MILLIONTH), cause=sim.shock(holder))
        settle(sim, 1)
    return [held(sim, f"depositor{number:03d}", "usd") / MILLIONTH for number in range(count)]


def test_who_comes_first_is_served_until_nothing_is_left() -> None:
    sim = bank_of_diamond_and_dybvig()
    paid = queue(sim, DEPOSITORS)
    assert paid == pytest.approx(bank_run.serve(DEPOSITORS, DEPOSITORS, PROMISE), abs=1e-9)
    in_full = sum(amount == PROMISE for amount in paid)
    assert in_full == int(DD["expected"]["max_fraction_served"] * DEPOSITORS)
    assert sum(paid) / DEPOSITORS == pytest.approx(DD["expected"]["expected_payoff_if_all_run"])
    blocked = rows(sim, "blocked-withdrawal")
    assert len({row.cause for row in blocked}) == len(blocked) and held(sim, "bank", "project") == 0


@pytest.mark.parametrize("percent", [0, 25, 50, 56, 57, 60, 78])
def test_beyond_the_published_share_of_withdrawals_waiting_brings_less_than_running(percent: int) -> None:
    """Coverage at date 2 is what who waited can be paid over what it was promised at date 1."""
    sim = bank_of_diamond_and_dybvig()
    assert queue(sim, percent * DEPOSITORS // 100) == [PROMISE] * (percent * DEPOSITORS // 100)
    reprice(sim, "project", GROWTH)
    settle(sim, 1)
    waiting = node(sim, "bank").coverage() * PROMISE
    assert waiting == pytest.approx(bank_run.payoff_of_waiting(GROWTH, PROMISE, percent / 100), rel=1e-6)
    assert (waiting > PROMISE) == (percent / 100 < DD["expected"]["run_threshold_fraction"])
    if percent == round(100 * DD["inputs"]["t"]):
        assert waiting == pytest.approx(DD["expected"]["r2_no_run"], rel=1e-6)
