"""Random exposure graphs that are at rest: every kind, every source and curve, valid but odd numbers.

`random_graph(seed)` draws assets, then markets at their prices, oracles that read the markets, lenders that read
the oracles, borrowers with a health factor well above one, those who liquidate them, shocks and knock-outs.
Everything that a graph states is within the documented ranges, so whatever goes wrong in a run is a defect.
"""

from random import Random
from typing import Any

import networkx as nx

from contagion.graph import AT_ONCE, build

HOUR_US = 3_600_000_000
WEALTH = 3e6


class Draft:
    """A graph in the making: node and edge tables as a scenario file has them."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.nodes: dict[str, dict[str, Any]] = {}
        self.edges: list[dict[str, Any]] = []
        self.shocks: list[dict[str, Any]] = []
        self.prices: dict[str, float] = {}
        self.volatile: list[str] = []
        self.stable: list[str] = []
        self.markets: dict[str, list[str]] = {}
        self.oracles: dict[str, list[str]] = {}
        self.suppliers: list[tuple[str, str, str, float]] = []
        self.optional: list[str] = []

    @property
    def assets(self) -> list[str]:
        return list(self.prices)

    def between(self, low: float, high: float, digits: int = 4) -> float:
        return round(self.rng.uniform(low, high), digits)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def duration(self, most_s: float) -> str:
        if self.chance(0.3):
            return "0s"
        return f"{int(10 ** self.rng.uniform(0, 6) * most_s) + 1}us"

    def tokens(self, asset: str, value: float) -> float:
        digits = self.nodes[asset]["decimals"]
        return max(round(value / self.prices[asset], digits), 10.0**-digits)

    def wealth(self, low: float = 0.01, high: float = 1.0) -> float:
        return WEALTH * 10 ** self.rng.uniform(-2, 0) * self.between(low, high)

    def node(self, name: str, kind: str, *, optional: bool = False, **facts: Any) -> str:
        self.nodes[name] = {"kind": kind, **facts}
        if optional:
            self.optional.append(name)
        return name

    def edge(self, role: str, source: str, target: str, **facts: Any) -> None:
        latency = self.duration(20)
        if role in AT_ONCE:
            latency = "0s"
        self.edges.append({"role": role, "from": source, "to": target, "latency": latency, **facts})


def random_graph(seed: int) -> tuple[nx.MultiDiGraph, list[str]]:
    """Return a graph and the names that may be knocked out of it."""
    draft = Draft(seed)
    _add_assets(draft)
    for asset in draft.volatile + draft.stable:
        _add_markets(draft, asset)
    _add_pool_of_stables(draft)
    _add_issuers(draft)
    for asset in draft.assets:
        _add_oracles(draft, asset)
    lenders = [_add_lender(draft, number) for number in range(draft.rng.choice([0, 1, 1, 1, 2]))]
    for number in range(draft.rng.choice([0, 1, 1, 2, 2, 3])):
        _add_liquidator(draft, number, lenders)
    _add_bystander(draft)
    for number in range(draft.rng.randint(1, 4)):
        _add_shock(draft, number)
    graph = build(draft.nodes, draft.edges)
    graph.graph.update(
        name=f"fuzz-{seed}",
        horizon_us=int(draft.between(0.2, 2.0) * HOUR_US),
        seed=seed,
        shocks=draft.shocks,
    )
    return graph, draft.optional


def _add_assets(draft: Draft) -> None:
    draft.node("usd", "asset", decimals=draft.rng.choice([2, 6, 8]))
    draft.prices["usd"] = 1.0
    for number in range(draft.rng.randint(1, 3)):
        price = float(f"{10 ** draft.rng.uniform(-2, 3.7):.4g}")
        fits = [d for d in (0, 2, 6, 8, 9, 12) if price < 10**d * 0.5 and d + 7.5 < 18 + min(0.0, price - 1)]
        decimals = draft.rng.choice(fits or [6])
        name = draft.node(f"coin{number}", "asset", decimals=decimals, price=price)
        if draft.chance(0.3):
            draft.nodes[name]["yield_rate"] = draft.between(0.0, 0.3)
        draft.prices[name] = price
        draft.volatile.append(name)
    for number in range(draft.rng.randint(0, 2)):
        band = draft.between(0.005, 0.05)
        name = draft.node(f"stable{number}", "asset", decimals=draft.rng.choice([6, 8]), peg=1, band=band)
        draft.prices[name] = 1.0
        draft.stable.append(name)


def _add_markets(draft: Draft, asset: str) -> None:
    for number in range(draft.rng.choice([1, 1, 1, 2])):
        other = "usd"
        name = f"{asset}-market{number}"
        if draft.chance(0.3):
            _add_impact(draft, name, asset)
        else:
            if number and len(draft.assets) > 2:
                other = draft.rng.choice([a for a in draft.assets if a != asset])
            _add_pool(draft, name, [asset, other])
        if asset in draft.stable and other == "usd" and draft.chance(0.8):
            draft.edge("prices", name, asset)
        if draft.chance(0.5):
            draft.nodes[asset]["market"] = name


def _add_impact(draft: Draft, name: str, asset: str) -> None:
    law = draft.rng.choice(["linear", "square_root", "exponential", "log"])
    depth = draft.tokens(asset, WEALTH * 10 ** draft.between(-1.0, 1.0))
    fee = draft.rng.choice([0, 0.001])
    draft.node(
        name, "impact", asset=asset, numeraire="usd", law=law, depth=depth, volume=depth,
        volatility=draft.between(0.01, 0.2), fee=fee,
    )  # fmt: skip
    if draft.chance(0.5):
        draft.edge("prices", asset, name)
    draft.markets.setdefault(asset, []).append(name)


def _add_pool(draft: Draft, name: str, assets: list[str]) -> None:
    alike = max(draft.prices[a] for a in assets) == min(draft.prices[a] for a in assets)
    curve = "stableswap" if len(assets) > 2 or (alike and draft.chance(0.7)) else "constant_product"
    worth = WEALTH * 10 ** draft.between(-1.0, 0.5)
    facts: dict[str, Any] = {"assets": assets, "curve": curve, "fee": draft.rng.choice([0, 0.0004, 0.003])}
    if curve == "stableswap":
        facts["amplification"] = draft.rng.choice([10, 100, 1000])
    draft.node(name, "amm", **facts, balances={asset: draft.tokens(asset, worth) for asset in assets})
    numeraire = assets[-1]
    if numeraire != "usd" and draft.markets.get(numeraire) and draft.chance(0.5):
        source = draft.markets[numeraire][0]
        if draft.nodes[source].get("assets", ["", "usd"])[-1] == "usd":
            draft.edge("prices", source, name, asset=numeraire)
    for asset in assets[:-1]:
        draft.markets.setdefault(asset, []).append(name)


def _add_pool_of_stables(draft: Draft) -> None:
    if len(draft.stable) == 2 and draft.chance(0.5):
        _add_pool(draft, "three-pool", [*draft.stable, "usd"])


def _add_issuers(draft: Draft) -> None:
    for asset in draft.stable:
        if draft.chance(0.7):
            name = draft.node(
                f"{asset}-issuer", "stablecoin_issuer", asset=asset, payout="usd",
                delay=draft.duration(600), capacity=draft.wealth(), fee=draft.rng.choice([0, 0.001, 0.01]),
                balances={"usd": draft.wealth()}, marks=draft.rng.choice([{}, {asset: asset}]),
            )  # fmt: skip
            if draft.chance(0.6):
                draft.nodes[asset]["issuer"] = name


def _add_oracles(draft: Draft, asset: str) -> None:
    for number in range(draft.rng.randint(1, 2)):
        markets = draft.markets.get(asset, [])
        source = draft.rng.choice(["pool", "book", "index", "twap"] if markets else ["redemption"])
        if draft.chance(0.2):
            source = "pegged" if asset in draft.stable else "redemption"
        name = draft.node(
            f"{asset}-oracle{number}", "oracle", asset=asset, source=source,
            deviation=draft.rng.choice([0, 0, 0.001, 0.005]), latency=draft.duration(30),
            heartbeat=draft.rng.choice(["60s", "5min", "1h"]), window=draft.rng.choice(["2min", "30min"]),
        )  # fmt: skip
        if draft.chance(0.2):
            draft.nodes[name]["cap"] = round(draft.prices[asset] * draft.between(1.0, 1.1), 9)
        if source == "index":
            sources = draft.rng.sample(markets, draft.rng.randint(1, len(markets)))
        elif source in ("redemption", "pegged"):
            sources = ["usd" if source == "pegged" else asset]
        else:
            sources = [draft.rng.choice(markets)]
        for market in sources:
            draft.edge("prices", market, name)
        draft.oracles.setdefault(asset, []).append(name)


def _add_lender(draft: Draft, number: int) -> str:
    name, reserves = f"lender{number}", {}
    for asset in draft.assets:
        threshold = 0.0 if asset == "usd" and draft.chance(0.5) else draft.between(0.5, 0.9, 3)
        reserves[asset] = {
            "threshold": threshold, "ltv": round(threshold * draft.between(0.7, 0.95), 3),
            "bonus": round(draft.between(0.0, min(0.15, 1 / max(threshold, 0.1) - 1.001)), 4),
            "protocol_fee": draft.rng.choice([0, 0.1, 0.5]), "base_rate": draft.between(0, 0.05),
            "slope1": draft.between(0, 0.1), "slope2": draft.between(0, 2), "optimal": draft.between(0.5, 0.95),
        }  # fmt: skip
    draft.node(
        name, "lending_protocol", reserves=reserves, block_time=draft.rng.choice(["12s", "2s", 0]),
        close_factor=draft.between(0.2, 1.0, 2),
    )  # fmt: skip
    for asset in draft.assets:
        draft.edge("prices", draft.rng.choice(draft.oracles[asset]), name)
    demand = dict.fromkeys(draft.assets, 0.0)
    for i in range(draft.rng.randint(2, 8)):
        _add_account(draft, f"{name}-account{i}", name, demand)
    for i in range(draft.rng.randint(0, 2)):
        _add_looper(draft, f"{name}-looper{i}", name, demand)
    if draft.chance(0.4):
        _add_population(draft, f"{name}-crowd", name, demand)
    _add_suppliers(draft, name, demand)
    return name


def _pair(draft: Draft, lender: str) -> tuple[str, str, dict[str, Any]]:
    reserves = draft.nodes[lender]["reserves"]
    fits = [a for a in draft.assets if reserves[a]["threshold"] > 0]
    favourites = [draft.volatile[0]] * 2 + draft.stable[:1]
    collateral = draft.rng.choice(favourites) if draft.chance(0.7) else draft.rng.choice(fits)
    others = [a for a in draft.assets if a != collateral]
    debt = "usd" if "usd" in others and draft.chance(0.7) else draft.rng.choice(others)
    return collateral, debt, reserves[collateral]


def _add_account(draft: Draft, name: str, lender: str, demand: dict[str, float]) -> None:
    collateral, debt, reserve = _pair(draft, lender)
    pledged = draft.tokens(collateral, draft.wealth())
    owed = pledged * draft.prices[collateral] * reserve["threshold"] / (1.04 + draft.rng.expovariate(8))
    marks = draft.rng.choice([{}, {collateral: draft.rng.choice(draft.oracles[collateral])}])
    draft.node(name, "account", marks=marks, optional=True)
    digits = draft.nodes[debt]["decimals"]
    position = {"collateral": {collateral: pledged}, "debt": {debt: round(owed / draft.prices[debt], digits)}}
    if owed / draft.prices[debt] * 10**digits < 50:
        position["debt"] = {}
    demand[debt] += owed
    draft.edge("borrows", name, lender, **position)
    draft.edge("lends", lender, name)


def _add_looper(draft: Draft, name: str, lender: str, demand: dict[str, float]) -> None:
    collateral, debt, reserve = _pair(draft, lender)
    ltv, equity = reserve["ltv"], draft.wealth(0.01, 0.3)
    below = draft.between(1.0, reserve["threshold"] / ltv * 0.99)
    draft.node(
        name, "looper", collateral=collateral, debt=debt, equity=draft.tokens(collateral, equity),
        ltv=ltv, rounds=draft.rng.randint(0, 8), latency=draft.duration(10), optional=True,
    )  # fmt: skip
    if draft.chance(0.8):
        unwind_to = round(below + draft.between(0.001, 0.1), 4)
        draft.nodes[name] |= {"unwind_below": below, "unwind_to": unwind_to}
    demand[debt] += equity * ltv / (1 - ltv)
    draft.edge("borrows", name, lender)
    draft.edge("lends", lender, name)
    draft.edge("prices", draft.rng.choice(draft.oracles[collateral]), name)
    for market in draft.markets.get(collateral, []):
        draft.edge("trades", name, market)


def _add_population(draft: Draft, name: str, lender: str, demand: dict[str, float]) -> None:
    collateral, debt, _ = _pair(draft, lender)
    total = draft.wealth()
    floor = draft.between(1.03, 1.2)
    draft.node(
        name, "population", count=draft.rng.randint(1, 40), collateral=collateral, debt=debt,
        total=draft.tokens(collateral, total), health_floor=floor,
        health_median=round(floor + draft.between(0.01, 1.0), 4), optional=True,
    )  # fmt: skip
    if draft.chance(0.3):
        draft.nodes[name]["tail"] = draft.between(1.1, 3)
    demand[debt] += total
    draft.edge("borrows", name, lender)
    draft.edge("lends", lender, name)


def _add_suppliers(draft: Draft, lender: str, demand: dict[str, float]) -> None:
    for asset, value in demand.items():
        if value:
            name = draft.node(f"{lender}-{asset}-supplier", "account")
            quantity = draft.tokens(asset, value * draft.between(1.1, 2.0) + 1)
            draft.edge("claims", lender, name, asset=asset, quantity=quantity)
            draft.suppliers.append((name, lender, asset, quantity))


def _add_liquidator(draft: Draft, number: int, lenders: list[str]) -> None:
    name = draft.node(
        f"keeper{number}", "liquidator", latency=draft.duration(30), gas=draft.rng.choice([0, 5, 50.5]),
        minimum_profit=draft.rng.choice([0, 0, 10]), unconditional=draft.chance(0.25), optional=True,
        balances={asset: draft.tokens(asset, draft.wealth()) for asset in draft.assets},
    )  # fmt: skip
    for lender in lenders:
        draft.edge("liquidations", lender, name)
    for market in sorted({m for markets in draft.markets.values() for m in markets}):
        if draft.chance(0.8):
            draft.edge("trades", name, market)
        if draft.chance(0.5):
            draft.edge("prices", market, name)
    for asset in draft.stable:
        if f"{asset}-issuer" in draft.nodes:
            draft.edge("redeems", f"{asset}-issuer", name)


def _add_bystander(draft: Draft) -> None:
    held = {asset: draft.tokens(asset, draft.wealth()) for asset in draft.assets}
    marks = {a: draft.rng.choice(draft.oracles[a]) for a in draft.assets if draft.chance(0.5)}
    draft.node("bystander", "account", balances=held, marks=marks)


def _add_shock(draft: Draft, number: int) -> None:
    kind = draft.rng.choice(["sale", "sale", "reprice", "withdrawal" if draft.suppliers else "sale"])
    kind = kind if number else "sale"
    shock: dict[str, Any] = {"kind": kind, "name": f"shock{number}", "at": draft.duration(60)}
    if kind == "sale":
        asset = (
            draft.rng.choice(list(draft.markets))
            if number
            else draft.rng.choice(draft.volatile[:1] * 2 + draft.stable[:1])
        )
        market = draft.rng.choice(draft.markets[asset])
        shock |= {
            "asset": asset,
            "market": market,
            "by": draft.rng.choice(["world", "bystander"] if number else ["world"]),
        }
        if draft.chance(0.5) or not number:
            shock["size"] = draft.between(-0.7, -0.05)
        else:
            shock["quantity"] = draft.tokens(asset, draft.wealth())
    elif kind == "reprice":
        shock |= {"asset": draft.rng.choice(draft.assets[1:]), "size": draft.between(-0.7, 0.3)}
    else:
        name, lender, asset, quantity = draft.rng.choice(draft.suppliers)
        shock |= {"by": name, "lender": lender, "asset": asset, "quantity": quantity * draft.between(0.1, 1.2)}
        return draft.shocks.append(shock)
    if draft.chance(0.5):
        shock |= {"steps": draft.rng.randint(2, 20), "over": "10min"}
    return draft.shocks.append(shock)
