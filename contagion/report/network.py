"""The exposure network: who is drawn, where, in which state when, and which edges carry what moment by moment.

Nodes stand in a box for each domain, so that the two halves of a system are apart, in rows by kind, every second
row moved by half a place, so that no straight edge hides behind a node between its ends. A system of one domain and
few nodes stands on a circle. What is too much to read is summed up: of many nodes of one kind those with most equity
stand alone and the others as one.
"""

from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from contagion.log import FAILURES
from contagion.report.moments import Integers
from contagion.report.svg import shortened
from contagion.units import SECOND

WIDTH, HEIGHT = 1000.0, 640.0
MOST_NODES, MOST_EDGES, MOST_PULSES, MOST_FAILURES = 120, 1_500, 20_000, 2_000
_ALONE = 6
_CIRCLE = 24
_SMALLEST, _LARGEST = 5.0, 19.0
_ORDER = ("defi", "outside", "tradfi", "cefi")
_QUIET = ("opening", "start", "clock", "carry", "supply", "borrow")
STANDING, STRESSED, FAILED, RETURNED = range(4)
STATES = ("standing", "under stress; of a crowd: members fail", "failed", "returned")
_CHANGES = {"margin-call": STRESSED, "quote": RETURNED}
"""What else changes a state beside failures; a quote is a return of who had failed."""


class Node(NamedTuple):
    """One circle: the holders it stands for, and its place."""

    name: str
    kind: str
    sector: str
    domain: str
    equity: float
    holders: tuple[int, ...]
    x: float = 0.0
    y: float = 0.0
    r: float = _SMALLEST


class Edge(NamedTuple):
    """One exposure; source and target are places in the list of nodes."""

    name: str
    source: int
    target: int
    role: str


class Region(NamedTuple):
    """The box of a domain."""

    label: str
    x: float
    y: float
    w: float
    h: float


class Network(NamedTuple):
    """All that is drawn, and what is not said by the picture: `note`."""

    nodes: list[Node]
    edges: list[Edge]
    regions: list[Region]
    states: list[tuple[float, int, int]]
    pulses: list[tuple[float, int, float]]
    failures: list[tuple[float, int, str]]
    note: str


def network(run: Any, first: int, last: int) -> Network:
    """Return the network of a run; first, last : the microseconds that the slider covers."""
    nodes, summed = _nodes(run)
    nodes, regions = _placed(nodes)
    owner = np.full(len(run.books.holders), -1, np.int64)
    for place, node in enumerate(nodes):
        owner[list(node.holders)] = place
    edges, merged, left = _edges(run, owner)
    pulses = _pulses(run, owner, edges, first, last)
    note = f"{summed:,} nodes are summed up in those called 'more'. " if summed else ""
    note += f"{merged:,} edges lie on others between the same nodes. " if merged else ""
    note += f"{left:,} more edges are not drawn. " if left else ""
    return Network(nodes, edges, regions, _states(run, owner), pulses, _failures(run, owner, nodes), note.strip())


def _nodes(run: Any) -> tuple[list[Node], int]:
    """Return the nodes, at most about 120, and how many of them stand in sums."""
    books, accounts = run.books, run.tables["accounts"]
    equity = np.bincount(accounts["holder"], accounts["equity_start"], len(books.holders))
    rows = zip(books.holders, books.holder_kinds, books.sectors, books.domains, equity.tolist(), strict=True)
    every = [Node(*row, (place,)) for place, row in enumerate(rows)]
    if len(every) <= MOST_NODES:
        return every, 0
    kept: list[Node] = []
    for alike in (("domain", "kind", "sector"), ("domain", "kind"), ("domain",)):
        kept = _summed_up(every, alike)
        if len(kept) <= MOST_NODES:
            break
    return kept, sum(len(node.holders) for node in kept if len(node.holders) > 1)


def _summed_up(every: list[Node], alike: tuple[str, ...]) -> list[Node]:
    """Return, of nodes that are alike in some ways, those with most equity, and the rest of them as one."""
    groups: dict[tuple[str, ...], list[Node]] = {}
    for node in every:
        groups.setdefault(tuple(getattr(node, way) for way in alike), []).append(node)
    kept = []
    for _, members in sorted(groups.items()):
        ranked = sorted(members, key=lambda node: (-abs(node.equity), node.name))
        alone = ranked if len(ranked) <= _ALONE + 1 else ranked[:_ALONE]
        kept += alone
        if rest := ranked[len(alone) :]:
            kind = rest[0].kind if "kind" in alike else "node"
            holders = tuple(sorted(node.holders[0] for node in rest))
            equity = sum(node.equity for node in rest)
            name = f"{len(rest)} more {kind.replace('_', ' ')}s"
            kept.append(Node(name, kind, rest[0].sector, rest[0].domain, equity, holders))
    return kept


def _placed(nodes: list[Node]) -> tuple[list[Node], list[Region]]:
    """Return the nodes with their places and sizes, and the boxes of the domains."""
    largest = max((abs(node.equity) for node in nodes if node.kind != "world"), default=0.0) or 1.0
    sized = [
        node._replace(r=_SMALLEST + (_LARGEST - _SMALLEST) * min(abs(node.equity) / largest, 1.0) ** 0.5)
        for node in nodes
    ]
    domains = sorted(
        {node.domain for node in sized}, key=lambda name: (_ORDER.index(name) if name in _ORDER else 9, name)
    )
    inside = [node for node in sized if node.kind != "asset" and node.kind != "world"]
    if len({node.domain for node in inside}) == 1 and len(inside) <= _CIRCLE:
        return _on_circle(sized), []
    columns = {name: _columns(sum(node.domain == name for node in sized)) for name in domains}
    width, regions, left = (WIDTH - 8.0 * (len(domains) - 1)) / sum(columns.values()), [], 0.0
    places: dict[int, tuple[float, float]] = {}
    for name in domains:
        box = Region(name, left, 0.0, columns[name] * width, HEIGHT)
        own = sorted((node for node in sized if node.domain == name), key=lambda node: (node.kind, node.name))
        places |= _in_rows(own, box, columns[name])
        regions.append(box)
        left += box.w + 8.0
    return [node._replace(x=places[node.holders[0]][0], y=places[node.holders[0]][1]) for node in sized], regions


def _columns(count: int) -> int:
    """Return how many columns a box for so many nodes has, at nine or ten rows."""
    return max(-(-count // 9), 1)


def _in_rows(nodes: list[Node], box: Region, columns: int) -> dict[int, tuple[float, float]]:
    """Return the place of each node: row by row, a new row where the kind changes as long as there is room."""
    rows: list[list[Node]] = []
    for node in nodes:
        new = not rows or len(rows[-1]) >= columns or (columns > 2 and rows[-1][-1].kind != node.kind)
        rows.append([node]) if new else rows[-1].append(node)
    if len(rows) > 11:
        rows = [nodes[start : start + columns] for start in range(0, len(nodes), columns)]
    height, places = (box.h - 56.0) / max(len(rows), 1), {}
    for place, row in enumerate(rows):
        width = box.w / len(row)
        shift = 0.12 * min(width, 120.0) * (1 if place % 2 else -1)
        for column, node in enumerate(row):
            lift = height * 0.13 * (1 if column % 2 else -1) * (len(row) > 1)
            places[node.holders[0]] = (
                box.x + (column + 0.5) * width + shift,
                40.0 + (place + 0.5) * height + lift - 4.0,
            )
    return places


def _on_circle(nodes: list[Node]) -> list[Node]:
    """Return the nodes on an ellipse; assets and the outside, which owe nobody, in the corner."""
    ring = [node for node in nodes if node.kind not in ("asset", "world")]
    around = nx.circular_layout(range(len(ring))) if len(ring) > 1 else {0: (0.0, 0.0)}
    placed = {
        node.holders[0]: (WIDTH / 2 + 330.0 * float(around[k][0]), HEIGHT / 2 - 10 + 230.0 * float(around[k][1]))
        for k, node in enumerate(ring)
    }
    aside = [node for node in nodes if node.holders[0] not in placed]
    placed |= {node.holders[0]: (60.0, 50.0 + 60.0 * k) for k, node in enumerate(aside)}
    return [node._replace(x=placed[node.holders[0]][0], y=placed[node.holders[0]][1]) for node in nodes]


def _edges(run: Any, owner: Integers) -> tuple[list[Edge], int, int]:
    """Return the edges that are drawn, one a pair and role, how many lie on these, and how many are too many."""
    known = {name: place for place, name in enumerate(run.books.holders)}
    found: dict[tuple[int, int, str], Edge] = {}
    given = [edge for edge in run.graph.get("edges", []) if edge["source"] in known and edge["target"] in known]
    for edge in given:
        source, target = int(owner[known[edge["source"]]]), int(owner[known[edge["target"]]])
        role = str(edge.get("role", ""))
        name = str(edge.get("name") or f"{edge['source']}:{role}:{edge['target']}")
        found.setdefault((source, target, role), Edge(name, source, target, role))
    kept = list(found.values())[:MOST_EDGES]
    return kept, len(given) - len(found), len(found) - len(kept)


def _pulses(run: Any, owner: Integers, edges: list[Edge], first: int, last: int) -> list[tuple[float, int, float]]:
    """Return when news and trades travelled along which edge: time, edge, and how many events (1 is the most)."""
    events, books = run.tables["events"], run.books
    quiet = [number for number, kind in enumerate(books.kinds) if kind in _QUIET]
    loud = np.flatnonzero(~np.isin(events["kind"], quiet) & (np.arange(len(events["kind"])) > books.opening))
    count = int(owner.max(initial=-1)) + 1
    lookup = np.full((count, count), -1, np.int64)
    for place, edge in reversed(list(enumerate(edges))):
        lookup[edge.source, edge.target] = place
    node, cause = events["node"][loud], events["cause"][loud]
    source = np.where(cause >= 0, events["node"][np.maximum(cause, 0)], -1)
    market = events["market"][loud]
    hops = [(source, node), (node, np.where(market < len(owner), market, -1))]
    found: list[tuple[Integers, Integers]] = []
    for start, end in hops:
        known = (start >= 0) & (end >= 0)
        along = lookup[owner[start[known]], owner[end[known]]]
        found.append((events["time_us"][loud][known][along >= 0], along[along >= 0]))
    times, places = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return _thinned(times, places, len(edges), first, last)


def _thinned(times: Integers, places: Integers, edges: int, first: int, last: int) -> list[tuple[float, int, float]]:
    """Return (seconds, edge, weight) with so few moments that there are at most 20,000 of them."""
    if not len(times):
        return []
    for steps in (1_200, 600, 300, 150, 75, 40, 20, 10):
        width = max((last - first) / steps, 1.0)
        step = np.clip(((times - first) / width).astype(np.int64), 0, steps - 1)
        keys, counts = np.unique(step * edges + places, return_counts=True)
        if len(keys) <= MOST_PULSES:
            break
    weight = np.round(np.log1p(counts) / np.log1p(counts.max()), 2)
    moment, edge = np.divmod(keys, edges)
    seconds = np.round((first + moment * width) / SECOND, 3)
    return list(zip(seconds.tolist(), edge.tolist(), weight.tolist(), strict=True))


def _states(run: Any, owner: Integers) -> list[tuple[float, int, int]]:
    """Return the changes of state, in time: stress, failure, and a maker's first quote after it withdrew."""
    events, books = run.tables["events"], run.books
    rank = np.full(len(books.kinds), -1)
    for number, kind in enumerate(books.kinds):
        rank[number] = FAILED if kind in FAILURES else _CHANGES.get(kind, -1)
    state = rank[events["kind"]]
    state[(state == FAILED) & (events["member"] >= 0)] = STRESSED
    rows = np.flatnonzero((state >= 0) & (events["node"] >= 0))
    rows = rows[_keeps(state[rows], events["node"][rows])]
    now: dict[int, int] = {}
    found = []
    for row in rows.tolist():
        node, new = int(owner[events["node"][row]]), int(state[row])
        old = now.get(node, STANDING)
        if (new == RETURNED and old != FAILED) or (new == STRESSED and old in (FAILED, STRESSED)) or new == old:
            continue
        now[node] = new
        found.append((round(int(events["time_us"][row]) / SECOND, 6), node, new))
    return found


def _keeps(state: NDArray[Any], nodes: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which rows may change a state: those whose state is not that of the row before of the same node."""
    order = np.argsort(nodes, kind="stable")
    same = np.zeros(len(order), np.bool_)
    same[1:] = (nodes[order][1:] == nodes[order][:-1]) & (state[order][1:] == state[order][:-1])
    kept = np.ones(len(order), np.bool_)
    kept[order] = ~same
    return kept


def _failures(run: Any, owner: Integers, nodes: list[Node]) -> list[tuple[float, int, str]]:
    """Return the first failures, those of one node and kind at one time as one, at most 2,000."""
    events, books = run.tables["events"], run.books
    kinds = [number for number, kind in enumerate(books.kinds) if kind in FAILURES]
    rows = np.flatnonzero(np.isin(events["kind"], kinds) & (events["first"] == 1) & (events["node"] >= 0))
    if not len(rows):
        return []
    times, place, kind = events["time_us"][rows], owner[events["node"][rows]], events["kind"][rows].astype(np.int64)
    steps, size = 0, len(nodes) * len(books.kinds)
    while True:
        moment = times if not steps else (times - times.min()) * steps // max(int(times.max() - times.min()), 1)
        order = np.unique(moment, return_inverse=True)[1]
        keys, at, counts = np.unique(
            order * size + place * len(books.kinds) + kind, return_index=True, return_counts=True
        )
        if len(keys) <= MOST_FAILURES or steps == 1:
            break
        steps = 800 if not steps else max(steps // 2, 1)
    found = []
    for row, count in sorted(zip(at.tolist(), counts.tolist(), strict=True)):
        name, what = nodes[int(place[row])].name, books.kinds[int(kind[row])]
        label = f"{what} of {name}" if count == 1 else f"{count:,} × {what} of {name}"
        found.append((round(int(times[row]) / SECOND, 6), int(place[row]), label))
    return found[:MOST_FAILURES]


def as_data(found: Network) -> dict[str, Any]:
    """Return what the script reads of a network."""
    nodes = [
        {"name": n.name, "label": shortened(n.name, 16), "kind": n.kind, "sector": n.sector,
         "equity": float(f"{n.equity:.6g}"), "x": round(n.x, 1), "y": round(n.y, 1), "r": round(n.r, 1)}
        for n in found.nodes
    ]  # fmt: skip
    regions = [{"label": box.label, **{key: round(getattr(box, key), 1) for key in "xywh"}} for box in found.regions]
    return {
        "nodes": nodes, "edges": [edge._asdict() for edge in found.edges], "regions": regions,
        "states": found.states, "pulses": found.pulses,
    }  # fmt: skip


def last_states(found: Network) -> list[int]:
    """Return the state of each node at the end."""
    last = [STANDING] * len(found.nodes)
    for _, node, state in found.states:
        last[node] = state
    return last
