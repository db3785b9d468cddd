"""What is owed among banks as the solvers need it, and the checks of it."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Array = NDArray[np.float64]
Banks = NDArray[np.intp]
Mask = NDArray[np.bool_]

TIE = 1e-12
"""A shortfall up to this share of what is owed is rounding, and no default."""
ROUNDING = 4 * float(np.finfo(np.float64).eps)
"""A system is solved when no equation is off by more than this share of its terms."""


class Network(NamedTuple):
    """Claims (CSR, debtors by rows), what goes with them for N banks each, and what a default passes on."""

    claims: Any
    due: Array  # what shares the lowest rank
    equal: Array  # external liabilities of that rank
    senior: Array
    cash: Array
    income: Array  # from other banks when all of them pay in full
    rounding: Array  # a shortfall up to this is none; infinite where nothing is owed
    alpha: float
    beta: float

    def received(self, recovery: Array) -> Array:
        """Return what every bank gets from others."""
        return np.asarray(recovery @ self.claims)

    def surplus(self, received: Array) -> Array:
        """Return assets less liabilities."""
        return self.cash + received - self.senior - self.due

    def funds(self, received: Array) -> Array:
        """Return what a default has for claims of the lowest rank, negative where senior ones lose as well."""
        return self.alpha * self.cash + self.beta * received - self.senior

    def flow(self, banks: Banks) -> Any:
        """Return what these banks have from each other per unit of recovery, over what they owe; creditors by rows."""
        flow = self.claims[banks][:, banks].T.tocsr()
        flow.data *= self.beta / np.repeat(self.due[banks], np.diff(flow.indptr))
        return flow


def checked_claims(liabilities: Any) -> Any:
    """Return liabilities as a CSR array without entries of zero; the argument is left as it is."""
    claims = csr_array(liabilities, dtype=np.float64)
    if claims.ndim != 2 or claims.shape[0] != claims.shape[1]:
        raise ValueError(f"liabilities have the shape {claims.shape}, expected one row and one column for every bank")
    if not (claims.has_canonical_format and claims.data.all()):
        claims = claims.copy()
        claims.sum_duplicates()
        claims.eliminate_zeros()
    for entry in np.flatnonzero(~((claims.data > 0) & np.isfinite(claims.data)))[:1]:
        what = f"liabilities[{np.searchsorted(claims.indptr, entry, side='right') - 1}, {claims.indices[entry]}]"
        raise ValueError(f"{what} is {claims.data[entry]}, expected a finite amount of at least 0")
    for bank in np.flatnonzero(claims.diagonal())[:1]:
        raise ValueError(f"liabilities[{bank}, {bank}] is {claims.diagonal()[bank]}, expected 0: nobody owes itself")
    return claims


def checked_amounts(name: str, values: Any, banks: int) -> Array:
    """Return an amount for every bank as floats. ValueError for another shape, and for amounts below 0."""
    amounts = np.asarray(values, dtype=np.float64)
    if amounts.shape != (banks,):
        raise ValueError(f"{name} has the shape {amounts.shape}, expected ({banks},), an amount for every bank")
    for bank in np.flatnonzero(~((amounts >= 0) & np.isfinite(amounts)))[:1]:
        raise ValueError(f"{name}[{bank}] is {amounts[bank]}, expected a finite amount of at least 0")
    return amounts
