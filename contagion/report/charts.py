"""What is drawn over time: prices by asset, book depth, liquidations, makers' leverage and losses by sector.

Each chart is numbers alone: the page draws it as a still picture, the script as a live one, and both of its tables
are made of it.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.log import Channel
from contagion.metrics import venues
from contagion.metrics.groups import distinct, rows_by_group
from contagion.metrics.losses import losses_by_cell
from contagion.metrics.marks import Marks
from contagion.report.moments import Floats, Integers, Steps, level, span, steps
from contagion.units import PPM, PRICE_SCALE, SECOND

MOST_SERIES = 8
MOST_PRICES = 32
"""Lines of prices in all charts together, so that the page stays small whatever the run."""
_MOVED = 0.0005
_DECADES = 20.0
_BARS = (1, 5, 10, 15, 30, 60, 300, 900, 3_600, 14_400, 86_400, 604_800, 2_592_000)
"""Seconds that one bar may stand for."""


class Series(NamedTuple):
    """One line, or one row of bars: a value a step, and where steps hide something, their lowest and highest."""

    label: str
    values: Floats
    low: Floats | None = None
    high: Floats | None = None


class Chart(NamedTuple):
    """Series over one set of moments (seconds); bars have one value fewer than moments, which are their edges.

    unit : of the values; note : what was left out or summed up, in words.
    """

    id: str
    title: str
    unit: str
    seconds: list[float]
    series: list[Series]
    bars: bool = False
    log: bool = False
    note: str = ""


def charts(run: Any) -> list[Chart]:
    """Return every chart of a run that has something to show."""
    first, last = span(run)
    found = [*prices(run, first, last), depth(run, first, last), liquidations(run, first, last)]
    found += [leverage(run, first, last), losses(run, first, last)]
    return [chart for chart in found if chart and chart.series]


def prices(run: Any, first: int, last: int) -> Iterator[Chart]:
    """Yield a chart an asset whose price moved, all readers of it together, the deepest fall first."""
    table, books = run.tables["prices"], run.books
    groups: dict[str, list[str]] = {}
    for feed in run.facts["prices"]:
        groups.setdefault(_asset(feed, run), []).append(feed)
    worst = {asset: max(_move(run.facts["prices"][feed]) for feed in feeds) for asset, feeds in groups.items()}
    moved = sorted((asset for asset in groups if worst[asset] >= _MOVED), key=lambda asset: (-worst[asset], asset))
    sizes = np.cumsum([min(len(groups[asset]), MOST_SERIES) for asset in moved])
    shown = moved[: max(int(np.searchsorted(sizes, MOST_PRICES, side="right")), 1)]
    for place, asset in enumerate(shown):
        feeds = sorted(groups[asset], key=lambda feed: (-_move(run.facts["prices"][feed]), feed))
        rows = {feed: np.flatnonzero(table["market"] == books.feeds.index(feed)) for feed in feeds[:MOST_SERIES]}
        at = steps(np.concatenate([table["time_us"][own] for own in rows.values()]), first, last)
        series = [
            _level(feed, table["time_us"][own], table["price"][own] / PRICE_SCALE, at) for feed, own in rows.items()
        ]
        notes = [_steps_note(at), _left(len(feeds) - len(rows), "reader", "moved less")]
        if asset == shown[-1] and len(moved) > len(shown):
            notes.append(_left(len(moved) - len(shown), "asset", "moved less and are in the table of prices alone"))
        yield Chart(
            f"prices-{place + 1}", f"Price of {asset}", books.currency, at.seconds, series, note=_sentences(notes),
            log=_spans_decades(series),
        )  # fmt: skip


def depth(run: Any, first: int, last: int) -> Chart | None:
    """Return bids and asks near the price, of the markets that lost most of what they had before the first shock."""
    table, books = run.tables["prices"], run.books
    moment = _before_shock(run)
    rows = dict(zip(books.feeds, rows_by_group(table["market"].astype(np.int64), len(books.feeds)), strict=True))
    found = []
    for name, facts in run.facts["depth"].items():
        own = rows[name]
        near, times = table["bid_depth"][own] + table["ask_depth"][own], table["time_us"][own]
        stated = int(np.flatnonzero(near)[0]) if near.any() else len(own)
        start = max(int(np.searchsorted(times, moment, side="left")) - 1, stated)
        if facts["first"] > 0 and start < len(own) and near[start]:
            share = near / near[start]
            found.append((float(share[start:].min()), name, times[stated:], share[stated:]))
    fell = sorted((row for row in found if row[0] < 0.999), key=lambda row: row[:2])
    if not fell:
        return None
    shown = fell[:MOST_SERIES]
    at = steps(np.concatenate([times for _, _, times, _ in shown]), first, last)
    series = [_level(name, times, 100.0 * share, at) for _, name, times, share in shown]
    note = _sentences([_steps_note(at), _left(len(fell) - len(shown), "market", "lost less")])
    title = "Book depth, bids and asks near the price"
    return Chart("depth", title, "% of that before the shock", at.seconds, series, note=note)


def _before_shock(run: Any) -> int:
    """Return the microsecond of the first shock, or the end of the opening where there is none."""
    events, books = run.tables["events"], run.books
    shocks = np.flatnonzero(venues.is_kind(events, books.kinds, "shock"))
    at = int(shocks[0]) if len(shocks) else min(books.opening, len(events["kind"]) - 1)
    return int(events["time_us"][at])


def liquidations(run: Any, first: int, last: int) -> Chart | None:
    """Return what was liquidated in each bar, by venue and channel."""
    events, books = run.tables["events"], run.books
    chosen = np.flatnonzero(venues.is_kind(events, books.kinds, "liquidation"))
    if not len(chosen):
        return None
    venue = {market: exchange for exchange, market in venues.cleared(run.graph)}
    key = (events["market"][chosen].astype(np.int64) + 1) * len(Channel) + events["channel"][chosen]
    keys, group = distinct(key, (len(books.feeds) + 1) * len(Channel))
    labels = []
    for market, channel in (divmod(one, len(Channel)) for one in keys.tolist()):
        name = books.feeds[market - 1] if market else "elsewhere"
        labels.append(f"{venue.get(name, name)}, {Channel(channel).label}")
    names = sorted(set(labels))
    place = np.array([names.index(label) for label in labels])[group]
    values = events["value"][chosen] * 10.0**-books.currency_decimals
    width = next((w for w in _BARS if (last - first) / SECOND / w <= 120), _BARS[-1]) * SECOND
    edges = np.arange(first // width, -(-last // width) + 1, dtype=np.int64) * width
    bars = len(edges) - 1
    bar = np.clip(events["time_us"][chosen] // width - first // width, 0, bars - 1)
    table = np.bincount(place * bars + bar, values, len(names) * bars).reshape(len(names), bars)
    every = [Series(name, row) for name, row in zip(names, table.astype(np.float64), strict=True)]
    series, more = _largest(every, lambda one: float(one.values.sum()))
    seconds = width // SECOND
    note = f"A bar is {seconds:,} second{'s' * (seconds != 1)}."
    note += f" The {more} smallest are summed up." if more else ""
    title = "Liquidated, by venue and channel"
    return Chart(
        "liquidations", title, f"{books.currency} a bar", (edges / SECOND).tolist(), series, bars=True, note=note
    )


def leverage(run: Any, first: int, last: int) -> Chart | None:
    """Return the leverage that market makers reported."""
    events, books = run.tables["events"], run.books
    chosen = np.flatnonzero(venues.is_kind(events, books.kinds, "leverage"))
    highest = sorted(run.facts["max_leverage"].items(), key=lambda item: (-item[1], item[0]))
    if not len(chosen) or not highest:
        return None
    at = steps(events["time_us"][chosen], first, last)
    series = []
    for name, _ in highest[:MOST_SERIES]:
        own = chosen[events["node"][chosen] == books.holders.index(name)]
        series.append(_level(name, events["time_us"][own], events["quantity"][own] / PPM, at))
    note = _sentences([_steps_note(at), _left(len(highest) - len(series), "maker", "had less")])
    title = "Leverage of market makers"
    return Chart("leverage", title, "times equity", at.seconds, series, log=_spans_decades(series), note=note)


def losses(run: Any, first: int, last: int) -> Chart | None:
    """Return cumulative net losses by sector; they end at the summary's losses by sector."""
    tables, books = run.tables, run.books
    times = tables["events"]["time_us"]
    at = steps(tables["losses"]["time_us"] if "losses" in tables else times, first, last)
    names = sorted(set(books.sectors))
    target = np.array([names.index(sector) for sector in books.sectors])
    inside = np.ones(len(books.holders), np.bool_)
    inside[[books.world, *books.outside]] = False
    source = np.minimum(np.searchsorted(at.at, times, side="left"), len(at.at) - 1)
    marks = Marks(tables["prices"], books)
    cells = losses_by_cell(tables["postings"], marks, books, inside, source, target)
    path = np.zeros((len(at.at), len(names)))
    path[: cells.shape[0], : cells.shape[1]] = cells
    path = np.cumsum(path, axis=0)
    every = [Series(name, path[:, place]) for place, name in enumerate(names)]
    shown = [one for one in every if np.abs(one.values).max() > 0.005]
    if not shown:
        return None
    series, more = _largest(shown, lambda one: float(np.abs(one.values).max()))
    told = "" if at.exact else f"{len(at.at) - 1} steps; what was lost until the end of each."
    note = _sentences([told or _steps_note(at), f"The {more} sectors with least are summed up." if more else ""])
    title = "Cumulative net losses by sector (below zero: gains)"
    return Chart("losses", title, books.currency, at.seconds, series, note=note)


def _largest(every: list[Series], size: Any) -> tuple[list[Series], int]:
    """Return the largest series and the sum of the others, and of how many that sum is."""
    ranked = sorted(every, key=lambda one: (-size(one), one.label))
    if len(ranked) <= MOST_SERIES:
        return ranked, 0
    rest = ranked[MOST_SERIES - 1 :]
    return [*ranked[: MOST_SERIES - 1], Series("others", np.sum([one.values for one in rest], axis=0))], len(rest)


def _level(label: str, times: Integers, values: Floats, at: Steps) -> Series:
    order = np.argsort(times, kind="stable")
    found = level(times[order], values[order], at.at)
    return Series(label, found.last) if at.exact else Series(label, *found)


def _asset(feed: str, run: Any) -> str:
    """Return the asset that a feed is the price of: what its node trades or reads, else the last part of its name."""
    node, _, part = feed.rpartition("/")
    traded = venues.traded_asset(run.graph)
    if part in run.books.assets and (node or feed not in traded):
        return part
    return traded.get(feed) or traded.get(node) or feed


def _move(row: dict[str, float]) -> float:
    if not row["first"]:
        return 0.0
    return max(row["drawdown"], abs(row["last"] / row["first"] - 1.0))


def _spans_decades(series: list[Series]) -> bool:
    """Return whether values are positive and so far apart that only their logarithm shows them all."""
    known = [bound for one in series for bound in (one.values, one.low, one.high) if bound is not None]
    lowest, highest = min(float(np.nanmin(one)) for one in known), max(float(np.nanmax(one)) for one in known)
    return 0 < lowest < highest / _DECADES


def _steps_note(at: Steps) -> str:
    if at.exact:
        return "Every change is shown."
    step = (at.at[-1] - at.at[0]) / (len(at.at) - 1) / SECOND
    return f"{len(at.at) - 1} steps of {step:.3g} s: the line is the last value of each, the band lowest and highest."


def _left(count: int, noun: str, did: str) -> str:
    return f"{count} more {noun}{'s' * (count != 1)} {did}." if count else ""


def _sentences(parts: Iterable[str]) -> str:
    return " ".join(part for part in parts if part)


def as_data(chart: Chart) -> dict[str, Any]:
    """Return a chart as the script reads it."""
    series = [
        {"label": one.label, "values": rounded(one.values, chart.bars), "steps": True}
        | ({} if one.low is None or one.high is None else {"low": rounded(one.low), "high": rounded(one.high)})
        for one in chart.series
    ]
    kind = "bars" if chart.bars else "lines"
    return {
        "id": chart.id, "title": chart.title, "unit": chart.unit, "kind": kind, "log": chart.log, "t": chart.seconds,
        "series": series,
    }  # fmt: skip


def rounded(values: Iterable[float] | NDArray[Any], close: bool = False) -> list[float | None]:
    """Return numbers with six significant digits, None for what is not known, and one more None to close bars."""
    array = np.asarray(values, np.float64)
    numbers = [float(f"{value:.6g}") if value == value else None for value in array.tolist()]
    return [int(value) if value is not None and value == int(value) else value for value in numbers] + [None] * close
