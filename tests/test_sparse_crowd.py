"""Members who are in the journal only from when they do something: the run says the same as if all had been there."""

import networkx as nx
import numpy as np
import pytest

from contagion.assembly import build, collect
from contagion.ledger import Refused
from contagion.metrics.summary import summarise
from contagion.runs import Run, load_run
from tests.invariants import check_run, watch_books
from tests.worlds import edge, graph_of, market, sale

MEMBERS = [5_000_000_000, 1_000_000_000, 0, 7_000_000_000, 2_000_000_000, 1]


def graph(dense: bool = False) -> nx.MultiDiGraph:
    nodes, edges = market()
    nodes["crowd"] = {
        "kind": "tests.kinds.sparse_crowd", "stands_as": "account", "asset": "eth", "members": MEMBERS, "dense": dense,
    }  # fmt: skip
    sales = [sale(quantity=200, at="1s"), sale(quantity=300, at="5s"), sale(quantity=400, at="9s")]
    return graph_of(nodes, [*edges, edge("prices", "pool", "crowd", "1s")], sales)


def finished(dense: bool = False) -> Run:
    sim = build(graph(dense), allow_code=True)
    watch_books(sim)
    sim.run(60_000_000)
    run = collect(sim, graph(dense))
    run.facts |= summarise(run)
    check_run(run, sim.network)
    return run


def rows(run: Run, table: str, *columns: str) -> dict[int, tuple[float, ...]]:
    """Return some columns of the crowd's rows in a table, by member."""
    own = run.tables[table]["holder"] == run.books.holders.index("crowd")
    members = run.tables[table]["member"][own].tolist()
    values = zip(*(run.tables[table][column][own].tolist() for column in columns), strict=True)
    return dict(zip(members, values, strict=True))


def test_untouched_members_share_one_row_of_balances() -> None:
    assert rows(finished(), "balances", "balance") == {
        -1: (7_000_000_000,), 1: (999_999_999,), 3: (6_999_999_999,),
    }  # fmt: skip
    assert len(rows(finished(dense=True), "balances", "balance")) == len(MEMBERS)


def test_accounts_are_those_of_a_journal_with_all_members() -> None:
    columns = ("equity_start", "equity_end", "loss exogenous")
    sparse, dense = rows(finished(), "accounts", *columns), rows(finished(dense=True), "accounts", *columns)
    assert sorted(sparse) == [-1, 1, 3, 5]
    for member in (1, 3, 5):
        assert sparse[member] == pytest.approx(dense[member])
    assert sparse[-1] == pytest.approx(np.sum([dense[member] for member in (0, 2, 4)], axis=0))


def test_the_summary_is_that_of_a_journal_with_all_members() -> None:
    sparse, dense = finished().facts, finished(dense=True).facts
    assert sparse["total_losses"].pop("terms") == pytest.approx(dense["total_losses"].pop("terms"))
    for key in ("total_losses", "losses_by_channel", "losses_by_sector"):
        assert sparse[key] == pytest.approx(dense[key])


def test_a_journal_out_of_order_is_saved_and_loaded_as_it_is(tmp_path_factory: pytest.TempPathFactory) -> None:
    run, directory = finished(), tmp_path_factory.mktemp("runs") / "run"
    assert np.any(np.diff(run.tables["postings"]["event"]) < 0)
    run.save(directory)
    again = load_run(directory)
    for name, columns in run.tables.items():
        for column, values in columns.items():
            assert np.array_equal(values, again.tables[name][column]), f"{name}.{column}"


def test_a_refused_payment_leaves_its_member_in_the_crowd() -> None:
    sim = build(graph(), allow_code=True)
    holder, asset = sim.network.ids["crowd"], sim.assets["eth"]
    with pytest.raises(Refused):
        sim.transact("payment", holder, (holder, asset, -(10**12), 1), (sim.world, asset, 10**12), cause=sim.opening)
    assert not sim.introduced[holder].any()
    sim.transact("payment", holder, (holder, asset, -1, 1), (sim.world, asset, 1), cause=sim.opening, member=1)
    assert np.flatnonzero(sim.introduced[holder]).tolist() == [1]
