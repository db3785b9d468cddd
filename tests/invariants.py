"""What holds in every run, whatever the graph: checks that raise AssertionError and say which event broke them."""

from collections import defaultdict
from typing import Any

import numpy as np

from contagion.ledger import Ledger
from contagion.log import FAILURES
from contagion.metrics import cascade
from contagion.metrics.attribution import attribution
from contagion.metrics.bilateral import bilateral
from contagion.metrics.losses import by_holder_value, losses
from contagion.metrics.marks import Marks
from contagion.metrics.spillover import spillovers
from contagion.network import Network
from contagion.runs import Run
from contagion.simulation import Simulation
from tests.venue_invariants import VenueWatch

TOLERANCE = 1e-9
CLOCKWORK = frozenset({"shock", "interest", "yield", "reward", "funding", "clearing"})
"""What may happen after the opening by the clock alone; all else must say what set it off."""


def watch_books(sim: Simulation) -> "BooksWatch":
    """Check the books after every transaction of a simulation; return the watch, for a last look at everything."""

    watch, books = VenueWatch(sim), BooksWatch(sim.ledger)

    def check(event: int) -> None:
        watch.check(event, books.touched)
        books.check(event)

    sim.observer = check
    return books


class BooksWatch:
    """A second set of books, kept from the legs alone, that every transaction is compared with.

    What a transaction touches is checked after it: rows are what the legs make of them, sum to zero in every asset,
    add up over members and are overdrawn nowhere. Of all else, which no leg has touched, the whole ledger is looked
    at every so many transactions; a change without a leg does not undo itself and is found then.
    """

    SELDOM = 50

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.touched: dict[tuple[int, int], list[Any]] = {}
        self._rows: dict[tuple[int, int], int] = {}
        self._count, self._post = 0, ledger.post
        for holder, row in enumerate(ledger.balances):
            self._rows |= {(holder, asset): balance for asset, balance in enumerate(row)}
        ledger.post = self._posted  # type: ignore[method-assign]

    def _posted(self, legs: Any) -> None:
        self._post(legs)
        for leg in legs:
            key = leg[0], leg[1]
            self._rows[key] = self._rows.get(key, 0) + int(np.sum(leg[2], dtype=object))
            self.touched.setdefault(key, []).extend(leg[3:])

    def check(self, event: int) -> None:
        """Check what has been touched since the last call, and now and then everything."""
        ledger = self.ledger
        for (holder, asset), members in self.touched.items():
            what, balance = f"{ledger.holders[holder]} in {ledger.assets[asset].name}", ledger.balances[holder][asset]
            assert balance == self._rows[holder, asset], f"event {event}: {what} is not what its legs make of it"
            column = ledger.members.get((holder, asset))
            assert column is None or column.total() == balance, f"event {event}: the members of {what} are {balance}"
            if not ledger.assets[asset].may_owe(holder):
                least = [balance, *(int(np.min(column.read(who), initial=0)) for who in members if column is not None)]
                assert min(least) >= 0, f"event {event}: {what} is negative"
        for asset in {asset for _, asset in self.touched}:
            total = sum(row[asset] for row in ledger.balances)
            assert total == 0, f"the books do not balance in {ledger.assets[asset].name} after event {event}"
        self.touched.clear()
        self._count += 1
        if self._count % self.SELDOM == 0:
            self.check_all(event)

    def check_all(self, event: int) -> None:
        """Check the whole ledger."""
        assert self.ledger.max_imbalance() == 0, f"the books do not balance at event {event}"
        assert not (bad := self.ledger.overdrafts()), f"negative holdings at event {event}: {bad}"
        for holder, row in enumerate(self.ledger.balances):
            assert row == [self._rows.get((holder, asset), 0) for asset in range(len(row))], self.ledger.holders[holder]


def check_run(run: Run, network: Network) -> None:
    """Check everything that must hold of a finished run."""
    check_order(run)
    check_replay(run)
    check_prices(run)
    check_accounts(run)
    check_channels(run)
    check_transfers(run)
    check_spillovers(run)
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


def check_transfers(run: Run) -> None:
    """What each holder lost to others, less what it gained from them, is the transfer part of its change of equity."""
    tables, books = run.tables, run.books
    table = bilateral(tables["postings"], tables["prices"], tables["events"]["kind"], books)
    later = np.flatnonzero(tables["postings"]["event"] > books.opening)
    moved = {name: column[later] for name, column in tables["postings"].items()}
    values = by_holder_value(moved, Marks(tables["prices"], books), books)
    transferred, lost = np.zeros(len(books.holders) + 1), np.zeros(len(books.holders) + 1)
    np.add.at(transferred, moved["holder"], values)
    np.add.at(lost, table["loser"], table["value"])
    np.add.at(lost, table["receiver"], -table["value"])
    assert np.all(table["value"] > 0.0)
    missed = np.abs(transferred + lost)[:-1]
    worst = int(np.argmax(missed))
    assert missed[worst] <= TOLERANCE * max(np.abs(values).sum(), 1.0), (
        f"{books.holders[worst]}: {missed[worst]} missed"
    )


def check_spillovers(run: Run) -> None:
    """What each domain lost, by what set it off, is the fall of equity of its holders."""
    t, books = run.tables, run.books
    lost = losses(t["postings"], t["prices"], t["balances"], books, len(t["events"]["kind"]))
    marks = Marks(t["prices"], books)
    table = spillovers(t["events"], t["failures"], t["postings"], marks, books, lost.perimeter)
    stake = max(np.abs(lost.start).sum(), np.abs(lost.end).sum(), 1.0)
    for domain in set(books.domains):
        inside = lost.perimeter & (np.array(books.domains) == domain)
        missed = sum(row[domain]["loss"] for row in table.values() if domain in row)
        missed -= float((lost.start - lost.end)[inside].sum())
        assert abs(missed) <= TOLERANCE * stake, f"the spillovers to {domain} miss {missed}"


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

    The actor of a trade, redemption, mint or liquidation is the holder who gives something up to a market, issuer or
    lender; of all else the event's own node. At an order book it is who takes, by the first of the postings, and the
    exchange for its fund; the exchange liquidates, calls, deleverages and cancels for others. Parties are the
    event's node, its market and its actor.
    """

    ACTS = {
        "trade": {"trades", "arbitrage"}, "redemption": {"redeems"}, "mint": {"redeems"},
        "liquidation": {"liquidations", "lends"},
    }  # fmt: skip
    ENGINE = ("liquidation", "margin-call", "auto-deleveraging", "insurance", "cancel")
    """What an exchange does to others, in the other's name."""

    def __init__(self, run: Run, network: Network) -> None:
        self.network, self.size, books = network, len(network.names), run.books
        events, postings = run.tables["events"], run.tables["postings"]
        self.kind = [books.kinds[k] for k in events["kind"].tolist()]
        self.columns: dict[str, list[int]] = {
            c: events[c].tolist() for c in ("time_us", "cause", "node", "market", "asset")
        }
        self.world = books.world
        self._legs: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for event, holder, asset, amount in zip(
            *(postings[c].tolist() for c in ("event", "holder", "asset", "amount")), strict=True
        ):
            self._legs[event].append((holder, asset, amount))
        self._edges: dict[tuple[int, int], list[Any]] = defaultdict(list)
        for edge in network.edges:
            self._edges[edge.source, edge.target].append(edge)
        self._buyers = {n for n, node in enumerate(network.nodes) if node.kind == "dip_buyer"}
        self._books = {n for n, node in enumerate(network.nodes) if node.kind == "order_book"}
        self._exchanges = {n for n, node in enumerate(network.nodes) if node.kind == "exchange"}
        self._clearer = {
            e.target: e.source for e in network.edges if e.role == "trades" and e.source in self._exchanges
        }
        self._moved: dict[int, set[int]] = defaultdict(set)
        for event, feed in zip(*(run.tables["prices"][c].tolist() for c in ("event", "market")), strict=True):
            self._moved[event].add(feed)
        self._funds = {(e.source, e.target) for e in network.edges if e.role == "funds"}

    def actor(self, event: int) -> int:
        """Return the node that acts."""
        node, market, asset = (self.columns[c][event] for c in ("node", "market", "asset"))
        kind, legs = self.kind[event], self._legs[event]
        if kind == "trade" and node in self._books:
            taker, exchange, cause = legs[0][0], self._clearer.get(node, -1), self.columns["cause"][event]
            engine = self.kind[cause] == "liquidation" and self._exchange_behind(cause) >= 0
            return exchange if engine or (exchange, taker) in self._funds else taker
        if kind in ("trade", "redemption", "mint"):
            return next((h for h, a, amount in legs if amount < 0 and a == asset and h != node), node)
        if kind in self.ENGINE and (exchange := self._exchange_behind(event)) >= 0:
            return exchange
        if kind == "cancel" and node not in self._buyers and self.columns["node"][self.columns["cause"][event]] != node:
            return market  # the book drops orders that their owner cannot pay for; a dip buyer takes its own away
        if kind == "liquidation":
            claims = (holder for holder, _, amount in legs if amount < 0 and holder not in (node, market))
            return next(claims, node)
        if kind == "liquidation-fee":
            return self.columns["node"][self.columns["cause"][event]]  # charged with the trade, at its book
        return node

    def parties(self, event: int) -> set[int]:
        """Return the nodes that take part."""
        market = self.columns["market"][event]
        found = {self.columns["node"][event], self.actor(event)} | ({market} if 0 <= market < self.size else set())
        moved = self._moved[event] if self.kind[event] == "shock" else set()
        return found | {feed for feed in moved if feed < self.size}  # a common factor moves several prices at once

    def broken(self, event: int) -> str:
        """Return what is wrong with the hop from an event's cause to it; nothing when it is as it must be.

        (1) An actor that acts at another node has an edge with it; shocks act anywhere. (2) The actor took part
        in the cause, or an edge leads to it from a party of the cause, and no less than its latency has passed. The
        first quotes are there from the start, and so may be a reason to withdraw them. (3) Whoever trades at a book
        may.
        """
        cause, actor, node = self.columns["cause"][event], self.actor(event), self.columns["node"][event]
        if self.kind[event] == "trade" and node in self._books and (who := self._strangers(event)):
            return f"{self._names(who)} trade at {self._name(node)} and have no edge to it, nor an account"
        elsewhere = actor not in (node, self.world) and self.kind[cause] != "shock"
        if elsewhere and not self._acts(event, actor, node):
            return f"{self._name(actor)} has no edge to act at {self._name(node)}"
        first = self.kind[event] in ("quote", "maker-withdrawal") and self.kind[cause] == "start"
        if cause == 0 or first or actor in (-1, self.world) or actor in self.parties(cause):
            return ""
        passed = self.columns["time_us"][event] - self.columns["time_us"][cause]
        edges = [edge for party in self.parties(cause) for edge in self._edges[party, actor]]
        if not edges:
            return f"no edge leads from {self._names(self.parties(cause))} to {self._name(actor)}"
        if min(edge.latency_us for edge in edges) > passed:
            return f"{passed} us are less than the latency of {[edge.name for edge in edges]}"
        return ""

    def _exchange_behind(self, event: int) -> int:
        """Return the exchange that does something to a client: a mark of its own or its own doing set it off."""
        cause, node = self.columns["cause"][event], self.columns["node"][event]
        if self.kind[event] == "cancel" and self.kind[cause] != "mark":
            return -1
        market = self.columns["market"][event]
        exchange = market if market in self._exchanges else self._clearer.get(market, -1)
        found = self._has(exchange, node, {"margin", "funds"})
        return exchange if found else -1

    def _acts(self, event: int, actor: int, node: int) -> bool:
        market = self.columns["market"][event]
        if actor in self._exchanges:
            return self._has(actor, node, {"margin", "funds", "trades"})
        if actor in self._books:
            exchange = self._clearer.get(actor, -1)
            return node == exchange or bool(self._edges[node, actor]) or self._has(exchange, node, {"margin"})
        if node in self._books and self._has(self._clearer.get(node, -1), actor, {"margin"}):
            return True
        roles = self.ACTS.get(self.kind[event], set())
        ends = [(actor, node), (node, actor), (market, actor)]
        return any(edge.role in roles for pair in ends for edge in self._edges.get(pair, []))

    def _strangers(self, event: int) -> set[int]:
        """Return who takes part in a trade at a book without an edge to it or an account behind it."""
        node, cause = self.columns["node"][event], self.columns["cause"][event]
        exchange = self._clearer.get(node, -1)
        known = {node, exchange, self.world} | ({self.actor(event)} if self.kind[cause] == "shock" else set())
        return {
            holder for holder, _, _ in self._legs[event]
            if holder not in known and not self._has(exchange, holder, {"margin"})
            and not self._has(holder, node, {"quotes", "trades", "arbitrage"})
        }  # fmt: skip

    def _has(self, source: int, target: int, roles: set[str]) -> bool:
        return any(edge.role in roles for edge in self._edges.get((source, target), []))

    def _name(self, node: int) -> str:
        return self.network.names[node] if node >= 0 else "nobody"

    def _names(self, nodes: set[int]) -> list[str]:
        return sorted(map(self._name, nodes))
