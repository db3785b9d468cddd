"""`contagion clear` beyond clearing, defaults and distress: thresholds, valuation, shares in each other, fire sales."""

import csv
from pathlib import Path

import numpy as np
import pytest

from contagion.finance.leverage_constraint import indirect_contagion
from tests.cases import published
from tests.exposure_files import LETTERS, cleared, column, edges, invoke, letters, nodes, table, transposed

pytestmark = pytest.mark.usefixtures("empty")


def test_a_share_of_failed_debtors_fails_a_bank_round_by_round() -> None:
    """D owes to A, B, C; C has two debtors and needs both at a threshold above a half."""
    owes = [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [5, 2, 2, 0]]
    options = ["--model", "threshold", "--seed-bank", "D"]
    found = cleared(edges(owes), *options, "--threshold", "0.6")
    assert found["waves"] == [["D"], ["A", "B"], ["C"]]
    assert column(found, "loss") == [5, 2, 3, 0]
    assert column(found, "needed") == [1, 1, 2, 1]
    alone = cleared(
        edges([[0, 0, 0], [0, 0, 1], [1, 1, 0]]), "--model", "threshold", "--seed-bank", "A", "--threshold", "0.6"
    )
    assert alone["waves"] == [["A"]]


@pytest.mark.parametrize(("share", "says"), [("1", "100%"), ("0.6", "60%"), ("0.125", "12.5%")])
def test_a_threshold_is_said_as_a_share_of_all_debtors(share: str, says: str) -> None:
    found = cleared(edges([[0, 1], [0, 0]]), "--model", "threshold", "--seed-bank", "A", "--threshold", share)
    assert f"a bank fails when {says} of its debtors have failed, by number" in found["notes"][0]


def test_a_threshold_of_nothing_is_no_share() -> None:
    result = invoke(edges([[0, 1], [0, 0]]), "--model", "threshold", "--seed-bank", "A", "--threshold", "0")
    assert (result.exit_code, "state a share above 0" in result.stderr) == (2, True)


def ring() -> list[str]:
    """Write the ring of three banks of Barucca and others, their figure 2."""
    path = edges([[0, 0, 0.5], [0.5, 0, 0], [0, 0.5, 0]])
    return [path, "--nodes", nodes(external_assets=[10, 5, 3], external_liabilities=[9, 4, 2]), "--model", "neva"]


@pytest.mark.parametrize(("valuation", "key"), [("eisenberg-noe", "en"), ("debtrank", "ldr"), ("furfine", "fur")])
@pytest.mark.parametrize("shock", ["0.05", "0.15", "0.3"])
def test_the_published_valuations_come_out_of_a_file(shock: str, valuation: str, key: str) -> None:
    found = cleared(*ring(), "--shock", shock, "--valuation", valuation)
    expected = published("NV-01")["expected"][shock][key]
    assert column(found, "equity") == pytest.approx(expected, abs=1e-8)
    assert sorted(name for wave in found["waves"] for name in wave) == [
        LETTERS[bank] for bank, equity in enumerate(expected) if equity <= 0
    ]


def test_a_shock_to_one_bank_alone_is_the_others_loss_by_the_network() -> None:
    found = cleared(*ring(), "--shock", "0.3", "--valuation", "furfine", "--seed-bank", "A")
    assert column(found, "shock") == [3, 0, 0]
    assert found["totals"]["loss of equity by the shock"] == 3
    assert found["totals"]["loss of equity by the network"] == pytest.approx(0.5)


def test_the_published_cross_holdings_come_out_of_a_file() -> None:
    inputs, expected = published("EGJ-02")["inputs"], published("EGJ-02")["expected"]
    own = nodes(external_assets=inputs["Dp_before"], failure_cost=inputs["beta"])
    options = ["--model", "cross-holdings", "--threshold", "0.9", "--seed-bank", "A", "--shock", "0.35"]
    found = cleared(edges(transposed(inputs["C"])), "--nodes", own, *options)
    assert column(found, "value before") == pytest.approx(expected["v_before"])
    assert column(found, "value") == pytest.approx(expected["v_after"])
    assert found["waves"] == letters(expected["waves"])


def held(matrix: list[list[float]], name: str = "h.csv") -> str:
    """Write what each bank holds of each asset as a list."""
    rows = [(LETTERS[i], f"a{k}", amount) for i, row in enumerate(matrix) for k, amount in enumerate(row) if amount]
    return table([("bank", "asset", "amount"), *rows], name)


def vulnerable() -> list[str]:
    """Write GLT-01 as files; return the arguments that read it."""
    i = published("GLT-01")["inputs"]
    matrix = [[share * size for share in row] for row, size in zip(i["M"], i["a"], strict=True)]
    own = nodes(equity=[size / (1 + leverage) for size, leverage in zip(i["a"], i["B"], strict=True)])
    rows = [(f"a{k}", 1 / impact, -fall) for k, (impact, fall) in enumerate(zip(i["l"], i["F1"], strict=True))]
    kinds = table([("name", "depth", "price_shock"), *rows], "a.csv")
    return [held(matrix), "--nodes", own, "--assets", kinds, "--model", "greenwood-landier-thesmar"]


def test_the_published_vulnerabilities_come_out_of_a_file_of_holdings() -> None:
    found, expected = cleared(*vulnerable()), published("GLT-01")["expected"]
    assert column(found, "by sales") == pytest.approx(expected["loss2"])
    assert column(found, "systemicness") == pytest.approx(expected["S"])
    assert "3.02% of all equity" in found["notes"][0] and "0.182" in found["notes"][1]
    assert (found["banks"], found["links"], found["exposures"]) == (3, 7, pytest.approx(3000))
    assert (
        invoke(*vulnerable()).stdout.splitlines()[0]
        == "greenwood-landier-thesmar: nobody defaults (3 banks, 7 holdings)"
    )


def test_a_matrix_of_holdings_says_the_same_as_a_list() -> None:
    path, *rest = vulnerable()
    with open(path, encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    cells = {(row["bank"], row["asset"]): row["amount"] for row in rows}
    matrix = [(bank, *(cells.get((bank, f"a{k}"), 0) for k in (2, 0, 1))) for bank in "BAC"]
    square = table([("", "a2", "a0", "a1"), *matrix], "m.csv")
    assert cleared(square, "--orientation", "asset", *rest)["nodes"] == cleared(path, *rest)["nodes"]


def test_banks_beyond_their_leverage_limit_sell_as_in_the_published_rounds() -> None:
    """CS-02 but with prices that may fall to nothing, which takes more rounds."""
    i = published("CS-02")["inputs"]
    expected = indirect_contagion(
        np.array(i["q"]), np.array(i["illiquid"]), np.array(i["E0"]), np.array(i["depth"]), i["lam_max"], i["lam_b"],
        price_shock=i["shock_price"],
    )  # fmt: skip
    own = nodes(external_assets=i["illiquid"], equity=i["E0"])
    rows = [(f"a{k}", *facts) for k, facts in enumerate(zip(i["depth"], i["shock_price"], strict=True))]
    kinds = table([("name", "depth", "price_shock"), *rows], "a.csv")
    limits = ["--max-leverage", str(i["lam_max"]), "--target-leverage", str(i["lam_b"])]
    found = cleared(held(i["q"]), "--nodes", own, "--assets", kinds, "--model", "cont-schaanning", *limits)
    assert column(found, "equity") == pytest.approx(expected.equity)
    assert column(found, "direct") == pytest.approx(np.array(i["E0"]) - published("CS-02")["expected"]["E_after_shock"])
    assert found["notes"][0].startswith(f"rounds of sales: {len(expected.rounds)};") and found["depth"] is None
    assert found["totals"]["loss by sales"] == pytest.approx(expected.loss) and expected.loss > 0


def test_the_failed_sell_what_they_hold_and_fail_others() -> None:
    path, own = held([[40, 40], [0, 80], [80, 0]]), nodes(equity=[9, 20, 25])
    options = ["--model", "caccioli", "--impact", "1.0536"]
    found = cleared(path, "--nodes", own, *options, "--seed-bank", "A")
    assert (found["waves"], found["depth"]) == ([["A"], ["B"]], 1)
    assert column(found, "loss") == pytest.approx([37.89907163, 52.10558095, 23.69256231])
    by_price = cleared(path, "--nodes", own, *options, "--shock", "0.3", "--seed-asset", "a1")
    assert by_price["waves"] == [[], ["A", "B"]]
    assert column(by_price, "direct") == pytest.approx([12, 24, 0])


SALES = {
    "no equity": ([], "the model needs equity; expected a column 'equity'; give a file of banks with --nodes"),
    "no depth": (["--nodes", "n.csv"], "h.csv: the model needs how deep markets are; expected --depth, or a column"),
    "no shock": (["--nodes", "n.csv", "--depth", "9"], "the model needs a shock; expected --shock, or a column"),
    "another asset": (
        ["--nodes", "n.csv", "--depth", "9", "--shock", "0.1", "--seed-asset", "b0"],
        "--seed-asset: there is no asset 'b0'; expected a name of the file",
    ),
    "an asset not in the file": (["--nodes", "n.csv", "--assets", "b.csv"], "there is no asset 'a1'"),
    "a liability": (["--orientation", "liability"], "expected --orientation asset"),
}


@pytest.mark.parametrize("case", SALES)
def test_what_a_fire_sale_lacks_is_said_with_file_and_fix(case: str) -> None:
    options, words = SALES[case]
    path, _ = held([[40, 40], [0, 80]]), nodes(equity=[9, 20])
    table([("name", "depth"), ("a0", 5)], "b.csv")
    result = invoke(path, "--model", "greenwood-landier-thesmar", *options, "-o", "out")
    assert (result.exit_code, result.stdout) == (3, "")
    assert words in result.stderr and "Traceback" not in result.stderr and not Path("out").exists()


def test_problems_of_a_file_of_holdings_show_with_their_lines() -> None:
    Path("h.csv").write_text("bank,asset,amount\nA,x,1\nA,x,2\nB,y,-1\n", encoding="utf-8")
    result = invoke("h.csv", "--model", "caccioli", "--impact", "1", "--seed-bank", "A")
    assert result.exit_code == 3
    assert "h.csv:3: a second row for 'A' and 'x', after line 2" in result.stderr and "h.csv:4: amount" in result.stderr


def test_a_matrix_of_holdings_without_an_asset_is_refused() -> None:
    Path("h.csv").write_text("bank\nA\nB\n", encoding="utf-8")
    result = invoke("h.csv", "--orientation", "asset", "--model", "caccioli", "--impact", "1", "--seed-bank", "A")
    assert result.exit_code == 3 and "has one column; expected the banks beside a column for each" in result.stderr


def test_what_a_model_of_exposures_lacks_is_said_with_file_and_fix() -> None:
    path, own = edges([[0, 5], [0, 0]]), nodes(external_assets=[9, 9])
    shocked = ["--nodes", own, "--shock", "0.1"]
    for options, words in (
        (
            ["--model", "neva", "--valuation", "furfine"],
            "n.csv: the model needs all that a bank owes; expected",
        ),
        (["--model", "cross-holdings", "--threshold", "0.9"], "n.csv: the model needs what a failure costs; expected"),
    ):
        result = invoke(path, *shocked, *options)
        assert (result.exit_code, result.stdout) == (3, "")
        assert words in result.stderr
    shares = invoke(path, "--nodes", nodes(external_assets=[9, 9], failure_cost=[0, 0]), "--model", "cross-holdings",
                    "--threshold", "0.9", "--shock", "0.1")  # fmt: skip
    assert shares.exit_code == 3 and "e.csv: cross-holdings: holdings[1, 0] is 5.0, expected a share" in shares.stderr


def test_options_of_the_other_kind_of_file_are_a_usage_error() -> None:
    for arguments, words in (
        (["e.csv", "--model", "eisenberg-noe", "--assets", "a.csv"], "--assets is of the models of holdings"),
        (["h.csv", "--model", "caccioli", "--impact", "1", "--reconstruct", "maximum-entropy"], "reads holdings"),
    ):
        result = invoke(*arguments)
        assert (result.exit_code, result.stdout) == (2, "") and words in result.stderr
