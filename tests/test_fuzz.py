"""What must hold of every run holds of runs of random graphs: 60 of them, or ``CONTAGION_FUZZ_SEEDS`` many."""

import os

import pytest

from tests.fuzz import fuzz

SEEDS = range(int(os.environ.get("CONTAGION_FUZZ_SEEDS", "60")))
REGRESSIONS = {
    13: "a withdrawal that waited heard of new liquidity before its edge let it",
    21: "an issuer that marks its own token at par: the term of liabilities",
    1165: "two overlapping repricings took a price below zero",
}
"""Seeds that show a defect we once had (or could have), run whatever the number of seeds is."""


@pytest.mark.parametrize("seed", sorted({*SEEDS, *REGRESSIONS}))
def test_every_invariant_holds_in_a_random_world(seed: int) -> None:
    try:
        fuzz(seed)
    except Exception as error:
        error.add_note(f"seed {seed}: reproduce with  python -m tests.fuzz {seed}")
        raise
