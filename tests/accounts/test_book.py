"""The columns of an account book against dictionaries; a refusal leaves balances alone."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion.accounts import AccountBook, Rules, by_radius
from contagion.accounts.rules import CASH, COST, QUANTITY, SLOTS
from contagion.units import SUPPLY_LIMIT
from tests.accounts.random_books import COIN, CONTRACT, random_book, random_rules

SIZE, ASSETS = 4, 6
PARTS = ("quantity", "cost", "cash")
AMOUNTS = st.one_of(st.integers(-3, 3), st.integers(-SUPPLY_LIMIT, SUPPLY_LIMIT))
STEPS = st.lists(
    st.tuples(
        st.integers(0, ASSETS - 1), st.sampled_from(PARTS), st.booleans(),
        st.lists(st.tuples(st.integers(0, SIZE - 1), AMOUNTS), min_size=1, max_size=5),
    ),
    max_size=40,
)  # fmt: skip


def new_book(count=SIZE):
    return AccountBook.empty(count, Rules([CONTRACT, COIN] * (ASSETS // 2)))


def key(asset, part):
    return ("cash", "cash") if part == "cash" else (asset, part)


def slots_used(model, member):
    return {asset for asset, part in model if part != "cash" and model[asset, part][member]}


def fits(model, asset, part, moves):
    """Return whether the model takes these moves, by what a column promises to take."""
    balances = dict(model[key(asset, part)])
    for member, amount in moves:
        balances[member] = balances.get(member, 0) + amount
    small = all(abs(balance) < SUPPLY_LIMIT for balance in balances.values())
    if len(moves) > 1:
        small = small and sum(abs(amount) for _, amount in moves) < SUPPLY_LIMIT
    needed = {member for member, amount in moves if amount} if part != "cash" else set()
    room = all(asset in slots_used(model, m) or len(slots_used(model, m)) < SLOTS for m in needed)
    return small and room


def contents(column):
    balances = column.read(np.arange(len(column))).tolist()
    assert balances == [column.read(member) for member in range(len(column))]
    return balances


@given(STEPS)
@settings(deadline=None)
def test_columns_do_what_dictionaries_do(steps):
    book, model = new_book(), defaultdict(lambda: defaultdict(int))
    for asset, part, bulk, moves in steps:
        column = book.column(asset, part)
        moves = moves if bulk else moves[:1]
        members, amounts = (np.array(values, np.int64) for values in zip(*moves, strict=True))
        before = column.read(members)
        if not bulk and abs(moves[0][1]) >= SUPPLY_LIMIT:
            continue
        taken = column.add(members, amounts) if bulk else column.add(*moves[0])
        assert taken == fits(model, asset, part, [*moves, (moves[0][0], 0)] if bulk else moves)
        if taken:
            for member, amount in moves:
                model[key(asset, part)][member] += amount
        else:
            column.restore(members, before)
        for a in range(ASSETS):
            for p in PARTS:
                assert contents(book.column(a, p)) == [model[key(a, p)][m] for m in range(SIZE)]
    for a in range(ASSETS):
        balances = model[a, "quantity"]
        column = book.column(a, "quantity")
        assert column.total() == sum(balances.values()) and column.least() == min(0, *balances.values(), 0)
        members, held = column.held()
        assert dict(zip(members.tolist(), held.tolist(), strict=True)) == {m: b for m, b in balances.items() if b}
        assert book.holding(a).tolist() == members.tolist()
        assert book.holding(a, -1).tolist() == members[held < 0].tolist()
        assert [part.tolist() for part in book.positions(a, np.arange(SIZE))] == [
            [model[a, part][m] for m in range(SIZE)] for part in ("quantity", "cost")
        ]


def test_a_fifth_asset_has_no_room_until_one_is_closed():
    book = new_book()
    for asset in range(SLOTS):
        assert book.column(asset, "quantity").add(1, 7)
    before = book.rows.copy()
    assert not book.column(4, "quantity").add(1, 1)
    assert not book.column(4, "cost").add(np.array([0, 1]), np.array([1, 1]))
    assert (book.rows == before).all()
    assert book.column(2, "quantity").add(1, -7) and book.column(4, "quantity").add(1, 1)
    assert book.column(2, "quantity").read(1) == 0


def test_what_was_undone_finds_its_slot_again():
    book = new_book()
    for asset in range(SLOTS):
        book.column(asset, "quantity").add(0, asset + 1)
    first, fifth = book.column(0, "quantity"), book.column(5, "quantity")
    member, before = np.array([0]), [first.read(np.array([0])), fifth.read(np.array([0]))]
    assert first.add(member, np.array([-1])) and fifth.add(member, np.array([9]))
    fifth.restore(member, before[1])
    first.restore(member, before[0])
    assert [book.column(asset, "quantity").read(0) for asset in range(ASSETS)] == [1, 2, 3, 4, 0, 0]


def test_totals_are_exact_beyond_64_bits():
    book = new_book(9)
    for member in range(9):
        book.column(0, "cash").add(member, SUPPLY_LIMIT - 1)
    assert book.column(0, "cash").total() == 9 * (SUPPLY_LIMIT - 1)


def test_listeners_hear_of_every_change():
    book, heard = new_book(), []
    book.listen(lambda members: heard.append(sorted(set(members.tolist()))))
    book.column(0, "cash").add(2, 5)
    book.column(0, "quantity").add(np.array([1, 3, 1]), np.array([1, 2, 3]))
    book.column(0, "quantity").restore(np.array([1]), np.array([0]))
    book.write(np.array([0, 1]), book.read(np.array([2, 3])))
    assert heard == [[2], [1, 3], [1], [0, 1]]


def test_rows_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        new_book().rows[0, CASH] = 1


@pytest.mark.parametrize(
    ("column", "value"),
    [(0, 0xFFFFFF07), (0, 0xFFFF0101), (QUANTITY, 1), (COST, 1), (CASH, SUPPLY_LIMIT), (0, -1)],
)
def test_rows_that_are_no_accounts_are_refused(column, value):
    rows = new_book().rows.copy()
    rows[2, column] = value
    with pytest.raises(ValueError, match="account 2"):
        AccountBook(rows, new_book().rules)


def test_numbering_by_radius_puts_the_nearest_first():
    rng = np.random.default_rng(3)
    prices = np.exp(rng.normal(0, 1, 4))
    rules = random_rules(rng, 4)
    book = random_book(rng, 500, rules, prices)
    rows = book.rows[by_radius(book.rows, rules, prices)]
    radii = AccountBook(rows, rules).radii(prices)
    assert (np.diff(radii[np.isfinite(radii)]) >= 0).all()
