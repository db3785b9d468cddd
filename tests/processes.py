"""The command line, in this process or in one of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

import contagion
from contagion.cli import main


def invoke(*arguments: str) -> Result:
    """Return what a command printed and its exit code."""
    return CliRunner().invoke(main, list(arguments))


def in_process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start ``python -m contagion`` with these arguments."""
    root = Path(contagion.__file__).parent.parent
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "contagion", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, text=True, env=environment, **pipes)
