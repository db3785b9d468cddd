"""Positions and liquidations as tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contagion.errors import BadInput
from contagion.readers.positions import read_lending, read_liquidations, read_perpetuals

LENDING = "account,protocol,asset,collateral,debt\nann,aave,eth,10,\nann,aave,usd,,12000\nbob,aave,eth,1.5,0\n"
PERPETUALS = (
    "account,exchange,market,quantity,entry,asset,balance\n"
    "ann,binance,btc-perp,-2,60000,usd,25000\n"
    "ann,binance,eth-perp,10,,,\n"
    "bob,binance,,,,usd,-5\n"
)
LIQUIDATIONS = (
    "time,venue,market,side,quantity,price\n"
    "2025-10-10T21:16:04.25Z,binance,btc-perp,long,1.5,105000\n"
    "2025-10-10T23:16:04+02:00,okx,btc-perp,short,2,104000.5\n"
)


def written(folder: Path, content: str) -> str:
    (folder / "p.csv").write_text(content, encoding="utf-8")
    return str(folder / "p.csv")


def test_lending_positions_have_a_row_an_asset(tmp_path: Path) -> None:
    found = read_lending(written(tmp_path, LENDING))
    assert [found.account.of(row) for row in range(3)] == ["ann", "ann", "bob"]
    assert found.collateral.tolist() == [10, 0, 1.5]
    assert found.debt.tolist() == [0, 12000, 0]


def test_a_margin_account_has_positions_and_balances(tmp_path: Path) -> None:
    found = read_perpetuals(written(tmp_path, PERPETUALS))
    assert found.quantity.tolist() == [-2, 10, 0]
    assert np.isnan(found.entry[1:]).all() and found.entry[0] == 60000
    assert found.balance.tolist() == [25000, 0, -5]
    assert [found.market.of(row) for row in range(3)] == ["btc-perp", "eth-perp", ""]


def test_liquidations_have_times_in_microseconds(tmp_path: Path) -> None:
    found = read_liquidations(written(tmp_path, LIQUIDATIONS))
    assert (found.time_us[0] - found.time_us[1]).item() == 250_000
    assert found.time_us[0].item() % 86_400_000_000 == ((21 * 60 + 16) * 60 + 4) * 1_000_000 + 250_000
    assert (found.side.of(1), found.price.tolist(), found.account) == ("short", [105000, 104000.5], None)


@pytest.mark.parametrize(
    ("read", "content", "expected"),
    [
        (read_lending, LENDING.replace("1.5", "-1.5"), "p.csv:4: collateral: -1.5 is below 0"),
        (read_lending, LENDING.replace("bob", "ann"), "p.csv:4: asset: a second row of one account for one asset"),
        (read_lending, LENDING.replace("bob", ""), "p.csv:4: account: is empty"),
        (read_lending, LENDING.replace("debt\n", "owed\n"), "p.csv:1: there is no column 'debt'"),
        (read_perpetuals, PERPETUALS.replace("btc-perp", ""), "p.csv:2: market: is empty beside a quantity"),
        (read_perpetuals, PERPETUALS.replace(",10,", ",,"), "p.csv:3: quantity: is empty beside a market"),
        (read_perpetuals, PERPETUALS.replace("usd,-5", ","), "p.csv:4: states neither a position nor a balance"),
        (read_perpetuals, PERPETUALS.replace("60000", "0"), "p.csv:2: entry: is 0"),
        (read_perpetuals, PERPETUALS.replace("eth", "btc"), "p.csv:3: market: a second row"),
        (read_liquidations, LIQUIDATIONS.replace("04.25Z", "04.25"), "p.csv:2: time: '2025-10-10T21:16:04.25' has no"),
        (read_liquidations, LIQUIDATIONS.replace("2025-10-10T21", "yesterday"), "p.csv:2: time: 'yesterday:16"),
        (read_liquidations, LIQUIDATIONS.replace("short", "sell"), "p.csv:3: side: 'sell' is no side"),
        (read_liquidations, LIQUIDATIONS.replace(",2,", ",0,"), "p.csv:3: quantity: is 0"),
    ],
)
def test_what_is_no_position_is_refused_with_its_line(
    read: Callable[[str], Any], content: str, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput) as caught:
        read(written(tmp_path, content))
    assert expected in str(caught.value)
