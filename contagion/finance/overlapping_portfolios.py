"""Banks that fail when what they hold has lost too much, and whose assets are then sold at once.

Who has failed sells everything; the price of an asset falls with the share of it that has been sold of all that banks
hold; whoever has lost more than its equity by that fails in the next round. Banks that hold nothing in common cannot
harm each other, and those that hold everything in common fall together. Rounds are simultaneous.

Source: Caccioli, Shrestha, Moore and Farmer, "Stability analysis of financial contagion due to overlapping portfolios",
Journal of Banking and Finance 46 (2014): holdings, the exponential law of impact, and liquidation in full.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float64]


class Liquidations(NamedTuple):
    """Round of each failure, 0 for a seed and -1 for who stands; then prices (first ones are 1) and losses by bank."""

    wave: NDArray[np.int64]
    prices: Floats
    losses: Floats

    @property
    def waves(self) -> list[NDArray[np.int64]]:
        """Who failed in each round, in ascending order, the seeds first."""
        return [np.flatnonzero(self.wave == number) for number in range(int(self.wave.max(initial=-1)) + 1)]


def liquidation_cascade(
    holdings: Any, equity: ArrayLike, seeds: ArrayLike, *, impact: float, price_shock: ArrayLike = 0.0
) -> Liquidations:
    """Return who fails when each bank that has failed sells all it holds, and prices fall by what is sold.

    holdings : what each bank holds at first prices, banks x assets (an array or a SciPy sparse one); equity : shape
    (banks,), same unit, not negative; seeds : the banks that fail first, as indices; impact : an asset of which a share
    x is sold trades at exp(-impact * x) of its price, a tenth less for a tenth at 1.0536; price_shock : fraction of its
    price that each asset loses at first. A bank fails when its loss exceeds its equity; at a tie, in floating point, it
    does not. ValueError for arguments out of range.

    Source: Caccioli and others (2014): price_a = (1 - price_shock_a) exp(-impact * x_a), with x_a the share that failed
    banks held of the asset; bank i fails when sum over a of holdings_ia (1 - price_a) > equity_i.

    >>> found = liquidation_cascade([[40, 40], [0, 80], [80, 0]], [9, 20, 25], [0], impact=1.0536)
    >>> found.wave.tolist(), found.prices.round(4).tolist(), found.losses.round(2).tolist()
    ([0, 1, -1], [0.7038, 0.3487], [37.9, 52.11, 23.69])
    """
    held, buffers = csr_array(holdings, dtype=np.float64), np.asarray(equity, np.float64)
    banks, assets = held.shape
    kept = 1 - np.broadcast_to(np.asarray(price_shock, np.float64), (assets,))
    if buffers.shape != (banks,) or not (buffers.min(initial=0) >= 0 and held.data.min(initial=0) >= 0 and impact >= 0):
        raise ValueError(
            f"equity of shape {buffers.shape} from {buffers.min(initial=0)}, holdings of shape {held.shape} from "
            f"{held.data.min(initial=0)} and an impact of {impact}: one is out of range"
        )
    if not np.all((kept >= 0) & (kept <= 1)):
        raise ValueError(f"price_shock from {1 - kept.max()} to {1 - kept.min()}: fractions from 0 to 1 expected")
    first = np.unique(np.asarray(seeds, np.int64))
    if len(first) and not 0 <= first[0] <= first[-1] < banks:
        raise ValueError(f"the seeds reach from {first[0]} to {first[-1]}; indices from 0 to {banks - 1} expected")
    wave = np.full(banks, -1)
    wave[first] = 0
    by_asset = held.T.tocsr()
    total = by_asset @ np.ones(banks)
    total[total == 0] = 1  # nobody holds it, nobody sells it
    number = 0
    while True:
        sold = by_asset @ (wave >= 0).astype(np.float64) / total
        fall = (1 - kept) - kept * np.expm1(-impact * sold)
        losses = held @ fall
        new = (losses > buffers) & (wave < 0)
        if not new.any():
            return Liquidations(wave, 1 - fall, losses)
        number += 1
        wave[new] = number
