from pathlib import Path

import numpy as np
import pytest

from radlet.core.errors import DataError
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.models.report_model import ReportModel
from radlet.reading.evidence import look_behind, on_film, sentences_of


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("The lungs are clear. No effusion.", ["The lungs are clear.", "No effusion."]),
        ("A 2.5 cm nodule! Is it new?  Yes", ["A 2.5 cm nodule!", "Is it new?", "Yes"]),
        ("  ", []),
        ("...", []),
        ("One\nline.", ["One\nline."]),
    ],
)
def test_sentences_stand_where_they_are_said_to(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in sentences_of(text)] == sentences


def test_a_map_lies_where_its_patches_are() -> None:
    weights = np.zeros((4, 4), np.float32)
    weights[0, 3] = 1
    heat = on_film(weights, (0.0, 0.0, 1.0, 1.0), (80, 80))
    assert np.unravel_index(heat.argmax(), heat.shape)[0] <= 10
    assert np.unravel_index(heat.argmax(), heat.shape)[1] >= 69
    assert heat[40:, :40].max() == 0


def test_what_the_encoder_did_not_see_has_no_weight() -> None:
    # A film twice as wide as high, of which the square in the middle was seen.
    heat = on_film(np.eye(2, dtype=np.float32), (0.25, 0.0, 0.75, 1.0), (50, 100))
    assert heat[:, :24].max() == 0
    assert heat[:, 76:].max() == 0
    assert heat[0, 26] > 200


def test_evidence_is_a_map_and_its_areas(tiny_report_model: ReportModel, tiny_films: list[Path]) -> None:
    drafter, request = Drafter(tiny_report_model), DraftRequest((tiny_films[0],))
    text = "The lungs are clear. No pleural effusion."
    found = look_behind(drafter, request, text, sentences_of(text)[1])
    deletion, insertion = found.curves.areas
    assert found.weights.sum() == pytest.approx(1)
    assert found.faithfulness == pytest.approx(insertion - deletion)
    with pytest.raises(DataError, match="no words"):
        look_behind(drafter, request, text, (20, 21))
