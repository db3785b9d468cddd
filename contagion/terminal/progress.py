"""How far a run, or many of them, have come: a bar on a terminal, a line a minute in a log."""

from collections.abc import Callable
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from contagion.units import format_duration


def _so_far(now: int, end: int, unit: str) -> str:
    return f"{now:,} of {end:,} {unit}" if unit else f"{format_duration(now)} of {format_duration(end)}"


class Bar:
    """Progress as a bar on a terminal; vanishes when done. Counts simulated time, or units where one is named."""

    def __init__(self, stream: IO[str], unit: str = "") -> None:
        self._unit = unit
        columns = (
            TextColumn("{task.description:<8}"),
            BarColumn(),
            TextColumn("{task.fields[at]}"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=Console(file=stream), transient=True)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, twin: str, now_us: int, end_us: int) -> None:
        """Show how far a twin has come."""
        if twin not in self._tasks:
            self._tasks[twin] = self._progress.add_task(twin, total=end_us, at="")
        self._progress.update(self._tasks[twin], completed=now_us, at=_so_far(now_us, end_us, self._unit))


class Lines:
    """Progress as one line a minute, for a log; `clock` returns seconds, `unit` is what is counted if not time."""

    def __init__(self, stream: IO[str], clock: Callable[[], float], unit: str = "", every_s: float = 60.0) -> None:
        self._stream, self._clock, self._unit, self._every = stream, clock, unit, every_s
        self._next = clock() + every_s

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave what was written."""

    def __call__(self, twin: str, now_us: int, end_us: int) -> None:
        """Write a line when a minute has passed since the last one."""
        if self._clock() >= self._next:
            self._next = self._clock() + self._every
            share = f"{now_us / end_us:.0%}" if end_us else "100%"
            self._stream.write(f"{twin}: {_so_far(now_us, end_us, self._unit)} ({share})\n")
            self._stream.flush()
