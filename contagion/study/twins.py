"""A run and its twins, on the same random numbers.

`base` is the run; `control` has no shock and must have no failure; `frozen` holds initial positions: exogenous
trades and fundamentals only, whatever reacts is off. What the frozen twin loses is exogenous, the rest of the
base's loss is what the system made of it. `rounds` is the synchronous replay for systems declared monotone:
every price and every default takes one round to be heard, nothing else takes time, and the number of rounds
with failures is the canonical depth. Who fails in a monotone system does not depend on the order in which news
arrives: where the replay has other failures, the system is not what it is declared to be, and that is said.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

import networkx as nx

from contagion.assembly import ROW_BUDGET, build, collect
from contagion.graph import MARKETS, knock_out
from contagion.ledger import Ledger
from contagion.metrics import cascade, links
from contagion.metrics.bilateral import bilateral
from contagion.metrics.summary import loss_at, summarise
from contagion.network import Network
from contagion.runs import Run
from contagion.scenario import Scenario
from contagion.simulation import Simulation
from contagion.units import SECOND

Progress = Callable[[str, int, int], None]

_STEPS = 50


def run(
    model: Scenario | nx.MultiDiGraph,
    *,
    seed: int | None = None,
    until_us: int | None = None,
    knock_outs: Iterable[str] = (),
    shock: bool = True,
    twins: bool = True,
    shuffle_ties: int = 0,
    allow_code: bool = False,
    row_budget: int = ROW_BUDGET,
    progress: Progress | None = None,
    opened: Simulation | None = None,
) -> Run:
    """Run a scenario or any exposure graph that follows the schema, and return what is left of it.

    until_us : where to stop, default the scenario's horizon; shock=False makes the control run itself, which has
    no twins; shuffle_ties : which random order of ties, 0 for none; opened : what `build` has made of the same model
    with the same options, so that it is not built again.
    BadInput for a graph with problems, KeyError for an unknown knock-out.

    >>> import networkx as nx
    >>> graph = nx.MultiDiGraph(horizon_us=1_000_000)
    >>> graph.add_node("usd", kind="asset")
    >>> graph.add_node("world", kind="world")
    >>> run(graph).summary.cascade_depth
    0
    """
    graph = model.graph() if isinstance(model, Scenario) else model.copy()
    for name in knock_outs:
        knock_out(graph, name)
    end_us = graph.graph.get("horizon_us", 3_600_000_000) if until_us is None else until_us
    drawn = opened.drawn if opened else {} if twins and shock else None
    options = {
        "seed": seed, "shuffle_ties": shuffle_ties, "allow_code": allow_code, "row_budget": row_budget, "drawn": drawn,
    }  # fmt: skip
    base, ledger = _run(graph, end_us, "base" if shock else "control", options, progress, opened)
    base.facts["ledger"] = {"max_imbalance": ledger.max_imbalance()}
    del ledger, opened  # what a twin needs fits better without
    facts = {"scenario": graph.graph.get("name", ""), "seed": base.manifest["seed"]}
    base.facts |= facts | {"digest": base.manifest["digest"]} | summarise(base)
    tables = base.tables
    tables["bilateral"] = bilateral(tables["postings"], tables["prices"], tables["events"]["kind"], base.books)
    if isinstance(model, Scenario):
        base.scenario, base.source = model.resolved(), model.source.text
        base.inputs = {name: content for name, content, _ in model.inputs}
        if stated := base.scenario["links"]:
            base.facts["links"] = links.observed(stated, tables["events"], tables["prices"], base.books)
    if twins and shock:
        others = {name: _run(graph, end_us, name, options, progress)[0] for name in _twins(graph)}
        _add_twins(base, others)
    return base


def synchronous(network: Network) -> Network:
    """Return the network of the `rounds` twin: one microsecond on what leaves a market or a debtor, else none."""
    edges = [
        edge._replace(latency_us=int(edge.role == "claims" or network.nodes[edge.source].kind in MARKETS))
        for edge in network.edges
    ]
    return Network(network.nodes, edges)


def _twins(graph: nx.MultiDiGraph) -> list[str]:
    return ["control", "frozen"] + ["rounds"] * bool(graph.graph.get("monotone"))


def _run(
    graph: nx.MultiDiGraph,
    end_us: int,
    twin: str,
    options: dict[str, Any],
    progress: Progress | None,
    opened: Simulation | None = None,
) -> tuple[Run, Ledger]:
    sim = opened or build(graph, twin=twin, transform=synchronous if twin == "rounds" else None, **options)
    end_us = int(end_us)  # a graph that states no number has been refused
    began = time.perf_counter()
    steps = max(min(_STEPS, end_us), 1)  # the same with and without progress: a stop takes a place among ties
    for step in range(1, steps + 1):
        sim.run(end_us * step // steps)
        if progress:
            progress(twin, sim.env.now, end_us)
    result = collect(sim, graph)
    seconds = time.perf_counter() - began
    result.manifest |= {"twin": twin, "end_us": end_us, "wall_s": seconds}
    return result, sim.ledger


def _add_twins(base: Run, twins: dict[str, Run]) -> None:
    """Add what only a comparison can tell: exogenous and endogenous loss, amplification, canonical depth."""
    for name, twin in twins.items():
        twin.facts |= summarise(twin)
        base.facts.setdefault("twins", {})[name] = {
            key: twin.facts[key] for key in ("failures", "cascade_depth", "events")
        } | {"net": twin.facts["total_losses"]["net"], "peak": twin.facts["total_losses"]["peak"],
             "digest": twin.manifest["digest"]}  # fmt: skip
    total, path = base.facts["total_losses"], base.tables["losses"]
    trough = int(path["time_us"][path["net"].argmax()]) if total["peak"] > 0 else 0
    others = {name: twins[name].tables["losses"] for name in twins} | {"base": path}
    others.setdefault("control", path)
    total |= _split({name: others[name]["net"][-1] for name in ("base", "control", "frozen")})
    at_trough = {name: loss_at(others[name], trough) for name in ("base", "control", "frozen")}
    total["at_trough"] = {"time": trough / SECOND, "net": at_trough["base"]} | _split(at_trough)
    if "rounds" in twins:
        events, kinds = twins["rounds"].tables["events"], twins["rounds"].books.kinds
        times = sorted(set(events["time_us"][cascade.failures(events, kinds)].tolist()))
        base.facts["cascade_depth_canonical"] = len(times)
        base.facts["twins"]["rounds"]["same_failures"] = _failed(base) == _failed(twins["rounds"])


def _failed(run: Run) -> set[tuple[int, int, str]]:
    """Return (node, member, kind) of every failure."""
    events, kinds = run.tables["events"], run.books.kinds
    rows = cascade.failures(events, kinds)
    names = [kinds[number] for number in events["kind"][rows].tolist()]
    return set(zip(events["node"][rows].tolist(), events["member"][rows].tolist(), names, strict=True))


def _split(net: dict[str, Any]) -> dict[str, float | None]:
    """Return the exogenous and endogenous part of the base's loss, and how much larger it is than the shock's."""
    exogenous = float(net["frozen"] - net["control"])
    return {
        "exogenous": exogenous,
        "endogenous": float(net["base"] - net["frozen"]),
        "amplification": float(net["base"] - net["control"]) / exogenous if exogenous else None,
    }
