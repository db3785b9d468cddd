"""Shares of a joint effect: the published cases, the axioms, and an average over all orders."""

import math
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from contagion.metrics.importance import (
    MOST_EXACT,
    coalitions,
    importance,
    interaction,
    leave_one_out,
    sampled_shapley,
    shapley,
    solo,
)
from tests.cases import published

Floats = NDArray[np.float64]
Chosen = frozenset[int]
Game = Callable[[Chosen], float]


@st.composite
def games(draw: st.DrawFn, least: int = 1, most: int = 5) -> tuple[list[int], dict[Chosen, float]]:
    """Draw players and the worth of every coalition, the empty one included."""
    players = list(range(draw(st.integers(least, most))))
    worths = draw(st.lists(st.integers(-1_000, 1_000), min_size=2 ** len(players), max_size=2 ** len(players)))
    return players, {frozenset(c): float(w) for c, w in zip(coalitions(players), worths, strict=True)}


def over_all_orders(value: Game, players: list[int]) -> dict[int, float]:
    """Return each player's mean marginal contribution, order by order."""
    totals = dict.fromkeys(players, 0.0)
    for order in permutations(players):
        for place, player in enumerate(order):
            totals[player] += value(frozenset(order[: place + 1])) - value(frozenset(order[:place]))
    return {player: total / math.factorial(len(players)) for player, total in totals.items()}


@given(games())
def test_shares_are_the_mean_over_all_orders_and_sum_to_the_whole(game: Any) -> None:
    players, worths = game
    shares = shapley(worths.__getitem__, players)
    assert shares == pytest.approx(over_all_orders(worths.__getitem__, players), abs=1e-9)
    assert sum(shares.values()) == pytest.approx(worths[frozenset(players)] - worths[frozenset()], abs=1e-9)


@given(games(least=2))
def test_players_who_are_alike_in_every_coalition_have_equal_shares(game: Any) -> None:
    players, worths = game
    swap = {players[0]: players[1], players[1]: players[0]}

    def value(chosen: Chosen) -> float:
        return float(worths[chosen] + worths[frozenset(swap.get(player, player) for player in chosen)])

    shares = shapley(value, players)
    assert shares[players[0]] == pytest.approx(shares[players[1]], abs=1e-9)


@given(games(), st.integers(-50, 50))
def test_who_adds_the_same_to_every_coalition_gets_just_that(game: Any, amount: int) -> None:
    players, worths = game
    late = len(players)
    shares = shapley(lambda chosen: worths[chosen - {late}] + amount * (late in chosen), [*players, late])
    assert shares[late] == pytest.approx(amount, abs=1e-9)
    assert {p: shares[p] for p in players} == pytest.approx(shapley(worths.__getitem__, players), abs=1e-9)


@given(games(least=3, most=3), games(least=3, most=3), st.integers(-5, 5))
def test_shares_of_a_sum_of_games_are_sums_of_shares(one: Any, other: Any, factor: int) -> None:
    players = one[0]
    both = shapley(lambda chosen: one[1][chosen] + factor * other[1][chosen], players)
    parts = [shapley(game[1].__getitem__, players) for game in (one, other)]
    assert both == pytest.approx({p: parts[0][p] + factor * parts[1][p] for p in players}, abs=1e-8)


@given(games())
def test_samples_are_shared_one_by_one(game: Any) -> None:
    players, worths = game
    shares = shapley(lambda chosen: np.array([worths[chosen], 3.0 * worths[chosen]]), players)
    single = shapley(worths.__getitem__, players)
    for player in players:
        assert shares[player] == pytest.approx(np.array([single[player], 3.0 * single[player]]), abs=1e-9)


@given(games(least=2))
def test_interaction_is_what_all_do_beyond_each_alone(game: Any) -> None:
    players, worths = game
    alone = solo(worths.__getitem__, players)
    whole = worths[frozenset(players)] - worths[frozenset()]
    assert interaction(worths.__getitem__, players) == pytest.approx(whole - sum(alone.values()))
    last = leave_one_out(worths.__getitem__, players)
    assert last[players[0]] == worths[frozenset(players)] - worths[frozenset(players[1:])]


def test_a_missing_sample_is_missing_in_every_share_and_in_no_other_sample() -> None:
    gap = {(): [0.0, 0.0], (1,): [1.0, math.nan], (2,): [2.0, 2.0], (1, 2): [4.0, 4.0]}
    shares = shapley(lambda chosen: np.array(gap[tuple(sorted(chosen))]), [1, 2])
    assert [share.tolist()[0] for share in shares.values()] == [1.5, 2.5]
    assert all(math.isnan(share[1]) for share in shares.values())


def test_twelve_players_are_exact_and_each_coalition_is_asked_for_once() -> None:
    weights, asked = np.arange(1.0, MOST_EXACT + 1), []

    def squared(chosen: Chosen) -> float:
        asked.append(chosen)
        return float(sum(weights[p] for p in chosen)) ** 2

    shares = shapley(squared, range(MOST_EXACT))
    assert len(asked) == len(set(asked)) == 4_096
    assert shares == pytest.approx({p: weights[p] * weights.sum() for p in range(MOST_EXACT)}, rel=1e-12)
    with pytest.raises(ValueError, match="13 players have 8,192 coalitions: exact shares are for 12 at most"):
        shapley(squared, range(13))


def voting(chosen: Chosen) -> float:
    """Return 1 for a majority of weighted votes, which no closed form shares."""
    return float(sum(player + 1 for player in chosen) > 39)


def test_sampled_shares_are_within_their_stated_error_of_the_exact_ones() -> None:
    exact = shapley(voting, range(12))
    misses = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        for player, (share, error) in sampled_shapley(voting, range(12), 200, rng).items():
            misses.append((share - exact[player]) / error if error else 0.0)
    assert 0.9 < np.std(misses) < 1.1  # 480 of them, of unit variance if the errors are right
    assert abs(np.mean(misses)) < 0.15


def test_beyond_twelve_players_the_shares_have_an_error_and_still_sum_to_the_whole() -> None:
    rows = importance(lambda chosen: len(chosen) ** 2.0, range(20), orders=300)
    assert sum(row.shapley for row in rows.values()) == pytest.approx(400)
    assert all(row.standard_error > 0 and abs(row.shapley - 20) < 4 * row.standard_error for row in rows.values())
    assert (rows[3].leave_one_out, rows[3].solo) == (39, 1)
    assert importance(lambda chosen: len(chosen) ** 2.0, range(20), orders=300) == rows


@pytest.mark.parametrize("players", [[], ["a", "a"]])
def test_shares_are_among_different_players(players: list[str]) -> None:
    with pytest.raises(ValueError, match="among different players"):
        shapley(lambda chosen: 0.0, players)
    with pytest.raises(ValueError, match="among different players"):
        sampled_shapley(lambda chosen: 0.0, players, 10, np.random.default_rng(0))


def test_one_order_has_no_standard_error() -> None:
    with pytest.raises(ValueError, match="1 orders give no standard error"):
        sampled_shapley(lambda chosen: 0.0, [1, 2], 1, np.random.default_rng(0))


def deadweight(case: dict[str, Any], shock: Floats) -> float:
    """Return the default costs of the greatest Rogers-Veraart clearing, by trying every set of defaulters."""
    claims, outside = np.array(case["L"], float), np.array(case["d"], float)
    assets = np.array(case["e"], float) - shock
    owed = claims.sum(axis=1) + outside
    shares, size, found = claims / owed[:, None], len(owed), []
    for number in range(2**size):
        default = np.array([number >> bank & 1 for bank in range(size)], bool)
        rest = np.where(default[:, None], case["beta"] * shares.T, 0.0)
        paid = np.linalg.solve(np.eye(size) - rest, np.where(default, case["alpha"] * assets, owed))
        inflow = shares.T @ paid
        if np.array_equal(assets + inflow < owed, default):
            found.append((paid.sum(), (1 - case["alpha"]) * assets + (1 - case["beta"]) * inflow, default))
    _, costs, default = max(found, key=lambda one: one[0])
    return float(costs[default].sum())


def test_def_02_the_banks_of_a_system_with_default_costs() -> None:
    case = published("DEF-02")
    inputs, expected, rtol = case["inputs"], case["expected"], case["tolerance"]["rtol"]
    shocks = np.array(inputs["shock"])

    def loss(chosen: Chosen) -> float:
        shock = np.where([bank in chosen for bank in range(4)], shocks, 0.0)
        return float(shock.sum()) + deadweight(inputs, shock)

    for name, worth in expected["v_all"].items():
        assert loss(frozenset() if name == "empty" else frozenset(map(int, name))) == pytest.approx(worth, rel=rtol)
    rows = importance(loss, range(4))
    assert [row.shapley for row in rows.values()] == pytest.approx(expected["shapley"], rel=rtol)
    assert [row.leave_one_out for row in rows.values()] == pytest.approx(expected["LOO"], rel=rtol)
    assert [row.solo for row in rows.values()] == pytest.approx(expected["solo"], rel=rtol)
    assert loss(frozenset(range(4))) / shocks.sum() == pytest.approx(expected["AF"], rel=rtol)


def clearing_with_fire_sales(case: dict[str, Any], sale: bool, cost: bool) -> tuple[float, list[int]]:
    """Return (net loss, defaulters) of DEF-03, by iterating from full payment and a price of one."""
    claims, outside = np.array(case["L"], float), np.array(case["d"], float)
    cash, held = np.array(case["c"], float) - np.array(case["shock"], float), np.array(case["e"], float)
    recovered = case["kappa"] if cost else 1.0
    owed = claims.sum(axis=1) + outside
    shares, paid, price = claims / owed[:, None], owed.copy(), 1.0
    default = np.zeros(len(owed), bool)
    for _ in range(2_000):
        total = cash + price * held + shares.T @ paid
        default = total < owed
        paid = np.where(default, recovered * total, owed)
        price = math.exp(-case["alpha"] * held[default].sum()) if sale else 1.0
    costs = (1 - recovered) * (cash + price * held + shares.T @ paid)[default].sum()
    return sum(case["shock"]) + (1 - price) * held.sum() + costs, np.flatnonzero(default).tolist()


def test_def_03_two_channels_share_what_neither_does_alone() -> None:
    case = published("DEF-03")
    inputs, expected, rtol = case["inputs"], case["expected"], case["tolerance"]["rtol"]

    def loss(chosen: frozenset[str]) -> float:
        return clearing_with_fire_sales(inputs, "fire sale" in chosen, "default cost" in chosen)[0]

    channels = ["fire sale", "default cost"]
    for name, value in expected["loss"].items():
        sale, cost = name[1] == "1", name[3] == "1"
        assert clearing_with_fire_sales(inputs, sale, cost)[0] == pytest.approx(value, rel=rtol)
        assert clearing_with_fire_sales(inputs, sale, cost)[1] == expected["defaults"][name]
    shares = shapley(loss, channels)
    assert loss(frozenset()) == pytest.approx(expected["phi_exo"], rel=rtol)
    assert shares["fire sale"] == pytest.approx(expected["phi_firesale"], rel=rtol)
    assert shares["default cost"] == pytest.approx(expected["phi_defaultcost"], rel=rtol)
    assert interaction(loss, channels) == pytest.approx(expected["interaction"], rel=rtol)
    assert loss(frozenset(channels)) / loss(frozenset()) == pytest.approx(expected["AF"], rel=rtol)
