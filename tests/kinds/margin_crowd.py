"""A crowd of stated margin accounts: cash, contracts of one perpetual at an entry price, coins."""

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

import numpy as np

from contagion.accounts import AccountBook
from contagion.mechanisms.population.sizes import rows_of
from contagion.params import AssetName, NodeName, Number
from contagion.params import Params as Parameters
from contagion.ports import Mechanism, Process
from contagion.simulation import Simulation
from contagion.venues import EXCHANGES


class Member(Parameters):
    """One account, in tokens; `entry` in the settlement."""

    cash: Number
    quantity: Number = Decimal(0)
    entry: Number = Decimal(0)
    coins: Number = Decimal(0)


class MarginCrowd:
    """Members who do nothing."""

    class Params(Parameters):
        """`book` is the perpetual's, `coin` what members keep beside it."""

        book: NodeName
        coin: AssetName
        members: list[Member]

    opens = 5
    reacts: ClassVar[bool] = False

    def __init__(self, sim: Simulation, node: int, params: "MarginCrowd.Params") -> None:
        self.sim, self.node, self.params = sim, node, params

    def open(self) -> None:
        """Open the accounts."""
        sim, p = self.sim, self.params
        (exchange,) = sim.peers(self.node, EXCHANGES)
        book, coin = exchange.book_of(sim.network.ids[p.book]), sim.assets[p.coin]
        cash = np.array([sim.units(exchange.settlement, m.cash) for m in p.members], np.int64)
        held = [sim.units(book.asset, m.quantity) for m in p.members]
        paid = [-sim.units(exchange.settlement, m.quantity * m.entry) for m in p.members]
        coins = [sim.units(coin, m.coins) for m in p.members]
        slots = np.array([[exchange.line_number(book.traded), exchange.line_number(coin)]] * len(held), np.int64)
        quantities = np.array([held, coins], np.int64).T.copy()
        costs = np.array([paid, [0] * len(held)], np.int64).T.copy()
        exchange.open_crowd(self.node, AccountBook(rows_of(slots, quantities, costs, cash), exchange.rules()))

    def processes(self) -> Iterable[Process]:
        """Return nothing."""
        return ()


MECHANISM: type[Mechanism] = MarginCrowd
