"""What clients have at an exchange: claims on it, positions, and the way in and out.

A balance of a coin here is a claim on the exchange, which holds the coin; a loan is a negative claim. A position
is a number of contracts and its cost (what they were bought for, negative when it was paid), both rows of the
ledger, so that its profit at any mark is contracts times mark plus cost, and all profits sum to zero. Funding is
part of what a contract is worth (its index falls by what longs have paid), so that it is exact for everybody and
costs nothing until a position is closed. What a closing realises becomes cash; the exchange, in the middle,
takes the other side of both and stays flat.

Who has no account here and trades all the same (the outside, a keeper with coins of its own) delivers and
receives coins, which pass through the exchange at once.
"""

from math import gcd
from typing import Any

from contagion.ledger import Asset, Leg, Refused, total
from contagion.log import CLOCK
from contagion.ports import Feed
from contagion.simulation import Simulation
from contagion.units import PRICE_SCALE, format_duration
from contagion.venues import Market


class Custody:
    """Claims, positions and transfers of one exchange."""

    def __init__(self, sim: Simulation, node: int, coins: list[int], settlement: int) -> None:
        self.sim, self.node, self.settlement = sim, node, settlement
        name, assets = sim.network.names[node], sim.ledger.assets
        self.claims: dict[int, int] = {}
        for coin in coins:
            facts = assets[coin]
            claim = Asset(f"{facts.name}@{name}", facts.decimals, frozenset({node}), anybody=True)
            self.claims[coin] = sim.add_asset(claim)
        self.cash = self.claims[settlement]
        self.contracts: dict[int, int] = {}
        self.funded: dict[int, int] = {}
        self._due: dict[int, int] = {}
        self._sizes: dict[int, tuple[int, int]] = {}
        self.clients: set[int] = {node}
        self.halts: list[tuple[int, int]] = []

    def open(self) -> None:
        """Say what claims are worth: the coin."""
        for coin, claim in self.claims.items():
            self.sim.claim_feed(claim, coin, PRICE_SCALE)

    def open_contract(self, book: Market, cost: int, price: int) -> Feed:
        """Take a contract and its cost into the books; return the feed of what one contract is worth."""
        self.contracts[book.traded] = cost
        self.sim.claim_feed(cost, self.settlement, PRICE_SCALE)
        self._sizes[book.traded] = (book.lot, book.scale)
        self.funded[book.traded] = 0
        return self.sim.claim_feed(book.traded, self.settlement, price)

    def balance(self, holder: int, asset: int) -> int:
        """Return a holder's balance of a coin here (none of one that is not kept), or the contracts of its position."""
        balances = self.sim.ledger.balances[holder]
        if asset in self.contracts or holder not in self.clients:
            return balances[asset]
        return balances[self.claims[asset]] if asset in self.claims else 0

    def claim(self, asset: int) -> int:
        """Return the claim that stands for a coin here; Refused for one that is not kept."""
        if asset not in self.claims:
            name = self.sim.ledger.assets[asset].name
            raise Refused(f"{self.sim.network.names[self.node]} does not keep {name}")
        return self.claims[asset]

    def can_deliver(self, holder: int, asset: int, amount: int) -> bool:
        """Return whether a holder could deliver so much: clients may borrow, others have to have it."""
        if holder in self.clients or self.sim.ledger.assets[asset].may_owe(holder):
            return True
        return self.balance(holder, asset) >= amount

    def deliver(self, holder: int, asset: int, amount: int) -> list[Leg]:
        """Return the legs by which a client's claim, or an outsider's own coins, change by `amount`.

        Refused for a coin that is not kept here.
        """
        claim = self.claim(asset)
        if holder in self.clients:
            return [(holder, claim, amount)]
        return [(holder, asset, amount), (self.node, asset, -amount), (self.node, claim, amount)]

    def position(self, holder: int, contract: int, quantity: int, cost: int) -> list[Leg]:
        """Return the legs of `quantity` contracts more, bought for `cost` (both negative for a sale)."""
        if holder not in self.clients and holder != self.sim.world:
            raise Refused(f"{self.sim.network.names[holder]} has no account at {self.sim.network.names[self.node]}")
        row, cost_asset, cash = self.sim.ledger.balances[holder], self.contracts[contract], self.cash
        paid = int(self.adjusted(contract, quantity, cost))
        realised = self.realised(row[contract], row[cost_asset], quantity, paid)
        legs: list[Leg] = [(holder, contract, quantity), (holder, cost_asset, -paid - realised)]
        if realised:
            legs += [
                (holder, cash, realised), (self.node, cost_asset, realised), (self.node, cash, -realised)
            ]  # fmt: skip
        return legs

    def adjusted(self, contract: int, quantity: Any, paid: Any) -> Any:
        """Return what a trade costs in terms of a contract whose index has funding taken off.

        Exact, since funding comes in steps that are whole units of cash for every lot, and positions in whole lots.
        """
        lot, scale = self._sizes[contract]
        return paid - quantity // lot * (self.funded[contract] * lot // scale)

    def fund(self, contract: int, amount: int) -> int:
        """Let longs pay `amount` (10^-9 of the settlement) a contract to shorts; return what could be counted.

        That is a multiple of the step that costs a lot whole units of cash; the rest is due with the next payment.
        """
        lot, scale = self._sizes[contract]
        step, due = scale // gcd(scale, lot), self._due.get(contract, 0) + amount
        paid = (due // step if due >= 0 else -(-due // step)) * step
        self._due[contract] = due - paid
        self.funded[contract] += paid
        return paid

    def open_interest(self, contract: int) -> int:
        """Return the contracts that are held long, members of crowds one by one."""
        ledger, long = self.sim.ledger, 0
        for holder, row in enumerate(ledger.balances):
            if (holder, contract) in ledger.members:
                held = ledger.members[holder, contract].held()[1]
                long += total(held[held > 0])
            else:
                long += max(row[contract], 0)
        return long

    @staticmethod
    def realised(held: int, cost: int, quantity: int, paid: int) -> int:
        """Return the profit that a trade realises: on what it closes, at the mean cost of the position.

        held, cost : contracts and (negative) cost before; quantity, paid : contracts bought and for how much.

        >>> Custody.realised(10, -1000, -4, -480), Custody.realised(10, -1000, 4, 480)
        (80, 0)
        >>> Custody.realised(4, -400, -6, -720)
        80
        """
        if not held or (held > 0) == (quantity > 0):
            return 0
        closed = min(abs(quantity), abs(held))
        left = cost * (abs(held) - closed) // abs(held)
        opened = -paid * (abs(quantity) - closed) // abs(quantity)
        return cost - paid - left - opened

    # --------------------------------------------------------------------------------------- the way in and out

    def halted_until(self) -> int:
        """Return when the present halt of transfers ends; 0 while there is none."""
        now = self.sim.env.now
        return max((end for start, end in self.halts if start <= now < end), default=0)

    def refuse_halted(self) -> None:
        """Refuse a transfer while transfers are halted."""
        if end := self.halted_until():
            raise Refused(f"transfers at {self.sim.network.names[self.node]} are halted until {format_duration(end)}")

    def deposit(self, holder: int, asset: int, amount: int, *, cause: int) -> int:
        """Take a client's coins in at once; Refused while halted, and for a coin not kept here. Return the event."""
        self.refuse_halted()
        claim = self.claim(asset)
        return self.sim.transact(
            "deposit", holder, (holder, asset, -amount), (self.node, asset, amount),
            (self.node, claim, -amount), (holder, claim, amount), cause=cause, asset=asset, market=self.node,
            quantity=amount,
        )  # fmt: skip

    def pay_out(self, holder: int, asset: int, amount: int, *, cause: int) -> int:
        """Hand a client's coins out; Refused where the exchange has lent them out."""
        claim = self.claims[asset]
        return self.sim.transact(
            "payout", holder, (holder, claim, -amount), (self.node, claim, amount),
            (self.node, asset, -amount), (holder, asset, amount), cause=cause, asset=asset, market=self.node,
            quantity=amount,
        )  # fmt: skip

    # ---------------------------------------------------------------------------------------------- opening

    def open_balance(self, holder: int, asset: int, amount: int) -> None:
        """Post a balance that exists at the start; what is lent has left with the outside."""
        sim, claim = self.sim, self.claims[asset]
        legs: list[Leg] = [(self.node, claim, -amount), (holder, claim, amount)]
        if amount >= 0:
            legs += [(sim.issuer(asset), asset, -amount), (self.node, asset, amount)]
        else:
            legs += [(self.node, asset, amount), (sim.world, asset, -amount)]
        sim.transact("opening", holder, *legs, cause=CLOCK, asset=asset, market=self.node, quantity=amount)

    def open_position(self, holder: int, contract: int, quantity: int, cost: int) -> None:
        """Post contracts that exist at the start; whoever took the other side has left, with profit or loss."""
        sim, cost_asset = self.sim, self.contracts[contract]
        legs: list[Leg] = [
            (holder, contract, quantity), (sim.world, contract, -quantity),
            (holder, cost_asset, -cost), (sim.world, cost_asset, cost),
        ]  # fmt: skip
        sim.transact("opening", holder, *legs, cause=CLOCK, asset=contract, market=self.node, quantity=quantity)

    def total(self, holder: int, asset: int) -> int:
        """Return the ledger's balance of a holder in any asset."""
        return self.sim.ledger.balances[holder][asset]
