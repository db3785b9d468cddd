"""`contagion clear` beyond clearing, defaults and distress: thresholds, valuation, shares in each other, fire sales."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contagion.finance.leverage_constraint import indirect_contagion
from contagion.finance.system_fire_sale import system_fire_sale
from tests.cases import published, stressed_banks, third_party
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


def squeezed(case: str) -> list[str]:
    """Write a case of Cifuentes, Ferrucci and Shin after its shock; return the arguments that read it."""
    i = published(case)["inputs"]
    left = [cash - lost for cash, lost in zip(i["c"], i["shock_to_c"], strict=True)]
    own = nodes(cash=left, external_assets=i["e"], external_liabilities=i["d"])
    terms = ["--minimum-ratio", str(i["rstar"]), "--depth", str(1 / i["alpha"])]
    rows = [(LETTERS[bank], *row) for bank, row in enumerate(i["L"])]
    square = [table([("", *LETTERS[: len(rows)]), *rows], "m.csv"), "--orientation", "liability"]
    return [*square, "--nodes", own, "--model", "cifuentes-ferrucci-shin", *terms]


@pytest.mark.parametrize("case", ["CFS-01", "CFS-02", "CFS-03"])
def test_the_published_price_and_payments_come_out_of_a_file(case: str) -> None:
    found, held, expected = cleared(*squeezed(case)), published(case)["inputs"]["e"], published(case)["expected"]
    assert np.array(column(found, "sold")) * held == pytest.approx(expected["s"], rel=1e-8)
    assert column(found, "paid") == pytest.approx(expected["payments"], rel=1e-8)
    assert column(found, "equity") == pytest.approx(expected["equity"], rel=1e-8)
    assert found["totals"]["loss of banks by sales"] == pytest.approx(expected["fire_sale_mtm_loss_total"], rel=1e-8)
    assert f"ends at {expected['price']:.6f} of" in found["notes"][0]
    assert [bank for wave in found["waves"] for bank in wave] == [LETTERS[bank] for bank in expected["defaults"]]
    assert found["depth"] == len(expected["defaults"])


def test_losses_of_banks_are_by_the_price_and_by_who_does_not_pay() -> None:
    found, expected = cleared(*squeezed("CFS-03")), published("CFS-03")["expected"]
    unpaid = (50 - expected["payments"][0]) * 10 / 50  # A owes 50, of which 10 to B
    by_price = [(1 - expected["price"]) * amount for amount in (40, 90, 85)]
    assert column(found, "loss") == pytest.approx([by_price[0], by_price[1] + unpaid, by_price[2]], rel=1e-8)
    assert found["totals"]["loss of banks by defaults"] == pytest.approx(unpaid)
    assert found["totals"]["loss of external creditors"] == pytest.approx(4 * unpaid)


def test_a_panic_is_the_least_solution_and_has_no_rounds() -> None:
    """Worth 100 at first prices, 94 when all is sold, and owing 95."""
    alone = [table([("", "A"), ("A", 0)], "m.csv"), "--orientation", "liability"]
    own = nodes(cash=[0], external_assets=[100], external_liabilities=[95])
    panic = ["--model", "cifuentes-ferrucci-shin", "--minimum-ratio", "0", "--depth", str(1 / 6e-4), "--solution"]
    calm, least = (cleared(*alone, "--nodes", own, *panic, solution) for solution in ("greatest", "least"))
    assert (calm["waves"], calm["depth"], column(calm, "sold")) == ([], 0, [0])
    assert (least["waves"], least["depth"], column(least, "sold")) == ([["A"]], None, [1])
    assert column(least, "loss") == pytest.approx([100 * (1 - np.exp(-0.06))])


def in_steps(case: dict[str, Any], scenario: str) -> list[str]:
    """Write the 48 banks of the stress test of 2018; return the arguments that read them."""
    terms, banks = case["inputs"]["scenarios"][scenario], stressed_banks()
    equity = [row["CET1"] for row in case["inputs"]["banks"]]
    names = [row["id"] for row in case["inputs"]["banks"]]
    held = [
        ("bank", "corporate", "government"),
        *((name, *row) for name, row in zip(names, banks.holdings, strict=True)),
    ]
    rows = zip(names, banks.cash, banks.other, banks.loans, equity, strict=True)
    own = [("name", "cash", "external_assets", "loans", "equity"), *rows]
    impact = -np.log1p(-terms["price_impact"]) / 0.05  # published by the sale of 5% of what is held
    options = ["--shock", str(terms["shock"]), "--seed-asset", "government", "--impact", str(impact)]
    buffer = ["--buffer-ratio", str(terms["lam_buffer"])]
    return [
        table(held, "m.csv"),
        "--orientation",
        "asset",
        "--nodes",
        table(own, "n.csv"),
        "--model",
        "eba-2018",
        *options,
        *buffer,
    ]


@pytest.mark.parametrize("scenario", ["s00_pi5_control", "s20_pi5", "s20_pi1", "s15_pi1", "s15_pi1_targeting"])
def test_the_published_steps_of_the_eba_come_out_of_a_file(scenario: str) -> None:
    case = third_party("FS-01")
    found, expected = cleared(*in_steps(case, scenario)), case["expected"][scenario]
    defaults = [len(wave) for wave in found["waves"]]
    assert [0, *defaults, *[0] * (6 - len(defaults))] == expected["defaults_per_step"]
    assert (found["first_wave"], found["defaults"], found["depth"]) == (1, expected["total_defaults"], None)
    least = min(expected["p_corp"], expected["p_gov"])
    sold = f"{expected['fraction_tradable_sold'][-1]:.2%} of all holdings sold; prices after them are at least"
    assert f"6 steps, a wave each; {sold} {least:.4f} of" in found["notes"][0]


def test_steps_of_sales_say_what_would_have_happened_without_the_shock() -> None:
    case = third_party("FS-01")
    assert "defaults without the shock: 33;" in cleared(*in_steps(case, "s20_pi5"))["notes"][1]
    assert "defaults without the shock: 0;" in cleared(*buffered(), "--shock", "0.1")["notes"][1]


def buffered(**changed: list[float]) -> list[str]:
    """Write two banks with ratios of 5% and 4.5%, of which the shock takes the second below the minimum."""
    own = {"cash": [5, 5], "external_assets": [55, 55], "loans": [20, 20], "equity": [5, 4.5]} | changed
    rest = ["--model", "eba-2018", "--impact", "0.5", "--buffer-ratio", "0.04"]
    return [held([[40, 0], [20, 20]]), "--nodes", nodes(**own), *rest]


def test_a_bank_below_its_buffer_sells_and_one_below_the_minimum_sells_everything() -> None:
    """A fall of 9% of a1 costs B 1.8; its ratio is 2.7 / 98.2, below 3%, and A hears of it by the price of a0."""
    shocked = ["--shock", "0.09", "--seed-asset", "a1"]
    found = cleared(*buffered(), *shocked)
    expected = system_fire_sale(
        np.array([[40, 0], [20, 20]]), *np.array([[5, 5], [55, 55], [20, 20], [75, 75.5]]), price_shock=[0, 0.09],
        impact=-np.expm1(-0.025), buffer=0.04,
    )  # fmt: skip
    assert found["waves"][0] == ["B"]
    assert column(found, "direct") == pytest.approx([0, 1.8])
    assert column(found, "equity") == pytest.approx(expected[-1].equity) and expected[-1].equity[0] < 5
    assert column(found, "loss") == pytest.approx(np.array([5, 4.5]) - expected[-1].equity)
    once = cleared(*buffered(), *shocked, "--steps", "1", "--minimum-ratio", "0.02", "--target-ratio", "0.06")
    assert (once["waves"], column(once, "by sales")) == ([], pytest.approx([0, 0]))
    assert once["options"]["steps"] == 1


LACKING = {
    "no file of nodes": (
        ["cifuentes-ferrucci-shin", "--minimum-ratio", "0.07", "--depth", "9"], {},
        "e.csv: the model needs what a bank can sell of the one asset; expected a column 'external_assets'; give a",
    ),
    "no debts": (
        ["cifuentes-ferrucci-shin", "--minimum-ratio", "0.07", "--depth", "9"], {"cash": [1, 1]},
        "n.csv: the model needs what a bank owes to others than banks; expected a column 'external_liabilities'; add",
    ),
    "no depth": (["cifuentes-ferrucci-shin", "--minimum-ratio", "0.07"], {}, "needs --depth"),
    "no ratio": (["cifuentes-ferrucci-shin", "--depth", "9"], {}, "needs --minimum-ratio"),
    "a ratio of one": (["cifuentes-ferrucci-shin", "--minimum-ratio", "1"], {}, "1.0 is not in the range 0<=x<1"),
    "a market that is too small": (
        ["cifuentes-ferrucci-shin", "--minimum-ratio", "0.07", "--depth", "0.01"],
        {"cash": [1, 1], "external_assets": [9, 5], "external_liabilities": [1, 1]},
        "n.csv: external assets of 14 are 1400 times the depth, which leaves no price; expected a --depth well above",
    ),
    "no loans": (
        ["eba-2018", "--impact", "1", "--buffer-ratio", "0.04"], {"cash": [1, 1], "equity": [1, 1]},
        "n.csv: the model needs what a bank owes and can pay back; expected a column 'loans'; add it, or map",
    ),
    "no shock": (
        ["eba-2018", "--impact", "1", "--buffer-ratio", "0.04"], {"cash": [1, 1], "equity": [1, 1], "loans": [1, 1]},
        "the model needs a shock; expected --shock, or a column 'price_shock'",
    ),
    "more owed than there is": (
        ["eba-2018", "--impact", "1", "--buffer-ratio", "0.04"], {"cash": [1, 1], "equity": [1, 5], "loans": [1, 99]},
        "n.csv: 'B' has more loans and equity (104) than assets (81); expected all that a bank has",
    ),
    "an impact that leaves no price": (
        ["eba-2018", "--impact", "1e9", "--buffer-ratio", "0.04", "--shock", "0.1"],
        {"cash": [1, 1], "equity": [1, 1], "loans": [1, 1]},
        "--impact: 1e+09 leaves no price when 5% is sold; expected a smaller --impact",
    ),
    "a shock of everything": (
        ["eba-2018", "--impact", "1", "--buffer-ratio", "0.04", "--shock", "1"],
        {"cash": [1, 1], "equity": [1, 1], "loans": [1, 1]},
        "--shock: 1 takes a whole price, which nobody could sell at; expected less than 1",
    ),
    "a depth that is hardly a number": (
        ["cifuentes-ferrucci-shin", "--minimum-ratio", "0.07", "--depth", "1e-320"],
        {"cash": [1, 1], "external_assets": [9, 5], "external_liabilities": [1, 1]},
        "n.csv: external assets of 14 are inf times the depth, which leaves no price; expected a --depth well above",
    ),
    "a target below the minimum": (
        ["eba-2018", "--impact", "1", "--buffer-ratio", "0.04", "--minimum-ratio", "0.1", "--shock", "0.1"],
        {"cash": [1, 1], "equity": [1, 1], "loans": [1, 1]},
        "n.csv: --target-ratio: the target of 0.05 is not above the minimum of 0.1; expected",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LACKING)
def test_what_a_model_of_ratios_lacks_is_said_with_file_and_fix(case: str) -> None:
    (model, *options), columns, words = LACKING[case]
    path = held([[40, 40], [0, 80]]) if model == "eba-2018" else edges([[0, 5], [0, 0]])
    own = ["--nodes", nodes(**columns)] if columns else []
    result = invoke(path, "--model", model, *options, *own, "-o", "out")
    assert result.exit_code == (2 if "range" in words or words.startswith("needs") else 3)
    assert words in result.stderr and not result.stdout and not Path("out").exists()


SALES = {
    "no equity": ([], "the model needs equity; expected a column 'equity'; give a file of nodes with --nodes"),
    "no depth": (["--nodes", "n.csv"], "h.csv: the model needs how deep markets are; expected --depth, or a column"),
    "no shock": (["--nodes", "n.csv", "--depth", "9"], "the model needs a shock; expected --shock, or a column"),
    "another asset": (
        ["--nodes", "n.csv", "--depth", "9", "--shock", "0.1", "--seed-asset", "b0"],
        "--seed-asset: there is no asset 'b0'; expected a name of the file",
    ),
    "an asset not in the file": (["--nodes", "n.csv", "--assets", "b.csv"], "there is no asset 'a1'"),
    "a fall beyond the whole price": (
        ["--nodes", "n.csv", "--assets", "f.csv"],
        "f.csv: price_shock: 'a1' falls by 1.5 of its price; expected 0 to 1; is it a percentage?",
    ),
    "an asset for a shock that is not there": (
        ["--nodes", "n.csv", "--assets", "f.csv", "--seed-asset", "a0"],
        "--seed-asset: says where --shock falls, and there is none; expected --shock, or the column 'price_shock'",
    ),
    "a liability": (["--orientation", "liability"], "expected --orientation asset"),
}


@pytest.mark.parametrize("case", SALES)
def test_what_a_fire_sale_lacks_is_said_with_file_and_fix(case: str) -> None:
    options, words = SALES[case]
    path, _ = held([[40, 40], [0, 80]]), nodes(equity=[9, 20])
    table([("name", "depth"), ("a0", 5)], "b.csv")
    table([("name", "depth", "price_shock"), ("a0", 5, 0.1), ("a1", 5, 1.5)], "f.csv")
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
