"""Crowds at an exchange: traders at rest with a stated open interest and a heavy tail, holders who sell by a hazard."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.log import Channel
from contagion.mechanisms.population.sizes import scaled
from contagion.units import SECOND
from tests.issuer_desk import ask, issuer_graph
from tests.sight import held, node, reprice, rows, settle
from tests.venue_worlds import add_loop_market, add_maker, venue
from tests.worlds import edge, graph_of

ETH = 10**6
SIZES = [[0, 1], [0.5, 100], [0.9, 5_000], [1, 1_000_000]]


def crowd(count: int = 3_000, seed: int = 0, whole: bool = False, **terms: Any) -> Any:
    """Return the simulation of traders in the perpetual, at rest; whole : in a coin that nobody can divide."""
    nodes, edges = venue(funding_interval="0s")
    add_maker(nodes, edges)
    if whole:
        nodes["eth"]["decimals"] = 0
        nodes["eth-spot"]["lot"] = nodes["eth-perp"]["lot"] = 1
    stated = {"open_interest": {"eth-perp": 20_000}, "sizes": SIZES, "coins": {"eth": 0.5}, "several": 0} | terms
    nodes["traders"] = {"kind": "population", "count": count, "traders": stated}
    edges.append(edge("margin", "exchange", "traders"))
    return build(graph_of(nodes, edges, []), seed=seed)


def account_book(sim: Any) -> Any:
    return node(sim, "exchange").roster.crowds[sim.network.ids["traders"]]


def contracts(sim: Any) -> np.ndarray[Any, Any]:
    number = node(sim, "exchange").line_number(sim.assets["eth-perp:contract"])
    return account_book(sim).positions(number, np.arange(len(account_book(sim))))[0]


def test_longs_and_shorts_each_add_up_to_the_open_interest_in_whole_lots() -> None:
    held = contracts(crowd())
    assert held[held > 0].sum() == -held[held < 0].sum() == 20_000 * ETH
    assert not (held % (ETH // 100)).any()


def test_sizes_have_a_heavy_tail_up_to_the_stated_share() -> None:
    held = np.sort(contracts(crowd(largest="3%")))[::-1]
    longs = held[held > 0]
    assert longs[0] <= 0.031 * 20_000 * ETH
    assert longs[: len(longs) // 100].sum() > 0.25 * longs.sum()
    assert np.median(longs) < longs.mean() / 10


def test_everybody_is_at_rest_and_nobody_nearer_than_the_floor() -> None:
    sim = crowd(distance_floor="5%", distance_median="12%")
    exchange, book = node(sim, "exchange"), account_book(sim)
    radii = book.radii(exchange.prices())
    radii = radii[np.isfinite(radii)]
    assert radii.min() > 0.04
    assert (np.diff(radii) >= 0).all()
    assert 0.08 < np.median(radii[radii < 1]) < 0.2


def test_whoever_has_a_few_units_of_a_coin_is_no_nearer_than_the_floor_either() -> None:
    sim = crowd(200, whole=True, open_interest={"eth-perp": 300}, coins={}, distance_floor="5%")
    held = contracts(sim)
    assert np.abs(held[held != 0]).min() == 1
    radii = account_book(sim).radii(node(sim, "exchange").prices())
    assert radii[np.isfinite(radii)].min() > 0.04


def test_a_fall_of_the_floor_and_more_liquidates_some_and_not_all() -> None:
    sim = crowd(distance_floor="5%", distance_median="12%")
    settle(sim, 1)
    reprice(sim, "eth", "1840")
    settle(sim, 3)
    members = {row.member for row in rows(sim, "liquidation")}
    assert 0 < len(members) < 0.6 * (contracts(sim) > 0).sum()


def test_who_never_acts_is_not_in_the_journal() -> None:
    sim = crowd()
    settle(sim, 1)
    reprice(sim, "eth", "1900")
    settle(sim, 3)
    postings = sim.log.postings.columns()
    own = postings["holder"] == sim.network.ids["traders"]
    named = set(postings["member"][own].tolist()) - {-1}
    acted = {row.member for row in rows(sim, "liquidation", "auto-deleveraging")}
    assert named == acted
    assert 0 < len(named) < 3_000


def test_the_same_seed_draws_the_same_crowd_and_another_seed_another_one() -> None:
    one, same, other = (account_book(crowd(seed=seed)).rows for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_isolated_accounts_have_one_position_and_no_coin() -> None:
    rows_of_all = account_book(crowd(isolated=1)).rows
    packed = rows_of_all[:, 0]
    assert ((packed >> 8 & 255) == 255).all()


def holders(fall: str, count: int = 400, hazards: Any = ((0.05, 60),), **coin: Any) -> Any:
    nodes, edges = venue(funding_interval="0s")
    nodes["eth"] |= coin
    add_maker(nodes, edges)
    terms = {"asset": "eth", "market": "eth-spot", "total": 100, "hazards": [list(pair) for pair in hazards]}
    nodes["holders"] = {"kind": "population", "count": count, "holders": terms}
    edges += [edge("margin", "exchange", "holders"), edge("prices", "eth-spot", "holders")]
    sim = build(graph_of(nodes, edges, []))
    settle(sim, 1)
    reprice(sim, "eth", fall)
    settle(sim, 60)
    return sim


def test_holders_sell_at_the_stated_hazard_once_the_price_has_fallen_far_enough() -> None:
    """60 an hour is one a minute: after a minute a share of 1 - 1/e has sold, give or take four standard errors."""
    sim = holders("1880")
    sold = node(sim, "holders")._crowd._leaving.gone / 400
    assert sold == pytest.approx(1 - np.exp(-1), abs=4 * np.sqrt(0.63 * 0.37 / 400))
    assert all(row.channel for row in rows(sim, "sale"))


def test_holders_stay_above_their_threshold() -> None:
    assert not rows(holders("1930"), "sale")


def test_their_stock_is_finite() -> None:
    sim = holders("1880", count=40, hazards=((0.05, 5_000),))
    settle(sim, 600)
    sold = sum(row.quantity for row in rows(sim, "sale"))
    assert sold == 100 * ETH
    assert rows(sim, "sale")[-1].time_us < 60 * SECOND


@pytest.mark.parametrize(
    ("terms", "what"),
    [
        ({"traders": {"open_interest": {"eth-spot": 5}}}, "no book of perpetuals"),
        ({"traders": {"open_interest": {"eth-perp": 5}, "distance_floor": "20%"}}, "must lie above"),
        ({"traders": {"open_interest": {"eth-perp": 5}}, "collateral": "eth"}, "one kind of crowd"),
        ({"holders": {"asset": "eth", "market": "eth-perp", "total": 5, "hazards": [[0.1, 1]]}}, "prices"),
        ({}, "one kind of crowd"),
    ],
    ids=["no perpetual", "floor above median", "two kinds", "market not heard", "no kind"],
)
def test_a_crowd_that_cannot_be_is_refused_with_its_place(terms: dict[str, Any], what: str) -> None:
    nodes, edges = venue()
    nodes["crowd"] = {"kind": "population", "count": 10} | terms
    edges.append(edge("margin", "exchange", "crowd"))
    with pytest.raises(BadInput, match=what) as caught:
        build(graph_of(nodes, edges, []))
    assert "nodes.crowd" in str(caught.value)


def loans(count: int = 500, **terms: Any) -> Any:
    """Return a crowd of loops of a stablecoin, liquidated at a loan-to-value of .95, on bids of the outside."""
    nodes, edges = venue(funding_interval="0s", interest_interval="0s")
    add_loop_market(nodes, edges, bids=300_000)
    nodes["exchange"]["assets"]["usde"]["sources"] = {"usde": 1}
    edges.append(edge("prices", "usde", "exchange"))
    stated = {"collateral": {"usde": 1_000_000}, "ltv": [[0.35, 0.714], [0.65, 0.775]]} | terms
    nodes["loops"] = {"kind": "population", "count": count, "loans": stated}
    nodes["saver"] = {"kind": "account"}
    edges += [edge("margin", "exchange", "loops"), edge("margin", "exchange", "saver", balances={"usd": 1_000_000})]
    return build(graph_of(nodes, edges, []))


def test_loans_add_up_to_their_collateral_and_owe_what_their_group_owes() -> None:
    book = node(sim := loans(), "exchange").roster.crowds[sim.network.ids["loops"]]
    number = node(sim, "exchange").line_number(sim.assets["usde"])
    coins = book.positions(number, np.arange(len(book)))[0]
    ltv = -book.rows[:, 1] / coins
    assert coins.sum() == 1_000_000 * ETH
    assert np.unique(ltv.round(3)).tolist() == [0.714, 0.775]
    assert (ltv < 0.75).mean() == pytest.approx(0.35, abs=0.09)


def test_a_fall_through_the_trigger_of_one_group_liquidates_that_group_and_not_the_other() -> None:
    """A loan of .775 is called when .95 of the coin is worth no more than the debt: at .816; one of .714 at .752."""
    sim = loans()
    owed = node(sim, "exchange").roster.crowds[sim.network.ids["loops"]].rows[:, 1].copy()
    coins = [sim.ledger.balance(sim.network.ids["loops"], sim.assets["usde@exchange"], member) for member in range(500)]
    settle(sim, 1)
    reprice(sim, "usde", "0.81")
    settle(sim, 1.5)
    called = {row.member for row in rows(sim, "liquidation")}
    assert called == {member for member in range(500) if -owed[member] > 0.75 * coins[member]}


def test_the_carry_of_loans_is_leverage_times_yield_less_interest() -> None:
    sim = loans(ltv=[[1, 0.75]], yield_rate=0.12, loan_rate=0.08)
    carries = sim.log.events.columns()["quantity"][sim.log.events.columns()["kind"] == sim.log.kinds["carry"]]
    assert carries.tolist() == [round((4 * 0.12 - 3 * 0.08) * 1e6)]


def redeemers(**issuer: Any) -> Any:
    """Return a crowd that redeems when ether has fallen, half of it a minute or so."""
    nodes, edges = venue(funding_interval="0s")
    nodes["usde"] = {"kind": "asset", "decimals": 6, "issuer": "issuer"}
    nodes["issuer"] = {
        "kind": "stablecoin_issuer",
        "asset": "usde",
        "payout": "usd",
        "balances": {"usd": 50_000},
    } | issuer
    terms = {"asset": "usde", "total": 100_000, "watch": "eth", "hazards": [[0.05, 60]], "interval": "10s"}
    nodes["whitelisted"] = {"kind": "population", "count": 1_000, "redeemers": terms}
    edges += [edge("redeems", "issuer", "whitelisted"), edge("prices", "eth", "whitelisted")]
    sim = build(graph_of(nodes, edges, []))
    settle(sim, 1)
    reprice(sim, "eth", "1800")
    settle(sim, 60)
    return sim


def test_redeemers_run_by_their_hazard_and_are_paid_at_par_less_the_fee() -> None:
    sim = redeemers(fee=0.001)
    redeemed = sum(row.quantity for row in rows(sim, "redemption"))
    assert redeemed == pytest.approx(100_000 * ETH * (1 - np.exp(-1)), rel=0.1)
    assert held(sim, "whitelisted", "usde") == 100_000 * ETH - redeemed
    paid = held(sim, "whitelisted", "usd")
    assert paid == min(50_000 * ETH, sum(row.value for row in rows(sim, "redemption")))


def test_what_the_issuer_refuses_is_asked_for_again() -> None:
    sim = redeemers(capacity=20_000)
    assert sum(row.quantity for row in rows(sim, "redemption")) == 20_000 * ETH
    assert len(rows(sim, "refused-redemption")) == 1


def test_holders_may_look_at_another_price_than_that_of_their_coin() -> None:
    nodes, edges = venue(funding_interval="0s")
    add_maker(nodes, edges)
    nodes["btc"] = {"kind": "asset", "decimals": 6, "price": 100_000}
    terms = {"asset": "eth", "market": "eth-spot", "total": 50, "watch": "btc", "hazards": [[0.05, 500]]}
    nodes["holders"] = {"kind": "population", "count": 40, "holders": terms}
    edges += [edge("margin", "exchange", "holders"), edge("prices", "btc", "holders")]
    sim = build(graph_of(nodes, edges, []))
    settle(sim, 1)
    assert not rows(sim, "sale")
    reprice(sim, "btc", "90000")
    settle(sim, 60)
    assert rows(sim, "sale")


@given(
    st.lists(st.floats(1.0, 1e6), min_size=1, max_size=60),
    st.integers(0, 2**61),
    st.sampled_from([0.02, 0.1, 1.0]),
)
def test_shares_of_a_total_add_up_and_are_never_negative(weights: list[float], total: int, largest: float) -> None:
    parts = scaled(np.array(weights), total, largest).tolist()
    assert sum(parts) == total and min(parts) >= 0


def test_shares_whose_millionths_need_more_than_64_bits_keep_to_the_largest() -> None:
    total = 44_330_308_409_752
    parts = scaled(np.geomspace(1, 100, 80), total, 0.02)
    assert parts.min() > 0 and parts.max() <= 0.0201 * total


@pytest.mark.parametrize(
    ("coin", "channel"),
    [({}, Channel.PANIC), ({"peg": 2000, "band": "4%"}, Channel.DEPEG), ({"peg": 2000, "band": "10%"}, Channel.PANIC),
     ({"peg": 1500, "band": "4%"}, Channel.PANIC)],
    ids=["no peg", "below its band", "inside its band", "above its band"],
)  # fmt: skip
def test_holders_sell_by_de_peg_only_a_coin_that_is_below_its_band(coin: dict[str, Any], channel: Channel) -> None:
    sim = holders("1880", count=40, **coin)
    assert {row.channel for row in rows(sim, "sale")} == {channel}
    moved = sim.log.prices.columns()
    by = set(moved["channel"][moved["market"] == sim.network.ids["eth-spot"]].tolist())
    assert by & {Channel.PANIC, Channel.DEPEG} == {channel}


def run_on(band: str, at: str, first: str = "") -> Any:
    """Return a run on a hedged token with a peg of 1 after its price has fallen; `first` redeems before."""
    graph = issuer_graph(cash=0, coins=50, token={"peg": 1, "band": band}, issuer={"unwind": 4_000}, fund=None)
    terms = {"asset": "usde", "total": 20_000, "watch": "usde", "hazards": [[0.01, 1e6]], "interval": "1s"}
    graph.add_node("crowd", kind="population", count=10, redeemers=terms)
    graph.add_edge("issuer", "crowd", role="redeems")
    graph.add_edge("usde", "crowd", role="prices")
    sim = build(graph)
    settle(sim)
    if first:
        ask(sim, "redeem", 10_000, who=first)
    reprice(sim, "usde", at)
    settle(sim, 300)
    return sim


@pytest.mark.parametrize(("band", "channel"), [("2%", Channel.DEPEG), ("10%", Channel.PANIC)])
def test_an_issuer_sells_by_de_peg_for_those_who_run_from_one(band: str, channel: Channel) -> None:
    trades = rows(run_on(band, "0.95"), "trade")
    assert {row.market for row in trades} == {"eth-spot", "eth-perp"}
    assert {row.channel for row in trades} == {channel}


def test_an_issuer_sells_first_for_who_asked_first() -> None:
    channels = [row.channel for row in rows(run_on("2%", "0.95", first="ann"), "trade") if row.market == "eth-spot"]
    assert channels == sorted(channels) and set(channels) == {Channel.PANIC, Channel.DEPEG}
