"""A market maker: ladders around a reference, thresholds, refilling, skew, limits, and the way back."""

from typing import Any

import pytest

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.units import PRICE_SCALE, SECOND
from contagion.venues import BUY, SELL
from tests.sight import mark, node, reprice, rows, settle
from tests.venue_worlds import add_maker, venue
from tests.worlds import Table, edge, graph_of

ETH = 10**6


def desk(balances: dict[str, float] | None = None, stall_at: int | None = None, **limits: Any) -> Any:
    """Return the simulation of one maker on a spot and a perpetual book, its first ladders placed."""
    nodes, edges = venue(funding_interval="0s")
    add_maker(nodes, edges, latency="10ms", **limits)
    if balances is not None:
        edges = [e for e in edges if not (e["role"] == "margin" and e["to"] == "maker")]
        edges.append(edge("margin", "exchange", "maker", balances=balances))
    nodes["taker"] = {"kind": "account"}
    edges.append(edge("margin", "exchange", "taker", balances={"usd": 5_000_000, "eth": 2_000}))
    shocks: list[Table] = []
    if stall_at is not None:
        shocks.append({"kind": "stall", "node": "eth", "at": f"{stall_at}s", "over": "30s"})
    sim = build(graph_of(nodes, edges, shocks))
    settle(sim, 1)
    return sim


def sell(sim: Any, quantity: float, market: str = "eth-spot") -> Any:
    cause = sim.shock(sim.network.ids["taker"])
    return node(sim, market).execute(sim.network.ids["taker"], SELL, int(quantity * ETH), cause=cause, channel=1)


def resting(sim: Any, market: str = "eth-spot") -> tuple[int, int]:
    return node(sim, market).resting(sim.network.ids["maker"])


def levels(sim: Any, side: int, market: str = "eth-spot") -> list[tuple[int, int]]:
    return node(sim, market).levels(side)


def test_a_ladder_has_its_depth_its_spread_and_its_reach_around_the_reference() -> None:
    sim = desk()
    bid, offer = node(sim, "eth-spot").best(BUY), node(sim, "eth-spot").best(SELL)
    assert (bid, offer) == (1_999 * PRICE_SCALE, 2_001 * PRICE_SCALE)
    assert all(abs(side - 200 * ETH) <= 20 * ETH // 100 for side in resting(sim))
    maker = {price for price, _ in levels(sim, BUY) if price >= 1_900 * PRICE_SCALE}
    assert len(maker) == 20
    assert min(maker) == 1_900 * PRICE_SCALE


def test_a_move_below_the_threshold_moves_no_quote_and_one_above_moves_all_at_once() -> None:
    sim = desk(move="10bps")
    before = len(rows(sim, "quote"))
    reprice(sim, "eth", "2001")
    settle(sim, 5)
    assert len(rows(sim, "quote")) == before
    reprice(sim, "eth", "2010")
    settle(sim, 5)
    assert len(rows(sim, "quote")) == before + 2
    assert node(sim, "eth-spot").best(BUY) == pytest.approx(2_010 * 0.9995 * PRICE_SCALE, abs=0.2 * PRICE_SCALE)


def test_news_moves_the_price_as_exogenous_and_not_as_the_makers_own() -> None:
    sim = desk()
    reprice(sim, "eth", "1900")
    settle(sim, 5)
    channels = node(sim, "eth-spot").feeds[sim.assets["eth"]].mark.channels
    assert channels[1] < 0
    assert sum(channels) - channels[1] == 0


def test_what_is_taken_comes_back_with_its_time_constant_and_not_at_once() -> None:
    sim = desk(own=0, change="5%")
    sell(sim, 150)
    left = resting(sim)[0]
    assert left == pytest.approx(50 * ETH, rel=0.03)
    settle(sim, 1)
    soon = resting(sim)[0]
    settle(sim, 60)
    later = resting(sim)[0]
    assert left <= soon < 0.5 * later


def test_inventory_moves_the_centre_and_shrinks_the_side_that_would_add_to_it() -> None:
    sim = desk(own=0)
    sell(sim, 190)
    settle(sim, 120)
    bids, asks = resting(sim)
    assert bids < 0.75 * asks
    assert mark(sim, "eth-spot", "eth") < 2_000 * PRICE_SCALE
    assert node(sim, "eth-spot").best(SELL) < 2_001 * PRICE_SCALE


def test_stress_takes_depth_from_both_sides() -> None:
    sim = desk()
    before = sum(resting(sim))
    for at in (1_990, 1_980, 1_970, 1_960):
        reprice(sim, "eth", str(at))
        settle(sim, 2)
    assert sum(resting(sim)) < 0.6 * before


def test_leverage_is_logged_from_two_to_three_at_a_quarter_less_and_four_at_a_third() -> None:
    """Fixed debt: L' = L (1 - d) / (1 - L d), the case MM-01."""
    sim = desk(balances={"eth": 500, "usd": -500_000})
    for at in ("1500", "1333.333333333"):
        reprice(sim, "eth", at)
        settle(sim, 300)
    path = [row.quantity / 1e6 for row in rows(sim, "leverage") if row.node == "maker"]
    assert path[0] == pytest.approx(2.0, abs=0.01)
    assert min(abs(step - 3.0) for step in path) < 0.06
    assert path[-1] == pytest.approx(4.0, abs=0.06)


@pytest.mark.parametrize(
    "limit", [{"max_leverage": 2.5}, {"max_drawdown": "30%"}, {"max_stress": 4}], ids=["leverage", "drawdown", "stress"]
)
def test_past_a_limit_everything_is_cancelled_on_every_book_at_once(limit: dict[str, Any]) -> None:
    sim = desk(balances={"eth": 500, "usd": -500_000}, **limit)
    reprice(sim, "eth", "1600")
    settle(sim, 5)
    (left,) = rows(sim, "maker-withdrawal")
    assert left.first == 1
    gone = rows(sim, "cancel")
    assert {row.market for row in gone} == {"eth-spot", "eth-perp"}
    assert all(row.cause == left.id and row.time_us == left.time_us for row in gone)
    assert sum(row.quantity for row in gone) == left.quantity == 80
    assert resting(sim) == resting(sim, "eth-perp") == (0, 0)


def test_old_news_makes_a_maker_leave() -> None:
    sim = desk(stall_at=5, max_age="10s")
    settle(sim, 5)
    reprice(sim, "eth", "1990")
    settle(sim, 20)
    assert not rows(sim, "maker-withdrawal")
    settle(sim, 15)
    assert len(rows(sim, "maker-withdrawal")) == 1


def test_news_that_was_old_while_a_maker_was_away_does_not_keep_it_away() -> None:
    sim = desk(max_age="10s", cooldown="60s")
    feed = node(sim, "eth").feeds[sim.assets["eth"]]
    for price in ("1995", "1990"):
        feed.changed.hold(sim.env.now + 20 * SECOND)
        reprice(sim, "eth", price)
        settle(sim, 25)
    assert len(rows(sim, "maker-withdrawal")) == 1
    assert resting(sim) == (0, 0)
    settle(sim, 60)
    reprice(sim, "eth", "1985")
    settle(sim, 5)
    assert min(resting(sim)) > 0


def test_it_returns_after_the_cooldown_when_it_is_within_its_limits_and_not_before() -> None:
    sim = desk(max_stress=4, memory="20s", cooldown="60s")
    reprice(sim, "eth", "1900")
    settle(sim, 30)
    assert resting(sim) == (0, 0)
    settle(sim, 300)
    assert min(resting(sim)) > 0
    (left,) = rows(sim, "maker-withdrawal")
    back = next(row for row in rows(sim, "quote") if row.id > left.id)
    assert back.time_us - left.time_us >= 60 * SECOND


def test_a_second_withdrawal_is_a_repeat_and_counts_once() -> None:
    sim = desk(max_stress=4, memory="20s", cooldown="30s")
    for at in ("1900", "1750"):
        reprice(sim, "eth", at)
        settle(sim, 600)
    assert [row.first for row in rows(sim, "maker-withdrawal")] == [1, 0]


def test_a_margin_call_makes_it_leave() -> None:
    sim = desk(balances={"eth": 500, "usd": -800_000})
    reprice(sim, "eth", "1870")
    settle(sim, 5)
    calls = [row for row in rows(sim, "margin-call") if row.node == "maker"]
    assert len(calls) == 1
    assert [row.cause for row in rows(sim, "maker-withdrawal")] == [calls[0].id]


def test_a_tiny_trade_far_away_moves_the_reference_hardly_at_all() -> None:
    """No ratchet: small sales for an hour leave the price where it was."""
    sim = desk()
    for _ in range(60):
        sell(sim, 0.05)
        settle(sim, 60)
    assert mark(sim, "eth-spot", "eth") == pytest.approx(2_000 * PRICE_SCALE, rel=0.002)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda nodes, edges: nodes["maker"]["quotes"].update({"eth": {"depth": 1}}), "no 'quotes' edge"),
        (lambda nodes, edges: edges.__delitem__(slice(-3, -2)), "margin"),
    ],
    ids=["quotes without an edge", "no account"],
)
def test_a_maker_that_cannot_quote_is_refused(change: Any, what: str) -> None:
    nodes, edges = venue()
    add_maker(nodes, edges)
    change(nodes, edges)
    with pytest.raises(BadInput, match=what):
        build(graph_of(nodes, edges, []))


def test_who_learns_from_prints_follows_trades_that_others_made_at_their_mean_price() -> None:
    """The maker's own bids end at 1,900; what the outside buys below is another's trade, and still a print."""
    references = {}
    for learns in ("fills", "prints"):
        sim = desk(learns=learns, own=0.5, sensitivity=0)
        sell(sim, 200)
        settle(sim, 0.5)
        had = node(sim, "maker")._quoted[0].view.reference
        node(sim, "eth-spot").cancel_all(sim.network.ids["maker"], cause=1)
        sell(sim, 50)
        settle(sim, 2)
        references[learns] = node(sim, "maker")._quoted[0].view.reference / had
    assert references["fills"] == pytest.approx(1.0, abs=0.01)
    assert references["prints"] < 0.9


def test_net_inventory_leaves_spot_and_perpetual_at_one_centre() -> None:
    """Long in one book and short as much in the other is no inventory: neither centre is moved by it."""
    centres = {}
    for inventory in ("book", "net"):
        sim = desk(inventory=inventory, own=0)
        buyer = sim.network.ids["taker"]
        sell(sim, 100)
        node(sim, "eth-perp").execute(buyer, BUY, 100 * ETH, cause=1, channel=1)
        settle(sim, 300)
        centres[inventory] = [quoted.centre for quoted in node(sim, "maker")._quoted]
    assert centres["net"][0] == centres["net"][1] == 2_000 * PRICE_SCALE
    assert abs(centres["book"][0] - centres["book"][1]) > 5 * PRICE_SCALE


def test_what_a_maker_comes_back_with_is_collateral_and_no_inventory() -> None:
    sim = desk(inventory="net", max_stress=3, cooldown="30s")
    sell(sim, 100)
    reprice(sim, "eth", 1_900)
    settle(sim, 1)
    assert rows(sim, "maker-withdrawal")
    settle(sim, 1_200)
    spot = next(quoted for quoted in node(sim, "maker")._quoted if not quoted.market.perpetual)
    assert resting(sim) != (0, 0)
    assert spot.start == 600 * ETH
