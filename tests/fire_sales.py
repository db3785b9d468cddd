"""Networks of banks that sell into auctions, as the models of fire sales state them, and rounds as a run had them."""

from random import Random
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from tests.interbank import DECIMALS, HOUR, Outcome, fire_sale_graph, name

Floats = NDArray[np.float64]
SECOND = 1_000_000
SHOCK = 60 * SECOND
"""When prices are shocked; banks hear of it a second later, and lose other assets at that moment."""


def repriced(shock: Any) -> list[dict[str, Any]]:
    """Return a shock to each asset's price: fractions lost."""
    return [
        {"kind": "reprice", "asset": f"asset{k}", "size": -round(float(part), 6), "at": "60s"}
        for k, part in enumerate(shock) if part
    ]  # fmt: skip


def lost(asset: str, amounts: Any) -> list[dict[str, Any]]:
    """Return a loss of an asset by each bank, heard of together with a new price."""
    return [
        {"kind": "loss", "node": name(bank), "asset": asset, "quantity": round(float(amount), DECIMALS), "at": "61s"}
        for bank, amount in enumerate(amounts) if amount
    ]  # fmt: skip


def rounded(values: Any) -> Any:
    """Return amounts in whole base units."""
    return np.round(np.asarray(values, dtype=np.float64), DECIMALS).tolist()


def nobody(banks: int) -> list[list[float]]:
    """Return what banks owe each other where they owe each other nothing."""
    return [[0.0] * banks] * banks


def cut_short(graph: nx.MultiDiGraph, rounds: int) -> nx.MultiDiGraph:
    """Let a graph end half an hour after so many auctions, one an hour; a larger shock need not cost more."""
    graph.graph |= {"horizon_us": rounds * HOUR + HOUR // 2, "monotone": False}
    return graph


class Greenwood(NamedTuple):
    """Arguments of `finance.deleveraging`."""

    weights: Floats
    assets: Floats
    leverage: Floats
    impact: Floats
    price_shock: Floats


def greenwood_graph(banks: Greenwood, rounds: int = 1) -> nx.MultiDiGraph:
    """Return banks that go back to their leverage by the hour, at the price that all of them leave."""
    holdings = banks.weights * banks.assets[:, None]
    debts = banks.assets * banks.leverage / (1 + banks.leverage)
    auction = {"every": "1h", "measure": "value"}
    markets = [{"law": "linear", "depth": float(1 / kappa), "auction": auction} for kappa in banks.impact.tolist()]
    graph = fire_sale_graph(
        rounded(holdings), [0] * len(debts), nobody(len(debts)), rounded(debts), markets,
        repriced(banks.price_shock), resolution="write-down", sells="opening-weights",
    )  # fmt: skip
    for bank, leverage in enumerate(banks.leverage):
        graph.nodes[name(bank)]["leverage_limit"] = round(1 + float(leverage), 6)
    return cut_short(graph, rounds)


class Cont(NamedTuple):
    """Arguments of `finance.leverage_constraint`."""

    holdings: Floats
    illiquid: Floats
    equity: Floats
    depth: Floats
    max_leverage: float
    target_leverage: float
    price_shock: Floats
    illiquid_shock: Floats
    floor: float
    slippage: float


def cont_graph(banks: Cont, rounds: int) -> nx.MultiDiGraph:
    """Return banks with a leverage limit that sell by the hour."""
    auction = {
        "every": "1h", "measure": "value", "floor": banks.floor, "pays": {0.5: "mean", 1.0: "last"}[banks.slippage]
    }  # fmt: skip
    markets = [{"law": "exponential", "depth": float(depth), "auction": auction} for depth in banks.depth]
    debts = rounded(banks.holdings.sum(axis=1) + banks.illiquid - banks.equity)
    shocks = [*repriced(banks.price_shock), *lost("loan", banks.illiquid_shock * banks.illiquid)]
    graph = fire_sale_graph(
        rounded(banks.holdings), [0] * len(debts), nobody(len(debts)), debts, markets, shocks, rounded(banks.illiquid),
        resolution="write-down", leverage_limit=banks.max_leverage, leverage_target=banks.target_leverage,
    )  # fmt: skip
    return cut_short(graph, rounds)


class Farmer(NamedTuple):
    """Arguments of `finance.system_fire_sale`."""

    holdings: Floats
    cash: Floats
    other: Floats
    loans: Floats
    deposits: Floats
    price_shock: Floats
    impact: Floats
    buffer: float


def farmer_graph(banks: Farmer, steps: int = 6, *, minimum: float = 0.03, target: float = 0.05) -> nx.MultiDiGraph:
    """Return banks of the system-wide fire sale, an auction an hour between its steps.

    Who is below its buffer at the start has so much more of other assets before the shock that it is at rest.
    """
    limit = round(1 / min(banks.buffer, target), 6)
    totals = banks.holdings.sum(axis=0)
    depths = -0.05 * totals / np.log1p(-banks.impact)
    markets = [
        {"law": "exponential", "depth": float(depth), "auction": {"every": "1h", "pays": "mean"}}
        for depth in depths
    ]  # fmt: skip
    assets = banks.holdings.sum(axis=1) + banks.cash + banks.other
    missing = np.maximum(assets - limit * (assets - banks.loans - banks.deposits), 0) / (limit - 1)
    more = np.where(missing > 0, missing + 1, 0.0)
    graph = fire_sale_graph(
        rounded(banks.holdings), rounded(banks.cash), nobody(len(assets)), rounded(banks.deposits), markets,
        [*repriced(banks.price_shock), *lost("loan", more)], rounded(banks.other + more),
        resolution="write-down", leverage_limit=limit, leverage_target=round(1 / target, 6), deleveraging="review",
        insolvent_sells=True, minimum_ratio=minimum, repayable=1,
    )  # fmt: skip
    for bank, owed in enumerate(rounded(banks.loans)):
        graph.add_edge(name(bank), "world", role="claims", name=f"loans{bank}", quantity=owed, seniority=1, path=())
    return cut_short(graph, steps - 1)


class Cifuentes(NamedTuple):
    """Arguments of `finance.fire_sale_clearing`, the shock to liquid assets apart, and one over the ratio."""

    liquid: Floats
    lost: Floats
    illiquid: Floats
    liabilities: Floats
    deposits: Floats
    leverage: float
    impact: float
    recovery: float


def cifuentes_graph(banks: Cifuentes, **params: Any) -> nx.MultiDiGraph:
    """Return banks that revise their orders at the price shown until nobody's changes, while defaults are declared.

    A day passes between two cut-offs of defaults, twenty until the auction, and thirty more until debts are paid.
    """
    auction = {"every": "20d", "indication": "1s"}
    market = {"law": "exponential", "depth": 1 / banks.impact, "auction": auction}
    graph = fire_sale_graph(
        [[units] for units in rounded(banks.illiquid)], rounded(banks.liquid), rounded(banks.liabilities),
        rounded(banks.deposits), [market], lost("usd", banks.lost),
        **{
            "clearing": "1d", "settlement": "30d", "declaration": "1d", "revision": "3s", "materiality": 1e-6,
            "leverage_limit": banks.leverage, "deleveraging": "keep", "insolvent_sells": True,
            "recovery_external": banks.recovery, "recovery_interbank": banks.recovery,
        } | params,
    )  # fmt: skip
    graph.graph["horizon_us"] = 40 * 24 * HOUR
    return graph


def declared(result: Outcome) -> list[list[int]]:
    """Return who is in default at each cut-off that finds somebody: the rounds of fictitious default."""
    events, kinds = result.run.tables["events"], result.run.books.kinds
    failed = events["kind"] == (kinds.index("default") if "default" in kinds else -1)
    number = {node: bank for bank, node in enumerate(banks_of(result))}
    return [
        sorted(number[node] for node in events["node"][failed & (events["time_us"] == at)].tolist())
        for at in np.unique(events["time_us"][failed])
    ]  # fmt: skip


def banks_of(result: Outcome) -> list[int]:
    """Return the nodes that are banks."""
    return [number for number, node in enumerate(result.sim.network.nodes) if node.kind == "bank"]


class Rounds(NamedTuple):
    """What a run came to, auction by auction."""

    times: list[int]
    """When something was sold, in hours."""
    prices: list[list[float]]
    """Of every asset, after each of them."""
    sellers: list[list[int]]
    defaults: dict[int, int]
    """By bank, after how many hours."""


def rounds_of(result: Outcome, assets: int) -> Rounds:
    """Return the rounds of a run with an auction an hour."""
    events, kinds, sim = result.run.tables["events"], result.run.books.kinds, result.sim
    banks = banks_of(result)
    trades = events["kind"] == (kinds.index("trade") if "trade" in kinds else -1)
    times = np.unique(events["time_us"][trades])
    holder = events["node"][events["cause"]]
    sellers = [sorted({banks.index(n) for n in holder[trades & (events["time_us"] == at)].tolist()}) for at in times]
    moves = result.run.tables["prices"]
    paths = []
    for k in range(assets):
        feed = moves["market"] == sim.network.ids[f"market{k}"]
        at = np.searchsorted(moves["time_us"][feed], times, side="right") - 1
        paths.append(moves["price"][feed][at] / 1e9)
    failed = events["kind"] == (kinds.index("default") if "default" in kinds else -1)
    defaults = {
        banks.index(node): at // HOUR
        for node, at in zip(events["node"][failed].tolist(), events["time_us"][failed].tolist(), strict=True)
    }  # fmt: skip
    return Rounds([int(at) // HOUR for at in times], np.array(paths).T.tolist(), sellers, defaults)


def price(result: Outcome, market: int = 0) -> float:
    """Return the last price of an asset."""
    feed = result.sim.mechanisms[result.sim.network.ids[f"market{market}"]].feeds[result.sim.assets[f"asset{market}"]]  # type: ignore[attr-defined]
    return float(feed.mark.price) / 1e9


def sold(result: Outcome, held: Any) -> list[float]:
    """Return the units of the first asset that each bank has sold of what it held."""
    sim, asset = result.sim, result.sim.assets["asset0"]
    left = [sim.ledger.balances[sim.network.ids[name(bank)]][asset] / 1e9 for bank in range(len(held))]
    return [float(units) - rest for units, rest in zip(held, left, strict=True)]


def random_greenwood(seed: int) -> Greenwood:
    """Return up to five banks and four assets, of which a shock takes less than half of anybody's equity."""
    rng = np.random.default_rng(seed)
    banks, kinds = rng.integers(1, 6), rng.integers(1, 5)
    units = rng.integers(1, 200, (banks, kinds)) * (rng.random((banks, kinds)) < 0.6)
    units[:, 0] += 1
    assets, leverage = units.sum(axis=1), rng.integers(1, 26, banks)
    shock = np.round(rng.uniform(0, 0.5 / 26, kinds) * (rng.random(kinds) < 0.7), 6)
    impact = np.round(rng.uniform(0.05, 1, kinds) / (assets * leverage).sum(), 9)
    return Greenwood(units / assets[:, None], assets.astype(float), leverage.astype(float), impact, shock)


def random_cont(seed: int) -> Cont:
    """Return up to five banks and four assets; some are ruined at once or by the sales of others."""
    rng = np.random.default_rng(seed)
    banks, kinds = rng.integers(1, 6), rng.integers(1, 5)
    holdings = np.round(rng.uniform(1, 60, (banks, kinds)) * (rng.random((banks, kinds)) < 0.7), 6)
    illiquid = np.round(rng.uniform(5, 60, banks), 6)
    top = float(rng.integers(15, 26))
    target = top - float(rng.integers(1, 6))
    equity = np.round((holdings.sum(axis=1) + illiquid) / rng.uniform(0.6 * top, 0.999 * top, banks), 6)
    depth = np.round(rng.uniform(3, 40, kinds) * (holdings.sum(axis=0) + 1), 6)
    shocks = (
        np.round(rng.uniform(0, 0.05, size) * (rng.random(size) < chance), 6)
        for size, chance in ((kinds, 0.4), (banks, 0.6))
    )  # fmt: skip
    return Cont(
        holdings, illiquid, equity, depth, top, target, *shocks, float(rng.choice([0.0, 0.0, 0.3])),
        float(rng.choice([0.5, 1.0])),
    )  # fmt: skip


def random_farmer(seed: int) -> Farmer:
    """Return up to six banks and three assets, at rest or not."""
    rng = np.random.default_rng(seed)
    banks, kinds = rng.integers(1, 7), rng.integers(1, 4)
    holdings = np.round(rng.uniform(1, 40, (banks, kinds)) * (rng.random((banks, kinds)) < 0.8), 6)
    holdings[0, holdings.sum(axis=0) == 0] = 1.0
    cash, other = np.round(rng.uniform(0, 10, banks), 6), np.round(rng.uniform(20, 100, banks), 6)
    owed = (holdings.sum(axis=1) + cash + other) * (1 - rng.uniform(0.035, 0.09, banks))
    loans = np.round(owed * rng.uniform(0, 0.9, banks) * rng.choice([0.0, 0.1, 1.0], banks), 6)
    shock, impact = np.round(rng.uniform(0, 0.12, kinds), 6), np.round(rng.uniform(0.001, 0.06, kinds), 6)
    buffer = float(rng.choice([0.04, 1.0]))
    return Farmer(holdings, cash, other, loans, np.round(owed - loans, 6), shock, impact, buffer)


def random_cifuentes(seed: int) -> Cifuentes:
    """Return up to six banks that owe each other; some default at once or because of others."""
    rng = Random(seed)
    count, density = rng.randint(1, 6), rng.uniform(0.2, 0.8)
    owes = [[rng.randint(1, 15) * (i != j and rng.random() < density) for j in range(count)] for i in range(count)]
    claims = np.array(owes, dtype=np.float64)
    liquid, illiquid = ([float(rng.randint(0, top)) for _ in range(count)] for top in (12, 90))
    leverage = rng.choice([10.0, 12.5, 14.0])
    at_risk, owed = np.array(illiquid) + claims.sum(axis=0), claims.sum(axis=1)
    equity = np.array([rng.uniform(1.0, 1.6) for _ in range(count)]) * at_risk / leverage + 0.01
    deposits = np.floor(np.maximum(at_risk + liquid - owed - equity, 0.0) * 1e6) / 1e6
    missing = np.maximum(at_risk / leverage + 0.01 + owed + deposits - at_risk - liquid, 0.0)
    liquid = np.ceil((np.array(liquid) + missing) * 1e6) / 1e6
    lost = np.array([round(rng.uniform(0, 1) * cash, 6) * (rng.random() < 0.5) for cash in liquid.tolist()])
    impact = rng.uniform(0.05, 0.35) / max(sum(illiquid), 1.0)
    recovery = rng.choice([1.0, 1.0, 0.8])
    return Cifuentes(liquid, lost, np.array(illiquid), claims, deposits, leverage, impact, recovery)
