"""One run in progress: a clock, a network, a ledger, a log, named random streams and four verbs.

It knows no finance. Whatever happens goes through `transact` (post, then log) or `record` (log alone), both
with a cause; whoever wants to know is told by a signal.

Ties. Two things due at the same microsecond happen in the order in which they were scheduled; nodes start
in the order of their sorted names, after the shocks. With `shuffle_ties` the order is random instead, from a
stream of its own, and a conclusion should survive it.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, cast

import numpy as np
import simpy
from numpy.typing import NDArray

from contagion.errors import Misfit
from contagion.finance.branching import Exposure, weighted_generation
from contagion.ledger import Asset, Ledger, Leg, total
from contagion.log import FAILURES, SHOCK, EventLog, Failure
from contagion.network import Network
from contagion.ports import FEEDS, Clock, Feed, Inbox, Link, Mechanism, Port, PriceSource, Process, T
from contagion.units import PRICE_SCALE, SUPPLY_LIMIT, to_units

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
_FAILURES = frozenset(FAILURES)


class Simulation:
    """A network that runs.

    twin : 'base', 'control' (no shock), 'frozen' (nothing that reacts) or 'rounds' (mechanisms lose their own
    delays); shuffle_ties : which random order of ties, 0 for none; drawn : crowds that an earlier simulation of the
    same graph and seed has drawn, by node, to which this one adds its own; observer : called with the id of every
    transaction, for checks.
    """

    def __init__(
        self,
        network: Network,
        ledger: Ledger,
        *,
        seed: int = 0,
        twin: str = "base",
        shuffle_ties: int = 0,
        row_budget: int | None = None,
        currency_decimals: int = 6,
        drawn: dict[int, Integers] | None = None,
    ) -> None:
        self.network, self.ledger, self.seed, self.twin, self.drawn = network, ledger, seed, twin, drawn
        self.currency_decimals = currency_decimals
        self.env = Clock()
        self.end_us = 0
        self.log = EventLog(row_budget)
        self.mechanisms: list[Mechanism] = []
        self.feed_names: list[str] = list(network.names)
        self.observer: Callable[[int], None] | None = None
        self.opening = 0
        self.assets = {asset.name: number for number, asset in enumerate(ledger.assets)}
        self.world = next(i for i, node in enumerate(network.nodes) if node.kind == "world")
        self.feeds: dict[tuple[int, int], Feed] = {}
        self.underlying: dict[int, int] = {}
        self.introduced: dict[int, NDArray[np.bool_]] = {}
        self.openings: dict[int, Callable[[int, Integers], list[Any]]] = {}
        self.highest = 0
        if shuffle_ties:
            name = "ties" if shuffle_ties == 1 else f"ties {shuffle_ties}"
            self.env._eid = _shuffled(self.rng(name))  # type: ignore[assignment]
        self.log.append_root(0, "clock", -1, -1)

    def rng(self, name: str) -> np.random.Generator:
        """Return the random stream of a name: it depends on the seed and the name alone."""
        words = np.frombuffer(hashlib.sha256(name.encode()).digest(), dtype="<u4")
        sequence = np.random.SeedSequence(self.seed, spawn_key=tuple(int(word) for word in words))
        return np.random.Generator(np.random.PCG64(sequence))

    def transact(self, kind: str, node: int, *legs: Leg, cause: int, **columns: Any) -> int:
        """Post legs and log the event that moved them; Refused changes and logs nothing. Return the event."""
        stepping = self._step_out(legs)
        self.ledger.post(legs)
        for holder, members, rows in stepping:
            self.introduced[holder][members] = True
            self.log.post(self.opening, rows)
        if kind in _FAILURES:
            event = self.record(kind, node, cause=cause, **columns)
        else:
            event = self.log.append(self.env.now, kind, node, cause, **columns)
        self.log.post(event, legs)
        if self.observer:
            self.observer(event)
        return event

    def record(
        self,
        kind: str,
        node: int,
        *,
        cause: int,
        exposures: Iterable[Exposure] = (),
        direct: Iterable[tuple[float, float, bool]] = (),
        **columns: int,
    ) -> int:
        """Log an event that moves nothing and return its id.

        exposures, direct : for a failure, what was at stake and who failed before (`weighted_generation`);
        where neither is known the failure takes the generation of its cause.
        """
        if kind not in _FAILURES:
            return self.log.append(self.env.now, kind, node, cause, **columns)
        facts = self._failure(cause, list(exposures), list(direct), columns.get("value", 0))
        event = self.log.append_failure(self.env.now, kind, node, cause, facts, **columns)
        self.highest = max(self.highest, self.log.depths[event].generation)
        return event

    def record_members(
        self,
        kind: str,
        node: int,
        members: Integers,
        causes: Integers,
        weighted: Floats,
        exogenous: Floats,
        **columns: Any,
    ) -> int:
        """Log a failure for each of a crowd's members, or of a named node (member -1); return the first event."""
        first = self.log.append_failures(self.env.now, kind, node, causes, members, weighted, exogenous, **columns)
        deepest = max((self.log.depths[cause].generation for cause in np.unique(causes).tolist()), default=-1)
        self.highest = max(self.highest, deepest + 1)
        return first

    def shock(self, node: int, *legs: Leg, cause: int = 0, **columns: int) -> int:
        """Post legs that come from outside the model and log them as a shock, generation 0."""
        self.ledger.post(legs)
        event = self.log.append_root(self.env.now, SHOCK, node, cause, **columns)
        self.log.post(event, legs)
        return event

    def contribute(self, event: int, contributor: int, weight: float = 1.0) -> None:
        """Name a further parent of an event."""
        assert contributor < event, "a contributor comes before what it contributes to"
        self.log.contributions.append(event, contributor, weight)  # type: ignore[arg-type]

    def links(self, node: int, port: Port[T]) -> list[Link[T]]:
        """Return the peers of a node at a port, with the edges that lead to them, by edge name."""
        edges = (self.network.edges_out if port.way == "out" else self.network.edges_in)(node, port.role)
        return [
            Link(
                cast(T, self.mechanisms[edge.target if port.way == "out" else edge.source]),
                edge.name,
                edge.latency_us,
                edge.attributes,
            )
            for edge in edges
        ]

    def peers(self, node: int, port: Port[T]) -> list[T]:
        """Return the peers of a node at a port."""
        return [link.peer for link in self.links(node, port)]

    def pause(self, delay_us: int) -> simpy.Event:
        """Return the event of a mechanism's own delay having passed."""
        return self.env.timeout(0 if self.twin == "rounds" else delay_us)

    def issuer(self, asset: int) -> int:
        """Return who issues an asset: its issuer node, else the world."""
        return min(self.ledger.assets[asset].issuers - {self.world}, default=self.world)

    def currency_value(self, amount: int, asset: int) -> int:
        """Return an amount of an asset at its reference price, in base units of the currency."""
        return int(self.currency_values(np.array([amount]), asset)[0])

    def currency_values(self, amounts: Integers, asset: int) -> Integers:
        """Return amounts of an asset at its reference price, in base units of the currency, rounded."""
        shift = self.currency_decimals - self.ledger.assets[asset].decimals
        unit = self.reference_price(asset) / PRICE_SCALE * 10.0**shift
        return np.asarray(np.rint(amounts * unit), np.int64)

    def units(self, asset: int, quantity: Decimal) -> int:
        """Return a number of tokens in base units of an asset."""
        return to_units(quantity, self.ledger.assets[asset].decimals)

    def reference_price(self, asset: int) -> int:
        """Return the reference price of an asset, as its node quotes it now."""
        node = self.network.ids[self.ledger.assets[asset].name]
        return cast(PriceSource, self.mechanisms[node]).feeds[asset].mark.price

    def inbox(self) -> Inbox:
        """Return a new inbox."""
        return Inbox(self.env)

    def subscribe(self, node: int, *, asset: int | None = None, inbox: Inbox | None = None) -> list[Feed]:
        """Return the feeds that reach a node over its `prices` edges, and let the inbox hear them."""
        feeds = []
        for link in self.links(node, FEEDS):
            wanted = link.attributes.get("asset")
            for number, feed in sorted(link.peer.feeds.items()):
                if asset in (None, number) and wanted in (None, self.ledger.assets[number].name):
                    feeds.append(feed)
                    if inbox is not None:
                        feed.changed.reach(inbox, link.latency_us)
        return feeds

    def feed(self, node: int, asset: int, price: int) -> Feed:
        """Return a new feed of a node's price of an asset; one feed a node keeps the node's name."""
        market = node
        if any(known == node for known, _ in self.feeds):
            market = len(self.feed_names)
            self.feed_names.append(f"{self.network.names[node]}/{self.ledger.assets[asset].name}")
        return self._add_feed(market, asset, price)

    def add_asset(self, asset: Asset) -> int:
        """Return the column of a new claim in the ledger; only before the opening."""
        number = self.assets[asset.name] = self.ledger.add_asset(asset)
        return number

    def claim_feed(self, claim: int, underlying: int, price: int) -> Feed:
        """Return a new feed of what one unit of a claim is worth in its underlying asset (10^-9)."""
        self.underlying[claim] = underlying
        self.feed_names.append(self.ledger.assets[claim].name)
        return self._add_feed(len(self.feed_names) - 1, claim, price)

    def _add_feed(self, market: int, asset: int, price: int) -> Feed:
        if not 0 < price < SUPPLY_LIMIT:
            name = self.feed_names[market]
            what = f"the opening price of {price / PRICE_SCALE:.3g} cannot be counted in steps of 10^-9"
            raise Misfit(("nodes", name), what)
        self.feeds[market, asset] = feed = Feed(self.env, self.log, market, asset, price)
        return feed

    def start(self, process: Process) -> None:
        """Start a process at the present time."""
        self.env.process(process)

    def run(self, until_us: int) -> None:
        """Run until a time; what is due exactly then still happens."""
        self.env.run(until=until_us + 1)
        self.end_us = until_us

    def _step_out(self, legs: Sequence[Leg]) -> list[tuple[int, Integers, list[Leg]]]:
        """Return (holder, members, rows of the journal) of those who act for the first time and leave the crowd.

        A crowd with an account book opens as a whole; who never acts never costs a row. Nothing is noted yet, since
        the transaction may be refused.
        """
        acting: dict[int, list[Integers]] = {}
        for leg in legs:
            if len(leg) == 4 and leg[0] in self.introduced:
                members = np.atleast_1d(leg[3])
                new = members[~self.introduced[leg[0]][members]]
                if len(new):
                    acting.setdefault(leg[0], []).append(new)
        stepping = []
        for holder, parts in acting.items():
            members = np.unique(np.concatenate(parts))
            stepping.append((holder, members, self._opening_rows(holder, members)))
        return stepping

    def _opening_rows(self, holder: int, members: Integers) -> list[Leg]:
        openings = self.openings.get(holder)
        if openings is None:
            columns = [(asset, column) for (owner, asset), column in self.ledger.members.items() if owner == holder]
            had = [(holder, asset, np.asarray(column.read(members)), members) for asset, column in columns]
        else:
            had = openings(holder, members)
        rows: list[Leg] = []
        for _, asset, amounts, who in had:
            some = np.flatnonzero(amounts)
            if len(some):
                rows += [(holder, asset, -total(amounts[some])), (holder, asset, amounts[some], who[some])]
        return rows

    def _failure(
        self, cause: int, exposures: list[Exposure], direct: list[tuple[float, float, bool]], value: int
    ) -> Failure:
        if exposures or direct:
            weighted, exogenous = weighted_generation(exposures, direct, self.highest)
        else:
            weighted = 1.0 + self.log.weighted_generation(cause)
            exogenous = float(self.log.is_exogenous(cause))
        return Failure(weighted, exogenous, value)


def _shuffled(rng: np.random.Generator) -> Iterator[int]:
    count = 0
    while True:
        for draw in rng.integers(1 << 40, size=1024).tolist():
            yield (draw << 64) + count
            count += 1
