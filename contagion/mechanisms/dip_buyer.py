"""A dip buyer: finite capital that comes late, buys what is cheap and bids where nobody sells.

It compares the last price on a book with what the coin is worth to it (the fundamental it hears, else the opening
price) and with a price that lags by `lag`: a fall is bought once it has lasted. Its demand grows by `rate` of its
capital a second for a gap of one; what can be bought at its limit it buys at once, the rest of the demand stands as
a bid at that limit, which rises towards the worth by `approach` of the gap a second. So a book whose offers are
gone gets a price again: somebody bids, and bids more, until somebody sells. When the gap has closed, what is left of
the demand stays as a bid at its edge (`above` below the worth); what was bought is kept. Its account never owes: an
order is at most what its cash pays, fees included, when all its other bids have been taken.

One look, every `interval` while a gap is open, book by book in the order of their names: hear prices; count what
has been sold to the resting bid; buy what is offered up to the limit; rest the remainder.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import Field

from contagion.errors import Misfit
from contagion.finance.quoting import approached
from contagion.ledger import Refused
from contagion.log import Channel
from contagion.params import Duration, NodeName, Positive, Share
from contagion.params import Params as Parameters
from contagion.ports import FEEDS, Mechanism, Process, Tick
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_SCALE
from contagion.venues import BUY, EXCHANGES, QUOTED, SELL, open_accounts


class BuyTerms(Parameters):
    """Demand on one book: `capital` in tokens of its numeraire, gaps as shares of the worth, rates a second."""

    capital: Positive
    above: Share = Decimal("0.05")
    rate: Positive = Decimal("0.003")
    lag: Duration = 360_000_000
    approach: Share = Decimal("0.0026")


@dataclass
class Demand:
    """One book as the buyer sees it: prices in 10^-9 of the numeraire, money in its base units."""

    market: Any
    terms: BuyTerms
    capital: int
    worth: float
    price: float
    lagged: float
    cause: int = 0
    limit: float = 0.0
    wanted: float = 0.0
    rests: int = 0
    at: int = 0
    seen_us: int = 0

    def gap(self) -> float:
        """Return by how much the coin is cheap, and has been for a while."""
        return min(1.0 - self.price / self.worth, 1.0 - self.lagged / self.worth)


class DipBuyer:
    """Finite, late, patient."""

    class Params(Parameters):
        """`buys` by book; the sum of all capital is what its account has to hold."""

        buys: dict[NodeName, BuyTerms] = Field(min_length=1)
        interval: Duration = Field(default=5_000_000, gt=0)

    opens = 5
    reacts: ClassVar[bool] = True

    def __init__(self, sim: Simulation, node: int, params: "DipBuyer.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        self._inbox = sim.inbox()
        self._demands: list[Demand] = []

    def open(self) -> None:
        """Open the account and learn the books."""
        sim = self.sim
        exchange = open_accounts(sim, self.node)
        if exchange is None:
            raise Misfit(self._path, "a dip buyer pays from an account: add a 'margin' edge from an exchange")
        books = {sim.network.names[link.peer.node]: link.peer for link in sim.links(self.node, QUOTED)}
        for name, terms in sorted(self.params.buys.items()):
            if name not in books or books[name].clearing.node != exchange.node or books[name].perpetual:
                what = f"add a 'quotes' edge to {name!r}, a spot book of the exchange where it has its account"
                raise Misfit((*self._path, "buys", name), what)
            self._demands.append(self._demand(books[name], terms))
        self._with_fee = 1.0 + max(0, *(max(demand.market.fees.values()) for demand in self._demands)) / PPM
        self._listen()
        money = sum(demand.capital for demand in self._demands)
        if money > exchange.balance(self.node, exchange.settlement):
            raise Misfit((*self._path, "buys"), "states more capital than its account has: it buys without credit")

    def processes(self) -> Iterable[Process]:
        """Return the watch over the books."""
        yield self._watch()

    @property
    def _path(self) -> tuple[str, ...]:
        return ("nodes", self.sim.network.names[self.node])

    def _demand(self, market: Any, terms: BuyTerms) -> Demand:
        price = float(market.last())
        return Demand(market, terms, self.sim.units(market.numeraire, terms.capital), price, price, price)

    def _listen(self) -> None:
        """Hear books and fundamentals over `prices` edges, and what becomes of the account."""
        sim = self.sim
        self._own = {demand.market.node: demand for demand in self._demands}
        heard = set()
        for link in sim.links(self.node, FEEDS):
            for _, feed in sorted(link.peer.feeds.items()):
                feed.changed.reach(self._inbox, link.latency_us)
                heard.add(feed.market)
        for demand in self._demands:
            if demand.market.node not in heard:
                name = sim.network.names[demand.market.node]
                raise Misfit((*self._path, "buys", name), f"add a 'prices' edge from {name!r}: it hears no price there")
        for account in sim.links(self.node, EXCHANGES):
            account.peer.calls.reach(self._inbox, account.latency_us)

    # ------------------------------------------------------------------------------------------- looking

    def _watch(self) -> Process:
        sim, interval = self.sim, self.params.interval
        while True:
            yield self._inbox.wait()
            busy = True
            while busy:
                yield sim.env.timeout(interval - sim.env.now % interval)
                self._hear()
                busy = any([self._look(demand) for demand in self._demands])

    def _hear(self) -> None:
        for cause, tick in self._inbox.take():
            if not isinstance(tick, Tick):
                continue
            for demand in self._demands:
                if tick.market == demand.market.node:
                    demand.cause = cause
                    demand.price = tick.mark.price * PRICE_SCALE / demand.market.quote_price
                elif tick.market not in self._own and tick.asset == demand.market.asset:
                    demand.cause = cause
                    demand.worth = tick.mark.price * PRICE_SCALE / demand.market.quote_price

    def _look(self, demand: Demand) -> bool:
        """Buy and bid as the gap asks for; return whether there is reason to look again."""
        now = self.sim.env.now
        elapsed, demand.seen_us = now - demand.seen_us, now
        demand.lagged = round(approached(demand.lagged, demand.price, elapsed, demand.terms.lag))
        self._count_fills(demand)
        gap, seconds = demand.gap(), min(elapsed, self.params.interval) / 1_000_000
        if gap <= float(demand.terms.above):
            self._stand_by(demand)
            return 1.0 - demand.price / demand.worth > float(demand.terms.above)
        demand.limit = demand.limit or demand.price
        demand.limit += (demand.worth - demand.limit) * float(demand.terms.approach) * seconds
        demand.limit = round(min(max(demand.limit, demand.price), demand.worth))
        demand.wanted = min(demand.wanted + demand.capital * float(demand.terms.rate) * gap * seconds, demand.capital)
        self._buy(demand)
        self._rest(demand)
        return True

    def _stand_by(self, demand: Demand) -> None:
        """Let what is left of the demand stand at the edge of the gap."""
        edge = round(demand.worth * (1.0 - float(demand.terms.above)))
        demand.limit = min(demand.limit, edge)
        if demand.wanted and demand.limit:
            self._rest(demand)

    # ------------------------------------------------------------------------------------------- trading

    def _count_fills(self, demand: Demand) -> None:
        """Take what was sold to the resting bid off the demand and the capital."""
        rests = demand.market.resting(self.node)[0]
        self._pay(demand, demand.market.notional(max(demand.rests - rests, 0), demand.at))
        demand.rests = rests

    def _pay(self, demand: Demand, paid: int) -> None:
        demand.capital = max(demand.capital - paid, 0)
        demand.wanted = min(max(demand.wanted - paid, 0.0), demand.capital)

    def _size(self, demand: Demand) -> int:
        """Return the coins that the demand asks for at the limit and its account can pay, in whole lots."""
        money = min(demand.wanted, self._purse(demand))
        return int(demand.market.rounded(int(money * demand.market.scale / demand.limit)))

    def _purse(self, demand: Demand) -> float:
        """Return the cash that is left for one book, without the fee on it, when all bids on others are taken."""
        bids = [other.market.notional(other.rests, other.at) for other in self._demands if other is not demand]
        cash = demand.market.clearing.balance(self.node, demand.market.numeraire)
        left: float = cash / self._with_fee - sum(bids)
        return max(left, 0.0)

    def _buy(self, demand: Demand) -> None:
        """Buy what is offered up to the limit."""
        offer = demand.market.best(SELL)
        limit = demand.market.grid(int(demand.limit), BUY)
        size = self._size(demand)
        if offer is None or offer > limit or not size:
            return
        size = min(size, sum(quantity for _, quantity in demand.market.levels(SELL, limit)))
        try:
            done = demand.market.execute(self.node, BUY, size, limit, cause=demand.cause, channel=Channel.ARBITRAGE)
        except Refused:
            self.sim.record("refused-trade", self.node, cause=demand.cause, asset=demand.market.asset)
            return
        self._pay(demand, done.notional)

    def _rest(self, demand: Demand) -> None:
        """Let the remainder of the demand stand as one bid at the limit, where it is new enough to be worth a quote."""
        market, size = demand.market, self._size(demand)
        at = market.grid(int(demand.limit), BUY)
        offer = market.best(SELL)
        if not size or (offer is not None and offer <= at):
            self._withdraw(demand)
            return
        if (at, size) == (demand.at, demand.rests):
            return
        market.quote_ladders(self.node, {BUY: ([at], [size]), SELL: ([], [])}, cause=demand.cause)
        demand.at, demand.rests = at, market.resting(self.node)[0]

    def _withdraw(self, demand: Demand) -> None:
        """Take the bid away; the demand stays."""
        if demand.rests:
            demand.market.cancel_all(self.node, cause=demand.cause)
        demand.rests = 0


MECHANISM: type[Mechanism] = DipBuyer
