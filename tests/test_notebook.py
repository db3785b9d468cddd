"""What a notebook shows of a run: the figures of the summary, escaped, and nothing from outside the page."""

import copy
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import networkx as nx
import pytest

import contagion as cg
from contagion.facts import Summary
from contagion.runs import Run
from contagion.terminal import headline, money
from tests.scenarios import CASCADE

EVIL = "<script>alert('1')</script>&\"x\""


class Page(HTMLParser):
    """All tags with their attributes, and all text, of a page whose tags must be closed in order."""

    VOID = ("br", "hr")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open += [tag] * (tag not in self.VOID)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def cascade() -> Any:
    return cg.run(cg.loads(CASCADE))


@pytest.fixture(scope="module")
def evil() -> Any:
    graph = nx.relabel_nodes(cg.loads(CASCADE).graph(), {"second": EVIL, "oracle": EVIL + "2"})
    graph.graph["name"] = EVIL
    return cg.run(graph)


def pages(run: Any) -> list[Page]:
    return [Page(run._repr_html_()), Page(run.summary._repr_html_()), Page(run.summary.prices._repr_html_())]


def test_a_run_shows_the_sentence_and_the_figures_of_the_terminal(cascade: Any) -> None:
    text = Page(cascade._repr_html_()).text
    assert headline(cascade.facts, "USD") in text
    assert money(cascade.facts["total_losses"]["net"]) in text
    assert "control (no shock)" in text
    assert any("run.plot.prices()" in line for line in text)


def test_a_summary_shows_every_key(cascade: Any) -> None:
    text = Page(cascade.summary._repr_html_()).text
    assert set(cascade.facts) <= set(text)
    assert set(cascade.facts["prices"]) <= set(text)


def test_nothing_is_loaded_run_or_left_unescaped(cascade: Any, evil: Any) -> None:
    for run in (cascade, evil):
        for page in pages(run):
            assert {tag for tag, _ in page.tags} <= {
                "div", "style", "p", "b", "table", "tr", "th", "td", "details", "summary", "span", "code",
            }  # fmt: skip
            assert {name for _, attributes in page.tags for name in attributes} <= {"class", "style", "open"}
            assert not re.search(r"url\(|https?:|@import", "".join(page.text))


def test_a_name_is_shown_as_it_is(evil: Any) -> None:
    run, summary, prices = pages(evil)
    assert EVIL + "2" in prices.text
    assert EVIL + "2" in summary.text
    assert any(EVIL in text for text in run.text)


def test_colours_are_the_notebooks_own(cascade: Any) -> None:
    style = re.search("<style>(.*?)</style>", cascade._repr_html_(), re.S)
    assert style
    colours = re.findall(r"(?:color|background|border[a-z-]*):\s*([^;]+);", style.group(1))
    assert set(re.findall(r"#\w+|rgba?\([^)]*\)|currentColor|inherit|none", " ".join(colours))) == {
        "currentColor", "inherit", "none", "rgba(128, 128, 128, .3)",
    }  # fmt: skip


def test_a_run_that_was_not_summed_up_is_shown_all_the_same(cascade: Any) -> None:
    bare = Run(cascade.tables, cascade.books, cascade.manifest)
    assert "A run without a summary." in Page(bare._repr_html_()).text
    assert Page(bare.summary._repr_html_())


DELETED = object()


def paths(table: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from paths(value, (*above, key))


@pytest.mark.parametrize(
    "edited", [DELETED, None, "x", [], {1: {2: 3}}, float("nan"), 10**400], ids=lambda value: str(value)[:6]
)
def test_a_figure_that_was_edited_is_shown_all_the_same(cascade: Any, edited: Any) -> None:
    run, plain = replace(cascade, facts=copy.deepcopy(cascade.facts)), 0
    for *above, key in paths(cascade.facts):
        table = run.facts
        for name in above:
            table = table[name]
        before = dict(table)
        table.pop(key) if edited is DELETED else table.update({key: edited})
        text = run._repr_html_()
        assert text.endswith("</div>")
        plain += "Not as a run writes it" in text
        table.clear()
        table.update(before)
    assert run.facts == cascade.facts
    assert plain


def test_tables_inside_themselves_are_shown(cascade: Any) -> None:
    run, summary = replace(cascade, facts=copy.deepcopy(cascade.facts)), cascade.summary
    run.facts["twins"]["mine"] = run.facts
    summary.mine = summary
    assert any("Recursion on dict" in line for line in Page(run._repr_html_()).text)
    assert any("RecursionError" in line for line in Page(summary._repr_html_()).text)
    assert "mine: " in repr(summary)


@pytest.mark.parametrize("facts", [None, 3, [1], "x"])
def test_what_is_no_dictionary_is_shown(cascade: Any, facts: Any) -> None:
    assert any(repr(facts) in line or not facts for line in Page(replace(cascade, facts=facts)._repr_html_()).text)


def test_a_market_called_like_a_method_is_shown() -> None:
    page = Page(Summary.of({"prices": {"to_dict": {"low": 1.0}}}).prices._repr_html_())
    assert "to_dict" in page.text


def test_a_control_run_says_that_it_is_at_rest() -> None:
    run = cg.run(cg.loads(CASCADE), shock=False)
    assert any("At rest" in text for text in Page(run._repr_html_()).text)
