"""What must hold of every run holds of runs of random graphs, on chain and with exchanges.

60 of the first and 16 of the second, or as many as ``CONTAGION_FUZZ_SEEDS`` and ``CONTAGION_FUZZ_VENUES`` say.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest

from contagion.assembly import build
from tests.fuzz import fuzz, fuzz_venues
from tests.random_venues import FAULTS, random_venues

SEEDS = range(int(os.environ.get("CONTAGION_FUZZ_SEEDS", "60")))
VENUE_SEEDS = range(int(os.environ.get("CONTAGION_FUZZ_VENUES", "16")))
REGRESSIONS = {
    13: "a withdrawal that waited heard of new liquidity before its edge let it",
    21: "an issuer that marks its own token at par: the term of liabilities",
    1165: "two overlapping repricings took a price below zero",
}
"""Seeds that show a defect we once had (or could have), run whatever the number of seeds is."""
VENUE_REGRESSIONS = {
    172: "a trade of its own brings an account into breach: liquidations had the clock as their cause",
    351: "a leverage that 64 bits cannot count",
    396: "profits were cut by the clock for coins that the fund had taken over",
    447: "an issuer's order reached its market before its edge let it",
    675: "a trader of a few units of a coin was drawn at no distance to liquidation at all",
}
"""The same, of worlds with exchanges."""


@pytest.mark.parametrize("seed", sorted({*SEEDS, *REGRESSIONS}))
def test_every_invariant_holds_in_a_random_world(seed: int) -> None:
    check(fuzz, seed, "")


@pytest.mark.parametrize("seed", sorted({*VENUE_SEEDS, *VENUE_REGRESSIONS}))
def test_every_invariant_holds_where_there_are_exchanges(seed: int) -> None:
    check(fuzz_venues, seed, "--venues ")


def check(world: Callable[[int], Any], seed: int, flag: str) -> None:
    try:
        world(seed)
    except Exception as error:
        error.add_note(f"seed {seed}: reproduce with  python -m tests.fuzz {flag}{seed}")
        raise


def test_random_exchanges_draw_every_fault_and_load() -> None:
    graphs = [random_venues(seed)[0] for seed in range(200)]
    assert {graph.graph["fault"] for graph in graphs} == {"", *FAULTS}
    assert {graph.graph["fault"] for graph in graphs if not graph.graph["at_rest"]} <= {"penniless maker"}
    for graph in graphs[:40]:
        build(graph)
