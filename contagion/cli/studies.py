"""`attribute`, and whatever else makes many runs."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import contagion.cli.shell as shell

if TYPE_CHECKING:
    from contagion.study.knockouts import Attribution, Plan
    from contagion.study.results import Results


def _joined(ctx: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    """Return the names that ``a+b`` joins."""
    from contagion.study.knockouts import parts

    return () if text is None else parts(text)


@click.command()
@click.argument("scenario")
@click.option(
    "--knock-out", "knock_outs", multiple=True, metavar="NAME[+NAME]...",
    help="Remove a node, an edge or a switch's part, or several together. Default: each switch of the scenario.",
)  # fmt: skip
@click.option(
    "--shapley",
    callback=_joined,
    metavar="NAME+NAME...",
    help="Share the joint effect of these (runs every subset, or of more than 12 those of random orders).",
)
@click.option("--orders", type=click.IntRange(2), metavar="N", help="Of more than 12 names; default: 20.")
@click.option(
    "--seeds", type=click.IntRange(1, 100_000), default=20, show_default=True, metavar="N", help="Pairs of runs."
)
@shell.first_seed
@shell.jobs
@shell.overrides
@shell.reduced
@click.option(
    "--market", "markets", multiple=True, metavar="NAME", help="Compare its low, too; of 'alt*' the worst drawdown."
)
@click.option("--no-twins", is_flag=True, help="Skip the twins of every run: a third of the time, no amplification.")
@shell.until
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write attribution.csv and attribution.json."
)
@shell.quiet
@shell.as_json
@shell.allow_code
@click.pass_context
def attribute(ctx: click.Context, /, scenario: str, output: Path | None, **options: Any) -> None:
    """Compare a scenario with itself without some of its parts, on the same random numbers.

    Prints, for each knock-out and figure, the mean difference to the base run of the same seed with a 95% interval,
    and in how many seeds it has that sign. Differences are with the knock-out minus without it.
    """
    from contagion.recipes import Recipe, provenance
    from contagion.runs import write_json
    from contagion.study.knockouts import ORDERS, Plan, parts, switches

    recipe = Recipe(
        options["seed"], options["overrides"], options["reduced"], twins=not options["no_twins"],
        until_us=options["until_us"],
    )  # fmt: skip
    model, shares = recipe.load(scenario, options["allow_code"]), options["shapley"]
    first = model.params.seed
    plan = Plan(
        model, tuple(map(parts, options["knock_outs"])) or switches(model, shares),
        tuple(range(first, first + options["seeds"])), shares, options["markets"], recipe.twins, recipe.until_us,
        allow_code=options["allow_code"], orders=options["orders"] or ORDERS,
    )  # fmt: skip
    plan.check()
    shell.advise(model, recipe.until_us)
    if output is None:
        result = _carried_out(plan, options)
    else:
        with shell.kept(ctx, output, model.name, provenance(recipe, model)) as results:
            result = _carried_out(plan, options, results)
            result.save(output)
            write_json(output / "attribution.json", result.facts)
    if options["as_json"]:
        shell.print_json(result.facts)
    else:
        from contagion.terminal.knockouts import attribution_text

        about = {name: switch.about for name, switch in model.params.switches.items()}
        shell.print_text(attribution_text, result.facts, about, model.params.currency)
    if result.failed:
        ctx.exit(shell.SOME_FAILED)


def _carried_out(plan: "Plan", options: dict[str, Any], results: "Results | None" = None) -> "Attribution":
    from contagion.study.executors import cores, local
    from contagion.study.knockouts import carry_out

    if not options["quiet"]:
        from contagion.words import count

        kinds = f"the base and {count(len(plan.removals) - 1, 'knock-out')} on {count(len(plan.seeds), 'seed')}"
        click.echo(f"{kinds}: {count(plan.runs, 'run')}{', each with its twins' * plan.twins}", err=True)
    jobs = min(options["jobs"] or cores(), plan.runs)
    with shell.progress(options["quiet"], "runs") as progress, local(jobs) as executor:
        return carry_out(plan, executor, progress and partial(progress, "runs"), results)
