"""From a TOML file to a simulation: Scenario -> exposure graph -> network, books and mechanisms -> Simulation.

A scenario is data. It is checked whole before anything runs, and every problem is reported at once with the
line it stands on. The checks of a graph that was built in Python are the same ones.
"""

import copy
import importlib.resources
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
from pydantic import Field, ValidationError

from contagion import graph as schema
from contagion.assembly import build, check_graph
from contagion.errors import BadInput, Misfit, Problem, closest
from contagion.expectations import Link, Target
from contagion.log.kinds import KINDS
from contagion.overrides import override, stated_by
from contagion.params import Duration, Params, explain, plain
from contagion.readers.rows import KEYS, Input, Tables, outside
from contagion.simulation import Simulation
from contagion.source import Source, dotted, parse_source, read_source


class Switch(Params):
    """What a named knock-out does: nodes and edges to remove, values to set."""

    remove: list[str] = []
    set: dict[str, Any] = {}
    about: str = ""


class ScenarioParams(Params):
    """The keys of a scenario file."""

    name: str
    title: str = ""
    notes: str = ""
    currency: str = "USD"
    currency_decimals: int = Field(default=6, ge=0, le=9)
    horizon: Duration = 3_600_000_000
    seed: int = Field(default=0, ge=0, lt=2**63)
    monotone: bool = False
    nodes: dict[str, dict[str, Any]]
    edges: list[dict[str, Any]] = []
    nodes_csv: str = ""
    exposures_csv: str = ""
    positions_csv: str | list[str] = []
    shocks: list[dict[str, Any]] = []
    switches: dict[str, Switch] = {}
    targets: list[Target] = []
    links: list[Link] = []
    reduced: dict[str, Any] = {}
    extends: str = ""
    set: dict[str, Any] = {}


@dataclass(frozen=True)
class Scenario:
    """The validated content of one scenario file."""

    params: ScenarioParams
    source: Source
    overrides: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    _opened: list[Simulation] = field(default_factory=list, repr=False, compare=False)
    _tables: "Stated | None" = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Return the scenario's name."""
        return self.params.name

    def graph(self) -> nx.MultiDiGraph:
        """Return a new exposure graph: edit it with NetworkX and run it."""
        return _graph_of(self.params)

    def opened(self) -> Simulation | None:
        """Return the simulation at rest that `load` was asked to keep, to the first who asks for it."""
        return self._opened.pop() if self._opened else None

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes to another process: all but the simulation, whose processes cannot be sent, and rows."""
        return self.__dict__ | {"_opened": [], "_tables": None}

    def changed(self, overrides: Mapping[str, Any], *, allow_code: bool = False, opens: bool = True) -> "Scenario":
        """Return the scenario with further values changed, by dotted path. BadInput for what does not fit.

        Its CSV files are not read again. opens : find out by opening whether everybody can, or leave it to the run.
        """
        changes = {**self.overrides, **overrides}
        return _validated(self.source, changes, False, allow_code, opens=opens, known=self._tables)

    def resolved(self) -> dict[str, Any]:
        """Return the content after defaults and overrides, as JSON knows it."""
        return dict(plain(self.params))


def shipped() -> dict[str, Path]:
    """Return the scenarios that come with the package, by name."""
    inside = Path(str(importlib.resources.files("contagion"))) / "configs"
    folder = inside if inside.is_dir() else Path(__file__).resolve().parent.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load(
    path: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    reduced: bool = False,
    allow_code: bool = False,
    keep: bool = False,
) -> Scenario:
    """Return the scenario of a file, or of a shipped scenario's name, with overrides applied.

    BadInput names every problem with its line. `reduced` applies the file's own table of that name first. Whether
    everybody can open is found out by opening; `keep` leaves that simulation to the scenario's first run.
    """
    known = shipped()
    if not Path(path).exists() and str(path) in known:
        path = known[str(path)]
    elif not Path(path).exists() and "/" not in str(path) and not str(path).endswith(".toml"):
        what = f"no file and no shipped scenario{closest(str(path), known)} (shipped: {', '.join(known)})"
        raise BadInput([Problem(str(path), 0, 0, "", what)])
    return _validated(read_source(path), dict(overrides or {}), reduced, allow_code, keep)


def loads(text: str, overrides: Mapping[str, Any] | None = None, *, allow_code: bool = False) -> Scenario:
    """Return the scenario of TOML text."""
    return _validated(parse_source(text), dict(overrides or {}), False, allow_code)


def parse_override(text: str) -> tuple[str, Any]:
    """Return (path, value) of ``KEY=VALUE``; the value is TOML where it can be, else text.

    >>> parse_override("nodes.pool.fee=0.01"), parse_override("horizon=3h")
    (('nodes.pool.fee', Decimal('0.01')), ('horizon', '3h'))
    """
    key, sign, raw = text.partition("=")
    if not sign or not key.strip():
        raise ValueError(f"{text!r} is not KEY=VALUE")
    try:
        return key.strip(), parse_source(f"value = {raw}").data["value"]
    except BadInput:
        return key.strip(), raw


class _Content(NamedTuple):
    """What a file says with some of its values changed, and everything wrong with it but how it opens."""

    params: ScenarioParams | None
    graph: nx.MultiDiGraph
    tables: "Stated"
    problems: list[Problem]
    problem: Callable[[schema.Path, str], Problem]


class Stated(NamedTuple):
    """The tables of a scenario, after which keys of it they were read, and how many edges it states itself."""

    keys: Mapping[str, Any]
    tables: Tables
    first: int

    def shortened(self, problems: Sequence[Problem]) -> list[Problem]:
        """Return the problems in their order, of each table only the first."""
        return self.tables.shortened(problems)


def _validated(
    source: Source, overrides: dict[str, Any], reduced: bool, allow_code: bool, keep: bool = False,
    opens: bool = True, known: "Stated | None" = None,
) -> Scenario:  # fmt: skip
    """Return the scenario of a file; BadInput for all that is wrong, its reduced variant included.

    opens : find out by opening whether everybody can; known : tables that have been read already.
    """
    content = _content(source, overrides, reduced, allow_code, known)
    problems = list(content.problems)
    if content.params is None:
        raise BadInput(content.tables.shortened(problems))
    if opens:
        problems += _check_switches(source, content.params, allow_code)
        own = source.data.get("reduced", {})  # what a variant inherits may be about what it has replaced
        if not reduced and isinstance(own, dict) and own:
            smaller = _content(source, overrides, True, allow_code, content.tables)
            paths = {dotted(("reduced", key)) for key in own}
            problems += [problem for problem in smaller.problems if problem.path in paths]
    if problems:
        raise BadInput(content.tables.shortened(problems))
    if reduced:
        overrides = {**content.params.reduced, **overrides}
    own = (content.params, source, overrides, content.tables.tables.inputs)
    if not opens:
        return Scenario(*own, _tables=content.tables)
    try:
        opened = build(content.graph, allow_code=allow_code, drawn={} if keep else None)
    except BadInput as error:
        misfit = error.__cause__
        if isinstance(misfit, Misfit):
            raise BadInput([content.problem(_in_file(content.params, misfit.path), misfit.what)]) from None
        raise
    if problems := _check_links(source, content.params, opened):
        raise BadInput(sorted(problems))
    return Scenario(*own, [opened] if keep else [], content.tables)


def _content(
    source: Source, overrides: Mapping[str, Any], reduced: bool, allow_code: bool, known: "Stated | None"
) -> _Content:
    data, problems = _extended(source)
    smaller = data.get("reduced")
    changes = dict(smaller) if reduced and isinstance(smaller, dict) else {}
    data |= {key: value for key, value in {**changes, **overrides}.items() if key in KEYS}
    tables = _tables(source, data, problems, known)

    def problem(path: schema.Path, what: str) -> Problem:
        if (key := stated_by([key for key in changes if key not in overrides], path, data)) is not None:
            return source.problem(("reduced", key), what)
        return tables.tables.problem(path, what, tables.first) or source.problem(_stated(source, path, data), what)

    for key, value in {**changes, **overrides}.items():
        try:
            override(data, key.split("."), value)
        except KeyError as error:
            if key in overrides:
                problems.append(source.problem((), f"override {key!r}: {error.args[0]}"))
            else:
                problems.append(source.problem(("reduced", key), str(error.args[0])))
    params, found = _checked(data)
    graph = nx.MultiDiGraph() if params is None else _graph_of(params)
    if params is not None:
        found = [*found, *check_graph(graph, allow_code=allow_code)]
    return _Content(params, graph, tables, [*problems, *(problem(path, what) for path, what in found)], problem)


def _extended(source: Source) -> tuple[dict[str, Any], list[Problem]]:
    """Return the content of a file and what is wrong with its variant part.

    A file that `extends` a shipped scenario is that scenario with the values of the table `set`, by dotted path;
    what else it states at the top (name, notes, shocks, targets, ...) stands in the place of the other's, and its
    switches and its reduced values join them.
    """
    data, problems = copy.deepcopy(source.data), []
    base, known = data.get("extends", ""), shipped()
    if not base:
        what = "'set' changes the scenario that a file 'extends', and this one extends none"
        return data, [source.problem(("set",), what)] if "set" in data else []
    if base not in known:
        what = f"{base!r} is no shipped scenario{closest(str(base), known)} (shipped: {', '.join(known)})"
        raise BadInput([source.problem(("extends",), what)])
    below = read_source(known[base])
    if "extends" in below.data:
        raise BadInput([source.problem(("extends",), f"{base!r} extends another scenario itself: name that one")])
    whole = copy.deepcopy(below.data)
    for table in ("switches", "reduced"):
        if isinstance(own := data.pop(table, {}), dict):
            whole[table] = whole.get(table, {}) | own
    changes = data.pop("set", {})
    for key, value in changes.items() if isinstance(changes, dict) else ():
        try:
            override(whole, key.split("."), value)
        except KeyError as error:
            problems.append(source.problem(("set", key), str(error.args[0])))
    return whole | data, problems


def _tables(source: Source, data: dict[str, Any], problems: list[Problem], known: "Stated | None") -> "Stated":
    """Add the nodes and edges of CSV files to the content of a scenario and return them; those known are not read.

    BadInput for what is wrong with a file, and for what was wrong before; a key that is no file name is left for the
    check of its type.
    """
    nodes, edges = data.get("nodes", {}), data.get("edges", [])
    first = len(edges) if isinstance(edges, list) else 0
    stated = {key: value for key in KEYS if isinstance(value := data.get(key), str | list) and value}
    names = [(key, name) for key, value in stated.items() for name in ([value] if isinstance(value, str) else value)]
    if not names or not all(isinstance(name, str) for _, name in names):
        return Stated({}, Tables({}, [], {}, [], ()), first)
    problems += [source.problem((key,), f"{name!r} {fault}") for key, name in names if (fault := outside(name))]
    if problems:
        raise BadInput(sorted(problems))
    if known is not None and known.keys == stated:
        tables = known.tables
    else:
        from contagion.readers.tables import read_tables  # only those who have tables wait for a CSV reader

        tables = read_tables(Path(source.file).parent, stated)
    if tables.nodes and isinstance(nodes, dict):
        double = [name for name in tables.nodes if name in nodes]
        what = "the scenario states a node of this name itself; expected it in one place"
        problems += [found for name in double if (found := tables.problem(("nodes", name, "name"), what, 0))]
        data["nodes"] = tables.nodes | nodes
    if tables.edges and isinstance(edges, list):
        data["edges"] = edges + tables.edges
    return Stated(stated, tables, first)


def _stated(source: Source, path: schema.Path, data: Mapping[str, Any]) -> schema.Path:
    """Return where a file states what stands at a path: there or, of a variant, in its table `set`."""
    changes = source.data.get("set", {})
    key = stated_by(changes, path, data) if isinstance(changes, dict) else None
    return path if key is None else ("set", key)


def _checked(data: dict[str, Any]) -> tuple[ScenarioParams | None, list[schema.Finding]]:
    """Return the parameters and what is wrong with them.

    Where a top-level key is wrong the others are still returned, so that their problems show as well; but
    without nodes every edge would be wrong, too, and None is returned.
    """
    try:
        return ScenarioParams.model_validate(data), []
    except ValidationError as error:
        findings = [schema.Finding(*found) for found in explain(error, ScenarioParams)]
    wrong = {finding.path[0] for finding in findings}
    rest = {"name": "unnamed"} | {key: value for key, value in data.items() if key not in wrong}
    return (ScenarioParams.model_validate(rest) if "nodes" not in wrong else None), findings


def _in_file(params: ScenarioParams, path: schema.Path) -> schema.Path:
    """Return the path with an edge's name turned into its number."""
    if len(path) > 1 and path[0] == "edges" and isinstance(path[1], str):
        for number, edge in enumerate(params.edges):
            if schema.edge_name(str(edge.get("from")), str(edge.get("to")), edge) == path[1]:
                return ("edges", number, *path[2:])
    return path


def _graph_of(params: ScenarioParams) -> nx.MultiDiGraph:
    graph = schema.build(params.nodes, params.edges)
    graph.graph.update(
        name=params.name, title=params.title, currency=params.currency,
        currency_decimals=params.currency_decimals, horizon_us=params.horizon, seed=params.seed,
        monotone=params.monotone, shocks=copy.deepcopy(params.shocks),
        switches={name: switch.model_dump() for name, switch in params.switches.items()},
    )  # fmt: skip
    return graph


def _check_switches(source: Source, params: ScenarioParams, allow_code: bool) -> list[Problem]:
    """Return what is wrong with knock-outs: parts that are not there, and values that do not fit."""
    problems = []
    for name, switch in params.switches.items():
        graph = _graph_of(params)
        try:
            schema.knock_out(graph, name)
        except KeyError as error:
            problems.append(source.problem(("switches", name), str(error.args[0])))
            continue
        for path, what in check_graph(graph, allow_code=allow_code) if switch.set else ():
            key = stated_by(switch.set, path, {"edges": params.edges})
            if key is not None:
                problems.append(source.problem(("switches", name, "set", key), what))
    return problems


def _check_links(source: Source, params: ScenarioParams, sim: Simulation) -> list[Problem]:
    """Return what no run could find: unknown kinds (where all code is the package's) and patterns without a match."""
    foreign = any(node.get("kind") not in schema.KINDS for node in params.nodes.values())
    quoted = {sim.feed_names[market] for market, _ in sim.feeds}
    problems, known = [], set[str]()
    for number, link in enumerate(params.links):
        path = ("links", number)
        if link.id in known:
            problems.append(source.problem((*path, "id"), f"there is a link {link.id!r} already"))
        known.add(link.id)
        if link.kind is not None and link.kind not in KINDS and not foreign:
            what = f"no event is of kind {link.kind!r}{closest(link.kind, KINDS)}"
            problems.append(source.problem((*path, "kind"), what))
        names: dict[str, Iterable[str]] = {
            "node": sim.network.names, "asset": sim.assets, "market": quoted if link.kind is None else sim.feed_names,
        }  # fmt: skip
        for key, candidates in names.items():
            pattern = getattr(link, key)
            if pattern is not None and not any(fnmatchcase(name, pattern) for name in candidates):
                what = f"matches no {key}: {pattern!r}{closest(pattern, candidates)}"
                problems.append(source.problem((*path, key), what))
    return problems
