"""A token at par behind which coins stand and, against them, perpetual contracts sold short.

What the coins lose the short gains, so that the backing moves with the basis and not with the price: with the
discount of a staked coin to what it stakes, with funding, and with what a venue cannot pay. The identity behind all
of it is backing = coins at their price + profit of the short + reserve + funding received, over the supply at par.

Source: derived; the model of Ethena's documentation, "Delta-neutral stability". Money and quantities in any units
that go together; a fall, a discount and a share are fractions.
"""


def spot_loss(quantity: float, price: float, fall: float) -> float:
    """Return what coins lose when their price falls by `fall`; a short of the same quantity gains as much.

    Source: derived: loss = quantity * price * fall.

    >>> spot_loss(50_000, 2_000, 0.3)
    30000000.0
    """
    return quantity * price * fall


def hedged_backing(
    supply: float, quantity: float, price: float, gain: float, *, discount: float = 0, funding: float = 0,
    reserve: float = 0,
) -> float:  # fmt: skip
    """Return backing over supply: coins at `price` less a discount, the short's gain, funding received, the reserve.

    Source: derived: backing = (quantity * price * (1 - discount) + gain + funding + reserve) / supply.

    >>> hedged_backing(1e8, 50_000, 1_400, 30e6, discount=0.02, funding=-630_000, reserve=1e6)
    0.9897
    """
    return (quantity * price * (1 - discount) + gain + funding + reserve) / supply


def funding_paid(notional: float, rate: float, periods: float) -> float:
    """Return the funding of so many periods at a constant rate on a constant notional.

    Source: derived: paid = notional * rate * periods.

    >>> round(funding_paid(70e6, 0.0003, 30), 6)
    630000.0
    """
    return notional * rate * periods


def credit_loss(gain: float, venue_share: float, recovery: float) -> float:
    """Return what a short's gain loses when the venue that has `venue_share` of it pays back only `recovery`.

    Source: derived: loss = gain * venue_share * (1 - recovery).

    >>> credit_loss(30e6, 0.4, 0.5)
    6000000.0
    """
    return gain * venue_share * (1 - recovery)


def periods_covered(reserve: float, notional: float, rate: float) -> float:
    """Return for how many periods a reserve pays funding of `rate` on a notional.

    Source: derived: periods = reserve / (notional * rate).

    >>> round(periods_covered(1e6, 70e6, 0.0003), 4)
    47.619
    """
    return reserve / (notional * rate)


def earned(step: int, before: int, now: int) -> int:
    """Return what a holding earns when each unit of it has earned `step`, for a holding that has changed meanwhile.

    When it changed is not known, so the least is taken: of a gain the smaller holding's, of a cost the larger one's.

    Source: derived: step * min(before, now) for step > 0, step * max(before, now) else.

    >>> earned(3, 10, 4), earned(-3, 10, 4)
    (12, -30)
    """
    return step * (min(before, now) if step > 0 else max(before, now))


def staker_yield(income: float, distributed: float, staked: float) -> float:
    """Return the annual rate of those who stake: what an issuer pays on of its annual income, over what is staked.

    Source: derived: yield = income * distributed / staked.

    With 35% of the backing hedged at 10.95% a year, the rest in stablecoins at 4%, and half of the supply staked:

    >>> round(staker_yield(0.35 * 0.1095 + 0.65 * 0.04, 1, 0.5), 4)
    0.1286
    """
    return income * distributed / staked if staked > 0 else 0.0
