from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from contagion.finance.adl import RANKINGS, cuts, queue, scores
from contagion.finance.margin import share_out
from tests.cases import published

Floats = NDArray[np.float64]

AMOUNTS = st.lists(st.integers(-(10**6), 10**9) | st.integers(-5, 5) | st.integers(0, 2**62), max_size=20)
TOTAL = st.integers(0, 10**10) | st.integers(0, 20) | st.integers(0, 2**62)
RANKED = ("binance", "bitmex", "hyperliquid")


def traders(case: dict[str, Any]) -> dict[str, Floats]:
    """Return the arguments of `scores` for the published traders."""
    rows = case["inputs"]["traders"]
    quantity = np.array([row["side"] * row["q"] for row in rows])
    entry_value = quantity * np.array([row["entry"] for row in rows])
    margin = np.array([row["margin"] for row in rows])
    mark = np.float64(case["inputs"]["mark"])
    equity = margin + quantity * mark - entry_value
    return {"quantity": quantity, "entry_value": entry_value, "mark": mark, "equity": equity}


def test_the_published_queue_is_worked_off_from_the_top() -> None:
    case = published("ADL-01")
    inputs, expected = case["inputs"], case["expected"]
    names, quantities, ranks = (np.array(column) for column in zip(*inputs["accounts"], strict=True))
    taken = queue(ranks.astype(float), quantities, inputs["adl_qty"])
    assert {str(names[n]): int(taken[n]) for n in np.flatnonzero(taken)} == expected["filled"]
    left = {str(names[n]): int(quantities[n] - taken[n]) for n in np.flatnonzero(taken) if quantities[n] > taken[n]}
    assert left == expected["remaining"]
    # Whoever comes next in the order is reached when the target grows to everything before it and one more.
    order, ends = (
        expected["order"],
        np.cumsum([dict(zip(names, quantities, strict=True))[n] for n in expected["order"]]),
    )
    for end, last in zip(ends, order, strict=True):
        assert queue(ranks.astype(float), quantities, int(end))[names == last] > 0
        assert not queue(ranks.astype(float), quantities, int(end - quantities[names == last][0]))[names == last]


def test_the_published_traders_come_out() -> None:
    case = published("ADL-02")
    facts, rows, rtol = traders(case), case["expected"]["traders"], case["tolerance"]["rtol"]
    profit = facts["quantity"] * facts["mark"] - facts["entry_value"]
    assert profit == pytest.approx([row["pnl"] for row in rows], rel=rtol)
    assert facts["equity"] == pytest.approx([row["equity"] for row in rows], rel=rtol)
    names = [row["id"] for row in rows]
    for ranking, score, order in (
        ("bitmex", "score", "order_bitmex"),
        ("binance", "score", "order_bitmex"),
        ("hyperliquid", "hl_index", "order_hl"),
    ):
        result = scores(ranking, **facts)
        ranked = np.isfinite(result)
        assert result[ranked] == pytest.approx(np.array([row[score] for row in rows])[ranked], rel=rtol)
        assert [names[n] for n in np.argsort(-result, kind="stable") if ranked[n]] == case["expected"][order]


def test_the_published_haircuts_come_out() -> None:
    case = published("ADL-02")
    facts, expected, unit = traders(case), case["expected"], 10**9
    profit = np.rint((facts["quantity"] * facts["mark"] - facts["entry_value"]) * unit).astype(np.int64)
    deficit, names = round(case["inputs"]["deficit"] * unit), [row["id"] for row in expected["traders"]]
    for ranking in RANKED:
        cut = queue(scores(ranking, **facts), np.maximum(profit, 0), deficit)
        assert dict(zip(names, (cut / unit).tolist(), strict=True)) == expected["queue_haircuts"]
        assert (cut / np.maximum(profit, 1)).max() == pytest.approx(expected["max_pnl_haircut_share_queue"])
        assert deficit - cut.sum() == expected["uncovered"]
    cut = cuts("pro-rata", profit, deficit)
    close = {"rel": case["tolerance"]["rtol"], "abs": case["tolerance"]["atol"]}
    assert dict(zip(names, (cut / unit).tolist(), strict=True)) == pytest.approx(expected["prorata_haircuts"], **close)
    assert deficit - cut.sum() == expected["uncovered"]
    assert cut[0] / profit[0] == pytest.approx(expected["prorata_share"], **close)


@given(st.sampled_from(RANKINGS), AMOUNTS, TOTAL)
def test_cuts_sum_to_the_total_or_to_all_there_is(ranking: str, amounts: list[int], total: int) -> None:
    cut = cuts(ranking, np.array(amounts, np.int64), total).tolist()
    there = [max(amount, 0) for amount in amounts]
    assert sum(cut) == min(total, sum(there))
    assert all(0 <= part <= amount for part, amount in zip(cut, there, strict=True))


@given(AMOUNTS, TOTAL)
def test_a_queue_takes_all_of_one_before_anything_of_the_next(amounts: list[int], total: int) -> None:
    left, expected = total, []
    for amount in amounts:
        expected.append(min(left, max(amount, 0)))
        left -= expected[-1]
    assert cuts("hyperliquid", np.array(amounts, np.int64), total).tolist() == expected


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=20), TOTAL)
def test_pro_rata_cuts_are_a_total_shared_out(amounts: list[int], total: int) -> None:
    cut = cuts("pro-rata", np.array(amounts, np.int64), total)
    covered = min(total, sum(amounts))
    assert (cut == share_out(covered, np.array(amounts, np.int64))).all()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100)), max_size=20), st.integers(0, 500))
def test_the_queue_goes_by_score_and_of_equals_the_first_comes_first(
    positions: list[tuple[int, int]], total: int
) -> None:
    ranks, amounts = [rank for rank, _ in positions], [amount for _, amount in positions]
    left, expected = total, [0] * len(positions)
    for place in sorted(range(len(positions)), key=lambda place: (-ranks[place], place)):
        expected[place] = min(left, amounts[place])
        left -= expected[place]
    assert queue(np.array(ranks, float), np.array(amounts, np.int64), total).tolist() == expected


@given(
    st.sampled_from(RANKED), st.floats(1, 1e6), st.sampled_from([-3.0, 3.0]), st.floats(1, 1e4), st.floats(1e-3, 0.4)
)
def test_more_profit_and_more_leverage_come_earlier(
    ranking: str, equity: float, quantity: float, mark: float, gain: float
) -> None:
    """Profits of once and twice `gain`, as a share of the value at the mark."""
    value = quantity * mark
    once, twice = value - gain * abs(value), value - 2 * gain * abs(value)
    entries, equities = np.array([once, twice, once]), np.array([equity, equity, equity / 2])
    base, richer, riskier = scores(ranking, np.full(3, quantity), entries, mark, equities)
    assert richer > base > 0
    assert riskier > base


@given(st.sampled_from(["binance", "bitmex"]), st.floats(1, 1e6), st.floats(0.01, 0.99))
def test_a_loss_ranks_behind_and_the_more_levered_of_two_first(ranking: str, equity: float, loss: float) -> None:
    longs, entry = np.full(3, 10.0), np.array([1_000 / (1 + loss), 1_000 / (1 - loss), 1_000 / (1 - loss)])
    won, lost, levered = scores(ranking, longs, entry, 100, np.array([equity, equity, equity / 2]))
    assert won > 0 > levered > lost


@given(st.floats(1, 100), st.floats(1, 100), st.floats(1, 1e6))
def test_a_mirrored_position_has_the_same_hyperliquid_rank(entry: float, mark: float, leverage: float) -> None:
    """A long from a to b ranks as a short from b to a: by the ratio of the prices."""
    long = scores("hyperliquid", np.array([1.0]), np.array([entry]), mark, np.array([mark / leverage]))
    short = scores("hyperliquid", np.array([-1.0]), np.array([-mark]), entry, np.array([entry / leverage]))
    assert long == pytest.approx(short)


def test_losers_are_not_ranked_by_hyperliquid_nor_cut_pro_rata() -> None:
    for ranking in ("hyperliquid", "pro-rata"):
        rank = scores(ranking, np.array([1.0, 1.0, -1.0]), np.array([90.0, 110.0, -100.0]), 100.0, np.full(3, 50.0))
        assert np.isfinite(rank).tolist() == [True, False, False]
        assert queue(rank, np.array([5, 5, 5]), 15).tolist() == [5, 0, 0]


def test_a_winner_without_equity_comes_first() -> None:
    for ranking in RANKED:
        rank = scores(ranking, np.full(3, 1.0), np.array([50.0, 99.0, 98.0]), 100.0, np.array([1.0, 0.0, -7.0]))
        assert rank[0] < rank[1] == rank[2] == np.inf
        assert queue(rank, np.array([5, 5, 5]), 12).tolist() == [2, 5, 5]


def test_marks_may_differ_by_position() -> None:
    both = scores("bitmex", np.array([1.0, 2.0]), np.array([90.0, 30.0]), np.array([100.0, 20.0]), np.array([9.0, 9.0]))
    for n, (quantity, entry, mark) in enumerate([(1.0, 90.0, 100.0), (2.0, 30.0, 20.0)]):
        assert both[n] == scores("bitmex", np.array([quantity]), np.array([entry]), mark, np.array([9.0]))[0]


def test_an_unknown_ranking_and_a_negative_total_are_refused() -> None:
    nobody = np.zeros(0)
    with pytest.raises(ValueError, match="no ranking 'prorata': it is one of binance, bitmex, hyperliquid, pro-rata"):
        scores("prorata", nobody, nobody, 1.0, nobody)
    with pytest.raises(ValueError, match="no ranking 'prorata'"):
        cuts("prorata", np.array([1]), 1)
    with pytest.raises(ValueError, match="cannot take -1 from anybody"):
        cuts("bitmex", np.array([1]), -1)
