"""Tables that are there when there is something to tell: targets, links, and knock-outs from an attribution."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from contagion.metrics.targets import compare
from contagion.report.attribution import EFFECT
from contagion.report.tables import Table
from contagion.words import count


class Study(NamedTuple):
    """A table under a heading, with what it says in a sentence."""

    id: str
    title: str
    caption: str
    table: Table


def tables(run: Any, attribution: Mapping[str, Any] | None) -> list[Study]:
    """Return the tables that this run has."""
    found = [_targets(run), _links(run), _knock_outs(attribution)]
    return [study for study in found if study]


def _targets(run: Any) -> Study | None:
    rows = compare(run.facts, run.scenario.get("targets", []))
    if not rows:
        return None
    words = {True: "inside", False: "outside", None: "no such figure"}
    cells = [
        (row["id"], row["value"], row["low"], row["high"], words[row["inside"]], row.get("observed"), row.get("source"))
        for row in rows
    ]
    met = sum(row["inside"] is True for row in rows)
    caption = f"{met} of {count(len(rows), 'figure')} in the observed range."
    columns = ("fact", "simulated", "from", "to", "", "observed", "source")
    return Study("targets", "Simulated against observed", caption, Table("targets", columns, cells))


def _links(run: Any) -> Study | None:
    told = run.facts.get("links")
    if not told:
        return None
    cells = [(row["stated"], row["title"], row["rank"], row["first"], row["events"]) for row in told["seen"].values()]
    order = told["order"]
    caption = f"{order['happened']} of {count(order['links'], 'link')} happened; "
    caption += f"{order['in_order']} of {count(order['pairs'], 'pair')} in the stated order"
    caption += "." if order["tau"] is None else f", Kendall's tau {order['tau']:.2f}."
    columns = ("stated", "link", "happened as number", "first at, seconds", "events")
    return Study("links", "The chain, link by link", caption, Table("links", columns, cells))


def _knock_outs(attribution: Mapping[str, Any] | None) -> Study | None:
    if not attribution or not attribution["knock_outs"]:
        return None
    cells = [
        (row["name"], figure, *(effect[key] for key in EFFECT))
        for row in attribution["knock_outs"]
        for figure, effect in row["figures"].items()
        if effect["difference"] is not None
    ]
    columns = ("knocked out", "figure", "with it", "without it", "change", "95% from", "95% to")
    seeds = count(len(attribution["seeds"]), "seed")
    caption = f"Means over {seeds}, each run paired with that of the same seed; change is without it minus with it."
    return Study("knock-outs", "Knock-outs", caption, Table("knock-outs", columns, cells, shown=1_000))
