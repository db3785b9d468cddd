"""What a scenario's comments call assumed is found with the value beside it."""

import re
from pathlib import Path

import pytest

from contagion.report.assumed import assumptions
from contagion.scenario import shipped

TEXT = '''\
# Everything is assumed, says the head of the file.

name = "x"  # not assumable
[nodes.pool]
fee = "1bps"                       # assumed (1 to 4)
text = "no # assumed comment"
long = """
# assumed, but this is text
"""
balances = { usd = 1, "a b" = 2 }  # Assumed: half of it
                                   # and half of that
depth = 3                          # from a table
edges = [
  # two edges (assumed)
  { role = "claims", from = "a" },
  { role = "claims", from = "b" }, # assumed, too
]

# the sale: assumed (1 to 9)
[[shocks]]
size = 1
'''


def test_a_value_is_found_with_the_comment_on_its_line_or_right_above_it() -> None:
    found = [(one.path, one.value, one.comment, one.line) for one in assumptions(TEXT)]
    assert found == [
        ("nodes.pool.fee", '"1bps"', "assumed (1 to 4)", 5),
        ("nodes.pool.balances", '{ usd = 1, "a b" = 2 }', "Assumed: half of it and half of that", 10),
        ("nodes.pool.edges[0]", '{ role = "claims", from = "a" }', "two edges (assumed)", 15),
        ("nodes.pool.edges[1]", '{ role = "claims", from = "b" }', "assumed, too", 16),
        ("shocks", "(the table)", "the sale: assumed (1 to 9)", 20),
    ]


@pytest.mark.parametrize("text", ["", "a = ", "# assumed", "\ud800"])
def test_what_is_no_scenario_has_none(text: str) -> None:
    assert assumptions(text) == []


@pytest.mark.parametrize("name", shipped())
def test_every_value_of_a_shipped_scenario_that_is_called_assumed_on_its_line_is_found(name: str) -> None:
    text = (Path(__file__).parents[2] / "configs" / f"{name}.toml").read_text(encoding="utf-8")
    lines = {number for number, line in enumerate(text.split("\n"), 1) if re.search(r"\S.*\s#.*\bassumed\b", line)}
    assert lines <= {one.line for one in assumptions(text)}
