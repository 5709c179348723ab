"""The grey-scale chain: every photometric case as a property of synthetic arrays, and against pydicom's functions."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

from radlet.core.errors import DicomError
from radlet.data.dicom_grey import (
    MID_GREY,
    Window,
    apply_window,
    grey_table,
    read_window,
    to_deep_grey,
    to_display_grey,
)
from radlet.data.film import DeepFilm

quick = settings(max_examples=40, deadline=None)
BITS = st.sampled_from([8, 10, 12, 15, 16])


def header(bits: int = 12, signed: bool = False, **elements: Any) -> Dataset:
    ds = Dataset()
    ds.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = 8 if bits <= 8 else 16
    ds.BitsStored = bits
    ds.PixelRepresentation = int(signed)
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def lut_item(table: NDArray[np.uint16], first: int = 0, bits: int = 16) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(table) % 65536, first, bits])
    item.add_new("LUTData", "OW", table.astype("<u2").tobytes())
    return item


@st.composite
def films(draw: st.DrawFn, bits: int | None = None, signed: bool = False) -> tuple[NDArray[Any], int]:
    depth = bits or draw(BITS)
    low, high = (-(2 ** (depth - 1)), 2 ** (depth - 1) - 1) if signed else (0, 2**depth - 1)
    dtype = np.dtype(f"{'int' if signed else 'uint'}{8 if depth <= 8 else 16}")
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    return draw(arrays(dtype, shape, elements=st.integers(low, high))), depth


@st.composite
def windows(draw: st.DrawFn) -> dict[str, Any]:
    function = draw(st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))
    center = draw(st.integers(-500, 70000))
    return {"WindowCenter": center, "WindowWidth": draw(st.integers(1, 70000)), "VOILUTFunction": function}


def differ_by(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@quick
@given(films(), st.booleans())
def test_monochrome1_of_inverted_data_equals_monochrome2(film, windowed):
    stored, bits = film
    top = 2**bits - 1
    window = {"WindowCenter": top / 2, "WindowWidth": top, "VOILUTFunction": "LINEAR_EXACT"} if windowed else {}
    plain = to_display_grey(stored, header(bits, **window))
    inverted = (top - stored.astype(int)).astype(stored.dtype)
    mirrored = to_display_grey(inverted, header(bits, PhotometricInterpretation="MONOCHROME1", **window))
    # A constant film without a window is mid-grey, which has no exact mirror among 256 greys.
    assert differ_by(plain, mirrored) <= 1


@quick
@given(films(), windows())
def test_presentation_lut_shape_inverse_inverts_once(film, window):
    stored, bits = film
    plain = to_display_grey(stored, header(bits, **window))
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        inverse = header(bits, PresentationLUTShape="INVERSE", PhotometricInterpretation=photometric, **window)
        assert np.array_equal(to_display_grey(stored, inverse), 255 - plain)


@quick
@given(films(), st.sampled_from([0.25, 1, 2, 16]), st.integers(-2000, 2000), st.booleans())
def test_rescale_does_not_change_the_picture(film, slope, intercept, windowed):
    stored, bits = film
    rescale = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    if windowed:
        before = {"WindowCenter": 700, "WindowWidth": 900, "VOILUTFunction": "LINEAR_EXACT"}
        after = {**before, "WindowCenter": 700 * slope + intercept, "WindowWidth": 900 * slope}
    plain = to_display_grey(stored, header(bits, **before))
    assert differ_by(plain, to_display_grey(stored, header(bits, **rescale, **after))) <= 1


@quick
@given(films(), st.booleans(), st.one_of(st.just({}), windows()))
def test_grey_is_monotone_in_the_stored_value(film, inverted, window):
    stored, bits = film
    photometric = "MONOCHROME1" if inverted else "MONOCHROME2"
    grey = to_display_grey(stored, header(bits, PhotometricInterpretation=photometric, **window))
    steps = np.diff(grey.ravel()[np.argsort(stored, axis=None, kind="stable")].astype(int))
    assert (steps <= 0).all() if inverted else (steps >= 0).all()


@quick
@given(films(signed=True), windows())
def test_signed_values_show_as_unsigned_ones_with_an_intercept(film, window):
    stored, bits = film
    offset = 2 ** (bits - 1)
    unsigned = (stored.astype(int) + offset).astype(np.uint8 if bits <= 8 else np.uint16)
    from_signed = to_display_grey(stored, header(bits, signed=True, **window))
    assert np.array_equal(from_signed, to_display_grey(unsigned, header(bits, RescaleIntercept=-offset, **window)))


@quick
@given(films(bits=12), st.data(), st.sampled_from(["MONOCHROME1", "MONOCHROME2"]))
def test_padding_is_black_and_leaves_the_rest_alone(film, data, photometric):
    stored, _ = film
    padded = data.draw(arrays(np.bool_, stored.shape))
    padded.flat[0] = False
    elements = {"PhotometricInterpretation": photometric}
    with_padding = np.where(padded, 60000 + np.arange(stored.size).reshape(stored.shape) % 3, stored).astype(np.uint16)
    grey = to_display_grey(with_padding, header(16, PixelPaddingValue=60002, PixelPaddingRangeLimit=60000, **elements))
    assert (grey[padded] == 0).all()
    assert np.array_equal(grey[~padded], to_display_grey(stored[~padded], header(16, **elements)))


def test_negative_padding_is_known_though_a_writer_stored_it_unsigned():
    stored = np.array([[-2000, 0, 500, 1000]], np.int16)
    grey = to_display_grey(stored, header(16, signed=True, PixelPaddingValue=65536 - 2000))
    assert grey.tolist() == [[0, 0, 128, 255]]


def test_film_of_padding_alone_is_refused():
    with pytest.raises(DicomError, match="Padding"):
        to_display_grey(np.full((3, 3), 7, np.uint16), header(PixelPaddingValue=7))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_constant_deep_film_without_window_is_mid_grey(photometric):
    grey = to_display_grey(np.full((4, 4), 900, np.uint16), header(PhotometricInterpretation=photometric))
    assert set(grey.ravel().tolist()) <= {MID_GREY, 255 - MID_GREY}


def test_eight_bits_without_window_are_shown_as_they_stand():
    stored = np.arange(40, 200, dtype=np.uint8).reshape(10, 16)
    assert np.array_equal(to_display_grey(stored, header(8)), stored)


def test_deep_film_without_window_clips_markers_and_keeps_the_anatomy_wide():
    stored = np.tile(np.arange(1000, 2000, dtype=np.uint16), (40, 1))
    stored[:2, :60] = 4095
    stored[-2:, :60] = 0
    grey = to_display_grey(stored, header(12))
    assert grey[20, 20] <= 5
    assert grey[20, -20] >= 250


@pytest.mark.parametrize(("center", "width"), [(30000, 100), (-9000, 50)])
def test_window_beside_all_values_is_set_aside(center, width):
    stored = np.linspace(100, 900, 50).astype(np.uint16).reshape(5, 10)
    grey = to_display_grey(stored, header(WindowCenter=center, WindowWidth=width))
    assert np.array_equal(grey, to_display_grey(stored, header()))


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, None),
        ({"WindowCenter": 40, "WindowWidth": 400}, Window(40, 400)),
        ({"WindowCenter": [40, 50], "WindowWidth": [400, 1500]}, Window(40, 400)),
        ({"WindowCenter": 40, "WindowWidth": 0}, None),
        ({"WindowCenter": 40, "WindowWidth": 0.5}, None),
        ({"WindowCenter": 40, "WindowWidth": 0.5, "VOILUTFunction": "LINEAR_EXACT"}, Window(40, 0.5, "LINEAR_EXACT")),
        ({"WindowCenter": 40, "WindowWidth": -10, "VOILUTFunction": "SIGMOID"}, None),
        ({"WindowCenter": 40, "WindowWidth": None}, None),
        ({"WindowCenter": 40, "WindowWidth": 9, "VOILUTFunction": "UNHEARD_OF"}, Window(40, 9)),
    ],
)
def test_first_allowed_window_is_read(elements, expected):
    assert read_window(header(**elements)) == expected


def test_worked_example_of_the_linear_window():
    # PS3.3 C.11.2.1.2.1, examples: center 2048, width 4096 maps 0..4095 onto the whole range;
    assert apply_window(np.array([0.0, 4095.0]), Window(2048, 4096)).tolist() == [0, 1]
    # center 0, width 1 is a step at -0.5.
    assert apply_window(np.array([-1.0, -0.5, 0.0]), Window(0, 1)).tolist() == [0, 0, 1]


@quick
@given(films(bits=12, signed=True), windows(), st.sampled_from([1.0, 0.5, 3.0]), st.integers(-1024, 1024))
def test_windows_agree_with_pydicom(film, window, slope, intercept):
    stored, bits = film
    ds = header(bits, signed=True, RescaleSlope=slope, RescaleIntercept=intercept, **window)
    with np.errstate(over="ignore"):
        reference = apply_voi_lut(apply_modality_lut(stored, ds), ds)
    low, high = (end * slope + intercept for end in (-2048, 2047))
    expected = np.rint((reference - low) / (high - low) * 255)
    flat = expected.min() == expected.max() and stored.min() != stored.max()
    if not flat:
        assert differ_by(to_display_grey(stored, ds), expected.astype(np.uint8)) <= 1


@quick
@given(
    films(bits=12),
    arrays(np.uint16, st.integers(1, 300), elements=st.integers(0, 4095)),
    st.integers(0, 4000),
    st.sampled_from([12, 16]),
)
def test_voi_lut_agrees_with_pydicom(film, table, first, lut_bits):
    stored, bits = film
    window = {"WindowCenter": 1, "WindowWidth": 2}  # the table comes before the window
    ds = header(bits, VOILUTSequence=Sequence([lut_item(table, first, lut_bits)]), **window)
    reference = apply_voi_lut(stored, ds)
    expected = np.rint(reference / (2**lut_bits - 1) * 255).astype(np.uint8)
    flat = expected.max() == 0 or reference.min() >= 2**lut_bits - 1
    if not flat:
        assert np.array_equal(to_display_grey(stored, ds), expected)


@quick
@given(films(bits=10), arrays(np.uint16, 1024))
def test_modality_lut_agrees_with_pydicom(film, table):
    stored, bits = film
    window = {"WindowCenter": 30000, "WindowWidth": 60000}
    ds = header(bits, ModalityLUTSequence=Sequence([lut_item(table)]), RescaleSlope=5, RescaleIntercept=9, **window)
    modality = apply_modality_lut(stored, ds)
    fractions = apply_window(modality.astype(np.float64), Window(30000, 60000))
    if fractions.max() > 0 and fractions.min() < 1:
        assert np.array_equal(to_display_grey(stored, ds), np.rint(fractions * 255).astype(np.uint8))


def test_lut_of_eight_bit_entries_and_negative_start():
    table = np.arange(0, 256, dtype=np.uint8)
    item = lut_item(table.astype(np.uint16), first=-100, bits=8)
    item["LUTData"].value = table.tobytes()
    stored = np.array([[-200, -100, 0, 155, 900]], np.int16)
    ds = header(16, signed=True, VOILUTSequence=Sequence([item]))
    assert to_display_grey(stored, ds).tolist() == [[0, 0, 100, 255, 255]]
    item.add_new("LUTDescriptor", "US", [256, 65536 - 100, 8])
    assert to_display_grey(stored, ds).tolist() == [[0, 0, 100, 255, 255]]


@pytest.mark.parametrize("descriptor", [[500, 0, 16], [4, 0, 0], [4, 0, 32], [4]])
def test_malformed_lut_is_refused(descriptor):
    item = lut_item(np.arange(4, dtype=np.uint16))
    item["LUTDescriptor"].value = descriptor
    with pytest.raises(DicomError, match="lookup table"):
        to_display_grey(np.eye(3, dtype=np.uint16), header(VOILUTSequence=Sequence([item])))


def test_slope_of_zero_does_not_erase_the_film():
    stored = np.arange(100, dtype=np.uint16).reshape(10, 10)
    ds = header(RescaleSlope=0, RescaleIntercept=5)
    assert np.array_equal(to_display_grey(stored, ds), to_display_grey(stored, header()))


@given(
    film=arrays(np.int16, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.integers(-2048, 2047)),
    window=windows(),
    slope=st.sampled_from([1.0, -1.0, 0.5]),
    inverted=st.booleans(),
)
def test_a_window_shows_the_same_with_and_without_the_counts_of_pixels(film, window, slope, inverted):
    ds = header(signed=True, RescaleSlope=slope, RescaleIntercept=3, **window)
    ds.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    values = np.arange(int(film.min()), int(film.max()) + 1)
    counts = np.bincount((film - film.min()).ravel(), minlength=len(values))
    np.testing.assert_array_equal(to_display_grey(film, ds), grey_table(values, counts, ds)[film - int(film.min())])


def test_a_film_of_many_pixels_is_looked_up_as_one_of_few():
    film = np.random.default_rng(0).integers(0, 4096, (700, 900)).astype(np.uint16)
    ds = header(WindowCenter=2000, WindowWidth=3000)
    top, below = to_display_grey(film[:300], ds), to_display_grey(film[300:], ds)
    np.testing.assert_array_equal(to_display_grey(film, ds), np.concatenate([top, below]))


def greys(film: DeepFilm) -> NDArray[np.float64]:
    return film.low + film.pixels / np.iinfo(film.pixels.dtype).max * (film.high - film.low)


@quick
@given(films(), st.booleans(), st.one_of(st.just({}), windows()))
def test_all_greys_within_the_window_are_those_that_are_displayed(film, inverted, window):
    stored, bits = film
    ds = header(bits, PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2", **window)
    deep = to_deep_grey(stored, ds)
    # A window far narrower than the film leaves fewer than 65,536 steps of a value to its inside.
    step = (deep.high - deep.low) * 255 / 65535
    assert np.abs(np.clip(greys(deep), 0, 1) * 255 - to_display_grey(stored, ds)).max() <= 0.5 + step
    assert deep.low < deep.high


def test_what_a_window_cuts_off_is_kept_with_its_values():
    stored = np.array([[0, 900, 1000, 1100, 4000]], np.uint16)
    window = {"WindowCenter": 1000, "WindowWidth": 200, "VOILUTFunction": "LINEAR_EXACT"}
    assert to_display_grey(stored, header(**window)).tolist() == [[0, 0, 128, 255, 255]]
    deep = to_deep_grey(stored, header(**window))
    np.testing.assert_allclose(greys(deep), [[-4.5, 0, 0.5, 1, 15.5]], atol=2e-4)
    assert deep.ends == (900, 1100)
    inverse = to_deep_grey(stored, header(PhotometricInterpretation="MONOCHROME1", **window))
    np.testing.assert_allclose(greys(inverse), [[5.5, 1, 0.5, 0, -14.5]], atol=2e-4)
    assert inverse.ends == (1100, 900)


def test_neighbouring_values_of_a_deep_film_stay_apart():
    stored = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    assert len(np.unique(to_display_grey(stored, header()))) == 256
    assert len(np.unique(to_deep_grey(stored, header()).pixels)) == 4096


@pytest.mark.parametrize("width", [1e7, 1e-300])
def test_no_window_is_too_wide_or_too_narrow_for_the_greys(width):
    stored = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    window = {"WindowCenter": 2000, "WindowWidth": width, "VOILUTFunction": "LINEAR_EXACT"}
    deep = to_deep_grey(stored, header(**window))
    shown = to_display_grey(stored, header(**window))
    assert np.abs(np.clip(greys(deep), 0, 1) * 255 - shown).max() <= 0.51
    assert len(np.unique(deep.pixels)) == (4096 if width > 1 else 3)


def test_padding_is_below_everything_whatever_the_window():
    stored = np.array([[0, 500, 900, 1000]], np.uint16)
    window = {"WindowCenter": 1000, "WindowWidth": 200, "PixelPaddingValue": 0}
    deep = to_deep_grey(stored, header(**window))
    assert deep.pixels[0, 0] == 0
    assert deep.low < 0 < greys(deep)[0, 3]
    assert deep.low == pytest.approx(greys(deep)[0, 1], abs=1e-3)  # the padding itself chooses no range
    with pytest.raises(DicomError, match="Padding"):
        to_deep_grey(np.zeros((2, 2), np.uint16), header(PixelPaddingValue=0))


def test_tables_and_sigmoids_have_no_ends_and_nothing_beyond_them():
    stored = np.arange(4, dtype=np.uint16).reshape(2, 2)
    table = header(VOILUTSequence=Sequence([lut_item(np.array([0, 10, 50, 255], np.uint16), 0, 8)]))
    sigmoid = header(WindowCenter=2, WindowWidth=2, VOILUTFunction="SIGMOID")
    step = header(WindowCenter=2, WindowWidth=1)
    for ds in (table, sigmoid, step):
        deep = to_deep_grey(stored, ds)
        assert (deep.low >= 0, deep.high <= 1, deep.ends) == (True, True, None)
        assert np.abs(greys(deep) * 255 - to_display_grey(stored, ds)).max() <= 0.51


def test_a_film_that_is_all_alike_is_mid_grey_in_all_greys_too():
    deep = to_deep_grey(np.full((2, 2), 700, np.uint16), header())
    np.testing.assert_allclose(greys(deep) * 255, MID_GREY, atol=0.01)
    assert deep.ends is None
