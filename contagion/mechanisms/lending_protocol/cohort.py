"""Which members of a population are open to liquidation, at a cost that follows the price and not the crowd.

Every member has one collateral and one debt, so its health is one ratio: it can be liquidated when
debt / (threshold · collateral) exceeds the relative price of the two. Members are sorted once by that ratio.
A falling price uncovers them in this order; those uncovered are checked exactly from then on.
"""

import numpy as np
from numpy.typing import NDArray

from contagion.mechanisms.lending_protocol.reserve import Reserve
from contagion.units import PPM

_SLACK = 1.0 + 1e-9


class Cohort:
    """The members of one population at one lender."""

    def __init__(self, holder: int, collateral: Reserve, debt: Reserve) -> None:
        self.holder, self.collateral, self.debt = holder, collateral, debt
        ledger = collateral.sim.ledger
        columns = ledger.members[holder, collateral.supply], ledger.members[holder, debt.debt]
        deposits, owed = (column.read(np.arange(len(column))).astype(np.float64) for column in columns)
        debts = -owed
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(debts > 0, debts / (deposits * (collateral.threshold / PPM)), -1.0)
        order = np.argsort(-ratios, kind="stable")
        self._members: NDArray[np.int64] = order.astype(np.int64)
        self._falling = -ratios[order]
        self._uncovered = 0
        self._watched: list[int] = []

    def suspects(self, collateral_unit: int, debt_unit: int) -> list[int]:
        """Return the members that may be in breach at these prices: all who are, and some who recovered."""
        limit = collateral_unit * self.collateral.supply_index / (debt_unit * self.debt.debt_index)
        end = int(np.searchsorted(self._falling, -limit / _SLACK, side="right"))
        if end > self._uncovered:
            self._watched += self._members[self._uncovered : end].tolist()
            self._uncovered = end
        return self._watched

    def keep(self, members: list[int]) -> None:
        """Go on watching these members only; the others have no debt left."""
        self._watched = members
