"""An arbitrageur: buys where an asset is cheap and sells where it is dear, while it has inventory to do so.

The markets of its `arbitrage` edges are compared asset by asset, whatever they are: spot and perpetual of one
exchange (a basis trade), or books of two. When a bid stands above an offer by more than `minimum_edge`, it walks both
books until the edge is gone, its `size` is used up or its inventory at one of them is: at most `capacity` away
from where it began, and only coins that it has there. Between venues coins take the exchange's withdrawal
delay and do not move while transfers are halted, so that its capital runs out where it is needed.

One waking: hear, be slow (`latency`), then per asset, in the order of their numbers: the widest edge first, the
purchase, then the sale of what was bought; last, ask for transfers.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, ClassVar

from contagion.errors import Misfit
from contagion.ledger import Refused
from contagion.log import Channel
from contagion.params import AssetName, Duration, Positive, Share
from contagion.params import Params as Parameters
from contagion.ports import Mechanism, Process, Tick
from contagion.simulation import Simulation
from contagion.units import PPM, to_ppm
from contagion.venues import ARBITRAGED, BUY, EXCHANGES, SELL, open_accounts


class Arbitrageur:
    """Keeps prices of one asset together, at a cost and with a limit."""

    class Params(Parameters):
        """`size` and `capacity` in tokens by asset; below `refill_at` of what it had, a venue is refilled."""

        size: dict[AssetName, Positive]
        capacity: dict[AssetName, Positive]
        minimum_edge: Share = Decimal("0.0005")
        latency: Duration = 100_000
        refill_at: Share = Decimal("0.2")

    opens = 5
    reacts: ClassVar[bool] = True

    def __init__(self, sim: Simulation, node: int, params: "Arbitrageur.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        self._inbox = sim.inbox()
        self._under_way: set[tuple[int, int]] = set()
        self._turned_away = False

    def open(self) -> None:
        """Open the accounts and learn the markets."""
        sim = self.sim
        open_accounts(sim, self.node)
        self._markets: defaultdict[int, list[Any]] = defaultdict(list)
        for link in sim.links(self.node, ARBITRAGED):
            if not hasattr(link.peer, "execute"):
                raise Misfit(("edges", link.edge), "an arbitrageur trades on order books")
            self._markets[link.peer.asset].append(link.peer)
        for account in sim.links(self.node, EXCHANGES):
            account.peer.calls.reach(self._inbox, account.latency_us)
        sim.subscribe(self.node, inbox=self._inbox)
        for asset in self._markets:
            name = sim.ledger.assets[asset].name
            for table, values in (("size", self.params.size), ("capacity", self.params.capacity)):
                if name not in values:
                    raise Misfit(("nodes", sim.network.names[self.node], table), f"states nothing for {name!r}")
        self._sizes = {a: sim.units(a, self.params.size[sim.ledger.assets[a].name]) for a in self._markets}
        self._limits = {a: sim.units(a, self.params.capacity[sim.ledger.assets[a].name]) for a in self._markets}
        self._start: dict[int, int] = {}

    def processes(self) -> Iterable[Process]:
        """Return the watch over the markets."""
        self._start = {market.node: self._held(market) for group in self._markets.values() for market in group}
        yield self._watch()

    def _watch(self) -> Process:
        while True:
            yield self._inbox.wait()
            if self.params.latency:
                yield self.sim.pause(self.params.latency)
            causes: dict[int, int] = {}
            for cause, content in self._inbox.take():
                if isinstance(content, Tick):
                    causes[content.asset] = cause
                if content == self.node or self._turned_away:
                    self._arrived(cause)
            for asset, group in sorted(self._markets.items()):
                heard = [causes[market.traded] for market in group if market.traded in causes]
                if heard:
                    self._trade(asset, group, max(heard))
                    self._refill(asset, group, max(heard))

    def _trade(self, asset: int, group: list[Any], cause: int) -> None:
        """Buy at the lowest offer and sell at the highest bid, as far as that pays."""
        offers = [(best, market.node, market) for market in group if (best := market.best(SELL)) is not None]
        bids = [(best, -market.node, market) for market in group if (best := market.best(BUY)) is not None]
        if not offers or not bids:
            return
        cheap, dear = min(offers)[2], max(bids)[2]
        size = min(self._sizes[asset], self._room(cheap, BUY), self._room(dear, SELL))
        quantity, buy_limit, sell_limit = self._depth(cheap, dear, size)
        lot = max(cheap.lot, dear.lot)
        quantity = quantity // lot * lot
        if cheap is dear or not quantity:
            return
        try:
            bought = cheap.execute(self.node, BUY, quantity, buy_limit, cause=cause, channel=Channel.ARBITRAGE)
            if bought.filled:
                dear.execute(self.node, SELL, bought.filled, sell_limit, cause=bought.event, channel=Channel.ARBITRAGE)
        except Refused as refusal:
            self.sim.record("refused-trade", self.node, cause=cause, asset=asset)
            assert str(refusal), "a refusal says why"

    def _depth(self, cheap: Any, dear: Any, size: int) -> tuple[int, int, int]:
        """Return (quantity, highest offer, lowest bid) for which a bid exceeds an offer by the edge."""
        edge = PPM + to_ppm(self.params.minimum_edge)
        offers, bids = iter(cheap.levels(SELL)), iter(dear.levels(BUY))
        offer, bid = next(offers, None), next(bids, None)
        quantity, limits = 0, (0, 0)
        while offer and bid and quantity < size and bid[0] * PPM > offer[0] * edge:
            part = min(offer[1], bid[1], size - quantity)
            quantity, limits = quantity + part, (offer[0], bid[0])
            offer = (offer[0], offer[1] - part) if offer[1] > part else next(offers, None)
            bid = (bid[0], bid[1] - part) if bid[1] > part else next(bids, None)
        return (quantity, *limits)

    def _held(self, market: Any) -> int:
        return int(market.clearing.balance(self.node, market.traded))

    def _room(self, market: Any, side: int) -> int:
        """Return how much more may be bought or sold there."""
        held = self._held(market)
        room = self._limits[market.asset] - side * (held - self._start[market.node])
        if not market.perpetual and side == SELL:
            room = min(room, held)
        if not market.perpetual and side == BUY:
            cash, price = market.clearing.balance(self.node, market.numeraire), market.best(SELL) or 1
            room = min(room, max(cash, 0) * market.scale // (2 * price))
        return max(room, 0)

    def _refill(self, asset: int, group: list[Any], cause: int) -> None:
        """Ask for coins to be moved from the venue that has most to one that runs out."""
        spots = [m for m in group if not m.perpetual and hasattr(m.clearing, "withdraw")]
        if len({market.clearing.node for market in spots}) < 2:
            return
        rich, poor = max(spots, key=self._held), min(spots, key=self._held)
        key = (asset, poor.clearing.node)
        if key in self._under_way or self._held(poor) * PPM > self._start[poor.node] * to_ppm(self.params.refill_at):
            return
        amount = (self._held(rich) - self._held(poor)) // 2
        if amount <= 0:
            return
        try:
            rich.clearing.withdraw(self.node, asset, amount, cause=cause)
        except Refused:
            self.sim.record("refused-transfer", self.node, cause=cause, asset=asset, market=rich.clearing.node)
            return
        self._under_way.add(key)

    def _arrived(self, cause: int) -> None:
        """Deposit what has arrived where it was wanted; while that exchange is halted, at the next news."""
        self._turned_away = False
        for asset, node in sorted(self._under_way):
            amount = self.sim.ledger.balances[self.node][asset]
            exchange: Any = self.sim.mechanisms[node]
            if amount <= 0:
                continue
            try:
                exchange.deposit(self.node, asset, amount, cause=cause)
            except Refused:
                self._turned_away = True
            else:
                self._under_way.discard((asset, node))


MECHANISM: type[Mechanism] = Arbitrageur
