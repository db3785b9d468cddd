"""When the links of a cascade happened, on logs of a few rows."""

from typing import Any

import pytest

from contagion.log import Channel
from contagion.metrics.links import agreement, compare, observed
from contagion.runs import Run
from tests.handmade import Columns, books, events, postings, prices

FACTS = books(["world", "loop-a", "loop-b", "maker"], ["usd", "usde"])
NOTHING = dict.fromkeys(("kind", "node", "asset", "market", "below", "above", "fall"))
STILL = prices([1, 1])


def link(name: str, **facts: Any) -> dict[str, Any]:
    """Return a link as a scenario has it after defaults."""
    return NOTHING | {"id": name, "title": ""} | facts


def log(*kinds: tuple[str, int]) -> Columns:
    """Return a log whose events after the opening are (kind, node), a second apart."""
    rows = [{"kind": kind, "cause": 1, "node": node, "time_us": 10**6 * n} for n, (kind, node) in enumerate(kinds, 1)]
    return events({"kind": "start", "cause": 0}, *rows)


def found(*links: dict[str, Any], rows: Columns, marks: Columns = STILL) -> Any:
    return observed(links, rows, marks, FACTS)


def test_a_link_happens_with_its_first_event_and_counts_them_all() -> None:
    rows = log(("shock", 0), ("liquidation", 1), ("liquidation", 2))
    assert found(link("x", kind="liquidation"), rows=rows)["seen"]["x"] == {
        "title": "x", "stated": 1, "rank": 1, "first": 2.0, "event": 3, "events": 2, "in_order": True,
    }  # fmt: skip


def test_what_never_happened_has_no_time_and_no_place() -> None:
    rows = log(("shock", 0), ("liquidation", 1))
    facts = found(link("x", kind="de-peg"), link("y", kind="liquidation"), rows=rows)
    assert [facts["seen"]["x"][key] for key in ("rank", "first", "event", "events", "in_order")] == [
        None, None, None, 0, None,
    ]  # fmt: skip
    assert facts["order"] == {"happened": 1, "pairs": 0, "in_order": 0, "tau": None, "links": 2}
    assert facts["seen"]["y"]["rank"] == 1


def test_a_kind_that_the_log_does_not_know_never_happened() -> None:
    assert found(link("x", kind="unheard-of"), rows=log(("shock", 0)))["seen"]["x"]["events"] == 0


def test_a_pattern_chooses_among_the_nodes() -> None:
    rows = log(("liquidation", 3), ("liquidation", 1), ("liquidation", 2))
    assert found(link("x", kind="liquidation", node="loop-*"), rows=rows)["seen"]["x"]["first"] == 2.0
    assert found(link("x", kind="liquidation", node="maker"), rows=rows)["seen"]["x"]["events"] == 1


def test_an_event_without_a_market_is_at_none_that_a_pattern_names() -> None:
    rows = log(("trade", 1), ("trade", 1))
    rows["market"][3] = 1
    seen = found(link("x", kind="trade", market="usd*"), link("y", kind="trade"), rows=rows)["seen"]
    assert (seen["x"]["event"], seen["y"]["events"]) == (3, 2)


def test_the_opening_is_no_link() -> None:
    assert found(link("x", kind="start"), rows=log(("shock", 0)))["seen"]["x"]["events"] == 0


def test_a_price_below_its_level_is_a_link_and_every_new_crossing_counts() -> None:
    rows = log(("shock", 0), ("trade", 1), ("trade", 1), ("trade", 1))
    marks = prices([1, 1], *((e, 1, p, Channel.PANIC) for e, p in ((2, 0.95), (3, 0.94), (4, 0.96), (5, 0.9))))
    marks["time_us"] = marks["event"] * 10**6
    seen = found(link("x", market="usde", below=0.95), rows=rows, marks=marks)["seen"]["x"]
    assert (seen["event"], seen["first"], seen["events"]) == (3, 3.0, 2)


def test_a_level_above_and_a_fall_from_the_first_price_are_links_too() -> None:
    rows = log(("shock", 0), ("trade", 1))
    marks = prices([1, 2], (2, 1, 1.0, Channel.PANIC), (3, 0, 1.1, Channel.PANIC))
    seen = found(link("x", market="usd*", fall=0.5), link("y", market="*", above=2), rows=rows, marks=marks)["seen"]
    assert (seen["x"]["event"], seen["y"]["events"]) == (2, 0)
    assert found(link("x", market="usd", above=1.05), rows=rows, marks=marks)["seen"]["x"]["event"] == 3


def test_the_way_of_a_price_through_the_channels_of_one_event_is_no_crossing() -> None:
    """One event moves the price up by inventory and down by panic: it was never above, whatever the rows say."""
    marks = prices([1, 1], (2, 1, 1.2, Channel.MAKER_INVENTORY), (2, 1, 0.9, Channel.PANIC))
    assert found(link("x", market="usde", above=1.1), rows=log(("trade", 0)), marks=marks)["seen"]["x"]["events"] == 0


def test_links_in_the_order_as_told_agree_and_in_reverse_do_not() -> None:
    rows = log(("shock", 0), ("liquidation", 1), ("maker-withdrawal", 3))
    told = [link(kind, kind=kind) for kind in ("shock", "liquidation", "maker-withdrawal")]
    assert found(*told, rows=rows)["order"] == {"happened": 3, "pairs": 3, "in_order": 3, "tau": 1.0, "links": 3}
    assert found(*told[::-1], rows=rows)["order"]["tau"] == -1.0


def test_a_link_is_early_when_one_told_before_it_came_later() -> None:
    rows = log(("shock", 0), ("liquidation", 1), ("maker-withdrawal", 3))
    told = [link(kind, kind=kind) for kind in ("shock", "maker-withdrawal", "liquidation")]
    seen = found(*told, rows=rows)["seen"]
    assert [row["in_order"] for row in seen.values()] == [True, True, False]
    assert [row["rank"] for row in seen.values()] == [1, 3, 2]


def test_one_event_that_is_two_links_is_in_either_order() -> None:
    rows = log(("shock", 0), ("liquidation", 1))
    both = [link("x", kind="liquidation"), link("y", kind="liquidation", node="loop-a")]
    facts = found(link("s", kind="shock"), *both, rows=rows)
    assert [row["rank"] for row in facts["seen"].values()] == [1, 2, 2]
    assert facts["order"]["in_order"] == facts["order"]["pairs"] == 3


def test_tau_is_kendalls() -> None:
    """Abdi (2007), The Kendall rank correlation coefficient: the orders abcd and acbd have tau 2/3."""
    assert agreement([1, 3, 2, 4])["tau"] == pytest.approx(2 / 3, abs=1e-4)


def a_run(rows: Columns, *links: dict[str, Any]) -> Run:
    return Run({"events": rows, "prices": STILL, "postings": postings()}, FACTS, {}, scenario={"links": list(links)})


def test_two_runs_are_compared_link_by_link_though_one_states_none() -> None:
    one = a_run(log(("shock", 0), ("liquidation", 1)), link("x", kind="liquidation", title="they are liquidated"))
    other = a_run(log(("shock", 0), ("trade", 1), ("liquidation", 1)))
    expected = {"link": "x", "title": "they are liquidated", "a": 2.0, "b": 3.0, "change": 1.0}
    assert compare(one, other)[0].items() >= expected.items()
    assert compare(other, one)[0]["change"] == -1.0


def test_what_happened_in_one_run_alone_is_no_change_of_time() -> None:
    one = a_run(log(("shock", 0)), link("x", kind="shock"))
    assert [(row["a"], row["b"], row["change"]) for row in compare(one, a_run(log(("trade", 0))))] == [
        (1.0, None, None)
    ]


def test_runs_without_links_have_none_to_compare() -> None:
    assert compare(a_run(log()), a_run(log())) == []
