"""A threshold cascade: a node fails when `need` of its debtors have, or at the first price that reaches it.

For tests of depth definitions alone (Watts 2002 on a weighted graph of delays): there is no money. Debtors are
heard over `claims` edges; a seed has no debtors but a `prices` edge from an asset that a shock reprices, so
that its own failure is the first generation.
"""

from collections.abc import Iterable
from typing import ClassVar

from pydantic import Field

from contagion.params import Params as Parameters
from contagion.ports import DEBTORS, Mechanism, Process, Signal
from contagion.simulation import Simulation


class Threshold:
    """A node that fails once."""

    class Params(Parameters):
        """`need` is the number of failed debtors that it takes."""

        need: int = Field(default=1, ge=1)

    opens = 6
    reacts: ClassVar[bool] = True

    def __init__(self, sim: Simulation, node: int, params: "Threshold.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        self.failed = Signal(sim.env)
        self._inbox = sim.inbox()

    def open(self) -> None:
        """Listen to debtors and to shocks."""
        for link in self.sim.links(self.node, DEBTORS):
            link.peer.failed.reach(self._inbox, link.latency_us)  # type: ignore[attr-defined]
        self.sim.subscribe(self.node, inbox=self._inbox)

    def processes(self) -> Iterable[Process]:
        """Return the wait for what it takes to fail."""
        yield self._watch()

    def _watch(self) -> Process:
        heard: list[int] = []
        while len(heard) < self.params.need:
            yield self._inbox.wait()
            heard += [message.cause for message in self._inbox.take()]
        *earlier, last = heard[: self.params.need]
        event = self.sim.record("default", self.node, cause=last)
        for failure in earlier:
            self.sim.contribute(event, failure)
        self.failed.fire(event)


MECHANISM: type[Mechanism] = Threshold
