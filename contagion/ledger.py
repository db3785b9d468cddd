"""Who has how much of what: the balance-sheet matrix of Godley and Lavoie (2007, ch. 2).

``balances[holder][asset]`` is positive for a holding and negative for an obligation, and every column sums
to zero, so that issuance, debt and payment are all one operation: a transaction. A transaction is a set of
legs that balance by asset; it is posted whole or refused, and a refusal changes nothing.

A population keeps one row like everybody (its total) and, per asset, one column with the balance of each of
its members; a leg that names members moves both.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contagion.units import SUPPLY_LIMIT

Integers = NDArray[np.int64]
Leg = tuple[int, int, int] | tuple[int, int, int, int] | tuple[int, int, Integers, Integers]
"""(holder, asset, amount), (holder, asset, amount, member) or (holder, asset, amounts, members)."""


class Refused(Exception):
    """A transaction that a holder cannot afford. Nothing was posted."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A column of the ledger.

    issuers : holders that may be negative in it; a debt instead names its one `creditor`, and everybody
    else may be negative.
    """

    name: str
    decimals: int
    issuers: frozenset[int] = frozenset()
    creditor: int | None = None

    def may_owe(self, holder: int) -> bool:
        """Return whether the holder's balance may be negative."""
        return holder in self.issuers if self.creditor is None else holder != self.creditor


@dataclass
class Ledger:
    """Balances of all holders in all assets, in base units.

    >>> ledger = Ledger(["world", "ann"], [Asset("usd", 2, frozenset({0}))])
    >>> ledger.post([(0, 0, -500), (1, 0, 500)])
    >>> ledger.balances
    [[-500], [500]]
    >>> ledger.post([(1, 0, -501), (0, 0, 501)])
    Traceback (most recent call last):
        ...
    contagion.ledger.Refused: ann is short of 0.01 usd
    """

    holders: Sequence[str]
    assets: Sequence[Asset]
    balances: list[list[int]] = field(init=False)
    members: dict[tuple[int, int], Integers] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.balances = [[0] * len(self.assets) for _ in self.holders]

    def add_asset(self, asset: Asset) -> int:
        """Return the column of a new asset, empty for everybody."""
        self.assets = [*self.assets, asset]
        for row in self.balances:
            row.append(0)
        return len(self.assets) - 1

    def add_members(self, holder: int, asset: int, count: int) -> None:
        """Give a holder a column of `count` members in an asset, all at zero."""
        self.members.setdefault((holder, asset), np.zeros(count, np.int64))

    def balance(self, holder: int, asset: int, member: int = -1) -> int:
        """Return the balance of a holder, or of one of its members."""
        if member < 0:
            return self.balances[holder][asset]
        column = self.members.get((holder, asset))
        return 0 if column is None else int(column[member])

    def post(self, legs: Iterable[Leg]) -> None:
        """Change balances by legs that sum to zero in every asset; all of them or, with Refused, none."""
        sums: dict[int, int] = {}
        balances, done, bad = self.balances, [], None
        for leg in legs:
            holder, asset = leg[0], leg[1]
            if len(leg) == 3:
                total = leg[2]
            else:
                total = self._move_members(leg)  # type: ignore[arg-type]
            row = balances[holder]
            row[asset] += total
            sums[asset] = sums.get(asset, 0) + total
            done.append((leg, total))
        for leg, total in done:
            new = balances[leg[0]][leg[1]]
            if not 0 <= new < SUPPLY_LIMIT and (bad := self._fault(leg[0], leg[1], new)):
                break
            if len(leg) == 4 and (bad := self._member_fault(leg)):
                break
        if bad is None and not any(sums.values()):
            return
        for leg, total in done:
            balances[leg[0]][leg[1]] -= total
            if len(leg) == 4:
                self._move_members((leg[0], leg[1], -leg[2], leg[3]))
        assert not any(sums.values()), f"legs do not balance: {self._named(sums)}"
        raise Refused(bad)

    def max_imbalance(self) -> int:
        """Return the largest absolute column sum, members against their totals included: 0 or a bug."""
        columns = max((abs(sum(column)) for column in zip(*self.balances, strict=True)), default=0)
        totals = (abs(int(m.sum()) - self.balances[h][a]) for (h, a), m in self.members.items())
        return max(columns, max(totals, default=0))

    def overdrafts(self) -> list[tuple[str, str]]:
        """Return (holder, asset) of every negative balance that is not an obligation: none, or a bug."""
        rows = [
            (holder, asset)
            for holder, row in enumerate(self.balances)
            for asset, balance in enumerate(row)
            if balance < 0 and not self.assets[asset].may_owe(holder)
        ]
        columns = [k for k, m in self.members.items() if m.min() < 0 and not self.assets[k[1]].may_owe(k[0])]
        return [(self.holders[holder], self.assets[asset].name) for holder, asset in rows + columns]

    def _move_members(self, leg: Leg) -> int:
        holder, asset, amount, member = leg  # type: ignore[misc]
        column = self.members[holder, asset]
        if isinstance(member, np.ndarray):
            np.add.at(column, member, amount)
            return int(np.sum(amount))
        column[member] += amount
        return int(amount)

    def _member_fault(self, leg: Leg) -> str | None:
        holder, asset, _, member = leg  # type: ignore[misc]
        least = int(np.min(self.members[holder, asset][member], initial=0))
        return self._fault(holder, asset, least) if least < 0 else None

    def _fault(self, holder: int, asset: int, balance: int) -> str | None:
        if balance < 0 and -balance < SUPPLY_LIMIT and self.assets[asset].may_owe(holder):
            return None
        spec, who = self.assets[asset], self.holders[holder]
        if balance >= 0 or spec.may_owe(holder):
            return f"{who} would exceed 2^62 base units of {spec.name}: give it fewer decimals"
        return f"{who} is short of {-balance / 10**spec.decimals:.{spec.decimals}f} {spec.name}"

    def _named(self, sums: dict[int, int]) -> str:
        return ", ".join(f"{self.assets[asset].name} by {total}" for asset, total in sums.items() if total)
