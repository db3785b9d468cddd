"""What all commands share: exit codes, options, progress, and how an error becomes a message.

Exit codes: 0 ok, 1 finished but some runs failed, 2 usage, 3 bad input (or which extra to install), 4 not
reproduced, 70 our bug, 130 interrupted.
"""

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contagion.errors import BadInput, MissingExtra

if TYPE_CHECKING:
    from contagion.scenario import Scenario
    from contagion.study.results import Results

SOME_FAILED, BAD_INPUT, NOT_REPRODUCED, OUR_BUG, BROKEN_PIPE, INTERRUPTED = 1, 3, 4, 70, 141, 130


class Commands(click.Group):
    """The group of all commands, which turns what they raise into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which people need them."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; no error leaves here as a traceback unless ``--debug`` asks for one."""
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # closed by whoever started us, who wants to read nothing
                setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - until the end
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except (BadInput, MissingExtra) as error:
            click.echo(str(error), err=True)
            ctx.exit(BAD_INPUT)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains when it flushes at exit
            ctx.exit(BROKEN_PIPE)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except OSError as error:
            click.echo(f"contagion: {error}", err=True)
            ctx.exit(BAD_INPUT)
        except Exception as error:  # the one place that may: whatever is left is a bug of ours
            _report_bug(error, bool(ctx.params.get("debug")))
            ctx.exit(OUR_BUG)


def duration(ctx: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """Return microseconds."""
    from contagion.units import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def assignments(ctx: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return each KEY=VALUE as it was typed."""
    for text in texts:
        key, sign, _ = text.partition("=")
        if not sign or not key.strip():
            raise click.BadParameter(f"{text!r} is not KEY=VALUE")
    return texts


allow_code = click.option("--allow-code", is_flag=True, help="Trust kinds that are modules outside the package.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
run_directory = click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
quiet = click.option("--quiet", is_flag=True, help="No progress.")
until = click.option("--until", "until_us", callback=duration, metavar="TIME", help="Stop at, such as 3h or 90min.")
first_seed = click.option("--seed", type=click.IntRange(0, 2**62), metavar="FIRST", help="Default: the scenario's own.")
jobs = click.option("-j", "--jobs", type=click.IntRange(1), metavar="N", help="Processes; default: one a processor.")
reduced = click.option("--reduced", is_flag=True, help="Apply the scenario's own [reduced] table.")
overrides = click.option(
    "-s", "--set", "overrides", multiple=True, callback=assignments, metavar="KEY=VALUE", help="Change a value."
)


@contextmanager
def kept(ctx: click.Context, output: Path, name: str, facts: dict[str, Any]) -> Iterator["Results"]:
    """Make the directory of a study, whose manifest, with these facts, says how it ended once the block has written.

    Gives the place where finished runs are kept until then. A study that ended early goes on in its directory, but
    for one that another process is still at: a usage error.
    """
    from contagion.runs import claim, recorded, unfinished, write_json

    typed = {"study": ctx.info_name, "command": command_line(ctx), "started": now("%Y-%m-%dT%H:%M:%SZ")}
    manifest = typed | facts
    if not unfinished(output, manifest):
        claim(place(output, name), manifest)
    with _alone(output) as results:
        if not unfinished(output, manifest):  # it came to its end while we were on our way
            results.discard()
            place(output, name)  # refuses
        with recorded(output, manifest, goes_on=True):
            try:
                yield results
            except BaseException:
                click.echo(f"finished runs are kept in {output}; to go on:\n  {typed['command']}", err=True)
                raise
            write_json(output / "manifest.json", {"status": "complete"} | manifest)
            results.discard()


def _alone(output: Path) -> "Results":
    """Return the finished runs of a study; a usage error where another process is at it."""
    from contagion.study.results import Results

    try:
        return Results(output / "runs.jsonl")
    except BlockingIOError:
        what = "another process is at this study: wait until it has ended, or name another directory"
        raise click.UsageError(f"{output}: {what}") from None


def advise(model: "Scenario", until_us: int | None, shock: bool = True) -> None:
    """Say what of a scenario is hardly meant, and refuse to run one of which no shock happens, unless none is to."""
    from contagion.advice import advice, check_shocks

    if shock:
        check_shocks(model, until_us)
    for warning in advice(model, until_us):
        click.echo(f"{warning} (a warning)", err=True)


@contextmanager
def progress(quiet: bool, unit: str = "") -> Iterator[Callable[[str, int, int], None] | None]:
    """Give what shows progress: a bar on a terminal, a line a minute elsewhere, or nothing.

    It counts simulated time, or units where one is named.
    """
    from contagion.terminal.progress import Bar, Lines

    if quiet:
        yield None
        return
    with Bar(sys.stderr, unit) if sys.stderr.isatty() else Lines(sys.stderr, time.monotonic, unit) as shown:
        yield shown


def place(output: Path | None, name: str) -> Path:
    """Return the directory that a run is written to; it is claimed when the run begins.

    Where none is named it is a new one, made here, so that runs which begin in one second do not meet in it.
    """
    if output is None:
        short = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "scenario"
        return _made(Path("runs") / f"{now('%Y%m%dT%H%M%SZ')}-{short}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        what = "has files in it" if output.is_dir() else "is a file"
        raise click.UsageError(f"{output} {what}: a run is written to a new or empty directory, never over another")
    return output


def _made(path: Path) -> Path:
    """Make the directory, numbered where it is taken, and return it."""
    for candidate in numbered(path):
        with suppress(FileExistsError):
            candidate.mkdir(parents=True)
            return candidate
    raise AssertionError("there is always a next number")


def next_free(path: Path) -> Path:
    """Return the path, numbered where it is taken."""
    return next(candidate for candidate in numbered(path) if not candidate.exists())


def numbered(path: Path) -> Iterator[Path]:
    """Yield the path and then, without end, the path with a number from 2."""
    yield path
    yield from (path.with_name(f"{path.name}-{number}") for number in count(2))


def command_line(ctx: click.Context, changes: Mapping[str, Any] | None = None) -> str:
    """Return the command that was typed, options spelled out, with some values changed."""
    words = ["contagion", str(ctx.info_name)]
    for parameter in ctx.command.params:
        value = (changes or {}).get(str(parameter.name), ctx.params.get(str(parameter.name)))
        if parameter.name == "until_us" and value is not None:
            value = f"{value}us"
        if isinstance(parameter, click.Argument):
            words.append(shlex.quote(str(value)))
        elif isinstance(value, bool):
            words += [parameter.opts[-1]] * value
        elif value is not None:
            many = value if isinstance(value, tuple) else (value,)
            words += [word for item in many for word in (parameter.opts[0], shlex.quote(str(item)))]
    return " ".join(words)


def now(form: str) -> str:
    """Return the time of day, UTC."""
    return datetime.now(UTC).strftime(form)


def print_json(value: Any) -> None:
    """Print one JSON object, and nothing that JSON does not know."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str))


def print_text(text: Callable[..., str], *facts: Any) -> None:
    """Print what a function of `terminal` makes of facts for the console that standard output is."""
    from contagion.terminal.console import console_on

    click.echo(text(console_on(sys.stdout), *facts), nl=False)


def _report_bug(error: Exception, debug: bool) -> None:
    """Say that it is our fault, and keep the traceback where the user can find it."""
    import tempfile
    import traceback

    text = "".join(traceback.format_exception(error))
    place = "The traceback is above."
    if debug:
        click.echo(text, err=True)
    else:
        with tempfile.NamedTemporaryFile(
            "w", prefix="contagion-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        place = f"The traceback is in {file.name}."
    click.echo(
        f"contagion: a bug of ours, not of your input: {type(error).__name__}: {str(error)[:200]}\n"
        f"{place} Please report it with the scenario, so that it can be mended.",
        err=True,
    )
