"""Systems of payments: x = own + flow @ x exactly, and its version in which nobody pays less than nothing."""

from typing import Any

import numpy as np
from scipy.sparse import csc_array, eye
from scipy.sparse.linalg import splu

from contagion.finance.clearing.network import ROUNDING, TIE, Array

SMALL = 100
"""Systems up to this size are solved as dense ones."""
FAINT = 1e-6
"""Recoveries far below this are exact to the same share of it, not of themselves."""


def floored(flow: Any, own: Array, guess: Array, floor: Array | None = None) -> Array:
    """Return x = max(0, own + flow @ x), by policy iteration from nobody paying upward.

    Rounds of payment find who can pay, as long as they find somebody; a system says what these pay, and so on. The
    set only grows, and never holds a closed set that loses money, whose system would be singular. floor : where
    given, who has no more than this pays nothing, so that the solution is the least.

    Source: derived, for the systems of Eisenberg and Noe (2001), lemma 3.
    """
    found, paying, exact = np.zeros_like(own), np.zeros(own.shape, dtype=bool), False
    while True:
        funds = own + flow @ found
        more = paying | (funds >= 0 if floor is None else funds > floor)
        if more.all():
            return np.maximum(solved(flow, own, guess), 0)
        if more.sum() > paying.sum():
            found, paying, exact = np.where(more, np.maximum(funds, 0), 0), more, False
        elif exact:
            return found
        else:
            found[paying] = np.maximum(solved(flow[paying][:, paying], own[paying], guess[paying]), 0)
            exact = True


def solved(flow: Any, own: Array, guess: Array) -> Array:
    """Return x = own + flow @ x, exact to rounding in every single equation.

    Small systems are dense. Large ones are iterated until only rounding is left, which is quick where everybody is
    few steps from everybody, as in random networks, whose factors would fill up. Long chains and rings, where it
    is slow, have sparse factors.

    Source: derived, for the systems of Eisenberg and Noe (2001), lemma 3.
    """
    if not flow.nnz:
        return own
    if own.size <= SMALL:
        return np.asarray(np.linalg.solve(np.eye(own.size) - flow.toarray(), own))
    found: Array = guess
    last = np.inf
    for _ in range(20):
        found = own + flow @ found
        left = own + flow @ found - found
        error = float(np.max(np.abs(left) / (np.abs(own) + np.abs(found) + FAINT)))
        if error <= ROUNDING or last / 10 < error <= TIE / 10:
            return found
        if not error <= last / 10:
            break
        found, last = found + _stabilised(flow, left), error
    factors = splu(csc_array(eye(own.size, format="csc") - flow))
    found = factors.solve(own)
    found += factors.solve(own + flow @ found - found)
    return found


@np.errstate(over="ignore", invalid="ignore")
def _stabilised(flow: Any, own: Array) -> Array:
    """Return about x = own + flow @ x, by at most 100 steps of BiCGSTAB (van der Vorst 1992).

    Sums of products are taken without BLAS, whose threads would change the last digits from machine to machine.
    """

    def dot(a: Array, b: Array) -> float:
        return float(np.einsum("i,i->", a, b))

    found, left, step, image = np.zeros_like(own), own.copy(), np.zeros_like(own), np.zeros_like(own)
    goal, rho, length, omega = 1e-14 * dot(own, own), 1.0, 1.0, 1.0
    for _ in range(100):
        last, rho = rho, dot(own, left)
        if dot(left, left) <= goal:
            break
        step = left + (rho / last) * (length / omega) * (step - omega * image)
        image = step - flow @ step
        if not (rho and (along := dot(own, image))):
            break
        length = rho / along
        half = left - length * image
        turned = half - flow @ half
        omega = dot(turned, half) / (dot(turned, turned) or 1.0)
        found += length * step + omega * half
        left = half - omega * turned
        if not omega:
            break
    return found
