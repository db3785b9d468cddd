"""A bystander that breaks its run on some seeds, for tests of what many runs make of one that fails."""

from collections.abc import Iterable
from itertools import count
from typing import ClassVar

from contagion.params import Params as Parameters
from contagion.ports import Mechanism, Process
from contagion.simulation import Simulation


class Brittle:
    """A node that does nothing, or raises ArithmeticError."""

    class Params(Parameters):
        """`breaks_on` are the seeds; `breaks_on_shuffled` : whether ties in a random order break it."""

        breaks_on: list[int] = []
        breaks_on_shuffled: bool = False

    opens = 6
    reacts: ClassVar[bool] = True

    def __init__(self, sim: Simulation, node: int, params: "Brittle.Params") -> None:
        self.sim, self.node, self.params = sim, node, params

    def open(self) -> None:
        """Have nothing to open."""

    def processes(self) -> Iterable[Process]:
        """Return the process that breaks."""
        yield self._break()

    def _break(self) -> Process:
        yield self.sim.env.timeout(1)
        if self.params.breaks_on_shuffled and not isinstance(self.sim.env._eid, count):
            raise ArithmeticError("ties in another order are too much for me")
        if self.sim.seed in self.params.breaks_on:
            raise ArithmeticError(f"seed {self.sim.seed} is too much for me")


MECHANISM: type[Mechanism] = Brittle
