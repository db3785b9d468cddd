"""Errors say where, what and how to mend it, and cross process borders."""

import pickle

import pytest

from contagion.errors import BadInput, MissingExtra, Problem, closest


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("a.toml", 3, 7, "venue[0].fee", "is negative"), "a.toml:3:7: venue[0].fee: is negative"),
        (Problem("a.toml", 1, 1, "", "is wrong"), "a.toml:1:1: is wrong"),
        (Problem("a.toml", 0, 0, "", "no such file"), "a.toml: no such file"),
        (Problem("graph", 0, 0, "bank", "has no equity"), "graph: bank: has no equity"),
        (Problem("a\x1b[2J.csv", 1, 0, "", "has a\x07, b\u202e"), r"a\x1b[2J.csv:1: has a\x07, b\u202e"),
    ],
)
def test_a_problem_leaves_out_what_is_unknown(problem, text):
    assert str(problem) == text


def test_bad_input_shows_every_problem_on_its_own_line():
    problems = [Problem("a", 1, 2, "x", "one"), Problem("a", 3, 4, "y", "two")]
    error = BadInput(problem for problem in problems)
    assert error.problems == tuple(problems)
    assert str(error) == "a:1:2: x: one\na:3:4: y: two"
    assert isinstance(error, ValueError)


@pytest.mark.parametrize("error", [BadInput([Problem("a", 1, 2, "x", "one")]), MissingExtra("sql", "duckdb")])
def test_errors_come_back_unchanged_from_a_worker_process(error):
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_a_missing_extra_names_the_command_that_installs_it():
    error = MissingExtra("plot", "matplotlib")
    assert str(error) == "drawing needs matplotlib: pip install 'contagion-engine[plot]'"
    assert (error.extra, error.package, error.name) == ("plot", "matplotlib", "matplotlib")
    assert isinstance(error, ImportError)
    assert str(MissingExtra("new", "thing")) == "this needs thing: pip install 'contagion-engine[new]'"


def test_closest_suggests_only_what_is_alike():
    assert closest("keper", ["keeper", "venue"]) == "; did you mean 'keeper'?"
    assert closest("zzz", ["keeper", "venue"]) == ""
    assert closest("zzz", []) == ""
