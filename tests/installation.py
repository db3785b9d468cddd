"""A package of a page, installed where only its own commands look.

With hatchling at hand pip builds and installs it, without an index. A machine that runs the tests need not have a build
backend; then the modules are copied, and the metadata that pip would have written is written from ``pyproject.toml``.
"""

import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path


def install(folder: Path, site: Path) -> None:
    """Install the package of a folder into a directory."""
    if find_spec("hatchling") and find_spec("pip"):
        flags = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
        subprocess.run([sys.executable, "-m", "pip", "install", *flags, "--target", str(site), str(folder)], check=True)
    else:
        by_hand(folder, site)


def by_hand(folder: Path, site: Path) -> None:
    """Copy the modules of a package, and write its metadata."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name = project["name"].replace("-", "_")
    shutil.copytree(folder / name, site / name)
    about = site / f"{name}-{project['version']}.dist-info"
    about.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (about / "METADATA").write_text(metadata, encoding="utf-8")
    with open(about / "entry_points.txt", "w", encoding="utf-8") as stream:
        for group, entries in project["entry-points"].items():
            stream.write(f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items()))
