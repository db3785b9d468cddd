"""From an exposure graph to a simulation at rest, and from a finished simulation to a run.

Whether the graph came from a file or was built with NetworkX makes no difference here: the same checks, the
same network, the same opening. Opening goes by rank: assets quote, then markets, oracles, lenders, borrowers.
"""

import importlib
import importlib.metadata
import importlib.util
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from pydantic import ValidationError

from contagion import graph as schema
from contagion.errors import BadInput, Misfit, Problem, closest, missing
from contagion.ledger import Asset, Dense, Ledger, Refused, total
from contagion.log import CLOCK
from contagion.network import Network
from contagion.params import explain, plain
from contagion.ports import Feed
from contagion.runs import Books, Run
from contagion.shocks import SHOCKS
from contagion.simulation import Simulation
from contagion.source import dotted

ENTRY_POINTS = "contagion.mechanisms"
ROW_BUDGET = 4_000_000


def check_graph(graph: nx.MultiDiGraph, *, allow_code: bool = False) -> list[schema.Finding]:
    """Return everything wrong with a graph, its mechanisms' parameters and its shocks."""
    findings = schema.check(graph)
    if not isinstance(graph, nx.MultiDiGraph):
        return findings
    context = _context(graph)
    for name, data in graph.nodes(data=True):
        path = tuple(data.get("path") or ("nodes", str(name)))
        if any(finding.path == (*path, "kind") for finding in findings) or "kind" not in data:
            continue
        findings += _check_params(path, data, context, allow_code)
    shocks = graph.graph.get("shocks", [])
    for number, shock in enumerate(shocks if isinstance(shocks, list) else []):
        findings += _check_shock(("shocks", number), shock, context)
    return findings


def mechanism_of(kind: str, allow_code: bool = False) -> Any:
    """Return the mechanism class of a kind: shipped, from an entry point, or (if allowed) any module's."""
    if kind in schema.KINDS:
        module = f"contagion.mechanisms.{kind}"
        if importlib.util.find_spec(module) is None:
            raise Misfit(("kind",), f"kind {kind!r} has no mechanism in this version")
        return importlib.import_module(module).MECHANISM
    if "." not in kind and ":" not in kind:
        raise Misfit(("kind",), f"no kind {kind!r}{closest(kind, schema.KINDS)}")
    entry = next((entry for entry in installed() if entry.name == kind), None)
    if entry is None and not allow_code:
        what = f"no installed package has a kind {kind!r}; if it is a module, run with --allow-code to trust it"
        raise Misfit(("kind",), what)
    try:
        return (entry.load() if entry else importlib.import_module(kind)).MECHANISM
    except (ImportError, AttributeError) as error:
        raise Misfit(("kind",), f"kind {kind!r} cannot be imported: {error}") from None


def installed() -> list[importlib.metadata.EntryPoint]:
    """Return the kinds that installed packages bring, by name: each is a module with a MECHANISM."""
    return sorted(importlib.metadata.entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name)


def build(
    graph: nx.MultiDiGraph,
    *,
    seed: int | None = None,
    twin: str = "base",
    shuffle_ties: int = 0,
    allow_code: bool = False,
    row_budget: int = ROW_BUDGET,
    transform: Any = None,
    drawn: dict[int, Any] | None = None,
) -> Simulation:
    """Return a simulation at rest at time 0, its opening balances posted.

    BadInput when the graph has problems. twin : see `Simulation`; row_budget : rows of a table that may stay in
    memory while it runs, the rest being in a temporary directory; transform : a function of the Network; drawn : what
    builds of one graph and seed share, so that large crowds are drawn once (empty for the first).
    """
    if findings := check_graph(graph, allow_code=allow_code):
        raise BadInput(Problem("graph", 0, 0, dotted(path), what) for path, what in findings)
    network = schema.compile_graph(graph)
    if transform is not None:
        network = transform(network)
    facts = graph.graph
    sim = Simulation(
        network, Ledger(list(network.names), _assets(network)),
        seed=int(facts.get("seed", 0) if seed is None else seed), twin=twin, shuffle_ties=shuffle_ties,
        row_budget=row_budget, currency_decimals=int(facts.get("currency_decimals", 6)), drawn=drawn,
    )  # fmt: skip
    spool = Path(tempfile.gettempdir()) / f"contagion-{uuid.uuid4().hex}"
    weakref.finalize(sim, shutil.rmtree, spool, ignore_errors=True)
    sim.log.spool_to(spool)
    try:
        _populate(sim, graph, allow_code)
        shocks = _shocks(sim, facts.get("shocks", []))
        if twin != "control":
            for shock in shocks:
                sim.start(shock.process(sim))
        for mechanism in sim.mechanisms:
            if twin != "frozen" or not mechanism.reacts:
                for process in mechanism.processes():
                    sim.start(process)
    except Misfit as misfit:
        raise BadInput([Problem("graph", 0, 0, dotted(misfit.path), misfit.what)]) from misfit
    return sim


def unfit(graph: nx.MultiDiGraph, names: Sequence[str], file: str, allow_code: bool = False) -> list[Problem]:
    """Take parts out of a graph and return why it cannot do without them, if it cannot."""
    for name in names:
        try:
            schema.knock_out(graph, name)
        except KeyError as error:
            return [Problem(file, 0, 0, "--knock-out", str(error.args[0]))]
    try:
        build(graph, allow_code=allow_code)
    except BadInput as error:
        without = f"without {', '.join(names)}: " if names else ""
        return [problem._replace(file=file, what=without + problem.what) for problem in error.problems]
    return []


def collect(sim: Simulation, graph: nx.MultiDiGraph) -> Run:
    """Return what is left of a simulation."""
    tables = {table.name: table.columns() for table in sim.log.tables}
    tables["balances"] = _balances(sim)
    if margins := _margins(sim):
        tables["margins"] = margins
    manifest = {"digest": sim.log.digest(), "seed": sim.seed, "end_us": sim.end_us}
    return Run(tables, _books(sim, graph), manifest, node_link(graph))


def _margins(sim: Simulation) -> dict[str, Any]:
    """Return what is open at exchanges, and in breach after moves of all marks, at both ends; nothing without any.

    Kept by the run since nothing else of it can tell: members of a crowd who never act have no rows of their own.
    """
    rows = []
    for mechanism in sim.mechanisms:
        if (opened := getattr(mechanism, "near_at_opening", None)) is not None:
            for end, near in enumerate((opened, mechanism.nearness())):  # type: ignore[attr-defined]
                rows += [(end, mechanism.node, move, value, near.whole) for move, value in near.at.items()]
    names = ("end", "node", "move", "value", "whole")
    columns = {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=False)}
    return columns | {name: columns[name].astype(np.int32) for name in ("end", "node") if name in columns}


def node_link(graph: nx.MultiDiGraph) -> dict[str, Any]:
    """Return the exposure graph as node-link JSON, shocks and horizon too: all but internal paths.

    What `networkx.node_link_graph(..., edges="edges")` makes of it runs as the graph did.
    """
    nodes = [{"id": name} | {k: plain(v) for k, v in d.items() if k != "path"} for name, d in graph.nodes(data=True)]
    edges = [
        {"source": s, "target": t, "name": schema.edge_name(s, t, d)}
        | {k: plain(v) for k, v in d.items() if k not in ("path", "name")}
        for s, t, d in graph.edges(data=True)
    ]
    facts = {"name": "", "currency": "USD"} | plain(graph.graph)
    return {"directed": True, "multigraph": True, "graph": facts, "nodes": nodes, "edges": edges}


def _context(graph: nx.MultiDiGraph) -> dict[str, set[str]]:
    return {
        "asset": {str(name) for name, data in graph.nodes(data=True) if data.get("kind") == "asset"},
        "node": {str(name) for name in graph},
    }


def _check_params(
    path: schema.Path, data: Mapping[str, Any], context: Any, allow_code: bool
) -> Iterable[schema.Finding]:
    try:
        mechanism = mechanism_of(data["kind"], allow_code)
    except Misfit as misfit:
        return [schema.Finding((*path, *misfit.path), misfit.what)]
    given = {key: value for key, value in data.items() if key not in schema.NODE_FACTS}
    try:
        mechanism.Params.model_validate(given, context=context)
    except ValidationError as error:
        return [schema.Finding((*path, *where), what) for where, what in explain(error, mechanism.Params)]
    return []


def _check_shock(path: schema.Path, table: Any, context: Any) -> Iterable[schema.Finding]:
    kind = str(table.get("kind")) if isinstance(table, Mapping) else ""
    if isinstance(table, Mapping) and "kind" not in table:
        return [schema.Finding((*path, "kind"), missing("kind", table))]
    if kind not in SHOCKS:
        return [schema.Finding((*path, "kind"), f"no shock {kind!r}{closest(kind, SHOCKS)}")]
    try:
        SHOCKS[kind].model_validate(table, context=context)
    except ValidationError as error:
        return [schema.Finding((*path, *where), what) for where, what in explain(error, SHOCKS[kind])]
    return []


def _assets(network: Network) -> list[Asset]:
    world = next(i for i, node in enumerate(network.nodes) if node.kind == "world")
    assets = []
    for node in network.nodes:
        if node.kind == "asset":
            params = mechanism_of("asset").Params.model_validate(dict(node.parameters))
            issuer = world if params.issuer is None else network.ids[params.issuer]
            assets.append(Asset(node.name, params.decimals, frozenset({world, issuer})))
    return assets


def _populate(sim: Simulation, graph: nx.MultiDiGraph, allow_code: bool) -> None:
    """Create the mechanisms, hand out what they hold, and let them open in the order of their ranks.

    Who lends what others deposit does so last (`open_loans`).
    """
    for number, node in enumerate(sim.network.nodes):
        mechanism = mechanism_of(node.kind, allow_code)
        params = mechanism.Params.model_validate(dict(node.parameters))
        sim.mechanisms.append(mechanism(sim, number, params))
    for edge in sim.network.edges:
        if edge.role == "holds":
            asset = sim.assets[sim.network.names[edge.source]]
            payer = sim.issuer(asset)
            amount = sim.units(asset, edge.attributes["quantity"])
            legs = ((payer, asset, -amount), (edge.target, asset, amount))
            try:
                sim.transact("opening", edge.target, *legs, cause=CLOCK, asset=asset, quantity=amount)
            except Refused as refusal:
                raise Misfit(("edges", edge.name), str(refusal)) from None
    ranked = sorted(sim.mechanisms, key=lambda m: (m.opens, m.node))
    lending = [mechanism for mechanism in ranked if hasattr(mechanism, "open_loans")]
    for mechanism, step in [*((m, m.open) for m in ranked), *((m, m.open_loans) for m in lending)]:
        try:
            step()
        except Refused as refusal:
            raise Misfit(("nodes", sim.network.names[mechanism.node]), str(refusal)) from None
    sim.opening = sim.record("start", -1, cause=CLOCK)


def _shocks(sim: Simulation, tables: Iterable[Any]) -> list[Any]:
    """Return the shocks, each checked against the nodes that it names."""
    shocks = [SHOCKS[table["kind"]].model_validate(table) for table in tables]
    for number, shock in enumerate(shocks):
        try:
            shock.check(sim)
        except Misfit as misfit:
            raise Misfit(("shocks", number, *misfit.path), misfit.what) from None
    return shocks


def _balances(sim: Simulation) -> dict[str, Any]:
    """Return the closing balances as columns: all members of a dense column, zeros included.

    Of a sparse one, those that some event has touched (`introduced`) and, as member -1, all others in one row.
    """
    ledger = sim.ledger
    rows = [
        (holder, -1, asset, row[asset])
        for holder, row in enumerate(ledger.balances)
        for asset in compress(range(len(row)), row)
        if (holder, asset) not in ledger.members
    ]
    parts = []
    for (holder, asset), column in sorted(ledger.members.items(), key=lambda item: item[0]):
        if isinstance(column, Dense):
            members, balances = np.arange(len(column)), column.balances.copy()
        else:
            members = np.flatnonzero(sim.introduced.get(holder, ()))
            balances = column.read(members)
            if rest := ledger.balances[holder][asset] - total(balances):
                rows.append((holder, -1, asset, rest))
            members, balances = members[balances != 0], balances[balances != 0]
        parts.append(_block(holder, members, asset, balances))
    parts.insert(0, _block(*np.array(rows, dtype=np.int64).reshape(-1, 4).T))
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return {k: v.astype(np.int64 if k == "balance" else np.int32) for k, v in joined.items()}


def _block(holder: Any, members: Any, asset: Any, balances: Any) -> dict[str, Any]:
    """Return rows of the balances table, a single holder or asset being that of all of them."""
    whole = np.zeros(len(balances), np.int64)
    return {"holder": whole + holder, "member": members, "asset": whole + asset, "balance": balances}


def _books(sim: Simulation, graph: nx.MultiDiGraph) -> Books:
    nodes, assets = sim.network.nodes, sim.ledger.assets
    marks, own_marks = _marks(sim, graph)
    return Books(
        kinds=list(sim.log.kinds),
        holders=list(sim.network.names),
        holder_kinds=[node.kind for node in nodes],
        domains=[node.domain for node in nodes],
        sectors=[node.sector for node in nodes],
        assets=[asset.name for asset in assets],
        decimals=[asset.decimals for asset in assets],
        underlying=[sim.underlying.get(number, -1) for number in range(len(assets))],
        issuers=[min(asset.issuers - {sim.world}, default=-1) for asset in assets],
        creditors=[-1 if asset.creditor is None else asset.creditor for asset in assets],
        feeds=list(sim.feed_names),
        marks=marks,
        own_marks=own_marks,
        world=sim.world,
        outside=[
            sim.network.ids[name] for name, data in sorted(graph.nodes(data=True)) if not data.get("perimeter", True)
        ],
        opening=sim.opening,
        currency=graph.graph.get("currency", "USD"),
        currency_decimals=sim.currency_decimals,
    )


def _marks(sim: Simulation, graph: nx.MultiDiGraph) -> tuple[list[int], list[tuple[int, int, int]]]:
    """Return, per asset, the feed by which it is valued, and (holder, asset, feed) where a holder has another.

    A holder's own is what its `marks` say; else, for an issuer's own token, par (the reference price); else, for a
    lender, the oracle it reads. Everybody's is the asset's market, and its reference price where it has none.
    """
    by_node: dict[tuple[str, int], Feed] = {}
    for mechanism, node in zip(sim.mechanisms, sim.network.nodes, strict=True):
        for asset, feed in getattr(mechanism, "feeds", {}).items():
            by_node[node.name, asset] = feed
    common = {asset: feed.market for (_, asset), feed in sim.feeds.items() if asset in sim.underlying}
    own: dict[tuple[int, int], int] = {}
    for holder, mechanism in enumerate(sim.mechanisms):
        own |= {(holder, asset): feed.market for asset, feed in getattr(mechanism, "reads", {}).items()}
    for number, asset in enumerate(sim.ledger.assets):
        if number not in common:
            market = graph.nodes[asset.name].get("market")
            common[number] = (by_node.get((market, number)) or by_node[asset.name, number]).market
            for issuer in asset.issuers - {sim.world}:
                own[issuer, number] = by_node[asset.name, number].market
    for holder, node in enumerate(sim.network.nodes):
        for name, market in graph.nodes[node.name].get("marks", {}).items():
            number = sim.assets[name]
            if (market, number) not in by_node:
                raise Misfit(("nodes", node.name, "marks", name), f"{market!r} has no price of {name!r}")
            own[holder, number] = by_node[market, number].market
    others = sorted((*pair, feed) for pair, feed in own.items() if feed != common[pair[1]])
    return [common[number] for number in range(len(sim.ledger.assets))], others
