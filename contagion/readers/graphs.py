"""A graph from another program: GraphML, GEXF or node-link JSON, with a number on each edge.

A node's name is its ``id``, an edge's amount its attribute ``amount``, unless the caller names other attributes. What
an edge means is the caller's to say. Attributes of nodes that are among `NODE_COLUMNS` are read as from a CSV file.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from contagion.errors import BadInput, Problem, closest
from contagion.readers.exposures import NODE_COLUMNS, Exposures, NodeTable, matrix, oriented
from contagion.readers.sheet import Complaints, Floats, Provenance
from contagion.readers.words import MAX_AMOUNT, MAX_PROBLEMS, NUMBER, below, not_a_name, not_a_number, too_large
from contagion.readers.xml import MAX_BYTES, Element, RawGraph, parse_xml
from contagion.source import decoded, read_bytes

MAX_DIGITS = 400
"""Digits in an integer; a double ends at 309."""


def read_graph(
    path: str, orientation: str, *, columns: Mapping[str, str] | None = None, nodes: NodeTable | None = None,
    unit: str = "",
) -> Exposures:  # fmt: skip
    """Return the exposures of a GraphML, GEXF or node-link JSON file, told apart by the suffix.

    orientation : ``'liability'`` where an edge's source owes its target, ``'asset'`` where it has lent to it; columns :
    ``name`` and ``amount`` -> the attributes that hold them; nodes : who there is, instead of the file's own facts on
    nodes. BadInput for what is no such file, for an undirected graph and for what an edge list is refused for.
    """
    by_debtor = oriented(orientation)
    raw = read_bytes(path, MAX_BYTES)
    if len(raw) > MAX_BYTES:
        raise BadInput([Problem(path, 0, 0, "", f"is larger than {MAX_BYTES // 2**20} MiB; write it as an edge list")])
    suffix = Path(path).suffix.lower()
    graph = SUFFIXES[suffix](raw, path)
    complaints = Complaints(path)
    titles = {"name": "id", "amount": "amount"} | dict(columns or {})
    own = _names(complaints, graph, titles["name"])
    table = nodes.columns if nodes else _columns(complaints, graph, columns or {})
    names = nodes.names if nodes else tuple(own.values())
    sources, targets, amounts = _edges(complaints, graph, titles["amount"], own, names)
    if complaints.found:
        raise complaints.error({line: line for line, _, _ in complaints.found})
    kept = amounts != 0
    dropped = {"the amount is 0": int((~kept).sum())} if not kept.all() else {}
    rows, across = (sources, targets) if by_debtor else (targets, sources)
    form = f"{suffix[1:]}, edges {'to creditors' if by_debtor else 'to debtors'}"
    origin = Provenance(path, hashlib.sha256(raw).hexdigest(), form, len(graph.edges), dropped)
    provenance = (origin, nodes.provenance) if nodes else (origin,)
    return Exposures(names, matrix(len(names), rows[kept], across[kept], amounts[kept]), table, unit, provenance)


def parse_node_link(raw: bytes, file: str) -> RawGraph:
    """Return the nodes and edges of node-link JSON, as NetworkX and D3 write it; BadInput where it is none.

    >>> parse_node_link(b'{"directed": true, "nodes": [{"id": "a"}], "edges": []}', "a.json").nodes[0].facts
    {'id': 'a'}
    """

    def bad(what: str, line: int = 0) -> BadInput:
        return BadInput([Problem(file, line, 0, "", what)])

    try:
        text = decoded(raw, file)
        data = json.loads(text, parse_constant=_not_finite, parse_int=_integer, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise bad(f"is no JSON: {error.msg}; is the file cut off?", error.lineno) from None
    except RecursionError:
        raise bad("is nested too deep") from None
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        raise bad(f"is not read: {error}") from None
    if isinstance(data, dict) and {"edges", "links"} <= data.keys():
        raise bad("has both 'edges' and 'links'; expected one list of edges")
    edges = data.get("edges", data.get("links")) if isinstance(data, dict) else None
    nodes = data.get("nodes") if isinstance(data, dict) else None
    if not isinstance(nodes, list) or not isinstance(edges, list):
        raise bad("is no node-link JSON; expected an object with the lists 'nodes' and 'edges'")
    if data.get("directed") is not True:
        raise bad('is not marked as directed; expected "directed": true, for a debt has a direction')
    listed = {"nodes": nodes, "edges": edges}
    for key, items in listed.items():
        wrong = [number for number, item in enumerate(items) if not isinstance(item, dict)]
        if wrong:
            raise bad(f"{key}[{wrong[0]}] is not an object")
    return RawGraph(*([_element(key, n, item) for n, item in enumerate(items)] for key, items in listed.items()))


def _not_finite(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a finite number")


def _integer(text: str) -> int | float:
    """Return an integer, or the infinity that one without end is to a double."""
    return int(text) if len(text) <= MAX_DIGITS else float(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; ValueError where a key stands twice, of which JSON would take the last."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key[:60]!r} stands twice in one object; expected it once")
        found[key] = value
    return found


SUFFIXES: Mapping[str, Callable[[bytes, str], RawGraph]] = {
    ".graphml": parse_xml, ".gexf": parse_xml, ".json": parse_node_link,
}  # fmt: skip
"""Which parser reads which suffix."""


def _element(key: str, number: int, item: dict[str, Any]) -> Element:
    """Return a JSON object as the XML readers give it: what has parts, or is null, is left out."""
    plain = {
        str(k): v if isinstance(v, str) else json.dumps(v)
        for k, v in item.items() if not isinstance(v, dict | list | None)
    }  # fmt: skip
    return Element(0, f"{key}[{number}]", plain)


def _names(complaints: Complaints, graph: RawGraph, title: str) -> dict[str, str]:
    """Return each node's name by its id; noted: names that are none, and those of two nodes."""
    names: dict[str, str] = {}
    taken: dict[str, Element] = {}
    for node in graph.nodes:
        name = node.facts.get(title, "").strip()
        fault = f"has no {title!r}; expected a name" if title not in node.facts else not_a_name(name)
        if not fault and (name in taken or node.facts.get("id", "") in names):
            fault = f"a second node {name[:60]!r}; expected one a name"
        if fault:
            complaints.add(node.line, node.path, fault)
        taken[name] = node
        names[node.facts.get("id", "")] = name
    if not graph.nodes:
        complaints.add(0, "", "has no nodes")
    return names


def _columns(complaints: Complaints, graph: RawGraph, titles: Mapping[str, str]) -> dict[str, Floats]:
    """Return the known columns that some node has; a node without one is noted, and a title that no node has."""
    columns = {}
    for key, least in NODE_COLUMNS.items():
        title = titles.get(key, key)
        if any(title in node.facts for node in graph.nodes):
            columns[key] = np.array([_number(complaints, node, title, least) for node in graph.nodes])
        elif key in titles:
            known = sorted({fact for node in graph.nodes for fact in node.facts})
            what = f"no node has {title[:60]!r}{closest(title, known)}"
            complaints.add(0, "nodes", f"{what}; expected a number at every node, as its {key}")
    return columns


def _edges(
    complaints: Complaints, graph: RawGraph, title: str, own: Mapping[str, str], names: tuple[str, ...]
) -> tuple[Any, Any, Floats]:
    place = {name: number for number, name in enumerate(names)}
    seen: dict[tuple[int, int], Element] = {}
    rows, amounts = [], []
    for edge in graph.edges:
        ends = []
        for end in ("source", "target"):
            name = own.get(stated := edge.facts.get(end, ""))
            ends.append(place.get(name, -1) if name is not None else -1)
            if ends[-1] < 0:
                shown = (name or stated)[:60]
                near = closest(shown, names) if len(complaints.found) <= MAX_PROBLEMS and len(names) <= 10_000 else ""
                what = f"there is no node {shown!r}{near}; expected a name of the nodes"
                complaints.add(edge.line, f"{edge.path}.{end}", what)
        pair = (ends[0], ends[1])
        if pair[0] == pair[1] >= 0:
            complaints.add(edge.line, edge.path, f"{names[pair[0]]!r} owes itself; expected two different names")
        elif min(pair) >= 0 and pair in seen:
            before = f"line {seen[pair].line}" if seen[pair].line else seen[pair].path
            what = f"a second edge from {names[pair[0]]!r} to {names[pair[1]]!r}, after {before}"
            complaints.add(edge.line, edge.path, f"{what}; expected one a pair; add the amounts up")
        seen.setdefault(pair, edge)
        rows.append(pair)
        amounts.append(_number(complaints, edge, title, 0))
    places = np.array(rows, dtype=np.int64).reshape(-1, 2)
    return places[:, 0], places[:, 1], np.array(amounts, dtype=np.float64)


def _number(complaints: Complaints, element: Element, title: str, least: float) -> float:
    """Return a number among the facts of an element, 0 where it is noted as wrong."""
    text = element.facts.get(title)
    value = float(text) if text is not None and NUMBER.fullmatch(text) else 0.0
    if text is None:
        near = closest(title, element.facts)
        what = f"there is no {title!r}{near}; expected a number; map it with its own name where it has another"
    elif not NUMBER.fullmatch(text) or not np.isfinite(value):
        what = not_a_number(text)
    elif value < least:
        what = below(value, least)
    elif abs(value) > MAX_AMOUNT:
        what = too_large(value)
    else:
        return value
    complaints.add(element.line, f"{element.path}.{title}" if text is not None else element.path, what)
    return 0.0
