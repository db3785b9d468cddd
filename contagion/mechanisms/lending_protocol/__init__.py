"""An overcollateralised lending protocol with the rules of Aave v3.3.

Depositors supply, borrowers pledge and borrow, rates follow utilisation, and a position whose health factor
falls below 1 may be liquidated by whoever repays its debt: at most half of it while the health factor is above
0.95 and both sides are worth $2,000 (else all of it), for collateral worth a bonus more, of which the protocol
keeps a fee; a rest below $1,000 is refused; debt without any collateral left is bad debt, written off at once.

One check, at most once a block: (1) read the oracle answers that have arrived, in their order; (2) find who is
in breach after the last of them and, for each, the first answer from which it has been in breach: its cause;
(3) log one `call` per cause and offer those positions to the liquidators, who also hear that the terms of the
others have changed. The protocol itself sells nothing.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

from contagion.errors import Misfit
from contagion.finance import lending
from contagion.ledger import Refused
from contagion.log import CLOCK, Channel
from contagion.mechanisms.lending_protocol.cohort import Cohort
from contagion.mechanisms.lending_protocol.positions import Positions, member_of
from contagion.mechanisms.lending_protocol.reserve import Reserve, ReserveParams
from contagion.params import AssetName, Duration, Share
from contagion.params import Params as Parameters
from contagion.ports import BORROWERS, CREDITORS, Call, Feed, Mechanism, Offer, Position, Process, Seizure, Signal
from contagion.simulation import Simulation
from contagion.units import PPM, to_ppm


class LendingProtocol(Positions):
    """Reserves, positions and the check of their health."""

    class Params(Parameters):
        """`close_factor` is the part of the debt that one liquidation may repay while health is above .95."""

        reserves: dict[AssetName, ReserveParams]
        block_time: Duration = 12_000_000
        close_factor: Share = Decimal("0.5")
        full_below: Share = Decimal("0.95")
        partial_minimum: int = 2_000
        dust: int = 1_000

    opens = 4
    reacts: ClassVar[bool] = True

    def __init__(self, sim: Simulation, node: int, params: "LendingProtocol.Params") -> None:
        reserves = [Reserve(sim, node, name, reserve) for name, reserve in params.reserves.items()]
        super().__init__(sim, node, {reserve.asset: reserve for reserve in reserves})
        self.params, self.calls = params, Signal(sim.env)
        self._inbox = sim.inbox()
        self.reads: dict[int, Feed] = {}
        self._cohorts: list[Cohort] = []
        self._pairs: dict[int, tuple[int, int]] = {}
        self._notice_us: dict[int, int] = {}
        self._plain: list[Position] = []
        self._breached: dict[Position, int] = {}
        self._called: set[Position] = set()

    def open(self) -> None:
        """Read the oracles and take what suppliers have deposited (their `claims` edges)."""
        sim = self.sim
        feeds = sim.subscribe(self.node, inbox=self._inbox)
        for asset, reserve in self.reserves.items():
            reserve.open()
            found = [feed for feed in feeds if feed.asset == asset]
            if len(found) != 1:
                name = sim.ledger.assets[asset].name
                what = f"{len(found)} prices edges bring {name!r} here: the protocol reads one per reserve"
                raise Misfit(("nodes", sim.network.names[self.node], "reserves", name), what)
            self.reads[asset] = found[0]
            self._marks[asset] = self._first_marks[asset] = found[0].mark
        for link in sim.links(self.node, CREDITORS):
            name = link.attributes["asset"]
            asset = sim.assets.get(name, -1)
            if asset not in self.reserves:
                raise Misfit(("edges", link.edge), f"the protocol has no reserve of {name!r} to owe")
            amount = sim.units(asset, link.attributes["quantity"])
            self.open_position(Position(link.peer.node, -1), asset, amount, "collateral")

    def processes(self) -> Iterable[Process]:
        """Return the check of health; refuse to start with anybody in breach."""
        sim = self.sim
        for link in sim.links(self.node, BORROWERS):
            self._notice_us[link.peer.node] = link.latency_us
            self._add_cohorts(link.peer.node)
        for position in self._in_breach(set(self.reserves)):
            who = sim.network.names[position.holder]
            raise Misfit(
                ("nodes", who),
                f"is not at rest: health factor {self.health(position):.4f} at the start; "
                "give it less debt or more collateral",
            )
        yield self._watch()

    def offer(self, position: Position, collateral: int | None = None) -> Offer | None:
        """Return the terms of a liquidation of the largest collateral (or a stated one) and the largest debt."""
        deposits, debts = self._held(position)
        weighted, debt = self._weigh(deposits, debts)
        pledged = {asset: amount for asset, amount in deposits.items() if self.reserves[asset].threshold}
        if not pledged or not lending.is_liquidatable(weighted, debt) or collateral not in (None, *pledged):
            return None
        seized = max(pledged, key=lambda a: pledged[a] * self._unit(a)) if collateral is None else collateral
        repaid = max(debts, key=lambda a: debts[a] * self._unit(a))
        debt_unit, p = self._unit(repaid), self.params
        factor = lending.close_factor_ppm(
            weighted, debt, deposits[seized] * self._unit(seized), debts[repaid] * debt_unit, self._one,
            to_ppm(p.close_factor), threshold_ppm=to_ppm(p.full_below), minimum=p.partial_minimum,
        )  # fmt: skip
        largest = min(debts[repaid], debt * factor // (PPM * debt_unit))
        reserve = self.reserves[seized]
        return Offer(
            seized, repaid, largest, debts[repaid], deposits[seized], self._unit(seized), debt_unit,
            reserve.bonus, reserve.fee, self.params.dust * self._one,
        )  # fmt: skip

    def liquidate(self, position: Position, offer: Offer, repay: int, liquidator: int, *, cause: int) -> Seizure:
        """Repay a debt and seize collateral; Refused when healthy, dusty, illiquid or not affordable."""
        pledged, owed = self.reserves[offer.collateral], self.reserves[offer.debt]
        self._accrue()
        terms = self.offer(position, offer.collateral)
        if terms is None:
            raise Refused("the position is healthy")
        if terms.debt != offer.debt:
            raise Refused(f"its largest debt is in {self._name(terms.debt)} by now")
        deal = lending.liquidation(
            min(repay, terms.largest), terms.deposited, terms.debt_unit, terms.collateral_unit, terms.bonus_ppm,
            terms.fee_ppm,
        )  # fmt: skip
        self._refuse_dust(position, terms, deal)
        received = deal.seized - deal.protocol_fee
        if received > pledged.cash():
            raise Refused(f"{self._name(offer.collateral)} is lent out and cannot be seized")
        repaid, debt_units = self._payback(owed, position, deal.repay)
        held = self.sim.ledger.balance(position.holder, pledged.supply, position.member)
        everything = deal.seized == terms.deposited
        units = held if everything else min(held, pledged.supply_units(deal.seized, up=True))
        own, holder, node = member_of(position), position.holder, self.node
        event = self.sim.transact(
            "liquidation", holder,
            (liquidator, offer.debt, -repaid), (node, offer.debt, repaid),
            (holder, owed.debt, debt_units, *own), (node, owed.debt, -debt_units),
            (holder, pledged.supply, -units, *own), (node, pledged.supply, units),
            (node, offer.collateral, -received), (liquidator, offer.collateral, received),
            cause=cause, member=position.member, channel=Channel.LENDING_LIQUIDATION, asset=offer.collateral,
            market=node, quantity=deal.seized, price=self._marks[offer.collateral].price,
            value=self._value(deal.seized * terms.collateral_unit), exposures=self._exposures(position),
        )  # fmt: skip
        self._write_off(position, event)
        self._forget_if_healthy(position)
        self.liquidity.fire(event)
        return Seizure(event, repaid, received)

    def _refuse_dust(self, position: Position, terms: Offer, deal: lending.Liquidation) -> None:
        debt_left = self.debt_of(position, terms.debt) - deal.repay
        left = (debt_left * terms.debt_unit, (terms.deposited - deal.seized) * terms.collateral_unit)
        if min(left) > 0 and lending.leaves_dust(*left, self._one, self.params.dust):
            raise Refused(f"a rest worth less than {self.params.dust} would be left")

    def repay(self, position: Position, asset: int, amount: int, *, cause: int, payer: int | None = None) -> int:
        """Pay a debt back, at most all of it, and return the event; `payer` pays for somebody else."""
        event = super().repay(position, asset, amount, cause=cause, payer=payer)
        self._forget_if_healthy(position)
        return event

    def supply(self, position: Position, asset: int, amount: int, *, cause: int) -> int:
        """Deposit and return the event; Refused when the holder does not have it."""
        event = super().supply(position, asset, amount, cause=cause)
        self._forget_if_healthy(position)
        return event

    def _forget_if_healthy(self, position: Position) -> None:
        """Let the next breach of a position that was healed be a new one, with a cause of its own."""
        if position in self._breached and not lending.is_liquidatable(*self._sides(position)):
            del self._breached[position]
            self._called.discard(position)

    def _write_off(self, position: Position, event: int) -> None:
        """Realise the bad debt of a position that has no collateral left (Aave v3.3: the deficit is burnt)."""
        if self._sides(position)[0] > 0:
            return
        for asset, reserve in self.reserves.items():
            units = -self.sim.ledger.balance(position.holder, reserve.debt, position.member)
            if units:
                amount = reserve.indebted(units)
                self.sim.transact(
                    "bad-debt", self.node,
                    (position.holder, reserve.debt, units, *member_of(position)), (self.node, reserve.debt, -units),
                    cause=event, member=position.member, channel=Channel.CREDIT, asset=asset, market=self.node,
                    quantity=amount, value=self._value(amount * self._unit(asset)),
                )  # fmt: skip

    def _watch(self) -> Process:
        sim, block = self.sim, self.params.block_time
        while True:
            yield self._inbox.wait()
            if block:
                yield sim.pause(block - sim.env.now % block)
            self._read()

    def _read(self) -> None:
        cause = CLOCK
        self._accrue()
        for cause, tick in self._inbox.take():
            if tick.asset not in self.reserves:
                continue
            self._marks[tick.asset] = tick.mark
            breaching = self._in_breach({tick.asset})
            for position in breaching:
                self._breached.setdefault(position, cause)
            for position in [p for p in self._breached if p not in breaching]:
                if tick.asset in self._pairs.get(position.holder, (tick.asset,)):
                    del self._breached[position]
                    self._called.discard(position)
        self._call()
        if self._called:
            self.calls.fire(cause, (self.node, []))

    def _call(self) -> None:
        """Log a call per cause; whom an edge tells late can be liquidated that much later."""
        causes: dict[tuple[int, int], list[Position]] = defaultdict(list)
        for position, cause in self._breached.items():
            if position not in self._called:
                causes[cause, self._notice_us[position.holder]].append(position)
        for (cause, notice_us), positions in sorted(causes.items()):
            positions.sort(key=lambda position: (self.health(position), position))
            event = self.sim.record("call", self.node, cause=cause, market=self.node, quantity=len(positions))
            self._called.update(positions)
            calls = [Call(position, event) for position in positions]
            if notice_us:
                self.sim.start(self._call_later(calls, event, notice_us))
            else:
                self.calls.fire(event, (self.node, calls))

    def _call_later(self, calls: list[Call], event: int, notice_us: int) -> Process:
        yield self.sim.env.timeout(notice_us)
        self.calls.fire(event, (self.node, calls))

    def _in_breach(self, assets: set[int]) -> dict[Position, None]:
        """Return the positions in breach that hold or owe one of the assets, plain holders first."""
        found: dict[Position, None] = {}
        for position in self._plain:
            if lending.is_liquidatable(*self._sides(position)):
                found[position] = None
        for cohort in self._cohorts:
            pair = self._pairs[cohort.holder]
            if assets.isdisjoint(pair):
                continue
            indebted = []
            for member in cohort.suspects(*(self._unit(asset) for asset in pair)):
                position = Position(cohort.holder, member)
                weighted, debt = self._sides(position)
                if debt:
                    indebted.append(member)
                if lending.is_liquidatable(weighted, debt):
                    found[position] = None
            cohort.keep(indebted)
        return found

    def _add_cohorts(self, holder: int) -> None:
        columns = {asset for (owner, asset) in self.sim.ledger.members if owner == holder}
        pledged = [r for r in self.reserves.values() if r.supply in columns]
        owed = [r for r in self.reserves.values() if r.debt in columns]
        if not columns:
            self._plain.append(Position(holder, -1))
        elif pledged and owed:
            assert len(pledged) == len(owed) == 1, "a population has one collateral and one debt here"
            self._cohorts.append(Cohort(holder, pledged[0], owed[0]))
            self._pairs[holder] = (pledged[0].asset, owed[0].asset)


MECHANISM: type[Mechanism] = LendingProtocol
