"""Redemption: par minus the fee, later, as far as capacity and backing go."""

from typing import Any

import pytest

from contagion.assembly import build
from contagion.ledger import Refused
from contagion.units import SECOND
from tests.sight import books, give, held, node, rows, settle
from tests.worlds import edge, graph_of

USD, DAI = 10**6, 10**9
HOUR = 3_600
CLAIM = "issuer/redemption"


def issuer(backing: float = 1_000_000, **facts: Any) -> Any:
    """Return a running issuer of dai (nine decimals) that pays in dollars (six), and a holder of 500,000 dai."""
    nodes: dict[str, Any] = {
        "usd": {"kind": "asset", "decimals": 6},
        "dai": {"kind": "asset", "decimals": 9, "issuer": "issuer"},
        "issuer": {
            "kind": "stablecoin_issuer", "asset": "dai", "payout": "usd", "fee": "0.002", "delay": "10min",
            "balances": {"usd": backing},
        } | facts,
        "ann": {"kind": "account", "balances": {"dai": 500_000}},
        "bob": {"kind": "account", "balances": {"dai": 500_000}},
    }  # fmt: skip
    redeemers = [edge("redeems", "issuer", "ann"), edge("redeems", "issuer", "bob")]
    sim = build(graph_of(nodes, redeemers, []))
    sim.run(0)
    return sim


def redeem(sim: Any, tokens: float, who: str = "ann") -> int:
    return int(node(sim, "issuer").redeem(sim.network.ids[who], int(tokens * DAI), cause=sim.shock(sim.world)))


def test_par_minus_the_fee_is_paid_after_the_delay_and_a_claim_stands_in_between() -> None:
    sim = issuer()
    event = redeem(sim, 1_000)
    assert held(sim, "ann", "dai") == 499_000 * DAI
    assert (held(sim, "ann", CLAIM), held(sim, "issuer", CLAIM), held(sim, "ann", "usd")) == (998 * USD, -998 * USD, 0)
    settle(sim, 599)
    assert held(sim, "ann", "usd") == 0
    settle(sim, 1)
    assert (held(sim, "ann", CLAIM), held(sim, "issuer", CLAIM), held(sim, "ann", "usd")) == (0, 0, 998 * USD)
    (row,) = rows(sim, "settlement")
    assert (row.cause, row.quantity, row.time_us) == (event, 998 * USD, 600 * SECOND + 1)


def test_redeemed_tokens_return_to_who_issued_them() -> None:
    sim = issuer()
    assert held(sim, "issuer", "dai") == -1_000_000 * DAI
    redeem(sim, 1_000)
    assert held(sim, "issuer", "dai") == -999_000 * DAI


def test_a_payment_is_rounded_down_to_what_the_payout_can_express() -> None:
    assert node(issuer(fee=0), "issuer").payment(DAI + 1_999) == USD + 1


def test_a_claim_is_worth_one_payout_token() -> None:
    sim = issuer()
    (feed,) = (feed for (_, asset), feed in sim.feeds.items() if asset == sim.assets[CLAIM])
    assert feed.mark.price == 10**9 and sim.underlying[sim.assets[CLAIM]] == sim.assets["usd"]


def test_who_asks_for_more_than_it_has_is_refused_and_nothing_changes() -> None:
    sim = issuer()
    before = books(sim)
    with pytest.raises(Refused, match="ann is short of"):
        redeem(sim, 500_001)
    assert books(sim) == before
    assert node(sim, "issuer").room() == 10**9 * DAI, "what was refused takes no room"


def test_nothing_cannot_be_redeemed() -> None:
    with pytest.raises(Refused, match="issuer redeems no more"):
        redeem(issuer(), 0)


def test_capacity_is_what_may_be_redeemed_in_any_hour() -> None:
    sim = issuer(capacity=10_000)
    redeem(sim, 6_000)
    settle(sim, HOUR / 2)
    redeem(sim, 4_000, "bob")
    before = books(sim)
    with pytest.raises(Refused, match="issuer redeems no more within this hour"):
        redeem(sim, 1)
    assert books(sim) == before and node(sim, "issuer").room() == 0
    settle(sim, HOUR / 2)
    assert node(sim, "issuer").room() == 6_000 * DAI, "the first request is an hour old, the second is not"
    settle(sim, HOUR / 2)
    assert node(sim, "issuer").room() == 10_000 * DAI


def test_when_backing_runs_out_the_gate_falls_and_what_is_there_is_paid() -> None:
    sim = issuer(backing=600, fee=0)
    redeem(sim, 1_000)
    settle(sim, 600)
    assert held(sim, "ann", "usd") == 600 * USD and held(sim, "ann", CLAIM) == 400 * USD
    (row,) = rows(sim, "blocked-withdrawal")
    assert (row.node, row.quantity, row.first, row.cause) == ("issuer", 400 * USD, 1, rows(sim, "settlement")[0].id)


def test_the_rest_is_paid_when_backing_returns() -> None:
    sim = issuer(backing=600, fee=0)
    redeem(sim, 1_000)
    settle(sim, HOUR)
    give(sim, "issuer", "usd", 100 * USD)
    settle(sim, HOUR)
    assert held(sim, "ann", "usd") == 700 * USD
    give(sim, "issuer", "usd", 1_000 * USD)
    settle(sim, 2 * HOUR)
    assert (held(sim, "ann", "usd"), held(sim, "ann", CLAIM)) == (1_000 * USD, 0)
    assert len(rows(sim, "blocked-withdrawal")) == 1, "one gate a request"
    assert sim.ledger.max_imbalance() == 0


def test_a_second_gate_of_the_same_issuer_is_a_repeat() -> None:
    sim = issuer(backing=600, fee=0)
    redeem(sim, 1_000)
    redeem(sim, 1_000, "bob")
    settle(sim, 600)
    assert [row.first for row in rows(sim, "blocked-withdrawal")] == [1, 0]
    assert (held(sim, "ann", "usd"), held(sim, "bob", "usd")) == (600 * USD, 0), "first come, first served"


def test_without_a_delay_it_pays_at_once() -> None:
    sim = issuer(delay="0s", fee=0)
    redeem(sim, 1_000)
    settle(sim)
    assert held(sim, "ann", "usd") == 1_000 * USD


def test_only_who_stands_at_the_end_of_a_redeems_edge_may_redeem() -> None:
    sim = issuer()
    with pytest.raises(Refused, match="world may not redeem with issuer"):
        redeem(sim, 1, who="world")
    assert not rows(sim, "redemption")
