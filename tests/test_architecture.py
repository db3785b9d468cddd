"""The package keeps its shape, and each rule about it can fail."""

import inspect
from collections.abc import Callable

import pytest

from tests import architecture
from tests.architecture import PACKAGE, cycle, inner_imports, modules, top

Checker = Callable[[str, str], list[str]]

MODULES = modules()
CHECKERS: dict[str, Checker] = {
    name: function
    for name, function in inspect.getmembers(architecture, inspect.isfunction)
    if name.startswith("check_")
}
LINES = '"""A module."""\n'

BAD: list[tuple[str, str, str]] = [
    ("check_floors", "contagion.ledger", "from contagion.simulation import Simulation"),
    ("check_floors", "contagion.ledger", "from contagion.log import EventLog"),
    ("check_floors", "contagion.ledger", "from contagion import log"),
    ("check_floors", "contagion.ledger", "def f():\n    import contagion.network"),
    ("check_floors", "contagion.metrics.losses", "from contagion.shocks import SHOCKS"),
    ("check_floors", "contagion.basement", "import math"),
    ("check_floors", "contagion.scenario", "import contagion.attic"),
    ("check_analysis", "contagion.metrics.losses", "from contagion.ports import Feed"),
    ("check_analysis", "contagion.report", "from contagion import simulation"),
    ("check_analysis", "contagion.report.page", "from contagion.assembly import build"),
    ("check_mechanisms", "contagion.mechanisms.amm", "from contagion.mechanisms.oracle import Oracle"),
    ("check_mechanisms", "contagion.mechanisms.exchange.book", "from contagion.mechanisms import amm"),
    ("check_finance", "contagion.finance.amm", "from contagion.finance.margin import equity"),
    ("check_finance", "contagion.finance.amm", "from contagion.errors import Misfit"),
    ("check_third_party", "contagion.ledger", "import simpy"),
    ("check_third_party", "contagion.mechanisms.amm", "import networkx as nx"),
    ("check_third_party", "contagion.graph", "from scipy.stats import norm"),
    ("check_third_party", "contagion.study.table", "import pandas"),
    ("check_third_party", "contagion.runs", "def f():\n    import rich.table"),
    ("check_effects", "contagion.log", "print(1)"),
    ("check_effects", "contagion.terminal", "print(1)"),
    ("check_effects", "contagion.log", "print(1, file=stream)"),
    ("check_effects", "contagion.log", "import sys\nsys.exit(2)"),
    ("check_effects", "contagion.log", "import time\ntime.time()"),
    ("check_effects", "contagion.log", "from datetime import datetime\ndatetime.now()"),
    ("check_effects", "contagion.log", "import datetime\ndatetime.datetime.now()"),
    ("check_effects", "contagion.simulation", "import time\ntime.perf_counter()"),
    ("check_exceptions", "contagion.log", "try:\n    pass\nexcept Exception:\n    pass"),
    ("check_exceptions", "contagion.log", "try:\n    pass\nexcept (ValueError, BaseException):\n    pass"),
    ("check_exceptions", "contagion.log", "try:\n    pass\nexcept:\n    pass"),
    ("check_exceptions", "contagion.log", "try:\n    pass\nexcept Exception as e:\n    raise ValueError from e"),
    ("check_exceptions", "contagion.study.twins", "try:\n    pass\nexcept Exception:\n    pass"),
    ("check_star_imports", "contagion.log", "from math import *"),
    ("check_docstring", "contagion.log", "import math"),
    ("check_length", "contagion.log", "x = 1\n" * 401),
    ("check_length", "contagion.log", "def f():\n" + "    x = 1\n" * 60),
    ("check_length", "contagion.log", "class A:\n    def f(self):\n" + "        x = 1\n" * 60),
    ("check_yields", "contagion.log", "def f() -> int:\n    yield 1"),
    ("check_yields", "contagion.log", "def f():\n    return (yield)"),
    ("check_yields", "contagion.log", "def f() -> list:\n    yield from g()"),
]

GOOD: list[tuple[str, str, str]] = [
    ("check_floors", "contagion.simulation", "from contagion.ledger import Ledger"),
    ("check_floors", "contagion.metrics.summary", "from contagion.metrics.losses import losses"),
    ("check_floors", "contagion", "import contagion.cli"),
    ("check_analysis", "contagion.metrics.losses", "from contagion.log import Channel"),
    ("check_mechanisms", "contagion.mechanisms.bank", "from contagion.mechanisms.bank.capital import ratio"),
    ("check_finance", "contagion.finance.amm", "from contagion.units import PPM\nimport scipy.optimize"),
    ("check_third_party", "contagion.mechanisms.amm", "import math, numpy.random, simpy, pydantic"),
    ("check_effects", "contagion.cli", "print(1)"),
    ("check_effects", "contagion.terminal", "print(1, file=stream)"),
    ("check_effects", "contagion.study.twins", "import time\ntime.perf_counter()"),
    ("check_effects", "contagion.log", "simulation.time()\nself.print(1)"),
    ("check_exceptions", "contagion.log", "try:\n    pass\nexcept (ValueError, KeyError):\n    pass"),
    ("check_exceptions", "contagion.log", "try:\n    pass\nexcept BaseException:\n    clean()\n    raise"),
    ("check_exceptions", "contagion.cli", "try:\n    pass\nexcept Exception:\n    pass"),
    ("check_length", "contagion.log", 'def f():\n    """A.\n' + "\n" * 50 + '    """\n' + "    x = 1\n" * 50),
    ("check_yields", "contagion.log", "def f() -> Process:\n    yield 1"),
    ("check_yields", "contagion.log", "def f() -> Iterator[int]:\n    yield 1"),
    ("check_yields", "contagion.log", "def f() -> int:\n    def g() -> Iterable[int]:\n        yield 1\n    return 1"),
]  # fmt: skip


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_package_keeps_the_rule(checker: str) -> None:
    broken = [what for name, source in MODULES.items() for what in CHECKERS[checker](name, source)]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(("checker", "name", "source"), BAD)
def test_each_rule_can_fail(checker: str, name: str, source: str) -> None:
    assert CHECKERS[checker](name, source)


@pytest.mark.parametrize(("checker", "name", "source"), GOOD)
def test_what_is_allowed_passes(checker: str, name: str, source: str) -> None:
    assert not CHECKERS[checker](name, LINES + source)


def test_every_rule_has_an_example_that_breaks_it() -> None:
    assert {checker for checker, _, _ in BAD} == set(CHECKERS)


def test_imports_inside_a_package_have_no_cycle() -> None:
    graph = {
        name: {t for t in inner_imports(name, source, MODULES) if top(t) == top(name)}
        for name, source in MODULES.items()
        if name != PACKAGE
    }
    assert not (found := cycle(graph)), " -> ".join(found)


def test_a_cycle_is_found() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_the_modules_of_the_package_are_found() -> None:
    assert {"contagion.ledger", "contagion.mechanisms.amm", "contagion.metrics.losses"} <= set(MODULES)
    assert all(source.strip() for source in MODULES.values())
