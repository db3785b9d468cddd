"""What the summary says of loans, whom they hang on, and prices: a line only where it says something."""

from typing import Any

import contagion as cg
from contagion.terminal.standing import standing, ties
from contagion.words import money
from tests.scenarios import CASCADE

NOTHING = {"debt": 0.0, "breached": 0.0, "within": dict.fromkeys(("3%", "5%", "10%", "20%"), 0.0)}
QUIET: dict[str, Any] = {
    "debt_at_risk": {"start": NOTHING, "end": NOTHING}, "concentration": {}, "wrong_way": {}, "price_dependence": {},
}  # fmt: skip


def lines(**facts: Any) -> list[str]:
    return list(standing(QUIET | facts, money))


def near(debt: float, five: float, breached: float = 0.0) -> dict[str, Any]:
    return {"debt": debt, "breached": breached, "within": {"3%": 0.0, "5%": five, "10%": five, "20%": five}}


def test_a_system_without_loans_says_nothing() -> None:
    assert lines() == []


def test_debt_near_liquidation_is_said_for_both_ends_and_what_is_in_breach_if_anything_is() -> None:
    text = "debt that a further fall of 5% would liquidate: 20.0 of 100 → 50.0 of 90.0"
    assert lines(debt_at_risk={"start": near(100, 20), "end": near(90, 50)}) == [text]
    assert lines(debt_at_risk={"start": near(100, 20), "end": near(90, 50, 30)}) == [f"{text}, 30.0 in breach"]
    assert lines(debt_at_risk={"start": near(100, 0), "end": near(90, 0)}) == []


def test_what_is_open_at_exchanges_is_said_by_the_direction_that_would_liquidate_it() -> None:
    none, some = dict.fromkeys(("3%", "5%", "10%", "20%"), 0.0), {"3%": 0.0, "5%": 20.0, "10%": 20.0, "20%": 30.0}
    still = {"open": 100.0, "breached": 0.0, "falls": none, "rises": none}
    text = "open at exchanges that a further {} of 5% would liquidate: 0 of 100 → 20.0 of 100"
    assert lines(margins_at_risk=None) == lines(margins_at_risk={"start": still, "end": still}) == []
    for key, word in (("falls", "fall"), ("rises", "rise")):
        assert lines(margins_at_risk={"start": still, "end": still | {key: some}}) == [text.format(word)]


def test_few_debtors_are_named_where_they_owe_half() -> None:
    few = {"number": 40, "largest": 0.3, "top": 0.6, "hhi": 0.2, "name": "whale"}
    text = "the 5 largest of 40 debtors of aave owe 60%"
    assert lines(concentration={"aave": {"debtors": few}}) == [f"{text}, whale alone 30%"]
    assert lines(concentration={"aave": {"debtors": few | {"name": None}}}) == [text]
    for spread in ({"top": 0.4}, {"number": 5}):
        assert lines(concentration={"aave": {"debtors": few | spread}}) == []


def test_wrong_way_collateral_is_said_by_its_reason() -> None:
    row = {"pledged": 200.0, "market": 100.0, "issuer": 20.0}
    assert lines(wrong_way={"aave": row}) == [
        "of the collateral at aave, 50% is sold where it is marked and 10% is the borrower's own token"
    ]
    assert lines(wrong_way={"aave": row | {"market": 0.0, "issuer": 0.0}}) == []
    assert lines(wrong_way={"aave": {"pledged": 0.0, "market": 0.0, "issuer": 0.0}}) == []


def test_the_price_on_which_most_hang_is_said_where_many_do() -> None:
    reach = {"pool": {"readers": 2, "reach": 6}, "oracle": {"readers": 4, "reach": 4}}
    assert lines(price_dependence=reach) == ["6 nodes hang on the price of pool, more than on any other"]
    assert lines(price_dependence={"oracle": reach["oracle"]}) == []


def test_a_run_has_all_that_is_read_here() -> None:
    found = list(standing(cg.run(cg.loads(CASCADE), twins=False).facts, money))
    assert found[0].startswith("debt that a further fall of 5% would liquidate: 0 of 1.49M → ")
    assert found[1] == "of the collateral at lender, 100% is sold where it is marked"


def test_where_no_order_changes_anything_that_is_said() -> None:
    found = {"orders": 1, "distinct": 1, "figures": {}, "errors": []}
    assert ties(found, money) == "over 1 random order of what is simultaneous: always the same"
    assert ties(found | {"errors": ["a"]}, money).endswith(": always the same; runs that failed are left out")
    nothing = {key: {"low": None, "high": None} for key in ("total_losses.net", "cascade_depth")}
    text = ties({"orders": 2, "distinct": 0, "figures": nothing, "errors": ["a"]}, money)
    assert text.endswith("; runs that failed are left out")
