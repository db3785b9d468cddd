"""Every figure of the page: its picture, what it says and leaves out, and its table."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

import contagion.report.bars as bars
import contagion.report.lines as lines
import contagion.report.network_picture as network_picture
import contagion.report.sankey as sankey
import contagion.report.tree as tree
from contagion.metrics import bilateral
from contagion.metrics.groups import distinct
from contagion.report.charts import Chart
from contagion.report.network import STATES, Network, last_states
from contagion.report.tables import Table, of_chart
from contagion.words import money

_ROUNDS, _PAIRS, _LOSERS, _OWNERS = 40, 15, 15, 100
_ROWS = 2_000
"""Pairs that a CSV has at most, so that the page stays small."""


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
        Figure(f"chart-{c.id}", f"{c.title}, {c.unit}", c.note, lines.picture(c), of_chart(c), live=True)
        for c in charts
    ]  # fmt: skip


def figures(run: Any) -> Iterator[Figure]:
    """Yield the figures that are not over time."""
    for make in (of_flows, of_rounds, of_pairs, of_losers):
        if found := make(run):
            yield found


def of_network(found: Network) -> Figure:
    """Return the exposure network with a row a node."""
    rows = [
        (node.name, node.kind, node.sector, node.domain, node.equity, STATES[state])
        for node, state in zip(found.nodes, last_states(found), strict=True)
    ]
    table = Table("network", ("node", "kind", "sector", "domain", "equity at the start", "state at the end"), rows)
    caption = "Size: equity at the start. Shape: the state at the clock, on paper at the end. "
    caption += "An edge leads where distress can travel. "
    return Figure("exposures", "The exposure network", caption + found.note, network_picture.picture(found), table)


def of_flows(run: Any) -> Figure | None:
    """Return the Sankey diagram with its cells."""
    found, currency = sankey.flows(run), run.books.currency
    picture = sankey.picture(found, currency)
    if picture is None:
        return None
    rows = [
        (channel, bearer, float(found.lost[r, c]), float(found.gained[r, c]))
        for r, channel in enumerate(found.channels)
        for c, bearer in enumerate(found.bearers)
        if found.cells[r, c]
    ]
    rows.sort(key=lambda row: (-row[2], -row[3], row[0], row[1]))
    lost, gained = float(found.lost.sum()), float(found.gained.sum())
    caption = f"Net losses of each sector by each channel, {currency}: {money(lost)} lost."
    if round(gained, 2):
        caption += f" What sectors gained by a channel, {money(gained)}, is not drawn and stands in the table; the "
        caption += f"difference, {money(lost - gained)}, is the net loss."
    if round(run.facts.get("bad_debt_open") or 0.0, 2):
        caption += " What its holder could not pay is with the lender who bears it."
    table = Table("flows", ("channel", "bearer", "lost", "gained"), rows)
    return Figure("sankey", "From the shock through channels to bearers", caption, picture, table)


def of_rounds(run: Any) -> Figure | None:
    """Return the sizes of the rounds."""
    sizes = run.facts["generations"]
    if not sizes:
        return None
    shown = [(f"round {n}", float(size)) for n, size in enumerate(sizes, 1)]
    if len(shown) > _ROUNDS:
        rest = sum(size for _, size in shown[_ROUNDS - 1 :])
        shown = [*shown[: _ROUNDS - 1], (f"rounds {_ROUNDS} to {len(sizes)}", rest)]
    caption = "Failures by the number of failures, themselves included, between the shock and them."
    table = Table("rounds", ("round", "failures"), list(enumerate(sizes, 1)))
    return Figure("rounds", "Round sizes", caption, bars.picture("Failures by round", shown, whole=True), table)


def of_pairs(run: Any) -> Figure | None:
    """Return who lost to whom, by node."""
    tables, books = run.tables, run.books
    found = tables.get("bilateral") or bilateral.bilateral(
        tables["postings"], tables["prices"], tables["events"]["kind"], books
    )
    rows = [
        (row["loser"], row["receiver"], row["value"], next(iter(row["channels"])))
        for row in bilateral.by_pair(found, books.holders)
    ]
    if not rows:
        return None
    shown = [(f"{loser} → {receiver}", value) for loser, receiver, value, _ in rows[:_PAIRS]]
    caption = f"Value that changed hands, {books.currency}; what falling prices took went to nobody and is not here."
    if len(rows) > _PAIRS:
        caption += f" The {_PAIRS} largest of {len(rows):,} pairs; the CSV has {min(len(rows), _ROWS):,}."
    table = Table("pairs", ("loser", "receiver", "value", "most of it by"), rows[:_ROWS])
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
    columns = ("account", "sector", "lost", "equity at the start", "liquidated")
    table = Table("losers", columns, [_owner(run, row) for row in most.tolist()])
    caption = f"Fall of equity by node, {books.currency}. The table has the {len(most)} accounts that lost most, "
    caption += "members of crowds one by one."
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
        "branch", "above", "what", "depth", "first at, seconds", "failures", "value", "failures with all below",
        "value with all below",
    )  # fmt: skip
    rows = [
        (place, None if row.parent < 0 else row.parent, row.label, row.depth, round(row.seconds, 6), row.failures,
         row.value, row.all_failures, row.all_value)
        for place, row in enumerate(found)
    ]  # fmt: skip
    return Table("tree", columns, rows)


def of_prices(facts: Mapping[str, Any]) -> Table:
    """Return a row a price: first, low, when, last and drawdown, the deepest fall first."""
    keys = ("first", "low", "low_time", "last", "drawdown")
    rows = [(name, *(row[key] for key in keys)) for name, row in facts["prices"].items()]
    rows.sort(key=lambda row: (-row[5], row[0]))
    return Table("prices", ("market or reader", "first", "low", "low at, seconds", "last", "drawdown"), rows)
