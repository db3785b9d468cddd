"""How to get the same run again, and which of its parameters somebody had to assume."""

from pathlib import PurePath
from typing import Any

from contagion.report.assumed import assumptions
from contagion.report.tables import Table


def commands(run: Any) -> list[str]:
    """Return what to type: the command of the run, and the one that runs it again and compares digests."""
    typed = run.manifest.get("command")
    return [str(typed), "contagion verify <the run directory>"] if typed else []


def facts(run: Any) -> list[tuple[str, str]]:
    """Return what the manifest says about where the run comes from."""
    manifest = run.manifest
    rows = [("digest", str(manifest.get("digest", ""))), ("seed", str(manifest.get("seed", "")))]
    for key in ("started", "platform"):
        if manifest.get(key):
            rows.append((key, str(manifest[key])))
    if versions := manifest.get("versions"):
        rows.append(("versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    for key in ("overrides", "knock_outs"):
        if manifest.get(key):
            rows.append((key.replace("_", "-"), ", ".join(map(str, manifest[key]))))
    for name, value in manifest.get("inputs", {}).items():
        rows.append((f"input {PurePath(str(name)).name}", f"SHA-256 {value}"))
    return rows


def assumed(run: Any) -> tuple[Table, str]:
    """Return the parameters that the scenario's comments call assumed, and what else is to be said."""
    rows = [(one.line, one.path, one.value, one.comment) for one in assumptions(run.source)]
    note = f"Of {run.scenario.get('name') or 'the scenario'}, as its comments say; line is that of scenario.toml."
    if base := run.scenario.get("extends"):
        note += f" It extends {base}, whose own assumptions hold too unless they are replaced here."
    if not run.source:
        note = "The run was made of a graph: there is no scenario file whose comments could tell."
    return Table("assumed", ("line", "parameter", "value", "what is said of it"), rows, shown=1_000), note
