"""The evaluate stage from run directories to page, with a model and an encoder that answer by the film's name."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from radlet.core.config import StageConfig
from radlet.core.errors import CheckpointError, DataError, UnknownNameError
from radlet.core.records import OBSERVATIONS, Box, Example, Finding, State
from radlet.core.runs import open_run
from radlet.data.images import ImageSettings
from radlet.data.labellers.rules import RuleLabeller
from radlet.data.manifests import EXAMPLES, write_records
from radlet.evaluation.prediction_files import score_file
from radlet.evaluation.scorecard import Scorecard
from radlet.inference.attention import AttentionMaps
from radlet.stages import evaluate
from radlet.stages.evaluate import EvaluateConfig

FINDINGS = {
    0: ("Pleural Effusion", "left", "There is a left pleural effusion."),
    1: ("Cardiomegaly", None, "The heart is enlarged."),
    2: ("Fracture", "right", "There is a right rib fracture."),
}
BOX = Box(x_min=0.25, y_min=0.25, x_max=0.75, y_max=0.75)
QUIET = Console(quiet=True)


def text_of(number):
    return FINDINGS[number % 3][2]


class FakeDrafter:
    """Reads the finding off the number in the film's name; without a film it guesses an effusion."""

    films = "frontal"
    num_drafts = 0
    fail_after = None

    def __init__(self):
        self.card = SimpleNamespace(films=self.films, target_section="findings")
        self.image_settings = ImageSettings(size_px=32)

    def draft(self, requests, *, batch_size):
        if FakeDrafter.fail_after is not None and FakeDrafter.num_drafts >= FakeDrafter.fail_after:
            raise KeyboardInterrupt
        FakeDrafter.num_drafts += len(requests)
        paths = [request.image_paths for request in requests]
        return [text_of(int(path[0].stem)) if path else text_of(0) for path in paths]

    def log_likelihoods(self, requests, texts, *, ended=False, batch_size=16):
        shown = [int(request.image_paths[0].stem) for request in requests]
        likely = [text == text_of(number) for number, text in zip(shown, texts, strict=True)]
        return np.stack([np.where(likely, -1.0, -5.0), np.full(len(texts), 4)], axis=1)

    def attention(self, request, text, spans):
        weights = np.random.default_rng(0).random((4, 4), dtype=np.float32)
        return [AttentionMaps(weights, weights, weights) for _ in spans]


class FakeEmbedder:
    """Embeds films and reports by their finding, and knows an effusion when it sees one."""

    card = SimpleNamespace(label_names=("Pleural Effusion",))

    def read_films(self, paths):
        embeddings = self.embed_images(paths)
        return embeddings, embeddings[:, :1]

    def embed_images(self, paths):
        return np.eye(3, dtype=np.float32)[[int(path.stem) % 3 for path in paths]]

    def embed_texts(self, texts):
        names = [text for _, _, text in FINDINGS.values()]
        return np.eye(3, dtype=np.float32)[[names.index(text) for text in texts]]


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate.Drafter, "load", lambda path: FakeDrafter())
    monkeypatch.setattr(evaluate.Embedder, "load", lambda path: FakeEmbedder())
    monkeypatch.setattr(FakeDrafter, "num_drafts", 0)
    config = StageConfig(name="tiny", runs_dir=tmp_path / "runs")
    build = open_run(config, "build")
    (build.path / "images").mkdir()
    examples = [make_example(build.path, number) for number in range(36)]
    write_records(build.path / EXAMPLES, examples)
    build.finish()
    runs = {"examples": build.path}
    for field, stage in (("encoder", "pretrain"), ("checkpoint", "finetune"), ("no_image_checkpoint", "blind")):
        run = open_run(config, stage, {"examples": build.path})
        run.log(step=1, loss=2.0)
        run.log(step=2, loss=1.0)
        run.finish()
        runs[field] = run.path

    def make_config(**changes):
        values = {"name": "tiny", "runs_dir": tmp_path / "runs", "num_resamples": 50, "num_pictures": 2, **runs}
        return EvaluateConfig(**(values | changes))

    return make_config


def make_example(folder, number):
    pixels = np.random.default_rng(number).integers(0, 255, (40, 48)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
    observation, side, text = FINDINGS[number % 3]
    return Example(
        example_id=f"e{number}",
        study_id=f"s{number}",
        patient_id=f"patient-{number // 2}",
        split="train" if number < 12 else "test",
        image_paths=(f"images/{number}.png",),
        views=("PA",),
        target=text,
        report=text,
        labels={"Pleural Effusion": int(number % 3 == 0)},
        truth=(Finding(kind="x", observation=observation, side=side, boxes={str(number): BOX}),),
    )


def test_leaves_scorecard_page_and_drafts(world):
    path = evaluate.run(world(), QUIET)
    card = Scorecard.load(path / "scorecard.json")
    assert (card.split, card.num_studies, card.num_patients) == ("test", 24, 12)
    assert (card.section, card.trained_section) == ("findings", "findings")
    assert card.metrics["truth_f1_micro"].value == 1.0
    assert card.metrics["truth_laterality"].value == 1.0
    assert set(card.baselines) == {"constant", "no_image", "shuffled_image", "nearest_neighbour"}
    assert card.baselines["no_image"]["truth_f1_micro"].value == pytest.approx(1 / 3)
    assert card.baselines["nearest_neighbour"]["truth_f1_micro"].value == 1.0
    assert card.paired["truth_f1_micro"].baseline == "nearest_neighbour"
    assert card.paired_all["truth_f1_micro"]["no_image"].low > 0
    assert card.metrics["image_to_text_recall_at_1"].value == 1.0
    assert card.retrieval["chance_image_to_text_recall_at_1"] == pytest.approx(1 / 3)
    assert card.encoder_auroc["Pleural Effusion"].positives == 8
    assert card.encoder_auroc["Pleural Effusion"].value == 1.0
    assert {entry["role"] for entry in card.lineage.values()} == set(world().inputs)
    assert (card.grounding.num_reports, card.grounding.num_curves) == (24, 24)
    assert card.calibration.fitted_on == "train"
    assert card.calibration.forecasts["model"].auroc.value == 1.0
    assert len((path / "probabilities.jsonl").read_text(encoding="utf-8").splitlines()) == 24
    page = (path / "scorecard.html").read_text(encoding="utf-8")
    assert "Did it look where the finding is?" in page
    assert "Does it know how sure it is?" in page
    assert page.count("data:image/jpeg;base64,") >= 4
    assert "patient-" not in page
    assert str(path.parents[2]) not in page


def test_groups_have_scores_and_small_ones_none(world):
    card = Scorecard.load(evaluate.run(world(min_subgroup=6), QUIET) / "scorecard.json")
    groups = card.subgroups.attributes["observation"].groups
    assert {"Pleural Effusion", "Cardiomegaly", "Fracture"} <= set(groups)
    assert groups["Fracture"].metrics["truth_f1_micro"].value == 1.0
    assert Scorecard.load(evaluate.run(world(), QUIET) / "scorecard.json").subgroups is None
    with pytest.raises(ValueError, match="ages must rise"):
        world(age_bands=(40, 20))


def test_a_language_model_without_films_is_one_more_baseline(world, monkeypatch, tmp_path):
    answers = SimpleNamespace(
        has_room=lambda prompt, tokens: True,
        write=lambda prompts, **_: [prompt.split("Findings: ")[-1].split("\n")[0] for prompt in prompts],
    )
    monkeypatch.setattr(evaluate.TextWriter, "load", lambda path: answers)
    path = evaluate.run(world(text_model={"path": tmp_path}), QUIET)
    card = Scorecard.load(path / "scorecard.json")
    assert 0 < card.baselines["text_only"]["truth_f1_micro"].value < 1
    assert card.paired_all["truth_f1_micro"]["text_only"].low > 0
    assert (path / "baselines" / "text_only.jsonl").exists()
    assert "Text only" in (path / "scorecard.html").read_text(encoding="utf-8")


def test_the_files_of_every_system_can_be_scored_again(world):
    path = evaluate.run(world(), QUIET)
    card = Scorecard.load(path / "scorecard.json")
    again = score_file(path / "predictions.jsonl", num_resamples=50)
    assert again.metrics["bleu_4"] == card.metrics["bleu_4"]
    blind = score_file(path / "baselines" / "no_image.jsonl", num_resamples=50)
    assert blind.metrics["observation_f1_micro_14"] == card.baselines["no_image"]["observation_f1_micro_14"]


def test_a_killed_evaluation_goes_on_and_a_finished_one_is_left_alone(world, monkeypatch):
    whole = Scorecard.load(evaluate.run(world(seed=1, num_pictures=0), QUIET) / "scorecard.json")
    whole_drafts = FakeDrafter.num_drafts
    monkeypatch.setattr(FakeDrafter, "num_drafts", 0)
    monkeypatch.setattr(FakeDrafter, "fail_after", 24)  # the model is done, the blind one is not
    with pytest.raises(KeyboardInterrupt):
        evaluate.run(world(seed=1, num_pictures=1), QUIET)
    monkeypatch.setattr(FakeDrafter, "fail_after", None)
    monkeypatch.setattr(FakeDrafter, "num_drafts", 0)
    path = evaluate.run(world(seed=1, num_pictures=1), QUIET)
    assert FakeDrafter.num_drafts == whole_drafts - 24  # all but the model's own
    assert Scorecard.load(path / "scorecard.json") == whole
    drafted = FakeDrafter.num_drafts
    assert evaluate.run(world(seed=1, num_pictures=1), QUIET) == path
    assert FakeDrafter.num_drafts == drafted


def test_every_evaluation_says_whether_the_model_looks(world):
    screen = Console(record=True, width=200, quiet=False, file=io.StringIO())
    path = evaluate.run(world(max_probe_drafts=5), screen)
    looking = Scorecard.load(path / "scorecard.json").looking
    assert looking.looks is True  # it reads the finding off the film's name
    assert looking.share_explained["truth_f1_micro"].low > 0
    probes = looking.probes
    assert {name: probes[name].num_reports for name in ("blank", "mirrored", "shifted")} == {
        "blank": 5,
        "mirrored": 5,
        "shifted": 5,
    }
    assert (probes["blank"].value, probes["shifted"].value) == (0, 1)  # and the name does not change
    assert probes["occluded"].n == 0  # no boxes
    assert "looks at the film: yes" in screen.export_text()
    rows = [json.loads(line) for line in (path / "probes" / "blank.jsonl").read_text().splitlines()]
    drafts = {row["id"]: row for row in map(json.loads, (path / "predictions.jsonl").read_text().splitlines())}
    assert [row["reference"] for row in rows] == [drafts[row["id"]]["reference"] for row in rows]


class SeesEdema(RuleLabeller):
    """Reads edema in every text."""

    sha256: str = "abc"

    def label(self, texts):
        return [dict.fromkeys(OBSERVATIONS, State.UNMENTIONED) | {"Edema": State.POSITIVE} for _ in texts]


def test_another_labeller_reads_the_observations_and_is_named(world):
    rules = Scorecard.load(evaluate.run(world(labeller={"kind": "rules"}), QUIET) / "scorecard.json")
    path = evaluate.run(world(labeller=SeesEdema(), num_pictures=0), QUIET)
    card = Scorecard.load(path / "scorecard.json")
    assert (rules.labeller, rules.labeller_sha256, card.labeller_sha256) == ("rules", None, "abc")
    assert card.metrics["observation_f1_micro_14"].value == 1.0
    assert card.support["Edema"].support == 24
    assert rules.support["Edema"].support == 0
    assert card.metrics["truth_f1_micro"].value == 0.0  # no film shows edema
    assert card.truth_support["Cardiomegaly"].drafted == 0
    assert card.metrics["rule_judge_errors"] == rules.metrics["rule_judge_errors"]
    with pytest.raises(UnknownNameError, match="labellers"):
        world(labeller={"kind": "chexpert"})


def test_without_the_optional_runs(world):
    path = evaluate.run(world(encoder=None, no_image_checkpoint=None, max_studies=10, num_pictures=0), QUIET)
    card = Scorecard.load(path / "scorecard.json")
    assert set(card.baselines) == {"constant", "shuffled_image"}
    assert card.num_studies == 10
    assert card.retrieval == {}
    assert card.encoder_auroc == {}
    rows = [json.loads(line)["id"] for line in (path / "predictions.jsonl").read_text().splitlines()]
    assert rows == sorted(rows, key=lambda name: int(name[1:]))


def test_a_study_without_a_film_of_the_kind_is_counted(world, tmp_path):
    run = open_run(StageConfig(name="lateral", runs_dir=tmp_path / "runs"), "build")
    (run.path / "images").mkdir()
    examples = [make_example(run.path, number) for number in range(20)]
    examples[-1] = examples[-1].model_copy(update={"views": ("LATERAL",)})
    write_records(run.path / EXAMPLES, examples)
    run.finish()
    path = evaluate.run(world(examples=run.path, max_studies=7, num_pictures=0), QUIET)
    card = Scorecard.load(path / "scorecard.json")
    assert card.rows_left_out == {"no film of the kind 'frontal'": 1}
    assert card.num_studies == 7  # as many as asked for, of those that have one
    assert "no film of the kind" in (path / "scorecard.html").read_text(encoding="utf-8")


def test_probabilities_are_never_fitted_on_the_judged_split(world):
    card = Scorecard.load(evaluate.run(world(split="train", num_pictures=0), QUIET) / "scorecard.json")
    assert card.calibration is None  # there is no dev split, and the train split is judged


def test_a_set_without_a_train_split_is_judged_without_what_copies_from_it(world, tmp_path):
    run = open_run(StageConfig(name="elsewhere", runs_dir=tmp_path / "runs"), "build")
    (run.path / "images").mkdir()
    write_records(run.path / EXAMPLES, [make_example(run.path, number) for number in range(12, 24)])
    run.finish()
    card = Scorecard.load(evaluate.run(world(examples=run.path), QUIET) / "scorecard.json")
    assert set(card.baselines) == {"no_image", "shuffled_image"}
    assert card.metrics["truth_f1_micro"].value == 1.0
    assert card.retrieval["num_images"] == 12


def test_refuses_a_split_without_rows_and_a_model_without_films(world, monkeypatch):
    with pytest.raises(DataError, match="The split 'dev' has no study"):
        evaluate.run(world(split="dev"), QUIET)
    monkeypatch.setattr(FakeDrafter, "films", "none")
    with pytest.raises(CheckpointError, match="tuned with films = 'none'"):
        evaluate.run(world(seed=3), QUIET)


def test_a_build_of_questions_is_named_as_such(world, tmp_path):
    run = open_run(StageConfig(name="questions", runs_dir=tmp_path / "runs"), "build")
    (run.path / "images").mkdir()
    asked = {"question": "Is there an effusion?", "target": "Yes", "target_section": "answer"}
    write_records(run.path / EXAMPLES, [make_example(run.path, n).model_copy(update=asked) for n in range(20)])
    run.finish()
    with pytest.raises(
        DataError,
        match=r"section = 'answer' .*'findings' can judge. Tasks that can: questions, multiple_choice",
    ):
        evaluate.run(world(examples=run.path), QUIET)
