"""What an issuer states about itself: redemption and minting, what stands behind the token, what it pays on."""

from decimal import Decimal
from typing import Self

from pydantic import Field, model_validator

from contagion.params import Amount, AssetName, Duration, NodeName, Params, Positive, Rate, Share


class Backing(Params):
    """A coin behind the token, by the market at which it is bought and sold for the payout token.

    hedge : the book of perpetuals that are sold short against it, None for a coin held without a hedge; share : of
    new money, what buys it (the rest stays in the payout token).
    """

    hedge: NodeName | None = None
    share: Share = Decimal(0)


class IssuerTerms(Params):
    """An issuer. Amounts in tokens: of the issued token `capacity`, `mint_capacity` and `unwind`, else of the payout.

    capacity, mint_capacity : that may be redeemed and minted an hour; delay : between a request and what is due
    for it, both ways; reserve : set aside and spent last; floor : kept at hand beyond it, below which the hedge is
    unwound; unwind : worth of coins sold each `unwind_interval` then; tolerance : of the larger side of a hedge, by
    which its sides may differ; rehedge_delay : after which a larger gap is acted on; slippage : how far from the
    last price orders that close it are limited; reward_rate : a year on stablecoins at hand; distributed : of the
    income, what is paid on to those who stake; staked_share : of the supply, what is staked; staked : the token
    whose reference price rises by what is paid on; distribution : who receives it (the outside).
    """

    asset: AssetName
    payout: AssetName
    fee: Share = Decimal("0.001")
    capacity: Amount = Decimal(1_000_000_000)
    delay: Duration = 0
    mint_fee: Share = Decimal("0.001")
    mint_capacity: Amount = Decimal(0)
    backing: dict[NodeName, Backing] = {}
    reserve: Amount = Decimal(0)
    floor: Amount = Decimal(0)
    unwind: Positive = Decimal(10_000_000)
    unwind_interval: Duration = 60_000_000
    tolerance: Share = Decimal("0.01")
    rehedge_delay: Duration = 5_000_000
    slippage: Share = Decimal("0.02")
    yield_interval: Duration = 0
    reward_rate: Rate = Decimal(0)
    distributed: Share = Decimal(1)
    staked_share: Share = Field(default=Decimal(1), gt=0)
    staked: AssetName | None = None
    distribution: NodeName | None = None

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if not self.unwind_interval:
            raise ValueError("'unwind_interval' cannot be 0: a hedge is unwound step by step")
        if self.asset == self.payout:
            raise ValueError(f"{self.asset!r} is redeemed for itself: name another 'payout'")
        if (total := sum(coin.share for coin in self.backing.values())) > 1:
            raise ValueError(f"the shares of 'backing' sum to {total}: at most all new money buys coins")
        return self
