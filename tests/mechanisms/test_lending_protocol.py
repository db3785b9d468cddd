"""What the lender does: who is healthy, what a liquidation takes, who bears the loss, and who has to wait."""

from itertools import pairwise
from typing import Any

import pytest

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.finance import lending as rules
from contagion.ledger import Refused
from contagion.units import PRICE_SCALE, YEAR
from tests.bank import bank, bank_graph
from tests.sight import books, dollars, give, held, node, position, price, reprice, rows, settle

USD, ETH = 10**6, 10**9


def offer(sim: Any, name: str = "ann") -> Any:
    return node(sim, "lender").offer(position(sim, name))


def liquidate(sim: Any, repay: int, name: str = "ann", by: str = "purse") -> Any:
    cause = sim.shock(sim.world)
    return node(sim, "lender").liquidate(position(sim, name), offer(sim, name), repay, sim.network.ids[by], cause=cause)


def fallen(number: float | str, pledge: Any = 1_000, debt: Any = 70_000, **facts: Any) -> Any:
    """Return a bank whose one borrower sees its collateral fall to a price."""
    sim = bank({"ann": (pledge, debt)}, **facts)
    reprice(sim, "eth", number)
    settle(sim)
    return sim


def does(sim: Any, verb: str, asset: str, amount: int, name: str = "ann") -> int:
    return int(getattr(node(sim, "lender"), verb)(position(sim, name), sim.assets[asset], amount, cause=0))


def test_health_is_what_the_thresholds_leave_of_the_collateral_over_the_debt() -> None:
    sim = bank({"ann": (1_000, 70_000)})
    assert node(sim, "lender").health(position(sim, "ann")) == pytest.approx(100_000 * 0.825 / 70_000)
    assert node(sim, "lender").health(position(sim, "supplier")) == float("inf")


def test_a_health_of_exactly_one_is_healthy_and_a_billionth_less_is_not() -> None:
    sim = fallen("80", debt=66_000)
    assert node(sim, "lender").health(position(sim, "ann")) == 1.0
    assert offer(sim) is None and not rows(sim, "call")
    reprice(sim, "eth", "79.999999999")
    settle(sim)
    assert offer(sim) is not None and len(rows(sim, "call")) == 1


def test_one_liquidation_repays_half_the_debt_while_health_is_above_95_percent() -> None:
    assert offer(fallen(84)).largest == 35_000 * USD


@pytest.mark.parametrize(("at", "share"), [("80.606060607", 2), ("80.606060606", 1)])
def test_at_a_health_of_95_percent_all_of_the_debt_may_be_repaid(at: str, share: int) -> None:
    assert offer(fallen(at)).largest == 70_000 * USD // share


@pytest.mark.parametrize(("debt", "share"), [(2_000, 2), (1_999, 1)])
def test_a_debt_below_2000_dollars_may_be_repaid_in_full(debt: int, share: int) -> None:
    sim = fallen(100 * debt / 2_000 * 0.999, pledge=20 / 0.825 * 1.000001, debt=debt)
    assert 0.95 < node(sim, "lender").health(position(sim, "ann")) < 1
    assert offer(sim).largest == debt * USD // share


def test_collateral_worth_less_than_2000_dollars_may_be_taken_in_full() -> None:
    eth = {"ltv": 0.97, "threshold": 0.98, "bonus": 0.01}
    assert offer(fallen("98.999", pledge=20, debt=1_945, eth=eth)).largest == 1_945 * USD
    assert offer(fallen("101.9", pledge=20, debt=2_000, price=110, eth=eth)).largest == 1_000 * USD


def test_the_liquidator_receives_the_bonus_less_the_fee_that_stays_with_the_protocol() -> None:
    sim = fallen(84)
    before = held(sim, "purse", "eth"), held(sim, "purse", "usd"), held(sim, "lender", "eth")
    seizure = liquidate(sim, 35_000 * USD)
    seized = 35_000 * USD * 1_000 * 105 // (84 * 100)  # dollars to ether of nine decimals at 84, and 5% more
    fee = -(-seized * 5 // 1050)  # a tenth of the bonus, rounded up
    assert (seizure.repaid, seizure.received) == (35_000 * USD, seized - fee)
    assert held(sim, "purse", "eth") - before[0] == seized - fee
    assert before[1] - held(sim, "purse", "usd") == 35_000 * USD
    assert before[2] - held(sim, "lender", "eth") == seized - fee
    left = node(sim, "lender").collateral_of(position(sim, "ann"), sim.assets["eth"])
    assert left == 1_000 * ETH - seized
    assert node(sim, "lender").debt_of(position(sim, "ann"), sim.assets["usd"]) == 35_000 * USD
    row = rows(sim, "liquidation")[0]
    assert (row.node, row.market, row.quantity, row.price) == ("ann", "lender", seized, price(84))


def test_a_seizure_is_capped_by_the_collateral_and_the_repayment_with_it() -> None:
    sim = fallen(60)
    before = held(sim, "purse", "usd")
    seizure = liquidate(sim, 70_000 * USD)
    assert seizure.repaid == -(-60_000 * USD * 100 // 105)
    assert before - held(sim, "purse", "usd") == seizure.repaid
    assert held(sim, "ann", "lender/eth/supply") == 0


def test_bad_debt_is_written_off_once_and_its_suppliers_and_owners_bear_it() -> None:
    sim = fallen(60)
    seizure = liquidate(sim, 70_000 * USD)
    (row,) = rows(sim, "bad-debt")
    assert row.quantity == 70_000 * USD - seizure.repaid and row.value == row.quantity
    assert row.cause == seizure.event
    assert held(sim, "ann", "lender/usd/debt") == 0
    claims = -held(sim, "lender", "lender/usd/supply")
    assert claims - held(sim, "lender", "usd") == row.quantity, "the lender owes more than it has by the bad debt"
    reprice(sim, "eth", 50)
    settle(sim)
    assert len(rows(sim, "bad-debt")) == 1 and offer(sim) is None


@pytest.mark.parametrize("left", [999, 1])
def test_a_liquidation_that_would_leave_less_than_1000_dollars_of_debt_is_refused(left: int) -> None:
    sim = fallen(80, pledge=100, debt=7_000)
    before = books(sim)
    with pytest.raises(Refused, match="less than 1000"):
        liquidate(sim, (7_000 - left) * USD)
    assert books(sim) == before
    assert not rows(sim, "liquidation")


def test_a_liquidation_that_leaves_1000_dollars_or_nothing_is_taken() -> None:
    sim = fallen(80, pledge=100, debt=7_000)
    liquidate(sim, 6_000 * USD)
    assert node(sim, "lender").debt_of(position(sim, "ann"), sim.assets["usd"]) == 1_000 * USD
    sim = fallen(80, pledge=100, debt=7_000)
    liquidate(sim, 7_000 * USD)
    assert held(sim, "ann", "lender/usd/debt") == 0


def test_a_healthy_position_cannot_be_liquidated() -> None:
    sim = fallen(84)
    terms = offer(sim)
    reprice(sim, "eth", 90)
    settle(sim)
    before = books(sim)
    with pytest.raises(Refused, match="healthy"):
        node(sim, "lender").liquidate(position(sim, "ann"), terms, USD, sim.network.ids["purse"], cause=0)
    assert books(sim) == before


def test_collateral_that_is_lent_out_cannot_be_seized() -> None:
    sim = bank({"ann": (1_000, 70_000)})
    give(sim, "supplier", "usd", 500_000 * USD)
    does(sim, "supply", "usd", 500_000 * USD, "supplier")
    does(sim, "borrow", "eth", 990 * ETH, "supplier")
    reprice(sim, "eth", 84)
    settle(sim)
    with pytest.raises(Refused, match="eth is lent out"):
        liquidate(sim, 35_000 * USD)


def test_a_liquidator_who_cannot_pay_is_refused() -> None:
    sim = fallen(84)
    before = books(sim)
    with pytest.raises(Refused, match="supplier is short"):
        liquidate(sim, 35_000 * USD, by="supplier")
    assert books(sim) == before


def test_above_the_toxic_frontier_each_partial_liquidation_raises_the_loan_to_value() -> None:
    sim = fallen(72)
    lender, ann = node(sim, "lender"), position(sim, "ann")
    ratios = []
    while offer(sim) is not None:
        debt, pledge = lender.debt_of(ann, sim.assets["usd"]), lender.collateral_of(ann, sim.assets["eth"])
        ratios.append(dollars(debt, 6, PRICE_SCALE) / dollars(pledge, 9, price(72)))
        liquidate(sim, min(5_000 * USD, offer(sim).largest) if debt > 6_000 * USD else debt)
    assert ratios[0] > rules.toxic_frontier(0.05) and len(ratios) > 10
    assert all(after > before for before, after in pairwise(ratios))
    assert sum(row.quantity for row in rows(sim, "bad-debt")) / USD == pytest.approx(
        rules.exhausted_bad_debt(72_000, 70_000, 0.05), abs=1e-4
    )


def test_below_the_toxic_frontier_a_partial_liquidation_lowers_the_loan_to_value() -> None:
    sim = fallen(84)
    lender, ann = node(sim, "lender"), position(sim, "ann")
    before = lender.health(ann)
    liquidate(sim, 10_000 * USD)
    assert lender.health(ann) > before


def test_a_position_in_breach_at_the_start_is_refused_with_its_name() -> None:
    with pytest.raises(BadInput, match=r"nodes\.ann: is not at rest: health factor 0\.9706"):
        build(bank_graph({"ann": (1_000, 85_000)}))


def test_a_debt_beyond_the_liquidity_is_refused_with_its_name() -> None:
    with pytest.raises(BadInput, match=r"nodes\.ann: cannot open: lender is short"):
        build(bank_graph({"ann": (1_000, 70_000)}, supply=69_999))


def test_a_reserve_without_a_price_is_refused_with_its_path() -> None:
    graph = bank_graph({})
    graph.remove_edge("eth", "lender")
    with pytest.raises(BadInput, match=r"nodes\.lender\.reserves\.eth: 0 prices edges bring 'eth'"):
        build(graph)


def test_a_withdrawal_beyond_the_liquidity_left_is_refused() -> None:
    sim = bank({"ann": (1_000, 70_000)}, supply=100_000)
    before = books(sim)
    with pytest.raises(Refused, match="usd is lent out"):
        does(sim, "withdraw", "usd", 30_000 * USD + 1, "supplier")
    assert books(sim) == before
    does(sim, "withdraw", "usd", 30_000 * USD, "supplier")
    assert held(sim, "supplier", "usd") == 30_000 * USD and held(sim, "lender", "usd") == 0


def test_a_withdrawal_that_would_make_the_position_unhealthy_is_refused() -> None:
    sim = bank({"ann": (1_000, 66_000)})
    before = books(sim)
    with pytest.raises(Refused, match="unhealthy"):
        does(sim, "withdraw", "eth", 200 * ETH + 1)
    assert books(sim) == before
    does(sim, "withdraw", "eth", 200 * ETH)
    assert node(sim, "lender").health(position(sim, "ann")) == 1.0


def test_a_loan_beyond_the_loan_to_value_is_refused() -> None:
    sim = bank({"ann": (1_000, 70_000)})
    before = books(sim)
    with pytest.raises(Refused, match="loan-to-value"):
        does(sim, "borrow", "usd", 10_000 * USD + 1)
    assert books(sim) == before
    does(sim, "borrow", "usd", 10_000 * USD)
    assert held(sim, "ann", "usd") == 10_000 * USD


def test_a_loan_beyond_the_liquidity_is_refused() -> None:
    sim = bank({"ann": (1_000, 70_000)}, supply=75_000)
    before = books(sim)
    with pytest.raises(Refused, match="lender is short"):
        does(sim, "borrow", "usd", 5_000 * USD + 1)
    assert books(sim) == before


def test_an_asset_that_is_not_lent_is_not_lent_to_anybody() -> None:
    sim = bank({"ann": (1_000, 0)}, eth={"borrowable": False})
    with pytest.raises(Refused, match="eth is not lent"):
        does(sim, "borrow", "eth", ETH)


def test_a_repayment_takes_no_more_than_the_debt() -> None:
    sim = bank({"ann": (1_000, 70_000)})
    give(sim, "ann", "usd", 100_000 * USD)
    does(sim, "repay", "usd", 100_000 * USD)
    assert held(sim, "ann", "usd") == 30_000 * USD and held(sim, "ann", "lender/usd/debt") == 0


def test_somebody_else_may_pay_a_debt_back() -> None:
    sim = bank({"ann": (1_000, 70_000)})
    node(sim, "lender").repay(
        position(sim, "ann"), sim.assets["usd"], 20_000 * USD, cause=0, payer=sim.network.ids["purse"]
    )
    assert held(sim, "purse", "usd") == 9_980_000 * USD
    assert node(sim, "lender").debt_of(position(sim, "ann"), sim.assets["usd"]) == 50_000 * USD


def test_the_borrow_rate_follows_utilisation_with_a_kink() -> None:
    curve = {"base_rate": 0.01, "slope1": 0.04, "slope2": 0.6, "optimal": 0.8}
    for debt in (0, 40_000, 80_000, 90_000):
        sim = bank({"ann": (2_000, debt)}, supply=100_000, usd=curve)
        expected = rules.borrow_rate(debt / 100_000, 0.01, 0.04, 0.6, 0.8)
        assert node(sim, "lender").borrow_rate(sim.assets["usd"]) == pytest.approx(expected)
    does(sim, "withdraw", "usd", 10_000 * USD, "supplier")
    assert node(sim, "lender").borrow_rate(sim.assets["usd"]) == pytest.approx(0.65)


def test_borrowers_pay_interest_suppliers_earn_it_and_the_reserve_factor_stays() -> None:
    sim = bank({"ann": (1_000, 50_000)}, supply=100_000, usd={"base_rate": 0.1, "reserve_factor": 0.2})
    lender, usd = node(sim, "lender"), sim.assets["usd"]
    sim.run(YEAR)
    does(sim, "supply", "usd", 0, "supplier")
    owed, owned = lender.debt_of(position(sim, "ann"), usd), lender.collateral_of(position(sim, "supplier"), usd)
    assert owed == pytest.approx(50_000 * USD * 1.1051666, rel=1e-6)
    assert owned == pytest.approx(100_000 * USD * (1 + 0.1 * 0.5 * 0.8), rel=1e-9)
    surplus = owed + held(sim, "lender", "usd") - owned
    assert surplus == owed - 50_000 * USD - (owned - 100_000 * USD) > 0


def test_interest_alone_is_seen_when_the_next_answer_is_read() -> None:
    sim = bank({"ann": (1_000, 80_000)}, usd={"base_rate": 0.1})
    sim.run(YEAR)
    reprice(sim, "eth", 100.5)
    settle(sim)
    assert offer(sim) is not None, "a year of interest takes more than the price has given"


def test_interest_on_the_debt_counts_when_collateral_is_withdrawn() -> None:
    sim = bank({"ann": (1_000, 60_000)}, usd={"base_rate": 0.1})
    sim.run(YEAR)
    with pytest.raises(Refused, match="unhealthy"):
        does(sim, "withdraw", "eth", 200 * ETH)


def breach_cause(*path: float) -> tuple[list[int], list[Any]]:
    """Return the shocks of a path of answers within one block, and the calls at its end."""
    sim = bank({"ann": (1_000, 70_000)}, block_time="12s")
    shocks = []
    for number in path:
        settle(sim, 1)
        shocks.append(reprice(sim, "eth", number))
    settle(sim, 12)
    return shocks, rows(sim, "call")


def test_a_breach_is_caused_by_the_first_answer_since_which_it_lasts() -> None:
    shocks, (call,) = breach_cause(83, 90, 84, 82)
    assert call.cause == shocks[2] and call.quantity == 1


def test_an_answer_that_dips_and_recovers_within_a_block_calls_nobody() -> None:
    assert breach_cause(80, 90)[1] == []


def test_answers_are_read_once_a_block() -> None:
    _, (call,) = breach_cause(84)
    assert call.time_us == 12_000_000


def test_a_recovered_position_is_no_longer_offered_and_is_called_anew_when_it_falls_again() -> None:
    sim = fallen(84)
    reprice(sim, "eth", 90)
    settle(sim)
    assert offer(sim) is None
    reprice(sim, "eth", 83)
    settle(sim)
    assert len(rows(sim, "call")) == 2


def test_positions_of_one_breach_are_offered_in_the_order_of_their_health() -> None:
    sim = bank({"ann": (1_000, 70_000), "bob": (1_000, 72_000), "cid": (1_000, 71_000)}, price=100)
    heard = sim.inbox()
    node(sim, "lender").calls.reach(heard)
    reprice(sim, "eth", 80)
    settle(sim)
    called = [call.position.holder for message in heard.take() for call in message.content[1]]
    assert [sim.network.names[holder] for holder in called] == ["bob", "cid", "ann"]


def test_a_borrower_without_a_lends_edge_is_never_called() -> None:
    graph = bank_graph({"ann": (1_000, 70_000)})
    graph.remove_edge("lender", "ann")
    sim = build(graph)
    reprice(sim, "eth", 50)
    sim.run(1)
    assert not rows(sim, "call")


def test_a_liquidation_is_a_failure_of_its_borrower_and_repeats_are_flagged() -> None:
    sim = fallen(84)
    for _ in range(2):
        liquidate(sim, 10_000 * USD)
        reprice(sim, "eth", 80)
        settle(sim)
    first, second = rows(sim, "liquidation")
    assert (first.first, first.generation, second.first, second.node) == (1, 1, 0, "ann")
