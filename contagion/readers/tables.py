"""The tables that a scenario names: CSV files that become nodes and edges of its exposure graph.

* ``nodes_csv``: a column ``name``, one ``kind`` (blank, or no such column: an account) and a column for each parameter,
  with dots where the parameter is inside another (``balances.usd``); a blank cell states nothing.
* ``exposures_csv``: ``debtor, creditor, amount`` and whatever else a `claims` edge may state (``asset``, ``latency``,
  ``name``): an edge each.
* ``positions_csv``, one file or several: lending positions or margin accounts, as in `contagion.readers.positions`: a
  `borrows` or a `margin` edge for each account and protocol or exchange.

Files lie in the scenario's folder or below it, so that a scenario, which is data, reads nothing else, and so that a
run can keep them beside its copy of the scenario. What is wrong with a node or an edge later on is said with the line
of the row that it came from.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from contagion.readers.positions import LENDING, PERPETUALS, lending_rows, perpetual_rows
from contagion.readers.rows import Input, Row, Tables
from contagion.readers.sheet import Names, Sheet, duplicates, unique_names
from contagion.readers.words import NUMBER

_CLAIMS = {"from": "debtor", "to": "creditor", "quantity": "amount"}
_BORROWS = {"from": "account", "to": "protocol"}
_MARGIN = {"from": "exchange", "to": "account"}
_TEXTS = ("asset", "name", "latency")
_STATED = {"from": "debtor", "to": "creditor", "quantity": "amount", "role": "", "path": ""}
"""Titles that would change an edge behind the back of the columns that state it, and those columns."""
_INTEGER = re.compile(r"[+-]?[0-9]+")
MAX_DIGITS = 500
"""Characters in a number, as in a scenario itself."""


def read_tables(folder: Path, stated: Mapping[str, Any]) -> Tables:
    """Return the tables of a scenario's keys `KEYS`; BadInput for every problem of the first file that has any."""
    found = Tables({}, [], {}, [], ())
    for key, read in (("nodes_csv", _nodes), ("exposures_csv", _claims), ("positions_csv", _positions)):
        names = stated.get(key) or []
        for name in [names] if isinstance(names, str) else names:
            sheet = Sheet(folder / name)
            form = read(sheet, found)
            sheet.finish()
            own = sheet.provenance(form)._replace(path=name)
            found = found._replace(inputs=(*found.inputs, Input(name, sheet.content, own)))
    return found


def _nodes(sheet: Sheet, found: Tables) -> str:
    if not sheet.require(("name",)):
        sheet.finish()
    names = unique_names(sheet)
    columns = {title: sheet.cells(title) for title in sheet.header if title != "name"}
    for title in columns:
        if not all(title.split(".")) or title == "path":
            sheet.complain(-1, "", f"{title[:60]!r} is no parameter; expected a title such as balances.usd")
        _refuse_digits(sheet, title, columns[title])
    sheet.finish()
    for row, name in enumerate(names):
        table: dict[str, Any] = {"kind": "account"}
        for title, cells in columns.items():
            if cells[row] and not _put(table, title.split("."), _value(cells[row])):
                sheet.complain(row, title, "is inside a parameter that another column states as a whole")
        found.nodes[name] = table
        found.node_rows[name] = Row(sheet, row)
    return "nodes"


def _claims(sheet: Sheet, found: Tables) -> str:
    """Add an edge for each row."""
    if not sheet.require(("debtor", "creditor", "amount")):
        sheet.finish()
    for title in sorted(_STATED.keys() & set(sheet.header)):
        what = f"states {title!r}, which {_STATED[title] or 'every row'} states already; expected other titles"
        sheet.complain(-1, "", f"{what}; remove the column")
    debtor, creditor = sheet.names("debtor"), sheet.names("creditor")
    sheet.numbers("amount", least=0)
    again = [sheet.names(key, blank=True).codes for key in ("asset", "name") if sheet.has(key)]
    more = {title: sheet.cells(title) for title in sheet.header if title not in _CLAIMS.values()}
    for title, cells in more.items():
        _refuse_digits(sheet, title, cells)
    texts = sorted({*debtor.texts, *creditor.texts})
    owing, owed = debtor.among(texts), creditor.among(texts)
    sheet.complain_all(owing == owed, "creditor", lambda row: f"{creditor.of(row)!r} owes itself; expected two names")
    second, _ = duplicates(owing, owed, *again)
    wrong = np.zeros(sheet.rows, dtype=bool)
    wrong[second] = True
    what = "a second row for one debtor, creditor and asset; expected one; add the amounts up, or give each a name"
    sheet.complain_all(wrong, "", lambda row: what)
    sheet.finish()
    for row, amount in enumerate(sheet.cells("amount")):
        ends = {"role": "claims", "from": debtor.of(row), "to": creditor.of(row), "quantity": Decimal(amount)}
        stated = {key: cells[row] for key, cells in more.items() if cells[row]}
        found.edges.append(ends | {key: cell if key in _TEXTS else _value(cell) for key, cell in stated.items()})
        found.edge_rows.append(Row(sheet, row, _CLAIMS))
    return "edge list"


def _positions(sheet: Sheet, found: Tables) -> str:
    if sheet.has("protocol"):
        return _borrows(sheet, found)
    if sheet.has("exchange"):
        return _margins(sheet, found)
    what = f"the header has neither a protocol nor an exchange; expected {', '.join(LENDING)}"
    sheet.complain(-1, "", f"{what} or {', '.join(PERPETUALS)}")
    return ""


def _borrows(sheet: Sheet, found: Tables) -> str:
    """Add an edge for each account and protocol."""
    rows = lending_rows(sheet)
    sheet.finish()
    sides = {"collateral": sheet.cells("collateral"), "debt": sheet.cells("debt")}
    tables = _by_pair(sheet, found, (rows.account, rows.protocol), ("collateral", "debt"), "borrows", _BORROWS)
    for row, table in enumerate(tables):
        for side, cells in sides.items():
            if cells[row]:
                table[side][rows.asset.of(row)] = Decimal(cells[row])
    return "lending positions"


def _margins(sheet: Sheet, found: Tables) -> str:
    """Add an edge for each account and exchange."""
    rows = perpetual_rows(sheet)
    sheet.finish()
    quantity, entry, balance = (sheet.cells(key) for key in ("quantity", "entry", "balance"))
    tables = _by_pair(sheet, found, (rows.exchange, rows.account), ("balances", "positions"), "margin", _MARGIN)
    for row, table in enumerate(tables):
        if quantity[row]:
            contract = {"quantity": Decimal(quantity[row])} | ({"entry": Decimal(entry[row])} if entry[row] else {})
            table["positions"][rows.market.of(row)] = contract
        if balance[row]:
            table["balances"][rows.asset.of(row)] = Decimal(balance[row])
    return "margin accounts"


def _by_pair(
    sheet: Sheet, found: Tables, ends: tuple[Names, Names], parts: tuple[str, str], role: str, titles: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Add an edge with empty parts for each pair of ends, in the order of their first rows; return each row's edge."""
    edges: dict[tuple[str, str], dict[str, Any]] = {}
    of_rows = []
    for row in range(sheet.rows):
        pair = (ends[0].of(row), ends[1].of(row))
        if pair not in edges:
            edges[pair] = {"role": role, "from": pair[0], "to": pair[1], **{part: {} for part in parts}}
            found.edges.append(edges[pair])
            found.edge_rows.append(Row(sheet, row, titles))
        of_rows.append(edges[pair])
    return of_rows


def _refuse_digits(sheet: Sheet, title: str, cells: Sequence[str]) -> None:
    """Note numbers that are longer than anybody means."""
    wrong = np.array([len(cell) > MAX_DIGITS and NUMBER.fullmatch(cell) is not None for cell in cells], dtype=bool)
    sheet.complain_all(
        wrong, title, lambda row: f"is a number of {len(cells[row]):,} characters; expected {MAX_DIGITS} at most"
    )


def _value(cell: str) -> Any:
    """Return a cell as TOML would have it: a number, a truth value or text."""
    if NUMBER.fullmatch(cell):
        return int(cell) if _INTEGER.fullmatch(cell) else Decimal(cell)
    return {"true": True, "false": False}.get(cell, cell)


def _put(table: dict[str, Any], keys: Sequence[str], value: Any) -> bool:
    """Set a value by its path and return whether that was possible."""
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            return False
    if isinstance(table.get(keys[-1]), dict):
        return False
    table[keys[-1]] = value
    return True
