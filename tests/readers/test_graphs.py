"""Graphs of other programs: read as NetworkX writes them, and never by expanding what a file declares."""

import json
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contagion.errors import BadInput
from contagion.readers.exposures import Exposures, read_nodes
from contagion.readers.files import read_exposures
from contagion.readers.xml import MAX_DEPTH, parse_xml

WRITERS = {
    "graphml": nx.write_graphml,
    "gexf": nx.write_gexf,
    "json": lambda graph, path: Path(path).write_text(json.dumps(nx.node_link_data(graph, edges="edges"))),
}
FORMS = pytest.mark.parametrize("form", WRITERS)


def example() -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_node("Äquator Bank", equity=3.5)
    graph.add_node("B & Co", equity=-4.0)
    graph.add_edge("Äquator Bank", "B & Co", amount=5.25, weight=2.0)
    return graph


def read(folder: Path, form: str, graph: nx.Graph, orientation: str = "liability", **options: object) -> Exposures:
    path = folder / f"g.{form}"
    WRITERS[form](graph, path)
    return read_exposures(path, orientation=orientation, **options)  # type: ignore[arg-type]


def refused(folder: Path, content: str, form: str = "graphml") -> str:
    path = folder / f"g.{form}"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        read_exposures(path, orientation="liability")
    return str(caught.value)


def graphml(*lines: str) -> str:
    head = ['<graphml xmlns="http://graphml.graphdrawing.org/xmlns">', '<key id="d" for="edge" attr.name="amount"/>']
    return "\n".join([*head, '<graph edgedefault="directed">', *lines, "</graph></graphml>"])


def edge(source: str, target: str, amount: str) -> str:
    return f'<edge source="{source}" target="{target}"><data key="d">{amount}</data></edge>'


@FORMS
def test_what_networkx_writes_is_read(form: str, tmp_path: Path) -> None:
    found = read(tmp_path, form, example())
    assert found.names == ("Äquator Bank", "B & Co")
    assert found.owes.toarray().tolist() == [[0, 5.25], [0, 0]]
    assert found.columns["equity"].tolist() == [3.5, -4]
    assert read(tmp_path, form, example(), "asset").owes.toarray().tolist() == [[0, 0], [5.25, 0]]
    assert read(tmp_path, form, example(), columns={"amount": "weight"}).owes.sum() == 2


@FORMS
def test_an_orientation_is_required(form: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="expected an orientation, asset or liability"):
        read(tmp_path, form, example(), "")


@FORMS
def test_an_undirected_graph_is_refused(form: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="directed"):
        read(tmp_path, form, example().to_undirected())


@FORMS
def test_a_graph_without_amounts_is_refused(form: str, tmp_path: Path) -> None:
    graph = example()
    del graph.edges["Äquator Bank", "B & Co"]["amount"]
    with pytest.raises(BadInput, match="there is no 'amount'"):
        read(tmp_path, form, graph)


def test_a_gexf_label_is_a_name_when_asked_for(tmp_path: Path) -> None:
    graph = nx.DiGraph()
    graph.add_node(0, label="First")
    graph.add_node(1, label="Second")
    graph.add_edge(0, 1, amount=5.0)
    assert read(tmp_path, "gexf", graph).names == ("0", "1")
    assert read(tmp_path, "gexf", graph, columns={"name": "label"}).names == ("First", "Second")


def test_a_type_of_a_node_is_a_fact_of_its_own_and_that_of_an_edge_its_direction(tmp_path: Path) -> None:
    nodes = '<nodes><node id="a" type="bank"/><node id="b" type="fund"/></nodes>'
    edge = '<edges><edge source="a" target="b" {}amount="5"/></edges>'
    text = f'<gexf><graph defaultedgetype="directed">{{}}{edge}</graph></gexf>'
    (tmp_path / "g.gexf").write_text(text.format(nodes, 'type="directed" '))
    assert read_exposures(tmp_path / "g.gexf", orientation="liability").owes.sum() == 5
    assert "without a direction" in refused(tmp_path, text.format(nodes, 'type="mutual" '), "gexf")


@pytest.mark.parametrize("no", ["false", "0"])
def test_an_edge_that_says_it_has_no_direction_is_refused(no: str, tmp_path: Path) -> None:
    text = graphml('<node id="a"/><node id="b"/>', f'<edge source="a" target="b" directed="{no}"/>')
    assert "without a direction" in refused(tmp_path, text)


@FORMS
def test_a_fact_of_nodes_that_was_named_and_that_none_has_is_refused(form: str, tmp_path: Path) -> None:
    graph = example()
    nx.set_node_attributes(graph, 2.0, "Kasse")
    assert read(tmp_path, form, graph, columns={"cash": "Kasse"}).columns["cash"].tolist() == [2, 2]
    with pytest.raises(BadInput, match="no node has 'Kase'; did you mean 'Kasse'"):
        read(tmp_path, form, graph, columns={"cash": "Kase"})


def test_a_node_file_stands_for_the_facts_of_a_graph(tmp_path: Path) -> None:
    nodes = tmp_path / "n.csv"
    nodes.write_text("name,equity\nB & Co,7\nÄquator Bank,8\n", encoding="utf-8")
    found = read(tmp_path, "graphml", example(), nodes=nodes)
    assert found.owes.toarray().tolist() == [[0, 0], [5.25, 0]]
    assert found.columns["equity"].tolist() == read_nodes(str(nodes)).columns["equity"].tolist() == [7, 8]


BOMB = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "lollollollol">' for n in range(10))
DECLARATIONS = {
    "entity bomb": f"<!DOCTYPE graphml [{BOMB}]>",
    "external entity": '<!DOCTYPE graphml [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
    "parameter entity": '<!DOCTYPE graphml [<!ENTITY % x SYSTEM "http://example.org/x.dtd"> %x;]>',
    "external declaration": '<!DOCTYPE graphml SYSTEM "http://example.org/graphml.dtd">',
    "bare declaration": "<!DOCTYPE graphml>",
}


@pytest.mark.parametrize("case", DECLARATIONS)
@pytest.mark.parametrize("form", ["graphml", "gexf"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_declaration_is_refused_before_anything_in_it_is_read(
    case: str, form: str, encoding: str, tmp_path: Path
) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n{DECLARATIONS[case]}\n'
    text += graphml('<node id="&l9;"/>', '<node id="&x;"/>') if form == "graphml" else "<gexf>&l9;</gexf>"
    path = tmp_path / f"g.{form}"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(BadInput, match="has a document type declaration"):
        read_exposures(path, orientation="asset")


def test_an_entity_that_is_not_declared_is_no_xml() -> None:
    with pytest.raises(BadInput, match=r"g\.graphml:4: is not well-formed XML: undefined entity"):
        parse_xml(graphml('<node id="&l9;"/>').encode(), "g.graphml")


XML = {
    "empty": ("", "no element found"),
    "another document": ("<html></html>", "begins with <html>; expected <graphml> or <gexf>"),
    "no graph": ("<graphml></graphml>", "has no graph"),
    "cut off": (graphml('<node id="a"/>')[:-12], "is the file cut off?"),
    "two graphs": (graphml("<graph/>"), ":4: has a second graph"),
    "a node in a node": (graphml('<node id="a"><node id="b"/></node>'), ":4: has a <node> inside another"),
    "an undirected edge": (
        graphml('<node id="a"/>', '<edge directed="false"/>'),
        ":5: has an edge without a",
    ),
    "a hyperedge": (graphml("<hyperedge/>"), ":4: has a <hyperedge>"),
    "a value without end": (graphml('<node id="a"/>', edge("a", "a", "1" * 2**20)), "a value of more than 10,000"),
    "an undeclared key": (graphml('<node id="a"><data key="zz">1</data></node>'), "'zz', which is not declared"),
    "too deep": (graphml("<a>" * MAX_DEPTH), "nested more than"),
    "an unknown end": (
        graphml('<node id="alpha"/>', edge("alpha", "alpa", "1")),
        "edge.target: there is no node 'alpa'",
    ),
    "itself": (graphml('<node id="a"/>', edge("a", "a", "1")), ":5: edge: 'a' owes itself"),
    "a second edge": (
        graphml('<node id="a"/>', '<node id="b"/>', edge("a", "b", "1"), edge("a", "b", "2")),
        ":7: edge: a second edge from 'a' to 'b', after line 6",
    ),
    "a second node": (graphml('<node id="a"/>', '<node id="a"/>'), ":5: node: a second node 'a'"),
    "a formula": (graphml('<node id="=a"/>'), ":4: node: '=a' begins like a formula"),
    "not finite": (graphml('<node id="a"/>', '<node id="b"/>', edge("a", "b", "nan")), ":6: edge.amount: 'nan' is not"),
    "negative": (graphml('<node id="a"/>', '<node id="b"/>', edge("a", "b", "-1")), ":6: edge.amount: -1 is below 0"),
    "too large": (graphml('<node id="a"/>', '<node id="b"/>', edge("a", "b", "1e99")), ":6: edge.amount: 1e+99 is not"),
    "an encoding that there is not": ('<?xml version="1.0" encoding="x-9"?><graphml/>', "encoding"),
}


@pytest.mark.parametrize("case", XML)
def test_xml_that_is_no_exposure_graph_is_refused(case: str, tmp_path: Path) -> None:
    content, expected = XML[case]
    assert expected in refused(tmp_path, content)


def test_a_default_stands_for_what_an_edge_does_not_say(tmp_path: Path) -> None:
    text = graphml('<node id="a"/>', '<node id="b"/>', '<edge source="a" target="b"/>', edge("b", "a", "3"))
    path = tmp_path / "g.graphml"
    path.write_text(text.replace('"amount"/>', '"amount"><default>7</default></key>'), encoding="utf-8")
    assert read_exposures(path, orientation="liability").owes.toarray().tolist() == [[0, 7], [3, 0]]


def test_a_value_cannot_pretend_to_be_an_end_of_an_edge(tmp_path: Path) -> None:
    lines = ['<node id="a"/>', '<node id="b"/>', '<edge source="a" target="b"><data key="s">b</data>'
             '<data key="d">1</data></edge>']  # fmt: skip
    text = graphml(*lines).replace('<key id="d"', '<key id="s" for="edge" attr.name="source"/><key id="d"')
    path = tmp_path / "g.graphml"
    path.write_text(text, encoding="utf-8")
    assert read_exposures(path, orientation="liability").owes.toarray().tolist() == [[0, 1], [0, 0]]


JSON = {
    "no JSON": ("{", "g.json:1: is no JSON"),
    "a list": ("[]", "is no node-link JSON"),
    "no edges": ('{"directed": true, "nodes": []}', "is no node-link JSON"),
    "not finite": ('{"directed": true, "nodes": [], "edges": [{"amount": NaN}]}', "NaN is not a finite number"),
    "too deep": ("[" * 200_000, "nested too deep"),
    "a node that is no object": ('{"directed": true, "nodes": [3], "edges": []}', "nodes[0] is not an object"),
    "an edge without ends": (
        '{"directed": true, "nodes": [{"id": "a"}], "edges": [{"amount": 1}]}', "edges[0].source: there is no node",
    ),
    "text for an amount": (
        '{"directed": true, "nodes": [{"id": 1}, {"id": 2}], "edges": [{"source": 1, "target": 2, "amount": "much"}]}',
        "edges[0].amount: 'much' is not a number",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", JSON)
def test_json_that_is_no_exposure_graph_is_refused(case: str, tmp_path: Path) -> None:
    content, expected = JSON[case]
    assert expected in refused(tmp_path, content, "json")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from('<>/"&!x \n\0=')), max_size=5))
def test_a_damaged_graph_gives_exposures_or_complaints_and_nothing_else(
    tmp_path: Path, damage: list[tuple[int, str]]
) -> None:
    text = graphml('<node id="a"/>', '<node id="b"/>', edge("a", "b", "1.5"))
    for place, character in damage:
        text = text[:place] + character + text[place + 1 :]
    path = tmp_path / "g.graphml"
    path.write_text(text, encoding="utf-8")
    try:
        read_exposures(path, orientation="asset")
    except BadInput as error:
        assert error.problems


@pytest.mark.parametrize(
    ("nodes", "edges", "expected"),
    [
        ('{"id": null}', "", "nodes[0]: has no 'id'; expected a name"),
        ('{"id": "a", "id": "b"}', "", "'id' stands twice in one object; expected it once"),
        ('{"id": "a"}', '{"source": "a", "target": "b", "amount": 1, "amount": 7}', "'amount' stands twice"),
        ('{"id": "a"}, {"id": "b"}', '{"source": "a", "target": "b", "amount": %s}' % ("9" * 5_000), "is not a number"),
        ('{"id": "a"}', '], "links": [', "has both 'edges' and 'links'; expected one list of edges"),
    ],
)  # fmt: skip
def test_json_that_says_two_things_or_nothing_is_refused(tmp_path: Path, nodes: str, edges: str, expected: str) -> None:
    content = f'{{"directed": true, "nodes": [{nodes}], "edges": [{edges}]}}'
    assert expected in refused(tmp_path, content, "json")


def test_a_title_that_no_node_of_a_graph_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no node has 'kasse'.*expected a number at every node, as its cash"):
        read(tmp_path, "json", example(), columns={"cash": "kasse"})
