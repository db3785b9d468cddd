"""Every formula of the package says where it stands: its source, and the equation itself."""

import ast
import doctest
import re
from collections.abc import Iterator

import pytest

from tests.architecture import modules

FINANCE = {name: source for name, source in modules().items() if name.startswith("contagion.finance.")}

NO_FORMULA = {
    "contagion.finance.clearing.network.checked_amounts": "checks an argument",
    "contagion.finance.clearing.network.checked_claims": "checks an argument",
    "contagion.finance.ensembles.networks.in_degrees": "counts links",
    "contagion.finance.ensembles.networks.random_seeds": "draws different integers",
}
"""Public functions that are no formula, and why."""

MEASURES = {
    "contagion.finance.branching.Mark",
    "contagion.finance.clearing.Clearing",
    "contagion.finance.debtrank.Distress",
    "contagion.finance.deleveraging.Vulnerability",
    "contagion.finance.fire_sale_clearing.ChannelLosses",
    "contagion.finance.funding.MeanPremium",
    "contagion.finance.kyle.Auction",
    "contagion.finance.kyle.Auctions",
    "contagion.finance.leverage_constraint.IndirectContagion",
    "contagion.finance.margin.HyperliquidPrices",
    "contagion.finance.windows.Window",
}
"""Classes that define what they hold, as a formula does."""

PAPER = re.compile(r"[A-Z][\w']+.*?\(\d{4}\)")
DOCUMENT = re.compile(r"(?:Aave v3\.3|Uniswap v2|Curve)'s .*?contract|(?:Binance|BitMEX), |Hyperliquid documentation, ")
EQUATION = re.compile(r"\S (?:=|!=|<|<=|>|>=) \S")


def described(source: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the docstring, examples left out, of each public function and class of a module."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            parts = doctest.DocTestParser().parse(ast.get_docstring(node) or "")
            yield node.name, "".join(part for part in parts if isinstance(part, str))


def missing(text: str) -> list[str]:
    """Return what a docstring lacks: a source (author and year, a document, or 'derived'), and an equation."""
    found = re.search(r"Source: (.*?)(?:\n\s*\n|\Z)", text, re.DOTALL)
    cited = " ".join(found[1].split()) if found else ""
    named = cited.startswith("derived") or PAPER.match(cited) or DOCUMENT.match(cited)
    lacks = {"a source": named, "an equation": EQUATION.search(text)}
    return [what for what, there in lacks.items() if not there]


FORMULAS = {
    f"{module}.{name}": text
    for module, source in FINANCE.items()
    for name, text in described(source)
    if name[0].islower() or f"{module}.{name}" in MEASURES
}


@pytest.mark.parametrize("name", sorted(FORMULAS.keys() - NO_FORMULA.keys()))
def test_a_formula_cites_its_source_and_states_its_equation(name: str) -> None:
    assert missing(FORMULAS[name]) == []


def test_the_exceptions_and_measures_exist_and_are_no_formulas_by_mistake() -> None:
    assert NO_FORMULA.keys() | MEASURES <= FORMULAS.keys()
    assert all(missing(FORMULAS[name]) for name in NO_FORMULA), "this one has become a formula: take it off the list"


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("Return p.", ["a source", "an equation"]),
        ("Return p = q / r.", ["a source"]),
        ("Return p.\n\nSource: Kyle (1985).", ["an equation"]),
        ("Return p.\n\nSource: somebody: p = q.", ["a source"]),
        ("Return p.\n\nSource: Kyle: p = q.", ["a source"]),
        ("Return p.\n\nSource: the venue: p = q.\n\nKyle (1985) is another matter.", ["a source"]),
        ("Return p.\n\nSource: Kyle (1985), theorem 1.", ["an equation"]),
        ("Return p.\n\nSource: Kyle (1985): p = q.", []),
        ("Return p.\n\nSource: derived: p <= q.", []),
        ("Return p.\n\nSource: Binance, portfolio margin: p = q.", []),
    ],
)
def test_the_rule_can_fail(text: str, lacks: list[str]) -> None:
    assert missing(text) == lacks


def test_an_example_is_no_equation() -> None:
    ((_, text),) = described(
        'def f() -> int:\n    """Return p.\n\n    Source: Kyle (1985).\n\n    >>> p = 1\n    """\n'
    )
    assert missing(text) == ["an equation"]
