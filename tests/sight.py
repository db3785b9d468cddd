"""What tests see of a simulation in progress: rows of its log, balances of its ledger, marks of its feeds."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from contagion.ports import Position
from contagion.simulation import Simulation
from contagion.units import PRICE_DECIMALS, PRICE_SCALE, SECOND, to_units


def rows(sim: Simulation, *kinds: str) -> list[SimpleNamespace]:
    """Return the events after the opening, of the kinds named or all, with names in place of numbers."""
    columns = {name: column.tolist() for name, column in sim.log.events.columns().items()}
    known, start = list(sim.log.kinds), sim.log.kinds["start"]
    columns["kind"] = [known[kind] for kind in columns["kind"]]
    columns["node"] = [sim.network.names[node] if node >= 0 else "" for node in columns["node"]]
    columns["asset"] = [sim.ledger.assets[asset].name if asset >= 0 else "" for asset in columns["asset"]]
    columns["market"] = [sim.feed_names[market] if market >= 0 else "" for market in columns["market"]]
    events = zip(*columns.values(), strict=True)
    found = [
        SimpleNamespace(id=number, **dict(zip(columns, event, strict=True))) for number, event in enumerate(events)
    ]
    opening = next(row.id for row in found if row.kind == known[start])
    return [row for row in found[opening + 1 :] if not kinds or row.kind in kinds]


def node(sim: Simulation, name: str) -> Any:
    """Return a mechanism by its name."""
    return sim.mechanisms[sim.network.ids[name]]


def position(sim: Simulation, name: str, member: int = -1) -> Position:
    """Return a holder's position at a lender."""
    return Position(sim.network.ids[name], member)


def held(sim: Simulation, holder: str, asset: str) -> int:
    """Return a balance in base units."""
    return sim.ledger.balances[sim.network.ids[holder]][sim.assets[asset]]


def books(sim: Simulation) -> list[list[int]]:
    """Return a copy of all balances."""
    return [list(row) for row in sim.ledger.balances]


def mark(sim: Simulation, name: str, asset: str) -> int:
    """Return the price (10^-9) that a node quotes for an asset."""
    return int(node(sim, name).feeds[sim.assets[asset]].mark.price)


def quotes(sim: Simulation, market: str) -> list[tuple[int, int]]:
    """Return (time, price) of every change of a feed, the opening included."""
    prices = sim.log.prices.columns()
    own = prices["market"] == sim.feed_names.index(market)
    return list(zip(prices["time_us"][own].tolist(), prices["price"][own].tolist(), strict=True))


def price(number: float | str) -> int:
    """Return a price in 10^-9 of the currency."""
    return to_units(Decimal(str(number)), PRICE_DECIMALS)


def reprice(sim: Simulation, asset: str, number: float | str | Decimal) -> int:
    """Set an asset's reference price from outside and return the shock."""
    shock = sim.shock(sim.network.ids[asset], asset=sim.assets[asset], price=price(number))
    node(sim, asset).reprice(price(number), shock)
    return shock


def settle(sim: Simulation, seconds: float = 0) -> None:
    """Let everything happen that is due within some seconds from now."""
    sim.run(int(sim.env.now) + int(seconds * SECOND))


def give(sim: Simulation, holder: str, asset: str, units: int) -> int:
    """Hand base units of an asset from the outside to a holder and return the shock."""
    number, to = sim.assets[asset], sim.network.ids[holder]
    return sim.shock(to, (sim.world, number, -units), (to, number, units))


def dollars(units: int, decimals: int, at: int) -> float:
    """Return what base units are worth at a price (10^-9)."""
    return units * at / (PRICE_SCALE * 10**decimals)
