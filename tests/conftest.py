"""Settings of all tests, and the directories that those of the command line work in."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.scenarios import CASCADE

settings.register_profile("untimed", deadline=None)  # a busy machine is no defect
settings.load_profile("untimed")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts into the background like this, and processes that tests start would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def here(empty: Path) -> Path:
    """Work in a directory with one scenario."""
    Path("cascade.toml").write_text(CASCADE, encoding="utf-8")
    return empty
