"""The command line: what people type, what they read, and the exit code that scripts read.

Results go to standard output, progress and complaints to standard error. Only this package prints, reads the
wall clock or exits, and it imports everything but click when a command needs it, so that ``--help`` is there at once.
"""

import io
import sys

import click

import contagion
from contagion.cli import clearing, fragility, reading, running, scenarios, studies
from contagion.cli.shell import Commands

__all__ = ["main"]


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(contagion.__version__, prog_name="contagion")
@click.option("--debug", is_flag=True, help="Show the traceback of a crash.")
def main(debug: bool) -> None:
    """Simulate how distress travels through exposures, who loses, and why."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a bar must not crash a run where the encoding has none


for _command in (
    running.run, scenarios.validate, scenarios.init, scenarios.list_, scenarios.schema, scenarios.reference,
    reading.why, reading.links, reading.diff, reading.bilateral, reading.targets, reading.report, studies.attribute,
    fragility.fragility, clearing.clear, running.verify, scenarios.graph,
):  # fmt: skip
    main.add_command(_command)
