import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from radlet.core.records import (
    OBSERVATIONS,
    OBSERVATIONS_5,
    Box,
    Example,
    Finding,
    ImageRecord,
    State,
    Study,
)

unit = st.floats(0, 1)


def example(**values):
    given = {"example_id": "e", "study_id": "s", "patient_id": "p", "split": "train", "image_paths": (), "views": ()}
    return Example.model_validate(given | values)


def test_there_are_the_14_observations_and_5_of_them_compete():
    assert len(OBSERVATIONS) == len(set(OBSERVATIONS)) == 14
    assert len(OBSERVATIONS_5) == 5
    assert set(OBSERVATIONS_5) < set(OBSERVATIONS)


@given(unit, unit, unit, unit)
def test_a_box_needs_ordered_corners(a, b, c, d):
    corners = {"x_min": a, "y_min": b, "x_max": c, "y_max": d}
    if a <= c and b <= d:
        assert Box.model_validate(corners).x_max == c
    else:
        with pytest.raises(ValidationError, match="min <= max"):
            Box.model_validate(corners)


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
@pytest.mark.parametrize("corner", ["x_min", "y_min", "x_max", "y_max"])
def test_a_box_stays_inside_the_image(corner, value):
    corners = {"x_min": 0.0, "y_min": 0.0, "x_max": 1.0, "y_max": 1.0} | {corner: value}
    with pytest.raises(ValidationError):
        Box.model_validate(corners)


def test_a_misspelt_column_is_refused():
    with pytest.raises(ValidationError, match="Extra inputs"):
        example(patientid="p")


def test_a_row_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        example().split = "test"


def test_a_finding_counts_as_one_of_the_observations():
    assert Finding(kind="effusion", observation="Pleural Effusion").side is None
    with pytest.raises(ValidationError, match="counts as one of: Enlarged Cardiomediastinum"):
        Finding(kind="effusion", observation="Effusion")


def test_an_example_has_one_view_an_image():
    assert example(image_paths=("a", "b"), views=("PA", None)).views == ("PA", None)
    with pytest.raises(ValidationError, match="1 image_paths need as many views, not 2"):
        example(image_paths=("a",), views=("PA", "LATERAL"))


@pytest.mark.parametrize(("field", "value"), [("split", "validate"), ("views", ("pa",)), ("sex", "X")])
def test_closed_words_are_closed(field, value):
    with pytest.raises(ValidationError):
        example(**{field: value, "image_paths": ("a",)})


def test_a_study_survives_json():
    box = Box(x_min=0.1, y_min=0.2, x_max=0.3, y_max=0.4)
    finding = Finding(kind="nodule", observation="Lung Lesion", side="left", boxes={"i": box}, size_mm=8.5)
    study = Study(
        study_id="s",
        patient_id="p",
        images=(ImageRecord(image_id="i", path="images/i.png", view="PA"),),
        truth=(finding,),
    )
    assert Study.model_validate(study.model_dump(mode="json")) == study


def test_states_are_written_by_their_names():
    row = example(observations={"Edema": State.NEGATIVE}).model_dump(mode="json")
    assert row["observations"] == {"Edema": "NEGATIVE"}
