"""A run with a million liquidations makes a page of at most five megabytes."""

import numpy as np
import pytest

from contagion.log import EVENT_LAYOUT, FAILURES, PRICE_LAYOUT, Channel
from contagion.metrics.summary import summarise
from contagion.report import html
from contagion.report.tree import branches
from contagion.runs import Books, Run
from contagion.units import PRICE_SCALE, SECOND
from tests.report.pages import parsed

MOST_BYTES = 5_000_000
FAILED, MAKERS, ASSETS, CROWDS = 1_000_000, 8, 12, 20


def million() -> Run:
    """Return a run of crowds whose members are liquidated one after the other, with prices and makers that never rest."""
    rng = np.random.default_rng(20_251_010)
    markets = [f"{asset}-{kind}" for asset in range(ASSETS) for kind in ("spot", "perp", "mark")]
    coins = [f"coin{k}" for k in range(ASSETS)]
    crowds, makers = [f"crowd{k}" for k in range(CROWDS)], [f"maker{k}" for k in range(MAKERS)]
    holders = ["world", "venue", *markets, *crowds, *makers]
    kinds = ["clock", "start", "shock", "trade", "leverage", *FAILURES]
    span = 3_600 * SECOND
    leverage, trades = 100_000, 400_000
    count = 3 + FAILED + leverage + trades
    times = np.r_[0, 0, SECOND, np.sort(rng.integers(SECOND, span, count - 3))]
    kind = np.full(count, kinds.index("trade"))
    own = rng.permutation(np.arange(3, count))
    failed, levered = np.sort(own[:FAILED]), own[FAILED : FAILED + leverage]
    kind[:3], kind[failed], kind[levered] = (0, 1, 2), kinds.index("liquidation"), kinds.index("leverage")
    events = {name: np.zeros(count, np.int64) for name in EVENT_LAYOUT}
    cause = np.maximum(np.arange(count) - rng.integers(1, 2_000, count), 2)
    cause[:3] = (-1, 0, 1)
    node = rng.integers(2, 2 + len(markets), count)
    node[failed] = rng.integers(2 + len(markets), 2 + len(markets) + CROWDS, FAILED)
    node[levered] = rng.integers(len(holders) - MAKERS, len(holders), leverage)
    member, market = np.full(count, -1), rng.integers(2, 2 + len(markets), count)
    member[failed] = np.arange(FAILED)
    first, quantity = np.zeros(count, np.int64), rng.integers(1_000_000, 5_000_000, count)
    first[failed] = 1
    channel = rng.integers(1, 10, count)
    events |= {"time_us": times, "kind": kind, "cause": cause, "node": node, "member": member, "market": market,
               "first": first, "quantity": quantity, "value": quantity * 1_000, "channel": channel,
               "asset": np.full(count, -1)}  # fmt: skip
    rows, feeds = 500_000, len(holders) + ASSETS + 1
    moves = np.sort(rng.integers(3, count, rows))
    prices = {name: np.zeros(rows + feeds, np.int64) for name in PRICE_LAYOUT}
    prices["event"] = np.r_[np.zeros(feeds, np.int64), moves]
    prices["time_us"] = times[prices["event"]]
    prices["market"] = np.r_[np.arange(feeds), rng.integers(2, 2 + len(markets), rows)]
    prices["price"] = np.r_[np.full(feeds, 100), rng.integers(10, 200, rows)] * PRICE_SCALE
    prices["bid_depth"] = prices["ask_depth"] = rng.integers(1, 10**9, rows + feeds)
    prices["channel"] = np.full(rows + feeds, Channel.EXOGENOUS)
    prices["delta"] = np.r_[np.zeros(feeds, np.int64), np.full(rows, PRICE_SCALE)]
    held = np.arange(len(holders))
    asset = np.r_[np.zeros(len(holders) - CROWDS, np.int64), np.arange(CROWDS) % ASSETS]
    postings = {"event": np.zeros(len(held), np.int64), "amount": np.full(len(held), 1_000), "holder": held,
                "member": np.full(len(held), -1), "asset": asset}  # fmt: skip
    balances = {"holder": held, "member": postings["member"], "asset": asset, "balance": postings["amount"]}
    failures = {"event": failed, "weighted": rng.uniform(1, 9, FAILED), "exogenous": rng.uniform(0, 1, FAILED),
                "value": quantity[failed] * 1_000}  # fmt: skip
    assets = [*coins, "usd"]
    books = Books(
        kinds, holders, ["world", "exchange", *["order_book"] * len(markets), *["population"] * CROWDS, *["market_maker"] * MAKERS],
        ["defi" if k % 2 else "cefi" for k in range(len(holders))], [f"sector {k % 12}" for k in range(len(holders))], assets,
        [0] * len(assets), [-1] * len(assets), [-1] * len(assets), [-1] * len(assets), [*holders, *assets],
        [[2 + 3 * k for k in range(ASSETS)] + [len(holders) + ASSETS] for _ in holders], 0, [], 1, "USD", 6,
    )  # fmt: skip
    nodes = [{"id": name, "kind": kind} for name, kind in zip(holders, books.holder_kinds, strict=True)]
    for place, name in enumerate(markets):
        nodes[2 + place]["asset"] = coins[place // 3]
    edges = [
        {"source": a, "target": b, "role": "prices"} for a in holders for b in holders if hash((len(a), len(b))) % 2
    ]
    tables = {"events": events, "prices": prices, "postings": postings, "balances": balances, "failures": failures,
              "contributions": {"event": failed[:0], "contributor": failed[:0], "weight": failures["value"][:0]}}  # fmt: skip
    run = Run(tables, books, {"end_us": span, "digest": "0" * 64, "seed": 1}, {"nodes": nodes, "edges": edges})
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
