"""What must hold of every run holds of runs of random graphs, on chain and with exchanges: 516 seeds and regressions.

A seed is one world drawn, built, run with its twins (control, frozen, and one with another order or rounds) and
checked. 260 are on chain, 240 small worlds of one exchange and 16 large ones of up to two exchanges and four coins,
or as many as ``CONTAGION_FUZZ_SEEDS``, ``CONTAGION_FUZZ_SMALL`` and ``CONTAGION_FUZZ_VENUES`` say.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest

from contagion.assembly import build, collect
from contagion.graph import KINDS
from contagion.runs import Run
from tests.fuzz import fuzz, fuzz_plain, fuzz_small, fuzz_venues
from tests.random_venues import FAULTS, random_venues

SEEDS = range(int(os.environ.get("CONTAGION_FUZZ_SEEDS", "260")))
SMALL_SEEDS = range(int(os.environ.get("CONTAGION_FUZZ_SMALL", "240")))
VENUE_SEEDS = range(int(os.environ.get("CONTAGION_FUZZ_VENUES", "16")))
REGRESSIONS = {
    13: "a withdrawal that waited heard of new liquidity before its edge let it",
    21: "an issuer that marks its own token at par: the term of liabilities",
    472: "a keeper repaid with coins that an order of its own was on its way to sell",
    1165: "two overlapping repricings took a price below zero",
}
"""Seeds that show a defect we once had (or could have), run whatever the number of seeds is."""
VENUE_REGRESSIONS = {
    172: "a trade of its own brings an account into breach: liquidations had the clock as their cause",
    351: "a leverage that 64 bits cannot count",
    396: "profits were cut by the clock for coins that the fund had taken over",
    447: "an issuer's order reached its market before its edge let it",
}
"""The same, of large worlds with exchanges, without the parts that were drawn later."""
SMALL_REGRESSIONS = {
    7: "shares of more than 9.2e12 base units were drawn below nothing",
    47: "a dip buyer owed the fees of its last purchase",
    581: "who was in breach without a mark having moved heard so from news that had never reached it",
}
"""The same, of small worlds."""
UNDRAWN = {"bank"}
"""Kinds that stand in no world here: random networks of banks are those of `test_classical_engine`."""
ACTS = {
    ("whale", "margin-call"), ("whale", "forced-unwind"), ("whale", "repayment"), ("whale", "liquidation"),
    ("dip_buyer", "quote"), ("dip_buyer", "cancel"), ("dip_buyer", "trade"), ("looper", "forced-unwind"),
    ("loans", "liquidation"), ("holders", "sale"), ("redeemers", "redemption"), ("redeemers", "settlement"),
    ("market_maker", "maker-withdrawal"), ("arbitrageur", "trade"), ("stablecoin_issuer", "hedge-gap"),
}  # fmt: skip
"""What who does in fuzzed worlds: a part that is drawn and never acts is not fuzzed."""


@pytest.mark.parametrize("seed", sorted({*SEEDS, *REGRESSIONS}))
def test_every_invariant_holds_in_a_random_world(seed: int) -> None:
    check(fuzz, seed, "")


@pytest.mark.parametrize("seed", sorted({*SMALL_SEEDS, *SMALL_REGRESSIONS}))
def test_every_invariant_holds_where_there_is_an_exchange(seed: int) -> None:
    check(fuzz_small, seed, "--small ")


@pytest.mark.parametrize("seed", VENUE_SEEDS)
def test_every_invariant_holds_where_there_are_exchanges(seed: int) -> None:
    check(fuzz_venues, seed, "--venues ")


@pytest.mark.parametrize("seed", sorted(VENUE_REGRESSIONS))
def test_what_was_once_wrong_where_there_are_exchanges_is_not(seed: int) -> None:
    check(fuzz_plain, seed, "--plain ")


def check(world: Callable[[int], Any], seed: int, flag: str) -> None:
    try:
        world(seed)
    except Exception as error:
        error.add_note(f"seed {seed}: reproduce with  python -m tests.fuzz {flag}{seed}")
        raise


def test_random_exchanges_draw_every_kind_and_fault() -> None:
    graphs = [random_venues(seed)[0] for seed in range(200)]
    assert {graph.graph["fault"] for graph in graphs} == {"", *FAULTS}
    assert {graph.graph["fault"] for graph in graphs if not graph.graph["at_rest"]} <= {"penniless maker"}
    assert {data["kind"] for graph in graphs for _, data in graph.nodes(data=True)} == set(KINDS) - UNDRAWN
    for graph in graphs[:40]:
        build(graph)


def test_whoever_is_drawn_acts_in_some_world() -> None:
    missing = set(ACTS)
    for seed in range(150):
        if missing:
            graph = random_venues(seed, small=True)[0]
            sim = build(graph)
            sim.run(graph.graph["horizon_us"])
            missing -= acts(collect(sim, graph), graph)
    assert not missing, f"nobody does this in any world: {sorted(missing)}"


def acts(run: Run, graph: Any) -> set[tuple[str, str]]:
    """Return (kind of node or crowd, kind of event) of what nodes did or had a part in after the opening."""
    crowds = ("traders", "loans", "holders", "redeemers")
    nodes, events = graph.nodes, run.tables["events"]
    who = {n: next((c for c in crowds if c in nodes[name]), nodes[name]["kind"])
           for n, name in enumerate(run.books.holders) if name in nodes}  # fmt: skip
    parts = [*zip(range(len(events["node"])), events["node"].tolist(), strict=True)]
    parts += zip(run.tables["postings"]["event"].tolist(), run.tables["postings"]["holder"].tolist(), strict=True)
    kinds = [run.books.kinds[kind] for kind in events["kind"].tolist()]
    return {(who[node], kinds[event]) for event, node in parts if event > run.books.opening and node in who}
