"""Selling over more than one market: which ways there are, what each would bring now, and doing it."""

from itertools import permutations
from typing import NamedTuple

from contagion.ports import Trade, Venue


class Step(NamedTuple):
    """One sale on a route."""

    venue: Venue
    sold: int
    bought: int


Route = tuple[Step, ...]


def find_routes(venues: list[Venue], sold: int, bought: int) -> list[Route]:
    """Return the ways to sell one asset for another over one market or two, in the order of the venues."""
    direct = [(Step(venue, sold, bought),) for venue in venues if {sold, bought} <= set(venue.assets())]
    return direct + [
        (Step(first, sold, middle), Step(second, middle, bought))
        for first, second in permutations(venues, 2)
        for middle in sorted(set(first.assets()) & set(second.assets()) - {sold, bought})
        if sold in first.assets() and bought in second.assets()
    ]


def quote_route(route: Route, quantity: int) -> int:
    """Return what selling `quantity` over a route would bring now."""
    for venue, sold, bought in route:
        quantity = venue.quote(sold, quantity, bought)
    return quantity


def best_route(routes: list[Route], quantity: int) -> tuple[int, Route]:
    """Return the best proceeds and their route, (0, ()) where there is none; the first of equals wins."""
    best: tuple[int, Route] = (0, ())
    for route in routes:
        if (proceeds := quote_route(route, quantity)) > best[0]:
            best = (proceeds, route)
    return best


def trade_route(route: Route, holder: int, quantity: int, *, cause: int, channel: int) -> Trade:
    """Sell over a route at once, each trade the cause of the next, and return the last fill."""
    for venue, sold, bought in route:
        cause, quantity = venue.trade(holder, sold, quantity, bought, cause=cause, channel=channel)
    return Trade(cause, quantity)
