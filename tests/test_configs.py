"""Every shipped scenario is run, reduced, and held against its golden file; `usde-loops` is read both ways in full.

After a change that is meant to change results: ``python -m tests.golden`` writes the files anew.
"""

import json
from functools import cache

import numpy as np
import pytest

from contagion.graph import compile_graph
from contagion.metrics.targets import compare
from contagion.report import html
from contagion.runs import Run
from contagion.scenario import load, loads, shipped
from contagion.study.orders import order_sensitivity
from contagion.study.twins import run
from tests.golden import GOLDEN, facts_of, here
from tests.invariants import check_run
from tests.measures import PATTERNS, undefined
from tests.scenarios import CASCADE

LOOPS = tuple(f"loop-{name}" for name in ("usde-a", "usde-b", "usde-c", "susde-a", "susde-b", "pt-a", "pt-b", "pt-c"))


@cache
def reduced(name: str) -> Run:
    return run(load(name, reduced=True))


@cache
def reading(*knock_outs: str) -> Run:
    return run(load("usde-loops"), knock_outs=knock_outs)


def failed_nodes(result: Run) -> set[str]:
    rows = result.events.to_pylist()
    return {row["node"] for row in rows if row["first"] and row["generation"] > 0}


@pytest.mark.parametrize("name", shipped())
def test_a_scenario_gives_what_it_gave(name: str) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert facts_of(reduced(name)) == pytest.approx(golden["facts"], rel=1e-6)


@pytest.mark.parametrize("name", shipped())
def test_a_scenario_has_the_same_digest_on_the_same_platform(name: str) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    if golden["here"] != here():
        pytest.skip(f"the digest is promised for one platform and NumPy: {golden['here']}, this is {here()}")
    assert reduced(name).manifest["digest"] == golden["digest"]
    assert run(load(name, reduced=True), twins=False).manifest["digest"] == golden["digest"]


@pytest.mark.parametrize("name", shipped())
def test_nothing_fails_without_the_shock(name: str) -> None:
    assert reduced(name).summary.twins.control.failures == 0
    assert reduced(name).summary.failures > 0


@pytest.mark.parametrize("name", shipped())
def test_a_scenario_has_a_page_that_says_how_many_failed(name: str) -> None:
    page = html(reduced(name))
    assert f"{reduced(name).facts['failures']:,} failures" in page
    assert len(page.encode()) < 5_000_000


@pytest.mark.parametrize("name", shipped())
def test_a_scenario_keeps_every_invariant(name: str) -> None:
    """The log replays to the ledger, channels sum to the change of equity, hops follow edges, and more."""
    scenario = load(name, reduced=True)
    check_run(reduced(name), compile_graph(scenario.graph()))
    assert reduced(name).summary.ledger.max_imbalance == 0


@pytest.mark.parametrize("name", shipped())
def test_the_summary_splits_one_loss_by_channel_by_bearer_and_by_domain(name: str) -> None:
    facts, net = reduced(name).facts, reduced(name).summary.total_losses.net
    near = pytest.approx(net, rel=1e-9)
    assert sum(facts["losses_by_channel"].values()) == near
    assert sum(row["net"] for row in facts["channels"].values()) == near
    assert sum(facts["losses_by_sector"].values()) == near
    assert sum(facts["losses_by_bearer"].values()) == near
    assert sum(cell["loss"] for row in facts["spillover"].values() for cell in row.values()) == near
    assert sum(cell["failures"] for row in facts["spillover"].values() for cell in row.values()) == facts["failures"]


def test_a_venue_that_crashes_uses_every_kind_of_transfer_that_it_has() -> None:
    channels = reduced("venue-crash").facts["channels"]
    for name in ("penalty", "slippage", "insurance", "adl haircut", "credit", "liquidity withdrawal"):
        assert channels[name]["lost"] > 0, name


def test_a_lender_that_reads_the_pool_turns_a_sale_into_a_spiral_with_bad_debt() -> None:
    summary = reading().summary
    assert {"loop-usde-a", "loop-usde-b", "loop-usde-c", "loop-pt-a"} <= failed_nodes(reading())
    assert vars(summary.prices)["usde-pool"].low < 0.5
    assert summary.failures_by_kind.__dict__["de-peg"] == 1
    assert summary.bad_debt > 1e9
    assert summary.total_losses.amplification > 2


def test_a_lender_that_reads_the_peg_does_nothing_to_the_loops() -> None:
    result = reading("pool-oracle")
    assert failed_nodes(result) == {"eth-borrowers"}
    assert vars(result.summary.prices)["usde-pool"].low >= 0.997
    assert result.summary.bad_debt == 0.0
    assert set(vars(result.summary.liquidated.by_market)) == {"eth"}


@pytest.mark.parametrize("steps", [30, 300, 1500])
def test_the_pegged_reading_meets_its_targets_however_finely_the_shock_is_cut(steps: int) -> None:
    scenario = load("usde-loops", {"shocks.eth.steps": steps})
    result = run(scenario, knock_outs=["pool-oracle"], twins=False)
    rows = compare(result.facts, result.scenario["targets"])
    assert {row["id"] for row in rows} >= {"aave-liquidated", "usde-elsewhere"}
    assert [row["id"] for row in rows if not row["inside"]] == []


@pytest.mark.parametrize("name", shipped())
def test_every_target_of_a_scenario_is_a_figure_of_its_summary(name: str) -> None:
    rows = compare(reduced(name).facts, reduced(name).scenario["targets"])
    assert [row["id"] for row in rows if row["value"] is None] == []


def test_one_loop_gets_out_before_it_is_liquidated_and_makes_it_worse_for_the_others() -> None:
    assert reading().summary.failures_by_kind.__dict__["forced-unwind"] >= 1
    assert vars(reading().summary.losses_by_channel)["loop unwinding"] > 0


def test_without_loops_there_is_nothing_to_spiral() -> None:
    result = reading("loops")
    assert failed_nodes(result) == {"eth-borrowers"}
    assert result.summary.bad_debt == 0.0


def test_the_loops_earn_several_times_the_base_yield_for_their_risk() -> None:
    carry = vars(reading().summary.carry)
    assert set(carry) == set(LOOPS)
    assert all(0.24 < rate < 1.5 for rate in carry.values())


def test_every_liquidation_is_explained_back_to_a_shock() -> None:
    result = reading()
    events, kinds = result.tables["events"], result.books.kinds
    liquidations = np.flatnonzero(events["kind"] == kinds.index("liquidation"))
    assert len(liquidations) > 100
    for event in liquidations.tolist():
        hops = result.why(event).hops
        assert hops[0].kind == "shock"
        assert [hop.kind for hop in hops[-2:]] == ["call", "liquidation"]


def test_another_seed_is_another_crowd() -> None:
    scenario = load("usde-loops", reduced=True)
    digests = {run(scenario, seed=seed, twins=False).manifest["digest"] for seed in (1, 2)}
    assert len(digests) == 2


def test_every_figure_of_every_summary_is_defined_and_no_other() -> None:
    calm, used = run(loads(CASCADE), knock_outs=["first", "second"], shock=False), {"wall_s", "events_per_s"}
    orders = {"order_sensitivity": order_sensitivity(loads(CASCADE), 1)}
    for facts in (calm.facts, orders, *(reduced(name).facts for name in shipped())):
        assert not undefined(facts, used)
    assert set(PATTERNS.values()) == used
