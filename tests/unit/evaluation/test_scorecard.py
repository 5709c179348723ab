import json

import pytest

from radlet.core.errors import DataError
from radlet.evaluation.scorecard import PairedResult, Scorecard, number_text
from radlet.metrics.resampling import Comparison, Estimate


def make_card(**changes):
    values = {
        "task": "findings",
        "split": "test",
        "num_studies": 2,
        "num_reports": 2,
        "num_patients": 2,
        "num_resamples": 1000,
        "metrics": {"bleu_1": Estimate(0.5, 0.4, 0.6)},
    }
    return Scorecard(**(values | changes))


def test_the_fixed_form():
    paired = {"bleu_1": PairedResult.of("constant", Comparison(0.1, 0.05, 0.15, 0.001, 0.07))}
    card = make_card(baselines={"constant": {"bleu_1": Estimate(0.4, 0.3, 0.5)}}, paired=paired)
    data = json.loads(card.model_dump_json())
    fixed = {"version", "task", "split", "num_studies", "metrics", "baselines", "paired", "lineage"}
    assert fixed <= set(data)
    assert data["metrics"]["bleu_1"] == {"value": 0.5, "low": 0.4, "high": 0.6}
    assert data["baselines"]["constant"]["bleu_1"]["value"] == 0.4
    assert data["paired"]["bleu_1"] == {
        "baseline": "constant",
        "difference": 0.1,
        "low": 0.05,
        "high": 0.15,
        "p_value": 0.001,
        "p_corrected": None,
        "detectable": 0.07,
    }


def test_survives_the_disk_and_ignores_later_keys(tmp_path):
    card = make_card()
    card.save(tmp_path / "scorecard.json")
    assert Scorecard.load(tmp_path / "scorecard.json") == card
    data = json.loads((tmp_path / "scorecard.json").read_text())
    (tmp_path / "later.json").write_text(json.dumps(data | {"something_new": 1}))
    assert Scorecard.load(tmp_path / "later.json") == card


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"task": 3}'])
def test_refuses_what_is_not_a_scorecard(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=r"x\.json: is not a scorecard"):
        Scorecard.load(tmp_path / "x.json")


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        Scorecard.load(tmp_path / "none.json")


def test_an_undefined_score_survives_the_disk(tmp_path):
    undefined = Estimate(None, None, None)
    card = make_card(metrics={"laterality": undefined}, judged={"laterality": {"model": 0}})
    card.save(tmp_path / "scorecard.json")
    data = json.loads((tmp_path / "scorecard.json").read_text())
    assert data["metrics"]["laterality"] == {"value": None, "low": None, "high": None}
    assert Scorecard.load(tmp_path / "scorecard.json") == card
    assert number_text(undefined.value) == "–"
    assert number_text(0.12346, 4) == "0.1235"
