from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.dicom_files import write_film

from radlet.core.errors import DicomError
from radlet.data.film_header import FilmHeader, read_film_header
from radlet.data.images import read_film


def header_of(folder: Path, **tags: str) -> FilmHeader:
    found = read_film_header(write_film(folder / "film.dcm", 1, **tags).read_bytes())
    assert found is not None
    return found


def test_what_the_header_says(tmp_path: Path) -> None:
    found = header_of(
        tmp_path,
        PatientName="DOE^JANE",
        PatientID="7",
        ReasonForTheRequestedProcedure="Cough,  two weeks",
        PixelSpacing=["0.2", "0.1"],
        SeriesInstanceUID="1.2.9",
        Manufacturer="Philips Medical",
    )
    assert (found.patient_name, found.patient_id, found.sex, found.age_years) == ("DOE^JANE", "7", "F", 61)
    assert (found.study_uid, found.sop_instance_uid, found.series_uid) == ("1.2.826.0.2.1", "1.2.826.0.1.1", "1.2.9")
    assert (found.study_date, found.view, found.indication) == ("20200101", "PA", "Cough, two weeks")
    assert found.spacing_mm == (0.1, 0.1)
    assert found.scanner is not None
    assert "Philips" in found.scanner


@pytest.mark.parametrize(
    ("age", "years"), [("061Y", 61), ("006M", 0.5), ("003W", 21 / 365.25), ("010D", 10 / 365.25), ("", 82)]
)
def test_age_comes_from_its_element_else_from_the_dates(tmp_path: Path, age: str, years: float) -> None:
    found = header_of(tmp_path, PatientAge=age, PatientBirthDate="19370412", StudyDate="20200101")
    assert found.age_years == pytest.approx(years)


def test_malformed_values_are_absent(tmp_path: Path) -> None:
    found = header_of(tmp_path, PatientAge="", PatientBirthDate="", StudyDate="", PatientID="  ")
    assert (found.age_years, found.birth_date, found.study_date, found.patient_id) == (None, None, None, None)
    assert header_of(tmp_path, StudyDate="20230231").study_date is None
    assert header_of(tmp_path, ImagerPixelSpacing=["0.14", "0"]).spacing_mm is None
    assert header_of(tmp_path, ImagerPixelSpacing=["0.14", "0.14"]).spacing_mm == (0.14, 0.14)


@pytest.mark.parametrize(
    ("spacing", "orientation", "size_mm"),
    [
        (["0.4", "0.2"], "", (25.6, 12.8)),
        (["0.2", "0.4"], "", (12.8, 25.6)),
        (["0.4", "0.402"], "F\\L", (25.728, 25.6)),
    ],
)
def test_the_spacing_is_that_of_the_film_as_it_is_shown(
    tmp_path: Path, spacing: list[str], orientation: str, size_mm: tuple[float, float]
) -> None:
    tags = {"PatientOrientation": orientation.split("\\"), "BodyPartExamined": "CHEST"} if orientation else {}
    path = write_film(tmp_path / "film.dcm", 1, 64, PixelSpacing=spacing, **tags)
    header = read_film_header(path.read_bytes())
    assert header is not None
    assert header.spacing_mm is not None
    height, width = read_film(path).pixels.shape
    assert (height * header.spacing_mm[0], width * header.spacing_mm[1]) == pytest.approx(size_mm)


def test_a_file_that_is_no_dicom_has_none(tiny_films: list[Path]) -> None:
    assert read_film_header(tiny_films[0].read_bytes()) is None


@given(st.binary(max_size=300))
def test_damaged_objects_are_refused_or_read_and_nothing_else(tail: bytes) -> None:
    with suppress(DicomError):
        assert read_film_header(b"\0" * 128 + b"DICM" + tail) is not None
