"""`clear`: a classical model on an exposure file."""

import math
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import contagion.cli.shell as shell
from contagion.cli.models import MODELS
from contagion.errors import BadInput, Problem, closest

if TYPE_CHECKING:
    from contagion.cli.models.outcome import Outcome
    from contagion.readers.exposures import Exposures
    from contagion.readers.holdings import Holdings

DEFAULTS: dict[str, Any] = {
    "senior": False, "solution": "greatest", "seed_bank": (), "seed_asset": (), "shock": None, "depth": None,
    "minimum_ratio": 0.03, "target_ratio": 0.05, "steps": 6,
}  # fmt: skip
"""What options are where they are not given and a model can do without."""


def _pairs(ctx: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return ``debtor=Borrower,amount=Value`` as it was typed."""
    if texts:
        _titles(texts)
    return texts


def _titles(texts: tuple[str, ...]) -> dict[str, str]:
    """Return our names of columns -> titles in the file."""
    from contagion.readers.files import COLUMNS

    titles: dict[str, str] = {}
    for part in (part for text in texts for part in text.split(",")):
        key, sign, title = (word.strip() for word in part.partition("="))
        if not (sign and key and title):
            raise click.BadParameter(f"{part!r} is not OURS=TITLE, such as debtor=Borrower")
        if key not in COLUMNS:
            raise click.BadParameter(f"no column {key!r}{closest(key, COLUMNS)}; ours are {', '.join(COLUMNS)}")
        if key in titles:
            raise click.BadParameter(f"two titles for {key!r}: {titles[key]!r} and {title!r}")
        titles[key] = title
    for key, other in combinations(titles, 2):
        if titles[key] == titles[other]:
            raise click.BadParameter(f"{titles[key]!r} is the title of both {key} and {other}")
    return titles


def _unit(ctx: click.Context, parameter: click.Parameter, text: str) -> str:
    """Return a unit as it was typed; a usage error for text that could not be a name either."""
    from contagion.readers.words import not_a_name

    if text and (what := not_a_name(text)):
        raise click.BadParameter(f"{what.split(';')[0]}; say a unit, such as 'EUR m'")
    return text


class _Number(click.FloatRange):
    """A number in a range, which "not a number" is not."""

    def convert(self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; a usage error for nan and for infinity, which no comparison finds outside."""
        number = float(super().convert(value, parameter, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a number in the range {self._describe_range()}", parameter, ctx)
        return number


_SHARE, _ABOVE, _LEVERAGE = _Number(0, 1), _Number(0, min_open=True), _Number(1)
_RATIO = _Number(0, 1, max_open=True)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", type=click.Choice(list(MODELS)), required=True, help="See the list below.")
@click.option(
    "--orientation", type=click.Choice(["asset", "liability"]),
    help="Of a square matrix or a graph: a row has lent to the columns, or owes them.",
)  # fmt: skip
@click.option("--assets", type=click.Path(path_type=Path), metavar="CSV", help="Depth, price shock of each asset held.")
@click.option("--nodes", type=click.Path(path_type=Path), metavar="CSV", help="Cash, equity, ... of each bank.")
@click.option(
    "--columns", multiple=True, callback=_pairs, metavar="OURS=TITLE,...", help="What the file calls a column."
)
@click.option(
    "--unit", default="", metavar="TEXT", callback=_unit, help="Of the amounts, such as 'EUR m'; printed as it is."
)
@click.option(
    "--reconstruct", type=click.Choice(["maximum-entropy", "minimum-density"]),
    help="Make a matrix from totals by bank.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Of minimum-density; default: 0.")
@click.option("--alpha", type=_SHARE, help="Share of its cash that a bank in default pays on.")
@click.option("--beta", type=_SHARE, help="Share of its receipts that a bank in default pays on.")
@click.option("--lgd", type=_SHARE, help="Loss given default.")
@click.option(
    "--seed-bank", multiple=True, metavar="NAME", help="Who fails, or is shocked, first; default of a shock: all."
)
@click.option("--seed-asset", multiple=True, metavar="NAME", help="Which prices fall first; default: all.")
@click.option(
    "--shock",
    type=_SHARE,
    help="Share lost first: of equity (debtrank), external assets (neva, cross-holdings), prices.",
)
@click.option(
    "--threshold",
    type=_SHARE,
    help="Share of its debtors whose failure fails a bank, above 0 (threshold), or of its value that it must keep.",
)
@click.option("--valuation", type=click.Choice(["eisenberg-noe", "debtrank", "furfine"]), help="Of claims, in neva.")
@click.option("--depth", type=_ABOVE, help="Money whose sale, at the first pace, takes a whole price.")
@click.option("--impact", type=_ABOVE, help="Prices are exp(-IMPACT x) when a share x of what is held is sold.")
@click.option("--max-leverage", type=_LEVERAGE, help="Assets over equity beyond which a bank sells.")
@click.option("--target-leverage", type=_LEVERAGE, help="Assets over equity that it then goes down to.")
@click.option(
    "--minimum-ratio", type=_RATIO,
    help="Equity over assets below which a bank sells (cifuentes-ferrucci-shin) or is in default (eba-2018: 0.03).",
)  # fmt: skip
@click.option("--buffer-ratio", type=_SHARE, help="Equity over assets below which a bank sells before it must.")
@click.option("--target-ratio", type=_SHARE, help="Equity over assets that it then goes up to; default: 0.05.")
@click.option("--steps", type=click.IntRange(1), metavar="N", help="Of sales, in eba-2018; default: 6.")
@click.option("--senior", is_flag=True, default=None, help="External creditors are paid before banks.")
@click.option(
    "--solution", type=click.Choice(["greatest", "least"]), help="Which clearing vector, where there are several."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write banks.csv and clearing.json."
)
@shell.as_json
@click.pass_context
def clear(ctx: click.Context, /, file: Path, model: str, **options: Any) -> None:
    """Run a classical model on an exposure file: who defaults in which wave, and who loses what.

    FILE is a CSV file with the columns debtor, creditor and amount; a square matrix or a graph (GraphML, GEXF,
    node-link JSON), both with --orientation; or totals by bank with --reconstruct. For a fire sale it is one with the
    columns bank, asset and amount, or with --orientation asset a matrix of banks and assets.
    """
    chosen = _options(model, options)
    if options["seed"] is not None and options["reconstruct"] != "minimum-density":
        raise click.UsageError("--seed is of --reconstruct minimum-density: nothing else here is random")
    exposures = _read(file, model, options)
    try:
        outcome = MODELS[model].solve(exposures, chosen)
    except BadInput:
        raise
    except (ValueError, RuntimeError) as error:  # what a model alone can know about the figures
        raise BadInput([Problem(str(file), 0, 0, "", f"{model}: {error}")]) from None
    given = {key: chosen[key] for key in MODELS[model].options}
    found = facts(model, given, exposures, outcome)
    if options["output"]:
        _write(options["output"], ctx, found)
    if options["as_json"]:
        shell.print_json(found)
        return
    from contagion.terminal.clearing import clearing_text

    shell.print_text(clearing_text, found)


def _read(file: Path, model: str, options: Mapping[str, Any]) -> "Exposures | Holdings":
    """Return what a model reads: who owes whom, or who holds what."""
    from contagion.readers.files import read_exposures
    from contagion.readers.holdings import read_holdings

    titles, unit = _titles(options["columns"]), options["unit"]
    if MODELS[model].reads == "holdings":
        if options["reconstruct"]:
            raise click.UsageError(f"{model} reads holdings, which --reconstruct does not make")
        return read_holdings(
            file, orientation=options["orientation"] or "", nodes=options["nodes"], assets=options["assets"],
            columns=titles, unit=unit,
        )  # fmt: skip
    if options["assets"]:
        raise click.UsageError(f"{model} reads exposures: --assets is of the models of holdings")
    return read_exposures(
        file, orientation=options["orientation"] or "", nodes=options["nodes"], columns=titles,
        reconstruct=options["reconstruct"] or "", seed=options["seed"] or 0, unit=unit,
    )  # fmt: skip


def _epilog() -> str:
    width = max(map(len, MODELS))
    return "\b\nModels:\n" + "\n".join(f"  {name:<{width}}  {model.about}" for name, model in MODELS.items())


clear.epilog = _epilog()


def _options(model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a model; a usage error for one that it does not know, or cannot do without."""
    every = dict.fromkeys(key for other in MODELS.values() for key in other.options)
    given = {key: options[key] for key in every if options[key] not in (None, ())}
    for key in given:
        if key not in MODELS[model].options:
            others = ", ".join(name for name, other in MODELS.items() if key in other.options)
            raise click.UsageError(f"{model} has no --{key.replace('_', '-')}: it is an option of {others}")
    if absent := [key for key in MODELS[model].required if key not in given]:
        words = " and ".join(f"--{key.replace('_', '-')}" for key in absent)
        raise click.UsageError(f"{model} needs {words}")
    if model == "threshold" and not given["threshold"]:
        raise click.UsageError("--threshold 0 would fail every bank before anything happens: state a share above 0")
    return DEFAULTS | given


def facts(
    model: str, options: Mapping[str, Any], exposures: "Exposures | Holdings", outcome: "Outcome"
) -> dict[str, Any]:
    """Return everything there is to say, as JSON knows it."""
    names = exposures.names
    columns = {"loss": outcome.losses, **outcome.columns}
    waves = [sorted(names[bank] for bank in wave) for wave in outcome.waves]
    return {
        "model": model,
        "options": {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()},
        "unit": exposures.unit,
        "reconstructed": exposures.reconstructed or None,
        "provenance": [{**part._asdict(), "dropped": dict(part.dropped)} for part in exposures.provenance],
        "banks": len(names),
        "reads": MODELS[model].reads,
        "links": exposures.links,
        "exposures": exposures.total,
        "first_wave": outcome.first,
        "waves": waves,
        "depth": outcome.depth,
        "defaults": sum(map(len, waves)),
        "totals": dict(outcome.totals),
        "notes": list(outcome.notes),
        "nodes": [
            {"name": name, **dict(zip(columns, row, strict=True))}
            for name, row in zip(names, zip(*(map(float, c) for c in columns.values()), strict=True), strict=True)
        ],
    }


def _write(output: Path, ctx: click.Context, found: Mapping[str, Any]) -> None:
    """Write all facts, and a CSV file with a row a bank, into a new directory."""
    import csv

    from contagion.recipes import versions
    from contagion.runs import recorded, write_json

    inputs = {part["path"]: part["sha256"] for part in found["provenance"]}
    manifest = {
        "command": shell.command_line(ctx), "started": shell.now("%Y-%m-%dT%H:%M:%SZ"), "inputs": inputs,
        "versions": versions(),
    }  # fmt: skip
    directory = shell.place(output, "clearing")
    with recorded(directory, manifest):
        wave_of = {name: number + found["first_wave"] for number, wave in enumerate(found["waves"]) for name in wave}
        with open(directory / "banks.csv", "w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["name", "wave", *list(found["nodes"][0])[1:], "reconstructed"])
            for row in found["nodes"]:
                name, *figures = row.values()
                writer.writerow([name, wave_of.get(name, ""), *figures, found["reconstructed"] or "no"])
        write_json(directory / "clearing.json", dict(found))
        write_json(directory / "manifest.json", {"status": "complete"} | manifest)
