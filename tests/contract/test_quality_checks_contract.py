"""What every quality check must do, whoever wrote it."""

import math

import numpy as np
import pytest
from scipy import ndimage

from radlet.core.records import ImageRecord, Study
from radlet.data.quality import QUALITY_CHECKS
from radlet.data.quality.base import FilmCheck, MeasuredFilm, SetCheck
from radlet.data.quality.likeness import describe
from radlet.data.quality.reduced import reduce_film
from radlet.data.sources.synthetic import SyntheticSource

FILM_CHECKS = sorted(name for name in QUALITY_CHECKS if issubclass(QUALITY_CHECKS[name], FilmCheck))
SET_CHECKS = sorted(name for name in QUALITY_CHECKS if issubclass(QUALITY_CHECKS[name], SetCheck))
NOISE = np.random.default_rng(0)
ODD = {
    "1 x 8 pixels": np.arange(8, dtype=np.uint8)[None] * 30,
    "8 x 1 pixels": np.arange(8, dtype=np.uint8)[:, None] * 30,
    "one pixel": np.zeros((1, 1), np.uint8),
    "black": np.zeros((90, 70), np.uint8),
    "white": np.full((90, 70), 255, np.uint8),
    "noise": NOISE.integers(0, 256, (200, 200), dtype=np.uint8),
    "half black": np.repeat(np.array([0, 255], np.uint8), 64)[None].repeat(100, 0),
}
ALLOWED = 0.03
"""Share of untouched synthetic films of which a check may complain."""


def reduced(pixels, view=None):
    return reduce_film(ImageRecord(image_id="i", path="", view=view), pixels)


@pytest.fixture(scope="module")
def synthetic():
    source = SyntheticSource(num_patients=45, size_px=128, lateral_share=1.0, max_studies_per_patient=1)
    return [
        (study.study, image, study.pixels[image.image_id])
        for study in source.studies(99)
        for image in study.study.images
    ]


@pytest.mark.parametrize("name", FILM_CHECKS)
@pytest.mark.parametrize("kind", ODD)
def test_odd_films_get_a_number_that_decides(name, kind):
    check = QUALITY_CHECKS[name]()
    number = check.measure(reduced(ODD[kind], "PA"))
    assert number is None or math.isfinite(number)
    assert check.fails(number) in (True, False)


@pytest.mark.parametrize("name", FILM_CHECKS)
def test_the_same_film_gets_the_same_number(name, synthetic):
    check = QUALITY_CHECKS[name]()
    for _, image, pixels in synthetic[:5]:
        assert check.measure(reduced(pixels, image.view)) == check.measure(reduced(pixels.copy(), image.view))


@pytest.mark.parametrize("name", FILM_CHECKS)
def test_good_films_pass(name, synthetic):
    check = QUALITY_CHECKS[name]()
    failed = sum(check.fails(check.measure(reduced(pixels, image.view))) for _, image, pixels in synthetic)
    assert failed <= ALLOWED * len(synthetic)


@pytest.mark.parametrize("name", FILM_CHECKS)
def test_nothing_said_is_no_failure(name):
    assert not QUALITY_CHECKS[name]().fails(None)


@pytest.mark.parametrize("name", sorted(QUALITY_CHECKS))
def test_every_check_can_be_ignored_flagged_or_rejected_and_says_what_its_number_is(name):
    assert QUALITY_CHECKS[name].unit
    assert [QUALITY_CHECKS[name](action=action).action for action in ("ignore", "flag", "reject")]


@pytest.mark.parametrize("name", SET_CHECKS)
def test_different_studies_make_no_group_and_two_of_one_do(name, tmp_path):
    for twice in (False, True):
        scratch = tmp_path / str(twice)
        scratch.mkdir()
        finder = QUALITY_CHECKS[name]().finder(scratch)
        # Every study has words and clouds of its own.
        for number in range(20):
            noise = ndimage.gaussian_filter(np.random.default_rng(number).normal(0, 900, (128, 128)), 4)
            pixels = np.clip(128 + noise, 0, 255).astype(np.uint8)
            for copy in ("", "again") if twice and number == 7 else ("",):
                descriptor, fine = describe(reduced(pixels).grey)
                film = MeasuredFilm(image_id=f"i{number}{copy}", descriptor=descriptor, fine=fine)
                words = f"alpha{number} beta{number} gamma{number} delta{number} epsilon{number}"
                own = Study(study_id=f"s{number}{copy}", patient_id=f"p{number}", images=(), report=words)
                finder.add(own, [film])
        groups = finder.find()
        assert [sorted(group.surplus) for group in groups] == [[f"{group.kept}again"] for group in groups]
        assert len(groups) == twice
        assert all(0 <= value <= 1 for group in groups for value in group.similarity.values())


@pytest.mark.parametrize("name", SET_CHECKS)
def test_nothing_gathered_is_no_group(name, tmp_path):
    assert QUALITY_CHECKS[name]().finder(tmp_path).find() == []
