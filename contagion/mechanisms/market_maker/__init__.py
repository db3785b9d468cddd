"""A market maker: ladders around a reference, as deep as its risk capacity, until a limit is passed.

It quotes on the books of its `quotes` edges and holds its collateral (coins, staked tokens, a loan perhaps) in
one account at the exchange of its `margin` edge, which clears those books. It hears markets, fundamentals and
other venues over `prices` edges and the exchange's marks over its `margin` edge, acts `latency` later, and
re-quotes a market only when its centre, its depth or the touch has moved by a threshold; what was taken from a
ladder comes back with a time constant, so it wakes by itself only to refill.

Limits: leverage, drawdown of equity since the opening, stress (volatility over calm), age of what it hears. Past
one of them, or when the exchange calls or liquidates it, it cancels everything on every book at once (a
`maker-withdrawal`, whose orders stay in the ghost books), waits for a cooldown and returns when it is within its
limits again. Its leverage is logged as it changes: with debt fixed, 2x becomes 3x when collateral falls by a
quarter.

One waking: hear all, in order; log leverage; check the limits; re-quote market by market, by edge name.
"""

from collections import defaultdict
from collections.abc import Iterable
from math import inf
from typing import Any, ClassVar

from contagion.errors import Misfit
from contagion.finance import quoting
from contagion.log import CLOCK, Channel
from contagion.mechanisms.market_maker.terms import MakerTerms, Quoted, QuoteTerms
from contagion.mechanisms.market_maker.view import View
from contagion.ports import FEEDS, Mechanism, Process, Tick
from contagion.simulation import Simulation
from contagion.units import PPM, PRICE_SCALE, SUPPLY_LIMIT, to_ppm
from contagion.venues import BUY, EXCHANGES, QUOTED, SELL, open_accounts

_LEVERAGE_STEP, _HIGHEST = 0.1, 1e9
_SHORTEST_US, _RETRY_US = 100_000, 1_000_000
"""How soon a maker wakes by itself at the earliest: to refill, and to see whether it may come back."""


class MarketMaker:
    """Quotes, inventory, limits."""

    Params = MakerTerms
    opens = 5
    reacts: ClassVar[bool] = False

    def __init__(self, sim: Simulation, node: int, params: MakerTerms) -> None:
        self.sim, self.node, self.params = sim, node, params
        self._inbox = sim.inbox()
        self._views: dict[int, View] = {}
        self._feeds: dict[int, tuple[str, int]] = {}
        self._away_until: int | None = None
        self._leverage, self._stressed, self._age = 0.0, CLOCK, 0
        self._from_prints = params.learns == "prints"
        self._sensitivity, self._move = float(params.sensitivity), to_ppm(params.move)

    def open(self) -> None:
        """Open the account and put up the first ladders."""
        sim = self.sim
        self._exchange: Any = open_accounts(sim, self.node)
        if self._exchange is None:
            raise Misfit(self._path, "a maker has an account: add a 'margin' edge from an exchange")
        for link in sim.links(self.node, EXCHANGES):
            link.peer.calls.reach(self._inbox, link.latency_us)
        self._listen()
        links = sim.links(self.node, QUOTED)
        names = {sim.network.names[link.peer.node]: link.peer for link in links}
        for name in self.params.quotes:
            if name not in names:
                raise Misfit((*self._path, "quotes", name), f"there is no 'quotes' edge to {name!r}")
            if names[name].clearing.node != self._exchange.node:
                what = (
                    f"{name!r} is not cleared by {sim.network.names[self._exchange.node]!r}, where this maker margins"
                )
                raise Misfit((*self._path, "quotes", name), what)
        self._quoted = [self._quoted_at(names[name], terms) for name, terms in sorted(self.params.quotes.items())]
        self._nets = self.params.inventory == "net"
        self._net: dict[int, tuple[int, float]] = {}

    def processes(self) -> Iterable[Process]:
        """Return the quoting."""
        self._equity_at_start = self._exchange.leverage(self.node)[1]
        yield self._quote()

    @property
    def _path(self) -> tuple[str, ...]:
        return ("nodes", self.sim.network.names[self.node])

    # ------------------------------------------------------------------------------------------- opening

    def _listen(self) -> None:
        """Hear fundamentals and markets over `prices` edges: a market here is one's own, elsewhere another venue."""
        sim = self.sim
        own = {link.peer.node for link in sim.links(self.node, QUOTED)}
        for link in sim.links(self.node, FEEDS):
            kind = sim.network.nodes[link.peer.node].kind
            for asset, feed in sorted(link.peer.feeds.items()):
                what = "fundamental" if kind == "asset" else "own" if link.peer.node in own else "other"
                base = getattr(link.peer, "asset", asset)
                self._feeds[feed.market] = (what, base)
                feed.changed.reach(self._inbox, link.latency_us)
        for account in sim.links(self.node, EXCHANGES):
            for asset, feed in sorted(account.peer.feeds.items()):
                self._feeds.setdefault(feed.market, ("mark", asset))
                feed.changed.reach(self._inbox, account.latency_us)

    def _quoted_at(self, market: Any, terms: QuoteTerms) -> Quoted:
        sim, p = self.sim, self.params
        if market.asset not in self._views:
            price = sim.reference_price(market.asset)
            self._views[market.asset] = View(
                float(price), price, {}, float(terms.calm), p.memory, float(p.anchor), float(p.pull)
            )  # fmt: skip
        distances = quoting.offsets(float(terms.spread) / 2, float(terms.reach), terms.levels)
        shape = [(float(distance), float(share)) for distance, share in terms.shape]
        depth = market.rounded(sim.units(market.asset, terms.depth))
        if depth >= SUPPLY_LIMIT:
            path = (*self._path, "quotes", sim.network.names[market.node], "depth")
            raise Misfit(path, f"{terms.depth} are more base units than can be counted")
        return Quoted(
            market, terms, self._views[market.asset], distances, quoting.shares(distances, shape),
            depth, 0, least=max(to_ppm(p.change) * depth // PPM, 1), capacity=max(float(terms.capacity) * depth, 1.0),
            skew=float(terms.skew),
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------ processes

    def _quote(self) -> Process:
        sim = self.sim
        for quoted in self._quoted:
            quoted.start = quoted.held = self._inventory(quoted)
        self._count_net()
        for quoted in self._quoted:
            quoted.cause = sim.opening
            self._requote(quoted, quoted.cause)
        while True:
            heard = self._inbox.wait()
            wake = self._next_refill()
            yield heard if wake is None else heard | sim.env.timeout(wake)
            if self.params.latency:
                yield sim.pause(self.params.latency)
            called = self._hear()
            self._look(called)

    def _hear(self) -> int:
        """Take in what has arrived; return the event by which the exchange called or liquidated, if it did."""
        called, now = CLOCK, self.sim.env.now
        for view in self._views.values():
            view.advance(now)
        touched: dict[int, int] = {}
        for cause, content in self._inbox.take():
            if not isinstance(content, Tick):
                called = cause if content == self.node else called
                continue
            what, asset = self._feeds[content.market]
            if what == "mark":
                self._stressed = cause
                continue
            self._age = max(now - content.time_us, self._age)
            if asset in self._views:
                self._take_in(what, asset, content)
                touched[asset] = cause
        for quoted in self._quoted:
            quoted.cause = touched.get(quoted.market.asset, quoted.cause)
        if touched:
            self._stressed = max(self._stressed, *touched.values())
        return called

    def _take_in(self, what: str, asset: int, tick: Tick) -> None:
        view = self._views[asset]
        if what == "fundamental":
            view.news(tick.mark.price)
        elif what == "other":
            view.others[tick.market] = (tick.mark.price, 1.0)

    def _look(self, called: int) -> None:
        """Check the limits and re-quote, or stay away."""
        sim = self.sim
        if sim.twin != "frozen":
            leverage, equity = self._exchange.leverage(self.node)
            self._log_leverage(leverage)
            limit = self._limit_passed(leverage, equity)
            self._age = 0
            if self._away_until is not None:
                if sim.env.now < self._away_until or limit:
                    return
                self._come_back()
            elif limit or called:
                self._withdraw(called or self._stressed or sim.opening)
                return
        for quoted in self._quoted:
            self._learn_from_trades(quoted)
            if self._worth_quoting(quoted):
                self._requote(quoted, quoted.cause)

    def _count_net(self) -> None:
        """Add up what it has of each asset over all its books, and how much of it that may be."""
        groups: defaultdict[int, list[Quoted]] = defaultdict(list)
        for quoted in self._quoted:
            groups[quoted.market.asset].append(quoted)
        for asset, group in groups.items():
            self._net[asset] = (sum(q.held - q.start for q in group), sum(q.capacity for q in group))

    def _come_back(self) -> None:
        """Quote again; what coins it has by now are its collateral and no inventory to be traded away."""
        self._away_until = None
        for quoted in self._quoted:
            quoted.seen = quoted.market.prints
            if self.params.inventory == "net":
                quoted.held = self._inventory(quoted)
                quoted.start = 0 if quoted.market.perpetual else quoted.held
        self._count_net()

    def _log_leverage(self, leverage: float) -> None:
        if leverage != inf and abs(leverage - self._leverage) >= _LEVERAGE_STEP and self._stressed:
            self._leverage = leverage
            stated = round(min(leverage, _HIGHEST) * PPM)
            self.sim.record("leverage", self.node, cause=self._stressed, quantity=stated)

    def _limit_passed(self, leverage: float, equity: float) -> bool:
        p = self.params
        stress = max((view.stress for view in self._views.values()), default=1.0)
        return bool(
            equity <= 0
            or (p.max_leverage and leverage > float(p.max_leverage))
            or (p.max_drawdown and equity < self._equity_at_start * (1.0 - float(p.max_drawdown)))
            or (p.max_stress and stress > float(p.max_stress))
            or (p.max_age and self._age > p.max_age)
        )

    def _withdraw(self, cause: int) -> None:
        """Cancel everything, everywhere, at once."""
        sim = self.sim
        self._away_until = sim.env.now + self.params.cooldown
        orders, value = 0, 0
        for quoted in self._quoted:
            count, notional = quoted.market.at_stake(self.node)
            orders, value = orders + count, value + notional
        event = sim.record(
            "maker-withdrawal", self.node, cause=cause, quantity=orders, value=value,
            channel=Channel.LIQUIDITY_WITHDRAWAL,
        )  # fmt: skip
        for quoted in self._quoted:
            quoted.market.cancel_all(self.node, cause=event, distress=True)
            quoted.centre, quoted.cause, quoted.unplaced = 0, event, (0, 0)

    # -------------------------------------------------------------------------------------------- quoting

    def _inventory(self, quoted: Quoted) -> int:
        asset = quoted.market.traded if quoted.market.perpetual else quoted.market.asset
        return int(self._exchange.balance(self.node, asset))

    def _learn_from_trades(self, quoted: Quoted) -> None:
        """Let the reference learn from what has traded since the last look, with it or with anybody."""
        held, market = self._inventory(quoted), quoted.market
        if self._nets and held != quoted.held:
            had, capacity = self._net[market.asset]
            self._net[market.asset] = (had + held - quoted.held, capacity)
        traded, quoted.held = abs(held - quoted.held), held
        price = market.price_in_currency()
        if self._from_prints:
            (before, paid), quoted.seen = quoted.seen, market.prints
            traded = market.prints[0] - before
            if traded:
                price = (market.prints[1] - paid) // traded * market.quote_price // PRICE_SCALE
        if traded and self.sim.twin != "frozen":
            share = min(traded / max(quoted.depth / 4, 1.0), 1.0) * float(self.params.own)
            quoted.view.learn(price, share)

    def _use(self, quoted: Quoted) -> float:
        """Return the share of the capacity that inventory uses, positive when long."""
        if self._nets:
            held, capacity = self._net[quoted.market.asset]
        else:
            held, capacity = quoted.held - quoted.start, quoted.capacity
        return max(min(held / capacity, 1.0), -1.0)

    def _centre(self, quoted: Quoted) -> int:
        skew = 1.0 - quoted.skew * self._use(quoted)
        return int(quoted.view.reference * skew * (PRICE_SCALE / quoted.market.quote_price) + 0.5)

    def _targets(self, quoted: Quoted) -> tuple[int, int]:
        use, stress = self._use(quoted), quoted.view.stress
        depth, sensitivity = quoted.depth, self._sensitivity
        return (
            quoting.target_depth(depth, use, BUY, stress, sensitivity),
            quoting.target_depth(depth, use, SELL, stress, sensitivity),
        )

    def _left(self, quoted: Quoted) -> tuple[int, int]:
        """Return what is left of the last ladder, (bids, offers), with what of it no tick or lot had room for."""
        (bids, asks), (more_bids, more_asks) = quoted.market.resting(self.node), quoted.unplaced
        return bids + more_bids, asks + more_asks

    def _budgets(self, quoted: Quoted, left: tuple[int, int]) -> tuple[int, int]:
        """Return what may rest now on each side: what is left of the last ladder and what came back since."""
        now, recovery, targets = self.sim.env.now, quoted.terms.recovery, self._targets(quoted)
        if not quoted.centre and now == 0:
            return targets
        elapsed = now - quoted.placed_us
        return (
            quoting.refilled(left[0], targets[0], elapsed, recovery),
            quoting.refilled(left[1], targets[1], elapsed, recovery),
        )

    def _worth_quoting(self, quoted: Quoted) -> bool:
        """Return whether the centre or the depth have moved by their thresholds."""
        if not quoted.centre:
            return True
        centre = self._centre(quoted)
        if abs(centre - quoted.centre) * PPM > quoted.centre * self._move or self._touch_gone(quoted):
            return True
        bids, asks = left = self._left(quoted)
        bid, ask = self._budgets(quoted, left)
        return abs(bid - bids) > quoted.least or abs(ask - asks) > quoted.least

    def _touch_gone(self, quoted: Quoted) -> bool:
        """Return whether a side's best price has receded by more than a spread since the ladders were placed."""
        spread = 2 * quoted.centre * max(quoted.distances[0], self._move)
        for side, then in zip((BUY, SELL), quoted.touch, strict=True):
            best = quoted.market.best(side)
            if then is not None and (best is None or side * (then - best) * PPM > spread):
                return True
        return False

    def _requote(self, quoted: Quoted, cause: int) -> None:
        market, centre, budgets = quoted.market, self._centre(quoted), self._budgets(quoted, self._left(quoted))
        ladders = {
            side: quoting.ladder(centre, side, quoted.distances, quoted.parts, depth, market.tick, market.lot)
            for side, depth in zip((BUY, SELL), budgets, strict=True)
        }
        news = round(quoted.centre * (quoted.view.fundamental / (quoted.fundamental or quoted.view.fundamental) - 1.0))
        quoted.centre, quoted.placed_us, quoted.fundamental = centre, self.sim.env.now, quoted.view.fundamental
        market.quote_ladders(self.node, ladders, cause=cause, news=news)
        quoted.touch = (market.best(BUY), market.best(SELL))
        placed = market.resting(self.node)
        quoted.unplaced = (budgets[0] - placed[0], budgets[1] - placed[1])

    def _next_refill(self) -> float | None:
        """Return the microseconds until the next ladder is worth refilling or the cooldown ends, if ever."""
        now = self.sim.env.now
        if self._away_until is not None:
            return max(self._away_until - now, _RETRY_US)
        times = [inf]
        if any(view.stress > 1.0 for view in self._views.values()):
            times.append(self.params.memory / 8)
        for quoted in self._quoted:
            for had, target in zip(self._left(quoted), self._targets(quoted), strict=True):
                if target - had > quoted.least + 1:
                    wait = quoting.time_to_refill(had, target, quoted.least + 1, quoted.terms.recovery)
                    times.append(wait - (now - quoted.placed_us))
        return None if (soonest := min(times)) == inf else max(int(soonest) + 1, _SHORTEST_US)


MECHANISM: type[Mechanism] = MarketMaker
