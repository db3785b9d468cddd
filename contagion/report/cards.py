"""What the page says first: a sentence on what was simulated, and the headline figures as cards."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from contagion.units import SECOND, format_duration, parse_duration
from contagion.words import count, headline, money, shocked, three


class Card(NamedTuple):
    """One figure: its key in the summary, its exact value as JSON, and both in words."""

    key: str
    value: str
    title: str
    text: str
    note: str


_LOSSES = {
    "net": ("Net loss", "fall of equity of all, at the end"),
    "peak": ("Peak loss", "the largest at any time"),
    "exogenous": ("Exogenous", "what the shock alone would have cost"),
    "endogenous": ("Endogenous", "what the system made of it"),
    "amplification": ("Amplification", "loss over that of the shock alone"),
    "unfunded": ("Unfunded", "bad debt and deficits that nobody covers"),
}


def sentence(run: Any) -> str:
    """Return what was simulated: the system, for how long, what hit it, and by which random numbers."""
    facts, graph = run.facts, run.graph
    title = run.scenario.get("title") or facts.get("scenario") or "a graph"
    size = f"{count(len(run.books.holders), 'node')} and {count(len(graph.get('edges', [])), 'exposure')}"
    end_us = round(facts["sim_seconds"] * SECOND)
    shocks = [shock for shock in graph.get("graph", {}).get("shocks", []) if parse_duration(begins(shock)) <= end_us]
    kinds = sorted({str(shock.get("kind")) for shock in shocks})
    hit = f"hit by {count(len(shocks), 'shock')} ({', '.join(kinds)})"
    if not shocks or not shocked(run.manifest):
        hit = "without any shock"
    lasted = format_duration(round(facts["sim_seconds"] * SECOND))
    return f"Simulated: “{title}”, {size} over {lasted}, {hit}; seed {facts['seed']}."


def begins(shock: Mapping[str, Any]) -> str:
    """Return when a shock begins, as a scenario writes it."""
    return str(shock.get("at") or "0s")


def outcome(run: Any) -> str:
    """Return what came of it."""
    return headline(run.facts, run.books.currency, shocked(run.manifest))


def cards(run: Any) -> list[Card]:
    """Return the cards; every value is that of the summary, null where it has none."""
    facts, currency = run.facts, run.books.currency
    weighted = facts["cascade_depth_weighted"]
    found = [
        _card(facts, "cascade_depth_weighted.mean", "Weighted depth", lambda v: f"{v:.2f}",
              f"95th percentile {weighted['p95']:.2f}" if weighted else "nothing failed"),
        _card(facts, "cascade_depth", "Trigger depth", str, "failures from a shock to the last"),
    ]  # fmt: skip
    for key, (title, note) in _LOSSES.items():
        words: Callable[[Any], str] = (lambda v: f"{three(v)}×") if key == "amplification" else money
        about = note if key == "amplification" else f"{currency}: {note}"
        found.append(_card(facts, f"total_losses.{key}", title, words, about))
    done, gone = facts["liquidated"], facts["cancelled"]
    found += [
        _card(
            facts,
            "liquidated.accounts",
            "Accounts liquidated",
            "{:,}".format,
            f"{money(done['value'])} {currency} in all",
        ),
        _card(facts, "cancelled.orders", "Orders cancelled", "{:,}".format, f"worth {money(gone['value'])} {currency}"),
    ]
    for source, target in (("defi", "cefi"), ("cefi", "defi")):
        cell = _at(facts, f"spillover.{source}.{target}") or {"failures": 0}
        title = f"{_DOMAINS[source]} → {_DOMAINS[target]}"
        note = f"{currency} lost; {count(cell['failures'], 'failure')} set off across"
        found.append(_card(facts, f"spillover.{source}.{target}.loss", title, money, note))
    imbalance = _card(facts, "ledger.max_imbalance", "Ledger", lambda v: "balanced" if v == 0 else f"off by {v:,}",
                      f"every asset sums to zero after {facts['events']:,} events")  # fmt: skip
    return [*found, imbalance]


_DOMAINS = {"defi": "DeFi", "cefi": "CeFi"}


def _card(facts: Mapping[str, Any], key: str, title: str, words: Callable[[Any], str], note: str) -> Card:
    value = _at(facts, key)
    return Card(key, json.dumps(value), title, "none" if value is None else words(value), note)


def _at(facts: Mapping[str, Any], key: str) -> Any:
    """Return what stands at a dotted path of the summary, None where nothing does."""
    value: Any = facts
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
