"""What a bank sells when it owes too much for its equity.

Cifuentes, Ferrucci and Shin, "Liquidity risk and contagion" (2005); Cont and Schaanning, "Fire sales, indirect
contagion and systemic stress testing" (2017).

A bank whose assets exceed `leverage_limit` times its equity by a millionth, at the prices that it has heard, must come
down to `leverage_target`: (1) it repays debt to those who are no banks out of the money at hand; (2) it sells the same
fraction of every marketable asset for what is still missing, each at its market over a `trades` edge, and repays
with what that brings. It hears what its own sale did to the price as everybody does, over a `prices` edge; banks that
hear at once act at once, at the prices of before, which makes equal latencies the rounds of the models. A bank
without equity, or in default, sells everything and keeps the money for its creditors, or stops selling
(`insolvent_sells`).

A capital requirement is the same with leverage one over the ratio: repayment takes money out of the assets that it
is measured by, as cash without a risk weight is. Orders go through the market one after the other, so that who
sells second in a round gets less; the models give both the same price.
"""

from contagion.errors import Misfit
from contagion.finance.waterfall import pro_rata
from contagion.ledger import Leg, Refused
from contagion.log import Channel
from contagion.mechanisms.bank.balance import BalanceSheet
from contagion.ports import VENUES, Message, Process, Venue
from contagion.units import PPM


class Deleveraging(BalanceSheet):
    """The watch over leverage and the sales."""

    _limit: int
    """Assets over equity above which the bank sells, in ppm; 0 where there is no limit."""
    _target: int
    _insolvent_sells: bool
    _estate: int
    """The event by which the bank failed, else -1."""

    def open_markets(self) -> None:
        """Find where each holding can be sold."""
        self._selling, self._routes = False, dict[int, tuple[int, Venue]]()
        for link in self.sim.links(self.node, VENUES):
            for asset in self._marks.keys() & set(link.peer.assets()):
                self._routes.setdefault(asset, (link.latency_us, link.peer))

    def check_leverage(self) -> None:
        """Refuse a bank that would have to sell before anything happens."""
        if self._to_repay():
            assets, name = self.equity() + self.owed(), self.sim.network.names[self.node]
            what = f"is not at rest: its leverage is {assets / max(self.equity(), 1):.4f} at the start, above the limit"
            raise Misfit(("nodes", name, "leverage_limit"), what)

    def deleverage(self, cause: int) -> None:
        """Begin to sell, if the last thing heard makes it necessary and no sale is under way."""
        if self._selling or not (amount := self._to_repay()):
            return
        sim, insolvent = self.sim, self._is_insolvent()
        at_hand = 0 if insolvent else min(amount, self.cash())
        worth = self._saleable()
        share = (worth if insolvent else min(amount - at_hand, worth)), worth
        orders = [(asset, pro_rata(*share, sim.ledger.balances[self.node][asset])) for asset in sorted(self._routes)]
        orders = [(asset, quantity) for asset, quantity in orders if quantity]
        if not orders and not at_hand:
            return
        held, direct = self.stakes()
        event = sim.record(
            "forced-unwind", self.node, cause=cause, asset=self.asset, quantity=amount, value=self.currency(amount),
            exposures=held, direct=direct,
        )  # fmt: skip
        if at_hand:
            self._repay(at_hand, event)
        if orders:
            self._selling = True
            sim.start(self._sell(orders, not insolvent, event))

    def _to_repay(self) -> int:
        """Return how much debt must go, or what is left to sell for a bank without equity; 0 within the limit."""
        if self._is_insolvent():
            return self._saleable() if self._insolvent_sells else 0
        equity, owed = self.equity(), self.owed()
        if not self._limit or (equity + owed) * PPM // equity <= self._limit:
            return 0
        return min(equity + owed - equity * self._target // PPM, sum(self._outside().values()))

    def _saleable(self) -> int:
        """Return what all holdings that have a market are worth."""
        return sum(self.worth(asset, self.sim.ledger.balances[self.node][asset]) for asset in self._routes)

    def _is_insolvent(self) -> bool:
        return self._estate >= 0 or self.equity() <= 0

    def _outside(self) -> dict[tuple[int, int], int]:
        """Return what is owed to those who are no banks, by (claim, creditor)."""
        nodes, balances = self.sim.network.nodes, self.sim.ledger.balances
        return {
            (claim, creditor): balances[creditor][claim]
            for claim, creditors in self.creditors.items() for creditor in creditors
            if nodes[creditor].kind != nodes[self.node].kind
        }  # fmt: skip

    def _sell(self, orders: list[tuple[int, int]], repays: bool, cause: int) -> Process:
        """Sell as orders reach their markets, the nearest first."""
        sim, began = self.sim, self.sim.env.now
        for asset, quantity in sorted(orders, key=lambda order: (self._routes[order[0]][0], order[0])):
            latency_us, venue = self._routes[asset]
            yield sim.env.timeout(began + latency_us - sim.env.now)
            left = min(quantity, sim.ledger.balances[self.node][asset])
            try:
                done = venue.trade(self.node, asset, left, self.asset, cause=cause, channel=Channel.DELEVERAGING)
                if repays:
                    self._repay(done.received, done.event)
                elif self._estate >= 0:
                    self._inbox.send(Message(done.event, None), 0)  # what it can pay may have changed
            except Refused:
                sim.record("refused-sale", self.node, cause=cause, asset=asset, market=venue.node, quantity=left)
        self._selling = False

    def _repay(self, amount: int, cause: int) -> None:
        """Pay back debt to those who are no banks, each the same part of it."""
        outside = self._outside()
        owed, legs = sum(outside.values()), list[Leg]()
        for (claim, creditor), part in outside.items():
            paid = pro_rata(min(amount, owed), owed, part)
            legs += [(self.node, self.asset, -paid), (creditor, self.asset, paid)]
            legs += [(creditor, claim, -paid), (self.node, claim, paid)]
        self.sim.transact(
            "repayment", self.node, *legs, cause=cause, asset=self.asset, quantity=min(amount, owed),
            value=self.currency(min(amount, owed)),
        )  # fmt: skip
