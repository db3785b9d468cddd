"""Tables: rows for the eye beside every picture, and the same as CSV for a machine."""

import csv
import io
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup, escape

from contagion.report.charts import Chart, rounded
from contagion.report.svg import joined, tag
from contagion.words import money

MOST_ROWS = 120
"""Rows that a chart's table shows; its CSV has all of them."""


class Table(NamedTuple):
    """Columns and rows: all of them in the CSV, and of long tables every so many on the page, at most about `shown`."""

    id: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    shown: int = MOST_ROWS

    @property
    def every(self) -> int:
        """Return how many rows of the CSV one visible row stands for."""
        return max(-(-len(self.rows) // self.shown), 1)

    @property
    def html(self) -> Markup:
        """Return the table, numbers to the right, in a box that scrolls by itself."""
        columns = range(len(self.columns))
        numeric = [all(isinstance(row[place], int | float | None) for row in self.rows) for place in columns]
        kinds = ["number" if own else None for own in numeric]
        head = joined(tag("th", name, class_=kind) for name, kind in zip(self.columns, kinds, strict=True))
        cells = ['<td class="number">' if own else "<td>" for own in numeric]
        rows = [
            "".join([f"{cell}{escape(cell_text(value))}</td>" for cell, value in zip(cells, row, strict=True)])
            for row in self.rows[:: self.every]
        ]
        body = Markup("".join(f"<tr>{row}</tr>\n" for row in rows))  # every cell is escaped above
        return tag("div", tag("table", tag("thead", tag("tr", head)), tag("tbody", body)), class_="scroll")

    @property
    def csv(self) -> str:
        """Return the CSV as a data URI."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([safe_cell(column) for column in self.columns])
        writer.writerows([[safe_cell(cell) for cell in row] for row in self.rows])
        return "data:text/csv;charset=utf-8," + quote(stream.getvalue(), safe=",:;/?@!$*()'+-._~ ".replace(" ", ""))


def safe_cell(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula.

    >>> safe_cell("=1+1"), safe_cell(-1.5), safe_cell(None)
    ("'=1+1", -1.5, '')
    """
    if cell is None:
        return ""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def cell_text(cell: Any) -> str:
    """Return a cell as people read it.

    >>> cell_text(1_234_567.8), cell_text(1234), cell_text(0.98765), cell_text(None), cell_text("x")
    ('1.23M', '1,234', '0.98765', '–', 'x')
    """
    if cell is None:
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return money(cell) if abs(cell) >= 10_000 else f"{cell:,.5g}"
    return str(cell)


def of_chart(chart: Chart) -> Table:
    """Return a row a moment: the value of every series."""
    columns, numbers = ["seconds"], [list(chart.seconds)]
    for one in chart.series:
        columns.append(one.label)
        numbers.append(rounded(one.values, chart.bars))  # type: ignore[arg-type]
        for word, bound in (("lowest", one.low), ("highest", one.high)):
            if bound is not None:
                columns.append(f"{one.label} {word}")
                numbers.append(rounded(bound))  # type: ignore[arg-type]
    return Table(f"chart-{chart.id}", columns, list(zip(*numbers, strict=True)))
