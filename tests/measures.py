"""Which figures of a summary no definition is of, and which definitions a summary uses."""

from collections.abc import Iterator, Mapping
from typing import Any

from contagion.meanings import of_figures

PATTERNS = {tuple(path.split(".")): path for rows in of_figures().values() for path in rows}


def undefined(facts: Mapping[str, Any], used: set[str]) -> list[str]:
    """Return the figures that no definition is of, and add to `used` the definitions of the others.

    A table without anything in it, or none in its place, is defined when something inside it would be.
    """
    missing = []
    for path, value in _leaves(facts):
        found = [parts for parts in PATTERNS if _fits(parts, path)]
        exact = [parts for parts in found if not parts[-1].startswith("<")] or found
        used |= {PATTERNS[parts] for parts in exact}
        inside = value in ({}, None) and any(_fits(parts[: len(path)], path) for parts in PATTERNS)
        missing += [] if found or inside else [".".join(path)]
    return missing


def _fits(parts: tuple[str, ...], path: tuple[str, ...]) -> bool:
    pairs = zip(parts, path, strict=False)
    return len(parts) == len(path) and all(part.startswith("<") or part == name for part, name in pairs)


def _leaves(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the value of every figure, and of every table without any."""
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value
