"""A crowd: one node, N members as arrays, drawn from the node's own random stream.

Five kinds of crowd, by what is stated. `collateral` and `debt`: borrowers at the lender of a `borrows` edge.
`traders`: margin accounts at the exchange of a `margin` edge, long and short, cross and isolated, with a heavy
tail of sizes. `loans`: accounts there with coins and a debt, such as loops. `holders`: coins there whose owners
sell by a stated hazard when a price has fallen. `redeemers`: coins of their own, which they redeem with the issuer
of a `redeems` edge by such a hazard. Borrowers, traders and loans do nothing by themselves: they are liquidated.
All draws are rounded to base units before anything is decided with them.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from contagion.mechanisms.population.borrowers import Borrowers
from contagion.mechanisms.population.holders import Holders, HolderTerms
from contagion.mechanisms.population.loans import Loans, LoanTerms
from contagion.mechanisms.population.redeemers import Redeemers, RedeemerTerms
from contagion.mechanisms.population.traders import Traders, TraderTerms
from contagion.params import AssetName, Positive
from contagion.params import Params as Parameters
from contagion.ports import Mechanism, Process
from contagion.simulation import Simulation

_CROWDS: dict[str, Any] = {"traders": Traders, "loans": Loans, "holders": Holders, "redeemers": Redeemers}


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
        loans: LoanTerms | None = None
        holders: HolderTerms | None = None
        redeemers: RedeemerTerms | None = None

        @model_validator(mode="after")
        def _one_kind(self) -> Self:
            borrowers = {"collateral": self.collateral, "debt": self.debt, "total": self.total}
            given = [name for name, value in borrowers.items() if value is not None]
            if bool(given) + sum(getattr(self, kind) is not None for kind in _CROWDS) != 1:
                raise ValueError(
                    "state one kind of crowd: 'collateral', 'debt' and 'total', or one of "
                    + ", ".join(f"'{kind}'" for kind in _CROWDS)
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
        kind = next((kind for kind in _CROWDS if getattr(params, kind) is not None), None)
        self._crowd: Any
        if kind is None:
            self._crowd = Borrowers(sim, node, params)
        else:
            self._crowd = _CROWDS[kind](sim, node, params.count, getattr(params, kind))

    def open(self) -> None:
        """Draw the members and open their accounts."""
        self._crowd.open()

    def processes(self) -> Iterable[Process]:
        """Return what holders and redeemers do; all others only react to others."""
        if isinstance(self._crowd, Holders | Redeemers):
            yield self._crowd.leave()


MECHANISM: type[Mechanism] = Population
