import pytest

from radlet.data.sources.base import Rejected
from radlet.data.sources.study_index import StudyIndex


@pytest.fixture
def index(tmp_path):
    index = StudyIndex(tmp_path)
    yield index
    index.close()
    assert list(tmp_path.iterdir()) == []


def test_films_stand_by_study_and_in_their_order_whatever_order_they_came_in(index):
    first = index.add_study("b", "p", {"n": 1})
    second = index.add_study("a", "p", {"n": 2})
    index.add_part(second, (0, 2, "x"), {"film": 1})
    index.add_part(first, (1, 0, "x"), {"film": 2})
    index.add_part(first, (0, 9, "x"), {"film": 3})
    index.add_part(second, (0, 2, "w"), {"film": 4})
    groups = list(index.studies())
    assert [(group.study_id, group.head) for group in groups] == [("b", {"n": 1}), ("a", {"n": 2})]
    assert [[film["film"] for film in group.parts] for group in groups] == [[3, 2], [4, 1]]


def test_the_study_before_is_the_same_patients_where_moments_tell(index):
    for study, patient, moment in [("c", "p", "3"), ("a", "p", "1"), ("x", "q", "2"), ("b", "p", "2"), ("u", "p", "")]:
        index.add_part(index.add_study(study, patient, {}, moment), (0, 0, study), {})
    priors = {group.study_id: group.prior_study_id for group in index.studies()}
    assert priors == {"c": "b", "b": "a", "a": None, "x": None, "u": None}


def test_of_equal_keys_the_first_stays(index):
    assert index.put("film", "a", "one")
    assert not index.put("film", "a", "two")
    assert index.put("report", "a", "three")
    assert (index.get("film", "a"), index.get("report", "a"), index.get("film", "b")) == ("one", "three", None)


def test_an_index_of_nothing_gives_nothing(index):
    assert list(index.studies()) == []
    assert list(index.rejected()) == []


def test_refused_items_come_in_their_order(index):
    for name in ("b", "a", "b"):
        index.reject(name, "why")
    assert list(index.rejected()) == [Rejected("b", "why"), Rejected("a", "why"), Rejected("b", "why")]


def test_what_a_kill_left_is_removed(tmp_path):
    (tmp_path / "index.sqlite").write_bytes(b"half a database")
    index = StudyIndex(tmp_path)
    assert list(index.studies()) == []
    index.close()


def test_keys_that_were_never_used_are_counted(index):
    for key in "abc":
        index.put("report", key, "text")
    index.put("used", "b")
    index.put("used", "z")
    assert index.count_without("report", "used") == 2
