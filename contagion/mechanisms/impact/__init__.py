"""A market as a law: a price, and how far a trade of a given size moves it.

For stylised and classical models: linear, square-root, exponential and logarithmic impact (formula sheet
PI-01). The outside takes the other side at the average price of the walk, and the move is permanent. Where a
`prices` edge brings the asset's reference price, the market re-quotes in proportion to it. A purchase raises
the price as a sale of that size would lower it; under the exponential law it undoes one exactly.

With an `auction` nothing is sold at once: sales are orders that wait for a cut-off and are carried out together, at one
price (`auction`). Banks sell into such a market, and nobody buys.

As a market for perpetual contracts (`contract = "perpetual"`, cleared by the exchange of its `trades` edge) it is
what that exchange's engine sells into where no book is wanted (`contracts`).
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from contagion.errors import Misfit
from contagion.finance import impact
from contagion.ledger import Refused
from contagion.mechanisms.impact.auction import Auction, AuctionTerms, Order
from contagion.mechanisms.impact.contracts import Contracts
from contagion.params import AssetName, Positive, Share
from contagion.params import Params as Parameters
from contagion.ports import Feed, Mechanism, Process, Trade
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_DECIMALS, PRICE_SCALE, to_ppm, to_units
from contagion.venues import add_contract


class Impact(Contracts):
    """A market for one asset against one numeraire, the outside being the counterparty."""

    class Params(Parameters):
        """`depth` in tokens (exponential: price falls by 63% when sold; linear: to zero); square root: Y·σ·√(Q/V).

        `absolute`: price falls by quantity over depth, whatever it is; `depth` is then tokens per unit of price.
        """

        asset: AssetName
        numeraire: AssetName
        price: Positive | None = None
        law: Literal["linear", "absolute", "square_root", "exponential", "log"] = "exponential"
        contract: Literal["spot", "perpetual"] = "spot"
        depth: Positive = Decimal(1_000_000)
        volume: Positive = Decimal(1_000_000)
        volatility: Positive = Decimal("0.04")
        y: Positive = Decimal(1)
        curvature: Positive = Decimal(3)
        fee: Share = Decimal(0)
        auction: AuctionTerms | None = None

        @model_validator(mode="after")
        def _possible(self) -> Self:
            if self.auction and self.contract != "spot":
                raise ValueError("contracts are sold at once: an 'auction' is for a spot market")
            return self

    opens = 1
    reacts: ClassVar[bool] = False

    def __init__(self, sim: Simulation, node: int, params: "Impact.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        self.asset, self.numeraire = sim.assets[params.asset], sim.assets[params.numeraire]
        self._fee = to_ppm(params.fee)
        self.feeds: dict[int, Feed] = {}
        self.perpetual = params.contract == "perpetual"
        self.traded = add_contract(sim, node, self.asset, self.numeraire) if self.perpetual else self.asset

    def open(self) -> None:
        """Quote the stated price, else the asset's reference price."""
        stated = self.params.price
        price = to_units(stated, PRICE_DECIMALS) if stated else self.sim.reference_price(self.asset)
        self.feeds[self.traded] = self.sim.feed(self.node, self.traded, price)
        self.open_contracts()
        terms = self.params.auction
        self.auction = Auction(self.sim, self, self.feeds[self.traded], terms) if terms else None
        for edge in self.sim.network.edges_in(self.node, "trades") if terms else ():
            if (kind := self.sim.network.nodes[edge.source].kind) != "bank":
                what = f"trades at once, as every {kind!r}; this market clears by auction, which takes orders of banks"
                raise Misfit(("edges", edge.name), what)

    def processes(self) -> Iterable[Process]:
        """Return the re-quoting to the reference price."""
        yield self._follow()

    def assets(self) -> tuple[int, ...]:
        """Return the asset and its numeraire."""
        return (self.asset, self.numeraire)

    def quote(self, sold: int, quantity: int, bought: int) -> int:
        """Return what selling `quantity` would bring at the average price of the walk."""
        gross = self._walk(sold, quantity)[0]
        return gross - gross * self._fee // PPM

    def trade(
        self, holder: int, sold: int, quantity: int, bought: int, *, cause: int, channel: int, member: int = -1
    ) -> Trade:
        """Sell `quantity` to the outside at once; Refused when the holder cannot deliver it, or at an auction."""
        if self.auction:
            raise Refused(f"{self.sim.network.names[self.node]} clears by auction")
        sim, own = self.sim, () if member < 0 else (member,)
        gross, price = self._walk(sold, quantity)
        received = gross - gross * self._fee // PPM
        world = sim.world
        event = sim.transact(
            "trade",
            self.node,
            (holder, sold, -quantity, *own),
            (world, sold, quantity),
            (world, bought, -received),
            (holder, bought, received, *own),
            cause=cause,
            channel=channel,
            asset=sold,
            market=self.node,
            quantity=quantity,
            price=price,
            value=received,
        )
        self.feeds[self.traded].move(price, event, channel)
        return Trade(event, received)

    def order(
        self, holder: int, quantity: int, filled: Callable[[Trade], None], *, cause: int, channel: int
    ) -> None:  # fmt: skip
        """Let an order to sell wait for the next cut-off of the auction, in the place of an earlier one."""
        assert self.auction, "only an auction takes orders"
        self.auction.place(holder, Order(quantity, cause, channel, filled))

    def fall(self, size: float, price: int) -> float:
        """Return the relative fall of a price by a sale of so many base units."""
        return self._fall(size, price)[0]

    def proceeds(self, quantity: int, price: int) -> int:
        """Return what a sale at a price brings, less the fee, in base units of the numeraire, rounded down."""
        quote = self.sim.reference_price(self.numeraire)
        gross: int = quantity * price * self._scale(self.numeraire) // (self._scale(self.asset) * quote)
        return gross - gross * self._fee // PPM

    def sale_to_price(self, sold: int, ratio_ppm: int) -> int:
        """Return how much to sell so that the price of `sold` falls to `ratio_ppm` of today's."""
        low, high = 0, 1
        while (1 - self._fall(high)[0]) * PPM > ratio_ppm and high < 1 << 60:
            high *= 2
        while high - low > max(low // 1_000_000, 1):
            middle = (low + high) // 2
            low, high = (middle, high) if (1 - self._fall(middle)[0]) * PPM > ratio_ppm else (low, middle)
        return high

    def _walk(self, sold: int, quantity: int) -> tuple[int, int]:
        """Return (received, price afterwards)."""
        price, one = self.feeds[self.traded].mark.price, self._scale(self.asset)
        cash = self._scale(self.numeraire)
        quote = self.sim.reference_price(self.numeraire)
        if sold == self.asset:
            fall, slippage = self._fall(quantity)
            received = int(quantity * price * cash // (one * quote) * (1 - slippage))
            return received, max(int(price * (1 - fall)), 1)
        worth = quantity * one * quote / (price * cash)
        if self.params.law == "exponential":
            depth = float(self.params.depth) * one
            return int(impact.exponential_purchase(worth, depth)), int(price * (1 + worth / depth))
        bought = int(impact.quantity_bought(worth, lambda units: self._fall(units)[1]))
        return bought, int(price * (1 + self._fall(bought)[0]))

    def _fall(self, quantity: float, price: int | None = None) -> tuple[float, float]:
        """Return (relative price fall, average shortfall) of a sale of base units at a price, else the present one."""
        p, tokens = self.params, quantity / self._scale(self.asset)
        if p.law == "absolute":
            kappa = PRICE_SCALE / float(p.depth) / (price or self.feeds[self.traded].mark.price)
            return impact.linear_impact(tokens, kappa), impact.linear_slippage(tokens, kappa)
        if p.law == "linear":
            kappa = 1 / float(p.depth)
            return impact.linear_impact(tokens, kappa), impact.linear_slippage(tokens, kappa)
        if p.law == "square_root":
            facts = (float(p.volume), float(p.volatility), float(p.y))
            return impact.square_root_impact(tokens, *facts), impact.square_root_slippage(tokens, *facts)
        if p.law == "log":
            kappa, b = 1 / float(p.depth), float(p.curvature)
            return impact.log_impact(tokens, kappa, b), impact.log_slippage(tokens, kappa, b)
        depth = float(p.depth)
        return impact.exponential_impact(tokens, depth), impact.exponential_slippage(tokens, depth)

    def _scale(self, asset: int) -> int:
        return int(10 ** self.sim.ledger.assets[asset].decimals)

    def _follow(self) -> Process:
        sim, inbox, feed = self.sim, self.sim.inbox(), self.feeds[self.traded]
        last = {f.market: f.mark for f in sim.subscribe(self.node, asset=self.asset, inbox=inbox)}
        while True:
            yield inbox.wait()
            for cause, tick in inbox.take():
                before, last[tick.market] = last[tick.market], tick.mark
                price = max(feed.mark.price * tick.mark.price // before.price, 1)
                if self.auction:
                    self.auction.rescale(tick.mark.price, before.price)
                event = sim.record("quote", self.node, cause=cause, asset=self.asset, price=price)
                feed.follow(price, event, [(before, tick.mark, PPM)])


MECHANISM: type[Mechanism] = Impact
