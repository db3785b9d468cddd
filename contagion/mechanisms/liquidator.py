"""A liquidator: finite capital, a reaction time, gas, and routes to the markets where it sells what it seizes.

It hears of positions open to liquidation over `liquidations` edges and of prices over `prices` edges. For each
it looks for the repayment that pays most: proceeds of the seized collateral at the depth that is there, minus
the repayment and gas. The profit is concave in the size, so a ternary search finds it. Below `minimum_profit`
it does nothing, logs `unprofitable` once and looks again when something changes. What it seizes it sells at
once over the best route of at most two markets, or redeems with an issuer that lets it (`redeems` edge).
"""

from collections.abc import Iterable
from decimal import Decimal
from itertools import permutations
from typing import ClassVar, NamedTuple

from contagion.finance.lending import liquidation
from contagion.ledger import Refused
from contagion.log import Channel
from contagion.params import Amount, Duration
from contagion.params import Params as Parameters
from contagion.ports import (
    CALLERS, ISSUERS, VENUES, Call, Issuer, Lender, Mechanism, Offer, Position, Process, Seizure, Tick, Venue,
)  # fmt: skip
from contagion.simulation import Simulation
from contagion.units import PRICE_DECIMALS, to_units

_SEARCH_STEPS = 40


class Step(NamedTuple):
    """One sale on a route."""

    venue: Venue
    sold: int
    bought: int


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
        self._last_tick = 0

    def open(self) -> None:
        """Listen to lenders and markets and learn the routes."""
        sim = self.sim
        self._inbox = sim.inbox()
        for link in sim.links(self.node, CALLERS):
            self._lenders[link.peer.node] = link.peer
            link.peer.calls.reach(self._inbox, link.latency_us)
        sim.subscribe(self.node, inbox=self._inbox)
        self._venues: list[Venue] = sim.peers(self.node, VENUES)
        self._issuers: list[Issuer] = sim.peers(self.node, ISSUERS)

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
                    self._last_tick = cause
                else:
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
            try:
                done = self._liquidate(lender, position, offer, call)
            except Refused:
                done = False
            if not done:
                if key not in self._grumbled:
                    self._grumbled.add(key)
                    self.sim.record(
                        "unprofitable", self.node, cause=call, asset=offer.collateral, quantity=offer.largest
                    )
                return
        self._known.pop(key, None)
        self._grumbled.discard(key)

    def _liquidate(self, lender: Lender, position: Position, offer: Offer, call: int) -> bool:
        """Return whether a liquidation went through."""
        budget = min(offer.largest, self.sim.ledger.balances[self.node][offer.debt])
        size = budget if self.params.unconditional else self._best_size(offer, budget)
        if size <= 0:
            return False
        seizure = lender.liquidate(position, offer, size, self.node, cause=call)
        if self._last_tick > call:
            self.sim.contribute(seizure.event, self._last_tick)
        self._pay_gas(offer.debt, seizure.event)
        self._sell(offer, seizure)
        return True

    def _best_size(self, offer: Offer, budget: int) -> int:
        """Return the repayment with the largest profit, 0 when none reaches the minimum."""
        low, high = 0, budget
        if self._profit(offer, budget) >= self._profit(offer, budget - budget // 50):
            low = budget
        for _ in range(_SEARCH_STEPS):
            if high - low < 3:
                break
            third = (high - low) // 3
            left, right = low + third, high - third
            low, high = (
                (low, right) if self._profit(offer, left) >= self._profit(offer, right) else (left, high)
            )
        best = max(range(low, high + 1), key=lambda size: self._profit(offer, size))
        best = self._clear_of_dust(offer, best, budget)
        minimum = self._in_debt_asset(offer, self.params.minimum_profit)
        return best if best and self._profit(offer, best) >= minimum else 0

    def _clear_of_dust(self, offer: Offer, size: int, budget: int) -> int:
        """Return a size that leaves no rest below the protocol's minimum: less, or all of it."""
        rest = (offer.largest - size) * offer.debt_unit
        if not 0 < rest < offer.smallest_rest:
            return size
        return offer.largest if budget >= offer.largest else size - offer.smallest_rest // offer.debt_unit

    def _profit(self, offer: Offer, repay: int) -> int:
        """Return proceeds minus repayment minus gas, in base units of the debt asset."""
        deal = liquidation(
            repay, offer.deposited, offer.debt_unit, offer.collateral_unit, offer.bonus_ppm, offer.fee_ppm
        )
        proceeds, _ = self._best_route(offer.collateral, deal.seized - deal.protocol_fee, offer.debt)
        return proceeds - deal.repay - self._in_debt_asset(offer, self.params.gas)

    def _in_debt_asset(self, offer: Offer, value: Decimal) -> int:
        return to_units(value, PRICE_DECIMALS + 12) // offer.debt_unit

    def _best_route(self, sold: int, quantity: int, bought: int) -> tuple[int, list[Step]]:
        """Return the best proceeds and their route; an empty route with proceeds is a redemption."""
        best: tuple[int, list[Step]] = (0, [])
        if quantity <= 0:
            return best
        for issuer in self._issuers:
            if (issuer.asset, issuer.payout) == (sold, bought):
                best = max(best, (issuer.redeemable(quantity), []), key=lambda item: item[0])
        for route in self._routes(sold, bought):
            amount = quantity
            for venue, left, right in route:
                amount = venue.quote(left, amount, right)
            best = max(best, (amount, route), key=lambda item: item[0])
        return best

    def _routes(self, sold: int, bought: int) -> list[list[Step]]:
        direct = [[Step(v, sold, bought)] for v in self._venues if {sold, bought} <= set(v.assets())]
        return direct + [
            [Step(first, sold, middle), Step(second, middle, bought)]
            for first, second in permutations(self._venues, 2)
            for middle in sorted(set(first.assets()) & set(second.assets()) - {sold, bought})
            if sold in first.assets() and bought in second.assets()
        ]

    def _sell(self, offer: Offer, seizure: Seizure) -> None:
        proceeds, route = self._best_route(offer.collateral, seizure.received, offer.debt)
        if not proceeds:
            return
        if not route:
            issuer = next(i for i in self._issuers if (i.asset, i.payout) == (offer.collateral, offer.debt))
            issuer.redeem(self.node, seizure.received, cause=seizure.event)
        amount, cause = seizure.received, seizure.event
        for venue, sold, bought in route:
            cause, amount = venue.trade(
                self.node, sold, amount, bought, cause=cause, channel=Channel.LENDING_LIQUIDATION
            )

    def _pay_gas(self, asset: int, cause: int) -> None:
        gas = self.sim.units(asset, self.params.gas)
        gas = min(gas, self.sim.ledger.balances[self.node][asset])
        if gas:
            self.sim.transact(
                "gas", self.node, (self.node, asset, -gas), (self.sim.world, asset, gas), cause=cause,
                channel=Channel.FEE, asset=asset, quantity=gas,
            )  # fmt: skip


MECHANISM: type[Mechanism] = Liquidator
