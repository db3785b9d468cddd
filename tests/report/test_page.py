"""The page is one file that asks for nothing, says what the summary says, and takes no name for markup."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from matplotlib import pyplot

import contagion as cg
from contagion.metrics.targets import compare
from contagion.report import html, write
from contagion.runs import load_run
from contagion.units import format_clock
from tests.report.pages import blocks, cascade, page_of_cascade, parsed, renamed, rows_of
from tests.scenarios import CASCADE

KEYS = {
    "cascade_depth_weighted.mean", "cascade_depth", "total_losses.net", "total_losses.peak", "total_losses.exogenous",
    "total_losses.endogenous", "total_losses.amplification", "total_losses.unfunded", "liquidated.accounts",
    "cancelled.orders", "spillover.defi.cefi.loss", "spillover.cefi.defi.loss", "ledger.max_imbalance",
}  # fmt: skip


def at(facts: Any, key: str) -> Any:
    for part in key.split("."):
        facts = facts.get(part) if isinstance(facts, dict) else None
    return facts


def test_cards_are_the_figures_of_the_summary(tmp_path: Path) -> None:
    cascade().save(tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    cards = parsed(html(load_run(tmp_path / "run"))).one("dl", "cards").children
    told = {card.attributes["data-key"]: json.loads(card.attributes["data-value"]) for card in cards}
    assert told == {key: at(summary, key) for key in KEYS}
    assert told["cascade_depth"] == 2 and told["total_losses.net"] > 0


def test_a_card_without_a_figure_says_none_and_not_zero() -> None:
    run = cg.run(cg.loads(CASCADE), twins=False)
    page = parsed(html(run))
    card = page.one("div", **{"data-key": "total_losses.exogenous"})
    assert card.attributes["data-value"] == "null"
    assert card.children[1].text == "none"


def test_the_page_says_in_a_sentence_what_was_simulated() -> None:
    lead = page_of_cascade().all("p", "lead")[0].text
    assert lead == (
        "Simulated: “A sale and two borrowers”, 10 nodes and 13 exposures over 10min, hit by 1 shock (sale); seed 0."
    )


@pytest.mark.parametrize("shocks", [[], [{"kind": "sale"}]])
def test_the_sentence_counts_the_shocks_that_a_graph_states(shocks: list[dict[str, str]]) -> None:
    run = cascade()
    facts = run.graph["graph"] | {"shocks": shocks}
    lead = parsed(html(replace(run, graph=run.graph | {"graph": facts}, scenario={}))).all("p", "lead")[0].text
    assert ("hit by 1 shock (sale)" if shocks else "without any shock") in lead


@pytest.mark.parametrize(("at", "hit"), [("10min", "hit by 2 shocks (sale)"), ("11min", "hit by 1 shock (sale)")])
def test_a_shock_after_the_end_did_not_hit(at: str, hit: str) -> None:
    second = f'[[shocks]]\nkind = "sale"\nmarket = "pool"\nasset = "eth"\nquantity = 1\nat = "{at}"\n\n'
    run = cg.run(cg.loads(CASCADE.replace("[switches.liquidators]", second + "[switches.liquidators]")), twins=False)
    assert f"over 10min, {hit}; seed 0." in parsed(html(run)).all("p", "lead")[0].text


def test_page_and_picture_tell_moments_as_one_clock() -> None:
    page, run = page_of_cascade(), cascade()
    ticks = [tick.text for tick in page.all("text", "tick") if ":" in tick.text]
    assert ticks and all(re.fullmatch(r"\d+:\d\d:\d\d(\.\d{3})?", tick) for tick in ticks)
    said = set(re.findall(r"at (\d+:[\d:.]+)", page.one(id="causes").text))
    drawn = " ".join(text.get_text() for text in run.plot.tree().texts)
    pyplot.close("all")
    failed = run.tables["events"]["time_us"][run.tables["failures"]["event"]].tolist()
    assert said >= {format_clock(moment) for moment in failed}
    assert all(format_clock(moment) in drawn for moment in failed)


NAMES = ("<script>alert(1)</script>", 'a" onload="x&amp;', "</title><img src=x onerror=alert(1)>", "]]>--><!--")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_text_wherever_it_stands(name: str) -> None:
    run = renamed("first", name)
    text = html(run)
    page = parsed(text)
    assert name not in text
    assert len(page.all("script")) == 1 + len(blocks(html(cascade()), "script"))
    assert not page.all("img")
    assert f"liquidation of {name}" in page.one(id="causes").text
    data = json.loads(page.one("script", id="data").text)
    assert name in [node["name"] for node in data["network"]["nodes"]]


def test_the_policy_names_every_block_by_its_hash_and_allows_nothing_else() -> None:
    text = html(cascade())
    policy = parsed(text).one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    for kind, rule in (("style", "style-src"), ("script", "script-src")):
        hashes = [base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() for block in blocks(text, kind)]
        assert rules[rule] == [f"'sha256-{value}'" for value in hashes]
        assert hashes
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
    assert rules["img-src"] == ["data:"]
    assert "unsafe" not in policy


def test_nothing_is_fetched_and_nothing_carries_a_style_or_a_handler_of_its_own() -> None:
    page = page_of_cascade()
    for element in page.all():
        for name, value in element.attributes.items():
            assert name not in ("src", "style", "srcset", "action", "xlink:href", "poster"), (element.name, name)
            assert not name.startswith("on"), (element.name, name)
            if name == "href":
                assert value.startswith(("#", "data:text/csv")), value
    assert not page.all("link") and not page.all("base") and not page.all("iframe") and not page.all("object")
    style = "".join(blocks(html(cascade()), "style"))
    assert "url(" not in style and "@import" not in style


def test_every_figure_has_its_table_and_its_csv() -> None:
    page = page_of_cascade()
    figures = page.all("figure")
    assert len(figures) >= 8
    for figure in figures:
        assert len(figure.all("svg", "still")) == 1, figure.attributes
        table, link = figure.one("table"), figure.one("a", "csv")
        rows = rows_of(link)
        head = [cell.text for cell in table.one("thead").all("th")]
        assert rows[0] == head
        assert len(rows) - 1 >= len(table.one("tbody").all("tr")) > 0
        assert {len(row) for row in rows} == {len(head)}


def test_a_live_chart_has_in_its_data_what_its_csv_has() -> None:
    page = page_of_cascade()
    data = json.loads(page.one("script", id="data").text)
    assert {chart["id"] for chart in data["charts"]} >= {"prices-1", "liquidations", "losses"}
    for chart in data["charts"]:
        figure = page.one("figure", id=f"chart-{chart['id']}")
        assert figure.one("div", "live").attributes["hidden"] == ""
        rows = rows_of(figure.one("a", "csv"))
        assert [float(row[0]) for row in rows[1:]] == chart["t"]
        for series in chart["series"]:
            own = [row[rows[0].index(series["label"])] for row in rows[1:]]
            assert [float(value) if value else None for value in own] == series["values"]


def test_a_saved_run_gives_the_same_bytes_as_the_fresh_one_whatever_the_hash_seed(tmp_path: Path) -> None:
    run = cascade()
    run.save(tmp_path / "run")
    write(run, tmp_path / "fresh.html")
    expected = (tmp_path / "fresh.html").read_bytes()
    code = (
        "import sys; from pathlib import Path; from contagion.report import write; from contagion.runs import load_run;"
        "write(load_run(Path('run')), Path(sys.argv[1]))"
    )
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(cg.__file__).parents[1])}
        subprocess.run([sys.executable, "-c", code, f"{seed}.html"], cwd=tmp_path, env=environment, check=True)
        assert (tmp_path / f"{seed}.html").read_bytes() == expected


def test_no_time_of_day_stands_in_the_page_but_those_of_the_manifest() -> None:
    assert not re.search(r"\b20\d\d-\d\d-\d\d", html(cascade()))


def test_targets_and_their_verdicts_are_there_when_the_scenario_states_some() -> None:
    target = '[[targets]]\nid = "low"\nkey = "prices.pool.low"\nlow = 1\nhigh = 2\nobserved = "<b>"\nsource = "s"\n'
    run = cg.run(cg.loads(f"{CASCADE}\n{target}"), twins=False)
    (row,) = compare(run.facts, run.scenario["targets"])
    cells = [cell.text for cell in parsed(html(run)).one(id="targets").one("tbody").all("td")]
    assert cells[0] == "low" and cells[4] == "outside" and cells[5] == "<b>"
    assert row["inside"] is False
    assert not page_of_cascade().all(id="targets")


def test_knock_outs_are_there_when_there_is_an_attribution() -> None:
    effect = {"base": 2.0, "without": 0.0, "difference": -2.0, "low": None, "high": None}
    unknown = effect | {"difference": None}
    row = {"name": "liquidators", "figures": {"cascade_depth": effect, "total_losses.amplification": unknown}}
    page = parsed(html(cascade(), {"seeds": [0], "knock_outs": [row]}))
    cells = [cell.text for cell in page.one(id="knock-outs").one("tbody").all("td")]
    assert cells == ["liquidators", "cascade_depth", "2", "0", "-2", "–", "–"]
    assert not page_of_cascade().all(id="knock-outs")


def test_assumed_parameters_are_listed_with_what_is_said_of_them() -> None:
    run = cg.run(cg.loads(CASCADE.replace("decimals = 9", "decimals = 9  # assumed (6 to 18): <guess>")), twins=False)
    cells = [cell.text for cell in parsed(html(run)).one(id="assumed").one("tbody").all("td")]
    assert cells[1:] == ["nodes.eth.decimals", "9", "assumed (6 to 18): <guess>"]


def test_a_run_without_a_scenario_a_shock_or_a_failure_has_a_page() -> None:
    graph = nx.MultiDiGraph(horizon_us=1_000_000)
    graph.add_node("usd", kind="asset")
    graph.add_node("world", kind="world")
    page = parsed(html(cg.run(graph)))
    assert "Nothing failed." in page.one(id="causes").text
    assert page.one("div", **{"data-key": "ledger.max_imbalance"}).attributes["data-value"] == "0"
    assert "Nothing failed." in parsed(html(cg.run(cg.loads(CASCADE), shock=False))).one(id="causes").text


def test_who_reads_without_scripts_finds_the_player_hidden_and_the_pictures_there() -> None:
    page = page_of_cascade()
    assert "hidden" in page.one("div", id="player").attributes
    assert all("hidden" in element.attributes for element in page.all("div", "live"))
    network = page.one("div", id="network")
    assert len(network.all("g", "node")) == len(cascade().books.holders)
    states = {node.one("title").text.split(":")[0]: node.attributes["data-state"] for node in network.all("g", "node")}
    assert states["first"] == states["second"] == "2" and states["keeper"] == "0"
