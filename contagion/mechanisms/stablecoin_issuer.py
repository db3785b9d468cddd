"""Who issues a stablecoin and takes it back at par: fee, capacity, settlement delay, finite backing.

Only holders at the end of a `redeems` edge may redeem. The token leaves the holder at once for a claim on the
issuer, which is paid after `delay` and that edge's latency from the backing that the issuer holds; what cannot
be paid waits and is logged as a redemption gate (a `blocked-withdrawal` of the issuer). Requests beyond
`capacity` within an hour are refused.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

from contagion.ledger import Asset, Refused
from contagion.log import Channel
from contagion.params import Amount, AssetName, Duration, Share
from contagion.params import Params as Parameters
from contagion.ports import REDEEMERS, Feed, Mechanism, Process, Signal
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_SCALE, to_ppm

_HOUR = 3_600_000_000


class StablecoinIssuer:
    """A liability at par, and what stands behind it."""

    class Params(Parameters):
        """`capacity` in tokens an hour; `delay` between request and payment."""

        asset: AssetName
        payout: AssetName
        fee: Share = Decimal("0.001")
        capacity: Amount = Decimal(1_000_000_000)
        delay: Duration = 0

    opens = 3
    reacts: ClassVar[bool] = True

    def __init__(self, sim: Simulation, node: int, params: "StablecoinIssuer.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        self.asset, self.payout = sim.assets[params.asset], sim.assets[params.payout]
        name, decimals = sim.network.names[node], sim.ledger.assets[self.payout].decimals
        self.claim = sim.add_asset(Asset(f"{name}/redemption", decimals, frozenset({node})))
        self.feeds: dict[int, Feed] = {}
        self.settled = Signal(sim.env)
        self._requests: list[tuple[int, int]] = []

    def open(self) -> None:
        """Quote the claim at one payout token."""
        self.feeds[self.claim] = self.sim.claim_feed(self.claim, self.payout, PRICE_SCALE)

    def processes(self) -> Iterable[Process]:
        """Return nothing: redemptions start their own settlement."""
        return ()

    def room(self) -> int:
        """Return how much may still be redeemed in this hour (a window that slides)."""
        since = self.sim.env.now - _HOUR
        self._requests = [(time, amount) for time, amount in self._requests if time > since]
        used = sum(amount for _, amount in self._requests)
        return max(self.sim.units(self.asset, self.params.capacity) - used, 0)

    def payment(self, quantity: int) -> int:
        """Return what a redemption of `quantity` pays: par minus the fee."""
        decimals = [self.sim.ledger.assets[asset].decimals for asset in (self.payout, self.asset)]
        par = int(quantity * 10 ** decimals[0] // 10 ** decimals[1])
        return par - par * to_ppm(self.params.fee) // PPM

    def redeem(self, holder: int, quantity: int, *, cause: int) -> int:
        """Take tokens for a claim and return the event; Refused beyond the capacity or the holding."""
        sim, pays = self.sim, self.payment(quantity)
        if holder not in (peer.node for peer in sim.peers(self.node, REDEEMERS)):
            raise Refused(f"{sim.network.names[holder]} may not redeem with {sim.network.names[self.node]}")
        if not 0 < quantity <= self.room():
            raise Refused(f"{sim.network.names[self.node]} redeems no more within this hour")
        event = sim.transact(
            "redemption", self.node,
            (holder, self.asset, -quantity), (self.node, self.asset, quantity),
            (self.node, self.claim, -pays), (holder, self.claim, pays),
            cause=cause, channel=Channel.FEE, asset=self.asset, quantity=quantity, value=pays,
        )  # fmt: skip
        self._requests.append((sim.env.now, quantity))
        sim.start(self._settle(holder, pays, event))
        return event

    def _settle(self, holder: int, amount: int, cause: int) -> Process:
        sim, gated = self.sim, False
        transfer = max(link.latency_us for link in sim.links(self.node, REDEEMERS) if link.peer.node == holder)
        while amount:
            yield sim.pause(self.params.delay + transfer)
            pays = min(amount, sim.ledger.balances[self.node][self.payout])
            if pays:
                cause = sim.transact(
                    "settlement", self.node,
                    (self.node, self.payout, -pays), (holder, self.payout, pays),
                    (holder, self.claim, -pays), (self.node, self.claim, pays),
                    cause=cause, asset=self.payout, quantity=pays, value=pays,
                )  # fmt: skip
                self.settled.fire(cause)
            amount -= pays
            if amount and not gated:
                gated = True
                sim.record("blocked-withdrawal", self.node, cause=cause, asset=self.asset, quantity=amount)
            if amount:
                yield sim.env.timeout(_HOUR)


MECHANISM: type[Mechanism] = StablecoinIssuer
