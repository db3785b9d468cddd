"""Time, amounts, prices and ratios as integers, and their spellings in a scenario.

A float clock drifts and a float balance leaks, so the engine counts: microseconds, base units of an asset
(10^-decimals of one), prices in 10^-9 of the scenario's currency and ratios in parts per million. Text is
turned into these integers once, on the way in, and back once, on the way out.
"""

import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

PPM = 1_000_000
"""One, as a ratio in parts per million."""

PRICE_DECIMALS = 9
PRICE_SCALE: int = 10**PRICE_DECIMALS
"""One unit of currency, as a price."""

VALUE_DECIMALS = 21
"""Decimals of the value of one base unit (a price at up to 12 decimals): exact for every asset."""

SUPPLY_LIMIT = 2**62
"""No balance may reach this many base units, so that sums of two still fit in 64 bits."""

SECOND = 1_000_000
DAY = 86_400 * SECOND
YEAR = 365 * DAY
"""Microseconds in a second, a day and a (365-day) year."""

_DURATION_UNITS = {
    "us": 1,
    "ms": 1_000,
    "s": SECOND,
    "min": 60 * SECOND,
    "h": 3_600 * SECOND,
    "d": DAY,
}
_DURATION_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(us|ms|min|s|h|d)\s*", re.ASCII)


def parse_duration(text: str) -> int:
    """Return a duration in microseconds from text such as ``'15min'`` or ``'1h 30min'``.

    ValueError when a part has no unit (us, ms, s, min, h, d) or the text is not a duration.

    >>> parse_duration("1h 30min")
    5400000000
    >>> parse_duration("-3s")
    Traceback (most recent call last):
        ...
    ValueError: '-3s' is not a duration such as '12s', '15min' or '1h 30min'
    """
    total, position = Decimal(0), 0
    while position < len(text) and (part := _DURATION_PART.match(text, position)):
        total += Decimal(part[1]) * _DURATION_UNITS[part[2]]
        position = part.end()
    if position < len(text) or not text.strip():
        raise ValueError(f"{text!r} is not a duration such as '12s', '15min' or '1h 30min'")
    if total != int(total):
        raise ValueError(f"{text!r} is not a whole number of microseconds")
    if total >= SUPPLY_LIMIT:
        raise ValueError(f"{text!r} is longer than the clock can count")
    return int(total)


def format_duration(time_us: int) -> str:
    """Return a duration for people, in the largest units that show it.

    >>> format_duration(5_400_000_000), format_duration(1_500_000), format_duration(0)
    ('1h 30min', '1.5s', '0s')
    """
    if time_us < 0:
        return "-" + format_duration(-time_us)
    hours, rest = divmod(time_us, 3_600 * SECOND)
    minutes, rest = divmod(rest, 60 * SECOND)
    seconds = f"{Decimal(rest) / SECOND:.6f}".rstrip("0").rstrip(".")
    parts = [f"{hours}h"] * bool(hours) + [f"{minutes}min"] * bool(minutes)
    return " ".join(parts + [f"{seconds}s"] * bool(rest or not parts))


def format_clock(time_us: int, digits: int = 3) -> str:
    """Return a time of the run as hours, minutes and seconds, these with so many decimals.

    >>> format_clock(2_307_043_769), format_clock(2_307_043_769, 0), format_clock(-500_000)
    ('0:38:27.044', '0:38:27', '-0:00:00.500')
    """
    step = SECOND // 10**digits
    minutes, rest = divmod((abs(time_us) + step // 2) // step, 60 * 10**digits)
    seconds = f"{Decimal(rest).scaleb(-digits):0{3 + digits if digits else 2}.{digits}f}"
    return f"{'-' * (time_us < 0)}{minutes // 60}:{minutes % 60:02d}:{seconds}"


def parse_number(value: int | str | Decimal) -> Decimal:
    """Return an exact finite number from TOML's number or from text such as ``'-18%'`` or ``'25bps'``.

    ValueError when it is no number, not finite or has an absurd exponent.

    >>> parse_number("-18%"), parse_number("25bps")
    (Decimal('-0.18'), Decimal('0.0025'))
    """
    scale = 0
    if isinstance(value, str):
        value, scale = value.strip(), 0
        for suffix, digits in (("%", -2), ("bps", -4)):
            if value.endswith(suffix):
                value, scale = value.removesuffix(suffix).strip(), digits
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{number} is not a finite number")
    if number and abs(number.adjusted()) > 40:
        raise ValueError("a number beyond 10^40 or below 10^-40 cannot be meant")
    return number.scaleb(scale)


def to_units(number: Decimal | int, decimals: int) -> int:
    """Return a number of whole tokens (or a price) in base units of ``10**-decimals``, half to even.

    >>> to_units(Decimal("1.5"), 6)
    1500000
    """
    return int(Decimal(number).scaleb(decimals).to_integral_value(ROUND_HALF_EVEN))


def to_ppm(number: Decimal) -> int:
    """Return a ratio in parts per million.

    >>> to_ppm(Decimal("0.825"))
    825000
    """
    return to_units(number, 6)


def value_of(quantity: int, price: int, decimals: int, currency_decimals: int) -> int:
    """Return what a quantity is worth, in base units of the currency, rounded towards minus infinity.

    quantity : base units of the asset; price : 10^-9 currency for one whole unit of the asset.

    >>> value_of(2 * 10**8, 1_500 * PRICE_SCALE, 8, 6)
    3000000000
    """
    return int(quantity * price * 10**currency_decimals // 10 ** (decimals + PRICE_DECIMALS))
