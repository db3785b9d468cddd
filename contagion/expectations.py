"""What a scenario says that a run should show: observed facts, and the links of the chain that an account tells."""

from typing import Self

from pydantic import Field, model_validator

from contagion.params import Params, Positive, Share


class Target(Params):
    """An observed fact that the run is held against: where it is in the summary, its range and source."""

    id: str
    key: str
    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)
    observed: str = ""
    source: str = ""


class Link(Params):
    """A step of the chain that an account tells, in its place: a kind of event, or a level that a price crosses.

    node, asset, market : patterns such as ``loop-*``; fall : the share of its first price that a market has lost.
    """

    id: str
    title: str = ""
    kind: str | None = None
    node: str | None = None
    asset: str | None = None
    market: str | None = None
    below: Positive | None = None
    above: Positive | None = None
    fall: Share | None = None

    @model_validator(mode="after")
    def _event_or_price(self) -> Self:
        levels = [name for name in ("below", "above", "fall") if getattr(self, name) is not None]
        if (self.kind is None) != (len(levels) == 1):
            raise ValueError("state either a 'kind' of event, or a 'market' and one of 'below', 'above' and 'fall'")
        if levels and self.market is None:
            raise ValueError(f"{levels[0]!r} is about a price: state its 'market'")
        if levels and (self.node is not None or self.asset is not None):
            raise ValueError(f"{levels[0]!r} is about a price of a 'market': 'node' and 'asset' are of events")
        return self
