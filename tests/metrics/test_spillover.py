"""Losses by what set them off and whom they hit, on a log that can be read at a glance."""

from typing import Any

import numpy as np
import pytest

from contagion.log import Channel
from contagion.metrics.losses import losses
from contagion.metrics.marks import Marks
from contagion.metrics.spillover import spillovers
from tests.handmade import books, closing, events, failed, postings, prices

WORLD, ANN, BOB, POOL = 0, 1, 2, 3
USD, ETH = 0, 1
LOG = events(
    {"kind": "start", "cause": 0},  # 1
    {"kind": "shock", "cause": 0, "node": POOL},  # 2
    {"kind": "trade", "cause": 2, "node": POOL},  # 3
    {"kind": "liquidation", "cause": 3, "node": ANN},  # 4: ann, on chain
    {"kind": "trade", "cause": 4, "node": POOL},  # 5
    {"kind": "close-out", "cause": 5, "node": BOB},  # 6: bob, at an exchange
    {"kind": "payment", "cause": 6, "node": BOB},  # 7
)
NAMES = books(["world", "ann", "bob", "pool"], ["usd", "eth"], domains=["outside", "defi", "cefi", "outside"])
JOURNAL = postings((1, WORLD, ETH, -5), (1, ANN, ETH, 2), (1, BOB, ETH, 3), (7, BOB, USD, -40), (7, ANN, USD, 40))
PRICES = prices([1, 100], (3, ETH, 90, Channel.EXOGENOUS), (5, ETH, 70, Channel.LENDING_LIQUIDATION))


def table(outside: tuple[int, ...] = (WORLD,)) -> dict[str, Any]:
    perimeter = np.ones(4, np.bool_)
    perimeter[list(outside)] = False
    facts = failed((4, 1.0, 1.0, 500), (6, 2.0, 0.0, 700))
    return spillovers(LOG, facts, JOURNAL, Marks(PRICES, NAMES), NAMES, perimeter)


def test_a_loss_comes_from_the_nearest_failure_above_it_and_falls_on_its_holder() -> None:
    found = {(a, b): cell["loss"] for a, row in table().items() for b, cell in row.items()}
    assert found == {
        ("shock", "defi"): pytest.approx(20), ("shock", "cefi"): pytest.approx(30),
        ("defi", "defi"): pytest.approx(40), ("defi", "cefi"): pytest.approx(60),
        ("cefi", "defi"): pytest.approx(-40), ("cefi", "cefi"): pytest.approx(40),
    }  # fmt: skip


def test_failures_and_what_was_at_stake_stand_beside_the_losses() -> None:
    assert table()["shock"]["defi"] == {"failures": 1, "value": 500, "loss": pytest.approx(20)}
    assert table()["defi"]["cefi"] == {"failures": 1, "value": 700, "loss": pytest.approx(60)}
    assert table()["defi"]["defi"] == {"failures": 0, "value": 0, "loss": pytest.approx(40)}


@pytest.mark.parametrize("outside", [(WORLD,), (WORLD, BOB)])
def test_losses_sum_to_those_of_the_perimeter(outside: tuple[int, ...]) -> None:
    names = books(NAMES.holders, NAMES.assets, domains=NAMES.domains, outside=list(outside[1:]))
    lost = losses(JOURNAL, PRICES, closing(JOURNAL), names, 8)
    assert sum(cell["loss"] for row in table(outside).values() for cell in row.values()) == pytest.approx(lost.net)
