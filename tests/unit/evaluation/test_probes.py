from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from radlet.core.records import Box, Example, Finding
from radlet.data.images import read_film
from radlet.evaluation.probes import Probes, ProbeSettings, _result
from radlet.evaluation.tasks import Findings
from radlet.metrics.resampling import PatientResampler

SIZE = 48
CLEAR = "The lungs are clear. No pleural effusion."
BOXES = {
    "right": Box(x_min=0.125, y_min=0.5, x_max=0.375, y_max=0.75),
    "left": Box(x_min=0.625, y_min=0.5, x_max=0.875, y_max=0.75),
}


class Seeing:
    """Names the bright square on the film it is shown, and answers another question with nothing."""

    def draft(self, requests, *, batch_size):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        pixels = read_film(request.image_paths[0]).pixels
        for change in request.changes:
            pixels = change(pixels)
        bright = {
            side: pixels[int(box.y_min * SIZE) : int(box.y_max * SIZE), int(box.x_min * SIZE) : int(box.x_max * SIZE)]
            for side, box in BOXES.items()
        }
        side = max(bright, key=lambda name: bright[name].mean())
        return f"There is a {side} pleural effusion." if bright[side].mean() > 200 else CLEAR


class Blind:
    """Says the same whatever it is shown, unless the question is another."""

    def draft(self, requests, *, batch_size):
        return [CLEAR if request.wording else "There is a left pleural effusion." for request in requests]


@pytest.fixture
def studies(tmp_path):
    """Twelve studies of six patients: a bright square on the left, on the right, or none."""
    examples = []
    for number in range(12):
        side = ("left", "right", None)[number % 3]
        pixels = np.full((SIZE, SIZE), 60, np.uint8)
        truth = ()
        if side:
            box = BOXES[side]
            pixels[24:36, int(box.x_min * SIZE) : int(box.x_max * SIZE)] = 250
            truth = (Finding(kind="effusion", observation="Pleural Effusion", side=side, boxes={f"f{number}": box}),)
        path = tmp_path / f"f{number}.png"
        Image.fromarray(pixels).save(path)
        examples.append(
            Example(
                example_id=f"e{number}",
                study_id=f"s{number}",
                patient_id=f"p{number // 2}",
                split="test",
                image_paths=(str(path),),
                views=("PA",),
                target=f"There is a {side} pleural effusion." if side else CLEAR,
                truth=truth,
            )
        )
    return examples


def judge(model, studies, max_drafts=12):
    task = Findings()
    own = model.draft([task.request(study, study.image_paths) for study in studies], batch_size=4)
    probes = Probes(task, studies, own, ProbeSettings(max_drafts, seed=0, input_px=SIZE))
    drafts = {
        name: probes.draft(name, model, batch_size=4)(range(len(rows))) for name, (rows, _) in probes.asked.items()
    }
    return probes.results(drafts, num_resamples=50, interval="percentile")


def test_a_model_that_sees_answers_every_probe(studies):
    results = judge(Seeing(), studies)
    assert list(results) == ["blank", "noise", "mirrored", "shifted", "reencoded", "paraphrased", "occluded"]
    values = {name: result.value for name, result in results.items()}
    assert values == {name: float(name != "paraphrased") for name in values}
    assert (results["blank"].n, results["mirrored"].n, results["shifted"].n) == (8, 8, 12)
    assert results["occluded"].control.value == 0
    assert (results["occluded"].difference.value, results["occluded"].difference.low) == (1, 1)


def test_a_model_that_does_not_see_is_moved_by_words_alone(studies):
    values = {name: result.value for name, result in judge(Blind(), studies).items()}
    assert values["blank"] == values["noise"] == values["mirrored"] == values["occluded"] == 0
    assert values["shifted"] == values["reencoded"] == 1
    assert values["paraphrased"] == 1


def test_the_cap_holds_for_every_probe_and_draws_the_same_reports_again(studies):
    results = judge(Seeing(), studies, max_drafts=3)
    assert {result.num_reports for result in results.values()} == {3}
    assert results == judge(Seeing(), studies, max_drafts=3)


def test_without_boxes_or_findings_there_is_nothing_to_probe(studies):
    unknown = [study.model_copy(update={"truth": None}) for study in studies]
    occluded = judge(Seeing(), unknown)["occluded"]
    assert (occluded.value, occluded.low, occluded.n, occluded.control) == (None, None, 0, None)
    silent = SimpleNamespace(draft=lambda requests, *, batch_size: [CLEAR] * len(requests))
    results = judge(silent, studies)
    assert [name for name, result in results.items() if result.n] == ["shifted", "reencoded", "paraphrased"]


def test_a_finding_without_a_free_place_is_not_covered(studies):
    wide = Box(x_min=0, y_min=0.1, x_max=1, y_max=0.9)
    crowded = [
        study.model_copy(
            update={
                "truth": tuple(
                    finding.model_copy(update={"boxes": dict.fromkeys(finding.boxes, wide)}) for finding in study.truth
                )
            }
        )
        for study in studies
    ]
    assert judge(Seeing(), crowded)["occluded"].n == 0


def test_a_share_on_which_all_cases_agree_is_not_certain():
    resampler = PatientResampler(["a", "b", "b"], 50)
    all_gone = _result(np.array([[1.0, 1.0]] * 3), np.array([[0.0, 1.0]] * 3), resampler)
    assert (all_gone.value, all_gone.high) == (1, 1)
    assert all_gone.low == pytest.approx(binomtest(2, 2).proportion_ci(method="exact").low)
    assert all_gone.control.high == pytest.approx(binomtest(0, 2).proportion_ci(method="exact").high)
    assert (all_gone.control.value, all_gone.control.low) == (0, 0)
