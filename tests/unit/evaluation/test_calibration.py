"""Probabilities of findings from a model whose likelihoods follow Bayes' rule."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from radlet.core.console import Progress
from radlet.core.records import Example, Finding
from radlet.evaluation.calibration import Calibrator
from radlet.evaluation.calibration_panel import calibration_line, calibration_panel
from radlet.evaluation.finding_probabilities import FindingProbabilities, JudgedRows, training_wordings
from radlet.inference.drafter import DraftRequest
from radlet.metrics.resampling import PatientResampler

EFFUSION, HEART = "There is a pleural effusion.", "The heart is enlarged."


class Task:
    """Asks about the films alone."""

    def request(self, example, image_paths):
        return DraftRequest(tuple(image_paths))


class Reader:
    """Finds a sentence nine times likelier where the film's name says so."""

    image_settings = None

    def log_likelihoods(self, requests, texts, *, ended=False, batch_size=16):
        names = {EFFUSION: "effusion", HEART: "heart"}
        values = [
            np.log(0.09 if names[text] in request.image_paths[0] else 0.01)
            for request, text in zip(requests, texts, strict=True)
        ]
        return np.stack([values, np.full(len(values), 5)], axis=1)


def rows_of(count, known=True):
    """Return rows a quarter of which have an effusion, and a quarter an enlarged heart; one in ten tells lies."""
    kinds = (("effusion", "Pleural Effusion", EFFUSION), ("heart", "Cardiomegaly", HEART))
    rows = []
    for number in range(count):
        kind, observation, text = kinds[number % 2] if number % 4 < 2 else ("clear", "", "The lungs are clear.")
        shown = kind if number % 10 else "clear"
        rows.append(
            Example(
                example_id=f"e{number}",
                study_id=f"s{number}",
                patient_id=f"patient-{number}",
                split="test",
                image_paths=(f"{number}-{shown}.png",),
                views=("PA",),
                target=text,
                truth=((Finding(kind=kind, observation=observation),) if observation else ()) if known else None,
            )
        )
    return rows


def calibrate(judged, fitted, drafts=None):
    probabilities = FindingProbabilities(Task(), training_wordings(fitted, 3), 8)
    rows = JudgedRows(judged, drafts or [row.target for row in judged], fitted)
    evidence = probabilities.gather(Reader(), rows, None, Progress(quiet=True))
    return Calibrator(evidence, PatientResampler([row.patient_id for row in judged], 200, 0))


def test_scaled_probabilities_are_the_shares_present():
    calibrator = calibrate(rows_of(80), rows_of(120))
    found = calibrator.describe("dev", 3)
    assert found.observations == ("Cardiomegaly", "Pleural Effusion")
    assert (found.against, found.num_reports, found.num_fitted) == ("truth", 80, 120)
    shown = calibrator.probabilities["model"][:, 1] > 0.5
    assert shown.sum() == sum("effusion" in row.image_paths[0] for row in rows_of(80))
    model = found.forecasts["model"]
    assert model.ece.value < 0.05
    assert model.ece.value < model.ece_raw.value
    assert found.brier_gain["prevalence"].low > 0
    assert found.forecasts["prevalence"].auroc.value == 0.5
    assert model.auroc.value > 0.85


def test_reports_stand_for_a_truth_that_nobody_knows():
    found = calibrate(rows_of(40, known=False), rows_of(40, known=False)).describe("train", 3)
    assert found.against == "report"
    assert found.fitted_on == "train"
    assert found.forecasts["draft"].brier.value == pytest.approx(0, abs=1e-6)


def test_findings_of_one_kind_leave_the_probabilities_as_they_are():
    clear = [row.model_copy(update={"truth": ()}) for row in rows_of(20)]
    evidence = calibrate(rows_of(20), clear).describe("dev", 3)
    assert evidence.slope is None
    assert evidence.forecasts["model"].brier_raw is None


def test_leaving_out_doubtful_findings_of_drafts():
    judged = rows_of(80)
    found = calibrate(judged, rows_of(120), [f"{EFFUSION} {HEART}"] * 80).describe("dev", 3)
    assert found.drafted.n == 160
    assert found.drafted.error.value == 0.75
    assert found.drafted.aurc["model"].high < 0.75
    assert found.drafted.curves["model"][-1] == (1.0, 0.75)
    assert calibrate(judged, rows_of(40), ["Clear."] * 80).describe("dev", 3).drafted is None


def test_the_kept_decisions_are_the_surer_ones():
    kept = calibrate(rows_of(80), rows_of(120)).describe("dev", 3).kept
    assert kept[0].coverage == 1.0
    assert [one.confidence for one in kept] == sorted(one.confidence for one in kept)


def test_lines_tell_ids_and_probabilities():
    judged = rows_of(12)
    lines = [json.loads(line) for line in calibrate(judged, rows_of(40)).lines(judged)]
    assert [line["id"] for line in lines] == [row.example_id for row in judged]
    assert set(lines[0]["observations"]) == {"Cardiomegaly", "Pleural Effusion"}


def test_panel_and_line():
    card = SimpleNamespace(calibration=calibrate(rows_of(80), rows_of(120)).describe("dev", 3))
    panel = calibration_panel(card)
    assert [row.name for row in panel["rows"]] == ["model", "draft", "prevalence"]
    assert panel["curves"][0].points
    assert calibration_line(card).startswith("probabilities of findings: AUROC ")
    assert calibration_panel(SimpleNamespace(calibration=None)) is None
    assert calibration_line(SimpleNamespace(calibration=None)) is None
