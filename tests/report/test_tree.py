"""The tree's branches add up, whatever is shown of them; flows balance to the losses of the summary."""

import math

import numpy as np
import pytest

from contagion.log import Channel
from contagion.report.sankey import Flows, flows, picture
from contagion.report.tree import Branch, branches
from tests.handmade import books, events, failed
from tests.report.pages import cascade, page_of_cascade, parsed


class HandMade:
    """A run of which the tree reads the log alone."""

    def __init__(self) -> None:
        rows = [
            {"kind": "shock", "node": 0, "cause": 0},
            {"kind": "trade", "node": 0, "cause": 1},
            {"kind": "liquidation", "node": 1, "cause": 2, "member": 0, "time_us": 5_000_000},
            {"kind": "liquidation", "node": 1, "cause": 2, "member": 1, "time_us": 6_000_000},
            {"kind": "trade", "node": 1, "cause": 3},
            {"kind": "default", "node": 2, "cause": 5, "time_us": 7_000_000},
            {"kind": "liquidation", "node": 1, "cause": 6, "member": 2, "time_us": 8_000_000},
            {"kind": "liquidation", "node": 1, "cause": 4, "member": 3, "time_us": 9_000_000},
            {"kind": "de-peg", "node": 3, "cause": 0, "time_us": 1_000_000},
            {"kind": "liquidation", "node": 1, "cause": 6, "member": 0, "first": 0},
        ]
        stakes = [(3, 10), (4, 20), (6, 500), (7, 7), (8, 1), (9, 0)]
        self.books = books(["world", "crowd", "bank", "coin"], ["usd"])
        self.tables = {"events": events(*rows), "failures": failed(*((e, 1.0, 0.0, v * 10**6) for e, v in stakes))}


def test_failures_of_one_kind_at_one_node_below_one_branch_are_one_branch() -> None:
    found = branches(HandMade())
    assert [(b.label, b.parent, b.failures, b.value, b.all_failures, b.all_value) for b in found] == [
        ("shock of world", -1, 0, 0.0, 5, 538.0),
        ("liquidation of crowd", 0, 2, 30.0, 5, 538.0),
        ("default of bank", 1, 1, 500.0, 2, 507.0),
        ("liquidation of crowd", 2, 1, 7.0, 1, 7.0),
        ("liquidation of crowd", 1, 1, 1.0, 1, 1.0),
        ("clock of world", -1, 0, 0.0, 1, 0.0),
        ("de-peg of coin", 5, 1, 0.0, 1, 0.0),
    ]
    assert found[1].seconds == 5.0


@pytest.mark.parametrize("most", range(1, 9))
def test_what_is_not_shown_is_summed_up_where_it_hangs(most: int) -> None:
    found = branches(HandMade(), most)
    assert sum(not branch.rest for branch in found) <= most
    add_up(found)
    assert sum(branch.all_failures for branch in found if branch.parent < 0) == 6
    assert math.fsum(branch.all_value for branch in found if branch.parent < 0) == 538.0


def add_up(found: list[Branch]) -> None:
    for place, branch in enumerate(found):
        below = [other for other in found if other.parent == place]
        assert branch.parent < place
        if not branch.rest:
            assert branch.all_failures == branch.failures + sum(other.all_failures for other in below)
            assert branch.all_value == pytest.approx(branch.value + math.fsum(other.all_value for other in below))
        sizes = [(other.all_value, other.all_failures) for other in below if not other.rest]
        assert sizes == sorted(sizes, reverse=True)


def test_a_run_s_tree_has_all_its_failures() -> None:
    found = branches(cascade())
    add_up(found)
    assert sum(branch.failures for branch in found) == cascade().facts["failures"] == 2
    assert [branch.label for branch in found] == ["shock of world", "liquidation of first", "liquidation of second"]
    assert [branch.depth for branch in found] == [0, 1, 2]


def test_the_tree_opens_and_closes_without_scripts() -> None:
    tree = page_of_cascade().one("ul", "tree")
    assert tree.all("summary")[0].text.startswith("shock of world")
    assert "liquidation of second" in tree.one("li", "leaf").text


def test_flows_balance_to_the_losses_of_the_summary() -> None:
    found, facts = flows(cascade()), cascade().facts
    assert found.lost.sum() - found.gained.sum() == pytest.approx(facts["total_losses"]["net"])
    bearers = dict(zip(found.bearers, found.cells.sum(axis=0).tolist(), strict=True))
    assert bearers == pytest.approx({k: v for k, v in facts["losses_by_bearer"].items() if k in bearers}, abs=0.01)
    assert set(facts["losses_by_bearer"]) <= set(bearers)
    channels = dict(zip(found.channels, found.cells.sum(axis=1).tolist(), strict=True))
    assert {k: channels[k] for k in facts["losses_by_channel"]} == pytest.approx(facts["losses_by_channel"], abs=0.01)


def test_a_flow_is_as_wide_at_both_ends_and_boxes_are_as_high_as_their_flows() -> None:
    cells = np.array([[60.0, 20.0, -5.0], [0.0, 10.0, 10.0]])
    svg = parsed(str(picture(Flows(["a<b", Channel.FEE.label], ["x", "y", "z"], cells), "USD")))
    boxes = [float(box.attributes["height"]) for box in svg.all("rect", "box")]
    assert boxes[0] == pytest.approx(sum(boxes[1:3]), abs=0.2) == pytest.approx(sum(boxes[3:]), abs=0.3)
    assert boxes[1] / boxes[2] == pytest.approx(80 / 20, rel=0.01)
    assert [text.text for text in svg.all("text", "name")] == [
        "lost 100",
        "a<b 80.0",
        "fee 20.0",
        "x 60.0",
        "y 30.0",
        "z 10.0",
    ]
    assert len(svg.all("path", "flow")) == 2 + 4


def test_nobody_s_loss_has_no_picture() -> None:
    assert picture(Flows(["fee"], ["x"], np.array([[-1.0]])), "USD") is None
