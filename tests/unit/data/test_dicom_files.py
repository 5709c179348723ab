"""Real DICOM files of many makers: each is read as it should look, or refused by syntax and codec."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from radlet.core.errors import DicomError
from radlet.data.images import Film, read_film

pytestmark = pytest.mark.data

CHESTS = (
    "cr_chest_mono1_acrnema_no_preamble",
    "cr_chest_pa_RG1_j2k_lossy",
    "cr_chest_pa_RG1_jpegls_near",
    "cr_chest_pa_mono1_uncompressed",
    "cr_chest_pa_rsna_mono2_jpeg8",
)
OTHERS = (
    "cr_extremity_RG3_j2k_lossless",
    "cr_extremity_RG3_jpeg_lossless",
    "cr_extremity_RG3_rle",
    "cr_hip_RG2_jpegls_lossless",
    "cr_modality_lut_sequence",
    "dx_thorax_small",
    "mg_breast_mlo_MG1_j2k",
    "ct_small",
    "mr_small",
)
MISLABELLED = "cr_chest_pa_fake_mono1_jpeg8"
UNDECODABLE = "cr_hip_RG2_jpeg_lossy12"


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "dicom"


def film(folder: Path, name: str) -> Film:
    return read_film(folder / f"{name}.dcm")


def test_every_file_of_the_folder_is_known_here(folder):
    known = {*CHESTS, *OTHERS, MISLABELLED, UNDECODABLE}
    assert {path.stem for path in folder.glob("*.dcm")} == known


@pytest.mark.parametrize("name", CHESTS)
def test_chests_have_a_white_heart_between_black_lungs(folder, name):
    found = film(folder, name)
    assert (found.view, found.modality, found.body_part) == ("PA", "CR", "CHEST")
    height, width = found.pixels.shape
    band = found.pixels[int(height * 0.35) : int(height * 0.55)]
    heart = np.median(band[:, int(width * 0.46) : int(width * 0.58)])
    lungs = [np.median(band[:, int(width * start) : int(width * start) + width // 12]) for start in (0.22, 0.72)]
    assert heart > max(lungs) + 20
    # The right hemidiaphragm with the liver is bright too.
    assert np.median(found.pixels[int(height * 0.93) :, int(width * 0.3) : int(width * 0.4)]) > max(lungs) + 20


def test_a_film_that_calls_itself_monochrome1_is_believed(folder):
    true, mislabelled = film(folder, "cr_chest_pa_rsna_mono2_jpeg8"), film(folder, MISLABELLED)
    assert np.array_equal(mislabelled.pixels, 255 - true.pixels)


@pytest.mark.parametrize("name", OTHERS)
def test_other_films_are_read_with_contrast(folder, name):
    found = film(folder, name)
    assert found.pixels.std() > 20
    header = dcmread(folder / f"{name}.dcm", stop_before_pixels=True)
    assert found.pixels.shape == (header.Rows, header.Columns)
    assert found.modality == header.Modality


def test_three_encodings_of_one_film_are_one_film(folder):
    first, *rest = (film(folder, f"cr_extremity_RG3_{form}") for form in ("j2k_lossless", "jpeg_lossless", "rle"))
    assert first.laterality == "R"
    assert first.view == "AP"
    for other in rest:
        assert np.array_equal(first.pixels, other.pixels)


def test_two_lossy_encodings_of_one_film_are_nearly_one(folder):
    one, two = (film(folder, f"cr_chest_pa_RG1_{form}").pixels.astype(int) for form in ("j2k_lossy", "jpegls_near"))
    assert np.abs(one - two).mean() < 1


@pytest.mark.parametrize("name", ["cr_chest_pa_mono1_uncompressed", "cr_extremity_RG3_rle", "mr_small"])
def test_windowed_films_agree_with_pydicom(folder, name):
    header = dcmread(folder / f"{name}.dcm")
    low, high = (0, 2**header.BitsStored - 1) if header.PixelRepresentation == 0 else (-32768, 32767)
    shown = apply_voi_lut(apply_modality_lut(header.pixel_array, header), header)
    expected = np.rint((shown - low) / (high - low) * 255)
    expected = 255 - expected if header.PhotometricInterpretation == "MONOCHROME1" else expected
    assert np.abs(film(folder, name).pixels - expected).max() <= 1


def test_undecodable_file_is_refused_by_syntax_and_codec(folder):
    with pytest.raises(DicomError, match=r"JPEG Extended .*1\.2\.840\.10008\.1\.2\.4\.51.*pylibjpeg, pillow, gdcm"):
        film(folder, UNDECODABLE)


def test_truncated_copies_are_refused(folder, tmp_path):
    for source in folder.glob("*.dcm"):
        copy = tmp_path / source.name
        copy.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
        with pytest.raises(DicomError, match="truncated"):
            read_film(copy)
