"""What is allowed in a scenario but hardly meant: it is said before a run, and the run is made all the same.

What lies after the end never happens, and who borrows without a `lends` edge is never liquidated. Both may be on
purpose (a longer run later, a knock-out), so neither is refused; that no shock at all happens is, by `check_shocks`,
for what comes out is then the control run under another name.
"""

from collections.abc import Iterator
from typing import Any

from contagion.errors import BadInput, Problem
from contagion.graph import Finding
from contagion.scenario import Scenario
from contagion.shocks import SHOCKS
from contagion.units import format_duration, parse_duration

_SHOWN = 3


def advice(model: Scenario, until_us: int | None = None) -> list[Problem]:
    """Return what is hardly meant, with its place, in the order of the file; until_us : default the horizon."""
    end_us = model.params.horizon if until_us is None else until_us
    found = [*_shocks(model, end_us), *_halts(model, end_us), *_borrowers(model)]
    return sorted(model.source.problem(path, what) for path, what in found)


def check_shocks(model: Scenario, until_us: int | None = None) -> None:
    """Raise BadInput where a scenario has shocks and all of them lie after the end."""
    end_us = model.params.horizon if until_us is None else until_us
    first = min((shock.at for shock in _parsed(model)), default=0)
    if first > end_us:
        what = (
            f"no shock happens: the first is at {format_duration(first)}, after the end at {format_duration(end_us)}; "
            "let it run longer (horizon, --until), or ask for the control run (--no-shock)"
        )
        raise BadInput([model.source.problem(("shocks", 0, "at"), what)])


def _parsed(model: Scenario) -> list[Any]:
    return [SHOCKS[table["kind"]].model_validate(table) for table in model.params.shocks]


def _shocks(model: Scenario, end_us: int) -> Iterator[Finding]:
    end = format_duration(end_us)
    for number, shock in enumerate(_parsed(model)):
        if shock.at > end_us:
            yield Finding(
                ("shocks", number, "at"), f"never happens: {format_duration(shock.at)} is after the end at {end}"
            )
        elif shock.steps > 1 and shock.at + shock.gap() * (shock.steps - 1) > end_us:
            done = (end_us - shock.at) // shock.gap() + 1
            yield Finding(
                ("shocks", number, "over"), f"{done} of its {shock.steps} steps happen before the end at {end}"
            )


def _halts(model: Scenario, end_us: int) -> Iterator[Finding]:
    for name, node in model.params.nodes.items():
        for number, halt in enumerate(node.get("halts", []) if node.get("kind") == "exchange" else []):
            start = halt["start"]
            if isinstance(start, str) and parse_duration(start) > end_us:
                path = ("nodes", name, "halts", number)
                yield Finding(path, f"never begins: {start} is after the end at {format_duration(end_us)}")


def _borrowers(model: Scenario) -> Iterator[Finding]:
    """Yield, for each lender, who borrows from it and does not hear when to be liquidated."""
    graph = model.graph()
    lent = {(s, t) for s, t, data in graph.edges(data=True) if data["role"] == "lends"}
    never: dict[str, list[tuple[str, Any]]] = {}
    for borrower, lender, data in graph.edges(data=True):
        if data["role"] == "borrows" and (lender, borrower) not in lent:
            never.setdefault(lender, []).append((borrower, data["path"]))
    for lender, rows in never.items():
        names = ", ".join(sorted(name for name, _ in rows)[:_SHOWN]) + f" and {len(rows) - _SHOWN:,} more" * (
            len(rows) > _SHOWN
        )
        yield Finding(
            rows[0][1], f"without a 'lends' edge from {lender!r} these borrowers are never liquidated: {names}"
        )
