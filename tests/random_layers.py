"""Random parts that stand on exchanges and on issuers: whales, dip buyers, loans, redeemers and what else is new.

`add_layers(draft, seed)` adds to a finished draft of `random_venues`, from a stream of its own, so that all else is
drawn as without it. Nobody added here is nearer than `SLACK` to anything that counts as a failure.
"""

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

from tests.random_worlds import Draft

SLACK = 1.08
"""The least distance to a call or a liquidation, as a ratio of healths or values."""

_OFTEN = 0.45


def add_layers(draft: Any, seed: int) -> None:
    """Add each kind of part at each exchange, or not; change what makers learn from and when transfers halt."""
    draft.rng = Random(f"layers {seed}")
    for venue in sorted(draft.spot):
        for add in LAYERS:
            if draft.chance(_OFTEN):
                add(draft, venue)
    for token, issuer in sorted(_issuers(draft).items()):
        if draft.chance(_OFTEN):
            _add_redeemers(draft, token, issuer)
    for name in sorted(draft.nodes):
        if draft.nodes[name]["kind"] == "market_maker":
            learns, inventory = draft.rng.choice(["prints", "fills"]), draft.rng.choice(["net", "book"])
            draft.nodes[name] |= {"learns": learns, "inventory": inventory}
    draft.rng = Random(f"slide {seed}")
    if draft.chance(_OFTEN) and draft.fault != "a price of a tick":
        _slide(draft)


def _slide(draft: Any) -> None:
    """Let all coins slide together, slowly enough that whoever has time to answer does."""
    first, *others = draft.volatile
    betas = {coin: draft.between(0.5, 1.5) for coin in others}
    draft.shocks.append({
        "kind": "reprice", "name": "slide", "asset": first, "size": draft.between(-0.5, -0.1), "betas": betas,
        "at": _second(draft, 1, 9), "over": _second(draft, 5, 40), "steps": draft.rng.randint(5, 30),
    })  # fmt: skip


def _books(draft: Any, venue: str) -> dict[str, str]:
    """Return the spot books of an exchange by what they trade."""
    return {**draft.spot[venue], **draft.listed.get(venue, {})}


def _cash(worth: float) -> float:
    return round(worth, 2)


def _second(draft: Draft, low: float, high: float) -> str:
    """Return a duration of between so many seconds."""
    return f"{int(draft.rng.uniform(low, high) * 1e6)}us"


def _reads(draft: Draft, name: str, source: str) -> None:
    if not any((edge["role"], edge["from"], edge["to"]) == ("prices", source, name) for edge in draft.edges):
        draft.edge("prices", source, name)


# ----------------------------------------------------------------------------------- a platform and its clients


def _add_platform(draft: Any, venue: str) -> None:
    """Add a lender against a coin of an exchange, who reads its book or the fundamental, with its borrowers."""
    if not draft.spot[venue]:
        return
    coin = draft.rng.choice(sorted(draft.spot[venue]))
    book, name = draft.spot[venue][coin], f"{venue}-platform"
    threshold = draft.between(0.5, 0.9, 3)
    reserve = {
        "threshold": threshold, "ltv": round(threshold * draft.between(0.7, 0.92), 3),
        "bonus": draft.between(0.0, min(0.1, 1 / threshold - 1.001)), "protocol_fee": draft.rng.choice([0, 0.1]),
    }  # fmt: skip
    usd = {"base_rate": draft.between(0, 0.05), "slope1": draft.between(0, 0.1), "slope2": draft.between(0, 2)}
    draft.node(
        name, "lending_protocol", reserves={coin: reserve, "usd": usd}, block_time=draft.rng.choice([0, "1s", "12s"]),
        close_factor=draft.between(0.2, 1.0, 2),
    )  # fmt: skip
    source = _oracle(draft, f"{name}-oracle", coin, book)
    draft.edge("prices", source, name)
    draft.edge("prices", "usd", name)
    owed = _add_whale(draft, f"{venue}-whale", venue, name, (coin, source, threshold))
    if draft.chance(_OFTEN):
        owed += _add_looper(draft, f"{name}-looper", name, (coin, source, book), reserve)
    draft.node(f"{name}-supplier", "account")
    draft.edge("claims", name, f"{name}-supplier", asset="usd", quantity=_cash(owed * draft.between(1.05, 3) + 1))
    for number in range(draft.rng.choice([0, 1, 2])):
        _add_keeper(draft, f"{name}-keeper{number}", name, venue)


def _oracle(draft: Draft, name: str, coin: str, book: str) -> str:
    """Return where a platform reads a coin's price: its fundamental, or an oracle of a book that is added."""
    if draft.chance(0.3):
        return coin
    draft.node(
        name, "oracle", asset=coin, source=draft.rng.choice(["book", "twap"]), window="30s",
        deviation=draft.rng.choice([0, 0.001, 0.005]), latency=draft.duration(3),
        heartbeat=draft.rng.choice(["10s", "5min"]),
    )  # fmt: skip
    draft.edge("prices", book, name)
    return name


def _add_whale(draft: Any, name: str, venue: str, platform: str, pledge: tuple[str, str, float]) -> float:
    """Add a whale with a pledge at a platform and a loop at an exchange; return what it owes the platform."""
    coin, source, threshold = pledge
    loops = _books(draft, venue)
    loop = draft.rng.choice(sorted(loops))
    worth, stake = draft.wealth(0.1), draft.wealth(0.1)
    call_below = draft.between(1.01, 1.3)
    debt = _cash(worth * threshold / call_below / (SLACK + draft.rng.expovariate(10)))
    draft.node(
        name, "whale", optional=True, loop=loop, market=loops[loop],
        pace=draft.amount(loop, stake / draft.between(5, 100)), call_below=call_below,
        restore_to=round(call_below + draft.between(0.01, 0.5), 4), interval=_second(draft, 0.2, 5),
        latency=draft.duration(2), yield_rate=draft.rng.choice([0, 0.1]), loan_rate=draft.rng.choice([0, 0.05]),
    )  # fmt: skip
    pledged = {coin: draft.amount(coin, worth)}
    draft.edge("borrows", name, platform, collateral=pledged, debt={"usd": debt})
    draft.edge("lends", platform, name)
    borrowed = draft.rng.choice([0.05, -0.3, -0.45])
    draft.edge("margin", venue, name, balances={loop: draft.amount(loop, stake), "usd": _cash(borrowed * stake)})
    draft.edge("trades", name, loops[loop])
    draft.edge("prices", draft.rng.choice([source, coin]), name)
    return debt


def _add_looper(draft: Draft, name: str, platform: str, read: tuple[str, str, str], reserve: dict[str, float]) -> float:
    """Add a loop on a platform that sells into the exchange's book; return what it owes."""
    (coin, source, book), ltv, equity = read, reserve["ltv"], draft.wealth(0.01, 0.3)
    below = max(round(reserve["threshold"] / ltv / 1.04 * draft.between(0.95, 1), 4), 1.0)
    draft.node(
        name, "looper", collateral=coin, debt="usd", equity=draft.tokens(coin, equity), ltv=ltv,
        rounds=draft.rng.randint(3, 11), latency=draft.duration(2), optional=True, unwind_below=below,
        unwind_to=round(below + draft.between(0.001, 0.1), 4),
    )  # fmt: skip
    draft.edge("borrows", name, platform)
    draft.edge("lends", platform, name)
    draft.edge("prices", source, name)
    draft.edge("trades", name, book)
    return equity * ltv / (1 - ltv)


def _add_keeper(draft: Any, name: str, platform: str, venue: str) -> None:
    draft.node(
        name, "liquidator", latency=draft.duration(2), gas=draft.rng.choice([0, 5]), optional=True,
        minimum_profit=draft.rng.choice([0, 10]), unconditional=draft.chance(0.3),
        balances={"usd": _cash(draft.wealth())},
    )  # fmt: skip
    draft.edge("liquidations", platform, name)
    for book in _books(draft, venue).values():
        draft.edge("trades", name, book)
        if draft.chance(0.7):
            draft.edge("prices", book, name)


# ------------------------------------------------------------------------------------------- at the exchange


def _add_dip_buyer(draft: Any, venue: str) -> None:
    books = _books(draft, venue)
    if not books:
        return
    name, buys = f"{venue}-dip-buyer", {}
    draft.node(name, "dip_buyer", optional=True, interval=_second(draft, 0.2, 5), buys=buys)
    for coin in draft.rng.sample(sorted(books), draft.rng.randint(1, len(books))):
        buys[books[coin]] = {
            "capital": _cash(draft.wealth(0.1)), "above": draft.between(0, 0.2), "rate": draft.between(0.01, 2),
            "lag": draft.rng.choice(["0s", "1s", "20s"]), "approach": draft.between(0, 0.3),
        }  # fmt: skip
        draft.edge("quotes", name, books[coin])
        _reads(draft, name, books[coin])
        if draft.chance(0.8):
            _reads(draft, name, coin)
    capital = sum(terms["capital"] for terms in buys.values())
    draft.edge("margin", venue, name, balances={"usd": _cash(capital * draft.rng.choice([1, 1, 1.5]))})


def _add_loans(draft: Any, venue: str) -> None:
    """Add a crowd of loans against coins, some with and some without a market."""
    coins = [coin for coin in sorted(draft.nodes[venue]["assets"]) if coin != "usd"]
    name, some = f"{venue}-loans", draft.rng.sample(coins, draft.rng.randint(1, min(len(coins), 3)))
    high = draft.between(0, 0.5)
    terms = {
        "collateral": {coin: draft.amount(coin, draft.wealth(0.1)) for coin in some},
        "ltv": draft.rng.choice([[[1, high]], [[0.3, 0], [0.7, high]], [["0.25", 0.1], ["0.75", high]]]),
        "ltv_spread": draft.rng.choice([0, 0.02]), "largest": draft.rng.choice([0.02, 0.3, 1]),
        "yield_rate": draft.rng.choice([0, 0.1]), "loan_rate": draft.rng.choice([0, 0.05]),
    }  # fmt: skip
    draft.node(name, "population", optional=True, count=draft.rng.randint(1, 60), loans=terms)
    draft.edge("margin", venue, name)


def _add_watchers(draft: Any, venue: str) -> None:
    """Add holders of a coin who look at another price: of a coin, a book anywhere or a pool."""
    if not draft.spot[venue]:
        return
    name, coin = f"{venue}-watchers", draft.rng.choice(sorted(draft.spot[venue]))
    watched = draft.rng.choice(_prices(draft))
    draft.node(
        name, "population", optional=True, count=draft.rng.randint(1, 60),
        holders={
            "asset": coin, "market": draft.spot[venue][coin], "watch": watched, "interval": _second(draft, 0.2, 5),
            "total": draft.amount(coin, draft.wealth(0.1)), "hazards": _hazards(draft),
        },
    )  # fmt: skip
    draft.edge("margin", venue, name)
    draft.edge("prices", watched, name)


def _halt(draft: Any, venue: str) -> None:
    """Halt transfers for some of the run, once or twice."""
    start = draft.rng.randint(0, 60)
    ends = [start + draft.rng.randint(1, 60), start + 100]
    draft.nodes[venue]["halts"] = [{"start": f"{start}s", "end": f"{ends[0]}s"}]
    if ends[0] < start + 50:
        draft.nodes[venue]["halts"].append({"start": f"{start + 50}s", "end": f"{ends[1]}s"})


# ---------------------------------------------------------------------------------------------- at issuers


def _issuers(draft: Any) -> dict[str, str]:
    """Return who redeems a token, by token, in this world."""
    return {
        node["asset"]: name for name, node in draft.nodes.items() if node["kind"] == "stablecoin_issuer"
    }  # fmt: skip


def _add_redeemers(draft: Any, token: str, issuer: str) -> None:
    """Add a crowd that redeems a token when a price falls: its pool's, where it has one, or any other."""
    own = [name for name, node in draft.nodes.items() if node["kind"] == "amm" and token in node["assets"][:-1]]
    name, watched = f"{token}-redeemers", draft.rng.choice([*_prices(draft), *own, *own])
    draft.node(
        name, "population", optional=True, count=draft.rng.randint(1, 60),
        redeemers={
            "asset": token, "total": draft.amount(token, draft.wealth(0.1)), "watch": watched,
            "hazards": _hazards(draft), "interval": _second(draft, 0.2, 10),
            "largest": draft.rng.choice([0.02, 0.3, 1]),
        },
    )  # fmt: skip
    draft.edge("prices", watched, name)
    if draft.chance(0.9):
        draft.edge("redeems", issuer, name)


def _prices(draft: Any) -> list[str]:
    books = [book for venue in sorted(draft.spot) for book in sorted(_books(draft, venue).values())]
    return [*books, *draft.volatile]


def _hazards(draft: Draft) -> list[list[Any]]:
    """Return shares an hour that empty a crowd within seconds or hardly move it."""
    rates = sorted(10 ** draft.rng.uniform(0, 3.8) for _ in range(2))
    return [[0.03, Decimal(f"{rates[0]:.3f}")], [0.15, Decimal(f"{rates[1]:.3f}")]]


LAYERS: tuple[Callable[[Any, str], None], ...] = (_add_platform, _add_dip_buyer, _add_loans, _add_watchers, _halt)
