"""`why` and `diff`: what reads saved runs."""

import sys
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
    from contagion.terminal import console_on
    from contagion.terminal.comparison import comparison_text

    click.echo(comparison_text(console_on(sys.stdout), facts), nl=False)
