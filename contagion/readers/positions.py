"""Positions and liquidations as CSV files: who has borrowed against what, who is long or short, who was closed.

Three forms, told apart by their headers; titles may be mapped to others. Amounts are in whole tokens or contracts.

* lending: ``account, protocol, asset, collateral, debt`` - a row for each asset of a position, either amount blank.
* perpetuals: ``account, exchange, market, quantity, entry, asset, balance`` - a row states a position (quantity below
  zero: short; entry blank: at the mark), a balance of the margin account in an asset (below zero: a loan), or both.
* liquidations: ``time, venue, market, side, quantity, price`` and, where known, ``account`` - time as ISO 8601 with
  its offset from UTC, such as ``2025-10-10T21:16:04.25Z``; side is that of who was closed, ``long`` or ``short``.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from contagion.readers.sheet import Floats, Ints, Names, Provenance, Sheet, duplicates

LENDING = ("account", "protocol", "asset", "collateral", "debt")
PERPETUALS = ("account", "exchange", "market", "quantity", "entry", "asset", "balance")
LIQUIDATIONS = ("time", "venue", "market", "side", "quantity", "price")
SIDES = ("long", "short")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Lending(NamedTuple):
    """Rows of lending positions, in tokens; an amount is 0 where it is blank."""

    account: Names
    protocol: Names
    asset: Names
    collateral: Floats
    debt: Floats
    provenance: Provenance


class Perpetuals(NamedTuple):
    """Rows of margin accounts: a position where there is a market, a balance where there is an asset.

    quantity and balance are 0 where they are blank; entry is NaN where it is blank.
    """

    account: Names
    exchange: Names
    market: Names
    quantity: Floats
    entry: Floats
    asset: Names
    balance: Floats
    provenance: Provenance


class Liquidations(NamedTuple):
    """Rows of liquidations in the order of the file; time in microseconds since 1970, UTC; account may be absent."""

    time_us: Ints
    venue: Names
    market: Names
    side: Names
    quantity: Floats
    price: Floats
    account: Names | None
    provenance: Provenance


def read_lending(path: str, columns: Mapping[str, str] | None = None) -> Lending:
    """Return lending positions; BadInput for what is no amount or below 0, and for a second row of one asset."""
    sheet = Sheet(path, columns)
    found = lending_rows(sheet)
    sheet.finish()
    return found


def read_perpetuals(path: str, columns: Mapping[str, str] | None = None) -> Perpetuals:
    """Return margin accounts; BadInput for a row that says nothing or half of something, and for a second row."""
    sheet = Sheet(path, columns)
    found = perpetual_rows(sheet)
    sheet.finish()
    return found


def read_liquidations(path: str, columns: Mapping[str, str] | None = None) -> Liquidations:
    """Return liquidation events; BadInput for a time without an offset, another side, or an amount of 0 or below."""
    sheet = Sheet(path, columns)
    if not sheet.require(LIQUIDATIONS):
        sheet.finish()
    venue, market, side = (sheet.names(key) for key in ("venue", "market", "side"))
    wrong = np.array([text not in SIDES for text in side.texts], dtype=bool)[side.codes]
    sheet.complain_all(wrong, "side", lambda row: f"{side.of(row)[:40]!r} is no side; expected long or short")
    quantity, price = (sheet.numbers(key, least=0) for key in ("quantity", "price"))
    for key, amounts in (("quantity", quantity), ("price", price)):
        sheet.complain_all(amounts == 0, key, lambda row: "is 0; expected more")
    account = sheet.names("account", blank=True) if sheet.has("account") else None
    times = _times(sheet)
    sheet.finish()
    return Liquidations(times, venue, market, side, quantity, price, account, sheet.provenance("liquidations"))


def lending_rows(sheet: Sheet) -> Lending:
    """Return the rows of lending positions of a sheet, noting what is wrong."""
    if not sheet.require(LENDING):
        sheet.finish()
    account, protocol, asset = (sheet.names(key) for key in ("account", "protocol", "asset"))
    collateral, debt = (np.nan_to_num(sheet.numbers(key, least=0, blank=True)) for key in ("collateral", "debt"))
    refuse_again(sheet, "asset", account.codes, protocol.codes, asset.codes)
    return Lending(account, protocol, asset, collateral, debt, sheet.provenance("lending positions"))


def perpetual_rows(sheet: Sheet) -> Perpetuals:
    """Return the rows of margin accounts of a sheet, noting what is wrong."""
    if not sheet.require(PERPETUALS):
        sheet.finish()
    account, exchange = (sheet.names(key) for key in ("account", "exchange"))
    market, asset = (sheet.names(key, blank=True) for key in ("market", "asset"))
    quantity, balance = (sheet.numbers(key, blank=True) for key in ("quantity", "balance"))
    entry = sheet.numbers("entry", least=0, blank=True)
    _refuse_halves(sheet, ("market", "quantity"), market, quantity)
    _refuse_halves(sheet, ("asset", "balance"), asset, balance)
    for key, names in (("market", market), ("asset", asset)):
        rows = np.flatnonzero(~names.blank)
        refuse_again(sheet, key, account.codes[rows], exchange.codes[rows], names.codes[rows], rows=rows)
    nothing = np.isnan(quantity) & np.isnan(balance) & market.blank & asset.blank
    sheet.complain_all(nothing, "", lambda row: "states neither a position nor a balance; expected one; remove the row")
    sheet.complain_all(entry == 0, "entry", lambda row: "is 0; expected a price, or nothing for the mark")
    amounts = np.nan_to_num(quantity), entry, asset, np.nan_to_num(balance)
    return Perpetuals(account, exchange, market, *amounts, sheet.provenance("margin accounts"))


def refuse_again(sheet: Sheet, key: str, *codes: Ints, rows: Ints | None = None) -> None:
    """Note every row whose codes have been there before; the codes are those of `rows`, else of all."""
    again, _ = duplicates(*codes)
    wrong = np.zeros(sheet.rows, dtype=bool)
    wrong[again if rows is None else rows[again]] = True
    sheet.complain_all(wrong, key, lambda row: f"a second row of one account for one {key}; expected one; add them up")


def _refuse_halves(sheet: Sheet, keys: tuple[str, str], names: Names, amounts: Floats) -> None:
    """Note rows with a name and no amount, or an amount and no name."""
    name, amount = keys
    no_name, no_amount = names.blank & ~np.isnan(amounts), ~names.blank & np.isnan(amounts)
    sheet.complain_all(no_name, name, lambda row: f"is empty beside a {amount}; expected a name")
    sheet.complain_all(no_amount, amount, lambda row: f"is empty beside a {name}; expected a number")


def _times(sheet: Sheet) -> Ints:
    """Return the column of times in microseconds."""
    found = np.zeros(sheet.rows, dtype=np.int64)
    faults: dict[int, str] = {}
    for row, text in enumerate(sheet.cells("time")):
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            faults[row] = f"{text[:40]!r} is no time"
            continue
        if time.tzinfo is None:
            faults[row] = f"{text[:40]!r} has no offset from UTC"
        else:
            found[row] = (time - _EPOCH) // timedelta(microseconds=1)
    wrong = np.zeros(sheet.rows, dtype=bool)
    wrong[list(faults)] = True
    sheet.complain_all(wrong, "time", lambda row: f"{faults[row]}; expected one such as 2025-10-10T21:16:04.25Z")
    return found
