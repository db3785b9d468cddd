"""The balance sheet of a bank: what it holds, what it owes by class, and what it has heard of its debtors.

Each class of a bank's debts is one claim in the ledger, held by its creditors and negative for the bank. A claim
counts at what its debtor said last that it will pay, which the bank hears over its `claims` edges; what it owes
itself counts in full. A claim on somebody who is no bank (a deposit with a lending protocol, say) does not count.
All amounts are base units of the asset in which the bank owes.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from contagion.errors import Misfit
from contagion.finance.branching import Exposure, Mark
from contagion.finance.waterfall import apportioned, pro_rata
from contagion.ledger import Asset
from contagion.log import CLOCK
from contagion.ports import CREDITORS, Feed, Port, Signal
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_SCALE


class Promise(NamedTuple):
    """What a debtor expects to pay on all that it owes in one class, and to each creditor of it."""

    paid: int
    owed: int
    parts: Mapping[int, int]


class Debtor(Protocol):
    """A bank as its creditors see it: `announced` carries a `Promise` for each of its claims."""

    asset: int
    clears: bool
    dates: tuple[int, ...]
    classes: Mapping[int, int]
    announced: Signal


BANKS: Port[Debtor] = Port("claims", "in")


class Loss(NamedTuple):
    """A loss that no price explains, and the event by which the bank knows of it."""

    amount: int
    cause: int


class BalanceSheet:
    """Cash, marketable assets, claims on debtors, debts."""

    sim: Simulation
    node: int
    announced: Signal
    clears: bool
    """Whether debts are paid on a day, and not written down."""
    dates: tuple[int, ...]
    """When debts fall due, cut-offs follow each other and money moves; nothing where debts are written down."""

    def set_up(self, sim: Simulation, node: int, asset: str) -> None:
        """Create the claims on this bank, one for each seniority on its `claims` edges."""
        self.sim, self.node, self.asset = sim, node, sim.assets[asset]
        self.announced, self._inbox = Signal(sim.env), sim.inbox()
        name, decimals = sim.network.names[node], sim.ledger.assets[self.asset].decimals
        classes = {edge.attributes["seniority"] for edge in sim.network.edges_out(node, "claims")}
        self.classes = {  # the most senior first
            seniority: sim.add_asset(Asset(f"{name}/debt/{seniority}", decimals, frozenset({node})))
            for seniority in sorted(classes, reverse=True)
        }
        self.feeds: dict[int, Feed] = {}
        self.reads: dict[int, Feed] = {}
        self._marks: dict[int, Mark] = {}
        self._opened: dict[int, Mark] = {}
        self._units: dict[int, float] = {}
        self._claims: set[int] = set()
        self._heard: dict[int, Promise] = {}
        self._credit_losses: dict[int, Loss] = {}
        self._other_losses: list[Loss] = []
        self.creditors: dict[int, list[int]] = defaultdict(list)

    def open_debts(self) -> None:
        """Post what the bank owes and listen to those who owe it."""
        sim = self.sim
        shift = sim.currency_decimals - sim.ledger.assets[self.asset].decimals
        self._currency_unit = sim.reference_price(self.asset) / PRICE_SCALE * 10.0**shift
        for claim in self.classes.values():
            self.feeds[claim] = sim.claim_feed(claim, self.asset, PRICE_SCALE)
        for link in sim.links(self.node, CREDITORS):
            name, creditor = sim.ledger.assets[self.asset].name, link.peer.node
            if link.attributes["asset"] not in (None, name):
                raise Misfit(("edges", link.edge, "asset"), f"this bank owes {name!r} and nothing else")
            claim, amount = (
                self.classes[link.attributes["seniority"]],
                sim.units(self.asset, link.attributes["quantity"]),
            )
            legs = ((self.node, claim, -amount), (creditor, claim, amount))
            sim.transact("opening", self.node, *legs, cause=CLOCK, asset=claim, quantity=amount)
            if creditor not in self.creditors[claim]:
                self.creditors[claim].append(creditor)
        for debtor in sim.links(self.node, BANKS):
            if not isinstance(getattr(debtor.peer, "announced", None), Signal):
                continue
            if (debtor.peer.asset, debtor.peer.clears) != (self.asset, self.clears):
                raise Misfit(("edges", debtor.edge), "banks that owe each other have one 'asset' and one 'resolution'")
            if debtor.peer.dates != self.dates:
                what = "banks that owe each other have one 'clearing', one 'declaration' and one 'settlement'"
                raise Misfit(("edges", debtor.edge), what)
            debtor.peer.announced.reach(self._inbox, debtor.latency_us)
            self._claims.add(debtor.peer.classes[debtor.attributes["seniority"]])

    def open_marks(self) -> None:
        """Read the prices of what the bank holds beside money; Misfit where one has no price, or two."""
        sim = self.sim
        for edge in sim.network.edges_in(self.node, "holds"):
            asset = sim.assets[sim.network.names[edge.source]]
            if asset == self.asset or asset in self._marks:
                continue
            feeds = sim.subscribe(self.node, asset=asset, inbox=self._inbox)
            if len(feeds) != 1:
                what = f"the bank holds it and reads {len(feeds)} prices of it: let one prices edge bring one"
                raise Misfit(("edges", edge.name), what)
            self.reads[asset] = feeds[0]
            self._marks[asset] = self._opened[asset] = feeds[0].mark
            shift = sim.ledger.assets[self.asset].decimals - sim.ledger.assets[asset].decimals
            self._units[asset] = 10.0**shift / sim.reference_price(self.asset)

    def cash(self) -> int:
        """Return the money at hand."""
        return self.sim.ledger.balances[self.node][self.asset]

    def owed(self) -> int:
        """Return what the bank owes in all."""
        row = self.sim.ledger.balances[self.node]
        return -sum(row[claim] for claim in self.classes.values())

    def worth(self, asset: int, quantity: int) -> int:
        """Return what a quantity of an asset is worth at the last price heard; nothing where the bank hears none."""
        return int(quantity * self._marks[asset].price * self._units[asset]) if asset in self._marks else 0

    def marketable(self) -> int:
        """Return what all holdings beside money are worth."""
        return sum(self.worth(asset, self.sim.ledger.balances[self.node][asset]) for asset in self._marks)

    def inflow(self) -> int:
        """Return what debtors will pay by what they said last, and in full where they said nothing."""
        row, total = self.sim.ledger.balances[self.node], 0
        for claim in self._claims:
            promise = self._heard.get(claim)
            total += row[claim] if promise is None else promise.parts[self.node]
        return total

    def equity(self) -> int:
        """Return what would be left if debtors paid what they said and the bank paid in full."""
        return self.cash() + self.marketable() + self.inflow() - self.owed()

    def shared_out(self, claim: int, paid: int) -> Promise:
        """Return what each creditor of a class gets of what is paid on it."""
        owed = self._owed_to(claim)
        return Promise(paid, sum(owed.values()), dict(zip(owed, apportioned(paid, list(owed.values())), strict=True)))

    def written_down(self, claim: int, kept_ppm: int) -> Promise:
        """Return what each creditor of a class keeps of its claim."""
        owed = self._owed_to(claim)
        return Promise(kept_ppm, PPM, {creditor: pro_rata(kept_ppm, PPM, part) for creditor, part in owed.items()})

    def _owed_to(self, claim: int) -> dict[int, int]:
        return {creditor: self.sim.ledger.balances[creditor][claim] for creditor in self.creditors[claim]}

    def _mark_down(self, claim: int, promise: Promise, cause: int) -> None:
        """Let a claim count at what its debtor expects to pay."""
        held = self.sim.ledger.balances[self.node][claim]
        self._heard[claim] = promise
        self._credit_losses[claim] = Loss(held - promise.parts[self.node], cause)

    def stakes(self) -> tuple[list[Exposure], list[tuple[float, float, bool]]]:
        """Return what a failure is weighed by: holdings with their marks, and direct losses by what set them off."""
        row, log = self.sim.ledger.balances[self.node], self.sim.log
        held = [Exposure(row[a] * self._units[a], self._opened[a], mark) for a, mark in self._marks.items() if row[a]]
        losses = [*self._credit_losses.values(), *self._other_losses]
        direct = [(float(x.amount), log.weighted_generation(x.cause), log.is_exogenous(x.cause)) for x in losses]
        return held, direct

    def currency(self, amount: int) -> int:
        """Return an amount in base units of the currency."""
        return round(amount * self._currency_unit)
