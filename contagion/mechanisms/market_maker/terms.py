"""What a market maker states about itself, and each market as it quotes it now."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from contagion.finance import quoting
from contagion.log import CLOCK
from contagion.mechanisms.market_maker.view import View
from contagion.params import Amount, Duration, NodeName, Number, Positive, Share
from contagion.params import Params as Parameters


class QuoteTerms(Parameters):
    """A ladder at rest: `depth` tokens a side within `reach`, the first level half a `spread` from the centre.

    `capacity` is the inventory, in depths, at which a side is no longer quoted, and `skew` how far the centre has
    then moved; `shape` is cumulative (distance, share of depth); `recovery` the time constant of refilling.
    """

    depth: Positive
    spread: Share = Decimal("0.0004")
    reach: Positive = Decimal("0.05")
    levels: int = Field(default=20, ge=1, le=400)
    shape: list[tuple[Positive, Share]] = Field(
        default=[(Decimal(str(a)), Decimal(str(b))) for a, b in quoting.MEASURED_SHAPE], min_length=1
    )
    capacity: Positive = Decimal(3)
    skew: Share = Decimal("0.02")
    recovery: Duration = 14_000_000
    calm: Positive = Decimal("0.0005")

    @model_validator(mode="after")
    def _outwards(self) -> Self:
        distances, parts = zip(*self.shape, strict=True)
        if list(distances) != sorted(set(distances)) or list(parts) != sorted(parts) or not parts[-1]:
            raise ValueError("'shape' is cumulative: distances rise, and so do shares of the depth")
        if self.spread / 2 > self.reach:
            raise ValueError("half the 'spread' is beyond the 'reach' of the ladder")
        return self


class MakerTerms(Parameters):
    """Limits are off where they are 0 (or absent).

    The reference learns a share `own` of the way to its market's price when a quarter of the depth has traded
    with it (`learns` from fills), or with anybody, at the mean price of that (prints), and is drawn to other venues
    and to the fundamental by the shares `pull` and `anchor` a second. Its `inventory` of an asset is what it has at
    each book since the opening, or net over all its books since it last came back.
    """

    quotes: dict[NodeName, QuoteTerms]
    latency: Duration = 50_000
    move: Share = Decimal("0.0002")
    change: Share = Decimal("0.2")
    sensitivity: Number = Field(default=Decimal("0.65"), ge=0, le=5)
    memory: Duration = 120_000_000
    own: Share = Decimal("0.05")
    learns: Literal["fills", "prints"] = "fills"
    inventory: Literal["book", "net"] = "book"
    pull: Amount = Decimal("0.077")
    anchor: Amount = Decimal("0.00009")
    max_leverage: Amount = Decimal(0)
    max_drawdown: Share = Decimal(0)
    max_stress: Amount = Decimal(0)
    max_age: Duration = 0
    cooldown: Duration = 240_000_000


@dataclass
class Quoted:
    """One market as the maker quotes it now."""

    market: Any
    terms: QuoteTerms
    view: View
    distances: list[int]
    parts: list[int]
    depth: int
    start: int
    cause: int = CLOCK
    held: int = 0
    seen: tuple[int, int] = (0, 0)
    centre: int = 0
    fundamental: int = 0
    touch: tuple[int | None, int | None] = (None, None)
    placed_us: int = 0
    least: int = 0
    unplaced: tuple[int, int] = (0, 0)
    capacity: float = 1.0
    skew: float = 0.0
