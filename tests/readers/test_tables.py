"""Tables that a scenario names: nodes and edges of its graph, complaints with the row's line, a run that keeps them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from contagion.errors import BadInput
from contagion.runs import load_run
from contagion.scenario import load
from tests.processes import invoke
from tests.scenarios import CASCADE

SCENARIO = """
name = "own"
horizon = "10min"
nodes_csv = "data/nodes.csv"
exposures_csv = "data/owes.csv"
[nodes.usd]
kind = "asset"
[nodes.eth]
kind = "asset"
price = 2000
[[edges]]
role = "claims"
from = "cy"
to = "ann"
quantity = 1
"""
NODES = "name,kind,balances.usd,balances.eth,sector\nann,account,100.1,2,hedge fund\nbob,,50,,\ncy,,1,1,bank\n"
OWES = "debtor,creditor,amount,asset,latency\nann,bob,0.1,usd,\nbob,cy,3,usd,15min\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    write()
    yield tmp_path


def write(scenario: str = SCENARIO, nodes: str = NODES, owes: str = OWES) -> None:
    for name, text in (("s.toml", scenario), ("data/nodes.csv", nodes), ("data/owes.csv", owes)):
        Path(name).write_text(text, encoding="utf-8")


def refused() -> list[str]:
    with pytest.raises(BadInput) as caught:
        load("s.toml")
    return [str(problem) for problem in caught.value.problems]


def test_rows_become_nodes_and_edges_with_exact_amounts() -> None:
    graph = load("s.toml").graph()
    assert {"ann", "bob", "cy", "usd", "eth"} <= set(graph)
    assert (graph.nodes["ann"]["sector"], graph.nodes["bob"]["kind"]) == ("hedge fund", "account")
    edges = {(a, b, data["role"]): data for a, b, data in graph.edges(data=True)}
    assert str(edges["ann", "bob", "claims"]["quantity"]) == "0.1"
    assert edges["bob", "cy", "claims"]["latency"] == "15min"
    assert str(edges["usd", "ann", "holds"]["quantity"]) == "100.1"
    assert ("eth", "bob", "holds") not in edges
    assert ("cy", "ann", "claims") in edges


def test_every_problem_of_the_tables_shows_with_its_line_and_column() -> None:
    write(
        nodes="name,kind,balances.usd,foo\nann,acount,100,\nbob,,50,3\ncy,,-1,\nusd,,,\n",
        owes="debtor,creditor,amount,asset\nann,bbo,10.1,usd\nbob,cy,3,usdd\n",
    )
    assert refused() == [
        "data/nodes.csv:2: kind: no kind 'acount'; did you mean 'account'?",
        "data/nodes.csv:3: foo: unknown key 'foo'",
        "data/nodes.csv:4: balances.usd.quantity: Input should be greater than or equal to 0 (got -1)",
        "data/nodes.csv:5: name: the scenario states a node of this name itself; expected it in one place",
        "data/owes.csv:2: creditor: there is no node 'bbo'; did you mean 'bob'?",
        "data/owes.csv:3: asset: there is no asset 'usdd'; did you mean 'usd'?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "data/nodes.csv",
            "../nodes.csv",
            "s.toml:4:1: nodes_csv: '../nodes.csv' must lie in the folder of",
        ),
        ("data/nodes.csv", "/etc/passwd", "s.toml:4:1: nodes_csv: '/etc/passwd' must lie in the folder"),
        ("data/nodes.csv", "C:/nodes.csv", "must lie in the folder of the scenario"),
        ("data/nodes.csv", "data/nodes.txt", "must be a file that ends in .csv"),
        ("data/nodes.csv", "data/node.csv", "data/node.csv: no such file; did you mean 'nodes.csv'?"),
        ('"data/nodes.csv"', "3", "nodes_csv"),
        ('"data/nodes.csv"', "[[1]]", "nodes_csv"),
        ("nodes_csv", "node_csv", "s.toml:4:1: node_csv: unknown key 'node_csv'; did you mean 'nodes_csv'?"),
    ],
)
def test_a_file_that_a_scenario_may_not_name_is_refused(old: str, new: str, expected: str) -> None:
    write(scenario=SCENARIO.replace(old, new))
    assert any(expected in text for text in refused()), refused()


@pytest.mark.parametrize(
    ("owes", "expected"),
    [
        (OWES.replace("3,usd", "-3,usd"), "data/owes.csv:3: amount: -3 is below 0"),
        (OWES.replace("ann,bob", "bob,bob"), "data/owes.csv:2: creditor: 'bob' owes itself"),
        (OWES.replace("bob,cy", "ann,bob"), "data/owes.csv:3: a second row for one debtor, creditor and asset"),
        (OWES.replace("latency", "latncy"), "data/owes.csv:3: latncy: unknown key 'latncy'; did you mean 'latency'?"),
        (OWES.replace("15min", "15"), "data/owes.csv:3: latency: "),
        (OWES.replace("ann,bob", "cy,ann"), "data/owes.csv:2: a second edge 'cy:claims:ann'"),
        (OWES.replace("latency", "quantity"), "data/owes.csv:1: states 'quantity', which amount states already"),
        (OWES.replace("latency", "to"), "data/owes.csv:1: states 'to', which creditor states already"),
        (OWES.replace("latency", "role"), "data/owes.csv:1: states 'role', which every row states already"),
        (OWES.replace("15min", "1" * 5_000), "data/owes.csv:3: latency: is a number of 5,000 characters; expected 500"),
    ],
)
def test_exposures_that_are_none_are_refused(owes: str, expected: str) -> None:
    write(owes=owes)
    assert any(text.startswith(expected) for text in refused()), refused()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("100.1", "1" * 5_000, "data/nodes.csv:2: balances.usd: is a number of 5,000 characters; expected 500 at most"),
        ("sector", "path", "data/nodes.csv:1: 'path' is no parameter"),
    ],
)
def test_a_node_that_no_scenario_could_state_is_refused(old: str, new: str, expected: str) -> None:
    write(nodes=NODES.replace(old, new))
    assert any(text.startswith(expected) for text in refused()), refused()


def test_of_very_many_bad_rows_the_first_are_shown_and_the_rest_are_counted() -> None:
    write(owes="debtor,creditor,amount,asset\n" + "".join(f"ann,bob,{n},coin{n}\n" for n in range(2_000)))
    found = refused()
    assert found[0].startswith("data/owes.csv:2: asset: there is no asset 'coin0'")
    assert len(found) == 21 and found[-1] == "data/owes.csv: 3,979 more problems like these"


def test_a_parameter_cannot_be_a_table_and_a_number() -> None:
    write(nodes="name,marks,marks.eth\nann,3,eth\n")
    assert refused() == ["data/nodes.csv:2: marks.eth: is inside a parameter that another column states as a whole"]


def test_a_run_records_the_files_keeps_them_and_can_be_repeated() -> None:
    result = invoke("run", "s.toml", "-o", "out", "--quiet", "--json", "--no-twins")
    assert result.exit_code == 0, result.output
    manifest = json.loads(Path("out/manifest.json").read_text(encoding="utf-8"))
    tables = {table["path"]: table for table in manifest["tables"]}
    assert [(table["rows"], table["form"]) for table in tables.values()] == [(3, "nodes"), (2, "edge list")]
    assert all(manifest["inputs"][name] == table["sha256"] for name, table in tables.items())
    assert Path("out/data/owes.csv").read_text(encoding="utf-8") == OWES
    assert invoke("verify", "out", "--quiet").stdout.startswith("reproduced")
    load_run(Path("out")).save(Path("copy"))
    assert Path("copy/data/nodes.csv").read_text(encoding="utf-8") == NODES
    Path("out/data/nodes.csv").write_text(NODES.replace("50", "60"), encoding="utf-8")
    assert "data/nodes.csv is not the file that was run" in invoke("verify", "out", "--quiet").stdout


def test_an_override_names_another_file_or_changes_what_is_in_one() -> None:
    Path("data/more.csv").write_text(NODES.replace("50", "60"), encoding="utf-8")
    model = load("s.toml", {"nodes_csv": "data/more.csv", "nodes.ann.balances.usd": 7})
    held = {(a, b): str(data["quantity"]) for a, b, data in model.graph().edges(data=True) if data["role"] == "holds"}
    assert (held["usd", "bob"], held["usd", "ann"]) == ("60", "7")


def test_lending_positions_become_the_borrowers_of_a_scenario() -> None:
    start = CASCADE.index('[[edges]]\nrole = "borrows"')
    edges = CASCADE[start:].split("[[edges]]")
    inside = [part for part in edges if 'role = "borrows"' in part]
    rest = CASCADE[:start] + "".join(f"[[edges]]{part}" for part in edges if part.strip() and part not in inside)
    assert len(inside) == 2 and "borrows" not in rest
    own = load(_written("cascade.toml", CASCADE)).graph()
    borrows = [(a, b, data) for a, b, data in own.edges(data=True) if data["role"] == "borrows"]
    rows = ["account,protocol,asset,collateral,debt"]
    for account, protocol, data in borrows:
        rows += [f"{account},{protocol},{asset},{amount}," for asset, amount in data["collateral"].items()]
        rows += [f"{account},{protocol},{asset},,{amount}" for asset, amount in data["debt"].items()]
    Path("positions.csv").write_text("\n".join(rows), encoding="utf-8")
    read = load(_written("read.toml", 'positions_csv = "positions.csv"\n' + rest)).graph()
    assert [(a, b, d["collateral"], d["debt"]) for a, b, d in read.edges(data=True) if d["role"] == "borrows"] == [
        (a, b, d["collateral"], d["debt"]) for a, b, d in borrows
    ]


def _written(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_margin_accounts_become_edges_of_their_exchange() -> None:
    scenario = SCENARIO.replace('exposures_csv = "data/owes.csv"', 'positions_csv = ["data/owes.csv"]')
    rows = "ann,binance,btc-perp,-2,60000,usd,25000\nann,binance,eth-perp,10,,,\nbob,binance,,,,usd,-5\n"
    write(scenario, owes="account,exchange,market,quantity,entry,asset,balance\n" + rows)
    found = refused()
    assert "data/owes.csv:2: exchange: there is no node 'binance'" in found
    assert any(text.startswith("data/owes.csv:2: positions.btc-perp: there is no node 'btc-perp'") for text in found)
    assert "data/owes.csv:4: exchange: there is no node 'binance'" in found
    write(scenario, owes="who,what\n1,2\n")
    assert "the header has neither a protocol nor an exchange" in refused()[0]
