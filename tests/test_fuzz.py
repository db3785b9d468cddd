"""Whatever graph is drawn, what must hold holds. More seeds: ``CONTAGION_FUZZ_SEEDS=1000 pytest tests/test_fuzz.py``."""

import os

import pytest

from tests.fuzz import fuzz

SEEDS = range(int(os.environ.get("CONTAGION_FUZZ_SEEDS", "60")))
REGRESSIONS: tuple[int, ...] = ()
"""Seeds that once found a defect, run whatever the number of seeds is."""


@pytest.mark.parametrize("seed", sorted({*SEEDS, *REGRESSIONS}))
def test_every_invariant_holds_in_a_random_world(seed: int) -> None:
    try:
        fuzz(seed)
    except Exception as error:
        error.add_note(f"seed {seed}: reproduce with  python -m tests.fuzz {seed}")
        raise
