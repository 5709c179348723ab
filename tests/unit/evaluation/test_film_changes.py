import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from radlet.core.records import Box
from radlet.evaluation import film_changes
from radlet.evaluation.film_changes import box_elsewhere, painted_over

FILMS = arrays(np.uint8, st.tuples(st.integers(4, 24), st.integers(4, 24)))
SIDES = st.floats(0, 1, allow_nan=False)
CHANGES = {
    "blank": film_changes.blank,
    "mirrored": film_changes.mirrored,
    "noise": film_changes.noise((1, 2)),
    "painted": painted_over([Box(x_min=0.2, y_min=0.2, x_max=0.6, y_max=0.5)]),
    "reencoded": film_changes.reencoded,
    "shifted": film_changes.shifted(8),
}


@st.composite
def boxes(draw):
    x, y = sorted((draw(SIDES), draw(SIDES))), sorted((draw(SIDES), draw(SIDES)))
    return Box(x_min=x[0], y_min=y[0], x_max=x[1], y_max=y[1])


@pytest.fixture
def film():
    return np.random.default_rng(0).integers(40, 200, (40, 32)).astype(np.uint8)


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_change_keeps_the_shape_and_leaves_the_film_itself_alone(name, film):
    before = film.copy()
    changed = CHANGES[name](film)
    assert changed.shape == film.shape
    assert changed.dtype == np.uint8
    assert (film == before).all()
    assert (changed != film).any()
    assert (CHANGES[name](film) == changed).all()  # a resumed run shows the same


@given(FILMS)
def test_mirroring_twice_gives_the_film_and_blank_has_one_grey(film):
    assert (film_changes.mirrored(film_changes.mirrored(film)) == film).all()
    assert len(np.unique(film_changes.blank(film))) == 1


def test_a_shift_is_one_pixel_of_the_encoders_input(film):
    assert (film_changes.shifted(32)(film)[:, 1:] == film[:, :-1]).all()
    assert (film_changes.shifted(8)(film)[:, 4:] == film[:, :-4]).all()
    assert (film_changes.shifted(512)(film)[:, 1:] == film[:, :-1]).all()


def test_noise_differs_by_seed_and_resembles_the_films_grey(film):
    one, other = (film_changes.noise((0, row))(film) for row in (1, 2))
    assert (one != other).mean() > 0.9
    assert abs(one.mean() - film.mean()) < 8


@given(FILMS, boxes())
def test_painting_changes_the_box_alone_and_invents_no_grey(film, box):
    painted = painted_over([box])(film)
    height, width = film.shape
    outside = np.ones(film.shape, bool)
    rows = slice(int(box.y_min * height), int(np.ceil(box.y_max * height)) + 1)
    columns = slice(int(box.x_min * width), int(np.ceil(box.x_max * width)) + 1)
    outside[rows, columns] = False
    assert (painted == film)[outside].all()
    assert painted.min() >= film.min()
    assert painted.max() <= film.max()


def test_what_is_in_the_box_is_gone():
    film = np.tile(np.linspace(50, 150, 40).astype(np.uint8), (40, 1))
    marked = film.copy()
    marked[10:20, 10:20] = 255
    painted = painted_over([Box(x_min=0.25, y_min=0.25, x_max=0.5, y_max=0.5)])(marked)
    assert np.abs(painted.astype(int) - film.astype(int)).max() <= 3


@given(boxes(), st.lists(boxes(), max_size=3), st.integers(0, 5))
def test_a_box_elsewhere_has_the_size_and_touches_nothing(box, taken, seed):
    place = box_elsewhere(box, taken, (seed,))
    if place is None:
        assert taken
        return
    assert place.x_max - place.x_min == pytest.approx(box.x_max - box.x_min, abs=1e-9)
    assert place.y_max - place.y_min == pytest.approx(box.y_max - box.y_min, abs=1e-9)
    for other in taken:
        across = min(place.x_max, other.x_max) - max(place.x_min, other.x_min)
        down = min(place.y_max, other.y_max) - max(place.y_min, other.y_min)
        assert across <= 0 or down <= 0


def test_a_box_as_large_as_the_film_has_no_place_elsewhere():
    whole = Box(x_min=0, y_min=0, x_max=1, y_max=1)
    assert box_elsewhere(whole, [whole], (0,)) is None
