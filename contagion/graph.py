"""The exposure graph: which kinds of nodes and roles of edges there are, and what a graph must keep to.

The graph is the model. A node's `kind` picks its mechanism and its other attributes are that mechanism's
parameters; an edge's `role` says what one node is to another and which kinds may stand at its ends. An edge
always points the way distress travels, takes `latency` to do so and has a name by which it can be knocked out.
Exposures are edges too: what a node holds at the start is the quantity on its `holds` edges.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple

import networkx as nx
from pydantic import Field, ValidationError

from contagion.errors import closest, missing
from contagion.network import Edge, Network, Node
from contagion.params import Amount, AssetName, Duration, NodeName, Number, Params, Positive, explain, plain, short

Path = tuple[str | int, ...]


class Finding(NamedTuple):
    """Something wrong with a graph, and where."""

    path: Path
    what: str


KINDS: Mapping[str, tuple[str, str]] = {
    "asset": ("outside", "asset"),
    "account": ("outside", "account"),
    "world": ("outside", "world"),
    "order_book": ("cefi", "market"),
    "amm": ("defi", "market"),
    "impact": ("outside", "market"),
    "oracle": ("defi", "oracle"),
    "exchange": ("cefi", "exchange"),
    "lending_protocol": ("defi", "lender"),
    "stablecoin_issuer": ("cefi", "issuer"),
    "market_maker": ("cefi", "market maker"),
    "dip_buyer": ("cefi", "dip buyer"),
    "looper": ("defi", "looper"),
    "whale": ("cefi", "whale"),
    "liquidator": ("defi", "liquidator"),
    "arbitrageur": ("outside", "arbitrageur"),
    "population": ("outside", "population"),
    "bank": ("tradfi", "bank"),
}
"""Kinds with their default domain and sector."""

DOMAINS = ("defi", "cefi", "tradfi", "outside")
MARKETS = frozenset({"order_book", "amm", "impact"})
FEEDS = MARKETS | {"oracle", "asset", "exchange", "stablecoin_issuer"}
BORROWERS = frozenset({"account", "looper", "whale", "population", "market_maker", "arbitrageur", "exchange"})
LENDERS = frozenset({"lending_protocol"})
CLIENTS = frozenset({"account", "whale", "dip_buyer", "population", "market_maker", "arbitrageur", "stablecoin_issuer"})
QUOTERS = frozenset({"market_maker", "dip_buyer"})
TRADERS = frozenset(KINDS) - MARKETS - {"asset", "oracle"}
ANY = frozenset(KINDS)
HOLDERS = ANY - {"asset", "oracle"}


class EdgeParams(Params):
    """What every edge states."""

    role: str
    latency: Duration = 0
    name: str = ""


class Prices(EdgeParams):
    """A price that the target reads; `asset` where the source has several."""

    asset: AssetName | None = None


class Holds(EdgeParams):
    """What the target holds of the source asset at the start, in tokens."""

    quantity: Amount = Decimal(0)


class Borrows(EdgeParams):
    """A position at the start: collateral deposited and debt, in tokens."""

    collateral: dict[AssetName, Amount] = {}
    debt: dict[AssetName, Amount] = {}


class Contract(Params):
    """A perpetual position at the start: contracts (negative: short) and the entry price, else the mark."""

    quantity: Number
    entry: Positive | None = None


class Margin(EdgeParams):
    """An account at an exchange at the start: balances in tokens (negative: a loan) and positions by market."""

    balances: dict[AssetName, Number] = {}
    positions: dict[NodeName, Contract] = {}


class Claims(EdgeParams):
    """What the debtor owes the creditor at the start, in tokens of an asset; a higher `seniority` is paid first."""

    asset: AssetName | None = None
    quantity: Amount = Decimal(0)
    seniority: int = Field(default=0, ge=0, le=9)


class Role(NamedTuple):
    """Which kinds may stand at the ends of an edge, and what it carries."""

    sources: frozenset[str]
    targets: frozenset[str]
    params: type[EdgeParams]
    carries: str


ROLES: Mapping[str, Role] = {
    "prices": Role(FEEDS, ANY, Prices, "price shocks"),
    "holds": Role(frozenset({"asset"}), HOLDERS, Holds, "mark-to-market loss"),
    "margin": Role(frozenset({"exchange"}), CLIENTS, Margin, "margin calls, liquidation"),
    "lends": Role(LENDERS, BORROWERS, EdgeParams, "liquidation"),
    "borrows": Role(BORROWERS, LENDERS, Borrows, "bad debt, illiquidity"),
    "liquidations": Role(LENDERS, frozenset({"liquidator"}), EdgeParams, "positions open to liquidation"),
    "quotes": Role(QUOTERS, frozenset({"order_book"}), EdgeParams, "orders and their cancellation"),
    "trades": Role(TRADERS, MARKETS, EdgeParams, "forced sales"),
    "arbitrage": Role(frozenset({"arbitrageur"}), MARKETS, EdgeParams, "price alignment"),
    "redeems": Role(frozenset({"stablecoin_issuer"}), TRADERS, EdgeParams, "redemption flow"),
    "claims": Role(HOLDERS, HOLDERS, Claims, "default losses"),
    "funds": Role(frozenset({"exchange"}), frozenset({"account"}), EdgeParams, "shortfall socialisation"),
}

AT_ONCE = {
    "holds": "states a balance, which takes no time",
    "borrows": "states a balance, which takes no time",
    "quotes": "takes as long as its maker is slow (its own 'latency')",
    "arbitrage": "takes as long as its arbitrageur is slow (its own 'latency')",
}
"""Roles without a latency of their own, and why."""

NODE_FACTS = ("kind", "stands_as", "domain", "sector", "marks", "balances", "perimeter", "path")
"""Node attributes that belong to the graph; all others are parameters of the mechanism."""


def build(nodes: Mapping[str, Mapping[str, Any]], edges: Iterable[Mapping[str, Any]]) -> nx.MultiDiGraph:
    """Return the graph of node tables and edge tables as a scenario writes them.

    A node's `balances` become `holds` edges, and a `world` is added where there is none. An end of an edge may be
    a list of nodes: an edge for each, or for each pair.

    >>> graph = build({"eth": {"kind": "asset"}, "ann": {"kind": "account", "balances": {"eth": 2}}}, [])
    >>> sorted(graph), [data["quantity"] for *_, data in graph.edges(data=True)]
    (['ann', 'eth', 'world'], [2])
    """
    graph = nx.MultiDiGraph()
    for name, table in nodes.items():
        known = {key: value for key, value in table.items() if key != "balances" or not isinstance(value, Mapping)}
        graph.add_node(name, **known)
        graph.nodes[name]["path"] = ("nodes", name)
    if not any(data.get("kind") == "world" for _, data in graph.nodes(data=True)):
        graph.add_node("world", kind="world", path=())
    for number, table in enumerate(edges):
        facts = {key: value for key, value in table.items() if key not in ("from", "to")}
        for source, target in product(_ends(table.get("from")), _ends(table.get("to"))):
            graph.add_edge(source, target, **facts, path=("edges", number))
    for name, table in nodes.items():
        balances = table.get("balances")
        for asset, quantity in balances.items() if isinstance(balances, Mapping) else ():
            path = ("nodes", name, "balances", asset)
            graph.add_edge(asset, name, role="holds", quantity=quantity, path=path)
    return graph


def _ends(stated: Any) -> list[str]:
    """Return the names at one end of an edge table: one, or a list of which each gets an edge of its own."""
    names = stated if isinstance(stated, list) and stated else [stated]
    return [name if isinstance(name, str) else "" for name in names]


def edge_name(source: str, target: str, data: Mapping[str, Any]) -> str:
    """Return the name of an edge: its own, or ``source:role:target``."""
    return str(data.get("name") or f"{source}:{data.get('role')}:{target}")


def check(graph: nx.MultiDiGraph) -> list[Finding]:
    """Return everything wrong with the nodes and edges of a graph, kinds' own parameters excepted."""
    if not isinstance(graph, nx.MultiDiGraph):
        return [Finding((), f"the exposure graph is an nx.MultiDiGraph, not {type(graph).__name__}")]
    findings = _check_facts(graph.graph)
    findings += [f for name, data in graph.nodes(data=True) for f in _check_node(graph, name, data)]
    names: dict[str, Path] = {}
    assets = {name for name, data in graph.nodes(data=True) if data.get("kind") == "asset"}
    known = {"asset": assets, "node": set(map(str, graph))}
    for source, target, data in graph.edges(data=True):
        findings += _check_edge(graph, source, target, data, known)
        name, path = edge_name(source, target, data), _path(data, source, target)
        if name in names:
            findings.append(Finding(path, f"a second edge {name!r}: give one of them a name of its own"))
        names[name] = path
    if (worlds := sum(data.get("kind") == "world" for _, data in graph.nodes(data=True))) != 1:
        hint = "" if worlds else ": graph.add_node('world', kind='world')"
        findings.append(Finding((), f"a graph has exactly one node of kind 'world'{hint}"))
    if not any(data.get("kind") == "asset" for _, data in graph.nodes(data=True)):
        findings.append(Finding((), "a graph has at least one node of kind 'asset'"))
    return findings


def compile_graph(graph: nx.MultiDiGraph) -> Network:
    """Return the network of a graph that `check` finds nothing wrong with."""
    names = sorted(graph)
    ids = {name: i for i, name in enumerate(names)}
    nodes = []
    for name in names:
        data = graph.nodes[name]
        domain, sector = KINDS.get(data["kind"], ("outside", "other"))
        parameters = {key: value for key, value in data.items() if key not in NODE_FACTS}
        nodes.append(Node(name, data["kind"], data.get("domain", domain), data.get("sector", sector), parameters))
    edges = []
    for source, target, data in graph.edges(data=True):
        facts = {key: value for key, value in data.items() if key != "path"}
        model = ROLES[data["role"]].params.model_validate(facts)
        edges.append(
            Edge(
                edge_name(source, target, data), model.role, ids[source], ids[target], model.latency,
                model.model_dump(exclude={"role", "latency", "name"}),
            )
        )  # fmt: skip
    return Network(nodes, sorted(edges, key=lambda edge: edge.name))


def knock_out(
    graph: nx.MultiDiGraph, name: str | None = None, *, node: str | None = None, edge: str | None = None
) -> nx.MultiDiGraph:
    """Remove a node, an edge or what a switch of the scenario names, in place, and return the graph.

    An edge is named by its name or by the beginning ``source:role``, which removes all that share it.
    KeyError, with the nearest name, when there is no such thing.

    >>> graph = build({"eth": {"kind": "asset"}, "ann": {"kind": "account", "balances": {"eth": 2}}}, [])
    >>> knock_out(graph, edge="eth:holds").number_of_edges()
    0
    """
    switches = graph.graph.get("switches", {})
    if name is not None and name in switches:
        for path, value in switches[name].get("set", {}).items():
            set_value(graph, path, value)
        for target in switches[name].get("remove", []):
            knock_out(graph, node=target, edge=target)
        return graph
    node, edge = node or name, edge or name
    if node in graph:
        graph.remove_node(node)
        return graph
    names = [(edge_name(source, target, data), f"{source}:{data.get('role')}", (source, target, key))
             for source, target, key, data in graph.edges(keys=True, data=True)]  # fmt: skip
    doomed = [ends for own, beginning, ends in names if edge in (own, beginning)]
    if not doomed:
        known = [*switches, *graph, *(own for own, _, _ in names)]
        what = str(name or node or edge)
        raise KeyError(f"no switch, node or edge {what!r} to knock out{closest(what, map(str, known))}")
    graph.remove_edges_from(doomed)
    return graph


def set_value(graph: nx.MultiDiGraph, path: str, value: Any) -> None:
    """Set ``nodes.<name>.<parameter>...`` or ``edges.<name>.<attribute>`` of a graph; KeyError if absent."""
    parts = path.split(".")
    if parts[0] == "nodes":
        for length in range(len(parts) - 1, 1, -1):
            name = ".".join(parts[1:length])
            if name in graph:
                _set_in(graph.nodes[name], parts[length:], value)
                return
        raise KeyError(f"no node {'.'.join(parts[1:-1])!r}{closest('.'.join(parts[1:-1]), map(str, graph))}")
    if parts[0] == "edges" and len(parts) > 2:
        name = ".".join(parts[1:-1])
        for source, target, data in graph.edges(data=True):
            if edge_name(source, target, data) == name:
                data[parts[-1]] = value
                return
    raise KeyError(f"{path!r} names no value of the graph: write nodes.<name>.<parameter>")


def _set_in(table: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        table[key] = dict(table.get(key) or {})
        table = table[key]
    table[keys[-1]] = value


def _path(data: Mapping[str, Any], source: Any, target: Any) -> Path:
    return tuple(data.get("path") or ("edges", edge_name(str(source), str(target), data)))


def _check_facts(facts: Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong with what a graph itself states; a scenario's graph has it from the file."""
    findings = []
    for key, what in (("horizon_us", "whole microseconds: 3_600_000_000 is an hour"), ("seed", "an integer")):
        value = plain(facts.get(key, 0))
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            findings.append(Finding((key,), f"is {what}, not {short(value)}"))
    if "horizon" in facts:
        findings.append(Finding(("horizon",), "is of files: a graph states 'horizon_us', a number of microseconds"))
    if not isinstance(facts.get("shocks", []), list):
        findings.append(Finding(("shocks",), "is a list of tables, one a shock"))
    return findings


def _check_node(graph: nx.MultiDiGraph, name: Any, data: Mapping[str, Any]) -> list[Finding]:
    path = tuple(data.get("path") or ("nodes", str(name)))
    if name == "" and "kind" not in data:
        return []  # stands for what is missing at the end of an edge, which says so
    if not isinstance(name, str) or not name or len(name) > 200 or not name.isprintable():
        hint = "" if isinstance(name, str) else f", not {short(name)}: nx.relabel_nodes(graph, str) makes text of names"
        return [Finding(path, f"a node's name is text of 1 to 200 printable characters{hint}")]
    if "kind" not in data and "path" not in data:
        near = closest(name, (str(n) for n, d in graph.nodes(data=True) if "kind" in d))
        ends = [(s, t, d) for s, t, d in graph.edges(data=True) if name in (s, t)]
        return [
            Finding((*_path(d, s, t), "from" if name == s else "to"), f"there is no node {name!r}{near}")
            for s, t, d in ends
        ] or [Finding(("nodes", name), "has no kind")]
    kind = data.get("kind")
    findings = []
    if "kind" not in data:
        findings.append(Finding((*path, "kind"), missing("kind", data)))
    elif not isinstance(kind, str) or (kind not in KINDS and "." not in kind and ":" not in kind):
        findings.append(Finding((*path, "kind"), f"no kind {short(kind)}{closest(str(kind)[:200], KINDS)}"))
    if "stands_as" in data and (str(kind) in KINDS or str(data["stands_as"]) not in KINDS):
        what = "is for kinds of other packages: the kind of ours whose place they take at the ends of edges"
        findings.append(Finding((*path, "stands_as"), what))
    if "domain" in data and data["domain"] not in DOMAINS:
        findings.append(Finding((*path, "domain"), f"a domain is one of {', '.join(DOMAINS)}"))
    if "balances" in data:
        findings.append(Finding((*path, "balances"), "balances map assets to tokens (in a graph: 'holds' edges)"))
    if not isinstance(plain(data.get("perimeter", True)), bool):
        findings.append(Finding((*path, "perimeter"), "true, or false for a holder whose losses are not counted"))
    if not isinstance(data.get("sector", ""), str):
        findings.append(Finding((*path, "sector"), "a sector is text"))
    return findings + _check_marks(graph, path, data.get("marks", {}))


def _check_marks(graph: nx.MultiDiGraph, path: Path, marks: Any) -> list[Finding]:
    if not isinstance(marks, Mapping):
        return [Finding((*path, "marks"), "marks map assets to the feeds that this node values them by")]
    return [
        Finding(
            (*path, "marks", str(asset)),
            f"{short(feed)} is no market, oracle or asset{closest(str(feed)[:200], map(str, graph))}",
        )
        for asset, feed in marks.items()
        if not isinstance(feed, str) or feed not in graph or graph.nodes[feed].get("kind") not in FEEDS
    ]


def _check_edge(
    graph: nx.MultiDiGraph, source: Any, target: Any, data: Mapping[str, Any], known: Mapping[str, set[str]]
) -> list[Finding]:
    """Return what is wrong with an edge; `known` has the names of assets and of nodes."""
    path = _path(data, source, target)
    if not source or not target:
        absent = missing("from" if not source else "to", data).removeprefix("is required but missing")
        return [Finding(path, f"an edge needs 'from' and 'to', each the name of a node{absent}")]
    what = data.get("role")
    if what is None:
        return [Finding((*path, "role"), missing("role", data))]
    role = ROLES.get(what) if isinstance(what, str) else None
    if role is None:
        return [Finding((*path, "role"), f"no role {short(what)}{closest(str(what)[:200], ROLES)}")]
    findings = []
    if data["role"] in AT_ONCE and data.get("latency") not in (None, 0, "0s"):
        what = f"a {data['role']} edge {AT_ONCE[data['role']]}: leave its latency out"
        findings.append(Finding((*path, "latency"), what))
    for end, name, kinds in (("from", source, role.sources), ("to", target, role.targets)):
        kind = graph.nodes[name].get("stands_as", graph.nodes[name].get("kind"))
        if isinstance(kind, str) and kind in KINDS and kind not in kinds:
            wanted = ", ".join(sorted(kinds)) if len(kinds) < 9 else "another kind"
            what = f"{name!r} is of kind {kind}; {data['role']} edges go {end} {wanted}"
            findings.append(Finding((*path, end), what))
    try:
        role.params.model_validate({key: value for key, value in data.items() if key != "path"}, context=dict(known))
    except ValidationError as error:
        findings += [Finding((*path, *where), what) for where, what in explain(error, role.params)]
    return findings
