"""What holds in every run, whatever the graph: checks that raise AssertionError and say which event broke them."""

from collections import defaultdict
from typing import Any

import numpy as np

from contagion.log import FAILURES
from contagion.metrics import cascade
from contagion.metrics.attribution import attribution
from contagion.metrics.losses import losses
from contagion.network import Network
from contagion.runs import Run
from contagion.simulation import Simulation

TOLERANCE = 1e-9
CLOCKWORK = frozenset({"shock", "interest", "yield"})
"""What may happen after the opening by the clock alone; all else must say what set it off."""


def watch_books(sim: Simulation) -> None:
    """Check the books after every transaction of a simulation."""

    def check(event: int) -> None:
        assert sim.ledger.max_imbalance() == 0, f"the books do not balance after event {event}"
        assert not (bad := sim.ledger.overdrafts()), f"negative holdings after event {event}: {bad}"

    sim.observer = check


def check_run(run: Run, network: Network) -> None:
    """Check everything that must hold of a finished run."""
    check_order(run)
    check_replay(run)
    check_prices(run)
    check_accounts(run)
    check_channels(run)
    check_depths(run)
    check_hops(run, network)


def check_order(run: Run) -> None:
    """Every event but the first has an earlier cause, and time never runs backwards."""
    events = run.tables["events"]
    cause, numbers = events["cause"], np.arange(len(events["cause"]))
    assert cause[0] == -1
    assert np.all((cause[1:] >= 0) & (cause[1:] < numbers[1:]))
    assert np.all(np.diff(events["time_us"]) >= 0)
    timed = np.flatnonzero(cause == 0)
    kinds = {run.books.kinds[kind] for kind in events["kind"][timed[timed > run.books.opening]].tolist()}
    assert kinds <= CLOCKWORK, f"{kinds - CLOCKWORK} happen by the clock alone"
    extra = run.tables["contributions"]
    assert np.all((extra["contributor"] >= 0) & (extra["contributor"] < extra["event"]))


def check_replay(run: Run) -> None:
    """The journal, replayed, gives the closing balances, members included."""
    replayed: dict[tuple[int, int, int], int] = defaultdict(int)
    postings, balances = run.tables["postings"], run.tables["balances"]
    for row in zip(*(postings[c].tolist() for c in ("holder", "member", "asset", "amount")), strict=True):
        replayed[row[:3]] += row[3]
    closing = {
        row[:3]: row[3]
        for row in zip(*(balances[c].tolist() for c in ("holder", "member", "asset", "balance")), strict=True)
    }
    assert {k: v for k, v in replayed.items() if v} == {k: v for k, v in closing.items() if v}


def check_prices(run: Run) -> None:
    """Every mark is positive, and its increments lead from one price to the next."""
    prices = run.tables["prices"]
    assert np.all(prices["price"] > 0)
    for market in np.unique(prices["market"]).tolist():
        rows = np.flatnonzero(prices["market"] == market)
        steps, name = np.diff(prices["price"][rows]), run.books.feeds[market]
        assert np.array_equal(steps, prices["delta"][rows[1:]]), f"the increments of {name} do not add up"
        assert np.all(np.diff(prices["event"][rows]) >= 0), f"the marks of {name} are out of order"


def check_accounts(run: Run) -> None:
    """The accounts table and the losses tell the same story, members summed."""
    tables, books = run.tables, run.books
    lost = losses(tables["postings"], tables["prices"], tables["balances"], books, len(tables["events"]["kind"]))
    stake = max(np.abs(lost.start).sum(), np.abs(lost.end).sum(), 1.0)
    for column, equity in (("equity_start", lost.start), ("equity_end", lost.end)):
        sums = np.zeros(len(books.holders))
        np.add.at(sums, tables["accounts"]["holder"], tables["accounts"][column])
        assert np.all(np.abs(sums - equity) <= TOLERANCE * stake), f"accounts and losses differ in {column}"


def check_channels(run: Run) -> None:
    """Per holder the channels sum to the change of its equity."""
    tables, books = run.tables, run.books
    lost = losses(tables["postings"], tables["prices"], tables["balances"], books, len(tables["events"]["kind"]))
    assert lost.error() <= TOLERANCE, f"the four terms miss the loss by {lost.error()}"
    holders, _, table = attribution(tables["postings"], tables["prices"], tables["events"]["kind"], books)
    stake = max(np.abs(lost.start).sum(), np.abs(lost.end).sum(), 1.0)
    missed = np.abs(table.sum(axis=1) - (lost.end - lost.start)[holders])
    worst = int(np.argmax(missed))
    name = books.holders[holders[worst]]
    assert missed[worst] <= TOLERANCE * stake, f"the channels of {name} miss its loss by {missed[worst]}"


def check_depths(run: Run) -> None:
    """Depths found from causes are those that were logged, and weighted depths are in range."""
    events, failed, kinds = run.tables["events"], run.tables["failures"], run.books.kinds
    first = cascade.failures(events, kinds)
    assert np.array_equal(failed["event"], first)
    assert np.array_equal(cascade.trigger_depths(events, kinds), events["generation"][first])
    assert np.all(failed["weighted"] >= 1.0)
    assert np.all((failed["exogenous"] >= 0.0) & (failed["exogenous"] <= 1.0))
    deepest = cascade.dag_depths(events, run.tables["contributions"], kinds)
    assert all(deepest[e] >= g for e, g in zip(first.tolist(), events["generation"][first].tolist(), strict=True))


def no_failures(run: Run) -> bool:
    """Return whether nothing has failed, repeats included."""
    kinds = run.books.kinds
    ids = [kinds.index(kind) for kind in FAILURES if kind in kinds]
    return not np.isin(run.tables["events"]["kind"], ids).any()


def check_hops(run: Run, network: Network) -> None:
    """News travels along edges, no faster than they are; see `Hops.broken`."""
    hops = Hops(run, network)
    for event in range(1, len(hops.kind)):
        assert not (what := hops.broken(event)), f"event {event}: {what}\n{run.why(event)}"


class Hops:
    """Which node acts in an event, who takes part, and whether its cause could have reached the actor.

    The actor of a trade, redemption or liquidation is the holder who gives something up to a market, issuer or
    lender; of all else the event's own node. Parties are the event's node, its market and its actor.
    """

    ACTS = {"trade": {"trades"}, "redemption": {"redeems"}, "liquidation": {"liquidations", "lends"}}

    def __init__(self, run: Run, network: Network) -> None:
        self.network, self.size, books = network, len(network.names), run.books
        events, postings = run.tables["events"], run.tables["postings"]
        self.kind = [books.kinds[k] for k in events["kind"].tolist()]
        self.columns: dict[str, list[int]] = {
            c: events[c].tolist() for c in ("time_us", "cause", "node", "market", "asset")
        }
        self.world = books.world
        self._payers: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for event, holder, asset, amount in zip(
            *(postings[c].tolist() for c in ("event", "holder", "asset", "amount")), strict=True
        ):
            if amount < 0:
                self._payers[event].append((holder, asset))
        self._edges: dict[tuple[int, int], list[Any]] = defaultdict(list)
        for edge in network.edges:
            self._edges[edge.source, edge.target].append(edge)

    def actor(self, event: int) -> int:
        """Return the node that acts."""
        node, market, asset = (self.columns[c][event] for c in ("node", "market", "asset"))
        if self.kind[event] in ("trade", "redemption"):
            return next((h for h, a in self._payers[event] if a == asset and h != node), node)
        if self.kind[event] == "liquidation":
            claims = (holder for holder, _ in self._payers[event] if holder not in (node, market))
            return next(claims, node)
        return node

    def parties(self, event: int) -> set[int]:
        """Return the nodes that take part."""
        market = self.columns["market"][event]
        return {self.columns["node"][event], self.actor(event)} | ({market} if 0 <= market < self.size else set())

    def broken(self, event: int) -> str:
        """Return what is wrong with the hop from an event's cause to it; nothing when it is as it must be.

        (1) An actor that acts at another node has an edge with it; shocks act anywhere. (2) The actor took part
        in the cause, or an edge leads to it from a party of the cause, and no less than its latency has passed.
        """
        cause, actor, node = self.columns["cause"][event], self.actor(event), self.columns["node"][event]
        elsewhere = actor not in (node, self.world) and self.kind[cause] != "shock"
        if elsewhere and not self._acts(event, actor, node):
            return f"{self._name(actor)} has no edge to act at {self._name(node)}"
        if cause == 0 or actor in (-1, self.world) or actor in self.parties(cause):
            return ""
        passed = self.columns["time_us"][event] - self.columns["time_us"][cause]
        edges = [edge for party in self.parties(cause) for edge in self._edges[party, actor]]
        if not edges:
            return f"no edge leads from {self._names(self.parties(cause))} to {self._name(actor)}"
        if min(edge.latency_us for edge in edges) > passed:
            return f"{passed} us are less than the latency of {[edge.name for edge in edges]}"
        return ""

    def _acts(self, event: int, actor: int, node: int) -> bool:
        roles = self.ACTS.get(self.kind[event], set())
        market = self.columns["market"][event]
        ends = [(actor, node), (node, actor), (market, actor)]
        return any(edge.role in roles for pair in ends for edge in self._edges.get(pair, []))

    def _name(self, node: int) -> str:
        return self.network.names[node] if node >= 0 else "nobody"

    def _names(self, nodes: set[int]) -> list[str]:
        return sorted(map(self._name, nodes))
