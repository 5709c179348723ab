"""Check that Pixel Data holds the film and nothing beside it; called while a film is de-identified.

The bytes of the film are never changed. What may hide beside them is cut off (bytes behind a native film) or makes the
object one that cannot be cleaned: overlays in unused bits, comments and application segments in compressed streams.
"""

import re
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import RLELossless

from radlet.core.errors import DicomError
from radlet.data.dicom_tags import number
from radlet.data.refusal import QuarantineError

_JPEG_START, _J2K_START = b"\xff\xd8", b"\xff\x4f"
_J2K_BOXES = b"\x00\x00\x00\x0cjP  "
_END = b"\xff\xd9"
_JPEG_COMMENT, _J2K_COMMENT = 0xFE, 0x64
_KNOWN_SEGMENTS = (b"JFIF\0", b"JFXX\0", b"Adobe", b"mrfx", b"NITF")
_ENCODERS = re.compile(
    rb"(?:\x00\x01)?(?:Kakadu[\w .-]{0,20}|Created by OpenJPEG[\w .-]{0,20}|LEAD Technologies[\w .-]{0,20}"
    rb"|JasPer[\w .-]{0,20}|CREATOR: [\w .-]{0,30}|Kdu-Layer-Info:[\s\w.,:|()-]{0,400}|Aware[\w .-]{0,30})[\x00\s]*"
)
"""Comments that encoders leave of themselves."""


def checked_pixel_data(header: Dataset) -> bytes:
    """Return Pixel Data without what stands behind the film.

    Raises:
        QuarantineError: Something beside the film is in it that cannot be taken out.
        DicomError: It is cut short.
    """
    data: bytes = header.PixelData
    syntax = header.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        _refuse_overlays_in_pixels(header)
        expected = get_expected_length(header)
        if len(data) < expected:
            raise DicomError(f"The pixel data is truncated: {len(data)} bytes of {expected}. Fetch the file again.")
        return data[: expected + expected % 2]
    frames = list(generate_frames(data, number_of_frames=int(number(header, "NumberOfFrames") or 1)))
    if syntax != RLELossless:
        for frame in frames:
            _refuse_comments(frame)
    # Wrapped anew, because an offset table and fragments behind the frames may hold anything.
    wrapped: bytes = encapsulate(frames)
    return wrapped


def _refuse_overlays_in_pixels(header: Dataset) -> None:
    """Refuse overlays in bits of Pixel Data that the film does not use (PS3.5 8.1.2, retired)."""
    for group in range(0x6000, 0x6020, 2):
        position = header.get((group, 0x0102))
        if position is not None and position.value and (group, 0x3000) not in header:
            raise QuarantineError(
                "Pixel Data carries an overlay in its unused bits, which cannot be taken out unchanged."
            )


def _refuse_comments(frame: bytes) -> None:
    end = frame.rfind(_END)
    if end >= 0 and frame[end + 2 :].strip(b"\0\xff"):
        raise QuarantineError("The compressed Pixel Data carries bytes behind its end, which may hold anything.")
    for content in _free_segments(frame):
        if content.startswith(_KNOWN_SEGMENTS) or _ENCODERS.fullmatch(content):
            continue
        raise QuarantineError(
            "The compressed Pixel Data carries a comment or an application segment, which may hold text."
        )


def _free_segments(frame: bytes) -> Iterator[bytes]:
    """Yield what stands in comment and application segments before the first scan or tile."""
    if frame.startswith(_J2K_BOXES):
        raise QuarantineError(
            "The compressed Pixel Data is a JP2 file, whose boxes may hold text; PS3.5 A.4.4 allows none."
        )
    j2k = frame.startswith(_J2K_START)
    if not j2k and not frame.startswith(_JPEG_START):
        return
    position = 2
    while position + 4 <= len(frame) and frame[position] == 0xFF:
        marker, size = frame[position + 1], int.from_bytes(frame[position + 2 : position + 4], "big")
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == (0x90 if j2k else 0xDA):  # start of tile, start of scan
            return
        if marker == (_J2K_COMMENT if j2k else _JPEG_COMMENT) or (not j2k and 0xE0 <= marker <= 0xEF):
            yield frame[position + 4 : position + 2 + size]
        position += 2 + size
