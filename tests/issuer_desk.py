"""An exchange whose marks a test sets (`tests.desk`) with an issuer of `usde` that is delta-neutral there.

The token is redeemed for dollars; ether is the coin behind it, at `eth-spot`, hedged with `eth-perp`.
"""

from collections.abc import Mapping
from typing import Any

import networkx as nx

from contagion.assembly import build
from tests.desk import ETH, PERP, SPOT, USD, Holding, Levels, desk_graph
from tests.sight import held, node, settle
from tests.worlds import Table

DEEP: tuple[Levels, Levels] = ([(1_999, 10_000)], [(2_001, 10_000)])
"""Bids and offers that no test uses up."""


def issuer_graph(
    accounts: Mapping[str, Holding] | None = None, *, supply: float = 100_000, cash: float = 65_000,
    coins: float = 17.5, there: float = 0, short: float | None = None, issuer: Table | None = None,
    backing: Table | None = None, token: Table | None = None, reserve: Mapping[str, float] | None = None,
    perp: tuple[Levels, Levels] = DEEP, spot: tuple[Levels, Levels] = DEEP, **facts: Any,
) -> nx.MultiDiGraph:  # fmt: skip
    """Return the graph: ann and bob have half of the supply each, the issuer `cash` at hand and `coins` hedged.

    reserve : further coins that the issuer holds outside; there : dollars at the exchange; short : contracts, as many
    as coins where it is not stated.
    """
    graph = desk_graph(accounts or {}, bids=perp[0], asks=perp[1], spot=spot, **facts)
    graph.add_node("usde", **{"kind": "asset", "decimals": 6, "issuer": "issuer"} | (token or {}))
    own = {"kind": "stablecoin_issuer", "asset": "usde", "payout": "usd", "fee": 0, "mint_fee": 0, "delay": "1min"}
    stake = {SPOT: {"hedge": PERP} | (backing or {})}
    graph.add_node("issuer", **own | {"backing": stake} | (issuer or {}))
    for name in ("ann", "bob"):
        graph.add_node(name, kind="account")
        graph.add_edge("usde", name, role="holds", quantity=supply / 2)
        graph.add_edge("issuer", name, role="redeems")
    for name, tokens in ({"usd": cash} | dict(reserve or {})).items():
        graph.add_edge(name, "issuer", role="holds", quantity=tokens)
    quantity = -(coins if short is None else short)
    positions = {PERP: {"quantity": quantity, "entry": 2_000}} if quantity else {}
    graph.add_edge("exchange", "issuer", role="margin", balances={"eth": coins, "usd": there}, positions=positions)
    for market in (PERP, SPOT):
        graph.add_edge("issuer", market, role="trades")
    return graph


def issuer_desk(accounts: Mapping[str, Holding] | None = None, **facts: Any) -> Any:
    """Return the simulation, at rest at time 0."""
    sim: Any = build(issuer_graph(accounts, **facts))
    sim.members = dict.fromkeys(accounts or {}, -1)
    settle(sim)
    return sim


def hedge(sim: Any) -> tuple[float, float]:
    """Return (ether behind the token at the exchange, contracts sold short against it)."""
    return held(sim, "issuer", "eth@exchange") / ETH, -held(sim, "issuer", f"{PERP}:contract") / ETH


def ask(sim: Any, what: str, tokens: float, who: str = "ann") -> int:
    """Redeem or mint for a holder and return the event."""
    own = sim.network.ids[who]
    return int(getattr(node(sim, "issuer"), what)(own, round(tokens * USD), cause=sim.shock(own)))
