"""Borrowers at a lender: one collateral and one debt each.

Each member pledges one asset and owes another at the lender of its `borrows` edge. Sizes are lognormal (or,
with `tail`, Pareto) and scaled so that the collateral adds up to the stated total; health factors are a floor
plus a lognormal distance. All draws come from the node's own stream and are rounded to base units before
anything is decided with them. Members do nothing by themselves: the lender liquidates them.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.errors import Misfit
from contagion.ports import LENDERS, Position
from contagion.simulation import Simulation
from contagion.units import PPM, SUPPLY_LIMIT


class Borrowers:
    """N borrowers; `terms` are the population's parameters."""

    def __init__(self, sim: Simulation, node: int, terms: Any) -> None:
        self.sim, self.node, self.params = sim, node, terms
        self.collateral, self.debt = sim.assets[terms.collateral], sim.assets[terms.debt]

    def open(self) -> None:
        """Draw the members and open their positions at the lender."""
        sim, name = self.sim, self.sim.network.names[self.node]
        if self.params.health_median <= self.params.health_floor:
            raise Misfit(("nodes", name, "health_median"), "must lie above 'health_floor'")
        for lender in sim.peers(self.node, LENDERS)[:1]:
            rng = sim.rng(name)
            deposits = self._sizes(rng)
            worth = lender.price(self.collateral) / lender.price(self.debt)
            worth *= 10.0 ** (self._decimals(self.debt) - self._decimals(self.collateral))
            threshold = lender.threshold_ppm(self.collateral) / PPM
            owed = np.floor(deposits * (worth * threshold) / self._healths(rng))
            if not float(owed.sum()) < SUPPLY_LIMIT:
                raise Misfit(("nodes", name, "total"), f"would owe more {self.params.debt} than can be counted")
            debts = owed.astype(np.int64)
            everybody = Position(self.node, -1)
            lender.add_members(everybody, self.collateral, self.debt, self.params.count)
            lender.open_position(everybody, self.collateral, deposits, "collateral")
            lender.open_position(everybody, self.debt, debts, "debt")

    def _sizes(self, rng: np.random.Generator) -> NDArray[np.int64]:
        p = self.params
        if p.tail is not None:
            raw = rng.pareto(float(p.tail), p.count) + 1.0
        else:
            raw = rng.lognormal(0.0, float(p.spread), p.count)
        total, path = self.sim.units(self.collateral, p.total), ("nodes", self.sim.network.names[self.node])
        if total >= SUPPLY_LIMIT:
            raise Misfit((*path, "total"), f"{p.total} are more base units than can be counted")
        if not np.isfinite(raw.sum()):
            raise Misfit((*path, "spread" if p.tail is None else "tail"), "draws sizes beyond any number")
        units = np.floor(raw * (total / math.fsum(raw))).astype(np.int64)
        units[int(np.argmax(units))] += total - int(units.sum())
        return np.asarray(units)

    def _healths(self, rng: np.random.Generator) -> NDArray[np.float64]:
        p = self.params
        floor, distance = float(p.health_floor), float(p.health_median - p.health_floor)
        return np.asarray(np.round(floor + distance * rng.lognormal(0.0, float(p.health_spread), p.count), 6))

    def _decimals(self, asset: int) -> int:
        return self.sim.ledger.assets[asset].decimals
