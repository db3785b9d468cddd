"""A crowd whose members the ledger keeps sparse and the journal opens as a whole.

At every price that it hears, the next of its members pays one base unit to the world: the first time a member does
anything it steps out of the crowd, by two journal rows of the opening event that are worth nothing together. With
`dense` the same members are an array and open one by one, for comparison.
"""

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from contagion.log import CLOCK
from contagion.params import AssetName
from contagion.params import Params as Parameters
from contagion.ports import Mechanism, Process
from contagion.simulation import Simulation
from tests.sparse import Sparse


class SparseCrowd:
    """Members who pay a unit each, in their order."""

    class Params(Parameters):
        """`members` are the opening balances in base units."""

        asset: AssetName
        members: list[int]
        dense: bool = False

    opens = 6
    reacts: ClassVar[bool] = True

    def __init__(self, sim: Simulation, node: int, params: "SparseCrowd.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        self.asset, self.inbox = sim.assets[params.asset], sim.inbox()
        self.opened = CLOCK

    def open(self) -> None:
        """Post what the members bring."""
        sim, balances = self.sim, np.array(self.params.members)
        total = int(balances.sum())
        if self.params.dense:
            sim.ledger.add_members(self.node, self.asset, len(balances))
            own: tuple[object, ...] = (self.node, self.asset, balances, np.arange(len(balances)))
        else:
            sim.ledger.add_column(self.node, self.asset, Sparse(self.params.members))
            sim.introduced[self.node] = np.zeros(len(balances), np.bool_)
            own = (self.node, self.asset, total)
        self.opened = sim.transact("opening", self.node, own, (sim.world, self.asset, -total), cause=CLOCK)
        sim.subscribe(self.node, inbox=self.inbox)

    def processes(self) -> Iterable[Process]:
        """Return the payments."""
        yield self._pay()

    def _pay(self) -> Process:
        for member in range(1, len(self.params.members), 2):
            yield self.inbox.wait()
            cause = self.inbox.take()[-1].cause
            legs = (self.node, self.asset, -1, member), (self.sim.world, self.asset, 1)
            self.sim.transact("payment", self.node, *legs, cause=cause, member=member)


MECHANISM: type[Mechanism] = SparseCrowd
