"""A named holder with balances and positions: passive, but it can be liquidated.

What it holds stands on its `holds` edges; what it has pledged and borrowed on its `borrows` edges, what it has
at an exchange on its `margin` edges.
"""

from collections.abc import Iterable
from typing import ClassVar

from contagion.params import Params as Parameters
from contagion.ports import LENDERS, Mechanism, Position, Process
from contagion.simulation import Simulation
from contagion.venues import open_accounts


class Account:
    """A holder that does nothing by itself."""

    class Params(Parameters):
        """An account has no parameters of its own."""

    opens = 5
    reacts: ClassVar[bool] = False

    def __init__(self, sim: Simulation, node: int, params: "Account.Params") -> None:
        self.sim, self.node = sim, node

    def open(self) -> None:
        """Open the positions of `borrows` and `margin` edges: they exist at the start, no market is used."""
        sim = self.sim
        for link in sim.links(self.node, LENDERS):
            for side in ("collateral", "debt"):
                for name, quantity in link.attributes[side].items():
                    asset = sim.assets[name]
                    link.peer.open_position(Position(self.node, -1), asset, sim.units(asset, quantity), side)
        open_accounts(sim, self.node)

    def processes(self) -> Iterable[Process]:
        """Return nothing."""
        return ()


MECHANISM: type[Mechanism] = Account
