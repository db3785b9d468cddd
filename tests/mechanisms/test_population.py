"""A crowd of borrowers: how it is drawn, and that it is treated as its members would be one by one."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.simulation import Simulation
from tests.sight import mark, node, position, rows
from tests.worlds import edge, graph_of, lending, sale

CROWD: dict[str, Any] = {
    "kind": "population", "count": 400, "collateral": "eth", "debt": "usd", "total": "1234.567890123",
    "health_floor": 1.05, "health_median": 1.3,
}  # fmt: skip


def crowd_graph(shocks: list[Any] = [], keeper: Any = 3_000_000, seed: int = 0, **facts: Any) -> Any:  # noqa: B006
    """Return the lender of the small world with a crowd in place of its three borrowers."""
    nodes, edges = lending()
    nodes = {name: table for name, table in nodes.items() if not name.startswith("borrower")}
    nodes["crowd"] = CROWD | facts
    nodes["keeper"] = {"kind": "liquidator", "gas": 5, "balances": {"usd": keeper}}
    edges = [table for table in edges if not {table["from"], table["to"]} & {"borrower0", "borrower1", "borrower2"}]
    edges += [edge("borrows", "crowd", "lender"), edge("lends", "lender", "crowd")]
    return graph_of(nodes, edges, shocks, seed=seed)


def singles_graph(crowd: Any) -> Any:
    """Return the same graph with one account a member."""
    deposits, debts = members(build(crowd))
    graph = crowd.copy()
    graph.remove_node("crowd")
    for number, (pledge, debt) in enumerate(zip(deposits, debts, strict=True)):
        name = f"crowd{number:04d}"
        graph.add_node(name, kind="account", path=("nodes", name))
        terms = {"collateral": {"eth": Decimal(pledge).scaleb(-9)}, "debt": {"usd": Decimal(debt).scaleb(-6)}}
        graph.add_edge(name, "lender", role="borrows", path=("edges", name), **terms)
        graph.add_edge("lender", name, role="lends", path=("edges", name))
    return graph


def members(sim: Simulation) -> tuple[list[int], list[int]]:
    """Return what the crowd's members have deposited and owe."""
    holder = sim.network.ids["crowd"]
    claims = [sim.assets[f"lender/{name}"] for name in ("eth/supply", "usd/debt")]
    columns = [sim.ledger.members[holder, claim] for claim in claims]
    deposits, debts = (column.read(np.arange(len(column))).tolist() for column in columns)
    return deposits, [-debt for debt in debts]


def healths(sim: Simulation) -> list[float]:
    return [node(sim, "lender").health(position(sim, "crowd", member)) for member in range(400)]


def fate(sim: Simulation) -> list[tuple[Any, ...]]:
    """Return every liquidation, write-off and sale: when, which member, how much, at what price."""
    sim.run(1_800_000_000)
    found = []
    for row in rows(sim, "liquidation", "bad-debt", "trade", "unprofitable"):
        number = int(row.node[5:] or row.member) if row.node.startswith("crowd") else -1
        found.append((row.time_us, row.kind, number, row.quantity, row.price, row.value, row.generation, row.first))
    return found


def test_the_collateral_adds_up_exactly() -> None:
    deposits, _ = members(build(crowd_graph()))
    assert sum(deposits) == 1_234_567_890_123 and min(deposits) > 0


def test_nobody_starts_below_the_floor_and_half_of_them_above_the_median() -> None:
    found = np.array(healths(build(crowd_graph(health_spread=0.5))))
    assert found.min() >= 1.05
    assert 0.45 < np.mean(found > 1.3) < 0.55


def test_a_wider_spread_of_health_has_more_members_near_the_floor() -> None:
    narrow, wide = (healths(build(crowd_graph(health_spread=spread))) for spread in (0.3, 2))
    assert sum(health < 1.1 for health in wide) > 5 * sum(health < 1.1 for health in narrow) + 5


def test_draws_depend_on_the_seed_and_the_name_alone() -> None:
    alone = members(build(crowd_graph()))
    graph = crowd_graph()
    graph.add_node("bystander", **CROWD, path=("nodes", "bystander"))
    graph.add_edge("bystander", "lender", role="borrows", path=())
    assert members(build(graph)) == alone
    assert members(build(crowd_graph(seed=1))) != alone


def test_sizes_are_lognormal_or_pareto() -> None:
    lognormal = np.array(members(build(crowd_graph(count=20_000, spread=0.8)))[0], dtype=float)
    assert np.log(lognormal).std() == pytest.approx(0.8, rel=0.03)
    pareto = np.array(members(build(crowd_graph(count=20_000, tail=1.5)))[0], dtype=float)
    assert 1 / np.log(pareto / pareto.min()).mean() == pytest.approx(1.5, rel=0.03)  # Hill's estimator


def test_a_median_at_the_floor_is_refused() -> None:
    with pytest.raises(BadInput, match=r"nodes\.crowd\.health_median: must lie above"):
        build(crowd_graph(health_median=1.05))


def test_a_floor_below_one_is_refused_as_not_at_rest() -> None:
    with pytest.raises(BadInput, match="crowd: is not at rest"):
        build(crowd_graph(health_floor=0.9))


def test_a_liquidated_member_is_named_and_the_others_keep_what_they_have() -> None:
    sim = build(crowd_graph([sale(-0.15)]))
    before = members(sim)
    sim.run(1_800_000_000)
    hit = {row.member for row in rows(sim, "liquidation")}
    after = members(sim)
    changed = {m for m in range(400) if (before[0][m], before[1][m]) != (after[0][m], after[1][m])}
    assert hit == changed and 0 < len(hit) < 400
    assert mark(sim, "oracle", "eth") < 0.86 * 2_000 * 10**9


moves = st.lists(st.floats(-0.2, -0.02), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1_000), st.integers(1, 30), moves, st.sampled_from([2_000, 30_000, 3_000_000]), st.booleans())
def test_a_crowd_meets_the_fate_of_the_same_borrowers_as_single_accounts(
    seed: int, count: int, sizes: list[float], capital: int, close: bool
) -> None:
    median = 1.08 if close else 1.3
    shocks = [sale(size, at=f"{20 * number + 1}s") for number, size in enumerate(sizes)]
    graph = crowd_graph(shocks, capital, seed, count=count, total=400, spread=0.8, health_median=median)
    crowd, singles = build(graph), build(singles_graph(graph))
    assert fate(crowd) == fate(singles)
    for holder in ("pool", "keeper", "lender", "supplier"):
        for asset in ("eth", "usd"):
            mine, theirs = (s.ledger.balances[s.network.ids[holder]][s.assets[asset]] for s in (crowd, singles))
            assert mine == theirs, (holder, asset)
