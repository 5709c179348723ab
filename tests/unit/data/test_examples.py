import pytest

from radlet.core.errors import DataError
from radlet.core.records import Example
from radlet.data.examples import check_films, select_films, shares


def make_example(*views):
    return Example(
        example_id="s1",
        study_id="s1",
        patient_id="p",
        split="train",
        image_paths=tuple(f"{number}.png" for number, _ in enumerate(views)),
        views=views,
    )


@pytest.mark.parametrize(
    ("films", "views", "rows"),
    [
        ("each", ("PA", "LATERAL"), [("s1.1", ("0.png",), ("PA",)), ("s1.2", ("1.png",), ("LATERAL",))]),
        ("each", ("PA",), [("s1", ("0.png",), ("PA",))]),
        ("frontal", ("LATERAL", "AP"), [("s1", ("1.png",), ("AP",))]),
        ("frontal", (None, "LATERAL", "PA"), [("s1.1", ("0.png",), (None,)), ("s1.2", ("2.png",), ("PA",))]),
        ("frontal", ("LATERAL",), []),
        ("frontal_and_lateral", ("PA", "AP", "LATERAL", "LATERAL"), [("s1", ("0.png", "2.png"), ("PA", "LATERAL"))]),
        ("frontal_and_lateral", (None,), [("s1", ("0.png",), (None,))]),
        ("frontal_and_lateral", ("LATERAL",), []),
    ],
)
def test_rows_hold_the_chosen_films(films, views, rows):
    chosen = select_films([make_example(*views)], films)
    assert [(row.example_id, row.image_paths, row.views) for row in chosen] == rows
    assert all(row.study_id == "s1" for row in chosen)


def test_a_study_and_its_films_are_counted_once_however_many_examples_it_has():
    whole = make_example("PA", "LATERAL")
    part = whole.model_copy(update={"image_paths": ("1.png",), "views": ("LATERAL",)})
    more = whole.model_copy(update={"image_paths": ("1.png", "2.png")})
    found = [(share.first, share.films) for _, share in shares((part, more, whole))]
    assert found == [(True, (0,)), (False, (1,)), (False, (0,))]


def test_films_that_are_gone_are_told_before_the_work_without_their_names(tmp_path):
    paths = [tmp_path / "images" / f"miller-{number}.png" for number in range(3)]
    paths[0].parent.mkdir()
    paths[0].touch()
    one = make_example("PA", "PA", "PA").model_copy(update={"image_paths": tuple(map(str, paths))})
    with pytest.raises(DataError, match="2 of 3 films are not where") as told:
        check_films([one, one])
    assert str(tmp_path / "images") in str(told.value)
    assert "miller" not in str(told.value)
    check_films([one.model_copy(update={"image_paths": (str(paths[0]),)})])
