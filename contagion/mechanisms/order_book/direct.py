"""A market without an exchange behind it: holders deliver what they own, at once."""

from dataclasses import dataclass

from contagion.ledger import Ledger, Leg


@dataclass
class Direct:
    """Clearing by the holders' own balances; positions there are none."""

    node: int
    settlement: int
    ledger: Ledger

    def balance(self, holder: int, asset: int) -> int:
        """Return what a holder has of an asset."""
        return self.ledger.balances[holder][asset]

    def can_deliver(self, holder: int, asset: int, amount: int) -> bool:
        """Return whether a holder has so much of an asset, or may owe it."""
        return self.ledger.assets[asset].may_owe(holder) or self.balance(holder, asset) >= amount

    def deliver(self, holder: int, asset: int, amount: int) -> list[Leg]:
        """Return the leg by which a holder's balance changes."""
        return [(holder, asset, amount)]

    def position(self, holder: int, contract: int, quantity: int, cost: int) -> list[Leg]:
        """Never called: a perpetual needs an exchange."""
        raise AssertionError("a book of perpetuals is cleared by an exchange")
