"""Pools: outputs exact to the base unit, prices that follow reserves, refusals that change nothing."""

from contextlib import suppress
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contagion.assembly import build
from contagion.errors import BadInput
from contagion.finance import amm
from contagion.ledger import Refused
from contagion.units import PPM, PRICE_SCALE, SECOND, SUPPLY_LIMIT
from tests.sight import books, give, held, mark, node, price, quotes, reprice, rows, settle
from tests.worlds import edge, graph_of, market

WEI = 18


def pool_graph(
    decimals: tuple[int, ...] = (9, 6), tokens: tuple[float, ...] = (5_000, 10_000_000), **facts: Any
) -> Any:
    """Return a pool of assets a, b (and c) with a trader; `facts` are the pool's parameters."""
    names = "abcd"[: len(decimals)]
    nodes: dict[str, Any] = {name: {"kind": "asset", "decimals": d} for name, d in zip(names, decimals, strict=True)}
    balances = dict(zip(names, tokens, strict=True))
    nodes["pool"] = {"kind": "amm", "assets": list(names), "balances": balances} | facts
    nodes["trader"] = {"kind": "account"}
    return graph_of(nodes, [], [])


def opened(*args: Any, **facts: Any) -> Any:
    sim = build(pool_graph(*args, **facts))
    sim.run(0)
    return sim


def stable(*decimals: int, tokens: tuple[float, ...] = (), **facts: Any) -> Any:
    sizes = tokens or (1_000_000,) * len(decimals)
    return opened(decimals, sizes, curve="stableswap", **({"fee": "0.0004", "amplification": 100} | facts))


def sell(sim: Any, sold: str, quantity: int, bought: str, by: str = "trader") -> Any:
    cause = give(sim, by, sold, quantity)
    return node(sim, "pool").trade(
        sim.network.ids[by], sim.assets[sold], quantity, sim.assets[bought], cause=cause, channel=1
    )


def reserves(sim: Any) -> list[int]:
    return [held(sim, "pool", name) for name in node(sim, "pool").params.assets]


@pytest.mark.parametrize("decimals", [(6, 6), (9, 6), (6, 12), (12, 9), (0, 6)])
@pytest.mark.parametrize("fee", ["0", "0.003", "0.01"])
def test_a_constant_product_pool_pays_what_the_contract_pays(decimals: tuple[int, int], fee: str) -> None:
    sim = opened(decimals, (4_321, 98_765), fee=fee)
    one_a, one_b = (10**number for number in decimals)
    for sold, bought, quantity in (("a", "b", 321), ("b", "a", one_b // 3), ("a", "b", 7 * one_a)):
        x, y = held(sim, "pool", sold), held(sim, "pool", bought)
        expected = amm.swap_out(quantity, x, y, round(float(fee) * PPM))
        if not expected:
            with pytest.raises(Refused):
                sell(sim, sold, quantity, bought)
            continue
        assert sell(sim, sold, quantity, bought).received == expected
        assert (held(sim, "pool", sold), held(sim, "pool", bought)) == (x + quantity, y - expected)


@pytest.mark.parametrize("decimals", [(6, 6), (9, 6), (12, 6), (6, 9, 12)])
@pytest.mark.parametrize("rate", ["1", "1.2", "0.985"])
def test_a_stableswap_pool_pays_what_the_contract_pays(decimals: tuple[int, ...], rate: str) -> None:
    sim = stable(*decimals, rates={"a": rate})
    rates = [round(float(rate) * PPM)] + [PPM] * (len(decimals) - 1)
    scales = [r * 10 ** (WEI - d) for r, d in zip(rates, decimals, strict=True)]
    names = "abc"[: len(decimals)]
    for i, j, tokens in ((0, 1, 1234), (1, 0, 250_000), (len(decimals) - 1, 0, 1)):
        quantity = tokens * 10 ** decimals[i]
        balances = [amount * scale for amount, scale in zip(reserves(sim), scales, strict=True)]
        expected = amm.stableswap_out(quantity * scales[i], i, j, balances, 100, 400) // scales[j]
        assert sell(sim, names[i], quantity, names[j]).received == expected > 0


def test_the_fee_stays_in_the_pool() -> None:
    free, costly = opened(fee="0"), opened(fee="0.01")
    gained = [sell(sim, "a", 100 * 10**9, "b").received for sim in (free, costly)]
    assert gained[1] < gained[0]
    assert reserves(costly)[1] - reserves(free)[1] == gained[0] - gained[1]
    assert reserves(costly)[0] * reserves(costly)[1] > reserves(free)[0] * reserves(free)[1]


def test_after_a_trade_the_price_is_the_ratio_of_reserves() -> None:
    sim = opened()
    assert mark(sim, "pool", "a") == price(2_000)
    event = sell(sim, "a", 250 * 10**9, "b").event
    x, y = reserves(sim)
    assert mark(sim, "pool", "a") == y * 10**9 * PRICE_SCALE // (x * 10**6)
    assert node(sim, "pool").feeds[sim.assets["a"]].mark.event == event


def test_a_trade_is_logged_with_what_moved_and_its_average_price() -> None:
    sim = opened()
    quantity = 250 * 10**9
    fill = sell(sim, "a", quantity, "b")
    (row,) = rows(sim, "trade")
    assert (row.node, row.market, row.asset, row.quantity, row.value) == ("pool", "pool", "a", quantity, fill.received)
    average = fill.received * 10**9 * PRICE_SCALE // (quantity * 10**6)
    assert mark(sim, "pool", "a") < row.price == average < price(2_000)
    back = sell(sim, "b", fill.received, "a")
    paid = rows(sim, "trade")[1]
    assert (paid.asset, paid.quantity, paid.value) == ("b", fill.received, back.received)


def test_a_balanced_stableswap_pool_quotes_its_rate_and_hardly_moves() -> None:
    sim = stable(9, 6, rates={"a": "1.2"}, tokens=(1_000_000, 1_200_000))
    assert mark(sim, "pool", "a") == pytest.approx(price(1.2), rel=1e-9)
    sell(sim, "a", 100_000 * 10**9, "b")
    assert 0.995 * price(1.2) < mark(sim, "pool", "a") < price(1.2)


def test_a_drained_stableswap_pool_leaves_its_peg() -> None:
    sim = stable(6, 6)
    sell(sim, "a", 900_000 * 10**6, "b")
    assert mark(sim, "pool", "a") < price(0.95)
    assert node(sim, "pool").feeds[sim.assets["a"]].opened.price == price(1)


def follower(latency: str = "2s") -> Any:
    """Return a pool of pepe and ether whose ether another pool prices."""
    nodes, edges = market()
    nodes["pepe"] = {"kind": "asset", "decimals": 2, "price": "0.000001"}
    nodes["cross"] = {"kind": "amm", "assets": ["pepe", "eth"], "balances": {"pepe": 10**12, "eth": 500}}
    edges.append(edge("prices", "pool", "cross", latency, asset="eth"))
    sale = {"kind": "sale", "market": "pool", "asset": "eth", "size": -0.3, "at": "5s", "steps": 2, "over": "10s"}
    sim = build(graph_of(nodes, edges, [sale]))
    sim.run(60 * SECOND)
    return sim


def test_a_pool_requotes_to_the_price_of_its_numeraire_after_the_edges_latency() -> None:
    sim = follower()
    made, seen = quotes(sim, "pool"), quotes(sim, "cross")
    assert [at for at, _ in seen[1:]] == [at + 2 * SECOND for at, _ in made[1:]]
    for (_, quote), (_, own) in zip(made, seen, strict=True):
        assert own == 500 * 10**9 * 10**2 * quote // (10**14 * 10**9)
    assert [row.cause for row in rows(sim, "quote")] == [row.id for row in rows(sim, "trade")]


def test_what_moved_the_numeraire_has_moved_the_pool_however_cheap_its_asset() -> None:
    sim = follower()
    feed = node(sim, "cross").feeds[sim.assets["pepe"]]
    fall = feed.mark.price - feed.opened.price
    assert feed.mark.channels[1] == feed.mark.exogenous == fall < 0


def test_without_a_feed_the_numeraire_is_worth_its_reference_price_at_the_start() -> None:
    graph = pool_graph()
    graph.nodes["b"]["price"] = 3
    sim = build(graph)
    sim.run(0)
    assert mark(sim, "pool", "a") == price(6_000)
    reprice(sim, "b", 2)
    settle(sim)
    assert mark(sim, "pool", "a") == price(6_000)


def test_a_sale_that_brings_nothing_is_refused_and_changes_nothing() -> None:
    sim = opened((9, 0), (5_000, 10_000))
    cause = give(sim, "trader", "a", 10)
    before, events = books(sim), len(sim.log.events)
    with pytest.raises(Refused, match="pool gives nothing for 10 base units"):
        node(sim, "pool").trade(sim.network.ids["trader"], sim.assets["a"], 10, sim.assets["b"], cause=cause, channel=1)
    assert books(sim) == before and len(sim.log.events) == events


def test_a_sale_that_the_holder_cannot_deliver_is_refused_and_changes_nothing() -> None:
    sim = opened()
    cause = give(sim, "trader", "a", 10**9)
    before, events, quoted = books(sim), len(sim.log.events), mark(sim, "pool", "a")
    with pytest.raises(Refused, match=r"trader is short of 0\.000000001 a"):
        node(sim, "pool").trade(
            sim.network.ids["trader"], sim.assets["a"], 10**9 + 1, sim.assets["b"], cause=cause, channel=1
        )
    assert (books(sim), len(sim.log.events), mark(sim, "pool", "a")) == (before, events, quoted)


def test_a_price_beyond_what_can_be_counted_stays_at_the_last_that_can() -> None:
    sim = opened((0, 0), (10**4, 10**12), fee=0)
    sell(sim, "b", 10**16, "a")
    assert mark(sim, "pool", "a") == SUPPLY_LIMIT - 1
    sell(sim, "a", 10**16, "b")
    sell(sim, "a", 10**17, "b")
    assert mark(sim, "pool", "a") == 1


def test_a_pool_without_reserves_or_with_three_assets_and_no_curve_for_them_is_refused() -> None:
    with pytest.raises(BadInput, match="the pool has no b"):
        build(pool_graph(tokens=(1, 0)))
    with pytest.raises(BadInput, match="a constant product pool has two assets"):
        build(pool_graph((6, 6, 6), (1, 1, 1)))


curves = st.sampled_from([
    {"curve": "constant_product"},
    {"curve": "stableswap", "amplification": 20},
    {"curve": "stableswap", "amplification": 500, "rates": {"a": "1.25"}},
])  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(curves, st.floats(0.02, 0.999), st.sampled_from([(6, 6), (9, 6), (6, 12)]), st.floats(0.3, 3))
def test_a_sale_to_a_price_gets_there(
    curve: dict[str, Any], ratio: float, decimals: tuple[int, int], tilt: float
) -> None:
    sim = opened(decimals, (1_000_000 * tilt, 1_250_000), fee=0, **curve)
    before, wanted = mark(sim, "pool", "a"), round(ratio * PPM)
    sell(sim, "a", node(sim, "pool").sale_to_price(sim.assets["a"], wanted), "b")
    assert mark(sim, "pool", "a") / before == pytest.approx(wanted / PPM, rel=5e-3)


@pytest.mark.parametrize("curve", [{}, {"curve": "stableswap", "amplification": 50}])
def test_two_per_cent_depth_is_what_moves_the_price_by_two_per_cent(curve: dict[str, Any]) -> None:
    for side in ("bid_depth", "ask_depth"):
        sim = opened((9, 6), (1_000_000, 1_000_000), fee=0, **curve)
        sell(sim, "a", 10_000 * 10**9, "b")
        depth = int(sim.log.prices.columns()[side][-1])
        before = mark(sim, "pool", "a")
        if side == "bid_depth":
            sell(sim, "a", depth * 10**3 * PRICE_SCALE // before, "b")
            assert mark(sim, "pool", "a") / before == pytest.approx(0.98, abs=2e-4)
        else:
            sell(sim, "b", depth, "a")
            assert mark(sim, "pool", "a") / before == pytest.approx(1.02, abs=2e-4)


trades = st.lists(st.tuples(st.booleans(), st.floats(1e-9, 2)), min_size=1, max_size=25)


@settings(max_examples=40, deadline=None)
@given(trades, st.sampled_from([0, 30, 3_000]), st.integers(10**4, 10**12), st.integers(10**4, 10**12))
def test_a_constant_product_pool_does_what_exact_arithmetic_does(
    sequence: list[tuple[bool, float]], fee_ppm: int, x: int, y: int
) -> None:
    sim = build(pool_graph((0, 0), (x, y), fee=f"{fee_ppm / PPM:.6f}"))
    sim.run(0)
    for from_a, share in sequence:
        sold, bought = ("a", "b") if from_a else ("b", "a")
        x, y = held(sim, "pool", sold), held(sim, "pool", bought)
        quantity = max(int(share * x), 1)
        charged = Fraction(quantity) * (PPM - fee_ppm) / PPM
        exact = charged * y / (x + charged)
        if exact < 1:
            with pytest.raises(Refused):
                sell(sim, sold, quantity, bought)
            continue
        received = sell(sim, sold, quantity, bought).received
        assert exact - 1 < received <= exact
        assert held(sim, "pool", sold) * held(sim, "pool", bought) >= x * y


@settings(max_examples=40, deadline=None)
@given(trades, curves, st.sampled_from(["0", "0.0004", "0.003"]))
def test_no_sequence_of_trades_lowers_the_invariant(
    sequence: list[tuple[bool, float]], curve: dict[str, Any], fee: str
) -> None:
    sim = opened((6, 9), (1_000_000, 1_000_000), fee=fee, **curve)
    before = invariant(sim)
    for from_a, share in sequence:
        sold, bought = ("a", "b") if from_a else ("b", "a")
        with suppress(Refused):
            sell(sim, sold, int(share * held(sim, "pool", sold)), bought)
        after = invariant(sim)
        assert after >= before
        before = after


def invariant(sim: Any) -> int:
    """Return x·y, or the D of the StableSwap equation, found by bisection."""
    params, (a, b) = node(sim, "pool").params, reserves(sim)
    if params.curve == "constant_product":
        return a * b
    x, y = a * round(float(params.rates.get("a", 1)) * PPM) * 10 ** (WEI - 6), b * PPM * 10 ** (WEI - 9)
    low, high, amplified = 0, x + y + 1, params.amplification * 2
    while high - low > 1:
        middle = (low + high) // 2
        enough = amplified * (x + y) * 4 * x * y < (amplified - 1) * middle * 4 * x * y + middle**3
        low, high = (low, middle) if enough else (middle, high)
    return low


@settings(max_examples=40, deadline=None)
@given(curves, st.floats(1e-6, 5), st.booleans(), st.sampled_from(["0", "0.0004"]), st.floats(0.2, 5))
def test_there_and_back_again_never_pays(
    curve: dict[str, Any], share: float, from_a: bool, fee: str, tilt: float
) -> None:
    sim = opened((6, 9), (1_000_000, 1_000_000 * tilt), fee=fee, **curve)
    sold, bought = ("a", "b") if from_a else ("b", "a")
    quantity = int(share * held(sim, "pool", sold))
    out = sell(sim, sold, quantity, bought).received
    pool, trader = node(sim, "pool"), sim.network.ids["trader"]
    assume(pool.quote(sim.assets[bought], out, sim.assets[sold]))  # else the contract itself would revert
    back = pool.trade(trader, sim.assets[bought], out, sim.assets[sold], cause=0, channel=1).received
    assert back <= quantity
    if fee != "0" and quantity > 10**4:
        assert back < quantity
