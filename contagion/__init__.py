"""contagion: how far distress travels, who loses, and why.

>>> import contagion as cg
>>> sorted(cg.__all__)[:3]
['BadInput', 'Run', 'Scenario']
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_NAMES = {
    "BadInput": "contagion.errors",
    "Run": "contagion.runs",
    "Scenario": "contagion.scenario",
    "attribute": "contagion.study.knockouts",
    "fragility": "contagion.study.fragility",
    "knock_out": "contagion.graph",
    "load": "contagion.scenario",
    "load_run": "contagion.runs",
    "loads": "contagion.scenario",
    "order_sensitivity": "contagion.study.orders",
    "run": "contagion.study.twins",
    "shipped": "contagion.scenario",
}

__all__ = list(_NAMES)

_VIEWS = {
    "Plots": "contagion.plot",
    "run_html": "contagion.terminal.notebook",
    "summary_html": "contagion.terminal.notebook",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _NAMES:
        raise AttributeError(f"module 'contagion' has no attribute {name!r}")
    return getattr(importlib.import_module(_NAMES[name]), name)


def view(name: str) -> Any:
    """Return what shows a run: a higher floor, which a run reaches for only when somebody asks to see it."""
    return getattr(importlib.import_module(_VIEWS[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted([*_NAMES, "__version__"])
