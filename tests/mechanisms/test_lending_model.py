"""The lender against a naive one in fractions: the same balances and the same refusals, whatever is asked of it.

Rates are zero, so that a claim is worth what it was. The rules of rounding are then three: what is seized is
rounded down, a repayment bounded by the collateral is rounded up, and so is the protocol's fee.
"""

from fractions import Fraction
from math import ceil, floor
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.assembly import build
from contagion.ledger import Refused
from contagion.simulation import Simulation
from contagion.units import PRICE_SCALE
from tests.bank import bank
from tests.sight import give, held, mark, node, position, reprice, settle
from tests.worlds import edge, graph_of

DECIMALS = {"usd": 6, "eth": 9, "wbtc": 8}
PRICES = {"usd": 1, "eth": 2_000, "wbtc": 60_000}
TERMS = {
    "usd": {"ltv": 0.75, "threshold": 0.8, "bonus": 0.04, "protocol_fee": 0.1},
    "eth": {"ltv": 0.8, "threshold": 0.825, "bonus": 0.05, "protocol_fee": 0.2},
    "wbtc": {"ltv": 0.7, "threshold": 0.75, "bonus": 0.1, "protocol_fee": 0},
}
PEOPLE = ("ann", "bob")
PURSE = 10**7  # dollars of everything, at the first prices

people, assets = st.sampled_from(PEOPLE), st.sampled_from(sorted(PRICES))
shares = st.floats(0.01, 1.1)
prices = st.tuples(st.just("price"), assets, st.floats(0.4, 1.3))
liquidations = st.tuples(st.just("liquidate"), people, shares)
requests = st.tuples(st.sampled_from(["supply", "borrow", "withdraw", "repay"]), people, assets, shares)
operations = st.lists(
    st.one_of(requests, prices, liquidations, st.tuples(prices, liquidations)), min_size=8, max_size=40
)


class Naive:
    """Deposits, debts and cash as plain dictionaries; values as fractions."""

    def __init__(self) -> None:
        self.deposit = {(who, a): 0 for who in (*PEOPLE, "supplier") for a in PRICES}
        self.debt = dict(self.deposit)
        self.cash = dict.fromkeys(PRICES, 0)
        self.purse = {(who, a): tokens(a, PURSE) for who in (*PEOPLE, "purse") for a in PRICES}
        self.price = {a: Fraction(price) for a, price in PRICES.items()}
        for a in PRICES:
            self.deposit["supplier", a] = self.cash[a] = tokens(a, 100_000)

    def worth(self, amount: int, asset: str) -> Fraction:
        return amount * self.price[asset] / 10 ** DECIMALS[asset]

    def total(self, book: dict[Any, int], who: str, weight: str = "") -> Fraction:
        def factor(a: str) -> Fraction:
            return Fraction(str(TERMS[a][weight])) if weight else Fraction(1)

        return sum((self.worth(book[who, a], a) * factor(a) for a in PRICES), Fraction(0))

    def most(self, verb: str, who: str, a: str) -> int:
        """Return about how much of an asset can be asked for, so that many requests come close to a limit."""
        if verb == "supply":
            return tokens(a, 100_000)
        if verb != "borrow":
            return self.debt[who, a] if verb == "repay" else self.deposit[who, a]
        room = max(self.total(self.deposit, who, "ltv") - self.total(self.debt, who), Fraction(0))
        return floor(room * 10 ** DECIMALS[a] / self.price[a])

    def supply(self, who: str, a: str, amount: int) -> bool:
        if amount > self.purse[who, a]:
            return False
        self._move(who, a, -amount)
        self.deposit[who, a] += amount
        return True

    def withdraw(self, who: str, a: str, amount: int) -> bool:
        left = self.total(self.deposit, who, "threshold") - self.worth(amount, a) * Fraction(str(TERMS[a]["threshold"]))
        owed = self.total(self.debt, who)
        if amount > min(self.cash[a], self.deposit[who, a]) or (owed and left < owed):
            return False
        self._move(who, a, amount)
        self.deposit[who, a] -= amount
        return True

    def borrow(self, who: str, a: str, amount: int) -> bool:
        limit = self.total(self.deposit, who, "ltv")
        if self.total(self.debt, who) + self.worth(amount, a) > limit or amount > self.cash[a]:
            return False
        self._move(who, a, amount)
        self.debt[who, a] += amount
        return True

    def repay(self, who: str, a: str, amount: int) -> bool:
        amount = min(amount, self.debt[who, a])
        if amount > self.purse[who, a]:
            return False
        self._move(who, a, -amount)
        self.debt[who, a] -= amount
        return True

    def terms(self, who: str) -> tuple[str, str, int] | None:
        """Return (collateral, debt, largest repayment) of a position in breach."""
        owed, weighted = self.total(self.debt, who), self.total(self.deposit, who, "threshold")
        if weighted >= owed or not any(self.deposit[who, a] for a in PRICES):
            return None
        c, d = (max(PRICES, key=lambda a: self.worth(book[who, a], a)) for book in (self.deposit, self.debt))
        large = min(self.worth(self.deposit[who, c], c), self.worth(self.debt[who, d], d)) >= 2_000
        share = Fraction(1, 2) if large and weighted / owed > Fraction("0.95") else Fraction(1)
        return c, d, min(self.debt[who, d], floor(owed * share * 10 ** DECIMALS[d] / self.price[d]))

    def liquidate(self, who: str, repay: int) -> bool:
        found = self.terms(who)
        if found is None:
            return False
        c, d, largest = found
        bonus, cut = Fraction(str(TERMS[c]["bonus"])), Fraction(str(TERMS[c]["protocol_fee"]))
        rate = self.price[d] / 10 ** DECIMALS[d] * (1 + bonus) * 10 ** DECIMALS[c] / self.price[c]
        repay, pledge = min(repay, largest), self.deposit[who, c]
        seized = floor(repay * rate)
        if seized > pledge:
            seized, repay = pledge, ceil(pledge / rate)
        received = seized - ceil(seized * bonus * cut / (1 + bonus))
        rest = min(self.worth(self.debt[who, d] - repay, d), self.worth(pledge - seized, c))
        if 0 < rest < 1_000 or received > self.cash[c] or repay > self.purse["purse", d]:
            return False
        self._move("purse", d, -repay)
        self._move("purse", c, received)
        self.debt[who, d] -= repay
        self.deposit[who, c] -= seized
        if not any(self.deposit[who, a] for a in PRICES):
            self.debt |= {(who, a): 0 for a in PRICES}
        return True

    def _move(self, who: str, a: str, amount: int) -> None:
        self.purse[who, a] += amount
        self.cash[a] -= amount


def tokens(asset: str, worth: float) -> int:
    return int(worth / PRICES[asset] * 10 ** DECIMALS[asset])


def engine() -> Simulation:
    nodes: dict[str, Any] = {a: {"kind": "asset", "decimals": DECIMALS[a], "price": PRICES[a]} for a in PRICES}
    nodes |= {who: {"kind": "account"} for who in (*PEOPLE, "supplier", "purse")}
    nodes["lender"] = {"kind": "lending_protocol", "block_time": "0s", "reserves": TERMS}
    edges = [edge("prices", a, "lender") for a in PRICES]
    for who in PEOPLE:
        edges += [edge("borrows", who, "lender"), edge("lends", "lender", who)]
    sim = build(graph_of(nodes, edges, []))
    sim.run(0)
    for a in PRICES:
        for who in (*PEOPLE, "purse"):
            give(sim, who, a, tokens(a, PURSE))
        give(sim, "supplier", a, tokens(a, 100_000))
        node(sim, "lender").supply(position(sim, "supplier"), sim.assets[a], tokens(a, 100_000), cause=0)
    return sim


def ask(sim: Simulation, naive: Naive, operation: Any) -> tuple[bool, bool]:
    """Do one operation on both sides and return whether each took it."""
    lender = node(sim, "lender")
    match operation:
        case ("price", asset, factor):
            reprice(sim, asset, round(mark(sim, asset, asset) / PRICE_SCALE * factor, 6) or 1)
            settle(sim)
            naive.price[asset] = Fraction(mark(sim, asset, asset), PRICE_SCALE)
            return True, True
        case ("liquidate", who, share):
            found = naive.terms(who)
            terms = lender.offer(position(sim, who))
            assert (found is None) == (terms is None)
            if found is None:
                return False, False
            assert (sim.assets[found[0]], sim.assets[found[1]], found[2]) == terms[:3]
            repay = int(found[2] * share)
            purse = sim.network.ids["purse"]
            taken = done(lambda: lender.liquidate(position(sim, who), terms, repay, purse, cause=0))
            return taken, naive.liquidate(who, repay)
        case (verb, who, asset, share):
            amount = int(naive.most(verb, who, asset) * share)
            taken = done(lambda: getattr(lender, verb)(position(sim, who), sim.assets[asset], amount, cause=0))
            return taken, getattr(naive, verb)(who, asset, amount)
    raise AssertionError(operation)


def done(verb: Any) -> bool:
    try:
        verb()
    except Refused:
        return False
    return True


tiny = st.lists(
    st.tuples(st.sampled_from(["supply", "withdraw", "borrow", "repay"]), st.integers(1, 50), st.integers(0, 10**7)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=80, deadline=None)
@given(tiny, st.floats(0, 3), st.floats(0, 1))
def test_rounding_never_costs_the_lender_a_unit(sequence: list[Any], rate: float, factor: float) -> None:
    sim = bank({"ann": (1_000, 50_000)}, usd={"base_rate": round(rate, 6), "reserve_factor": round(factor, 6)})
    lender, usd = node(sim, "lender"), sim.assets["usd"]
    give(sim, "ann", "usd", 10**6)
    give(sim, "supplier", "usd", 10**6)

    def equity() -> int:
        owed, owes = (held(sim, "lender", f"lender/usd/{claim}") for claim in ("debt", "supply"))
        return int(lender.available(usd) + lender.reserves[usd].indebted(owed) - lender.reserves[usd].supplied(-owes))

    for verb, amount, seconds in sequence:
        settle(sim, seconds)
        who = position(sim, "ann" if verb in ("borrow", "repay") else "supplier")
        lender.debt_of(who, usd)  # brings interest to the present
        before = equity()
        done(lambda v=verb, w=who, a=amount: getattr(lender, v)(w, usd, a, cause=0))
        assert equity() >= before


@settings(max_examples=80, deadline=None)
@given(operations)
def test_it_does_what_a_naive_lender_in_fractions_does(sequence: list[Any]) -> None:
    sim, naive = engine(), Naive()
    lender = node(sim, "lender")
    openings = [("supply", who, a, 0.5) for who in PEOPLE for a in ("eth", "wbtc")]
    openings += [("borrow", who, a, 0.7) for who in PEOPLE for a in ("usd", "eth")]
    flat = [step for entry in sequence for step in ([entry] if isinstance(entry[0], str) else entry)]
    for operation in openings + flat:
        taken, expected = ask(sim, naive, operation)
        assert taken == expected, operation
        for who in PEOPLE:
            for asset, number in sim.assets.items():
                if asset in PRICES:
                    own = position(sim, who)
                    assert lender.collateral_of(own, number) == naive.deposit[who, asset]
                    assert lender.debt_of(own, number) == naive.debt[who, asset]
                    assert sim.ledger.balances[own.holder][number] == naive.purse[who, asset]
                    assert lender.available(number) == naive.cash[asset]
    assert sim.ledger.max_imbalance() == 0
