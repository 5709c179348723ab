"""Grounding with a model that looks at a known patch, and what the page and the terminal make of it."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from radlet.core.console import Progress
from radlet.core.records import Box, Example, Finding
from radlet.data.images import ImageSettings
from radlet.evaluation.grounding import DRAWN, Grounder, GroundingSettings, describe_grounding
from radlet.evaluation.grounding_panel import grounding_line, grounding_panel
from radlet.inference.attention import AttentionMaps
from radlet.inference.drafter import DraftRequest

TEXT = "There is a left pleural effusion. The heart is enlarged. No pneumothorax."
EFFUSION = Box(x_min=0.75, y_min=0.5, x_max=1, y_max=1)
HEART = Box(x_min=0.25, y_min=0.5, x_max=0.5, y_max=0.75)


class Task:
    """Asks about the films alone."""

    def request(self, example, image_paths):
        return DraftRequest(tuple(image_paths))


class Gazer:
    """Looks at the effusion's box for every phrase of its own film; its raw attention goes to a corner."""

    image_settings = ImageSettings(size_px=32, resize="squash")

    def __init__(self):
        self.asked = []

    def attention(self, request, text, spans):
        self.asked += [text[start:end] for start, end in spans]
        weights, corner = np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32)
        weights[2, 3], corner[0, 0] = 1, 1
        return [AttentionMaps(weights, corner, corner) for _ in spans]

    def log_likelihoods(self, requests, texts, *, ended=False, batch_size=16):
        film = np.zeros((32, 32), np.uint8)
        film[20, 28] = 255
        shown = [request.changes[0](film)[20, 28] == 255 for request in requests]
        return np.array(
            [((0.0 if one else -2.0) * text.endswith("effusion"), 1) for one, text in zip(shown, texts, strict=True)]
        )


@pytest.fixture
def judged(tmp_path):
    rows = []
    for number in range(6):
        path = tmp_path / f"film-{number}.png"
        Image.fromarray(np.zeros((32, 32), np.uint8)).save(path)
        truth = (
            Finding(kind="effusion", observation="Pleural Effusion", boxes={path.stem: EFFUSION}),
            Finding(kind="heart", observation="Cardiomegaly", boxes={path.stem: HEART}),
            Finding(kind="pneumothorax", observation="Pneumothorax", boxes={path.stem: EFFUSION}),
        )
        rows.append(
            Example(
                example_id=f"e{number}",
                study_id=f"s{number}",
                patient_id=f"p{number}",
                split="test",
                image_paths=(str(path),),
                views=("PA",),
                truth=truth,
            )
        )
    return rows


def look(judged, max_reports=4, max_followed=2, gazer=None):
    grounder = Grounder(
        Task(), judged, [TEXT] * len(judged), judged, GroundingSettings(max_reports, max_followed, 0, 8)
    )
    return grounder.look(gazer or Gazer(), Progress(quiet=True))


def test_judges_drafted_findings_with_a_box_and_no_others(judged):
    gazer = Gazer()
    gazes = look(judged, gazer=gazer)
    assert len({gaze.case.row for gaze in gazes}) == 4
    assert {gaze.case.observation for gaze in gazes} == {"Pleural Effusion", "Cardiomegaly"}
    assert not any("pneumothorax" in phrase for phrase in gazer.asked)
    hits = {gaze.case.observation: gaze.pointing[DRAWN].hit for gaze in gazes}
    assert hits == {"Pleural Effusion": 1, "Cardiomegaly": 0}


def test_the_numbers_are_those_of_the_maps(judged):
    gazes = look(judged)
    found = describe_grounding(gazes, [row.patient_id for row in judged], 100, 0, "percentile")
    assert (found.num_findings, found.num_reports, found.num_curves, found.grid) == (8, 4, 2, 4)
    assert found.area == pytest.approx((2 / 16 + 1 / 16) / 2)
    drawn = found.maps[DRAWN]
    assert drawn.pointing.value == 0.5
    assert drawn.lift.value == pytest.approx(0.5 / found.area)
    assert found.maps["attention"].pointing.value == 0
    assert found.maps["box_prior"].pointing.value == 1
    assert found.pointing_gain["attention"].value == 0.5
    assert drawn.faithfulness.value == pytest.approx((1 - np.exp(-2)) * (1 - 1 / 8))
    assert found.maps["box_prior"].faithfulness is None


def test_without_a_case_there_are_no_numbers(judged):
    bare = [row.model_copy(update={"truth": None}) for row in judged]
    assert look(bare) == []
    assert describe_grounding([], [], 100, 0, "percentile") is None
    card = SimpleNamespace(grounding=None)
    assert grounding_panel(card) is None
    assert grounding_line(card) is None


def test_the_line_names_what_the_map_has_to_pass(judged):
    found = describe_grounding(look(judged), [row.patient_id for row in judged], 100, 0, "percentile")
    line = grounding_line(SimpleNamespace(grounding=found))
    assert line.startswith("looks where the finding is: 0.50 (0.50 to 0.50) of 8 (box_prior 1.00,")
    assert [row.drawn for row in grounding_panel(SimpleNamespace(grounding=found))["rows"]].count(True) == 1
