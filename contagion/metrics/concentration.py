"""How much of a whole a few have: shares of the largest, and the index of Herfindahl and Hirschman."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.metrics.groups import Integers
from contagion.metrics.loans import Loans

Floats = NDArray[np.float64]
TOP = 5


class Concentration(NamedTuple):
    """How many there are, the share of the largest and of the five largest, and the sum of squared shares.

    hhi : between 1 / number (all alike) and 1 (one has all); 1 / hhi is the number of equals it is worth.
    """

    number: int
    largest: float
    top: float
    hhi: float


def concentration(amounts: NDArray[Any], top: int = TOP) -> Concentration | None:
    """Return how concentrated amounts are; what is not positive is left out, None where nothing is left.

    Hirschman (1964), *The Paternity of an Index*: the sum of squared shares. Four equals have a quarter:

    >>> concentration(np.ones(4), top=2)
    Concentration(number=4, largest=0.25, top=0.5, hhi=0.25)
    """
    sizes = np.sort(amounts[amounts > 0.0])[::-1]
    if not len(sizes):
        return None
    shares = sizes / sizes.sum()
    return Concentration(len(sizes), float(shares[0]), float(shares[:top].sum()), float(shares @ shares))


def of_loans(open_loans: Loans, books: Any) -> dict[str, dict[str, Any]]:
    """Return, for every lender, how concentrated its `debtors` are (by debt) and its `collateral` (by asset).

    Each member of a crowd is a debtor of its own; `name` is the largest, None for a member of a crowd.
    """
    table: dict[str, dict[str, Any]] = {}
    for lender in np.unique(open_loans.lender).tolist():
        own = open_loans.of(open_loans.lender == lender)
        keys, debt = _sums(own.holder * (int(own.member.max()) + 2) + own.member + 1, -np.minimum(own.worth, 0.0))
        holder, member = np.divmod(keys, int(own.member.max()) + 2)
        assets, pledged = _sums(own.asset, np.maximum(own.worth, 0.0))
        names = [books.holders[h] if m == 0 else None for h, m in zip(holder.tolist(), member.tolist(), strict=True)]
        table[books.holders[lender]] = {
            "debtors": _facts(debt, names),
            "collateral": _facts(pledged, [books.assets[asset] for asset in assets.tolist()]),
        }
    return table


def _sums(keys: Integers, amounts: Floats) -> tuple[Integers, Floats]:
    found, group = np.unique(keys, return_inverse=True)
    return found, np.bincount(group, amounts, len(found)).astype(np.float64)


def _facts(amounts: Floats, names: Sequence[str | None]) -> dict[str, Any] | None:
    found = concentration(amounts)
    return found and found._asdict() | {"name": names[int(np.argmax(amounts))]}
