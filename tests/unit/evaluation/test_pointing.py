"""Maps over a film against boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radlet.core.records import Box
from radlet.data.images import ImageSettings, shown_part
from radlet.evaluation.pointing import TOLERANCE, box_prior, covered, on_square, point

LEFT_TOP = Box(x_min=0, y_min=0, x_max=0.5, y_max=0.5)


def one_patch(row, column, side=4):
    weights = np.zeros((side, side))
    weights[row, column] = 1
    return weights


def test_a_map_on_the_finding_hits_and_holds_all_its_weight_inside():
    on = point(one_patch(1, 1), [LEFT_TOP])
    assert (on.hit, on.share, on.area) == (1, 1, 0.25)
    off = point(one_patch(3, 3), [LEFT_TOP])
    assert (off.hit, off.share, off.area) == (0, 0, 0.25)


def test_an_even_map_has_the_share_of_the_area():
    even = point(np.full((4, 4), 1 / 16), [LEFT_TOP])
    assert even.share == pytest.approx(even.area)


def test_iou_takes_as_many_patches_as_the_boxes_are_large():
    weights = np.zeros((4, 4))
    weights[:2, :2] = 0.25
    assert point(weights, [LEFT_TOP]).iou == 1
    assert point(np.roll(weights, 1, axis=0), [LEFT_TOP]).iou == pytest.approx(2 / 6)


def test_a_maximum_just_beside_the_box_still_hits():
    near = Box(x_min=0.625 + 0.9 * TOLERANCE, y_min=0.5, x_max=1, y_max=1)
    far = Box(x_min=0.625 + 1.1 * TOLERANCE, y_min=0.5, x_max=1, y_max=1)
    assert point(one_patch(2, 2), [near]).hit == 1
    assert point(one_patch(2, 2), [far]).hit == 0
    assert point(one_patch(0, 0), [far], peak=(0.9, 0.9)).hit == 1


def test_overlapping_boxes_are_one_region():
    assert covered([LEFT_TOP, LEFT_TOP], 4).sum() == covered([LEFT_TOP], 4).sum() == 4


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
@pytest.mark.parametrize("shape", [(100, 60), (60, 100), (80, 80)])
def test_the_middle_of_a_film_is_the_middle_of_its_square(resize, shape):
    part = shown_part(*shape, ImageSettings(size_px=32, resize=resize))
    box = on_square(Box(x_min=0.4, y_min=0.4, x_max=0.6, y_max=0.6), part)
    assert (box.x_min + box.x_max, box.y_min + box.y_max) == (pytest.approx(1), pytest.approx(1))


def test_crop_drops_what_it_does_not_show_and_pad_shrinks():
    crop = shown_part(100, 50, ImageSettings(size_px=32, resize="crop"))
    assert on_square(Box(x_min=0, y_min=0, x_max=1, y_max=0.2), crop) is None
    assert on_square(Box(x_min=0, y_min=0.25, x_max=1, y_max=0.5), crop) == Box(x_min=0, y_min=0, x_max=1, y_max=0.5)
    pad = shown_part(100, 50, ImageSettings(size_px=32, resize="pad"))
    assert on_square(Box(x_min=0, y_min=0, x_max=1, y_max=1), pad) == Box(x_min=0.25, y_min=0, x_max=0.75, y_max=1)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_every_number_stays_between_0_and_1(seed, count):
    draws = np.random.default_rng(seed)
    corners = np.sort(draws.random((count, 2, 2)) * 0.98 + 0.01, axis=1)
    boxes = [Box(x_min=a, y_min=b, x_max=c, y_max=d) for (a, b), (c, d) in corners]
    found = point(draws.dirichlet(np.ones(25)).reshape(5, 5), boxes)
    assert all(0 <= value <= 1 for value in found)


def test_the_prior_is_where_findings_were():
    assert box_prior([[LEFT_TOP]], 4)[0, 0] == pytest.approx(1 / 4)
    assert box_prior([], 4).ravel() == pytest.approx(np.full(16, 1 / 16))
