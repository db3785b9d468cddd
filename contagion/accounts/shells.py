"""What an index keeps of accounts: the shell each is in, and the few that are looked at at every price.

`Core` keeps what does not change between looks (cash and costs, one slope a slot) by column, so that a look is a dozen
calls of NumPy or one compiled loop.
"""

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.accounts.book import CHUNK
from contagion.accounts.rules import IDS, SLOTS, Floats, Integers
from contagion.accounts.singles import Members, Singles

Depths = NDArray[np.uint8]

SLACK = 1 + 1e-9
"""What bounds are widened by, far more than what rounding can do to them."""
LOOSE = 0x80
"""Bit of a depth byte: evaluated at every look, although not in the inmost shell."""
ABSENT = 0x7F
"""Depth of an account that is in no shell: it has no position, or a trigger price."""
FIXED, SIZE, SLOPE, NUMBERS = 0, 1, 1 + SLOTS, 1 + 2 * SLOTS
"""Rows of a core's numbers: cash with costs, then a quantity and a slope by slot."""
ROOM = 1 << 10
"""Members that a core has room for at first; later, too, a power of two."""
NOBODY = np.zeros(0, np.int32)


class Core:
    """Members by column: first the inmost shell, then the loose ones, each once.

    ids, numbers : of each by slot, see `SIZE`; bent : who may be beyond a first kink at prices up to `highest`.
    """

    def __init__(self) -> None:
        self.size = self.inner = 0
        self.highest = np.zeros(IDS)
        self.members, self.bent = np.zeros(ROOM, np.int32), np.zeros(ROOM, np.bool_)
        self.ids, self.numbers = np.zeros((SLOTS, ROOM), np.int64), np.zeros((NUMBERS, ROOM))
        self.found = np.zeros(ROOM, np.int64)

    def make_room(self, size: int) -> None:
        """Have room for `size` members."""
        if size > len(self.members):
            more = (1 << (size - 1).bit_length()) - len(self.members)
            self.members, self.bent = np.pad(self.members, (0, more)), np.pad(self.bent, (0, more))
            self.found = np.zeros(len(self.members), np.int64)
            self.ids, self.numbers = np.pad(self.ids, ((0, 0), (0, more))), np.pad(self.numbers, ((0, 0), (0, more)))

    @property
    def loose(self) -> Members:
        """Return the loose members, to read before the core changes."""
        return self.members[self.inner : self.size]

    def take(self, shell: Members, loose: Members, highest: Floats) -> None:
        """Take these members instead of those there were; their columns are still to be filled in."""
        self.inner, self.size, self.highest = len(shell), len(shell) + len(loose), highest
        self.make_room(self.size)
        self.members[: self.inner], self.members[self.inner : self.size] = shell, loose


class Shells:
    """Where accounts are: by depth, in layers, of which the first k + 1 make up shell k.

    depth : by account the number of its layer, or `ABSENT`, and the bit `LOOSE`; what a layer lists of accounts whose
    depth is another by now counts for nothing. references, low, high : by shell the prices at which it was made, and
    those between which it serves. limit : so many loose accounts are worth a look at everybody.
    """

    def __init__(self, depth: Depths, singles: Singles, radii: Floats, few: int, prices: Floats) -> None:
        self.depth, self.singles, self.radii, self.few = depth, singles, radii, few
        self.core, self.crowded, self.limit = Core(), False, len(depth) // 4 + CHUNK
        self._touched, self._settled = array("i"), CHUNK
        self.references, self.low, self.high = np.empty((3, len(radii), len(prices)))
        self._layers, self._joined = [NOBODY] * len(radii), [array("i") for _ in radii]
        ends = np.bincount(depth, minlength=len(radii)).cumsum()[: len(radii)]
        entries = depth.argsort(kind="stable")[: ends[-1]].astype(np.int32)
        self.arrange(entries, ends, len(radii), prices, NOBODY)

    @property
    def nbytes(self) -> int:
        """Return the bytes of all that is kept about accounts, but for the columns of the core."""
        bases = {id(layer.base): layer.base for layer in self._layers if layer.base is not None}
        lists = sum(len(joined) * joined.itemsize for joined in (self._touched, *self._joined))
        return sum(part.nbytes for part in (self.depth, *bases.values())) + lists + self.singles.nbytes

    def touch(self, members: NDArray[Any]) -> None:
        """Note that rows of members have changed in any way; the next look sees to it."""
        if self.crowded:
            return
        _extend(self._touched, members)
        if len(self._touched) > self._settled:
            once = np.unique(np.frombuffer(self._touched, np.int32))
            self._touched, self._settled = array("i", once.tobytes()), 2 * len(once) + CHUNK
            self.crowded = len(once) > self.limit

    def changed(self) -> Members:
        """Return, and forget, who was touched, maybe several times."""
        if not self._touched:
            return NOBODY
        members = np.frombuffer(self._touched, np.int32)
        self._touched, self._settled = array("i"), CHUNK
        return members

    def within(self, k: int) -> Members:
        """Return all that layers 0 to k list, in ascending order: rows are then read as they lie in memory.

        Who has come from one of these layers to another is there twice, and nobody who has left them all.
        """
        parts: list[Any] = []
        for layer, joined in zip(self._layers[: k + 1], self._joined, strict=False):
            parts += (layer, joined) if joined else (layer,)
        listed = np.concatenate(parts)
        listed.sort()
        return listed

    def arrange(self, entries: Members, ends: Integers, made: int, prices: Floats, loose: Members) -> None:
        """Take the first layers, one after the other in `entries`; `made` shells serve from these prices on."""
        start = 0
        for k, end in enumerate(ends.tolist()):
            self._layers[k], start = entries[start:end], end
            if self._joined[k]:
                self._joined[k] = array("i")
        width = self.radii[:made, None] / SLACK
        self.references[:made], self.low[:made], self.high[:made] = prices, prices * (1 - width), prices * (1 + width)
        self.inmost = min(int(np.searchsorted(ends[:made], self.few)), made - 1)
        highest = np.zeros(IDS)
        highest[: len(prices)] = prices * ((1 + self.radii[self.inmost]) * SLACK)
        self.core.take(entries[: ends[self.inmost]], loose, highest)

    def limits(self, made: int, prices: Floats) -> Floats:
        """Return by shell the radius, at these prices, from which an account need not be in it.

        `made` shells are about to be made here. Another, whose prices are a move d away, serves up to a move s from
        there, which is at most (1 + s)(1 + d) - 1 from here. They rise: who need not be in one need not further in.
        """
        away = np.zeros(len(self.radii))
        away[made:] = moved(self.references[made:], prices)
        limits: Floats = np.maximum.accumulate(((1 + self.radii) * (1 + away) - 1) * SLACK)
        return limits

    def join(self, members: Members) -> None:
        """List members in the layers of their depths."""
        depth = self.depth[members]
        for k in np.unique(depth).tolist():
            _extend(self._joined[k], members[depth == k])
        self.crowded = self.crowded or sum(map(len, self._joined)) > len(self.depth) + CHUNK


def _extend(numbers: "array[int]", members: NDArray[Any]) -> None:
    numbers.frombytes(members.astype(np.int32, copy=False).tobytes())


def moved(prices: Floats, references: Floats) -> Floats:
    """Return by row of references the largest relative move of a price; infinite for one that was 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = np.abs(prices / references - 1.0)
    most: Floats = np.fmax.reduce(moves, axis=1, initial=0.0)
    return most
