"""A run with a million liquidations makes a page of at most five megabytes."""

from typing import Any

import numpy as np
import pytest

from contagion.log import EVENT_LAYOUT, FAILURES, PRICE_LAYOUT, Channel
from contagion.metrics.summary import summarise
from contagion.report import html
from contagion.report.tree import branches
from contagion.runs import Books, Run
from contagion.units import PRICE_SCALE, SECOND
from tests.report.pages import parsed

Columns = dict[str, Any]

MOST_BYTES = 5_000_000
FAILED, LEVERAGE, TRADES, MOVES = 1_000_000, 100_000, 400_000, 500_000
SPAN = 3_600 * SECOND
COINS = [f"coin{k}" for k in range(12)]
MARKETS = [f"{coin}-{reader}" for coin in COINS for reader in ("spot", "perp", "mark")]
CROWDS, MAKERS = [f"crowd{k}" for k in range(20)], [f"maker{k}" for k in range(8)]
HOLDERS = ["world", "venue", *MARKETS, *CROWDS, *MAKERS]
KINDS = ["clock", "start", "shock", "trade", "leverage", *FAILURES]
FIRST_CROWD, FIRST_MAKER = 2 + len(MARKETS), 2 + len(MARKETS) + len(CROWDS)


def an_hour(rng: np.random.Generator) -> Columns:
    """Return events that never rest: members of crowds who are liquidated one after the other, trades, leverage."""
    count = 3 + FAILED + LEVERAGE + TRADES
    own = rng.permutation(np.arange(3, count))
    failed, levered = np.sort(own[:FAILED]), own[FAILED : FAILED + LEVERAGE]
    events = {name: np.zeros(count, np.int64) for name in EVENT_LAYOUT}
    events["time_us"] = np.r_[0, 0, SECOND, np.sort(rng.integers(SECOND, SPAN, count - 3))]
    events["kind"][:] = KINDS.index("trade")
    events["kind"][:3] = 0, 1, 2
    events["kind"][failed], events["kind"][levered] = KINDS.index("liquidation"), KINDS.index("leverage")
    events["cause"] = np.maximum(np.arange(count) - rng.integers(1, 2_000, count), 2)
    events["cause"][:3] = -1, 0, 1
    events["market"] = rng.integers(2, FIRST_CROWD, count)
    events["node"] = events["market"].copy()
    events["node"][failed] = rng.integers(FIRST_CROWD, FIRST_MAKER, FAILED)
    events["node"][levered] = rng.integers(FIRST_MAKER, len(HOLDERS), LEVERAGE)
    events["member"], events["asset"] = np.full(count, -1), np.full(count, -1)
    events["member"][failed], events["first"][failed] = np.arange(FAILED), 1
    events["quantity"], events["channel"] = rng.integers(1_000_000, 5_000_000, count), rng.integers(1, 10, count)
    events["value"] = events["quantity"] * 1_000
    return events


def prices_of(events: Columns, rng: np.random.Generator, feeds: int) -> Columns:
    """Return a first price of every feed, and moves of the markets at any event."""
    prices = {name: np.zeros(feeds + MOVES, np.int64) for name in PRICE_LAYOUT}
    prices["event"][feeds:] = np.sort(rng.integers(3, len(events["kind"]), MOVES))
    prices["time_us"] = events["time_us"][prices["event"]]
    prices["market"] = np.r_[np.arange(feeds), rng.integers(2, FIRST_CROWD, MOVES)]
    prices["price"] = np.r_[np.full(feeds, 100), rng.integers(10, 200, MOVES)] * PRICE_SCALE
    prices["delta"][feeds:] = PRICE_SCALE
    prices["bid_depth"] = prices["ask_depth"] = rng.integers(1, 10**9, feeds + MOVES)
    prices["channel"][:] = Channel.EXOGENOUS
    return prices


def books() -> Books:
    kinds = ["world", "exchange", *["order_book"] * len(MARKETS), *["population"] * len(CROWDS)]
    count, assets = len(HOLDERS), [*COINS, "usd"]
    marks = [2 + 3 * k for k in range(len(COINS))] + [count + len(COINS)]
    absent = [-1] * len(assets)
    return Books(
        KINDS, HOLDERS, kinds + ["market_maker"] * len(MAKERS), [("cefi", "defi")[k % 2] for k in range(count)],
        [f"sector {k % 12}" for k in range(count)], assets, [0] * len(assets), absent, absent, absent,
        [*HOLDERS, *assets], marks, [], 0, [], 1, "USD", 6,
    )  # fmt: skip


def million() -> Run:
    """Return a run of an hour in which a million accounts are liquidated and prices move half a million times."""
    rng, own = np.random.default_rng(20_251_010), books()
    events = an_hour(rng)
    failed = np.flatnonzero(events["first"])
    held = np.arange(len(HOLDERS))
    row = {"holder": held, "member": np.full(len(held), -1), "asset": held % len(COINS)}
    tables: dict[str, Columns] = {
        "events": events, "prices": prices_of(events, rng, len(own.feeds)),
        "postings": {"event": 0 * held, "amount": np.full(len(held), 1_000)} | row,
        "balances": row | {"balance": np.full(len(held), 1_000)},
        "failures": {"event": failed, "weighted": rng.uniform(1, 9, FAILED), "exogenous": rng.uniform(0, 1, FAILED),
                     "value": events["value"][failed]},
        "contributions": {"event": failed[:0], "contributor": failed[:0], "weight": np.zeros(0)},
    }  # fmt: skip
    nodes: list[dict[str, str]] = [{"id": n, "kind": k} for n, k in zip(HOLDERS, own.holder_kinds, strict=True)]
    for place, node in enumerate(nodes[2:FIRST_CROWD]):
        node["asset"] = COINS[place // 3]
    edges = [{"source": a, "target": b, "role": "prices"} for a in HOLDERS for b in HOLDERS if a != b]
    run = Run(tables, own, {"end_us": SPAN, "digest": "0" * 64, "seed": 1}, {"nodes": nodes, "edges": edges})
    run.facts = {"scenario": "million", "seed": 1, "digest": "0" * 64, "ledger": {"max_imbalance": 0}} | summarise(run)
    return run


@pytest.fixture(scope="module")
def run() -> Run:
    return million()


def test_a_million_liquidations_fit_into_five_megabytes(run: Run) -> None:
    text = html(run)
    assert run.facts["failures"] == FAILED
    assert len(text.encode()) <= MOST_BYTES
    page = parsed(text)
    assert len(page.all("figure")) >= 12
    sums = page.one(id="aggregated").text
    assert "1,000,000 failures" in sums and "smaller branches are summed up" in sums


def test_the_tree_of_a_million_failures_has_all_of_them(run: Run) -> None:
    found = branches(run)
    assert sum(branch.failures for branch in found) == FAILED
    assert len(found) < 1_000
