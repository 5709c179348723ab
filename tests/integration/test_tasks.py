"""The evaluate stage for the tasks of answers, with a model of random weights that is really asked."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tests.fixtures.tiny import make_report_model

from radlet.core.config import StageConfig
from radlet.core.records import Example, Finding
from radlet.core.runs import open_run
from radlet.data.manifests import EXAMPLES, write_records
from radlet.evaluation.prediction_files import score_file
from radlet.evaluation.scorecard import Scorecard
from radlet.inference.drafter import Drafter
from radlet.inference.engines.base import Sampling
from radlet.stages import evaluate
from radlet.stages.evaluate import EvaluateConfig

QUESTIONS = (("Is the heart enlarged?", "Yes", "closed"), ("Where is the effusion?", "left lung", "open"))
ANSWERS = ("left lung", "right lung", "heart", "rib", "lower lobe")


class BriefDrafter(Drafter):
    """Writes few words, as random weights never end an answer."""

    def draft(self, requests, sampling=None, batch_size=16, progress=None):
        return super().draft(requests, Sampling(max_new_tokens=4), batch_size, progress)


class FakeEmbedder:
    """Embeds films by their number."""

    def embed_images(self, paths):
        angles = np.array([int(path.stem) for path in paths], np.float32) / 50
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def example_of(number, asks):
    question, answer, kind = QUESTIONS[number % 2]
    asked = {
        "question": question,
        "target": answer if number % 2 == 0 else ANSWERS[number % len(ANSWERS)],
        "target_section": "answer",
        "answer_kind": kind,
        "topic": "PRES",
    }
    return Example(
        example_id=f"e{number}",
        study_id=f"s{number}",
        patient_id=f"patient-{number}",
        split="train" if number < 12 else "test",
        image_paths=(f"images/{number}.png",),
        views=("PA",),
        truth=(Finding(kind="x", observation="Pleural Effusion"),) if number % 2 else (),
        **(asked if asks else {"target": "There is an effusion." if number % 2 else "Clear."}),
    )


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """Return a function that gives the configuration of one task, over examples that fit it."""
    model = make_report_model()

    def configure(task, **changes):
        asks = task != "confusing_pairs"
        card = model.card.model_copy(update={"target_section": "answer" if asks else "findings"})
        monkeypatch.setattr(evaluate.Drafter, "load", lambda path: BriefDrafter(replace(model, card=card)))
        monkeypatch.setattr(evaluate.Embedder, "load", lambda path: FakeEmbedder())
        runs = {}
        for field, stage in (("examples", "build"), ("checkpoint", "finetune"), ("encoder", "pretrain")):
            run = open_run(StageConfig(name=task, runs_dir=tmp_path / "runs"), stage)
            if stage == "build":
                (run.path / "images").mkdir(exist_ok=True)
                for number in range(20):
                    pixels = np.random.default_rng(number).integers(0, 255, (40, 36)).astype(np.uint8)
                    Image.fromarray(pixels).save(run.path / "images" / f"{number}.png")
                write_records(run.path / EXAMPLES, [example_of(number, asks) for number in range(20)])
            run.finish()
            runs[field] = run.path
        sizes = {"num_resamples": 20, "max_probe_drafts": 2, "num_pictures": 2}
        values = {"name": task, "task": task, "runs_dir": tmp_path / "runs", **runs, **sizes}
        return EvaluateConfig(**(values | changes))

    return configure


@pytest.mark.parametrize(
    ("task", "leading", "rows", "shown"),
    [
        ("questions", "closed_accuracy", 8, "Question by question type"),
        ("multiple_choice", "multiple_choice_circular_accuracy", 24, "Of 4 options the model takes"),
        ("confusing_pairs", "pairs_set_accuracy", 8, "Films that look alike"),
    ],
)
def test_a_task_of_answers_leaves_scorecard_page_and_answers(configured, task, leading, rows, shown):
    config = configured(task)
    run = evaluate.run(config, Console(quiet=True))
    card = Scorecard.load(run / "scorecard.json")
    assert (card.task, next(iter(card.metrics)), card.num_reports) == (task, leading, rows)
    assert set(card.baselines) == {"constant", "shuffled_image", "nearest_neighbour"}
    assert card.looking is not None
    assert card.looking.counted == "answers"
    assert card.looking.share_explained
    assert not card.support
    page = (run / "scorecard.html").read_text(encoding="utf-8")
    assert shown in page
    assert "answers that change" in page
    assert "Drafts name" not in page
    assert "patient-" not in page
    predictions = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert len(predictions) == rows
    scored = score_file(run / "predictions.jsonl", 10, metric_names=["answer_exact_match"])
    assert scored.metrics["answer_exact_match"].value is not None
    again = evaluate.run(config, Console(quiet=True))
    assert again == run


def test_options_can_be_held_against_no_film(configured):
    chosen = {}
    for choose in ("likelihood", "contrast"):
        run = evaluate.run(configured("confusing_pairs", choose=choose, name=choose), Console(quiet=True))
        lines = (run / "predictions.jsonl").read_text().splitlines()
        chosen[choose] = tuple(json.loads(line)["prediction"] for line in lines)
    assert chosen["likelihood"] != chosen["contrast"]
