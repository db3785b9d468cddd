"""The page: everything put into one file that asks nobody for anything and runs no script but its own.

The content-security policy names each inline block by its SHA-256, so neither a style nor a script that got into
the page by a name or a comment of a scenario would be obeyed; jinja2 escapes whatever is text.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

import contagion.report.cards as cards
import contagion.report.figures as figures
import contagion.report.network_picture as network_picture
import contagion.report.reproduce as reproduce
import contagion.report.studies as studies
import contagion.report.tree as tree
from contagion.report.charts import as_data, charts
from contagion.report.moments import STEPS, span
from contagion.report.network import Network, network
from contagion.report.network import as_data as network_data
from contagion.units import SECOND, format_clock
from contagion.words import count, money

SCRIPTS = ("report.js",)
STYLES = ("figures.css", "report.css")


def page(run: Any, attribution: Mapping[str, Any] | None = None) -> str:
    """Return the page of a run; attribution : what `contagion attribute` has written, for the table of knock-outs."""
    first, last = span(run)
    over_time, found = charts(run), network(run, first, last)
    styles, scripts = assets()
    branches = tree.branches(run)
    data = {
        "span": [first / SECOND, last / SECOND], "currency": run.books.currency, "network": network_data(found),
        "failures": found.failures, "charts": [as_data(chart) for chart in over_time],
    }  # fmt: skip
    text: str = _template().render(
        policy=policy(styles, scripts), styles=Markup(styles), scripts=[Markup(script) for script in scripts],
        data=Markup(embedded(data)), run=run, title=str(run.facts.get("scenario") or "a graph"),
        sentence=cards.sentence(run), outcome=cards.outcome(run), cards=cards.cards(run),
        network=figures.of_network(found), legend=network_picture.legend(), charts=figures.over_time(over_time),
        prices=figures.of_prices(run.facts), figures=list(figures.figures(run)),
        branches=nested(branches), branch_table=figures.of_tree(branches),
        studies=studies.tables(run, attribution), assumed=reproduce.assumed(run), facts=reproduce.facts(run),
        commands=reproduce.commands(run), aggregated=aggregated(run, found, branches),
        clock=lambda seconds: format_clock(round(seconds * SECOND)), money=money, count=count,
    )  # fmt: skip
    return text


def assets() -> tuple[str, list[str]]:
    """Return the style sheet and the scripts, what others wrote first."""
    vendored = [row["file"] for row in json.loads(_static("VENDORED.json"))]
    styles = [_static(name) for name in (*(name for name in vendored if name.endswith(".css")), *STYLES)]
    scripts = [_static(name) for name in (*(name for name in vendored if name.endswith(".js")), *SCRIPTS)]
    assert not any("</script" in script.lower() for script in scripts), "a script would end its own block"
    assert not any("</style" in style.lower() for style in styles), "a style sheet would end its own block"
    return "\n".join(styles), scripts


def policy(styles: str, scripts: list[str]) -> str:
    """Return the content-security policy: nothing but these blocks, and pictures inside the file."""
    allowed = " ".join(_hash(script) for script in scripts)
    return (
        f"default-src 'none'; style-src {_hash(styles)}; script-src {allowed}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def embedded(data: Any) -> str:
    r"""Return JSON that may stand inside a script element.

    >>> embedded(["</script>"])
    '["\\u003c/script\\u003e"]'
    """
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def nested(branches: list[tree.Branch]) -> list[dict[str, Any]]:
    """Return the branches as a tree: each with those below it."""
    every: list[dict[str, Any]] = [{"branch": branch, "below": []} for branch in branches]
    for place, branch in enumerate(branches):
        if branch.parent >= 0:
            every[branch.parent]["below"].append(every[place])
    return [node for node in every if node["branch"].parent < 0]


def aggregated(run: Any, found: Network, branches: list[tree.Branch]) -> list[str]:
    """Return what this page sums up, in words."""
    failed, events = count(run.facts["failures"], "failure"), count(run.facts["events"], "event")
    moves, hidden = len(run.tables["prices"]["event"]), sum(branch.rest for branch in branches)
    pulses, stops = count(len(found.pulses), "time"), count(len(found.failures), "time")
    rest = f", and {hidden:,} smaller branches are summed up in the lines that say so" if hidden else ""
    return [
        f"The run has {events}, {failed} and {moves:,} prices. Totals, cards and sizes count all of them.",
        f"A chart with more than {STEPS} moments of change has {STEPS} steps: of a level it keeps the last, lowest and "
        "highest value of each step, of a flow the sum.",
        f"In the causal tree failures of one kind at one node below the same branch are one line{rest}.",
        f"The network's edges light up {pulses}: events of one edge within one step of the clock are one. "
        f"'Next failure' stops {stops}: failures of one node and kind at one moment are one.",
    ]


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = resources.files("contagion.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text)


@cache
def _static(name: str) -> str:
    return resources.files("contagion.report").joinpath("static", name).read_text(encoding="utf-8")


def _hash(block: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}'"
