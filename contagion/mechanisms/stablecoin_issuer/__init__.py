"""Who issues a stablecoin and takes it back at par: fee, capacity, settlement delay, finite backing.

Only holders at the end of a `redeems` edge may redeem and mint. A redeemed token leaves its holder at once for a
claim on the issuer, which is paid after `delay` and that edge's latency from the payout tokens at hand; what cannot
be paid waits and is logged as a redemption gate (a `blocked-withdrawal` of the issuer). Who mints pays first and
gets the tokens as much later. Requests beyond `capacity` (`mint_capacity`) within an hour are refused.

Delta-neutral: beside payout tokens it may hold coins (`backing`, at its accounts at exchanges over `margin` edges,
or its own) and be short of perpetuals against them (`treasury`). Of new money the stated shares buy coins and are
sold short. When what is owed, the `floor` and the `reserve` exceed what is at hand, it sells coins and buys shorts
back in steps, and withdraws the money, as fast as exchanges let it; a step moves prices through the channel of the
oldest redemption that nothing else covers (panic, but where a crowd runs from a de-peg). A hedge whose two sides
differ by more than `tolerance`, since its short was deleveraged or liquidated or an order found nobody, is logged
(`hedge-gap`) and closed `rehedge_delay` later: sold short anew at a price near the last, else the naked coins are
sold. What funding, staked coins and stablecoins earn it pays on every `yield_interval` (`income`).

The reserve is part of the payout tokens at hand: what is set aside pays redemptions when nothing is left to sell.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from contagion.errors import Misfit
from contagion.ledger import Asset, Refused
from contagion.log import Channel
from contagion.mechanisms.stablecoin_issuer.income import Income
from contagion.mechanisms.stablecoin_issuer.terms import IssuerTerms
from contagion.mechanisms.stablecoin_issuer.treasury import Treasury
from contagion.ports import REDEEMERS, VENUES, Feed, Mechanism, Process, Signal, Tick
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_SCALE, to_ppm
from contagion.venues import Notice

_HOUR = 3_600_000_000


@dataclass
class Request:
    """A redemption that is not paid yet: to whom, how much, the event that it waits for since, what it is asked by."""

    holder: int
    left: int
    cause: int
    channel: int
    gated: bool = False


class StablecoinIssuer:
    """A liability at par, and what stands behind it."""

    Params = IssuerTerms
    reacts: ClassVar[bool] = True

    def __init__(self, sim: Simulation, node: int, params: IssuerTerms) -> None:
        self.sim, self.node, self.params = sim, node, params
        self.asset, self.payout = sim.assets[params.asset], sim.assets[params.payout]
        name, decimals = sim.network.names[node], [sim.ledger.assets[a].decimals for a in (self.payout, self.asset)]
        self.claim = sim.add_asset(Asset(f"{name}/redemption", decimals[0], frozenset({node})))
        self._mints = params.mint_capacity > 0
        if self._mints:
            self.minting = sim.add_asset(Asset(f"{name}/minting", decimals[1], frozenset({node})))
        self.opens = 5 if sim.network.edges_in(node, "margin") else 3
        self.feeds: dict[int, Feed] = {}
        self.settled, self.paid = Signal(sim.env), Signal(sim.env)
        self.treasury = Treasury(sim, node, params)
        self.income = Income(sim, node, params, self.treasury)
        self._used: dict[str, deque[tuple[int, int]]] = {"redeemed": deque(), "minted": deque()}
        self._sums = dict.fromkeys(self._used, 0)
        self._waiting: list[Request] = []
        self._unpaid: list[Request] = []
        self._unwinding = False
        self._order_us = 0
        self._trades = sim.twin != "frozen"
        self._inbox, self._news = sim.inbox(), sim.inbox()
        self._rest_until: dict[int, int] = {}

    def open(self) -> None:
        """Quote the claims at what they are claims on, and open the accounts."""
        sim, p = self.sim, self.params
        self.feeds[self.claim] = sim.claim_feed(self.claim, self.payout, PRICE_SCALE)
        if self._mints:
            self.feeds[self.minting] = sim.claim_feed(self.minting, self.asset, PRICE_SCALE)
        if (self._mints or p.yield_interval) and self.node not in sim.ledger.assets[self.asset].issuers:
            what = f"{sim.network.names[self.node]!r} makes new {p.asset!r}: name it as that asset's 'issuer'"
            raise Misfit(("nodes", p.asset, "issuer"), what)
        self.treasury.open()
        self.income.open()
        for account in self.treasury.accounts:
            latency = max(edge.latency_us for edge in sim.network.edges_in(self.node, "margin"))
            account.calls.reach(self._inbox, latency)
            account.notices.reach(self._inbox, latency)
            account.notices.reach(self._news, latency)
            for hedge in self.treasury.hedges:
                if hedge.clearing is account:
                    account.feeds[hedge.traded].changed.reach(self._inbox, latency)

    def processes(self) -> Iterable[Process]:
        """Return the watch over the hedge, the ear for money that arrives, and the payment of yield."""
        self.income.start()
        self._order_us = max((link.latency_us for link in self.sim.links(self.node, VENUES)), default=0)
        if self.treasury.hedges:
            yield self._watch()
        if self.treasury.accounts:
            yield self._listen()
        if self.params.yield_interval:
            yield self.income.pay(self.owed, self.paid)

    # ------------------------------------------------------------------------------------ what others see

    def room(self) -> int:
        """Return how much may still be redeemed in this hour (a window that slides)."""
        return self._room("redeemed", self.sim.units(self.asset, self.params.capacity))

    def mint_room(self) -> int:
        """Return how many tokens may still be minted in this hour."""
        return self._room("minted", self.sim.units(self.asset, self.params.mint_capacity))

    def payment(self, quantity: int) -> int:
        """Return what a redemption of `quantity` pays: par minus the fee."""
        decimals = [self.sim.ledger.assets[asset].decimals for asset in (self.payout, self.asset)]
        par = int(quantity * 10 ** decimals[0] // 10 ** decimals[1])
        return par - par * to_ppm(self.params.fee) // PPM

    def issue(self, money: int) -> int:
        """Return the tokens that are minted for an amount of the payout: par minus the fee."""
        decimals = [self.sim.ledger.assets[asset].decimals for asset in (self.payout, self.asset)]
        par = int(money * 10 ** decimals[1] // 10 ** decimals[0])
        return par - par * to_ppm(self.params.mint_fee) // PPM

    def owed(self) -> int:
        """Return what the issuer owes in base units of the payout: tokens at par, requests and claims on tokens."""
        balances, assets = self.sim.ledger.balances[self.node], self.sim.ledger.assets
        tokens = -min(balances[self.asset], 0) - (balances[self.minting] if self._mints else 0)
        par = -(-tokens * 10 ** assets[self.payout].decimals // 10 ** assets[self.asset].decimals)
        return int(par) - balances[self.claim]

    def coverage(self) -> float:
        """Return the value of the backing over what is owed; infinite where nothing is."""
        owed = self.owed()
        return self.treasury.value(self.asset) / owed if owed else float("inf")

    def base_yield(self) -> float:
        """Return the annual rate that those who stake would earn at the rates of now."""
        return self.income.base_yield(-min(self.sim.ledger.balances[self.node][self.asset], 0))

    def redeem(self, holder: int, quantity: int, *, cause: int, channel: int = Channel.PANIC) -> int:
        """Take tokens for a claim and return the event; Refused beyond the capacity or the holding."""
        sim, pays = self.sim, self.payment(quantity)
        self._refuse_strangers(holder, "redeem")
        if not 0 < quantity <= self.room():
            raise Refused(f"{sim.network.names[self.node]} redeems no more within this hour")
        event = sim.transact(
            "redemption", self.node,
            (holder, self.asset, -quantity), (self.node, self.asset, quantity),
            (self.node, self.claim, -pays), (holder, self.claim, pays),
            cause=cause, channel=Channel.FEE, asset=self.asset, quantity=quantity, value=pays,
        )  # fmt: skip
        self._count("redeemed", quantity)
        self._unpaid.append(Request(holder, pays, event, channel))
        sim.start(self._settle(self._unpaid[-1]))
        if self._trades and self.treasury.stakes and not self._unwinding and self._short() > 0:
            self._unwinding = True
            sim.start(self._unwind(event))
        return event

    def mint(self, holder: int, money: int, *, cause: int) -> int:
        """Take payout tokens for a claim on new ones and return the event; Refused beyond capacity or holding."""
        sim, tokens = self.sim, self.issue(money)
        self._refuse_strangers(holder, "mint")
        if not 0 < tokens <= self.mint_room():
            raise Refused(f"{sim.network.names[self.node]} mints no more within this hour")
        event = sim.transact(
            "mint", self.node,
            (holder, self.payout, -money), (self.node, self.payout, money),
            (self.node, self.minting, -tokens), (holder, self.minting, tokens),
            cause=cause, channel=Channel.FEE, asset=self.payout, quantity=tokens, value=money,
        )  # fmt: skip
        self._count("minted", tokens)
        sim.start(self._deliver(holder, tokens, event))
        self._pay_waiting(event)
        if self._trades and any(stake.share_ppm for stake in self.treasury.stakes):
            sim.start(self._invest(money, event))
        return event

    def _room(self, what: str, capacity: int) -> int:
        used, since = self._used[what], self.sim.env.now - _HOUR
        while used and used[0][0] <= since:
            self._sums[what] -= used.popleft()[1]
        return max(capacity - self._sums[what], 0)

    def _count(self, what: str, amount: int) -> None:
        self._used[what].append((self.sim.env.now, amount))
        self._sums[what] += amount

    def _refuse_strangers(self, holder: int, what: str) -> None:
        sim = self.sim
        if holder not in (peer.node for peer in sim.peers(self.node, REDEEMERS)):
            raise Refused(f"{sim.network.names[holder]} may not {what} with {sim.network.names[self.node]}")

    # ------------------------------------------------------------------------------------ paying and issuing

    def _transfer_us(self, holder: int) -> int:
        links = self.sim.links(self.node, REDEEMERS)
        return max(link.latency_us for link in links if link.peer.node == holder)

    def _settle(self, request: Request) -> Process:
        transfer = self._transfer_us(request.holder)
        while request.left:
            yield self.sim.pause(self.params.delay + transfer)
            self._pay(request, request.cause)
            if request.left:
                yield self.sim.env.timeout(_HOUR)

    def _pay(self, request: Request, cause: int) -> None:
        """Pay what is at hand; what is not is a gate, logged once, and waits for money."""
        sim, pays = self.sim, max(min(request.left, self._payable()), 0)
        if pays:
            request.cause = cause = sim.transact(
                "settlement", self.node,
                (self.node, self.payout, -pays), (request.holder, self.payout, pays),
                (request.holder, self.claim, -pays), (self.node, self.claim, pays),
                cause=cause, asset=self.payout, quantity=pays, value=pays,
            )  # fmt: skip
            self.settled.fire(cause)
        request.left -= pays
        if request.left and not request.gated:
            request.gated = True
            self._waiting.append(request)
            sim.record("blocked-withdrawal", self.node, cause=cause, asset=self.asset, quantity=request.left)
        if not request.left:
            self._waiting = [other for other in self._waiting if other is not request]
            self._unpaid = [other for other in self._unpaid if other is not request]

    def _pay_waiting(self, cause: int) -> None:
        """Pay those who wait, first come, first served."""
        for request in list(self._waiting):
            if self._payable() > 0:
                self._pay(request, cause)

    def _payable(self) -> int:
        """Return the payout tokens that redemptions may be paid from: all but the reserve while coins are left."""
        sellable = any(self.treasury.sellable(stake) for stake in self.treasury.stakes)
        return self.treasury.own(self.payout) - (self.sim.units(self.payout, self.params.reserve) if sellable else 0)

    def _deliver(self, holder: int, tokens: int, cause: int) -> Process:
        yield self.sim.pause(self.params.delay + self._transfer_us(holder))
        self.sim.transact(
            "delivery", self.node,
            (self.node, self.asset, -tokens), (holder, self.asset, tokens),
            (holder, self.minting, -tokens), (self.node, self.minting, tokens),
            cause=cause, asset=self.asset, quantity=tokens,
        )  # fmt: skip

    # -------------------------------------------------------------------------------------------- the hedge

    def _invest(self, money: int, cause: int) -> Process:
        yield self.sim.pause(self.params.rehedge_delay + self._order_us)
        self.income.accrue()
        self.treasury.invest(min(money, max(self._payable(), 0)), cause=cause)

    def _short(self) -> int:
        """Return the payout tokens that are missing at hand: what is owed, the floor and the reserve."""
        kept = self.sim.units(self.payout, self.params.floor + self.params.reserve)
        return kept - self.sim.ledger.balances[self.node][self.claim] - self.treasury.own(self.payout)

    def _sold_for(self, wanted: int, before: int) -> int:
        """Return the channel of the oldest redemption that is not covered but by a sale; the last one where all are."""
        covered = sum(request.left for request in self._unpaid) - wanted
        for request in self._unpaid:
            covered -= request.left
            if covered < 0:
                return request.channel
        return before

    def _unwind(self, cause: int) -> Process:
        """Sell in steps and withdraw, as long as money is missing and something is left to turn into it."""
        sim, treasury, channel = self.sim, self.treasury, int(Channel.PANIC)
        step = sim.units(self.asset, self.params.unwind)
        step = step * 10 ** sim.ledger.assets[self.payout].decimals // 10 ** sim.ledger.assets[self.asset].decimals
        yield sim.pause(self._order_us)
        while (missing := self._short()) > 0:
            self.income.accrue()
            left = any(treasury.sellable(stake) for stake in treasury.stakes)
            if not (left or treasury.cash() or treasury.under_way()):
                break
            before = treasury.own(self.payout)
            wanted = missing - treasury.cash()
            channel = self._sold_for(wanted, channel)
            treasury.unwind(min(step, wanted), cause=cause, channel=channel)
            treasury.withdraw(missing, cause=cause)
            if treasury.own(self.payout) > before:
                self._pay_waiting(cause)
            yield sim.env.timeout(self.params.unwind_interval)
        self._unwinding = False

    def _listen(self) -> Process:
        """Pay those who wait when a withdrawal arrives."""
        while True:
            yield self._news.wait()
            for cause, notice in self._news.take():
                if notice.holder == self.node and notice.amount:
                    if notice.asset == self.payout:
                        self.treasury.arrived(notice.exchange, notice.amount)
                    self._pay_waiting(cause)

    def _watch(self) -> Process:
        """Look at the hedge when its mark moves or the exchange has done something to it, and send orders."""
        while True:
            yield self._inbox.wait()
            yield self.sim.pause(self.params.rehedge_delay)
            tick, own = 0, 0
            for event, content in self._inbox.take():
                holder = content.holder if isinstance(content, Notice) else content
                if isinstance(content, Tick):
                    tick = event
                elif holder == self.node:
                    own = event
            self.income.accrue()
            gaps = [self._gap(hedge, own or tick) for hedge in self.treasury.hedges] if own or tick else []
            if any(gaps) and self._order_us:
                yield self.sim.pause(self._order_us)
            for hedge, event in zip(self.treasury.hedges, gaps, strict=False):
                if event:
                    self._close(hedge, event)

    def _gap(self, hedge: Any, cause: int) -> int:
        """Log a gap in a hedge and return the event, 0 for none; after an order that found nobody, rest a while."""
        sim, gap = self.sim, self.treasury.gap(hedge)
        if not gap or sim.env.now < self._rest_until.get(hedge.node, 0):
            return 0
        return sim.record(
            "hedge-gap", self.node, cause=cause, asset=hedge.traded, market=hedge.node, quantity=gap,
            value=sim.currency_value(abs(gap), hedge.asset),
        )  # fmt: skip

    def _close(self, hedge: Any, cause: int) -> None:
        """Close what is left of a gap now that the order has reached the market."""
        gap = self.treasury.gap(hedge)
        if gap and not self.treasury.close_gap(hedge, gap, cause=cause):
            self._rest_until[hedge.node] = self.sim.env.now + self.params.unwind_interval


MECHANISM: type[Mechanism] = StablecoinIssuer
