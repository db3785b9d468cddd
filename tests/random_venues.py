"""Random exchanges that are at rest: books, makers, arbitrageurs, crowds, accounts and funds, and what may be wrong.

`random_venues(seed)` draws one or two exchanges with one to four coins each and, half of the time, the on-chain
kinds of `random_worlds` around the same coins, which then sell into order books, read them and borrow. A third of
the worlds have a fault of `FAULTS`: no makers, extreme prices, coarse lots, stalled feeds, crowds at the margin.
Whales, dip buyers, loans and redeemers come from `random_layers`.

Whatever a graph states keeps enough slack that without a shock nobody fails: prices move by ticks, yields, funding
and interest alone, and what they can add up to over the horizon is less than anybody's distance to liquidation. A
world that cannot be at rest says so (`graph.graph["at_rest"]`), and why is said where it is drawn.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from random import Random
from typing import Any

import networkx as nx

from contagion.graph import build
from tests import random_worlds as on_chain
from tests.random_layers import add_layers
from tests.random_worlds import WEALTH, Draft

MINUTE_US = 60_000_000
FLOOR = 0.05
"""The nearest distance to liquidation of anybody; funding and interest together take less than a third of it."""


class Venues(Draft):
    """A draft with exchanges: which books, coins and makers each has, and what is wrong in this world."""

    def __init__(self, seed: int, small: bool = False) -> None:
        super().__init__(seed)
        self.seed, self.small = seed, small
        self.rng.seed(f"small {seed}" if small else f"venues {seed}")
        self.minutes = self.between(0.5, 2) if small else self.between(1, 10)
        self.fault = self.rng.choice(list(FAULTS)) if self.chance(0.35) else ""
        self.spot: dict[str, dict[str, str]] = {}
        self.perpetual: dict[str, dict[str, str]] = {}
        self.listed: dict[str, dict[str, str]] = {}
        self.named: list[str] = []
        self.issuers: dict[str, str] = {}
        self.at_rest = True

    def quick(self, most_s: float = 2) -> str:
        return self.duration(most_s)

    def lots(self, book: str, value: float) -> str:
        """Return a number of tokens in whole lots of a book as text; "0" where a lot is worth more."""
        lot = Decimal(self.nodes[book]["lot"])
        return f"{Decimal(self.amount(self.nodes[book]['asset'], value)) // lot * lot:f}"

    def amount(self, asset: str, value: float) -> str:
        """Return a number of tokens as text, for what floats cannot say."""
        digits = self.nodes[asset]["decimals"]
        return f"{max(value / self.prices[asset], 10.0**-digits):.{digits}f}"


def random_venues(seed: int, *, small: bool = False, layers: bool = True) -> tuple[nx.MultiDiGraph, list[str]]:
    """Return a graph and the names that may be knocked out of it.

    small : one exchange of one or two coins, at most two minutes long; layers : with the parts of `random_layers`.
    """
    draft = Venues(seed, small)
    mixed = draft.chance(0.5) and draft.fault not in ("extreme prices", "a price of a tick")
    if mixed:
        on_chain._add_assets(draft)
        for asset in draft.volatile + draft.stable:
            on_chain._add_markets(draft, asset)
        on_chain._add_issuers(draft)
    else:
        _add_coins(draft)
    for number in range(1 if small else draft.rng.choice([1, 1, 2, 2])):
        _add_exchange(draft, f"exchange{number}")
    if mixed:
        _add_on_chain(draft)
    for number in range(draft.rng.choice([0, 1, 1, 2])):
        _add_arbitrageur(draft, number)
    _add_bystander(draft, mixed)
    for number in range(draft.rng.randint(1, 4)):
        _add_shock(draft, number)
    _add_hedged_issuers(draft, seed)
    if layers:
        add_layers(draft, seed)
    FAULTS.get(draft.fault, lambda _: None)(draft)
    for name in draft.spot:
        draft.nodes[name]["pool"] = draft.rng.choice([1, 1, 0.1])
    graph = build(draft.nodes, draft.edges)
    graph.graph.update(
        name=f"venues-{seed}", horizon_us=int(draft.minutes * MINUTE_US), seed=seed, shocks=draft.shocks,
        fault=draft.fault, at_rest=draft.at_rest,
    )  # fmt: skip
    return graph, draft.optional


# ------------------------------------------------------------------------------------------------- faults


def _stall(draft: Venues) -> None:
    """Hold what a node says for a while: a book, an oracle or a coin that somebody reads."""
    sources = sorted({edge["from"] for edge in draft.edges if edge["role"] == "prices"})
    for number in range(draft.rng.randint(1, 3)):
        draft.shocks.append({
            "kind": "stall", "name": f"stall{number}", "node": draft.rng.choice(sources),
            "at": f"{draft.rng.randint(0, 120)}s", "over": f"{draft.rng.randint(1, 400)}s",
        })  # fmt: skip


def _no_makers(draft: Venues) -> None:
    """Empty the books: no makers, no resting orders of the outside."""
    for name in [name for name, node in draft.nodes.items() if node["kind"] == "market_maker"]:
        del draft.nodes[name]
        draft.edges = [edge for edge in draft.edges if name not in (edge["from"], edge["to"])]
        draft.optional = [known for known in draft.optional if known != name]
    for node in draft.nodes.values():
        node.pop("stubs", None)


def _penniless_maker(draft: Venues) -> None:
    """Take a maker's capital away: it withdraws as soon as it looks, which is a failure without any shock."""
    makers = {name for name, node in draft.nodes.items() if node["kind"] == "market_maker"}
    for edge in draft.edges:
        if edge["role"] == "margin" and edge["to"] in makers:
            edge.pop("balances", None)
            draft.at_rest = False


def _nothing_to_do(draft: Venues) -> None:
    """Leave crowds without a lot to their name."""
    for node in draft.nodes.values():
        if "traders" in node:
            node["traders"]["open_interest"] = {
                book: draft.amount(draft.nodes[book]["asset"], 0.0) for book in node["traders"]["open_interest"]
            }
        if "holders" in node:
            node["holders"]["total"] = draft.amount(node["holders"]["asset"], 0.0)


def _at_the_margin(draft: Venues) -> None:
    """Put every trader at one per cent from liquidation, where nothing but prices may move it."""
    for node in draft.nodes.values():
        if "traders" in node:
            node["traders"] |= {"distance_floor": "1%", "distance_median": "1.01%", "distance_spread": 0.1}
        if node["kind"] == "exchange":
            node["funding_interval"] = node["interest_interval"] = "0s"


def _halted(draft: Venues) -> None:
    """Halt all transfers for ever."""
    for node in draft.nodes.values():
        if node["kind"] == "exchange":
            node["halts"] = [{"start": "0s", "end": "365d"}]


def _crash(draft: Venues) -> None:
    """Take a coin's fundamental to a millionth."""
    coin = draft.rng.choice(draft.volatile)
    draft.shocks.append({"kind": "reprice", "name": "crash", "asset": coin, "size": "-0.999999", "at": "30s"})


FAULTS: dict[str, Callable[[Venues], None]] = {
    "extreme prices": lambda _: None,
    "a price of a tick": lambda _: None,
    "coarse lots": lambda _: None,
    "stall": _stall,
    "no makers": _no_makers,
    "penniless maker": _penniless_maker,
    "nothing to do": _nothing_to_do,
    "at the margin": _at_the_margin,
    "halted": _halted,
    "crash": _crash,
}
"""What may be wrong; the first three are drawn where coins and books are, the others change a finished draft."""


# ---------------------------------------------------------------------------------------- coins and books


def _add_coins(draft: Venues) -> None:
    draft.node("usd", "asset", decimals=draft.rng.choice([2, 6, 8]))
    draft.prices["usd"] = 1.0
    span = {"extreme prices": (-6, 9), "a price of a tick": (-9, -6)}.get(draft.fault, (-2, 5))
    for number in range(draft.rng.randint(1, 2 if draft.small else 4)):
        price = max(float(f"{10 ** draft.rng.uniform(*span):.4g}"), 1e-9)
        price = float(f"{price:.9f}")
        fits = [d for d in (0, 2, 6, 8, 9, 12) if price / 10**d < 1 and 1e9 / price * 10**d < 1e16]
        name = draft.node(
            f"coin{number}", "asset", decimals=draft.rng.choice(fits or [0]), price=Decimal(f"{price:.9f}")
        )
        if draft.chance(0.2):
            draft.nodes[name]["yield_rate"] = draft.between(0.0, 0.3)
        draft.prices[name] = price
        draft.volatile.append(name)


def _tick(draft: Venues, price: float) -> str:
    if draft.fault == "a price of a tick":
        return f"{price:.9f}"
    step = max(price * 10 ** -draft.between(2.3, 5), 1e-9)
    tick = Decimal(f"{step:.1g}")
    return f"{max(tick, Decimal('1e-9')):.9f}"


def _add_book(draft: Venues, name: str, coin: str, contract: str) -> None:
    price = draft.prices[coin]
    worth = 1e6 if draft.fault == "coarse lots" else 10 ** draft.between(-1, 2)
    draft.node(
        name, "order_book", asset=coin, numeraire="usd", contract=contract, tick=_tick(draft, price),
        lot=draft.amount(coin, worth), taker_fee=draft.rng.choice([0, 0.0005, 0.001]),
        maker_fee=draft.rng.choice([0, 0.0002, -0.0001]), band=draft.rng.choice([0.01, 0.02, 0.2]),
    )  # fmt: skip
    steps = draft.rng.choice([[], [0.9], [0.95, 0.8, 0.5, 1.05, 1.5], [0.5, 0.2, 0.01, 1.2, 3, 50]])
    if steps:
        depth = WEALTH * 10 ** draft.between(-2, 0)
        draft.nodes[name]["stubs"] = [{"at": at, "quantity": draft.amount(coin, depth)} for at in steps]


def _add_exchange(draft: Venues, name: str) -> None:
    coins = draft.rng.sample(draft.volatile, draft.rng.randint(1, len(draft.volatile)))
    draft.spot[name], draft.perpetual[name] = {}, {}
    for coin in coins:
        both = draft.rng.choice([("spot",), ("spot", "perpetual"), ("spot", "perpetual"), ("perpetual",)])
        for contract in both:
            book = f"{name}-{coin}-{contract}"
            _add_book(draft, book, coin, contract)
            getattr(draft, contract)[name][coin] = book
            draft.edges.append({"role": "trades", "from": name, "to": book})
            draft.edge("prices", book, name)
        if "spot" in both:
            draft.markets.setdefault(coin, []).append(f"{name}-{coin}-spot")
    payments = draft.rng.choice([0, 0, 2, 6])
    every = f"{int(draft.minutes * MINUTE_US / payments)}us" if payments else "0s"
    limit, settlement = draft.rng.choice([("bankruptcy", "close"), ("bankruptcy", "haircut"), ("none", "haircut")])
    draft.node(
        name, "exchange", settlement="usd", interval=draft.rng.choice(["300ms", "1s", "3s"]),
        trigger=draft.rng.choice([1, 1.05]), call_at=draft.rng.choice([1.2, 1.5, 2]), order_limit=limit,
        slice=draft.rng.choice([1, 0.5, 0.2]), slice_above=draft.rng.choice([0, 1_000, 100_000]),
        liquidation_fee=draft.rng.choice([0, 0, 0.0125]), unwind=draft.rng.choice([0, 0.02, 0.5]),
        deleveraging={"settlement": settlement,
                      "ranking": draft.rng.choice(["binance", "bitmex", "hyperliquid", "pro-rata"])},
        funding_interval=every, interest_interval=draft.rng.choice(["0s", "1min", "1h"]),
        withdrawal_delay=draft.quick(60), assets=_coin_terms(draft, name, coins),
        contracts=_contract_terms(draft, name, payments),
    )  # fmt: skip
    if draft.chance(0.3):
        start = draft.rng.randint(0, 300)
        draft.nodes[name]["halts"] = [{"start": f"{start}s", "end": f"{start + draft.rng.randint(1, 300)}s"}]
    for number in range(draft.rng.choice([1, 1, 2, 3])):
        _add_maker(draft, f"{name}-maker{number}", name)
    for number in range(draft.rng.choice([0, 1, 3])):
        _add_account(draft, f"{name}-account{number}", name)
    if draft.perpetual[name]:
        for number in range(draft.rng.choice([0, 1, 1, 1, 2])):
            _add_traders(draft, f"{name}-traders{number}", name)
    for coin in draft.spot[name]:
        if draft.chance(0.3):
            _add_holders(draft, f"{name}-{coin}-holders", name, coin)
    if draft.chance(0.6):
        _add_fund(draft, f"{name}-fund", name)
    most = {coin: draft.prices[coin] * 1e17 / 10 ** draft.nodes[coin]["decimals"] for coin in ["usd", *coins]}
    deposits = {coin: draft.amount(coin, min(30 * WEALTH, worth)) for coin, worth in most.items()}
    draft.node(f"{name}-depositor", "account")
    draft.edge("margin", name, f"{name}-depositor", balances=deposits)
    with _aside(draft, name):
        if draft.stable and draft.chance(0.6):
            _list_stable(draft, name)


def _coin_terms(draft: Venues, name: str, coins: list[str]) -> dict[str, Any]:
    terms: dict[str, Any] = {"usd": {"loan_rate": draft.rng.choice([0, 0.1, 0.3]), "loan_maintenance": 0.04}}
    for coin in coins:
        terms[coin] = _marked(draft, name, coin) | {
            "ratios": draft.rng.choice([[[0, 1]], [[0, 0.9]], [[0, 0.85], [100_000, 0.7]]]),
            "loan_rate": draft.rng.choice([0, 0.2]), "loan_maintenance": draft.rng.choice([0.03, 0.1]),
        }  # fmt: skip
        if coin in draft.spot[name]:
            terms[coin]["market"] = draft.spot[name][coin]
    return terms


def _contract_terms(draft: Venues, name: str, payments: int) -> dict[str, Any]:
    tiers = [[[0, 0.005]], [[0, 0.004], [50_000, 0.01]], [[0, 0.01], [10_000, 0.02], [1_000_000, 0.03]]]
    cap = round(FLOOR / 4 / max(payments, 1), 6)
    return {
        book: _marked(draft, name, coin, book) | {"tiers": draft.rng.choice(tiers), "funding_cap": cap}
        for coin, book in draft.perpetual[name].items()
    }


def _marked(draft: Venues, name: str, coin: str, book: str = "") -> dict[str, Any]:
    """Return how something is marked: its own market, a mean with others or the fundamental, smoothed, clamped."""
    own = book or draft.spot[name].get(coin)
    others = [
        market for market in draft.markets.get(coin, []) if market != own and draft.nodes[market]["kind"] != "amm"
    ]
    facts: dict[str, Any] = {}
    if own is None or draft.chance(0.4):
        _reads(draft, name, coin)
        others.append(coin)
    if own and others and draft.chance(0.5):
        other = draft.rng.choice(others)
        _reads(draft, name, other)
        facts["sources"] = {own: draft.between(0.1, 1), other: draft.between(0.1, 1)}
    if others and draft.chance(0.5):
        index = draft.rng.choice(others)
        _reads(draft, name, index)
        facts |= {"index": {index: 1}, "clamp": draft.rng.choice([0.02, 0.1])}
        if draft.chance(0.5):
            facts["wide"] = draft.rng.choice([0.01, 0.1])
    if draft.chance(0.5):
        facts["ema"] = draft.rng.choice(["2s", "20s"])
    return facts


def _reads(draft: Venues, name: str, source: str) -> None:
    """Give a node a `prices` edge from a source, once."""
    if not any((edge["role"], edge["from"], edge["to"]) == ("prices", source, name) for edge in draft.edges):
        draft.edge("prices", source, name)


# ---------------------------------------------------------------------------------------------- accounts


def _add_maker(draft: Venues, name: str, exchange: str) -> None:
    books = [*draft.spot[exchange].items(), *draft.perpetual[exchange].items()]
    books = draft.rng.sample(books, draft.rng.randint(1, len(books)))
    quotes, stake = {}, 0.0
    for coin, book in books:
        depth = WEALTH * 10 ** draft.between(-2, 0)
        stake += depth
        quotes[book] = {
            "depth": draft.amount(coin, depth), "spread": draft.rng.choice([0.0002, 0.001, 0.01]),
            "reach": draft.rng.choice([0.02, 0.05, 0.3]), "levels": draft.rng.choice([1, 5, 20]),
            "capacity": draft.between(0.5, 5), "skew": draft.between(0, 0.1), "calm": draft.rng.choice([0.0005, 0.005]),
            "recovery": draft.rng.choice(["0s", "5s", "1min"]),
        }  # fmt: skip
        draft.edge("quotes", name, book)
        _reads(draft, name, book)
        if draft.chance(0.9):
            _reads(draft, name, coin)
    draft.node(
        name, "market_maker", optional=True, quotes=quotes, latency=draft.quick(), cooldown=draft.quick(120),
        max_leverage=draft.rng.choice([0, 3, 5]), max_drawdown=draft.rng.choice([0, 0.1, 0.5]),
        max_stress=draft.rng.choice([0, 5, 20]),
    )  # fmt: skip
    if draft.chance(0.3):
        draft.nodes[name]["max_age"] = "60s"
    pledged = stake * draft.between(0.3, 2)
    balances = _coins_worth(draft, exchange, pledged)
    cash = pledged * draft.between(-0.35, 2) if balances else pledged
    draft.edge("margin", exchange, name, balances=balances | {"usd": round(cash, 2)})


def _coins_worth(draft: Venues, exchange: str, worth: float) -> dict[str, str]:
    known = [coin for coin in draft.nodes[exchange]["assets"] if coin != "usd"]
    some = draft.rng.sample(known, draft.rng.randint(0, len(known)))
    return {coin: draft.amount(coin, worth / len(some)) for coin in some}


def _add_account(draft: Venues, name: str, exchange: str) -> None:
    """Add a named account: coins, perhaps a loan, positions with entries near the mark and cash to keep them."""
    worth = draft.wealth(0.1)
    balances: dict[str, Any] = _coins_worth(draft, exchange, worth)
    cash, positions = (-0.4 * worth if balances and draft.chance(0.4) else 0.05 * worth), {}
    for coin, book in draft.perpetual[exchange].items():
        if draft.chance(0.6):
            size = worth * draft.between(0.1, 3)
            side = draft.rng.choice(["", "-"])
            if not Decimal(quantity := draft.lots(book, size)):
                continue
            positions[book] = {"quantity": side + quantity}
            cash += size * draft.between(0.15, 0.6)
            if draft.chance(0.3):
                positions[book]["entry"] = f"{draft.prices[coin] * draft.between(0.97, 1.03):.12f}"
    short = [coin for coin in draft.spot[exchange] if coin not in balances and draft.chance(0.3)]
    for coin in short:
        balances[coin] = "-" + draft.amount(coin, worth * 0.2)
        cash += worth * 0.5
    draft.node(name, "account", optional=True)
    draft.edge("margin", exchange, name, balances=balances | {"usd": round(cash, 2)}, positions=positions)
    draft.named.append(name)


def _add_traders(draft: Venues, name: str, exchange: str) -> None:
    books = draft.perpetual[exchange]
    chosen = draft.rng.sample(sorted(books), draft.rng.randint(1, len(books)))
    floor = draft.between(FLOOR, 0.1)
    terms = {
        "open_interest": {books[coin]: draft.amount(coin, draft.wealth(0.1)) for coin in chosen},
        "short_share": draft.rng.choice([0, 0.5, 1]), "largest": draft.rng.choice([0.02, 0.3, 1]),
        "distance_floor": floor, "distance_median": round(floor + draft.between(0.001, 0.2), 4),
        "distance_spread": draft.between(0.2, 1.5), "isolated": draft.rng.choice([0, 0.4, 1]),
        "coins": {coin: 0.3 for coin in draft.nodes[exchange]["assets"] if coin != "usd" and draft.chance(0.5)},
        "entry_spread": draft.rng.choice([0, 0.02, 0.1]),
    }  # fmt: skip
    draft.node(name, "population", optional=True, count=int(5 * 40 ** draft.between(0, 1)), traders=terms)
    draft.edge("margin", exchange, name)


def _add_holders(draft: Venues, name: str, exchange: str, coin: str) -> None:
    market = draft.spot[exchange][coin]
    hazards = [[0.02, draft.between(1, 30)], [0.2, draft.between(30, 300)]]
    draft.node(
        name, "population", optional=True, count=draft.rng.randint(1, 100),
        holders={"asset": coin, "market": market, "total": draft.amount(coin, draft.wealth()), "hazards": hazards},
    )  # fmt: skip
    draft.edge("margin", exchange, name)
    _reads(draft, name, market)


def _add_fund(draft: Venues, name: str, exchange: str) -> None:
    draft.node(name, "account", optional=True)
    draft.edge("funds", exchange, name)
    draft.edge("margin", exchange, name, balances={"usd": draft.rng.choice([0, 1_000, 1_000_000])})


def _add_arbitrageur(draft: Venues, number: int) -> None:
    """Add an arbitrageur between books of one exchange or of two and perhaps the chain, with coins and cash at each."""
    name, venues = f"arbitrageur{number}", draft.rng.sample(sorted(draft.spot), len(draft.spot))
    if draft.chance(0.3):
        venues = venues[:1]
    tables: dict[str, dict[str, Any]] = {"size": {}, "capacity": {}}
    draft.node(
        name, "arbitrageur", optional=True, latency=draft.quick(), minimum_edge=draft.rng.choice([0, 0.001]),
        refill_at=draft.rng.choice([0, 0.2, 0.9]), **tables,
    )  # fmt: skip
    for venue in venues:
        balances: dict[str, Any] = {"usd": round(draft.wealth(0.2), 2)}
        for coin, book in [*draft.spot[venue].items(), *draft.perpetual[venue].items()]:
            draft.edge("arbitrage", name, book)
            _reads(draft, name, book)
            balances[coin] = draft.amount(coin, draft.wealth(0.1))
            tables["size"][coin] = draft.amount(coin, draft.wealth(0.05, 0.5))
            tables["capacity"][coin] = draft.amount(coin, draft.wealth(0.1))
        draft.edge("margin", venue, name, balances=balances)
    with _aside(draft, name):
        if draft.chance(0.7):
            _take_on_chain(draft, name, tables)


def _take_on_chain(draft: Venues, name: str, tables: dict[str, dict[str, Any]]) -> None:
    """Let an arbitrageur trade in pools of what its books trade and of stablecoins, and redeem those."""
    pools = [pool for pool, node in draft.nodes.items() if node["kind"] == "amm"]
    for coin in draft.stable:
        tables["size"][coin] = draft.amount(coin, draft.wealth(0.05, 0.5))
        tables["capacity"][coin] = draft.amount(coin, draft.wealth(0.1))
        issuer = f"{coin}-issuer"
        if issuer in draft.nodes and draft.chance(0.8):
            draft.edge("redeems", issuer, name)
    for table in [edge for edge in draft.edges if (edge["role"], edge["to"]) == ("margin", name)]:
        for coin, book in draft.listed.get(table["from"], {}).items():
            draft.edge("arbitrage", name, book)
            _reads(draft, name, book)
            table["balances"][coin] = draft.amount(coin, draft.wealth(0.1))
    for pool in pools:
        *traded, last = draft.nodes[pool]["assets"]
        if draft.prices[last] == 1 and set(traded) & set(tables["size"]) and draft.chance(0.8):
            draft.edge("arbitrage", name, pool)
            _reads(draft, name, pool)
            if draft.chance(0.3):
                draft.nodes[name].setdefault("numeraires", {})[pool] = last
    own = sorted({"usd", *tables["size"]})
    draft.nodes[name] |= {
        "balances": {asset: draft.amount(asset, draft.wealth(0.1)) for asset in own if draft.chance(0.8)},
        "transfer_delay": draft.quick(60), "swap_cost": draft.rng.choice([0, 0.001, 0.05]),
    }  # fmt: skip


def _list_stable(draft: Venues, exchange: str) -> None:
    """Let an exchange trade a stablecoin: a book, a maker who quotes it, and somebody who sells it."""
    coin = draft.rng.choice(draft.stable)
    book, maker = f"{exchange}-{coin}-spot", f"{exchange}-{coin}-maker"
    _add_book(draft, book, coin, "spot")
    draft.listed[exchange] = {coin: book}
    draft.edges.append({"role": "trades", "from": exchange, "to": book})
    draft.edge("prices", book, exchange)
    draft.nodes[exchange]["assets"][coin] = {"market": book}
    quotes = {"depth": draft.amount(coin, draft.wealth()), "skew": draft.between(0, 0.3), "reach": 0.3}
    draft.node(maker, "market_maker", optional=True, quotes={book: quotes}, latency=draft.quick())
    draft.edge("quotes", maker, book)
    draft.edge("prices", book, maker)
    draft.edge("margin", exchange, maker, balances={"usd": 3 * WEALTH, coin: draft.amount(coin, 3 * WEALTH)})
    draft.shocks.append({
        "kind": "sale", "name": f"{book}-sale", "market": book, "asset": coin, "at": f"{draft.rng.randint(1, 60)}s",
        "quantity": draft.amount(coin, draft.wealth(0.1)), "steps": draft.rng.choice([1, 5]), "over": "1min",
    })  # fmt: skip


@contextmanager
def _aside(draft: Venues, name: str) -> Iterator[None]:
    """Draw from a stream of its own, so that all else is drawn as without it."""
    rng, draft.rng = draft.rng, Random(f"{draft.seed} {name}")
    yield
    draft.rng = rng


def _add_hedged_issuers(draft: Venues, seed: int) -> None:
    """Add issuers who hedge at an exchange and who redeem and mint, from a stream of their own."""
    draft.rng = Random(f"issuers {seed}")
    for name in draft.spot:
        draft.nodes[name]["funding_interest"] = draft.rng.choice([None, 0.0001])
    for number in range(draft.rng.choice([0, 0, 1, 1, 2])):
        _add_hedged_issuer(draft, number)
    for issuer, token in draft.issuers.items():
        _add_run(draft, issuer, token)


def _add_hedged_issuer(draft: Venues, number: int) -> None:
    """Add a token whose issuer holds coins at an exchange and is short of contracts against them, and its holder."""
    both = [(venue, coin) for venue, books in draft.spot.items() for coin in books if coin in draft.perpetual[venue]]
    if not both:
        return
    name, token, (venue, _) = f"hedger{number}", f"token{number}", draft.rng.choice(both)
    draft.node(token, "asset", decimals=draft.rng.choice([6, 8]), issuer=name)
    draft.prices[token] = 1.0
    supply, quick = draft.wealth(), f"{int(draft.minutes * MINUTE_US / draft.rng.choice([3, 30]))}us"
    backing: dict[str, dict[str, Any]] = {}
    balances: dict[str, Any] = {"usd": round(draft.rng.choice([0, 0.05]) * supply, 2)}
    positions = {}
    for coin in [coin for place, coin in both if place == venue]:
        spot, perpetual = draft.spot[venue][coin], draft.perpetual[venue][coin]
        quantity = draft.lots(perpetual, supply * draft.between(0.05, 0.3))
        backing[spot] = {"hedge": perpetual, "share": draft.rng.choice([0, 0.1, 0.2])}
        balances[coin] = quantity
        if Decimal(quantity):
            positions[perpetual] = {"quantity": "-" + quantity}
        for market in (spot, perpetual):
            draft.edge("trades", name, market)
    cash = round(supply * draft.between(0.2, 1), 2)
    terms = {
        "asset": token, "payout": "usd", "backing": backing, "delay": draft.quick(60),
        "fee": draft.rng.choice([0, 0.01]), "capacity": round(supply, 2),
        "mint_capacity": draft.rng.choice([0, round(supply, 2)]),
        "floor": draft.rng.choice([0, cash, 2 * cash]), "reserve": draft.rng.choice([0, round(cash / 4, 2)]),
        "unwind": round(supply * draft.between(0.01, 0.5), 2), "unwind_interval": quick,
        "tolerance": draft.rng.choice([0.001, 0.05]), "rehedge_delay": draft.quick(20),
        "slippage": draft.rng.choice([0.001, 0.05]), "reward_rate": draft.rng.choice([0, 0.05]),
        "yield_interval": draft.rng.choice(["0s", quick]), "distributed": draft.rng.choice([0.5, 1]),
    }  # fmt: skip
    draft.node(name, "stablecoin_issuer", **terms, balances={"usd": cash})
    draft.edge("margin", venue, name, balances=balances, positions=positions)
    draft.node(f"{name}-holder", "account", balances={token: round(supply, 2), "usd": round(supply / 2, 2)})
    draft.edge("redeems", name, f"{name}-holder")
    if draft.chance(0.5):
        draft.node(
            f"{token}-pool", "amm", assets=[token, "usd"], balances={a: round(supply / 5, 2) for a in (token, "usd")}
        )
    draft.issuers[name] = token


def _add_run(draft: Venues, issuer: str, token: str) -> None:
    """Add redemptions, and perhaps mints, of the holder of a token."""
    held = draft.nodes[f"{issuer}-holder"]["balances"]
    for kind, asset in [("redemption", token), ("mint", "usd")]:
        if draft.chance(0.7):
            draft.shocks.append({
                "kind": kind, "name": f"{issuer}-{kind}", "by": f"{issuer}-holder", "issuer": issuer,
                "quantity": draft.amount(asset, held[asset] * draft.between(0.1, 1.2)),
                "at": f"{int(draft.minutes * draft.between(0, 0.6) * MINUTE_US)}us",
                "steps": draft.rng.choice([1, 5]), "over": "30s",
            })  # fmt: skip


def _add_on_chain(draft: Venues) -> None:
    for asset in draft.assets:
        on_chain._add_oracles(draft, asset)
    lenders = [on_chain._add_lender(draft, 0)] if draft.chance(0.7) else []
    for number in range(draft.rng.choice([0, 1, 2])):
        on_chain._add_liquidator(draft, number, lenders)


def _add_bystander(draft: Venues, mixed: bool) -> None:
    if mixed:
        on_chain._add_bystander(draft)
    else:
        held = {asset: draft.amount(asset, draft.wealth()) for asset in draft.assets}
        draft.node("bystander", "account", balances=held)


# ------------------------------------------------------------------------------------------------- shocks


def _add_shock(draft: Venues, number: int) -> None:
    kinds = ["reprice", "reprice", "sale", "sale"]
    kind = draft.rng.choice(kinds)
    at = f"{int(draft.rng.choice([0, draft.minutes * draft.between(0, 0.5)]) * MINUTE_US)}us"
    shock: dict[str, Any] = {"kind": kind, "name": f"shock{number}", "at": at}
    if kind == "reprice":
        coins = draft.rng.sample(draft.volatile, draft.rng.randint(1, len(draft.volatile)))
        sizes = [draft.between(-0.6, -0.05), draft.between(0.05, 0.8)]
        shock |= {
            "asset": coins[0],
            "size": sizes[1] if draft.fault == "a price of a tick" else draft.rng.choice(sizes),
        }
        if coins[1:]:
            most = 0.9 / abs(shock["size"])
            sign = draft.rng.choice(
                [1, 1, 1, -1 if draft.fault != "a price of a tick" else 1]
            )  # what goes the other way breaches longs and shorts together
            shock["betas"] = {coin: sign * round(min(draft.between(0.5, 2), most), 3) for coin in coins[1:]}
    else:
        venue = draft.rng.choice(sorted(draft.spot))
        coin, market = draft.rng.choice([*draft.spot[venue].items(), *draft.perpetual[venue].items()])
        shock |= {
            "asset": coin,
            "market": market,
            "by": draft.rng.choice(["world", "world", "bystander", *draft.named]),
        }
        if draft.chance(0.5):
            shock["size"] = draft.between(-0.5, -0.02)
        else:
            shock["quantity"] = draft.amount(coin, draft.wealth())
    if draft.chance(0.6):
        shock |= {"steps": draft.rng.randint(2, 20), "over": draft.rng.choice(["10s", "2min"])}
    draft.shocks.append(shock)
