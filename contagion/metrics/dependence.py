"""What hangs on a price: its readers, and collateral that is sold where it is marked.

A reader hears a price over a `prices` edge, an oracle's readers over the oracle: whose decisions hang on a market may
be many steps away from it. An oracle hears only what its `source` is about: markets, or reference prices. What an
asset node hears is its watch over a peg, which moves no price: it passes nothing on.

Wrong-way collateral (an exposure that grows as the counterparty weakens, Basel framework, CRE53) is told by the graph:

- `issuer`: the borrower has pledged what it issues itself;
- `market`: the price by which the lender values the collateral comes from a market at which the collateral is sold
  when the loan fails, by the lender's liquidators or by the borrower who unwinds (their `trades` edges). One such loan
  that fails brings the next one closer. A lender that reads a peg or a redemption value has none of these.

Where both are so, the collateral counts as the issuer's.
"""

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from contagion.metrics.loans import Loans

MARKET_SOURCES = ("book", "pool", "index", "twap")
"""Sources of oracles that are markets; the others are reference prices of assets."""


class Prices:
    """Who reads whose prices in an exposure graph (node-link JSON)."""

    def __init__(self, graph: Mapping[str, Any]) -> None:
        self.nodes = {node["id"]: node for node in graph.get("nodes", [])}
        self.readers: dict[str, list[str]] = defaultdict(list)
        self.sources: dict[str, list[str]] = defaultdict(list)
        self.ends: dict[tuple[str, str], set[str]] = defaultdict(set)
        for edge in graph.get("edges", []):
            source, target, role = edge["source"], edge["target"], edge.get("role")
            self.ends[source, role].add(target)
            if role == "prices" and self._hears(target, source):
                self.readers[source].append(target)
                self.sources[target].append(source)

    def dependence(self) -> dict[str, dict[str, int]]:
        """Return, for every node whose price is read, how many read it and how many it reaches over others.

        >>> edges = [("pool", "oracle"), ("oracle", "lender"), ("oracle", "exchange")]
        >>> Prices({"edges": [{"source": s, "target": t, "role": "prices"} for s, t in edges]}).dependence()
        {'oracle': {'readers': 2, 'reach': 2}, 'pool': {'readers': 1, 'reach': 3}}
        """
        rows = {
            name: {"readers": len(set(self.readers[name])), "reach": len(_reached(name, self.readers))}
            for name in list(self.readers)
        }
        return dict(sorted(rows.items(), key=lambda row: (-row[1]["readers"], row[0])))

    def behind(self, feed: str) -> set[str]:
        """Return the node of a feed and all that its price comes from."""
        node = feed if feed in self.nodes else feed.rpartition("/")[0]
        return {node} | _reached(node, self.sources)

    def sold_at(self, lender: str, borrower: str) -> set[str]:
        """Return the markets to which a loan's collateral can go when it fails."""
        sellers = {borrower} | self.ends[lender, "liquidations"]
        return {market for seller in sellers for market in self.ends[seller, "trades"]}

    @cached_property
    def issuers(self) -> dict[str, str]:
        """Return who issues an asset, by asset, where somebody does."""
        return {name: node["issuer"] for name, node in self.nodes.items() if node.get("issuer")}

    def _hears(self, target: str, source: str) -> bool:
        node = self.nodes.get(target, {})
        if node.get("kind") == "asset":
            return False
        if node.get("kind") != "oracle":
            return True
        is_market = self.nodes.get(source, {}).get("kind") != "asset"
        return bool(is_market == (node.get("source", "book") in MARKET_SOURCES))


def wrong_way(open_loans: Loans, books: Any, prices: Prices) -> dict[str, dict[str, Any]]:
    """Return, for every lender, what is `pledged`, and what of it goes the wrong way by `issuer` and by `market`."""
    pledged = open_loans.of(open_loans.worth > 0.0)
    keys = np.stack([pledged.lender, pledged.holder, pledged.asset])
    found, group = np.unique(keys, axis=1, return_inverse=True)
    sums = np.bincount(group.reshape(-1), pledged.worth, found.shape[1])
    table: dict[str, dict[str, Any]] = {}
    behind: dict[str, set[str]] = {}
    for (lender, holder, asset), worth in zip(found.T.tolist(), sums.tolist(), strict=True):
        row = table.setdefault(books.holders[lender], {"pledged": 0.0, "issuer": 0.0, "market": 0.0})
        row["pledged"] += worth
        who, whom = books.holders[holder], books.holders[lender]
        feed = books.feeds[books.mark(lender, asset)]
        if feed not in behind:
            behind[feed] = prices.behind(feed)
        if prices.issuers.get(books.assets[asset]) == who:
            row["issuer"] += worth
        elif behind[feed] & prices.sold_at(whom, who):
            row["market"] += worth
    return table


def _reached(start: str, ways: Mapping[str, list[str]]) -> set[str]:
    """Return all that is reached from a node, itself left out."""
    found: set[str] = set()
    ahead = list(ways.get(start, []))
    while ahead:
        if (node := ahead.pop()) not in found and node != start:
            found.add(node)
            ahead += ways.get(node, [])
    return found
