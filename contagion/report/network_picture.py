"""The still picture of the exposure network: what had failed by the end."""

from markupsafe import Markup

from contagion.report.network import FAILED, HEIGHT, RETURNED, STATES, WIDTH, Network, Node, last_states
from contagion.report.svg import drawing, joined, number, shortened, tag
from contagion.words import money

_DOMAINS = {"defi": "DeFi", "cefi": "CeFi", "tradfi": "TradFi", "outside": "outside"}


def picture(found: Network) -> Markup:
    """Return the SVG of the network: boxes of the domains, edges, nodes by their state at the end, names.

    The script moves this very picture through time, by the numbers of nodes and edges and the shapes of states.
    """
    boxes = joined(
        tag("g", tag("rect", class_="region", x=box.x + 1, y=1.0, width=box.w - 2, height=box.h - 2, rx=6),
            tag("text", _DOMAINS.get(box.label, box.label), class_="region-name", x=box.x + 12, y=22.0))
        for box in found.regions
    )  # fmt: skip
    edges = joined(
        _edge(place, found.nodes[edge.source], found.nodes[edge.target], edge.role)
        for place, edge in enumerate(found.edges)
    )
    states = last_states(found)
    nodes = joined(_node(place, node, states[place]) for place, node in enumerate(found.nodes))
    failed = sum(state in (FAILED, RETURNED) for state in states)
    label = f"The exposure network: {len(found.nodes)} nodes, {len(found.edges)} edges; {failed} nodes failed"
    return drawing(WIDTH, HEIGHT, label, _shapes(), boxes, edges, nodes, class_="network")


def legend() -> Markup:
    """Return the shapes of the states, with their names; they are defined in the picture."""
    parts = []
    for state, name in enumerate(STATES):
        shape = tag("use", href=f"#state-{state}", transform="translate(9 9) scale(7)")
        shape = tag("g", shape, class_="node", data_state=state)
        parts.append(tag("li", tag("svg", shape, viewBox="0 0 18 18", class_="key", aria_hidden="true"), " ", name))
    return tag("ul", *parts, class_="legend")


def _shapes() -> Markup:
    """Return a circle, a triangle, a square with a cross in it and a diamond, each of radius one."""
    unit = {"vector_effect": "non-scaling-stroke"}
    return tag("defs", *(tag("path", id=f"state-{state}", d=shape, **unit) for state, shape in enumerate(_UNIT)))


_UNIT = (
    "M-1 0A1 1 0 1 1 1 0A1 1 0 1 1 -1 0z",
    "M0 -1.15L1.1 .8H-1.1z",
    "M-.9 -.9h1.8v1.8h-1.8zL.9 .9M.9 -.9L-.9 .9",
    "M0 -1.2L1 0L0 1.2L-1 0z",
)


def _edge(place: int, source: Node, target: Node, role: str) -> Markup:
    title = tag("title", f"{source.name} → {target.name}: {role}")
    if source.name == target.name:
        return tag("circle", title, class_="edge", data_edge=place, cx=source.x, cy=source.y - source.r, r=source.r)
    return tag("line", title, class_="edge", data_edge=place, x1=source.x, y1=source.y, x2=target.x, y2=target.y)


def _node(place: int, node: Node, state: int) -> Markup:
    title = tag("title", f"{node.name}: {node.kind.replace('_', ' ')}, {node.sector}, equity {money(node.equity)}")
    at = f"translate({number(node.x)} {number(node.y)}) scale({number(node.r)})"
    shape = tag("use", href=f"#state-{state}", transform=at)
    name = tag("text", shortened(node.name, 16), x=node.x, y=node.y + node.r + 12, text_anchor="middle")
    return tag("g", title, shape, name, class_="node", data_node=place, data_state=state)
