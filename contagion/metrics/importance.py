"""How much each of several players adds to a joint effect: shares that sum to it, and what each does by itself.

A player is whatever can be taken in or left out: a bank's shock, a channel, a mechanism. The value function says
what the effect of a coalition is. Shapley's share (1953, *A Value for n-Person Games*) is a player's mean
marginal contribution over all orders in which the coalition can form; it is the only share that is efficient,
symmetric, linear and nothing for a player who never adds anything. Leave-one-out asks what the last player adds,
solo what the first does: where both differ the players interact, and neither of the two sums to the whole.

The shares are one matrix times the vector of all 2^n values. Beyond `MOST_EXACT` players, orders are sampled
(Castro, Gómez and Tejada 2009, *Polynomial calculation of the Shapley value based on sampling*).
"""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Player = TypeVar("Player")
Worth = TypeVar("Worth", float, Floats)
"""A number, or an array of samples of it, of which each is taken by itself."""

MOST_EXACT = 12
"""With so many players at most, all 4,096 coalitions are asked for."""


class Importance(NamedTuple):
    """What a player adds: on average over orders, as the last, and as the first.

    standard_error : of the share where orders were sampled, 0 where all coalitions were asked for.
    """

    shapley: float
    standard_error: float
    leave_one_out: float
    solo: float


def importance(
    value: Callable[[frozenset[Player]], float], players: Sequence[Player], *, orders: int = 1_000, seed: int = 0
) -> dict[Player, Importance]:
    """Return each player's importance; the shares are exact to 12 players and of sampled orders beyond.

    >>> worth = {(): 0.0, ("a",): 1.0, ("b",): 2.0, ("a", "b"): 5.0}
    >>> importance(lambda chosen: worth[tuple(sorted(chosen))], ["a", "b"])["a"]
    Importance(shapley=2.0, standard_error=0.0, leave_one_out=3.0, solo=1.0)
    """
    if len(players) <= MOST_EXACT:
        shares = {player: (share, 0.0) for player, share in shapley(value, players).items()}
    else:
        shares = sampled_shapley(value, players, orders, np.random.default_rng(seed))
    last, first = leave_one_out(value, players), solo(value, players)
    return {player: Importance(share, error, last[player], first[player]) for player, (share, error) in shares.items()}


def shapley(value: Callable[[frozenset[Player]], Worth], players: Sequence[Player]) -> dict[Player, Worth]:
    """Return each player's mean marginal contribution over all orders, from the values of all coalitions.

    The shares sum to value(all) - value(none). ValueError beyond 12 players.

    One left glove and two right ones, of which only a pair is worth anything:

    >>> shares = shapley(lambda chosen: float("left" in chosen and len(chosen) > 1), ["left", "right", "other"])
    >>> {player: round(share, 4) for player, share in shares.items()}
    {'left': 0.6667, 'right': 0.1667, 'other': 0.1667}
    """
    _check(players)
    if len(players) > MOST_EXACT:
        raise ValueError(
            f"{len(players)} players have {2 ** len(players):,} coalitions: exact shares are for {MOST_EXACT} at most"
        )
    known = coalitions(players)
    member = np.array([[player in chosen for player in players] for chosen in map(frozenset, known)])
    worths = np.array([value(frozenset(chosen)) for chosen in known], np.float64)
    shares: Any = _coefficients(member) @ worths
    return dict(zip(players, shares if worths.ndim > 1 else shares.tolist(), strict=True))


def sampled_shapley(
    value: Callable[[frozenset[Player]], float], players: Sequence[Player], orders: int, rng: np.random.Generator
) -> dict[Player, tuple[float, float]]:
    """Return (share, its standard error) for each player, from random orders; each coalition is asked for once.

    The shares sum to value(all) - value(none) whatever the orders. ValueError for fewer than two orders.

    >>> rng = np.random.default_rng(0)
    >>> shares = sampled_shapley(lambda chosen: len(chosen) ** 2.0, range(20), 500, rng)
    >>> round(sum(share for share, _ in shares.values()), 9), abs(shares[7][0] - 20) < 3 * shares[7][1] < 2
    (400.0, True)
    """
    found = over_orders(value, random_orders(players, orders, rng))
    return {player: found[player] for player in players}


def random_orders(players: Sequence[Player], number: int, rng: np.random.Generator) -> list[tuple[Player, ...]]:
    """Return so many orders of the players, each as likely; ValueError for fewer than two, which give no error.

    >>> [sorted(order) for order in random_orders(["a", "b"], 2, np.random.default_rng(0))]
    [['a', 'b'], ['a', 'b']]
    """
    _check(players)
    if number < 2:
        raise ValueError(f"{number} orders give no standard error: at least 2")
    return [tuple(players[place] for place in rng.permutation(len(players)).tolist()) for _ in range(number)]


def over_orders(
    value: Callable[[frozenset[Player]], Worth], orders: Sequence[Sequence[Player]]
) -> dict[Player, tuple[Worth, Worth]]:
    """Return (mean of what each player adds in some orders, its standard error over these), sample by sample.

    >>> over_orders(lambda chosen: len(chosen) ** 2.0, [("a", "b"), ("b", "a")])
    {'a': (2.0, 1.0), 'b': (2.0, 1.0)}
    """
    known: dict[frozenset[Player], Worth] = {}
    added: dict[Player, list[Any]] = {player: [] for player in orders[0]}
    for order in orders:
        worths = []
        for size in range(len(order) + 1):
            chosen = frozenset(order[:size])
            if chosen not in known:
                known[chosen] = value(chosen)
            worths.append(known[chosen])
        for player, before, after in zip(order, worths, worths[1:], strict=False):
            added[player].append(after - before)
    return {player: _mean_and_error(np.array(parts, np.float64)) for player, parts in added.items()}


def leave_one_out(value: Callable[[frozenset[Player]], Worth], players: Sequence[Player]) -> dict[Player, Worth]:
    """Return what the coalition of all loses without each player.

    >>> leave_one_out(lambda chosen: len(chosen) ** 2.0, ["a", "b", "c"])
    {'a': 5.0, 'b': 5.0, 'c': 5.0}
    """
    whole = frozenset(players)
    return {player: value(whole) - value(whole - {player}) for player in players}


def solo(value: Callable[[frozenset[Player]], Worth], players: Sequence[Player]) -> dict[Player, Worth]:
    """Return what each player is worth without any other, beyond what nobody is worth.

    >>> solo(lambda chosen: len(chosen) ** 2.0, ["a", "b", "c"])
    {'a': 1.0, 'b': 1.0, 'c': 1.0}
    """
    nobody = value(frozenset())
    return {player: value(frozenset([player])) - nobody for player in players}


def interaction(value: Callable[[frozenset[Player]], Worth], players: Sequence[Player]) -> Worth:
    """Return what all do together beyond the sum of what each does alone.

    >>> interaction(lambda chosen: len(chosen) ** 2.0, ["a", "b", "c"])
    6.0
    """
    nobody = value(frozenset())
    together = value(frozenset(players)) - nobody
    for alone in solo(value, players).values():
        together = together - alone
    return together


def coalitions(players: Sequence[Player]) -> list[tuple[Player, ...]]:
    """Return all subsets, the empty one first, each in the order of the players.

    >>> coalitions(["a", "b"])
    [(), ('a',), ('b',), ('a', 'b')]
    """
    return [chosen for size in range(len(players) + 1) for chosen in combinations(players, size)]


def _coefficients(member: NDArray[np.bool_]) -> Floats:
    """Return by what the values of coalitions are multiplied to sum to shares, a row a player.

    member : a row a coalition, which players it has. Of the n! orders, (s-1)!(n-s)! have a player last among a
    coalition of s: one in n * C(n-1, s-1).
    """
    count = member.shape[1]
    weights = np.array([1.0 / (count * math.comb(count - 1, size)) for size in range(count)])
    sizes = member.sum(axis=1)
    joined, missed = weights[np.maximum(sizes - 1, 0)], weights[np.minimum(sizes, count - 1)]
    return np.asarray(np.where(member, joined[:, None], -missed[:, None]).T)


def _mean_and_error(table: Floats) -> Any:
    """Return the mean over rows and its standard error, as numbers where a row is one."""
    mean, error = table.mean(axis=0), np.std(table, axis=0, ddof=1) / math.sqrt(len(table))
    return (mean, error) if table.ndim > 1 else (float(mean), float(error))


def _check(players: Sequence[Player]) -> None:
    if not players or len(set(players)) < len(players):
        raise ValueError(f"shares are among different players, at least one: {list(players)!r:.200}")
