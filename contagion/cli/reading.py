"""`why`, `links`, `diff`, `bilateral`, `targets` and `report`: what reads saved runs."""

from pathlib import Path

import click

import contagion.cli.shell as shell
from contagion.errors import BadInput, Problem


@click.command()
@shell.run_directory
@click.argument("what", metavar="EVENT_OR_NODE")
@shell.as_json
def why(run_directory: Path, what: str, as_json: bool) -> None:
    """Print the chain from the shock to an event.

    EVENT_OR_NODE is the number of an event, or a node (or node#member), which stands for its first failure.
    """
    from dataclasses import asdict

    from contagion.runs import load_run

    try:
        chain = load_run(run_directory).why(what)
    except KeyError as error:
        raise BadInput([Problem(str(run_directory), 0, 0, "", str(error.args[0]))]) from None
    if as_json:
        shell.print_json(asdict(chain))
    else:
        click.echo(str(chain))


@click.command()
@shell.run_directory
@shell.as_json
def links(run_directory: Path, as_json: bool) -> None:
    """Print when each link of the cascade happened, beside its place in the account.

    Links are what the scenario states in [[links]], in the order of the account.
    """
    from contagion.metrics.links import observed
    from contagion.runs import load_run

    run = load_run(run_directory)
    name = str(run.facts.get("scenario") or run_directory)
    facts = observed(run.scenario.get("links", []), run.tables["events"], run.tables["prices"], run.books)
    if as_json:
        shell.print_json({"scenario": name, **facts})
        return
    from contagion.terminal.links import links_text

    shell.print_text(links_text, facts, name)


@click.command()
@click.argument("run_a", metavar="RUN_A", type=click.Path(path_type=Path))
@click.argument("run_b", metavar="RUN_B", type=click.Path(path_type=Path))
@shell.as_json
def diff(run_a: Path, run_b: Path, as_json: bool) -> None:
    """Print what differs between two runs, of one scenario or of two.

    What went in, the figures side by side, who failed in one alone, and the first event at which the logs part.
    """
    from contagion.metrics.comparison import compare
    from contagion.runs import load_run

    facts = compare(load_run(run_a), load_run(run_b))
    if as_json:
        shell.print_json(facts)
        return
    from contagion.terminal.comparison import comparison_text

    shell.print_text(comparison_text, facts)


@click.command()
@shell.run_directory
@click.option("--by", type=click.Choice(["node", "sector"]), default="node", show_default=True, help="Whom to name.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Only the N largest.")
@shell.as_json
def bilateral(run_directory: Path, by: str, top: int | None, as_json: bool) -> None:
    """Print who lost to whom: value that changed hands.

    What a falling price took went to nobody and is not here, but in the losses by channel of the summary.
    """
    from contagion.metrics import bilateral as metric
    from contagion.runs import load_run

    run = load_run(run_directory)
    tables, books = run.tables, run.books
    if "bilateral" not in tables:  # a run saved before there was such a table
        tables["bilateral"] = metric.bilateral(tables["postings"], tables["prices"], tables["events"]["kind"], books)
    rows = metric.by_pair(tables["bilateral"], books.holders if by == "node" else books.sectors)
    if as_json:
        shell.print_json({"by": by, "currency": books.currency, "pairs": len(rows), "rows": rows[:top]})
        return
    from contagion.terminal.bilateral import bilateral_text

    shell.print_text(bilateral_text, rows, books.currency, top or 20)


@click.command()
@shell.run_directory
@shell.as_json
def targets(run_directory: Path, as_json: bool) -> None:
    """Print simulated against observed facts, as the scenario states them."""
    from contagion.metrics.targets import compare
    from contagion.runs import load_run

    run = load_run(run_directory)
    name = str(run.facts.get("scenario") or run_directory)
    rows = compare(run.facts, run.scenario.get("targets", []))
    if as_json:
        shell.print_json({"scenario": name, "inside": sum(row["inside"] is True for row in rows), "targets": rows})
        return
    from contagion.terminal.targets import targets_text

    shell.print_text(targets_text, rows, name)


@click.command()
@shell.run_directory
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Default: RUN/report.html."
)
@click.option(
    "--attribution", type=click.Path(path_type=Path), metavar="PATH",
    help="Add the knock-outs that `contagion attribute -o` has written. Default: RUN/attribution.json, if it is there.",
)  # fmt: skip
def report(run_directory: Path, output: Path | None, attribution: Path | None) -> None:
    """Write the run as one HTML file, readable offline: what happened, who lost, and why."""
    from contagion import report as pages
    from contagion.runs import load_run

    run = load_run(run_directory)
    if attribution is None and (run_directory / pages.ATTRIBUTION).exists():
        attribution = run_directory / pages.ATTRIBUTION
    facts = None if attribution is None else pages.read_attribution(attribution)
    path = output or run_directory / "report.html"
    pages.write(run, path, facts)
    click.echo(str(path))
