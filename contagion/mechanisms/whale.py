"""A whale: coins pledged at a platform for a loan (layer 1), which pays for a loop at an exchange (layer 2).

Layer 1 is its position at the lender of its `borrows` edge; layer 2 a coin, held with margin in its account at the
exchange of its `margin` edge. It reads the prices of what it has pledged itself (`prices` edges). When the health
of layer 1 falls below `call_below`, it is called, and unwinds layer 2 to answer: it sells `pace` coins a second
at `market`, which pays the exchange's loan back first, then withdraws what is left and repays at the platform,
until its health is `restore_to` or nothing is left. Money that the exchange does not let out (a halt, its margin)
is asked for again at every step. What it cannot answer is the platform's to settle: below a health of 1 the
pledged coins are sold by whoever liquidates there.

One step: hear prices; sell; ask for the cash that is free; wait `interval`. What arrives is repaid at once.
"""

from collections.abc import Iterable
from decimal import Decimal
from math import inf
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from contagion.errors import Misfit
from contagion.finance.branching import Exposure, Mark
from contagion.finance.lending import health_factor
from contagion.finance.leverage import carry
from contagion.ledger import Refused
from contagion.log import CLOCK, Channel
from contagion.params import AssetName, Duration, NodeName, Positive, Rate
from contagion.params import Params as Parameters
from contagion.ports import LENDERS, Mechanism, Message, Position, Process, Tick
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_SCALE
from contagion.venues import BOOKS, EXCHANGES, SELL, open_accounts


class Whale:
    """Two layers of leverage, of which the second answers for the first."""

    class Params(Parameters):
        """`pace` in tokens of `loop` a second; `yield_rate` what the looped coin earns a year, before interest."""

        loop: AssetName
        market: NodeName
        pace: Positive
        call_below: Positive = Decimal("1.1")
        restore_to: Positive = Decimal("1.25")
        interval: Duration = Field(default=5_000_000, gt=0)
        latency: Duration = 0
        yield_rate: Rate = Decimal(0)
        loan_rate: Rate = Decimal(0)

        @model_validator(mode="after")
        def _called_before_liquidated(self) -> Self:
            if not 1 < self.call_below < self.restore_to:
                raise ValueError("'call_below' lies above 1, where the platform liquidates, and below 'restore_to'")
            return self

    opens = 5
    reacts: ClassVar[bool] = True

    def __init__(self, sim: Simulation, node: int, params: "Whale.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        self.position, self.loop = Position(node, -1), sim.assets[params.loop]
        self._inbox = sim.inbox()
        self._marks: dict[int, Mark] = {}
        self._asked = self._refused = False

    def open(self) -> None:
        """Open both layers, which exist at the start, and log what the second is expected to earn."""
        sim = self.sim
        self._pledged: list[int] = []
        self._lender: Any = None
        for link in sim.links(self.node, LENDERS)[:1]:
            self._lender = link.peer
            for side in ("collateral", "debt"):
                for name, quantity in link.attributes[side].items():
                    asset = sim.assets[name]
                    link.peer.open_position(self.position, asset, sim.units(asset, quantity), side)
            self._pledged = [sim.assets[name] for name in link.attributes["collateral"]]
            if len(link.attributes["debt"]) != 1:
                raise Misfit(("edges", link.edge, "debt"), "a whale owes one coin on its pledge")
            self._debt = sim.assets[next(iter(link.attributes["debt"]))]
        self._exchange: Any = open_accounts(sim, self.node)
        self._book = self._market()
        for account in sim.links(self.node, EXCHANGES):
            account.peer.calls.reach(self._inbox, account.latency_us)
        self._opened = {feed.asset: feed.mark for feed in sim.subscribe(self.node, inbox=self._inbox)}
        self._marks = dict(self._opened)
        for asset in self._pledged:
            if asset not in self._marks:
                what = f"hears no price of {sim.ledger.assets[asset].name!r}, which it pledges: add a 'prices' edge"
                raise Misfit(self._path, what)
        self._log_carry()

    def processes(self) -> Iterable[Process]:
        """Return the watch over layer 1."""
        if self._lender is not None and self._exchange is not None:
            yield self._watch()

    @property
    def _path(self) -> tuple[str, ...]:
        return ("nodes", self.sim.network.names[self.node])

    def _market(self) -> Any:
        """Return the book on which layer 2 is sold."""
        sim, wanted = self.sim, self.params.market
        for link in sim.links(self.node, BOOKS):
            if sim.network.names[link.peer.node] == wanted and hasattr(link.peer, "execute"):
                self._order_us = link.latency_us
                if (link.peer.asset, link.peer.perpetual) != (self.loop, False):
                    raise Misfit((*self._path, "market"), f"{wanted!r} does not trade {self.params.loop!r}")
                return link.peer
        raise Misfit((*self._path, "market"), f"add a 'trades' edge to {wanted!r}, an order book")

    def _log_carry(self) -> None:
        """Log the annual return on the equity of layer 2 that its rates promise, in ppm (as `quantity`).

        And what the token yields a year to who does not loop it (as `price`).
        """
        sim = self.sim
        for account in sim.links(self.node, EXCHANGES)[:1]:
            stated = account.attributes["balances"]
            cash = sim.units(account.peer.settlement, stated.get(sim.ledger.assets[account.peer.settlement].name, 0))
            worth = sim.units(self.loop, stated.get(self.params.loop, 0)) * account.peer.unit(self.loop)
            if worth > -cash > 0:
                base, leverage = float(self.params.yield_rate), worth / (worth + cash)
                sim.record(
                    "carry", self.node, cause=CLOCK, asset=self.loop, price=round(base * PRICE_SCALE),
                    quantity=round(carry(leverage, base, float(self.params.loan_rate)) * PPM),
                )  # fmt: skip

    # ---------------------------------------------------------------------------------------------- layer 1

    def health(self) -> float:
        """Return the health of the pledge at the prices read here."""
        lender = self._lender
        weighted = sum(
            self._worth(asset, lender.collateral_of(self.position, asset)) * lender.threshold_ppm(asset) / PPM
            for asset in self._pledged
        )
        return health_factor(weighted, self._worth(self._debt, lender.debt_of(self.position, self._debt)))

    def _worth(self, asset: int, amount: int) -> float:
        price = self._marks[asset].price if asset in self._marks else self._lender.price(asset)
        return float(amount * price / 10 ** self.sim.ledger.assets[asset].decimals)

    def _hear(self) -> Message | None:
        """Take in prices and payouts; return the first price since which the health has been too low, if it is."""
        low: Message | None = None
        for message in self._inbox.take():
            if isinstance(message.content, Tick):
                self._marks[message.content.asset] = message.content.mark
                low = None if self.health() >= float(self.params.call_below) else low or message
            elif message.content == self.node:
                self._asked = False
                self._repay(message.cause)
        return low

    def _repay(self, cause: int) -> None:
        """Pay at the platform with what has arrived."""
        sim, lender = self.sim, self._lender
        amount = min(sim.ledger.balances[self.node][self._debt], lender.debt_of(self.position, self._debt))
        if amount > 0:
            lender.repay(self.position, self._debt, amount, cause=cause)

    def _missing(self) -> int:
        """Return what to repay at the platform to restore the health, in base units of the debt."""
        if (health := self.health()) == inf:
            return 0
        owed = self._lender.debt_of(self.position, self._debt)
        return max(int(owed * (1.0 - health / float(self.params.restore_to))), 0)

    # ---------------------------------------------------------------------------------------------- layer 2

    def _watch(self) -> Process:
        sim = self.sim
        while True:
            yield self._inbox.wait()
            if (low := self._hear()) is None:
                continue
            call = sim.record("margin-call", self.node, cause=low.cause, market=self._lender.node)
            if delay := self.params.latency + self._order_us:
                yield sim.pause(delay)
            self._hear()
            stock = self._exchange.balance(self.node, self.loop)
            if not self._missing() or stock <= 0:
                continue
            event = sim.record(
                "forced-unwind", self.node, cause=call, asset=self.loop, market=self._book.node, quantity=stock,
                value=sim.currency_value(stock, self.loop), channel=Channel.LOOP_UNWINDING,
                exposures=self._exposures(),
            )  # fmt: skip
            while self._step(event):
                yield sim.env.timeout(self.params.interval)
                self._hear()

    def _step(self, cause: int) -> bool:
        """Sell a step of the loop and ask for the free cash; return whether there is more to do."""
        missing, book = self._missing(), self._book
        if not missing:
            return False
        stock = self._exchange.balance(self.node, self.loop)
        step = self.sim.units(self.loop, self.params.pace) * self.params.interval // 1_000_000
        quantity = book.rounded(min(max(step, book.lot), stock))
        if quantity:
            done = book.execute(self.node, SELL, quantity, cause=cause, channel=Channel.LOOP_UNWINDING)
            cause = done.event
        return self._withdraw(missing, cause) or quantity > 0

    def _withdraw(self, missing: int, cause: int) -> bool:
        """Ask the exchange for what the platform is owed, once at a time; return whether any of it is to come."""
        amount = min(missing, self._exchange.balance(self.node, self._debt))
        if self._asked or amount <= 0:
            return self._asked
        try:
            self._exchange.withdraw(self.node, self._debt, amount, cause=cause)
            self._asked, self._refused = True, False
        except Refused:
            if not self._refused:
                self._refused = True
                self.sim.record(
                    "refused-transfer", self.node, cause=cause, asset=self._debt, market=self._exchange.node,
                    quantity=amount,
                )  # fmt: skip
        return True

    def _exposures(self) -> list[Exposure]:
        """Return what is pledged, and the debt, with the marks at the opening and now."""
        lender, exposures = self._lender, []
        held = [(asset, lender.collateral_of(self.position, asset)) for asset in self._pledged]
        for asset, amount in [*held, (self._debt, -lender.debt_of(self.position, self._debt))]:
            if asset in self._marks:
                quantity = amount / 10 ** self.sim.ledger.assets[asset].decimals
                exposures.append(Exposure(quantity, self._opened[asset], self._marks[asset]))
        return exposures


MECHANISM: type[Mechanism] = Whale
