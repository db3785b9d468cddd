"""What an exchange states about itself: collateral, contracts, the engine, the fund, transfers.

Maintenance tiers and collateral ratios go by notional, as the venues publish them; `pieces` of
`finance.margin` turn both into one concave function a balance or position.
"""

from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from contagion.finance import margin
from contagion.params import Amount, AssetName, Duration, NodeName, Params, Positive, Rate, Share

Bracket = tuple[Amount, Share]
"""(notional from which it holds, rate or ratio)."""


class Marked(Params):
    """How a price is marked: weighted `sources`, smoothed over `ema`, within `clamp` of the `index`.

    Where the own book is empty or wider than `wide`, the index stands in for it.
    """

    sources: dict[NodeName, Positive] = {}
    index: dict[NodeName, Positive] = {}
    ema: Duration = 0
    clamp: Share | None = None
    wide: Share | None = None

    @model_validator(mode="after")
    def _needs_index(self) -> Self:
        if (self.clamp is not None or self.wide is not None) and not self.index:
            raise ValueError("'clamp' and 'wide' refer to an 'index': state its sources and weights")
        return self


class CoinTerms(Marked):
    """A coin as collateral: `ratios` by notional (falling), its spot `market`, what a loan of it costs a year."""

    ratios: list[Bracket] = [(Decimal(0), Decimal(1))]
    market: NodeName | None = None
    loan_rate: Rate = Decimal(0)
    loan_maintenance: Share = Decimal("0.05")


class ContractTerms(Marked):
    """A perpetual contract, by the name of its book: maintenance `tiers` by notional (rising)."""

    tiers: list[Bracket] = [(Decimal(0), Decimal("0.005"))]
    funding_cap: Share = Decimal("0.0075")


class Halt(Params):
    """A time in which nothing leaves or arrives: an operational fact, stated and not modelled."""

    start: Duration
    end: Duration

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end <= self.start:
            raise ValueError("a halt ends after it starts")
        return self


class Deleveraging(Params):
    """How winners pay when the fund cannot: who first, and by closing positions at once or by a haircut after all.

    refresh : for how long a queue stands before all are ranked anew; who has no profit (any more) is passed over.
    """

    ranking: Literal["binance", "bitmex", "hyperliquid", "pro-rata"] = "binance"
    settlement: Literal["close", "haircut"] = "close"
    refresh: Duration = 0


class ExchangeTerms(Params):
    """An exchange. `trigger` multiplies maintenance, and so does `call_at`, for a margin call.

    slice : of a position above `slice_above`, what is closed in one interval; unwind : of the depth in a book's band,
    what the fund works off in one interval; pool : what the fund may lose on one contract, and hold of it at the
    mark, as a share of its start; keep : how many times maintenance a withdrawal must leave; funding_interest : per
    `funding_interval`, towards which the rate is drawn by at most `funding_clamp` (Binance: 1bps and 5bps per 8h);
    without it the mean premium alone is paid.
    """

    settlement: AssetName
    assets: dict[AssetName, CoinTerms] = {}
    contracts: dict[NodeName, ContractTerms] = {}
    interval: Duration = 1_000_000
    trigger: Positive = Decimal(1)
    call_at: Positive = Decimal("1.5")
    order_limit: Literal["bankruptcy", "none"] = "bankruptcy"
    slice: Share = Decimal(1)
    slice_above: Amount = Decimal(100_000)
    liquidation_fee: Share = Decimal(0)
    unwind: Share = Decimal("0.02")
    pool: Share = Decimal(1)
    deleveraging: Deleveraging = Deleveraging()
    funding_interval: Duration = 28_800_000_000
    funding_interest: Share | None = None
    funding_clamp: Share = Decimal("0.0005")
    interest_interval: Duration = 3_600_000_000
    withdrawal_delay: Duration = 300_000_000
    keep: Positive = Field(default=Decimal("1.2"), ge=1)
    halts: list[Halt] = []

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if not self.interval:
            raise ValueError("the engine's 'interval' cannot be 0")
        if self.call_at < self.trigger:
            raise ValueError("'call_at' lies below 'trigger': accounts would be liquidated before they are called")
        if self.slice <= 0:
            raise ValueError("'slice' is a share above 0: what of a large position is closed at a time")
        if self.deleveraging.settlement == "close" and self.order_limit == "none":
            raise ValueError(
                "orders without a limit leave no position to close: set deleveraging.settlement = 'haircut'"
            )
        for name, coin in self.assets.items():
            _pieces_or_complain(name, coin.ratios, falling=True)
        for name, contract in self.contracts.items():
            _pieces_or_complain(name, contract.tiers, falling=False)
        return self


def _pieces_or_complain(name: str, brackets: list[Bracket], *, falling: bool) -> None:
    plain = [(float(floor), float(rate)) for floor, rate in brackets]
    try:
        margin.collateral_pieces(plain) if falling else margin.perpetual_pieces(plain)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
