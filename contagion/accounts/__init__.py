"""Margin accounts by the million: what they have, what they are worth, and which of them are in breach.

`Rules` says what positions count for, `AccountBook` has the accounts and is their part of the ledger,
`LiquidationIndex` finds those in breach at given prices without asking all.

>>> import numpy as np
>>> from contagion.finance.margin import perpetual_pieces
>>> book = AccountBook.empty(3, Rules([perpetual_pieces([(0, 0.05), (50_000, 0.1)])]))
>>> index = LiquidationIndex(book, np.array([100.0]))
>>> size, cost, cash = (book.column(0, part) for part in ("quantity", "cost", "cash"))
>>> size.add(2, 10), cost.add(2, -1_000), cash.add(2, 200)
(True, True, True)
>>> index.breaches(np.array([84.0])).tolist(), book.margins(np.array([84.0]))[2]
([2], np.float64(-2.0))
"""

from contagion.accounts.book import AccountBook, BookColumn, by_radius
from contagion.accounts.index import LiquidationIndex
from contagion.accounts.rules import Rules

__all__ = ["AccountBook", "BookColumn", "LiquidationIndex", "Rules", "by_radius"]
