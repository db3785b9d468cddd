"""The summary as an object: its keys are attributes, and what is not there is answered with what is near."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

import contagion as cg
from contagion.facts import Summary, shown
from tests.scenarios import CASCADE


@pytest.fixture(scope="module")
def cascade() -> Any:
    return cg.run(cg.loads(CASCADE))


def test_a_summary_is_the_json_beside_the_run(cascade: Any, tmp_path: Path) -> None:
    cascade.save(tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(cascade.summary.to_dict())) == stored
    assert cg.load_run(tmp_path / "run").summary == cg.load_run(tmp_path / "run").summary


def test_keys_are_attributes_and_items_at_every_depth(cascade: Any) -> None:
    summary = cascade.summary
    assert summary.total_losses.net == summary["total_losses"]["net"] == cascade.facts["total_losses"]["net"]
    assert summary.prices["pool"].low == cascade.facts["prices"]["pool"]["low"]
    assert vars(summary.losses_by_channel) == cascade.facts["losses_by_channel"]
    assert "net" in summary.total_losses
    assert list(summary) == list(cascade.facts)
    assert len(summary) == len(cascade.facts)


def test_what_is_not_there_is_answered_with_the_nearest_name(cascade: Any) -> None:
    with pytest.raises(AttributeError, match="the summary has no 'total_loses'; did you mean 'total_losses'"):
        _ = cascade.summary.total_loses
    with pytest.raises(KeyError, match="the summary has no 'poool'; did you mean 'pool'"):
        _ = cascade.summary.prices["poool"]
    assert not hasattr(cascade.summary, "_ipython_canary_method_should_not_exist_")


@pytest.mark.parametrize("name", ["to_dict", "of", "_repr_html_", "__class__", "self", "cls"])
def test_a_node_may_be_called_like_a_method(name: str) -> None:
    summary = Summary.of({"prices": {name: {"low": 1.0}}})
    assert summary.to_dict() == {"prices": {name: {"low": 1.0}}}
    assert summary.prices[name].low == 1.0
    assert name in repr(summary)


def test_a_summary_can_be_copied_and_sent_to_another_process(cascade: Any) -> None:
    summary = cascade.summary
    assert pickle.loads(pickle.dumps(summary)) == copy.deepcopy(summary) == summary
    assert type(pickle.loads(pickle.dumps(summary)).prices) is Summary


def test_it_is_shown_a_line_a_key(cascade: Any) -> None:
    lines = repr(cascade.summary).splitlines()
    assert lines[0] == "Summary"
    assert [line.split(":")[0].strip() for line in lines[1:]] == list(cascade.facts)
    assert max(map(len, lines)) <= 140
    assert repr(Summary()) == "Summary (empty)"


def test_what_is_large_is_told_by_its_size() -> None:
    assert shown({"a": {"b": 1}, "c": {}}) == "2 inside: a, c"
    assert shown([]) == shown({}) == ""
    assert shown(None) == "None"
