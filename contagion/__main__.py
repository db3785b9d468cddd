"""``python -m contagion`` is the command line."""

from contagion.cli import main

if __name__ == "__main__":
    main(prog_name="contagion")
