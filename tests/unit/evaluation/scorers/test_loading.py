"""What is found in a folder of weights, what is said of what is not, and that each pair is read once."""

import json
import shutil

import pytest

from radlet.core.console import Progress
from radlet.core.errors import CheckpointError, ConfigError, UnknownNameError
from radlet.evaluation.readings import Readings
from radlet.evaluation.scorers.base import PairMean, PairScorer, ScorerSettings, Weights
from radlet.evaluation.scorers.loading import Scorers, listing_digest, weights_lineage
from radlet.evaluation.scoring import MODEL, Answers, measures, score_answers
from radlet.metrics import METRICS
from radlet.metrics.resampling import PatientResampler


class Counting(PairScorer):
    def __init__(self):
        self.asked = []

    def score(self, pairs):
        self.asked += pairs
        return [{"value": float("nan") if "odd" in draft else 0.25} for _, draft in pairs]


@pytest.fixture
def counting():
    return Counting()


@pytest.fixture
def weights(counting):
    return Weights(
        family="counting",
        files=("model.bin",),
        place="the model",
        licence="none",
        modules=("json",),
        install="nothing",
        keys=("value",),
        open=lambda _folder, _settings: counting,
    )


@pytest.fixture
def metric(weights, tmp_path):
    (tmp_path / "counting").mkdir()
    (tmp_path / "counting" / "model.bin").touch()
    metric = PairMean(weights=(weights,), key="value", what="a test", source="this file")
    return metric.load(Scorers(tmp_path, ScorerSettings(batch_size=2)))


def test_each_different_pair_is_read_once_and_blank_ones_never(metric, counting):
    assert metric(["a", "a", "b", "a"], ["x", "x", "x", " "]) == pytest.approx(0.75 / 4)
    assert metric(["a", "b"], ["x", "x"]) == 0.25
    assert sorted(counting.asked) == [("a", "x"), ("b", "x")]


def test_a_pair_without_a_number_is_left_out_and_counted(metric):
    references, drafts = ["a", "a", "a"], ["x", "odd", ""]
    statistics = metric.statistics(references, drafts)
    assert statistics.tolist() == [[0.25, 1.0], [0.0, 0.0], [0.0, 1.0]]
    assert metric.judged(statistics.sum(axis=0)) == 2
    assert metric.unscored(references, drafts) == {"the model gave no number": 1}


def test_unscored_reports_stand_in_the_scores(metric, monkeypatch):
    scorers = Scorers(None)
    monkeypatch.setattr(scorers, "metric", lambda _name: metric)
    answers = Answers(["a", "a"], ["p", "q"], {MODEL: ["x", "odd"]}, readings=Readings(scorers=scorers))
    scores = score_answers(answers, PatientResampler(["p", "q"], 10), measures(answers, ["bertscore"]))
    assert scores.unscored == {"bertscore": {MODEL: {"the model gave no number": 1}}}
    assert scores.judged["bertscore"] == {MODEL: 1}
    assert scores.estimates[MODEL]["bertscore"].value == 0.25


def test_only_what_is_there_is_computed(scorer_weights, tmp_path):
    shutil.copytree(scorer_weights / "chexbert", tmp_path / "chexbert")
    scorers = Scorers(tmp_path)
    assert scorers.names == ["chexbert_similarity"]
    assert Scorers(None).names == []


def test_weights_whose_package_is_not_there_are_told_of(scorer_weights, tmp_path, capsys):
    shutil.copytree(scorer_weights / "chexbert", tmp_path / "chexbert")
    shutil.copytree(scorer_weights / "ratescore", tmp_path / "ratescore")
    assert "ratescore" not in Scorers(tmp_path, progress=Progress()).names
    assert "ratescore: not used; install RaTEScore" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("ratescore",), r"'ratescore' runs a model that is not ready: place in ner/ .* it holds no ner/config.json"),
        (("bleu_4",), r"'bleu_4' runs no model"),
    ],
    ids=["lacking", "pure"],
)
def test_a_metric_asked_for_by_name_must_be_ready(tmp_path, asked, message):
    with pytest.raises(ConfigError, match=message):
        _ = Scorers(tmp_path, ScorerSettings(metrics=asked)).names


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'bertscore'"):
        _ = Scorers(tmp_path, ScorerSettings(metrics=("bertscor",))).names


def test_wrong_folders_and_pythons_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="is no folder"):
        Scorers(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="holds the weights of no metric"):
        _ = Scorers(tmp_path).names
    with pytest.raises(ConfigError, match="'bertscore' has no package that runs in a Python of its own"):
        Scorers(tmp_path, ScorerSettings(python={"bertscore": tmp_path}))
    with pytest.raises(ConfigError, match="is no file"):
        Scorers(tmp_path, ScorerSettings(python={"green": tmp_path / "python"}))


def test_a_python_without_the_package_is_told(scorer_weights, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    scorers = Scorers(scorer_weights, ScorerSettings(python={"green": python}))
    with pytest.raises(ConfigError, match=f"install green-score.* for {python}"):
        scorers.metric("green")


def test_lineage_tells_the_weights_that_were_used(scorer_weights, tmp_path):
    shutil.copytree(scorer_weights / "chexbert", tmp_path / "chexbert")
    scorers = Scorers(tmp_path)
    assert weights_lineage(scorers) == {}
    scorers.metric("chexbert_similarity")
    first = weights_lineage(scorers)
    assert list(first["weights"]) == ["chexbert"]
    listed = listing_digest(tmp_path)
    (tmp_path / "chexbert" / "vocab.txt").write_text("other")
    assert weights_lineage(scorers) != first
    assert listing_digest(tmp_path) != listed


def test_two_encoders_are_one_too_many(scorer_weights, tmp_path):
    for name in ("distilroberta-base", "other"):
        shutil.copytree(scorer_weights / "bertscore" / "distilroberta-base", tmp_path / "bertscore" / name)
    with pytest.raises(CheckpointError, match="holds 2 encoders"):
        _ = Scorers(tmp_path).names


def test_an_encoder_without_a_baseline_is_not_rescaled(scorer_weights, tmp_path):
    shutil.copytree(scorer_weights / "bertscore" / "distilroberta-base", tmp_path / "bertscore" / "own")
    scorers = Scorers(tmp_path)
    assert scorers.names == ["bertscore"]
    assert "place an encoder for which bert-score has a baseline" in METRICS["bertscore_rescaled"].lack(scorers)
    assert "place distilroberta-base" in METRICS["radcliq_v1"].lack(_all_but_encoder(scorer_weights, tmp_path))


def _all_but_encoder(scorer_weights, tmp_path):
    for family in ("chexbert", "radgraph"):
        shutil.copytree(scorer_weights / family, tmp_path / family)
    return type("Ready", (), {"lack": lambda self, weights: None, "folder": lambda self, w: tmp_path / w.family})()


def test_coefficients_that_are_none_are_refused(scorer_weights, tmp_path):
    (tmp_path / "radcliq-v0").mkdir()
    (tmp_path / "radcliq-v0" / "coefficients.json").write_text(json.dumps({"coefficients": [1.0], "intercept": 0.0}))
    from radlet.evaluation.scorers.radcliq import _read_line

    with pytest.raises(CheckpointError, match="holds no coefficients of RadCliQ"):
        _read_line(tmp_path / "radcliq-v0" / "coefficients.json")
