"""A crowd: one node, N members as arrays, drawn from the node's own random stream.

Three kinds of crowd, by what is stated. `collateral` and `debt`: borrowers at the lender of a `borrows` edge.
`traders`: margin accounts at the exchange of a `margin` edge, long and short, cross and isolated, with a heavy
tail of sizes. `holders`: coins at that exchange whose owners sell by a stated hazard when the price has fallen.
Borrowers and traders do nothing by themselves: they are liquidated. All draws are rounded to base units before
anything is decided with them.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from contagion.mechanisms.population.borrowers import Borrowers
from contagion.mechanisms.population.holders import Holders, HolderTerms
from contagion.mechanisms.population.traders import Traders, TraderTerms
from contagion.params import AssetName, Positive
from contagion.params import Params as Parameters
from contagion.ports import Mechanism, Process
from contagion.simulation import Simulation


class Population:
    """N members of one kind."""

    class Params(Parameters):
        """`total` collateral in tokens; `spread` and `health_spread` are standard deviations of logarithms."""

        count: int = Field(ge=1, le=10_000_000)
        collateral: AssetName | None = None
        debt: AssetName | None = None
        total: Positive | None = None
        spread: Positive = Decimal("1.5")
        tail: Positive | None = None
        health_floor: Positive = Decimal("1.02")
        health_median: Positive = Decimal("1.6")
        health_spread: Positive = Decimal(1)
        traders: TraderTerms | None = None
        holders: HolderTerms | None = None

        @model_validator(mode="after")
        def _one_kind(self) -> Self:
            borrowers = {"collateral": self.collateral, "debt": self.debt, "total": self.total}
            given = [name for name, value in borrowers.items() if value is not None]
            kinds = bool(given) + (self.traders is not None) + (self.holders is not None)
            if kinds != 1:
                raise ValueError(
                    "state one kind of crowd: 'collateral', 'debt' and 'total', or 'traders', or 'holders'"
                )
            if given and len(given) < len(borrowers):
                missing = next(name for name in borrowers if name not in given)
                raise ValueError(
                    f"{missing!r} is required but missing: borrowers have 'collateral', 'debt' and 'total'"
                )
            return self

    opens = 5
    reacts: ClassVar[bool] = True

    def __init__(self, sim: Simulation, node: int, params: "Population.Params") -> None:
        self.sim, self.node, self.params = sim, node, params
        self._crowd: Any
        if params.traders is not None:
            self._crowd = Traders(sim, node, params.count, params.traders)
        elif params.holders is not None:
            self._crowd = Holders(sim, node, params.count, params.holders)
        else:
            self._crowd = Borrowers(sim, node, params)

    def open(self) -> None:
        """Draw the members and open their accounts."""
        self._crowd.open()

    def processes(self) -> Iterable[Process]:
        """Return the selling of holders; borrowers and traders only react to others."""
        if isinstance(self._crowd, Holders):
            yield self._crowd.sell()


MECHANISM: type[Mechanism] = Population
