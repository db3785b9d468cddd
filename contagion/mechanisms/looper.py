"""A recursive loan: deposit, borrow, buy more of the collateral, deposit again.

Opening runs the loop through the lender, borrow by borrow, at the lender's own prices; the position exists
before the run starts, so the purchases are made from the outside and move no market. n re-deposits at a
loan-to-value λ make the collateral e(1-λ^(n+1))/(1-λ); a target leverage stops the loop where it is reached.

Unwinding. When its health, at the answers that it has read itself, falls below `unwind_below` (and is still
above 1), it repays in one transaction with a flash loan: sell collateral at a market, repay with what that
brings, so that the health becomes `unwind_to`. It need not wait for the lender to read those answers. It does
nothing when the sale would leave it less healthy than before, or the lender would not let the collateral go.

Carry. What the loop earns a year on its equity is logged at the opening: leverage times the yield of the collateral
less the rate on the debt. Where `yield_rate` is not stated and an issuer's `prices` edge leads to the loop, the yield
is what that issuer pays to those who stake, and the carry is logged anew whenever it has paid.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import inf
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from contagion.errors import Misfit
from contagion.finance.branching import Exposure
from contagion.finance.lending import health_factor, repay_to_health
from contagion.finance.leverage import carry
from contagion.finance.search import best_size
from contagion.ledger import Refused
from contagion.log import CLOCK, Channel
from contagion.params import AssetName, Duration, Positive, Rate, Share
from contagion.params import Params as Parameters
from contagion.ports import FEEDS, LENDERS, VENUES, Link, Mechanism, Message, Position, Process
from contagion.routes import Route, best_route, find_routes, trade_route
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_SCALE, to_ppm

_ROUNDS_LIMIT = 500
_HAIR = 1e-6


class Looper:
    """Equity, loop, and a rule for the way out."""

    class Params(Parameters):
        """`equity` in tokens of the collateral; `rounds` re-deposits at `ltv`, or `target_leverage`.

        yield_rate : what the collateral yields a year; where it is not stated, its issuer's base yield, else nothing.
        """

        collateral: AssetName
        debt: AssetName
        equity: Positive
        ltv: Share
        rounds: int | None = Field(default=None, ge=0, le=_ROUNDS_LIMIT)
        target_leverage: Positive | None = None
        yield_rate: Rate | None = None
        unwind_below: Positive | None = None
        unwind_to: Positive = Decimal("1.02")
        latency: Duration = 0

        @model_validator(mode="after")
        def _one_goal(self) -> Self:
            if (self.rounds is None) == (self.target_leverage is None):
                raise ValueError("state either 'rounds' or 'target_leverage'")
            if self.target_leverage is not None and self.target_leverage * (1 - self.ltv) >= 1:
                raise ValueError(
                    f"a leverage of {self.target_leverage} needs an ltv above {1 - 1 / self.target_leverage:.4f}"
                )
            if self.unwind_below is not None and self.unwind_below >= self.unwind_to:
                raise ValueError("'unwind_to' must lie above 'unwind_below'")
            return self

    reacts: ClassVar[bool] = True

    def __init__(self, sim: Simulation, node: int, params: "Looper.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        nodes, feeds = sim.network.nodes, sim.network.edges_in(node, "prices")
        issued = any(nodes[edge.source].kind == "stablecoin_issuer" for edge in feeds)
        self._reads_yield = issued and params.yield_rate is None
        self.opens = 6 if self._reads_yield else 5  # after its issuer's hedge is open
        self.collateral, self.debt = sim.assets[params.collateral], sim.assets[params.debt]
        self.position = Position(node, -1)
        self._read: dict[int, int] = {}

    def open(self) -> None:
        """Run the loop and log what it is expected to earn."""
        sim, name = self.sim, self.sim.network.names[self.node]
        lenders = sim.peers(self.node, LENDERS)
        if not lenders:
            self._lender = None
            return
        self._lender = lenders[0]
        equity = sim.units(self.collateral, self.params.equity)
        self._from_outside(self.collateral, equity)
        try:
            self._loop(equity)
        except Refused as refusal:
            raise Misfit(("nodes", name), f"cannot loop: {refusal}") from None
        self._log_carry(CLOCK)

    def processes(self) -> Iterable[Process]:
        """Return the watch over the position's health, where there is a rule for it, and over its issuer's yield."""
        if self.params.unwind_below is not None and self._lender is not None:
            yield self._watch()
        if self._reads_yield and self._lender is not None:
            yield self._follow_yield()

    def leverage(self) -> float:
        """Return collateral over equity at the lender's prices; infinite when the equity is gone."""
        assert self._lender is not None
        collateral = self._value(self._lender.collateral_of(self.position, self.collateral), self.collateral, {})
        debt = self._value(self._lender.debt_of(self.position, self.debt), self.debt, {})
        return collateral / (collateral - debt) if collateral > debt else float("inf")

    def _loop(self, equity: int) -> None:
        """Deposit, and re-deposit what the last deposit lets it borrow, until the goal."""
        lender, params = self._lender, self.params
        assert lender is not None
        lender.supply(self.position, self.collateral, equity, cause=CLOCK)
        goal = int(equity * params.target_leverage) if params.target_leverage else 1 << 62
        rounds = _ROUNDS_LIMIT if params.rounds is None else params.rounds
        deposited, last = equity, equity
        for _ in range(rounds):
            step = min(last * to_ppm(params.ltv) // PPM, goal - deposited)
            loan = self._convert(step, self.collateral, self.debt)
            if loan <= 0:
                break
            lender.borrow(self.position, self.debt, loan, cause=CLOCK)
            last = self._convert(loan, self.debt, self.collateral)
            self._from_outside(self.collateral, last, self.debt, loan)
            lender.supply(self.position, self.collateral, last, cause=CLOCK)
            deposited += last

    def _from_outside(self, asset: int, amount: int, paid: int | None = None, price: int = 0) -> None:
        legs = [(self.sim.issuer(asset), asset, -amount), (self.node, asset, amount)]
        if paid is not None:
            legs += [(self.node, paid, -price), (self.sim.world, paid, price)]
        self.sim.transact("opening", self.node, *legs, cause=CLOCK, asset=asset, quantity=amount)

    def _convert(self, amount: int, sold: int, bought: int) -> int:
        """Return what an amount is worth in another asset, at the prices known here, rounded down."""
        decimals, known = self.sim.ledger.assets, self._read
        numerator = amount * self._price(sold, known) * 10 ** decimals[bought].decimals
        return int(numerator // (self._price(bought, known) * 10 ** decimals[sold].decimals))

    def _value(self, amount: int, asset: int, read: Mapping[int, int]) -> float:
        return float(amount * self._price(asset, read) / 10 ** self.sim.ledger.assets[asset].decimals)

    def _price(self, asset: int, read: Mapping[int, int]) -> int:
        """Return the price among those read or, where it is not, the lender's."""
        assert self._lender is not None
        return read[asset] if asset in read else self._lender.price(asset)

    def _log_carry(self, cause: int) -> None:
        """Log the annual return on equity that the loop earns at today's rates, in ppm (as `quantity`).

        And what its collateral yields a year to who does not loop it (as `price`).
        """
        lender = self._lender
        assert lender is not None
        if (leverage := self.leverage()) < float("inf"):
            base = self._yield()
            self.sim.record(
                "carry", self.node, cause=cause, asset=self.collateral, price=round(base * PRICE_SCALE),
                quantity=round(carry(leverage, base, lender.borrow_rate(self.debt)) * PPM),
            )  # fmt: skip

    def _issuers(self) -> list[Link[Any]]:
        return [link for link in self.sim.links(self.node, FEEDS) if hasattr(link.peer, "base_yield")]

    def _yield(self) -> float:
        """Return the annual yield of the collateral: as stated, else what its issuer would pay now."""
        if self._reads_yield:
            return float(self._issuers()[0].peer.base_yield())
        return float(self.params.yield_rate or 0)

    def _follow_yield(self) -> Process:
        inbox = self.sim.inbox()
        for link in self._issuers():
            link.peer.paid.reach(inbox, link.latency_us)
        while True:
            cause = yield inbox.wait()
            inbox.take()
            self._log_carry(cause)

    def _watch(self) -> Process:
        sim, inbox = self.sim, self.sim.inbox()
        feeds = sim.subscribe(self.node, inbox=inbox)
        self._opened = {feed.asset: feed.mark for feed in feeds}
        self._marks = dict(self._opened)
        assert self._lender is not None and self.params.unwind_below is not None
        floor = float(self.params.unwind_below)
        orders = (link.latency_us for link in sim.links(self.node, VENUES))
        delay = self.params.latency + max(orders, default=0)
        while True:
            yield inbox.wait()
            if delay:
                yield sim.pause(delay)
            low: Message | None = None  # the first answer since which health has been below the floor
            health = inf
            for message in inbox.take():
                self._read[message.content.asset] = message.content.mark.price
                self._marks[message.content.asset] = message.content.mark
                health = self._health()
                low = None if health >= floor else low or message
            if low is not None and health >= 1.0:
                self._unwind(low.cause)

    def _health(self, sold: int = 0, repaid: int = 0, at_lender: bool = False) -> float:
        """Return the health after a sale and a repayment, at the answers read here or at the lender's prices."""
        lender, read = self._lender, {} if at_lender else self._read
        assert lender is not None
        deposited = lender.collateral_of(self.position, self.collateral) - sold
        owed = lender.debt_of(self.position, self.debt) - repaid
        weighted = self._value(deposited, self.collateral, read) * lender.threshold_ppm(self.collateral) / PPM
        return health_factor(weighted, self._value(owed, self.debt, read))

    def _unwind(self, cause: int) -> None:
        """Sell collateral and repay, by flash loan: up to the target health, or as far as a sale still heals."""
        sim, lender, read = self.sim, self._lender, self._read
        assert lender is not None
        deposited = lender.collateral_of(self.position, self.collateral)
        owed = lender.debt_of(self.position, self.debt)
        threshold = lender.threshold_ppm(self.collateral) / PPM
        worth = self._value(deposited, self.collateral, read), self._value(owed, self.debt, read)
        part = repay_to_health(*worth, threshold, 0.0, float(self.params.unwind_to)) / worth[1]
        sold = min(self._convert(int(owed * min(part, 1.0)), self.debt, self.collateral), deposited)
        routes = find_routes(sim.peers(self.node, VENUES), self.collateral, self.debt)
        sold = best_size(lambda size: self._healing(routes, size), sold)
        proceeds, route = best_route(routes, sold)
        proceeds = min(proceeds, owed)
        released = min(self._health(sold, proceeds), self._health(sold, proceeds, at_lender=True)) > 1 + _HAIR
        healed = proceeds and self._health(sold, proceeds) > self._health()
        if not (healed and released and lender.available(self.collateral) >= sold):
            sim.record("unwind-refused", self.node, cause=cause, asset=self.collateral, quantity=sold)
            return
        event = sim.record(
            "forced-unwind", self.node, cause=cause, asset=self.collateral, market=route[0].venue.node, quantity=sold,
            channel=Channel.LOOP_UNWINDING, value=proceeds, exposures=self._exposures(deposited, owed),
        )  # fmt: skip
        self._flash(event, proceeds)
        event = lender.repay(self.position, self.debt, proceeds, cause=event)
        event = lender.withdraw(self.position, self.collateral, sold, cause=event)
        event, _ = trade_route(route, self.node, sold, cause=event, channel=Channel.LOOP_UNWINDING)
        self._flash(event, -proceeds)

    def _healing(self, routes: list[Route], sold: int) -> int:
        """Return the health after selling so much, times 10^12."""
        proceeds, _ = best_route(routes, sold)
        owed = self._lender.debt_of(self.position, self.debt) if self._lender else 0
        return int(min(self._health(sold, min(proceeds, owed)), 1e6) * 1e12)

    def _exposures(self, deposited: int, owed: int) -> list[Exposure]:
        """Return collateral and debt with the marks at the opening and those read last."""
        exposures = []
        for asset, amount in ((self.collateral, deposited), (self.debt, -owed)):
            if asset in self._marks:
                quantity = amount / 10 ** self.sim.ledger.assets[asset].decimals
                exposures.append(Exposure(quantity, self._opened[asset], self._marks[asset]))
        return exposures

    def _flash(self, cause: int, amount: int) -> None:
        legs = ((self.sim.world, self.debt, -amount), (self.node, self.debt, amount))
        self.sim.transact("flash-loan", self.node, *legs, cause=cause, asset=self.debt, quantity=amount)


MECHANISM: type[Mechanism] = Looper
