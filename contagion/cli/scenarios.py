"""`validate`, `init`, `list`, `schema` and `graph`: what there is to run, before it runs."""

import shlex
from pathlib import Path

import click

import contagion.cli.shell as shell
from contagion.errors import BadInput


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@shell.allow_code
def validate(files: tuple[str, ...], allow_code: bool) -> None:
    """Check scenarios: every problem of every file, with its line, and what is allowed but hardly meant."""
    from contagion.advice import advice, check_shocks
    from contagion.scenario import load

    failed = False
    for file in files:
        try:
            model = load(file, allow_code=allow_code)
            graph = model.graph()
            check_shocks(model)
            for warning in advice(model):
                click.echo(f"{warning} (a warning)")
            click.echo(f"{file}: ok ({len(graph)} nodes, {graph.number_of_edges()} edges)")
        except BadInput as error:
            failed = True
            click.echo(str(error))
    if failed:
        raise click.exceptions.Exit(shell.BAD_INPUT)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Write a small commented scenario into DIRECTORY to start from, named like the directory."""
    import json
    from importlib.resources import files

    path = directory / "scenario.toml"
    text = files("contagion").joinpath("starter.toml").read_text(encoding="utf-8")
    if (name := directory.resolve().name) and name.isprintable():
        text = text.replace('name = "starter"', f"name = {json.dumps(name, ensure_ascii=False)}", 1)
    _write(text, path)
    typed = shlex.quote(str(path))
    click.echo(f"wrote {path}. Next:\n  contagion validate {typed}\n  contagion run {typed}")


@click.command("list")
@shell.as_json
def list_(as_json: bool) -> None:
    """List the shipped scenarios and the kinds of nodes, those of installed packages too."""
    from contagion.json_schema import foreign_kinds, kinds
    from contagion.scenario import shipped
    from contagion.source import read_source

    scenarios = [
        {"name": name, "title": str(read_source(path).data.get("title", ""))} for name, path in shipped().items()
    ]
    every = [*((kind, about) for kind, _, about in kinds()), *foreign_kinds()]
    mechanisms = [{"kind": kind, "about": about} for kind, about in every]
    if as_json:
        shell.print_json({"scenarios": scenarios, "mechanisms": mechanisms})
        return
    for head, rows in (("Scenarios", scenarios), ("Mechanisms", mechanisms)):
        width = max((len(next(iter(row.values()))) for row in rows), default=0)
        click.echo(f"{head}:")
        for first, second in (row.values() for row in rows):
            click.echo(f"  {first:<{width}}  {second}")


@click.command()
def schema() -> None:
    """Print the JSON Schema of a scenario file, for editors."""
    from contagion.json_schema import scenario_schema

    shell.print_json(scenario_schema())


@click.command()
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Default: print it."
)
def reference(output: Path | None) -> None:
    """Print the model reference as Markdown: every value of a scenario, every figure of a summary."""
    from contagion.reference import reference as text

    _write(text(), output)


@click.command()
@click.argument("scenario")
@click.option(
    "--format", "form", type=click.Choice(["graphml", "node-link", "csv"]), default="node-link", show_default=True
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Default: print it."
)
@shell.allow_code
def graph(scenario: str, form: str, output: Path | None, allow_code: bool) -> None:
    """Write the exposure graph for other programs."""
    from contagion.exports import WRITERS
    from contagion.scenario import load

    text = WRITERS[form](load(scenario, allow_code=allow_code).graph())
    _write(text, output)


def _write(text: str, output: Path | None) -> None:
    """Write text into a new file, or print it; a usage error where something has that name."""
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with open(output, "x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise click.UsageError(f"{error.filename} is there already and is not overwritten") from None
