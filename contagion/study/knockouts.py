"""What each mechanism adds: runs with it and without it, on the same random numbers.

Every node draws from a stream of its own, so a run without a mechanism differs from the base run of the same seed
by that mechanism and by what follows from it, and by no other luck. Differences are therefore taken seed by seed.
A knock-out may make things worse: its sign is reported as it is.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from contagion.assembly import build, unfit
from contagion.errors import BadInput, Problem, closest
from contagion.graph import MARKETS
from contagion.metrics.importance import MOST_EXACT, coalitions, interaction, over_orders, random_orders, shapley
from contagion.metrics.targets import value_at
from contagion.runs import write_rows
from contagion.scenario import Scenario
from contagion.study.effects import Floats, estimate, paired
from contagion.study.executors import InProcess
from contagion.study.results import Results, rows_by_key
from contagion.study.twins import run

Names = tuple[str, ...]
"""What is removed together: switches, nodes or edges."""

FIGURES = (
    "cascade_depth_weighted.mean", "cascade_depth", "total_losses.net", "total_losses.peak",
    "total_losses.amplification", "failures", "liquidated.value", "prices.*.drawdown",
)  # fmt: skip
"""What is compared: keys of the summary, the last one over all markets."""

_WILD = frozenset("*?[")
ORDERS = 20
"""Random orders over which the effect of more than 12 names is shared."""


@dataclass(frozen=True)
class Plan:
    """Which knock-outs are compared with the base, on which seeds, and how each run is made.

    shapley : names whose joint effect is shared among them, which needs a run of every subset, or beyond 12 names of
    those that so many random `orders` come by; markets : feeds of the summary's prices beside the usual figures, a
    pattern such as ``alt*`` standing for the worst of its matches.
    """

    model: Scenario | nx.MultiDiGraph
    knock_outs: tuple[Names, ...]
    seeds: tuple[int, ...]
    shapley: Names = ()
    markets: Names = ()
    twins: bool = True
    until_us: int | None = None
    shuffle_ties: bool = False
    allow_code: bool = False
    orders: int = ORDERS

    @cached_property
    def sampled(self) -> list[Names]:
        """Return the random orders over which effects are shared, none where all subsets are run."""
        if len(self.shapley) <= MOST_EXACT:
            return []
        return random_orders(self.shapley, self.orders, np.random.default_rng(0))

    @property
    def subsets(self) -> list[Names]:
        """Return what has to be removed to share effects; each name by itself always, for the interaction."""
        if not self.sampled:
            return coalitions(self.shapley)
        prefixes = [order[:size] for order in self.sampled for size in range(len(order) + 1)]
        return [*((name,) for name in self.shapley), *prefixes]

    @cached_property
    def removals(self) -> list[Names]:
        """Return what is removed in one run or another, nothing first; the same names in another order are the same."""
        known: dict[frozenset[str], Names] = {}
        for names in [(), *self.knock_outs, *self.subsets]:
            known.setdefault(frozenset(names), names)
        return list(known.values())

    @property
    def runs(self) -> int:
        """Return the number of runs, twins not counted."""
        return len(self.removals) * len(self.seeds)

    def check(self) -> None:
        """Raise BadInput, with every problem, for what cannot be knocked out or is no market."""
        file = self.model.source.file if isinstance(self.model, Scenario) else "graph"
        wanted = dict.fromkeys([*self.knock_outs, *((name,) for name in self.shapley), self.shapley])
        problems = [problem for names in wanted for problem in unfit(_graph(self.model), names, file, self.allow_code)]
        feeds = list(build(_graph(self.model), allow_code=self.allow_code).feed_names) if self.markets else []
        for name in self.markets:
            if not any(fnmatchcase(feed, name) for feed in feeds):
                problems.append(Problem(file, 0, 0, "--market", f"no market {name!r}{closest(name, feeds)}"))
        if not self.knock_outs and not self.shapley:
            problems.append(Problem(file, 0, 0, "", "has no switches: name with --knock-out what to remove"))
        if self.orders < 2:
            problems.append(Problem(file, 0, 0, "--orders", f"{self.orders} orders give no standard error: at least 2"))
        if problems:
            raise BadInput(dict.fromkeys(problems))


@dataclass(frozen=True)
class Attribution:
    """The runs of a plan, a row each, in the plan's order, and what they say about each knock-out."""

    plan: Plan
    rows: list[dict[str, Any]]

    @cached_property
    def failed(self) -> int:
        """Return how many runs failed."""
        return sum(row["error"] is not None for row in self.rows)

    @cached_property
    def figures(self) -> list[str]:
        """Return the names of what is compared."""
        return list(self.rows[0])[_FACTS:]

    def samples(self, removed: Iterable[str], figure: str) -> Floats:
        """Return a figure's values, one a seed; nan where the run failed or has no such figure."""
        return self._samples[frozenset(removed), figure]

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Return all comparisons as JSON knows them: the same whatever the executor and the order of its runs."""
        plan = self.plan
        return {
            "scenario": plan.model.name if isinstance(plan.model, Scenario) else plan.model.graph.get("name", ""),
            "seeds": list(plan.seeds),
            "runs": len(self.rows),
            "failed": self.failed,
            "errors": sorted({row["error"] for row in self.rows if row["error"]}),
            "twins": plan.twins,
            "base": {figure: estimate(self.samples((), figure)) for figure in self.figures},
            "knock_outs": [self._knock_out(names) for names in plan.knock_outs],
            "shapley": self._shapley() if plan.shapley else None,
        }

    def save(self, directory: Path) -> None:
        """Write ``attribution.csv``, a row a run, into a directory."""
        write_rows(directory / "attribution.csv", self.rows)

    def _knock_out(self, names: Names) -> dict[str, Any]:
        effects = {figure: paired(self.samples((), figure), self.samples(names, figure)) for figure in self.figures}
        known = {frozenset(removed) for removed in self.plan.removals}
        joint = len(names) > 1 and all(frozenset([name]) in known for name in names)
        return {
            "name": "+".join(names), "removes": list(names), "figures": effects,
            "interaction": self._interaction(names) if joint else None,
        }  # fmt: skip

    def _shapley(self) -> dict[str, Any]:
        plan, players = self.plan, self.plan.shapley
        values = {figure: self._shares(figure) for figure in self.figures}
        return {
            "players": list(players), "orders": len(plan.sampled) or None,
            "order_errors": {p: {f: self._order_errors[f][p] for f in self.figures} for p in players},
            "values": {p: {figure: estimate(values[figure][p]) for figure in self.figures} for p in players},
            "all": {f: paired(self.samples((), f), self.samples(players, f)) for f in self.figures},
            "interaction": self._interaction(players),
        }  # fmt: skip

    def _shares(self, figure: str) -> dict[str, Floats]:
        """Return each player's share of a figure, seed by seed."""
        if not self.plan.sampled:
            return shapley(lambda removed: self.samples(removed, figure), self.plan.shapley)
        found = over_orders(lambda removed: self.samples(removed, figure), self.plan.sampled)
        return {player: share for player, (share, _) in found.items()}

    @cached_property
    def _order_errors(self) -> dict[str, dict[str, float | None]]:
        """Return by how much a mean share may be off since orders are sampled: 0 where none are, None if unknown."""
        if not self.plan.sampled:
            return {figure: dict.fromkeys(self.plan.shapley, 0.0) for figure in self.figures}
        table = {}
        for figure in self.figures:
            found = over_orders(lambda removed, f=figure: float(self.samples(removed, f).mean()), self.plan.sampled)  # type: ignore[misc]
            table[figure] = {p: None if math.isnan(error) else error for p, (_, error) in found.items()}
        return table

    def _interaction(self, names: Names) -> dict[str, Any]:
        return {f: estimate(interaction(lambda s, f=f: self.samples(s, f), names)) for f in self.figures}  # type: ignore[misc]

    @cached_property
    def _samples(self) -> dict[tuple[frozenset[str], str], Floats]:
        size, table = len(self.plan.seeds), {}
        for number, names in enumerate(self.plan.removals):
            for figure in self.figures:
                column = [row[figure] for row in self.rows[number * size : (number + 1) * size]]
                table[frozenset(names), figure] = np.array([math.nan if v is None else v for v in column], np.float64)
        return table


_FACTS = 4
"""So many columns of a row say which run it is: seed, knock_out, error, digest."""


def attribute(
    model: Scenario | nx.MultiDiGraph,
    knock_outs: Iterable[str] | None = None,
    *,
    seeds: Iterable[int] = range(20),
    shapley: Iterable[str] = (),
    markets: Iterable[str] = (),
    twins: bool = True,
    until_us: int | None = None,
    shuffle_ties: bool = False,
    allow_code: bool = False,
    orders: int = ORDERS,
    executor: Executor | None = None,
) -> Attribution:
    """Compare a model with itself without some of its parts, on the same seeds.

    knock_outs : names, several joined by ``+`` being removed together, default every switch of the scenario;
    orders : of the names of `shapley`, sampled beyond 12 of them; executor : where runs are made, default this process
    (`executors.local` has more). BadInput for what cannot be knocked out. A run that fails is a row with its error.
    """
    shares = tuple(dict.fromkeys(shapley))
    named = switches(model, shares) if knock_outs is None else tuple(map(parts, knock_outs))
    plan = Plan(model, named, tuple(seeds), shares, tuple(markets), twins, until_us, shuffle_ties, allow_code, orders)
    plan.check()
    return carry_out(plan, executor or InProcess())


def carry_out(
    plan: Plan,
    executor: Executor,
    done: Callable[[int, int], None] | None = None,
    results: Results | None = None,
) -> Attribution:
    """Make the runs of a plan; `done` is told how many are, of how many, from whatever thread sees it first.

    results : where each run is kept once it is done, and those looked up that were; default nowhere.
    """
    keys = [(names, seed) for names in plan.removals for seed in plan.seeds]

    def tell(number: int) -> None:
        if done:
            done(number, len(keys))

    unknown = dict.fromkeys(["digest", *_names_of_figures(plan)])
    arguments = {(names, seed): (plan, names, seed) for names, seed in keys}
    found = rows_by_key(executor, _figures_of_run, arguments, unknown, results or Results(), tell)
    rows = [
        {"seed": seed, "knock_out": "+".join(names), "error": error} | {key: (facts or unknown)[key] for key in unknown}
        for (names, seed), (facts, error) in found.items()
    ]
    return Attribution(plan, rows)


def switches(model: Scenario | nx.MultiDiGraph, instead: Names = ()) -> tuple[Names, ...]:
    """Return what is knocked out when nothing is named: the Shapley players, or else every switch of the model."""
    known = instead or tuple(model.params.switches if isinstance(model, Scenario) else model.graph.get("switches", {}))
    return tuple((name,) for name in known)


def parts(name: str) -> Names:
    """Return the names that ``a+b`` joins, each once.

    >>> parts("loops+liquidators+loops")
    ('loops', 'liquidators')
    """
    return tuple(dict.fromkeys(part.strip() for part in name.split("+")))


def _graph(model: Scenario | nx.MultiDiGraph) -> nx.MultiDiGraph:
    return model.graph() if isinstance(model, Scenario) else model.copy()


def _figures_of_run(plan: Plan, names: Names, seed: int) -> dict[str, Any]:
    """Make one run and return its digest and figures; no more than that goes from process to process."""
    result = run(
        plan.model, seed=seed, until_us=plan.until_us, knock_outs=names, twins=plan.twins,
        shuffle_ties=plan.shuffle_ties, allow_code=plan.allow_code,
    )  # fmt: skip
    kinds = {node["id"]: node.get("kind") for node in result.graph["nodes"]}
    traded = [feed for feed in result.facts["prices"] if kinds.get(feed, kinds.get(feed.rpartition("/")[0])) in MARKETS]
    facts = {key: figure(result.facts, key, traded) for key in _names_of_figures(plan)}
    return {"digest": result.manifest["digest"]} | facts


def _names_of_figures(plan: Plan) -> list[str]:
    """Return the keys of what is compared: of a market by name its low as well, of a pattern only the drawdown."""
    own = []
    for name in plan.markets:
        own += [f"prices.{name}.low"] * _WILD.isdisjoint(name) + [f"prices.{name}.drawdown"]
    return list(dict.fromkeys([*FIGURES, *own]))


def figure(facts: Mapping[str, Any], key: str, traded: Iterable[str] = ()) -> float | None:
    """Return a figure of a summary, None where it has none; a run in which nothing failed is no generation deep.

    traded : the feeds that are markets, which is what ``prices.*.drawdown`` is about.

    >>> facts = {"prices": {"a": {"drawdown": 0.2}, "b": {"drawdown": 0.1}}, "failures": 0}
    >>> figure(facts, "prices.[ab].drawdown"), figure(facts, "prices.*.drawdown", ["b"])
    (0.2, 0.1)
    >>> figure(facts, "cascade_depth_weighted.mean"), figure(facts, "prices.c.low")
    (0.0, None)
    """
    if key == "cascade_depth_weighted.mean" and not facts["failures"]:
        return 0.0
    pattern = key.removeprefix("prices.").removesuffix(".drawdown")
    if _WILD.isdisjoint(pattern):
        return value_at(facts, key)
    feeds = traded if pattern == "*" else facts["prices"]
    return max((facts["prices"][feed]["drawdown"] for feed in feeds if fnmatchcase(feed, pattern)), default=None)
