"""What is wrong with a cell, in words: what it is, what was expected and what is likely to mend it."""

import re

MAX_NAME = 200
"""Characters in a name, as of a node of the exposure graph."""
MAX_AMOUNT = 1e30
"""The largest number that is believed: a trillion in the smallest of units is far below it."""
MAX_PROBLEMS = 20
"""Complaints about one file; the rest are counted."""
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

_FORMULA = ("=", "+", "-", "@")
"""What spreadsheets take for the beginning of a formula; a number is none."""


def not_a_number(cell: str) -> str:
    """Return what is wrong with text that stands for a number.

    >>> print(not_a_number("1,5"))
    '1,5' is not a number; expected a point before the decimals and nothing between thousands
    """
    shown = repr(cell if len(cell) <= 40 else f"{cell[:37]}...")
    if not cell:
        return "is empty; expected a number; write 0 where there is nothing"
    if cell.lower().lstrip("+-") in ("nan", "inf", "infinity", "na", "n/a", "null", "none", "-", "."):
        return f"{shown} is not a number; expected a finite one; leave out the row, or write 0"
    if NUMBER.fullmatch(cell):
        return f"{shown} is beyond what a double can hold; expected at most {MAX_AMOUNT:.0e}; is it another unit?"
    if re.fullmatch(r"[+-]?[0-9][0-9,. '_]*", cell):
        return f"{shown} is not a number; expected a point before the decimals and nothing between thousands"
    if cell[0] in "=@":
        return f"{shown} is a formula; expected the number itself; save the sheet's values as CSV"
    return f"{shown} is not a number; expected one such as 1250.5; is it another column?"


def below(value: float, least: float) -> str:
    """Return that a value is too small."""
    return f"{value:.12g} is below {least:g}; expected {least:g} or more; is its direction or its sign turned round?"


def too_large(value: float) -> str:
    """Return that a value is not believed."""
    return f"{value:.12g} is not believed; expected at most {MAX_AMOUNT:.0e}; is it another column, or unit?"


def not_a_name(text: str) -> str:
    """Return what is wrong with a name, or nothing.

    >>> not_a_name("Bank of the North")
    ''
    >>> print(not_a_name("=A1+2"))
    '=A1+2' begins like a formula; expected a name; save the sheet's values as CSV, or rename it
    """
    if not text:
        return f"is empty; expected a name of 1 to {MAX_NAME} characters"
    if len(text) > MAX_NAME or not text.isprintable():
        return f"{text[:40]!r} is no name; expected 1 to {MAX_NAME} printable characters"
    if text.startswith(_FORMULA) and not NUMBER.fullmatch(text):
        return f"{text[:40]!r} begins like a formula; expected a name; save the sheet's values as CSV, or rename it"
    return ""


def ragged(count: int, expected: int) -> str:
    """Return that a row has not as many fields as the header."""
    fields = f"{count} field{'s' * (count != 1)}"
    if count < expected:
        return f"has {fields}; expected {expected} as in the header; is the row cut off?"
    return f"has {fields}; expected {expected} as in the header; quote what has commas in it"
