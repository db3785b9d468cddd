"""From the shock through channels to bearers: who lost how much by which force, as flows of equal scale.

A cell is what a sector lost (net) by a channel; what is under water and nobody pays is moved from its holder to the
lender, who has it in the end. Cells with a loss are flows; cells with a gain are not drawn but stand in the table, so
that flows minus gains are the net loss of the run, by bearer and in all.
"""

from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from contagion.metrics.losses import shortfalls
from contagion.report.moments import Floats
from contagion.report.svg import drawing, number, shortened, tag
from contagion.words import money

WIDTH, HEIGHT = 900.0, 460.0
_BOX, _GAP, _TOP = 14.0, 12.0, 26.0
_COLUMNS = (120.0, 400.0, 700.0)
SMALLEST = 0.004
"""Flows below this share of all are drawn as part of 'other'."""


class Flows(NamedTuple):
    """Net losses by channel (rows) and bearer (columns), in the currency."""

    channels: list[str]
    bearers: list[str]
    cells: Floats

    @property
    def lost(self) -> Floats:
        """Return the cells with a loss."""
        return np.maximum(self.cells, 0.0)

    @property
    def gained(self) -> Floats:
        """Return the cells with a gain, positive."""
        return np.maximum(-self.cells, 0.0)


def flows(run: Any) -> Flows:
    """Return what each sector lost by each channel; columns sum to the summary's losses by bearer."""
    accounts, books = run.tables["accounts"], run.books
    inside = np.ones(len(books.holders), np.bool_)
    inside[[books.world, *books.outside]] = False
    sectors = sorted({sector for sector, own in zip(books.sectors, inside, strict=True) if own})
    place = np.array([sectors.index(sector) if sector in sectors else 0 for sector in books.sectors])
    rows = inside[accounts["holder"]]
    channels = [name for name in accounts if name.startswith("loss ")]
    cells = np.array([
        np.bincount(place[accounts["holder"][rows]], accounts[name][rows], len(sectors)) for name in channels
    ]).reshape(len(channels), len(sectors))  # fmt: skip
    for (lender, holder), short in shortfalls(run.tables["balances"], run.tables["prices"], books).items():
        share = np.maximum(cells[:, place[holder]], 0.0)
        if inside[holder] and share.sum() > 0:
            moved = share / share.sum() * short
            cells[:, place[holder]] -= moved
            cells[:, place[lender]] += moved
    size = float(np.abs(cells).sum()) or 1.0
    cells[np.abs(cells) < 1e-12 * size] = 0.0
    kept, used = np.any(cells != 0.0, axis=1), np.any(cells != 0.0, axis=0)
    names = [name.removeprefix("loss ") for name in channels]
    return Flows(
        [_CHANNELS.get(name, name) for name, own in zip(names, kept, strict=True) if own],
        [name for name, own in zip(sectors, used, strict=True) if own],
        cells[kept][:, used],
    )


_CHANNELS = {"none": "no channel"}


def picture(found: Flows, currency: str) -> Markup | None:
    """Return the SVG, or None where nobody lost anything; flows too thin to see are drawn as 'other'."""
    lost = found.lost
    total = float(lost.sum())
    if total <= 0.0:
        return None
    channels, lost = _folded(found.channels, lost, total)
    bearers, turned = _folded(found.bearers, lost.T, total)
    lost = turned.T
    room = HEIGHT - _TOP - 12.0
    scale = (room - _GAP * (max(len(channels), len(bearers)) - 1)) / total
    tops = [_stack(sizes * scale, room) for sizes in (np.array([total]), lost.sum(axis=1), lost.sum(axis=0))]
    heads = zip((_COLUMNS[0] - 40, _COLUMNS[1] - 50, _COLUMNS[2]), ("shock", "channels", "bearers"), strict=True)
    parts = [tag("text", word, class_="head", x=x, y=14.0) for x, word in heads]
    at = tops[0][0]
    for row, name in enumerate(channels):
        high = float(lost[row].sum()) * scale
        title = f"shock → {name}: {money(high / scale)} {currency}"
        parts.append(_flow(_COLUMNS[0] + _BOX, at, _COLUMNS[1], tops[1][row], high, row, title))
        at += high
    arrive = list(tops[2])
    for row, name in enumerate(channels):
        leave = tops[1][row]
        for column, bearer in enumerate(bearers):
            high = float(lost[row, column]) * scale
            if high > 0:
                title = f"{name} → {bearer}: {money(high / scale)} {currency}"
                parts.append(_flow(_COLUMNS[1] + _BOX, leave, _COLUMNS[2], arrive[column], high, row, title))
                leave, arrive[column] = leave + high, arrive[column] + high
    parts += _boxes(_COLUMNS[0], tops[0], np.array([total]), ["lost"], scale, left=True)
    parts += _boxes(_COLUMNS[1], tops[1], lost.sum(axis=1), channels, scale, left=True)
    parts += _boxes(_COLUMNS[2], tops[2], lost.sum(axis=0), bearers, scale, left=False)
    label = f"From the shock through channels to bearers, {money(total)} {currency} lost before gains"
    return drawing(WIDTH, HEIGHT, label, *parts, class_="sankey")


def _folded(names: list[str], rows: Floats, total: float) -> tuple[list[str], Floats]:
    """Return names and rows, the largest first, those too thin to see summed up in one at the end."""
    sizes = rows.sum(axis=1)
    order = sorted((k for k in range(len(names)) if sizes[k] > 0), key=lambda k: (-sizes[k], names[k]))
    kept = [k for k in order if sizes[k] >= SMALLEST * total][:14]
    rest = [k for k in order if k not in kept]
    if not rest:
        return [names[k] for k in kept], rows[kept]
    other = rows[rest].sum(axis=0, keepdims=True)
    label = names[rest[0]] if len(rest) == 1 else f"{len(rest)} smaller"
    return [*(names[k] for k in kept), label], np.concatenate([rows[kept], other])


def _stack(heights: Floats, room: float) -> list[float]:
    """Return the tops of boxes one below the other, centred."""
    whole = float(heights.sum()) + _GAP * (len(heights) - 1)
    at, tops = _TOP + max((room - whole) / 2, 0.0), []
    for height in heights.tolist():
        tops.append(at)
        at += height + _GAP
    return tops


def _flow(x1: float, y1: float, x2: float, y2: float, high: float, row: int, title: str) -> Markup:
    middle, left, right = number((x1 + x2) / 2), number(x1), number(x2)
    a, b, c, d = (number(value) for value in (y1, y2, y2 + max(high, 0.6), y1 + max(high, 0.6)))
    path = f"M{left} {a}C{middle} {a} {middle} {b} {right} {b}V{c}C{middle} {c} {middle} {d} {left} {d}z"
    return tag("path", tag("title", title), class_=f"flow s{row % 8}", d=path)


def _boxes(x: float, tops: list[float], sizes: Floats, names: list[str], scale: float, left: bool) -> list[Markup]:
    parts = []
    for top, size, name in zip(tops, sizes.tolist(), names, strict=True):
        high = size * scale
        parts.append(tag("rect", class_="box", x=x, y=top, width=_BOX, height=max(high, 0.8)))
        place = x - 6 if left else x + _BOX + 6
        words = f"{shortened(name, 22)} {money(size)}"
        anchor = "end" if left else "start"
        parts.append(tag("text", words, class_="name", x=place, y=top + high / 2 + 4, text_anchor=anchor))
    return parts
