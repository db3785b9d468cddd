"""The chain from the shock to a failure is the one that happened."""

from typing import Any

import pytest

import contagion as cg
from tests.scenarios import CASCADE


@pytest.fixture(scope="module")
def cascade() -> Any:
    return cg.run(cg.loads(CASCADE))


def test_a_chain_goes_from_the_shock_over_trade_oracle_and_call_to_every_liquidation(cascade: Any) -> None:
    wave = ["trade", "oracle-update", "call", "liquidation"]
    assert [hop.kind for hop in cascade.why("first").hops] == ["shock", *wave]
    assert [hop.kind for hop in cascade.why("second").hops] == ["shock", *wave, *wave]


def test_every_hop_is_caused_by_the_one_before(cascade: Any) -> None:
    causes = cascade.tables["events"]["cause"]
    hops = cascade.why("second").hops
    assert [int(causes[hop.event]) for hop in hops[1:]] == [hop.event for hop in hops[:-1]]
    assert int(causes[hops[0].event]) == 0
    assert [hop.time_us for hop in hops] == sorted(hop.time_us for hop in hops)


def test_generations_rise_by_one_a_failure(cascade: Any) -> None:
    assert [hop.generation for hop in cascade.why("second").hops if hop.kind == "liquidation"] == [1, 2]


def test_an_event_is_named_by_its_number_with_or_without_a_sign(cascade: Any) -> None:
    last = cascade.why("second").hops[-1].event
    assert cascade.why(last) == cascade.why(str(last)) == cascade.why(f"#{last}") == cascade.why("second")


def test_the_clock_is_its_own_chain(cascade: Any) -> None:
    assert [hop.kind for hop in cascade.why(0).hops] == ["clock"]


def test_a_chain_is_one_line_an_event_with_quantities_prices_and_channels(cascade: Any) -> None:
    head, *lines = str(cascade.why("first")).splitlines()
    assert head.startswith("liquidation of first, generation 1: 4 steps after the shock of world")
    assert len(lines) == 5
    assert "350.00 eth" in lines[0]
    assert "[exogenous]" in lines[1]
    assert "[lending liquidation]" in lines[4]


@pytest.mark.parametrize(
    ("what", "hint"),
    [
        ("secnd", "did you mean 'second'"),
        ("keeper", "never failed"),
        ("10000", "the run has events 0 to"),
        ("second#x", "not the number of a member"),
        ("second#7", "never failed"),
        ("", "no node"),
    ],
)
def test_what_did_not_happen_is_refused_with_a_hint(cascade: Any, what: str, hint: str) -> None:
    with pytest.raises(KeyError, match=hint):
        cascade.why(what)


def test_a_member_of_a_population_has_a_chain_of_its_own() -> None:
    text = CASCADE.replace('[nodes.first]\nkind = "account"', """[nodes.first]
kind = "population"
count = 5
collateral = "eth"
debt = "usd"
total = 500
health_floor = 1.01
health_median = 1.02
health_spread = 0.1""").replace("collateral = { eth = 500 }\ndebt = { usd = 760_000 }\n", "")  # fmt: skip
    crowd = cg.run(cg.loads(text), twins=False)
    chain = crowd.why("first#3")
    assert chain.hops[0].kind == "shock"
    assert (chain.hops[-1].kind, chain.hops[-1].node) == ("liquidation", "first#3")
