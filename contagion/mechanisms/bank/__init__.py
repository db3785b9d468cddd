"""A bank of the classical models: it fails when its equity is gone, and its creditors lose by a rule.

Equity is money, marketable assets at the prices heard, and claims on other banks as their debtors value them, less
all debts. It is reviewed whenever the bank hears something: a price, a debtor, a shock.

`resolution = "write-down"` (Furfine 2003; threshold cascades). A bank that is short is in default at once. A creditor
that hears of it, when the edge's latency has passed, writes `loss_given_default` of its claim off: so much of the debt
is gone, the estate keeps what it would have paid, and a write-down is a transfer. Who is no bank keeps its claim in
full. With equal latencies generations are the rounds.

`resolution = "clearing"` (Eisenberg and Noe 2001; Rogers and Veraart 2013). Debts fall due at `clearing`, and every
bank expects all to be paid in full. Who is short is in default at the next cut-off: `clearing` and every `declaration`
after it (what is learnt at the very moment of a cut-off counts at the next). The estate announces what it expects to
pay on each class of its debts, from `recovery_external` of its own assets and `recovery_interbank` of what its own
debtors have announced; when it hears that they pay less, it announces less (`revaluation`), collecting what it hears
for `revision`, until no payment changes by a base unit. The money moves at `clearing` + `settlement`. All banks of a
network have the same dates.

In life, insolvencies are declared at the close of a business day, administrators of failed banks exchange dividend
estimates, and what is due is paid gross in central bank money with an overdraft during the day (Fedwire, TARGET),
the central bank being the outside. Why it ends, and where: payments are integers, a payment is monotone in what is
expected (`finance.waterfall.apportioned`), and all begin at full payment, so estimates only fall, finitely often (as
long as no price rises); what they fall to is the greatest clearing vector but for the units of rounding (Eisenberg
and Noe, theorem 1; Rogers and Veraart, theorem 3.1). Banks that have no money but each other's, one of which is
short, may fall by a unit a revision: `revision` is therefore at least a millionth of `settlement`. Where estimates
settle between two cut-offs, those declared at the k-th are the k-th round of the fictitious default algorithm, and so
is their generation. Where news takes too long for that, all pay the same and some are declared later. An estimate
that still falls at the settlement leaves the estate overdrawn.

A `leverage_limit` makes a bank sell what it holds (`deleveraging`). An estate sells only if `insolvent_sells`: what
it has not turned into money by the settlement is counted and cannot be paid out, and leaves it overdrawn as well.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from contagion.errors import Misfit
from contagion.finance.waterfall import estate_value, waterfall
from contagion.ledger import Asset, Leg
from contagion.log import CLOCK, Channel
from contagion.mechanisms.bank.balance import Loss, Promise
from contagion.mechanisms.bank.deleveraging import Deleveraging
from contagion.params import Amount, AssetName, Duration, Positive, Share
from contagion.params import Params as Parameters
from contagion.ports import Mechanism, Message, Process, Tick
from contagion.simulation import Simulation
from contagion.units import DAY, PPM, PRICE_SCALE, to_ppm


class Bank(Deleveraging):
    """A balance sheet, the review of it, and what follows from a default."""

    class Params(Parameters):
        """`asset` is what the bank owes and settles in; amounts are tokens of it, shares between 0 and 1.

        tie : whether equity of exactly nothing is a default; materiality : a shortfall up to this is none (in life,
        the threshold amount of a default clause; here it also takes what rounding leaves); leverage is assets over
        equity, above `leverage_limit` the bank sells until it is at `leverage_target` (default the limit);
        `insolvent_sells` : whether a bank without equity sells all that it has or nothing.
        """

        asset: AssetName
        resolution: Literal["write-down", "clearing"] = "clearing"
        tie: Literal["survives", "fails"] = "survives"
        materiality: Amount = Decimal(0)
        loss_given_default: Share = Decimal(1)
        recovery_external: Share = Decimal(1)
        recovery_interbank: Share = Decimal(1)
        clearing: Duration = DAY
        declaration: Duration = DAY
        revision: Duration = 60_000_000
        settlement: Duration = 30 * DAY
        leverage_limit: Positive | None = None
        leverage_target: Positive | None = None
        deleveraging: Literal["repay", "review", "keep"] = "repay"
        sells: Literal["pro-rata", "opening-weights"] = "pro-rata"
        repayable: int | None = Field(default=None, ge=0, le=9)
        insolvent_sells: bool = False
        minimum_ratio: Share = Decimal(0)

        @model_validator(mode="after")
        def _possible(self) -> Self:
            if not self.declaration:
                raise ValueError("'declaration' is the time between two cut-offs: it cannot be 0")
            if self.resolution == "clearing" and self.revision * PPM < max(self.settlement, PPM):
                what = "estates would revise each other's payments without time passing"
                raise ValueError(
                    f"'revision' is 0 or less than a millionth of the 'settlement': {what}; let it be longer"
                )
            if self.leverage_target is not None and self.leverage_limit is None:
                raise ValueError("a 'leverage_target' needs a 'leverage_limit' above which it is aimed at")
            if self.leverage_limit is not None and not 1 <= (self.leverage_target or 1) <= self.leverage_limit:
                raise ValueError(f"leverage is at least 1, and its target not above its limit {self.leverage_limit}")
            return self

    opens = 5
    reacts: ClassVar[bool] = True

    def __init__(self, sim: Simulation, node: int, params: "Bank.Params") -> None:
        self.params = params
        self.set_up(sim, node, params.asset)
        if params.repayable is not None and params.repayable not in self.classes:
            what = f"the bank owes nothing of seniority {params.repayable}, but of {sorted(self.classes) or 'none'}"
            raise Misfit(("nodes", sim.network.names[node], "repayable"), what)
        self.clears = params.resolution == "clearing"
        self.dates = (params.clearing, params.declaration, params.settlement) if self.clears else ()
        self._daylight = self._open_overdraft() if self.clears else -1
        self._recovery_ppm = to_ppm(params.recovery_external), to_ppm(params.recovery_interbank)
        self._limit = to_ppm(params.leverage_limit or Decimal(0))
        self._target = to_ppm(params.leverage_target or params.leverage_limit or Decimal(0))
        self._rule, self._by_opening_weights = params.deleveraging, params.sells == "opening-weights"
        self._repayable, self._insolvent_sells = params.repayable, params.insolvent_sells
        self._minimum_ppm = to_ppm(params.minimum_ratio)
        self._materiality = sim.units(self.asset, params.materiality)
        self._short: int | None = None
        self._estate = -1
        self._promised: dict[int, Promise] = {}
        self._last, self._lost = CLOCK, 0

    def open(self) -> None:
        """Post what the bank owes and read what its holdings are worth."""
        self.open_debts()
        self.open_marks()
        self.open_markets()
        if self.clears and self._daylight not in self.sim.underlying:
            self.sim.claim_feed(self._daylight, self.asset, PRICE_SCALE)

    def processes(self) -> Iterable[Process]:
        """Return the review and, where debts fall due, the settlement; refuse a bank that is not at rest."""
        if self._is_short():
            equity, name = self.equity(), self.sim.network.names[self.node]
            what = f"is not at rest: its equity is {self._tokens(equity)} at the start; give it more or let it owe less"
            raise Misfit(("nodes", name), what)
        self.check_leverage()
        yield self._watch()
        if self.clears and self.classes:
            yield self._settle()

    def fail(self, event: int) -> None:
        """Be in default by an event from outside, which is then not a failure of its own; nothing where all is held."""
        if self._estate < 0 and self.sim.twin != "frozen":
            self._wind_up(event)

    def struck(self, event: int, amount: int, asset: int) -> None:
        """Hear of a shock that took `amount` of an asset away."""
        worth = amount if asset == self.asset else self.worth(asset, amount)
        self._other_losses.append(Loss(worth, event))
        self._inbox.send(Message(event, None), 0)

    def overdraft(self) -> int:
        """Return what the bank owes for payments that were made for it."""
        return -self.sim.ledger.balances[self.node][self._daylight] if self.clears else 0

    def owed(self) -> int:
        """Return what the bank owes in all, an overdraft included."""
        return super().owed() + self.overdraft()

    def _open_overdraft(self) -> int:
        """Return the asset in which banks are overdrawn with the outside between payment and repayment."""
        sim, name = self.sim, f"{self.params.asset}/daylight"
        if name in sim.assets:
            return sim.assets[name]
        return sim.add_asset(Asset(name, sim.ledger.assets[self.asset].decimals, creditor=sim.world))

    def _is_short(self) -> bool:
        equity, least = self.equity(), -self._materiality
        if self._minimum_ppm and equity * PPM < self._minimum_ppm * (equity + self.owed()):
            return True
        return equity < least or (equity == least and self.params.tie == "fails")

    def _tokens(self, amount: int) -> str:
        return f"{Decimal(amount).scaleb(-self.sim.ledger.assets[self.asset].decimals):f} {self.params.asset}"

    def _watch(self) -> Process:
        """Hear, and act on what was heard."""
        while True:
            yield self._inbox.wait()
            if self._estate >= 0 and self.clears:
                yield self.sim.pause(self.params.revision)
            for cause, content in self._inbox.take():
                if isinstance(content, Tick):
                    self._marks[content.asset] = content.mark
                elif content is not None:
                    self._hear(content, cause)
                if self._estate < 0:
                    self._review(cause)
                last = cause
            if self._estate >= 0 and self.clears:
                self._announce(last)
            self.deleverage(last)

    def _hear(self, promises: dict[int, Promise], cause: int) -> None:
        """Take in what a debtor expects to pay: as an estimate, or for good by a write-down."""
        for claim, promise in promises.items():
            held = self.sim.ledger.balances[self.node][claim]
            if held and self.clears:
                self._mark_down(claim, promise, cause)
            elif held and claim not in self._credit_losses:
                self._write_down(claim, held - promise.parts[self.node], cause)

    def _write_down(self, claim: int, loss: int, cause: int) -> None:
        (debtor,) = self.sim.ledger.assets[claim].issuers
        self._credit_losses[claim] = Loss(loss, cause)
        self.sim.transact(
            "write-down", self.node, (self.node, claim, -loss), (debtor, claim, loss), cause=cause,
            channel=Channel.CREDIT, asset=claim, market=debtor, quantity=loss, value=self.currency(loss),
        )  # fmt: skip

    def _review(self, cause: int) -> None:
        """Look whether the bank is short; if so since when, and what made it so."""
        if not self._is_short():
            self._short = None
        elif not self.clears:
            self._default(cause)
        elif self._short is None:
            self._short = cause
            self.sim.start(self._declare())

    def _declare(self) -> Process:
        """Be in default at the next cut-off, if the bank is short by then."""
        p, now = self.params, self.sim.env.now
        passed = now - p.clearing
        at = p.clearing + (passed // p.declaration + 1) * p.declaration if passed >= 0 else p.clearing
        yield self.sim.env.timeout(at - now)
        if self._short is not None and self._estate < 0:
            self._default(self._short)

    def _default(self, cause: int) -> None:
        held, direct = self.stakes()
        event = self.sim.record(
            "default", self.node, cause=cause, asset=self.asset, value=self.currency(self.owed()), exposures=held,
            direct=direct,
        )  # fmt: skip
        for other in sorted({loss.cause for loss in (*self._credit_losses.values(), *self._other_losses)} - {cause}):
            self.sim.contribute(event, other)
        self._wind_up(event)

    def _wind_up(self, event: int) -> None:
        """Begin the estate: creditors are told what there will be."""
        self._estate = self._last = event
        if self.clears:
            self._announce(event)
        else:
            kept = PPM - to_ppm(self.params.loss_given_default)
            self.announced.fire(event, {claim: self.written_down(claim, kept) for claim in self.classes.values()})
        self.deleverage(event)

    def _announce(self, cause: int) -> None:
        """Say what the estate expects to pay, if that has changed."""
        sim, row = self.sim, self.sim.ledger.balances[self.node]
        owed = [-row[claim] for claim in self.classes.values()]
        external, inflow = self.cash() + self.marketable(), self.inflow()
        value = estate_value(external, inflow, *self._recovery_ppm)
        paid, self._lost = waterfall(value, owed), external + inflow - value
        promises = {
            claim: self.shared_out(claim, part)
            for claim, part, due in zip(self.classes.values(), paid, owed, strict=True) if due
        }  # fmt: skip
        if promises == self._promised or not promises:
            return
        self._promised = promises
        if cause != self._estate:
            total = sum(paid)
            cause = sim.record(
                "revaluation", self.node, cause=cause, asset=self.asset, quantity=total, value=self.currency(total)
            )
        for claim, promise in promises.items():
            self.feeds[claim].move(max(promise.paid * PRICE_SCALE // promise.owed, 1), cause, Channel.CREDIT)
        self.announced.fire(cause, promises)
        self._last = cause

    def _settle(self) -> Process:
        """Pay what was promised, out of an overdraft with the outside, and then repay that."""
        sim, p = self.sim, self.params
        yield sim.env.timeout(p.clearing + p.settlement)
        if not self.owed():
            return
        legs, total = list[Leg](), 0
        for claim in self.classes.values():
            promise = self._promised.get(claim)
            for creditor in self.creditors[claim]:
                owed = sim.ledger.balances[creditor][claim]
                paid = owed if promise is None else min(promise.parts[creditor], owed)
                legs += [(creditor, claim, -owed), (self.node, claim, owed)]
                legs += [(sim.world, self.asset, -paid), (creditor, self.asset, paid)]
                total += paid
        legs += [(self.node, self._daylight, -total), (sim.world, self._daylight, total)]
        event = sim.transact(
            "clearing", self.node, *legs, cause=self._last, channel=Channel.CREDIT, asset=self.asset, quantity=total,
            value=self.currency(total),
        )  # fmt: skip
        yield sim.env.timeout(p.declaration)
        self._repay_overdraft(event)

    def _repay_overdraft(self, cause: int) -> None:
        """Repay as far as the money goes, and then let go what the default costs."""
        sim, world = self.sim, self.sim.world
        if repaid := min(self.cash(), self.overdraft()):
            legs = (self.node, self.asset, -repaid), (world, self.asset, repaid)
            back = (world, self._daylight, -repaid), (self.node, self._daylight, repaid)
            sim.transact("repayment", self.node, *legs, *back, cause=cause, asset=self._daylight, quantity=repaid)
        if lost := min(self.cash(), self._lost):
            legs = (self.node, self.asset, -lost), (world, self.asset, lost)
            sim.transact(
                "default-cost", self.node, *legs, cause=cause, channel=Channel.DEFAULT_COST, asset=self.asset,
                quantity=lost, value=self.currency(lost),
            )  # fmt: skip


MECHANISM: type[Mechanism] = Bank
