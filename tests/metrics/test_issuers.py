"""Coverage of issuers and the carry of loops, on journals of a few rows."""

import pytest

from contagion.log import Channel
from contagion.metrics.issuers import coverage, loops
from contagion.metrics.losses import losses
from contagion.metrics.marks import Marks
from contagion.units import PRICE_SCALE
from tests.handmade import books, closing, events, postings, prices

HOLDERS = ["world", "issuer", "ann", "loop"]
WORLD, ISSUER, ANN, LOOP = range(4)
ASSETS = ["usd", "dai", "eth", "issuer/redemption"]
USD, DAI, ETH, CLAIM = range(4)
BOOKS = books(
    HOLDERS, ASSETS, holder_kinds=["world", "stablecoin_issuer", "account", "looper"], issuers=[-1, ISSUER, -1, ISSUER],
)  # fmt: skip
OPENING = [
    (1, ISSUER, DAI, -100), (1, ANN, DAI, 100), (1, WORLD, USD, -60), (1, ISSUER, USD, 60), (1, WORLD, ETH, -1),
    (1, ISSUER, ETH, 1),
]  # fmt: skip


def test_an_issuer_is_covered_by_what_it_has_at_its_marks() -> None:
    journal = postings(*OPENING)
    table = prices([1, 1, 40, 1], (2, ETH, 20, Channel.EXOGENOUS))
    assert coverage(journal, closing(journal), BOOKS, Marks(table, BOOKS)) == {"issuer": {"start": 1.0, "end": 0.8}}


def test_what_was_redeemed_and_is_not_paid_yet_is_still_owed() -> None:
    redeemed = [(2, ANN, DAI, -50), (2, ISSUER, DAI, 50), (2, ISSUER, CLAIM, -50), (2, ANN, CLAIM, 50)]
    journal = postings(*OPENING, *redeemed)
    found = coverage(journal, closing(journal), BOOKS, Marks(prices([1, 1, 40, 1]), BOOKS))
    assert found == {"issuer": {"start": 1.0, "end": 1.0}}


def test_who_owes_nothing_has_no_coverage() -> None:
    journal = postings((1, WORLD, USD, -5), (1, ISSUER, USD, 5))
    found = coverage(journal, closing(journal), BOOKS, Marks(prices([1, 1, 40, 1]), BOOKS))
    assert found == {"issuer": {"start": None, "end": None}}


def test_a_loop_shows_the_carry_it_was_opened_for_beside_its_loss() -> None:
    journal = postings((1, WORLD, ETH, -3), (1, LOOP, ETH, 3), (1, LOOP, USD, -80), (1, WORLD, USD, 80))
    table = prices([1, 1, 40, 1], (4, ETH, 30, Channel.EXOGENOUS))
    first, later = (
        {"kind": "carry", "node": LOOP, "quantity": ppm, "price": PRICE_SCALE * base // 100}
        for ppm, base in ((240_000, 12), (90_000, 9))
    )
    log = events({"kind": "start"}, first, later)
    lost = losses(journal, table, closing(journal), BOOKS, 5)
    assert loops(log, BOOKS, lost) == {
        "loop": {"carry": 0.24, "yield": 0.12, "equity": pytest.approx(40), "loss": pytest.approx(30)}
    }
