"""Published cases: model, inputs and expected outputs with a tolerance, one JSON file each.

Cases that hold the data of others are not part of the project: they are read from the pages beside the checkout.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

EVIDENCE = Path(__file__).resolve().parents[2] / "shared" / "evidence" / "cases.json"


def published(case_id: str) -> dict[str, Any]:
    """Return one case of ``tests/published`` by its id, such as ``'LEND-01'``."""
    path = Path(__file__).with_name("published") / f"{case_id}.json"
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return case


def third_party(case_id: str) -> dict[str, Any]:
    """Return a case with data of others, such as ``'DR-03'``; skip the test where the data are not there."""
    if not EVIDENCE.exists():
        pytest.skip(f"{case_id} holds third-party data, which are not part of the project")
    cases: list[dict[str, Any]] = json.loads(EVIDENCE.read_text(encoding="utf-8"))["cases"]
    return next(case for case in cases if case["id"] == case_id)


class Stressed(NamedTuple):
    """Banks in the reduced form of the stress test of 2018: holdings are corporate and government bonds."""

    holdings: Any
    cash: Any
    other: Any
    loans: Any
    deposits: Any


def stressed_banks() -> Stressed:
    """Return the 48 banks of FS-01: 5% of assets in cash, half of all debts loans."""
    rows = third_party("FS-01")["inputs"]["banks"]
    capital, ratio, bonds, government = (
        np.array([row[name] for row in rows]) for name in ("CET1", "leverage_pct", "debt_sec", "gov")
    )
    size = capital / (ratio / 100)
    owed, cash = size - capital, 0.05 * size
    holdings = np.stack([bonds - government, government], axis=1)
    return Stressed(holdings, cash, size - bonds - cash, owed / 2, owed / 2)
