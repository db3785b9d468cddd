"""What the values of a scenario and the figures of a summary mean: unit, words and source, from two tables of text.

They stand apart from the classes that check values and the functions that compute figures, so that they can be read
and corrected as a text; tests hold both against the code, so that neither lacks or keeps a line.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Meaning(NamedTuple):
    """A unit, a definition and, where one is to be named, its source."""

    unit: str
    text: str
    source: str = ""


def of_values() -> Mapping[str, Mapping[str, Meaning]]:
    """Return the meaning of every value of a scenario, by section (``nodes.asset``, ``tables.Halt``) and name.

    >>> of_values()["nodes.asset"]["peg"].text
    'price that it is meant to have'
    """
    return _table("scenario.toml")


def of_figures() -> Mapping[str, Mapping[str, Meaning]]:
    """Return the meaning of every figure of a summary, by chapter and dotted path, names in angle brackets.

    >>> of_figures()["losses"]["total_losses.net"].unit
    'currency'
    """
    return _table("summary.toml")


def find(sections: Mapping[str, Mapping[str, Meaning]], name: str, *places: str) -> Meaning | None:
    """Return the meaning of a name from the first of some sections that has it."""
    return next((sections[place][name] for place in places if name in sections.get(place, {})), None)


@cache
def _table(name: str) -> Mapping[str, Mapping[str, Meaning]]:
    text = files("contagion.meanings").joinpath(name).read_text(encoding="utf-8")
    found: dict[str, dict[str, Meaning]] = {}
    for chapter, rows in tomllib.loads(text).items():
        for key, value in rows.items():
            if isinstance(value, list):
                found.setdefault(chapter, {})[key] = Meaning(*value)
            else:
                found[f"{chapter}.{key}"] = {inner: Meaning(*words) for inner, words in value.items()}
    return found
