"""What the summary says in words, and how progress looks."""

import copy
import io
from typing import Any

import pytest
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

import contagion as cg
from contagion.terminal import deepest, summary_text
from contagion.terminal.console import console_on
from contagion.terminal.progress import Bar, Lines
from contagion.words import headline
from tests.scenarios import CASCADE


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def cascade() -> Any:
    return cg.run(cg.loads(CASCADE))


def test_the_headline_counts_failures_and_names_the_amplification(cascade: Any) -> None:
    text = headline(cascade.facts, "USD")
    assert text.startswith("2 failures in 2 generations; ")
    assert text.endswith(" times as much, most of it by lending liquidation.")


def test_a_harmless_shock_is_called_harmless() -> None:
    facts = cg.run(cg.loads(CASCADE, {"shocks.0.quantity": 1})).facts
    assert headline(facts, "USD").startswith("Nothing failed: the shock went no further. ")


def test_the_title_says_how_a_run_departs_from_its_scenario(cascade: Any) -> None:
    console, changed = console_on(io.StringIO()), copy.copy(cascade)
    changed.manifest = cascade.manifest | {"knock_outs": ["keeper"], "overrides": ["shocks.0.quantity=9"]}
    assert summary_text(console, cascade).startswith("two-borrowers   ")
    title = summary_text(console, changed)[:160].split(" digest ")[0]
    assert "two-borrowers, without keeper," in title and "seed 0" in title
    assert "shocks.0.quantity=9" in summary_text(console, changed).splitlines()[1]


def test_one_failure_is_not_plural(cascade: Any) -> None:
    facts = cascade.facts | {"failures": 1, "cascade_depth": 1}
    assert headline(facts, "USD").startswith("1 failure in 1 generation; ")


def test_orders_and_the_backstop_are_mentioned_only_where_there_were_any(cascade: Any) -> None:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    assert not {"Orders", "Backstop", "long"} & set(summary_text(console, cascade).split())
    cascade = copy.copy(cascade)
    cascade.facts = cascade.facts | {
        "cancelled": {"orders": 1_200, "value": 5.1e6}, "unfilled": 2.5e3, "insurance_used": 3e5,
        "adl": {"value": 7e6, "accounts": 1, "uncovered": 12.0},
        "depth": {"calm": {"first": 4.0, "low": 3.0}, "btc-perp": {"first": 4.0, "low": 0.1}},
        "max_leverage": {"maker-a": 2.6, "maker-b": 3.977},
        "liquidated": cascade.facts["liquidated"] | {"long_share": 0.87},
    }  # fmt: skip
    text = summary_text(console, cascade)
    for words in (
        "1,200 orders worth 5.10M cancelled", "2.50k not filled", "btc-perp down to 2.5% of its depth",
        "makers' leverage up to 3.98 (maker-b)",
        "300k from insurance", "7.00M of 1 winner deleveraged", "12.0 covered by nobody",
    ):  # fmt: skip
        assert f" {words}\n" in text
    assert ", 87% of it long" in text


def test_marks_of_an_exchange_do_not_push_a_traded_price_out_of_sight(cascade: Any) -> None:
    fallen = {"first": 1.0, "low": 0.2, "low_time": 9.0, "last": 1.0, "drawdown": 0.8}
    cascade = copy.copy(cascade)
    marks = {f"exchange/coin-{number}": fallen for number in range(20)}
    token = {"usde-spot": fallen | {"low": 0.64, "drawdown": 0.36}}
    cascade.facts = cascade.facts | {"prices": marks | token}
    text = summary_text(Console(file=io.StringIO(), width=80), cascade)
    assert "usde-spot" in text and "exchange/coin-0" in text and "exchange/coin-19" not in text


def test_channels_have_two_sides_and_sum_and_spillovers_are_a_table(cascade: Any) -> None:
    lines = [line.split() for line in summary_text(Console(file=io.StringIO(), width=80), cascade).splitlines()]
    heads = ["by", "channel", "net", "lost", "gained"]
    start = lines.index(heads)
    total = next(line for line in lines[start:] if line[0] == "all")
    assert total[1] == next(line[3] for line in lines if line[:3] == ["Losses", "(USD)", "net"])
    penalty = next(line for line in lines[start:] if line[0] == "penalty")
    assert len(penalty[-2:]) == 2 and "0" not in penalty[-2:]
    spill = lines.index(["Spillover", "failures", "and", "what", "was", "lost,", "by", "domain"])
    assert lines[spill + 1][:3] == ["set", "off", "by"]
    assert lines[spill + 2][:3] == ["outside", "1", "·"]
    assert lines[spill + 3][:3] == ["shock", "1", "·"]


def test_the_suggested_node_is_of_the_last_generation(cascade: Any) -> None:
    assert deepest(cascade) == "second"
    assert deepest(cg.run(cg.loads(CASCADE), shock=False)) == ""


@pytest.mark.parametrize("width", [80, 100])
def test_the_summary_fits_its_width(cascade: Any, width: int) -> None:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    assert max(map(len, summary_text(console, cascade).splitlines())) <= width


def test_a_terminal_gets_colours_and_at_most_a_hundred_columns(cascade: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "220")
    console = console_on(Terminal())
    assert console.width == 100
    assert "\x1b[" in summary_text(console, cascade)


def test_no_color_is_respected(cascade: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[31m" not in summary_text(console_on(Terminal()), cascade)


def test_a_stream_without_bars_gets_number_signs(cascade: Any) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    text = summary_text(console_on(stream), cascade)
    assert "##" in text
    assert "█" not in text


def test_many_generations_are_summed_up(cascade: Any) -> None:
    cascade_of_thirty = cg.run(cg.loads(CASCADE))
    cascade_of_thirty.facts |= {"generations": [1] * 30}
    text = summary_text(console_on(io.StringIO()), cascade_of_thirty)
    assert "generation 9 " in text
    assert "10 to 30" in text
    assert text.count("generation ") == 9


def test_a_log_gets_a_line_a_minute() -> None:
    now = [0.0]
    stream = io.StringIO()
    with Lines(stream, lambda: now[0]) as progress:
        for minute in range(0, 300, 20):
            now[0] = float(minute)
            progress("base", minute * 1_000_000, 600_000_000)
    assert stream.getvalue().splitlines() == [
        f"base: {m}min of 10min ({m * 10}%)" for m in (1, 2, 3, 4)
    ]  # fmt: skip


def test_a_terminal_gets_a_bar_for_each_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    with Bar(stream) as progress:
        for twin in ("base", "frozen"):
            progress(twin, 30_000_000, 60_000_000)
    assert "base" in stream.getvalue()
    assert "frozen" in stream.getvalue()
    assert "30s of 1min" in stream.getvalue()


def test_value_locked_is_displayed_beside_what_it_nets(cascade: Any) -> None:
    """Two loans of 1.485M are displayed and not there; the pool and the lender have the rest."""
    locked = cascade.facts["tvl"]
    text = summary_text(Console(file=io.StringIO(), width=100, highlight=False), cascade)
    assert locked["displayed"]["start"] - locked["net"]["start"] == pytest.approx(760_000 + 725_000)
    assert "Value locked  displayed 47.0M → " in text and ", net of what counts twice 45.5M → " in text


def test_what_a_terminal_would_obey_is_not_passed_on_and_colours_of_our_own_are() -> None:
    console = console_on(Terminal())
    with console.capture() as captured:
        console.print(Group(Text("a\x1b]0;title\x07b", style="bold"), Text("[red]c\x1b[31md\x9b2J\u202e")))
    assert captured.get() == "\x1b[1ma]0;titleb\x1b[0m\n[red]c[31md2J\n"


def test_brackets_and_colons_in_a_name_are_part_of_it() -> None:
    stream = io.StringIO()
    table = Table("[/x]")
    table.add_row("[red]maker[/red]", ":bank:")
    console_on(stream).print(table)
    assert all(name in stream.getvalue() for name in ("[/x]", "[red]maker[/red]", ":bank:"))
