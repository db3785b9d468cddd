"""Who is exposed to whom: the exposure graph, nodes sized by equity at the start, shaped by kind, the failed marked.

Where kinds differ, they stand in columns in the way distress travels, from assets on the left over markets and venues
to those who hold and owe on the right; within a column, near their neighbours. Where most edges join nodes of one
column, as between banks, the distances are those of Kamada and Kawai (1989). Beyond what is legible, the smallest
nodes of a kind that stand are drawn as one, and the title says how many.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import networkx as nx
import numpy as np

from contagion.plot.style import GREY, PALETTE, SMALL, literal, note, style

COLUMNS: tuple[tuple[str, ...], ...] = (
    ("asset",),
    ("order_book", "amm", "impact"),
    ("oracle", "stablecoin_issuer", "exchange", "lending_protocol"),
    ("market_maker", "dip_buyer", "arbitrageur", "liquidator", "looper", "whale"),
    ("population", "account", "bank", "world"),
)
_HALL = [(-1.4, -0.8), (1.4, -0.8), (1.4, 0.8), (-1.4, 0.8), (-1.4, -0.8)]
_HOUSE = [(-1, -1), (1, -1), (1, 0.4), (0, 1.2), (-1, 0.4), (-1, -1)]
SHAPES: dict[str, Any] = {
    "asset": "D", "order_book": "s", "amm": "d", "impact": (4, 1, 0), "oracle": "^", "exchange": _HALL,
    "lending_protocol": "p", "stablecoin_issuer": "*", "market_maker": "v", "dip_buyer": "<", "arbitrageur": "X",
    "liquidator": "P", "looper": ">", "whale": (6, 1, 0), "population": "H", "account": "o", "bank": _HOUSE,
    "world": "+",
}  # fmt: skip
_OTHER = (5, 1, 180)
_IN_COLUMN, _IN_ALL = 24, 90
_ARROWS = 90
_SPRING = 60
"""Beyond so many nodes springs are laid out (Fruchterman and Reingold 1991, from a fixed start), which are quicker."""


class Node(NamedTuple):
    """A node as it is drawn: what it is, its equity, how many members failed, or how many nodes it stands for."""

    kind: str
    equity: float
    failed: int
    whole: int = 1


def network(run: Any) -> nx.DiGraph:
    """Return what is drawn: nodes with a `Node` as `fact`, one edge a direction, and the position of each as `at`.

    `folded` in the graph's attributes counts the nodes that stand for others are.
    """
    facts = {name: fact for name, fact in _nodes(run).items() if name}
    ends = [(edge["source"], edge["target"]) for edge in run.graph.get("edges", [])]
    facts = {name: fact for name, fact in facts.items() if fact.kind != "world" or any(name in pair for pair in ends)}
    column = {name: _column(fact.kind) for name, fact in facts.items()}
    inside = sum(column[source] == column[target] for source, target in ends)
    layered = 2 * inside <= len(ends)
    stands_for = _folded(facts, _IN_COLUMN if layered else _IN_ALL, column)
    graph = nx.DiGraph(folded=sum(fact.whole for fact in stands_for.values() if fact.whole > 1))
    names = {name: own for own, members in _members(facts, stands_for).items() for name in members}
    for name in sorted(stands_for, key=lambda name: (_column(stands_for[name].kind), name)):
        graph.add_node(name, fact=stands_for[name], column=_column(stands_for[name].kind))
    graph.add_edges_from(sorted({(names[s], names[t]) for s, t in ends if names[s] != names[t]}))
    for name, at in (_in_columns(graph) if layered else _by_distance(graph)).items():
        graph.nodes[name]["at"] = at
    graph.graph["layered"] = layered
    return graph


def draw_network(axes: Any, run: Any) -> None:
    """Draw the exposure graph of a run."""
    graph = network(run)
    axes.set_axis_off()
    failed = sum(fact.failed > 0 for _, fact in graph.nodes(data="fact"))
    folded = f"; {graph.graph['folded']} small ones drawn as one a kind" if graph.graph["folded"] else ""
    style(axes, f"exposures: size grows with equity at the start, × failed ({failed}){folded}", grid="both")
    axes.grid(False)
    if not graph:
        note(axes, "no nodes")
        return
    _draw_edges(axes, graph)
    _draw_nodes(axes, graph)
    _draw_names(axes, graph)
    _frame(axes, np.array([at for _, at in graph.nodes(data="at")]))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=6, frameon=False, fontsize=SMALL)


def _frame(axes: Any, at: Any) -> None:
    """Leave room around the nodes, most on the right, where names stand."""
    (left, low), (right, high) = at.min(axis=0), at.max(axis=0)
    width, height = max(right - left, 1e-6), max(high - low, 1e-6)
    axes.set_xlim(left - 0.05 * width, right + 0.2 * width)
    axes.set_ylim(low - 0.05 * height, high + 0.05 * height)


def _nodes(run: Any) -> dict[str, Node]:
    """Return every node of the graph with what the run says of it."""
    books, accounts, events = run.books, run.tables["accounts"], run.tables["events"]
    equity = np.zeros(len(books.holders))
    np.add.at(equity, accounts["holder"], accounts["equity_start"])
    rows = run.tables["failures"]["event"]
    failed = np.bincount(events["node"][rows], minlength=len(books.holders))
    number = {name: place for place, name in enumerate(books.holders)}
    return {
        node["id"]: Node(node["kind"], float(equity[number[node["id"]]]), int(failed[number[node["id"]]]))
        for node in run.graph.get("nodes", [])
    }


def _column(kind: str) -> int:
    return next((place for place, kinds in enumerate(COLUMNS) if kind in kinds), len(COLUMNS) - 2)


def _folded(facts: dict[str, Node], limit: int, column: dict[str, int]) -> dict[str, Node]:
    """Return the nodes to draw: those that failed and the largest, as many as fit into a column, and one a kind."""
    kept: dict[str, Node] = {}
    for place in sorted(set(column.values())):
        own = [name for name in facts if column[name] == place]
        own.sort(key=lambda name: (not facts[name].failed, -abs(facts[name].equity), name))
        kept |= {name: facts[name] for name in (own if len(own) <= limit else own[: limit - 3])}
    for kind in sorted({fact.kind for fact in facts.values()}):
        rest = [fact for name, fact in facts.items() if fact.kind == kind and name not in kept]
        if rest:
            whole = Node(kind, sum(f.equity for f in rest), sum(f.failed > 0 for f in rest), len(rest))
            kept[_more(kind, len(rest))] = whole
    return kept


def _members(facts: dict[str, Node], drawn: dict[str, Node]) -> dict[str, list[str]]:
    """Return the names that each drawn node stands for."""
    table: dict[str, list[str]] = {name: [name] for name in drawn if name in facts}
    for name, fact in facts.items():
        if name not in drawn:
            own = next(other for other, node in drawn.items() if node.whole > 1 and node.kind == fact.kind)
            table.setdefault(own, []).append(name)
    return table


def _more(kind: str, number: int) -> str:
    return f"{number} more: {kind.replace('_', ' ')}"


def _in_columns(graph: nx.DiGraph) -> dict[str, tuple[float, float]]:
    """Return positions in columns; the order within each is that of the neighbours' mean height (Sugiyama 1981)."""
    columns: dict[int, list[str]] = {}
    for name, column in graph.nodes(data="column"):
        columns.setdefault(column, []).append(name)
    order = list(columns.values())
    for sweep in range(8):
        at = {name: _height(place, len(names)) for names in order for place, name in enumerate(names)}
        for names in order if sweep % 2 == 0 else reversed(order):
            pull = {name: _mean(at[other] for other in nx.all_neighbors(graph, name) if other not in names)
                    for name in names}  # fmt: skip
            names.sort(key=lambda name: (at[name] if pull[name] is None else pull[name], name))
            at |= {name: _height(place, len(names)) for place, name in enumerate(names)}
    return {
        name: (float(x), -_height(place, len(names)))
        for x, names in enumerate(order)
        for place, name in enumerate(names)
    }


def _height(place: int, number: int) -> float:
    return (place + 0.5) / number


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return round(sum(known) / len(known), 9) if known else None


def _by_distance(graph: nx.DiGraph) -> dict[str, tuple[float, float]]:
    plain = graph.to_undirected()
    small = len(plain) <= _SPRING
    found = nx.kamada_kawai_layout(plain) if small else nx.spring_layout(plain, seed=0, iterations=200)
    return {name: (float(x), float(y)) for name, (x, y) in found.items()}


def _draw_edges(axes: Any, graph: nx.DiGraph) -> None:
    """Draw an edge each: between failed nodes, and where there are few, as a bent arrow, else as a pale line."""
    from matplotlib.collections import LineCollection
    from matplotlib.patches import FancyArrowPatch

    few, at = graph.number_of_edges() <= _ARROWS, dict(graph.nodes(data="at"))
    failed, pale = {name for name, fact in graph.nodes(data="fact") if fact.failed}, []
    for source, target in graph.edges:
        dark = source in failed and target in failed
        if not few and not dark:
            pale.append((at[source], at[target]))
            continue
        axes.add_patch(
            FancyArrowPatch(
                at[source], at[target], arrowstyle="-|>,head_length=4,head_width=2", shrinkA=5, shrinkB=7, zorder=1,
                connectionstyle=f"arc3,rad={0.35 if at[source][0] == at[target][0] else 0.12}",
                color=GREY if dark else "#9A9A9A", alpha=0.9 if dark else 0.5, linewidth=1.3 if dark else 0.7,
            )
        )  # fmt: skip
    axes.add_collection(LineCollection(pale, colors="#9A9A9A", alpha=0.25, linewidths=0.7, zorder=1), autolim=False)


def _draw_nodes(axes: Any, graph: nx.DiGraph) -> None:
    facts = dict(graph.nodes(data="fact"))
    areas = _areas(graph)
    for kind in sorted({fact.kind for fact in facts.values()}, key=lambda kind: (_column(kind), kind)):
        own = [name for name, fact in facts.items() if fact.kind == kind]
        if own:
            at = np.array([graph.nodes[name]["at"] for name in own])
            sizes = [areas[name] for name in own]
            colours = [PALETTE[1] if facts[name].failed else "#D6DCE2" for name in own]
            axes.scatter(
                at[:, 0], at[:, 1], s=sizes, c=colours, marker=SHAPES.get(kind, _OTHER), edgecolors="black",
                linewidths=0.7, zorder=2,
            )  # fmt: skip
            axes.scatter([], [], s=45, c="#D6DCE2", marker=SHAPES.get(kind, _OTHER), edgecolors="black",
                         linewidths=0.7, label=kind.replace("_", " "))  # fmt: skip
    dead = np.array([graph.nodes[name]["at"] for name, fact in facts.items() if fact.failed])
    if len(dead):
        axes.scatter(dead[:, 0], dead[:, 1], s=30, c="black", marker="x", linewidths=1.4, zorder=3)


def _areas(graph: nx.DiGraph) -> dict[str, float]:
    """Return the area of every node in square points: it grows with the root of equity, so that the small are seen."""
    facts = dict(graph.nodes(data="fact"))
    largest = max((abs(fact.equity) for fact in facts.values()), default=0.0) or 1.0
    return {name: 45.0 + 500.0 * math.sqrt(abs(fact.equity) / largest) for name, fact in facts.items()}


def _draw_names(axes: Any, graph: nx.DiGraph) -> None:
    areas = _areas(graph)
    for name, data in graph.nodes(data=True):
        fact = data["fact"]
        beside = math.sqrt(areas[name]) / 2 + 4
        many = f" ({fact.failed:,} failed)" if fact.failed > 1 else ""
        axes.annotate(
            literal(f"{name}{many}"), xy=data["at"], xytext=(beside, 0), textcoords="offset points", va="center",
            fontsize=7.5, fontweight="bold" if fact.failed else "normal", zorder=4,
            bbox={"facecolor": "white", "alpha": 0.65, "linewidth": 0, "pad": 0.6},
        )  # fmt: skip
