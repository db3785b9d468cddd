"""Charts keep what the tables of a run say, however few steps they have."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.report.charts import Chart, Series, as_data, charts, leverage, rounded
from contagion.report.lines import picture
from contagion.report.moments import STEPS, level, span, steps
from contagion.report.tables import Table, of_chart
from contagion.units import PRICE_SCALE, SECOND
from tests.handmade import books, events
from tests.report.pages import cascade, parsed, rows_of

CHANGES = st.lists(st.tuples(st.integers(0, 50), st.integers(-9, 9)), min_size=1, max_size=40).map(sorted)


def chart(name: str) -> Chart:
    return next(one for one in charts(cascade()) if one.id == name)


@given(CHANGES, st.lists(st.integers(0, 50), min_size=2, max_size=8, unique=True).map(sorted))
def test_a_level_is_the_last_the_lowest_and_the_highest_of_each_step(
    changes: list[tuple[int, int]], at: list[int]
) -> None:
    times, values = (np.array(column) for column in zip(*changes, strict=True))
    found = level(times, values.astype(float), np.array(at))
    for place, moment in enumerate(at):
        before = at[place - 1] if place else moment
        carried = [value for time, value in changes if time <= before]
        inside = carried[-1:] + [value for time, value in changes if before < time <= moment]
        if place and inside:
            assert (found.last[place], found.low[place], found.high[place]) == (inside[-1], min(inside), max(inside))
        elif not inside:
            assert np.isnan(found.last[place])


@settings(max_examples=20)
@given(st.integers(0, 5_000))
def test_there_are_never_more_than_six_hundred_steps_and_both_ends_are_among_them(count: int) -> None:
    found = steps(np.arange(count) * 3, 10, 20_000)
    assert len(found.at) <= STEPS + 1
    assert found.at[0] == 10 and found.at[-1] == 20_000
    assert np.all(np.diff(found.at) > 0)


def test_prices_of_one_asset_at_all_its_readers_are_one_chart() -> None:
    prices = chart("prices-1")
    assert prices.title == "Price of eth"
    assert [one.label for one in prices.series] == ["oracle", "pool"]
    table, books = cascade().tables["prices"], cascade().books
    for one in prices.series:
        own = table["price"][table["market"] == books.feeds.index(one.label)] / PRICE_SCALE
        assert np.nanmin(one.values) == own.min() == cascade().facts["prices"][one.label]["low"]
        assert one.values[-1] == own[-1]


def test_liquidations_sum_to_what_was_liquidated() -> None:
    found = chart("liquidations")
    assert [one.label for one in found.series] == ["lender, lending liquidation"]
    assert sum(one.values.sum() for one in found.series) == pytest.approx(cascade().facts["liquidated"]["value"])
    assert len(found.seconds) == len(found.series[0].values) + 1
    assert as_data(found)["series"][0]["values"][-1] is None


def test_cumulative_losses_begin_at_nothing_and_end_at_those_of_the_summary() -> None:
    found = chart("losses")
    ends = {one.label: one.values[-1] for one in found.series}
    expected = {sector: loss for sector, loss in cascade().facts["losses_by_sector"].items() if abs(loss) > 0.005}
    assert ends == pytest.approx(expected, rel=1e-9, abs=0.01)
    assert all(abs(one.values[0]) < 1e-6 for one in found.series)


def test_the_slider_covers_every_failure_and_begins_before_the_shock() -> None:
    first, last = span(cascade())
    events = cascade().tables["events"]
    failed = events["time_us"][cascade().tables["failures"]["event"]]
    assert first <= 1 * SECOND <= failed.min() <= failed.max() <= last


def many(count: int, moments: int = 5) -> Chart:
    values = np.linspace(1.0, 2.0, moments)
    band = (values - 0.1, values + 0.1)
    return Chart(
        "x",
        "<x>",
        "USD",
        list(range(moments)),
        [Series(f"<{k}>", values * k, *(b * k for b in band)) for k in range(1, count + 1)],
    )


def test_lines_are_told_apart_without_colours_and_carry_their_names() -> None:
    svg = parsed(str(picture(many(4))))
    lines = [path.attributes["class"].split() for path in svg.all("path", "line")]
    assert {names[-1] for names in lines} == {"d0", "d1", "d2", "d3"}
    assert {text.text for text in svg.all("text", "name")} == {"<1>", "<2>", "<3>", "<4>"}
    heights = sorted(float(text.attributes["y"]) for text in svg.all("text", "name"))
    assert all(high - low >= 14 for low, high in pairwise(heights))


@pytest.mark.parametrize("values", [[1.0, 1.0], [0.0, 0.0], [np.nan, 3.0], [-2.0, 1e12], [1e-9, 2e-9]])
def test_any_values_can_be_drawn(values: list[float]) -> None:
    for log in (False, min(values) > 0):
        svg = str(picture(Chart("x", "x", "", [0.0, 1.0], [Series("a", np.array(values))], log=log)))
        assert "nan" not in svg and "inf" not in svg


def test_long_tables_show_every_so_many_rows_and_say_so() -> None:
    table = of_chart(many(1, 1_000))
    assert table.every == 9
    assert len(parsed(str(table.html)).one("tbody").all("tr")) == 112
    assert len(table.rows) == 1_000


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_a_name_is_no_formula_in_a_spreadsheet(cell: str) -> None:
    link = f'<a href="{Table("t", ["a"], [(cell,)]).csv}"></a>'
    assert rows_of(parsed(link).one("a"))[1] == [f"'{cell}"]


def test_numbers_have_six_digits_and_what_is_unknown_is_null() -> None:
    values: Any = [1.23456789, float("nan"), 2.0, 123_456_789.0]
    assert rounded(values) == [1.23457, None, 2, 123_457_000]


@pytest.mark.parametrize(("lowest", "log"), [(0.1, False), (0.04, True), (0.0, False)])
def test_a_chart_is_logarithmic_where_only_that_shows_all_of_it(lowest: float, log: bool) -> None:
    rows = [
        {"kind": "leverage", "node": 1, "cause": 0, "time_us": k * SECOND, "quantity": round(value * 1e6)}
        for k, value in enumerate([1.0, lowest])
    ]
    run = SimpleNamespace(
        tables={"events": events(*rows)}, books=books(["world", "maker"], ["usd"]), facts={"max_leverage": {"maker": 1}}
    )
    found = leverage(run, 0, 2 * SECOND)
    assert found is not None and found.log is log
    assert found.series[0].values.tolist() == [1.0, lowest, lowest]
