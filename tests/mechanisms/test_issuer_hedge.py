"""Delta-neutral: minted money buys coins and is sold short, redemptions undo it, and gaps in the hedge are closed."""

from typing import Any

import pytest

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.ledger import Refused
from contagion.log import Channel
from contagion.units import SECOND
from contagion.venues import BUY
from tests.desk import ETH, PERP, SPOT, USD, Holding, fall
from tests.issuer_desk import ask, hedge, issuer_desk, issuer_graph
from tests.sight import books, give, held, node, price, rows, settle

MINUTE, HOUR = 60, 3_600
CLAIM = "issuer/minting"
MINTS: dict[str, Any] = {"mint_capacity": 50_000, "rehedge_delay": "1s"}
FIRM = {"withdrawal_delay": "2min"}
NAKED = {"tolerance": 1}


# ------------------------------------------------------------------------------------------------- neutral


@pytest.mark.parametrize("at", [1_400, 2_600])
def test_what_coins_lose_the_short_gains_and_the_backing_stays(at: float) -> None:
    sim = issuer_desk()
    before = node(sim, "issuer").coverage()
    fall(sim, at)
    assert before == pytest.approx(1.0) == node(sim, "issuer").coverage()
    assert not rows(sim, "hedge-gap")


def test_without_the_short_the_backing_falls_with_the_coin() -> None:
    sim = issuer_desk(short=0, issuer=NAKED)
    fall(sim, 1_000)
    assert node(sim, "issuer").coverage() == pytest.approx(0.65 + 0.35 / 2)


# ------------------------------------------------------------------------------------------------- minting


def test_tokens_are_minted_for_money_at_par_minus_the_fee_after_the_delay() -> None:
    sim = issuer_desk(issuer=MINTS | {"mint_fee": "0.002"})
    give(sim, "ann", "usd", 1_000 * USD)
    event = ask(sim, "mint", 1_000)
    assert (held(sim, "ann", "usd"), held(sim, "issuer", "usd")) == (0, 66_000 * USD)
    assert (held(sim, "ann", CLAIM), held(sim, "issuer", CLAIM)) == (998 * USD, -998 * USD)
    settle(sim, 59)
    assert held(sim, "ann", "usde") == 50_000 * USD
    settle(sim, 1)
    assert (held(sim, "ann", "usde"), held(sim, "ann", CLAIM), held(sim, "issuer", CLAIM)) == (50_998 * USD, 0, 0)
    (row,) = rows(sim, "delivery")
    assert (row.cause, row.quantity, row.time_us) == (event, 998 * USD, MINUTE * SECOND + 1)


def test_a_mint_beyond_the_capacity_of_an_hour_is_refused_and_nothing_changes() -> None:
    sim = issuer_desk(issuer=MINTS)
    give(sim, "ann", "usd", 60_000 * USD)
    ask(sim, "mint", 40_000)
    before = books(sim)
    with pytest.raises(Refused, match="issuer mints no more within this hour"):
        ask(sim, "mint", 10_001)
    assert books(sim) == before and node(sim, "issuer").mint_room() == 10_000 * USD
    settle(sim, HOUR)
    assert node(sim, "issuer").mint_room() == 50_000 * USD


def test_only_who_may_redeem_may_mint_and_without_a_capacity_nobody() -> None:
    sim = issuer_desk(issuer=MINTS)
    with pytest.raises(Refused, match="world may not mint with issuer"):
        ask(sim, "mint", 1, who="world")
    sim = issuer_desk()
    give(sim, "ann", "usd", USD)
    with pytest.raises(Refused, match="issuer mints no more"):
        ask(sim, "mint", 1)
    assert CLAIM not in sim.assets


def test_of_minted_money_the_stated_share_buys_coins_and_is_sold_short() -> None:
    sim = issuer_desk(issuer=MINTS, backing={"share": 0.35})
    give(sim, "ann", "usd", 40_000 * USD)
    event = ask(sim, "mint", 40_000)
    settle(sim, 1)
    bought = int(14_000 * 0.99 / 2_001 * 100) / 100  # in whole lots; a hundredth stays for fees
    assert hedge(sim) == pytest.approx((17.5 + bought, 17.5 + bought))
    assert held(sim, "issuer", "usd") == (65_000 + 26_000) * USD
    spot, perp = rows(sim, "trade")
    assert [(row.market, row.cause, row.channel) for row in (spot, perp)] == [
        (SPOT, event, Channel.ARBITRAGE), (PERP, event, Channel.ARBITRAGE)
    ]  # fmt: skip
    assert not rows(sim, "hedge-gap")


def test_while_transfers_are_halted_minted_money_stays_money_and_the_refusal_is_logged() -> None:
    halts = [{"start": "0s", "end": "1h"}]
    sim = issuer_desk(issuer=MINTS, backing={"share": 0.35}, halts=halts)
    give(sim, "ann", "usd", 40_000 * USD)
    event = ask(sim, "mint", 40_000)
    settle(sim, MINUTE)
    (row,) = rows(sim, "refused-transfer")
    assert (row.node, row.market, row.quantity, row.cause) == ("issuer", "exchange", 14_000 * USD, event)
    assert hedge(sim) == (17.5, 17.5) and held(sim, "issuer", "usd") == 105_000 * USD


# ----------------------------------------------------------------------------------------------- redeeming


def test_redemptions_are_paid_from_money_at_hand_and_the_hedge_is_left_alone() -> None:
    sim = issuer_desk()
    ask(sim, "redeem", 40_000)
    settle(sim, HOUR)
    assert held(sim, "ann", "usd") == 40_000 * USD
    assert hedge(sim) == (17.5, 17.5) and not rows(sim, "trade", "withdrawal", "blocked-withdrawal")


def test_below_the_floor_coins_are_sold_and_shorts_bought_back_in_steps() -> None:
    terms = {"floor": 40_000, "unwind": 4_000, "unwind_interval": "1min"}
    sim = issuer_desk(issuer=terms, **FIRM)
    event = ask(sim, "redeem", 35_000)
    settle(sim)
    assert hedge(sim) == (15.5, 15.5), "a step: 4,000 of the 10,000 that are missing"
    spot, perp = rows(sim, "trade")
    assert [(row.cause, row.channel) for row in (spot, perp)] == [(event, Channel.PANIC)] * 2
    assert (spot.market, spot.quantity, perp.quantity) == (SPOT, -2_000_000, 2_000_000)
    settle(sim, 10 * MINUTE)
    assert hedge(sim) == pytest.approx((12.49, 12.49), abs=0.02)
    assert held(sim, "ann", "usd") == 35_000 * USD
    assert held(sim, "issuer", "usd") == pytest.approx(40_000 * USD, rel=1e-3)
    assert {row.node for row in rows(sim, "payout")} == {"issuer"} and not rows(sim, "hedge-gap")


def test_who_waits_is_paid_when_the_money_arrives_and_not_at_the_next_full_hour() -> None:
    sim = issuer_desk(cash=10_000, coins=45, issuer={"unwind": 50_000}, **FIRM)
    ask(sim, "redeem", 15_000)
    ask(sim, "redeem", 10_000, "bob")
    settle(sim, 119)
    assert (held(sim, "ann", "usd"), held(sim, "bob", "usd")) == (10_000 * USD, 0)
    (gate, second) = rows(sim, "blocked-withdrawal")
    assert (gate.quantity, gate.first, second.quantity, second.first) == (5_000 * USD, 1, 10_000 * USD, 0)
    settle(sim, 181)
    assert (held(sim, "ann", "usd"), held(sim, "bob", "usd")) == (15_000 * USD, 10_000 * USD)
    arrived = {row.id for row in rows(sim, "payout")}
    causes = [row.cause for row in rows(sim, "settlement")[1:]]
    assert causes and set(causes) <= arrived


def test_while_an_exchange_is_halted_its_part_of_the_backing_cannot_be_paid_out() -> None:
    halts = [{"start": "0s", "end": "1h"}]
    sim = issuer_desk(cash=10_000, coins=45, issuer={"unwind": 50_000, "unwind_interval": "10min"}, halts=halts, **FIRM)
    event = ask(sim, "redeem", 30_000)
    settle(sim, HOUR - 1)
    refused = rows(sim, "refused-transfer")
    assert len(refused) == 6 and {(row.node, row.market, row.cause) for row in refused} == {
        ("issuer", "exchange", event)
    }
    assert held(sim, "ann", "usd") == 10_000 * USD and hedge(sim)[0] == pytest.approx(34.99, abs=0.02)
    settle(sim, 2 * HOUR)
    assert held(sim, "ann", "usd") == 30_000 * USD


def test_of_two_exchanges_the_one_that_pays_out_is_sold_at_first() -> None:
    halts = [{"start": "0s", "end": "1h"}]
    graph = issuer_graph(cash=10_000, coins=20, issuer={"unwind": 50_000}, halts=halts, **FIRM)
    copies = {"exchange": "other", PERP: "other-perp", SPOT: "other-spot"}
    for name, copy in copies.items():
        graph.add_node(copy, **graph.nodes[name])
    terms = graph.nodes["exchange"]
    coin, contract = terms["assets"]["eth"] | {"market": "other-spot"}, terms["contracts"][PERP]
    graph.add_node("other", assets={"eth": coin}, contracts={"other-perp": contract}, halts=[])
    for source, target, facts in list(graph.edges(data=True)):
        ends = copies.get(source, source), copies.get(target, target)
        if ends != (source, target) and facts["role"] in ("prices", "trades"):
            graph.add_edge(*ends, role=facts["role"])
    position = {"other-perp": {"quantity": -25, "entry": 2_000}}
    graph.add_edge("other", "issuer", role="margin", balances={"eth": 25}, positions=position)
    graph.add_node("issuer", backing={SPOT: {"hedge": PERP}, "other-spot": {"hedge": "other-perp"}})
    sim: Any = build(graph)
    settle(sim)
    assert node(sim, "issuer").coverage() == pytest.approx(1.0)
    ask(sim, "redeem", 30_000)
    settle(sim, 10 * MINUTE)
    assert held(sim, "ann", "usd") == 30_000 * USD and hedge(sim) == (20, 20)
    assert held(sim, "issuer", "eth@other") == -held(sim, "issuer", "other-perp:contract") == 14_980_000
    assert not rows(sim, "refused-transfer", "hedge-gap")


def test_the_reserve_is_paid_out_last() -> None:
    sim = issuer_desk(cash=10_000, coins=45, issuer={"reserve": 4_000, "unwind": 1_000_000}, spot=((), ()), **FIRM)
    ask(sim, "redeem", 9_000)
    settle(sim, 10 * MINUTE)
    assert held(sim, "ann", "usd") == 6_000 * USD, "coins are left, though nobody buys them"
    sim = issuer_desk(cash=10_000, coins=0, issuer={"reserve": 4_000}, **FIRM)
    ask(sim, "redeem", 9_000)
    settle(sim, 10 * MINUTE)
    assert held(sim, "ann", "usd") == 9_000 * USD


def test_coins_held_outside_are_deposited_when_they_have_to_be_sold() -> None:
    sim = issuer_desk(cash=10_000, coins=20, short=45, reserve={"eth": 25}, issuer={"unwind": 1_000_000}, **FIRM)
    ask(sim, "redeem", 40_000)
    settle(sim, 10 * MINUTE)
    assert held(sim, "ann", "usd") == 40_000 * USD
    assert rows(sim, "deposit")[0].asset == "eth" and not rows(sim, "hedge-gap")
    assert held(sim, "issuer", "eth") + held(sim, "issuer", "eth@exchange") == -held(sim, "issuer", f"{PERP}:contract")


# ---------------------------------------------------------------------------------------------- the hedge


LEVERED = {"cat": Holding(3_000, 15), "dan": Holding(100_000)}
NOBODY: Any = ((), ())


def deleveraged(spot: Any = NOBODY, perp: Any = NOBODY, **facts: Any) -> Any:
    """Return a desk on which a long of 15 contracts could not be sold and was closed against the issuer's short."""
    sim = issuer_desk(LEVERED, perp=perp, spot=spot, fund=None, issuer={"rehedge_delay": "5s"} | facts)
    fall(sim, 1_810)
    (row,) = rows(sim, "auto-deleveraging")
    assert (row.node, row.quantity) == ("issuer", -15_000_000)
    assert hedge(sim) == (17.5, 2.5)
    return sim


def bid(sim: Any, at: float) -> None:
    """Let dan bid for 20 contracts."""
    own = sim.network.ids["dan"]
    node(sim, PERP).quote_ladders(own, {BUY: ([price(at)], [20 * ETH])}, cause=sim.shock(own), channel=1)


def test_a_short_that_was_auto_deleveraged_is_sold_anew_where_somebody_buys() -> None:
    sim = deleveraged()
    bid(sim, 1_990)
    settle(sim, 6)
    (gap,), (adl,), (trade,) = rows(sim, "hedge-gap"), rows(sim, "auto-deleveraging"), rows(sim, "trade")
    assert (gap.node, gap.cause, gap.quantity, gap.first) == ("issuer", adl.id, 15_000_000, 0), "a gap is no failure"
    assert gap.time_us == adl.time_us + 5 * SECOND
    assert (trade.market, trade.cause, trade.quantity) == (PERP, gap.id, -15_000_000)
    assert hedge(sim) == (17.5, 17.5)


def test_where_nobody_buys_contracts_near_their_price_the_naked_coins_are_sold() -> None:
    sim = deleveraged(spot=([(1_990, 100)], ()))
    bid(sim, 1_900)
    settle(sim, 6)
    assert hedge(sim) == (2.5, 2.5)
    (unfilled,), (trade,) = rows(sim, "unfilled"), rows(sim, "trade")
    assert (unfilled.market, trade.market, trade.channel) == (PERP, SPOT, Channel.ARBITRAGE)
    assert node(sim, "issuer").coverage() == pytest.approx(1 + 15 * (1_800 - 1_990) / 100_000 * -1, abs=5e-3)


def test_where_nobody_buys_anything_the_issuer_stays_naked_and_tries_again_later() -> None:
    sim = deleveraged(unwind_interval="1min")
    settle(sim, 6)
    assert hedge(sim) == (17.5, 2.5) and len(rows(sim, "unfilled")) == 2
    before = node(sim, "issuer").coverage()
    fall(sim, 1_500, seconds=10)
    assert len(rows(sim, "hedge-gap")) == 1, "it rests after an attempt that found nobody"
    settle(sim, 60)
    fall(sim, 1_410, seconds=10)
    assert len(rows(sim, "hedge-gap")) == 2
    assert node(sim, "issuer").coverage() == pytest.approx(before - 15 * 400 / 100_000)


def test_a_short_larger_than_its_coins_is_bought_back() -> None:
    sim = issuer_desk(short=30)
    fall(sim, 1_990, seconds=10)
    (gap,), (trade,) = rows(sim, "hedge-gap"), rows(sim, "trade")
    assert (gap.quantity, trade.quantity) == (-12_500_000, 12_500_000)
    assert hedge(sim) == (17.5, 17.5)


def test_a_gap_within_the_tolerance_is_left_alone() -> None:
    sim = issuer_desk(short=17, issuer={"tolerance": "5%"})
    fall(sim, 1_990, seconds=10)
    assert not rows(sim, "hedge-gap", "trade")


def test_a_short_that_is_liquidated_leaves_a_gap_too() -> None:
    sim = issuer_desk(coins=1, short=20, there=1_500, issuer={"tolerance": "99%", "rehedge_delay": "2s"})
    fall(sim, 2_160)
    (liquidation,) = rows(sim, "liquidation")
    assert (liquidation.node, liquidation.quantity) == ("issuer", -20_000_000)
    settle(sim, 5)
    assert [(row.quantity, row.cause > liquidation.cause) for row in rows(sim, "hedge-gap")] == [(1_000_000, True)]
    assert hedge(sim) == (1, 1)


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("facts", "complaint"),
    [
        ({"backing": {"nowhere": {}}}, "there is no node 'nowhere'|no market that this issuer trades at"),
        ({"backing": {"exchange": {}}}, "'exchange' is no market that this issuer trades at"),
        ({"backing": {PERP: {}}}, "is no market of one coin against 'usd'"),
        ({"backing": {SPOT: {"hedge": SPOT}}}, "is no book of perpetuals of an exchange at which"),
        ({"backing": {SPOT: {"share": 0.6}, PERP: {"share": 0.6}}}, "the shares of 'backing' sum to 1.2"),
        ({"unwind_interval": "0s"}, "'unwind_interval' cannot be 0"),
        ({"asset": "usd"}, "'usd' is redeemed for itself"),
    ],
)
def test_what_an_issuer_cannot_do_is_refused_when_it_is_built(facts: Any, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        build(issuer_graph(issuer=facts))


def test_who_mints_has_to_be_the_tokens_issuer() -> None:
    with pytest.raises(BadInput, match="name it as that asset's 'issuer'"):
        build(issuer_graph(issuer=MINTS, token={"issuer": "ann"}))
