"""Margin loans at an exchange: coins pledged, cash borrowed, up to a stated loan-to-value.

A loop of a synthetic dollar on an exchange is such a loan: the borrowed cash has bought more of the coin, so what
is left is the coin and the debt. Every member has all the coins of the crowd in the same proportions; members
belong to groups of a stated loan-to-value, around which they scatter. They do nothing by themselves: the exchange
liquidates them. What the loan was taken for is logged as a carry.
"""

from decimal import Decimal
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from contagion.accounts import AccountBook
from contagion.accounts.rules import SLOTS
from contagion.errors import Misfit
from contagion.finance.leverage import carry
from contagion.log import CLOCK
from contagion.mechanisms.population.sizes import Quantiles, draw_sizes, rows_of, scaled
from contagion.params import AssetName, Params, Positive, Rate, Share
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_SCALE, SUPPLY_LIMIT
from contagion.venues import crowd_exchange

Integers = NDArray[np.int64]


class LoanTerms(Params):
    """`collateral` in tokens of all members together; `ltv` as (share of the members, loan over collateral).

    `ltv_spread` is the standard deviation around each; `yield_rate` what the collateral earns and `loan_rate` what
    the cash costs a year, for the carry alone (interest itself is the exchange's `loan_rate`).
    """

    collateral: dict[AssetName, Positive] = Field(min_length=1, max_length=SLOTS)
    ltv: list[tuple[Share, Share]] = Field(min_length=1)
    ltv_spread: Share = Decimal(0)
    sizes: Quantiles = [(Decimal(0), Decimal(1)), (Decimal(1), Decimal(1000))]
    largest: Share = Decimal("0.02")
    yield_rate: Rate = Decimal(0)
    loan_rate: Rate = Decimal(0)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if sum(share for share, _ in self.ltv) != 1:
            raise ValueError("the shares of the groups in 'ltv' add up to 1")
        return self


class Loans:
    """N members with coins and a debt each."""

    def __init__(self, sim: Simulation, node: int, count: int, terms: LoanTerms) -> None:
        self.sim, self.node, self.count, self.terms = sim, node, count, terms

    def open(self) -> None:
        """Draw the members and open their accounts."""
        sim, terms = self.sim, self.terms
        self._exchange: Any = crowd_exchange(sim, self.node)
        rng = sim.rng(sim.network.names[self.node])
        weights = draw_sizes(rng, self.count, terms.sizes)
        assets = [sim.assets[name] for name in sorted(terms.collateral)]
        quantities = np.stack([self._amounts(name, weights) for name in sorted(terms.collateral)], axis=1)
        slots = np.where(quantities > 0, [self._exchange.line_number(asset) for asset in assets], -1)
        worth = np.zeros(self.count)
        for column, asset in enumerate(assets):
            worth += quantities[:, column] * self._exchange.unit(asset)
        ltv = self._ltv(rng)
        debts = np.floor(worth * ltv).astype(np.int64)
        rows = rows_of(slots, quantities, np.zeros_like(quantities), -debts)
        self._exchange.open_crowd(self.node, AccountBook(rows, self._exchange.rules()))
        self._log_carry(float(worth.sum()), float(debts.sum()), assets[0])

    def _amounts(self, name: str, weights: NDArray[np.float64]) -> Integers:
        """Return what each member has of a coin, in whole lots of its market."""
        sim, asset, path = self.sim, self.sim.assets[name], ("nodes", self.sim.network.names[self.node], "loans")
        if asset not in self._exchange.feeds:
            raise Misfit((*path, "collateral", name), f"the exchange takes no {name!r} as collateral")
        total = sim.units(asset, self.terms.collateral[name])
        if total >= SUPPLY_LIMIT:
            raise Misfit((*path, "collateral", name), f"{self.terms.collateral[name]} cannot be counted")
        lot = self._exchange.lot_of(asset)
        return np.asarray(scaled(weights, total // lot, float(self.terms.largest)) * lot, np.int64)

    def _ltv(self, rng: np.random.Generator) -> NDArray[np.float64]:
        shares, levels = (np.array([float(pair[i]) for pair in self.terms.ltv]) for i in (0, 1))
        group = np.searchsorted(np.cumsum(shares)[:-1], rng.random(self.count), side="right")
        scatter = float(self.terms.ltv_spread) * rng.standard_normal(self.count)
        return np.asarray(np.round(np.clip(levels[group] + scatter, 0.0, 1.0), 6))

    def _log_carry(self, worth: float, debts: float, asset: int) -> None:
        """Log the annual return on the members' equity together, in ppm (as `quantity`), and the yield (as `price`)."""
        if worth > debts and (self.terms.yield_rate or self.terms.loan_rate):
            base, leverage = float(self.terms.yield_rate), worth / (worth - debts)
            self.sim.record(
                "carry", self.node, cause=CLOCK, asset=asset, price=round(base * PRICE_SCALE),
                quantity=round(carry(leverage, base, float(self.terms.loan_rate)) * PPM),
            )  # fmt: skip
