"""Why an event happened: the walk back along `cause` to the shock, with what else contributed on the way."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from contagion.errors import closest
from contagion.log import FAILURES, Channel
from contagion.units import PPM, PRICE_SCALE, format_clock

_COUNTS_ORDERS = ("quote", "cancel", "maker-withdrawal")
"""Kinds of events whose quantity is a number of orders."""


@dataclass(frozen=True)
class Hop:
    """One event of a chain: what happened, where, when, and which further events it needed."""

    event: int
    time_us: int
    kind: str
    node: str
    detail: str
    generation: int
    also: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return one line for the event and one for each further parent."""
        when = format_clock(self.time_us)
        line = f"{when:>12}  #{self.event:<7} {self.kind:<16} {self.node:<18} {self.detail}".rstrip()
        return "\n".join([line, *(f"{'':>12}  also because of {parent}" for parent in self.also)])


@dataclass(frozen=True)
class Chain:
    """The events from a shock (or the clock) to one event, oldest first."""

    hops: tuple[Hop, ...]

    def __str__(self) -> str:
        """Return the chain, one event a line."""
        last = self.hops[-1]
        steps = f"{len(self.hops) - 1} steps after the {self.hops[0].kind} of {self.hops[0].node or 'time'}"
        head = f"{last.kind} of {last.node}, generation {last.generation}: {steps}"
        return "\n".join([head, *map(str, self.hops)])


def explain(events: dict[str, Any], contributions: dict[str, Any], books: Any, what: int | str) -> Chain:
    """Return the chain of an event id, or of the first failure of a node (``node`` or ``node#member``)."""
    event = find_event(events, books, what)
    chain = [event]
    while (cause := int(events["cause"][chain[-1]])) >= 0:
        chain.append(cause)
    if len(chain) > 1:
        chain.pop()
    hops = []
    for number in reversed(chain):
        parents = contributions["contributor"][contributions["event"] == number]
        also = tuple(str(_hop(events, books, int(parent))).strip() for parent in parents)
        hops.append(_hop(events, books, number, also))
    return Chain(tuple(hops))


def find_event(events: dict[str, Any], books: Any, what: int | str) -> int:
    """Return the event that `what` names; KeyError, with a hint, when nothing does."""
    count = len(events["kind"])
    text = str(what).strip().removeprefix("#")
    if text.isascii() and text.isdigit() and text not in books.holders:
        if not 0 <= int(text) < count:
            raise KeyError(f"there is no event {text}: the run has events 0 to {count - 1}")
        return int(text)
    name, _, member = text.rpartition("#") if "#" in text and text not in books.holders else (text, "", "")
    if name not in books.holders:
        raise KeyError(f"the run has no node {name!r}{closest(name, books.holders)}")
    chosen = events["node"] == books.holders.index(name)
    if member:
        if not member.isdigit():
            raise KeyError(f"{member!r} is not the number of a member of {name!r}")
        chosen &= events["member"] == int(member)
    failures = [books.kinds.index(kind) for kind in FAILURES if kind in books.kinds]
    failed = np.flatnonzero(chosen & np.isin(events["kind"], failures))
    if not len(failed):
        raise KeyError(f"{text!r} never failed in this run: give an event's number, such as contagion links shows")
    return int(failed[0])


def _hop(events: dict[str, Any], books: Any, event: int, also: tuple[str, ...] = ()) -> Hop:
    node, member = int(events["node"][event]), int(events["member"][event])
    name = books.holders[node] if node >= 0 else ""
    return Hop(
        event,
        int(events["time_us"][event]),
        books.kinds[events["kind"][event]],
        f"{name}#{member}" if member >= 0 else name,
        _detail(events, books, event),
        int(events["generation"][event]),
        also,
    )


def _detail(events: dict[str, Any], books: Any, event: int) -> str:
    parts = []
    asset, quantity, price = (int(events[c][event]) for c in ("asset", "quantity", "price"))
    kind = books.kinds[events["kind"][event]]
    if kind == "carry":
        return f"{quantity / PPM:.1%} a year, {books.assets[asset]} alone {price / PRICE_SCALE:.1%}"
    if kind in _COUNTS_ORDERS:
        parts.append(f"{quantity:,} orders" + (f" in {books.assets[asset]}" if asset >= 0 else ""))
    elif asset >= 0 and quantity:
        parts.append(f"{quantity / 10 ** books.decimals[asset]:,.2f} {books.assets[asset]}")
    elif asset >= 0:
        parts.append(books.assets[asset])
    elif quantity:
        parts.append(f"{quantity:,} position{'s' * (quantity != 1)}")
    if price:
        parts.append(f"at {price / PRICE_SCALE:,.4f}")
    channel = int(events["channel"][event])
    if channel:
        parts.append(f"[{Channel(channel).label}]")
    return " ".join(parts)
