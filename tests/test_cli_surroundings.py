"""What may be wrong around a command: closed streams, pipes as files, a full disk, others at the same moment."""

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from contagion import runs
from contagion.cli import main, shell
from tests.processes import in_process

pytestmark = pytest.mark.usefixtures("here")

RUN = ("run", "cascade.toml", "--no-twins", "--quiet")


def test_runs_that_begin_in_one_second_have_directories_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "now", lambda form: "20251010T211530Z")
    places = [shell.place(None, "x") for _ in range(3)]
    assert [path.name for path in places] == [f"20251010T211530Z-x{end}" for end in ("", "-2", "-3")]
    assert all(path.is_dir() for path in places)


def test_a_directory_that_another_makes_first_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks first and makes the directory then may be late: making it is what decides."""
    monkeypatch.setattr(shell, "now", lambda form: "20251010T211530Z")
    monkeypatch.setattr(Path, "exists", lambda self: False)
    assert len({shell.place(None, "x") for _ in range(5)}) == 5


@pytest.mark.skipif(os.name == "nt", reason="streams are closed by file descriptor")
@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2)])
@pytest.mark.parametrize(("arguments", "code"), [(RUN, 0), (("list",), 0), (("run", "gone.toml"), 3), (("x",), 2)])
def test_a_closed_stream_changes_no_exit_code(arguments: tuple[str, ...], code: int, closed: tuple[int, ...]) -> None:
    process = in_process(*arguments, preexec_fn=lambda: [os.close(number) for number in closed])
    process.communicate(timeout=120)
    assert process.returncode == code
    if arguments == RUN:
        written = next(Path("runs").iterdir()) / "manifest.json"
        assert json.loads(written.read_text(encoding="utf-8"))["status"] == "complete"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "pipe.toml"],
        ["validate", "pipe.toml"],
        ["clear", "pipe.csv", "--model", "eisenberg-noe"],
        ["verify", "out"],
        ["why", "out", "first"],
    ],
)
def test_a_pipe_that_nobody_writes_into_is_refused_and_not_waited_for(arguments: list[str]) -> None:
    Path("out").mkdir()
    for name in ("pipe.toml", "pipe.csv", "out/manifest.json"):
        os.mkfifo(name)
    process = in_process(*arguments)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "is a pipe or a device" in out + err


def full(*arguments: Any, **options: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def half_written(table: Any, path: Path) -> None:
    path.write_bytes(b"PAR1")
    full()


def test_a_disk_that_fills_up_leaves_a_run_that_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "write_parquet", half_written)
    result = CliRunner().invoke(main, [*RUN, "-o", "out"])
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert os.strerror(errno.ENOSPC) in result.stderr
    manifest = json.loads(Path("out/manifest.json").read_text(encoding="utf-8"))
    assert (manifest["status"], manifest["scenario"]) == ("failed", "two-borrowers")
    assert os.strerror(errno.ENOSPC) in manifest["error"]
    assert not list(Path("out").glob(".*"))


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_where_no_file_can_be_written_any_more_the_manifest_is_changed_in_its_place(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(type(error)), runs.recorded(Path("out"), {"command": "x"}):
        size = Path("out/manifest.json").stat().st_size
        monkeypatch.setattr(Path, "write_bytes", full)
        raise error
    assert json.loads(Path("out/manifest.json").read_text(encoding="utf-8")) == {"status": "failed", "command": "x"}
    assert Path("out/manifest.json").stat().st_size == size


def test_a_directory_that_cannot_be_claimed_is_free_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_json", full)
    with pytest.raises(OSError, match="No space"), runs.recorded(Path("out"), {}):
        raise AssertionError("unreachable")
    assert not list(Path("out").iterdir())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a device that is always full")
def test_results_that_cannot_be_printed_are_said_to_be_so() -> None:
    with open("/dev/full", "w", encoding="utf-8") as stream:
        process = in_process("list", stdout=stream)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "Traceback" not in err
