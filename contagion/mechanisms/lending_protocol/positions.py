"""Who has deposited and who owes what at a lender, and what may be done with it.

A position is a row of claims on the reserves. Its health factor is what its deposits are worth, each times its
liquidation threshold, over what it owes, at the answers of the oracles that the lender has read; all in
integers, so that a tie is a tie.
"""

from typing import Any

import numpy as np

from contagion.errors import Misfit
from contagion.finance import lending
from contagion.finance.branching import Exposure, Mark
from contagion.ledger import Leg, Refused
from contagion.log import CLOCK
from contagion.mechanisms.lending_protocol.reserve import Reserve
from contagion.ports import Position, Signal
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_DECIMALS, VALUE_DECIMALS, to_ppm


class Positions:
    """Deposits and debts in a set of reserves."""

    def __init__(self, sim: Simulation, node: int, reserves: dict[int, Reserve]) -> None:
        self.sim, self.node, self.reserves = sim, node, reserves
        self.liquidity = Signal(sim.env)
        self._marks: dict[int, Mark] = {}
        self._first_marks: dict[int, Mark] = {}
        self._opened: dict[tuple[Position, int], Mark] = {}
        self._one = 10**VALUE_DECIMALS
        decimals = {asset: sim.ledger.assets[asset].decimals for asset in reserves}
        self._scales: dict[int, int] = {a: 10 ** (VALUE_DECIMALS - PRICE_DECIMALS - d) for a, d in decimals.items()}

    def open_position(self, position: Position, asset: int, amount: Any, side: str) -> None:
        """Post a deposit or a debt that exists at the start, the outside being the other side of the cash."""
        sim, node, reserve = self.sim, self.node, self._reserve(asset, position)
        total = int(np.sum(amount))
        own: tuple[Any, ...] = (position.holder, reserve.supply if side == "collateral" else reserve.debt)
        members = (np.arange(len(amount)),) if isinstance(amount, np.ndarray) else ()
        if side == "collateral":
            legs: tuple[Leg, ...] = (
                (sim.issuer(asset), asset, -total), (node, asset, total), (node, reserve.supply, -total),
                (*own, amount, *members),
            )  # fmt: skip
        else:
            if not reserve.params.borrowable:
                raise Misfit(("nodes", sim.network.names[node], "reserves"), f"{self._name(asset)} is not lent")
            legs = (
                (node, asset, -total), (sim.world, asset, total), (*own, -amount, *members),
                (node, reserve.debt, total),
            )  # fmt: skip
        try:
            sim.transact("opening", position.holder, *legs, cause=CLOCK, asset=asset, quantity=total)
        except Refused as refusal:
            raise Misfit(("nodes", sim.network.names[position.holder]), f"cannot open: {refusal}") from None

    def add_members(self, position: Position, collateral: int, debt: int, count: int) -> None:
        """Give a population a column per claim, one row a member."""
        for claim in (self._reserve(collateral, position).supply, self._reserve(debt, position).debt):
            self.sim.ledger.add_members(position.holder, claim, count)

    def collateral_of(self, position: Position, asset: int) -> int:
        """Return what a position has deposited, interest up to now included."""
        reserve = self.reserves[asset]
        reserve.accrue()
        return reserve.supplied(self.sim.ledger.balance(position.holder, reserve.supply, position.member))

    def debt_of(self, position: Position, asset: int) -> int:
        """Return what a position owes, interest up to now included."""
        reserve = self.reserves[asset]
        reserve.accrue()
        return reserve.indebted(-self.sim.ledger.balance(position.holder, reserve.debt, position.member))

    def health(self, position: Position) -> float:
        """Return the health factor at the last prices read; infinite without debt."""
        weighted, debt = self._sides(position)
        return lending.health_factor(weighted / PPM, debt)

    def borrow_rate(self, asset: int) -> float:
        """Return the annual rate that borrowers of an asset pay now."""
        return self.reserves[asset].borrow_rate()

    def price(self, asset: int) -> int:
        """Return the price (10^-9) at which this protocol values an asset; Misfit when it has no such reserve."""
        if asset not in self.reserves:
            path = ("nodes", self.sim.network.names[self.node], "reserves")
            raise Misfit(path, f"there is no reserve of {self._name(asset)!r}, which a borrower pledges or owes")
        return self._marks[asset].price

    def threshold_ppm(self, asset: int) -> int:
        """Return the liquidation threshold of an asset."""
        return self.reserves[asset].threshold

    def available(self, asset: int) -> int:
        """Return the liquidity left in a reserve."""
        return self.reserves[asset].cash()

    def supply(self, position: Position, asset: int, amount: int, *, cause: int) -> int:
        """Deposit and return the event; Refused when the holder does not have it."""
        reserve, own = self._reserve(asset, position), member_of(position)
        self._accrue()
        units = reserve.supply_units(amount)
        event = self._move("supply", position, asset, amount, cause,
            (position.holder, asset, -amount, *own), (self.node, asset, amount),
            (self.node, reserve.supply, -units), (position.holder, reserve.supply, units, *own))  # fmt: skip
        self._remember(position, asset)
        self.liquidity.fire(event)
        return event

    def withdraw(self, position: Position, asset: int, amount: int, *, cause: int) -> int:
        """Take a deposit out and return the event; Refused when unhealthy afterwards or not liquid."""
        reserve, own = self._reserve(asset, position), member_of(position)
        self._accrue()
        if amount > reserve.cash():
            raise Refused(f"{self._name(asset)} is lent out: {reserve.cash()} of {amount} base units are left")
        weighted, debt = self._sides(position)
        if debt and lending.is_liquidatable(weighted - amount * self._unit(asset) * reserve.threshold, debt):
            raise Refused(f"a withdrawal of {amount} {self._name(asset)} would leave the position unhealthy")
        units = reserve.supply_units(amount, up=True)
        return self._move("withdrawal", position, asset, amount, cause,
            (position.holder, reserve.supply, -units, *own), (self.node, reserve.supply, units),
            (self.node, asset, -amount), (position.holder, asset, amount, *own))  # fmt: skip

    def borrow(self, position: Position, asset: int, amount: int, *, cause: int) -> int:
        """Borrow and return the event; Refused beyond the loan-to-value or the liquidity left."""
        reserve, own = self._reserve(asset, position), member_of(position)
        self._accrue()
        if not reserve.params.borrowable:
            raise Refused(f"{self._name(asset)} is not lent")
        limit = sum(self.collateral_of(position, a) * self._unit(a) * to_ppm(r.params.ltv)
                    for a, r in self.reserves.items())  # fmt: skip
        if (self._sides(position)[1] + amount * self._unit(asset)) * PPM > limit:
            raise Refused(f"{amount} base units of {self._name(asset)} are beyond the loan-to-value")
        units = reserve.debt_units(amount)
        event = self._move("borrow", position, asset, amount, cause,
            (self.node, asset, -amount), (position.holder, asset, amount, *own),
            (position.holder, reserve.debt, -units, *own), (self.node, reserve.debt, units))  # fmt: skip
        self._remember(position, asset)
        return event

    def repay(self, position: Position, asset: int, amount: int, *, cause: int, payer: int | None = None) -> int:
        """Pay a debt back, at most all of it, and return the event; `payer` pays for somebody else."""
        reserve, own = self._reserve(asset, position), member_of(position)
        self._accrue()
        amount, units = self._payback(reserve, position, amount)
        payer_leg = (position.holder, asset, -amount, *own) if payer is None else (payer, asset, -amount)
        event = self._move("repayment", position, asset, amount, cause,
            payer_leg, (self.node, asset, amount),
            (position.holder, reserve.debt, units, *own), (self.node, reserve.debt, -units))  # fmt: skip
        self.liquidity.fire(event)
        return event

    def _held(self, position: Position) -> tuple[dict[int, int], dict[int, int]]:
        """Return (deposits, debts) by asset, in base units, those that are zero left out."""
        holder, member = position
        balance, deposits, debts = self.sim.ledger.balance, {}, {}
        for asset, reserve in self.reserves.items():
            if units := balance(holder, reserve.supply, member):
                deposits[asset] = reserve.supplied(units)
            if units := balance(holder, reserve.debt, member):
                debts[asset] = reserve.indebted(-units)
        return deposits, debts

    def _weigh(self, deposits: dict[int, int], debts: dict[int, int]) -> tuple[int, int]:
        """Return (collateral value times threshold in ppm, debt value), exact."""
        weighted = sum(
            amount * self._unit(asset) * self.reserves[asset].threshold for asset, amount in deposits.items()
        )
        return weighted, sum(amount * self._unit(asset) for asset, amount in debts.items())

    def _accrue(self) -> None:
        """Bring the interest of all reserves to the present, since one debt may rest on any collateral."""
        for reserve in self.reserves.values():
            reserve.accrue()

    def _sides(self, position: Position) -> tuple[int, int]:
        return self._weigh(*self._held(position))

    def _exposures(self, position: Position) -> list[Exposure]:
        deposits, debts = self._held(position)
        exposures = []
        for asset in {**deposits, **debts}:
            amount = deposits.get(asset, 0) - debts.get(asset, 0)
            quantity = amount / 10 ** self.sim.ledger.assets[asset].decimals
            opened = self._opened.get((position, asset), self._first_marks[asset])
            exposures.append(Exposure(quantity, opened, self._marks[asset]))
        return exposures

    def _payback(self, reserve: Reserve, position: Position, amount: int) -> tuple[int, int]:
        """Return (amount, debt claims burnt): everything when the amount covers the debt."""
        units = -self.sim.ledger.balance(position.holder, reserve.debt, position.member)
        owed = reserve.indebted(units)
        if amount >= owed:
            return owed, units
        return amount, reserve.debt_units(amount, up=False)

    def _move(self, kind: str, position: Position, asset: int, amount: int, cause: int, *legs: Leg) -> int:
        return self.sim.transact(
            kind, position.holder, *legs, cause=cause, member=position.member, asset=asset, market=self.node,
            quantity=amount,
        )  # fmt: skip

    def _remember(self, position: Position, asset: int) -> None:
        if self.sim.env.now:
            self._opened.setdefault((position, asset), self._marks[asset])

    def _reserve(self, asset: int, position: Position) -> Reserve:
        if asset not in self.reserves:
            raise Misfit(
                ("nodes", self.sim.network.names[position.holder]),
                f"{self.sim.network.names[self.node]} has no reserve of {self._name(asset)}",
            )
        return self.reserves[asset]

    def _unit(self, asset: int) -> int:
        """Return the value of one base unit in 10^-21 of the currency, as this protocol's oracle has it."""
        return self._marks[asset].price * self._scales[asset]

    def _value(self, scaled: int) -> int:
        """Return a value in base units of the currency."""
        return int(scaled * 10**self.sim.currency_decimals // self._one)

    def _name(self, asset: int) -> str:
        return self.sim.ledger.assets[asset].name


def member_of(position: Position) -> tuple[int, ...]:
    """Return the end of a leg that names a member, where there is one."""
    return () if position.member < 0 else (position.member,)
