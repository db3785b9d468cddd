"""An exchange whose marks a test sets: ether at 2,000, a perpetual and a spot book made of stubs, stated accounts.

Marks follow the fundamental alone, so that `fall(sim, 1_900)` is the mark of the next interval, and what a book
gives is what its stubs say. Accounts are named ones, or the members of one crowd.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from contagion.assembly import build
from tests.sight import held, node, reprice, settle
from tests.worlds import Table, edge, graph_of

ETH, USD = 10**6, 10**6
Levels = Sequence[tuple[float, float]]
PERP, SPOT = "eth-perp", "eth-spot"


class Holding(NamedTuple):
    """An account in tokens: cash, contracts at an entry price, coins."""

    cash: float = 0
    quantity: float = 0
    entry: float = 2_000
    coins: float = 0


class Share(NamedTuple):
    """What an account has, in base units."""

    cash: int
    contracts: int
    cost: int
    coins: int


def desk_graph(
    accounts: Mapping[str, Holding], *, bids: Levels = (), asks: Levels = (), spot: tuple[Levels, Levels] = ((), ()),
    fund: float | None = 1_000_000, crowd: bool = False, tiers: Any = ((0, 0.01),), coin: Table | None = None,
    contract: Table | None = None, book: Table | None = None, **terms: Any,
) -> Any:  # fmt: skip
    """Return the graph; bids, asks, spot : (price, tokens) of the outside; fund : its cash, None for no fund."""
    rules = {"tiers": [list(tier) for tier in tiers], "sources": {"eth": 1}} | (contract or {})
    coins = {"eth": {"ratios": [[0, 0.9]], "market": SPOT, "sources": {"eth": 1}} | (coin or {})}
    market = {"kind": "order_book", "asset": "eth", "numeraire": "usd", "tick": 0.1, "lot": 0.01} | (book or {})
    nodes: dict[str, Table] = {
        "usd": {"kind": "asset", "decimals": 6},
        "eth": {"kind": "asset", "decimals": 6, "price": 2_000},
        PERP: market | {"contract": "perpetual", "stubs": _stubs(bids, asks)},
        SPOT: market | {"stubs": _stubs(*spot)},
        "exchange": {
            "kind": "exchange", "settlement": "usd", "assets": coins, "contracts": {PERP: rules},
            "funding_interval": "0s", "interest_interval": "0s",
        } | terms,
    }  # fmt: skip
    edges = [edge("trades", "exchange", [PERP, SPOT]), edge("prices", [PERP, SPOT, "eth"], "exchange")]
    if fund is not None:
        nodes["fund"] = {"kind": "account"}
        edges.append(edge("funds", "exchange", "fund"))
        edges.append(edge("margin", "exchange", "fund", balances={"usd": fund}))
    if crowd:
        members = [account._asdict() for account in accounts.values()]
        nodes["crowd"] = {"kind": "tests.kinds.margin_crowd", "book": PERP, "coin": "eth", "members": members}
        edges.append(edge("margin", "exchange", "crowd"))
    for name, account in () if crowd else accounts.items():
        nodes[name] = {"kind": "account"}
        balances = {"usd": account.cash, "eth": account.coins}
        positions = {PERP: {"quantity": account.quantity, "entry": account.entry}} if account.quantity else {}
        edges.append(edge("margin", "exchange", name, balances=balances, positions=positions))
    return graph_of(nodes, edges, [])


def desk(accounts: Mapping[str, Holding], **facts: Any) -> Any:
    """Return the simulation of a desk at rest, at time 0."""
    sim = build(desk_graph(accounts, **facts), allow_code=True)
    sim.members = {name: (number if facts.get("crowd") else -1) for number, name in enumerate(accounts)}
    settle(sim)
    return sim


def fall(sim: Any, at: float, seconds: float = 1) -> int:
    """Set the mark, rises included, and let the engine look; return the shock."""
    shock = reprice(sim, "eth", Decimal(str(at)))
    settle(sim, seconds)
    return shock


def share(sim: Any, name: str) -> Share:
    """Return what an account has."""
    assets = ("usd@exchange", f"{PERP}:contract", f"{PERP}:cost", "eth@exchange")
    if (member := sim.members.get(name, -1)) < 0:
        return Share(*(held(sim, name, asset) for asset in assets))
    crowd = sim.network.ids["crowd"]
    return Share(*(sim.ledger.balance(crowd, sim.assets[asset], member) for asset in assets))


def worth(sim: Any, name: str) -> float:
    """Return what an account is worth at the marks, in base units of cash, without haircuts."""
    exchange, own = node(sim, "exchange"), share(sim, name)
    contract, coin = exchange.unit(sim.assets[f"{PERP}:contract"]), exchange.unit(sim.assets["eth"])
    return own.cash + own.cost + own.contracts * contract + own.coins * coin


def who(sim: Any, row: Any) -> str:
    """Return the account of an event."""
    return next((name for name, member in sim.members.items() if member == row.member >= 0), row.node)


def _stubs(bids: Levels, asks: Levels) -> list[Table]:
    return [{"at": Decimal(str(at)) / 2_000, "quantity": size} for at, size in [*bids, *asks]]


def totals(sim: Any) -> list[int]:
    """Return the sums of all columns of the ledger."""
    return [int(total) for total in np.array(sim.ledger.balances, object).sum(axis=0)]
