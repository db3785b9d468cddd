"""How many failures lie between an event and its shock: what its descendants must know of every event."""

from array import array
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


class Depth(NamedTuple):
    """The failures between a shock and an event: their number, and their weighted number (see `branching`)."""

    generation: int
    weighted: float


class Depths:
    """The depth of every event, four bytes an event: its place in a table of depths, shared with its cause's.

    Only a failure or root brings a depth of its own, for its descendants to share.

    >>> depths = Depths()
    >>> depths.places.append(depths.add(Depth(1, 1.5)))
    >>> depths.places.append(depths.places[0])
    >>> len(depths), depths[1]
    (2, Depth(generation=1, weighted=1.5))
    """

    def __init__(self) -> None:
        self.places, self.generations, self.weights = array("i"), array("i"), array("d")

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, event: int) -> Depth:
        place = self.places[event]
        return Depth(self.generations[place], self.weights[place])

    def add(self, depth: Depth) -> int:
        """Return the place of one more depth."""
        self.generations.append(depth[0])
        self.weights.append(depth[1])
        return len(self.weights) - 1

    def extend(self, events: int | Integers, own: NDArray[np.bool_], weights: float | Floats) -> NDArray[np.int32]:
        """Add an event for each flag in `own` and return their generations.

        events, weights : the cause and the weighted depth of each, or of all. An event with a depth of its `own` is a
        generation below its cause, one for all where they are alike; others share that of the cause, whatever their
        weight.
        """
        if not isinstance(events, np.ndarray) and not isinstance(weights, np.ndarray):
            above = self.places[events]
            generation = self.generations[above]
            alike = self.add(Depth(generation + 1, weights)) if own.any() else above
            self.places.frombytes(np.where(own, np.int32(alike), np.int32(above)).tobytes())
            return generation + own.astype(np.int32)
        first, count = len(self.weights), int(np.count_nonzero(own))
        places = np.frombuffer(self.places, np.int32)[np.broadcast_to(events, own.shape)]
        generations: NDArray[np.int32] = np.frombuffer(self.generations, np.int32)[places] + own
        self.generations.frombytes(generations[own].tobytes())
        self.weights.frombytes(np.broadcast_to(weights, own.shape)[own].astype(np.float64, copy=False).tobytes())
        places[own] = np.arange(first, first + count)
        self.places.frombytes(places.tobytes())
        return generations
