"""What decides the outcome of a run besides the scenario's text, so that a run directory can be run again.

A recipe goes into the manifest as it was typed. Whether code outside the package may run is not part of it: a
run directory is data, and whoever runs it again decides anew.
"""

import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

import contagion
from contagion.assembly import unfit
from contagion.errors import BadInput, Problem
from contagion.runs import Run, read_manifest
from contagion.saved import fitted
from contagion.scenario import Scenario, load, parse_override
from contagion.study import twins as study

_PACKAGES = ("simpy", "networkx", "numpy", "scipy", "pydantic", "click", "rich", "pyarrow")


@dataclass(frozen=True)
class Recipe:
    """The choices of one run; `overrides` are texts KEY=VALUE, `until_us` None means the scenario's horizon."""

    seed: int | None = None
    overrides: tuple[str, ...] = ()
    reduced: bool = False
    knock_outs: tuple[str, ...] = ()
    shock: bool = True
    twins: bool = True
    shuffle_ties: bool = False
    until_us: int | None = None

    def load(self, scenario: str, allow_code: bool = False, *, keep: bool = False) -> Scenario:
        """Return the scenario as it will run. BadInput for whatever the recipe or the scenario has wrong.

        keep : leave the simulation that the check has opened to the first run (such a scenario stays in its process).
        """
        overrides = dict(parse_override(text) for text in self.overrides)
        if self.seed is not None:
            overrides["seed"] = self.seed
        keep = keep and self.shock and not self.knock_outs and not self.shuffle_ties
        model = load(scenario, overrides, reduced=self.reduced, allow_code=allow_code, keep=keep)
        if self.knock_outs and (problems := unfit(model.graph(), self.knock_outs, model.source.file, allow_code)):
            raise BadInput(problems)
        return model

    def run(
        self, model: Scenario, allow_code: bool = False, progress: Callable[[str, int, int], None] | None = None
    ) -> Run:
        """Return the run of a scenario that `load` returned."""
        return study.run(
            model, until_us=self.until_us, knock_outs=self.knock_outs, shock=self.shock, twins=self.twins,
            shuffle_ties=self.shuffle_ties, allow_code=allow_code, progress=progress, opened=model.opened(),
        )  # fmt: skip


def provenance(recipe: Recipe, model: Scenario) -> dict[str, Any]:
    """Return what the manifest says about where a run comes from."""
    return {
        **asdict(recipe),
        "scenario": model.name,
        "seed": model.params.seed,
        "versions": versions(),
        "platform": platform.platform(),
        "inputs": {model.source.file: model.source.sha256} | {i.name: i.provenance.sha256 for i in model.inputs},
        **({"tables": [i.provenance._asdict() for i in model.inputs]} if model.inputs else {}),
    }


def recipe_of(directory: Path) -> tuple[Recipe, dict[str, Any]]:
    """Return the recipe and the manifest of a run directory. BadInput when it has no complete run."""
    path, manifest = directory / "manifest.json", read_manifest(directory)
    names = [field.name for field in fields(Recipe)]
    what = ""
    if manifest.get("status") != "complete":
        what = f"the run is {manifest.get('status', 'without a status')}, not complete"
    elif "digest" not in manifest or any(name not in manifest for name in names):
        what = "does not say how the run was made: only what `contagion run` wrote can be run again"
    if what:
        raise BadInput([Problem(str(path), 0, 0, "", what)])
    recipe = fitted(Recipe, {name: manifest[name] for name in names}, path)
    problems = [
        Problem(str(path), 0, 0, f"overrides[{number}]", "expected KEY=VALUE")
        for number, text in enumerate(recipe.overrides) if not text.partition("=")[0].strip() or "=" not in text
    ]  # fmt: skip
    if recipe.until_us is not None and not 0 <= recipe.until_us < 2**62:
        problems.append(Problem(str(path), 0, 0, "until_us", "expected microseconds from 0"))
    if problems:
        raise BadInput(problems)
    return recipe, manifest


def versions() -> dict[str, str]:
    """Return the version of Python, of this package and of what it needs."""
    own = {"python": platform.python_version(), "contagion": contagion.__version__}
    return own | {name: metadata.version(name) for name in _PACKAGES}


def differences(manifest: Mapping[str, Any], model: Scenario) -> Iterable[str]:
    """Return what is not as it was when a run was made, in words."""
    if model.source.sha256 not in manifest.get("inputs", {}).values():
        yield "scenario.toml is not the text that was run"
    for name, _, provenance in model.inputs:
        if provenance.sha256 not in manifest.get("inputs", {}).values():
            yield f"{name} is not the file that was run"
    then, now = manifest.get("versions", {}), versions()
    changed = [f"{name} {then.get(name, '?')} -> {now[name]}" for name in now if then.get(name) != now[name]]
    yield "versions: " + ", ".join(changed) if changed else "all versions are the same"
