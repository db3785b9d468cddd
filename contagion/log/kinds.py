"""The kinds of events that mechanisms, shocks and the engine itself log: what a scenario may name."""

KINDS = frozenset(
    (
        "clock", "opening", "start", "shock",
        # failures
        "default", "liquidation", "close-out", "forced-unwind", "maker-withdrawal", "auto-deleveraging",
        "blocked-withdrawal", "de-peg", "insolvency",
        # prices and orders
        "trade", "auction", "quote", "cancel", "unfilled", "cross", "oracle-update", "mark", "sale", "fee", "leverage",
        # margin and what stands behind it
        "margin-call", "liquidation-fee", "insurance", "deleveraging", "uncovered-deficit", "funding",
        # lending
        "supply", "borrow", "repayment", "withdrawal", "call", "bad-debt", "interest", "gas", "carry", "flash-loan",
        # transfers, and what issuers do
        "deposit", "payout", "transfer", "mint", "delivery", "redemption", "settlement", "reward", "yield", "hedge-gap",
        # banks
        "write-down", "revaluation", "clearing", "default-cost",
        # refusals
        "refused-fee", "refused-mint", "refused-redemption", "refused-sale", "refused-trade", "refused-transfer",
        "refused-withdrawal", "unprofitable", "unwind-refused",
    )
)  # fmt: skip
"""Kinds that code from outside the package may add to."""
