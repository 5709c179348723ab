"""A package in a Python of its own: what goes wrong with a pair costs that pair, what goes wrong before is an error."""

import shutil

import pytest
from tests.fixtures.scorer_weights import write_radgraph

from radlet.core.errors import CheckpointError
from radlet.evaluation.scorers.external import ExternalScorer
from radlet.evaluation.scorers.outside.worker import _mean_of_entities_and_relations

GOOD = ("heart is large", "heart is clear")


@pytest.fixture
def scorer(scorer_weights, stub_python):
    scorer = ExternalScorer("radgraph", scorer_weights / "radgraph", stub_python, timeout_s=1.5)
    yield scorer
    scorer.close()


def test_values_come_back_in_order_though_the_package_prints(scorer):
    found = scorer.score([GOOD, ("clear", "clear")])
    assert [values["simple"] for values in found] == [0.5, 1.0]
    # Entities: 2 of 3 each way; relations: 1 of 2 each way.
    assert found[0]["mean"] == pytest.approx((2 / 3 + 1 / 2) / 2)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("raise", "the package failed with ValueError"),
        ("crash", "the package's process ended (status 3)"),
        ("hang", "no answer within 1.5 s"),
        ("nought", "the package failed with ValueError"),
        ("connect", "the package failed with OSError"),
    ],
)
def test_a_bad_pair_costs_itself_alone(scorer, word, reason):
    found = scorer.score([GOOD, ("heart", f"{word} patient name"), GOOD])
    assert found[1] == reason
    assert found[0] == found[2]
    assert found[0]["simple"] == 0.5


def test_a_process_that_ends_on_every_pair_is_given_up(scorer):
    found = scorer.score([("a", f"crash {number}") for number in range(5)])
    assert found[:3] == ["the package's process ended (status 3)"] * 3
    assert found[3:] == ["not asked, after 3 pairs in a row had no answer"] * 2
    assert scorer.score([GOOD]) == found[4:]


def test_what_cannot_be_loaded_is_told(tmp_path, stub_python):
    folder = write_radgraph(tmp_path / "radgraph")
    (folder / "bert" / "refuse").touch()
    with pytest.raises(CheckpointError, match=r"radgraph: cannot be loaded \(RuntimeError: weights of another shape\)"):
        ExternalScorer("radgraph", folder, stub_python, timeout_s=20)


def test_a_package_that_is_not_there_is_told(scorer_weights):
    with pytest.raises(CheckpointError, match=r"radgraph: cannot be loaded \(ModuleNotFoundError"):
        ExternalScorer("radgraph", scorer_weights / "radgraph", None, timeout_s=60)


def test_an_answer_without_a_number_is_left_to_be_counted(scorer_weights, stub_python):
    scorer = ExternalScorer("green", scorer_weights / "green", stub_python, timeout_s=20)
    found = scorer.score([("a", "a"), ("a", "silent")])
    scorer.close()
    assert found[0] == {"score": 1.0}
    assert found[1]["score"] != found[1]["score"]


def test_nothing_is_written_beside_the_weights(scorer_weights, stub_python, tmp_path):
    folder = tmp_path / "green"
    shutil.copytree(scorer_weights / "green", folder)
    before = sorted(folder.rglob("*"))
    scorer = ExternalScorer("green", folder, stub_python, timeout_s=20)
    scorer.score([("a", "b")])
    scorer.close()
    assert sorted(folder.rglob("*")) == before


def test_the_mean_of_entities_and_relations_by_hand():
    def entity(tokens, *relations):
        return {"tokens": tokens, "label": "OBS", "relations": [list(one) for one in relations]}

    reference = {"entities": {"1": entity("effusion", ("located_at", "2")), "2": entity("left")}}
    draft = {"entities": {"1": entity("effusion"), "2": entity("left"), "3": entity("small")}}
    assert _mean_of_entities_and_relations(reference, reference) == 1.0
    # Entities: 2 shared of 2 and 3, F1 0.8; relations: 1 and 0, F1 0.
    assert _mean_of_entities_and_relations(reference, draft) == pytest.approx(0.4)
    assert _mean_of_entities_and_relations(draft, {"entities": {}}) == 0.0
