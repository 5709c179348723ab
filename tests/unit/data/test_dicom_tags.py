"""View, laterality and body part from tidy and untidy headers."""

import warnings
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence

from radlet.data.dicom_tags import body_part, described_view, laterality, number, orientation, text, view


def header(**elements: Any) -> Dataset:
    ds = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # untidy values are the point
        for keyword, value in elements.items():
            setattr(ds, keyword, value)
    return ds


def coded(value: str, meaning: str = "") -> Sequence:
    return Sequence([header(CodeValue=value, CodeMeaning=meaning)])


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, None),
        ({"ViewPosition": "PA"}, "PA"),
        ({"ViewPosition": "ap"}, "AP"),
        ({"ViewPosition": "LL"}, "LATERAL"),
        ({"ViewPosition": "LATERAL"}, "LATERAL"),
        ({"ViewPosition": "LLD", "SeriesDescription": "CHEST PA"}, None),
        ({"ViewPosition": "", "ViewCodeSequence": coded("399348003")}, "AP"),
        ({"ViewCodeSequence": coded("R-10214")}, "PA"),
        ({"ViewCodeSequence": coded("399173006")}, "LATERAL"),
        ({"ViewCodeSequence": coded("399135007"), "SeriesDescription": "CHEST PA"}, None),
        ({"PatientOrientation": ["A", "F"]}, "LATERAL"),
        ({"PatientOrientation": ["P", "FA"]}, "LATERAL"),
        ({"PatientOrientation": ["L", "F"]}, None),
        ({"PatientOrientation": ["L", "F"], "SeriesDescription": "view: PA"}, "PA"),
        ({"ViewPosition": "PA", "SeriesDescription": "CHEST LAT"}, "PA"),
    ],
)
def test_view_comes_from_the_most_reliable_element(elements, expected):
    assert view(header(**elements)) == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("Chest PA", "PA"),
        ("Thorax p.a.", "PA"),
        ("thorax postero-anterior", "PA"),
        ("PORTABLE CHEST AP", "AP"),
        ("CHEST LAT", "LATERAL"),
        ("chest lateral", "LATERAL"),
        ("CHEST PA AND LATERAL", None),
        ("CHEST AP LAT DECUBITUS", None),
        ("LORDOTIC AP", None),
        ("SPARE CAPE", None),
        ("", None),
    ],
)
def test_described_view_is_taken_only_when_it_is_one(description, expected):
    assert described_view(description) == expected


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, None),
        ({"ImageLaterality": "L", "Laterality": "R"}, "L"),
        ({"ImageLaterality": "U", "Laterality": "R"}, "R"),
        ({"ImageLaterality": "B"}, "B"),
        ({"Laterality": ""}, None),
        ({"ViewPosition": "LL"}, "L"),
        ({"ViewPosition": "RL"}, "R"),
        ({"ViewPosition": "LAT"}, None),
    ],
)
def test_laterality(elements, expected):
    assert laterality(header(**elements)) == expected


def test_body_part_falls_back_on_the_region_code():
    assert body_part(header(BodyPartExamined="Chest")) == "CHEST"
    assert body_part(header(AnatomicRegionSequence=coded("51185008", "Chest"))) == "CHEST"
    assert body_part(header()) is None


@pytest.mark.parametrize("value", [None, "", "L", ["L"], ["", ""]])
def test_incomplete_orientation_is_none(value):
    ds = header()
    ds.add_new("PatientOrientation", "CS", value)
    assert orientation(ds) is None


def test_numbers_and_text_are_read_leniently():
    ds = header(WindowCenter=[40, 50], WindowWidth="400", PixelAspectRatio="01", ViewPosition=None)
    assert number(ds, "WindowCenter", 1) == 50
    assert number(ds, "WindowWidth") == 400
    assert number(ds, "WindowWidth", 1) is None
    assert number(ds, "PixelAspectRatio", 1) is None
    assert number(ds, "ViewPosition") is None
    assert text(ds, "ViewPosition") == ""
    ds.add_new("SeriesDescription", "LO", ["two", "values"])
    assert text(ds, "SeriesDescription") == "TWO"
    assert number(ds, "SeriesDescription") is None
    assert number(header(WindowWidth="inf"), "WindowWidth") is None
