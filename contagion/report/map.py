"""The still picture of the exposure network: what had failed by the end."""

from markupsafe import Markup

from contagion.report.network import FAILED, HEIGHT, RETURNED, STATES, STRESSED, WIDTH, Network, Node, last_states
from contagion.report.svg import drawing, shortened, joined, number, tag

_DOMAINS = {"defi": "DeFi", "cefi": "CeFi", "tradfi": "TradFi", "outside": "outside"}


def picture(found: Network) -> Markup:
    """Return the SVG of the network: boxes of the domains, edges, nodes by their worst state, names."""
    boxes = joined(
        tag("g", tag("rect", class_="region", x=box.x + 1, y=1.0, width=box.w - 2, height=box.h - 2, rx=6),
            tag("text", _DOMAINS.get(box.label, box.label), class_="region-name", x=box.x + 12, y=22.0))
        for box in found.regions
    )  # fmt: skip
    edges = joined(_edge(found.nodes[edge.source], found.nodes[edge.target], edge.role) for edge in found.edges)
    states = last_states(found)
    nodes = joined(_node(node, int(state)) for node, state in zip(found.nodes, states, strict=True))
    failed = sum(int(state) in (FAILED, RETURNED) for state in states)
    label = f"The exposure network: {len(found.nodes)} nodes, {len(found.edges)} edges, {failed} failed at some time"
    return drawing(WIDTH, HEIGHT, label, boxes, edges, nodes, class_="network")


def legend() -> Markup:
    """Return the shapes of the states, with their names."""
    parts = []
    for state, name in enumerate(STATES):
        shape = tag("svg", _shape(9.0, 9.0, 7.0, state), viewBox="0 0 18 18", class_="key", aria_hidden="true")
        parts.append(tag("li", shape, " ", name))
    return tag("ul", *parts, class_="legend")


def _edge(source: Node, target: Node, role: str) -> Markup:
    title = tag("title", f"{source.name} → {target.name}: {role}")
    if source.name == target.name:
        return tag("circle", title, class_="edge", cx=source.x, cy=source.y - source.r, r=source.r)
    return tag("line", title, class_="edge", x1=source.x, y1=source.y, x2=target.x, y2=target.y)


def _node(node: Node, state: int) -> Markup:
    title = tag("title", f"{node.name}: {node.kind}, {node.sector}, {STATES[state].partition(';')[0]}")
    name = tag("text", shortened(node.name, 16), class_="node-name", x=node.x, y=node.y + node.r + 12, text_anchor="middle")
    return tag("g", title, _shape(node.x, node.y, node.r, state), name, class_="node")


def _shape(x: float, y: float, r: float, state: int) -> Markup:
    """Return a circle, a triangle, a square with a cross or a diamond."""
    kind = f"state{state}"
    if state == STRESSED:
        points = f"M{number(x)} {number(y - r * 1.15)}L{number(x + r * 1.1)} {number(y + r * 0.8)}H{number(x - r * 1.1)}z"
        return tag("path", class_=kind, d=points)
    if state == FAILED:
        size = r * 0.9
        square = f"M{number(x - size)} {number(y - size)}h{number(2 * size)}v{number(2 * size)}h{number(-2 * size)}z"
        cross = f"M{number(x - size)} {number(y - size)}l{number(2 * size)} {number(2 * size)}m0 {number(-2 * size)}"
        return tag("path", class_=kind, d=f"{square}{cross}l{number(-2 * size)} {number(2 * size)}")
    if state == RETURNED:
        return tag("path", class_=kind, d=f"M{number(x)} {number(y - r * 1.2)}l{number(r)} {number(r * 1.2)}l{number(-r)} {number(r * 1.2)}l{number(-r)} {number(-r * 1.2)}z")
    return tag("circle", class_=kind, cx=x, cy=y, r=r)
