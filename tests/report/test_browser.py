"""The report in a real browser: it prints and asks for nothing, and its clock moves the network and the charts."""

import csv
import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import contagion.report
from contagion.cli import main
from contagion.runs import load_run
from tests.report.browser import Visit, launched, opened, visit

STATIC = Path(contagion.report.__file__).parent / "static"
DATA = r'(<script[^>]*id="data"[^>]*>)(.*?)(</script>)'


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("browser") / "run"
    done = CliRunner().invoke(main, ["run", "usde-loops", "--reduced", "-o", str(directory)])
    assert done.exit_code == 0, done.output
    return directory


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def report(run: Path) -> Path:
    page = run.with_name("page.html")
    contagion.report.write(load_run(run), page)
    return page


@pytest.fixture(scope="module")
def seen(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    return visit(report, tmp_path_factory.mktemp("visit"))


@pytest.fixture(scope="module")
def data(report: Path) -> Any:
    block = re.search(DATA, report.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    return json.loads(block[2])


class Cards(HTMLParser):
    """The cards of a page: key -> the value it states exactly, and the text it shows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}
        self.texts: dict[str, str] = {}
        self._key = self._tag = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self._tag = tag
        if key := said.get("data-key"):
            self._key = key
            self.values[key] = json.loads(said["data-value"] or "")

    def handle_data(self, text: str) -> None:
        if self._key and self._tag == "dd":
            self.texts.setdefault(self._key, text.strip())


def at(summary: Any, key: str) -> Any:
    """Return what stands under a dotted key, None where nothing does."""
    for part in key.split("."):
        summary = (summary or {}).get(part)
    return summary


def states(tab: Any) -> list[str]:
    return tab.eval_on_selector_all("#network .node", "nodes => nodes.map(node => node.dataset.state)")


def shapes(tab: Any) -> list[str]:
    drawn = "nodes => nodes.map(node => node.querySelector('use').getAttribute('href'))"
    return tab.eval_on_selector_all("#network .node", drawn)


def clock(tab: Any) -> float:
    return float(tab.locator("#clock").input_value())


def set_clock(tab: Any, seconds: float) -> None:
    moved = "(range, t) => { range.value = t; range.dispatchEvent(new Event('input')); }"
    tab.locator("#clock").evaluate(moved, seconds)


def expected_states(data: Any, seconds: float) -> list[str]:
    """Return each node's state at a time, by going through all changes."""
    now = [0] * len(data["network"]["nodes"])
    for t, node, state in data["network"]["states"]:
        if t <= seconds:
            now[node] = state
    return [str(state) for state in now]


# ---- what is vendored ----


def test_vendored_files_are_those_whose_hashes_are_noted() -> None:
    noted = json.loads((STATIC / "VENDORED.json").read_text(encoding="utf-8"))
    for entry in noted:
        assert hashlib.sha256((STATIC / entry["file"]).read_bytes()).hexdigest() == entry["sha256"], entry["file"]
    ours = {"report.js", "report.css", "figures.css", "VENDORED.json"}
    assert {entry["file"] for entry in noted} == {path.name for path in STATIC.iterdir()} - ours


def test_what_is_vendored_may_be_given_on() -> None:
    for entry in json.loads((STATIC / "VENDORED.json").read_text(encoding="utf-8")):
        assert entry["licence"] == "MIT"
        assert "MIT License" in (STATIC / f"{entry['name']}.LICENSE").read_text(encoding="utf-8")


# ---- the page opens ----


def test_the_harness_hears_an_error_a_violation_and_a_request(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    policy = '<meta http-equiv="Content-Security-Policy" content="style-src \'none\'">'
    page.write_text(
        f"<!doctype html>{policy}<p style='color: red'>a</p><img src='http://example.org/a.png'><script>missing()</script>"
    )
    seen = visit(page, tmp_path)
    assert any("Content Security Policy" in line for line in seen.console)
    assert any("missing is not defined" in line for line in seen.console)
    assert seen.requests == ["http://example.org/a.png"]


def test_the_report_opens_without_a_word_on_the_console_or_a_request(seen: Visit, data: Any) -> None:
    assert seen.console == []
    assert seen.requests == []
    assert seen.dom.count("<canvas") == len(data["charts"]) >= 3
    assert '<div id="player">' in seen.dom


def test_cards_equal_the_summary(run: Path, seen: Visit) -> None:
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    cards = Cards(seen.dom)
    assert {key: at(summary, key) for key in cards.values} == cards.values
    assert {"cascade_depth_weighted.mean", "total_losses.net", "ledger.max_imbalance"} <= set(cards.values)
    for key in ("cascade_depth", "liquidated.accounts"):
        assert cards.texts[key] == f"{at(summary, key):,}"


def test_the_page_reads_without_scripts(browser: Any, report: Path) -> None:
    with opened(browser, report, java_script_enabled=False) as tab:
        assert not tab.locator("#player").is_visible()
        assert tab.locator("#network svg").is_visible()
        for figure in tab.locator("figure.chart").all():
            assert figure.locator("svg.still").is_visible()


# ---- the clock ----


def test_the_slider_moves_the_clock_and_the_network(browser: Any, report: Path, data: Any) -> None:
    start, end = data["span"]
    with opened(browser, report) as tab:
        assert clock(tab) == pytest.approx(end)
        assert states(tab) == expected_states(data, end)
        for share in (0.0, 0.5, 0.2, 0.9, 0.05, 1.0):  # forward and back
            set_clock(tab, start + share * (end - start))
            assert states(tab) == expected_states(data, clock(tab))
            assert shapes(tab) == [f"#state-{state}" for state in states(tab)]


def test_a_node_that_returns_and_fails_again_is_right_in_both_directions(
    browser: Any, report: Path, data: Any, tmp_path: Path
) -> None:
    start, end = data["span"]
    nodes = range(len(data["network"]["nodes"]))
    moments = [(start + (end - start) * (k + 0.5) / 8, state) for k, state in enumerate((1, 2, 3, 0, 2, 1, 3))]
    lively = data | {"network": data["network"] | {"states": [[t, i, s] for t, s in moments for i in nodes]}}
    page = tmp_path / "lively.html"
    text = report.read_text(encoding="utf-8")
    block = json.dumps(lively).replace("<", "\\u003c")
    page.write_text(re.sub(DATA, lambda found: found[1] + block + found[3], text, flags=re.DOTALL), encoding="utf-8")
    with opened(browser, page) as tab:
        for share in (0.0, 0.3, 0.7, 0.55, 0.45, 0.2, 0.95, 0.6):
            set_clock(tab, start + share * (end - start))
            assert states(tab) == expected_states(lively, clock(tab))


def test_something_happens_to_the_network(data: Any) -> None:
    start, end = data["span"]
    assert expected_states(data, start - 1) != expected_states(data, end)


def test_edges_light_up_when_something_passes_and_fade(browser: Any, report: Path, data: Any) -> None:
    start, end = data["span"]
    fade = (end - start) / 60
    times = [t for t, _, _ in data["network"]["pulses"]]
    quiet = next(t for t, after in zip(times, [*times[1:], end], strict=True) if after > t + 1.1 * fade) + 1.05 * fade
    with opened(browser, report) as tab:
        for t, edge, _ in (data["network"]["pulses"][0], data["network"]["pulses"][-1]):
            set_clock(tab, t + 1e-6)
            assert tab.locator(f'.edge[data-edge="{edge}"][data-lit]').count() == 1
        set_clock(tab, quiet)
        assert tab.locator(".edge[data-lit]").count() == 0


def test_next_and_previous_go_from_failure_to_failure(browser: Any, report: Path, data: Any) -> None:
    start = data["span"][0]
    first, second = sorted({t for t, _, _ in data["failures"] if t > start})[:2]
    label = next(label for t, _, label in reversed(data["failures"]) if t <= first)
    with opened(browser, report) as tab:
        set_clock(tab, start)
        for button, expected in (("#next", first), ("#next", second), ("#previous", first)):
            tab.locator(button).click()
            assert clock(tab) == pytest.approx(expected)
        assert label in tab.locator("#now").inner_text()


def test_keys_move_the_clock_too(browser: Any, report: Path, data: Any) -> None:
    with opened(browser, report) as tab:
        set_clock(tab, data["span"][0])
        tab.locator("#network").focus()
        tab.keyboard.press("ArrowRight")
        one = clock(tab)
        assert one > data["span"][0]
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("ArrowLeft")
        assert clock(tab) == one
        tab.keyboard.press(" ")
        tab.wait_for_function("t => Number(document.getElementById('clock').value) > t", arg=one)
        assert tab.locator("#play").inner_text() == "Pause"


def test_play_goes_on_until_it_is_paused(browser: Any, report: Path, data: Any) -> None:
    with opened(browser, report) as tab:
        tab.locator("#play").click()  # at the end: begins again
        begun = clock(tab)
        assert begun < data["span"][1]
        tab.wait_for_function("t => Number(document.getElementById('clock').value) > t", arg=begun)
        tab.locator("#play").click()
        paused = clock(tab)
        tab.wait_for_timeout(100)
        assert clock(tab) == paused
        assert tab.locator("#play").inner_text() == "Play"


def test_who_wants_no_motion_is_taken_from_failure_to_failure(browser: Any, report: Path, data: Any) -> None:
    with opened(browser, report, reduced_motion="reduce") as tab:
        tab.locator("#play").click()
        begun = clock(tab)
        tab.wait_for_function("t => Number(document.getElementById('clock').value) > t", arg=begun)
        assert any(clock(tab) == pytest.approx(t) for t, _, _ in data["failures"])


def test_a_click_in_a_chart_sets_the_clock_of_all(browser: Any, report: Path, data: Any) -> None:
    with opened(browser, report) as tab:
        over = tab.locator(".u-over").first
        over.scroll_into_view_if_needed()
        width = over.bounding_box()["width"]
        over.click(position={"x": width * 0.4, "y": 20})
        start, end = data["span"]
        assert clock(tab) == pytest.approx(start + 0.4 * (end - start), abs=0.01 * (end - start))
        assert states(tab) == expected_states(data, clock(tab))
        assert tab.locator(".hand").count() == len(data["charts"])


def test_the_legend_says_what_was_there_at_the_clock(browser: Any, report: Path, data: Any) -> None:
    chart = data["charts"][0]
    place = len(chart["t"]) // 2
    shown = f"[id='chart-{chart['id']}'] .u-legend .u-series:not(:first-child) .u-value"
    with opened(browser, report) as tab:
        set_clock(tab, chart["t"][place] + 1e-6)
        texts = tab.locator(shown).all_inner_texts()
        assert [float(text.replace(",", "")) for text in texts] == pytest.approx(
            [one["values"][place] for one in chart["series"]], rel=1e-5
        )
        over = tab.locator(".u-over").first
        over.hover(position={"x": 3, "y": 20})
        assert tab.locator(shown).all_inner_texts() != texts
        tab.mouse.move(1, 1)
        assert tab.locator(shown).all_inner_texts() == texts


# ---- tables, widths, themes, paper ----


def test_every_chart_has_a_table_that_opens_and_a_file(browser: Any, report: Path, data: Any, tmp_path: Path) -> None:
    with opened(browser, report, accept_downloads=True) as tab:
        for chart in data["charts"]:
            figure = tab.locator(f"[id='chart-{chart['id']}']")
            assert not figure.locator("details table").is_visible()
            figure.locator("summary").click()
            assert figure.locator("details table").is_visible()
            columns = figure.locator("details th").all_inner_texts()
            rows = figure.locator("details tbody tr").count()
            with tab.expect_download() as event:
                figure.locator("a.csv").click()
            event.value.save_as(tmp_path / "chart.csv")
            with (tmp_path / "chart.csv").open(newline="", encoding="utf-8") as stream:
                head, *body = csv.reader(stream)
            assert head == columns
            assert len(body) >= rows > 0


def test_a_finger_sets_the_clock_and_the_legend_goes_on_with_it(browser: Any, report: Path, data: Any) -> None:
    shown = f"[id='chart-{data['charts'][0]['id']}'] .u-legend .u-series:first-child .u-value"
    with opened(browser, report, width=390, has_touch=True, is_mobile=True) as tab:
        tab.locator(".u-over").first.tap(position={"x": 100, "y": 20})
        tapped = tab.locator(shown).inner_text()
        assert data["span"][0] < clock(tab) < data["span"][1]
        set_clock(tab, data["span"][1])
        assert tab.locator(shown).inner_text() != tapped


@pytest.mark.parametrize("width", [320, 390, 640, 1280])
def test_no_width_makes_the_page_scroll_sideways(browser: Any, report: Path, width: int) -> None:
    with opened(browser, report, width=width) as tab:
        tab.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_notes_are_smaller_than_what_they_are_notes_to(browser: Any, report: Path) -> None:
    size = "(parts) => parts.map(part => parseFloat(getComputedStyle(part).fontSize))"
    with opened(browser, report) as tab:
        figures = tab.eval_on_selector_all(".cards dd:not(.note)", size)
        notes = tab.eval_on_selector_all(".cards dd.note, figcaption small", size)
        assert len(notes) > len(figures) > 0
        assert max(notes) < 16 < min(figures)


def test_the_theme_follows_the_reader(browser: Any, report: Path) -> None:
    brightness = """() => {
        const sum = (text) => text.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0);
        const style = getComputedStyle(document.body);
        return sum(style.color) - sum(style.backgroundColor);
    }"""
    with opened(browser, report, color_scheme="dark") as tab:
        assert tab.evaluate(brightness) > 300
        tab.emulate_media(color_scheme="light")
        assert tab.evaluate(brightness) < -300
        tab.emulate_media(color_scheme="dark", media="print")
        assert tab.evaluate(brightness) < -300


def test_paper_shows_still_pictures_at_the_end(browser: Any, report: Path, data: Any) -> None:
    with opened(browser, report) as tab:
        for figure in tab.locator("figure.chart:has(.live)").all():
            assert not figure.locator("svg.still").is_visible()
            assert figure.locator(".live").is_visible()
        set_clock(tab, data["span"][0])
        tab.emulate_media(media="print")
        tab.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert states(tab) == expected_states(data, data["span"][1])
        assert not tab.locator("#player").is_visible()
        for figure in tab.locator("figure.chart").all():
            assert figure.locator("svg.still").is_visible()
        assert not tab.locator(".uplot").first.is_visible()
        tab.evaluate("dispatchEvent(new Event('afterprint'))")
        assert states(tab) == expected_states(data, data["span"][0])
