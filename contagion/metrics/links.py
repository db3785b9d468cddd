"""In which order the links of a cascade happened, beside the order in which an account tells them.

A link is either a kind of event, at nodes, assets and markets whose names match a pattern, or a level that the
price of a market crosses. It happens when its first event after the opening does, or when such a price first lies
beyond the level (at time 0 where it opens there). The order is that of the log: of two links in one microsecond
the earlier event comes first, since no effect is logged before its cause. The agreement of the two orders is
Kendall's tau (1938; tau-b, Kendall 1945, where one event is two links), over the links that happened: 1 for the
order as told, -1 for its reverse.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.metrics.groups import rows_by_group
from contagion.metrics.venues import is_kind
from contagion.units import PRICE_SCALE, SECOND

Columns = dict[str, NDArray[Any]]
Integers = NDArray[np.int64]
Links = Sequence[Mapping[str, Any]]

_NAMES = {"node": "holders", "asset": "assets", "market": "feeds"}


def observed(links: Links, events: Columns, prices: Columns, books: Any) -> dict[str, Any]:
    """Return `seen`, what a run did of each link by its id, and `order`, how the two orders agree.

    links : as a scenario states them, in the order of the account. A link's `first` is in seconds, None where it
    never happened; `events` counts events, or crossings; `rank` is its place among those that happened, `in_order`
    whether none that is told before it happened later.
    """
    found = [_found(link, events, prices, books) for link in links]
    firsts = [int(rows["event"][0]) if len(rows["event"]) else None for rows in found]
    happened = [first for first in firsts if first is not None]
    seen = {}
    for place, (link, rows, first) in enumerate(zip(links, found, firsts, strict=True)):
        before = [other for other in firsts[:place] if other is not None]
        seen[link["id"]] = {
            "title": link["title"] or link["id"], "stated": place + 1,
            "rank": None if first is None else 1 + sum(other < first for other in happened),
            "first": None if first is None else float(rows["time_us"][0]) / SECOND,
            "event": first, "events": len(rows["event"]),
            "in_order": None if first is None else all(other <= first for other in before),
        }  # fmt: skip
    return {"seen": seen, "order": agreement(happened) | {"links": len(links)}}


def agreement(firsts: Sequence[int]) -> dict[str, Any]:
    """Return how far what is given, in the order as told, rises; `tau` is None for fewer than two places.

    >>> agreement([3, 8, 5])
    {'happened': 3, 'pairs': 3, 'in_order': 2, 'tau': 0.3333}
    """
    pairs = list(combinations(firsts, 2))
    tau = None
    if len(set(firsts)) > 1:
        from scipy.stats import kendalltau  # takes a second to import, and few runs need it

        tau = round(float(kendalltau(range(len(firsts)), firsts).statistic), 4)
    return {"happened": len(firsts), "pairs": len(pairs), "in_order": sum(a <= b for a, b in pairs), "tau": tau}


def compare(one: Any, other: Any) -> list[dict[str, Any]]:
    """Return the links of two runs side by side: the first time in each, and by how much later it is in the second.

    A run whose scenario states no such link is held against that of the other.
    """
    stated = [{link["id"]: link for link in run.scenario.get("links", [])} for run in (one, other)]
    if not (names := dict.fromkeys([*stated[0], *stated[1]])):
        return []
    sides = []
    for run, own in zip((one, other), stated, strict=True):
        links = [own.get(name) or next(links[name] for links in stated if name in links) for name in names]
        sides.append(observed(links, run.tables["events"], run.tables["prices"], run.books)["seen"])
    rows = []
    for name in names:
        a, b = (side[name] for side in sides)
        change = None if a["first"] is None or b["first"] is None else b["first"] - a["first"]
        rows.append({
            "link": name, "title": a["title"], "a": a["first"], "b": b["first"], "change": change,
            "rank_a": a["rank"], "rank_b": b["rank"], "events_a": a["events"], "events_b": b["events"],
        })  # fmt: skip
    return rows


def _found(link: Mapping[str, Any], events: Columns, prices: Columns, books: Any) -> Columns:
    """Return event and time of everything that is a link, in the order of the log."""
    if link["kind"] is None:
        return _crossings(link, prices, books)
    chosen = is_kind(events, books.kinds, link["kind"]).copy()
    chosen[: books.opening + 1] = False
    for column, names in _NAMES.items():
        if link[column] is not None:
            chosen &= _matches(getattr(books, names), link[column])[events[column]]
    rows = np.flatnonzero(chosen)
    return {"event": rows, "time_us": events["time_us"][rows]}


def _crossings(link: Mapping[str, Any], prices: Columns, books: Any) -> Columns:
    """Return event and time of every step of a matching price from one side of a level to beyond it."""
    crossed = []
    for rows in (own for own in _by_feed(prices, books, link["market"]) if len(own)):
        event = prices["event"][rows]
        rows = rows[np.append(event[1:] != event[:-1], True)]  # one event may move a price through several channels
        beyond = _beyond(link, prices["price"][rows])
        crossed.append(rows[beyond & ~np.append(False, beyond[:-1])])
    at = np.sort(np.concatenate([np.empty(0, np.int64), *crossed]))
    return {"event": prices["event"][at], "time_us": prices["time_us"][at]}


def _beyond(link: Mapping[str, Any], path: Integers) -> NDArray[np.bool_]:
    """Return where a price path lies beyond the level of a link: strictly, but that a stated fall is reached."""
    if link["fall"] is not None:
        return np.asarray(path <= path[0] * (1.0 - link["fall"]))
    if link["below"] is not None:
        return np.asarray(path < round(link["below"] * PRICE_SCALE))
    return np.asarray(path > round(link["above"] * PRICE_SCALE))


def _by_feed(prices: Columns, books: Any, pattern: str) -> list[Integers]:
    matches = _matches(books.feeds, pattern)
    return [rows for feed, rows in enumerate(rows_by_group(prices["market"], len(books.feeds))) if matches[feed]]


def _matches(names: Sequence[str], pattern: str) -> NDArray[np.bool_]:
    """Return which names match a pattern, and False at the end, where -1 (none) looks."""
    return np.array([*(fnmatchcase(name, pattern) for name in names), False])
