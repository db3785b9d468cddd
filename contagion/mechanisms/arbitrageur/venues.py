"""Where an arbitrageur buys and sells one asset: order books, pools on chain, the issuer's window.

A venue stands at a place, where what it takes and gives is kept: an exchange (its node), or the chain (`CHAIN`,
the arbitrageur's own holdings). A purchase has a `size`: tokens at a book, cash in a pool and at a window, which
quote what they are paid and not what they are asked for. Worth is counted in 10^-27 of the currency, cash at its
opening price, so that venues that trade against different dollars can be compared; all in integers.

Books are walked without their fees, which the arbitrageur's edge has to cover; pools and issuers quote with theirs.
"""

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

from contagion.finance.search import best_size, largest_size
from contagion.log import Channel
from contagion.ports import Venue as Pool
from contagion.simulation import Simulation
from contagion.units import PPM, SUPPLY_LIMIT
from contagion.venues import BUY, SELL, Market

CHAIN = -1
"""The place of what the arbitrageur holds itself."""
CRUMBS = 1_000
"""By how much what is looked at first is smaller than a whole trade."""
_DIGITS = 18


class Curve(NamedTuple):
    """What a purchase of a size gives, in tokens, and what a size of either side is worth; both functions rise."""

    tokens: Callable[[int], int]
    worth: Callable[[int], int]


class Order(NamedTuple):
    """A purchase of a size and the sale of at most so many tokens, each up to a price (0: none)."""

    size: int
    tokens: int
    highest: int = 0
    lowest: int = 0


class Venue(Protocol):
    """One way to buy or sell an asset; amounts are base units. prompt : whether what it gives is there at once."""

    node: int
    place: int
    traded: int
    cash: int
    lot: int
    perpetual: bool
    prompt: bool

    def price(self, side: int, probe: int) -> int | None:
        """Return the price of buying or selling `probe` tokens (a book: the best), in 10^-18 of the currency."""

    def takes(self, side: int) -> int:
        """Return how many tokens it sells (side +1) or buys at most."""

    def affordable(self, cash: int) -> int:
        """Return how many tokens so much cash buys."""

    def curve(self, side: int, most: int) -> Curve:
        """Return the curve of purchases or sales up to `most` tokens."""

    def most(self, tokens: int, cash: int) -> int:
        """Return the largest size of a purchase that brings no more than `tokens` and costs no more than `cash`."""

    def limit(self, side: int, tokens: int) -> int:
        """Return the worst price (10^-9 of the numeraire) at which so many tokens trade; 0 where it has none."""

    def buy(self, holder: int, size: int, limit: int, cause: int) -> tuple[int, int]:
        """Buy and return (event, tokens); Refused when the holder cannot pay."""

    def sell(self, holder: int, tokens: int, limit: int, cause: int) -> int:
        """Sell and return the event; Refused when the holder cannot deliver."""


class Counter:
    """Counts cash of one kind in the currency, at its opening price."""

    def __init__(self, sim: Simulation, asset: int, cash: int, price: int) -> None:
        self._unit: int = price * 10 ** (_DIGITS - sim.ledger.assets[cash].decimals)
        self._one: int = 10 ** sim.ledger.assets[asset].decimals

    def worth(self, amount: int) -> int:
        """Return what an amount is worth, in 10^-27 of the currency."""
        return amount * self._unit

    def per_token(self, amount: int, tokens: int) -> int:
        """Return the price at which so many base units trade for an amount, in 10^-18 of the currency."""
        return self.price(self.worth(amount), tokens)

    def price(self, worth: int, tokens: int) -> int:
        """Return the same of a worth."""
        return worth * self._one // (tokens * 10**9)


class BookVenue:
    """An order book; size is tokens."""

    prompt = True

    def __init__(self, sim: Simulation, market: Market, place: int) -> None:
        self.market, self.node, self.place = market, market.node, place
        self.traded, self.cash, self.lot, self.perpetual = market.traded, market.numeraire, market.lot, market.perpetual
        self._counter = Counter(sim, market.asset, market.numeraire, market.quote_price)

    def price(self, side: int, probe: int) -> int | None:
        """Return the best resting price."""
        best = self.market.best(-side)
        return None if best is None else best * self.market.quote_price

    def takes(self, side: int) -> int:
        """Return what rests on the other side."""
        return sum(quantity for _, quantity in self.market.levels(-side))

    def affordable(self, cash: int) -> int:
        """Return how many tokens cash buys at twice the best offer, since the ones behind cost more."""
        return max(cash, 0) * self.market.scale // (2 * (self.market.best(SELL) or 1))

    def curve(self, side: int, most: int) -> Curve:
        """Return what a walk of the book costs or brings."""
        levels, total = [], 0
        for price, quantity in self.market.levels(-side):
            levels.append((price, quantity))
            total += quantity
            if total >= most:
                break
        quantities = [0, *accumulate(quantity for _, quantity in levels)]
        notionals = [0, *accumulate(price * quantity for price, quantity in levels)]

        def worth(tokens: int) -> int:
            level = min(bisect_left(quantities, tokens), len(levels))
            if not level:
                return 0
            part = min(tokens, total) - quantities[level - 1]
            notional = notionals[level - 1] + part * levels[level - 1][0]
            return self._counter.worth(notional // self.market.scale)

        return Curve(lambda size: min(size, total), worth)

    def most(self, tokens: int, cash: int) -> int:
        """Return the tokens."""
        return tokens

    def limit(self, side: int, tokens: int) -> int:
        """Return the price of the last level that so many tokens reach."""
        last = 0
        for price, quantity in self.market.levels(-side):
            last, tokens = price, tokens - quantity
            if tokens <= 0:
                break
        return last

    def buy(self, holder: int, size: int, limit: int, cause: int) -> tuple[int, int]:
        """Walk the offers up to a limit."""
        done = self.market.execute(holder, BUY, size, limit, cause=cause, channel=Channel.ARBITRAGE)
        return done.event, done.filled

    def sell(self, holder: int, tokens: int, limit: int, cause: int) -> int:
        """Walk the bids down to a limit."""
        done = self.market.execute(
            holder, SELL, self.market.rounded(tokens), limit, cause=cause, channel=Channel.ARBITRAGE
        )
        return done.event


class PoolVenue:
    """A pool, in which the arbitrageur trades with what it holds; the size of a purchase is cash."""

    perpetual, prompt = False, True
    place, lot = CHAIN, 1

    def __init__(self, sim: Simulation, pool: Pool, asset: int, cash: int) -> None:
        self.pool, self.node, self.traded, self.cash = pool, pool.node, asset, cash
        self._counter = Counter(sim, asset, cash, sim.reference_price(cash))

    def price(self, side: int, probe: int) -> int | None:
        """Return the mean price, fee included, of a small trade."""
        cash = self.pool.quote(self.traded, probe, self.cash)
        if side == SELL or not cash:
            return self._counter.per_token(cash, probe) or None
        tokens = self.pool.quote(self.cash, cash, self.traded)
        return self._counter.per_token(cash, tokens) if tokens else None

    def takes(self, side: int) -> int:
        """Return more than can be counted: it quotes any size."""
        return SUPPLY_LIMIT

    def affordable(self, cash: int) -> int:
        """Return what the pool gives for all of it."""
        return self.pool.quote(self.cash, cash, self.traded) if cash > 0 else 0

    def curve(self, side: int, most: int) -> Curve:
        """Return the pool's own curve."""
        if side == BUY:
            return Curve(lambda size: self.pool.quote(self.cash, size, self.traded), self._counter.worth)
        return Curve(
            lambda tokens: tokens, lambda tokens: self._counter.worth(self.pool.quote(self.traded, tokens, self.cash))
        )

    def most(self, tokens: int, cash: int) -> int:
        """Return the cash that buys no more than so many tokens."""
        return largest_size(lambda size: self.pool.quote(self.cash, size, self.traded) <= tokens, max(cash, 0))

    def limit(self, side: int, tokens: int) -> int:
        """Return nothing: who trades first trades at what was quoted."""
        return 0

    def buy(self, holder: int, size: int, limit: int, cause: int) -> tuple[int, int]:
        """Pay cash in."""
        done = self.pool.trade(holder, self.cash, size, self.traded, cause=cause, channel=Channel.ARBITRAGE)
        return done.event, done.received

    def sell(self, holder: int, tokens: int, limit: int, cause: int) -> int:
        """Pay tokens in."""
        return self.pool.trade(holder, self.traded, tokens, self.cash, cause=cause, channel=Channel.ARBITRAGE).event


class Swap:
    """How one kind of cash becomes another: in a pool that has both, or (without one) not at all."""

    def __init__(self, sim: Simulation, paid: int, wanted: int, pool: Pool | None) -> None:
        self.paid, self._wanted, self._pool = paid, wanted, pool if paid != wanted else None
        self._own = Counter(sim, paid, paid, sim.reference_price(paid))
        self._other = Counter(sim, paid, wanted, sim.reference_price(wanted))

    def worth(self, amount: int) -> int:
        """Return what an amount is worth when it is swapped now, or as it is where no pool swaps it."""
        if self._pool is None:
            return self._own.worth(amount)
        return self._other.worth(self._pool.quote(self.paid, amount, self._wanted))

    def equal(self, amount: int) -> int:
        """Return what is worth as much, at opening prices, as an amount of what is wanted."""
        return self._other.worth(amount) // self._own.worth(1)

    def size(self, most: int, share_ppm: int) -> int:
        """Return how much keeps a share of its worth on the whole; 0 where that is not a hundredth of it all."""
        if self._pool is None or most <= 0:
            return 0
        size = largest_size(lambda size: self.worth(size) * PPM >= self._own.worth(size) * share_ppm, most)
        return size if size * 100 >= most and self.worth(size) else 0

    def trade(self, holder: int, amount: int, cause: int) -> int:
        """Swap and return the event; Refused when the holder has less."""
        assert self._pool is not None, "what no pool swaps has no size"
        channel = Channel.ARBITRAGE
        return self._pool.trade(holder, self.paid, amount, self._wanted, cause=cause, channel=channel).event


class WindowVenue:
    """An issuer's window: it takes tokens that are on chain back at par minus its fee, and may make new ones.

    What it pays and makes arrives later, and a redemption is worth what `swap` makes of its payout now. The size of
    a purchase is the payout that is paid in; an issuer that does not mint has no offer.
    """

    perpetual, prompt = False, False
    place, lot = CHAIN, 1

    def __init__(self, sim: Simulation, issuer: Any, swap: Callable[[int], int]) -> None:
        self.issuer, self.node, self.traded, self.cash = issuer, issuer.node, issuer.asset, issuer.payout
        self._mints = hasattr(issuer, "mint")
        self._swap = swap
        self._counter = Counter(sim, issuer.asset, issuer.payout, sim.reference_price(issuer.payout))

    def price(self, side: int, probe: int) -> int | None:
        """Return par with the fee, and with what changing the payout costs; None where it has no room."""
        if self.takes(side) < probe:
            return None
        cash = self.issuer.payment(probe)
        if side == SELL:
            return self._counter.price(self._swap(cash), probe) or None
        tokens = self.issuer.issue(cash)
        return self._counter.per_token(cash, tokens) if tokens else None

    def takes(self, side: int) -> int:
        """Return the room that is left in this hour."""
        if side == SELL:
            return int(self.issuer.room())
        return int(self.issuer.mint_room()) if self._mints else 0

    def affordable(self, cash: int) -> int:
        """Return what is made for all of it."""
        return int(self.issuer.issue(cash)) if cash > 0 else 0

    def curve(self, side: int, most: int) -> Curve:
        """Return a straight line, but for what changing the payout costs."""
        if side == BUY:
            return Curve(self.issuer.issue, self._counter.worth)
        return Curve(lambda tokens: tokens, lambda tokens: self._swap(self.issuer.payment(tokens)))

    def most(self, tokens: int, cash: int) -> int:
        """Return the payout for which no more than so many tokens are made."""
        return largest_size(lambda size: self.issuer.issue(size) <= tokens, max(cash, 0))

    def limit(self, side: int, tokens: int) -> int:
        """Return nothing: its price is par."""
        return 0

    def buy(self, holder: int, size: int, limit: int, cause: int) -> tuple[int, int]:
        """Pay in; the tokens come later."""
        tokens = self.issuer.issue(size)
        return int(self.issuer.mint(holder, size, cause=cause)), int(tokens)

    def sell(self, holder: int, tokens: int, limit: int, cause: int) -> int:
        """Hand in; the payment comes later."""
        return int(self.issuer.redeem(holder, tokens, cause=cause))


def plan(cheap: Venue, dear: Venue, most: int, cash: int, edge_ppm: int) -> Order | None:
    """Return the order that pays most, of at most so many tokens bought for at most so much cash; None if none does.

    edge_ppm : what the tokens bring over what they cost has to exceed this, at the margin. Where a thousandth of what
    could be traded does not pay, profit being concave, all that might is a crumb, and left alone.
    """
    lot = max(cheap.lot, dear.lot)
    if isinstance(cheap, BookVenue) and isinstance(dear, BookVenue):
        order = _walk(cheap, dear, most, edge_ppm)
        tokens = order.size // lot * lot
        return order._replace(size=tokens, tokens=tokens) if tokens else None
    bought, sold = cheap.curve(BUY, most), dear.curve(SELL, most)

    def profit(size: int) -> int:
        return sold.worth(bought.tokens(size)) * PPM - bought.worth(size) * edge_ppm

    budget = cheap.most(most, cash)
    if profit(max(budget // CRUMBS, 1)) <= 0:
        return None
    size = best_size(profit, budget)
    if isinstance(cheap, BookVenue):
        size = size // lot * lot
    tokens = bought.tokens(size) // dear.lot * dear.lot
    if size <= 0 or sold.worth(tokens) * PPM <= bought.worth(size) * edge_ppm:
        return None
    return Order(size, tokens, cheap.limit(BUY, size), dear.limit(SELL, tokens))


def _walk(cheap: BookVenue, dear: BookVenue, most: int, edge_ppm: int) -> Order:
    """Return the tokens for which a bid of one book exceeds an offer of another by the edge, exactly."""
    offers, bids = iter(cheap.market.levels(SELL)), iter(dear.market.levels(BUY))
    offer, bid = next(offers, None), next(bids, None)
    paid, got = cheap.market.quote_price * edge_ppm, dear.market.quote_price * PPM
    tokens, limits = 0, (0, 0)
    while offer and bid and tokens < most and bid[0] * got > offer[0] * paid:
        part = min(offer[1], bid[1], most - tokens)
        tokens, limits = tokens + part, (offer[0], bid[0])
        offer = (offer[0], offer[1] - part) if offer[1] > part else next(offers, None)
        bid = (bid[0], bid[1] - part) if bid[1] > part else next(bids, None)
    return Order(tokens, tokens, *limits)
