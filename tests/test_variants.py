"""A scenario that extends a shipped one: the same graph, other sizes, and errors where the variant states them."""

from pathlib import Path

import pytest

from contagion.errors import BadInput
from contagion.scenario import load, loads

HEAD = 'extends = "usde-loops"\nname = "variant"\n'


def test_a_variant_is_the_other_scenario_with_its_own_values() -> None:
    base = load("usde-loops").params
    variant = loads(HEAD + '[set]\nhorizon = "30min"\n"nodes.usde-pool.amplification" = 300').params
    assert variant.name == "variant" and variant.horizon == 1_800_000_000
    assert variant.nodes["usde-pool"] == base.nodes["usde-pool"] | {"amplification": 300}
    assert variant.edges == base.edges and variant.shocks == base.shocks


def test_shocks_are_replaced_and_switches_joined() -> None:
    shock = '[[shocks]]\nkind = "reprice"\nasset = "eth"\nsize = -0.1\n'
    more = '[switches.pool]\nremove = ["usde-pool:trades"]\nabout = "x"\n' + shock
    with pytest.raises(BadInput, match="no switch, node or edge 'usde-pool:trades'"):
        loads(HEAD + more)
    variant = loads(HEAD + more.replace("usde-pool:trades", "keeper-a:trades")).params
    assert [shock["kind"] for shock in variant.shocks] == ["reprice"]
    assert {"pool", "loops", "liquidators"} <= variant.switches.keys()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[set]\n"nodes.usde-pool.amplification" = 0', r':4:1: set\."nodes\.usde-pool\.amplification": .*(greater|1)'),
        ('[set]\n"nodes.usde-pol.amplification" = 5', r":4:1: set\..*did you mean \'usde-pool\'"),
        ('[set]\n"nodes.loop-usde-a.ltv" = "199%"', r":4:1: set\..*ltv"),
    ],
)
def test_a_wrong_value_is_reported_where_the_variant_states_it(text: str, what: str) -> None:
    with pytest.raises(BadInput, match=what):
        loads(HEAD + text)


def test_an_edge_between_two_nodes_is_named_as_in_a_knock_out() -> None:
    text = '[set]\n"edges.usde-pool:prices:keeper-a.latency" = "3s"'
    (edge,) = [e for e in loads(HEAD + text).params.edges if e.get("latency") == "3s" and e["to"] == "keeper-a"]
    assert (edge["from"], edge["role"]) == ("usde-pool", "prices")


def test_only_shipped_scenarios_can_be_extended(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "venue-crsh"\nname = "mine"\n', encoding="utf-8")
    with pytest.raises(BadInput, match=r"mine\.toml:1:1: extends: .*did you mean 'venue-crash'"):
        load(path)
    with pytest.raises(BadInput, match="extends none"):
        loads('name = "x"\n[set]\nhorizon = "1h"\n[nodes.usd]\nkind = "asset"')
