"""`fragility`: how a scenario answers to a shock of growing size."""

from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import contagion.cli.shell as shell
from contagion.errors import need

if TYPE_CHECKING:
    from contagion.study.fragility import Fragility, Plan
    from contagion.study.results import Results


def _size(ctx: click.Context, parameter: click.Parameter, text: str) -> Decimal:
    """Return a size as scenarios write it: a number, '5%' or '25bps'."""
    from contagion.units import parse_number

    try:
        return parse_number(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("scenario")
@click.option("--shock", "key", required=True, metavar="KEY", help="What to vary, such as shocks.eth.size.")
@click.option("--from", "start", required=True, callback=_size, metavar="SIZE", help="The mildest: -1%, 1000000.")
@click.option("--to", "end", required=True, callback=_size, metavar="SIZE", help="The most severe.")
@click.option(
    "--points", type=click.IntRange(2, 10_000), default=11, show_default=True, metavar="N", help="Sizes to look at."
)
@click.option(
    "--seeds", type=click.IntRange(1, 100_000), default=10, show_default=True, metavar="N", help="Runs of each size."
)
@shell.first_seed
@shell.jobs
@shell.overrides
@shell.reduced
@shell.until
@click.option("--plot", is_flag=True, help="Draw fragility.png into DIR.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write fragility.csv and fragility.json."
)
@shell.quiet
@shell.as_json
@shell.allow_code
@click.pass_context
def fragility(ctx: click.Context, /, scenario: str, output: Path | None, **options: Any) -> None:
    """Run a scenario with a shock of growing size, on the same random numbers.

    Prints losses, depth and branching over the size, and the smallest shock that leaves a loss which nobody covers,
    that leads to one more failure for each of its own, and whose second generation is as large as the first. Sizes
    between two points are halved seven times to find these.
    """
    if options["plot"]:
        if output is None:
            raise click.UsageError("--plot draws into the directory of -o: name one")
        need("plot", "matplotlib")
    from contagion.recipes import Recipe, provenance
    from contagion.runs import write_json
    from contagion.study.fragility import Plan

    recipe = Recipe(
        options["seed"], options["overrides"], options["reduced"], twins=False, until_us=options["until_us"]
    )
    model = recipe.load(scenario, options["allow_code"])
    seeds = tuple(range(model.params.seed, model.params.seed + options["seeds"]))
    ends = options["start"], options["end"]
    plan = Plan(model, options["key"], *ends, options["points"], seeds, recipe.until_us, options["allow_code"])
    plan.check()
    shell.advise(model, recipe.until_us)
    if output is None:
        result = _carried_out(plan, options)
    else:
        with shell.kept(ctx, output, model.name, provenance(recipe, model)) as results:
            result = _carried_out(plan, options, results)
            result.save(output)
            write_json(output / "fragility.json", result.facts)
            if options["plot"]:
                from contagion.plot.fragility import draw

                draw(result.facts, output / "fragility.png", model.params.currency)
    _print(result, options["as_json"], model.params.currency)
    if result.failed:
        ctx.exit(shell.SOME_FAILED)


def _print(result: "Fragility", as_json: bool, currency: str) -> None:
    if as_json:
        shell.print_json(result.facts)
        return
    from contagion.terminal.fragility import fragility_text

    shell.print_text(fragility_text, result.facts, currency)


def _carried_out(plan: "Plan", options: dict[str, Any], results: "Results | None" = None) -> "Fragility":
    from contagion.study.executors import cores, local
    from contagion.study.fragility import carry_out

    if not options["quiet"]:
        from contagion.words import count

        sizes, seeds = count(plan.points, "size"), count(len(plan.seeds), "seed")
        click.echo(f"{sizes} on {seeds}, and what lies between: {plan.most_runs:,} runs at most", err=True)
    jobs = min(options["jobs"] or cores(), len(plan.seeds) * plan.points)
    with shell.progress(options["quiet"], "runs") as progress, local(jobs) as executor:
        return carry_out(plan, executor, progress and partial(progress, "runs"), results)
