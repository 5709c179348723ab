"""Each check finds the fault it is for, planted on films that pass untouched."""

import numpy as np
import pytest

from radlet.core.records import ImageRecord
from radlet.data.quality import QUALITY_CHECKS
from radlet.data.quality.reduced import reduce_film
from radlet.data.quality.view import view_from_pixels
from radlet.data.sources.synthetic import SyntheticSource


@pytest.fixture(scope="module")
def films():
    source = SyntheticSource(num_patients=20, size_px=160, lateral_share=1.0, ap_share=0.0, max_studies_per_patient=1)
    # Films taken in bed are AP, whatever the share.
    return [(image.view, study.pixels[image.image_id]) for study in source.studies(5) for image in study.study.images]


def reduced(pixels, view=None):
    return reduce_film(ImageRecord(image_id="i", path="", view=view), np.ascontiguousarray(pixels))


def panels(film):
    gutter = np.full((film.shape[0], 4), 255, np.uint8)
    return np.hstack([film, gutter, film[:, ::-1]])


def in_a_corner(film):
    wide = np.zeros((2 * film.shape[0], 2 * film.shape[1]), np.uint8)
    wide[: film.shape[0], : film.shape[1]] = film
    return wide


FAULTS = {
    "blank": (lambda film: np.full_like(film, 77), 1.0),
    "contrast": (lambda film: (110 + film / 8).astype(np.uint8), 1.0),
    "clipping": (lambda film: np.clip(film.astype(int) * 6, 0, 255).astype(np.uint8), 0.9),
    "margins": (in_a_corner, 1.0),
    "inverted": (lambda film: 255 - film, 0.95),
    "turned": (np.rot90, 0.95),
    "body_part": (lambda film: np.random.default_rng(3).integers(0, 256, film.shape, dtype=np.uint8), 0.95),
    "panels": (panels, 0.95),
    "small": (lambda film: film[::4, ::4], 1.0),
    "aspect": (lambda film: film[:, 60:120], 1.0),
    "brightness": (lambda film: np.rint(255 * (film / 255) ** 4).astype(np.uint8), 0.9),
    "levels": (lambda film: film // 32 * 32, 1.0),
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_the_planted_fault_is_found(films, name):
    spoil, least = FAULTS[name]
    check = QUALITY_CHECKS[name]()
    found = [check.fails(check.measure(reduced(spoil(film)))) for _, film in films]
    assert np.mean(found) >= least


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_lungs_that_are_cut_off_are_found_and_on_which_side(films, side):
    # The lungs of these films lie within the middle half of the width and from 0.15 to 0.75 of the height.
    high, wide = films[0][1].shape
    parts = {
        "top": np.s_[int(0.35 * high) :, :],
        "bottom": np.s_[: int(0.5 * high), :],
        "left": np.s_[:, int(0.36 * wide) :],
        "right": np.s_[:, : int(0.64 * wide)],
    }
    check = QUALITY_CHECKS["cropped"]()
    frontal = [film for view, film in films if view != "LATERAL"]
    cut = [reduced(film[parts[side]]) for film in frontal]
    assert np.mean([check.fails(check.measure(film)) for film in cut]) >= 0.9
    assert np.mean([max(film.cuts, key=film.cuts.get) == side for film in cut]) >= 0.9
    assert np.mean([check.fails(check.measure(reduced(film))) for film in frontal]) <= 0.05


def test_a_wrong_view_is_found_and_a_right_or_unknown_one_is_not(films):
    check = QUALITY_CHECKS["view"]()
    wrong = {"PA": "LATERAL", "AP": "LATERAL", "LATERAL": "AP"}
    assert np.mean([check.fails(check.measure(reduced(film, wrong[view]))) for view, film in films]) >= 0.9
    assert not any(check.fails(check.measure(reduced(film, view))) for view, film in films)
    assert check.measure(reduced(films[0][1], None)) is None


def test_the_view_is_told_by_the_pixels_of_an_upright_chest_alone(films):
    told = [(view, view_from_pixels(reduced(film), 0.9)) for view, film in films]
    assert {(view, shown) for view, shown in told if shown} == {
        ("PA", "frontal"), ("AP", "frontal"), ("LATERAL", "LATERAL"),
    }  # fmt: skip
    assert sum(shown is not None for _, shown in told) >= 0.9 * len(told)
    assert [view_from_pixels(reduced(np.rot90(film)), 0.9) for _, film in films].count(None) >= 0.9 * len(films)


def test_a_negative_gets_the_opposite_number(films):
    check = QUALITY_CHECKS["inverted"]()
    for _, film in films[:5]:
        assert check.measure(reduced(film)) + check.measure(reduced(255 - film)) == pytest.approx(1, abs=1e-3)


def test_no_window_changes_what_a_film_looks_like(films):
    for _, film in films[:5]:
        darker = (255 * (film / 255) ** 1.7).astype(np.uint8)
        assert reduced(darker).shares.lateral == pytest.approx(reduced(film).shares.lateral, abs=0.2)
