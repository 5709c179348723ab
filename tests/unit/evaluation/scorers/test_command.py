"""Metrics that run a model, from the command line and in a recipe of evaluate."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from radlet.cli import app
from radlet.core.config import load_config
from radlet.core.errors import ConfigError
from radlet.stages.evaluate import EvaluateConfig

ROWS = [
    {"id": "1", "patient_id": "a", "reference": "the heart is clear .", "prediction": "the heart is clear ."},
    {"id": "2", "patient_id": "b", "reference": "no effusion is seen .", "prediction": "raise effusion"},
    {"id": "3", "patient_id": "c", "reference": "small left effusion .", "prediction": ""},
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def weights(scorer_weights, tmp_path):
    for family in ("chexbert", "radgraph"):
        shutil.copytree(scorer_weights / family, tmp_path / "weights" / family)
    return tmp_path / "weights"


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_score_adds_what_is_there_and_counts_what_has_no_score(file, weights, stub_python, tmp_path):
    out, each = tmp_path / "card.json", tmp_path / "each.jsonl"
    python = f"radgraph={stub_python}"
    options = ("--weights", weights, "--python", python, "--bootstrap", 20, "--out", out, "--per-report", each)
    result = invoke("score", file, *options)
    card = json.loads(out.read_text())
    assert card["metrics"]["radgraph_f1_simple"]["value"] == pytest.approx(0.5)  # of 1, none and 0
    assert card["judged"]["radgraph_f1_simple"]["model"] == 2
    reason = "the package failed with ValueError"
    assert card["unscored"]["radgraph_f1_simple"] == {"model": {reason: 1}}
    assert f"radgraph_f1_simple: 1 reports without a score: {reason}" in result.stderr
    assert {"bleu_4", "chexbert_similarity"} <= set(card["metrics"])
    assert "bertscore" not in card["metrics"]
    assert sorted(card["lineage"]["weights"]) == ["chexbert", "radgraph"]
    rows = [json.loads(line)["metrics"]["radgraph_f1_simple"] for line in each.read_text().splitlines()]
    assert rows == [1.0, None, 0.0]


def test_score_without_weights_runs_no_model(file, tmp_path):
    invoke("score", file, "--bootstrap", 5, "--out", tmp_path / "card.json", "--metrics", "bleu_4")
    card = json.loads((tmp_path / "card.json").read_text())
    assert "weights" not in card["lineage"]
    assert card["unscored"] == {}


@pytest.mark.parametrize("options", [("--out", "predictions.jsonl"), ("--out", "x", "--per-report", "x")])
def test_score_never_writes_one_file_over_another(file, monkeypatch, options):
    monkeypatch.chdir(file.parent)
    with pytest.raises(ConfigError, match="must be different files"):
        invoke("score", file, "--bootstrap", 5, *options)
    assert len(file.read_text().splitlines()) == len(ROWS)


def test_a_metric_asked_for_by_name_without_its_weights_is_an_error(file, weights):
    with pytest.raises(ConfigError, match=r"'bertscore' runs a model that is not ready: place an encoder"):
        invoke("score", file, "--weights", weights, "--metrics", "bertscore")
    with pytest.raises(ConfigError, match=r"is not of the form FAMILY=PATH"):
        invoke("score", file, "--weights", weights, "--python", "python3")


def test_metrics_tells_what_is_here_and_what_to_place_where(weights):
    lines = [line.split() for line in invoke("metrics", "--weights", weights).output.splitlines()]
    state = {line[0]: line[-1] for line in lines if line and line[-1] in ("here", "–")}
    assert state["chexbert_similarity"] == "here"
    assert state["bertscore_rescaled"] == "–"
    assert "bleu_4" not in state
    text = " ".join(invoke("metrics", "bertscore", "--weights", weights).output.split())
    assert "distilroberta-base of the Hugging Face hub, at" in text
    assert "Apache-2.0" in text


def test_a_recipe_is_told_apart_when_weights_are_added(weights, tmp_path):
    given = {"examples": tmp_path, "checkpoint": tmp_path, "weights_dir": weights}
    before = load_config(EvaluateConfig, None, **given)
    assert before == load_config(EvaluateConfig, None, **given)
    (weights / "green").mkdir()
    (weights / "green" / "config.json").write_text("{}")
    assert load_config(EvaluateConfig, None, **given) != before
    assert load_config(EvaluateConfig, None, examples=tmp_path, checkpoint=tmp_path).weights_digest == ""
