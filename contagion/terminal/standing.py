"""How a system stood before the shock, in a few lines: what was near liquidation, in few hands, or sold where marked.

A line is there only where it says something.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

NEAR = "5%"
"""The fall of all collateral that is named."""
FEW, MANY = 0.5, 5
"""From which share on the five largest are few, and from how many readers on a price is one that many hang on."""


def standing(facts: Mapping[str, Any], money: Callable[[float], str]) -> Iterable[str]:
    """Yield the lines of a summary about loans, whom they hang on, and prices; none where there is nothing to say."""
    start, end = facts["debt_at_risk"]["start"], facts["debt_at_risk"]["end"]
    if start["within"]["20%"] or end["within"]["20%"]:
        text = f"debt that a further fall of {NEAR} would liquidate: "
        text += " → ".join(f"{money(one['within'][NEAR])} of {money(one['debt'])}" for one in (start, end))
        yield text + f", {money(end['breached'])} in breach" * bool(round(end["breached"], 2))
    if margins := facts.get("margins_at_risk"):  # None without exchanges, and not in runs of before
        yield from _margins(margins["start"], margins["end"], money)
    for lender, row in facts["concentration"].items():
        yield from _few(lender, row["debtors"])
    for lender, row in facts["wrong_way"].items():
        words = [f"{row[key] / row['pledged']:.0%} {what}" for key, what in _WAYS.items() if _share(row, key)]
        if words:
            yield f"of the collateral at {lender}, {' and '.join(words)}"
    reach = facts["price_dependence"]
    most = max(reach, key=lambda name: (reach[name]["reach"], name), default=None)
    if most and reach[most]["reach"] >= MANY:
        yield f"{reach[most]['reach']} nodes hang on the price of {most}, more than on any other"


def ties(found: Mapping[str, Any], money: Callable[[float], str]) -> str:
    """Return the range of the headlines over random orders of simultaneous events, or that there is none.

    >>> row = {"total_losses.net": {"low": 9.0, "high": 11.0}, "cascade_depth": {"low": 3.0, "high": 3.0}}
    >>> ties({"orders": 5, "distinct": 4, "figures": row, "errors": []}, "{:.0f}".format)
    'over 5 random orders of what is simultaneous: net 9 to 11, depth 3'
    """
    text = f"over {found['orders']} random order{'s' * (found['orders'] > 1)} of what is simultaneous: "
    failed = "; runs that failed are left out" * bool(found["errors"])
    if found["distinct"] == 1:
        return f"{text}always the same{failed}"
    words = []
    for name, key, write in (("net", "total_losses.net", money), ("depth", "cascade_depth", "{:.0f}".format)):
        row = found["figures"][key]
        if row["low"] is not None:
            ends = dict.fromkeys([write(row["low"]), write(row["high"])])
            words.append(f"{name} {' to '.join(ends)}")
    return text + ", ".join(words) + failed


_WAYS = {"market": "is sold where it is marked", "issuer": "is the borrower's own token"}


def _share(row: Mapping[str, float], key: str) -> bool:
    return bool(row["pledged"]) and row[key] / row["pledged"] >= 0.005


def _margins(start: Mapping[str, Any], end: Mapping[str, Any], money: Callable[[float], str]) -> Iterable[str]:
    words = {
        move: " → ".join(f"{money(one[key][NEAR])} of {money(one['open'])}" for one in (start, end))
        for key, move in (("falls", "fall"), ("rises", "rise")) if start[key]["20%"] or end[key]["20%"]
    }  # fmt: skip
    for move, text in words.items():
        yield f"open at exchanges that a further {move} of {NEAR} would liquidate: {text}"


def _few(lender: str, row: Mapping[str, Any] | None) -> Iterable[str]:
    if row is None or row["number"] <= MANY or row["top"] < FEW:
        return
    text = f"the {MANY} largest of {row['number']:,} debtors of {lender} owe {row['top']:.0%}"
    yield text + (f", {row['name']} alone {row['largest']:.0%}" if row["name"] and row["largest"] >= 0.1 else "")
