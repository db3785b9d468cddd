"""Who has how much of what: the balance-sheet matrix of Godley and Lavoie (2007, ch. 2).

``balances[holder][asset]`` is positive for a holding and negative for an obligation, and every column sums
to zero, so that issuance, debt and payment are all one operation: a transaction. A transaction is a set of
legs that balance by asset; it is posted whole or refused, and a refusal changes nothing.

A population keeps one row like everybody (its total) and, per asset, one `Column` with the balance of each of
its members; a leg that names members moves both. A member may be named more than once. How a column keeps its
members, in an array or sparse, is its own affair.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from contagion.units import SUPPLY_LIMIT

Integers = NDArray[np.int64]
Leg = tuple[int, ...] | tuple[int, int, Integers, Integers]
"""(holder, asset, amount), (holder, asset, amount, member) or (holder, asset, amounts, members)."""


class Refused(Exception):
    """A transaction that a holder cannot afford. Nothing was posted."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A column of the ledger.

    issuers : holders that may be negative in it; a debt instead names its one `creditor`, and everybody
    else may be negative. anybody : everybody may be, as in margin cash and perpetual contracts.
    """

    name: str
    decimals: int
    issuers: frozenset[int] = frozenset()
    creditor: int | None = None
    anybody: bool = False

    def may_owe(self, holder: int) -> bool:
        """Return whether the holder's balance may be negative."""
        return self.anybody or (holder in self.issuers if self.creditor is None else holder != self.creditor)


class Column(Protocol):
    """The balances of one holder's members in one asset; members are numbered from 0.

    `member` and `amount` are two integers or two arrays of one length, in which a member may occur more than once.
    """

    def __len__(self) -> int:
        """Return the number of members, those without a balance included."""

    def read(self, member: Any) -> Any:
        """Return the balance of a member, or an array of the balances of an array of members."""

    def add(self, member: Any, amount: Any) -> bool:
        """Add to balances; False where one might pass 2^62 on the way, and the caller restores what there was."""

    def restore(self, member: Any, before: Any) -> None:
        """Put back what `read` had returned for the same members."""

    def least(self) -> int:
        """Return the smallest balance, or 0 where that is smaller."""

    def total(self) -> int:
        """Return the exact sum of all balances, which 64 bits need not hold."""

    def held(self) -> tuple[Integers, Integers]:
        """Return the members whose balance is not zero, in ascending order, and their balances."""


class Dense:
    """A column as an array with one element a member.

    >>> column = Dense(3)
    >>> column.add(np.array([2, 0, 2]), np.array([5, 1, 5])), column.read(2), column.total()
    (True, 10, 11)
    """

    def __init__(self, count: int) -> None:
        self.balances: Integers = np.zeros(count, np.int64)

    def __len__(self) -> int:
        return len(self.balances)

    def read(self, member: Any) -> Any:
        """Return the balance of a member, or a new array of the balances of an array of members."""
        return self.balances[member] if isinstance(member, np.ndarray) else self.balances.item(member)

    def add(self, member: Any, amount: Any) -> bool:
        """Add to balances; False where one might pass 2^62 on the way, beyond which 64 bits are not safe."""
        balances = self.balances
        if isinstance(member, np.ndarray):
            assert np.min(member, initial=0) >= 0, "members are numbered from 0"
            if total(np.abs(amount).view(np.uint64)) >= SUPPLY_LIMIT:
                return False
            np.add.at(balances, member, amount)
            return int(np.max(np.abs(balances[member]), initial=0)) < SUPPLY_LIMIT
        assert member >= 0, "members are numbered from 0"
        balance = balances.item(member) + amount
        if abs(balance) >= SUPPLY_LIMIT:
            return False
        balances[member] = balance
        return True

    def restore(self, member: Any, before: Any) -> None:
        """Put back what `read` had returned for the same members."""
        self.balances[member] = before

    def least(self) -> int:
        """Return the smallest balance, or 0 where that is smaller."""
        return int(self.balances.min(initial=0))

    def total(self) -> int:
        """Return the exact sum of all balances."""
        return total(self.balances)

    def held(self) -> tuple[Integers, Integers]:
        """Return the members whose balance is not zero, in ascending order, and their balances."""
        members = np.flatnonzero(self.balances)
        return members, self.balances[members]


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
    assets: list[Asset]
    members: dict[tuple[int, int], Column] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.assets, self._sums = list(self.assets), [0] * len(self.assets)

    @cached_property
    def balances(self) -> list[list[int]]:
        """Return the rows of all holders, made when they are first asked for: until then assets come at no cost."""
        return [[0] * len(self.assets) for _ in self.holders]

    def add_asset(self, asset: Asset) -> int:
        """Return the column of a new asset, empty for everybody."""
        self.assets.append(asset)
        for row in (*self.__dict__.get("balances", ()), self._sums):
            row.append(0)
        return len(self.assets) - 1

    def add_members(self, holder: int, asset: int, count: int) -> None:
        """Give a holder a dense column of `count` members in an asset, all at zero; one that is there stays."""
        column = self.members.setdefault((holder, asset), Dense(count))
        assert len(column) == count, f"{self.holders[holder]} has {len(column)} members, not {count}"

    def add_column(self, holder: int, asset: int, column: Column) -> None:
        """Give a holder a column of its own kind in an asset, which must sum to what the holder has."""
        assert (holder, asset) not in self.members, f"{self.holders[holder]} has members in {self.assets[asset].name}"
        self.members[holder, asset] = column

    def balance(self, holder: int, asset: int, member: int = -1) -> int:
        """Return the balance of a holder, or of one of its members."""
        if member < 0:
            return self.balances[holder][asset]
        column = self.members.get((holder, asset))
        return 0 if column is None else int(column.read(member))

    def post(self, legs: Sequence[Leg]) -> None:
        """Change balances by legs that sum to zero in every asset; all of them or, with Refused, none."""
        balances, sums, crowd = self.balances, self._sums, False
        for leg in legs:
            if len(leg) == 3:
                holder, asset, amount = leg
            else:
                holder, asset, amount, crowd = leg[0], leg[1], total(leg[2]), True
            balances[holder][asset] += amount
            sums[asset] += amount
        fault = None
        for leg in legs:
            holder, asset = leg[0], leg[1]
            if sums[asset]:
                self._undo(legs)
                raise AssertionError(f"legs do not balance in {self.assets[asset].name}: {legs}")
            balance = balances[holder][asset]
            if not 0 <= balance < SUPPLY_LIMIT and fault is None:
                fault = self._fault(holder, asset, balance)
        if crowd and fault is None:
            fault = self._move_members(legs)
        if fault is not None:
            self._undo(legs)
            raise Refused(fault)

    def max_imbalance(self) -> int:
        """Return the largest absolute column sum, members against their totals included: 0 or a bug."""
        columns = max((abs(sum(column)) for column in zip(*self.balances, strict=True)), default=0)
        totals = (abs(column.total() - self.balances[h][a]) for (h, a), column in self.members.items())
        return max(columns, max(totals, default=0))

    def overdrafts(self) -> list[tuple[str, str]]:
        """Return (holder, asset) of every negative balance that is not an obligation: none, or a bug."""
        least = {(h, a): balance for h, row in enumerate(self.balances) for a, balance in enumerate(row)}
        least |= {key: min(least[key], column.least()) for key, column in self.members.items()}
        return [
            (self.holders[holder], self.assets[asset].name)
            for (holder, asset), balance in least.items()
            if balance < 0 and not self.assets[asset].may_owe(holder)
        ]

    def _undo(self, legs: Sequence[Leg]) -> None:
        for leg in legs:
            amount = total(leg[2])
            self.balances[leg[0]][leg[1]] -= amount
            self._sums[leg[1]] -= amount

    def _move_members(self, legs: Sequence[Leg]) -> str | None:
        """Move the members that legs name or, with the reason, none of them."""
        fault: str | None = None
        saved: list[tuple[Column, Any, Any]] = []
        named = [(self.members[leg[0], leg[1]], leg) for leg in legs if len(leg) == 4]
        for column, (holder, asset, amount, member) in named:
            saved.append((column, member, column.read(member)))
            if not column.add(member, amount):
                fault = self._fault(holder, asset, SUPPLY_LIMIT)
                break
        else:
            for column, (holder, asset, _, member) in named:
                if self.assets[asset].may_owe(holder):
                    continue
                if (least := _least(column.read(member))) < 0 and fault is None:
                    fault = self._fault(holder, asset, least)
        if fault is not None:
            for column, member, before in reversed(saved):
                column.restore(member, before)
        return fault

    def _fault(self, holder: int, asset: int, balance: int) -> str | None:
        """Return what is wrong with a balance: negative, or too large for anybody."""
        spec, who = self.assets[asset], self.holders[holder]
        if balance < 0 and not spec.may_owe(holder):
            return f"{who} is short of {Decimal(-balance).scaleb(-spec.decimals):f} {spec.name}"
        if abs(balance) >= SUPPLY_LIMIT:
            return f"{who} would exceed 2^62 base units of {spec.name}: give it fewer decimals"
        return None


def total(amount: Any) -> int:
    """Return the exact sum of a leg's amounts, which 64 bits need not hold."""
    if not isinstance(amount, np.ndarray):
        return int(amount)
    return (int((amount >> 32).sum()) << 32) + int((amount & 0xFFFFFFFF).sum())


def _least(balance: Any) -> int:
    return int(balance.min(initial=0)) if isinstance(balance, np.ndarray) else balance
