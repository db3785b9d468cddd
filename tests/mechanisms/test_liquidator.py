"""What a liquidator does: how much, where it sells, when it waits, and who is faster."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.assembly import build
from contagion.finance.lending import liquidation
from contagion.units import PPM, PRICE_SCALE
from tests.bank import bank_graph
from tests.sight import held, mark, node, position, reprice, rows, settle

USD, ETH = 10**6, 10**9


def pool(eth: float, usd: float, **facts: Any) -> dict[str, Any]:
    return {"kind": "amm", "assets": ["eth", "usd"], "fee": 0, "balances": {"eth": eth, "usd": usd}} | facts


def keeper_graph(pools: dict[str, Any], capital: Any = 1_000_000, keepers: Any = None, **facts: Any) -> Any:
    """Return the bank with one borrower (1,000 ether, 70,000 dollars), markets and liquidators that trade there."""
    graph = bank_graph({"ann": (facts.pop("pledge", 1_000), facts.pop("debt", 70_000))}, **facts)
    for name, table in pools.items():
        balances = dict(table["balances"])
        graph.add_node(name, **{k: v for k, v in table.items() if k != "balances"}, path=("nodes", name))
        for asset, quantity in balances.items():
            graph.add_edge(asset, name, role="holds", quantity=quantity, path=())
    for name, params in (keepers or {"keeper": {}}).items():
        latency = params.get("edge", "0s")
        own = {k: v for k, v in params.items() if k != "edge"}
        graph.add_node(name, kind="liquidator", **own, path=("nodes", name))
        graph.add_edge("usd", name, role="holds", quantity=capital, path=())
        graph.add_edge("lender", name, role="liquidations", latency=latency, path=())
        for market, table in pools.items():
            if table["kind"] != "stablecoin_issuer":
                graph.add_edge(name, market, role="trades", path=())
                graph.add_edge(market, name, role="prices", path=())
    return graph


def fallen(graph: Any, at: float = 80.7) -> Any:
    """Return the simulation after the lender's price of ether has fallen to `at`."""
    sim = build(graph)
    sim.run(0)
    reprice(sim, "eth", at)
    settle(sim)
    return sim


def started(graph: Any) -> Any:
    sim = build(graph)
    sim.run(0)
    return sim


def repaid(sim: Any) -> list[int]:
    """Return the debt repaid by every liquidation."""
    postings = sim.log.postings.columns()
    found = []
    for row in rows(sim, "liquidation"):
        own = (postings["event"] == row.id) & (postings["holder"] == sim.network.ids["lender"])
        found.append(int(postings["amount"][own & (postings["asset"] == sim.assets["usd"])].sum()))
    return found


def kinds(sim: Any) -> list[str]:
    known = ("liquidation", "unprofitable", "trade", "gas", "redemption", "bad-debt")
    return [row.kind for row in rows(sim, *known)]


DEEP, SHALLOW = pool(1_000_000, 80_700_000), pool(100, 8_070)


def test_with_depth_it_repays_all_it_may_and_earns_bonus_less_fee_and_slippage() -> None:
    sim = fallen(keeper_graph({"pool": DEEP}))
    first = rows(sim, "trade")[0]
    assert repaid(sim)[0] == 35_000 * USD
    assert first.cause == rows(sim, "liquidation")[0].id and first.value > 35_000 * USD
    gain = held(sim, "keeper", "usd") - 1_000_000 * USD
    assert gain == sum(row.value for row in rows(sim, "trade")) - sum(repaid(sim))
    assert held(sim, "keeper", "eth") == 0


def test_without_depth_it_does_nothing_and_says_so_once() -> None:
    # 99% of the pool's price is 4% below the oracle's: not even the first unit pays.
    thin = pool(10_000, 760_000)
    sim = fallen(keeper_graph({"pool": thin}))
    assert kinds(sim) == ["unprofitable"]
    for number in (80.6, 80.5, 80.4):
        reprice(sim, "eth", number)
        settle(sim)
    assert kinds(sim) == ["unprofitable"]
    assert held(sim, "keeper", "usd") == 1_000_000 * USD


def test_it_acts_once_the_market_price_pays() -> None:
    sim = fallen(keeper_graph({"pool": pool(10_000, 760_000)}))
    assert kinds(sim) == ["unprofitable"]
    node(sim, "pool").trade(
        sim.world, sim.assets["usd"], 60_000 * USD, sim.assets["eth"], cause=sim.shock(sim.world), channel=1
    )
    settle(sim)
    assert "liquidation" in kinds(sim)
    contributors = sim.log.contributions.columns()
    first = rows(sim, "liquidation")[0]
    assert first.cause == rows(sim, "call")[0].id
    assert first.id in contributors["event"].tolist(), "the trade that made it pay is a further parent"


def test_it_acts_once_the_terms_have_changed() -> None:
    sim = fallen(keeper_graph({"pool": pool(1_000_000, 76_000_000)}))
    assert kinds(sim) == ["unprofitable"]
    reprice(sim, "eth", 78)
    settle(sim)
    assert kinds(sim)[:2] == ["unprofitable", "liquidation"]


def test_less_depth_makes_it_repay_less_at_a_time() -> None:
    sizes = [repaid(fallen(keeper_graph({"pool": pool(e, e * 80.7)})))[0] for e in (1_000_000, 20_000, 5_000)]
    assert sizes[0] > sizes[1] > sizes[2] > 0


def profits(offer: Any, proceeds: Any, gas: int, sizes: Any) -> dict[int, int]:
    """Return the profit of every size that the protocol would accept."""
    found = {}
    for size in sizes:
        deal = liquidation(
            size, offer.deposited, offer.debt_unit, offer.collateral_unit, offer.bonus_ppm, offer.fee_ppm
        )
        debt, pledge = (
            (offer.owed - deal.repay) * offer.debt_unit,
            (offer.deposited - deal.seized) * offer.collateral_unit,
        )
        if not 0 < min(debt, pledge) < offer.smallest_rest:
            found[deal.repay] = proceeds(deal.seized - deal.protocol_fee) - deal.repay - gas
    return found


def fresh_offer(graph: Any, at: float) -> Any:
    """Return the offer that the liquidators of a graph will see, and the graph's simulation without them."""
    graph = graph.copy()
    graph.remove_nodes_from([name for name, data in graph.nodes(data=True) if data["kind"] == "liquidator"])
    sim = fallen(graph, at)
    return node(sim, "lender").offer(position(sim, "ann")), sim


@settings(max_examples=30, deadline=None)
@given(
    st.floats(1_000, 200_000), st.floats(0.94, 1.02), st.floats(45, 84.8), st.sampled_from([1_300, 9_000, 70_000]),
    st.sampled_from([3_000, 1_000_000]), st.sampled_from([0, 40]),
)  # fmt: skip
def test_no_other_size_would_pay_more(depth: float, ratio: float, at: float, debt: int, capital: int, gas: int) -> None:
    market = pool(round(depth, 3), round(depth * at * ratio, 3))
    graph = keeper_graph({"pool": market}, capital, {"keeper": {"gas": gas}}, pledge=debt / 70, debt=debt)
    offer, idle = fresh_offer(graph, at)
    budget = min(offer.largest, (capital - gas) * USD)
    step = max(budget // 400, 1)
    eth, usd = idle.assets["eth"], idle.assets["usd"]
    brute = profits(
        offer, lambda q: node(idle, "pool").quote(eth, q, usd), gas * USD, [*range(0, budget, step), budget]
    )
    best = max(brute.values(), default=-1)
    sim = fallen(graph, at)
    if not repaid(sim):
        most = liquidation(budget, offer.deposited, offer.debt_unit, offer.collateral_unit, offer.bonus_ppm, 0).repay
        hopeless = most * offer.bonus_ppm // PPM < gas * USD
        assert hopeless or best <= step // 10, "it left money on the table"
        return
    taken, income = repaid(sim)[0], rows(sim, "trade")[0].value
    assert income - taken - gas * USD >= max(best - step // 10, 0)


@settings(max_examples=30, deadline=None)
@given(st.floats(300, 5_000), st.floats(0.99, 1.08), st.floats(50_000, 500_000), st.floats(0.94, 1.0))
def test_of_two_markets_it_uses_the_one_that_pays_most_at_its_best_size(
    shallow: float, good: float, deep: float, bad: float
) -> None:
    at = 80.7
    pools = {
        "near": pool(round(shallow, 3), round(shallow * at * good, 3)),
        "wide": pool(round(deep, 3), round(deep * at * bad, 3)),
    }
    graph = keeper_graph(pools)
    offer, idle = fresh_offer(graph, at)
    eth, usd, step = idle.assets["eth"], idle.assets["usd"], offer.largest // 500
    sizes = [*range(0, offer.largest, step), offer.largest]
    brute = [profits(offer, lambda q, m=m: node(idle, m).quote(eth, q, usd), 0, sizes) for m in pools]
    best = max(max(found.values()) for found in brute)
    sim = fallen(graph, at)
    if not repaid(sim):
        assert best <= step // 10
        return
    assert rows(sim, "trade")[0].value - repaid(sim)[0] >= best - step // 10


def test_in_a_shallow_pool_part_of_an_underwater_position_still_pays() -> None:
    sim = fallen(keeper_graph({"pool": pool(2_000, 100_000)}), 50)
    assert 0 < repaid(sim)[0] < 20_000 * USD
    assert rows(sim, "trade")[0].value > repaid(sim)[0]


def test_it_comes_after_its_edge_and_its_own_latency() -> None:
    graph = keeper_graph({"pool": DEEP}, keepers={"keeper": {"latency": "2s", "edge": "500ms"}})
    sim = started(graph)
    reprice(sim, "eth", 80.7)
    settle(sim, 10)
    first = rows(sim, "liquidation")[0]
    assert first.time_us - rows(sim, "call")[0].time_us == 2_500_000


@pytest.mark.parametrize("depth", [1_000_000, 5_000, 200])
def test_an_order_that_takes_time_makes_room_for_those_under_way(depth: int) -> None:
    graph = keeper_graph({"pool": pool(depth, depth * 80.7)})
    for source, _, data in graph.edges(data=True):
        if data["role"] == "trades" and source == "keeper":
            data["latency"] = "2s"
    slow = started(graph)
    reprice(slow, "eth", 80.7)
    settle(slow, 30)
    assert held(slow, "keeper", "usd") > 1_000_000 * USD and held(slow, "keeper", "eth") == 0
    trade = rows(slow, "trade")[0]
    assert trade.time_us - rows(slow, "liquidation")[0].time_us == 2_000_000


def test_gas_is_paid_to_the_outside_and_caused_by_the_liquidation() -> None:
    sim = fallen(keeper_graph({"pool": DEEP}, keepers={"keeper": {"gas": 25}}))
    paid, taken = rows(sim, "gas"), rows(sim, "liquidation")
    assert [row.cause for row in paid] == [row.id for row in taken]
    assert {row.quantity for row in paid} == {25 * USD}
    gain = held(sim, "keeper", "usd") - 1_000_000 * USD
    assert gain == sum(row.value for row in rows(sim, "trade")) - sum(repaid(sim)) - 25 * USD * len(paid)


def test_gas_that_eats_the_profit_keeps_it_away() -> None:
    assert kinds(fallen(keeper_graph({"pool": DEEP}, keepers={"keeper": {"gas": 2_000}}))) == ["unprofitable"]
    assert kinds(fallen(keeper_graph({"pool": DEEP}, keepers={"keeper": {"minimum_profit": 2_000}}))) == [
        "unprofitable"
    ]


def test_gas_is_worth_its_currency_whatever_the_debt_is() -> None:
    graph = keeper_graph({"pool": DEEP}, keepers={"keeper": {"gas": 50}}, debt=0, usd={"bonus": 0.05})
    graph.add_node("bob", kind="account", path=("nodes", "bob"))
    graph.add_edge("bob", "lender", role="borrows", collateral={"usd": 10_000}, debt={"eth": 84}, path=())
    graph.add_edge("lender", "bob", role="lends", path=())
    graph.add_edge("eth", "keeper", role="holds", quantity=500, path=())
    sim = fallen(graph, 110)
    assert [row.asset for row in rows(sim, "gas")] == ["eth"]
    assert rows(sim, "gas")[0].quantity == 50 * ETH // 110


def test_finite_capital_limits_a_repayment_and_what_is_kept_back_for_gas() -> None:
    sim = fallen(keeper_graph({"pool": DEEP}, capital=10_000, keepers={"keeper": {"gas": 10}}))
    assert repaid(sim)[0] == 9_990 * USD
    assert rows(sim, "gas")[0].quantity == 10 * USD
    assert len(repaid(sim)) > 1, "what it earns is capital again"


def test_without_capital_it_can_only_watch() -> None:
    assert kinds(fallen(keeper_graph({"pool": DEEP}, capital=0))) == ["unprofitable"]


def test_it_sells_over_two_markets_where_there_is_no_single_one() -> None:
    pools = {
        "first": pool(1_000_000, 0, assets=["eth", "dai"], balances={"eth": 1_000_000, "dai": 80_700_000}),
        "second": pool(0, 0, assets=["dai", "usd"], balances={"dai": 90_000_000, "usd": 90_000_000}),
    }
    graph = keeper_graph(pools)
    graph.add_node("dai", kind="asset", decimals=6, path=("nodes", "dai"))
    sim = fallen(graph)
    one, two = rows(sim, "trade")[:2]
    assert (one.market, two.market, two.cause) == ("first", "second", one.id)
    assert two.quantity == one.value and two.value > repaid(sim)[0]
    assert held(sim, "keeper", "dai") == 0


def issuer_graph(capacity: float, market: Any, fee: float = 0.001) -> Any:
    """Return a keeper who may sell the collateral, a stablecoin, at a market or redeem it."""
    issuer = {
        "kind": "stablecoin_issuer", "asset": "eth", "payout": "usd", "fee": fee, "capacity": capacity,
        "delay": "1min", "balances": {"usd": 1_000_000},
    }  # fmt: skip
    graph = keeper_graph({"pool": market, "issuer": issuer}, price=1, pledge=100_000, debt=80_000)
    graph.add_edge("issuer", "keeper", role="redeems", path=())
    return graph


def test_it_redeems_where_that_pays_more_than_the_market() -> None:
    sim = fallen(issuer_graph(1_000_000, pool(10_000_000, 9_500_000)), 0.96)
    assert kinds(sim)[:2] == ["liquidation", "redemption"]
    seized = rows(sim, "redemption")[0]
    assert seized.cause == rows(sim, "liquidation")[0].id and seized.quantity * 10**-9 > 40_000
    settle(sim, 61)
    assert held(sim, "keeper", "issuer/redemption") == 0 and held(sim, "keeper", "usd") > 1_000_000 * USD


def test_it_sells_where_the_market_pays_more_than_the_issuer() -> None:
    sim = fallen(issuer_graph(1_000_000, pool(10_000_000, 9_800_000), fee=0.05), 0.96)
    assert kinds(sim)[:2] == ["liquidation", "trade"]


def test_what_it_redeems_is_limited_by_the_issuers_room() -> None:
    sim = fallen(issuer_graph(5_000, pool(10_000_000, 9_000_000)), 0.96)
    assert kinds(sim) == ["liquidation", "redemption", "unprofitable"]
    assert 4_999 < rows(sim, "redemption")[0].quantity / ETH <= 5_000
    assert node(sim, "issuer").room() < ETH


def test_the_faster_of_two_liquidators_takes_it() -> None:
    keepers = {"a-slow": {"edge": "2s"}, "b-fast": {"edge": "1s"}}
    sim = started(keeper_graph({"pool": DEEP}, keepers=keepers))
    reprice(sim, "eth", 80.7)
    settle(sim, 10)
    assert held(sim, "b-fast", "usd") > 1_000_000 * USD == held(sim, "a-slow", "usd")


def test_at_equal_speed_the_first_by_name_takes_it() -> None:
    sim = started(keeper_graph({"pool": DEEP}, keepers={"b": {}, "a": {}}))
    reprice(sim, "eth", 80.7)
    settle(sim, 10)
    assert held(sim, "a", "usd") > 1_000_000 * USD == held(sim, "b", "usd")


def test_an_unconditional_one_acts_at_a_loss() -> None:
    sim = fallen(keeper_graph({"pool": SHALLOW}, keepers={"keeper": {"unconditional": True}}))
    assert repaid(sim)[0] == 35_000 * USD
    assert held(sim, "keeper", "usd") < 975_000 * USD
    assert mark(sim, "pool", "eth") < 3 * PRICE_SCALE


@pytest.mark.parametrize("unconditional", [True, False])
@pytest.mark.parametrize("capital", [6_500, 6_999, 7_000])
def test_it_leaves_no_dust(unconditional: bool, capital: int) -> None:
    graph = keeper_graph(
        {"pool": DEEP}, capital, {"keeper": {"unconditional": unconditional}}, pledge=100, debt=7_000, eth={"bonus": 0}
    )
    graph.remove_edge("keeper", "pool")
    if not unconditional:
        graph.add_edge("keeper", "pool", role="trades", path=())
        graph.nodes["lender"]["reserves"]["eth"]["bonus"] = 0.05
    sim = fallen(graph, 80)
    assert repaid(sim)[0] == (7_000 * USD if capital == 7_000 else 6_000 * USD)


def test_it_stops_when_the_position_is_healthy_again() -> None:
    sim = fallen(keeper_graph({"pool": pool(1_000_000, 84_800_000)}), 84.8)
    assert len(repaid(sim)) == 1 and node(sim, "lender").health(position(sim, "ann")) > 1
    assert sim.ledger.max_imbalance() == 0


def test_a_plan_never_repays_more_than_all_collateral_is_worth() -> None:
    sim = fallen(keeper_graph({"pool": DEEP}), 40)
    assert sum(repaid(sim)) == -(-40_000 * USD * PPM // 1_050_000)
    assert kinds(sim)[:2] == ["liquidation", "bad-debt"]
