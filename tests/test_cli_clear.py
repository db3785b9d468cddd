"""`contagion clear`: a file of one's own through a classical model, with where the figures are from."""

import csv
import json
from pathlib import Path

import pytest

from contagion.cli.models import MODELS
from tests.cases import published
from tests.exposure_files import LETTERS, cleared, column, edges, invoke, letters, nodes, table, transposed

pytestmark = pytest.mark.usefixtures("empty")

EN, FF, DR, RV = (published(case) for case in ("EN-01", "FF-01", "DR-01", "RV-01"))


def banks() -> list[dict[str, str]]:
    return list(csv.DictReader(Path("out/banks.csv").read_text(encoding="utf-8").splitlines()))


def example() -> list[str]:
    """Write the example of Elsinger, Lehar and Summer; return the arguments that read it."""
    inputs = EN["inputs"]
    own = nodes(cash=inputs["e"], external_liabilities=inputs["d"], equity=[1, 1, 0.5])
    return [edges(inputs["L"]), "--nodes", own]


def test_the_published_clearing_vector_comes_out_of_a_file() -> None:
    found = cleared(*example(), "--model", "eisenberg-noe")
    assert found["waves"] == letters(EN["expected"]["waves"])
    assert found["depth"] == EN["expected"]["D_FD"]
    assert column(found, "paid") == pytest.approx(EN["expected"]["p"], rel=1e-9)
    assert column(found, "equity") == pytest.approx(EN["expected"]["equity"], abs=1e-9)
    assert sum(column(found, "loss")) == pytest.approx(4 + 4 - 28 / 15 - 52 / 15)


def test_the_published_default_costs_come_out_of_a_file() -> None:
    inputs, expected = RV["inputs"], RV["expected"]
    own = nodes(external_assets=inputs["e"], external_liabilities=inputs["d"])
    options = ["--alpha", str(inputs["alpha"]), "--beta", str(inputs["beta"])]
    found = cleared(edges(inputs["L"]), "--nodes", own, "--model", "rogers-veraart", *options)
    assert column(found, "paid") == pytest.approx(expected["p_greatest"], rel=1e-9)
    assert found["waves"] == letters(expected["waves"])
    assert found["totals"]["deadweight"] == pytest.approx(expected["deadweight"], rel=1e-9)


def test_the_published_default_cascade_comes_out_of_a_file() -> None:
    inputs, expected = FF["inputs"], FF["expected"]
    own = nodes(equity=inputs["capital"])
    seed = ["--seed-bank", LETTERS[inputs["initial"][0]], "--lgd", str(inputs["LGD"])]
    found = cleared(edges(transposed(inputs["X"])), "--nodes", own, "--model", "furfine", *seed)
    assert found["waves"] == letters(expected["waves"])
    assert (found["first_wave"], found["depth"]) == (0, expected["depth"])
    assert column(found, "loss") == expected["loss"]
    assert found["totals"]["loss of equity, seeds apart"] == expected["equity_loss_nonseed"]
    assert found["totals"]["loss beyond equity, seeds apart"] == expected["excess_over_capital_nonseed"]


@pytest.mark.parametrize(("model", "family"), [("debtrank", "differential"), ("debtrank-2012", "single_hit")])
def test_the_published_distress_comes_out_of_a_file(model: str, family: str) -> None:
    inputs = DR["inputs"]
    expected = next(part for key, part in DR["expected"].items() if key.startswith(family[:6]))
    path, own = edges(transposed(inputs["X"])), nodes(equity=inputs["buffer"])
    for case, options in {"default_c": ["--seed-bank", "C", "--shock", "1"], "u10": ["--shock", "0.1"]}.items():
        found = cleared(path, "--nodes", own, "--model", model, *options)
        capped = [min(1, stress) for stress in expected[case]["s_final"]]
        assert column(found, "distress") == pytest.approx(capped, rel=1e-9)


def test_distress_has_waves_by_who_failed_them_and_no_depth() -> None:
    path, own = edges(transposed(DR["inputs"]["X"])), nodes(equity=DR["inputs"]["buffer"])
    arguments = [path, "--nodes", own, "--model", "debtrank", "--shock", "1", "--seed-bank", "C"]
    found = cleared(*arguments)
    assert (found["first_wave"], found["waves"], found["depth"]) == (0, [["C"], ["B"]], None)
    assert invoke(*arguments).stdout.splitlines()[0] == "debtrank: 2 defaults (3 banks, 5 exposures)"


def test_every_form_of_a_file_gives_the_same_answer() -> None:
    path, _, own = example()
    base = cleared(path, "--nodes", own, "--model", "eisenberg-noe")
    owes = EN["inputs"]["L"]
    for orientation, matrix in (("liability", owes), ("asset", transposed(owes))):
        rows = [(LETTERS[i], *row) for i, row in enumerate(matrix)]
        square = table([("", *LETTERS[:3]), *rows], "m.csv")
        found = cleared(square, "--orientation", orientation, "--nodes", own, "--model", "eisenberg-noe")
        assert found["nodes"] == base["nodes"]
    graph = {
        "directed": True, "nodes": [{"id": letter, "cash": 1} for letter in "ABC"],
        "links": [{"source": LETTERS[i], "target": LETTERS[j], "amount": owes[i][j]}
                  for i in range(3) for j in range(3) if owes[i][j]],
    }  # fmt: skip
    Path("g.json").write_text(json.dumps(graph), encoding="utf-8")
    assert cleared("g.json", "--orientation", "liability", "--model", "eisenberg-noe")["nodes"] == base["nodes"]


def test_an_orientation_turned_round_is_another_answer() -> None:
    rows = [(LETTERS[i], *row) for i, row in enumerate(EN["inputs"]["L"])]
    square = table([("", *LETTERS[:3]), *rows], "m.csv")
    own = nodes(cash=[1, 1, 1])
    both = [
        cleared(square, "--orientation", o, "--nodes", own, "--model", "eisenberg-noe") for o in ("asset", "liability")
    ]
    assert both[0]["waves"] != both[1]["waves"]


def totals() -> str:
    return nodes(interbank_assets=[6, 1, 3], interbank_liabilities=[2, 4, 4], cash=[1, 1, 1])


@pytest.mark.parametrize("method", ["maximum-entropy", "minimum-density"])
def test_exposures_made_from_totals_are_marked_in_every_output(method: str) -> None:
    arguments = [totals(), "--reconstruct", method, "--model", "eisenberg-noe"]
    said = method.replace("-", " ")
    assert cleared(*arguments)["reconstructed"].startswith(said)
    result = invoke(*arguments, "-o", "out")
    assert f"reconstructed by {said}" in result.stdout.splitlines()[1]
    rows = banks()
    assert all(row["reconstructed"].startswith(said) for row in rows)
    assert json.loads(Path("out/clearing.json").read_text(encoding="utf-8"))["reconstructed"].startswith(said)
    manifest = json.loads(Path("out/manifest.json").read_text(encoding="utf-8"))
    assert f"--reconstruct {method}" in manifest["command"] and manifest["status"] == "complete"


def test_observed_exposures_are_not_marked() -> None:
    arguments = [*example(), "--model", "eisenberg-noe"]
    assert cleared(*arguments)["reconstructed"] is None
    assert "reconstructed" not in invoke(*arguments).stdout


def test_the_table_says_who_when_how_much_and_from_where() -> None:
    text = invoke(*example(), "--model", "eisenberg-noe", "--unit", "EUR m").stdout
    assert text.splitlines()[0] == "eisenberg-noe: 2 defaults, depth 2 (3 banks, 5 exposures)"
    words = ("wave", "in all (EUR m)", "who loses most", "46.7%", "e.csv: edge list, 5 rows, sha256", "n.csv: nodes")
    for part in words:
        assert part in text


def test_a_directory_has_a_row_a_bank_and_is_never_written_over() -> None:
    arguments = [*example(), "--model", "eisenberg-noe", "--columns", "debtor=debtor,amount=amount", "-o", "out"]
    assert invoke(*arguments).exit_code == 0
    rows = banks()
    assert [(row["name"], row["wave"], row["reconstructed"]) for row in rows] == [
        ("A", "", "no"), ("B", "1", "no"), ("C", "2", "no"),
    ]  # fmt: skip
    manifest = json.loads(Path("out/manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["inputs"]) == {"e.csv", "n.csv"}
    assert "--columns debtor=debtor,amount=amount" in manifest["command"]
    assert invoke(*arguments).exit_code == 2


def test_several_clearing_vectors_are_said_to_be_several() -> None:
    path, own = edges([[0, 1], [1, 0]]), nodes(cash=[0, 0])
    found = {
        s: cleared(path, "--nodes", own, "--model", "eisenberg-noe", "--solution", s) for s in ("greatest", "least")
    }
    assert [column(part, "paid") for part in found.values()] == [[1, 1], [0, 0]]
    assert all("more than one clearing vector" in part["notes"][0] for part in found.values())


def test_equity_is_assets_less_liabilities_where_there_is_no_such_column() -> None:
    path = edges([[0, 5], [0, 0]])
    own = nodes(external_assets=[10, 4], external_liabilities=[2, 1])
    found = cleared(path, "--nodes", own, "--model", "furfine", "--seed-bank", "A", "--lgd", "0.5")
    assert column(found, "equity before") == [3, 8]
    assert "assets less liabilities" in found["notes"][0]


USAGE = {
    "no model": ([], "Missing option '--model'"),
    "another model": (["--model", "noe"], "is not one of"),
    "an option of another model": (
        ["--model", "eisenberg-noe", "--lgd", "1"],
        "has no --lgd: it is an option of",
    ),
    "an option left out": (["--model", "rogers-veraart", "--alpha", "1"], "needs --beta"),
    "a share above 1": (["--model", "rogers-veraart", "--alpha", "1.5", "--beta", "1"], "not in the range"),
    "no pair": (["--model", "eisenberg-noe", "--columns", "debtor"], "is not OURS=TITLE"),
    "a title for two columns": (
        ["--model", "eisenberg-noe", "--columns", "debtor=creditor,creditor=creditor"],
        "'creditor' is the title of both debtor and creditor",
    ),
    "two titles for a column": (
        ["--model", "eisenberg-noe", "--columns", "debtor=A,debtor=B"],
        "two titles for 'debtor'",
    ),
    "no share": (["--model", "rogers-veraart", "--alpha", "nan", "--beta", "1"], "nan is not a number"),
    "a seed of nothing": (["--model", "eisenberg-noe", "--seed", "1"], "--seed is of --reconstruct minimum-density"),
    "another column": (["--model", "eisenberg-noe", "--columns", "debtr=X"], "did you mean 'debtor'?"),
}


@pytest.mark.parametrize("case", USAGE)
def test_options_that_do_not_go_together_are_a_usage_error(case: str) -> None:
    options, words = USAGE[case]
    result = invoke(*example()[:1], *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


INPUT = {
    "no nodes": ([], "e.csv: the model needs what each bank has outside the network; expected a column 'cash'"),
    "unknown seed": (["--model", "furfine", "--seed-bank", "Bx", "--lgd", "1"], "there is no node 'Bx'; did you mean"),
    "no equity": (
        ["--model", "furfine", "--seed-bank", "B", "--lgd", "1"],
        "the model needs equity; expected",
    ),
    "no such file": (["--nodes", "x.csv"], "x.csv: no such file"),
    "a title that no file has": (
        ["--nodes", "n.csv", "--columns", "cash=Kasse"],
        "n.csv:1: there is no column 'Kasse'",
    ),
    "a title that nothing reads": (
        ["--columns", "cash=Kasse"],
        "a title for 'cash', which is read from none of the files",
    ),
    "a title for a matrix": (
        ["--orientation", "asset", "--columns", "amount=X"],
        "a title for 'amount', which is read",
    ),
    "a graph without orientation": (["g.json"], "expected an orientation"),
}


@pytest.mark.parametrize("case", INPUT)
def test_input_that_a_model_cannot_use_is_refused(case: str) -> None:
    options, words = INPUT[case]
    path, _, _ = example()
    if options == ["g.json"]:
        options, path = [], "g.json"
        Path(path).write_text("{}", encoding="utf-8")
    model = [] if "--model" in options else ["--model", "eisenberg-noe"]
    result = invoke(path, *model, *options, "-o", "out")
    assert (result.exit_code, result.stdout) == (3, "")
    assert words in result.stderr and "Traceback" not in result.stderr
    assert not Path("out").exists()


def test_a_bank_without_equity_is_named() -> None:
    path, own = edges([[0, 5], [0, 0]]), nodes(equity=[1, -3])
    result = invoke(path, "--nodes", own, "--model", "debtrank", "--shock", "0.1")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "n.csv: equity: 'B' (-3) before any shock; expected every bank's above 0" in result.stderr


@pytest.mark.parametrize("unit", ["=1+1", "EUR\x1b[31m", "x" * 201])
def test_a_unit_that_could_not_be_a_name_is_a_usage_error(unit: str) -> None:
    result = invoke(*example(), "--model", "eisenberg-noe", "--unit", unit, "-o", "out")
    assert result.exit_code == 2 and "say a unit, such as 'EUR m'" in result.stderr
    assert not Path("out").exists()


def test_every_problem_of_a_file_shows_at_once_and_nothing_is_written() -> None:
    Path("bad.csv").write_text("debtor,creditor,amount\nA,A,1\nA,B\n=A,B,x\n", encoding="utf-8")
    result = invoke("bad.csv", "--model", "eisenberg-noe", "-o", "out")
    assert (result.exit_code, result.stdout) == (3, "")
    assert [line.split(":")[1] for line in result.stderr.splitlines()] == ["2", "3", "4", "4"]
    assert not Path("out").exists()


def test_help_names_every_model() -> None:
    text = invoke("--help").stdout
    assert all(name in text for name in MODELS)
