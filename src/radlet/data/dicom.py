"""Read one DICOM object as a film: parse, refuse what is no single film, decode, map to display grey, set upright.

Called by `radlet.data.images`. Messages name syntaxes, codecs and sizes but never quote an element's text, and the
warnings and log lines of the DICOM libraries, which do quote it, are kept in.
"""

from dataclasses import replace
from io import BytesIO
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import apply_color_lut, get_decoder
from pydicom.pixels.decoders.base import Decoder
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from radlet.core.errors import DicomError
from radlet.data.deflated import refuse_bombs
from radlet.data.dicom_grey import Depth, to_deep_grey, to_display_grey
from radlet.data.dicom_tags import body_part, laterality, number, text, view
from radlet.data.film import DeepFilm, Film, check_size
from radlet.data.quiet import quiet_libraries
from radlet.data.refusal import refusing
from radlet.data.source_grid import facing

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PALETTE = "PALETTE COLOR"

MAX_PIXEL_ASPECT = 4.0
"""Pixels more oblong than this are a slip in the header, not a detector."""

SQUARE_WITHIN = 0.01
"""Pixels whose height differs less than this from their width are square."""
_CODECS = ("pylibjpeg", "pyjpegls", "pydicom", "pillow", "gdcm")
"""Decoding plugins in the order they are tried."""
_FASTEST = {
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), "pyjpegls"),
    **dict.fromkeys((JPEGLossless, JPEGLosslessSV1), "gdcm"),
}
"""Plugins tried first. Of these syntaxes alone every plugin gives the same values, as the standards demand."""
_DAMAGED = "The DICOM object is damaged or malformed"
_END_OF_IMAGE = b"\xff\xd9"
_MAX_TAIL_BYTES = 64


def looks_like_dicom(head: bytes) -> bool:
    """Say whether a file's first bytes are DICOM: "DICM" after the preamble, or a first element of group 2 or 8."""
    if head[128:132] == b"DICM":
        return True
    return head[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08") and len(head) >= 8


def read_dicom(file: bytes | BinaryIO) -> Film:
    """Turn a DICOM file, its bytes or open, with or without preamble (PS3.10 7.1), into a film.

    Raises:
        DicomError: The object is broken, holds no single film, or no codec reads its transfer syntax.
        DataError: Its size is not that of a film.
    """
    with quiet_libraries(), refusing(_DAMAGED, DicomError):
        header = parse_dicom(file)
        _refuse_unreadable(header)
        grey = _square_pixels(_display_grey(header), header)
        projection = view(header)
        return Film(
            pixels=np.ascontiguousarray(facing(header, projection).turn(grey)),
            view=projection,
            laterality=laterality(header),
            modality=text(header, "Modality") or None,
            body_part=body_part(header),
            burned_in=text(header, "BurnedInAnnotation") == "YES",
        )


def read_deep_dicom(file: bytes | BinaryIO) -> DeepFilm:
    """Turn a DICOM file into a film as `read_dicom` does, in all its greys; colour has 256 of them.

    Raises:
        DicomError: As `read_dicom`.
        DataError: As `read_dicom`.
    """
    with quiet_libraries(), refusing(_DAMAGED, DicomError):
        header = parse_dicom(file)
        _refuse_unreadable(header)
        grey = text(header, "PhotometricInterpretation") in MONOCHROME
        film = to_deep_grey(_decode(header), header) if grey else DeepFilm(_display_grey(header))
        pixels = facing(header, view(header)).turn(_square_pixels(film.pixels, header))
        return replace(film, pixels=np.ascontiguousarray(pixels))


def parse_dicom(file: bytes | BinaryIO) -> Dataset:
    """Parse an image object, its bytes or its open file, with its transfer syntax known.

    Raises:
        DicomError: It has no Pixel Data, or unpacks to far more than a film.
    """
    # Of an open file the Pixel Data is read once; of bytes it is copied.
    opened = BytesIO(file) if isinstance(file, bytes) else file
    refuse_bombs(opened)
    header = dcmread(opened, force=True)
    if "PixelData" not in header:
        _refuse_without_pixels(opened)
    if not header.file_meta.get("TransferSyntaxUID"):
        header.file_meta.TransferSyntaxUID = _syntax_as_read(header)
    return header


def _syntax_as_read(header: Dataset) -> UID:
    implicit, little = header.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _refuse_unreadable(header: Dataset) -> None:
    """Refuse objects that are not one film of 8 to 16 bits (PS3.3 C.7.6.3)."""
    frames = number(header, "NumberOfFrames") or 1
    if frames > 1:
        raise DicomError(f"The object is multi-frame ({frames:g} frames). Give single films, one object each.")
    check_size(int(number(header, "Rows") or 0), int(number(header, "Columns") or 0))
    photometric = text(header, "PhotometricInterpretation")
    if photometric not in (*MONOCHROME, *COLOUR, PALETTE):
        allowed = ", ".join((*MONOCHROME, PALETTE, *COLOUR))
        raise DicomError(f"The Photometric Interpretation is missing or not one of {allowed}.")
    expected_samples = 3 if photometric in COLOUR else 1
    if (number(header, "SamplesPerPixel") or 1) != expected_samples:
        raise DicomError(f"{photometric} needs Samples per Pixel {expected_samples}; the object says otherwise.")
    allocated, stored = number(header, "BitsAllocated"), number(header, "BitsStored")
    if allocated not in (8, 16) or stored is None or not 1 < stored <= allocated:
        raise DicomError("Only 8 or 16 Bits Allocated with 2 or more Bits Stored are read; re-encode the object.")


def _refuse_without_pixels(file: BinaryIO) -> None:
    """Say why there is no Pixel Data."""
    # Of a file that ends inside a compressed film the parser keeps nothing, so the header is read again on its own.
    file.seek(0)
    header = dcmread(file, force=True, stop_before_pixels=True)
    if "Rows" in header:
        raise DicomError("The pixel data is truncated or missing: the file ends before it does. Fetch the file again.")
    uid = UID(text(header, "SOPClassUID"))
    named = f" ({uid.name})" if uid.name != uid else ""
    raise DicomError(f"The object{named} holds no film, or the file is truncated in its header. Give an image object.")


def _display_grey(header: Dataset) -> NDArray[np.uint8]:
    stored = _decode(header)
    photometric = text(header, "PhotometricInterpretation")
    if photometric in MONOCHROME:
        return to_display_grey(stored, header)
    if photometric == PALETTE:
        return _luma(_palette_colours(stored, header))
    bits = int(number(header, "BitsStored") or 8)
    return _luma(stored if bits == 8 else (stored.astype(np.uint32) * 255 // (2**bits - 1)).astype(np.uint8))


def _palette_colours(stored: NDArray[np.integer], header: Dataset) -> NDArray[np.uint8]:
    """Look colours up (PS3.3 C.7.6.3.1.5), keeping the upper 8 bits of 16-bit palettes."""
    with refusing("The colour palette is missing or malformed", DicomError):
        colours = apply_color_lut(stored, header)[..., :3]
    deep = (number(header, "RedPaletteColorLookupTableDescriptor", 2) or 8) > 8
    return np.asarray(colours >> 8 if deep else colours).astype(np.uint8)


def _luma(colours: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Reduce (H, W, 3) colour to grey by ITU-R BT.601, as PIL does for PNG and JPEG."""
    return np.asarray(Image.fromarray(colours.astype(np.uint8)).convert("L"))


def _decode(header: Dataset) -> NDArray[np.integer]:
    """Return the stored values, (H, W), or (H, W, 3) in RGB.

    Raises:
        DicomError: No codec for the transfer syntax is known, installed or successful, or the pixel data is cut short.
    """
    syntax = header.file_meta.TransferSyntaxUID
    named = f"transfer syntax {syntax.name} ({syntax})" if syntax.name != syntax else "an unknown transfer syntax"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise DicomError(f"No codec reads {named}. Re-encode it, for example as Explicit VR Little Endian.") from None
    if not decoder.is_available:
        missing = "; ".join(decoder.missing_dependencies)
        raise DicomError(f"The codec for {named} is not installed: {missing}.")
    if syntax.is_encapsulated:
        _refuse_cut_stream(header, syntax, named)
        return _decode_compressed(header, decoder, named)
    return _decode_native(header, decoder)


def _decode_native(header: Dataset, decoder: Decoder) -> NDArray[np.integer]:
    """Read uncompressed pixel data, honouring High Bit and clearing bits that are not stored (PS3.5 8.1.1)."""
    expected, found = get_expected_length(header), len(header.PixelData)
    if found < expected:
        raise DicomError(f"The pixel data is truncated: {found} bytes of {expected}. Fetch the file again.")
    with refusing("The pixel data does not fit its header", DicomError):
        stored: NDArray[np.integer] = decoder.as_array(header, index=0, correct_unused_bits=False, view_only=True)[0]
    allocated, bits = int(header.BitsAllocated), int(header.BitsStored)
    high_bit = number(header, "HighBit")
    above = allocated - 1 - int(bits - 1 if high_bit is None else high_bit)
    if allocated == bits or not 0 <= above <= allocated - bits:
        return stored
    if above == allocated - bits and _fits(stored, bits):
        return stored
    stored = np.left_shift(stored, above)
    return np.asarray(np.right_shift(stored, allocated - bits))


def _fits(stored: NDArray[np.integer], bits: int) -> bool:
    """Say whether the bits above those stored are clear, or copies of the sign: then there is nothing to mend."""
    signed = stored.dtype.kind == "i"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    return bool(stored.size) and low <= int(stored.min()) and int(stored.max()) < high


def _decode_compressed(header: Dataset, decoder: Decoder, named: str) -> NDArray[np.integer]:
    first = _FASTEST.get(decoder.UID)
    ordered = sorted(_CODECS, key=lambda codec: codec != first)
    codecs = [codec for codec in ordered if codec in decoder.available_plugins]
    for codec in codecs:
        try:
            stored: NDArray[np.integer] = decoder.as_array(header, index=0, decoding_plugin=codec)[0]
        except Exception:  # noqa: BLE001, S112 - each codec has its own errors; when all fail, all are named below
            continue
        return stored
    raise DicomError(
        f"The pixel data cannot be decoded: {named}; failing codecs: {', '.join(codecs)}. "
        "The stream is damaged or uses a feature they lack. Re-encode it where it was made."
    )


def _refuse_cut_stream(header: Dataset, syntax: UID, named: str) -> None:
    """Refuse JPEG-family streams without an end-of-image marker; several codecs fill the missing part silently."""
    with refusing(f"The pixel data is not encapsulated as PS3.5 A.4 says: {named}", DicomError):
        stream = get_frame(header.PixelData, 0, number_of_frames=1)
    if syntax != RLELossless and _END_OF_IMAGE not in stream[-_MAX_TAIL_BYTES:]:
        raise DicomError(f"The pixel data is truncated: {named} without end-of-image marker. Fetch the file again.")


def _square_pixels(grey: NDArray[Depth], header: Dataset) -> NDArray[Depth]:
    """Stretch the coarser axis of a film with oblong pixels (PS3.3 C.7.6.3.1.7, 10.7.1.1)."""
    ratio = _pixel_aspect(header)
    if abs(ratio - 1) <= SQUARE_WITHIN:
        return grey
    if not 1 / MAX_PIXEL_ASPECT <= ratio <= MAX_PIXEL_ASPECT:
        raise DicomError(
            f"The pixels are {ratio:.3g} times as high as wide; at most {MAX_PIXEL_ASPECT:g} is plausible."
        )
    height, width = grey.shape
    height, width = (round(height * ratio), width) if ratio > 1 else (height, round(width / ratio))
    check_size(height, width)
    resized = Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized, grey.dtype)


def _pixel_aspect(header: Dataset) -> float:
    """Return the height of a pixel over its width; 1 when the header says nothing usable."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"):
        vertical, horizontal = number(header, keyword, 0), number(header, keyword, 1)
        if vertical and horizontal and vertical > 0 and horizontal > 0:
            return vertical / horizontal
    return 1.0
