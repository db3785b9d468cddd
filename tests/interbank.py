"""Networks of banks as the classical cases state them, and what a run makes of one."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import networkx as nx

from contagion.assembly import build, collect
from contagion.metrics import cascade
from contagion.runs import Run
from contagion.simulation import Simulation
from contagion.units import DAY
from tests.invariants import watch_books
from tests.worlds import edge, graph_of

Matrix = Sequence[Sequence[float]]
DECIMALS = 9
MATERIALITY = 1e-7
HOUR = 3_600_000_000


def name(bank: int) -> str:
    """Return the name of a bank by its number."""
    return f"bank{bank:02d}"


def clearing_graph(
    owes: Matrix, external: Sequence[float], outside: Sequence[float], *, senior: bool = False, latency: str = "1s",
    decimals: int = DECIMALS, **params: Any,
) -> nx.MultiDiGraph:  # fmt: skip
    """Return banks that could pay in full until a shock, at once, leaves them with `external`.

    owes[i][j] : what i owes j; outside : what each owes to the outside, senior or with the others.
    """
    nodes: dict[str, Any] = {"usd": {"kind": "asset", "decimals": decimals}}
    edges, shocks, count = [], list[dict[str, Any]](), len(owes)
    for i in range(count):
        due = sum(owes[i]) + outside[i]
        inflow = sum(owes[j][i] for j in range(count))
        opening = max(external[i], round(due - inflow, decimals) + 1)
        nodes[name(i)] = {
            "kind": "bank", "asset": "usd", "balances": {"usd": opening}, "materiality": MATERIALITY,
            "clearing": "1h", "declaration": "1d", "revision": "10s", "settlement": "20d",
        } | params  # fmt: skip
        lost = round(opening - external[i], decimals)
        if lost > 0:
            shocks.append({"kind": "loss", "node": name(i), "asset": "usd", "quantity": lost, "at": "1min"})
        edges += [
            edge("claims", name(i), name(j), latency, quantity=owes[i][j]) for j in range(count) if owes[i][j]
        ]  # fmt: skip
        if outside[i]:
            edges.append(edge("claims", name(i), "world", quantity=outside[i], seniority=int(senior)))
    return graph_of(nodes, edges, shocks, horizon_us=25 * DAY, monotone=True)


def cascade_graph(
    exposures: Matrix, capital: Sequence[float], seeds: Sequence[int], *, latency: str = "1s", decimals: int = 6,
    **params: Any,
) -> nx.MultiDiGraph:  # fmt: skip
    """Return banks with this capital, of which the seeds fail from outside; exposures[i][j] is what j owes i."""
    nodes: dict[str, Any] = {"usd": {"kind": "asset", "decimals": decimals}}
    edges, count = [], len(capital)
    for i in range(count):
        due = sum(exposures[j][i] for j in range(count))
        cash = round(capital[i] + due - sum(exposures[i]), decimals)
        nodes[name(i)] = {
            "kind": "bank", "asset": "usd", "balances": {"usd": max(cash, 0)}, "resolution": "write-down",
        } | params  # fmt: skip
        if cash < 0:
            edges.append(edge("claims", name(i), "world", quantity=-cash))
        edges += [
            edge("claims", name(j), name(i), latency, quantity=exposures[i][j]) for j in range(count) if exposures[i][j]
        ]  # fmt: skip
    shocks = [{"kind": "default", "node": name(seed), "at": "1min"} for seed in seeds]
    return graph_of(nodes, edges, shocks, horizon_us=HOUR, monotone=True)


class Outcome(NamedTuple):
    """What a run of a network came to: defaults by generation; amounts in tokens, by bank."""

    run: Run
    sim: Simulation
    waves: list[list[int]]
    paid: list[float]
    cash: list[float]
    written_down: list[float]
    deadweight: list[float]


def outcome(graph: nx.MultiDiGraph, *, shuffle_ties: bool = False) -> Outcome:
    """Run a network with a second set of books kept, and return what it came to."""
    sim = build(graph, shuffle_ties=shuffle_ties)
    watch_books(sim)
    return outcome_of(graph, sim)


def outcome_of(graph: nx.MultiDiGraph, sim: Simulation) -> Outcome:
    """Run a simulation of a network to its end and return what it came to."""
    sim.run(graph.graph["horizon_us"])
    assert sim.ledger.max_imbalance() == 0 and not sim.ledger.overdrafts()
    run = collect(sim, graph)
    events, kinds, books = run.tables["events"], run.books.kinds, run.books
    banks = [number for number, kind in enumerate(books.holder_kinds) if kind == "bank"]
    asset = books.assets.index("usd")
    unit = 10.0 ** -books.decimals[asset]
    waves = list[list[int]]()
    for event, depth in zip(cascade.failures(events, kinds), cascade.trigger_depths(events, kinds), strict=True):
        if kinds[events["kind"][event]] == "default":
            waves += [[] for _ in range(depth - len(waves))]
            waves[depth - 1].append(banks.index(events["node"][event]))

    def sums(kind: str) -> list[float]:
        rows = events["kind"] == (kinds.index(kind) if kind in kinds else -1)
        return [float(events["quantity"][rows & (events["node"] == bank)].sum() * unit) for bank in banks]

    return Outcome(
        run, sim, [sorted(wave) for wave in waves], sums("clearing"),
        [sim.ledger.balances[bank][asset] * unit for bank in banks], sums("write-down"), sums("default-cost"),
    )  # fmt: skip


def fire_sale_graph(
    holdings: Matrix, cash: Sequence[float], owes: Matrix, outside: Sequence[float], markets: Sequence[dict[str, Any]],
    shocks: list[dict[str, Any]], loans: Sequence[float] = (), **params: Any,
) -> nx.MultiDiGraph:  # fmt: skip
    """Return banks that hold assets of price 1, each with its market: holdings[i][k] is what bank i has of asset k.

    loans : what each holds beside money that has no market.
    """
    nodes: dict[str, Any] = {asset: {"kind": "asset", "decimals": DECIMALS} for asset in ("usd", "loan")}
    edges, count = [], len(cash)
    for k, facts in enumerate(markets):
        nodes[f"asset{k}"] = {"kind": "asset", "decimals": DECIMALS, "price": 1, "market": f"market{k}"}
        nodes[f"market{k}"] = {"kind": "impact", "asset": f"asset{k}", "numeraire": "usd"} | facts
        edges.append(edge("prices", f"asset{k}", f"market{k}"))
    for i in range(count):
        own = {f"asset{k}": units for k, units in enumerate(holdings[i]) if units}
        if loans:
            own["loan"] = loans[i]
            edges.append(edge("prices", "loan", name(i), "1s"))
        nodes[name(i)] = {"kind": "bank", "asset": "usd", "balances": {"usd": cash[i]} | own} | params
        edges += [edge("claims", name(i), name(j), "1s", quantity=owes[i][j]) for j in range(count) if owes[i][j]]
        edges.append(edge("claims", name(i), "world", quantity=outside[i]))
        for k, units in enumerate(holdings[i]):
            if units:
                edges.append(edge("prices", f"market{k}", name(i), "1s"))
                edges.append(edge("trades", name(i), f"market{k}"))
    return graph_of(nodes, edges, shocks, horizon_us=24 * HOUR, monotone=True)
