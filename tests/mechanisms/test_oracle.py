"""What an oracle answers, and when."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.units import PRICE_SCALE, SECOND
from tests.sight import mark, node, price, quotes, rows, settle
from tests.worlds import edge, graph_of

MINUTE = 60 * SECOND
HOURLY = "1h"


def oracle_graph(
    moves: Sequence[tuple[str, float]] = (), sources: Sequence[str] = ("one",), latency: str = "0s", **facts: Any
) -> Any:
    """Return markets whose price follows an asset each, moved at stated times, and an oracle of ether that reads them.

    The markets `one`, `two` and `three` open at 100, 200 and 400 and trade ether by an impact law.
    """
    nodes: dict[str, Any] = {"usd": {"kind": "asset"}, "eth": {"kind": "asset", "decimals": 9, "price": 100}}
    for name, opening in {"one": 100, "two": 200, "three": 400}.items():
        nodes[name] = {
            "kind": "impact", "asset": "eth", "numeraire": "usd", "price": opening, "law": "linear", "depth": 1_000,
        }  # fmt: skip
    nodes["oracle"] = {"kind": "oracle", "asset": "eth", "source": "book", "heartbeat": HOURLY} | facts
    edges = [edge("prices", name, "oracle", latency) for name in sources]
    shocks = [
        {"kind": "sale", "market": market, "asset": "eth", "at": at, "quantity": quantity}
        for at, market, quantity in ((at, *_sale(where)) for at, where in moves)
    ]
    return graph_of(nodes, edges, shocks)


def _sale(where: Any) -> tuple[str, float]:
    """Return (market, tokens): a number means a sale at the first market of that many per cent of its price."""
    return where if isinstance(where, tuple) else ("one", where * 10)


def ran(until: str | int = 3 * 60 * MINUTE, *moves: Any, **facts: Any) -> Any:
    sim = build(oracle_graph(moves, **facts))
    sim.run(int(until))
    return sim


def answers(sim: Any) -> list[tuple[float, float]]:
    """Return (seconds, price) of every answer, the opening included."""
    return [(time / SECOND, number / PRICE_SCALE) for time, number in quotes(sim, "oracle")]


def told(sim: Any) -> list[tuple[float, float]]:
    return [(row.time_us / SECOND, row.price / PRICE_SCALE) for row in rows(sim, "oracle-update")]


@pytest.mark.parametrize("source", ["book", "pool"])
def test_an_oracle_of_one_market_answers_with_its_price_after_the_edges_latency(source: str) -> None:
    sim = ran(MINUTE, ("5s", 10), latency="2s", source=source)
    assert answers(sim)[0] == (0, 100)
    assert told(sim) == [(7, 90)]
    (row,) = rows(sim, "oracle-update")
    assert row.cause == rows(sim, "trade")[0].id


def test_an_oracle_of_redemption_value_sees_the_reference_price_and_no_market() -> None:
    graph = oracle_graph([("5s", 10)], sources=("eth", "one"), source="redemption", rate="1.05")
    graph.graph["shocks"].append({"kind": "reprice", "asset": "eth", "size": -0.2, "at": "9s"})
    sim = build(graph)
    sim.run(MINUTE)
    assert answers(sim) == [(0, 105), (9, 84)]


def test_a_pegged_oracle_answers_with_the_asset_it_stands_for() -> None:
    sim = ran(MINUTE, ("5s", 10), sources=("usd",), source="pegged")
    assert answers(sim) == [(0, 1)]


def test_an_index_is_the_weighted_mean_of_its_markets() -> None:
    moves = [("5s", ("two", 100)), ("6s", ("one", 100))]
    sim = ran(MINUTE, *moves, sources=("one", "two"), source="index", weights={"one": 3})
    assert answers(sim) == [(0, 125), (5, 120), (6, 112.5)]


def test_equal_markets_weigh_the_same_and_their_common_price_is_the_index() -> None:
    graph = oracle_graph(sources=("one", "two", "three"), source="index")
    for name in ("two", "three"):
        graph.nodes[name]["price"] = 100
    assert answers(build(graph)) == [(0, 100)]


@pytest.mark.parametrize(
    ("source", "sources", "what"),
    [
        ("book", (), "there are 0"),
        ("book", ("one", "two"), "there are 2"),
        ("book", ("eth",), "a market that trades it"),
        ("redemption", ("one",), "an asset node"),
        ("pegged", ("eth", "usd"), "there are 2"),
    ],
)
def test_an_oracle_without_its_source_is_refused(source: str, sources: tuple[str, ...], what: str) -> None:
    with pytest.raises(BadInput, match=rf"nodes\.oracle\.source: .*{what}"):
        build(oracle_graph(sources=sources, source=source))


def test_it_answers_only_when_the_price_has_deviated() -> None:
    moves = [("1s", 0.5), ("2s", 0.4), ("3s", 0.1), ("4s", 0.2)]
    sim = ran(MINUTE, *moves, deviation="1%")
    assert [at for at, _ in told(sim)] == [4], "100 falls to 98.8 in steps none of which is 1%, then by 1.2% in all"
    exact = ran(MINUTE, ("1s", 1), deviation="1%")
    assert told(exact) == [(1, 99)], "exactly the deviation is enough"


def test_the_heartbeat_publishes_what_did_not_deviate() -> None:
    sim = ran(4 * MINUTE, ("10s", 0.5), deviation="1%", heartbeat="1min")
    assert told(sim) == [(60, 99.5)]


def test_the_heartbeat_counts_from_the_last_answer() -> None:
    sim = ran(4 * MINUTE, ("30s", 2), ("40s", 0.5), deviation="1%", heartbeat="1min")
    assert [at for at, _ in told(sim)] == [30, 90]


def test_without_a_heartbeat_a_small_move_is_never_told() -> None:
    assert told(ran(4 * MINUTE, ("10s", 0.5), deviation="1%", heartbeat="0s")) == []


def test_latency_lies_between_the_reading_and_the_answer_which_is_the_price_at_the_reading() -> None:
    graph = oracle_graph([("10s", 10), ("12s", 10)])
    graph.nodes["oracle"]["latency"] = "5s"
    late = build(graph)
    late.run(MINUTE)
    assert told(late) == [(15, 90), (20, 81)]
    first, second = rows(late, "trade")
    assert [row.cause for row in rows(late, "oracle-update")] == [first.id, second.id]


def test_the_heartbeat_too_takes_the_time_of_an_answer() -> None:
    graph = oracle_graph([("10s", 0.5)], deviation="1%", heartbeat="1min")
    graph.nodes["oracle"]["latency"] = "5s"
    sim = build(graph)
    sim.run(3 * MINUTE)
    assert told(sim) == [(65, 99.5)]


def test_a_busy_oracle_never_falls_behind_by_more_than_two_latencies() -> None:
    graph = oracle_graph([(f"{second}s", 1) for second in range(1, 31)])
    graph.nodes["oracle"]["latency"] = "4s"
    sim = build(graph)
    sim.run(MINUTE)
    prices = dict(quotes(sim, "one"))
    for at, answer in quotes(sim, "oracle")[1:]:
        made = next(time for time, number in prices.items() if number == answer)
        assert at - made <= 8 * SECOND
    assert mark(sim, "oracle", "eth") == mark(sim, "one", "eth")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(range(5, 300, 5)), st.sampled_from(["one", "two"]), st.integers(1, 30))),
    st.sampled_from(["0s", "1s", "5s", "40s"]), st.sampled_from(["0s", "15s", "1min"]), st.sampled_from([0, 0.02]),
)  # fmt: skip
def test_a_stale_reading_is_never_published_after_a_fresher_one_whatever_the_order_of_ties(
    moves: list[Any], latency: str, heartbeat: str, deviation: float
) -> None:
    sales = [(f"{at}s", (market, size)) for at, market, size in moves]
    graph = oracle_graph(sales, sources=("one", "two"), source="index", deviation=deviation, heartbeat=heartbeat)
    graph.nodes["oracle"]["latency"] = latency
    sim = build(graph, shuffle_ties=True)
    sim.run(20 * MINUTE)
    found = [number for _, number in quotes(sim, "oracle")]
    assert found == sorted(found, reverse=True), "sales only lower the price"
    if heartbeat != "0s" or not deviation:
        assert mark(sim, "oracle", "eth") == (mark(sim, "one", "eth") + mark(sim, "two", "eth")) // 2


def test_a_heartbeat_and_a_deviation_at_one_moment_end_with_the_fresher_price_in_any_order() -> None:
    graph = oracle_graph([("5s", 1), ("15s", 10)], deviation="2%", heartbeat="15s")
    graph.nodes["oracle"]["latency"] = "5s"
    for seed in range(20):
        sim = build(graph, seed=seed, shuffle_ties=True)
        sim.run(25 * SECOND)
        found = [number for _, number in told(sim)]
        assert found in ([99, 89.1], [89.1]), seed


def test_a_cap_bounds_the_answer_from_above() -> None:
    sim = ran(MINUTE, ("5s", 10), cap=95)
    assert answers(sim) == [(0, 95), (5, 90)]


def test_a_price_above_the_cap_is_no_news() -> None:
    assert told(ran(MINUTE, ("5s", 1), cap=95)) == []


def test_a_rate_scales_the_answer() -> None:
    assert answers(ran(MINUTE, ("5s", 10), rate="1.2")) == [(0, 120), (5, 108)]


def test_a_twap_is_the_time_weighted_mean_over_its_window() -> None:
    sim = ran(40 * MINUTE, ("120s", 20), ("420s", 50), source="twap", window="10min", heartbeat="1min")
    found = dict(answers(sim))
    assert found[180] == pytest.approx((100 * 120 + 80 * 60) / 180), "the window starts with the run"
    assert found[600] == pytest.approx((100 * 120 + 80 * 300 + 40 * 180) / 600)
    assert found[900] == pytest.approx((80 * 120 + 40 * 480) / 600)
    assert mark(sim, "oracle", "eth") == price(40)


def test_a_twap_without_samples_is_refused() -> None:
    with pytest.raises(BadInput, match="'twap' is computed every 'heartbeat'"):
        build(oracle_graph(source="twap", heartbeat="0s"))


def test_an_oracle_may_read_an_oracle_and_channels_still_explain_every_change() -> None:
    graph = oracle_graph([("5s", 10), ("7s", 7)], rate="0.333333", cap=32)
    graph.add_node("second", kind="oracle", asset="eth", source="book", rate="2.5", path=("nodes", "second"))
    graph.add_edge("oracle", "second", role="prices", latency="1s", path=())
    sim = build(graph)
    sim.run(MINUTE)
    for name in ("oracle", "second"):
        feed = node(sim, name).feeds[sim.assets["eth"]]
        assert sum(feed.mark.channels) == feed.mark.price - feed.opened.price
    assert answers(sim)[0] == (0, 32)
    assert [at for at, _ in quotes(sim, "second")] == [0, 6 * SECOND, 8 * SECOND]
    last = rows(sim, "oracle-update")[-1]
    assert (last.node, last.cause) == ("second", rows(sim, "oracle-update")[-2].id)


def test_the_failures_behind_a_price_are_remembered_by_who_reads_it() -> None:
    sim = build(oracle_graph())
    sim.run(0)
    one, market = node(sim, "one"), sim.assets["eth"]
    failure = sim.record("default", sim.world, cause=sim.shock(sim.world))
    one.trade(sim.world, market, 10**11, sim.assets["usd"], cause=failure, channel=3)
    settle(sim)
    seen, made = node(sim, "oracle").feeds[market].mark, one.feeds[market].mark
    assert (seen.generations, seen.exogenous, seen.channels) == (made.generations, made.exogenous, made.channels)
    assert seen.generations == pytest.approx((seen.price - price(100)) * 1.0)
