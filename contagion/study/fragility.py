"""How losses and depth grow with the size of a shock, and the smallest shock that breaks something.

The same seeds are run at every size, so that along the curve nothing changes but the shock (and what follows from
it). Three things may break, each judged over all seeds together:

- `unfunded`: somebody is left with a loss that nobody covers, U > 0 in the mean. Since U is never negative, that is:
  with any of the seeds, be it of dust.
- `majority`: as many failures are set off by failures as by the shock, the branching ratio n >= 1/2 with n = 1 - sum
  of N_1 / sum of all failures. Each failure that the shock itself causes then leads to one more.
- `growth`: each failure of the first generation sets off one of the second, sum of N_2 >= sum of N_1.

Why there is no n >= 1. The branching ratio counts a cascade that has ended; each failure in it has one parent at most,
so n < 1 whatever happens, and so is the spectral radius of a complete table of who set off whom
(`metrics.offspring`). What a critical process has is that a failure sets off one further on average *while enough is
left that can fail*. Later generations run out of it, so N_2 / N_1, the reproduction number of epidemiology as index
cases tell it (Diekmann, Heesterbeek and Metz 1990), is the reading that is least censored. It is also the one with the
most noise, and coarse where few fail: one failure that sets off one other is a ratio of 1. Where it is 1, n is at
least 1/2, so `majority` comes no later; n is steadier, and depends less on how finely a shock is cut into steps.

None of these must hold for all larger shocks: a shock large enough breaks everybody by itself, and leaves nobody
for a second generation. So the curve is looked at on a grid first, from the mild end, and the first step of the
grid in which a criterion begins to hold is halved. What is found is the smallest to the grid's resolution, and
whether the criterion still holds at all larger sizes of the grid is said beside it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from contagion.errors import BadInput, Problem
from contagion.runs import write_rows
from contagion.scenario import Scenario
from contagion.study.effects import estimate
from contagion.study.executors import InProcess
from contagion.study.knockouts import figure
from contagion.study.results import Results, rows_by_key
from contagion.study.twins import run

FIGURES = (
    "total_losses.net", "total_losses.peak", "total_losses.unfunded", "cascade_depth", "cascade_depth_weighted.mean",
    "failures",
)  # fmt: skip
"""What is shown over the size of the shock: keys of the summary."""

CRITERIA = ("unfunded", "majority", "growth")
HALVINGS = 7
"""How often the step of the grid is halved, so that it is known to less than a hundredth."""
_DIGITS = 9
"""Digits of a size, counted from the first in which the two ends of the grid differ."""
_SAME = Decimal("1e-12")
"""Sizes that differ by no more than this part are one: they are told as doubles."""
_EXACT = Context(prec=100)
_UNKNOWN = dict.fromkeys(["digest", "first", "second", *FIGURES])


@dataclass(frozen=True)
class Plan:
    """Which sizes of a shock are run, on which seeds.

    key : dotted path of the size in the scenario, such as ``shocks.eth.size``; start, end : its mildest and its most
    severe value, of which the first may be the larger number; points : sizes of the grid, both ends included.
    """

    model: Scenario
    key: str
    start: Decimal
    end: Decimal
    points: int
    seeds: tuple[int, ...]
    until_us: int | None = None
    allow_code: bool = False

    @property
    def sizes(self) -> list[Decimal]:
        """Return the grid, from mild to severe: both ends as they are, and what lies between with few digits."""
        step = (self.end - self.start) / (self.points - 1)
        between = [self.rounded(self.start + step * number) for number in range(1, self.points - 1)]
        return [self.start, *between, self.end]

    def rounded(self, size: Decimal) -> Decimal:
        """Return a size with as many digits as tell it from its neighbours, and then some."""
        span = (self.end - self.start).adjusted()
        rounded = size.quantize(Decimal(1).scaleb(span - _DIGITS), context=_EXACT)
        return size if size == rounded else rounded

    @property
    def most_runs(self) -> int:
        """Return the number of runs if all criteria begin to hold somewhere, in different steps."""
        return len(self.seeds) * (self.points + len(CRITERIA) * HALVINGS)

    def at(self, size: Decimal) -> Scenario:
        """Return the scenario with a shock of a size; whether everybody can open is left to its run."""
        return self.model.changed({self.key: size}, allow_code=self.allow_code, opens=False)

    def check(self) -> None:
        """Raise BadInput where the key is no number of the scenario, or one of the ends does not fit it."""
        if self.points < 2 or abs(self.end - self.start) <= _SAME * max(abs(self.start), abs(self.end)):
            what = f"{self.points} points from {self.start:.15g} to {self.end:.15g}: at least 2, at different sizes"
            raise BadInput([Problem(self.model.source.file, 0, 0, "--shock", what)])
        for size in (self.start, self.end):
            self.model.changed({self.key: size}, allow_code=self.allow_code)


@dataclass(frozen=True)
class Fragility:
    """The runs of a plan by the size of the shock, a row each, and what they say."""

    plan: Plan
    runs: Mapping[Decimal, Sequence[Mapping[str, Any]]]

    @cached_property
    def rows(self) -> list[Mapping[str, Any]]:
        """Return all runs, from mild to severe."""
        return [row for size in self.sizes for row in self.runs[size]]

    @cached_property
    def sizes(self) -> list[Decimal]:
        """Return all sizes that were run, from mild to severe."""
        return sorted(self.runs, key=lambda size: abs(size - self.plan.start))

    @property
    def failed(self) -> int:
        """Return how many runs failed."""
        return sum(row["error"] is not None for row in self.rows)

    def holds(self, criterion: str, size: Decimal) -> bool:
        """Return whether a criterion holds at a size that was run."""
        point = self.point(size)
        if criterion == "unfunded":
            return bool(point["unfunded_share"])
        ratio, level = (point["offspring"], 1.0) if criterion == "growth" else (point["branching_ratio"], 0.5)
        return ratio is not None and ratio >= level

    def bracket(self, criterion: str) -> tuple[Decimal | None, Decimal | None]:
        """Return (the largest size before, the smallest size) at which a criterion first holds; None for no such."""
        before = None
        for size in self.sizes:
            if self.holds(criterion, size):
                return before, size
            before = size
        return before, None

    def point(self, size: Decimal) -> dict[str, Any]:
        """Return what the runs of one size say: means with intervals, and ratios of sums over all seeds."""
        known = [row for row in self.runs[size] if row["error"] is None]
        first, second, every = (sum(row[name] for row in known) for name in ("first", "second", "failures"))
        unfunded = [row["total_losses.unfunded"] > 0 for row in known]
        return {
            "size": float(size), "on_grid": size in self.plan.sizes,
            "figures": {name: _over_seeds(known, name) for name in FIGURES},
            "branching_ratio": 1.0 - first / every if every else None,
            "offspring": second / first if first else None,
            "unfunded_share": sum(unfunded) / len(known) if known else None,
        }  # fmt: skip

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Return the curve and the smallest shocks as JSON knows them, whatever the executor."""
        plan = self.plan
        return {
            "scenario": plan.model.name, "shock": plan.key, "from": float(plan.start), "to": float(plan.end),
            "seeds": list(plan.seeds), "runs": len(self.rows), "failed": self.failed,
            "errors": sorted({row["error"] for row in self.rows if row["error"]}),
            "smallest": {criterion: self._smallest(criterion) for criterion in CRITERIA},
            "points": [self.point(size) for size in self.sizes],
        }  # fmt: skip

    def save(self, directory: Path) -> None:
        """Write ``fragility.csv``, a row a run, into a directory."""
        write_rows(directory / "fragility.csv", self.rows)

    def _smallest(self, criterion: str) -> dict[str, Any] | None:
        """Return the smallest size, the largest before it at which nothing was seen, and whether all larger hold."""
        before, size = self.bracket(criterion)
        if size is None:
            return None
        larger = [other for other in self.sizes if abs(other - self.plan.start) > abs(size - self.plan.start)]
        return {
            "size": float(size), "not_at": None if before is None else float(before),
            "holds_beyond": all(self.holds(criterion, other) for other in larger),
        }  # fmt: skip


def fragility(
    model: Scenario,
    key: str,
    start: float | str | Decimal,
    end: float | str | Decimal,
    *,
    points: int = 11,
    seeds: Iterable[int] = range(10),
    until_us: int | None = None,
    allow_code: bool = False,
    executor: Executor | None = None,
) -> Fragility:
    """Return how a scenario answers to a shock of growing size, and the smallest one that breaks something.

    start, end : the mildest and the most severe size; executor : where runs are made, default this process.
    BadInput for a key or a size that does not fit. A run that fails is a row with its error.
    """
    ends = (Decimal(str(start)), Decimal(str(end)))
    plan = Plan(model, key, *ends, points, tuple(seeds), until_us, allow_code)
    plan.check()
    return carry_out(plan, executor or InProcess())


def carry_out(
    plan: Plan,
    executor: Executor,
    done: Callable[[int, int], None] | None = None,
    results: Results | None = None,
) -> Fragility:
    """Make the runs of a plan, the grid first and then the halvings; `done` is told how many, of how many at most.

    results : where each run is kept once it is done, and those looked up that were; default nowhere.
    """
    kept = results or Results()
    result = Fragility(plan, _measured(plan, plan.sizes, executor, done, 0, kept))
    for _ in range(HALVINGS):
        sizes = [middle for criterion in CRITERIA if (middle := _middle(result, criterion)) is not None]
        if not sizes:
            break
        more = _measured(plan, list(dict.fromkeys(sizes)), executor, done, len(result.rows), kept)
        result = Fragility(plan, {**result.runs, **more})
    return result


def _middle(result: Fragility, criterion: str) -> Decimal | None:
    """Return the middle of the step in which a criterion begins to hold; None where it has none that is not known."""
    before, size = result.bracket(criterion)
    if before is None or size is None:
        return None
    middle = result.plan.rounded((before + size) / 2)
    return None if middle in result.runs else middle


def _measured(
    plan: Plan, sizes: Sequence[Decimal], executor: Executor, done: Callable[[int, int], None] | None, already: int,
    results: Results,
) -> dict[Decimal, list[dict[str, Any]]]:  # fmt: skip
    """Return the rows of some sizes, a run each seed; the scenario of a size is made once for all of them."""
    arguments: dict[tuple[str, Decimal, int], tuple[Any, ...]] = {}
    unfit: dict[Decimal, str] = {}
    for size in sizes:
        keys = [(plan.key, size, seed) for seed in plan.seeds]
        known = all(results.find(key, _UNKNOWN) is not None for key in keys)
        try:
            model = plan.model if known else plan.at(size)
        except BadInput as misfit:
            unfit[size] = f"{type(misfit).__name__}: {misfit}"[:500]
            continue
        arguments |= {key: (model, key[2], plan.until_us, plan.allow_code) for key in keys}

    def tell(number: int) -> None:
        if done:
            done(already + number, plan.most_runs)

    found = rows_by_key(executor, _figures_of_run, arguments, _UNKNOWN, results, tell)
    rows: dict[Decimal, list[dict[str, Any]]] = {
        size: [{"size": float(size), "seed": seed, "error": unfit[size], **_UNKNOWN} for seed in plan.seeds]
        if size in unfit else [] for size in sizes
    }  # fmt: skip
    for (_, size, seed), (facts, error) in found.items():
        own = {key: (facts or _UNKNOWN)[key] for key in _UNKNOWN}
        rows[size].append({"size": float(size), "seed": seed, "error": error, **own})
    return rows


def _figures_of_run(model: Scenario, seed: int, until_us: int | None, allow_code: bool) -> dict[str, Any]:
    """Make one run and return its digest and figures; unfunded is what can be counted in units of the currency."""
    result = run(model, seed=seed, until_us=until_us, twins=False, allow_code=allow_code)
    facts = {key: figure(result.facts, key) for key in FIGURES}
    facts["total_losses.unfunded"] = round(facts["total_losses.unfunded"] or 0.0, result.books.currency_decimals)
    first, second = [*result.facts["generations"], 0, 0][:2]
    return {"digest": result.manifest["digest"], "first": first, "second": second} | facts


def _over_seeds(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Return the mean of a figure with its interval, and the least and the most of any seed."""
    values = [row[name] for row in rows if row[name] is not None]
    return estimate(np.array(values, np.float64)) | {
        "least": min(values, default=None), "most": max(values, default=None),
    }  # fmt: skip
