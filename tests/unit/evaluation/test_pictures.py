import base64
import io

import numpy as np
from PIL import Image

from radlet.evaluation.pictures import film_uri, overlay_uri, typical_rows, worst_rows

LEFT, NONE, HEART = "There is a left pleural effusion.", "No pleural effusion.", "The heart is enlarged."


def decode(uri):
    kind, data = uri.split(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_typical_rows_have_a_finding_and_follow_the_seed():
    references = [NONE, LEFT, HEART, NONE, LEFT, LEFT]
    rows = typical_rows(references, 3, seed=0)
    assert rows == sorted(set(rows))
    assert set(rows) <= {1, 2, 4, 5}
    assert rows == typical_rows(references, 3, seed=0)
    assert typical_rows([NONE, NONE], 3, seed=0) == [0, 1]  # better normal films than none


def test_worst_rows_are_the_wrong_ones_worst_first():
    references = [LEFT, LEFT, f"{LEFT} {HEART}", NONE]
    drafts = [LEFT, HEART, LEFT, NONE]
    assert worst_rows(references, drafts, 5) == [1, 2]
    assert worst_rows(references, drafts, 1) == [1]


def test_film_survives_as_a_picture():
    film = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (64, 1))
    assert np.abs(decode(film_uri(film)).astype(int) - film).mean() < 3


def test_heat_lies_where_the_attention_is_and_nowhere_else():
    film = np.full((80, 80), 100, dtype=np.uint8)
    weights = np.zeros((8, 8), dtype=np.float32)
    weights[1, 6] = 1.0
    drawn = decode(overlay_uri(film, weights)).astype(int)
    assert drawn.shape == (80, 80, 3)
    warmth = drawn[..., 0] - drawn[..., 2]
    assert warmth[15, 65] > 60
    assert abs(warmth[60:, :40]).max() < 8


def test_even_attention_draws_no_heat():
    film = np.full((32, 32), 50, dtype=np.uint8)
    drawn = decode(overlay_uri(film, np.full((4, 4), 1 / 16, dtype=np.float32))).astype(int)
    assert np.abs(drawn - 50).max() < 8
