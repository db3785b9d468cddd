"""A scenario as a value: what of it goes to another process."""

import pickle

import contagion as cg
from contagion.scenario import load


def test_a_scenario_goes_to_another_process_without_its_simulation_and_keeps_it_here() -> None:
    model = load("usde-loops", reduced=True, keep=True)
    sent = pickle.loads(pickle.dumps(model))
    assert (sent.name, sent.resolved()) == (model.name, model.resolved())
    assert sent.opened() is None
    assert model.opened() is not None


def test_what_was_sent_gives_the_same_run() -> None:
    model = load("usde-loops", {"horizon": "6min"}, reduced=True, keep=True)
    sent = pickle.loads(pickle.dumps(model))
    digests = [cg.run(one, twins=False).manifest["digest"] for one in (model, sent)]
    assert digests[0] == digests[1]
