"""What an estate pays on its debts: senior classes first, whole base units, nobody more than what is owed.

The absolute priority of Elsinger, "Financial networks, cross holdings, and limited liability" (2009); with one class
it is the proportional rule of Eisenberg and Noe, "Systemic risk in financial systems" (2001), and with part of the
value lost on the way that of Rogers and Veraart, "Failure and rescue in an interbank network" (2013).
"""

from collections.abc import Sequence
from fractions import Fraction
from heapq import heapify, heapreplace

from contagion.units import PPM


def estate_value(external: int, interbank: int, external_ppm: int = PPM, interbank_ppm: int = PPM) -> int:
    """Return what creditors can be paid from: the shares of both kinds of assets that a default leaves, rounded down.

    Source: Rogers and Veraart (2013), equation 1: value = alpha e_i + beta * sum of L_j pi_ji. RV-01, its first bank in
    the first round, in thousandths:

    >>> estate_value(500, 1000, 500_000, 700_000)
    950
    """
    return (max(external, 0) * external_ppm + max(interbank, 0) * interbank_ppm) // PPM


def waterfall(value: int, owed: Sequence[int]) -> list[int]:
    """Return what each class is paid, `owed` from the most senior on.

    Source: Elsinger (2009), absolute priority: paid_k = min(owed_k, max(0, value - sum of owed before k)). EN-07b: the
    first bank has 20 for 17 of senior and 4 of junior debt.

    >>> waterfall(20, [17, 4])
    [17, 3]
    """
    paid = []
    for amount in owed:
        paid.append(min(max(value, 0), amount))
        value -= paid[-1]
    return paid


def pro_rata(paid: int, owed: int, part: int) -> int:
    """Return what the holder of `part` of a class is paid, rounded down; a class that owes nothing pays nothing.

    Source: Eisenberg and Noe (2001): p_ij = Pi_ij p_i with Pi_ij = L_ij / pbar_i.

    >>> pro_rata(19, 25, 21)
    15
    """
    return paid * part // owed if owed else 0


def apportioned(paid: int, parts: Sequence[int]) -> list[int]:
    """Return what the holders of these parts of a class are paid, whole units that sum to `paid`.

    Jefferson's divisor method: as a total falls nobody's share rises, and nothing is lost on the way. Both are needed
    where debtors revise each other's payments: what rounding lost would be missing at the next one, without an end in
    a ring that has no money of its own. Ties go to the first. Of large remainders it favours large holders.

    Source: Balinski and Young, Fair Representation (1982), Jefferson's method, house monotone: each unit left goes to
    the largest part_k / (share_k + 1), from share_k = floor(paid part_k / sum of parts).

    >>> apportioned(999, [500, 500]), apportioned(998, [500, 500])
    ([500, 499], [499, 499])
    """
    owed = sum(parts)
    shares = [pro_rata(paid, owed, part) for part in parts]
    if left := paid - sum(shares):
        order = [(Fraction(-part, share + 1), at) for at, (part, share) in enumerate(zip(parts, shares, strict=True))]
        heapify(order)
        for _ in range(left):
            at = order[0][1]
            shares[at] += 1
            heapreplace(order, (Fraction(-parts[at], shares[at] + 1), at))
    return shares
