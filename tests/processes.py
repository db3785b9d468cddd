"""The command line in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import contagion


def in_process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start ``python -m contagion`` with these arguments."""
    root = Path(contagion.__file__).parent.parent
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "contagion", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, text=True, env=environment, **pipes)
