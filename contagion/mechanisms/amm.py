"""An automated market maker: reserves, an invariant, and a price that every trade moves.

`constant_product` is Uniswap v2 (x·y = k, the fee stays in the pool), `stableswap` is Curve's invariant for
assets that should trade at a fixed ratio; both in integers as the contracts compute them, rounded in the
pool's favour. Where the contract's own iteration would not end, trades are refused and the price stays. The
last asset is the numeraire. Its own price is its reference price or, where a `prices` edge with that asset
reaches the pool, what that feed says.

One trade: quote at the reserves that are there, post four legs, then move the price, then tell the listeners.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar, Literal

from pydantic import Field

from contagion.errors import Misfit
from contagion.finance import amm
from contagion.finance.branching import first_mark
from contagion.finance.search import size_to_reach
from contagion.ledger import Refused
from contagion.log import Channel
from contagion.params import AssetName, Positive, Share
from contagion.params import Params as Parameters
from contagion.ports import Feed, Mechanism, Process, Trade
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_SCALE, SUPPLY_LIMIT, to_ppm

_BAND = 20_000
_DEPTH_STEP = 1_000
_WEI = 18


class Amm:
    """A pool of two or more assets."""

    class Params(Parameters):
        """`assets` end with the numeraire; `rates` are stableswap's fixed exchange rates; depth is at ±2%."""

        assets: tuple[AssetName, ...] = Field(min_length=2, max_length=4)
        curve: Literal["constant_product", "stableswap"] = "constant_product"
        fee: Share = Field(default=Decimal("0.003"), le=Decimal("0.999999"))
        amplification: int = Field(default=100, ge=1, le=1_000_000)
        rates: dict[AssetName, Positive] = {}

    reacts: ClassVar[bool] = False

    def __init__(self, sim: Simulation, node: int, params: "Amm.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        self._assets = tuple(sim.assets[name] for name in params.assets)
        self._index = {asset: i for i, asset in enumerate(self._assets)}
        if params.curve == "constant_product" and len(self._assets) != 2:
            raise Misfit(("nodes", sim.network.names[node], "assets"), "a constant product pool has two assets")
        self._fee = to_ppm(params.fee)
        decimals = [sim.ledger.assets[asset].decimals for asset in self._assets]
        rates = [to_ppm(params.rates.get(name, Decimal(1))) for name in params.assets]
        self._multipliers: list[int] = [rate * 10 ** (_WEI - d) for rate, d in zip(rates, decimals, strict=True)]
        self._ones: list[int] = [10**d for d in decimals]
        self._rates: list[int] = rates
        self.feeds: dict[int, Feed] = {}
        self._quote = first_mark(PRICE_SCALE, 0, len(Channel))
        self._depths: dict[int, tuple[int, tuple[int, int]]] = {}
        self._known_invariant: tuple[list[int], int] = ([], 0)
        self._inbox = sim.inbox()

    @property
    def opens(self) -> int:
        """Return 2 where another market prices the numeraire, else 1."""
        return 2 if self._numeraire_links() else 1

    def open(self) -> None:
        """Quote the price that the opening reserves make."""
        sim, numeraire = self.sim, self._assets[-1]
        path = ("nodes", sim.network.names[self.node])
        for asset, name in zip(self._assets, self.params.assets, strict=True):
            if sim.ledger.balances[self.node][asset] <= 0:
                raise Misfit(path, f"the pool has no {name}: state its reserves in 'balances'")
        feeds = sim.subscribe(self.node, asset=numeraire, inbox=self._inbox)
        if len(feeds) > 1:
            raise Misfit(path, f"{len(feeds)} prices edges bring the numeraire {self.params.assets[-1]!r}: one")
        self._quote = feeds[0].mark if feeds else first_mark(sim.reference_price(numeraire), 0, len(Channel))
        for asset in self._assets[:-1]:
            self.feeds[asset] = sim.feed(self.node, asset, self._price(asset))

    def processes(self) -> Iterable[Process]:
        """Return the reading of the numeraire's price, where another market makes it."""
        if self._numeraire_links():
            yield self._follow()

    def assets(self) -> tuple[int, ...]:
        """Return the assets of the pool, the numeraire last."""
        return self._assets

    def quote(self, sold: int, quantity: int, bought: int) -> int:
        """Return what selling `quantity` would bring, fee deducted; 0 where the contract cannot compute it."""
        reserves = self.sim.ledger.balances[self.node]
        if self.params.curve == "constant_product":
            return amm.swap_out(quantity, reserves[sold], reserves[bought], self._fee)
        i, j = self._index[sold], self._index[bought]
        scaled = quantity * self._multipliers[i]
        try:
            out = amm.stableswap_out(
                scaled, i, j, self._normal(), self.params.amplification, self._fee, self._invariant()
            )
        except ArithmeticError:
            return 0
        return min(out // self._multipliers[j], reserves[bought] - 1)

    def trade(
        self, holder: int, sold: int, quantity: int, bought: int, *, cause: int, channel: int, member: int = -1
    ) -> Trade:
        """Sell `quantity` at once; Refused when the holder cannot deliver it or the pool gives nothing."""
        received = self.quote(sold, quantity, bought)
        if received <= 0:
            raise Refused(f"{self.sim.network.names[self.node]} gives nothing for {quantity} base units")
        node, own = self.node, () if member < 0 else (member,)
        event = self.sim.transact(
            "trade",
            node,
            (holder, sold, -quantity, *own),
            (node, sold, quantity),
            (node, bought, -received),
            (holder, bought, received, *own),
            cause=cause,
            channel=channel,
            asset=sold,
            market=node,
            quantity=quantity,
            price=self._per_unit(sold, quantity, bought, received),
            value=received,
        )
        for asset, feed in self.feeds.items():
            price = self._countable(asset)
            feed.move(price, event, channel, self._depth_at(asset, price))
        return Trade(event, received)

    def sale_to_price(self, sold: int, ratio_ppm: int) -> int:
        """Return how much to sell (no fee) so that the price of `sold` falls to `ratio_ppm` of today's.

        0 where the contract cannot compute today's.
        """
        reserves, other = self.sim.ledger.balances[self.node], self._assets[-1]
        if sold == other:
            other = self._assets[0]
        if self.params.curve == "constant_product":
            return amm.sale_to_price(reserves[sold], reserves[other], ratio_ppm)
        i, j = self._index[sold], self._index[other]
        balances = self._normal()
        try:
            goal = self._spot(i, j, balances) * ratio_ppm // PPM
        except ArithmeticError:
            return 0
        size = size_to_reach(lambda sold: self._spot_after(i, j, sold), goal, balances[i] // 1_000)
        return -(-size // self._multipliers[i])

    def _numeraire_links(self) -> bool:
        numeraire = self.params.assets[-1]
        edges = self.sim.network.edges_in(self.node, "prices")
        return any(edge.attributes.get("asset") == numeraire for edge in edges)

    def _follow(self) -> Process:
        sim = self.sim
        while True:
            yield self._inbox.wait()
            for cause, tick in self._inbox.take():
                before, self._quote = self._quote, tick.mark
                event = sim.record("quote", self.node, cause=cause, asset=tick.asset, price=tick.mark.price)
                for asset, feed in self.feeds.items():
                    price = self._countable(asset)
                    feed.follow(price, event, [(before, tick.mark, PPM)])

    def _invariant(self) -> int:
        """Return D of the present reserves, computed once for each of them."""
        balances = self._normal()
        if self._known_invariant[0] != balances:
            self._known_invariant = (balances, amm.stableswap_invariant(balances, self.params.amplification))
        return self._known_invariant[1]

    def _normal(self) -> list[int]:
        reserves = self.sim.ledger.balances[self.node]
        return [reserves[a] * m for a, m in zip(self._assets, self._multipliers, strict=True)]

    def _spot_after(self, i: int, j: int, sold: int) -> int:
        """Return the price of i in j after a sale without fee; 0 beyond what the contract can compute."""
        balances = self._normal()
        try:
            out = amm.stableswap_out(sold, i, j, balances, self.params.amplification, 0, self._invariant())
            balances[i] += sold
            balances[j] -= out
            return self._spot(i, j, balances)
        except ArithmeticError:
            return 0

    def _spot(self, i: int, j: int, balances: list[int]) -> int:
        return amm.stableswap_price(i, j, balances, self.params.amplification, PRICE_SCALE)

    def _price(self, asset: int) -> int:
        reserves, numeraire = self.sim.ledger.balances[self.node], self._assets[-1]
        i, j = self._index[asset], len(self._assets) - 1
        if self.params.curve == "constant_product":
            scale = self._ones[i] * self._quote.price
            return reserves[numeraire] * scale // (reserves[asset] * self._ones[j])
        try:
            spot = self._spot(i, j, self._normal())
        except ArithmeticError:
            return self.feeds[asset].mark.price
        return spot * self._quote.price * self._rates[i] // (PRICE_SCALE * self._rates[j])

    def _countable(self, asset: int) -> int:
        """Return the price, or the nearest one that a log can hold."""
        return min(max(self._price(asset), 1), SUPPLY_LIMIT - 1)

    def _per_unit(self, sold: int, quantity: int, bought: int, received: int) -> int:
        if not quantity:
            return 0
        price = self._quote.price if bought == self._assets[-1] else self.feeds[bought].mark.price
        scale = self._ones[self._index[sold]] * price
        return min(received * scale // (quantity * self._ones[self._index[bought]]), SUPPLY_LIMIT - 1)

    def _depth_at(self, asset: int, price: int) -> tuple[int, int]:
        quoted, depth = self._depths.get(asset, (0, (0, 0)))
        if abs(price - quoted) * PPM >= quoted * _DEPTH_STEP:
            one = self._ones[self._index[asset]]
            bids = self.sale_to_price(asset, PPM - _BAND) * price * self._ones[-1]
            asks = self.sale_to_price(self._assets[-1], PPM * PPM // (PPM + _BAND))
            depth = (bids // (self._quote.price * one), asks)
            self._depths[asset] = (price, depth)
        return depth


MECHANISM: type[Mechanism] = Amm
