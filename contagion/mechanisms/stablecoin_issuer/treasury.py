"""What stands behind a token: coins at exchanges and outside them, shorts against them, and the orders for both.

A stake is a coin at one market, with the perpetual that is sold short against it. At an order book behind which an
exchange stands, that exchange keeps coins, cash and position; elsewhere the issuer delivers what it owns itself.
What it owns of a coin outside exchanges belongs to the first stake of that coin, and is deposited when it has to be
sold there. A staked coin counts in the hedge as so much of the contract's asset as it redeems for, by the two
reference prices, so that its discount at a market is no reason to trade.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contagion.errors import Misfit
from contagion.ledger import Refused
from contagion.log import Channel
from contagion.mechanisms.stablecoin_issuer.terms import IssuerTerms
from contagion.ports import VENUES
from contagion.simulation import Simulation
from contagion.units import PPM, to_ppm
from contagion.venues import BUY, EXCHANGES, SELL, Custodian, open_accounts

_SPENT_PPM = 990_000
"""Of money for a purchase, what is spent: the rest is for fees and the distance between two offers."""


@dataclass(frozen=True)
class Stake:
    """A coin at a market; `account` is the exchange that keeps it there, None where it is the issuer's own."""

    coin: int
    market: Any
    hedge: Any
    account: Custodian | None
    share_ppm: int


class Treasury:
    """Coins, cash at exchanges and shorts of one issuer; `payout` is the money."""

    def __init__(self, sim: Simulation, node: int, terms: IssuerTerms) -> None:
        self.sim, self.node, self.terms = sim, node, terms
        self.payout = sim.assets[terms.payout]
        self.stakes: list[Stake] = []
        self.accounts: list[Custodian] = []
        self.hedges: list[Any] = []
        self._asked: dict[int, int] = {}
        self._modesty: dict[int, int] = {}

    def open(self) -> None:
        """Open the accounts at exchanges and find the markets; Misfit where one is out of reach."""
        sim = self.sim
        open_accounts(sim, self.node)
        self.accounts = sim.peers(self.node, EXCHANGES)
        reach: dict[str, Any] = {sim.network.names[venue.node]: venue for venue in sim.peers(self.node, VENUES)}
        for name, terms in self.terms.backing.items():
            path = ("nodes", sim.network.names[self.node], "backing", name)
            market = self._reached(reach, name, path)
            coins = [asset for asset in market.assets() if asset != self.payout]
            if getattr(market, "perpetual", False) or len(coins) != 1 or self.payout not in market.assets():
                raise Misfit(path, f"{name!r} is no market of one coin against {self.terms.payout!r}")
            hedge = None if terms.hedge is None else self._reached(reach, terms.hedge, (*path, "hedge"))
            if hedge is not None and not (getattr(hedge, "perpetual", False) and self._account(hedge)):
                what = f"{terms.hedge!r} is no book of perpetuals of an exchange at which this issuer has an account"
                raise Misfit((*path, "hedge"), what)
            self.stakes.append(Stake(coins[0], market, hedge, self._account(market), to_ppm(terms.share)))
        self.hedges = list({stake.hedge.node: stake.hedge for stake in self.stakes if stake.hedge}.values())

    def _reached(self, reach: dict[str, Any], name: str, path: tuple[str, ...]) -> Any:
        if name not in reach:
            raise Misfit(path, f"{name!r} is no market that this issuer trades at: add a 'trades' edge to it")
        return reach[name]

    def _account(self, market: Any) -> Custodian | None:
        """Return the exchange behind a market at which there is an account."""
        behind = getattr(market, "clearing", None)
        return next((account for account in self.accounts if account is behind), None)

    # ------------------------------------------------------------------------------------------- looking

    def own(self, asset: int) -> int:
        """Return what the issuer has of an asset outside exchanges."""
        return self.sim.ledger.balances[self.node][asset]

    def here(self, stake: Stake) -> int:
        """Return what could be sold at a stake's market at once."""
        return stake.account.balance(self.node, stake.coin) if stake.account else self.own(stake.coin)

    def whole(self, stake: Stake) -> int:
        """Return what a stake has of its coin, at its market and outside."""
        first = next(other for other in self.stakes if other.coin == stake.coin)
        outside = self.own(stake.coin) if stake is first and stake.account else 0
        return max(self.here(stake), 0) + outside

    def sellable(self, stake: Stake) -> bool:
        """Return whether there is a lot of a stake's coin."""
        return self.whole(stake) >= getattr(stake.market, "lot", 1)

    def contracts(self, stake: Stake, quantity: int) -> int:
        """Return how many contracts a quantity of a coin is worth, by the two reference prices."""
        sim, asset = self.sim, stake.hedge.asset
        if asset == stake.coin:
            return quantity
        decimals = [sim.ledger.assets[a].decimals for a in (asset, stake.coin)]
        prices = [sim.reference_price(a) for a in (asset, stake.coin)]
        return int(quantity * prices[1] * 10 ** decimals[0] // (prices[0] * 10 ** decimals[1]))

    def short(self, hedge: Any) -> int:
        """Return the contracts sold short at a book; negative for a long position."""
        return -int(hedge.clearing.balance(self.node, hedge.traded))

    def gap(self, hedge: Any) -> int:
        """Return by how many contracts (whole lots) coins exceed the short against them; 0 within the tolerance."""
        held = sum(self.contracts(stake, self.whole(stake)) for stake in self.stakes if stake.hedge is hedge)
        short = self.short(hedge)
        gap = held - short
        if abs(gap) * PPM <= max(held, abs(short)) * to_ppm(self.terms.tolerance):
            return 0
        return int(hedge.rounded(gap)) if gap > 0 else -int(hedge.rounded(-gap))

    def cash(self) -> int:
        """Return the payout tokens at exchanges that may be expected from them (see `withdraw`).

        Where something is left to sell elsewhere, nothing is expected of an exchange whose transfers are halted.
        """
        elsewhere = any(self.sellable(stake) and not _halted(stake) for stake in self.stakes)
        paying = [account for account in self.accounts if not (elsewhere and account.halted_until())]
        return sum(self._expected(account, self._cash(account)) for account in paying)

    def _cash(self, account: Custodian) -> int:
        return max(account.balance(self.node, self.payout), 0)

    def _expected(self, account: Custodian, amount: int) -> int:
        return amount >> self._modesty.get(account.node, 0)

    def worth(self, asset: int, amount: int) -> float:
        """Return an amount of an asset in base units of the payout, at reference prices."""
        sim, decimals = self.sim, self.sim.ledger.assets
        unit = sim.reference_price(asset) / sim.reference_price(self.payout)
        return amount * unit * 10.0 ** (decimals[self.payout].decimals - decimals[asset].decimals)

    def value(self, token: int) -> float:
        """Return all backing in base units of the payout: own coins at reference prices, accounts at their marks."""
        sim = self.sim
        own = [(sim.assets[name], self.own(sim.assets[name])) for name in sim.network.names if name in sim.assets]
        worth = sum(self.worth(asset, amount) for asset, amount in own if amount and asset != token)
        for account in self.accounts:
            worth += self.worth(account.settlement, 1) * account.leverage(self.node)[1]
        return worth

    # ------------------------------------------------------------------------------------------- trading

    def sell(self, stake: Stake, quantity: int, *, cause: int, channel: int, limit: int | None = None) -> int:
        """Sell a coin at its market and return how much was sold; what is refused is logged."""
        before = self.here(stake)
        try:
            if hasattr(stake.market, "clearing"):
                stake.market.execute(self.node, SELL, quantity, limit, cause=cause, channel=channel)
            else:
                stake.market.trade(self.node, stake.coin, quantity, self.payout, cause=cause, channel=channel)
        except Refused:
            self.sim.record("refused-sale", self.node, cause=cause, asset=stake.coin, quantity=quantity)
        return before - self.here(stake)

    def buy(self, stake: Stake, money: int, *, cause: int) -> int:
        """Buy a coin for an amount of the payout, which is at the market already; return how much was bought."""
        before, money = self.here(stake), money * _SPENT_PPM // PPM
        try:
            if hasattr(stake.market, "clearing"):
                size = affordable(stake.market.levels(SELL), money, stake.market.scale)
                stake.market.execute(self.node, BUY, size, cause=cause, channel=Channel.ARBITRAGE)
            else:
                stake.market.trade(self.node, self.payout, money, stake.coin, cause=cause, channel=Channel.ARBITRAGE)
        except Refused:
            self.sim.record("refused-trade", self.node, cause=cause, asset=stake.coin)
        return self.here(stake) - before

    def trade_contracts(
        self, hedge: Any, side: int, quantity: int, *, cause: int, channel: int, limit: int | None = None
    ) -> int:
        """Buy back or sell short, in whole lots; return how many contracts were traded."""
        quantity = int(hedge.rounded(quantity))
        if not quantity:
            return 0
        try:
            done = hedge.execute(self.node, side, quantity, limit, cause=cause, channel=channel)
        except Refused:
            self.sim.record("refused-trade", self.node, cause=cause, asset=hedge.traded)
            return 0
        return int(done.filled)

    def invest(self, money: int, *, cause: int) -> None:
        """Buy coins for their shares of new money and sell as much short; what an exchange refuses stays money."""
        for stake in self.stakes:
            part = money * stake.share_ppm // PPM
            if part and self._deposit(stake, self.payout, part, cause):
                bought = self.buy(stake, part, cause=cause)
                if stake.hedge and bought > 0:
                    size = self.contracts(stake, bought)
                    self.trade_contracts(stake.hedge, SELL, size, cause=cause, channel=Channel.ARBITRAGE)

    def unwind(self, money: int, *, cause: int, channel: int) -> None:
        """Sell coins worth an amount of the payout, in the stated order, and buy back as much of their shorts.

        Where transfers are halted comes last. Coins from outside go first, so that those at the exchange go on being
        margin for what is left of the short.
        """
        for stake in sorted(self.stakes, key=_halted):
            if money <= 0:
                return
            size = min(self._quantity(stake, money), whole := self.whole(stake))
            if (outside := whole - max(self.here(stake), 0)) > 0:
                self._deposit(stake, stake.coin, min(size, outside), cause)
            size = min(size, max(self.here(stake), 0))
            sold = self.sell(stake, size, cause=cause, channel=channel) if size else 0
            money -= int(self.worth(stake.coin, sold))
            if stake.hedge and sold > 0:
                back = min(self.contracts(stake, sold), max(self.short(stake.hedge), 0))
                self.trade_contracts(stake.hedge, BUY, back, cause=cause, channel=channel)

    def close_gap(self, hedge: Any, gap: int, *, cause: int) -> bool:
        """Sell contracts against naked coins, else coins; or buy contracts back. Return whether anything traded."""
        slippage = PPM + (-1 if gap > 0 else 1) * to_ppm(self.terms.slippage)
        channel, limit = Channel.ARBITRAGE, max(hedge.last() * slippage // PPM, 1)
        side = SELL if gap > 0 else BUY
        done = self.trade_contracts(hedge, side, abs(gap), cause=cause, channel=channel, limit=limit)
        rest = self.gap(hedge) if gap > 0 else 0
        for stake in self.stakes:
            if stake.hedge is hedge and rest > 0 and (one := self.contracts(stake, PPM)):
                size = min(rest * PPM // one, max(self.here(stake), 0))
                limit = max(stake.market.last() * slippage // PPM, 1) if hasattr(stake.market, "last") else None
                sold = self.sell(stake, size, cause=cause, channel=channel, limit=limit) if size else 0
                rest, done = rest - self.contracts(stake, sold), done + sold
        return bool(done)

    def _quantity(self, stake: Stake, money: int) -> int:
        """Return how much of a coin an amount of the payout is worth at its market, rounded up to a lot."""
        sim, feed = self.sim, stake.market.feeds.get(stake.coin)
        decimals = [sim.ledger.assets[asset].decimals for asset in (stake.coin, self.payout)]
        price = sim.reference_price(stake.coin) if feed is None else feed.mark.price
        size = -(-money * sim.reference_price(self.payout) * 10 ** decimals[0] // (price * 10 ** decimals[1]))
        lot = getattr(stake.market, "lot", 1)
        return int(-(-size // lot) * lot)

    # ---------------------------------------------------------------------------------------- in and out

    def _deposit(self, stake: Stake, asset: int, amount: int, cause: int) -> bool:
        """Bring what is outside to a stake's market; return whether it is there (a refusal is logged)."""
        if stake.account is None:
            return True
        if amount <= 0:
            return False
        try:
            stake.account.deposit(self.node, asset, amount, cause=cause)
        except Refused:
            self._log_refused(asset, stake.account, amount, cause)
            return False
        return True

    def withdraw(self, wanted: int, *, cause: int) -> int:
        """Ask exchanges for up to so much money that is not asked for yet; return how much was asked for.

        An exchange that refuses although transfers are not halted needs some of it as margin: of its cash only half is
        expected then, and the next request is half as large.
        """
        total, wanted = 0, wanted - sum(self._asked.values())
        for account in self.accounts:
            asked = self._asked.get(account.node, 0)
            amount = self._expected(account, min(self._cash(account) - asked, wanted - total))
            if amount <= 0:
                continue
            try:
                account.withdraw(self.node, self.payout, amount, cause=cause)
            except Refused:
                self._modesty[account.node] = self._modesty.get(account.node, 0) + (not account.halted_until())
                self._log_refused(self.payout, account, amount, cause)
            else:
                self._asked[account.node] = asked + amount
                total += amount
        return total

    def arrived(self, account: int, amount: int) -> None:
        """Take note that a withdrawal is over, paid or not; trust the exchange with twice as much again."""
        self._asked[account] = max(self._asked.get(account, 0) - amount, 0)
        self._modesty[account] = max(self._modesty.get(account, 0) - 1, 0)

    def under_way(self) -> bool:
        """Return whether money is still asked for."""
        return any(self._asked.values())

    def _log_refused(self, asset: int, account: Custodian, amount: int, cause: int) -> None:
        self.sim.record(
            "refused-transfer", self.node, cause=cause, asset=asset, market=account.node, quantity=amount
        )  # fmt: skip


def _halted(stake: Stake) -> bool:
    """Return whether what a sale brings could not be had, because transfers are halted."""
    return stake.account is not None and stake.account.halted_until() > 0


def affordable(levels: Sequence[tuple[int, int]], money: int, scale: int) -> int:
    """Return how much of what is offered, (price, quantity) best first, an amount of money buys.

    >>> affordable([(10, 5), (20, 5)], 90, 1)
    7
    """
    size = 0
    for price, quantity in levels:
        part = min(quantity, money * scale // price)
        size, money = size + part, money - part * price // scale
        if part < quantity:
            break
    return size
