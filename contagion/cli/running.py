"""`run` and `verify`: a scenario becomes a run directory, and a run directory is run again."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import contagion.cli.shell as shell
from contagion.errors import need

if TYPE_CHECKING:
    from contagion.recipes import Recipe
    from contagion.runs import Run
    from contagion.scenario import Scenario


@click.command()
@click.argument("scenario")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Default: runs/<UTC stamp>-<scenario>."
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), metavar="N", help="Instead of the scenario's own.")
@shell.overrides
@click.option(
    "--knock-out", "knock_outs", multiple=True, metavar="NAME", help="Remove a node, an edge or a switch's part."
)
@click.option("--no-shock", is_flag=True, help="The control run: everything but the shocks.")
@click.option("--no-twins", is_flag=True, help="Skip the control and frozen twins (no exogenous/endogenous split).")
@shell.until
@shell.reduced
@click.option("--shuffle-ties", is_flag=True, help="Put what is due at the same time in random order.")
@click.option(
    "--orders", type=click.IntRange(1, 100_000), metavar="K", help="Run again with ties in K random orders: the range."
)
@click.option("--plot", is_flag=True, help="Draw prices.png into the run directory.")
@click.option("--no-report", is_flag=True, help="Do not write report.html into the run directory.")
@shell.quiet
@shell.as_json
@shell.allow_code
@click.pass_context
def run(ctx: click.Context, /, scenario: str, output: Path | None, **options: Any) -> None:
    """Run one scenario, write its run directory and print the summary.

    SCENARIO is a file, or the name of a shipped scenario (see `contagion list`).
    """
    if options["plot"]:
        need("plot", "matplotlib")
    from contagion.recipes import Recipe, provenance
    from contagion.runs import recorded

    recipe = Recipe(
        options["seed"], options["overrides"], options["reduced"], options["knock_outs"], not options["no_shock"],
        not options["no_twins"], options["shuffle_ties"], options["until_us"],
    )  # fmt: skip
    began = time.perf_counter()
    model = recipe.load(scenario, options["allow_code"], keep=True)
    shell.advise(model, recipe.until_us, recipe.shock)
    directory = shell.place(output, model.name)
    typed = {"command": shell.command_line(ctx), "started": shell.now("%Y-%m-%dT%H:%M:%SZ")}
    manifest = typed | provenance(recipe, model)
    try:
        with recorded(directory, manifest):
            with shell.progress(options["quiet"]) as progress:
                result = recipe.run(model, options["allow_code"], progress)
            result.manifest = manifest | result.manifest
            if options["orders"]:
                _add_orders(result, recipe, model, options)
            _add_times(result, time.perf_counter() - began)
            result.save(directory)
    except KeyboardInterrupt:
        again = shell.command_line(ctx, {"output": shell.next_free(output)} if output else {})
        click.echo(f"{directory} has no results. To run again:\n  {again}", err=True)
        raise
    if not options["no_report"]:
        _write_report(result, directory)
    if options["plot"]:
        from contagion.plot import draw

        draw(result, directory / "prices.png")
    if options["as_json"]:
        shell.print_json(result.facts | {"directory": str(directory)})
    else:
        _print_summary(result, str(directory))
    if result.facts.get("order_sensitivity", {}).get("errors"):
        ctx.exit(shell.SOME_FAILED)


@click.command()
@shell.run_directory
@shell.quiet
@shell.allow_code
@click.pass_context
def verify(ctx: click.Context, /, run_directory: Path, quiet: bool, allow_code: bool) -> None:
    """Run again and compare the digests of all events.

    RUN is a run directory: its scenario is run again with the options in its manifest.
    """
    from dataclasses import replace

    from contagion.recipes import differences, recipe_of
    from contagion.runs import differing, load_run

    (recipe, manifest), stored = recipe_of(run_directory), load_run(run_directory)
    recipe = replace(recipe, twins=False)
    model = recipe.load(str(run_directory / "scenario.toml"), allow_code)
    with shell.progress(quiet) as progress:
        again = recipe.run(model, allow_code, progress)
    digest = again.manifest["digest"]
    changed = [f"stored {name}: not what the run gives" for name in differing(stored, again)]
    if digest == manifest["digest"] and not changed:
        click.echo(f"reproduced: {digest}")
        return
    click.echo(f"not reproduced:\n  then {manifest['digest']}\n  now  {digest}")
    for line in [*differences(manifest, model), *changed]:
        click.echo(f"  {line}")
    ctx.exit(shell.NOT_REPRODUCED)


def _write_report(result: "Run", directory: Path) -> None:
    """Write the page; the run is complete without it, so whatever goes wrong here is a warning."""
    try:
        from contagion.report import write

        write(result, directory / "report.html")
    except Exception as error:
        why = f"{type(error).__name__}: {error}".split("\n")[0][:200]
        click.echo(f"contagion: no report.html ({why}); the run itself is complete", err=True)


def _add_orders(result: "Run", recipe: "Recipe", model: "Scenario", options: dict[str, Any]) -> None:
    """Add the range of the headlines over random orders of simultaneous events, as many as were asked for."""
    from contagion.study.orders import order_sensitivity

    result.facts["order_sensitivity"] = order_sensitivity(
        model, options["orders"], until_us=recipe.until_us, knock_outs=recipe.knock_outs, shock=recipe.shock,
        allow_code=options["allow_code"],
    )  # fmt: skip


def _add_times(result: "Run", wall_s: float) -> None:
    """Add how long it took; the rate is that of the run itself, opening and twins apart."""
    own_s = result.manifest["wall_s"]
    result.manifest["wall_s"] = result.facts["wall_s"] = round(wall_s, 6)
    result.facts["events_per_s"] = round(result.facts["events"] / own_s, 1) if own_s else None


def _print_summary(result: "Run", directory: str) -> None:
    from contagion.terminal import summary_text

    shell.print_text(summary_text, result, directory)
