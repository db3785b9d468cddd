"""Whatever is wrong with an input: every problem with its place, exit 3, no traceback, nothing written."""

import random
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contagion.errors import BadInput
from contagion.scenario import loads
from contagion.study.twins import run
from tests.processes import invoke
from tests.scenarios import CASCADE

pytestmark = pytest.mark.usefixtures("empty")

PLACE = re.compile(r"bad\.toml:\d+:\d+: ")


def refused(content: str | bytes, *arguments: str) -> list[str]:
    """Return the complaints about a file that neither `run` nor `validate` accepts."""
    path = Path("bad.toml")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = invoke("run", "bad.toml", *arguments)
    assert result.exit_code == 3, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert [item.name for item in Path().iterdir()] == ["bad.toml"]
    if not arguments:
        checked = invoke("validate", "bad.toml")
        assert (checked.exit_code, checked.stdout) == (3, result.stderr)
    return result.stderr.splitlines()


def changed(old: str, new: str, count: int = 1) -> str:
    assert CASCADE.count(old) >= 1, old
    return CASCADE.replace(old, new, count)


SINGLE = {
    "unknown key": (
        "decimals = 9",
        "decimalz = 9",
        "nodes.eth.decimalz: unknown key 'decimalz'; did you mean 'decimals'?",
    ),
    "unknown key of a table in a table": (
        "bonus = 0.05",
        "bonuss = 0.05",
        "nodes.lender.reserves.eth.bonuss: unknown key 'bonuss'; did you mean 'bonus'?",
    ),
    "unknown key of a switch": ('about = "', 'abaut = "', "unknown key 'abaut'; did you mean 'about'?"),
    "misspelt required key": ("assets = [", "asets = [", "is required but missing; is 'asets' meant to be it?"),
    "misspelt kind": (
        'kind = "amm"',
        'knd = "amm"',
        "nodes.pool.kind: is required but missing; is 'knd' meant to be it?",
    ),
    "misspelt kind of a shock": ('kind = "sale"', 'knd = "sale"', "shocks[0].kind: is required but missing; is 'knd'"),
    "misspelt end": ('from = "pool"', 'form = "pool"', "each the name of a node; is 'form' meant to be it?"),
    "misspelt role": ('role = "trades"', 'rol = "trades"', "role: is required but missing; is 'rol' meant to be it?"),
    "unknown top-level key": ("monotone = true", "monoton = true", "did you mean 'monotone'?"),
    "unknown kind": ('kind = "amm"', 'kind = "ammm"', "did you mean 'amm'?"),
    "kind that is code": ('kind = "amm"', 'kind = "os.path"', "--allow-code"),
    "kind that is a list": ('kind = "amm"', 'kind = ["amm"]', "nodes.pool.kind"),
    "no kind": ('[nodes.suppliers]\nkind = "account"', "[nodes.suppliers]", "nodes.suppliers"),
    "unknown role": ('role = "trades"', 'role = "trade"', "did you mean 'trades'?"),
    "role that is a table": ('role = "trades"', "role = { a = 1 }", ".role: no role"),
    "text for a number": ("price = 2000", 'price = "much"', "nodes.eth.price"),
    "truth for a number": ("price = 2000", "price = true", "nodes.eth.price: a number was expected"),
    "date for a number": ("price = 2000", "price = 2025-10-10", "nodes.eth.price"),
    "list for a table": ("balances = { eth = 10_000, usd = 20_000_000 }", "balances = [1, 2]", "nodes.pool.balances"),
    "number for a table": ("balances = { usd = 10_000_000 }", "balances = 5", "nodes.keeper.balances"),
    "number for a duration": ('horizon = "10min"', "horizon = 10", "horizon: a duration is text with a unit"),
    "negative price": ("price = 2000", "price = -2000", "nodes.eth.price"),
    "zero price": ("price = 2000", "price = 0", "nodes.eth.price"),
    "price too small": ("price = 2000", "price = 1e-20", "nodes.eth"),
    "price too large": ("price = 2000", "price = 1e30", "nodes.eth"),
    "nan": ("price = 2000", "price = nan", "nodes.eth.price"),
    "inf": ("quantity = 350", "quantity = inf", "shocks[0].quantity"),
    "negative amount": ("quantity = 350", "quantity = -350", "shocks[0].quantity"),
    "more than can be counted": ("quantity = 350", "quantity = 99999999999999999999", "shocks[0].quantity"),
    "negative balance": ("usd = 10_000_000 }", "usd = -1 }", "nodes.keeper.balances.usd"),
    "supply beyond 64 bits": ("usd = 10_000_000 }", "usd = 1e30 }", "usd"),
    "huge exponent": ("price = 2000", "price = 1e999999999", "exponent"),
    "huge integer": ("price = 2000", "price = " + "9" * 400, "nodes.eth.price"),
    "longer integer": ("price = 2000", "price = " + "9" * 6000, "at most 500"),
    "negative seed": ('name = "two-borrowers"', 'name = "x"\nseed = -1', "seed"),
    "fee of everything": ("fee = 0", "fee = 1", "nodes.pool.fee"),
    "zero reserves": ("eth = 10_000, usd = 20_000_000", "eth = 0, usd = 20_000_000", "nodes.pool: the pool has no eth"),
    "unknown asset": ('assets = ["eth", "usd"]', 'assets = ["eth", "usdd"]', "did you mean 'usd'?"),
    "one asset": ('assets = ["eth", "usd"]', 'assets = ["eth"]', "nodes.pool.assets"),
    "dangling end": ('to = "oracle"', 'to = "orakel"', "edges[0].to: there is no node 'orakel'; did you mean 'oracle'"),
    "no end": ('from = "keeper"\n', "", "an edge needs 'from' and 'to'"),
    "end that is a number": ('from = "keeper"', "from = 3", "an edge needs 'from' and 'to'"),
    "end that is a list": ('from = "keeper"', "from = [[1]]", "an edge needs 'from' and 'to'"),
    "wrong end": (
        'from = "keeper"\nto = "pool"',
        'from = "keeper"\nto = "lender"',
        "'lender' is of kind lending_protocol",
    ),
    "negative latency": ('latency = "1s"', 'latency = "-1s"', "edges[0].latency"),
    "two edges of one name": ('name = "oracle-feed"', 'name = "pool:prices:oracle"', "a second edge"),
    "two oracles for a reserve": (
        'from = "usd"\nto = "lender"',
        'from = "oracle"\nto = "lender"',
        "prices edges bring 'eth'",
    ),
    "no oracle for a reserve": (
        '[[edges]]\nrole = "prices"\nfrom = "usd"\nto = "lender"\n',
        "",
        "0 prices edges bring 'usd'",
    ),
    "oracle without a market": ('from = "pool"\nto = "oracle"', 'from = "usd"\nto = "oracle"', "nodes.oracle.source"),
    "not at rest": ("debt = { usd = 760_000 }", "debt = { usd = 900_000 }", "health factor 0.8"),
    "debt without a reserve": (
        "debt = { usd = 760_000 }",
        "debt = { btc = 1 }\n[nodes.btc]\nkind = 'asset'",
        "no reserve of btc",
    ),
    "lender without cash": ("quantity = 5_000_000", "quantity = 5", "lender"),
    "ltv above threshold": (
        "ltv = 0.8, threshold = 0.8",
        "ltv = 0.9, threshold = 0.8",
        "above the liquidation threshold",
    ),
    "bonus beyond collateral": ("bonus = 0.05", "bonus = 0.5", "threshold times (1 + bonus)"),
    "share above one": ("ltv = 0.8, threshold = 0.8", "ltv = 0.8, threshold = 1.8", "threshold"),
    "unknown shock": ('kind = "sale"', 'kind = "sail"', "shocks[0].kind: no shock 'sail'; did you mean 'sale'?"),
    "two measures of a sale": ("quantity = 350", 'quantity = 350\nsize = "-5%"', "either 'quantity' or 'size'"),
    "rise as a sale": ("quantity = 350", 'size = "5%"', "'size' is a fall"),
    "fall of everything": ("quantity = 350", "size = -0.99999999", "'size' is a fall"),
    "sale at no market": (
        'market = "pool"\nasset',
        'market = "oracle"\nasset',
        "shocks[0].market: 'oracle' is no market",
    ),
    "sale of what is not traded": ('asset = "eth"\nquantity', 'asset = "usd"\nquantity', "shocks[0].asset"),
    "withdrawal from no lender": (
        'kind = "sale"\nmarket = "pool"',
        'kind = "withdrawal"\nby = "first"\nlender = "pool"',
        "shocks[0].lender",
    ),
    "reprice to nothing": ('kind = "sale"\nmarket = "pool"', 'kind = "reprice"\nsize = -1', "shocks[0].size"),
    "reduced value that is none": (
        '"shocks.0.quantity" = 300',
        '"shocks.0.quantity" = "many"',
        'bad.toml:118:1: reduced."shocks.0.quantity": ',
    ),
    "reduced path of nothing": (
        '"shocks.0.quantity" = 300',
        '"nodes.pol.fee" = 0',
        "bad.toml:118:1: reduced.\"nodes.pol.fee\": there is no 'pol'; did you mean 'pool'?",
    ),
    "reduced key that is unknown": ('"shocks.0.quantity" = 300', '"nodes.pool.feee" = 0', "did you mean 'fee'?"),
    "switch to a value that is none": (
        'remove = ["keeper"]',
        'set = { "nodes.pool.fee" = 2 }',
        'bad.toml:115:9: switches.liquidators.set."nodes.pool.fee": ',
    ),
    "switch of a key that is unknown": (
        'remove = ["keeper"]',
        'set = { "nodes.pool.feee" = 0 }',
        "unknown key 'feee'; did you mean 'fee'?",
    ),
    "switch of an edge's value that is none": (
        'remove = ["keeper"]',
        'set = { "edges.oracle-feed.latency" = 3 }',
        'switches.liquidators.set."edges.oracle-feed.latency": a duration is text',
    ),
    "switch of a node that is none": (
        'remove = ["keeper"]',
        'set = { "nodes.pol.fee" = 0 }',
        "did you mean 'pool'?",
    ),
    "switch of nothing": ('remove = ["keeper"]', 'remove = ["keepr"]', "did you mean 'keeper'?"),
    "marks by nothing": (
        '[nodes.first]\nkind = "account"',
        '[nodes.first]\nkind = "account"\nmarks = { eth = "x" }',
        "marks.eth",
    ),
    "marks that are no table": (
        '[nodes.first]\nkind = "account"',
        '[nodes.first]\nkind = "account"\nmarks = 3',
        "marks",
    ),
    "unknown domain": (
        '[nodes.first]\nkind = "account"',
        '[nodes.first]\nkind = "account"\ndomain = "dfi"',
        "a domain is one of",
    ),
    "duplicate table": ("[nodes.second]", "[nodes.first]", "this table is declared twice"),
    "duplicate key": ("fee = 0", "fee = 0\nfee = 1", "this name already has a value, since line"),
    "a second world": (
        "[nodes.first]",
        '[nodes.a]\nkind = "world"\n[nodes.b]\nkind = "world"\n[nodes.first]',
        "exactly one",
    ),
}


@pytest.mark.parametrize("case", SINGLE)
def test_a_mistake_is_refused_with_its_place_and_a_word_about_it(case: str) -> None:
    old, new, word = SINGLE[case]
    lines = refused(changed(old, new))
    assert all(PLACE.match(line) for line in lines), lines
    assert any(word in line for line in lines), lines


FILES = {
    "empty": (b"", "is empty"),
    "comments only": (b"# nothing here\n", "nothing but comments"),
    "truncated": (CASCADE.encode()[:-20], "bad.toml"),
    "truncated string": (b'name = "two', "never closed"),
    "not UTF-8": (b'name = "\xff"', "is not UTF-8"),
    "UTF-16": ("name = 'x'".encode("utf-16"), "UTF-16"),
    "zero bytes": (b'name = "x"\0\0', "zero byte"),
    "a megabyte of garbage": (random.Random(7).randbytes(2**20), "is not UTF-8"),
    "a megabyte of text": (b"ab [{= " * 150_000, "bad.toml:1:"),
    "deep arrays": (b"a = " + b"[" * 5_000 + b"]" * 5_000, "nested"),
    "deep tables": (b"a" + b".b" * 5_000 + b" = 1", "dots in one key"),
    "not TOML": (b"<html></html>", "expected a key"),
    "another TOML file": (b'[project]\nname = "x"\n', "nodes: is required but missing"),
    "a list of nodes": (b'name = "x"\nnodes = [1]\n', "nodes"),
    "a node that is no table": (b'name = "x"\n[nodes]\neth = 3\n', "nodes.eth"),
    "an edge that is no table": (b'name = "x"\nedges = [3]\n[nodes.eth]\nkind = "asset"\n', "edges[0]"),
    "no nodes": (b'name = "x"\n[nodes]\n[[shocks]]\nkind = "sale"', "shocks[0]"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_scenario_is_refused(case: str) -> None:
    content, word = FILES[case]
    lines = refused(content)
    assert any(word in line for line in lines), lines


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("gone.toml", "no such file"),
        ("folder", "is a directory"),
        ("nowhere/x.toml", "there is no directory"),
        ("usde-lops", "did you mean"),
        ("bad\0name.toml", "is not a file name"),
        ("", "bad"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(name: str, word: str) -> None:
    Path("folder").mkdir()
    result = invoke("run", name)
    assert (result.exit_code, result.stdout) == (3, "")
    assert word in result.stderr or not name
    assert result.stderr.count("\n") == 1
    assert [item.name for item in Path().iterdir()] == ["folder"]


def test_every_problem_shows_at_once_in_the_order_of_the_lines() -> None:
    text = changed("decimals = 9", "decimalz = 9").replace('horizon = "10min"', "horizon = 10")
    text = text.replace('to = "oracle"', 'to = "orakel"').replace('kind = "sale"', 'kind = "sail"')
    text = text.replace("threshold = 0.8", "threshold = 0.7")
    lines = refused(text)
    assert [line.split(": ")[1] for line in lines] == [
        "horizon", "nodes.eth.decimalz", "nodes.lender.reserves.eth", "edges[0].to", "shocks[0].kind",
    ]  # fmt: skip
    numbers = [int(line.split(":")[1]) for line in lines]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--knock-out", "keepr"], "did you mean 'keeper'?"),
        (["--knock-out", "oracle"], "without oracle: 0 prices edges bring 'eth' here"),
        (["-s", "nodes.pol.fee=0.1"], "did you mean 'pool'?"),
        (["-s", "nodes.pool.feee=0.1"], "did you mean 'fee'?"),
        (["-s", "nodes.pool.fee=high"], "nodes.pool.fee"),
        (["-s", "shocks.7.quantity=1"], "there is no item '7'"),
        (["-s", "shocks.².quantity=1"], "there is no item '²'"),
        (["-s", "name.x=1"], "leads into a plain value"),
        (["-s", "shocks.0=1"], "override 'shocks.0'"),
        (["-s", "nodes=1"], "nodes"),
        (["-s", "shocks.0.quantity=inf"], "shocks[0].quantity"),
    ],
)
def test_an_option_that_does_not_fit_the_scenario_is_refused(options: list[str], word: str) -> None:
    lines = refused(CASCADE, *options)
    assert any(word in line for line in lines), lines


@pytest.mark.parametrize(
    ("goal", "word"),
    [
        ("rounds = 3\ntarget_leverage = 3", "either 'rounds' or 'target_leverage'"),
        ("", "either 'rounds' or 'target_leverage'"),
        ("target_leverage = 9", "needs an ltv above 0.8889"),
        ("rounds = -1", "rounds"),
        ("rounds = 3\nunwind_below = 1.1\nunwind_to = 1.05", "'unwind_to' must lie above"),
        ("rounds = 100\nltv = 0.95", "beyond the loan-to-value"),
    ],
)
def test_a_looper_that_contradicts_itself_is_refused(goal: str, word: str) -> None:
    ltv = "" if "ltv =" in goal else "ltv = 0.7\n"
    looper = f'[nodes.first]\nkind = "looper"\ncollateral = "eth"\ndebt = "usd"\nequity = 10\n{ltv}{goal}'
    text = changed('[nodes.first]\nkind = "account"', looper)
    text = text.replace("collateral = { eth = 500 }\ndebt = { usd = 760_000 }\n", "")
    assert any(word in line for line in refused(text))


ODD = [
    "0", "-1", "1", "1e-30", "1e30", "nan", "inf", "-inf", "true", "0.5", "99999999999999999999", "1979-05-27",
    '""', '"x"', '"eth"', '"usd"', '"pool"', '"lender"', '"oracle"', '"world"', '"80%"', '"-5%"', '"12s"', '"prices"',
    '"sale"', '"looper"', '"a.b"', '"twap"', '"withdrawal"', '"reprice"', '"stableswap"',
    "[]", "{}", "[1]", "[[1]]", '["eth", "eth"]', "{ eth = 1 }", "{ usd = -1 }", "{ x = { y = 1 } }",
]  # fmt: skip
LINES = CASCADE.splitlines()
MUTATION = st.tuples(
    st.sampled_from(["delete", "repeat", "value", "swap", "rename"]),
    st.integers(0, len(LINES) - 1),
    st.sampled_from(ODD),
)


def mutated(mutations: list[tuple[str, int, str]]) -> str:
    lines = list(LINES)
    for what, number, odd in mutations:
        at = number % len(lines)
        key, sign, _ = lines[at].partition("=")
        if what == "delete":
            del lines[at]
        elif what == "repeat":
            lines.insert(at, lines[at])
        elif what == "swap":
            lines[at], lines[at - 1] = lines[at - 1], lines[at]
        elif sign:
            lines[at] = f"{key}= {odd}" if what == "value" else f"x{lines[at]}"
    return "\n".join(lines)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(MUTATION, min_size=1, max_size=3))
def test_any_mutation_runs_or_is_refused_with_a_place(mutations: list[tuple[str, int, str]]) -> None:
    try:
        scenario = loads(mutated(mutations))
    except BadInput as refusal:
        assert all(problem.line >= 1 for problem in refusal.problems)
        return
    assert run(scenario, twins=False).facts["ledger"] == {"max_imbalance": 0}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(MUTATION, min_size=1, max_size=3))
def test_the_command_line_answers_any_mutation_with_0_or_3(mutations: list[tuple[str, int, str]]) -> None:
    Path("mutated.toml").write_text(mutated(mutations), encoding="utf-8")
    assert invoke("validate", "mutated.toml").exit_code in (0, 3)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_or_bytes_are_a_scenario_or_bad_input(content: str | bytes) -> None:
    text = content if isinstance(content, str) else content.decode("latin-1")
    with pytest.raises(BadInput):
        loads(text)
