"""Exogenous events as processes: what comes from outside the model, and nothing else.

A shock is an event of generation 0. `sale` sells an asset at a market in equal steps: a stated quantity, or the
one that would move the opening price by `size` (fixed when the first quotes are up and before anything happens,
so that a crash on the way changes nothing about it). `reprice` scales an asset's reference price along a straight
path. `withdrawal` asks a lender for a deposit back, waits where the reserve is lent out, and takes what comes.
`redemption` and `mint` bring tokens to their issuer, or money. `stall` holds back what a node says of its prices.
`loss` takes a holding away, and `default` makes a bank fail.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, Protocol, Self, cast

from pydantic import Field, model_validator

from contagion.errors import Misfit
from contagion.graph import MARKETS
from contagion.ledger import Refused
from contagion.log import Channel
from contagion.params import Amount, AssetName, Duration, NodeName, Number, Params
from contagion.ports import Issuer, Lender, Position, PriceSource, Process, Venue
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_SCALE, SUPPLY_LIMIT, to_ppm


class _Shock(Params):
    kind: str
    name: str = ""
    at: Duration = 0
    over: Duration = 0
    steps: int = Field(default=1, ge=1, le=100_000)

    def gap(self) -> int:
        """Return the microseconds between two steps."""
        return self.over // (self.steps - 1) if self.steps > 1 else 0


class Sale(_Shock):
    """Sell an asset at a market: `quantity` tokens, or what moves its opening price by `size` (negative)."""

    kind: Literal["sale"]
    by: NodeName = Field(default="world", validate_default=True)
    market: NodeName
    asset: AssetName
    bought: AssetName | None = None
    quantity: Amount | None = None
    size: Number | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.quantity is None) == (self.size is None):
            raise ValueError("state either 'quantity' or 'size'")
        if self.size is not None and not -PPM < to_ppm(self.size) < 0:
            raise ValueError(f"'size' is a fall between -100% and 0, not {self.size}")
        return self

    def check(self, sim: Simulation) -> None:
        """Refuse a market that cannot make this sale."""
        if sim.network.nodes[sim.network.ids[self.market]].kind not in MARKETS:
            raise Misfit(("market",), f"{self.market!r} is no market")
        venue = cast(Venue, sim.mechanisms[sim.network.ids[self.market]])
        if getattr(venue, "auction", None):
            raise Misfit(("market",), f"{self.market!r} clears by auction: nothing is sold at once; reprice the asset")
        traded = venue.assets()
        for key, name in (("asset", self.asset), ("bought", self.bought)):
            if name and sim.assets[name] not in traded:
                raise Misfit((key,), f"{self.market!r} does not trade {name!r}")
        if sim.assets[self.asset] == (sim.assets[self.bought] if self.bought else traded[-1]):
            raise Misfit(("asset",), f"sells {self.asset!r} for itself: name what is bought in 'bought'")
        if sim.network.nodes[sim.network.ids[self.by]].kind == "population":
            raise Misfit(("by",), f"{self.by!r} is a crowd: what there is to sell is its members'")
        _check_size(sim, self.asset, self.quantity)

    def process(self, sim: Simulation) -> Process:
        """Return the process that sells."""
        venue = cast(Venue, sim.mechanisms[sim.network.ids[self.market]])
        holder, asset = sim.network.ids[self.by], sim.assets[self.asset]
        bought = sim.assets[self.bought] if self.bought else venue.assets()[-1]
        start = sim.env.timeout(self.at)
        if self.quantity is not None:
            total = sim.units(asset, self.quantity)
        else:
            yield sim.env.timeout(0)  # makers put up their first quotes
            total = venue.sale_to_price(asset, PPM + to_ppm(cast(Decimal, self.size)))
        yield start if self.at or self.quantity is not None else sim.env.timeout(0)
        for step in range(self.steps):
            if step:
                yield sim.env.timeout(self.gap())
            part = total * (step + 1) // self.steps - total * step // self.steps
            shock = sim.shock(holder, asset=asset, market=venue.node, quantity=part)
            try:
                venue.trade(holder, asset, part, bought, cause=shock, channel=Channel.EXOGENOUS)
            except Refused:
                sim.record("refused-sale", holder, cause=shock, asset=asset, quantity=part)


class Reprice(_Shock):
    """Move an asset's reference price by `size` in `steps` along a straight path; what else moves it compounds.

    `betas` name further assets, which move at the same moments by so many times the size (a common factor).
    """

    kind: Literal["reprice"]
    asset: AssetName
    size: Number = Field(ge=Decimal("-0.999999"))
    betas: dict[AssetName, Number] = {}

    def check(self, sim: Simulation) -> None:
        """Refuse a price that cannot be counted."""
        for name, size in self._sizes():
            price = sim.reference_price(sim.assets[name])
            if not 0 < price + price * to_ppm(size) // PPM < SUPPLY_LIMIT:
                key = ("size",) if name == self.asset else ("betas", name)
                raise Misfit(key, f"leads to a price beyond what can be counted, {SUPPLY_LIMIT / PRICE_SCALE:.2g}")

    def process(self, sim: Simulation) -> Process:
        """Return the process that moves the prices."""
        node, asset = sim.network.ids[self.asset], sim.assets[self.asset]
        yield sim.env.timeout(self.at)
        paths = [_Path(sim, name, to_ppm(size)) for name, size in self._sizes()]
        for step in range(1, self.steps + 1):
            if step > 1:
                yield sim.env.timeout(self.gap())
            prices = [path.at(step, self.steps) for path in paths]
            event = sim.shock(node, asset=asset, price=prices[0])
            for path, price in zip(paths, prices, strict=True):
                path.mechanism.reprice(price, event)

    def _sizes(self) -> list[tuple[str, Decimal]]:
        return [(self.asset, self.size), *((name, beta * self.size) for name, beta in sorted(self.betas.items()))]


class _Path:
    """The straight path of one reference price, on top of whatever else moves it."""

    def __init__(self, sim: Simulation, name: str, size_ppm: int) -> None:
        self.mechanism = cast(Any, sim.mechanisms[sim.network.ids[name]])
        self._feed, self._size = self.mechanism.feeds[sim.assets[name]], size_ppm
        self._opened = self._last = self._feed.mark.price

    def at(self, step: int, steps: int) -> int:
        """Return the price of a step; asked for once a step, in order."""
        path = max(self._opened + self._opened * self._size * step // (PPM * steps), 1)
        price, self._last = int(max(self._feed.mark.price * path // self._last, 1)), path
        return price


class Withdrawal(_Shock):
    """Ask a lender for `quantity` of a deposit back; wait for what is lent out."""

    kind: Literal["withdrawal"]
    by: NodeName
    lender: NodeName
    asset: AssetName
    quantity: Amount

    def check(self, sim: Simulation) -> None:
        """Refuse a lender that has no such reserve."""
        reserves = getattr(sim.mechanisms[sim.network.ids[self.lender]], "reserves", None)
        if reserves is None:
            raise Misfit(("lender",), f"{self.lender!r} is no lender")
        if sim.assets[self.asset] not in reserves:
            raise Misfit(("asset",), f"{self.lender!r} has no reserve of {self.asset!r}")
        _check_size(sim, self.asset, self.quantity)

    def process(self, sim: Simulation) -> Process:
        """Return the process that withdraws, at once or as liquidity returns."""
        holder, asset = sim.network.ids[self.by], sim.assets[self.asset]
        lender = cast(Lender, sim.mechanisms[sim.network.ids[self.lender]])
        position, inbox = Position(holder, -1), sim.inbox()
        news = [e.latency_us for e in sim.network.edges if (e.source, e.target) == (lender.node, holder)]
        lender.liquidity.reach(inbox, min(news, default=0))
        yield sim.env.timeout(self.at)
        left = sim.units(asset, self.quantity)
        cause = sim.shock(holder, asset=asset, quantity=left)
        while True:
            part = min(left, lender.available(asset), lender.collateral_of(position, asset))
            try:
                if part:
                    lender.withdraw(position, asset, part, cause=cause)
                    left -= part
                waiting = left and lender.collateral_of(position, asset)
            except Refused:
                waiting = left
            if not waiting:
                return
            sim.record("blocked-withdrawal", holder, cause=cause, asset=asset, quantity=left)
            inbox.take()
            cause = yield inbox.wait()


class _AtIssuer(_Shock):
    """Who comes to which issuer with how many tokens, in equal steps.

    A step that it refuses (beyond its capacity or the holding, or for want of a `redeems` edge) is logged and lost.
    """

    by: NodeName
    issuer: NodeName
    quantity: Amount

    def check(self, sim: Simulation) -> None:
        """Refuse who is no issuer."""
        if not hasattr(self._issuer(sim), "redeem"):
            raise Misfit(("issuer",), f"{self.issuer!r} is no issuer")
        _check_size(sim, sim.ledger.assets[self._asset(sim)].name, self.quantity)

    def process(self, sim: Simulation) -> Process:
        """Return the process that asks."""
        holder, asset = sim.network.ids[self.by], self._asset(sim)
        total = sim.units(asset, self.quantity)
        yield sim.env.timeout(self.at)
        for step in range(self.steps):
            if step:
                yield sim.env.timeout(self.gap())
            part = total * (step + 1) // self.steps - total * step // self.steps
            shock = sim.shock(holder, asset=asset, quantity=part)
            try:
                self._ask(sim, holder, part, shock)
            except Refused:
                sim.record(f"refused-{self.kind}", holder, cause=shock, asset=asset, quantity=part)

    def _issuer(self, sim: Simulation) -> Issuer:
        return cast(Issuer, sim.mechanisms[sim.network.ids[self.issuer]])

    def _asset(self, sim: Simulation) -> int:
        return self._issuer(sim).asset

    def _ask(self, sim: Simulation, holder: int, part: int, shock: int) -> None:
        self._issuer(sim).redeem(holder, part, cause=shock)


class Redemption(_AtIssuer):
    """Redeem `quantity` of an issuer's tokens, in equal steps; a step beyond capacity or holding is refused."""

    kind: Literal["redemption"]


class Mint(_AtIssuer):
    """Bring `quantity` payout tokens to an issuer for new tokens, in equal steps."""

    kind: Literal["mint"]

    def _asset(self, sim: Simulation) -> int:
        return self._issuer(sim).payout

    def _ask(self, sim: Simulation, holder: int, part: int, shock: int) -> None:
        self._issuer(sim).mint(holder, part, cause=shock)


class Stall(_Shock):
    """Hold what a node tells over its `prices` edges from `at` for `over`, then send it all, in order and old.

    The node itself goes on: an order book trades, an oracle reads. Readers keep what they heard last and cannot
    tell silence from calm; what arrives late has its true age, which a maker's `max_age` looks at. What is under
    way when the stall begins arrives. What is not said over an edge (a book's own walk, a fill) is not delayed.
    """

    kind: Literal["stall"]
    node: NodeName
    steps: Literal[1] = 1

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if not self.over:
            raise ValueError("'over' is how long nothing is heard: it cannot be 0")
        return self

    def check(self, sim: Simulation) -> None:
        """Refuse a node without prices."""
        if not getattr(sim.mechanisms[sim.network.ids[self.node]], "feeds", None):
            raise Misfit(("node",), f"{self.node!r} quotes no prices that could stall")

    def process(self, sim: Simulation) -> Process:
        """Return the process that holds the prices back."""
        node = sim.network.ids[self.node]
        feeds = cast(PriceSource, sim.mechanisms[node]).feeds
        yield sim.env.timeout(self.at)
        sim.shock(node)
        for _, feed in sorted(feeds.items()):
            feed.changed.hold(sim.env.now + self.over)


class Loss(_Shock):
    """Take `quantity` tokens of what a node holds, at most all of it: written off by somebody outside, or stolen."""

    kind: Literal["loss"]
    node: NodeName
    asset: AssetName
    quantity: Amount
    over: Literal[0] = 0
    steps: Literal[1] = 1

    def check(self, sim: Simulation) -> None:
        """Refuse who keeps what belongs to others, and more than can be counted."""
        if (kind := sim.network.nodes[sim.network.ids[self.node]].kind) in MARKETS | {"population", "exchange"}:
            raise Misfit(
                ("node",), f"{self.node!r} is of kind {kind}: what it has belongs to others, and it is theirs to lose"
            )
        _check_size(sim, self.asset, self.quantity)

    def process(self, sim: Simulation) -> Process:
        """Return the process that takes it."""
        node, asset = sim.network.ids[self.node], sim.assets[self.asset]
        yield sim.env.timeout(self.at)
        lost = min(sim.units(asset, self.quantity), max(sim.ledger.balances[node][asset], 0))
        event = sim.shock(node, (node, asset, -lost), (sim.world, asset, lost), asset=asset, quantity=lost)
        struck = getattr(sim.mechanisms[node], "struck", None)
        if struck is not None:
            struck(event, lost, asset)


class _CanFail(Protocol):
    """Who can be told from outside that it has failed."""

    def fail(self, event: int) -> None:
        """Be in default by an event that is a shock, and so no failure of its own."""


class Default(_Shock):
    """Let a bank fail: this is then the event of generation 0, and no failure of its own is logged."""

    kind: Literal["default"]
    node: NodeName
    over: Literal[0] = 0
    steps: Literal[1] = 1

    def check(self, sim: Simulation) -> None:
        """Refuse who cannot fail by a word from outside."""
        if not hasattr(sim.mechanisms[sim.network.ids[self.node]], "fail"):
            raise Misfit(("node",), f"{self.node!r} is no bank")

    def process(self, sim: Simulation) -> Process:
        """Return the process by which it fails."""
        node = sim.network.ids[self.node]
        yield sim.env.timeout(self.at)
        cast(_CanFail, sim.mechanisms[node]).fail(sim.shock(node))


def _check_size(sim: Simulation, asset: str, quantity: Decimal | None) -> None:
    if quantity is not None and sim.units(sim.assets[asset], quantity) >= SUPPLY_LIMIT:
        raise Misfit(("quantity",), f"{quantity} {asset} are more base units than can be counted")


SHOCKS: Mapping[str, type[Sale | Reprice | Withdrawal | Redemption | Mint | Stall | Loss | Default]] = {
    "sale": Sale,
    "reprice": Reprice,
    "withdrawal": Withdrawal,
    "redemption": Redemption,
    "mint": Mint,
    "stall": Stall,
    "loss": Loss,
    "default": Default,
}
