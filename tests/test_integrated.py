"""INT-01 to INT-04: a published cascade of lending and a pool, replayed event by event by the engine."""

from typing import Any

import numpy as np
import pytest

from contagion.study.twins import run
from contagion.units import PRICE_SCALE
from tests.cases import published
from tests.integrated import integrated_graph

CASES = ("INT-01", "INT-02", "INT-03", "INT-04")


@pytest.fixture(scope="module", params=CASES)
def replay(request: pytest.FixtureRequest) -> tuple[dict[str, Any], Any]:
    """Return a case and the run of its graph."""
    case = published(request.param)
    return case, run(integrated_graph(case))


def close(case: dict[str, Any], value: Any) -> Any:
    return pytest.approx(value, rel=case["tolerance"]["rtol"], abs=case["tolerance"]["atol"])


def events_of(result: Any, kind: str) -> np.ndarray:
    return np.flatnonzero(result.tables["events"]["kind"] == result.books.kinds.index(kind))


def test_losses_and_amplification_are_the_published_ones(replay: Any) -> None:
    case, result = replay
    expected, total = case["expected"], result.summary.total_losses
    assert total.net == close(case, expected["net_loss"])
    assert total.exogenous == close(case, expected["L_exo"])
    assert total.endogenous == close(case, expected["L_endo"])
    assert total.amplification == close(case, expected["AF"])
    assert total.gross == close(case, expected["gross_losses"])
    assert total.gains == close(case, expected["gross_gains"])
    assert result.summary.bad_debt == close(case, sum(expected["bad_debt"].values()))


def test_every_balance_sheet_changes_by_the_published_amount(replay: Any) -> None:
    case, result = replay
    accounts = result.accounts.to_pylist()
    change = {row["holder"]: row["equity_end"] - row["equity_start"] for row in accounts}
    for holder, expected in case["expected"]["dE"].items():
        assert change[holder] == close(case, expected), holder


def test_generations_and_canonical_depth_are_the_published_rounds(replay: Any) -> None:
    case, result = replay
    expected, events = case["expected"], result.events.to_pylist()
    liquidations = [row for row in events if row["kind"] == "liquidation"]
    assert {row["node"]: row["generation"] for row in liquidations} == expected["generation"]
    assert result.summary.cascade_depth == expected["D_price_rounds"]
    assert result.summary.cascade_depth_canonical == expected["D_price_rounds"]


def test_every_liquidation_and_sale_has_the_published_size_and_price(replay: Any) -> None:
    case, result = replay
    rows, books = result.tables["events"], result.books
    prices = result.tables["prices"]
    pool = prices["market"] == books.feeds.index("pool")
    postings = result.tables["postings"]
    usd = books.assets.index("usd")
    for event, expected in zip(events_of(result, "liquidation"), case["expected"]["events"], strict=True):
        assert books.holders[rows["node"][event]] == expected["id"]
        assert rows["quantity"][event] / 1e12 == close(case, expected["seized"])
        assert rows["price"][event] / PRICE_SCALE == close(case, expected["oracle"])
        lent = (postings["event"] == event) & (postings["asset"] == usd)
        paid = postings["amount"][lent & (postings["holder"] == books.holders.index("lender"))]
        assert paid.sum() / 1e6 == close(case, expected["repay"])
        sale = event + 1 + int(rows["kind"][event + 1] == books.kinds.index("bad-debt") if expected_bad(case) else 0)
        assert rows["cause"][sale] == event
        assert rows["value"][sale] / 1e6 == close(case, expected["proceeds"])
        after = prices["price"][pool & (prices["event"] == sale)]
        assert after / PRICE_SCALE == close(case, [expected["price_after"]])


def expected_bad(case: dict[str, Any]) -> bool:
    return bool(case["expected"]["bad_debt"])


def test_penalties_are_transfers_from_borrower_to_liquidator(replay: Any) -> None:
    case, result = replay
    expected = case["expected"]
    bonus, rows = case["inputs"]["bonus"], result.tables["events"]
    for event in events_of(result, "liquidation"):
        name = result.books.holders[rows["node"][event]]
        value = rows["value"][event] / 1e6
        assert value * bonus / (1 + bonus) == close(case, expected["liquidation_penalties"][name])


def test_the_system_holds_exactly_what_it_held(replay: Any) -> None:
    case, result = replay
    balances, books = result.tables["balances"], result.books
    for name, decimals, key in (("eth", 12, "ETH_total"), ("usd", 6, "USD_total")):
        inside = (balances["asset"] == books.assets.index(name)) & (balances["holder"] != books.world)
        # Suppliers' cash beyond what is lent stays in the lender; the case counts pool and liquidator only.
        assert balances["balance"][inside].sum() / 10**decimals == close(case, case["expected"][key])
