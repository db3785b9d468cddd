"""Crowds at an exchange: traders at rest with a stated open interest and a heavy tail, holders who sell by a hazard."""

from typing import Any

import numpy as np
import pytest

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.units import SECOND
from tests.sight import node, reprice, rows, settle
from tests.venue_worlds import add_maker, venue
from tests.worlds import edge, graph_of

ETH = 10**6
SIZES = [[0, 1], [0.5, 100], [0.9, 5_000], [1, 1_000_000]]


def crowd(count: int = 3_000, seed: int = 0, **terms: Any) -> Any:
    """Return the simulation of traders in the perpetual, at rest."""
    nodes, edges = venue(funding_interval="0s")
    add_maker(nodes, edges)
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


def holders(fall: str, count: int = 400, hazards: Any = ((0.05, 60),)) -> Any:
    nodes, edges = venue(funding_interval="0s")
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
    sold = node(sim, "holders")._crowd._next / 400
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
