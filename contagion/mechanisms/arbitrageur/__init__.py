"""An arbitrageur: buys where an asset is cheap and sells where it is dear, while it has inventory to do so.

The venues of its `arbitrage` edges are compared asset by asset: spot books and perpetuals (a basis trade), books of
several exchanges, pools on chain, and the window of an issuer (a `redeems` edge), which takes tokens back at par.
It pays with what lies where it trades: at an exchange with its account there (a `margin` edge), on chain with what
it holds itself. When what tokens bring at the dearest venue exceeds what they cost at the cheapest by more than
`minimum_edge`, it buys there and sells here until the edge is gone, its `size` is used up or its inventory at one of
them is: at most `capacity` away from where it began, and only coins and cash that it has there. So it needs both
where it is to trade at once, and moves them afterwards (`transfers`): with a delay, and not at all while an
exchange is halted, so that its capital runs out where it is needed. Two live quotes make a trade, never one.

It hears a venue over a `prices` edge from it, which every book and pool owes; an issuer it asks. The edge has to
cover the fees of books, those of pools and issuers are counted. Cash counts at its opening price: the numeraires of
one asset should be the same or all dollars. Cash on chain that books do not take (an issuer's payout, say) is swapped
in one of its pools into what they take, beyond what there was of it at the start, while that costs at most
`swap_cost`; when it runs out, it is bought back the same way.

One waking: hear, be slow (`latency`), then per asset, in the order of their numbers: swap cash on chain, the
widest edge, the purchase, then the sale of what was bought; last, ask for transfers.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, ClassVar

from contagion.errors import Misfit
from contagion.ledger import Refused
from contagion.mechanisms.arbitrageur.transfers import NEWS, Transfers
from contagion.mechanisms.arbitrageur.venues import (
    CHAIN,
    CRUMBS,
    BookVenue,
    Order,
    PoolVenue,
    Swap,
    Venue,
    WindowVenue,
    plan,
)
from contagion.params import AssetName, Duration, NodeName, Positive, Share
from contagion.params import Params as Parameters
from contagion.ports import ISSUERS, Feed, Link, Mechanism, Message, Process, Tick
from contagion.simulation import Simulation
from contagion.units import PPM, to_ppm
from contagion.venues import ARBITRAGED, BUY, EXCHANGES, SELL, open_accounts

Quote = tuple[int, int, Venue]
"""A price, a number that breaks ties, and whose price it is."""


class Arbitrageur:
    """Keeps prices of one asset together, at a cost and with a limit."""

    class Params(Parameters):
        """`size` (of one trade) and `capacity` in tokens by asset; `numeraires` say what a pool is paid with.

        Below `refill_at` of what it had, a place is refilled; on the way to an exchange, coins are `transfer_delay`
        on chain. A pool's numeraire is by default that of the asset's books, or else the pool's last asset. One kind
        of cash is swapped for another while that costs at most the share `swap_cost`.
        """

        size: dict[AssetName, Positive]
        capacity: dict[AssetName, Positive]
        minimum_edge: Share = Decimal("0.0005")
        latency: Duration = 100_000
        refill_at: Share = Decimal("0.2")
        transfer_delay: Duration = 0
        swap_cost: Share = Decimal("0.01")
        numeraires: dict[NodeName, AssetName] = {}

    opens = 5
    reacts: ClassVar[bool] = True

    def __init__(self, sim: Simulation, node: int, params: "Arbitrageur.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        self._inbox = sim.inbox()
        self._edge = PPM + to_ppm(params.minimum_edge)

    # ------------------------------------------------------------------------------------------- opening

    def open(self) -> None:
        """Open the accounts and learn the venues."""
        sim, p = self.sim, self.params
        open_accounts(sim, self.node)
        accounts = sim.links(self.node, EXCHANGES)
        for account in accounts:
            account.peer.calls.reach(self._inbox, account.latency_us)
        exchanges = {account.peer.node: account.peer for account in accounts}
        self._transfers = Transfers(
            sim, self.node, self._inbox, exchanges, p.transfer_delay, to_ppm(p.refill_at)
        )  # fmt: skip
        feeds = sim.subscribe(self.node, inbox=self._inbox)
        self._venues: defaultdict[int, list[Venue]] = defaultdict(list)
        self._heard: defaultdict[int, set[int]] = defaultdict(set)
        links: list[Link[Any]] = list(sim.links(self.node, ARBITRAGED))
        for link in links:
            if hasattr(link.peer, "quote_ladders"):
                self._add_book(link, exchanges, feeds)
        for link in links:
            if not hasattr(link.peer, "quote_ladders"):
                self._add_pool(link, feeds)
        self._check_numeraires()
        for window in sim.links(self.node, ISSUERS):
            self._add_window(window)
        self._swaps = {asset: self._learn_swaps(asset) for asset in self._venues}
        self._sizes = {asset: self._stated("size", asset) for asset in self._venues}
        self._limits = {asset: self._stated("capacity", asset) for asset in self._venues}

    def _add_book(self, link: Link[Any], exchanges: dict[int, Any], feeds: list[Feed]) -> None:
        """Learn a book; Misfit where the arbitrageur has no account behind it or does not hear it."""
        book, place, names = link.peer, link.peer.clearing.node, self.sim.network.names
        if place == book.node:
            place = CHAIN
        elif place not in exchanges:
            what = f"{names[self.node]!r} has no account at {names[place]!r}, which clears {names[book.node]!r}: "
            raise Misfit(("edges", link.edge), what + "add a 'margin' edge")
        self._hear(link, book.traded, feeds)
        self._venues[book.asset].append(BookVenue(self.sim, book, place))
        self._heard[book.asset].add(book.traded)

    def _add_pool(self, link: Link[Any], feeds: list[Feed]) -> None:
        """Learn a pool, for every asset of it that has a size."""
        pool, sim, names = link.peer, self.sim, self.sim.network.names
        if hasattr(pool, "traded"):
            raise Misfit(("edges", link.edge), "an arbitrageur trades on order books and in pools")
        stated = self.params.numeraires.get(names[pool.node])
        if stated is not None and sim.assets[stated] not in pool.assets():
            what = f"{stated!r} is not in the pool {names[pool.node]!r}"
            raise Misfit(("nodes", names[self.node], "numeraires", names[pool.node]), what)
        added = False
        for name in sorted(self.params.size):
            asset = sim.assets[name]
            books = [venue.cash for venue in self._venues.get(asset, ()) if isinstance(venue, BookVenue)]
            known = [cash for cash in books if cash in pool.assets()]
            cash = sim.assets[stated] if stated is not None else [*known, pool.assets()[-1]][0]
            if asset in pool.assets() and asset != cash:
                self._hear(link, asset if asset in pool.feeds else min(pool.feeds), feeds)
                self._venues[asset].append(PoolVenue(sim, pool, asset, cash))
                self._heard[asset] |= set(pool.feeds)
                added = True
        if not added:
            raise Misfit(("edges", link.edge), f"{names[pool.node]!r} has no asset that 'size' names")

    def _add_window(self, link: Link[Any]) -> None:
        """Learn an issuer, and how to change what it pays out into what the asset's books take."""
        issuer, name = link.peer, self.sim.ledger.assets[link.peer.asset].name
        if name not in self.params.size:
            raise Misfit(("edges", link.edge), f"'size' does not name {name!r}, which is redeemed here")
        cash = self._main_cash(issuer.asset, issuer.payout)
        swap = Swap(self.sim, issuer.payout, cash, self._pool_of(issuer.payout, cash))
        self._venues[issuer.asset].append(WindowVenue(self.sim, issuer, swap.worth))
        issuer.settled.reach(self._inbox, link.latency_us)

    def _main_cash(self, asset: int, otherwise: int) -> int:
        """Return what the first book (or else pool) of an asset takes."""
        return [*(venue.cash for venue in self._venues.get(asset, ()) if not venue.perpetual), otherwise][0]

    def _pool_of(self, *assets: int) -> Any:
        """Return the first of the arbitrageur's pools that has all of some assets, None without one."""
        peers: list[Any] = self.sim.peers(self.node, ARBITRAGED)
        pools = [peer for peer in peers if not hasattr(peer, "quote_ladders")]
        return next((pool for pool in pools if set(assets) <= set(pool.assets())), None)

    def _learn_swaps(self, asset: int) -> list[tuple[Swap, Swap]]:
        """Return how each kind of cash on chain becomes what books take, and how it is bought back.

        What has a size is traded for its own sake, and is no cash.
        """
        main = self._main_cash(asset, -1)
        cash = {venue.cash for venue in self._venues[asset] if venue.place == CHAIN}
        kinds = sorted(cash - {main} - {self.sim.assets[name] for name in self.params.size})
        pools = {kind: self._pool_of(kind, main) for kind in kinds}
        return [
            (Swap(self.sim, kind, main, pool), Swap(self.sim, main, kind, pool)) for kind, pool in pools.items() if pool
        ]

    def _hear(self, link: Link[Any], asset: int, feeds: list[Feed]) -> None:
        name = self.sim.network.names[link.peer.node]
        if link.peer.feeds[asset] not in feeds:
            what = f"{self.sim.network.names[self.node]!r} does not hear {name!r}: add a 'prices' edge from it"
            raise Misfit(("edges", link.edge), what)

    def _check_numeraires(self) -> None:
        """Misfit for what `numeraires` says of a node that is no pool of this arbitrageur."""
        names = self.sim.network.names
        venues = [venue for group in self._venues.values() for venue in group if isinstance(venue, PoolVenue)]
        pools = {names[venue.node] for venue in venues}
        if unknown := sorted(set(self.params.numeraires) - pools):
            what = f"{unknown[0]!r} is no pool that an 'arbitrage' edge leads to"
            raise Misfit(("nodes", names[self.node], "numeraires", unknown[0]), what)

    def _stated(self, table: str, asset: int) -> int:
        """Return a table's value for an asset in base units; Misfit where it states none."""
        values, name = getattr(self.params, table), self.sim.ledger.assets[asset].name
        if name not in values:
            raise Misfit(("nodes", self.sim.network.names[self.node], table), f"states nothing for {name!r}")
        return self.sim.units(asset, values[name])

    # ------------------------------------------------------------------------------------------ processes

    def processes(self) -> Iterable[Process]:
        """Return the watch over the venues."""
        for group in self._venues.values():
            for venue in group:
                for token in (venue.traded, venue.cash):
                    self._transfers.begin(venue.place, token)
        yield self._watch()

    def _watch(self) -> Process:
        while True:
            yield self._inbox.wait()
            if self.params.latency:
                yield self.sim.pause(self.params.latency)
            causes: dict[int, int] = {}
            news: list[int] = []
            for cause, content in self._inbox.take():
                if isinstance(content, Tick):
                    causes[content.asset] = cause
                elif self._transfers.hears(cause, content):
                    news.append(cause)
            for asset in sorted(self._venues):
                heard = news + [causes[known] for known in self._heard[asset] if known in causes]
                if heard:
                    self._swap(asset, max(heard))
                    self._trade(asset, max(heard))
                    self._refill(asset, max(heard))

    # ------------------------------------------------------------------------------------------ trading

    def _trade(self, asset: int, cause: int) -> None:
        """Buy at the lowest offer and sell at the highest bid of those that have room, as far as that pays."""
        probe = max(self._sizes[asset] // CRUMBS, *(venue.lot for venue in self._venues[asset]))
        offers, bids = self._quotes(asset, BUY, probe), self._quotes(asset, SELL, probe)
        if not self._crossed(offers, bids):
            return
        offers = [quote for quote in offers if self._to_buy(asset, quote[2])]
        cheap = min(offers)[2] if offers else None
        bids = [quote for quote in bids if cheap and self._to_sell(asset, quote[2], cheap)]
        if not cheap or not self._crossed(offers, bids):
            return
        dear = max(bids)[2]
        most = min(self._sizes[asset], self._to_buy(asset, cheap), self._to_sell(asset, dear, cheap))
        if order := plan(cheap, dear, most, self._transfers.available(cheap.place, cheap.cash), self._edge):
            self._execute(asset, cheap, dear, order, cause)

    def _crossed(self, offers: list[Quote], bids: list[Quote]) -> bool:
        """Return whether the highest bid exceeds the lowest offer of another venue by the edge."""
        if not offers or not bids:
            return False
        lowest, highest = min(offers), max(bids)
        return highest[0] * PPM > lowest[0] * self._edge and highest[2].node != lowest[2].node

    def _quotes(self, asset: int, side: int, probe: int) -> list[Quote]:
        """Return (price, a number that breaks ties, venue) of all that quote a side."""
        return [
            (price, side * venue.node, venue)
            for venue in self._venues[asset]
            if (price := venue.price(side, probe)) is not None
        ]

    def _execute(self, asset: int, cheap: Venue, dear: Venue, order: Order, cause: int) -> None:
        """Buy, then sell what was bought; a leg that is refused is logged, and the other one stands.

        A window has no price that would move, and so no news: after a trade there it looks again by itself.
        """
        try:
            cause, bought = cheap.buy(self.node, order.size, order.highest, cause)
            if bought:
                event = dear.sell(self.node, min(bought, order.tokens), order.lowest, cause)
                if isinstance(cheap, WindowVenue) or isinstance(dear, WindowVenue):
                    self._inbox.send(Message(event, NEWS), 0)
        except Refused as refusal:
            self.sim.record("refused-trade", self.node, cause=cause, asset=asset)
            assert str(refusal), "a refusal says why"

    def _to_buy(self, asset: int, venue: Venue) -> int:
        """Return how many tokens more may be bought at a venue."""
        room = self._limits[asset] - self._transfers.gained(venue.place, venue.traded)
        if not venue.perpetual:
            room = min(room, venue.affordable(self._transfers.available(venue.place, venue.cash)))
        return max(min(room, venue.takes(BUY)), 0)

    def _to_sell(self, asset: int, venue: Venue, cheap: Venue) -> int:
        """Return how many tokens more may be sold at a venue; on chain, with those that are bought first."""
        room = self._limits[asset] + self._transfers.gained(venue.place, venue.traded)
        if not venue.perpetual and not (cheap.prompt and cheap.place == venue.place == CHAIN):
            room = min(room, self._transfers.available(venue.place, venue.traded))
        return max(min(room, venue.takes(SELL)), 0)

    # ---------------------------------------------------------------------------------------- transfers

    def _swap(self, asset: int, cause: int) -> None:
        """Change cash on chain: what books do not take, beyond what there was of it; and back, when that runs out."""
        share, transfers = PPM - to_ppm(self.params.swap_cost), self._transfers
        for away, back in self._swaps[asset]:
            swap, most = away, transfers.gained(CHAIN, away.paid)
            if transfers.is_short(CHAIN, away.paid):
                swap, most = back, min(back.equal(-most), transfers.available(CHAIN, back.paid) // 2)
            if amount := swap.size(most, share):
                try:
                    swap.trade(self.node, amount, cause)
                except Refused:
                    self.sim.record("refused-trade", self.node, cause=cause, asset=swap.paid)

    def _refill(self, asset: int, cause: int) -> None:
        """Ask for coins, then for cash, to be moved to where they run out."""
        spot = [venue for venue in self._venues[asset] if not venue.perpetual]
        self._transfers.refill(asset, sorted({venue.place for venue in spot}), empty=True, cause=cause)
        for cash in sorted({venue.cash for venue in spot}):
            places = sorted({venue.place for venue in spot if venue.cash == cash})
            self._transfers.refill(cash, places, empty=False, cause=cause)


MECHANISM: type[Mechanism] = Arbitrageur
