"""The picture of the exposure network. It shows what had failed by the end, until the page's script moves the clock.

The script changes no more than `data-state` of a node, the shape that its `use` names and `data-lit` of an edge.
"""

from markupsafe import Markup

from contagion.report.network import FAILED, HEIGHT, RETURNED, STATES, WIDTH, Network, Node, last_states
from contagion.report.svg import drawing, joined, number, shortened, tag

# Of radius 1, in the order of STATES: a circle, a triangle, a square with a cross, a diamond.
_SHAPES = (
    "M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z",
    "M0-1.15L1.1.8H-1.1Z",
    "M-.9-.9H.9V.9H-.9ZM-.9-.9L.9.9M.9-.9L-.9.9",
    "M0-1.2L1 0L0 1.2L-1 0Z",
)
_DOMAINS = {"defi": "DeFi", "cefi": "CeFi", "tradfi": "TradFi", "outside": "outside"}


def picture(found: Network) -> Markup:
    """Return the SVG of the network: boxes of the domains, edges, nodes by their worst state, names."""
    boxes = joined(
        tag("g", tag("rect", class_="region", x=box.x + 1, y=1.0, width=box.w - 2, height=box.h - 2, rx=6),
            tag("text", _DOMAINS.get(box.label, box.label), class_="region-name", x=box.x + 12, y=22.0))
        for box in found.regions
    )  # fmt: skip
    shapes = joined(
        tag("path", id=f"state-{state}", d=d, vector_effect="non-scaling-stroke") for state, d in enumerate(_SHAPES)
    )
    edges = joined(
        _edge(found.nodes[edge.source], found.nodes[edge.target], edge.role, index)
        for index, edge in enumerate(found.edges)
    )
    states = last_states(found)
    nodes = joined(
        _node(node, index, int(state)) for index, (node, state) in enumerate(zip(found.nodes, states, strict=True))
    )
    failed = sum(int(state) in (FAILED, RETURNED) for state in states)
    label = f"The exposure network: {len(found.nodes)} nodes, {len(found.edges)} edges, {failed} failed at some time"
    return drawing(WIDTH, HEIGHT, label, tag("defs", shapes), boxes, edges, nodes, class_="network")


def legend() -> Markup:
    """Return the shapes of the states, with their names."""
    parts = []
    for state, name in enumerate(STATES):
        shape = tag(
            "svg", _shape(9.0, 9.0, 7.0, state), viewBox="0 0 18 18", class_="key", data_state=state, aria_hidden="true"
        )
        parts.append(tag("li", shape, " ", name))
    return tag("ul", *parts, class_="legend")


def _edge(source: Node, target: Node, role: str, index: int) -> Markup:
    title = tag("title", f"{source.name} → {target.name}: {role}")
    if source.name == target.name:
        return tag("circle", title, class_="edge", data_edge=index, cx=source.x, cy=source.y - source.r, r=source.r)
    return tag("line", title, class_="edge", data_edge=index, x1=source.x, y1=source.y, x2=target.x, y2=target.y)


def _node(node: Node, index: int, state: int) -> Markup:
    title = tag("title", f"{node.name}: {node.kind}, {node.sector}")
    label = shortened(node.name, 16)
    name = tag("text", label, class_="node-name", x=node.x, y=node.y + node.r + 12, text_anchor="middle")
    shape = _shape(node.x, node.y, node.r, state)
    return tag("g", title, shape, name, class_="node", data_node=index, data_state=state)


def _shape(x: float, y: float, r: float, state: int) -> Markup:
    return tag("use", href=f"#state-{state}", transform=f"translate({number(x)} {number(y)}) scale({number(r)})")
