"""A ledger column that keeps only the members who differ from how they opened: a stand-in for an account book."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.units import SUPPLY_LIMIT

Integers = NDArray[np.int64]


class Sparse:
    """A column of `opening` balances and a dictionary of changes; beyond `room` changed members it refuses."""

    def __init__(self, opening: list[int], room: int | None = None) -> None:
        self.opening, self.room = opening, room
        self.changed: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.opening)

    def read(self, member: Any) -> Any:
        if isinstance(member, np.ndarray):
            return np.array([self.read(one) for one in member.tolist()], dtype=np.int64)
        return self.changed.get(member, self.opening[member])

    def add(self, member: Any, amount: Any) -> bool:
        for one, moved in zip(np.atleast_1d(member).tolist(), _plain(amount), strict=True):
            assert one >= 0, "members are numbered from 0"
            balance = self.read(one) + moved
            if abs(balance) >= SUPPLY_LIMIT or (self.room is not None and len({*self.changed, one}) > self.room):
                return False
            self.changed[one] = balance
        return True

    def restore(self, member: Any, before: Any) -> None:
        for one, balance in zip(np.atleast_1d(member).tolist(), _plain(before), strict=True):
            self.changed[one] = balance
            if balance == self.opening[one]:
                del self.changed[one]

    def least(self) -> int:
        return min(0, *self.all())

    def total(self) -> int:
        return sum(self.all())

    def held(self) -> tuple[Integers, Integers]:
        balances = np.array(self.all(), dtype=np.int64)
        return np.flatnonzero(balances), balances[balances != 0]

    def all(self) -> list[int]:
        return [self.read(member) for member in range(len(self))]


def _plain(amount: Any) -> list[int]:
    return amount.tolist() if isinstance(amount, np.ndarray) else [amount]
