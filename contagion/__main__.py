"""``python -m contagion`` is the command line."""

from contagion.cli import main

main(prog_name="contagion")
