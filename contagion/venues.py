"""The ports of an exchange: order books, who clears behind them, and who keeps accounts and margin.

An order book matches and knows no balances; whoever clears for it says which legs a fill takes. Makers and
arbitrageurs see books, account holders see the exchange, and neither sees the other's inside.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from contagion.ledger import Leg
from contagion.ports import Feed, Mechanism, Port, Signal

BUY, SELL = 1, -1

Ladders = Mapping[int, tuple[Sequence[int], Sequence[int]]]
"""By side, +1 for bids and -1 for asks: prices, best first, and the quantity at each."""


class Execution(NamedTuple):
    """What a market did with an order: its event (the cause where nothing traded), how much, for how much."""

    event: int
    filled: int
    notional: int
    unfilled: int


class Clearing(Protocol):
    """Who keeps the accounts behind a market: it says which legs a delivery or a position takes."""

    node: int
    settlement: int

    def balance(self, holder: int, asset: int) -> int:
        """Return what a holder can deliver of an asset here."""

    def deliver(self, holder: int, asset: int, amount: int) -> list[Leg]:
        """Return the legs by which a holder's balance of an asset changes by `amount`."""

    def position(self, holder: int, contract: int, quantity: int, cost: int) -> list[Leg]:
        """Return the legs of `quantity` contracts more, bought for `cost` (both negative for a sale).

        What closes a position moves its profit or loss to the balance in the settlement asset.
        """


class Market(Protocol):
    """An order book as those see it who quote and trade on it; `side` is +1 to buy and -1 to sell."""

    node: int
    asset: int
    traded: int
    numeraire: int
    perpetual: bool
    lot: int
    scale: int
    clearing: Clearing
    feeds: dict[int, Feed]

    def best(self, side: int) -> int | None:
        """Return the best resting price of a side, in 10^-9 of the numeraire; None where it is empty."""

    def last(self) -> int:
        """Return the last traded price, within the spread."""

    def levels(self, side: int, limit: int | None = None) -> list[tuple[int, int]]:
        """Return (price, quantity) resting on a side, best first."""

    def execute(
        self, holder: int, side: int, quantity: int, limit: int | None = None, *, cause: int, channel: int
    ) -> Execution:
        """Buy or sell at once up to a limit; the rest is not filled and nothing rests."""

    def quote_ladders(self, maker: int, ladders: Ladders, *, cause: int, channel: int) -> int:
        """Replace a maker's ladders, (prices, quantities) by side, and return the event."""

    def cancel_all(self, maker: int, *, cause: int, distress: bool = False) -> tuple[int, int]:
        """Cancel all orders of a maker; return (event, notional), in distress keeping them in the ghost book."""

    def notional(self, quantity: int, price: int) -> int:
        """Return quantity times price, in base units of the numeraire, rounded down."""


class Custodian(Protocol):
    """An exchange as its account holders see it."""

    node: int
    calls: Signal
    settlement: int

    def balance(self, holder: int, asset: int) -> int:
        """Return a holder's balance of an asset here, negative for a loan."""

    def open_account(self, holder: int, balances: Mapping[int, int], positions: Mapping[int, tuple[int, int]]) -> None:
        """Post what an account brings to time 0: balances by asset; (contracts, entry price) by contract."""

    def open_crowd(self, holder: int, rows: Any) -> None:
        """Post what a crowd brings to time 0, one row an account."""


BOOKS: Port[Market] = Port("trades", "out")
CLEARERS: Port[Clearing] = Port("trades", "in")
QUOTED: Port[Market] = Port("quotes", "out")
ARBITRAGED: Port[Market] = Port("arbitrage", "out")
EXCHANGES: Port[Custodian] = Port("margin", "in")
CLIENTS: Port[Mechanism] = Port("margin", "out")
FUNDS: Port[Mechanism] = Port("funds", "out")
