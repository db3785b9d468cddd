"""Every figure of the page: its picture, what it says and leaves out, and its table."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from contagion.metrics import bilateral
from contagion.metrics.groups import distinct
from contagion.report import bars, lines, map, sankey, tree
from contagion.report.charts import Chart
from contagion.report.network import Network
from contagion.report.tables import Table, of_chart

_ROUNDS, _PAIRS, _LOSERS, _OWNERS = 40, 15, 15, 100


class Figure(NamedTuple):
    """A picture with its caption and table; live : whether the script draws it anew."""

    id: str
    title: str
    caption: str
    picture: Markup
    table: Table
    live: bool = False


def over_time(charts: list[Chart]) -> list[Figure]:
    """Return a figure a chart."""
    return [
        Figure(
            f"chart-{chart.id}", f"{chart.title}, {chart.unit}", chart.note, lines.picture(chart), of_chart(chart), True
        )
        for chart in charts
    ]


def of_network(found: Network) -> Figure:
    """Return the exposure network with a row a node."""
    last = map.last_states(found)
    rows = [
        (node.name, node.kind, node.sector, node.domain, node.equity, map.STATES[state])
        for node, state in zip(found.nodes, last, strict=True)
    ]
    columns = ("node", "kind", "sector", "domain", "equity at the start", "state at the end")
    caption = "Size: equity at the start. Shape: the state, here at the end; an edge points the way distress travels. "
    return Figure(
        "network-still",
        "The exposure network",
        caption + found.note,
        map.picture(found),
        Table("network", columns, rows),
    )


def of_flows(run: Any) -> Figure | None:
    """Return the Sankey diagram with its cells."""
    found, currency = sankey.flows(run), run.books.currency
    picture = sankey.picture(found, currency)
    if picture is None:
        return None
    rows = [
        (channel, bearer, float(found.lost[r, c]), float(found.gained[r, c]))
        for r, channel in enumerate(found.channels) for c, bearer in enumerate(found.bearers) if found.cells[r, c]
    ]  # fmt: skip
    rows.sort(key=lambda row: (-row[2], -row[3], row[0], row[1]))
    lost, gained = float(found.lost.sum()), float(found.gained.sum())
    caption = (
        f"Net losses of each sector by each channel, {currency}: {bars.money(lost)} lost. What sectors gained by a channel,"
        f" {bars.money(gained)}, is not drawn and stands in the table; the difference, {bars.money(lost - gained)}, is the net loss."
        " A loss that its bearer could not pay is with the lender who bears it."
    )
    table = Table("flows", ("channel", "bearer", "lost", "gained"), rows)
    return Figure("sankey", "From the shock through channels to bearers", caption, picture, table)


def of_rounds(run: Any) -> Figure | None:
    """Return the sizes of the rounds."""
    sizes = run.facts["generations"]
    if not sizes:
        return None
    rows = [(f"round {n}", float(size)) for n, size in enumerate(sizes, 1)]
    shown = rows[:_ROUNDS]
    if len(rows) > _ROUNDS:
        shown = [
            *rows[: _ROUNDS - 1],
            (f"rounds {_ROUNDS} to {len(rows)}", sum(size for _, size in rows[_ROUNDS - 1 :])),
        ]
    caption = "Failures by the number of failures, themselves included, between the shock and them."
    table = Table("rounds", ("round", "failures"), [(n, size) for n, size in enumerate(sizes, 1)])
    return Figure("rounds", "Round sizes", caption, bars.picture("Failures by round", shown, whole=True), table)


def of_pairs(run: Any) -> Figure | None:
    """Return who lost to whom, by node."""
    tables, books = run.tables, run.books
    found = tables.get("bilateral") or bilateral.bilateral(
        tables["postings"], tables["prices"], tables["events"]["kind"], books
    )
    pairs = bilateral.by_pair(found, books.holders)
    if not pairs:
        return None
    rows = [(row["loser"], row["receiver"], row["value"], next(iter(row["channels"]))) for row in pairs]
    shown = [(f"{loser} → {receiver}", value) for loser, receiver, value, _ in rows[:_PAIRS]]
    caption = f"Value that changed hands, {books.currency}; what falling prices took went to nobody and is not here."
    if len(rows) > _PAIRS:
        caption += f" The {_PAIRS} largest of {len(rows):,} pairs; all are in the CSV."
    table = Table("pairs", ("loser", "receiver", "value", "most of it by"), rows[:2_000])
    return Figure("pairs", "Who lost to whom", caption, bars.picture("Who lost to whom", shown), table)


def of_losers(run: Any) -> Figure | None:
    """Return the nodes that lost most; the table has the accounts, members of crowds included."""
    accounts, books = run.tables["accounts"], run.books
    inside = np.ones(len(books.holders), np.bool_)
    inside[[books.world, *books.outside]] = False
    rows = np.flatnonzero(inside[accounts["holder"]])
    fall = accounts["equity_start"][rows] - accounts["equity_end"][rows]
    nodes, group = distinct(accounts["holder"][rows], len(books.holders))
    totals = np.bincount(group, fall, len(nodes))
    ranked = [(books.holders[int(nodes[k])], float(totals[k])) for k in np.argsort(-totals, kind="stable")[:_LOSERS]]
    ranked = [row for row in ranked if row[1] > 0.005]
    if not ranked:
        return None
    most = rows[np.argsort(-fall, kind="stable")[:_OWNERS]]
    table = Table(
        "losers",
        ("account", "sector", "lost", "equity at the start", "liquidated"),
        [_owner(run, row) for row in most.tolist()],
    )
    caption = f"Fall of equity by node, {books.currency}. The table has the {len(most)} accounts that lost most, members one by one."
    return Figure("losers", "Largest losers", caption, bars.picture("Largest losers", ranked), table)


def _owner(run: Any, row: int) -> tuple[Any, ...]:
    accounts, books = run.tables["accounts"], run.books
    holder, member = int(accounts["holder"][row]), int(accounts["member"][row])
    name = books.holders[holder] + (f"#{member}" if member >= 0 else "")
    start, end = float(accounts["equity_start"][row]), float(accounts["equity_end"][row])
    return name, books.sectors[holder], start - end, start, float(accounts["liquidated_value"][row])


def of_tree(found: list[tree.Branch]) -> Table:
    """Return the branches as a table."""
    columns = (
        "branch",
        "above",
        "what",
        "depth",
        "first at, seconds",
        "failures",
        "value",
        "failures with all below",
        "value with all below",
    )
    rows = [
        (place, branch.parent if branch.parent >= 0 else None, branch.label, branch.depth, round(branch.seconds, 6), branch.count,
         branch.value, branch.all_count, branch.all_value)
        for place, branch in enumerate(found)
    ]  # fmt: skip
    return Table("tree", columns, rows)


def of_prices(facts: Mapping[str, Any]) -> Table:
    """Return a row a price: first, low, when, last and drawdown, the deepest fall first."""
    rows = [
        (name, row["first"], row["low"], row["low_time"], row["last"], row["drawdown"])
        for name, row in facts["prices"].items()
    ]
    rows.sort(key=lambda row: (-row[5], row[0]))
    return Table("prices", ("market or reader", "first", "low", "low at, seconds", "last", "drawdown"), rows)


def figures(run: Any) -> Iterator[Figure]:
    """Yield the figures that are not over time."""
    for make in (of_flows, of_rounds, of_pairs, of_losers):
        found = make(run)
        if found:
            yield found
