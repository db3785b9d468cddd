"""N margin accounts as rows of integers: eighty bytes an account, and the ledger's columns are views of them.

One account is one unified margin account: cash, up to four assets, one margin for all of them. An isolated
position is an account with one perpetual and cash of its own. What an account has of a perpetual is a signed number of
contracts and a cost (minus what was paid for it), so that unrealised profit is cost + quantity * price; of
collateral, a quantity; of a loan, a negative one. A slot whose quantity and cost are both 0 is free.

Whatever changes a row tells the book's listeners, so that an index over the book cannot be stale.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from contagion.accounts.rules import (
    CASH,
    COST,
    EMPTY,
    QUANTITY,
    SLOTS,
    WIDTH,
    Floats,
    Integers,
    Rules,
    equities,
    margins,
    survey,
)  # fmt: skip
from contagion.units import SUPPLY_LIMIT

Part = Literal["quantity", "cost", "cash"]
Listener = Callable[[Integers], None]

CHUNK = 1 << 13
"""Rows that are evaluated at once: they and what is computed from them stay in a core's cache."""

_SHIFTS = np.arange(0, 8 * SLOTS, 8)
_EVERY_SLOT = sum(1 << 8 * slot for slot in range(SLOTS))
_ALL_EMPTY = sum(EMPTY << 8 * slot for slot in range(SLOTS))
_OFFSETS: dict[Part, int] = {"quantity": QUANTITY, "cost": COST, "cash": CASH}


class AccountBook:
    """Accounts numbered from 0, with the rules by which their margins are computed.

    rows : shape (N, 10), see `rules`; the book keeps the array itself and nobody else may change it.
    ValueError for rows with an asset that has no rules, one asset in two slots, or something in an empty slot.

    >>> book = AccountBook.empty(2, Rules([[(0.75, 0.0), (1.25, 0.0)]]))
    >>> book.column(0, "quantity").add(1, 100), book.column(0, "cash").add(1, -70)
    (True, True)
    >>> book.margins(np.array([1.0])).tolist()
    [0.0, 5.0]
    """

    def __init__(self, rows: Integers, rules: Rules) -> None:
        if rows.ndim != 2 or rows.shape[1] != WIDTH or rows.dtype != np.int64 or not rows.flags.c_contiguous:
            raise ValueError(f"rows are contiguous 64-bit integers of shape (N, {WIDTH}), not {rows.shape}")
        self.rules = rules
        self._rows = rows
        self._listeners: list[Listener] = []
        self._slotted: dict[int, NDArray[np.int32]] = {}
        for first, block in self._blocks():
            _check(block, first, rules.assets)

    @classmethod
    def empty(cls, count: int, rules: Rules) -> "AccountBook":
        """Return a book of accounts that have nothing."""
        rows = np.zeros((count, WIDTH), np.int64)
        rows[:, 0] = _ALL_EMPTY
        return cls(rows, rules)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> Integers:
        """Return all rows, to read: changes go through `write` and columns, which tell the listeners."""
        view = self._rows.view()
        view.flags.writeable = False
        return view

    def listen(self, listener: Listener) -> None:
        """Call `listener` with the members of every change from now on, after it was made."""
        self._listeners.append(listener)

    def read(self, members: NDArray[Any]) -> Integers:
        """Return a copy of the rows of members."""
        rows: Integers = self._rows.take(members, axis=0)
        return rows

    def write(self, members: NDArray[Any], rows: Integers) -> None:
        """Replace the rows of members, each named once, in bulk."""
        self._rows[members] = rows
        self._slotted.clear()
        self._changed(members)

    def margins(self, prices: Floats, members: NDArray[Any] | None = None) -> Floats:
        """Return the margin of members, of all when None: cash, costs and what positions count for."""
        padded, tables = self.rules.padded(prices), self.rules.tables
        return self._scan(members, lambda block: margins(block, padded, tables))

    def equities(self, prices: Floats, members: NDArray[Any] | None = None) -> Floats:
        """Return cash, costs and values of members' positions, of all when None, without haircut or maintenance."""
        padded = self.rules.padded(prices)
        return self._scan(members, lambda block: equities(block, padded))

    def radii(self, prices: Floats, members: NDArray[Any] | None = None) -> Floats:
        """Return the relative move of prices that members surely survive, at most 1 (see `rules.survey`)."""
        padded, tables = self.rules.padded(prices), self.rules.tables
        return self._scan(members, lambda block: survey(block, padded, tables)[1])

    def cash(self, members: NDArray[Any]) -> Integers:
        """Return the cash of members."""
        cash: Integers = self._rows[members, CASH]
        return cash

    def positions(self, asset: int, members: NDArray[Any]) -> tuple[Integers, Integers]:
        """Return quantity and cost of members in an asset, 0 where they have none."""
        return self.column(asset, "quantity").read(members), self.column(asset, "cost").read(members)

    def holding(self, asset: int, side: int = 0) -> Integers:
        """Return the members that have an asset, in ascending order; only long ones for 1, short ones for -1.

        Who has a slot for it is looked up once and remembered until a slot is given away.
        """
        if asset not in self._slotted:
            found = [np.flatnonzero(_has_slot(block, asset)) + first for first, block in self._blocks()]
            self._slotted[asset] = np.concatenate([np.zeros(0, np.int64), *found]).astype(np.int32)
        members = self._slotted[asset].astype(np.int64)
        quantity = self.column(asset, "quantity").read(members)
        return np.asarray(members[quantity != 0 if side == 0 else quantity * side > 0])

    def column(self, asset: int, part: Part) -> "BookColumn":
        """Return a column as the ledger keeps them: quantities or costs in an asset, or cash (of whatever asset)."""
        if not 0 <= asset < self.rules.assets and part != "cash":
            raise ValueError(f"asset {asset}: this book has {self.rules.assets}")
        return BookColumn(self, asset, part)

    def _scan(self, members: NDArray[Any] | None, of: Callable[[Integers], Floats]) -> Floats:
        if members is None:
            parts = [of(block) for _, block in self._blocks()]
        else:
            starts = range(0, len(members), CHUNK)
            parts = [of(self._rows.take(members[at : at + CHUNK], axis=0)) for at in starts]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _blocks(self) -> Iterator[tuple[int, Integers]]:
        """Yield the number of the first row and up to CHUNK rows, in order."""
        for at in range(0, len(self._rows), CHUNK):
            yield at, self._rows[at : at + CHUNK]

    def _changed(self, members: NDArray[Any]) -> None:
        for listener in self._listeners:
            listener(members)


class BookColumn:
    """One column of a book: the balances of its members in one asset (the ledger's `Column`)."""

    def __init__(self, book: AccountBook, asset: int, part: Part) -> None:
        self.book, self.asset, self.part = book, asset, part
        self._offset = _OFFSETS[part]
        self._flat = book._rows.reshape(-1)

    def __len__(self) -> int:
        return len(self.book)

    def read(self, member: Any) -> Any:
        """Return the balance of a member, or an array of the balances of an array of members."""
        if not isinstance(member, np.ndarray):
            place = self._place(member)
            return 0 if place < 0 else self._flat.item(place)
        places = self._places(member)
        return np.where(places < 0, 0, self._flat.take(places, mode="wrap"))

    def add(self, member: Any, amount: Any) -> bool:
        """Add to balances; False, and nothing has changed, where one might pass 2^62 or has no slot for the asset."""
        if not isinstance(member, np.ndarray):
            return self._add_one(member, amount)
        assert np.min(member, initial=0) >= 0, "members are numbered from 0"
        if _total(np.abs(amount).view(np.uint64)) >= SUPPLY_LIMIT or not self._make_room(member[amount != 0]):
            return False
        places = self._places(member)
        moved, amounts = places[amount != 0], amount[amount != 0]
        np.add.at(self._flat, moved, amounts)
        fits = int(np.max(np.abs(self._flat[moved]), initial=0)) < SUPPLY_LIMIT
        if not fits:
            np.subtract.at(self._flat, moved, amounts)
        self.book._changed(member)
        return fits

    def restore(self, member: Any, before: Any) -> None:
        """Put back what `read` had returned for the same members."""
        members, balances = np.atleast_1d(member), np.atleast_1d(np.asarray(before, np.int64))
        room = self._make_room(members[balances != 0])
        assert room, "who had a balance has room for it once what came later is undone"
        places = self._places(members)
        self._flat[places[places >= 0]] = balances[places >= 0]
        self.book._changed(members)

    def least(self) -> int:
        """Return the smallest balance, or 0 where that is smaller."""
        return min((int(balances.min(initial=0)) for _, balances in self._chunks()), default=0)

    def total(self) -> int:
        """Return the exact sum of all balances."""
        return sum(_total(balances) for _, balances in self._chunks())

    def held(self) -> tuple[Integers, Integers]:
        """Return the members whose balance is not zero, in ascending order, and their balances."""
        members, held = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for first, balances in self._chunks():
            here = np.flatnonzero(balances)
            members.append(here + first)
            held.append(balances[here])
        return np.concatenate(members), np.concatenate(held)

    def _chunks(self) -> Iterator[tuple[int, Integers]]:
        for first, block in self.book._blocks():
            yield first, self.read(np.arange(first, first + len(block)))

    def _place(self, member: int) -> int:
        """Return where a member's balance is in the flat rows, -1 for nowhere."""
        at = member * WIDTH
        if self._offset == CASH:
            return at + CASH
        packed = self._flat.item(at)
        for slot in range(SLOTS):
            if (packed >> 8 * slot) & EMPTY == self.asset:
                return at + self._offset + slot
        return -1

    def _places(self, members: NDArray[Any]) -> Integers:
        at = members.astype(np.int64) * WIDTH
        if self._offset == CASH:
            return at + CASH
        found = _first_zero_byte(self._flat.take(at) ^ self.asset * _EVERY_SLOT)
        slot = (found > 0x80).view(np.int8) + (found > 0x8000) + (found > 0x800000)
        return np.where(found == 0, -1, at + self._offset + slot)

    def _add_one(self, member: int, amount: int) -> bool:
        assert member >= 0, "members are numbered from 0"
        if not amount:
            return True
        place = self._place(member)
        if place < 0:
            if abs(amount) >= SUPPLY_LIMIT or not self._make_room(np.array([member])):
                return False
            place = self._place(member)
        balance = self._flat.item(place) + amount
        if abs(balance) >= SUPPLY_LIMIT:
            return False
        self._flat[place] = balance
        self.book._changed(np.array([member]))
        return True

    def _make_room(self, members: NDArray[Any]) -> bool:
        """Give members without a slot for the asset a free one; False, and nothing has changed, if one has none."""
        missing = np.unique(members[self._places(members) < 0])
        if not len(missing):
            return True
        rows = self.book._rows.take(missing, axis=0)
        free = (rows[:, QUANTITY : QUANTITY + SLOTS] == 0) & (rows[:, COST : COST + SLOTS] == 0)
        if not free.any(axis=1).all():
            return False
        shift = 8 * free.argmax(axis=1)
        self.book._slotted.pop(self.asset, None)
        self.book._rows[missing, 0] = rows[:, 0] & ~(EMPTY << shift) | self.asset << shift
        return True


def by_radius(rows: Integers, rules: Rules, prices: Floats) -> Integers:
    """Return the order of rows in which those that the smallest move may breach come first.

    Members of a crowd are anonymous draws: numbered in this order, those near their margin lie side by side in
    memory, and an index over them touches a third as much of it.
    """
    return np.argsort(AccountBook(rows, rules).radii(prices), kind="stable")


def _first_zero_byte(words: Integers) -> Integers:
    """Return, of the four low bytes of each word, the top bit of the first that is zero; 0 where none is.

    The old trick of string libraries: subtracting one borrows through a zero byte and through nothing else below it.
    """
    tops = (words - _EVERY_SLOT) & ~words & 0x80 * _EVERY_SLOT
    return np.asarray(tops & -tops)


def _has_slot(block: Integers, asset: int) -> NDArray[np.bool_]:
    return np.asarray(_first_zero_byte(block[:, 0] ^ asset * _EVERY_SLOT) != 0)


def _check(block: Integers, first: int, assets: int) -> None:
    numbers = (block[:, :1] >> _SHIFTS) & EMPTY
    idle = (block[:, QUANTITY : QUANTITY + SLOTS] == 0) & (block[:, COST : COST + SLOTS] == 0)
    wrong = ((numbers >= assets) & ~((numbers == EMPTY) & idle)).any(axis=1) | (block[:, 0] >> 8 * SLOTS != 0)
    for slot in range(1, SLOTS):
        again = numbers[:, :slot] == numbers[:, slot : slot + 1]
        wrong |= (again & (numbers[:, :slot] != EMPTY)).any(axis=1)
    wrong |= ((block[:, 1:] >= SUPPLY_LIMIT) | (block[:, 1:] <= -SUPPLY_LIMIT)).any(axis=1)
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(f"account {first + at}: assets {numbers[at].tolist()}, row {block[at].tolist()}")


def _total(values: NDArray[Any]) -> int:
    """Return the exact sum of 64-bit integers, which 64 bits need not hold."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())
