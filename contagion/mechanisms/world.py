"""The outside: external sellers and buyers, the owner of what left, the counterparty of every opening balance.

It may owe any token, so that nothing in the model has to appear from nowhere.
"""

from collections.abc import Iterable
from typing import ClassVar

from contagion.params import Params as Parameters
from contagion.ports import Mechanism, Process
from contagion.simulation import Simulation


class World:
    """A holder without limits and without behaviour of its own; shocks act in its name."""

    class Params(Parameters):
        """The outside has no parameters."""

    opens = 6
    reacts: ClassVar[bool] = False

    def __init__(self, sim: Simulation, node: int, params: "World.Params") -> None:
        self.sim, self.node = sim, node

    def open(self) -> None:
        """Bring nothing: opening balances are posted against it."""

    def processes(self) -> Iterable[Process]:
        """Return nothing: the outside acts through shocks."""
        return ()


MECHANISM: type[Mechanism] = World
