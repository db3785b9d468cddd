"""Markup by small functions: every attribute and every text is escaped, and nothing carries a style of its own.

Looks are classes, so that a strict content-security policy holds and one style sheet serves light, dark and paper.
"""

import math
from collections.abc import Iterable

from markupsafe import Markup, escape

NOTHING = Markup("")


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element; an attribute's underscores become hyphens, one at its end is dropped.

    >>> tag("text", "<b>", x=1.25, class_="label")
    Markup('<text x="1.2" class="label">&lt;b&gt;</text>')
    """
    given = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    parts = "".join(f' {key}="{escape(number(value))}"' for key, value in given)
    inner = NOTHING.join(escape(child) for child in children)
    return Markup(f"<{name}{parts}>{inner}</{name}>")  # every part is escaped above


def joined(parts: Iterable[object]) -> Markup:
    """Return parts one after the other, each escaped."""
    return NOTHING.join(escape(part) for part in parts)


def number(value: object) -> object:
    """Return a float with at most one decimal, anything else as it is.

    >>> number(2.0), number(2.06), number("2.06")
    ('2', '2.1', '2.06')
    """
    if not isinstance(value, float):
        return value
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def drawing(width: float, height: float, label: str, *children: object, class_: str = "") -> Markup:
    """Return an SVG that is said aloud as one picture; `label` says what it shows."""
    return tag(
        "svg", tag("title", label), *children, viewBox=f"0 0 {width:g} {height:g}", role="img",
        class_=f"still {class_}".strip(), xmlns="http://www.w3.org/2000/svg",
    )  # fmt: skip


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers from low to high, about `count` of them.

    >>> nice_ticks(0.0, 9.3), nice_ticks(0.97, 1.0, 3)
    ([0.0, 2.0, 4.0, 6.0, 8.0], [0.97, 0.98, 0.99, 1.0])
    """
    if not high > low:
        return [low]
    raw = (high - low) / max(count, 1)
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1.0, 2.0, 5.0, 10.0) if size * factor >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def time_ticks(start: float, end: float) -> list[float]:
    """Return round moments between two, in seconds.

    >>> time_ticks(0.0, 600.0)
    [0.0, 120.0, 240.0, 360.0, 480.0, 600.0]
    """
    steps = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400, 172_800,
             432_000, 864_000, 2_592_000, 7_776_000, 31_536_000)  # fmt: skip
    step = next((float(one) for one in steps if (end - start) / one <= 7), None)
    if step is None or end - start < 5:
        return nice_ticks(start, end, 6)
    return [place * step for place in range(math.ceil(start / step), math.floor(end / step) + 1)]


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters.

    >>> shortened("a-very-long-name-of-a-node", 12)
    'a-very-long…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"
