import pytest
from hypothesis import given
from hypothesis import strategies as st

from contagion.network import Edge, Network, Node

ROLES = ("prices", "trades", "claims")
ENDS = st.integers(0, 4)
EDGES = st.lists(st.tuples(st.sampled_from(ROLES), ENDS, ENDS, st.integers(0, 9)), max_size=20)


def node(name: str) -> Node:
    return Node(name, "account", "defi", "bank", {})


def network_of(drawn: list[tuple[str, int, int, int]]) -> Network:
    edges = tuple(Edge(f"edge-{i:02}", *facts, {}) for i, facts in enumerate(drawn))
    return Network(tuple(node(name) for name in "abcde"), edges)


@given(EDGES)
def test_adjacency_is_what_a_scan_of_all_edges_finds(drawn: list[tuple[str, int, int, int]]) -> None:
    network = network_of(drawn)
    for number in range(5):
        for role in ROLES:
            leaving = [edge for edge in network.edges if (edge.role, edge.source) == (role, number)]
            reaching = [edge for edge in network.edges if (edge.role, edge.target) == (role, number)]
            assert network.edges_out(number, role) == leaving
            assert network.edges_in(number, role) == reaching


def test_parallel_edges_and_loops_are_all_kept() -> None:
    network = network_of([("trades", 1, 1, 0), ("trades", 1, 1, 5), ("trades", 1, 2, 5)])
    assert [edge.name for edge in network.edges_out(1, "trades")] == ["edge-00", "edge-01", "edge-02"]
    assert [edge.name for edge in network.edges_in(1, "trades")] == ["edge-00", "edge-01"]


def test_a_role_that_nobody_plays_has_no_edges() -> None:
    assert network_of([]).edges_out(0, "prices") == network_of([]).edges_in(0, "no such role") == []


def test_ids_follow_the_sorted_names() -> None:
    network = network_of([])
    assert network.names == ("a", "b", "c", "d", "e")
    assert [network.ids[name] for name in network.names] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("names", ["ba", "aa"])
def test_unsorted_or_repeated_names_are_our_own_error(names: str) -> None:
    with pytest.raises(AssertionError, match="sorted and unique"):
        Network(tuple(node(name) for name in names), ())
