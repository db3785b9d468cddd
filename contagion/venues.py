"""The ports of an exchange: order books, who clears behind them, and who keeps accounts and margin.

An order book matches and knows no balances; whoever clears for it says which legs a fill takes. Makers and
arbitrageurs see books, account holders see the exchange, and neither sees the other's inside.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from contagion.errors import Misfit
from contagion.ledger import Asset, Leg
from contagion.ports import Feed, Mechanism, Port, Signal
from contagion.units import PRICE_DECIMALS, to_units

BUY, SELL = 1, -1

Ladders = Mapping[int, tuple[Sequence[int], Sequence[int]]]
"""By side, +1 for bids and -1 for asks: prices, best first, and the quantity at each."""


class Execution(NamedTuple):
    """What a market did with an order: its event (the cause where nothing traded), how much, for how much."""

    event: int
    filled: int
    notional: int
    unfilled: int


class Notice(NamedTuple):
    """What an exchange has done with an account: a withdrawal of `amount` is over, or (0) a position was cut."""

    exchange: int
    holder: int
    asset: int
    amount: int


class Clearing(Protocol):
    """Who keeps the accounts behind a market: it says which legs a delivery or a position takes."""

    node: int
    settlement: int

    def balance(self, holder: int, asset: int) -> int:
        """Return a holder's balance of an asset here."""

    def can_deliver(self, holder: int, asset: int, amount: int) -> bool:
        """Return whether a holder could deliver so much: what it has, or without limit where it may borrow."""

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
    quote_price: int
    perpetual: bool
    tick: int
    lot: int
    scale: int
    clearing: Clearing
    feeds: dict[int, Feed]
    fees: dict[str, int]
    """What a `taker` and a `maker` pay, in ppm of the notional."""
    prints: tuple[int, int]
    """How much has traded since the opening, and for how much: price (10^-9 of the numeraire) times quantity."""

    def resting(self, maker: int) -> tuple[int, int]:
        """Return how much a maker has resting, (bids, offers)."""

    def at_stake(self, maker: int) -> tuple[int, int]:
        """Return (number of a maker's orders, what they are worth in the currency)."""

    def price_in_currency(self) -> int:
        """Return the last price in 10^-9 of the currency."""

    def depth(self) -> tuple[int, int]:
        """Return (bid, ask) quantity within the market's band around the last price."""

    def rounded(self, quantity: int) -> int:
        """Return the quantity in whole lots, rounded down."""

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

    def quote_ladders(self, maker: int, ladders: Ladders, *, cause: int, channel: int = ..., news: int = 0) -> int:
        """Replace a maker's ladders, (prices, quantities) by side, and return the event.

        news : by how much the maker moves with the fundamental, in 10^-9 of the numeraire; channel : of what is
        neither news nor undoes a trade.
        """

    def cancel_all(self, maker: int, *, cause: int, distress: bool = False) -> tuple[int, int]:
        """Cancel all orders of a maker; return (event, notional), in distress keeping them in the ghost book."""

    def notional(self, quantity: int, price: int) -> int:
        """Return quantity times price, in base units of the numeraire, rounded down."""


class Custodian(Protocol):
    """An exchange as its account holders see it; `notices` carries a `Notice`."""

    node: int
    calls: Signal
    notices: Signal
    settlement: int
    feeds: dict[int, Feed]

    def balance(self, holder: int, asset: int) -> int:
        """Return a holder's balance of an asset here, negative for a loan."""

    def leverage(self, holder: int) -> tuple[float, float]:
        """Return (gross assets over equity, equity in base units of the settlement) of an account."""

    def withdraw(self, holder: int, asset: int, amount: int, *, cause: int) -> int:
        """Let a client take coins out after a delay; Refused while halted, beyond its balance or its margin."""

    def deposit(self, holder: int, asset: int, amount: int, *, cause: int) -> int:
        """Take a client's coins in at once; Refused while halted."""

    def funding_rate(self, contract: int) -> float:
        """Return the annual rate that longs pay on a contract, by the premium since the last payment."""

    def funded(self, contract: int) -> int:
        """Return what longs have paid on one contract so far, in 10^-9 of the settlement."""

    def paid_out(self, event: int) -> tuple[int, int]:
        """Return the withdrawal that an event ended, (-1, 0) for other events, and the amount paid (0: refused)."""

    def halted_until(self) -> int:
        """Return when the present halt of transfers ends, in microseconds; 0 while there is none."""

    def open_account(self, holder: int, balances: Mapping[int, int], positions: Mapping[int, tuple[int, int]]) -> None:
        """Post what an account brings to time 0: balances by coin; (contracts, entry price or 0) by book."""

    def open_crowd(self, holder: int, book: Any) -> None:
        """Post what a crowd brings to time 0, and keep its members' accounts."""

    def book_of(self, node: int) -> Any:
        """Return the book of this exchange that is a node, None where it is not one."""

    def line_number(self, asset: int) -> int:
        """Return the number of a coin or contract in the account books of this exchange."""

    def lot_of(self, asset: int) -> int:
        """Return the lot in which a coin is sold here; one unit where it has no market."""

    def rules(self) -> Any:
        """Return the margin rules of this exchange, for an account book."""

    def prices(self) -> Any:
        """Return what one base unit of each coin and contract is worth in base units of the settlement."""

    def unit(self, asset: int) -> float:
        """Return what one base unit of a coin or contract is worth in base units of the settlement."""

    def sell_members(self, holder: int, members: Any, asset: int, size: Any, *, cause: int, channel: int) -> int:
        """Sell coins of a crowd's members as one order at what rests; return the trade's event."""


BOOKS: Port[Market] = Port("trades", "out")
CLEARERS: Port[Clearing] = Port("trades", "in")
QUOTED: Port[Market] = Port("quotes", "out")
ARBITRAGED: Port[Market] = Port("arbitrage", "out")
EXCHANGES: Port[Custodian] = Port("margin", "in")
CLIENTS: Port[Mechanism] = Port("margin", "out")
FUNDS: Port[Mechanism] = Port("funds", "out")


def open_accounts(sim: Any, node: int) -> Custodian | None:
    """Open a node's accounts at the exchanges of its `margin` edges; return the first of them, None without any.

    sim : the simulation, to which the opening is posted; Misfit for a position at what is no market.
    """
    first = None
    for link in sim.links(node, EXCHANGES):
        terms = link.attributes
        balances = {sim.assets[name]: sim.units(sim.assets[name], amount) for name, amount in terms["balances"].items()}
        positions = {}
        for name, contract in terms["positions"].items():
            book = sim.mechanisms[sim.network.ids[name]]
            if not hasattr(book, "perpetual"):
                raise Misfit(("nodes", sim.network.names[node]), f"has a position at {name!r}, which is no market")
            entry = to_units(contract["entry"], PRICE_DECIMALS) if contract["entry"] else 0
            positions[book.node] = (sim.units(book.asset, contract["quantity"]), entry)
        link.peer.open_account(node, balances, positions)
        first = first or link.peer
    return first


def crowd_exchange(sim: Any, node: int) -> Custodian:
    """Return the one exchange at which a crowd has its accounts; Misfit where its `margin` edge states any of them."""
    links = sim.links(node, EXCHANGES)
    if len(links) != 1:
        raise Misfit(("nodes", sim.network.names[node]), "a crowd has accounts at one exchange: add one 'margin' edge")
    for key in ("balances", "positions"):
        if links[0].attributes[key]:
            what = f"a crowd draws its accounts: leave {key!r} out"
            raise Misfit(("edges", links[0].edge), what)
    return links[0].peer  # type: ignore[no-any-return]


def clearer_of(sim: Any, market: int) -> Clearing | None:
    """Return the exchange that sends orders to a market (a `trades` edge), None without one; Misfit with two."""
    found = [link.peer for link in sim.links(market, CLEARERS) if hasattr(link.peer, "open_crowd")]
    if len(found) > 1:
        path = ("nodes", sim.network.names[market])
        raise Misfit(path, f"{len(found)} exchanges send orders here ('trades' edges): one clears a market")
    return found[0] if found else None


class Traded(Protocol):
    """What a market trades, and who clears it."""

    asset: int
    traded: int
    numeraire: int
    perpetual: bool
    clearing: Clearing


def trade_legs(market: Traded, holder: int, side: int, quantity: int, paid: int) -> list[Leg]:
    """Return the legs of a holder who buys (side +1) or sells a quantity for `paid`: a position, or coins for cash."""
    clearing = market.clearing
    if market.perpetual:
        return clearing.position(holder, market.traded, side * quantity, side * paid)
    return [
        *clearing.deliver(holder, market.asset, side * quantity),
        *clearing.deliver(holder, market.numeraire, -side * paid),
    ]


def add_contract(sim: Any, market: int, asset: int, numeraire: int) -> int:
    """Return the ledger's number of a perpetual's contract, made with its cost; its exchange stands behind both."""
    name, nodes = sim.network.names[market], sim.network.nodes
    behind = [e.source for e in sim.network.edges_in(market, "trades") if nodes[e.source].kind == "exchange"]
    if not behind:
        raise Misfit(("nodes", name), "a perpetual needs a 'trades' edge from the exchange that clears it")
    issuers, assets = frozenset(behind[:1]), sim.ledger.assets
    sim.add_asset(Asset(f"{name}:cost", assets[numeraire].decimals, issuers, anybody=True))
    return int(sim.add_asset(Asset(f"{name}:contract", assets[asset].decimals, issuers, anybody=True)))
