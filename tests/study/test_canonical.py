"""Whether a system is as monotone as it is declared to be: who fails then does not depend on when news arrives."""

import io
from typing import Any

import pytest

import contagion as cg
from contagion.terminal import summary_text
from contagion.terminal.console import console_on
from tests.cases import published
from tests.integrated import integrated_graph
from tests.scenarios import CASCADE

DOUBT = "? not monotone as declared: others fail in synchronous rounds"


def text_of(run: Any) -> str:
    return summary_text(console_on(io.StringIO()), run)


def test_a_cascade_of_loans_against_a_pool_has_the_same_failures_in_synchronous_rounds() -> None:
    run = cg.run(cg.loads(CASCADE))
    assert run.facts["twins"]["rounds"]["same_failures"] is True
    assert "canonical 2 ·" in text_of(run)
    assert DOUBT not in text_of(run)


@pytest.mark.parametrize("case", ["INT-01", "INT-04"])
def test_so_have_the_published_cascades(case: str) -> None:
    run = cg.run(integrated_graph(published(case)))
    assert run.facts["twins"]["rounds"]["same_failures"] is True


def test_loops_with_interest_and_redemptions_that_are_declared_monotone_are_found_out() -> None:
    run = cg.run(cg.load("usde-loops", {"monotone": True}, reduced=True))
    assert run.facts["twins"]["rounds"]["same_failures"] is False
    assert f"canonical {run.facts['cascade_depth_canonical']}? ·" in text_of(run)
    assert DOUBT in text_of(run)


def test_what_is_not_declared_monotone_has_no_canonical_depth_and_no_doubt() -> None:
    run = cg.run(cg.loads(CASCADE.replace("monotone = true", "monotone = false")))
    assert run.facts["cascade_depth_canonical"] is None
    assert "canonical" not in text_of(run)
