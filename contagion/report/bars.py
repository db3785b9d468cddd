"""Horizontal bars with names and numbers: what reads in any order of sizes, with a sign and without a colour."""

from collections.abc import Sequence

from markupsafe import Markup

from contagion.report.svg import drawing, shortened, tag
from contagion.words import money

WIDTH, _ROW, _NAME, _VALUE = 760.0, 22.0, 230.0, 80.0


def picture(label: str, rows: Sequence[tuple[str, float]], whole: bool = False) -> Markup:
    """Return a bar a row, losses to the right of the line, gains hatched by their class; whole : numbers are counts."""
    largest = max((abs(value) for _, value in rows), default=0.0) or 1.0
    room = WIDTH - _NAME - _VALUE
    parts = [tag("line", class_="axis", x1=_NAME, x2=_NAME, y1=4.0, y2=8.0 + _ROW * len(rows))]
    for place, (name, value) in enumerate(rows):
        top = 8.0 + _ROW * place
        wide = max(abs(value) / largest * room, 1.0) if value else 0.0
        parts.append(tag("text", shortened(name, 36), class_="name", x=_NAME - 8, y=top + 14, text_anchor="end"))
        parts.append(
            tag("rect", class_="bar s0" if value >= 0 else "bar gain", x=_NAME, y=top + 3, width=wide, height=_ROW - 7)
        )
        text = f"{value:,.0f}" if whole else money(value)
        parts.append(tag("text", text, class_="name", x=_NAME + wide + 6, y=top + 14))
    return drawing(WIDTH, 12.0 + _ROW * len(rows), label, *parts, class_="bars")
