import io
from datetime import date, timedelta

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGBaseline8Bit
from tests.fixtures.dicom_files import write_film
from tests.fixtures.secrets import SECRETS, found_secrets, plant

from radlet.core.errors import DicomError
from radlet.data.confidentiality import Confidentiality, ProfileOptions
from radlet.data.confidentiality_terms import cleaned_description, code_meaning
from radlet.data.dicom import read_dicom
from radlet.data.pseudonyms import Pseudonyms, told_age
from radlet.data.refusal import QuarantineError

pytest.importorskip("dicomanonymizer")
KEY = b"0123456789abcdef"


def cleaned(data, key=KEY, patient="p", **options):
    profile = Confidentiality(ProfileOptions(**options), Pseudonyms(key))
    return profile.film(data, "study", patient, "image")[0]


def header_of(data):
    return pydicom.dcmread(io.BytesIO(data))


@pytest.fixture
def film(tmp_path):
    return write_film(tmp_path / "film.dcm", 1).read_bytes()


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return write_film(tmp_path_factory.mktemp("template") / "film.dcm", 1).read_bytes()


@pytest.fixture
def planted(tmp_path):
    path = write_film(tmp_path / "planted.dcm", 1)
    plant(path)
    return path.read_bytes()


@pytest.mark.filterwarnings("ignore")
def test_a_secret_in_every_attribute_is_gone_and_the_film_is_the_same(planted, film):
    assert set(found_secrets(planted)) == set(SECRETS)
    clean = cleaned(planted)
    assert not found_secrets(clean)
    assert np.array_equal(read_dicom(clean).pixels, read_dicom(film).pixels)
    assert read_dicom(clean).view == "PA"
    assert header_of(clean).PixelData == header_of(film).PixelData


@pytest.mark.filterwarnings("ignore")
def test_only_descriptions_codes_and_terms_keep_words(planted):
    header = header_of(cleaned(planted))
    assert header.SeriesDescription == "CHEST PA"
    assert header.AnatomicRegionSequence[0].CodeMeaning == code_meaning("SCT", "51185008")
    assert "ViewModifierCodeSequence" not in header
    assert "PatientOrientation" not in header or header.PatientOrientation
    texts = {
        element.keyword: str(element.value)
        for element in header.iterall()
        if element.VR in ("LO", "SH", "ST", "LT", "UT", "UC", "UR", "PN", "AE", "UN") and element.value
    }
    assert set(texts) == {
        "PatientID", "PatientName", "AccessionNumber", "SeriesDescription", "StudyDescription",
        "DeidentificationMethod", "CodeValue", "CodingSchemeDesignator", "CodeMeaning",
    }  # fmt: skip
    assert not any(element.tag.is_private or element.tag.group >> 8 in (0x50, 0x60) for element in header.iterall())


@pytest.mark.parametrize(
    ("maker", "model", "told"),
    [("SIEMENS", "Ysio Max 2 Doe", ("Siemens", "YSIO MAX 2")), ("Doe^Jane", "Ysio", ("", None))],
    ids=["known", "unknown"],
)
def test_the_scanner_stays_in_known_words_only(tmp_path, maker, model, told):
    path = write_film(tmp_path / "film.dcm", 1, Manufacturer=maker, ManufacturerModelName=model)
    header = header_of(cleaned(path.read_bytes()))
    assert (header.Manufacturer, header.get("ManufacturerModelName")) == told


def test_what_was_done_is_declared(film):
    header = header_of(cleaned(film, dates="shift", descriptions="remove", patient_characteristics=False))
    codes = [item.CodeValue for item in header.DeidentificationMethodCodeSequence]
    assert header.PatientIdentityRemoved == "YES"
    assert codes == ["113100", "113103", "113107"]
    assert header.LongitudinalTemporalInformationModified == "MODIFIED"
    assert not header.get("PatientSex")
    removed = header_of(cleaned(film, dates="remove"))
    assert removed.LongitudinalTemporalInformationModified == "REMOVED"
    assert not removed.StudyDate


def test_file_meta_information_is_our_own(film):
    clean = cleaned(film)
    header = header_of(clean)
    assert clean[:128] == bytes(128)
    assert header.file_meta.MediaStorageSOPInstanceUID == header.SOPInstanceUID
    assert header.file_meta.ImplementationVersionName == "RADLET"
    assert UID(header.SOPInstanceUID).is_valid
    assert header.SOPInstanceUID.startswith("2.25.")


def test_times_stay_only_where_asked_for(tmp_path):
    film = write_film(tmp_path / "film.dcm", 1, StudyTime="101112").read_bytes()
    assert not header_of(cleaned(film)).StudyTime
    assert header_of(cleaned(film, times="keep")).StudyTime == "101112"


@settings(max_examples=25)
@given(st.dates(date(1950, 1, 1), date(2100, 1, 1)), st.integers(0, 5000), st.booleans())
def test_intervals_within_a_patient_are_kept(template, first, days, weekdays):
    later = first + timedelta(days=days)
    moved = []
    for day in (first, later):
        data = template.replace(b"20200101", f"{day:%Y%m%d}".encode())
        moved.append(date.fromisoformat(header_of(cleaned(data, weekdays=weekdays)).StudyDate))
    assert moved[1] - moved[0] == later - first
    assert 1 <= (first - moved[0]).days <= 365
    if weekdays:
        assert moved[0].weekday() == first.weekday()


def test_pseudonyms_depend_on_the_key_alone(film):
    one, again, other = (header_of(cleaned(film, key)) for key in (KEY, KEY, b"another key of mine"))
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "AccessionNumber"):
        assert one[keyword].value == again[keyword].value != other[keyword].value


@pytest.mark.parametrize(
    ("age", "told"), [("089Y", "089Y"), ("090Y", "090Y"), ("097Y", "090Y"), ("011M", "011M"), ("1100M", ""), ("", "")]
)
def test_ages_above_89_are_told_as_90(age, told):
    assert told_age(age) == told


def test_ages_in_months_count_too():
    assert told_age("999M") == "999M"
    assert told_age("999W") == "999W"


def test_descriptions_keep_words_of_radiography_alone():
    assert cleaned_description("Smith^Anna, Chest PA/LAT portable (bed 12)") == "CHEST PA LAT PORTABLE (BED"


def test_bytes_behind_the_film_are_cut_off(tmp_path):
    path = write_film(tmp_path / "film.dcm", 1)
    header = pydicom.dcmread(path)
    film = header.PixelData
    header.PixelData = film + b"QUEZALDA"
    header.save_as(path)
    assert header_of(cleaned(path.read_bytes())).PixelData == film


def test_an_overlay_in_unused_bits_is_quarantined(tmp_path):
    path = write_film(tmp_path / "film.dcm", 1)
    header = pydicom.dcmread(path)
    header.add_new(0x60000102, "US", 12)
    header.save_as(path)
    with pytest.raises(QuarantineError, match="overlay"):
        cleaned(path.read_bytes())


def jpeg_film(tmp_path, segment=b"", tail=b""):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)).save(file, "JPEG")
    stream = file.getvalue()
    stream = stream[:2] + segment + stream[2:] + tail
    path = write_film(tmp_path / "jpeg.dcm", 1)
    header = pydicom.dcmread(path)
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit = 7
    header.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    header.PixelData = encapsulate([stream])
    header["PixelData"].VR = "OB"
    header["PixelData"].is_undefined_length = True
    header.save_as(path)
    return path.read_bytes()


def test_a_compressed_film_keeps_its_stream(tmp_path):
    film = jpeg_film(tmp_path)
    clean = cleaned(film)
    assert np.array_equal(read_dicom(clean).pixels, read_dicom(film).pixels)
    streams = [pydicom.encaps.get_frame(header_of(data).PixelData, 0, number_of_frames=1) for data in (film, clean)]
    assert streams[0] == streams[1]


@pytest.mark.parametrize(
    ("segment", "tail"),
    [
        (b"\xff\xfe\x00\x0aQUEZALDA", b""),
        (b"\xff\xe1\x00\x10Exif\0\0QUEZALDA", b""),
        (b"", b"QUEZALDA"),
    ],
    ids=["comment", "exif", "behind the end"],
)
def test_text_inside_a_compressed_stream_is_quarantined(tmp_path, segment, tail):
    with pytest.raises(QuarantineError):
        cleaned(jpeg_film(tmp_path, segment, tail))


def test_a_broken_object_is_refused_without_quoting_it():
    with pytest.raises(DicomError) as refused:
        cleaned(b"\x08\x00QUEZALDA" * 20)
    assert "QUEZALDA" not in str(refused.value)


def test_an_unreadable_number_goes(tmp_path):
    path = write_film(tmp_path / "film.dcm", 1)
    data = path.read_bytes()
    assert b"CHEST" in data
    header = Dataset()
    header.add_new(0x00181164, "DS", "0.1")
    clean = header_of(cleaned(data.replace(b"CHEST ", b"SMITH ")))
    assert not clean.get("BodyPartExamined")
    assert clean.Rows == 64


@pytest.mark.data
def test_real_films_read_to_the_same_pixels_and_view(shared_data):
    compared = 0
    for path in sorted((shared_data / "dicom").glob("*.dcm")):
        data = path.read_bytes()
        try:
            before = read_dicom(data)
        except DicomError:
            continue
        after = read_dicom(cleaned(data))
        assert np.array_equal(before.pixels, after.pixels), path.name
        assert (before.view, before.laterality, before.body_part) == (after.view, after.laterality, after.body_part)
        compared += 1
    assert compared >= 14
