"""`why` and whatever else reads saved runs."""

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
