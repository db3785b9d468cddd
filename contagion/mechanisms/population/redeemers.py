"""Holders who may redeem with the issuer and do so by a hazard: a run on a stablecoin, as far as its gates let it.

They hold the token themselves, off any exchange, and redeem at par minus the fee whatever markets say; why they do
is the price that they `watch`. What the issuer refuses (its capacity an hour) they ask for again with the next
interval in which anybody leaves; each refusal that lasts is logged once.
"""

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from contagion.errors import Misfit
from contagion.ledger import Refused
from contagion.log import CLOCK
from contagion.mechanisms.population.hazards import Hazards, Leaving
from contagion.mechanisms.population.sizes import Quantiles, draw_sizes, scaled
from contagion.params import AssetName, Duration, NodeName, Params, Positive, Share
from contagion.ports import ISSUERS, Process
from contagion.simulation import Simulation
from contagion.units import SUPPLY_LIMIT


class RedeemerTerms(Params):
    """`total` tokens of `asset` among all members; `hazards` by fall of what they `watch` from its opening price."""

    asset: AssetName
    total: Positive
    watch: NodeName
    sizes: Quantiles = [(Decimal(0), Decimal(1)), (Decimal(1), Decimal(1000))]
    largest: Share = Decimal("0.02")
    hazards: Hazards
    interval: Duration = Field(default=60_000_000, gt=0)


class Redeemers:
    """N holders of a token, whitelisted with its issuer."""

    def __init__(self, sim: Simulation, node: int, count: int, terms: RedeemerTerms) -> None:
        self.sim, self.node, self.count, self.terms = sim, node, count, terms
        self._leaving = Leaving(sim, node, count, terms.hazards, terms.interval)
        self._waiting, self._refused = 0, False

    def open(self) -> None:
        """Draw the holders; their tokens have been issued before."""
        sim, terms, path = self.sim, self.terms, ("nodes", self.sim.network.names[self.node], "redeemers")
        self._rng, asset = sim.rng(path[1]), sim.assets[terms.asset]
        issuers = [peer for peer in sim.peers(self.node, ISSUERS) if peer.asset == asset]
        self._issuer: Any = issuers[0] if issuers else None
        if not self._leaving.watch(terms.watch):
            raise Misfit((*path, "watch"), f"add a 'prices' edge from {terms.watch!r}")
        total = sim.units(asset, terms.total)
        if total >= SUPPLY_LIMIT:
            raise Misfit((*path, "total"), f"{terms.total} are more base units than can be counted")
        self._tokens = scaled(draw_sizes(self._rng, self.count, terms.sizes), total, float(terms.largest))
        legs = ((sim.issuer(asset), asset, -total), (self.node, asset, total))
        sim.transact("opening", self.node, *legs, cause=CLOCK, asset=asset, quantity=total)

    def leave(self) -> Process:
        """Return the redeeming."""
        return self._leaving.process(self._redeem, self._rng)

    def _redeem(self, members: NDArray[np.int64], cause: int) -> None:
        """Ask for what those who leave have, and for what was refused before, as far as the issuer has room."""
        self._waiting += int(self._tokens[members].sum())
        if self._issuer is None:
            return
        part = min(self._waiting, self._issuer.room())
        try:
            if part:
                channel = self._leaving.channel(self._issuer.asset)
                cause = self._issuer.redeem(self.node, part, cause=cause, channel=channel)
                self._waiting -= part
            refused = self._waiting > 0
        except Refused:
            refused = True
        if refused and not self._refused:
            self.sim.record(
                "refused-redemption", self.node, cause=cause, asset=self._issuer.asset, market=self._issuer.node,
                quantity=self._waiting,
            )  # fmt: skip
        self._refused = refused
