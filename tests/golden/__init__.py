"""Golden files: what every shipped scenario, reduced, has given. `python -m tests.golden` writes them anew."""

import json
import platform
import sys
from pathlib import Path

import numpy as np

from contagion.runs import Run
from contagion.scenario import load, shipped
from contagion.study.twins import run

GOLDEN = Path(__file__).parent


def here() -> str:
    """Return what a digest is promised for."""
    return f"{sys.platform} {platform.machine()}, NumPy {'.'.join(np.__version__.split('.')[:2])}"


def facts_of(result: Run) -> dict[str, float]:
    """Return the headlines of a run."""
    summary = result.summary
    return {
        "failures": summary.failures,
        "cascade_depth": summary.cascade_depth,
        "weighted": summary.cascade_depth_weighted.mean,
        "net": summary.total_losses.net,
        "exogenous": summary.total_losses.exogenous,
        "liquidated": summary.liquidated.value,
        "bad_debt": summary.bad_debt,
        "events": summary.events,
    }


def write() -> None:
    """Run every shipped scenario, reduced, and write its golden file."""
    for name in shipped():
        result = run(load(name, reduced=True))
        golden = {"here": here(), "digest": result.manifest["digest"], "facts": facts_of(result)}
        (GOLDEN / f"{name}.json").write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
