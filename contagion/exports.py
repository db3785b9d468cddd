"""The exposure graph in formats that other programs read: GraphML, node-link JSON and CSV.

GraphML (Gephi, yEd, igraph) knows numbers, truth values and text only, so exact decimals become doubles, and
what has parts becomes JSON text. Node-link JSON keeps the parts. CSV has one row an edge, for a spreadsheet.
"""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

import networkx as nx

from contagion.assembly import node_link
from contagion.graph import edge_name
from contagion.params import Duration, Params, plain


class _Latency(Params):
    latency: Duration = 0


def graphml(graph: nx.MultiDiGraph) -> str:
    """Return the graph as GraphML; an edge's key is its name.

    >>> graph = nx.MultiDiGraph()
    >>> graph.add_node("eth", kind="asset", marks={"eth": "pool"})
    >>> '{"eth": "pool"}</data>' in graphml(graph)
    True
    """
    flat = nx.MultiDiGraph(name=graph.graph.get("name", ""), currency=graph.graph.get("currency", "USD"))
    for name, data in graph.nodes(data=True):
        flat.add_node(name, **_flat(data))
    for source, target, data in graph.edges(data=True):
        flat.add_edge(source, target, key=edge_name(source, target, data), **_flat(data))
    stream = io.BytesIO()
    nx.write_graphml_xml(flat, stream, infer_numeric_types=True)
    return stream.getvalue().decode() + "\n"


def node_link_json(graph: nx.MultiDiGraph) -> str:
    """Return the graph as node-link JSON, which `networkx.node_link_graph(..., edges="edges")` reads."""
    return json.dumps(node_link(graph), indent=1, ensure_ascii=False) + "\n"


def edge_table(graph: nx.MultiDiGraph) -> str:
    """Return one CSV row an edge: its ends, role, name and latency, then whatever else any edge states."""
    rows = [_row(*edge) for edge in graph.edges(data=True)]
    first = ["source", "target", "role", "name", "latency_us", "quantity"]
    columns = first + sorted({key for row in rows for key in row} - set(first))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


WRITERS = {"graphml": graphml, "node-link": node_link_json, "csv": edge_table}


def _row(source: str, target: str, data: Mapping[str, Any]) -> dict[str, Any]:
    latency = _Latency(latency=data.get("latency", 0)).latency
    row = {"source": source, "target": target, "name": edge_name(source, target, data), "latency_us": latency}
    return row | {key: value for key, value in _flat(data).items() if key not in ("name", "latency")}


def _flat(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as numbers, truth values and text; what is absent or internal is left out."""
    known = {key: plain(value) for key, value in data.items() if key != "path" and value is not None}
    return {
        key: value if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)
        for key, value in known.items()
    }
