"""DICOM objects from bytes to films: syntaxes, colour, bit layout, geometry, and every refusal."""

import logging
import warnings
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, get_frame

from radlet.core.errors import DataError, DicomError
from radlet.data.dicom import looks_like_dicom, read_dicom

NAME = "PLANTED^NAME"
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
PICTURE = np.rint(RAMP / 4095 * 255).astype(np.uint8)


def film_object(stored: NDArray[Any] = RAMP, bits: int = 12, **elements: Any) -> Dataset:
    """A computed radiograph that stores an array as it stands."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.SOPClassUID = uid.ComputedRadiographyImageStorage
    ds.SOPInstanceUID = "1.2.3.4"
    ds.PatientName = NAME
    ds.Modality = "CR"
    ds.Rows, ds.Columns = stored.shape[:2]
    ds.SamplesPerPixel = 3 if stored.ndim == 3 else 1
    ds.PhotometricInterpretation = "RGB" if stored.ndim == 3 else "MONOCHROME2"
    if stored.ndim == 3:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = stored.dtype.itemsize * 8
    ds.BitsStored = min(bits, ds.BitsAllocated)
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    ds.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 else "OW"
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def file_bytes(ds: Dataset) -> bytes:
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def read(ds: Dataset) -> NDArray[np.uint8]:
    return read_dicom(file_bytes(ds)).pixels


def refusal(ds: Dataset) -> str:
    with pytest.raises(DataError) as caught:
        read(ds)
    return str(caught.value)


def pixels_or_refusal(data: bytes) -> NDArray[np.uint8] | str:
    try:
        return read_dicom(data).pixels
    except DataError as error:
        return str(error)


def test_film_carries_what_the_header_says():
    elements = {"ViewPosition": "PA", "ImageLaterality": "U", "BodyPartExamined": "CHEST"}
    film = read_dicom(file_bytes(film_object(**WINDOW, **elements)))
    assert np.array_equal(film.pixels, PICTURE)
    assert (film.view, film.laterality, film.modality, film.body_part) == ("PA", None, "CR", "CHEST")


@pytest.mark.parametrize("implicit", [True, False])
def test_preamble_and_meta_group_may_be_missing(implicit):
    ds = film_object(**WINDOW)
    del ds.file_meta
    buffer = BytesIO()
    ds.save_as(buffer, implicit_vr=implicit, little_endian=True)
    assert looks_like_dicom(buffer.getvalue())
    assert np.array_equal(read_dicom(buffer.getvalue()).pixels, PICTURE)


@pytest.mark.parametrize(
    "syntax",
    [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian],
)
def test_uncompressed_syntaxes(syntax):
    ds = film_object(**WINDOW)
    ds.file_meta.TransferSyntaxUID = syntax
    assert np.array_equal(read(ds), PICTURE)


def test_big_endian():
    ds = film_object(**WINDOW)
    ds.PixelData = RAMP.astype(">u2").tobytes()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    assert np.array_equal(read(ds), PICTURE)


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless])
def test_compressed_syntaxes(syntax):
    ds = film_object(**WINDOW)
    ds.compress(syntax, generate_instance_uid=False)
    assert np.array_equal(read(ds), PICTURE)


@pytest.mark.parametrize("syntax", [uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.RLELossless])
def test_cut_streams_are_refused_by_name(syntax):
    ds = film_object(**WINDOW)
    ds.compress(syntax, generate_instance_uid=False)
    stream = get_frame(ds.PixelData, 0, number_of_frames=1)
    ds.PixelData = encapsulate([stream[: len(stream) // 2]])
    message = refusal(ds)
    assert syntax.name in message
    assert syntax in message


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([None, uid.JPEGLSLossless]))
def test_a_file_cut_anywhere_is_read_whole_or_refused(position, syntax):
    ds = film_object(**WINDOW)
    if syntax:
        ds.compress(syntax, generate_instance_uid=False)
    data = file_bytes(ds)
    data = data[: position % len(data)]
    outcome = pixels_or_refusal(data)
    assert NAME not in outcome if isinstance(outcome, str) else np.array_equal(outcome, PICTURE)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**16), st.binary(min_size=1, max_size=8))
def test_damaged_files_raise_nothing_but_data_errors(position, junk):
    data = bytearray(file_bytes(film_object(**WINDOW)))
    position %= len(data)
    data[position : position + len(junk)] = junk
    outcome = pixels_or_refusal(bytes(data))
    assert NAME not in outcome if isinstance(outcome, str) else outcome.dtype == np.uint8


@pytest.mark.parametrize("shift", [0, 2, 4])
@pytest.mark.parametrize("signed", [False, True])
def test_high_bit_places_the_stored_bits_and_junk_around_them_is_dropped(shift, signed):
    values = RAMP.astype(np.int32) - (2048 if signed else 0)
    junk = np.random.default_rng(0).integers(0, 65536, RAMP.shape) & ~(0xFFF << shift)
    raw = (((values & 0xFFF) << shift) | junk).astype(np.uint16)
    window = {"WindowCenter": 0 if signed else 2048, "WindowWidth": 4096}
    ds = film_object(raw.view(np.int16) if signed else raw, HighBit=11 + shift, **window)
    assert np.array_equal(read(ds), PICTURE)


def test_rgb_and_ybr_become_luma():
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]] * 2, np.uint8)
    assert read(film_object(colours, 8)).tolist() == [[76, 150, 29, 9]] * 2
    planar = film_object(colours, 8, PlanarConfiguration=1, PixelData=np.moveaxis(colours, 2, 0).tobytes())
    assert read(planar).tolist() == [[76, 150, 29, 9]] * 2
    ybr = np.full((2, 4, 3), (200, 128, 128), np.uint8)
    assert set(read(film_object(ybr, 8, PhotometricInterpretation="YBR_FULL")).ravel()) == {200}


def test_deep_rgb_is_scaled():
    colours = np.zeros((2, 2, 3), np.uint16)
    colours[0], colours[1] = 4095, 2048
    assert read(film_object(colours, 12)).tolist() == [[255, 255], [127, 127]]


@pytest.mark.parametrize(("entry_bits", "top"), [(8, 255), (16, 0xFF00)])
def test_palette_colour_becomes_luma(entry_bits, top):
    ds = film_object(np.array([[0, 1], [2, 3]], np.uint8), 8, PhotometricInterpretation="PALETTE COLOR")
    dtype = f"<u{entry_bits // 8}"
    for name, table in {"Red": [0, top, 0, 0], "Green": [0, 0, top, 0], "Blue": [0, 0, 0, top]}.items():
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [4, 0, entry_bits])
        setattr(ds, f"{name}PaletteColorLookupTableData", np.array(table, dtype).tobytes())
    assert read(ds).tolist() == [[0, 76], [150, 29]]


def test_palette_colour_without_palette_is_refused():
    assert "palette" in refusal(film_object(PICTURE, 8, PhotometricInterpretation="PALETTE COLOR"))


@pytest.mark.parametrize(
    ("elements", "shape"),
    [
        ({"PixelSpacing": [0.2, 0.1]}, (128, 64)),
        ({"PixelSpacing": [0.1, 0.2]}, (64, 128)),
        ({"ImagerPixelSpacing": [0.15, 0.1]}, (96, 64)),
        ({"PixelAspectRatio": [1, 2]}, (64, 128)),
        ({"PixelSpacing": [0.1, 0.1], "PixelAspectRatio": [1, 2]}, (64, 64)),
        ({"PixelSpacing": [0.1, 0.1005]}, (64, 64)),
        ({"PixelSpacing": [0, 0]}, (64, 64)),
        ({"PixelAspectRatio": "01"}, (64, 64)),
    ],
)
def test_oblong_pixels_are_made_square(elements, shape):
    pixels = read(film_object(**WINDOW, **elements))
    assert pixels.shape == shape
    assert abs(float(pixels.mean()) - float(PICTURE.mean())) < 1


@pytest.mark.parametrize(
    ("directions", "turn"),
    [
        (["L", "F"], lambda film: film),
        (["R", "F"], np.fliplr),
        (["L", "H"], np.flipud),
        (["R", "H"], lambda film: np.rot90(film, 2)),
        (["F", "L"], np.transpose),
        (["H", "L"], lambda film: np.flipud(film.T)),
        (["A", "F"], lambda film: film),
    ],
)
def test_frontal_chest_is_turned_to_face_the_viewer(directions, turn):
    elements = {"BodyPartExamined": "CHEST", "PatientOrientation": directions}
    assert np.array_equal(read(film_object(**WINDOW, **elements)), turn(PICTURE))


@pytest.mark.parametrize(
    "elements", [{"BodyPartExamined": "HAND"}, {"BodyPartExamined": "CHEST", "ViewPosition": "LL"}]
)
def test_other_films_stay_as_stored(elements):
    assert np.array_equal(read(film_object(**WINDOW, PatientOrientation=["R", "F"], **elements)), PICTURE)


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"NumberOfFrames": 3}, "multi-frame"),
        ({"Rows": 9000, "Columns": 9000}, "decompression bomb"),
        ({"Rows": 0}, "0 rows"),
        ({"Rows": 1, "Columns": 4096}, "8 times the other"),
        ({"Rows": 65, "Columns": 64}, "truncated: 8192 bytes of 8320"),
        ({"PhotometricInterpretation": "HSV"}, "Photometric Interpretation"),
        ({"PhotometricInterpretation": "RGB"}, "Samples per Pixel"),
        ({"BitsAllocated": 32}, "Bits Allocated"),
        ({"BitsStored": 17}, "Bits Stored"),
        ({"PixelSpacing": [1, 10]}, "as high as wide"),
    ],
)
def test_what_is_not_one_film_is_refused(elements, words):
    message = refusal(film_object(**elements))
    assert words in message
    assert NAME not in message


def test_object_without_pixels_is_refused_by_class():
    ds = film_object(SOPClassUID=uid.BasicTextSRStorage)
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(ds, keyword)
    assert "Basic Text SR Storage" in refusal(ds)


@pytest.mark.parametrize("syntax", [uid.MPEG2MPML, uid.HEVCMP51])
def test_syntax_without_codec_is_named(syntax):
    ds = film_object()
    ds.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    ds.file_meta.TransferSyntaxUID = syntax
    message = refusal(ds)
    assert syntax.name in message
    assert "No codec" in message


def test_missing_codec_is_named(monkeypatch):
    from pydicom.pixels.decoders import HTJ2KDecoder

    monkeypatch.setattr(HTJ2KDecoder, "_available", {})
    monkeypatch.setattr(HTJ2KDecoder, "_unavailable", {"pylibjpeg": ("pylibjpeg-openjpeg>=2.0",)})
    ds = film_object()
    ds.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    ds.file_meta.TransferSyntaxUID = uid.HTJ2K
    message = refusal(ds)
    assert uid.HTJ2K.name in message
    assert "pylibjpeg-openjpeg" in message


def test_failing_codecs_are_named():
    ds = film_object()
    ds.PixelData = encapsulate([b"\xff\xd8 nonsense \xff\xd9"])
    ds.file_meta.TransferSyntaxUID = uid.JPEGLSLossless
    message = refusal(ds)
    assert "failing codecs: pyjpegls, pylibjpeg, gdcm" in message
    assert uid.JPEGLSLossless.name in message


def test_foreign_bytes_are_refused():
    assert not looks_like_dicom(b"%PDF-1.7")
    for foreign in (b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xfe" * 500, b"\x08\0" * 300, b""):
        with pytest.raises(DicomError):
            read_dicom(foreign)


def test_warnings_and_log_lines_of_the_libraries_stay_in(caplog, capfd):
    ds = film_object(**WINDOW)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.add_new("PatientAge", "AS", NAME)
        ds.PixelData += b"\0" * 100
        data = file_bytes(ds)
    caplog.clear()
    propagated = logging.getLogger("pydicom").propagate
    capfd.readouterr()
    with caplog.at_level(logging.DEBUG):
        read_dicom(data)
        with pytest.raises(DicomError):
            read_dicom(data[:4000])
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("pydicom").propagate == propagated


def test_threads_that_read_at_once_leave_filters_and_loggers_as_they_were():
    data = file_bytes(film_object(**WINDOW))
    before = list(warnings.filters), logging.getLogger("pydicom").handlers
    with ThreadPoolExecutor(4) as pool:
        films = list(pool.map(lambda _: read_dicom(data), range(40)))
    assert all(np.array_equal(film.pixels, PICTURE) for film in films)
    assert (list(warnings.filters), logging.getLogger("pydicom").handlers) == before


def test_jpeg_in_colour_differences_becomes_luma():
    colours = np.zeros((16, 16, 3), np.uint8)
    colours[:, :, 0] = 255
    stream = BytesIO()
    Image.fromarray(colours).save(stream, "JPEG", quality=95)
    ds = film_object(colours, 8, PhotometricInterpretation="YBR_FULL_422")
    ds.PixelData = encapsulate([stream.getvalue()])
    ds.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    assert np.abs(read(ds).astype(int) - 76).max() <= 2
