"""The summary of a run as a person reads it: a sentence first, then one block a question, bars where sizes matter.

The same text goes to a terminal and into a file: a console without a terminal behind it leaves out the colours
and nothing else. It fits 80 columns and uses up to 100.
"""

import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from contagion.terminal.console import printed
from contagion.terminal.links import agreement, links_table
from contagion.terminal.standing import standing, ties
from contagion.units import SECOND, format_duration
from contagion.words import count, headline, money, price, shocked, three

_BAR = 24
_ROWS = 10


def summary_text(console: Console, run: Any, directory: str = "") -> str:
    """Return the summary of a run as text for a console; `directory` is where it was written, if it was."""
    facts, manifest = run.facts, run.manifest
    currency = run.books.currency
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for label, block in _blocks(facts, currency, _Bars(console)):
        table.add_row(label, block)
    sentence = Text(headline(facts, currency, shocked(manifest)), style="bold")
    head = Group(_title(facts, manifest, console.width), Padding(sentence, (1, 0)), table, "")
    return printed(console, head) + printed(console, *_closing(run, directory), soft_wrap=True)


class _Bars:
    """Bars of one width, in characters that the stream knows."""

    def __init__(self, console: Console) -> None:
        self.full = "█" if console.encoding.lower().startswith("utf") else "#"

    def __call__(self, value: float, largest: float) -> Text:
        length = max(round(_BAR * abs(value) / largest), 1) if value and largest else 0
        return Text((self.full * length).ljust(_BAR), style="red" if value > 0 else "green")


def _title(facts: Mapping[str, Any], manifest: Mapping[str, Any], width: int) -> RenderableType:
    """Return the scenario's name and how this run departs from it, and what identifies the run."""
    changes = [*(f"without {name}" for name in manifest.get("knock_outs", ())), *manifest.get("overrides", ())]
    left = Text(", ".join([str(facts["scenario"] or "a graph"), *changes]), style="bold")
    simulated = format_duration(round(facts["sim_seconds"] * SECOND))
    right = Text(f"seed {facts['seed']} · {simulated} simulated · digest {facts['digest'][:12]}", style="dim")
    grid = Table.grid(expand=True, padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_column(overflow="fold")
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(left, right)
    return Group(grid, Rule(style="dim"))


def _blocks(facts: Mapping[str, Any], currency: str, bars: _Bars) -> Iterable[tuple[str, RenderableType]]:
    total = facts["total_losses"]
    if facts["failures"]:
        yield "Depth", _depth(facts, bars)
    yield f"Losses ({currency})", _losses(total)
    if any(round(max(side["lost"], side["gained"]), 2) for side in facts["channels"].values()):
        yield "by channel", _channels(facts["channels"], total["net"], bars)
    if any(round(value, 2) for value in facts["losses_by_bearer"].values()):
        yield "by bearer", _bar_table(facts["losses_by_bearer"], bars)
    if facts["spillover"]:
        yield "Spillover", _spillover(facts["spillover"])
    if facts["liquidated"]["value"]:
        yield "Liquidated", _liquidated(facts, currency)
    for label, words in (("Orders", _orders(facts)), ("Backstop", _backstop(facts))):
        if words:
            yield label, Text("\n".join(words))
    if others := {k: n for k, n in facts["failures_by_kind"].items() if k != "liquidation"}:
        yield "Also failed", Text(" · ".join(f"{kind} {n:,}" for kind, n in others.items()))
    yield "Prices", _prices(facts["prices"])
    if facts.get("twins"):
        yield "Twins", _twins(facts)
    if found := facts.get("order_sensitivity"):
        yield "Ties", Text(ties(found, money))
    if facts["loops"]:
        yield "Carry", _loops(facts["loops"])
    if covered := {name: both for name, both in facts["issuer_coverage"].items() if None not in both.values()}:
        both_ends = (f"{name} {both['start']:.2%} → {both['end']:.2%}" for name, both in covered.items())
        yield "Coverage", Text("of issued tokens, at the start and at the end: " + ", ".join(both_ends))
    if words := list(standing(facts, money)):
        yield "Exposures", Text("\n".join(words))
    if (locked := facts["tvl"])["displayed"]["start"]:
        shown, net = (f"{money(both['start'])} → {money(both['end'])}" for both in locked.values())
        yield "Value locked", Text(f"displayed {shown}, net of what counts twice {net}")
    imbalance = facts["ledger"]["max_imbalance"]
    checked = f"balanced: every asset sums to zero after {facts['events']:,} events"
    yield "Ledger", Text(checked if not imbalance else f"IMBALANCE of {imbalance}", style="red" if imbalance else "")
    if told := facts.get("links"):
        yield "Links", Group(Text(agreement(told["order"])), links_table(told["seen"]))


def _depth(facts: Mapping[str, Any], bars: _Bars) -> RenderableType:
    weighted, canonical = facts["cascade_depth_weighted"], facts["cascade_depth_canonical"]
    words = [f"trigger {facts['cascade_depth']}"]
    doubt = "?" * (facts.get("twins", {}).get("rounds", {}).get("same_failures") is False)
    words += [f"canonical {canonical}{doubt}"] * (canonical is not None)
    words += [f"weighted {weighted['mean']:.2f} (p95 {weighted['p95']:.2f})"] * bool(weighted)
    first = facts["branching_first"]
    words += [f"N2/N1 {first:.2f}"] * (first >= 1.0)
    ratio = f"branching ratio {facts['branching_ratio']:.2f}: the share of failures that another set off"
    sizes = {f"generation {n}": float(size) for n, size in enumerate(facts["generations"], 1)}
    if len(sizes) > _ROWS:
        rest = list(sizes.values())[_ROWS - 1 :]
        sizes = dict(list(sizes.items())[: _ROWS - 1]) | {f"{_ROWS} to {len(sizes)}": sum(rest)}
    if doubt:
        ratio += "\n? not monotone as declared: others fail in synchronous rounds"
    return Group(Text(" · ".join(words)), Text(ratio), _bar_table(sizes, bars, lambda size: f"{size:,.0f}"))


def _losses(total: Mapping[str, Any]) -> RenderableType:
    known = {key: value for key, value in total.items() if isinstance(value, int | float)}
    grid = Table.grid(padding=(0, 2))
    for _ in range(2):
        grid.add_column(style="dim")
        grid.add_column(justify="right")
    for left, right in zip(("net", "peak", "gross", "gains"), _SECOND_COLUMN, strict=True):
        value = known.get(right)
        text = "–" if value is None else f"{three(value)} times" if right == "amplification" else money(value)
        grid.add_row(left, money(known[left]), f"   {right}", text)
    return grid


_SECOND_COLUMN = ("exogenous", "endogenous", "amplification", "unfunded")


def _bar_table(values: Mapping[str, float], bars: _Bars, text: Callable[[float], str] = money) -> RenderableType:
    """Return a row a value: its name, a bar, its size; what is zero left out, the smallest summed up."""
    shown = {name: value for name, value in values.items() if round(value, 2)}
    largest = max((abs(value) for value in shown.values()), default=0.0)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right")
    rows = list(shown.items())
    if text is money:
        rows.sort(key=lambda row: -abs(row[1]))
    for name, value in rows[:_ROWS]:
        grid.add_row(name, bars(value, largest), text(value))
    if len(rows) > _ROWS:
        grid.add_row(f"{len(rows) - _ROWS} more", "", text(sum(value for _, value in rows[_ROWS:])))
    return grid


def _channels(channels: Mapping[str, Mapping[str, float]], net: float, bars: _Bars) -> RenderableType:
    """Return a row a channel: what it cost, and its two sides; what it cost sums to the loss."""
    whole = max(row["lost"] + row["gained"] for row in channels.values())
    shown = {name: row for name, row in channels.items() if max(row["lost"], row["gained"]) > 1e-9 * whole}
    largest = max((abs(row["net"]) for row in shown.values()), default=0.0)
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    grid.add_column("", style="dim", no_wrap=True)
    grid.add_column("", no_wrap=True, max_width=_BAR // 2)
    for head in ("net", "lost", "gained"):
        grid.add_column(head, justify="right", no_wrap=True)
    for name, row in sorted(shown.items(), key=lambda item: (-abs(round(item[1]["net"], 2)), -item[1]["lost"])):
        bar = bars(round(row["net"], 2), 2 * largest)[: _BAR // 2]
        grid.add_row(name, bar, *(money(row[side]) for side in ("net", "lost", "gained")))
    grid.add_row("all", "", money(net), "", "")
    return grid


def _spillover(table: Mapping[str, Mapping[str, Mapping[str, float]]]) -> RenderableType:
    """Return failures and losses, a row for what set them off and a column for whom they hit."""
    targets = list(dict.fromkeys(target for row in table.values() for target in row))
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    grid.add_column("set off by", style="dim", no_wrap=True)
    for target in targets:
        grid.add_column(f"in {target}", justify="right", no_wrap=True)
    for source, row in table.items():
        cells = [row.get(target, {"failures": 0, "loss": 0.0}) for target in targets]
        grid.add_row(source, *(f"{cell['failures']:,} · {money(cell['loss'])}" for cell in cells))
    return Group(Text("failures and what was lost, by domain", style="dim"), grid)


def _liquidated(facts: Mapping[str, Any], currency: str) -> RenderableType:
    done = facts["liquidated"]
    times = f" in {count(done['count'], 'liquidation')}" if "count" in done else ""
    text = f"{money(done['value'])} {currency}{times} of {count(done['accounts'], 'account')}"
    if done["long_share"] is not None and done["long_share"] < 0.995:
        text += f", {done['long_share']:.0%} of it long"
    for key, word in (("by_venue", "at"), ("by_market", "of")):
        parts = sorted(done[key].items(), key=lambda item: -item[1])
        text += f"\n{word} " + ", ".join(f"{name} {money(value)}" for name, value in parts[:6])
        text += f" and {len(parts) - 6} more" * (len(parts) > 6)
    if facts["bad_debt"]:
        text += f"\nbad debt {money(facts['bad_debt'])}"
    return Text(text)


def _orders(facts: Mapping[str, Any]) -> list[str]:
    """Return what became of orders, nothing where there were none; with the emptiest book, and makers' leverage."""
    gone, books = facts["cancelled"], {name: row for name, row in facts["depth"].items() if row["first"]}
    words = [f"{count(gone['orders'], 'order')} worth {money(gone['value'])} cancelled"] * bool(gone["orders"])
    words += [f"{money(facts['unfilled'])} not filled"] * bool(facts["unfilled"])
    left = {name: row["low"] / row["first"] for name, row in books.items()}
    if words and left:
        thinnest = min(left, key=lambda name: left[name])
        words.append(f"{thinnest} down to {left[thinnest]:.1%} of its depth")
    if words and (highest := facts["max_leverage"]):
        name = max(highest, key=lambda maker: highest[maker])
        words.append(f"makers' leverage up to {highest[name]:.2f} ({name})")
    return words


def _backstop(facts: Mapping[str, Any]) -> list[str]:
    """Return what was paid where accounts could not, nothing where all could."""
    adl = facts["adl"]
    words = [f"{money(facts['insurance_used'])} from insurance"] * bool(facts["insurance_used"])
    words += [f"{money(adl['value'])} of {count(adl['accounts'], 'winner')} deleveraged"] * bool(adl["accounts"])
    words += [f"{money(adl['uncovered'])} covered by nobody"] * bool(adl["uncovered"])
    return words


def _prices(prices: Mapping[str, Mapping[str, float]]) -> RenderableType:
    """Return the deepest falls; what an exchange marks (`exchange/coin`) comes after what is traded and read."""
    moved = {name: row for name, row in prices.items() if _moved(row)}
    if not moved:
        return Text("no price moved")
    rows = sorted(moved.items(), key=lambda item: ("/" in item[0], -item[1]["drawdown"]))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", overflow="ellipsis", no_wrap=True, max_width=26)
    for name in ("first", "low", "at", "last", "drawdown"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in rows[: _ROWS + 2]:
        at = format_duration(round(row["low_time"]) * SECOND)
        table.add_row(
            name, price(row["first"]), price(row["low"]), at, price(row["last"]),
            Text(f"{row['drawdown']:.1%}", style="red" if row["drawdown"] > 0.1 else ""),
        )  # fmt: skip
    left = [f"{len(rows) - _ROWS - 2} more moved"] * (len(rows) > _ROWS + 2)
    left += [f"{len(prices) - len(rows)} hardly moved"] * (len(prices) > len(rows))
    return Group(table, Text(", ".join(left), style="dim")) if left else table


def _moved(row: Mapping[str, float]) -> bool:
    """Return whether a price ever differed from its first by what a table shows, 0.05%."""
    return max(row["drawdown"], abs(row["last"] / row["first"] - 1.0)) >= 0.0005


def _twins(facts: Mapping[str, Any]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("")
    for name in ("net loss", "failures", "depth"):
        table.add_column(name, justify="right")
    own = {**facts, "net": facts["total_losses"]["net"]}
    for name, twin in {"this run": own, **facts["twins"]}.items():
        label = f"{name} ({TWINS[name]})" if name in TWINS else name
        table.add_row(label, money(twin["net"]), f"{twin['failures']:,}", str(twin["cascade_depth"]))
    return table


TWINS = {"control": "no shock", "frozen": "nobody reacts", "rounds": "in synchronous rounds"}


def _loops(loops: Mapping[str, Mapping[str, float]]) -> RenderableType:
    """Return the carry of every loop and, beside it, what the token alone yields and the share of equity lost."""
    rows = []
    for name, loop in list(loops.items())[:8]:
        lost = loop["loss"] / loop["equity"] if loop["equity"] > 0 else 0.0
        words = ", lost all" if lost >= 1 else f", lost {lost:.1%}" if abs(lost) >= 0.0005 else ""
        rows.append(f"{name} {loop['carry']:.1%} (unlooped {loop['yield']:.1%}{words})")
    more = f" and {len(loops) - 8} more" * (len(loops) > 8)
    return Text("a year on equity, at the opening: " + ", ".join(rows) + more)


def _closing(run: Any, directory: str) -> Iterable[Text]:
    """Return where the run is and what to type next."""
    facts = run.facts
    if "wall_s" in facts:
        speed = f"{facts['wall_s']:.1f} s, {facts['events_per_s']:,.0f} events a second"
        yield Text(f"written to {directory} ({speed})" if directory else speed, style="dim")
    if directory and (node := deepest(run)):
        yield Text(f"next: contagion why {shlex.quote(directory)} {shlex.quote(node)}")


def deepest(run: Any) -> str:
    """Return the node (or ``node#member``) of the first failure of the last generation; nothing if none failed."""
    failed, events = run.tables["failures"]["event"], run.tables["events"]
    if not len(failed):
        return ""
    event = int(failed[events["generation"][failed].argmax()])
    name, member = run.books.holders[int(events["node"][event])], int(events["member"][event])
    return name if member < 0 else f"{name}#{member}"
