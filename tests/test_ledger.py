"""The ledger against a dictionary that does the same things slowly."""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contagion.ledger import Asset, Column, Ledger, Leg, Refused
from contagion.log import EventLog
from contagion.units import SUPPLY_LIMIT
from tests.sparse import Sparse

WORLD, ANN, BANK, CROWD = range(4)
USD, COIN, DEBT = range(3)
SIZE = 4
HOLDERS = ["world", "ann", "bank", "crowd"]
ASSETS = [
    Asset("usd", 2, frozenset({WORLD})),
    Asset("coin", 0, frozenset({WORLD, BANK})),
    Asset("debt", 2, creditor=BANK),
]
POPULATED = {(CROWD, USD), (CROWD, DEBT)}


def new_ledger(sparse: bool = False) -> Ledger:
    ledger = Ledger(HOLDERS, ASSETS)
    for holder, asset in POPULATED:
        if sparse:
            ledger.add_column(holder, asset, Sparse([0] * SIZE))
        else:
            ledger.add_members(holder, asset, SIZE)
    return ledger


def snapshot(ledger: Ledger) -> Any:
    return [list(row) for row in ledger.balances], {key: contents(m) for key, m in ledger.members.items()}


def contents(column: Column) -> list[int]:
    """Return the balance of every member, read in bulk and one by one."""
    balances: list[int] = column.read(np.arange(len(column))).tolist()
    assert balances == [column.read(member) for member in range(len(column))]
    return balances


def parts(leg: Leg) -> list[tuple[int, int]]:
    """Return (amount, member) of every movement in a leg; member -1 for a plain one."""
    if len(leg) == 3:
        return [(leg[2], -1)]
    return list(zip(np.atleast_1d(leg[2]).tolist(), np.atleast_1d(leg[3]).tolist(), strict=True))


class Model:
    """Balances as dictionaries that are copied, changed and kept or thrown away."""

    def __init__(self) -> None:
        self.balances: dict[tuple[int, int, int], int] = defaultdict(int)

    def post(self, legs: list[Leg]) -> bool:
        after, large = defaultdict(int, self.balances), False
        for leg in legs:
            holder, asset = leg[0], leg[1]
            for amount, member in parts(leg):
                after[holder, asset, -1] += amount
                if member >= 0:
                    after[holder, asset, member] += amount
            large |= len(leg) == 4 and sum(abs(amount) for amount, _ in parts(leg)) >= SUPPLY_LIMIT
            large |= any(abs(after[holder, asset, m]) >= SUPPLY_LIMIT for _, m in parts(leg) if m >= 0)
        if large or any(not self.allowed(*key, balance) for key, balance in after.items()):
            return False
        self.balances = after
        return True

    @staticmethod
    def allowed(holder: int, asset: int, member: int, balance: int) -> bool:
        return abs(balance) < SUPPLY_LIMIT and (balance >= 0 or ASSETS[asset].may_owe(holder))


AMOUNT = st.one_of(st.integers(-20, 20), st.integers(-(2**62) - 2, 2**62 + 2))
MEMBER = st.integers(0, SIZE - 1)


@st.composite
def transactions(draw: st.DrawFn, amount: st.SearchStrategy[int] = AMOUNT) -> list[Leg]:
    """Return legs that balance: some at random, then one an asset that closes it."""
    legs: list[Leg] = []
    for _ in range(draw(st.integers(1, 4))):
        holder, asset = draw(st.integers(0, 3)), draw(st.integers(0, 2))
        legs.append(draw(leg_of(holder, asset, amount)))
    for asset in sorted({leg[1] for leg in legs}):
        rest = -sum(moved for leg in legs if leg[1] == asset for moved, _ in parts(leg))
        holder = draw(st.sampled_from([WORLD, ANN, BANK]))
        legs.insert(draw(st.integers(0, len(legs))), (holder, asset, rest))
    return legs


@st.composite
def leg_of(draw: st.DrawFn, holder: int, asset: int, amount: st.SearchStrategy[int]) -> Leg:
    if (holder, asset) not in POPULATED:
        return holder, asset, draw(amount)
    if draw(st.booleans()):
        return holder, asset, draw(amount), draw(MEMBER)
    pairs = draw(st.lists(st.tuples(amount, MEMBER), max_size=5))
    amounts, members = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
    return holder, asset, amounts, members


class Books(RuleBasedStateMachine):
    """A ledger and its log beside the model."""

    SPARSE = False

    def __init__(self) -> None:
        super().__init__()
        self.ledger, self.model, self.log = new_ledger(self.SPARSE), Model(), EventLog()
        self.clock = self.log.append_root(0, "clock", -1, -1)
        self.refused = 0

    @rule(legs=transactions(st.integers(-20, 20)))
    def pay(self, legs: list[Leg]) -> None:
        self.post(legs)

    @rule(legs=transactions())
    def pay_much(self, legs: list[Leg]) -> None:
        self.post(legs)

    @rule(holder=st.sampled_from([ANN, BANK]), amount=st.integers(1, 10**6))
    def endow(self, holder: int, amount: int) -> None:
        self.post([(WORLD, USD, -amount), (holder, USD, amount)])

    @rule(amounts=st.lists(st.integers(0, 10**6), min_size=SIZE, max_size=SIZE))
    def endow_members(self, amounts: list[int]) -> None:
        self.post([(CROWD, USD, np.array(amounts), np.arange(SIZE)), (WORLD, USD, -sum(amounts))])

    @precondition(lambda self: self.refused)
    @rule(legs=transactions(st.integers(-3, 3)))
    def pay_after_a_refusal(self, legs: list[Leg]) -> None:
        self.post(legs)

    def post(self, legs: list[Leg]) -> None:
        before = snapshot(self.ledger)
        if self.model.post(legs):
            self.ledger.post(legs)
            self.log.post(self.log.append(0, "payment", WORLD, self.clock), legs)
            return
        self.refused += 1
        with pytest.raises(Refused):
            self.ledger.post(legs)
        assert snapshot(self.ledger) == before

    @invariant()
    def agrees_with_the_model(self) -> None:
        for holder in range(4):
            for asset in range(3):
                assert self.ledger.balance(holder, asset) == self.model.balances[holder, asset, -1]
        for holder, asset in POPULATED:
            for member in range(SIZE):
                assert self.ledger.balance(holder, asset, member) == self.model.balances[holder, asset, member]
            members, balances = self.ledger.members[holder, asset].held()
            held = {m: self.model.balances[holder, asset, m] for m in range(SIZE)}
            assert dict(zip(members.tolist(), balances.tolist(), strict=True)) == {m: b for m, b in held.items() if b}

    @invariant()
    def every_column_sums_to_zero(self) -> None:
        assert self.ledger.max_imbalance() == 0
        assert self.ledger.overdrafts() == []

    def teardown(self) -> None:
        """Replay the postings."""
        postings, again = self.log.postings.columns(), new_ledger()
        for holder, asset, member, amount in zip(
            *(postings[name].tolist() for name in ("holder", "asset", "member", "amount")), strict=True
        ):
            again.balances[holder][asset] += amount
            if member >= 0:
                again.members[holder, asset].add(member, amount)
        assert snapshot(again) == snapshot(self.ledger)


class SparseBooks(Books):
    """The same with members that are kept in a dictionary."""

    SPARSE = True


TestBooks, TestSparseBooks = Books.TestCase, SparseBooks.TestCase
TestBooks.settings = TestSparseBooks.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@given(transactions(), st.integers(0, 2), st.integers(1, 5))
def test_legs_that_do_not_balance_are_our_own_error_and_change_nothing(legs: list[Leg], asset: int, off: int) -> None:
    ledger = new_ledger()
    with pytest.raises(AssertionError, match="do not balance"):
        ledger.post([*legs, (WORLD, asset, off)])
    assert snapshot(ledger) == snapshot(new_ledger())
    ledger.post([(WORLD, USD, -1), (ANN, USD, 1)])


def test_a_transaction_is_judged_by_where_it_ends() -> None:
    ledger = new_ledger()
    ledger.post([(ANN, USD, -5), (WORLD, USD, -5), (ANN, USD, 10)])
    assert ledger.balance(ANN, USD) == 5


def test_a_debt_is_a_claim_held_negatively_by_anybody_but_its_creditor() -> None:
    ledger = new_ledger()
    ledger.post([(ANN, DEBT, -7), (BANK, DEBT, 7)])
    with pytest.raises(Refused, match=r"bank is short of 0\.01 debt"):
        ledger.post([(ANN, DEBT, 8), (BANK, DEBT, -8)])
    assert [ledger.balance(holder, DEBT) for holder in (ANN, BANK)] == [-7, 7]


def test_every_issuer_of_an_asset_may_owe_it() -> None:
    ledger = new_ledger()
    ledger.post([(WORLD, COIN, -1), (BANK, COIN, -2), (ANN, COIN, 3)])
    assert ledger.overdrafts() == []


def test_a_member_cannot_spend_what_another_member_has() -> None:
    ledger = new_ledger()
    ledger.post([(CROWD, USD, np.array([5, 5]), np.array([0, 1])), (WORLD, USD, -10)])
    with pytest.raises(Refused, match=r"crowd is short of 0\.01 usd"):
        ledger.post([(CROWD, USD, -6, 0), (ANN, USD, 6)])
    assert contents(ledger.members[CROWD, USD]) == [5, 5, 0, 0]


def test_a_member_named_twice_in_one_leg_moves_twice() -> None:
    ledger = new_ledger()
    ledger.post([(CROWD, USD, np.array([1, 2, 4]), np.array([3, 3, 0])), (WORLD, USD, -7)])
    assert contents(ledger.members[CROWD, USD]) == [4, 0, 0, 3]


@pytest.mark.parametrize("amount", [2**62, 2**63 - 1, 2**63, 2**70])
def test_a_member_cannot_hold_more_than_the_limit_whatever_the_size(amount: int) -> None:
    ledger = new_ledger()
    with pytest.raises(Refused, match=r"2\^62"):
        ledger.post([(CROWD, USD, amount, 0), (CROWD, USD, -amount, 0), (CROWD, USD, 0, 1)])
    assert snapshot(ledger) == snapshot(new_ledger())


@pytest.mark.parametrize("least", [-(2**62), -(2**63)])
def test_amounts_whose_64_bit_sum_wraps_to_zero_are_refused(least: int) -> None:
    ledger = new_ledger()
    amounts = np.array([least] * (2**64 // -least))
    assert int(amounts.sum()) == 0
    with pytest.raises(AssertionError):
        ledger.post([(CROWD, DEBT, amounts, np.zeros(len(amounts), np.int64))])
    with pytest.raises(Refused):
        ledger.post([(CROWD, DEBT, amounts, np.zeros(len(amounts), np.int64)), (BANK, DEBT, 2**64)])
    assert snapshot(ledger) == snapshot(new_ledger())


def test_nobody_can_hold_more_than_the_limit_even_from_several_issuers() -> None:
    ledger = new_ledger()
    with pytest.raises(Refused, match=r"ann would exceed 2\^62"):
        ledger.post([(WORLD, COIN, -(2**61)), (BANK, COIN, -(2**61)), (ANN, COIN, 2**62)])
    ledger.post([(WORLD, COIN, -(2**61) + 1), (BANK, COIN, -(2**61)), (ANN, COIN, 2**62 - 1)])


def test_amounts_that_wrap_within_one_member_are_refused() -> None:
    ledger, four = new_ledger(), np.zeros(4, np.int64)
    amounts = np.full(4, 2**62)
    with pytest.raises(Refused, match=r"2\^62"):
        ledger.post([(CROWD, DEBT, amounts, four), (CROWD, DEBT, -amounts, four + 1)])
    assert snapshot(ledger) == snapshot(new_ledger())


def test_no_member_passes_the_limit_by_two_legs() -> None:
    ledger, half = new_ledger(), np.array([2**61])
    legs = [(CROWD, DEBT, half, np.array([0]))] * 2 + [(CROWD, DEBT, -half, np.array([m])) for m in (1, 2)]
    with pytest.raises(Refused, match=r"2\^62"):
        ledger.post(legs)
    assert snapshot(ledger) == snapshot(new_ledger())


def test_a_refusal_puts_back_a_member_that_several_legs_had_moved() -> None:
    ledger = new_ledger()
    with pytest.raises(Refused, match="crowd is short"):
        ledger.post([(CROWD, USD, 5, 0), (CROWD, USD, 5, 0), (CROWD, USD, -3, 1), (WORLD, USD, -7)])
    assert snapshot(ledger) == snapshot(new_ledger())


def test_a_debt_that_is_allowed_does_not_hide_an_overdraft_that_is_not() -> None:
    ledger = new_ledger()
    with pytest.raises(Refused, match=r"crowd is short of 0\.01 usd"):
        ledger.post([(CROWD, DEBT, -5, 0), (BANK, DEBT, 5), (CROWD, USD, -1, 0), (CROWD, USD, 1, 1)])


def test_a_refusal_names_the_whole_amount_to_the_last_unit() -> None:
    ledger = new_ledger()
    with pytest.raises(Refused, match=r"ann is short of 45035996273704960\.01 usd"):
        ledger.post([(ANN, USD, -4503599627370496001), (WORLD, USD, 4503599627370496001)])


def test_an_asset_added_later_is_empty_and_obeys_the_same_rules() -> None:
    ledger = new_ledger()
    claim = ledger.add_asset(Asset("claim", 0, frozenset({BANK})))
    ledger.post([(BANK, claim, -3), (ANN, claim, 3)])
    assert [row[claim] for row in ledger.balances] == [0, 3, -3, 0]
    with pytest.raises(AssertionError):
        ledger.post([(BANK, claim, -3)])


def test_a_negative_member_is_our_own_error() -> None:
    with pytest.raises(AssertionError, match="numbered from 0"):
        new_ledger().post([(CROWD, DEBT, -1, -1), (BANK, DEBT, 1)])
    with pytest.raises(AssertionError, match="numbered from 0"):
        new_ledger().post([(CROWD, DEBT, np.array([-1]), np.array([-1])), (BANK, DEBT, 1)])


def test_somebody_without_members_has_none() -> None:
    assert new_ledger().balance(ANN, USD, 3) == 0


def test_a_population_has_one_size() -> None:
    ledger = new_ledger()
    with pytest.raises(AssertionError, match="4 members, not 5"):
        ledger.add_members(CROWD, USD, 5)
    with pytest.raises(AssertionError, match="crowd has members in usd"):
        ledger.add_column(CROWD, USD, Sparse([0]))


def test_a_column_may_open_with_balances_that_the_holder_has() -> None:
    ledger = Ledger(HOLDERS, ASSETS)
    ledger.add_column(CROWD, USD, Sparse([5, 0, 2, 0]))
    assert ledger.max_imbalance() == 7
    ledger.post([(CROWD, USD, 7), (WORLD, USD, -7)])
    assert ledger.max_imbalance() == 0
    with pytest.raises(Refused, match=r"crowd is short of 0\.01 usd"):
        ledger.post([(CROWD, USD, -3, 2), (ANN, USD, 3)])
    ledger.post([(CROWD, USD, -2, 2), (ANN, USD, 2)])
    assert contents(ledger.members[CROWD, USD]) == [5, 0, 0, 0]


def test_a_column_without_room_refuses_and_is_put_back() -> None:
    ledger = Ledger(HOLDERS, ASSETS)
    ledger.add_column(CROWD, USD, column := Sparse([5, 5, 5, 5], room=1))
    ledger.post([(CROWD, USD, 20), (WORLD, USD, -20)])
    before = snapshot(ledger)
    with pytest.raises(Refused, match="crowd"):
        ledger.post([(CROWD, USD, np.array([-1, -1]), np.array([0, 1])), (ANN, USD, 2)])
    assert (snapshot(ledger), column.changed) == (before, {})


def test_anybody_may_be_negative_in_an_asset_that_says_so() -> None:
    ledger = Ledger(HOLDERS, [Asset("margin", 2, anybody=True)])
    ledger.add_members(CROWD, 0, SIZE)
    ledger.post([(ANN, 0, -5), (CROWD, 0, 9, 0), (CROWD, 0, -4, 1)])
    assert ledger.overdrafts() == []
    assert [ledger.balance(CROWD, 0, member) for member in (-1, 0, 1)] == [5, 9, -4]
