"""PNG and JPEG of every usual form to display grey, and what is refused."""

import sys
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import Dataset, uid
from pydicom.encaps import get_frame

from radlet.core.errors import DataError
from radlet.data.raster import looks_like_raster, read_deep_raster, read_raster

PICTURE = np.arange(48 * 40, dtype=np.uint16).reshape(48, 40).astype(np.uint8)
SMOOTH = np.linspace(0, 255, 48 * 40).reshape(48, 40).astype(np.uint8)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def deep_jpeg(values: np.ndarray, bits: int) -> bytes:
    """A JPEG-LS stream, the form of JPEG beyond 8 bits that can be written here."""
    ds = Dataset()
    ds.Rows, ds.Columns = values.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits, bits - 1, 0
    ds.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    ds.SOPInstanceUID = "1.2.3"
    ds.compress(uid.JPEGLSLossless, values.astype(np.uint16), generate_instance_uid=False)
    return get_frame(ds.PixelData, 0, number_of_frames=1)


def test_grey_png_is_read_as_it_stands():
    assert np.array_equal(read_raster(encoded(Image.fromarray(PICTURE))), PICTURE)


def test_sixteen_bit_png_equals_the_eight_bit_one():
    deep = Image.fromarray(PICTURE.astype(np.uint16) * 257)
    assert np.array_equal(read_raster(encoded(deep)), PICTURE)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 65535))
def test_sixteen_bits_are_rounded(value):
    data = encoded(Image.fromarray(np.full((2, 2), value, np.uint16)))
    assert set(read_raster(data).ravel().tolist()) == {round(value / 257)}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_grey_kept_as_colour_is_unchanged(mode):
    assert np.array_equal(read_raster(encoded(Image.fromarray(PICTURE).convert(mode))), PICTURE)


def test_one_bit_and_palette_png():
    halves = np.repeat([[0, 255]], 8, axis=0).astype(np.uint8).repeat(4, axis=1)
    assert np.array_equal(read_raster(encoded(Image.fromarray(halves).convert("1"))), halves)
    palette = Image.fromarray((halves // 255).astype(np.uint8), "L").convert("P")
    palette.putpalette([10, 10, 10, 200, 200, 200])
    assert set(read_raster(encoded(palette)).ravel().tolist()) == {10, 200}


def test_transparent_parts_become_black():
    colours = np.full((4, 4, 4), 255, np.uint8)
    colours[:2, :, 3] = 0
    assert read_raster(encoded(Image.fromarray(colours))).tolist() == [[0] * 4] * 2 + [[255] * 4] * 2


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_is_read_within_its_loss(mode):
    data = encoded(Image.fromarray(SMOOTH).convert(mode), "JPEG", quality=95)
    assert np.abs(read_raster(data).astype(int) - SMOOTH).max() <= 4


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_jpeg_beyond_eight_bits_is_scaled_by_its_precision(bits):
    values = np.linspace(0, 2**bits - 1, 48 * 40).reshape(48, 40).astype(np.uint16)
    expected = np.rint(values * (255 / (2**bits - 1))).astype(np.uint8)
    assert np.array_equal(read_raster(deep_jpeg(values, bits)), expected)


def test_a_deep_jpeg_without_its_decoder_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "libjpeg", None)
    with pytest.raises(DataError, match=r"radlet\[libjpeg\]"):
        read_raster(deep_jpeg(np.full((40, 48), 100, np.uint16), 12))


def test_jpeg_with_a_second_picture_behind_it_gives_the_first():
    data = encoded(Image.fromarray(SMOOTH), "MPO", save_all=True, append_images=[Image.new("L", (40, 48))], quality=95)
    assert np.abs(read_raster(data).astype(int) - SMOOTH).max() <= 4


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(SMOOTH), "JPEG", quality=95, exif=exif)
    assert np.abs(read_raster(data).astype(int) - np.rot90(SMOOTH, -1)).max() <= 4


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "deep"]), st.floats(0.05, 0.95))
def test_truncated_files_are_refused(form, share):
    noise = np.random.default_rng(0).integers(0, 256, (48, 40)).astype(np.uint8)
    data = deep_jpeg(noise, 8) if form == "deep" else encoded(Image.fromarray(noise), form)
    with pytest.raises(DataError, match="truncated"):
        read_raster(data[: int(len(data) * share)])


def test_decompression_bombs_are_refused():
    for side in (8200, 14000):
        data = encoded(Image.new("1", (side, side)))
        assert len(data) < 100_000
        with pytest.raises(DataError, match="decompression bomb"):
            read_raster(data)


def test_strips_and_animations_are_refused():
    with pytest.raises(DataError, match="8 times"):
        read_raster(encoded(Image.new("L", (100, 10))))
    frames = [Image.new("L", (8, 8), grey) for grey in (0, 255)]
    with pytest.raises(DataError, match="animated"):
        read_raster(encoded(frames[0], save_all=True, append_images=frames[1:]))


def test_content_is_told_by_its_first_bytes():
    assert looks_like_raster(encoded(Image.new("L", (8, 8))))
    assert looks_like_raster(encoded(Image.new("L", (8, 8)), "JPEG"))
    assert not looks_like_raster(encoded(Image.new("L", (8, 8)), "BMP"))


def test_all_values_of_deep_files_are_kept_and_eight_bits_stay_eight():
    values = np.array([[0, 257, 258, 65535]], np.uint16)
    deep = read_deep_raster(encoded(Image.fromarray(values)))
    assert np.array_equal(deep.pixels, values)
    assert (deep.pixels.dtype, deep.low, deep.high, deep.ends) == (np.uint16, 0, 1, None)
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    flat = read_deep_raster(encoded(Image.fromarray(grey)))
    assert np.array_equal(flat.pixels, grey)
    assert (flat.pixels.dtype, flat.high) == (np.uint8, 1)


def test_white_of_a_twelve_bit_jpeg_is_its_own():
    values = np.linspace(0, 4095, 64).astype(np.uint16).reshape(8, 8)
    deep = read_deep_raster(deep_jpeg(values, 12))
    assert np.array_equal(deep.pixels, values)
    assert 4095 / 65535 * deep.high == pytest.approx(1)
