from array import array

import pytest

from radlet.data.quality import QUALITY_CHECKS
from radlet.evaluation.quality_page import _distribution


@pytest.mark.parametrize(
    ("name", "limit", "numbers", "failing"),
    [
        ("view", 0.95, [0.0, 0.3, 0.94, 0.969], 1),
        ("contrast", 0.2, [0.188, 0.19, 0.201, 0.93], 2),
        ("contrast", 0.2, [0.2, 0.21, 0.5], 0),
        ("panels", 0.0, [0.0, 0.0, 0.0], 0),
        ("turned", 0.7, [0.1, 0.2], 0),
    ],
    ids=["just-above", "just-below", "at-the-limit", "all-equal", "none-fails"],
)
def test_a_column_is_marked_where_films_fail_and_lies_beyond_the_limit(name, limit, numbers, failing):
    check = QUALITY_CHECKS[name](limit=limit)
    shown = _distribution(check, array("f", numbers))
    marked = [x for x, _, fails in shown.columns if fails]
    assert bool(marked) == bool(failing)
    if check.worse == "above":
        assert all(x >= shown.limit_x for x in marked)
        assert all(x < shown.limit_x for x, _, fails in shown.columns if not fails) or not failing
    else:
        assert all(x < shown.limit_x for x in marked)
    assert sum(check.fails(number) for number in numbers) == failing


def test_no_numbers_make_no_picture():
    assert _distribution(QUALITY_CHECKS["view"](), array("f")) is None
