"""Rules that keep the package's shape, as functions from source text to what breaks them.

Every checker takes the source of one module (and its dotted name where that matters) and returns a list of
complaints, empty when the module keeps the rule. `tests/test_architecture.py` applies them to the package and
shows that each can fail.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = "contagion"
ROOT = Path(__file__).resolve().parent.parent / PACKAGE

FLOORS = {
    "units": 0, "errors": 0,
    "facts": 1, "ledger": 1, "log": 1, "network": 1, "meanings": 1, "params": 1, "source": 1, "words": 1, "finance": 1,
    "ports": 2, "graph": 2, "why": 2, "accounts": 2, "readers": 2, "expectations": 2,
    "routes": 3, "saved": 3, "overrides": 3, "simulation": 3, "venues": 3,
    "mechanisms": 4, "shocks": 4, "metrics": 4, "runs": 4,
    "assembly": 5,
    "scenario": 6,
    "study": 7, "json_schema": 7,
    "report": 8, "plot": 8, "terminal": 8, "exports": 8, "recipes": 8, "reference": 8, "advice": 8,
    "cli": 9,
    "__main__": 10,
}  # fmt: skip
"""Floor of every top-level module or package; the lazy `__init__` stands beside the house."""

ENGINE = ("simulation", "mechanisms", "shocks", "ports", "assembly")
ANALYSIS = ("metrics", "runs", "saved", "why", "report", "plot", "terminal")

THIRD_PARTY = {
    "simpy": ("ports", "simulation", "mechanisms", "shocks"),
    "networkx": ("graph", "assembly", "scenario", "study", "readers", "report", "plot", "exports"),
    "scipy": ("finance", "metrics", "study", "readers"),
    "pydantic": ("params", "graph", "scenario", "assembly", "mechanisms", "shocks", "expectations", "saved"),
    "pyarrow": ("log", "runs", "cli", "readers"),
    "click": ("cli",),
    "rich": ("cli", "terminal"),
    "matplotlib": ("plot",),
    "jinja2": ("report",),
    "markupsafe": ("report",),
    "numba": ("accounts",),
    "llvmlite": ("accounts",),
}
"""Who may import what is neither in the standard library nor NumPy."""

BUILT_ON = {"ensembles": ("threshold", "overlapping_portfolios")}
"""Which finance topic runs the arithmetic of another."""

CLOCKS = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}
EXECUTORS = f"{PACKAGE}.study.executors"
FILE_LINES, FUNCTION_LINES = 400, 60
GENERATORS = ("Process", "Iterator", "Iterable", "Generator")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(root: Path = ROOT) -> dict[str, str]:
    """Return the source of every module by its dotted name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = [root.name, *path.relative_to(root).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


def top(name: str) -> str:
    """Return the top-level part of a module of the package, such as ``'mechanisms'``."""
    return [*name.split("."), "__init__"][1]


def imports(source: str, package: str = "") -> set[str]:
    """Return every module that a source imports anywhere, `from a import b` as both ``a`` and ``a.b``."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*package.split(".")[: -node.level or None]] if node.level else [])
            origin = ".".join(part for part in (base, node.module) if part)
            found |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
    return found


def inner_imports(name: str, source: str, known: Iterable[str]) -> set[str]:
    """Return the modules of the package that a module imports, itself left out."""
    return (imports(source, name) & set(known)) - {name, PACKAGE}


def check_floors(name: str, source: str) -> list[str]:
    """A module imports from lower floors only; parts of one package may import each other."""
    own = top(name)
    if own == "__init__":
        return []
    if own not in FLOORS:
        return [f"{name}: {own!r} has no floor"]
    wrong = []
    for target in sorted({top(t) for t in imports(source, name) if t.startswith(f"{PACKAGE}.")} - {own}):
        if target not in FLOORS:
            wrong.append(f"{name} imports {target!r}, which has no floor")
        elif FLOORS[target] >= FLOORS[own]:
            wrong.append(f"{name} (floor {FLOORS[own]}) imports {target} (floor {FLOORS[target]})")
    return wrong


def check_analysis(name: str, source: str) -> list[str]:
    """Analysis reads runs and never imports the engine."""
    if top(name) not in ANALYSIS:
        return []
    targets = {top(t) for t in imports(source, name) if t.startswith(f"{PACKAGE}.")}
    return [f"{name} reads runs and may not import {t}" for t in sorted(targets.intersection(ENGINE))]


def check_mechanisms(name: str, source: str) -> list[str]:
    """No mechanism imports another."""
    parts = name.split(".")
    if top(name) != "mechanisms" or len(parts) < 3:
        return []
    others = {t.split(".")[2] for t in imports(source, name) if t.startswith(f"{PACKAGE}.mechanisms.")}
    return [f"{name} imports the mechanism {other}" for other in sorted(others - {parts[2]})]


def check_finance(name: str, source: str) -> list[str]:
    """A finance topic, a file or a folder, imports units, what it is built on, and nothing else of the package."""
    if top(name) != "finance":
        return []
    topic = [*name.split("."), ""][2]
    allowed = [f"{PACKAGE}.units", *(f"{PACKAGE}.finance.{other}" for other in (topic, *BUILT_ON.get(topic, ())))]
    inner = {t for t in imports(source, name) if t.startswith(f"{PACKAGE}.")}
    return [f"{name} imports {t}" for t in sorted(inner) if not any(f"{t}.".startswith(f"{a}.") for a in allowed)]


def check_third_party(name: str, source: str) -> list[str]:
    """Third-party packages are imported only where they belong."""
    wrong = []
    for package in sorted({target.split(".")[0] for target in imports(source, name)}):
        if package in sys.stdlib_module_names or package in (PACKAGE, "numpy"):
            continue
        if top(name) not in THIRD_PARTY.get(package, ()):
            wrong.append(f"{name} imports {package}")
    return wrong


def check_effects(name: str, source: str) -> list[str]:
    """Printing, exiting and the wall clock belong to the command line; a terminal writes to streams it is given."""
    if top(name) in ("cli", "__main__"):
        return []
    wrong = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name("print") if top(name) == "terminal" and any(k.arg == "file" for k in node.keywords):
                continue
            case ast.Name("print" | "input" | "exit" | "quit" as word):
                wrong.append(f"{name}:{node.lineno} calls {word}()")
            case ast.Attribute(ast.Name("sys"), "exit") | ast.Attribute(ast.Name("os"), "_exit"):
                wrong.append(f"{name}:{node.lineno} exits")
            case ast.Attribute(ast.Name(owner) | ast.Attribute(attr=owner), word) if (owner, word) in CLOCKS:
                wrong.append(f"{name}:{node.lineno} reads the wall clock")
            case ast.Attribute(ast.Name("time"), "perf_counter" | "monotonic" | "process_time"):
                if name != f"{PACKAGE}.study.twins":
                    wrong.append(f"{name}:{node.lineno} reads a timer")
    return wrong


def check_exceptions(name: str, source: str) -> list[str]:
    """Nothing catches everything, but to raise it again.

    The command line alone reports what is our bug, and an executor puts a task's error into its future.
    """
    wrong = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and not _raises_again(node) and top(name) != "cli" and name != EXECUTORS:
            types = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            for kind in types:
                if kind is None or (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException")):
                    wrong.append(f"{name}:{node.lineno} catches everything")
    return wrong


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def check_star_imports(name: str, source: str) -> list[str]:
    """Nothing is imported without its name."""
    stars = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom) and n.names[0].name == "*")
    return [f"{name}:{node.lineno} imports *" for node in stars]


def check_docstring(name: str, source: str) -> list[str]:
    """Every module says what it is."""
    return [] if ast.get_docstring(ast.parse(source)) else [f"{name} has no docstring"]


def check_length(name: str, source: str) -> list[str]:
    """No file is longer than 400 lines, no function longer than 60 without its docstring."""
    count = len(source.splitlines())
    wrong = [f"{name} has {count} lines"] if count > FILE_LINES else []
    for function in functions(source):
        lines = function.end_lineno - function.lineno + 1  # type: ignore[operator]
        first = function.body[0]
        if ast.get_docstring(function) is not None:
            lines -= first.end_lineno - first.lineno + 1  # type: ignore[operator]
        if lines > FUNCTION_LINES:
            wrong.append(f"{name}:{function.lineno} {function.name} has {lines} lines")
    return wrong


def check_yields(name: str, source: str) -> list[str]:
    """Only processes and iterators yield, and their annotation says so."""
    wrong = []
    for function in functions(source):
        if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(function)):
            returns = ast.unparse(function.returns) if function.returns else ""
            if returns.split("[")[0] not in GENERATORS:
                wrong.append(f"{name}:{function.lineno} {function.name} yields but returns {returns or 'nothing'}")
    return wrong


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of an import cycle, empty when there is none."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        done.add(name)
        return next((found for t in sorted(graph.get(name, ())) if (found := visit(t, [*path, name]))), [])

    return next((found for name in sorted(graph) if (found := visit(name, []))), [])


def functions(source: str) -> list[Function]:
    """Return every function of a source, methods and nested ones included."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, Function)]


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """Return the nodes of a function without those of functions inside it."""
    waiting = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))  # type: ignore[arg-type]
