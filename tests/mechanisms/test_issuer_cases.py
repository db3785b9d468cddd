"""The published cases of issuers, run through the engine as far as the mechanism covers them."""

from typing import Any

import pytest

from contagion.assembly import build
from contagion.venues import SELL
from tests.cases import published
from tests.desk import ETH, PERP, USD, Holding, worth
from tests.issuer_desk import issuer_graph
from tests.sight import held, node, price, reprice, rows, settle
from tests.worlds import edge, graph_of

MILLION = 1_000_000


def delta_neutral() -> Any:
    """Return the issuer of ETH-01: its coins are marked by a feed of their own, and its short pays funding."""
    i = published("ETH-01")["inputs"]
    contract = {"sources": {"eth": 1}, "index": {"eth": 1}, "funding_cap": i["funding_per_period"]}
    graph = issuer_graph(
        {"maker": Holding(1_000_000)}, supply=i["S"], cash=i["reserve"], coins=i["Q"], contract=contract,
        coin={"sources": {"staked": 1}, "market": None}, perp=((), ()), issuer={"tolerance": "5%"},
        funding_interval="1min",
    )  # fmt: skip
    graph.add_node("staked", kind="asset", decimals=6, price=i["P0"])
    graph.add_edge("staked", "exchange", role="prices")
    sim: Any = build(graph)
    sim.members = {}
    settle(sim)
    return sim


def test_eth_01_what_coins_lose_the_short_gains_and_discount_and_funding_are_left() -> None:
    case, sim = published("ETH-01"), delta_neutral()
    i, expected = case["inputs"], case["expected"]
    before = worth(sim, "issuer")
    own, offers = sim.network.ids["maker"], {SELL: ([price(1_000)], [ETH])}
    node(sim, PERP).quote_ladders(own, offers, cause=sim.shock(own), channel=1)  # far below the index: shorts pay
    reprice(sim, "eth", i["P0"] * (1 - i["drop"]))
    reprice(sim, "staked", i["P0"] * (1 - i["drop"]))
    settle(sim, 2)
    assert worth(sim, "issuer") == before, "the short has gained what the coins have lost"
    reprice(sim, "staked", i["P0"] * (1 - i["drop"]) * (1 - i["depeg"]))
    settle(sim, 60 * i["periods"])
    assert len(rows(sim, "funding")) == i["periods"] and not rows(sim, "hedge-gap", "trade")
    discount = i["Q"] * i["P0"] * (1 - i["drop"]) * i["depeg"]
    funding = before - worth(sim, "issuer") - discount * USD
    assert funding / USD == pytest.approx(expected["funding_paid"], rel=1e-9)
    coverage = node(sim, "issuer").coverage()
    assert coverage == pytest.approx(expected["backing_with_reserve"], rel=1e-9)
    assert coverage - i["reserve"] / i["S"] == pytest.approx(expected["backing_ex_reserve"], rel=1e-9)


def runnable() -> Any:
    """Return the issuer of SR-01, in millions: securities worth 1 that are bought at 1 - h, and holders who may run."""
    i = published("SR-01")["inputs"]
    nodes: dict[str, Any] = {
        "usd": {"kind": "asset", "decimals": 6},
        "bill": {"kind": "asset", "decimals": 6, "price": 1},
        "dai": {"kind": "asset", "decimals": 6, "issuer": "issuer"},
        "desk": {
            "kind": "order_book", "asset": "bill", "numeraire": "usd", "tick": 0.01,
            "stubs": [{"at": 1 - i["h"], "quantity": 1_000 * MILLION}],
        },
        "issuer": {
            "kind": "stablecoin_issuer", "asset": "dai", "payout": "usd", "fee": 0, "backing": {"desk": {}},
            "unwind": 1_000 * MILLION, "unwind_interval": "1s",
            "balances": {"usd": i["C"] * MILLION, "bill": i["V"] * MILLION},
        },
        "early": {"kind": "account", "balances": {"dai": i["S"] * MILLION}},
    }  # fmt: skip
    sim = build(graph_of(nodes, [edge("redeems", "issuer", "early"), edge("trades", "issuer", "desk")], []))
    settle(sim)
    return sim


def redeem(sim: Any, fraction: float) -> None:
    own = sim.network.ids["early"]
    tokens = round(published("SR-01")["inputs"]["S"] * MILLION * fraction) * USD
    node(sim, "issuer").redeem(own, tokens, cause=sim.shock(own))
    settle(sim, 2 * 3_600)


@pytest.mark.parametrize("fraction", published("SR-01")["inputs"]["f_grid"])
def test_sr_01_who_redeems_first_leaves_the_others_what_the_forced_sale_has_cost(fraction: float) -> None:
    case, sim = published("SR-01"), runnable()
    assert node(sim, "issuer").coverage() == pytest.approx(case["expected"]["initial_backing"], rel=1e-9)
    redeem(sim, fraction)
    assert held(sim, "early", "usd") == case["inputs"]["S"] * fraction * MILLION * USD, "par for who comes in time"
    expected = case["expected"]["backing_at"][str(fraction)]
    assert node(sim, "issuer").coverage() == pytest.approx(expected, rel=1e-9)


def test_sr_01_when_all_run_the_last_are_left_with_a_claim() -> None:
    case, sim = published("SR-01"), runnable()
    redeem(sim, 1.0)
    left = held(sim, "early", "issuer/redemption") / (MILLION * USD)
    assert left == pytest.approx(case["expected"]["loss_if_all_run"], rel=1e-9)
    paid = held(sim, "early", "usd") / (MILLION * USD)
    assert paid / case["inputs"]["S"] == pytest.approx(case["expected"]["f_max"], rel=1e-9)
    assert held(sim, "issuer", "bill") == 0 and rows(sim, "blocked-withdrawal")[0].first
