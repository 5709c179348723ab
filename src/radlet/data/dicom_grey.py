"""The grey-scale chain of DICOM (PS3.4 N.2): stored values to 8-bit display grey. Called by `radlet.data.dicom`.

Stored values have at most 16 bits, so each step works on a table with one entry for every stored value that occurs,
not on the film; only the last step touches every pixel. `to_deep_grey` goes the same way but cuts nothing off, for a
reader who sets the window.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from radlet.core.errors import DicomError
from radlet.data.dicom_tags import number, text
from radlet.data.film import DeepFilm

MID_GREY = 128
"""Grey of a film whose pixels are all alike and that names no window."""

TAIL = 0.005
"""Share of pixels clipped at each end when a deep film names no window: markers and metal, and the direct beam."""

_DEEPEST = 65535
_ALL_PADDING = "Every pixel carries the Pixel Padding Value; the object holds no film."
_CHUNK_PX = 1 << 18
_LOOK_UP_PX = 1 << 18

Floats = NDArray[np.float64]
Depth = TypeVar("Depth", bound=np.unsignedinteger)


@dataclass(frozen=True)
class Window:
    """Window Center, Window Width and VOI LUT Function (PS3.3 C.11.2.1.2)."""

    center: float
    width: float
    function: str = "LINEAR"


def to_display_grey(stored: NDArray[np.integer], header: Dataset) -> NDArray[np.uint8]:
    """Map stored values (H, W) to display grey 0..255, bright = dense.

    Padding pixels become black and take no part in choosing the grey of the others.

    Raises:
        DicomError: Every pixel is padding, or a lookup table is malformed.
    """
    values = np.arange(int(stored.min()), int(stored.max()) + 1)
    patterns, places = _patterns(stored, values)
    padding = padding_values(values, header)
    table = None if padding.any() else _windowed_table(values, header)
    if table is None:
        counts = np.where(padding, 0, _count(patterns)[places])
        if not counts.any():
            raise DicomError(_ALL_PADDING)
        table = grey_table(values, counts, header)
        table[padding] = 0
    whole = np.zeros(_num_patterns(patterns), np.uint8)
    whole[places] = table
    return _look_up_grey(whole, patterns)


def to_deep_grey(stored: NDArray[np.integer], header: Dataset) -> DeepFilm:
    """Map stored values (H, W) to display grey of 16 bits that goes on beyond the window of the header.

    Within the window it is `to_display_grey`'s, before rounding. A VOI LUT or a sigmoid has nothing beyond its ends.

    Raises:
        DicomError: As `to_display_grey`.
    """
    values = np.arange(int(stored.min()), int(stored.max()) + 1)
    patterns, places = _patterns(stored, values)
    padding = padding_values(values, header)
    counts = np.where(padding, 0, _count(patterns)[places])
    if not counts.any():
        raise DicomError(_ALL_PADDING)
    fractions, ends = _open_fractions(modality_values(values, header), counts, header)
    if is_inverted(header):
        fractions, ends = 1 - fractions, ends and ends[::-1]
    low, high = float(fractions[counts > 0].min()), float(fractions[counts > 0].max())
    if padding.any():
        low = min(low, 0.0)  # it is black, also where nothing else is
    span = high - low or 1.0
    table = np.rint((np.clip(fractions, low, high) - low) * (_DEEPEST / span)).astype(np.uint16)
    table[padding] = 0
    whole = np.zeros(_num_patterns(patterns), np.uint16)
    whole[places] = table
    return DeepFilm(_look_up_grey(whole, patterns), low, low + span, ends)


def grey_table(values: NDArray[np.int64], counts: NDArray[np.int64], header: Dataset) -> NDArray[np.uint8]:
    """Return the display grey of each stored value, given how many pixels carry it."""
    modality = modality_values(values, header)
    fractions = voi_fractions(modality, header)
    if fractions is None or _hides_everything(fractions[counts > 0]):
        fractions = fallback_fractions(modality, counts, header)
    return _to_grey(fractions, header)


def padding_values(values: NDArray[np.int64], header: Dataset) -> NDArray[np.bool_]:
    """Say which stored values are padding: one value, or a range of either order (PS3.3 C.7.5.1.1.2)."""
    value = number(header, "PixelPaddingValue")
    if value is None:
        return np.zeros(len(values), np.bool_)
    limit = number(header, "PixelPaddingRangeLimit")
    ends = [_as_stored(end, header) for end in (value, value if limit is None else limit)]
    return (values >= min(ends)) & (values <= max(ends))


def modality_values(values: NDArray[np.int64], header: Dataset) -> Floats:
    """Apply the Modality LUT, else the rescale, else nothing (PS3.3 C.11.1).

    A slope of zero, which would erase the film, is read as one.
    """
    for item in header.get("ModalityLUTSequence") or ():
        return look_up(values, item, header)[0]
    slope = number(header, "RescaleSlope") or 1.0
    return values.astype(np.float64) * slope + (number(header, "RescaleIntercept") or 0.0)


def voi_fractions(modality: Floats, header: Dataset) -> Floats | None:
    """Apply the first VOI LUT, else the first window (PS3.3 C.11.2); 0 is the darkest display value, 1 the brightest.

    Returns None when the header names neither, or a window whose width is not allowed.
    """
    for item in header.get("VOILUTSequence") or ():
        output, top = look_up(np.rint(modality).astype(np.int64), item, header)
        return output / top
    window = read_window(header)
    return None if window is None else apply_window(modality, window)


def read_window(header: Dataset) -> Window | None:
    """Return the first window, or None when there is none or its width is outside what the standard allows."""
    center, width = number(header, "WindowCenter"), number(header, "WindowWidth")
    if center is None or width is None:
        return None
    function = text(header, "VOILUTFunction")
    function = function if function in ("LINEAR_EXACT", "SIGMOID") else "LINEAR"
    if width <= 0 or (function == "LINEAR" and width < 1):
        return None
    return Window(center, width, function)


def apply_window(values: Floats, window: Window) -> Floats:
    """Map values to 0..1 by a window: LINEAR (PS3.3 C.11.2.1.2.1), SIGMOID (.3.1) or LINEAR_EXACT (.3.2)."""
    if window.function == "SIGMOID":
        exponent = np.clip(-4 * (values - window.center) / window.width, -700, 700)
        return np.asarray(1 / (1 + np.exp(exponent)))
    center, width = _exact(window)
    if width == 0:
        return (values > center).astype(np.float64)
    return np.asarray(np.clip((values - center) / width + 0.5, 0, 1))


def fallback_fractions(modality: Floats, counts: NDArray[np.int64], header: Dataset) -> Floats:
    """Choose the grey range of a film that names no usable window.

    Films of up to 8 bits without a Modality LUT are taken as ready for display: the whole stored range is shown, as
    it stands. Deeper ones rarely fill their range, so the range that holds all but `TAIL` of the pixels at either end
    is shown. A constant deep film becomes `MID_GREY`.
    """
    low, high = _fallback_range(modality, counts, header)
    if high <= low:
        return np.full(len(modality), MID_GREY / 255)
    return np.asarray(np.clip((modality - low) / (high - low), 0, 1))


def is_inverted(header: Dataset) -> bool:
    """Say whether low values are bright: MONOCHROME1 (PS3.3 C.7.6.3.1.2) or Presentation LUT Shape INVERSE.

    An object that carries both, as DX requires of MONOCHROME1 (PS3.3 C.8.11.3.1), is inverted once.
    """
    inverse_shape = text(header, "PresentationLUTShape") == "INVERSE"
    return inverse_shape or text(header, "PhotometricInterpretation") == "MONOCHROME1"


def look_up(values: NDArray[np.int64], item: Dataset, header: Dataset) -> tuple[Floats, float]:
    """Pass values through a lookup table (PS3.3 C.11.1.1, C.11.2.1.1) and return them with the table's top value.

    Values before the first entry take the first one, values after the last take the last.

    Raises:
        DicomError: The table is shorter than its descriptor says, or the descriptor is malformed.
    """
    entries, first, bits = (number(item, "LUTDescriptor", index) for index in range(3))
    if entries is None or first is None or bits is None or not 1 <= bits <= 16:
        raise DicomError("A lookup table has no valid LUT Descriptor (entries, first value, bits 1..16).")
    size = int(entries) % 65536 or 65536
    table = _lut_data(item, size, header)
    if len(table) < size:
        raise DicomError(f"A lookup table holds {len(table)} entries where its descriptor says {size}.")
    # The first value shares the element with unsigned counts, so a negative one may arrive wrapped.
    start = int(first) - 65536 if first > 32767 and values.min() < 0 else int(first)
    output = table[np.clip(values - start, 0, size - 1)].astype(np.float64)
    return output, float(max(2 ** int(bits) - 1, table.max()))


def _open_fractions(
    modality: Floats, counts: NDArray[np.int64], header: Dataset
) -> tuple[Floats, tuple[float, float] | None]:
    """Return what `grey_table` makes of each value, but without ends, and the values at 0 and at 1.

    A table, a sigmoid and a step have no such values, and keep their ends.
    """
    fractions = voi_fractions(modality, header)
    if fractions is None or _hides_everything(fractions[counts > 0]):
        fractions = fallback_fractions(modality, counts, header)
        low, high = _fallback_range(modality, counts, header)
        if high <= low:
            return fractions, None
    else:
        window = None if header.get("VOILUTSequence") else read_window(header)
        if window is None or window.function == "SIGMOID" or _exact(window)[1] == 0:
            return fractions, None
        center, width = _exact(window)
        low, high = center - width / 2, center + width / 2
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        open_fractions = (modality - low) / (high - low)
    # A window of next to no width is a step.
    return (open_fractions, (low, high)) if np.isfinite(open_fractions).all() else (fractions, None)


def _exact(window: Window) -> tuple[float, float]:
    """Return center and width of a linear window in terms of LINEAR_EXACT; LINEAR counts the steps between values."""
    if window.function == "LINEAR":
        return window.center - 0.5, window.width - 1
    return window.center, window.width


def _fallback_range(modality: Floats, counts: NDArray[np.int64], header: Dataset) -> tuple[float, float]:
    if (number(header, "BitsStored") or 0) <= 8 and not header.get("ModalityLUTSequence"):
        low, high = sorted(modality_values(_stored_range(header), header))
        return float(low), float(high)
    return _central_range(modality, counts)


def _lut_data(item: Dataset, size: int, header: Dataset) -> NDArray[np.uint16]:
    data = item.get("LUTData")
    if not isinstance(data, bytes):
        return np.atleast_1d(np.asarray([] if data is None else data, np.int64)).astype(np.uint16)
    if len(data) < 2 * size:
        return np.frombuffer(data, np.uint8)[:size].astype(np.uint16)
    little = header.original_encoding[1] is not False
    return np.frombuffer(data[: 2 * size], "<u2" if little else ">u2").astype(np.uint16)


def _as_stored(value: float, header: Dataset) -> int:
    """Undo the reading of a signed value as an unsigned one, which implicit-VR writers cause."""
    signed = number(header, "PixelRepresentation") == 1
    bits = int(number(header, "BitsAllocated") or 16)
    return int(value) - 2**bits if signed and value >= 2 ** (bits - 1) else int(value)


def _stored_range(header: Dataset) -> NDArray[np.int64]:
    bits = int(number(header, "BitsStored") or 8)
    low = -(2 ** (bits - 1)) if number(header, "PixelRepresentation") == 1 else 0
    return np.array([low, low + 2**bits - 1])


def _central_range(modality: Floats, counts: NDArray[np.int64]) -> tuple[float, float]:
    order = np.argsort(modality, kind="stable")
    order = order[counts[order] > 0]
    cumulative = np.cumsum(counts[order])
    clipped = int(TAIL * cumulative[-1])
    low = int(np.searchsorted(cumulative, clipped, side="right"))
    high = int(np.searchsorted(cumulative, cumulative[-1] - clipped))
    if low >= high:
        low, high = 0, len(order) - 1
    return float(modality[order[low]]), float(modality[order[high]])


def _windowed_table(values: NDArray[np.int64], header: Dataset) -> NDArray[np.uint8] | None:
    """Return the grey of each value where a window alone decides it; None where it takes the pixels' counts.

    A rescale and a window are monotone, and the film has pixels of the lowest and of the highest value, so these two
    tell whether the window hides everything.
    """
    window = read_window(header)
    if window is None or header.get("VOILUTSequence") or header.get("ModalityLUTSequence"):
        return None
    fractions = apply_window(modality_values(values, header), window)
    return None if _hides_everything(fractions[:: max(len(fractions) - 1, 1)]) else _to_grey(fractions, header)


def _to_grey(fractions: Floats, header: Dataset) -> NDArray[np.uint8]:
    table = np.rint(fractions * 255).astype(np.uint8)
    return 255 - table if is_inverted(header) else table


def _patterns(
    stored: NDArray[np.integer], values: NDArray[np.int64]
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.int64]]:
    """Return the film's bit patterns, which index a table without being copied, and the pattern of each value."""
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    patterns = native.view(f"u{native.itemsize}")
    return patterns, values % _num_patterns(patterns)


def _num_patterns(patterns: NDArray[np.unsignedinteger]) -> int:
    return int(2 ** (8 * patterns.itemsize))


def _look_up_grey(table: NDArray[Depth], patterns: NDArray[np.unsignedinteger]) -> NDArray[Depth]:
    """Return ``table[patterns]``, in chunks: numpy widens indices to 8 bytes a pixel; they should fit the cache."""
    flat = patterns.ravel()
    grey = np.empty(flat.shape, table.dtype)
    for start in range(0, flat.size, _LOOK_UP_PX):
        chunk = slice(start, start + _LOOK_UP_PX)
        np.take(table, flat[chunk], out=grey[chunk], mode="clip")
    return grey.reshape(patterns.shape)


def _hides_everything(fractions: Floats) -> bool:
    """Say whether a window shows one flat end of its range although the film has several values."""
    return len(fractions) > 1 and bool(fractions.max() <= 0 or fractions.min() >= 1)


def _count(patterns: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
    """Count pixels by bit pattern, in chunks: `bincount` widens its input to 8 bytes a pixel."""
    flat = patterns.ravel()
    counts = np.zeros(_num_patterns(patterns), np.int64)
    for start in range(0, flat.size, _CHUNK_PX):
        counts += np.bincount(flat[start : start + _CHUNK_PX], minlength=len(counts))
    return counts
