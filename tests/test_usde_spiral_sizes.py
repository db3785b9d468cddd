"""A fifth more or less of any one size of the spiral flips nothing: the token breaks, an altcoin is swept.

Sizes are named by what they are and found in the scenario by pattern. `CONTAGION_SIZES` names those to check, by
default the two to which the chain is nearest; with ``all`` it takes minutes.
"""

import os
import re
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

import pytest

from contagion import load, run
from contagion.runs import Run
from tests.test_usde_spiral import chain_happened, low, worst

ALTCOIN = "[xdsl][roui]*"  # xrp, doge, sol, sui, link
SIZES = {
    "whale": ("edges.exchange:margin:whale.balances.*",),
    "pledge": ("edges.whale:borrows:platform.*.*",),
    "pace": ("nodes.whale.pace",),
    "loops": ("nodes.loops.loans.collateral.usde",),
    "mixed": ("nodes.mixed.loans.collateral.*",),
    "on-chain": ("nodes.loop-?.equity", "edges.aave:claims:suppliers.quantity"),
    "makers-usde": ("edges.exchange:margin:maker-?.balances.usde",),
    "makers-altcoins": (f"edges.exchange:margin:maker-?.balances.{ALTCOIN}",),
    "depth-usde": ("nodes.*.quotes.usde-spot.depth",),
    "depth-altcoins": (f"nodes.*.quotes.{ALTCOIN}-*.depth",),
    "demand-usde": ("nodes.usde-spot.stubs.*.quantity",),
    "demand-altcoins": (f"nodes.{ALTCOIN}-*.stubs.*.quantity",),
    "arbitrage": ("edges.exchange:margin:peg.balances.usdt", "nodes.peg.balances.usde"),
    "panic": ("nodes.holders-usde.holders.total",),
    "risk-off": (f"nodes.holders-{ALTCOIN}.holders.total",),
    "traders": ("nodes.traders.traders.open_interest.*",),
    "dip-buyers": ("edges.exchange:margin:hunters.balances.usdt", "nodes.hunters.buys.*.capital"),
    "shock": ("shocks.*.size",),
}
"""By name, where in the scenario's tables the numbers stand; an altcoin's book and its contract's go together."""
CHECKED = os.environ.get("CONTAGION_SIZES", "makers-usde,makers-altcoins").replace("all", ",".join(SIZES)).split(",")


def scaled(table: Any, patterns: tuple[str, ...], factor: Decimal, path: str) -> tuple[Any, dict[str, Any]]:
    """Return a table with its numbers at these patterns times a factor, and the overrides that make it so.

    An edge is called by its ends and role. Lists, and what is stated with an edge, are overridden as a whole.
    """
    if not isinstance(table, dict | list):
        hit = any(fnmatchcase(path, pattern) for pattern in patterns)
        new = times(table, factor) if hit else table
        return new, {path: new} if hit else {}
    pairs = table.items() if isinstance(table, dict) else enumerate(table)
    parts = {key: scaled(part, patterns, factor, f"{path}.{called(key, part)}".lstrip(".")) for key, part in pairs}
    found = {place: value for _, overrides in parts.values() for place, value in overrides.items()}
    new = {key: part for key, (part, _) in parts.items()} if isinstance(table, dict) else [p for p, _ in parts.values()]
    whole = (isinstance(table, list) and path not in ("edges", "shocks")) or (
        path.startswith("edges.") and path.count(".") == 2
    )
    return new, {path: new} if found and whole else found


def called(key: Any, part: Any) -> str:
    if isinstance(key, int) and isinstance(part, dict) and "role" in part:
        return f"{part['from']}:{part['role']}:{part['to']}"
    return str(part["name"]) if isinstance(key, int) and isinstance(part, dict) and "name" in part else str(key)


def times(value: Any, factor: Decimal) -> Any:
    """Return a number times a factor; of text such as ``-2.3%``, the number in it."""
    if isinstance(value, str):
        number, unit = re.fullmatch(r"(-?[\d.]+)(.*)", value).groups()  # type: ignore[union-attr]
        return f"{Decimal(number) * factor:f}{unit}"
    return int(value * factor) if isinstance(value, int) else Decimal(value) * factor


@pytest.mark.parametrize("factor", ["0.8", "1.2"])
@pytest.mark.parametrize("size", CHECKED)
def test_a_fifth_more_or_less_of_one_size_flips_nothing(size: str, factor: str) -> None:
    tables = load("usde-spiral", reduced=True).source.data
    _, overrides = scaled(tables, SIZES[size], Decimal(factor), "")
    assert overrides, f"{size} is nowhere in the scenario"
    result = run(load("usde-spiral", overrides | {"horizon": "19min"}, reduced=True), twins=False)
    assert chain_happened(result), figures(result)


def figures(result: Run) -> str:
    return f"USDe {low(result, 'usde-spot'):.3f}, worst altcoin -{worst(result):.0%}"


if __name__ == "__main__":  # all sizes as a table: python -m tests.test_usde_spiral_sizes
    for name, patterns in SIZES.items():
        for times_ in ("0.8", "1.2"):
            _, changed = scaled(load("usde-spiral", reduced=True).source.data, patterns, Decimal(times_), "")
            one = run(load("usde-spiral", changed | {"horizon": "19min"}, reduced=True), twins=False)
            print(
                f"{name} x {times_}: {figures(one)}, holds {chain_happened(one)}, {len(changed)} overrides", flush=True
            )
