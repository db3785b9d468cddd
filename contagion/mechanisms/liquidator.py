"""A liquidator: finite capital, a reaction time, gas, and routes to the markets where it sells what it seizes.

It hears of positions open to liquidation over `liquidations` edges and of prices over `prices` edges. For each
it looks for the repayment that pays most: proceeds of the seized collateral at the depth that is there, minus
the repayment and gas. Below `minimum_profit` it does nothing, logs `unprofitable` once and looks again when
something changes, unless even the whole bonus would not pay for the gas. What it seizes it sells at
once over the route of at most two markets that pays best, or redeems with an issuer that lets it (`redeems`
edge). Gas is kept back from its capital, and so is what an order under way will sell. A size whose rest the
protocol would refuse as dust gives way to the nearest ones that leave enough or nothing.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from functools import partial
from operator import itemgetter
from typing import ClassVar

from contagion.finance.lending import Liquidation, liquidation
from contagion.finance.search import best_size
from contagion.ledger import Refused
from contagion.log import Channel
from contagion.params import Amount, Duration
from contagion.params import Params as Parameters
from contagion.ports import (
    CALLERS,
    ISSUERS,
    VENUES,
    Call,
    Issuer,
    Lender,
    Mechanism,
    Offer,
    Position,
    Process,
    Seizure,
    Tick,
    Venue,
)
from contagion.routes import Route, best_route, find_routes, quote_route, trade_route
from contagion.simulation import Simulation
from contagion.units import PPM, VALUE_DECIMALS, to_units

Way = Issuer | Route
"""How seized collateral becomes money: redeemed, or sold over one market or two."""


class Liquidator:
    """Repays, seizes, sells: if it pays."""

    class Params(Parameters):
        """`gas` and `minimum_profit` in the currency; `unconditional` liquidators act at a loss, too."""

        latency: Duration = 0
        gas: Amount = Decimal(0)
        minimum_profit: Amount = Decimal(0)
        unconditional: bool = False

    opens = 6
    reacts: ClassVar[bool] = True

    def __init__(self, sim: Simulation, node: int, params: "Liquidator.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        self._known: dict[tuple[int, Position], int] = {}
        self._grumbled: set[tuple[int, Position]] = set()
        self._lenders: dict[int, Lender] = {}
        self._known_routes: dict[tuple[int, int], list[Route]] = {}
        self._refused_terms: dict[tuple[int, Position], tuple[object, ...]] = {}
        self._under_way: defaultdict[int, int] = defaultdict(int)
        self._ticks: dict[int, int] = {}

    def open(self) -> None:
        """Listen to lenders and markets and learn the routes."""
        sim = self.sim
        self._inbox = sim.inbox()
        for link in sim.links(self.node, CALLERS):
            self._lenders[link.peer.node] = link.peer
            link.peer.calls.reach(self._inbox, link.latency_us)
        sim.subscribe(self.node, inbox=self._inbox)
        self._venues: list[Venue] = sim.peers(self.node, VENUES)
        self._latencies = {link.peer.node: link.latency_us for link in sim.links(self.node, VENUES)}
        self._issuers: list[Issuer] = sim.peers(self.node, ISSUERS)
        for issuer in self._issuers:
            issuer.settled.reach(self._inbox)

    def processes(self) -> Iterable[Process]:
        """Return the watch over calls and prices."""
        yield self._watch()

    def _watch(self) -> Process:
        while True:
            yield self._inbox.wait()
            if self.params.latency:
                yield self.sim.pause(self.params.latency)
            for cause, content in self._inbox.take():
                if isinstance(content, Tick):
                    self._ticks[content.market] = cause
                elif content is not None:
                    self._learn(content)
            for (lender, position), call in list(self._known.items()):
                self._attempt(self._lenders[lender], position, call)

    def _learn(self, content: tuple[int, list[Call]]) -> None:
        lender, calls = content
        for position, event in calls:
            self._known[lender, position] = event

    def _attempt(self, lender: Lender, position: Position, call: int) -> None:
        """Liquidate a position until it is healthy, gone or not worth it."""
        key = (lender.node, position)
        while offer := lender.offer(position):
            if self._refused_terms.get(key) == (terms := self._terms(offer)):
                return
            try:
                done = self._liquidate(lender, position, offer, call)
            except Refused:
                done = False
            if not done:
                self._refused_terms[key] = terms
                if key not in self._grumbled:
                    self._grumbled.add(key)
                    self.sim.record(
                        "unprofitable", self.node, cause=call, asset=offer.collateral, quantity=offer.largest
                    )
                if self._hopeless(offer):
                    break
                return
        self._known.pop(key, None)
        self._refused_terms.pop(key, None)
        self._grumbled.discard(key)

    def _terms(self, offer: Offer) -> tuple[object, ...]:
        """Return all that a plan depends on: while it is the same, so is the plan."""
        marks = tuple(feed.mark.event for venue in self._venues_for(offer) for feed in venue.feeds.values())
        rooms = tuple(issuer.room() for issuer in self._issuers if issuer.asset == offer.collateral)
        return offer, self.sim.ledger.balances[self.node][offer.debt], self._under_way[offer.collateral], marks, rooms

    def _venues_for(self, offer: Offer) -> list[Venue]:
        return [step.venue for route in self._routes(offer.collateral, offer.debt) for step in route]

    def _hopeless(self, offer: Offer) -> bool:
        """Return whether even the bonus on the whole debt would not pay, whatever markets do."""
        costs = self._in_debt_asset(offer, self.params.gas + self.params.minimum_profit)
        redeems = any(issuer.asset == offer.collateral for issuer in self._issuers)
        return not redeems and not self.params.unconditional and offer.owed * offer.bonus_ppm // PPM < costs

    def _liquidate(self, lender: Lender, position: Position, offer: Offer, call: int) -> bool:
        """Return whether a liquidation went through."""
        held = self.sim.ledger.balances[self.node][offer.debt] - self._under_way[offer.debt]
        capital = held - self._in_debt_asset(offer, self.params.gas)
        if capital <= 0:
            return False
        size, way = self._plan(offer, self._deal(offer, min(offer.largest, capital)).repay)
        if size <= 0:
            return False
        seizure = lender.liquidate(position, offer, size, self.node, cause=call)
        if (lender.node, position) in self._grumbled and isinstance(way, tuple):
            heard = [self._ticks.get(f.market, 0) for step in way for f in step.venue.feeds.values()]
            if (latest := max(heard, default=0)) > call:
                self.sim.contribute(seizure.event, latest)
        self._pay_gas(offer, seizure.event)
        if not isinstance(way, tuple):
            way.redeem(self.node, seizure.received, cause=seizure.event)
        elif latency_us := max((self._latencies[step.venue.node] for step in way), default=0):
            self._under_way[offer.collateral] += seizure.received
            self.sim.start(self._sell_later(offer, seizure, latency_us))
        elif way:
            self._sell(way, seizure)
        return True

    def _sell(self, route: Route, seizure: Seizure) -> None:
        trade_route(route, self.node, seizure.received, cause=seizure.event, channel=Channel.LENDING_LIQUIDATION)

    def _sell_later(self, offer: Offer, seizure: Seizure, latency_us: int) -> Process:
        """Sell what was seized when the order has reached the markets, over what is then the best route."""
        yield self.sim.env.timeout(latency_us)
        self._under_way[offer.collateral] -= seizure.received
        _, route = best_route(self._routes(offer.collateral, offer.debt), seizure.received)
        if route:
            self._sell(route, seizure)

    def _plan(self, offer: Offer, budget: int) -> tuple[int, Way]:
        """Return the repayment that pays most and where to sell for it; a repayment of 0 when nothing pays.

        budget : at most what takes all collateral, beyond which nothing more is repaid or seized.
        """
        if self.params.unconditional:
            size = max(self._clear_of_dust(offer, budget, budget), default=0)
            return size, best_route(self._routes(offer.collateral, offer.debt), self._received(offer, size))[1]
        least = self._in_debt_asset(offer, self.params.minimum_profit)
        plans: list[tuple[int, int, Way]] = []
        if budget * offer.bonus_ppm // PPM >= least + self._in_debt_asset(offer, self.params.gas):
            for route in self._routes(offer.collateral, offer.debt):
                best = best_size(partial(self._profit, offer, route), budget)
                plans += self._plans(offer, route, best, budget)
        for issuer in self._issuers:
            if (issuer.asset, issuer.payout) == (offer.collateral, offer.debt):
                limit = min(budget, self._redeemable(offer, issuer.room()))
                plans += self._plans(offer, issuer, limit, limit)
        profit, size, way = max(plans, key=itemgetter(0), default=(0, 0, ()))
        return (size, way) if profit >= max(least, 1) else (0, ())

    def _redeemable(self, offer: Offer, room: int) -> int:
        """Return the largest repayment for which the collateral received fits into an issuer's room."""
        share = PPM * PPM + offer.bonus_ppm * (PPM - offer.fee_ppm)
        return room * offer.collateral_unit * PPM * PPM // (offer.debt_unit * share)

    def _plans(self, offer: Offer, way: Way, size: int, budget: int) -> list[tuple[int, int, Way]]:
        return [(self._profit(offer, way, s), s, way) for s in self._clear_of_dust(offer, size, budget)]

    def _clear_of_dust(self, offer: Offer, size: int, budget: int) -> list[int]:
        """Return the sizes nearest to one that leave the protocol's minimum or nothing: itself, less, all.

        Less than a hundredth of the wanted size is no liquidation but a crumb, and left out.
        """
        if not 0 < self._rest(offer, size) < offer.smallest_rest:
            return [size] * (size > 0)
        debt = offer.owed + -offer.smallest_rest // offer.debt_unit
        collateral = offer.deposited + -offer.smallest_rest // offer.collateral_unit
        seizable = collateral * offer.collateral_unit * PPM // (offer.debt_unit * (PPM + offer.bonus_ppm))
        less, everything = min(debt, seizable), [budget] * (self._rest(offer, budget) == 0)
        return [less] * (size < 100 * less < 100 * size) + everything

    def _rest(self, offer: Offer, repay: int) -> int:
        """Return the value of the lesser side that a repayment leaves."""
        deal = self._deal(offer, repay)
        return min((offer.owed - deal.repay) * offer.debt_unit, (offer.deposited - deal.seized) * offer.collateral_unit)

    def _deal(self, offer: Offer, repay: int) -> Liquidation:
        return liquidation(
            repay, offer.deposited, offer.debt_unit, offer.collateral_unit, offer.bonus_ppm, offer.fee_ppm
        )

    def _received(self, offer: Offer, repay: int) -> int:
        deal = self._deal(offer, repay)
        return deal.seized - deal.protocol_fee

    def _profit(self, offer: Offer, way: Way, repay: int) -> int:
        """Return proceeds minus repayment minus gas, in base units of the debt asset; what is under way sells first."""
        received, ahead = self._received(offer, repay), self._under_way[offer.collateral]
        if not isinstance(way, tuple):
            proceeds = way.payment(received)
        elif ahead:
            proceeds = quote_route(way, ahead + received) - quote_route(way, ahead)
        else:
            proceeds = quote_route(way, received)
        return proceeds - repay - self._in_debt_asset(offer, self.params.gas)

    def _in_debt_asset(self, offer: Offer, value: Decimal) -> int:
        return to_units(value, VALUE_DECIMALS) // offer.debt_unit

    def _routes(self, sold: int, bought: int) -> list[Route]:
        if (sold, bought) not in self._known_routes:
            self._known_routes[sold, bought] = find_routes(self._venues, sold, bought)
        return self._known_routes[sold, bought]

    def _pay_gas(self, offer: Offer, cause: int) -> None:
        asset, gas = offer.debt, self._in_debt_asset(offer, self.params.gas)
        if gas:
            self.sim.transact(
                "gas", self.node, (self.node, asset, -gas), (self.sim.world, asset, gas), cause=cause,
                channel=Channel.FEE, asset=asset, quantity=gas,
                value=gas * offer.debt_unit * 10**self.sim.currency_decimals // 10**VALUE_DECIMALS,
            )  # fmt: skip


MECHANISM: type[Mechanism] = Liquidator
