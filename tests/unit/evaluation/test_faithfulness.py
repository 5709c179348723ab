"""Deletion and insertion with a reader whose likelihood depends on one patch."""

from pathlib import Path

import numpy as np
import pytest

from radlet.data.images import ImageSettings
from radlet.evaluation.faithfulness import STEPS, Phrase, follow, only_patches
from radlet.inference.drafter import DraftRequest

SETTINGS = ImageSettings(size_px=32, resize="squash")
FILM = np.zeros((32, 32), np.uint8)
FILM[:8, :8] = 255
"""All that is bright lies in the first of 4 x 4 patches."""


class Reader:
    """Finds the phrase likely while the bright patch is shown, by both of its two tokens."""

    image_settings = SETTINGS

    def log_likelihoods(self, requests, texts, *, ended=False, batch_size=16):
        rows = []
        for request, text in zip(requests, texts, strict=True):
            shown = request.changes[0](FILM)[0, 0] == 255
            whole = text.endswith("effusion")
            rows.append((-3.0 + (2 * np.log(0.9 if shown else 0.1) if whole else 0), 4 + 2 * whole))
        return np.array(rows)


def curves_of(first):
    """Return the curves of a map whose order starts with a patch."""
    weights = np.linspace(2, 1, 16)
    weights[0] = 0
    weights[first] = 9
    request = DraftRequest((Path("film.png"), Path("lateral.png")))
    phrase = Phrase("There is an", "There is an effusion")
    return follow(Reader(), request, phrase, {"map": weights.reshape(4, 4)}, 8)["map"]


def test_a_map_of_what_counts_falls_and_rises_at_once():
    curves = curves_of(0)
    assert curves.deletion == pytest.approx((0.9,) + (0.1,) * STEPS)
    assert curves.insertion == pytest.approx((0.1,) + (0.9,) * STEPS)
    deletion, insertion = curves.areas
    assert insertion - deletion == pytest.approx(0.8 * (1 - 1 / STEPS))


def test_a_map_that_finds_it_last_is_unfaithful():
    deletion, insertion = curves_of(5).areas
    assert insertion - deletion == pytest.approx(-0.8 * (1 - 1 / STEPS))


def test_a_phrase_at_the_beginning_needs_no_words_before_it():
    weights = np.eye(4)
    found = follow(Reader(), DraftRequest((Path("f.png"),)), Phrase("", "effusion"), {"map": weights}, 8)["map"]
    assert found.deletion[0] == pytest.approx(np.exp((-3 + 2 * np.log(0.9)) / 6))


@pytest.mark.parametrize("shape", [(40, 40), (60, 40), (40, 60)])
@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_patches_are_those_of_the_square(shape, resize):
    film = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    settings = ImageSettings(size_px=32, resize=resize)
    assert (only_patches(np.ones((4, 4), bool), settings)(film) == film).all()
    none = only_patches(np.zeros((4, 4), bool), settings)(film)
    assert (none == round(film.mean())).all()
    right = np.zeros((4, 4), bool)
    right[:, 2:] = True
    half = only_patches(right, settings)(film)
    middle = shape[1] // 2
    assert (half[:, middle:] == film[:, middle:]).all()
    assert (half[:, :middle] == none[:, :middle]).all()
