"""A run as one self-contained HTML file: what happened, who lost, why, and how to get the same again.

The page is read offline, by whoever gets it: it asks for nothing, runs only its own scripts (named by their hashes),
and reads complete without them and on paper. It is made of a `Run` alone, so a saved run gives the same bytes.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contagion.errors import BadInput, Problem
from contagion.report.attribution import ATTRIBUTION, read_attribution

__all__ = ["ATTRIBUTION", "html", "read_attribution", "write"]

_BEGINNING = b"<!doctype html>"


def html(run: Any, attribution: Mapping[str, Any] | None = None) -> str:
    """Return the page of a run; attribution : the facts of `contagion attribute`, which add the table of knock-outs.

    BadInput, naming the file, for a saved run that was edited and does not hold together any more.
    """
    from contagion.report.check import check
    from contagion.report.page import page

    check(run)
    return page(run, attribution)


def write(run: Any, path: Path, attribution: Mapping[str, Any] | None = None) -> None:
    """Write the page of a run; the file appears whole or not at all.

    BadInput where something stands there already that is no page: a file of the run itself, or a device.
    """
    if path.exists() and not (path.is_file() and path.read_bytes()[: len(_BEGINNING)] == _BEGINNING):
        raise BadInput([Problem(str(path), 0, 0, "", "is there already and is no page: give another name")])
    text = html(run, attribution)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    os.replace(temporary, path)
