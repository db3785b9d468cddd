"""What an issuer earns and pays on: funding of its shorts, yield of its coins, rewards on its stablecoins.

Income is what has really come in. Funding is in a contract's index and the yield of a coin in its reference price:
both are read as what one unit has earned since the last look, times the holding, the smaller one of two looks for a
gain and the larger one for a cost. Rewards arrive from the outside as payout tokens. Every `yield_interval` what has
come in is paid on in new tokens, a liability against backing that has grown by as much: `distributed` of it, and
never so much that the backing would not cover all tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contagion.errors import Misfit
from contagion.finance.delta_neutral import earned, staker_yield
from contagion.log import CLOCK, Channel
from contagion.mechanisms.stablecoin_issuer.terms import IssuerTerms
from contagion.mechanisms.stablecoin_issuer.treasury import Stake, Treasury
from contagion.ports import Process, Signal
from contagion.simulation import Simulation
from contagion.units import PPM, YEAR, to_ppm


@dataclass
class Source:
    """Something that earns: `level` is what one unit has earned so far, `held` how many there are now.

    worth : turns base units times level into base units of the payout, rounded down.
    """

    level: Callable[[], int]
    held: Callable[[], int]
    worth: Callable[[int], int]
    before: tuple[int, int] = (0, 0)


class Income:
    """Accrued and distributed income of one issuer."""

    def __init__(self, sim: Simulation, node: int, terms: IssuerTerms, treasury: Treasury) -> None:
        self.sim, self.node, self.terms, self.treasury = sim, node, terms, treasury
        self.asset = sim.assets[terms.asset]
        self._accrued = self._stablecoins = 0
        self._sources: list[Source] = []

    def open(self) -> None:
        """Find what earns; Misfit for a staked token that grows by itself as well."""
        sim, treasury = self.sim, self.treasury
        self._receiver = sim.network.ids[self.terms.distribution] if self.terms.distribution else sim.world
        staked = self.terms.staked
        if staked and self.terms.yield_interval and self._asset_node(sim.assets[staked]).params.yield_rate:
            what = f"the price of {staked!r} grows by its own 'yield_rate': it would be paid twice"
            raise Misfit(("nodes", sim.network.names[self.node], "staked"), what)
        for hedge in treasury.hedges:
            self._sources.append(self._funding(hedge))
        for coin in dict.fromkeys(stake.coin for stake in treasury.stakes if self._growth(stake)):
            self._sources.append(self._staking(coin))

    def start(self) -> None:
        """Remember where everything stands; what has been earned before is not income of this run."""
        for source in self._sources:
            source.before = source.level(), source.held()
        self._stablecoins = self.treasury.own(self.treasury.payout)

    def accrue(self) -> None:
        """Take in what holdings have earned since the last look."""
        for source in self._sources:
            level, held = source.level(), source.held()
            self._accrued += source.worth(earned(level - source.before[0], source.before[1], held))
            source.before = level, held

    def pay(self, owed: Callable[[], int], paid: Signal) -> Process:
        """Return the process that pays income on; `owed` is what the issuer owes in all, in payout tokens.

        A cost that exceeds income lowers the backing and is not charged to later income.
        """
        sim, terms = self.sim, self.terms
        while True:
            yield sim.env.timeout(terms.yield_interval)
            self._collect_rewards()
            self.accrue()
            income, self._accrued = self._accrued * to_ppm(terms.distributed) // PPM, 0
            surplus = int(self.treasury.value(self.asset)) - owed()
            tokens = self._tokens(min(income, surplus))
            if tokens > 0:
                event = sim.transact(
                    "yield", self.node, (self.node, self.asset, -tokens), (self._receiver, self.asset, tokens),
                    cause=CLOCK, channel=Channel.INTEREST, asset=self.asset, quantity=tokens,
                )  # fmt: skip
                self._raise_staked(tokens, event)
                paid.fire(event)

    def base_yield(self, supply: int) -> float:
        """Return the annual rate of those who stake, at today's funding, yields and rewards.

        supply : of the token, in its base units; `staked_share` of it is what shares the income.
        """
        treasury = self.treasury
        yearly = treasury.own(treasury.payout) * float(self.terms.reward_rate)
        for hedge in treasury.hedges:
            account = hedge.clearing
            notional = treasury.short(hedge) * account.unit(hedge.traded)
            yearly += treasury.worth(account.settlement, 1) * notional * account.funding_rate(hedge.traded)
        for stake in treasury.stakes:
            yearly += treasury.worth(stake.coin, treasury.whole(stake)) * self._growth(stake)
        par = supply * 10.0 ** (self._decimals(treasury.payout) - self._decimals(self.asset))
        return staker_yield(yearly, float(self.terms.distributed), par * float(self.terms.staked_share))

    # ---------------------------------------------------------------------------------------------- parts

    def _funding(self, hedge: Any) -> Source:
        account = hedge.clearing
        return Source(
            lambda: int(account.funded(hedge.traded)), lambda: self.treasury.short(hedge),
            lambda total: int(total // hedge.scale),
        )  # fmt: skip

    def _staking(self, coin: int) -> Source:
        sim, treasury = self.sim, self.treasury
        feed = self._asset_node(coin).feeds[coin]
        unit = 10 ** self._decimals(treasury.payout), 10 ** self._decimals(coin)
        return Source(
            lambda: int(feed.mark.channels[Channel.INTEREST]),
            lambda: sum(treasury.whole(stake) for stake in treasury.stakes if stake.coin == coin),
            lambda total: int(total * unit[0] // (unit[1] * sim.reference_price(treasury.payout))),
        )

    def _collect_rewards(self) -> None:
        """Post what stablecoins have earned that were at hand all the time."""
        sim, payout, terms = self.sim, self.treasury.payout, self.terms
        held = self.treasury.own(payout)
        rate = to_ppm(terms.reward_rate) * terms.yield_interval
        reward = max(min(held, self._stablecoins), 0) * rate // (PPM * YEAR)
        if reward > 0:
            sim.transact(
                "reward", self.node, (sim.world, payout, -reward), (self.node, payout, reward), cause=CLOCK,
                channel=Channel.INTEREST, asset=payout, quantity=reward,
            )  # fmt: skip
            self._accrued += reward
        self._stablecoins = self.treasury.own(payout)

    def _raise_staked(self, tokens: int, event: int) -> None:
        """Let the staked token's reference price rise by what its holders have been paid."""
        if self.terms.staked is None:
            return
        sim, asset = self.sim, self.sim.assets[self.terms.staked]
        feed = self._asset_node(asset).feeds[asset]
        staked = -sim.ledger.balances[self.node][self.asset] * to_ppm(self.terms.staked_share) // PPM - tokens
        if staked > 0:
            feed.move(feed.mark.price + feed.mark.price * tokens // staked, event, Channel.INTEREST)

    def _tokens(self, money: int) -> int:
        """Return an amount of the payout in tokens at par."""
        return int(money * 10 ** self._decimals(self.asset) // 10 ** self._decimals(self.treasury.payout))

    def _growth(self, stake: Stake) -> float:
        """Return the annual rate that a coin earns: by which its reference price grows, and not that of its hedge."""
        if stake.hedge is not None and stake.hedge.asset == stake.coin:
            return 0.0
        return float(self._asset_node(stake.coin).params.yield_rate)

    def _asset_node(self, asset: int) -> Any:
        return self.sim.mechanisms[self.sim.network.ids[self.sim.ledger.assets[asset].name]]

    def _decimals(self, asset: int) -> int:
        return self.sim.ledger.assets[asset].decimals
