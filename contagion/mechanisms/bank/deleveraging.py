"""What a bank sells when it owes too much for its equity.

A bank above `leverage_limit` (assets over equity), at the prices that it has heard, must come down to
`leverage_target`. What counts, and what becomes of the money, is the rule `deleveraging`:

- `"repay"` (Greenwood, Landier and Thesmar 2015; Cont and Schaanning 2017): debt to those who are no banks is paid
  back, out of the money at hand at once, and for what is still missing out of a sale as soon as it has brought money.
  A limit is broken by more than a millionth of leverage, which rounding does not reach.
- `"review"` (Farmer, Kleinnijenhuis, Nahai-Williamson and Wetzer 2020): the same, but what a sale brings stays
  money until the bank is next above its limit.
- `"keep"` (Cifuentes, Ferrucci and Shin 2005): money has no risk weight, so that leverage is all other assets over
  equity, and what is sold stays money. A capital ratio is this with one over the ratio for a limit.

Only debt of the class `repayable` is paid back early, or of all classes. What is sold is the same fraction of every
marketable asset, or, with `sells = "opening-weights"`, values in proportion to what the bank held of each at the
start. A bank without equity, or in default, sells everything and keeps the money for its creditors, or stops selling
(`insolvent_sells`).

Orders reach their market over a `trades` edge. Where that sells at once, who sells second gets less, and what is under
way is not reconsidered. Where it clears by auction (`impact.auction`), an order may be revised until the cut-off: the
bank orders anew what it must sell by what it has heard since. It hears the price that sales have made as
everybody does, over a `prices` edge; banks that hear at once act at once, at the prices of before, which makes equal
latencies, and the cut-offs, the rounds of the models.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, cast

from contagion.errors import Misfit
from contagion.finance.waterfall import pro_rata
from contagion.ledger import Leg, Refused
from contagion.log import Channel
from contagion.mechanisms.bank.balance import BalanceSheet
from contagion.ports import VENUES, Message, Process, Trade, Venue
from contagion.units import PPM


class Auctioneer(Protocol):
    """A market that collects orders and carries them out together."""

    node: int

    def order(
        self, holder: int, quantity: int, filled: Callable[[Trade], None], *, cause: int, channel: int
    ) -> None:  # fmt: skip
        """Let an order to sell wait for the next cut-off, in the place of an earlier one; 0 takes it back."""


class Route(NamedTuple):
    """Where an asset is sold: at once, or by auction."""

    latency_us: int
    venue: Venue
    auction: Auctioneer | None


class Deleveraging(BalanceSheet):
    """The watch over leverage and the sales."""

    _limit: int
    """Assets over equity above which the bank sells, in ppm; 0 where there is no limit."""
    _target: int
    _rule: str
    _by_opening_weights: bool
    _repayable: int | None
    _insolvent_sells: bool
    _estate: int
    """The event by which the bank failed, else -1."""

    def open_markets(self) -> None:
        """Find where each holding can be sold."""
        self._selling, self._routes, self._ordered = False, dict[int, Route](), dict[int, int]()
        for link in self.sim.links(self.node, VENUES):
            auction = cast(Auctioneer, link.peer) if getattr(link.peer, "auction", None) else None
            for asset in self._marks.keys() & set(link.peer.assets()):
                self._routes.setdefault(asset, Route(link.latency_us, link.peer, auction))
        self._opening = {asset: self._worth(asset) for asset in self._routes}

    def check_leverage(self) -> None:
        """Refuse a bank that would have to sell before anything happens."""
        if self._excess():
            assets, name = self._at_risk(), self.sim.network.names[self.node]
            what = f"is not at rest: its leverage is {assets / max(self.equity(), 1):.4f} at the start, above the limit"
            raise Misfit(("nodes", name, "leverage_limit"), what)

    def deleverage(self, cause: int) -> None:
        """Order sales, and repay, if the last thing heard makes it necessary and no sale is under way."""
        if self._selling:
            return
        amount, insolvent = self._excess(), self._is_insolvent()
        at_hand = 0 if insolvent or self._rule == "keep" else min(amount, self.cash())
        repaid = min(at_hand, sum(self._outside().values()))
        orders = self._split(amount - at_hand)
        if not repaid and {asset: units for asset, units in orders.items() if units} == self._ordered:
            return
        if repaid or any(orders.values()):
            held, direct = self.stakes()
            cause = self.sim.record(
                "forced-unwind", self.node, cause=cause, asset=self.asset, quantity=amount, value=self.currency(amount),
                exposures=held, direct=direct,
            )  # fmt: skip
        if repaid:
            self._repay(repaid, cause)
        self._send(orders, cause)

    def _excess(self) -> int:
        """Return how much leverage must shrink by; what is left to sell for a bank without equity; 0 within limits."""
        if self._is_insolvent():
            return sum(map(self._worth, self._routes)) if self._insolvent_sells else 0
        equity, assets = self.equity(), self._at_risk()
        slack = equity if self._rule == "repay" else 1  # a millionth of leverage, or nothing
        if not self._limit or assets * PPM < self._limit * equity + slack:
            return 0
        excess = assets - equity * self._target // PPM
        return min(excess, sum(self._outside().values())) if self._rule == "repay" else excess

    def _at_risk(self) -> int:
        """Return the assets that leverage counts."""
        return self.equity() + self.owed() - (self.cash() if self._rule == "keep" else 0)

    def _split(self, amount: int) -> dict[int, int]:
        """Return what to sell of each asset to raise an amount, at most all of it."""
        worth = {asset: self._worth(asset) for asset in sorted(self._routes)}
        weights = self._opening if self._by_opening_weights and not self._is_insolvent() else worth
        whole, row = sum(weights.values()), self.sim.ledger.balances[self.node]
        raised = {asset: min(pro_rata(amount, whole, weights[asset]), worth[asset]) for asset in worth}
        return {asset: pro_rata(raised[asset], worth[asset], row[asset]) for asset in worth}

    def _worth(self, asset: int) -> int:
        return self.worth(asset, self.sim.ledger.balances[self.node][asset])

    def _is_insolvent(self) -> bool:
        return self._estate >= 0 or self.equity() <= 0

    def _outside(self) -> dict[tuple[int, int], int]:
        """Return what is owed to those who are no banks and may be paid back early, by (claim, creditor)."""
        nodes, balances = self.sim.network.nodes, self.sim.ledger.balances
        classes = {claim for rank, claim in self.classes.items() if self._repayable in (None, rank)}
        return {
            (claim, creditor): balances[creditor][claim]
            for claim, creditors in self.creditors.items() if claim in classes for creditor in creditors
            if nodes[creditor].kind != nodes[self.node].kind
        }  # fmt: skip

    def _send(self, orders: dict[int, int], cause: int) -> None:
        """Send orders to their markets, and let those that wait for an auction be replaced."""
        at_once = [(self._routes[asset], asset, units) for asset, units in orders.items() if units]
        at_once = [order for order in at_once if not order[0].auction]
        if at_once:
            self._selling = True
            self.sim.start(self._sell(at_once, cause))
        for asset, units in orders.items():
            route = self._routes[asset]
            if route.auction and units != self._ordered.get(asset, 0):
                self._ordered[asset] = units
                self.sim.start(self._order(route, asset, units, cause))
        self._ordered = {asset: units for asset, units in self._ordered.items() if units}

    def _order(self, route: Route, asset: int, units: int, cause: int) -> Process:
        """Let an order reach its auction, if nothing else has been decided, or sold, on its way."""
        yield self.sim.env.timeout(route.latency_us)
        if self._ordered.get(asset, 0) != units or not route.auction:
            return

        def filled(done: Trade) -> None:
            self._ordered.pop(asset, None)
            self._take_in(done)

        route.auction.order(self.node, units, filled, cause=cause, channel=Channel.DELEVERAGING)

    def _sell(self, orders: list[tuple[Route, int, int]], cause: int) -> Process:
        """Sell as orders reach their markets, the nearest first."""
        sim, began = self.sim, self.sim.env.now
        for route, asset, quantity in sorted(orders, key=lambda order: (order[0].latency_us, order[1])):
            yield sim.env.timeout(began + route.latency_us - sim.env.now)
            left, venue = min(quantity, sim.ledger.balances[self.node][asset]), route.venue
            try:
                done = venue.trade(self.node, asset, left, self.asset, cause=cause, channel=Channel.DELEVERAGING)
                self._take_in(done)
            except Refused:
                sim.record("refused-sale", self.node, cause=cause, asset=asset, market=venue.node, quantity=left)
        self._selling = False

    def _take_in(self, done: Trade) -> None:
        """Repay with what a sale has brought; a bank without equity keeps it, and an estate may pay more or less."""
        if self._estate >= 0:
            self._inbox.send(Message(done.event, None), 0)
        elif self._rule == "repay" and not self._is_insolvent():
            self._repay(done.received, done.event)

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
