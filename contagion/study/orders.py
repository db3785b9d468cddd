"""Order sensitivity: what remains of depth and loss when those who act at the same moment act in another order.

Two things due in one microsecond happen in the order in which they were scheduled, which is a convention and no
fact about the world. The same run, seed and all, is made again with its ties in random orders, each from a stream of
its own; the smallest and the largest figure then stand beside the one of the run. Where they are far apart,
the figure is an accident of the convention.
"""

from collections.abc import Iterable
from concurrent.futures import Executor
from typing import Any

import networkx as nx

from contagion.scenario import Scenario
from contagion.study.executors import InProcess, outcomes
from contagion.study.knockouts import figure
from contagion.study.twins import run

FIGURES = (
    "cascade_depth", "cascade_depth_weighted.mean", "total_losses.net", "total_losses.peak", "total_losses.unfunded",
    "failures",
)  # fmt: skip
"""What is compared: keys of the summary."""


def order_sensitivity(
    model: Scenario | nx.MultiDiGraph,
    orders: int = 10,
    *,
    seed: int | None = None,
    until_us: int | None = None,
    knock_outs: Iterable[str] = (),
    shock: bool = True,
    allow_code: bool = False,
    executor: Executor | None = None,
) -> dict[str, Any]:
    """Return the figures of a run and their range over so many random orders of simultaneous events.

    `figures` has the run's own value as `stated`, and `low` and `high` over the orders and itself; `distinct` counts
    different event streams, 1 where nothing was ever due at the same time. A run that fails is in `errors`.

    >>> import networkx as nx
    >>> graph = nx.MultiDiGraph(horizon_us=1_000_000)
    >>> graph.add_node("usd", kind="asset")
    >>> graph.add_node("world", kind="world")
    >>> order_sensitivity(graph, 3)["figures"]["cascade_depth"]
    {'stated': 0.0, 'low': 0.0, 'high': 0.0}
    """
    if orders < 1:
        raise ValueError(f"{orders} orders give no range: at least 1")
    options = {"seed": seed, "until_us": until_us, "knock_outs": tuple(knock_outs), "shock": shock}
    arguments = [(model, order, options | {"allow_code": allow_code}) for order in range(orders + 1)]
    found = outcomes(executor or InProcess(), _figures_of_run, arguments, lambda _: None)
    rows = [row for row, _ in found if row is not None]
    stated = found[0][0] or {}
    table = {}
    for name in FIGURES:
        known = [row[name] for row in rows if row[name] is not None]
        table[name] = {"stated": stated.get(name), "low": min(known, default=None), "high": max(known, default=None)}
    return {
        "orders": orders, "distinct": len({row["digest"] for row in rows}), "figures": table,
        "errors": sorted({error for _, error in found if error}),
    }  # fmt: skip


def _figures_of_run(model: Scenario | nx.MultiDiGraph, order: int, options: dict[str, Any]) -> dict[str, Any]:
    result = run(model, twins=False, shuffle_ties=order, **options)
    return {"digest": result.manifest["digest"]} | {name: figure(result.facts, name) for name in FIGURES}
