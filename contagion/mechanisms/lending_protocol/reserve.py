"""One reserve of a lending protocol: its parameters, its two claims and their interest indices.

What depositors own and borrowers owe are claims whose quantity never changes by itself; one index each says
what a claim is worth in the asset (Aave's scaled balances). Interest therefore costs nothing per account, and
the claims' feeds tell everybody who holds them.
"""

from decimal import Decimal
from typing import Self

from pydantic import model_validator

from contagion.finance import lending
from contagion.ledger import Asset
from contagion.log import CLOCK, Channel
from contagion.params import Params, Rate, Share
from contagion.ports import Feed
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_SCALE, SECOND, to_ppm

RAY = 10**27


class ReserveParams(Params):
    """Risk parameters and the two-slope rate curve of one asset (Aave v3); rates a year."""

    ltv: Share = Decimal(0)
    threshold: Share = Decimal(0)
    bonus: Share = Decimal(0)
    protocol_fee: Share = Decimal("0.1")
    reserve_factor: Share = Decimal("0.1")
    borrowable: bool = True
    base_rate: Rate = Decimal(0)
    slope1: Rate = Decimal(0)
    slope2: Rate = Decimal(0)
    optimal: Share = Decimal("0.9")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.ltv > self.threshold:
            raise ValueError(f"the loan-to-value {self.ltv} is above the liquidation threshold {self.threshold}")
        if self.threshold * (1 + self.bonus) > 1:
            raise ValueError("threshold times (1 + bonus) is above 1: a liquidation could not be covered")
        return self


class Reserve:
    """State of one reserve; amounts in base units of the asset, claims in base units at index 1."""

    def __init__(self, sim: Simulation, node: int, name: str, params: ReserveParams) -> None:
        self.sim, self.node, self.params = sim, node, params
        self.asset = sim.assets[name]
        own, decimals = sim.network.names[node], sim.ledger.assets[self.asset].decimals
        self.supply = sim.add_asset(Asset(f"{own}/{name}/supply", decimals, frozenset({node})))
        self.debt = sim.add_asset(Asset(f"{own}/{name}/debt", decimals, creditor=node))
        self.threshold, self.bonus = to_ppm(params.threshold), to_ppm(params.bonus)
        self.fee = to_ppm(params.protocol_fee)
        self.supply_index = self.debt_index = RAY
        self._accrued_us = 0
        self.feeds: dict[int, Feed] = {}

    def open(self) -> None:
        """Quote both claims at index 1."""
        for claim in (self.supply, self.debt):
            self.feeds[claim] = self.sim.claim_feed(claim, self.asset, PRICE_SCALE)

    def cash(self) -> int:
        """Return the liquidity left."""
        return self.sim.ledger.balances[self.node][self.asset]

    def owed(self) -> int:
        """Return what borrowers owe in all."""
        return self.sim.ledger.balances[self.node][self.debt] * self.debt_index // RAY

    def utilisation(self) -> float:
        """Return the share of the reserve that is lent out."""
        owed = self.owed()
        return owed / (owed + self.cash()) if owed else 0.0

    def borrow_rate(self) -> float:
        """Return the annual borrow rate at today's utilisation."""
        p = self.params
        return lending.borrow_rate(
            self.utilisation(), float(p.base_rate), float(p.slope1), float(p.slope2), float(p.optimal)
        )

    def accrue(self) -> None:
        """Bring both indices to the present (whole seconds; what is left of one waits for the next call)."""
        elapsed = (self.sim.env.now - self._accrued_us) // SECOND * SECOND
        rate = self.borrow_rate() if elapsed else 0.0
        if not rate:
            self._accrued_us += elapsed
            return
        earned = lending.supply_rate(rate, self.utilisation(), float(self.params.reserve_factor))
        self.supply_index = lending.linear_index(self.supply_index, earned, elapsed)
        self.debt_index = lending.compounded_index(self.debt_index, rate, elapsed)
        self._accrued_us += elapsed
        marks = {self.supply: self.supply_index, self.debt: self.debt_index}
        marks = {claim: index * PRICE_SCALE // RAY for claim, index in marks.items()}
        if any(self.feeds[claim].mark.price != price for claim, price in marks.items()):
            event = self.sim.record("interest", self.node, cause=CLOCK, asset=self.asset)
            for claim, price in marks.items():
                self.feeds[claim].move(price, event, Channel.INTEREST)

    def supply_units(self, amount: int, up: bool = False) -> int:
        """Return the supply claims that an amount stands for, rounded down, or up where they are burnt."""
        return _divide(amount * RAY, self.supply_index, up)

    def debt_units(self, amount: int, up: bool = True) -> int:
        """Return the debt claims of an amount, rounded up, or down where they are burnt."""
        return _divide(amount * RAY, self.debt_index, up)

    def supplied(self, units: int) -> int:
        """Return the amount that supply claims are worth, rounded down."""
        return units * self.supply_index // RAY

    def indebted(self, units: int) -> int:
        """Return the amount that debt claims oblige to, rounded up."""
        return _divide(units * self.debt_index, RAY, True)

    def weight(self) -> float:
        """Return threshold times supply index, for many positions at once."""
        return self.threshold / PPM * (self.supply_index / RAY)


def _divide(numerator: int, denominator: int, up: bool) -> int:
    return -(-numerator // denominator) if up else numerator // denominator
