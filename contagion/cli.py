"""The command line: what people type, what they read, and the exit code that scripts read.

Results go to standard output, progress and complaints to standard error. Only this module reads the wall
clock, and it imports everything but click when a command needs it, so that ``--help`` is there at once.

Exit codes: 0 ok, 2 usage, 3 bad input (or which extra to install), 4 not reproduced, 70 our bug, 130 interrupted.
"""

import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import contagion
from contagion.errors import BadInput, MissingExtra, Problem

if TYPE_CHECKING:
    from contagion.runs import Run

BAD_INPUT, NOT_REPRODUCED, OUR_BUG, BROKEN_PIPE, INTERRUPTED = 3, 4, 70, 141, 130


class Commands(click.Group):
    """The group of all commands, which turns what they raise into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which people need them."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; no error leaves here as a traceback unless ``--debug`` asks for one."""
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


def _duration(ctx: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """Return microseconds."""
    from contagion.units import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _assignments(ctx: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return each KEY=VALUE as it was typed."""
    for text in texts:
        key, sign, _ = text.partition("=")
        if not sign or not key.strip():
            raise click.BadParameter(f"{text!r} is not KEY=VALUE")
    return texts


_allow_code = click.option("--allow-code", is_flag=True, help="Trust kinds that are modules outside the package.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_run_directory = click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(contagion.__version__, prog_name="contagion")
@click.option("--debug", is_flag=True, help="Show the traceback of a crash.")
def main(debug: bool) -> None:
    """Simulate how distress travels through exposures, who loses, and why."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a bar must not crash a run where the encoding has none


@main.command()
@click.argument("scenario")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Default: runs/<UTC stamp>-<scenario>."
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), metavar="N", help="Instead of the scenario's own.")
@click.option(
    "-s", "--set", "overrides", multiple=True, callback=_assignments, metavar="KEY=VALUE", help="Change a value."
)
@click.option(
    "--knock-out", "knock_outs", multiple=True, metavar="NAME", help="Remove a node, an edge or a switch's part."
)
@click.option("--no-shock", is_flag=True, help="The control run: everything but the shocks.")
@click.option("--no-twins", is_flag=True, help="Skip the control and frozen twins (no exogenous/endogenous split).")
@click.option("--until", "until_us", callback=_duration, metavar="TIME", help="Stop at, such as 3h or 90min.")
@click.option("--reduced", is_flag=True, help="Apply the scenario's own [reduced] table.")
@click.option("--shuffle-ties", is_flag=True, help="Put what is due at the same time in random order.")
@click.option("--plot", is_flag=True, help="Draw prices.png into the run directory.")
@click.option("--quiet", is_flag=True, help="No progress.")
@_as_json
@_allow_code
@click.pass_context
def run(ctx: click.Context, /, scenario: str, output: Path | None, **options: Any) -> None:
    """Run one scenario, write its run directory and print the summary.

    SCENARIO is a file, or the name of a shipped scenario (see `contagion list`).
    """
    if options["plot"]:
        _need("plot", "matplotlib")
    from contagion.recipes import Recipe, provenance
    from contagion.runs import recorded

    recipe = Recipe(
        options["seed"], options["overrides"], options["reduced"], options["knock_outs"], not options["no_shock"],
        not options["no_twins"], options["shuffle_ties"], options["until_us"],
    )  # fmt: skip
    model = recipe.load(scenario, options["allow_code"])
    directory = _place(output, model.name)
    manifest = {"command": _command(ctx), "started": _now("%Y-%m-%dT%H:%M:%SZ")} | provenance(recipe, model)
    began = time.perf_counter()
    try:
        with recorded(directory, manifest):
            with _progress(options["quiet"]) as progress:
                result = recipe.run(model, options["allow_code"], progress)
            result.manifest = manifest | result.manifest
            _add_times(result, time.perf_counter() - began)
            result.save(directory)
    except KeyboardInterrupt:
        again = _command(ctx, {"output": _next_free(output)} if output else {})
        click.echo(f"{directory} has no results. To run again:\n  {again}", err=True)
        raise
    if options["plot"]:
        from contagion.plot import draw

        draw(result, directory / "prices.png")
    if options["as_json"]:
        _print_json(result.facts | {"directory": str(directory)})
    else:
        _print_summary(result, str(directory))


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@_allow_code
def validate(files: tuple[str, ...], allow_code: bool) -> None:
    """Check scenarios: every problem of every file, with its line."""
    from contagion.scenario import load

    failed = False
    for file in files:
        try:
            model = load(file, allow_code=allow_code)
            graph = model.graph()
            click.echo(f"{file}: ok ({len(graph)} nodes, {graph.number_of_edges()} edges)")
        except BadInput as error:
            failed = True
            click.echo(str(error))
    if failed:
        raise click.exceptions.Exit(BAD_INPUT)


@main.command()
@click.argument("directory", type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Write a small commented scenario into DIRECTORY to start from."""
    from importlib.resources import files

    from contagion.terminal import quoted

    path = directory / "scenario.toml"
    text = files("contagion").joinpath("starter.toml").read_text(encoding="utf-8")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise click.UsageError(f"{error.filename} is there already and is not overwritten") from None
    name = quoted(str(path))
    click.echo(f"wrote {path}. Next:\n  contagion validate {name}\n  contagion run {name}")


@main.command("list")
@_as_json
def list_(as_json: bool) -> None:
    """List the shipped scenarios and the kinds of nodes."""
    from contagion.json_schema import kinds
    from contagion.scenario import shipped
    from contagion.source import read_source

    scenarios = [
        {"name": name, "title": str(read_source(path).data.get("title", ""))} for name, path in shipped().items()
    ]
    mechanisms = [{"kind": kind, "about": about} for kind, _, about in kinds()]
    if as_json:
        _print_json({"scenarios": scenarios, "mechanisms": mechanisms})
        return
    for head, rows in (("Scenarios", scenarios), ("Mechanisms", mechanisms)):
        width = max((len(next(iter(row.values()))) for row in rows), default=0)
        click.echo(f"{head}:")
        for first, second in (row.values() for row in rows):
            click.echo(f"  {first:<{width}}  {second}")


@main.command()
def schema() -> None:
    """Print the JSON Schema of a scenario file, for editors."""
    from contagion.json_schema import scenario_schema

    _print_json(scenario_schema())


@main.command()
@_run_directory
@click.argument("what", metavar="EVENT_OR_NODE")
@_as_json
def why(run_directory: Path, what: str, as_json: bool) -> None:
    """Print the chain from the shock to an event.

    EVENT_OR_NODE is the number of an event, or a node (or node#member), which stands for its first failure.
    """
    from dataclasses import asdict

    from contagion.runs import load_run

    try:
        chain = load_run(run_directory).why(what)
    except KeyError as error:
        raise BadInput([Problem(str(run_directory), 0, 0, "", str(error.args[0]))]) from None
    if as_json:
        _print_json(asdict(chain))
    else:
        click.echo(str(chain))


@main.command()
@_run_directory
@click.option("--quiet", is_flag=True, help="No progress.")
@_allow_code
@click.pass_context
def verify(ctx: click.Context, /, run_directory: Path, quiet: bool, allow_code: bool) -> None:
    """Run again and compare the digests of all events.

    RUN is a run directory: its scenario is run again with the options in its manifest.
    """
    from dataclasses import replace

    from contagion.recipes import differences, recipe_of
    from contagion.runs import differing, load_run

    (recipe, manifest), stored = recipe_of(run_directory), load_run(run_directory)
    recipe = replace(recipe, twins=False)
    model = recipe.load(str(run_directory / "scenario.toml"), allow_code)
    with _progress(quiet) as progress:
        again = recipe.run(model, allow_code, progress)
    digest = again.manifest["digest"]
    changed = [f"stored {name}: not what the run gives" for name in differing(stored, again)]
    if digest == manifest["digest"] and not changed:
        click.echo(f"reproduced: {digest}")
        return
    click.echo(f"not reproduced:\n  then {manifest['digest']}\n  now  {digest}")
    for line in [*differences(manifest, model), *changed]:
        click.echo(f"  {line}")
    ctx.exit(NOT_REPRODUCED)


@main.command()
@click.argument("scenario")
@click.option(
    "--format", "form", type=click.Choice(["graphml", "node-link", "csv"]), default="node-link", show_default=True
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Default: print it."
)
@_allow_code
def graph(scenario: str, form: str, output: Path | None, allow_code: bool) -> None:
    """Write the exposure graph for other programs."""
    from contagion.exports import WRITERS
    from contagion.scenario import load

    text = WRITERS[form](load(scenario, allow_code=allow_code).graph())
    if output:
        output.write_text(text, encoding="utf-8", newline="\n")
    else:
        click.echo(text, nl=False)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """Give what shows the progress of a run: a bar on a terminal, a line a minute elsewhere, or nothing."""
    from contagion.terminal import Bar, Lines

    if quiet:
        yield None
        return
    with Bar(sys.stderr) if sys.stderr.isatty() else Lines(sys.stderr, time.monotonic) as progress:
        yield progress


def _place(output: Path | None, name: str) -> Path:
    """Return the directory that a run is written to; it is claimed when the run begins."""
    if output is None:
        short = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "scenario"
        return _next_free(Path("runs") / f"{_now('%Y%m%dT%H%M%SZ')}-{short}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        what = "has files in it" if output.is_dir() else "is a file"
        raise click.UsageError(f"{output} {what}: a run is written to a new or empty directory, never over another")
    return output


def _next_free(path: Path) -> Path:
    """Return the path, numbered where it is taken."""
    candidates = [path, *(path.with_name(f"{path.name}-{number}") for number in range(2, 1000))]
    return next(candidate for candidate in candidates if not candidate.exists())


def _command(ctx: click.Context, changes: Mapping[str, Any] | None = None) -> str:
    """Return the command that was typed, options spelled out, with some values changed."""
    from contagion.terminal import quoted

    words = ["contagion", str(ctx.info_name)]
    for parameter in ctx.command.params:
        value = (changes or {}).get(str(parameter.name), ctx.params.get(str(parameter.name)))
        if parameter.name == "until_us" and value is not None:
            value = f"{value}us"
        if isinstance(parameter, click.Argument):
            words.append(quoted(str(value)))
        elif isinstance(value, bool):
            words += [parameter.opts[-1]] * value
        elif value is not None:
            many = value if isinstance(value, tuple) else (value,)
            words += [word for item in many for word in (parameter.opts[0], quoted(str(item)))]
    return " ".join(words)


def _add_times(result: "Run", wall_s: float) -> None:
    """Add how long it took; the rate is that of the run itself, twins apart."""
    own_s = result.manifest["wall_s"]
    result.manifest["wall_s"] = result.facts["wall_s"] = round(wall_s, 6)
    result.facts["events_per_s"] = round(result.facts["events"] / own_s, 1) if own_s else None


def _print_summary(result: "Run", directory: str) -> None:
    from contagion.terminal import console_on, summary_text

    click.echo(summary_text(console_on(sys.stdout), result, directory), nl=False)


def _now(form: str) -> str:
    return datetime.now(UTC).strftime(form)


def _need(extra: str, package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise MissingExtra(extra, package)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str))


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
