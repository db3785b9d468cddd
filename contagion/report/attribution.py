"""What `contagion attribute` has left, read for the table of knock-outs."""

from pathlib import Path
from typing import Any

from contagion.saved import read_json, unreadable

ATTRIBUTION = "attribution.json"
EFFECT = ("base", "without", "difference", "low", "high")
"""What is told of a knock-out's effect on a figure."""


def read_attribution(path: Path) -> dict[str, Any]:
    """Return what `contagion attribute` has written into a directory, or the file itself. BadInput where it has not."""
    file = path / ATTRIBUTION if path.is_dir() else path
    if not file.exists():
        what = f"no such file: give the directory that `contagion attribute -o` has filled, or its {ATTRIBUTION}"
        raise unreadable(file, what)
    facts = read_json(file.parent, file.name)
    if not _is_attribution(facts):
        raise unreadable(file, "is not what `contagion attribute` writes")
    return facts


def _is_attribution(facts: dict[str, Any]) -> bool:
    """Return whether the facts have what the table of knock-outs reads."""
    if not all(isinstance(facts.get(key), list) for key in ("knock_outs", "seeds")):
        return False
    rows = [row if isinstance(row, dict) else {} for row in facts["knock_outs"]]
    effects = [effect for row in rows if isinstance(row.get("figures"), dict) for effect in row["figures"].values()]
    return all(isinstance(row.get("name"), str) and isinstance(row.get("figures"), dict) for row in rows) and all(
        isinstance(effect, dict) and all(isinstance(effect.get(key, ""), int | float | None) for key in EFFECT)
        for effect in effects
    )
